//! Digests of what is long in a key: which images there are, which a fold sees. Each is made once, whatever number of steps has it.

use std::collections::BTreeMap;
use std::ptr::from_ref;

use serde::Serialize;

use super::{Inputs, Key};
use crate::leakage::watches_reported_fold;
use crate::split::Folds;
use crate::study::Study;

/// A fold's images.
#[derive(Clone)]
pub(super) struct Seen {
    /// Of those that training sees, with their labels: learned from, then watched.
    pub(super) trained: Key,
    /// How many are learned from.
    pub(super) learned: usize,
    /// How many are watched.
    pub(super) watched: usize,
    /// Of those that are scored.
    pub(super) scored: Key,
    /// How many are scored.
    pub(super) scores: usize,
}

/// What was digested, by where it lies: variants share their inputs and their folds.
#[derive(Default)]
pub(super) struct Digests {
    images: BTreeMap<usize, Key>,
    seen: BTreeMap<(usize, usize, u32, [bool; 2]), Seen>,
}

fn digest(of: &impl Serialize) -> Key {
    // Numbers, strings and lists of them are JSON without fail.
    Key::of(&serde_json::to_vec(of).unwrap_or_default())
}

fn place<T>(of: &T) -> usize {
    from_ref(of).addr()
}

impl Digests {
    /// Of the bytes of all images.
    pub(super) fn images(&mut self, inputs: &Inputs) -> Key {
        self.images.entry(place(inputs)).or_insert_with(|| digest(&inputs.images)).clone()
    }

    /// Of what a fold of a study sees and scores, and nothing else: whoever is only scored does not enter its training.
    pub(super) fn seen(&mut self, study: &Study, inputs: &Inputs, folds: &Folds, fold: u32) -> Seen {
        let asks = [watches_reported_fold(study), study.evaluate.operating.is_empty()];
        let asked = (place(inputs), place(folds), fold, asks);
        let made = self.seen.entry(asked).or_insert_with(|| {
            let roles = folds.roles(fold);
            let label = |image: &usize| (*image, inputs.labels.get(*image).copied().unwrap_or_default());
            let watched = roles.watched(study);
            let trained: Vec<(usize, u32)> = roles.train.iter().chain(watched).map(label).collect();
            let scored: Vec<usize> = roles.scored(study).collect();
            Seen {
                trained: digest(&trained),
                learned: roles.train.len(),
                watched: watched.len(),
                scored: digest(&scored),
                scores: scored.len(),
            }
        });
        made.clone()
    }
}
