//! The steps that are kept in the store: prepare, features, train, predict.
//!
//! Each looks for its key first; what it makes is committed before it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Context, Event, RunError, Talk, say};
use crate::data::duplicates::{Copies, copies};
use crate::data::{self, Origin, audit};
use crate::diag::Problems;
use crate::graph::{Key, Work};
use crate::images::cache::{PrepareError, PreparedSet};
use crate::images::fingerprint::Fingerprint;
use crate::images::{self, Pixels, phantom};
use crate::nn::weights::{Found, Source};
use crate::plan::{Plan, Planned};
use crate::record::{EpochRecord, FoldRecord};
use crate::split;
use crate::store::{Draft, Lookup, Stored};
use crate::train::{self, FeatureTable, Flow, FoldInput, TrainError};

const BUG: &str = "this is a bug in pipe; please report it with the study file";
const IMAGES: &str = "images.bin";
const PIXELS: &str = "pixels.blake3";
const COPIES: &str = "copies.json";
const FEATURES: &str = "features.bin";
const MODEL: &str = "model.safetensors";
const TRAINING: &str = "training.json";
const PROBABILITIES: &str = "probabilities.json";

/// What a trained fold leaves besides its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Training {
    epochs: Vec<EpochRecord>,
    kept_epoch: u32,
    stopped: Option<String>,
    mean: [f32; 3],
    std: [f32; 3],
}

/// A trained fold.
pub(super) struct Trained {
    pub(super) model: Vec<u8>,
    pub(super) record: FoldRecord,
    mean: [f32; 3],
    std: [f32; 3],
}

/// Every image as the network sees it, the digest of the pixels each was made of, in the data set's order, and which
/// show nearly the same. (Drawn images have neither.)
pub(super) struct Prepared {
    pub(super) set: PreparedSet,
    pixels: Vec<[u8; 32]>,
    copies: Vec<Copies>,
}

/// What one variant leaves for the next: the tables that both use, and what has been told.
#[derive(Default)]
pub(super) struct Shared {
    prepared: Option<(Key, Arc<Prepared>)>,
    features: Option<(Key, Arc<FeatureTable>)>,
    /// Work that is done, or was found in the store and said so.
    told: BTreeSet<Key>,
    /// What was found in the images and has been told.
    warned: Vec<Problems>,
}

/// Does the work of one variant.
pub(super) struct Runner<'a, 't> {
    pub(super) plan: &'a Plan,
    /// Which of the plan's variants.
    pub(super) index: usize,
    pub(super) variant: &'a Planned,
    pub(super) context: &'a Context<'a>,
    pub(super) talk: &'a Talk<'t>,
    pub(super) shared: &'a Mutex<Shared>,
    /// Did a prepared image fail its checksum?
    pub(super) damaged: AtomicBool,
}

/// What to set where a batch does not fit.
fn smaller(batch: u32, accumulate: u32) -> String {
    if batch < 4 {
        return "set a smaller `resize` or a smaller backbone, or run with  --device cpu".to_owned();
    }
    format!(
        "set  batch = {}  and  accumulate = {}  in `train`: {} step, in about half the memory",
        batch / 2,
        accumulate.saturating_mul(2),
        if batch.is_multiple_of(2) { "the same" } else { "nearly the same" }
    )
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the system has many kinds of errors")]
fn disk(what: &str, error: &std::io::Error) -> RunError {
    let help = match error.kind() {
        std::io::ErrorKind::StorageFull => "make room and run again: what is finished is kept",
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            "choose another folder with --store and --out"
        }
        _ => "mend that and run again: what is finished is kept",
    };
    RunError::failed(format!("{what}: {error}"), help)
}

impl Shared {
    /// What was done elsewhere is no news when it is found in the store.
    pub(super) fn tell(&mut self, key: Key) {
        self.told.insert(key);
    }
}

impl<'a, 't> Runner<'a, 't> {
    /// That of one of the plan's variants.
    pub(super) fn new(
        plan: &'a Plan,
        index: usize,
        context: &'a Context<'a>,
        talk: &'a Talk<'t>,
        shared: &'a Mutex<Shared>,
    ) -> Option<Self> {
        let variant = plan.variants.get(index)?;
        Some(Self { plan, index, variant, context, talk, shared, damaged: AtomicBool::new(false) })
    }

