//! From a use to its definition and back, across `use`; renaming both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gen_lsp_types as lsp;
use gen_lsp_types::{ErrorCodes, LspErrorCodes};

use super::desk::{Desk, Page};
use super::names::{Definition, Kind, Reference};
use super::offers::{self, Offer};
use super::places::Lines;
use super::server::Server;
use super::wire::Refusal;
use crate::catalog::keywords::KEYWORDS;
use crate::host::{self, Host as _, without_dots};
use crate::source::Span;
use crate::syntax::guard::MOST_BYTES;

/// Files beside a definition's that are searched for uses of it.
const MOST_FILES: usize = 500;

/// A definition and the file it stands in.
struct Target {
    path: PathBuf,
    page: Page,
    definition: Definition,
}

/// What a place means: the definition at the end of the way, and where the asked name stands.
struct Meant {
    target: Target,
    asked: Span,
}

fn meant(server: &Server, at: &lsp::TextDocumentPositionParams) -> Option<Meant> {
    let opened = server.opened(&at.text_document.uri)?;
    let page = opened.document.read();
    let offset = Lines::new(&page.text, server.shows.encoding).offset(at.position);
    let (definition, member, asked) = page.names.at(offset)?;
    let definition = definition.clone();
    let path = opened.document.path.clone();
    let target = elsewhere(&server.desk(), &path, &definition, member).unwrap_or(Target { path, page, definition });
    Some(Meant { target, asked })
}

/// The definition in another file that a name means: `lab.noisy`, or `noisy` that a `use` brings.
fn elsewhere(desk: &Desk, path: &Path, definition: &Definition, member: Option<&Reference>) -> Option<Target> {
    let name = match (definition.kind, member) {
        (Kind::Import, _) => &definition.name,
        (Kind::Alias, Some(reference)) => reference.member.as_ref()?,
        (Kind::Alias | Kind::Let | Kind::Param | Kind::Study | Kind::Run, _) => return None,
    };
    follow(desk, path, definition, &name.text, 0)
}

/// What a name means, as it is defined, in whichever file.
pub(super) fn documented(
    desk: &Desk,
    (path, text): (&Path, &str),
    definition: &Definition,
    member: Option<&Reference>,
) -> Offer {
    match elsewhere(desk, path, definition, member) {
        Some(target) => offers::definition(&target.definition, &target.page.text),
        None => offers::definition(definition, text),
    }
}

/// What the file that a `use` names holds for others, its own names and those it brings.
pub(super) fn offered(desk: &Desk, from: &Path, written: &str) -> Vec<(Kind, Offer)> {
    let Some((path, page)) = used(from, written).and_then(|path| Some((path.clone(), page(desk, &path)?))) else {
        return Vec::new();
    };
    let own = page.names.definitions.iter().filter(|one| one.scope == page.parsed.file.span);
    own.filter_map(|one| match one.kind {
        Kind::Import => {
            let target = follow(desk, &path, one, &one.name.text, 0)?;
            Some((target.definition.kind, offers::definition(&target.definition, &target.page.text)))
        }
        Kind::Let | Kind::Param | Kind::Study => Some((one.kind, offers::definition(one, &page.text))),
        Kind::Alias | Kind::Run => None,
    })
    .collect()
}

/// A used file, if it is one that a check would read.
fn page(desk: &Desk, path: &Path) -> Option<Page> {
    let stat = desk.stat(path).ok()?;
    if stat.kind != host::Kind::File || stat.size > MOST_BYTES as u64 {
        return None;
    }
    Some(Page::new(path, &String::from_utf8_lossy(&desk.read(path).ok()?)))
}

