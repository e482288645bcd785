//! Sentences about what only the bytes of the images, the weights and the folds show.

use crate::diag::{Code, Diagnostic, Problems, suggest};
use crate::source::Span;

fn at(diagnostic: Diagnostic, span: Option<Span>, text: &str) -> Diagnostic {
    match span {
        Some(span) => diagnostic.label(span, text),
        None => diagnostic,
    }
}

impl Problems {
    /// E0205 or E0214: an image's file cannot be read.
    pub fn unreadable_image(&mut self, span: Option<Span>, name: &str, row: u32, why: &str, count: usize) {
        let more = if count > 1 { format!(" ({} more like it)", count - 1) } else { String::new() };
        let problem = Diagnostic::new(Code::E0214, format!("image `{name}` cannot be used: {why}{more}"));
        self.push(
            at(problem, span, &format!("row {row} names it"))
                .help("replace the file, or take its row out of the table"),
        );
    }

    /// E0104: a study's name that is none for a folder.
    pub fn study_name(&mut self, name: &str, span: Span) {
        let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
        let problem = Diagnostic::new(Code::E0104, format!("`{shown}` is no name for a study"));
        self.push(at(problem, Some(span), "its results lie in a folder of this name").help(
            "letters, digits, `_`, `-`, `.` and blanks, from a letter or digit to a letter or digit:\n  study chest_2026 { ... }",
        ));
    }

    /// E0306: the folds cannot be dealt.
    pub fn cannot_split(&mut self, span: Option<Span>, why: &str) {
        let problem = Diagnostic::new(Code::E0306, format!("the patients cannot be dealt into these folds: {why}"));
        self.push(at(problem, span, "asked here").help("ask for fewer folds, or keep more patients"));
    }

    /// E0203: `class_weights` names a class that there is not.
    pub fn weight_of_no_class(&mut self, class: &str, classes: &[String], span: Option<Span>) {
        let help = match suggest::nearest(class, classes.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the classes are: {}", classes.join(", ")),
        };
        let problem = Diagnostic::new(Code::E0203, format!("`class_weights` names `{class}`, which is no class here"));
        self.push(at(problem, span, "weighed here").help(help));
    }

    /// E0306: a fold that would learn without one of the classes.
    pub fn fold_without_class(&mut self, span: Option<Span>, fold: u32, class: &str) {
        let problem = Diagnostic::new(Code::E0306, format!("fold {fold} would learn without any image of `{class}`"));
        self.push(at(problem, span, "dealt here").help(
            "deal every class into every fold:  cv = stratified_group_kfold(5)\nor ask for other folds, or another seed",
        ));
    }

    /// E0104: `split.run` names folds that the column of `folds_from` does not hold.
    pub fn no_such_fold(&mut self, span: Option<Span>, unknown: &[u32], folds: u32) {
        let listed: Vec<String> = unknown.iter().map(u32::to_string).collect();
        let message = format!("`run` asks for fold {}; there are {folds}, from 0", listed.join(", "));
        let problem = Diagnostic::new(Code::E0104, message);
        self.push(at(problem, span, "not all of these are there").help("for example  run = [0]"));
    }

    /// E0801: a batch of images of a side that needs more than there is (`sizes`); of so many it `fits`.
    pub fn batch_does_not_fit(
        &mut self,
        span: Option<Span>,
        (batch, side): (u32, u32),
        (needed, all): (&str, &str),
        fits: u32,
        accumulate: u32,
    ) {
        let message =
            format!("a batch of {batch} images of {side} pixels needs about {needed}, this machine has {all}");
        let help = if fits == 0 {
            "set a smaller `resize` or a smaller backbone: not one image fits".to_owned()
        } else {
            let parts = batch.div_ceil(fits);
            let same = if batch.is_multiple_of(parts) { "the same" } else { "nearly the same" };
            format!(
                "set  batch = {}  and  accumulate = {}  in `train`: {same} step, and it fits",
                batch / parts,
                accumulate.saturating_mul(parts)
            )
        };
        self.push(at(Diagnostic::new(Code::E0801, message), span, "asked here").help(help));
    }

    /// E0507: 16 bits on a device that a run has found, and that does not compute in them for this reason.
    pub fn no_bf16(&mut self, span: Option<Span>, device: &str, why: &str) {
        let message = format!("`bf16` is asked for, and the run is on {device}, {why}");
        self.push(
            at(Diagnostic::new(Code::E0507, message), span, "asked here")
                .help("write  precision = f32 , or run where there is an NVIDIA GPU:  --device cuda"),
        );
    }

    /// E0301: materialised roles share a patient.
    pub fn leak_in_folds(&mut self, span: Option<Span>, why: &str) {
        let problem = Diagnostic::new(Code::E0301, format!("the folds would leak: {why}"));
        self.push(at(problem, span, "dealt here").help("deal whole patients:  cv = stratified_group_kfold(5)"));
    }

    /// E0402: weights that are not there.
    pub fn weights_not_found(&mut self, span: Option<Span>, why: &str, help: Option<String>) {
        let problem = Diagnostic::new(Code::E0402, format!("the first weights are not there: {why}"));
        self.push(with_help(at(problem, span, "asked here"), help));
    }

    /// E0406: weights that do not fit.
    pub fn weights_do_not_fit(&mut self, span: Option<Span>, why: &str, help: Option<String>) {
        let problem = Diagnostic::new(Code::E0406, format!("the weights do not fit: {why}"));
        self.push(with_help(at(problem, span, "loaded into this network"), help));
    }

    /// E0902: a weights file that turns out to be a pickle.
    pub fn pickled_weights(&mut self, span: Option<Span>, help: Option<String>) {
        let problem = Diagnostic::new(Code::E0902, "refusing to load a pickle: it can run code on your machine");
        self.push(with_help(at(problem, span, "a Python pickle, not weights"), help));
    }
}

fn with_help(diagnostic: Diagnostic, help: Option<String>) -> Diagnostic {
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}
