//! What the study's table holds, for whoever writes about it: the names of its columns, their cells, a few figures.
//!
//! A file is read once for each time it changes (by size and time of change), and a column once it is asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::desk::Desk;
use crate::check::{Overrides, check_file};
use crate::data::table::{Column, is_missing, number};
use crate::data::{column_names, read_column};
use crate::diag::render::visible;
use crate::host::{Host, Kind, Stat};
use crate::study::Source;

/// More distinct cells than this are not offered one by one.
const MOST_CELLS: usize = 500;
/// Cells named in a column's description.
const NAMED_CELLS: usize = 8;

/// A host that knows studies and nothing else: a check with it takes no time, whatever the table's size.
struct WithoutData<'d>(&'d Desk);

impl Host for WithoutData<'_> {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        if path.extension().is_some_and(|end| end == "pipe") { self.0.read(path) } else { Err(absent()) }
    }

    fn stat(&self, path: &Path) -> std::io::Result<Stat> {
        if path.extension().is_some_and(|end| end == "pipe") { self.0.stat(path) } else { Err(absent()) }
    }

    fn list(&self, _: &Path) -> std::io::Result<Vec<String>> {
        Err(absent())
    }

    fn read_beneath(&self, _: &Path, _: &str) -> std::io::Result<Vec<u8>> {
        Err(absent())
    }
}

fn absent() -> std::io::Error {
    std::io::ErrorKind::NotFound.into()
}

/// What is kept of one table.
#[derive(Debug)]
struct Held {
    stat: Option<Stat>,
    names: Arc<Vec<String>>,
    columns: BTreeMap<String, Arc<Column>>,
}

/// The tables that were asked for.
#[derive(Debug, Default)]
pub(super) struct Tables {
    held: BTreeMap<String, Held>,
}

/// A study's table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    source: Source,
    base: PathBuf,
}

impl Table {
    /// The table that the study around a byte of a document reads, with `param`s and `let`s filled in; the first one's
    /// outside of all.
    pub(super) fn of(document: &Path, at: usize, desk: &Desk, overrides: &Overrides) -> Option<Self> {
        let sources = check_file(&WithoutData(desk), document, overrides).sources;
        let around = sources.iter().find(|(study, _)| study.range().contains(&at));
        let (_, source) = around.or_else(|| sources.first())?.clone();
        Some(Self { source, base: document.parent().map(Path::to_path_buf).unwrap_or_default() })
    }

    /// Its file's name as the study writes it.
    pub(super) fn name(&self) -> String {
        match &self.source {
            Source::Csv { path } => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Source::Folder { root } => root.to_string_lossy().into_owned(),
            Source::Phantoms { .. } => "phantoms".to_owned(),
        }
    }

    fn stat(&self, desk: &Desk) -> Option<Stat> {
        match &self.source {
            Source::Csv { path } | Source::Folder { root: path } => desk.stat(&self.base.join(path)).ok(),
            Source::Phantoms { .. } => Some(Stat { kind: Kind::Other, size: 0, stamp: 0, changed: 0 }),
        }
    }

    fn key(&self) -> String {
        format!("{:?} {}", self.source, self.base.display())
    }
}

impl Tables {
    fn held(&mut self, table: &Table, desk: &Desk) -> Option<&mut Held> {
        let stat = table.stat(desk);
        let held = self.held.entry(table.key()).or_insert_with(|| Held {
            stat: None,
            names: Arc::default(),
            columns: BTreeMap::new(),
        });
        if held.stat.is_none() || held.stat != stat {
            let names = column_names(&table.source, &table.base, desk)?;
            *held = Held { stat, names: Arc::new(names), columns: BTreeMap::new() };
        }
        Some(held)
    }

    /// The names of a table's columns, in its order.
    pub(super) fn names(&mut self, table: &Table, desk: &Desk) -> Arc<Vec<String>> {
        self.held(table, desk).map(|held| Arc::clone(&held.names)).unwrap_or_default()
    }

    /// One column.
    pub(super) fn column(&mut self, table: &Table, name: &str, desk: &Desk) -> Option<Arc<Column>> {
        let held = self.held(table, desk)?;
        if let Some(column) = held.columns.get(name) {
            return Some(Arc::clone(column));
        }
        let column = Arc::new(read_column(&table.source, &table.base, desk, name)?);
        held.columns.insert(name.to_owned(), Arc::clone(&column));
        Some(column)
    }

