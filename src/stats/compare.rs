//! Two out-of-fold tables of the same patients become a difference: is one variant better, or was it lucky?

use std::collections::BTreeMap;

use crate::record::{Interval, Prediction};
use crate::study::{Bootstrap, Metric, Unit};

use super::{asked, bootstrap, out_of_fold, patients, units};

/// How much one variant is above another, on the same patients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The figure of the one minus that of the other.
    pub difference: f64,
    /// Its interval.
    pub interval: Interval,
    /// Two-sided p value of the paired bootstrap, uncorrected.
    pub p: f64,
    /// Images that both have scored.
    pub images: u32,
    /// Their patients.
    pub patients: u32,
}

/// The figure of one variant minus that of another, over the images that both have scored out of fold.
///
/// Whole patients are drawn, the same ones for both. `None` when they share fewer than two patients, or when the figure
/// is not defined in half of the draws.
#[must_use]
pub fn difference(
    classes: usize,
    (one, other): (&[Prediction], &[Prediction]),
    (metric, unit): (Metric, Unit),
    ask: &Bootstrap,
    seed: u64,
) -> Option<Difference> {
    let key = |prediction: &Prediction| (prediction.image.clone(), prediction.patient.clone(), prediction.label);
    let one: BTreeMap<_, &Prediction> = out_of_fold(one).into_iter().map(|row| (key(row), row)).collect();
    let other: BTreeMap<_, &Prediction> = out_of_fold(other).into_iter().map(|row| (key(row), row)).collect();
    let (mine, theirs): (Vec<&Prediction>, Vec<&Prediction>) =
        one.iter().filter_map(|(key, row)| Some((*row, *other.get(key)?))).unzip();
    let patients = patients(&mine);
    if patients.len() < 2 {
        return None;
    }
    let of = |rows: &[&Prediction]| units(classes, rows, &patients, unit);
    let figure = match metric {
        Metric::Accuracy => 0,
        Metric::BalancedAccuracy => 1,
        Metric::MacroF1 => 2,
        Metric::Auroc => 3,
        Metric::LogLoss => 4,
        Metric::Ece => 5,
    };
    let paired = bootstrap::paired(&of(&mine), &of(&theirs), patients.len(), figure, &asked(ask, seed))?;
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Some(Difference {
        difference: paired.difference,
        interval: paired.interval,
        p: paired.p,
        images: size(mine.len()),
        patients: size(patients.len()),
    })
}
