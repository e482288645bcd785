//! What a network costs on this machine: time and memory of training steps and of inference on drawn images.
//!
//! A step is one of [`super::train_fold`]'s: forward, a mixed loss, backward, AdamW. Every parameter learns.

use std::time::{Duration, Instant};

use burn::module::Module as _;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use crate::draw::{DrawKey, Stage};
use crate::nn::{Mode, Network};
use crate::study::{Backbone, ClassWeights, LossKind, LossTerm, Optimizer};

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
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Median of a training step.
    pub train_step: Duration,
    /// Median of a batch's inference.
    pub inference: Duration,
    /// Memory of the whole process at its largest.
    pub peak_bytes: u64,
    /// The largest batch whose training step should fit into the memory that is free, an estimate by a straight line
    /// through two measured batches; `None`: free memory is not known, or the two did not differ.
    pub largest_batch: Option<u64>,
}

/// Measures; `progress` hears how many of how many passes are done.
///
/// # Errors
/// [`TrainError::Diverged`] if the network's loss is not a number.
pub fn bench(wanted: Bench, device: &Device, progress: &mut dyn FnMut(usize, usize)) -> Result<Cost, TrainError> {
    let Bench { backbone, side, batch, steps } = wanted;
    // one small step, one of each kind to warm up, then those that are timed
    let all = 2 * steps + 3;
    let mut done = 0;
    let mut tick = || {
        done += 1;
        progress(done, all);
    };
    let mut trainer = Trainer::new(backbone, side, &device.clone().autodiff())?;
    let small = batch.div_ceil(2);
    trainer.step(small, side)?;
    tick();
    let (peak_small, _) = memory();
    trainer.step(batch, side)?;
    tick();
    let mut times = Vec::with_capacity(steps);
    for _ in 0..steps {
        let begun = Instant::now();
        trainer.step(batch, side)?;
        times.push(begun.elapsed());
        tick();
    }
    let (peak_bytes, resident) = memory();
    let network = trainer.network.valid();
    let images = drawn([batch, 3, side, side], device);
    let infer = || drop(network.forward(images.clone(), Mode::Eval, None).into_data());
    infer();
    tick();
    let mut passes = Vec::with_capacity(steps);
    for _ in 0..steps {
        let begun = Instant::now();
        infer();
        passes.push(begun.elapsed());
        tick();
    }
    let an_image = peak_bytes.saturating_sub(peak_small) / (batch - small).max(1) as u64;
    let room = free_bytes().map(|free| (free + resident).saturating_sub(peak_bytes));
    let largest_batch = room.filter(|_| an_image > 0).map(|room| batch as u64 + room / an_image);
    Ok(Cost { train_step: median(times), inference: median(passes), peak_bytes, largest_batch })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn drawn(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let mut stream = DrawKey { seed: 0, stage: Stage::Initialise, epoch: 0, sample: 0 }.stream();
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A network on its way.
struct Trainer {
    network: Network,
    loss: MixedLoss,
    optimizer: TorchOptimizer,
    device: Device,
}

impl Trainer {
    fn new(backbone: Backbone, side: usize, device: &Device) -> Result<Self, TrainError> {
        let term = |weight, kind| LossTerm { weight, kind, smoothing: 0.0, class_weights: ClassWeights::None };
        let terms = [term(0.6, LossKind::Focal { gamma: 2.0, alpha: 0.25 }), term(0.4, LossKind::SoftF1)];
        Ok(Self {
            network: Network::sized(backbone, CLASSES, [side; 2], 0, device),
            loss: MixedLoss::new(&terms, CLASSES, &[1; CLASSES])?,
            optimizer: TorchOptimizer::new(Optimizer::AdamW { lr: 1e-4, weight_decay: 0.01 }, None),
            device: device.clone(),
        })
    }

    fn step(&mut self, batch: usize, side: usize) -> Result<(), TrainError> {
        let images = drawn([batch, 3, side, side], &self.device);
        let hot = |at: usize| if at / CLASSES % CLASSES == at % CLASSES { 1.0_f32 } else { 0.0 };
        let targets: Vec<f32> = (0..batch * CLASSES).map(hot).collect();
        let targets = Tensor::from_data(TensorData::new(targets, [batch, CLASSES]), &self.device);
        let cost = self.loss.forward(self.network.forward(images, Mode::Train, None), targets);
        if !cost.value.is_finite() {
            return Err(TrainError::Diverged { epoch: 1, step: 1, learning_rate: 1e-4, loss: cost.value });
        }
        let gradients = GradientsParams::from_grads(cost.total.backward(), &self.network);
        self.network = self.optimizer.step(1e-4, self.network.clone(), gradients);
        Ok(())
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

/// Bytes that programs may still ask for; `None` where the system does not tell as Linux does.
fn free_bytes() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
