//! The folder a run writes its results to, and the lock that keeps two runs apart.
//!
//! `manifest.yaml` is written last and removed first: a folder without it holds no finished run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const LOCK: &str = ".lock";
const MANIFEST: &str = "manifest.yaml";
const PREDICTIONS: &str = "predictions.csv";
const VALIDATION: &str = "validation.csv";
/// What lies in the folder of a fold's model.
const MODEL: [&str; 2] = ["model.safetensors", "config.json"];
/// What a study with several variants has in its folder besides them; in the way of a variant of that name.
const OWN: [&str; 9] =
    [LOCK, MANIFEST, PREDICTIONS, VALIDATION, "models", "study.pipe", "used", "record.json", "report.html"];

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

    /// Writes all results, the manifest last. `within` is empty, or the part of the folder that a variant has.
    ///
    /// # Errors
    /// What the system says.
    pub fn publish(&self, within: &str, files: &[(String, Vec<u8>)], manifest: &str) -> io::Result<()> {
        let root = self.root.join(within);
        // A study is not finished while one of its variants is written.
        super::gone(fs::remove_file(self.root.join(MANIFEST)))?;
        super::gone(fs::remove_file(root.join(MANIFEST)))?;
        remove_models(&root)?;
        for table in [PREDICTIONS, VALIDATION] {
            if !files.iter().any(|(name, _)| name == table) {
                super::gone(fs::remove_file(root.join(table)))?;
            }
        }
        for (name, bytes) in files {
            let path = root.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            super::write_whole(&path, bytes)?;
        }
        super::write_whole(&root.join(MANIFEST), manifest.as_bytes())
    }
}

/// Removes the models of an earlier run, which may have had more folds, and nothing that is not ours.
fn remove_models(root: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(root.join("models")) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let fold = name.to_str().and_then(|name| name.strip_prefix("fold-"));
        if fold.is_some_and(|fold| fold.parse::<u32>().is_ok()) {
            for file in MODEL {
                super::gone(fs::remove_file(entry.path().join(file)))?;
            }
            // What somebody put beside them stays, and so does the folder.
            let _ = fs::remove_dir(entry.path());
        }
    }
    Ok(())
}

/// The folders of variants within a run's folder: their names, `/` between labels, each fit for a file system and none
/// in the way of another or of the study's own files.
#[must_use]
pub fn variant_folders(names: &[&str]) -> Vec<String> {
    let mut taken: BTreeSet<String> = OWN.iter().map(|name| (*name).to_owned()).collect();
    names
        .iter()
        .map(|name| {
            let parts: Vec<String> = name.split('/').map(fit).collect();
            let plain = parts.join("/");
            let mut folder = plain.clone();
            let mut number = 1;
            // In small letters, since some file systems take `A` for `a`.
            while !taken.insert(folder.to_lowercase()) {
                number += 1;
                folder = format!("{plain}-{number}");
            }
            folder
        })
        .collect()
}

/// A label as a folder's name.
fn fit(label: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '=' | ',' | '(' | ')' | ' ' | '%');
    let name: String = label.chars().map(|c| if kept(c) { c } else { '_' }).take(120).collect();
    let name = name.trim_matches(|c: char| c == ' ' || c == '.');
    if name.is_empty() { "variant".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::variant_folders;

    #[test]
    fn every_variant_has_a_folder_of_its_own() {
        let names = ["resnet18/ce", "a/../b", "x:y", "x*y", "X_Y", "models", ".", "lr = 1e-3"];
        let folders = variant_folders(&names);
        let expected = ["resnet18/ce", "a/variant/b", "x_y", "x_y-2", "X_Y-3", "models-2", "variant", "lr = 1e-3"];
        assert_eq!(folders, expected);
    }
}
