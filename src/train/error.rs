//! Why a training ended without a model.

use std::fmt;
use std::io;

use crate::nn::weights::WeightsError;

/// Why a training ended without a model.
#[derive(Debug)]
pub enum TrainError {
    /// The loss (or a weight) is no longer a sensible number.
    Diverged {
        /// From 1.
        epoch: u32,
        /// Step of the epoch, from 1; the last one when it showed in the validation after the epoch.
        step: u32,
        /// At that step.
        learning_rate: f64,
        /// What it came to.
        loss: f64,
    },
    /// The caller asked to stop.
    Interrupted,
    /// A prepared image could not be read.
    Image {
        /// Its index in the data set.
        index: usize,
        /// What the store says.
        error: io::Error,
    },
    /// First weights or a saved model could not be used.
    Weights(WeightsError),
    /// Too few training images for a single step.
    TooFewImages {
        /// How many there are.
        images: usize,
    },
    /// The caller's figures contradict one another.
    Inconsistent(String),
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Diverged { epoch, step, learning_rate, loss } => {
                write!(f, "the training diverged in epoch {epoch}")?;
                if *step > 0 {
                    write!(f, ", step {step}")?;
                }
                write!(
                    f,
                    ": the loss came to {loss:e} at a learning rate of {learning_rate:e}; try a learning rate ten \
                     times lower (`lr = {:e}`), or limit the gradient with `clip = 1.0`, and look at the \
                     prepared images: constant or broken ones do this as well",
                    learning_rate / 10.0
                )
            }
            Self::Interrupted => f.write_str("the training was interrupted"),
            Self::Image { index, error } => write!(f, "prepared image {index} could not be read: {error}"),
            Self::Weights(why) => write!(f, "the weights cannot be used: {why}"),
            Self::TooFewImages { images } => {
                write!(f, "{images} training images are too few: a step needs at least 2")
            }
            Self::Inconsistent(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for TrainError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Image { error, .. } => Some(error),
            Self::Weights(error) => Some(error),
            Self::Diverged { .. } | Self::Interrupted | Self::TooFewImages { .. } | Self::Inconsistent(_) => None,
        }
    }
}

impl From<WeightsError> for TrainError {
    fn from(error: WeightsError) -> Self {
        Self::Weights(error)
    }
}
