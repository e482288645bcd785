//! New tensors on the processor, and functions of one number that compile to vector instructions.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape};
use rayon::prelude::*;

/// Values that one task takes on where nothing else says how to cut: 128 KiB, which stay in a core's own cache.
pub(super) const CHUNK: usize = 1 << 15;

pub(super) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// A vector of which `fill` writes each run of `chunk` values, given its number; what it leaves is 0. Zeros are put
/// where a run is about to be written, not in a pass of one thread over the whole.
pub(super) fn written(length: usize, chunk: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    written_with(length, chunk, || (), |(), number, out| fill(number, out))
}

/// The same with something besides that `fill` may use and change, new or left from an earlier run.
pub(super) fn written_with<T>(
    length: usize,
    chunk: usize,
    new: impl Fn() -> T + Sync + Send,
    fill: impl Fn(&mut T, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(length);
    let places = &mut values.spare_capacity_mut()[..length];
    places.par_chunks_mut(chunk.max(1)).enumerate().for_each_init(new, |besides, (number, places)| {
        for place in places.iter_mut() {
            place.write(0.0);
        }
        #[expect(unsafe_code, reason = "memory is written once instead of twice")]
        // SAFETY: the loop above has written every place.
        fill(besides, number, unsafe { places.assume_init_mut() });
    });
    #[expect(unsafe_code, reason = "memory is written once instead of twice")]
    // SAFETY: the capacity is at least `length`, and the chunks, which cover `length` places, were all written: a panic
    // in one would have ended this function.
    unsafe {
        values.set_len(length);
    }
    values
}

/// `e^x` to two units in the last place (Cephes); what is not a number stays so.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5e-1;
    let p = p * r * r + r + 1.0;
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The error function as a quotient of polynomials (the one of Eigen and XLA), to four units in the last place.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let x = if x < -4.0 { -4.0 } else { x };
    let x = if x > 4.0 { 4.0 } else { x };
    let s = x * x;
    let p = -2.726_142_3e-10;
    let p = p * s + 2.770_681_4e-8;
    let p = p * s - 2.101_024_1e-6;
    let p = p * s - 5.692_506_5e-5;
    let p = p * s - 7.349_906e-4;
    let p = p * s - 2.954_6e-3;
    let p = p * s - 1.609_603_3e-2;
    let q = -1.456_607_2e-5;
    let q = q * s - 2.133_740_6e-4;
    let q = q * s - 1.682_827e-3;
    let q = q * s - 7.373_329e-3;
    let q = q * s - 1.426_473_9e-2;
    // the quotient ends a bit before 1
    let y = x * p / q;
    let y = if x >= 4.0 { 1.0 } else { y };
    if x <= -4.0 { -1.0 } else { y }
}
