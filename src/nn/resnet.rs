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
use crate::catalog::backbones::ResNet as Shape;
use crate::kernels::sum_relu;

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
    /// The network with blank weights.
    #[must_use]
    pub fn new(shape: &Shape, device: &Device) -> Self {
        let mut inputs = 64;
        let mut stage = |index: usize| {
            let planes = 64 << index;
            let stride = if index == 0 { 1 } else { 2 };
            let blocks = (0..shape.blocks[index]).map(|block| {
                let block = Block::new(shape, inputs, planes, if block == 0 { stride } else { 1 }, device);
                inputs = if shape.bottleneck { 4 * planes } else { planes };
                block
            });
            blocks.collect()
        };
        Self {
            bn_data: shape.input_norm.then(|| BatchNorm::without_weight(3, shape.eps, device)),
            conv1: conv([3, 64], 7).stride(2).build(device),
            bn1: BatchNorm::new(64, shape.eps, device),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
        }
    }

    /// # Shapes
    /// `[images, 3, height, width]` to `[images, features, rows, columns]`.
    #[must_use]
    pub fn map(&self, images: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let images = match &self.bn_data {
            Some(norm) => norm.forward(images, pass.mode, Activation::Linear),
            None => images,
        };
        let stem = self.bn1.forward(self.conv1.forward(images), pass.mode, Activation::Relu);
        let (mut body, mut index) = (pass.seen("maxpool", POOL.forward(stem)), 0);
        for (name, stage) in ["layer1", "layer2", "layer3", "layer4"].into_iter().zip(self.stages()) {
            for block in stage {
                body = block.forward(body, index, pass);
                index += 1;
            }
            body = pass.seen(name, body);
        }
        body
    }

    fn stages(&self) -> [&Vec<Block>; 4] {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
    }

    /// Residual branches that drop path may leave out.
    pub(super) fn branches(&self) -> usize {
        self.stages().into_iter().map(Vec::len).sum()
    }
}

/// Convolutions and what came in, added. The third convolution is a bottleneck's.
#[derive(Module, Debug)]
struct Block {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Convolution,
    bn2: BatchNorm,
    conv3: Option<Convolution>,
    bn3: Option<BatchNorm>,
    downsample: Option<(Convolution, BatchNorm)>,
}

impl Block {
    fn new(shape: &Shape, inputs: usize, planes: usize, stride: usize, device: &Device) -> Self {
        let norm = |channels| BatchNorm::new(channels, shape.eps, device);
        let outputs = if shape.bottleneck { 4 * planes } else { planes };
        let middle = if shape.bottleneck { planes * shape.width / 64 * shape.groups } else { planes };
        let (first, second) = if shape.bottleneck {
            (conv([inputs, middle], 1), conv([middle, middle], 3).stride(stride).groups(shape.groups))
        } else {
            (conv([inputs, planes], 3).stride(stride), conv([planes, planes], 3))
        };
        let project = stride != 1 || inputs != outputs;
        Self {
            conv1: first.build(device),
            bn1: norm(middle),
            conv2: second.build(device),
            bn2: norm(middle),
            conv3: shape.bottleneck.then(|| conv([middle, outputs], 1).build(device)),
            bn3: shape.bottleneck.then(|| norm(outputs)),
            downsample: project.then(|| (conv([inputs, outputs], 1).stride(stride).build(device), norm(outputs))),
        }
    }

    fn forward(&self, input: Tensor<4>, index: usize, pass: &Pass) -> Tensor<4> {
        let mode = pass.mode;
        let inner = self.bn1.forward(self.conv1.forward(input.clone()), mode, Activation::Relu);
        let inner = self.conv2.forward(inner);
        let inner = match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let inner = self.bn2.forward(inner, mode, Activation::Relu);
                bn3.forward(conv3.forward(inner), mode, Activation::Linear)
            }
            _ => self.bn2.forward(inner, mode, Activation::Linear),
        };
        let shortcut = match &self.downsample {
            Some((convolution, norm)) => norm.forward(convolution.forward(input), mode, Activation::Linear),
            None => input,
        };
        sum_relu(pass.branch(index, inner), shortcut)
    }
}
