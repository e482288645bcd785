//! Logits of the inner validation images become the figures that training may look at.

use crate::record::ValidationFigures;
use crate::study::Watch;

use super::loss::MixedLoss;

/// The figures of validation images: `logits` row by row, `labels` one an image. The loss is taken over all of them
/// at once. `None` when there are none.
#[must_use]
pub fn validation_figures(
    loss: &MixedLoss,
    classes: usize,
    logits: &[f32],
    labels: &[u32],
) -> Option<ValidationFigures> {
    if labels.is_empty() || classes == 0 {
        return None;
    }
    let targets: Vec<f32> = one_hot(labels, classes);
    let value = loss.on_host(logits, &targets).value;
    let mut right = vec![0_u32; classes];
    let mut there = vec![0_u32; classes];
    let mut called = vec![0_u32; classes];
    for (row, &label) in logits.chunks_exact(classes).zip(labels) {
        let label = label as usize;
        let top = top_class(row);
        called[top] += 1;
        if let Some(there) = there.get_mut(label) {
            *there += 1;
        }
        if top == label {
            right[top] += 1;
        }
    }
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let recalls: Vec<f64> =
        right.iter().zip(&there).filter(|(_, n)| **n > 0).map(|(&r, &n)| f64::from(r) / f64::from(n)).collect();
    let f1 = right.iter().zip(there.iter().zip(&called)).map(|(&right, (&there, &called))| {
        if there + called == 0 { 0.0 } else { 2.0 * f64::from(right) / f64::from(there + called) }
    });
    Some(ValidationFigures {
        loss: value,
        accuracy: f64::from(right.iter().sum::<u32>()) / count(labels.len()),
        balanced_accuracy: recalls.iter().sum::<f64>() / count(recalls.len().max(1)),
        macro_f1: f1.sum::<f64>() / count(classes),
    })
}

/// The class with the largest logit; the first of equals.
fn top_class(row: &[f32]) -> usize {
    let mut top = 0;
    for (k, value) in row.iter().enumerate() {
        if *value > row[top] {
            top = k;
        }
    }
    top
}

/// Labels as rows with a single 1.
pub(super) fn one_hot(labels: &[u32], classes: usize) -> Vec<f32> {
    let mut rows = vec![0.0; labels.len() * classes];
    for (row, &label) in rows.chunks_exact_mut(classes.max(1)).zip(labels) {
        if let Some(slot) = row.get_mut(label as usize) {
            *slot = 1.0;
        }
    }
    rows
}

/// The watched one of the figures.
#[must_use]
pub fn watched(figures: &ValidationFigures, on: Watch) -> f64 {
    match on {
        Watch::Loss => figures.loss,
        Watch::Accuracy => figures.accuracy,
        Watch::BalancedAccuracy => figures.balanced_accuracy,
        Watch::MacroF1 => figures.macro_f1,
    }
}

/// Is a larger one better?
pub(super) fn larger_is_better(on: Watch) -> bool {
    match on {
        Watch::Loss => false,
        Watch::Accuracy | Watch::BalancedAccuracy | Watch::MacroF1 => true,
    }
}

/// As a study writes it.
pub(super) fn name(on: Watch) -> &'static str {
    match on {
        Watch::Loss => "loss",
        Watch::Accuracy => "accuracy",
        Watch::BalancedAccuracy => "balanced_accuracy",
        Watch::MacroF1 => "macro_f1",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::study::{ClassWeights, LossKind, LossTerm};

    /// Confusion by hand: labels 0 0 1 2, called 0 1 1 0.
    #[test]
    fn figures_by_hand() {
        let term =
            LossTerm { weight: 1.0, kind: LossKind::CrossEntropy, smoothing: 0.0, class_weights: ClassWeights::None };
        let loss = MixedLoss::new(&[term], 3, &[2, 1, 1]).unwrap();
        let logits = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let seen = validation_figures(&loss, 3, &logits, &[0, 0, 1, 2]).unwrap();
        let e = std::f64::consts::E;
        let (right, wrong) = (-(e / (e + 2.0)).ln(), -(1.0 / (e + 2.0)).ln());
        assert!((seen.loss - (right + right + wrong + wrong) / 4.0).abs() < 1e-12);
        assert!((seen.accuracy - 0.5).abs() < 1e-12);
        assert!((seen.balanced_accuracy - (0.5 + 1.0) / 3.0).abs() < 1e-12);
        assert!((seen.macro_f1 - (0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert!(validation_figures(&loss, 3, &[], &[]).is_none());
    }
}
