//! Which images are copies of each other, exactly or nearly, across patients and labels.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::images::fingerprint::{Fingerprint, LEAST_CORRELATION, MOST_BITS};

/// Two images that show the same, by their places, `first < second`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Copies {
    /// The one that comes first.
    pub first: usize,
    /// The other one.
    pub second: usize,
    /// Are all pixels the same?
    pub exact: bool,
    /// Correlation of the two, 1 if exact.
    pub correlation: f64,
}

/// All pairs of copies among images; `None` stands for an image that could not be read. Of a set of `n` pictures with
/// the same pixels, the first is paired with each of the others.
///
/// Every picture is compared with every other: 2,000 take some 3 ms on one core, 100,000 some 10 s.
#[must_use]
pub fn copies(fingerprints: &[Option<Fingerprint>]) -> Vec<Copies> {
    let mut sets: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (at, print) in fingerprints.iter().enumerate() {
        if let Some(print) = print {
            sets.entry(print.pixels).or_default().push(at);
        }
    }
    let mut pairs = Vec::new();
    // one of each set is compared with the others
    let mut firsts: Vec<(usize, &Fingerprint)> = Vec::new();
    for set in sets.values() {
        let Some((first, others)) = set.split_first() else { continue };
        pairs.extend(others.iter().map(|at| Copies { first: *first, second: *at, exact: true, correlation: 1.0 }));
        firsts.extend(fingerprints.get(*first).and_then(Option::as_ref).map(|print| (*first, print)));
    }
    firsts.sort_unstable_by_key(|(at, _)| *at);
    // beside each other in memory, since this is read n times
    let gradients: Vec<[u64; 4]> = firsts.iter().map(|(_, print)| print.gradients).collect();
    let near: Vec<Copies> = (0..firsts.len())
        .into_par_iter()
        .flat_map_iter(|one| {
            let (firsts, gradients) = (&firsts, &gradients);
            let mine = gradients.get(one).copied().unwrap_or_default();
            let others = gradients.iter().enumerate().skip(one + 1);
            let alike = others.filter(move |(_, other)| differing(&mine, other) <= MOST_BITS).map(|(other, _)| other);
            alike.filter_map(move |other| {
                let ((first, a), (second, b)) = (firsts.get(one)?, firsts.get(other)?);
                let correlation = a.correlation(b);
                let copy = Copies { first: *first, second: *second, exact: false, correlation };
                (correlation >= LEAST_CORRELATION).then_some(copy)
            })
        })
        .collect();
    pairs.extend(near);
    pairs.sort_unstable_by_key(|pair| (pair.first, pair.second));
    pairs
}

fn differing(one: &[u64; 4], other: &[u64; 4]) -> u32 {
    one.iter().zip(other).map(|(one, other)| (one ^ other).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Pixels;
    use crate::images::decode::Kind;

    /// A picture of a number; numbers that differ in the last digit show nearly the same.
    #[expect(clippy::unnecessary_wraps, reason = "as `copies` takes them")]
    fn print(number: usize) -> Option<Fingerprint> {
        let scene = number / 10;
        let level = |at: usize| (at % 24 * (scene * 7 + 3) + at / 24 * (scene * 5 + 11)) % 200 + number % 10;
        let data = (0..24 * 24).map(|at| u8::try_from(level(at)).unwrap_or(255)).collect();
        let kind = Kind { width: 24, height: 24, channels: 1, bits: 8 };
        Some(Fingerprint::of_pixels(kind, &Pixels { width: 24, height: 24, channels: 1, data }))
    }

    #[test]
    fn exact_and_near_copies_are_paired_once() {
        let prints = [print(10), print(20), None, print(10), print(12), print(30), print(20), print(10)];
        let pairs: Vec<(usize, usize, bool)> =
            copies(&prints).iter().map(|pair| (pair.first, pair.second, pair.exact)).collect();
        assert_eq!(pairs, [(0, 3, true), (0, 4, false), (0, 7, true), (1, 6, true)]);
        assert!(copies(&[]).is_empty() && copies(&[None, None]).is_empty());
    }
}
