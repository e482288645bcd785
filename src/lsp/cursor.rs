//! A place in a text that may be half written becomes what is being written there.
//!
//! Works on tokens alone, so that it holds in the middle of a line, before any bracket is closed. Walking from the
//! file's start, every open bracket is a [`Level`] with what stands before and in it; the catalog says what each takes.

use std::ops::Range;

use crate::catalog::{Block, FAMILIES, Family, Operation, Parameter, Setting, Takes, blocks, sources};
use crate::source::FileId;
use crate::syntax::{Token, TokenKind, tokens};

/// What is being written.
#[derive(Debug, Clone)]
pub(super) enum Spot {
    /// Nothing that anybody could help with: a comment, a new name, a free text.
    Nothing,
    /// What stands at the top of a file.
    Item,
    /// The year behind `pipe`.
    Edition,
    /// The type of a `param`.
    Type,
    /// The name of a setting or block; `of` is `None` in a block that nobody knows.
    Entry {
        /// The block it stands in.
        of: Option<&'static Block>,
        /// Directly in a study, where blocks and dotted names may stand.
        in_study: bool,
        /// Names set in this block before.
        written: Vec<String>,
        /// Only the name of a setting may stand here: after `vary`, after `train.`.
        setting_only: bool,
    },
    /// A name of another file, in the braces of a `use`.
    Import {
        /// The file, as written.
        file: String,
        /// Names listed before.
        written: Vec<String>,
    },
    /// A value.
    Value,
    /// A column, inside its backticks.
    Column,
    /// Inside a text.
    Text,
    /// A study, after `extends`.
    Study,
    /// The unit behind a number.
    Unit,
}

/// What a value is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot {
    /// A setting of a block.
    Setting(&'static Block, &'static Setting),
    /// A parameter of an operation.
    Parameter(&'static Operation, &'static Parameter),
}

impl Slot {
    /// What it takes.
    pub(super) fn takes(self) -> &'static Takes {
        match self {
            Self::Setting(_, setting) => &setting.takes,
            Self::Parameter(_, parameter) => &parameter.takes,
        }
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Setting(_, setting) => setting.name,
            Self::Parameter(_, parameter) => parameter.name,
        }
    }

    /// Operations that can be called in it; those of a shape of its own too.
    pub(super) fn family(self) -> Option<&'static Family> {
        match self.takes() {
            Takes::Operation(family) | Takes::Operations(family) | Takes::Formula(family) => Some(family),
            Takes::Shaped(_) => match self.name() {
                "group" => Some(&sources::GROUPS),
                "limit" => Some(&sources::LIMITS),
                _ => None,
            },
            Takes::Whole { .. }
            | Takes::Number { .. }
            | Takes::Share { .. }
            | Takes::Epochs { .. }
            | Takes::Degrees { .. }
            | Takes::Flag
            | Takes::Text
            | Takes::Path
            | Takes::Column
            | Takes::Word(_) => None,
        }
    }
}

/// A call that the place lies in.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// What is called.
    pub(super) operation: &'static Operation,
    /// Parameters that are given already, by name or by position.
    pub(super) given: Vec<&'static str>,
    /// The parameter that is being written.
    pub(super) parameter: Option<usize>,
    /// May a parameter's name stand here?
    pub(super) at_name: bool,
}

/// What stands at a place.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    /// What is being written.
    pub(super) spot: Spot,
    /// What the value is for, if that is known.
    pub(super) slot: Option<Slot>,
    /// The innermost call, if it is known.
    pub(super) call: Option<Call>,
    /// Directly in the `[ ]` of a list?
    pub(super) in_list: bool,
    /// The word, or the inside of the column or text, of which a part may stand behind the place.
    pub(super) word: Range<usize>,
    /// All of the token at the place; empty if there is none.
    pub(super) token: Range<usize>,
    /// Is that column or text closed on its line?
    pub(super) closed: bool,
    /// The column that the values around are compared with: `` `view` in ["|"] ``.
    pub(super) compared: Option<String>,
    /// The keyword of the line that is being written at the top of the file or in a block: `let`, `param`, ...
    pub(super) line: Option<String>,
    /// `lab`, directly behind `lab.`.
    pub(super) member_of: Option<String>,
    /// The name of the `let` whose value is being written.
    pub(super) defines: Option<String>,
    /// The field of a record whose value is being written.
    pub(super) field: Option<String>,
}

