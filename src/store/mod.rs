//! Every byte we keep between runs: finished nodes by content key, digests of files, and locks.
//!
//! A node's result is a folder `nodes/<key>/` with its files and a `manifest.json` that names each file's size
//! and BLAKE3. It is written beside (`drafts/<name>/`, with `drafts/<name>.lock` held by the process that writes
//! it), every file and the folder are synced, and one rename makes it real, so a node is there whole or not at
//! all. What fails its digest is treated as absent, never as data.

mod bound;
mod digests;
mod folder;
mod prints;
mod shelf;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

pub use bound::Freed;
pub use digests::Digests;
pub use folder::{Lock, RunFolder, variant_folders};
pub use prints::Fingerprints;
pub use shelf::CheckCache;

use crate::graph::{Key, Parts};

const MANIFEST: &str = "manifest.json";
const MANIFEST_VERSION: u32 = 1;
const LOCK: &str = "lock";
/// What a node's key is made of, for `pipe why`.
const PARTS: &str = "parts.json";
/// How often a rename is tried while others make and remove the same node.
const RENAMES: u32 = 8;

/// The folder with everything that is kept between runs.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    key: String,
    files: BTreeMap<String, FileEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileEntry {
    size: u64,
    /// Absent for files that check themselves, record by record.
    blake3: Option<String>,
}

/// A finished node.
#[derive(Debug, Clone)]
pub struct Stored {
    folder: PathBuf,
}

/// A node that is being made. Dropped without [`Draft::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    folder: PathBuf,
    target: PathBuf,
    key: Key,
    files: BTreeMap<String, FileEntry>,
    /// Locked from before the folder is made until after it is gone; dropped last, with its file.
    _lock: NamedTempFile,
}

/// What the store holds for a key.
#[derive(Debug)]
pub enum Lookup {
    /// Nothing.
    Absent,
    /// A whole node; its manifest reads and every file has its size.
    Present(Stored),
    /// Something that is not whole; why.
    Damaged(String),
}

impl Store {
    /// Opens a store, making it if need be, and clears away what a killed run left half-made.
    ///
    /// # Errors
    /// What the system says when the folder cannot be made or read.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join("nodes"))?;
        fs::create_dir_all(root.join("drafts"))?;
        let ignore = root.join(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
        let store = Self { root: root.to_path_buf() };
        store.clear_drafts()?;
        Ok(store)
    }

    /// Where it lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn clear_drafts(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join("drafts"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == LOCK) {
                // The lock is freed by the kernel when the process that writes the draft dies.
                let lock = File::open(&path);
                if lock.as_ref().is_ok_and(|lock| lock.try_lock().is_ok()) {
                    gone(fs::remove_dir_all(path.with_extension("")))?;
                    gone(fs::remove_file(&path))?;
                }
            } else if !path.with_extension(LOCK).exists() {
                gone(fs::remove_dir_all(&path))?;
            }
        }
        Ok(())
    }

    fn node_folder(&self, key: &Key) -> PathBuf {
        self.root.join("nodes").join(key.as_str())
    }

    /// What is there for a key.
    #[must_use]
    pub fn look_up(&self, key: &Key) -> Lookup {
        look_into(self.node_folder(key), key)
    }

    /// What the key of each node that is kept is made of, where that was kept and reads whole.
    #[must_use]
    pub fn kept(&self) -> BTreeMap<Key, Parts> {
        let entries = fs::read_dir(self.root.join("nodes")).into_iter().flatten().flatten();
        let keys = entries.filter_map(|entry| Key::parse(entry.file_name().to_str()?));
        keys.filter_map(|key| match self.look_up(&key) {
            Lookup::Present(stored) => {
                let parts = serde_json::from_slice(&stored.read(PARTS).ok()?).ok()?;
                Some((key, parts))
            }
            Lookup::Absent | Lookup::Damaged(_) => None,
        })
        .collect()
    }

    /// Removes a node, whole or damaged.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, key: &Key) -> io::Result<()> {
        gone(fs::remove_dir_all(self.node_folder(key)))
    }

    /// Starts a node.
    ///
    /// # Errors
    /// What the system says when the draft's folder cannot be made.
    pub fn draft(&self, key: &Key) -> io::Result<Draft> {
        let prefix = format!("{}-", key.short());
        let suffix = format!(".{LOCK}");
        loop {
            let place = self.root.join("drafts");
            let lock = tempfile::Builder::new().prefix(&prefix).suffix(&suffix).tempfile_in(place)?;
            lock.as_file().lock()?;
            // Whoever clears up may have come between the making and the locking, and taken it for abandoned.
            if lock.path().exists() {
                let folder = lock.path().with_extension("");
                fs::create_dir(&folder)?;
                let target = self.node_folder(key);
                return Ok(Draft { folder, target, key: key.clone(), files: BTreeMap::new(), _lock: lock });
            }
        }
    }
}

