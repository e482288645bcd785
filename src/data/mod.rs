//! Rows become images of patients: read a table, filter, label, group and limit it.
//!
//! [`Dataset`] is what everything after works on: images in the table's order, each with its patient and class.

mod alone;
pub mod audit;
mod build;
pub mod checks;
pub mod csv;
pub mod depth;
pub mod duplicates;
mod files;
mod keep;
mod labels;
mod limit;
pub mod seen;
mod source;
pub mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::record::Portion;

pub use alone::Alone;
pub use build::{build, build_unseen, look};
pub use source::{column_names, patient_column, read_column, whole_table};

/// Images of patients with classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// In the order of the network's outputs.
    pub classes: Vec<String>,
    /// Names of the patients; an image's `patient` is an index into it. Without a group: one a image.
    pub patients: Vec<String>,
    /// In the table's order.
    pub images: Vec<Image>,
    /// How many rows each step left out, for the flow diagram; the first entry is the whole table.
    pub flow: Vec<FlowStep>,
    /// Where the pixels come from.
    pub origin: Origin,
    /// `folds_from`: the fold of each image, from 0, in order of the sorted distinct cells.
    pub given_folds: Option<Vec<u32>>,
    /// `holdout = condition`: is the image held out?
    pub given_holdout: Option<Vec<bool>>,
    /// How well each column that the network does not see tells the classes apart by itself.
    #[serde(default)]
    pub alone: Vec<Alone>,
    /// Columns that slices are made by: what the table says of each image.
    pub columns: IndexMap<String, Vec<String>>,
}

/// A column of a table that looks like the patients'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientColumn {
    /// Its name.
    pub name: String,
    /// Rows of the table; 0 where it could not be read.
    pub rows: usize,
    /// Distinct cells that are not empty.
    pub patients: usize,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// As the table names it: the file name under the root, or the phantom's name.
    pub name: String,
    /// Line of the table it stands in, the header being line 1 (for folders: its rank from 1).
    pub row: u32,
    /// Index into `patients`.
    pub patient: u32,
    /// Index into `classes`.
    pub label: u32,
}

/// What one step left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowStep {
    /// The step in a few words, `rows of the table`, `keep`, `several labels`, `limit`.
    pub what: String,
    /// Images left after it.
    pub images: u32,
    /// Patients left after it (0 while patients are not known yet).
    pub patients: u32,
}

/// Where pixels come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Files opened beneath a folder (already joined to the study's folder).
    Files {
        /// The folder.
        under: PathBuf,
    },
    /// Drawn by `images::phantom`; an image's name is `phantom-00017.png`, its row - 2 its index (from 0).
    Phantoms {
        /// How many there are in all.
        images: u32,
        /// Of how many patients.
        patients: u32,
        /// Seed of the drawings.
        seed: u64,
    },
}

/// The bytes of an image's file.
///
/// # Errors
/// What the system says; `PermissionDenied` for a name that leaves its folder, `InvalidInput` for phantoms (which
/// are drawn, not read), `NotFound` past the last image.
pub fn read_image(dataset: &Dataset, host: &dyn Host, index: usize) -> io::Result<Vec<u8>> {
    let image = dataset.images.get(index).ok_or(io::ErrorKind::NotFound)?;
    match &dataset.origin {
        Origin::Files { under } => host.read_beneath(under, &image.name),
        Origin::Phantoms { .. } => Err(io::Error::new(io::ErrorKind::InvalidInput, "phantoms are drawn, not read")),
    }
}

/// Images of each class.
#[must_use]
pub fn class_counts(dataset: &Dataset) -> Vec<u32> {
    let mut counts = vec![0; dataset.classes.len()];
    for image in &dataset.images {
        if let Some(count) = counts.get_mut(image.label as usize) {
            *count += 1;
        }
    }
    counts
}

/// Images and patients of some images, given by their indices, in all and a class.
#[must_use]
pub fn portion(dataset: &Dataset, indices: &[usize]) -> Portion {
    let classes = dataset.classes.len();
    let mut class_images = vec![0_u32; classes];
    let mut class_patients = vec![0_u32; classes];
    // (patient, class) once each, sorted, so that both counts fall out of one walk.
    let mut pairs = Vec::with_capacity(indices.len());
    for image in indices.iter().filter_map(|index| dataset.images.get(*index)) {
        if let Some(count) = class_images.get_mut(image.label as usize) {
            *count += 1;
        }
        pairs.push((image.patient, image.label));
    }
    let images = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
    pairs.sort_unstable();
    pairs.dedup();
    for (_, label) in &pairs {
        if let Some(count) = class_patients.get_mut(*label as usize) {
            *count += 1;
        }
    }
    pairs.dedup_by_key(|(patient, _)| *patient);
    Portion { images, patients: u32::try_from(pairs.len()).unwrap_or(u32::MAX), class_images, class_patients }
}
