//! `pipe plan`: what a run would do, what it would reuse and why, who is in which fold, and about how long it takes.

use clap::Args;

use super::calibrate::Calibrations;
use super::{Outcomes, StoreArguments, StudyArguments, print};
use crate::diag::Code;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe plan study.pipe                        what would run, and roughly how long
  pipe plan study.pipe --measure              the same, after timing this machine")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    store: StoreArguments,
    /// Time the networks and some of the images on this machine first: seconds to a minute for each network. Later plans
    /// use what was measured
    #[cfg(feature = "run")]
    #[arg(long)]
    measure: bool,
    /// What the time is told of: auto, cpu, cuda, cuda(1) or vulkan
    #[cfg(feature = "run")]
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: crate::exec::Choice,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    planned(arguments).unwrap_or_else(|outcome| outcome)
}

fn planned(arguments: &Arguments) -> Result<Outcomes, Outcomes> {
    // The size of a grid is told with its time, once that is known.
    let mut loaded = arguments.study.load_but(&[Code::W0702], false)?;
    let plan = arguments.store.plan(&arguments.study, &mut loaded)?;
    let calibrations = calibrations(arguments, &plan)?;
    let rates = calibrations.rates(&plan);
    let estimate = plan.estimate(&rates);
    let printed = print(&(plan.to_text() + &estimate.to_text()));
    let mut problems = plan.too_large(&rates);
    let refused = problems.has_errors();
    problems.extend(plan.large(&estimate));
    arguments.study.tell(&loaded.map, &problems);
    Ok(if refused { Outcomes::Errors } else { printed })
}

#[cfg(feature = "run")]
fn calibrations(arguments: &Arguments, plan: &crate::plan::Plan) -> Result<Calibrations, Outcomes> {
    let (choice, _) = crate::exec::choose(arguments.device).map_err(super::bench::told)?;
    let calibrations = Calibrations::new(&choice.to_string());
    if arguments.measure {
        let measured = calibrations.measure(plan);
        measured
            .map_err(|why| super::weights::refuse(Outcomes::Failed, &format!("nothing was measured: {why}"), None))?;
    }
    Ok(calibrations)
}

#[cfg(not(feature = "run"))]
#[expect(clippy::unnecessary_wraps, reason = "as with the engine")]
fn calibrations(_arguments: &Arguments, _plan: &crate::plan::Plan) -> Result<Calibrations, Outcomes> {
    Ok(Calibrations::new("cpu"))
}
