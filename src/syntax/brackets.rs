//! Finds brackets that do not balance, says so with both places, and mends them so that the rest can be read.
//!
//! Promises: after the repairs every bracket is closed by its own kind. A plain stack decides whether anything is
//! wrong; only then does indentation help to guess *where*, for it means nothing in a text that balances.

use super::guard::MOST_BRACKETS;
use super::scan::{Kind, Repair, Token};
use crate::diag::Problems;
use crate::source::{FileId, Span};

/// After so many brackets that do not fit, the others are mended in silence.
const MOST_REPORTS: usize = 200;

/// One bracket that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unbalanced {
    /// `open` (a token) is still open when `arrives` comes; it ought to close before it. `None`: the end.
    Unclosed { open: usize, arrives: Option<usize> },
    /// A call in a list is still open when the next line begins the list's next element.
    UnclosedElement { open: usize, next: usize },
    /// `close` closes nothing.
    Stray { close: usize },
    /// `open` is closed by a bracket of another kind.
    Mismatch { open: usize, close: usize },
}

/// A bracket that is open.
#[derive(Debug, Clone, Copy)]
struct Level {
    token: usize,
    closing: &'static str,
    indent: usize,
    line: usize,
}

fn closing(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// Reports what does not balance and adds the repairs. Brackets within `broken` texts are mended in silence.
///
/// # Errors
/// The byte at which more than [`MOST_BRACKETS`] are open.
pub(super) fn balance(
    file: FileId,
    base: usize,
    text: &str,
    tokens: &[Token],
    broken: &[(usize, usize)],
    repairs: &mut Vec<Repair>,
    problems: &mut Problems,
) -> Result<(), usize> {
    let matcher = |guess, slips| Matcher { text, tokens, guess, slips }.run();
    let plain = matcher(Guess::Nothing, false)?;
    if plain.is_empty() {
        return Ok(());
    }
    let by_blocks = matcher(Guess::Blocks, false)?;
    let by_lines = matcher(Guess::Lines, false)?;
    let by_slips = [matcher(Guess::Blocks, true)?, matcher(Guess::Nothing, true)?];
    // the fewest mistakes explain the text best; among equals the most helpful places
    let found = [by_blocks, by_lines, plain].into_iter().chain(by_slips).min_by_key(Vec::len).unwrap_or_default();
    let span = |token: usize| {
        tokens.get(token).map_or(Span::new(file, base, base), |t| Span::new(file, base + t.start, base + t.end))
    };
    let word = |token: usize| tokens.get(token).map_or("", |t| t.text(text));
    let silent = |token: usize, turn: usize| {
        turn >= MOST_REPORTS
            || tokens.get(token).is_some_and(|t| broken.iter().any(|(start, end)| *start <= t.start && t.start < *end))
    };
    for (turn, unbalanced) in found.into_iter().enumerate() {
        match unbalanced {
            Unbalanced::Unclosed { open, .. } | Unbalanced::UnclosedElement { open, .. } => {
                let arrives = match unbalanced {
                    Unbalanced::Unclosed { arrives, .. } => arrives,
                    Unbalanced::UnclosedElement { next, .. } => Some(next),
                    Unbalanced::Stray { .. } | Unbalanced::Mismatch { .. } => None,
                };
                let close = closing(word(open));
                let mut before = arrives.unwrap_or(tokens.len());
                // The comma behind a list's element stays behind it.
                if let (Unbalanced::UnclosedElement { .. }, Some(comma)) = (unbalanced, last_before(tokens, before))
                    && word(comma) == ","
                {
                    before = comma;
                }
                let virtually_closed = arrives.and_then(|at| tokens.get(at)).filter(|t| t.start == t.end);
                let place = virtually_closed.map_or_else(|| end_before(tokens, before), |t| t.start);
                repairs.push(Repair {
                    start: place,
                    token: before,
                    turn,
                    end: place,
                    text: close.to_owned(),
                    harmless: false,
                });
                if !silent(open, turn) {
                    let arriving = arrives.map(|at| (word(at), span(at)));
                    let point = Span::new(file, base + place, base + place);
                    let sample = sample(text, tokens, open, place, close, arrives);
                    problems.never_closed(word(open), span(open), arriving, point, close, sample.as_deref());
                }
            }
            Unbalanced::Stray { close } => {
                if let Some(token) = tokens.get(close) {
                    let blanks = " ".repeat(token.end - token.start);
                    repairs.push(Repair {
                        start: token.start,
                        token: close,
                        turn,
                        end: token.end,
                        text: blanks,
                        harmless: false,
                    });
                }
                if !silent(close, turn) {
                    problems.closes_nothing(word(close), span(close));
                }
            }
            Unbalanced::Mismatch { open, close } => {
                let right = closing(word(open));
                if let Some(token) = tokens.get(close) {
                    let text = right.to_owned();
                    repairs.push(Repair {
                        start: token.start,
                        token: close,
                        turn,
                        end: token.end,
                        text,
                        harmless: false,
                    });
                }
                if !silent(open, turn) {
                    problems.closed_by_another(word(open), span(open), word(close), span(close), right);
                }
            }
        }
    }
    Ok(())
}

/// The last token that counts before token `before`.
fn last_before(tokens: &[Token], before: usize) -> Option<usize> {
    tokens.get(..before).unwrap_or(tokens).iter().rposition(|t| t.counts())
}

/// Where it ends.
fn end_before(tokens: &[Token], before: usize) -> usize {
    last_before(tokens, before).and_then(|at| tokens.get(at)).map_or(0, |t| t.end)
}

/// The line as it ought to be, from the word before the bracket: `rotate(10deg)]`. Only if it is short.
fn sample(
    text: &str,
    tokens: &[Token],
    open: usize,
    place: usize,
    close: &str,
    arrives: Option<usize>,
) -> Option<String> {
    let start = match open.checked_sub(1).and_then(|at| tokens.get(at)) {
        Some(word) if word.kind == Kind::Word => word.start,
        Some(_) | None => tokens.get(open)?.start,
    };
    let inside = text.get(start..place)?;
    let behind = arrives.and_then(|at| tokens.get(at)).filter(|t| t.kind == Kind::Close);
    let behind = behind.and_then(|t| text.get(place..t.end)).filter(|b| !b.contains(['\n', '\r'])).unwrap_or("");
    let sample = format!("{inside}{close}{behind}");
    (!sample.contains(['\n', '\r']) && sample.chars().count() <= 60).then_some(sample)
}

/// What the layout is taken as evidence for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    /// Nothing: brackets alone count.
    Nothing,
    /// A line that starts a setting ends the lists and calls before it.
    Lines,
    /// That, and a line that is not indented as deeply as it ought to be ends the blocks before it.
    Blocks,
}

