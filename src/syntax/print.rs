//! A text becomes the same text in its canonical layout.
//!
//! Promises: only blanks, line ends and the last comma of a list change, so the tree stays the same; comments, and the
//! lines a value was broken into, stay; what comes out stays as it is when it is printed again.
//!
//! Two blanks a level; `=` aligned in neighbouring settings, `{` in neighbouring blocks of one line, comments in
//! neighbouring lines; one blank line at the most; a value that goes on in the next line stands under its `=`.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Block, Entry, File, Item};
use super::scan::{Kind, pieces};
use crate::diag::Problems;
use crate::source::{FileId, Span};

/// One level of nesting, in blanks.
const STEP: usize = 2;
/// Blanks before a comment at the end of a line.
const BEFORE_COMMENT: usize = 2;
/// Columns beyond which nothing is aligned and no line starts: a hostile text must not grow without end.
const MOST_COLUMNS: usize = 120;
/// Words between values, after which a bracket groups and a `-` negates.
const BETWEEN: [&str; 9] = ["and", "or", "not", "in", "if", "then", "else", "where", "as"];

/// The text in its canonical layout.
///
/// # Errors
/// The problems of a text that is not understood; such a text is not touched.
pub fn format(file: FileId, text: &str) -> Result<String, Problems> {
    let parsed = super::parse(file, text);
    if !parsed.problems.is_empty() {
        return Err(parsed.problems);
    }
    let printed = Page::read(file, text, &parsed.file).print();
    // the line end of the first line is that of the file
    let carriage =
        text.find(['\n', '\r']).is_some_and(|at| text.get(at..).is_some_and(|rest| rest.starts_with("\r\n")));
    Ok(if carriage { printed.replace('\n', "\r\n") } else { printed })
}

/// The text with the safe edits of the parser's problems made, until none is left that carries one.
///
/// # Errors
/// The problems that no edit mends, with the text they point into.
pub fn mend(file: FileId, text: &str) -> Result<String, (String, Problems)> {
    let mut text = text.to_owned();
    // an edit may bring to light what stood behind it, but hardly a fifth time
    for _ in 0..8 {
        let problems = super::parse(file, &text).problems;
        if problems.is_empty() {
            return Ok(text);
        }
        let mut edits: Vec<_> = problems.sorted().into_iter().flat_map(|problem| problem.fixes.clone()).collect();
        if edits.is_empty() {
            break;
        }
        edits.sort_by_key(|edit| std::cmp::Reverse((edit.span.start, edit.span.end)));
        let mut untouched = text.len();
        for edit in edits {
            let range = edit.span.range();
            if range.end <= untouched && text.get(range.clone()).is_some() {
                untouched = range.start;
                text.replace_range(range, &edit.text);
            }
        }
    }
    let problems = super::parse(file, &text).problems;
    if problems.is_empty() { Ok(text) } else { Err((text, problems)) }
}

/// A text as it is written in a study.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // `$` alone is a letter like others
            '$' => out.push_str("\\$"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Is a word part of the language itself, so that nothing can be called so?
#[must_use]
pub fn is_keyword(word: &str) -> bool {
    BETWEEN.contains(&word) || matches!(word, "param" | "let" | "use" | "vary" | "extends" | "true" | "false")
}

/// The name of a field as it is written in a study: a word, or in quotes.
#[must_use]
pub fn field(name: &str) -> String {
    let word = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if word && !is_keyword(name) { name.to_owned() } else { quoted(name) }
}

/// A column as it is written in a study.
#[must_use]
pub fn column(name: &str) -> String {
    format!("`{name}`")
}

/// A token; a text with all that stands in it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Atom<'a> {
    kind: Kind,
    text: &'a str,
    start: usize,
}

