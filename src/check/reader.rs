//! The entries of a study become settings by dotted path, each typed by the catalog when asked for.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::eval::Evaluator;
use super::meant::{Meaning, Meanings};
use super::scopes::ScopeId;
use super::take::{Bound, Slot, Typed, take};
use super::value::{Spanned, Value};
use crate::catalog::{Block as Table, blocks};
use crate::source::Span;
use crate::study::{Normalize, Places};
use crate::syntax::ast::{Block, Entry, Expr, ExprKind, Path, Setting};

/// The word that stands for a setting's default.
const DEFAULT: &str = "default";

/// `train.epochs`; settings of the study itself have no block before them.
fn full_path(table: &Table, name: &str) -> String {
    if table.name == blocks::STUDY.name { name.to_owned() } else { format!("{}.{name}", table.name) }
}

/// One study of a chain of `extends`, and the file it stands in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level<'a> {
    pub(super) block: &'a Block,
    pub(super) file: ScopeId,
}

/// What a setting holds.
#[derive(Debug, Clone)]
enum Held<'a> {
    Written(&'a Expr),
    /// What a variant takes of a `vary`.
    Chosen(Spanned),
}

#[derive(Debug, Clone)]
struct Written<'a> {
    held: Held<'a>,
    scope: ScopeId,
    path: Span,
    level: usize,
}

/// A `vary` line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vary<'a> {
    pub(super) value: &'a Expr,
    pub(super) scope: ScopeId,
    /// Where the setting is named.
    pub(super) path: Span,
    level: usize,
}

/// The settings of one study.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) evaluator: Evaluator<'a>,
    pub(super) places: Places,
    /// What was read so far, as text.
    pub(super) meant: Meanings,
    /// The public data set that the first weights were trained on, as the author says.
    pub(super) trained_on: Option<&'static str>,
    /// Are first weights for three channels made fit for images of one?
    pub(super) stem_adapted: bool,
    /// What the file of first weights says that they want.
    pub(super) weights_want: Option<Normalize>,
    /// Do the intervals draw images?
    pub(super) drawn_by_image: bool,
    written: IndexMap<String, Written<'a>>,
    varies: IndexMap<String, Vary<'a>>,
    /// Settings whose value was wrong (reported), or that nobody can know because of another problem.
    poisoned: BTreeSet<String>,
    /// Which study of the chain is being read, from the base to the one that is meant.
    level: usize,
    /// Its blocks so far.
    blocks: BTreeMap<&'static str, Span>,
}

