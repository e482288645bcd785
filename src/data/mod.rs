//! Rows become images of patients: read a table, filter, label, group and limit it.
//!
//! [`Dataset`] is what everything after works on: images in the table's order, each with its patient and class.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
