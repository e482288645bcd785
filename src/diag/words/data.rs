//! Sentences about tables, labels and image files.

use std::fmt::Write as _;

use crate::data::table::is_ambiguous;
use crate::diag::{Code, Diagnostic, Problems, suggest};
use crate::source::Span;

/// A number with a space between thousands, `29 884`.
pub(super) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `29 884 rows`.
pub(super) fn counted(number: usize, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A share in whole percent, `72 %`; never `0 %` of something nor `100 %` of less than all.
pub(super) fn percent(part: usize, whole: usize) -> String {
    let share = if whole == 0 { 0 } else { (part * 200 + whole) / (whole * 2) };
    match (part, share) {
        (1.., 0) => "under 1 %".to_owned(),
        (part, 100..) if part < whole => "over 99 %".to_owned(),
        _ => format!("{share} %"),
    }
}

/// A text with nothing in it that a terminal would obey.
pub(super) fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_directional(c) { '\u{FFFD}' } else { c }).collect()
}

/// A text out of a table, safe and cut to 60 characters.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", safe(text.get(..end).unwrap_or_default())),
        None => safe(text),
    }
}

fn is_directional(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{061C}')
}

/// A name in backticks.
pub(super) fn name(text: &str) -> String {
    format!("`{}`", shown(text))
}

/// The first items of a list in lines under 80 columns, then `... (7 more)`.
pub(super) fn listed(lead: &str, items: &[String], most: usize) -> String {
    // One or two more are shorter than saying that there are.
    let most = if items.len() <= most + 2 { items.len() } else { most };
    let mut out = lead.to_owned();
    let mut width = lead.chars().count();
    for (at, item) in items.iter().take(most).enumerate() {
        let last = at + 1 == items.len();
        let length = item.chars().count() + usize::from(!last);
        if at > 0 && width + 1 + length > 76 {
            out.push_str("\n ");
            width = 1;
        }
        out.push(' ');
        out.push_str(item);
        if !last {
            out.push(',');
        }
        width += 1 + length;
    }
    if items.len() > most {
        let _ = write!(out, " ... ({} more)", count(items.len() - most));
    }
    out
}

/// Labels at places that may not have been written.
pub(super) trait Placed {
    /// Adds a label, if there is a place and no other label there yet.
    fn at(self, span: Option<Span>, text: impl Into<String>) -> Self;
}

impl Placed for Diagnostic {
    fn at(self, span: Option<Span>, text: impl Into<String>) -> Self {
        match span {
            Some(span) if self.labels.iter().all(|label| label.span != span) => self.label(span, text),
            Some(_) | None => self,
        }
    }
}

/// A label and how many rows carry it.
pub(super) type Counted = (String, usize);

fn with_counts(labels: &[Counted]) -> Vec<String> {
    labels.iter().map(|(label, rows)| format!("{} ({})", name(label), count(*rows))).collect()
}

// ------------------------------------------------------------------------------------------ the table

/// What to do with a cell that is no number.
fn plain_numbers(cell: &str) -> String {
    let doubt = if is_ambiguous(cell) {
        format!(
            "{} is {} to some readers and {} to others:\n",
            shown(cell),
            cell.replace(',', ""),
            cell.replace(',', ".")
        )
    } else {
        String::new()
    };
    format!("{doubt}write plain numbers into the column")
}

impl Problems {
    /// E0201: a setting names a column that the table does not have.
    pub fn no_such_column(&mut self, column: &str, columns: &[String], at: Option<Span>, table: Option<Span>) {
        let mut held: Vec<&str> = Vec::new();
        for name in columns {
            if !name.is_empty() && !held.contains(&name.as_str()) {
                held.push(name);
            }
        }
        let names: Vec<String> = held.iter().map(|held| name(held)).collect();
        let list = listed("columns:", &names, 4);
        let help = match suggest::nearest(column, held.iter().copied()) {
            Some(near) => format!("did you mean {}?\n{list}", name(near)),
            None => list,
        };
        self.push(
            Diagnostic::new(Code::E0201, format!("the table has no column {}", name(column)))
                .at(at, "no such column")
                .at(table, format!("{}, read just now", counted(columns.len(), "column")))
                .help(help),
        );
    }

