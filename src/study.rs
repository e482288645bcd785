//! What is meant: a checked study, with every default filled in, ids instead of names and values refined.
//!
//! `check` makes it, nobody else does. All of it is serialisable, and its parts are what content keys are
//! made of, so a field that changes no result (a comment, a place in the source) has no business in here;
//! places stand in [`Places`], which no key sees.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use crate::catalog::backbones::Backbone;
use crate::catalog::backbones::Input;
use crate::record::Figures;
use crate::source::Span;

/// A whole study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// `study NAME`.
    pub name: String,
    /// What it asks.
    pub question: Option<String>,
    /// Every random draw is a function of this and of its place.
    pub seed: u64,
    /// Images, labels and patients.
    pub data: Data,
    /// Folds, hold-out and validation.
    pub split: Split,
    /// Preparing and augmenting.
    pub images: Images,
    /// The network.
    pub model: Model,
    /// How it learns.
    pub train: Train,
    /// How it is judged.
    pub evaluate: Evaluate,
}

/// Where each setting was written, by dotted path: `"train.epochs"` is the span of the value,
/// `"train"` of the block's keyword, `"study"` of the study's header. Settings left to their default are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    spans: BTreeMap<String, Span>,
}

impl Places {
    /// Records where a setting stands.
    pub fn set(&mut self, path: impl Into<String>, span: Span) {
        self.spans.insert(path.into(), span);
    }

    /// Forgets where a setting stands: it is left to its default after all.
    pub fn forget(&mut self, path: &str) {
        self.spans.remove(path);
    }

    /// Where a setting stands, or the nearest block around it that was written, or the study's header.
    #[must_use]
    pub fn nearest(&self, path: &str) -> Option<Span> {
        let mut path = path;
        loop {
            if let Some(span) = self.spans.get(path) {
                return Some(*span);
            }
            match path.rsplit_once('.') {
                Some((outer, _)) => path = outer,
                None => return self.spans.get("study").copied(),
            }
        }
    }

    /// Where a setting stands, if it was written.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Span> {
        self.spans.get(path).copied()
    }

    /// The settings whose places are known, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.spans.keys().map(String::as_str)
    }

    /// The same settings at places of no source, each of them different: [`Places::of_stand_in`] leads back.
    #[must_use]
    pub fn stand_ins(&self) -> Self {
        let spans = self.spans.keys().enumerate();
        Self { spans: spans.map(|(nth, path)| (path.clone(), Span::stand_in(nth))).collect() }
    }

    /// Where a place of [`Places::stand_ins`] is by these places; any other place as it is.
    #[must_use]
    pub fn of_stand_in(&self, span: Span) -> Span {
        let Some((nth, end)) = span.stands_in_for() else { return span };
        let place = self.spans.values().nth(nth).copied().unwrap_or(span);
        match end {
            None => place,
            Some(false) => place.start_point(),
            Some(true) => place.end_point(),
        }
    }
}

// ---------------------------------------------------------------------------------------------- data

/// `data { ... }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// `table`.
    pub source: Source,
    /// `image`: the column that names the files and the folder they lie in. `None` for phantoms and folders.
    pub image: Option<ImageColumn>,
    /// `label`: the column with the class. Folders and phantoms have a `label` column of their own.
    pub label: String,
    /// `labels = multiclass(...)`.
    pub labels: Multiclass,
    /// `classes`, in the order of the outputs; `None`: all that occur, sorted.
    pub classes: Option<Vec<String>>,
    /// `merge`: new class -> the labels it takes in.
    pub merge: IndexMap<String, Vec<String>>,
    /// `group`: who the patients are.
    pub group: Group,
    /// `keep`: rows for which this holds.
    pub keep: Option<Predicate>,
    /// `limit`: at most so many images a class, whole patients first.
    pub limit: Option<Limit>,
    /// `on_missing`: what to do with rows whose image file is not there.
    pub on_missing: OnMissing,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `csv(path)`: the path as written after interpolation, relative to the study file's folder.
    Csv {
        /// The file.
        path: PathBuf,
    },
    /// `folder(root)`: one folder a class. Columns `image`, `label`.
    Folder {
        /// The folder of folders.
        root: PathBuf,
    },
    /// `phantoms(images, patients, seed)`: drawn by us. Columns `image`, `label`, `patient`, `age`, `sex`, `view`.
    Phantoms {
        /// How many images.
        images: u32,
        /// Of how many patients.
        patients: u32,
        /// Seed of the drawings.
        seed: u64,
    },
}

