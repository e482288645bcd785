//! The `data` block and its table become a [`Dataset`]: keep, label, group, look for the files, limit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::diag::{Problems, suggest};
use crate::host::Host;
use crate::source::Span;
use crate::study::{
    CrossValidation, Data, FoldKind, Group, Limit, OnMissing, Places, Predicate, Slice, Source, Split, Study, WhenMany,
    WhenOther,
};

use super::alone;
use super::files::{self, Presence};
use super::keep::{self, Mismatch};
use super::labels::{self, Fate};
use super::limit;
use super::source::{self, Use};
use super::table::{Column, Table, is_missing, number};
use super::{Dataset, FlowStep, Image, Origin};

/// A slice has at most so many parts; more are no parts but measurements.
const MOST_PARTS: usize = 30;

/// Reads the table and makes the data set; paths are taken relative to `base`, the study file's folder.
///
/// `None` after telling at least one error (E0201 to E0205, E0210 to E0213, E0903); warnings leave a data set.
/// Images keep the table's order. `seed` is the study's, for `limit`.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
pub fn build(
    data: &Data,
    split: &Split,
    slices: &[Slice],
    seed: u64,
    base: &Path,
    host: &dyn Host,
    places: &Places,
    problems: &mut Problems,
) -> Option<Dataset> {
    let mut found = Problems::new();
    let dataset = assemble(data, split, slices, seed, base, host, places, true, &mut found);
    let clean = !found.has_errors();
    problems.extend(found);
    dataset.filter(|_| clean)
}

/// The images that a study names, whether their files are there or not; `None` if even the table cannot be read so.
pub fn build_unseen(study: &Study, base: &Path, host: &dyn Host) -> Option<Dataset> {
    let places = Places::default();
    assemble(&study.data, &study.split, &[], study.seed, base, host, &places, false, &mut Problems::new())
}

/// Looks whether the table is there and has the columns that are named, as far as the settings that name them are
/// `sound`: what is wrong with another setting hides nothing of that.
pub fn look(
    data: &Data,
    split: &Split,
    base: &Path,
    host: &dyn Host,
    places: &Places,
    sound: &dyn Fn(&str) -> bool,
    problems: &mut Problems,
) {
    let mut named: Vec<(&str, &str)> = Vec::new();
    named.extend(data.image.as_ref().map(|image| ("data.image", image.column.as_str())));
    named.push(("data.label", &data.label));
    named.extend(group_column(data).map(|column| ("data.group", column)));
    named.extend(data.keep.iter().flat_map(keep::columns).map(|column| ("data.keep", column)));
    named.extend(split.holdout_rows.iter().flat_map(keep::columns).map(|column| ("split.holdout", column)));
    named.extend(folds_column(&split.cv).map(|column| ("split.cv", column)));
    let uses: Vec<Use<'_>> = named
        .into_iter()
        .filter(|(setting, _)| sound(setting))
        .map(|(setting, column)| Use { column, at: named_at(places, setting, column) })
        .collect();
    source::open(&data.source, &uses, base, host, places, problems);
}

/// Where a setting names a column: within a condition, that column alone.
fn named_at(places: &Places, setting: &str, column: &str) -> Option<Span> {
    places.nearest(&format!("{setting}.`{column}`"))
}

/// The column that holds file names, and where the files lie.
struct Files {
    column: String,
    under: PathBuf,
    /// As the study writes it; `.` for the study's own folder.
    written: String,
    origin: Origin,
    /// Phantoms and listed folders need no second look.
    look: bool,
}

fn files_of(data: &Data, base: &Path) -> Option<Files> {
    let files = match &data.source {
        Source::Csv { .. } => {
            // Its absence is `check`'s to tell.
            let image = data.image.as_ref()?;
            let under = base.join(&image.under);
            let written = match image.under.to_string_lossy().into_owned() {
                empty if empty.is_empty() => ".".to_owned(),
                written => written,
            };
            Files {
                column: image.column.clone(),
                origin: Origin::Files { under: under.clone() },
                under,
                written,
                look: true,
            }
        }
        Source::Folder { root } => {
            let under = base.join(root);
            let written = root.to_string_lossy().into_owned();
            Files {
                column: "image".into(),
                origin: Origin::Files { under: under.clone() },
                under,
                written,
                look: false,
            }
        }
        Source::Phantoms { images, patients, seed } => Files {
            column: "image".into(),
            under: PathBuf::new(),
            written: String::new(),
            origin: Origin::Phantoms { images: *images, patients: *patients, seed: *seed },
            look: false,
        },
    };
    Some(files)
}

