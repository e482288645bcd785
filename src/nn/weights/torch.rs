//! Tensors of a file that `torch.save` wrote, since version 1.6 a ZIP archive and before it a row of pickles.
//!
//! The pickle says which part of which storage a tensor is; the storages are plain numbers. Nothing of the file is run.

#![allow(clippy::wildcard_enum_match_arm, reason = "a value of any other kind is a mismatch, and is refused")]

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use burn::tensor::{bf16, f16};
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, Index, Value, Values};
use super::problem::WeightsError;

/// A tensor's shape and values.
pub(super) type Tensor = (Vec<usize>, Vec<f32>);
/// A storage: what its numbers are, and their bytes.
type Storage = (Number, Vec<u8>);

/// The number that the first pickle of an old file is (0x1950a86a20f9469cfc6c).
const OLD: [u8; 12] = [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Keys under which training scripts put a network's tensors, beside an optimizer's and the like.
const STATES: [&str; 5] = ["state_dict", "model_state_dict", "model", "net", "state_dict_ema"];

/// What a storage is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    F64,
    F32,
    F16,
    BF16,
    /// Whole numbers: counters, never weights.
    Whole(usize),
}

impl Number {
    fn named(global: &str) -> Option<Self> {
        Some(match global {
            "torch.DoubleStorage" => Self::F64,
            "torch.FloatStorage" => Self::F32,
            "torch.HalfStorage" => Self::F16,
            "torch.BFloat16Storage" => Self::BF16,
            "torch.LongStorage" => Self::Whole(8),
            "torch.IntStorage" => Self::Whole(4),
            "torch.ShortStorage" => Self::Whole(2),
            "torch.ByteStorage" | "torch.CharStorage" | "torch.BoolStorage" => Self::Whole(1),
            _ => return None,
        })
    }

    const fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Whole(size) => size,
        }
    }

    /// One number; a double is rounded to the nearest.
    #[expect(clippy::cast_possible_truncation, reason = "said so above")]
    fn value(self, bytes: &[u8]) -> Option<f32> {
        Some(match self {
            Self::F64 => f64::from_le_bytes(*bytes.first_chunk()?) as f32,
            Self::F32 => f32::from_le_bytes(*bytes.first_chunk()?),
            Self::F16 => f16::from_le_bytes(*bytes.first_chunk()?).to_f32(),
            Self::BF16 => bf16::from_le_bytes(*bytes.first_chunk()?).to_f32(),
            Self::Whole(_) => return None,
        })
    }
}

fn unsound(reason: impl Into<String>) -> WeightsError {
    WeightsError::NotTorch { reason: reason.into() }
}

/// Does a file begin as one of torch's does?
pub(super) fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.get(2..).is_some_and(|rest| rest.starts_with(&OLD))
}

/// The floating-point tensors of a file by name; counters are left out.
///
/// # Errors
/// A file that is no torch file or not whole; a pickle that would run code, with the name of what it would call; a
/// tensor that reaches beyond its storage.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    if bytes.starts_with(b"PK\x03\x04") {
        let mut archive = Archive::open(bytes)?;
        let pickle = archive.entry("data.pkl")?;
        if archive.zip.index_for_name(&format!("{}byteorder", archive.root)).is_some()
            && archive.entry("byteorder")? != b"little"
        {
            return Err(unsound("it was written on a machine with the big end first"));
        }
        let values = pickle::read(&pickle)?;
        tensors(&values, bytes.len(), &mut |key, number| Ok((number, archive.entry(&format!("data/{key}"))?)))
    } else {
        old(bytes)
    }
}

/// The archive that torch writes: everything below one folder, nothing compressed.
struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    root: String,
    length: usize,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, WeightsError> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| unsound(error.to_string()))?;
        let roots = archive.file_names().filter_map(Result::ok);
        let root = roots.filter_map(|name| name.strip_suffix("data.pkl").map(str::to_owned)).min_by_key(String::len);
        let root = root.ok_or_else(|| unsound("a ZIP archive without `data.pkl`, which torch.save writes"))?;
        Ok(Self { zip: archive, root, length: bytes.len() })
    }

    fn entry(&mut self, name: &str) -> Result<Vec<u8>, WeightsError> {
        let broken = |error: &dyn std::fmt::Display| unsound(format!("`{name}` in it: {error}"));
        let mut entry = self.zip.by_name(&format!("{}{name}", self.root)).map_err(|error| broken(&error))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(broken(&"it is compressed, which torch.save never does"));
        }
        // What it says of its size is believed as far as the file goes.
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(usize::MAX).min(self.length));
        entry.read_to_end(&mut bytes).map_err(|error| broken(&error))?;
        Ok(bytes)
    }
}

