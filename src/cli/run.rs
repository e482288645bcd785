//! `pipe run`: the whole study, from text to report.

use std::path::PathBuf;

use clap::Args;

#[cfg(not(feature = "run"))]
use super::talk;
use super::{Outcomes, StoreArguments, StudyArguments};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe run study.pipe
  pipe run study.pipe --set epochs=5 --set root=/data/cxr
  pipe run study.pipe --params values.yaml")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    store: StoreArguments,
    /// Where the results go [default: runs/STUDY]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// auto, cpu, cuda, cuda(1) or vulkan; default: what a `run` block says, else auto
    #[cfg(feature = "run")]
    #[arg(long, value_name = "DEVICE")]
    device: Option<crate::exec::Choice>,
    /// Which `run` block of the study says where it runs [default: the only one]
    #[arg(long, value_name = "NAME")]
    on: Option<String>,
    /// Only the variants whose name fits, `resnet50/*`; may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Folds and variants trained side by side, each in a process of its own [default: what a `run` block says, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Option<u32>,
    /// Be the worker of this number for the run that started this process
    #[arg(long, hide = true)]
    worker: Option<u32>,
    /// Fetch no first weights from the Hugging Face hub; `HF_HUB_OFFLINE=1` says the same
    #[arg(long)]
    offline: bool,
    /// Most that the store may hold after the run, `500MiB`, `20GiB` or `none`: what was used last stays, and in any case
    /// what this study uses
    #[arg(long, value_name = "SIZE", default_value = "none", value_parser = size)]
    cache_size: u64,
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

/// `500MiB`, `20 GiB`, `none`: bytes.
fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text == "none" {
        return Ok(u64::MAX);
    }
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let factor: u64 = match unit.trim() {
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err("write a whole number and MiB, GiB, TiB, MB, GB or TB, as in `20GiB`, or `none`".to_owned()),
    };
    let number: u64 =
        text.strip_suffix(unit).unwrap_or("").parse().map_err(|_| "the number is missing or too large")?;
    number.checked_mul(factor).ok_or_else(|| "that is more than any disk".to_owned())
}

#[cfg(feature = "run")]
mod with_engine {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use super::super::calibrate::Calibrations;
    use super::super::progress::{Progress, duration};
    use super::super::reading::Reading;
    use super::super::show::no_variant;
    use super::super::weights::{fetch, is_offline};
    use super::super::{Loaded, digests, print, talk};
    use super::{Arguments, Outcomes};
    use crate::check::{Device, RunBlock};
    use crate::exec::{self, Choice, Context, Event, Finished, RunError, Timing, Workers};
    use crate::graph::Key;
    use crate::host::RealHost;
    use crate::nn::weights::config;
    use crate::plan::{self, Plan};
    use crate::record::StudyRecord;
    use crate::report::{self, Format};
    use crate::stats::predictions;
    use crate::store::{Freed, RunFolder, Store, variant_folders, write_whole};

    static STOP: AtomicBool = AtomicBool::new(false);

    /// Keeps the store within `--cache-size`. The run is done: what cannot be removed is told and changes nothing else.
    fn bound(arguments: &Arguments, store: &Store, plan: &Plan) {
        let used: Vec<&Key> =
            plan.dag.nodes().filter(|(_, node)| node.work.is_stored()).map(|(_, node)| &node.key).collect();
        let words = match store.bound(arguments.cache_size, &used) {
            Ok(freed) if freed.left > arguments.cache_size => {
                format!("the store holds {} MiB, more than --cache-size: this study uses all of it", freed.left >> 20)
            }
            Ok(Freed { nodes: 0, .. }) => return,
            Ok(freed) => format!(
                "{} old steps left the store, {} MiB; {} MiB stay",
                freed.nodes,
                freed.bytes >> 20,
                freed.left >> 20
            ),
            Err(error) => format!("the store cannot be kept within --cache-size: {error}"),
        };
        if !arguments.quiet {
            talk(&words);
        }
    }