fn folds_column(cv: &CrossValidation) -> Option<&str> {
    match &cv.kind {
        FoldKind::FoldsFrom(column) => Some(column),
        FoldKind::KFold | FoldKind::StratifiedKFold | FoldKind::GroupKFold | FoldKind::StratifiedGroupKFold => None,
    }
}

fn group_column(data: &Data) -> Option<&str> {
    match &data.group {
        Group::Column(column) => Some(column),
        Group::None { .. } => None,
    }
}

/// Every column that the study uses, in the order a reader meets them.
fn uses<'a>(data: &'a Data, split: &'a Split, slices: &'a [Slice], files: &'a Files, places: &Places) -> Vec<Use<'a>> {
    let mut uses = vec![
        Use { column: &files.column, at: places.nearest("data.image.column") },
        Use { column: &data.label, at: places.nearest("data.label") },
    ];
    uses.extend(group_column(data).map(|column| Use { column, at: places.nearest("data.group") }));
    let keep = data.keep.iter().flat_map(keep::columns);
    uses.extend(keep.map(|column| Use { column, at: named_at(places, "data.keep", column) }));
    let holdout = split.holdout_rows.iter().flat_map(keep::columns);
    uses.extend(holdout.map(|column| Use { column, at: places.nearest("split.holdout") }));
    uses.extend(folds_column(&split.cv).map(|column| Use { column, at: places.nearest("split.cv") }));
    let slice = |(at, slice): (usize, &'a Slice)| Use {
        column: &slice.column,
        at: places.nearest(&format!("evaluate.slices.{at}")),
    };
    uses.extend(slices.iter().enumerate().map(slice));
    uses
}

fn size(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The steps so far, and how to count patients.
struct Flow<'t> {
    steps: Vec<FlowStep>,
    group: Option<&'t Column>,
}

impl Flow<'_> {
    fn step(&mut self, what: &str, rows: &[u32]) {
        let patients = match self.group {
            None => rows.len(),
            Some(column) => {
                let mut seen = vec![false; column.distinct()];
                for code in rows.iter().filter_map(|row| column.code(*row)) {
                    if let Some(seen) = seen.get_mut(code as usize) {
                        *seen = !column.value(code).is_empty();
                    }
                }
                seen.iter().filter(|seen| **seen).count()
            }
        };
        self.steps.push(FlowStep { what: what.to_owned(), images: size(rows.len()), patients: size(patients) });
    }
}

