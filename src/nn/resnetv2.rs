//! ResNet v2 (He et al. 2016) as timm's `resnetv2` builds it: norm and activation before each convolution.
//!
//! The step is on the 3x3, projections are 1x1 and read the normalised input. The Keras library's ResNets are these with
//! a batch norm without weight on the images (`bn_data`), a norm after the stem and, where blocks are basic, a projection
//! in the very first one; its SE-ResNet-18 and -34 gate each block's branch besides.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Activation, Convolution, Padding, Squeeze, conv};
use super::norm::BatchNorm;
use super::pool::Pool;
use crate::catalog::backbones::ResNetV2 as Shape;

/// The pool of the stem.
const POOL: Pool = Pool::largest(3, 2, Padding::Each(1));

/// A ResNet v2 without its head.
#[derive(Module, Debug)]
pub struct ResNetV2 {
    bn_data: Option<BatchNorm>,
    stem: Stem,
    stages: Vec<Stage>,
    norm: BatchNorm,
}

#[derive(Module, Debug)]
struct Stem {
    conv: Convolution,
    norm: Option<BatchNorm>,
}

#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<Block>,
}

impl ResNetV2 {
    /// The network for images of so many channels, with blank weights.
    #[must_use]
    pub fn new(shape: &Shape, channels: usize, device: &Device) -> Self {
        let norm = |channels| BatchNorm::new(channels, shape.eps, device);
        let mut inputs = 64;
        let mut stages = Vec::new();
        for (index, &count) in shape.blocks.iter().enumerate() {
            let planes = 64 << index;
            let mut blocks = Vec::new();
            for block in 0..count {
                let stride = if index > 0 && block == 0 { 2 } else { 1 };
                let first = block == 0 && (index > 0 || shape.bottleneck || shape.project_first);
                blocks.push(Block::new(shape, [inputs, planes], stride, first, device));
                inputs = if shape.bottleneck { 4 * planes } else { planes };
            }
            stages.push(Stage { blocks });
        }
        Self {
            bn_data: shape.input_norm.then(|| BatchNorm::without_weight(channels, shape.eps, device)),
            stem: Stem {
                conv: conv([channels, 64], 7).stride(2).build(device),
                norm: shape.stem_norm.then(|| norm(64)),
            },
            stages,
            norm: norm(inputs),
        }
    }

    /// # Shapes
    /// `[images, channels, height, width]` to `[images, features, rows, columns]`.
    #[must_use]
    pub fn map(&self, images: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let images = match &self.bn_data {
            Some(norm) => norm.forward(images, pass.mode, Activation::Linear),
            None => images,
        };
        let stem = match &self.stem.norm {
            Some(norm) => norm.after(&self.stem.conv, images, None, pass, Activation::Relu),
            None => self.stem.conv.forward(images, pass.precision),
        };
        let (mut body, mut index) = (pass.seen("stem", POOL.forward(stem)), 0);
        for (stage, number) in self.stages.iter().zip(0..) {
            for block in &stage.blocks {
                body = block.forward(body, index, pass);
                index += 1;
            }
            body = pass.seen(&format!("stages.{number}"), body);
        }
        self.norm.forward(body, pass.mode, Activation::Relu)
    }

    /// Residual branches that drop path may leave out.
    pub(super) fn branches(&self) -> usize {
        self.stages.iter().map(|stage| stage.blocks.len()).sum()
    }
}

/// Norms, convolutions, and what came in, added. The third pair is a bottleneck's.
#[derive(Module, Debug)]
struct Block {
    downsample: Option<Projection>,
    norm1: BatchNorm,
    conv1: Convolution,
    norm2: BatchNorm,
    conv2: Convolution,
    norm3: Option<BatchNorm>,
    conv3: Option<Convolution>,
    se: Option<Squeeze>,
}

#[derive(Module, Debug)]
struct Projection {
    conv: Convolution,
}

impl Block {
    fn new(shape: &Shape, [inputs, planes]: [usize; 2], stride: usize, project: bool, device: &Device) -> Self {
        let norm = |channels| BatchNorm::new(channels, shape.eps, device);
        let outputs = if shape.bottleneck { 4 * planes } else { planes };
        let (first, second) = if shape.bottleneck {
            (conv([inputs, planes], 1), conv([planes, planes], 3).stride(stride))
        } else {
            (conv([inputs, planes], 3).stride(stride), conv([planes, planes], 3))
        };
        Self {
            downsample: project.then(|| Projection { conv: conv([inputs, outputs], 1).stride(stride).build(device) }),
            norm1: norm(inputs),
            conv1: first.build(device),
            norm2: norm(planes),
            conv2: second.build(device),
            norm3: shape.bottleneck.then(|| norm(planes)),
            conv3: shape.bottleneck.then(|| conv([planes, outputs], 1).build(device)),
            se: shape.excite.then(|| Squeeze::new(outputs, outputs / 16, device)),
        }
    }

    fn forward(&self, input: Tensor<4>, index: usize, pass: &Pass) -> Tensor<4> {
        let normalised = self.norm1.forward(input.clone(), pass.mode, Activation::Relu);
        let shortcut = match &self.downsample {
            Some(projection) => projection.conv.forward(normalised.clone(), pass.precision),
            None => input,
        };
        let inner = self.norm2.after(&self.conv1, normalised, None, pass, Activation::Relu);
        let mut inner = match (&self.norm3, &self.conv3) {
            (Some(norm3), Some(conv3)) => {
                conv3.forward(norm3.after(&self.conv2, inner, None, pass, Activation::Relu), pass.precision)
            }
            _ => self.conv2.forward(inner, pass.precision),
        };
        if let Some(se) = &self.se {
            inner = se.forward(inner, pass.precision);
        }
        pass.branch(index, inner) + shortcut
    }
}
