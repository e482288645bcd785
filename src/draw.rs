//! Randomness with no state to save: every draw is a pure function of its place.
//!
//! A [`DrawKey`] names the place (seed, stage, epoch, sample); [`DrawKey::stream`] gives as many numbers there as
//! are needed. Mixing is SplitMix64's finaliser (Steele, Lea, Flood 2014).

/// What a draw is for. Append only: a number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// Dealing patients into the hold-out.
    Holdout = 1,
    /// Dealing patients into folds.
    Folds = 2,
    /// Dealing a fold's training patients into the inner validation.
    Validation = 3,
    /// Choosing patients under `limit`.
    Limit = 4,
    /// First weights.
    Initialise = 5,
    /// Order of training images.
    Shuffle = 6,
    /// Augmentation of one image.
    Augment = 7,
    /// Mixing of a batch.
    Mix = 8,
    /// Dropout masks.
    Dropout = 9,
    /// Phantom anatomy and films.
    Phantom = 10,
    /// Drop path: which images skip which residual branch.
    DropPath = 11,
    /// Drawing whole patients with replacement.
    Bootstrap = 12,
}

/// The place of a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawKey {
    /// The study's seed (or one derived from it).
    pub seed: u64,
    /// What for.
    pub stage: Stage,
    /// Epoch or fold, where that means something.
    pub epoch: u32,
    /// Image, patient, step or tensor.
    pub sample: u64,
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl DrawKey {
    /// 64 bits that depend on every part of the place.
    #[must_use]
    pub fn bits(self) -> u64 {
        let a = mix(self.seed.wrapping_add(GOLDEN));
        let b = mix(a ^ u64::from(self.stage as u32).wrapping_mul(GOLDEN));
        let c = mix(b ^ u64::from(self.epoch).wrapping_add(1).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        mix(c ^ self.sample.wrapping_add(1).wrapping_mul(0xA076_1D64_78BD_642F))
    }

    /// As many numbers as are wanted at this place, always the same ones.
    #[must_use]
    pub fn stream(self) -> Stream {
        Stream { state: self.bits() }
    }
}

/// Numbers at one place.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// 64 fresh bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in 0..1 with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let value = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        value
    }

    /// Uniform in `low..high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in `0..n` (0 for `n = 0`), by multiplication; the bias is below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.bits()) * (n as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Standard normal (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
