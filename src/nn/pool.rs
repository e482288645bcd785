//! Pools: the largest or the mean of a window, padded as PyTorch or as TensorFlow does.

use burn::tensor::Tensor;
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions, PadMode};

use super::layers::Padding;

/// A square window that goes over images; nothing of it learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pool {
    kind: Kind,
    kernel: usize,
    stride: usize,
    padding: Padding,
    ceil: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// The largest; what lies in the padding counts as this (never, for PyTorch: minus infinity).
    Largest { outside: f32 },
    /// The mean; are the zeros of the padding counted?
    Mean { count_padding: bool },
}

impl Pool {
    /// The largest of each window; padding is never the largest.
    #[must_use]
    pub const fn largest(kernel: usize, stride: usize, padding: Padding) -> Self {
        Self { kind: Kind::Largest { outside: f32::NEG_INFINITY }, kernel, stride, padding, ceil: false }
    }

    /// The mean of each window; `count_padding`: padding counts as zeros, else it is left out.
    #[must_use]
    pub const fn mean(kernel: usize, stride: usize, padding: Padding, count_padding: bool) -> Self {
        Self { kind: Kind::Mean { count_padding }, kernel, stride, padding, ceil: false }
    }

    /// Padding of a maximum counts as zero, as in Keras' NASNet.
    #[must_use]
    pub const fn zeros_outside(self) -> Self {
        match self.kind {
            Kind::Largest { .. } => Self { kind: Kind::Largest { outside: 0.0 }, ..self },
            Kind::Mean { .. } => self,
        }
    }

    /// A last window that reaches over the end is kept, PyTorch's `ceil_mode`.
    #[must_use]
    pub const fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }

    /// # Shapes
    /// `[images, channels, height, width]` to `[images, channels, (height + padding - kernel) / stride + 1, ...]`.
    #[must_use]
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = input.dims();
        let sides =
            [self.padding.of(height, self.kernel, self.stride), self.padding.of(width, self.kernel, self.stride)];
        match self.kind {
            Kind::Largest { outside } if outside.is_finite() => {
                let [(top, bottom), (left, right)] = sides;
                let padded = input.pad([(top, bottom), (left, right)], PadMode::Constant(outside));
                max_pool2d(padded, self.largest_options([(0, 0); 2]))
            }
            Kind::Largest { .. } => max_pool2d(input, self.largest_options(sides)),
            Kind::Mean { count_padding } => {
                let options = AvgPoolOptions::new([self.kernel; 2])
                    .with_stride([self.stride; 2])
                    .with_padding_pairs(sides)
                    .with_count_include_pad(count_padding)
                    .with_ceil_mode(self.ceil);
                avg_pool2d(input, options)
            }
        }
    }

    fn largest_options(&self, padding: [(usize, usize); 2]) -> MaxPoolOptions<2> {
        MaxPoolOptions::new([self.kernel; 2])
            .with_stride([self.stride; 2])
            .with_padding_pairs(padding)
            .with_ceil_mode(self.ceil)
    }
}
