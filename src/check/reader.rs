//! The entries of a study become settings by dotted path, each typed by the catalog when asked for.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::eval::{Evaluator, ScopeId};
use super::take::{Bound, Slot, Typed, take};
use super::value::Spanned;
use crate::catalog::{Block as Table, blocks};
use crate::source::Span;
use crate::study::Places;
use crate::syntax::ast::{Block, Entry, Expr, Setting};

#[derive(Debug, Clone, Copy)]
struct Written<'a> {
    value: &'a Expr,
    scope: ScopeId,
    path: Span,
}

/// The settings of one study.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) evaluator: Evaluator<'a>,
    pub(super) places: Places,
    written: IndexMap<String, Written<'a>>,
    /// Settings whose value was wrong (reported), or that nobody can know because of another problem.
    poisoned: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// Collects the settings of a study's block.
    pub(super) fn new(evaluator: Evaluator<'a>, study: &'a Block) -> Self {
        let mut reader =
            Self { evaluator, places: Places::default(), written: IndexMap::new(), poisoned: BTreeSet::new() };
        let header = study.labels.last().map_or(study.keyword.span, |label| study.keyword.span.to(label.span));
        reader.places.set("study", header);
        let scope = reader.evaluator.scope(0);
        for entry in &study.entries {
            match entry {
                Entry::Let(one) => reader.evaluator.bind_let(&one.name, &one.value, scope),
                Entry::Setting(setting) => reader.study_setting(setting, scope),
                Entry::Block(block) => reader.block(block, scope),
                Entry::Vary(setting) => reader.vary(setting),
                Entry::Error(_) => reader.unknown_part(),
            }
        }
        reader
    }

    /// A piece that could not be read: nobody knows what it set, so nothing is called missing or unused.
    fn unknown_part(&mut self) {
        self.poisoned.insert("*".to_owned());
        self.evaluator.mark_all_used();
    }

    fn vary(&mut self, setting: &Setting) {
        self.evaluator.problems.not_yet("vary", setting.path.span, "write one value; several runs compare by hand");
        self.evaluator.mark_all_used();
    }

    fn study_setting(&mut self, setting: &'a Setting, scope: ScopeId) {
        match setting.path.names.as_slice() {
            [name] => {
                if blocks::STUDY.setting(&name.text).is_some() {
                    self.note(name.text.clone(), setting, scope);
                } else if blocks::block(&name.text).is_some() {
                    self.evaluator.problems.block_not_setting(&name.text, setting.path.span);
                } else {
                    self.unknown(&blocks::STUDY, &name.text, name.span);
                }
            }
            [block, name] => match blocks::block(&block.text) {
                Some(table) => self.block_setting(table, &name.text, name.span, setting, scope),
                None => self.unknown_block(&block.text, block.span),
            },
            _ => self.evaluator.problems.path_too_deep(setting.path.span),
        }
    }

    fn unknown_block(&mut self, name: &str, span: Span) {
        if blocks::LATER_BLOCKS.contains(&name) {
            self.evaluator.problems.not_yet(name, span, "leave it out");
        } else {
            let known: Vec<&str> = blocks::BLOCKS.iter().map(|block| block.name).collect();
            self.evaluator.problems.unknown_block(name, span, &known);
        }
        self.evaluator.mark_all_used();
    }

    fn unknown(&mut self, table: &Table, name: &str, span: Span) {
        let known: Vec<&str> = table.settings.iter().map(|setting| setting.name).collect();
        let elsewhere: Vec<String> = blocks::BLOCKS
            .iter()
            .filter(|block| block.name != table.name && block.setting(name).is_some())
            .map(|block| format!("{}.{name}", block.name))
            .collect();
        self.evaluator.problems.unknown_setting(table.name, name, span, &known, &elsewhere);
        // The slip may be the name of a required setting, and may use any name.
        let meant = crate::diag::suggest::nearest(name, known.iter().copied());
        if let Some(meant) = meant {
            self.poisoned.insert(format!("{}.{meant}", table.name));
        }
        self.evaluator.mark_all_used();
    }

    fn block(&mut self, block: &'a Block, outer: ScopeId) {
        let Some(table) = blocks::block(&block.keyword.text) else {
            self.unknown_block(&block.keyword.text, block.keyword.span);
            return;
        };
        if let Some(label) = block.labels.first() {
            self.evaluator.problems.block_label(table.name, &label.text, label.span);
        }
        if let Some(extends) = &block.extends {
            self.evaluator.problems.not_yet("extends", extends.span, "write the settings out");
            self.poison("*");
        }
        if let Some(first) = self.places.get(table.name) {
            self.evaluator.problems.setting_twice(table.name, first, block.keyword.span);
        }
        self.places.set(table.name, block.keyword.span);
        let scope = self.evaluator.scope(outer);
        for entry in &block.entries {
            match entry {
                Entry::Let(one) => self.evaluator.bind_let(&one.name, &one.value, scope),
                Entry::Setting(setting) => match setting.path.names.as_slice() {
                    [name] => self.block_setting(table, &name.text, name.span, setting, scope),
                    _ => self.evaluator.problems.path_too_deep(setting.path.span),
                },
                Entry::Block(inner) => {
                    self.evaluator.problems.block_in_block(&inner.keyword.text, table.name, inner.keyword.span);
                }
                Entry::Vary(setting) => self.vary(setting),
                Entry::Error(_) => self.unknown_part(),
            }
        }
    }

    fn block_setting(&mut self, table: &Table, name: &str, span: Span, setting: &'a Setting, scope: ScopeId) {
        if table.setting(name).is_some() {
            self.note(format!("{}.{name}", table.name), setting, scope);
        } else if table.later.contains(&name) {
            let path = format!("{}.{name}", table.name);
            self.evaluator.problems.not_yet(&path, span, "leave the line out");
            self.evaluator.mark_all_used();
        } else {
            self.unknown(table, name, span);
        }
    }

    fn note(&mut self, path: String, setting: &'a Setting, scope: ScopeId) {
        if let Some(first) = self.written.get(&path) {
            let name = path.rsplit('.').next().unwrap_or(&path);
            self.evaluator.problems.setting_twice(name, first.path, setting.path.span);
            return;
        }
        self.places.set(path.clone(), setting.value.span);
        self.written.insert(path, Written { value: &setting.value, scope, path: setting.path.span });
    }

    /// Was the setting written?
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.written.contains_key(path)
    }

    /// Where the name of a setting stands.
    pub(super) fn name_place(&self, path: &str) -> Option<Span> {
        self.written.get(path).map(|written| written.path)
    }

    /// Marks a setting as not to be relied on.
    pub(super) fn poison(&mut self, path: &str) {
        self.poisoned.insert(path.to_owned());
    }

    /// Can all of these settings be relied on?
    pub(super) fn sound(&self, paths: &[&str]) -> bool {
        !self.poisoned.contains("*") && paths.iter().all(|path| !self.poisoned.contains(*path))
    }

    /// Can all settings be relied on?
    pub(super) fn all_sound(&self) -> bool {
        self.poisoned.is_empty()
    }

    /// Can all settings of a block be relied on?
    pub(super) fn block_sound(&self, block: &str) -> bool {
        let prefix = format!("{block}.");
        !self.poisoned.contains("*") && !self.poisoned.iter().any(|path| path.starts_with(&prefix))
    }

    /// The value of a setting, if it was written, with the scope's names.
    pub(super) fn value(&mut self, path: &str) -> Option<(Spanned, Vec<String>)> {
        let written = *self.written.get(path)?;
        let value = self.evaluator.value(written.value, written.scope);
        Some((value, self.evaluator.names(written.scope)))
    }

    /// The value of a setting by its table; `None`: not written, or wrong and poisoned.
    pub(super) fn read(&mut self, table: &'static Table, name: &'static str) -> Option<Typed> {
        let path = if table.name == "study" { name.to_owned() } else { format!("{}.{name}", table.name) };
        let setting = table.setting(name)?;
        let (value, names) = self.value(&path)?;
        let slot = Slot { name, owner: table.name, names: &names };
        match take(&setting.takes, &value, slot, &mut self.evaluator.problems) {
            Some(Typed::Absent) => None,
            Some(typed) => {
                self.note_arguments(&path, &typed);
                Some(typed)
            }
            None => {
                self.poison(&path);
                None
            }
        }
    }

    fn note_arguments(&mut self, path: &str, typed: &Typed) {
        match typed {
            Typed::Operation(bound) => self.note_call(path, bound),
            Typed::Operations(all) => {
                for (at, bound) in all.iter().enumerate() {
                    self.note_call(&format!("{path}.{at}"), bound);
                    self.places.set(format!("{path}.{at}"), bound.span);
                }
            }
            Typed::Formula(all) => {
                for (at, (_, bound)) in all.iter().enumerate() {
                    self.note_call(&format!("{path}.{at}"), bound);
                    self.places.set(format!("{path}.{at}"), bound.span);
                }
            }
            Typed::Number(_)
            | Typed::Flag(_)
            | Typed::Text(_)
            | Typed::Column(_)
            | Typed::Word(_)
            | Typed::Shaped(_)
            | Typed::Absent => {}
        }
    }

    fn note_call(&mut self, path: &str, bound: &Bound) {
        for (name, span) in bound.written() {
            self.places.set(format!("{path}.{name}"), span);
        }
    }

    /// A number setting.
    pub(super) fn number(&mut self, table: &'static Table, name: &'static str) -> Option<f64> {
        match self.read(table, name)? {
            Typed::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A text or column setting.
    pub(super) fn text(&mut self, table: &'static Table, name: &'static str) -> Option<String> {
        match self.read(table, name)? {
            Typed::Text(text) | Typed::Column(text) => Some(text),
            _ => None,
        }
    }

    /// A word setting.
    pub(super) fn word(&mut self, table: &'static Table, name: &'static str) -> Option<&'static str> {
        match self.read(table, name)? {
            Typed::Word(word) => Some(word),
            _ => None,
        }
    }

    /// An operation setting.
    pub(super) fn operation(&mut self, table: &'static Table, name: &'static str) -> Option<Bound> {
        match self.read(table, name)? {
            Typed::Operation(bound) => Some(*bound),
            _ => None,
        }
    }

    /// A setting that is a list of operations.
    pub(super) fn operations(&mut self, table: &'static Table, name: &'static str) -> Option<Vec<Bound>> {
        match self.read(table, name)? {
            Typed::Operations(bound) => Some(bound),
            _ => None,
        }
    }
}
