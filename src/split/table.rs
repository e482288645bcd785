//! Folds become what people look at: the record's table, the terminal's, and one CSV row an image.

use std::fmt::Write as _;

use super::Folds;
use super::disjoint::{Leak, compare, portion};
use crate::data::Dataset;
use crate::record::{Portion, SplitTable};
use crate::study::{CrossValidation, FoldKind, Split};

/// The cross-validation as a study writes it: `stratified_group_kfold(5, shuffle = true, seed = 3)`.
#[must_use]
pub fn method(cv: &CrossValidation) -> String {
    let name = match &cv.kind {
        FoldKind::KFold => "kfold",
        FoldKind::StratifiedKFold => "stratified_kfold",
        FoldKind::GroupKFold => "group_kfold",
        FoldKind::StratifiedGroupKFold => "stratified_group_kfold",
        FoldKind::FoldsFrom(column) => return format!("folds_from(`{column}`)"),
    };
    let mut text = format!("{name}({}", cv.folds);
    if cv.shuffle {
        text.push_str(", shuffle = true");
        if let Some(seed) = cv.seed {
            let _ = write!(text, ", seed = {seed}");
        }
    }
    text.push(')');
    text
}

/// Who is in which fold, and the compared roles of the folds in `trained`. `accepted`: the study says that it leaks.
///
/// # Errors
/// A trained fold whose roles share a patient, unless that is accepted; see [`assert_disjoint`](super::assert_disjoint).
pub fn table(
    split: &Split,
    dataset: &Dataset,
    folds: &Folds,
    trained: &[u32],
    accepted: bool,
) -> Result<SplitTable, Leak> {
    let mut images = vec![Vec::new(); folds.count as usize];
    let mut held = Vec::new();
    for (image, fold) in folds.fold.iter().enumerate() {
        match fold {
            Some(fold) => images.get_mut(*fold as usize).into_iter().for_each(|images| images.push(image)),
            None => held.push(image),
        }
    }
    let portions: Vec<Portion> = images.iter().map(|images| portion(dataset, images)).collect();
    let mut roles = Vec::with_capacity(trained.len());
    for fold in trained {
        let (compared, leaks) = compare(dataset, &folds.roles(*fold));
        // A patient without a role is a slip, which nobody accepted.
        if let Some(leak) = leaks.into_iter().find(|leak| !accepted || matches!(leak, Leak::Missing { .. })) {
            return Err(leak);
        }
        roles.push(compared);
    }
    let worst = (0..dataset.classes.len()).map(|class| worst_share(&portions, class)).fold(0.0, f64::max);
    Ok(SplitTable {
        method: method(&split.cv),
        holdout: (!held.is_empty()).then(|| portion(dataset, &held)),
        folds: portions,
        roles,
        worst_imbalance: format!("{worst:.4}"),
    })
}

fn images_of(portion: &Portion, class: usize) -> u32 {
    portion.class_images.get(class).copied().unwrap_or(0)
}

/// Largest difference over folds between a fold's share of a class and 1/folds; 0 for a class without images.
fn worst_share(folds: &[Portion], class: usize) -> f64 {
    let total: f64 = folds.iter().map(|fold| f64::from(images_of(fold, class))).sum();
    if total == 0.0 {
        return 0.0;
    }
    let even = 1.0 / super::balance::as_f64(folds.len());
    folds.iter().map(|fold| (f64::from(images_of(fold, class)) / total - even).abs()).fold(0.0, f64::max)
}

/// One row an image, in the table's order: `image,patient,label,fold,role`.
///
/// `fold` counts from 0 and is empty for the hold-out; `role` is `fold` or `holdout`. Names are written as the table
/// has them, quoted as RFC 4180 says.
#[must_use]
pub fn csv(dataset: &Dataset, folds: &Folds) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    write_row(&mut writer, ["image", "patient", "label", "fold", "role"]);
    for (image, fold) in dataset.images.iter().zip(&folds.fold) {
        let patient = dataset.patients.get(image.patient as usize).map_or("", String::as_str);
        let label = dataset.classes.get(image.label as usize).map_or("", String::as_str);
        let (fold, role) = match fold {
            Some(fold) => (fold.to_string(), "fold"),
            None => (String::new(), "holdout"),
        };
        write_row(&mut writer, [&image.name, patient, label, &fold, role]);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

fn write_row(writer: &mut csv::Writer<Vec<u8>>, row: [&str; 5]) {
    writer.write_record(row).expect("invariant: memory takes rows of one length");
}

/// The table for the terminal: images and patients of each class in each fold, and how far shares are from even.
#[must_use]
pub fn text_table(table: &SplitTable, classes: &[String]) -> String {
    let columns: Vec<&Portion> = table.folds.iter().chain(&table.holdout).collect();
    let mut head = vec![String::new()];
    head.extend((0..table.folds.len()).map(|fold| format!("fold {fold}")));
    head.extend(table.holdout.iter().map(|_| "hold-out".to_owned()));
    head.push("off by".to_owned());
    let mut rows = vec![head];
    for (class, name) in classes.iter().enumerate() {
        let mut row = vec![printable(name)];
        row.extend(columns.iter().map(|portion| {
            format!("{} / {}", images_of(portion, class), portion.class_patients.get(class).copied().unwrap_or(0))
        }));
        row.push(format!("{:.2}%", 100.0 * worst_share(&table.folds, class)));
        rows.push(row);
    }
    let mut total = vec!["all".to_owned()];
    total.extend(columns.iter().map(|portion| format!("{} / {}", portion.images, portion.patients)));
    total.push(String::new());
    rows.push(total);

    let mut text = format!("{}: images / patients\n\n", printable(&table.method));
    text.push_str(&aligned(&rows));
    text.push_str("\n\"off by\": largest difference between a fold's share of a class's images and an even share\n");
    for roles in &table.roles {
        let _ = writeln!(
            text,
            "fold {}: train {}, validation {}, evaluation {}: {}, {} in all",
            roles.fold,
            counted(&roles.train),
            counted(&roles.validation),
            counted(&roles.evaluation),
            if roles.disjoint.len() < 6 { "PATIENTS IN SEVERAL ROLES, as accepted" } else { "no patient in two roles" },
            roles.union_patients,
        );
    }
    text
}

fn counted(portion: &Portion) -> String {
    format!("{} / {}", portion.images, portion.patients)
}

/// Names from a table, without what could steer a terminal.
fn printable(name: &str) -> String {
    name.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

/// The first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let width = *width;
            let _ = if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
