//! Layers that every family uses: convolution, the linear head, layer norm.
//!
//! Weights lie as in PyTorch: `[outputs, inputs / groups, height, width]` and `[outputs, inputs]`. A new layer holds no
//! values: a parameter is made when it is first read, so that one which is loaded from a file is never filled before.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Shape, Tensor};

use super::precision::{convolve, product};
use crate::kernels::{
    self, After, Curve, Geometry, Normalised, Then, batch_norm_convolution, convolution_then, curve, on_processor,
    row_means, scale_shift,
};
use crate::study::Precision;

/// How a convolution or a pool pads its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// `(kernel - 1) / 2` on each side, as torchvision's networks.
    Same,
    /// Not at all: only where the kernel lies inside.
    Valid,
    /// So many on each side of both axes.
    Each(usize),
    /// TensorFlow's SAME: as much as makes the output `ceil(side / stride)`, the larger half after.
    TensorFlow,
}

impl Padding {
    /// Before and after one axis of `side` pixels.
    pub(super) fn of(self, side: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Same => ((kernel - 1) / 2, (kernel - 1) / 2),
            Self::Valid => (0, 0),
            Self::Each(count) => (count, count),
            Self::TensorFlow => {
                let reach = side.div_ceil(stride).saturating_sub(1) * stride + kernel;
                let total = reach.saturating_sub(side);
                (total / 2, total - total / 2)
            }
        }
    }
}

/// A parameter that is zero until it is drawn or loaded.
pub(super) fn blank<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    constant(shape, 0.0, device)
}

/// A parameter of one value until it is drawn or loaded.
pub(super) fn constant<const D: usize>(shape: [usize; D], value: f32, device: &Device) -> Param<Tensor<D>> {
    lazy(ParamId::new(), Shape::new(shape), device.clone(), move |device| Tensor::full(shape, value, device))
}

/// A parameter that learns, made by `value` when it is first read.
pub(super) fn lazy<const D: usize>(
    id: ParamId,
    shape: Shape,
    device: Device,
    value: impl FnOnce(&Device) -> Tensor<D> + Send + Sync + 'static,
) -> Param<Tensor<D>> {
    let init = move |device: &Device, learns: bool| {
        let value = value(device);
        if learns { value.require_grad() } else { value }
    };
    Param::uninitialized(id, init, device, true, shape)
}

/// A convolution without dilation.
#[derive(Module, Debug)]
pub struct Convolution {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    stride: usize,
    groups: usize,
    #[module(skip)]
    padding: Padding,
}

/// Shape of a convolution: `conv([inputs, outputs], 3).stride(2).build(device)`.
#[derive(Debug, Clone, Copy)]
pub struct ConvolutionShape {
    inputs: usize,
    outputs: usize,
    kernel: [usize; 2],
    stride: usize,
    groups: usize,
    padding: Padding,
    bias: bool,
}

/// A square convolution: step 1, one group, [`Padding::Same`], no bias.
#[must_use]
pub fn conv([inputs, outputs]: [usize; 2], kernel: usize) -> ConvolutionShape {
    let kernel = [kernel; 2];
    ConvolutionShape { inputs, outputs, kernel, stride: 1, groups: 1, padding: Padding::Same, bias: false }
}

impl ConvolutionShape {
    /// Kernel of so many rows and columns.
    #[must_use]
    pub fn kernel(self, rows: usize, columns: usize) -> Self {
        Self { kernel: [rows, columns], ..self }
    }

    /// Step along both axes, from 1.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Groups of channels; as many as inputs make it depthwise.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Padding.
    #[must_use]
    pub fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// With a bias.
    #[must_use]
    pub fn bias(self) -> Self {
        Self { bias: true, ..self }
    }

    /// Channels in and out.
    #[must_use]
    pub fn channels(&self) -> [usize; 2] {
        [self.inputs, self.outputs]
    }

    /// The layer; its weights are zero until they are drawn or loaded.
    #[must_use]
    pub fn build(self, device: &Device) -> Convolution {
        let Self { inputs, outputs, kernel: [rows, columns], stride, groups, padding, bias } = self;
        let weight = blank([outputs, inputs / groups, rows, columns], device);
        Convolution { weight, bias: bias.then(|| blank([outputs], device)), stride, groups, padding }
    }
}

impl Convolution {
    #[cfg(test)]
    pub(super) fn weight(&self) -> Tensor<4> {
        self.weight.val()
    }

