//! What is found at thresholds that other patients chose: a table an operating point.

use maud::{Markup, html};

use super::html::wide;
use super::judged::cell;
use super::words::{class_name, figure, level, unit_name};
use crate::record::{Operating, Reached, RunRecord};

/// The section.
pub(super) fn section(record: &RunRecord) -> Markup {
    html! {
        p.note {
            "Each class against the rest, by " (unit_name(record.study.evaluate.unit)) ", out of fold. In each fold the network's answers for "
            @if record.study.evaluate.leak.is_some() && record.study.split.validation <= 0.0 {
                "the very patients who are scored chose the thresholds, which this study accepts"
            } @else {
                "its validation patients (validation.csv) chose the thresholds, and the patients of the fold are judged at them"
            }
            "; so what was fixed is reached only about. "
            @if record.evaluation.intervals.is_some() { "The intervals draw scored patients and keep the thresholds. " }
            "A hold-out has no figures here: it is scored by the mean of all folds' networks, for which nobody chose."
        }
        @for operating in &record.evaluation.operating {
            h3 { (title(operating)) }
            (wide(&title(operating), &table(record, operating)))
        }
    }
}

/// `Sensitivity at a specificity of 0.9`
fn title(operating: &Operating) -> String {
    let words = operating.point.to_string();
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn table(record: &RunRecord, operating: &Operating) -> Markup {
    let fixed = operating.point.fixed;
    let rates = [fixed.other(), fixed];
    let cells = |of: &Reached| {
        html! { @for rate in rates { @let (value, interval) = of.of(rate); (cell(value, interval)) } }
    };
    html! {
        table {
            caption {
                (title(operating))
                @if let Some(intervals) = &record.evaluation.intervals { ", with " (level(intervals.level)) "s" }
            }
            thead {
                tr {
                    th scope="col" { "class" }
                    th.number scope="col" { (fixed.other().name()) }
                    th.number scope="col" { (fixed.name()) " reached" }
                    th.number scope="col" { "thresholds of the folds" }
                }
            }
            tbody {
                @for (class, of) in operating.classes.iter().enumerate() {
                    tr {
                        th.name scope="row" { bdi { (class_name(record, class)) } }
                        (cells(of))
                        td.number { (thresholds(operating, class)) }
                    }
                }
            }
            tfoot {
                tr {
                    th scope="row" { "mean of the classes" }
                    (cells(&operating.mean))
                    td {}
                }
            }
        }
    }
}

/// `0.123 to 0.456`, and how many folds have none.
fn thresholds(operating: &Operating, class: usize) -> String {
    let of_class = operating.thresholds.iter().map(|fold| fold.thresholds.get(class).copied().flatten());
    let there: Vec<f64> = of_class.clone().flatten().collect();
    let none = of_class.count() - there.len();
    let least = there.iter().copied().reduce(f64::min);
    let most = there.iter().copied().reduce(f64::max);
    let range = match (least, most) {
        (Some(least), Some(most)) => format!("{} to {}", figure(least), figure(most)),
        _ => return "none could be chosen".to_owned(),
    };
    if none == 0 { range } else { format!("{range}; none in {none}") }
}