#[expect(clippy::too_many_arguments, reason = "those of `build`")]
fn assemble(
    data: &Data,
    split: &Split,
    slices: &[Slice],
    seed: u64,
    base: &Path,
    host: &dyn Host,
    places: &Places,
    look: bool,
    found: &mut Problems,
) -> Option<Dataset> {
    let files = files_of(data, base)?;
    let uses = uses(data, split, slices, &files, places);
    let (table, whole) = source::open(&data.source, &uses, base, host, places, found)?;
    if !whole {
        labels_alone(data, &table, places, found);
        return None;
    }
    let group = match group_column(data) {
        Some(column) => Some(table.column(column)?),
        None => None,
    };
    let names = table.column(&files.column)?;
    let mut flow = Flow { steps: Vec::new(), group };
    let mut rows: Vec<u32> = (0..table.rows()).collect();
    flow.step("rows of the table", &rows);
    if rows.is_empty() {
        found.nothing_left(
            "a header and no rows below it",
            "each row of the table names one image",
            places.nearest("data.table"),
        );
        return None;
    }

    rows = apply_keep(data, &table, rows, &mut flow, places, found)?;
    let labelling = labels::assign(data, &table, &rows, places, found);
    let classes = apply_labels(data, &table, &labelling.fates, &mut rows, &mut flow);
    if rows.is_empty() {
        return tell_no_label_left(data, &flow, places, found);
    }
    check_patients(data, &table, group, &rows, places, found);
    if look && files.look {
        apply_presence(data, &files, &table, names, &mut rows, &mut flow, host, places, found);
    }
    let labels = labels_of(&table, data, &labelling.fates, &rows);
    let before_limit = class_totals(&labels, labelling.classes.len());
    if data.on_missing == OnMissing::Drop {
        tell_lost_classes(&labelling.classes, &classes, &before_limit, "on_missing", places, found);
    }
    if !found.has_errors() && labelling.classes.len() < 2 {
        let class = labelling.classes.first().map_or("", String::as_str);
        found.one_class_only(class, rows.len(), places.nearest("data.label"));
    }
    if found.has_errors() {
        return None;
    }

    let (patients, patient_of) = number_patients(group, names, &rows);
    let mut images: Vec<(u32, u32, u32)> =
        rows.iter().zip(&patient_of).zip(&labels).map(|((row, patient), label)| (*row, *patient, *label)).collect();
    if let Some(limit) = &data.limit {
        let quotas = quotas(limit, &labelling.classes, &before_limit, places, found);
        let pairs: Vec<(u32, u32)> = images.iter().map(|(_, patient, label)| (*patient, *label)).collect();
        let stays = limit::choose(&pairs, &patients, &quotas, seed);
        let mut stays = stays.into_iter();
        images.retain(|_| stays.next().unwrap_or(false));
        rows = images.iter().map(|(row, ..)| *row).collect();
        flow.step("limit", &rows);
        let labels: Vec<u32> = images.iter().map(|(_, _, label)| *label).collect();
        let after = class_totals(&labels, labelling.classes.len());
        tell_lost_classes(&labelling.classes, &before_limit, &after, "limit", places, found);
    }
    let given_folds = match folds_column(&split.cv) {
        Some(column) => Some(given_folds(column, &table, &rows, places, found)?),
        None => None,
    };
    let given_holdout = match &split.holdout_rows {
        Some(predicate) => Some(given_holdout(predicate, &table, &rows, places, found)?),
        None => None,
    };
    let dataset = finish(labelling.classes, &patients, &images, &table, names, flow.steps, files.origin.clone());
    // The network is not told these, or they are what is asked.
    let mut known = vec![files.column.as_str(), &data.label];
    known.extend(group_column(data).into_iter().chain(folds_column(&split.cv)));
    known.extend(split.holdout_rows.iter().flat_map(keep::columns));
    known.extend(slices.iter().map(|slice| slice.column.as_str()));
    let alone = alone::columns(&table, &rows, &dataset.images, dataset.classes.len(), &known);
    let columns = slice_columns(slices, &table, &rows, places, found);
    Some(Dataset { given_folds, given_holdout, alone, columns, ..dataset })
}

/// What is wrong with the labels of a table in which another column is missing, and with what names classes.
fn labels_alone(data: &Data, table: &Table, places: &Places, found: &mut Problems) {
    if table.names.iter().filter(|name| **name == data.label).count() != 1 {
        return;
    }
    let all: Vec<u32> = (0..table.rows()).collect();
    let kept = match &data.keep {
        Some(keep) if keep::columns(keep).iter().all(|column| table.column(column).is_some()) => {
            keep::rows(keep, table, &mut Vec::new()).unwrap_or(all)
        }
        Some(_) | None => all,
    };
    let labelling = labels::assign(data, table, &kept, places, found);
    if let Some(limit) = &data.limit {
        let labels = labels_of(table, data, &labelling.fates, &kept);
        quotas(limit, &labelling.classes, &class_totals(&labels, labelling.classes.len()), places, found);
    }
}

/// Keeps the rows for which `keep` holds.
fn apply_keep(
    data: &Data,
    table: &Table,
    rows: Vec<u32>,
    flow: &mut Flow<'_>,
    places: &Places,
    found: &mut Problems,
) -> Option<Vec<u32>> {
    let Some(predicate) = &data.keep else { return Some(rows) };
    let at = places.nearest("data.keep");
    let mut mismatches = Vec::new();
    let Some(kept) = keep::rows(predicate, table, &mut mismatches) else {
        tell_mismatches(&mismatches, table, at, found);
        return None;
    };
    flow.step("keep", &kept);
    if !kept.is_empty() {
        tell_slips(predicate, table, at, found);
    }
    let all = rows.len();
    let (part, left) = keep::strictest(predicate, table)?;
    if kept.is_empty() {
        let help = never_held(predicate, table).unwrap_or_else(|| "loosen `keep`".to_owned());
        found.nothing_left(&format!("{part} leaves {left} of {all} rows"), &help, at);
        return None;
    }
    if kept.len() * 2 < all {
        found.keep_removes_most(&part, (all - kept.len(), all, all - left as usize), at);
    }
    Some(kept)
}

