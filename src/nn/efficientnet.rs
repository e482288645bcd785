//! Networks of depthwise-separable and inverted blocks, as timm builds them: EfficientNet (Tan & Le 2019), its Lite
//! variant (2020), MobileNet v1 and v2 (Howard et al. 2017, Sandler et al. 2018).
//!
//! EfficientNets of a size are one table, widened and repeated: channels are rounded to multiples of 8, repeats up.
//! The Lite ones have neither squeeze-and-excitation nor a scaled stem, head, first and last stage.

use burn::tensor::Device;

use super::layers::{Activation, Padding};
use super::wiring::{Sketch, Value, Wired};
use crate::catalog::backbones::{Efficient, EfficientKind};

/// Blocks that share a shape, but for the first one's step and input.
#[derive(Debug)]
struct Stage {
    blocks: usize,
    kernel: usize,
    stride: usize,
    /// 1: a depthwise and a pointwise convolution; else an inverted block this many times wider inside.
    expansion: usize,
    outputs: usize,
}

const fn row(blocks: usize, kernel: usize, stride: usize, expansion: usize, outputs: usize) -> Stage {
    Stage { blocks, kernel, stride, expansion, outputs }
}

/// Blocks, kernel, step, expansion, channels.
const EFFICIENT: [Stage; 7] = [
    row(1, 3, 1, 1, 16),
    row(2, 3, 2, 6, 24),
    row(2, 5, 2, 6, 40),
    row(3, 3, 2, 6, 80),
    row(3, 5, 1, 6, 112),
    row(4, 5, 2, 6, 192),
    row(1, 3, 1, 6, 320),
];
const MOBILE_1: [Stage; 5] =
    [row(1, 3, 1, 1, 64), row(2, 3, 2, 1, 128), row(2, 3, 2, 1, 256), row(6, 3, 2, 1, 512), row(2, 3, 2, 1, 1024)];
const MOBILE_2: [Stage; 7] = [
    row(1, 3, 1, 1, 16),
    row(2, 3, 2, 6, 24),
    row(3, 3, 2, 6, 32),
    row(4, 3, 2, 6, 64),
    row(3, 3, 1, 6, 96),
    row(3, 3, 2, 6, 160),
    row(1, 3, 1, 6, 320),
];

/// Channels before anything is scaled.
const STEM: usize = 32;
/// Features before anything is scaled.
const HEAD: usize = 1280;

impl Efficient {
    fn stages(self) -> &'static [Stage] {
        match self.kind {
            EfficientKind::EfficientNet | EfficientKind::Lite => &EFFICIENT,
            EfficientKind::Mobile1 => &MOBILE_1,
            EfficientKind::Mobile2 => &MOBILE_2,
        }
    }

    fn stem(self) -> usize {
        match self.kind {
            EfficientKind::Lite => STEM,
            EfficientKind::EfficientNet | EfficientKind::Mobile1 | EfficientKind::Mobile2 => widen(STEM, self.width),
        }
    }

    fn repeats(self, stage: usize) -> usize {
        let stages = self.stages();
        let ends = stage == 0 || stage + 1 == stages.len();
        let depth = if self.kind == EfficientKind::Lite && ends { 1.0 } else { self.depth };
        deepen(stages[stage].blocks, depth)
    }

    /// Channels of the last convolution; MobileNet v1 has none.
    fn head(self) -> Option<usize> {
        match self.kind {
            EfficientKind::EfficientNet => Some(widen(HEAD, self.width)),
            EfficientKind::Lite => Some(HEAD),
            EfficientKind::Mobile1 => None,
            EfficientKind::Mobile2 => Some(widen(HEAD, self.width).max(HEAD)),
        }
    }

    fn padding(self) -> Padding {
        if self.tensorflow { Padding::TensorFlow } else { Padding::Same }
    }

    fn eps(self) -> f64 {
        if self.tensorflow { 1e-3 } else { 1e-5 }
    }

    fn activation(self) -> Activation {
        match self.kind {
            EfficientKind::EfficientNet => Activation::Silu,
            EfficientKind::Lite | EfficientKind::Mobile1 | EfficientKind::Mobile2 => Activation::Relu6,
        }
    }
}

