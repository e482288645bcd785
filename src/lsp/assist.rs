//! Help while writing: completion, hover, the parameters of a call, fixes.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is looked for stands in one kind of node, and in no other")]

use std::path::Path;

use gen_lsp_types as lsp;
use serde_json::{Value, json};

use super::cursor::{Cursor, Slot, Spot, cursor};
use super::desk::{Desk, Page};
use super::names::{Definition, Kind};
use super::offers::{self, Offer};
use super::places::{Encoding, Lines};
use super::problems::{mends, text_edits, together};
use super::server::{Opened, Server};
use super::{grid, navigate};
use crate::catalog::{Takes, describe};
use crate::host::Host as _;
use crate::syntax::ast::{Block, Entry, Expr, ExprKind, Item};

/// Entries of a folder that are offered.
const MOST_FILES: usize = 200;

/// What may be written at a place.
pub(super) fn completion(server: &mut Server, params: &lsp::CompletionParams) -> Option<lsp::CompletionList> {
    let at = &params.text_document_position_params;
    let encoding = server.shows.encoding;
    let opened = server.opened(&at.text_document.uri)?;
    let document = opened.document.path.clone();
    let page = &opened.page;
    let lines = Lines::new(&page.text, encoding);
    let here = cursor(page.file, &page.text, lines.offset(at.position));
    let visible = page.names.visible(lines.offset(at.position));
    let offers = from_elsewhere(&server.desk(), &document, &here, &visible)
        .unwrap_or_else(|| offers::offers(&here, &visible, &page.text));
    let variants = variants(page, &here);
    // what stands behind the place is replaced only inside a column or a text, which go to their end
    let typed = match here.spot {
        Spot::Column | Spot::Text | Spot::Edition => here.word.clone(),
        _ => here.word.start..lines.offset(at.position).max(here.word.start),
    };
    let typed = lines.range(&typed);
    let from_table = from_table(server, &document, &here);
    let mut items: Vec<lsp::CompletionItem> =
        offers.into_iter().map(|offer| item(offer, &typed, at.position, server.snippets)).collect();
    items.extend(variants.into_iter().map(|offer| item(offer, &typed, at.position, false)));
    items.extend(from_table.into_iter().enumerate().map(|(nth, offer)| {
        let data = (here.spot_is_column())
            .then(|| json!({ "uri": at.text_document.uri, "at": here.word.start, "column": offer.name }));
        let item = item(offer, &typed, at.position, false);
        // in the table's order, which its readers know
        lsp::CompletionItem { data, sort_text: Some(format!("{nth:05}")), ..item }
    }));
    Some(lsp::CompletionList { is_incomplete: false, items, ..lsp::CompletionList::default() })
}

/// Names of another file: behind `lab.`, or in the braces of a `use`.
fn from_elsewhere(desk: &Desk, document: &Path, here: &Cursor, visible: &[&Definition]) -> Option<Vec<Offer>> {
    let none: &[String] = &[];
    let (file, written) = match (&here.spot, &here.member_of) {
        (Spot::Import { file, written }, _) => (file.as_str(), written.as_slice()),
        (Spot::Value | Spot::Study, Some(alias)) => {
            let of = visible.iter().find(|one| one.kind == Kind::Alias && one.name.text == *alias);
            (of.and_then(|one| one.file.as_deref())?, none)
        }
        _ => return None,
    };
    let fits = |(kind, offer): &(Kind, Offer)| {
        let wanted = match here.spot {
            Spot::Study => *kind == Kind::Study,
            Spot::Value => matches!(kind, Kind::Let | Kind::Param),
            _ => true,
        };
        wanted && !written.contains(&offer.name)
    };
    Some(navigate::offered(desk, document, file).into_iter().filter(fits).map(|(_, offer)| offer).collect())
}