impl Atom<'_> {
    fn is(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    fn opens(&self) -> bool {
        self.kind == Kind::Open
    }

    fn closes(&self) -> bool {
        self.kind == Kind::Close
    }

    fn is_comment(&self) -> bool {
        self.kind == Kind::Comment
    }

    fn is_between(&self) -> bool {
        self.kind == Kind::Word && BETWEEN.contains(&self.text)
    }

    /// Entries of one kind are aligned with each other.
    fn entry_kind(&self) -> &str {
        if matches!(self.text, "param" | "let" | "vary") { self.text } else { "" }
    }

    /// May a value end with it?
    fn ends_value(&self) -> bool {
        match self.kind {
            Kind::Word => !self.is_between(),
            Kind::Number | Kind::TextClose | Kind::Column | Kind::Close => true,
            Kind::Symbol => self.text == "?", // an optional type
            // the last four are parts of a text
            Kind::Open
            | Kind::Comment
            | Kind::Newline
            | Kind::TextOpen
            | Kind::Chunk
            | Kind::HoleOpen
            | Kind::HoleClose => false,
        }
    }

    /// Does a value go on with it?
    fn goes_on(&self) -> bool {
        self.is_between() || self.kind == Kind::Symbol && !matches!(self.text, "," | ":" | "?")
    }
}

/// What is aligned between neighbouring lines, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Colon,
    Equals,
    Where,
    Brace,
}

/// A pair of brackets.
#[derive(Debug, Clone, Copy, Default)]
struct Bracket {
    /// Of a block.
    block: bool,
    /// Of a list or a call: its last value may have a comma.
    commas: bool,
    /// Cut into several lines.
    broken: bool,
}

#[derive(Debug, Default)]
struct Line<'a> {
    atoms: Vec<Atom<'a>>,
    blank_before: bool,
    /// The bracket it stands in, by its place in the text.
    parent: Option<usize>,
    /// Does it go on with the value of the line before?
    continues: bool,
    /// Atoms that are aligned with those of neighbouring lines.
    stops: BTreeMap<Stop, usize>,
    /// More blanks before an atom than it would have anyway.
    pads: BTreeMap<usize, usize>,
}

impl<'a> Line<'a> {
    /// Its last atom but the comment.
    fn last(&self) -> Option<&Atom<'a>> {
        self.atoms.iter().rev().find(|atom| !atom.is_comment())
    }

    fn is_comment(&self) -> bool {
        self.atoms.first().is_some_and(Atom::is_comment)
    }
}

struct Page<'a> {
    lines: Vec<Line<'a>>,
    brackets: BTreeMap<usize, Bracket>,
}

impl<'a> Page<'a> {
    fn read(file: FileId, text: &'a str, tree: &File) -> Self {
        let atoms = atoms(file, text);
        let brackets = brackets(&atoms, tree);
        let mut page = Self { lines: break_lines(&atoms, &brackets), brackets };
        if let Some(edition) = tree.edition.as_ref().map(|edition| edition.span.range().end) {
            let after = |line: &&mut Line<'_>| line.atoms.first().is_some_and(|atom| atom.start >= edition);
            if let Some(line) = page.lines.iter_mut().find(after) {
                line.blank_before = true;
            }
        }
        page.find_stops();
        for stop in [Stop::Colon, Stop::Equals, Stop::Where, Stop::Brace] {
            page.align(stop);
        }
        page
    }

    /// Where a line has something that neighbours are aligned with: only at the start of an entry, outside of brackets.
    fn find_stops(&mut self) {
        for line in &mut self.lines {
            let Some(first) = line.atoms.first().filter(|first| !first.closes() && !line.continues) else { continue };
            let knob = first.text == "param" && line.parent.is_none();
            let mut depth = 0_usize;
            for (at, atom) in line.atoms.iter().enumerate() {
                if atom.opens() {
                    let block = self.brackets.get(&atom.start).is_some_and(|bracket| bracket.block && !bracket.broken);
                    if depth == 0 && block && line.stops.is_empty() {
                        line.stops.insert(Stop::Brace, at);
                    }
                    depth += 1;
                } else if atom.closes() {
                    depth = depth.saturating_sub(1);
                } else if depth == 0 {
                    let stop = match atom.text {
                        "," if atom.is(",") => break,
                        "=" if atom.is("=") && !line.stops.contains_key(&Stop::Equals) => Stop::Equals,
                        ":" if atom.is(":") && knob => Stop::Colon,
                        "where" if knob && atom.kind == Kind::Word => Stop::Where,
                        _ => continue,
                    };
                    line.stops.insert(stop, at);
                }
            }
        }
    }

