//! `data { }` and `split { }` become [`Data`] and [`Split`].

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;

use super::reader::Reader;
use super::take::{Bound, Slot, Typed, bind, take, whole, wrong_shape};
use super::value::{Spanned, Value, describe};
use crate::catalog::{Block as Table, Family, Takes, blocks, count, sources};
use crate::diag::Problems;
use crate::source::Span;
use crate::study::{
    CrossValidation, Data, FoldKind, Group, ImageColumn, Limit, Multiclass, OnMissing, Predicate, Source, Split,
    WhenMany, WhenOther,
};

fn table(name: &str) -> &'static Table {
    blocks::block(name).expect("invariant: only names of the catalog are asked for")
}

/// Reads `data { }`; what is wrong is poisoned and stands on a placeholder.
pub(super) fn data(reader: &mut Reader<'_>) -> Data {
    let source = reader.operation(table("data"), "table").as_ref().and_then(source);
    require(reader, "table", "table = csv(\"labels.csv\")");
    let tabular = matches!(source, None | Some(Source::Csv { .. }));
    let source = source.unwrap_or_else(|| Source::Csv { path: PathBuf::new() });
    let image = image(reader, &source);
    let written_label = reader.text(table("data"), "label");
    if tabular {
        require(reader, "label", "label = `finding`");
    }
    let label = written_label.unwrap_or_else(|| "label".to_owned());
    let labels = labels(reader);
    let classes = classes(reader);
    let merge = merge(reader);
    let keep = keep(reader);
    let limit = limit(reader);
    let on_missing = match reader.word(table("data"), "on_missing") {
        Some("drop") => OnMissing::Drop,
        _ => OnMissing::Error,
    };
    let group = group(reader, &source);
    Data { source, image, label, labels, classes, merge, group, keep, limit, on_missing }
}

/// Reports a missing setting of `data`, unless something hides whether it is missing.
fn require(reader: &mut Reader<'_>, name: &str, example: &str) {
    let path = format!("data.{name}");
    if reader.is_written(&path) || !reader.sound(&[&path, "data.table"]) {
        return;
    }
    if let Some(place) = reader.places.nearest(&path) {
        let block = reader.places.get("data").is_some();
        reader.evaluator.problems.setting_missing("data", name, place, block, example);
    }
    reader.poison(&path);
}

fn source(bound: &Bound) -> Option<Source> {
    match bound.operation.name {
        "csv" => Some(Source::Csv { path: PathBuf::from(bound.text("path")?) }),
        "folder" => Some(Source::Folder { root: PathBuf::from(bound.text("root")?) }),
        "phantoms" => {
            let images = bound.whole("images")?;
            let patients = bound.whole("patients").unwrap_or(images.div_ceil(2));
            Some(Source::Phantoms { images, patients, seed: bound.seed("seed")? })
        }
        _ => None,
    }
}

fn image(reader: &mut Reader<'_>, source: &Source) -> Option<ImageColumn> {
    let bound = reader.operation(table("data"), "image");
    let path = match source {
        Source::Csv { path } => path,
        Source::Folder { .. } | Source::Phantoms { .. } => {
            if let (Some(span), Some(table)) = (reader.name_place("data.image"), reader.places.get("data.table")) {
                reader.evaluator.problems.image_without_table(span, table);
                reader.poison("data.image");
            }
            return None;
        }
    };
    require(reader, "image", "image = file(`image`)");
    let bound = bound?;
    let beside = || path.parent().map(PathBuf::from).unwrap_or_default();
    let under = bound.text("under").map_or_else(beside, PathBuf::from);
    Some(ImageColumn { column: bound.text("column")?.to_owned(), under })
}

fn labels(reader: &mut Reader<'_>) -> Multiclass {
    let bound = reader.operation(table("data"), "labels");
    let bound = bound.as_ref();
    let split_on = bound.and_then(|bound| bound.text("split_on")).map(str::to_owned);
    if let (Some(""), Some(bound)) = (split_on.as_deref(), bound) {
        let span = bound.place("split_on");
        reader.evaluator.problems.out_of_range("split_on", "at least one character", "empty", span, "");
        reader.poison("data.labels");
    }
    Multiclass {
        split_on,
        when_many: match bound.and_then(|bound| bound.word("when_many")) {
            Some("drop") => WhenMany::Drop,
            Some("first") => WhenMany::First,
            _ => WhenMany::Error,
        },
        when_other: match bound.and_then(|bound| bound.word("when_other")) {
            Some("drop") => WhenOther::Drop,
            _ => WhenOther::Error,
        },
    }
}

