//! The Keras libraries' weights -> a network's, under timm's names and in PyTorch's layout.
//!
//! Read are `.h5` files of qubvel's `classification_models` and `efficientnet` and of `keras.applications`, for each
//! network whose row in the catalog says how Keras builds it. What comes out is that form of the network.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;

use crate::catalog::backbones::{Architecture, Backbone, EfficientKind};
use crate::nn::{Network, Slot, slots};
use crate::study::Normalize;

use super::hdf5::{self, Layer};
use super::keras_names::Namer;
use super::problem::{Named, WeightsError};
use super::torch::Tensor;

/// The last layer as some library calls it, the classifier's own name first: VGG's `fc1` is another.
const HEADS: [&str; 6] = ["predictions", "probs", "Logits", "fc1000", "conv_preds", "fc1"];

/// The tensors of a file; `backbone` is what it must hold, else it is found out.
pub(super) fn import(
    bytes: &[u8],
    backbone: Option<Backbone>,
) -> Result<(Backbone, BTreeMap<String, Tensor>), WeightsError> {
    let layers = hdf5::read(bytes)?;
    if let Some(backbone) = backbone {
        return Ok((backbone, pair(backbone, &layers)?));
    }
    let mut known = Backbone::all().filter(|backbone| backbone.card().keras.is_some());
    known.find_map(|backbone| Some((backbone, pair(backbone, &layers).ok()?))).ok_or_else(|| {
        let first = layers.keys().next().map_or("", String::as_str);
        let looks_like = format!(
            "none of the Keras libraries' networks that are known here (its first layer is `{first}`); name the backbone to be told what differs"
        );
        WeightsError::OtherModel { wanted: "a network of the catalog".to_owned(), looks_like }
    })
}

/// How the library prepares images for a network. Its channels are red, green and blue here: [`pair`] turns the kernel of
/// a network that wants them the other way round.
pub(super) fn normalize(backbone: Backbone) -> Normalize {
    let card = backbone.card();
    match card.keras.unwrap_or(card.architecture) {
        Architecture::ResNet(shape) if shape.input_norm => Normalize::Bytes,
        Architecture::ResNetV2(shape) if shape.input_norm => Normalize::Bytes,
        Architecture::Vgg(_) => Normalize::Caffe,
        Architecture::DenseNet(_) | Architecture::SeNet(_) => Normalize::Imagenet,
        Architecture::Efficient(shape) if shape.kind == EfficientKind::EfficientNet => Normalize::Imagenet,
        Architecture::ResNet(_)
        | Architecture::ResNetV2(_)
        | Architecture::Efficient(_)
        | Architecture::InceptionV3 { .. }
        | Architecture::InceptionResNetV2
        | Architecture::Xception { .. }
        | Architecture::NasNet(_)
        | Architecture::VisionTransformer(_) => Normalize::Half,
    }
}

/// What of a layer becomes a slot, and the layers that are to be read for it.
struct Pairs<'a> {
    layers: &'a BTreeMap<String, Layer>,
    /// Layers with nothing but Keras's counter for a name, by what they are, in order.
    counted: BTreeMap<&'static str, Vec<&'a str>>,
    used: BTreeSet<&'a str>,
}

fn pair(backbone: Backbone, layers: &BTreeMap<String, Layer>) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let card = backbone.card();
    let unknown = || WeightsError::NotKeras {
        reason: format!("the Keras libraries' weights for {} fit no network here", card.name),
    };
    let architecture = card.keras.ok_or_else(unknown)?;
    let mut pairs = Pairs { layers, counted: counted(layers), used: BTreeSet::new() };
    let network = Network::keras(backbone, 1, 0, &Device::flex()).ok_or_else(unknown)?;
    let mut namer = Namer::new(architecture);
    let (mut missing, mut misshapen, mut tensors) = (Named::default(), Named::default(), BTreeMap::new());
    let slots = slots(&network);
    for group in by_layer(&slots, architecture) {
        let in_head = group.iter().any(|slot| slot.in_head);
        let name = layer_of(&group[0].name);
        let theirs = if in_head { pairs.head() } else { pairs.find(namer.name(name), &group) };
        let Some(theirs) = theirs else {
            if !in_head {
                missing.add(name);
            }
            continue;
        };
        for slot in group {
            match value(slot, in_head, &theirs) {
                Ok(tensor) => {
                    tensors.insert(slot.name.clone(), tensor);
                }
                Err(Some(shape)) => misshapen.add(format!("{}: {shape:?} instead of {:?}", slot.name, slot.shape)),
                Err(None) => missing.add(&slot.name),
            }
        }
    }
    let mut unexpected = Named::default();
    layers.keys().filter(|name| !pairs.used.contains(name.as_str())).for_each(|name| unexpected.add(name));
    if missing.count + misshapen.count + unexpected.count > 0 {
        return Err(WeightsError::Mismatch { model: card.name.to_owned(), missing, unexpected, misshapen });
    }
    if let Architecture::Vgg(_) = architecture {
        reverse_colours(&mut tensors);
    }
    Ok(tensors)
}

