//! The table of networks: one row each.
//!
//! A row names the network, timm's twin of it, its family and the family's parameters; then its features, parameters
//! (with a head of 1000 classes) and 10^9 multiply-adds; then what images it takes and the weights there are. Counts are
//! timm's own, multiply-adds were counted over timm 1.0.31 with torch's `FlopCounterMode` (convolutions, linear layers
//! and attention) at the row's first input side
//! (nasnetmobile's are its paper's). Tags, inputs and licences are those of timm 1.0.31; accuracies those of
//! its table `results/results-imagenet.csv` (0: not in that table).

use super::backbones::{
    Architecture, Card, DenseNet, Efficient, EfficientKind, Head, Input, NasNet, Pretrained, ResNet, ResNetV2, SeBlock,
    SeNet, VisionTransformer,
};
use crate::study::{Filter, Normalize};

/// What a family's networks share.
#[derive(Clone, Copy)]
struct Kin {
    source: &'static str,
    head: Head,
    smallest_side: u32,
}

const fn kin(source: &'static str, head: &'static str, smallest_side: u32) -> Kin {
    Kin { source, head: Head { name: head, convolution: false }, smallest_side }
}

const RESNET: Kin = kin("He et al. 2015, Xie et al. 2016; torchvision", "fc", 32);
const RESNETV2: Kin =
    Kin { head: Head { name: "head.fc", convolution: true }, ..kin("He et al. 2016; timm resnetv2", "", 32) };
const SENET: Kin = kin("Hu et al. 2017; timm legacy senet", "last_linear", 32);
const VGG: Kin = kin("Simonyan and Zisserman 2014; torchvision", "head.fc", 32);
const DENSENET: Kin = kin("Huang et al. 2016; torchvision", "classifier", 32);
const INCEPTION: Kin = kin("Szegedy et al. 2015 and 2016; TensorFlow", "fc", 75);
const INCEPTION_RESNET: Kin = kin("Szegedy et al. 2016; TensorFlow", "classif", 75);
const XCEPTION: Kin = kin("Chollet 2016; timm legacy_xception", "fc", 71);
const NASNET: Kin = kin("Zoph et al. 2017; TensorFlow", "last_linear", 32);
const MOBILENET: Kin = kin("Howard et al. 2017, Sandler et al. 2018; timm", "classifier", 32);
const EFFICIENTNET: Kin = kin("Tan and Le 2019; timm tf_efficientnet", "classifier", 32);
const VIT: Kin = kin("Dosovitskiy et al. 2020; timm vision_transformer", "head", 32);

const fn input(side: u32, crop: f64, filter: Filter, normalize: Normalize) -> Input {
    Input { side, crop, filter, normalize }
}

const TORCHVISION: Input = input(224, 0.875, Filter::Bilinear, Normalize::Imagenet);
const BICUBIC: Input = input(224, 0.875, Filter::Bicubic, Normalize::Imagenet);
const A1: Input = input(224, 0.95, Filter::Bicubic, Normalize::Imagenet);
const A1_HALF: Input = input(224, 0.95, Filter::Bicubic, Normalize::Half);
const HALF: Input = input(224, 0.875, Filter::Bicubic, Normalize::Half);
const INCEPTION_299: Input = input(299, 0.875, Filter::Bicubic, Normalize::Half);
const TENSORFLOW_299: Input = input(299, 0.8975, Filter::Bicubic, Normalize::Half);
const TENSORFLOW_331: Input = input(331, 0.911, Filter::Bicubic, Normalize::Half);
const VIT_224: Input = input(224, 0.9, Filter::Bicubic, Normalize::Half);
const VIT_384: Input = input(384, 1.0, Filter::Bicubic, Normalize::Half);

const fn efficient(side: u32, crop: f64) -> Input {
    input(side, crop, Filter::Bicubic, Normalize::Imagenet)
}

const fn lite(side: u32, crop: f64) -> Input {
    input(side, crop, Filter::Bicubic, Normalize::Half)
}

const fn lite_bilinear(side: u32, crop: f64) -> Input {
    input(side, crop, Filter::Bilinear, Normalize::Half)
}