/// Before torch 1.6: a number, a version, facts on the system, the value, the keys of the storages, the storages.
fn old(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let mut at = 0;
    let mut next = || -> Result<(Values, usize), WeightsError> {
        let values = pickle::read(bytes.get(at..).unwrap_or_default())?;
        at += values.length;
        Ok((values, at))
    };
    for _ in 0..3 {
        next()?;
    }
    let (values, _) = next()?;
    let (keys, mut at) = next()?;
    // What each storage is only the tensors say, so they are asked once without their numbers.
    let mut kinds: BTreeMap<String, Number> = BTreeMap::new();
    for (_, tensor) in state(&values)? {
        if let Some(part) = part(&values, tensor)? {
            kinds.insert(part.key.to_owned(), part.number);
        }
    }
    let mut storages: BTreeMap<String, Storage> = BTreeMap::new();
    for key in keys.items(keys.top) {
        let key = keys.text(*key).ok_or_else(|| unsound("a storage's key is no text"))?;
        let cut = || unsound(format!("storage `{key}` is cut short"));
        let count = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).ok_or_else(cut)?;
        at += 8;
        // A storage that no tensor of the network uses is of an unknown width: nothing behind it can be found.
        let Some(number) = kinds.get(key) else {
            return Err(unsound(format!("storage `{key}` belongs to no tensor of the network")));
        };
        let length = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|n| n.checked_mul(number.size()));
        let end = length.and_then(|length| at.checked_add(length)).ok_or_else(cut)?;
        storages.insert(key.to_owned(), (*number, bytes.get(at..end).ok_or_else(cut)?.to_vec()));
        at = end;
    }
    tensors(&values, bytes.len(), &mut |key, _| {
        storages.get(key).cloned().ok_or_else(|| unsound(format!("there is no storage `{key}`")))
    })
}

/// Names and tensors of the network in a file: those of the whole value, or of what lies under one of [`STATES`].
fn state(values: &Values) -> Result<Vec<(&str, Index)>, WeightsError> {
    let entries = values
        .entries(values.top)
        .ok_or_else(|| unsound("it holds no dictionary of tensors: save `model.state_dict()`, not the model"))?;
    let named = |key: &str| {
        let value = entries.iter().find(|(name, _)| values.text(*name) == Some(key)).map(|(_, value)| *value)?;
        values.entries(value)
    };
    let inner = STATES.iter().find_map(|key| named(key)).unwrap_or(entries);
    Ok(inner.iter().filter_map(|(name, value)| Some((values.text(*name)?, *value))).collect())
}

/// Which part of which storage a tensor is.
struct Part<'a> {
    key: &'a str,
    number: Number,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// `None` for what is no tensor.
fn part(values: &Values, index: Index) -> Result<Option<Part<'_>>, WeightsError> {
    let arguments = match values.get(index) {
        Value::Call("torch._utils._rebuild_tensor_v2", arguments) => values.items(*arguments),
        Value::Call("torch._utils._rebuild_parameter", arguments) => match values.items(*arguments) {
            [inner, ..] => match values.get(*inner) {
                Value::Call("torch._utils._rebuild_tensor_v2", arguments) => values.items(*arguments),
                _ => return Err(unsound("a parameter holds no tensor")),
            },
            [] => return Err(unsound("a parameter holds no tensor")),
        },
        _ => return Ok(None),
    };
    let broken = || unsound("a tensor is not put together as torch does it");
    let [storage, offset, shape, strides, ..] = arguments else { return Err(broken()) };
    let Value::Persistent(name) = values.get(*storage) else { return Err(broken()) };
    let [_, kind, key, ..] = values.items(*name) else { return Err(broken()) };
    let Value::Global(kind) = values.get(*kind) else { return Err(broken()) };
    let sizes = |index: Index| values.items(index).iter().map(|item| values.size(*item)).collect::<Option<Vec<_>>>();
    Ok(Some(Part {
        key: values.text(*key).ok_or_else(broken)?,
        number: Number::named(kind).ok_or_else(broken)?,
        offset: values.size(*offset).ok_or_else(broken)?,
        shape: sizes(*shape).ok_or_else(broken)?,
        strides: sizes(*strides).filter(|strides| strides.len() == values.items(*shape).len()).ok_or_else(broken)?,
    }))
}

fn tensors(
    values: &Values,
    length: usize,
    storage: &mut dyn FnMut(&str, Number) -> Result<Storage, WeightsError>,
) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let (mut all, mut read) = (BTreeMap::new(), 0_usize);
    for (name, index) in state(values)? {
        let Some(part) = part(values, index)? else { continue };
        if matches!(part.number, Number::Whole(_)) {
            continue;
        }
        let (number, bytes) = storage(part.key, part.number)?;
        // Many tensors of one large storage would make much of a small file.
        read = read.saturating_add(bytes.len());
        if read > length.saturating_mul(2) {
            return Err(unsound("its tensors share their storages, as no network's do"));
        }
        let beyond = || unsound(format!("`{name}` reaches beyond its storage"));
        let taken = gather(&part, number, &bytes).ok_or_else(beyond)?;
        if all.insert(name.to_owned(), (part.shape, taken)).is_some() {
            return Err(unsound(format!("`{name}` is in it twice")));
        }
    }
    if all.is_empty() {
        return Err(unsound("it holds no tensors"));
    }
    Ok(all)
}