/// What a reader holds before a variant chooses.
#[derive(Debug)]
pub(super) struct Common<'a> {
    places: Places,
    written: IndexMap<String, Written<'a>>,
    poisoned: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// Collects the settings of a chain of studies, the base first: what a later one says of a setting counts.
    pub(super) fn new(evaluator: Evaluator<'a>, chain: &[Level<'a>]) -> Self {
        let mut reader = Self {
            evaluator,
            places: Places::default(),
            meant: Meanings::new(),
            trained_on: None,
            stem_adapted: false,
            weights_want: None,
            drawn_by_image: false,
            written: IndexMap::new(),
            varies: IndexMap::new(),
            poisoned: BTreeSet::new(),
            level: 0,
            blocks: BTreeMap::new(),
        };
        for (level, Level { block, file }) in chain.iter().enumerate() {
            reader.level = level;
            reader.blocks.clear();
            let header = block.labels.last().map_or(block.keyword.span, |label| block.keyword.span.to(label.span));
            reader.places.set("study", header);
            let scope = reader.evaluator.scope(Some(*file));
            for entry in &block.entries {
                match entry {
                    Entry::Let(one) => reader.evaluator.bind_let(&one.name, &one.value, scope),
                    Entry::Setting(setting) => reader.study_setting(setting, scope),
                    Entry::Block(block) => reader.block(block, scope),
                    Entry::Vary(setting) => reader.vary(setting, None, scope),
                    Entry::Error(_) => reader.unknown_part(),
                }
            }
        }
        reader
    }

    /// A piece that could not be read: nobody knows what it set, so nothing is called missing or unused.
    fn unknown_part(&mut self) {
        self.poisoned.insert("*".to_owned());
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

    /// `vary train.loss = ...`, or `vary loss = ...` in `train`.
    fn vary(&mut self, setting: &'a Setting, table: Option<&'static Table>, scope: ScopeId) {
        let span = setting.path.span;
        let Some(path) = self.varied(&setting.path, table) else {
            self.evaluator.mark_all_used();
            return;
        };
        let vary = Vary { value: &setting.value, scope, path: span, level: self.level };
        match self.varies.get(&path) {
            Some(first) if first.level == self.level => {
                self.evaluator.problems.setting_twice(&format!("vary {path}"), first.path, span);
            }
            Some(_) | None => {
                if let Some(before) = self.varies.insert(path, vary) {
                    self.evaluator.touch(before.value, before.scope);
                }
            }
        }
    }

    /// The setting that a `vary` names.
    fn varied(&mut self, path: &Path, table: Option<&'static Table>) -> Option<String> {
        let (table, name) = match (path.names.as_slice(), table) {
            ([name], None) => (Some(&blocks::STUDY), name),
            ([name], Some(table)) => (Some(table), name),
            ([block, name], None) => (blocks::block(&block.text), name),
            (names, _) => (None, names.last()?),
        };
        let problems = &mut self.evaluator.problems;
        match table {
            Some(table) if table.name != blocks::COMPARE.name && table.setting(&name.text).is_some() => {
                return Some(full_path(table, &name.text));
            }
            Some(table) if table.later.contains(&name.text.as_str()) => {
                problems.not_yet(&full_path(table, &name.text), path.span, "leave the line out");
            }
            Some(_) | None => {
                let written: Vec<&str> = path.names.iter().map(|name| name.text.as_str()).collect();
                let written = match table {
                    Some(table) if table.name != "study" && written.len() == 1 => full_path(table, &name.text),
                    Some(_) | None => written.join("."),
                };
                let all = std::iter::once(&blocks::STUDY).chain(blocks::BLOCKS.iter().copied());
                let all = all.filter(|table| table.name != blocks::COMPARE.name);
                let all: Vec<String> =
                    all.flat_map(|table| table.settings.iter().map(|one| full_path(table, one.name))).collect();
                problems.vary_names_no_setting(&written, path.span, &all);
            }
        }
        None
    }

    /// The `vary` lines, in order.
    pub(super) fn varies(&self) -> impl Iterator<Item = (&str, Vary<'a>)> {
        self.varies.iter().map(|(path, vary)| (path.as_str(), *vary))
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
            self.evaluator.problems.block_extends(table.name, extends.span);
            self.poison("*");
        }
        if let Some(first) = self.blocks.insert(table.name, block.keyword.span) {
            self.evaluator.problems.setting_twice(table.name, first, block.keyword.span);
        }
        self.places.set(table.name, block.keyword.span);
        let scope = self.evaluator.scope(Some(outer));
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
                Entry::Vary(setting) => self.vary(setting, Some(table), scope),
                Entry::Error(_) => self.unknown_part(),
            }
        }
    }

    fn block_setting(&mut self, table: &Table, name: &str, span: Span, setting: &'a Setting, scope: ScopeId) {
        if table.setting(name).is_some() {
            self.note(full_path(table, name), setting, scope);
        } else if table.later.contains(&name) {
            self.evaluator.problems.not_yet(&full_path(table, name), span, "leave the line out");
            self.evaluator.mark_all_used();
        } else {
            self.unknown(table, name, span);
        }
    }

    fn note(&mut self, path: String, setting: &'a Setting, scope: ScopeId) {
        let written =
            Written { held: Held::Written(&setting.value), scope, path: setting.path.span, level: self.level };
        if let Some(first) = self.written.get(&path) {
            if first.level == self.level {
                let name = path.rsplit('.').next().unwrap_or(&path);
                self.evaluator.problems.setting_twice(name, first.path, setting.path.span);
                return;
            }
            if let Held::Written(before) = first.held {
                self.evaluator.touch(before, first.scope);
            }
        }
        // What the base varies, a study that extends it may fix.
        if self.varies.get(&path).is_some_and(|vary| vary.level < self.level)
            && let Some(vary) = self.varies.shift_remove(&path)
        {
            self.evaluator.touch(vary.value, vary.scope);
        }
        self.places.set(path.clone(), setting.value.span);
        self.written.insert(path, written);
    }

    /// What all variants start from.
    pub(super) fn common(&self) -> Common<'a> {
        Common { places: self.places.clone(), written: self.written.clone(), poisoned: self.poisoned.clone() }
    }

    /// Goes back to what all variants start from, and chooses: the path of a setting, its value, where it varies.
    pub(super) fn choose(&mut self, common: &Common<'a>, choices: &[(&str, &Spanned, ScopeId)]) {
        self.places.clone_from(&common.places);
        self.meant.clear();
        self.written.clone_from(&common.written);
        self.poisoned.clone_from(&common.poisoned);
        for (path, value, scope) in choices {
            let before = self.written.get(*path);
            if let Some(Written { held: Held::Written(plain), scope, .. }) = before {
                self.evaluator.touch(plain, *scope);
            }
            self.places.set(*path, value.span);
            let held = Held::Chosen((*value).clone());
            let written = Written { held, scope: *scope, path: value.span, level: self.level };
            self.written.insert((*path).to_owned(), written);
        }
        self.forget_defaults();
    }

    /// `train.stop = default`: as if nobody had written it.
    fn forget_defaults(&mut self) {
        let paths: Vec<String> = self.written.keys().cloned().collect();
        for path in paths {
            let Some(written) = self.written.get(&path) else { continue };
            let default = match &written.held {
                Held::Chosen(value) => value.value == Value::Word(DEFAULT.to_owned()),
                Held::Written(expr) => match &expr.kind {
                    ExprKind::Name(name) => name == DEFAULT && !self.evaluator.is_bound(name, written.scope),
                    ExprKind::If { .. } => {
                        let (expr, scope) = (*expr, written.scope);
                        self.evaluator.value(expr, scope).value == Value::Word(DEFAULT.to_owned())
                    }
                    _ => false,
                },
            };
            if default {
                self.written.shift_remove(&path);
                self.places.forget(&path);
            }
        }
    }

    /// Was the setting written?
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.written.contains_key(path)
    }

    /// Was the setting written, and nothing wrong with it by itself?
    pub(super) fn is_right(&self, path: &str) -> bool {
        self.is_written(path) && !self.poisoned.contains(path)
    }

    /// Where the name of a setting stands.
    pub(super) fn name_place(&self, path: &str) -> Option<Span> {
        self.written.get(path).map(|written| written.path)
    }

    /// How a setting was written, unless a variant chose it.
    pub(super) fn expression(&self, path: &str) -> Option<(&'a Expr, ScopeId)> {
        let written = self.written.get(path)?;
        match &written.held {
            Held::Written(expr) => Some((expr, written.scope)),
            Held::Chosen(_) => None,
        }
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
        let written = self.written.get(path)?;
        let scope = written.scope;
        let value = match &written.held {
            Held::Chosen(value) => value.clone(),
            Held::Written(expr) => self.evaluator.value(expr, scope),
        };
        if let Some(meaning) = Meaning::of_value(&value) {
            self.meant.insert(path.to_owned(), meaning);
        }
        Some((value, self.evaluator.names(scope)))
    }

    /// The value of a setting by its table; `None`: not written, or wrong and poisoned.
    pub(super) fn read(&mut self, table: &'static Table, name: &'static str) -> Option<Typed> {
        let path = full_path(table, name);
        let setting = table.setting(name)?;
        let (value, names) = self.value(&path)?;
        let slot = Slot { name, owner: table.name, names: &names };
        match take(&setting.takes, &value, slot, &mut self.evaluator.problems) {
            Some(Typed::Absent) => None,
            Some(typed) => {
                self.note_arguments(&path, &typed);
                if let Some(meaning) = Meaning::of(&setting.takes, &typed) {
                    self.meant.insert(path, meaning);
                }
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
