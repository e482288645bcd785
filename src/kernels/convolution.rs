//! Convolution with a fast processor path for values and both gradients.
//!
//! burn computes the weight gradient as a forward convolution with swapped axes, one turn a group: slow for every
//! network and slowest for grouped ones. On the processor [`super::cpu`] does it with one matrix product instead.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Shape, Tensor};

use super::affine::{Affine, After, Finished, Ranged, Raw, Swish, affines};
use super::cpu;
use super::curve::{Curve, CurveOps};
use super::limit::assert_countable;
use super::norm::{NormOps, Normalised, of};
use super::values::tensor;

/// How a kernel goes over an image; no dilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Step along both axes, from 1.
    pub stride: usize,
    /// Zeros before and after the rows, before and after the columns.
    pub padding: [(usize, usize); 2],
    /// Groups of channels; as many as channels make it depthwise.
    pub groups: usize,
}

impl Geometry {
    fn options(self) -> ConvOptions<2> {
        ConvOptions::new_with_padding([self.stride; 2], self.padding, [1; 2], self.groups)
    }

    /// Sides of the output; `None`: the kernel is larger than the padded image.
    fn out(self, sides: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let (before, after) = self.padding[axis];
            Some((sides[axis] + before + after).checked_sub(kernel[axis])? / self.stride + 1)
        };
        Some([along(0)?, along(1)?])
    }

    /// The sizes the processor's kernels need; `None` for what only burn does.
    fn sizes(self, input: &Shape, weight: &Shape, dtypes: [DType; 2]) -> Option<cpu::Sizes> {
        let [images, inputs, height, width] = input.dims();
        let [outputs, _, kernel_height, kernel_width] = weight.dims();
        let [(top, _), (left, _)] = self.padding;
        if dtypes != [DType::F32; 2] {
            return None;
        }
        let [out_height, out_width] = self.out([height, width], [kernel_height, kernel_width])?;
        Some(cpu::Sizes {
            images,
            inputs,
            height,
            width,
            outputs,
            kernel_height,
            kernel_width,
            out_height,
            out_width,
            stride: self.stride,
            top,
            left,
            groups: self.groups,
        })
    }
}

/// Convolution without bias as burn computes it, and the faster way where there is one.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Fusion: cfg(feature = "cuda"), Autodiff)]
pub(crate) trait ConvolutionOps: Backend {
    /// `[images, inputs, h, w]` and `[outputs, inputs / groups, kh, kw]` to `[images, outputs, h', w']`.
    #[fusion(default)]
    fn convolve(input: FloatTensor<Self>, weight: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self> {
        Self::conv2d(input, weight, None, geometry.options())
    }

    /// Gradient by the input, given that by the output.
    #[fusion(default)]
    fn convolve_by_input(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        Self::conv2d_x_backward(input, weight, output, geometry.options())
    }

    /// Gradient by the weight, given that by the output.
    #[fusion(default)]
    fn convolve_by_weight(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        Self::conv2d_weight_backward(input, weight, output, geometry.options())
    }
}

#[cfg(feature = "gpu")]
impl ConvolutionOps for burn_cubecl::CubeBackend {}

impl ConvolutionOps for Flex {
    fn convolve(input: FlexTensor, weight: FlexTensor, geometry: Geometry) -> FlexTensor {
        let Some(sizes) = geometry.sizes(&input.shape(), &weight.shape(), [input.dtype(), weight.dtype()]) else {
            return Self::conv2d(input, weight, None, geometry.options());
        };
        let (input, weight) = (input.to_contiguous(), weight.to_contiguous());
        let values = cpu::forward(&sizes, input.storage(), weight.storage(), &Raw);
        tensor(values, Shape::new([sizes.images, sizes.outputs, sizes.out_height, sizes.out_width]))
    }

    fn convolve_by_input(input: FlexTensor, weight: FlexTensor, output: FlexTensor, geometry: Geometry) -> FlexTensor {
        let Some(sizes) = geometry.sizes(&input.shape(), &weight.shape(), [output.dtype(), weight.dtype()]) else {
            return Self::conv2d_x_backward(input, weight, output, geometry.options());
        };
        let (weight, output) = (weight.to_contiguous(), output.to_contiguous());
        tensor(cpu::by_input(&sizes, weight.storage(), output.storage()), input.shape())
    }

