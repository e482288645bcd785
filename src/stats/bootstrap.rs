//! Whole patients drawn with replacement: how far a figure could be off, and whether two variants differ.
//!
//! Images of one patient resemble each other, so they are drawn together, also where a figure counts images (the
//! cluster bootstrap; Davison and Hinkley 1997, section 3.8). Draws are a function of the study's seed and of the
//! replicate's number, sums have a fixed order: the same table gives the same bits on any number of threads.

use rayon::prelude::*;

use crate::draw::{DrawKey, Stage};
use crate::record::Interval;
use crate::study::IntervalMethod;

use super::figures::Units;
use super::weighted::{Row, Sample};

/// How often each of some patients is drawn, in one replicate.
fn weights(seed: u64, replicate: u32, patients: usize) -> Vec<f64> {
    let key = DrawKey { seed, stage: Stage::Bootstrap, epoch: 0, sample: u64::from(replicate) };
    let mut stream = key.stream();
    let mut weights = vec![0.0; patients];
    for _ in 0..patients {
        if let Some(weight) = weights.get_mut(stream.below(patients)) {
            *weight += 1.0;
        }
    }
    weights
}

/// The figures of several samples of the same patients in every replicate, each replicate drawn once for all.
fn replicates(samples: &[&Sample], patients: usize, seed: u64, count: u32) -> Vec<Vec<Row>> {
    (0..count)
        .into_par_iter()
        .map(|replicate| {
            let weights = weights(seed, replicate, patients);
            samples.iter().map(|sample| sample.row(&weights)).collect()
        })
        .collect()
}

/// How intervals are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) seed: u64,
    pub(super) replicates: u32,
    pub(super) level: f64,
    pub(super) method: IntervalMethod,
}

/// The interval of each figure of some units, whose owners are numbered below `patients`.
pub(super) fn intervals(units: &Units, patients: usize, ask: &Ask) -> Vec<Option<Interval>> {
    let sample = Sample::new(units);
    intervals_of(&|weights| sample.row(weights), patients, ask)
}

/// The interval of each figure that `row` computes from how often each patient counts.
pub(super) fn intervals_of(row: &(dyn Fn(&[f64]) -> Row + Sync), patients: usize, ask: &Ask) -> Vec<Option<Interval>> {
    let whole = row(&vec![1.0; patients]);
    let drawn: Vec<Row> =
        (0..ask.replicates).into_par_iter().map(|replicate| row(&weights(ask.seed, replicate, patients))).collect();
    let without = match ask.method {
        IntervalMethod::Percentile => Vec::new(),
        IntervalMethod::Bca => leave_one_out(row, patients),
    };
    (0..whole.len())
        .map(|figure| {
            let of = |rows: &Row| rows.get(figure).copied().flatten();
            let mut values: Vec<f64> = drawn.iter().filter_map(of).collect();
            if 2 * values.len() <= drawn.len() {
                return None;
            }
            values.sort_by(f64::total_cmp);
            let tail = (1.0 - ask.level) / 2.0;
            let ends = match (ask.method, of(&whole)) {
                (IntervalMethod::Bca, Some(estimate)) => {
                    let jackknife: Vec<f64> = without.iter().filter_map(of).collect();
                    bca_tails(&values, estimate, &jackknife, tail)
                }
                (IntervalMethod::Percentile, _) | (IntervalMethod::Bca, None) => (tail, 1.0 - tail),
            };
            Some(Interval { low: quantile(&values, ends.0), high: quantile(&values, ends.1) })
        })
        .collect()
}

/// The figures without each patient in turn.
fn leave_one_out(row: &(dyn Fn(&[f64]) -> Row + Sync), patients: usize) -> Vec<Row> {
    (0..patients)
        .into_par_iter()
        .map(|left_out| {
            let weights: Vec<f64> = (0..patients).map(|patient| f64::from(u8::from(patient != left_out))).collect();
            row(&weights)
        })
        .collect()
}

