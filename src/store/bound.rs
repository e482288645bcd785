//! A bound for the store: the nodes that were used last stay, the others go until the rest fits.
//!
//! A node leaves by one rename, so it is there whole or not at all for whoever else uses the store; what another run
//! misses, it makes again.

use std::fs::{self, File};
use std::io;
use std::time::SystemTime;

use super::{MANIFEST, Store, gone};
use crate::graph::Key;

/// What was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freed {
    /// Nodes.
    pub nodes: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that are still there.
    pub left: u64,
}

impl Store {
    /// Notes that these nodes were used now, then lets the others go, the one unused for longest first, until all nodes
    /// together have at most `limit` bytes. Those that were used stay in any case.
    ///
    /// # Errors
    /// What the system says when a node cannot be removed or the store not be read.
    pub fn bound(&self, limit: u64, used: &[&Key]) -> io::Result<Freed> {
        let now = SystemTime::now();
        for key in used {
            // Only an order of leaving hangs on it, so a store that others own is no error.
            let manifest = File::options().append(true).open(self.node_folder(key).join(MANIFEST));
            let _ = manifest.and_then(|file| file.set_modified(now));
        }
        let mut nodes = Vec::new();
        let mut left = 0;
        for entry in fs::read_dir(self.root.join("nodes"))? {
            let Some(key) = entry?.file_name().to_str().and_then(Key::parse) else { continue };
            // What somebody else removes meanwhile is no error.
            let Ok((last, bytes)) = self.extent(&key) else { continue };
            left += bytes;
            nodes.push((last, key, bytes));
        }
        nodes.sort();
        let mut freed = Freed { nodes: 0, bytes: 0, left };
        for (_, key, bytes) in nodes.iter().filter(|(_, key, _)| !used.contains(&key)) {
            if freed.left <= limit {
                break;
            }
            let aside = self.root.join("drafts").join(format!("{}-{}", key.as_str(), std::process::id()));
            gone(fs::rename(self.node_folder(key), &aside))?;
            gone(fs::remove_dir_all(&aside))?;
            freed = Freed { nodes: freed.nodes + 1, bytes: freed.bytes + bytes, left: freed.left - bytes };
        }
        Ok(freed)
    }

    /// When a node was used last, and its bytes. A node without a manifest is of no use to anybody.
    fn extent(&self, key: &Key) -> io::Result<(SystemTime, u64)> {
        let folder = self.node_folder(key);
        let last = fs::metadata(folder.join(MANIFEST)).and_then(|meta| meta.modified());
        let mut bytes = 0;
        for entry in fs::read_dir(folder)? {
            bytes += entry?.metadata()?.len();
        }
        Ok((last.unwrap_or(SystemTime::UNIX_EPOCH), bytes))
    }
}
