//! From bytes of image files to what the network sees: decode, prepare, keep, augment, normalise, preview.
//!
//! Also [`phantom`], the synthetic films that need no files. Everything is a pure function of its arguments;
//! only [`cache`] touches the disk.

pub mod phantom;
