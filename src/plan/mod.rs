//! A study and what is already in the store become a plan: each step with its key, and run or reuse, and why.
//!
//! Reads the bytes of every image once to name them by content (remembered in the store by size and stamp),
//! finds pixels that belong to two patients on the way, and deals the folds.

mod text;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::check::{Checked, Variant};
use crate::data::{Dataset, Origin, audit};
use crate::diag::Problems;
use crate::graph::{self, Dag, Inputs, Key, Node, NodeId};
use crate::host::{Host, Stat};
use crate::record::SplitTable;
use crate::split::{self, Folds};
use crate::store::{Digests, Lookup, Store};
use crate::study::{Source, Study};

/// What becomes of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is done now.
    Run,
    /// Its result is in the store.
    Reuse,
    /// It takes less time than reading it back.
    Recompute,
}

/// One step of a plan.
#[derive(Debug, Clone)]
pub struct Step {
    /// The node.
    pub id: NodeId,
    /// What becomes of it.
    pub action: Action,
    /// Why, in a few words.
    pub why: String,
}

/// A study that is ready to run.
#[derive(Debug)]
pub struct Plan {
    /// What is meant.
    pub study: Study,
    /// Images of patients.
    pub dataset: Dataset,
    /// Who is in which fold.
    pub folds: Folds,
    /// The folds that are trained, ascending.
    pub trained: Vec<u32>,
    /// Who is in which fold, in numbers, with what was asserted.
    pub split: SplitTable,
    /// The graph.
    pub dag: Dag,
    /// Its nodes, in an order in which they can be done.
    pub steps: Vec<Step>,
}

/// How a plan is made.
#[derive(Default)]
pub struct Options<'a> {
    /// Read every image again instead of trusting size and stamp.
    pub verify: bool,
    /// sha256 of the first weights' file, if the study has one.
    pub weights: Option<String>,
    /// Told how many images of how many have been read.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
}

/// Plans one variant of a checked study; `dataset` is the variant's.
///
/// # Errors
/// Problems found only in the bytes: unreadable files, pixels of two patients, folds that cannot be dealt.
pub fn plan(
    checked: &Checked,
    variant: &Variant,
    dataset: Dataset,
    host: &dyn Host,
    store: Option<&Store>,
    options: &Options<'_>,
) -> Result<Plan, Problems> {
    let mut problems = Problems::new();
    let study = variant.study.clone();
    let images = image_keys(&dataset, host, store, options, &mut problems, variant);
    let table = table_key(&study, checked, host);
    if images.len() == dataset.images.len() {
        audit::tell(&dataset, &audit::identical(&dataset, &images), &variant.places, &mut problems);
    }
    if problems.has_errors() {
        return Err(problems);
    }
    let folds = match split::deal(&study.split, &dataset, study.seed) {
        Ok(folds) => folds,
        Err(error) => {
            problems.cannot_split(variant.places.nearest("split.cv"), &error.to_string());
            return Err(problems);
        }
    };
    let trained: Vec<u32> =
        (0..folds.count).filter(|fold| study.split.run.is_empty() || study.split.run.contains(fold)).collect();
    if trained.is_empty() {
        problems.no_such_fold(variant.places.nearest("split.run"), &study.split.run, folds.count);
        return Err(problems);
    }
    if let Some((fold, class)) = split::untaught(&dataset, &folds, &trained) {
        problems.fold_without_class(variant.places.nearest("split.cv"), fold, &class);
        return Err(problems);
    }
    let split = match split::table(&study.split, &dataset, &folds, &trained, study.evaluate.leak.is_some()) {
        Ok(table) => table,
        Err(leak) => {
            problems.leak_in_folds(variant.places.nearest("split.cv"), &leak.to_string());
            return Err(problems);
        }
    };
    let inputs = Inputs {
        table,
        images,
        labels: dataset.images.iter().map(|image| image.label).collect(),
        classes: dataset.classes.clone(),
        weights: options.weights.clone(),
    };
    let dag = graph::build(&study, &inputs, &folds, &trained);
    let steps = dag.nodes().map(|(id, node)| step(id, node, store)).collect();
    Ok(Plan { study, dataset, folds, trained, split, dag, steps })
}

fn step(id: NodeId, node: &Node, store: Option<&Store>) -> Step {
    if !node.work.is_stored() {
        return Step { id, action: Action::Recompute, why: "quicker than reading it back".into() };
    }
    let (action, why) = match store.map(|store| store.look_up(&node.key)) {
        None | Some(Lookup::Absent) => (Action::Run, "not done yet".into()),
        Some(Lookup::Present(_)) => (Action::Reuse, "same content key in the store".into()),
        Some(Lookup::Damaged(why)) => (Action::Run, format!("in the store, but {why}")),
    };
    Step { id, action, why }
}

fn table_key(study: &Study, checked: &Checked, host: &dyn Host) -> Option<Key> {
    match &study.data.source {
        Source::Csv { path } => host.read(&checked.base.join(path)).ok().map(|bytes| Key::of(&bytes)),
        Source::Folder { .. } | Source::Phantoms { .. } => None,
    }
}

/// The content of every image, in the data set's order.
fn image_keys(
    dataset: &Dataset,
    host: &dyn Host,
    store: Option<&Store>,
    options: &Options<'_>,
    problems: &mut Problems,
    variant: &Variant,
) -> Vec<Key> {
    let under = match &dataset.origin {
        Origin::Phantoms { images, patients, seed } => {
            let key = |row: u32| Key::of(format!("phantom 1 {images} {patients} {seed} {row}").as_bytes());
            return dataset.images.iter().map(|image| key(image.row)).collect();
        }
        Origin::Files { under } => under,
    };
    let mut digests = store.map(Digests::open);
    let path_of = |index: usize| -> PathBuf {
        dataset.images.get(index).map_or_else(PathBuf::new, |image| under.join(&image.name))
    };
    let done = AtomicUsize::new(0);
    let total = dataset.images.len();
    let read: Vec<Result<(Key, Option<Stat>), String>> = (0..total)
        .into_par_iter()
        .map(|index| {
            let remembered = digests
                .as_ref()
                .filter(|_| !options.verify)
                .and_then(|digests| digests.remembered(&path_of(index), host));
            let key = if let Some(key) = remembered {
                Ok((key, None))
            } else {
                let stat = host.stat(&path_of(index)).ok();
                crate::data::read_image(dataset, host, index)
                    .map(|bytes| (Key::of(&bytes), stat))
                    .map_err(|error| error.to_string())
            };
            if let Some(progress) = options.progress {
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            }
            key
        })
        .collect();
    let mut keys = Vec::with_capacity(total);
    let mut failed = Vec::new();
    for (index, result) in read.into_iter().enumerate() {
        match result {
            Ok((key, stat)) => {
                if let (Some(digests), Some(stat)) = (digests.as_mut(), stat) {
                    digests.remember(&path_of(index), &key, stat);
                }
                keys.push(key);
            }
            Err(error) => failed.push((index, error)),
        }
    }
    // Remembering is an accelerator: a read-only store must not stop a plan.
    let _ = digests.as_mut().map(Digests::save);
    if let Some((index, error)) = failed.first()
        && let Some(image) = dataset.images.get(*index)
    {
        let place = variant.places.nearest("data.image");
        problems.unreadable_image(place, &image.name, image.row, error, failed.len());
    }
    keys
}
