//! The command line: one file a subcommand. stdout is data, stderr is talk.
//!
//! Exit codes: 0 done; 1 the program has errors; 2 wrong command line; 3 the run failed, what was finished is
//! kept; 70 a bug in `pipe`; 130 interrupted.

mod audit;
mod bench;
mod calibrate;
mod check;
mod completions;
mod doctor;
mod explain;
mod fmt;
mod graph;
mod lsp;
mod new;
mod plan;
mod preview;
#[cfg(feature = "run")]
mod progress;
mod reading;
mod run;
mod show;
mod split;
mod weights;
mod why;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
#[cfg(feature = "run")]
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::check::{Checked, Outcome, Overrides, Pick, Variant, check_file};
use crate::data::Dataset;
use crate::diag::{Code, Problems, Severity, json, render};
use crate::host::{Host, RealHost};
#[cfg(feature = "run")]
use crate::nn::weights::Found;
use crate::source::SourceMap;
use crate::store::Store;
#[cfg(feature = "run")]
use crate::study::Model;

/// Medical-imaging studies as small text files: patients never leak, folds share work, one report.
#[derive(Debug, Parser)]
#[command(name = "pipe", version, about, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  pipe run pipelines/quickstart.pipe              a whole study on drawn images, in about a minute
  pipe check study.pipe                           everything that is wrong, each at its place
  pipe plan study.pipe                            what a run would do, and what it would reuse
  pipe split study.pipe --format csv > folds.csv  who is in which fold
  pipe run study.pipe --set epochs=5 --set root=/data/cxr

Exit codes: 0 done, 1 the study has errors, 2 wrong command line, 3 the run failed and
what was finished is kept, 70 a bug in pipe, 130 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a first study of a table or of folders of images
    New(new::Arguments),
    /// Read a study and say everything that is wrong with it
    Check(check::Arguments),
    /// Tell what a code, a block, a setting or an operation is
    Explain(explain::Arguments),
    /// Lay .pipe files out in the canonical way, and mend slips
    Fmt(fmt::Arguments),
    /// Show the study's graph of work
    Graph(graph::Arguments),
    /// Show the study as it is meant: as a program, in prose, as data
    Show(show::Arguments),
    /// Show what a run would do, what it would reuse, and who is in which fold
    Plan(plan::Arguments),
    /// Say why steps run or are reused, and why frozen features are shared or not
    Why(why::Arguments),
    /// Look at every image: missing, unreadable, copies, other kinds
    Audit(audit::Arguments),
    /// Deal the patients into folds and show how even they are
    Split(split::Arguments),
    /// Write what the network will see: prepared and augmented images
    Preview(preview::Arguments),
    /// Do the whole study and write its report
    Run(run::Arguments),
    /// Answer an editor: the language server
    Lsp(lsp::Arguments),
    /// Print what a shell needs to complete this command line
    Completions(completions::Completions),
    /// Print the manual, or write its pages
    Man(completions::Man),
    /// List, find, fetch, convert and check first weights
    Weights(weights::Arguments),
    /// Measure what a backbone costs on this machine: time and memory
    Bench(bench::Arguments),
    /// Tell what this machine and this build offer, and what is missing
    Doctor(doctor::Arguments),
}

/// What every command that reads a study takes.
#[derive(Debug, Args)]
struct StudyArguments {
    /// The study, a .pipe file
    #[arg(value_name = "STUDY")]
    study: PathBuf,
    /// Which study, if the file holds several
    #[arg(long = "study", value_name = "NAME")]
    name: Option<String>,
    /// Set a `param` of the study; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Set many `param`s from a YAML file
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    #[command(flatten)]
    talk: Talk,
}

/// How problems are told.
#[derive(Debug, Args)]
struct Talk {
    /// How problems are shown
    #[arg(long = "errors", value_enum, default_value_t = Errors::Text, value_name = "FORM")]
    errors: Errors,
    /// Use colours
    #[arg(long, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,
}