/// The definition of a name in the file that a `use` names, through as many files as it takes.
fn follow(desk: &Desk, from: &Path, import: &Definition, name: &str, depth: usize) -> Option<Target> {
    if depth > 16 {
        return None; // a circle: `check` reports it
    }
    let path = used(from, import.file.as_deref()?)?;
    let page = page(desk, &path)?;
    let definition = page.names.top(name, page.parsed.file.span)?.clone();
    match definition.kind {
        Kind::Import => follow(desk, &path, &definition, name, depth + 1),
        Kind::Alias | Kind::Let | Kind::Param | Kind::Study | Kind::Run => Some(Target { path, page, definition }),
    }
}

/// The file that a `use` in another one names.
fn used(from: &Path, written: &str) -> Option<PathBuf> {
    Some(without_dots(&from.parent()?.join(written)))
}

fn location(server: &Server, path: &Path, text: &str, span: Span) -> lsp::Location {
    let range = Lines::new(text, server.shows.encoding).range(&span.range());
    lsp::Location { uri: server.uri(path), range }
}

/// Where the name at a place is defined.
pub(super) fn definition(server: &Server, params: &lsp::DefinitionParams) -> Option<lsp::Location> {
    let at = &params.text_document_position_params;
    if let Some(Meant { target, .. }) = meant(server, at) {
        return Some(location(server, &target.path, &target.page.text, target.definition.name.span));
    }
    // the path of a `use` leads to the file
    let opened = server.opened(&at.text_document.uri)?;
    let page = &opened.page;
    let offset = Lines::new(&page.text, server.shows.encoding).offset(at.position);
    let imported = page.names.definitions.iter().filter(|one| one.file.is_some());
    let around = imported.clone().find(|one| one.whole.range().contains(&offset))?;
    let path = used(&opened.document.path, around.file.as_deref()?)?;
    server.desk().stat(&path).ok()?;
    Some(lsp::Location { uri: server.uri(&path), range: lsp::Range::default() })
}

/// Every place where a definition is named, by file, its own first.
fn everywhere(server: &Server, target: &Target) -> BTreeMap<PathBuf, (String, Vec<Span>)> {
    let desk = server.desk();
    let mut found = BTreeMap::new();
    found.insert(target.path.clone(), (target.page.text.clone(), target.page.names.places(&target.definition)));
    if target.definition.scope != target.page.parsed.file.span {
        return found; // nobody else sees it
    }
    let mut others: Vec<PathBuf> = server.documents().map(|opened| opened.document.path.clone()).collect();
    let folder = target.path.parent().unwrap_or(Path::new(""));
    let beside = desk.list(folder).unwrap_or_default();
    others.extend(
        beside
            .iter()
            .filter(|name| Path::new(name).extension().is_some_and(|end| end == "pipe"))
            .take(MOST_FILES)
            .map(|name| folder.join(name)),
    );
    for path in others {
        if path == target.path || found.contains_key(&path) {
            continue;
        }
        let Ok(bytes) = desk.read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        // most files use nothing, and parsing takes longer than looking
        if !text.contains("use") || !text.contains(&target.definition.name.text) {
            continue;
        }
        let page = Page::new(&path, &text);
        let spans = uses(&desk, &path, &page, target);
        if !spans.is_empty() {
            found.insert(path, (page.text, spans));
        }
    }
    found
}

/// Where another file names the definition.
fn uses(desk: &Desk, path: &Path, page: &Page, target: &Target) -> Vec<Span> {
    let name = &target.definition.name.text;
    let means_it = |import: &Definition| {
        follow(desk, path, import, name, 0).is_some_and(|found| {
            found.path == target.path && found.definition.name.span.range() == target.definition.name.span.range()
        })
    };
    let mut spans = Vec::new();
    for (index, import) in page.names.definitions.iter().enumerate() {
        match import.kind {
            Kind::Import if import.name.text == *name && means_it(import) => spans.extend(page.names.places(import)),
            Kind::Alias if means_it(import) => {
                let references = page.names.references.iter().filter(|reference| reference.definition == index);
                let members = references.filter_map(|reference| reference.member.as_ref());
                spans.extend(members.filter(|member| member.text == *name).map(|member| member.span));
            }
            Kind::Import | Kind::Alias | Kind::Let | Kind::Param | Kind::Study | Kind::Run => {}
        }
    }
    spans
}