const BSD: &str = "bsd-3-clause";
const APACHE: &str = "apache-2.0";

const fn imagenet(tag: &'static str, input: Input, licence: &'static str, top1: f64) -> Pretrained {
    let top1 = if top1 > 0.0 { Some(top1) } else { None };
    Pretrained { word: "imagenet", tag, input, classes: 1000, licence, top1 }
}

const fn noisy_student(tag: &'static str, input: Input, top1: f64) -> Pretrained {
    Pretrained { word: "noisy_student", tag, input, classes: 1000, licence: APACHE, top1: Some(top1) }
}

const fn imagenet21k(tag: &'static str, input: Input, classes: u32) -> Pretrained {
    Pretrained { word: "imagenet21k", tag, input, classes, licence: APACHE, top1: None }
}

const BASIC: bool = false;
const BOTTLENECK: bool = true;

const fn resnet(bottleneck: bool, blocks: [usize; 4]) -> Architecture {
    Architecture::ResNet(ResNet { bottleneck, blocks, groups: 1, width: 64, input_norm: false, eps: 1e-5 })
}

/// 32 groups of 4.
const fn resnext(blocks: [usize; 4], input_norm: bool, eps: f64) -> Architecture {
    Architecture::ResNet(ResNet { bottleneck: true, blocks, groups: 32, width: 4, input_norm, eps })
}

const fn resnetv2(blocks: [usize; 4]) -> Architecture {
    let (input_norm, stem_norm, project_first, excite) = (false, false, false, false);
    Architecture::ResNetV2(ResNetV2 {
        bottleneck: true,
        blocks,
        input_norm,
        stem_norm,
        project_first,
        excite,
        eps: 1e-5,
    })
}

/// A ResNet as qubvel's `classification_models` builds it.
const fn qubvel(bottleneck: bool, blocks: [usize; 4], excite: bool) -> Architecture {
    let (input_norm, stem_norm, project_first) = (true, true, true);
    Architecture::ResNetV2(ResNetV2 { bottleneck, blocks, input_norm, stem_norm, project_first, excite, eps: 2e-5 })
}

const fn senet(block: SeBlock, blocks: [usize; 4], padded_pool: bool) -> Architecture {
    Architecture::SeNet(SeNet { block, blocks, padded_pool })
}

const fn efficientnet(width: f64, depth: f64) -> Architecture {
    Architecture::Efficient(Efficient { kind: EfficientKind::EfficientNet, width, depth, tensorflow: true })
}

const fn efficientnet_lite(width: f64, depth: f64) -> Architecture {
    Architecture::Efficient(Efficient { kind: EfficientKind::Lite, width, depth, tensorflow: true })
}

const fn mobilenet(kind: EfficientKind, width: f64, tensorflow: bool) -> Architecture {
    Architecture::Efficient(Efficient { kind, width, depth: 1.0, tensorflow })
}

const fn nasnet(large: bool, zeros: bool) -> Architecture {
    let (stem, cells, features) = if large { (96, 6, 4032) } else { (32, 4, 1056) };
    Architecture::NasNet(NasNet { stem, cells, features, skip: large, zeros })
}

const fn vit_base(patch: usize) -> Architecture {
    Architecture::VisionTransformer(VisionTransformer { patch, width: 768, depth: 12, heads: 12 })
}

const fn vit_large(patch: usize) -> Architecture {
    Architecture::VisionTransformer(VisionTransformer { patch, width: 1024, depth: 24, heads: 16 })
}

const fn densenet(layers: [usize; 4], eps: f64) -> Architecture {
    Architecture::DenseNet(DenseNet { layers, eps })
}

impl Card {
    const fn new(names: [&'static str; 3], examples: [&'static str; 2], kin: Kin, architecture: Architecture) -> Self {
        let [name, timm, about] = names;
        Self {
            name,
            timm,
            about,
            source: kin.source,
            examples,
            architecture,
            keras: None,
            features: 0,
            head: kin.head,
            input: HALF,
            smallest_side: kin.smallest_side,
            channels: 3,
            parameters: 0,
            gmacs: 0.0,
            weights: &[],
        }
    }

