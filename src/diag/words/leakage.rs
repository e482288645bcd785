//! Sentences about leakage: what has seen the patients that it is scored on, and what an author says to that.

use super::data::{Placed as _, count, counted, name};
use crate::data::PatientColumn;
use crate::diag::{Code, Diagnostic, Problems};
use crate::source::Span;

impl Problems {
    /// E0301: a study without patients. `better`: what deals whole patients, where the split deals single images.
    pub fn no_patients(
        &mut self,
        data: Span,
        block: bool,
        cv: Option<Span>,
        patient_column: Option<&PatientColumn>,
        folder: bool,
        better: Option<(&str, u32)>,
    ) {
        let mut diagnostic =
            Diagnostic::new(Code::E0301, "this study has no patient column, so its score may be inflated by leakage")
                .label(data, if block { "no `group = ...` in this block" } else { "no `data.group = ...`" });
        if let Some(cv) = cv {
            diagnostic = diagnostic.label(cv, "would deal images, not patients, into folds");
        }
        let none = "If each image really is its own patient, say so for the record:\n  \
                    group = none(because = \"one film per patient by protocol\")";
        let help = if folder {
            format!("a folder of images names no patients; a table does:  csv(\"labels.csv\")\n{none}")
        } else {
            let column = patient_column.map_or("patient", |column| &column.name);
            let numbers = patient_column.map_or_else(String::new, |column| format!("  {}", numbers(column)));
            let split = better
                .map_or_else(String::new, |(better, folds)| format!("\nand deal them whole:  cv = {better}({folds})"));
            format!("add  group = `{column}`{numbers}{split}\n{none}")
        };
        self.push(diagnostic.help(help));
    }

    /// E0301: there are patients, but the split deals single images.
    pub fn split_ignores_patients(
        &mut self,
        kind: &str,
        (better, folds): (&str, u32),
        column: &str,
        cv: Span,
        group: Option<Span>,
    ) {
        self.push(
            Diagnostic::new(Code::E0301, format!("`{kind}` would put one patient's images on both sides of a split"))
                .label(cv, "would deal images, not patients, into folds")
                .at(group, format!("{} says whose image it is", name(column)))
                .help(format!("write  cv = {better}({folds})")),
        );
    }

    /// E0302: a patient who stands in two folds of a given split.
    pub fn folds_share_patients(&mut self, column: &str, patients: &[String], at: Option<Span>, group: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0302, format!("{} in more than one fold of {}", are(patients), name(column)))
                .at(at, first_three(patients))
                .at(group, "who the patients are")
                .help("mend the column, or let us deal whole patients:\n  cv = stratified_group_kfold(5)"),
        );
    }

    /// E0302: patients of the given hold-out who are in the folds as well.
    pub fn holdout_shares_patients(&mut self, patients: &[String], at: Option<Span>, group: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0302, format!("{} both in the hold-out and in the folds", are(patients)))
                .at(at, format!("holds out images, not patients: {}", first_three(patients)))
                .at(group, "who the patients are")
                .help("mend the column, or let us hold out whole patients:\n  holdout = 20%"),
        );
    }

    /// E0304: a choice that looks at the fold whose score is reported. `block`: is there a `split` block?
    pub fn selection_on_reported_fold(&mut self, who: &str, what: &str, cv: Span, at: Span, block: bool) {
        let line = if block { "in `split`:\n  validation = 10%" } else { "split { validation = 10% }" };
        self.push(
            Diagnostic::new(Code::E0304, format!("{who} would look at the very fold whose score is reported"))
                .label(at, what)
                .label(cv, "each fold is scored and reported")
                .help(format!("give training its own patients to look at{} {line}", if block { "," } else { ": " })),
        );
    }

    /// E0604: thresholds from the fold they are scored on. `block`: is there a `split` block?
    pub fn threshold_on_reported_fold(&mut self, cv: Span, at: Span, block: bool) {
        let line = if block { "in `split`:\n  validation = 10%" } else { "split { validation = 10% }" };
        self.push(
            Diagnostic::new(Code::E0604, "a threshold would be chosen on the very fold that it is scored on")
                .label(at, "each class's threshold is chosen for this: on whom?")
                .label(cv, "each fold is scored and reported")
                .help(format!("choose it on patients of its own{} {line}", if block { "," } else { ": " })),
        );
    }

    /// E0305: a mean over all folds.
    pub fn normalize_over_folds(&mut self, word: Span, cv: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0305, "`normalize(dataset)` would average over all folds")
                .label(word, "looks at the patients that are reported")
                .at(cv, "each fold is scored and reported")
                .help("write `normalize(train)`: it is fitted inside each fold")
                .fix(word, "train"),
        );
    }

    /// E0305: anything else that is fitted to whom it is scored on.
    pub fn fitted_where_scored(&mut self, what: &str, score: &str, at: Option<Span>, scored: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0305, format!("{what} would be fitted to the very patients of {score}"))
                .at(at, "fitted here")
                .at(scored, "scored here")
                .help("fit it inside each fold, to its training patients"),
        );
    }

    /// E0309: first weights that were trained on the study's own data.
    pub fn weights_have_seen(&mut self, from: &str, at: Option<Span>, scored: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0309, "the first weights have seen the patients whose score is reported")
                .at(at, format!("trained on {from}"))
                .at(scored, "each fold is scored and reported")
                .help("start from weights that have not:  weights = imagenet"),
        );
    }

    /// E0603: intervals that take one patient's images for independent ones.
    pub fn images_drawn(&mut self, column: &str, at: Option<Span>, group: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0603, "intervals over images would be too narrow: one patient's images are alike")
                .at(at, "draws images as if they were independent")
                .at(group, format!("{} says which belong together", name(column)))
                .help("draw whole patients:  unit = patient"),
        );
    }

    /// W0312: each leak of a study that accepts them, as a statement that the report repeats.
    pub fn accept_leaks(&mut self, found: &Self, at: Option<Span>) {
        for leak in found.sorted() {
            let mut accepted = Diagnostic::new(Code::W0312, format!("accepted: {} ({})", leak.message, leak.code.id()));
            for label in &leak.labels {
                accepted = accepted.label(label.span, label.text.clone());
            }
            self.push(
                accepted.at(at, "accepted here").help("the first screen of the report repeats this and your reason"),
            );
        }
    }

    /// W0313: an acceptance with nothing to accept.
    pub fn nothing_to_accept(&mut self, at: Option<Span>) {
        self.push(
            Diagnostic::new(Code::W0313, "`leak = accepted(...)`, but nothing in this study leaks")
                .at(at, "the report would call its figures inflated")
                .help("remove the line"),
        );
    }
}

/// `(14 939 patients, 2.0 images each on average)`
fn numbers(column: &PatientColumn) -> String {
    if column.patients == 0 {
        return String::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "a table has fewer rows than 2^53")]
    let each = column.rows as f64 / column.patients as f64;
    format!("({}, {each:.1} images each on average)", counted(column.patients, "patient"))
}

/// `37 patients are`
fn are(patients: &[String]) -> String {
    format!("{} {}", counted(patients.len(), "patient"), if patients.len() == 1 { "is" } else { "are" })
}

fn first_three(patients: &[String]) -> String {
    let first: Vec<String> = patients.iter().take(3).map(|patient| name(patient)).collect();
    let more = match patients.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(", ... ({} more)", count(more)),
    };
    format!("{}{more}", first.join(", "))
}
