//! The out-of-fold table becomes numbers: every figure of a report is a function of [`Prediction`]s.
//!
//! Definitions are scikit-learn's, to 1e-9 on stored cases (`tests/fixtures/stats`). Nothing here panics or gives NaN,
//! whatever the probabilities are: a probability that is not a number counts as 0.

mod bootstrap;
mod compare;
mod figures;
mod operating;
pub mod predictions;
mod roc;
mod slices;
mod weighted;

pub use bootstrap::holm;
pub use compare::{Difference, difference};
pub use figures::figures;
pub use operating::operating;
pub use slices::slices;

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Evaluation, FigureIntervals, Figures, FoldFigures, Intervals, Prediction};
use crate::study::{Bootstrap, Evaluate, IntervalMethod, Unit};
use figures::Units;

/// Every figure of the out-of-fold predictions, by image and by patient, together and for each fold.
///
/// Predictions of the hold-out (`fold: None`) take no part. A patient's probabilities are the mean over their images of
/// one label; a patient with several labels counts once a label. [`intervals`], [`slices`] and [`operating`] are left empty.
#[must_use]
pub fn evaluate(classes: usize, predictions: &[Prediction]) -> Evaluation {
    let scored = out_of_fold(predictions);
    let folds: BTreeSet<u32> = scored.iter().filter_map(|prediction| prediction.fold).collect();
    let each_fold = |unit: Unit| -> Vec<FoldFigures> {
        folds
            .iter()
            .map(|fold| {
                let of_fold: Vec<&Prediction> =
                    scored.iter().copied().filter(|prediction| prediction.fold == Some(*fold)).collect();
                FoldFigures { fold: *fold, figures: judge(classes, &of_fold, unit) }
            })
            .collect()
    };
    Evaluation {
        image: judge(classes, &scored, Unit::Image),
        patient: judge(classes, &scored, Unit::Patient),
        per_fold: each_fold(Unit::Image),
        per_fold_patient: each_fold(Unit::Patient),
        intervals: None,
        slices: Vec::new(),
        operating: Vec::new(),
    }
}

/// Intervals of every figure of the out-of-fold predictions; whole patients are drawn, also where images count.
///
/// `None` for fewer than two patients.
#[must_use]
pub fn intervals(classes: usize, predictions: &[Prediction], ask: &Bootstrap, seed: u64) -> Option<Intervals> {
    let scored = out_of_fold(predictions);
    let patients = patients(&scored);
    if patients.len() < 2 {
        return None;
    }
    let of = |unit| {
        let units = units(classes, &scored, &patients, unit);
        weighted::named(&bootstrap::intervals(&units, patients.len(), &asked(ask, seed)))
    };
    let method = match ask.method {
        IntervalMethod::Percentile => "percentile",
        IntervalMethod::Bca => "bca",
    };
    Some(Intervals {
        method: method.into(),
        replicates: ask.replicates,
        level: ask.level,
        patients: u32::try_from(patients.len()).unwrap_or(u32::MAX),
        image: of(Unit::Image),
        patient: of(Unit::Patient),
    })
}

/// Figures of the hold-out by the study's unit, their intervals, and how many images and patients there are; `None`
/// when nobody is held out.
#[must_use]
pub fn holdout(
    classes: usize,
    predictions: &[Prediction],
    evaluate: &Evaluate,
    seed: u64,
) -> Option<(Figures, Option<FigureIntervals>, (u32, u32))> {
    let held: Vec<&Prediction> = predictions.iter().filter(|prediction| prediction.fold.is_none()).collect();
    let part = slices::figures(classes, String::new(), &held, evaluate, seed);
    (part.images > 0).then_some((part.figures, part.intervals, (part.images, part.patients)))
}

fn asked(ask: &Bootstrap, seed: u64) -> bootstrap::Ask {
    bootstrap::Ask { seed, replicates: ask.replicates, level: ask.level, method: ask.method }
}

fn out_of_fold(predictions: &[Prediction]) -> Vec<&Prediction> {
    predictions.iter().filter(|prediction| prediction.fold.is_some()).collect()
}

