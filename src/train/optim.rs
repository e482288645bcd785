//! Gradients become new parameters, with the formulas and defaults of `torch.optim`.
//!
//! burn's own optimisers round their bias corrections in single precision, have no `NAdam`, and clip each tensor
//! by itself; a study that names torch's optimisers should get torch's figures. Scalars are computed in double
//! precision, tensors stay on their device. State belongs to a parameter's identity and starts with its first
//! gradient: a parameter that thaws later starts fresh, and a frozen one is neither moved nor decayed.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::study::Optimizer;

/// torch's default betas.
const BETAS: (f64, f64) = (0.9, 0.999);
/// torch's default epsilon, of all five.
const EPSILON: f64 = 1e-8;
/// torch's default `momentum_decay` of `NAdam`.
const MOMENTUM_DECAY: f64 = 4e-3;

/// An optimiser with its state.
#[derive(Debug, Clone)]
pub struct TorchOptimizer {
    rule: Optimizer,
    clip: Option<f64>,
    slots: BTreeMap<u64, Slot>,
}

/// State of one parameter; which parts are used depends on the rule.
#[derive(Debug, Clone)]
struct Slot {
    steps: i32,
    /// Product of `NAdam`'s momenta so far.
    momenta: f64,
    /// First moment, or velocity.
    first: Option<Tensor<1>>,
    /// Second moment.
    second: Option<Tensor<1>>,
}

impl TorchOptimizer {
    /// An optimiser that has not seen a gradient. `clip` is the largest norm of all gradients together
    /// (torch's `clip_grad_norm_`).
    #[must_use]
    pub fn new(rule: Optimizer, clip: Option<f64>) -> Self {
        Self { rule, clip, slots: BTreeMap::new() }
    }

    /// The module one step further. Parameters without a gradient come back as they are.
    pub fn step<M: Module>(&mut self, learning_rate: f64, module: M, mut gradients: GradientsParams) -> M {
        let factor = self.clip.and_then(|limit| {
            let norm = gradient_norm(&module, &gradients);
            let factor = limit / (norm + 1e-6);
            (factor < 1.0).then_some(factor)
        });
        module.map(&mut Walk { optimizer: self, gradients: &mut gradients, learning_rate, factor })
    }

    fn update(&mut self, id: u64, p: Tensor<1>, g: Tensor<1>, lr: f64) -> Tensor<1> {
        let slot = self.slots.entry(id).or_insert(Slot { steps: 0, momenta: 1.0, first: None, second: None });
        slot.steps += 1;
        match self.rule {
            Optimizer::Adam { weight_decay, .. } => {
                let g = decayed(g, &p, weight_decay);
                adam(slot, p, g, lr)
            }
            Optimizer::AdamW { weight_decay, .. } => {
                let p = if weight_decay == 0.0 { p } else { p.mul_scalar(1.0 - lr * weight_decay) };
                adam(slot, p, g, lr)
            }
            Optimizer::NAdam { weight_decay, .. } => {
                let g = decayed(g, &p, weight_decay);
                nadam(slot, p, g, lr)
            }
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                let g = decayed(g, &p, weight_decay);
                if momentum == 0.0 {
                    return p - g.mul_scalar(lr);
                }
                let velocity = match slot.first.take() {
                    None => g.clone(),
                    Some(velocity) => velocity.mul_scalar(momentum) + g.clone(),
                };
                slot.first = Some(velocity.clone());
                let step = if nesterov { g + velocity.mul_scalar(momentum) } else { velocity };
                p - step.mul_scalar(lr)
            }
            Optimizer::RmsProp { alpha, momentum, weight_decay, .. } => {
                let g = decayed(g, &p, weight_decay);
                let second = average(slot.second.take(), g.clone().square(), alpha);
                slot.second = Some(second.clone());
                let step = g / second.sqrt().add_scalar(EPSILON);
                if momentum == 0.0 {
                    return p - step.mul_scalar(lr);
                }
                let velocity = match slot.first.take() {
                    None => step,
                    Some(velocity) => velocity.mul_scalar(momentum) + step,
                };
                slot.first = Some(velocity.clone());
                p - velocity.mul_scalar(lr)
            }
        }
    }
}