/// The network with blank weights, without its head.
pub(super) fn build(network: Efficient, channels: usize, device: &Device) -> Wired {
    let (sketch, images) = Sketch::new(channels, network.eps(), device);
    let mut draft = Draft { network, sketch, block: 0 };
    let stages = network.stages();
    let mut value = draft.dense("conv_stem", images, network.stem(), [3, 2]);
    draft.sketch.stage("conv_stem");
    value = draft.sketch.norm("bn1", value, network.activation());
    for (number, stage) in stages.iter().enumerate() {
        for index in 0..network.repeats(number) {
            let stride = if index == 0 { stage.stride } else { 1 };
            value = draft.block(&format!("blocks.{number}.{index}"), value, stage, stride);
        }
        draft.sketch.stage(format!("blocks.{number}"));
    }
    if let Some(features) = network.head() {
        value = draft.dense("conv_head", value, features, [1, 1]);
        draft.sketch.stage("conv_head");
        draft.sketch.norm("bn2", value, network.activation());
    } else {
        draft.sketch.stage("conv_head");
    }
    if network.kind != EfficientKind::Mobile1 {
        draft.sketch.branches(draft.block);
    }
    draft.sketch.finish()
}

struct Draft {
    network: Efficient,
    sketch: Sketch,
    /// Blocks drawn.
    block: usize,
}

impl Draft {
    fn dense(&mut self, name: &str, input: Value, outputs: usize, [side, stride]: [usize; 2]) -> Value {
        let shape = input.to(outputs, side).stride(stride).padding(self.network.padding());
        self.sketch.convolution(name, input, shape)
    }

    fn block(&mut self, name: &str, input: Value, stage: &Stage, stride: usize) -> Value {
        let (network, outputs) = (self.network, widen(stage.outputs, self.network.width));
        let activation = network.activation();
        let separable = stage.expansion == 1;
        let mut inner = input;
        if !separable {
            inner = self.dense(&format!("{name}.conv_pw"), inner, input.channels * stage.expansion, [1, 1]);
            inner = self.sketch.norm(format!("{name}.bn1"), inner, activation);
        }
        let norms = if separable { ["bn1", "bn2"] } else { ["bn2", "bn3"] };
        let shape = inner.each(stage.kernel).stride(stride).padding(network.padding());
        inner = self.sketch.convolution(format!("{name}.conv_dw"), inner, shape);
        inner = self.sketch.norm(format!("{name}.{}", norms[0]), inner, activation);
        if network.kind == EfficientKind::EfficientNet {
            inner = self.excite(&format!("{name}.se"), inner, input.channels / 4);
        }
        let last = if separable { "conv_pw" } else { "conv_pwl" };
        inner = self.dense(&format!("{name}.{last}"), inner, outputs, [1, 1]);
        let mobile_1 = network.kind == EfficientKind::Mobile1;
        let end = if mobile_1 { activation } else { Activation::Linear };
        inner = self.sketch.norm(format!("{name}.{}", norms[1]), inner, end);
        if stride == 1 && input.channels == outputs && !mobile_1 {
            let dropped = self.sketch.drop_path(inner, self.block);
            inner = self.sketch.add(dropped, input);
        }
        self.block += 1;
        inner
    }

    /// Squeeze-and-excitation (Hu et al. 2018): each channel times a gate that sees the means of all.
    fn excite(&mut self, name: &str, input: Value, squeezed: usize) -> Value {
        let mean = self.sketch.average(input);
        let small = self.sketch.convolution(format!("{name}.conv_reduce"), mean, mean.to(squeezed, 1).bias());
        let small = self.sketch.activate(small, Activation::Silu);
        let shape = small.to(input.channels, 1).bias();
        let gate = self.sketch.convolution(format!("{name}.conv_expand"), small, shape);
        self.sketch.gate(input, gate)
    }
}

/// To the nearest multiple of 8, at least 8 and never more than a tenth below (timm's `make_divisible`).
#[expect(clippy::cast_precision_loss, reason = "channels")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "channels, above 0")]
fn widen(channels: usize, width: f64) -> usize {
    let exact = channels as f64 * width;
    let rounded = ((exact + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * exact { rounded + 8 } else { rounded }
}

#[expect(clippy::cast_precision_loss, reason = "a few blocks")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few blocks")]
fn deepen(blocks: usize, depth: f64) -> usize {
    (blocks as f64 * depth).ceil() as usize
}
