//! Patients become folds: a data set and `split { ... }` give each image its fold and its role.
//!
//! First whole patients are set aside as hold-out, then the rest is dealt into folds, then each fold's training
//! patients lose a share to inner validation. Everything is a function of the data set, the split and the seed.
//! Nothing here trusts itself: [`assert_disjoint`] compares the materialised patients before a fold trains.

mod balance;
mod disjoint;
mod greedy;
pub mod mt19937;
mod portion;
mod scikit;
mod stratified_group;
mod table;

pub use balance::{Balance, balance};
pub use disjoint::{Leak, Role, assert_disjoint, compare};
pub use scikit::{group_k_fold, k_fold, ranks, stratified_k_fold};
pub use stratified_group::stratified_group;
pub use table::{csv, method, table, text_table};

use std::fmt;

use crate::data::Dataset;
use crate::draw::Stage;
use crate::study::{CrossValidation, FoldKind, Split, Study};

/// Why images cannot be dealt as asked. `check` refuses these studies first, with their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitError {
    /// Cross-validation with one fold or none.
    FewerThanTwoFolds {
        /// Folds asked.
        folds: u32,
    },
    /// More folds than rows.
    TooFewRows {
        /// Rows to deal.
        rows: u32,
        /// Folds asked.
        folds: u32,
    },
    /// More folds than patients.
    TooFewPatients {
        /// Patients to deal.
        patients: u32,
        /// Folds asked.
        folds: u32,
    },
    /// No class has a row for every fold.
    TooFewInEveryClass {
        /// Rows of the largest class.
        largest: u32,
        /// Folds asked.
        folds: u32,
    },
    /// `folds_from`, but the data set was read without its column.
    NoGivenFolds,
    /// A given fold lost all its patients to the hold-out.
    EmptyFold {
        /// The fold, from 0.
        fold: u32,
    },
    /// An image names a patient or a class that the data set does not have.
    Inconsistent {
        /// The image.
        image: String,
    },
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewerThanTwoFolds { folds } => write!(f, "cross-validation needs at least 2 folds, not {folds}"),
            Self::TooFewRows { rows, folds } => write!(f, "{rows} images cannot fill {folds} folds"),
            Self::TooFewPatients { patients, folds } => write!(f, "{patients} patients cannot fill {folds} folds"),
            Self::TooFewInEveryClass { largest, folds } => {
                write!(f, "no class has an image for each of {folds} folds: the largest has {largest}")
            }
            Self::NoGivenFolds => write!(f, "the table's folds were not read"),
            Self::EmptyFold { fold } => write!(f, "fold {fold} has no patient left beside the hold-out"),
            Self::Inconsistent { image } => write!(f, "the image `{image}` names no known patient or class"),
        }
    }
}

impl std::error::Error for SplitError {}

/// Where each image of a data set belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    /// How many folds there are.
    pub count: u32,
    /// The fold of each image of the data set, from 0; `None` is the hold-out.
    pub fold: Vec<Option<u32>>,
    /// `validation[k][image]`: is it in the inner validation when fold `k` is scored?
    pub validation: Vec<Vec<bool>>,
}

/// What each image does while one fold is trained and scored; indexes into the data set's images, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// The fold that is scored, from 0.
    pub fold: u32,
    /// Learned from.
    pub train: Vec<usize>,
    /// Looked at by early stopping and plateau.
    pub validation: Vec<usize>,
    /// Scored.
    pub evaluation: Vec<usize>,
    /// Kept out of every fold.
    pub holdout: Vec<usize>,
}

/// The first of these folds whose training lacks a class that the data set has, and that class.
#[must_use]
pub fn untaught(dataset: &Dataset, folds: &Folds, trained: &[u32]) -> Option<(u32, String)> {
    trained.iter().copied().find_map(|fold| {
        let mut taught = vec![false; dataset.classes.len()];
        for image in folds.roles(fold).train {
            let label = dataset.images.get(image).map(|image| image.label as usize);
            if let Some(taught) = label.and_then(|label| taught.get_mut(label)) {
                *taught = true;
            }
        }
        let class = taught.iter().position(|taught| !taught).and_then(|class| dataset.classes.get(class))?;
        Some((fold, class.clone()))
    })
}

impl Roles {
    /// What training looks at after each epoch: its inner validation images or, in a study that accepts that leak, the
    /// reported fold.
    #[must_use]
    pub fn watched(&self, study: &Study) -> &[usize] {
        if crate::leakage::watches_reported_fold(study) { &self.evaluation } else { &self.validation }
    }
}

impl Roles {
    /// Everybody of whom the fold's network says something, in this order: the fold, the hold-out and, where thresholds
    /// are asked for, the inner validation images that choose them.
    pub fn scored(&self, study: &Study) -> impl Iterator<Item = usize> {
        let choose = if study.evaluate.operating.is_empty() { &[][..] } else { &self.validation };
        self.evaluation.iter().chain(&self.holdout).chain(choose).copied()
    }
}