/// The texts of a list; `None` if there is anything else in it (reported).
fn texts(name: &str, value: &Spanned, wants: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let Value::List(items) = &value.value else {
        wrong_shape(name, wants, value, problems);
        return None;
    };
    let mut out = Vec::with_capacity(items.len());
    let mut sound = true;
    for item in items {
        match &item.value {
            Value::Text(words) => out.push(words.text.clone()),
            Value::Poison => sound = false,
            _ => {
                problems.text_wanted(name, &describe(&item.value), item.span);
                sound = false;
            }
        }
    }
    sound.then_some(out)
}

fn classes(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let (value, _) = reader.value("data.classes")?;
    if value.value == Value::Absent {
        return None;
    }
    let classes = texts("classes", &value, "a list of class names", &mut reader.evaluator.problems);
    let Some(classes) = classes else {
        reader.poison("data.classes");
        return None;
    };
    if let Value::List(items) = &value.value {
        for (at, item) in items.iter().enumerate() {
            reader.places.set(format!("data.classes.{at}"), item.span);
            let first = items.iter().take(at).find(|before| before.value == item.value);
            if let (Some(first), Value::Text(words)) = (first, &item.value) {
                reader.evaluator.problems.class_twice(&words.text, first.span, item.span);
                reader.poison("data.classes");
            }
        }
    }
    if classes.len() < 2 {
        reader.evaluator.problems.one_class(classes.len(), value.span);
        reader.poison("data.classes");
    }
    Some(classes)
}

fn merge(reader: &mut Reader<'_>) -> IndexMap<String, Vec<String>> {
    let mut merge = IndexMap::new();
    let mut taken: BTreeMap<String, Span> = BTreeMap::new();
    let Some((value, _)) = reader.value("data.merge") else { return merge };
    let Value::Record(fields) = &value.value else {
        if !matches!(value.value, Value::Absent) {
            wrong_shape("merge", "new classes and the labels they take in", &value, &mut reader.evaluator.problems);
            reader.poison("data.merge");
        }
        return merge;
    };
    for (name, labels) in fields {
        let labels = texts(&name.text, labels, "a list of labels", &mut reader.evaluator.problems);
        let Some(labels) = labels else {
            reader.poison("data.merge");
            continue;
        };
        for label in &labels {
            if let Some(first) = taken.insert(label.clone(), name.span) {
                reader.evaluator.problems.label_merged_twice(label, first, name.span);
                reader.poison("data.merge");
            }
        }
        if merge.insert(name.text.clone(), labels).is_some() {
            reader.evaluator.problems.class_twice(&name.text, value.span, name.span);
            reader.poison("data.merge");
        }
    }
    merge
}

fn keep(reader: &mut Reader<'_>) -> Option<Predicate> {
    let met = reader.evaluator.columns.len();
    let (value, _) = reader.value("data.keep")?;
    for (column, span) in reader.evaluator.columns.get(met..).unwrap_or_default().to_vec() {
        reader.places.set(format!("data.keep.`{column}`"), span);
    }
    match value.value {
        Value::Condition(predicate) => Some(predicate),
        Value::Absent | Value::Bool(true) => None,
        _ => {
            wrong_shape("keep", "a condition over columns", &value, &mut reader.evaluator.problems);
            reader.poison("data.keep");
            None
        }
    }
}

/// An operation out of a setting that also takes other things.
fn operation(family: &'static Family, value: &Spanned, name: &str, problems: &mut Problems) -> Option<Bound> {
    let call = super::arithmetic::terms(value.value.clone(), value.span)?.pop()?.call;
    bind(family, &call, Slot { name, owner: "data", names: &[] }, problems)
}

fn limit(reader: &mut Reader<'_>) -> Option<Limit> {
    let (value, names) = reader.value("data.limit")?;
    let problems = &mut reader.evaluator.problems;
    let limit = match &value.value {
        Value::Absent => return None,
        Value::Call(_) | Value::Word(_) => operation(&sources::LIMITS, &value, "limit", problems)
            .and_then(|bound| bound.whole("images"))
            .map(Limit::Each),
        Value::Record(fields) => {
            let mut classes = IndexMap::new();
            let mut sound = true;
            for (name, value) in fields {
                let slot = Slot { name: &name.text, owner: "limit", names: &names };
                match take(&count("images"), value, slot, problems) {
                    Some(Typed::Number(number)) => {
                        if classes.insert(name.text.clone(), whole(number)).is_some() {
                            problems.class_twice(&name.text, value.span, name.span);
                            sound = false;
                        }
                    }
                    _ => sound = false,
                }
            }
            sound.then_some(Limit::PerClass(classes))
        }
        _ => {
            wrong_shape("limit", "`each(500)` or images a class, `{ \"normal\" = 500 }`", &value, problems);
            None
        }
    };
    if limit.is_none() {
        reader.poison("data.limit");
    }
    limit
}

