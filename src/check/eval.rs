//! Expressions become values: names resolved, arithmetic done, texts filled in. Always ends.
//!
//! `let`s are evaluated when first used and remembered; a budget over all nodes made keeps doubling tricks
//! (`let b = [a, a]`, ...) from growing without bound, and a limit on nesting keeps the stack shallow.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]
#![expect(clippy::float_cmp, reason = "numbers are compared as they were written")]

use std::collections::{BTreeMap, BTreeSet};

use super::value::{Call, Spanned, Term, Value, kind, measure, print_number};
use crate::diag::{Code, Problems};
use crate::source::Span;
use crate::study::{Comparison, Predicate, Scalar};
use crate::syntax::ast::{Argument, BinaryOperator, Expr, ExprKind, Name, Number, Text, TextPart, Unit};

/// A scope of names: the file, the study, or a block.
pub(super) type ScopeId = usize;

const LARGEST_WORK: usize = 2_000_000;
const DEEPEST_LET: usize = 32;
const DEEPEST_VALUE: usize = 96;

#[derive(Debug)]
struct Scope {
    outer: Option<ScopeId>,
    names: BTreeMap<String, usize>,
}

#[derive(Debug)]
enum State<'a> {
    Waiting(&'a Expr, ScopeId),
    Working,
    Done(Spanned),
}

#[derive(Debug)]
struct Binding<'a> {
    name: Name,
    /// `let` or `param`.
    word: &'static str,
    used: bool,
    state: State<'a>,
}

/// Evaluates expressions of one file.
#[derive(Debug)]
pub(super) struct Evaluator<'a> {
    bindings: Vec<Binding<'a>>,
    scopes: Vec<Scope>,
    /// Names that `use` would bring; reported there, silent here.
    imported: BTreeSet<String>,
    all_used: bool,
    work: usize,
    depth: usize,
    /// What was found wrong.
    pub(super) problems: Problems,
}

impl<'a> Evaluator<'a> {
    /// With an empty scope, the file's, which is number 0.
    pub(super) fn new() -> Self {
        Self {
            bindings: Vec::new(),
            scopes: vec![Scope { outer: None, names: BTreeMap::new() }],
            imported: BTreeSet::new(),
            all_used: false,
            work: 0,
            depth: 0,
            problems: Problems::new(),
        }
    }

    /// A new scope within `outer`.
    pub(super) fn scope(&mut self, outer: ScopeId) -> ScopeId {
        self.scopes.push(Scope { outer: Some(outer), names: BTreeMap::new() });
        self.scopes.len() - 1
    }

    /// Notes a name that `use` would bring.
    pub(super) fn import(&mut self, name: &Name) {
        self.imported.insert(name.text.clone());
    }

    /// Adds `let name = value` to a scope.
    pub(super) fn bind_let(&mut self, name: &Name, value: &'a Expr, scope: ScopeId) {
        self.bind(Binding { name: name.clone(), word: "let", used: false, state: State::Waiting(value, scope) }, scope);
    }

    /// Adds a `param` with its value to the file's scope.
    pub(super) fn bind_param(&mut self, name: &Name, value: Spanned) {
        self.bind(Binding { name: name.clone(), word: "param", used: false, state: State::Done(value) }, 0);
    }