    /// E0211: a column that is used has a namesake.
    pub fn column_twice(&mut self, column: &str, times: usize, at: Option<Span>, table: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0211, format!("the table has {times} columns called {}", name(column)))
                .at(at, "which of them?")
                .at(table, "read just now")
                .help("give each column of the table a name of its own"),
        );
    }

    /// E0211: the file is not there, or the system does not let us read it.
    pub fn table_not_read(&mut self, path: &str, why: &str, near: Option<&str>, at: Option<Span>) {
        let help = match near {
            Some(near) => format!("did you mean {}?", name(near)),
            None => "a relative path starts at the folder of the study file".to_owned(),
        };
        self.push(Diagnostic::new(Code::E0211, format!("{} cannot be read", name(path))).at(at, shown(why)).help(help));
    }

    /// E0211: a folder where a table is wanted.
    pub fn table_is_folder(&mut self, path: &str, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0211, format!("{} is a folder, not a table", name(path))).at(at, "a folder").help(
                format!(
                    "name a file in it, or, if it holds one folder a class, write\n  table = folder(\"{}\")",
                    shown(path)
                ),
            ),
        );
    }

    /// E0211: the file is no table in text form.
    pub fn table_is_no_text(&mut self, path: &str, what: &str, help: &str, at: Option<Span>) {
        self.push(Diagnostic::new(Code::E0211, format!("{} is {what}", name(path))).at(at, "read just now").help(help));
    }

    /// E0211: bytes that are no UTF-8, in the header (`column` is `None`) or in a cell.
    pub fn table_not_utf8(&mut self, path: &str, line: u32, column: Option<&str>, latin1: &str, at: Option<Span>) {
        let place = column.map_or_else(|| "the header".to_owned(), |column| format!("column {}", name(column)));
        self.push(
            Diagnostic::new(Code::E0211, format!("row {} of {} is not UTF-8 text", count(line), name(path)))
                .at(at, format!("{place} would read \"{}\" in Latin-1", shown(latin1)))
                .help("save the table as \"CSV UTF-8\", or convert it once:\n  iconv -f latin1 -t utf-8 old.csv > new.csv"),
        );
    }

    /// E0211: a row with another number of cells than the header.
    pub fn table_row_ragged(
        &mut self,
        line: u32,
        (cells, columns): (usize, usize),
        more: usize,
        spans_lines: bool,
        at: Option<Span>,
    ) {
        let others = match more {
            0 => String::new(),
            more => format!(" (and {} like it)", counted(more, "row")),
        };
        let help = if spans_lines {
            format!(
                "a quote (\") that opens in row {line} is not closed before the next lines:\nclose it, or double it if it is part of the text (\"\")"
            )
        } else {
            "give each row as many cells as the header; a cell that holds the\ndelimiter must stand in quotes: \"a, b\""
                .to_owned()
        };
        let message = format!("row {} has {}, the header {}", count(line), counted(cells, "cell"), count(columns));
        self.push(
            Diagnostic::new(Code::E0211, message).at(at, format!("the first such row is {line}{others}")).help(help),
        );
    }

    /// E0211: a folder that should hold one folder a class holds none with images.
    pub fn folder_without_images(&mut self, root: &str, folders: usize, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0211, format!("{} holds no folder with images", name(root)))
                .at(at, format!("{} in it, none with .png or .jpg files", counted(folders, "folder")))
                .help("put the images of each class into a folder of its own:\n  normal/a.png, normal/b.png, pneumonia/c.png"),
        );
    }

    /// E0213: a column of text is compared with a number.
    pub fn column_holds_text(&mut self, column: &str, cell: &str, line: u32, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0213, format!("{} is compared with a number, but holds text", name(column)))
                .at(at, format!("e.g. \"{}\" (row {})", shown(cell), count(line)))
                .help(format!(
                    "{} (an empty cell is a missing one),\nor compare with text:  keep = `{}` == \"{}\"",
                    plain_numbers(cell),
                    shown(column),
                    shown(cell)
                )),
        );
    }

    /// E0213: a slice by a column of too many values.
    pub fn too_many_parts(&mut self, column: &str, values: usize, most: usize, numbers: bool, at: Option<Span>) {
        let help = if numbers {
            format!("gather the numbers:  bins(`{}`, [0, 40, 65, 100])", shown(column))
        } else {
            "slice by a column with fewer values".to_owned()
        };
        self.push(
            Diagnostic::new(Code::E0213, format!("{} has too many values for figures of each", name(column)))
                .at(at, format!("{} values; a slice has at most {most} parts", count(values)))
                .help(help),
        );
    }

    /// E0213: bins of a column that holds text.
    pub fn bins_of_text(&mut self, column: &str, cell: &str, line: u32, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0213, format!("{} is gathered into bins, but holds text", name(column)))
                .at(at, format!("e.g. \"{}\" (row {})", shown(cell), count(line)))
                .help(format!(
                    "{} (an empty cell is a missing one),\nor take each value for a part:  slices = [`{}`]",
                    plain_numbers(cell),
                    shown(column)
                )),
        );
    }

    /// E0213: a column of numbers is compared with a text that is none.
    pub fn column_holds_numbers(&mut self, column: &str, cell: &str, line: u32, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0213, format!("{} is compared with a text, but holds numbers", name(column)))
                .at(at, format!("e.g. {} (row {})", shown(cell), count(line)))
                .help(format!("compare with a number:  keep = `{}` == {}", shown(column), shown(cell))),
        );
    }

    /// E0213: rows without a fold under `folds_from`.
    pub fn rows_without_fold(&mut self, column: &str, rows: usize, line: u32, at: Option<Span>) {
        let have = if rows == 1 { "has" } else { "have" };
        self.push(
            Diagnostic::new(Code::E0213, format!("{} {have} no fold in {}", counted(rows, "row"), name(column)))
                .at(at, format!("the first is row {}", count(line)))
                .help("fill the cells, or leave these rows out with `keep`"),
        );
    }

    /// E0213: `folds_from` with less than two folds.
    pub fn one_fold_only(&mut self, column: &str, cell: &str, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0213, format!("{} holds one fold only", name(column)))
                .at(at, format!("every row left says \"{}\"", shown(cell)))
                .help("at least two folds are needed; or let us deal them:\n  cv = stratified_group_kfold(5)"),
        );
    }
}

