//! Where a model's first weights are: a file that the study names, the folders given, the Hugging Face cache.
//!
//! Nothing is fetched. One of the few places that read the disk and the environment.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::study::{Backbone, Model, Weights};

use super::problem::WeightsError;
use super::source::Source;

/// A weight file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its bytes, and when they were written: another file at this place is not read for this one.
    size: u64,
    written: Option<SystemTime>,
}

impl Found {
    /// The file, if it is still the one whose digest was taken.
    fn open(&self) -> io::Result<File> {
        let file = File::open(&self.path)?;
        let now = file.metadata()?;
        if (now.len(), now.modified().ok()) == (self.size, self.written) {
            Ok(file)
        } else {
            Err(io::Error::other("it has changed since its digest was taken"))
        }
    }
}

impl Source for Found {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, start: u64, into: &mut [u8]) -> Result<(), WeightsError> {
        let read = self.open().and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(into)
        });
        read.map_err(|error| unreadable(&self.path, &error))
    }
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> WeightsError {
    WeightsError::Unreadable { path: path.to_owned(), reason: reason.to_string() }
}

/// Where weights are looked for, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Folders of files as [`Wanted::files`] names them.
    pub folders: Vec<PathBuf>,
    /// Hugging Face hub caches: folders of `models--<organisation>--<name>`.
    pub caches: Vec<PathBuf>,
}

impl Places {
    /// These folders, then the Hugging Face cache of this machine.
    #[must_use]
    pub fn here(folders: &[PathBuf]) -> Self {
        Self { folders: folders.to_vec(), caches: default_caches() }
    }
}

/// A repository of the hub at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// `organisation/name`.
    pub name: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl Repository {
    /// Its folder in a cache.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("models--{}", self.name.replace('/', "--"))
    }
}

/// Weights that are looked up: any of these will do, the first ones rather.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// timm's name of the network.
    pub model: &'static str,
    /// Names of a file in a folder.
    pub files: Vec<String>,
    /// Repositories whose `model.safetensors` it is.
    pub repositories: Vec<Repository>,
}

impl Wanted {
    /// The weights that a catalog's word means for a network. A file without a tag is taken for ImageNet's.
    #[must_use]
    pub fn word(backbone: Backbone, word: &str) -> Self {
        let model = backbone.card().timm;
        let (mut files, mut repositories) = (Vec::new(), Vec::new());
        for pretrained in backbone.card().pretrained(word) {
            files.push(format!("{model}.{}.safetensors", pretrained.tag));
            repositories
                .push(Repository { name: format!("timm/{model}.{}", pretrained.tag), revision: "main".to_owned() });
        }
        if word == "imagenet" {
            files.push(format!("{model}.safetensors"));
        }
        Self { model, files, repositories }
    }

    /// The weights that a model asks for; `None` where it asks for none or names a file.
    #[must_use]
    pub fn of(model: &Model) -> Option<Self> {
        match &model.weights {
            Weights::None | Weights::File { .. } => None,
            Weights::Hub { repository, revision } => Some(Self {
                model: model.backbone.card().timm,
                files: repository.rsplit('/').take(1).map(|name| format!("{name}.safetensors")).collect(),
                repositories: vec![Repository { name: repository.clone(), revision: revision.clone() }],
            }),
            Weights::Imagenet | Weights::Imagenet21k | Weights::NoisyStudent => {
                model.weights.word().map(|word| Self::word(model.backbone, word))
            }
        }
    }

    /// Where it is on this machine; else every place that was looked at.
    ///
    /// # Errors
    /// [`WeightsError::NotFound`].
    pub fn locate(&self, places: &Places) -> Result<PathBuf, WeightsError> {
        let mut looked = Vec::new();
        for folder in &places.folders {
            for path in self.files.iter().map(|name| folder.join(name)) {
                if path.is_file() {
                    return Ok(path);
                }
                looked.push(path);
            }
        }
        for cache in &places.caches {
            for repository in &self.repositories {
                let folder = cache.join(repository.folder());
                if let Some(path) = snapshots(&folder, &repository.revision).into_iter().find(|path| path.is_file()) {
                    return Ok(path);
                }
                looked.push(folder);
            }
        }
        let repository = self.repositories.first().cloned();
        Err(WeightsError::NotFound { model: self.model.to_owned(), looked, repository })
    }
}