/// What a node's folder holds.
fn look_into(folder: PathBuf, key: &Key) -> Lookup {
    let text = match fs::read(folder.join(MANIFEST)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.exists() => return Lookup::Absent,
        Err(error) => return Lookup::Damaged(format!("its manifest cannot be read: {error}")),
    };
    let manifest: Manifest = match serde_json::from_slice(&text) {
        Ok(manifest) => manifest,
        Err(error) => return Lookup::Damaged(format!("its manifest is not whole: {error}")),
    };
    if manifest.version != MANIFEST_VERSION || manifest.key != key.as_str() {
        return Lookup::Damaged("its manifest belongs to something else".into());
    }
    for (name, entry) in &manifest.files {
        match fs::metadata(folder.join(name)) {
            Ok(meta) if meta.len() == entry.size => {}
            Ok(meta) => {
                return Lookup::Damaged(format!("`{name}` has {} bytes instead of {}", meta.len(), entry.size));
            }
            Err(error) => return Lookup::Damaged(format!("`{name}` cannot be read: {error}")),
        }
    }
    Lookup::Present(Stored { folder })
}

impl Stored {
    /// The path of a file that checks itself.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Reads a file and holds it against its digest.
    ///
    /// # Errors
    /// `InvalidData` when the digest differs; what the system says otherwise.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let damaged = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("`{name}` {why}"));
        let manifest: Manifest = serde_json::from_slice(&fs::read(self.folder.join(MANIFEST))?)?;
        let entry = manifest.files.get(name).ok_or_else(|| damaged("is not in the manifest"))?;
        let bytes = fs::read(self.folder.join(name))?;
        match &entry.blake3 {
            Some(digest) if *digest != Key::of(&bytes).as_str() => Err(damaged("differs from its digest")),
            _ => Ok(bytes),
        }
    }
}

impl Draft {
    /// Where to write a file that checks itself; name it to [`Draft::adopt`] afterwards.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Takes a file into the node that was written to [`Draft::path`] and checks itself.
    ///
    /// # Errors
    /// What the system says.
    pub fn adopt(&mut self, name: &str) -> io::Result<()> {
        let file = File::open(self.folder.join(name))?;
        file.sync_all()?;
        self.files.insert(name.into(), FileEntry { size: file.metadata()?.len(), blake3: None });
        Ok(())
    }

    /// Writes a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.folder.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let entry = FileEntry { size: bytes.len() as u64, blake3: Some(Key::of(bytes).as_str().into()) };
        self.files.insert(name.into(), entry);
        Ok(())
    }

    /// Keeps what the node's key is made of.
    ///
    /// # Errors
    /// What the system says.
    pub fn explain(&mut self, parts: &Parts) -> io::Result<()> {
        self.write(PARTS, serde_json::to_string(parts)?.as_bytes())
    }

    /// Makes the node real.
    ///
    /// # Errors
    /// What the system says.
    pub fn commit(mut self) -> io::Result<Stored> {
        let files = std::mem::take(&mut self.files);
        let manifest = Manifest { version: MANIFEST_VERSION, key: self.key.as_str().into(), files };
        let mut file = File::create(self.folder.join(MANIFEST))?;
        file.write_all(serde_json::to_string_pretty(&manifest)?.as_bytes())?;
        file.sync_all()?;
        sync_folder(&self.folder)?;
        let mut tries = 0;
        while let Err(error) = fs::rename(&self.folder, &self.target) {
            match look_into(self.target.clone(), &self.key) {
                // Somebody else was quicker; equal keys are equal content.
                Lookup::Present(stored) => return Ok(stored),
                Lookup::Damaged(_) if tries < RENAMES => gone(fs::remove_dir_all(&self.target))?,
                Lookup::Absent if tries < RENAMES && self.folder.exists() => {}
                Lookup::Damaged(_) | Lookup::Absent => return Err(error),
            }
            tries += 1;
        }
        if let Some(parent) = self.target.parent() {
            sync_folder(parent)?;
        }
        Ok(Stored { folder: self.target.clone() })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a commit the folder is gone from here, and there is nothing to remove.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What is gone already need not be removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes renames in a folder survive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Writes a file beside and renames it into place: it is there whole or as it was before.
///
/// # Errors
/// What the system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, None)
}

/// Writes a file of the user's anew, as [`write_whole`] does; it keeps its permissions, and a link leads where it led.
///
/// # Errors
/// What the system says, also when there is no such file.
pub fn rewrite_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    // a file that may not be written is not replaced either
    let permissions = fs::OpenOptions::new().append(true).open(&path)?.metadata()?.permissions();
    replace(&path, bytes, Some(permissions))
}

fn replace(path: &Path, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // A temporary file is private; what we hand over follows the user's umask, as any new file does.
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}
