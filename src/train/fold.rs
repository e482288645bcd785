//! One fold of a study becomes a trained network.
//!
//! The loop: an epoch's order, its steps, its validation figures; then the schedule, the kept epoch and
//! early stopping look at these figures. Nothing else is looked at, and every random draw is a function of the fold's
//! seed and its place, so the same input gives the same bits.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::thread;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};

use crate::data::seen;
use crate::draw::{DrawKey, Stage};
use crate::images::cache::PreparedSet;
use crate::images::{Moments, normalisation};
use crate::nn::weights::{self, Head, Source};
use crate::nn::{Dropout, Frozen, Mode, Network, Pass, rate_scales};
use crate::record::{EpochRecord, ValidationFigures};
use crate::study::{ClassWeights, Freeze, LossTerm, Normalize, Study};

use super::batches::{Batch, Loader, Part, Random, Wanted, parts, steps};
use super::early::{BestEpoch, EarlyStopping};
use super::error::TrainError;
use super::features::{FeatureTable, evaluate};
use super::figures::{one_hot, validation_figures};
use super::loss::{LossValue, MixedLoss};
use super::optim::TorchOptimizer;
use super::sampler::epoch_order;
use super::schedule::LearningRate;

/// All that a fold's training depends on.
#[derive(Clone, Copy)]
pub struct FoldInput<'a> {
    /// The study.
    pub study: &'a Study,
    /// Names of the classes, in the order of the outputs.
    pub classes: &'a [String],
    /// Which fold, from 0; its seed is a function of the study's and this.
    pub fold: u32,
    /// The prepared images of the data set.
    pub prepared: &'a PreparedSet,
    /// Class of each image of the data set.
    pub labels: &'a [u32],
    /// Images to learn from, as indices into the data set.
    pub train: &'a [usize],
    /// Images that the schedule, early stopping and the kept epoch look at.
    pub validation: &'a [usize],
    /// safetensors with the backbone's first weights; `None`: random ones.
    pub weights: Option<&'a dyn Source>,
    /// The frozen backbone's features of all images of the data set. Epochs in which the whole backbone is frozen
    /// then run on these alone; to be given exactly when there are weights, no augmentation and fixed normalisation.
    pub frozen_features: Option<&'a FeatureTable>,
    /// A note on the images that are learned from, for the network's file ([`crate::data::seen`]).
    pub seen: &'a str,
    /// Where to train.
    pub device: &'a Device,
}

/// What happens while a network learns or is applied.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A training batch is done.
    Step {
        /// From 1.
        epoch: u32,
        /// From 1; a batch counts as a step even if the optimiser waits for more of them.
        step: u32,
        /// Steps of an epoch.
        steps: u32,
        /// The whole loss of the batch.
        loss: f64,
        /// At this step.
        learning_rate: f64,
    },
    /// An epoch is done.
    Epoch(EpochRecord),
    /// So many of all images went through the network in evaluation.
    Evaluated {
        /// So many.
        done: usize,
        /// Of so many.
        all: usize,
    },
}

/// What the caller answers to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// End with [`TrainError::Interrupted`].
    Stop,
}

/// A trained network and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedFold {
    /// safetensors of the kept epoch.
    pub model: Vec<u8>,
    /// One an epoch.
    pub epochs: Vec<EpochRecord>,
    /// The epoch whose weights were kept, from 1.
    pub kept_epoch: u32,
    /// Why training ended before the study's `epochs`, if it did.
    pub stopped: Option<String>,
    /// Mean of each channel (values 0..1) that images are normalised with.
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub std: [f32; 3],
}

/// Trains one fold.
///
/// # Errors
/// Any [`TrainError`]: a diverged loss, an unreadable image, unusable weights, too few images, an interruption
/// that `on_event` asked for.
pub fn train_fold(input: &FoldInput, on_event: &mut dyn FnMut(Event) -> Flow) -> Result<TrainedFold, TrainError> {
    let train = &input.study.train;
    let mut run = Run::new(input)?;
    let mut stopping = train.stop.map(EarlyStopping::new);
    let mut best = BestEpoch::new(train.keep);
    let mut kept = (0, Vec::new());
    let mut epochs = Vec::new();
    let mut stopped = None;
    let loader = run.loader;
    thread::scope(|scope| {
        // goes on over the ends of epochs: while one is validated, the first batches of the next are made
        let batches = loader.ahead(scope, wanted(input, run.seed));
        for epoch in 0..train.epochs {
            let record = run.epoch(epoch, &batches, on_event)?;
            run.rate.after_epoch(record.validation.as_ref());
            if best.see(record.validation.as_ref()) {
                kept = (record.epoch, run.save()?);
            }
            if let (Some(stopping), Some(figures)) = (&mut stopping, &record.validation) {
                stopped = stopping.see(record.epoch, figures).filter(|_| record.epoch < train.epochs);
            }
            epochs.push(record.clone());
            proceed(on_event(Event::Epoch(record)))?;
            if stopped.is_some() {
                break;
            }
        }
        Ok::<(), TrainError>(())
    })?;
    let (mean, std) = (loader.mean, loader.std);
    Ok(TrainedFold { model: kept.1, epochs, kept_epoch: kept.0, stopped, mean, std })
}