/// The weight file of a model; `None` for `weights = none`.
///
/// A named file is relative to `base`, the study file's folder. For the others the folders come first, then the
/// Hugging Face cache of this machine ([`default_caches`]).
///
/// # Errors
/// A named file that cannot be read, or whose digest is another; no weights anywhere (with every place looked at).
pub fn lookup(model: &Model, base: &Path, folders: &[PathBuf]) -> Result<Option<Found>, WeightsError> {
    if let Weights::File { path, sha256 } = &model.weights {
        let found = read(&base.join(path))?;
        return match sha256 {
            Some(wanted) if *wanted != found.sha256 => {
                Err(WeightsError::Digest { path: found.path, wanted: wanted.clone(), got: found.sha256 })
            }
            Some(_) | None => Ok(Some(found)),
        };
    }
    match Wanted::of(model) {
        None => Ok(None),
        Some(wanted) => read(&wanted.locate(&Places::here(folders))?).map(Some),
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

/// `snapshots/*/model.safetensors` of a cached repository: the commit that `refs/<revision>` names first. Where `main`
/// is wanted any other snapshot will do; else only the one of that very name.
fn snapshots(repository: &Path, revision: &str) -> Vec<PathBuf> {
    let commit = fs::read_to_string(repository.join("refs").join(revision)).unwrap_or_default();
    let mut revisions = vec![OsString::from(commit.trim())];
    if revision == "main" {
        let entries = fs::read_dir(repository.join("snapshots"));
        let mut all: Vec<OsString> = entries.into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        all.sort();
        revisions.extend(all);
    } else {
        revisions.push(revision.into());
    }
    revisions.retain(|name| !name.is_empty());
    revisions.iter().map(|name| repository.join("snapshots").join(name).join("model.safetensors")).collect()
}

/// A file by its digest.
///
/// # Errors
/// [`WeightsError::Unreadable`].
pub fn read(path: &Path) -> Result<Found, WeightsError> {
    let failed = |error: io::Error| unreadable(path, &error);
    // A pipe would be waited for.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(unreadable(path, &"not a regular file"));
    }
    let mut file = File::open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    let mut sum = Sha256::new();
    let size = io::copy(&mut file, &mut sum).map_err(failed)?;
    let sha256 = format!("{:x}", sum.finalize());
    Ok(Found { path: path.to_owned(), sha256, size, written: facts.modified().ok() })
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
        let found = || {
            fs::read(Wanted::word(Backbone::named("resnet18").unwrap(), "imagenet").locate(&places).unwrap()).unwrap()
        };
        assert_eq!(found(), b"1111");
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::write(repository.join("refs").join("main"), "2222\n").unwrap();
        assert_eq!(found(), b"2222");
        fs::write(repository.join("refs").join("v1"), "1111").unwrap();
        let model = |revision: &str| Model {
            backbone: Backbone::named("resnet18").unwrap(),
            weights: Weights::Hub { repository: "timm/resnet18.a1_in1k".to_owned(), revision: revision.to_owned() },
            head: crate::study::Head::default(),
            freeze: crate::study::Freeze::None,
            drop_path: None,
            channels: None,
        };
        let at = |revision: &str| Wanted::of(&model(revision)).unwrap().locate(&places);
        assert_eq!(fs::read(at("v1").unwrap()).unwrap(), b"1111");
        assert_eq!(fs::read(at("2222").unwrap()).unwrap(), b"2222");
        let error = at("3333").unwrap_err();
        assert!(error.help().unwrap().contains("timm/resnet18.a1_in1k --revision 3333"), "{error:?}");
    }

    #[test]
    fn weights_that_are_nowhere_are_reported_with_every_place() {
        let places = Places { folders: vec!["/no/w".into()], caches: vec!["/no/hub".into()] };
        let error = Wanted::word(Backbone::named("resnet34").unwrap(), "imagenet").locate(&places).unwrap_err();
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
        assert!(error.help().unwrap().contains("pipe weights fetch timm/resnet34.tv_in1k"));
    }
}
