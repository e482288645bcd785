//! How deep in its network each parameter lies, as timm's `group_matcher` says: the stem is 0, the head the deepest.
//!
//! Layer-wise decay of the learning rate goes by it (Clark et al. 2020, Bao et al. 2021): depths come from the whole
//! list of parameters, so freezing some shifts no other's.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{Kind, Slot, hash};
use super::{Network, slots};
use crate::catalog::backbones::Architecture;

/// What timm sorts parameters by; equal ones are one layer.
type Place = Vec<usize>;

/// At the end of a place: part of the layer before it.
const BEFORE: usize = 99_999;

/// Every parameter in the order of the forward pass, and its depth.
#[must_use]
pub fn depths(network: &Network) -> Vec<(Slot, usize)> {
    let architecture = network.card().architecture;
    let parameters = slots(network).into_iter().filter(|slot| slot.kind == Kind::Parameter);
    let places: Vec<(Slot, Place)> = parameters
        .map(|slot| {
            let place = (!slot.in_head).then(|| place(&architecture, &slot.name)).flatten();
            (slot, place.unwrap_or_else(|| vec![usize::MAX]))
        })
        .collect();
    let mut numbers = BTreeMap::new();
    let mut next = 0;
    for place in places.iter().map(|(_, place)| place).collect::<BTreeSet<_>>() {
        if place.last() == Some(&BEFORE) && next > 0 {
            numbers.insert(place, next - 1);
        } else {
            numbers.insert(place, next);
            next += 1;
        }
    }
    places.iter().map(|(slot, place)| (slot.clone(), numbers.get(place).copied().unwrap_or(0))).collect()
}

/// What each parameter's learning rate is multiplied by, by the parameter's identity: 1 for the deepest layer, and
/// `decay` times less for each layer before it.
#[must_use]
pub fn rate_scales(network: &Network, decay: f64) -> BTreeMap<u64, f64> {
    let depths = depths(network);
    let deepest = depths.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
    let scale = |depth: usize| decay.powi(i32::try_from(deepest - depth).unwrap_or(i32::MAX));
    depths.iter().map(|(slot, depth)| (hash(&slot.name), scale(*depth))).collect()
}

/// Where a parameter of the backbone lies; `None` where no rule says it: at the end, as the head.
fn place(architecture: &Architecture, name: &str) -> Option<Place> {
    let stem = |parts: &[&str]| parts.iter().any(|part| name.starts_with(part)).then(|| vec![0]);
    let blocks = |patterns: &[&str]| patterns.iter().find_map(|pattern| numbers(name, pattern)).map(|at| after(1, at));
    let end = |parts: &[&str], last: usize| parts.iter().any(|part| name.starts_with(part)).then(|| vec![1, last]);
    match architecture {
        Architecture::ResNetV2(_) => {
            stem(&["stem"]).or_else(|| blocks(&["stages.#.blocks.#"])).or_else(|| end(&["norm"], BEFORE))
        }
        Architecture::SeNet(_) => stem(&["layer0"]).or_else(|| blocks(&["layer#.#"])),
        Architecture::Vgg(_) => stem(&["features.0."]).or_else(|| blocks(&["features.#"])),
        Architecture::DenseNet(_) => stem(&["features.conv0", "features.norm0"])
            .or_else(|| blocks(&["features.denseblock#.denselayer#"]))
            .or_else(|| numbers(name, "features.transition#").map(|at| after(1, at)).map(before)),
        Architecture::ResNet(_) => stem(&["conv1", "bn1", "bn_data"]).or_else(|| blocks(&["layer#.#"])),
        Architecture::Efficient(_) => stem(&["conv_stem", "bn1"])
            .or_else(|| blocks(&["blocks.#.#"]))
            .or_else(|| end(&["conv_head", "bn2"], BEFORE)),
        Architecture::InceptionV3 { .. } => stem(&["Conv2d_1", "Conv2d_2"])
            .or_else(|| name.starts_with("Conv2d_").then(|| vec![1]))
            .or_else(|| letters(name, "Mixed_")),
        Architecture::InceptionResNetV2 => stem(&["conv2d_1", "conv2d_2"])
            .or_else(|| (name.starts_with("conv2d_3") || name.starts_with("conv2d_4")).then(|| vec![1]))
            .or_else(|| (name.starts_with("conv2d_7") || name.starts_with("block8")).then(|| vec![8]))
            .or_else(|| letters(name, "mixed_"))
            .or_else(|| numbers(name, "repeat.#").map(|at| after(5, after(2, at))))
            .or_else(|| numbers(name, "repeat_1.#").map(|at| after(6, after(2, at))))
            .or_else(|| numbers(name, "repeat_2.#").map(|at| after(7, after(2, at)))),
        Architecture::Xception { .. } => stem(&["conv1", "conv2", "bn1", "bn2"])
            .or_else(|| blocks(&["block#"]))
            .or_else(|| end(&["conv3", "conv4", "bn3", "bn4"], 99)),
        Architecture::NasNet(shape) => stem(&["conv0", "cell_stem"]).or_else(|| blocks(&["cell_#"])).or_else(|| {
            numbers(name, "reduction_cell_#").map(|at| vec![1, shape.cells * (at.first().unwrap_or(&0) + 1)])
        }),
        Architecture::VisionTransformer(_) => stem(&["cls_token", "pos_embed", "patch_embed"])
            .or_else(|| blocks(&["blocks.#"]))
            .or_else(|| end(&["norm"], BEFORE)),
    }
}

/// The end of the layer before.
fn before(mut place: Place) -> Place {
    place.push(BEFORE);
    place
}

fn after(first: usize, rest: Place) -> Place {
    std::iter::once(first).chain(rest).collect()
}

/// The numbers that stand for the `#` of a pattern that a name begins with.
fn numbers(name: &str, pattern: &str) -> Option<Place> {
    let mut found = Vec::new();
    let mut rest = name;
    let mut parts = pattern.split('#');
    rest = rest.strip_prefix(parts.next()?)?;
    for part in parts {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        found.push(rest.get(..end)?.parse().ok()?);
        rest = rest.get(end..)?.strip_prefix(part)?;
    }
    Some(found)
}

/// A number and a letter after a prefix, as in `Mixed_6b`.
fn letters(name: &str, prefix: &str) -> Option<Place> {
    let rest = name.strip_prefix(prefix)?.as_bytes();
    let [number @ b'0'..=b'9', letter @ b'a'..=b'z', ..] = rest else { return None };
    Some(vec![usize::from(number - b'0'), usize::from(letter - b'a')])
}
