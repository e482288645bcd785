//! `pipe why`: why steps run or are reused, and why frozen features are shared or not.

use clap::Args;

use super::{Outcomes, StoreArguments, StudyArguments, print, talk};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe why study.pipe                         every step, and what is other than in the store
  pipe why study.pipe \"train fold 0\"          one step
  pipe why study.pipe --cache                 are the features of a frozen backbone shared, and if not why")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    /// Only steps with this in their title, as `pipe plan` prints it
    #[arg(value_name = "STEP", default_value = "", hide_default_value = true)]
    step: String,
    /// Tell of the features of frozen backbones instead
    #[arg(long, conflicts_with = "step")]
    cache: bool,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let planned = arguments.study.load().and_then(|mut loaded| arguments.store.plan(&arguments.study, &mut loaded));
    let plan = match planned {
        Err(outcome) => return outcome,
        Ok(plan) => plan,
    };
    if arguments.cache {
        return print(&plan.why_cache());
    }
    if let Some(text) = plan.why(&arguments.step, arguments.store.existing().as_ref()) {
        return print(&text);
    }
    talk(&format!("pipe: no step is called `{}`", arguments.step));
    talk("  help: `pipe plan` lists them; a part of a title will do, as in  pipe why study.pipe train");
    Outcomes::Usage
}