/// `image = file(column, under = root)`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageColumn {
    /// The column that holds file names.
    pub column: String,
    /// The folder they are opened beneath, relative to the study file's folder; default: the table's folder.
    pub under: PathBuf,
}

/// `labels = multiclass(split_on, when_many, when_other)`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiclass {
    /// What separates several labels in one cell.
    pub split_on: Option<String>,
    /// A row with several labels.
    pub when_many: WhenMany,
    /// A row whose label is not in `classes`.
    pub when_other: WhenOther,
}

/// What becomes of rows with several labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenMany {
    /// E0202.
    Error,
    /// Left out, counted in the flow.
    Drop,
    /// The first one written counts.
    First,
}

/// What becomes of rows with a label that is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenOther {
    /// E0204.
    Error,
    /// Left out, counted in the flow.
    Drop,
}

/// What becomes of rows whose image is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// E0205.
    Error,
    /// Left out, counted in the flow.
    Drop,
}

/// Who the patients are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A column of the table.
    Column(String),
    /// `none(because = "...")`: every image is its own patient, and the author says why.
    None {
        /// The reason, repeated in the report.
        because: String,
    },
}

/// `limit`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// `each(n)`
    Each(u32),
    /// `{ class = n }`; classes not named are not limited.
    PerClass(IndexMap<String, u32>),
}

/// A condition over typed columns, `keep = ...`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// Both.
    And(Box<Predicate>, Box<Predicate>),
    /// Either.
    Or(Box<Predicate>, Box<Predicate>),
    /// Not.
    Not(Box<Predicate>),
    /// A column against a value.
    Compare {
        /// Column.
        column: String,
        /// How.
        comparison: Comparison,
        /// With what.
        value: Scalar,
    },
    /// A column in a list.
    OneOf {
        /// Column.
        column: String,
        /// The list.
        values: Vec<Scalar>,
    },
    /// A number column within bounds.
    Within {
        /// Column.
        column: String,
        /// From.
        start: f64,
        /// To.
        end: f64,
        /// Is `end` within?
        inclusive: bool,
    },
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

/// A number or a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scalar {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

// --------------------------------------------------------------------------------------------- split

/// `split { ... }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// `holdout`: share of patients kept out of every fold, 0..1.
    pub holdout: f64,
    /// `holdout = condition`: the rows that are kept out of every fold, as the table says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout_rows: Option<Predicate>,
    /// `cv`.
    pub cv: CrossValidation,
    /// `validation`: share of each fold's training patients that early stopping and plateau look at, 0..1.
    pub validation: f64,
    /// `run = [0]`: only these folds are trained; empty: all.
    pub run: Vec<u32>,
}

/// How rows are dealt into folds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// Which way.
    pub kind: FoldKind,
    /// How many folds, from 2. For `folds_from` as many as the column holds: 0 here.
    pub folds: u32,
    /// Rows (or groups) are shuffled first. scikit-learn's `shuffle=True, random_state=seed`.
    pub shuffle: bool,
    /// Seed of that shuffle; `None`: the study's seed.
    pub seed: Option<u64>,
}

/// The ways to deal rows into folds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoldKind {
    /// scikit-learn's `KFold`: by row.
    KFold,
    /// scikit-learn's `StratifiedKFold`: by row and class.
    StratifiedKFold,
    /// scikit-learn's `GroupKFold`: by patient.
    GroupKFold,
    /// Ours: by patient, classes balanced.
    StratifiedGroupKFold,
    /// A column of the table says it.
    FoldsFrom(String),
}

