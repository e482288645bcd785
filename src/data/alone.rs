//! How well a single column tells the classes apart: what a network may learn instead of the finding.
//!
//! For each of its values the class is answered that is most over-represented among the rows with that value. The
//! answers are learned on one half of the patients and judged on the other, both ways round, so that chance is met by
//! columns that say nothing.

use serde::{Deserialize, Serialize};

use super::Image;
use super::csv::FEW;
use super::table::{Column, Table};

/// One column by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alone {
    /// Its name.
    pub column: String,
    /// Mean recall over the classes, 0..1; chance is one over their number.
    pub balanced_accuracy: f64,
    /// Its most frequent value.
    pub common: String,
}

/// Every column of few values, in the table's order, but those of `used`. `rows` holds the row of each image.
pub(super) fn columns(table: &Table, rows: &[u32], images: &[Image], classes: usize, used: &[&str]) -> Vec<Alone> {
    table
        .columns()
        .filter(|(name, column)| (2..=FEW).contains(&column.distinct()) && !used.contains(name))
        .map(|(name, column)| {
            let (balanced_accuracy, common) = judge(column, rows, images, classes);
            Alone { column: name.to_owned(), balanced_accuracy, common: column.value(common).to_owned() }
        })
        .collect()
}

/// Which half a patient is in, whatever order patients come in: a bit of a multiplicative hash (Knuth).
fn half(patient: u32) -> usize {
    (patient.wrapping_mul(0x9E37_79B1) >> 31) as usize
}

#[expect(clippy::cast_precision_loss, reason = "a table has fewer rows than 2^53")]
fn judge(column: &Column, rows: &[u32], images: &[Image], classes: usize) -> (f64, u32) {
    let values = column.distinct();
    // counts[half][value][class]
    let mut counts = vec![vec![vec![0_usize; classes]; values]; 2];
    for (row, image) in rows.iter().zip(images) {
        let half = half(image.patient);
        let value = column.code(*row).map_or(usize::MAX, |code| code as usize);
        let cell =
            counts.get_mut(half).and_then(|half| half.get_mut(value)).and_then(|of| of.get_mut(image.label as usize));
        if let Some(cell) = cell {
            *cell += 1;
        }
    }
    let of_class = |half: &[Vec<usize>], class: usize| -> usize { half.iter().filter_map(|of| of.get(class)).sum() };
    let mut right = vec![0; classes];
    if let [one, other] = counts.as_slice() {
        for (learned, judged) in [(one, other), (other, one)] {
            let totals: Vec<f64> = (0..classes).map(|class| of_class(learned, class).max(1) as f64).collect();
            for (seen, asked) in learned.iter().zip(judged) {
                let share = |class: &usize| seen.get(*class).map_or(0.0, |count| *count as f64 / totals[*class]);
                // Of equals the first; a value that was not seen has no answer.
                let answer =
                    (0..classes).rev().max_by(|a, b| share(a).total_cmp(&share(b))).filter(|class| share(class) > 0.0);
                if let Some((right, asked)) = answer.and_then(|class| Some((right.get_mut(class)?, asked.get(class)?)))
                {
                    *right += *asked;
                }
            }
        }
    }
    let recall = |class: usize| {
        let all: usize = counts.iter().map(|half| of_class(half, class)).sum();
        if all == 0 { 0.0 } else { right.get(class).copied().unwrap_or(0) as f64 / all as f64 }
    };
    let mean = (0..classes).map(recall).sum::<f64>() / classes.max(1) as f64;
    let rows_of = |value: usize| -> usize { counts.iter().filter_map(|half| half.get(value)).flatten().sum() };
    let common = (0..values).rev().max_by_key(|value| rows_of(*value)).unwrap_or(0);
    (mean, u32::try_from(common).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(labels: &[u32]) -> Vec<Image> {
        let image =
            |(at, label): (u32, &u32)| Image { name: String::new(), row: at + 2, patient: at / 2, label: *label };
        (0..).zip(labels).map(image).collect()
    }

    #[test]
    fn a_column_that_says_everything_and_one_that_says_nothing() {
        let labels: Vec<u32> = (0..80).map(|at| at % 2).collect();
        let (mut all, mut nothing) = (Column::default(), Column::default());
        for at in 0..80_u32 {
            all.push(if at % 2 == 0 { "a" } else { "b" });
            nothing.push(if at / 4 % 2 == 0 { "a" } else { "b" });
        }
        let names = ["all", "nothing"].map(str::to_owned);
        let columns = vec![("all".to_owned(), all), ("nothing".to_owned(), nothing)];
        let table = Table::new(names.to_vec(), columns, (2..82).collect());
        let rows: Vec<u32> = (0..80).collect();
        let found = super::columns(&table, &rows, &images(&labels), 2, &[]);
        assert_eq!(found.len(), 2);
        assert!((found[0].balanced_accuracy - 1.0).abs() < 1e-12, "{found:?}");
        assert!((found[1].balanced_accuracy - 0.5).abs() < 0.1, "{found:?}");
        assert_eq!(found[0].common, "a");
        assert_eq!(super::columns(&table, &rows, &images(&labels), 2, &["all"]).len(), 1);
    }
}
