//! `pipe run`: the whole study, from text to report.

use std::path::PathBuf;

use clap::Args;

#[cfg(not(feature = "run"))]
use super::talk;
use super::{Outcomes, StoreArguments, StudyArguments};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    store: StoreArguments,
    /// Where the results go [default: runs/STUDY]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// auto, cpu, cuda or cuda(1); default: what a `run` block says, else auto
    #[cfg(feature = "run")]
    #[arg(long, value_name = "DEVICE")]
    device: Option<crate::exec::Choice>,
    /// Which `run` block of the study says where it runs [default: the only one]
    #[arg(long, value_name = "NAME")]
    on: Option<String>,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// No progress, only problems and the result
    #[arg(long, short)]
    quiet: bool,
}

#[cfg(not(feature = "run"))]
pub(super) fn run(_arguments: &Arguments) -> Outcomes {
    talk("pipe: E0110: this build cannot run studies; build it with the default features");
    Outcomes::Failed
}

#[cfg(feature = "run")]
pub(super) use with_engine::run;

#[cfg(feature = "run")]
mod with_engine {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use super::super::progress::{Progress, duration};
    use super::super::{Loaded, print, talk};
    use super::{Arguments, Outcomes};
    use crate::check::{Device, RunBlock};
    use crate::exec::{self, Choice, Context, Event, Finished, RunError, Timing};
    use crate::host::RealHost;
    use crate::plan::{self, Plan};
    use crate::report::{self, Format};
    use crate::stats::predictions;
    use crate::store::{RunFolder, Store};

    static STOP: AtomicBool = AtomicBool::new(false);

