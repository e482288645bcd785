//! The first deal of patients into folds: the most lopsided patient first, each into the fold that stays evenest.
//!
//! This is the greedy rule of scikit-learn's `StratifiedGroupKFold`, with its sums in numpy's order, so that ties
//! fall as they do there. [`super::stratified_group`] starts from it and only ever improves on it: that is why our
//! folds cannot be less balanced than scikit-learn's.

use super::balance::{Table, as_f64};
use super::mt19937::Mt19937;

/// Images of each class of each patient, one row a patient.
#[derive(Debug, Clone)]
pub(super) struct Patients {
    classes: usize,
    cells: Vec<f64>,
}

impl Patients {
    /// Counts rows by (dense) group and (dense) class.
    pub(super) fn count(labels: &[u32], groups: &[u32], classes: usize, patients: usize) -> Self {
        let mut cells = vec![0.0; classes * patients];
        for (label, group) in labels.iter().zip(groups) {
            cells[*group as usize * classes + *label as usize] += 1.0;
        }
        Self { classes, cells }
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len() / self.classes.max(1)
    }

    pub(super) fn of(&self, patient: usize) -> &[f64] {
        &self.cells[patient * self.classes..(patient + 1) * self.classes]
    }

    pub(super) fn totals(&self) -> Vec<f64> {
        let mut totals = vec![0.0; self.classes];
        for patient in 0..self.len() {
            for (total, count) in totals.iter_mut().zip(self.of(patient)) {
                *total += count;
            }
        }
        totals
    }
}

/// The fold of each patient; a fold may stay empty.
pub(super) fn deal(patients: &Patients, folds: usize, shuffle: Option<u64>) -> Vec<usize> {
    let totals = patients.totals();
    let mut order: Vec<usize> = (0..patients.len()).collect();
    if let Some(seed) = shuffle {
        Mt19937::new(seed).shuffle(&mut order);
    }
    let lopsided: Vec<f64> = (0..patients.len()).map(|patient| standard_deviation(patients.of(patient))).collect();
    order.sort_by(|a, b| lopsided[*b].total_cmp(&lopsided[*a]));

    let mut table = Table::new(folds, totals);
    let mut scorer = Scorer::new(&table);
    let mut fold_of = vec![0; patients.len()];
    for patient in order {
        let counts = patients.of(patient);
        let fold = best_fold(&table, &mut scorer, counts);
        table.add(fold, counts, 1.0);
        scorer.refresh(&table, fold);
        fold_of[patient] = fold;
    }
    fold_of
}

/// The fold whose deal is evenest with the patient in it; of nearly equal ones that with the fewest images.
fn best_fold(table: &Table, scorer: &mut Scorer, counts: &[f64]) -> usize {
    let (mut best, mut best_score, mut fewest) = (0, f64::INFINITY, f64::INFINITY);
    for fold in 0..table.folds {
        let score = scorer.with(table, fold, counts);
        let images: f64 = table.row(fold).iter().sum();
        if score < best_score || (close(score, best_score) && images < fewest) {
            (best, best_score, fewest) = (fold, score, images);
        }
    }
    best
}

/// `numpy.isclose` with its default tolerances.
fn close(a: f64, b: f64) -> bool {
    b.is_finite() && (a - b).abs() <= 1e-8 + 1e-5 * b.abs()
}

/// `mean over classes of the standard deviation over folds of the shares`, summed as numpy sums.
struct Scorer {
    /// `[fold * classes + class]`: the part of a class's images that lies in a fold.
    shares: Vec<f64>,
    trial: Vec<f64>,
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Scorer {
    fn new(table: &Table) -> Self {
        let zeros = vec![0.0; table.classes];
        Self { shares: vec![0.0; table.cells.len()], trial: zeros.clone(), mean: zeros.clone(), deviation: zeros }
    }

    fn refresh(&mut self, table: &Table, fold: usize) {
        let shares = self.shares.iter_mut().skip(fold * table.classes);
        for ((share, cell), total) in shares.zip(table.row(fold)).zip(&table.totals) {
            *share = cell / total;
        }
    }

    fn with(&mut self, table: &Table, changed: usize, counts: &[f64]) -> f64 {
        let folds = as_f64(table.folds);
        for (((trial, cell), count), total) in
            self.trial.iter_mut().zip(table.row(changed)).zip(counts).zip(&table.totals)
        {
            *trial = (cell + count) / total;
        }
        self.mean.fill(0.0);
        for (fold, shares) in self.shares.chunks_exact(table.classes).enumerate() {
            let shares = if fold == changed { &self.trial[..] } else { shares };
            for (mean, share) in self.mean.iter_mut().zip(shares) {
                *mean += share;
            }
        }
        for mean in &mut self.mean {
            *mean /= folds;
        }
        self.deviation.fill(0.0);
        for (fold, shares) in self.shares.chunks_exact(table.classes).enumerate() {
            let shares = if fold == changed { &self.trial[..] } else { shares };
            for ((deviation, share), mean) in self.deviation.iter_mut().zip(shares).zip(&self.mean) {
                *deviation += (share - mean) * (share - mean);
            }
        }
        for deviation in &mut self.deviation {
            *deviation = (*deviation / folds).sqrt();
        }
        numpy_sum(&self.deviation) / as_f64(table.classes)
    }
}

fn standard_deviation(values: &[f64]) -> f64 {
    let n = as_f64(values.len());
    let mean = numpy_sum(values) / n;
    let squares: Vec<f64> = values.iter().map(|value| (value - mean) * (value - mean)).collect();
    (numpy_sum(&squares) / n).sqrt()
}

/// The sum of up to 128 numbers in the order in which numpy adds a contiguous run of them.
fn numpy_sum(values: &[f64]) -> f64 {
    if values.len() < 8 {
        return values.iter().sum();
    }
    let mut lanes = [0.0; 8];
    let blocks = values.chunks_exact(8);
    let rest = blocks.remainder();
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    let sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    rest.iter().fold(sum, |sum, value| sum + value)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Patients, deal};
    use crate::split::scikit::dense;

    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        method: String,
        folds: usize,
        seed: Option<u64>,
        labels: Vec<u32>,
        groups: serde_json::Value,
        assignment: Vec<usize>,
    }

    #[test]
    fn the_first_deal_is_scikit_learns() {
        let text = include_str!("../../tests/fixtures/split/cases.json");
        let mut stored: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut compared = 0;
        for case in stored["cases"].as_array_mut().unwrap() {
            if case["method"] != "stratified_group_kfold" {
                continue;
            }
            let case: Case = serde_json::from_value(case.take()).unwrap();
            assert_eq!(case.method, "stratified_group_kfold");
            let groups: Vec<u32> = serde_json::from_value(case.groups).unwrap();
            let ((labels, classes), (groups, distinct)) = (dense(&case.labels), dense(&groups));
            let patients = Patients::count(&labels, &groups, classes, distinct);
            let fold_of = deal(&patients, case.folds, case.seed);
            let ours: Vec<usize> = groups.iter().map(|group| fold_of[*group as usize]).collect();
            assert_eq!(ours, case.assignment, "{}", case.name);
            compared += 1;
        }
        assert!(compared > 90);
    }
}
