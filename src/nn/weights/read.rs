//! timm-named safetensors bytes -> a network that holds them, all or nothing.
//!
//! Read are F32, F16 and BF16 (widened exactly). `num_batches_tracked` is skipped. The safetensors crate refuses
//! truncated files, overlaps, holes and headers over 100 MB; names that occur twice are refused here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use burn::tensor::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use crate::catalog::backbones::Backbone;
use crate::images;
use crate::nn::names::{self, Slot};
use crate::nn::{Network, positions, slots, stem};

use super::describe::{Shapes, describe};
use super::problem::{Named, WeightsError};
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
pub fn load(network: Network, bytes: &[u8], head: Head) -> Result<(Network, Report), WeightsError> {
    let tensors = open(bytes)?;
    let metadata = notes(bytes);
    let network = network.in_form(write::noted_form(&metadata));
    let shapes: Shapes = tensors.iter().map(|(name, view)| (name.clone(), view.shape().to_vec())).collect();
    let last =
        [".weight", ".fc2.weight"].into_iter().find_map(|end| shapes.get(&format!("{}{end}", network.head_name())));
    let classes = last.and_then(|shape| shape.first().copied());
    let wanted: Vec<Slot> = slots(&network).into_iter().filter(|slot| head == Head::Keep || !slot.in_head).collect();
    compare(&network, &wanted, &shapes)?;
    let mut values = BTreeMap::new();
    let first = stem::stem(&wanted);
    for slot in &wanted {
        if let Some(view) = tensors.get(&slot.name)
            && let Some(way) = way(&network, first, slot, view.shape())
        {
            values.insert(slot.name.clone(), adapt(&network, way, widen(&slot.name, view)?));
        }
    }
    let report = Report { loaded: values.len(), head_classes: classes, head_loaded: head == Head::Keep, metadata };
    Ok((names::replace(network, &mut |slot| values.remove(&slot.name)), report))
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
fn adapt(network: &Network, way: Way, mut values: Vec<f32>) -> Vec<f32> {
    match way {
        Way::Positions { width, old, new } => positions::resample(&values, width, old, new).unwrap_or(values),
        Way::Stem { from, to, area } => {
            if let Some((_, deviations)) = images::normalisation(network.card().input.normalize, from) {
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
pub fn look(bytes: &[u8]) -> Result<Seen, WeightsError> {
    let tensors = open(bytes)?;
    let shapes: Shapes = tensors.iter().map(|(name, view)| (name.clone(), view.shape().to_vec())).collect();
    let looks_like = describe(&shapes, Backbone::any().card());
    let backbone = Backbone::of_timm(&looks_like);
    let head = backbone.map(|backbone| format!("{}.weight", backbone.card().head.name));
    Ok(Seen {
        head_classes: head.and_then(|name| shapes.get(&name)).and_then(|shape| shape.first().copied()),
        tensors: tensors
            .iter()
            .map(|(name, view)| Entry {
                name: name.clone(),
                data_type: format!("{:?}", view.dtype()),
                shape: view.shape().to_vec(),
            })
            .collect(),
        metadata: notes(bytes),
        looks_like,
        backbone,
    })
}

/// The tensors of a sound file, by name.
fn open(bytes: &[u8]) -> Result<BTreeMap<String, TensorView<'_>>, WeightsError> {
    if is_pickle(bytes) {
        return Err(WeightsError::Pickle);
    }
    let unsound = |reason: String| WeightsError::NotSafetensors { reason };
    let file = SafeTensors::deserialize(bytes).map_err(|error| unsound(error.to_string()))?;
    if let Some(name) = repeated_name(bytes) {
        return Err(unsound(format!("`{name}` stands in its header twice")));
    }
    Ok(file.tensors().into_iter().collect())
}

/// torch.save writes a ZIP archive, or in old versions a bare pickle (protocol 2 and later begin with 0x80).
fn is_pickle(bytes: &[u8]) -> bool {
    let old = matches!(bytes, [0x80, protocol, ..] if *protocol <= 5) && !plausible_header(bytes);
    bytes.starts_with(b"PK\x03\x04") || old
}

/// Does a JSON object begin where a safetensors header would?
fn plausible_header(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

/// The header: as many bytes as the first eight say.
fn header(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.first_chunk::<8>().map(|first| u64::from_le_bytes(*first))?;
    bytes.get(8..)?.get(..usize::try_from(length).ok()?)
}

fn notes(bytes: &[u8]) -> BTreeMap<String, String> {
    #[derive(serde::Deserialize)]
    struct Notes {
        #[serde(rename = "__metadata__", default)]
        metadata: BTreeMap<String, String>,
    }
    header(bytes).and_then(|json| serde_json::from_slice::<Notes>(json).ok()).map_or_else(BTreeMap::new, |n| n.metadata)
}

/// A name that the header's object holds twice: JSON readers silently keep the last.
fn repeated_name(bytes: &[u8]) -> Option<String> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut seen, mut twice) = (BTreeSet::new(), None);
            while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                if !seen.insert(name.clone()) {
                    twice.get_or_insert(name);
                }
            }
            Ok(twice)
        }
    }
    serde_json::Deserializer::from_slice(header(bytes)?).deserialize_map(Names).ok().flatten()
}

/// A tensor's values as 32-bit floats, each of them finite.
fn widen(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, WeightsError> {
    let bytes = view.data();
    let data_type = view.dtype();
    let values: Vec<f32> = if data_type == Dtype::F32 {
        bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    } else if data_type == Dtype::F16 {
        bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
    } else if data_type == Dtype::BF16 {
        bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
    } else {
        return Err(WeightsError::DataType { name: name.to_owned(), data_type: format!("{data_type:?}") });
    };
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(WeightsError::NotFinite { name: name.to_owned() })
    }
}
