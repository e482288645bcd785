//! The out-of-fold table, cut by a column of the data set, becomes figures of each part.

use std::collections::BTreeMap;

use crate::data::table::{is_missing, number};
use crate::record::{Prediction, SlicePart, SliceTable};
use crate::study::{Evaluate, Slice};

use super::{asked, bootstrap, judge, out_of_fold, patients, units, weighted};

/// What images without a value are gathered under.
const NO_VALUE: &str = "no value";

/// Figures of each part of each slice that the study names, by the predictions' [`Prediction::columns`].
///
/// A patient with images in two parts counts in both, with the images that are there.
#[must_use]
pub fn slices(classes: usize, predictions: &[Prediction], evaluate: &Evaluate, seed: u64) -> Vec<SliceTable> {
    let columns = evaluate.columns();
    let table = |slice: &Slice| {
        let column = columns.iter().position(|column| **column == *slice.column);
        let mut parts: BTreeMap<Part, Vec<&Prediction>> = BTreeMap::new();
        for prediction in out_of_fold(predictions) {
            let cell = column.and_then(|column| prediction.columns.get(column)).map_or("", String::as_str);
            parts.entry(part(cell, &slice.edges)).or_default().push(prediction);
        }
        let figures =
            |(part, rows): (Part, Vec<&Prediction>)| figures(classes, part.name(&slice.edges), &rows, evaluate, seed);
        let parts = parts.into_iter().map(figures).collect();
        SliceTable { column: slice.column.clone(), parts }
    };
    evaluate.slices.iter().map(table).collect()
}

pub(super) fn figures(
    classes: usize,
    name: String,
    scored: &[&Prediction],
    evaluate: &Evaluate,
    seed: u64,
) -> SlicePart {
    let patients = patients(scored);
    let intervals = evaluate.intervals.filter(|_| patients.len() > 1).map(|ask| {
        let units = units(classes, scored, &patients, evaluate.unit);
        weighted::named(&bootstrap::intervals(&units, patients.len(), &asked(&ask, seed)))
    });
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    SlicePart {
        name,
        images: size(scored.len()),
        patients: size(patients.len()),
        figures: judge(classes, scored, evaluate.unit),
        intervals,
    }
}

/// A part of a slice, in the order in which parts are shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Between which edges: 0 is below the first.
    Bin(usize),
    /// A value that is a number, by its size (as ordered bits), then as written.
    Number(u64, String),
    Text(String),
    NoValue,
}

fn part(cell: &str, edges: &[f64]) -> Part {
    let cell = cell.trim();
    match (cell, number(cell)) {
        (_, _) if is_missing(cell) => Part::NoValue,
        (_, None) if !edges.is_empty() => Part::NoValue,
        (_, Some(value)) if !edges.is_empty() => {
            let above = edges.partition_point(|edge| *edge <= value);
            // the last edge belongs to the last part
            let last = above == edges.len() && edges.last().is_some_and(|edge| edge.to_bits() == value.to_bits());
            Part::Bin(above - usize::from(last))
        }
        (text, Some(value)) => {
            let bits = value.to_bits();
            let ordered = if value.is_sign_negative() { !bits } else { bits | 1 << 63 };
            Part::Number(ordered, text.to_owned())
        }
        (text, None) => Part::Text(text.to_owned()),
    }
}

impl Part {
    fn name(&self, edges: &[f64]) -> String {
        match self {
            Self::Number(_, text) | Self::Text(text) => text.clone(),
            Self::NoValue => NO_VALUE.to_owned(),
            Self::Bin(bin) => match (bin.checked_sub(1).and_then(|below| edges.get(below)), edges.get(*bin)) {
                (Some(from), Some(to)) if bin + 1 == edges.len() => format!("{from}..={to}"),
                (Some(from), Some(to)) => format!("{from}..{to}"),
                (None, Some(to)) => format!("below {to}"),
                (Some(from), None) => format!("above {from}"),
                (None, None) => NO_VALUE.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, part};

    fn name(cell: &str, edges: &[f64]) -> String {
        part(cell, edges).name(edges)
    }

    #[test]
    fn bins_hold_their_lower_edge_and_the_last_both() {
        let edges = [16.0, 40.0, 65.0];
        let cells = ["15.9", "16", "39.99", "40", "65", "65.1", " ", "old"];
        let names = ["below 16", "16..40", "16..40", "40..=65", "40..=65", "above 65", "no value", "no value"];
        for (cell, expected) in cells.into_iter().zip(names) {
            assert_eq!(name(cell, &edges), expected, "{cell}");
        }
    }

    #[test]
    fn numbers_stand_in_order_of_size() {
        let mut parts: Vec<Part> = ["10", "-3", "F", "9", "", "-20", "0"].iter().map(|cell| part(cell, &[])).collect();
        parts.sort();
        let names: Vec<String> = parts.iter().map(|part| part.name(&[])).collect();
        assert_eq!(names, ["-20", "-3", "0", "9", "10", "F", "no value"]);
    }
}
