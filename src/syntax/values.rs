//! Nodes behind `=` become values of the tree.
//!
//! Promises: as `parse`: a value that is not understood is reported once and becomes `Error`, and the values around
//! it stand.

#![expect(clippy::wildcard_enum_match_arm, reason = "the rules of the grammar: a node has few of the hundred kinds")]

use super::ast::{Argument, BinaryOperator, Expr, ExprKind, Field, Number, Text, TextPart, Unit};
use super::parse::{PRECEDENCE, Pair, Reader, Rule, inner};
use super::recover::Reading;
use crate::source::Span;

/// The largest whole number that a float holds exactly.
const MOST_WHOLE: f64 = 9_007_199_254_740_992.0;

impl Reader<'_> {
    /// A value, or what stands in its place; `reading` says what it is the value of.
    pub(super) fn value(&self, pair: Pair<'_>, reading: Reading<'_>) -> Expr {
        match pair.as_rule() {
            Rule::if_ => self.condition(pair),
            Rule::operation => self.operation(pair),
            _ => {
                let span = self.span(&pair);
                self.not_read(&pair, reading);
                Expr { kind: ExprKind::Error, span }
            }
        }
    }

    fn condition(&self, pair: Pair<'_>) -> Expr {
        let span = self.span(&pair);
        let mut values = pair
            .into_inner()
            .filter(|part| matches!(part.as_rule(), Rule::operation | Rule::if_))
            .map(|part| self.value(part, Reading::Value(None)));
        match (values.next(), values.next(), values.next()) {
            (Some(condition), Some(then), Some(otherwise)) => {
                let kind = ExprKind::If {
                    condition: Box::new(condition),
                    then: Box::new(then),
                    otherwise: Box::new(otherwise),
                };
                Expr { kind, span }
            }
            _ => Expr { kind: ExprKind::Error, span },
        }
    }

    fn operation(&self, pair: Pair<'_>) -> Expr {
        self.habits_in(&pair);
        PRECEDENCE
            .map_primary(|operand| self.operand(operand))
            .map_prefix(|operator, of| {
                let span = self.span(&operator).to(of.span);
                let of = Box::new(of);
                let kind = if operator.as_rule() == Rule::negate { ExprKind::Negate(of) } else { ExprKind::Not(of) };
                Expr { kind, span }
            })
            .map_infix(|left, operator, right| {
                let span = left.span.to(right.span);
                if operator.as_rule() == Rule::subtract && self.is_hyphen(&left, &right) {
                    return Expr { kind: ExprKind::Error, span };
                }
                Expr { kind: infix(operator.as_rule(), Box::new(left), Box::new(right)), span }
            })
            .parse(pair.into_inner())
    }

    /// Is a `-` meant as a part of an operation's name, as in `resnet-18()`? Then this is told.
    fn is_hyphen(&self, left: &Expr, right: &Expr) -> bool {
        let last = match &right.kind {
            ExprKind::Call { callee, .. } => callee.span,
            _ => right.span,
        };
        let mut first = left; // the last operand: `0.5 * cross-entropy()` is a product before the `-`
        while let ExprKind::Binary { operator, right, .. } = &first.kind
            && !matches!(operator, BinaryOperator::Subtract)
        {
            first = right;
        }
        let name = first.span.to(last);
        let written = self.slice(name);
        let Some(meant) = crate::catalog::without_hyphens(written) else { return false };
        self.tell(|problems| problems.hyphen_in_an_operation(name, written, meant));
        true
    }

    /// Operators that other languages write otherwise, and comparisons in a row.
    fn habits_in(&self, pair: &Pair<'_>) {
        let mut compared = None;
        for part in pair.clone().into_inner() {
            let habit = match (part.as_rule(), part.as_str().trim_end()) {
                (Rule::and_, "&&") => Some("and"),
                (Rule::or_, "||") => Some("or"),
                (Rule::not_, "!") => Some("not"),
                _ => None,
            };
            if let Some(word) = habit {
                let span = self.span(&part);
                self.tell(|problems| problems.operator_of_another_language(span, self.slice(span), word));
            }
            match part.as_rule() {
                Rule::and_ | Rule::or_ | Rule::not_ => compared = None,
                Rule::equal
                | Rule::not_equal
                | Rule::less
                | Rule::less_equal
                | Rule::greater
                | Rule::greater_equal
                | Rule::in_
                | Rule::not_in => {
                    let span = self.span(&part);
                    if let Some(first) = compared.replace(span) {
                        self.tell(|problems| problems.comparisons_in_a_row(first, span));
                    }
                }
                _ => {}
            }
        }
    }

    fn operand(&self, pair: Pair<'_>) -> Expr {
        let start = self.span(&pair);
        let mut parts = pair.into_inner();
        let Some(first) = parts.next() else { return Expr { kind: ExprKind::Error, span: start } };
        let mut value = self.primary(first);
        for part in parts {
            let span = value.span.to(self.span(&part));
            let kind = if part.as_rule() == Rule::call {
                let arguments = self.arguments(part);
                ExprKind::Call { callee: Box::new(value), arguments }
            } else if let Some(name) = inner(part, Rule::ident) {
                ExprKind::Member { of: Box::new(value), name: self.name(&name) }
            } else {
                ExprKind::Error
            };
            value = Expr { kind, span };
        }
        value
    }

    fn primary(&self, pair: Pair<'_>) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::list => ExprKind::List(self.elements(pair, Reading::Element)),
            Rule::record => ExprKind::Record(self.fields(pair)),
            Rule::group => {
                let inside = pair
                    .into_inner()
                    .find(|part| !matches!(part.as_rule(), Rule::lparen | Rule::rparen))
                    .map(|part| self.value(part, Reading::Group));
                inside.map_or(ExprKind::Error, |value| value.kind)
            }
            Rule::quantity => self.quantity(pair, span),
            Rule::text => ExprKind::Text(self.text(pair)),
            Rule::column => self.column(span),
            Rule::boolean => ExprKind::Bool(pair.as_str().starts_with("true")),
            Rule::ident => self.word(pair.as_str().trim_end(), span),
            _ => ExprKind::Error,
        };
        Expr { kind, span }
    }

    fn word(&self, word: &str, span: Span) -> ExprKind {
        let right = match word {
            "True" | "TRUE" => "true",
            "False" | "FALSE" => "false",
            "None" | "null" | "NULL" | "nil" => "none",
            _ => return ExprKind::Name(word.to_owned()),
        };
        self.tell(|problems| problems.word_of_another_language(span, word, right));
        match right {
            "none" => ExprKind::Error,
            _ => ExprKind::Bool(right == "true"),
        }
    }

    fn column(&self, span: Span) -> ExprKind {
        let written = self.slice(span);
        let name = written.trim_matches('`');
        if name.trim().is_empty() {
            // One backquote by itself was never closed, which has been told.
            if written.trim_end() != "`" {
                self.tell(|problems| problems.column_without_a_name(span));
            }
            return ExprKind::Error;
        }
        ExprKind::Column(name.to_owned())
    }

    fn quantity(&self, pair: Pair<'_>, span: Span) -> ExprKind {
        let (mut digits, mut unit) = (String::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::number => digits = part.as_str().replace('_', ""),
                Rule::unit => unit = read_unit(part.as_str()),
                _ => {}
            }
        }
        let integer = !digits.contains(['.', 'e', 'E']);
        let value = digits.parse::<f64>().unwrap_or(f64::INFINITY);
        if !value.is_finite() || (integer && value > MOST_WHOLE) {
            self.tell(|problems| problems.number_too_large(span, integer));
            return ExprKind::Error;
        }
        ExprKind::Number(Number { value, integer, unit })
    }

    /// A text with its escapes replaced.
    pub(super) fn text(&self, pair: Pair<'_>) -> Text {
        let span = self.span(&pair);
        let certain = !self.mended.is_guess(pair.as_span().start(), pair.as_span().end());
        let mut parts: Vec<TextPart> = Vec::new();
        for part in pair.into_inner() {
            let place = self.span(&part);
            match part.as_rule() {
                Rule::chunk => {
                    for (at, _) in part.as_str().match_indices('\t') {
                        let start = part.as_span().start() + at;
                        let tab = self.place(start, start + 1);
                        self.tell(|problems| problems.tab_in_text(tab));
                    }
                    append(&mut parts, part.as_str());
                }
                Rule::escape => {
                    let character = match part.as_str() {
                        "\\n" => "\n",
                        "\\t" => "\t",
                        "\\\"" => "\"",
                        "\\\\" => "\\",
                        "\\$" => "$",
                        other => {
                            if certain {
                                self.tell(|problems| problems.unknown_escape(place, other));
                            }
                            other
                        }
                    };
                    append(&mut parts, character);
                }
                Rule::hole => {
                    let value = part.into_inner().next().map(|value| self.value(value, Reading::Hole));
                    parts.push(TextPart::Hole(value.unwrap_or(Expr { kind: ExprKind::Error, span: place })));
                }
                _ => {}
            }
        }
        Text { parts, span }
    }

    fn elements(&self, pair: Pair<'_>, reading: Reading<'_>) -> Vec<Expr> {
        let mut values: Vec<Expr> = Vec::new();
        let mut parts = pair.into_inner();
        while let Some(part) = parts.next() {
            match part.as_rule() {
                Rule::lbracket | Rule::rbracket | Rule::comma => {}
                Rule::missing_comma => {
                    if self.missing_comma(&part, values.last_mut()) {
                        parts.next();
                    }
                }
                _ => values.push(self.value(part, reading)),
            }
        }
        values
    }

    fn arguments(&self, pair: Pair<'_>) -> Vec<Argument> {
        let mut arguments: Vec<Argument> = Vec::new();
        let mut parts = pair.into_inner();
        while let Some(part) = parts.next() {
            match part.as_rule() {
                Rule::lparen | Rule::rparen | Rule::comma => {}
                Rule::missing_comma => {
                    if self.missing_comma(&part, arguments.last_mut().map(|last| &mut last.value)) {
                        parts.next();
                    }
                }
                Rule::named => {
                    let span = self.span(&part);
                    let mut parts = part.into_inner();
                    let Some(name) = parts.next().map(|name| self.name(&name)) else { continue };
                    let value = self.bound(&name.text, name.span, parts, span);
                    arguments.push(Argument { name: Some(name), value });
                }
                _ => arguments.push(Argument { name: None, value: self.value(part, Reading::Argument) }),
            }
        }
        arguments
    }

    /// Reports a comma that is missing; a unit that stands by itself is given to its number instead, and `true`
    /// says that it is used up.
    fn missing_comma(&self, part: &Pair<'_>, before: Option<&mut Expr>) -> bool {
        let at = part.as_span().start();
        let Some(before) = before else { return false };
        if self.is_silent() || self.mended.is_guess(at, at) {
            return false;
        }
        let next = self.token_at(at);
        let place = before.span;
        if let ExprKind::Number(number @ Number { unit: None, .. }) = &mut before.kind
            && let Some(unit) = read_unit(self.slice(next))
        {
            number.unit = Some(unit);
            before.span = place.to(next);
            self.tell(|problems| problems.blank_before_unit(place, next, self.slice(place), self.slice(next)));
            return true;
        }
        self.tell(|problems| problems.missing_comma(place, next, self.slice(next)));
        false
    }

    fn fields(&self, pair: Pair<'_>) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        let mut last: Option<Span> = None; // the field that no comma has ended yet
        for part in pair.into_inner() {
            let span = self.span(&part);
            match part.as_rule() {
                // a comma ends the field before it, or there is none
                Rule::comma if last.take().is_none() => {
                    self.tell(|problems| problems.nothing_before_comma(span));
                }
                Rule::semicolon => {
                    last = None;
                    self.semicolon(span);
                }
                Rule::field => {
                    if let Some(before) = last.replace(span) {
                        let between = Span { start: before.end, end: span.start, ..span };
                        if !self.slice(between).contains(['\n', '\r']) {
                            let next = self.token_at(part.as_span().start());
                            self.tell(|problems| problems.missing_comma(before, next, self.slice(next)));
                        }
                    }
                    let mut parts = part.into_inner();
                    let Some(name) = parts.next().map(|name| self.field_name(name)) else { continue };
                    let value = self.bound(&name.text, name.span, parts, span);
                    fields.push(Field { name, value });
                }
                Rule::bad_field => {
                    last = Some(span);
                    self.not_read(&part, Reading::Field);
                }
                _ => {}
            }
        }
        fields
    }
}

