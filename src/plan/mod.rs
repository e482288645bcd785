//! A study's variants and what is already in the store become a plan: each step with its key, and run or reuse, and why.
//!
//! Reads the bytes of every image once to name them by content (remembered in the store by size and stamp),
//! finds pixels that belong to two patients on the way, and deals the folds.

mod cost;
mod text;
mod why;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde_json::json;

pub use cost::{Estimate, Rate, Rates};

use crate::check::{Checked, Choice, Compare, Headline, Variant};
use crate::data::{Dataset, Origin, audit};
use crate::diag::Problems;
use crate::graph::{self, Dag, Inputs, Key, Node, NodeId, Part};
use crate::host::{Host, Stat};
use crate::record::SplitTable;
use crate::split::{self, Folds};
use crate::store::{Digests, Lookup, Store};
use crate::study::{Places, Source, Split, Study};

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

/// A study that is ready to run: one variant, or as many as `vary` makes.
#[derive(Debug)]
pub struct Plan {
    /// Never empty, in the order of the file.
    pub variants: Vec<Planned>,
    /// How they are compared, if the study says so.
    pub compare: Option<Compare>,
    /// What the report leads with, if the study says so.
    pub headline: Option<Headline>,
    /// The work of all variants; equal work is one node.
    pub dag: Dag,
    /// Its nodes, in an order in which they can be done.
    pub steps: Vec<Step>,
}

/// One variant that is ready to run.
#[derive(Debug)]
pub struct Planned {
    /// `resnet18/ce`; empty when nothing varies.
    pub name: String,
    /// What was chosen, in the order of the `vary` lines.
    pub choices: Vec<Choice>,
    /// What is meant.
    pub study: Study,
    /// Where each setting was written.
    pub places: Places,
    /// Images of patients.
    pub dataset: Arc<Dataset>,
    /// Who is in which fold.
    pub folds: Arc<Folds>,
    /// The folds that are trained, ascending.
    pub trained: Vec<u32>,
    /// Who is in which fold, in numbers, with what was asserted.
    pub split: SplitTable,
}

/// How a plan is made.
#[derive(Default)]
pub struct Options<'a> {
    /// Read every image again instead of trusting size and stamp.
    pub verify: bool,
    /// sha256 of the first weights' file of each variant that has one, in their order; left out: none has.
    pub weights: Vec<Option<String>>,
    /// Told how many images of how many have been read.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
}

/// Plans a checked study; `datasets` are what its variants' indices point into.
///
/// # Errors
/// Problems found only in the bytes: unreadable files, pixels of two patients, folds that cannot be dealt.
pub fn plan(
    checked: &Checked,
    datasets: Vec<Dataset>,
    host: &dyn Host,
    store: Option<&Store>,
    options: &Options<'_>,
) -> Result<Plan, Problems> {
    let mut problems = Problems::new();
    let datasets: Vec<Arc<Dataset>> = datasets.into_iter().map(Arc::new).collect();
    // Each data set is read once, and dealt once for each way to deal it.
    let mut read: BTreeMap<usize, (Option<Key>, Vec<Key>)> = BTreeMap::new();
    let mut inputs: BTreeMap<(usize, Option<String>), Arc<Inputs>> = BTreeMap::new();
    let mut dealt: Vec<Dealt> = Vec::new();
    let mut variants: Vec<(Planned, Arc<Inputs>)> = Vec::new();
    for (index, variant) in checked.variants.iter().enumerate() {
        let Some(dataset) = datasets.get(variant.dataset).map(Arc::clone) else { continue };
        let (table, images) = read.entry(variant.dataset).or_insert_with(|| {
            let keys = image_keys(&dataset, host, store, options, &mut problems, variant);
            if keys.len() == dataset.images.len() {
                audit::tell(&dataset, &audit::identical(&dataset, &keys), &variant.places, &mut problems);
            }
            (table_key(&variant.study, checked, host), keys)
        });
        if problems.has_errors() {
            continue;
        }
        let study = &variant.study;
        let asked = (variant.dataset, &study.split, study.seed);
        let known = dealt.iter().find(|dealt| (dealt.dataset, &dealt.split, dealt.seed) == asked);
        let (folds, trained, split) = if let Some(dealt) = known {
            dealt.folds.clone()
        } else {
            let Some(folds) = deal(variant, &dataset, &mut problems) else { continue };
            dealt.push(Dealt {
                dataset: variant.dataset,
                split: study.split.clone(),
                seed: study.seed,
                folds: folds.clone(),
            });
            folds
        };
        let weights = options.weights.get(index).cloned().flatten();
        let inputs = inputs.entry((variant.dataset, weights.clone())).or_insert_with(|| {
            Arc::new(Inputs {
                table: table.clone(),
                images: images.clone(),
                labels: dataset.images.iter().map(|image| image.label).collect(),
                classes: dataset.classes.clone(),
                weights,
            })
        });
        let inputs = Arc::clone(inputs);
        let planned = Planned {
            name: variant.name.clone(),
            choices: variant.choices.clone(),
            study: study.clone(),
            places: variant.places.clone(),
            dataset,
            folds,
            trained,
            split,
        };
        variants.push((planned, inputs));
    }
    if problems.has_errors() {
        return Err(problems);
    }
    let parts: Vec<Part<'_>> = variants
        .iter()
        .map(|(planned, inputs)| Part {
            name: &planned.name,
            study: &planned.study,
            inputs,
            folds: &planned.folds,
            trained: &planned.trained,
        })
        .collect();
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let (compare, headline) = (checked.compare.clone(), checked.report.headline.clone());
    let comparison = json!([names, compare.as_ref().map(Compare::content), headline]);
    let dag = graph::build(&parts, &comparison);
    let steps = dag.nodes().map(|(id, node)| step(id, node, store)).collect();
    let variants = variants.into_iter().map(|(planned, _)| planned).collect();
    Ok(Plan { variants, compare, headline, dag, steps })
}

/// Who is in which fold, which folds are trained, and both in numbers.
type Deal = (Arc<Folds>, Vec<u32>, SplitTable);

/// A data set dealt in one way.
struct Dealt {
    dataset: usize,
    split: Split,
    seed: u64,
    folds: Deal,
}

/// Deals a variant's data set; `None` after telling why it cannot be.
fn deal(variant: &Variant, dataset: &Dataset, problems: &mut Problems) -> Option<Deal> {
    let (study, places) = (&variant.study, &variant.places);
    let folds = match split::deal(&study.split, dataset, study.seed) {
        Ok(folds) => folds,
        Err(error) => {
            problems.cannot_split(places.nearest("split.cv"), &error.to_string());
            return None;
        }
    };
    let trained: Vec<u32> =
        (0..folds.count).filter(|fold| study.split.run.is_empty() || study.split.run.contains(fold)).collect();
    let unknown: Vec<u32> = study.split.run.iter().copied().filter(|fold| *fold >= folds.count).collect();
    if !unknown.is_empty() {
        problems.no_such_fold(places.nearest("split.run"), &unknown, folds.count);
        return None;
    }
    if let Some((fold, class)) = split::untaught(dataset, &folds, &trained) {
        problems.fold_without_class(places.nearest("split.cv"), fold, &class);
        return None;
    }
    match split::table(&study.split, dataset, &folds, &trained, study.evaluate.leak.is_some()) {
        Ok(table) => Some((Arc::new(folds), trained, table)),
        Err(leak) => {
            problems.leak_in_folds(places.nearest("split.cv"), &leak.to_string());
            None
        }
    }
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
