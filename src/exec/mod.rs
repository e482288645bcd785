//! Runs a plan: what is in the store is reused, what is not is made, and every finished step is kept at once.
//!
//! A run that is stopped or killed loses the step it was at and nothing else; the next run goes on from there and
//! ends with the same bits. The work itself is done by `images` and `train`; here it is only put in order.

mod compare;
mod device;
mod guard;
mod manifest;
mod steps;
mod workers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::check::Variant;
use crate::data::Origin;
use crate::diag::Problems;
use crate::graph::Work;
use crate::host::Host;
use crate::leakage;
use crate::nn::Network;
use crate::nn::weights::{self, Found, Head, HubError, Repository, WeightsError};
use crate::plan::{Plan, Planned};
use crate::record::{Environment, Evaluation, FoldRecord, Prediction, RECORD_VERSION, RunRecord, StudyRecord};
use crate::stats;
use crate::store::Store;
use crate::study::{Model, Places, Precision, Weights};

pub use device::{Answering, Choice, answering, choose, without_bf16};
pub use guard::on_device;
pub use manifest::{Timing, manifest, study_manifest};
use steps::{Runner, Shared};
pub use workers::{Workers, work};

/// What a run tells while it works.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A variant begins; all that follows is its work. Not told of a study in which nothing varies.
    Variant {
        /// From 1.
        number: usize,
        /// Of so many that are run.
        of: usize,
        /// Its name.
        name: String,
    },
    /// A step's result was found in the store.
    Reused {
        /// Which.
        work: Work,
    },
    /// A step begins.
    Started {
        /// Which.
        work: Work,
        /// How many pieces it has.
        total: u64,
        /// What a piece is: `images`, `steps`.
        unit: &'static str,
    },
    /// A step went on.
    Advanced {
        /// Which.
        work: Work,
        /// Pieces done.
        done: u64,
        /// The latest in a few words.
        message: String,
    },
    /// A step is done and kept.
    Finished {
        /// Which.
        work: Work,
        /// What came out, in a few words.
        message: String,
    },
    /// A worker has done a step beside this process.
    Beside {
        /// Of this variant; empty when nothing varies.
        variant: String,
        /// Which.
        work: Work,
        /// What came out, in a few words.
        message: String,
        /// How long it took.
        seconds: f64,
    },
    /// Something worth knowing.
    Note(String),
    /// What was found in the images.
    Warned(Problems),
}

/// Why a run ended without a result. What was finished before is in the store.
#[derive(Debug)]
pub enum RunError {
    /// Somebody asked for it.
    Interrupted,
    /// The study or its data are wrong, as only running showed.
    Problems(Problems),
    /// The world: a disk, a device, a loss that is no number.
    Failed {
        /// What happened.
        what: String,
        /// A way out.
        help: Option<String>,
    },
}

impl RunError {
    /// A failure of the world.
    #[must_use]
    pub fn failed(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), help: Some(help.into()) }
    }
}

/// What a run works with besides its plan.
pub struct Context<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// Finished work.
    pub store: &'a Store,
    /// First weights of each variant, if it has any.
    pub weights: Vec<Option<Arc<Found>>>,
    /// Where tensors live.
    pub device: Choice,
    /// Processes that train side by side, if any do.
    pub workers: Option<Workers<'a>>,
    /// Set when the run shall end.
    pub stop: &'a AtomicBool,
    /// Warnings of the check, for the report.
    pub warnings: Vec<String>,
}

/// A finished run: the record and the files that go with it.
#[derive(Debug)]
pub struct Finished {
    /// Everything every report is made of.
    pub record: RunRecord,
    /// One row an image.
    pub predictions: Vec<Prediction>,
    /// What each fold's network says of the patients who chose its thresholds; empty where none are asked for.
    pub validation: Vec<Prediction>,
    /// A model a trained fold, as safetensors.
    pub models: Vec<(u32, Vec<u8>)>,
}

type Talk<'a> = Mutex<&'a mut (dyn FnMut(Event) + Send)>;

fn say(talk: &Talk<'_>, event: Event) {
    // A listener that panicked took its lock with it; the run goes on without it.
    if let Ok(mut listener) = talk.lock() {
        listener(event);
    }
}

/// How weights that are not on this machine are fetched, if they are; the file's place.
pub type Fetch<'a> = Option<&'a dyn Fn(&Repository) -> Result<PathBuf, HubError>>;

/// Finds the first weights of a variant's model; `base` is the study file's folder.
///
/// # Errors
/// The problem with its place: not on this machine and not to be had, or not a weights file.
pub fn find_weights(
    variant: &Variant,
    base: &Path,
    folders: &[PathBuf],
    fetch: Fetch<'_>,
) -> Result<Option<Found>, Problems> {
    let model: &Model = &variant.study.model;
    if model.weights == Weights::None {
        return Ok(None);
    }
    let found = match (weights::lookup(model, base, folders), fetch) {
        (Err(WeightsError::NotFound { repository: Some(repository), .. }), Some(fetch)) => {
            fetch(&repository).map_err(WeightsError::Hub).and_then(|path| weights::read(&path)).map(Some)
        }
        (found, _) => found,
    };
    found.map_err(|error| weights_problem(&variant.places, &error))
}