    fn convolve_by_weight(input: FlexTensor, weight: FlexTensor, output: FlexTensor, geometry: Geometry) -> FlexTensor {
        let Some(sizes) = geometry.sizes(&input.shape(), &weight.shape(), [input.dtype(), output.dtype()]) else {
            return Self::conv2d_weight_backward(input, weight, output, geometry.options());
        };
        let (input, output) = (input.to_contiguous(), output.to_contiguous());
        tensor(cpu::by_weight(&sizes, input.storage(), output.storage()), weight.shape())
    }
}

/// What the backward pass needs of the forward one.
type Saved<B> = (FloatTensor<B>, FloatTensor<B>, Geometry);

impl<B: ConvolutionOps, C: CheckpointStrategy> ConvolutionOps for Autodiff<B, C> {
    fn convolve(input: FloatTensor<Self>, weight: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Convolve;
        impl<B: ConvolutionOps> Backward<B, 2> for Convolve {
            type State = Saved<B>;

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let (input, weight, geometry) = ops.state;
                let [by_input, by_weight] = ops.parents;
                if let Some(node) = by_weight {
                    let gradient = B::convolve_by_weight(input.clone(), weight.clone(), output.clone(), geometry);
                    gradients.register::<B>(node.id, gradient);
                }
                if let Some(node) = by_input {
                    gradients.register::<B>(node.id, B::convolve_by_input(input, weight, output, geometry));
                }
            }
        }
        let nodes = [input.node(), weight.node()];
        let (input, weight) = (input.into_primitive(), weight.into_primitive());
        match Convolve.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = B::convolve(input.clone(), weight.clone(), geometry);
                prepared.finish((input, weight, geometry), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::convolve(input, weight, geometry)),
        }
    }
}

/// A convolution and what follows it, finished while a core's cache has it, on the processor. Two operations, since burn's extensions
/// take no tensor that may be missing.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait ThenOps: ConvolutionOps + NormOps + CurveOps {
    /// `activation(convolution * scale + shift)`, scale and shift a channel.
    fn convolve_then(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: After,
        geometry: Geometry,
    ) -> FloatTensor<Self>;

    /// `activation(convolution * scale + shift + added)`; `added` is as large as the output.
    fn convolve_then_add(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        added: FloatTensor<Self>,
        activation: After,
        geometry: Geometry,
    ) -> FloatTensor<Self>;
}

/// A norm in training and the convolution after it. What the norm gives is not kept: the backward pass makes it again.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait NormThenOps: ConvolutionOps + NormOps {
    /// The convolution of the normalised input, and the mean and biased variance of each channel of the input.
    fn normalise_convolve(
        input: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f64,
        activation: After,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (normal, mean, variance) = Self::normalise(input, gain, bias, eps, activation);
        (Self::convolve(normal, weight, geometry), mean, variance)
    }
}

impl NormThenOps for Flex {}

