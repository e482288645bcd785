//! A rule, a learning rate and a step's number become the numbers that all elements of a parameter share.

use crate::study::Optimizer;

/// torch's default betas.
pub(super) const BETAS: (f64, f64) = (0.9, 0.999);
/// torch's default epsilon, of all five.
pub(super) const EPSILON: f64 = 1e-8;
/// torch's default `momentum_decay` of `NAdam`.
const MOMENTUM_DECAY: f64 = 4e-3;

/// How far a parameter is.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// Steps taken.
    steps: i32,
    /// Product of `NAdam`'s momenta so far.
    momenta: f64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { steps: 0, momenta: 1.0 }
    }
}

/// One step of one parameter. `m` and `v` are the first and second moment, `l2` is what is added to the gradient
/// for each unit of the value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plan {
    /// Kingma, Ba 2015; Loshchilov, Hutter 2019: `p * shrink - m / (sqrt(v) / root + epsilon) * step`.
    Adam { l2: f64, shrink: f64, root: f64, step: f64 },
    /// Dozat 2016, torch's momenta: `p - (g * by_gradient + m * by_moment) / (sqrt(v / bias) + epsilon)`.
    NAdam { l2: f64, bias: f64, by_gradient: f64, by_moment: f64 },
    /// `m = m * momentum + g`; `p - m * lr`, or with Nesterov `p - (g + m * momentum) * lr`.
    Sgd { l2: f64, momentum: f64, nesterov: bool, lr: f64 },
    /// `u = g / (sqrt(v) + epsilon)`; `m = m * momentum + u`; `p - m * lr`.
    RmsProp { l2: f64, alpha: f64, momentum: f64, lr: f64 },
}

impl Plan {
    /// The next step of a parameter.
    pub(super) fn next(rule: Optimizer, lr: f64, progress: &mut Progress) -> Self {
        progress.steps += 1;
        let steps = progress.steps;
        let bias = 1.0 - BETAS.1.powi(steps);
        let adam = |l2, shrink| Self::Adam { l2, shrink, root: bias.sqrt(), step: lr / (1.0 - BETAS.0.powi(steps)) };
        match rule {
            Optimizer::Adam { weight_decay, .. } => adam(weight_decay, 1.0),
            Optimizer::AdamW { weight_decay, .. } => adam(0.0, 1.0 - lr * weight_decay),
            Optimizer::NAdam { weight_decay, .. } => {
                let momentum = |step: i32| BETAS.0 * (1.0 - 0.5 * 0.96_f64.powf(f64::from(step) * MOMENTUM_DECAY));
                let (now, next) = (momentum(steps), momentum(steps + 1));
                progress.momenta *= now;
                let by_gradient = lr * (1.0 - now) / (1.0 - progress.momenta);
                let by_moment = lr * next / (1.0 - progress.momenta * next);
                Self::NAdam { l2: weight_decay, bias, by_gradient, by_moment }
            }
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                Self::Sgd { l2: weight_decay, momentum, nesterov, lr }
            }
            Optimizer::RmsProp { alpha, momentum, weight_decay, .. } => {
                Self::RmsProp { l2: weight_decay, alpha, momentum, lr }
            }
        }
    }

    /// What is added to the gradient for each unit of the value.
    pub(super) fn l2(self) -> f64 {
        match self {
            Self::Adam { l2, .. } | Self::NAdam { l2, .. } | Self::Sgd { l2, .. } | Self::RmsProp { l2, .. } => l2,
        }
    }
}
