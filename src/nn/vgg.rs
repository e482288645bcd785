//! VGG (Simonyan and Zisserman 2014) as torchvision and timm build it: 3x3 convolutions with biases, no batch norm.
//!
//! The two layers before the classifier are convolutions, 7x7 and 1x1, as in timm: an image of more than 224 pixels gives
//! several places, whose features are averaged; one of fewer is averaged up to 7x7 places first.

use burn::module::Module;
use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Convolution, Padding, conv};
use super::pool::Pool;
use crate::kernels::{Curve, curve};

/// After each stage.
const POOL: Pool = Pool::largest(2, 2, Padding::Valid);

/// Channels of the stages.
const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];

/// Features an image has.
const FEATURES: usize = 4096;

/// Side of the first of the last two convolutions.
const SIDE: usize = 7;

/// A VGG without its head.
#[derive(Module, Debug)]
pub struct Vgg {
    /// By timm's numbers: a place that holds no convolution is an activation, and after a stage a pool.
    features: Vec<Option<Convolution>>,
    pre_logits: PreLogits,
}

#[derive(Module, Debug)]
struct PreLogits {
    fc1: Convolution,
    fc2: Convolution,
}

impl Vgg {
    /// So many convolutions a stage, for images of so many channels, with blank weights.
    #[must_use]
    pub fn new(convolutions: &[usize; 5], channels: usize, device: &Device) -> Self {
        let mut inputs = channels;
        let mut features = Vec::new();
        for (outputs, &count) in CHANNELS.into_iter().zip(convolutions) {
            for _ in 0..count {
                features.extend([Some(conv([inputs, outputs], 3).bias().build(device)), None]);
                inputs = outputs;
            }
            features.push(None);
        }
        let pre_logits = PreLogits {
            fc1: conv([inputs, FEATURES], SIDE).padding(Padding::Valid).bias().build(device),
            fc2: conv([FEATURES, FEATURES], 1).bias().build(device),
        };
        Self { features, pre_logits }
    }

    /// # Shapes
    /// `[images, channels, height, width]` to `[images, 4096]`.
    #[must_use]
    pub fn map(&self, images: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let mut activated = true;
        let mut body = images;
        for layer in &self.features {
            body = match layer {
                Some(convolution) => convolution.forward(body, pass.precision),
                None if activated => POOL.forward(body),
                None => curve(body, Curve::Relu),
            };
            activated = layer.is_none();
        }
        body = pass.seen("features", body);
        let [_, _, height, width] = body.dims();
        if height < SIDE || width < SIDE {
            body = adaptive_avg_pool2d(body, [height.max(SIDE), width.max(SIDE)]);
        }
        let hidden = curve(self.pre_logits.fc1.forward(body, pass.precision), Curve::Relu);
        pass.seen("pre_logits", curve(self.pre_logits.fc2.forward(hidden, pass.precision), Curve::Relu))
    }
}
