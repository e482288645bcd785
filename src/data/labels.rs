//! Cells of the label column become classes: split, merged, and held against the list of classes.
//!
//! Merging comes before counting: `Pneumonia|Infiltration` is one label if both are merged into one.

use std::collections::BTreeMap;

use indexmap::IndexSet;

use crate::diag::Problems;
use crate::study::{Data, Multiclass, Places, WhenMany, WhenOther};

use super::table::{Column, Table};

/// What becomes of the rows with a certain cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are of a class.
    Class(u32),
    /// They carry several labels and are left out.
    Several,
    /// Their label is no class, or empty, and they are left out.
    Other,
}

/// The classes and the fate of each distinct cell of the label column.
pub(super) struct Labelling {
    /// In the order of the outputs.
    pub(super) classes: Vec<String>,
    /// By code of the cell.
    pub(super) fates: Vec<Fate>,
}

/// A label with its rows.
type Counted = (String, usize);

/// Rows by distinct cell.
struct Counts {
    /// In the whole table.
    all: Vec<usize>,
    /// Among the rows kept.
    kept: Vec<usize>,
    /// The first kept row of each.
    first: Vec<u32>,
}

impl Counts {
    fn new(column: &Column, table_rows: u32, rows: &[u32]) -> Self {
        let mut all = vec![0; column.distinct()];
        let mut kept = vec![0; column.distinct()];
        let mut first = vec![u32::MAX; column.distinct()];
        for code in (0..table_rows).filter_map(|row| column.code(row)) {
            if let Some(count) = all.get_mut(code as usize) {
                *count += 1;
            }
        }
        for (row, code) in rows.iter().filter_map(|row| Some((*row, column.code(*row)?))) {
            if let (Some(count), Some(first)) = (kept.get_mut(code as usize), first.get_mut(code as usize)) {
                *count += 1;
                *first = row.min(*first);
            }
        }
        Self { all, kept, first }
    }
}

/// Gives each cell its class. Tells of everything that does not fit (E0202, E0203, E0204).
pub(super) fn assign(data: &Data, table: &Table, rows: &[u32], places: &Places, found: &mut Problems) -> Labelling {
    let Some(column) = table.column(&data.label) else {
        return Labelling { classes: Vec::new(), fates: Vec::new() };
    };
    let counts = Counts::new(column, table.rows(), rows);
    let mut names: IndexSet<&str> = IndexSet::new();
    let cells = labels_of_cells(data, column, &mut names);
    check_merge(data, column, &counts, places, found);

    // The one label that counts in each cell.
    let chosen: Vec<Option<usize>> = cells
        .iter()
        .map(|labels| match (labels.as_slice(), data.labels.when_many) {
            ([], _) | ([_, _, ..], WhenMany::Drop) => None,
            // After E0202 the first one stands in, so that other problems are found as well.
            ([first], _) | ([first, ..], WhenMany::First | WhenMany::Error) => Some(*first),
        })
        .collect();
    let several = several_labels(data, table, column, &cells, &counts, places, found);

    let classes: IndexSet<&str> = if let Some(given) = &data.classes {
        given.iter().map(String::as_str).collect()
    } else {
        let occurring = chosen.iter().zip(&counts.kept).filter(|(_, rows)| **rows > 0);
        let mut classes: Vec<&str> = occurring.filter_map(|(label, _)| names.get_index((*label)?).copied()).collect();
        classes.sort_unstable();
        classes.into_iter().collect()
    };
    let fates: Vec<Fate> = cells
        .iter()
        .zip(&chosen)
        .map(|(labels, chosen)| match chosen {
            None if labels.len() > 1 => Fate::Several,
            None => Fate::Other,
            Some(label) => names
                .get_index(*label)
                .and_then(|label| classes.get_index_of(label))
                .and_then(|class| u32::try_from(class).ok())
                .map_or(Fate::Other, Fate::Class),
        })
        .collect();

    let labelling = Labelling { classes: classes.iter().map(|class| (*class).to_owned()).collect(), fates };
    let mut others = labels_left_over(&names, &chosen, &classes, &counts.kept);
    let none_fits = check_classes(data, &labelling, &names, &cells, &counts, &mut others, places, found);
    if data.labels.when_other == WhenOther::Error && !none_fits && !several {
        check_others(data, table, &cells, &counts, &others, rows.len(), places, found);
    }
    labelling
}

