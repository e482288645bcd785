//! Prepared images become batches of normalised, augmented and mixed numbers on the device, ahead of their use.
//!
//! A background thread reads and uploads while the network works; what it makes depends on the place (fold's seed,
//! epoch, position in the order, step) and never on timing.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, Scope};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::draw::{DrawKey, Stage};
use crate::images::augment;
use crate::images::cache::PreparedSet;
use crate::images::to_tensor;
use crate::study::Augment;

use super::error::TrainError;
use super::figures::one_hot;

/// Batches that wait ready at most; one more is being made.
const AHEAD: usize = 1;

/// Images and targets of one step.
pub(super) struct Batch {
    /// `[count, channels, side, side]`, without autodiff.
    pub(super) images: Tensor<4>,
    /// `[count, classes]`, each row adds up to 1.
    pub(super) targets: Vec<f32>,
}

/// One batch that is to be made.
pub(super) struct Wanted<'a> {
    /// As indices into the data set.
    pub(super) images: Vec<usize>,
    /// How they are changed; not at all in evaluation.
    pub(super) random: Option<Random<'a>>,
    /// That of the first image in the epoch's order.
    pub(super) position: usize,
    /// From 0.
    pub(super) step: usize,
}

/// What a batch is to its step of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    /// Its images among all those of the step.
    pub(super) share: f64,
    /// Does it end the step?
    pub(super) last: bool,
}

/// What a batch is made of.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) prepared: &'a PreparedSet,
    /// One an image of the data set.
    pub(super) labels: &'a [u32],
    pub(super) classes: usize,
    /// Of the images that the network sees.
    pub(super) channels: usize,
    /// Of the prepared images, in pixels.
    pub(super) side: usize,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
    /// Where batches go.
    pub(super) device: &'a Device,
}

/// How training images are changed at random.
#[derive(Clone, Copy)]
pub(super) struct Random<'a> {
    pub(super) augment: &'a [Augment],
    /// The fold's.
    pub(super) seed: u64,
    /// From 0.
    pub(super) epoch: u32,
}

/// The slices of an order that become steps: `size` images each, and the rest if it is 2 or more
/// (batch norm has no statistics of one image).
pub(super) fn steps(order: &[usize], size: usize) -> impl Iterator<Item = &[usize]> {
    let size = size.max(1);
    order.chunks(size).filter(move |chunk| chunk.len() >= size.min(2))
}

/// Each batch of an epoch as a part of the optimiser's step, which takes `accumulate` (from 1) batches or what is left.
pub(super) fn parts(batches: &[&[usize]], accumulate: usize) -> Vec<Part> {
    #[expect(clippy::cast_precision_loss, reason = "images are far below 2^53")]
    let share = |images: usize, all: usize| images as f64 / all as f64;
    let steps = batches.chunks(accumulate.max(1)).flat_map(|step| {
        let all = step.iter().map(|batch| batch.len()).sum();
        (1..).zip(step).map(move |(at, batch)| Part { share: share(batch.len(), all), last: at == step.len() })
    });
    steps.collect()
}

impl<'a> Loader<'a> {
    /// The batches in order. A thread makes them ahead of their use; it ends with the first that fails, and when nobody
    /// receives any more.
    pub(super) fn ahead<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        wanted: impl Iterator<Item = Wanted<'a>> + Send + 'scope,
    ) -> Receiver<Result<Batch, TrainError>>
    where
        'a: 'scope,
    {
        let (send, receive) = sync_channel(AHEAD);
        scope.spawn(move || {
            for wanted in wanted {
                let batch = self.read(&wanted);
                let failed = batch.is_err();
                if send.send(batch).is_err() || failed {
                    break;
                }
            }
        });
        receive
    }

    /// Calls `consume` on the images in batches of `size`, as they are and in order.
    pub(super) fn each(
        self,
        images: &[usize],
        size: usize,
        mut consume: impl FnMut(Batch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let plain = |(step, images): (usize, &[usize])| Wanted {
            images: images.to_vec(),
            random: None,
            position: step * size,
            step,
        };
        thread::scope(|scope| {
            for batch in self.ahead(scope, images.chunks(size).enumerate().map(plain)) {
                consume(batch?)?;
            }
            Ok(())
        })
    }

    fn read(&self, &Wanted { ref images, random, position, step }: &Wanted) -> Result<Batch, TrainError> {
        let length = self.channels * self.side * self.side;
        let mut values = vec![0.0; images.len() * length];
        values.par_chunks_exact_mut(length.max(1)).zip(images).enumerate().try_for_each(|(at, (out, &index))| {
            let mut pixels = self.prepared.get(index).map_err(|error| TrainError::Image { index, error })?;
            if let Some(Random { augment, seed, epoch }) = random {
                let sample = (position + at) as u64;
                augment::apply(augment, &mut pixels, DrawKey { seed, stage: Stage::Augment, epoch, sample });
            }
            to_tensor(&pixels, self.mean, self.std, out);
            Ok::<(), TrainError>(())
        })?;
        let labels: Vec<u32> = images.iter().filter_map(|&image| self.labels.get(image)).copied().collect();
        let mut targets = one_hot(&labels, self.classes);
        if let Some(Random { augment, seed, epoch }) = random {
            let side = u32::try_from(self.side).unwrap_or(u32::MAX);
            let key = DrawKey { seed, stage: Stage::Mix, epoch, sample: step as u64 };
            if let Some(mix) = augment::mix_plan(augment, images.len(), side, key) {
                augment::mix_images(&mix, &mut values, self.channels, self.side);
                augment::mix_targets(&mix, &mut targets, self.classes);
            }
        }
        let images = TensorData::new(values, [images.len(), self.channels, self.side, self.side]);
        Ok(Batch { images: Tensor::from_data(images, self.device), targets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_share_a_step_by_their_images() {
        let order: Vec<usize> = (0..14).collect();
        let batches: Vec<&[usize]> = steps(&order, 4).collect();
        let seen: Vec<(f64, bool)> = parts(&batches, 3).iter().map(|part| (part.share, part.last)).collect();
        let third = 1.0 / 3.0;
        assert_eq!(seen, [(third, false), (third, false), (third, true), (1.0, true)]);
        let seen: Vec<f64> = parts(&batches, 100).iter().map(|part| 14.0 * part.share).collect();
        assert_eq!(seen, [4.0, 4.0, 4.0, 2.0]);
        assert!(parts(&batches, 1).iter().all(|part| *part == Part { share: 1.0, last: true }));
    }
}
