//! Owns every source text and says where a byte of it stands.
//!
//! A *source* is a `.pipe` file, a values file, or the command line written out as text, so that a
//! diagnostic can point at any of them. Spans are byte ranges into one source.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Names one source text of a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(u32);

impl FileId {
    /// No source of any map.
    const NONE: Self = Self(u32::MAX);
}

/// A byte range in one source: `start..end`, both on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The source the range lies in.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A range of bytes in `file`. Offsets past 4 GiB cannot occur: sources are limited to 1 MiB.
    #[must_use]
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let clip = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { file, start: clip(start), end: clip(end.max(start)) }
    }

    /// The smallest range that covers both; `self`'s file wins when they differ.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        if self.file != other.file {
            return self;
        }
        Self { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Does the other range lie within this one?
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }

    /// An empty range at the start of this one.
    #[must_use]
    pub fn start_point(self) -> Self {
        Self { end: self.start, ..self }
    }

    /// An empty range at the end of this one.
    #[must_use]
    pub fn end_point(self) -> Self {
        Self { start: self.end, ..self }
    }

    /// A range of no source, another one for each number.
    #[must_use]
    pub fn stand_in(number: usize) -> Self {
        Self::new(FileId::NONE, 2 * number, 2 * number + 1)
    }

    /// The number of a [`Span::stand_in`]; with `false` for its start point, `true` for its end point.
    #[must_use]
    pub fn stands_in_for(self) -> Option<(usize, Option<bool>)> {
        let number = self.start as usize / 2;
        let end = (self.start == self.end).then_some(self.start % 2 == 1);
        (self.file == FileId::NONE).then_some((number, end))
    }

    /// The range as `usize`s, for slicing.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A place as people count: line and column from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

#[derive(Debug)]
struct Source {
    name: String,
    path: Option<PathBuf>,
    text: String,
    line_starts: Vec<usize>,
}

/// Every source text of one invocation.
#[derive(Debug, Default)]
pub struct SourceMap {
    sources: Vec<Source>,
}

impl SourceMap {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text under the name that diagnostics print; `path` is where it was read from, if anywhere.
    pub fn add(&mut self, name: impl Into<String>, path: Option<PathBuf>, text: impl Into<String>) -> FileId {
        let text = text.into();
        // `\n`, `\r\n` and a lone `\r` end a line, as in the grammar.
        let ends = text.match_indices(['\n', '\r']).map(|(at, _)| at + 1);
        let ends = ends.filter(|at| !text.get(at - 1..).is_some_and(|rest| rest.starts_with("\r\n")));
        let line_starts = std::iter::once(0).chain(ends).collect();
        self.sources.push(Source { name: name.into(), path, text, line_starts });
        FileId(u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX))
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.sources.get(file.0 as usize)
    }

    /// The text of a source; empty for an id of another map.
    #[must_use]
    pub fn text(&self, file: FileId) -> &str {
        self.source(file).map_or("", |source| &source.text)
    }

    /// The name diagnostics print for a source.
    #[must_use]
    pub fn name(&self, file: FileId) -> &str {
        self.source(file).map_or("?", |source| &source.name)
    }

    /// The file a source was read from.
    #[must_use]
    pub fn path(&self, file: FileId) -> Option<&Path> {
        self.source(file).and_then(|source| source.path.as_deref())
    }

    /// The files that sources were read from, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().filter_map(|source| source.path.as_deref())
    }

    /// The text a span covers; empty if the span does not fit the source.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.range()).unwrap_or("")
    }

    /// Line and column of a byte.
    #[must_use]
    pub fn line_column(&self, file: FileId, at: usize) -> LineColumn {
        let Some(source) = self.source(file) else { return LineColumn { line: 1, column: 1 } };
        let line = source.line_starts.partition_point(|start| *start <= at).max(1);
        let start = source.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = source.text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        LineColumn { line, column }
    }
}
