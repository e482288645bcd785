//! Expressions become values: names resolved, arithmetic done, texts filled in. Always ends.
//!
//! A budget over all nodes made keeps doubling tricks (`let b = [a, a]`, ...) from growing without bound, and a limit
//! on nesting keeps the stack shallow.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use super::arithmetic::plain;
use super::scopes::{Binding, Scope, ScopeId};
use super::value::{Call, Spanned, Value, Words, kind, measure, print_number};
use crate::diag::Problems;
use crate::source::{FileId, Span};
use crate::study::Predicate;
use crate::syntax::ast::{Argument, Expr, ExprKind, Name, Text, TextPart};

const LARGEST_WORK: usize = 2_000_000;
const DEEPEST_VALUE: usize = 96;

/// Evaluates the expressions of a study's files.
#[derive(Debug)]
pub(super) struct Evaluator<'a> {
    pub(super) bindings: Vec<Binding<'a>>,
    pub(super) scopes: Vec<Scope>,
    pub(super) all_used: bool,
    /// Files of which a part was not understood: what they lack is no news.
    doubtful: BTreeSet<ScopeId>,
    pub(super) depth: usize,
    work: usize,
    /// Every column that was met, and where.
    pub(super) columns: Vec<(String, Span)>,
    /// The way from the study's folder to that of each used file, where it is another.
    folders: Vec<(FileId, Rc<Path>)>,
    /// What was found wrong.
    pub(super) problems: Problems,
}

impl<'a> Evaluator<'a> {
    /// With no scope yet.
    pub(super) fn new() -> Self {
        Self {
            bindings: Vec::new(),
            scopes: Vec::new(),
            all_used: false,
            doubtful: BTreeSet::new(),
            depth: 0,
            work: 0,
            columns: Vec::new(),
            folders: Vec::new(),
            problems: Problems::new(),
        }
    }

    /// Notes in which folder relative paths of a file start.
    pub(super) fn note_folder(&mut self, file: FileId, folder: &Path) {
        if !folder.as_os_str().is_empty() {
            self.folders.push((file, Rc::from(folder)));
        }
    }

    /// Notes that a part of a file was not understood.
    pub(super) fn doubt(&mut self, file: ScopeId) {
        self.doubtful.insert(file);
    }

    /// Was a part of a file not understood?
    pub(super) fn is_doubtful(&self, file: ScopeId) -> bool {
        self.doubtful.contains(&file)
    }

    fn folder(&self, file: FileId) -> Option<Rc<Path>> {
        self.folders.iter().find(|(one, _)| *one == file).map(|(_, folder)| Rc::clone(folder))
    }

    /// Allows as much work again, for the next variant; too much once stays too much.
    pub(super) fn refresh(&mut self) {
        if self.work < usize::MAX {
            self.work = 0;
        }
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
            ExprKind::Column(column) => {
                self.columns.push((column.clone(), expr.span));
                Value::Column(column.clone())
            }
            ExprKind::Bool(flag) => Value::Bool(*flag),
            ExprKind::Name(name) => self.bound(name, expr.span, scope).unwrap_or_else(|| Value::Word(name.clone())),
            ExprKind::List(items) => Value::List(items.iter().map(|item| self.value(item, scope)).collect()),
            ExprKind::Record(fields) => {
                Value::Record(fields.iter().map(|f| (f.name.clone(), self.value(&f.value, scope))).collect())
            }
            ExprKind::Call { callee, arguments } => self.call(callee, arguments, expr.span, scope),
            ExprKind::Member { of, name } => self.member(expr, of, name, scope),
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
                    (Value::Number(a), Value::Number(b))
                        if a.unit == b.unit && (a.value > b.value || (a.value >= b.value && !inclusive)) =>
                    {
                        self.problems.range_is_empty(expr.span);
                        Value::Poison
                    }
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

    pub(super) fn mismatch(&mut self, operator: &str, wants: &str, got: &Spanned) -> Value {
        if got.value != Value::Poison {
            self.problems.operand(operator, wants, kind(&got.value), got.span);
        }
        Value::Poison
    }

    pub(super) fn units_differ(&mut self, operator: &str, left: &Spanned, right: &Spanned) -> Value {
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
        self.touch(other, scope);
        self.value(taken, scope).value
    }

    /// `lab.noisy` of a used file, or `sizes.small` of a record.
    fn member(&mut self, whole: &'a Expr, of: &'a Expr, name: &Name, scope: ScopeId) -> Value {
        if let Some(file) = self.file_of(of, scope) {
            return self.bound(&name.text, whole.span, file).unwrap_or_else(|| {
                if self.is_doubtful(file) {
                    return Value::Poison;
                }
                let names = self.names(file);
                self.problems.no_such_member(&dotted(whole).1, name.span, &names);
                Value::Poison
            });
        }
        let (head, dotted) = dotted(whole);
        if !head.is_empty() && !self.is_bound(&head, scope) {
            if matches!(head.as_str(), "env" | "os" | "environ") {
                self.problems.environment(&dotted, whole.span);
            } else {
                let names = self.names(scope);
                self.problems.unknown_owner(&head, &dotted, whole.span, &names);
            }
            return Value::Poison;
        }
        let owner = self.value(of, scope);
        match owner.value {
            Value::Record(fields) => {
                let found = fields.iter().find(|(field, _)| field.text == name.text);
                if let Some((_, value)) = found {
                    return value.value.clone();
                }
                let names: Vec<String> = fields.iter().map(|(field, _)| field.text.clone()).collect();
                self.problems.no_such_member(&dotted, name.span, &names);
                Value::Poison
            }
            _ => self.mismatch(".", "a record or a used file", &owner),
        }
    }

    fn call(&mut self, callee: &'a Expr, arguments: &'a [Argument], span: Span, scope: ScopeId) -> Value {
        let mut given = Vec::with_capacity(arguments.len());
        for argument in arguments {
            given.push((argument.name.clone(), self.value(&argument.value, scope)));
        }
        let ExprKind::Name(name) = &callee.kind else {
            return match &callee.kind {
                ExprKind::Member { of, name } => {
                    if self.member(callee, of, name, scope) != Value::Poison {
                        self.problems.value_called(&dotted(callee).1, callee.span);
                    }
                    Value::Poison
                }
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
        if self.is_unknown(name, scope) {
            return Value::Poison;
        }
        Value::Call(Call { name: Name { text: name.clone(), span: callee.span }, arguments: given, span })
    }

    fn text(&mut self, text: &'a Text, scope: ScopeId) -> Value {
        let mut out = String::new();
        let mut folder = self.folder(text.span.file);
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
                    Value::Text(inner) => {
                        if out.is_empty() && !inner.text.is_empty() {
                            folder = inner.folder;
                        }
                        out.push_str(&inner.text);
                    }
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
        if poisoned { Value::Poison } else { Value::Text(Words { text: out, folder }) }
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