    /// Pads the atoms of one stop in each run of neighbours to the same column.
    fn align(&mut self, stop: Stop) {
        // a run: lines of the same brackets and kind, with no blank line and no other entry in between
        let mut runs: BTreeMap<Option<usize>, (&str, Vec<usize>)> = BTreeMap::new();
        let mut done = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            if line.continues || line.atoms.first().is_some_and(Atom::closes) {
                continue;
            }
            let kind = line.atoms.first().map_or("", Atom::entry_kind);
            let run = runs.entry(line.parent).or_default();
            let next_to = stop != Stop::Brace || run.1.last().is_none_or(|before| before + 1 == at);
            let other = !line.is_comment() && (run.0 != kind || !line.stops.contains_key(&stop) && kind != "param");
            if line.blank_before || other || !next_to {
                done.push(std::mem::take(&mut run.1));
            }
            run.0 = if line.is_comment() { run.0 } else { kind };
            if line.stops.contains_key(&stop) {
                run.1.push(at);
            }
        }
        done.extend(runs.into_values().map(|run| run.1));
        for run in done {
            let widths: Vec<(usize, usize, usize)> = run
                .into_iter()
                .filter_map(|at| {
                    let line = self.lines.get(at)?;
                    let atom = *line.stops.get(&stop)?;
                    Some((at, atom, Self::width(line, atom)))
                })
                .filter(|(.., width)| *width < MOST_COLUMNS)
                .collect();
            let widest = widths.iter().map(|(_, _, width)| *width).max().unwrap_or(0);
            for (at, atom, width) in widths {
                if let Some(line) = self.lines.get_mut(at) {
                    line.pads.insert(atom, widest - width);
                }
            }
        }
    }

    /// Characters of a line before an atom, without the blank before it.
    fn width(line: &Line<'_>, until: usize) -> usize {
        let atoms = line.atoms.iter().take(until).enumerate();
        atoms.map(|(at, atom)| Self::blanks(line, at) + atom.text.chars().count()).sum()
    }

    /// Blanks before an atom of a line.
    fn blanks(line: &Line<'_>, at: usize) -> usize {
        let Some(before) = at.checked_sub(1) else { return 0 };
        let (Some(last), Some(next)) = (line.atoms.get(before), line.atoms.get(at)) else { return 0 };
        let behind = before.checked_sub(1).and_then(|at| line.atoms.get(at));
        gap(behind, last, next) + line.pads.get(&at).copied().unwrap_or(0)
    }

    fn print(&self) -> String {
        let mut out: Vec<(String, Option<&str>, bool)> = Vec::new();
        let mut frames = vec![Frame::default()];
        for (nth, line) in self.lines.iter().enumerate() {
            let indent = self.indent(nth, &frames);
            let mut text = " ".repeat(indent);
            let mut column = indent;
            let mut comment = None;
            for (at, atom) in line.atoms.iter().enumerate() {
                if atom.is_comment() && at > 0 {
                    comment = Some(atom.text);
                    break;
                }
                let blanks = Self::blanks(line, at);
                text.push_str(&" ".repeat(blanks));
                column += blanks;
                if atom.closes() && frames.len() > 1 {
                    frames.pop();
                }
                if let Some(frame) = frames.last_mut() {
                    if atom.is("=") {
                        frame.equals = Some(column);
                    } else if frame.starts || at == 0 && !line.continues && !atom.closes() && !atom.is_comment() {
                        *frame = Frame { starts: false, start: column, equals: None, ..*frame };
                    }
                    frame.starts = atom.is(",");
                }
                text.push_str(atom.text);
                column += atom.text.chars().count();
                if atom.opens() {
                    let behind = line.atoms.get(at + 1);
                    let hangs = column < MOST_COLUMNS && behind.is_some_and(|next| !next.is_comment());
                    let inside = if hangs { column + usize::from(atom.text == "{") } else { indent + STEP };
                    let outside = if hangs { column - 1 } else { indent };
                    frames.push(Frame { inside, outside, start: inside, equals: None, starts: true });
                }
            }
            out.push((text, comment, line.blank_before));
        }
        lay_comments(&out)
    }

    /// Blanks at the start of a line.
    fn indent(&self, nth: usize, frames: &[Frame]) -> usize {
        let Some(frame) = frames.last() else { return 0 };
        // a comment stands like what it comes before
        let line = self.lines.get(nth..).and_then(|lines| lines.iter().find(|line| !line.is_comment()));
        let Some((line, first)) = line.and_then(|line| Some((line, line.atoms.first()?))) else { return frame.inside };
        let itself = self.lines.get(nth).is_some_and(|line| !line.is_comment());
        let operator = first.goes_on() && !matches!(first.text, "then" | "else");
        let blanks = match (first.closes(), line.continues, frame.equals) {
            (true, ..) if itself => frame.outside,
            (false, true, Some(equals)) => equals + if operator { 0 } else { STEP },
            (false, true, None) => frame.start + STEP,
            (true | false, ..) => frame.inside,
        };
        blanks.min(MOST_COLUMNS)
    }
}