/// A tensor's values in row-major order. It may not be larger than its storage: weights are no broadcast.
fn gather(part: &Part<'_>, number: Number, bytes: &[u8]) -> Option<Vec<f32>> {
    let count = part.shape.iter().try_fold(1_usize, |count, side| count.checked_mul(*side))?;
    if count > bytes.len() / number.size() {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    let mut place = vec![0_usize; part.shape.len()];
    for _ in 0..count {
        let steps = place.iter().zip(&part.strides);
        let at = steps.into_iter().try_fold(part.offset, |at, (step, stride)| {
            step.checked_mul(*stride).and_then(|far| at.checked_add(far))
        })?;
        let from = at.checked_mul(number.size())?;
        values.push(number.value(bytes.get(from..from.checked_add(number.size())?)?)?);
        for (step, side) in place.iter_mut().zip(&part.shape).rev() {
            *step += 1;
            if *step < *side {
                break;
            }
            *step = 0;
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// A file that `tests/fixtures/weights/make_torch.py` made.
    fn fixture(name: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights");
        std::fs::read(folder.join(name)).unwrap()
    }

    #[test]
    fn every_kind_of_tensor_is_read_from_each_form_of_file() {
        for name in ["plain.pth", "old.pth", "checkpoint.pth"] {
            let tensors = read(&fixture(name)).unwrap();
            let shapes: Vec<(&str, &[usize])> =
                tensors.iter().map(|(name, (shape, _))| (name.as_str(), shape.as_slice())).collect();
            let expected: [(&str, &[usize]); 8] = [
                ("brain", &[5]),
                ("conv.weight", &[4, 3, 2, 2]),
                ("double", &[2, 3]),
                ("half", &[5]),
                ("learns", &[7]),
                ("part", &[2, 4]),
                ("scalar", &[]),
                ("turned", &[3, 2]),
            ];
            assert_eq!(shapes, expected, "{name}");
            for (tensor, (shape, values)) in tensors {
                assert_eq!(values.len(), shape.iter().product::<usize>());
                let mut wanted = -3.0_f32;
                for value in values {
                    assert!((value - wanted).abs() < f32::EPSILON, "{name} {tensor}: {value} instead of {wanted}");
                    wanted += 0.25;
                }
            }
        }
    }

    #[test]
    fn a_pickle_that_would_run_code_is_refused_by_the_name_of_what_it_calls() {
        let refused = |error: WeightsError| match error {
            WeightsError::RunsCode { global } => global,
            other => panic!("{other}"),
        };
        assert_eq!(refused(read(&fixture("evil.pth")).unwrap_err()), "posix.system");
        assert_eq!(refused(pickle::read(&fixture("evil.pkl")).unwrap_err()), "posix.system");
        assert_eq!(refused(read(&fixture("module.pth")).unwrap_err()), "torch.nn.modules.linear.Linear");
    }

    #[test]
    fn files_cut_short_or_changed_at_any_byte_are_refused_or_read_and_never_panic() {
        for name in ["plain.pth", "old.pth"] {
            let whole = fixture(name);
            for length in 0..whole.len() {
                assert!(read(&whole[..length]).is_err(), "{name} cut at {length}");
            }
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= 0x81;
                if let Ok(tensors) = read(&changed) {
                    let bytes: usize = tensors.values().map(|(_, values)| 4 * values.len()).sum();
                    assert!(bytes <= 4 * whole.len(), "{name}: {bytes} bytes at {at}");
                }
            }
        }
    }

    #[test]
    fn instructions_that_lie_are_refused() {
        let cases: [(&str, &[u8]); 8] = [
            ("empty", b""),
            ("stack runs empty", b"."),
            ("no mark", b"t."),
            ("tuple of what is not there", b"\x87."),
            ("never kept", b"h\x05."),
            ("text of four gigabytes", b"X\xff\xff\xff\xff."),
            ("item of no dictionary", b"NNNs."),
            ("a call of no function", b"NNR."),
        ];
        for (what, bytes) in cases {
            let error = pickle::read(bytes).unwrap_err();
            assert!(matches!(error, WeightsError::NotTorch { .. }), "{what}: {error}");
        }
        // As many values as bytes, in a file that is nothing else.
        let many = vec![b'N'; 2 << 20];
        assert!(pickle::read(&many).unwrap_err().to_string().contains("1048576 values"));
        // A list that holds itself.
        let values = pickle::read(b"]q\x00h\x00a.").unwrap();
        assert_eq!(values.items(values.top), [values.top]);
    }
}