    fn bind(&mut self, binding: Binding<'a>, scope: ScopeId) {
        let Some(names) = self.scopes.get(scope).map(|scope| &scope.names) else { return };
        if let Some(first) = names.get(&binding.name.text).and_then(|at| self.bindings.get(*at)) {
            self.problems.name_twice(&binding.name.text, first.name.span, binding.name.span);
            return;
        }
        let at = self.bindings.len();
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.names.insert(binding.name.text.clone(), at);
        }
        self.bindings.push(binding);
    }

    /// Warns of every `let` and `param` that nothing used.
    pub(super) fn warn_unused(&mut self) {
        // A misspelt name is told by itself; that what it meant is unused only follows.
        if self.problems.has(Code::E0102) {
            return;
        }
        for binding in &self.bindings {
            if !self.all_used && !binding.used && !binding.name.text.starts_with('_') {
                self.problems.unused(binding.word, &binding.name.text, binding.name.span);
            }
        }
    }

    /// A `param`'s own `where` is no use of it.
    pub(super) fn forget_use(&mut self, name: &str) {
        if let Some(binding) = self.find(name, 0).and_then(|at| self.bindings.get_mut(at)) {
            binding.used = false;
        }
    }

    /// Warns of no unused name: something was left out because of another problem, and may have used any.
    pub(super) fn mark_all_used(&mut self) {
        self.all_used = true;
    }

    /// The names one may write in a scope.
    pub(super) fn names(&self, scope: ScopeId) -> Vec<String> {
        let mut names = BTreeSet::new();
        let mut scope = self.scopes.get(scope);
        while let Some(here) = scope {
            names.extend(here.names.keys().cloned());
            scope = here.outer.and_then(|outer| self.scopes.get(outer));
        }
        names.into_iter().collect()
    }

    fn find(&self, name: &str, scope: ScopeId) -> Option<usize> {
        let mut scope = self.scopes.get(scope);
        while let Some(here) = scope {
            if let Some(at) = here.names.get(name) {
                return Some(*at);
            }
            scope = here.outer.and_then(|outer| self.scopes.get(outer));
        }
        None
    }

    /// The value of an expression in a scope.
    pub(super) fn value(&mut self, expr: &'a Expr, scope: ScopeId) -> Spanned {
        let value = self.evaluate(expr, scope);
        let (size, depth) = measure(&value);
        self.work = self.work.saturating_add(size);
        if self.work > LARGEST_WORK || depth > DEEPEST_VALUE {
            if self.work < usize::MAX {
                self.problems.value_too_large(expr.span);
                self.work = usize::MAX;
            }
            return Spanned::new(Value::Poison, expr.span);
        }
        Spanned::new(value, expr.span)
    }

    fn evaluate(&mut self, expr: &'a Expr, scope: ScopeId) -> Value {
        if self.work == usize::MAX {
            return Value::Poison;
        }
        match &expr.kind {
            ExprKind::Number(number) => Value::Number(*number),
            ExprKind::Text(text) => self.text(text, scope),
            ExprKind::Column(column) => Value::Column(column.clone()),
            ExprKind::Bool(flag) => Value::Bool(*flag),
            ExprKind::Name(name) => self.name(name, expr.span, scope),
            ExprKind::List(items) => Value::List(items.iter().map(|item| self.value(item, scope)).collect()),
            ExprKind::Record(fields) => {
                Value::Record(fields.iter().map(|f| (f.name.clone(), self.value(&f.value, scope))).collect())
            }
            ExprKind::Call { callee, arguments } => self.call(callee, arguments, expr.span, scope),
            ExprKind::Member { .. } => self.member(expr),
            ExprKind::Negate(inner) => {
                let inner = self.value(inner, scope);
                self.multiply(&Spanned::new(Value::Number(plain(-1.0)), expr.span), inner, expr.span)
            }
            ExprKind::Not(inner) => match self.value(inner, scope).value {
                Value::Bool(flag) => Value::Bool(!flag),
                Value::Condition(predicate) => Value::Condition(Predicate::Not(Box::new(predicate))),
                other => self.mismatch("not", "a condition", &Spanned::new(other, inner.span)),
            },
            ExprKind::Binary { operator, left, right } => {
                let left = self.value(left, scope);
                let right = self.value(right, scope);
                self.binary(*operator, left, right, expr.span)
            }
            ExprKind::In { item, set, negated } => {
                let item = self.value(item, scope);
                let set = self.value(set, scope);
                self.within(&item, &set, *negated)
            }
            ExprKind::Range { start, end, inclusive } => {
                let start = self.value(start, scope);
                let end = self.value(end, scope);
                match (&start.value, &end.value) {
                    (Value::Poison, _) | (_, Value::Poison) => Value::Poison,
                    (Value::Number(a), Value::Number(b)) if a.unit == b.unit => {
                        Value::Range { start: *a, end: *b, inclusive: *inclusive }
                    }
                    (Value::Number(_), Value::Number(_)) => self.units_differ("..", &start, &end),
                    (Value::Number(_), _) => self.mismatch("..", "numbers", &end),
                    (_, _) => self.mismatch("..", "numbers", &start),
                }
            }
            ExprKind::If { condition, then, otherwise } => self.choose(condition, then, otherwise, scope),
            ExprKind::Error => Value::Poison,
        }
    }

    fn mismatch(&mut self, operator: &str, wants: &str, got: &Spanned) -> Value {
        if got.value != Value::Poison {
            self.problems.operand(operator, wants, kind(&got.value), got.span);
        }
        Value::Poison
    }

    fn units_differ(&mut self, operator: &str, left: &Spanned, right: &Spanned) -> Value {
        self.problems.units_differ(operator, (kind(&left.value), left.span), (kind(&right.value), right.span));
        Value::Poison
    }

    fn choose(&mut self, condition: &'a Expr, then: &'a Expr, otherwise: &'a Expr, scope: ScopeId) -> Value {
        let condition = self.value(condition, scope);
        let (taken, other) = match condition.value {
            Value::Bool(true) => (then, otherwise),
            Value::Bool(false) => (otherwise, then),
            _ => return self.mismatch("if", "true or false", &condition),
        };
        // The branch not taken counts as a use of its names; what would be wrong in it is not wrong now.
        let kept = self.problems.clone();
        self.value(other, scope);
        self.problems = kept;
        self.value(taken, scope).value
    }

    fn name(&mut self, name: &str, span: Span, scope: ScopeId) -> Value {
        let Some(at) = self.find(name, scope) else {
            return if self.imported.contains(name) { Value::Poison } else { Value::Word(name.to_owned()) };
        };
        let Some(binding) = self.bindings.get_mut(at) else { return Value::Poison };
        binding.used = true;
        match std::mem::replace(&mut binding.state, State::Working) {
            State::Done(done) => {
                let value = done.value.clone();
                binding.state = State::Done(done);
                value
            }
            State::Working => {
                let defined = binding.name.span;
                self.problems.defined_by_itself(name, defined, span);
                Value::Poison
            }
            State::Waiting(expr, scope) => {
                let value = if self.depth < DEEPEST_LET {
                    self.depth += 1;
                    let value = self.value(expr, scope);
                    self.depth -= 1;
                    value
                } else {
                    self.problems.value_too_large(span);
                    Spanned::new(Value::Poison, span)
                };
                let result = value.value.clone();
                if let Some(binding) = self.bindings.get_mut(at) {
                    binding.state = State::Done(value);
                }
                result
            }
        }
    }

    fn member(&mut self, expr: &Expr) -> Value {
        let (head, dotted) = dotted(expr);
        if matches!(head.as_str(), "env" | "os" | "environ") {
            self.problems.environment(&dotted, expr.span);
        } else if !self.imported.contains(&head) && !head.is_empty() {
            self.problems.no_such_member(&dotted, expr.span);
        }
        Value::Poison
    }

    fn call(&mut self, callee: &'a Expr, arguments: &'a [Argument], span: Span, scope: ScopeId) -> Value {
        let mut given = Vec::with_capacity(arguments.len());
        for argument in arguments {
            given.push((argument.name.clone(), self.value(&argument.value, scope)));
        }
        let ExprKind::Name(name) = &callee.kind else {
            return match &callee.kind {
                ExprKind::Member { .. } => self.member(callee),
                ExprKind::Error => Value::Poison,
                _ => {
                    self.problems.not_callable(callee.span);
                    Value::Poison
                }
            };
        };
        if matches!(name.as_str(), "env" | "getenv" | "environ") {
            self.problems.environment(name, span);
            return Value::Poison;
        }
        if self.imported.contains(name) {
            return Value::Poison;
        }
        Value::Call(Call { name: Name { text: name.clone(), span: callee.span }, arguments: given, span })
    }

    fn text(&mut self, text: &'a Text, scope: ScopeId) -> Value {
        let mut out = String::new();
        let mut poisoned = false;
        for part in &text.parts {
            match part {
                TextPart::Plain(plain) => {
                    if let Some(variable) = environment_variable(plain) {
                        self.problems.environment(&format!("${variable}"), text.span);
                        poisoned = true;
                    }
                    out.push_str(plain);
                }
                TextPart::Hole(hole) => match self.value(hole, scope).value {
                    Value::Text(inner) => out.push_str(&inner),
                    Value::Number(number) => out.push_str(&print_number(number)),
                    Value::Bool(flag) => out.push_str(if flag { "true" } else { "false" }),
                    Value::Word(word) if looks_like_variable(&word) => {
                        self.problems.environment(&format!("${{{word}}}"), hole.span);
                        poisoned = true;
                    }
                    Value::Word(word) => {
                        let names = self.names(scope);
                        self.problems.unknown_name(&word, hole.span, &names);
                        poisoned = true;
                    }
                    Value::Poison => poisoned = true,
                    other => {
                        self.problems.operand("${ }", "a text or a number", kind(&other), hole.span);
                        poisoned = true;
                    }
                },
            }
        }
        if poisoned { Value::Poison } else { Value::Text(out) }
    }

    fn binary(&mut self, operator: BinaryOperator, left: Spanned, right: Spanned, span: Span) -> Value {
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
        if let (Value::Number(a), Value::Number(b)) = (&left.value, &right.value) {
            let (Some(a_size), Some(b_size)) = (size(*a), size(*b)) else { return Value::Poison };
            if a.unit == b.unit {
                let sum = a.value + sign * b.value;
                return Value::Number(Number { value: sum, integer: a.integer && b.integer, unit: a.unit });
            }
            if is_time(a.unit) && is_time(b.unit) {
                let sum = a_size + sign * b_size;
                return Value::Number(Number { value: sum, integer: false, unit: Some(Unit::Seconds) });
            }
            return self.units_differ(operator, left, right);
        }
        match (terms(left.value.clone(), left.span), terms(right.value.clone(), right.span)) {
            (Some(mut a), Some(b)) => {
                a.extend(b.into_iter().map(|term| Term { weight: sign * term.weight, ..term }));
                Value::Sum(a)
            }
            (None, Some(_)) => self.mismatch(operator, "two numbers or two losses", left),
            (Some(_), None) => self.mismatch(operator, "two numbers or two losses", right),
            (None, None) => {
                let wrong = if matches!(left.value, Value::Number(_)) { right } else { left };
                self.mismatch(operator, "two numbers or two losses", wrong)
            }
        }
    }

    fn multiply(&mut self, left: &Spanned, right: Spanned, span: Span) -> Value {
        match (&left.value, &right.value) {
            (Value::Poison, _) | (_, Value::Poison) => return Value::Poison,
            (Value::Number(a), Value::Number(b)) => {
                let ((unit, None) | (None, unit)) = (a.unit, b.unit) else {
                    return self.units_differ("*", left, &right);
                };
                let value = a.value * b.value;
                return Value::Number(Number { value, integer: a.integer && b.integer, unit });
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
        let factor = match number.unit {
            None => number.value,
            Some(Unit::Percent) => number.value / 100.0,
            Some(_) => return self.mismatch("*", "a plain number", &Spanned::new(Value::Number(number), span)),
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
        if let Value::Number(number) = left.value {
            let value = number.value / by.value;
            let integer = number.integer && by.integer && value.fract() == 0.0;
            return match (number.unit, by.unit) {
                (unit, None) => Value::Number(Number { value, integer, unit }),
                (Some(a), Some(b)) if a == b => Value::Number(Number { value, integer, unit: None }),
                (_, Some(_)) => self.units_differ("/", &left, right),
            };
        }
        let inverse = Spanned::new(Value::Number(plain(1.0 / by.value)), right.span);
        if by.unit.is_some() {
            return self.mismatch("/", "a plain number", right);
        }
        let span = left.span;
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
                if a.unit != b.unit && !(is_time(a.unit) && is_time(b.unit)) {
                    return self.units_differ("a comparison", left, right);
                }
                let (a, b) = (size(*a).unwrap_or(f64::NAN), size(*b).unwrap_or(f64::NAN));
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
                Comparison::Equal => Value::Bool(same(a, b)),
                Comparison::NotEqual => Value::Bool(!same(a, b)),
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
            Value::Text(text) => Some(Scalar::Text(text.clone())),
            Value::Bool(flag) => Some(Scalar::Text(flag.to_string())),
            _ => {
                self.mismatch("a column's condition", "a number or a text in quotes", value);
                None
            }
        }
    }

    fn within(&mut self, item: &Spanned, set: &Spanned, negated: bool) -> Value {
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
            Value::List(items) => items.iter().any(|other| same(&item.value, &other.value)),
            Value::Range { start, end, inclusive } => {
                let Value::Number(number) = item.value else { return self.mismatch("in", "a number", item) };
                if number.unit != start.unit {
                    return self.units_differ("in", item, set);
                }
                let below = if *inclusive { number.value <= end.value } else { number.value < end.value };
                start.value <= number.value && below
            }
            _ => return self.mismatch("in", "a list or a range", set),
        };
        Value::Bool(found != negated)
    }
}