impl<B: NormThenOps, C: CheckpointStrategy> NormThenOps for Autodiff<B, C> {
    fn normalise_convolve(
        input: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f64,
        activation: After,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct Both;
        impl<B: NormThenOps> Backward<B, 4> for Both {
            /// Input, gain, bias, mean, variance, the convolution's weight.
            type State = ([FloatTensor<B>; 6], f64, After, Geometry);

            fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let ([input, gain, bias, mean, variance, weight], eps, activation, geometry) = ops.state;
                let [by_input, by_gain, by_bias, by_weight] = ops.parents;
                if let Some(node) = by_weight {
                    let [x, s, b] = [&input, &gain, &bias].map(Clone::clone);
                    let normal = B::normalise_again(x, s, b, mean.clone(), variance.clone(), eps, activation);
                    let gradient = B::convolve_by_weight(normal, weight.clone(), output.clone(), geometry);
                    gradients.register::<B>(node.id, gradient);
                }
                if by_input.is_none() && by_gain.is_none() && by_bias.is_none() {
                    return;
                }
                let normal = B::convolve_by_input(input.clone(), weight, output, geometry);
                let of = B::normalise_gradients(input, gain, bias, mean, variance, normal, eps, activation);
                for (node, gradient) in [(by_input, of.0), (by_gain, of.1), (by_bias, of.2)] {
                    if let Some(node) = node {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let nodes = [input.node(), gain.node(), bias.node(), weight.node()];
        let all = [input, gain, bias, weight].map(<FloatTensor<Self>>::into_primitive);
        let [input, gain, bias, weight] = all.clone();
        let (output, mean, variance) = B::normalise_convolve(input, gain, bias, weight, eps, activation, geometry);
        let statistics = (Self::from_inner(mean.clone()), Self::from_inner(variance.clone()));
        let output = match Both.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let [input, gain, bias, weight] = all;
                prepared.finish(([input, gain, bias, mean, variance, weight], eps, activation, geometry), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        };
        (output, statistics.0, statistics.1)
    }
}

/// What follows in operations of its own.
fn composed<B: NormOps + CurveOps>(
    convolution: FloatTensor<B>,
    [scale, shift]: [FloatTensor<B>; 2],
    added: Option<FloatTensor<B>>,
    activation: After,
) -> FloatTensor<B> {
    let Some(added) = added else { return B::scale_shift(convolution, scale, shift, activation) };
    let scaled = B::scale_shift(convolution, scale, shift, After::Linear);
    match activation {
        After::Linear => B::float_add(scaled, added),
        After::Relu => B::sum_relu(scaled, added),
        After::Relu6 => B::float_clamp(B::float_add(scaled, added), 0.0.into(), 6.0.into()),
        After::Silu => B::curve(B::float_add(scaled, added), Curve::Silu),
    }
}

impl ThenOps for Flex {
    fn convolve_then(
        input: FlexTensor,
        weight: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        activation: After,
        geometry: Geometry,
    ) -> FlexTensor {
        on_flex(input, weight, [scale, shift], None, activation, geometry)
    }

    fn convolve_then_add(
        input: FlexTensor,
        weight: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        added: FlexTensor,
        activation: After,
        geometry: Geometry,
    ) -> FlexTensor {
        on_flex(input, weight, [scale, shift], Some(added), activation, geometry)
    }
}

fn on_flex(
    input: FlexTensor,
    weight: FlexTensor,
    [scale, shift]: [FlexTensor; 2],
    added: Option<FlexTensor>,
    activation: After,
    geometry: Geometry,
) -> FlexTensor {
    let Some(sizes) = geometry.sizes(&input.shape(), &weight.shape(), [input.dtype(), weight.dtype()]) else {
        return composed::<Flex>(Flex::convolve(input, weight, geometry), [scale, shift], added, activation);
    };
    let (input, weight, added) = (input.to_contiguous(), weight.to_contiguous(), added.map(|t| t.to_contiguous()));
    let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
    let (input, weight, scale, shift) = (input.storage(), weight.storage(), scale.storage(), shift.storage());
    let added = added.as_ref().map(FlexTensor::storage);
    let values = of!(activation, finished(&sizes, input, weight, [scale, shift], added, activation));
    tensor(values, Shape::new([sizes.images, sizes.outputs, sizes.out_height, sizes.out_width]))
}

fn finished<A: Affine>(
    sizes: &cpu::Sizes,
    input: &[f32],
    weight: &[f32],
    [scale, shift]: [&[f32]; 2],
    added: Option<&[f32]>,
    activation: After,
) -> Vec<f32> {
    let channels: Vec<A> = affines(scale, shift, activation);
    cpu::forward(sizes, input, weight, &Finished { channels: &channels, added })
}

/// Tells no more than whether a gradient is wanted: what is tracked is composed of operations with gradients of their own.
#[derive(Debug)]
struct Wanted;

impl<B: ThenOps, const N: usize> Backward<B, N> for Wanted {
    type State = ();

    fn backward(self, _: Ops<(), N>, _: &mut Gradients, _: &mut Checkpointer) {
        unreachable!("invariant: it is never registered");
    }
}

impl<B: ThenOps, C: CheckpointStrategy> ThenOps for Autodiff<B, C> {
    fn convolve_then(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: After,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), scale.node(), shift.node()];
        match Backward::<B, 4>::prepare::<C>(Wanted, nodes).compute_bound().stateful() {
            OpsKind::Tracked(_) => {
                composed::<Self>(Self::convolve(input, weight, geometry), [scale, shift], None, activation)
            }
            OpsKind::UnTracked(prepared) => {
                let [input, weight, scale, shift] =
                    [input, weight, scale, shift].map(<FloatTensor<Self>>::into_primitive);
                prepared.finish(B::convolve_then(input, weight, scale, shift, activation, geometry))
            }
        }
    }

    fn convolve_then_add(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        added: FloatTensor<Self>,
        activation: After,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        let nodes = [input.node(), weight.node(), scale.node(), shift.node(), added.node()];
        match Backward::<B, 5>::prepare::<C>(Wanted, nodes).compute_bound().stateful() {
            OpsKind::Tracked(_) => {
                composed::<Self>(Self::convolve(input, weight, geometry), [scale, shift], Some(added), activation)
            }
            OpsKind::UnTracked(prepared) => {
                let all = [input, weight, scale, shift, added].map(<FloatTensor<Self>>::into_primitive);
                let [input, weight, scale, shift, added] = all;
                prepared.finish(B::convolve_then_add(input, weight, scale, shift, added, activation, geometry))
            }
        }
    }
}

/// Convolution without bias.
///
/// # Shapes
/// `[images, inputs, height, width]` and `[outputs, inputs / groups, kernel height, kernel width]` to
/// `[images, outputs, out height, out width]`, with `out = (side + padding - kernel) / stride + 1`.
#[must_use]
pub fn convolution(input: Tensor<4>, weight: Tensor<4>, geometry: Geometry) -> Tensor<4> {
    let device = input.device();
    let [images, _, height, width] = input.dims();
    let [outputs, _, rows, columns] = weight.dims();
    let [high, wide] = geometry.out([height, width], [rows, columns]).unwrap_or_default();
    assert_countable(&input.dims(), &device);
    assert_countable(&[images, outputs, high, wide], &device);
    Tensor::from_dispatch(Dispatch::convolve(input.into_dispatch(), weight.into_dispatch(), geometry))
}

/// What follows a convolution whose norm's statistics stand still.
#[derive(Debug, Clone)]
pub struct Then {
    /// Of each channel.
    pub scale: Tensor<1>,
    /// Of each channel.
    pub shift: Tensor<1>,
    /// As large as the output.
    pub added: Option<Tensor<4>>,
    /// Last.
    pub activation: After,
}

/// `activation(convolution * scale + shift + added)`: the bits of the operations one after the other, but where no gradient is wanted
/// the output is written once. On the processor; ask [`super::on_processor`] first.
///
/// # Shapes
/// As [`convolution`].
#[must_use]
pub fn convolution_then(input: Tensor<4>, weight: Tensor<4>, geometry: Geometry, then: Then) -> Tensor<4> {
    let Then { scale, shift, added, activation } = then;
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    let (scale, shift) = (scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(match added.map(Tensor::into_dispatch) {
        None => Dispatch::convolve_then(input, weight, scale, shift, activation, geometry),
        Some(added) => Dispatch::convolve_then_add(input, weight, scale, shift, added, activation, geometry),
    })
}

/// [`super::batch_norm`], and the convolution of what it gives, which is not kept for the backward pass but made again. On
/// the processor; ask [`super::on_processor`] first.
///
/// # Shapes
/// As [`super::batch_norm`] and [`convolution`]; the output is the convolution's.
#[must_use]
pub fn batch_norm_convolution(
    input: Tensor<4>,
    [gain, bias]: [Tensor<1>; 2],
    eps: f64,
    activation: After,
    weight: Tensor<4>,
    geometry: Geometry,
) -> Normalised {
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    let (gain, bias) = (gain.into_dispatch(), bias.into_dispatch());
    let (output, mean, variance) = Dispatch::normalise_convolve(input, gain, bias, weight, eps, activation, geometry);
    Normalised {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::type_complexity, reason = "tests")]

    use burn::tensor::module::conv2d;
    use burn::tensor::{Device, FloatDType};

    use super::*;
    use crate::kernels::drawn::drawn_on as drawn;
    use crate::kernels::{batch_norm, scale_shift};

    fn worst(ours: Tensor<4>, theirs: Tensor<4>) -> f32 {
        let scale: f32 = theirs.clone().abs().max().into_scalar();
        let gap: f32 = (ours - theirs).abs().max().into_scalar();
        gap / scale.max(1e-3)
    }

    /// Images, inputs, outputs, height, width, kernel, stride, padding, groups.
    const CASES: [(usize, usize, usize, usize, usize, usize, usize, (usize, usize), usize); 34] = [
        // cut into several pieces: columns, tiles, strips
        (1, 32, 64, 60, 50, 1, 1, (0, 0), 1),
        (1, 32, 32, 60, 60, 3, 2, (1, 1), 1),
        (2, 64, 64, 40, 40, 3, 1, (1, 1), 1),
        (1, 200, 200, 30, 30, 3, 1, (1, 1), 1),
        // steps of three, and steps over pixels
        (2, 6, 6, 10, 11, 3, 3, (1, 1), 6),
        (2, 6, 6, 9, 8, 1, 2, (0, 0), 6),
        (2, 6, 6, 9, 8, 2, 3, (1, 0), 6),
        (3, 5, 7, 24, 20, 3, 1, (1, 1), 1),
        (3, 5, 7, 24, 20, 3, 2, (1, 1), 1),
        (2, 3, 8, 33, 31, 7, 2, (3, 3), 1),
        (2, 3, 8, 32, 32, 3, 2, (0, 1), 1),
        (9, 16, 12, 4, 4, 3, 1, (1, 1), 1),
        (9, 16, 12, 2, 2, 3, 2, (1, 1), 1),
        (5, 8, 6, 12, 13, 1, 1, (0, 0), 1),
        (5, 8, 6, 4, 3, 1, 1, (0, 0), 1),
        (5, 8, 6, 13, 12, 1, 2, (0, 0), 1),
        (3, 6, 6, 17, 16, 3, 1, (1, 1), 6),
        (3, 6, 6, 17, 16, 5, 2, (1, 2), 6),
        (3, 6, 6, 16, 40, 5, 1, (2, 2), 6),
        (2, 6, 6, 3, 3, 5, 1, (2, 2), 6),
        (2, 6, 9, 9, 9, 3, 1, (1, 1), 3),
        (2, 8, 16, 13, 17, 3, 1, (1, 1), 2),
        (2, 8, 16, 13, 17, 3, 2, (1, 1), 2),
        (2, 8, 4, 14, 13, 3, 2, (0, 1), 2),
        (3, 16, 32, 11, 10, 3, 1, (1, 1), 2),
        (3, 16, 32, 11, 10, 3, 2, (1, 1), 2),
        (3, 16, 32, 4, 3, 3, 1, (1, 1), 2),
        (3, 24, 16, 9, 8, 1, 1, (0, 0), 2),
        (1, 4, 8, 9, 9, 5, 2, (1, 2), 4),
        (3, 16, 24, 14, 13, 3, 1, (1, 1), 1),
        (9, 20, 16, 7, 7, 3, 1, (1, 1), 1),
        (2, 16, 16, 40, 31, 3, 1, (0, 0), 1),
        (3, 256, 256, 7, 6, 3, 1, (1, 1), 1),
        (1, 16, 17, 5, 8, 3, 1, (2, 2), 1),
    ];

    #[test]
    fn values_and_gradients_are_burns_own() {
        let device = Device::flex().autodiff();
        for (images, inputs, outputs, height, width, kernel, stride, padding, groups) in CASES {
            let geometry = Geometry { stride, padding: [padding; 2], groups };
            let input = drawn([images, inputs, height, width], 1, &device).require_grad();
            let weight = drawn([outputs, inputs / groups, kernel, kernel], 2, &device).require_grad();
            let ours = convolution(input.clone(), weight.clone(), geometry);
            let theirs = conv2d(input.clone(), weight.clone(), None, geometry.options());
            assert_eq!(ours.dims(), theirs.dims(), "{geometry:?}");
            assert!(worst(ours.clone(), theirs.clone()) < 1e-5, "values, {geometry:?}");
            let pull = drawn(ours.dims(), 3, &device);
            let ours = (ours * pull.clone()).sum().backward();
            let theirs = (theirs * pull).sum().backward();
            for (what, tensor) in [("input", &input), ("weight", &weight)] {
                let (ours, theirs) = (tensor.grad(&ours).unwrap(), tensor.grad(&theirs).unwrap());
                assert_eq!(ours.dims(), theirs.dims(), "{what}, {geometry:?}");
                let worst = worst(ours, theirs);
                assert!(worst < 1e-5, "gradient by {what}: {worst}, {geometry:?}, {inputs} channels");
            }
        }
    }

    /// From the same rounded numbers, so that only results are rounded otherwise: values, and gradients that arrive rounded.
    #[test]
    fn in_half_the_bits_values_and_gradients_are_those_of_all_but_for_rounding() {
        let device = Device::flex().autodiff();
        let rounded = |tensor: Tensor<4>| tensor.cast(FloatDType::BF16).cast(FloatDType::F32).detach();
        for (images, inputs, outputs, height, width, kernel, stride, padding, groups) in CASES {
            let geometry = Geometry { stride, padding: [padding; 2], groups };
            let input = rounded(drawn([images, inputs, height, width], 1, &device)).require_grad();
            let weight = rounded(drawn([outputs, inputs / groups, kernel, kernel], 2, &device)).require_grad();
            let half = |tensor: &Tensor<4>| tensor.clone().cast(FloatDType::BF16);
            let whole = convolution(input.clone(), weight.clone(), geometry);
            let halves = convolution(half(&input), half(&weight), geometry).cast(FloatDType::F32);
            let apart = worst(halves.clone(), whole.clone());
            assert!(apart < 0.005, "values: {apart}, {geometry:?}");
            let pull = rounded(drawn(whole.dims(), 3, &device));
            let (whole, halves) = ((whole * pull.clone()).sum().backward(), (halves * pull).sum().backward());
            for (what, tensor) in [("input", &input), ("weight", &weight)] {
                let apart = worst(tensor.grad(&halves).unwrap(), tensor.grad(&whole).unwrap());
                assert!(apart < 0.005, "gradient by {what}: {apart}, {geometry:?}, {inputs} channels");
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let device = Device::flex().autodiff();
                let mut all: Vec<f32> = Vec::new();
                for (images, inputs, outputs, height, width, kernel, stride, padding, groups) in CASES {
                    let geometry = Geometry { stride, padding: [padding; 2], groups };
                    let input = drawn([images, inputs, height, width], 1, &device).require_grad();
                    let weight = drawn([outputs, inputs / groups, kernel, kernel], 2, &device).require_grad();
                    let gradients =
                        convolution(input.clone(), weight.clone(), geometry).powi_scalar(2).sum().backward();
                    for tensor in [&input, &weight] {
                        all.extend(tensor.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap());
                    }
                }
                all.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()
            })
        };
        let one = bits(1);
        assert_eq!(one, bits(2));
        assert_eq!(one, bits(5));
    }

