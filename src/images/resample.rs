//! Resampling of bytes as Pillow's `resize` does it: each row first, then each column, with what overshoots 0..255 cut
//! off between.
//!
//! A new pixel is a weighted sum of old ones; the weights are the filter's, drawn out where a picture is made smaller,
//! in 16 bits of fixed point. Some rows are scaled side by side, and all columns are, in loops that are compiled for
//! each kind of vectors there is; sums of whole numbers are the same in any order.

use std::f64::consts::PI;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::Pixels;
use crate::simd::arch;

/// Rows that are summed side by side: so many that the loop over them is the one that becomes vectors.
const ROWS: usize = 64;
/// Rows and columns that are turned at once, bytes of a word.
const BLOCK: usize = 8;
/// Bits of a weight, its sign left out.
const WEIGHT_BITS: u32 = 15;
/// Most bits behind the point: before it stand eight of a level, two for what overshoots, and a sign.
const MOST_BITS: u32 = 21;

/// A filter: its weight at a distance, and the distance from which on it has none.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    weight: fn(f64) -> f64,
    reach: f64,
}

pub(super) const LANCZOS: Kernel = Kernel { weight: lanczos, reach: 3.0 };
pub(super) const BICUBIC: Kernel = Kernel { weight: bicubic, reach: 2.0 };
pub(super) const BILINEAR: Kernel = Kernel { weight: |x| 1.0 - x.abs(), reach: 1.0 };

/// `sinc(x) * sinc(x / 3)`, with one sine for both: sin 3a = sin a * (3 - 4 sin² a).
fn lanczos(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let angle = x * PI / 3.0;
    let sine = angle.sin();
    sine * sine * (3.0 - 4.0 * sine * sine) / (3.0 * angle * angle)
}

/// Keys's cubic with a = -1/2.
fn bicubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 { (1.5 * x - 2.5) * x * x + 1.0 } else { (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 }
}

/// The part of a line that is scaled, in fractions of old pixels, and how many new ones it gives.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) start: f64,
    pub(super) length: f64,
    pub(super) count: u32,
}

/// The part of an image that `across` and `down` span, scaled.
pub(super) fn resample(pixels: &Pixels, across: Span, down: Span, kernel: Kernel) -> Pixels {
    let by_row = Weights::new(pixels.height, down, kernel);
    let by_column = if (across, pixels.width) == (down, pixels.height) {
        by_row.clone()
    } else {
        Weights::new(pixels.width, across, kernel)
    };
    let channels = usize::from(pixels.channels);
    let stride = across.count as usize * channels;
    let rows = by_row.needed();
    let mut narrow = vec![0; rows.len() * stride];
    let from = &pixels.data[rows.start * pixels.stride()..rows.end * pixels.stride()];
    arch().dispatch(Across { rows: from, channels, weights: &by_column, narrow: &mut narrow });
    let mut data = vec![0; down.count as usize * stride];
    arch().dispatch(Down { rows: &narrow, top: rows.start, stride, weights: &by_row, data: &mut data });
    Pixels { width: across.count, height: down.count, channels: pixels.channels, data }
}

/// What each new pixel takes of the old ones.
#[derive(Clone)]
struct Weights {
    /// Old pixels of the line.
    length: usize,
    /// Where each new pixel's weights begin.
    first: Vec<usize>,
    /// Weights of a new pixel; those at the end may be zeros that lie beyond the line.
    each: usize,
    values: Vec<i32>,
    /// A weight of 1 is `1 << bits`.
    bits: u32,
    /// Where all weights end.
    end: usize,
}

