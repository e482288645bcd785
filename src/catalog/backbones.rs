//! Networks: their names, sizes, weights and what those weights expect; the table itself is `networks.rs`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::networks::NETWORKS;
use super::{Default, Family, Operation, Parameter, SHARE, Takes, datasets, number, optional, required};
use crate::study::{Filter, Normalize};

/// A network of the catalog; it is written, compared and hashed by its name.
#[derive(Clone, Copy)]
pub struct Backbone(&'static Card);

impl Backbone {
    /// The network of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|backbone| backbone.name() == name)
    }

    /// The network with timm's name.
    #[must_use]
    pub fn of_timm(name: &str) -> Option<Self> {
        Self::all().find(|backbone| backbone.0.timm == name)
    }

    /// Every network, in the catalog's order.
    pub fn all() -> impl Iterator<Item = Self> {
        NETWORKS.iter().map(Self)
    }

    /// The network that stands in for one that could not be read.
    ///
    /// # Panics
    /// Never: the catalog is not empty, which a test holds.
    pub(crate) fn any() -> Self {
        Self::all().next().expect("invariant: the catalog holds a network")
    }

    /// Its name in a study.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What is known of it.
    #[must_use]
    pub fn card(self) -> &'static Card {
        self.0
    }
}

impl PartialEq for Backbone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Backbone {}

impl std::fmt::Debug for Backbone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Backbone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Backbone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| serde::de::Error::custom(format!("no network is called `{name}`")))
    }
}

/// What is known of a network.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// Its name in a study.
    pub name: &'static str,
    /// timm's name of the same network, whose tensor names the weight files use.
    pub timm: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
    /// Who described it, and whose code it equals.
    pub source: &'static str,
    /// Calls that are accepted as they stand: without weights, then with `imagenet`.
    pub examples: [&'static str; 2],
    /// How it is built.
    pub architecture: Architecture,
    /// How it is built for the Keras libraries' weights, where that differs and those weights fit.
    pub keras: Option<Architecture>,
    /// Features an image has: what its head sees.
    pub features: u32,
    /// What timm's names of the head's tensors begin with.
    pub head: Head,
    /// What it is given where no weights say otherwise: as its first weights.
    pub input: Input,
    /// Smallest side that leaves one cell before pooling.
    pub smallest_side: u32,
    /// Channels of its first layer.
    pub channels: u32,
    /// Parameters that learn, with a head of 1000 classes.
    pub parameters: u64,
    /// Multiply-adds of one image of `input.side`, in 10^9.
    pub gmacs: f64,
    /// Weights there are; the first of a word is the one the word means.
    pub weights: &'static [Pretrained],
}

impl Card {
    /// What sides of images must be multiples of; 1 for all but vision transformers.
    #[must_use]
    pub const fn patch(&self) -> u32 {
        match &self.architecture {
            // A patch has a few dozen pixels a side.
            #[expect(clippy::cast_possible_truncation, reason = "see above")]
            Architecture::VisionTransformer(shape) => shape.patch as u32,
            Architecture::ResNet(_)
            | Architecture::ResNetV2(_)
            | Architecture::SeNet(_)
            | Architecture::Vgg(_)
            | Architecture::DenseNet(_)
            | Architecture::Efficient(_)
            | Architecture::InceptionV3 { .. }
            | Architecture::InceptionResNetV2
            | Architecture::Xception { .. }
            | Architecture::NasNet(_) => 1,
        }
    }

    /// The words for its weights, each once.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        let mut words: Vec<&'static str> = Vec::new();
        for pretrained in self.weights {
            if !words.contains(&pretrained.word) {
                words.push(pretrained.word);
            }
        }
        words
    }

    /// The weights that a word means, the preferred ones first.
    pub fn pretrained(&self, word: &str) -> impl Iterator<Item = &'static Pretrained> {
        self.weights.iter().filter(move |pretrained| pretrained.word == word)
    }

    /// What the weights of a word expect; what the network usually gets where there are none.
    #[must_use]
    pub fn input_of(&self, word: &str) -> Input {
        self.pretrained(word).next().map_or(self.input, |pretrained| pretrained.input)
    }
}

/// Images as a set of weights was trained with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// Side in pixels.
    pub side: u32,
    /// Share of the side its authors cropped at test time; we do not crop.
    pub crop: f64,
    /// Resampling.
    pub filter: Filter,
    /// Normalisation.
    pub normalize: Normalize,
}

