//! The soft F1 of a batch on the host, in double precision, with its gradient by the logits.

use super::super::mix::Term;
use super::super::mix::reference::{EPSILON, Row};

/// 1 - mean over the classes of F1 with true and false positives counted in probabilities, over the whole batch.
/// Class weights mean nothing here.
pub(crate) fn soft_f1(term: &Term, rows: &[Row], classes: usize, gradient: &mut [f64]) -> f64 {
    if rows.is_empty() {
        return 0.0;
    }
    let targets: Vec<Vec<f64>> = rows.iter().map(|row| row.smoothed(term.smoothing)).collect();
    #[expect(clippy::cast_precision_loss, reason = "classes are few")]
    let share = 1.0 / classes as f64;
    let mut f1_sum = 0.0;
    // d loss / d p is constant + slope * y within a class
    let mut slopes = Vec::with_capacity(classes);
    for k in 0..classes {
        let column = || rows.iter().zip(&targets).map(move |(row, y)| (row.p[k], y[k]));
        let true_positives: f64 = column().map(|(p, y)| p * y).sum();
        let called = column().map(|(p, _)| p).sum::<f64>() + EPSILON;
        let there = column().map(|(_, y)| y).sum::<f64>() + EPSILON;
        let (precision, recall) = (true_positives / called, true_positives / there);
        let sum = precision + recall + EPSILON;
        f1_sum += 2.0 * precision * recall / sum;
        let by_precision = 2.0 * recall * (recall + EPSILON) / (sum * sum);
        let by_recall = 2.0 * precision * (precision + EPSILON) / (sum * sum);
        slopes.push((
            share * by_precision * true_positives / (called * called),
            -share * (by_precision / called + by_recall / there),
        ));
    }
    let mut by_p = vec![0.0; classes];
    for ((row, y), out) in rows.iter().zip(&targets).zip(gradient.chunks_exact_mut(classes)) {
        for (k, slot) in by_p.iter_mut().enumerate() {
            *slot = slopes[k].0 + slopes[k].1 * y[k];
        }
        row.add_logit_gradient(&by_p, term.weight, out);
    }
    1.0 - share * f1_sum
}
