//! Batch norm and the activation after it in one pass over the images, on the processor.
//!
//! burn composes them of a dozen operations, each a pass through memory and most on one thread. Elsewhere than on the
//! processor these operations do not exist; ask [`on_processor`] first.

#![expect(clippy::too_many_arguments, reason = "gradients need what the forward pass knew")]

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Device, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::affine::{Affine, After, Ranged, Swish, affines};
use super::lanes::Lanes;
use super::values::{tensor, written};
use crate::simd::arch;

/// Do tensors of this device lie in the processor's memory, so that the operations here are there for them?
#[must_use]
pub fn on_processor(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

/// Is this a tensor that operations of the processor take: in its memory, and in single precision?
pub(super) fn is_taken<const D: usize>(tensor: &Tensor<D>) -> bool {
    on_processor(&tensor.device()) && tensor.dtype() == DType::F32
}

/// The operations.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait NormOps: Backend {
    /// `activation(input * scale + shift)` a channel.
    fn scale_shift(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: After,
    ) -> FloatTensor<Self>;

    /// Its gradients by input, scale and shift.
    fn scale_shift_gradients(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        output: FloatTensor<Self>,
        activation: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Output, mean and biased variance of each channel.
    fn normalise(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
        activation: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The output once more, from the mean and variance of the first time: the same bits.
    fn normalise_again(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        eps: f64,
        activation: After,
    ) -> FloatTensor<Self>;

    /// Its gradients by input, weight and bias.
    fn normalise_gradients(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        output: FloatTensor<Self>,
        eps: f64,
        activation: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

fn channel_values(values: Vec<f32>) -> FlexTensor {
    let shape = Shape::new([values.len()]);
    tensor(values, shape)
}

/// Images of channels of planes in one slice.
struct Planes {
    channels: usize,
    plane: usize,
}

impl Planes {
    fn of(shape: &Shape) -> Self {
        let [_, channels, height, width] = shape.dims();
        Self { channels, plane: height * width }
    }

    /// A new slice in which each value is `of(channel)(x, y)`.
    fn map<F: Fn(f32, f32) -> f32>(&self, x: &[f32], y: &[f32], of: impl Fn(usize) -> F + Sync) -> Vec<f32> {
        let plane = self.plane.max(1);
        written(x.len(), plane, |index, out| {
            let range = index * plane..index * plane + out.len();
            arch().dispatch(Map { out, x: &x[range.clone()], y: &y[range], of: of(index % self.channels) });
        })
    }

    /// A new slice with the channel's function of each value.
    fn bent<A: Affine>(&self, x: &[f32], affines: &[A]) -> Vec<f32> {
        self.map(x, x, |channel| {
            let affine = affines[channel];
            #[inline(always)]
            move |x, _| affine.value(x)
        })
    }

    /// For each channel the sum of the gradients `y` that arrive before the activation, and of these times `x` less a centre.
    fn sums<A: Affine>(
        &self,
        x: &[f32],
        y: &[f32],
        affines: &[A],
        centre: impl Fn(usize) -> f32 + Sync,
    ) -> Vec<[f64; 2]> {
        let (plane, channels) = (self.plane, self.channels);
        let sums = |channel| {
            let (affine, centre) = (affines[channel], centre(channel));
            arch().dispatch(Sums { x, y, plane, channels, channel, affine, centre })
        };
        (0..channels).into_par_iter().map(sums).collect()
    }

    /// Mean and biased variance of each channel.
    fn moments(&self, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (plane, channels) = (self.plane, self.channels);
        let moments = |channel| {
            let Moments { count, mean, squares } = arch().dispatch(Measure { x, plane, channels, channel });
            let variance = squares / count.max(1.0);
            // rounding may take a constant channel's below zero; what is no number stays so
            (single(mean), single(if variance < 0.0 { 0.0 } else { variance }))
        };
        (0..channels).into_par_iter().map(moments).unzip()
    }
}

struct Map<'a, F> {
    out: &'a mut [f32],
    x: &'a [f32],
    y: &'a [f32],
    of: F,
}

impl<F: Fn(f32, f32) -> f32> WithSimd for Map<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (out, (x, y)) in self.out.iter_mut().zip(self.x.iter().zip(self.y)) {
            *out = (self.of)(*x, *y);
        }
    }
}

struct Sums<'a, A> {
    x: &'a [f32],
    y: &'a [f32],
    plane: usize,
    channels: usize,
    channel: usize,
    affine: A,
    centre: f32,
}

