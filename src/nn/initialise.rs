//! First weights: each tensor a pure function of the seed and of its name, drawn when it is first read.
//!
//! Distributions are timm's. Convolutions: normal, variance 2 / fan-out (He et al. 2015), the fan-out of a depthwise
//! one a channel's. Norms: weight 1, bias 0. Head: torch's default, uniform within 1 / sqrt(features), weight and bias.
//! A family says what it does otherwise ([`special`]).

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use crate::catalog::backbones::Architecture;
use crate::draw::{DrawKey, Stage};

use super::Network;
use super::layers::lazy;
use super::names::{self, Kind, Path, Slot, keep_path};

/// How the values of a tensor are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum First {
    /// All the same.
    Constant(f32),
    /// Normal with this standard deviation, around 0.
    Normal(f64),
    /// Uniform between minus this and this.
    Uniform(f64),
}

/// The network with every parameter as it is drawn, and each tensor's identity a function of its name, so that what is
/// keyed by it (an optimiser's state on disk) is the same in every process. Nothing is allocated yet.
pub(super) fn draw(network: Network, architecture: &Architecture, seed: u64) -> Network {
    let (path, features, hidden) = (Path::of(&network), network.feature_count(), network.hidden_count());
    network.map(&mut Draw { path, architecture: *architecture, features, hidden, seed })
}

struct Draw {
    path: Path,
    architecture: Architecture,
    features: usize,
    hidden: Option<usize>,
    seed: u64,
}

impl ModuleMapper for Draw {
    keep_path!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let slot = self.path.slot(&param);
        let id = ParamId::from(names::hash(&slot.name));
        match slot.kind {
            Kind::Statistic => {
                let (_, value, mapper) = param.consume();
                Param::from_mapped_value(id, value, mapper)
            }
            Kind::Parameter => {
                let first =
                    special(&self.architecture, &slot).unwrap_or_else(|| usual(&slot, self.features, self.hidden));
                let (seed, shape) = (self.seed, param.lazy_shape());
                lazy(id, shape.clone(), param.lazy_device(), move |device| {
                    Tensor::from_data(TensorData::new(values(first, &slot, seed), shape), device)
                })
            }
        }
    }
}

/// What a family does otherwise.
fn special(architecture: &Architecture, slot: &Slot) -> Option<First> {
    let ends = |end: &str| slot.name.ends_with(end);
    // Residual blocks begin as identities: the last layer of each is zero.
    let identity = |last: &str| ends(last).then_some(First::Constant(0.0));
    let small_head = || {
        let first = if ends(".bias") { First::Constant(0.0) } else { First::Normal(0.01) };
        slot.in_head.then_some(first)
    };
    let fan_in = || match slot.shape.as_slice() {
        &[_, inputs, height, width] => Some(First::Uniform(1.0 / as_f64(inputs * height * width).sqrt())),
        _ => None,
    };
    match architecture {
        Architecture::ResNet(shape) => identity(if shape.bottleneck { ".bn3.weight" } else { ".bn2.weight" }),
        Architecture::ResNetV2(shape) => {
            identity(if shape.bottleneck { ".conv3.weight" } else { ".conv2.weight" }).or_else(small_head)
        }
        Architecture::Vgg(_) => small_head(),
        Architecture::DenseNet(_) => match slot.shape.as_slice() {
            // Variance 2 / fan-in.
            &[_, inputs, height, width] => Some(First::Normal((2.0 / as_f64(inputs * height * width)).sqrt())),
            _ if slot.in_head && ends(".bias") => Some(First::Constant(0.0)),
            _ => None,
        },
        // torch's own: uniform within 1 / sqrt(fan-in), biases too.
        Architecture::InceptionResNetV2 | Architecture::NasNet(_) => fan_in(),
        Architecture::InceptionV3 { .. } => (slot.shape.len() == 4).then_some(First::Normal(0.1)),
        // The fan-out of a depthwise kernel is that of all channels here.
        Architecture::Xception { .. } => match slot.shape.as_slice() {
            &[outputs, _, height, width] => Some(First::Normal((2.0 / as_f64(outputs * height * width)).sqrt())),
            _ => None,
        },
        Architecture::VisionTransformer(_) => match slot.name.as_str() {
            "cls_token" => Some(First::Normal(1e-6)),
            "pos_embed" => Some(First::Normal(0.02)),
            "patch_embed.proj.bias" => None,
            _ if slot.shape.len() == 4 => fan_in(),
            _ if slot.shape.len() == 2 => Some(First::Normal(0.02)),
            _ => None,
        },
        Architecture::SeNet(_) | Architecture::Efficient(_) => None,
    }
}

fn usual(slot: &Slot, features: usize, hidden: Option<usize>) -> First {
    if slot.in_head {
        let inputs = if slot.name.contains(".fc2.") { hidden.unwrap_or(features) } else { features };
        return First::Uniform(1.0 / as_f64(inputs).sqrt());
    }
    let leaf = slot.name.rsplit('.').next().unwrap_or_default();
    match (leaf, slot.shape.as_slice()) {
        // A depthwise kernel's fan-out is that of its one group: kernel area times one output.
        ("weight", &[outputs, inputs, height, width]) => {
            let per_group = if inputs == 1 { 1 } else { outputs };
            First::Normal((2.0 / as_f64(height * width * per_group)).sqrt())
        }
        ("weight", _) => First::Constant(1.0),
        _ => First::Constant(0.0),
    }
}

fn values(first: First, slot: &Slot, seed: u64) -> Vec<f32> {
    let count = slot.shape.iter().product();
    let mut stream = DrawKey { seed, stage: Stage::Initialise, epoch: 0, sample: names::hash(&slot.name) }.stream();
    match first {
        First::Constant(value) => vec![value; count],
        First::Normal(deviation) => (0..count).map(|_| narrow(deviation * stream.normal())).collect(),
        First::Uniform(bound) => (0..count).map(|_| narrow(stream.between(-bound, bound))).collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes of kernels and layers, far below 2^53")]
fn as_f64(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_possible_truncation, reason = "weights are 32-bit: this is the rounding")]
fn narrow(value: f64) -> f32 {
    value as f32
}