/// What is known inside of a bracket while lines are printed.
#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    /// Blanks before a line inside of it.
    inside: usize,
    /// Blanks before its closing bracket.
    outside: usize,
    /// Column where the entry or value began.
    start: usize,
    /// Column of that entry's `=`.
    equals: Option<usize>,
    /// Does the next atom begin a value?
    starts: bool,
}

/// Lines as text, with the comments of neighbouring lines under each other.
fn lay_comments(lines: &[(String, Option<&str>, bool)]) -> String {
    let mut out = String::new();
    let mut run_end = 0;
    let mut column = 0;
    for (at, (text, comment, blank)) in lines.iter().enumerate() {
        if *blank {
            out.push('\n');
        }
        out.push_str(text);
        if let Some(comment) = comment {
            if at >= run_end {
                let next = |(nth, (_, comment, blank)): &(usize, &(String, Option<&str>, bool))| {
                    comment.is_some() && (*nth == 0 || !*blank)
                };
                let run = lines.iter().skip(at).enumerate().take_while(next).map(|(_, line)| line.0.chars().count());
                let widths: Vec<usize> = run.collect();
                run_end = at + widths.len();
                column = widths.into_iter().filter(|width| *width < MOST_COLUMNS).max().unwrap_or(0);
            }
            out.push_str(&" ".repeat(column.saturating_sub(text.chars().count()) + BEFORE_COMMENT));
            out.push_str(comment);
        }
        out.push('\n');
    }
    out
}

/// Tokens, each text as one of them, without blanks at the end of comments.
fn atoms(file: FileId, text: &str) -> Vec<Atom<'_>> {
    let mut atoms = Vec::new();
    let mut began = Vec::new();
    for token in pieces(file, text) {
        let (start, end) = match token.kind {
            Kind::TextOpen => {
                began.push(token.start);
                continue;
            }
            Kind::TextClose => (began.pop().unwrap_or(token.start), token.end),
            Kind::Word
            | Kind::Number
            | Kind::Symbol
            | Kind::Open
            | Kind::Close
            | Kind::HoleOpen
            | Kind::HoleClose
            | Kind::Chunk
            | Kind::Column
            | Kind::Comment
            | Kind::Newline => (token.start, token.end),
        };
        if !began.is_empty() {
            continue;
        }
        let written = text.get(start..end).unwrap_or("");
        if written == "<-" {
            // `a <-1`: below, and a minus
            atoms.push(Atom { kind: Kind::Symbol, text: "<", start });
            atoms.push(Atom { kind: Kind::Symbol, text: "-", start: start + 1 });
        } else {
            atoms.push(Atom { kind: token.kind, text: written.trim_end_matches([' ', '\t']), start });
        }
    }
    atoms
}

