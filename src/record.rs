//! What is kept of a run: a pure, versioned value from which every report is made.
//!
//! The same study on the same bytes gives the same record: there is no clock, no host name and no absolute
//! path in it. (Times stand in the run's manifest.) Exec makes it, `report` reads it.

use serde::{Deserialize, Serialize};

use crate::data::FlowStep;
use crate::study::{Metric, OperatingPoint, Rate, Study, Unit};

/// Version of the format; 2 brought intervals, slices and variants. [`read`] refuses every other one by name.
pub const RECORD_VERSION: u32 = 2;

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

/// A study with several variants: what each came to, and how they compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyRecord {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// Version of `pipe` that made it.
    pub pipe_version: String,
    /// Content key of the whole study with all its variants, 64 hex digits.
    pub key: String,
    /// `study NAME`.
    pub name: String,
    /// What it asks.
    pub question: Option<String>,
    /// What varies, in the order of the `vary` lines.
    pub axes: Vec<Axis>,
    /// The variants that are done, in the order of the file.
    pub variants: Vec<VariantRecord>,
    /// The names of those that are not.
    pub missing: Vec<String>,
    /// `compare { ... }`, if the study has one.
    pub comparison: Option<Comparison>,
    /// `report.headline`, if the study has one and it can be told yet.
    pub leader: Option<Leader>,
}

/// One `vary`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// The setting, `model.backbone`.
    pub path: String,
    /// What its values are called.
    pub labels: Vec<String>,
}

/// One variant that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantRecord {
    /// `resnet18/ce`.
    pub name: String,
    /// Its labels, one an axis.
    pub choices: Vec<String>,
    /// Its run.
    pub record: RunRecord,
}

/// All variants against one of them, on the same out-of-fold patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The variant that the others are held against.
    pub baseline: String,
    /// By which figure.
    pub metric: Metric,
    /// Counted by what.
    pub unit: Unit,
    /// How often the patients were drawn.
    pub draws: u32,
    /// Level of the intervals, 0..1.
    pub level: f64,
    /// `holm` or `none`.
    pub correction: String,
    /// One a variant that is done, without the baseline.
    pub rows: Vec<Compared>,
}

/// One variant against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The variant.
    pub variant: String,
    /// How far it is above the baseline; `None` while the baseline is not done, with other classes, or when the two
    /// share fewer than two patients.
    pub difference: Option<Difference>,
}

/// How far a variant is above the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Its figure minus the baseline's.
    pub difference: f64,
    /// The interval of that.
    pub interval: Interval,
    /// Two-sided p value of the paired bootstrap.
    pub p: f64,
    /// The same, corrected for the number of comparisons.
    pub corrected: f64,
    /// Images that both have scored.
    pub images: u32,
    /// Their patients.
    pub patients: u32,
}

/// The variant that the report leads with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leader {
    /// Which.
    pub variant: String,
    /// The figure it was chosen by on the folds; `None`: its author named it.
    pub by: Option<Metric>,
    /// Its figures on the hold-out, which took no part in the choice; `None` when it was not chosen, or nobody is held out.
    pub holdout: Option<HoldOut>,
}

/// Figures of the hold-out patients, scored by the mean of all folds' networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldOut {
    /// Images.
    pub images: u32,
    /// Patients.
    pub patients: u32,
    /// Counted by the study's unit.
    pub figures: Figures,
    /// Their intervals, if the study asks.
    pub intervals: Option<FigureIntervals>,
}

/// Why a text is no record of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordError {
    /// Made by another version of the program.
    Version {
        /// The version it has.
        found: u64,
    },
    /// No record at all, or a broken one.
    Broken(String),
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version { found } => write!(
                f,
                "the record has version {found}, and this program reads version {RECORD_VERSION}; run the study again (finished trainings are reused)"
            ),
            Self::Broken(why) => write!(f, "this is no record of a run: {why}"),
        }
    }
}

impl std::error::Error for RecordError {}

