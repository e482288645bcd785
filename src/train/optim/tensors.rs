//! One step by tensor operations, on any device; the reference of the CPU's single pass.

use burn::tensor::Tensor;

use super::plan::{BETAS, EPSILON, Plan};

/// Moments, from the first step on; which are used depends on the rule.
#[derive(Debug, Clone, Default)]
pub(super) struct TensorState {
    first: Option<Tensor<1>>,
    second: Option<Tensor<1>>,
}

/// The value after a step; `factor` is what clipping leaves of the gradient.
pub(super) fn update(
    plan: Plan,
    factor: Option<f64>,
    p: Tensor<1>,
    g: Tensor<1>,
    state: &mut TensorState,
) -> Tensor<1> {
    let g = factor.map_or(g.clone(), |factor| g.mul_scalar(factor));
    let g = if plan.l2() == 0.0 { g } else { g + p.clone().mul_scalar(plan.l2()) };
    match plan {
        Plan::Adam { shrink, root, step, .. } => {
            let (m, v) = state.moments(g);
            let size = v.sqrt().div_scalar(root).add_scalar(EPSILON);
            p.mul_scalar(shrink) - (m / size).mul_scalar(step)
        }
        Plan::NAdam { bias, by_gradient, by_moment, .. } => {
            let (m, v) = state.moments(g.clone());
            let size = v.div_scalar(bias).sqrt().add_scalar(EPSILON);
            p - (g.mul_scalar(by_gradient) + m.mul_scalar(by_moment)) / size
        }
        Plan::Sgd { momentum, nesterov, lr, .. } => {
            if momentum == 0.0 {
                return p - g.mul_scalar(lr);
            }
            let m = state.velocity(g.clone(), momentum);
            let step = if nesterov { g + m.mul_scalar(momentum) } else { m };
            p - step.mul_scalar(lr)
        }
        Plan::RmsProp { alpha, momentum, lr, .. } => {
            let v = average(state.second.take(), g.clone().square(), alpha);
            state.second = Some(v.clone());
            let u = g / v.sqrt().add_scalar(EPSILON);
            let step = if momentum == 0.0 { u } else { state.velocity(u, momentum) };
            p - step.mul_scalar(lr)
        }
    }
}

impl TensorState {
    fn moments(&mut self, g: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
        let second = average(self.second.take(), g.clone().square(), BETAS.1);
        let first = average(self.first.take(), g, BETAS.0);
        self.second = Some(second.clone());
        self.first = Some(first.clone());
        (first, second)
    }

    fn velocity(&mut self, step: Tensor<1>, momentum: f64) -> Tensor<1> {
        let velocity = match self.first.take() {
            None => step,
            Some(velocity) => velocity.mul_scalar(momentum) + step,
        };
        self.first = Some(velocity.clone());
        velocity
    }
}

/// `keep` of the old average and the rest of the new value; the old one starts at 0.
fn average(old: Option<Tensor<1>>, new: Tensor<1>, keep: f64) -> Tensor<1> {
    let new = new.mul_scalar(1.0 - keep);
    match old {
        None => new,
        Some(old) => old.mul_scalar(keep) + new,
    }
}
