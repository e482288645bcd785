//! How each class fares: table, confusion matrix, ROC curves and reliability, at the study's unit and at the other.

use maud::{Markup, html};

use super::html::{figure, wide};
use super::plot::{Axis, Bin, Line, Lines, Shape, legend, reliability};
use super::words::{
    class_count, class_name, count, ends, figure as number, level, metric, metric_name, other, percent, pooled,
    pooled_intervals, unit_name,
};
use crate::record::{Figures, Interval, RunRecord};
use crate::study::{Metric, Unit};

/// The section.
pub(super) fn section(record: &RunRecord) -> Markup {
    let unit = record.study.evaluate.unit;
    html! {
        (by_unit(record, unit))
        details {
            summary { "The same by " (unit_name(other(unit))) }
            (by_unit(record, other(unit)))
        }
    }
}

fn by_unit(record: &RunRecord, unit: Unit) -> Markup {
    let figures = pooled(&record.evaluation, unit);
    let name = unit_name(unit);
    if figures.count == 0 {
        return html! { p { "No " (name) " was scored." } };
    }
    html! {
        h3 { "By " (name) }
        @if unit == Unit::Patient {
            p.note { "A patient's answer is the mean probability over their images of one label; a patient with several labels answers once for each." }
        }
        (wide(&format!("Figures of each class by {name}"), &per_class(record, figures, unit)))
        (confusion(record, figures, unit))
        div.plots.large { (roc(record, figures)) (calibration(figures, unit)) }
    }
}

fn per_class(record: &RunRecord, figures: &Figures, unit: Unit) -> Markup {
    let intervals = pooled_intervals(&record.evaluation, unit);
    html! {
        table {
            caption {
                "Each class against the rest, by " (unit_name(unit))
                @if let Some(intervals) = &record.evaluation.intervals { ", with " (level(intervals.level)) "s" }
            }
            thead {
                tr {
                    th scope="col" { "class" }
                    @for column in ["precision", "recall", "F1", "AUROC", "support"] { th.number scope="col" { (column) } }
                }
            }
            tbody {
                @for (class, of) in figures.classes.iter().enumerate() {
                    @let interval = intervals.and_then(|intervals| intervals.classes.get(class));
                    tr {
                        th.name scope="row" { bdi { (class_name(record, class)) } }
                        (cell(of.precision, interval.and_then(|of| of.precision)))
                        (cell(of.recall, interval.and_then(|of| of.recall)))
                        (cell(of.f1, interval.and_then(|of| of.f1)))
                        (cell(of.auroc, interval.and_then(|of| of.auroc)))
                        td.number { (count(of.support)) }
                    }
                }
            }
            tfoot {
                tr {
                    th scope="row" { "mean / total" }
                    td.number { (mean(figures, |of| Some(of.precision))) }
                    td.number { (mean(figures, |of| Some(of.recall))) }
                    td.number { (mean(figures, |of| Some(of.f1))) }
                    td.number { (mean(figures, |of| of.auroc)) }
                    td.number { (count(figures.count)) }
                }
            }
        }
    }
}

/// A figure over its interval.
pub(super) fn cell(value: impl Into<Option<f64>>, interval: Option<Interval>) -> Markup {
    html! {
        td.number {
            (number(value))
            @if let Some(interval) = interval { span.interval { (ends(interval)) } }
        }
    }
}

fn mean(figures: &Figures, value: impl Fn(&crate::record::ClassFigures) -> Option<f64>) -> String {
    number(super::plot::mean(figures.classes.iter().filter_map(value)))
}

/// Rows are true classes, columns what was answered; a cell's tint is its share of the row.
fn confusion(record: &RunRecord, figures: &Figures, unit: Unit) -> Markup {
    let classes = class_count(record).max(figures.confusion.len());
    let many = classes > 6;
    let table = html! {
        table.confusion.many[many] {
            caption { "Confusion matrix by " (unit_name(unit)) ": counts, and shares of the true class" }
            thead {
                tr {
                    th scope="col" { "true ↓ answered →" }
                    @for class in 0..classes { th.name scope="col" { span.clip title=(class_name(record, class)) { bdi { (class_name(record, class)) } } } }
                }
            }
            tbody {
                @for (truth, row) in figures.confusion.iter().enumerate() {
                    @let total: u32 = row.iter().fold(0, |sum, cell| sum.saturating_add(*cell));
                    tr {
                        th.name scope="row" { bdi { (class_name(record, truth)) } }
                        @for (answer, cell) in row.iter().enumerate() {
                            (confusion_cell(*cell, total, truth == answer))
                        }
                    }
                }
            }
        }
    };
    wide(&format!("Confusion matrix by {}", unit_name(unit)), &table)
}

fn confusion_cell(cell: u32, total: u32, right: bool) -> Markup {
    let share = if total == 0 { 0.0 } else { f64::from(cell) / f64::from(total) };
    html! {
        td.right[right] style={ "--share:" (format!("{:.2}", share * 0.6)) } {
            b { (count(cell)) }
            span { (percent(cell, total)) }
        }
    }
}

fn roc(record: &RunRecord, figures: &Figures) -> Markup {
    let lines: Vec<Line> = figures
        .classes
        .iter()
        .enumerate()
        .filter(|(_, of)| of.auroc.is_some() && of.roc.len() > 1)
        .map(|(class, of)| Line { name: class_name(record, class), points: of.roc.clone(), look: class, mark: None })
        .collect();
    if lines.is_empty() {
        return html! { p.note { "No ROC curve: a class and its rest must both occur among the scored." } };
    }
    let entries: Vec<(usize, String)> = lines
        .iter()
        .map(|line| {
            let area = figures.classes.get(line.look).and_then(|of| of.auroc);
            (line.look, format!("{} – {}", line.name, number(area)))
        })
        .collect();
    let (x, y) = (Axis::share("false positive rate"), Axis::share("true positive rate"));
    let each: Vec<&str> = entries.iter().map(|(_, text)| text.as_str()).collect();
    let about = format!("ROC curves of each class against the rest, with the area under each: {}", each.join("; "));
    figure(
        &html! { "ROC curves, one class against the rest (true against false positive rate), " (metric_name(Metric::Auroc)) " " (number(metric(figures, Metric::Auroc))) },
        &Lines { about: &about, shape: Shape::Square, x: &x, y: &y, drawn: &lines, diagonal: true, marked: None }
            .draw(),
        &legend(&entries),
    )
}

fn calibration(figures: &Figures, unit: Unit) -> Markup {
    let bins: Vec<Bin> = figures
        .calibration
        .iter()
        .map(|bin| Bin { confidence: bin.confidence, accuracy: bin.accuracy, count: bin.count })
        .collect();
    if bins.is_empty() {
        return html! {};
    }
    let each: Vec<String> = bins
        .iter()
        .map(|bin| format!("{} answers at {}, right {}", bin.count, number(bin.confidence), number(bin.accuracy)))
        .collect();
    let about = format!("Reliability diagram, expected calibration error {}: {}", number(figures.ece), each.join("; "));
    figure(
        &html! { "Reliability: share of right answers against the mean top probability, ECE " (number(figures.ece)) },
        &reliability(&about, &bins),
        &html! { p.note { "On the dotted line probabilities can be taken at their word; above it they are too modest, below it too sure. A dot's area grows with the " (unit_name(unit)) "s in its bin." } },
    )
}
