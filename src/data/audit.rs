//! Which images hold the same bytes: E0206 when they belong to two patients, W0207 when they carry two labels.

use std::collections::BTreeMap;

use crate::diag::Problems;
use crate::study::Places;

use super::Dataset;
use super::duplicates::Copies;

/// Two images with the same bytes, by their indices, `first < second`, of different patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The one that comes first in the table.
    pub first: usize,
    /// The other one.
    pub second: usize,
}

/// All images whose bytes also belong to another patient, in the table's order: the first image of each set of
/// identical ones, paired with the first image of each further patient in the set. `digests` has one entry an image.
#[must_use]
pub fn identical<D: Ord>(dataset: &Dataset, digests: &[D]) -> Vec<Pair> {
    let mut by_digest: BTreeMap<&D, Vec<usize>> = BTreeMap::new();
    for (index, digest) in digests.iter().enumerate() {
        by_digest.entry(digest).or_default().push(index);
    }
    let mut pairs: Vec<Pair> = by_digest.into_values().flat_map(|same| pairs_in(dataset, &same)).collect();
    pairs.sort_unstable();
    pairs
}

/// As [`identical`], of one patient and different labels.
#[must_use]
pub fn doubted<D: Ord>(dataset: &Dataset, digests: &[D]) -> Vec<Pair> {
    let mut first: BTreeMap<(&D, Option<u32>), usize> = BTreeMap::new();
    let mut pairs = Vec::new();
    let label = |index: usize| dataset.images.get(index).map(|image| image.label);
    for (index, digest) in digests.iter().enumerate() {
        let before = *first.entry((digest, patient(dataset, index))).or_insert(index);
        if label(before) != label(index) {
            pairs.push(Pair { first: before, second: index });
        }
    }
    pairs.sort_unstable();
    pairs
}

fn patient(dataset: &Dataset, index: usize) -> Option<u32> {
    dataset.images.get(index).map(|image| image.patient)
}

fn pairs_in(dataset: &Dataset, same: &[usize]) -> Vec<Pair> {
    let Some((first, rest)) = same.split_first() else { return Vec::new() };
    let mut met = vec![patient(dataset, *first)];
    let mut pairs = Vec::new();
    for second in rest {
        let of = patient(dataset, *second);
        if !met.contains(&of) {
            met.push(of);
            pairs.push(Pair { first: *first, second: *second });
        }
    }
    pairs
}

/// Tells of identical files (E0206); the first pair by name, the others by their number.
pub fn tell(dataset: &Dataset, pairs: &[Pair], places: &Places, problems: &mut Problems) {
    let Some(pair) = pairs.first() else { return };
    let (Some(first), Some(second)) = (dataset.images.get(pair.first), dataset.images.get(pair.second)) else { return };
    let patient = |number: u32| dataset.patients.get(number as usize).map_or("", String::as_str);
    problems.same_pixels(
        (&first.name, &second.name),
        (patient(first.patient), patient(second.patient)),
        pairs.len() - 1,
        places.nearest("data.group"),
    );
}

/// Tells of identical images with two labels (W0207).
pub fn tell_doubted(dataset: &Dataset, pairs: &[Pair], places: &Places, problems: &mut Problems) {
    let Some(pair) = pairs.first() else { return };
    let (Some(first), Some(second)) = (dataset.images.get(pair.first), dataset.images.get(pair.second)) else { return };
    let label = |number: u32| dataset.classes.get(number as usize).map_or("", String::as_str);
    problems.two_labels(
        (&first.name, &second.name),
        (label(first.label), label(second.label)),
        pairs.len() - 1,
        places.nearest("data.label"),
    );
}

/// Tells of images that show nearly the same and lie in different folds (W0308); `fold` has one entry an image.
pub fn tell_near(dataset: &Dataset, copies: &[Copies], fold: &[Option<u32>], places: &Places, problems: &mut Problems) {
    let apart = |pair: &&Copies| !pair.exact && fold.get(pair.first) != fold.get(pair.second);
    let apart: Vec<&Copies> = copies.iter().filter(apart).collect();
    let Some(pair) = apart.first() else { return };
    let (Some(first), Some(second)) = (dataset.images.get(pair.first), dataset.images.get(pair.second)) else { return };
    let patient = |number: u32| dataset.patients.get(number as usize).map_or("", String::as_str);
    problems.nearly_the_same(
        (&first.name, &second.name),
        (patient(first.patient), patient(second.patient)),
        pair.correlation,
        apart.len() - 1,
        places.nearest("split.cv"),
    );
}
