//! numpy's legacy random stream: a seed becomes the same permutations as `numpy.random.RandomState(seed)`.
//!
//! MT19937 (Matsumoto and Nishimura 1998) with numpy's seeding, its masked rejection and its shuffle. It exists
//! for one reason: scikit-learn's shuffled folds are a function of this stream. Everything of our own draws
//! through [`crate::draw`].

const LENGTH: usize = 624;
const MIDDLE: usize = 397;

/// The generator behind `numpy.random.RandomState`.
#[derive(Debug, Clone)]
pub struct Mt19937 {
    state: [u32; LENGTH],
    position: usize,
}

/// Index as a word: indices here are below 624 or the length of a short key.
fn word(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Mt19937 {
    /// `RandomState(seed)` for seeds below 2^32; larger ones, which numpy refuses, are `RandomState([low, high])`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        match u32::try_from(seed) {
            Ok(small) => Self::from_word(small),
            Err(_) => Self::from_words(&[word_of(seed), word_of(seed >> 32)]),
        }
    }

    fn from_word(seed: u32) -> Self {
        let mut state = [0; LENGTH];
        let mut value = seed;
        for (at, slot) in state.iter_mut().enumerate() {
            *slot = value;
            value = 1_812_433_253_u32.wrapping_mul(value ^ (value >> 30)).wrapping_add(word(at + 1));
        }
        Self { state, position: LENGTH }
    }

    /// `RandomState(key)` for a list of words; an empty key is taken for `[0]`.
    #[must_use]
    pub fn from_words(key: &[u32]) -> Self {
        let key = if key.is_empty() { &[0][..] } else { key };
        let mut fresh = Self::from_word(19_650_218);
        let state = &mut fresh.state;
        let (mut i, mut j) = (1, 0);
        for _ in 0..LENGTH.max(key.len()) {
            let before = state[i - 1];
            state[i] = (state[i] ^ (before ^ (before >> 30)).wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(word(j));
            i += 1;
            j = (j + 1) % key.len();
            if i >= LENGTH {
                state[0] = state[LENGTH - 1];
                i = 1;
            }
        }
        for _ in 0..LENGTH - 1 {
            let before = state[i - 1];
            state[i] = (state[i] ^ (before ^ (before >> 30)).wrapping_mul(1_566_083_941)).wrapping_sub(word(i));
            i += 1;
            if i >= LENGTH {
                state[0] = state[LENGTH - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        fresh
    }

    fn refill(&mut self) {
        for at in 0..LENGTH {
            let mixed = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % LENGTH] & 0x7fff_ffff);
            let twist = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + MIDDLE) % LENGTH] ^ (mixed >> 1) ^ twist;
        }
        self.position = 0;
    }

    /// The next 32 bits.
    pub fn bits(&mut self) -> u32 {
        if self.position >= LENGTH {
            self.refill();
        }
        let mut value = self.state[self.position];
        self.position += 1;
        value ^= value >> 11;
        value ^= (value << 7) & 0x9d2c_5680;
        value ^= (value << 15) & 0xefc6_0000;
        value ^ (value >> 18)
    }

    /// Uniform in `0..=max` by numpy's masked rejection; what `randint(0, max + 1)` gives. No bits for `max = 0`.
    pub fn interval(&mut self, max: u32) -> u32 {
        if max == 0 {
            return 0;
        }
        let mask = u32::MAX >> max.leading_zeros();
        loop {
            let value = self.bits() & mask;
            if value <= max {
                return value;
            }
        }
    }

    /// `RandomState.shuffle` of a one-dimensional array.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.interval(word(last)) as usize;
            items.swap(last, other);
        }
    }

    /// `RandomState.permutation(n)`.
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut items: Vec<u32> = (0..n).collect();
        self.shuffle(&mut items);
        items
    }
}

/// The lowest 32 bits.
fn word_of(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Mt19937;

    #[test]
    fn the_ten_thousandth_number_is_the_published_one() {
        // C++11 [rand.predef]: the 10000th value of std::mt19937 with its default seed 5489
        let mut random = Mt19937::new(5489);
        let value = (0..10_000).map(|_| random.bits()).last();
        assert_eq!(value, Some(4_123_659_995));
    }

    #[test]
    fn a_key_of_words_gives_the_published_first_numbers() {
        // mt19937ar.out of the authors: init_by_array({0x123, 0x234, 0x345, 0x456})
        let mut random = Mt19937::from_words(&[0x123, 0x234, 0x345, 0x456]);
        let first: Vec<u32> = (0..5).map(|_| random.bits()).collect();
        assert_eq!(first, [1_067_595_299, 955_945_823, 477_289_528, 4_107_218_783, 4_228_976_476]);
    }
}