// -------------------------------------------------------------------------------------------- labels

impl Problems {
    /// E0202: a row with several labels where one class is asked.
    pub fn several_labels(
        &mut self,
        (cell, line): (&str, u32),
        rows: usize,
        separator: &str,
        label: Option<Span>,
        labels: Option<Span>,
    ) {
        let separator = shown(separator);
        let more = if rows > 1 { format!("; {} in all", counted(rows, "such row")) } else { String::new() };
        self.push(
            Diagnostic::new(Code::E0202, "one image can carry several findings, but `labels` is multiclass")
                .at(label, format!("e.g. \"{}\" (row {}){more}", shown(cell), count(line)))
                .at(labels, "wants exactly one class per image")
                .help(format!(
                    "keep single-finding images:  multiclass(split_on = \"{separator}\", when_many = drop)\n\
                     let the first one count:     multiclass(split_on = \"{separator}\", when_many = first)"
                )),
        );
    }

    /// E0203: a class that no row carries. `near` are labels that do occur and are not listed.
    pub fn class_never_occurs(&mut self, class: &str, column: &str, labels: &[Counted], at: Option<Span>) {
        let near = suggest::nearest(class, labels.iter().map(|(label, _)| label.as_str()));
        let rows = |label: &str| labels.iter().find(|(held, _)| held == label).map_or(0, |(_, rows)| *rows);
        let help = match near {
            Some(near) => format!("did you mean {} ({})?", name(near), counted(rows(near), "row")),
            None if labels.is_empty() => "take it out of `classes`".to_owned(),
            None => listed("labels that occur:", &with_counts(labels), 4),
        };
        self.push(
            Diagnostic::new(Code::E0203, format!("class {} occurs 0 times", name(class)))
                .at(at, format!("no row has it in {}", name(column)))
                .help(help),
        );
    }

    /// E0203: a class all of whose rows a setting (`keep`, `limit`, `on_missing`) removes.
    pub fn class_removed(
        &mut self,
        (class, rows): (&str, usize),
        setting: &str,
        classes: Option<Span>,
        at: Option<Span>,
    ) {
        self.push(
            Diagnostic::new(Code::E0203, format!("class {} occurs 0 times in the rows kept", name(class)))
                .at(classes, "listed here")
                .at(at, format!("removes all {} of it", counted(rows, "row")))
                .help(format!("loosen `{setting}`, or take the class out of `classes`")),
        );
    }

