//! The state of one conversation: what the client can, which documents are open, what was last found in them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use gen_lsp_types as lsp;
use gen_lsp_types::{ErrorCodes, LspErrorCodes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::checker::{Found, Job, Report};
use super::columns::{Table, Tables};
use super::desk::{Desk, Document, Page, absolute};
use super::places::{self, Encoding};
use super::problems::{self, ByFile, Shows};
use super::wire::{self, Answer, Refusal};
use super::{assist, format, navigate, outline};
use crate::check::{Overrides, Pick};
use crate::host::Memory;

/// A document, its page, and what was found when it was last checked.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) document: Document,
    pub(super) page: Page,
    /// What the last check found, and of which version.
    pub(super) found: Option<(i32, Found)>,
    /// Set to call the running check off.
    unwanted: Arc<AtomicBool>,
    /// Problems listed for each file, from this document's check.
    listed: ByFile,
}

/// A request that waits for the check of a document.
#[derive(Debug)]
struct Waiting {
    id: Value,
    path: PathBuf,
    params: lsp::CodeActionParams,
}

/// One conversation.
#[derive(Debug)]
pub(super) struct Server {
    jobs: Sender<Job>,
    phase: Phase,
    pub(super) shows: Shows,
    /// Can the client fill in snippets?
    pub(super) snippets: bool,
    overrides: Overrides,
    opened: BTreeMap<PathBuf, Opened>,
    waiting: Vec<Waiting>,
    pub(super) tables: Tables,
    memory: Arc<Memory>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing but `initialize` is answered.
    New,
    Ready,
    /// Nothing but `exit` is listened to.
    ShutDown,
}

impl Server {
    /// A server that nobody has spoken to.
    pub(super) fn new(jobs: Sender<Job>) -> Self {
        Self {
            jobs,
            phase: Phase::New,
            shows: Shows { encoding: Encoding::Utf16, related: false },
            snippets: false,
            overrides: Overrides { study: Pick::Every, ..Overrides::default() },
            opened: BTreeMap::new(),
            waiting: Vec::new(),
            tables: Tables::default(),
            memory: Arc::default(),
        }
    }

    /// Was `shutdown` asked for?
    pub(super) fn was_shut_down(&self) -> bool {
        self.phase == Phase::ShutDown
    }

