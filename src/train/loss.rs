//! Logits and soft targets become the study's weighted sum of losses and its gradient.
//!
//! The formulas are Keras 3's (`CategoricalCrossentropy`, `CategoricalFocalCrossentropy`, `KLDivergence` with
//! logits or softmax, epsilon 1e-7) and, for the soft F1, that of `1 - mean F1` over a batch's probabilities.
//! A batch of logits is small (images x classes), so value and gradient are computed on the host in double
//! precision with closed-form derivatives. That keeps three promises that single-precision tensor
//! operations break: the result does not depend on the backend or the number of threads, probabilities near 0
//! and 1 keep their relative precision, and logits of ±10,000 give finite losses.

use burn::tensor::{Tensor, TensorData};

use crate::study::{ClassWeights, LossKind, LossTerm};

use super::error::TrainError;

/// Keras's `backend.epsilon()`.
const EPSILON: f64 = 1e-7;

/// The whole loss of a study, ready to be applied to batches.
///
/// The only thing the training loop knows of losses; a device kernel may take its place.
#[derive(Debug, Clone, PartialEq)]
pub struct MixedLoss {
    classes: usize,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
struct Term {
    weight: f64,
    kind: LossKind,
    smoothing: f64,
    class_weights: Option<Vec<f64>>,
}

/// What a batch costs.
#[derive(Debug, Clone)]
pub struct LossValue {
    /// The weighted sum as a tensor of one element; `backward` on it gives the gradient of the logits.
    pub total: Tensor<1>,
    /// The weighted sum.
    pub value: f64,
    /// Each term before its weight, in the order of the study's loss.
    pub terms: Vec<f64>,
}

/// Value, terms and gradient on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostLoss {
    /// The weighted sum.
    pub value: f64,
    /// Each term before its weight.
    pub terms: Vec<f64>,
    /// d value / d logits, `rows x classes`.
    pub gradient: Vec<f64>,
}

impl MixedLoss {
    /// The loss of a study over `classes` classes. `class_counts` are the fold's training images of each class;
    /// only `balanced` class weights look at them. A class without images gets the weight 0 there.
    ///
    /// # Errors
    /// [`TrainError::Inconsistent`] when given class weights or counts are not one a class.
    pub fn new(terms: &[LossTerm], classes: usize, class_counts: &[usize]) -> Result<Self, TrainError> {
        let terms = terms
            .iter()
            .map(|term| {
                Ok(Term {
                    weight: term.weight,
                    kind: term.kind,
                    smoothing: term.smoothing,
                    class_weights: class_weights(&term.class_weights, classes, class_counts)?,
                })
            })
            .collect::<Result<_, TrainError>>()?;
        Ok(Self { classes, terms })
    }

    /// The loss of a batch and, through `total.backward()`, its gradient.
    ///
    /// # Shapes
    /// - `logits`: `[images, classes]`
    /// - `targets`: `[images, classes]`, one-hot or soft, before any smoothing; each row adds up to 1.
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> LossValue {
        let host_logits = to_host(logits.clone());
        let host = self.on_host(&host_logits, &to_host(targets));
        let device = logits.device();
        #[expect(clippy::cast_possible_truncation, reason = "the network works in single precision")]
        let gradient: Vec<f32> = host.gradient.iter().map(|&g| g as f32).collect();
        let gradient = Tensor::<2>::from_data(TensorData::new(gradient, logits.dims()), &device);
        // Its gradient is `gradient`; its value is put right by a constant.
        let slope = (logits * gradient).sum();
        let total = slope.clone() - slope.detach() + Tensor::<1>::from_data([host.value], &device);
        LossValue { total, value: host.value, terms: host.terms }
    }

    /// Value, terms and gradient of `rows x classes` logits against as many targets, both row by row.
    /// An empty batch costs 0.
    pub fn on_host<F: Copy + Into<f64>>(&self, logits: &[F], targets: &[F]) -> HostLoss {
        let rows: Vec<Row> = logits
            .chunks_exact(self.classes)
            .zip(targets.chunks_exact(self.classes))
            .map(|(logits, targets)| Row::new(logits, targets))
            .collect();
        let mut gradient = vec![0.0; rows.len() * self.classes];
        let mut value = 0.0;
        let mut values = Vec::with_capacity(self.terms.len());
        for term in &self.terms {
            let one = match term.kind {
                LossKind::CrossEntropy => mean_of_rows(term, &rows, &mut gradient, cross_entropy),
                LossKind::Focal { gamma, alpha } => {
                    mean_of_rows(term, &rows, &mut gradient, |row, y, g| focal(row, y, gamma, alpha, g))
                }
                LossKind::Kl => mean_of_rows(term, &rows, &mut gradient, kullback_leibler),
                LossKind::SoftF1 => soft_f1(term, &rows, self.classes, &mut gradient),
            };
            value += term.weight * one;
            values.push(one);
        }
        HostLoss { value, terms: values, gradient }
    }