/// The variants of the study, where its baseline is written.
fn variants(page: &Page, here: &Cursor) -> Vec<Offer> {
    let is_baseline =
        matches!(here.slot, Some(Slot::Setting(block, one)) if block.name == "compare" && one.name == "baseline");
    if !is_baseline {
        return Vec::new();
    }
    let (file, at) = (&page.parsed.file, here.word.start);
    let names = here.field.as_ref().map_or_else(|| grid::variants(file, at), |path| grid::labels(file, at, path));
    let (start, end) = match here.spot {
        Spot::Value => ("\"", "\""),
        Spot::Text if here.closed => ("", ""),
        Spot::Text => ("", "\""),
        _ => return Vec::new(),
    };
    let offer = |name: String| Offer {
        snippet: offers::escaped(&format!("{start}{name}{end}")),
        name,
        kind: lsp::CompletionItemKind::EnumMember,
        detail: "variant".to_owned(),
        docs: String::new(),
        rank: 0,
    };
    names.into_iter().map(offer).collect()
}

impl Cursor {
    fn spot_is_column(&self) -> bool {
        matches!(self.spot, Spot::Column)
    }
}

fn item(offer: Offer, typed: &lsp::Range, at: lsp::Position, snippets: bool) -> lsp::CompletionItem {
    let Offer { name, kind, detail, docs, snippet, rank } = offer;
    let filled = snippet.contains("${");
    let (new_text, format) = if snippets && filled {
        (snippet, Some(lsp::InsertTextFormat::Snippet))
    } else if filled {
        // without holes to fill in, the name alone is the best start
        (name.clone(), None)
    } else {
        (unescaped(&snippet), None)
    };
    // The range must lie on one line around the place.
    let range = if typed.start.line == at.line && typed.end.line == at.line {
        *typed
    } else {
        lsp::Range { start: at, end: at }
    };
    lsp::CompletionItem {
        sort_text: Some(format!("{rank:03}{name}")),
        filter_text: Some(name.clone()),
        label: name,
        kind: Some(kind),
        detail: (!detail.is_empty()).then_some(detail),
        documentation: (!docs.is_empty()).then(|| lsp::Documentation::MarkupContent(markdown(docs))),
        insert_text_format: format,
        text_edit: Some(lsp::CompletionItemTextEdit::TextEdit(lsp::TextEdit { range, new_text })),
        ..lsp::CompletionItem::default()
    }
}

fn unescaped(snippet: &str) -> String {
    let mut out = String::with_capacity(snippet.len());
    let mut rest = snippet.chars();
    while let Some(c) = rest.next() {
        out.push(if c == '\\' { rest.next().unwrap_or('\\') } else { c });
    }
    out
}

fn markdown(value: String) -> lsp::MarkupContent {
    lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value }
}

/// Columns inside backticks, cells where a column's values are written, files inside paths.
fn from_table(server: &mut Server, document: &Path, here: &Cursor) -> Vec<Offer> {
    let plain = |name: &str, kind, detail: String, insert: String| Offer {
        name: name.to_owned(),
        kind,
        detail,
        docs: String::new(),
        snippet: offers::escaped(&insert),
        rank: 0,
    };
    match here.spot {
        Spot::Column => {
            let Some(table) = server.table(document, here.word.start) else { return Vec::new() };
            let desk = server.desk();
            let close = if here.closed { "" } else { "`" };
            let kind = lsp::CompletionItemKind::Field;
            let detail = format!("column of {}", table.name());
            let names = server.tables.names(&table, &desk);
            names.iter().map(|name| plain(name, kind, detail.clone(), format!("{name}{close}"))).collect()
        }
        Spot::Text => {
            let close = if here.closed { "" } else { "\"" };
            if let Some((column, split_on)) = cells_wanted(server, document, here) {
                let Some(table) = server.table(document, here.word.start) else { return Vec::new() };
                let desk = server.desk();
                let cells = server.tables.cells(&table, &column, split_on.as_deref(), &desk);
                let kind = lsp::CompletionItemKind::Value;
                return cells
                    .iter()
                    .map(|(cell, rows)| {
                        let quoted = cell.replace('\\', "\\\\").replace('"', "\\\"");
                        plain(cell, kind, format!("{rows} rows of `{column}`"), format!("{quoted}{close}"))
                    })
                    .collect();
            }
            files(server, document, here, close)
        }
        _ => Vec::new(),
    }
}

