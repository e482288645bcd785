//! Sentences on how the result is judged.

use super::Told;
use super::sentence::Sentences;
use super::words::{count, listed, noted, percent, source};
use crate::catalog::metrics::INTERVALS;
use crate::data::portion;
use crate::leakage::thresholds_of_reported_fold;
use crate::study::{Changed, IntervalMethod, Metric, Slice, Unit};

pub(super) fn say(told: &Told<'_>, out: &mut Sentences) {
    let evaluate = &told.study.evaluate;
    if !evaluate.tta.is_empty() {
        let changes = evaluate.tta.iter().map(|change| match change {
            Changed::Flip { horizontal: true } => "its left-right mirror image",
            Changed::Flip { horizontal: false } => "its top-bottom mirror image",
        });
        let over: Vec<String> = std::iter::once("each image").chain(changes).map(str::to_owned).collect();
        out.say("tta", &["At test time, probabilities were averaged over ", &listed(&over), "."]);
    }
    let primary = metric(evaluate.primary);
    let others: Vec<String> = evaluate
        .metrics
        .iter()
        .filter(|other| **other != evaluate.primary)
        .map(|other| metric(*other).to_owned())
        .collect();
    let beside = if others.is_empty() { String::new() } else { format!(", reported beside {}", listed(&others)) };
    let counted = counted(told, evaluate.unit);
    out.say(
        "primary",
        &[
            "The primary figure was ",
            primary,
            " over the predictions of all scored folds together, counted by ",
            &counted,
            "",
            &beside,
            ".",
        ],
    );
    operating(told, out);
    intervals(told, out);
    if !evaluate.slices.is_empty() {
        let parts: Vec<String> = evaluate.slices.iter().map(slice).collect();
        out.say("slices", &["Figures are also given for parts of the data, by ", &listed(&parts), "."]);
    }
}

/// As papers write it.
pub(super) fn metric(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "accuracy",
        Metric::BalancedAccuracy => "balanced accuracy",
        Metric::MacroF1 => "macro F1",
        Metric::Auroc => "mean one-against-rest area under the ROC curve",
        Metric::LogLoss => "log loss",
        Metric::Ece => "expected calibration error",
    }
}

fn counted(told: &Told<'_>, unit: Unit) -> String {
    match unit {
        Unit::Image => "image".to_owned(),
        Unit::Patient => {
            let all: Vec<usize> = (0..told.dataset.images.len()).collect();
            let whole = portion(told.dataset, &all);
            let several = whole.class_patients.iter().sum::<u32>() > whole.patients;
            let each = if several { "; a patient with images of several classes counts once for each" } else { "" };
            format!("patient (from the mean probability over a patient's images{each})")
        }
    }
}

fn operating(told: &Told<'_>, out: &mut Sentences) {
    let points: Vec<String> = told.study.evaluate.operating.iter().map(ToString::to_string).collect();
    if points.is_empty() {
        return;
    }
    let was = if points.len() == 1 { "was" } else { "were" };
    let chose = if thresholds_of_reported_fold(told.study) {
        "the scored images themselves chose".to_owned()
    } else {
        format!("the validation {}s of each fold chose", told.one())
    };
    let points = format!("{} {was}", listed(&points));
    out.say("thresholds", &["Each class against the rest, ", &points, " read at thresholds that ", &chose, "."]);
}

fn intervals(told: &Told<'_>, out: &mut Sentences) {
    let Some(ask) = told.study.evaluate.intervals else {
        out.say("intervals", &["", "No confidence intervals were computed", "."]);
        return;
    };
    let how = match ask.method {
        IntervalMethod::Percentile => "the percentile method",
        IntervalMethod::Bca => "the bias-corrected and accelerated method",
    };
    let whom = if told.grouped() { "whole patients" } else { "images" };
    let from = source(&INTERVALS, "bootstrap");
    let made = format!(
        "{} confidence intervals come from {} of {whom} with replacement",
        percent(ask.level),
        count(ask.replicates as usize, "bootstrap draw")
    );
    let made = format!("{made} by {}", noted(how, &[], from));
    out.say("intervals", &["", &made, "."]);
}

fn slice(slice: &Slice) -> String {
    if slice.edges.is_empty() {
        return slice.column.clone();
    }
    let edges: Vec<String> = slice.edges.iter().map(ToString::to_string).collect();
    format!("{} (bins with the edges {})", slice.column, listed(&edges))
}