    fn key(&self, work: Work) -> Result<&Key, RunError> {
        self.plan
            .dag
            .find(self.index, work)
            .map(|node| &node.key)
            .ok_or_else(|| RunError::failed(format!("the plan has no step `{}`", work.title()), BUG))
    }

    /// The variant's first weights.
    pub(super) fn weights(&self) -> Option<&Found> {
        self.context.weights.get(self.index)?.as_deref()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that a step is done.
    fn finished(&self, work: Work, message: String) -> Result<(), RunError> {
        self.shared().told.insert(self.key(work)?.clone());
        say(self.talk, Event::Finished { work, message });
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.context.stop.load(Ordering::Relaxed)
    }

    fn device(&self) -> Result<burn::tensor::Device, RunError> {
        super::choose(self.context.device).map(|(_, device)| device)
    }

    /// Does work on the run's device.
    fn on_device<T>(&self, work: impl FnOnce() -> Result<T, TrainError>) -> Result<T, RunError> {
        let train = &self.variant.study.train;
        super::on_device(self.context.device, work, || smaller(train.batch, train.accumulate))?
            .map_err(|error| self.train_error(error))
    }

    /// What the store holds, read by `read`; what does not read is cleared away and made again.
    fn reuse<T>(&self, work: Work, read: impl Fn(&Stored) -> std::io::Result<T>) -> Result<Option<T>, RunError> {
        let key = self.key(work)?;
        let why = match self.context.store.look_up(key) {
            Lookup::Absent => return Ok(None),
            Lookup::Damaged(why) => why,
            Lookup::Present(stored) => match read(&stored) {
                Ok(value) => {
                    // What another variant has done or found is no news.
                    if self.shared().told.insert(key.clone()) {
                        say(self.talk, Event::Reused { work });
                    }
                    return Ok(Some(value));
                }
                Err(error) => error.to_string(),
            },
        };
        say(self.talk, Event::Note(format!("{} is damaged in the store ({why}); it is made again", work.title())));
        self.context.store.remove(key).map_err(|error| disk("a damaged step cannot be removed", &error))?;
        Ok(None)
    }

    /// After a prepared image failed its checksum: clears the set away, so that it is made again.
    pub(super) fn forget_damaged_images(&self) -> Result<bool, RunError> {
        let damaged = self.damaged.swap(false, Ordering::Relaxed);
        if damaged {
            self.shared().prepared = None;
            let title = Work::Prepare.title();
            say(self.talk, Event::Note(format!("{title} is damaged in the store; it is made again")));
            self.context
                .store
                .remove(self.key(Work::Prepare)?)
                .map_err(|error| disk("a damaged step cannot be removed", &error))?;
        }
        Ok(damaged)
    }

    fn draft(&self, work: Work) -> Result<Draft, RunError> {
        let refused = |error| disk("the store cannot be written", &error);
        let mut draft = self.context.store.draft(self.key(work)?).map_err(refused)?;
        if let Some(node) = self.plan.dag.find(self.index, work) {
            draft.explain(&node.parts).map_err(refused)?;
        }
        Ok(draft)
    }

    /// Decodes and prepares every image, or opens what was prepared before.
    pub(super) fn prepare(&self) -> Result<Arc<Prepared>, RunError> {
        let key = self.key(Work::Prepare)?;
        let open = self.shared().prepared.as_ref().filter(|(open, _)| open == key).map(|(_, set)| Arc::clone(set));
        let prepared = if let Some(prepared) = open {
            prepared
        } else {
            let prepared = Arc::new(self.prepared()?);
            self.shared().prepared = Some((key.clone(), Arc::clone(&prepared)));
            prepared
        };
        Ok(prepared)
    }

    /// What the pixels say, once they are read: E0206, W0207 and W0308; the warnings. The same pixels may lie in files
    /// of different bytes. Whose the images are is no part of what is kept, so this is asked each time.
    pub(super) fn twice(&self, prepared: &Prepared) -> Result<Problems, RunError> {
        let Planned { dataset, places, folds, .. } = self.variant;
        let mut problems = Problems::new();
        audit::tell(dataset, &audit::identical(dataset, &prepared.pixels), places, &mut problems);
        if problems.has_errors() {
            return Err(RunError::Problems(problems));
        }
        audit::tell_doubted(dataset, &audit::doubted(dataset, &prepared.pixels), places, &mut problems);
        audit::tell_near(dataset, &prepared.copies, &folds.fold, places, &mut problems);
        let new = !problems.is_empty() && !self.shared().warned.contains(&problems);
        if new {
            self.shared().warned.push(problems.clone());
            say(self.talk, Event::Warned(problems.clone()));
        }
        Ok(problems)
    }

    fn prepared(&self) -> Result<Prepared, RunError> {
        let work = Work::Prepare;
        let read = |stored: &Stored| {
            let pixels = stored.read(PIXELS)?.chunks_exact(32).filter_map(|digest| digest.try_into().ok()).collect();
            let copies = serde_json::from_slice(&stored.read(COPIES)?)?;
            Ok(Prepared { set: PreparedSet::open(&stored.path(IMAGES))?, pixels, copies })
        };
        if let Some(prepared) = self.reuse(work, read)? {
            return Ok(prepared);
        }
        let dataset = &self.variant.dataset;
        let total = dataset.images.len();
        say(self.talk, Event::Started { work, total: total as u64, unit: "images" });
        let mut draft = self.draft(work)?;
        let done = AtomicUsize::new(0);
        let progress = |_: usize| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            say(self.talk, Event::Advanced { work, done: done as u64, message: String::new() });
        };
        let prints = Mutex::new(BTreeMap::new());
        let side = self.variant.study.images.side();
        let channels = if self.variant.study.images.grey() || self.grey_source() { 1 } else { 3 };
        let built = PreparedSet::build(
            &draft.path(IMAGES),
            total,
            (channels, side),
            |index| self.image(index, &prints),
            &progress,
        );
        match built {
            Ok(_) => {}
            Err(PrepareError::Images(failures)) => {
                if self.stopped() {
                    return Err(RunError::Interrupted);
                }
                return Err(self.unreadable(&failures));
            }
            Err(PrepareError::Io(error)) => return Err(disk("prepared images cannot be written", &error)),
            Err(error @ PrepareError::Shape { .. }) => return Err(RunError::failed(error.to_string(), BUG)),
        }
        let prints: Vec<Option<Fingerprint>> =
            prints.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().map(Some).collect();
        let pixels: Vec<[u8; 32]> = prints.iter().flatten().map(|print| print.pixels).collect();
        let copies: Vec<Copies> = copies(&prints).into_iter().filter(|pair| !pair.exact).collect();
        drop(prints);
        let keep = |error: std::io::Error| disk("prepared images cannot be kept", &error);
        draft.adopt(IMAGES).map_err(keep)?;
        draft.write(PIXELS, pixels.as_flattened()).map_err(keep)?;
        draft.write(COPIES, &serde_json::to_vec(&copies).map_err(|error| keep(error.into()))?).map_err(keep)?;
        let stored = draft.commit().map_err(keep)?;
        let set =
            PreparedSet::open(&stored.path(IMAGES)).map_err(|error| disk("prepared images cannot be read", &error))?;
        self.finished(work, format!("{total} images"))?;
        Ok(Prepared { set, pixels, copies })
    }

