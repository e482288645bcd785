//! Columns of text: what a table is once it is read, wherever it was read from.
//!
//! Each column keeps every distinct cell once and a number for each row, so that whatever depends on a cell's
//! text is worked out once a distinct text. Cells are trimmed of blanks at both ends: `"p1 "` and `"p1"` are
//! one patient.

use indexmap::IndexSet;

/// One column: its distinct cells in order of first appearance, and which of them each row holds.
#[derive(Debug, Clone, Default)]
pub struct Column {
    values: IndexSet<Box<str>, foldhash::fast::RandomState>,
    codes: Vec<u32>,
}

impl Column {
    /// An empty column with room for so many rows.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self { values: IndexSet::default(), codes: Vec::with_capacity(rows) }
    }

    /// Adds a row.
    pub fn push(&mut self, cell: &str) {
        // Tables tend to be sorted by something: the row before often holds the same text.
        if let Some(last) = self.codes.last().copied()
            && self.value(last) == cell
        {
            self.codes.push(last);
            return;
        }
        let index = match self.values.get_index_of(cell) {
            Some(index) => index,
            None => self.values.insert_full(cell.into()).0,
        };
        self.codes.push(u32::try_from(index).unwrap_or(u32::MAX));
    }

    /// The cell of a row; empty past the end.
    #[must_use]
    pub fn text(&self, row: u32) -> &str {
        self.code(row).map_or("", |code| self.value(code))
    }

    /// The number of a row's text, below [`Column::distinct`]; `None` past the end.
    #[must_use]
    pub fn code(&self, row: u32) -> Option<u32> {
        self.codes.get(row as usize).copied()
    }

    /// The text with a number; empty for a number that was never given.
    #[must_use]
    pub fn value(&self, code: u32) -> &str {
        self.values.get_index(code as usize).map_or("", |value| value)
    }

    /// The number of a text, if any row holds it.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<u32> {
        self.values.get_index_of(text).and_then(|index| u32::try_from(index).ok())
    }

    /// Distinct texts in order of first appearance; the position is the number.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.values.iter().map(|value| &**value)
    }

    /// How many distinct texts there are.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.values.len()
    }

    /// The first row that holds a text.
    #[must_use]
    pub fn first_row(&self, code: u32) -> Option<u32> {
        self.codes.iter().position(|held| *held == code).and_then(|row| u32::try_from(row).ok())
    }

    /// Each distinct text as a number, by [`number`]; the number of the first text that is none otherwise.
    ///
    /// # Errors
    /// The code of the first text that is neither a number nor missing.
    pub fn numbers(&self) -> Result<Vec<Option<f64>>, u32> {
        let mut numbers = Vec::with_capacity(self.distinct());
        for (code, text) in (0_u32..).zip(self.values()) {
            numbers.push(if is_missing(text) { None } else { Some(number(text).ok_or(code)?) });
        }
        Ok(numbers)
    }
}

/// Is a cell of a number column missing: empty, or `NA` or `NaN` as R and pandas write it?
#[must_use]
pub fn is_missing(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("na") || text.eq_ignore_ascii_case("nan")
}

/// A cell as a finite decimal number: leading zeros, a sign, a point and an exponent may be there, and a comma
/// in place of the point. Nothing else: `058Y` and `inf` are texts, and so is `1,234` ([`is_ambiguous`]).
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    if is_ambiguous(text)
        || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b',' | b'e' | b'E'))
    {
        return None;
    }
    let parsed = match text.split_once(',') {
        Some((whole, part)) => format!("{whole}.{part}").parse::<f64>(),
        None => text.parse::<f64>(),
    };
    parsed.ok().filter(|number| number.is_finite())
}

/// Is it a thousand to some readers and a fraction to others: one to three digits, a comma, three digits?
#[must_use]
pub fn is_ambiguous(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.trim_start_matches(['+', '-']).split_once(',').is_some_and(|(whole, part)| {
        matches!(whole.len(), 1..=3) && !whole.starts_with('0') && part.len() == 3 && digits(whole) && digits(part)
    })
}

/// The columns of a table that a study uses, and others that hold few different cells.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Every column's name in the table's order, used or not.
    pub names: Vec<String>,
    columns: Vec<(String, Column)>,
    lines: Vec<u32>,
}

impl Table {
    /// A table of the named columns; `lines` holds the line each row stands in, the header being line 1.
    #[must_use]
    pub fn new(names: Vec<String>, columns: Vec<(String, Column)>, lines: Vec<u32>) -> Self {
        Self { names, columns, lines }
    }

    /// A used column by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|(held, _)| held == name).map(|(_, column)| column)
    }

    /// Every column that was read, with its name.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Column)> {
        self.columns.iter().map(|(name, column)| (name.as_str(), column))
    }

    /// How many rows there are below the header.
    #[must_use]
    pub fn rows(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }

    /// The line a row stands in, the header being line 1.
    #[must_use]
    pub fn line(&self, row: u32) -> u32 {
        self.lines.get(row as usize).copied().unwrap_or(0)
    }
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
    fn a_column_keeps_each_text_once() {
        let column = column(&["a", "a", "b", "a", ""]);
        assert_eq!(column.distinct(), 3);
        assert_eq!((0..5).map(|row| column.text(row)).collect::<Vec<_>>(), ["a", "a", "b", "a", ""]);
        assert_eq!(column.text(5), "");
        assert_eq!(column.find("b"), Some(1));
        assert_eq!(column.find("c"), None);
        assert_eq!(column.first_row(1), Some(2));
    }

    #[test]
    fn numbers_are_plain_decimals() {
        for (text, value) in [
            ("058", 58.0),
            ("-1.5", -1.5),
            ("2,5", 2.5),
            ("0,125", 0.125),
            ("1234,567", 1234.567),
            ("1e3", 1000.0),
            ("+7", 7.0),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["058Y", "inf", "nan", "", "1,2,3", "1,234", "-12,500", "0x10", "1 000", "-", "1e999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_column_is_numbers_or_names_the_cell_that_is_none() {
        assert_eq!(column(&["1", "", "NA", "2"]).numbers(), Ok(vec![Some(1.0), None, None, Some(2.0)]));
        assert_eq!(column(&["1", "058Y", "x"]).numbers(), Err(1));
    }
}
