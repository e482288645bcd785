//! Networks: images in, logits out, and their weights from and to files.
//!
//! A [`Network`] is a backbone (one file a family) and a linear head. Parameters carry the names they have in
//! timm, their first values and their identities are pure functions of a seed and those names, and nothing here
//! draws from a global generator. Shapes are `[images, channels, height, width]`, values 32-bit floats.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::study;

mod efficientnet;
mod freeze;
mod initialise;
mod layers;
mod names;
mod norm;
mod resnet;
pub mod weights;

pub use efficientnet::EfficientNet;
pub use freeze::Frozen;
pub use layers::{Convolution, Linear, Padding};
pub use names::{Kind, Slot, slots};
pub use norm::{BatchNorm, Running};
pub use resnet::{BasicBlock, Depth, ResNet};

/// Which statistics batch normalisation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those of the batch; running statistics are updated, unless the layer is frozen.
    Train,
    /// The running ones.
    Eval,
}

/// The part of a network that turns images into features.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful exist at a time, and each owns megabytes anyway")]
pub enum Backbone {
    /// ResNet-18 or ResNet-34.
    ResNet(ResNet),
    /// EfficientNet-Lite0.
    EfficientNet(EfficientNet),
}

/// A backbone and its linear head.
#[derive(Module, Debug)]
pub struct Network {
    pub(crate) backbone: Backbone,
    pub(crate) head: Linear,
}

impl Network {
    /// A network with its first weights, a pure function of `seed` and of each tensor's name.
    ///
    /// Distributions are timm's: convolutions normal with variance 2 / fan-out, batch norms 1 and 0 (the last one of
    /// each residual block of a ResNet 0 and 0), the head uniform within 1 / sqrt(features). On an autodiff device
    /// every parameter learns.
    #[must_use]
    pub fn new(backbone: study::Backbone, classes: usize, seed: u64, device: &Device) -> Self {
        initialise::draw(Self::blank(backbone, classes, device), seed)
    }

    fn blank(backbone: study::Backbone, classes: usize, device: &Device) -> Self {
        let (backbone, features) = match backbone {
            study::Backbone::ResNet18 => (Backbone::ResNet(ResNet::new(Depth::Eighteen, device)), resnet::FEATURES),
            study::Backbone::ResNet34 => (Backbone::ResNet(ResNet::new(Depth::ThirtyFour, device)), resnet::FEATURES),
            study::Backbone::EfficientNetLite0 => {
                (Backbone::EfficientNet(EfficientNet::lite0(device)), efficientnet::FEATURES)
            }
        };
        Self { backbone, head: Linear::new(features, classes, device) }
    }

    /// Pooled features.
    ///
    /// # Shapes
    /// `[images, 3, height, width]` to `[images, feature_count]`.
    #[must_use]
    pub fn features(&self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        match &self.backbone {
            Backbone::ResNet(network) => network.features(images, mode),
            Backbone::EfficientNet(network) => network.features(images, mode),
        }
    }

    /// Logits of features; `dropout_mask` is multiplied on first and holds 0 or 1 / keep.
    ///
    /// # Shapes
    /// `[images, feature_count]` (the mask too) to `[images, classes]`.
    #[must_use]
    pub fn classify(&self, features: Tensor<2>, dropout_mask: Option<Tensor<2>>) -> Tensor<2> {
        let features = match dropout_mask {
            Some(mask) => features * mask,
            None => features,
        };
        self.head.forward(features)
    }

    /// Logits of images: [`Network::features`], then [`Network::classify`].
    ///
    /// # Shapes
    /// `[images, 3, height, width]` to `[images, classes]`; the mask is `[images, feature_count]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>, mode: Mode, dropout_mask: Option<Tensor<2>>) -> Tensor<2> {
        self.classify(self.features(images, mode), dropout_mask)
    }

    /// How many features an image has.
    #[must_use]
    pub fn feature_count(&self) -> usize {
        self.head.inputs()
    }

    /// How many classes the head tells apart.
    #[must_use]
    pub fn class_count(&self) -> usize {
        self.head.outputs()
    }

    /// The same network with `what` frozen and all else learning; may be called again to thaw.
    ///
    /// Frozen parameters get no gradient, and frozen batch norms use their running statistics and never update
    /// them, also in [`Mode::Train`].
    #[must_use]
    pub fn freeze(self, what: Frozen) -> Self {
        freeze::freeze(self, what)
    }

    /// timm's name of this network.
    #[must_use]
    pub fn timm_name(&self) -> &'static str {
        match &self.backbone {
            Backbone::ResNet(network) => network.depth().timm_name(),
            Backbone::EfficientNet(_) => "tf_efficientnet_lite0",
        }
    }

    /// What timm's names of the head's tensors begin with.
    #[must_use]
    pub fn head_name(&self) -> &'static str {
        match &self.backbone {
            Backbone::ResNet(_) => "fc",
            Backbone::EfficientNet(_) => "classifier",
        }
    }
}
