//! The soft F1: a term that a batch has as a whole, by class.

#[cfg(feature = "gpu")]
#[allow(clippy::too_many_arguments, clippy::used_underscore_binding, reason = "a kernel is compiled by CubeCL")]
pub(crate) mod kernel;
pub(crate) mod reference;