/// Where finished work is kept and first weights are found.
#[derive(Debug, Args)]
struct StoreArguments {
    /// Where finished steps are kept between runs
    #[arg(long, value_name = "DIR", default_value = ".pipe")]
    store: PathBuf,
    /// A folder with pretrained weights (safetensors with timm's names); may be given several times
    #[arg(long, value_name = "DIR")]
    weights: Vec<PathBuf>,
    /// Read every image again instead of trusting its size and time of change
    #[arg(long)]
    verify: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Errors {
    /// With the lines of the study
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// When stderr is a terminal and `NO_COLOR` is not set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcomes {
    Done,
    Errors,
    Usage,
    Failed,
    #[cfg(feature = "run")]
    Interrupted,
}

impl From<Outcomes> for ExitCode {
    fn from(outcome: Outcomes) -> Self {
        Self::from(match outcome {
            Outcomes::Done => 0,
            Outcomes::Errors => 1,
            Outcomes::Usage => 2,
            Outcomes::Failed => 3,
            #[cfg(feature = "run")]
            Outcomes::Interrupted => 130,
        })
    }
}

/// Runs the program on the process's own arguments.
pub fn main() -> ExitCode {
    // A panic is a bug; it is told once, in a few words, and ends with 70.
    let outcome = std::panic::catch_unwind(|| {
        let cli = Cli::parse();
        match cli.command {
            Command::New(arguments) => new::run(&arguments),
            Command::Check(arguments) => check::run(&arguments),
            Command::Explain(arguments) => explain::run(&arguments),
            Command::Fmt(arguments) => fmt::run(&arguments),
            Command::Graph(arguments) => graph::run(&arguments),
            Command::Show(arguments) => show::run(&arguments),
            Command::Plan(arguments) => plan::run(&arguments),
            Command::Why(arguments) => why::run(&arguments),
            Command::Audit(arguments) => audit::run(&arguments),
            Command::Split(arguments) => split::run(&arguments),
            Command::Preview(arguments) => preview::run(&arguments),
            Command::Run(arguments) => run::run(&arguments),
            Command::Lsp(arguments) => lsp::run(&arguments),
            Command::Completions(arguments) => completions::completions(&arguments),
            Command::Man(arguments) => completions::man(&arguments),
            Command::Weights(arguments) => weights::run(&arguments),
            Command::Bench(arguments) => bench::run(&arguments),
            Command::Doctor(arguments) => doctor::run(&arguments),
        }
    });
    if let Ok(outcome) = outcome {
        outcome.into()
    } else {
        talk("pipe: this is a bug in pipe; please report it with the study file and the message above");
        ExitCode::from(70)
    }
}

/// A line on stderr. A closed stderr is nobody's error.
fn talk(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Data on stdout. A reader that left early (`| head`) is nobody's error.
fn print(text: &str) -> Outcomes {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            talk(&format!("pipe: stdout cannot be written: {error}"));
            Outcomes::Failed
        }
        _ => Outcomes::Done,
    }
}

impl Talk {
    fn colour(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }

    /// Tells problems on stderr.
    fn tell(&self, map: &SourceMap, problems: &Problems) {
        let text = self.rendered(map, problems);
        if !text.is_empty() {
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }

    /// Tells how many problems there are; programs count their lines.
    fn tell_count(&self, problems: &Problems) {
        if self.for_people() {
            talk(&summary(problems));
        }
    }

    fn rendered(&self, map: &SourceMap, problems: &Problems) -> String {
        match self.errors {
            Errors::Json => json::lines(map, problems),
            Errors::Text => render::render(map, problems, render::Options { color: self.colour(), width: 100 }),
        }
    }

    /// Are problems shown to people, not to programs?
    fn for_people(&self) -> bool {
        self.errors == Errors::Text
    }
}

impl StudyArguments {
    /// Tells problems on stderr.
    fn tell(&self, map: &SourceMap, problems: &Problems) {
        self.talk.tell(map, problems);
    }

    /// Tells how many problems there are; programs count their lines.
    fn tell_count(&self, problems: &Problems) {
        self.talk.tell_count(problems);
    }

    /// The values file's name and text.
    fn values(&self) -> Result<Option<(String, String)>, Outcomes> {
        let Some(path) = &self.params else { return Ok(None) };
        let host = crate::host::RealHost;
        let most = crate::syntax::guard::MOST_BYTES;
        let read = host.stat(path).and_then(|stat| {
            if stat.size > most as u64 {
                let why = format!("it has {} bytes, and at most {most} are read", stat.size);
                return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
            }
            host.read(path)
        });
        let text = read.and_then(|bytes| {
            String::from_utf8(bytes)
                .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no UTF-8 text"))
        });
        match text {
            Ok(text) => Ok(Some((path.display().to_string(), text))),
            Err(error) => {
                talk(&format!("pipe: {} cannot be read: {error}", path.display()));
                Err(Outcomes::Usage)
            }
        }
    }

    /// Reads and checks the study without telling anything. `alone`: what is looked at without `--study`.
    fn check(&self, host: &dyn Host, alone: Pick) -> Result<Outcome, Outcomes> {
        Ok(check_file(host, &self.study, &self.overrides(alone)?))
    }

    fn overrides(&self, alone: Pick) -> Result<Overrides, Outcomes> {
        let study = self.name.clone().map_or(alone, Pick::Named);
        Ok(Overrides { set: self.set.clone(), values: self.values()?, study, elsewhere: false })
    }

    /// Reads and checks the study, tells its problems, and goes on only if there is no error.
    fn load(&self) -> Result<Loaded, Outcomes> {
        self.load_but(&[], false)
    }

