//! A study with several variants: one table of all, two plots, and each variant's own sections to open.

use maud::{Markup, html};

use super::html::{Section, figure, wide};
use super::overview::{banners, drawn, headline, sentence};
use super::plot::{Row, forest};
use super::words::{
    compared, count, counted, ends, everyone, figure as number, intervals_about, level, metric_about, metric_interval,
    metric_name, p_value, plain, pooled, pooled_intervals, signed, unit_name,
};
use super::{cohort, html};
use crate::record::{Comparison, Difference, HoldOut, Leader, StudyRecord, VariantRecord};
use crate::study::{Metric, Unit};

/// Title, question, banners, the variant that leads and key facts.
pub(super) fn opening(record: &StudyRecord) -> Markup {
    let all = record.variants.len() + record.missing.len();
    html! {
        p.kind { "study with " (all) " variants" }
        h1 { (plain(&record.name)) }
        @if let Some(question) = &record.question { p.question { (plain(question)) } }
        @if let Some(first) = record.variants.first() { (banners(&first.record)) }
        @if !record.missing.is_empty() {
            p.banner role="note" {
                strong { (record.variants.len()) " of " (all) " variants are done. " }
                "Not run yet: " (record.missing.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", ")) "."
            }
        }
        (leader(record))
        (facts(record))
    }
}

fn find<'a>(record: &'a StudyRecord, name: &str) -> Option<&'a VariantRecord> {
    record.variants.iter().find(|variant| variant.name == name)
}

fn leader(record: &StudyRecord) -> Markup {
    let Some(leader) = &record.leader else {
        return html! {
            p.note { "The study names no variant to lead with, so none is put forward here: the best of several is best by luck in part." }
        };
    };
    let Some(variant) = find(record, &leader.variant) else { return html! {} };
    html! {
        p.leads { "Leads: " strong { (plain(&leader.variant)) } @if leader.by.is_none() { ", named before anything ran" } }
        @match (&leader.holdout, leader.by) {
            (Some(holdout), Some(metric)) => { (on_holdout(variant, leader, holdout, metric)) }
            (None, Some(metric)) => {
                (headline(&variant.record))
                p.note { "Chosen as the best by " (metric_name(metric)) " on these same folds, so its figures there are too good." }
            }
            (_, None) => { (headline(&variant.record)) }
        }
    }
}

/// The winner on patients that took no part in choosing it.
fn on_holdout(variant: &VariantRecord, leader: &Leader, holdout: &HoldOut, metric: Metric) -> Markup {
    let unit = variant.record.study.evaluate.unit;
    let interval = holdout.intervals.as_ref().and_then(|of| metric_interval(of, metric));
    html! {
        div.headline {
            div.score.lead {
                p.what { (metric_name(metric)) " by " (unit_name(unit)) " on the hold-out" }
                p.value { (number(metric.of(&holdout.figures))) }
                p.detail {
                    @if let (Some(intervals), Some(interval)) = (&variant.record.evaluation.intervals, interval) {
                        (level(intervals.level)) " " strong { (ends(interval)) }
                        br;
                    }
                    "over " (counted(holdout.images, "image")) " of " (counted(holdout.patients, "patient"))
                }
            }
            div.score {
                p.what { "the same on the folds" }
                p.value { (number(metric.of(pooled(&variant.record.evaluation, unit)))) }
                p.detail { "by this figure " (plain(&leader.variant)) " was chosen, so it is too good" }
            }
        }
        p.note {
            (sentence(metric_name(metric))) ": " (metric_about(metric)) ". The hold-out patients were in no fold; each is scored by the mean of the networks of all folds. They took no part in choosing the variant."
        }
    }
}

