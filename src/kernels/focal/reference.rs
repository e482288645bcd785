//! What a row costs on the host, in double precision, with the gradient by its logits.

use super::super::mix::reference::{EPSILON, Row};

/// -sum y log p.
pub(crate) fn cross_entropy(row: &Row, y: &[f64], out: &mut [f64]) -> f64 {
    let total: f64 = y.iter().sum();
    for (k, slot) in out.iter_mut().enumerate() {
        // total * p - y, without cancellation where p and y are near 1
        *slot = if row.p[k] < 0.5 { total * row.p[k] - y[k] } else { (total - y[k]) - total * row.q[k] };
    }
    -y.iter().zip(&row.log_p).map(|(y, l)| y * l).sum::<f64>()
}

/// sum alpha (1 - p)^gamma (-y log p), p clipped to epsilon..1 - epsilon. (Lin et al. 2017; Keras.)
pub(crate) fn focal(row: &Row, y: &[f64], gamma: f64, alpha: f64, out: &mut [f64]) -> f64 {
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
pub(crate) fn kullback_leibler(row: &Row, y: &[f64], out: &mut [f64]) -> f64 {
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