    #[test]
    fn what_follows_has_the_bits_of_operations_of_their_own() {
        let activations = [After::Linear, After::Relu, After::Relu6, After::Silu];
        for (case, (images, inputs, outputs, height, width, kernel, stride, padding, groups)) in
            CASES.into_iter().enumerate()
        {
            let geometry = Geometry { stride, padding: [padding; 2], groups };
            let activation = activations[case % activations.len()];
            for (device, sums) in [(Device::flex(), false), (Device::flex(), true), (Device::flex().autodiff(), true)] {
                let input = drawn([images, inputs, height, width], 1, &device);
                let weight = drawn([outputs, inputs / groups, kernel, kernel], 2, &device);
                let (scale, shift) = (drawn([outputs], 3, &device), drawn([outputs], 4, &device));
                let plain = convolution(input.clone(), weight.clone(), geometry);
                let added = sums.then(|| drawn(plain.dims(), 5, &device));
                let before = if sums { After::Linear } else { activation };
                let mut theirs = scale_shift(plain, scale.clone(), shift.clone(), before);
                if let Some(added) = added.clone() {
                    let ones = scale.ones_like();
                    theirs = scale_shift(theirs + added, ones.clone(), ones.zeros_like(), activation);
                }
                let then = Then { scale, shift, added, activation };
                let ours = convolution_then(input.clone(), weight.clone(), geometry, then.clone());
                let bits =
                    |tensor: Tensor<4>| -> Vec<u32> { tensor.into_data().iter::<f32>().map(f32::to_bits).collect() };
                assert_eq!(bits(ours.clone()), bits(theirs), "case {case}, {activation:?}, a sum: {sums}");
                if device != Device::flex() {
                    let tracked = convolution_then(input.require_grad(), weight.clone(), geometry, then.clone());
                    assert_eq!(bits(ours), bits(tracked), "case {case}, {activation:?}, with gradients");
                }
            }
        }
    }

