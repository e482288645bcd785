//! Words what could not be read: the piece is read again by a strict rule, and the furthest place it reached says
//! what was expected there.
//!
//! Promises: one report a piece, none where brackets were mended by guessing (that is reported already).

use pest::Parser as _;
use pest::error::{ErrorVariant, InputLocation};

use super::parse::{Grammar, Pair, Reader, Rule};
use super::scan::{Kind, pieces};
use super::values::read_unit;
use crate::source::Span;

/// What a piece ought to have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading<'a> {
    /// A value that ends with its line; the name it is bound to and the whole setting.
    Value(Option<(&'a str, Span)>),
    /// A value of a list.
    Element,
    /// An argument of a call.
    Argument,
    /// A field of a record.
    Field,
    /// A value in parentheses.
    Group,
    /// A value in a text.
    Hole,
    /// Something in a block.
    Entry,
    /// Something at the top level.
    Item,
}

impl Reading<'_> {
    fn rule(self) -> Rule {
        match self {
            Self::Value(_) | Self::Element | Self::Group | Self::Hole => Rule::strict_value,
            Self::Argument => Rule::strict_argument,
            Self::Field => Rule::strict_field,
            Self::Entry => Rule::strict_entry,
            Self::Item => Rule::strict_item,
        }
    }

    /// What may come where the piece could end.
    fn end(self) -> &'static [&'static str] {
        match self {
            Self::Value(_) | Self::Entry | Self::Item => &["the end of the line"],
            Self::Element => &["`,`", "`]`"],
            Self::Argument => &["`,`", "`)`"],
            Self::Field => &["`,`", "`}`"],
            Self::Group => &["`)`"],
            Self::Hole => &["`}`"],
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Value(_) => "values are: 30  5epochs  \"text\"  `column`  name  [a, b]  { a = 1 }  f(a = 1)",
            Self::Element | Self::Group => "write a list as [a, b, c]",
            Self::Argument => "write a call as f(x, name = value)",
            Self::Field => "write a record as { a = 1, b = 2 }",
            Self::Hole => "a hole in a text holds one value: \"${root}/images\"",
            Self::Entry => "a block holds settings `name = value`, blocks `name { ... }`, `let` and `vary`",
            Self::Item => "the top level holds `param`, `let`, `use`, and blocks: `study name { ... }`",
        }
    }
}

