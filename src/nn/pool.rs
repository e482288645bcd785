//! Pools: the largest or the mean of a window, padded as PyTorch or as TensorFlow does.

use burn::tensor::Tensor;
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions, PadMode};

use super::layers::{Padding, global_average};
use crate::kernels::{Window, largest, on_processor};
use crate::study::Pooling;

/// What the generalised mean holds every value to be at least.
const LEAST: f64 = 1e-6;

/// One number a feature out of its map.
///
/// # Shapes
/// `[images, features, rows, columns]` to `[images, features]`.
pub(super) fn pooled(map: Tensor<4>, pooling: Pooling) -> Tensor<2> {
    match pooling {
        Pooling::Mean => global_average(map),
        Pooling::Largest => {
            let [images, features, rows, columns] = map.dims();
            map.reshape([images, features, rows * columns]).max_dim(2).reshape([images, features])
        }
        Pooling::Generalised(p) => global_average(map.clamp_min(LEAST).powf_scalar(p)).powf_scalar(1.0 / p),
    }
}

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
            Kind::Largest { outside } if on_processor(&input.device()) && self.kernel <= Window::MOST => {
                let Self { kernel, stride, ceil, .. } = *self;
                largest(input, Window { kernel, stride, padding: sides, outside, ceil })
            }
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn pools_make_one_number_a_feature() {
        let map = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 6.0, -1.0, 0.0, 0.0, 2.0], &Device::flex());
        let of = |pooling| -> Vec<f32> {
            pooled(map.clone().reshape([1, 2, 2, 2]), pooling).into_data().try_to_vec().unwrap()
        };
        assert_eq!(of(Pooling::Mean), [3.0, 0.25]);
        assert_eq!(of(Pooling::Largest), [6.0, 2.0]);
        // (1 + 8 + 27 + 216) / 4 = 63 and, what is negative being 0, 8 / 4 = 2, to the power 1/3.
        let cubes = of(Pooling::Generalised(3.0));
        assert!((cubes[0] - 63f32.cbrt()).abs() < 1e-5 && (cubes[1] - 2f32.cbrt()).abs() < 1e-5, "{cubes:?}");
        let plain = of(Pooling::Generalised(1.0));
        assert!((plain[0] - 3.0).abs() < 1e-6 && (plain[1] - 0.5).abs() < 1e-5, "{plain:?}");
    }
}
