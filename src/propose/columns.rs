//! The columns of a table are told apart by their names and by what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Columns, LOOKED_UP, Patients, is_image, labels};
use crate::data::table::{Column, Table, is_missing, number};
use crate::diag::Problems;
use crate::host::{Host, Kind};

/// Marks between several labels, the likeliest first.
const MARKS: [char; 4] = ['|', ';', ',', '+'];
/// Most classes that a column is taken for labels with.
const MOST_CLASSES: usize = 50;
/// Most folders beneath the table's that images are looked for in.
const MOST_FOLDERS: usize = 200;

/// Columns that are given rather than found.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// The image column.
    pub image: Option<String>,
    /// The label column.
    pub label: Option<String>,
    /// The patient column.
    pub group: Option<String>,
    /// Each image is a patient of its own, whatever columns there are.
    pub no_group: bool,
}

/// What the columns are; `None` after telling what nobody can tell.
pub(super) fn find(
    host: &dyn Host,
    folder: &Path,
    written: &str,
    table: &Table,
    choices: &Choices,
    problems: &mut Problems,
) -> Option<Columns> {
    // a column in backticks cannot hold one
    let usable: Vec<(&str, &Column)> = table
        .names
        .iter()
        .filter(|name| !name.is_empty() && !name.contains('`') && table.names.iter().filter(|n| n == name).count() == 1)
        .filter_map(|name| Some((name.as_str(), table.column(name)?)))
        .collect();
    let given = |choice: &Option<String>, problems: &mut Problems| match choice {
        Some(name) if !usable.iter().any(|(known, _)| known == name) => {
            problems.no_such_column(name, &table.names, None, None);
            None
        }
        Some(_) | None => Some(()),
    };
    for choice in [&choices.image, &choices.label, &choices.group] {
        given(choice, problems)?;
    }
    let image = image(host, folder, &usable, choices.image.as_deref());
    let Some((image, under, there)) = image else {
        problems.column_not_told("image files", "--image", written, &table.names);
        return None;
    };
    let rest: Vec<(&str, &Column)> = usable.iter().copied().filter(|(name, _)| *name != image).collect();
    let Some((label, split_on)) = label(&rest, table.rows(), choices) else {
        problems.column_not_told("classes", "--label", written, &table.names);
        return None;
    };
    let others: Vec<(&str, &Column)> = rest.into_iter().filter(|(name, _)| *name != label).collect();
    let under = under.map(|below| {
        let table_folder = written.rsplit_once('/').map_or("", |(folder, _)| folder);
        if table_folder.is_empty() { below } else { format!("{table_folder}/{below}") }
    });
    let label_column = table.column(&label)?;
    let several = |mark: char| {
        let rows = (0..table.rows()).filter(|row| labels(label_column.text(*row), Some(mark)).len() > 1);
        (mark, rows.count())
    };
    let unlabelled = (0..table.rows()).filter(|row| label_column.text(*row).is_empty()).count();
    let group = patients(&others, table.rows(), choices.group.as_deref()).filter(|_| !choices.no_group);
    let apart: Vec<(&str, &Column)> =
        others.into_iter().filter(|(name, _)| group.as_ref().is_none_or(|group| group.column != *name)).collect();
    Some(Columns {
        image,
        under,
        there,
        label,
        split_on: split_on.map(several),
        unlabelled,
        age: age(&apart),
        view: view(&apart),
        group,
        alone: choices.no_group,
    })
}

/// The words of a name: `Patient ID`, `patient_id` and `patientId` are `patient` and `id`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let starts = !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if starts && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

fn says(name: &str, beginnings: &[&str]) -> bool {
    words(name).iter().any(|word| beginnings.iter().any(|start| word.starts_with(start)))
}

