//! A timm-named safetensors file -> a network that holds it, all or nothing. `num_batches_tracked` is skipped.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::backbones::Backbone;
use crate::data::seen::NORMALIZE;
use crate::images;
use crate::nn::names::{self, Slot};
use crate::nn::{Network, positions, slots, stem};
use crate::study::Normalize;

use super::describe::{Shapes, describe};
use super::problem::{Named, WeightsError};
use super::source::{Opened, Source};
use super::write;

/// What becomes of the network's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// It is loaded too: the file must hold one for as many classes as the network has.
    Keep,
    /// It stays as it is, whatever the file holds: the file's classes are not the study's.
    Replace,
}

/// What a file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Tensors taken over.
    pub loaded: usize,
    /// Classes of the head in the file, if it has one.
    pub head_classes: Option<usize>,
    /// Was that head taken over?
    pub head_loaded: bool,
    /// The file's own notes.
    pub metadata: BTreeMap<String, String>,
}

/// The network with the weights of a file, and what was taken over. A file that says that its weights are of the Keras
/// libraries' form of the network gives that form.
///
/// # Errors
/// A pickle, an unsound file, another network's weights, a tensor missing, unexpected or of another shape or type, a
/// value that is not finite. The network given is used up: on an error build it anew.
pub fn load<S: Source + ?Sized>(network: Network, source: &S, head: Head) -> Result<(Network, Report), WeightsError> {
    let file = Opened::new(source)?;
    let (tensors, metadata) = (file.tensors(), file.notes());
    let network = network.in_form(write::noted_form(&metadata));
    let shapes: Shapes = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
    let last =
        [".weight", ".fc2.weight"].into_iter().find_map(|end| shapes.get(&format!("{}{end}", network.head_name())));
    let classes = last.and_then(|shape| shape.first().copied());
    let wanted: Vec<Slot> = slots(&network).into_iter().filter(|slot| head == Head::Keep || !slot.in_head).collect();
    compare(&network, &wanted, &shapes)?;
    let first = stem::stem(&wanted).cloned();
    let ways: BTreeMap<&str, Way> = wanted
        .iter()
        .filter_map(|slot| Some((slot.name.as_str(), way(&network, first.as_ref(), slot, shapes.get(&slot.name)?)?)))
        .collect();
    // What the weights were trained with, whatever the study does.
    let noted = metadata.get(NORMALIZE).and_then(|word| Normalize::named(word));
    let trained_with = noted.unwrap_or(network.card().input.normalize);
    let (mut loaded, mut failed) = (0, None);
    let network = names::replace(network, &mut |slot| {
        if failed.is_some() {
            return None;
        }
        let (tensor, way) = (tensors.get(&slot.name)?, ways.get(slot.name.as_str())?);
        match file.values(&slot.name, tensor) {
            Ok(values) => {
                loaded += 1;
                Some(adapt(trained_with, *way, values))
            }
            Err(error) => {
                failed = Some(error);
                None
            }
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok((network, Report { loaded, head_classes: classes, head_loaded: head == Head::Keep, metadata })),
    }
}

/// How a tensor becomes a slot's.
#[derive(Clone, Copy)]
enum Way {
    AsItIs,
    /// A table of positions in rows of `width` numbers, of another grid.
    Positions {
        width: usize,
        old: [usize; 2],
        new: [usize; 2],
    },
    /// Kernels of a first convolution, for another number of channels.
    Stem {
        from: usize,
        to: usize,
        area: usize,
    },
}

/// How a tensor of this shape becomes the slot's, if it can; `first` is the slot of the first convolution.
fn way(network: &Network, first: Option<&Slot>, slot: &Slot, shape: &[usize]) -> Option<Way> {
    if shape == slot.shape {
        return Some(Way::AsItIs);
    }
    let usual = network.card().channels as usize;
    match (shape, slot.shape.as_slice()) {
        (&[1, rows, width], &[1, _, ours]) if slot.name == "pos_embed" && width == ours => {
            Some(Way::Positions { width, old: positions::square(rows)?, new: network.grid()? })
        }
        (&[outputs, from, rows, columns], &[ours, to, height, width])
            if first == Some(slot) && from == usual && [outputs, rows, columns] == [ours, height, width] =>
        {
            Some(Way::Stem { from, to, area: rows * columns })
        }
        (_, _) => None,
    }
}

/// The values for a slot of those of a tensor of this shape.
fn adapt(trained_with: Normalize, way: Way, mut values: Vec<f32>) -> Vec<f32> {
    match way {
        Way::Positions { width, old, new } => positions::resample(&values, width, old, new).unwrap_or(values),
        Way::Stem { from, to, area } => {
            if let Some((_, deviations)) = images::normalisation(trained_with, from) {
                stem::even_out(&mut values, deviations, area);
            }
            stem::adapt(&values, from, to, area)
        }
        Way::AsItIs => values,
    }
}

/// Does the file hold these slots, in these shapes, and nothing else but a head and counters?
fn compare(network: &Network, wanted: &[Slot], shapes: &Shapes) -> Result<(), WeightsError> {
    let (model, first) = (network.timm_name(), stem::stem(wanted));
    let (mut missing, mut unexpected, mut misshapen) = (Named::default(), Named::default(), Named::default());
    for slot in wanted {
        match shapes.get(&slot.name) {
            None => missing.add(&slot.name),
            Some(shape) if way(network, first, slot, shape).is_none() => {
                misshapen.add(format!("{}: {shape:?} instead of {:?}", slot.name, slot.shape));
            }
            Some(_) => {}
        }
    }
    let known: BTreeSet<&str> = wanted.iter().map(|slot| slot.name.as_str()).collect();
    let head = format!("{}.", network.head_name());
    for name in shapes.keys() {
        if !known.contains(name.as_str()) && !name.starts_with(&head) && !name.ends_with(".num_batches_tracked") {
            unexpected.add(name);
        }
    }
    if missing.count + unexpected.count + misshapen.count == 0 {
        return Ok(());
    }
    let looks_like = describe(shapes, network.card());
    // A file of this network with a few tensors astray is told tensor by tensor.
    let astray = missing.count + misshapen.count;
    let another = Backbone::of_timm(&looks_like).is_some() || 2 * astray >= wanted.len();
    if looks_like != model && another {
        return Err(WeightsError::OtherModel { wanted: model.to_owned(), looks_like });
    }
    Err(WeightsError::Mismatch { model: model.to_owned(), missing, unexpected, misshapen })
}

/// A tensor as a file lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What its numbers are: `F32`.
    pub data_type: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// What a safetensors file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its tensors by name.
    pub tensors: Vec<Entry>,
    /// Its own notes.
    pub metadata: BTreeMap<String, String>,
    /// timm's name of the network it fits, or a few words.
    pub looks_like: String,
    /// That network, if this version runs it.
    pub backbone: Option<Backbone>,
    /// Classes of its head, if it has that network's.
    pub head_classes: Option<usize>,
}

/// Looks into a file without building its network.
///
/// # Errors
/// A pickle, an unsound file.
pub fn look<S: Source + ?Sized>(source: &S) -> Result<Seen, WeightsError> {
    let file = Opened::new(source)?;
    let tensors = file.tensors();
    let shapes: Shapes = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
    let looks_like = describe(&shapes, Backbone::any().card());
    let backbone = Backbone::of_timm(&looks_like);
    let head = backbone.map(|backbone| format!("{}.weight", backbone.card().head.name));
    Ok(Seen {
        head_classes: head.and_then(|name| shapes.get(&name)).and_then(|shape| shape.first().copied()),
        tensors: tensors
            .iter()
            .map(|(name, tensor)| Entry {
                name: name.clone(),
                data_type: format!("{:?}", tensor.dtype),
                shape: tensor.shape.clone(),
            })
            .collect(),
        metadata: file.notes(),
        looks_like,
        backbone,
    })
}
