//! The bytes of a weight file, and safetensors' header of them. Tensors are read one at a time: a file is never in memory
//! as a whole beside the network that it fills.
//!
//! The safetensors crate refuses overlaps, holes and shapes that do not fit their place; names that occur twice, headers
//! over 100 MB and files of another length are refused here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use burn::tensor::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::problem::WeightsError;

/// Bytes that are read where they are wanted.
pub trait Source: Send + Sync {
    /// How many there are.
    fn size(&self) -> u64;

    /// Those from `start` on, as many as `into` takes.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, start: u64, into: &mut [u8]) -> Result<(), WeightsError>;
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, start: u64, into: &mut [u8]) -> Result<(), WeightsError> {
        let part = usize::try_from(start).ok().and_then(|start| self.get(start..)?.get(..into.len()));
        into.copy_from_slice(part.ok_or_else(|| unsound("it ends before its end"))?);
        Ok(())
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read(&self, start: u64, into: &mut [u8]) -> Result<(), WeightsError> {
        self.as_slice().read(start, into)
    }
}

const LARGEST_HEADER: u64 = 100_000_000;

fn unsound(reason: impl Into<String>) -> WeightsError {
    WeightsError::NotSafetensors { reason: reason.into() }
}

/// A sound safetensors file whose header has been read.
pub(super) struct Opened<'a, S: ?Sized> {
    source: &'a S,
    /// Where the tensors begin.
    body: u64,
    tensors: Metadata,
}

impl<'a, S: Source + ?Sized> Opened<'a, S> {
    pub(super) fn new(source: &'a S) -> Result<Self, WeightsError> {
        let size = source.size();
        let mut start = [0; 9];
        let some = start.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        let first = start.get_mut(..some).unwrap_or_default();
        source.read(0, first)?;
        if is_pickle(first) {
            return Err(WeightsError::Pickle);
        }
        let length = first.first_chunk::<8>().map(|first| u64::from_le_bytes(*first));
        let length = length.ok_or_else(|| unsound("it is too short for a header"))?;
        if length > LARGEST_HEADER || length + 8 > size {
            return Err(unsound(format!("a header of {length} bytes in a file of {size}")));
        }
        let mut header = vec![0; usize::try_from(length).unwrap_or_default()];
        source.read(8, &mut header)?;
        if let Some(name) = repeated_name(&header) {
            return Err(unsound(format!("`{name}` stands in its header twice")));
        }
        let tensors: Metadata = serde_json::from_slice(&header).map_err(|error| unsound(error.to_string()))?;
        let (body, wanted) = (length + 8, tensors.data_len() as u64);
        if body.checked_add(wanted) != Some(size) {
            return Err(unsound(format!(
                "its header tells of {wanted} bytes of tensors, and there are {}",
                size - body
            )));
        }
        Ok(Self { source, body, tensors })
    }

    /// Its tensors by name.
    pub(super) fn tensors(&self) -> BTreeMap<String, &TensorInfo> {
        self.tensors.tensors().into_iter().collect()
    }

    /// Its own notes.
    pub(super) fn notes(&self) -> BTreeMap<String, String> {
        self.tensors.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// A tensor's values as 32-bit floats, each of them finite: F32, F16 and BF16 are read, widened exactly.
    pub(super) fn values(&self, name: &str, tensor: &TensorInfo) -> Result<Vec<f32>, WeightsError> {
        let widen: fn(&[u8]) -> Vec<f32> = if tensor.dtype == Dtype::F32 {
            |bytes| bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        } else if tensor.dtype == Dtype::F16 {
            |bytes| bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
        } else if tensor.dtype == Dtype::BF16 {
            |bytes| bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
        } else {
            let data_type = format!("{:?}", tensor.dtype);
            return Err(WeightsError::DataType { name: name.to_owned(), data_type });
        };
        let (start, end) = tensor.data_offsets;
        let mut bytes = vec![0; end - start];
        self.source.read(self.body + start as u64, &mut bytes)?;
        let values = widen(&bytes);
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(WeightsError::NotFinite { name: name.to_owned() })
        }
    }
}

/// torch.save writes a ZIP archive, or in old versions a bare pickle (protocol 2 and later begin with 0x80); a JSON object
/// begins where safetensors has its header.
fn is_pickle(first: &[u8]) -> bool {
    let old = matches!(first, [0x80, protocol, ..] if *protocol <= 5) && first.get(8) != Some(&b'{');
    first.starts_with(b"PK\x03\x04") || old
}

/// A name that the header's object holds twice: JSON readers silently keep the last.
fn repeated_name(header: &[u8]) -> Option<String> {
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
    serde_json::Deserializer::from_slice(header).deserialize_map(Names).ok().flatten()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use burn::tensor::Device;

    use super::super::{Head, load, save};
    use super::*;
    use crate::catalog::backbones::Backbone;
    use crate::nn::{Network, slots};

    /// A file that remembers the most that was asked for at once, and how much in all.
    struct Watched(Vec<u8>, AtomicUsize, AtomicUsize);

    impl Source for Watched {
        fn size(&self) -> u64 {
            self.0.size()
        }

        fn read(&self, start: u64, into: &mut [u8]) -> Result<(), WeightsError> {
            self.1.fetch_max(into.len(), Ordering::Relaxed);
            self.2.fetch_add(into.len(), Ordering::Relaxed);
            self.0.read(start, into)
        }
    }

    #[test]
    fn a_file_is_read_once_and_one_tensor_at_a_time() {
        let network = |seed| Network::new(Backbone::named("resnet18").unwrap(), 3, seed, &Device::flex());
        let bytes = save(&network(1), BTreeMap::new()).unwrap();
        let largest = slots(&network(1)).iter().map(|slot| 4 * slot.shape.iter().product::<usize>()).max().unwrap();
        let file = Watched(bytes, AtomicUsize::new(0), AtomicUsize::new(0));
        let (loaded, _) = load(network(2), &file, Head::Keep).unwrap();
        assert_eq!(save(&loaded, BTreeMap::new()).unwrap(), file.0);
        assert_eq!(file.1.into_inner(), largest);
        assert!(file.2.into_inner() <= file.0.len() + 9);
    }
}
