//! Admits bytes as text that is safe to parse and to print, or says why not.
//!
//! Promises: admitted text is UTF-8 of at most 1 MiB without control, bidirectional or invisible characters. Line ends
//! are kept as they are, so that places stay right. Depth is limited after the scan, in `too_deep`.

use super::scan::{Kind, Token};
use crate::diag::Problems;
use crate::diag::render::hidden;
use crate::source::{FileId, Span};

/// Most bytes a file may have.
pub const MOST_BYTES: usize = 1 << 20;
/// Most brackets that may be open at once.
pub const MOST_BRACKETS: usize = 64;
/// Most operators, calls and conditions that may hang together in one value.
pub const MOST_OPERATORS: usize = 256;
/// How many hidden characters are pointed at; more would say nothing new.
const MOST_HIDDEN: usize = 10;

/// Why bytes are not admitted; offsets are bytes of the text that [`admit`] gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// More than [`MOST_BYTES`].
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// Not UTF-8 from this byte on.
    NotText {
        /// Where.
        at: usize,
    },
    /// A control, bidirectional or invisible character.
    Hidden {
        /// Which.
        character: char,
        /// Where.
        at: usize,
    },
}

impl Refusal {
    /// Tells the author, once the text has its place in the map.
    pub fn report(self, file: FileId, problems: &mut Problems) {
        match self {
            Self::TooLarge { bytes } => problems.file_too_large(Span::new(file, 0, 0), bytes, MOST_BYTES),
            Self::NotText { at } => problems.not_utf8(Span::new(file, at, at + '\u{fffd}'.len_utf8())),
            Self::Hidden { character, at } => {
                problems.hidden_character(Span::new(file, at, at + character.len_utf8()), character);
            }
        }
    }
}

/// The text of a file without a byte order mark, and why it is refused, if it is.
///
/// The text is right for pointing at each refusal: bytes that are no UTF-8 are replaced, and of a file that is too
/// large only the first 4 KiB stand.
#[must_use]
pub fn admit(bytes: &[u8]) -> (String, Vec<Refusal>) {
    if bytes.len() > MOST_BYTES {
        let start = bytes.get(..4096).unwrap_or(bytes);
        return (String::from_utf8_lossy(start).into_owned(), vec![Refusal::TooLarge { bytes: bytes.len() }]);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let refusals = text
                .char_indices()
                .filter(|(_, c)| hidden(*c))
                .take(MOST_HIDDEN)
                .map(|(at, character)| Refusal::Hidden { character, at })
                .collect();
            (text.to_owned(), refusals)
        }
        Err(error) => (String::from_utf8_lossy(bytes).into_owned(), vec![Refusal::NotText { at: error.valid_up_to() }]),
    }
}

/// Where and why a text is nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooDeep {
    /// The bracket at this byte is one too many.
    Brackets(usize),
    /// The operator at this byte is one too many.
    Operators(usize),
}

/// Finds the first place where brackets or operators go deeper than the parser and its readers may recurse.
pub(super) fn too_deep(text: &str, tokens: &[Token]) -> Option<TooDeep> {
    let mut levels: Vec<(bool, usize)> = vec![(true, 0)]; // (do line ends matter here, operators so far)
    let mut operators = 0;
    let mut line_ended = false;
    for token in tokens {
        let word = token.text(text);
        let mut more = 0;
        match token.kind {
            Kind::Open | Kind::HoleOpen => {
                if levels.len() > MOST_BRACKETS {
                    return Some(TooDeep::Brackets(token.start));
                }
                if let Some(level) = levels.last_mut() {
                    level.1 += 1;
                    operators += 1;
                }
                levels.push((word == "{", 0));
            }
            Kind::Close | Kind::HoleClose => {
                if levels.len() > 1
                    && let Some((_, here)) = levels.pop()
                {
                    operators -= here;
                }
            }
            Kind::Symbol if matches!(word, "=" | "," | ";" | ":" | ":=") => reset(&mut levels, &mut operators),
            Kind::Symbol => {
                let continues = matches!(word.as_bytes().first(), Some(b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'='))
                    || matches!(word, "!=" | "&&" | "||" | ".." | "..=");
                if line_ended && !continues && levels.last().is_some_and(|(lines, _)| *lines) {
                    reset(&mut levels, &mut operators);
                }
                more = 1;
            }
            Kind::Word => {
                let continues = matches!(word, "and" | "or" | "not" | "in" | "then" | "else");
                if line_ended && !continues && levels.last().is_some_and(|(lines, _)| *lines) {
                    reset(&mut levels, &mut operators);
                }
                more = usize::from(continues || word == "if");
            }
            Kind::Newline => {
                line_ended = true;
                continue;
            }
            Kind::Comment => continue,
            Kind::Number | Kind::TextOpen | Kind::TextClose | Kind::Chunk | Kind::Column => {}
        }
        line_ended = false;
        operators += more;
        if let Some(level) = levels.last_mut() {
            level.1 += more;
        }
        if operators > MOST_OPERATORS {
            return Some(TooDeep::Operators(token.start));
        }
    }
    None
}

fn reset(levels: &mut [(bool, usize)], operators: &mut usize) {
    if let Some(level) = levels.last_mut() {
        *operators -= level.1;
        level.1 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_dropped_and_line_ends_are_kept() {
        assert_eq!(admit(b"\xef\xbb\xbfa\r\nb\rc\td"), ("a\r\nb\rc\td".to_owned(), Vec::new()));
    }

    #[test]
    fn hidden_characters_are_refused_at_their_place() {
        let (_, refusals) = admit("ab\u{202e}c\u{1b}".as_bytes());
        assert_eq!(
            refusals,
            [Refusal::Hidden { character: '\u{202e}', at: 2 }, Refusal::Hidden { character: '\u{1b}', at: 6 }]
        );
        for character in "\u{ad}\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{e0041}".chars() {
            assert_eq!(admit(format!("a{character}").as_bytes()).1, [Refusal::Hidden { character, at: 1 }]);
        }
        assert!(admit("größe, 胸, μ, 😀, é".as_bytes()).1.is_empty());
    }

    #[test]
    fn what_is_no_text_or_too_large_is_refused() {
        assert_eq!(admit(b"ab\xff").1, [Refusal::NotText { at: 2 }]);
        assert_eq!(admit(&vec![b' '; MOST_BYTES + 1]).1, [Refusal::TooLarge { bytes: MOST_BYTES + 1 }]);
        assert!(admit(&vec![b' '; MOST_BYTES]).1.is_empty());
    }
}