    pub(in super::super) fn run(arguments: &Arguments) -> Outcomes {
        let begun = Instant::now();
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let loaded = match arguments.study.load() {
            Ok(loaded) => loaded,
            Err(outcome) => return outcome,
        };
        let place = match place(arguments, &loaded) {
            Ok(place) => place,
            Err(outcome) => return outcome,
        };
        let device = match device(arguments, place) {
            Ok(device) => device,
            Err(outcome) => return outcome,
        };
        if let Some(threads) = arguments.threads.or_else(|| place.and_then(|place| place.threads)) {
            // Fails only if the pool was built before, which nothing here does.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build_global();
        }
        let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(loaded.checked.name()));
        let run_folder = match RunFolder::open(&folder) {
            Ok(Some(run_folder)) => run_folder,
            Ok(None) => {
                return failed(
                    &format!("another run is writing to {}", folder.display()),
                    "wait for it, or choose another folder with --out",
                );
            }
            Err(error) => {
                return failed(
                    &format!("{} cannot be written: {error}", folder.display()),
                    "choose another folder with --out",
                );
            }
        };
        let store = match Store::open(&arguments.store.store) {
            Ok(store) => store,
            Err(error) => {
                return failed(
                    &format!("the store {} cannot be written: {error}", arguments.store.store.display()),
                    "choose another folder with --store",
                );
            }
        };
        let found = match arguments.store.weights(&arguments.study, &loaded) {
            Ok(found) => found,
            Err(outcome) => return outcome,
        };
        let options = plan::Options {
            verify: arguments.store.verify,
            weights: found.as_ref().map(|found| found.sha256.clone()),
            progress: None,
        };
        let plan = match plan::plan(
            &loaded.checked,
            &loaded.variant,
            loaded.dataset.clone(),
            &RealHost,
            Some(&store),
            &options,
        ) {
            Ok(plan) => plan,
            Err(problems) => {
                arguments.study.tell(&loaded.map, &problems);
                arguments.study.tell_count(&problems);
                return Outcomes::Errors;
            }
        };
        // A second Ctrl-C leaves at once; the store is whole at every moment.
        let handler = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            talk("\nstopping after this step of the training; press Ctrl-C again to leave at once");
        });
        if handler.is_err() {
            talk("pipe: Ctrl-C cannot be caught here; what is finished is kept all the same");
        }
        let mut progress = Progress::new(arguments.quiet);
        if !arguments.quiet {
            talk(&headline(&plan));
        }
        let context = Context {
            host: &RealHost,
            store: &store,
            variant: &loaded.variant,
            weights: found.as_ref(),
            device,
            stop: &STOP,
            warnings: loaded.warnings(),
        };
        let result = exec::run(&plan, &context, &mut |event: Event| progress.on(event));
        progress.clear();
        match result {
            Ok(finished) => {
                let timing =
                    Timing { started_unix, seconds: begun.elapsed().as_secs_f64(), steps: progress.seconds.clone() };
                publish(arguments, &loaded, &plan, &finished, &run_folder, &timing, &progress)
            }
            Err(RunError::Interrupted) => {
                talk("interrupted; what is finished is kept, and the same command goes on from there");
                Outcomes::Interrupted
            }
            Err(RunError::Problems(problems)) => {
                arguments.study.tell(&loaded.map, &problems);
                arguments.study.tell_count(&problems);
                Outcomes::Errors
            }
            Err(RunError::Failed { what, help }) => failed(&what, help.as_deref().unwrap_or("")),
        }
    }

    fn failed(what: &str, help: &str) -> Outcomes {
        talk(&format!("pipe: {what}"));
        if !help.is_empty() {
            talk(&format!("  help: {help}"));
        }
        Outcomes::Failed
    }

    /// The `run` block that `--on` names, or the only one there is.
    fn place<'a>(arguments: &Arguments, loaded: &'a Loaded) -> Result<Option<&'a RunBlock>, Outcomes> {
        let blocks = &loaded.checked.run.blocks;
        match &arguments.on {
            None if blocks.len() == 1 => Ok(blocks.values().next()),
            None => Ok(None),
            Some(name) => blocks.get(name).map(Some).ok_or_else(|| {
                let names: Vec<&str> = blocks.keys().map(String::as_str).collect();
                let there =
                    if names.is_empty() { "it has none".into() } else { format!("there are: {}", names.join(", ")) };
                talk(&format!("pipe: the study has no `run {name}` block; {there}"));
                Outcomes::Usage
            }),
        }
    }

    fn device(arguments: &Arguments, place: Option<&RunBlock>) -> Result<Choice, Outcomes> {
        let wanted = match (&arguments.device, place.map(|place| place.device)) {
            (Some(choice), _) => *choice,
            (None, None | Some(Device::Auto)) => Choice::Auto,
            (None, Some(Device::Cpu)) => Choice::Cpu,
            (None, Some(Device::Cuda(number))) => Choice::Cuda(number as usize),
        };
        match exec::choose(wanted) {
            Ok((choice, _)) => Ok(choice),
            Err(RunError::Failed { what, help }) => Err(failed(&what, help.as_deref().unwrap_or(""))),
            Err(RunError::Interrupted | RunError::Problems(_)) => Err(Outcomes::Failed),
        }
    }

    fn headline(plan: &Plan) -> String {
        let reuse = plan.steps.iter().filter(|step| step.action == plan::Action::Reuse).count();
        let run = plan.steps.iter().filter(|step| step.action == plan::Action::Run).count();
        format!(
            "{}: {} images of {} patients, {} classes, {} folds; {run} steps to run, {reuse} reused",
            plan.study.name,
            plan.dataset.images.len(),
            plan.dataset.patients.len(),
            plan.dataset.classes.len(),
            plan.trained.len(),
        )
    }

    fn publish(
        arguments: &Arguments,
        loaded: &Loaded,
        plan: &Plan,
        finished: &Finished,
        folder: &RunFolder,
        timing: &Timing,
        progress: &Progress,
    ) -> Outcomes {
        let record = match serde_json::to_vec_pretty(&finished.record) {
            Ok(record) => record,
            Err(error) => return failed(&format!("the record cannot be written: {error}"), ""),
        };
        let source = loaded.map.text(loaded.checked.file).as_bytes().to_vec();
        let table = predictions::to_csv(&finished.record.classes, &finished.predictions);
        let mut files = vec![
            ("study.pipe".to_string(), source),
            ("record.json".to_string(), record),
            ("predictions.csv".to_string(), table.into_bytes()),
            ("report.html".to_string(), report::render(&finished.record, Format::Html).into_bytes()),
        ];
        for (fold, model) in &finished.models {
            files.push((format!("models/fold-{fold}.safetensors"), model.clone()));
        }
        let manifest = match exec::manifest(plan, finished, &files, &arguments.study.set, timing) {
            Ok(manifest) => manifest,
            Err(error) => return failed(&format!("the manifest cannot be written: {error}"), ""),
        };
        if let Err(error) = folder.publish(&files, &manifest) {
            let place = folder.root().display();
            return failed(
                &format!("the results cannot be written to {place}: {error}"),
                "make room or choose another folder with --out; the trainings are kept and will be reused",
            );
        }
        let printed = print(&report::render(&finished.record, Format::Text));
        if !arguments.quiet {
            talk(&format!(
                "{} steps done, {} reused, {}; open {}",
                progress.done,
                progress.reused,
                duration(timing.seconds),
                folder.root().join("report.html").display()
            ));
        }
        printed
    }
}