/// A set of weights that can be looked up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pretrained {
    /// What a study calls it: `imagenet`, `imagenet21k`, `noisy_student`.
    pub word: &'static str,
    /// timm's tag: the repository is `timm/<timm name>.<tag>`.
    pub tag: &'static str,
    /// What it expects.
    pub input: Input,
    /// Classes its head tells apart; 0 where it has none.
    pub classes: u32,
    /// Its licence, as SPDX or the hub names it.
    pub licence: &'static str,
    /// Per cent of ImageNet's validation images it names first, as timm's results table states (at the table's
    /// test side, which may be larger than `input.side`).
    pub top1: Option<f64>,
}

/// The last layer as timm names and shapes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Before `.weight` and `.bias`.
    pub name: &'static str,
    /// Is its weight a 1x1 convolution's, `[classes, features, 1, 1]`?
    pub convolution: bool,
}

/// How a network is built: its family and the family's parameters. One row of `networks.rs` holds one of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Architecture {
    /// ResNet and ResNeXt: activation after each block.
    ResNet(ResNet),
    /// ResNet v2: norm and activation before each convolution.
    ResNetV2(ResNetV2),
    /// SE-ResNet, SE-ResNeXt, SENet-154.
    SeNet(SeNet),
    /// VGG: convolutions of each stage.
    Vgg([usize; 5]),
    /// DenseNet.
    DenseNet(DenseNet),
    /// EfficientNet, its Lite variant, MobileNet v1 and v2.
    Efficient(Efficient),
    /// Inception v3.
    InceptionV3 {
        /// Do its average pools count the zeros around an image?
        counted: bool,
    },
    /// Inception-ResNet v2.
    InceptionResNetV2,
    /// Xception.
    Xception {
        /// TensorFlow's epsilon and padding instead of PyTorch's.
        tensorflow: bool,
    },
    /// NASNet-A.
    NasNet(NasNet),
    /// Vision transformer.
    VisionTransformer(VisionTransformer),
}

impl Architecture {
    /// Has it residual branches that drop path may skip?
    #[must_use]
    pub const fn is_residual(&self) -> bool {
        match self {
            Self::ResNet(_) | Self::ResNetV2(_) | Self::SeNet(_) | Self::VisionTransformer(_) => true,
            Self::Efficient(shape) => !matches!(shape.kind, EfficientKind::Mobile1),
            Self::Vgg(_)
            | Self::DenseNet(_)
            | Self::InceptionV3 { .. }
            | Self::InceptionResNetV2
            | Self::Xception { .. }
            | Self::NasNet(_) => false,
        }
    }
}

/// An EfficientNet (Tan and Le 2019) or a MobileNet (Howard et al. 2017, Sandler et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Efficient {
    /// Its table of blocks.
    pub kind: EfficientKind,
    /// Factor of channels.
    pub width: f64,
    /// Factor of blocks.
    pub depth: f64,
    /// TensorFlow's epsilon and padding instead of PyTorch's.
    pub tensorflow: bool,
}

/// Tables of depthwise blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EfficientKind {
    /// With squeeze-and-excitation.
    EfficientNet,
    /// Without; `ReLU6`; stem, head, first and last stage keep their size.
    Lite,
    /// MobileNet v1: no residuals.
    Mobile1,
    /// MobileNet v2.
    Mobile2,
}

/// A NASNet-A (Zoph et al. 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NasNet {
    /// Channels after the stem.
    pub stem: usize,
    /// Cells of each scale.
    pub cells: usize,
    /// Features, 24 times a first cell's channels.
    pub features: usize,
    /// The cell after a reduction reads the two cells that the reduction read, else those before it.
    pub skip: bool,
    /// Maximum pools see zeros around an image.
    pub zeros: bool,
}

/// A vision transformer (Dosovitskiy et al. 2020).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisionTransformer {
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Numbers a token.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of attention.
    pub heads: usize,
}