fn tell_slips(predicate: &Predicate, table: &Table, at: Option<Span>, found: &mut Problems) {
    for (column, text, near) in keep::slips(predicate, table) {
        found.value_never_held(&column, &text, &near, at);
    }
}

fn tell_mismatches(mismatches: &[Mismatch], table: &Table, at: Option<Span>, found: &mut Problems) {
    for Mismatch { column, with_number, cell, row } in mismatches {
        if *with_number {
            found.column_holds_text(column, cell, table.line(*row), at);
        } else {
            found.column_holds_numbers(column, cell, table.line(*row), at);
        }
    }
}

/// Why a condition holds for no row, if that is a text which no cell is.
fn never_held(predicate: &Predicate, table: &Table) -> Option<String> {
    let (column, text, held) = keep::never_held(predicate, table)?;
    Some(match suggest::nearest(&text, held.iter().map(String::as_str)) {
        Some(near) => format!("`{column}` never holds \"{text}\"; did you mean \"{near}\"?"),
        None => format!("`{column}` never holds \"{text}\""),
    })
}

/// Is each row held out, as the table says?
fn given_holdout(
    predicate: &Predicate,
    table: &Table,
    rows: &[u32],
    places: &Places,
    found: &mut Problems,
) -> Option<Vec<bool>> {
    let at = places.nearest("split.holdout");
    let mut mismatches = Vec::new();
    let Some(held) = keep::rows(predicate, table, &mut mismatches) else {
        tell_mismatches(&mismatches, table, at, found);
        return None;
    };
    let held: Vec<bool> = rows.iter().map(|row| held.binary_search(row).is_ok()).collect();
    let count = held.iter().filter(|held| **held).count();
    if count == 0 || count == held.len() {
        found.holdout_of_all_or_none(count, held.len(), never_held(predicate, table).as_deref(), at);
        return None;
    }
    tell_slips(predicate, table, at, found);
    Some(held)
}

/// Keeps the rows that are of a class; the images of each class before and after nothing else was done.
fn apply_labels(data: &Data, table: &Table, fates: &[Fate], rows: &mut Vec<u32>, flow: &mut Flow<'_>) -> Vec<usize> {
    let Some(column) = table.column(&data.label) else { return Vec::new() };
    let fate = |row: u32| column.code(row).and_then(|code| fates.get(code as usize).copied()).unwrap_or(Fate::Other);
    rows.retain(|row| fate(*row) != Fate::Several);
    if data.labels.split_on.is_some() && data.labels.when_many == WhenMany::Drop {
        flow.step("several labels", rows);
    }
    rows.retain(|row| fate(*row) != Fate::Other);
    if data.labels.when_other == WhenOther::Drop {
        flow.step("labels that are no class", rows);
    }
    let classes = fates.iter().filter_map(|fate| match fate {
        Fate::Class(class) => Some(*class as usize + 1),
        Fate::Several | Fate::Other => None,
    });
    class_totals(&labels_of(table, data, fates, rows), classes.max().unwrap_or(0))
}

fn labels_of(table: &Table, data: &Data, fates: &[Fate], rows: &[u32]) -> Vec<u32> {
    let Some(column) = table.column(&data.label) else { return Vec::new() };
    let class = |row: &u32| match column.code(*row).and_then(|code| fates.get(code as usize)) {
        Some(Fate::Class(class)) => *class,
        Some(Fate::Several | Fate::Other) | None => 0,
    };
    rows.iter().map(class).collect()
}

fn class_totals(labels: &[u32], classes: usize) -> Vec<usize> {
    let mut totals = vec![0; classes];
    for label in labels {
        if let Some(total) = totals.get_mut(*label as usize) {
            *total += 1;
        }
    }
    totals
}

/// E0212 when labels leave nothing, unless E0202 to E0204 said why already.
fn tell_no_label_left<T>(data: &Data, flow: &Flow<'_>, places: &Places, found: &mut Problems) -> Option<T> {
    if !found.has_errors() {
        let before = flow.steps.iter().rev().find(|step| step.images > 0).map_or(0, |step| step.images);
        let (what, at, help) = match flow.steps.iter().find(|step| step.images == 0).map(|step| step.what.as_str()) {
            Some("several labels") => (
                "each of the rows left carries several labels",
                "data.labels",
                "let the first label count:  when_many = first",
            ),
            Some(_) | None => {
                ("no label is listed in `classes`, or all are empty", "data.labels", "is `label` the right column?")
            }
        };
        let what = format!("{what} ({before} in `{}`)", data.label);
        found.nothing_left(&what, help, places.nearest(at));
    }
    None
}

