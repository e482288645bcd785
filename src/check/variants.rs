//! A study's settings become its variants: every default filled in, checked each for itself and against its images.

use std::path::Path;

use indexmap::IndexMap;

use super::eval::Evaluator;
use super::first_weights;
use super::reader::{Level, Reader};
use super::recall::{Recalled, recalled};
use super::{
    Choice, Compare, Report, Variant, compare, names_a_folder, read_data, read_model, report, rules, take, vary,
};
use crate::catalog::{blocks, datasets};
use crate::data::{self, Dataset};
use crate::diag::{Diagnostic, Problems};
use crate::host::Host;
use crate::leakage::{self, Explained, Facts, Flow, flow};
use crate::source::Span;
use crate::study::{
    Augment, Data, FoldKind, Group, LossTerm, Metric, Places, Predicate, Sampler, Slice, Source, Split, Study, Weights,
};
use crate::syntax::ast::Block;

/// From so many trainings on a grid is told to be large.
const MANY_TRAININGS: usize = 100;

/// Data sets by what they are made of.
#[derive(Debug, Default)]
pub(super) struct Datasets {
    /// Those that could be built.
    pub(super) built: Vec<Dataset>,
    /// Where the rows of each study come from, with the study's header.
    pub(super) sources: Vec<(Span, Source)>,
    /// The same, as a host with a memory keeps them.
    shared: Vec<Recalled<Option<Dataset>>>,
    tried: Vec<(Recipe, Option<usize>, Problems)>,
    /// What has been held against which data set; so much does not change with, say, the optimiser.
    judged: Vec<(usize, Judged, Problems)>,
}

/// What a data set is made of.
#[derive(Debug, PartialEq)]
struct Recipe {
    data: Data,
    folds: Option<FoldKind>,
    holdout: Option<Predicate>,
    slices: Vec<Slice>,
    /// `limit` draws.
    seed: Option<u64>,
}

/// What `data::checks` looks at beside the data.
#[derive(Debug, PartialEq)]
struct Judged {
    split: Split,
    loss: Vec<LossTerm>,
    augment: Vec<Augment>,
    batch: u32,
    sampler: Sampler,
    primary: Metric,
}

/// Where tables and files are looked for.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) base: &'a Path,
}

/// What came of one study.
pub(super) struct Grid {
    pub(super) variants: Vec<Variant>,
    pub(super) compare: Option<Compare>,
    pub(super) report: Report,
    /// Has every variant its images?
    pub(super) whole: bool,
}

