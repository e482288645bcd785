//! Fingerprints of images, remembered by the digest of the file they were taken from.
//!
//! One file of records, each with a checksum: what is damaged is as if it were not there. Written whole, beside.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::graph::Key;
use crate::images::decode::Kind;
use crate::images::fingerprint::{Fingerprint, SIDE};

/// The file's first bytes; a fingerprint that is taken otherwise needs another number.
const MAGIC: &[u8] = b"pipe fingerprints 1\n";
/// Key, sizes, channels, bits, brightness, digest of the pixels, gradients, small picture.
const BODY: usize = 64 + 4 + 4 + 1 + 1 + 2 + 32 + 32 + SIDE * SIDE;
const SUM: usize = 8;

/// Remembered fingerprints.
#[derive(Debug)]
pub struct Fingerprints {
    file: PathBuf,
    entries: BTreeMap<String, Fingerprint>,
    changed: bool,
}

impl Fingerprints {
    /// Reads what a store remembers.
    #[must_use]
    pub fn open(store: &super::Store) -> Self {
        let file = store.root().join("fingerprints.bin");
        let bytes = fs::read(&file).unwrap_or_default();
        let records = bytes.strip_prefix(MAGIC).unwrap_or_default().chunks_exact(BODY + SUM);
        let entries = records.filter_map(decoded).collect();
        Self { file, entries, changed: false }
    }

    /// The fingerprint of the file with this digest.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Fingerprint> {
        self.entries.get(key.as_str())
    }

    /// Remembers one.
    pub fn remember(&mut self, key: &Key, print: &Fingerprint) {
        self.changed |= self.entries.insert(key.as_str().to_owned(), print.clone()).is_none();
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.changed) {
            let mut bytes = MAGIC.to_vec();
            for (key, print) in &self.entries {
                encode(key, print, &mut bytes);
            }
            super::write_whole(&self.file, &bytes)?;
        }
        Ok(())
    }
}

fn checksum(body: &[u8]) -> [u8; SUM] {
    let mut sum = [0; SUM];
    sum.copy_from_slice(blake3::hash(body).as_bytes().get(..SUM).unwrap_or(&[0; SUM]));
    sum
}

fn encode(key: &str, print: &Fingerprint, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(&print.kind.width.to_le_bytes());
    bytes.extend_from_slice(&print.kind.height.to_le_bytes());
    bytes.extend_from_slice(&[print.kind.channels, print.kind.bits]);
    bytes.extend_from_slice(&print.brightness.to_le_bytes());
    bytes.extend_from_slice(&print.pixels);
    bytes.extend(print.gradients.iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend_from_slice(&print.small);
    // a picture of another size than ours cannot be kept
    if bytes.len() - start == BODY {
        let sum = checksum(bytes.get(start..).unwrap_or_default());
        bytes.extend_from_slice(&sum);
    } else {
        bytes.truncate(start);
    }
}

fn decoded(record: &[u8]) -> Option<(String, Fingerprint)> {
    let (body, sum) = record.split_at_checked(BODY)?;
    if checksum(body) != sum {
        return None;
    }
    let mut rest = body;
    let key = std::str::from_utf8(take::<64>(&mut rest)?).ok()?.to_owned();
    let width = u32::from_le_bytes(*take(&mut rest)?);
    let height = u32::from_le_bytes(*take(&mut rest)?);
    let [channels, bits] = *take::<2>(&mut rest)?;
    let brightness = u16::from_le_bytes(*take(&mut rest)?);
    let pixels = *take::<32>(&mut rest)?;
    let mut gradients = [0; 4];
    for word in &mut gradients {
        *word = u64::from_le_bytes(*take(&mut rest)?);
    }
    let kind = Kind { width, height, channels, bits };
    Some((key, Fingerprint { kind, brightness, pixels, gradients, small: rest.to_vec() }))
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, others) = rest.split_first_chunk::<N>()?;
    *rest = others;
    Some(first)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::images::Pixels;

    #[test]
    fn fingerprints_come_back_and_damage_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = super::super::Store::open(folder.path()).unwrap();
        let kind = Kind { width: 40, height: 30, channels: 1, bits: 16 };
        let print = |seed: u8| {
            let data = (0..40 * 30).map(|at| u8::try_from(at % 199).unwrap().wrapping_mul(seed)).collect();
            Fingerprint::of_pixels(kind, &Pixels { width: 40, height: 30, channels: 1, data })
        };
        let (one, two) = (Key::of(b"one"), Key::of(b"two"));
        let mut prints = Fingerprints::open(&store);
        assert!(prints.get(&one).is_none());
        prints.remember(&one, &print(3));
        prints.remember(&two, &print(7));
        prints.save().unwrap();
        let again = Fingerprints::open(&store);
        assert_eq!((again.get(&one), again.get(&two)), (Some(&print(3)), Some(&print(7))));
        let file = folder.path().join("fingerprints.bin");
        let mut bytes = fs::read(&file).unwrap();
        let last = bytes.len() - 100;
        bytes[last] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let damaged = Fingerprints::open(&store);
        assert_eq!([&one, &two].iter().filter(|key| damaged.get(key).is_some()).count(), 1);
    }
}
