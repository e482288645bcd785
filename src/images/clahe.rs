//! Contrast-limited adaptive histogram equalisation, as OpenCV's `createCLAHE(clip, (tiles, tiles)).apply`.
//!
//! The picture is cut into tiles; each tile's histogram is clipped, what was cut off dealt out evenly, and its running
//! sum becomes a table of 256 levels; a pixel's value is interpolated between the tables of the four nearest tile
//! centres (Zuiderveld 1994). Rounding, the dealing of the remainder and the border follow OpenCV, in `f32`.

use pulp::{Simd, WithSimd};

use super::Pixels;
use crate::simd::arch;

type Table = [u8; 256];

/// Equalises each channel by itself. `clip` above 0 (at 0 nothing is clipped), `tiles` from 1.
pub(super) fn clahe(mut pixels: Pixels, clip: f64, tiles: u32) -> Pixels {
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let channels = usize::from(pixels.channels);
    let tiles = tiles as usize;
    if channels == 1 {
        equalise(&mut pixels.data, (width, height), clip, tiles);
        return pixels;
    }
    for channel in 0..channels {
        let mut plane: Vec<u8> = pixels.data.iter().skip(channel).step_by(channels).copied().collect();
        equalise(&mut plane, (width, height), clip, tiles);
        for (to, from) in pixels.data.iter_mut().skip(channel).step_by(channels).zip(plane) {
            *to = from;
        }
    }
    pixels
}

/// `plane` has `width * height` levels.
fn equalise(plane: &mut [u8], size: (usize, usize), clip: f64, tiles: usize) {
    // Where one side does not divide, OpenCV adds to *both*, a whole `tiles` to the one that does.
    let divides = size.0.is_multiple_of(tiles) && size.1.is_multiple_of(tiles);
    let padded = |length: usize| if divides { length } else { length + tiles - length % tiles };
    let tile = (padded(size.0) / tiles, padded(size.1) / tiles);
    arch().dispatch(Equalise { plane, size, tile, clip, tiles });
}

/// The work, compiled for each kind of vectors there is.
struct Equalise<'a> {
    plane: &'a mut [u8],
    size: (usize, usize),
    tile: (usize, usize),
    clip: f64,
    tiles: usize,
}

impl WithSimd for Equalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let tables = tables(self.plane, self.size, self.tile, self.clip, self.tiles);
        let across: Vec<Between> = (0..self.size.0).map(|x| Between::new(x, self.tile.0, self.tiles)).collect();
        let [first, second] = [|x: &Between| x.weight_first, |x: &Between| x.weight_second]
            .map(|weight| across.iter().map(weight).collect::<Vec<f32>>());
        let strips: Vec<&[Between]> = across.chunk_by(Between::alike).collect();
        let mut corners: Vec<Corners> = Vec::with_capacity(strips.len());
        let mut levels = vec![0; self.size.0];
        let mut last = None;
        for (y, row) in self.plane.chunks_exact_mut(self.size.0).enumerate() {
            let down = Between::new(y, self.tile.1, self.tiles);
            if !last.is_some_and(|last| down.alike(&last)) {
                corners.clear();
                corners.extend(strips.iter().map(|strip| {
                    let table = |row: usize, column: usize| &tables[row * self.tiles + column];
                    let [left, right] = [strip[0].first, strip[0].second];
                    corners_of([
                        table(down.first, left),
                        table(down.first, right),
                        table(down.second, left),
                        table(down.second, right),
                    ])
                }));
            }
            let (mut from, mut to) = (&*row, levels.as_mut_slice());
            for (strip, corners) in strips.iter().zip(&corners) {
                let (values, rest) = from.split_at(strip.len());
                let (levels, after) = to.split_at_mut(strip.len());
                for (level, value) in levels.iter_mut().zip(values) {
                    *level = corners[usize::from(*value)];
                }
                (from, to) = (rest, after);
            }
            blend(row, &levels, [&first, &second], &down);
            last = Some(down);
        }
    }
}

/// What a level becomes in four tiles, a byte each: above first and second, below first and second.
type Corners = [u32; 256];

#[inline(always)]
fn corners_of([one, two, three, four]: [&Table; 4]) -> Corners {
    let mut corners = [0; 256];
    for ((corners, (one, two)), (three, four)) in
        corners.iter_mut().zip(one.iter().zip(two)).zip(three.iter().zip(four))
    {
        *corners = u32::from_le_bytes([*one, *two, *three, *four]);
    }
    corners
}

/// A row at once, with nothing that depends on a value.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "bytes")]
#[inline(always)]
fn blend(row: &mut [u8], levels: &[u32], [first, second]: [&[f32]; 2], down: &Between) {
    for ((to, levels), (first, second)) in row.iter_mut().zip(levels).zip(first.iter().zip(second)) {
        let corner = |shift: u32| (levels >> shift & 0xFF) as i32 as f32;
        let upper = corner(0) * first + corner(8) * second;
        let lower = corner(16) * first + corner(24) * second;
        *to = rounded(upper * down.weight_first + lower * down.weight_second);
    }
}

/// The nearest whole number of 0 to 255, halves to even as OpenCV's `cvRound`: beyond 1.5 * 2^23 the last bits of an
/// `f32` are the whole number.
#[expect(clippy::cast_possible_truncation, reason = "the last byte is meant")]
#[inline(always)]
fn rounded(value: f32) -> u8 {
    (value + 12_582_912.0).to_bits() as u8
}

/// The two tiles a place lies between, along one axis.
#[derive(Debug, Clone, Copy)]
struct Between {
    first: usize,
    second: usize,
    weight_first: f32,
    weight_second: f32,
}

