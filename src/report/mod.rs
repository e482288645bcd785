//! Record becomes report: `render` turns a [`RunRecord`] into a page for people or a summary for a terminal.
//!
//! Pure: the same record gives the same bytes. No clock, no absolute path, no name of a machine or a user gets in.
//! What a table or a study names (classes, columns, reasons) is taken for hostile: the page escapes it, both formats
//! replace control and bidirectional characters. The page loads nothing from anywhere.
//!
//! `html` is the page and its order; `grid` compares variants; `overview`, `curves`, `judged`, `slices`, `cohort` and `settings` are its sections; `plot` draws;
//! `words` says numbers, losses and settings in words; `text` is the terminal's summary.

mod audit;
mod cohort;
mod curves;
mod grid;
mod html;
mod judged;
mod operating;
mod overview;
mod plot;
mod settings;
mod slices;
mod text;
mod words;

use crate::record::{RunRecord, StudyRecord};

pub use audit::{audit_page, audit_text};

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

/// Writes the report of a study with several variants.
#[must_use]
pub fn render_study(record: &StudyRecord, format: Format) -> String {
    match format {
        Format::Html => html::study_page(record),
        Format::Text => text::study(record),
    }
}