    #[test]
    fn what_follows_passes_gradients_on() {
        let device = Device::flex().autodiff();
        let geometry = Geometry { stride: 1, padding: [(1, 1); 2], groups: 1 };
        let (input, weight) = (drawn([2, 3, 5, 5], 1, &device), drawn([4, 3, 3, 3], 2, &device).require_grad());
        let (scale, shift) = (drawn([4], 3, &device).require_grad(), drawn([4], 4, &device).require_grad());
        let added = drawn([2, 4, 5, 5], 5, &device).require_grad();
        let then = |added| Then { scale: scale.clone(), shift: shift.clone(), added, activation: After::Silu };
        let ours = convolution_then(input.clone(), weight.clone(), geometry, then(Some(added.clone())));
        let wide = |values: &Tensor<1>| values.clone().reshape([1, 4, 1, 1]);
        let theirs = convolution(input, weight.clone(), geometry) * wide(&scale) + wide(&shift) + added.clone();
        let theirs = burn::tensor::activation::silu(theirs);
        let (ours, theirs) = (ours.powi_scalar(2).sum().backward(), theirs.powi_scalar(2).sum().backward());
        assert!(worst(weight.grad(&ours).unwrap(), weight.grad(&theirs).unwrap()) < 1e-5);
        assert!(worst(added.grad(&ours).unwrap(), added.grad(&theirs).unwrap()) < 1e-5);
        for of in [&scale, &shift] {
            let as_image = |gradients| of.grad(gradients).unwrap().reshape([1, 4, 1, 1]);
            assert!(worst(as_image(&ours), as_image(&theirs)) < 1e-5);
        }
    }