// -------------------------------------------------------------------------------------------- images

/// `images { ... }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Images {
    /// Operations on whole prepared images, in order, before `normalize`; results are cached.
    pub prepare: Vec<Prepare>,
    /// `normalize(...)`, the last step.
    pub normalize: Normalize,
    /// Random operations on training images, in order.
    pub augment: Vec<Augment>,
}

impl Images {
    /// The side of the prepared images in pixels: that of the last `resize`. `check` sees to it that there is one.
    #[must_use]
    pub fn side(&self) -> u32 {
        self.prepare
            .iter()
            .rev()
            .find_map(|step| match step {
                Prepare::Resize { side, .. } => Some(*side),
                Prepare::Grayscale { .. } | Prepare::Clahe { .. } => None,
            })
            .unwrap_or(0)
    }

    /// Are prepared images grey (one channel), whatever the files hold?
    #[must_use]
    pub fn grey(&self) -> bool {
        self.prepare.iter().any(|step| matches!(step, Prepare::Grayscale { .. }))
    }
}

/// One preparing operation. Works on 8-bit images; 16-bit files are scaled down first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prepare {
    /// ITU-R 601 luma as Pillow's `convert("L")`. In how many channels the network sees it is the model's.
    Grayscale {},
    /// `resize(side, filter, fit)`
    Resize {
        /// Side of the square result in pixels.
        side: u32,
        /// Resampling.
        filter: Filter,
        /// What happens to other shapes.
        fit: Fit,
    },
    /// `clahe(clip, tiles)`, OpenCV's createCLAHE; colour images are equalised in each channel.
    Clahe {
        /// Clip limit, above 0.
        clip: f64,
        /// Tiles a side.
        tiles: u32,
    },
}

/// Resampling filters, Pillow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Lanczos, a = 3.
    Lanczos,
    /// Bicubic, a = -0.5.
    Bicubic,
    /// Bilinear (triangle).
    Bilinear,
    /// Nearest neighbour.
    Nearest,
}

/// How an image of another shape becomes a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The aspect ratio is not kept.
    Stretch,
    /// Scaled to fit, black bars on the shorter axis, centred.
    Pad,
    /// Scaled to fill, centre part kept.
    Crop,
}

/// `normalize(...)`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Mean (0.485, 0.456, 0.406), standard deviation (0.229, 0.224, 0.225) of values 0..1.
    Imagenet,
    /// Mean and standard deviation 0.5.
    Half,
    /// Values 0..1 as they are.
    None,
    /// Values 0..255 as they are: qubvel's ResNets, which begin with a norm of their own.
    Bytes,
    /// Values 0..255 less the means 123.68, 116.779, 103.939 of red, green and blue: Keras's VGG, after Caffe.
    Caffe,
    /// Mean and standard deviation a channel of the fold's own training images.
    Train,
    /// The same over all images of the study, reported ones too: a leak, so only where the study accepts it.
    Dataset,
}

impl Normalize {
    /// As an author writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Imagenet => "imagenet",
            Self::Half => "half",
            Self::None => "none",
            Self::Bytes => "bytes",
            Self::Caffe => "caffe",
            Self::Train => "train",
            Self::Dataset => "dataset",
        }
    }

    /// What a word means.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let all = [Self::Imagenet, Self::Half, Self::None, Self::Bytes, Self::Caffe, Self::Train, Self::Dataset];
        all.into_iter().find(|normalize| normalize.word() == word)
    }

    /// Is it worked out of the study's own images?
    #[must_use]
    pub const fn is_fitted(self) -> bool {
        matches!(self, Self::Train | Self::Dataset)
    }
}

