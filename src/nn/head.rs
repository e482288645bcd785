//! What turns features into logits: a linear layer, or a perceptron of two.
//!
//! A linear head has timm's names. A perceptron's tensors are called as timm's own `layers.Mlp` calls them, so that
//! `model.<head> = Mlp(features, hidden, classes, act_layer = nn.ReLU)` takes them.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::layers::Linear;
use crate::study::Precision;

/// The layers after the backbone.
#[derive(Module, Debug)]
pub enum Head {
    /// One linear layer.
    Linear(Linear),
    /// Two with a `ReLU` between them.
    Perceptron(Perceptron),
}

/// Two linear layers.
#[derive(Module, Debug)]
pub struct Perceptron {
    fc1: Linear,
    fc2: Linear,
}

/// What the input of each linear layer is multiplied by in training: 0 or 1 / keep, `[images, inputs]`.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// Of the first layer, which sees the features.
    pub features: Tensor<2>,
    /// Of the second one, where there is one.
    pub hidden: Option<Tensor<2>>,
}

impl Head {
    /// A head with blank weights; `hidden`: outputs of a layer before the last.
    pub(super) fn new(features: usize, hidden: Option<u32>, classes: usize, device: &Device) -> Self {
        match hidden {
            None => Self::Linear(Linear::new(features, classes, device)),
            Some(hidden) => Self::Perceptron(Perceptron {
                fc1: Linear::new(features, hidden as usize, device),
                fc2: Linear::new(hidden as usize, classes, device),
            }),
        }
    }

    /// In single precision.
    ///
    /// # Shapes
    /// `[images, features]` to `[images, classes]`.
    pub(super) fn forward(&self, features: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
        let (first, second) = dropout.map_or((None, None), |masks| (Some(masks.features), masks.hidden));
        let masked = |values: Tensor<2>, mask: Option<Tensor<2>>| match mask {
            Some(mask) => values * mask,
            None => values,
        };
        let features = masked(features, first);
        match self {
            Self::Linear(layer) => layer.forward(features, Precision::F32),
            Self::Perceptron(layers) => {
                let hidden = masked(relu(layers.fc1.forward(features, Precision::F32)), second);
                layers.fc2.forward(hidden, Precision::F32)
            }
        }
    }

    /// Features in.
    pub(super) fn inputs(&self) -> usize {
        match self {
            Self::Linear(layer) => layer.inputs(),
            Self::Perceptron(layers) => layers.fc1.inputs(),
        }
    }

    /// Inputs of the last layer, where it is not the first.
    pub(super) fn hidden(&self) -> Option<usize> {
        match self {
            Self::Linear(_) => None,
            Self::Perceptron(layers) => Some(layers.fc2.inputs()),
        }
    }

    /// [`Self::hidden`] as the study says it.
    pub(super) fn hidden_outputs(&self) -> Option<u32> {
        self.hidden().and_then(|count| u32::try_from(count).ok())
    }

    /// Where it lies.
    pub(super) fn device(&self) -> Device {
        match self {
            Self::Linear(layer) => layer.device(),
            Self::Perceptron(layers) => layers.fc1.device(),
        }
    }

    /// Classes out.
    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Linear(layer) => layer.outputs(),
            Self::Perceptron(layers) => layers.fc2.outputs(),
        }
    }
}
