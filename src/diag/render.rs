//! Problems become text for people: code, message, the lines concerned with labels, help.
//!
//! Promises: no control or bidirectional character of a source or a message reaches the output, whatever was read;
//! at most [`MOST`] problems are drawn. The only file that names miette.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents, ThemeCharacters, ThemeStyles,
};

use super::{Diagnostic, Problems, Severity};
use crate::source::{FileId, SourceMap, Span};

/// Most problems drawn at once.
pub const MOST: usize = 50;
/// Characters of a source line that are shown around a label.
const WIDEST_LINE: usize = 160;

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// With ANSI colours?
    pub color: bool,
    /// Columns of the terminal; under 40 is taken as 40.
    pub width: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { color: false, width: 80 }
    }
}

/// Is this a character that moves the cursor, turns the text around or cannot be seen at all?
#[must_use]
pub(crate) fn hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text that is safe to print: hidden characters are written out as `\u{202e}`, tabs as blanks.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) || c == '\r' {
            safe.extend(c.escape_unicode());
        } else if c == '\t' {
            safe.push(' ');
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Draws every problem, in order of place, fifty at the most.
#[must_use]
pub fn render(map: &SourceMap, problems: &Problems, options: Options) -> String {
    let all = problems.sorted();
    let mut clean = BTreeMap::new();
    let mut out = String::new();
    for problem in all.iter().take(MOST) {
        let files: Vec<FileId> = problem.labels.iter().map(|label| label.span.file).collect();
        for file in files {
            clean.entry(file).or_insert_with(|| same_length(map.text(file)));
        }
        let drawn = Drawn::new(map, &clean, problem);
        let mut text = String::new();
        if handler(options).render_report(&mut text, &drawn).is_err() {
            text = plain(map, problem);
        }
        for line in text.lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
    if all.len() > MOST {
        let _ = writeln!(out, "and {} more", all.len() - MOST);
    }
    out
}

fn handler(options: Options) -> GraphicalReportHandler {
    let styles = if options.color { ThemeStyles::ansi() } else { ThemeStyles::none() };
    let theme = GraphicalTheme { characters: ThemeCharacters::unicode(), styles };
    GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(options.width.max(40))
        .with_break_words(false)
        .with_context_lines(1)
        .tab_width(4)
}

/// Without miette: what is left when a snippet cannot be drawn.
fn plain(map: &SourceMap, problem: &Diagnostic) -> String {
    let mut text = format!("{}\n\n  {}\n", problem.code.id(), visible(&problem.message));
    for label in &problem.labels {
        let at = map.line_column(label.span.file, label.span.range().start);
        let name = visible(map.name(label.span.file));
        let _ = writeln!(text, "  {name}:{}:{}: {}", at.line, at.column, visible(&label.text));
    }
    if let Some(help) = &problem.help {
        let _ = writeln!(text, "  help: {}", visible(help));
    }
    text
}

/// The same text with hidden characters replaced by visible ones of as many bytes, and with `\n` as only line end.
fn same_length(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' => clean.push(if rest.peek() == Some(&'\n') { ' ' } else { '\n' }),
            _ if hidden(c) => clean.push_str(match c.len_utf8() {
                1 => "?",
                2 => "\u{bf}",
                3 => "\u{fffd}",
                _ => "????",
            }),
            _ => clean.push(c),
        }
    }
    clean
}

/// The part of one file that a problem shows.
#[derive(Debug)]
struct Excerpt {
    /// Where it stands in the row of all excerpts.
    base: usize,
    name: String,
    text: String,
}

/// A problem as miette wants to see it. All files stand in one row, with a byte between them.
#[derive(Debug)]
struct Drawn<'a> {
    problem: &'a Diagnostic,
    message: String,
    help: Option<String>,
    labels: Vec<LabeledSpan>,
    excerpts: Vec<Excerpt>,
}