fn facts(record: &StudyRecord) -> Markup {
    let Some(first) = record.variants.first() else { return html! {} };
    let (images, patients) = everyone(&first.record);
    let trained: usize = record.variants.iter().map(|variant| variant.record.folds.len()).sum();
    html! {
        dl.facts {
            div { dt { "Variants" } dd { (record.variants.len()) " of " (record.variants.len() + record.missing.len()) } }
            div { dt { "Trainings" } dd { (trained) } }
            @if same_patients(record) {
                div { dt { "Images" } dd { (count(images)) } }
                div { dt { "Patients" } dd { (count(patients)) } }
            }
            div { dt { "Classes" } dd { (first.record.classes.len()) } }
            div { dt { "Ran on" } dd { (plain(&first.record.environment.device)) ", " (counted(first.record.environment.threads, "thread")) } }
            @for axis in &record.axes {
                div.full {
                    dt { code { (plain(&axis.path)) } " varies" }
                    dd { (axis.labels.iter().map(|label| plain(label)).collect::<Vec<_>>().join(", ")) }
                }
            }
        }
    }
}

/// Do all variants learn from and judge the same patients, in the same folds?
fn same_patients(record: &StudyRecord) -> bool {
    record.variants.windows(2).all(|pair| match pair {
        [one, other] => {
            one.record.split == other.record.split
                && one.record.flow == other.record.flow
                && one.record.classes == other.record.classes
        }
        _ => true,
    })
}

/// The sections in order.
pub(super) fn sections(record: &StudyRecord) -> Vec<Section> {
    let Some(first) = record.variants.first() else { return Vec::new() };
    let mut all = vec![Section { id: "variants", title: "All variants", body: variants(record, first) }];
    if same_patients(record) {
        let body = cohort::section(&first.record);
        all.push(Section { id: "patients", title: "Images, patients and folds", body });
    }
    all.push(Section { id: "each", title: "Each variant", body: each(record) });
    all
}

fn difference<'a>(comparison: &'a Comparison, variant: &VariantRecord) -> Option<&'a Difference> {
    comparison.rows.iter().find(|row| row.variant == variant.name)?.difference.as_ref()
}

fn variants(record: &StudyRecord, first: &VariantRecord) -> Markup {
    let (metric, unit) = compared(record, first);
    html! {
        (wide("Figures of all variants", &table(record, first, metric, unit)))
        (about(record, first, metric))
        div.plots.large {
            (figures(record, metric, unit))
            @if let Some(comparison) = &record.comparison { (differences(record, comparison)) }
        }
    }
}

fn table(record: &StudyRecord, first: &VariantRecord, metric: Metric, unit: Unit) -> Markup {
    let comparison = record.comparison.as_ref();
    html! {
        table {
            caption {
                (sentence(metric_name(metric))) " by " (unit_name(unit)) ", out of fold"
                @if let Some(intervals) = &first.record.evaluation.intervals { ", with " (level(intervals.level)) "s" }
                @if metric.smaller_is_better() { "; smaller is better" }
            }
            thead {
                tr {
                    @for axis in &record.axes { th scope="col" { (plain(axis.path.rsplit('.').next().unwrap_or(&axis.path))) } }
                    th.number scope="col" { (metric_name(metric)) }
                    @if let Some(comparison) = comparison {
                        th.number scope="col" { "difference" }
                        th.number scope="col" { "p" @if comparison.correction != "none" { " (" (plain(&comparison.correction)) ")" } }
                    }
                    th scope="col" { "more" }
                }
            }
            tbody {
                @for (index, variant) in record.variants.iter().enumerate() {
                    @let baseline = comparison.is_some_and(|of| of.baseline == variant.name);
                    tr.primary[baseline] {
                        @for (axis, label) in variant.choices.iter().enumerate() {
                            @if axis == 0 { th.name scope="row" { bdi { (plain(label)) } } } @else { td { bdi { (plain(label)) } } }
                        }
                        td.number {
                            (number(metric.of(pooled(&variant.record.evaluation, unit))))
                            @if let Some(interval) = pooled_intervals(&variant.record.evaluation, unit).and_then(|of| metric_interval(of, metric)) {
                                span.interval { (ends(interval)) }
                            }
                        }
                        @if let Some(comparison) = comparison { (against(comparison, variant, baseline)) }
                        td { a href={ "#variant-" (index + 1) } { "report" } }
                    }
                }
            }
        }
    }
}

