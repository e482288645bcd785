//! vit-keras's NumPy archives of a vision transformer (Google's first checkpoints) -> tensors under timm's names.
//!
//! An archive is a ZIP of `.npy` files: a line of Python that says type, order and shape, then the numbers.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use zip::{CompressionMethod, ZipArchive};

use super::problem::WeightsError;
use super::torch::Tensor;

/// What archives of NumPy end their entries' names with.
const ENDS: &str = ".npy";

fn unsound(reason: impl Into<String>) -> WeightsError {
    WeightsError::NotKeras { reason: reason.into() }
}

/// Is it an archive of NumPy's?
pub(super) fn is_npz(bytes: &[u8]) -> bool {
    let archive = bytes.starts_with(b"PK\x03\x04").then(|| ZipArchive::new(Cursor::new(bytes)).ok()).flatten();
    archive.is_some_and(|archive| {
        !archive.is_empty() && archive.file_names().all(|name| name.is_ok_and(|name| name.ends_with(ENDS)))
    })
}

/// The network's tensors by timm's names. A layer between the features and the head (`pre_logits`, of ImageNet-21k) is
/// part of no network here: where a file has one, the head that reads it is left out too.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    renamed(arrays(bytes)?)
}

fn renamed(mut arrays: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let hidden = arrays.keys().any(|name| name.starts_with("pre_logits/"));
    arrays.retain(|name, _| !(name.starts_with("pre_logits/") || (hidden && name.starts_with("head/"))));
    let mut tensors = BTreeMap::new();
    for block in 0.. {
        let begin = format!("Transformer/encoderblock_{block}/");
        if !arrays.keys().any(|name| name.starts_with(&begin)) {
            break;
        }
        // Queries, keys and values are one layer here, in this order.
        for (theirs, ours) in [("kernel", "weight"), ("bias", "bias")] {
            let mut parts = Vec::new();
            for part in ["query", "key", "value"] {
                let name = format!("{begin}MultiHeadDotProductAttention_1/{part}/{theirs}");
                let (shape, values) = arrays.remove(&name).ok_or_else(|| unsound(format!("there is no `{name}`")))?;
                let width = if ours == "bias" { 1 } else { shape.first().copied().unwrap_or(0) };
                parts.push(matrix(&name, width, &values)?);
            }
            let rows = parts.iter().map(|(shape, _)| shape[0]).sum();
            let width = parts[0].0[1];
            let values = parts.into_iter().flat_map(|(_, values)| values).collect();
            let shape = if ours == "bias" { vec![rows] } else { vec![rows, width] };
            tensors.insert(format!("blocks.{block}.attn.qkv.{ours}"), (shape, values));
        }
    }
    for (name, (shape, values)) in arrays {
        let (layer, leaf) = name.rsplit_once('/').unwrap_or(("", &name));
        let ours = match layer {
            "" if leaf == "cls" => "cls_token".to_owned(),
            "Transformer/posembed_input" => "pos_embed".to_owned(),
            "embedding" => "patch_embed.proj".to_owned(),
            "Transformer/encoder_norm" => "norm".to_owned(),
            "head" => "head".to_owned(),
            _ => in_block(layer).ok_or_else(|| unsound(format!("`{name}` is no part of a vision transformer")))?,
        };
        let tensor = match (leaf, shape.as_slice()) {
            ("kernel", &[height, width, inputs, outputs]) => {
                // [height, width, inputs, outputs] -> [outputs, inputs, height, width], by way of a matrix's transpose.
                let (_, turned) = matrix(&name, height * width * inputs, &values)?;
                let each = turned.chunks_exact((height * width * inputs).max(1)).flat_map(|kernel| {
                    (0..inputs).flat_map(move |input| kernel.iter().skip(input).step_by(inputs.max(1)).copied())
                });
                (vec![outputs, inputs, height, width], each.collect())
            }
            // An output's kernel is [heads, width of a head, outputs].
            ("kernel", &[heads, width, _]) => matrix(&name, heads * width, &values)?,
            ("kernel", &[inputs, _]) => matrix(&name, inputs, &values)?,
            _ => (shape, values),
        };
        let ours = match leaf {
            "kernel" | "scale" => format!("{ours}.weight"),
            "bias" => format!("{ours}.bias"),
            _ => ours,
        };
        tensors.insert(ours, tensor);
    }
    Ok(tensors)
}

