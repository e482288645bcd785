//! A study becomes a methods paragraph: complete sentences with the numbers of the study, of its table and of what was
//! dealt, and the sources that the catalog has for what is used.
//!
//! Promises: no sentence that a setting, the table or an accepted leak contradicts. A study with variants is one
//! paragraph: what they share is said once, what differs is said with whose it is.

mod compare;
mod data;
mod evaluate;
mod network;
mod sentence;
mod split;
mod train;
mod words;

use std::rc::Rc;

use self::sentence::{Sentences, merged};
use self::words::ended;
use crate::check::{EDITION, Headline, Meanings, Outcome, Variant};
use crate::data::{Dataset, portion};
use crate::leakage::Flow;
use crate::split::{Folds, deal};
use crate::study::{Group, Source, Study};

/// A variant with what is known of it.
struct Told<'a> {
    study: &'a Study,
    written: &'a Meanings,
    dataset: &'a Dataset,
    /// Who has seen whom.
    flow: Option<&'a Flow>,
    /// Who is in which fold, where folds can be dealt.
    folds: Option<Rc<Folds>>,
    /// Is the best variant reported on the hold-out?
    holdout_reported: bool,
}

impl Told<'_> {
    /// Does the study know patients?
    fn grouped(&self) -> bool {
        matches!(self.study.data.group, Group::Column(_))
    }

    /// Of whom shares are drawn.
    fn one(&self) -> &'static str {
        if self.grouped() { "patient" } else { "image" }
    }

    /// The folds that are trained, ascending.
    fn trained(&self) -> Vec<u32> {
        let run = &self.study.split.run;
        let count = self.folds.as_ref().map_or(self.study.split.cv.folds, |folds| folds.count);
        (0..count).filter(|fold| run.is_empty() || run.contains(fold)).collect()
    }

    /// `3 patients (6 images)`
    fn people(&self, images: &[usize]) -> String {
        let pictures = words::count(images.len(), "image");
        if self.grouped() {
            let patients = portion(self.dataset, images).patients as usize;
            format!("{} ({pictures})", words::count(patients, "patient"))
        } else {
            pictures
        }
    }

    /// Does nothing in this study leak?
    fn clean(&self) -> bool {
        self.flow.is_some_and(|flow| flow.leaks().is_empty())
    }
}

/// The paragraph on some variants of a checked study; on all of them, it also says how they are compared.
#[must_use]
pub fn prose(outcome: &Outcome, variants: &[&Variant]) -> String {
    let told = told(outcome, variants);
    let said: Vec<Sentences> = told.iter().map(sentences).collect();
    let mut all = merged(variants, &said);
    let whole = outcome.checked.as_ref().filter(|checked| checked.variants.len() == variants.len());
    if let (Some(first), true) = (told.first(), variants.len() > 1) {
        let what = if whole.is_some() { compare::variants(variants) } else { compare::some(variants) };
        // after the question
        all.insert(usize::from(first.study.question.is_some()), what);
        all.extend(whole.map(compare::sentences).unwrap_or_default());
    }
    let version = env!("CARGO_PKG_VERSION");
    all.push(format!("This paragraph was written from the study itself by pipe {version}, edition {EDITION}."));
    all.join(" ") + "\n"
}

/// What is known of each variant; equal splits are dealt once.
fn told<'a>(outcome: &'a Outcome, variants: &[&'a Variant]) -> Vec<Told<'a>> {
    let headline = outcome.checked.as_ref().and_then(|checked| checked.report.headline.as_ref());
    let holdout_reported = matches!(headline, Some(Headline::Best(_)));
    let mut dealt: Vec<(&Variant, Option<Rc<Folds>>)> = Vec::new();
    let one = |variant: &&'a Variant| {
        let variant = *variant;
        let study = &variant.study;
        let dataset = outcome.datasets.get(variant.dataset)?;
        let same = |other: &Variant| {
            other.dataset == variant.dataset && other.study.split == study.split && other.study.seed == study.seed
        };
        let folds = if let Some((_, folds)) = dealt.iter().find(|(other, _)| same(other)) {
            folds.clone()
        } else {
            let folds = deal(&study.split, dataset, study.seed).ok().map(Rc::new);
            dealt.push((variant, folds.clone()));
            folds
        };
        let flow = outcome.seen.iter().find(|seen| seen.variant == variant.name).map(|seen| &seen.flow);
        Some(Told { study, written: &variant.settings, dataset, flow, folds, holdout_reported })
    };
    variants.iter().filter_map(one).collect()
}

fn sentences(told: &Told<'_>) -> Sentences {
    let mut out = Sentences::default();
    if let Some(question) = &told.study.question {
        out.say("question", &["We asked: ", &ended(question), ""]);
    }
    data::say(told, &mut out);
    split::say(told, &mut out);
    network::say(told, &mut out);
    train::say(told, &mut out);
    evaluate::say(told, &mut out);
    let other = matches!(told.study.data.source, Source::Phantoms { .. }) || told.study.split.cv.seed.is_some();
    let draws = if other { "All other random draws" } else { "All random draws" };
    out.say("seed", &["", draws, " follow from the seed ", &told.study.seed.to_string(), "."]);
    out
}