/// What is wrong with first weights, at the place that asks for them.
fn weights_problem(places: &Places, error: &WeightsError) -> Problems {
    let mut problems = Problems::new();
    let place = places.nearest("model.backbone.weights");
    match error {
        WeightsError::NotFound { .. } | WeightsError::Unreadable { .. } | WeightsError::Hub(_) => {
            problems.weights_not_found(place, &error.to_string(), error.help());
        }
        WeightsError::Pickle | WeightsError::RunsCode { .. } => problems.pickled_weights(place, error.help()),
        WeightsError::NotSafetensors { .. }
        | WeightsError::OtherModel { .. }
        | WeightsError::Mismatch { .. }
        | WeightsError::DataType { .. }
        | WeightsError::NotTorch { .. }
        | WeightsError::NotKeras { .. }
        | WeightsError::Digest { .. }
        | WeightsError::NotFinite { .. }
        | WeightsError::Unwritable { .. } => {
            problems.weights_do_not_fit(place, &error.to_string(), error.help());
        }
    }
    problems
}

/// Do the first weights fit the networks? Asked before the first image is decoded, of variants with work to do.
fn check_weights(plan: &Plan, context: &Context<'_>, chosen: &[usize]) -> Result<(), RunError> {
    let mut fit: Vec<(&str, &Model)> = Vec::new();
    for index in chosen.iter().copied().filter(|index| !plan.is_done(*index)) {
        let (Some(variant), Some(Some(found))) = (plan.variants.get(index), context.weights.get(index)) else {
            continue;
        };
        let asked = (found.sha256.as_str(), &variant.study.model);
        if fit.contains(&asked) {
            continue;
        }
        let network = Network::of(&variant.study, variant.dataset.classes.len(), 0, &choose(Choice::Cpu)?.1);
        if let Err(error) = weights::load(network, found.as_ref(), Head::Replace) {
            return Err(RunError::Problems(weights_problem(&variant.places, &error)));
        }
        fit.push(asked);
    }
    Ok(())
}

/// Does the device compute in what the variants with work to do ask for?
fn check_precision(plan: &Plan, context: &Context<'_>, chosen: &[usize]) -> Result<(), RunError> {
    let to_do = chosen.iter().filter(|index| !plan.is_done(**index)).filter_map(|index| plan.variants.get(*index));
    let Some(variant) = to_do.into_iter().find(|variant| variant.study.train.precision == Precision::Bf16) else {
        return Ok(());
    };
    let (choice, device) = choose(context.device)?;
    let Some(why) = device::without_bf16(choice, &device) else { return Ok(()) };
    let mut problems = Problems::new();
    problems.no_bf16(variant.places.nearest("train.precision"), &choice.to_string(), why);
    Err(RunError::Problems(problems))
}

/// Runs the chosen variants of a plan to their end, in the plan's order; work that several of them need is done once.
///
/// `on_finished` gets each variant as soon as it is done. What is left is small: the record of the study as a whole,
/// if it has several variants.
///
/// # Errors
/// Interruption, a problem in the data or the weights, or a failure of the world; see [`RunError`].
pub fn run(
    plan: &Plan,
    context: &Context<'_>,
    chosen: &[usize],
    on_event: &mut (dyn FnMut(Event) + Send),
    on_finished: &mut dyn FnMut(usize, &Finished) -> Result<(), RunError>,
) -> Result<Option<StudyRecord>, RunError> {
    check_precision(plan, context, chosen)?;
    check_weights(plan, context, chosen)?;
    let talk: Talk<'_> = Mutex::new(on_event);
    let shared = Mutex::new(Shared::default());
    workers::train(plan, context, chosen, (&talk, &shared))?;
    let mut judged = Vec::with_capacity(chosen.len());
    for (number, index) in (1..).zip(chosen.iter().copied()) {
        let Some(runner) = Runner::new(plan, index, context, &talk, &shared) else { continue };
        if plan.variants.len() > 1 {
            say(&talk, Event::Variant { number, of: chosen.len(), name: runner.variant.name.clone() });
        }
        let finished = match attempt(&runner) {
            // Finished folds are in the store by now, so a second attempt costs the images and the fold it was at.
            Err(_) if runner.forget_damaged_images()? => attempt(&runner)?,
            result => result?,
        };
        on_finished(index, &finished)?;
        let Finished { record, predictions, .. } = finished;
        judged.push(compare::Judged { index, record, predictions });
    }
    Ok((plan.variants.len() > 1).then(|| compare::study(plan, judged)))
}

