//! Text becomes tokens, and mended text that the grammar can read to its end.
//!
//! Promises: tokens are in order and cover everything but blanks; texts and columns that are not closed on their
//! line, and quotes of other kinds, are reported and mended here. Mending only inserts single bytes or replaces
//! bytes one for one, so that every place of the mended text leads back to a place of the written one.

use super::brackets;
use super::guard::{TooDeep, too_deep};
use crate::diag::Problems;
use crate::source::{FileId, Span};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Letters, digits and `_`.
    Word,
    /// A number with all letters that cling to it.
    Number,
    /// An operator or any other single character.
    Symbol,
    /// `(`, `[` or `{`.
    Open,
    /// `)`, `]` or `}`.
    Close,
    /// `${` in a text.
    HoleOpen,
    /// `}` that ends it.
    HoleClose,
    /// The first quote.
    TextOpen,
    /// The last quote.
    TextClose,
    /// Characters of a text.
    Chunk,
    /// A column with its backquotes.
    Column,
    /// From `#` to the end of the line.
    Comment,
    /// A line end.
    Newline,
}

/// A token and its bytes in the written text; empty when mending added it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// What.
    pub(crate) kind: Kind,
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
}

impl Token {
    /// The token as written.
    pub(crate) fn text(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or("")
    }

    /// Neither a comment nor a line end.
    pub(crate) fn counts(self) -> bool {
        !matches!(self.kind, Kind::Comment | Kind::Newline)
    }
}

/// A change of the written text; `start == end` for an insertion. Sorted by place, then by token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Repair {
    pub(super) start: usize,
    /// The token before which it comes, for the order of insertions at one place.
    pub(super) token: usize,
    /// Its turn among those.
    pub(super) turn: usize,
    pub(super) end: usize,
    pub(super) text: String,
    /// Quotes of another kind are understood all the same; what is read around other repairs is a guess.
    pub(super) harmless: bool,
}

/// The mended text and the way back.
#[derive(Debug)]
pub(super) struct Mended {
    /// What the grammar reads.
    pub(super) text: String,
    /// Where bytes were inserted, in the mended text.
    insertions: Vec<usize>,
    /// Comments, in the mended text, in order.
    comments: Vec<(usize, usize)>,
    /// Places, in the mended text, around which nothing is certain.
    guesses: Vec<usize>,
}

impl Mended {
    /// The written place of a byte of the mended text.
    pub(super) fn written(&self, at: usize) -> usize {
        at - self.insertions.partition_point(|inserted| *inserted < at)
    }

    /// The end of what counts in `start..end`: blanks and comments at the end are left out.
    pub(super) fn trimmed_end(&self, start: usize, mut end: usize) -> usize {
        loop {
            end = start + self.text.get(start..end).map_or(end.saturating_sub(start), |s| s.trim_end().len());
            let behind = self.comments.partition_point(|comment| comment.1 < end);
            match self.comments.get(behind) {
                Some(comment) if comment.1 == end && comment.0 >= start => end = comment.0,
                Some(_) | None => return end,
            }
        }
    }

    /// Was anything mended by guessing in this range of the mended text?
    pub(super) fn is_guess(&self, start: usize, end: usize) -> bool {
        let from = self.guesses.partition_point(|at| *at < start);
        self.guesses.get(from).is_some_and(|at| *at <= end)
    }
}

/// Scans a text, reports what does not close, and mends it. `base` is where the text stands in its source.
///
/// # Errors
/// The place that is too deep; what was found so far is reported all the same.
pub(super) fn scan(file: FileId, base: usize, text: &str, problems: &mut Problems) -> Result<Mended, TooDeep> {
    let mut scanner = Scanner {
        text,
        file,
        base,
        at: 0,
        line_end: 0,
        reports: 0,
        modes: Vec::new(),
        tokens: Vec::new(),
        repairs: Vec::new(),
        broken: Vec::new(),
        problems,
    };
    scanner.run();
    let Scanner { tokens, mut repairs, broken, .. } = scanner;
    if let Some(place) = too_deep(text, &tokens) {
        return Err(place);
    }
    brackets::balance(file, base, text, &tokens, &broken, &mut repairs, problems).map_err(TooDeep::Brackets)?;
    repairs.sort();
    Ok(mend(text, &tokens, &repairs))
}

