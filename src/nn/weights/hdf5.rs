//! The layers of a file that Keras's `save_weights` or `save` wrote, from HDF5.
//!
//! A group with the attribute `weight_names` is a layer; a file of a whole model holds them below `model_weights`, beside
//! an optimizer's. Of a weight's path only the last part counts: what comes before it changed from version to version.

use std::collections::BTreeMap;

use hdf5_pure::{DType, Dataset, File, Group};

use super::problem::WeightsError;
use super::torch::Tensor;

/// A layer's tensors by what they are: `kernel`, `gamma`.
pub(super) type Layer = BTreeMap<String, Tensor>;

/// Groups lie no deeper in any file of Keras.
const DEEPEST: usize = 12;

/// Is it an HDF5 file?
pub(super) fn is_hdf5(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89HDF\r\n\x1a\n")
}

/// Every layer that has tensors, by name.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Layer>, WeightsError> {
    let file = File::from_bytes(bytes.to_vec()).map_err(|error| broken("the file", &error))?;
    let root = file.root();
    let root = root.group("model_weights").unwrap_or(root);
    let mut reader = Reader { layers: BTreeMap::new(), left: bytes.len() / 4 };
    reader.walk(&root, "", DEEPEST)?;
    if reader.layers.is_empty() {
        let reason = "no group in it lists weights, as Keras's layers do".to_owned();
        return Err(WeightsError::NotKeras { reason });
    }
    Ok(reader.layers)
}

fn broken(what: &str, error: &hdf5_pure::Error) -> WeightsError {
    WeightsError::NotKeras { reason: format!("{what}: {error}") }
}

fn place(path: &str) -> String {
    format!("`{path}`")
}

struct Reader {
    layers: BTreeMap<String, Layer>,
    /// How many numbers there can still be in the file, which Keras does not compress.
    left: usize,
}

impl Reader {
    fn walk(&mut self, group: &Group, path: &str, depth: usize) -> Result<(), WeightsError> {
        for name in group.groups().map_err(|error| broken(&place(path), &error))? {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let inner = group.group(&name).map_err(|error| broken(&place(&path), &error))?;
            let attributes = inner.attr_datatypes().map_err(|error| broken(&place(&path), &error))?;
            if attributes.contains_key("weight_names") {
                let attributes = inner.attrs().map_err(|error| broken(&place(&path), &error))?;
                // A layer without weights lists nothing, as an array of numbers.
                let weights = attributes.get("weight_names").and_then(|names| names.as_strings().map(<[_]>::to_vec));
                self.layer(&inner, &path, &weights.unwrap_or_default())?;
            } else if depth > 0 {
                self.walk(&inner, &path, depth - 1)?;
            } else {
                return Err(WeightsError::NotKeras { reason: format!("{} lies too deep", place(&path)) });
            }
        }
        Ok(())
    }

    /// The tensors of a layer; a model within a model lists those of all its layers.
    fn layer(&mut self, group: &Group, path: &str, weights: &[String]) -> Result<(), WeightsError> {
        let parts = |weight: &str| -> (String, String) {
            let (owner, leaf) = weight.rsplit_once('/').unwrap_or((path, weight));
            (owner.to_owned(), leaf.split(':').next().unwrap_or(leaf).to_owned())
        };
        let mut owners: Vec<String> = weights.iter().map(|weight| parts(weight).0).collect();
        owners.dedup();
        for weight in weights {
            let (owner, leaf) = parts(weight);
            let whole = format!("{path}/{weight}");
            let dataset = group.dataset(weight).map_err(|error| broken(&place(&whole), &error))?;
            let tensor = self.tensor(&dataset, &whole)?;
            let name = if owners.len() == 1 { path.to_owned() } else { owner };
            if self.layers.entry(name).or_default().insert(leaf, tensor).is_some() {
                return Err(WeightsError::NotKeras { reason: format!("{} is there twice", place(&whole)) });
            }
        }
        Ok(())
    }

    fn tensor(&mut self, dataset: &Dataset, path: &str) -> Result<Tensor, WeightsError> {
        let error = |error| broken(&place(path), &error);
        let data_type = dataset.dtype().map_err(error)?;
        if data_type != DType::F32 {
            return Err(WeightsError::DataType { name: path.to_owned(), data_type: data_type.to_string() });
        }
        let sides = dataset.shape().map_err(error)?;
        let shape: Option<Vec<usize>> = sides.iter().map(|side| usize::try_from(*side).ok()).collect();
        let more = || WeightsError::NotKeras { reason: format!("{} is larger than the file", place(path)) };
        let shape = shape.ok_or_else(more)?;
        let count = shape.iter().try_fold(1_usize, |count, side| count.checked_mul(*side)).ok_or_else(more)?;
        self.left = self.left.checked_sub(count).ok_or_else(more)?;
        let values = dataset.read_f32().map_err(error)?;
        if values.len() == count { Ok((shape, values)) } else { Err(more()) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// A file that `tests/fixtures/weights/make_keras.py` made.
    fn fixture(name: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights");
        std::fs::read(folder.join(name)).unwrap()
    }

    #[test]
    fn layers_are_read_from_weights_alone_and_from_a_whole_model_around_a_model() {
        for name in ["keras.h5", "keras_nested.h5"] {
            let layers = read(&fixture(name)).unwrap();
            let shapes: Vec<(&str, &str, &[usize])> = layers
                .iter()
                .flat_map(|(layer, tensors)| {
                    tensors.iter().map(|(leaf, (shape, _))| (layer.as_str(), leaf.as_str(), shape.as_slice()))
                })
                .collect();
            let expected: [(&str, &str, &[usize]); 9] = [
                ("conv1/bn", "beta", &[4]),
                ("conv1/bn", "moving_mean", &[4]),
                ("conv1/bn", "moving_variance", &[4]),
                ("conv1/conv", "bias", &[4]),
                ("conv1/conv", "kernel", &[3, 3, 3, 4]),
                ("predictions", "bias", &[2]),
                ("predictions", "kernel", &[5, 2]),
                ("sepconv", "depthwise_kernel", &[3, 3, 4, 1]),
                ("sepconv", "pointwise_kernel", &[1, 1, 4, 5]),
            ];
            assert_eq!(shapes, expected, "{name}");
            for (shape, values) in layers.values().flat_map(BTreeMap::values) {
                assert_eq!(values.len(), shape.iter().product::<usize>());
                let mut wanted = -3.0_f32;
                for value in values {
                    assert!((value - wanted).abs() < f32::EPSILON, "{name}: {value} instead of {wanted}");
                    wanted += 0.25;
                }
            }
        }
    }

    #[test]
    fn files_cut_short_or_changed_are_refused_or_read_and_never_panic() {
        let whole = fixture("keras.h5");
        for length in (0..whole.len()).step_by(61) {
            assert!(matches!(read(&whole[..length]), Err(WeightsError::NotKeras { .. })), "cut at {length}");
        }
        for at in (0..whole.len()).step_by(13) {
            let mut changed = whole.clone();
            changed[at] ^= 0x81;
            if let Ok(layers) = read(&changed) {
                let numbers: usize = layers.values().flat_map(BTreeMap::values).map(|(_, values)| values.len()).sum();
                assert!(4 * numbers <= whole.len(), "{numbers} numbers at {at}");
            }
        }
    }
}