/// The distinct labels of each cell, split and merged, as positions in `names`.
fn labels_of_cells<'c>(data: &'c Data, column: &'c Column, names: &mut IndexSet<&'c str>) -> Vec<Vec<usize>> {
    let into: BTreeMap<&str, &str> = data
        .merge
        .iter()
        .flat_map(|(class, labels)| labels.iter().map(|label| (label.as_str(), class.as_str())))
        .collect();
    column
        .values()
        .map(|cell| {
            let mut labels = Vec::new();
            for part in parts(cell, &data.labels) {
                let label = names.insert_full(into.get(part).copied().unwrap_or(part)).0;
                if !labels.contains(&label) {
                    labels.push(label);
                }
            }
            labels
        })
        .collect()
}

fn parts<'c>(cell: &'c str, labels: &'c Multiclass) -> Vec<&'c str> {
    match labels.split_on.as_deref() {
        Some(separator) if !separator.is_empty() => {
            cell.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect()
        }
        Some(_) | None if cell.is_empty() => Vec::new(),
        Some(_) | None => vec![cell],
    }
}

/// E0202, whether the study says how cells are split or not; true if it was told.
fn several_labels(
    data: &Data,
    table: &Table,
    column: &Column,
    cells: &[Vec<usize>],
    counts: &Counts,
    places: &Places,
    found: &mut Problems,
) -> bool {
    let (separator, codes): (&str, Vec<usize>) = match data.labels.split_on.as_deref() {
        Some(separator) if data.labels.when_many == WhenMany::Error => {
            (separator, (0..cells.len()).filter(|code| cells.get(*code).is_some_and(|cell| cell.len() > 1)).collect())
        }
        None if data.labels.when_other == WhenOther::Error || data.classes.is_none() => {
            unsplit(data, column, counts).unwrap_or_default()
        }
        Some(_) | None => return false,
    };
    let rows: usize = codes.iter().filter_map(|code| counts.kept.get(*code)).sum();
    let Some(first) = codes.iter().filter_map(|code| counts.first.get(*code)).min().filter(|_| rows > 0) else {
        return false;
    };
    found.several_labels(
        (column.text(*first), table.line(*first)),
        rows,
        separator,
        places.nearest("data.label"),
        places.get("data.labels"),
    );
    true
}

/// Cells that look like several labels though the study does not split them: all of their parts stand alone elsewhere.
fn unsplit(data: &Data, column: &Column, counts: &Counts) -> Option<(&'static str, Vec<usize>)> {
    let meant = |cell: &str| {
        data.classes.iter().flatten().any(|class| class == cell)
            || data.merge.values().flatten().any(|label| label == cell)
    };
    let stands_alone =
        |part: &str| column.find(part).is_some_and(|code| counts.all.get(code as usize).is_some_and(|rows| *rows > 0));
    for separator in ["|", ";", ","] {
        let several = |cell: &str| {
            let parts: Vec<&str> = cell.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect();
            parts.len() > 1 && parts.iter().all(|part| stands_alone(part))
        };
        let codes: Vec<usize> = column
            .values()
            .enumerate()
            .filter(|(code, cell)| {
                counts.kept.get(*code).is_some_and(|rows| *rows > 0) && !meant(cell) && several(cell)
            })
            .map(|(code, _)| code)
            .collect();
        if !codes.is_empty() {
            return Some((separator, codes));
        }
    }
    None
}

/// Labels of kept rows that are no class, most frequent first.
fn labels_left_over(
    names: &IndexSet<&str>,
    chosen: &[Option<usize>],
    classes: &IndexSet<&str>,
    kept: &[usize],
) -> Vec<Counted> {
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for (label, count) in chosen.iter().zip(kept).filter(|(_, count)| **count > 0) {
        if let Some(name) = label.and_then(|label| names.get_index(label))
            && !classes.contains(name)
        {
            *rows.entry(name).or_default() += count;
        }
    }
    let mut others: Vec<Counted> = rows.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect();
    others.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    others
}