    fn grey_source(&self) -> bool {
        matches!(self.variant.dataset.origin, Origin::Phantoms { .. })
    }

    fn image(&self, index: usize, prints: &Mutex<BTreeMap<usize, Fingerprint>>) -> Result<Pixels, String> {
        if self.stopped() {
            return Err("stopped".into());
        }
        let pixels = match &self.variant.dataset.origin {
            Origin::Phantoms { images, patients, seed } => {
                let row = self.variant.dataset.images.get(index).map_or(0, |image| image.row);
                phantom::draw(*images, *patients, *seed, row.saturating_sub(2))
            }
            Origin::Files { .. } => {
                let bytes = data::read_image(&self.variant.dataset, self.context.host, index)
                    .map_err(|error| error.to_string())?;
                let kind = images::decode::kind(&bytes).map_err(|error| error.to_string())?;
                let pixels = images::decode(&bytes).map_err(|error| error.to_string())?;
                let print = Fingerprint::of_pixels(kind, &pixels);
                prints.lock().unwrap_or_else(PoisonError::into_inner).insert(index, print);
                pixels
            }
        };
        Ok(images::prepare(&self.variant.study.images.prepare, pixels))
    }

    fn unreadable(&self, failures: &[(usize, String)]) -> RunError {
        let mut problems = Problems::new();
        if let Some((index, why)) = failures.first()
            && let Some(image) = self.variant.dataset.images.get(*index)
        {
            let place = self.variant.places.nearest("data.image");
            problems.unreadable_image(place, &image.name, image.row, why, failures.len());
        }
        RunError::Problems(problems)
    }