    #[test]
    fn a_norm_before_a_convolution_has_the_bits_of_two_operations() {
        let device = Device::flex().autodiff();
        let activations = [After::Linear, After::Relu, After::Relu6, After::Silu];
        for (case, (images, inputs, outputs, height, width, kernel, stride, padding, groups)) in
            CASES.into_iter().enumerate()
        {
            let geometry = Geometry { stride, padding: [padding; 2], groups };
            let activation = activations[case % activations.len()];
            let input = drawn([images, inputs, height, width], 1, &device).require_grad();
            let weight = drawn([outputs, inputs / groups, kernel, kernel], 2, &device).require_grad();
            let scale = drawn([inputs], 3, &device).require_grad();
            let bias = drawn([inputs], 4, &device).require_grad();
            let pair = [scale.clone(), bias.clone()];
            let ours = batch_norm_convolution(input.clone(), pair, 1e-3, activation, weight.clone(), geometry);
            let normal = batch_norm(input.clone(), scale.clone(), bias.clone(), 1e-3, activation);
            let theirs = convolution(normal.output, weight.clone(), geometry);
            let bits = |data: burn::tensor::TensorData| -> Vec<u32> { data.iter::<f32>().map(f32::to_bits).collect() };
            assert_eq!(bits(ours.output.clone().into_data()), bits(theirs.clone().into_data()), "case {case}");
            assert_eq!(bits(ours.mean.into_data()), bits(normal.mean.into_data()));
            assert_eq!(bits(ours.variance.into_data()), bits(normal.variance.into_data()));
            let (ours, theirs) = (ours.output.square().sum().backward(), theirs.square().sum().backward());
            for of in [&input, &weight] {
                let both = [&ours, &theirs].map(|gradients| bits(of.grad(gradients).unwrap().into_data()));
                assert_eq!(both[0], both[1], "gradients of case {case}");
            }
            for of in [&scale, &bias] {
                let both = [&ours, &theirs].map(|gradients| bits(of.grad(gradients).unwrap().into_data()));
                assert_eq!(both[0], both[1], "gradients of case {case}");
            }
        }
    }

    #[test]
    fn a_frozen_weight_gets_no_gradient() {
        let device = Device::flex().autodiff();
        let geometry = Geometry { stride: 1, padding: [(1, 1); 2], groups: 1 };
        let input = drawn([1, 2, 5, 5], 1, &device).require_grad();
        let weight = drawn([3, 2, 3, 3], 2, &device);
        let gradients = convolution(input.clone(), weight.clone(), geometry).sum().backward();
        assert!(input.grad(&gradients).is_some());
        assert!(weight.grad(&gradients).is_none());
    }
}