    /// The distinct cells of a column with how often each occurs, the most frequent first; none of a column with too
    /// many. Cells with several labels are taken apart at `split_on`.
    pub(super) fn cells(
        &mut self,
        table: &Table,
        name: &str,
        split_on: Option<&str>,
        desk: &Desk,
    ) -> Vec<(String, usize)> {
        let Some(column) = self.column(table, name, desk) else { return Vec::new() };
        let mut cells: BTreeMap<&str, usize> = BTreeMap::new();
        for (cell, rows) in column.values().zip(counts(&column)) {
            let parts: Vec<&str> = match split_on {
                Some(mark) if !mark.is_empty() => cell.split(mark).map(str::trim).collect(),
                _ => vec![cell],
            };
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                *cells.entry(part).or_default() += rows;
            }
            if cells.len() > MOST_CELLS {
                return Vec::new();
            }
        }
        let mut cells: Vec<(String, usize)> = cells.into_iter().map(|(cell, rows)| (cell.to_owned(), rows)).collect();
        cells.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        cells
    }

    /// What a column holds, in Markdown: type, rows, distinct values, missing cells, the most frequent ones.
    pub(super) fn about(&mut self, table: &Table, name: &str, desk: &Desk) -> Option<String> {
        let column = self.column(table, name, desk)?;
        Some(visible(&describe(name, &table.name(), &column)))
    }
}

/// How many rows hold each distinct cell.
fn counts(column: &Column) -> Vec<usize> {
    let mut counts = vec![0; column.distinct()];
    let codes = (0_u32..).map_while(|row| column.code(row));
    for code in codes {
        if let Some(count) = counts.get_mut(code as usize) {
            *count += 1;
        }
    }
    counts
}

fn describe(name: &str, table: &str, column: &Column) -> String {
    let counts = counts(column);
    let rows: usize = counts.iter().sum();
    let cells: Vec<(&str, usize)> = column.values().zip(counts).collect();
    let (missing, held): (Vec<_>, Vec<_>) = cells.into_iter().partition(|(cell, _)| is_missing(cell));
    let missing: usize = missing.iter().map(|(_, rows)| rows).sum();
    let numbers: Vec<Option<f64>> = held.iter().map(|(cell, _)| number(cell)).collect();
    let all: Option<Vec<f64>> = numbers.iter().copied().collect();
    let kind = match all {
        Some(all) if !all.is_empty() => {
            let least = all.iter().copied().fold(f64::INFINITY, f64::min);
            let most = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let whole = if all.iter().all(|one| one.fract() == 0.0) { "whole numbers" } else { "numbers" };
            format!("{whole} from {least} to {most}")
        }
        _ => match numbers.iter().filter(|number| number.is_none()).count() {
            some if some < held.len() => {
                let first = held.iter().zip(&numbers).find(|(_, number)| number.is_none());
                let first = first.map_or("", |((cell, _), _)| *cell);
                format!("texts ({} of {} distinct cells are numbers; not `{first}`)", held.len() - some, held.len())
            }
            _ => "texts".to_owned(),
        },
    };
    let mut docs = format!(
        "**`{name}`** of `{table}`: {kind}\n\n{rows} rows, {} distinct, {}",
        held.len(),
        if missing == 0 { "none missing".to_owned() } else { format!("{missing} missing") },
    );
    let mut frequent: Vec<&(&str, usize)> = held.iter().filter(|(_, rows)| *rows > 1).collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    if !frequent.is_empty() && held.len() * 2 <= rows.max(2) {
        docs.push_str("\n\n| cell | rows |\n|---|--:|\n");
        for (cell, rows) in frequent.iter().take(NAMED_CELLS) {
            let cell: String = cell.replace('|', "\\|").chars().take(60).collect();
            docs.push_str(&format!("| `{cell}` | {rows} |\n"));
        }
        if frequent.len() > NAMED_CELLS {
            docs.push_str(&format!("\nand {} more", held.len() - NAMED_CELLS));
        }
    }
    docs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str]) -> Column {
        let mut column = Column::with_capacity(cells.len());
        for cell in cells {
            column.push(cell);
        }
        column
    }

    #[test]
    fn a_column_is_told_by_what_it_holds() {
        let ages = describe("age", "t.csv", &column(&["16", "40", "", "16", "NA", "16"]));
        assert!(
            ages.contains("whole numbers from 16 to 40") && ages.contains("6 rows, 2 distinct, 2 missing"),
            "{ages}"
        );
        assert!(ages.contains("| `16` | 3 |"), "{ages}");
        let mixed = describe("age", "t.csv", &column(&["16", "058Y"]));
        assert!(mixed.contains("texts (1 of 2 distinct cells are numbers; not `058Y`)"), "{mixed}");
        let empty = describe("x", "t.csv", &column(&[]));
        assert!(empty.contains("0 rows, 0 distinct, none missing"), "{empty}");
    }
}
