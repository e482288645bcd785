//! Contrast-limited adaptive histogram equalisation, as OpenCV's `createCLAHE(clip, (tiles, tiles)).apply`.
//!
//! The picture is cut into tiles; each tile's histogram is clipped, what was cut off dealt out evenly, and its running
//! sum becomes a table of 256 levels; a pixel's value is interpolated between the tables of the four nearest tile
//! centres (Zuiderveld 1994). Rounding, the dealing of the remainder and the border follow OpenCV, in `f32`.

use super::{Pixels, level};

type Table = [u8; 256];

/// Pixels that are worked on together, so that the compiler can use vectors.
const TOGETHER: usize = 16;

/// Equalises each channel by itself. `clip` above 0 (at 0 nothing is clipped), `tiles` from 1.
pub(super) fn clahe(mut pixels: Pixels, clip: f64, tiles: u32) -> Pixels {
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let channels = usize::from(pixels.channels);
    let tiles = tiles as usize;
    if channels == 1 {
        pixels.data = equalise(&pixels.data, width, height, clip, tiles);
        return pixels;
    }
    for channel in 0..channels {
        let plane: Vec<u8> = pixels.data.iter().skip(channel).step_by(channels).copied().collect();
        let equalised = equalise(&plane, width, height, clip, tiles);
        for (to, from) in pixels.data.iter_mut().skip(channel).step_by(channels).zip(equalised) {
            *to = from;
        }
    }
    pixels
}

/// `plane` has `width * height` levels.
#[expect(clippy::cast_precision_loss, reason = "sides of at most 16,384 are exact in f32")]
fn equalise(plane: &[u8], width: usize, height: usize, clip: f64, tiles: usize) -> Vec<u8> {
    // Where one side does not divide, OpenCV adds to *both*, a whole `tiles` to the one that does.
    let divides = width.is_multiple_of(tiles) && height.is_multiple_of(tiles);
    let padded = |length: usize| if divides { length } else { length + tiles - length % tiles };
    let (tile_width, tile_height) = (padded(width) / tiles, padded(height) / tiles);
    let tables = tables(plane, (width, height), (tile_width, tile_height), clip, tiles);

    let across: Vec<Between> = (0..width).map(|x| Between::new(x, 1.0 / tile_width as f32, tiles)).collect();
    let strips: Vec<&[Between]> = across.chunk_by(|a, b| (a.first, a.second) == (b.first, b.second)).collect();
    let mut corners: Vec<Corners> = Vec::new();
    let mut between = None;
    let mut result = vec![0; plane.len()];
    for ((y, row), mut out) in plane.chunks_exact(width).enumerate().zip(result.chunks_exact_mut(width)) {
        let down = Between::new(y, 1.0 / tile_height as f32, tiles);
        if between.replace((down.first, down.second)) != Some((down.first, down.second)) {
            let (above, below) = (&tables[down.first * tiles..][..tiles], &tables[down.second * tiles..][..tiles]);
            let strip = |strip: &&[Between]| {
                let (first, second) = (strip[0].first, strip[0].second);
                corners_of([&above[first], &above[second], &below[first], &below[second]])
            };
            corners = strips.iter().map(strip).collect();
        }
        let mut row = row;
        for (strip, corners) in strips.iter().zip(&corners) {
            let (values, rest) = row.split_at(strip.len());
            let (to, after) = out.split_at_mut(strip.len());
            interpolate(values, to, strip, corners, &down);
            (row, out) = (rest, after);
        }
    }
    result
}

/// What a level becomes in four tiles, a byte each: above first and second, below first and second.
type Corners = [u32; 256];

fn corners_of(tables: [&Table; 4]) -> Corners {
    std::array::from_fn(|level| u32::from_le_bytes(tables.map(|table| table[level])))
}

/// A row's pixels between the same four tiles.
fn interpolate(values: &[u8], to: &mut [u8], across: &[Between], corners: &Corners, down: &Between) {
    let pieces = values.chunks(TOGETHER).zip(to.chunks_mut(TOGETHER)).zip(across.chunks(TOGETHER));
    for ((values, to), across) in pieces {
        let mut levels = [0_u32; TOGETHER];
        let mut weights = [[0.0_f32; TOGETHER]; 2];
        for (level, value) in levels.iter_mut().zip(values) {
            *level = corners[usize::from(*value)];
        }
        let [first, second] = &mut weights;
        for ((first, second), x) in first.iter_mut().zip(second).zip(across) {
            (*first, *second) = (x.weight_first, x.weight_second);
        }
        for (to, level) in to.iter_mut().zip(blend(&levels, &weights, down)) {
            *to = level;
        }
    }
}

/// All at once, with nothing that depends on a value.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "bytes")]
fn blend(levels: &[u32; TOGETHER], [first, second]: &[[f32; TOGETHER]; 2], down: &Between) -> [u8; TOGETHER] {
    std::array::from_fn(|at| {
        let corner = |shift: u32| (levels[at] >> shift & 0xFF) as i32 as f32;
        let upper = corner(0) * first[at] + corner(8) * second[at];
        let lower = corner(16) * first[at] + corner(24) * second[at];
        rounded(upper * down.weight_first + lower * down.weight_second)
    })
}

/// The nearest whole number of 0 to 255, halves to even: beyond 1.5 * 2^23 the last bits of an `f32` are the whole number.
#[expect(clippy::cast_possible_truncation, reason = "the last byte is meant")]
fn rounded(value: f32) -> u8 {
    (value + 12_582_912.0).to_bits() as u8
}

/// The two tiles a place lies between, along one axis.
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
        reason = "tile numbers: small, and negative ones are meant to become 0"
    )]
    fn new(place: usize, inverse_length: f32, tiles: usize) -> Self {
        let position = place as f32 * inverse_length - 0.5;
        let before = position.floor();
        let weight_second = position - before;
        let first = (before.max(0.0) as usize).min(tiles - 1);
        let second = ((before + 1.0) as usize).min(tiles - 1);
        Self { first, second, weight_first: 1.0 - weight_second, weight_second }
    }
}

/// One table a tile, row by row.
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
            let mut histogram = std::array::from_fn(|level| counts.iter().map(|counts| counts[level]).sum());
            clip_histogram(&mut histogram, area, clip);
            tables.push(table(&histogram, area));
        }
    }
    tables
}

/// Counts levels in four histograms by turns: neighbours are often equal, and one count would wait for the other.
fn count(values: &[u8], counts: &mut [[u32; 256]; 4]) {
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        for (counts, value) in counts.iter_mut().zip(four) {
            counts[usize::from(*value)] += 1;
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
fn clip_histogram(histogram: &mut [u32; 256], area: usize, clip: f64) {
    if clip <= 0.0 {
        return;
    }
    let limit = ((clip * area as f64 / 256.0) as u32).max(1);
    let mut clipped = 0;
    for count in histogram.iter_mut() {
        clipped += count.saturating_sub(limit);
        *count = (*count).min(limit);
    }
    let each = clipped / 256;
    let mut rest = (clipped % 256) as usize;
    for count in histogram.iter_mut() {
        *count += each;
    }
    if let Some(step) = 256usize.checked_div(rest) {
        for count in histogram.iter_mut().step_by(step.max(1)) {
            if rest == 0 {
                break;
            }
            *count += 1;
            rest -= 1;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "OpenCV's own arithmetic, in f32")]
fn table(histogram: &[u32; 256], area: usize) -> Table {
    let scale = 255.0 / area as f32;
    let mut sum = 0u32;
    histogram.map(|count| {
        sum += count;
        level(sum as f32 * scale)
    })
}

#[cfg(test)]
mod tests {
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