/// One random operation on a training image, with the probability `p` (0..1) that it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// Mirror.
    Flip {
        /// Left-right, else top-bottom.
        horizontal: bool,
        /// Probability.
        p: f64,
    },
    /// Rotation by an angle drawn from -degrees..degrees.
    Rotate {
        /// Largest angle.
        degrees: f64,
        /// Probability.
        p: f64,
    },
    /// Albumentations' `ShiftScaleRotate` with one draw of each.
    ShiftScaleRotate {
        /// Largest shift as a share of the side.
        shift: f64,
        /// Largest change of scale: the factor is 1 ± this.
        scale: f64,
        /// Largest angle in degrees.
        degrees: f64,
        /// Probability.
        p: f64,
    },
    /// Contrast factor 1 ± amount about the mean, brightness ± amount (of the full range).
    BrightnessContrast {
        /// Largest change, 0..1.
        amount: f64,
        /// Probability.
        p: f64,
    },
    /// Random part of a share of the area, scaled back to the full side.
    Crop {
        /// Smallest share of the side that is kept, 0..1.
        scale: f64,
        /// Probability.
        p: f64,
    },
    /// A black square of a share of the side at a random place.
    Cutout {
        /// Side of the square as a share of the image's, 0..1.
        size: f64,
        /// Probability.
        p: f64,
    },
    /// Batch mixing of images and labels, lambda from Beta(alpha, alpha).
    Mixup {
        /// Shape of the Beta distribution.
        alpha: f64,
        /// Probability (of a batch).
        p: f64,
    },
    /// Batch mixing by pasting rectangles, labels by area.
    Cutmix {
        /// How many rectangles.
        patches: u32,
        /// Shape of the Beta distribution.
        alpha: f64,
        /// Probability (of a batch).
        p: f64,
    },
}

// --------------------------------------------------------------------------------------------- model

/// `model { ... }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The network.
    pub backbone: Backbone,
    /// Its first weights.
    pub weights: Weights,
    /// `head`.
    #[serde(flatten)]
    pub head: Head,
    /// What does not learn.
    pub freeze: Freeze,
    /// Drop path: the share of images that skip the last residual branch in training, 0..0.9; absent where it is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_path: Option<f64>,
    /// Channels of the images it sees, where they are not the 3 of its first weights: these are adapted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
}

impl Model {
    /// Channels of the images it sees.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.unwrap_or(self.backbone.card().channels) as usize
    }

    /// What its first weights expect of an image.
    #[must_use]
    pub fn input(&self) -> Input {
        self.backbone.card().input_of(self.weights.word().unwrap_or_default())
    }
}

/// `head`: what turns a map of features into logits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Share of what each of its linear layers sees that is left out in training, 0..1.
    pub dropout: f64,
    /// `mlp(hidden)`: outputs of a linear layer with `ReLU` before the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<u32>,
    /// How a map of features becomes one; `None`: the network's own way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pooling>,
}

impl Default for Head {
    fn default() -> Self {
        Self { dropout: 0.0, hidden: None, pool: None }
    }
}

/// Ways to make one number a feature out of its map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Pooling {
    /// The mean.
    #[serde(rename = "avg")]
    Mean,
    /// The largest.
    #[serde(rename = "max")]
    Largest,
    /// `(mean of x^p)^(1/p)` of what is above 1e-6.
    #[serde(rename = "gem")]
    Generalised(f64),
}

/// As an author writes it.
impl std::fmt::Display for Pooling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mean => f.write_str("avg"),
            Self::Largest => f.write_str("max"),
            Self::Generalised(p) => write!(f, "gem({p})"),
        }
    }
}

/// First weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Random.
    None,
    /// `file("x.safetensors")`, relative to the study file's folder.
    File {
        /// The file.
        path: PathBuf,
        /// What its bytes' SHA-256 must be, 64 hexadecimal digits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    /// `hub("org/name")`: the repository's `model.safetensors`.
    Hub {
        /// `organisation/name` on the Hugging Face hub.
        repository: String,
        /// A branch, a tag or a commit.
        revision: String,
    },
    /// Trained on ImageNet-1k: looked up in the weights folder, then the Hugging Face cache.
    Imagenet,
    /// Trained on ImageNet-21k, looked up in the same way.
    Imagenet21k,
    /// Noisy Student's, trained on ImageNet-1k and unlabelled JFT-300M, looked up in the same way.
    NoisyStudent,
}