/// Where the name at a place is used, in this file and in those beside it.
pub(super) fn references(server: &Server, params: &lsp::ReferenceParams) -> Option<Vec<lsp::Location>> {
    let Meant { target, .. } = meant(server, &params.text_document_position_params)?;
    let own = target.definition.name.span;
    let mut locations = Vec::new();
    for (path, (text, spans)) in everywhere(server, &target) {
        let defines = path == target.path;
        for span in spans {
            if params.context.include_declaration || !(defines && span == own) {
                locations.push(location(server, &path, &text, span));
            }
        }
    }
    Some(locations)
}

/// The places of the name in its own document.
pub(super) fn highlights(
    server: &Server,
    params: &lsp::DocumentHighlightParams,
) -> Option<Vec<lsp::DocumentHighlight>> {
    let at = &params.text_document_position_params;
    let page = &server.opened(&at.text_document.uri)?.page;
    let lines = Lines::new(&page.text, server.shows.encoding);
    let (definition, _, _) = page.names.at(lines.offset(at.position))?;
    let own = definition.name.span;
    let highlight = |span: Span| lsp::DocumentHighlight {
        range: lines.range(&span.range()),
        kind: Some(if span == own { lsp::DocumentHighlightKind::Write } else { lsp::DocumentHighlightKind::Read }),
    };
    Some(page.names.places(definition).into_iter().map(highlight).collect())
}

/// The name that would be renamed.
pub(super) fn prepare_rename(server: &Server, params: &lsp::PrepareRenameParams) -> Option<lsp::Range> {
    let at = &params.text_document_position_params;
    let Meant { asked, .. } = meant(server, at)?;
    let page = &server.opened(&at.text_document.uri)?.page;
    Some(Lines::new(&page.text, server.shows.encoding).range(&asked.range()))
}

/// Renames a name wherever it is meant.
pub(super) fn rename(server: &Server, params: &lsp::RenameParams) -> Result<Option<lsp::WorkspaceEdit>, Refusal> {
    let new = params.new_name.trim().to_owned();
    let Some(Meant { target, .. }) = meant(server, &params.text_document_position_params) else { return Ok(None) };
    let quoted = target.page.text.get(target.definition.name.span.range()).is_some_and(|name| name.starts_with('"'));
    let refuse = |why: String| Err(Refusal::new(ErrorCodes::InvalidParams, why));
    if quoted {
        return refuse("a name in quotes is changed by hand".to_owned());
    }
    if !is_name(&new) {
        return refuse(format!("`{new}` is no name: letters, digits and `_`, and no digit first"));
    }
    if KEYWORDS.iter().any(|keyword| keyword.name == new && keyword.name != "pipe") {
        return refuse(format!("`{new}` is a word of the language"));
    }
    let taken = |page: &Page, scope: Span| {
        page.names.definitions.iter().find(|one| one.name.text == new && one.scope == scope).map(|one| one.name.span)
    };
    if let Some(span) = taken(&target.page, target.definition.scope) {
        let line = Lines::new(&target.page.text, server.shows.encoding).line(span.range().start) + 1;
        let why = format!("`{new}` is defined already, in line {line}");
        return Err(Refusal::new(LspErrorCodes::RequestFailed, why));
    }
    let mut changes = std::collections::HashMap::new();
    for (path, (text, spans)) in everywhere(server, &target) {
        let lines = Lines::new(&text, server.shows.encoding);
        let edit = |span: Span| lsp::TextEdit { range: lines.range(&span.range()), new_text: new.clone() };
        changes.insert(server.uri(&path), spans.into_iter().map(edit).collect());
    }
    Ok(Some(lsp::WorkspaceEdit { changes: Some(changes), ..lsp::WorkspaceEdit::default() }))
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
