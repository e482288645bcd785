//! `pipe plan`: what a run would do, what it would reuse and why, and who is in which fold.

use clap::Args;

use super::{Outcomes, StoreArguments, StudyArguments, print};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe plan study.pipe                        what would run, and what is reused")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let planned = arguments.study.load().and_then(|loaded| arguments.store.plan(&arguments.study, loaded));
    match planned {
        Err(outcome) => outcome,
        Ok(plan) => print(&plan.to_text()),
    }
}
