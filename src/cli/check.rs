//! `pipe check`: everything that is wrong, each at its place.

use clap::Args;

use super::{Errors, Outcomes, StudyArguments, print, summary, talk};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    /// Print the problems to stdout in this form (same as --errors, but as data)
    #[arg(long, value_enum)]
    format: Option<Errors>,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let study = &arguments.study;
    let outcome = match study.check() {
        Ok(outcome) => outcome,
        Err(outcome) => return outcome,
    };
    if arguments.format == Some(Errors::Json) {
        let printed = print(&crate::diag::json::lines(&outcome.map, &outcome.problems));
        if printed != Outcomes::Done {
            return printed;
        }
    } else {
        study.tell(&outcome.map, &outcome.problems);
        if study.errors == Errors::Text {
            let what = match &outcome.dataset {
                Some(dataset) => format!(
                    "{} images of {} patients in {} classes; ",
                    dataset.images.len(),
                    dataset.patients.len(),
                    dataset.classes.len()
                ),
                None => String::new(),
            };
            talk(&format!("{}: {what}{}", study.study.display(), summary(&outcome.problems)));
        }
    }
    if outcome.problems.has_errors() { Outcomes::Errors } else { Outcomes::Done }
}
