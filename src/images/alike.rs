//! Films that look alike: a picture becomes 256 bits that survive another size, another file format and a little
//! brightness, and pairs whose bits hardly differ are found without comparing everything with everything.
//!
//! The bits are a difference hash: the picture is averaged down to 17 x 16 cells, and each bit says whether a cell is
//! darker than its right neighbour. (Krawetz, "Kind of Like That", 2013, with 8 x 8 bits; chest films of different
//! people are too much alike for 64.)

use std::collections::BTreeSet;

use super::Pixels;

const COLUMNS: usize = 17;
const ROWS: usize = 16;
/// Least difference between the brightest and the darkest cell of a picture that shows anything.
const LEAST_RANGE: u32 = 8;
/// Cut into so many pieces, bits of two pictures that differ in fewer places agree in one piece at least.
const PIECES: usize = 8;
/// More pictures than this with the same piece are background, and say nothing.
const CROWD: usize = 400;

/// Pairs that differ in at most so many of the 256 bits look alike.
pub const NEAR: u32 = 7;

/// The look of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look([u32; PIECES]);

impl Look {
    /// Of a picture; `None` where it shows next to nothing.
    #[must_use]
    pub fn of(pixels: &Pixels) -> Option<Self> {
        let cells = cells(pixels)?;
        let (low, high) = (cells.iter().min()?, cells.iter().max()?);
        if high - low < LEAST_RANGE {
            return None;
        }
        let mut bits = [0; PIECES];
        for row in 0..ROWS {
            for column in 0..COLUMNS - 1 {
                let at = row * COLUMNS + column;
                let bit = row * (COLUMNS - 1) + column;
                if let (true, Some(piece)) = (cells.get(at) < cells.get(at + 1), bits.get_mut(bit / 32)) {
                    *piece |= 1 << (bit % 32);
                }
            }
        }
        Some(Self(bits))
    }

    /// In how many of the 256 bits two looks differ.
    #[must_use]
    pub fn distance(&self, other: &Self) -> u32 {
        self.0.iter().zip(&other.0).map(|(one, two)| (one ^ two).count_ones()).sum()
    }

    /// As 64 hex digits.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.iter().map(|piece| format!("{piece:08x}")).collect()
    }

    /// What [`Look::to_text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bits = [0; PIECES];
        for (at, piece) in bits.iter_mut().enumerate() {
            *piece = u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?;
        }
        (text.len() == PIECES * 8).then_some(Self(bits))
    }
}

/// Mean grey value of each cell, in sixteenths; `None` for pictures of less than a pixel a cell.
fn cells(pixels: &Pixels) -> Option<Vec<u32>> {
    let (width, height, channels) = (pixels.width as usize, pixels.height as usize, usize::from(pixels.channels));
    if width < COLUMNS || height < ROWS || channels == 0 {
        return None;
    }
    let mut sums = vec![(0_u64, 0_u64); COLUMNS * ROWS];
    for (y, line) in pixels.data.chunks_exact(width * channels).take(height).enumerate() {
        let row = y * ROWS / height;
        for (x, pixel) in line.chunks_exact(channels).enumerate() {
            let grey: u64 = pixel.iter().map(|&level| u64::from(level)).sum();
            if let Some((sum, count)) = sums.get_mut(row * COLUMNS + x * COLUMNS / width) {
                *sum += grey;
                *count += channels as u64;
            }
        }
    }
    Some(sums.iter().map(|(sum, count)| u32::try_from(sum * 16 / (*count).max(1)).unwrap_or(u32::MAX)).collect())
}

/// Two pictures that look alike, by their indices, the smaller one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alike {
    /// One.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// In how many of 256 bits they differ.
    pub distance: u32,
}

/// Every pair that differs in at most [`NEAR`] bits, in order of the indices.
#[must_use]
pub fn pairs(looks: &[Option<Look>]) -> Vec<Alike> {
    let mut found = BTreeSet::new();
    for piece in 0..PIECES {
        let mut by_piece: Vec<(u32, usize, Look)> = looks
            .iter()
            .enumerate()
            .filter_map(|(index, look)| look.and_then(|look| Some((*look.0.get(piece)?, index, look))))
            .collect();
        by_piece.sort_unstable_by_key(|(bits, index, _)| (*bits, *index));
        for same in by_piece.chunk_by(|one, two| one.0 == two.0).filter(|same| same.len() <= CROWD) {
            for (at, (_, first, look)) in same.iter().enumerate() {
                for (_, second, other) in same.iter().skip(at + 1) {
                    let distance = look.distance(other);
                    if distance <= NEAR {
                        found.insert(Alike { first: *first, second: *second, distance });
                    }
                }
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

    use super::*;
    use crate::images::phantom;

    /// Half the side, each pixel the mean of four, brighter.
    fn smaller(pixels: &Pixels) -> Pixels {
        let (width, height) = (pixels.width / 2, pixels.height / 2);
        let at = |x: u32, y: u32| u32::from(pixels.data[(y * pixels.width + x) as usize]);
        let mean = |x: u32, y: u32| {
            (at(2 * x, 2 * y) + at(2 * x + 1, 2 * y) + at(2 * x, 2 * y + 1) + at(2 * x + 1, 2 * y + 1)) / 4
        };
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Pixels { width, height, channels: 1, data: data.map(|(x, y)| (mean(x, y) + 3).min(255) as u8).collect() }
    }

    #[test]
    fn a_film_is_found_again_at_half_the_size_and_no_other_is() {
        let films: Vec<Pixels> = (0..60).map(|row| phantom::draw(60, 60, 3, row)).collect();
        let mut looks: Vec<Option<Look>> = films.iter().map(Look::of).collect();
        assert!(looks.iter().all(Option::is_some));
        assert!(pairs(&looks).is_empty(), "{:?}", pairs(&looks));
        looks.extend([5, 17].map(|film| Look::of(&smaller(&films[film]))));
        let found: Vec<(usize, usize)> = pairs(&looks).iter().map(|pair| (pair.first, pair.second)).collect();
        assert_eq!(found, [(5, 60), (17, 61)]);
        let look = looks[5].unwrap();
        assert_eq!(Look::parse(&look.to_text()), Some(look));
        assert_eq!(Look::parse("0123"), None);
    }

    #[test]
    fn an_empty_film_looks_like_nothing() {
        assert_eq!(Look::of(&Pixels { width: 64, height: 64, channels: 1, data: vec![7; 64 * 64] }), None);
        assert_eq!(Look::of(&Pixels { width: 4, height: 4, channels: 1, data: vec![7; 16] }), None);
    }
}
