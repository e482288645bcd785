//! A tree and the catalog become a [`Study`]: names, types, units, ranges, leakage, and what the table says.
//!
//! All problems of a file are found at once, and none that only follows from another: a setting that was wrong
//! is *poisoned*, and whatever would look at it stays silent. A study comes out only if no error was found.

mod eval;
mod params;
mod read_data;
mod read_model;
mod reader;
mod rules;
mod run;
mod take;
mod value;

use std::path::{Path, PathBuf};

use self::eval::Evaluator;
pub use self::params::{Overrides, Pick};
use self::reader::Reader;
pub use self::run::{Device, RunBlock, RunBlocks};
use crate::catalog::blocks;
use crate::data::{self, Dataset};
use crate::diag::{Code, Problems};
use crate::host::Host;
use crate::source::{FileId, SourceMap, Span};
use crate::study::{Places, Source, Study, Weights};
use crate::syntax::ast::{Block, File, Item, Name, Param};

/// The edition this program knows.
pub const EDITION: &str = "2026";

/// What came of checking one file.
#[derive(Debug)]
pub struct Outcome {
    /// The file, the values file and the command line: what problems point into.
    pub map: SourceMap,
    /// Everything found wrong.
    pub problems: Problems,
    /// The study, if no error was found.
    pub checked: Option<Checked>,
    /// The images of its variants, as far as tables could be read; equal data are built once.
    pub datasets: Vec<Dataset>,
}

/// A study that holds, and what belongs beside it.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its file in the [`SourceMap`].
    pub file: FileId,
    /// The study file's folder; relative paths of the study start here.
    pub base: PathBuf,
    /// Where it may run.
    pub run: RunBlocks,
    /// What is meant: one variant, or as many as `vary` makes. Never empty; in the order of the file, the choices of
    /// the first `vary` changing slowest.
    pub variants: Vec<Variant>,
    /// How variants are compared; `None` without a `compare` block.
    pub compare: Option<Compare>,
}

impl Checked {
    /// The study's name, which all variants share.
    #[must_use]
    pub fn name(&self) -> &str {
        self.variants.first().map_or("", |variant| &variant.study.name)
    }

    /// The variant of a name.
    #[must_use]
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }
}

/// One study out of those a file stands for.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The labels of its choices, `resnet18/ce`; empty when nothing varies. Unique among the variants of a study.
    pub name: String,
    /// What was chosen, in the order of the `vary` lines.
    pub choices: Vec<Choice>,
    /// What is meant.
    pub study: Study,
    /// Where each setting was written, in whichever file.
    pub places: Places,
    /// Its images: an index into [`Outcome::datasets`].
    pub dataset: usize,
}

/// What a variant takes of one `vary`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The setting that varies, `model.backbone`.
    pub path: String,
    /// What it is called: the key of the record, or made of the value. No `/` and no blank at its ends.
    pub label: String,
    /// Where the value stands.
    pub span: Span,
}

/// `compare { ... }`: what the report says of differences between variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Compare {
    /// The name of the variant that all others are compared with.
    pub baseline: String,
    /// How a difference is judged.
    pub test: CompareTest,
    /// How several differences are judged together.
    pub correction: Correction,
    /// Where the block stands.
    pub span: Span,
}

/// Tests of a difference between two variants on the same patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareTest {
    /// Patients drawn with replacement, both variants judged on the same draws.
    PairedBootstrap {
        /// How many draws.
        draws: u32,
    },
}

/// How p-values of several comparisons are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// Holm's step-down procedure.
    Holm,
    /// As they are.
    None,
}

/// Checks a `.pipe` file and the table it names.
pub fn check_file(host: &dyn Host, path: &Path, overrides: &Overrides) -> Outcome {
    let name = path.display().to_string();
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    match host.read(path) {
        Ok(bytes) => check_bytes(host, &name, Some(path.to_path_buf()), &bytes, &base, overrides),
        Err(error) => {
            let mut problems = Problems::new();
            problems.file_unreadable(&name, &error.to_string());
            Outcome { map: SourceMap::new(), problems, checked: None, datasets: Vec::new() }
        }
    }
}

/// Checks a text as if it were a file in the folder `base`, for editors and tests.
pub fn check_source(host: &dyn Host, name: &str, text: &str, base: &Path, overrides: &Overrides) -> Outcome {
    check_bytes(host, name, None, text.as_bytes(), base, overrides)
}

fn check_bytes(
    host: &dyn Host,
    name: &str,
    path: Option<PathBuf>,
    bytes: &[u8],
    base: &Path,
    overrides: &Overrides,
) -> Outcome {
    let mut map = SourceMap::new();
    let (id, parsed) = crate::syntax::read(&mut map, name, path, bytes);
    let mut problems = parsed.problems;
    let (meant, datasets) = check_tree(host, &mut map, (id, &parsed.file), base, overrides, &mut problems);
    let checked = meant.filter(|_| !problems.has_errors());
    Outcome { map, problems, checked, datasets }
}

