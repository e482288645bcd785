//! A tree and the catalog become a [`Study`]: names, types, units, ranges, leakage, and what the table says.
//!
//! All problems of a file are found at once, and none that only follows from another: a setting that was wrong
//! is *poisoned*, and whatever would look at it stays silent. A study comes out only if no error was found.

mod arithmetic;
mod compare;
mod eval;
mod files;
mod first_weights;
mod meant;
mod params;
mod read_data;
mod read_model;
mod reader;
mod recall;
mod report;
mod rules;
mod run;
mod scopes;
mod studies;
mod take;
mod value;
mod variants;
mod vary;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::eval::Evaluator;
use self::files::Main;
pub use self::files::{DEEPEST_USE, MOST_BYTES_OF_ALL, MOST_FILES};
pub use self::meant::{Meaning, Meanings, Named, by_default};
pub use self::params::{Overrides, Pick};
pub use self::run::{Device, RunBlock, RunBlocks};
pub use self::studies::DEEPEST_EXTENDS;
use self::variants::{Datasets, Grid, World};
pub use self::vary::MOST_VARIANTS;
use crate::data::Dataset;
use crate::diag::{Code, Problems};
use crate::host::{Host, Kind};
use crate::leakage::Explained;
use crate::source::{FileId, SourceMap, Span};
use crate::study::{Metric, Places, Source, Study};
use crate::syntax::Parsed;
use crate::syntax::ast::Item;
use crate::syntax::guard::MOST_BYTES;

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
    /// The study as far as it can be told, errors or not: for looking at data that a check refuses.
    pub draft: Option<Checked>,
    /// The images of its variants, as far as tables could be read; equal data are built once.
    pub datasets: Vec<Dataset>,
    /// What each score's predictor has seen, of every variant that could be read, whether or not it holds.
    pub seen: Vec<Explained>,
    /// Where the rows of each study come from, with the study's header, as far as that much could be read, whatever else
    /// is wrong.
    pub sources: Vec<(Span, Source)>,
}

/// A study that holds, and what belongs beside it.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its file in the [`SourceMap`].
    pub file: FileId,
    /// The files it uses, and those that they use.
    pub used: Vec<FileId>,
    /// The study file's folder; relative paths of the study start here.
    pub base: PathBuf,
    /// Where it may run.
    pub run: RunBlocks,
    /// What is meant: one variant, or as many as `vary` makes. Never empty; in the order of the file, the choices of
    /// the first `vary` changing slowest.
    pub variants: Vec<Variant>,
    /// How variants are compared; `None` without a `compare` block.
    pub compare: Option<Compare>,
    /// What is reported first, and where; empty without a `report` block.
    pub report: Report,
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

    /// The variants whose name fits one of the patterns, as indices; all of them without a pattern.
    ///
    /// # Errors
    /// The first pattern that no variant fits.
    pub fn fitting<'p>(&self, patterns: &'p [String]) -> Result<Vec<usize>, &'p str> {
        if let Some(none) = patterns.iter().find(|pattern| !self.variants.iter().any(|one| fits(pattern, &one.name))) {
            return Err(none.as_str());
        }
        let wanted = |one: &Variant| patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, &one.name));
        Ok((0..).zip(&self.variants).filter(|(_, one)| wanted(one)).map(|(index, _)| index).collect())
    }
}

