//! What the Keras libraries call a layer that timm calls otherwise.
//!
//! A layer to which its library gave no name carries Keras's counter (`conv2d_7`), which depends on what else the
//! program had built; such layers come in the order of their numbers, which is that of timm's forward pass.

use crate::catalog::backbones::{Architecture, EfficientKind};

/// Names the layers of a network, asked for in the order of the forward pass.
pub(super) struct Namer {
    architecture: Architecture,
    /// Blocks of a `MobileNet` seen so far, the last one's timm name, and how many convolutions of VGG.
    count: usize,
    last: String,
}

impl Namer {
    pub(super) fn new(architecture: Architecture) -> Self {
        Self { architecture, count: 0, last: String::new() }
    }

    /// The library's name for timm's `layer`; `None` where it gave none.
    pub(super) fn name(&mut self, layer: &str) -> Option<String> {
        let parts: Vec<&str> = layer.split('.').collect();
        match self.architecture {
            Architecture::ResNet(_) => resnext(&parts),
            Architecture::ResNetV2(_) => resnet(&parts),
            Architecture::SeNet(_) | Architecture::InceptionV3 { .. } | Architecture::VisionTransformer(_) => None,
            Architecture::Vgg(stages) => {
                if let ["pre_logits", name] = parts.as_slice() {
                    return Some((*name).to_owned());
                }
                self.count += 1;
                let mut left = self.count;
                let stage = stages.iter().position(|count| {
                    let here = left <= *count;
                    left -= if here { 0 } else { *count };
                    here
                });
                stage.map(|stage| format!("block{}_conv{left}", stage + 1))
            }
            Architecture::DenseNet(_) => densenet(&parts),
            Architecture::Efficient(shape) => match shape.kind {
                EfficientKind::EfficientNet | EfficientKind::Lite => efficientnet(&parts),
                EfficientKind::Mobile1 => {
                    let number = self.block(&parts);
                    mobilenet(&parts, number)
                }
                EfficientKind::Mobile2 => {
                    let number = self.block(&parts);
                    mobilenet_v2(&parts, number)
                }
            },
            Architecture::InceptionResNetV2 => inception_resnet(&parts),
            Architecture::Xception { .. } => xception(&parts),
            Architecture::NasNet(shape) => nasnet(&parts, shape.cells),
        }
    }

    /// The number of the block that a layer is part of, from 1 over all stages.
    fn block(&mut self, parts: &[&str]) -> usize {
        if let ["blocks", stage, index, ..] = parts {
            let block = format!("{stage}.{index}");
            if block != self.last {
                self.count += 1;
                self.last = block;
            }
        }
        self.count
    }
}

/// Keras counts from 1 what timm counts from 0.
fn next(index: &str) -> usize {
    index.parse::<usize>().map_or(0, |index| index + 1)
}

/// qubvel's ResNets and the two small SE-ResNets: `stages.0.blocks.1.conv2`.
fn resnet(parts: &[&str]) -> Option<String> {
    Some(match parts {
        ["bn_data"] => "bn_data".to_owned(),
        ["stem", "conv"] => "conv0".to_owned(),
        ["stem", "norm"] => "bn0".to_owned(),
        ["norm"] => "bn1".to_owned(),
        ["stages", stage, "blocks", block, "downsample", "conv"] => {
            format!("stage{}_unit{}_sc", next(stage), next(block))
        }
        ["stages", stage, "blocks", block, leaf] => {
            format!("stage{}_unit{}_{}", next(stage), next(block), leaf.replace("norm", "bn"))
        }
        _ => return None,
    })
}

/// qubvel's `ResNeXt`s: `layer1.0.conv2`, whose slices have no names.
fn resnext(parts: &[&str]) -> Option<String> {
    Some(match parts {
        ["bn_data"] => "bn_data".to_owned(),
        ["conv1"] => "conv0".to_owned(),
        ["bn1"] => "bn0".to_owned(),
        [_, _, "conv2"] => return None,
        [stage, block, rest @ ..] => {
            let stage = stage.strip_prefix("layer")?;
            let leaf = match rest {
                ["downsample", "0"] => "sc",
                ["downsample", _] => "sc_bn",
                [leaf] => *leaf,
                _ => return None,
            };
            format!("stage{stage}_unit{}_{leaf}", next(block))
        }
        _ => return None,
    })
}

fn densenet(parts: &[&str]) -> Option<String> {
    let after = |name: &str, prefix: &str| name.strip_prefix(prefix).map(next);
    Some(match parts {
        [_, "conv0"] => "conv1/conv".to_owned(),
        [_, "norm0"] => "conv1/bn".to_owned(),
        [_, "norm5"] => "bn".to_owned(),
        [_, transition, leaf] => {
            let leaf = if *leaf == "norm" { "bn" } else { leaf };
            format!("pool{}_{leaf}", after(transition, "transition")?)
        }
        [_, block, layer, leaf] => {
            let leaf = match *leaf {
                "norm1" => "0_bn",
                "conv1" => "1_conv",
                "norm2" => "1_bn",
                _ => "2_conv",
            };
            format!("conv{}_block{}_{leaf}", after(block, "denseblock")?, layer.strip_prefix("denselayer")?)
        }
        _ => return None,
    })
}

