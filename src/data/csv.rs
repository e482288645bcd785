//! The bytes of a delimited text file become columns.
//!
//! Comma, semicolon, tab or bar (whichever the header holds most of outside quotes), quotes as spreadsheets write
//! them, with or without a byte order mark, LF or CRLF. Only wanted columns and those of few values are kept. Nothing is guessed: a row
//! with another number of cells than the header, or a wanted cell that is no UTF-8, is an [`Unreadable`].

use csv::{ByteRecord, ReaderBuilder};

use super::table::{Column, Table};

/// The first line of a table and how the rest is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The columns' names, trimmed.
    pub names: Vec<String>,
    /// What separates cells.
    pub delimiter: u8,
    /// Where the header starts in the file (past a byte order mark or a `sep=;` line).
    start: usize,
    /// The line it stands in, from 1.
    line: u32,
}

/// Why bytes are no table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// There is not even a header.
    Empty,
    /// A zip archive, which is what `.xlsx` and `.ods` are.
    Workbook,
    /// gzip.
    Compressed,
    /// UTF-16, as some spreadsheets save "Unicode text".
    Utf16,
    /// Bytes that no text holds.
    Binary,
    /// A cell is not UTF-8.
    NotUtf8 {
        /// Line of the table, the header being line 1.
        line: u32,
        /// The column's name; `None` in the header.
        column: Option<String>,
        /// The cell, read as Latin-1.
        as_latin1: String,
    },
    /// A row has another number of cells than the header.
    Cells {
        /// Line of the first such row.
        line: u32,
        /// Cells in it.
        cells: usize,
        /// Cells in the header.
        columns: usize,
        /// How many such rows there are in all.
        rows: usize,
        /// Does that row run over several lines, as it does when a quote is not closed?
        spans_lines: bool,
    },
}

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Reads the header.
///
/// # Errors
/// When the bytes are no text, or nothing but blank.
pub fn header(bytes: &[u8]) -> Result<Header, Unreadable> {
    refuse_other_formats(bytes)?;
    let mut start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    // `sep=;` in the first line is how spreadsheets are told the delimiter.
    let mut told = None;
    let first_end = line_end(bytes, start);
    let first = bytes.get(start..first_end).unwrap_or_default().trim_ascii_end();
    if let [b's', b'e', b'p', b'=', delimiter] = first
        && DELIMITERS.contains(delimiter)
    {
        told = Some(*delimiter);
        start = first_end;
    }
    while bytes.get(start).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        start += 1;
    }
    let body = bytes.get(start..).unwrap_or_default();
    if body.trim_ascii().is_empty() {
        return Err(Unreadable::Empty);
    }
    let line = 1 + newlines(bytes.get(..start).unwrap_or_default(), line_break(bytes));
    let delimiter = told.unwrap_or_else(|| sniff(body));
    let mut record = ByteRecord::new();
    let read = reader(body, delimiter).read_byte_record(&mut record);
    if !matches!(read, Ok(true)) {
        return Err(Unreadable::Empty);
    }
    let mut names = Vec::with_capacity(record.len());
    for cell in &record {
        match std::str::from_utf8(cell) {
            Ok(name) => names.push(name.trim().to_owned()),
            Err(_) => return Err(Unreadable::NotUtf8 { line, column: None, as_latin1: latin1(cell) }),
        }
    }
    Ok(Header { names, delimiter, start, line })
}

/// A column with more different cells than this is not kept unless it is wanted.
pub const FEW: usize = 20;

