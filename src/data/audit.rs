//! Which image files hold the same bytes: E0206 when they belong to two patients.
//!
//! Reads only files that have exactly the size of another one.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::diag::Problems;
use crate::host::Host;
use crate::study::Places;

use super::{Dataset, Origin, read_image};

/// Two images with the same bytes, by their indices, `first < second`, of different patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The one that comes first in the table.
    pub first: usize,
    /// The other one.
    pub second: usize,
}

/// All images whose bytes also belong to another patient, in the table's order: the first image of each set of
/// identical ones, paired with the first image of each further patient in the set.
///
/// Files that cannot be read are passed over: reading them for training tells it.
#[must_use]
pub fn identical(dataset: &Dataset, host: &dyn Host) -> Vec<Pair> {
    let Origin::Files { under } = &dataset.origin else { return Vec::new() };
    let sizes: Vec<Option<u64>> =
        dataset.images.par_iter().map(|image| host.stat(&under.join(&image.name)).ok().map(|stat| stat.size)).collect();
    let mut by_size: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, size) in sizes.iter().enumerate().filter_map(|(index, size)| Some((index, (*size)?))) {
        by_size.entry(size).or_default().push(index);
    }
    let candidates: Vec<usize> =
        by_size.into_values().filter(|same| several_patients(dataset, same)).flatten().collect();
    let digests: Vec<Option<[u8; 32]>> = candidates
        .par_iter()
        .map(|index| read_image(dataset, host, *index).ok().map(|bytes| *blake3::hash(&bytes).as_bytes()))
        .collect();
    let mut by_digest: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (index, digest) in candidates.iter().zip(digests).filter_map(|(index, digest)| Some((*index, digest?))) {
        by_digest.entry(digest).or_default().push(index);
    }
    let mut pairs: Vec<Pair> = by_digest.into_values().flat_map(|same| pairs_in(dataset, same)).collect();
    pairs.sort_unstable();
    pairs
}

fn patient(dataset: &Dataset, index: usize) -> Option<u32> {
    dataset.images.get(index).map(|image| image.patient)
}

fn several_patients(dataset: &Dataset, same: &[usize]) -> bool {
    same.split_first()
        .is_some_and(|(first, rest)| rest.iter().any(|other| patient(dataset, *other) != patient(dataset, *first)))
}

fn pairs_in(dataset: &Dataset, mut same: Vec<usize>) -> Vec<Pair> {
    same.sort_unstable();
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