fn check_tree(
    host: &dyn Host,
    map: &mut SourceMap,
    (id, file): (FileId, &File),
    base: &Path,
    overrides: &Overrides,
    problems: &mut Problems,
) -> (Option<Checked>, Vec<Dataset>) {
    edition(file, problems);
    let params: Vec<&Param> = file
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Param(param) => Some(param),
            Item::Let(_) | Item::Use(_) | Item::Block(_) | Item::Error(_) => None,
        })
        .collect();
    let given = params::given(map, overrides, &params, problems);
    let mut evaluator = Evaluator::new();
    params::bind(&params, &given, &mut evaluator);
    let (studies, mut run) = items(file, &mut evaluator);
    // A file that was not admitted has no items; one that was mended may have lost its study's header.
    let refused = file.items.is_empty() && problems.has(Code::E0007);
    let broken = refused || file.items.iter().any(|item| matches!(item, Item::Error(_)));
    if broken {
        evaluator.mark_all_used();
    }
    let picked = pick(map, file, &studies, &overrides.study, broken, &mut evaluator);
    if picked.is_empty() {
        evaluator.mark_all_used();
    }
    let mut variants = Vec::new();
    let mut datasets = Vec::new();
    for block in &picked {
        let mut reader = Reader::new(evaluator, block);
        let study = read(&mut reader, block);
        // Only E0301 wants it, and reading a table twice takes time.
        let patient_column = if reader.is_written("data.group") { None } else { patient_column(host, base, &study) };
        rules::check(&mut reader, &study, patient_column.as_deref());
        weights_file(host, base, &study, &mut reader);
        let dataset = dataset(host, base, &study, &mut reader);
        let places;
        Reader { evaluator, places, .. } = reader;
        variants.push(Variant { name: String::new(), choices: Vec::new(), study, places, dataset: datasets.len() });
        datasets.extend(dataset);
    }
    runs(file, &mut evaluator, &mut run);
    evaluator.warn_unused();
    problems.extend(evaluator.problems);
    let checked = Checked { file: id, base: base.to_path_buf(), run, variants, compare: None };
    (Some(checked).filter(|_| picked.len() == 1), datasets)
}

/// The studies to look at; none after telling E0112.
fn pick<'a>(
    map: &mut SourceMap,
    file: &File,
    studies: &[&'a Block],
    pick: &Pick,
    broken: bool,
    evaluator: &mut Evaluator<'_>,
) -> Vec<&'a Block> {
    let problems = &mut evaluator.problems;
    let name = |block: &&'a Block| block.labels.first().map_or("", |label| label.text.as_str());
    let names: Vec<&str> = studies.iter().map(name).collect();
    let spans: Vec<Span> = studies.iter().map(|block| block.keyword.span).collect();
    if studies.is_empty() {
        // One that was mended may have lost its study's header.
        if !broken {
            problems.no_study(file.span);
        }
        return Vec::new();
    }
    match pick {
        Pick::Every => studies.to_vec(),
        Pick::Only if studies.len() == 1 => studies.to_vec(),
        Pick::Only => {
            problems.several_studies(&spans, &names);
            Vec::new()
        }
        Pick::Named(wanted) => {
            let picked: Vec<&Block> = studies.iter().filter(|block| name(block) == wanted).copied().collect();
            if picked.is_empty() {
                let text = format!("--study {wanted}");
                let start = "--study ".len();
                let line = map.add("command line", None, text.clone());
                problems.no_such_study(wanted, Span::new(line, start, text.len()), &names);
            }
            picked
        }
    }
}

fn edition(file: &File, problems: &mut Problems) {
    if let Some(edition) = &file.edition
        && let Some(text) = edition.plain()
        && text != EDITION
    {
        problems.unknown_edition(&text, EDITION, edition.span);
    }
}

/// Takes the top-level names in, and picks the studies out.
fn items<'a>(file: &'a File, evaluator: &mut Evaluator<'a>) -> (Vec<&'a Block>, RunBlocks) {
    let mut studies: Vec<&Block> = Vec::new();
    for item in &file.items {
        match item {
            Item::Let(one) => evaluator.bind_let(&one.name, &one.value, 0),
            Item::Use(one) => {
                evaluator.problems.not_yet("use", one.path.span, "copy what you need into this file");
                for name in one.names.iter().chain(&one.alias) {
                    evaluator.import(name);
                }
                evaluator.mark_all_used();
            }
            Item::Block(block) => match block.keyword.text.as_str() {
                "study" => {
                    let named = |label: &Name| {
                        let first = |block: &&Block| block.labels.first().is_some_and(|first| first.text == label.text);
                        studies.iter().copied().find(first).and_then(|block: &Block| block.labels.first())
                    };
                    if let Some((first, second)) = block.labels.first().and_then(|label| Some((named(label)?, label))) {
                        evaluator.problems.name_twice(&second.text, first.span, second.span);
                    } else {
                        studies.push(block);
                    }
                }
                "run" => {}
                other => {
                    let inside = blocks::block(other).is_some() || blocks::LATER_BLOCKS.contains(&other);
                    evaluator.problems.unknown_item(other, block.keyword.span, inside);
                    evaluator.mark_all_used();
                }
            },
            Item::Param(_) | Item::Error(_) => {}
        }
    }
    (studies, RunBlocks::default())
}