    /// Answers a request, whatever it is and whatever happens.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn requested(&mut self, id: Value, method: &str, params: Value, out: &mut dyn Write) -> io::Result<()> {
        match (self.phase, method) {
            (Phase::New, "initialize") | (Phase::Ready, _) => {}
            (Phase::New, _) => {
                let why = "`initialize` comes first";
                return wire::answer(out, &id, Err(Refusal::new(ErrorCodes::ServerNotInitialized, why)));
            }
            (Phase::ShutDown, _) => {
                let why = "the server is shut down";
                return wire::answer(out, &id, Err(Refusal::new(ErrorCodes::InvalidRequest, why)));
            }
        }
        if method == "textDocument/codeAction" {
            return self.actions_requested(id, params, out);
        }
        let answer = guarded(|| self.handle(method, params));
        wire::answer(out, &id, answer)
    }

    fn handle(&mut self, method: &str, params: Value) -> Answer {
        match method {
            "initialize" => ask(params, |params| self.initialize(params)),
            "shutdown" => {
                self.phase = Phase::ShutDown;
                Ok(Value::Null)
            }
            "textDocument/completion" => ask(params, |params| assist::completion(self, &params)),
            "completionItem/resolve" => ask(params, |item| assist::resolve(self, item)),
            "textDocument/hover" => ask(params, |params| assist::hover(self, &params)),
            "textDocument/signatureHelp" => ask(params, |params| assist::signature(self, &params)),
            "textDocument/definition" => ask(params, |params| navigate::definition(self, &params)),
            "textDocument/references" => ask(params, |params| navigate::references(self, &params)),
            "textDocument/documentHighlight" => ask(params, |params| navigate::highlights(self, &params)),
            "textDocument/prepareRename" => ask(params, |params| navigate::prepare_rename(self, &params)),
            "textDocument/rename" => navigate::rename(self, &extract(params)?).and_then(value),
            "textDocument/documentSymbol" => ask(params, |params| outline::symbols(self, &params)),
            "textDocument/formatting" => ask(params, |params| format::format(self, &params)),
            "textDocument/foldingRange" => ask(params, |params| outline::folds(self, &params)),
            _ => Err(Refusal::new(ErrorCodes::MethodNotFound, format!("`{method}` is not known here"))),
        }
    }

    fn initialize(&mut self, params: lsp::InitializeParams) -> lsp::InitializeResult {
        self.phase = Phase::Ready;
        let general = params.capabilities.general.unwrap_or_default();
        let document = params.capabilities.text_document.unwrap_or_default();
        let item = document.completion.unwrap_or_default().completion_item.unwrap_or_default();
        self.shows.encoding = Encoding::negotiate(general.position_encodings.as_deref());
        self.shows.related = document
            .publish_diagnostics
            .is_some_and(|can| can.diagnostics_capabilities.related_information == Some(true));
        self.snippets = item.snippet_support == Some(true);
        self.set_overrides(&params.initialization_options.unwrap_or_default());
        lsp::InitializeResult {
            capabilities: capabilities(self.shows.encoding),
            server_info: Some(lsp::ServerInfo {
                name: "pipe".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        }
    }

    /// `{ "set": ["root=/data"], "params": "values.yaml" }`, also beneath `"pipe"`.
    fn set_overrides(&mut self, settings: &Value) {
        let settings = settings.get("pipe").unwrap_or(settings);
        let set = settings.get("set").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let values = settings.get("params").and_then(Value::as_str).filter(|path| !path.is_empty());
        self.overrides = Overrides {
            study: Pick::Every,
            set: set.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            values: values.and_then(|path| {
                let bytes = crate::host::Host::read(&Desk::default(), Path::new(path)).ok()?;
                Some((path.to_owned(), String::from_utf8(bytes).ok()?))
            }),
            elsewhere: false,
        };
    }

    /// Takes note of something; what is not known is passed over, as the protocol wants it.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn notified(&mut self, method: &str, params: Value, out: &mut dyn Write) -> io::Result<()> {
        if self.phase != Phase::Ready {
            return Ok(());
        }
        if method == "$/cancelRequest" {
            let id = params.get("id").cloned().unwrap_or_default();
            if let Some(at) = self.waiting.iter().position(|waiting| waiting.id == id) {
                self.waiting.remove(at);
                let why = Refusal::new(LspErrorCodes::RequestCancelled, "cancelled by the client");
                return wire::answer(out, &id, Err(why));
            }
            return Ok(());
        }
        let noted = guarded(|| self.note(method, params));
        match noted {
            Ok(Value::Null) => Ok(()),
            Ok(closed) => self.unlist(Path::new(closed.as_str().unwrap_or_default()), out),
            Err(Refusal { why, .. }) => {
                let message = format!("{method}: {why}");
                wire::notify(out, "window/logMessage", json!({ "type": 1, "message": message }))
            }
        }
    }

    /// The path of a document that was closed, else null.
    fn note(&mut self, method: &str, params: Value) -> Answer {
        match method {
            "textDocument/didOpen" => {
                let lsp::TextDocumentItem { uri, version, text, .. } =
                    extract::<lsp::DidOpenTextDocumentParams>(params)?.text_document;
                self.open(Document::new(uri, version, &text));
            }
            "textDocument/didChange" => {
                let params: lsp::DidChangeTextDocumentParams = extract(params)?;
                let path = self.path(&params.text_document.text_document_identifier.uri);
                let encoding = self.shows.encoding;
                let opened = self.opened.get_mut(&path).ok_or_else(not_open)?;
                opened.document.change(params.text_document.version, params.content_changes, encoding);
                opened.page = opened.document.read();
                self.check_with_users(&path);
            }
            "textDocument/didClose" => {
                let params: lsp::DidCloseTextDocumentParams = extract(params)?;
                let path = self.path(&params.text_document.uri);
                if let Some(opened) = self.opened.get(&path) {
                    opened.unwanted.store(true, Ordering::Relaxed);
                    self.check_users(&path);
                    return Ok(json!(path));
                }
            }
            "workspace/didChangeConfiguration" => {
                self.set_overrides(params.get("settings").unwrap_or(&Value::Null));
                self.check_all();
            }
            // tables and files on the disk may have changed
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => self.check_all(),
            _ => {}
        }
        Ok(Value::Null)
    }

    /// The path under which a document is kept.
    fn path(&self, uri: &lsp::Uri) -> PathBuf {
        let by_uri = self.opened.values().find(|opened| opened.document.uri == *uri);
        by_uri.map_or_else(|| Document::new(uri.clone(), 0, "").path, |opened| opened.document.path.clone())
    }

    /// An open document.
    pub(super) fn opened(&self, uri: &lsp::Uri) -> Option<&Opened> {
        self.opened.get(&self.path(uri))
    }

    /// Every open document.
    pub(super) fn documents(&self) -> impl Iterator<Item = &Opened> {
        self.opened.values()
    }

    /// The address of a file: an open document's as the client spells it.
    pub(super) fn uri(&self, path: &Path) -> lsp::Uri {
        self.opened.get(path).map_or_else(|| places::uri(path), |opened| opened.document.uri.clone())
    }

    /// The world with the open documents over it.
    pub(super) fn desk(&self) -> Desk {
        let open = self.opened.iter().map(|(path, opened)| (path.clone(), Arc::clone(&opened.document.text)));
        Desk { open: Arc::new(open.collect()), unwanted: Arc::default(), memory: Arc::clone(&self.memory) }
    }

    /// The table that the study around a byte of a document reads.
    pub(super) fn table(&self, document: &Path, at: usize) -> Option<Table> {
        Table::of(document, at, &self.desk(), &self.overrides)
    }

    fn open(&mut self, document: Document) {
        let path = document.path.clone();
        let page = document.read();
        let listed = self.opened.remove(&path).map(|before| before.listed).unwrap_or_default();
        let opened = Opened { document, page, found: None, unwanted: Arc::default(), listed };
        self.opened.insert(path.clone(), opened);
        self.check_with_users(&path);
    }

    fn check_all(&mut self) {
        let paths: Vec<PathBuf> = self.opened.keys().cloned().collect();
        for path in paths {
            self.check(&path);
        }
    }

    fn check_with_users(&mut self, path: &Path) {
        self.check(path);
        self.check_users(path);
    }

    /// Checks the documents whose last check read this file.
    fn check_users(&mut self, path: &Path) {
        let reads = |opened: &Opened| {
            opened.found.as_ref().is_some_and(|(_, found)| found.map.paths().any(|read| absolute(read) == *path))
        };
        let users = self.opened.iter().filter(|(user, opened)| *user != path && reads(opened));
        let users: Vec<PathBuf> = users.map(|(user, _)| user.clone()).collect();
        for user in users {
            self.check(&user);
        }
    }

    fn check(&mut self, path: &Path) {
        let mut desk = self.desk();
        let Some(opened) = self.opened.get_mut(path) else { return };
        opened.unwanted.store(true, Ordering::Relaxed);
        opened.unwanted = Arc::clone(&desk.unwanted);
        desk.unwanted = Arc::clone(&opened.unwanted);
        let (path, version) = (path.to_path_buf(), opened.document.version);
        let library = opened.page.is_library();
        // the thread lives as long as the sender, which is ours
        let _ = self.jobs.send(Job { path, version, library, desk, overrides: self.overrides.clone() });
    }

    /// Shows what a check found.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn checked(&mut self, report: Report, out: &mut dyn Write) -> io::Result<()> {
        let Report { path, version, found } = report;
        let Some(opened) = self.opened.get(&path).filter(|opened| opened.document.version == version) else {
            return Ok(());
        };
        let Some(found) = found else {
            let message = format!("checking {} failed; this is a bug in pipe", opened.document.uri.as_ref());
            return wire::notify(out, "window/logMessage", json!({ "type": 1, "message": message }));
        };
        let listed = problems::by_file(&found, &path, self.shows, &|path| self.uri(path));
        let mut touched: BTreeSet<PathBuf> = listed.keys().cloned().collect();
        if let Some(opened) = self.opened.get_mut(&path) {
            touched.extend(opened.listed.keys().cloned());
            opened.listed = listed;
            opened.found = Some((version, found));
        }
        for file in touched {
            self.publish(&file, out)?;
        }
        let (ready, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.path == path);
        self.waiting = waiting;
        for Waiting { id, params, .. } in ready {
            let answer = guarded(|| value(self.actions(&params)));
            wire::answer(out, &id, answer)?;
        }
        Ok(())
    }

    /// Tells the client all that is listed for a file, by whichever document's check.
    fn publish(&self, file: &Path, out: &mut dyn Write) -> io::Result<()> {
        let mut all: Vec<lsp::Diagnostic> = Vec::new();
        for diagnostic in self.opened.values().filter_map(|opened| opened.listed.get(file)).flatten() {
            if !all.contains(diagnostic) {
                all.push(diagnostic.clone());
            }
        }
        let version = self.opened.get(file).map(|opened| opened.document.version);
        let params = lsp::PublishDiagnosticsParams { uri: self.uri(file), version, diagnostics: all };
        wire::notify(out, "textDocument/publishDiagnostics", params)
    }

    /// Forgets a closed document and what only its check had listed.
    fn unlist(&mut self, path: &Path, out: &mut dyn Write) -> io::Result<()> {
        let Some(closed) = self.opened.remove(path) else { return Ok(()) };
        let (lost, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.path == path);
        self.waiting = waiting;
        for Waiting { id, .. } in lost {
            wire::answer(out, &id, Ok(Value::Null))?;
        }
        for file in closed.listed.keys() {
            if file == path {
                let uri = closed.document.uri.clone();
                let empty = lsp::PublishDiagnosticsParams { uri, version: None, diagnostics: Vec::new() };
                wire::notify(out, "textDocument/publishDiagnostics", empty)?;
            } else {
                self.publish(file, out)?;
            }
        }
        Ok(())
    }

    /// Code actions come from the newest text's problems: they wait until it is checked.
    fn actions_requested(&mut self, id: Value, params: Value, out: &mut dyn Write) -> io::Result<()> {
        let params: lsp::CodeActionParams = match extract(params) {
            Ok(params) => params,
            Err(refusal) => return wire::answer(out, &id, Err(refusal)),
        };
        match self.opened(&params.text_document.uri) {
            Some(opened) if opened.found.as_ref().is_none_or(|(version, _)| *version != opened.document.version) => {
                let path = opened.document.path.clone();
                self.waiting.push(Waiting { id, path, params });
                Ok(())
            }
            Some(_) | None => {
                let answer = guarded(|| value(self.actions(&params)));
                wire::answer(out, &id, answer)
            }
        }
    }

    fn actions(&self, params: &lsp::CodeActionParams) -> Vec<lsp::CodeActionResponse> {
        let Some(opened) = self.opened(&params.text_document.uri) else { return Vec::new() };
        assist::actions(opened, params, self.shows.encoding)
    }
}

