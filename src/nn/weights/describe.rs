//! Whose weights a file holds, judged by the names and shapes in it.
//!
//! Exact for the networks we run, so that a ResNet-34's file is never half-loaded into a ResNet-18; a hint for others.

use std::collections::{BTreeMap, BTreeSet};

/// Shapes by name.
pub(super) type Shapes = BTreeMap<String, Vec<usize>>;

/// timm's name where it is certain, else a few words.
pub(super) fn describe(shapes: &Shapes) -> String {
    let has = |part: &str| shapes.keys().any(|name| name.contains(part));
    let begins = |prefix: &str| shapes.keys().any(|name| name.starts_with(prefix));
    for prefix in ["module.", "model.", "state_dict.", "backbone."] {
        if !shapes.is_empty() && shapes.keys().all(|name| name.starts_with(prefix)) {
            return format!("a model saved with `{prefix}` before every name");
        }
    }
    if begins("layer1.") && shapes.contains_key("conv1.weight") && !has(".se") {
        return resnet(shapes, has(".conv3."));
    }
    if begins("blocks.") && shapes.contains_key("conv_stem.weight") {
        return efficient(shapes, has(".se."));
    }
    let family = if shapes.contains_key("cls_token") {
        "a vision transformer"
    } else if begins("features.denseblock1.") {
        "a DenseNet"
    } else if begins("features.0.") {
        "a VGG or another torchvision network"
    } else if has(".se") && begins("layer1.") {
        "an SE-ResNet"
    } else {
        return match shapes.keys().next() {
            Some(name) => format!("no network known here (its first tensor is `{name}`)"),
            None => "an empty file".to_owned(),
        };
    };
    family.to_owned()
}

fn resnet(shapes: &Shapes, bottleneck: bool) -> String {
    let stages = ["layer1.", "layer2.", "layer3.", "layer4."].map(|stage| members(shapes, stage, 1));
    match (bottleneck, stages) {
        (false, [2, 2, 2, 2]) => "resnet18".to_owned(),
        (false, [3, 4, 6, 3]) => "resnet34".to_owned(),
        (true, [3, 4, 6, 3]) => "resnet50".to_owned(),
        (true, [3, 4, 23, 3]) => "resnet101".to_owned(),
        (true, [3, 8, 36, 3]) => "resnet152".to_owned(),
        (_, [a, b, c, d]) => format!("a ResNet with {a}, {b}, {c} and {d} blocks"),
    }
}

fn efficient(shapes: &Shapes, excites: bool) -> String {
    let stem = shapes.get("conv_stem.weight").and_then(|shape| shape.first()).copied().unwrap_or(0);
    let blocks = members(shapes, "blocks.", 2);
    match (excites, stem, blocks) {
        (false, 32, 16) => "tf_efficientnet_lite0".to_owned(),
        (true, 32, 16) => "efficientnet_b0".to_owned(),
        (false, 32, 17) => "mobilenetv2_100".to_owned(),
        (false, _, _) => format!("a MobileNet or EfficientNet-Lite with {blocks} blocks and a stem of {stem} channels"),
        (true, _, _) => format!("an EfficientNet with {blocks} blocks and a stem of {stem} channels"),
    }
}

/// Blocks under a prefix: how many different indices (of so many parts) follow it.
fn members(shapes: &Shapes, prefix: &str, parts: usize) -> usize {
    let index = |name: &String| -> Option<Vec<String>> {
        Some(name.strip_prefix(prefix)?.split('.').take(parts).map(str::to_owned).collect())
    };
    shapes.keys().filter_map(index).collect::<BTreeSet<_>>().len()
}
