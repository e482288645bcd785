//! A tree becomes its names: what is defined, what is used, and which definition each use means.
//!
//! Scopes are those of `check`: the file, a study, a block; the innermost definition counts, wherever in its scope it
//! stands. A name that `use` brings is defined here by that line, and points on into the other file.

use std::collections::BTreeMap;

use crate::source::Span;
use crate::syntax::ast::{Block, Entry, Expr, ExprKind, File, Item, Let, Name, Param, Text, TextPart, Use};

/// What a definition defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Let,
    Param,
    /// `use "x" as lab`
    Alias,
    /// `use "x" { noisy }`
    Import,
    Study,
    Run,
}

/// A name that the file defines.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) name: Name,
    pub(super) kind: Kind,
    /// All of what defines it.
    pub(super) whole: Span,
    /// Where it may be used.
    pub(super) scope: Span,
    /// The file it comes from, as written, for `use`.
    pub(super) file: Option<String>,
}

/// A name that is used.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) span: Span,
    /// Index of what it means here.
    pub(super) definition: usize,
    /// `noisy` of `lab.noisy`: the name in the other file, and where it stands.
    pub(super) member: Option<Name>,
}

/// Every name of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) definitions: Vec<Definition>,
    pub(super) references: Vec<Reference>,
}

impl Names {
    /// The definition or reference whose name a byte touches: what it means here, and where the name stands.
    pub(super) fn at(&self, at: usize) -> Option<(&Definition, Option<&Reference>, Span)> {
        let touches = |span: Span| span.range().start <= at && at <= span.range().end;
        let defined = self.definitions.iter().find(|definition| touches(definition.name.span));
        if let Some(definition) = defined {
            return Some((definition, None, definition.name.span));
        }
        let of_member = |reference: &&Reference| reference.member.as_ref().is_some_and(|name| touches(name.span));
        let reference = self
            .references
            .iter()
            .find(of_member)
            .or_else(|| self.references.iter().find(|reference| touches(reference.span)))?;
        let in_member = reference.member.as_ref().filter(|name| touches(name.span));
        let place = in_member.map_or(reference.span, |name| name.span);
        Some((self.definitions.get(reference.definition)?, in_member.map(|_| reference), place))
    }

    /// Every place of a definition's name, its own first.
    pub(super) fn places(&self, definition: &Definition) -> Vec<Span> {
        let index = self.definitions.iter().position(|one| one.name.span == definition.name.span);
        let used = self.references.iter().filter(|reference| Some(reference.definition) == index);
        std::iter::once(definition.name.span).chain(used.map(|reference| reference.span)).collect()
    }

    /// The definition that a use elsewhere in the file's own scope would mean.
    pub(super) fn top(&self, name: &str, file: Span) -> Option<&Definition> {
        self.definitions.iter().find(|one| one.name.text == name && one.scope == file && one.kind != Kind::Run)
    }

    /// What may be used at a byte, the innermost of equal names only.
    pub(super) fn visible(&self, at: usize) -> Vec<&Definition> {
        let inside = |span: Span| span.range().start <= at && at <= span.range().end;
        let mut visible: BTreeMap<&str, &Definition> = BTreeMap::new();
        for definition in self.definitions.iter().filter(|one| inside(one.scope)) {
            let held = visible.entry(&definition.name.text).or_insert(definition);
            if definition.scope.range().len() < held.scope.range().len() {
                *held = definition;
            }
        }
        visible.into_values().collect()
    }
}

/// Collects the names of a file.
pub(super) fn names(file: &File) -> Names {
    let mut collector = Collector { names: Names::default(), scopes: vec![BTreeMap::new()] };
    for item in &file.items {
        collector.define_item(item, file.span);
    }
    for item in &file.items {
        match item {
            Item::Param(param) => {
                for value in param.default.iter().chain(&param.constraint) {
                    collector.value(value);
                }
            }
            Item::Let(one) => collector.value(&one.value),
            Item::Block(block) => collector.block(block),
            Item::Use(_) | Item::Error(_) => {}
        }
    }
    collector.names
}

struct Collector {
    names: Names,
    scopes: Vec<BTreeMap<String, usize>>,
}

impl Collector {
    fn define(&mut self, definition: Definition) {
        let index = self.names.definitions.len();
        if let Some(scope) = self.scopes.last_mut() {
            scope.entry(definition.name.text.clone()).or_insert(index);
        }
        self.names.definitions.push(definition);
    }

    fn define_item(&mut self, item: &Item, scope: Span) {
        match item {
            Item::Param(Param { name, span, .. }) => {
                self.define(Definition { name: name.clone(), kind: Kind::Param, whole: *span, scope, file: None });
            }
            Item::Let(one) => self.define_let(one, scope),
            Item::Use(Use { path, alias, names, span }) => {
                let imported = names.iter().map(|name| (name, Kind::Import));
                for (name, kind) in alias.iter().map(|name| (name, Kind::Alias)).chain(imported) {
                    self.define(Definition { name: name.clone(), kind, whole: *span, scope, file: path.plain() });
                }
            }
            Item::Block(block) => {
                let kind = match block.keyword.text.as_str() {
                    "study" => Kind::Study,
                    "run" => Kind::Run,
                    _ => return,
                };
                if let Some(name) = block.labels.first() {
                    let definition = Definition { name: name.clone(), kind, whole: block.span, scope, file: None };
                    // a place to run has no value: its name hides none
                    if kind == Kind::Run {
                        self.names.definitions.push(definition);
                    } else {
                        self.define(definition);
                    }
                }
            }
            Item::Error(_) => {}
        }
    }

