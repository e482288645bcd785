//! SE-ResNet, SE-ResNeXt and SENet-154 (Hu et al. 2017) as timm's `legacy_se*` build them.
//!
//! Each block's branch is gated by squeeze-and-excitation before it is added. The stem pool keeps a last window that
//! reaches over the end instead of padding (Caffe's way); the Keras library's pads one on each side.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Activation, Convolution, Padding, conv};
use super::norm::BatchNorm;
use super::pool::Pool;
use super::residual::{self, Block, Place};
use crate::catalog::backbones::{SeBlock, SeNet as Shape};

/// torch's default.
const EPS: f64 = 1e-5;

/// An SENet without its head.
#[derive(Module, Debug)]
pub struct SeNet {
    layer0: Stem,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    #[module(skip)]
    pool: Pool,
}

impl SeNet {
    /// The network for images of so many channels, with blank weights.
    #[must_use]
    pub fn new(shape: &Shape, channels: usize, device: &Device) -> Self {
        let deep = shape.block == SeBlock::SeNet154;
        let block = |Place { stage, inputs, planes, stride }: Place| residual::Shape {
            convolutions: match shape.block {
                SeBlock::Basic => [conv([inputs, planes], 3).stride(stride), conv([planes; 2], 3)],
                SeBlock::ResNet => [conv([inputs, planes], 1).stride(stride), conv([planes; 2], 3)],
                SeBlock::ResNeXt => {
                    let width = planes / 16 * 32;
                    [conv([inputs, width], 1), conv([width; 2], 3).stride(stride).groups(32)]
                }
                SeBlock::SeNet154 => {
                    [conv([inputs, 2 * planes], 1), conv([2 * planes, 4 * planes], 3).stride(stride).groups(64)]
                }
            },
            bottleneck: shape.block != SeBlock::Basic,
            gated: true,
            projection: if deep && stage > 0 { 3 } else { 1 },
            eps: EPS,
        };
        let inputs = if deep { 128 } else { 64 };
        let [layer1, layer2, layer3, layer4] = residual::stages(shape.blocks, inputs, block, device);
        Self {
            layer0: Stem::new(deep, channels, device),
            layer1,
            layer2,
            layer3,
            layer4,
            pool: if shape.padded_pool {
                Pool::largest(3, 2, Padding::Each(1))
            } else {
                Pool::largest(3, 2, Padding::Valid).ceil()
            },
        }
    }

    /// # Shapes
    /// `[images, channels, height, width]` to `[images, features, rows, columns]`.
    #[must_use]
    pub fn map(&self, images: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let stem = self.pool.forward(self.layer0.forward(images, pass));
        residual::forward(self.stages(), pass.seen("pool0", stem), pass)
    }

    fn stages(&self) -> [&Vec<Block>; 4] {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
    }

    /// Residual branches that drop path may leave out.
    pub(super) fn branches(&self) -> usize {
        self.stages().into_iter().map(Vec::len).sum()
    }
}

/// One 7x7, or SENet-154's three 3x3.
#[derive(Module, Debug)]
struct Stem {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Option<Convolution>,
    bn2: Option<BatchNorm>,
    conv3: Option<Convolution>,
    bn3: Option<BatchNorm>,
}

impl Stem {
    fn new(deep: bool, channels: usize, device: &Device) -> Self {
        let norm = |channels| BatchNorm::new(channels, EPS, device);
        Self {
            conv1: conv([channels, 64], if deep { 3 } else { 7 }).stride(2).build(device),
            bn1: norm(64),
            conv2: deep.then(|| conv([64, 64], 3).build(device)),
            bn2: deep.then(|| norm(64)),
            conv3: deep.then(|| conv([64, 128], 3).build(device)),
            bn3: deep.then(|| norm(128)),
        }
    }

    fn forward(&self, images: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let first = self.bn1.after(&self.conv1, images, None, pass, Activation::Relu);
        let rest = [(&self.conv2, &self.bn2), (&self.conv3, &self.bn3)];
        rest.into_iter().fold(first, |input, layer| match layer {
            (Some(conv), Some(norm)) => norm.after(conv, input, None, pass, Activation::Relu),
            _ => input,
        })
    }
}
