//! The binary: arguments in, exit code out. A panic is a bug in `pipe` and ends with 70.

use std::process::ExitCode;

use pipe::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's `mi_option_purge_delay`; the crate names its neighbours only.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = libmimalloc_sys::mi_option_use_numa_nodes - 1;

/// A training step frees and asks for the same big buffers again and again. Given back to the system in between, the
/// kernel would zero every page of them anew: a quarter of the time of a small training.
fn keep_memory() {
    #[expect(unsafe_code, reason = "a call into C that stores a number")]
    // SAFETY: sets one option by value; called once, before any other thread starts.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
    }
}

fn main() -> ExitCode {
    keep_memory();
    cli::main()
}
