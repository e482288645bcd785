//! What checks found out about tables, kept in the user's cache folder from one `pipe check` to the next.
//!
//! A file an entry: the BLAKE3 of what follows, then the bytes. It is only ever an accelerator: what is damaged, cannot be
//! written or was made by another build of the program is as if it were not there. What was used longest ago goes first.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::host::Shelf;

/// Bytes kept at most.
const MOST: u64 = 256 * 1024 * 1024;
const SUM: usize = blake3::OUT_LEN;

/// A folder of entries.
#[derive(Debug)]
pub struct CheckCache {
    folder: PathBuf,
    /// Tells builds of the program apart.
    build: String,
    most: u64,
}

impl CheckCache {
    /// The cache of this user: `$PIPE_CACHE`, else `pipe` in `$XDG_CACHE_HOME` or in the system's place for caches. `None` where
    /// there is no such place, or `PIPE_CACHE` is empty.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        let folder = match std::env::var_os("PIPE_CACHE") {
            Some(folder) => Some(PathBuf::from(folder)).filter(|folder| !folder.as_os_str().is_empty())?,
            None => system_folder()?.join("pipe"),
        };
        let program = std::env::current_exe().and_then(fs::metadata);
        let build = match &program {
            Ok(meta) => format!("{} {:?}", meta.len(), meta.modified().ok()),
            Err(_) => String::new(),
        };
        Some(Self::new(&folder.join("checks"), &build))
    }

    /// A cache in a folder, which is made when there is something to keep.
    #[must_use]
    pub fn new(folder: &Path, build: &str) -> Self {
        Self { folder: folder.to_path_buf(), build: format!("{} {build}", env!("CARGO_PKG_VERSION")), most: MOST }
    }

    /// Where entries lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, key: &str) -> PathBuf {
        let name = blake3::hash(format!("{} {key}", self.build).as_bytes());
        self.folder.join(name.to_hex().as_str())
    }

    /// Removes what was used longest ago until the rest is small enough.
    fn tidy(&self) -> std::io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_file() {
                entries.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), entry.path()));
            }
        }
        entries.sort();
        let mut all: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in entries {
            if all <= self.most {
                break;
            }
            fs::remove_file(path)?;
            all -= size;
        }
        Ok(())
    }

    fn write(&self, key: &str, bytes: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Readable by this user alone, as tables hold patients.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(blake3::hash(bytes).as_bytes())?;
        file.write_all(bytes)?;
        file.persist(self.path(key)).map_err(|error| error.error)?;
        self.tidy()
    }
}

impl Shelf for CheckCache {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let path = self.path(key);
        let bytes = fs::read(&path).ok()?;
        let (sum, kept) = bytes.split_first_chunk::<SUM>()?;
        if blake3::hash(kept).as_bytes() != sum {
            return None;
        }
        // When it was last used. That this cannot be noted harms nobody.
        let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(kept.to_vec())
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        // A cache that is full, read-only or in nobody's home makes the next check slower, not wrong.
        let _ = self.write(key, bytes);
    }
}

#[cfg(target_os = "windows")]
fn system_folder() -> Option<PathBuf> {
    std::env::var_os("LOCALAPPDATA").map(PathBuf::from)
}

#[cfg(not(target_os = "windows"))]
fn system_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || Some(absolute("HOME")?.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }));
    absolute("XDG_CACHE_HOME").or_else(home)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CheckCache::new(folder.path(), "one");
        assert_eq!(cache.get("a"), None);
        cache.put("a", b"some bytes");
        assert_eq!(cache.get("a").as_deref(), Some(&b"some bytes"[..]));
        assert_eq!(CheckCache::new(folder.path(), "two").get("a"), None, "another build");
        let path = cache.path("a");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get("a"), None, "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(cache.get("a"), None, "cut at {at}");
        }
        fs::write(&path, whole).unwrap();
        assert!(cache.get("a").is_some());
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CheckCache { most: 3 * (SUM as u64 + 10), ..CheckCache::new(folder.path(), "") };
        let old = |key: &str, age| {
            let file = File::options().append(true).open(cache.path(key)).unwrap();
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
        };
        for (key, age) in [("a", 40), ("b", 30), ("c", 20)] {
            cache.put(key, b"ten bytes.");
            old(key, age);
        }
        assert!(cache.get("a").is_some(), "and now it is the newest");
        cache.put("d", b"ten bytes.");
        assert_eq!(["a", "b", "c", "d"].map(|key| cache.get(key).is_some()), [true, false, true, true]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let cache = CheckCache::new(&file.join("within"), "");
        cache.put("a", b"bytes");
        assert_eq!(cache.get("a"), None);
    }
}
