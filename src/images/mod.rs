//! From bytes of image files to what the network sees: decode, prepare, keep, augment, normalise, preview.
//!
//! ```text
//! bytes -> decode -> prepare -> cache -> augment -> to_tensor -> augment::mix_images -> network
//!                                  \-> preview
//! ```
//! Everything is a pure function of its arguments; only [`cache`] touches the disk. [`phantom`] draws synthetic
//! films that need no files.

pub mod augment;
pub mod cache;
#[expect(clippy::inline_always, reason = "what is not inlined is not compiled for the instruction set at hand")]
mod clahe;
pub mod decode;
pub mod fingerprint;
mod font;
mod mix;
pub mod phantom;
#[expect(clippy::inline_always, reason = "what is not inlined is not compiled for the instruction set at hand")]
mod prepare;
pub mod preview;
#[expect(clippy::inline_always, reason = "what is not inlined is not compiled for the instruction set at hand")]
mod resample;
mod tensor;

pub use decode::{ImageError, MAX_PIXELS, MAX_SIDE, decode};
pub use prepare::prepare;
pub use tensor::{MeanStd, Moments, mean_std, normalisation, to_tensor};

/// An 8-bit image, grey or colour.
///
/// `data` has `width * height * channels` bytes, row by row from the top, the channels of a pixel side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns, from 1.
    pub width: u32,
    /// Rows, from 1.
    pub height: u32,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: u8,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Pixels {
    /// A black image.
    #[must_use]
    pub fn black(width: u32, height: u32, channels: u8) -> Self {
        let bytes = width as usize * height as usize * usize::from(channels);
        Self { width, height, channels, data: vec![0; bytes] }
    }

    /// The same image in three channels (grey repeated), or as it is.
    #[must_use]
    pub fn into_colour(self) -> Self {
        if self.channels != 1 {
            return self;
        }
        let data = self.data.iter().flat_map(|&level| [level; 3]).collect();
        Self { channels: 3, data, ..self }
    }

    /// Bytes of a row.
    fn stride(&self) -> usize {
        self.width as usize * usize::from(self.channels)
    }

    /// Is `data` as long as the sizes say, and nothing of size zero?
    fn sound(&self) -> bool {
        let bytes = self.width as usize * self.height as usize * usize::from(self.channels);
        bytes > 0 && bytes == self.data.len() && matches!(self.channels, 1 | 3)
    }
}

/// The nearest grey level, halves to even as OpenCV's `cvRound`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates at 0 and 255")]
fn level(value: f32) -> u8 {
    value.round_ties_even() as u8
}
