//! What a table says about a study is remembered by hosts that check often, and worked out again only when what it
//! depends on has changed: the study, the settings that were written, the files that were asked about.
//!
//! The places of a study move with every keystroke, and problems point at them. So the work is done on *stand-ins* for
//! places, and what comes of it is moved to where the places are now. Files are known by size, time of change and inode.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::diag::Problems;
use crate::host::{Host, Memory, Stat};
use crate::study::Places;

/// What came of the work: problems at stand-ins, and a value.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered<T> {
    /// What the world was asked, and what it was then.
    asked: Vec<(PathBuf, Option<Stat>)>,
    problems: Problems,
    value: T,
}

/// A value, and a name that two values share only if they are equal; none for what was not remembered.
#[derive(Debug)]
pub(super) struct Recalled<T> {
    remembered: Arc<Remembered<T>>,
    pub(super) name: Option<String>,
}

impl<T> Clone for Recalled<T> {
    fn clone(&self) -> Self {
        Self { remembered: Arc::clone(&self.remembered), name: self.name.clone() }
    }
}

impl<T> std::ops::Deref for Recalled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.remembered.value
    }
}

/// Does `work`, or recalls what came of it when nothing has changed that it depends on.
///
/// `key` names everything but the files and the places: equal keys, equal work.
pub(super) fn recalled<T: Serialize + DeserializeOwned + Send + Sync + 'static>(
    host: &dyn Host,
    key: &str,
    places: &Places,
    problems: &mut Problems,
    work: impl FnOnce(&dyn Host, &Places, &mut Problems) -> T,
) -> Recalled<T> {
    let Some(memory) = host.memory() else {
        let value = work(host, places, problems);
        let remembered = Remembered { asked: Vec::new(), problems: Problems::new(), value };
        return Recalled { remembered: Arc::new(remembered), name: None };
    };
    let key = name(key, places);
    let unchanged = |held: &Arc<Remembered<T>>| held.asked.iter().all(|(path, stat)| host.stat(path).ok() == *stat);
    let mut lasts = true;
    let remembered = memory.recall(&key).filter(unchanged).unwrap_or_else(|| {
        let stand_ins = places.stand_ins();
        let witness = Witness { host, asked: Mutex::new(Vec::new()), interrupted: AtomicBool::new(false) };
        let mut found = Problems::new();
        let value = work(&witness, &stand_ins, &mut found);
        let interrupted = witness.interrupted.load(Ordering::Relaxed);
        let asked = witness.asked.into_inner().unwrap_or_else(PoisonError::into_inner);
        // What was called off half-way is true of nothing, and what changed just now may change again unseen.
        lasts = !interrupted && asked.iter().all(|(_, stat)| stat.is_none_or(|stat| stat.is_settled()));
        let remembered = Arc::new(Remembered { asked, problems: found, value });
        if lasts {
            memory.remember(key.clone(), Arc::clone(&remembered));
        }
        remembered
    });
    problems.extend(remembered.problems.moved(|span| places.of_stand_in(span)));
    let name = digest([key.as_bytes(), format!("{:?}", remembered.asked).as_bytes()]);
    Recalled { remembered, name: lasts.then_some(name) }
}

/// The work and the names of the places that problems may point at.
fn name(key: &str, places: &Places) -> String {
    digest(std::iter::once(key.as_bytes()).chain(places.paths().map(str::as_bytes)))
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
        hasher.update(&[0]);
    }
    hasher.finalize().to_hex().to_string()
}

/// A host that notes what it was asked.
struct Witness<'h> {
    host: &'h dyn Host,
    asked: Mutex<Vec<(PathBuf, Option<Stat>)>>,
    interrupted: AtomicBool,
}

impl Witness<'_> {
    /// Before the answer is read, so that a file that changes meanwhile is read again the next time.
    fn note(&self, path: &Path) {
        let stat = self.host.stat(path).ok();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_path_buf(), stat));
    }

    fn answer<T>(&self, answer: io::Result<T>) -> io::Result<T> {
        // That a file is not there is seen by asking again; other failures pass unseen.
        if answer.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        answer
    }
}

impl Host for Witness<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path);
        self.answer(self.host.read(path))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.note(path);
        self.answer(self.host.stat(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.note(path);
        self.answer(self.host.list(path))
    }

    fn read_beneath(&self, root: &Path, name: &str) -> io::Result<Vec<u8>> {
        self.note(&root.join(name));
        self.answer(self.host.read_beneath(root, name))
    }

    fn read_start(&self, root: &Path, name: &str, most: usize) -> io::Result<Vec<u8>> {
        self.note(&root.join(name));
        self.answer(self.host.read_start(root, name, most))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.note(path);
        self.answer(self.host.canonical(path))
    }

    fn memory(&self) -> Option<&Memory> {
        self.host.memory()
    }
}
