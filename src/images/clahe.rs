//! Contrast-limited adaptive histogram equalisation, as OpenCV's `createCLAHE(clip, (tiles, tiles)).apply`.
//!
//! The picture is cut into tiles; each tile's histogram is clipped, what was cut off dealt out evenly, and its running
//! sum becomes a table of 256 levels; a pixel's value is interpolated between the tables of the four nearest tile
//! centres (Zuiderveld 1994). Rounding, the dealing of the remainder and the border follow OpenCV, in `f32`.

use super::{Pixels, level};

type Table = [u8; 256];

/// Equalises each channel by itself. `clip` above 0 (at 0 nothing is clipped), `tiles` from 1.
pub(super) fn clahe(mut pixels: Pixels, clip: f64, tiles: u32) -> Pixels {
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let channels = usize::from(pixels.channels);
    let tiles = tiles as usize;
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
    let mut result = Vec::with_capacity(plane.len());
    for (y, row) in plane.chunks_exact(width).enumerate() {
        let down = Between::new(y, 1.0 / tile_height as f32, tiles);
        let above = &tables[down.first * tiles..][..tiles];
        let below = &tables[down.second * tiles..][..tiles];
        for (&value, x) in row.iter().zip(&across) {
            let at = |tables: &[Table], tile: usize| f32::from(tables[tile][usize::from(value)]);
            let upper = at(above, x.first) * x.weight_first + at(above, x.second) * x.weight_second;
            let lower = at(below, x.first) * x.weight_first + at(below, x.second) * x.weight_second;
            result.push(level(upper * down.weight_first + lower * down.weight_second));
        }
    }
    result
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
            let mut histogram = [0u32; 256];
            for y in tile_y * tile.1..(tile_y + 1) * tile.1 {
                let row = &plane[mirrored(y, size.1) * size.0..][..size.0];
                let (left, right) = (tile_x * tile.0, (tile_x + 1) * tile.0);
                for &value in row.get(left..right.min(size.0)).unwrap_or_default() {
                    histogram[usize::from(value)] += 1;
                }
                for x in left.max(size.0)..right.max(size.0) {
                    histogram[usize::from(row[mirrored(x, size.0)])] += 1;
                }
            }
            clip_histogram(&mut histogram, area, clip);
            tables.push(table(&histogram, area));
        }
    }
    tables
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