    /// E0203: a class that only ever stands beside others, in rows that are left out.
    pub fn class_never_alone(&mut self, class: &str, rows: usize, classes: Option<Span>, labels: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0203, format!("class {} never occurs alone", name(class)))
                .at(classes, "listed here")
                .at(labels, format!("leaves out its {}: each has other labels too", counted(rows, "row")))
                .help("take the class out of `classes`, or let the first label count:\n  when_many = first"),
        );
    }

    /// E0203: `merge` takes in a label that no row carries.
    pub fn merged_label_never_occurs(&mut self, label: &str, into: &str, labels: &[Counted], at: Option<Span>) {
        let help = match suggest::nearest(label, labels.iter().map(|(label, _)| label.as_str())) {
            Some(near) => format!("did you mean {}?", name(near)),
            None => listed("labels that occur:", &with_counts(labels), 4),
        };
        self.push(
            Diagnostic::new(Code::E0203, format!("{} occurs 0 times, so nothing of it can be merged", name(label)))
                .at(at, format!("merged into {}", name(into)))
                .help(help),
        );
    }

    /// E0204: rows with labels that `classes` does not list; `others` in falling order of rows.
    pub fn labels_not_listed(
        &mut self,
        others: &[Counted],
        (rows, all): (usize, usize),
        multiclass: &str,
        classes: Option<Span>,
        label: Option<Span>,
    ) {
        let message = format!(
            "{} of rows carry {} that `classes` does not list",
            percent(rows, all),
            counted(others.len(), "label")
        );
        let first: Vec<Counted> = others.iter().take(3).cloned().collect();
        let more = match others.len() - first.len() {
            0 => String::new(),
            more => format!(", ... ({more} more)"),
        };
        self.push(
            Diagnostic::new(Code::E0204, message)
                .at(classes, format!("without {}{more}", with_counts(&first).join(", ")))
                .at(label, format!("{} of {}", count(rows), counted(all, "row")))
                .help(format!(
                    "add them, `merge` them into a class, or leave their rows out:\n  labels = {multiclass}"
                )),
        );
    }

    /// E0204: rows whose label is empty.
    pub fn labels_empty(
        &mut self,
        column: &str,
        (rows, all): (usize, usize),
        line: u32,
        multiclass: &str,
        label: Option<Span>,
    ) {
        let have = if rows == 1 { "has" } else { "have" };
        self.push(
            Diagnostic::new(Code::E0204, format!("{} {have} no {}", counted(rows, "row"), name(column)))
                .at(label, format!("{} of {}; the first is row {}", count(rows), counted(all, "row"), count(line)))
                .help(format!("fill the cells, or leave their rows out:\n  labels = {multiclass}")),
        );
    }

    /// E0212: no row is left. `culprit` says what removed the last ones.
    pub fn nothing_left(&mut self, culprit: &str, help: &str, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0212, "no rows are left to learn from").at(at, safe(culprit)).help(safe(help)),
        );
    }

    /// E0212: a hold-out of every row, or of none.
    pub fn holdout_of_all_or_none(&mut self, held: usize, all: usize, why: Option<&str>, at: Option<Span>) {
        let (message, label) = if held == 0 {
            ("`holdout` holds out no image", format!("holds for none of the {}", counted(all, "row")))
        } else {
            ("`holdout` leaves no image to learn from", format!("holds for each of the {}", counted(all, "row")))
        };
        let help = why.unwrap_or("hold out the rows of one value:  holdout = `split` == \"test\"");
        self.push(Diagnostic::new(Code::E0212, message).at(at, label).help(safe(help)));
    }

    /// E0212: a single class is left.
    pub fn one_class_only(&mut self, class: &str, rows: usize, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0212, "one class only is left, so there is nothing to tell apart")
                .at(at, format!("each of the {} is {}", counted(rows, "row"), name(class)))
                .help("at least two classes are needed: is `label` the right column?"),
        );
    }

    /// W0215: a condition with a value that its column does not hold.
    pub fn value_never_held(&mut self, column: &str, text: &str, near: &str, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::W0215, format!("{} never holds \"{}\"", name(column), shown(text)))
                .at(at, "so this part of the condition is the same for every row")
                .help(format!("did you mean \"{}\"?", shown(near))),
        );
    }

    /// W0208: `keep` leaves less than half of the table.
    /// (`by_part`: rows that the strictest part of the condition, `condition`, removes by itself.)
    pub fn keep_removes_most(
        &mut self,
        condition: &str,
        (removed, all, by_part): (usize, usize, usize),
        at: Option<Span>,
    ) {
        self.push(
            Diagnostic::new(Code::W0208, format!("`keep` removes {} of the rows", percent(removed, all)))
                .at(at, format!("{} removes {} of {}", shown(condition), count(by_part), counted(all, "row")))
                .help("if that is meant, nothing needs to be done: the flow diagram shows it"),
        );
    }
}

