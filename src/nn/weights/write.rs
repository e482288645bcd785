//! A network -> safetensors bytes that timm loads strictly.
//!
//! Same network and notes, same bytes: the safetensors crate's own writer orders notes by a hash map, so the header
//! is put together here. Counters (`num_batches_tracked`, 0: torch does not use them at a fixed momentum) come first,
//! then the rest by name, so that every tensor lies on a multiple of its element's size.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use indexmap::IndexMap;
use serde::Serialize;

use crate::nn::{Flavour, Network, names, slots};

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
    note_form(network.flavour(), &mut metadata);
    let shapes: BTreeMap<String, Vec<usize>> = slots(network).into_iter().map(|slot| (slot.name, slot.shape)).collect();
    let (mut file, places) = begin(&shapes, metadata)?;
    let mut failed = None;
    names::each(network, &mut |slot, data| match (data.as_slice::<f32>(), places.get(&slot.name)) {
        (Ok(values), Some(place)) => fill(&mut file, place, values),
        (Err(error), _) => failed = Some(format!("{error:?}")),
        (Ok(_), None) => failed = Some(format!("`{}` has no place", slot.name)),
    });
    failed.map_or(Ok(file), |reason| Err(WeightsError::Unwritable { reason }))
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

/// Tensors as a file.
pub(super) fn file(
    floats: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    metadata: BTreeMap<String, String>,
) -> Result<Vec<u8>, WeightsError> {
    let shapes = floats.iter().map(|(name, (shape, _))| (name.clone(), shape.clone())).collect();
    let (mut file, places) = begin(&shapes, metadata)?;
    // Each tensor is freed when it is in the file.
    for (name, (_, values)) in floats {
        if let Some(place) = places.get(&name) {
            fill(&mut file, place, &values);
        }
    }
    Ok(file)
}

/// Where in a file each tensor is.
type Places = BTreeMap<String, Range<usize>>;

/// A file with its header, zeros where its tensors will be, and their places. Each running variance gets its counter.
fn begin(
    shapes: &BTreeMap<String, Vec<usize>>,
    mut metadata: BTreeMap<String, String>,
) -> Result<(Vec<u8>, Places), WeightsError> {
    metadata.entry("format".to_owned()).or_insert_with(|| "pt".to_owned());
    let counter = |name: &String| Some(format!("{}num_batches_tracked", name.strip_suffix("running_var")?));
    let counters: BTreeSet<String> = shapes.keys().filter_map(counter).collect();
    let (mut end, mut tensors) = (0, IndexMap::new());
    for name in counters {
        tensors.insert(name, Entry { dtype: "I64", shape: Vec::new(), data_offsets: [end, end + 8] });
        end += 8;
    }
    for (name, shape) in shapes {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        tensors.insert(name.clone(), Entry { dtype: "F32", shape: shape.clone(), data_offsets: [start, end] });
    }
    let header = Header { metadata, tensors };
    let mut json =
        serde_json::to_vec(&header).map_err(|error| WeightsError::Unwritable { reason: error.to_string() })?;
    json.resize(json.len().next_multiple_of(8), b' ');
    let body = 8 + json.len();
    let mut file = Vec::with_capacity(body + end);
    file.extend((json.len() as u64).to_le_bytes());
    file.extend(json);
    file.resize(body + end, 0);
    let place = |(name, Entry { data_offsets: [start, end], .. }): (String, Entry)| (name, body + start..body + end);
    Ok((file, header.tensors.into_iter().map(place).collect()))
}

fn fill(file: &mut [u8], place: &Range<usize>, values: &[f32]) {
    let (words, _) = file.get_mut(place.clone()).unwrap_or_default().as_chunks_mut();
    for (word, value) in words.iter_mut().zip(values) {
        *word = value.to_le_bytes();
    }
}
