//! The top of the page: what was asked, what came out, what it rests on.

use maud::{Markup, html};

use super::html::wide;
use super::words::{
    by_fold, count, counted, ends, everyone, figure, intervals_about, level, loss_formula, metric, metric_about,
    metric_interval, metric_name, metrics, no_group, other, plain, pooled, pooled_intervals, setting, spread,
    spread_words, unit_name,
};
use crate::record::RunRecord;
use crate::study::{Unit, Weights};

/// Title, question, banners, headline and key facts.
pub(super) fn opening(record: &RunRecord) -> Markup {
    html! {
        p.kind { "study" }
        h1 { (plain(&record.study.name)) }
        @if let Some(question) = &record.study.question { p.question { (plain(question)) } }
        (banners(record))
        (headline(record))
        (facts(record))
    }
}

/// What a reader must know before any figure.
pub(super) fn banners(record: &RunRecord) -> Markup {
    html! {
        @if record.synthetic {
            p.banner role="note" {
                strong { "Synthetic images. " }
                "Every image of this study was drawn by pipe itself; its figures say nothing about patients."
            }
        }
        @if let Some(because) = &record.study.evaluate.leak { (accepted(record, because)) }
        @if let Some(because) = no_group(record) {
            p.banner role="note" {
                strong { "No patient column. " }
                "Each image counts as its own patient, for this reason given by the author: “" (because) "”"
            }
        }
    }
}

/// The leaks that the author accepts, in the words of the check.
fn accepted(record: &RunRecord, because: &str) -> Markup {
    let leaks = record.warnings.iter().filter_map(|warning| warning.strip_prefix("W0312 accepted: "));
    html! {
        p.banner role="note" {
            strong { "These figures leak. " }
            "The author accepts that patients have influenced the networks that are scored on them, for this reason: “"
            (plain(because)) "”"
        }
        ul.warnings { @for leak in leaks { li { (sentence(&plain(leak))) } } }
    }
}

/// The primary figure at both levels, and what it rests on.
pub(super) fn headline(record: &RunRecord) -> Markup {
    let primary = record.study.evaluate.primary;
    let unit = record.study.evaluate.unit;
    let trained = record.folds.len();
    let folds = record.split.folds.len();
    html! {
        div.headline {
            (score(record, unit, true))
            (score(record, other(unit), false))
        }
        p.note {
            (sentence(metric_name(primary))) ": " (metric_about(primary)) ". Out of fold: each image was scored once, by a network that had not trained on it."
            @if let Some(intervals) = &record.evaluation.intervals {
                " " (sentence(&intervals_about(intervals, drawn(record)))) "."
            }
            @if trained < folds {
                " Only " (trained) " of " (folds) " folds " (if trained == 1 { "was" } else { "were" }) " trained; the images of the others are in none of these figures."
            }
            @if let Some(holdout) = &record.split.holdout {
                " The hold-out (" (counted(holdout.images, "image")) " of " (counted(holdout.patients, "patient")) ") is in none of these figures."
            }
        }
    }
}

/// How many were judged. A patient with images of several classes is judged once for each.
fn over(record: &RunRecord, unit: Unit, judged: u32) -> String {
    let trained = record.folds.iter().filter_map(|fold| record.split.folds.get(fold.fold as usize));
    let patients: u32 = trained.map(|portion| portion.patients).sum();
    match unit {
        Unit::Patient if judged > patients && !record.folds.is_empty() => {
            format!("{}, once for each of their classes ({})", counted(patients, "patient"), count(judged))
        }
        Unit::Patient | Unit::Image => counted(judged, unit_name(unit)),
    }
}

fn score(record: &RunRecord, unit: Unit, lead: bool) -> Markup {
    let primary = record.study.evaluate.primary;
    let figures = pooled(&record.evaluation, unit);
    html! {
        div.score.lead[lead] {
            p.what { (metric_name(primary)) " by " (unit_name(unit)) }
            p.value { (figure(metric(figures, primary))) }
            p.detail {
                @if let (Some(intervals), Some(of)) = (&record.evaluation.intervals, pooled_intervals(&record.evaluation, unit)) {
                    @if let Some(interval) = metric_interval(of, primary) {
                        (level(intervals.level)) " " strong { (ends(interval)) }
                        br;
                    }
                }
                "over " (over(record, unit, figures.count))
                @if !by_fold(&record.evaluation, unit).is_empty() {
                    br;
                    (spread_words(spread(by_fold(&record.evaluation, unit), primary)))
                }
            }
        }
    }
}

/// Who is drawn for the intervals.
pub(super) fn drawn(record: &RunRecord) -> &'static str {
    if no_group(record).is_none() { "whole patients" } else { "images" }
}

pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn facts(record: &RunRecord) -> Markup {
    let (images, patients) = everyone(record);
    let grouped = no_group(record).is_none();
    let model = &record.study.model;
    let start = match &model.weights {
        Weights::None => "random weights".to_owned(),
        Weights::Imagenet => "ImageNet weights".to_owned(),
        Weights::Imagenet21k => "ImageNet-21k weights".to_owned(),
        Weights::NoisyStudent => "Noisy Student weights".to_owned(),
        Weights::File { .. } => "weights from a file".to_owned(),
        Weights::Hub { repository, .. } => format!("weights of {}", plain(repository)),
    };
    html! {
        dl.facts {
            div { dt { "Images" } dd { (count(images)) } }
            div { dt { "Patients" } dd { @if grouped { (count(patients)) } @else { "not known" } } }
            div { dt { "Classes" } dd { (record.classes.len()) } }
            div { dt { "Folds trained" } dd { (record.folds.len()) " of " (record.split.folds.len()) } }
            div { dt { "Backbone" } dd { (setting(&model.backbone)) ", " (start) } }
            div { dt { "Epochs" } dd { (epochs(record)) } }
            div { dt { "Ran on" } dd { (plain(&record.environment.device)) ", " (counted(record.environment.threads, "thread")) } }
            div.full { dt { "Loss" } dd { code { (loss_formula(&record.study.train.loss)) } } }
        }
    }
}