/// A number for each patient, in order of their names.
fn patients<'a>(predictions: &[&'a Prediction]) -> BTreeMap<&'a str, usize> {
    let names: BTreeSet<&str> = predictions.iter().map(|prediction| prediction.patient.as_str()).collect();
    names.into_iter().zip(0..).collect()
}

fn judge(classes: usize, predictions: &[&Prediction], unit: Unit) -> Figures {
    units(classes, predictions, &patients(predictions), unit).figures()
}

/// What is scored, each with its patient's number.
fn units(classes: usize, predictions: &[&Prediction], patients: &BTreeMap<&str, usize>, unit: Unit) -> Units {
    let number = |patient: &str| patients.get(patient).copied().unwrap_or(0);
    let mut units = Units::new(classes);
    match unit {
        Unit::Image => {
            for prediction in predictions {
                let probabilities = prediction.probabilities.iter().map(|p| f64::from(*p));
                units.push(number(&prediction.patient), prediction.label, probabilities);
            }
        }
        Unit::Patient => {
            let mut sums: BTreeMap<(&str, u32), (Vec<f64>, u32)> = BTreeMap::new();
            for prediction in predictions {
                let (sum, images) =
                    sums.entry((&prediction.patient, prediction.label)).or_insert_with(|| (vec![0.0; classes], 0));
                for (sum, probability) in sum.iter_mut().zip(&prediction.probabilities) {
                    *sum += if probability.is_nan() { 0.0 } else { f64::from(*probability) };
                }
                *images += 1;
            }
            for ((patient, label), (sum, images)) in sums {
                units.push(number(patient), label, sum.into_iter().map(|sum| sum / f64::from(images)));
            }
        }
    }
    units
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{evaluate, figures};
    use crate::record::Prediction;

    fn prediction(patient: &str, fold: Option<u32>, label: u32, probabilities: &[f32]) -> Prediction {
        let image = format!("{patient}.png");
        let (patient, probabilities) = (patient.to_owned(), probabilities.to_vec());
        Prediction { image, patient, fold, label, probabilities, columns: vec![] }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "halves and quarters are exact")]
    fn a_patient_is_the_mean_of_their_images_and_the_holdout_stays_out() {
        let evaluation = evaluate(
            2,
            &[
                prediction("a", Some(0), 0, &[0.25, 0.75]),
                prediction("a", Some(0), 0, &[1.0, 0.0]),
                prediction("b", Some(1), 1, &[0.0, 1.0]),
                prediction("b", Some(1), 0, &[0.0, 1.0]),
                prediction("z", None, 1, &[1.0, 0.0]),
            ],
        );
        assert_eq!((evaluation.image.count, evaluation.image.accuracy), (4, 0.5));
        // a as class 0 is right on average, b as class 0 is wrong, b as class 1 is right
        assert_eq!(evaluation.patient.count, 3);
        assert_eq!(evaluation.patient.confusion, [[1, 1], [0, 1]]);
        let folds: Vec<u32> = evaluation.per_fold.iter().map(|fold| fold.figures.count).collect();
        assert_eq!(folds, [2, 2]);
        assert_eq!(evaluation.per_fold_patient[0].figures.accuracy, 1.0);
    }

    #[test]
    fn nothing_scored_and_odd_probabilities_give_finite_figures() {
        let none = figures(3, &[], &[]);
        assert_eq!((none.count, none.auroc), (0, None));
        let odd = figures(
            3,
            &[0, 1, 2, 9, 1],
            &[vec![f32::NAN; 3], vec![f32::INFINITY, 0.0, 0.0], vec![], vec![1.0, 0.0, 0.0], vec![0.0, 1.0, -1.0, 5.0]],
        );
        assert_eq!(odd.count, 4, "a label that is no class cannot be scored");
        let numbers = [odd.accuracy, odd.balanced_accuracy, odd.macro_f1, odd.log_loss, odd.ece];
        assert!(numbers.iter().all(|number| number.is_finite()), "{numbers:?}");
        // serde_json writes what is not finite as null, and a record must read back
        let text = serde_json::to_string(&odd).unwrap();
        assert_eq!(serde_json::from_str::<crate::record::Figures>(&text).unwrap(), odd);
    }
}