fn plain(value: f64) -> Number {
    Number { value, integer: value.fract() == 0.0, unit: None }
}

fn is_time(unit: Option<Unit>) -> bool {
    matches!(unit, Some(Unit::Milliseconds | Unit::Seconds | Unit::Minutes | Unit::Hours | Unit::Days))
}

/// The size of a number in its plain unit: seconds for times, as written otherwise; `None` if it is no number.
fn size(number: Number) -> Option<f64> {
    let factor = match number.unit {
        Some(Unit::Milliseconds) => 1e-3,
        Some(Unit::Minutes) => 60.0,
        Some(Unit::Hours) => 3600.0,
        Some(Unit::Days) => 86_400.0,
        None
        | Some(
            Unit::Percent
            | Unit::Epochs
            | Unit::Steps
            | Unit::Pixels
            | Unit::Degrees
            | Unit::GiB
            | Unit::MiB
            | Unit::Seconds,
        ) => 1.0,
    };
    number.value.is_finite().then_some(number.value * factor)
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

/// Equal in value, wherever they were written.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.value == b.value && a.unit == b.unit,
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(&a.value, &b.value))
        }
        (a, b) => a == b,
    }
}

/// The first name of `a.b.c`, and all of it.
fn dotted(expr: &Expr) -> (String, String) {
    let mut names = Vec::new();
    let mut here = expr;
    while let ExprKind::Member { of, name } = &here.kind {
        names.push(name.text.clone());
        here = of;
    }
    if let ExprKind::Name(name) = &here.kind {
        names.push(name.clone());
        names.reverse();
        return (name.clone(), names.join("."));
    }
    (String::new(), String::new())
}

fn looks_like_variable(word: &str) -> bool {
    word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// `HOME` of a text with `$HOME` in it.
fn environment_variable(text: &str) -> Option<&str> {
    text.match_indices('$').find_map(|(at, _)| {
        let rest = text.get(at + 1..)?;
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let word = rest.get(..end)?;
        looks_like_variable(word).then_some(word)
    })
}