/// The column whose cells are written here, and what separates several labels in one of them.
fn cells_wanted(server: &Server, document: &Path, here: &Cursor) -> Option<(String, Option<String>)> {
    if let Some(column) = &here.compared {
        return Some((column.clone(), None));
    }
    let classes = match here.slot? {
        Slot::Setting(block, setting) => block.name == "data" && matches!(setting.name, "classes" | "limit" | "merge"),
        Slot::Parameter(_, parameter) => parameter.name == "class_weights",
    };
    let opened = server.documents().find(|opened| opened.document.path == document).filter(|_| classes)?;
    let label = setting_of(&opened.page, "data", "label")?;
    let ExprKind::Column(label) = &label.kind else { return None };
    let split_on = setting_of(&opened.page, "data", "labels").and_then(|labels| match &labels.kind {
        ExprKind::Call { arguments, .. } => arguments.iter().find_map(|argument| match &argument.value.kind {
            ExprKind::Text(text) if argument.name.as_ref().is_some_and(|name| name.text == "split_on") => text.plain(),
            _ => None,
        }),
        _ => None,
    });
    Some((label.clone(), split_on))
}

/// The value of a setting as some study of the page writes it.
fn setting_of<'p>(page: &'p Page, block: &str, name: &str) -> Option<&'p Expr> {
    let studies = page.parsed.file.items.iter().filter_map(|item| match item {
        Item::Block(block) if block.keyword.text == "study" => Some(block),
        Item::Block(_) | Item::Param(_) | Item::Let(_) | Item::Use(_) | Item::Error(_) => None,
    });
    let in_block = |inner: &'p Block| {
        inner.entries.iter().find_map(|entry| match entry {
            Entry::Setting(setting) if setting.path.names.iter().map(|n| n.text.as_str()).eq([name]) => {
                Some(&setting.value)
            }
            _ => None,
        })
    };
    studies.flat_map(|study| &study.entries).find_map(|entry| match entry {
        Entry::Block(inner) if inner.keyword.text == block => in_block(inner),
        Entry::Setting(setting) if setting.path.names.iter().map(|n| n.text.as_str()).eq([block, name]) => {
            Some(&setting.value)
        }
        _ => None,
    })
}

/// Files and folders that a path may go on with.
fn files(server: &Server, document: &Path, here: &Cursor, close: &str) -> Vec<Offer> {
    let ends: &[&str] = match here.slot {
        Some(slot) if matches!(slot.takes(), Takes::Path) => match slot.name() {
            "path" => &[".csv", ".tsv", ".txt", ".safetensors"],
            _ => &[],
        },
        None if here.line.as_deref() == Some("use") => &[".pipe"],
        _ => return Vec::new(),
    };
    let Some(opened) = server.documents().find(|opened| opened.document.path == document) else { return Vec::new() };
    let written = opened.page.text.get(here.word.clone()).unwrap_or("");
    let (folder, _) = written.rsplit_once('/').map_or(("", written), |(folder, rest)| (folder, rest));
    let Some(base) = document.parent() else { return Vec::new() };
    let desk = server.desk();
    let full = base.join(folder);
    let mut offers = Vec::new();
    for name in desk.list(&full).unwrap_or_default().into_iter().filter(|name| !name.starts_with('.')) {
        let is_folder = desk.stat(&full.join(&name)).is_ok_and(|stat| stat.kind == crate::host::Kind::Folder);
        if !is_folder && !ends.iter().any(|end| name.to_ascii_lowercase().ends_with(end)) {
            continue;
        }
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let (kind, insert) = if is_folder {
            (lsp::CompletionItemKind::Folder, path.clone())
        } else {
            (lsp::CompletionItemKind::File, format!("{path}{close}"))
        };
        offers.push(Offer {
            name: path,
            kind,
            detail: String::new(),
            docs: String::new(),
            snippet: offers::escaped(&insert),
            rank: 0,
        });
        if offers.len() == MOST_FILES {
            break;
        }
    }
    offers
}

