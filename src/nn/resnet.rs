//! ResNet-18 and ResNet-34 (He et al. 2015) as torchvision and timm build them.
//!
//! Post-activation basic blocks, a 7x7 stem with a 3x3 pool, the step on a block's first 3x3, projections of 1x1.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::Mode;
use super::layers::{Convolution, ConvolutionShape, Padding, global_average, stem_pool};
use super::norm::BatchNorm;
use crate::kernels::Activation;

/// Features an image has.
pub(super) const FEATURES: usize = 512;

/// torch's default.
const EPS: f64 = 1e-5;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// ResNet-18: 2, 2, 2, 2 blocks.
    Eighteen,
    /// ResNet-34: 3, 4, 6, 3 blocks.
    ThirtyFour,
}

impl Depth {
    fn blocks(self) -> [usize; 4] {
        match self {
            Self::Eighteen => [2, 2, 2, 2],
            Self::ThirtyFour => [3, 4, 6, 3],
        }
    }

    pub(super) fn timm_name(self) -> &'static str {
        match self {
            Self::Eighteen => "resnet18",
            Self::ThirtyFour => "resnet34",
        }
    }
}

/// A ResNet of basic blocks, without its head.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Convolution,
    bn1: BatchNorm,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
    layer4: Vec<BasicBlock>,
    #[module(skip)]
    depth: Depth,
}

impl ResNet {
    /// The network with blank weights.
    #[must_use]
    pub fn new(depth: Depth, device: &Device) -> Self {
        let [first, second, third, fourth] = depth.blocks();
        Self {
            conv1: convolution([3, 64], 7, 2, device),
            bn1: BatchNorm::new(64, EPS, device),
            layer1: stage([64, 64], first, 1, device),
            layer2: stage([64, 128], second, 2, device),
            layer3: stage([128, 256], third, 2, device),
            layer4: stage([256, 512], fourth, 2, device),
            depth,
        }
    }

    /// # Shapes
    /// `[images, 3, height, width]` to `[images, 512]`.
    #[must_use]
    pub fn features(&self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        let stem = stem_pool(self.bn1.forward(self.conv1.forward(images), mode, Activation::Relu));
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        global_average(stages.into_iter().flatten().fold(stem, |input, block| block.forward(input, mode)))
    }

    pub(super) fn depth(&self) -> Depth {
        self.depth
    }
}

/// Two 3x3 convolutions and what came in, added.
#[derive(Module, Debug)]
pub struct BasicBlock {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Convolution,
    bn2: BatchNorm,
    downsample: Option<(Convolution, BatchNorm)>,
}

impl BasicBlock {
    fn new([inputs, outputs]: [usize; 2], stride: usize, device: &Device) -> Self {
        let project = stride != 1 || inputs != outputs;
        Self {
            conv1: convolution([inputs, outputs], 3, stride, device),
            bn1: BatchNorm::new(outputs, EPS, device),
            conv2: convolution([outputs, outputs], 3, 1, device),
            bn2: BatchNorm::new(outputs, EPS, device),
            downsample: project
                .then(|| (convolution([inputs, outputs], 1, stride, device), BatchNorm::new(outputs, EPS, device))),
        }
    }

    fn forward(&self, input: Tensor<4>, mode: Mode) -> Tensor<4> {
        let inner = self.bn1.forward(self.conv1.forward(input.clone()), mode, Activation::Relu);
        let inner = self.bn2.forward(self.conv2.forward(inner), mode, Activation::Linear);
        let shortcut = match &self.downsample {
            Some((convolution, norm)) => norm.forward(convolution.forward(input), mode, Activation::Linear),
            None => input,
        };
        relu(inner + shortcut)
    }
}

fn stage([inputs, outputs]: [usize; 2], blocks: usize, stride: usize, device: &Device) -> Vec<BasicBlock> {
    let first = BasicBlock::new([inputs, outputs], stride, device);
    let rest = (1..blocks).map(|_| BasicBlock::new([outputs, outputs], 1, device));
    std::iter::once(first).chain(rest).collect()
}

fn convolution([inputs, outputs]: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Convolution {
    Convolution::new(ConvolutionShape { inputs, outputs, kernel, stride, groups: 1, padding: Padding::Same }, device)
}