/// E0210.
fn check_patients(
    data: &Data,
    table: &Table,
    group: Option<&Column>,
    rows: &[u32],
    places: &Places,
    found: &mut Problems,
) {
    let (Some(column), Some(name)) = (group, group_column(data)) else { return };
    let Some(empty) = column.find("") else { return };
    let mut without = rows.iter().filter(|row| column.code(**row) == Some(empty));
    if let Some(first) = without.next() {
        let line = table.line(*first);
        found.rows_without_patient(name, 1 + without.count(), line, places.nearest("data.group"));
    }
}

/// E0903 and E0205, or leaves the rows out whose file is not there.
#[expect(clippy::too_many_arguments, reason = "a step of `assemble`, which holds all of these")]
fn apply_presence(
    data: &Data,
    files: &Files,
    table: &Table,
    names: &Column,
    rows: &mut Vec<u32>,
    flow: &mut Flow<'_>,
    host: &dyn Host,
    places: &Places,
    found: &mut Problems,
) {
    let at = places.nearest("data.image");
    let presence = files::presence(names, rows, &files.under, host);
    let held = |row: u32| names.code(row).and_then(|code| presence.get(code as usize).copied());
    let with = |wanted: Presence| rows.iter().copied().filter(move |row| held(*row) == Some(wanted));
    if let Some(first) = with(Presence::Leaves).next() {
        let count = with(Presence::Leaves).count();
        found.image_leaves_folder((names.text(first), table.line(first)), count, &files.written, at);
    }
    let Some(first) = with(Presence::Missing).next() else {
        if data.on_missing == OnMissing::Drop {
            flow.step("missing images", rows);
        }
        return;
    };
    let missing = with(Presence::Missing).count();
    if data.on_missing == OnMissing::Error || missing == rows.len() {
        let instead = files::nearly(names.text(first), &files.under, host);
        let first = (names.text(first), table.line(first));
        found.images_missing((missing, rows.len()), first, &files.written, instead.as_deref(), at);
    }
    rows.retain(|row| held(*row) == Some(Presence::There));
    if data.on_missing == OnMissing::Drop {
        flow.step("missing images", rows);
    }
}

/// E0203 for classes that had images before a step and have none after it.
fn tell_lost_classes(
    classes: &[String],
    before: &[usize],
    after: &[usize],
    setting: &str,
    places: &Places,
    found: &mut Problems,
) {
    if after.iter().all(|rows| *rows == 0) {
        return;
    }
    for ((class, before), after) in classes.iter().zip(before).zip(after) {
        if *before > 0 && *after == 0 {
            let at = places.nearest(&format!("data.{setting}"));
            found.class_removed((class, *before), setting, places.get("data.classes"), at);
        }
    }
}

/// The most images of each class; E0203 for a limit on a class that there is not.
fn quotas(
    limit: &Limit,
    classes: &[String],
    rows: &[usize],
    places: &Places,
    found: &mut Problems,
) -> Vec<Option<u32>> {
    match limit {
        Limit::Each(most) => vec![Some(*most); classes.len()],
        Limit::PerClass(most) => {
            for class in most.keys().filter(|class| !classes.contains(class)) {
                let known: Vec<(String, usize)> = classes.iter().cloned().zip(rows.iter().copied()).collect();
                found.class_never_occurs(class, "the classes of this study", &known, places.nearest("data.limit"));
            }
            classes.iter().map(|class| most.get(class).copied()).collect()
        }
    }
}

/// Names of the patients in order of first appearance, and the patient of each row.
fn number_patients<'t>(group: Option<&'t Column>, names: &'t Column, rows: &[u32]) -> (Vec<&'t str>, Vec<u32>) {
    let Some(column) = group else {
        return (rows.iter().map(|row| names.text(*row)).collect(), (0..size(rows.len())).collect());
    };
    let mut numbers: Vec<Option<u32>> = vec![None; column.distinct()];
    let mut patients = Vec::new();
    let mut patient_of = Vec::with_capacity(rows.len());
    for code in rows.iter().filter_map(|row| column.code(*row)) {
        let next = size(patients.len());
        let Some(number) = numbers.get_mut(code as usize) else { continue };
        patient_of.push(*number.get_or_insert_with(|| {
            patients.push(column.value(code));
            next
        }));
    }
    (patients, patient_of)
}

