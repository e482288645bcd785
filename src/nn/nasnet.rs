//! NASNet-A (Zoph et al. 2018), large as timm's `nasnetalarge` and mobile as Keras builds it, under timm's names.
//!
//! Every cell reads the two before it. One that lies at another scale is halved along two paths, one pixel apart. Pads
//! are TensorFlow's; zeros around an image count in average pools of step 2 and in no others.

use burn::tensor::Device;

use super::layers::{Activation, Padding};
use super::pool::Pool;
use super::wiring::{Sketch, Value, Wired};
use crate::catalog::backbones::NasNet;

/// TensorFlow's default.
const EPS: f64 = 1e-3;

/// The output of a cell, and how often images were halved for it.
#[derive(Clone, Copy)]
struct Scaled {
    value: Value,
    halvings: usize,
}

/// The network with blank weights, without its head.
pub(super) fn build(shape: NasNet, channels: usize, device: &Device) -> Wired {
    let (mut sketch, images) = Sketch::new(channels, EPS, device);
    let kernel = images.to(shape.stem, 3).stride(2).padding(Padding::Valid);
    let stem = sketch.convolution("conv0.conv", images, kernel);
    let stem = sketch.norm("conv0.bn", stem, Activation::Linear);
    sketch.stage("conv0");
    let largest = Pool::largest(3, 2, Padding::TensorFlow);
    let mut draft = Draft { sketch, largest: if shape.zeros { largest.zeros_outside() } else { largest } };
    // 24: six parts of a cell times the two doublings of channels.
    let (width, cells) = (shape.features / 24, shape.cells);
    let stem = Scaled { value: stem, halvings: 0 };
    let first = draft.reduction("cell_stem_0", stem, None, width / 4);
    let second = draft.reduction("cell_stem_1", first, Some(stem), width / 2);
    let (mut before, mut last) = (first, second);
    for scale in 0..3 {
        let channels = width << scale;
        if let Some(reduction) = usize::checked_sub(scale, 1) {
            let reduced = draft.reduction(&format!("reduction_cell_{reduction}"), last, Some(before), channels);
            before = if shape.skip { before } else { last };
            last = reduced;
        }
        for cell in 0..cells {
            let next = draft.normal(&format!("cell_{}", scale * cells + cell), last, before, channels);
            (before, last) = (last, next);
        }
    }
    draft.sketch.activate(last.value, Activation::Relu);
    draft.sketch.stage("act");
    draft.sketch.finish()
}

/// A value and what is above 0 of it.
#[derive(Clone, Copy)]
struct Input {
    plain: Value,
    active: Value,
}

struct Draft {
    sketch: Sketch,
    largest: Pool,
}

impl Draft {
    fn input(&mut self, plain: Value) -> Input {
        Input { plain, active: self.sketch.activate(plain, Activation::Relu) }
    }

    /// `ReLU`, 1x1 convolution, batch norm.
    fn squeeze(&mut self, name: &str, input: Value, channels: usize) -> Value {
        let active = self.sketch.activate(input, Activation::Relu);
        let value = self.sketch.convolution(format!("{name}.conv"), active, active.to(channels, 1));
        self.sketch.norm(format!("{name}.bn"), value, Activation::Linear)
    }

    /// The last cell's and the one before, both of `channels` at the last one's scale.
    fn align(&mut self, cell: &str, last: Scaled, before: Option<Scaled>, channels: usize) -> (Input, Input) {
        let (here, there);
        match before {
            None => {
                here = self.squeeze(&format!("{cell}.conv_1x1"), last.value, channels);
                there = last.value;
            }
            Some(before) if before.halvings == last.halvings => {
                there = self.squeeze(&format!("{cell}.conv_prev_1x1"), before.value, channels);
                here = self.squeeze(&format!("{cell}.conv_1x1"), last.value, channels);
            }
            Some(before) => {
                here = self.squeeze(&format!("{cell}.conv_1x1"), last.value, channels);
                let active = self.sketch.activate(before.value, Activation::Relu);
                let shifted = self.sketch.shift(active);
                let paths = [("path_1", active), ("path_2", shifted)].map(|(path, value)| {
                    let shape = value.to(channels / 2, 1).stride(2);
                    self.sketch.convolution(format!("{cell}.{path}.conv"), value, shape)
                });
                let both = self.sketch.concatenate(&paths);
                there = self.sketch.norm(format!("{cell}.final_path_bn"), both, Activation::Linear);
            }
        }
        (self.input(here), self.input(there))
    }