impl Folds {
    /// The roles of all images while fold `fold` (from 0) is scored.
    #[must_use]
    pub fn roles(&self, fold: u32) -> Roles {
        let validation = self.validation.get(fold as usize);
        let mut roles =
            Roles { fold, train: Vec::new(), validation: Vec::new(), evaluation: Vec::new(), holdout: Vec::new() };
        for (image, place) in self.fold.iter().enumerate() {
            let looked_at = validation.and_then(|flags| flags.get(image)).copied().unwrap_or(false);
            match place {
                None => roles.holdout.push(image),
                Some(k) if *k == fold => roles.evaluation.push(image),
                Some(_) if looked_at => roles.validation.push(image),
                Some(_) => roles.train.push(image),
            }
        }
        roles
    }
}

/// Deals a data set: hold-out, folds, and each fold's inner validation.
///
/// `seed` is the study's; `cv`'s own seed, where written, governs the shuffle of the folds alone.
///
/// # Errors
/// See [`SplitError`].
pub fn deal(split: &Split, dataset: &Dataset, seed: u64) -> Result<Folds, SplitError> {
    consistent(dataset)?;
    let all: Vec<usize> = (0..dataset.images.len()).collect();
    let asked = match split.cv.kind {
        FoldKind::FoldsFrom(_) => given(dataset)?.iter().max().map_or(0, |fold| fold + 1),
        FoldKind::KFold | FoldKind::StratifiedKFold | FoldKind::GroupKFold | FoldKind::StratifiedGroupKFold => {
            split.cv.folds
        }
    };
    let holdout = portion::Draw { share: split.holdout, keep: asked as usize, seed, stage: Stage::Holdout, epoch: 0 };
    let held: Vec<bool> = if let Some(given) = &dataset.given_holdout {
        given.clone()
    } else {
        let drawn = holdout.from(dataset, &all);
        all.iter().map(|image| drawn.contains(dataset, *image)).collect()
    };
    let rest: Vec<usize> = all.into_iter().filter(|image| held.get(*image) != Some(&true)).collect();

    let mut fold = vec![None; dataset.images.len()];
    for (image, place) in rest.iter().zip(cross_validate(&split.cv, asked, dataset, &rest, seed)?) {
        fold[*image] = Some(place);
    }
    let validation = (0..asked)
        .map(|k| {
            let learning: Vec<usize> = rest.iter().copied().filter(|image| fold[*image] != Some(k)).collect();
            let draw = portion::Draw { share: split.validation, keep: 1, seed, stage: Stage::Validation, epoch: k };
            let drawn = draw.from(dataset, &learning);
            let mut flags = vec![false; dataset.images.len()];
            for image in learning {
                flags[image] = drawn.contains(dataset, image);
            }
            flags
        })
        .collect();
    Ok(Folds { count: asked, fold, validation })
}

/// The fold of each image of `rest`.
fn cross_validate(
    cv: &CrossValidation,
    folds: u32,
    dataset: &Dataset,
    rest: &[usize],
    seed: u64,
) -> Result<Vec<u32>, SplitError> {
    let shuffle = cv.shuffle.then(|| cv.seed.unwrap_or(seed));
    let labels = || -> Vec<u32> { rest.iter().map(|image| dataset.images[*image].label).collect() };
    let groups = || -> Vec<u32> {
        let ranks = ranks(&dataset.patients);
        rest.iter().map(|image| ranks[dataset.images[*image].patient as usize]).collect()
    };
    match &cv.kind {
        FoldKind::KFold => k_fold(rest.len(), folds, shuffle),
        FoldKind::StratifiedKFold => stratified_k_fold(&labels(), folds, shuffle),
        FoldKind::GroupKFold => group_k_fold(&groups(), folds, shuffle),
        FoldKind::StratifiedGroupKFold => stratified_group(&labels(), &groups(), folds, shuffle),
        FoldKind::FoldsFrom(_) => {
            let given = given(dataset)?;
            let kept: Vec<u32> = rest.iter().map(|image| given[*image]).collect();
            match (0..folds).find(|fold| !kept.contains(fold)) {
                Some(fold) => Err(SplitError::EmptyFold { fold }),
                None if folds < 2 => Err(SplitError::FewerThanTwoFolds { folds }),
                None => Ok(kept),
            }
        }
    }
}

/// The folds of the table, one an image.
fn given(dataset: &Dataset) -> Result<&[u32], SplitError> {
    match &dataset.given_folds {
        Some(folds) if folds.len() == dataset.images.len() => Ok(folds),
        Some(_) | None => Err(SplitError::NoGivenFolds),
    }
}

/// Do all indexes of the data set point at something? After this they are used without asking again.
fn consistent(dataset: &Dataset) -> Result<(), SplitError> {
    let (patients, classes) = (dataset.patients.len(), dataset.classes.len());
    let wrong = |image: &&crate::data::Image| image.patient as usize >= patients || image.label as usize >= classes;
    match dataset.images.iter().find(wrong) {
        Some(image) => Err(SplitError::Inconsistent { image: image.name.clone() }),
        None => Ok(()),
    }
}
