//! Problems become what an editor shows: squiggles with their code, related places, and fixes to apply.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gen_lsp_types as lsp;
use serde_json::json;

use super::checker::Found;
use super::places::{Encoding, Lines};
use crate::diag::render::visible;
use crate::diag::{Code, Diagnostic, Edit, Severity};
use crate::source::{FileId, SourceMap};

/// Problems by the file they are listed in.
pub(super) type ByFile = BTreeMap<PathBuf, Vec<lsp::Diagnostic>>;

/// What the client can show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shows {
    pub(super) encoding: Encoding,
    /// Related places?
    pub(super) related: bool,
}

/// The problems of one check by file; the document itself is there even when it has none.
pub(super) fn by_file(found: &Found, document: &Path, shows: Shows, uri: &dyn Fn(&Path) -> lsp::Uri) -> ByFile {
    let mut files = Files { map: &found.map, encoding: shows.encoding, lines: BTreeMap::new() };
    let mut listed = ByFile::from([(document.to_path_buf(), Vec::new())]);
    for problem in found.problems.sorted() {
        let place = problem.labels.first().and_then(|label| Some((label, files.path(label.span.file)?)));
        let (path, range) = match place {
            Some((label, path)) => (path, files.range(label.span.file, &label.span.range())),
            // no place, or one on the command line: at the document's start
            None => (document.to_path_buf(), lsp::Range::default()),
        };
        let shown = diagnostic(problem, range, &mut files, shows, uri);
        listed.entry(path).or_default().push(shown);
    }
    listed
}

struct Files<'m> {
    map: &'m SourceMap,
    encoding: Encoding,
    lines: BTreeMap<FileId, Lines<'m>>,
}

impl Files<'_> {
    fn path(&self, file: FileId) -> Option<PathBuf> {
        self.map.path(file).map(super::desk::absolute)
    }

    fn range(&mut self, file: FileId, range: &std::ops::Range<usize>) -> lsp::Range {
        let (map, encoding) = (self.map, self.encoding);
        self.lines.entry(file).or_insert_with(|| Lines::new(map.text(file), encoding)).range(range)
    }
}

fn diagnostic(
    problem: &Diagnostic,
    range: lsp::Range,
    files: &mut Files<'_>,
    shows: Shows,
    uri: &dyn Fn(&Path) -> lsp::Uri,
) -> lsp::Diagnostic {
    let mut message = problem.message.clone();
    let mut related = Vec::new();
    for (nth, label) in problem.labels.iter().enumerate() {
        let place = files.path(label.span.file).filter(|_| shows.related && nth > 0);
        match place {
            Some(path) => related.push(lsp::DiagnosticRelatedInformation {
                location: lsp::Location { uri: uri(&path), range: files.range(label.span.file, &label.span.range()) },
                message: visible(&label.text),
            }),
            None if label.text.is_empty() => {}
            None => message.push_str(&format!("\n{}", label.text)),
        }
    }
    if let Some(help) = &problem.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    let code = problem.code;
    let unused = code == Code::W0108;
    // names out of a table may hold anything
    let message = visible(&message);
    lsp::Diagnostic {
        range,
        severity: Some(match problem.severity {
            Severity::Error => lsp::DiagnosticSeverity::Error,
            Severity::Warning => lsp::DiagnosticSeverity::Warning,
        }),
        code: Some(lsp::Code::String(code.id().to_owned())),
        source: Some("pipe".to_owned()),
        message: lsp::Message::String(message),
        tags: unused.then(|| vec![lsp::DiagnosticTag::Unnecessary]),
        related_information: (!related.is_empty()).then_some(related),
        data: (!problem.fixes.is_empty()).then(|| json!({ "fixes": problem.fixes.len() })),
        ..lsp::Diagnostic::default()
    }
}

/// A problem of a document that can be mended, and how.
#[derive(Debug)]
pub(super) struct Mend<'f> {
    pub(super) problem: &'f Diagnostic,
    pub(super) title: String,
}

/// The problems of one file that carry fixes.
pub(super) fn mends<'f>(found: &'f Found, path: &Path) -> Vec<Mend<'f>> {
    let here = |edit: &Edit| found.map.path(edit.span.file) == Some(path);
    let all = found.problems.sorted().into_iter();
    all.filter(|problem| !problem.fixes.is_empty() && problem.fixes.iter().all(here))
        .map(|problem| Mend { problem, title: title(&found.map, &problem.fixes) })
        .collect()
}

/// What an edit does, in a few words: ``write `batch` ``.
fn title(map: &SourceMap, fixes: &[Edit]) -> String {
    let one_line = |text: &str| {
        let line = text.trim().lines().next().unwrap_or("").trim_end();
        if line.chars().count() > 60 {
            format!("{}...", line.chars().take(57).collect::<String>())
        } else {
            line.to_owned()
        }
    };
    match fixes {
        [one] if one.text.trim().is_empty() => format!("remove `{}`", one_line(map.slice(one.span))),
        [one] if map.slice(one.span).is_empty() => format!("insert `{}`", one_line(&one.text)),
        [one] => format!("write `{}`", one_line(&one.text)),
        several => {
            // the text from the first edit to the last as it will stand
            let mut sorted: Vec<&Edit> = several.iter().collect();
            sorted.sort_by_key(|edit| edit.span);
            let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return "fix it".to_owned() };
            let text = map.text(first.span.file);
            let mut after = String::new();
            let mut at = first.span.range().start;
            for edit in &sorted {
                after.push_str(text.get(at..edit.span.range().start).unwrap_or(""));
                after.push_str(&edit.text);
                at = edit.span.range().end;
            }
            // to the end of the word, so that the title can be read
            let rest = text.get(last.span.range().end..).unwrap_or("");
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            after.push_str(rest.get(..word).unwrap_or(""));
            format!("write `{}`", one_line(&after))
        }
    }
}

/// Edits that can be made together: those that overlap an earlier one are left for the next time.
pub(super) fn together<'f>(mends: impl IntoIterator<Item = &'f Mend<'f>>) -> Vec<&'f Edit> {
    let mut chosen: Vec<&Edit> = Vec::new();
    for mend in mends {
        let free = |edit: &Edit| {
            let range = edit.span.range();
            chosen.iter().all(|other| {
                let held = other.span.range();
                range.end < held.start
                    || held.end < range.start
                    || (range.end == held.start) != (held.end == range.start)
            })
        };
        if mend.problem.fixes.iter().all(free) {
            chosen.extend(&mend.problem.fixes);
        }
    }
    chosen
}

/// Edits of a text as the protocol writes them.
pub(super) fn text_edits<'e>(
    text: &str,
    encoding: Encoding,
    edits: impl IntoIterator<Item = &'e Edit>,
) -> Vec<lsp::TextEdit> {
    let lines = Lines::new(text, encoding);
    edits
        .into_iter()
        .map(|edit| lsp::TextEdit { range: lines.range(&edit.span.range()), new_text: edit.text.clone() })
        .collect()
}