impl Weights {
    /// Of a line of `length` pixels, at least 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places within a line, and 16 bits")]
    fn new(length: u32, span: Span, Kernel { weight, reach }: Kernel) -> Self {
        let scale = span.length / f64::from(span.count);
        let stretch = scale.max(1.0);
        let within = reach * stretch;
        let (mut first, mut exact, mut end) = (Vec::new(), Vec::new(), 0);
        for place in 0..span.count {
            let middle = span.start + (f64::from(place) + 0.5) * scale;
            let from = (middle - within).floor().max(0.0) as u32;
            let to = (middle + within).ceil().min(f64::from(length)) as u32;
            let distance = |old: u32| (f64::from(old) - (middle - 0.5)) * (1.0 / stretch);
            let weight = |x: f64| if x.abs() < reach { weight(x) } else { 0.0 };
            let mut weights: Vec<f64> = (from..to).map(|old| weight(distance(old))).collect();
            let sum: f64 = weights.iter().sum();
            for weight in &mut weights {
                *weight /= sum;
            }
            first.push(from as usize);
            exact.push(weights);
            end = end.max(to as usize);
        }
        let largest = exact.iter().flatten().copied().fold(0.0, f64::max);
        let unit = |bits: u32| f64::from(1_u32 << bits);
        let full = |bits: &u32| (largest * unit(bits + 1)).round() >= unit(WEIGHT_BITS);
        let bits = (0..MOST_BITS).find(full).unwrap_or(MOST_BITS);
        let each = exact.iter().map(Vec::len).max().unwrap_or(1);
        let mut values = vec![0; exact.len() * each];
        for (values, weights) in values.chunks_exact_mut(each).zip(&exact) {
            for (value, weight) in values.iter_mut().zip(weights) {
                *value = (weight * unit(bits)).round() as i32;
            }
        }
        Self { length: length as usize, first, each, values, bits, end }
    }

    /// The old pixels that any weight is for.
    fn needed(&self) -> Range<usize> {
        self.first.first().copied().unwrap_or(0)..self.end
    }

    /// Where each new pixel's weights begin, and these.
    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.first.iter().copied().zip(self.values.chunks_exact(self.each))
    }
}

/// Half of a weight of 1: sums begin with it and so come out rounded.
#[inline(always)]
fn half(bits: u32) -> i32 {
    1 << bits >> 1
}

/// A sum of weighted levels as a level.
#[expect(clippy::cast_sign_loss, reason = "0 to 255 after the clamp")]
#[inline(always)]
fn cut(sum: i32, bits: u32) -> u8 {
    (sum >> bits).clamp(0, 255) as u8
}

/// Each row scaled along itself, several rows side by side: they are turned, so that a column's levels are neighbours.
struct Across<'a> {
    rows: &'a [u8],
    channels: usize,
    weights: &'a Weights,
    narrow: &'a mut [u8],
}

impl WithSimd for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { rows, channels, weights, narrow } = self;
        let (from, to) = (weights.length, weights.first.len());
        let (old, new) = (from.next_multiple_of(BLOCK), to.next_multiple_of(BLOCK));
        // one channel of some rows, its columns, those scaled, and rows again
        let mut lines = vec![0; old * ROWS];
        let mut columns = vec![[0; ROWS]; old];
        let mut scaled = vec![[0; ROWS]; new];
        let mut done = vec![0; new * ROWS];
        for (rows, narrow) in rows.chunks(from * channels * ROWS).zip(narrow.chunks_mut(to * channels * ROWS)) {
            for channel in 0..channels {
                for (line, row) in lines.chunks_exact_mut(old).zip(rows.chunks_exact(from * channels)) {
                    if channels == 1 {
                        line[..from].copy_from_slice(row);
                        continue;
                    }
                    for (to, from) in line.iter_mut().zip(row[channel..].chunks(channels)) {
                        *to = from[0];
                    }
                }
                turn(&lines, &mut columns);
                for (column, (first, weights_of)) in scaled.iter_mut().zip(weights.iter()) {
                    *column = sum(&columns[first..], weights_of, weights.bits);
                }
                turn_back(&scaled, &mut done);
                for (line, row) in done.chunks_exact(new).zip(narrow.chunks_exact_mut(to * channels)) {
                    if channels == 1 {
                        row.copy_from_slice(&line[..to]);
                        continue;
                    }
                    for (to, from) in row[channel..].chunks_mut(channels).zip(line) {
                        to[0] = *from;
                    }
                }
            }
        }
    }
}

