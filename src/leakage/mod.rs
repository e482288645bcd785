//! Leakage as a type error: a study becomes the values of one fold, each with the parts of the data it has seen.
//!
//! For one outer fold the patients fall into four [`Part`]s. [`flow::of`] lays out what is computed: the prepared
//! images, what is fitted and to whom (by [`crate::catalog::effects`]), the network, its predictions, the scores.
//! [`Flow::seen`] is what influenced a value beyond the image itself; a score on a part is clean exactly if its
//! predictor has not seen that part, nor a part that shares patients with it. Every leak names the fit and the score.
//! Nothing here knows a single rule by heart, and nothing here looks at a file.

mod explain;
pub mod flow;
mod shared;
mod tell;

pub use explain::Explained;
pub use shared::Facts;
pub use tell::{Context, tell};

use std::fmt;

use crate::study::Study;

/// A part of the patients while one fold is trained and scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Learned from.
    Train,
    /// Looked at while learning.
    Validation,
    /// The fold that is scored.
    Evaluation,
    /// Kept out of every fold.
    Holdout,
}

impl Part {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Train, Self::Validation, Self::Evaluation, Self::Holdout];

    /// As the record calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Evaluation => "evaluation",
            Self::Holdout => "hold-out",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Train => 1,
            Self::Validation => 2,
            Self::Evaluation => 4,
            Self::Holdout => 8,
        }
    }
}

/// A set of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts(u8);

impl Parts {
    /// No part.
    pub const NONE: Self = Self(0);

    /// Everybody who is in a fold.
    #[must_use]
    pub const fn all_but_holdout() -> Self {
        Self(1 | 2 | 4)
    }

    /// These parts.
    #[must_use]
    pub fn of(parts: &[Part]) -> Self {
        Self(parts.iter().fold(0, |bits, part| bits | part.bit()))
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Is the part in it?
    #[must_use]
    pub fn has(self, part: Part) -> bool {
        self.0 & part.bit() != 0
    }

    /// Do the sets have a part in common?
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Is no part in it?
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The parts in it, in their order.
    pub fn iter(self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(move |part| self.has(*part))
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nobody");
        }
        let names: Vec<&str> = self.iter().map(Part::name).collect();
        f.write_str(&names.join(", "))
    }
}

/// What a value is; decides in which words its leak is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The images of a part, prepared each by itself.
    Images(Part),
    /// Random changes of training images.
    Augmented,
    /// A mean and a deviation over images.
    Statistic,
    /// Weights of classes, or how often each is drawn.
    Balance,
    /// The weights that training starts from.
    FirstWeights,
    /// The learning rate of each epoch.
    Rate,
    /// When training ends.
    Stop,
    /// Which epoch is kept.
    Epoch,
    /// The trained network.
    Network,
    /// What the network says of the images of a part.
    Predictions(Part),
    /// From which probability on a class counts as found.
    Threshold,
    /// The classes that are found in the images of a part.
    Found(Part),
    /// Images drawn again as if each were its own patient.
    Drawn,
    /// Which of several variants is the best.
    Winner,
}

/// One value of a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub what: What,
    /// In a few words, `early stopping`.
    pub name: String,
    /// The setting it comes from, as in [`crate::study::Places`].
    pub setting: &'static str,
    /// The parts that it is fitted to.
    pub over: Parts,
    /// The values it is made of, as indices; each is smaller than its own.
    pub inputs: Vec<usize>,
}

/// A figure that is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// In a few words.
    pub name: &'static str,
    /// The value that is scored.
    pub predictor: usize,
    /// Whose images it is scored on.
    pub on: Part,
}

/// Why two sets of parts may hold the same patients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bond {
    /// Nobody knows who the patients are.
    NoPatients,
    /// The split deals single images.
    ByImage,
    /// The table's folds put these patients into several.
    GivenFolds(Vec<String>),
    /// The table's hold-out holds these patients, and so do the folds.
    GivenHoldout(Vec<String>),
}

/// Two sets of parts that may hold the same patients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// One set.
    pub one: Parts,
    /// The other.
    pub other: Parts,
    /// Why.
    pub bond: Bond,
}

/// Everything that is computed for one fold, and which of its parts share patients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flow {
    /// Each after its inputs.
    pub values: Vec<Value>,
    /// What is reported.
    pub scores: Vec<Score>,
    /// Parts that are not told apart by patient.
    pub sharing: Vec<Sharing>,
}

/// A score whose predictor has seen whom it is scored on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The value that was fitted to them.
    pub fit: usize,
    /// From the fit to the predictor, both included.
    pub path: Vec<usize>,
    /// The score, as an index into the flow's.
    pub score: usize,
    /// The sharing through which the fit has seen them, as an index; `None`: it was fitted to that very part.
    pub through: Option<usize>,
}

impl Flow {
    /// The parts that influenced a value beyond the image itself.
    #[must_use]
    pub fn seen(&self, value: usize) -> Parts {
        let Some(held) = self.values.get(value) else { return Parts::NONE };
        held.inputs.iter().fold(held.over, |seen, input| seen.with(self.seen(*input)))
    }