impl Weights {
    /// The word by which the catalog knows weights that are looked up.
    #[must_use]
    pub fn word(&self) -> Option<&'static str> {
        match self {
            Self::Imagenet => Some("imagenet"),
            Self::Imagenet21k => Some("imagenet21k"),
            Self::NoisyStudent => Some("noisy_student"),
            Self::None | Self::File { .. } | Self::Hub { .. } => None,
        }
    }

    /// Is this a SHA-256, 64 hexadecimal digits?
    #[must_use]
    pub fn is_sha256(text: &str) -> bool {
        text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Is this `organisation/name` as the hub names repositories?
    #[must_use]
    pub fn is_repository(text: &str) -> bool {
        text.split_once('/').is_some_and(|(organisation, name)| is_plain(organisation) && is_plain(name))
    }

    /// Can this be a branch, a tag or a commit?
    #[must_use]
    pub fn is_revision(text: &str) -> bool {
        text.len() <= 200 && text.split('/').all(is_plain)
    }
}

/// Names become parts of a folder's name and of an address: plain characters, and nothing that climbs.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 96 && text.chars().all(plain) && !text.starts_with('.') && !text.contains("..")
}

/// `freeze`: what keeps its first weights. Frozen batch norms keep their statistics too.
///
/// With first weights, they keep them also after the backbone of [`Freeze::BackboneFor`] has begun to learn: a jump to
/// the statistics of small batches would undo what the head has learned (docs/decisions.md has the figures).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// Nothing.
    None,
    /// The whole backbone, always.
    All,
    /// The first share (0..1) of the backbone's parameter tensors in order of the forward pass.
    First(f64),
    /// The whole backbone for so many epochs.
    BackboneFor(u32),
}

// --------------------------------------------------------------------------------------------- train

/// `train { ... }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// A weighted sum, at least one term.
    pub loss: Vec<LossTerm>,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// `layer_decay`: what the learning rate of each layer is multiplied by to give that of the layer before it, 0..1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub layer_decay: f64,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// Passes over the training images, from 1.
    pub epochs: u32,
    /// Images of a batch, from 1.
    pub batch: u32,
    /// Batches whose gradients make one step of the optimiser, from 1.
    #[serde(default = "single", skip_serializing_if = "is_single")]
    pub accumulate: u32,
    /// In what order images come.
    pub sampler: Sampler,
    /// Largest global norm of the gradient.
    pub clip: Option<f64>,
    /// When to stop before `epochs`.
    pub stop: Option<EarlyStop>,
    /// Which epoch's weights are kept.
    pub keep: KeepEpoch,
    /// What products of the network are computed in.
    #[serde(default, skip_serializing_if = "Precision::is_single")]
    pub precision: Precision,
}

/// `precision`: what convolutions, linear layers and attention of the backbone read. Weights, the optimiser, norms, softmax,
/// the head and the losses are in single precision always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16: the range of single precision, 8 bits of mantissa.
    Bf16,
}

impl Precision {
    /// As a study writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_single(&self) -> bool {
        *self == Self::F32
    }
}

fn one() -> f64 {
    1.0
}

fn single() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_single(count: &u32) -> bool {
    *count == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
#[expect(clippy::float_cmp, reason = "the very constant")]
fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

/// One term of the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LossTerm {
    /// Its weight in the sum.
    pub weight: f64,
    /// Which.
    pub kind: LossKind,
    /// Keras's label smoothing: y (1 - s) + s / classes.
    pub smoothing: f64,
    /// Weights of the classes.
    pub class_weights: ClassWeights,
}

/// The losses. Each is a mean over the batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Categorical cross-entropy.
    CrossEntropy,
    /// Categorical focal cross-entropy (Lin et al. 2017; Keras).
    Focal {
        /// How much easy images are turned down.
        gamma: f64,
        /// Factor of the whole term.
        alpha: f64,
    },
    /// 1 - macro F1 of probabilities, a batch at a time.
    SoftF1,
    /// Kullback-Leibler divergence from the soft targets.
    Kl,
}