impl<A: Affine> WithSimd for Sums<'_, A> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [f64; 2] {
        let (at, image) = (self.channel * self.plane, (self.channels * self.plane).max(1));
        let (affine, centre) = (self.affine, self.centre);
        let mut passed = [0.0; 512];
        let mut total = [0.0; 2];
        for (x, y) in self.x.chunks(image).zip(self.y.chunks(image)) {
            let (mut plain, mut centred) = (Lanes::default(), Lanes::default());
            let (x, y) = (&x[at..at + self.plane], &y[at..at + self.plane]);
            for (x, y) in x.chunks(passed.len()).zip(y.chunks(passed.len())) {
                let passed = &mut passed[..x.len()];
                for (passed, (x, y)) in passed.iter_mut().zip(x.iter().zip(y)) {
                    *passed = affine.passed(*x, *y);
                }
                plain.add(
                    passed,
                    passed,
                    #[inline(always)]
                    |passed, _| passed,
                );
                centred.add(
                    passed,
                    x,
                    #[inline(always)]
                    |passed, x| passed * (x - centre),
                );
            }
            total = [total[0] + f64::from(plain.total()), total[1] + f64::from(centred.total())];
        }
        total
    }
}

/// Values whose mean and variance are taken while a core's first-level cache has them.
const PIECE: usize = 8192;

/// How many values, their mean, and the sum of the squares of their distances from it.
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// With those of other values (Chan et al. 1983).
    #[inline(always)]
    fn and(&self, other: &Self) -> Self {
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + apart * (other.count / count),
            squares: self.squares + other.squares + apart * apart * (self.count * other.count / count),
        }
    }
}

struct Measure<'a> {
    x: &'a [f32],
    plane: usize,
    channels: usize,
    channel: usize,
}

