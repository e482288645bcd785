//! Inception v3 (Szegedy et al. 2015) and Inception-ResNet v2 (Szegedy et al. 2016) as timm builds them.
//!
//! Neither pads its stem. The 3x3 average pools of v3 count the zeros around an image, those of Inception-ResNet do
//! not; v3's auxiliary classifier is left out.

use burn::tensor::Device;

use super::layers::{Activation, ConvolutionShape, Padding};
use super::pool::Pool;
use super::wiring::{Sketch, Value, Wired};

/// TensorFlow's default.
const EPS: f64 = 1e-3;

/// What a branch does to what it gets.
#[derive(Clone, Copy)]
enum Part {
    /// A convolution of this name with batch norm and `ReLU`: channels, height, width; padded to keep the size.
    Same(&'static str, usize, usize, usize),
    /// The same, square and of step 2, not padded.
    Half(&'static str, usize, usize),
    /// A pool.
    Pooled(Pool),
    /// Several branches from here, their channels one after the other.
    Fork(&'static [Part]),
}

use Part::{Fork, Half, Pooled, Same};

const LARGEST: Pool = Pool::largest(3, 2, Padding::Valid);

struct Draft(Sketch);

impl Draft {
    /// Convolution, batch norm, `ReLU`.
    fn unit(&mut self, name: &str, input: Value, shape: ConvolutionShape) -> Value {
        let value = self.0.convolution(format!("{name}.conv"), input, shape);
        self.0.norm(format!("{name}.bn"), value, Activation::Relu)
    }

    /// One that is a stage.
    fn stem(&mut self, name: &str, input: Value, shape: ConvolutionShape) -> Value {
        let value = self.unit(name, input, shape);
        self.0.stage(name);
        value
    }

    fn pool(&mut self, name: &str, input: Value) -> Value {
        let value = self.0.pool(input, LARGEST);
        self.0.stage(name);
        value
    }

    fn branch(&mut self, block: &str, input: Value, parts: &[Part]) -> Value {
        parts.iter().fold(input, |value, part| match *part {
            Same(name, channels, height, width) => {
                self.unit(&format!("{block}.{name}"), value, value.to(channels, 1).kernel(height, width))
            }
            Half(name, channels, side) => {
                let shape = value.to(channels, side).stride(2).padding(Padding::Valid);
                self.unit(&format!("{block}.{name}"), value, shape)
            }
            Pooled(pool) => self.0.pool(value, pool),
            Fork(ends) => {
                let ends: Vec<Value> = ends.iter().map(|end| self.branch(block, value, &[*end])).collect();
                self.0.concatenate(&ends)
            }
        })
    }

    fn branches(&mut self, block: &str, input: Value, branches: &[&[Part]]) -> Value {
        let ends: Vec<Value> = branches.iter().map(|parts| self.branch(block, input, parts)).collect();
        self.0.concatenate(&ends)
    }

    /// A block that is a stage.
    fn block(&mut self, name: &str, input: Value, branches: &[&[Part]]) -> Value {
        let value = self.branches(name, input, branches);
        self.0.stage(name);
        value
    }

    /// `repeats` times: branches, brought back to as many channels by a 1x1 with bias, times a factor, added.
    fn residual(&mut self, name: &str, input: Value, branches: &[&[Part]], factor: f64, last: Activation) -> Value {
        let wide = self.branches(name, input, branches);
        let shape = wide.to(input.channels, 1).bias();
        let back = self.0.convolution(format!("{name}.conv2d"), wide, shape);
        let sum = self.0.add_scaled(input, back, factor);
        match last {
            Activation::Linear => sum,
            Activation::Relu | Activation::Relu6 | Activation::Silu | Activation::Gelu => self.0.activate(sum, last),
        }
    }

    fn repeat(&mut self, name: &str, input: Value, repeats: usize, branches: &[&[Part]], factor: f64) -> Value {
        let value = (0..repeats).fold(input, |value, index| {
            self.residual(&format!("{name}.{index}"), value, branches, factor, Activation::Relu)
        });
        self.0.stage(name);
        value
    }
}

/// Inception v3 with blank weights, without its head. `counted`: do the average pools count the zeros around an
/// image? timm's do, Keras's do not.
pub(super) fn v3(channels: usize, counted: bool, device: &Device) -> Wired {
    let (sketch, images) = Sketch::new(channels, EPS, device);
    let mut draft = Draft(sketch);
    let pooled = Pooled(Pool::mean(3, 1, Padding::Same, counted));
    let bare = |value: Value, outputs, side| value.to(outputs, side).padding(Padding::Valid);
    let mut value = draft.stem("Conv2d_1a_3x3", images, bare(images, 32, 3).stride(2));
    value = draft.stem("Conv2d_2a_3x3", value, bare(value, 32, 3));
    value = draft.stem("Conv2d_2b_3x3", value, value.to(64, 3));
    value = draft.pool("Pool1", value);
    value = draft.stem("Conv2d_3b_1x1", value, bare(value, 80, 1));
    value = draft.stem("Conv2d_4a_3x3", value, bare(value, 192, 3));
    value = draft.pool("Pool2", value);
    for (name, features) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        let branches: [&[Part]; 4] = [
            &[Same("branch1x1", 64, 1, 1)],
            &[Same("branch5x5_1", 48, 1, 1), Same("branch5x5_2", 64, 5, 5)],
            &[Same("branch3x3dbl_1", 64, 1, 1), Same("branch3x3dbl_2", 96, 3, 3), Same("branch3x3dbl_3", 96, 3, 3)],
            &[pooled, Same("branch_pool", features, 1, 1)],
        ];
        value = draft.block(name, value, &branches);
    }
    let branches: [&[Part]; 3] = [
        &[Half("branch3x3", 384, 3)],
        &[Same("branch3x3dbl_1", 64, 1, 1), Same("branch3x3dbl_2", 96, 3, 3), Half("branch3x3dbl_3", 96, 3)],
        &[Pooled(LARGEST)],
    ];
    value = draft.block("Mixed_6a", value, &branches);
    for (name, middle) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        let branches: [&[Part]; 4] = [
            &[Same("branch1x1", 192, 1, 1)],
            &[Same("branch7x7_1", middle, 1, 1), Same("branch7x7_2", middle, 1, 7), Same("branch7x7_3", 192, 7, 1)],
            &[
                Same("branch7x7dbl_1", middle, 1, 1),
                Same("branch7x7dbl_2", middle, 7, 1),
                Same("branch7x7dbl_3", middle, 1, 7),
                Same("branch7x7dbl_4", middle, 7, 1),
                Same("branch7x7dbl_5", 192, 1, 7),
            ],
            &[pooled, Same("branch_pool", 192, 1, 1)],
        ];
        value = draft.block(name, value, &branches);
    }
    let branches: [&[Part]; 3] = [
        &[Same("branch3x3_1", 192, 1, 1), Half("branch3x3_2", 320, 3)],
        &[
            Same("branch7x7x3_1", 192, 1, 1),
            Same("branch7x7x3_2", 192, 1, 7),
            Same("branch7x7x3_3", 192, 7, 1),
            Half("branch7x7x3_4", 192, 3),
        ],
        &[Pooled(LARGEST)],
    ];
    value = draft.block("Mixed_7a", value, &branches);
    for name in ["Mixed_7b", "Mixed_7c"] {
        let branches: [&[Part]; 4] = [
            &[Same("branch1x1", 320, 1, 1)],
            &[
                Same("branch3x3_1", 384, 1, 1),
                Fork(&[Same("branch3x3_2a", 384, 1, 3), Same("branch3x3_2b", 384, 3, 1)]),
            ],
            &[
                Same("branch3x3dbl_1", 448, 1, 1),
                Same("branch3x3dbl_2", 384, 3, 3),
                Fork(&[Same("branch3x3dbl_3a", 384, 1, 3), Same("branch3x3dbl_3b", 384, 3, 1)]),
            ],
            &[pooled, Same("branch_pool", 192, 1, 1)],
        ];
        value = draft.block(name, value, &branches);
    }
    draft.0.finish()
}

/// Inception-ResNet v2 with blank weights, without its head.
pub(super) fn resnet_v2(channels: usize, device: &Device) -> Wired {
    let (sketch, images) = Sketch::new(channels, EPS, device);
    let mut draft = Draft(sketch);
    let bare = |value: Value, outputs, side| value.to(outputs, side).padding(Padding::Valid);
    let mut value = draft.stem("conv2d_1a", images, bare(images, 32, 3).stride(2));
    value = draft.stem("conv2d_2a", value, bare(value, 32, 3));
    value = draft.stem("conv2d_2b", value, value.to(64, 3));
    value = draft.pool("maxpool_3a", value);
    value = draft.stem("conv2d_3b", value, bare(value, 80, 1));
    value = draft.stem("conv2d_4a", value, bare(value, 192, 3));
    value = draft.pool("maxpool_5a", value);
    let mixed_5b: [&[Part]; 4] = [
        &[Same("branch0", 96, 1, 1)],
        &[Same("branch1.0", 48, 1, 1), Same("branch1.1", 64, 5, 5)],
        &[Same("branch2.0", 64, 1, 1), Same("branch2.1", 96, 3, 3), Same("branch2.2", 96, 3, 3)],
        &[Pooled(Pool::mean(3, 1, Padding::Same, false)), Same("branch3.1", 64, 1, 1)],
    ];
    value = draft.block("mixed_5b", value, &mixed_5b);
    let block35: [&[Part]; 3] = [
        &[Same("branch0", 32, 1, 1)],
        &[Same("branch1.0", 32, 1, 1), Same("branch1.1", 32, 3, 3)],
        &[Same("branch2.0", 32, 1, 1), Same("branch2.1", 48, 3, 3), Same("branch2.2", 64, 3, 3)],
    ];
    value = draft.repeat("repeat", value, 10, &block35, 0.17);
    let mixed_6a: [&[Part]; 3] = [
        &[Half("branch0", 384, 3)],
        &[Same("branch1.0", 256, 1, 1), Same("branch1.1", 256, 3, 3), Half("branch1.2", 384, 3)],
        &[Pooled(LARGEST)],
    ];
    value = draft.block("mixed_6a", value, &mixed_6a);
    let block17: [&[Part]; 2] = [
        &[Same("branch0", 192, 1, 1)],
        &[Same("branch1.0", 128, 1, 1), Same("branch1.1", 160, 1, 7), Same("branch1.2", 192, 7, 1)],
    ];
    value = draft.repeat("repeat_1", value, 20, &block17, 0.10);
    let mixed_7a: [&[Part]; 4] = [
        &[Same("branch0.0", 256, 1, 1), Half("branch0.1", 384, 3)],
        &[Same("branch1.0", 256, 1, 1), Half("branch1.1", 288, 3)],
        &[Same("branch2.0", 256, 1, 1), Same("branch2.1", 288, 3, 3), Half("branch2.2", 320, 3)],
        &[Pooled(LARGEST)],
    ];
    value = draft.block("mixed_7a", value, &mixed_7a);
    let block8: [&[Part]; 2] = [
        &[Same("branch0", 192, 1, 1)],
        &[Same("branch1.0", 192, 1, 1), Same("branch1.1", 224, 1, 3), Same("branch1.2", 256, 3, 1)],
    ];
    value = draft.repeat("repeat_2", value, 9, &block8, 0.20);
    value = draft.residual("block8", value, &block8, 1.0, Activation::Linear);
    draft.0.stage("block8");
    draft.stem("conv2d_7b", value, bare(value, 1536, 1));
    draft.0.finish()
}
