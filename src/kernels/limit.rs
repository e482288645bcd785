//! How many numbers a tensor on a GPU may have: its kernels count places in 32 bits, and would begin again at the first one.
//!
//! A tensor that has more ends the work on the GPU with [`TOO_MANY`] before anything is made of its numbers. Whoever starts such work
//! listens to what its threads say last, as to a driver that gives up, and asks for a smaller batch.

use burn::tensor::Device;

use super::norm::on_processor;

/// Places that 32 bits tell apart.
const MOST: u64 = 1 << 32;

/// What is said of a tensor of more.
pub(crate) const TOO_MANY: &str = "numbers, more than the 4,294,967,296 that a GPU's kernels count";

/// May a tensor of these sides be on a GPU? Its numbers, if not.
fn too_many(sides: &[usize]) -> Option<u64> {
    let numbers = sides.iter().fold(1, |all: u64, side| all.saturating_mul(*side as u64));
    (numbers > MOST).then_some(numbers)
}

/// Ends work on a GPU that asks for a tensor of these sides, if that is too many.
///
/// # Panics
/// Then.
pub(crate) fn assert_countable(sides: &[usize], device: &Device) {
    if let Some(numbers) = too_many(sides) {
        assert!(on_processor(device), "a tensor of {numbers} {TOO_MANY}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_32_bits_count_may_be() {
        assert_eq!(too_many(&[1 << 16, 1 << 16]), None);
        assert_eq!(too_many(&[1 << 16, 1 << 16, 1]), None);
        assert_eq!(too_many(&[(1 << 16) + 1, 1 << 16]), Some((1 << 32) + (1 << 16)));
        assert_eq!(too_many(&[usize::MAX, 3]), Some(u64::MAX));
        assert_eq!(too_many(&[0, usize::MAX]), None);
        // 8,192 images at the first stage of a ResNet
        assert!(too_many(&[8192, 64, 112, 112]).is_some());
        // the processor counts in 64
        assert_countable(&[usize::MAX, 3], &Device::flex());
    }
}
