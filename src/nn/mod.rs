//! Networks: images in, logits out, and their weights from and to files.
//!
//! A [`Network`] is a backbone (one file a family) and a linear head. Parameters carry the names they have in
//! timm, their first values and their identities are pure functions of a seed and those names, and nothing here
//! draws from a global generator. Shapes are `[images, channels, height, width]`, values 32-bit floats.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use self::pool::pooled;
use crate::catalog::backbones::{Architecture, Card, Head as HeadForm};
use crate::study;

mod densenet;
mod depth;
mod efficientnet;
mod freeze;
mod head;
mod inception;
mod initialise;
mod layers;
mod names;
mod nasnet;
mod norm;
mod pool;
mod positions;
mod precision;
mod residual;
mod resnet;
mod resnetv2;
mod senet;
mod stem;
mod vgg;
mod vit;
pub mod weights;
mod wiring;
mod xception;

pub use densenet::DenseNet;
pub use depth::{depths, rate_scales};
pub use freeze::Frozen;
pub use head::{Dropout, Head};
pub use layers::{Activation, Convolution, ConvolutionShape, LayerNorm, Linear, Padding, Squeeze, conv};
pub use names::{Kind, Slot, slots};
pub use norm::{BatchNorm, Running};
pub use pool::Pool;
pub use resnet::ResNet;
pub use resnetv2::ResNetV2;
pub use senet::SeNet;
pub use vgg::Vgg;
pub use vit::VisionTransformer;
pub use wiring::Wired;

/// Which statistics batch normalisation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those of the batch; running statistics are updated, unless the layer is frozen.
    Train,
    /// The running ones.
    Eval,
}

/// One pass of a batch through a network.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Which statistics batch norms use.
    pub mode: Mode,
    /// Drop path (Huang et al. 2016): what each residual branch of each image is multiplied by, 0 or 1 / keep;
    /// `[branches, images]`.
    pub paths: Option<Tensor<2>>,
    /// Where what each stage gives is written down, if anybody looks.
    pub stages: Option<Stages>,
    /// What products are computed in: the network's own, whatever stands here when it is asked.
    pub precision: study::Precision,
}

impl From<Mode> for Pass {
    fn from(mode: Mode) -> Self {
        Self { mode, paths: None, stages: None, precision: study::Precision::F32 }
    }
}

/// What each stage of a network gave in one pass, by timm's name of it, flattened.
#[derive(Debug, Clone, Default)]
pub struct Stages(Arc<Mutex<Vec<(String, Tensor<1>)>>>);

impl Stages {
    /// All that was written down so far.
    #[must_use]
    pub fn take(&self) -> Vec<(String, Tensor<1>)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pass {
    /// Writes down what a stage gives.
    pub(super) fn seen<const D: usize>(&self, stage: &str, value: Tensor<D>) -> Tensor<D> {
        if let Some(Stages(seen)) = &self.stages {
            let flat = value.clone().flatten(0, D - 1);
            seen.lock().unwrap_or_else(PoisonError::into_inner).push((stage.to_owned(), flat));
        }
        value
    }

    /// May branches be left out?
    pub(super) fn drops(&self) -> bool {
        self.paths.is_some()
    }

    /// Are the values on the way looked at?
    pub(super) fn looks(&self) -> bool {
        self.stages.is_some()
    }

    /// A residual branch (of the network's so many-th block, from 0) before it is added: dropped where the pass says so.
    ///
    /// # Shapes
    /// `[images, ...]`, unchanged.
    pub(super) fn branch<const D: usize>(&self, index: usize, inner: Tensor<D>) -> Tensor<D> {
        let Some(paths) = &self.paths else { return inner };
        let mut shape = [1; D];
        shape[0] = inner.dims()[0];
        inner * paths.clone().narrow(0, index, 1).reshape(shape)
    }
}

/// Whose form of a network: they may differ in padding, epsilons and a norm more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// timm's and torchvision's.
    Timm,
    /// The Keras libraries', whose weights fit no other.
    Keras,
}

/// The part of a network that turns images into features.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful exist at a time, and each owns megabytes anyway")]
pub enum Backbone {
    /// ResNet and ResNeXt.
    ResNet(ResNet),
    /// ResNet v2.
    ResNetV2(ResNetV2),
    /// SE-ResNet, SE-ResNeXt, SENet-154.
    SeNet(SeNet),
    /// VGG.
    Vgg(Vgg),
    /// DenseNet.
    DenseNet(DenseNet),
    /// EfficientNet, MobileNet, Inception, Xception, NASNet.
    Wired(Wired),
    /// Vision transformer.
    VisionTransformer(VisionTransformer),
}