    pub(in super::super) fn run(arguments: &Arguments) -> Outcomes {
        let begun = Instant::now();
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut loaded = match arguments.study.load_but(&[], arguments.device.is_some()) {
            Ok(loaded) => loaded,
            Err(outcome) => return outcome,
        };
        let wanted = match wanted(arguments, &loaded) {
            Ok(wanted) => wanted,
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
        let workers = arguments.workers.or_else(|| place.and_then(|place| place.workers)).unwrap_or(1);
        if let Err(outcome) = enough(device, workers) {
            return outcome;
        }
        let threads = arguments.threads.or_else(|| place.and_then(|place| place.threads));
        if let Some(threads) = threads_of(threads, workers, arguments.worker) {
            // Fails only if the pool was built before, which nothing here does.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        }
        let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(loaded.checked.name()));
        // A worker writes no results: the run that started it does.
        let opened = arguments.worker.is_none().then(|| RunFolder::open(&folder));
        let run_folder = match opened {
            None => None,
            Some(Ok(Some(run_folder))) => Some(run_folder),
            Some(Ok(None)) => {
                return failed(
                    &format!("another run is writing to {}", folder.display()),
                    "wait for it, or choose another folder with --out",
                );
            }
            Some(Err(error)) => {
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
        let get = |of: &crate::nn::weights::Repository| fetch(of, arguments.quiet);
        let online: exec::Fetch<'_> = if is_offline(arguments.offline) { None } else { Some(&get) };
        let weights = match arguments.store.weights(&arguments.study, &loaded, online) {
            Ok(weights) => weights,
            Err(outcome) => return outcome,
        };
        let reading = Reading::new(arguments.quiet);
        let count = |done, total| reading.at(done, total);
        let verify = arguments.store.verify && arguments.worker.is_none();
        let options = plan::Options { verify, weights: digests(&weights), progress: Some(&count) };
        let datasets = std::mem::take(&mut loaded.datasets);
        let plan = match plan::plan(&loaded.checked, datasets, &RealHost, Some(&store), &options) {
            Ok(plan) => plan,
            Err(problems) => {
                arguments.study.tell(&loaded.map, &problems);
                arguments.study.tell_count(&problems);
                return Outcomes::Errors;
            }
        };
        drop(reading);
        let too_large = plan.too_large(&Calibrations::new(&device.to_string()).rates(&plan));
        if arguments.worker.is_none() && too_large.has_errors() {
            arguments.study.tell(&loaded.map, &too_large);
            arguments.study.tell_count(&too_large);
            return Outcomes::Errors;
        }
        let chosen: Vec<usize> =
            (0..plan.variants.len()).filter(|variant| wanted.contains(variant) || plan.is_done(*variant)).collect();
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
        let context = Context {
            host: &RealHost,
            store: &store,
            weights,
            device: arguments.worker.map_or(device, |number| device.of_worker(number)),
            workers: (arguments.worker.is_none() && workers > 1).then_some(Workers { count: workers, start: &worker }),
            stop: &STOP,
            warnings: loaded.warnings(),
        };
        let Some(run_folder) = run_folder else {
            exec::work(&plan, &context, &STOP);
            return Outcomes::Done;
        };
        if !arguments.quiet {
            talk(&headline(&plan, &chosen));
        }
        let progress = Mutex::new(Progress::new(arguments.quiet));
        let publisher = Publisher { arguments, loaded: &loaded, plan: &plan, folder: &run_folder };
        let folders = publisher.folders();
        let mut summary = String::new();
        let result = exec::run(
            &plan,
            &context,
            &chosen,
            &mut |event: Event| {
                if let Event::Warned(problems) = event {
                    locked(&progress).beside(|| arguments.study.tell(&loaded.map, &problems));
                } else {
                    locked(&progress).on(event);
                }
            },
            &mut |variant, finished| {
                let mut progress = locked(&progress);
                let steps = progress.of_variant().to_vec();
                let timing = Timing { started_unix, seconds: begun.elapsed().as_secs_f64(), steps };
                if plan.variants.len() == 1 {
                    progress.clear();
                    summary = report::render(&finished.record, Format::Text);
                }
                publisher.variant(variant, folders.get(variant).map_or("", String::as_str), finished, &timing)
            },
        );
        let mut progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        progress.clear();
        if arguments.cache_size < u64::MAX {
            bound(arguments, &store, &plan);
        }
        match result {
            Ok(study) => {
                let timing = Timing { started_unix, seconds: begun.elapsed().as_secs_f64(), steps: Vec::new() };
                if let Some(study) = study {
                    if let Err(error) = publisher.study(&study, &folders, &timing) {
                        return ended(arguments, &loaded, error);
                    }
                    summary = report::render_study(&study, Format::Text);
                }
                let printed = print(&summary);
                if !arguments.quiet {
                    talk(&format!(
                        "{} steps done, {} reused, {}; open {}",
                        progress.done,
                        progress.reused,
                        duration(timing.seconds),
                        run_folder.root().join("report.html").display()
                    ));
                }
                printed
            }
            Err(error) => ended(arguments, &loaded, error),
        }
    }

    fn locked(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
        progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells why a run came to no result.
    fn ended(arguments: &Arguments, loaded: &Loaded, error: RunError) -> Outcomes {
        match error {
            RunError::Interrupted => {
                talk(
                    "interrupted; what is finished is kept: the same command goes on with the fold it was at, from its first epoch",
                );
                Outcomes::Interrupted
            }
            RunError::Problems(problems) => {
                arguments.study.tell(&loaded.map, &problems);
                arguments.study.tell_count(&problems);
                Outcomes::Errors
            }
            RunError::Failed { what, help } => failed(&what, help.as_deref().unwrap_or("")),
        }
    }

    /// The variants that `--only` asks for; all without it.
    fn wanted(arguments: &Arguments, loaded: &Loaded) -> Result<Vec<usize>, Outcomes> {
        loaded.checked.fitting(&arguments.only).map_err(|pattern| no_variant(pattern, &loaded.checked))
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
            (None, Some(Device::Vulkan(number))) => Choice::Vulkan(number as usize),
        };
        match exec::choose(wanted) {
            Ok((choice, _)) => Ok(choice),
            Err(RunError::Failed { what, help }) => Err(failed(&what, help.as_deref().unwrap_or(""))),
            Err(RunError::Interrupted | RunError::Problems(_)) => Err(Outcomes::Failed),
        }
    }

    /// Is there a device for each worker?
    fn enough(device: Choice, workers: u32) -> Result<(), Outcomes> {
        match exec::choose(device.of_worker(workers.saturating_sub(1))) {
            Ok(_) => Ok(()),
            Err(RunError::Failed { what, .. }) => {
                Err(failed(&what, &format!("{workers} workers from {device} on take as many GPUs; ask for fewer")))
            }
            Err(RunError::Interrupted | RunError::Problems(_)) => Err(Outcomes::Failed),
        }
    }

    /// How many threads this process shall have, if not all: workers share those of the run.
    fn threads_of(threads: Option<u32>, workers: u32, worker: Option<u32>) -> Option<usize> {
        let threads = threads.map(|threads| threads as usize);
        worker.map_or(threads, |_| {
            let all = threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
            Some(all.unwrap_or(1).div_euclid(workers as usize).max(1))
        })
    }

    /// This command again, as a worker.
    fn worker(number: u32) -> Command {
        let mut arguments = std::env::args_os();
        let program = arguments.next().unwrap_or_default();
        let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| program.into()));
        command.args(arguments.next()).args(["--worker", &number.to_string()]).args(arguments);
        command
    }

    fn headline(plan: &Plan, chosen: &[usize]) -> String {
        let (run, reuse) = (plan.count(&plan::Action::Run), plan.count(&plan::Action::Reuse));
        let Some(first) = plan.variants.first() else { return String::new() };
        let variants = match plan.variants.len() {
            1 => String::new(),
            all if all == chosen.len() => format!("{all} variants, "),
            all => format!("{} of {all} variants, ", chosen.len()),
        };
        let steps = if plan.variants.len() == chosen.len() {
            format!("; {run} steps to run, {reuse} reused")
        } else {
            String::new()
        };
        format!(
            "{}: {variants}{} images of {} patients, {} classes, {} folds{steps}",
            first.study.name,
            first.dataset.images.len(),
            first.dataset.patients.len(),
            first.dataset.classes.len(),
            first.trained.len(),
        )
    }

    /// Writes results into the run's folder.
    struct Publisher<'a> {
        arguments: &'a Arguments,
        loaded: &'a Loaded,
        plan: &'a Plan,
        folder: &'a RunFolder,
    }