/// The fold of each row by the sorted distinct cells: as numbers if all are numbers, else as texts.
fn given_folds(name: &str, table: &Table, rows: &[u32], places: &Places, found: &mut Problems) -> Option<Vec<u32>> {
    let column = table.column(name)?;
    let at: Option<Span> = places.nearest("split.cv");
    let mut without = rows.iter().filter(|row| column.text(**row).is_empty());
    if let Some(first) = without.next() {
        found.rows_without_fold(name, 1 + without.count(), table.line(*first), at);
        return None;
    }
    let mut held = vec![false; column.distinct()];
    for code in rows.iter().filter_map(|row| column.code(*row)) {
        if let Some(held) = held.get_mut(code as usize) {
            *held = true;
        }
    }
    let mut folds: Vec<(usize, &str)> =
        column.values().enumerate().filter(|(code, _)| held.get(*code) == Some(&true)).collect();
    if folds.iter().all(|(_, text)| number(text).is_some()) {
        folds.sort_by(|a, b| {
            let (left, right) = (number(a.1).unwrap_or(0.0), number(b.1).unwrap_or(0.0));
            left.total_cmp(&right).then_with(|| a.1.cmp(b.1))
        });
    } else {
        folds.sort_by_key(|(_, text)| *text);
    }
    if let [(_, only)] = folds.as_slice() {
        found.one_fold_only(name, only, at);
        return None;
    }
    let mut fold_of = vec![0; column.distinct()];
    for (fold, (code, _)) in (0..).zip(&folds) {
        if let Some(held) = fold_of.get_mut(*code) {
            *held = fold;
        }
    }
    Some(rows.iter().filter_map(|row| fold_of.get(column.code(*row)? as usize).copied()).collect())
}

/// What the table says of each image in the columns that slices are made by.
fn slice_columns(
    slices: &[Slice],
    table: &Table,
    rows: &[u32],
    places: &Places,
    found: &mut Problems,
) -> IndexMap<String, Vec<String>> {
    let mut columns = IndexMap::new();
    for (at, slice) in slices.iter().enumerate() {
        let Some(column) = table.column(&slice.column) else { continue };
        let place = places.nearest(&format!("evaluate.slices.{at}"));
        let cells: Vec<String> = rows.iter().map(|row| column.text(*row).to_owned()).collect();
        if slice.edges.is_empty() {
            let values: BTreeSet<&str> = cells.iter().map(|cell| cell.trim()).collect();
            if values.len() > MOST_PARTS {
                let numbers = values.iter().all(|cell| is_missing(cell) || number(cell).is_some());
                found.too_many_parts(&slice.column, values.len(), MOST_PARTS, numbers, place);
            }
        } else if let Some((cell, row)) =
            cells.iter().zip(rows).find(|(cell, _)| !is_missing(cell.trim()) && number(cell.trim()).is_none())
        {
            found.bins_of_text(&slice.column, cell, table.line(*row), place);
        }
        columns.insert(slice.column.clone(), cells);
    }
    columns
}

fn finish(
    classes: Vec<String>,
    patients: &[&str],
    images: &[(u32, u32, u32)],
    table: &Table,
    names: &Column,
    flow: Vec<FlowStep>,
    origin: Origin,
) -> Dataset {
    // `limit` may have left patients out: number those that stay anew.
    let mut numbers: Vec<Option<u32>> = vec![None; patients.len()];
    let mut kept = Vec::new();
    let images = images
        .iter()
        .map(|(row, patient, label)| {
            let next = size(kept.len());
            let number = match numbers.get_mut(*patient as usize) {
                Some(number) => *number.get_or_insert_with(|| {
                    kept.push(patients.get(*patient as usize).copied().unwrap_or_default().to_owned());
                    next
                }),
                None => next,
            };
            Image { name: names.text(*row).to_owned(), row: table.line(*row), patient: number, label: *label }
        })
        .collect();
    Dataset {
        classes,
        patients: kept,
        images,
        flow,
        origin,
        given_folds: None,
        given_holdout: None,
        alone: Vec::new(),
        columns: IndexMap::new(),
    }
}