/// A ResNet or ResNeXt (He et al. 2015, Xie et al. 2016).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResNet {
    /// 1x1, 3x3, 1x1 with four times the channels out; else two 3x3.
    pub bottleneck: bool,
    /// Blocks of each stage.
    pub blocks: [usize; 4],
    /// Groups of the 3x3 convolutions.
    pub groups: usize,
    /// Channels a group in a stage of 64.
    pub width: usize,
    /// A batch norm without weight on the images themselves.
    pub input_norm: bool,
    /// Added to variances.
    pub eps: f64,
}

/// A ResNet v2 (He et al. 2016).
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "switches that are set independently")]
pub struct ResNetV2 {
    /// 1x1, 3x3, 1x1 with four times the channels out; else two 3x3.
    pub bottleneck: bool,
    /// Blocks of each stage.
    pub blocks: [usize; 4],
    /// A batch norm without weight on the images themselves.
    pub input_norm: bool,
    /// A norm and an activation after the stem's convolution.
    pub stem_norm: bool,
    /// A projection in the first block although nothing changes its shape.
    pub project_first: bool,
    /// Squeeze-and-excitation of each block's branch.
    pub excite: bool,
    /// Added to variances.
    pub eps: f64,
}

/// An SENet (Hu et al. 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeNet {
    /// Its blocks.
    pub block: SeBlock,
    /// Blocks of each stage.
    pub blocks: [usize; 4],
    /// The stem's pool pads one on each side instead of keeping a window that reaches over the end.
    pub padded_pool: bool,
}

/// Blocks of an SENet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeBlock {
    /// Two 3x3.
    Basic,
    /// 1x1 with the step, 3x3, 1x1.
    ResNet,
    /// 1x1, 3x3 with the step in 32 groups of 4, 1x1.
    ResNeXt,
    /// 1x1, 3x3 with the step in 64 groups, 1x1; a stem of three 3x3, projections of 3x3.
    SeNet154,
}

/// A DenseNet (Huang et al. 2016).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenseNet {
    /// Layers of each block.
    pub layers: [usize; 4],
    /// Added to variances.
    pub eps: f64,
}

/// What `model.backbone` accepts beyond a name.
const WEIGHTS_PARAMETER: Parameter = Parameter {
    name: "weights",
    takes: Takes::Operation(&WEIGHTS),
    default: Default::Word("none"),
    about: "first weights: `none`, a word such as `imagenet`, `file(\"x.safetensors\")` or `hub(\"org/name\")`",
};

const DROP_PATH: Parameter = number(
    "drop_path",
    Takes::Share { from: 0.0, to: 0.9 },
    0.0,
    "share of images that skip the last residual branch while training; earlier ones are skipped less often",
);

const fn operation(card: &'static Card) -> Operation {
    let examples: &'static [&'static str] = if card.weights.is_empty() || !same(card.weights[0].word, "imagenet") {
        card.examples.split_at(1).0
    } else {
        &card.examples
    };
    Operation {
        name: card.name,
        about: card.about,
        parameters: if card.architecture.is_residual() {
            &[WEIGHTS_PARAMETER, DROP_PATH]
        } else {
            &[WEIGHTS_PARAMETER]
        },
        later: &[],
        source: card.source,
        examples,
    }
}

/// `a == b`, for constants.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const OPERATIONS: [Operation; NETWORKS.len()] = {
    let mut all = [operation(&NETWORKS[0]); NETWORKS.len()];
    let mut at = 1;
    while at < NETWORKS.len() {
        all[at] = operation(&NETWORKS[at]);
        at += 1;
    }
    all
};

/// `model.backbone`
pub const BACKBONES: Family = Family { one: "backbone", many: "backbones", operations: &OPERATIONS, later: &[] };

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
            name: "imagenet21k",
            about: "Weights trained on the 21 843 classes of ImageNet-21k, looked up in the same way.",
            parameters: &[],
            later: &[],
            source: "Dosovitskiy et al. 2020; timm",
            examples: &["imagenet21k"],
        },
        Operation {
            name: "noisy_student",
            about: "Weights trained on ImageNet and 300 million images without labels, looked up in the same way.",
            parameters: &[],
            later: &[],
            source: "Xie et al. 2020; timm",
            examples: &["noisy_student"],
        },
        Operation {
            name: "file",
            about: "A safetensors file with timm's tensor names.",
            parameters: &[
                required("path", Takes::Path, "the file, from the study file's folder"),
                optional("trained_on", Takes::Word(datasets::NAMES), "the public data set they were trained on"),
                optional("sha256", Takes::Text, "what the SHA-256 of its bytes must be, 64 hexadecimal digits"),
            ],
            later: &[],
            source: "",
            examples: &["file(\"x.safetensors\")"],
        },
        Operation {
            name: "hub",
            about: "`model.safetensors` of a repository of the Hugging Face hub, with timm's tensor names.",
            parameters: &[
                required("repository", Takes::Text, "`organisation/name`"),
                optional("revision", Takes::Text, "a branch, a tag or a commit; `main` when not written"),
            ],
            later: &[],
            source: "",
            examples: &["hub(\"timm/resnet18.a1_in1k\")"],
        },
    ],
    later: &[],
};

