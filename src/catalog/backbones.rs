//! Networks: their names, sizes, weights and what those weights expect.

use super::{Default, Family, Operation, Parameter, SHARE, Takes, number, required};
use crate::study::{Backbone, Filter, Normalize};

/// What is known of a network beyond its name.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// The network.
    pub backbone: Backbone,
    /// Its name in a study.
    pub name: &'static str,
    /// timm's name, whose tensor names the weight files use.
    pub timm: &'static str,
    /// Side in pixels its weights were trained with.
    pub side: u32,
    /// Smallest side that leaves one cell before pooling.
    pub smallest_side: u32,
    /// Resampling its weights were trained with.
    pub filter: Filter,
    /// Share of the side its weights' authors cropped at test time; we do not crop.
    pub crop: f64,
    /// Normalisation its weights were trained with.
    pub normalize: Normalize,
    /// Channels of its first layer.
    pub channels: u32,
    /// Names of the weights there are.
    pub weights: &'static [&'static str],
}

/// Every network this version runs.
pub const CARDS: &[Card] = &[
    Card {
        backbone: Backbone::ResNet18,
        name: "resnet18",
        timm: "resnet18.tv_in1k",
        side: 224,
        smallest_side: 32,
        filter: Filter::Bilinear,
        crop: 0.875,
        normalize: Normalize::Imagenet,
        channels: 3,
        weights: &["imagenet"],
    },
    Card {
        backbone: Backbone::ResNet34,
        name: "resnet34",
        timm: "resnet34.tv_in1k",
        side: 224,
        smallest_side: 32,
        filter: Filter::Bilinear,
        crop: 0.875,
        normalize: Normalize::Imagenet,
        channels: 3,
        weights: &["imagenet"],
    },
    Card {
        backbone: Backbone::EfficientNetLite0,
        name: "efficientnet_lite0",
        timm: "tf_efficientnet_lite0.in1k",
        side: 224,
        smallest_side: 32,
        filter: Filter::Bicubic,
        crop: 0.875,
        normalize: Normalize::Half,
        channels: 3,
        weights: &["imagenet"],
    },
];

/// The card of a network.
///
/// # Panics
/// Never: every network has a card, which a test holds.
#[must_use]
pub fn card(backbone: Backbone) -> &'static Card {
    CARDS.iter().find(|card| card.backbone == backbone).expect("invariant: every backbone has a card")
}

const WEIGHTS_PARAMETER: Parameter = Parameter {
    name: "weights",
    takes: Takes::Operation(&WEIGHTS),
    default: Default::Word("none"),
    about: "first weights: `none`, `imagenet` or `file(\"x.safetensors\")`",
};

const fn network(
    name: &'static str,
    about: &'static str,
    source: &'static str,
    examples: &'static [&'static str],
) -> Operation {
    Operation { name, about, parameters: &[WEIGHTS_PARAMETER], later: &[], source, examples }
}

/// `model.backbone`
pub const BACKBONES: Family = Family {
    one: "backbone",
    many: "backbones",
    operations: &[
        network(
            "resnet18",
            "ResNet with 18 layers, 11.2 million weights.",
            "He et al. 2016; torchvision",
            &["resnet18()", "resnet18(weights = imagenet)", "resnet18(weights = file(\"r18.safetensors\"))"],
        ),
        network(
            "resnet34",
            "ResNet with 34 layers, 21.3 million weights.",
            "He et al. 2016; torchvision",
            &["resnet34(weights = imagenet)"],
        ),
        network(
            "efficientnet_lite0",
            "EfficientNet-Lite0, 3.4 million weights.",
            "Tan and Le 2019; timm tf_efficientnet_lite0",
            &["efficientnet_lite0(weights = imagenet)"],
        ),
    ],
    later: &[
        "vgg16",
        "vgg19",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet50v2",
        "resnet101v2",
        "resnet152v2",
        "resnext50",
        "resnext101",
        "seresnet18",
        "seresnet34",
        "seresnet50",
        "seresnet101",
        "seresnet152",
        "seresnext50",
        "seresnext101",
        "senet154",
        "densenet121",
        "densenet169",
        "densenet201",
        "inceptionv3",
        "inceptionresnetv2",
        "xception",
        "nasnetlarge",
        "nasnetmobile",
        "mobilenet",
        "mobilenetv2",
        "efficientnet_b0",
        "efficientnet_b1",
        "efficientnet_b2",
        "efficientnet_b3",
        "efficientnet_b4",
        "efficientnet_b5",
        "efficientnet_b6",
        "efficientnet_b7",
        "efficientnet_l2",
        "vit_b16",
        "vit_b32",
        "vit_l16",
        "vit_l32",
        "vit_b16_224",
        "vit_b16_384",
        "vit_b32_224",
        "vit_b32_384",
        "vit_l16_224",
        "vit_l16_384",
        "vit_l32_224",
        "vit_l32_384",
    ],
};

/// `weights = ...`
pub const WEIGHTS: Family = Family {
    one: "set of weights",
    many: "weights",
    operations: &[
        Operation {
            name: "none",
            about: "Random first weights.",
            parameters: &[],
            later: &[],
            source: "He et al. 2015",
            examples: &["none"],
        },
        Operation {
            name: "imagenet",
            about: "Weights trained on ImageNet, looked up in the weights folder and the Hugging Face cache.",
            parameters: &[],
            later: &[],
            source: "timm",
            examples: &["imagenet"],
        },
        Operation {
            name: "file",
            about: "A safetensors file with timm's tensor names.",
            parameters: &[required("path", Takes::Path, "the file, from the study file's folder")],
            later: &["sha256"],
            source: "",
            examples: &["file(\"x.safetensors\")"],
        },
    ],
    later: &[],
};

/// `model.head`
pub const HEADS: Family = Family {
    one: "head",
    many: "heads",
    operations: &[Operation {
        name: "linear",
        about: "Dropout, then one linear layer.",
        parameters: &[number("dropout", Takes::Share { from: 0.0, to: 0.99 }, 0.0, "share of features left out")],
        later: &[],
        source: "",
        examples: &["linear()", "linear(dropout = 0.2)"],
    }],
    later: &["mlp", "cosine_head"],
};

/// `model.freeze`
pub const FREEZES: Family = Family {
    one: "way to freeze",
    many: "ways to freeze",
    operations: &[
        Operation {
            name: "none",
            about: "Everything learns.",
            parameters: &[],
            later: &[],
            source: "",
            examples: &["none"],
        },
        Operation {
            name: "all",
            about: "The backbone never learns, only the head does.",
            parameters: &[],
            later: &[],
            source: "",
            examples: &["all"],
        },
        Operation {
            name: "first",
            about: "The first share of the backbone's tensors never learns.",
            parameters: &[required("share", SHARE, "how much, in order of the forward pass")],
            later: &[],
            source: "",
            examples: &["first(10%)"],
        },
        Operation {
            name: "backbone",
            about: "The backbone learns only after so many epochs; the statistics of its first weights stay.",
            parameters: &[required("for", Takes::Epochs { from: 1.0, whole: true }, "epochs the backbone waits")],
            later: &[],
            source: "",
            examples: &["backbone(for = 2epochs)"],
        },
    ],
    later: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backbone_has_a_card_and_an_operation() {
        for backbone in [Backbone::ResNet18, Backbone::ResNet34, Backbone::EfficientNetLite0] {
            let card = card(backbone);
            assert!(BACKBONES.operation(card.name).is_some());
        }
        assert_eq!(CARDS.len(), BACKBONES.operations.len());
    }
}
