//! The `prepare` steps of a study: grey, resize, equalise; each as the program everybody compares with does it.
//!
//! Grey and resize are Pillow's (`convert("L")`, `resize`, `ImageOps.pad`, `ImageOps.fit`) to one grey level, CLAHE is
//! OpenCV's to one grey level; the integration tests hold stored figures of both.

use pulp::{Simd, WithSimd};

use super::Pixels;
use super::clahe::clahe;
use super::resample::{BICUBIC, BILINEAR, LANCZOS, Span, resample};
use crate::simd::arch;
use crate::study::{Filter, Fit, Prepare};

/// Applies the steps in order.
///
/// `pixels` must be what [`Pixels`] promises; sides of 0 in a step count as 1.
#[must_use]
pub fn prepare(steps: &[Prepare], pixels: Pixels) -> Pixels {
    steps.iter().fold(pixels, |pixels, step| match step {
        Prepare::Grayscale {} => grey(pixels),
        Prepare::Resize { side, filter, fit } => resize(pixels, (*side).max(1), *filter, *fit),
        Prepare::Clahe { clip, tiles } => clahe(pixels, *clip, (*tiles).max(1)),
    })
}

/// ITU-R 601 luma in 16-bit fixed point, Pillow's `convert("L")`.
fn grey(pixels: Pixels) -> Pixels {
    if pixels.channels == 1 {
        return pixels;
    }
    let mut data = vec![0; pixels.data.len() / 3];
    arch().dispatch(Luma { colours: &pixels.data, data: &mut data });
    Pixels { channels: 1, data, ..pixels }
}

struct Luma<'a> {
    colours: &'a [u8],
    data: &'a mut [u8],
}

impl WithSimd for Luma<'_> {
    type Output = ();

    #[expect(clippy::cast_possible_truncation, reason = "the weights add up to 1 << 16")]
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (luma, [red, green, blue]) in self.data.iter_mut().zip(self.colours.as_chunks::<3>().0) {
            let sum = u32::from(*red) * 19_595 + u32::from(*green) * 38_470 + u32::from(*blue) * 7_471 + 0x8000;
            *luma = (sum >> 16) as u8;
        }
    }
}

fn resize(pixels: Pixels, side: u32, filter: Filter, fit: Fit) -> Pixels {
    let (width, height) = (f64::from(pixels.width), f64::from(pixels.height));
    let whole = (0.0, 0.0, width, height);
    match fit {
        Fit::Stretch => scale(pixels, whole, side, side, filter),
        Fit::Crop => {
            // ImageOps.fit: the largest square in the middle, in fractions of pixels.
            let square = width.min(height);
            scale(pixels, ((width - square) * 0.5, (height - square) * 0.5, square, square), side, side, filter)
        }
        Fit::Pad => {
            // ImageOps.pad: Python's round() goes to the even neighbour.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and `side`")]
            let shorter = |share: f64| ((share * f64::from(side)).round_ties_even() as u32).clamp(1, side);
            let (columns, rows) =
                if width > height { (side, shorter(height / width)) } else { (shorter(width / height), side) };
            let scaled = scale(pixels, whole, columns, rows, filter);
            paste_in_the_middle(&scaled, side)
        }
    }
}

/// The part `(left, top, width, height)` of an image, scaled to `columns` x `rows`.
fn scale(pixels: Pixels, part: (f64, f64, f64, f64), columns: u32, rows: u32, filter: Filter) -> Pixels {
    let (left, top, width, height) = part;
    let whole = (0.0, 0.0, f64::from(columns), f64::from(rows));
    if part == whole && (pixels.width, pixels.height) == (columns, rows) {
        return pixels;
    }
    let kernel = match filter {
        Filter::Lanczos => LANCZOS,
        Filter::Bicubic => BICUBIC,
        Filter::Bilinear => BILINEAR,
        Filter::Nearest => return nearest(&pixels, part, columns, rows),
    };
    let across = Span { start: left, length: width, count: columns };
    resample(&pixels, across, Span { start: top, length: height, count: rows }, kernel)
}

/// The pixel under each new pixel's middle; places are summed up in steps as Pillow does, so that ties fall alike.
fn nearest(pixels: &Pixels, part: (f64, f64, f64, f64), columns: u32, rows: u32) -> Pixels {
    let (left, top, width, height) = part;
    let places = |start: f64, length: f64, count: u32, end: u32| -> Vec<usize> {
        let step = length / f64::from(count);
        let sums = std::iter::successors(Some(start + step * 0.5), |place| Some(place + step));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 and more; `as` floors")]
        let places = sums.take(count as usize).map(|place| (place as usize).min(end as usize - 1)).collect();
        places
    };
    let channels = usize::from(pixels.channels);
    let across = places(left, width, columns, pixels.width);
    let down = places(top, height, rows, pixels.height);
    let mut data = Vec::with_capacity(across.len() * down.len() * channels);
    for row in down {
        let line = &pixels.data[row * pixels.stride()..][..pixels.stride()];
        for &column in &across {
            data.extend_from_slice(&line[column * channels..][..channels]);
        }
    }
    Pixels { width: columns, height: rows, channels: pixels.channels, data }
}

fn paste_in_the_middle(scaled: &Pixels, side: u32) -> Pixels {
    let mut square = Pixels::black(side, side, scaled.channels);
    // round((side - length) / 2), halves to even.
    let margin = |length: u32| {
        let rest = side - length;
        (rest / 2 + u32::from(rest % 4 == 3)) as usize
    };
    let (left, top) = (margin(scaled.width) * usize::from(scaled.channels), margin(scaled.height));
    let (stride, from) = (square.stride(), scaled.stride());
    for (row, line) in square.data.chunks_exact_mut(stride).skip(top).zip(scaled.data.chunks_exact(from)) {
        if let Some(place) = row.get_mut(left..left + from) {
            place.copy_from_slice(line);
        }
    }
    square
}