/// The weighted sum of lines, as levels.
#[inline(always)]
fn sum(lines: &[[u8; ROWS]], weights: &[i32], bits: u32) -> [u8; ROWS] {
    let mut sums = [half(bits); ROWS];
    for (line, weight) in lines.iter().zip(weights) {
        for (sum, level) in sums.iter_mut().zip(line) {
            *sum = sum.wrapping_add(i32::from(*level).wrapping_mul(*weight));
        }
    }
    let mut levels = [0; ROWS];
    for (level, sum) in levels.iter_mut().zip(sums) {
        *level = cut(sum, bits);
    }
    levels
}

/// Lines of a length that blocks divide become columns.
#[inline(always)]
fn turn(lines: &[u8], columns: &mut [[u8; ROWS]]) {
    let length = columns.len();
    for (x, columns) in columns.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        for (y, lines) in lines.chunks_exact(length * BLOCK).enumerate() {
            let mut block = [0; BLOCK];
            for (word, line) in block.iter_mut().zip(lines.chunks_exact(length)) {
                *word = line.as_chunks::<BLOCK>().0.get(x).map_or(0, |bytes| u64::from_le_bytes(*bytes));
            }
            for (column, word) in columns.iter_mut().zip(transposed(block)) {
                column[y * BLOCK..][..BLOCK].copy_from_slice(&word.to_le_bytes());
            }
        }
    }
}

/// The other way.
#[inline(always)]
fn turn_back(columns: &[[u8; ROWS]], lines: &mut [u8]) {
    let length = columns.len();
    for (x, columns) in columns.as_chunks::<BLOCK>().0.iter().enumerate() {
        for (y, lines) in lines.chunks_exact_mut(length * BLOCK).enumerate() {
            let mut block = [0; BLOCK];
            for (word, column) in block.iter_mut().zip(columns) {
                *word = column.as_chunks::<BLOCK>().0.get(y).map_or(0, |bytes| u64::from_le_bytes(*bytes));
            }
            for (line, word) in lines.chunks_exact_mut(length).zip(transposed(block)) {
                line[x * BLOCK..][..BLOCK].copy_from_slice(&word.to_le_bytes());
            }
        }
    }
}

/// Eight words of eight bytes, columns as rows: halves, quarters and eighths of them change places.
#[inline(always)]
fn transposed(mut rows: [u64; BLOCK]) -> [u64; BLOCK] {
    for (apart, mask) in [(4, 0xFFFF_FFFF), (2, 0x0000_FFFF_0000_FFFF), (1, 0x00FF_00FF_00FF_00FF)] {
        for row in (0..BLOCK).filter(|row| row & apart == 0) {
            let change = (rows[row] >> (8 * apart) ^ rows[row + apart]) & mask;
            rows[row + apart] ^= change;
            rows[row] ^= change << (8 * apart);
        }
    }
    rows
}

/// Each column scaled along itself.
struct Down<'a> {
    /// The old rows from `top` on.
    rows: &'a [u8],
    top: usize,
    stride: usize,
    weights: &'a Weights,
    data: &'a mut [u8],
}

