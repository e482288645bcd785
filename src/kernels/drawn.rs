//! Numbers for tests: normal, the same each time.

use burn::tensor::{Device, Tensor};

use crate::draw::{DrawKey, Stage};

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
pub(super) fn drawn_values(count: usize, seed: u64) -> Vec<f32> {
    let mut stream = DrawKey { seed, stage: Stage::Initialise, epoch: 0, sample: 0 }.stream();
    (0..count).map(|_| stream.normal() as f32).collect()
}

pub(super) fn drawn_on<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::<1>::from_floats(drawn_values(shape.iter().product(), seed).as_slice(), device).reshape(shape)
}

/// On the processor, with gradients.
pub(super) fn drawn<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    drawn_on(shape, seed, &Device::flex().autodiff())
}