    /// The same, without telling of some codes; `elsewhere`: a device is given, whatever the study's `run` blocks say.
    fn load_but(&self, untold: &[Code], elsewhere: bool) -> Result<Loaded, Outcomes> {
        let overrides = Overrides { elsewhere, ..self.overrides(Pick::Only)? };
        let outcome = check_file(&RealHost, &self.study, &overrides);
        self.tell(&outcome.map, &outcome.problems.clone().without(untold));
        if outcome.problems.has_errors() {
            self.tell_count(&outcome.problems);
            return Err(Outcomes::Errors);
        }
        let Some(checked) = outcome.checked else { return Err(Outcomes::Errors) };
        let datasets = outcome.datasets;
        if checked.variants.iter().any(|variant| variant.dataset >= datasets.len()) {
            return Err(Outcomes::Errors);
        }
        Ok(Loaded {
            map: outcome.map,
            checked,
            datasets,
            #[cfg(feature = "run")]
            warnings: outcome.problems,
        })
    }
}

/// Which variant is shown, for commands that show one.
#[derive(Debug, Args)]
struct OneVariant {
    /// Which variant of the study [default: the first]
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
}

/// A study without errors.
struct Loaded {
    map: SourceMap,
    checked: Checked,
    datasets: Vec<Dataset>,
    #[cfg(feature = "run")]
    warnings: Problems,
}

impl Loaded {
    /// Each warning as `W0502 sentence`, for the report.
    #[cfg(feature = "run")]
    fn warnings(&self) -> Vec<String> {
        self.warnings.sentences().collect()
    }

    /// The variant that `--variant` names, or the first, and its images.
    fn one(&self, asked: &OneVariant) -> Result<(&Variant, &Dataset), Outcomes> {
        let variants = &self.checked.variants;
        let found = match &asked.variant {
            None => variants.first(),
            Some(name) => self.checked.variant(name),
        };
        let Some((variant, dataset)) = found.and_then(|found| Some((found, self.datasets.get(found.dataset)?))) else {
            talk(&format!("pipe: the study has no variant `{}`", asked.variant.as_deref().unwrap_or("")));
            tell_variants(&self.checked);
            return Err(Outcomes::Usage);
        };
        if asked.variant.is_none() && variants.len() > 1 {
            talk(&format!("{} of {} variants; another one with --variant NAME", variant.name, variants.len()));
        }
        Ok((variant, dataset))
    }
}

/// Lists the variants, or says that nothing varies.
fn tell_variants(checked: &Checked) {
    let names: Vec<&str> = checked.variants.iter().map(|variant| variant.name.as_str()).collect();
    if names.len() > 1 {
        talk(&format!("  help: there are: {}", names.join(", ")));
    } else {
        talk("  help: nothing varies in it; leave the option out");
    }
}

/// `2 errors, 1 warning`
fn summary(problems: &Problems) -> String {
    let all = problems.sorted();
    let errors = all.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = all.len() - errors;
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => "no problems".into(),
        (0, warnings) => count(warnings, "warning"),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

impl StoreArguments {
    /// The store, if there is one that can be read; planning works without.
    fn existing(&self) -> Option<Store> {
        self.store.join("nodes").is_dir().then(|| Store::open(&self.store).ok()).flatten()
    }

    /// The first weights of each variant, each file read once; told as a problem when they are not there
    /// and `fetch` does not get them.
    #[cfg(feature = "run")]
    fn weights(
        &self,
        study: &StudyArguments,
        loaded: &Loaded,
        fetch: crate::exec::Fetch<'_>,
    ) -> Result<Vec<Option<Arc<Found>>>, Outcomes> {
        let folders = self.folders();
        let mut read: Vec<(&Model, Option<Arc<Found>>)> = Vec::new();
        let mut all = Vec::with_capacity(loaded.checked.variants.len());
        for variant in &loaded.checked.variants {
            let model = &variant.study.model;
            let alike = |(other, _): &&(&Model, _)| other.backbone == model.backbone && other.weights == model.weights;
            if let Some((_, found)) = read.iter().find(alike) {
                all.push(found.clone());
                continue;
            }
            let found = crate::exec::find_weights(variant, &loaded.checked.base, &folders, fetch);
            let found = found.map_err(|problems| {
                study.tell(&loaded.map, &problems);
                Outcomes::Errors
            })?;
            let found = found.map(Arc::new);
            read.push((model, found.clone()));
            all.push(found);
        }
        Ok(all)
    }

    /// The folders given, then `weights/` beside the working folder.
    #[cfg(feature = "run")]
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = self.weights.clone();
        folders.push(PathBuf::from("weights"));
        folders
    }

    /// Plans a study for a command that only shows.
    fn plan(&self, study: &StudyArguments, loaded: &mut Loaded) -> Result<crate::plan::Plan, Outcomes> {
        #[cfg(feature = "run")]
        let weights = digests(&self.weights(study, loaded, None)?);
        #[cfg(not(feature = "run"))]
        let weights = Vec::new();
        let reading = reading::Reading::new(false);
        let progress = |done, total| reading.at(done, total);
        let options = crate::plan::Options { verify: self.verify, weights, progress: Some(&progress) };
        let store = self.existing();
        let datasets = std::mem::take(&mut loaded.datasets);
        crate::plan::plan(&loaded.checked, datasets, &RealHost, store.as_ref(), &options).map_err(|problems| {
            study.tell(&loaded.map, &problems);
            study.tell_count(&problems);
            Outcomes::Errors
        })
    }
}

/// The digest of each variant's first weights.
#[cfg(feature = "run")]
fn digests(weights: &[Option<Arc<Found>>]) -> Vec<Option<String>> {
    weights.iter().map(|found| found.as_ref().map(|found| found.sha256.clone())).collect()
}