/// An open bracket, and what stands in it on the way to the place.
#[derive(Debug, Clone)]
struct Level {
    /// `{`, `(`, `[`, or the `${` of a hole; empty for the file.
    open: &'static str,
    /// The tokens of the statement, argument or element that is being written.
    statement: Vec<Token>,
    /// Arguments before this one without a name, and the names of those with one.
    positional: usize,
    named: Vec<String>,
    /// Names of settings written before, in a block.
    written: Vec<String>,
}

impl Level {
    fn new(open: &'static str) -> Self {
        Self { open, statement: Vec::new(), positional: 0, named: Vec::new(), written: Vec::new() }
    }

    /// Ends a statement, an argument or an element.
    fn end(&mut self, text: &str) {
        match name_before_equals(&self.statement, text) {
            Some(name) if self.open == "(" => self.named.push(name),
            None if self.open == "(" => self.positional += 1,
            Some(name) => self.written.push(name),
            // a block sets its name too
            None => self.written.extend(self.statement.first().map(|token| token.text(text).to_owned())),
        }
        self.statement.clear();
    }
}

/// Where a statement binds a value: the place of `=` (or of the `:` that is meant as one).
fn bind(statement: &[Token], text: &str) -> Option<usize> {
    let equals = |token: &Token| token.kind == TokenKind::Symbol && matches!(token.text(text), "=" | ":=");
    statement.iter().position(equals)
}

/// `train.loss` of `train.loss = ...`; without `vary` and `let`.
fn name_before_equals(statement: &[Token], text: &str) -> Option<String> {
    let before = statement.get(..bind(statement, text)?)?;
    Some(before.iter().map(|token| token.text(text)).filter(|word| !matches!(*word, "vary" | "let")).collect())
}

/// What stands at a byte of a text.
pub(super) fn cursor(file: FileId, text: &str, at: usize) -> Cursor {
    let tokens = tokens(file, text);
    let here =
        tokens.iter().copied().find(|token| token.start < at && at <= token.end && !token_ends_before(*token, at));
    let word = here.filter(|token| token.kind == TokenKind::Word || token.kind == TokenKind::Number);
    let stop = here.map_or(at, |token| token.start);
    let levels = levels(text, &tokens, stop);
    let mut cursor = Cursor {
        spot: Spot::Nothing,
        slot: None,
        call: None,
        in_list: levels.last().is_some_and(|level| level.open == "["),
        word: word.map_or(at..at, |token| token.start..token.end),
        token: here.map_or(at..at, |token| token.start..token.end),
        closed: true,
        compared: None,
        line: None,
        member_of: None,
        defines: None,
        field: None,
    };
    let known = Known::of(&levels, text);
    cursor.slot = known.slot;
    cursor.compared = compared(&levels, text);
    cursor.line = levels
        .iter()
        .rev()
        .find(|level| matches!(level.open, "" | "{"))
        .and_then(|level| level.statement.first())
        .map(|token| token.text(text).to_owned());
    let in_hole = levels.last().is_some_and(|level| level.open == "${");
    cursor.member_of = member_of(&levels, text);
    cursor.defines = defines(&levels, text).filter(|_| !in_hole);
    cursor.field = levels
        .last()
        .filter(|level| level.open == "{" && !known.statements)
        .and_then(|level| name_before_equals(&level.statement, text));
    match here.map(|token| token.kind) {
        Some(TokenKind::Comment) => return cursor,
        Some(TokenKind::Column) => {
            let token = here.unwrap_or(Token { kind: TokenKind::Column, start: at, end: at });
            cursor.closed = token.text(text).len() > 1 && token.text(text).ends_with('`');
            cursor.word = token.start + 1..token.end - usize::from(cursor.closed);
            cursor.spot = Spot::Column;
            return cursor;
        }
        Some(TokenKind::Number) => {
            let digits = here.map_or("", |token| token.text(text));
            let unit = digits.find(|c: char| !matches!(c, '0'..='9' | '_' | '.')).unwrap_or(digits.len());
            cursor.word.start += unit;
            cursor.spot = Spot::Unit;
            return cursor;
        }
        _ => {}
    }
    if let Some(inside) = text_around(&tokens, at, in_hole) {
        cursor.closed = inside.1;
        cursor.word = inside.0;
        cursor.spot = if is_edition(&levels, text) { Spot::Edition } else { Spot::Text };
        return cursor;
    }
    cursor.call = call(&levels, &known, text);
    if let Some(call) = &cursor.call
        && let Some(parameter) = call.parameter.and_then(|at| call.operation.parameters.get(at))
        && levels.last().is_some_and(|level| level.open == "(")
    {
        cursor.slot = Some(Slot::Parameter(call.operation, parameter));
    }
    cursor.spot = spot(&levels, &known, text, in_hole);
    cursor
}