    /// Twice a separable convolution with a batch norm, a `ReLU` before each.
    fn separable(&mut self, name: &str, input: Input, channels: usize, side: usize, stride: usize) -> Value {
        let mut value = input.active;
        for (place, stride, activation) in [(1, stride, Activation::Relu), (2, 1, Activation::Linear)] {
            let shape = value.each(side).stride(stride).padding(Padding::TensorFlow);
            value = self.sketch.convolution(format!("{name}.separable_{place}.depthwise_conv2d"), value, shape);
            let pointwise = format!("{name}.separable_{place}.pointwise_conv2d");
            value = self.sketch.convolution(pointwise, value, value.to(channels, 1));
            value = self.sketch.norm(format!("{name}.bn_sep_{place}"), value, activation);
        }
        value
    }

    fn mean(&mut self, input: Value) -> Value {
        self.sketch.pool(input, Pool::mean(3, 1, Padding::TensorFlow, false))
    }

    fn normal(&mut self, cell: &str, last: Scaled, before: Scaled, channels: usize) -> Scaled {
        let (here, there) = self.align(cell, last, Some(before), channels);
        let part = |side: &str| format!("{cell}.comb_iter_{side}");
        let first = self.separable(&part("0_left"), here, channels, 5, 1);
        let second = self.separable(&part("0_right"), there, channels, 3, 1);
        let zero = self.sketch.add(first, second);
        let first = self.separable(&part("1_left"), there, channels, 5, 1);
        let second = self.separable(&part("1_right"), there, channels, 3, 1);
        let one = self.sketch.add(first, second);
        let mean = self.mean(here.plain);
        let two = self.sketch.add(mean, there.plain);
        let mean = self.mean(there.plain);
        let three = self.sketch.add(mean, mean);
        let first = self.separable(&part("4_left"), here, channels, 3, 1);
        let four = self.sketch.add(first, here.plain);
        let value = self.sketch.concatenate(&[there.plain, zero, one, two, three, four]);
        self.sketch.stage(cell);
        Scaled { value, halvings: last.halvings }
    }

    fn reduction(&mut self, cell: &str, last: Scaled, before: Option<Scaled>, channels: usize) -> Scaled {
        let (here, there) = self.align(cell, last, before, channels);
        let part = |side: &str| format!("{cell}.comb_iter_{side}");
        let first = self.separable(&part("0_left"), here, channels, 5, 2);
        let second = self.separable(&part("0_right"), there, channels, 7, 2);
        let zero = self.sketch.add(first, second);
        let largest = self.sketch.pool(here.plain, self.largest);
        let second = self.separable(&part("1_right"), there, channels, 7, 2);
        let one = self.sketch.add(largest, second);
        let mean = self.sketch.pool(here.plain, Pool::mean(3, 2, Padding::TensorFlow, true));
        let second = self.separable(&part("2_right"), there, channels, 5, 2);
        let two = self.sketch.add(mean, second);
        let mean = self.mean(zero);
        let three = self.sketch.add(mean, one);
        let zero = self.input(zero);
        let first = self.separable(&part("4_left"), zero, channels, 3, 1);
        let four = self.sketch.add(first, largest);
        let value = self.sketch.concatenate(&[one, two, three, four]);
        self.sketch.stage(cell);
        Scaled { value, halvings: last.halvings + 1 }
    }
}
