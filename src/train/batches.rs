//! Prepared images become batches of normalised, augmented and mixed numbers, one ahead of their use.
//!
//! A background thread reads while the network works; what it makes depends on the place (fold's seed, epoch,
//! position in the order, step) and never on timing.

use std::sync::mpsc::sync_channel;
use std::thread;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::draw::{DrawKey, Stage};
use crate::images::augment;
use crate::images::cache::PreparedSet;
use crate::images::to_tensor;
use crate::study::Augment;

use super::error::TrainError;
use super::figures::one_hot;

/// Batches that wait ready at most.
const AHEAD: usize = 2;

/// Images and targets of one step.
pub(super) struct Batch {
    /// `[count, 3, side, side]`.
    images: Vec<f32>,
    /// `[count, classes]`, each row adds up to 1.
    pub targets: Vec<f32>,
    /// Images.
    pub count: usize,
    side: usize,
}

impl Batch {
    /// The images on a device, `[count, 3, side, side]`.
    pub(super) fn images(&mut self, device: &Device) -> Tensor<4> {
        let images = std::mem::take(&mut self.images);
        Tensor::from_data(TensorData::new(images, [self.count, 3, self.side, self.side]), device)
    }
}

/// What a batch is made of.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub(super) prepared: &'a PreparedSet,
    /// One an image of the data set.
    pub(super) labels: &'a [u32],
    pub(super) classes: usize,
    /// Of the prepared images, in pixels.
    pub(super) side: usize,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
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

impl Loader<'_> {
    /// Calls `consume(step from 0, batch)` on each of `chunks` in order, while the next ones are being made.
    pub(super) fn each<'c>(
        &self,
        chunks: impl Iterator<Item = &'c [usize]> + Send,
        random: Option<Random>,
        mut consume: impl FnMut(usize, Batch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        thread::scope(|scope| {
            let (send, receive) = sync_channel(AHEAD);
            scope.spawn(move || {
                let mut position = 0;
                for (step, images) in chunks.enumerate() {
                    let batch = self.read(images, random, position, step);
                    position += images.len();
                    let failed = batch.is_err();
                    // nobody receives any more when training ended early
                    if send.send(batch).is_err() || failed {
                        break;
                    }
                }
            });
            for (step, batch) in receive.into_iter().enumerate() {
                consume(step, batch?)?;
            }
            Ok(())
        })
    }

    /// One batch. `position` is that of its first image in the epoch's order.
    fn read(
        &self,
        images: &[usize],
        random: Option<Random>,
        position: usize,
        step: usize,
    ) -> Result<Batch, TrainError> {
        let length = 3 * self.side * self.side;
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
                augment::mix_images(&mix, &mut values, 3, self.side);
                augment::mix_targets(&mix, &mut targets, self.classes);
            }
        }
        Ok(Batch { images: values, targets, count: images.len(), side: self.side })
    }
}
