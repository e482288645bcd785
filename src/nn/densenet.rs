//! DenseNet (Huang et al. 2016) as torchvision and timm build it: each layer reads all that came before it in its block.
//!
//! Norms come first and activate; the transition's 2x2 mean drops an odd last row; the last norm activates too.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Activation, Convolution, Padding, conv};
use super::norm::BatchNorm;
use super::pool::Pool;
use crate::catalog::backbones::DenseNet as Shape;

/// The pool of the stem.
const POOL: Pool = Pool::largest(3, 2, Padding::Each(1));

/// The pool of a transition.
const HALVE: Pool = Pool::mean(2, 2, Padding::Valid, true);

/// Channels that a layer adds.
const GROWTH: usize = 32;

/// A DenseNet without its head.
#[derive(Module, Debug)]
pub struct DenseNet {
    features: Features,
}

/// All but the classifier.
#[derive(Module, Debug)]
struct Features {
    conv0: Convolution,
    norm0: BatchNorm,
    denseblock1: NumberedLayers,
    transition1: Transition,
    denseblock2: NumberedLayers,
    transition2: Transition,
    denseblock3: NumberedLayers,
    transition3: Transition,
    denseblock4: NumberedLayers,
    norm5: BatchNorm,
}

impl DenseNet {
    /// The network for images of so many channels, with blank weights.
    #[must_use]
    pub fn new(shape: &Shape, inputs: usize, device: &Device) -> Self {
        let mut channels = 2 * GROWTH;
        let conv0 = conv([inputs, channels], 7).stride(2).build(device);
        let norm0 = BatchNorm::new(channels, shape.eps, device);
        let block = |channels: &mut usize, index: usize| {
            let layers = (0..shape.layers[index]).map(|_| {
                let layer = Layer::new(*channels, shape.eps, device);
                *channels += GROWTH;
                layer
            });
            NumberedLayers { denselayer: layers.collect() }
        };
        let transition = |channels: &mut usize| {
            let norm = BatchNorm::new(*channels, shape.eps, device);
            let conv = conv([*channels, *channels / 2], 1).build(device);
            *channels /= 2;
            Transition { norm, conv }
        };
        let features = Features {
            conv0,
            norm0,
            denseblock1: block(&mut channels, 0),
            transition1: transition(&mut channels),
            denseblock2: block(&mut channels, 1),
            transition2: transition(&mut channels),
            denseblock3: block(&mut channels, 2),
            transition3: transition(&mut channels),
            denseblock4: block(&mut channels, 3),
            norm5: BatchNorm::new(channels, shape.eps, device),
        };
        Self { features }
    }

    /// # Shapes
    /// `[images, channels, height, width]` to `[images, features, rows, columns]`.
    #[must_use]
    pub fn map(&self, images: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let all = &self.features;
        let conv0 = pass.seen("features.conv0", all.conv0.forward(images, pass.precision));
        let norm0 = pass.seen("features.norm0", all.norm0.forward(conv0, pass.mode, Activation::Relu));
        let mut body = pass.seen("features.pool0", POOL.forward(norm0));
        body = pass.seen("features.denseblock1", all.denseblock1.forward(body, pass));
        body = pass.seen("features.transition1", all.transition1.forward(body, pass));
        body = pass.seen("features.denseblock2", all.denseblock2.forward(body, pass));
        body = pass.seen("features.transition2", all.transition2.forward(body, pass));
        body = pass.seen("features.denseblock3", all.denseblock3.forward(body, pass));
        body = pass.seen("features.transition3", all.transition3.forward(body, pass));
        body = pass.seen("features.denseblock4", all.denseblock4.forward(body, pass));
        pass.seen("features.norm5", all.norm5.forward(body, pass.mode, Activation::Relu))
    }
}

/// A dense block; timm counts its layers from 1.
#[derive(Module, Debug)]
struct NumberedLayers {
    denselayer: Vec<Layer>,
}

impl NumberedLayers {
    fn forward(&self, input: Tensor<4>, pass: &Pass) -> Tensor<4> {
        self.denselayer.iter().fold(input, |all, layer| {
            let new = layer.forward(all.clone(), pass);
            Tensor::cat(vec![all, new], 1)
        })
    }
}

#[derive(Module, Debug)]
struct Layer {
    norm1: BatchNorm,
    conv1: Convolution,
    norm2: BatchNorm,
    conv2: Convolution,
}

impl Layer {
    fn new(inputs: usize, eps: f64, device: &Device) -> Self {
        let middle = 4 * GROWTH;
        Self {
            norm1: BatchNorm::new(inputs, eps, device),
            conv1: conv([inputs, middle], 1).build(device),
            norm2: BatchNorm::new(middle, eps, device),
            conv2: conv([middle, GROWTH], 3).build(device),
        }
    }

    fn forward(&self, input: Tensor<4>, pass: &Pass) -> Tensor<4> {
        if self.norm2.follows(pass) {
            let inner = self.norm1.before(&self.conv1, input, pass, Activation::Relu);
            return self.norm2.before(&self.conv2, inner, pass, Activation::Relu);
        }
        let first = self.norm1.forward(input, pass.mode, Activation::Relu);
        self.conv2.forward(self.norm2.after(&self.conv1, first, None, pass, Activation::Relu), pass.precision)
    }
}

#[derive(Module, Debug)]
struct Transition {
    norm: BatchNorm,
    conv: Convolution,
}

impl Transition {
    fn forward(&self, input: Tensor<4>, pass: &Pass) -> Tensor<4> {
        HALVE.forward(self.norm.before(&self.conv, input, pass, Activation::Relu))
    }
}