    /// How the Keras library builds it, where its weights fit.
    const fn keras(self, architecture: Architecture) -> Self {
        Self { keras: Some(architecture), ..self }
    }

    const fn of(self, features: u32, parameters: u64, gmacs: f64) -> Self {
        Self { features, parameters, gmacs, ..self }
    }

    const fn with(self, input: Input, weights: &'static [Pretrained]) -> Self {
        Self { input, weights, ..self }
    }
}

macro_rules! network {
    ($name:literal, $timm:literal, $about:literal, $kin:ident, $architecture:expr) => {
        Card::new(
            [$name, $timm, $about],
            [concat!($name, "()"), concat!($name, "(weights = imagenet)")],
            $kin,
            $architecture,
        )
    };
}

/// Every network of the language.
pub(super) const NETWORKS: &[Card] = &[
    network!("resnet18", "resnet18", "ResNet with 18 layers.", RESNET, resnet(BASIC, [2, 2, 2, 2]))
        .keras(qubvel(BASIC, [2, 2, 2, 2], false))
        .of(512, 11_689_512, 1.81)
        .with(TORCHVISION, &[imagenet("tv_in1k", TORCHVISION, BSD, 69.76), imagenet("a1_in1k", A1, APACHE, 73.158)]),
    network!("resnet34", "resnet34", "ResNet with 34 layers.", RESNET, resnet(BASIC, [3, 4, 6, 3]))
        .keras(qubvel(BASIC, [3, 4, 6, 3], false))
        .of(512, 21_797_672, 3.66)
        .with(TORCHVISION, &[imagenet("tv_in1k", TORCHVISION, BSD, 0.0), imagenet("a1_in1k", A1, APACHE, 77.918)]),
    network!("resnet50", "resnet50", "ResNet with 50 layers.", RESNET, resnet(BOTTLENECK, [3, 4, 6, 3]))
        .keras(qubvel(BOTTLENECK, [3, 4, 6, 3], false))
        .of(2_048, 25_557_032, 4.09)
        .with(TORCHVISION, &[imagenet("tv_in1k", TORCHVISION, BSD, 76.13), imagenet("a1_in1k", A1, APACHE, 81.214)]),
    network!("resnet101", "resnet101", "ResNet with 101 layers.", RESNET, resnet(BOTTLENECK, [3, 4, 23, 3]))
        .keras(qubvel(BOTTLENECK, [3, 4, 23, 3], false))
        .of(2_048, 44_549_160, 7.80)
        .with(TORCHVISION, &[imagenet("tv_in1k", TORCHVISION, BSD, 77.376), imagenet("a1_in1k", A1, APACHE, 82.322)]),
    network!("resnet152", "resnet152", "ResNet with 152 layers.", RESNET, resnet(BOTTLENECK, [3, 8, 36, 3]))
        .keras(qubvel(BOTTLENECK, [3, 8, 36, 3], false))
        .of(2_048, 60_192_808, 11.51)
        .with(TORCHVISION, &[imagenet("tv_in1k", TORCHVISION, BSD, 78.322), imagenet("a1_in1k", A1, APACHE, 82.732)]),
    network!(
        "resnet50v2",
        "resnetv2_50",
        "ResNet v2 with 50 layers, activation before each convolution.",
        RESNETV2,
        resnetv2([3, 4, 6, 3])
    )
    .of(2_048, 25_549_352, 4.09)
    .with(A1_HALF, &[imagenet("a1h_in1k", A1_HALF, APACHE, 81.398)]),
    network!(
        "resnet101v2",
        "resnetv2_101",
        "ResNet v2 with 101 layers, activation before each convolution.",
        RESNETV2,
        resnetv2([3, 4, 23, 3])
    )
    .of(2_048, 44_541_480, 7.80)
    .with(A1_HALF, &[imagenet("a1h_in1k", A1_HALF, APACHE, 83.002)]),
    network!(
        "resnet152v2",
        "resnetv2_152",
        "ResNet v2 with 152 layers, activation before each convolution.",
        RESNETV2,
        resnetv2([3, 8, 36, 3])
    )
    .of(2_048, 60_185_128, 11.51)
    .with(A1_HALF, &[]),
    network!(
        "resnext50",
        "resnext50_32x4d",
        "ResNeXt with 50 layers, 32 groups of 4 channels.",
        RESNET,
        resnext([3, 4, 6, 3], false, 1e-5)
    )
    .keras(resnext([3, 4, 6, 3], true, 2e-5))
    .of(2_048, 25_028_904, 4.23)
    .with(TORCHVISION, &[imagenet("tv_in1k", TORCHVISION, BSD, 77.618), imagenet("a1_in1k", A1, APACHE, 81.466)]),
    network!(
        "resnext101",
        "resnext101_32x4d",
        "ResNeXt with 101 layers, 32 groups of 4 channels.",
        RESNET,
        resnext([3, 4, 23, 3], false, 1e-5)
    )
    .keras(resnext([3, 4, 23, 3], true, 2e-5))
    .of(2_048, 44_177_704, 7.97)
    .with(BICUBIC, &[imagenet("gluon_in1k", BICUBIC, APACHE, 80.34)]),
    network!(
        "seresnet18",
        "legacy_seresnet18",
        "SE-ResNet with 18 layers and squeeze-and-excitation.",
        SENET,
        senet(SeBlock::Basic, [2, 2, 2, 2], false)
    )
    .keras(qubvel(BASIC, [2, 2, 2, 2], true))
    .of(512, 11_778_592, 1.81)
    .with(BICUBIC, &[imagenet("in1k", BICUBIC, APACHE, 71.766)]),
    network!(
        "seresnet34",
        "legacy_seresnet34",
        "SE-ResNet with 34 layers and squeeze-and-excitation.",
        SENET,
        senet(SeBlock::Basic, [3, 4, 6, 3], false)
    )
    .keras(qubvel(BASIC, [3, 4, 6, 3], true))
    .of(512, 21_958_868, 3.66)
    .with(TORCHVISION, &[imagenet("in1k", TORCHVISION, APACHE, 74.808)]),
    network!(
        "seresnet50",
        "legacy_seresnet50",
        "SE-ResNet with 50 layers and squeeze-and-excitation.",
        SENET,
        senet(SeBlock::ResNet, [3, 4, 6, 3], false)
    )
    .keras(senet(SeBlock::ResNet, [3, 4, 6, 3], true))
    .of(2_048, 28_088_024, 3.86)
    .with(TORCHVISION, &[imagenet("in1k", TORCHVISION, APACHE, 77.644)]),
    network!(
        "seresnet101",
        "legacy_seresnet101",
        "SE-ResNet with 101 layers and squeeze-and-excitation.",
        SENET,
        senet(SeBlock::ResNet, [3, 4, 23, 3], false)
    )
    .keras(senet(SeBlock::ResNet, [3, 4, 23, 3], true))
    .of(2_048, 49_326_872, 7.57)
    .with(TORCHVISION, &[imagenet("in1k", TORCHVISION, APACHE, 78.386)]),
    network!(
        "seresnet152",
        "legacy_seresnet152",
        "SE-ResNet with 152 layers and squeeze-and-excitation.",
        SENET,
        senet(SeBlock::ResNet, [3, 8, 36, 3], false)
    )
    .keras(senet(SeBlock::ResNet, [3, 8, 36, 3], true))
    .of(2_048, 66_821_848, 11.29)
    .with(TORCHVISION, &[imagenet("in1k", TORCHVISION, APACHE, 78.66)]),
    network!(
        "seresnext50",
        "legacy_seresnext50_32x4d",
        "SE-ResNeXt with 50 layers, 32 groups of 4 channels and squeeze-and-excitation.",
        SENET,
        senet(SeBlock::ResNeXt, [3, 4, 6, 3], false)
    )
    .keras(senet(SeBlock::ResNeXt, [3, 4, 6, 3], true))
    .of(2_048, 27_559_896, 4.23)
    .with(TORCHVISION, &[imagenet("in1k", TORCHVISION, APACHE, 79.076)]),
    network!(
        "seresnext101",
        "legacy_seresnext101_32x4d",
        "SE-ResNeXt with 101 layers, 32 groups of 4 channels and squeeze-and-excitation.",
        SENET,
        senet(SeBlock::ResNeXt, [3, 4, 23, 3], false)
    )
    .keras(senet(SeBlock::ResNeXt, [3, 4, 23, 3], true))
    .of(2_048, 48_955_416, 7.97)
    .with(TORCHVISION, &[imagenet("in1k", TORCHVISION, APACHE, 80.23)]),
    network!(
        "senet154",
        "legacy_senet154",
        "SENet with 154 layers, 64 groups.",
        SENET,
        senet(SeBlock::SeNet154, [3, 8, 36, 3], false)
    )
    .keras(senet(SeBlock::SeNet154, [3, 8, 36, 3], true))
    .of(2_048, 115_088_984, 20.69)
    .with(TORCHVISION, &[imagenet("in1k", TORCHVISION, APACHE, 81.308)]),
    network!("vgg16", "vgg16", "VGG with 16 layers, no batch norm.", VGG, Architecture::Vgg([2, 2, 3, 3, 3]))
        .keras(Architecture::Vgg([2, 2, 3, 3, 3]))
        .of(4_096, 138_357_544, 15.47)
        .with(TORCHVISION, &[imagenet("tv_in1k", TORCHVISION, BSD, 71.592)]),
    network!("vgg19", "vgg19", "VGG with 19 layers, no batch norm.", VGG, Architecture::Vgg([2, 2, 4, 4, 4]))
        .keras(Architecture::Vgg([2, 2, 4, 4, 4]))
        .of(4_096, 143_667_240, 19.63)
        .with(TORCHVISION, &[imagenet("tv_in1k", TORCHVISION, BSD, 72.378)]),
    network!("densenet121", "densenet121", "DenseNet with 121 layers.", DENSENET, densenet([6, 12, 24, 16], 1e-5))
        .keras(densenet([6, 12, 24, 16], 1.001e-5))
        .of(1_024, 7_978_856, 2.83)
        .with(BICUBIC, &[imagenet("tv_in1k", BICUBIC, APACHE, 74.764), imagenet("ra_in1k", BICUBIC, APACHE, 76.5)]),
    network!("densenet169", "densenet169", "DenseNet with 169 layers.", DENSENET, densenet([6, 12, 32, 32], 1e-5))
        .keras(densenet([6, 12, 32, 32], 1.001e-5))
        .of(1_664, 14_149_480, 3.36)
        .with(BICUBIC, &[imagenet("tv_in1k", BICUBIC, APACHE, 75.9)]),
    network!("densenet201", "densenet201", "DenseNet with 201 layers.", DENSENET, densenet([6, 12, 48, 32], 1e-5))
        .keras(densenet([6, 12, 48, 32], 1.001e-5))
        .of(1_920, 20_013_928, 4.29)
        .with(BICUBIC, &[imagenet("tv_in1k", BICUBIC, APACHE, 77.286)]),
    network!("inceptionv3", "inception_v3", "Inception v3.", INCEPTION, Architecture::InceptionV3 { counted: true })
        .of(2_048, 23_834_568, 5.71)
        .keras(Architecture::InceptionV3 { counted: false })
        .with(
            INCEPTION_299,
            &[imagenet("tf_in1k", INCEPTION_299, APACHE, 77.862), imagenet("tv_in1k", INCEPTION_299, APACHE, 77.434)],
        ),
    network!(
        "inceptionresnetv2",
        "inception_resnet_v2",
        "Inception-ResNet v2.",
        INCEPTION_RESNET,
        Architecture::InceptionResNetV2
    )
    .of(1_536, 55_843_464, 13.16)
    .keras(Architecture::InceptionResNetV2)
    .with(TENSORFLOW_299, &[imagenet("tf_in1k", TENSORFLOW_299, APACHE, 80.462)]),
    network!("xception", "legacy_xception", "Xception.", XCEPTION, Architecture::Xception { tensorflow: false })
        .of(2_048, 22_855_952, 8.36)
        .keras(Architecture::Xception { tensorflow: true })
        .with(TENSORFLOW_299, &[imagenet("tf_in1k", TENSORFLOW_299, APACHE, 79.04)]),
    network!("nasnetlarge", "nasnetalarge", "NASNet-A large.", NASNET, nasnet(true, false))
        .of(4_032, 88_753_150, 23.78)
        .keras(nasnet(true, true))
        .with(TENSORFLOW_331, &[imagenet("tf_in1k", TENSORFLOW_331, APACHE, 82.626)]),
    network!("nasnetmobile", "nasnetmobile", "NASNet-A mobile.", NASNET, nasnet(false, true))
        .of(1_056, 5_289_978, 0.56)
        .keras(nasnet(false, true))
        .with(HALF, &[]),
    network!("mobilenet", "mobilenetv1_100", "MobileNet v1.", MOBILENET, mobilenet(EfficientKind::Mobile1, 1.0, false))
        .of(1_024, 4_231_976, 0.57)
        .keras(mobilenet(EfficientKind::Mobile1, 1.0, true))
        .with(HALF, &[imagenet("ra4_e3600_r224_in1k", HALF, APACHE, 0.0)]),
    network!(
        "mobilenetv2",
        "mobilenetv2_100",
        "MobileNet v2.",
        MOBILENET,
        mobilenet(EfficientKind::Mobile2, 1.0, false)
    )
    .of(1_280, 3_504_872, 0.30)
    .keras(mobilenet(EfficientKind::Mobile2, 1.0, true))
    .with(BICUBIC, &[imagenet("ra_in1k", BICUBIC, APACHE, 72.976)]),
    network!(
        "mobilenetv2_035",
        "mobilenetv2_035",
        "MobileNet v2 of 0.35 times the channels.",
        MOBILENET,
        mobilenet(EfficientKind::Mobile2, 0.35, false)
    )
    .of(1_280, 1_677_128, 0.059)
    .with(BICUBIC, &[]),
    network!("efficientnet_b0", "tf_efficientnet_b0", "EfficientNet-B0.", EFFICIENTNET, efficientnet(1.0, 1.0))
        .of(1_280, 5_288_548, 0.39)
        .keras(efficientnet(1.0, 1.0))
        .with(BICUBIC, &[imagenet("aa_in1k", BICUBIC, APACHE, 76.834), noisy_student("ns_jft_in1k", BICUBIC, 78.67)]),
    network!("efficientnet_b1", "tf_efficientnet_b1", "EfficientNet-B1.", EFFICIENTNET, efficientnet(1.0, 1.1))
        .of(1_280, 7_794_184, 0.69)
        .keras(efficientnet(1.0, 1.1))
        .with(
            efficient(240, 0.882),
            &[
                imagenet("aa_in1k", efficient(240, 0.882), APACHE, 78.83),
                noisy_student("ns_jft_in1k", efficient(240, 0.882), 81.394),
            ],
        ),
    network!("efficientnet_b2", "tf_efficientnet_b2", "EfficientNet-B2.", EFFICIENTNET, efficientnet(1.1, 1.2))
        .of(1_408, 9_109_994, 0.99)
        .keras(efficientnet(1.1, 1.2))
        .with(
            efficient(260, 0.89),
            &[
                imagenet("aa_in1k", efficient(260, 0.89), APACHE, 80.084),
                noisy_student("ns_jft_in1k", efficient(260, 0.89), 82.378),
            ],
        ),
    network!("efficientnet_b3", "tf_efficientnet_b3", "EfficientNet-B3.", EFFICIENTNET, efficientnet(1.2, 1.4))
        .of(1_536, 12_233_232, 1.83)
        .keras(efficientnet(1.2, 1.4))
        .with(
            efficient(300, 0.904),
            &[
                imagenet("aa_in1k", efficient(300, 0.904), APACHE, 81.644),
                noisy_student("ns_jft_in1k", efficient(300, 0.904), 84.056),
            ],
        ),
    network!("efficientnet_b4", "tf_efficientnet_b4", "EfficientNet-B4.", EFFICIENTNET, efficientnet(1.4, 1.8))
        .of(1_792, 19_341_616, 4.39)
        .keras(efficientnet(1.4, 1.8))
        .with(
            efficient(380, 0.922),
            &[
                imagenet("aa_in1k", efficient(380, 0.922), APACHE, 83.018),
                noisy_student("ns_jft_in1k", efficient(380, 0.922), 85.162),
            ],
        ),
    network!("efficientnet_b5", "tf_efficientnet_b5", "EfficientNet-B5.", EFFICIENTNET, efficientnet(1.6, 2.2))
        .of(2_048, 30_389_784, 10.27)
        .keras(efficientnet(1.6, 2.2))
        .with(
            efficient(456, 0.934),
            &[
                imagenet("aa_in1k", efficient(456, 0.934), APACHE, 83.688),
                noisy_student("ns_jft_in1k", efficient(456, 0.934), 86.088),
            ],
        ),
    network!("efficientnet_b6", "tf_efficientnet_b6", "EfficientNet-B6.", EFFICIENTNET, efficientnet(1.8, 2.6))
        .of(2_304, 43_040_704, 19.07)
        .keras(efficientnet(1.8, 2.6))
        .with(
            efficient(528, 0.942),
            &[
                imagenet("aa_in1k", efficient(528, 0.942), APACHE, 84.116),
                noisy_student("ns_jft_in1k", efficient(528, 0.942), 86.456),
            ],
        ),
    network!("efficientnet_b7", "tf_efficientnet_b7", "EfficientNet-B7.", EFFICIENTNET, efficientnet(2.0, 3.1))
        .of(2_560, 66_347_960, 37.75)
        .keras(efficientnet(2.0, 3.1))
        .with(
            efficient(600, 0.949),
            &[
                imagenet("aa_in1k", efficient(600, 0.949), APACHE, 84.414),
                noisy_student("ns_jft_in1k", efficient(600, 0.949), 86.84),
            ],
        ),
    network!("efficientnet_l2", "tf_efficientnet_l2", "EfficientNet-L2.", EFFICIENTNET, efficientnet(4.3, 5.3))
        .of(5_504, 480_309_308, 475.70)
        .keras(efficientnet(4.3, 5.3))
        .with(
            efficient(800, 0.96),
            &[
                noisy_student("ns_jft_in1k", efficient(800, 0.96), 88.352),
                noisy_student("ns_jft_in1k_475", efficient(475, 0.936), 88.234),
            ],
        ),
    network!(
        "efficientnet_lite0",
        "tf_efficientnet_lite0",
        "EfficientNet-Lite0: no squeeze-and-excitation, ReLU6.",
        EFFICIENTNET,
        efficientnet_lite(1.0, 1.0)
    )
    .of(1_280, 4_652_008, 0.39)
    .with(HALF, &[imagenet("in1k", HALF, APACHE, 74.83)]),
    network!(
        "efficientnet_lite1",
        "tf_efficientnet_lite1",
        "EfficientNet-Lite1: no squeeze-and-excitation, ReLU6.",
        EFFICIENTNET,
        efficientnet_lite(1.0, 1.1)
    )
    .of(1_280, 5_416_680, 0.60)
    .with(lite(240, 0.882), &[imagenet("in1k", lite(240, 0.882), APACHE, 76.644)]),
    network!(
        "efficientnet_lite2",
        "tf_efficientnet_lite2",
        "EfficientNet-Lite2: no squeeze-and-excitation, ReLU6.",
        EFFICIENTNET,
        efficientnet_lite(1.1, 1.2)
    )
    .of(1_280, 6_092_072, 0.86)
    .with(lite(260, 0.89), &[imagenet("in1k", lite(260, 0.89), APACHE, 77.464)]),
    network!(
        "efficientnet_lite3",
        "tf_efficientnet_lite3",
        "EfficientNet-Lite3: no squeeze-and-excitation, ReLU6.",
        EFFICIENTNET,
        efficientnet_lite(1.2, 1.4)
    )
    .of(1_280, 8_197_096, 1.61)
    .with(lite_bilinear(300, 0.904), &[imagenet("in1k", lite_bilinear(300, 0.904), APACHE, 79.808)]),
    network!(
        "efficientnet_lite4",
        "tf_efficientnet_lite4",
        "EfficientNet-Lite4: no squeeze-and-excitation, ReLU6.",
        EFFICIENTNET,
        efficientnet_lite(1.4, 1.8)
    )
    .of(1_280, 13_006_568, 3.94)
    .with(lite_bilinear(380, 0.92), &[imagenet("in1k", lite_bilinear(380, 0.92), APACHE, 81.532)]),
    network!(
        "vit_b16",
        "vit_base_patch16_224",
        "Vision transformer, base, patches of 16 pixels, 224 pixels a side.",
        VIT,
        vit_base(16)
    )
    .of(768, 86_567_656, 17.56)
    .with(
        VIT_224,
        &[
            imagenet("orig_in21k_ft_in1k", VIT_224, APACHE, 81.786),
            imagenet("augreg_in21k_ft_in1k", VIT_224, APACHE, 84.532),
            imagenet21k("orig_in21k", VIT_224, 0),
            imagenet21k("augreg_in21k", VIT_224, 21_843),
        ],
    ),
    network!(
        "vit_b16_384",
        "vit_base_patch16_384",
        "Vision transformer, base, patches of 16 pixels, 384 pixels a side.",
        VIT,
        vit_base(16)
    )
    .of(768, 86_859_496, 55.48)
    .with(
        VIT_384,
        &[
            imagenet("orig_in21k_ft_in1k", VIT_384, APACHE, 84.2),
            imagenet("augreg_in21k_ft_in1k", VIT_384, APACHE, 85.996),
        ],
    ),
    network!(
        "vit_b32",
        "vit_base_patch32_224",
        "Vision transformer, base, patches of 32 pixels, 224 pixels a side.",
        VIT,
        vit_base(32)
    )
    .of(768, 88_224_232, 4.41)
    .with(
        VIT_224,
        &[
            imagenet("augreg_in21k_ft_in1k", VIT_224, APACHE, 80.716),
            imagenet21k("orig_in21k", VIT_224, 0),
            imagenet21k("augreg_in21k", VIT_224, 21_843),
        ],
    ),
    network!(
        "vit_b32_384",
        "vit_base_patch32_384",
        "Vision transformer, base, patches of 32 pixels, 384 pixels a side.",
        VIT,
        vit_base(32)
    )
    .of(768, 88_297_192, 13.04)
    .with(VIT_384, &[imagenet("augreg_in21k_ft_in1k", VIT_384, APACHE, 83.35)]),
    network!(
        "vit_l16",
        "vit_large_patch16_224",
        "Vision transformer, large, patches of 16 pixels, 224 pixels a side.",
        VIT,
        vit_large(16)
    )
    .of(1_024, 304_326_632, 61.55)
    .with(
        VIT_224,
        &[
            imagenet("augreg_in21k_ft_in1k", VIT_224, APACHE, 85.834),
            imagenet21k("orig_in21k", VIT_224, 0),
            imagenet21k("augreg_in21k", VIT_224, 21_843),
        ],
    ),
    network!(
        "vit_l16_384",
        "vit_large_patch16_384",
        "Vision transformer, large, patches of 16 pixels, 384 pixels a side.",
        VIT,
        vit_large(16)
    )
    .of(1_024, 304_715_752, 191.07)
    .with(VIT_384, &[imagenet("augreg_in21k_ft_in1k", VIT_384, APACHE, 87.084)]),
    network!(
        "vit_l32",
        "vit_large_patch32_224",
        "Vision transformer, large, patches of 32 pixels, 224 pixels a side.",
        VIT,
        vit_large(32)
    )
    .of(1_024, 306_535_400, 15.38)
    .with(VIT_224, &[imagenet21k("orig_in21k", VIT_224, 0)]),
    network!(
        "vit_l32_384",
        "vit_large_patch32_384",
        "Vision transformer, large, patches of 32 pixels, 384 pixels a side.",
        VIT,
        vit_large(32)
    )
    .of(1_024, 306_632_680, 45.28)
    .with(VIT_384, &[imagenet("orig_in21k_ft_in1k", VIT_384, APACHE, 81.51)]),
];