/// `lab`, if what stands before a place ends in `lab.`.
fn member_of(levels: &[Level], text: &str) -> Option<String> {
    let [.., of, dot] = levels.last()?.statement.as_slice() else { return None };
    (of.kind == TokenKind::Word && dot.text(text) == ".").then(|| of.text(text).to_owned())
}

/// The name of the `let` whose value a place lies in.
fn defines(levels: &[Level], text: &str) -> Option<String> {
    levels.iter().find_map(|level| match level.statement.as_slice() {
        [word, name, ..] if word.text(text) == "let" => Some(name.text(text).to_owned()),
        _ => None,
    })
}

/// The file of the `use` whose braces a place lies in.
fn used<'t>(levels: &[Level], text: &'t str) -> Option<&'t str> {
    let [file, braces] = levels else { return None };
    let [word, quote, ..] = file.statement.as_slice() else { return None };
    if braces.open != "{" || word.text(text) != "use" || quote.kind != TokenKind::TextOpen {
        return None;
    }
    text.get(quote.end..)?.split_once('"').map(|(path, _)| path)
}

/// A symbol or bracket that ends where the place is has been left behind.
fn token_ends_before(token: Token, at: usize) -> bool {
    match token.kind {
        // at its end one is still in a comment
        TokenKind::Word | TokenKind::Number | TokenKind::Comment => false,
        TokenKind::Column | TokenKind::Chunk => token.end < at,
        TokenKind::Symbol
        | TokenKind::Open
        | TokenKind::Close
        | TokenKind::HoleOpen
        | TokenKind::HoleClose
        | TokenKind::TextOpen
        | TokenKind::TextClose
        | TokenKind::Newline => token.end <= at,
    }
}

/// The inside of the text around a place, and whether it is closed. Holes of it are other levels.
fn text_around(tokens: &[Token], at: usize, in_hole: bool) -> Option<(Range<usize>, bool)> {
    if in_hole {
        return None;
    }
    let open = tokens.iter().rposition(|token| token.kind == TokenKind::TextOpen && token.end <= at)?;
    let behind = tokens.get(open..)?;
    let close = behind.iter().find(|token| token.kind == TokenKind::TextClose)?;
    let start = behind.first()?.end;
    // An empty closing token was added where the line ends.
    (at <= close.start).then_some((start..close.start, close.start < close.end))
}

fn is_edition(levels: &[Level], text: &str) -> bool {
    matches!(levels, [file] if matches!(file.statement.as_slice(), [pipe, ..] if pipe.text(text) == "pipe"))
}

/// The brackets open at a place, the file first.
fn levels(text: &str, tokens: &[Token], stop: usize) -> Vec<Level> {
    let mut levels = vec![Level::new("")];
    for (nth, token) in tokens.iter().enumerate().take_while(|(_, token)| token.start < stop) {
        let Some(level) = levels.last_mut() else { break };
        match token.kind {
            TokenKind::Comment | TokenKind::Chunk | TokenKind::TextClose => {}
            TokenKind::Open | TokenKind::HoleOpen => {
                level.statement.push(*token);
                levels.push(Level::new(match token.text(text) {
                    "(" => "(",
                    "[" => "[",
                    "${" => "${",
                    _ => "{",
                }));
            }
            TokenKind::Close | TokenKind::HoleClose => {
                // A closing bracket of another kind ends what was forgotten to be closed within it.
                let opens = match token.text(text) {
                    ")" => "(",
                    "]" => "[",
                    _ if token.kind == TokenKind::HoleClose => "${",
                    _ => "{",
                };
                if levels.iter().skip(1).any(|level| level.open == opens) {
                    while levels.len() > 1 && levels.pop().is_some_and(|level| level.open != opens) {}
                }
            }
            TokenKind::Newline => {
                if matches!(level.open, "" | "{") && !continues(text, tokens, nth) && !level.statement.is_empty() {
                    level.end(text);
                }
            }
            TokenKind::Symbol if matches!(token.text(text), "," | ";") => level.end(text),
            TokenKind::Symbol | TokenKind::Word | TokenKind::Number | TokenKind::Column | TokenKind::TextOpen => {
                level.statement.push(*token);
            }
        }
    }
    levels
}

