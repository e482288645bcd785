//! Weight files: timm-named safetensors in and out, and where they are looked for.
//!
//! [`load`] reads a [`Source`], tensor by tensor, [`save`] gives bytes; only [`lookup`] touches the disk. A file is trusted for nothing: what
//! it says is checked against the network's own tensors, and every disagreement is named.

mod config;
mod describe;
mod hdf5;
mod hub;
mod import;
mod keras;
mod keras_names;
mod lookup;
mod pickle;
mod problem;
mod read;
mod source;
mod torch;
mod vit_npz;
mod write;

pub use config::config;
pub use hub::{Hub, HubError};
pub use import::{Imported, import, verify};
pub use lookup::{Found, Places, Repository, Wanted, default_caches, lookup, read};
pub use problem::{Named, WeightsError};
pub use read::{Entry, Head, Report, Seen, load, look};
pub use source::Source;
pub use write::save;
