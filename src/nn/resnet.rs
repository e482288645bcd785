//! ResNet (He et al. 2015) and ResNeXt (Xie et al. 2016) as torchvision and timm build them.
//!
//! Post-activation blocks, a 7x7 stem with a 3x3 pool, the step on a block's (first) 3x3, projections of 1x1. For the
//! Keras library's ResNeXt there is a batch norm without weight on the images (`bn_data`).

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Activation, Convolution, Padding, conv};
use super::norm::BatchNorm;
use super::pool::Pool;
use super::residual::{self, Block, Place};
use crate::catalog::backbones::ResNet as Shape;

/// The pool of the stem.
const POOL: Pool = Pool::largest(3, 2, Padding::Each(1));

/// A ResNet without its head.
#[derive(Module, Debug)]
pub struct ResNet {
    bn_data: Option<BatchNorm>,
    conv1: Convolution,
    bn1: BatchNorm,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
}

impl ResNet {
    /// The network for images of so many channels, with blank weights.
    #[must_use]
    pub fn new(shape: &Shape, channels: usize, device: &Device) -> Self {
        let block = |Place { inputs, planes, stride, .. }: Place| residual::Shape {
            convolutions: if shape.bottleneck {
                let middle = planes * shape.width / 64 * shape.groups;
                [conv([inputs, middle], 1), conv([middle; 2], 3).stride(stride).groups(shape.groups)]
            } else {
                [conv([inputs, planes], 3).stride(stride), conv([planes; 2], 3)]
            },
            bottleneck: shape.bottleneck,
            gated: false,
            projection: 1,
            eps: shape.eps,
        };
        let [layer1, layer2, layer3, layer4] = residual::stages(shape.blocks, 64, block, device);
        Self {
            bn_data: shape.input_norm.then(|| BatchNorm::without_weight(channels, shape.eps, device)),
            conv1: conv([channels, 64], 7).stride(2).build(device),
            bn1: BatchNorm::new(64, shape.eps, device),
            layer1,
            layer2,
            layer3,
            layer4,
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
        let stem = self.bn1.after(&self.conv1, images, None, pass, Activation::Relu);
        residual::forward(self.stages(), pass.seen("maxpool", POOL.forward(stem)), pass)
    }

    fn stages(&self) -> [&Vec<Block>; 4] {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
    }

    /// Residual branches that drop path may leave out.
    pub(super) fn branches(&self) -> usize {
        self.stages().into_iter().map(Vec::len).sum()
    }
}