fn append(parts: &mut Vec<TextPart>, text: &str) {
    if let Some(TextPart::Plain(plain)) = parts.last_mut() {
        plain.push_str(text);
    } else {
        parts.push(TextPart::Plain(text.to_owned()));
    }
}

/// The unit a word stands for.
pub(super) fn read_unit(word: &str) -> Option<Unit> {
    Some(match word {
        "%" => Unit::Percent,
        "epoch" | "epochs" => Unit::Epochs,
        "step" | "steps" => Unit::Steps,
        "px" => Unit::Pixels,
        "deg" => Unit::Degrees,
        "GiB" => Unit::GiB,
        "MiB" => Unit::MiB,
        "ms" => Unit::Milliseconds,
        "s" => Unit::Seconds,
        "min" => Unit::Minutes,
        "h" => Unit::Hours,
        "d" => Unit::Days,
        _ => return None,
    })
}

fn infix(rule: Rule, left: Box<Expr>, right: Box<Expr>) -> ExprKind {
    let operator = match rule {
        Rule::in_ => return ExprKind::In { item: left, set: right, negated: false },
        Rule::not_in => return ExprKind::In { item: left, set: right, negated: true },
        Rule::up_to => return ExprKind::Range { start: left, end: right, inclusive: false },
        Rule::up_to_inclusive => return ExprKind::Range { start: left, end: right, inclusive: true },
        Rule::or_ => BinaryOperator::Or,
        Rule::and_ => BinaryOperator::And,
        Rule::equal => BinaryOperator::Equal,
        Rule::not_equal => BinaryOperator::NotEqual,
        Rule::less => BinaryOperator::Less,
        Rule::less_equal => BinaryOperator::LessEqual,
        Rule::greater => BinaryOperator::Greater,
        Rule::greater_equal => BinaryOperator::GreaterEqual,
        Rule::add => BinaryOperator::Add,
        Rule::subtract => BinaryOperator::Subtract,
        Rule::multiply => BinaryOperator::Multiply,
        Rule::divide => BinaryOperator::Divide,
        _ => return ExprKind::Error,
    };
    ExprKind::Binary { operator, left, right }
}