fn proceed(flow: Flow) -> Result<(), TrainError> {
    match flow {
        Flow::Continue => Ok(()),
        Flow::Stop => Err(TrainError::Interrupted),
    }
}

/// The whole backbone is frozen in an epoch (from 0).
fn frozen(input: &FoldInput, epoch: u32) -> bool {
    match input.study.model.freeze {
        Freeze::None | Freeze::First(_) => false,
        Freeze::All => true,
        Freeze::BackboneFor(epochs) => epoch < epochs,
    }
}

/// The features that stand for the images in an epoch (from 0), if they do.
fn table<'a>(input: &FoldInput<'a>, epoch: u32) -> Option<&'a FeatureTable> {
    input.frozen_features.filter(|_| frozen(input, epoch))
}

/// The order in which an epoch (from 0) takes the training images.
fn order(input: &FoldInput, seed: u64, epoch: u32) -> Vec<usize> {
    epoch_order(&input.study.train.sampler, seed, epoch, input.train, input.labels)
}

/// Every training batch of images, epoch after epoch.
fn wanted<'a>(input: &'a FoldInput<'a>, seed: u64) -> impl Iterator<Item = Wanted<'a>> + Send + 'a {
    let train = &input.study.train;
    let augment = input.study.images.augment.as_slice();
    (0..train.epochs).filter(|epoch| table(input, *epoch).is_none()).flat_map(move |epoch| {
        let order = order(input, seed, epoch);
        let random = Some(Random { augment, seed, epoch });
        let mut position = 0;
        let batches = steps(&order, train.batch as usize).enumerate().map(|(step, images)| {
            let batch = Wanted { images: images.to_vec(), random, position, step };
            position += images.len();
            batch
        });
        batches.collect::<Vec<_>>()
    })
}

/// A training on its way.
struct Run<'a> {
    input: &'a FoldInput<'a>,
    /// The fold's.
    seed: u64,
    loader: Loader<'a>,
    /// With autodiff.
    device: Device,
    /// `None` only while a step moves it.
    network: Network,
    loss: MixedLoss,
    optimizer: TorchOptimizer,
    /// The gradients of the batches since the optimiser's latest step.
    gathered: GradientsAccumulator<Network>,
    rate: LearningRate,
    /// Batches of an epoch.
    steps: u32,
}

/// Where a batch stands.
#[derive(Clone, Copy)]
struct Place {
    /// From 0.
    epoch: u32,
    /// From 0.
    step: u32,
    /// What it is to its step of the optimiser.
    part: Part,
}

/// Sums over an epoch's images.
#[derive(Default)]
struct Sums {
    images: usize,
    loss: f64,
    terms: Vec<f64>,
    learning_rate: f64,
}