impl Reader<'_> {
    /// The token that starts at a byte of the mended text; at least one character, if there is one.
    pub(super) fn token_at(&self, at: usize) -> Span {
        let rest = self.mended.text.get(at..).unwrap_or("");
        // a token that is longer than this is not worth showing
        let near = rest.char_indices().nth(200).map_or(rest.len(), |(at, _)| at);
        let line = rest.get(..near).unwrap_or("").split(['\n', '\r']).next().unwrap_or("");
        let tokens = pieces(self.file, line);
        let Some(first) = tokens.first() else { return self.place(at, at) };
        let end = if first.kind == Kind::TextOpen {
            tokens.iter().find(|t| t.kind == Kind::TextClose).map_or(first.end, |t| t.end)
        } else {
            first.end
        };
        self.place(at + first.start, at + end)
    }

    /// Reports a piece that was not understood.
    pub(super) fn not_read(&self, pair: &Pair<'_>, reading: Reading<'_>) {
        let start = pair.as_span().start();
        let end = self.mended.trimmed_end(start, pair.as_span().end());
        if self.is_silent() || self.mended.is_guess(start, end) {
            return;
        }
        let piece = self.mended.text.get(start..end).unwrap_or("");
        if piece.trim().is_empty() {
            self.nothing(start, reading);
            return;
        }
        let (at, rules) = furthest(reading.rule(), piece);
        // what was expected at the end of a setting may stand there already, and is still too much
        let before = pieces(self.file, piece.get(..at).unwrap_or(""));
        let before = before.iter().rev().find(|t| t.counts());
        let last = before.map_or("", |t| t.text(piece));
        let found = if at >= piece.len() { self.place(end, end) } else { self.token_at(start + at) };
        let word = self.slice(found);
        if word.is_empty() && last.trim_end() == "=" {
            let name = pair.clone().into_inner().find(|part| part.as_rule() == Rule::ident);
            let name = name.map_or("this", |name| name.as_str().trim_end());
            let whole = self.place(start, end);
            self.tell(|problems| problems.no_value(name, whole));
            return;
        }
        let last_place = before.map(|t| self.place(start + t.start, start + t.end));
        if self.habit(piece, at, start, found, last_place) || self.name_trouble(&rules, reading, found, last_place) {
            return;
        }
        let whole = self.place(start, end);
        if reading == Reading::Item && matches!(word, "=" | ":") {
            self.tell(|problems| problems.setting_outside_block(whole, last));
            return;
        }
        if rules.contains(&Rule::bind) && matches!(reading, Reading::Entry) {
            self.tell(|problems| problems.no_equals(found, word, self.slice(whole)));
            return;
        }
        let mut expected: Vec<&str> = Vec::new();
        let mut end_is_expected = false;
        for rule in rules {
            match human(rule) {
                Some("") => end_is_expected = true,
                Some(words) if !expected.contains(&words) => expected.push(words),
                Some(_) | None => {}
            }
        }
        if end_is_expected {
            expected = reading.end().to_vec();
        }
        if expected.len() > 3 {
            expected.clear();
        }
        let help = if end_is_expected && matches!(reading, Reading::Value(_)) {
            self.too_much(piece, piece.get(at..).unwrap_or(""))
        } else {
            reading.help().to_owned()
        };
        self.tell(|problems| problems.not_expected(found, word, whole, &expected, &help));
    }

    /// A way out where more stands behind a value: another setting, the rest of a column's name, or more values.
    fn too_much(&self, piece: &str, behind: &str) -> String {
        let tokens = pieces(self.file, behind);
        let mut path = tokens.iter().filter(|t| t.counts()).take_while(|t| !matches!(t.text(behind), "=" | ":"));
        let is_path = path.all(|t| t.kind == Kind::Word || t.text(behind) == ".");
        let binds = tokens.iter().any(|t| matches!(t.text(behind), "=" | ":"));
        if is_path && binds && tokens.first().is_some_and(|t| t.kind == Kind::Word) {
            return format!("a setting stands on a line of its own:\n  {}", behind.trim());
        }
        let words = pieces(self.file, piece);
        if words.iter().filter(|t| t.counts()).all(|t| t.kind == Kind::Word) {
            return format!(
                "a column with a blank in its name is written `{}`;\nseveral values are [a, b]",
                piece.trim()
            );
        }
        "one setting takes one value; several are written [a, b]".to_owned()
    }

    fn nothing(&self, start: usize, reading: Reading<'_>) {
        match reading {
            Reading::Value(Some((name, whole))) => self.tell(|problems| problems.no_value(name, whole)),
            Reading::Group => {
                let place = self.place(start.saturating_sub(1), start + 1);
                self.tell(|problems| problems.empty_brackets(place, "()"));
            }
            Reading::Hole => {
                let place = self.place(start.saturating_sub(2), start + 1);
                self.tell(|problems| problems.empty_brackets(place, "${}"));
            }
            Reading::Value(None)
            | Reading::Element
            | Reading::Argument
            | Reading::Field
            | Reading::Entry
            | Reading::Item => {
                let place = self.token_at(start);
                self.tell(|problems| problems.nothing_before_comma(place));
            }
        }
    }

    /// What authors bring along from other languages.
    fn habit(&self, piece: &str, at: usize, start: usize, found: Span, last: Option<Span>) -> bool {
        let word = self.slice(found);
        let is_comment =
            |at: usize| piece.get(at..).is_some_and(|rest| rest.starts_with("//") || rest.starts_with("/*"));
        if let Some(slashes) = [Some(at), at.checked_sub(1)].into_iter().flatten().find(|at| is_comment(*at)) {
            let place = self.place(start + slashes, start + slashes + 2);
            let block = piece.get(slashes..).is_some_and(|rest| rest.starts_with("/*"));
            self.tell(|problems| problems.comment_of_another_language(place, self.slice(place), !block));
            return true;
        }
        let Some(last) = last else { return false };
        let number = self.slice(last);
        if number.starts_with(|c: char| c.is_ascii_digit()) && number.ends_with(|c: char| c.is_ascii_digit()) {
            let between = Span { start: last.end, end: found.start, ..found };
            if read_unit(word).is_some() && !self.slice(between).is_empty() {
                self.tell(|problems| problems.blank_before_unit(last, found, number, word));
                return true;
            }
        }
        false
    }

    /// Numbers, reserved words, quotes and hyphens where they are not understood.
    fn name_trouble(&self, rules: &[Rule], reading: Reading<'_>, found: Span, last: Option<Span>) -> bool {
        let word = self.slice(found);
        let wants_name = rules.iter().any(|rule| {
            matches!(rule, Rule::ident | Rule::setting | Rule::strict_entry | Rule::strict_item | Rule::strict_argument)
        });
        // a word that goes on where the grammar stopped: `größe`, `5foo`
        let joined = last.filter(|last| last.end == found.start).map_or(found, |last| last.to(found));
        let whole = self.slice(joined);
        if whole.starts_with(|c: char| c.is_alphabetic())
            && whole.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !whole.is_ascii()
        {
            self.tell(|problems| problems.name_not_ascii(joined, whole));
            return true;
        }
        let number = whole.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
        if number && joined != found && word.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            self.tell(|problems| problems.number_not_read(joined, whole));
            return true;
        }
        if word == "." && self.slice(Span { end: found.end + 1, ..found }).ends_with(|c: char| c.is_ascii_digit()) {
            self.tell(|problems| problems.number_not_read(found, word));
            return true;
        }
        if wants_name && word.starts_with(|c: char| c.is_ascii_digit()) && rules.contains(&Rule::quantity)
            || word.starts_with(|c: char| c.is_ascii_digit()) && rules.contains(&Rule::number)
        {
            self.tell(|problems| problems.number_not_read(found, word));
            return true;
        }
        if matches!(word, "param" | "use") && reading == Reading::Entry {
            self.tell(|problems| problems.only_at_top_level(found, word));
            return true;
        }
        if wants_name && is_reserved(word) {
            self.tell(|problems| problems.reserved_word(found, word));
            return true;
        }
        if reading == Reading::Entry && word.starts_with('"') && word.len() > 2 {
            self.tell(|problems| problems.quoted_setting(found, word.trim_matches('"')));
            return true;
        }
        if word == "-"
            && matches!(reading, Reading::Entry | Reading::Item)
            && let Some(last) = last
            && last.end == found.start
        {
            self.tell(|problems| problems.hyphen_in_a_name(last.to(found)));
            return true;
        }
        false
    }
}

