//! Some images become a set of whole patients that holds a share of them, of every class alike.
//!
//! Hold-out and inner validation are drawn this way: patients are sorted into classes by most of their images, each
//! class into an order of size with ties at random, and every n-th patient of that order is drawn from a random
//! start. So the set has the asked share of patients, and nearly that share of images, of each class.

use super::balance::as_f64;
use crate::data::Dataset;
use crate::draw::{DrawKey, Stage};

/// How a set of patients is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    /// Share of patients, 0..1.
    pub(super) share: f64,
    /// Of each class so many patients at least are left.
    pub(super) keep: usize,
    /// The study's seed.
    pub(super) seed: u64,
    /// What for.
    pub(super) stage: Stage,
    /// Which fold, where that means something.
    pub(super) epoch: u32,
}

/// Patients that were drawn.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    patients: Vec<bool>,
}

impl Drawn {
    /// Is this image's patient among them?
    pub(super) fn contains(&self, dataset: &Dataset, image: usize) -> bool {
        dataset.images.get(image).and_then(|image| self.patients.get(image.patient as usize)).copied().unwrap_or(false)
    }
}

impl Draw {
    /// Draws from the patients of `images` (of a consistent data set).
    pub(super) fn from(self, dataset: &Dataset, images: &[usize]) -> Drawn {
        let mut drawn = Drawn { patients: vec![false; dataset.patients.len()] };
        if self.share <= 0.0 {
            return drawn;
        }
        for (class, mut members) in patients_by_class(dataset, images).into_iter().enumerate() {
            let take = self.number(members.len());
            let key = DrawKey { seed: self.seed, stage: self.stage, epoch: self.epoch, sample: class as u64 };
            let mut stream = key.stream();
            stream.shuffle(&mut members);
            members.sort_by_key(|(_, images)| std::cmp::Reverse(*images));
            let start = stream.uniform();
            for turn in 0..take {
                let (patient, _) = members[place(start, turn, take, members.len())];
                drawn.patients[patient] = true;
            }
        }
        drawn
    }

    /// How many of `n` patients: the nearest whole number, at least one where one can be spared.
    fn number(self, n: usize) -> usize {
        let spare = n.saturating_sub(self.keep);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of n, at least 0")]
        let wanted = (self.share.min(1.0) * as_f64(n)).round() as usize;
        wanted.max(1).min(spare)
    }
}

/// The place in `0..n` of turn `turn` of `take` evenly spaced ones that begin at `start` (0..1) of the spacing.
fn place(start: f64, turn: usize, take: usize, n: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n")]
    let place = ((as_f64(turn) + start) * as_f64(n) / as_f64(take)) as usize;
    place.min(n.saturating_sub(1))
}

/// For each class the patients most of whose images are of it (of equals: the class rarer in `images`, then the
/// first), with their number of images.
fn patients_by_class(dataset: &Dataset, images: &[usize]) -> Vec<Vec<(usize, u32)>> {
    let classes = dataset.classes.len();
    let mut counts = vec![0_u32; classes * dataset.patients.len()];
    let mut totals = vec![0_u32; classes];
    for image in images.iter().map(|image| &dataset.images[*image]) {
        counts[image.patient as usize * classes + image.label as usize] += 1;
        totals[image.label as usize] += 1;
    }
    let mut members = vec![Vec::new(); classes];
    for (patient, counts) in counts.chunks_exact(classes.max(1)).enumerate() {
        let of_class = (0..classes)
            .max_by_key(|class| (counts[*class], std::cmp::Reverse(totals[*class]), std::cmp::Reverse(*class)));
        let images: u32 = counts.iter().sum();
        if let (Some(class), true) = (of_class, images > 0) {
            members[class].push((patient, images));
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn evenly_spaced_places_are_distinct_and_within() {
        for n in 1..40 {
            for take in 1..=n {
                for start in [0.0, 0.3, 0.999_999_999] {
                    let places: Vec<usize> = (0..take).map(|turn| place(start, turn, take, n)).collect();
                    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{n} {take} {start}: {places:?}");
                    assert!(places.iter().all(|place| *place < n));
                }
            }
        }
    }
}
