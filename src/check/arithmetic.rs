//! Operators: what they make of two values, and what of two units.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]
#![expect(clippy::float_cmp, reason = "numbers are compared as they were written")]

use super::eval::Evaluator;
use super::value::{Call, Spanned, Term, Value, alike};
use crate::source::Span;
use crate::study::{Comparison, Predicate, Scalar};
use crate::syntax::ast::{BinaryOperator, Name, Number, Unit};

impl Evaluator<'_> {
    pub(super) fn binary(&mut self, operator: BinaryOperator, left: Spanned, right: Spanned, span: Span) -> Value {
        if left.value == Value::Poison || right.value == Value::Poison {
            return Value::Poison;
        }
        match operator {
            BinaryOperator::Add => self.add(&left, &right, 1.0),
            BinaryOperator::Subtract => self.add(&left, &right, -1.0),
            BinaryOperator::Multiply => self.multiply(&left, right, span),
            BinaryOperator::Divide => self.divide(left, &right),
            BinaryOperator::And | BinaryOperator::Or => self.logic(operator == BinaryOperator::And, left, right),
            BinaryOperator::Equal => self.compare(Comparison::Equal, &left, &right),
            BinaryOperator::NotEqual => self.compare(Comparison::NotEqual, &left, &right),
            BinaryOperator::Less => self.compare(Comparison::Less, &left, &right),
            BinaryOperator::LessEqual => self.compare(Comparison::LessEqual, &left, &right),
            BinaryOperator::Greater => self.compare(Comparison::Greater, &left, &right),
            BinaryOperator::GreaterEqual => self.compare(Comparison::GreaterEqual, &left, &right),
        }
    }

    fn add(&mut self, left: &Spanned, right: &Spanned, sign: f64) -> Value {
        let operator = if sign > 0.0 { "+" } else { "-" };
        match (&left.value, &right.value) {
            (Value::Number(a), Value::Number(b)) => {
                let Some(b_value) = converted(*b, a.unit) else { return self.units_differ(operator, left, right) };
                let integer = a.integer && b.integer && a.unit == b.unit;
                return self.number(Number { value: a.value + sign * b_value, integer, unit: a.unit }, left.span);
            }
            (Value::List(a), Value::List(b)) if sign > 0.0 => return Value::List([a.as_slice(), b].concat()),
            _ => {}
        }
        let wants = if sign > 0.0 { "two numbers, two losses or two lists" } else { "two numbers or two losses" };
        match (terms(left.value.clone(), left.span), terms(right.value.clone(), right.span)) {
            (Some(mut a), Some(b)) => {
                a.extend(b.into_iter().map(|term| Term { weight: sign * term.weight, ..term }));
                Value::Sum(a)
            }
            (None, Some(_)) => self.mismatch(operator, wants, left),
            (Some(_), None) => self.mismatch(operator, wants, right),
            (None, None) => {
                let lists = matches!(left.value, Value::List(_)) && sign > 0.0;
                let wrong = if lists || matches!(left.value, Value::Number(_)) { right } else { left };
                self.mismatch(operator, wants, wrong)
            }
        }
    }

    /// A number that came of arithmetic; one beyond all bounds is told here, since nothing after would.
    fn number(&mut self, number: Number, span: Span) -> Value {
        if number.value.is_finite() {
            return Value::Number(number);
        }
        self.problems.number_unbounded(span);
        Value::Poison
    }

    pub(super) fn multiply(&mut self, left: &Spanned, right: Spanned, span: Span) -> Value {
        match (&left.value, &right.value) {
            (Value::Poison, _) | (_, Value::Poison) => return Value::Poison,
            (Value::Number(a), Value::Number(b)) => {
                // A share of something is something; anything else with a unit is counted, not multiplied.
                let (value, unit) = match (a.unit, b.unit) {
                    (unit, None) | (None, unit) => (a.value * b.value, unit),
                    (Some(Unit::Percent), unit) | (unit, Some(Unit::Percent)) => (a.value * b.value / 100.0, unit),
                    (Some(_), Some(_)) => return self.units_differ("*", left, &right),
                };
                let share = a.unit.and(b.unit).is_some();
                let integer = a.integer && b.integer && (!share || value.fract() == 0.0);
                return self.number(Number { value, integer, unit }, span);
            }
            _ => {}
        }
        let (number, other) = match (&left.value, &right.value) {
            (Value::Number(number), _) => (*number, right),
            (_, Value::Number(number)) => (*number, left.clone()),
            _ => {
                let wrong = if matches!(left.value, Value::Text(_) | Value::List(_)) { left } else { &right };
                return self.mismatch("*", "a number on one side", &Spanned::new(wrong.value.clone(), span));
            }
        };
        let Some(factor) = converted(number, None) else {
            return self.mismatch("*", "a plain number", &Spanned::new(Value::Number(number), span));
        };
        match terms(other.value.clone(), other.span) {
            Some(terms) => {
                Value::Sum(terms.into_iter().map(|term| Term { weight: factor * term.weight, ..term }).collect())
            }
            None => self.mismatch("*", "numbers or losses", &other),
        }
    }

    fn divide(&mut self, left: Spanned, right: &Spanned) -> Value {
        let Value::Number(by) = right.value else { return self.mismatch("/", "a number", right) };
        if by.value == 0.0 {
            self.problems.division_by_zero(right.span);
            return Value::Poison;
        }
        let span = left.span;
        if let Value::Number(number) = left.value {
            let integer = |value: f64| number.integer && by.integer && value.fract() == 0.0;
            let (value, unit) = if by.unit.is_none() {
                (number.value / by.value, number.unit)
            } else if let Some(other) = converted(by, number.unit) {
                // Two of one kind: how often the one holds the other.
                (number.value / other, None)
            } else if by.unit == Some(Unit::Percent) {
                (number.value / (by.value / 100.0), number.unit)
            } else {
                return self.units_differ("/", &left, right);
            };
            return self.number(Number { value, integer: integer(value), unit }, span);
        }
        if by.unit.is_some() {
            return self.mismatch("/", "a plain number", right);
        }
        let inverse = Spanned::new(Value::Number(plain(1.0 / by.value)), right.span);
        self.multiply(&inverse, left, span)
    }

    fn logic(&mut self, both: bool, left: Spanned, right: Spanned) -> Value {
        let word = if both { "and" } else { "or" };
        match (left.value, right.value) {
            (Value::Bool(a), Value::Bool(b)) => Value::Bool(if both { a && b } else { a || b }),
            (Value::Condition(a), Value::Condition(b)) => {
                let (a, b) = (Box::new(a), Box::new(b));
                Value::Condition(if both { Predicate::And(a, b) } else { Predicate::Or(a, b) })
            }
            (Value::Bool(flag), Value::Condition(condition)) | (Value::Condition(condition), Value::Bool(flag)) => {
                if flag == both {
                    Value::Condition(condition)
                } else {
                    Value::Bool(flag)
                }
            }
            (Value::Bool(_) | Value::Condition(_), other) => {
                self.mismatch(word, "conditions", &Spanned::new(other, right.span))
            }
            (other, _) => self.mismatch(word, "conditions", &Spanned::new(other, left.span)),
        }
    }

    fn compare(&mut self, comparison: Comparison, left: &Spanned, right: &Spanned) -> Value {
        let turned = match comparison {
            Comparison::Equal => Comparison::Equal,
            Comparison::NotEqual => Comparison::NotEqual,
            Comparison::Less => Comparison::Greater,
            Comparison::LessEqual => Comparison::GreaterEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterEqual => Comparison::LessEqual,
        };
        match (&left.value, &right.value) {
            (Value::Column(column), _) => self.compare_column(column, comparison, right),
            (_, Value::Column(column)) => self.compare_column(column, turned, left),
            (Value::Number(a), Value::Number(b)) => {
                let Some(b) = converted(*b, a.unit) else { return self.units_differ("a comparison", left, right) };
                let a = a.value;
                Value::Bool(match comparison {
                    Comparison::Equal => a == b,
                    Comparison::NotEqual => a != b,
                    Comparison::Less => a < b,
                    Comparison::LessEqual => a <= b,
                    Comparison::Greater => a > b,
                    Comparison::GreaterEqual => a >= b,
                })
            }
            (a, b) => match comparison {
                Comparison::Equal => Value::Bool(alike(a, b)),
                Comparison::NotEqual => Value::Bool(!alike(a, b)),
                Comparison::Less | Comparison::LessEqual | Comparison::Greater | Comparison::GreaterEqual => {
                    let wrong = if matches!(a, Value::Number(_)) { right } else { left };
                    self.mismatch("an order", "numbers or a column", wrong)
                }
            },
        }
    }

    fn compare_column(&mut self, column: &str, comparison: Comparison, value: &Spanned) -> Value {
        match self.scalar(value) {
            Some(value) => Value::Condition(Predicate::Compare { column: column.to_owned(), comparison, value }),
            None => Value::Poison,
        }
    }

    fn scalar(&mut self, value: &Spanned) -> Option<Scalar> {
        match &value.value {
            Value::Number(number) if number.unit.is_none() => Some(Scalar::Number(number.value)),
            Value::Text(words) => Some(Scalar::Text(words.text.clone())),
            Value::Bool(flag) => Some(Scalar::Text(flag.to_string())),
            _ => {
                self.mismatch("a column's condition", "a number or a text in quotes", value);
                None
            }
        }
    }

    pub(super) fn within(&mut self, item: &Spanned, set: &Spanned, negated: bool) -> Value {
        if item.value == Value::Poison || set.value == Value::Poison {
            return Value::Poison;
        }
        if let Value::Column(column) = &item.value {
            let predicate = match &set.value {
                Value::List(items) => {
                    let values: Option<Vec<Scalar>> = items.iter().map(|item| self.scalar(item)).collect();
                    let Some(values) = values else { return Value::Poison };
                    Predicate::OneOf { column: column.clone(), values }
                }
                Value::Range { start, end, inclusive } => Predicate::Within {
                    column: column.clone(),
                    start: start.value,
                    end: end.value,
                    inclusive: *inclusive,
                },
                _ => return self.mismatch("in", "a list or a range", set),
            };
            return Value::Condition(if negated { Predicate::Not(Box::new(predicate)) } else { predicate });
        }
        let found = match &set.value {
            Value::List(items) => items.iter().any(|other| alike(&item.value, &other.value)),
            Value::Range { start, end, inclusive } => {
                let Value::Number(number) = item.value else { return self.mismatch("in", "a number", item) };
                let Some(value) = converted(number, start.unit) else { return self.units_differ("in", item, set) };
                let below = if *inclusive { value <= end.value } else { value < end.value };
                start.value <= value && below
            }
            _ => return self.mismatch("in", "a list or a range", set),
        };
        Value::Bool(found != negated)
    }
}

