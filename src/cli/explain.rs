//! `pipe explain`: what a code, a block, a setting or an operation is.

use clap::Args;

use super::{Outcomes, print, talk};
use crate::diag::render::visible;
use crate::explain;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe explain                  what there is to ask about
  pipe explain E0304            a code: what, why, a wrong and a right program
  pipe explain train            a block with all its settings, ranges and defaults
  pipe explain train.epochs     a setting
  pipe explain focal            an operation: parameters, formula's source, examples
  pipe explain backbones        the networks, in a table")]
pub(super) struct Arguments {
    /// A code, a block, a setting, an operation, or a list such as losses; several are told one after the other
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    if arguments.words.is_empty() {
        return print(&explain::topics());
    }
    let mut pages = Vec::new();
    let mut unknown = false;
    for word in &arguments.words {
        match explain::explain(word) {
            Ok(page) => pages.push(page),
            Err(near) => {
                let hint = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
                let word = visible(word);
                talk(&format!("pipe: nothing is known about `{word}`; {hint}`pipe explain` lists what there is"));
                unknown = true;
            }
        }
    }
    let printed = print(&pages.join("\n"));
    if unknown { Outcomes::Usage } else { printed }
}