impl<'a> Run<'a> {
    fn new(input: &'a FoldInput<'a>) -> Result<Self, TrainError> {
        let study = input.study;
        let train = &study.train;
        let classes = input.classes.len();
        let steps = steps(input.train, train.batch as usize).count();
        if steps == 0 {
            return Err(TrainError::TooFewImages { images: input.train.len() });
        }
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        // folds start from weights and orders of their own
        let seed = DrawKey { seed: study.seed, stage: Stage::Folds, epoch: input.fold, sample: u64::MAX }.bits();
        let device = input.device.clone().autodiff();
        let mut network = Network::of(study, classes, seed, &device);
        if let Some(file) = input.weights {
            (network, _) = weights::load(network, file, Head::Replace)?;
        }
        let network = network.freeze(match study.model.freeze {
            Freeze::None | Freeze::BackboneFor(0) => Frozen::Nothing,
            Freeze::All | Freeze::BackboneFor(_) => Frozen::Backbone,
            Freeze::First(share) => Frozen::First(share),
        });
        check_features(input, network.feature_count())?;
        // depths come from the whole network, whatever of it is frozen
        let scales = if train.layer_decay < 1.0 { rate_scales(&network, train.layer_decay) } else { BTreeMap::new() };
        let (mean, std) = normalisation_of(input)?;
        let mut counts = vec![0; classes];
        for &image in input.train {
            let label = input.labels.get(image).and_then(|&label| counts.get_mut(label as usize));
            *label.ok_or_else(|| {
                TrainError::Inconsistent(format!("image {image} has no label among {classes} classes"))
            })? += 1;
        }
        Ok(Self {
            input,
            seed,
            loader: Loader {
                prepared: input.prepared,
                labels: input.labels,
                classes,
                channels: study.model.channels(),
                side: study.images.side() as usize,
                mean,
                std,
                device: input.device,
            },
            device,
            network,
            loss: MixedLoss::new(&in_class_order(&train.loss, input.classes), classes, &counts)?,
            optimizer: TorchOptimizer::new(train.optimizer, train.clip).with_rate_scales(scales),
            gathered: GradientsAccumulator::new(),
            rate: LearningRate::new(
                train.optimizer.learning_rate(),
                train.schedule,
                train.epochs,
                steps.div_ceil(train.accumulate),
            ),
            steps,
        })
    }

