//! A network -> safetensors bytes that timm loads strictly.
//!
//! Same network and notes, same bytes: the safetensors crate's own writer orders notes by a hash map, so the header
//! is put together here. Counters (`num_batches_tracked`, 0: torch does not use them at a fixed momentum) come first,
//! then the rest by name, so that every tensor lies on a multiple of its element's size.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Serialize;

use crate::nn::{Flavour, Network, names};

use super::problem::WeightsError;

/// One tensor in the header.
#[derive(Serialize)]
struct Entry {
    dtype: &'static str,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// The header, in the order of the data.
#[derive(Serialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: IndexMap<String, Entry>,
}

/// The network's weights and statistics under timm's names, with `metadata` in the header (`format = pt` is added).
///
/// # Errors
/// A tensor that cannot be read back as 32-bit floats.
pub fn save(network: &Network, mut metadata: BTreeMap<String, String>) -> Result<Vec<u8>, WeightsError> {
    let mut floats = BTreeMap::new();
    for (slot, data) in names::values(network) {
        let values =
            data.try_to_vec::<f32>().map_err(|error| WeightsError::Unwritable { reason: format!("{error:?}") })?;
        floats.insert(slot.name, (slot.shape, values));
    }
    note_form(network.flavour(), &mut metadata);
    file(floats, metadata)
}

/// A file's note of whose form of a network its weights are; timm's has none.
const FORM: &str = "topology";
const KERAS: &str = "keras";

pub(super) fn note_form(form: Flavour, metadata: &mut BTreeMap<String, String>) {
    match form {
        Flavour::Keras => drop(metadata.insert(FORM.to_owned(), KERAS.to_owned())),
        Flavour::Timm => {}
    }
}

/// The form that [`note_form`] noted.
pub(super) fn noted_form(metadata: &BTreeMap<String, String>) -> Flavour {
    if metadata.get(FORM).is_some_and(|form| form == KERAS) { Flavour::Keras } else { Flavour::Timm }
}

/// Tensors as a file; each running variance gets its counter.
pub(super) fn file(
    floats: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    mut metadata: BTreeMap<String, String>,
) -> Result<Vec<u8>, WeightsError> {
    metadata.entry("format".to_owned()).or_insert_with(|| "pt".to_owned());
    let counter = |name: &String| Some(format!("{}num_batches_tracked", name.strip_suffix("running_var")?));
    let counters: BTreeSet<String> = floats.keys().filter_map(counter).collect();
    let mut body = Vec::new();
    let mut tensors = IndexMap::new();
    for name in counters {
        let start = body.len();
        body.extend(0_i64.to_le_bytes());
        tensors.insert(name, Entry { dtype: "I64", shape: Vec::new(), data_offsets: [start, body.len()] });
    }
    for (name, (shape, values)) in floats {
        let start = body.len();
        body.extend(values.into_iter().flat_map(f32::to_le_bytes));
        tensors.insert(name, Entry { dtype: "F32", shape, data_offsets: [start, body.len()] });
    }
    let header = serde_json::to_vec(&Header { metadata, tensors });
    let mut header = header.map_err(|error| WeightsError::Unwritable { reason: error.to_string() })?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(body);
    Ok(file)
}
