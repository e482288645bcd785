//! Sums in 16 lanes, which the compiler keeps in vector registers; the order of adding is fixed.

/// A sum of f32 values.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: [f32; 16],
    pub(super) rest: f32,
}

impl Lanes {
    /// Adds `of(a, b)` for each pair of two slices of one length.
    #[inline(always)]
    pub(super) fn add(&mut self, a: &[f32], b: &[f32], of: impl Fn(f32, f32) -> f32) {
        let b = &b[..a.len()];
        let (a, a_rest) = a.as_chunks::<16>();
        let (b, b_rest) = b.as_chunks::<16>();
        for (a, b) in a.iter().zip(b) {
            for (lane, (a, b)) in self.lanes.iter_mut().zip(a.iter().zip(b)) {
                *lane += of(*a, *b);
            }
        }
        for (a, b) in a_rest.iter().zip(b_rest) {
            self.rest += of(*a, *b);
        }
    }

    #[inline(always)]
    pub(super) fn total(&self) -> f32 {
        self.lanes.iter().sum::<f32>() + self.rest
    }
}