/// Does a name fit a pattern, in which `*` stands for any text and `?` for one character?
fn fits(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match (rest.next(), name.chars().next()) {
        (None, first) => first.is_none(),
        (Some('*'), _) => {
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.into_iter().any(|at| name.get(at..).is_some_and(|tail| fits(rest.as_str(), tail)))
        }
        (Some(wanted), Some(first)) if wanted == '?' || wanted == first => {
            fits(rest.as_str(), name.get(first.len_utf8()..).unwrap_or(""))
        }
        (Some(_), _) => false,
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
    /// What each setting that was written means, as text.
    pub settings: Meanings,
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
    /// Where the `vary` names the setting.
    pub at: Span,
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

impl Compare {
    /// What of it decides the result.
    #[must_use]
    pub fn content(&self) -> serde_json::Value {
        let CompareTest::PairedBootstrap { draws } = self.test;
        serde_json::json!([self.baseline, draws, self.correction == Correction::Holm])
    }
}

/// `report { ... }`: what the report leads with, and where else it goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// `html`: the page goes here too; relative to the study file's folder.
    pub html: Option<PathBuf>,
    /// `headline`.
    pub headline: Option<Headline>,
}

/// Which variant the report of a study with several leads with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Headline {
    /// The variant of this name, chosen before anything ran.
    Variant(String),
    /// `best(by = metric)`: the one that is best on the folds. Its score there flatters it, so it is reported on the
    /// hold-out, which took no part in choosing it.
    Best(Metric),
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
    let bytes = match host.stat(path) {
        // A table or a weights file is not read to be told so.
        Ok(stat) if stat.kind == Kind::File && stat.size > MOST_BYTES as u64 => {
            Err(format!("it has {} bytes, and {MOST_BYTES} are the most", stat.size))
        }
        Ok(_) | Err(_) => host.read(path).map_err(|error| error.to_string()),
    };
    match bytes {
        Ok(bytes) => check_bytes(host, &name, Some(path), &bytes, &base, overrides),
        Err(why) => {
            let mut problems = Problems::new();
            problems.file_unreadable(&name, &why);
            Outcome {
                map: SourceMap::new(),
                problems,
                checked: None,
                draft: None,
                datasets: Vec::new(),
                seen: Vec::new(),
                sources: Vec::new(),
            }
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
    path: Option<&Path>,
    bytes: &[u8],
    base: &Path,
    overrides: &Overrides,
) -> Outcome {
    let mut map = SourceMap::new();
    let read = crate::syntax::read(&mut map, name, path.map(Path::to_path_buf), bytes);
    let mut problems = Problems::new();
    let (world, main) = (World { host, base }, Main { name, path, base });
    let mut seen = Vec::new();
    let (draft, whole, datasets) = check_tree(world, &mut map, &main, read, overrides, &mut seen, &mut problems);
    let checked = draft.clone().filter(|_| whole && !problems.has_errors());
    let Datasets { built, sources, .. } = datasets;
    Outcome { map, problems, checked, draft, datasets: built, seen, sources }
}

fn check_tree(
    world: World<'_>,
    map: &mut SourceMap,
    main: &Main<'_>,
    (id, parsed): (FileId, Parsed),
    overrides: &Overrides,
    seen: &mut Vec<Explained>,
    problems: &mut Problems,
) -> (Option<Checked>, bool, Datasets) {
    let sources = files::load(world.host, map, main, (id, parsed), problems);
    let given = params::given(map, overrides, &sources, problems);
    let mut evaluator = Evaluator::new();
    let studies = studies::bind(&sources, &given, map, &mut evaluator);
    let picked = studies.pick(map, &sources, &overrides.study, &mut evaluator.problems);
    if picked.is_empty() || evaluator.is_doubtful(0) {
        evaluator.mark_all_used();
    }
    studies.touch_others(&picked, &mut evaluator);
    let mut datasets = Datasets::default();
    let mut grids = Vec::new();
    for block in &picked {
        let before = std::mem::take(&mut evaluator.problems);
        let (chain, complete) = studies.chain(block, &sources, &mut evaluator);
        let grid;
        (evaluator, grid) = variants::read(world, evaluator, (&chain, complete), &mut datasets, seen);
        grids.push(grid);
        let mut found = std::mem::replace(&mut evaluator.problems, before);
        if overrides.study == Pick::Every && studies.is_extended(block) {
            // It may leave to others what must be written.
            found = found.without(&[Code::E0111, Code::E0301]);
        }
        evaluator.problems.extend(found);
    }
    let mut run = RunBlocks::default();
    if let Some(main) = sources.all().first() {
        for item in &main.tree.items {
            match item {
                Item::Block(block) if block.keyword.text == "run" => run::read(block, &mut evaluator, &mut run),
                Item::Block(_) | Item::Param(_) | Item::Let(_) | Item::Use(_) | Item::Error(_) => {}
            }
        }
    }
    if !overrides.elsewhere {
        for grid in &grids {
            run::precision(&run, &grid.variants, &mut evaluator.problems);
        }
    }
    evaluator.warn_unused(id);
    problems.extend(evaluator.problems);
    match <[Grid; 1]>::try_from(grids) {
        Ok([Grid { variants, compare, report, whole }]) => {
            let used = sources.all().iter().skip(1).map(|source| source.id).collect();
            let draft = Checked { file: id, used, base: world.base.to_path_buf(), run, variants, compare, report };
            (Some(draft), whole, datasets)
        }
        Err(_) => (None, false, datasets),
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

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, fit) in [
            ("resnet50/*", "resnet50/ce", true),
            ("resnet50/*", "resnet50", false),
            ("*/ce", "a/b/ce", true),
            ("*", "", true),
            ("r?snet*", "resnet18/ce", true),
            ("ce", "a/ce", false),
            ("*ä*", "xäy", true),
            ("a**b", "ab", true),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }
}