impl WithSimd for Down<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let bits = self.weights.bits;
        let mut sums = vec![0_i32; self.stride];
        for (to, (first, weights)) in self.data.chunks_exact_mut(self.stride).zip(self.weights.iter()) {
            sums.fill(half(bits));
            let rows = &self.rows[(first - self.top) * self.stride..];
            for (row, weight) in rows.chunks_exact(self.stride).zip(weights) {
                for (sum, level) in sums.iter_mut().zip(row) {
                    *sum = sum.wrapping_add(i32::from(*level).wrapping_mul(*weight));
                }
            }
            for (to, sum) in to.iter_mut().zip(&sums) {
                *to = cut(*sum, bits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, one pixel after the other.
    fn plainly(pixels: &Pixels, across: Span, down: Span, kernel: Kernel) -> Pixels {
        let scaled = |weights: &Weights, level: &dyn Fn(usize) -> u8| -> Vec<u8> {
            let new = weights.iter().map(|(first, weights_of)| {
                let old = (first..weights.length).map(level).map(i32::from);
                cut(
                    half(weights.bits) + old.zip(weights_of).map(|(old, weight)| old * weight).sum::<i32>(),
                    weights.bits,
                )
            });
            new.collect()
        };
        let (channels, width, height) = (usize::from(pixels.channels), across.count as usize, pixels.height as usize);
        let mut narrow = vec![0; width * height * channels];
        let mut data = vec![0; width * down.count as usize * channels];
        for channel in 0..channels {
            for y in 0..height {
                let level = |x: usize| pixels.data[y * pixels.stride() + x * channels + channel];
                let new = scaled(&Weights::new(pixels.width, across, kernel), &level);
                (0..width).for_each(|x| narrow[(y * width + x) * channels + channel] = new[x]);
            }
            for x in 0..width {
                let level = |y: usize| narrow[(y * width + x) * channels + channel];
                let new = scaled(&Weights::new(pixels.height, down, kernel), &level);
                (0..new.len()).for_each(|y| data[(y * width + x) * channels + channel] = new[y]);
            }
        }
        Pixels { width: across.count, height: down.count, channels: pixels.channels, data }
    }

    #[test]
    fn many_at_once_are_what_one_by_one_are() {
        let mut draws = 1_u32;
        for (width, height, columns, rows) in [(1, 1, 5, 3), (5, 40, 33, 7), (70, 17, 9, 50), (16, 64, 24, 24)] {
            for channels in [1, 3] {
                let mut pixels = Pixels::black(width, height, channels);
                for level in &mut pixels.data {
                    draws = draws.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    *level = if draws >> 30 == 0 { 255 } else { draws.to_be_bytes()[0] };
                }
                for kernel in [LANCZOS, BICUBIC, BILINEAR] {
                    let across = Span { start: 0.0, length: f64::from(width), count: columns };
                    let cut = Span { start: f64::from(height) * 0.3, length: f64::from(height) * 0.5, count: rows };
                    for down in [Span { start: 0.0, length: f64::from(height), count: rows }, cut] {
                        let wanted = plainly(&pixels, across, down, kernel);
                        assert_eq!(resample(&pixels, across, down, kernel), wanted, "{width} x {height}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_grey_plane_stays_as_it_is() {
        let pixels = Pixels { data: vec![201; 50 * 30], ..Pixels::black(50, 30, 1) };
        for kernel in [LANCZOS, BICUBIC, BILINEAR] {
            let span = |length: u32| Span { start: 0.0, length: f64::from(length), count: 19 };
            let done = resample(&pixels, span(50), span(30), kernel);
            assert!(done.data.iter().all(|level| level.abs_diff(201) <= 1));
        }
    }

    #[test]
    fn turning_is_undone_by_turning_back() {
        let lines: Vec<u8> = (0..24 * ROWS).map(|place| u8::try_from(place % 251).unwrap_or(0)).collect();
        let (mut columns, mut back) = (vec![[0; ROWS]; 24], vec![0; lines.len()]);
        turn(&lines, &mut columns);
        assert!((0..24).all(|x| (0..ROWS).all(|y| columns[x][y] == lines[y * 24 + x])));
        turn_back(&columns, &mut back);
        assert_eq!(back, lines);
    }

    #[test]
    fn the_weights_of_lanczos_are_two_sincs() {
        let sinc = |x: f64| (x * PI).sin() / (x * PI);
        for place in 1..300 {
            let x = f64::from(place) / 100.0;
            assert!((lanczos(x) - sinc(x) * sinc(x / 3.0)).abs() < 1e-14 && (lanczos(-x) - lanczos(x)).abs() < 1e-15);
        }
        assert!((lanczos(0.0) - 1.0).abs() < 1e-15);
    }
}
