//! The study's file and every file it uses, read and parsed before anything is evaluated.
//!
//! Promises: each file is read once, whatever leads to it; no file leads back to itself; what cannot be used has been
//! reported at its `use`, and all it would bring stays silent.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::diag::{Code, Problems};
use crate::host::{Host, Kind, without_dots};
use crate::source::{FileId, SourceMap, Span};
use crate::syntax::Parsed;
use crate::syntax::ast::{File, Item, Param, Use};
use crate::syntax::guard::MOST_BYTES;

/// Most files that may belong to one study, its own counted.
pub const MOST_FILES: usize = 32;
/// How deep files may use each other.
pub const DEEPEST_USE: usize = 16;
/// Most bytes of all files of one study together.
pub const MOST_BYTES_OF_ALL: usize = 4 * MOST_BYTES;

/// One file of a study.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: FileId,
    pub(super) tree: File,
    /// The way from the study's folder to the file's; empty for the study's own.
    pub(super) folder: PathBuf,
    /// Could it be read as text at all?
    admitted: bool,
    /// For each `use` of the tree, in order: which file it is; `None` after a problem.
    uses: Vec<Option<usize>>,
}

impl Source {
    /// Each `use` with the file it leads to.
    pub(super) fn uses(&self) -> impl Iterator<Item = (&Use, Option<usize>)> {
        uses(&self.tree).zip(self.uses.iter().copied())
    }

    /// Was a part of the file not understood, or the whole?
    pub(super) fn broken(&self) -> bool {
        !self.admitted || self.tree.items.iter().any(|item| matches!(item, Item::Error(_)))
    }
}

/// The `use` lines of a file.
fn uses(tree: &File) -> impl Iterator<Item = &Use> {
    tree.items.iter().filter_map(|item| match item {
        Item::Use(one) => Some(one),
        Item::Param(_) | Item::Let(_) | Item::Block(_) | Item::Error(_) => None,
    })
}

/// The `param`s of a file.
pub(super) fn params(tree: &File) -> impl Iterator<Item = &Param> {
    tree.items.iter().filter_map(|item| match item {
        Item::Param(param) => Some(param),
        Item::Use(_) | Item::Let(_) | Item::Block(_) | Item::Error(_) => None,
    })
}

/// Every file of a study; the first is the study's own.
#[derive(Debug)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// In the order in which they are first used.
    pub(super) fn all(&self) -> &[Source] {
        &self.0
    }

    /// The files, each after those it uses.
    pub(super) fn used_first(&self) -> Vec<usize> {
        fn visit(sources: &Sources, file: usize, order: &mut Vec<usize>) {
            if order.contains(&file) {
                return;
            }
            for target in sources.0.get(file).map_or(&[][..], |source| &source.uses).iter().flatten() {
                visit(sources, *target, order);
            }
            order.push(file);
        }
        let mut order = Vec::new();
        visit(self, 0, &mut order);
        order
    }

    /// The `param` that `name` means in a file, and the file that declares it. `root` is its own or was imported by
    /// `{ root }`; `lab.root` is one of `use "..." as lab`.
    pub(super) fn param<'a>(&'a self, file: usize, name: &str) -> Option<(usize, &'a Param)> {
        let source = self.0.get(file)?;
        let (head, rest) = name.split_once('.').map_or((name, None), |(head, rest)| (head, Some(rest)));
        if rest.is_none()
            && let Some(param) = params(&source.tree).find(|param| param.name.text == head)
        {
            return Some((file, param));
        }
        source.uses().find_map(|(one, target)| {
            let (imported, alias) = (one.names.iter().any(|n| n.text == head), one.alias.as_ref());
            match rest {
                _ if imported => self.param(target?, name),
                Some(rest) if alias.is_some_and(|alias| alias.text == head) => self.param(target?, rest),
                Some(_) | None => None,
            }
        })
    }

    /// The names of all `param`s that may be set from outside.
    pub(super) fn param_names(&self) -> Vec<String> {
        let Some(main) = self.0.first() else { return Vec::new() };
        let mut names: Vec<String> = params(&main.tree).map(|param| param.name.text.clone()).collect();
        for (one, target) in main.uses() {
            let imported = one.names.iter().map(|name| name.text.clone());
            names.extend(imported.filter(|name| self.param(0, name).is_some()));
            if let (Some(alias), Some(target)) = (&one.alias, target.and_then(|target| self.0.get(target))) {
                names.extend(params(&target.tree).map(|param| format!("{}.{}", alias.text, param.name.text)));
            }
        }
        names
    }

    /// A used file that declares a `param` which the study's file does not import.
    pub(super) fn not_imported(&self, name: &str) -> Option<FileId> {
        self.0.iter().skip(1).find(|source| params(&source.tree).any(|p| p.name.text == name)).map(|source| source.id)
    }
}