    /// Runs the frozen backbone over every image, where that is the same in every fold and epoch.
    pub(super) fn features(&self, prepared: &PreparedSet) -> Result<Option<Arc<FeatureTable>>, RunError> {
        let Some(node) = self.plan.dag.find(self.index, Work::Features) else { return Ok(None) };
        if let Some((read, table)) = &self.shared().features
            && *read == node.key
        {
            return Ok(Some(Arc::clone(table)));
        }
        let table = Arc::new(self.feature_table(prepared)?);
        self.shared().features = Some((node.key.clone(), Arc::clone(&table)));
        Ok(Some(table))
    }

    fn feature_table(&self, prepared: &PreparedSet) -> Result<FeatureTable, RunError> {
        let work = Work::Features;
        let read = |stored: &Stored| {
            FeatureTable::from_bytes(&stored.read(FEATURES)?)
                .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string()))
        };
        if let Some(table) = self.reuse(work, read)? {
            return Ok(table);
        }
        say(self.talk, Event::Started { work, total: prepared.count() as u64, unit: "images" });
        let weights = self.weights().ok_or_else(|| RunError::failed("frozen features need first weights", BUG))?;
        let study = &self.variant.study;
        let (mean, std) = images::normalisation(study.images.normalize, study.model.channels())
            .ok_or_else(|| RunError::failed("frozen features need one normalisation", BUG))?;
        let device = self.device()?;
        let table = self.on_device(|| {
            train::features(
                &self.variant.study,
                prepared,
                prepared.count(),
                weights,
                mean,
                std,
                &device,
                &mut |event| self.on_evaluated(work, &event),
            )
        })?;
        let mut draft = self.draft(work)?;
        draft.write(FEATURES, &table.to_bytes()).map_err(|error| disk("features cannot be kept", &error))?;
        draft.commit().map_err(|error| disk("features cannot be kept", &error))?;
        self.finished(work, format!("{} images", prepared.count()))?;
        Ok(table)
    }

    /// Trains one fold.
    pub(super) fn train(
        &self,
        fold: u32,
        prepared: &PreparedSet,
        features: Option<&FeatureTable>,
    ) -> Result<Trained, RunError> {
        let work = Work::Train(fold);
        let read = |stored: &Stored| {
            let model = stored.read(MODEL)?;
            let training: Training = serde_json::from_slice(&stored.read(TRAINING)?)?;
            Ok(Trained::new(fold, model, training))
        };
        if let Some(trained) = self.reuse(work, read)? {
            return Ok(trained);
        }
        let study = &self.variant.study;
        let roles = self.variant.folds.roles(fold);
        if let Err(leak) = split::assert_disjoint(&self.variant.dataset, &roles) {
            return Err(RunError::failed(format!("fold {fold} would leak: {leak}"), BUG));
        }
        let labels: Vec<u32> = self.variant.dataset.images.iter().map(|image| image.label).collect();
        let learned = roles.train.iter().chain(roles.watched(study)).copied();
        let seen = data::seen::note(&self.variant.dataset, learned);
        let input = FoldInput {
            study,
            seen: &seen,
            classes: &self.variant.dataset.classes,
            fold,
            prepared,
            labels: &labels,
            train: &roles.train,
            validation: roles.watched(study),
            weights: self.weights().map(|found| found as &dyn Source),
            frozen_features: features,
            device: &self.device()?,
        };
        let steps = roles.train.len().div_ceil(study.train.batch.max(1) as usize) as u64;
        let total = steps * u64::from(study.train.epochs);
        say(self.talk, Event::Started { work, total, unit: "steps" });
        let mut latest = String::new();
        let mut on_event = |event: train::Event| {
            match event {
                train::Event::Step { epoch, step, loss, .. } => {
                    let done = u64::from(epoch.saturating_sub(1)) * steps + u64::from(step);
                    let message = format!("epoch {epoch}/{}  loss {loss:.3}{latest}", study.train.epochs);
                    say(self.talk, Event::Advanced { work, done, message });
                }
                train::Event::Epoch(epoch) => {
                    latest = epoch
                        .validation
                        .map_or_else(String::new, |figures| format!("  val macro-F1 {:.3}", figures.macro_f1));
                }
                train::Event::Evaluated { .. } => {}
            }
            if self.stopped() { Flow::Stop } else { Flow::Continue }
        };
        let trained = self.on_device(|| train::train_fold(&input, &mut on_event))?;
        let training = Training {
            epochs: trained.epochs,
            kept_epoch: trained.kept_epoch,
            stopped: trained.stopped,
            mean: trained.mean,
            std: trained.std,
        };
        let keep = |error: std::io::Error| disk("a trained fold cannot be kept", &error);
        let mut draft = self.draft(work)?;
        draft.write(MODEL, &trained.model).map_err(keep)?;
        draft
            .write(TRAINING, &serde_json::to_vec_pretty(&training).map_err(|error| keep(error.into()))?)
            .map_err(keep)?;
        draft.commit().map_err(keep)?;
        let message = match &training.stopped {
            Some(why) => format!("kept epoch {}, {why}", training.kept_epoch),
            None => format!("kept epoch {} of {}", training.kept_epoch, study.train.epochs),
        };
        self.finished(work, message)?;
        Ok(Trained::new(fold, trained.model, training))
    }

    /// What a fold's network says of each image of [`split::Roles::scored`]: a row of probabilities an image.
    pub(super) fn predict(
        &self,
        fold: u32,
        prepared: &PreparedSet,
        trained: &Trained,
    ) -> Result<Vec<Vec<f32>>, RunError> {
        let work = Work::Predict(fold);
        let roles = self.variant.folds.roles(fold);
        let scored: Vec<usize> = roles.scored(&self.variant.study).collect();
        let read = |stored: &Stored| {
            let rows: Vec<Vec<f32>> = serde_json::from_slice(&stored.read(PROBABILITIES)?)?;
            if rows.len() == scored.len() {
                Ok(rows)
            } else {
                Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "another number of rows"))
            }
        };
        if let Some(rows) = self.reuse(work, read)? {
            return Ok(rows);
        }
        say(self.talk, Event::Started { work, total: scored.len() as u64, unit: "images" });
        let device = self.device()?;
        let rows = self.on_device(|| {
            train::predict(
                &self.variant.study,
                self.variant.dataset.classes.len(),
                &trained.model,
                prepared,
                &scored,
                trained.mean,
                trained.std,
                &device,
                &mut |event| self.on_evaluated(work, &event),
            )
        })?;
        let keep = |error: std::io::Error| disk("predictions cannot be kept", &error);
        let mut draft = self.draft(work)?;
        draft.write(PROBABILITIES, &serde_json::to_vec(&rows).map_err(|error| keep(error.into()))?).map_err(keep)?;
        draft.commit().map_err(keep)?;
        self.finished(work, format!("{} images", scored.len()))?;
        Ok(rows)
    }

    /// Passes on how far a network got through images, and whether to go on.
    fn on_evaluated(&self, work: Work, event: &train::Event) -> Flow {
        if let train::Event::Evaluated { done, .. } = event {
            say(self.talk, Event::Advanced { work, done: *done as u64, message: String::new() });
        }
        if self.stopped() { Flow::Stop } else { Flow::Continue }
    }

    fn train_error(&self, error: TrainError) -> RunError {
        if let TrainError::Image { error, .. } = &error {
            let damaged = error.kind() == std::io::ErrorKind::InvalidData;
            self.damaged.fetch_or(damaged, Ordering::Relaxed);
        }
        match error {
            TrainError::Interrupted => RunError::Interrupted,
            TrainError::Weights(error) => RunError::Problems(super::weights_problem(&self.variant.places, &error)),
            other @ (TrainError::Diverged { .. }
            | TrainError::Image { .. }
            | TrainError::TooFewImages { .. }
            | TrainError::Inconsistent(_)) => RunError::Failed { what: other.to_string(), help: None },
        }
    }
}

impl Trained {
    fn new(fold: u32, model: Vec<u8>, training: Training) -> Self {
        let record = FoldRecord {
            fold,
            epochs: training.epochs,
            kept_epoch: training.kept_epoch,
            stopped: training.stopped,
            model_blake3: Key::of(&model).as_str().into(),
        };
        Self { model, record, mean: training.mean, std: training.std }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_does_not_fit_is_cut_into_two() {
        let told = smaller;
        assert!(told(64, 1).starts_with("set  batch = 32  and  accumulate = 2  in `train`: the same step"));
        assert!(told(7, 3).starts_with("set  batch = 3  and  accumulate = 6  in `train`: nearly the same step"));
        assert!(told(2, 1).contains("resize"));
    }
}
