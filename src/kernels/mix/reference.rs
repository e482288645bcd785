//! The weighted sum of a study's losses on the host: values, terms and gradient in double precision.
//!
//! A batch of logits is small (images x classes). With closed-form derivatives in double precision the result does not
//! depend on the number of threads, probabilities near 0 and 1 keep their relative precision, and logits of ±10,000 give
//! finite losses. It is what trains on the processor, and what the kernels of [`super`] are held to.

use super::super::focal::reference::{cross_entropy, focal, kullback_leibler};
use super::super::soft_f1::reference::soft_f1;
use super::{Kind, Mix, Term};

/// Keras's `backend.epsilon()`.
pub(crate) const EPSILON: f64 = 1e-7;

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

impl Mix {
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
                Kind::CrossEntropy => mean_of_rows(term, &rows, &mut gradient, cross_entropy),
                Kind::Focal { gamma, alpha } => {
                    mean_of_rows(term, &rows, &mut gradient, |row, y, g| focal(row, y, gamma, alpha, g))
                }
                Kind::Kl => mean_of_rows(term, &rows, &mut gradient, kullback_leibler),
                Kind::SoftF1 => soft_f1(term, &rows, self.classes, &mut gradient),
            };
            value += term.weight * one;
            values.push(one);
        }
        HostLoss { value, terms: values, gradient }
    }
}

/// One image: its target and what follows from its logits.
pub(crate) struct Row {
    /// The target before smoothing.
    pub(crate) target: Vec<f64>,
    /// log p, accurate for p near 1 as well.
    pub(crate) log_p: Vec<f64>,
    /// Softmax.
    pub(crate) p: Vec<f64>,
    /// 1 - p, the largest one's as the sum of the other probabilities.
    pub(crate) q: Vec<f64>,
    /// The class of the largest logit.
    top: usize,
}

impl Row {
    fn new<F: Copy + Into<f64>>(logits: &[F], targets: &[F]) -> Self {
        let z: Vec<f64> = logits.iter().map(|&v| v.into()).collect();
        let top = (0..z.len()).max_by(|a, b| z[*a].total_cmp(&z[*b])).unwrap_or(0);
        let largest = z.get(top).copied().unwrap_or(f64::NAN);
        let shares: Vec<f64> = z.iter().map(|v| (v - largest).exp()).collect();
        // What is no number makes the whole row so, whatever clips it later.
        let spoilt = if z.iter().all(|v| v.is_finite()) { 0.0 } else { f64::NAN };
        let others = sum_without(&shares, top) + spoilt;
        let sum = shares.get(top).copied().unwrap_or(f64::NAN) + others;
        let p: Vec<f64> = shares.iter().map(|e| e / sum).collect();
        let q: Vec<f64> = p.iter().enumerate().map(|(k, p)| if k == top { others / sum } else { 1.0 - p }).collect();
        let log_sum = sum.ln();
        let log_p =
            z.iter().zip(&q).map(|(v, &q)| if q < 0.5 { (-q).ln_1p() } else { v - largest - log_sum }).collect();
        Self { target: targets.iter().map(|&v| v.into()).collect(), log_p, p, q, top }
    }

    pub(crate) fn smoothed(&self, smoothing: f64) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss, reason = "classes are few")]
        let classes = self.target.len() as f64;
        self.target.iter().map(|y| y * (1.0 - smoothing) + smoothing / classes).collect()
    }

    /// Adds `factor` times the gradient with respect to the logits, given that with respect to the
    /// probabilities: `p_j ((1 - p_j) g_j - sum of the other p_k g_k)`, which does not cancel for `p_j` near 1.
    pub(crate) fn add_logit_gradient(&self, by_p: &[f64], factor: f64, out: &mut [f64]) {
        let products: Vec<f64> = self.p.iter().zip(by_p).map(|(p, g)| p * g).collect();
        let rest = sum_without(&products, self.top);
        let largest = products.get(self.top).copied().unwrap_or(0.0);
        for (j, slot) in out.iter_mut().enumerate() {
            let others = if j == self.top { rest } else { rest - products[j] + largest };
            *slot += factor * (self.q[j] * products[j] - self.p[j] * others);
        }
    }
}

fn sum_without(values: &[f64], left_out: usize) -> f64 {
    values.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, value)| value).sum()
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
