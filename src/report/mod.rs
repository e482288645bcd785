//! Record becomes report: `render` turns a [`RunRecord`] into a page for people or a summary for a terminal.
//!
//! Pure: the same record gives the same bytes. No clock, no absolute path, no name of a machine or a user gets in.
//! What a table or a study names (classes, columns, reasons) is taken for hostile: the page escapes it, both formats
//! replace control and bidirectional characters. The page loads nothing from anywhere.
//!
//! `html` is the page and its order; `overview`, `curves`, `judged`, `cohort` and `settings` are its sections; `plot` draws;
//! `words` says numbers, losses and settings in words; `text` is the terminal's summary.

mod cohort;
mod curves;
mod html;
mod judged;
mod overview;
mod plot;
mod settings;
mod text;
mod words;

use crate::record::RunRecord;

/// What a report is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One self-contained HTML file with inline style and plots; opens offline, on a phone, in print.
    Html,
    /// A summary for a terminal: at most 80 columns, ends with a newline, no colour.
    Text,
}

/// Writes the report of a run.
#[must_use]
pub fn render(record: &RunRecord, format: Format) -> String {
    match format {
        Format::Html => html::page(record),
        Format::Text => text::summary(record),
    }
}
