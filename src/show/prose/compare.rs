//! Sentences on what varies, how variants are compared and which one leads.

use super::evaluate::metric;
use super::sentence::quoted;
use super::words::{count, joined, listed, noted, percent, source};
use crate::catalog::metrics::TESTS;
use crate::check::{Checked, Compare, CompareTest, Correction, Headline, Variant};
use crate::study::{Group, Unit};

/// How many variants there are, and in what they differ.
pub(super) fn variants(variants: &[&Variant]) -> String {
    let axes = variants.first().map_or(0, |variant| variant.choices.len());
    let differ: Vec<String> = (0..axes)
        .filter_map(|axis| {
            let mut labels: Vec<&str> = Vec::new();
            let choices = variants.iter().filter_map(|variant| variant.choices.get(axis));
            for choice in choices.clone() {
                if !labels.contains(&choice.label.as_str()) {
                    labels.push(&choice.label);
                }
            }
            let path = choices.map(|choice| choice.path.as_str()).next()?;
            (labels.len() > 1).then(|| format!("{} ({})", setting(path), joined(&quoted(&labels), "or")))
        })
        .collect();
    let number = count(variants.len(), "variant");
    match differ.as_slice() {
        [one] => format!("{number} of the study were run, which differ in the {one}."),
        several => format!("{number} of the study were run, one for each combination of the {}.", listed(several)),
    }
}

/// Which of the variants a paragraph is on, if not on all.
pub(super) fn some(variants: &[&Variant]) -> String {
    let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
    format!("These are the methods of {} of the study: {}.", count(names.len(), "variant"), listed(&quoted(&names)))
}

/// A setting in words.
fn setting(path: &str) -> String {
    match path {
        "data.keep" => "rows used".to_owned(),
        "split.cv" => "folds".to_owned(),
        "split.holdout" => "hold-out".to_owned(),
        "split.validation" => "share for validation".to_owned(),
        "split.run" => "folds trained".to_owned(),
        "images.prepare" => "preparation of images".to_owned(),
        "images.augment" => "augmentation".to_owned(),
        "model.backbone" => "network".to_owned(),
        "model.freeze" => "freezing".to_owned(),
        "train.epochs" => "number of epochs".to_owned(),
        "train.batch" => "size of batches".to_owned(),
        "train.optimizer" => "optimiser".to_owned(),
        "train.accumulate" => "batches a step".to_owned(),
        "train.precision" => "precision of products".to_owned(),
        "train.clip" => "clipping of gradients".to_owned(),
        "train.stop" => "stopping".to_owned(),
        "train.keep" => "choice of epoch".to_owned(),
        "evaluate.tta" => "test-time augmentation".to_owned(),
        path => path.rsplit('.').next().unwrap_or(path).replace('_', " "),
    }
}

/// How the variants are compared, and which one the report leads with.
pub(super) fn sentences(checked: &Checked) -> Vec<String> {
    let compared = checked.compare.as_ref().and_then(|compare| compared(checked, compare));
    compared.into_iter().chain(checked.report.headline.as_ref().map(leads)).collect()
}

fn compared(checked: &Checked, compare: &Compare) -> Option<String> {
    let baseline = checked.variant(&compare.baseline)?;
    let evaluate = &baseline.study.evaluate;
    let CompareTest::PairedBootstrap { draws } = compare.test;
    let whom = if matches!(baseline.study.data.group, Group::Column(_)) { "whole patients" } else { "images" };
    let by = match evaluate.unit {
        Unit::Image => "image",
        Unit::Patient => "patient",
    };
    let correction = match compare.correction {
        Correction::Holm => "p-values were corrected by Holm's step-down procedure",
        Correction::None => "p-values were not corrected for several comparisons",
    };
    let draws = format!("{} of {whom} with replacement", count(draws as usize, "draw"));
    let level = evaluate.intervals.map_or(0.95, |intervals| intervals.level);
    Some(format!(
        "Each other variant was compared with the baseline \"{}\" by the difference in {}, counted by {by}, on the same {}, \
         which gave {} intervals; {correction}.",
        compare.baseline,
        metric(evaluate.primary),
        noted(&draws, &["paired bootstrap".to_owned()], source(&TESTS, "paired_bootstrap")),
        percent(level)
    ))
}

fn leads(headline: &Headline) -> String {
    match headline {
        Headline::Variant(name) => format!("The variant \"{name}\" was named as the main result before anything ran."),
        Headline::Best(by) => format!(
            "The variant with the best {} on the folds is reported on the hold-out, which took no part in choosing it; \
             there, probabilities are the mean over the networks of its folds.",
            metric(*by)
        ),
    }
}