/// Which quantiles of the draws are the ends of a bias-corrected and accelerated interval (Efron 1987).
///
/// The usual tails where the correction is not defined: all draws on one side, or a figure that no patient moves.
pub(super) fn bca_tails(sorted: &[f64], estimate: f64, jackknife: &[f64], tail: f64) -> (f64, f64) {
    let plain = (tail, 1.0 - tail);
    let below = sorted.partition_point(|value| *value < estimate);
    let at_most = sorted.partition_point(|value| *value <= estimate);
    let share = (count(below) + count(at_most)) / (2.0 * count(sorted.len()));
    let mean = jackknife.iter().sum::<f64>() / count(jackknife.len().max(1));
    let (squares, cubes) = jackknife.iter().fold((0.0, 0.0), |(squares, cubes), value| {
        let apart: f64 = mean - value;
        (squares + apart * apart, cubes + apart.powi(3))
    });
    if share <= 0.0 || share >= 1.0 || squares <= 0.0 {
        return plain;
    }
    let bias = normal_quantile(share);
    let acceleration = cubes / (6.0 * squares.powf(1.5));
    let end = |tail: f64| {
        let shifted = bias + normal_quantile(tail);
        normal_share(bias + shifted / (1.0 - acceleration * shifted))
    };
    let (low, high) = (end(tail), end(1.0 - tail));
    if low.is_finite() && high.is_finite() && low < high { (low, high) } else { plain }
}

/// Share of a standard normal distribution below `x`, to 1e-15 (Marsaglia 2004, Evaluating the Normal Distribution).
fn normal_share(x: f64) -> f64 {
    if x.abs() > 8.0 {
        return f64::from(u8::from(x > 0.0));
    }
    let (mut sum, mut term, mut odd) = (x, x, 1.0);
    while term.abs() > f64::EPSILON * sum.abs() {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    (0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()).clamp(0.0, 1.0)
}

/// Below what a share (0..1) of a standard normal distribution lies, by halving.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_share(middle) < share { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// A quantile of sorted values, linear between neighbours (numpy's default, Hyndman and Fan's type 7).
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = share.clamp(0.0, 1.0) * count(last);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within the values")]
    let below = place.floor() as usize;
    let at = |index: usize| sorted.get(index.min(last)).copied().unwrap_or(0.0);
    at(below) + (at(below + 1) - at(below)) * (place - count(below))
}

/// The difference of one figure between two tables of the same patients.
pub(super) struct Paired {
    pub(super) difference: f64,
    pub(super) interval: Interval,
    /// Two-sided.
    pub(super) p: f64,
}

/// `one - other`, with both scored on the same draws of the same patients.
///
/// The p value inverts the percentile interval: twice the smaller share of draws on one side of 0, each counted with
/// one more so that it is never 0 (Davison and Hinkley 1997, equation 4.11). `None`: not defined in half of the draws.
pub(super) fn paired(one: &Units, other: &Units, patients: usize, figure: usize, ask: &Ask) -> Option<Paired> {
    let samples = [&Sample::new(one), &Sample::new(other)];
    let apart = |rows: &[Row]| match rows {
        [one, other] => Some(one.get(figure).copied().flatten()? - other.get(figure).copied().flatten()?),
        _ => None,
    };
    let ones = vec![1.0; patients];
    let difference = apart(&samples.map(|sample| sample.row(&ones)))?;
    let drawn = replicates(&samples, patients, ask.seed, ask.replicates);
    let mut values: Vec<f64> = drawn.iter().filter_map(|rows| apart(rows)).collect();
    if 2 * values.len() <= drawn.len() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - ask.level) / 2.0;
    let interval = Interval { low: quantile(&values, tail), high: quantile(&values, 1.0 - tail) };
    let not_above = values.partition_point(|value| *value <= 0.0);
    let not_below = values.len() - values.partition_point(|value| *value < 0.0);
    let p = 2.0 * count(1 + not_above.min(not_below)) / count(1 + values.len());
    Some(Paired { difference, interval, p: p.min(1.0) })
}

/// Holm's step-down correction (1979) of p values for having asked several questions, in their order.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut most: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        most = most.max(p[index] * count(p.len() - rank)).min(1.0);
        corrected[index] = most;
    }
    corrected
}

#[expect(clippy::cast_precision_loss, reason = "counts of patients and draws are far below 2^53")]
fn count(number: usize) -> f64 {
    number as f64
}
