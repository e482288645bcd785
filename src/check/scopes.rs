//! Names: what `let`, `param` and `use` bind, where a name is visible, and which names nothing uses.
//!
//! `let`s and `param`s are evaluated when first used and remembered. A name that could not be bound because of another
//! problem stands for poison.

use std::collections::{BTreeMap, BTreeSet};

use super::eval::Evaluator;
use super::params::{self, Given};
use super::value::{Spanned, Value};
use crate::diag::Code;
use crate::source::{FileId, Span};
use crate::syntax::ast::{Expr, ExprKind, Name, Param};

/// A scope of names: a file, a study, or a block. That of a file has the file's number.
pub(super) type ScopeId = usize;

const DEEPEST_LET: usize = 32;

#[derive(Debug)]
pub(super) struct Scope {
    outer: Option<ScopeId>,
    names: BTreeMap<String, usize>,
}

#[derive(Debug, Clone)]
pub(super) enum State<'a> {
    /// `let`
    Waiting(&'a Expr, ScopeId),
    /// `param`, and what was given from outside.
    Param(&'a Param, Option<&'a Given>, ScopeId),
    Working,
    Done(Spanned),
    /// `use "..." { name }`: the binding of another file.
    Elsewhere(usize),
    /// `use "..." as name`: the scope of another file.
    File(ScopeId),
    /// `use "..." { name }` of a study, which is no value.
    Study,
}

#[derive(Debug)]
pub(super) struct Binding<'a> {
    name: Name,
    /// `let`, `param` or `use`.
    word: &'static str,
    used: bool,
    state: State<'a>,
    /// What a `let` was given, for who wants to see how it was written.
    written: Option<(&'a Expr, ScopeId)>,
}

impl<'a> Evaluator<'a> {
    /// A new scope within `outer`; `None`: that of a file.
    pub(super) fn scope(&mut self, outer: Option<ScopeId>) -> ScopeId {
        self.scopes.push(Scope { outer, names: BTreeMap::new() });
        self.scopes.len() - 1
    }

    /// Adds `let name = value` to a scope.
    pub(super) fn bind_let(&mut self, name: &Name, value: &'a Expr, scope: ScopeId) {
        self.bind(name, "let", State::Waiting(value, scope), scope);
    }

    /// Adds a `param` to a file's scope.
    pub(super) fn bind_param(&mut self, param: &'a Param, given: Option<&'a Given>, scope: ScopeId) {
        self.bind(&param.name, "param", State::Param(param, given, scope), scope);
    }

    /// Adds `use "..." as name` to a file's scope.
    pub(super) fn bind_file(&mut self, name: &Name, file: ScopeId, scope: ScopeId) {
        self.bind(name, "use", State::File(file), scope);
    }

    /// Adds a name of `use "..." { name }` to a file's scope; false if the used file has no such `let` or `param`.
    pub(super) fn bind_from(&mut self, name: &Name, file: ScopeId, scope: ScopeId) -> bool {
        let Some(at) = self.find(&name.text, file) else { return false };
        // A `param` is imported to be set from outside, which needs no other use.
        let param = self.bindings.get(self.origin(at)).is_some_and(|binding| binding.word == "param");
        self.bind(name, "use", State::Elsewhere(at), scope);
        if param {
            self.mark(&name.text, scope);
        }
        true
    }

    /// Adds a name that stands for an imported study.
    pub(super) fn bind_study(&mut self, name: &Name, scope: ScopeId) {
        self.bind(name, "use", State::Study, scope);
    }

    /// Adds a name of which nothing is known, because what would bring it has been reported.
    pub(super) fn bind_unknown(&mut self, name: &Name, scope: ScopeId) {
        self.bind(name, "use", State::Done(Spanned::new(Value::Poison, name.span)), scope);
        self.mark(&name.text, scope);
    }