/// Adds what a column holds, once an editor wants to show it.
pub(super) fn resolve(server: &mut Server, mut item: lsp::CompletionItem) -> lsp::CompletionItem {
    let field = |name: &str| item.data.as_ref().and_then(|data| data.get(name)).and_then(Value::as_str);
    let (Some(uri), Some(column)) = (field("uri"), field("column")) else { return item };
    let (uri, column) = (lsp::Uri::from(uri), column.to_owned());
    let Some(document) = server.opened(&uri).map(|opened| opened.document.path.clone()) else { return item };
    let at = item.data.as_ref().and_then(|data| data.get("at")).and_then(Value::as_u64).unwrap_or(0);
    let about = server.table(&document, usize::try_from(at).unwrap_or(0)).and_then(|table| {
        let desk = server.desk();
        server.tables.about(&table, &column, &desk)
    });
    item.documentation = about.map(|docs| lsp::Documentation::MarkupContent(markdown(docs)));
    item
}

/// What stands at a place.
pub(super) fn hover(server: &mut Server, params: &lsp::HoverParams) -> Option<lsp::Hover> {
    let at = &params.text_document_position_params;
    let encoding = server.shows.encoding;
    let opened = server.opened(&at.text_document.uri)?;
    let document = opened.document.path.clone();
    let lines = Lines::new(&opened.page.text, encoding);
    let offset = lines.offset(at.position);
    let (range, docs) = about(&server.desk(), &document, &opened.page, offset)?;
    let shown = lines.range(&range);
    let docs = match docs {
        About::Known(docs) => docs,
        About::Column(column) => {
            let table = server.table(&document, offset)?;
            let desk = server.desk();
            server.tables.about(&table, &column, &desk)?
        }
    };
    Some(lsp::Hover { contents: lsp::Contents::MarkupContent(markdown(docs)), range: Some(shown) })
}

enum About {
    Known(String),
    Column(String),
}

/// The documentation of what is written at a byte, and where it stands.
fn about(desk: &Desk, document: &Path, page: &Page, at: usize) -> Option<(std::ops::Range<usize>, About)> {
    // The place lies before the character that the pointer is on.
    let next = page.text.get(at..)?.chars().next().map_or(at, |c| at + c.len_utf8());
    let on = cursor(page.file, &page.text, next);
    if matches!(on.spot, Spot::Unit) && on.token.contains(&at) {
        // a number: what it is for
        return Some((on.token.clone(), About::Known(offers::slot(on.slot?).docs)));
    }
    let touched = on.word.start <= at && at < on.word.end.max(on.word.start + 1);
    let here = if touched { on } else { cursor(page.file, &page.text, at) };
    let word = page.text.get(here.word.clone()).unwrap_or("");
    if matches!(here.spot, Spot::Column) {
        return Some((here.word.clone(), About::Column(word.to_owned())));
    }
    let known = |offer: Offer| Some((here.word.clone(), About::Known(offer.docs)));
    let visible = page.names.visible(at);
    // A setting that is written already is not offered again, but it is what is asked about.
    let mut asked = here.clone();
    if let Spot::Entry { written, .. } = &mut asked.spot {
        written.clear();
    }
    if let Some(call) = &mut asked.call {
        call.given.clear();
    }
    if !word.is_empty() {
        if let Some((definition, member, span)) =
            page.names.at(here.word.start).filter(|(_, _, span)| span.range() == here.word)
        {
            let offer = navigate::documented(desk, (document, page.text.as_str()), definition, member);
            return Some((span.range(), About::Known(offer.docs)));
        }
        let named = offers::offers(&asked, &visible, &page.text).into_iter().find(|offer| offer.name == word);
        if let Some(offer) = named.or_else(|| offers::reserved(word)) {
            return known(offer);
        }
    }
    // A text, a flag: what it is for.
    let value = matches!(here.spot, Spot::Value | Spot::Text) && touched_value(&page.text, &here);
    here.slot.filter(|_| value).and_then(|slot| known(offers::slot(slot)))
}