    /// Channels out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        let [outputs, _, _, _] = self.weight.lazy_shape().dims();
        outputs
    }

    /// # Shapes
    /// `[images, inputs, height, width]` to `[images, outputs, (height + padding - kernel) / stride + 1, ...]`.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>, precision: Precision) -> Tensor<4> {
        let geometry = self.geometry(&input);
        let output = convolve(input, self.weight.val(), geometry, precision);
        match &self.bias {
            Some(bias) => output + bias.val().reshape([1, -1, 1, 1]),
            None => output,
        }
    }

    /// The convolution and what follows it in one operation; only for one without a bias, on the processor.
    pub(super) fn forward_then(&self, input: Tensor<4>, then: Then) -> Tensor<4> {
        let geometry = self.geometry(&input);
        convolution_then(input, self.weight.val(), geometry, then)
    }

    /// A norm in training, with its scale and bias, and the convolution; only for one without a bias, on the processor.
    pub(super) fn forward_normal(&self, input: Tensor<4>, pair: [Tensor<1>; 2], eps: f64, after: After) -> Normalised {
        let geometry = self.geometry(&input);
        batch_norm_convolution(input, pair, eps, after, self.weight.val(), geometry)
    }

    pub(super) fn has_bias(&self) -> bool {
        self.bias.is_some()
    }

    fn geometry(&self, input: &Tensor<4>) -> Geometry {
        let [_, _, height, width] = input.dims();
        let [_, _, rows, columns] = self.weight.lazy_shape().dims();
        let padding = [self.padding.of(height, rows, self.stride), self.padding.of(width, columns, self.stride)];
        Geometry { stride: self.stride, padding, groups: self.groups }
    }
}

/// What follows a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x * sigmoid(x)`, also called swish.
    Silu,
    /// `x * Phi(x)` with the normal distribution's Phi by the error function.
    Gelu,
}

impl Activation {
    /// What a norm does in the same pass, if it is one of those.
    pub(super) fn after(self) -> Option<After> {
        match self {
            Self::Linear => Some(After::Linear),
            Self::Relu => Some(After::Relu),
            Self::Relu6 => Some(After::Relu6),
            Self::Silu => Some(After::Silu),
            Self::Gelu => None,
        }
    }
}

impl From<After> for Activation {
    fn from(after: After) -> Self {
        match after {
            After::Linear => Self::Linear,
            After::Relu => Self::Relu,
            After::Relu6 => Self::Relu6,
            After::Silu => Self::Silu,
        }
    }
}

/// The activation where no norm takes it over.
pub(super) fn activate<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Linear => input,
        Activation::Relu => curve(input, Curve::Relu),
        Activation::Relu6 => input.clamp(0.0, 6.0),
        Activation::Silu => curve(input, Curve::Silu),
        Activation::Gelu => curve(input, Curve::Gelu),
    }
}

/// Squeeze-and-excitation (Hu et al. 2017): each channel times a gate between 0 and 1 that two 1x1 convolutions make
/// of the means of all channels.
///
/// # Shapes
/// `[images, channels, height, width]`, unchanged.
pub(super) fn excite(
    input: Tensor<4>,
    reduce: &Convolution,
    expand: &Convolution,
    activation: Activation,
    precision: Precision,
) -> Tensor<4> {
    let [images, channels, _, _] = input.dims();
    let means = global_average(input.clone()).reshape([images, channels, 1, 1]);
    gated(input, expand.forward(activate(reduce.forward(means, precision), activation), precision))
}

/// Each channel of each image times the sigmoid of its gate.
///
/// # Shapes
/// `[images, channels, height, width]`, unchanged, and `[images, channels, 1, 1]`.
pub(super) fn gated(input: Tensor<4>, gate: Tensor<4>) -> Tensor<4> {
    let gate = curve(gate, Curve::Sigmoid);
    let [images, channels, height, width] = input.dims();
    if !on_processor(&input.device()) || gate.dims() != [images, channels, 1, 1] {
        return input * gate;
    }
    // the channels of all images, each with a scale of its own
    let all = images * channels;
    let gate = gate.reshape([all]);
    let none = gate.zeros_like();
    let planes = input.reshape([1, all, height, width]);
    scale_shift(planes, gate, none, After::Linear).reshape([images, channels, height, width])
}

/// Squeeze-and-excitation with the names of SENet.
#[derive(Module, Debug)]
pub struct Squeeze {
    fc1: Convolution,
    fc2: Convolution,
}

impl Squeeze {
    /// A gate of so many channels by way of fewer; weights are zero until they are drawn or loaded.
    #[must_use]
    pub fn new(channels: usize, fewer: usize, device: &Device) -> Self {
        let layer = |channels| conv(channels, 1).bias().build(device);
        Self { fc1: layer([channels, fewer]), fc2: layer([fewer, channels]) }
    }

