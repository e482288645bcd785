//! Where rows come from: a text table, folders of images, or phantoms, all as a [`Table`] of the columns in use.

use std::io;
use std::path::Path;

use crate::diag::{Problems, suggest};
use crate::host::{Host, Kind};
use crate::images::phantom;
use crate::source::Span;
use crate::study::{Places, Source};

use super::PatientColumn;
use super::csv::{self, Unreadable};
use super::table::{Column, Table};

/// The columns of folders of images.
const FOLDER_COLUMNS: [&str; 2] = ["image", "label"];
/// The columns of phantoms.
const PHANTOM_COLUMNS: [&str; 6] = ["image", "label", "patient", "age", "sex", "view"];

/// A column that the study uses, and where it says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use<'a> {
    pub(super) column: &'a str,
    pub(super) at: Option<Span>,
}

/// Reads the used columns, and says whether all of them are there, each once; those that are not are told of. `None`
/// after telling why the source cannot be read.
pub(super) fn open(
    source: &Source,
    uses: &[Use<'_>],
    base: &Path,
    host: &dyn Host,
    places: &Places,
    found: &mut Problems,
) -> Option<(Table, bool)> {
    let at = places.nearest("data.table");
    match source {
        Source::Csv { path } => read_csv(path, uses, base, host, at, found),
        Source::Folder { root } => {
            let table = list_folders(root, base, host, at, found)?;
            let whole = has_columns(&table.names, uses, at, found);
            Some((table, whole))
        }
        Source::Phantoms { images, patients, seed } => {
            let table = phantoms(*images, *patients, *seed);
            let whole = has_columns(&table.names, uses, at, found);
            Some((table, whole))
        }
    }
}

/// Are all used columns there, each once? Tells of every one that is not.
fn has_columns(names: &[String], uses: &[Use<'_>], table: Option<Span>, found: &mut Problems) -> bool {
    let mut all = true;
    for (at_use, Use { column, at }) in uses.iter().enumerate() {
        match names.iter().filter(|name| name == column).count() {
            0 => found.no_such_column(column, names, *at, table),
            1 => continue,
            // Once is enough, however many settings use it.
            _ if uses.get(..at_use).is_some_and(|before| before.iter().any(|used| used.column == *column)) => continue,
            times => found.column_twice(column, times, *at, table),
        }
        all = false;
    }
    all
}

fn read_csv(
    path: &Path,
    uses: &[Use<'_>],
    base: &Path,
    host: &dyn Host,
    at: Option<Span>,
    found: &mut Problems,
) -> Option<(Table, bool)> {
    let written = path.to_string_lossy();
    let bytes = match host.read(&base.join(path)) {
        Ok(bytes) => bytes,
        Err(_) if host.stat(&base.join(path)).is_ok_and(|stat| stat.kind == Kind::Folder) => {
            found.table_is_folder(&written, at);
            return None;
        }
        Err(error) => {
            let near = near_file(&base.join(path), path, host);
            found.table_not_read(&written, why(&error), near.as_deref(), at);
            return None;
        }
    };
    let header = match csv::header(&bytes) {
        Ok(header) => header,
        Err(unreadable) => {
            tell(&unreadable, &written, at, found);
            return None;
        }
    };
    let whole = has_columns(&header.names, uses, at, found);
    let mut wanted: Vec<usize> =
        uses.iter().filter_map(|used| header.names.iter().position(|name| name == used.column)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    match csv::read(&bytes, &header, &wanted) {
        Ok(table) => Some((table, whole)),
        Err(unreadable) => {
            tell(&unreadable, &written, at, found);
            None
        }
    }
}

/// The column of a table that looks like the patients', if there is one.
#[must_use]
pub fn patient_column(source: &Source, base: &Path, host: &dyn Host) -> Option<PatientColumn> {
    let Source::Csv { path } = source else { return None };
    let bytes = host.read(&base.join(path)).ok()?;
    let header = csv::header(&bytes).ok()?;
    let looks_right = |name: &str| {
        let name = name.to_lowercase();
        ["patient", "subject", "person", "case_id"].iter().any(|word| name.contains(word))
    };
    let names = || header.names.iter().enumerate().filter(|(_, name)| looks_right(name));
    let (at, name) = names().find(|(_, name)| name.to_lowercase().contains("id")).or_else(|| names().next())?;
    let (rows, patients) = match csv::read(&bytes, &header, &[at]) {
        Ok(table) => {
            let column = table.column(name)?;
            (table.rows() as usize, column.values().filter(|cell| !cell.is_empty()).count())
        }
        Err(_) => (0, 0),
    };
    Some(PatientColumn { name: name.clone(), rows, patients })
}

/// The names of a source's columns; `None` if it cannot be read.
#[must_use]
pub fn column_names(source: &Source, base: &Path, host: &dyn Host) -> Option<Vec<String>> {
    match source {
        Source::Csv { path } => Some(csv::header(&host.read(&base.join(path)).ok()?).ok()?.names),
        Source::Folder { .. } => Some(FOLDER_COLUMNS.map(str::to_owned).to_vec()),
        Source::Phantoms { .. } => Some(PHANTOM_COLUMNS.map(str::to_owned).to_vec()),
    }
}

/// One column of a source; `None` if it cannot be read, or has no such column.
#[must_use]
pub fn read_column(source: &Source, base: &Path, host: &dyn Host, name: &str) -> Option<Column> {
    let uses = [Use { column: name, at: None }];
    open(source, &uses, base, host, &Places::default(), &mut Problems::new())?.0.column(name).cloned()
}

/// Every column of a table that no study names yet; `None` after telling why it cannot be read.
pub fn whole_table(host: &dyn Host, path: &Path, found: &mut Problems) -> Option<Table> {
    let written = path.to_string_lossy();
    let bytes = match host.read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let near = near_file(path, path, host);
            found.table_not_read(&written, why(&error), near.as_deref(), None);
            return None;
        }
    };
    let table = csv::header(&bytes).and_then(|header| {
        let all: Vec<usize> = (0..header.names.len()).collect();
        csv::read(&bytes, &header, &all)
    });
    table.map_err(|unreadable| tell(&unreadable, &written, None, found)).ok()
}

/// What the system says, without the machine's own paths.
#[expect(clippy::wildcard_enum_match_arm, reason = "the system has many kinds of errors")]
pub(super) fn why(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file",
        io::ErrorKind::PermissionDenied => "its permissions forbid it",
        io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => "it is not a regular file",
        io::ErrorKind::NotADirectory => "it is not a folder",
        _ => "the system reports a read error",
    }
}

/// Another file beside the missing one with nearly its name, as the study would write it.
fn near_file(full: &Path, written: &Path, host: &dyn Host) -> Option<String> {
    let names = host.list(full.parent()?).ok()?;
    let wanted = full.file_name()?.to_string_lossy();
    let near = suggest::nearest(&wanted, names.iter().map(String::as_str).filter(|name| *name != wanted))?;
    Some(written.with_file_name(near).to_string_lossy().into_owned())
}

fn tell(unreadable: &Unreadable, path: &str, at: Option<Span>, found: &mut Problems) {
    let save = "save the table as \"CSV UTF-8\" and name that file";
    match unreadable {
        Unreadable::Empty => found.table_is_no_text(path, "empty", "the first line names the columns", at),
        Unreadable::Workbook => found.table_is_no_text(path, "a workbook or zip archive, not a text table", save, at),
        Unreadable::Compressed => found.table_is_no_text(path, "compressed", "unpack it once with gunzip", at),
        Unreadable::Utf16 => found.table_is_no_text(path, "UTF-16 text", save, at),
        Unreadable::Binary => found.table_is_no_text(path, "not a text table", save, at),
        Unreadable::NotUtf8 { line, column, as_latin1 } => {
            found.table_not_utf8(path, *line, column.as_deref(), as_latin1, at);
        }
        Unreadable::Cells { line, cells, columns, rows, spans_lines } => {
            found.table_row_ragged(*line, (*cells, *columns), rows.saturating_sub(1), *spans_lines, at);
        }
    }
}

/// One folder a class: columns `image` (`class/file.png`) and `label`, sorted by both.
fn list_folders(root: &Path, base: &Path, host: &dyn Host, at: Option<Span>, found: &mut Problems) -> Option<Table> {
    let written = root.to_string_lossy();
    let full = base.join(root);
    let entries = match host.list(&full) {
        Ok(entries) => entries,
        Err(error) => {
            found.table_not_read(&written, why(&error), near_file(&full, root, host).as_deref(), at);
            return None;
        }
    };
    let (mut images, mut labels, mut folders) = (Column::default(), Column::default(), 0);
    for folder in entries.iter().filter(|entry| !entry.starts_with('.')) {
        let path = full.join(folder);
        if !host.stat(&path).is_ok_and(|stat| stat.kind == Kind::Folder) {
            continue;
        }
        folders += 1;
        for file in host.list(&path).unwrap_or_default().iter().filter(|file| is_image(file)) {
            images.push(&format!("{folder}/{file}"));
            labels.push(folder);
        }
    }
    let rows = u32::try_from(images.distinct()).unwrap_or(u32::MAX);
    if rows == 0 {
        found.folder_without_images(&written, folders, at);
        return None;
    }
    let [image, label] = FOLDER_COLUMNS.map(str::to_owned);
    let columns = vec![(image, images), (label, labels)];
    Some(Table::new(FOLDER_COLUMNS.map(str::to_owned).to_vec(), columns, (1..=rows).collect()))
}

fn is_image(file: &str) -> bool {
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    !file.starts_with('.') && ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn phantoms(images: u32, patients: u32, seed: u64) -> Table {
    let names = PHANTOM_COLUMNS.map(str::to_owned);
    let mut columns = names.clone().map(|name| (name, Column::with_capacity(images as usize)));
    let mut lines = Vec::with_capacity(images as usize);
    for (row, line) in phantom::rows(images, patients, seed).iter().zip(2_u32..) {
        let age = row.age.to_string();
        let cells = [row.image.as_str(), row.label, &row.patient, &age, row.sex, row.view];
        for ((_, column), cell) in columns.iter_mut().zip(cells) {
            column.push(cell);
        }
        lines.push(line);
    }
    Table::new(names.to_vec(), columns.into(), lines)
}