impl<'a> Drawn<'a> {
    fn new(map: &SourceMap, clean: &BTreeMap<FileId, String>, problem: &'a Diagnostic) -> Self {
        let mut files: Vec<FileId> = Vec::new();
        for label in &problem.labels {
            if !files.contains(&label.span.file) {
                files.push(label.span.file);
            }
        }
        let (mut excerpts, mut labels) = (Vec::new(), Vec::new());
        let mut base = 0;
        for file in files {
            let text = clean.get(&file).map_or("", String::as_str);
            let mut places: Vec<(Span, &str)> = Vec::new();
            for label in problem.labels.iter().filter(|label| label.span.file == file) {
                places.push((label.span, &label.text));
            }
            let ranges: Vec<(usize, usize)> = places.iter().map(|(span, _)| first_line(text, *span)).collect();
            let (text, ranges) = cropped(text, &ranges);
            for ((start, end), (_, words)) in ranges.into_iter().zip(places) {
                labels.push(LabeledSpan::new(Some(visible(words)), base + start, end - start));
            }
            let length = text.len();
            excerpts.push(Excerpt { base, name: visible(map.name(file)), text });
            base += length + 2;
        }
        let help = problem.help.as_deref().map(visible);
        Self { problem, message: visible(&problem.message).replace('\n', " "), help, labels, excerpts }
    }
}

/// A label's range within its first line, and within the text.
fn first_line(text: &str, span: Span) -> (usize, usize) {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let mut start = floor(span.range().start);
    if start == text.len() && text.ends_with('\n') {
        start -= 1; // the end of the last line, rather than an empty line after it
    }
    let end = floor(span.range().end).max(start);
    let inside = text.get(start..end).unwrap_or("");
    (start, start + inside.find('\n').map_or(inside.len(), |at| inside.get(..at).unwrap_or("").trim_end().len()))
}

/// The text with long lines cut down to what is around the labels, and the labels' new ranges.
fn cropped(text: &str, labels: &[(usize, usize)]) -> (String, Vec<(usize, usize)>) {
    if text.split('\n').all(|line| line.len() <= WIDEST_LINE * 2) {
        return (text.to_owned(), labels.to_vec());
    }
    let mut out = String::new();
    let mut moved = labels.to_vec();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches('\n');
        let here = |at: usize| line_start <= at && at <= line_start + body.len();
        let first = labels.iter().filter(|(start, _)| here(*start)).map(|(start, _)| start - line_start).min();
        let (from, to) = if body.len() <= WIDEST_LINE * 2 {
            (0, body.len())
        } else {
            let from = boundary(body, first.unwrap_or(0).saturating_sub(WIDEST_LINE / 4));
            (from, boundary(body, from + WIDEST_LINE))
        };
        let before = if from > 0 { "\u{2026}" } else { "" };
        let offset = out.len() + before.len();
        for (label, moved) in labels.iter().zip(&mut moved) {
            if here(label.0) {
                let shift = |at: usize| offset + (at - line_start).clamp(from, to) - from;
                *moved = (shift(label.0), shift(label.1.max(label.0)));
            }
        }
        out.push_str(before);
        out.push_str(body.get(from..to).unwrap_or(""));
        if to < body.len() {
            out.push('\u{2026}');
        }
        if body.len() < line.len() {
            out.push('\n');
        }
        line_start += line.len();
    }
    (out, moved)
}

fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.code.id()))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.excerpts.is_empty()).then_some(self)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty())
            .then(|| Box::new(self.labels.iter().cloned()) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

impl SourceCode for Drawn<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let excerpt = self.excerpts.iter().rev().find(|excerpt| excerpt.base <= span.offset());
        let excerpt = excerpt.ok_or(MietteError::OutOfBounds)?;
        let local = SourceSpan::new((span.offset() - excerpt.base).into(), span.len());
        let contents = excerpt.text.as_str().read_span(&local, before, after)?;
        let whole = SourceSpan::new((contents.span().offset() + excerpt.base).into(), contents.span().len());
        Ok(Box::new(MietteSpanContents::new_named(
            excerpt.name.clone(),
            contents.data(),
            whole,
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}
