//! The outside world as the front half sees it: reading, listing and asking, nothing else.
//!
//! [`RealHost`] is the machine; [`MemHost`] is a map of files for tests and editors. What is *written* goes
//! through `store`.

use rayon::slice::ParallelSliceMut as _;
use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What kind of thing a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Anything else: a device, a pipe, a socket.
    Other,
}

/// What the host says of a path without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// File, folder or other.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Changes when the file or who may read it does (time of change and inode mixed).
    pub stamp: u64,
    /// When it last changed, in nanoseconds since 1970; 0 where nobody knows.
    pub changed: u64,
}

impl Stat {
    /// Has it not changed for so long that one more change would show in its stamp? Clocks of file systems tick in up to two
    /// seconds.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.is_ok_and(|now| now.as_nanos() > u128::from(self.changed) + 2_000_000_000)
    }
}

/// Reading, listing and asking. Every path is used as given; relative ones start at the working folder.
pub trait Host: Sync {
    /// The bytes of a regular file.
    ///
    /// # Errors
    /// What the system says; `InvalidInput` for what is not a regular file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// What a path names, links followed.
    ///
    /// # Errors
    /// What the system says.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// One name for whatever a path leads to, however the path is written: tells whether two paths are one file.
    ///
    /// # Errors
    /// What the system says: `NotFound`, or that links lead in a circle.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.stat(path)?;
        Ok(without_dots(path))
    }

    /// The bytes of the regular file that `name` (a relative path from a table's cell) names beneath `root`.
    /// A name can never reach outside `root`: neither by `..` nor by a link.
    ///
    /// # Errors
    /// `PermissionDenied` when the name leaves the root; what the system says otherwise.
    fn read_beneath(&self, root: &Path, name: &str) -> io::Result<Vec<u8>>;

    /// The first bytes, `most` at the most, of what [`Host::read_beneath`] reads.
    ///
    /// # Errors
    /// As [`Host::read_beneath`].
    fn read_start(&self, root: &Path, name: &str, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = self.read_beneath(root, name)?;
        bytes.truncate(most);
        Ok(bytes)
    }

    /// Where checks may keep what they will want again; `None`: each check stands alone.
    fn memory(&self) -> Option<&Memory> {
        None
    }
}

/// Where a [`Memory`] keeps bytes beyond the process. What cannot be kept, or is damaged, is as if it were not there.
pub trait Shelf: std::fmt::Debug + Send + Sync {
    /// What was put under a key.
    fn get(&self, key: &str) -> Option<Vec<u8>>;

    /// Puts bytes under a key, if that can be.
    fn put(&self, key: &str, bytes: &[u8]);
}

/// What a host that checks often remembers from one check to the next. What is kept is the callers' own affair.
#[derive(Debug, Default)]
pub struct Memory {
    /// The newest last.
    held: Mutex<Vec<(String, Arc<dyn Any + Send + Sync>)>>,
    shelf: Option<Box<dyn Shelf>>,
}

impl Memory {
    /// How much is kept; what was wanted longest ago goes first.
    const MOST: usize = 32;

    /// One that also keeps what it is told on a shelf.
    #[must_use]
    pub fn on(shelf: Box<dyn Shelf>) -> Self {
        Self { shelf: Some(shelf), ..Self::default() }
    }

    /// What was remembered under a key.
    pub fn recall<T: DeserializeOwned + Send + Sync + 'static>(&self, key: &str) -> Option<Arc<T>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = held.iter().position(|(name, _)| name == key) {
            let entry = held.remove(at);
            let value = Arc::clone(&entry.1);
            held.push(entry);
            return value.downcast().ok();
        }
        drop(held);
        let value: Arc<T> = Arc::new(postcard::from_bytes(&self.shelf.as_ref()?.get(key)?).ok()?);
        self.hold(key.to_owned(), Arc::clone(&value));
        Some(value)
    }

    /// Remembers something under a key.
    pub fn remember<T: Serialize + Send + Sync + 'static>(&self, key: String, value: Arc<T>) {
        if let Some(shelf) = &self.shelf
            && let Ok(bytes) = postcard::to_stdvec(&*value)
        {
            shelf.put(&key, &bytes);
        }
        self.hold(key, value);
    }

    fn hold<T: Send + Sync + 'static>(&self, key: String, value: Arc<T>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(name, _)| *name != key);
        if held.len() == Self::MOST {
            held.remove(0);
        }
        held.push((key, value));
    }
}