fn runs<'a>(file: &'a File, evaluator: &mut Evaluator<'a>, run: &mut RunBlocks) {
    for item in &file.items {
        match item {
            Item::Block(block) if block.keyword.text == "run" => run::read(block, evaluator, run),
            Item::Block(_) | Item::Param(_) | Item::Let(_) | Item::Use(_) | Item::Error(_) => {}
        }
    }
}

/// May a study be called so? Its results lie in a folder of its name.
fn names_a_folder(name: &str) -> bool {
    let ends = |c: char| c.is_alphanumeric() || c == '_';
    name.chars().count() <= 100
        && name.starts_with(ends)
        && name.ends_with(ends)
        && name.chars().all(|c| ends(c) || matches!(c, '-' | '.' | ' '))
}

/// Every setting of the study, defaults filled in.
fn read(reader: &mut Reader<'_>, block: &Block) -> Study {
    let name = match block.labels.as_slice() {
        [name] => {
            if !names_a_folder(&name.text) {
                reader.evaluator.problems.study_name(&name.text, name.span);
            }
            name.text.clone()
        }
        [] => {
            let problems = &mut reader.evaluator.problems;
            problems.block_without_name("study", block.keyword.span, "study my_study { ... }");
            String::new()
        }
        [_, second, ..] => {
            reader.evaluator.problems.block_label("study", &second.text, second.span);
            String::new()
        }
    };
    if let Some(extends) = &block.extends {
        reader.evaluator.problems.not_yet("extends", extends.span, "copy the settings of that study into this one");
        reader.evaluator.mark_all_used();
        reader.poison("*");
    }
    let question = reader.text(&blocks::STUDY, "question");
    let seed = reader.number(&blocks::STUDY, "seed").map_or(42, take::seed);
    let data = read_data::data(reader);
    let split = read_data::split(reader);
    let model = read_model::model(reader);
    let images = read_model::images(reader, model.backbone);
    let train = read_model::train(reader, &data);
    let evaluate = read_model::evaluate(reader, &data.group);
    Study { name, question, seed, data, split, images, model, train, evaluate }
}

/// E0402 and E0902 as far as the file itself tells.
fn weights_file(host: &dyn Host, base: &Path, study: &Study, reader: &mut Reader<'_>) {
    let (Weights::File(path), true) = (&study.model.weights, reader.sound(&["model.backbone"])) else { return };
    let Some(at) = reader.places.get("model.backbone.weights") else { return };
    let full = base.join(path);
    let name = path.display().to_string();
    let problems = &mut reader.evaluator.problems;
    match host.stat(&full) {
        Err(error) => problems.no_weights_file(&name, &error.to_string(), at),
        Ok(_) if path.extension().is_some_and(|end| end == "safetensors") => {}
        Ok(_) => match host.read(&full) {
            Err(error) => problems.no_weights_file(&name, &error.to_string(), at),
            Ok(bytes) if bytes.starts_with(b"PK\x03\x04") || matches!(bytes.as_slice(), [0x80, 2..=5, ..]) => {
                problems.pickle(&name, at);
            }
            Ok(_) => problems.weights_not_safetensors(&name, at),
        },
    }
}

/// A column of the table that looks like the patients', for the help of E0301.
fn patient_column(host: &dyn Host, base: &Path, study: &Study) -> Option<String> {
    let Source::Csv { path } = &study.data.source else { return None };
    let header = data::csv::header(&host.read(&base.join(path)).ok()?).ok()?;
    let looks_right = |name: &&String| {
        let name = name.to_lowercase();
        ["patient", "subject", "person", "case_id"].iter().any(|word| name.contains(word))
    };
    header
        .names
        .iter()
        .filter(looks_right)
        .find(|name| name.to_lowercase().contains("id"))
        .or_else(|| header.names.iter().find(looks_right))
        .cloned()
}

/// Reads the table and checks the study against it, as far as the settings it needs are sound.
fn dataset(host: &dyn Host, base: &Path, study: &Study, reader: &mut Reader<'_>) -> Option<Dataset> {
    if !reader.block_sound("data") || !reader.sound(&["split.cv"]) {
        return None;
    }
    let problems = &mut reader.evaluator.problems;
    let dataset = data::build(&study.data, &study.split.cv, study.seed, base, host, &reader.places, problems)?;
    // What is checked against the images also looks at the loss, the batch and the metrics.
    if reader.all_sound() {
        data::checks::check(study, &dataset, &reader.places, &mut reader.evaluator.problems);
    }
    Some(dataset)
}
