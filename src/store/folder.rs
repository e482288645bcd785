//! The folder a run writes its results to, and the lock that keeps two runs apart.
//!
//! `manifest.yaml` is written last and removed first: a folder without it holds no finished run.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const LOCK: &str = ".lock";
const MANIFEST: &str = "manifest.yaml";

/// Held while a run writes; freed by the kernel however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A run's folder, locked.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    _lock: Lock,
}

impl RunFolder {
    /// Makes and locks a run's folder. `Ok(None)`: another run holds it.
    ///
    /// # Errors
    /// What the system says when the folder cannot be made or written.
    pub fn open(root: &Path) -> io::Result<Option<Self>> {
        fs::create_dir_all(root)?;
        let file = File::create(root.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { root: root.to_path_buf(), _lock: Lock { _file: file } })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes all results, the manifest last.
    ///
    /// # Errors
    /// What the system says.
    pub fn publish(&self, files: &[(String, Vec<u8>)], manifest: &str) -> io::Result<()> {
        super::gone(fs::remove_file(self.root.join(MANIFEST)))?;
        self.remove_models()?;
        for (name, bytes) in files {
            let path = self.root.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            super::write_whole(&path, bytes)?;
        }
        super::write_whole(&self.root.join(MANIFEST), manifest.as_bytes())
    }

    /// Removes the models of an earlier run, which may have had more folds, and nothing that is not ours.
    fn remove_models(&self) -> io::Result<()> {
        let entries = match fs::read_dir(self.root.join("models")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let fold = name.to_str().and_then(|name| name.strip_prefix("fold-")?.strip_suffix(".safetensors"));
            if fold.is_some_and(|fold| fold.parse::<u32>().is_ok()) {
                super::gone(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }
}
