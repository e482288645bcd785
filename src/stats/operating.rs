//! Sensitivity at a specificity, and the other way round, at thresholds that other patients chose.
//!
//! Each class against the rest, each fold with thresholds of its own: its network's answers for its validation
//! patients choose them, and they are then applied to the patients of the fold. The intervals draw scored patients
//! again and keep the thresholds, so they say how far the figures of these very networks could be off.

use std::collections::BTreeSet;

use super::bootstrap;
use super::figures::Units;
use super::weighted::Row;
use super::{asked, out_of_fold, patients, units};
use crate::record::{FoldThresholds, Interval, Operating, Prediction, Reached};
use crate::study::{Evaluate, OperatingPoint, Rate};

/// The figures of every operating point of a study, counted by its unit.
///
/// `choosing` are answers for the patients who choose thresholds, with the fold whose network gave them. A class that
/// nobody of them has, or everybody, has no threshold in that fold, and the fold's patients do not count for it.
#[must_use]
pub fn operating(
    classes: usize,
    choosing: &[Prediction],
    predictions: &[Prediction],
    evaluate: &Evaluate,
    seed: u64,
) -> Vec<Operating> {
    evaluate.operating.iter().map(|point| at(*point, classes, choosing, predictions, evaluate, seed)).collect()
}

/// A scored unit against the threshold of a class.
struct Call {
    owner: usize,
    class: usize,
    positive: bool,
    found: bool,
}

fn at(
    point: OperatingPoint,
    classes: usize,
    choosing: &[Prediction],
    predictions: &[Prediction],
    evaluate: &Evaluate,
    seed: u64,
) -> Operating {
    let scored = out_of_fold(predictions);
    let numbers = patients(&scored);
    let folds: BTreeSet<u32> = scored.iter().filter_map(|prediction| prediction.fold).collect();
    let mut thresholds = Vec::with_capacity(folds.len());
    let mut calls = Vec::new();
    for fold in folds {
        let choose: Vec<&Prediction> = choosing.iter().filter(|row| row.fold == Some(fold)).collect();
        let choose = units(classes, &choose, &patients(&choose), evaluate.unit);
        let chosen: Vec<Option<f64>> = (0..classes).map(|class| threshold(&choose, class, point)).collect();
        let of_fold: Vec<&Prediction> = scored.iter().copied().filter(|row| row.fold == Some(fold)).collect();
        for (owner, label, row) in units(classes, &of_fold, &numbers, evaluate.unit).owned() {
            calls.extend(row.iter().zip(&chosen).enumerate().filter_map(|(class, (p, threshold))| {
                threshold.map(|threshold| Call { owner, class, positive: label == class, found: *p >= threshold })
            }));
        }
        thresholds.push(FoldThresholds { fold, thresholds: chosen });
    }
    let row = rates(classes, &calls, &vec![1.0; numbers.len()]);
    let intervals = match &evaluate.intervals {
        Some(ask) if numbers.len() > 1 => {
            bootstrap::intervals_of(&|weights| rates(classes, &calls, weights), numbers.len(), &asked(ask, seed))
        }
        Some(_) | None => Vec::new(),
    };
    let value = |place: usize| row.get(place).copied().flatten();
    let interval = |place: usize| -> Option<Interval> { intervals.get(place).copied().flatten() };
    let mut reached = (0..=classes).map(|class| Reached {
        sensitivity: value(2 * class),
        specificity: value(2 * class + 1),
        sensitivity_interval: interval(2 * class),
        specificity_interval: interval(2 * class + 1),
    });
    Operating { point, mean: reached.next().unwrap_or_default(), classes: reached.collect(), thresholds }
}

/// From which probability on a class counts as found, so that the fixed rate is reached among these units.
fn threshold(units: &Units, class: usize, point: OperatingPoint) -> Option<f64> {
    let own = point.fixed == Rate::Sensitivity;
    let counted = units.owned().filter(|(_, label, _)| (*label == class) == own);
    let mut scores: Vec<f64> = counted.filter_map(|(_, _, row)| row.get(class).copied()).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    #[expect(clippy::cast_precision_loss, reason = "units are far below 2^53")]
    let all = scores.len() as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the number of units")]
    match point.fixed {
        // the largest score of others that must stay below, and no more than that
        Rate::Specificity => {
            scores.get(((1.0 - point.share) * all + 1e-9).floor() as usize).map(|score| score.next_up())
        }
        Rate::Sensitivity => scores.get((point.share * all - 1e-9).ceil().max(1.0) as usize - 1).copied(),
    }
}

