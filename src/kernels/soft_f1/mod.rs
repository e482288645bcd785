//! The soft F1: a term that a batch has as a whole, by class.

#[cfg(feature = "gpu")]
pub(crate) mod kernel;
pub(crate) mod reference;
