//! Logits and soft targets become the study's weighted sum of losses and its gradient.
//!
//! The formulas are Keras 3's (`CategoricalCrossentropy`, `CategoricalFocalCrossentropy`, `KLDivergence` with
//! logits or softmax, epsilon 1e-7) and, for the soft F1, that of `1 - mean F1` over a batch's probabilities. They stand in
//! [`crate::kernels::mix`], which computes them on the host or on a GPU.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::kernels::mix::{HostLoss, Kind, Mix, Mixed, Targets, Term, mix};
use crate::study::{ClassWeights, LossKind, LossTerm};

use super::error::TrainError;

/// The whole loss of a study, ready to be applied to batches.
#[derive(Debug, Clone, PartialEq)]
pub struct MixedLoss {
    mix: Arc<Mix>,
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
                    kind: match term.kind {
                        LossKind::CrossEntropy => Kind::CrossEntropy,
                        LossKind::Focal { gamma, alpha } => Kind::Focal { gamma, alpha },
                        LossKind::Kl => Kind::Kl,
                        LossKind::SoftF1 => Kind::SoftF1,
                    },
                    smoothing: term.smoothing,
                    class_weights: class_weights(&term.class_weights, classes, class_counts)?,
                })
            })
            .collect::<Result<_, TrainError>>()?;
        Ok(Self { mix: Arc::new(Mix { classes, terms }) })
    }

    /// The sum, as the kernels know it.
    #[must_use]
    pub fn mix(&self) -> &Arc<Mix> {
        &self.mix
    }

    /// The loss of a batch and, through `total.backward()`, its gradient.
    ///
    /// # Shapes
    /// - `logits`: `[images, classes]`
    /// - `targets`: `[images, classes]`, one-hot or soft, before any smoothing; each row adds up to 1.
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> LossValue {
        let Mixed { total, terms } = mix(&self.mix, logits, Targets::Shares(targets));
        // One tensor, so that a GPU is waited for once.
        let read: Vec<f64> = Tensor::cat(vec![total.clone().detach(), terms], 0).into_data().iter().collect();
        let (value, terms) =
            read.split_first().map_or((f64::NAN, Vec::new()), |(value, terms)| (*value, terms.to_vec()));
        LossValue { total, value, terms }
    }

    /// Value, terms and gradient of `rows x classes` logits against as many targets, both row by row.
    /// An empty batch costs 0.
    pub fn on_host<F: Copy + Into<f64>>(&self, logits: &[F], targets: &[F]) -> HostLoss {
        self.mix.on_host(logits, targets)
    }

    /// A loss above this is no longer learning: ten thousand nats for each unit of weight.
    pub(super) fn absurd(&self) -> f64 {
        let weights = self.mix.terms.iter().map(|term| {
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