fn mend(text: &str, tokens: &[Token], repairs: &[Repair]) -> Mended {
    let mut mended = Mended {
        text: String::with_capacity(text.len() + 8),
        insertions: Vec::new(),
        comments: Vec::new(),
        guesses: Vec::new(),
    };
    let mut copied = 0;
    for repair in repairs {
        if repair.start < copied {
            continue; // two repairs of one place: the first one stands
        }
        mended.text.push_str(text.get(copied..repair.start).unwrap_or(""));
        if !repair.harmless {
            mended.guesses.push(mended.text.len());
        }
        if repair.start == repair.end {
            mended.insertions.push(mended.text.len());
        }
        mended.text.push_str(&repair.text);
        copied = repair.end;
    }
    mended.text.push_str(text.get(copied..).unwrap_or(""));
    let inserted: Vec<usize> = mended.insertions.iter().enumerate().map(|(nth, at)| at - nth).collect();
    let shift = |at: usize| at + inserted.partition_point(|place| *place <= at);
    mended.comments = tokens
        .iter()
        .filter(|token| token.kind == Kind::Comment)
        .map(|token| (shift(token.start), shift(token.end - 1) + 1))
        .collect();
    mended
}

/// The tokens of a text, without reports; what does not close on its line is closed by an empty token.
pub(crate) fn pieces(file: FileId, text: &str) -> Vec<Token> {
    let mut silent = Problems::new();
    let mut scanner = Scanner {
        text,
        file,
        base: 0,
        at: 0,
        line_end: 0,
        reports: 0,
        modes: Vec::new(),
        tokens: Vec::new(),
        repairs: Vec::new(),
        broken: Vec::new(),
        problems: &mut silent,
    };
    scanner.run();
    scanner.tokens
}

/// After so many texts that are not closed, the others are mended in silence.
const MOST_REPORTS: usize = 200;

const DOUBLE: &str = "\u{201c}\u{201d}\u{201e}\u{201f}\"";
const SINGLE: &str = "\u{2018}\u{2019}\u{201a}\u{201b}";

#[derive(Debug, Clone, Copy)]
enum Mode {
    /// In a text that began at `start`; what may close it.
    Text { start: usize, closers: &'static str },
    /// In a hole that began at `start`, with so many braces open in it.
    Hole { start: usize, braces: usize },
}

struct Scanner<'a> {
    text: &'a str,
    file: FileId,
    base: usize,
    at: usize,
    /// End of the line in which `at` stood last; from 0, where it is not known yet.
    line_end: usize,
    reports: usize,
    modes: Vec<Mode>,
    tokens: Vec<Token>,
    repairs: Vec<Repair>,
    /// Texts that did not close on their line.
    broken: Vec<(usize, usize)>,
    problems: &'a mut Problems,
}

impl<'a> Scanner<'a> {
    fn run(&mut self) {
        while let Some(c) = self.peek() {
            match self.modes.last().copied() {
                Some(Mode::Text { closers, .. }) => self.in_text(c, closers),
                Some(Mode::Hole { .. }) | None => self.token(c),
            }
        }
        if !self.modes.is_empty() {
            self.close_broken();
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// What is left of the line. Its end is kept, for a hostile text is one line of a million quotes.
    fn line(&mut self) -> &'a str {
        if self.line_end <= self.at {
            let rest = self.text.get(self.at..).unwrap_or("");
            self.line_end = self.at + rest.find(['\n', '\r']).unwrap_or(rest.len());
        }
        self.text.get(self.at..self.line_end).unwrap_or("")
    }

    /// May one more mistake be told?
    fn tells(&mut self) -> bool {
        self.reports += 1;
        self.reports <= MOST_REPORTS
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, kind: Kind, length: usize) {
        self.tokens.push(Token { kind, start: self.at, end: self.at + length });
        self.at += length;
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, self.base + start, self.base + end)
    }

    fn in_text(&mut self, c: char, closers: &'static str) {
        if c == '\n' || c == '\r' {
            self.close_broken();
        } else if closers.contains(c) {
            if c != '"' {
                self.plain_quote(c, false);
            }
            self.modes.pop();
            self.push(Kind::TextClose, c.len_utf8());
        } else if self.rest().starts_with("${") {
            self.modes.push(Mode::Hole { start: self.at, braces: 0 });
            self.push(Kind::HoleOpen, 2);
        } else {
            let length = self.chunk(closers);
            self.push(Kind::Chunk, length);
        }
    }