fn attempt(runner: &Runner<'_, '_>) -> Result<Finished, RunError> {
    let (variant, context) = (runner.variant, runner.context);
    let prepared = runner.prepare()?;
    let found = runner.twice(&prepared)?;
    let features = runner.features(&prepared.set)?;
    let mut folds: Vec<FoldRecord> = Vec::new();
    let mut models = Vec::new();
    let mut holdout: BTreeMap<usize, Vec<Vec<f32>>> = BTreeMap::new();
    let mut predictions: BTreeMap<usize, (u32, Vec<f32>)> = BTreeMap::new();
    let mut validation: Vec<Prediction> = Vec::new();
    for fold in variant.trained.iter().copied() {
        if context.stop.load(Ordering::Relaxed) {
            return Err(RunError::Interrupted);
        }
        let trained = runner.train(fold, &prepared.set, features.as_deref())?;
        let scored = runner.predict(fold, &prepared.set, &trained)?;
        for (image, probabilities) in variant.folds.roles(fold).scored(&variant.study).zip(scored) {
            match variant.folds.fold.get(image).copied().flatten() {
                Some(of) if of == fold => {
                    predictions.insert(image, (fold, probabilities));
                }
                Some(_) => validation.extend(row(variant, image, Some(fold), probabilities)),
                None => holdout.entry(image).or_default().push(probabilities),
            }
        }
        folds.push(trained.record);
        models.push((fold, trained.model));
    }
    let predictions = out_of_fold(variant, predictions, &holdout);
    let classes = variant.dataset.classes.len();
    let (evaluate, seed) = (&variant.study.evaluate, variant.study.seed);
    let choosing = if leakage::thresholds_of_reported_fold(&variant.study) { &predictions } else { &validation };
    let evaluation = Evaluation {
        operating: stats::operating(classes, choosing, &predictions, evaluate, seed),
        intervals: evaluate.intervals.and_then(|ask| stats::intervals(classes, &predictions, &ask, seed)),
        slices: stats::slices(classes, &predictions, evaluate, seed),
        ..stats::evaluate(classes, &predictions)
    };
    let key = runner.plan.dag.find(runner.index, Work::Report).map(|node| &node.key);
    let record = RunRecord {
        version: RECORD_VERSION,
        pipe_version: env!("CARGO_PKG_VERSION").into(),
        key: key.map_or_else(String::new, |key| key.as_str().into()),
        study: portable(variant),
        classes: variant.dataset.classes.clone(),
        synthetic: matches!(variant.dataset.origin, Origin::Phantoms { .. }),
        flow: variant.dataset.flow.clone(),
        split: variant.split.clone(),
        environment: Environment {
            device: context.device.to_string(),
            threads: u32::try_from(rayon::current_num_threads()).unwrap_or(u32::MAX),
            platform: crate::host::platform(),
            weights_sha256: runner.weights().map(|found| found.sha256.clone()),
        },
        folds,
        evaluation,
        warnings: context.warnings.iter().cloned().chain(found.sentences()).collect(),
    };
    Ok(Finished { record, predictions, validation, models })
}

/// The out-of-fold table, in the data set's order; a hold-out image gets the mean of the folds' probabilities.
fn out_of_fold(
    variant: &Planned,
    scored: BTreeMap<usize, (u32, Vec<f32>)>,
    holdout: &BTreeMap<usize, Vec<Vec<f32>>>,
) -> Vec<Prediction> {
    let mut all: BTreeMap<usize, (Option<u32>, Vec<f32>)> =
        scored.into_iter().map(|(image, (fold, probabilities))| (image, (Some(fold), probabilities))).collect();
    for (image, votes) in holdout {
        all.insert(*image, (None, mean(votes)));
    }
    all.into_iter().filter_map(|(image, (fold, probabilities))| row(variant, image, fold, probabilities)).collect()
}

/// An image's row in a table of predictions.
fn row(variant: &Planned, index: usize, fold: Option<u32>, probabilities: Vec<f32>) -> Option<Prediction> {
    let dataset = &variant.dataset;
    let image = dataset.images.get(index)?;
    let cell = |column: &str| dataset.columns.get(column).and_then(|cells| cells.get(index)).cloned();
    Some(Prediction {
        image: image.name.clone(),
        patient: dataset.patients.get(image.patient as usize).cloned().unwrap_or_default(),
        fold,
        label: image.label,
        probabilities,
        columns: variant.study.evaluate.columns().into_iter().map(|column| cell(column).unwrap_or_default()).collect(),
    })
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "few votes, and f32 is the result")]
fn mean(votes: &[Vec<f32>]) -> Vec<f32> {
    let classes = votes.first().map_or(0, Vec::len);
    (0..classes)
        .map(|class| {
            let sum: f64 = votes.iter().filter_map(|vote| vote.get(class)).map(|p| f64::from(*p)).sum();
            (sum / votes.len() as f64) as f32
        })
        .collect()
}

/// The study without the folders of this machine: only a path's last part is kept.
fn portable(variant: &Planned) -> crate::study::Study {
    use crate::study::Source;
    let last = |path: &PathBuf| path.file_name().map_or_else(|| path.clone(), PathBuf::from);
    let mut study = variant.study.clone();
    match &mut study.data.source {
        Source::Csv { path } => *path = last(path),
        Source::Folder { root } => *root = last(root),
        Source::Phantoms { .. } => {}
    }
    if let Some(image) = &mut study.data.image {
        image.under = last(&image.under);
    }
    if let Weights::File { path, .. } = &mut study.model.weights {
        *path = last(path);
    }
    study
}