    fn unwritable(what: &str, error: &dyn std::fmt::Display) -> RunError {
        RunError::Failed { what: format!("the {what} cannot be written: {error}"), help: None }
    }

    impl Publisher<'_> {
        /// Where each variant's results go within the run's folder; the only one fills it.
        fn folders(&self) -> Vec<String> {
            match self.plan.variants.as_slice() {
                [_] => vec![String::new()],
                variants => variant_folders(&variants.iter().map(|variant| variant.name.as_str()).collect::<Vec<_>>()),
            }
        }

        /// The study as it was written, and every file it uses.
        fn sources(&self) -> Vec<(String, Vec<u8>)> {
            let (map, checked) = (&self.loaded.map, &self.loaded.checked);
            let text = |file| map.text(file).as_bytes().to_vec();
            let used = checked.used.iter().zip(1..).map(|(file, number)| {
                let name = Path::new(map.name(*file)).file_name().unwrap_or_default().to_string_lossy();
                (format!("used/{number}-{name}"), text(*file))
            });
            std::iter::once(("study.pipe".to_string(), text(checked.file))).chain(used).collect()
        }

        fn publish(&self, within: &str, files: &[(String, Vec<u8>)], manifest: &str) -> Result<(), RunError> {
            self.folder.publish(within, files, manifest).map_err(|error| {
                let place = self.folder.root().join(within);
                RunError::failed(
                    format!("the results cannot be written to {}: {error}", place.display()),
                    "make room or choose another folder with --out; the trainings are kept and will be reused",
                )
            })
        }

