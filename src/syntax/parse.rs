//! Text becomes a tree, whatever the text is.
//!
//! Promises: never panics, never gives up; what is not understood is reported once and stands as an `Error` node.
//! This file and `recover.rs` are the only ones that name pest.

#![expect(clippy::wildcard_enum_match_arm, reason = "the rules of the grammar: a node has few of the hundred kinds")]

use std::cell::RefCell;
use std::sync::LazyLock;

use pest::Parser as _;
use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::ast::{
    Block, Entry, Expr, ExprKind, File, Item, Let, Name, Param, Path, Setting, Text, TextPart, Type, Use,
};
use super::guard::TooDeep;
use super::recover::Reading;
use super::scan::{Mended, scan};
use crate::diag::Problems;
use crate::source::{FileId, Span};

/// The generated parser; its rules are documented in `grammar/pipe.pest`.
pub(super) mod grammar {
    #![allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated from the grammar")]
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/pipe.pest"]
    pub struct Grammar;
}

pub(super) use grammar::{Grammar, Rule};

/// A node of the grammar.
pub(super) type Pair<'a> = pest::iterators::Pair<'a, Rule>;

/// After so many reports a text is no study any more, and silence is kinder.
const MOST_REPORTS: usize = 500;

/// What binds more tightly comes later.
pub(super) static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::or_))
        .op(left(Rule::and_))
        .op(Op::prefix(Rule::not_))
        .op(left(Rule::equal)
            | left(Rule::not_equal)
            | left(Rule::less)
            | left(Rule::less_equal)
            | left(Rule::greater)
            | left(Rule::greater_equal)
            | left(Rule::in_)
            | left(Rule::not_in))
        .op(left(Rule::up_to) | left(Rule::up_to_inclusive))
        .op(left(Rule::add) | left(Rule::subtract))
        .op(left(Rule::multiply) | left(Rule::divide))
        .op(Op::prefix(Rule::negate))
});

/// A tree and what was wrong with its text.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The tree; `Error` nodes stand where the text was not understood.
    pub file: File,
    /// E0001 to E0007, and E0102 of a name with `-` in it.
    pub problems: Problems,
}

/// Parses a whole file. Every text is answered.
#[must_use]
pub fn parse(file: FileId, text: &str) -> Parsed {
    let whole = Span::new(file, 0, text.len());
    let mut problems = Problems::new();
    let Some(mended) = prepare(file, 0, text, &mut problems) else {
        return Parsed { file: File { edition: None, items: Vec::new(), span: whole }, problems };
    };
    let reader = Reader::new(file, 0, text, &mended, problems);
    let read = Grammar::parse(Rule::file, &mended.text).ok().and_then(|mut pairs| pairs.next());
    let tree = if let Some(pair) = read {
        reader.file(pair, whole)
    } else {
        reader.tell(|problems| problems.file_not_understood(whole.start_point()));
        File { edition: None, items: vec![Item::Error(whole)], span: whole }
    };
    Parsed { file: tree, problems: reader.problems.into_inner() }
}

/// Parses one value, as the command line gives it. `text` stands at byte `offset` of the source `file`.
#[must_use]
pub fn parse_value(file: FileId, offset: usize, text: &str) -> (Expr, Problems) {
    let whole = Span::new(file, offset, offset + text.len());
    let failed = Expr { kind: ExprKind::Error, span: whole };
    let mut problems = Problems::new();
    let Some(mended) = prepare(file, offset, text, &mut problems) else { return (failed, problems) };
    let reader = Reader::new(file, offset, text, &mended, problems);
    let value = Grammar::parse(Rule::command_line_value, &mended.text)
        .ok()
        .and_then(|mut pairs| pairs.next())
        .and_then(|pair| pair.into_inner().next())
        .map(|pair| reader.value(pair, Reading::Value(None)));
    let value = value.unwrap_or_else(|| {
        reader.tell(|problems| problems.file_not_understood(whole));
        failed
    });
    (value, reader.problems.into_inner())
}

fn prepare(file: FileId, offset: usize, text: &str, problems: &mut Problems) -> Option<Mended> {
    let at = |at: usize| Span::new(file, offset + at, offset + at + 1);
    let mut found = Problems::new();
    match scan(file, offset, text, &mut found) {
        Err(TooDeep::Brackets(place)) => problems.too_many_brackets(at(place), super::guard::MOST_BRACKETS),
        Err(TooDeep::Operators(place)) => problems.too_many_operators(at(place), super::guard::MOST_OPERATORS),
        Ok(mended) => {
            problems.extend(found);
            return Some(mended);
        }
    }
    None
}