/// Every pair of brackets by the place of the first.
fn brackets(atoms: &[Atom<'_>], tree: &File) -> BTreeMap<usize, Bracket> {
    let mut heads = BTreeSet::new();
    for item in &tree.items {
        if let Item::Block(block) = item {
            head_ends(block, &mut heads);
        }
    }
    let mut brackets = BTreeMap::new();
    let mut open: Vec<usize> = Vec::new();
    let mut before: Option<&Atom<'_>> = None;
    for atom in atoms {
        if matches!(atom.kind, Kind::Newline | Kind::Comment) {
            for start in &open {
                brackets.entry(*start).or_insert_with(Bracket::default).broken = true;
            }
            continue;
        }
        if atom.opens() {
            // the brace of a block is the first thing behind its head
            let block = atom.text == "{" && before.is_some_and(|last| heads.contains(&(last.start + last.text.len())));
            let commas = atom.text == "[" || atom.text == "(" && before.is_some_and(Atom::ends_value);
            brackets.insert(atom.start, Bracket { block, commas, broken: false });
            open.push(atom.start);
        } else if atom.closes() {
            open.pop();
        }
        before = Some(atom);
    }
    brackets
}

/// Where what stands before the brace ends, for a block and those in it.
fn head_ends(block: &Block, ends: &mut BTreeSet<usize>) {
    let end = |span: Span| span.range().end;
    let labels = block.labels.iter().map(|label| end(label.span));
    let extends = block.extends.iter().map(|path| end(path.span));
    ends.insert(labels.chain(extends).fold(end(block.keyword.span), usize::max));
    for entry in &block.entries {
        match entry {
            Entry::Block(block) => head_ends(block, ends),
            Entry::Setting(_) | Entry::Let(_) | Entry::Vary(_) | Entry::Error(_) => {}
        }
    }
}

/// Cuts where the text was cut, and around what stands in a block of several lines.
fn break_lines<'a>(atoms: &[Atom<'a>], brackets: &BTreeMap<usize, Bracket>) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut line = Line::default();
    let mut open: Vec<usize> = Vec::new();
    let mut ends = 0;
    for atom in atoms {
        let around = open.last().and_then(|start| brackets.get(start)).copied().unwrap_or_default();
        let entry_starts = line.atoms.last().is_some_and(|last| Some(&last.start) == open.last()) && !atom.is_comment();
        let cut = around.block && around.broken && (entry_starts || atom.closes());
        if !line.atoms.is_empty() && (cut || atom.kind == Kind::Newline) {
            lines.push(std::mem::take(&mut line));
            ends = 0;
        }
        if atom.kind == Kind::Newline {
            ends += 1;
            continue;
        }
        if line.atoms.is_empty() {
            if atom.closes() && around.commas {
                end_with_comma(&mut lines);
            }
            let last = lines.iter().rev().find_map(Line::last);
            line.parent = open.last().copied();
            line.continues = last.is_some_and(|last| goes_on(last, atom));
            let opened = lines.last().and_then(Line::last).is_some_and(Atom::opens);
            line.blank_before = ends > 1 && !lines.is_empty() && !opened && !atom.closes() && !line.continues;
        }
        ends = 0;
        if atom.opens() {
            open.push(atom.start);
        } else if atom.closes() {
            open.pop();
        }
        line.atoms.push(*atom);
    }
    if !line.atoms.is_empty() {
        lines.push(line);
    }
    lines
}

/// Does a line that starts with `next` go on with the value that `last` belongs to?
fn goes_on(last: &Atom<'_>, next: &Atom<'_>) -> bool {
    let wants_more = !last.opens() && !last.is(",") && !last.ends_value();
    !next.is_comment() && !next.closes() && !last.opens() && !last.is(",") && (wants_more || next.goes_on())
}

/// A comma behind the last value before a closing bracket that stands on a line of its own.
fn end_with_comma(lines: &mut [Line<'_>]) {
    let Some(line) = lines.iter_mut().rev().find(|line| !line.is_comment()) else { return };
    let comments = usize::from(line.atoms.last().is_some_and(Atom::is_comment));
    let end = line.atoms.len() - comments;
    if let Some(last) = line.last().copied()
        && last.ends_value()
    {
        line.atoms.insert(end, Atom { kind: Kind::Symbol, text: ",", start: last.start + last.text.len() });
    }
}

/// Blanks between two atoms of one line; `behind` comes before both.
fn gap(behind: Option<&Atom<'_>>, last: &Atom<'_>, next: &Atom<'_>) -> usize {
    let tight = |atom: &Atom<'_>| atom.kind == Kind::Symbol && matches!(atom.text, "." | ".." | "..=");
    let sign = last.is("-") && !behind.is_some_and(Atom::ends_value);
    let closed = match last.text {
        "(" | "[" => last.opens(),
        "{" => last.opens() && next.closes(),
        _ => false,
    };
    let joined = match next.text {
        ")" | "]" => next.closes(),
        "(" | "[" => next.opens() && last.ends_value(),
        "," | "?" => next.kind == Kind::Symbol,
        _ => false,
    };
    usize::from(!(closed || joined || sign || tight(last) || tight(next)))
}
