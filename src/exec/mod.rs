//! Runs a plan: what is in the store is reused, what is not is made, and every finished step is kept at once.
//!
//! A run that is stopped or killed loses the step it was at and nothing else; the next run goes on from there and
//! ends with the same bits. The work itself is done by `images` and `train`; here it is only put in order.

mod device;
mod manifest;
mod steps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::check::Variant;
use crate::data::Origin;
use crate::diag::Problems;
use crate::graph::Work;
use crate::host::Host;
use crate::nn::Network;
use crate::nn::weights::{self, Found, Head, WeightsError};
use crate::plan::{Action, Plan};
use crate::record::{Environment, Evaluation, FoldRecord, Prediction, RECORD_VERSION, RunRecord};
use crate::stats;
use crate::store::Store;
use crate::study::{Model, Weights};

pub use device::{Choice, choose};
pub use manifest::{Timing, manifest};

/// What a run tells while it works.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
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
    /// Something worth knowing.
    Note(String),
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
    /// Where every setting stands, for problems that only running shows.
    pub variant: &'a Variant,
    /// First weights, if the study has any.
    pub weights: Option<&'a Found>,
    /// Where tensors live.
    pub device: Choice,
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

/// Finds the first weights of a variant's model; `base` is the study file's folder.
///
/// # Errors
/// The problem with its place: not on this machine, or not a weights file.
pub fn find_weights(variant: &Variant, base: &Path, folders: &[PathBuf]) -> Result<Option<Found>, Problems> {
    let model: &Model = &variant.study.model;
    if model.weights == Weights::None {
        return Ok(None);
    }
    weights::lookup(model, base, folders).map_err(|error| weights_problem(variant, &error))
}

/// What is wrong with first weights, at the place that asks for them.
fn weights_problem(variant: &Variant, error: &WeightsError) -> Problems {
    let mut problems = Problems::new();
    let place = variant.places.nearest("model.backbone.weights");
    match error {
        WeightsError::NotFound { .. } | WeightsError::Unreadable { .. } => {
            problems.weights_not_found(place, &error.to_string(), error.help());
        }
        WeightsError::Pickle => problems.pickled_weights(place, error.help()),
        WeightsError::NotSafetensors { .. }
        | WeightsError::OtherModel { .. }
        | WeightsError::Mismatch { .. }
        | WeightsError::DataType { .. }
        | WeightsError::NotFinite { .. }
        | WeightsError::Unwritable { .. } => {
            problems.weights_do_not_fit(place, &error.to_string(), error.help());
        }
    }
    problems
}

/// Do the first weights fit the network? Asked before the first image is decoded, unless nothing is to be done.
fn check_weights(plan: &Plan, context: &Context<'_>) -> Result<(), RunError> {
    let Some(found) = context.weights else { return Ok(()) };
    if plan.steps.iter().all(|step| step.action != Action::Run) {
        return Ok(());
    }
    let network = Network::of(&plan.study, plan.dataset.classes.len(), 0, &choose(Choice::Cpu)?.1);
    match weights::load(network, &found.bytes, Head::Replace) {
        Ok(_) => Ok(()),
        Err(error) => Err(RunError::Problems(weights_problem(context.variant, &error))),
    }
}

/// Runs a plan to its end.
///
/// # Errors
/// Interruption, a problem in the data or the weights, or a failure of the world; see [`RunError`].
pub fn run(plan: &Plan, context: &Context<'_>, on_event: &mut (dyn FnMut(Event) + Send)) -> Result<Finished, RunError> {
    check_weights(plan, context)?;
    let talk: Talk<'_> = Mutex::new(on_event);
    let runner = steps::Runner { plan, context, talk: &talk, damaged: AtomicBool::new(false) };
    match attempt(&runner) {
        // Finished folds are in the store by now, so a second attempt costs the images and the fold it was at.
        Err(_) if runner.forget_damaged_images()? => attempt(&runner),
        result => result,
    }
}

