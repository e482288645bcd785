//! Products in half the bits: convolutions, linear layers and attention read bfloat16 and give single precision back.
//!
//! bfloat16 has the range of single precision and 8 bits of mantissa. Only what is multiplied is rounded to it; norms,
//! activations, softmax, sums of branches and losses see single precision, and so do the weights that learn: the cast is
//! differentiable, so gradients arrive at them in single precision. With [`Precision::F32`] nothing here does anything.

use burn::tensor::{FloatDType, Tensor};

use crate::kernels::limit::assert_countable;
use crate::kernels::{Geometry, convolution};
use crate::study::Precision;

/// As a product reads it.
fn narrow<const D: usize>(tensor: Tensor<D>, precision: Precision) -> Tensor<D> {
    match precision {
        Precision::F32 => tensor,
        Precision::Bf16 => tensor.cast(FloatDType::BF16),
    }
}

/// What a product gives.
fn widen<const D: usize>(tensor: Tensor<D>, precision: Precision) -> Tensor<D> {
    match precision {
        Precision::F32 => tensor,
        Precision::Bf16 => tensor.cast(FloatDType::F32),
    }
}

/// [`convolution`] of what is in single precision, and the result in it.
pub(super) fn convolve(input: Tensor<4>, weight: Tensor<4>, geometry: Geometry, precision: Precision) -> Tensor<4> {
    widen(convolution(narrow(input, precision), narrow(weight, precision), geometry), precision)
}

/// The product of matrices in single precision, and the result in it.
pub(super) fn product<const D: usize>(left: Tensor<D>, right: Tensor<D>, precision: Precision) -> Tensor<D> {
    let device = left.device();
    let output = narrow(left, precision).matmul(narrow(right, precision));
    assert_countable(&output.dims(), &device);
    widen(output, precision)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;

    fn line(device: &Device) -> Tensor<2> {
        let values: Vec<f32> = (1..=12_u8).map(|n| 1.0 / f32::from(n)).collect();
        Tensor::<1>::from_floats(values.as_slice(), device).reshape([3, 4])
    }

    fn worst<const D: usize>(one: Tensor<D>, other: Tensor<D>) -> f32 {
        let scale: f32 = other.clone().abs().max().into_scalar();
        let gap: f32 = (one - other).abs().max().into_scalar();
        gap / scale
    }

    #[test]
    fn products_are_rounded_and_gradients_come_back_wide() {
        let device = Device::flex().autodiff();
        let gradients = |precision| {
            let (left, right) = (line(&device).require_grad(), line(&device).transpose().detach().require_grad());
            let output = product(left.clone(), right.clone(), precision);
            assert_eq!(output.dtype(), DType::F32);
            let gradients = output.clone().square().sum().backward();
            [left, right].map(|tensor| tensor.grad(&gradients)).into_iter().flatten().chain([output.inner()]).collect()
        };
        let (wide, half): (Vec<_>, Vec<_>) = (gradients(Precision::F32), gradients(Precision::Bf16));
        assert_eq!((wide.len(), half.len()), (3, 3));
        for (wide, half) in wide.into_iter().zip(half) {
            assert_eq!(half.dtype(), DType::F32);
            let gap = worst(half, wide);
            assert!(gap > 0.0 && gap < 0.02, "{gap}");
        }
    }

    #[test]
    fn a_convolution_of_halves_is_near_that_of_wholes() {
        let device = Device::flex();
        let image = line(&device).reshape([1, 1, 3, 4]);
        let weight = line(&device).reshape([1, 1, 4, 3]).narrow(2, 0, 3);
        let geometry = Geometry { stride: 1, padding: [(1, 1); 2], groups: 1 };
        let of = |precision| convolve(image.clone(), weight.clone(), geometry, precision);
        assert_eq!(of(Precision::Bf16).dtype(), DType::F32);
        let gap = worst(of(Precision::Bf16), of(Precision::F32));
        assert!(gap > 0.0 && gap < 0.01, "{gap}");
    }
}