fn group(reader: &mut Reader<'_>, source: &Source) -> Group {
    let placeholder = Group::None { because: String::new() };
    let Some((value, _)) = reader.value("data.group") else {
        return match source {
            Source::Phantoms { .. } => Group::Column("patient".to_owned()),
            // E0301 comes with the other rules, when the split is known.
            Source::Csv { .. } | Source::Folder { .. } => placeholder,
        };
    };
    let problems = &mut reader.evaluator.problems;
    let group = match &value.value {
        Value::Column(column) => Some(Group::Column(column.clone())),
        Value::Call(_) | Value::Word(_) => operation(&sources::GROUPS, &value, "group", problems)
            .and_then(|bound| bound.text("because").map(str::to_owned))
            .map(|because| Group::None { because }),
        Value::Poison => None,
        _ => {
            wrong_shape("group", "a column in backticks, or `none(because = \"...\")`", &value, problems);
            None
        }
    };
    if let Some(Group::None { because }) = &group
        && because.trim().is_empty()
    {
        problems.out_of_range("because", "a reason in words", "empty", value.span, "");
        reader.poison("data.group");
        return placeholder;
    }
    group.unwrap_or_else(|| {
        reader.poison("data.group");
        placeholder
    })
}

/// Reads `split { }`.
pub(super) fn split(reader: &mut Reader<'_>) -> Split {
    let (holdout, holdout_rows) = holdout(reader);
    let validation = reader.number(table("split"), "validation").unwrap_or(0.0);
    let bound = reader.operation(table("split"), "cv");
    let cv = bound.as_ref().and_then(cross_validation).unwrap_or(CrossValidation {
        kind: FoldKind::StratifiedGroupKFold,
        folds: 5,
        shuffle: true,
        seed: None,
    });
    let run = folds_run(reader, &cv);
    Split { holdout, holdout_rows, cv, validation, run }
}

/// A share of patients, or the condition under which a row is held out.
fn holdout(reader: &mut Reader<'_>) -> (f64, Option<Predicate>) {
    let Some((value, names)) = reader.value("split.holdout") else { return (0.0, None) };
    if let Value::Condition(predicate) = value.value {
        return (0.0, Some(predicate));
    }
    let slot = Slot { name: "holdout", owner: "split", names: &names };
    match take(&Takes::Share { from: 0.0, to: 0.9 }, &value, slot, &mut reader.evaluator.problems) {
        Some(Typed::Number(share)) => (share, None),
        Some(_) => (0.0, None),
        None => {
            reader.poison("split.holdout");
            (0.0, None)
        }
    }
}

fn cross_validation(bound: &Bound) -> Option<CrossValidation> {
    if bound.operation.name == "folds_from" {
        let kind = FoldKind::FoldsFrom(bound.text("column")?.to_owned());
        return Some(CrossValidation { kind, folds: 0, shuffle: false, seed: None });
    }
    let kind = match bound.operation.name {
        "kfold" => FoldKind::KFold,
        "stratified_kfold" => FoldKind::StratifiedKFold,
        "group_kfold" => FoldKind::GroupKFold,
        _ => FoldKind::StratifiedGroupKFold,
    };
    let seed = bound.seed("seed");
    let shuffle_written = bound.written().any(|(name, _)| name == "shuffle");
    let shuffle = bound.flag("shuffle")? || (seed.is_some() && !shuffle_written);
    Some(CrossValidation { kind, folds: bound.whole("folds")?, shuffle, seed })
}

fn folds_run(reader: &mut Reader<'_>, cv: &CrossValidation) -> Vec<u32> {
    let mut run = Vec::new();
    let Some((value, names)) = reader.value("split.run") else { return run };
    let Value::List(items) = &value.value else {
        if value.value != Value::Absent {
            wrong_shape("run", "a list of folds from 0, `[0]`", &value, &mut reader.evaluator.problems);
            reader.poison("split.run");
        }
        return run;
    };
    let to = if cv.folds == 0 { 1_000_000 } else { i64::from(cv.folds) - 1 };
    let folds = Takes::Whole { from: 0, to, counts: "" };
    for item in items {
        let slot = Slot { name: "run", owner: "split", names: &names };
        match take(&folds, item, slot, &mut reader.evaluator.problems) {
            Some(Typed::Number(number)) => run.push(whole(number)),
            _ => reader.poison("split.run"),
        }
    }
    if items.is_empty() {
        let problems = &mut reader.evaluator.problems;
        problems.out_of_range(
            "run",
            "a list of at least one fold",
            "empty",
            value.span,
            "leave the line out for all folds",
        );
        reader.poison("split.run");
    }
    run.sort_unstable();
    run.dedup();
    run
}
