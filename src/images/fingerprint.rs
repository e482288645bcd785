//! An image becomes a fingerprint by which copies of it are found: the same pixels, or nearly the same.
//!
//! Two measures together tell a copy: the signs of horizontal gradients of a 17 x 16 picture (Krawetz 2013, "dHash",
//! with 256 bits), which brightness and compression leave alone, and the correlation of two 32 x 32 pictures.
//! Radiographs resemble each other so much that neither is enough by itself: of 999 chest films, 4,251 pairs of
//! different exposures differ in 32 bits or fewer, and all of them correlate less than 0.98. Recompressed, resized,
//! brightened and slightly turned copies differ in 24 bits or fewer and correlate more.

use super::decode::{ImageError, Kind, decode, kind};
use super::{Pixels, prepare};
use crate::study::{Filter, Fit, Prepare};

/// Sides of the small picture that is compared.
pub const SIDE: usize = 32;
/// Gradients in a row and a column.
const GRADIENTS: usize = 16;
/// Most gradients in which copies differ.
pub const MOST_BITS: u32 = 24;
/// Least correlation of copies.
pub const LEAST_CORRELATION: f64 = 0.98;

/// What is kept of an image to find its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size, channels and bits as the file has them.
    pub kind: Kind,
    /// Mean grey level in 1/256 of a level, of the small picture.
    pub brightness: u16,
    /// BLAKE3 of size, channels and pixels: equal for equal pictures, in whatever format.
    pub pixels: [u8; 32],
    /// Signs of the gradients.
    pub gradients: [u64; 4],
    /// The small picture, grey.
    pub small: Vec<u8>,
}

impl Fingerprint {
    /// The fingerprint of an image file.
    ///
    /// # Errors
    /// Why the file gives no picture.
    pub fn of(bytes: &[u8]) -> Result<Self, ImageError> {
        let kind = kind(bytes)?;
        Ok(Self::of_pixels(kind, &decode(bytes)?))
    }

    /// The fingerprint of a picture.
    #[must_use]
    pub fn of_pixels(kind: Kind, pixels: &Pixels) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&pixels.width.to_le_bytes());
        hasher.update(&pixels.height.to_le_bytes());
        hasher.update(&[pixels.channels]);
        hasher.update(&pixels.data);
        let digest = *hasher.finalize().as_bytes();
        let grey = prepare(&[Prepare::Grayscale {}], pixels.clone());
        let small = shrunk(&grey, SIDE);
        let sum: usize = small.iter().map(|level| usize::from(*level)).sum();
        let brightness = u16::try_from(sum * 256 / small.len().max(1)).unwrap_or(u16::MAX);
        Self { kind, brightness, pixels: digest, gradients: gradients(&shrunk(&grey, GRADIENTS + 1)), small }
    }

    /// In how many gradients two pictures differ.
    #[must_use]
    pub fn bits(&self, other: &Self) -> u32 {
        self.gradients.iter().zip(other.gradients).map(|(one, other)| (one ^ other).count_ones()).sum()
    }

    /// Pearson's correlation of the small pictures; 0 for a picture of one grey level.
    #[must_use]
    pub fn correlation(&self, other: &Self) -> f64 {
        correlation(&self.small, &other.small)
    }

    /// Is one nearly the same picture as the other?
    #[must_use]
    pub fn resembles(&self, other: &Self) -> bool {
        self.bits(other) <= MOST_BITS && self.correlation(other) >= LEAST_CORRELATION
    }
}

/// Pearson's correlation of two pictures of the same size; 0 where one has a single grey level.
#[must_use]
pub fn correlation(one: &[u8], other: &[u8]) -> f64 {
    // whole numbers: exact, and the same in any order
    let (mut n, mut x, mut y, mut xx, mut yy, mut xy) = (0_i64, 0_i64, 0_i64, 0_i64, 0_i64, 0_i64);
    for (a, b) in one.iter().zip(other) {
        let (a, b) = (i64::from(*a), i64::from(*b));
        (n, x, y, xx, yy, xy) = (n + 1, x + a, y + b, xx + a * a, yy + b * b, xy + a * b);
    }
    let (over_x, over_y) = (n * xx - x * x, n * yy - y * y);
    if over_x <= 0 || over_y <= 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 for pictures of less than 100,000 pixels")]
    let (cov, over_x, over_y) = ((n * xy - x * y) as f64, over_x as f64, over_y as f64);
    cov / (over_x.sqrt() * over_y.sqrt())
}

