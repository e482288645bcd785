//! Bytes of a text as an editor counts them, and paths as the addresses it uses.
//!
//! The protocol counts lines from 0 and characters in the units that client and server agreed on: UTF-16 unless the
//! client offers better. Whatever a client sends, the byte it leads to lies within the text, between characters.

use std::path::{Path, PathBuf};

use gen_lsp_types::{Position, PositionEncodingKind, Range, Uri};

use crate::host::without_dots;

/// What one character of a line counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Bytes.
    Utf8,
    /// UTF-16 units, the protocol's default.
    Utf16,
    /// Characters.
    Utf32,
}

impl Encoding {
    /// The best of what a client offers: bytes need no counting.
    pub(super) fn negotiate(offered: Option<&[PositionEncodingKind]>) -> Self {
        let offered = offered.unwrap_or_default();
        if offered.contains(&PositionEncodingKind::UTF8) {
            Self::Utf8
        } else if offered.contains(&PositionEncodingKind::UTF16) || !offered.contains(&PositionEncodingKind::UTF32) {
            Self::Utf16
        } else {
            Self::Utf32
        }
    }

    /// Its name in the protocol.
    pub(super) fn kind(self) -> PositionEncodingKind {
        match self {
            Self::Utf8 => PositionEncodingKind::UTF8,
            Self::Utf16 => PositionEncodingKind::UTF16,
            Self::Utf32 => PositionEncodingKind::UTF32,
        }
    }

    /// What a character counts.
    fn width(self, c: char) -> usize {
        match self {
            Self::Utf8 => c.len_utf8(),
            Self::Utf16 => c.len_utf16(),
            Self::Utf32 => 1,
        }
    }
}

/// A text and where its lines start.
#[derive(Debug, Clone)]
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    encoding: Encoding,
}

impl<'t> Lines<'t> {
    /// Finds the lines: `\n`, `\r\n` and a lone `\r` end one.
    pub(super) fn new(text: &'t str, encoding: Encoding) -> Self {
        let ends = text.match_indices(['\n', '\r']).map(|(at, _)| at + 1);
        let ends = ends.filter(|at| !text.get(at - 1..).is_some_and(|rest| rest.starts_with("\r\n")));
        Self { text, starts: std::iter::once(0).chain(ends).collect(), encoding }
    }

    /// The line of a byte, from 0.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// A line without its end, and where it starts.
    fn line_text(&self, line: usize) -> (usize, &'t str) {
        let Some(start) = self.starts.get(line).copied() else { return (self.text.len(), "") };
        let end = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        (start, self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']))
    }

    /// The place of a byte.
    pub(super) fn position(&self, at: usize) -> Position {
        let line = self.line(at);
        let (start, text) = self.line_text(line);
        let before = text.char_indices().take_while(|(offset, _)| start + offset < at);
        let character: usize = before.map(|(_, c)| self.encoding.width(c)).sum();
        Position { line: clip(line), character: clip(character) }
    }

    /// The place of a range of bytes.
    pub(super) fn range(&self, range: &std::ops::Range<usize>) -> Range {
        Range { start: self.position(range.start), end: self.position(range.end) }
    }

    /// The byte of a place; past the end of its line the end, and within a character its start.
    pub(super) fn offset(&self, position: Position) -> usize {
        let (start, text) = self.line_text(position.line as usize);
        let mut left = position.character as usize;
        for (offset, c) in text.char_indices() {
            let width = self.encoding.width(c);
            if left < width {
                return start + offset;
            }
            left -= width;
        }
        start + text.len()
    }

    /// The bytes of a range, never backwards.
    pub(super) fn bytes(&self, range: &Range) -> std::ops::Range<usize> {
        let start = self.offset(range.start);
        start..self.offset(range.end).max(start)
    }
}

fn clip(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The path of a `file:` address; `None` for other addresses (`untitled:Untitled-1`).
pub(super) fn path(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.as_ref().strip_prefix("file://")?;
    // A host may stand before the path (`file://localhost/x`); it is this machine.
    let path = rest.get(rest.find('/')?..)?;
    let decoded = decode(path)?;
    // `/c:/x` is how addresses spell `c:\x`.
    let drive = decoded.strip_prefix('/').filter(|rest| rest.as_bytes().get(1) == Some(&b':'));
    Some(without_dots(Path::new(drive.unwrap_or(&decoded))))
}

/// The `file:` address of a path.
pub(super) fn uri(path: &Path) -> Uri {
    let path = super::desk::absolute(path);
    let text = path.to_string_lossy().replace('\\', "/");
    let mut uri = String::from(if text.starts_with('/') { "file://" } else { "file:///" });
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    Uri(uri)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const TEXT: &str = "aä€😀b\r\n\rz\n";

    #[test]
    fn every_encoding_counts_its_own_units_and_leads_back() {
        for (encoding, smile, b) in [(Encoding::Utf8, 6, 10), (Encoding::Utf16, 3, 5), (Encoding::Utf32, 3, 4)] {
            let lines = Lines::new(TEXT, encoding);
            let at = |c: char| TEXT.find(c).unwrap();
            assert_eq!(lines.position(at('😀')), Position { line: 0, character: smile });
            assert_eq!(lines.position(at('b')), Position { line: 0, character: b });
            assert_eq!(lines.position(at('z')), Position { line: 2, character: 0 });
            for (byte, _) in TEXT.char_indices().filter(|(_, c)| !matches!(c, '\n' | '\r')) {
                assert_eq!(lines.offset(lines.position(byte)), byte, "{encoding:?} {byte}");
            }
        }
    }

    #[test]
    fn places_outside_the_text_lead_into_it() {
        let lines = Lines::new(TEXT, Encoding::Utf16);
        assert_eq!(lines.offset(Position { line: 0, character: 4 }), 6, "within a surrogate pair");
        assert_eq!(lines.offset(Position { line: 0, character: 99 }), 11, "past the end of a line");
        assert_eq!(lines.offset(Position { line: 99, character: 1 }), TEXT.len());
        assert_eq!(lines.offset(Position { line: u32::MAX, character: u32::MAX }), TEXT.len());
        let backwards = Range { start: Position { line: 2, character: 0 }, end: Position { line: 0, character: 0 } };
        assert_eq!(lines.bytes(&backwards), 14..14);
    }

    #[test]
    fn encodings_are_negotiated() {
        use PositionEncodingKind as Kind;
        assert_eq!(Encoding::negotiate(None), Encoding::Utf16);
        assert_eq!(Encoding::negotiate(Some(&[])), Encoding::Utf16);
        assert_eq!(Encoding::negotiate(Some(&[Kind::UTF16, Kind::UTF8])), Encoding::Utf8);
        assert_eq!(Encoding::negotiate(Some(&[Kind::UTF32])), Encoding::Utf32);
    }

    #[test]
    fn addresses_and_paths_lead_to_each_other() {
        let there = path(&Uri("file:///data/a%20b/%C3%A4.pipe".into())).unwrap();
        assert_eq!(there, Path::new("/data/a b/ä.pipe"));
        assert_eq!(uri(&there).as_ref(), "file:///data/a%20b/%C3%A4.pipe");
        assert_eq!(path(&Uri("file://localhost/x/./y/../z".into())).unwrap(), Path::new("/x/z"));
        assert_eq!(path(&Uri("file:///c%3A/x".into())).unwrap(), Path::new("c:/x"));
        for other in ["untitled:Untitled-1", "file://", "file:///%zz", "file:///%ff", ""] {
            assert_eq!(path(&Uri(other.into())), None, "{other}");
        }
    }
}