/// Weights of the classes in a term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All one.
    None,
    /// `n / (classes * n_c)` over the fold's training images (scikit-learn's "balanced").
    Balanced,
    /// As written, in the order of `classes`.
    Given(IndexMap<String, f64>),
}

/// Optimisers, with torch's formulas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam; weight decay is added to the gradient.
    Adam {
        /// Learning rate.
        lr: f64,
        /// Weight decay.
        weight_decay: f64,
    },
    /// AdamW; weight decay is decoupled.
    AdamW {
        /// Learning rate.
        lr: f64,
        /// Weight decay.
        weight_decay: f64,
    },
    /// NAdam.
    NAdam {
        /// Learning rate.
        lr: f64,
        /// Weight decay.
        weight_decay: f64,
    },
    /// Stochastic gradient descent.
    Sgd {
        /// Learning rate.
        lr: f64,
        /// Momentum, 0..1.
        momentum: f64,
        /// Nesterov's form.
        nesterov: bool,
        /// Weight decay.
        weight_decay: f64,
    },
    /// RMSprop.
    RmsProp {
        /// Learning rate.
        lr: f64,
        /// Smoothing constant.
        alpha: f64,
        /// Momentum.
        momentum: f64,
        /// Weight decay.
        weight_decay: f64,
    },
}

impl Optimizer {
    /// The learning rate as written.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Adam { lr, .. }
            | Self::AdamW { lr, .. }
            | Self::NAdam { lr, .. }
            | Self::Sgd { lr, .. }
            | Self::RmsProp { lr, .. } => *lr,
        }
    }
}

/// How the learning rate moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// Linear warm-up over so many epochs (fractions allowed), then half a cosine down to 0; by step.
    Cosine {
        /// Epochs of warm-up.
        warmup: f64,
    },
    /// Times `factor` every `every` epochs.
    Step {
        /// Epochs between two drops.
        every: u32,
        /// Factor of a drop.
        factor: f64,
    },
    /// Times `factor` when the watched figure has not improved by `min_delta` for more than `patience` epochs.
    Plateau {
        /// What is watched.
        on: Watch,
        /// Factor of a drop.
        factor: f64,
        /// Epochs without improvement.
        patience: u32,
        /// Least improvement.
        min_delta: f64,
    },
}

/// A figure of the inner validation patients that training may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// The whole loss; smaller is better.
    Loss,
    /// Larger is better.
    Accuracy,
    /// Larger is better.
    BalancedAccuracy,
    /// Larger is better.
    MacroF1,
}

/// In what order training images come. Always a pure function of (seed, epoch).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Each once an epoch.
    Shuffled,
    /// Each class equally often, drawn with replacement; an epoch has as many draws as images.
    Balanced,
}

/// `stop = early(on, patience)`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyStop {
    /// What is watched.
    pub on: Watch,
    /// Epochs without improvement.
    pub patience: u32,
}

/// Which epoch's weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepEpoch {
    /// The last one.
    Last,
    /// The best on the inner validation patients.
    Best(Watch),
}

// ------------------------------------------------------------------------------------------ evaluate

/// `evaluate { ... }`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluate {
    /// `tta`: an image's probabilities are the mean over itself and what each of these makes of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tta: Vec<Changed>,
    /// The headline.
    pub primary: Metric,
    /// What else the report shows first; everything is computed anyway.
    pub metrics: Vec<Metric>,
    /// Figures at thresholds that the validation patients choose, in the order of `metrics`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operating: Vec<OperatingPoint>,
    /// Is the headline counted a patient (mean probability) or an image?
    pub unit: Unit,
    /// How the intervals are made; `None`: there are none.
    pub intervals: Option<Bootstrap>,
    /// Parts of the patients that get figures of their own.
    pub slices: Vec<Slice>,
    /// `leak = accepted(because = "...")`: the author's reason to report figures that leakage inflates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak: Option<String>,
}