/// Reads the grammar's nodes into the tree, and reports as it goes.
pub(super) struct Reader<'a> {
    pub(super) file: FileId,
    base: usize,
    written: &'a str,
    pub(super) mended: &'a Mended,
    problems: RefCell<Problems>,
    reports: RefCell<usize>,
}

impl<'a> Reader<'a> {
    fn new(file: FileId, base: usize, written: &'a str, mended: &'a Mended, problems: Problems) -> Self {
        Self { file, base, written, mended, problems: RefCell::new(problems), reports: RefCell::new(0) }
    }

    /// Reports, unless far too much was reported already.
    pub(super) fn tell(&self, say: impl FnOnce(&mut Problems)) {
        let mut reports = self.reports.borrow_mut();
        *reports += 1;
        if *reports <= MOST_REPORTS {
            say(&mut self.problems.borrow_mut());
        }
    }

    /// Was far too much reported already?
    pub(super) fn is_silent(&self) -> bool {
        *self.reports.borrow() > MOST_REPORTS
    }

    /// The written place of a range of the mended text.
    pub(super) fn place(&self, start: usize, end: usize) -> Span {
        let mut start = self.mended.written(start);
        let mut end = self.mended.written(end).max(start);
        while !self.written.is_char_boundary(start) {
            start -= 1;
        }
        while !self.written.is_char_boundary(end) {
            end += 1;
        }
        Span::new(self.file, self.base + start, self.base + end)
    }

    /// The node's place, without blanks and comments at its end.
    pub(super) fn span(&self, pair: &Pair<'_>) -> Span {
        let span = pair.as_span();
        self.place(span.start(), self.mended.trimmed_end(span.start(), span.end()))
    }