impl Between {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "places and tile numbers: small, and negative ones are meant to become 0"
    )]
    #[inline(always)]
    fn new(place: usize, length: usize, tiles: usize) -> Self {
        let position = place as f32 * (1.0 / length as f32) - 0.5;
        let before = position.floor();
        let weight_second = position - before;
        let first = (before.max(0.0) as usize).min(tiles - 1);
        let second = ((before + 1.0) as usize).min(tiles - 1);
        Self { first, second, weight_first: 1.0 - weight_second, weight_second }
    }

    /// Between the same two?
    fn alike(&self, other: &Self) -> bool {
        (self.first, self.second) == (other.first, other.second)
    }
}

/// One table a tile, row by row. Here and below sums wrap in name only, for vectors: none is more than a picture's pixels.
#[inline(always)]
fn tables(plane: &[u8], size: (usize, usize), tile: (usize, usize), clip: f64, tiles: usize) -> Vec<Table> {
    let area = tile.0 * tile.1;
    let mut tables = Vec::with_capacity(tiles * tiles);
    for tile_y in 0..tiles {
        for tile_x in 0..tiles {
            let mut counts = [[0u32; 256]; 4];
            for y in tile_y * tile.1..(tile_y + 1) * tile.1 {
                let row = &plane[mirrored(y, size.1) * size.0..][..size.0];
                let (left, right) = (tile_x * tile.0, (tile_x + 1) * tile.0);
                count(row.get(left..right.min(size.0)).unwrap_or_default(), &mut counts);
                for x in left.max(size.0)..right.max(size.0) {
                    counts[0][usize::from(row[mirrored(x, size.0)])] += 1;
                }
            }
            let [mut histogram, others @ ..] = counts;
            for counts in &others {
                for (total, count) in histogram.iter_mut().zip(counts) {
                    *total = total.wrapping_add(*count);
                }
            }
            clip_histogram(&mut histogram, area, clip);
            tables.push(table(histogram, area));
        }
    }
    tables
}

/// Counts levels in four histograms by turns: neighbours are often equal, and one count would wait for the other.
#[inline(always)]
fn count(values: &[u8], counts: &mut [[u32; 256]; 4]) {
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        for (counts, value) in counts.iter_mut().zip(four) {
            let count = &mut counts[usize::from(*value)];
            *count = count.wrapping_add(1);
        }
    }
    for value in rest {
        counts[0][usize::from(*value)] += 1;
    }
}

/// OpenCV's `BORDER_REFLECT_101`: beyond the last pixel come the one before it and so on.
fn mirrored(place: usize, length: usize) -> usize {
    if place < length || length == 1 {
        return place.min(length - 1);
    }
    let period = 2 * (length - 1);
    let place = place % period;
    place.min(period - place)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a tile's area; `as` truncates as OpenCV's cast to int does"
)]
#[inline(always)]
fn clip_histogram(histogram: &mut [u32; 256], area: usize, clip: f64) {
    if clip <= 0.0 {
        return;
    }
    let limit = ((clip * area as f64 / 256.0) as u32).max(1);
    let mut clipped = 0_u32;
    for count in histogram.iter_mut() {
        clipped = count.saturating_sub(limit).wrapping_add(clipped);
        *count = (*count).min(limit);
    }
    let each = clipped / 256;
    for count in histogram.iter_mut() {
        *count = count.wrapping_add(each);
    }
    // so many steps end within the 256 levels
    let rest = (clipped % 256) as usize;
    let step = 256_usize.checked_div(rest).unwrap_or(1);
    for count in histogram.iter_mut().step_by(step).take(rest) {
        *count = count.wrapping_add(1);
    }
}

/// The running sum, spread over 0 to 255.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "OpenCV's own arithmetic, in f32; pixels are few"
)]
#[inline(always)]
fn table(mut histogram: [u32; 256], area: usize) -> Table {
    let scale = 255.0 / area as f32;
    let mut sum = 0_u32;
    for count in &mut histogram {
        sum = count.wrapping_add(sum);
        *count = sum;
    }
    histogram.map(|sum| rounded(sum as i32 as f32 * scale))
}

#[cfg(test)]
mod tests {
    use super::super::level;
    use super::*;

    #[test]
    fn the_border_mirrors_without_repeating_the_edge() {
        let of_four: Vec<usize> = (0..9).map(|place| mirrored(place, 4)).collect();
        assert_eq!(of_four, [0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!(mirrored(5, 1), 0);
    }

    #[test]
    fn rounding_is_to_the_nearest_and_halves_to_even() {
        for quarter in 0..=1020_u16 {
            let value = f32::from(quarter) / 4.0;
            assert_eq!(rounded(value), level(value), "{value}");
        }
        assert_eq!((rounded(255.0_f32.next_up()), rounded(0.5_f32.next_up())), (255, 1));
    }

    #[test]
    fn clipping_keeps_the_number_of_pixels() {
        for clip in [0.1, 1.0, 2.0, 3.7, 40.0] {
            let mut histogram = [0u32; 256];
            for place in 0..1000usize {
                histogram[(place * place) % 97] += 1;
            }
            clip_histogram(&mut histogram, 1000, clip);
            assert_eq!(histogram.iter().sum::<u32>(), 1000);
        }
    }

    #[test]
    fn any_shape_and_number_of_tiles_will_do() {
        for (width, height) in [(1, 1), (1, 7), (3, 2), (17, 5)] {
            for tiles in [1, 2, 3, 8, 40] {
                let pixels = Pixels::black(width, height, 3);
                let done = clahe(pixels.clone(), 2.0, tiles);
                assert_eq!(done.data.len(), pixels.data.len());
            }
        }
    }
}
