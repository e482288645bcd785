//! A study as it is meant becomes text: a program with its defaults, a methods paragraph, or data.

mod prose;

use std::fmt::Write as _;

pub use prose::prose;

use crate::catalog::{Setting, blocks};
use crate::check::{EDITION, Meaning, Meanings, by_default};
use crate::explain::all_blocks;
use crate::study::{FoldKind, Group, KeepEpoch, Prepare, Study, Unit};
use crate::syntax::{column, quoted};

/// A setting of a study: what it means and who says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// `train.epochs`.
    pub path: String,
    /// What it means; `None`: a default that no value can be written for.
    pub meaning: Option<Meaning>,
    /// The default in words, if nobody wrote the setting.
    pub default: Option<&'static str>,
}

/// Every setting of the catalog that a study has, in the catalog's order.
#[must_use]
pub fn settings(study: &Study, written: &Meanings) -> Vec<Shown> {
    let mut all = Vec::new();
    for block in all_blocks().filter(|block| ![blocks::RUN.name, blocks::COMPARE.name].contains(&block.name)) {
        for setting in block.settings {
            let path = if block.name == "study" {
                setting.name.to_owned()
            } else {
                format!("{}.{}", block.name, setting.name)
            };
            let shown = match written.get(&path) {
                Some(meaning) => Shown { meaning: Some(meaning.clone()), default: None, path },
                None => Shown {
                    meaning: follows(study, &path).or_else(|| by_default(setting)),
                    default: Some(in_words(setting)),
                    path,
                },
            };
            // what phantoms and folders bring along is no setting of theirs
            if shown.meaning.is_some() || !setting.default.is_empty() {
                all.push(shown);
            }
        }
    }
    all
}

fn in_words(setting: &Setting) -> &'static str {
    if setting.default.is_empty() { "follows from the data" } else { setting.default }
}

/// Defaults that follow from other settings.
fn follows(study: &Study, path: &str) -> Option<Meaning> {
    let text = match path {
        "data.label" => column(&study.data.label),
        "data.group" => match &study.data.group {
            Group::Column(name) => column(name),
            Group::None { because } => format!("none(because = {})", quoted(because)),
        },
        "images.prepare" => {
            let mut steps: Vec<String> = study.images.prepare.iter().filter_map(prepared).collect();
            steps.push(format!("normalize({})", word(&study.images.normalize)?));
            format!("[{}]", steps.join(", "))
        }
        "train.keep" => match study.train.keep {
            KeepEpoch::Last => "last".to_owned(),
            KeepEpoch::Best(on) => format!("best(on = {})", word(&on)?),
        },
        "evaluate.unit" => match study.evaluate.unit {
            Unit::Image => "image".to_owned(),
            Unit::Patient => "patient(pool = mean_probability)".to_owned(),
        },
        _ => return None,
    };
    Some(Meaning { written: text.clone(), full: text, calls: Vec::new() })
}

/// A word of ours as studies write it.
fn word(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

/// The resizing that a study without one gets.
fn prepared(step: &Prepare) -> Option<String> {
    match step {
        Prepare::Resize { side, filter, fit } => {
            Some(format!("resize({side}, filter = {}, fit = {})", word(filter)?, word(fit)?))
        }
        Prepare::Grayscale {} | Prepare::Clahe { .. } => None,
    }
}

/// The study as a program, laid out: what was written, or everything with each default marked.
#[must_use]
pub fn program(study: &Study, written: &Meanings, full: bool) -> String {
    let mut out = format!("pipe \"{EDITION}\"\n\nstudy {} {{\n", label(&study.name));
    let mut open: Option<&str> = None;
    let all = settings(study, written);
    for shown in all.iter().filter(|shown| full || shown.default.is_none()) {
        let (block, name) = shown.path.split_once('.').unwrap_or(("", &shown.path));
        if open != Some(block) {
            if open.is_some_and(|open| !open.is_empty()) {
                out.push_str("}\n");
            }
            if open.is_some() {
                out.push('\n');
            }
            if !block.is_empty() {
                let _ = writeln!(out, "{block} {{");
            }
            open = Some(block);
        }
        let _ = match (&shown.meaning, shown.default) {
            (Some(meaning), None) => {
                let text = if full { &meaning.full } else { &meaning.written };
                let left: Vec<&str> = meaning
                    .calls
                    .iter()
                    .flat_map(|call| call.arguments.iter().filter(|(.., written)| !written).map(|(of, ..)| of.name))
                    .collect();
                let note = if full && !left.is_empty() {
                    format!("    # by default: {}", left.join(", "))
                } else {
                    String::new()
                };
                writeln!(out, "{name} = {text}{note}")
            }
            (Some(meaning), Some(_)) => writeln!(out, "{name} = {}    # default", meaning.full),
            (None, Some(default)) => writeln!(out, "# {name}: {default}    (default)"),
            (None, None) => Ok(()),
        };
    }
    if open.is_some_and(|open| !open.is_empty()) {
        out.push_str("}\n");
    }
    out.push_str("}\n");
    let file = crate::source::SourceMap::new().add("shown", None, "");
    crate::syntax::format(file, &out).unwrap_or(out)
}

/// A study's name, in quotes if it is no word.
fn label(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !crate::syntax::is_keyword(name);
    if plain { name.to_owned() } else { quoted(name) }
}

/// Is a split by patients?
fn by_patient(study: &Study) -> bool {
    matches!(study.data.group, Group::Column(_))
        && !matches!(study.split.cv.kind, FoldKind::KFold | FoldKind::StratifiedKFold)
}
