//! What is wrong with what an author wrote: many problems, each at its place, each with a way out.
//!
//! [`Problems`] collects; `words/` holds every sentence, one method a problem; [`codes`] is the append-only
//! registry; [`render`] draws for people and is the only file that names miette; [`json`] for programs.

pub mod codes;
pub mod json;
pub mod render;
pub mod suggest;
mod words;

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};

pub use codes::Code;
pub use words::TooFew;

use crate::source::Span;

/// How bad it is. Errors stop `run`; warnings do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The study cannot run as written.
    Error,
    /// The study runs; the author should know.
    Warning,
}

/// A place involved in a problem, and what is to be seen there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// A few words, lower case, no final period.
    pub text: String,
}

/// A replacement that mends the problem without changing what was meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Edit {
    /// What is replaced (empty: an insertion).
    pub span: Span,
    /// What stands there afterwards.
    pub text: String,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Its entry in the registry.
    pub code: Code,
    /// Error or warning; follows from the code.
    pub severity: Severity,
    /// What is wrong, in the author's terms: lower case, no final period.
    pub message: String,
    /// Every place involved; the first one is where the problem is listed.
    pub labels: Vec<Label>,
    /// A way out, with a line that can be pasted; lines broken by hand under 80 columns.
    pub help: Option<String>,
    /// Safe edits, if any.
    pub fixes: Vec<Edit>,
}

impl Diagnostic {
    /// A problem with no place yet.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            labels: Vec::new(),
            help: None,
            fixes: Vec::new(),
        }
    }

    /// Adds a place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Sets the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a safe edit.
    #[must_use]
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Self {
        self.fixes.push(Edit { span, text: text.into() });
        self
    }
}

/// Everything found wrong so far. Sentences live in `words/`, one method a problem.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    list: IndexSet<Diagnostic>,
}

impl Problems {
    /// Nothing wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem, unless the very same one stands already.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.insert(diagnostic);
    }

    /// Takes over what another stage found.
    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
    }

    /// The same problems, but for some codes.
    #[must_use]
    pub fn without(mut self, codes: &[Code]) -> Self {
        self.list.retain(|diagnostic| !codes.contains(&diagnostic.code));
        self
    }

    /// The same problems, each with one more place.
    #[must_use]
    pub fn labelled(self, span: Span, text: &str) -> Self {
        Self { list: self.list.into_iter().map(|diagnostic| diagnostic.label(span, text)).collect() }
    }

    /// All of them, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// The same problems at other places.
    #[must_use]
    pub fn moved(&self, place: impl Fn(Span) -> Span) -> Self {
        let moved = |diagnostic: &Diagnostic| {
            let mut diagnostic = diagnostic.clone();
            diagnostic.labels.iter_mut().for_each(|label| label.span = place(label.span));
            diagnostic.fixes.iter_mut().for_each(|edit| edit.span = place(edit.span));
            diagnostic
        };
        Self { list: self.list.iter().map(moved).collect() }
    }

    /// Is there an error (not only warnings)?
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// Is there nothing at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Has a problem with this code been found?
    #[must_use]
    pub fn has(&self, code: Code) -> bool {
        self.list.iter().any(|d| d.code == code)
    }

    /// Each as `W0502 sentence`, in order of place.
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        self.sorted().into_iter().map(|problem| format!("{} {}", problem.code.id(), problem.message))
    }

    /// All of them in order of place (those with no place first).
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<&Diagnostic> = self.list.iter().collect();
        all.sort_by_key(|d| (d.labels.first().map(|l| l.span), d.severity));
        all
    }
}
