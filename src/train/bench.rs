//! What a network costs on this machine: time and memory of training steps and of inference on drawn images.
//!
//! A step is one of [`super::train_fold`]'s: forward, a mixed loss, backward, AdamW. Every parameter learns, or, on features, those
//! of the head. The images lie on the device, and a time ends when the device has done its work.

use std::time::{Duration, Instant};

use burn::module::Module as _;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use crate::draw::{DrawKey, Stage};
use crate::kernels::mix::{Targets, mix};
use crate::nn::{Frozen, Mode, Network};
use crate::study::{Backbone, ClassWeights, LossKind, LossTerm, Optimizer, Precision};

use super::error::TrainError;
use super::loss::MixedLoss;
use super::optim::TorchOptimizer;

/// Classes of the drawn images.
const CLASSES: usize = 4;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Bench {
    /// The network, with random weights.
    pub backbone: Backbone,
    /// Pixels a side; one that the network takes.
    pub side: usize,
    /// Images of a step.
    pub batch: usize,
    /// Training steps, and passes of inference, that are timed; the median counts.
    pub steps: usize,
    /// What the network's products are computed in.
    pub precision: Precision,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Median of a training step.
    pub train_step: Duration,
    /// Median of a batch's inference.
    pub inference: Duration,
    /// Median of a training step of the head alone, on features of a frozen backbone.
    pub head_step: Duration,
    /// Memory of the whole process at its largest.
    pub peak_bytes: u64,
    /// What one image more in a batch adds to that, as far as two batches tell; `None`: they did not differ.
    pub image_bytes: Option<u64>,
    /// The largest batch whose training step should fit into the memory that is free, an estimate by a straight line
    /// through two measured batches; `None`: free memory is not known, or the two did not differ.
    pub largest_batch: Option<u64>,
}

/// Measures; `progress` hears how many of how many passes are done.
///
/// # Errors
/// [`TrainError::Diverged`] if the network's loss is not a number.
pub fn bench(wanted: Bench, device: &Device, progress: &mut dyn FnMut(usize, usize)) -> Result<Cost, TrainError> {
    let Bench { backbone, side, batch, steps, precision } = wanted;
    // one small step, one of each kind to warm up, then those that are timed
    let all = 3 * steps + 4;
    let mut done = 0;
    let mut tick = || {
        done += 1;
        progress(done, all);
    };
    let mut trainer = Trainer::new(backbone, side, precision, &device.clone().autodiff())?;
    let small = batch.div_ceil(2);
    trainer.step(&Drawn::new(small, side, &trainer.device))?;
    tick();
    let (peak_small, _) = memory();
    let drawn = Drawn::new(batch, side, &trainer.device);
    let train_step = timed(steps, &mut tick, || trainer.step(&drawn))?;
    let (peak_bytes, resident) = memory();
    let network = trainer.network.valid();
    let images = drawn.images.clone().inner();
    let inference = timed(steps, &mut tick, || {
        drop(network.forward(images.clone(), Mode::Eval, None).into_data());
        Ok(())
    })?;
    trainer.network = trainer.network.freeze(Frozen::Backbone);
    let columns = trainer.network.feature_count();
    let features = TensorData::new(normal(batch * columns), [batch, columns]);
    let features = Tensor::from_data(features, &trainer.device);
    let head_step = timed(steps, &mut tick, || {
        let logits = trainer.network.classify(features.clone(), None);
        trainer.learn(logits, &drawn.targets)
    })?;
    let image_bytes = peak_bytes.saturating_sub(peak_small) / (batch - small).max(1) as u64;
    let image_bytes = Some(image_bytes).filter(|bytes| *bytes > 0);
    let room = free_bytes().map(|free| (free + resident).saturating_sub(peak_bytes));
    let largest_batch = room.zip(image_bytes).map(|(room, image)| batch as u64 + room / image);
    Ok(Cost { train_step, inference, head_step, peak_bytes, image_bytes, largest_batch })
}

/// The median of some passes, after one that is not timed.
fn timed(
    times: usize,
    tick: &mut dyn FnMut(),
    mut pass: impl FnMut() -> Result<(), TrainError>,
) -> Result<Duration, TrainError> {
    pass()?;
    tick();
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        pass()?;
        taken.push(begun.elapsed());
        tick();
    }
    Ok(median(taken))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Passes between two looks at the clock, so that a GPU's queue is never waited for in between.
const BURST: u32 = 20;

