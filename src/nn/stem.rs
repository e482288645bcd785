//! First convolutions for images of another number of channels than their weights were made for.
//!
//! As timm's `in_chans`, so that images keep the scale they had: the kernels of one channel are the sum of all; of more
//! channels those there are, in turn, times what makes up for their number.

use super::names::Slot;

/// The kernels of each output, `[from, area]`, as ones for `to` channels.
pub(super) fn adapt(values: &[f32], from: usize, to: usize, area: usize) -> Vec<f32> {
    #[expect(clippy::cast_precision_loss, reason = "a handful of channels")]
    let scale = from as f32 / to as f32;
    let one = |kernels: &[f32]| -> Vec<f32> {
        if to == 1 {
            return (0..area).map(|at| kernels.iter().skip(at).step_by(area).sum()).collect();
        }
        let planes = kernels.chunks_exact(area).cycle().take(to);
        planes.flatten().map(|value| value * scale).collect()
    };
    values.chunks_exact((from * area).max(1)).flat_map(one).collect()
}

/// Red, green and blue as the weights saw them: each kernel times what a grey level is divided by, over what its
/// channel's was. Their sum then answers a grey image as the three answer it repeated, but for a constant.
pub(super) fn even_out(values: &mut [f32], deviations: [f32; 3], area: usize) {
    let grey = deviations.iter().sum::<f32>() / 3.0;
    for (plane, deviation) in values.chunks_exact_mut(area.max(1)).zip(deviations.into_iter().cycle()) {
        for value in plane {
            *value *= grey / deviation;
        }
    }
}

/// The weight of a network's first convolution, of all its tensors in the order of the forward pass.
pub(super) fn stem(slots: &[Slot]) -> Option<&Slot> {
    slots.iter().find(|slot| slot.shape.len() == 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_sums_and_more_take_turns() {
        // Two outputs of three 1x2 kernels.
        let values: Vec<f32> = (1..=12u8).map(f32::from).collect();
        assert_eq!(adapt(&values, 3, 1, 2), [9.0, 12.0, 27.0, 30.0]);
        assert_eq!(adapt(&values[..6], 3, 4, 2), [0.75, 1.5, 2.25, 3.0, 3.75, 4.5, 0.75, 1.5]);
        assert_eq!(adapt(&values[..6], 3, 2, 2), [1.5, 3.0, 4.5, 6.0]);
    }

    #[test]
    fn a_grey_level_counts_as_much_in_one_channel_as_in_three() {
        let (mut kernel, deviations) = (vec![0.5, -2.0, 3.0], [0.2, 0.25, 0.3]);
        let three: f32 = kernel.iter().zip(deviations).map(|(weight, deviation)| weight / deviation).sum();
        even_out(&mut kernel, deviations, 1);
        let one = adapt(&kernel, 3, 1, 1)[0] / 0.25;
        assert!((one - three).abs() < 1e-5, "{one} instead of {three}");
    }
}