    /// What was written at a place of this text.
    pub(super) fn slice(&self, span: Span) -> &'a str {
        let range = span.range();
        let start = range.start.saturating_sub(self.base);
        self.written.get(start..range.end.saturating_sub(self.base)).unwrap_or("")
    }

    /// The node as a word.
    pub(super) fn name(&self, pair: &Pair<'_>) -> Name {
        Name { text: pair.as_str().trim_end().to_owned(), span: self.span(pair) }
    }

    fn file(&self, pair: Pair<'_>, whole: Span) -> File {
        let mut edition: Option<Text> = None;
        let mut missing_is_told = false;
        let mut items = Vec::new();
        for pair in pair.into_inner() {
            let span = self.span(&pair);
            match pair.as_rule() {
                Rule::edition => {
                    if !items.is_empty() || edition.is_some() {
                        missing_is_told = true;
                        let twice = edition.as_ref().map(|first| first.span);
                        self.tell(|problems| problems.edition_not_first(span, twice));
                    }
                    let text = inner(pair, Rule::text).map(|text| self.text(text));
                    edition = edition.or(text);
                }
                Rule::bad_edition => {
                    missing_is_told = true;
                    let rest = inner(pair, Rule::rest_of_line).map(|rest| self.span(&rest));
                    let year = rest.map_or("", |rest| self.slice(rest));
                    self.tell(|problems| problems.edition_not_text(span, year));
                }
                Rule::EOI => {}
                Rule::semicolon => self.semicolon(span),
                Rule::setting | Rule::vary | Rule::yaml_list_setting => {
                    let name = self.slice(span).split(['=', ':']).next().unwrap_or("").trim();
                    self.tell(|problems| problems.setting_outside_block(span, name));
                    items.push(Item::Error(span));
                }
                _ => items.extend(self.item(pair, span)),
            }
        }
        if edition.is_none() && !missing_is_told {
            let first = items.first().map_or(whole.start_point(), item_span);
            self.tell(|problems| problems.no_edition(first, whole.start_point()));
        }
        File { edition, items, span: whole }
    }

    fn item(&self, pair: Pair<'_>, span: Span) -> Option<Item> {
        Some(match pair.as_rule() {
            Rule::param => self.param(pair, span).map_or(Item::Error(span), Item::Param),
            Rule::let_ => Item::Let(self.let_(pair, span)?),
            Rule::bad_let | Rule::bad_param => {
                // the name is known, so that its uses are not reported too
                let reading = if pair.as_rule() == Rule::bad_let { Reading::Entry } else { Reading::Item };
                Item::Let(self.unread_let(pair, span, reading)?)
            }
            Rule::use_ => self.use_(pair, span).map_or(Item::Error(span), Item::Use),
            Rule::block | Rule::bad_block => Item::Block(self.block(pair, span)?),
            _ => {
                self.not_read(&pair, Reading::Item);
                Item::Error(span)
            }
        })
    }

    fn param(&self, pair: Pair<'_>, span: Span) -> Option<Param> {
        let mut name = None;
        let mut ty = None;
        let (mut default, mut constraint) = (None, None);
        let mut in_where = false;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::kw_param | Rule::colon | Rule::equals => {}
                Rule::ident if name.is_none() => name = Some(self.name(&part)),
                Rule::type_ => ty = self.type_(part),
                Rule::kw_where => in_where = true,
                _ if in_where => constraint = Some(self.value(part, Reading::Value(None))),
                _ => default = Some(self.value(part, Reading::Value(None))),
            }
        }
        Some(Param { name: name?, ty: ty?, default, constraint, span })
    }

    fn type_(&self, pair: Pair<'_>) -> Option<Type> {
        let span = self.span(&pair);
        let (mut name, mut argument, mut optional) = (None, None, false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::ident => name = Some(self.name(&part)),
                Rule::type_ => argument = self.type_(part).map(Box::new),
                Rule::question => optional = true,
                _ => {}
            }
        }
        Some(Type { name: name?, argument, optional, span })
    }

    fn use_(&self, pair: Pair<'_>, span: Span) -> Option<Use> {
        let (mut path, mut alias, mut names) = (None, None, Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::text => path = Some(self.text(part)),
                Rule::ident => alias = Some(self.name(&part)),
                Rule::imports => {
                    names = part.into_inner().filter(|p| p.as_rule() == Rule::ident).map(|p| self.name(&p)).collect();
                }
                _ => {}
            }
        }
        Some(Use { path: path?, alias, names, span })
    }

    fn let_(&self, pair: Pair<'_>, span: Span) -> Option<Let> {
        let mut parts = pair.into_inner();
        parts.next(); // `let`
        let name = self.name(&parts.next()?);
        let value = self.bound(&name.text, name.span, parts, span);
        Some(Let { name, value, span })
    }

    fn unread_let(&self, pair: Pair<'_>, span: Span, reading: Reading<'_>) -> Option<Let> {
        self.not_read(&pair, reading);
        let name = pair.into_inner().find(|part| part.as_rule() == Rule::ident)?;
        Some(Let { name: self.name(&name), value: Expr { kind: ExprKind::Error, span }, span })
    }

    fn block(&self, pair: Pair<'_>, span: Span) -> Option<Block> {
        let mut parts = pair.into_inner().peekable();
        let keyword = self.name(&parts.next()?);
        let mut block = Block { keyword, labels: Vec::new(), extends: None, entries: Vec::new(), span };
        for part in parts {
            let place = self.span(&part);
            match part.as_rule() {
                Rule::label => {
                    if let Some(label) = part.into_inner().next() {
                        block.labels.push(self.word_or_text(label));
                    }
                }
                Rule::extends => block.extends = inner(part, Rule::path).map(|path| self.path(path)),
                Rule::late_brace => {
                    let brace = self.place(part.as_span().end() - 1, part.as_span().end());
                    let head = block.keyword.span.to(block.labels.last().map_or(block.keyword.span, |l| l.span));
                    self.tell(|problems| problems.brace_on_next_line(head, brace, self.slice(head)));
                }
                Rule::bad_head => {
                    let text = self.slice(place).to_owned();
                    let word = &block.keyword;
                    self.tell(|problems| problems.block_name_not_read(&word.text, place, &text));
                    block.labels.push(Name { text, span: place });
                }
                Rule::lbrace | Rule::rbrace => {}
                Rule::run_on => {
                    let brace = Span::new(self.file, block.span.range().end - 1, block.span.range().end);
                    let next = self.place(part.as_span().start(), part.as_span().start());
                    self.tell(|problems| problems.two_blocks_on_one_line(brace, next));
                }
                Rule::semicolon => self.semicolon(place),
                Rule::stray_comma => self.tell(|problems| problems.comma_after_setting(place)),
                _ => block.entries.extend(self.entry(part, place)),
            }
        }
        Some(block)
    }

    fn entry(&self, pair: Pair<'_>, span: Span) -> Option<Entry> {
        Some(match pair.as_rule() {
            Rule::let_ => Entry::Let(self.let_(pair, span)?),
            Rule::bad_let => Entry::Let(self.unread_let(pair, span, Reading::Entry)?),
            Rule::block | Rule::bad_block => Entry::Block(self.block(pair, span)?),
            Rule::vary => Entry::Vary(self.setting(pair, span)?),
            Rule::setting => Entry::Setting(self.setting(pair, span)?),
            Rule::yaml_list_setting => {
                let path = self.path(pair.clone().into_inner().next()?);
                let items: Vec<&str> = pair
                    .into_inner()
                    .filter(|part| part.as_rule() == Rule::yaml_item)
                    .filter_map(|item| inner(item, Rule::rest_of_line))
                    .map(|item| self.slice(self.span(&item)).trim())
                    .collect();
                self.tell(|problems| problems.yaml_list(path.span, span, self.slice(path.span), &items));
                Entry::Setting(Setting { path, value: Expr { kind: ExprKind::Error, span }, span })
            }
            _ => {
                self.not_read(&pair, Reading::Entry);
                Entry::Error(span)
            }
        })
    }

    fn setting(&self, pair: Pair<'_>, span: Span) -> Option<Setting> {
        let mut parts = pair.into_inner().skip_while(|part| part.as_rule() == Rule::kw_vary);
        let path = self.path(parts.next()?);
        let value = self.bound(self.slice(path.span), path.span, parts, span);
        Some(Setting { path, value, span })
    }

    /// What stands behind a name: what binds, then the value.
    pub(super) fn bound<'p>(
        &self,
        name: &str,
        place: Span,
        mut parts: impl Iterator<Item = Pair<'p>>,
        whole: Span,
    ) -> Expr {
        let bind = parts.next();
        let value = parts.next();
        let failed = Expr { kind: ExprKind::Error, span: whole.end_point() };
        let (Some(bind), Some(value)) = (bind, value) else { return failed };
        let value_place = self.span(&value);
        match bind.as_str().trim_end() {
            "=" => {}
            "==" => {
                let between = self.span(&bind);
                self.tell(|problems| problems.compares_instead(name, between));
            }
            colon => {
                let between = Span { start: place.end, end: value_place.start, ..place };
                let value = self.slice(value_place);
                self.tell(|problems| problems.colon_for_equals(name, place, value_place, between, colon, value));
                if value.is_empty() {
                    return failed;
                }
            }
        }
        self.value(value, Reading::Value(Some((name, whole))))
    }

    fn path(&self, pair: Pair<'_>) -> Path {
        let span = self.span(&pair);
        let names = pair.into_inner().filter(|p| p.as_rule() == Rule::ident).map(|p| self.name(&p)).collect();
        Path { names, span }
    }

    fn word_or_text(&self, pair: Pair<'_>) -> Name {
        if pair.as_rule() != Rule::text {
            return self.name(&pair);
        }
        let text = self.text(pair);
        let hole = text.parts.iter().any(|part| matches!(part, TextPart::Hole(_)));
        if hole {
            self.tell(|problems| problems.hole_in_a_name(text.span));
        }
        Name { text: text.plain().unwrap_or_default(), span: text.span }
    }

    /// A name that may be written as a text.
    pub(super) fn field_name(&self, pair: Pair<'_>) -> Name {
        self.word_or_text(pair)
    }

    /// Reports a `;`.
    pub(super) fn semicolon(&self, place: Span) {
        let behind = self.written.get(place.range().end.saturating_sub(self.base)..).unwrap_or("");
        let next = behind.trim_start_matches([' ', '\t']).chars().next();
        let last = next.is_none_or(|c| matches!(c, '\n' | '\r' | '#' | '}' | ';'));
        self.tell(|problems| problems.semicolon(place, last));
    }
}

/// The first part of a kind.
pub(super) fn inner(pair: Pair<'_>, rule: Rule) -> Option<Pair<'_>> {
    pair.into_inner().find(|part| part.as_rule() == rule)
}

fn item_span(item: &Item) -> Span {
    match item {
        Item::Param(param) => param.span,
        Item::Let(binding) => binding.span,
        Item::Use(import) => import.span,
        Item::Block(block) => block.keyword.span,
        Item::Error(span) => *span,
    }
}
