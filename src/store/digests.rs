//! Digests of files, remembered by path, size and stamp.
//!
//! Only an accelerator: a file whose size or stamp changed is read again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::graph::Key;
use crate::host::{Host, Stat};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    size: u64,
    stamp: u64,
    blake3: String,
}

/// Remembered digests.
#[derive(Debug, Default)]
pub struct Digests {
    file: PathBuf,
    entries: BTreeMap<String, Entry>,
    changed: bool,
}

impl Digests {
    /// Reads what a store remembers; a damaged list is an empty one.
    #[must_use]
    pub fn open(store: &super::Store) -> Self {
        let file = store.root().join("digests.json");
        let entries = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { file, entries, changed: false }
    }

    /// The digest of a file, if it is remembered and neither size nor stamp changed.
    #[must_use]
    pub fn remembered(&self, path: &Path, host: &dyn Host) -> Option<Key> {
        let entry = self.entries.get(&name(path)?)?;
        let stat = host.stat(path).ok()?;
        (entry.size == stat.size && entry.stamp == stat.stamp && stat.stamp != 0)
            .then(|| Key::parse(&entry.blake3))
            .flatten()
    }

    /// Remembers the digest of a file. `stat` was asked *before* it was read: what changes meanwhile is read again.
    pub fn remember(&mut self, path: &Path, key: &Key, stat: Stat) {
        if let Some(name) = name(path) {
            let entry = Entry { size: stat.size, stamp: stat.stamp, blake3: key.as_str().into() };
            self.entries.insert(name, entry);
            self.changed = true;
        }
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.changed) {
            super::write_whole(&self.file, serde_json::to_string(&self.entries)?.as_bytes())?;
        }
        Ok(())
    }
}

/// A store may serve several working folders, so relative paths are made absolute.
fn name(path: &Path) -> Option<String> {
    std::path::absolute(path).ok()?.to_str().map(str::to_owned)
}
