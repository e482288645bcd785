//! Scored units become figures: accuracy to calibration, as scikit-learn defines them.

use super::roc;
use crate::record::{CalibrationBin, ClassFigures, Figures};

/// Bins of the reliability diagram.
pub(super) const BINS: u32 = 15;

/// Every figure of a set of images: true classes, and one probability a class for each.
///
/// Images whose label is no class are left out; missing probabilities and those that are not a number count as 0. Of
/// equal top probabilities the first class is the answer.
#[must_use]
pub fn figures(classes: usize, labels: &[u32], probabilities: &[Vec<f32>]) -> Figures {
    let mut units = Units::new(classes);
    for (owner, (label, row)) in labels.iter().zip(probabilities).enumerate() {
        units.push(owner, *label, row.iter().map(|p| f64::from(*p)));
    }
    units.figures()
}

/// What is scored: images, or patients.
#[derive(Debug)]
pub(super) struct Units {
    classes: usize,
    /// Whose they are: the patient, as a number.
    owners: Vec<usize>,
    labels: Vec<usize>,
    /// `[unit * classes + class]`, finite.
    probabilities: Vec<f64>,
}

impl Units {
    pub(super) fn new(classes: usize) -> Self {
        Self { classes, owners: Vec::new(), labels: Vec::new(), probabilities: Vec::new() }
    }

    /// Adds a unit, unless its label is no class.
    pub(super) fn push(&mut self, owner: usize, label: u32, probabilities: impl Iterator<Item = f64>) {
        let label = label as usize;
        if label >= self.classes {
            return;
        }
        self.owners.push(owner);
        self.labels.push(label);
        let finite = |p: f64| if p.is_nan() { 0.0 } else { p.clamp(f64::MIN, f64::MAX) };
        let padded = probabilities.map(finite).chain(std::iter::repeat(0.0));
        self.probabilities.extend(padded.take(self.classes));
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    /// Owner, class and probabilities of each.
    pub(super) fn owned(&self) -> impl Iterator<Item = (usize, usize, &[f64])> {
        self.owners.iter().copied().zip(self.rows()).map(|(owner, (label, row))| (owner, label, row))
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &[f64])> {
        self.labels.iter().copied().zip(self.probabilities.chunks_exact(self.classes.max(1)))
    }

    pub(super) fn figures(&self) -> Figures {
        let mut confusion = vec![vec![0_u32; self.classes]; self.classes];
        let mut log_loss = 0.0;
        for (label, row) in self.rows() {
            confusion[label][top(row).0] += 1;
            log_loss += self::log_loss(row[label]);
        }
        let classes: Vec<ClassFigures> = (0..self.classes).map(|class| self.class(class, &confusion)).collect();
        let right: u32 = (0..self.classes).map(|class| confusion[class][class]).sum();
        let units = f64::from(u32::try_from(self.labels.len()).unwrap_or(u32::MAX));
        let calibration = self.calibration();
        Figures {
            count: u32::try_from(self.labels.len()).unwrap_or(u32::MAX),
            accuracy: ratio(f64::from(right), units),
            balanced_accuracy: mean(classes.iter().filter(|class| class.support > 0).map(|class| class.recall))
                .unwrap_or(0.0),
            macro_f1: mean(classes.iter().map(|class| class.f1)).unwrap_or(0.0),
            auroc: mean(classes.iter().filter_map(|class| class.auroc)),
            log_loss: ratio(log_loss, units),
            ece: calibration
                .iter()
                .map(|bin| f64::from(bin.count) / units * (bin.accuracy - bin.confidence).abs())
                .sum(),
            confusion,
            classes,
            calibration,
        }
    }

    fn class(&self, class: usize, confusion: &[Vec<u32>]) -> ClassFigures {
        let found = f64::from(confusion[class][class]);
        let support: u32 = confusion[class].iter().sum();
        let called: u32 = confusion.iter().map(|row| row[class]).sum();
        let scores: Vec<(f64, bool)> = self.rows().map(|(label, row)| (row[class], label == class)).collect();
        let curve = roc::curve(scores);
        ClassFigures {
            support,
            precision: ratio(found, f64::from(called)),
            recall: ratio(found, f64::from(support)),
            f1: ratio(2.0 * found, f64::from(called) + f64::from(support)),
            auroc: curve.as_ref().map(roc::Curve::area),
            roc: curve.map_or_else(Vec::new, |curve| curve.points()),
        }
    }

    fn calibration(&self) -> Vec<CalibrationBin> {
        let mut bins = vec![(0_u32, 0.0_f64, 0_u32); BINS as usize];
        for (label, row) in self.rows() {
            let (answer, confidence) = top(row);
            let bin = self::bin(confidence);
            bins[bin].0 += 1;
            bins[bin].1 += confidence;
            bins[bin].2 += u32::from(answer == label);
        }
        bins.into_iter()
            .filter(|(count, _, _)| *count > 0)
            .map(|(count, confidence, right)| CalibrationBin {
                count,
                confidence: confidence / f64::from(count),
                accuracy: f64::from(right) / f64::from(count),
            })
            .collect()
    }
}

/// The negative log-probability of the true class; scikit-learn clips to the machine precision of a double.
pub(super) fn log_loss(probability: f64) -> f64 {
    -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// Right-closed bins of the top probability: bin i holds `i/15 < p <= (i+1)/15`, the first one 0 and below too.
pub(super) fn bin(confidence: f64) -> usize {
    (1..BINS).filter(|edge| confidence > f64::from(*edge) / f64::from(BINS)).count()
}

/// The largest probability and its class; the first of equals.
pub(super) fn top(row: &[f64]) -> (usize, f64) {
    let mut best = (0, row.first().copied().unwrap_or(0.0));
    for (class, probability) in row.iter().enumerate() {
        if *probability > best.1 {
            best = (class, *probability);
        }
    }
    best
}

/// 0 when there is nothing to divide by, scikit-learn's `zero_division = 0`.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
