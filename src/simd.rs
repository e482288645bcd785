//! The instruction set that loops are compiled for, chosen at run time.

use std::sync::LazyLock;

use pulp::Arch;

/// The widest that this processor has, or none with `PIPE_PORTABLE` set, by which tests go the way of processors that have none.
///
/// The same loops are compiled for each, with as many sums side by side and no operation fused: results have the same bits.
pub(crate) fn arch() -> Arch {
    static ARCH: LazyLock<Arch> = LazyLock::new(|| match std::env::var_os("PIPE_PORTABLE") {
        Some(_) => Arch::Scalar,
        None => Arch::new(),
    });
    *ARCH
}
