//! EfficientNet-Lite0 (Tan & Le 2019, Lite variant of 2020) as timm's `tf_efficientnet_lite0` builds it.
//!
//! EfficientNet-B0 without squeeze-and-excitation and with `ReLU6`; TensorFlow's SAME padding and epsilon 1e-3.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Activation, Convolution, Padding, conv, global_average};
use super::norm::BatchNorm;

/// Channels after the last convolution.
const FEATURES: usize = 1280;

/// TensorFlow's default.
const EPS: f64 = 1e-3;

/// Channels after the stem.
const STEM: usize = 32;

/// Blocks that share a shape, but for the first one's step and input.
struct Stage {
    blocks: usize,
    kernel: usize,
    stride: usize,
    expansion: usize,
    outputs: usize,
}

const fn row(blocks: usize, kernel: usize, stride: usize, expansion: usize, outputs: usize) -> Stage {
    Stage { blocks, kernel, stride, expansion, outputs }
}

/// Blocks, kernel, step, expansion, channels.
const LITE0: [Stage; 7] = [
    row(1, 3, 1, 1, 16),
    row(2, 3, 2, 6, 24),
    row(2, 5, 2, 6, 40),
    row(3, 3, 2, 6, 80),
    row(3, 5, 1, 6, 112),
    row(4, 5, 2, 6, 192),
    row(1, 3, 1, 6, 320),
];

/// An EfficientNet-Lite, without its head.
#[derive(Module, Debug)]
pub struct EfficientNet {
    conv_stem: Convolution,
    bn1: BatchNorm,
    blocks: Vec<Vec<Block>>,
    conv_head: Convolution,
    bn2: BatchNorm,
}

impl EfficientNet {
    /// Lite0 with blank weights.
    #[must_use]
    pub fn lite0(device: &Device) -> Self {
        let mut inputs = STEM;
        let mut blocks = Vec::new();
        for stage in &LITE0 {
            let mut members = Vec::new();
            for index in 0..stage.blocks {
                let stride = if index == 0 { stage.stride } else { 1 };
                members.push(Block::new(stage, inputs, stride, device));
                inputs = stage.outputs;
            }
            blocks.push(members);
        }
        Self {
            conv_stem: dense([3, STEM], 3, 2, device),
            bn1: BatchNorm::new(STEM, EPS, device),
            blocks,
            conv_head: dense([inputs, FEATURES], 1, 1, device),
            bn2: BatchNorm::new(FEATURES, EPS, device),
        }
    }

    /// # Shapes
    /// `[images, 3, height, width]` to `[images, 1280]`.
    #[must_use]
    pub fn features(&self, images: Tensor<4>, pass: &Pass) -> Tensor<2> {
        let stem = pass.seen("conv_stem", self.conv_stem.forward(images));
        let (mut body, mut index) = (self.bn1.forward(stem, pass.mode, Activation::Relu6), 0);
        for (stage, number) in self.blocks.iter().zip(0..) {
            for block in stage {
                body = block.forward(body, index, pass);
                index += 1;
            }
            body = pass.seen(&format!("blocks.{number}"), body);
        }
        let head = pass.seen("conv_head", self.conv_head.forward(body));
        global_average(self.bn2.forward(head, pass.mode, Activation::Relu6))
    }

    /// Residual branches that drop path may leave out.
    pub(super) fn branches(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum()
    }
}

/// A block of either kind.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "sixteen exist, and each owns far more in its tensors")]
enum Block {
    /// Depthwise, pointwise: the first stage.
    Separable(Separable),
    /// Pointwise up, depthwise, pointwise down: all others.
    Inverted(Inverted),
}

impl Block {
    fn new(stage: &Stage, inputs: usize, stride: usize, device: &Device) -> Self {
        let (outputs, kernel) = (stage.outputs, stage.kernel);
        let skip = stride == 1 && inputs == outputs;
        if stage.expansion == 1 {
            return Self::Separable(Separable {
                conv_dw: depthwise(inputs, kernel, stride, device),
                bn1: BatchNorm::new(inputs, EPS, device),
                conv_pw: dense([inputs, outputs], 1, 1, device),
                bn2: BatchNorm::new(outputs, EPS, device),
                skip,
            });
        }
        let middle = inputs * stage.expansion;
        Self::Inverted(Inverted {
            conv_pw: dense([inputs, middle], 1, 1, device),
            bn1: BatchNorm::new(middle, EPS, device),
            conv_dw: depthwise(middle, kernel, stride, device),
            bn2: BatchNorm::new(middle, EPS, device),
            conv_pwl: dense([middle, outputs], 1, 1, device),
            bn3: BatchNorm::new(outputs, EPS, device),
            skip,
        })
    }

    fn forward(&self, input: Tensor<4>, index: usize, pass: &Pass) -> Tensor<4> {
        let (inner, skip) = match self {
            Self::Separable(block) => (block.inner(input.clone(), pass), block.skip),
            Self::Inverted(block) => (block.inner(input.clone(), pass), block.skip),
        };
        if skip { pass.branch(index, inner) + input } else { inner }
    }
}

#[derive(Module, Debug)]
struct Separable {
    conv_dw: Convolution,
    bn1: BatchNorm,
    conv_pw: Convolution,
    bn2: BatchNorm,
    skip: bool,
}

impl Separable {
    fn inner(&self, input: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let filtered = self.bn1.forward(self.conv_dw.forward(input), pass.mode, Activation::Relu6);
        self.bn2.forward(self.conv_pw.forward(filtered), pass.mode, Activation::Linear)
    }
}

#[derive(Module, Debug)]
struct Inverted {
    conv_pw: Convolution,
    bn1: BatchNorm,
    conv_dw: Convolution,
    bn2: BatchNorm,
    conv_pwl: Convolution,
    bn3: BatchNorm,
    skip: bool,
}

impl Inverted {
    fn inner(&self, input: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let wide = self.bn1.forward(self.conv_pw.forward(input), pass.mode, Activation::Relu6);
        let filtered = self.bn2.forward(self.conv_dw.forward(wide), pass.mode, Activation::Relu6);
        self.bn3.forward(self.conv_pwl.forward(filtered), pass.mode, Activation::Linear)
    }
}

fn dense(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Convolution {
    conv(channels, kernel).stride(stride).padding(Padding::TensorFlow).build(device)
}

fn depthwise(channels: usize, kernel: usize, stride: usize, device: &Device) -> Convolution {
    conv([channels; 2], kernel).stride(stride).groups(channels).padding(Padding::TensorFlow).build(device)
}