/// timm's name of a layer of a block.
fn in_block(layer: &str) -> Option<String> {
    let (block, rest) = layer.strip_prefix("Transformer/encoderblock_")?.split_once('/')?;
    let part = match rest {
        "LayerNorm_0" => "norm1",
        "LayerNorm_2" => "norm2",
        "MultiHeadDotProductAttention_1/out" => "attn.proj",
        "MlpBlock_3/Dense_0" => "mlp.fc1",
        "MlpBlock_3/Dense_1" => "mlp.fc2",
        _ => return None,
    };
    Some(format!("blocks.{block}.{part}"))
}

/// `[inputs, outputs]` to `[outputs, inputs]`.
fn matrix(name: &str, inputs: usize, values: &[f32]) -> Result<Tensor, WeightsError> {
    if inputs == 0 || !values.len().is_multiple_of(inputs) {
        return Err(unsound(format!("`{name}` is empty")));
    }
    let outputs = values.len() / inputs;
    let turned = (0..outputs).flat_map(|output| values[output..].iter().step_by(outputs).copied());
    let turned: Vec<f32> = turned.collect();
    Ok((vec![outputs, inputs], turned))
}

/// Every array by its name.
fn arrays(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| unsound(error.to_string()))?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| unsound(error.to_string()))?;
        let name = entry.name().map_err(|error| unsound(error.to_string()))?.into_owned();
        let name = name.strip_suffix(ENDS).unwrap_or(&name).to_owned();
        if entry.compression() != CompressionMethod::Stored {
            return Err(unsound(format!("`{name}` is compressed; write the archive with numpy.savez")));
        }
        let mut content = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(usize::MAX).min(bytes.len()));
        entry.read_to_end(&mut content).map_err(|error| unsound(format!("`{name}`: {error}")))?;
        let array = array(&content).ok_or_else(|| unsound(format!("`{name}` is no array of 32-bit floats")))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// An `.npy` file: a magic, a version, the length of a line, the line, the numbers.
fn array(bytes: &[u8]) -> Option<Tensor> {
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00")?;
    let length = usize::from(u16::from_le_bytes(*rest.first_chunk()?));
    let line = std::str::from_utf8(rest.get(2..2 + length)?).ok()?;
    if !line.contains("'descr': '<f4'") || !line.contains("'fortran_order': False") {
        return None;
    }
    let (_, shape) = line.split_once("'shape': (")?;
    let (shape, _) = shape.split_once(')')?;
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape: Vec<usize> = sides.map(|side| side.parse().ok()).collect::<Option<_>>()?;
    let count = shape.iter().try_fold(1_usize, |count, side| count.checked_mul(*side))?;
    let numbers = rest.get(2 + length..)?;
    (numbers.len() == count.checked_mul(4)?).then(|| {
        let values = numbers.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        (shape, values)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Made by `tests/fixtures/weights/make_keras.py`.
    fn fixture() -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights");
        std::fs::read(folder.join("arrays.npz")).unwrap()
    }

    #[test]
    fn arrays_are_read_and_turned_into_the_layout_of_pytorch() {
        assert!(is_npz(&fixture()));
        let tensors = read(&fixture()).unwrap();
        assert_eq!(tensors["cls_token"], (vec![1, 1, 4], vec![-3.0, -2.75, -2.5, -2.25]));
        // Columns become rows.
        let turned = vec![-3.0, -2.5, -2.0, -1.5, -2.75, -2.25, -1.75, -1.25];
        assert_eq!(tensors["head.weight"], (vec![2, 4], turned));
    }

    #[test]
    fn archives_cut_short_or_changed_are_refused_or_read_and_never_panic() {
        let whole = fixture();
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x81;
            let _ = read(&changed);
        }
    }

    #[test]
    fn kernels_keep_their_places_when_their_axes_turn() {
        // [height 1, width 2, inputs 2, outputs 2], numbered in row-major order.
        let values: Vec<f32> = (0..8_u8).map(f32::from).collect();
        let entry = |name: &str| format!("embedding/{name}");
        let made = renamed(BTreeMap::from([(entry("kernel"), (vec![1, 2, 2, 2], values))])).unwrap();
        let turned = vec![0.0, 4.0, 2.0, 6.0, 1.0, 5.0, 3.0, 7.0];
        assert_eq!(made["patch_embed.proj.weight"], (vec![2, 2, 1, 2], turned));
    }
}