/// Reads the wanted columns, given by their positions in the header, and each other column of at most [`FEW`]
/// different cells.
///
/// # Errors
/// At the first wanted cell that is no UTF-8, and when a row has another number of cells than the header (cells
/// past the last column may be there if they are empty; rows of nothing but empty cells are passed over).
pub fn read(bytes: &[u8], header: &Header, wanted: &[usize]) -> Result<Table, Unreadable> {
    let body = bytes.get(header.start..).unwrap_or_default();
    let width = header.names.len();
    // A delimiter at the end of the header alone names no column that rows would have to fill.
    let least = header.names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    // The header's length is a fair guess of a row's, and only a guess.
    let guess = body.len() / (line_end(body, 0) + 1).max(width * 2);
    let mut columns: Vec<Column> = wanted.iter().map(|_| Column::with_capacity(guess)).collect();
    let mut others: Vec<(usize, Column)> =
        (0..width).filter(|index| !wanted.contains(index)).map(|index| (index, Column::with_capacity(guess))).collect();
    let mut lines = Vec::with_capacity(guess);
    let mut ragged: Option<Unreadable> = None;

    let mut reader = reader(body, header.delimiter);
    let mut record = ByteRecord::new();
    let mut here = Cursor { at: 0, line: header.line, end: line_break(bytes) };
    let mut is_header = true;
    while matches!(reader.read_byte_record(&mut record), Ok(true)) {
        if std::mem::take(&mut is_header) {
            continue;
        }
        let start = record.position().map_or(0, csv::Position::byte);
        here.move_to(body, usize::try_from(start).unwrap_or(usize::MAX));
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            continue;
        }
        let extra = record.iter().skip(width).any(|cell| !cell.trim_ascii().is_empty());
        if record.len() < least || extra {
            if let Some(Unreadable::Cells { rows, .. }) = &mut ragged {
                *rows += 1;
            } else {
                let end = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
                let raw = body.get(here.at..end).unwrap_or_default().trim_ascii_end();
                ragged = Some(Unreadable::Cells {
                    line: here.line,
                    cells: record.len(),
                    columns: width,
                    rows: 1,
                    spans_lines: raw.contains(&b'\n'),
                });
            }
            continue;
        }
        for (column, index) in columns.iter_mut().zip(wanted) {
            let cell = record.get(*index).unwrap_or_default();
            let Ok(text) = std::str::from_utf8(cell) else {
                let name = header.names.get(*index).cloned();
                return Err(Unreadable::NotUtf8 { line: here.line, column: name, as_latin1: latin1(cell) });
            };
            column.push(text.trim());
        }
        others.retain_mut(|(index, column)| {
            let Ok(text) = std::str::from_utf8(record.get(*index).unwrap_or_default()) else { return false };
            column.push(text.trim());
            column.distinct() <= FEW
        });
        lines.push(here.line);
    }
    if let Some(ragged) = ragged {
        return Err(ragged);
    }
    let all = wanted.iter().copied().zip(columns).chain(others);
    let named = all.filter_map(|(index, column)| Some((header.names.get(index).cloned()?, column))).collect();
    Ok(Table::new(header.names.clone(), named, lines))
}

fn reader(body: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(body)
}

/// The line of a byte, found by counting on from the last one asked for. (The csv crate's own line numbers are
/// one short in files with CRLF.)
struct Cursor {
    at: usize,
    line: u32,
    /// What ends a line: a lone CR in files that hold no LF, as old spreadsheets write them.
    end: u8,
}

impl Cursor {
    fn move_to(&mut self, body: &[u8], mut at: usize) {
        while body.get(at).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            at += 1;
        }
        self.line += newlines(body.get(self.at..at).unwrap_or_default(), self.end);
        self.at = at;
    }
}

fn newlines(bytes: &[u8], end: u8) -> u32 {
    // As bytes of at most 255 before they are added up, so that the compiler can use wide registers.
    bytes.chunks(255).map(|part| u32::from(part.iter().map(|byte| u8::from(*byte == end)).sum::<u8>())).sum()
}

/// LF, or a lone CR in a file that holds no LF.
fn line_break(bytes: &[u8]) -> u8 {
    if bytes.contains(&b'\n') { b'\n' } else { b'\r' }
}

fn line_end(bytes: &[u8], start: usize) -> usize {
    let end = line_break(bytes);
    bytes.iter().skip(start).position(|byte| *byte == end).map_or(bytes.len(), |length| start + length)
}

fn refuse_other_formats(bytes: &[u8]) -> Result<(), Unreadable> {
    if bytes.starts_with(b"PK\x03\x04") {
        Err(Unreadable::Workbook)
    } else if bytes.starts_with(b"\x1F\x8B") {
        Err(Unreadable::Compressed)
    } else if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        Err(Unreadable::Utf16)
    } else if bytes.contains(&0) {
        Err(Unreadable::Binary)
    } else {
        Ok(())
    }
}

/// The delimiter that the first line holds most of outside quotes; a comma when it holds none.
fn sniff(body: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in body {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            other if !quoted => {
                for (count, delimiter) in counts.iter_mut().zip(DELIMITERS) {
                    *count += usize::from(*other == delimiter);
                }
            }
            _ => {}
        }
    }
    // Of equals the first one counts.
    let best = counts.iter().copied().max().unwrap_or(0);
    counts.iter().zip(DELIMITERS).find(|(count, _)| **count == best).map_or(b',', |(_, delimiter)| delimiter)
}

