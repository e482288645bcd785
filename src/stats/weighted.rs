//! Scored units, sorted once, become figures under weights: what a bootstrap computes thousands of times.
//!
//! With all weights 1 these are the figures of [`super::figures`]; a patient who was drawn twice counts twice.

use super::figures::{self, Units};
use crate::record::{ClassIntervals, FigureIntervals, Interval};

/// Figures of a whole: accuracy, balanced accuracy, macro F1, AUROC, log loss, ECE; then these of each class.
const WHOLE: usize = 6;
/// Precision, recall, F1, AUROC.
const OF_CLASS: usize = 4;

/// Figures in one row, in the order of [`WHOLE`] and [`OF_CLASS`].
pub(super) type Row = Vec<Option<f64>>;

/// A row of intervals by the names of the figures.
pub(super) fn named(row: &[Option<Interval>]) -> FigureIntervals {
    let at = |place: usize| row.get(place).copied().flatten();
    let class = |c: &[Option<Interval>]| match *c {
        [precision, recall, f1, auroc] => Some(ClassIntervals { precision, recall, f1, auroc }),
        _ => None,
    };
    FigureIntervals {
        accuracy: at(0),
        balanced_accuracy: at(1),
        macro_f1: at(2),
        auroc: at(3),
        log_loss: at(4),
        ece: at(5),
        classes: row.get(WHOLE..).unwrap_or_default().chunks(OF_CLASS).filter_map(class).collect(),
    }
}

/// What of a unit does not change with its weight.
struct Unit {
    owner: usize,
    label: usize,
    answer: usize,
    log_loss: f64,
    bin: usize,
    confidence: f64,
}

/// A unit in the order of one class's probability.
struct Ranked {
    owner: usize,
    positive: bool,
    /// Is the next one's probability smaller?
    step: bool,
}

/// Units whose owners (patients) can be weighted.
pub(super) struct Sample {
    units: Vec<Unit>,
    ranked: Vec<Vec<Ranked>>,
    /// Does a class occur at all?
    occurs: Vec<bool>,
}

/// What one walk over the ROC curve of a class gathers.
#[derive(Default)]
struct Walk {
    positives: f64,
    negatives: f64,
    twice_area: f64,
}

impl Sample {
    pub(super) fn new(units: &Units) -> Self {
        let classes = units.classes();
        let mut occurs = vec![false; classes];
        let mut prepared = Vec::new();
        for (owner, label, row) in units.owned() {
            let (answer, confidence) = figures::top(row);
            occurs[label] = true;
            let log_loss = figures::log_loss(row[label]);
            prepared.push(Unit { owner, label, answer, log_loss, bin: figures::bin(confidence), confidence });
        }
        let ranked = (0..classes)
            .map(|class| {
                let mut all: Vec<(f64, usize, bool)> =
                    units.owned().map(|(owner, label, row)| (row[class], owner, label == class)).collect();
                all.sort_by(|a, b| b.0.total_cmp(&a.0));
                let step = |at: usize, score: f64| all.get(at + 1).is_none_or(|(next, ..)| *next < score);
                let one = |(at, (score, owner, positive)): (usize, &(f64, usize, bool))| Ranked {
                    owner: *owner,
                    positive: *positive,
                    step: step(at, *score),
                };
                all.iter().enumerate().map(one).collect()
            })
            .collect();
        Self { units: prepared, ranked, occurs }
    }

    /// The figures when each owner counts as often as `weights` says.
    ///
    /// A class that was not drawn has no recall, F1 or AUROC, and takes no part in the means over classes.
    pub(super) fn row(&self, weights: &[f64]) -> Row {
        let classes = self.occurs.len();
        let weight = |owner: usize| weights.get(owner).copied().unwrap_or(0.0);
        let mut support = vec![0.0; classes];
        let mut called = vec![0.0; classes];
        let mut found = vec![0.0; classes];
        let (mut count, mut right, mut log_loss) = (0.0, 0.0, 0.0);
        let mut bins = [(0.0, 0.0); figures::BINS as usize];
        for unit in &self.units {
            let weight = weight(unit.owner);
            support[unit.label] += weight;
            called[unit.answer] += weight;
            count += weight;
            log_loss += weight * unit.log_loss;
            let hit = if unit.answer == unit.label { weight } else { 0.0 };
            found[unit.label] += hit;
            right += hit;
            bins[unit.bin].0 += weight * unit.confidence;
            bins[unit.bin].1 += hit;
        }
        let of_class: Vec<[Option<f64>; OF_CLASS]> = (0..classes)
            .map(|class| {
                if support[class] <= 0.0 && self.occurs[class] {
                    return [Some(figures::ratio(found[class], called[class])), None, None, None];
                }
                [
                    Some(figures::ratio(found[class], called[class])),
                    Some(figures::ratio(found[class], support[class])),
                    Some(figures::ratio(2.0 * found[class], called[class] + support[class])),
                    self.area(class, weights),
                ]
            })
            .collect();
        let mean = |figure: usize| figures::mean(of_class.iter().filter_map(|of| of[figure]));
        let recalls = (0..classes).filter(|class| support[*class] > 0.0).filter_map(|class| of_class[class][1]);
        let some = |value: f64| (count > 0.0).then_some(value);
        let mut row = vec![
            some(figures::ratio(right, count)),
            figures::mean(recalls),
            mean(2),
            mean(3),
            some(figures::ratio(log_loss, count)),
            // |accuracy - confidence| of a bin times its share of the units
            some(bins.iter().map(|(confidence, hit)| (hit - confidence).abs() / count).sum()),
        ];
        row.extend(of_class.into_iter().flatten());
        row
    }