/// The column with names of image files, the folder they lie in beneath the table's, and how many of some are there.
fn image(
    host: &dyn Host,
    folder: &Path,
    columns: &[(&str, &Column)],
    given: Option<&str>,
) -> Option<(String, Option<String>, (usize, usize))> {
    let named = |column: &Column| {
        let cells = column.values().filter(|cell| is_image(cell)).count();
        cells * 10 >= column.distinct() * 9 && cells > 0
    };
    let wanted: Vec<&(&str, &Column)> =
        columns.iter().filter(|(name, column)| given.map_or_else(|| named(column), |given| given == *name)).collect();
    let folders = folders_below(host, folder);
    let mut best: Option<(String, Option<String>, (usize, usize))> = None;
    for (name, column) in wanted {
        let step = column.distinct().div_ceil(LOOKED_UP).max(1);
        let sample: Vec<&str> = column.values().filter(|cell| !cell.is_empty()).step_by(step).collect();
        for below in &folders {
            let root = folder.join(below);
            // the first few tell whether it is worth asking for the others
            let there = |cells: &[&str]| {
                let file = |cell: &&&str| host.stat(&root.join(cell)).is_ok_and(|stat| stat.kind == Kind::File);
                cells.iter().filter(|cell| crate::host::stays_beneath(cell)).filter(file).count()
            };
            let few = sample.get(..sample.len().min(5)).unwrap_or_default();
            let found = if there(few) > 0 { there(&sample) } else { 0 };
            if best.as_ref().is_none_or(|(_, _, (most, _))| found > *most) {
                let under = (!below.is_empty()).then(|| below.clone());
                best = Some(((*name).to_owned(), under, (found, sample.len())));
            }
        }
    }
    best
}

/// The folder itself (an empty name) and those beneath it, two levels deep.
fn folders_below(host: &dyn Host, folder: &Path) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut at = 0;
    while let Some(below) = found.get(at).cloned() {
        at += 1;
        if below.matches('/').count() >= 1 {
            continue;
        }
        for name in host.list(&folder.join(&below)).unwrap_or_default() {
            // folders rarely have a dot in their name, and asking for each of a hundred thousand images takes a while
            let path: PathBuf = folder.join(&below).join(&name);
            if !name.contains('.') && host.stat(&path).is_ok_and(|stat| stat.kind == Kind::Folder) {
                found.push(if below.is_empty() { name } else { format!("{below}/{name}") });
            }
            if found.len() > MOST_FOLDERS {
                return found;
            }
        }
    }
    found
}

/// The column with classes, and what separates several in a cell.
fn label(columns: &[(&str, &Column)], rows: u32, choices: &Choices) -> Option<(String, Option<char>)> {
    let mut best: Option<(i32, String, Option<char>)> = None;
    // a column a finding: none of them holds the classes
    let findings = columns.iter().filter(|(name, column)| is_flag(column) && !says_other(name)).count() > 1;
    for (name, column) in columns {
        let given = choices.label.as_deref() == Some(name);
        if choices.label.is_some() && !given || choices.group.as_deref() == Some(name) {
            continue;
        }
        let (classes, mark) = classes_of(column);
        let numeric = column.values().all(|cell| is_missing(cell) || number(cell).is_some());
        let mut score = 0;
        if says(name, &["label", "finding", "class", "diagnos", "target", "disease", "patholog", "outcome"]) {
            score += 4;
        } else if findings && is_flag(column) {
            score -= 9;
        }
        if says_other(name) {
            score -= 4;
        }
        score += if (2..=MOST_CLASSES).contains(&classes) { 3 } else { -9 };
        score -= if numeric && classes > 10 { 4 } else { i32::from(numeric) };
        if column.distinct() >= rows as usize {
            score -= 9;
        }
        if (given || score > 0) && best.as_ref().is_none_or(|(most, ..)| score > *most) {
            best = Some((score, (*name).to_owned(), mark));
        }
    }
    best.map(|(_, name, mark)| (name, mark))
}

/// Does a column's name say that it holds something else than classes?
fn says_other(name: &str) -> bool {
    let other = ["sex", "gender", "view", "position", "age", "fold", "split", "id", "path", "file", "width"];
    says(name, &other) || says(name, &["height", "date", "patient", "site", "scanner", "follow", "row"])
}