    /// A loss above this is no longer learning: ten thousand nats for each unit of weight.
    pub(super) fn absurd(&self) -> f64 {
        let weights = self.terms.iter().map(|term| {
            let largest = term.class_weights.iter().flatten().copied().fold(1.0, f64::max);
            term.weight.abs() * largest
        });
        1e4 * weights.sum::<f64>().max(1.0)
    }
}

fn class_weights(weights: &ClassWeights, classes: usize, counts: &[usize]) -> Result<Option<Vec<f64>>, TrainError> {
    let weights: Vec<f64> = match weights {
        ClassWeights::None => return Ok(None),
        ClassWeights::Balanced => {
            #[expect(clippy::cast_precision_loss, reason = "counts of images are far below 2^53")]
            let count = |n: usize| n as f64;
            let all = count(counts.iter().sum());
            let balanced = |&n: &usize| if n == 0 { 0.0 } else { all / (count(classes) * count(n)) };
            counts.iter().map(balanced).collect()
        }
        ClassWeights::Given(given) => given.values().copied().collect(),
    };
    if weights.len() == classes {
        Ok(Some(weights))
    } else {
        Err(TrainError::Inconsistent(format!("{} class weights for {classes} classes", weights.len())))
    }
}

fn to_host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// One image: its target and what follows from its logits.
struct Row {
    /// The target before smoothing.
    target: Vec<f64>,
    /// log p, accurate for p near 1 as well.
    log_p: Vec<f64>,
    /// Softmax.
    p: Vec<f64>,
    /// 1 - p as the sum of the other probabilities.
    q: Vec<f64>,
}

impl Row {
    fn new<F: Copy + Into<f64>>(logits: &[F], targets: &[F]) -> Self {
        let z: Vec<f64> = logits.iter().map(|&v| v.into()).collect();
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = z.iter().map(|v| (v - top).exp()).collect();
        let sum: f64 = shares.iter().sum();
        let p: Vec<f64> = shares.iter().map(|e| e / sum).collect();
        let others = |k: usize| shares.iter().enumerate().filter(|(j, _)| *j != k).map(|(_, e)| e).sum::<f64>() / sum;
        let q: Vec<f64> = (0..p.len()).map(others).collect();
        let log_sum = sum.ln();
        let log_p = z.iter().zip(&q).map(|(v, &q)| if q < 0.5 { (-q).ln_1p() } else { v - top - log_sum }).collect();
        Self { target: targets.iter().map(|&v| v.into()).collect(), log_p, p, q }
    }

    fn smoothed(&self, smoothing: f64) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss, reason = "classes are few")]
        let classes = self.target.len() as f64;
        self.target.iter().map(|y| y * (1.0 - smoothing) + smoothing / classes).collect()
    }

    /// Adds `factor` times the gradient with respect to the logits, given that with respect to the
    /// probabilities: `p_j ((1 - p_j) g_j - sum of the other p_k g_k)`, which does not cancel for `p_j` near 1.
    fn add_logit_gradient(&self, by_p: &[f64], factor: f64, out: &mut [f64]) {
        let products: Vec<f64> = self.p.iter().zip(by_p).map(|(p, g)| p * g).collect();
        for (j, slot) in out.iter_mut().enumerate() {
            let others: f64 = products.iter().enumerate().filter(|(k, _)| *k != j).map(|(_, v)| v).sum();
            *slot += factor * (self.q[j] * products[j] - self.p[j] * others);
        }
    }
}