    fn area(&self, class: usize, weights: &[f64]) -> Option<f64> {
        let mut walk = Walk::default();
        let (mut before, mut alarms) = (0.0, 0.0);
        for one in self.ranked.get(class)? {
            let weight = weights.get(one.owner).copied().unwrap_or(0.0);
            if one.positive {
                walk.positives += weight;
            } else {
                walk.negatives += weight;
            }
            if one.step {
                walk.twice_area += (walk.negatives - alarms) * (walk.positives + before);
                (alarms, before) = (walk.negatives, walk.positives);
            }
        }
        let all = walk.positives * walk.negatives;
        (all > 0.0).then(|| walk.twice_area / (2.0 * all))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde::Deserialize;

    use super::super::bootstrap::{self, holm};
    use super::super::figures::{Units, figures};
    use super::Sample;

    #[derive(Deserialize)]
    struct Stored {
        weighted: Vec<Weighted>,
        intervals: Vec<Intervals>,
        holm: Vec<Holm>,
    }

    #[derive(Deserialize)]
    struct Weighted {
        classes: usize,
        labels: Vec<u32>,
        owners: Vec<usize>,
        probabilities: Vec<Vec<f32>>,
        draws: Vec<Draw>,
    }

    #[derive(Deserialize)]
    struct Draw {
        weights: Vec<f64>,
        figures: Vec<Option<f64>>,
    }

    #[derive(Deserialize)]
    struct Intervals {
        level: f64,
        estimate: f64,
        draws: Vec<f64>,
        jackknife: Vec<f64>,
        bca: (f64, f64),
        percentile: (f64, f64),
    }

    #[derive(Deserialize)]
    struct Holm {
        p: Vec<f64>,
        corrected: Vec<f64>,
    }

    fn stored() -> Stored {
        serde_json::from_str(include_str!("../../tests/fixtures/stats/bootstrap.json")).unwrap()
    }

    fn near(ours: f64, theirs: f64, what: &str) {
        assert!((ours - theirs).abs() < 1e-9, "{what}: {ours} is not {theirs}");
    }

    #[test]
    fn weights_give_scikit_learns_figures_of_the_repeated_rows() {
        for case in stored().weighted {
            let mut units = Units::new(case.classes);
            for ((label, owner), row) in case.labels.iter().zip(&case.owners).zip(&case.probabilities) {
                units.push(*owner, *label, row.iter().map(|p| f64::from(*p)));
            }
            let sample = Sample::new(&units);
            for draw in &case.draws {
                let ours = sample.row(&draw.weights);
                assert_eq!(ours.len(), draw.figures.len());
                for (at, (ours, theirs)) in ours.iter().zip(&draw.figures).enumerate() {
                    assert_eq!(ours.is_some(), theirs.is_some(), "figure {at} of {} classes", case.classes);
                    near(ours.unwrap_or(0.0), theirs.unwrap_or(0.0), &format!("figure {at}"));
                }
            }
            // Everybody once is the table itself.
            let all = figures(case.classes, &case.labels, &case.probabilities);
            let ours = sample.row(&vec![1.0; case.owners.iter().max().unwrap() + 1]);
            let whole = [all.accuracy, all.balanced_accuracy, all.macro_f1, all.auroc.unwrap(), all.log_loss, all.ece];
            for (ours, whole) in ours.iter().zip(whole) {
                near(ours.unwrap(), whole, "the table itself");
            }
            for (class, of) in all.classes.iter().enumerate() {
                near(ours[6 + 4 * class + 1].unwrap(), of.recall, "recall");
                near(ours[6 + 4 * class + 3].unwrap(), of.auroc.unwrap(), "AUROC");
            }
        }
    }

    #[test]
    fn draws_give_scipys_intervals() {
        for case in stored().intervals {
            let mut sorted = case.draws.clone();
            sorted.sort_by(f64::total_cmp);
            let tail = (1.0 - case.level) / 2.0;
            near(bootstrap::quantile(&sorted, tail), case.percentile.0, "percentile");
            near(bootstrap::quantile(&sorted, 1.0 - tail), case.percentile.1, "percentile");
            let (low, high) = bootstrap::bca_tails(&sorted, case.estimate, &case.jackknife, tail);
            near(bootstrap::quantile(&sorted, low), case.bca.0, "BCa");
            near(bootstrap::quantile(&sorted, high), case.bca.1, "BCa");
        }
    }

    #[test]
    fn several_p_values_are_corrected_as_statsmodels_does() {
        for case in stored().holm {
            for (ours, theirs) in holm(&case.p).into_iter().zip(case.corrected) {
                near(ours, theirs, "Holm");
            }
        }
        assert!(holm(&[]).is_empty());
    }
}