/// Weight decay as an L2 penalty: added to the gradient.
fn decayed(g: Tensor<1>, p: &Tensor<1>, weight_decay: f64) -> Tensor<1> {
    if weight_decay == 0.0 { g } else { g + p.clone().mul_scalar(weight_decay) }
}

/// `keep` of the old average and the rest of the new value; the old one starts at 0.
fn average(old: Option<Tensor<1>>, new: Tensor<1>, keep: f64) -> Tensor<1> {
    let new = new.mul_scalar(1.0 - keep);
    match old {
        None => new,
        Some(old) => old.mul_scalar(keep) + new,
    }
}

fn moments(slot: &mut Slot, g: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    let second = average(slot.second.take(), g.clone().square(), BETAS.1);
    let first = average(slot.first.take(), g, BETAS.0);
    slot.second = Some(second.clone());
    slot.first = Some(first.clone());
    (first, second)
}

/// Kingma, Ba 2015.
fn adam(slot: &mut Slot, p: Tensor<1>, g: Tensor<1>, lr: f64) -> Tensor<1> {
    let (first, second) = moments(slot, g);
    let step = lr / (1.0 - BETAS.0.powi(slot.steps));
    let scale = (1.0 - BETAS.1.powi(slot.steps)).sqrt();
    let size = second.sqrt().div_scalar(scale).add_scalar(EPSILON);
    p - (first / size).mul_scalar(step)
}

/// Dozat 2016, with torch's momentum schedule.
fn nadam(slot: &mut Slot, p: Tensor<1>, g: Tensor<1>, lr: f64) -> Tensor<1> {
    let momentum = |step: i32| BETAS.0 * (1.0 - 0.5 * 0.96_f64.powf(f64::from(step) * MOMENTUM_DECAY));
    let (now, next) = (momentum(slot.steps), momentum(slot.steps + 1));
    slot.momenta *= now;
    let (first, second) = moments(slot, g.clone());
    let size = second.div_scalar(1.0 - BETAS.1.powi(slot.steps)).sqrt().add_scalar(EPSILON);
    let by_gradient = lr * (1.0 - now) / (1.0 - slot.momenta);
    let by_moment = lr * next / (1.0 - slot.momenta * next);
    p - (g.mul_scalar(by_gradient) + first.mul_scalar(by_moment)) / size
}

struct Walk<'a> {
    optimizer: &'a mut TorchOptimizer,
    gradients: &'a mut GradientsParams,
    learning_rate: f64,
    /// What clipping leaves of the gradients.
    factor: Option<f64>,
}

impl ModuleMapper for Walk<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, value, mapper);
        };
        let shape = value.dims();
        let flat: usize = shape.iter().product();
        let gradient = gradient.reshape([flat]);
        let gradient = match self.factor {
            None => gradient,
            Some(factor) => gradient.mul_scalar(factor),
        };
        let moved = self.optimizer.update(id.val(), value.inner().reshape([flat]), gradient, self.learning_rate);
        let value = Tensor::from_inner(moved.reshape(shape)).require_grad();
        Param::from_mapped_value(id, value, mapper)
    }
}

/// The Euclidean norm of all gradients together. Rows are summed on the device, rows and tensors on the host in a
/// fixed order and in double precision.
fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    struct Norm<'a> {
        gradients: &'a GradientsParams,
        sum: f64,
    }
    impl ModuleVisitor for Norm<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
            let shape = gradient.dims();
            let flat: usize = shape.iter().product();
            let rows = shape.first().copied().unwrap_or(1).max(1);
            let squares = gradient.reshape([rows, flat / rows]).square().sum_dim(1);
            self.sum += squares.into_data().iter::<f32>().map(f64::from).sum::<f64>();
        }
    }
    let mut norm = Norm { gradients, sum: 0.0 };
    module.visit(&mut norm);
    norm.sum.sqrt()
}
