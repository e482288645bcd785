//! A fold of a study becomes a trained network: losses, optimisers, schedules, batches and the loop over them.
//!
//! Promises: the same study, seed and bytes give the same bits, whatever the timing of the loader threads;
//! decisions (plateau, early stopping, the kept epoch) look at the inner validation images and at nothing else;
//! a loss that is not a number ends the training with [`TrainError::Diverged`] instead of a spoiled model.
//!
//! ```text
//! sampler -> batches -> network -> loss -> optim      one step
//! schedule, figures, early                            one epoch
//! fold                                                all of it
//! ```

mod batches;
mod bench;
mod early;
mod error;
mod features;
mod figures;
mod fold;
mod loss;
mod optim;
mod sampler;
mod schedule;

pub use crate::kernels::mix::HostLoss;
pub use bench::{Bench, Cost, bench, bench_loss};
pub use early::{BestEpoch, EarlyStopping};
pub use error::TrainError;
pub use features::{FeatureTable, features, predict};
pub use figures::{validation_figures, watched};
pub use fold::{Event, Flow, FoldInput, TrainedFold, train_fold};
pub use loss::{LossValue, MixedLoss};
pub use optim::TorchOptimizer;
pub use sampler::epoch_order;
pub use schedule::{LearningRate, Plateau};