/// Keras's mean over the batch of a loss that each row has by itself, with its class weight.
/// `loss(row, smoothed target, out)` gives a row's loss and writes d loss / d logits into `out`.
fn mean_of_rows(
    term: &Term,
    rows: &[Row],
    gradient: &mut [f64],
    loss: impl Fn(&Row, &[f64], &mut [f64]) -> f64,
) -> f64 {
    if rows.is_empty() {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a batch is far below 2^53")]
    let share = 1.0 / rows.len() as f64;
    let classes = gradient.len() / rows.len();
    let mut mean = 0.0;
    let mut own = vec![0.0; classes];
    for (row, out) in rows.iter().zip(gradient.chunks_exact_mut(classes)) {
        let weight = match &term.class_weights {
            None => share,
            Some(weights) => share * weights.iter().zip(&row.target).map(|(w, y)| w * y).sum::<f64>(),
        };
        own.fill(0.0);
        mean += weight * loss(row, &row.smoothed(term.smoothing), &mut own);
        for (slot, g) in out.iter_mut().zip(&own) {
            *slot += term.weight * weight * g;
        }
    }
    mean
}

/// -sum y log p.
fn cross_entropy(row: &Row, y: &[f64], out: &mut [f64]) -> f64 {
    let total: f64 = y.iter().sum();
    for (k, slot) in out.iter_mut().enumerate() {
        // total * p - y, without cancellation where p and y are near 1
        *slot = if row.p[k] < 0.5 { total * row.p[k] - y[k] } else { (total - y[k]) - total * row.q[k] };
    }
    -y.iter().zip(&row.log_p).map(|(y, l)| y * l).sum::<f64>()
}

/// sum alpha (1 - p)^gamma (-y log p), p clipped to epsilon..1 - epsilon. (Lin et al. 2017; Keras.)
fn focal(row: &Row, y: &[f64], gamma: f64, alpha: f64, out: &mut [f64]) -> f64 {
    let mut value = 0.0;
    let mut by_p = vec![0.0; y.len()];
    for (k, slot) in by_p.iter_mut().enumerate() {
        let clipped = row.p[k] < EPSILON || row.q[k] < EPSILON;
        let (p, q, log_p) = if row.q[k] < EPSILON {
            (1.0 - EPSILON, EPSILON, (-EPSILON).ln_1p())
        } else if row.p[k] < EPSILON {
            (EPSILON, 1.0 - EPSILON, EPSILON.ln())
        } else {
            (row.p[k], row.q[k], row.log_p[k])
        };
        value -= alpha * y[k] * q.powf(gamma) * log_p;
        if !clipped {
            let turned_down = if gamma == 0.0 { 0.0 } else { gamma * q.powf(gamma - 1.0) * log_p };
            *slot = alpha * y[k] * (turned_down - q.powf(gamma) / p);
        }
    }
    row.add_logit_gradient(&by_p, 1.0, out);
    value
}

/// sum y log(y / p), y and p clipped to epsilon..1.
fn kullback_leibler(row: &Row, y: &[f64], out: &mut [f64]) -> f64 {
    let mut value = 0.0;
    let mut by_p = vec![0.0; y.len()];
    for (k, slot) in by_p.iter_mut().enumerate() {
        let y = y[k].clamp(EPSILON, 1.0);
        let clipped = row.p[k] < EPSILON;
        value += y * (y.ln() - if clipped { EPSILON.ln() } else { row.log_p[k] });
        if !clipped {
            *slot = -y / row.p[k];
        }
    }
    row.add_logit_gradient(&by_p, 1.0, out);
    value
}

/// 1 - mean over the classes of F1 with true and false positives counted in probabilities, over the whole batch.
/// Class weights mean nothing here.
fn soft_f1(term: &Term, rows: &[Row], classes: usize, gradient: &mut [f64]) -> f64 {
    if rows.is_empty() {
        return 0.0;
    }
    let targets: Vec<Vec<f64>> = rows.iter().map(|row| row.smoothed(term.smoothing)).collect();
    #[expect(clippy::cast_precision_loss, reason = "classes are few")]
    let share = 1.0 / classes as f64;
    let mut f1_sum = 0.0;
    // d loss / d p is constant + slope * y within a class
    let mut slopes = Vec::with_capacity(classes);
    for k in 0..classes {
        let column = || rows.iter().zip(&targets).map(move |(row, y)| (row.p[k], y[k]));
        let true_positives: f64 = column().map(|(p, y)| p * y).sum();
        let called = column().map(|(p, _)| p).sum::<f64>() + EPSILON;
        let there = column().map(|(_, y)| y).sum::<f64>() + EPSILON;
        let (precision, recall) = (true_positives / called, true_positives / there);
        let sum = precision + recall + EPSILON;
        f1_sum += 2.0 * precision * recall / sum;
        let by_precision = 2.0 * recall * (recall + EPSILON) / (sum * sum);
        let by_recall = 2.0 * precision * (precision + EPSILON) / (sum * sum);
        slopes.push((
            share * by_precision * true_positives / (called * called),
            -share * (by_precision / called + by_recall / there),
        ));
    }
    let mut by_p = vec![0.0; classes];
    for ((row, y), out) in rows.iter().zip(&targets).zip(gradient.chunks_exact_mut(classes)) {
        for (k, slot) in by_p.iter_mut().enumerate() {
            *slot = slopes[k].0 + slopes[k].1 * y[k];
        }
        row.add_logit_gradient(&by_p, term.weight, out);
    }
    1.0 - share * f1_sum
}
