//! The variants of a study as its tree names them, while it may not be whole yet.
//!
//! `check` knows them all; here are those that need no value worked out: the fields of a record, and the names and
//! calls of a list.

use crate::syntax::ast::{Block, Entry, Expr, ExprKind, File, Item, Setting};

/// More variants than these are not listed.
const MOST: usize = 100;

/// The names of the variants of the study around a byte; none if one of them is not plain.
pub(super) fn variants(file: &File, at: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for axis in axes(file, at) {
        let labels = labels_of(&axis.value);
        if labels.is_empty() || labels.len() * names.len().max(1) > MOST {
            return Vec::new();
        }
        names = if names.is_empty() {
            labels
        } else {
            names.iter().flat_map(|name| labels.iter().map(move |label| format!("{name}/{label}"))).collect()
        };
    }
    names
}

/// What the `vary` of a setting, `train.loss` or `loss`, offers.
pub(super) fn labels(file: &File, at: usize, path: &str) -> Vec<String> {
    let called = |axis: &&Setting| {
        let names: Vec<&str> = axis.path.names.iter().map(|name| name.text.as_str()).collect();
        names.join(".") == path || names.last() == Some(&path)
    };
    axes(file, at).find(called).map(|axis| labels_of(&axis.value)).unwrap_or_default()
}

/// The `vary` lines of the study around a byte.
fn axes(file: &File, at: usize) -> impl Iterator<Item = &Setting> {
    let around = move |block: &&Block| {
        let place = block.span.range();
        block.keyword.text == "study" && place.start <= at && at <= place.end
    };
    let study = file.items.iter().find_map(|item| match item {
        Item::Block(block) => Some(block).filter(around),
        Item::Param(_) | Item::Let(_) | Item::Use(_) | Item::Error(_) => None,
    });
    study.into_iter().flat_map(|study| &study.entries).filter_map(|entry| match entry {
        Entry::Vary(axis) => Some(axis),
        Entry::Setting(_) | Entry::Block(_) | Entry::Let(_) | Entry::Error(_) => None,
    })
}

/// The labels of an axis, if all are plain and no two alike.
#[expect(clippy::wildcard_enum_match_arm, reason = "anything else has a label that only its value gives")]
fn labels_of(value: &Expr) -> Vec<String> {
    let label = |item: &Expr| match &item.kind {
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Member { name, .. } => Some(name.text.clone()),
        ExprKind::Call { callee, .. } => match &callee.kind {
            ExprKind::Name(name) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    };
    let labels: Vec<String> = match &value.kind {
        ExprKind::Record(fields) => fields.iter().map(|field| field.name.text.clone()).collect(),
        ExprKind::List(items) => items.iter().map(label).collect::<Option<_>>().unwrap_or_default(),
        _ => Vec::new(),
    };
    let twice = labels.iter().enumerate().any(|(at, one)| labels.iter().take(at).any(|before| before == one));
    if twice { Vec::new() } else { labels }
}