impl Evaluate {
    /// The columns that slices are made by, each once.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for slice in &self.slices {
            if !columns.contains(&slice.column.as_str()) {
                columns.push(&slice.column);
            }
        }
        columns
    }
}

/// `bootstrap(replicates, level, method)`: whole patients drawn with replacement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// How often.
    pub replicates: u32,
    /// Share of the intervals that hold the figure in the long run, 0..1.
    pub level: f64,
    /// What is made of the draws.
    pub method: IntervalMethod,
}

/// How draws become an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalMethod {
    /// Their quantiles.
    Percentile,
    /// Quantiles corrected for bias and skewness (Efron 1987).
    Bca,
}

/// One entry of `slices`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The column.
    pub column: String,
    /// `bins(column, edges)`: ascending, each part from one edge to below the next, the last edge included. Empty: each
    /// value is a part.
    pub edges: Vec<f64>,
}

/// Figures a report can lead with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of right answers.
    Accuracy,
    /// Mean recall of the classes.
    BalancedAccuracy,
    /// Mean F1 of the classes, pooled counts.
    MacroF1,
    /// Mean one-against-rest area under the ROC curve.
    Auroc,
    /// Mean negative log-probability of the true class.
    LogLoss,
    /// Expected calibration error, 15 equal bins of the top probability.
    Ece,
}

/// `sensitivity(at = specificity(90%))`, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// What each class's threshold is chosen for; the other of the two is the figure.
    pub fixed: Rate,
    /// The least of it that is reached on the validation patients, 0..1.
    pub share: f64,
}

/// One side of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// Share of a class that reaches its threshold.
    Sensitivity,
    /// Share of the other classes that stays below it.
    Specificity,
}

impl Rate {
    /// As the language calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sensitivity => "sensitivity",
            Self::Specificity => "specificity",
        }
    }

    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Sensitivity => Self::Specificity,
            Self::Specificity => Self::Sensitivity,
        }
    }
}

/// In words, `sensitivity at a specificity of 0.9`.
impl std::fmt::Display for OperatingPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at a {} of {}", self.fixed.other().name(), self.fixed.name(), self.share)
    }
}

/// A fixed operation of test-time augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// A mirror image.
    Flip {
        /// Left-right, else top-bottom.
        horizontal: bool,
    },
}

/// As an author writes it.
impl std::fmt::Display for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flip { horizontal: true } => f.write_str("flip(horizontal)"),
            Self::Flip { horizontal: false } => f.write_str("flip(vertical)"),
        }
    }
}

impl Metric {
    /// Its value; `None` where it is not defined or nothing was scored.
    #[must_use]
    pub fn of(self, figures: &Figures) -> Option<f64> {
        let value = match self {
            Self::Accuracy => Some(figures.accuracy),
            Self::BalancedAccuracy => Some(figures.balanced_accuracy),
            Self::MacroF1 => Some(figures.macro_f1),
            Self::Auroc => figures.auroc,
            Self::LogLoss => Some(figures.log_loss),
            Self::Ece => Some(figures.ece),
        };
        value.filter(|value| value.is_finite() && figures.count > 0)
    }

    /// Is a smaller value the better one?
    #[must_use]
    pub fn smaller_is_better(self) -> bool {
        match self {
            Self::LogLoss | Self::Ece => true,
            Self::Accuracy | Self::BalancedAccuracy | Self::MacroF1 | Self::Auroc => false,
        }
    }

    /// Its value turned so that larger is better.
    #[must_use]
    pub fn better(self, figures: &Figures) -> Option<f64> {
        let sign = if self.smaller_is_better() { -1.0 } else { 1.0 };
        self.of(figures).map(|value| sign * value)
    }
}

/// What counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Each image.
    Image,
    /// Each patient: mean probability over their images (a patient with several labels counts once a label).
    Patient,
}
