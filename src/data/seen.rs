//! What a network that we trained has seen, as a note in its file: enough to find it out when the file becomes the first
//! weights of another study.
//!
//! Each image is hashed with its patient and its class, and the smallest hashes of the training images are kept (the
//! "bottom-k sketch" of Cohen and Kaplan 2007). Of two studies over one table they meet in many, whichever rows each
//! selects; two tables that merely number their files and patients alike differ in the classes of half of them.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Dataset, Image, Origin};
use crate::host::Host;

/// The note's name in the metadata of a safetensors file.
pub const NOTE: &str = "seen";
/// The name of another note: how the weights want images normalised, as a study writes it.
pub const NORMALIZE: &str = "normalize";
/// Hashes that are kept.
const KEPT: usize = 256;
/// Seen are images of which one in so many of the kept hashes is met.
const MET: usize = 10;
/// Longest header that is read for its notes; the largest network's is a tenth of it.
const HEADER: usize = 4 << 20;

/// The note on a network that has seen these images of a data set, as indices.
#[must_use]
pub fn note(dataset: &Dataset, images: impl Iterator<Item = usize>) -> String {
    let hashes: BTreeSet<u64> =
        images.filter_map(|index| dataset.images.get(index)).map(|image| hash(dataset, image)).collect();
    let hashes: Vec<String> = hashes.into_iter().take(KEPT).map(|hash| format!("{hash:016x}")).collect();
    hashes.join(" ")
}

/// Has a network with this note seen images of the data set?
#[must_use]
pub fn met(note: &str, dataset: &Dataset) -> bool {
    let noted: BTreeSet<u64> = note.split(' ').filter_map(|hash| u64::from_str_radix(hash, 16).ok()).collect();
    if noted.is_empty() {
        return false;
    }
    let met = dataset.images.iter().filter(|image| noted.contains(&hash(dataset, image))).count();
    met * MET >= noted.len().min(KEPT)
}

fn hash(dataset: &Dataset, image: &Image) -> u64 {
    let mut hasher = blake3::Hasher::new();
    if let Origin::Phantoms { images, patients, seed } = &dataset.origin {
        hasher.update(format!("phantoms {images} {patients} {seed}\0").as_bytes());
    }
    let patient = dataset.patients.get(image.patient as usize).map_or("", String::as_str);
    let class = dataset.classes.get(image.label as usize).map_or("", String::as_str);
    for part in [image.name.as_str(), patient, class] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// A note in a safetensors file, if it is one with such a note.
#[must_use]
pub fn noted(host: &dyn Host, path: &Path, note: &str) -> Option<String> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let length: [u8; 8] = host.read_start(folder, name, 8).ok()?.try_into().ok()?;
    let length = usize::try_from(u64::from_le_bytes(length)).ok().filter(|length| *length <= HEADER)?;
    let start = host.read_start(folder, name, 8 + length).ok()?;
    let header: serde_json::Value = serde_json::from_slice(start.get(8..)?).ok()?;
    header.get("__metadata__")?.get(note)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(names: impl Iterator<Item = usize>, class: impl Fn(usize) -> u32) -> Dataset {
        let images: Vec<Image> = (2..)
            .zip(names)
            .map(|(row, number)| Image {
                name: format!("{number}.png"),
                row,
                patient: u32::try_from(number / 2).unwrap_or(0),
                label: class(number),
            })
            .collect();
        Dataset {
            classes: vec!["ill".into(), "well".into()],
            patients: (0..1000).map(|patient| format!("p{patient}")).collect(),
            images,
            flow: vec![],
            origin: Origin::Files { under: ".".into() },
            given_folds: None,
            given_holdout: None,
            alone: vec![],
            columns: indexmap::IndexMap::new(),
        }
    }

    #[test]
    fn the_same_table_is_met_whatever_rows_are_taken() {
        let class = |number: usize| u32::from(number.is_multiple_of(3));
        let whole = dataset(0..2000, class);
        let seen = note(&whole, 0..1500);
        assert!(met(&seen, &whole) && met(&seen, &dataset(0..400, class)));
        assert!(!met(&seen, &dataset(1600..2000, class)), "others of the same table");
        assert!(!met(&seen, &dataset(5000..7000, class)) && !met("", &whole) && !met("x y", &whole));
        // a handful of images is enough
        let few = note(&whole, 10..14);
        assert!(met(&few, &whole) && !met(&few, &dataset(20..2000, class)));
    }
}