/// E0203 for each listed class without a row; takes the labels that were meant out of `others`. True if no class at
/// all occurs, when one problem says it.
#[expect(clippy::too_many_arguments, reason = "one question about everything known of the labels")]
fn check_classes(
    data: &Data,
    labelling: &Labelling,
    names: &IndexSet<&str>,
    cells: &[Vec<usize>],
    counts: &Counts,
    others: &mut Vec<Counted>,
    places: &Places,
    found: &mut Problems,
) -> bool {
    if data.classes.is_none() {
        return false;
    }
    let rows_of = |class: usize, counts: &[usize]| -> usize {
        let wanted = u32::try_from(class).ok().map(Fate::Class);
        labelling.fates.iter().zip(counts).filter(|(fate, _)| Some(**fate) == wanted).map(|(_, rows)| rows).sum()
    };
    let empty: Vec<usize> = (0..labelling.classes.len()).filter(|class| rows_of(*class, &counts.kept) == 0).collect();
    let none_fits = empty.len() == labelling.classes.len();
    let told = if none_fits { empty.get(..1) } else { empty.get(..) }.unwrap_or_default();
    let occurring = others.clone();
    for (position, class) in told.iter().filter_map(|at| Some((*at, labelling.classes.get(*at)?))) {
        let at = places.nearest(&format!("data.classes.{position}"));
        let label = names.get_index_of(class.as_str());
        let with_others: usize = cells
            .iter()
            .zip(&counts.kept)
            .filter(|(labels, _)| label.is_some_and(|label| labels.contains(&label)))
            .map(|(_, rows)| rows)
            .sum();
        let removed = rows_of(position, &counts.all);
        if removed > 0 {
            found.class_removed((class, removed), "keep", at, places.nearest("data.keep"));
        } else if with_others > 0 {
            found.class_never_alone(class, with_others, at, places.nearest("data.labels"));
        } else {
            if let Some(near) = crate::diag::suggest::nearest(class, occurring.iter().map(|(name, _)| name.as_str())) {
                others.retain(|(name, _)| name != near);
            }
            found.class_never_occurs(class, &data.label, &occurring, at);
        }
    }
    none_fits
}

/// E0203 for labels in `merge` that no row carries.
fn check_merge(data: &Data, column: &Column, counts: &Counts, places: &Places, found: &mut Problems) {
    if data.merge.is_empty() {
        return;
    }
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for (cell, count) in column.values().zip(&counts.all) {
        for part in parts(cell, &data.labels) {
            *rows.entry(part).or_default() += count;
        }
    }
    let mut held: Vec<Counted> = rows.iter().map(|(label, rows)| ((*label).to_owned(), *rows)).collect();
    held.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (into, labels) in &data.merge {
        for label in labels.iter().filter(|label| !rows.contains_key(label.as_str())) {
            found.merged_label_never_occurs(label, into, &held, places.nearest("data.merge"));
        }
    }
}

/// E0204 for labels that are not listed and for empty cells.
#[expect(clippy::too_many_arguments, reason = "one question about everything known of the labels")]
fn check_others(
    data: &Data,
    table: &Table,
    cells: &[Vec<usize>],
    counts: &Counts,
    others: &[Counted],
    all: usize,
    places: &Places,
    found: &mut Problems,
) {
    let with_drop = describe(&Multiclass { when_other: WhenOther::Drop, ..data.labels.clone() });
    if !others.is_empty() {
        let rows = others.iter().map(|(_, rows)| rows).sum();
        let classes = places.nearest("data.classes");
        found.labels_not_listed(others, (rows, all), &with_drop, classes, places.nearest("data.label"));
    }
    let empty = cells.iter().enumerate().filter(|(_, labels)| labels.is_empty());
    let (mut rows, mut first) = (0, u32::MAX);
    for (code, _) in empty {
        rows += counts.kept.get(code).copied().unwrap_or(0);
        first = first.min(counts.first.get(code).copied().unwrap_or(u32::MAX));
    }
    if rows > 0 {
        found.labels_empty(&data.label, (rows, all), table.line(first), &with_drop, places.nearest("data.label"));
    }
}

/// `labels` as it would be written.
fn describe(labels: &Multiclass) -> String {
    let mut settings = Vec::new();
    if let Some(separator) = &labels.split_on {
        settings.push(format!("split_on = \"{separator}\""));
    }
    match labels.when_many {
        WhenMany::Error => {}
        WhenMany::Drop => settings.push("when_many = drop".to_owned()),
        WhenMany::First => settings.push("when_many = first".to_owned()),
    }
    match labels.when_other {
        WhenOther::Error => {}
        WhenOther::Drop => settings.push("when_other = drop".to_owned()),
    }
    format!("multiclass({})", settings.join(", "))
}
