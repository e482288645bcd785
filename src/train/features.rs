//! A network in evaluation becomes tables: features of a frozen backbone, probabilities of a trained model.

use burn::tensor::{Device, Tensor, TensorData};

use crate::images::MeanStd;
use crate::images::cache::PreparedSet;
use crate::nn::weights::{self, Head, Source};
use crate::nn::{Mode, Network};
use crate::study::{Changed, Study};

use super::batches::Loader;
use super::error::TrainError;
use super::fold::{Event, Flow};

/// Images of a batch in evaluation. Fixed, so that the bits of a result never depend on the study's `batch`.
const BATCH: usize = 32;

/// The backbone's output for every image of the data set, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTable {
    columns: usize,
    values: Vec<f32>,
}

impl FeatureTable {
    /// A table of rows of `columns` numbers.
    ///
    /// # Errors
    /// [`TrainError::Inconsistent`] when `values` are not whole rows.
    pub fn new(columns: usize, values: Vec<f32>) -> Result<Self, TrainError> {
        if columns == 0 || !values.len().is_multiple_of(columns) {
            return Err(TrainError::Inconsistent(format!("{} features are no rows of {columns}", values.len())));
        }
        Ok(Self { columns, values })
    }

    /// The features of an image of the data set.
    #[must_use]
    pub fn row(&self, image: usize) -> Option<&[f32]> {
        self.values.chunks_exact(self.columns).nth(image)
    }

    /// Features of an image.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Images.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// As bytes: the number of columns as a little-endian `u32`, then the rows as little-endian `f32`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let columns = u32::try_from(self.columns).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(4 + 4 * self.values.len());
        bytes.extend_from_slice(&columns.to_le_bytes());
        bytes.extend(self.values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// What [`Self::to_bytes`] made.
    ///
    /// # Errors
    /// [`TrainError::Inconsistent`] for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrainError> {
        let broken = || TrainError::Inconsistent("a stored feature table is broken".to_owned());
        let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
        let (values, odd) = rest.as_chunks::<4>();
        if !odd.is_empty() {
            return Err(broken());
        }
        Self::new(u32::from_le_bytes(*head) as usize, values.iter().map(|v| f32::from_le_bytes(*v)).collect())
    }

    /// The rows of some images, `[images, columns]`.
    pub(super) fn batch(&self, images: &[usize], device: &Device) -> Result<Tensor<2>, TrainError> {
        let mut values = Vec::with_capacity(images.len() * self.columns);
        for &image in images {
            let row = self.row(image).ok_or_else(|| {
                TrainError::Inconsistent(format!("image {image} has no row among {} rows of features", self.rows()))
            })?;
            values.extend_from_slice(row);
        }
        Ok(Tensor::from_data(TensorData::new(values, [images.len(), self.columns]), device))
    }
}

/// The features that a backbone with these weights (safetensors) gives for each of the first `images` prepared
/// images, in evaluation and without augmentation.
///
/// # Errors
/// Broken weights or images; [`TrainError::Interrupted`] when `on_event` says so.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
pub fn features(
    study: &Study,
    prepared: &PreparedSet,
    images: usize,
    backbone: &(impl Source + ?Sized),
    mean: [f32; 3],
    std: [f32; 3],
    device: &Device,
    on_event: &mut dyn FnMut(Event) -> Flow,
) -> Result<FeatureTable, TrainError> {
    let device = device.clone().inner();
    let network = Network::of(study, 1, study.seed, &device);
    let (network, _) = weights::load(network, backbone, Head::Replace)?;
    let columns = network.feature_count();
    let all: Vec<usize> = (0..images).collect();
    let mut values = Vec::with_capacity(images * columns);
    let loader = plain(study, prepared, 1, (mean, std), &device);
    evaluate(&loader, &all, on_event, |x| {
        values.extend(network.features(x, Mode::Eval).into_data().iter::<f32>());
    })?;
    FeatureTable::new(columns, values)
}