        fn variant(&self, index: usize, within: &str, finished: &Finished, timing: &Timing) -> Result<(), RunError> {
            let record = serde_json::to_vec_pretty(&finished.record).map_err(|error| unwritable("record", &error))?;
            let columns = finished.record.study.evaluate.columns();
            let table = predictions::to_csv(&finished.record.classes, &columns, &finished.predictions, "fold");
            let page = report::render(&finished.record, Format::Html);
            let mut files = self.sources();
            files.extend([
                ("record.json".to_string(), record),
                ("predictions.csv".to_string(), table.into_bytes()),
                ("report.html".to_string(), page.clone().into_bytes()),
            ]);
            if !finished.validation.is_empty() {
                let table = predictions::to_csv(&finished.record.classes, &columns, &finished.validation, "validation");
                files.push(("validation.csv".to_string(), table.into_bytes()));
            }
            for (fold, model) in &finished.models {
                let of = &finished.record;
                let config = config(model, &of.study, &of.classes).map_err(|error| unwritable("models", &error))?;
                files.push((format!("models/fold-{fold}/model.safetensors"), model.clone()));
                files.push((format!("models/fold-{fold}/config.json"), config.into_bytes()));
            }
            let parameters = self.parameters();
            let manifest = exec::manifest(self.plan, index, finished, &files, &parameters, timing)
                .map_err(|error| unwritable("manifest", &error))?;
            self.publish(within, &files, &manifest)?;
            if self.plan.variants.len() > 1 {
                return Ok(());
            }
            self.elsewhere(&page)
        }

        fn study(&self, record: &StudyRecord, folders: &[String], timing: &Timing) -> Result<(), RunError> {
            let json = serde_json::to_vec_pretty(record).map_err(|error| unwritable("record", &error))?;
            let page = report::render_study(record, Format::Html);
            let mut files = self.sources();
            files.extend([("record.json".to_string(), json), ("report.html".to_string(), page.clone().into_bytes())]);
            let folder_of = |name: &str| {
                let at = self.plan.variants.iter().position(|variant| variant.name == name);
                at.and_then(|at| folders.get(at)).map_or("", String::as_str)
            };
            let manifest = exec::study_manifest(record, folder_of, &files, &self.parameters(), timing)
                .map_err(|error| unwritable("manifest", &error))?;
            self.publish("", &files, &manifest)?;
            self.elsewhere(&page)
        }

        /// What was set from outside, as `name=value`: the values file first, then the command line.
        fn parameters(&self) -> Vec<String> {
            // A values file that could be read before it was checked can be read again; if not, the settings tell.
            let text = self.arguments.study.values().ok().flatten().map(|(_, text)| text).unwrap_or_default();
            let values: BTreeMap<String, serde_yaml::Value> = serde_yaml::from_str(&text).unwrap_or_default();
            let one = |(name, value): (String, serde_yaml::Value)| {
                let value = serde_yaml::to_string(&value).unwrap_or_default();
                format!("{name}={}", value.trim_end())
            };
            values.into_iter().map(one).chain(self.arguments.study.set.iter().cloned()).collect()
        }

        /// `report { html = ... }`
        fn elsewhere(&self, page: &str) -> Result<(), RunError> {
            let Some(html) = &self.loaded.checked.report.html else { return Ok(()) };
            let path = self.loaded.checked.base.join(html);
            let written = match path.parent() {
                Some(folder) => std::fs::create_dir_all(folder).and_then(|()| write_whole(&path, page.as_bytes())),
                None => write_whole(&path, page.as_bytes()),
            };
            written.map_err(|error| {
                RunError::failed(
                    format!("`report.html` cannot be written to {}: {error}", path.display()),
                    "name another file; the results are in the run's folder all the same",
                )
            })
        }
    }
}
