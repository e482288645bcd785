//! Terms that each row has by itself: cross-entropy, focal loss, Kullback-Leibler.

#[cfg(feature = "gpu")]
pub(crate) mod kernel;
pub(crate) mod reference;
