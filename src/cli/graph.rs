//! `pipe graph`: the study's graph of work.

use clap::{Args, ValueEnum};

use super::{Outcomes, StoreArguments, StudyArguments, print};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe graph study.pipe                       one line a step
  pipe graph study.pipe --format dot | dot -Tsvg > study.svg")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    store: StoreArguments,
    /// Text, Graphviz or Mermaid
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line a node
    Text,
    /// Graphviz
    Dot,
    /// Mermaid, for Markdown pages
    Mermaid,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let planned = arguments.study.load().and_then(|mut loaded| arguments.store.plan(&arguments.study, &mut loaded));
    match planned {
        Err(outcome) => outcome,
        Ok(plan) => print(&match arguments.format {
            Format::Text => plan.dag.to_text(),
            Format::Dot => plan.dag.to_dot(),
            Format::Mermaid => plan.dag.to_mermaid(),
        }),
    }
}