fn attempt(runner: &steps::Runner<'_>) -> Result<Finished, RunError> {
    let (plan, context) = (runner.plan, runner.context);
    let prepared = runner.prepare()?;
    let features = runner.features(&prepared)?;
    let mut folds: Vec<FoldRecord> = Vec::new();
    let mut models = Vec::new();
    let mut holdout: BTreeMap<usize, Vec<Vec<f32>>> = BTreeMap::new();
    let mut predictions: BTreeMap<usize, (u32, Vec<f32>)> = BTreeMap::new();
    for fold in plan.trained.iter().copied() {
        if context.stop.load(Ordering::Relaxed) {
            return Err(RunError::Interrupted);
        }
        let trained = runner.train(fold, &prepared, features.as_ref())?;
        let scored = runner.predict(fold, &prepared, &trained)?;
        let roles = plan.folds.roles(fold);
        for (image, probabilities) in roles.evaluation.iter().chain(&roles.holdout).zip(scored) {
            if plan.folds.fold.get(*image).copied().flatten().is_some() {
                predictions.insert(*image, (fold, probabilities));
            } else {
                holdout.entry(*image).or_default().push(probabilities);
            }
        }
        folds.push(trained.record);
        models.push((fold, trained.model));
    }
    let predictions = out_of_fold(plan, predictions, &holdout);
    let evaluation: Evaluation = stats::evaluate(plan.dataset.classes.len(), &predictions);
    let record = RunRecord {
        version: RECORD_VERSION,
        pipe_version: env!("CARGO_PKG_VERSION").into(),
        key: plan.dag.key().map_or_else(String::new, |key| key.as_str().into()),
        study: portable(plan),
        classes: plan.dataset.classes.clone(),
        synthetic: matches!(plan.dataset.origin, Origin::Phantoms { .. }),
        flow: plan.dataset.flow.clone(),
        split: plan.split.clone(),
        environment: Environment {
            device: context.device.to_string(),
            threads: u32::try_from(rayon::current_num_threads()).unwrap_or(u32::MAX),
            platform: crate::host::platform(),
            weights_sha256: context.weights.map(|found| found.sha256.clone()),
        },
        folds,
        evaluation,
        warnings: context.warnings.clone(),
    };
    Ok(Finished { record, predictions, models })
}

/// The out-of-fold table, in the data set's order; a hold-out image gets the mean of the folds' probabilities.
fn out_of_fold(
    plan: &Plan,
    scored: BTreeMap<usize, (u32, Vec<f32>)>,
    holdout: &BTreeMap<usize, Vec<Vec<f32>>>,
) -> Vec<Prediction> {
    let mut all: BTreeMap<usize, (Option<u32>, Vec<f32>)> =
        scored.into_iter().map(|(image, (fold, probabilities))| (image, (Some(fold), probabilities))).collect();
    for (image, votes) in holdout {
        all.insert(*image, (None, mean(votes)));
    }
    let mut rows = Vec::with_capacity(all.len());
    for (index, (fold, probabilities)) in all {
        let Some(image) = plan.dataset.images.get(index) else { continue };
        rows.push(Prediction {
            image: image.name.clone(),
            patient: plan.dataset.patients.get(image.patient as usize).cloned().unwrap_or_default(),
            fold,
            label: image.label,
            probabilities,
        });
    }
    rows
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
fn portable(plan: &Plan) -> crate::study::Study {
    use crate::study::Source;
    let last = |path: &PathBuf| path.file_name().map_or_else(|| path.clone(), PathBuf::from);
    let mut study = plan.study.clone();
    match &mut study.data.source {
        Source::Csv { path } => *path = last(path),
        Source::Folder { root } => *root = last(root),
        Source::Phantoms { .. } => {}
    }
    if let Some(image) = &mut study.data.image {
        image.under = last(&image.under);
    }
    if let Weights::File(path) = &mut study.model.weights {
        *path = last(path);
    }
    study
}
