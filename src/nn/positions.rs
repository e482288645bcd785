//! A vision transformer's table of positions for another size of image.
//!
//! As timm does when it loads weights (`resample_abs_pos_embed`): cubic convolution with a = -0.5, widened when the grid
//! shrinks (antialias), the class token's row left alone. That is torch's `interpolate(mode = "bicubic", antialias = True)`,
//! which takes its filter from Pillow.

/// The table for a grid of `new` rows and columns from one of `old`; both begin with one row for the class token.
/// `None` where the table is not of the old grid.
///
/// # Shapes
/// `[1, 1 + old rows * old columns, width]` in row-major order to `[1, 1 + new rows * new columns, width]`.
#[must_use]
pub(super) fn resample(table: &[f32], width: usize, old: [usize; 2], new: [usize; 2]) -> Option<Vec<f32>> {
    let (class, patches) = table.split_at_checked(width)?;
    if patches.len() != old[0] * old[1] * width || patches.is_empty() || new.contains(&0) {
        return None;
    }
    let mut resized = class.to_vec();
    if old == new {
        resized.extend_from_slice(patches);
        return Some(resized);
    }
    // Columns first, then rows; each row of the grid is `columns * width` numbers.
    let taps = taps(old[1], new[1]);
    let mut wide = Vec::with_capacity(old[0] * new[1] * width);
    for row in patches.chunks_exact(old[1] * width) {
        for tap in &taps {
            wide.extend(tap.apply(row, width));
        }
    }
    for tap in self::taps(old[0], new[0]) {
        resized.extend(tap.apply(&wide, new[1] * width));
    }
    Some(resized)
}

/// The side of the square grid that a table of so many rows is of, if it is of one.
pub(super) fn square(rows: usize) -> Option<[usize; 2]> {
    let side = rows.checked_sub(1)?.isqrt();
    (side * side + 1 == rows && side > 0).then_some([side; 2])
}

/// What one new place takes of the old ones.
struct Tap {
    first: usize,
    weights: Vec<f64>,
}

impl Tap {
    /// The weighted sum of rows of `size` numbers.
    fn apply(&self, rows: &[f32], size: usize) -> Vec<f32> {
        let mut sums = vec![0.0; size];
        for (row, weight) in rows.chunks_exact(size).skip(self.first).zip(&self.weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += weight * f64::from(*value);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "tables are of single precision")]
        let row = sums.into_iter().map(|sum| sum as f32).collect();
        row
    }
}

#[expect(clippy::cast_precision_loss, reason = "patches along a side")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "patches along a side, not below 0")]
fn taps(old: usize, new: usize) -> Vec<Tap> {
    let scale = old as f64 / new as f64;
    let stretch = scale.max(1.0);
    let reach = 2.0 * stretch;
    let tap = |place: usize| {
        let centre = scale * (place as f64 + 0.5);
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(old);
        let mut weights: Vec<f64> = (first..end).map(|at| cubic((at as f64 - centre + 0.5) / stretch)).collect();
        let sum: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        Tap { first, weights }
    };
    (0..new).map(tap).collect()
}

/// Keys 1981, with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        old: [usize; 2],
        new: [usize; 2],
        table: Vec<f32>,
    }

    /// zoo-gen v1's `0.5 s("pos_embed")`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the formula says so")]
    fn table(count: u64) -> Vec<f32> {
        let seed = crate::nn::names::hash("pos_embed");
        let value = |index: u64| {
            let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            (0.5 * ((z >> 40) as f64 - 8_388_608.0) / 8_388_608.0) as f32
        };
        (0..count).map(value).collect()
    }

    #[test]
    fn tables_are_resampled_as_timm_does() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nn/positions.json");
        let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for Case { old, new, table: expected } in cases {
            let ours = resample(&table(2 * (1 + old[0] * old[1]) as u64), 2, old, new).unwrap();
            assert_eq!(ours.len(), expected.len());
            let gap = ours.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(gap <= 1e-6, "{old:?} to {new:?}: {gap}");
        }
        assert_eq!(resample(&[0.0; 6], 2, [2, 2], [1, 1]), None, "not a table of that grid");
    }
}