/// Does the statement go on after this line end: does an operator stand before or behind it?
fn continues(text: &str, tokens: &[Token], newline: usize) -> bool {
    let operator = |token: &Token| match token.kind {
        TokenKind::Symbol => !matches!(token.text(text), "=" | "," | ";" | ":" | ":=" | "?" | "."),
        TokenKind::Word => matches!(token.text(text), "and" | "or" | "in" | "then" | "else" | "not" | "if"),
        TokenKind::Number
        | TokenKind::Open
        | TokenKind::Close
        | TokenKind::HoleOpen
        | TokenKind::HoleClose
        | TokenKind::TextOpen
        | TokenKind::TextClose
        | TokenKind::Chunk
        | TokenKind::Column
        | TokenKind::Comment
        | TokenKind::Newline => false,
    };
    let behind = tokens.get(newline..).unwrap_or_default().iter().find(|token| token.counts());
    let before = tokens.get(..newline).unwrap_or_default().iter().rfind(|token| token.counts());
    behind.is_some_and(|token| operator(token) && token.text(text) != "if" && token.text(text) != "not")
        || before.is_some_and(operator)
}

/// What the catalog knows of the innermost level.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// The block, when the level is one.
    block: Option<&'static Block>,
    in_study: bool,
    /// Is the level a block (or the file), where statements stand?
    statements: bool,
    slot: Option<Slot>,
    /// The operation of each call that is open.
    operation: Option<&'static Operation>,
}

impl Known {
    fn of(levels: &[Level], text: &str) -> Self {
        let mut known = Self { block: None, in_study: false, statements: true, slot: None, operation: None };
        for (depth, level) in levels.iter().enumerate() {
            if depth > 0 {
                let before = levels.get(depth - 1).map_or(&[][..], |outer| outer.statement.as_slice());
                // the bracket itself is the last token of what stands before it
                let head = before.split_last().map_or(&[][..], |(_, head)| head);
                known.enter(level, head, text);
            }
            known.value_of(level, text);
        }
        known
    }

    /// Steps into a bracket.
    fn enter(&mut self, level: &Level, head: &[Token], text: &str) {
        match level.open {
            "{" if self.statements && bind(head, text).is_none() => {
                let keyword = head.first().map_or("", |token| token.text(text));
                let outer_study = self.in_study;
                self.in_study = keyword == "study";
                self.block = match keyword {
                    "study" => Some(&blocks::STUDY),
                    "run" => Some(&blocks::RUN),
                    other if outer_study => blocks::block(other),
                    _ => None,
                };
                self.slot = None;
                self.operation = None;
            }
            "(" => {
                self.statements = false;
                self.operation = head.last().filter(|token| token.kind == TokenKind::Word).and_then(|callee| {
                    let name = callee.text(text);
                    match self.slot.and_then(Slot::family) {
                        Some(family) => family.operation(name),
                        None => FAMILIES.iter().find_map(|family| family.operation(name)),
                    }
                });
                if self.operation.is_some() {
                    self.slot = None;
                }
            }
            _ => {
                self.statements = false;
                self.operation = None;
            }
        }
    }