fn epochs(record: &RunRecord) -> String {
    let asked = record.study.train.epochs;
    let ran: Vec<usize> = record.folds.iter().map(|fold| fold.epochs.len()).collect();
    match (ran.iter().min(), ran.iter().max()) {
        (Some(least), Some(most)) if least == most && usize::try_from(asked) == Ok(*most) => asked.to_string(),
        (Some(least), Some(most)) if least == most => format!("{most} of {asked}"),
        (Some(least), Some(most)) => format!("{least} to {most} of {asked}"),
        (None, _) | (_, None) => asked.to_string(),
    }
}

/// The warnings, as the check worded them.
pub(super) fn warnings(record: &RunRecord) -> Markup {
    html! {
        ul.warnings {
            @for warning in &record.warnings {
                @let warning = plain(warning);
                @let (code, sentence) = warning.split_once(' ').unwrap_or(("", &warning));
                li { code { (code) } " " (sentence) }
            }
        }
    }
}

/// Every figure at both levels with its spread, and what each fold gave.
pub(super) fn figures(record: &RunRecord) -> Markup {
    let unit = record.study.evaluate.unit;
    let units = [unit, other(unit)];
    let table = html! {
        table {
            caption {
                "Pooled over all scored images"
                @if let Some(intervals) = &record.evaluation.intervals { ", with " (level(intervals.level)) "s" }
                ", and the spread over folds: mean ± standard deviation (least to most)"
            }
            thead {
                tr {
                    th scope="col" { "figure" }
                    @for unit in units { th.number scope="col" { "by " (unit_name(unit)) } th scope="col" { "folds, by " (unit_name(unit)) } }
                }
            }
            tbody {
                @for wanted in metrics(record) {
                    tr.primary[wanted == record.study.evaluate.primary] {
                        th scope="row" { (metric_name(wanted)) span.about { (metric_about(wanted)) } }
                        @for unit in units {
                            td.number {
                                (figure(metric(pooled(&record.evaluation, unit), wanted)))
                                @if let Some(interval) = pooled_intervals(&record.evaluation, unit).and_then(|of| metric_interval(of, wanted)) {
                                    span.interval { (ends(interval)) }
                                }
                            }
                            td.spread { (short_spread(record, unit, wanted)) }
                        }
                    }
                }
            }
        }
    };
    html! {
        (wide("Figures", &table))
        @if let Some(note) = majority(record) { p.note { (note) } }
        (wide("Figures of each fold", &each_fold(record)))
    }
}

fn short_spread(record: &RunRecord, unit: Unit, wanted: crate::study::Metric) -> Markup {
    let spread = spread(by_fold(&record.evaluation, unit), wanted);
    html! {
        @if let Some(spread) = spread {
            @if let Some(deviation) = spread.deviation {
                (figure(spread.mean)) " ± " (figure(deviation)) " "
                span.range { "(" (figure(spread.least)) " to " (figure(spread.most)) ")" }
            } @else { "one fold" }
        } @else { "–" }
    }
}

/// What the laziest answer would score.
fn majority(record: &RunRecord) -> Option<String> {
    let figures = &record.evaluation.image;
    let (class, largest) =
        figures.classes.iter().enumerate().max_by_key(|(class, of)| (of.support, std::cmp::Reverse(*class)))?;
    if figures.count == 0 {
        return None;
    }
    let share = f64::from(largest.support) / f64::from(figures.count);
    let chance = 1.0 / super::words::count_as_float(figures.classes.iter().filter(|of| of.support > 0).count().max(1));
    Some(format!(
        "For comparison, always answering “{}” would reach an accuracy of {} and a balanced accuracy of {} by image.",
        super::words::class_name(record, class),
        figure(share),
        figure(chance)
    ))
}

fn each_fold(record: &RunRecord) -> Markup {
    let primary = record.study.evaluate.primary;
    let unit = record.study.evaluate.unit;
    let units = [unit, other(unit)];
    let of = |unit, fold: u32| {
        by_fold(&record.evaluation, unit)
            .iter()
            .find(|one| one.fold == fold)
            .and_then(|one| metric(&one.figures, primary))
    };
    html! {
        table {
            caption { "Fold by fold: " (metric_name(primary)) " and how training ended" }
            thead {
                tr {
                    th scope="col" { "fold" }
                    @for unit in units { th.number scope="col" { "by " (unit_name(unit)) } }
                    th.number scope="col" { "epochs" }
                    th.number scope="col" { "kept" }
                    th scope="col" { "ended" }
                    th scope="col" { "model (blake3)" }
                }
            }
            tbody {
                @for fold in &record.folds {
                    tr {
                        th scope="row" { (fold.fold) }
                        @for unit in units { td.number { (figure(of(unit, fold.fold))) } }
                        td.number { (fold.epochs.len()) }
                        td.number { (fold.kept_epoch) }
                        td.ended { @if let Some(why) = &fold.stopped { (plain(why)) } @else { "all epochs" } }
                        td { code title=(plain(&fold.model_blake3)) { (plain(&fold.model_blake3).chars().take(12).collect::<String>()) } }
                    }
                }
            }
        }
    }
}