/// Where the study's own file is, as far as that is known.
pub(super) struct Main<'a> {
    /// What messages call it.
    pub(super) name: &'a str,
    /// Where it was read from; `None` for a text that an editor holds.
    pub(super) path: Option<&'a Path>,
    /// Its folder.
    pub(super) base: &'a Path,
}

/// Reads all that the parsed file `tree` uses, and what that uses, and so on.
pub(super) fn load(
    host: &dyn Host,
    map: &mut SourceMap,
    main: &Main<'_>,
    (id, parsed): (FileId, Parsed),
    problems: &mut Problems,
) -> Sources {
    let path = main
        .path
        .map_or_else(|| main.base.join(Path::new(main.name).file_name().unwrap_or_default()), Path::to_path_buf);
    let identity = host.canonical(&path).unwrap_or(path);
    let bytes = map.text(id).len();
    problems.extend(parsed.problems.clone());
    let mut loader =
        Loader { host, map, base: main.base, problems, sources: Vec::new(), known: Vec::new(), bytes, limited: false };
    loader.add(id, parsed, Path::new(""), identity, &mut Vec::new());
    Sources(loader.sources)
}

struct Loader<'a> {
    host: &'a dyn Host,
    map: &'a mut SourceMap,
    base: &'a Path,
    problems: &'a mut Problems,
    sources: Vec<Source>,
    /// The file at each canonical path; the same index as in `sources`.
    known: Vec<PathBuf>,
    bytes: usize,
    /// A limit is told once.
    limited: bool,
}

