//! SE-ResNet, SE-ResNeXt and SENet-154 (Hu et al. 2017) as timm's `legacy_se*` build them.
//!
//! Each block's branch is gated by squeeze-and-excitation before it is added. The stem pool keeps a last window that
//! reaches over the end instead of padding (Caffe's way); the Keras library's pads one on each side.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Activation, Convolution, Padding, Squeeze, conv};
use super::norm::BatchNorm;
use super::pool::Pool;
use crate::catalog::backbones::{SeBlock, SeNet as Shape};
use crate::kernels::sum_relu;

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
    /// The network with blank weights.
    #[must_use]
    pub fn new(shape: &Shape, device: &Device) -> Self {
        let mut inputs = if shape.block == SeBlock::SeNet154 { 128 } else { 64 };
        let layer0 = Stem::new(shape.block, device);
        let mut stage = |index: usize| {
            let planes = 64 << index;
            let mut blocks = Vec::new();
            for block in 0..shape.blocks[index] {
                let stride = if index > 0 && block == 0 { 2 } else { 1 };
                let outputs = if shape.block == SeBlock::Basic { planes } else { 4 * planes };
                let kernel = if shape.block == SeBlock::SeNet154 && index > 0 { 3 } else { 1 };
                let downsample = (block == 0 && (stride != 1 || inputs != outputs)).then(|| {
                    (conv([inputs, outputs], kernel).stride(stride).build(device), BatchNorm::new(outputs, EPS, device))
                });
                blocks.push(Block::new(shape.block, [inputs, planes, outputs], stride, downsample, device));
                inputs = outputs;
            }
            blocks
        };
        Self {
            layer0,
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
            pool: if shape.padded_pool {
                Pool::largest(3, 2, Padding::Each(1))
            } else {
                Pool::largest(3, 2, Padding::Valid).ceil()
            },
        }
    }

    /// # Shapes
    /// `[images, 3, height, width]` to `[images, features, rows, columns]`.
    #[must_use]
    pub fn map(&self, images: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let stem = self.pool.forward(self.layer0.forward(images, pass));
        let (mut body, mut index) = (pass.seen("pool0", stem), 0);
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
    fn new(block: SeBlock, device: &Device) -> Self {
        let norm = |channels| BatchNorm::new(channels, EPS, device);
        let deep = block == SeBlock::SeNet154;
        Self {
            conv1: conv([3, 64], if deep { 3 } else { 7 }).stride(2).build(device),
            bn1: norm(64),
            conv2: deep.then(|| conv([64, 64], 3).build(device)),
            bn2: deep.then(|| norm(64)),
            conv3: deep.then(|| conv([64, 128], 3).build(device)),
            bn3: deep.then(|| norm(128)),
        }
    }

    fn forward(&self, images: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let first = self.bn1.forward(self.conv1.forward(images), pass.mode, Activation::Relu);
        let rest = [(&self.conv2, &self.bn2), (&self.conv3, &self.bn3)];
        rest.into_iter().fold(first, |input, layer| match layer {
            (Some(conv), Some(norm)) => norm.forward(conv.forward(input), pass.mode, Activation::Relu),
            _ => input,
        })
    }
}

/// Convolutions, the gate, and what came in, added. The third convolution is a bottleneck's.
#[derive(Module, Debug)]
struct Block {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Convolution,
    bn2: BatchNorm,
    conv3: Option<Convolution>,
    bn3: Option<BatchNorm>,
    se_module: Squeeze,
    downsample: Option<(Convolution, BatchNorm)>,
}

impl Block {
    fn new(
        block: SeBlock,
        [inputs, planes, outputs]: [usize; 3],
        stride: usize,
        downsample: Option<(Convolution, BatchNorm)>,
        device: &Device,
    ) -> Self {
        let norm = |channels| BatchNorm::new(channels, EPS, device);
        let [first, second] = match block {
            SeBlock::Basic => [conv([inputs, planes], 3).stride(stride), conv([planes; 2], 3)],
            SeBlock::ResNet => [conv([inputs, planes], 1).stride(stride), conv([planes; 2], 3)],
            SeBlock::ResNeXt => {
                let width = planes / 16 * 32;
                [conv([inputs, width], 1), conv([width; 2], 3).stride(stride).groups(32)]
            }
            SeBlock::SeNet154 => {
                [conv([inputs, 2 * planes], 1), conv([2 * planes, 4 * planes], 3).stride(stride).groups(64)]
            }
        };
        let ([_, one], [_, two]) = (first.channels(), second.channels());
        let bottleneck = block != SeBlock::Basic;
        Self {
            conv1: first.build(device),
            bn1: norm(one),
            conv2: second.build(device),
            bn2: norm(two),
            conv3: bottleneck.then(|| conv([two, outputs], 1).build(device)),
            bn3: bottleneck.then(|| norm(outputs)),
            se_module: Squeeze::new(outputs, outputs / 16, device),
            downsample,
        }
    }

    fn forward(&self, input: Tensor<4>, index: usize, pass: &Pass) -> Tensor<4> {
        let mode = pass.mode;
        let inner = self.bn1.forward(self.conv1.forward(input.clone()), mode, Activation::Relu);
        // A basic block's branch ends with an activation before the gate, a bottleneck's without.
        let mut inner = self.bn2.forward(self.conv2.forward(inner), mode, Activation::Relu);
        if let (Some(conv3), Some(bn3)) = (&self.conv3, &self.bn3) {
            inner = bn3.forward(conv3.forward(inner), mode, Activation::Linear);
        }
        let shortcut = match &self.downsample {
            Some((convolution, norm)) => norm.forward(convolution.forward(input), mode, Activation::Linear),
            None => input,
        };
        sum_relu(pass.branch(index, self.se_module.forward(inner)), shortcut)
    }
}