/// Reads and checks every variant of a study. `complete`: could all that it extends be found?
pub(super) fn read<'a>(
    world: World<'_>,
    evaluator: Evaluator<'a>,
    (chain, complete): (&[Level<'a>], bool),
    datasets: &mut Datasets,
    seen: &mut Vec<Explained>,
) -> (Evaluator<'a>, Grid) {
    let mut reader = Reader::new(evaluator, chain);
    if !complete {
        reader.poison("*");
        reader.evaluator.mark_all_used();
    }
    let axes = vary::axes(&mut reader);
    let first = seen.len();
    let common = reader.common();
    let mut grid = Grid { variants: Vec::new(), compare: None, report: Report::default(), whole: true };
    let mut found = Vec::new();
    for taken in vary::combinations(&axes) {
        let chosen: Vec<(&vary::Axis, &vary::Choosable)> =
            axes.iter().zip(&taken).filter_map(|(axis, at)| Some((axis, axis.options.get(*at)?))).collect();
        let choices: Vec<_> =
            chosen.iter().map(|(axis, option)| (axis.path.as_str(), &option.value, axis.scope)).collect();
        reader.evaluator.refresh();
        reader.choose(&common, &choices);
        let before = std::mem::take(&mut reader.evaluator.problems);
        let study = study(world, &mut reader, chain);
        if let (Some(header), true) = (reader.places.get("study"), reader.is_right("data.table")) {
            datasets.sources.push((header, study.data.source.clone()));
        }
        let dataset = check(world, &mut reader, &study, datasets);
        grid.whole &= dataset.is_some();
        let labels: Vec<&str> = chosen.iter().map(|(_, option)| option.label.as_str()).collect();
        let name = labels.join("/");
        let images = dataset.and_then(|at| datasets.built.get(at));
        let flow = leakage(world, &study, images, &mut reader);
        found.push(std::mem::replace(&mut reader.evaluator.problems, before));
        seen.push(Explained { variant: name.clone(), flow, places: reader.places.clone() });
        grid.variants.push(Variant {
            name,
            choices: chosen
                .iter()
                .map(|(axis, option)| Choice {
                    path: axis.path.clone(),
                    label: option.label.clone(),
                    span: option.value.span,
                    at: axis.span,
                })
                .collect(),
            study,
            places: reader.places.clone(),
            settings: reader.meant.clone(),
            dataset: dataset.unwrap_or(0),
        });
    }
    tell(&mut reader, &found, &grid.variants);
    grid.compare = compare::read(&mut reader, &axes, &grid.variants);
    grid.report = report::read(&mut reader, &axes, &grid.variants, seen.get_mut(first..).unwrap_or_default());
    if grid.whole {
        size(&mut reader, &axes, &grid.variants, &datasets.built);
        same_images(&mut reader, &grid, &datasets.built);
    }
    (reader.evaluator, grid)
}

/// Tells what was found in the variants, each problem once; one that only some have, and that points at none of their
/// choices, says whose it is.
fn tell(reader: &mut Reader<'_>, found: &[Problems], variants: &[Variant]) {
    let mut told: IndexMap<&Diagnostic, Vec<&Variant>> = IndexMap::new();
    for (problems, variant) in found.iter().zip(variants) {
        for problem in problems.iter() {
            told.entry(problem).or_default().push(variant);
        }
    }
    for (problem, of) in told {
        let points = |choice: &Choice| problem.labels.iter().any(|label| choice.span.covers(label.span));
        let named = of.first().filter(|variant| of.len() < variants.len() && !variant.choices.iter().any(points));
        match named {
            Some(variant) => reader.evaluator.problems.push(problem.clone().in_variants(&variant.name, of.len() - 1)),
            None => reader.evaluator.problems.push(problem.clone()),
        }
    }
}

/// Every setting of the study, defaults filled in.
fn study(world: World<'_>, reader: &mut Reader<'_>, chain: &[Level<'_>]) -> Study {
    let name = chain.last().map_or_else(String::new, |level| name(reader, level.block));
    let question = reader.text(&blocks::STUDY, "question");
    let seed = reader.number(&blocks::STUDY, "seed").map_or(42, take::seed);
    let mut data = read_data::data(reader);
    let split = read_data::split(reader);
    let mut model = read_model::model(reader);
    reader.weights_want = match &model.weights {
        Weights::File { path, .. } => first_weights::wants(world.host, &world.base.join(path)),
        Weights::None | Weights::Hub { .. } | Weights::Imagenet | Weights::Imagenet21k | Weights::NoisyStudent => None,
    };
    let images = read_model::images(reader, &mut model);
    let train = read_model::train(reader, &data);
    let evaluate = read_model::evaluate(reader, &data.group);
    if let (Some(because), Group::None { because: none }) = (&evaluate.leak, &mut data.group)
        && none.is_empty()
    {
        none.clone_from(because);
    }
    Study { name, question, seed, data, split, images, model, train, evaluate }
}

fn name(reader: &mut Reader<'_>, block: &Block) -> String {
    let problems = &mut reader.evaluator.problems;
    match block.labels.as_slice() {
        [name] => {
            if !names_a_folder(&name.text) {
                problems.study_name(&name.text, name.span);
            }
            name.text.clone()
        }
        [] => {
            problems.block_without_name("study", block.keyword.span, "study my_study { ... }");
            String::new()
        }
        [_, second, ..] => {
            problems.block_label("study", &second.text, second.span);
            String::new()
        }
    }
}

/// Everything that is wrong with one variant; the index of its images.
fn check(world: World<'_>, reader: &mut Reader<'_>, study: &Study, datasets: &mut Datasets) -> Option<usize> {
    rules::check(reader, study);
    weights_file(world, study, reader);
    dataset(world, study, reader, datasets)
}

/// E0402 and E0902 as far as the file itself tells.
fn weights_file(world: World<'_>, study: &Study, reader: &mut Reader<'_>) {
    let (Weights::File { path, .. }, true) = (&study.model.weights, reader.sound(&["model.backbone"])) else { return };
    let Some(at) = reader.places.get("model.backbone.weights") else { return };
    let full = world.base.join(path);
    let name = path.display().to_string();
    let problems = &mut reader.evaluator.problems;
    match world.host.stat(&full) {
        Err(error) => problems.no_weights_file(&name, &error.to_string(), at),
        Ok(_) if path.extension().is_some_and(|end| end == "safetensors") => {}
        Ok(_) => match world.host.read(&full) {
            Err(error) => problems.no_weights_file(&name, &error.to_string(), at),
            Ok(bytes) if bytes.starts_with(b"PK\x03\x04") || matches!(bytes.as_slice(), [0x80, 2..=5, ..]) => {
                problems.pickle(&name, at);
            }
            Ok(_) => problems.weights_not_safetensors(&name, at),
        },
    }
}

/// E0301 to E0309: who has seen whom, by the study, the table and the weights.
fn leakage(world: World<'_>, study: &Study, dataset: Option<&Dataset>, reader: &mut Reader<'_>) -> Flow {
    let grouped = reader.is_written("data.group") || matches!(study.data.source, Source::Phantoms { .. });
    // Only E0301 wants it, and reading a table twice takes time.
    let patient_column = if grouped { None } else { data::patient_column(&study.data.source, world.base, world.host) };
    let mut facts = Facts::of(study, &reader.places, dataset);
    let single = dataset.is_some_and(|dataset| dataset.images.len() == dataset.patients.len());
    let known = matches!(study.data.group, Group::Column(_));
    facts.drawn_by_image = reader.drawn_by_image && known && !single;
    if let Some(trained_on) = reader.trained_on
        && let Some(columns) = data::column_names(&study.data.source, world.base, world.host)
        && let Some(card) = datasets::recognise(&columns)
        && datasets::overlap(trained_on, card)
    {
        facts.first_weights = Some(datasets::title(trained_on).to_owned());
    }
    if let (Weights::File { path, .. }, Some(dataset)) = (&study.model.weights, dataset)
        && data::seen::noted(world.host, &world.base.join(path), data::seen::NOTE)
            .is_some_and(|note| data::seen::met(&note, dataset))
    {
        facts.first_weights = Some("images of this very study, as the file itself notes".to_owned());
    }
    let context = leakage::Context {
        facts: &facts,
        places: &reader.places,
        sound: &|path| reader.sound(&[path]),
        patient_column: patient_column.as_ref(),
        complete: dataset.is_some() && reader.all_sound(),
    };
    let flow = flow::of(study, &facts);
    let mut found = Problems::new();
    leakage::tell(study, &flow, &context, &mut found);
    reader.evaluator.problems.extend(found);
    flow
}

/// Reads the table and checks the study against it, as far as the settings it needs are sound.
fn dataset(world: World<'_>, study: &Study, reader: &mut Reader<'_>, datasets: &mut Datasets) -> Option<usize> {
    if !reader.block_sound("data") || !reader.sound(&["split.cv", "split.holdout"]) {
        if reader.sound(&["data.table"]) {
            let mut found = Problems::new();
            let sound = |path: &str| reader.sound(&[path]);
            data::look(&study.data, &study.split, world.base, world.host, &reader.places, &sound, &mut found);
            reader.evaluator.problems.extend(found);
        }
        return None;
    }
    let slices = if reader.sound(&["evaluate.slices"]) { study.evaluate.slices.clone() } else { Vec::new() };
    let recipe = Recipe {
        data: study.data.clone(),
        folds: Some(study.split.cv.kind.clone()).filter(|kind| matches!(kind, FoldKind::FoldsFrom(_))),
        holdout: study.split.holdout_rows.clone(),
        slices: slices.clone(),
        seed: study.data.limit.as_ref().map(|_| study.seed),
    };
    let tried = datasets.tried.iter().find(|(tried, ..)| *tried == recipe);
    let at = if let Some((_, at, found)) = tried {
        reader.evaluator.problems.extend(found.clone());
        (*at)?
    } else {
        let mut found = Problems::new();
        let base = world.host.canonical(world.base).unwrap_or_else(|_| world.base.to_path_buf());
        let made_of = format!("{recipe:?} {} {}", study.seed, base.display());
        let built = recalled(world.host, &made_of, &reader.places, &mut found, |host, places, found| {
            let (data, split) = (&study.data, &study.split);
            let built = data::build(data, split, &slices, study.seed, world.base, host, places, found);
            if let Some(dataset) = &built {
                data::depth::check(dataset, host, places, found);
            }
            built
        });
        let at = built.is_some().then_some(datasets.built.len());
        datasets.built.extend((*built).clone());
        datasets.shared.extend(built.is_some().then(|| built.clone()));
        reader.evaluator.problems.extend(found.clone());
        datasets.tried.push((recipe, at, found));
        at?
    };
    // What is checked against the images also looks at the loss, the batch and the metrics.
    let judged = Judged {
        split: study.split.clone(),
        loss: study.train.loss.clone(),
        augment: study.images.augment.clone(),
        batch: study.train.batch,
        sampler: study.train.sampler.clone(),
        primary: study.evaluate.primary,
    };
    if reader.all_sound() {
        let known = datasets.judged.iter().find(|(of, one, _)| *of == at && *one == judged);
        if let Some((.., found)) = known {
            reader.evaluator.problems.extend(found.clone());
        } else {
            let images = datasets.shared.get(at)?.clone();
            let mut found = Problems::new();
            let judge = |places: &Places, found: &mut Problems| {
                if let Some(dataset) = images.as_ref() {
                    data::checks::check(study, dataset, places, found);
                }
            };
            if let Some(name) = &images.name {
                let made_of = format!("{judged:?} {name}");
                recalled(world.host, &made_of, &reader.places, &mut found, |_, places, found| judge(places, found));
            } else {
                judge(&reader.places, &mut found);
            }
            reader.evaluator.problems.extend(found.clone());
            datasets.judged.push((at, judged, found));
        }
    }
    Some(at)
}

/// How many networks a variant trains.
fn trainings(variant: &Variant, datasets: &[Dataset]) -> usize {
    let split = &variant.study.split;
    let given =
        || datasets.get(variant.dataset).and_then(|dataset| dataset.given_folds.as_ref()?.iter().max().copied());
    match (split.run.len(), split.cv.folds) {
        (0, 0) => given().map_or(1, |last| last as usize + 1),
        (0, folds) => folds as usize,
        (run, _) => run,
    }
}

/// W0702: a grid that takes long.
fn size(reader: &mut Reader<'_>, axes: &[vary::Axis], variants: &[Variant], datasets: &[Dataset]) {
    let total: usize = variants.iter().map(|variant| trainings(variant, datasets)).sum();
    if axes.is_empty() || total < MANY_TRAININGS {
        return;
    }
    let counts: Vec<usize> = axes.iter().map(|axis| axis.options.len()).collect();
    let spans: Vec<Span> = axes.iter().map(|axis| axis.span).collect();
    reader.evaluator.problems.grid_is_large(&counts, variants.len(), total, &spans, None);
}

/// E0706: a paired test wants the same images of every variant.
fn same_images(reader: &mut Reader<'_>, grid: &Grid, datasets: &[Dataset]) {
    let Some(compare) = &grid.compare else { return };
    let Some(baseline) = grid.variants.iter().find(|variant| variant.name == compare.baseline) else { return };
    let differ = |a: &Variant, b: &Variant| -> Option<&'static str> {
        let (a_split, b_split) = (&a.study.split, &b.study.split);
        if a.dataset != b.dataset {
            let (a, b) = (datasets.get(a.dataset)?, datasets.get(b.dataset)?);
            let named = |one: &data::Image| (one.name.clone(), one.label);
            let same = a.classes == b.classes && a.images.iter().map(named).eq(b.images.iter().map(named));
            return (!same).then_some("data");
        }
        let dealt = a_split.cv == b_split.cv && a.study.seed == b.study.seed;
        #[expect(clippy::float_cmp, reason = "shares as they were written")]
        let holdout = a_split.holdout == b_split.holdout
            && a_split.holdout_rows == b_split.holdout_rows
            && (dealt || a_split.holdout == 0.0);
        let run = a_split.run == b_split.run && (dealt || a_split.run.is_empty());
        match (holdout, run) {
            (false, _) => Some("split.holdout"),
            (_, false) => Some("split.run"),
            (true, true) => None,
        }
    };
    for variant in &grid.variants {
        let Some(block) = differ(baseline, variant) else { continue };
        let choice =
            variant.choices.iter().zip(&baseline.choices).filter(|(one, other)| one.label != other.label).min_by_key(
                |(one, _)| {
                    !(one.path.starts_with(block)
                        || one.path.starts_with("data")
                        || one.path.starts_with("split")
                        || one.path == "seed")
                },
            );
        if let Some((choice, _)) = choice {
            reader.evaluator.problems.compared_images_differ(
                (&baseline.name, &variant.name),
                compare.span,
                choice.span,
            );
        }
        return;
    }
}