// ------------------------------------------------------------------------------------ images, patients

impl Problems {
    /// E0205: image files that are not there. `instead` is a file of nearly that name which is.
    pub fn images_missing(
        &mut self,
        (missing, all): (usize, usize),
        (first, line): (&str, u32),
        under: &str,
        instead: Option<&str>,
        at: Option<Span>,
    ) {
        let message = if missing == all {
            format!("none of the {} is there", counted(all, "image"))
        } else {
            let are = if missing == 1 { "is" } else { "are" };
            format!("{} of {} {are} missing", count(missing), counted(all, "image"))
        };
        let cell = if first.is_empty() { "an empty cell".to_owned() } else { name(first) };
        let help = match instead {
            Some(instead) => format!("the folder holds {}: are the names in the table complete?", name(instead)),
            None if first.contains('\\') => "write the names in the table with `/` between folders, not `\\`".to_owned(),
            None if missing == all => {
                "names are looked for beneath `under`, which starts at the study's folder:\n  image = file(`column`, under = \"folder/of/images\")".to_owned()
            }
            None => "to leave them out and count them in the flow diagram:\n  on_missing = drop".to_owned(),
        };
        self.push(
            Diagnostic::new(Code::E0205, message)
                .at(at, format!("first {cell} (row {}), looked for in {}", count(line), name(under)))
                .help(help),
        );
    }

    /// E0903: rows whose file name leads out of the folder.
    pub fn image_leaves_folder(&mut self, (cell, line): (&str, u32), rows: usize, under: &str, at: Option<Span>) {
        let more = if rows > 1 { format!("; {} in all", counted(rows, "such row")) } else { String::new() };
        self.push(
            Diagnostic::new(Code::E0903, format!("row {}: {} leaves {}", count(line), name(cell), name(under)))
                .at(at, format!("only files beneath {} are opened{more}", name(under)))
                .help("write names relative to that folder, without `..` and without a leading `/`,\nor choose a folder further up:  image = file(`column`, under = \"...\")"),
        );
    }

    /// E0210: rows whose patient cell is empty.
    pub fn rows_without_patient(&mut self, column: &str, rows: usize, line: u32, at: Option<Span>) {
        let (have, each) = if rows == 1 { ("has", "it") } else { ("have", "each") };
        self.push(
            Diagnostic::new(
                Code::E0210,
                format!("{} {have} no {}; {each} would become its own patient", counted(rows, "row"), name(column)),
            )
            .at(at, format!("the first is row {}", count(line)))
            .help(format!("fill the cells, or leave these rows out:  keep = `{}` != \"\"", shown(column))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(count(7_u32), "7");
        assert_eq!(count(999_usize), "999");
        assert_eq!(count(29_884_usize), "29 884");
        assert_eq!(count(1_000_000_u32), "1 000 000");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(1500, "row"), "1 500 rows");
        assert_eq!(percent(72, 100), "72 %");
        assert_eq!(percent(1, 1000), "under 1 %");
        assert_eq!(percent(999, 1000), "over 99 %");
        assert_eq!(percent(3, 3), "100 %");
        assert_eq!(percent(0, 0), "0 %");
    }

    #[test]
    fn what_a_table_holds_cannot_command_the_terminal() {
        assert_eq!(shown("a\u{1b}[31mb\u{202E}"), "a\u{FFFD}[31mb\u{FFFD}");
        assert_eq!(shown(&"x".repeat(61)), format!("{}...", "x".repeat(60)));
    }

    #[test]
    fn long_lists_are_cut_and_broken() {
        let items: Vec<String> = (0..12).map(|n| format!("`a rather long column {n}`")).collect();
        let list = listed("columns:", &items, 4);
        assert!(list.ends_with("... (8 more)"), "{list}");
        assert!(list.lines().all(|line| line.chars().count() < 80), "{list}");
        assert_eq!(listed("columns:", &items[..2], 4), "columns: `a rather long column 0`, `a rather long column 1`");
    }
}
