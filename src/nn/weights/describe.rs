//! Whose weights a file holds, judged by the names and shapes in it.
//!
//! Exact for the networks we run, so that a ResNet-34's file is never half-loaded into a ResNet-18; a hint for others.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;

use crate::catalog::backbones::{Backbone, Card};
use crate::nn::{Network, slots};

/// Shapes by name.
pub(super) type Shapes = BTreeMap<String, Vec<usize>>;

/// timm's name of the network that has these tensors; a few words where none of ours does. Where several have tensors
/// of these names, it is the one with the most of these shapes, and among equals the one that was asked for.
pub(super) fn describe(shapes: &Shapes, wanted: &Card) -> String {
    let same = |card: &Card| card.timm == wanted.timm;
    let alike = Backbone::all().filter_map(|backbone| {
        let card = backbone.card();
        Some((alike(backbone, shapes)?, same(card), card.timm))
    });
    if let Some((_, _, timm)) = alike.max_by_key(|(count, asked, _)| (*count, *asked)) {
        return timm.to_owned();
    }
    let has = |part: &str| shapes.keys().any(|name| name.contains(part));
    let begins = |prefix: &str| shapes.keys().any(|name| name.starts_with(prefix));
    for prefix in ["module.", "model.", "state_dict.", "backbone."] {
        if !shapes.is_empty() && shapes.keys().all(|name| name.starts_with(prefix)) {
            return format!("a model saved with `{prefix}` before every name");
        }
    }
    let family = if shapes.contains_key("cls_token") {
        "another vision transformer"
    } else if begins("blocks.") && shapes.contains_key("conv_stem.weight") {
        "another MobileNet or EfficientNet"
    } else if begins("features.denseblock1.") {
        "another DenseNet"
    } else if begins("features.0.") {
        "a VGG or another torchvision network"
    } else if has(".se") && begins("layer1.") {
        "another SE-ResNet"
    } else if begins("layer1.") && shapes.contains_key("conv1.weight") {
        "another ResNet"
    } else {
        return match shapes.keys().next() {
            Some(name) => format!("no network known here (its first tensor is `{name}`)"),
            None => "an empty file".to_owned(),
        };
    };
    family.to_owned()
}

/// How many tensors have the shape of the network's, if the names are the network's, its head's apart.
fn alike(backbone: Backbone, shapes: &Shapes) -> Option<usize> {
    let head = format!("{}.", backbone.card().head.name);
    let counted = |name: &&String| !name.starts_with(&head) && !name.ends_with(".num_batches_tracked");
    let theirs: BTreeSet<&String> = shapes.keys().filter(counted).collect();
    let device = Device::flex();
    let forms = vec![Some(Network::new(backbone, 1, 0, &device)), Network::keras(backbone, 1, 0, &device)];
    let counts = forms.into_iter().flatten().filter_map(|network| {
        let ours: Shapes =
            slots(&network).into_iter().filter(|slot| !slot.in_head).map(|slot| (slot.name, slot.shape)).collect();
        let equal = theirs.len() == ours.len() && theirs.iter().all(|name| ours.contains_key(*name));
        equal.then(|| ours.iter().filter(|(name, shape)| shapes.get(*name) == Some(*shape)).count())
    });
    counts.max()
}
