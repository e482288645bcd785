//! Text becomes a tree: `guard` admits it, `scan` and `brackets` mend what would derail the grammar, `parse`
//! reads it, `values` builds what stands behind `=`, `recover` words what could not be read.

use std::path::PathBuf;

use crate::diag::Problems;
use crate::source::{FileId, SourceMap, Span};

pub mod ast;
mod brackets;
pub mod guard;
mod parse;
mod print;
mod recover;
mod scan;
mod values;

#[cfg(test)]
mod tests;

pub use parse::{Parsed, parse, parse_value};
pub use print::{column, field, format, is_keyword, mend, quoted};
pub(crate) use scan::{Kind as TokenKind, Token, pieces as tokens};

/// Admits a file's bytes, adds its text to the map and parses it.
///
/// A file that is not admitted gives an empty tree and says why; its text stands in the map as far as it can be
/// shown.
pub fn read(map: &mut SourceMap, name: &str, path: Option<PathBuf>, bytes: &[u8]) -> (FileId, Parsed) {
    let (text, refusals) = guard::admit(bytes);
    let file = map.add(name, path, text.clone());
    if refusals.is_empty() {
        return (file, parse(file, &text));
    }
    let mut problems = Problems::new();
    for refusal in refusals {
        refusal.report(file, &mut problems);
    }
    let tree = ast::File { edition: None, items: Vec::new(), span: Span::new(file, 0, text.len()) };
    (file, Parsed { file: tree, problems })
}
