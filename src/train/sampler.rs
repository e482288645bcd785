//! Seed and epoch become the order in which training images come.

use crate::draw::{DrawKey, Stage};
use crate::study::Sampler;

/// The images of an epoch in order, as indices into the data set: a pure function of its arguments.
///
/// `Shuffled` has each of `train` once. `Balanced` has as many draws as `train` has images: every class that occurs
/// equally often (the remainder goes to classes drawn by lot), images within a class drawn with replacement.
/// Images without a label in `labels` are left out of a balanced order.
#[must_use]
pub fn epoch_order(sampler: &Sampler, seed: u64, epoch: u32, train: &[usize], labels: &[u32]) -> Vec<usize> {
    let mut stream = DrawKey { seed, stage: Stage::Shuffle, epoch, sample: 0 }.stream();
    match sampler {
        Sampler::Shuffled => {
            let mut order = train.to_vec();
            stream.shuffle(&mut order);
            order
        }
        Sampler::Balanced => {
            let mut members: std::collections::BTreeMap<u32, Vec<usize>> = std::collections::BTreeMap::new();
            for &image in train {
                if let Some(&label) = labels.get(image) {
                    members.entry(label).or_default().push(image);
                }
            }
            let mut classes: Vec<&Vec<usize>> = members.values().collect();
            stream.shuffle(&mut classes);
            let mut order: Vec<usize> = Vec::with_capacity(train.len());
            for class in classes.iter().cycle().take(train.len()) {
                if let Some(&image) = class.get(stream.below(class.len())) {
                    order.push(image);
                }
            }
            stream.shuffle(&mut order);
            order
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<u32> {
        (0..100)
            .map(|i| {
                if i < 80 {
                    0
                } else if i < 95 {
                    1
                } else {
                    2
                }
            })
            .collect()
    }

    #[test]
    fn shuffled_has_each_image_once_in_another_order_every_epoch() {
        let train: Vec<usize> = (10..60).collect();
        let first = epoch_order(&Sampler::Shuffled, 7, 0, &train, &labels());
        let again = epoch_order(&Sampler::Shuffled, 7, 0, &train, &labels());
        let second = epoch_order(&Sampler::Shuffled, 7, 1, &train, &labels());
        assert_eq!(first, again);
        assert_ne!(first, second);
        assert_ne!(first, train);
        for order in [first, second] {
            let mut sorted = order;
            sorted.sort_unstable();
            assert_eq!(sorted, train);
        }
    }

    #[test]
    fn balanced_has_each_class_equally_often() {
        let (train, labels): (Vec<usize>, _) = ((0..100).collect(), labels());
        let mut drawn = vec![0_u32; 100];
        for epoch in 0..200 {
            let order = epoch_order(&Sampler::Balanced, 3, epoch, &train, &labels);
            assert_eq!(order.len(), 100);
            for class in 0..3 {
                let count = order.iter().filter(|&&image| labels[image] == class).count();
                assert!((33..=34).contains(&count), "class {class} {count} times in 100 draws");
            }
            for image in order {
                drawn[image] += 1;
            }
        }
        // 200 * 33.3 draws over the images of a class: 83 for each of 80, 444 for each of 15, 1,333 for each of 5;
        // five standard deviations each side.
        for (image, &count) in drawn.iter().enumerate() {
            let expected = [6667.0 / 80.0, 6667.0 / 15.0, 6667.0 / 5.0][labels[image] as usize];
            assert!((f64::from(count) - expected).abs() < 5.0 * f64::sqrt(expected), "image {image}: {count}");
        }
    }

    #[test]
    fn nothing_to_draw_from_gives_nothing() {
        assert!(epoch_order(&Sampler::Balanced, 1, 0, &[], &[]).is_empty());
        assert!(epoch_order(&Sampler::Shuffled, 1, 0, &[], &[]).is_empty());
    }
}