    /// Every leak: of each fit that a score depends on, at most one of its own and one through each sharing.
    #[must_use]
    pub fn leaks(&self) -> Vec<Leak> {
        let mut leaks = Vec::new();
        for (index, score) in self.scores.iter().enumerate() {
            let on = Parts::of(&[score.on]);
            for path in self.fits(score.predictor) {
                let Some(fit) = path.first().copied() else { continue };
                let over = self.values.get(fit).map_or(Parts::NONE, |value| value.over);
                if over.meets(on) {
                    leaks.push(Leak { fit, path, score: index, through: None });
                    continue;
                }
                for (through, sharing) in self.sharing.iter().enumerate() {
                    let reaches = (sharing.one.meets(on) && sharing.other.meets(over))
                        || (sharing.other.meets(on) && sharing.one.meets(over));
                    if reaches {
                        leaks.push(Leak { fit, path: path.clone(), score: index, through: Some(through) });
                    }
                }
            }
        }
        leaks
    }

    /// One path from each fitted value that a value depends on, in order of the values.
    fn fits(&self, value: usize) -> Vec<Vec<usize>> {
        // Towards the value asked for: who was reached from whom. Inputs come before what is made of them, so one
        // walk down the indices meets every value after all that depend on it.
        let mut next: Vec<Option<usize>> = vec![None; self.values.len()];
        let mut reached = vec![false; self.values.len()];
        if let Some(reached) = reached.get_mut(value) {
            *reached = true;
        }
        for index in (0..=value).rev() {
            if reached.get(index) != Some(&true) {
                continue;
            }
            for input in self.values.get(index).into_iter().flat_map(|value| &value.inputs) {
                if let (Some(reached), Some(next)) = (reached.get_mut(*input), next.get_mut(*input)) {
                    *reached = true;
                    next.get_or_insert(index);
                }
            }
        }
        let fitted = |index: &usize| {
            reached.get(*index) == Some(&true) && self.values.get(*index).is_some_and(|value| !value.over.is_empty())
        };
        (0..self.values.len())
            .filter(fitted)
            .map(|fit| {
                std::iter::successors(Some(fit), |at| next.get(*at).copied().flatten().filter(|_| *at != value))
                    .collect()
            })
            .collect()
    }
}

/// Do thresholds come from the reported fold, because the study accepts that it leaks and sets no patients aside?
#[must_use]
pub fn thresholds_of_reported_fold(study: &Study) -> bool {
    study.evaluate.leak.is_some() && study.split.validation <= 0.0 && !study.evaluate.operating.is_empty()
}

/// Does training look at the reported fold, because the study accepts that it leaks and sets no patients aside?
#[must_use]
pub fn watches_reported_fold(study: &Study) -> bool {
    study.evaluate.leak.is_some() && study.split.validation <= 0.0 && flow::watches(study)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(over: &[Part], inputs: &[usize]) -> Value {
        Value { what: What::Network, name: String::new(), setting: "", over: Parts::of(over), inputs: inputs.to_vec() }
    }

    #[test]
    fn what_was_seen_is_all_that_was_seen_on_the_way() {
        let flow = Flow {
            values: vec![
                value(&[], &[]),
                value(&[Part::Train], &[0]),
                value(&[Part::Validation], &[]),
                value(&[], &[1, 2]),
            ],
            scores: vec![Score { name: "", predictor: 3, on: Part::Evaluation }],
            sharing: vec![],
        };
        assert_eq!(flow.seen(3), Parts::of(&[Part::Train, Part::Validation]));
        assert!(flow.leaks().is_empty());
        assert_eq!(flow.seen(3).to_string(), "train, validation");
    }

    #[test]
    fn the_winner_is_told_where_it_was_not_chosen() {
        let flow = Flow {
            values: vec![value(&[Part::Train], &[])],
            scores: vec![Score { name: "", predictor: 0, on: Part::Evaluation }],
            sharing: vec![],
        };
        assert!(flow::headline(&mut flow.clone(), false));
        assert!(!flow::headline(&mut flow.clone(), true));
    }

    #[test]
    fn a_leak_names_the_fit_and_the_way_it_came() {
        let mut flow = Flow {
            values: vec![value(&[Part::Evaluation], &[]), value(&[], &[0]), value(&[Part::Train], &[1])],
            scores: vec![Score { name: "", predictor: 2, on: Part::Evaluation }],
            sharing: vec![],
        };
        let leaks = flow.leaks();
        assert_eq!(leaks, [Leak { fit: 0, path: vec![0, 1, 2], score: 0, through: None }]);
        flow.sharing = vec![Sharing {
            one: Parts::of(&[Part::Evaluation]),
            other: Parts::of(&[Part::Train]),
            bond: Bond::ByImage,
        }];
        // What is fitted to the scored part itself is told once, not again through the sharing.
        assert_eq!(
            flow.leaks().iter().map(|leak| (leak.fit, leak.through)).collect::<Vec<_>>(),
            [(0, None), (2, Some(0))]
        );
    }
}