/// Does a column say of one thing whether it is there: `1`, `0`, `-1` (unsure) or nothing?
fn is_flag(column: &Column) -> bool {
    let says = |cell: &str| number(cell).is_some_and(|one| [-1.0, 0.0, 1.0].contains(&one));
    column.values().any(says) && column.values().all(|cell| is_missing(cell) || says(cell))
}

/// How many classes a column would hold, and what would separate them.
fn classes_of(column: &Column) -> (usize, Option<char>) {
    for mark in MARKS {
        let parts: BTreeSet<&str> = column.values().flat_map(|cell| labels(cell, Some(mark))).collect();
        let joined = column.values().filter(|cell| labels(cell, Some(mark)).len() > 1).count();
        // a mark separates labels if the parts of joined cells also stand alone, mostly
        let alone: BTreeSet<&str> = column.values().filter(|cell| !cell.contains(mark)).collect();
        let known =
            column.values().flat_map(|cell| labels(cell, Some(mark))).filter(|part| alone.contains(part)).count();
        let all = column.values().map(|cell| labels(cell, Some(mark)).len()).sum::<usize>();
        if joined > 0 && parts.len() >= 2 && known * 2 >= all {
            return (parts.len(), Some(mark));
        }
    }
    (column.values().filter(|cell| !cell.is_empty()).count(), None)
}

/// The column that says whose image it is.
fn patients(columns: &[(&str, &Column)], rows: u32, given: Option<&str>) -> Option<Patients> {
    let mut best: Option<(i32, Patients)> = None;
    for (name, column) in columns {
        if given.is_some_and(|given| given != *name) {
            continue;
        }
        let mut images: BTreeMap<u32, usize> = BTreeMap::new();
        let mut nobody = 0;
        for row in 0..rows {
            match column.code(row) {
                Some(code) if !is_missing(column.text(row)) => *images.entry(code).or_default() += 1,
                Some(_) | None => nobody += 1,
            }
        }
        let (count, most) = (images.len(), images.values().copied().max().unwrap_or(0));
        let by_name = says(name, &["patient", "subject", "person", "participant", "individual", "mrn", "pid"]);
        let other = says(name, &["age", "sex", "gender", "view", "position", "date", "follow", "width", "height"]);
        let id = says(name, &["id", "nr", "number"]);
        // ids: far more of them than classes, some with several images, and of letters and digits
        let repeats = count * 10 >= images.values().sum::<usize>() && most > 1 && count >= 3;
        let looks = column.values().filter(|cell| cell.contains(|c: char| c.is_ascii_digit())).count() * 10
            >= column.distinct() * 9;
        let mut score = if by_name { 5 } else { 0 };
        score += i32::from(id) * 2 + i32::from(repeats) + i32::from(looks);
        score -= i32::from(other) * 6;
        let enough = if by_name { score >= 5 } else { id && repeats && looks && !other };
        if (given.is_some() || enough) && best.as_ref().is_none_or(|(high, _)| score > *high) {
            best = Some((score, Patients { column: (*name).to_owned(), count, most, nobody, by_name }));
        }
    }
    best.map(|(_, patients)| patients)
}

fn age(columns: &[(&str, &Column)]) -> Option<(String, f64, f64)> {
    let (name, column) = columns.iter().find(|(name, _)| words(name).iter().any(|word| word == "age"))?;
    let ages: Vec<f64> = column.numbers().ok()?.into_iter().flatten().collect();
    let (low, high) = ages.iter().fold((f64::MAX, f64::MIN), |(low, high), age| (low.min(*age), high.max(*age)));
    (!ages.is_empty()).then(|| ((*name).to_owned(), low, high))
}

fn view(columns: &[(&str, &Column)]) -> Option<(String, Vec<String>)> {
    let (name, column) = columns.iter().find(|(name, _)| says(name, &["view", "projection"]))?;
    let views: Vec<String> = column.values().filter(|view| !view.is_empty()).map(str::to_owned).collect();
    (1..=8).contains(&views.len()).then(|| ((*name).to_owned(), views))
}