fn efficientnet(parts: &[&str]) -> Option<String> {
    Some(match parts {
        ["conv_stem"] => "stem_conv".to_owned(),
        ["bn1"] => "stem_bn".to_owned(),
        ["conv_head"] => "top_conv".to_owned(),
        ["bn2"] => "top_bn".to_owned(),
        ["blocks", stage, block, rest @ ..] => {
            // The first stage does not expand, so that its norms are counted otherwise.
            let leaf = match (*stage == "0", rest) {
                (_, ["se", "conv_reduce"]) => "se_reduce",
                (_, ["se", "conv_expand"]) => "se_expand",
                (_, ["conv_dw"]) => "dwconv",
                (true, ["bn1"]) | (false, ["bn2"]) => "bn",
                (true, ["conv_pw"]) | (false, ["conv_pwl"]) => "project_conv",
                (true, ["bn2"]) | (false, ["bn3"]) => "project_bn",
                (false, ["conv_pw"]) => "expand_conv",
                (false, ["bn1"]) => "expand_bn",
                _ => return None,
            };
            let letter = block.parse().ok().and_then(|block: u8| b'a'.checked_add(block)).map(char::from)?;
            format!("block{}{letter}_{leaf}", next(stage))
        }
        _ => return None,
    })
}

fn mobilenet(parts: &[&str], number: usize) -> Option<String> {
    Some(match parts {
        ["conv_stem"] => "conv1".to_owned(),
        ["bn1"] => "conv1_bn".to_owned(),
        [.., "conv_dw"] => format!("conv_dw_{number}"),
        [.., "bn1"] => format!("conv_dw_{number}_bn"),
        [.., "conv_pw"] => format!("conv_pw_{number}"),
        [.., "bn2"] => format!("conv_pw_{number}_bn"),
        _ => return None,
    })
}

fn mobilenet_v2(parts: &[&str], number: usize) -> Option<String> {
    let leaf = match (parts, number) {
        (["conv_stem"], _) => return Some("Conv1".to_owned()),
        (["bn1"], _) => return Some("bn_Conv1".to_owned()),
        (["conv_head"], _) => return Some("Conv_1".to_owned()),
        (["bn2"], _) => return Some("Conv_1_bn".to_owned()),
        ([.., "conv_dw"], _) => "depthwise",
        ([.., "bn1"], 1) | ([.., "bn2"], 2..) => "depthwise_BN",
        ([.., "conv_pw"], 1) | ([.., "conv_pwl"], _) => "project",
        ([.., "bn2"], 1) | ([.., "bn3"], _) => "project_BN",
        ([.., "conv_pw"], _) => "expand",
        ([.., "bn1"], _) => "expand_BN",
        _ => return None,
    };
    Some(if number == 1 { format!("expanded_conv_{leaf}") } else { format!("block_{}_{leaf}", number - 1) })
}

fn inception_resnet(parts: &[&str]) -> Option<String> {
    Some(match parts {
        ["conv2d_7b", "conv"] => "conv_7b".to_owned(),
        ["conv2d_7b", _] => "conv_7b_bn".to_owned(),
        ["block8", "conv2d"] => "block8_10_conv".to_owned(),
        [repeat, index, "conv2d"] => {
            let kind = match *repeat {
                "repeat" => 35,
                "repeat_1" => 17,
                _ => 8,
            };
            format!("block{kind}_{}_conv", next(index))
        }
        _ => return None,
    })
}

fn xception(parts: &[&str]) -> Option<String> {
    let end = |name: &str| if name.starts_with("bn") { "_bn" } else { "" };
    Some(match parts {
        ["conv1" | "bn1"] => format!("block1_conv1{}", end(parts[0])),
        ["conv2" | "bn2"] => format!("block1_conv2{}", end(parts[0])),
        ["conv3", _] | ["bn3"] => format!("block14_sepconv1{}", end(parts[0])),
        ["conv4", _] | ["bn4"] => format!("block14_sepconv2{}", end(parts[0])),
        [block, "rep", place, rest @ ..] => {
            let number = next(block.strip_prefix("block")?);
            let place: usize = place.parse().ok()?;
            format!("block{number}_sepconv{}{}", place / 3 + 1, if rest.is_empty() { "_bn" } else { "" })
        }
        _ => return None,
    })
}

fn nasnet(parts: &[&str], cells: usize) -> Option<String> {
    let [cell, rest @ ..] = parts else { return None };
    let (kind, id) = match *cell {
        "conv0" => return Some(if rest == ["conv"] { "stem_conv1" } else { "stem_bn1" }.to_owned()),
        "cell_stem_0" => ("reduction", "stem_1".to_owned()),
        "cell_stem_1" => ("reduction", "stem_2".to_owned()),
        "reduction_cell_0" => ("reduction", format!("reduce_{cells}")),
        "reduction_cell_1" => ("reduction", format!("reduce_{}", 2 * cells)),
        // After the first reduction Keras counts one further.
        _ => {
            let number: usize = cell.strip_prefix("cell_")?.parse().ok()?;
            ("normal", (number + usize::from(number >= cells)).to_string())
        }
    };
    Some(match rest {
        ["conv_1x1", leaf] => format!("{kind}_{leaf}_1_{id}"),
        ["conv_prev_1x1", "conv"] => format!("adjust_conv_projection_{id}"),
        ["path_1", _] => format!("adjust_conv_1_{id}"),
        ["path_2", _] => format!("adjust_conv_2_{id}"),
        ["conv_prev_1x1", _] | ["final_path_bn"] => format!("adjust_bn_{id}"),
        [part, inner, ..] => {
            let (number, side) = part.strip_prefix("comb_iter_")?.split_once('_')?;
            // A reduction's fifth pair is the fourth to have a convolution, and is called by that.
            let number = if kind == "reduction" && number == "4" { 4 } else { next(number) };
            let place = inner.rsplit('_').next()?;
            let bn = if inner.starts_with("bn") { "bn_" } else { "" };
            format!("separable_conv_{place}_{bn}{kind}_{side}{number}_{id}")
        }
        _ => return None,
    })
}