    /// One epoch (from 0) and its validation.
    fn epoch(
        &mut self,
        epoch: u32,
        batches: &Receiver<Result<Batch, TrainError>>,
        on_event: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<EpochRecord, TrainError> {
        let study = self.input.study;
        if self.input.study.model.freeze == Freeze::BackboneFor(epoch) {
            let from_first_weights = self.input.weights.is_some();
            self.network =
                self.network.clone().freeze(if from_first_weights { Frozen::Statistics } else { Frozen::Nothing });
        }
        let order = order(self.input, self.seed, epoch);
        let chunks: Vec<&[usize]> = steps(&order, study.train.batch as usize).collect();
        let parts = parts(&chunks, study.train.accumulate as usize);
        let mut sums = Sums::default();
        for ((step, images), part) in (0..).zip(chunks).zip(parts) {
            let (features, targets) = if let Some(table) = table(self.input, epoch) {
                let labels: Vec<u32> =
                    images.iter().filter_map(|&image| self.input.labels.get(image)).copied().collect();
                (table.batch(images, &self.device)?, one_hot(&labels, self.input.classes.len()))
            } else {
                let ended = |_| TrainError::Inconsistent("the training batches ended early".to_owned());
                let batch = batches.recv().map_err(ended)??;
                (self.features(epoch, step, batch.images), batch.targets)
            };
            self.step(Place { epoch, step, part }, features, targets, &mut sums, on_event)?;
        }
        self.finite(epoch, sums.learning_rate)?;
        let validation = self.validate(epoch, sums.learning_rate)?;
        #[expect(clippy::cast_precision_loss, reason = "images are far below 2^53")]
        let images = sums.images.max(1) as f64;
        Ok(EpochRecord {
            epoch: epoch + 1,
            learning_rate: sums.learning_rate,
            train_loss: sums.loss / images,
            train_terms: sums.terms.iter().map(|sum| sum / images).collect(),
            validation,
        })
    }

    /// A training batch through the backbone: without gradients and in evaluation while it is frozen.
    fn features(&self, epoch: u32, step: u32, images: Tensor<4>) -> Tensor<2> {
        if frozen(self.input, epoch) {
            Tensor::from_inner(self.network.valid().features(images, Mode::Eval))
        } else {
            let paths = self.drop_path(epoch, step, images.dims()[0]);
            self.network.features(Tensor::from_inner(images), Pass { paths, ..Mode::Train.into() })
        }
    }

    /// One batch from features on, and the optimiser's step if the batch ends one.
    fn step(
        &mut self,
        Place { epoch, step, part }: Place,
        features: Tensor<2>,
        targets: Vec<f32>,
        sums: &mut Sums,
        on_event: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<(), TrainError> {
        let [count, columns] = features.dims();
        let mask = self.dropout(epoch, step, count, columns);
        let logits = self.network.classify(features, mask);
        let targets = Tensor::from_data(TensorData::new(targets, [count, self.input.classes.len()]), &self.device);
        let LossValue { total, value, terms } = self.loss.forward(logits, targets);
        let learning_rate = self.rate.at(epoch, step / self.input.study.train.accumulate);
        let (epoch, step) = (epoch + 1, step + 1);
        if !value.is_finite() || value.abs() > self.loss.absurd() {
            return Err(TrainError::Diverged { epoch, step, learning_rate, loss: value });
        }
        let total = if part.share < 1.0 { total.mul_scalar(part.share) } else { total };
        self.gathered.accumulate(&self.network, GradientsParams::from_grads(total.backward(), &self.network));
        if part.last {
            self.network = self.optimizer.step(learning_rate, self.network.clone(), self.gathered.grads());
        }
        sums.add(count, value, &terms, learning_rate);
        proceed(on_event(Event::Step { epoch, step, steps: self.steps, loss: value, learning_rate }))
    }

    /// Zero with the head's dropout probability, else what keeps the mean: 1 / (1 - p).
    fn dropout(&self, epoch: u32, step: u32, rows: usize, columns: usize) -> Option<Dropout> {
        let p = self.input.study.model.head.dropout;
        if p <= 0.0 {
            return None;
        }
        let mut stream = DrawKey { seed: self.seed, stage: Stage::Dropout, epoch, sample: step.into() }.stream();
        #[expect(clippy::cast_possible_truncation, reason = "the network works in single precision")]
        let kept = (1.0 / (1.0 - p)) as f32;
        let mut mask = |columns: usize| {
            let mask: Vec<f32> = (0..rows * columns).map(|_| if stream.chance(p) { 0.0 } else { kept }).collect();
            Tensor::from_data(TensorData::new(mask, [rows, columns]), &self.device)
        };
        let features = mask(columns);
        Some(Dropout { features, hidden: self.network.hidden_count().map(mask) })
    }

    /// What each residual branch of each image is multiplied by: zero as often as the branch's rate says, else what
    /// keeps the mean.
    fn drop_path(&self, epoch: u32, step: u32, images: usize) -> Option<Tensor<2>> {
        let rates = self.network.drop_rates(self.input.study.model.drop_path?);
        let mut stream = DrawKey { seed: self.seed, stage: Stage::DropPath, epoch, sample: step.into() }.stream();
        let mut mask = Vec::with_capacity(rates.len() * images);
        for rate in &rates {
            #[expect(clippy::cast_possible_truncation, reason = "the network works in single precision")]
            let kept = (1.0 / (1.0 - rate)) as f32;
            mask.extend((0..images).map(|_| if stream.chance(*rate) { 0.0 } else { kept }));
        }
        Some(Tensor::from_data(TensorData::new(mask, [rates.len(), images]), &self.device))
    }

    /// The figures of the inner validation images after an epoch (from 0).
    fn validate(&self, epoch: u32, learning_rate: f64) -> Result<Option<ValidationFigures>, TrainError> {
        let images = self.input.validation;
        let labels: Vec<u32> = images.iter().filter_map(|&image| self.input.labels.get(image)).copied().collect();
        if labels.len() != images.len() {
            return Err(TrainError::Inconsistent("a validation image has no label".to_owned()));
        }
        if images.is_empty() {
            return Ok(None);
        }
        let network = self.network.valid();
        let device = self.device.clone().inner();
        let logits: Vec<f32> = if let Some(table) = table(self.input, epoch) {
            network.classify(table.batch(images, &device)?, None).into_data().iter().collect()
        } else {
            let mut logits = Vec::new();
            evaluate(&self.loader, images, &mut |_| Flow::Continue, |x| {
                logits.extend(network.classify(network.features(x, Mode::Eval), None).into_data().iter::<f32>());
            })?;
            logits
        };
        let figures = validation_figures(&self.loss, self.input.classes.len(), &logits, &labels);
        match figures {
            Some(figures) if !figures.loss.is_finite() => {
                Err(TrainError::Diverged { epoch: epoch + 1, step: self.steps, learning_rate, loss: figures.loss })
            }
            figures => Ok(figures),
        }
    }

    /// Are all weights and statistics still numbers after an epoch (from 0)?
    fn finite(&self, epoch: u32, learning_rate: f64) -> Result<(), TrainError> {
        struct Finite(bool);
        impl ModuleVisitor for Finite {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 &= param.val().inner().sum().into_scalar::<f32>().is_finite();
            }
        }
        let mut all = Finite(true);
        self.network.visit(&mut all);
        if all.0 {
            Ok(())
        } else {
            Err(TrainError::Diverged { epoch: epoch + 1, step: self.steps, learning_rate, loss: f64::NAN })
        }
    }

    fn save(&self) -> Result<Vec<u8>, TrainError> {
        let channels = self.network.channels();
        let numbers = |values: [f32; 3]| values.iter().take(channels).map(f32::to_string).collect::<Vec<_>>().join(" ");
        let (head, normalize) = (self.input.study.model.head, self.input.study.images.normalize);
        let described = [
            (!normalize.is_fitted()).then(|| (seen::NORMALIZE.to_owned(), normalize.word().to_owned())),
            head.hidden.map(|hidden| ("hidden".to_owned(), hidden.to_string())),
            head.pool.map(|pool| ("pool".to_owned(), pool.to_string())),
        ];
        let metadata = [
            ("classes".to_owned(), serde_json::to_string(self.input.classes).unwrap_or_default()),
            ("backbone".to_owned(), self.network.timm_name().to_owned()),
            ("side".to_owned(), self.input.study.images.side().to_string()),
            ("mean".to_owned(), numbers(self.loader.mean)),
            ("std".to_owned(), numbers(self.loader.std)),
            (seen::NOTE.to_owned(), self.input.seen.to_owned()),
        ];
        Ok(weights::save(&self.network, metadata.into_iter().chain(described.into_iter().flatten()).collect())?)
    }
}

impl Sums {
    fn add(&mut self, images: usize, loss: f64, terms: &[f64], learning_rate: f64) {
        #[expect(clippy::cast_precision_loss, reason = "images are far below 2^53")]
        let count = images as f64;
        self.images += images;
        self.loss += count * loss;
        self.terms.resize(terms.len(), 0.0);
        for (sum, term) in self.terms.iter_mut().zip(terms) {
            *sum += count * term;
        }
        self.learning_rate = learning_rate;
    }
}

fn check_features(input: &FoldInput, columns: usize) -> Result<(), TrainError> {
    let Some(table) = input.frozen_features else { return Ok(()) };
    let why = if table.columns() != columns {
        format!("features of {} numbers for a backbone of {columns}", table.columns())
    } else if input.weights.is_none() {
        "features of a backbone without weights to start from".to_owned()
    } else if !input.study.images.augment.is_empty() {
        "features stand for images that are augmented".to_owned()
    } else {
        return Ok(());
    };
    Err(TrainError::Inconsistent(why))
}

/// Mean and standard deviation that the study's images are normalised with; `train` looks at the fold's training
/// images only, `dataset` at all.
fn normalisation_of(input: &FoldInput) -> Result<([f32; 3], [f32; 3]), TrainError> {
    if let Some(fixed) = normalisation(input.study.images.normalize, input.study.model.channels()) {
        return Ok(fixed);
    }
    let everybody: Vec<usize> = (0..input.labels.len()).collect();
    let fitted_to = if input.study.images.normalize == Normalize::Dataset { &everybody } else { input.train };
    let mut moments = Moments::default();
    for &index in fitted_to {
        moments.add(&input.prepared.get(index).map_err(|error| TrainError::Image { index, error })?);
    }
    Ok(moments.finish())
}

/// The terms with a weight for each class in the classes' order: what an author leaves out counts once.
fn in_class_order(terms: &[LossTerm], classes: &[String]) -> Vec<LossTerm> {
    let ordered = |weights: &ClassWeights| match weights {
        ClassWeights::Given(given) => ClassWeights::Given(
            classes.iter().map(|class| (class.clone(), given.get(class).copied().unwrap_or(1.0))).collect(),
        ),
        ClassWeights::None | ClassWeights::Balanced => weights.clone(),
    };
    terms.iter().map(|term| LossTerm { class_weights: ordered(&term.class_weights), ..term.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::study::LossKind;

    #[test]
    fn class_weights_go_by_name() {
        let classes = ["a", "b", "c"].map(str::to_owned);
        let weights = |given: &[(&str, f64)]| {
            let given: IndexMap<String, f64> =
                given.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
            let class_weights = ClassWeights::Given(given);
            let term = LossTerm { weight: 1.0, kind: LossKind::CrossEntropy, smoothing: 0.0, class_weights };
            in_class_order(&[term], &classes)
        };
        assert_eq!(weights(&[("c", 5.0), ("a", 2.0)]), weights(&[("a", 2.0), ("b", 1.0), ("c", 5.0)]));
        assert_ne!(weights(&[("c", 5.0), ("a", 2.0)]), weights(&[("a", 5.0), ("c", 2.0)]));
    }
}
