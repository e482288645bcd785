//! What checks found out about tables, kept in the user's cache folder from one `pipe check` to the next.
//!
//! A file an entry: the BLAKE3 of what follows, then the bytes. It is only ever an accelerator: what is damaged, cannot be
//! written or was made by another build of the program is as if it were not there. What was used longest ago goes first; files
//! with other names than entries have are left alone. The folder is its user's alone: one that others may write to is not used.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::host::Shelf;

/// Bytes kept at most.
const MOST: u64 = 256 * 1024 * 1024;
/// An entry that nobody asked for in this time is removed.
const UNUSED: Duration = Duration::from_hours(30 * 24);
/// How the names of files that are being written begin.
const DRAFT: &str = "draft-";
/// Goes up when what is kept is laid out otherwise.
const FORMAT: u32 = 1;
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
        let program = std::env::current_exe().and_then(fs::metadata).ok()?;
        let build = format!("{} {:?}", program.len(), program.modified().ok()?);
        Some(Self::new(&folder.join("checks"), &build))
    }

    /// A cache in a folder, which is made when there is something to keep.
    #[must_use]
    pub fn new(folder: &Path, build: &str) -> Self {
        Self {
            folder: folder.to_path_buf(),
            build: format!("{FORMAT} {} {build}", env!("CARGO_PKG_VERSION")),
            most: MOST,
        }
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

    /// May this user alone write here? Entries decide what a check says.
    fn is_private(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::metadata(&self.folder).is_ok_and(|meta| meta.permissions().mode() & 0o022 == 0)
        }
        #[cfg(not(unix))]
        true
    }

    fn make_folder(&self) -> std::io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder)
    }

    /// Removes what was not used for long, then what was used longest ago until the rest is small enough.
    fn tidy(&self) -> std::io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_file() && entry.file_name().to_str().is_some_and(is_ours) {
                entries.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), entry.path()));
            }
        }
        entries.sort();
        let old = SystemTime::now().checked_sub(UNUSED);
        let mut all: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (used, size, path) in entries {
            if all <= self.most && old.is_none_or(|old| used >= old) {
                break;
            }
            fs::remove_file(path)?;
            all -= size;
        }
        Ok(())
    }

    fn write(&self, key: &str, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.len() as u64 + SUM as u64 > self.most {
            return Ok(());
        }
        self.make_folder()?;
        if !self.is_private() {
            return Ok(());
        }
        // Readable by this user alone, as tables hold patients.
        let mut file = tempfile::Builder::new().prefix(DRAFT).tempfile_in(&self.folder)?;
        file.write_all(blake3::hash(bytes).as_bytes())?;
        file.write_all(bytes)?;
        file.persist(self.path(key)).map_err(|error| error.error)?;
        self.tidy()
    }
}

impl Shelf for CheckCache {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let path = self.path(key);
        let bytes = self.is_private().then(|| fs::read(&path).ok()).flatten()?;
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

/// Is it the name of an entry, or of one that was being written?
fn is_ours(name: &str) -> bool {
    name.starts_with(DRAFT) || name.len() == 2 * SUM && name.bytes().all(|byte| byte.is_ascii_hexdigit())
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
        old("c", 31 * 24 * 3600);
        let mine = folder.path().join("mine.dat");
        fs::write(&mine, [0; 1000]).unwrap();
        cache.put("large", &[0; 1000]);
        cache.put("e", b"");
        assert_eq!(["a", "c", "d", "e", "large"].map(|key| cache.get(key).is_some()), [true, false, true, true, false]);
        assert!(mine.exists(), "what is not ours stays");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_to_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let cache = CheckCache::new(&folder.path().join("checks"), "");
        cache.put("a", b"bytes");
        let mode = || fs::metadata(cache.folder()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o700);
        assert!(cache.get("a").is_some());
        fs::set_permissions(cache.folder(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(cache.get("a"), None);
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