impl Loader<'_> {
    /// Adds a parsed file and what it uses. `above`: the files that led here, each with the place of its `use`.
    fn add(
        &mut self,
        id: FileId,
        parsed: Parsed,
        folder: &Path,
        identity: PathBuf,
        above: &mut Vec<(usize, Span)>,
    ) -> usize {
        let at = self.sources.len();
        let Parsed { file: tree, problems } = parsed;
        let admitted = !(tree.items.is_empty() && problems.has(Code::E0007));
        let wanted: Vec<(Span, Option<String>)> = uses(&tree).map(|one| (one.path.span, one.path.plain())).collect();
        self.sources.push(Source { id, tree, folder: folder.to_path_buf(), admitted, uses: Vec::new() });
        self.known.push(identity);
        for (span, path) in wanted {
            above.push((at, span));
            let target = if let Some(path) = path {
                self.target(folder, &path, span, above)
            } else {
                self.problems.use_with_hole(span);
                None
            };
            above.pop();
            if let Some(source) = self.sources.get_mut(at) {
                source.uses.push(target);
            }
        }
        at
    }

    fn target(&mut self, folder: &Path, written: &str, span: Span, above: &mut Vec<(usize, Span)>) -> Option<usize> {
        if let Some((why, help)) = refused(written) {
            self.problems.use_refused(written, why, help, span);
            return None;
        }
        let way = folder.join(written);
        let path = self.base.join(&way);
        let identity = match self.host.canonical(&path) {
            Ok(identity) => identity,
            Err(error) => {
                let help = self.way_out(&path, &error);
                self.problems.used_file_unreadable(written, &error.to_string(), &help, span);
                return None;
            }
        };
        if let Some((why, help)) = self.led_astray(folder, written, &identity) {
            self.problems.used_file_unreadable(written, why, help, span);
            return None;
        }
        if let Some(known) = self.known.iter().position(|known| *known == identity) {
            if let Some(from) = above.iter().position(|(file, _)| *file == known) {
                let circle: Vec<(Span, String)> = above
                    .iter()
                    .skip(from)
                    .map(|(file, span)| (*span, self.sources.get(*file).map_or("", |s| self.map.name(s.id)).to_owned()))
                    .collect();
                self.problems.files_in_a_circle(&circle);
                return None;
            }
            return Some(known);
        }
        if above.len() >= DEEPEST_USE {
            return self.limit(&format!("files use each other more than {DEEPEST_USE} deep"), span);
        }
        if self.sources.len() >= MOST_FILES {
            return self.limit(&format!("this study has more than {MOST_FILES} files"), span);
        }
        let bytes = self.read(written, &path, span)?;
        self.bytes += bytes.len();
        if self.bytes > MOST_BYTES_OF_ALL {
            return self.limit(&format!("the files of this study have more than {MOST_BYTES_OF_ALL} bytes"), span);
        }
        // Called as its reader would call it: from where the study's file is.
        let name = self.sources.first().map_or("", |main| self.map.name(main.id)).to_owned();
        let name = without_dots(&Path::new(&name).parent().unwrap_or(Path::new("")).join(&way));
        let (id, parsed) = crate::syntax::read(self.map, &name.display().to_string(), Some(path.clone()), &bytes);
        let told = parsed.problems.clone();
        self.problems.extend(if told.has(Code::E0007) { told.labelled(span, "used here") } else { told });
        Some(self.add(id, parsed, way.parent().unwrap_or(Path::new("")), identity, above))
    }

    fn limit(&mut self, what: &str, span: Span) -> Option<usize> {
        if !std::mem::replace(&mut self.limited, true) {
            self.problems.use_limit(what, span);
        }
        None
    }

    /// Where links led a `use`, if that is not where its path says: the folder that its `..` name, or a `.pipe` file.
    fn led_astray(&self, folder: &Path, written: &str, identity: &Path) -> Option<(&'static str, &'static str)> {
        let written = without_dots(Path::new(written));
        let up: PathBuf = written.components().take_while(|part| *part == Component::ParentDir).collect();
        let root = self.base.join(folder).join(up);
        let root = self.host.canonical(&root).unwrap_or_else(|_| without_dots(&root));
        if !identity.starts_with(&root) {
            let why = "a link on its way leads out of the folder that the path names";
            return Some((why, "write the way to the file itself:  use \"../lab/losses.pipe\" as lab"));
        }
        let is_study = identity.extension().is_some_and(|end| end == "pipe");
        (!is_study).then_some(("it is a link to what is no .pipe file", "only .pipe files can be used"))
    }

    /// The bytes of a used file, if it is a regular file of a size that a page of text has.
    fn read(&mut self, written: &str, path: &Path, span: Span) -> Option<Vec<u8>> {
        let only = "only .pipe files can be used";
        let (why, help) = match self.host.stat(path) {
            Err(error) => (error.to_string(), self.way_out(path, &error)),
            Ok(stat) => match stat.kind {
                Kind::Folder => ("it is a folder".to_owned(), only.to_owned()),
                Kind::Other => ("it is a device, a pipe or a socket".to_owned(), only.to_owned()),
                Kind::File if stat.size > MOST_BYTES as u64 => {
                    let why = format!("it has {} bytes, and {MOST_BYTES} are the most", stat.size);
                    (why, "make several files of it, or put what is data into a table".to_owned())
                }
                Kind::File => match self.host.read(path) {
                    Ok(bytes) => return Some(bytes),
                    Err(error) => (error.to_string(), self.way_out(path, &error)),
                },
            },
        };
        self.problems.used_file_unreadable(written, &why, &help, span);
        None
    }

    /// What to do about a file that the system does not give.
    fn way_out(&self, path: &Path, error: &io::Error) -> String {
        if error.kind() != io::ErrorKind::NotFound {
            return "see that it is a file which you may read".to_owned();
        }
        self.near(path).map_or_else(
            || "the path starts at the folder of the file that says `use`".to_owned(),
            |near| format!("did you mean `{near}`?"),
        )
    }

    /// A `.pipe` file beside a missing one whose name is near.
    fn near(&self, path: &Path) -> Option<String> {
        let names = self.host.list(path.parent()?).ok()?;
        let own = path.file_name()?.to_str()?;
        let names = names
            .iter()
            .map(String::as_str)
            .filter(|name| *name != own && Path::new(name).extension().is_some_and(|end| end == "pipe"));
        crate::diag::suggest::nearest(own, names).map(str::to_owned)
    }
}

/// Why a `use` path is refused before anything is looked up, and a way out.
fn refused(path: &str) -> Option<(&'static str, &'static str)> {
    let drive = path.as_bytes().get(1) == Some(&b':');
    if path.trim().is_empty() {
        Some(("it is empty", "write  use \"lab.pipe\" as lab"))
    } else if path.contains("://") {
        Some(("it is an address, and a study reads files only", "download it, and  use \"lab.pipe\" as lab"))
    } else if path.starts_with('~') || path.starts_with('$') || path.starts_with('%') {
        Some((
            "it is another folder for every user",
            "write the path from this file's folder:\n  use \"../lab/losses.pipe\" as lab",
        ))
    } else if Path::new(path).is_absolute() || path.starts_with(['/', '\\']) || drive {
        Some((
            "it is absolute, which holds on one machine only",
            "write the path from this file's folder:\n  use \"../lab/losses.pipe\" as lab",
        ))
    } else if path.contains('\\') {
        Some(("folders are separated by `/`, on every system", "write  use \"lab/losses.pipe\" as lab"))
    } else if Path::new(path).extension().is_none_or(|end| end != "pipe") {
        Some(("only .pipe files can be used", "a table belongs into  data { table = csv(\"...\") }"))
    } else {
        None
    }
}