fn touched_value(text: &str, here: &Cursor) -> bool {
    !here.word.is_empty() || text.get(here.word.start..).is_some_and(|rest| rest.starts_with('"'))
}

/// The parameters of the call around a place.
pub(super) fn signature(server: &Server, params: &lsp::SignatureHelpParams) -> Option<lsp::SignatureHelp> {
    let at = &params.text_document_position_params;
    let page = &server.opened(&at.text_document.uri)?.page;
    let lines = Lines::new(&page.text, server.shows.encoding);
    let call = cursor(page.file, &page.text, lines.offset(at.position)).call?;
    let parameters = call.operation.parameters;
    let signature = lsp::SignatureInformation {
        label: describe::signature(call.operation),
        documentation: Some(lsp::Documentation::String(call.operation.about.to_owned())),
        parameters: Some(
            parameters
                .iter()
                .map(|parameter| lsp::ParameterInformation {
                    label: lsp::ParameterInformationLabel::String(describe::shown(parameter)),
                    documentation: Some(lsp::Documentation::String(format!(
                        "{}; takes {}",
                        parameter.about,
                        describe::takes(&parameter.takes)
                    ))),
                })
                .collect(),
        ),
        active_parameter: None,
    };
    let active = call.parameter.filter(|at| *at < parameters.len()).and_then(|at| u32::try_from(at).ok());
    Some(lsp::SignatureHelp {
        signatures: vec![signature],
        active_signature: Some(0),
        active_parameter: active.map(lsp::ActiveParameter::Int),
    })
}

/// Fixes for the problems in a range, and all safe fixes of the file at once.
pub(super) fn actions(
    opened: &Opened,
    params: &lsp::CodeActionParams,
    encoding: Encoding,
) -> Vec<lsp::CodeActionResponse> {
    let Some((_, found)) = &opened.found else { return Vec::new() };
    let wanted = |kind: &lsp::CodeActionKind| {
        let kind = String::from(kind.clone());
        params.context.only.as_ref().is_none_or(|only| {
            let mut only = only.iter().map(|one| String::from(one.clone()));
            only.any(|one| kind == one || kind.starts_with(&format!("{one}.")))
        })
    };
    let text: &str = &opened.page.text;
    let lines = Lines::new(text, encoding);
    let asked = lines.bytes(&params.range);
    let all = mends(found, &opened.document.path);
    let edit = |edits: Vec<&crate::diag::Edit>| lsp::WorkspaceEdit {
        changes: Some([(opened.document.uri.clone(), text_edits(text, encoding, edits))].into()),
        ..lsp::WorkspaceEdit::default()
    };
    let mut actions = Vec::new();
    if wanted(&lsp::CodeActionKind::QuickFix) {
        for mend in &all {
            let Some(label) = mend.problem.labels.first() else { continue };
            let place = label.span.range();
            if place.start > asked.end || place.end < asked.start {
                continue;
            }
            // the client's own diagnostic, so that it shows the fix beside it
            let code = lsp::Code::String(mend.problem.code.id().to_owned());
            let shown: Vec<lsp::Diagnostic> = params
                .context
                .diagnostics
                .iter()
                .filter(|one| one.code.as_ref() == Some(&code) && one.range == lines.range(&place))
                .cloned()
                .collect();
            actions.push(lsp::CodeAction {
                title: mend.title.clone(),
                kind: Some(lsp::CodeActionKind::QuickFix),
                diagnostics: (!shown.is_empty()).then_some(shown),
                is_preferred: Some(true),
                edit: Some(edit(mend.problem.fixes.iter().collect())),
                ..lsp::CodeAction::default()
            });
        }
    }
    if !all.is_empty() && wanted(&lsp::CodeActionKind::SourceFixAll) {
        actions.push(lsp::CodeAction {
            title: "make every safe fix in this file".to_owned(),
            kind: Some(lsp::CodeActionKind::SourceFixAll),
            edit: Some(edit(together(&all))),
            ..lsp::CodeAction::default()
        });
    }
    actions.into_iter().map(lsp::CodeActionResponse::CodeAction).collect()
}
