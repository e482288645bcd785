//! First weights: each tensor a pure function of the seed and of its name.
//!
//! Distributions are timm's. Convolutions: normal, variance 2 / fan-out (He et al. 2015), the fan-out of a grouped
//! one a group. Batch norms: weight 1, bias 0, and in a ResNet the last weight of each residual block 0, so that
//! blocks begin as identities. Head: torch's default, uniform within 1 / sqrt(features), weight and bias.

use crate::draw::{DrawKey, Stage};

use super::names::{self, Slot};
use super::{Backbone, Network};

/// Draws every tensor anew.
pub(super) fn draw(network: Network, seed: u64) -> Network {
    let features = network.feature_count();
    let residual_zero = match &network.backbone {
        Backbone::ResNet(_) => true,
        Backbone::EfficientNet(_) => false,
    };
    let network = names::identify(network);
    names::replace(network, &mut |slot| Some(first(slot, seed, features, residual_zero)))
}

fn first(slot: &Slot, seed: u64, features: usize, residual_zero: bool) -> Vec<f32> {
    let count = slot.shape.iter().product();
    let leaf = slot.name.rsplit('.').next().unwrap_or_default();
    if slot.in_head {
        let bound = 1.0 / as_f64(features).sqrt();
        let mut stream = key(seed, &slot.name).stream();
        return (0..count).map(|_| narrow(stream.between(-bound, bound))).collect();
    }
    match (leaf, slot.shape.as_slice()) {
        // A depthwise kernel's fan-out is that of its one group: kernel area times one output.
        ("weight", &[outputs, inputs, height, width]) => {
            let per_group = if inputs == 1 { 1 } else { outputs };
            let deviation = (2.0 / as_f64(height * width * per_group)).sqrt();
            let mut stream = key(seed, &slot.name).stream();
            (0..count).map(|_| narrow(deviation * stream.normal())).collect()
        }
        ("weight", _) if residual_zero && slot.name.ends_with(".bn2.weight") => vec![0.0; count],
        ("weight" | "running_var", _) => vec![1.0; count],
        _ => vec![0.0; count],
    }
}

fn key(seed: u64, name: &str) -> DrawKey {
    DrawKey { seed, stage: Stage::Initialise, epoch: 0, sample: names::hash(name) }
}

#[expect(clippy::cast_precision_loss, reason = "sizes of kernels and layers, far below 2^53")]
fn as_f64(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_possible_truncation, reason = "weights are 32-bit: this is the rounding")]
fn narrow(value: f64) -> f32 {
    value as f32
}
