//! Every byte we keep between runs: finished nodes by content key, digests of files, and locks.
//!
//! A node's result is a folder `nodes/<key>/` with its files and a `manifest.json` that names each file's size
//! and BLAKE3. It is written beside, every file and the folder are synced, and one rename makes it real, so a
//! node is there whole or not at all. What fails its digest is treated as absent, never as data.

mod digests;
mod folder;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use digests::Digests;
pub use folder::{Lock, RunFolder};

use crate::graph::Key;

const MANIFEST: &str = "manifest.json";
const MANIFEST_VERSION: u32 = 1;

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
    _lock: File,
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
            // A draft's lock is held by the process that writes it and freed by the kernel when that dies.
            let abandoned = match File::open(path.join(".lock")) {
                Ok(lock) => lock.try_lock().is_ok(),
                Err(_) => false,
            };
            if abandoned {
                fs::remove_dir_all(&path)?;
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
        let folder = self.node_folder(key);
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

    /// Removes a node, whole or damaged.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, key: &Key) -> io::Result<()> {
        match fs::remove_dir_all(self.node_folder(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Starts a node.
    ///
    /// # Errors
    /// What the system says when the draft's folder cannot be made.
    pub fn draft(&self, key: &Key) -> io::Result<Draft> {
        let folder = self.root.join("drafts").join(format!("{}-{}", key.short(), std::process::id()));
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join(".lock"))?;
        lock.lock()?;
        Ok(Draft { folder, target: self.node_folder(key), key: key.clone(), files: BTreeMap::new(), _lock: lock })
    }
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
        fs::remove_file(self.folder.join(".lock"))?;
        sync_folder(&self.folder)?;
        match fs::remove_dir_all(&self.target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(&self.folder, &self.target)?;
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
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    #[cfg(unix)]
    {
        // A temporary file is private; what we hand over follows the user's usual rights.
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}