/// How far a piece is read by a rule, and what was expected there.
fn furthest(rule: Rule, piece: &str) -> (usize, Vec<Rule>) {
    match Grammar::parse(rule, piece) {
        Ok(_) => (piece.len(), Vec::new()),
        Err(error) => {
            let at = match error.location {
                InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
            };
            let rules = match error.variant {
                ErrorVariant::ParsingError { positives, .. } => positives,
                ErrorVariant::CustomError { .. } => Vec::new(),
            };
            (at, rules)
        }
    }
}

fn is_reserved(word: &str) -> bool {
    matches!(
        word,
        "param"
            | "let"
            | "use"
            | "as"
            | "vary"
            | "extends"
            | "where"
            | "if"
            | "then"
            | "else"
            | "and"
            | "or"
            | "not"
            | "in"
            | "true"
            | "false"
    )
}

/// A rule in an author's words: `""` for the end of the piece, `None` for what is not worth saying (operators can
/// follow every value, and saying so helps nobody).
fn human(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::EOI | Rule::run_on => Some(""),
        Rule::strict_value
        | Rule::strict_argument
        | Rule::command_line_value
        | Rule::operation
        | Rule::operand
        | Rule::if_
        | Rule::list
        | Rule::record
        | Rule::group
        | Rule::quantity
        | Rule::number
        | Rule::text
        | Rule::column
        | Rule::boolean
        | Rule::kw_if
        | Rule::negate
        | Rule::not_
        | Rule::hole
        | Rule::named
        | Rule::bad_element
        | Rule::bad_argument
        | Rule::bad_value
        | Rule::bad_inner => Some("a value"),
        Rule::ident | Rule::path | Rule::label => Some("a name"),
        Rule::setting | Rule::strict_entry => Some("a setting"),
        Rule::strict_field | Rule::field | Rule::bad_field | Rule::bad_field_value => Some("`name = value`"),
        Rule::block | Rule::bad_block => Some("a block"),
        Rule::edition | Rule::bad_edition | Rule::kw_pipe => Some("`pipe \"2026\"`"),
        Rule::param | Rule::bad_param | Rule::kw_param => Some("`param`"),
        Rule::let_ | Rule::bad_let | Rule::kw_let => Some("`let`"),
        Rule::use_ | Rule::kw_use => Some("`use`"),
        Rule::vary | Rule::kw_vary => Some("`vary`"),
        Rule::type_ => Some("a type"),
        Rule::imports => Some("`{ names }`"),
        Rule::unit => Some("a unit"),
        Rule::bind | Rule::argument_bind | Rule::equals => Some("`=`"),
        Rule::colon => Some("`:`"),
        Rule::lbrace | Rule::late_brace => Some("`{`"),
        Rule::rbrace => Some("`}`"),
        Rule::lbracket => Some("`[`"),
        Rule::rbracket => Some("`]`"),
        Rule::rparen => Some("`)`"),
        Rule::comma | Rule::missing_comma => Some("`,`"),
        Rule::kw_as => Some("`as name`"),
        Rule::kw_where => Some("`where`"),
        Rule::kw_then => Some("`then`"),
        Rule::kw_else => Some("`else`"),
        Rule::extends | Rule::kw_extends => Some("`extends`"),
        Rule::or_
        | Rule::and_
        | Rule::in_
        | Rule::not_in
        | Rule::equal
        | Rule::not_equal
        | Rule::less_equal
        | Rule::greater_equal
        | Rule::less
        | Rule::greater
        | Rule::up_to
        | Rule::up_to_inclusive
        | Rule::add
        | Rule::subtract
        | Rule::multiply
        | Rule::divide
        | Rule::lparen
        | Rule::call
        | Rule::member
        | Rule::dot
        | Rule::question
        | Rule::WHITESPACE
        | Rule::file
        | Rule::strict_item
        | Rule::COMMENT
        | Rule::end
        | Rule::element_end
        | Rule::field_end
        | Rule::field_start
        | Rule::value_start
        | Rule::block_head
        | Rule::body
        | Rule::value
        | Rule::expr
        | Rule::prefix
        | Rule::infix
        | Rule::primary
        | Rule::element
        | Rule::next_element
        | Rule::argument
        | Rule::next_argument
        | Rule::fraction
        | Rule::exponent
        | Rule::escape
        | Rule::chunk
        | Rule::ident_continue
        | Rule::keyword
        | Rule::semicolon
        | Rule::stray_comma
        | Rule::nested
        | Rule::raw_text
        | Rule::skipped
        | Rule::delimiter
        | Rule::anything
        | Rule::rest_of_line
        | Rule::bad_head
        | Rule::bad_item
        | Rule::bad_entry
        | Rule::yaml_list_setting
        | Rule::yaml_item
        | Rule::stray => None,
    }
}