/// The name without `.weight` and the like.
fn layer_of(slot: &str) -> &str {
    slot.rsplit_once('.').map_or(slot, |(layer, _)| layer)
}

/// The slots of each layer, layers in the order in which the library makes them.
fn by_layer(slots: &[Slot], architecture: Architecture) -> Vec<Vec<&Slot>> {
    let mut groups: Vec<Vec<&Slot>> = Vec::new();
    for slot in slots {
        match groups.last_mut() {
            Some(group) if layer_of(&group[0].name) == layer_of(&slot.name) => group.push(slot),
            Some(_) | None => groups.push(vec![slot]),
        }
    }
    if let Architecture::SeNet(_) = architecture {
        // A block's projection is made before its gate.
        let block = |group: &[&Slot]| group[0].name.split('.').take(2).collect::<Vec<_>>().join(".");
        let mut start = 0;
        while start < groups.len() {
            let name = block(&groups[start]);
            let count = groups[start..].iter().take_while(|group| block(group) == name).count();
            groups[start..start + count].sort_by_key(|group| group[0].name.contains(".se_module."));
            start += count;
        }
    }
    groups
}

/// Layers that Keras numbered: `conv2d`, `conv2d_1`.
fn counted(layers: &BTreeMap<String, Layer>) -> BTreeMap<&'static str, Vec<&str>> {
    let kinds = ["conv2d", "batch_normalization", "dense"];
    let of = |kind: &'static str| {
        let mut found: Vec<(usize, &str)> = layers
            .keys()
            .filter_map(|name| match name.strip_prefix(kind)? {
                "" => Some((0, name.as_str())),
                number => Some((number.strip_prefix('_')?.parse().ok()?, name.as_str())),
            })
            .collect();
        // The last first: they are taken from the end.
        found.sort_unstable_by(|a, b| b.cmp(a));
        (kind, found.into_iter().map(|(_, name)| name).collect())
    };
    kinds.into_iter().map(of).collect()
}

impl<'a> Pairs<'a> {
    fn take(&mut self, name: &str) -> Option<&'a Layer> {
        let (name, layer) = self.layers.get_key_value(name)?;
        self.used.insert(name).then_some(layer)
    }

    fn next(&mut self, kind: &str) -> Option<&'a Layer> {
        let name = self.counted.get_mut(kind)?.pop()?;
        self.take(name)
    }

    /// The layer of a name, or the next without one; of a grouped convolution each group is a layer.
    fn find(&mut self, name: Option<String>, group: &[&Slot]) -> Option<Vec<&'a Layer>> {
        if let Some(name) = name {
            // A separable convolution is one layer there and two here.
            return self.take(&name).or_else(|| self.layers.get(&name)).map(|layer| vec![layer]);
        }
        let [outputs, inputs, _, _] = group[0].shape.as_slice() else {
            return self.next("batch_normalization").map(|layer| vec![layer]);
        };
        let first = self.next("conv2d")?;
        let mut found = vec![first];
        let made = first.get("kernel").and_then(|(shape, _)| shape.last().copied()).filter(|made| *made > 0)?;
        let kernel_inputs = first.get("kernel").and_then(|(shape, _)| shape.get(2).copied());
        if kernel_inputs == Some(*inputs) && made < *outputs {
            for _ in 1..outputs.div_ceil(made) {
                found.push(self.next("conv2d")?);
            }
        }
        Some(found)
    }

    fn head(&mut self) -> Option<Vec<&'a Layer>> {
        let named = HEADS.into_iter().find_map(|name| self.take(name));
        named.or_else(|| self.next("dense")).map(|layer| vec![layer])
    }
}

