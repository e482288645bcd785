//! The names of all files are bound, the study that is meant is picked, and its chain of `extends` is followed.

use std::collections::BTreeMap;

use super::EDITION;
use super::eval::Evaluator;
use super::files::Sources;
use super::params::{AllGiven, Pick};
use super::reader::Level;
use super::scopes::ScopeId;
use crate::catalog::blocks;
use crate::diag::Problems;
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{Block, Entry, File, Item, Name};

/// How long a chain of `extends` may be.
pub const DEEPEST_EXTENDS: usize = 16;

/// The studies of all files.
pub(super) struct Studies<'a> {
    /// Those of the study's own file, in order.
    own: Vec<&'a Block>,
    /// By file: what a name means there, imported ones included.
    visible: Vec<BTreeMap<&'a str, Level<'a>>>,
}

/// Binds the names of every file, and finds its studies.
pub(super) fn bind<'a>(
    sources: &'a Sources,
    given: &'a AllGiven,
    map: &SourceMap,
    evaluator: &mut Evaluator<'a>,
) -> Studies<'a> {
    for source in sources.all() {
        let scope = evaluator.scope(None);
        evaluator.note_folder(source.id, &source.folder);
        if source.broken() {
            evaluator.doubt(scope);
        }
    }
    let mut studies = Studies { own: Vec::new(), visible: vec![BTreeMap::new(); sources.all().len()] };
    for file in sources.used_first() {
        bind_file(sources, file, given, map, evaluator, &mut studies);
    }
    // what nothing uses is told of as well
    for (file, source) in sources.all().iter().enumerate() {
        for item in &source.tree.items {
            match item {
                Item::Param(param) => evaluator.settle(&param.name, file),
                Item::Let(one) => evaluator.settle(&one.name, file),
                Item::Use(_) | Item::Block(_) | Item::Error(_) => {}
            }
        }
    }
    studies
}

fn bind_file<'a>(
    sources: &'a Sources,
    file: usize,
    given: &'a AllGiven,
    map: &SourceMap,
    evaluator: &mut Evaluator<'a>,
    studies: &mut Studies<'a>,
) {
    let Some(source) = sources.all().get(file) else { return };
    edition(&source.tree, &mut evaluator.problems);
    let mut uses = source.uses();
    for item in &source.tree.items {
        match item {
            Item::Param(param) => {
                let given = given.get(&(file, param.name.text.clone()));
                evaluator.bind_param(param, given, file);
            }
            Item::Let(one) => evaluator.bind_let(&one.name, &one.value, file),
            Item::Use(_) => {
                let Some((one, target)) = uses.next() else { continue };
                let Some(target) = target else {
                    for name in one.names.iter().chain(&one.alias) {
                        evaluator.bind_unknown(name, file);
                    }
                    evaluator.mark_all_used();
                    continue;
                };
                if let Some(alias) = &one.alias {
                    evaluator.bind_file(alias, target, file);
                }
                let called = sources.all().get(target).map_or("", |source| map.name(source.id));
                for name in &one.names {
                    import(name, target, file, called, evaluator, studies);
                }
            }
            Item::Block(block) => match block.keyword.text.as_str() {
                "study" => study(block, file, evaluator, studies),
                "run" => {}
                other => {
                    let inside = blocks::block(other).is_some() || blocks::LATER_BLOCKS.contains(&other);
                    evaluator.problems.unknown_item(other, block.keyword.span, inside);
                    evaluator.mark_all_used();
                }
            },
            Item::Error(_) => {}
        }
    }
}

fn edition(file: &File, problems: &mut Problems) {
    if let Some(edition) = &file.edition
        && let Some(text) = edition.plain()
        && text != EDITION
    {
        problems.unknown_edition(&text, EDITION, edition.span);
    }
}

/// One name of `use "..." { name }`: a value, a study, or both.
fn import<'a>(
    name: &'a Name,
    target: usize,
    file: usize,
    called: &str,
    evaluator: &mut Evaluator<'a>,
    studies: &mut Studies<'a>,
) {
    let study = studies.visible.get(target).and_then(|visible| visible.get(name.text.as_str())).copied();
    if let (Some(study), Some(visible)) = (study, studies.visible.get_mut(file)) {
        visible.insert(&name.text, study);
    }
    if evaluator.bind_from(name, target, file) {
        return;
    }
    if study.is_some() {
        evaluator.bind_study(name, file);
        return;
    }
    if !evaluator.is_doubtful(target) {
        let mut names = evaluator.names(target);
        names.extend(studies.visible.get(target).into_iter().flatten().map(|(name, _)| (*name).to_owned()));
        evaluator.problems.no_such_import(&name.text, called, name.span, &names);
    }
    evaluator.bind_unknown(name, file);
    evaluator.mark_all_used();
}

fn study<'a>(block: &'a Block, file: usize, evaluator: &mut Evaluator<'_>, studies: &mut Studies<'a>) {
    let label = block.labels.first();
    if let (Some(label), Some(visible)) = (label, studies.visible.get_mut(file)) {
        if let Some(first) = visible.get(label.text.as_str()) {
            let first = first.block.labels.first().map_or(first.block.keyword.span, |label| label.span);
            evaluator.problems.name_twice(&label.text, first, label.span);
            return;
        }
        visible.insert(&label.text, Level { block, file });
    }
    if file == 0 {
        studies.own.push(block);
    }
}

