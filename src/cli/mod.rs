//! The command line: one file a subcommand. stdout is data, stderr is talk.
//!
//! Exit codes: 0 done; 1 the program has errors; 2 wrong command line; 3 the run failed, what was finished is
//! kept; 70 a bug in `pipe`; 130 interrupted.

mod check;
mod graph;
mod plan;
mod preview;
#[cfg(feature = "run")]
mod progress;
mod run;
mod split;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::check::{Checked, Outcome, Overrides, Pick, Variant, check_file};
use crate::data::Dataset;
use crate::diag::{Problems, Severity, json, render};
use crate::host::RealHost;
use crate::source::{SourceMap, Span};
use crate::store::Store;

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
    /// Read a study and say everything that is wrong with it
    Check(check::Arguments),
    /// Show the study's graph of work
    Graph(graph::Arguments),
    /// Show what a run would do, what it would reuse, and who is in which fold
    Plan(plan::Arguments),
    /// Deal the patients into folds and show how even they are
    Split(split::Arguments),
    /// Write what the network will see: prepared and augmented images
    Preview(preview::Arguments),
    /// Do the whole study and write its report
    Run(run::Arguments),
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
            Command::Check(arguments) => check::run(&arguments),
            Command::Graph(arguments) => graph::run(&arguments),
            Command::Plan(arguments) => plan::run(&arguments),
            Command::Split(arguments) => split::run(&arguments),
            Command::Preview(arguments) => preview::run(&arguments),
            Command::Run(arguments) => run::run(&arguments),
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

impl StudyArguments {
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
        if self.errors == Errors::Text {
            talk(&summary(problems));
        }
    }

    fn rendered(&self, map: &SourceMap, problems: &Problems) -> String {
        match self.errors {
            Errors::Json => json::lines(map, problems),
            Errors::Text => render::render(map, problems, render::Options { color: self.colour(), width: 100 }),
        }
    }

    /// Reads and checks the study without telling anything. `alone`: what is looked at without `--study`.
    fn check(&self, alone: Pick) -> Result<Outcome, Outcomes> {
        let values = match &self.params {
            None => None,
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Some((path.display().to_string(), text)),
                Err(error) => {
                    talk(&format!("pipe: {} cannot be read: {error}", path.display()));
                    return Err(Outcomes::Usage);
                }
            },
        };
        let study = self.name.clone().map_or(alone, Pick::Named);
        let overrides = Overrides { set: self.set.clone(), values, study };
        Ok(check_file(&RealHost, &self.study, &overrides))
    }

    /// Reads and checks the study, tells its problems, and goes on only if there is no error.
    fn load(&self) -> Result<Loaded, Outcomes> {
        let outcome = self.check(Pick::Only)?;
        self.tell(&outcome.map, &outcome.problems);
        if outcome.problems.has_errors() {
            self.tell_count(&outcome.problems);
            return Err(Outcomes::Errors);
        }
        let Some(checked) = outcome.checked else { return Err(Outcomes::Errors) };
        let [variant] = checked.variants.as_slice() else {
            let mut problems = Problems::new();
            problems.several_variants(checked.variants.len(), vary_place(&checked));
            self.tell(&outcome.map, &problems);
            return Err(Outcomes::Errors);
        };
        let (variant, mut datasets) = (variant.clone(), outcome.datasets);
        if variant.dataset >= datasets.len() {
            return Err(Outcomes::Errors);
        }
        Ok(Loaded {
            map: outcome.map,
            checked,
            dataset: datasets.swap_remove(variant.dataset),
            variant,
            #[cfg(feature = "run")]
            warnings: outcome.problems,
        })
    }
}

/// Where the first `vary` of a study stands.
fn vary_place(checked: &Checked) -> Option<Span> {
    checked.variants.first()?.choices.first().map(|choice| choice.span)
}

/// A study without errors.
struct Loaded {
    map: SourceMap,
    checked: Checked,
    variant: Variant,
    dataset: Dataset,
    #[cfg(feature = "run")]
    warnings: Problems,
}

impl Loaded {
    /// Each warning as `W0502 sentence`, for the report.
    #[cfg(feature = "run")]
    fn warnings(&self) -> Vec<String> {
        self.warnings.sorted().iter().map(|d| format!("{} {}", d.code.id(), d.message)).collect()
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

    /// Digest of the first weights, told as a problem when they are not there.
    #[cfg(feature = "run")]
    fn weights(&self, study: &StudyArguments, loaded: &Loaded) -> Result<Option<crate::nn::weights::Found>, Outcomes> {
        crate::exec::find_weights(&loaded.variant, &loaded.checked.base, &self.folders()).map_err(|problems| {
            study.tell(&loaded.map, &problems);
            Outcomes::Errors
        })
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
        let weights = self.weights(study, loaded)?.map(|found| found.sha256);
        #[cfg(not(feature = "run"))]
        let weights = None;
        let options = crate::plan::Options { verify: self.verify, weights, progress: None };
        let store = self.existing();
        let dataset = loaded.dataset.clone();
        crate::plan::plan(&loaded.checked, &loaded.variant, dataset, &RealHost, store.as_ref(), &options).map_err(
            |problems| {
                study.tell(&loaded.map, &problems);
                study.tell_count(&problems);
                Outcomes::Errors
            },
        )
    }
}