impl WithSimd for Measure<'_> {
    type Output = Moments;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Moments {
        let (at, image) = (self.channel * self.plane, (self.channels * self.plane).max(1));
        let pieces = self.x.chunks(image).flat_map(|x| x[at..at + self.plane].chunks(PIECE));
        pieces.fold(Moments { count: 0.0, mean: 0.0, squares: 0.0 }, |all, x| {
            #[expect(clippy::cast_precision_loss, reason = "thousands")]
            let count = x.len() as f64;
            let mut sum = Lanes::default();
            sum.add(
                x,
                x,
                #[inline(always)]
                |x, _| x,
            );
            let mean = f64::from(sum.total()) / count;
            let near = single(mean);
            let mut squares = Lanes::default();
            squares.add(
                x,
                x,
                #[inline(always)]
                |x, _| (x - near) * (x - near),
            );
            let off = mean - f64::from(near);
            all.and(&Moments { count, mean, squares: f64::from(squares.total()) - count * off * off })
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the result is an f32")]
fn single(value: f64) -> f32 {
    value as f32
}

/// Scale and shift that normalise with a mean and a variance.
fn normalising(weight: &[f32], bias: &[f32], mean: &[f32], variance: &[f32], eps: f64) -> (Vec<f32>, Vec<f32>) {
    let scale: Vec<f32> = weight
        .iter()
        .zip(variance)
        .map(|(weight, variance)| single(f64::from(*weight) / (f64::from(*variance) + eps).sqrt()))
        .collect();
    let shift = bias.iter().zip(mean).zip(&scale).map(|((bias, mean), scale)| bias - mean * scale).collect();
    (scale, shift)
}

/// The code for an activation: `of!(activation, name(arguments))` is `name::<A>(arguments)` with the type it is compiled for.
macro_rules! of {
    ($activation:expr, $name:ident($($argument:expr),*)) => {
        match $activation {
            After::Linear | After::Relu | After::Relu6 => $name::<Ranged>($($argument),*),
            After::Silu => $name::<Swish>($($argument),*),
        }
    };
}
pub(super) use of;

impl NormOps for Flex {
    fn scale_shift(input: FlexTensor, scale: FlexTensor, shift: FlexTensor, activation: After) -> FlexTensor {
        of!(activation, scaled(&input, &scale, &shift, activation))
    }

    fn scale_shift_gradients(
        input: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        output: FlexTensor,
        activation: After,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        of!(activation, scaled_gradients(&input, &scale, &shift, &output, activation))
    }

    fn normalise(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        eps: f64,
        activation: After,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        of!(activation, normalised(&input, &weight, &bias, eps, activation))
    }

    fn normalise_again(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        eps: f64,
        activation: After,
    ) -> FlexTensor {
        let (weight, bias) = (weight.to_contiguous(), bias.to_contiguous());
        let (scale, shift) =
            normalising(weight.storage(), bias.storage(), mean.storage::<f32>(), variance.storage::<f32>(), eps);
        Self::scale_shift(input, channel_values(scale), channel_values(shift), activation)
    }

    fn normalise_gradients(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        output: FlexTensor,
        eps: f64,
        activation: After,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        of!(activation, normalised_gradients(&input, &weight, &bias, &mean, &variance, &output, eps, activation))
    }
}

fn scaled<A: Affine>(input: &FlexTensor, scale: &FlexTensor, shift: &FlexTensor, activation: After) -> FlexTensor {
    let (input, scale, shift) = (input.to_contiguous(), scale.to_contiguous(), shift.to_contiguous());
    let (shape, x) = (input.shape(), input.storage::<f32>());
    let affines: Vec<A> = affines(scale.storage(), shift.storage(), activation);
    tensor(Planes::of(&shape).bent(x, &affines), shape)
}

fn scaled_gradients<A: Affine>(
    input: &FlexTensor,
    scale: &FlexTensor,
    shift: &FlexTensor,
    output: &FlexTensor,
    activation: After,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (input, output) = (input.to_contiguous(), output.to_contiguous());
    let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
    let (shape, x, y) = (input.shape(), input.storage::<f32>(), output.storage::<f32>());
    let planes = Planes::of(&shape);
    let affines: Vec<A> = affines(scale.storage(), shift.storage(), activation);
    let sums = planes.sums(x, y, &affines, |_| 0.0);
    let by_input = planes.map(x, y, |channel| {
        let affine = affines[channel];
        #[inline(always)]
        move |x, y| affine.passed(x, y) * affine.scale()
    });
    let channels = |of: usize| channel_values(sums.iter().map(|sums| single(sums[of])).collect());
    (tensor(by_input, shape), channels(1), channels(0))
}

fn normalised<A: Affine>(
    input: &FlexTensor,
    weight: &FlexTensor,
    bias: &FlexTensor,
    eps: f64,
    activation: After,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (input, weight, bias) = (input.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
    let (shape, x) = (input.shape(), input.storage::<f32>());
    let planes = Planes::of(&shape);
    let (mean, variance) = planes.moments(x);
    let (scale, shift) = normalising(weight.storage(), bias.storage(), &mean, &variance, eps);
    let output = planes.bent::<A>(x, &affines(&scale, &shift, activation));
    (tensor(output, shape), channel_values(mean), channel_values(variance))
}

fn normalised_gradients<A: Affine>(
    input: &FlexTensor,
    weight: &FlexTensor,
    bias: &FlexTensor,
    mean: &FlexTensor,
    variance: &FlexTensor,
    output: &FlexTensor,
    eps: f64,
    activation: After,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (input, output) = (input.to_contiguous(), output.to_contiguous());
    let (weight, bias) = (weight.to_contiguous(), bias.to_contiguous());
    let (mean, variance) = (mean.storage::<f32>(), variance.storage::<f32>());
    let (shape, x, y) = (input.shape(), input.storage::<f32>(), output.storage::<f32>());
    let planes = Planes::of(&shape);
    let count = count(x.len(), planes.channels);
    let (scale, shift) = normalising(weight.storage(), bias.storage(), mean, variance, eps);
    let affines: Vec<A> = affines(&scale, &shift, activation);
    // by the bias, and of what is centred
    let sums = planes.sums(x, y, &affines, |channel| mean[channel]);
    // Ioffe and Szegedy 2015, section 3: the mean and the variance depend on every x.
    let pulls: Vec<(f32, f32)> = sums
        .iter()
        .zip(variance)
        .map(|([by_bias, centred], variance)| {
            (single(by_bias / count), single(centred / (f64::from(*variance) + eps) / count))
        })
        .collect();
    let by_input = planes.map(x, y, |channel| {
        let affine = affines[channel];
        let mean = mean[channel];
        let (shared, slope) = pulls[channel];
        #[inline(always)]
        move |x, y| affine.scale() * (affine.passed(x, y) - shared - (x - mean) * slope)
    });
    let by_weight = sums
        .iter()
        .zip(variance)
        .map(|([_, centred], variance)| single(centred / (f64::from(*variance) + eps).sqrt()))
        .collect();
    let by_bias = sums.iter().map(|[by_bias, _]| single(*by_bias)).collect();
    (tensor(by_input, shape), channel_values(by_weight), channel_values(by_bias))
}

/// Values a channel, at least one.
#[expect(clippy::cast_precision_loss, reason = "pixels of a batch, far below 2^53")]
fn count(values: usize, channels: usize) -> f64 {
    (values / channels.max(1)).max(1) as f64
}

/// Registers three gradients with those of three inputs that are wanted.
macro_rules! register {
    ($ops:expr, $gradients:expr, $of:expr) => {
        let (first, second, third) = $of;
        let [one, two, three] = $ops;
        for (node, gradient) in [(one, first), (two, second), (three, third)] {
            if let Some(node) = node {
                $gradients.register::<B>(node.id, gradient);
            }
        }
    };
}

impl<B: NormOps, C: CheckpointStrategy> NormOps for Autodiff<B, C> {
    fn scale_shift(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: After,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ScaleShift;
        impl<B: NormOps> Backward<B, 3> for ScaleShift {
            type State = ([FloatTensor<B>; 3], After);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let ([input, scale, shift], activation) = ops.state;
                register!(ops.parents, gradients, B::scale_shift_gradients(input, scale, shift, output, activation));
            }
        }
        let nodes = [input.node(), scale.node(), shift.node()];
        let (input, scale, shift) = (input.into_primitive(), scale.into_primitive(), shift.into_primitive());
        match ScaleShift.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = B::scale_shift(input.clone(), scale.clone(), shift.clone(), activation);
                prepared.finish(([input, scale, shift], activation), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::scale_shift(input, scale, shift, activation)),
        }
    }

    fn scale_shift_gradients(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        output: FloatTensor<Self>,
        activation: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        // Constants: nothing here is differentiated twice.
        let [input, scale, shift, output] = [input, scale, shift, output].map(Self::inner);
        let (first, second, third) = B::scale_shift_gradients(input, scale, shift, output, activation);
        (Self::from_inner(first), Self::from_inner(second), Self::from_inner(third))
    }

    fn normalise(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
        activation: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct Normalise;
        impl<B: NormOps> Backward<B, 3> for Normalise {
            type State = ([FloatTensor<B>; 5], f64, After);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let ([input, weight, bias, mean, variance], eps, activation) = ops.state;
                register!(
                    ops.parents,
                    gradients,
                    B::normalise_gradients(input, weight, bias, mean, variance, output, eps, activation)
                );
            }
        }
        let nodes = [input.node(), weight.node(), bias.node()];
        let (input, weight, bias) = (input.into_primitive(), weight.into_primitive(), bias.into_primitive());
        let (output, mean, variance) = B::normalise(input.clone(), weight.clone(), bias.clone(), eps, activation);
        let statistics = (Self::from_inner(mean.clone()), Self::from_inner(variance.clone()));
        let output = match Normalise.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish(([input, weight, bias, mean, variance], eps, activation), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        };
        (output, statistics.0, statistics.1)
    }

    fn normalise_again(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        eps: f64,
        activation: After,
    ) -> FloatTensor<Self> {
        // Constants: nothing here is differentiated twice.
        let [input, weight, bias, mean, variance] = [input, weight, bias, mean, variance].map(Self::inner);
        Self::from_inner(B::normalise_again(input, weight, bias, mean, variance, eps, activation))
    }

    fn normalise_gradients(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        output: FloatTensor<Self>,
        eps: f64,
        activation: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [input, weight, bias, mean, variance, output] =
            [input, weight, bias, mean, variance, output].map(Self::inner);
        let (first, second, third) =
            B::normalise_gradients(input, weight, bias, mean, variance, output, eps, activation);
        (Self::from_inner(first), Self::from_inner(second), Self::from_inner(third))
    }
}

/// `activation(input * scale + shift)`.
///
/// # Shapes
/// `[images, channels, height, width]`, `[channels]`, `[channels]`; the first is the output's too.
#[must_use]
pub fn scale_shift(input: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, activation: After) -> Tensor<4> {
    let (input, scale, shift) = (input.into_dispatch(), scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::scale_shift(input, scale, shift, activation))
}

/// What a batch norm in training gives.
#[derive(Debug, Clone)]
pub struct Normalised {
    /// As large as the input.
    pub output: Tensor<4>,
    /// Mean of each channel.
    pub mean: Tensor<1>,
    /// Biased variance of each channel.
    pub variance: Tensor<1>,
}

/// `activation((input - mean) / sqrt(variance + eps) * weight + bias)` with the batch's own mean and biased variance
/// (Ioffe and Szegedy 2015).
///
/// # Shapes
/// `[images, channels, height, width]`, `[channels]`, `[channels]`; the first is the output's too.
#[must_use]
pub fn batch_norm(input: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, eps: f64, activation: After) -> Normalised {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    let (output, mean, variance) = Dispatch::normalise(input, weight, bias, eps, activation);
    Normalised {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use burn::tensor::module::batch_norm_train;

    use super::*;
    use crate::kernels::drawn::drawn;

    fn composed(input: Tensor<4>, activation: After) -> Tensor<4> {
        match activation {
            After::Linear => input,
            After::Relu => burn::tensor::activation::relu(input),
            After::Relu6 => input.clamp(0.0, 6.0),
            After::Silu => burn::tensor::activation::silu(input),
        }
    }

    fn close<const D: usize>(ours: Tensor<D>, theirs: Tensor<D>, what: &str) {
        let scale: f32 = theirs.clone().abs().max().into_scalar();
        let gap: f32 = (ours - theirs).abs().max().into_scalar();
        assert!(gap <= 2e-5 * scale.max(1e-3), "{what}: {gap} of {scale}");
    }

    const ACTIVATIONS: [After; 4] = [After::Linear, After::Relu, After::Relu6, After::Silu];

    #[test]
    fn scale_and_shift_are_those_of_plain_operations() {
        for activation in ACTIVATIONS {
            let input = (drawn([3, 5, 7, 6], 1) * 4.0).detach().require_grad();
            let (scale, shift) = (drawn([5], 2).require_grad(), drawn([5], 3).require_grad());
            let ours = scale_shift(input.clone(), scale.clone(), shift.clone(), activation);
            let wide = |values: &Tensor<1>| values.clone().reshape([1, 5, 1, 1]);
            let theirs = composed(input.clone() * wide(&scale) + wide(&shift), activation);
            close(ours.clone(), theirs.clone(), "values");
            let pull = drawn(ours.dims(), 4);
            let (ours, theirs) = ((ours * pull.clone()).sum().backward(), (theirs * pull).sum().backward());
            close(input.grad(&ours).unwrap(), input.grad(&theirs).unwrap(), "by input");
            close(scale.grad(&ours).unwrap(), scale.grad(&theirs).unwrap(), "by scale");
            close(shift.grad(&ours).unwrap(), shift.grad(&theirs).unwrap(), "by shift");
        }
    }

    #[test]
    fn a_constant_channel_has_no_variance() {
        for value in [1e5_f32, 3.3e5, 7.77e4, -123_456.7] {
            let input = Tensor::<4>::full([3, 1, 100, 91], value, &Device::flex());
            let (one, none) = (Tensor::ones([1], &Device::flex()), Tensor::zeros([1], &Device::flex()));
            let result = batch_norm(input, one, none, 1e-5, After::Linear);
            let variance: f32 = result.variance.into_scalar();
            assert!((0.0..1.0).contains(&variance), "{value}: {variance}");
            assert!(result.output.into_data().iter::<f32>().all(f32::is_finite));
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let input = drawn([5, 7, 100, 100], 1).require_grad();
                let (weight, bias) = (drawn([7], 2).require_grad(), drawn([7], 3).require_grad());
                let result = batch_norm(input.clone(), weight.clone(), bias.clone(), 1e-5, After::Silu);
                let scaled = scale_shift(result.output.clone(), weight.clone(), bias.clone(), After::Relu);
                let gradients = scaled.powi_scalar(2).sum().backward();
                let mut all = vec![result.output.into_data(), result.mean.into_data(), result.variance.into_data()];
                all.push(input.grad(&gradients).unwrap().into_data());
                all.extend([&weight, &bias].map(|tensor| tensor.grad(&gradients).unwrap().into_data()));
                all.iter().flat_map(|data| data.iter::<f32>()).map(f32::to_bits).collect::<Vec<u32>>()
            })
        };
        let one = bits(1);
        assert_eq!(one, bits(2));
        assert_eq!(one, bits(5));
    }

    #[test]
    fn batch_norm_is_burns_own() {
        for activation in ACTIVATIONS {
            // planes of more than one piece
            let input = (drawn([4, 5, 99, 101], 1) * 3.0 + 7.0).detach().require_grad();
            let (weight, bias) = (drawn([5], 2).require_grad(), drawn([5], 3).require_grad());
            let ours = batch_norm(input.clone(), weight.clone(), bias.clone(), 1e-3, activation);
            let theirs = batch_norm_train(input.clone(), weight.clone(), bias.clone(), 1e-3);
            close(ours.mean.clone(), theirs.mean, "mean");
            close(ours.variance.clone(), theirs.variance, "variance");
            let theirs = composed(theirs.output, activation);
            close(ours.output.clone(), theirs.clone(), "values");
            let pull = drawn(theirs.dims(), 4);
            let (ours, theirs) = ((ours.output * pull.clone()).sum().backward(), (theirs * pull).sum().backward());
            close(input.grad(&ours).unwrap(), input.grad(&theirs).unwrap(), "by input");
            close(weight.grad(&ours).unwrap(), weight.grad(&theirs).unwrap(), "by weight");
            close(bias.grad(&ours).unwrap(), bias.grad(&theirs).unwrap(), "by bias");
        }
    }

    #[test]
    fn what_is_not_a_number_passes_every_activation() {
        for activation in ACTIVATIONS {
            let input = Tensor::<1>::from_floats([f32::NAN, 1.0], &Device::flex()).reshape([1, 1, 1, 2]);
            let (one, none) = (Tensor::ones([1], &Device::flex()), Tensor::zeros([1], &Device::flex()));
            let output = scale_shift(input, one, none, activation).into_data().try_to_vec::<f32>().unwrap();
            assert!(output[0].is_nan() && output[1] > 0.7, "{activation:?}: {output:?}");
        }
    }
}