    /// # Shapes
    /// `[images, channels, height, width]`, unchanged.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>, precision: Precision) -> Tensor<4> {
        excite(input, &self.fc1, &self.fc2, Activation::Relu, precision)
    }
}

/// The classifier: `features x weight^T + bias`.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Linear {
    /// A linear layer; all weights are zero until they are drawn or loaded.
    #[must_use]
    pub fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { weight: blank([outputs, inputs], device), bias: blank([outputs], device) }
    }

    /// # Shapes
    /// `[..., inputs]` to `[..., outputs]`.
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>, precision: Precision) -> Tensor<D> {
        let mut shape = input.dims();
        // One product over all rows: a batch of products would make a gradient of the weight each.
        let rows = shape[..D - 1].iter().product();
        let flat: Tensor<2> = input.reshape([rows, shape[D - 1]]);
        let output = product(flat, self.weight.val().transpose(), precision) + self.bias.val().unsqueeze();
        shape[D - 1] = self.outputs();
        output.reshape(shape)
    }

    #[cfg(test)]
    pub(super) fn weight(&self) -> Tensor<2> {
        self.weight.val()
    }

    /// Features in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        let [_, inputs] = self.weight.lazy_shape().dims();
        inputs
    }

    /// Where its weights lie.
    #[must_use]
    pub fn device(&self) -> Device {
        self.weight.lazy_device()
    }

    /// Classes out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        let [outputs, _] = self.weight.lazy_shape().dims();
        outputs
    }
}

/// Layer norm over the last axis (Ba et al. 2016), with the biased variance.
#[derive(Module, Debug)]
pub struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    eps: f64,
}

impl LayerNorm {
    /// A layer for so many features: weight 1, bias 0; `eps` is added to the variance (1e-6 in vision transformers).
    #[must_use]
    pub fn new(features: usize, eps: f64, device: &Device) -> Self {
        Self { weight: constant([features], 1.0, device), bias: blank([features], device), eps }
    }

    /// # Shapes
    /// `[..., features]`, unchanged.
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        kernels::layer_norm(input, self.weight.val(), self.bias.val(), self.eps)
    }
}

/// Mean over height and width: `[images, channels, height, width]` to `[images, channels]`.
pub(super) fn global_average(input: Tensor<4>) -> Tensor<2> {
    let [images, channels, height, width] = input.dims();
    row_means(input.reshape([images * channels, height * width])).reshape([images, channels])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn tensorflow_padding_puts_the_larger_half_after() {
        let pads = |side, kernel, stride| Padding::TensorFlow.of(side, kernel, stride);
        assert_eq!(pads(224, 3, 2), (0, 1));
        assert_eq!(pads(225, 3, 2), (1, 1));
        assert_eq!(pads(112, 5, 2), (1, 2));
        assert_eq!(pads(97, 5, 1), (2, 2));
        assert_eq!(pads(7, 1, 2), (0, 0));
        assert_eq!(Padding::Same.of(224, 7, 2), (3, 3));
    }

    #[test]
    fn global_average_is_the_mean_of_each_channel() {
        let input = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 6.0, 0.0, 0.0, 1.0, 1.0], &Device::flex());
        let means: Vec<f32> = global_average(input.reshape([1, 2, 2, 2])).into_data().try_to_vec().unwrap();
        assert_eq!(means, [3.0, 0.5]);
    }

    #[test]
    fn layer_norm_adds_its_epsilon_to_the_variance() {
        let device = Device::flex();
        // Mean 2, variance 1: with epsilon 3 every value is halved.
        let input = Tensor::<1>::from_floats([1.0, 3.0], &device).reshape([1, 1, 2]);
        let output: Vec<f32> = LayerNorm::new(2, 3.0, &device).forward::<3>(input).into_data().try_to_vec().unwrap();
        assert_eq!(output, [-0.5, 0.5]);
    }

    #[test]
    fn a_bias_is_added_to_each_channel() {
        let device = Device::flex();
        let mut layer = conv([1, 2], 1).bias().build(&device);
        layer.bias = Some(Param::from_data([1.0_f32, 2.0], &device));
        let output: Vec<f32> =
            layer.forward(Tensor::ones([1, 1, 1, 2], &device), Precision::F32).into_data().try_to_vec().unwrap();
        assert_eq!(output, [1.0, 1.0, 2.0, 2.0]);
    }
}
