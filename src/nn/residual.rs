//! What ResNet and SENet share: blocks that end with an activation, in four stages.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Activation, Convolution, ConvolutionShape, Squeeze, conv};
use super::norm::{BatchNorm, links};
use crate::kernels::sum_relu;

/// Convolutions, a gate if the network has them, and what came in, added. The third convolution is a bottleneck's.
#[derive(Module, Debug)]
pub(super) struct Block {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Convolution,
    bn2: BatchNorm,
    conv3: Option<Convolution>,
    bn3: Option<BatchNorm>,
    se_module: Option<Squeeze>,
    downsample: Option<(Convolution, BatchNorm)>,
}

/// How a block is built.
pub(super) struct Shape {
    /// The first two convolutions.
    pub(super) convolutions: [ConvolutionShape; 2],
    /// Do 1x1 give it four times the channels?
    pub(super) bottleneck: bool,
    /// Is its branch gated?
    pub(super) gated: bool,
    /// Side of the projection's kernel.
    pub(super) projection: usize,
    /// Of its norms.
    pub(super) eps: f64,
}

/// Where a block stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// From 0.
    pub(super) stage: usize,
    /// Channels that come in.
    pub(super) inputs: usize,
    /// 64, 128, 256, 512.
    pub(super) planes: usize,
    /// 2 in the first block of every stage but the first.
    pub(super) stride: usize,
}

/// Four stages of so many blocks; `inputs` are what the stem gives.
pub(super) fn stages(
    blocks: [usize; 4],
    mut inputs: usize,
    shape: impl Fn(Place) -> Shape,
    device: &Device,
) -> [Vec<Block>; 4] {
    std::array::from_fn(|stage| {
        let block = |block| {
            let place = Place { stage, inputs, planes: 64 << stage, stride: 1 + usize::from(stage > 0 && block == 0) };
            let block = Block::new(&shape(place), place, device);
            inputs = block.outputs();
            block
        };
        (0..blocks[stage]).map(block).collect()
    })
}

/// What each stage makes of what the one before gave.
pub(super) fn forward(stages: [&Vec<Block>; 4], mut body: Tensor<4>, pass: &Pass) -> Tensor<4> {
    let mut index = 0;
    for (name, stage) in ["layer1", "layer2", "layer3", "layer4"].into_iter().zip(stages) {
        for block in stage {
            body = block.forward(body, index, pass);
            index += 1;
        }
        body = pass.seen(name, body);
    }
    body
}

impl Block {
    fn new(shape: &Shape, place: Place, device: &Device) -> Self {
        let norm = |channels| BatchNorm::new(channels, shape.eps, device);
        let Place { inputs, planes, stride, .. } = place;
        let [first, second] = shape.convolutions;
        let outputs = if shape.bottleneck { 4 * planes } else { planes };
        let ([_, one], [_, two]) = (first.channels(), second.channels());
        let project = || {
            let convolution = conv([inputs, outputs], shape.projection).stride(stride);
            (convolution.build(device), norm(outputs))
        };
        Self {
            conv1: first.build(device),
            bn1: norm(one),
            conv2: second.build(device),
            bn2: norm(two),
            conv3: shape.bottleneck.then(|| conv([two, outputs], 1).build(device)),
            bn3: shape.bottleneck.then(|| norm(outputs)),
            se_module: shape.gated.then(|| Squeeze::new(outputs, outputs / 16, device)),
            downsample: (stride != 1 || inputs != outputs).then(project),
        }
    }

    /// Channels it gives.
    fn outputs(&self) -> usize {
        self.conv3.as_ref().unwrap_or(&self.conv2).outputs()
    }

    fn forward(&self, input: Tensor<4>, index: usize, pass: &Pass) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some((convolution, norm)) => norm.after(convolution, input.clone(), None, pass, Activation::Linear),
            None => input.clone(),
        };
        let gated = self.se_module.is_some();
        let sums = !gated && !pass.drops();
        // A gated branch of two convolutions ends with an activation, one that is not gated only after the sum.
        let last = if sums || (gated && self.conv3.is_none()) { Activation::Relu } else { Activation::Linear };
        let first = (&self.conv1, &self.bn1, Activation::Relu);
        let (added, rest) = if sums { (Some(shortcut), None) } else { (None, Some(shortcut)) };
        let mut inner = match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                links([first, (&self.conv2, &self.bn2, Activation::Relu), (conv3, bn3, last)], input, added, pass)
            }
            _ => links([first, (&self.conv2, &self.bn2, last)], input, added, pass),
        };
        if let Some(gate) = &self.se_module {
            inner = gate.forward(inner, pass.precision);
        }
        match rest {
            Some(shortcut) => sum_relu(pass.branch(index, inner), shortcut),
            None => inner,
        }
    }
}
