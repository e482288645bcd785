//! What each score's predictor has seen, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::{Bond, Flow, Part, Parts, Score, Sharing};
use crate::source::SourceMap;
use crate::study::Places;

/// The flow of a study, and where its settings stand.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The variant's name; empty where there is one study only.
    pub variant: String,
    /// What is computed and fitted.
    pub flow: Flow,
    /// Where each setting stands.
    pub places: Places,
}

impl Explained {
    /// A paragraph a score: what its predictor has seen, through what, and whether that is clean.
    #[must_use]
    pub fn text(&self, map: &SourceMap) -> String {
        let head = if self.variant.is_empty() { String::new() } else { format!("{}\n", self.variant) };
        head + &text(&self.flow, &self.places, map)
    }

    /// One JSON object a score and line.
    #[must_use]
    pub fn json_lines(&self, map: &SourceMap) -> String {
        json_lines(&self.flow, &self.variant, &self.places, map)
    }
}

/// The fits that a score depends on, with whom they were fitted to.
fn fits(flow: &Flow, score: &Score) -> Vec<usize> {
    flow.fits(score.predictor).iter().filter_map(|path| path.first().copied()).collect()
}

/// `study.pipe:12`; the setting's name where it is left to its default.
fn place(setting: &str, places: &Places, map: &SourceMap) -> String {
    match places.get(setting) {
        Some(span) => {
            format!("{}:{}", map.name(span.file), map.line_column(span.file, span.range().start).line)
        }
        None => format!("{setting}, by default"),
    }
}

fn why(bond: &Bond) -> String {
    match bond {
        Bond::NoPatients => "nobody says who the patients are".to_owned(),
        Bond::ByImage => "the split deals single images".to_owned(),
        Bond::GivenFolds(patients) => format!("the table's folds share {}", counted(patients)),
        Bond::GivenHoldout(patients) => format!("the table's hold-out and folds share {}", counted(patients)),
    }
}

fn counted(patients: &[String]) -> String {
    format!("{} patient{}", patients.len(), if patients.len() == 1 { "" } else { "s" })
}

/// The sharing that concerns a part: with whom, and why.
fn bonds(flow: &Flow, part: Part) -> impl Iterator<Item = (Parts, &Bond)> {
    flow.sharing.iter().filter_map(move |Sharing { one, other, bond }| {
        if one.has(part) {
            Some((*other, bond))
        } else if other.has(part) {
            Some((*one, bond))
        } else {
            None
        }
    })
}

fn text(flow: &Flow, places: &Places, map: &SourceMap) -> String {
    let leaks = flow.leaks();
    let mut text = String::new();
    for (index, score) in flow.scores.iter().enumerate() {
        let leaking: Vec<usize> = leaks.iter().filter(|leak| leak.score == index).map(|leak| leak.fit).collect();
        let verdict = if leaking.is_empty() { "clean" } else { "LEAKS" };
        let _ = writeln!(text, "{}, on {}: {verdict}", score.name, score.on.name());
        let _ = writeln!(text, "  its predictor has seen: {}", flow.seen(score.predictor));
        let rows: Vec<[String; 4]> = fits(flow, score)
            .into_iter()
            .filter_map(|fit| {
                let value = flow.values.get(fit)?;
                let leaks = if leaking.contains(&fit) { "  <- leaks" } else { "" };
                Some([value.over.to_string(), value.name.clone(), place(value.setting, places, map), leaks.to_owned()])
            })
            .collect();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let (first, second) = (width(0), width(1));
        for [over, name, place, leaks] in &rows {
            let _ = writeln!(text, "    {over:<first$}  {name:<second$}  {place}{leaks}");
        }
        for (with, bond) in bonds(flow, score.on) {
            let _ = writeln!(text, "    {} may hold patients of {with}: {}", score.on.name(), why(bond));
        }
    }
    text
}

fn names(parts: Parts) -> Vec<&'static str> {
    parts.iter().map(Part::name).collect()
}

fn json_lines(flow: &Flow, variant: &str, places: &Places, map: &SourceMap) -> String {
    let leaks = flow.leaks();
    let mut text = String::new();
    for (index, score) in flow.scores.iter().enumerate() {
        let fits: Vec<Json> = fits(flow, score)
            .into_iter()
            .filter_map(|fit| {
                let value = flow.values.get(fit)?;
                let leak = leaks.iter().find(|leak| leak.score == index && leak.fit == fit);
                let way = leak.map_or(&[][..], |leak| &leak.path);
                let way: Vec<&str> =
                    way.iter().filter_map(|step| flow.values.get(*step)).map(|step| step.name.as_str()).collect();
                let line = places.get(value.setting).map(|span| map.line_column(span.file, span.range().start).line);
                Some(json!({
                    "what": value.name, "fitted_to": names(value.over), "setting": value.setting, "line": line,
                    "leaks": leak.is_some(), "way": way,
                }))
            })
            .collect();
        let shares: Vec<Json> =
            bonds(flow, score.on).map(|(with, bond)| json!({ "with": names(with), "why": why(bond) })).collect();
        let mut line = json!({
            "score": score.name, "on": score.on.name(), "seen": names(flow.seen(score.predictor)),
            "clean": !leaks.iter().any(|leak| leak.score == index), "fits": fits, "shares_patients": shares,
        });
        if let (false, Some(object)) = (variant.is_empty(), line.as_object_mut()) {
            object.insert("variant".to_owned(), json!(variant));
        }
        let _ = writeln!(text, "{line}");
    }
    text
}