fn shrunk(grey: &Pixels, side: usize) -> Vec<u8> {
    let side = u32::try_from(side).unwrap_or(1);
    prepare(&[Prepare::Resize { side, filter: Filter::Bilinear, fit: Fit::Stretch }], grey.clone()).data
}

fn gradients(picture: &[u8]) -> [u64; 4] {
    let mut bits = [0_u64; 4];
    for (row, line) in picture.chunks_exact(GRADIENTS + 1).take(GRADIENTS).enumerate() {
        for (column, two) in line.windows(2).enumerate() {
            if let ([left, right], Some(word)) = (two, bits.get_mut(row / 4)) {
                *word |= u64::from(left < right) << ((row % 4) * GRADIENTS + column);
            }
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::images::preview::encode_png;

    fn picture(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> Pixels {
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect();
        Pixels { width, height, channels: 1, data }
    }

    fn wave(x: u32, y: u32, side: u32) -> u8 {
        let (x, y) = (f64::from(x) / f64::from(side) * 9.0, f64::from(y) / f64::from(side) * 7.0);
        let value = 120.0 + 60.0 * (x + (0.7 * y).sin()).sin() + 40.0 * (y + 1.3 * x.cos()).cos();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "20 to 220")]
        let level = value as u8;
        level
    }

    #[test]
    fn copies_are_found_and_others_are_not() {
        let of = |pixels: &Pixels| Fingerprint::of(&encode_png(pixels)).unwrap();
        let first = of(&picture(256, 256, |x, y| wave(x, y, 256)));
        let smaller = of(&picture(180, 150, |x, y| wave(x * 150, y * 180, 180 * 150)));
        let brighter = of(&picture(256, 256, |x, y| wave(x, y, 256).saturating_add(25)));
        let colour = of(&picture(256, 256, |x, y| wave(x, y, 256)).into_colour());
        let other = of(&picture(256, 256, |x, y| wave(y + 40, x, 256)));
        let inverse = of(&picture(256, 256, |x, y| 255 - wave(x, y, 256)));
        assert!(first.resembles(&smaller) && first.resembles(&brighter) && first.resembles(&colour));
        assert!(!first.resembles(&other) && !first.resembles(&inverse));
        assert!(first.correlation(&inverse) < -0.99 && first.bits(&inverse) > 150);
        assert_ne!(first.pixels, brighter.pixels);
        assert_eq!(first.pixels, of(&picture(256, 256, |x, y| wave(x, y, 256))).pixels);
        assert_eq!((first.kind.bits, first.kind.channels, colour.kind.channels), (8, 1, 3));
        assert!(brighter.brightness > first.brightness);
    }

    #[test]
    fn gradients_are_counted_from_left_to_right() {
        let rising: Vec<u8> = (0..17 * 17).map(|at| u8::try_from(at % 17).unwrap()).collect();
        assert_eq!(gradients(&rising), [u64::MAX; 4]);
        assert_eq!(gradients(&[7; 17 * 17]), [0; 4]);
    }

    #[test]
    fn correlation_is_pearsons() {
        assert!((correlation(&[1, 2, 3, 4], &[2, 4, 6, 8]) - 1.0).abs() < 1e-12);
        assert!((correlation(&[1, 2, 3, 4], &[4, 3, 2, 1]) + 1.0).abs() < 1e-12);
        // numpy.corrcoef([1, 5, 2, 8], [3, 4, 1, 9])[0, 1]
        assert!((correlation(&[1, 5, 2, 8], &[3, 4, 1, 9]) - 0.898_172_938_969_641).abs() < 1e-9);
        assert!(correlation(&[5, 5, 5], &[1, 2, 3]).abs() < 1e-12);
    }
}
