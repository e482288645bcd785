//! Xception (Chollet 2017) as timm's `legacy_xception` builds it.
//!
//! Separable convolutions with a `ReLU` before each, maximum pools with one pixel of padding; the network that Keras
//! trained has an epsilon of 1e-3 and TensorFlow's padding of those pools.

use burn::tensor::Device;

use super::layers::{Activation, Padding};
use super::pool::Pool;
use super::wiring::{Sketch, Value, Wired};

/// Separable convolutions of a block.
struct Block {
    /// Channels after each.
    outputs: &'static [usize],
    /// 2: a pool at the end, and a projection around the block.
    stride: usize,
}

const MIDDLE: Block = Block { outputs: &[728, 728, 728], stride: 1 };

const BLOCKS: [Block; 12] = [
    Block { outputs: &[128, 128], stride: 2 },
    Block { outputs: &[256, 256], stride: 2 },
    Block { outputs: &[728, 728], stride: 2 },
    MIDDLE,
    MIDDLE,
    MIDDLE,
    MIDDLE,
    MIDDLE,
    MIDDLE,
    MIDDLE,
    MIDDLE,
    Block { outputs: &[728, 1024], stride: 2 },
];

/// The network with blank weights, without its head.
pub(super) fn build(tensorflow: bool, channels: usize, device: &Device) -> Wired {
    let (eps, padding) = if tensorflow { (1e-3, Padding::TensorFlow) } else { (1e-5, Padding::Same) };
    let (mut sketch, images) = Sketch::new(channels, eps, device);
    let stem = |value: Value, outputs| value.to(outputs, 3).padding(Padding::Valid);
    let mut value = sketch.convolution("conv1", images, stem(images, 32).stride(2));
    sketch.stage("conv1");
    value = norm(&mut sketch, 1, value);
    value = sketch.convolution("conv2", value, stem(value, 64));
    sketch.stage("conv2");
    value = norm(&mut sketch, 2, value);
    for (number, block) in (1..).zip(&BLOCKS) {
        value = draw(&mut sketch, number, value, block, padding);
        sketch.stage(format!("block{number}"));
    }
    for (number, outputs) in [(3, 1536), (4, 2048)] {
        value = separable(&mut sketch, &format!("conv{number}"), value, outputs);
        sketch.stage(format!("conv{number}"));
        value = norm(&mut sketch, number, value);
    }
    sketch.finish()
}

/// A norm and the activation after it, each a stage.
fn norm(sketch: &mut Sketch, number: usize, input: Value) -> Value {
    let value = sketch.norm(format!("bn{number}"), input, Activation::Linear);
    sketch.stage(format!("bn{number}"));
    let value = sketch.activate(value, Activation::Relu);
    sketch.stage(format!("act{number}"));
    value
}

fn separable(sketch: &mut Sketch, name: &str, input: Value, outputs: usize) -> Value {
    let value = sketch.convolution(format!("{name}.conv1"), input, input.each(3));
    sketch.convolution(format!("{name}.pointwise"), value, value.to(outputs, 1))
}

fn draw(sketch: &mut Sketch, number: usize, input: Value, block: &Block, padding: Padding) -> Value {
    let name = format!("block{number}");
    let outputs = block.outputs.last().copied().unwrap_or(input.channels);
    let mut around = input;
    if block.stride != 1 || outputs != input.channels {
        around = sketch.convolution(format!("{name}.skip"), input, input.to(outputs, 1).stride(block.stride));
        around = sketch.norm(format!("{name}.skipbn"), around, Activation::Linear);
    }
    // timm numbers the activations too; the first block has none in front.
    let first = usize::from(number != 1);
    let mut value = input;
    for (index, &outputs) in block.outputs.iter().enumerate() {
        if index + first > 0 {
            value = sketch.activate(value, Activation::Relu);
        }
        let place = first + 3 * index;
        value = separable(sketch, &format!("{name}.rep.{place}"), value, outputs);
        value = sketch.norm(format!("{name}.rep.{}", place + 1), value, Activation::Linear);
    }
    if block.stride != 1 {
        value = sketch.pool(value, Pool::largest(3, block.stride, padding));
    }
    sketch.add(value, around)
}
