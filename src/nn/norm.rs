//! Batch normalisation with PyTorch's running statistics.
//!
//! The batch is normalised with its biased variance; the running variance takes in the *unbiased* one, times
//! `n / (n - 1)`, as PyTorch does (burn's own layer keeps the biased one). A frozen layer uses and keeps its running
//! statistics in every mode. Cloning a layer clones its statistics: training on does not change an earlier copy.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{
    Content, Devices, Flag, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param, ParamId,
};
use burn::tensor::module::batch_norm_train;
use burn::tensor::{Device, Tensor};

use super::layers::{Activation, Convolution, activate, blank, constant};
use super::{Mode, Pass};
use crate::kernels::{After, Then, batch_norm, on_processor, scale_shift, sum_relu};
use crate::study::Precision;

/// How much of a running statistic each training batch replaces; PyTorch's convention and default.
const MOMENTUM: f64 = 0.1;

/// Batch normalisation over the channels of `[images, channels, height, width]`.
#[derive(Module, Debug)]
pub struct BatchNorm {
    weight: Option<Param<Tensor<1>>>,
    bias: Param<Tensor<1>>,
    running_mean: Running,
    running_var: Running,
    /// Off where the layer is frozen. Comes after weight and bias, so that a mapper has seen those two first.
    training: Param<Flag>,
    eps: f64,
}

impl BatchNorm {
    /// A layer for so many channels: weight 1, bias 0, mean 0, variance 1.
    ///
    /// `eps` is added to the variance (1e-5 in PyTorch's networks, 1e-3 in TensorFlow's).
    #[must_use]
    pub fn new(channels: usize, eps: f64, device: &Device) -> Self {
        Self {
            weight: Some(constant([channels], 1.0, device)),
            bias: blank([channels], device),
            running_mean: Running::new(Tensor::zeros([channels], device)),
            running_var: Running::new(Tensor::ones([channels], device)),
            training: Param::from_bool(true),
            eps,
        }
    }

    /// A layer whose weight is fixed at 1 (Keras' `scale = False`).
    #[must_use]
    pub fn without_weight(channels: usize, eps: f64, device: &Device) -> Self {
        Self { weight: None, ..Self::new(channels, eps, device) }
    }

    /// The norm, and what follows it.
    ///
    /// # Shapes
    /// `[images, channels, height, width]`, unchanged.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>, mode: Mode, activation: Activation) -> Tensor<4> {
        match activation.after() {
            Some(after) => self.then(input, mode, after),
            None => activate(self.then(input, mode, After::Linear), activation),
        }
    }

    /// A convolution, the norm, what is added, and the activation; in one operation where the norm's statistics stand still.
    ///
    /// # Shapes
    /// As [`Convolution::forward`]; `added` is as large as the output.
    #[must_use]
    pub fn after(
        &self,
        convolution: &Convolution,
        input: Tensor<4>,
        added: Option<Tensor<4>>,
        pass: &Pass,
        activation: Activation,
    ) -> Tensor<4> {
        if !self.follows(pass) && taken(&input, pass) && !convolution.has_bias() {
            let (scale, shift) = self.affine();
            let (activation, rest) = match activation.after() {
                Some(after) => (after, Activation::Linear),
                None => (After::Linear, activation),
            };
            let then = Then { scale, shift, added, activation };
            return activate(convolution.forward_then(input, then), rest);
        }
        self.ending(convolution.forward(input, pass.precision), added, pass.mode, activation)
    }

    /// The norm and its activation, and the convolution after them; where the norm follows the batches, in one operation that keeps
    /// nothing of what lies between.
    ///
    /// # Shapes
    /// As [`Convolution::forward`].
    #[must_use]
    pub fn before(
        &self,
        convolution: &Convolution,
        input: Tensor<4>,
        pass: &Pass,
        activation: Activation,
    ) -> Tensor<4> {
        match activation.after() {
            Some(after) if self.follows(pass) && taken(&input, pass) && !convolution.has_bias() => {
                let [images, _, height, width] = input.dims();
                let result = convolution.forward_normal(input, [self.weight(), self.bias.val()], self.eps, after);
                self.blend(result.mean, result.variance, images * height * width);
                result.output
            }
            _ => convolution.forward(self.forward(input, pass.mode, activation), pass.precision),
        }
    }

    /// Are the statistics those of the batch in this pass?
    pub(super) fn follows(&self, pass: &Pass) -> bool {
        pass.mode == Mode::Train && self.training.is_enabled()
    }

    fn ending(&self, input: Tensor<4>, added: Option<Tensor<4>>, mode: Mode, activation: Activation) -> Tensor<4> {
        match (added, activation) {
            (None, _) => self.forward(input, mode, activation),
            (Some(added), Activation::Relu) => sum_relu(self.forward(input, mode, Activation::Linear), added),
            (Some(added), _) => activate(self.forward(input, mode, Activation::Linear) + added, activation),
        }
    }

    fn then(&self, input: Tensor<4>, mode: Mode, activation: After) -> Tensor<4> {
        match mode {
            Mode::Train if self.training.is_enabled() => self.with_batch_statistics(input, activation),
            Mode::Train | Mode::Eval => self.with_running_statistics(input, activation),
        }
    }

    fn with_batch_statistics(&self, input: Tensor<4>, activation: After) -> Tensor<4> {
        let [images, _, height, width] = input.dims();
        let (weight, bias) = (self.weight(), self.bias.val());
        let (output, mean, variance) = if on_processor(&input.device()) {
            let result = batch_norm(input, weight, bias, self.eps, activation);
            (result.output, result.mean, result.variance)
        } else {
            let result = batch_norm_train(input, weight, bias, self.eps);
            (activate(result.output, activation.into()), result.mean, result.variance)
        };
        self.blend(mean, variance, images * height * width);
        output
    }

    /// Moves the running statistics towards those of a batch with so many values a channel.
    fn blend(&self, mean: Tensor<1>, variance: Tensor<1>, count: usize) {
        self.running_mean.blend(mean, 1.0);
        self.running_var.blend(variance, unbiased(count));
    }

    fn with_running_statistics(&self, input: Tensor<4>, activation: After) -> Tensor<4> {
        let (scale, shift) = self.affine();
        if on_processor(&input.device()) {
            return scale_shift(input, scale, shift, activation);
        }
        activate(input * scale.reshape([1, -1, 1, 1]) + shift.reshape([1, -1, 1, 1]), activation.into())
    }

    fn weight(&self) -> Tensor<1> {
        match &self.weight {
            Some(weight) => weight.val(),
            None => self.running_var.value().ones_like(),
        }
    }

    /// The layer as `input * scale + shift` a channel, from the running statistics.
    fn affine(&self) -> (Tensor<1>, Tensor<1>) {
        let scale = self.weight() / (self.running_var.value() + self.eps).sqrt();
        let shift = self.bias.val() - self.running_mean.value() * scale.clone();
        (scale, shift)
    }
}

