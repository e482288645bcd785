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
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Shape, Tensor};

use super::cpu;
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

    /// The sizes the processor's kernels need; `None` for what only burn does.
    fn sizes(self, input: &Shape, weight: &Shape, dtypes: [DType; 2]) -> Option<cpu::Sizes> {
        let [images, inputs, height, width] = input.dims();
        let [outputs, _, kernel_height, kernel_width] = weight.dims();
        let [(top, bottom), (left, right)] = self.padding;
        if dtypes != [DType::F32; 2] {
            return None;
        }
        let out = |side: usize, kernel: usize, (before, after): (usize, usize)| {
            Some((side + before + after).checked_sub(kernel)? / self.stride + 1)
        };
        Some(cpu::Sizes {
            images,
            inputs,
            height,
            width,
            outputs,
            kernel_height,
            kernel_width,
            out_height: out(height, kernel_height, (top, bottom))?,
            out_width: out(width, kernel_width, (left, right))?,
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
        let values = cpu::forward(&sizes, input.storage(), weight.storage());
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

/// Convolution without bias.
///
/// # Shapes
/// `[images, inputs, height, width]` and `[outputs, inputs / groups, kernel height, kernel width]` to
/// `[images, outputs, out height, out width]`, with `out = (side + padding - kernel) / stride + 1`.
#[must_use]
pub fn convolution(input: Tensor<4>, weight: Tensor<4>, geometry: Geometry) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::convolve(input.into_dispatch(), weight.into_dispatch(), geometry))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::type_complexity, reason = "tests")]

    use burn::tensor::Device;
    use burn::tensor::module::conv2d;

    use super::*;
    use crate::draw::{DrawKey, Stage};

    fn drawn<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
        let mut stream = DrawKey { seed, stage: Stage::Initialise, epoch: 0, sample: 0 }.stream();
        #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|_| stream.normal() as f32).collect();
        Tensor::<1>::from_floats(values.as_slice(), device).reshape(shape)
    }

    fn worst(ours: Tensor<4>, theirs: Tensor<4>) -> f32 {
        let scale: f32 = theirs.clone().abs().max().into_scalar();
        let gap: f32 = (ours - theirs).abs().max().into_scalar();
        gap / scale.max(1e-3)
    }

    /// Images, inputs, outputs, height, width, kernel, stride, padding, groups.
    const CASES: [(usize, usize, usize, usize, usize, usize, usize, (usize, usize), usize); 27] = [
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