/// A slot's tensor out of its layer, or the groups of it; the shape where it is another, nothing where there is none.
fn value(slot: &Slot, in_head: bool, layers: &[&Layer]) -> Result<Tensor, Option<Vec<usize>>> {
    let leaf = slot.name.rsplit('.').next().unwrap_or_default();
    let names: &[&str] = match (leaf, slot.shape.as_slice()) {
        ("weight", [_]) => &["gamma"],
        ("weight", &[outputs, 1, ..]) if outputs > 1 => &["depthwise_kernel", "kernel"],
        ("weight", _) => &["pointwise_kernel", "kernel"],
        ("bias", _) => &["bias", "beta"],
        ("running_mean", _) => &["moving_mean"],
        _ => &["moving_variance"],
    };
    let mut parts = Vec::new();
    for layer in layers {
        match names.iter().find_map(|name| layer.get_key_value(*name)) {
            Some(found) => parts.push(found),
            // A norm without a weight has weight 1.
            None if leaf == "weight" && layer.contains_key("moving_mean") => {
                return Ok((slot.shape.clone(), vec![1.0; slot.shape.iter().product()]));
            }
            None => return Err(None),
        }
    }
    let shape = || parts.first().map(|(_, (shape, _))| shape.clone());
    let turned: Option<Vec<Tensor>> = parts.iter().map(|(name, tensor)| turn(name, tensor, &slot.shape)).collect();
    let turned = turned.ok_or_else(shape)?;
    // Outputs come first, so that groups lie one after the other.
    let mut whole = turned.first().map(|(shape, _)| shape.clone()).ok_or(None)?;
    whole[0] = turned.iter().map(|(shape, _)| shape[0]).sum();
    let wanted = if in_head { [&whole[..1], &slot.shape[1..]].concat() } else { slot.shape.clone() };
    let flat = whole.len() == 4 && whole[2..] == [1, 1] && whole[..2] == wanted[..];
    if whole == wanted || flat {
        Ok((wanted, turned.into_iter().flat_map(|(_, values)| values).collect()))
    } else {
        Err(shape())
    }
}

/// A tensor with its axes as PyTorch's: outputs, inputs, height, width. A dense layer's inputs are those of the places of
/// a map, channel by channel, where the slot is a convolution's.
fn turn(name: &str, (shape, values): &Tensor, slot: &[usize]) -> Option<Tensor> {
    let ([height, width, inputs, outputs], axes) = match (name, shape.as_slice(), slot) {
        (_, [_], _) => return Some((shape.clone(), values.clone())),
        ("depthwise_kernel", &[height, width, channels, 1], _) => ([height, width, channels, 1], [2, 3, 0, 1]),
        (_, &[height, width, inputs, outputs], _) => ([height, width, inputs, outputs], [3, 2, 0, 1]),
        (_, &[inputs, outputs], &[_, _, height, width]) => {
            ([height, width, inputs.checked_div(height * width)?, outputs], [3, 2, 0, 1])
        }
        (_, &[inputs, outputs], _) => ([1, 1, inputs, outputs], [3, 2, 0, 1]),
        _ => return None,
    };
    let old = [height, width, inputs, outputs];
    if old.iter().product::<usize>() != values.len() {
        return None;
    }
    let steps = [width * inputs * outputs, inputs * outputs, outputs, 1];
    let new = axes.map(|axis: usize| old[axis]);
    let step = axes.map(|axis: usize| steps[axis]);
    let mut turned = Vec::with_capacity(values.len());
    for a in 0..new[0] {
        for b in 0..new[1] {
            for c in 0..new[2] {
                let start = a * step[0] + b * step[1] + c * step[2];
                turned.extend((0..new[3]).map(|d| values[start + d * step[3]]));
            }
        }
    }
    Some((new.to_vec(), turned))
}

/// Keras's VGG was trained on blue, green, red; ours gets red, green, blue.
fn reverse_colours(tensors: &mut BTreeMap<String, Tensor>) {
    if let Some((shape, values)) = tensors.get_mut("features.0.weight") {
        let plane = shape[2..].iter().product::<usize>().max(1);
        for kernel in values.chunks_exact_mut(3 * plane) {
            let (red, rest) = kernel.split_at_mut(plane);
            red.swap_with_slice(&mut rest[plane..]);
        }
    }
}
