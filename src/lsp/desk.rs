//! The open documents, and the world as a check sees it: files from the disk, with open documents laid over them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gen_lsp_types::{TextDocumentContentChangeEvent, Uri};

use super::names::{Names, names};
use super::places::{self, Encoding, Lines};
use crate::host::{Host, Kind, Memory, RealHost, Stat, without_dots};
use crate::source::{FileId, SourceMap};
use crate::syntax::ast::Item;
use crate::syntax::{self, Parsed};

/// A document that an editor has open.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) uri: Uri,
    /// Where it lies, or where it would lie if it was saved.
    pub(super) path: PathBuf,
    pub(super) version: i32,
    pub(super) text: Arc<str>,
}

impl Document {
    /// A document as it was opened. One without a file (`untitled:1`) is taken to lie in the working folder.
    pub(super) fn new(uri: Uri, version: i32, text: &str) -> Self {
        let unnamed = || {
            let name: String = uri.as_ref().chars().filter(char::is_ascii_alphanumeric).collect();
            absolute(Path::new(&format!("{name}.pipe")))
        };
        let path = places::path(&uri).unwrap_or_else(unnamed);
        Self { uri, path, version, text: text.into() }
    }

    /// Takes over what was typed.
    pub(super) fn change(&mut self, version: i32, changes: Vec<TextDocumentContentChangeEvent>, encoding: Encoding) {
        self.version = version;
        for change in changes {
            match change {
                TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                    self.text = whole.text.into();
                }
                TextDocumentContentChangeEvent::TextDocumentContentChangePartial(part) => {
                    let range = Lines::new(&self.text, encoding).bytes(&part.range);
                    let mut text = String::with_capacity(self.text.len() + part.text.len());
                    text.push_str(self.text.get(..range.start).unwrap_or(""));
                    text.push_str(&part.text);
                    text.push_str(self.text.get(range.end..).unwrap_or(""));
                    self.text = text.into();
                }
            }
        }
    }

    /// Parses it.
    pub(super) fn read(&self) -> Page {
        Page::new(&self.path, &self.text)
    }
}

/// A parsed file.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) file: FileId,
    pub(super) text: String,
    pub(super) parsed: Parsed,
    pub(super) names: Names,
}

impl Page {
    /// Parses a text.
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let mut map = SourceMap::new();
        let name = path.display().to_string();
        let (file, parsed) = syntax::read(&mut map, &name, Some(path.to_path_buf()), text.as_bytes());
        let names = names(&parsed.file);
        // A byte order mark or an error in the encoding would move places: what was parsed is what counts.
        Self { file, text: map.text(file).to_owned(), parsed, names }
    }

    /// Does it hold names for other files, and no study?
    pub(super) fn is_library(&self) -> bool {
        let is_study = |item: &Item| matches!(item, Item::Block(block) if block.keyword.text == "study");
        let defines = |item: &Item| matches!(item, Item::Let(_) | Item::Param(_));
        let items = &self.parsed.file.items;
        !items.iter().any(is_study) && items.iter().any(defines)
    }
}

/// Every open document, by its path.
pub(super) type Open = BTreeMap<PathBuf, Arc<str>>;

/// The disk with the open documents over it. Once a check is no longer wanted, every question fails, so that it ends
/// soon; what it says then is thrown away.
#[derive(Debug, Clone, Default)]
pub(super) struct Desk {
    pub(super) open: Arc<Open>,
    pub(super) unwanted: Arc<AtomicBool>,
    /// What checks remember.
    pub(super) memory: Arc<Memory>,
}

impl Desk {
    fn wanted(&self) -> io::Result<()> {
        if self.unwanted.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    fn open(&self, path: &Path) -> Option<&Arc<str>> {
        self.open.get(&absolute(path)).or_else(|| self.open.get(path))
    }
}

/// The path from the root, without `.` and `..`.
pub(super) fn absolute(path: &Path) -> PathBuf {
    without_dots(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
}

impl Host for Desk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.wanted()?;
        match self.open(path) {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => RealHost.read(path),
        }
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.wanted()?;
        match self.open(path) {
            // An open document changes without its file: whoever remembers it by its stamp must see that.
            Some(text) => {
                let digest = blake3::hash(text.as_bytes());
                let stamp = digest.as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                Ok(Stat { kind: Kind::File, size: text.len() as u64, stamp, changed: 0 })
            }
            None => RealHost.stat(path),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.wanted()?;
        RealHost.list(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.wanted()?;
        match (RealHost.canonical(path), self.open(path)) {
            (Ok(path), _) => Ok(path),
            // not saved yet: its folder is where links lead
            (Err(_), Some(_)) => {
                let path = absolute(path);
                if let Some(name) = path.file_name()
                    && let Some(folder) = path.parent().and_then(|folder| RealHost.canonical(folder).ok())
                {
                    return Ok(folder.join(name));
                }
                Ok(path)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn read_beneath(&self, root: &Path, name: &str) -> io::Result<Vec<u8>> {
        self.wanted()?;
        RealHost.read_beneath(root, name)
    }

    fn read_start(&self, root: &Path, name: &str, most: usize) -> io::Result<Vec<u8>> {
        self.wanted()?;
        RealHost.read_start(root, name, most)
    }

    fn memory(&self) -> Option<&Memory> {
        Some(&self.memory)
    }
}