/// Reads a record of a run or of a study, of this version.
///
/// # Errors
/// [`RecordError::Version`] for every other version, older or newer; [`RecordError::Broken`] for what is no record.
pub fn read<R: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<R, RecordError> {
    let broken = |error: serde_json::Error| RecordError::Broken(error.to_string());
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(broken)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(found) if found == u64::from(RECORD_VERSION) => serde_json::from_value(value).map_err(broken),
        Some(found) => Err(RecordError::Version { found }),
        None => Err(RecordError::Broken("it has no version".into())),
    }
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
    /// What the table says in the columns of [`crate::study::Evaluate::columns`].
    pub columns: Vec<String>,
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
    /// How far the figures could be off, if the study asks.
    pub intervals: Option<Intervals>,
    /// Figures of parts of the patients, one a column that the study names.
    pub slices: Vec<SliceTable>,
    /// Figures at thresholds, by the study's unit, one an operating point that the study names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operating: Vec<Operating>,
}

/// What is found at thresholds that validation patients chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operating {
    /// What the thresholds were chosen for.
    pub point: OperatingPoint,
    /// Mean over the classes that have both rates.
    pub mean: Reached,
    /// Of each class against the rest.
    pub classes: Vec<Reached>,
    /// Of each trained fold.
    pub thresholds: Vec<FoldThresholds>,
}

/// Both sides of a threshold, on the out-of-fold patients; `None` where nobody counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Share of the class that was found.
    pub sensitivity: Option<f64>,
    /// Share of the others that was not.
    pub specificity: Option<f64>,
    /// Its interval, if the study asks.
    pub sensitivity_interval: Option<Interval>,
    /// Its interval, if the study asks.
    pub specificity_interval: Option<Interval>,
}

impl Reached {
    /// One side and its interval.
    #[must_use]
    pub fn of(&self, rate: Rate) -> (Option<f64>, Option<Interval>) {
        match rate {
            Rate::Sensitivity => (self.sensitivity, self.sensitivity_interval),
            Rate::Specificity => (self.specificity, self.specificity_interval),
        }
    }
}

/// From which probability on each class counts as found, in one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldThresholds {
    /// The fold.
    pub fold: u32,
    /// One a class; `None`: the fold's validation patients could not choose one.
    pub thresholds: Vec<Option<f64>>,
}

/// Intervals of every figure: whole patients are drawn with replacement, whatever the figures count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// `percentile` or `bca`.
    pub method: String,
    /// How often the patients were drawn.
    pub replicates: u32,
    /// Share of the intervals that hold the figure in the long run, 0..1.
    pub level: f64,
    /// How many patients were drawn from.
    pub patients: u32,
    /// Of [`Evaluation::image`].
    pub image: FigureIntervals,
    /// Of [`Evaluation::patient`].
    pub patient: FigureIntervals,
}

/// Two ends; `low <= high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The interval of each figure; `None` where it is defined in fewer than half of the draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FigureIntervals {
    /// Of [`Figures::accuracy`].
    pub accuracy: Option<Interval>,
    /// Of [`Figures::balanced_accuracy`].
    pub balanced_accuracy: Option<Interval>,
    /// Of [`Figures::macro_f1`].
    pub macro_f1: Option<Interval>,
    /// Of [`Figures::auroc`].
    pub auroc: Option<Interval>,
    /// Of [`Figures::log_loss`].
    pub log_loss: Option<Interval>,
    /// Of [`Figures::ece`].
    pub ece: Option<Interval>,
    /// One a class.
    pub classes: Vec<ClassIntervals>,
}

/// The intervals of one class's figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassIntervals {
    /// Of [`ClassFigures::precision`].
    pub precision: Option<Interval>,
    /// Of [`ClassFigures::recall`].
    pub recall: Option<Interval>,
    /// Of [`ClassFigures::f1`].
    pub f1: Option<Interval>,
    /// Of [`ClassFigures::auroc`].
    pub auroc: Option<Interval>,
}

/// Figures of the parts into which a column divides the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceTable {
    /// The column.
    pub column: String,
    /// One a part, in order; images without a value last.
    pub parts: Vec<SlicePart>,
}

/// Figures of one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlicePart {
    /// `F`, `40..65`, `no value`.
    pub name: String,
    /// Images in it.
    pub images: u32,
    /// Patients with an image in it.
    pub patients: u32,
    /// Figures of its images, counted by the study's unit.
    pub figures: Figures,
    /// Their intervals, if the study asks.
    pub intervals: Option<FigureIntervals>,
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