/// The probabilities that a trained model gives for some of the prepared images: one row an image, in the order of
/// `indices`, each adding up to 1.
///
/// # Errors
/// A broken model or image, a model whose answers are not numbers; [`TrainError::Interrupted`] when `on_event` says so.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
pub fn predict(
    study: &Study,
    classes: usize,
    model: &[u8],
    prepared: &PreparedSet,
    indices: &[usize],
    mean: [f32; 3],
    std: [f32; 3],
    device: &Device,
    on_event: &mut dyn FnMut(Event) -> Flow,
) -> Result<Vec<Vec<f32>>, TrainError> {
    let device = device.clone().inner();
    let network = Network::of(study, classes, study.seed, &device);
    let (network, _) = weights::load(network, model, Head::Keep)?;
    let mut rows = Vec::with_capacity(indices.len());
    let loader = plain(study, prepared, classes, (mean, std), &device);
    evaluate(&loader, indices, on_event, |x| {
        let probabilities = |images: Tensor<4>| -> Vec<Vec<f32>> {
            let logits: Vec<f32> = network.forward(images, Mode::Eval, None).into_data().iter().collect();
            logits.chunks_exact(classes.max(1)).map(softmax).collect()
        };
        let changed: Vec<Vec<Vec<f32>>> =
            study.evaluate.tta.iter().map(|change| probabilities(apply(*change, x.clone()))).collect();
        rows.extend(averaged(probabilities(x), &changed));
    })?;
    if rows.iter().flatten().any(|p| !p.is_finite()) {
        return Err(TrainError::Inconsistent("the model's probabilities are not numbers".to_owned()));
    }
    Ok(rows)
}

/// The images alone, as they are.
fn plain<'a>(
    study: &Study,
    prepared: &'a PreparedSet,
    classes: usize,
    (mean, std): MeanStd,
    device: &'a Device,
) -> Loader<'a> {
    let (channels, side) = (study.model.channels(), study.images.side() as usize);
    Loader { prepared, labels: &[], classes, channels, side, mean, std, device }
}

/// A fixed operation of test-time augmentation on images, `[images, channels, height, width]`.
fn apply(change: Changed, images: Tensor<4>) -> Tensor<4> {
    match change {
        Changed::Flip { horizontal } => images.flip([if horizontal { 3 } else { 2 }]),
    }
}

/// The mean of the rows and of those of every change.
fn averaged(rows: Vec<Vec<f32>>, changed: &[Vec<Vec<f32>>]) -> Vec<Vec<f32>> {
    if changed.is_empty() {
        return rows;
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of changes")]
    let count = (1 + changed.len()) as f64;
    let value = |row: usize, class: usize, own: f32| {
        let others = changed.iter().filter_map(|rows| rows.get(row)?.get(class)).map(|p| f64::from(*p));
        #[expect(clippy::cast_possible_truncation, reason = "probabilities are stored in single precision")]
        let mean = ((f64::from(own) + others.sum::<f64>()) / count) as f32;
        mean
    };
    let each = rows
        .into_iter()
        .enumerate()
        .map(|(row, own)| own.into_iter().enumerate().map(|(class, own)| value(row, class, own)).collect());
    each.collect()
}

/// Calls `see` on the images in batches, in order.
pub(super) fn evaluate(
    loader: &Loader,
    images: &[usize],
    on_event: &mut dyn FnMut(Event) -> Flow,
    mut see: impl FnMut(Tensor<4>),
) -> Result<(), TrainError> {
    let mut done = 0;
    loader.each(images, BATCH, |batch| {
        done += batch.images.dims()[0];
        see(batch.images);
        match on_event(Event::Evaluated { done, all: images.len() }) {
            Flow::Continue => Ok(()),
            Flow::Stop => Err(TrainError::Interrupted),
        }
    })
}

/// In double precision, so that rows add up to 1 as well as `f32` can say it.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shares: Vec<f64> = logits.iter().map(|&v| f64::from(v - top).exp()).collect();
    let sum: f64 = shares.iter().sum();
    #[expect(clippy::cast_possible_truncation, reason = "probabilities are stored in single precision")]
    let row = shares.iter().map(|e| (e / sum) as f32).collect();
    row
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn test_time_augmentation_is_the_mean_of_probabilities() {
        let rows = vec![vec![0.5, 0.5], vec![1.0, 0.0]];
        assert_eq!(averaged(rows.clone(), &[]), rows);
        let mirrored = vec![vec![0.25, 0.75], vec![0.5, 0.5]];
        let turned = vec![vec![0.0, 1.0], vec![0.0, 1.0]];
        assert_eq!(averaged(rows, &[mirrored, turned]), [[0.25, 0.75], [0.5, 0.5]]);
    }

    #[test]
    fn a_flip_mirrors_rows_or_columns() {
        let image = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0], &Device::flex()).reshape([1, 1, 2, 2]);
        let flipped = |horizontal| -> Vec<f32> {
            apply(Changed::Flip { horizontal }, image.clone()).into_data().try_to_vec().unwrap()
        };
        assert_eq!(flipped(true), [2.0, 1.0, 4.0, 3.0]);
        assert_eq!(flipped(false), [3.0, 4.0, 1.0, 2.0]);
    }
}
