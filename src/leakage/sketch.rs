//! A few digests that stand for a set of images, so that a model can say what it was trained on without naming anybody.
//!
//! The smallest digests of a set are a fair sample of it: they were drawn by a hash, not by us. Of a model's training
//! images at most [`MOST`] are kept, 16 hex digits each. Whoever holds an image can tell that it was among them, as
//! they can from the weights themselves; nobody can tell an image or a patient from a digest.

use std::collections::BTreeSet;

use crate::graph::Key;

/// The key under which a model's file keeps its sketch.
pub const NOTE: &str = "pipe.trained_on";

/// How many digests stand for a set.
pub const MOST: usize = 256;

/// Hex digits kept of a digest.
const DIGITS: usize = 16;

/// The smallest digests of a set of images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sketch {
    digests: BTreeSet<String>,
}

fn cut(key: &Key) -> &str {
    key.as_str().get(..DIGITS).unwrap_or(key.as_str())
}

impl Sketch {
    /// Of a set of images, by their content.
    #[must_use]
    pub fn of<'a>(images: impl Iterator<Item = &'a Key>) -> Self {
        let all: BTreeSet<&str> = images.map(cut).collect();
        Self { digests: all.into_iter().take(MOST).map(str::to_owned).collect() }
    }

    /// As it is kept in a file.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.digests.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// What [`Sketch::to_text`] wrote; words that are no digests are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let is_digest = |word: &&str| word.len() == DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        Self { digests: text.split(' ').filter(is_digest).take(MOST).map(str::to_owned).collect() }
    }

    /// How many of the sketch's images are among these, of how many.
    #[must_use]
    pub fn among<'a>(&self, images: impl Iterator<Item = &'a Key>) -> (usize, usize) {
        let found: BTreeSet<&str> = images.map(cut).filter(|digest| self.digests.contains(*digest)).collect();
        (found.len(), self.digests.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u32>) -> Vec<Key> {
        range.map(|n| Key::of(&n.to_le_bytes())).collect()
    }

    #[test]
    fn a_sketch_tells_how_much_two_sets_have_in_common() {
        let trained = keys(0..4_000);
        let sketch = Sketch::of(trained.iter());
        assert_eq!(Sketch::parse(&sketch.to_text()), sketch);
        assert_eq!(sketch.among(trained.iter()), (MOST, MOST));
        assert_eq!(sketch.among(keys(4_000..8_000).iter()), (0, MOST));
        let (half, _) = sketch.among(keys(2_000..6_000).iter());
        assert!((100..156).contains(&half), "{half} of {MOST}");
        let few = keys(0..3);
        assert_eq!(Sketch::of(few.iter()).among(few.iter()), (3, 3));
        assert_eq!(Sketch::parse("nonsense \u{1b}[31m").among(few.iter()), (0, 0));
    }
}
