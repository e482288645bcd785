//! How evenly classes lie over folds: a table of counts becomes the figures that two deals are compared by.
//!
//! A fold's *share* of a class is the part of the class's images that lies in it; perfect is 1/folds for each.

/// Images of each class in each fold, and the totals.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// How many folds.
    pub(super) folds: usize,
    /// How many classes; each has at least one image.
    pub(super) classes: usize,
    /// `[fold * classes + class]`.
    pub(super) cells: Vec<f64>,
    /// Images of each class in all folds.
    pub(super) totals: Vec<f64>,
}

/// Figures of a deal; the smaller, the better, 0 perfect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Balance {
    /// Standard deviation over folds of a class's shares, mean over classes: what scikit-learn's greedy minimises.
    pub spread: f64,
    /// The largest of those standard deviations.
    pub worst_spread: f64,
    /// Largest difference of a share from 1/folds.
    pub worst_share: f64,
    /// Mean difference of a share from 1/folds.
    pub mean_share: f64,
    /// Largest difference between the part a class has in a fold and the part it has in all images.
    pub worst_mix: f64,
}

impl Balance {
    /// Is no figure larger than that of `other`?
    #[must_use]
    pub fn no_worse_than(&self, other: &Self) -> bool {
        self.spread <= other.spread
            && self.worst_spread <= other.worst_spread
            && self.worst_share <= other.worst_share
            && self.mean_share <= other.mean_share
            && self.worst_mix <= other.worst_mix
    }
}

impl Table {
    pub(super) fn new(folds: usize, totals: Vec<f64>) -> Self {
        Self { folds, classes: totals.len(), cells: vec![0.0; folds * totals.len()], totals }
    }

    /// Adds `sign` times a patient's counts to a fold.
    pub(super) fn add(&mut self, fold: usize, counts: &[f64], sign: f64) {
        for (cell, count) in self.row_mut(fold).iter_mut().zip(counts) {
            *cell += sign * count;
        }
    }

    pub(super) fn row(&self, fold: usize) -> &[f64] {
        &self.cells[fold * self.classes..(fold + 1) * self.classes]
    }

    fn row_mut(&mut self, fold: usize) -> &mut [f64] {
        &mut self.cells[fold * self.classes..(fold + 1) * self.classes]
    }

    /// `sum over folds of (folds * count - total)^2` for one class: whole numbers, hence exact below 2^53.
    pub(super) fn squares(&self, class: usize) -> f64 {
        (0..self.folds).map(|fold| self.excess(fold, class).powi(2)).sum()
    }

    /// `folds * count - total`: 0 when the fold has its due.
    pub(super) fn excess(&self, fold: usize, class: usize) -> f64 {
        as_f64(self.folds) * self.cells[fold * self.classes + class] - self.totals[class]
    }

    /// A class's standard deviation of shares, from [`Table::squares`].
    pub(super) fn deviation(&self, class: usize, squares: f64) -> f64 {
        let folds = as_f64(self.folds);
        (squares / folds).sqrt() / (folds * self.totals[class])
    }

    pub(super) fn balance(&self) -> Balance {
        let (folds, classes) = (as_f64(self.folds), as_f64(self.classes));
        let all: f64 = self.totals.iter().sum();
        let mut balance = Balance { spread: 0.0, worst_spread: 0.0, worst_share: 0.0, mean_share: 0.0, worst_mix: 0.0 };
        for class in 0..self.classes {
            let deviation = self.deviation(class, self.squares(class));
            balance.spread += deviation / classes;
            balance.worst_spread = balance.worst_spread.max(deviation);
            for fold in 0..self.folds {
                let share = self.excess(fold, class).abs() / (folds * self.totals[class]);
                balance.worst_share = balance.worst_share.max(share);
                balance.mean_share += share / (folds * classes);
            }
        }
        for fold in 0..self.folds {
            let images: f64 = self.row(fold).iter().sum();
            for (cell, total) in self.row(fold).iter().zip(&self.totals) {
                let mix = if images > 0.0 { cell / images } else { 0.0 };
                balance.worst_mix = balance.worst_mix.max((mix - total / all).abs());
            }
        }
        balance
    }
}

/// Exact below 2^53, and nothing here comes near it.
#[expect(clippy::cast_precision_loss, reason = "numbers of images, folds and classes are far below 2^53")]
pub(super) fn as_f64(n: usize) -> f64 {
    n as f64
}

/// The figures of any deal of rows into folds.
///
/// `labels` and `fold` have one entry a row; classes without a row do not count.
#[must_use]
pub fn balance(labels: &[u32], fold: &[u32], folds: u32) -> Balance {
    let (labels, classes) = super::scikit::dense(labels);
    let mut table = Table::new(folds as usize, vec![0.0; classes]);
    for (label, fold) in labels.iter().zip(fold) {
        let (label, fold) = (*label as usize, *fold as usize);
        if fold < table.folds {
            table.totals[label] += 1.0;
            table.cells[fold * classes + label] += 1.0;
        }
    }
    table.balance()
}

#[cfg(test)]
mod tests {
    use super::balance;

    #[test]
    fn an_even_deal_is_perfect_and_an_uneven_one_is_measured() {
        let even = balance(&[0, 0, 1, 1], &[0, 1, 0, 1], 2);
        assert_eq!((even.spread, even.worst_share, even.worst_mix), (0.0, 0.0, 0.0));
        // class 0 all in fold 0, class 1 all in fold 1
        let worst = balance(&[0, 0, 1, 1], &[0, 0, 1, 1], 2);
        assert_eq!((worst.spread, worst.worst_share, worst.mean_share, worst.worst_mix), (0.5, 0.5, 0.5, 0.5));
        let half = balance(&[0, 0, 0, 0, 1, 1], &[0, 0, 0, 1, 0, 1], 2);
        assert_eq!((half.spread, half.worst_spread, half.worst_share), (0.125, 0.25, 0.25));
    }
}