fn against(comparison: &Comparison, variant: &VariantRecord, baseline: bool) -> Markup {
    html! {
        @if baseline {
            td.number { "baseline" } td.number {}
        } @else if let Some(of) = difference(comparison, variant) {
            td.number { (signed(of.difference)) span.interval { (signed(of.interval.low)) " to " (signed(of.interval.high)) } }
            td.number { (p_value(of.corrected)) }
        } @else {
            td.number { "–" } td.number { "–" }
        }
    }
}

/// How the intervals and the test came about.
fn about(record: &StudyRecord, first: &VariantRecord, metric: Metric) -> Markup {
    let comparisons =
        record.comparison.as_ref().map_or(0, |of| of.rows.iter().filter(|row| row.difference.is_some()).count());
    html! {
        p.note {
            (sentence(metric_name(metric))) ": " (metric_about(metric)) "."
            @if let Some(intervals) = &first.record.evaluation.intervals { " " (sentence(&intervals_about(intervals, drawn(&first.record)))) "." }
        }
        @if let Some(comparison) = &record.comparison {
            p.note {
                "Difference: the variant minus " strong { (plain(&comparison.baseline)) } ", over the images that both have scored out of fold. "
                "Paired bootstrap: " (drawn(&first.record)) " are drawn " (count(comparison.draws)) " times, the same ones for both; the interval holds "
                (number(comparison.level * 100.0).trim_end_matches('0').trim_end_matches('.')) " % of the differences, and p is two-sided. "
                @if comparison.correction == "holm" { "p values are corrected by Holm’s method for " (comparisons) (if comparisons == 1 { " comparison." } else { " comparisons." }) }
                @else { "p values are not corrected for the number of comparisons (" (comparisons) ")." }
                @if find(record, &comparison.baseline).is_none() { " The baseline has not been run yet." }
            }
        } @else if record.variants.len() > 1 {
            p.note { "The study asks for no test between variants (" code { "compare { baseline = ... }" } "): intervals that overlap do not tell whether two of them differ." }
        }
    }
}

fn figures(record: &StudyRecord, metric: Metric, unit: Unit) -> Markup {
    let rows: Vec<Row> = record
        .variants
        .iter()
        .map(|variant| Row {
            name: plain(&variant.name),
            value: metric.of(pooled(&variant.record.evaluation, unit)),
            interval: pooled_intervals(&variant.record.evaluation, unit).and_then(|of| metric_interval(of, metric)),
            stressed: record.comparison.as_ref().is_some_and(|of| of.baseline == variant.name),
        })
        .collect();
    let title = format!("{} by {} of each variant", sentence(metric_name(metric)), unit_name(unit));
    figure(&html! { (title) }, &forest(&title, metric_name(metric), &rows, None), &html! {})
}

fn differences(record: &StudyRecord, comparison: &Comparison) -> Markup {
    let rows: Vec<Row> = record
        .variants
        .iter()
        .filter(|variant| variant.name != comparison.baseline)
        .map(|variant| {
            let of = difference(comparison, variant);
            Row {
                name: plain(&variant.name),
                value: of.map(|of| of.difference),
                interval: of.map(|of| of.interval),
                stressed: false,
            }
        })
        .collect();
    let title = format!("Difference to {}", plain(&comparison.baseline));
    let label = format!("{}, variant minus baseline", metric_name(comparison.metric));
    figure(&html! { (title) }, &forest(&title, &label, &rows, Some((0.0, "no difference"))), &html! {})
}

fn each(record: &StudyRecord) -> Markup {
    let with_patients = !same_patients(record);
    html! {
        @for (index, variant) in record.variants.iter().enumerate() {
            @let evaluate = &variant.record.study.evaluate;
            details.variant {
                summary {
                    (plain(&variant.name))
                    span.figure { (metric_name(evaluate.primary)) " " (number(evaluate.primary.of(pooled(&variant.record.evaluation, evaluate.unit)))) }
                }
                // A link to a place inside opens what is closed around it.
                div id={ "variant-" (index + 1) } {}
                @for section in html::sections(&variant.record, with_patients) {
                    h3.section { (section.title) }
                    (section.body)
                }
            }
        }
    }
}