    fn define_let(&mut self, one: &Let, scope: Span) {
        self.define(Definition { name: one.name.clone(), kind: Kind::Let, whole: one.span, scope, file: None });
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).copied()
    }

    fn refer(&mut self, name: &str, span: Span, member: Option<&Name>) {
        if let Some(definition) = self.find(name) {
            self.names.references.push(Reference { span, definition, member: member.cloned() });
        }
    }

    fn block(&mut self, block: &Block) {
        if let Some(extends) = &block.extends
            && let Some(first) = extends.names.first()
        {
            self.refer(&first.text, first.span, extends.names.get(1));
        }
        self.scopes.push(BTreeMap::new());
        for entry in &block.entries {
            if let Entry::Let(one) = entry {
                self.define_let(one, block.span);
            }
        }
        for entry in &block.entries {
            match entry {
                Entry::Let(one) => self.value(&one.value),
                Entry::Setting(setting) | Entry::Vary(setting) => self.value(&setting.value),
                Entry::Block(inner) => self.block(inner),
                Entry::Error(_) => {}
            }
        }
        self.scopes.pop();
    }

    fn text(&mut self, text: &Text) {
        for part in &text.parts {
            match part {
                TextPart::Hole(hole) => self.value(hole),
                TextPart::Plain(_) => {}
            }
        }
    }

    fn value(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Name(name) => self.refer(name, expr.span, None),
            ExprKind::Text(text) => self.text(text),
            ExprKind::List(items) => items.iter().for_each(|item| self.value(item)),
            ExprKind::Record(fields) => fields.iter().for_each(|field| self.value(&field.value)),
            ExprKind::Call { callee, arguments } => {
                self.value(callee);
                for argument in arguments {
                    self.value(&argument.value);
                }
            }
            ExprKind::Member { of, name } => {
                if let ExprKind::Name(head) = &of.kind {
                    self.refer(head, of.span, Some(name));
                } else {
                    self.value(of);
                }
            }
            ExprKind::Negate(inner) | ExprKind::Not(inner) => self.value(inner),
            ExprKind::Binary { left, right, .. } => {
                self.value(left);
                self.value(right);
            }
            ExprKind::In { item, set, .. } => {
                self.value(item);
                self.value(set);
            }
            ExprKind::Range { start, end, .. } => {
                self.value(start);
                self.value(end);
            }
            ExprKind::If { condition, then, otherwise } => {
                self.value(condition);
                self.value(then);
                self.value(otherwise);
            }
            ExprKind::Number(_) | ExprKind::Column(_) | ExprKind::Bool(_) | ExprKind::Error => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::source::SourceMap;

    fn of(text: &str) -> Names {
        let mut map = SourceMap::new();
        let (_, parsed) = crate::syntax::read(&mut map, "a.pipe", None, text.as_bytes());
        names(&parsed.file)
    }

    #[test]
    fn the_innermost_definition_is_meant_wherever_it_stands() {
        let text =
            "pipe \"2026\"\nlet a = 1\nstudy s {\n  seed = a\n  train {\n    epochs = a\n    let a = 2\n  }\n}\n";
        let names = of(text);
        let use_at = |nth: usize| text.match_indices("= a").nth(nth).unwrap().0 + 2;
        let line = |at: usize| text.get(..names.at(at).unwrap().0.name.span.range().start).unwrap().lines().count();
        assert_eq!(line(use_at(0)), 2);
        assert_eq!(line(use_at(1)), 7);
    }

    #[test]
    fn holes_calls_and_members_are_uses() {
        let text = "pipe \"2026\"\nparam root : path = \".\"\nuse \"lab.pipe\" as lab\nuse \"x.pipe\" { base }\n\
                    study s extends base {\n  data.table = csv(\"${root}/a.csv\")\n  train.loss = 0.5 * lab.mixed\n}\n";
        let names = of(text);
        let kinds: Vec<Kind> = names.references.iter().map(|one| names.definitions[one.definition].kind).collect();
        assert_eq!(kinds, [Kind::Import, Kind::Param, Kind::Alias]);
        let (alias, member, _) = names.at(text.find("mixed").unwrap()).unwrap();
        assert_eq!(
            (alias.file.as_deref(), member.unwrap().member.as_ref().unwrap().text.as_str()),
            (Some("lab.pipe"), "mixed")
        );
    }

    #[test]
    fn a_name_is_found_at_both_of_its_ends_and_every_place_of_it_is_known() {
        let text = "pipe \"2026\"\nlet abc = 1\nstudy s { seed = abc }\n";
        let names = of(text);
        let start = text.find("abc").unwrap();
        for at in start..=start + 3 {
            assert_eq!(names.places(names.at(at).unwrap().0).len(), 2);
        }
        assert!(names.at(start + 4).is_none());
    }
}
