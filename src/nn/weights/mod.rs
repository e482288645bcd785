//! Weight files: timm-named safetensors in and out, and where they are looked for.
//!
//! [`load`] takes bytes, [`save`] gives bytes; only [`lookup`] touches the disk. A file is trusted for nothing: what
//! it says is checked against the network's own tensors, and every disagreement is named.

mod describe;
mod lookup;
mod problem;
mod read;
mod write;

pub use lookup::{Found, Places, default_caches, lookup};
pub use problem::{Named, WeightsError};
pub use read::{Head, Report, load};
pub use write::save;