pub(super) fn plain(value: f64) -> Number {
    Number { value, integer: value.fract() == 0.0, unit: None }
}

/// What a unit measures, and how large it is; numbers without a unit measure nothing else.
fn measures(unit: Option<Unit>) -> (&'static str, f64) {
    match unit {
        None => ("nothing", 100.0),
        Some(Unit::Percent) => ("nothing", 1.0),
        Some(Unit::Epochs) => ("epochs", 1.0),
        Some(Unit::Steps) => ("steps", 1.0),
        Some(Unit::Pixels) => ("pixels", 1.0),
        Some(Unit::Degrees) => ("an angle", 1.0),
        Some(Unit::MiB) => ("memory", 1.0),
        Some(Unit::GiB) => ("memory", 1024.0),
        Some(Unit::Milliseconds) => ("time", 1.0),
        Some(Unit::Seconds) => ("time", 1e3),
        Some(Unit::Minutes) => ("time", 60e3),
        Some(Unit::Hours) => ("time", 3600e3),
        Some(Unit::Days) => ("time", 86_400e3),
    }
}

/// The number in another unit; `None` if they do not measure the same.
fn converted(number: Number, unit: Option<Unit>) -> Option<f64> {
    let ((from, size), (to, wanted)) = (measures(number.unit), measures(unit));
    if number.unit == unit {
        return Some(number.value);
    }
    (from == to).then(|| number.value * size / wanted)
}

/// A value as terms of a sum: a call is one term of weight 1, a bare word a call without arguments.
pub(super) fn terms(value: Value, span: Span) -> Option<Vec<Term>> {
    match value {
        Value::Sum(terms) => Some(terms),
        Value::Call(call) => Some(vec![Term { weight: 1.0, call }]),
        Value::Word(text) => {
            let call = Call { name: Name { text, span }, arguments: Vec::new(), span };
            Some(vec![Term { weight: 1.0, call }])
        }
        Value::Number(_)
        | Value::Text(_)
        | Value::Column(_)
        | Value::Bool(_)
        | Value::List(_)
        | Value::Record(_)
        | Value::Range { .. }
        | Value::Condition(_)
        | Value::Absent
        | Value::Poison => None,
    }
}
