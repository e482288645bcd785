//! A table or a folder of class folders becomes a proposal of a study: which column is what, and how sure that is.
//!
//! Promises: every column of a proposal is one of the table's; what is guessed is told in the comments of the text
//! that [`text`] writes; nothing is proposed that rests on a column which is not there.

mod columns;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::data::table::Table;
use crate::diag::Problems;
use crate::host::{Host, Kind};

pub use columns::Choices;
pub use text::text;

/// Image files are told by these endings.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];
/// How many image files are looked up.
const LOOKED_UP: usize = 200;

/// A study as far as data tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its name.
    pub name: String,
    /// Where rows come from.
    pub rows: Rows,
    /// Classes and how many images each has, in order of name.
    pub classes: Vec<(String, usize)>,
    /// Classes with too few patients for two folds; they are left out, if at least two others stay.
    pub too_rare: Vec<String>,
    /// How many folds there are patients for.
    pub folds: usize,
    /// Leave rows out whose image is missing?
    pub drop_missing: bool,
}

/// Where rows come from, and what the columns are.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one exists at a time")]
pub enum Rows {
    /// A table.
    Table {
        /// As the study names it.
        path: String,
        /// Its rows.
        count: usize,
        /// Which column is what.
        columns: Columns,
    },
    /// One folder a class.
    Folder {
        /// As the study names it.
        path: String,
    },
}

/// Which column is what.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// Names of image files.
    pub image: String,
    /// The folder they lie in, as the study names it; `None`: that of the table.
    pub under: Option<String>,
    /// How many of those looked up are there, and how many were looked up.
    pub there: (usize, usize),
    /// The class.
    pub label: String,
    /// What separates several labels in a cell, and in how many rows there are several.
    pub split_on: Option<(char, usize)>,
    /// Rows without a label.
    pub unlabelled: usize,
    /// Whose image it is.
    pub group: Option<Patients>,
    /// Age and its bounds.
    pub age: Option<(String, f64, f64)>,
    /// View position and its values.
    pub view: Option<(String, Vec<String>)>,
    /// Did somebody say that each image is a patient of its own?
    pub alone: bool,
}

/// The patient column.
#[derive(Debug, Clone, PartialEq)]
pub struct Patients {
    /// Its name.
    pub column: String,
    /// How many patients there are.
    pub count: usize,
    /// Images of the patient who has most.
    pub most: usize,
    /// Rows that name nobody.
    pub nobody: usize,
    /// Does its name say so, or only what it holds?
    pub by_name: bool,
}

impl Proposal {
    /// Were any of the image files found?
    #[must_use]
    pub fn finds_images(&self) -> bool {
        match &self.rows {
            Rows::Table { columns, .. } => columns.there.0 > 0,
            Rows::Folder { .. } => true,
        }
    }
}

/// Proposes a study of a table; `written` is how the study names the file.
///
/// # Errors
/// Why the file is no table, or which column nobody can tell.
pub fn from_table(host: &dyn Host, path: &Path, written: &str, choices: &Choices) -> Result<Proposal, Problems> {
    let mut problems = Problems::new();
    let Some(table) = crate::data::whole_table(host, path, &mut problems) else { return Err(problems) };
    let folder = path.parent().unwrap_or(Path::new(""));
    let Some(columns) = columns::find(host, folder, written, &table, choices, &mut problems) else {
        return Err(problems);
    };
    let count = table.rows() as usize;
    let (classes, too_rare, folds) = classes(&table, &columns);
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    // a table that is called as all are says less than its folder
    let usual = ["labels", "data", "table", "metadata", "index", "train"].contains(&stem.to_lowercase().as_str());
    let folder = folder.file_name().filter(|_| usual).map(|name| name.to_string_lossy());
    let name = name_of(folder.as_deref().unwrap_or(&stem));
    let rows = Rows::Table { path: written.to_owned(), count, columns };
    Ok(Proposal { name, rows, classes, too_rare, folds, drop_missing: false })
}

/// Proposes a study of a folder with one folder a class.
///
/// # Errors
/// Why there are no classes.
pub fn from_folders(host: &dyn Host, path: &Path, written: &str) -> Result<Proposal, Problems> {
    let classes = class_folders(host, path).unwrap_or_default();
    if classes.len() < 2 {
        let mut problems = Problems::new();
        problems.no_class_folders(&path.display().to_string());
        return Err(problems);
    }
    let least = classes.iter().map(|(_, images)| *images).min().unwrap_or(2);
    let name = name_of(path.file_name().map(|name| name.to_string_lossy()).as_deref().unwrap_or("study"));
    let rows = Rows::Folder { path: written.to_owned() };
    Ok(Proposal { name, rows, classes, too_rare: Vec::new(), folds: least.clamp(2, 5), drop_missing: false })
}

/// Folders with images in a folder, and how many.
fn class_folders(host: &dyn Host, path: &Path) -> std::io::Result<Vec<(String, usize)>> {
    let mut classes = Vec::new();
    for name in host.list(path)? {
        if host.stat(&path.join(&name))?.kind == Kind::Folder {
            let images = host.list(&path.join(&name))?.iter().filter(|name| is_image(name)).count();
            if images > 0 {
                classes.push((name, images));
            }
        }
    }
    Ok(classes)
}

/// Does a name end as those of images do?
fn is_image(name: &str) -> bool {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    end.is_some_and(|end| ENDINGS.contains(&end.as_str()))
}

/// A name of letters, digits and `_` that may name a study.
fn name_of(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = text.chars().map(letter).take(40).collect();
    let name = name.trim_matches('_').to_owned();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("study_{name}") }
}

/// The labels of a cell.
fn labels(cell: &str, split_on: Option<char>) -> Vec<&str> {
    let parts: Vec<&str> = match split_on {
        Some(mark) => cell.split(mark).map(str::trim).collect(),
        None => vec![cell.trim()],
    };
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

/// Classes with their images, those that are too rare, and how many folds each of the others has patients for.
fn classes(table: &Table, columns: &Columns) -> (Vec<(String, usize)>, Vec<String>, usize) {
    let mut found: BTreeMap<&str, (usize, BTreeSet<&str>)> = BTreeMap::new();
    let Some(label) = table.column(&columns.label) else { return (Vec::new(), Vec::new(), 2) };
    let group = columns.group.as_ref().and_then(|group| table.column(&group.column));
    let image = table.column(&columns.image);
    let split_on = columns.split_on.map(|(mark, _)| mark);
    for row in 0..table.rows() {
        // without patients each image is one
        let whose = group.or(image).map_or("", |column| column.text(row));
        if let [one] = labels(label.text(row), split_on).as_slice()
            && !whose.is_empty()
        {
            let class = found.entry(*one).or_default();
            class.0 += 1;
            class.1.insert(whose);
        }
    }
    // with no two classes left, leaving some out would only hide what is the matter: the table is too small
    let enough = found.values().filter(|(_, whose)| whose.len() >= 2).count() >= 2;
    let rare = |patients: &BTreeSet<&str>| enough && patients.len() < 2;
    let too_rare = found.iter().filter(|(_, (_, whose))| rare(whose)).map(|(name, _)| (*name).to_owned()).collect();
    let folds = found.values().filter(|(_, whose)| !rare(whose)).map(|(_, whose)| whose.len()).min().unwrap_or(2);
    let classes = found.into_iter().filter(|(_, (_, whose))| !rare(whose)).map(|(name, (n, _))| (name.to_owned(), n));
    (classes.collect(), too_rare, folds.clamp(2, 5))
}
