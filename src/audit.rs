//! A data set and the fingerprints of its images become findings: what is missing, what cannot be read, what is there
//! twice, and what differs in kind from the rest.
//!
//! Pure: reading files and keeping fingerprints is the caller's. Findings are in the table's order.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::data::Dataset;
use crate::data::duplicates::{Copies, copies};
use crate::images::fingerprint::{Fingerprint, correlation};

/// An image looks inverted if it correlates with the mean of all by less than minus this.
const INVERTED: f64 = -0.3;
/// At least half of the images must correlate with the mean by this, or they are not of one kind.
const COMMON: f64 = 0.5;
/// Fewer images than this have no mean worth comparing with.
const MEAN_FROM: usize = 20;

/// Why an image has no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There is no such file.
    Missing,
    /// It cannot be read or decoded; why.
    Unreadable(String),
}

/// An image of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its place in the data set.
    #[serde(skip)]
    pub index: usize,
    /// As the table names it.
    pub image: String,
    /// Line of the table.
    pub row: u32,
    /// Whose it is.
    pub patient: String,
    /// Its class.
    pub label: String,
}

/// Two images that show the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The one that comes first in the table.
    pub first: Named,
    /// The other one.
    pub second: Named,
    /// Are all pixels the same?
    pub exact: bool,
    /// Correlation of small pictures of both.
    pub correlation: f64,
    /// Do they belong to two patients?
    pub two_patients: bool,
    /// Do they carry two labels?
    pub two_labels: bool,
}

/// How many images are of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kinds {
    /// `8-bit grey`.
    pub kind: String,
    /// How many.
    pub images: usize,
    /// One of them.
    pub example: String,
}

/// Everything found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// Images of the study.
    pub images: usize,
    /// Their patients.
    pub patients: usize,
    /// Images without a file.
    pub missing: Vec<Named>,
    /// Images that cannot be read, and why.
    pub unreadable: Vec<(Named, String)>,
    /// Copies, those across patients first.
    pub copies: Vec<Pair>,
    /// Bit depths and channels, the most frequent first.
    pub kinds: Vec<Kinds>,
    /// Widths and heights with how many images have them, the most frequent first.
    pub sizes: Vec<(u32, u32, usize)>,
    /// Images that look like negatives of the others.
    pub inverted: Vec<Named>,
}

impl Audit {
    /// Does anything stand in the way of a run, or may somebody be on both sides of a split?
    #[must_use]
    pub fn has_errors(&self) -> bool {
        !self.missing.is_empty() || !self.unreadable.is_empty() || self.copies.iter().any(|pair| pair.two_patients)
    }
}

/// What the fingerprints say; one for each image of the data set.
#[must_use]
pub fn audit(dataset: &Dataset, prints: Vec<Result<Fingerprint, Failure>>) -> Audit {
    let mut missing = Vec::new();
    let mut unreadable = Vec::new();
    let mut found = Vec::with_capacity(prints.len());
    for (index, print) in prints.into_iter().enumerate() {
        match print {
            Ok(print) => found.push(Some(print)),
            Err(failure) => {
                found.push(None);
                match failure {
                    Failure::Missing => missing.extend(named(dataset, index)),
                    Failure::Unreadable(why) => unreadable.extend(named(dataset, index).map(|image| (image, why))),
                }
            }
        }
    }
    let mut pairs: Vec<Pair> = copies(&found).into_iter().filter_map(|pair| with_names(dataset, pair)).collect();
    pairs.sort_by_key(|pair| (!pair.two_patients, !pair.two_labels, pair.first.index, pair.second.index));
    Audit {
        images: dataset.images.len(),
        patients: dataset.patients.len(),
        missing,
        unreadable,
        copies: pairs,
        kinds: kinds(dataset, &found),
        sizes: sizes(&found),
        inverted: inverted(&found).into_iter().filter_map(|index| named(dataset, index)).collect(),
    }
}

fn named(dataset: &Dataset, index: usize) -> Option<Named> {
    let image = dataset.images.get(index)?;
    Some(Named {
        index,
        image: image.name.clone(),
        row: image.row,
        patient: dataset.patients.get(image.patient as usize).cloned().unwrap_or_default(),
        label: dataset.classes.get(image.label as usize).cloned().unwrap_or_default(),
    })
}

fn with_names(dataset: &Dataset, pair: Copies) -> Option<Pair> {
    let (first, second) = (named(dataset, pair.first)?, named(dataset, pair.second)?);
    Some(Pair {
        two_patients: first.patient != second.patient,
        two_labels: first.label != second.label,
        exact: pair.exact,
        correlation: pair.correlation,
        first,
        second,
    })
}

fn kinds(dataset: &Dataset, prints: &[Option<Fingerprint>]) -> Vec<Kinds> {
    let mut counts: BTreeMap<(u8, u8), (usize, usize)> = BTreeMap::new();
    for (index, print) in prints.iter().enumerate() {
        if let Some(Fingerprint { kind, .. }) = print {
            counts.entry((kind.bits, kind.channels)).or_insert((0, index)).0 += 1;
        }
    }
    let mut kinds: Vec<Kinds> = counts
        .into_iter()
        .map(|((bits, channels), (images, example))| {
            let channels = match channels {
                1 => "grey",
                2 => "grey with alpha",
                3 => "colour",
                _ => "colour with alpha",
            };
            let example = dataset.images.get(example).map(|image| image.name.clone()).unwrap_or_default();
            Kinds { kind: format!("{bits}-bit {channels}"), images, example }
        })
        .collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.images));
    kinds
}

fn sizes(prints: &[Option<Fingerprint>]) -> Vec<(u32, u32, usize)> {
    let mut counts: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for print in prints.iter().flatten() {
        *counts.entry((print.kind.width, print.kind.height)).or_default() += 1;
    }
    let mut sizes: Vec<(u32, u32, usize)> = counts.into_iter().map(|((w, h), n)| (w, h, n)).collect();
    sizes.sort_by_key(|(_, _, images)| std::cmp::Reverse(*images));
    sizes
}

/// Images that correlate with the mean of all as negatives do.
fn inverted(prints: &[Option<Fingerprint>]) -> Vec<usize> {
    let there: Vec<&Fingerprint> = prints.iter().flatten().collect();
    let Some(first) = there.first().filter(|_| there.len() >= MEAN_FROM) else { return Vec::new() };
    let mut sums = vec![0_u64; first.small.len()];
    for print in &there {
        for (sum, level) in sums.iter_mut().zip(&print.small) {
            *sum += u64::from(*level);
        }
    }
    let mean: Vec<u8> = sums.iter().map(|sum| u8::try_from(sum / there.len() as u64).unwrap_or(u8::MAX)).collect();
    let alike: Vec<(usize, f64)> = prints
        .iter()
        .enumerate()
        .filter_map(|(at, print)| Some((at, correlation(&print.as_ref()?.small, &mean))))
        .collect();
    // pictures that have nothing in common have no negatives either
    let common = alike.iter().filter(|(_, with_mean)| *with_mean >= COMMON).count();
    if common * 2 < alike.len() {
        return Vec::new();
    }
    alike.into_iter().filter(|(_, with_mean)| *with_mean < INVERTED).map(|(at, _)| at).collect()
}