    /// Bytes up to the next quote, hole or line end; at least one character.
    fn chunk(&self, closers: &str) -> usize {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices() {
            if c == '\n' || c == '\r' {
                return at;
            }
            if !escaped && at > 0 && (closers.contains(c) || self.rest().get(at..).is_some_and(|s| s.starts_with("${")))
            {
                return at;
            }
            escaped = c == '\\' && !escaped;
        }
        self.rest().len()
    }

    fn token(&mut self, c: char) {
        match c {
            ' ' | '\t' => self.at += 1,
            '\n' | '\r' => {
                if self.modes.is_empty() {
                    let length = if self.rest().starts_with("\r\n") { 2 } else { 1 };
                    self.push(Kind::Newline, length);
                } else {
                    self.close_broken();
                }
            }
            '#' => {
                let length = self.line().len();
                self.push(Kind::Comment, length);
            }
            '"' | '\'' | '\u{2018}'..='\u{201f}' => self.quote(c),
            '`' => self.column(),
            '(' | '[' => self.push(Kind::Open, 1),
            ')' | ']' => self.push(Kind::Close, 1),
            '{' => {
                if let Some(Mode::Hole { braces, .. }) = self.modes.last_mut() {
                    *braces += 1;
                }
                self.push(Kind::Open, 1);
            }
            '}' => self.closing_brace(),
            '0'..='9' => {
                let length = number_length(self.rest());
                self.push(Kind::Number, length);
            }
            _ if c == '_' || c.is_alphanumeric() => {
                let rest = self.rest();
                let length = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
                self.push(Kind::Word, length);
            }
            _ => {
                let length = symbol_length(self.rest(), c);
                self.push(Kind::Symbol, length);
            }
        }
    }

    fn closing_brace(&mut self) {
        match self.modes.last_mut() {
            Some(Mode::Hole { braces: 0, .. }) => {
                self.modes.pop();
                self.push(Kind::HoleClose, 1);
            }
            Some(Mode::Hole { braces, .. }) => {
                *braces -= 1;
                self.push(Kind::Close, 1);
            }
            Some(Mode::Text { .. }) | None => self.push(Kind::Close, 1),
        }
    }

    fn quote(&mut self, c: char) {
        let inside = self.line().get(c.len_utf8()..).unwrap_or("");
        let closers = match c {
            '"' => {
                // `"abc”` is one mistake, not two
                let closes = ends_plainly(inside);
                if !closes && inside.contains(['\u{201c}', '\u{201d}']) { DOUBLE } else { "\"" }
            }
            '\'' => {
                // an apostrophe that nothing closes is no text
                match inside.find('\'') {
                    Some(end) if !inside.get(..end).unwrap_or("").contains('"') => "'",
                    Some(_) | None => {
                        self.push(Kind::Symbol, 1);
                        return;
                    }
                }
            }
            _ if DOUBLE.contains(c) => DOUBLE,
            _ => SINGLE,
        };
        if c != '"' {
            self.plain_quote(c, true);
        }
        self.modes.push(Mode::Text { start: self.at, closers });
        self.push(Kind::TextOpen, c.len_utf8());
    }

    /// Puts `"` where a quote of another kind stands.
    fn plain_quote(&mut self, c: char, opens: bool) {
        let width = c.len_utf8();
        if opens {
            let line = self.line();
            let end = line.char_indices().skip(1).find(|(_, other)| closes(c, *other));
            let (inside_end, end) = end.map_or((line.len(), line.len()), |(at, other)| (at, at + other.len_utf8()));
            let inside = line.get(width..inside_end).unwrap_or("");
            let first = self.span(self.at, self.at + width);
            let last = self.span(self.at + inside_end, self.at + end);
            let whole = self.span(self.at, self.at + end);
            if self.tells() {
                self.problems.other_quotes(whole, first, last, inside, c == '\'');
            }
        } else if let Some(Mode::Text { start, .. }) = self.modes.last()
            && self.text.get(*start..).is_some_and(|text| text.starts_with('"'))
        {
            let inside = self.text.get(start + 1..self.at).unwrap_or("");
            let whole = self.span(*start, self.at + width);
            let first = self.span(*start, start + 1);
            let last = self.span(self.at, self.at + width);
            if self.tells() {
                self.problems.other_quotes(whole, first, last, inside, false);
            }
        }
        let blanks = " ".repeat(width - 1);
        let text = if opens { format!("{blanks}\"") } else { format!("\"{blanks}") };
        self.repair(self.at, self.at + width, text, true);
    }

