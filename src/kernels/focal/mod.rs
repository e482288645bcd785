//! Terms that each row has by itself: cross-entropy, focal loss, Kullback-Leibler.

#[cfg(feature = "gpu")]
#[allow(clippy::float_cmp, clippy::too_many_arguments, reason = "a kernel is compiled by CubeCL")]
pub(crate) mod kernel;
pub(crate) mod reference;