    fn bind(&mut self, name: &Name, word: &'static str, state: State<'a>, scope: ScopeId) {
        let Some(names) = self.scopes.get(scope).map(|scope| &scope.names) else { return };
        if let Some(first) = names.get(&name.text).and_then(|at| self.bindings.get(*at)) {
            self.problems.name_twice(&name.text, first.name.span, name.span);
            return;
        }
        let at = self.bindings.len();
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.names.insert(name.text.clone(), at);
        }
        let written = match &state {
            State::Waiting(expr, scope) => Some((*expr, *scope)),
            State::Param(..)
            | State::Working
            | State::Done(_)
            | State::Elsewhere(_)
            | State::File(_)
            | State::Study => None,
        };
        self.bindings.push(Binding { name: name.clone(), word, used: false, state, written });
    }

    /// Warns of every name of a file that nothing used.
    pub(super) fn warn_unused(&mut self, file: FileId) {
        // A misspelt name is told by itself; that what it meant is unused only follows.
        if self.problems.has(Code::E0102) || self.all_used {
            return;
        }
        for binding in self.bindings.iter().filter(|binding| binding.name.span.file == file) {
            if !binding.used && !binding.name.text.starts_with('_') {
                self.problems.unused(binding.word, &binding.name.text, binding.name.span);
            }
        }
    }

    /// Warns of no unused name: something was left out because of another problem, and may have used any.
    pub(super) fn mark_all_used(&mut self) {
        self.all_used = true;
    }

    /// Counts a name as used.
    pub(super) fn mark(&mut self, name: &str, scope: ScopeId) {
        if let Some(binding) = self.find(name, scope).and_then(|at| self.bindings.get_mut(at)) {
            binding.used = true;
        }
    }

    /// Counts every name in a value as used, without evaluating it: what is wrong in it is not wrong now.
    pub(super) fn touch(&mut self, expr: &'a Expr, scope: ScopeId) {
        let mut left = vec![(expr, scope)];
        while let Some((expr, scope)) = left.pop() {
            left.extend(expr.parts().into_iter().map(|part| (part, scope)));
            let ExprKind::Name(name) = &expr.kind else { continue };
            let Some(binding) = self.find(name, scope).and_then(|at| self.bindings.get_mut(at)) else { continue };
            if !std::mem::replace(&mut binding.used, true) {
                left.extend(binding.written);
            }
        }
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

    /// Is there a `let`, `param` or `use` of this name?
    pub(super) fn is_bound(&self, name: &str, scope: ScopeId) -> bool {
        self.find(name, scope).is_some()
    }

    /// Is this the name of something that could not be used?
    pub(super) fn is_unknown(&self, name: &str, scope: ScopeId) -> bool {
        let binding = self.find(name, scope).and_then(|at| self.bindings.get(at));
        binding.is_some_and(|binding| {
            binding.word == "use" && matches!(&binding.state, State::Done(done) if done.value == Value::Poison)
        })
    }

    /// How a value was written where it was first given a name; itself if it is no name of a `let`.
    pub(super) fn definition(&self, expr: &'a Expr, scope: ScopeId) -> (&'a Expr, ScopeId) {
        let mut here = (expr, scope);
        for _ in 0..DEEPEST_LET {
            let ExprKind::Name(name) = &here.0.kind else { break };
            let Some(at) = self.find(name, here.1).map(|at| self.origin(at)) else { break };
            match self.bindings.get(at).and_then(|binding| binding.written) {
                Some(written) => here = written,
                None => break,
            }
        }
        here
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

    /// The binding that an imported one stands for. Files do not use each other in a circle, so this ends.
    fn origin(&self, mut at: usize) -> usize {
        while let Some(State::Elsewhere(next)) = self.bindings.get(at).map(|binding| &binding.state) {
            at = *next;
        }
        at
    }

    /// The scope of the used file that an expression names, `lab` or `lab.inner`.
    pub(super) fn file_of(&mut self, expr: &Expr, scope: ScopeId) -> Option<ScopeId> {
        let (name, scope) = if let ExprKind::Member { of, name } = &expr.kind {
            (&name.text, self.file_of(of, scope)?)
        } else if let ExprKind::Name(name) = &expr.kind {
            (name, scope)
        } else {
            return None;
        };
        let at = self.find(name, scope)?;
        let State::File(file) = self.bindings.get(self.origin(at))?.state else { return None };
        self.mark(name, scope);
        Some(file)
    }

    /// The value of a name; `None` if nothing is bound to it.
    pub(super) fn bound(&mut self, name: &str, span: Span, scope: ScopeId) -> Option<Value> {
        let at = self.find(name, scope)?;
        self.mark(name, scope);
        let at = self.origin(at);
        let binding = self.bindings.get_mut(at)?;
        binding.used = true;
        let (name, defined) = (binding.name.text.clone(), binding.name.span);
        match std::mem::replace(&mut binding.state, State::Working) {
            State::Working => {
                self.problems.defined_by_itself(&name, defined, span);
                Some(Value::Poison)
            }
            State::Waiting(expr, scope) => {
                let value = self.deeper(span, |evaluator| evaluator.value(expr, scope));
                self.remember(at, State::Done(value.clone()));
                Some(value.value)
            }
            State::Param(param, given, scope) => {
                let value = self.deeper(span, |evaluator| params::value(evaluator, param, given, scope));
                self.remember(at, State::Done(value.clone()));
                if params::constrain(self, param, given, &value, scope) {
                    return Some(value.value);
                }
                self.remember(at, State::Done(Spanned::new(Value::Poison, value.span)));
                Some(Value::Poison)
            }
            kept @ State::Done(_) => {
                let State::Done(done) = &kept else { return None };
                let value = done.value.clone();
                self.remember(at, kept);
                Some(value)
            }
            kept @ (State::File(_) | State::Study | State::Elsewhere(_)) => {
                let what = if matches!(kept, State::Study) { "a study" } else { "a file" };
                self.remember(at, kept);
                self.problems.used_as_value(&name, what, span, defined);
                Some(Value::Poison)
            }
        }
    }

    /// Evaluates a `param` that nothing may use, so that what is wrong with it is told; that is no use of it.
    pub(super) fn settle(&mut self, name: &Name, scope: ScopeId) {
        let Some(at) = self.find(&name.text, scope) else { return };
        let used = self.bindings.get(at).is_some_and(|binding| binding.used);
        self.bound(&name.text, name.span, scope);
        if let Some(binding) = self.bindings.get_mut(at) {
            binding.used = used;
        }
    }

    fn remember(&mut self, at: usize, state: State<'a>) {
        if let Some(binding) = self.bindings.get_mut(at) {
            binding.state = state;
        }
    }

    fn deeper(&mut self, span: Span, make: impl FnOnce(&mut Self) -> Spanned) -> Spanned {
        if self.depth >= DEEPEST_LET {
            self.problems.value_too_large(span);
            return Spanned::new(Value::Poison, span);
        }
        self.depth += 1;
        let value = make(self);
        self.depth -= 1;
        value
    }
}
