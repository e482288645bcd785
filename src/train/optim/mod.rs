//! Gradients become new parameters, with the formulas and defaults of `torch.optim`.
//!
//! burn's own optimisers round their bias corrections in single precision, have no `NAdam`, and clip each tensor
//! by itself; a study that names torch's optimisers should get torch's figures. Scalars are computed in double
//! precision (`plan`), elements in single precision: in one pass on the CPU (`host`), by tensor operations on
//! other devices (`tensors`), to the same bits. State belongs to a parameter's identity and starts with its first
//! gradient: a parameter that thaws later starts fresh, and a frozen one is neither moved nor decayed.

mod host;
mod plan;
mod tensors;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use crate::study::Optimizer;

use self::host::HostState;
use self::plan::{Plan, Progress};
use self::tensors::TensorState;

/// An optimiser with its state.
#[derive(Debug, Clone)]
pub struct TorchOptimizer {
    rule: Optimizer,
    clip: Option<f64>,
    /// What the learning rate of a parameter is multiplied by, by the parameter's identity; 1 where nothing stands.
    rate_scales: BTreeMap<u64, f64>,
    /// Tensor operations on the CPU too.
    tensors_only: bool,
    slots: BTreeMap<u64, Slot>,
}

/// What is remembered of one parameter.
#[derive(Debug, Clone, Default)]
struct Slot {
    progress: Progress,
    tensors: TensorState,
    host: HostState,
}

impl TorchOptimizer {
    /// An optimiser that has not seen a gradient. `clip` is the largest norm of all gradients together
    /// (torch's `clip_grad_norm_`).
    #[must_use]
    pub fn new(rule: Optimizer, clip: Option<f64>) -> Self {
        Self { rule, clip, rate_scales: BTreeMap::new(), tensors_only: false, slots: BTreeMap::new() }
    }

    /// The same with another learning rate for some parameters: times what stands under their identity.
    #[must_use]
    pub fn with_rate_scales(self, rate_scales: BTreeMap<u64, f64>) -> Self {
        Self { rate_scales, ..self }
    }

    /// The same with tensor operations on every device: the slow twin that the CPU's single pass is compared with.
    #[must_use]
    pub fn with_tensors_only(self) -> Self {
        Self { tensors_only: true, ..self }
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

    fn update(&mut self, id: u64, value: Tensor<1>, gradient: Tensor<1>, lr: f64, factor: Option<f64>) -> Tensor<1> {
        let slot = self.slots.entry(id).or_default();
        let plan = Plan::next(self.rule, lr, &mut slot.progress);
        // on the CPU the elements are at hand
        if !self.tensors_only && value.device() == Device::flex() {
            host::update(plan, factor, value, gradient, &mut slot.host)
        } else {
            tensors::update(plan, factor, value, gradient, &mut slot.tensors)
        }
    }
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
        let (value, gradient) = (value.inner().reshape([flat]), gradient.reshape([flat]));
        let rate = self.learning_rate * self.optimizer.rate_scales.get(&id.val()).copied().unwrap_or(1.0);
        let moved = self.optimizer.update(id.val(), value, gradient, rate, self.factor);
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