/// Measures forward and backward of `0.3 ce + 0.3 focal + 0.4 soft F1` over `rows` x `classes` logits; the median of `times`.
///
/// # Errors
/// [`TrainError::Inconsistent`] if the device gives up, or the loss is none.
pub fn bench_loss(rows: usize, classes: usize, times: usize, device: &Device) -> Result<Duration, TrainError> {
    let device = device.clone().autodiff();
    let terms = terms(&[
        (0.3, LossKind::CrossEntropy),
        (0.3, LossKind::Focal { gamma: 2.0, alpha: 0.25 }),
        (0.4, LossKind::SoftF1),
    ]);
    let loss = MixedLoss::new(&terms, classes, &vec![1; classes])?;
    let logits =
        Tensor::<2>::from_data(TensorData::new(normal(rows * classes), [rows, classes]), &device).require_grad();
    let targets = hot(rows, classes, &device);
    let pass = || {
        let mixed = mix(loss.mix(), logits.clone(), Targets::Shares(targets.clone()));
        drop(mixed.total.backward());
    };
    for _ in 0..3 {
        pass();
    }
    synced(&device)?;
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        for _ in 0..BURST {
            pass();
        }
        synced(&device)?;
        taken.push(begun.elapsed() / BURST);
    }
    Ok(median(taken))
}

/// Waits until a device has done its work.
fn synced(device: &Device) -> Result<(), TrainError> {
    device.sync().map_err(|error| TrainError::Inconsistent(error.to_string()))
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn normal(count: usize) -> Vec<f32> {
    let mut stream = DrawKey { seed: 0, stage: Stage::Initialise, epoch: 0, sample: 0 }.stream();
    (0..count).map(|_| stream.normal() as f32).collect()
}

/// One class a row, in turn.
fn hot(rows: usize, classes: usize, device: &Device) -> Tensor<2> {
    let hot = |at: usize| if at / classes % classes == at % classes { 1.0_f32 } else { 0.0 };
    let targets: Vec<f32> = (0..rows * classes).map(hot).collect();
    Tensor::from_data(TensorData::new(targets, [rows, classes]), device)
}

/// A batch on a device.
struct Drawn {
    images: Tensor<4>,
    targets: Tensor<2>,
}

impl Drawn {
    fn new(batch: usize, side: usize, device: &Device) -> Self {
        let shape = [batch, 3, side, side];
        let images = Tensor::from_data(TensorData::new(normal(shape.iter().product()), shape), device);
        Self { images, targets: hot(batch, CLASSES, device) }
    }
}

fn terms(of: &[(f64, LossKind)]) -> Vec<LossTerm> {
    let term = |(weight, kind)| LossTerm { weight, kind, smoothing: 0.0, class_weights: ClassWeights::None };
    of.iter().copied().map(term).collect()
}

/// A network on its way.
struct Trainer {
    network: Network,
    loss: MixedLoss,
    optimizer: TorchOptimizer,
    device: Device,
}

impl Trainer {
    fn new(backbone: Backbone, side: usize, precision: Precision, device: &Device) -> Result<Self, TrainError> {
        let terms = terms(&[(0.6, LossKind::Focal { gamma: 2.0, alpha: 0.25 }), (0.4, LossKind::SoftF1)]);
        Ok(Self {
            network: Network::sized(backbone, CLASSES, [side; 2], 0, device).with_precision(precision),
            loss: MixedLoss::new(&terms, CLASSES, &[1; CLASSES])?,
            optimizer: TorchOptimizer::new(Optimizer::AdamW { lr: 1e-4, weight_decay: 0.01 }, None),
            device: device.clone(),
        })
    }

    fn step(&mut self, Drawn { images, targets }: &Drawn) -> Result<(), TrainError> {
        self.learn(self.network.forward(images.clone(), Mode::Train, None), targets)
    }

    fn learn(&mut self, logits: Tensor<2>, targets: &Tensor<2>) -> Result<(), TrainError> {
        let cost = self.loss.forward(logits, targets.clone());
        if !cost.value.is_finite() {
            return Err(TrainError::Diverged { epoch: 1, step: 1, learning_rate: 1e-4, loss: cost.value });
        }
        let gradients = GradientsParams::from_grads(cost.total.backward(), &self.network);
        self.network = self.optimizer.step(1e-4, self.network.clone(), gradients);
        synced(&self.device)
    }
}

/// Bytes of this process: at its largest so far, and now.
fn memory() -> (u64, u64) {
    let mut all = [0_usize; 8];
    let [elapsed, user, system, now, peak, commit, peak_commit, faults] = &mut all;
    #[expect(unsafe_code, reason = "a call into C that fills eight numbers")]
    // SAFETY: every pointer is to a number of its own that lives through the call.
    unsafe {
        libmimalloc_sys::mi_process_info(elapsed, user, system, now, peak, commit, peak_commit, faults);
    }
    (all[4] as u64, all[3] as u64)
}

/// Bytes that programs may still ask for, within the container's limit if there is one; `None` where the system does not tell.
fn free_bytes() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let free = system.available_memory();
    let free = system.cgroup_limits().map_or(free, |limits| free.min(limits.free_memory));
    (free > 0).then_some(free)
}
