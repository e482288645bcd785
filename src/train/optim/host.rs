//! One step in a single pass over the elements, on the CPU.
//!
//! Each element is computed by itself and in the order of operations of `tensors`, so the bits are the same as
//! there, with any number of threads. A dozen passes over memory become one.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::plan::{BETAS, EPSILON, Plan};

/// Elements that one task takes on.
const CHUNK: usize = 1 << 15;

/// Moments, zeros before the first step; empty where the rule has none.
#[derive(Debug, Clone, Default)]
pub(super) struct HostState {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The value after a step; `factor` is what clipping leaves of the gradient.
pub(super) fn update(
    plan: Plan,
    factor: Option<f64>,
    value: Tensor<1>,
    gradient: Tensor<1>,
    state: &mut HostState,
) -> Tensor<1> {
    let device = value.device();
    let [length] = value.dims();
    let mut values = elements(value);
    let gradients = elements(gradient);
    state.first.resize(length, 0.0);
    state.second.resize(length, 0.0);
    values
        .par_chunks_mut(CHUNK)
        .zip(gradients.par_chunks(CHUNK))
        .zip(state.first.par_chunks_mut(CHUNK).zip(state.second.par_chunks_mut(CHUNK)))
        .for_each(|((p, g), (m, v))| chunk(plan, factor, p, g, m, v));
    Tensor::from_data(TensorData::new(values, [length]), &device)
}

/// The elements, without a copy where nobody else holds them. What cannot be read becomes what is not a number,
/// which ends the training as diverged.
fn elements(tensor: Tensor<1>) -> Vec<f32> {
    let [length] = tensor.dims();
    tensor.into_data().try_into_vec_as().unwrap_or_else(|_| vec![f32::NAN; length])
}

#[expect(clippy::cast_possible_truncation, reason = "tensors are in single precision")]
fn single(value: f64) -> f32 {
    value as f32
}

fn chunk(plan: Plan, factor: Option<f64>, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let factor = single(factor.unwrap_or(1.0));
    let l2 = single(plan.l2());
    let epsilon = single(EPSILON);
    let (keep_m, add_m) = (single(BETAS.0), single(1.0 - BETAS.0));
    let (keep_v, add_v) = (single(BETAS.1), single(1.0 - BETAS.1));
    let elements = p.iter_mut().zip(g).zip(m.iter_mut().zip(v.iter_mut()));
    match plan {
        Plan::Adam { shrink, root, step, .. } => {
            let (shrink, root, step) = (single(shrink), single(root), single(step));
            for ((p, g), (m, v)) in elements {
                let g = g * factor + *p * l2;
                *v = *v * keep_v + g * g * add_v;
                *m = *m * keep_m + g * add_m;
                *p = *p * shrink - *m / (v.sqrt() / root + epsilon) * step;
            }
        }
        Plan::NAdam { bias, by_gradient, by_moment, .. } => {
            let (bias, by_gradient, by_moment) = (single(bias), single(by_gradient), single(by_moment));
            for ((p, g), (m, v)) in elements {
                let g = g * factor + *p * l2;
                *v = *v * keep_v + g * g * add_v;
                *m = *m * keep_m + g * add_m;
                *p -= (g * by_gradient + *m * by_moment) / ((*v / bias).sqrt() + epsilon);
            }
        }
        Plan::Sgd { momentum, nesterov, lr, .. } => {
            let (momentum, lr) = (single(momentum), single(lr));
            for ((p, g), (m, _)) in elements {
                let g = g * factor + *p * l2;
                *m = *m * momentum + g;
                *p -= if nesterov { g + *m * momentum } else { *m } * lr;
            }
        }
        Plan::RmsProp { alpha, momentum, lr, .. } => {
            let (keep, add) = (single(alpha), single(1.0 - alpha));
            let (momentum, lr) = (single(momentum), single(lr));
            for ((p, g), (m, v)) in elements {
                let g = g * factor + *p * l2;
                *v = *v * keep + g * g * add;
                *m = *m * momentum + g / (v.sqrt() + epsilon);
                *p -= *m * lr;
            }
        }
    }
}