/// Is this a pass whose operations the processor has in one?
fn taken(input: &Tensor<4>, pass: &Pass) -> bool {
    pass.precision == Precision::F32 && on_processor(&input.device())
}

/// Convolutions, each with its norm and what follows it, one after the other; `added` before the last activation.
///
/// # Shapes
/// `[images, channels, height, width]` of the first's input to of the last's output.
pub(super) fn links<const N: usize>(
    links: [(&Convolution, &BatchNorm, Activation); N],
    input: Tensor<4>,
    added: Option<Tensor<4>>,
    pass: &Pass,
) -> Tensor<4> {
    let mut added = added;
    let mut value = input;
    let mut before: Option<(&BatchNorm, Activation)> = None;
    for (place, (convolution, norm, activation)) in links.into_iter().enumerate() {
        let last = place + 1 == N;
        let added = added.take_if(|_| last);
        if norm.follows(pass) {
            value = match before {
                Some((norm, activation)) => norm.before(convolution, value, pass, activation),
                None => convolution.forward(value, pass.precision),
            };
            before = Some((norm, activation));
            if last {
                return norm.ending(value, added, pass.mode, activation);
            }
        } else {
            if let Some((norm, activation)) = before.take() {
                value = norm.forward(value, pass.mode, activation);
            }
            value = norm.after(convolution, value, added, pass, activation);
        }
    }
    value
}

/// From the biased to the unbiased variance of `n` values. One value has no unbiased variance: left as it is.
fn unbiased(n: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "pixels of a batch, far below 2^53")]
    let n = n as f64;
    n / (n - 1.0).max(1.0)
}

/// A statistic that training updates and no gradient reaches. A clone has a value of its own.
#[derive(Debug)]
pub struct Running {
    id: ParamId,
    value: Mutex<Tensor<1>>,
}

impl Running {
    fn new(value: Tensor<1>) -> Self {
        Self { id: ParamId::new(), value: Mutex::new(value) }
    }

    fn lock(&self) -> MutexGuard<'_, Tensor<1>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its present value.
    #[must_use]
    pub fn value(&self) -> Tensor<1> {
        self.lock().clone()
    }

    /// Moves the value towards `batch * factor` by [`MOMENTUM`].
    fn blend(&self, batch: Tensor<1>, factor: f64) {
        let mut value = self.lock();
        let kept = value.clone().mul_scalar(1.0 - MOMENTUM);
        *value = (kept + batch.detach().mul_scalar(MOMENTUM * factor)).detach();
    }

    fn with(self, value: Tensor<1>) -> Self {
        Self { id: self.id, value: Mutex::new(value) }
    }
}

impl Clone for Running {
    fn clone(&self) -> Self {
        Self { id: self.id, value: Mutex::new(self.value()) }
    }
}

impl Module for Running {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.visit_float(&Param::initialized(self.id, self.value()));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let (id, value, _) = mapper.map_float(Param::initialized(self.id, self.value())).consume();
        Self { id, value: Mutex::new(value.set_require_grad(false)) }
    }

    fn to_device(self, device: &Device) -> Self {
        let value = self.value().to_device(device);
        self.with(value)
    }

    fn fork(self, device: &Device) -> Self {
        let value = self.value().to_device(device).detach();
        self.with(value)
    }

    fn collect_devices(&self, mut devices: Devices) -> Devices {
        let device = self.value().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        Self { id: self.id, value: Mutex::new(self.value().without_autodiff()) }
    }

    fn train(self) -> Self {
        let value = Tensor::from_inner(self.value());
        self.with(value)
    }
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running {{shape: {:?}}}", self.value().dims())
    }
}

impl ModuleDisplayDefault for Running {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&self.to_string()).optional()
    }
}

impl ModuleDisplay for Running {}
