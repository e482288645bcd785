//! What one class of one row costs, and what pulls at its logit: focal loss and its simpler relatives.
//!
//! The formulas are those of `reference.rs`, in single precision: probabilities and their complements come from sums
//! that do not cancel, see `mix/kernel.rs`.

use cubecl::prelude::*;

/// Keras's `backend.epsilon()`.
pub(crate) const EPSILON: f32 = 1e-7;

/// How a term is told to the kernels, in the first of its numbers.
pub(crate) const CROSS_ENTROPY: u32 = 0;
/// See [`CROSS_ENTROPY`].
pub(crate) const FOCAL: u32 = 1;
/// See [`CROSS_ENTROPY`].
pub(crate) const KULLBACK_LEIBLER: u32 = 2;
/// See [`CROSS_ENTROPY`].
pub(crate) const SOFT_F1: u32 = 3;

/// ln(1 + x) for x >= 0, to a rounding or two for small x as well (Kahan's way).
#[cube]
pub(crate) fn log_one_plus(x: f32) -> f32 {
    let sum = x + 1.0;
    let kept = sum - 1.0;
    let wide = sum.ln() * (x / max(kept, f32::MIN_POSITIVE));
    select(kept == 0.0, x, wide)
}

/// q to the gamma; 1 for gamma 0, also at q = 0.
#[cube]
fn turned_down(q: f32, gamma: f32) -> f32 {
    let power = (max(q, f32::MIN_POSITIVE).ln() * gamma).exp();
    let square = select(gamma == 2.0, q * q, power);
    select(gamma == 0.0, 1.0f32, select(gamma == 1.0, q, square))
}

/// A target between epsilon and 1; what is no number stays so, which `clamp` does not promise.
#[cube]
fn clipped(y: f32) -> f32 {
    select(y.abs() <= f32::MAX, clamp(y, EPSILON, 1.0f32), f32::NAN)
}

/// A class's share of the loss of a row: `y` its (smoothed) target, `p` its probability, `q` that of all others.
#[cube]
pub(crate) fn cost(kind: u32, gamma: f32, alpha: f32, y: f32, p: f32, q: f32, log_p: f32) -> f32 {
    let mut cost = -y * log_p;
    if kind == FOCAL {
        let low = p < EPSILON;
        let high = q < EPSILON;
        let q = select(high, EPSILON, select(low, 1.0 - EPSILON, q));
        let log_p = select(high, -EPSILON, select(low, -16.118_095f32, log_p));
        cost = -alpha * y * turned_down(q, gamma) * log_p;
    } else if kind == KULLBACK_LEIBLER {
        let y = clipped(y);
        cost = y * (y.ln() - select(p < EPSILON, -16.118_095f32, log_p));
    }
    cost
}

/// `p` times the derivative of [`cost`] by `p`.
#[cube]
pub(crate) fn pull(kind: u32, gamma: f32, alpha: f32, y: f32, p: f32, q: f32, log_p: f32) -> f32 {
    let mut pull = -y;
    if kind == FOCAL {
        let inside = gamma * turned_down(q, gamma - 1.0) * p * log_p;
        let slope = select(gamma == 0.0, 0.0f32, inside) - turned_down(q, gamma);
        pull = select(p < EPSILON || q < EPSILON, 0.0f32, alpha * y * slope);
    } else if kind == KULLBACK_LEIBLER {
        pull = select(p < EPSILON, 0.0f32, -clipped(y));
    }
    pull
}