/// Sensitivity and specificity, of the mean over the classes and then of each class, for patients with weights.
fn rates(classes: usize, calls: &[Call], weights: &[f64]) -> Row {
    // found and all, of the class and of the others
    let mut counts = vec![[0.0_f64; 4]; classes];
    for call in calls {
        let weight = weights.get(call.owner).copied().unwrap_or(0.0);
        let Some([found, own, spared, others]) = counts.get_mut(call.class) else { continue };
        let (right, all) = if call.positive { (found, own) } else { (spared, others) };
        *all += weight;
        *right += if call.found == call.positive { weight } else { 0.0 };
    }
    let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    let of_class: Vec<Option<f64>> =
        counts.iter().flat_map(|[found, own, spared, others]| [share(*found, *own), share(*spared, *others)]).collect();
    let mean = |side: usize| super::figures::mean(of_class.iter().skip(side).step_by(2).filter_map(|rate| *rate));
    [mean(0), mean(1)].into_iter().chain(of_class.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Metric, Unit};

    fn row(patient: usize, fold: u32, label: u32, p: f32) -> Prediction {
        Prediction {
            image: format!("{patient}.png"),
            patient: format!("p{patient}"),
            fold: Some(fold),
            label,
            probabilities: vec![1.0 - p, p],
            columns: vec![],
        }
    }

    fn evaluate(fixed: Rate, share: f64) -> Evaluate {
        Evaluate {
            tta: vec![],
            primary: Metric::MacroF1,
            metrics: vec![],
            operating: vec![OperatingPoint { fixed, share }],
            unit: Unit::Image,
            intervals: None,
            slices: vec![],
            leak: None,
        }
    }

    #[test]
    fn each_fold_is_judged_at_the_thresholds_its_own_validation_chose() {
        // Fold 0 chooses between 0.5 and 0.75 of class 1, fold 1 just above 0.125.
        let choosing =
            [row(20, 0, 0, 0.25), row(21, 0, 0, 0.5), row(22, 0, 1, 0.75), row(23, 1, 0, 0.125), row(24, 1, 1, 0.5)];
        let scored =
            [row(0, 0, 1, 0.75), row(1, 0, 1, 0.5), row(2, 0, 0, 0.75), row(3, 1, 1, 0.25), row(4, 1, 0, 0.125)];
        let all = operating(2, &choosing, &scored, &evaluate(Rate::Specificity, 0.9), 1);
        let one = &all[0];
        assert_eq!(one.thresholds[0].thresholds[1], Some(0.5_f64.next_up()));
        assert_eq!(one.classes[1].sensitivity, Some(2.0 / 3.0), "0.75 and 0.25 are found, 0.5 is not");
        assert_eq!(one.classes[1].specificity, Some(0.5), "0.75 is taken for the class");
        let all = operating(2, &choosing, &scored, &evaluate(Rate::Sensitivity, 1.0), 1);
        assert_eq!(all[0].thresholds[0].thresholds[1], Some(0.75));
        assert_eq!(all[0].classes[1].specificity, Some(0.5));
    }

    #[test]
    fn a_class_that_nobody_chose_for_has_no_figure_and_nothing_is_nan() {
        let all = operating(2, &[], &[row(0, 0, 1, 0.5)], &evaluate(Rate::Specificity, 0.9), 1);
        assert_eq!(all[0].mean, Reached::default());
        assert_eq!(all[0].thresholds[0].thresholds, [None, None]);
        let odd = [row(0, 0, 1, f32::NAN), row(1, 0, 0, f32::INFINITY)];
        let all = operating(2, &odd, &odd, &evaluate(Rate::Sensitivity, 0.5), 1);
        assert!(all[0].classes.iter().all(|of| of.specificity.is_none_or(f64::is_finite)));
        assert!(operating(0, &[], &[], &evaluate(Rate::Specificity, 0.9), 1)[0].classes.is_empty());
    }
}
