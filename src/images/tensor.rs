//! Prepared images become the network's numbers: channel by channel, 0..1, less a mean, over a deviation.

use super::Pixels;
use crate::study::Normalize;

/// Mean and standard deviation of each channel of values 0..1.
pub type MeanStd = ([f32; 3], [f32; 3]);

/// The figures of a `normalize(...)` for a network that sees so many channels; `None` for `train` and `dataset`, whose
/// figures come from [`mean_std`]. Where the channels are not red, green and blue, each gets what these have on average.
#[must_use]
pub fn normalisation(normalize: Normalize, channels: usize) -> Option<MeanStd> {
    let average = |[red, green, blue]: [f32; 3]| [(red + green + blue) / 3.0; 3];
    let (mean, std) = by_colour(normalize)?;
    Some(if channels == 3 { (mean, std) } else { (average(mean), average(std)) })
}

fn by_colour(normalize: Normalize) -> Option<MeanStd> {
    match normalize {
        Normalize::Imagenet => Some(([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])),
        Normalize::Half => Some(([0.5; 3], [0.5; 3])),
        Normalize::None => Some(([0.0; 3], [1.0; 3])),
        Normalize::Bytes => Some(([0.0; 3], [1.0 / 255.0; 3])),
        Normalize::Caffe => Some(([123.68 / 255.0, 116.779 / 255.0, 103.939 / 255.0], [1.0 / 255.0; 3])),
        Normalize::Train | Normalize::Dataset => None,
    }
}

/// Writes an image as `[channels, height, width]`: `(level / 255 - mean) / std`, grey repeated in all channels.
///
/// `out` takes `width * height` numbers a channel, for as many channels as it has room for; deviations below 1e-6 count as 1e-6.
pub fn to_tensor(pixels: &Pixels, mean: [f32; 3], std: [f32; 3], out: &mut [f32]) {
    let area = pixels.width as usize * pixels.height as usize;
    let channels = usize::from(pixels.channels).max(1);
    let figures = mean.into_iter().zip(std);
    for (channel, (plane, (mean, std))) in out.chunks_exact_mut(area.max(1)).zip(figures).enumerate() {
        let mut table = [0.0; 256];
        for (level, value) in (0u8..=255).zip(&mut table) {
            *value = (f32::from(level) / 255.0 - mean) / std.max(1e-6);
        }
        let first = if channels == 1 { 0 } else { channel };
        for (value, &level) in plane.iter_mut().zip(pixels.data.iter().skip(first).step_by(channels)) {
            *value = table[usize::from(level)];
        }
    }
}

/// Mean and standard deviation of images that come one after another, in whole numbers: no order changes them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moments {
    pixels: u64,
    sums: [u64; 3],
    squares: [u64; 3],
}

impl Moments {
    /// Takes in one image; grey counts in all three channels.
    pub fn add(&mut self, pixels: &Pixels) {
        let channels = usize::from(pixels.channels).max(1);
        self.pixels += u64::from(pixels.width) * u64::from(pixels.height);
        for (channel, (sum, square)) in self.sums.iter_mut().zip(&mut self.squares).enumerate() {
            let first = if channels == 1 { 0 } else { channel };
            for &level in pixels.data.iter().skip(first).step_by(channels) {
                *sum += u64::from(level);
                *square += u64::from(level) * u64::from(level);
            }
        }
    }

    /// Takes in what another has seen.
    pub fn merge(&mut self, other: &Self) {
        self.pixels += other.pixels;
        for channel in 0..3 {
            self.sums[channel] += other.sums[channel];
            self.squares[channel] += other.squares[channel];
        }
    }

    /// The mean and the (population) standard deviation of values 0..1; without images 0 and 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures of 0..1, wanted in f32")]
    pub fn finish(&self) -> MeanStd {
        let (mut mean, mut std) = ([0.0; 3], [1.0; 3]);
        if self.pixels > 0 {
            let count = self.pixels as f64;
            for channel in 0..3 {
                let centre = self.sums[channel] as f64 / count;
                let variance = self.squares[channel] as f64 / count - centre * centre;
                mean[channel] = (centre / 255.0) as f32;
                std[channel] = (variance.max(0.0).sqrt() / 255.0) as f32;
            }
        }
        (mean, std)
    }
}

/// Mean and standard deviation of a channel over images: `normalize(train)`.
#[must_use]
pub fn mean_std(images: impl IntoIterator<Item = Pixels>) -> MeanStd {
    let mut moments = Moments::default();
    for image in images {
        moments.add(&image);
    }
    moments.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f32, right: f32) -> bool {
        (left - right).abs() < 1e-6
    }

    #[test]
    fn channels_come_one_after_another() {
        let pixels = Pixels { width: 2, height: 1, channels: 3, data: vec![0, 51, 102, 153, 204, 255] };
        let mut out = [0.0; 6];
        to_tensor(&pixels, [0.0, 0.2, 0.5], [1.0, 0.5, 0.5], &mut out);
        let wanted = [0.0, 0.6, 0.0, 1.2, -0.2, 1.0];
        assert!(out.iter().zip(wanted).all(|(left, right)| close(*left, right)), "{out:?}");
    }

    #[test]
    fn grey_is_repeated() {
        let pixels = Pixels { width: 1, height: 2, channels: 1, data: vec![255, 51] };
        let mut out = [0.0; 6];
        to_tensor(&pixels, [0.0; 3], [1.0; 3], &mut out);
        let wanted = [1.0, 0.2, 1.0, 0.2, 1.0, 0.2];
        assert!(out.iter().zip(wanted).all(|(left, right)| close(*left, right)), "{out:?}");
    }

    #[test]
    fn moments_are_those_of_all_pixels() {
        let colour = Pixels { width: 1, height: 1, channels: 3, data: vec![0, 51, 255] };
        let grey = Pixels { width: 1, height: 1, channels: 1, data: vec![255] };
        let (mean, std) = mean_std([colour.clone(), grey.clone()]);
        assert!(close(mean[0], 0.5) && close(mean[1], 0.6) && close(mean[2], 1.0), "{mean:?}");
        assert!(close(std[0], 0.5) && close(std[1], 0.4) && close(std[2], 0.0), "{std:?}");
        assert_eq!(mean_std([grey, colour]), (mean, std));
        assert_eq!(mean_std([]), ([0.0; 3], [1.0; 3]));
    }
}