/// `model.head`
pub const HEADS: Family = Family {
    one: "head",
    many: "heads",
    operations: &[
        Operation {
            name: "linear",
            about: "Dropout, then one linear layer.",
            parameters: &[DROPOUT, POOL],
            later: &[],
            source: "",
            examples: &["linear()", "linear(dropout = 0.2)", "linear(pool = gem)"],
        },
        Operation {
            name: "mlp",
            about: "Dropout, a linear layer with ReLU, dropout, a linear layer.",
            parameters: &[
                required("hidden", Takes::Whole { from: 1, to: 65_536, counts: "" }, "outputs of the first layer"),
                DROPOUT,
                POOL,
            ],
            later: &[],
            source: "",
            examples: &["mlp(hidden = 256)", "mlp(hidden = 512, dropout = 0.3, pool = max)"],
        },
    ],
    later: &["cosine_head"],
};

const DROPOUT: Parameter =
    number("dropout", Takes::Share { from: 0.0, to: 0.99 }, 0.0, "share of what a linear layer sees that is left out");
const POOL: Parameter = optional(
    "pool",
    Takes::Operation(&POOLS),
    "how a map of features becomes one; left out: the mean, for a vision transformer its class token",
);

/// `model.head.pool`
pub const POOLS: Family = Family {
    one: "pool",
    many: "pools",
    operations: &[
        Operation {
            name: "avg",
            about: "The mean of each feature over the image.",
            parameters: &[],
            later: &[],
            source: "Lin et al. 2014",
            examples: &["avg"],
        },
        Operation {
            name: "max",
            about: "The largest of each feature over the image.",
            parameters: &[],
            later: &[],
            source: "",
            examples: &["max"],
        },
        Operation {
            name: "gem",
            about: "The generalised mean, (mean of x^p)^(1/p) of what is above 1e-6: between the mean and the largest.",
            parameters: &[number("p", Takes::Number { from: 1.0, included: true, to: 100.0 }, 3.0, "the power")],
            later: &[],
            source: "Radenovic et al. 2018",
            examples: &["gem", "gem(p = 4)"],
        },
    ],
    later: &["avgmax", "attention"],
};

/// `model.stem`: first weights for three channels are refused where images have one, or each kernel becomes what the
/// three give on average to a grey image.
pub const STEMS: &[&str] = &["none", "average"];

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
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn backbones_are_found_by_their_names() {
        for (backbone, operation) in Backbone::all().zip(BACKBONES.operations) {
            assert_eq!(backbone.name(), operation.name);
            assert_eq!(Backbone::named(backbone.name()), Some(backbone));
            assert_eq!(Backbone::of_timm(backbone.card().timm), Some(backbone));
            let written = serde_json::to_string(&backbone).unwrap();
            assert_eq!(written, format!("\"{}\"", backbone.name()));
            assert_eq!(serde_json::from_str::<Backbone>(&written).unwrap(), backbone);
        }
        assert_eq!(Backbone::any().name(), BACKBONES.operations[0].name);
        assert!(serde_json::from_str::<Backbone>("\"resnet19\"").is_err());
    }

    #[test]
    fn rows_agree_with_themselves() {
        for card in NETWORKS {
            assert_eq!(card.examples, [format!("{}()", card.name), format!("{}(weights = imagenet)", card.name)]);
            if let Some(first) = card.weights.first() {
                assert_eq!(card.input, first.input, "{}", card.name);
            }
            assert!(card.features > 0 && card.parameters > 0 && card.gmacs > 0.0, "{}", card.name);
            assert!(card.smallest_side <= card.input.side, "{}", card.name);
        }
    }
}