impl Backbone {
    /// A network of this architecture for images of `[channels, height, width]`, with blank weights.
    fn new(architecture: &Architecture, [channels, height, width]: [usize; 3], device: &Device) -> Self {
        match architecture {
            Architecture::ResNet(shape) => Self::ResNet(ResNet::new(shape, channels, device)),
            Architecture::ResNetV2(shape) => Self::ResNetV2(ResNetV2::new(shape, channels, device)),
            Architecture::SeNet(shape) => Self::SeNet(SeNet::new(shape, channels, device)),
            Architecture::Vgg(convolutions) => Self::Vgg(Vgg::new(convolutions, channels, device)),
            Architecture::DenseNet(shape) => Self::DenseNet(DenseNet::new(shape, channels, device)),
            Architecture::Efficient(shape) => Self::Wired(efficientnet::build(*shape, channels, device)),
            Architecture::InceptionV3 { counted } => Self::Wired(inception::v3(channels, *counted, device)),
            Architecture::InceptionResNetV2 => Self::Wired(inception::resnet_v2(channels, device)),
            Architecture::Xception { tensorflow } => Self::Wired(xception::build(*tensorflow, channels, device)),
            Architecture::NasNet(shape) => Self::Wired(nasnet::build(*shape, channels, device)),
            Architecture::VisionTransformer(shape) => {
                Self::VisionTransformer(VisionTransformer::new(*shape, channels, [height, width], device))
            }
        }
    }

    fn features(&self, images: Tensor<4>, pass: &Pass, pooling: Option<study::Pooling>) -> Tensor<2> {
        let map = match self {
            Self::ResNet(network) => network.map(images, pass),
            Self::ResNetV2(network) => network.map(images, pass),
            Self::SeNet(network) => network.map(images, pass),
            Self::Vgg(network) => network.map(images, pass),
            Self::DenseNet(network) => network.map(images, pass),
            Self::Wired(network) => network.forward(images, pass),
            Self::VisionTransformer(network) => return network.features(images, pass, pooling),
        };
        pooled(map, pooling.unwrap_or(study::Pooling::Mean))
    }

    /// Residual branches that drop path may leave out, in order of the forward pass.
    fn branches(&self) -> usize {
        match self {
            Self::ResNet(network) => network.branches(),
            Self::ResNetV2(network) => network.branches(),
            Self::SeNet(network) => network.branches(),
            Self::Wired(network) => network.branches(),
            Self::VisionTransformer(network) => network.branches(),
            Self::Vgg(_) | Self::DenseNet(_) => 0,
        }
    }
}

/// A backbone and its linear head.
#[derive(Module, Debug)]
pub struct Network {
    pub(crate) backbone: Backbone,
    pub(crate) head: Head,
    /// How a map of features becomes one; `None`: the network's own way.
    #[module(skip)]
    pool: Option<study::Pooling>,
    /// Of the images it sees.
    #[module(skip)]
    channels: usize,
    #[module(skip)]
    of: study::Backbone,
    #[module(skip)]
    flavour: Flavour,
    #[module(skip)]
    seed: u64,
    /// What the backbone's products are computed in. The head's are in single precision, so that scores are not rounded.
    #[module(skip)]
    precision: study::Precision,
}

impl Network {
    /// A network with its first weights, a pure function of `seed` and of each tensor's name. A tensor is drawn when it
    /// is first read: one that is loaded before costs nothing here.
    ///
    /// Distributions are timm's: convolutions normal with variance 2 / fan-out, norms 1 and 0 (the last one of each
    /// residual block of a ResNet 0 and 0), the head uniform within 1 / sqrt(features). On an autodiff device every
    /// parameter learns.
    #[must_use]
    pub fn new(backbone: study::Backbone, classes: usize, seed: u64, device: &Device) -> Self {
        let side = backbone.card().input.side as usize;
        Self::sized(backbone, classes, [side; 2], seed, device)
    }

    /// The network of a study, for its images.
    #[must_use]
    pub fn of(study: &study::Study, classes: usize, seed: u64, device: &Device) -> Self {
        let (channels, side) = (study.model.channels(), study.images.side() as usize);
        Self::headed(study.model.backbone, study.model.head, classes, [channels, side, side], seed, device)
            .with_precision(study.train.precision)
    }

    /// [`Self::new`] for images of a height and width. Only a vision transformer asks for them: its table of positions
    /// has a row a patch, and both sides must be multiples of the patch's.
    #[must_use]
    pub fn sized(
        backbone: study::Backbone,
        classes: usize,
        [height, width]: [usize; 2],
        seed: u64,
        device: &Device,
    ) -> Self {
        let image = [backbone.card().channels as usize, height, width];
        Self::headed(backbone, study::Head::default(), classes, image, seed, device)
    }

    /// [`Self::sized`] with another head and for images of any number of channels, `[channels, height, width]`.
    #[must_use]
    pub fn headed(
        backbone: study::Backbone,
        head: study::Head,
        classes: usize,
        image: [usize; 3],
        seed: u64,
        device: &Device,
    ) -> Self {
        Self::built(backbone, Flavour::Timm, &backbone.card().architecture, (head, classes, image), seed, device)
    }

    /// A network as the Keras libraries build it; `None` where their weights fit no network here.
    #[must_use]
    pub fn keras(backbone: study::Backbone, classes: usize, seed: u64, device: &Device) -> Option<Self> {
        let card = backbone.card();
        let architecture = card.keras.as_ref()?;
        let side = card.input.side as usize;
        let shape = (study::Head::default(), classes, [card.channels as usize, side, side]);
        Some(Self::built(backbone, Flavour::Keras, architecture, shape, seed, device))
    }

