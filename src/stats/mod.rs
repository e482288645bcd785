//! The out-of-fold table becomes numbers: every figure of a report is a function of [`Prediction`]s.
//!
//! Definitions are scikit-learn's, to 1e-9 on stored cases (`tests/fixtures/stats`). Nothing here panics or gives NaN,
//! whatever the probabilities are: a probability that is not a number counts as 0.

mod figures;
pub mod predictions;
mod roc;

pub use figures::figures;

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Evaluation, Figures, FoldFigures, Prediction};
use figures::Units;

/// Every figure of the out-of-fold predictions, by image and by patient, together and for each fold.
///
/// Predictions of the hold-out (`fold: None`) take no part. A patient's probabilities are the mean over their images of
/// one label; a patient with several labels counts once a label.
#[must_use]
pub fn evaluate(classes: usize, predictions: &[Prediction]) -> Evaluation {
    let scored: Vec<&Prediction> = predictions.iter().filter(|prediction| prediction.fold.is_some()).collect();
    let folds: BTreeSet<u32> = scored.iter().filter_map(|prediction| prediction.fold).collect();
    let each_fold = |judge: fn(usize, &[&Prediction]) -> Figures| -> Vec<FoldFigures> {
        folds
            .iter()
            .map(|fold| {
                let of_fold: Vec<&Prediction> =
                    scored.iter().copied().filter(|prediction| prediction.fold == Some(*fold)).collect();
                FoldFigures { fold: *fold, figures: judge(classes, &of_fold) }
            })
            .collect()
    };
    Evaluation {
        image: by_image(classes, &scored),
        patient: by_patient(classes, &scored),
        per_fold: each_fold(by_image),
        per_fold_patient: each_fold(by_patient),
    }
}

fn by_image(classes: usize, predictions: &[&Prediction]) -> Figures {
    let mut units = Units::new(classes);
    for prediction in predictions {
        units.push(prediction.label, prediction.probabilities.iter().map(|p| f64::from(*p)));
    }
    units.figures()
}

fn by_patient(classes: usize, predictions: &[&Prediction]) -> Figures {
    let mut sums: BTreeMap<(&str, u32), (Vec<f64>, u32)> = BTreeMap::new();
    for prediction in predictions {
        let (sum, images) =
            sums.entry((&prediction.patient, prediction.label)).or_insert_with(|| (vec![0.0; classes], 0));
        for (sum, probability) in sum.iter_mut().zip(&prediction.probabilities) {
            *sum += if probability.is_nan() { 0.0 } else { f64::from(*probability) };
        }
        *images += 1;
    }
    let mut units = Units::new(classes);
    for ((_, label), (sum, images)) in sums {
        units.push(label, sum.into_iter().map(|sum| sum / f64::from(images)));
    }
    units.figures()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{evaluate, figures};
    use crate::record::Prediction;

    fn prediction(patient: &str, fold: Option<u32>, label: u32, probabilities: &[f32]) -> Prediction {
        let image = format!("{patient}.png");
        Prediction { image, patient: patient.to_owned(), fold, label, probabilities: probabilities.to_vec() }
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