fn latin1(cell: &[u8]) -> String {
    cell.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn rows(text: &[u8]) -> Vec<Vec<String>> {
        let head = header(text).unwrap();
        let wanted: Vec<usize> = (0..head.names.len()).collect();
        let table = read(text, &head, &wanted).unwrap();
        (0..table.rows())
            .map(|row| {
                let cells = head.names.iter().map(|name| table.column(name).unwrap().text(row).to_owned());
                std::iter::once(table.line(row).to_string()).chain(cells).collect()
            })
            .collect()
    }

    #[test]
    fn every_delimiter_and_line_end() {
        for delimiter in [",", ";", "\t", "|"] {
            for end in ["\n", "\r\n", "\r"] {
                for mark in ["", "\u{FEFF}"] {
                    let text =
                        format!("{mark}image{delimiter}label{end}a.png{delimiter}x{end}b.png{delimiter} y {end}");
                    assert_eq!(
                        rows(text.as_bytes()),
                        [["2", "a.png", "x"], ["3", "b.png", "y"]],
                        "{delimiter:?} {end:?} {mark:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn quotes_as_spreadsheets_write_them() {
        let text = b"\"a, b\";c\r\n\"one \"\"two\"\"; three\";1\r\n\"over\r\nlines\";2\r\nlast;3";
        assert_eq!(rows(text), [["2", "one \"two\"; three", "1"], ["3", "over\r\nlines", "2"], ["5", "last", "3"]]);
        assert_eq!(header(text).unwrap().names, ["a, b", "c"]);
    }

    #[test]
    fn a_separator_line_is_obeyed() {
        assert_eq!(rows(b"sep=;\r\na,b;c\r\n1;2\r\n"), [["3", "1", "2"]]);
    }

    #[test]
    fn blank_rows_and_empty_cells_past_the_end_are_passed_over() {
        assert_eq!(rows(b"\n\na,b\n1,2,,\n\n,\n , \n3,4\n"), [["4", "1", "2"], ["8", "3", "4"]]);
    }

    #[test]
    fn only_wanted_columns_are_read() {
        let text = b"a,b,c\n1,2,\xFF\n";
        let head = header(text).unwrap();
        let table = read(text, &head, &[1]).unwrap();
        assert_eq!(table.column("b").unwrap().text(0), "2");
        assert!(table.column("c").is_none(), "no text, and not wanted");
        let refused = read(text, &head, &[0, 2]).unwrap_err();
        assert_eq!(refused, Unreadable::NotUtf8 { line: 2, column: Some("c".into()), as_latin1: "\u{FF}".into() });
    }

    #[test]
    fn rows_of_another_length_are_counted() {
        let text = b"a,b\r\n1,2\r\n3\r\n4,5\r\n6,7,8\r\n";
        let refused = read(text, &header(text).unwrap(), &[0]).unwrap_err();
        assert_eq!(refused, Unreadable::Cells { line: 3, cells: 1, columns: 2, rows: 2, spans_lines: false });
    }

    #[test]
    fn a_quote_that_is_not_closed_is_noticed() {
        let text = b"a,b\n1,2\n\"3,4\n5,6\n";
        let refused = read(text, &header(text).unwrap(), &[0]).unwrap_err();
        assert_eq!(refused, Unreadable::Cells { line: 3, cells: 1, columns: 2, rows: 1, spans_lines: true });
    }

    #[test]
    fn other_formats_are_named() {
        assert_eq!(header(b""), Err(Unreadable::Empty));
        assert_eq!(header(b"\xEF\xBB\xBF \r\n"), Err(Unreadable::Empty));
        assert_eq!(header(b"PK\x03\x04rest"), Err(Unreadable::Workbook));
        assert_eq!(header(b"\x1F\x8B\x08"), Err(Unreadable::Compressed));
        assert_eq!(header(b"\xFF\xFEa\0"), Err(Unreadable::Utf16));
        assert_eq!(header(b"a,b\n1,\0\n"), Err(Unreadable::Binary));
        assert!(matches!(header(b"gr\xF6\xDFe,b\n"), Err(Unreadable::NotUtf8 { line: 1, column: None, .. })));
    }
}
