//! `pipe check`: everything that is wrong, each at its place.

use clap::Args;

use crate::check::Pick;
use crate::diag::Code;
use crate::host::{Memory, Remembering};
use crate::store::CheckCache;

use super::{Errors, Outcomes, StudyArguments, print, summary, talk};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe check study.pipe                       everything that is wrong, each at its place
  pipe check study.pipe --set epochs=5        with another value of a param
  pipe check study.pipe --format json         one JSON object a line, for programs

What a table said is remembered in the user's cache folder until the table changes;
PIPE_CACHE names another folder, and PIPE_CACHE= keeps nothing.")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    /// Print the problems to stdout in this form (same as --errors, but as data)
    #[arg(long, value_enum)]
    format: Option<Errors>,
    /// Say for each score whose images its predictor has seen, and through what
    #[arg(long)]
    explain_leakage: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let study = &arguments.study;
    let memory = CheckCache::of_user().map_or_else(Memory::default, |cache| Memory::on(Box::new(cache)));
    let outcome = match study.check(&Remembering(memory), Pick::Every) {
        Ok(outcome) => outcome,
        Err(outcome) => return outcome,
    };
    if arguments.explain_leakage {
        let json = arguments.format == Some(Errors::Json) || !study.talk.for_people();
        let explained = outcome.seen.iter();
        let text: Vec<String> = if json {
            explained.map(|study| study.json_lines(&outcome.map)).collect()
        } else {
            explained.map(|study| study.text(&outcome.map)).collect()
        };
        let printed = print(&text.join(if json { "" } else { "\n" }));
        if printed != Outcomes::Done {
            return printed;
        }
        let leaks =
            [Code::E0301, Code::E0302, Code::E0304, Code::E0305, Code::E0309, Code::E0603, Code::E0604, Code::E0705];
        if !json && outcome.problems.clone().without(&leaks).has_errors() {
            talk("this is what is seen in the settings that are understood; the errors below may change it");
        }
    }
    if arguments.format == Some(Errors::Json) {
        let printed = print(&crate::diag::json::lines(&outcome.map, &outcome.problems));
        if printed != Outcomes::Done {
            return printed;
        }
    } else {
        study.tell(&outcome.map, &outcome.problems);
        if study.talk.for_people() {
            let variants = match &outcome.checked {
                Some(checked) if checked.variants.len() > 1 => format!("{} variants; ", checked.variants.len()),
                Some(_) | None => String::new(),
            };
            let images = match outcome.datasets.as_slice() {
                [] => String::new(),
                [dataset] if outcome.problems.has(Code::E0301) => {
                    format!("{} images in {} classes; ", dataset.images.len(), dataset.classes.len())
                }
                [dataset] => format!(
                    "{} images of {} patients in {} classes; ",
                    dataset.images.len(),
                    dataset.patients.len(),
                    dataset.classes.len()
                ),
                several => format!("{} data sets; ", several.len()),
            };
            let what = variants + &images;
            talk(&format!("{}: {what}{}", study.study.display(), summary(&outcome.problems)));
        }
    }
    if outcome.problems.has_errors() { Outcomes::Errors } else { Outcomes::Done }
}