struct Matcher<'a> {
    text: &'a str,
    tokens: &'a [Token],
    guess: Guess,
    /// Is a bracket of another kind taken for a slip, not for one that came too early?
    slips: bool,
}

impl Matcher<'_> {
    fn word(&self, token: usize) -> &str {
        self.tokens.get(token).map_or("", |t| t.text(self.text))
    }

    /// What does not fit, or the byte where too many brackets are open.
    fn run(&self) -> Result<Vec<Unbalanced>, usize> {
        let mut found = Vec::new();
        let mut stack: Vec<Level> = Vec::new();
        let (mut line, mut line_start, mut indent, mut first) = (0, 0, 0, true);
        for (at, token) in self.tokens.iter().enumerate() {
            if token.kind == Kind::Newline {
                (line, line_start, first) = (line + 1, token.end, true);
                continue;
            }
            if token.kind == Kind::Comment {
                continue;
            }
            if first {
                indent = token.start - line_start;
                if self.guess != Guess::Nothing {
                    self.new_line(at, indent, line, &mut stack, &mut found);
                }
                first = false;
            }
            match token.kind {
                Kind::Open | Kind::HoleOpen => {
                    if stack.len() >= MOST_BRACKETS {
                        return Err(token.start);
                    }
                    stack.push(Level { token: at, closing: closing(token.text(self.text)), indent, line });
                }
                Kind::Close => self.close(at, token.text(self.text), &mut stack, &mut found),
                Kind::HoleClose => self.close(at, "}", &mut stack, &mut found),
                Kind::Word
                | Kind::Number
                | Kind::Symbol
                | Kind::TextOpen
                | Kind::TextClose
                | Kind::Chunk
                | Kind::Column
                | Kind::Comment
                | Kind::Newline => {}
            }
        }
        found.extend(stack.iter().rev().map(|level| Unbalanced::Unclosed { open: level.token, arrives: None }));
        Ok(found)
    }

    /// What the start of a line says about brackets that ought to be closed by now.
    fn new_line(&self, at: usize, indent: usize, line: usize, stack: &mut Vec<Level>, found: &mut Vec<Unbalanced>) {
        while let Some(top) = stack.last().copied() {
            if top.closing == ")" && self.is_next_element(at, indent, line, stack) {
                found.push(Unbalanced::UnclosedElement { open: top.token, next: at });
                stack.pop();
                continue;
            }
            let closes = self.word(at) == "}" && self.tokens.get(at).is_some_and(|t| t.kind == Kind::Close);
            let unclosed = if top.closing != "}" {
                self.starts_entry(at)
                    && (!self.goes_on(at) || indent <= top.indent)
                    && stack.iter().any(|level| level.closing == "}")
            } else if self.guess == Guess::Lines {
                false
            } else if closes {
                top.indent > indent && stack.iter().any(|level| level.closing == "}" && level.indent == indent)
            } else {
                top.line < line && indent <= top.indent && self.starts_entry(at) && !self.in_parentheses(stack)
            };
            if !unclosed {
                return;
            }
            found.push(Unbalanced::Unclosed { open: top.token, arrives: Some(at) });
            stack.pop();
        }
    }

    /// Does the line begin like the one on which the innermost call did, in a list that has its elements on lines?
    fn is_next_element(&self, at: usize, indent: usize, line: usize, stack: &[Level]) -> bool {
        let [.., list, call] = stack else { return false };
        let opens = self.tokens.get(at + 1).is_some_and(|t| t.kind == Kind::Open && t.text(self.text) == "(");
        list.closing == "]"
            && list.line < call.line
            && call.line < line
            && call.indent == indent
            && self.tokens.get(at).is_some_and(|t| t.kind == Kind::Word)
            && opens
    }

    fn in_parentheses(&self, stack: &[Level]) -> bool {
        stack.iter().any(|level| level.closing != "}" || self.word(level.token) == "${")
    }

    /// Does a setting or a block start here: `a.b = `, `a: `, `a {`, `study a {`, `let`?
    fn starts_entry(&self, at: usize) -> bool {
        let line = self.tokens.get(at..).unwrap_or(&[]);
        let line: Vec<&Token> = line.iter().take_while(|t| t.kind != Kind::Newline && t.counts()).take(12).collect();
        if line.first().is_none_or(|t| t.kind != Kind::Word) {
            return false;
        }
        if matches!(self.word(at), "let" | "vary" | "param" | "use") {
            return true;
        }
        line.iter()
            .find(|t| t.kind != Kind::Word && t.text(self.text) != "." && !is_text(t.kind))
            .is_some_and(|t| matches!(t.text(self.text), "=" | ":" | "{"))
    }

    /// Does the token before say that a list or a call goes on?
    fn goes_on(&self, at: usize) -> bool {
        let before = self.tokens.get(..at).unwrap_or(&[]).iter().rev().find(|t| t.counts());
        before.is_none_or(|t| matches!(t.kind, Kind::Open | Kind::Symbol))
    }

    fn close(&self, at: usize, close: &str, stack: &mut Vec<Level>, found: &mut Vec<Unbalanced>) {
        let hole = self.tokens.get(at).is_some_and(|t| t.kind == Kind::HoleClose);
        let fits = |level: &Level| level.closing == close && (self.word(level.token) == "${") == hole;
        // a bracket in a hole closes nothing outside of it
        let slip = |level: &Level| self.slips && !fits(level) && level.closing != "}" && close != "}";
        let floor = if hole { 0 } else { stack.iter().rposition(|l| self.word(l.token) == "${").map_or(0, |l| l + 1) };
        if let Some(top) = stack.last().copied().filter(slip)
            && stack.len() > floor
        {
            found.push(Unbalanced::Mismatch { open: top.token, close: at });
            stack.pop();
            return;
        }
        if let Some(below) = stack.iter().rposition(fits).filter(|below| *below >= floor) {
            for level in stack.drain(below..).skip(1).rev() {
                found.push(Unbalanced::Unclosed { open: level.token, arrives: Some(at) });
            }
            return;
        }
        match stack.last().copied() {
            Some(top)
                if stack.len() > floor && top.closing != "}" && close != "}" && !self.closes_next(at, top.closing) =>
            {
                found.push(Unbalanced::Mismatch { open: top.token, close: at });
                stack.pop();
            }
            Some(_) | None => found.push(Unbalanced::Stray { close: at }),
        }
    }

    /// Is the next bracket on this line the one that was waited for?
    fn closes_next(&self, at: usize, closing: &str) -> bool {
        let rest = self.tokens.get(at + 1..).unwrap_or(&[]);
        let next = rest.iter().take_while(|t| t.kind != Kind::Newline);
        next.into_iter()
            .find(|t| matches!(t.kind, Kind::Open | Kind::Close))
            .is_some_and(|t| t.text(self.text) == closing)
    }
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::TextOpen | Kind::TextClose | Kind::Chunk)
}
