//! Which images hold the same bytes: E0206 when they belong to two patients.

use std::collections::BTreeMap;

use crate::diag::Problems;
use crate::study::Places;

use super::Dataset;

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
