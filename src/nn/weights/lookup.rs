//! Where a model's first weights are: a file that the study names, the folders given, the Hugging Face cache.
//!
//! Nothing is fetched. One of the few places that read the disk and the environment.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::study::{Backbone, Model, Weights};

use super::problem::WeightsError;

/// A weight file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
}

/// Where ImageNet weights are looked for, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Folders of `<timm model>.<tag>.safetensors` or `<timm model>.safetensors`.
    pub folders: Vec<PathBuf>,
    /// Hugging Face hub caches: folders of `models--timm--<model>.<tag>`.
    pub caches: Vec<PathBuf>,
}

/// The weight file of a model; `None` for `weights = none`.
///
/// A named file is relative to `base`, the study file's folder. For `imagenet` the folders come first, then the
/// Hugging Face cache of this machine ([`default_caches`]).
///
/// # Errors
/// A named file that cannot be read; no ImageNet weights anywhere (with every place looked at).
pub fn lookup(model: &Model, base: &Path, folders: &[PathBuf]) -> Result<Option<Found>, WeightsError> {
    match &model.weights {
        Weights::None => Ok(None),
        Weights::File(path) => read(&base.join(path)).map(Some),
        Weights::Imagenet => {
            imagenet(model.backbone, &Places { folders: folders.to_vec(), caches: default_caches() }).map(Some)
        }
    }
}

/// The Hugging Face hub cache as its own client finds it: `HF_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME` or
/// `~/.cache`, then `huggingface/hub`; the first that is set.
#[must_use]
pub fn default_caches() -> Vec<PathBuf> {
    caches(&|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn caches(variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let cache = || variable("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || variable("HOME").or_else(|| variable("USERPROFILE")).map(|home| PathBuf::from(home).join(".cache"));
    variable("HF_HUB_CACHE")
        .map(PathBuf::from)
        .or_else(|| variable("HF_HOME").map(|home| PathBuf::from(home).join("hub")))
        .or_else(|| cache().or_else(home).map(|cache| cache.join("huggingface").join("hub")))
        .into_iter()
        .collect()
}

fn imagenet(backbone: Backbone, places: &Places) -> Result<Found, WeightsError> {
    let model = backbone.card().timm;
    let tags: Vec<&str> = backbone.card().pretrained("imagenet").map(|pretrained| pretrained.tag).collect();
    let mut looked = Vec::new();
    for folder in &places.folders {
        let names = tags.iter().map(|tag| format!("{model}.{tag}.safetensors"));
        for name in names.chain([format!("{model}.safetensors")]) {
            let path = folder.join(name);
            if path.is_file() {
                return read(&path);
            }
            looked.push(path);
        }
    }
    for cache in &places.caches {
        for tag in &tags {
            let folder = cache.join(format!("models--timm--{model}.{tag}"));
            if let Some(path) = snapshots(&folder).into_iter().find(|path| path.is_file()) {
                return read(&path);
            }
            looked.push(folder);
        }
    }
    let repository = format!("timm/{model}.{}", tags.first().unwrap_or(&"in1k"));
    Err(WeightsError::NotFound { model: model.to_owned(), looked, repository })
}

/// `snapshots/*/model.safetensors` of a cached repository: the revision `refs/main` names first, then by name.
fn snapshots(repository: &Path) -> Vec<PathBuf> {
    let main = fs::read_to_string(repository.join("refs").join("main")).unwrap_or_default();
    let entries = fs::read_dir(repository.join("snapshots"));
    let mut revisions: Vec<OsString> = entries.into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    revisions.sort_by_key(|name| (name.as_os_str() != main.trim(), name.clone()));
    revisions.iter().map(|name| repository.join("snapshots").join(name).join("model.safetensors")).collect()
}

fn read(path: &Path) -> Result<Found, WeightsError> {
    let unreadable = |reason: String| WeightsError::Unreadable { path: path.to_owned(), reason };
    let kind = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !kind.is_file() {
        return Err(unreadable("not a regular file".to_owned()));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let sha256 = format!("{:x}", Sha256::digest(&bytes));
    Ok(Found { path: path.to_owned(), bytes, sha256 })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_cache_is_where_its_own_client_keeps_it() {
        let at = |set: &[(&str, &str)]| {
            let set = set.to_vec();
            caches(&|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
        };
        assert_eq!(at(&[("HF_HUB_CACHE", "/a"), ("HF_HOME", "/b"), ("HOME", "/c")]), [PathBuf::from("/a")]);
        assert_eq!(at(&[("HF_HOME", "/b"), ("HOME", "/c")]), [PathBuf::from("/b/hub")]);
        assert_eq!(at(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/c")]), [PathBuf::from("/x/huggingface/hub")]);
        assert_eq!(at(&[("HOME", "/c")]), [PathBuf::from("/c/.cache/huggingface/hub")]);
        assert_eq!(at(&[]), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_cached_repository_is_read_at_its_main_revision() {
        let cache = tempfile::tempdir().unwrap();
        let repository = cache.path().join("models--timm--resnet18.a1_in1k");
        for revision in ["1111", "2222"] {
            let snapshot = repository.join("snapshots").join(revision);
            fs::create_dir_all(&snapshot).unwrap();
            fs::write(snapshot.join("model.safetensors"), revision).unwrap();
        }
        let places = Places { folders: Vec::new(), caches: vec![cache.path().to_owned()] };
        assert_eq!(imagenet(Backbone::named("resnet18").unwrap(), &places).unwrap().bytes, b"1111");
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::write(repository.join("refs").join("main"), "2222\n").unwrap();
        assert_eq!(imagenet(Backbone::named("resnet18").unwrap(), &places).unwrap().bytes, b"2222");
    }

    #[test]
    fn weights_that_are_nowhere_are_reported_with_every_place() {
        let places = Places { folders: vec!["/no/w".into()], caches: vec!["/no/hub".into()] };
        let error = imagenet(Backbone::named("resnet34").unwrap(), &places).unwrap_err();
        let words = error.to_string();
        for place in [
            "/no/w/resnet34.tv_in1k.safetensors",
            "/no/w/resnet34.a1_in1k.safetensors",
            "/no/w/resnet34.safetensors",
            "/no/hub/models--timm--resnet34.tv_in1k",
            "/no/hub/models--timm--resnet34.a1_in1k",
        ] {
            assert!(words.contains(place), "{place} in: {words}");
        }
        assert!(error.help().unwrap().contains("huggingface-cli download timm/resnet34.tv_in1k"));
    }
}