    /// A new network in another form; itself where the network has but one, or is of that form.
    pub(crate) fn in_form(self, flavour: Flavour) -> Self {
        let card = self.card();
        let architecture = match flavour {
            _ if flavour == self.flavour => return self,
            Flavour::Timm => &card.architecture,
            Flavour::Keras => match &card.keras {
                Some(architecture) => architecture,
                None => return self,
            },
        };
        let (classes, device) = (self.class_count(), self.head.device());
        let head = study::Head { dropout: 0.0, hidden: self.head.hidden_outputs(), pool: self.pool };
        let side = card.input.side as usize;
        let image = [self.channels, side, side];
        let precision = self.precision;
        Self::built(self.of, flavour, architecture, (head, classes, image), self.seed, &device)
            .with_precision(precision)
    }

    /// The same network with the products of its backbone computed in `precision`; a new one does so in single precision.
    #[must_use]
    pub fn with_precision(self, precision: study::Precision) -> Self {
        Self { precision, ..self }
    }

    fn built(
        of: study::Backbone,
        flavour: Flavour,
        architecture: &Architecture,
        (head, classes, image): (study::Head, usize, [usize; 3]),
        seed: u64,
        device: &Device,
    ) -> Self {
        let backbone = Backbone::new(architecture, image, device);
        let (pool, [channels, _, _]) = (head.pool, image);
        let head = Head::new(of.card().features as usize, head.hidden, classes, device);
        let precision = study::Precision::F32;
        initialise::draw(Self { backbone, head, pool, channels, of, flavour, seed, precision }, architecture, seed)
    }

    /// Pooled features; `pass` is a [`Mode`], or a [`Pass`] with drop path.
    ///
    /// # Shapes
    /// `[images, channels, height, width]` to `[images, feature_count]`.
    #[must_use]
    pub fn features(&self, images: Tensor<4>, pass: impl Into<Pass>) -> Tensor<2> {
        let pass = Pass { precision: self.precision, ..pass.into() };
        self.backbone.features(images, &pass, self.pool)
    }

    /// Logits of features.
    ///
    /// # Shapes
    /// `[images, feature_count]` to `[images, classes]`.
    #[must_use]
    pub fn classify(&self, features: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
        self.head.forward(features, dropout)
    }

    /// Logits of images: [`Network::features`], then [`Network::classify`].
    ///
    /// # Shapes
    /// `[images, channels, height, width]` to `[images, classes]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>, pass: impl Into<Pass>, dropout: Option<Dropout>) -> Tensor<2> {
        self.classify(self.features(images, pass), dropout)
    }

    /// How many features an image has.
    #[must_use]
    pub fn feature_count(&self) -> usize {
        self.head.inputs()
    }

    /// How many numbers the head's last layer sees, where another layer comes before it.
    #[must_use]
    pub fn hidden_count(&self) -> Option<usize> {
        self.head.hidden()
    }

    /// Channels of the images it sees.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
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

    /// Rows and columns of a vision transformer's patches.
    pub(crate) fn grid(&self) -> Option<[usize; 2]> {
        match &self.backbone {
            Backbone::VisionTransformer(network) => Some(network.grid()),
            Backbone::ResNet(_)
            | Backbone::ResNetV2(_)
            | Backbone::SeNet(_)
            | Backbone::Vgg(_)
            | Backbone::DenseNet(_)
            | Backbone::Wired(_) => None,
        }
    }

    /// Residual branches that drop path may leave out, in order of the forward pass; the rows of [`Pass::paths`].
    #[must_use]
    pub fn branches(&self) -> usize {
        self.backbone.branches()
    }

    /// How often each residual branch is skipped where the last one is so at `rate`: evenly more from the first, which
    /// never is, to the last (Huang et al. 2016); in an EfficientNet a step short of it, as in TensorFlow's and timm's;
    /// in a vision transformer two branches a block, equally often.
    #[must_use]
    pub fn drop_rates(&self, rate: f64) -> Vec<f64> {
        let count = u32::try_from(self.branches()).unwrap_or(u32::MAX);
        let (each, steps) = match self.backbone {
            Backbone::Wired(_) => (1, count),
            Backbone::VisionTransformer(_) => (2, (count / 2).saturating_sub(1)),
            Backbone::ResNet(_)
            | Backbone::ResNetV2(_)
            | Backbone::SeNet(_)
            | Backbone::Vgg(_)
            | Backbone::DenseNet(_) => (1, count.saturating_sub(1)),
        };
        (0..count).map(|index| rate * f64::from(index / each) / f64::from(steps.max(1))).collect()
    }

    /// What the catalog knows of this network.
    #[must_use]
    pub fn card(&self) -> &'static Card {
        self.of.card()
    }

    /// Whose form of it this is.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// timm's name of this network.
    #[must_use]
    pub fn timm_name(&self) -> &'static str {
        self.card().timm
    }

    /// What timm's names of the head's tensors begin with.
    #[must_use]
    pub fn head_name(&self) -> &'static str {
        self.card().head.name
    }

    fn head_form(&self) -> HeadForm {
        self.card().head
    }
}