fn not_open() -> Refusal {
    Refusal::new(ErrorCodes::InvalidParams, "the document is not open")
}

/// What the server can.
fn capabilities(encoding: Encoding) -> lsp::ServerCapabilities {
    let kinds = vec![lsp::CodeActionKind::QuickFix, lsp::CodeActionKind::SourceFixAll];
    lsp::ServerCapabilities {
        position_encoding: Some(encoding.kind()),
        text_document_sync: Some(lsp::TextDocumentSync::Options(lsp::TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(lsp::TextDocumentSyncKind::Incremental),
            save: Some(lsp::Save::Bool(true)),
            ..lsp::TextDocumentSyncOptions::default()
        })),
        completion_provider: Some(lsp::CompletionOptions {
            trigger_characters: Some([".", "`", "\"", "=", "(", "[", "/"].map(str::to_owned).to_vec()),
            resolve_provider: Some(true),
            ..lsp::CompletionOptions::default()
        }),
        hover_provider: Some(lsp::HoverProvider::Bool(true)),
        signature_help_provider: Some(lsp::SignatureHelpOptions {
            trigger_characters: Some(["(", ","].map(str::to_owned).to_vec()),
            ..lsp::SignatureHelpOptions::default()
        }),
        definition_provider: Some(lsp::DefinitionProvider::Bool(true)),
        references_provider: Some(lsp::ReferencesProvider::Bool(true)),
        document_highlight_provider: Some(lsp::DocumentHighlightProvider::Bool(true)),
        rename_provider: Some(lsp::RenameProvider::RenameOptions(lsp::RenameOptions {
            prepare_provider: Some(true),
            ..lsp::RenameOptions::default()
        })),
        document_symbol_provider: Some(lsp::DocumentSymbolProvider::Bool(true)),
        document_formatting_provider: Some(lsp::DocumentFormattingProvider::Bool(true)),
        folding_range_provider: Some(lsp::FoldingRangeProvider::Bool(true)),
        code_action_provider: Some(lsp::CodeActionProvider::CodeActionOptions(lsp::CodeActionOptions {
            code_action_kinds: Some(kinds),
            ..lsp::CodeActionOptions::default()
        })),
        ..lsp::ServerCapabilities::default()
    }
}

/// Reads the parameters of a request, and makes an answer of what comes of them.
fn ask<P: DeserializeOwned, R: Serialize>(params: Value, answer: impl FnOnce(P) -> R) -> Answer {
    extract(params).and_then(|params| value(answer(params)))
}

fn extract<P: DeserializeOwned>(params: Value) -> Result<P, Refusal> {
    serde_json::from_value(params).map_err(|error| Refusal::new(ErrorCodes::InvalidParams, error.to_string()))
}

fn value(result: impl Serialize) -> Answer {
    serde_json::to_value(result).map_err(|error| Refusal::new(ErrorCodes::InternalError, error.to_string()))
}

/// A panic becomes a refusal: a bug, but one that the author can go on typing after.
fn guarded(handle: impl FnOnce() -> Answer) -> Answer {
    catch_unwind(AssertUnwindSafe(handle))
        .unwrap_or_else(|_| Err(Refusal::new(ErrorCodes::InternalError, "this is a bug in pipe; the server goes on")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_answered() {
        let answer = guarded(|| panic!("a test of what happens then"));
        assert_eq!(answer.map_err(|refusal| refusal.code), Err(i32::from(ErrorCodes::InternalError)));
    }
}