fn name(block: &Block) -> &str {
    block.labels.first().map_or("", |label| label.text.as_str())
}

impl<'a> Studies<'a> {
    /// The studies to look at; none after telling E0112.
    pub(super) fn pick(
        &self,
        map: &mut SourceMap,
        sources: &Sources,
        pick: &Pick,
        problems: &mut Problems,
    ) -> Vec<&'a Block> {
        let names: Vec<&str> = self.own.iter().map(|block| name(block)).collect();
        if self.own.is_empty() {
            // One that was mended may have lost its study's header.
            if let Some(main) = sources.all().first().filter(|main| !main.broken()) {
                problems.no_study(main.tree.span);
            }
            return Vec::new();
        }
        match pick {
            Pick::Every => self.own.clone(),
            Pick::Only if self.own.len() == 1 => self.own.clone(),
            Pick::Only => {
                let spans: Vec<Span> = self.own.iter().map(|block| block.keyword.span).collect();
                problems.several_studies(&spans, &names);
                Vec::new()
            }
            Pick::Named(wanted) => {
                let picked: Vec<&Block> = self.own.iter().copied().filter(|block| name(block) == wanted).collect();
                if picked.is_empty() {
                    let text = format!("--study {wanted}");
                    let line = map.add("command line", None, text.clone());
                    problems.no_such_study(wanted, Span::new(line, "--study ".len(), text.len()), &names);
                }
                picked
            }
        }
    }

    /// Counts every name in the studies that nobody looks at as used.
    pub(super) fn touch_others(&self, picked: &[&'a Block], evaluator: &mut Evaluator<'a>) {
        for block in self.own.iter().filter(|block| !picked.iter().any(|one| std::ptr::eq(*one, **block))) {
            if let Some(first) = block.extends.as_ref().and_then(|extends| extends.names.first()) {
                evaluator.mark(&first.text, 0);
            }
            touch(block, evaluator);
        }
    }

    /// Does another study of the study's own file extend this one?
    pub(super) fn is_extended(&self, block: &Block) -> bool {
        self.own.iter().filter_map(|other| other.extends.as_ref()).any(|extends| match extends.names.as_slice() {
            [base] => base.text == name(block),
            _ => false,
        })
    }

    /// A study and all that it extends, the last base first; false if a base is missing, which has been told.
    pub(super) fn chain(
        &self,
        block: &'a Block,
        sources: &Sources,
        evaluator: &mut Evaluator<'a>,
    ) -> (Vec<Level<'a>>, bool) {
        let mut chain = vec![Level { block, file: 0 }];
        let mut complete = true;
        while let Some(Level { block, file }) = chain.last().copied() {
            let Some(extends) = &block.extends else { break };
            let next = self.find(&extends.names, file, sources, evaluator);
            let Some(next) = next else {
                let head = extends.names.first().map_or("", |name| name.text.as_str());
                if !evaluator.is_unknown(head, file) && !evaluator.is_doubtful(file) {
                    let written: Vec<&str> = extends.names.iter().map(|name| name.text.as_str()).collect();
                    let names: Vec<&str> =
                        self.visible.get(file).map_or_else(Vec::new, |v| v.keys().copied().collect());
                    evaluator.problems.no_study_to_extend(&written.join("."), extends.span, &names);
                }
                complete = false;
                break;
            };
            if let Some(from) = chain.iter().position(|level| std::ptr::eq(level.block, next.block)) {
                let mut circle: Vec<(Span, &str)> = chain
                    .iter()
                    .skip(from)
                    .map(|level| (level.block.extends.as_ref().map_or(level.block.span, |e| e.span), name(level.block)))
                    .collect();
                // told once, wherever it is entered
                let first = (0..circle.len()).min_by_key(|at| circle.get(*at).map(|(span, _)| *span)).unwrap_or(0);
                circle.rotate_left(first);
                evaluator.problems.studies_in_a_circle(&circle);
                complete = false;
                break;
            }
            if chain.len() >= DEEPEST_EXTENDS {
                evaluator.problems.extends_limit(DEEPEST_EXTENDS, extends.span);
                complete = false;
                break;
            }
            chain.push(next);
        }
        chain.reverse();
        (chain, complete)
    }

    /// The study that `extends` names, seen from a file.
    fn find(
        &self,
        names: &[Name],
        file: ScopeId,
        sources: &Sources,
        evaluator: &mut Evaluator<'a>,
    ) -> Option<Level<'a>> {
        let (first, rest) = names.split_first()?;
        evaluator.mark(&first.text, file);
        if rest.is_empty() {
            return self.visible.get(file)?.get(first.text.as_str()).copied();
        }
        let named = |alias: &Option<Name>| alias.as_ref().is_some_and(|alias| alias.text == first.text);
        let target =
            sources.all().get(file)?.uses().find(|(one, _)| named(&one.alias)).and_then(|(_, target)| target)?;
        self.find(rest, target, sources, evaluator)
    }
}

/// Counts every name in a block as used.
fn touch<'a>(block: &'a Block, evaluator: &mut Evaluator<'a>) {
    for entry in &block.entries {
        match entry {
            Entry::Setting(setting) | Entry::Vary(setting) => evaluator.touch(&setting.value, 0),
            Entry::Let(one) => evaluator.touch(&one.value, 0),
            Entry::Block(inner) => touch(inner, evaluator),
            Entry::Error(_) => evaluator.mark_all_used(),
        }
    }
}
