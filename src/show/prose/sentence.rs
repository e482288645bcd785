//! Sentences with gaps that a study fills in, so that those of several variants become one.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::words::joined;
use crate::check::Variant;

/// What is fixed and what a study fills in, in turns: the first piece is fixed, and so is the last.
#[derive(Debug, Clone, PartialEq)]
struct Sentence(Vec<String>);

impl Sentence {
    fn text(&self) -> String {
        self.0.concat()
    }

    fn fixed(&self) -> impl Iterator<Item = &String> {
        self.0.iter().step_by(2)
    }
}

/// The sentences of one variant in their order, each by what it is about.
#[derive(Debug, Default)]
pub(super) struct Sentences(Vec<(&'static str, Sentence)>);

impl Sentences {
    /// Adds a sentence: fixed words and a study's own in turns. `about`: once a variant.
    pub(super) fn say(&mut self, about: &'static str, pieces: &[&str]) {
        self.0.push((about, Sentence(pieces.iter().map(|piece| (*piece).to_owned()).collect())));
    }

    fn about(&self, about: &str) -> Option<&Sentence> {
        self.0.iter().find(|(of, _)| *of == about).map(|(_, sentence)| sentence)
    }
}

/// The sentences of all variants: each once where they agree, with whose it is where they do not.
pub(super) fn merged(variants: &[&Variant], said: &[Sentences]) -> Vec<String> {
    let mut order: Vec<&str> = Vec::new();
    for sentences in said {
        let mut at = 0;
        for (about, _) in &sentences.0 {
            at = order.iter().position(|known| known == about).map_or(at, |known| known + 1);
            if !order.contains(about) {
                order.insert(at, about);
                at += 1;
            }
        }
    }
    order
        .into_iter()
        .map(|about| {
            let forms: Vec<Option<&Sentence>> = said.iter().map(|sentences| sentences.about(about)).collect();
            one(variants, &forms)
        })
        .collect()
}

/// One sentence out of what each variant says of a thing.
fn one(variants: &[&Variant], forms: &[Option<&Sentence>]) -> String {
    let all: Vec<&Sentence> = forms.iter().copied().flatten().collect();
    let Some(first) = all.first() else { return String::new() };
    if all.len() < forms.len() || !all.iter().all(|other| other.fixed().eq(first.fixed())) {
        return apart(variants, forms);
    }
    let piece = |at: usize| {
        let said: Vec<&str> = all.iter().filter_map(|one| one.0.get(at).map(String::as_str)).collect();
        alternatives(variants, &said)
    };
    (0..first.0.len()).map(piece).collect()
}

/// What fills a gap: `A ("a") or B ("b")`.
fn alternatives(variants: &[&Variant], said: &[&str]) -> String {
    if let [first, rest @ ..] = said
        && rest.iter().all(|other| other == first)
    {
        return (*first).to_owned();
    }
    let names = names(variants, said);
    let options: Vec<String> = by_what_is_said(&names, said.iter().map(|text| Some((*text).to_owned())))
        .iter()
        .map(|(text, names)| match names.as_slice() {
            [name] if text.starts_with(*name) => text.clone(),
            names => format!("{text} ({})", quoted(names).join(", ")),
        })
        .collect();
    joined(&options, "or")
}

/// Whole sentences: `With "a", training stopped ...; with "b", ...`
fn apart(variants: &[&Variant], forms: &[Option<&Sentence>]) -> String {
    let said: Vec<Option<String>> = forms.iter().map(|form| form.map(Sentence::text)).collect();
    let names = names(variants, &said);
    let clauses: Vec<String> = by_what_is_said(&names, said.into_iter())
        .iter()
        .map(|(text, names)| format!("with {}, {}", joined(&quoted(names), "and"), lower(text.trim_end_matches('.'))))
        .collect();
    upper(&clauses.join("; ")) + "."
}

/// The names of those who say a thing, things in the order in which they are first said.
fn by_what_is_said<'a>(
    names: &[&'a str],
    said: impl Iterator<Item = Option<String>>,
) -> IndexMap<String, Vec<&'a str>> {
    let mut of: IndexMap<String, Vec<&str>> = IndexMap::new();
    for (name, text) in names.iter().zip(said) {
        let Some(text) = text else { continue };
        let names = of.entry(text).or_default();
        if !names.contains(name) {
            names.push(name);
        }
    }
    of
}

/// What each variant is called, those of one name saying the same: by the options of one `vary`, else by all of them.
fn names<'a, T: PartialEq>(variants: &[&'a Variant], said: &[T]) -> Vec<&'a str> {
    let axes = variants.first().map_or(0, |variant| variant.choices.len());
    let label = |variant: &&'a Variant, axis: usize| -> &'a str {
        variant.choices.get(axis).map_or("", |choice| choice.label.as_str())
    };
    let of_axis = |axis: usize| -> Vec<&'a str> { variants.iter().map(|variant| label(variant, axis)).collect() };
    let agree = |names: &Vec<&str>| {
        let mut known: BTreeMap<&str, &T> = BTreeMap::new();
        names.iter().zip(said).all(|(name, said)| **known.entry(*name).or_insert(said) == *said)
    };
    (0..axes).map(of_axis).find(agree).unwrap_or_else(|| variants.iter().map(|variant| variant.name.as_str()).collect())
}

/// Names as the study has them.
pub(super) fn quoted(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("\"{name}\"")).collect()
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