/// Does a relative name stay below its root by its words alone (no `..`, not absolute, no NUL)?
#[must_use]
pub fn stays_beneath(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('\0')
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Without `.` and `x/..`, by the words of the path alone.
#[must_use]
pub fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            Component::ParentDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => out.push(part),
        }
    }
    out
}

/// Operating system and processor architecture, `linux x86_64`.
#[must_use]
pub fn platform() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// The machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealHost;

/// The machine, and what earlier checks found out about it.
#[derive(Debug)]
pub struct Remembering(pub Memory);

impl Host for Remembering {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealHost.read(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        RealHost.stat(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealHost.list(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        RealHost.canonical(path)
    }

    fn read_beneath(&self, root: &Path, name: &str) -> io::Result<Vec<u8>> {
        RealHost.read_beneath(root, name)
    }

    fn read_start(&self, root: &Path, name: &str, most: usize) -> io::Result<Vec<u8>> {
        RealHost.read_start(root, name, most)
    }

    fn memory(&self) -> Option<&Memory> {
        Some(&self.0)
    }
}

fn not_regular(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a regular file", path.display()))
}

/// The empty path, which joining leaves of a study in the working folder, is the working folder.
fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

impl Host for RealHost {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.stat(path)?.kind != Kind::File {
            return Err(not_regular(path));
        }
        std::fs::read(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let meta = std::fs::metadata(here(path))?;
        let kind = if meta.is_file() {
            Kind::File
        } else if meta.is_dir() {
            Kind::Folder
        } else {
            Kind::Other
        };
        // The time of the last change of any kind, which no program can set, where there is one.
        #[cfg(unix)]
        let (changed, inode) = {
            use std::os::unix::fs::MetadataExt as _;
            let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
            let part = u64::try_from(meta.ctime_nsec()).unwrap_or(0);
            (seconds.saturating_mul(1_000_000_000).saturating_add(part), meta.ino())
        };
        #[cfg(not(unix))]
        let (changed, inode) = {
            let since = meta.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            (since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)), 0_u64)
        };
        Ok(Stat { kind, size: meta.len(), stamp: changed ^ inode.rotate_left(40), changed })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(here(path))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.par_sort_unstable();
        Ok(names)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(here(path))
    }

    fn read_beneath(&self, root: &Path, name: &str) -> io::Result<Vec<u8>> {
        self.read_start(root, name, usize::MAX)
    }

    fn read_start(&self, root: &Path, name: &str, most: usize) -> io::Result<Vec<u8>> {
        use std::io::Read as _;
        let root = cap_std::fs::Dir::open_ambient_dir(here(root), cap_std::ambient_authority())?;
        // A FIFO would block an open for reading, so the kind is asked before and after.
        if !root.metadata(name)?.is_file() {
            return Err(not_regular(Path::new(name)));
        }
        let file = root.open(name)?;
        if !file.metadata()?.is_file() {
            return Err(not_regular(Path::new(name)));
        }
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A map of files, for tests and editors.
#[derive(Debug, Default, Clone)]
pub struct MemHost {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl MemHost {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), bytes.into());
        self
    }
}

impl Host for MemHost {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(&without_dots(path)).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let path = &without_dots(path);
        if let Some(bytes) = self.files.get(path) {
            return Ok(Stat { kind: Kind::File, size: bytes.len() as u64, stamp: 0, changed: 0 });
        }
        if self.files.keys().any(|file| file.starts_with(path)) {
            return Ok(Stat { kind: Kind::Folder, size: 0, stamp: 0, changed: 0 });
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let path = &without_dots(path);
        let mut names: Vec<String> = self
            .files
            .keys()
            .filter_map(|file| file.strip_prefix(path).ok())
            .filter_map(|rest| rest.components().next())
            .map(|first| first.as_os_str().to_string_lossy().into_owned())
            .collect();
        names.par_sort_unstable();
        names.dedup();
        if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(names) }
    }

    fn read_beneath(&self, root: &Path, name: &str) -> io::Result<Vec<u8>> {
        if !stays_beneath(name) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.read(&root.join(name))
    }
}