    fn column(&mut self) {
        let line = self.line();
        if let Some(length) = line.get(1..).and_then(|inside| inside.find('`')) {
            self.push(Kind::Column, length + 2);
            return;
        }
        let length = line.trim_end().len();
        let (start, end) = (self.at, self.at + length);
        let written = self.text.get(start..end).unwrap_or("").to_owned();
        if self.tells() {
            self.problems.never_closed_on_line(self.span(start, start + 1), self.span(end, end), "`", "`", &written);
        }
        // before the token is counted: brackets that are closed at the same place come behind the quote
        self.repair(end, end, "`".to_owned(), false);
        self.push(Kind::Column, length);
    }

    fn repair(&mut self, start: usize, end: usize, text: String, harmless: bool) {
        self.repairs.push(Repair { start, token: self.tokens.len(), turn: usize::MAX, end, text, harmless });
    }

    /// Ends every open text and hole at the end of the line and reports the outermost one.
    fn close_broken(&mut self) {
        let Some(Mode::Text { start, .. } | Mode::Hole { start, .. }) = self.modes.first().copied() else { return };
        let last = self.tokens.iter().rev().find(|token| token.counts()).map_or(start, |token| token.end);
        let end = start + self.text.get(start..last).map_or(1, |text| text.trim_end().len().max(1));
        if self.tells() {
            self.report_broken(start, end);
        }
        self.broken.push((start, end));
        let backslashes = self.text.get(..end).unwrap_or("").chars().rev().take_while(|c| *c == '\\').count();
        if backslashes % 2 == 1 && matches!(self.modes.last(), Some(Mode::Text { .. })) {
            self.repair(end - 1, end, " ".to_owned(), false);
        }
        while let Some(mode) = self.modes.pop() {
            let (kind, text) = match mode {
                Mode::Text { .. } => (Kind::TextClose, "\""),
                Mode::Hole { .. } => (Kind::HoleClose, "}"),
            };
            self.repair(end, end, text.to_owned(), false);
            self.tokens.push(Token { kind, start: end, end });
        }
    }

    fn report_broken(&mut self, start: usize, end: usize) {
        let hole = self.modes.iter().find_map(|mode| match mode {
            Mode::Hole { start, .. } => Some(*start),
            Mode::Text { .. } => None,
        });
        let (open, mark, closing) = hole.map_or((start, "\"", "\""), |hole| (hole, "${", "}"));
        let quote = self.text.get(open..).and_then(|text| text.chars().next()).map_or(1, char::len_utf8);
        let width = if hole.is_some() { 2 } else { quote };
        let mut close = end;
        if hole.is_some() {
            // `${root/x.csv` lacks its brace behind the name, not at the end of the line
            let inside = self.text.get(open + 2..end).unwrap_or("");
            let name = inside.find(|c: char| c != '_' && c != '.' && !c.is_alphanumeric()).unwrap_or(inside.len());
            close = if name > 0 { open + 2 + name } else { end };
        }
        let written = self.text.get(open..close).unwrap_or("").to_owned();
        let place = self.span(open, (open + width).min(end.max(open + 1)));
        self.problems.never_closed_on_line(place, self.span(close, close), mark, closing, &written);
    }
}

/// Does a straight quote that no backslash hides come?
fn ends_plainly(inside: &str) -> bool {
    let mut escaped = false;
    for c in inside.chars() {
        if c == '"' && !escaped {
            return true;
        }
        escaped = c == '\\' && !escaped;
    }
    false
}

fn closes(open: char, c: char) -> bool {
    match open {
        '\'' => c == '\'',
        _ if DOUBLE.contains(open) => DOUBLE.contains(c),
        _ => SINGLE.contains(c),
    }
}

fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(b' ');
    let mut at = 0;
    loop {
        let c = byte(at);
        let exponent = matches!(c, b'e' | b'E') && matches!(byte(at + 1), b'+' | b'-') && byte(at + 2).is_ascii_digit();
        if exponent {
            at += 2;
        } else if c.is_ascii_alphanumeric() || c == b'_' || (c == b'.' && byte(at + 1).is_ascii_digit()) {
            at += 1;
        } else {
            return if c == b'%' { at + 1 } else { at };
        }
    }
}

fn symbol_length(text: &str, c: char) -> usize {
    let long = ["..=", "..", "==", "!=", "<=", ">=", "&&", "||", "//", ":=", "=>", "->", "<-", "**"];
    long.iter().find(|symbol| text.starts_with(**symbol)).map_or(c.len_utf8(), |symbol| symbol.len())
}
