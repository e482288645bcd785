//! A weight file of another kind -> timm-named safetensors of a network of the catalog.
//!
//! What comes out went through [`load`], so it is whole, of the network's shapes and finite.

use std::collections::BTreeMap;

use burn::tensor::Device;

use crate::catalog::backbones::Backbone;
use crate::data::seen::NORMALIZE;
use crate::nn::stem::stem;
use crate::nn::{Flavour, Network, slots};
use crate::study::{self, Normalize};

use super::describe::{Shapes, describe};
use super::problem::WeightsError;
use super::read::{Head, Report, load, look};
use super::source::Source;
use super::torch::{self, Tensor};
use super::{hdf5, keras, vit_npz, write};

/// What was made of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Whose weights they are.
    pub backbone: Backbone,
    /// Tensors taken over, and the classes of the head.
    pub report: Report,
    /// The safetensors file.
    pub bytes: Vec<u8>,
    /// How its library prepares images for it, as the file now notes; `None` where the file does not tell.
    pub normalize: Option<Normalize>,
}

/// Reads a file of `torch.save`, an `.h5` of the Keras libraries or an `.npz` of vit-keras; `backbone` is what it must
/// hold, else it is found out.
///
/// # Errors
/// A file of another kind, or not whole; a pickle that would run code; another network's tensors, or not all of them;
/// a value that is not finite.
pub fn import(bytes: &[u8], backbone: Option<Backbone>) -> Result<Imported, WeightsError> {
    let (backbone, tensors, form, normalize) = if hdf5::is_hdf5(bytes) {
        let (backbone, tensors) = keras::import(bytes, backbone)?;
        (backbone, tensors, Flavour::Keras, Some(keras::normalize(backbone)))
    } else {
        let (tensors, normalize) = if vit_npz::is_npz(bytes) {
            (vit_npz::read(bytes)?, Some(Normalize::Half))
        } else {
            (of_torch(bytes)?, None)
        };
        let shapes: Shapes = tensors.iter().map(|(name, (shape, _))| (name.clone(), shape.clone())).collect();
        (found(&shapes, backbone)?, tensors, Flavour::Timm, normalize)
    };
    let mut metadata = BTreeMap::from([("architecture".to_owned(), backbone.card().timm.to_owned())]);
    write::note_form(form, &mut metadata);
    if let Some(normalize) = normalize {
        metadata.insert(NORMALIZE.to_owned(), normalize.word().to_owned());
    }
    let bytes = write::file(tensors, metadata)?;
    let (backbone, report) = verify(&bytes, Some(backbone))?;
    Ok(Imported { backbone, report, bytes, normalize })
}

fn of_torch(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    if !torch::is_torch(bytes) {
        return Err(WeightsError::NotTorch { reason: other_kind(bytes).to_owned() });
    }
    let mut tensors = torch::read(bytes)?;
    for prefix in ["module.", "model.", "state_dict.", "backbone."] {
        if tensors.keys().all(|name| name.starts_with(prefix)) {
            tensors = tensors.into_iter().map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor)).collect();
        }
    }
    // Heads that help in training only, of Inception v3.
    tensors.retain(|name, _| !name.starts_with("AuxLogits."));
    Ok(tensors.into_iter().map(|(name, tensor)| torchvision(name, tensor)).collect())
}

/// Whose weights a safetensors file holds, all of them and finite, with its head if it has one; `backbone` is what it
/// must hold, else it is found out.
///
/// # Errors
/// As [`load`]'s; a network that is none of the catalog's.
pub fn verify<S: Source + ?Sized>(file: &S, backbone: Option<Backbone>) -> Result<(Backbone, Report), WeightsError> {
    let tensors = look(file)?.tensors;
    let shapes: Shapes = tensors.into_iter().map(|entry| (entry.name, entry.shape)).collect();
    let backbone = found(&shapes, backbone)?;
    let head = shapes.get(&format!("{}.weight", backbone.card().head.name)).and_then(|shape| shape.first().copied());
    let network = network_of(backbone, head.unwrap_or(1), &shapes);
    let (_, report) = load(network, file, if head.is_some() { Head::Keep } else { Head::Replace })?;
    Ok((backbone, report))
}

/// A network of images with as many channels as the file's first convolution reads.
fn network_of(backbone: Backbone, classes: usize, shapes: &Shapes) -> Network {
    let device = Device::flex();
    let network = Network::new(backbone, classes, 0, &device);
    let first = stem(&slots(&network)).and_then(|slot| shapes.get(&slot.name)?.get(1).copied());
    let side = network.card().input.side as usize;
    match first {
        Some(channels) if (1..=64).contains(&channels) && channels != network.channels() => {
            Network::headed(backbone, study::Head::default(), classes, [channels, side, side], 0, &device)
        }
        Some(_) | None => network,
    }
}

fn found(shapes: &Shapes, backbone: Option<Backbone>) -> Result<Backbone, WeightsError> {
    let looks_like = describe(shapes, backbone.unwrap_or_else(Backbone::any).card());
    backbone.or_else(|| Backbone::of_timm(&looks_like)).ok_or_else(|| {
        let wanted = "a network of the catalog".to_owned();
        WeightsError::OtherModel { wanted, looks_like }
    })
}

fn other_kind(bytes: &[u8]) -> &'static str {
    match bytes {
        [_, _, _, _, _, _, _, _, b'{', ..] => "a safetensors file already: use it with  weights = file(\"...\")",
        _ => "it begins as no file of torch.save, nor as an .h5 or .npz of the Keras libraries",
    }
}

/// torchvision's name and shape of a tensor as timm's, where they differ.
fn torchvision(name: String, (shape, values): Tensor) -> (String, Tensor) {
    // The first DenseNets counted the parts of a layer one level down: `norm.1`.
    if let Some((layer, rest)) = name.split_once(".denselayer") {
        let rest = rest.replace(".norm.", ".norm").replace(".conv.", ".conv");
        return (format!("{layer}.denselayer{rest}"), (shape, values));
    }
    // VGG's hidden layers are linear there and convolutions here, over the same 7 by 7 by 512 in the same order.
    for (theirs, ours, side) in [("classifier.0.", "pre_logits.fc1.", 7), ("classifier.3.", "pre_logits.fc2.", 1)] {
        if let Some(rest) = name.strip_prefix(theirs) {
            let shape = match shape.as_slice() {
                &[outputs, inputs] if inputs % (side * side) == 0 => vec![outputs, inputs / (side * side), side, side],
                other => other.to_vec(),
            };
            return (format!("{ours}{rest}"), (shape, values));
        }
    }
    match name.strip_prefix("classifier.6.") {
        Some(rest) => (format!("head.fc.{rest}"), (shape, values)),
        None => (name, (shape, values)),
    }
}