    /// Finds what the statement of a level sets, up to where it is written.
    fn value_of(&mut self, level: &Level, text: &str) {
        if level.open == "(" {
            if let Some(operation) = self.operation
                && let Some(parameter) = parameter(level, operation, text).and_then(|at| operation.parameters.get(at))
            {
                self.slot = Some(Slot::Parameter(operation, parameter));
            }
            return;
        }
        if !self.statements {
            return; // an element of a list, a field of a record: for what the whole is
        }
        self.slot = None;
        let Some(path) = name_before_equals(&level.statement, text) else { return };
        let (block, name) = match path.split_once('.') {
            Some((block, name)) if self.in_study => (blocks::block(block), name.split('.').next().unwrap_or(name)),
            Some(_) => (None, ""),
            None => (self.block, path.as_str()),
        };
        self.slot = block.and_then(|block| block.setting(name).map(|setting| Slot::Setting(block, setting)));
    }
}

/// The position of the parameter that the last argument of a call is for.
fn parameter(level: &Level, operation: &Operation, text: &str) -> Option<usize> {
    match name_before_equals(&level.statement, text) {
        Some(name) => operation.parameters.iter().position(|parameter| parameter.name == name),
        None => Some(level.positional),
    }
}

/// The innermost call.
fn call(levels: &[Level], known: &Known, text: &str) -> Option<Call> {
    let level = levels.last().filter(|level| level.open == "(")?;
    let operation = known.operation?;
    let mut given: Vec<&'static str> =
        operation.parameters.iter().take(level.positional).map(|parameter| parameter.name).collect();
    given.extend(level.named.iter().filter_map(|name| operation.parameter(name).map(|parameter| parameter.name)));
    Some(Call { operation, given, parameter: parameter(level, operation, text), at_name: level.statement.is_empty() })
}

/// The column on the left of the comparison that the place is on the right of.
fn compared(levels: &[Level], text: &str) -> Option<String> {
    let mut levels = levels.iter().rev();
    let mut level = levels.next()?;
    if level.open == "[" {
        level = levels.next()?;
    }
    let counts = |token: &&Token| token.kind != TokenKind::Open && token.kind != TokenKind::TextOpen;
    let mut before = level.statement.iter().rev().filter(counts);
    let operator = before.next()?;
    if !matches!(operator.text(text), "in" | "==" | "!=") {
        return None;
    }
    let column = before.find(|token| token.text(text) != "not")?;
    (column.kind == TokenKind::Column).then(|| column.text(text).trim_matches('`').to_owned())
}

fn spot(levels: &[Level], known: &Known, text: &str, in_hole: bool) -> Spot {
    let Some(level) = levels.last() else { return Spot::Nothing };
    if in_hole {
        return Spot::Value;
    }
    if !known.statements {
        let in_type = matches!(levels, [file, _] if file.statement.first().is_some_and(|word| word.text(text) == "param")
            && bind(&file.statement, text).is_none());
        return match level.open {
            "[" if in_type => Spot::Type,
            // the name of a record's field is the author's own
            "{" if bind(&level.statement, text).is_none() => Spot::Nothing,
            _ => Spot::Value,
        };
    }
    let words: Vec<&str> = level.statement.iter().map(|token| token.text(text)).collect();
    if bind(&level.statement, text).is_some() {
        return Spot::Value;
    }
    if let Some(file) = used(levels, text) {
        let listed = Spot::Import { file: file.to_owned(), written: level.written.clone() };
        return if words.is_empty() { listed } else { Spot::Nothing };
    }
    let in_file = level.open.is_empty();
    match words.as_slice() {
        [] if in_file => Spot::Item,
        ["pipe"] if in_file => Spot::Edition,
        ["param", _, ":"] if in_file => Spot::Type,
        ["param", _, .., "where"] if in_file => Spot::Value,
        [.., "extends"] | [.., "extends", _, "."] => Spot::Study,
        ["let" | "param" | "use" | "study" | "run", ..] => Spot::Nothing,
        _ if in_file => Spot::Nothing,
        words => entry(known, level, words),
    }
}

fn entry(known: &Known, level: &Level, words: &[&str]) -> Spot {
    let (setting_only, words) = match words {
        ["vary", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    match words {
        [] => Spot::Entry { of: known.block, in_study: known.in_study, written: level.written.clone(), setting_only },
        // `train.` in a study
        [block, "."] if known.in_study => Spot::Entry {
            of: blocks::block(block),
            in_study: false,
            written: level
                .written
                .iter()
                .filter_map(|path| path.strip_prefix(block)?.strip_prefix('.').map(str::to_owned))
                .collect(),
            setting_only: true,
        },
        _ => Spot::Nothing,
    }
}
