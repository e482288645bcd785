//! Layers that every family uses: convolution, the linear head, pooling.
//!
//! Weights lie as in PyTorch: `[outputs, inputs / groups, height, width]` and `[outputs, inputs]`.

use burn::module::{Module, Param};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};

use crate::kernels::{Geometry, convolution};

/// How a convolution pads its input with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// `(kernel - 1) / 2` on each side, as torchvision's networks.
    Same,
    /// TensorFlow's SAME: as much as makes the output `ceil(side / stride)`, the larger half after.
    TensorFlow,
}

/// A convolution without bias, square kernel, no dilation.
#[derive(Module, Debug)]
pub struct Convolution {
    weight: Param<Tensor<4>>,
    stride: usize,
    groups: usize,
    #[module(skip)]
    padding: Padding,
}

/// Shape of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvolutionShape {
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Groups of channels; `inputs` of them make it depthwise.
    pub groups: usize,
    /// Padding.
    pub padding: Padding,
}

impl Convolution {
    /// A convolution of this shape; all weights are zero until they are drawn or loaded.
    #[must_use]
    pub fn new(shape: ConvolutionShape, device: &Device) -> Self {
        let ConvolutionShape { inputs, outputs, kernel, stride, groups, padding } = shape;
        let weight = Tensor::zeros([outputs, inputs / groups, kernel, kernel], device);
        Self { weight: Param::from_tensor(weight), stride, groups, padding }
    }

    /// # Shapes
    /// `[images, inputs, height, width]` to `[images, outputs, ceil(height / stride), ceil(width / stride)]`.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, _, height, width] = input.dims();
        let [_, _, kernel, _] = weight.dims();
        let padding = [self.pad(height, kernel), self.pad(width, kernel)];
        convolution(input, weight, Geometry { stride: self.stride, padding, groups: self.groups })
    }

    /// Zeros before and after one axis.
    fn pad(&self, side: usize, kernel: usize) -> (usize, usize) {
        match self.padding {
            Padding::Same => ((kernel - 1) / 2, (kernel - 1) / 2),
            Padding::TensorFlow => {
                let reach = side.div_ceil(self.stride).saturating_sub(1) * self.stride + kernel;
                let total = reach.saturating_sub(side);
                (total / 2, total - total / 2)
            }
        }
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
        Self {
            weight: Param::from_tensor(Tensor::zeros([outputs, inputs], device)),
            bias: Param::from_tensor(Tensor::zeros([outputs], device)),
        }
    }

    /// # Shapes
    /// `[rows, inputs]` to `[rows, outputs]`.
    #[must_use]
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        input.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }

    /// Features in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        let [_, inputs] = self.weight.lazy_shape().dims();
        inputs
    }

    /// Classes out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        let [outputs, _] = self.weight.lazy_shape().dims();
        outputs
    }
}

/// Mean over height and width: `[images, channels, height, width]` to `[images, channels]`.
pub(super) fn global_average(input: Tensor<4>) -> Tensor<2> {
    let [images, channels, height, width] = input.dims();
    input.reshape([images * channels, height * width]).mean_dim(1).reshape([images, channels])
}

/// 3x3 maximum, step 2, one pixel of padding on each side: the pool of a ResNet's stem.
pub(super) fn stem_pool(input: Tensor<4>) -> Tensor<4> {
    max_pool2d(input, MaxPoolOptions::new([3; 2]).with_stride([2; 2]).with_padding([1; 2]))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn pads(padding: Padding, side: usize, kernel: usize, stride: usize) -> (usize, usize) {
        let shape = ConvolutionShape { inputs: 1, outputs: 1, kernel, stride, groups: 1, padding };
        Convolution::new(shape, &Device::flex()).pad(side, kernel)
    }

    #[test]
    fn tensorflow_padding_puts_the_larger_half_after() {
        assert_eq!(pads(Padding::TensorFlow, 224, 3, 2), (0, 1));
        assert_eq!(pads(Padding::TensorFlow, 225, 3, 2), (1, 1));
        assert_eq!(pads(Padding::TensorFlow, 112, 5, 2), (1, 2));
        assert_eq!(pads(Padding::TensorFlow, 97, 5, 1), (2, 2));
        assert_eq!(pads(Padding::TensorFlow, 7, 1, 2), (0, 0));
        assert_eq!(pads(Padding::Same, 224, 7, 2), (3, 3));
    }

    #[test]
    fn global_average_is_the_mean_of_each_channel() {
        let input = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 6.0, 0.0, 0.0, 1.0, 1.0], &Device::flex());
        let means: Vec<f32> = global_average(input.reshape([1, 2, 2, 2])).into_data().try_to_vec().unwrap();
        assert_eq!(means, [3.0, 0.5]);
    }
}
