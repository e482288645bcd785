//! How the parts of the patients fare: a table for each column that the study names, and the spread of the parts drawn.

use maud::{Markup, html};

use super::html::{figure, wide};
use super::judged::cell;
use super::plot::{Row, forest};
use super::words::{count, level, metric, metric_interval, metric_name, metrics, plain, unit_name};
use crate::record::{RunRecord, SliceTable};

/// The section.
pub(super) fn section(record: &RunRecord) -> Markup {
    html! {
        p.note {
            "Each part by itself, by " (unit_name(record.study.evaluate.unit)) ", out of fold. Parts were not compared by a test: with many of them some differ by chance. "
            "A patient with images in two parts counts in both."
        }
        @for table in &record.evaluation.slices {
            h3 { (plain(&table.column)) }
            (wide(&format!("Figures by {}", plain(&table.column)), &figures(record, table)))
            (drawn(record, table))
        }
    }
}

fn figures(record: &RunRecord, table: &SliceTable) -> Markup {
    html! {
        table {
            caption {
                "Figures of each part by " (plain(&table.column))
                @if let Some(intervals) = &record.evaluation.intervals { ", with " (level(intervals.level)) "s" }
            }
            thead {
                tr {
                    th scope="col" { (plain(&table.column)) }
                    th.number scope="col" { "images" }
                    th.number scope="col" { "patients" }
                    @for wanted in metrics(record) { th.number scope="col" { (metric_name(wanted)) } }
                }
            }
            tbody {
                @for part in &table.parts {
                    tr {
                        th.name scope="row" { bdi { (plain(&part.name)) } }
                        td.number { (count(part.images)) }
                        td.number { (count(part.patients)) }
                        @for wanted in metrics(record) {
                            (cell(metric(&part.figures, wanted), part.intervals.as_ref().and_then(|of| metric_interval(of, wanted))))
                        }
                    }
                }
            }
        }
    }
}

fn drawn(record: &RunRecord, table: &SliceTable) -> Markup {
    let primary = record.study.evaluate.primary;
    let rows: Vec<Row> = table
        .parts
        .iter()
        .map(|part| Row {
            name: plain(&part.name),
            value: metric(&part.figures, primary),
            interval: part.intervals.as_ref().and_then(|of| metric_interval(of, primary)),
            stressed: false,
        })
        .collect();
    let about = format!("{} by {}", metric_name(primary), plain(&table.column));
    figure(&html! { (about) }, &forest(&about, metric_name(primary), &rows, None), &html! {})
}
