//! What is kept of a run: a pure, versioned value from which every report is made.
//!
//! The same study on the same bytes gives the same record: there is no clock, no host name and no absolute
//! path in it. (Times stand in the run's manifest.) Exec makes it, `report` reads it.

use serde::{Deserialize, Serialize};

use crate::data::FlowStep;
use crate::study::Study;

/// Version of the format; a reader refuses what is newer than itself.
pub const RECORD_VERSION: u32 = 1;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// Version of `pipe` that made it.
    pub pipe_version: String,
    /// Content key of the whole study, 64 hex digits.
    pub key: String,
    /// The study with every default filled in.
    pub study: Study,
    /// Class names in the order of the outputs.
    pub classes: Vec<String>,
    /// Are the images drawn by us (phantoms)?
    pub synthetic: bool,
    /// What each step of reading left.
    pub flow: Vec<FlowStep>,
    /// Who is in which fold.
    pub split: SplitTable,
    /// What it ran on.
    pub environment: Environment,
    /// One a trained fold, in order of fold.
    pub folds: Vec<FoldRecord>,
    /// Figures over the out-of-fold table.
    pub evaluation: Evaluation,
    /// The warnings of the check, as `W0502 sentence`.
    pub warnings: Vec<String>,
}

/// What it ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// `cpu`, `cuda(0)`.
    pub device: String,
    /// Worker threads.
    pub threads: u32,
    /// Operating system and processor architecture, `linux x86_64`.
    pub platform: String,
    /// sha256 of the weights file the training started from, if any.
    pub weights_sha256: Option<String>,
}

/// Who is in which fold, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitTable {
    /// `stratified_group_kfold(5)`.
    pub method: String,
    /// One a fold, from 0.
    pub folds: Vec<Portion>,
    /// The hold-out, if there is one.
    pub holdout: Option<Portion>,
    /// The roles within each trained fold.
    pub roles: Vec<FoldRoles>,
    /// Largest difference over classes and folds between a fold's share of a class and 1/folds, 0..1.
    pub worst_imbalance: String,
}

/// A set of whole patients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Portion {
    /// Images.
    pub images: u32,
    /// Patients.
    pub patients: u32,
    /// Images of each class.
    pub class_images: Vec<u32>,
    /// Patients with at least one image of each class.
    pub class_patients: Vec<u32>,
}

/// What was asserted on the materialised patient ids before a fold trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldRoles {
    /// Fold, from 0.
    pub fold: u32,
    /// Learned from.
    pub train: Portion,
    /// Looked at by early stopping and plateau.
    pub validation: Portion,
    /// Scored.
    pub evaluation: Portion,
    /// Pairs of roles that were compared; each shared no patient.
    pub disjoint: Vec<String>,
    /// Patients in all roles and the hold-out together; equal to the data set's.
    pub union_patients: u32,
}

/// One trained fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldRecord {
    /// Fold, from 0.
    pub fold: u32,
    /// One an epoch.
    pub epochs: Vec<EpochRecord>,
    /// The epoch whose weights were kept, from 1.
    pub kept_epoch: u32,
    /// Why training ended before `epochs`, if it did.
    pub stopped: Option<String>,
    /// blake3 of the fold's model file.
    pub model_blake3: String,
}

/// One pass over the training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: u32,
    /// At the epoch's last step.
    pub learning_rate: f64,
    /// Mean over the training images of the whole loss.
    pub train_loss: f64,
    /// Mean of each term before its weight, in the order of the study's loss.
    pub train_terms: Vec<f64>,
    /// Figures on the inner validation patients, if there are any.
    pub validation: Option<ValidationFigures>,
}

/// What training may look at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ValidationFigures {
    /// The whole loss.
    pub loss: f64,
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean recall.
    pub balanced_accuracy: f64,
    /// Mean F1.
    pub macro_f1: f64,
}

/// One row of `predictions.csv`: an image that was scored by a network that never saw its patient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The image as the table names it.
    pub image: String,
    /// Patient.
    pub patient: String,
    /// Fold whose network scored it; `None` for the hold-out, scored by the mean of all folds' networks.
    pub fold: Option<u32>,
    /// Index into the classes.
    pub label: u32,
    /// One a class, adds up to 1.
    pub probabilities: Vec<f32>,
}

/// Every figure of a run. A function of the predictions alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Out-of-fold images, each counted once.
    pub image: Figures,
    /// Out-of-fold patients: mean probability over a patient's images of one label.
    pub patient: Figures,
    /// Image-level figures of each trained fold by itself.
    pub per_fold: Vec<FoldFigures>,
    /// Patient-level figures of each trained fold by itself.
    pub per_fold_patient: Vec<FoldFigures>,
}

/// Figures of one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldFigures {
    /// Fold, from 0.
    pub fold: u32,
    /// Its figures.
    pub figures: Figures,
}

/// Figures over a set of scored units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Units scored.
    pub count: u32,
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean recall over the classes that occur.
    pub balanced_accuracy: f64,
    /// Mean F1 over all classes, pooled counts (scikit-learn's `macro`, `zero_division = 0`).
    pub macro_f1: f64,
    /// Mean one-against-rest AUROC over the classes for which it is defined; `None` if there is none.
    pub auroc: Option<f64>,
    /// Mean negative log-probability of the true class.
    pub log_loss: f64,
    /// Expected calibration error, 15 equal bins of the top probability.
    pub ece: f64,
    /// `confusion[true][predicted]`.
    pub confusion: Vec<Vec<u32>>,
    /// One a class.
    pub classes: Vec<ClassFigures>,
    /// Calibration bins that hold something.
    pub calibration: Vec<CalibrationBin>,
}

/// Figures of one class against the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Units whose true class it is.
    pub support: u32,
    /// Share of right ones among those called so; 0 when none is.
    pub precision: f64,
    /// Share found; 0 when there is none.
    pub recall: f64,
    /// Harmonic mean; 0 when both are 0.
    pub f1: f64,
    /// Area under the ROC curve; `None` when one side is empty.
    pub auroc: Option<f64>,
    /// The ROC curve, from (0,0) to (1,1), at most 200 points: (false positive rate, true positive rate).
    pub roc: Vec<(f64, f64)>,
}

/// One bin of the reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Units in it.
    pub count: u32,
    /// Mean top probability.
    pub confidence: f64,
    /// Share of right answers.
    pub accuracy: f64,
}
