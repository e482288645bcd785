//! `pipe new`: a first study from a table or a folder of class folders, asked for or proposed.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use dialoguer::{Confirm, Input, Select, theme::ColorfulTheme};

use super::{Outcomes, Talk, talk};
use crate::check::{Overrides, check_source};
use crate::diag::Code;
use crate::diag::render::visible;
use crate::host::RealHost;
use crate::propose::{self, Choices, Proposal, Rows};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe new                                       asks, and writes study.pipe
  pipe new --table labels.csv                    proposes a study of a table
  pipe new cxr/ --table data/labels.csv          writes cxr/study.pipe
  pipe new first.pipe --images films/            of a folder with one folder a class
  pipe new --table t.csv --image file --label finding --group subject

The study names the columns that were found and says in comments how sure that is. It is checked at
once; what `pipe check` would refuse, in it or in the data, is told.")]
pub(super) struct Arguments {
    /// The file to write, or a folder for study.pipe
    #[arg(value_name = "FILE|DIR", default_value = "study.pipe")]
    target: PathBuf,
    /// The table with one row an image (CSV, from a spreadsheet)
    #[arg(long, value_name = "CSV", conflicts_with = "images")]
    table: Option<PathBuf>,
    /// A folder with one folder of images a class
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The column with the image files
    #[arg(long, value_name = "COLUMN")]
    image: Option<String>,
    /// The column with the classes
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The column with the patients
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// What the study asks
    #[arg(long, value_name = "TEXT")]
    question: Option<String>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    talk: Talk,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let target =
        if is_file_name(&arguments.target) { arguments.target.clone() } else { arguments.target.join("study.pipe") };
    let target_name = visible(&target.display().to_string());
    if target.exists() && !arguments.force {
        talk(&format!("pipe: {target_name} is there already; --force writes over it"));
        return Outcomes::Usage;
    }
    let asks = arguments.table.is_none() && arguments.images.is_none() && std::io::stdin().is_terminal();
    let source = match source(arguments, asks) {
        Ok(source) => source,
        Err(outcome) => return outcome,
    };
    let base = target.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut choices = Choices {
        image: arguments.image.clone(),
        label: arguments.label.clone(),
        group: arguments.group.clone(),
        no_group: false,
    };
    let mut proposed = propose(&source, &base, &choices);
    let mut question = arguments.question.clone();
    if asks && let Ok(proposal) = &proposed {
        match ask(proposal, &source, &mut choices) {
            Ok(asked) => question = question.or(asked),
            Err(error) => return not_asked(&error),
        }
        proposed = propose(&source, &base, &choices);
    }
    match proposed {
        Err(problems) => {
            arguments.talk.tell(&crate::source::SourceMap::new(), &problems);
            Outcomes::Errors
        }
        Ok(proposal) => write(arguments, &target, &base, proposal, question.as_deref()),
    }
}

/// `x.pipe` is a file; what is a folder, or has no ending, is one.
fn is_file_name(path: &Path) -> bool {
    !path.is_dir() && path.extension().is_some_and(|end| end == "pipe")
}

/// A table, or a folder of class folders.
enum From {
    Table(PathBuf),
    Folder(PathBuf),
}

fn source(arguments: &Arguments, asks: bool) -> Result<From, Outcomes> {
    match (&arguments.table, &arguments.images) {
        (Some(table), _) => return Ok(From::Table(table.clone())),
        (_, Some(images)) => return Ok(From::Folder(images.clone())),
        (None, None) => {}
    }
    // a folder with one table in it needs no question
    let folder = if arguments.target.is_dir() { arguments.target.clone() } else { PathBuf::from(".") };
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut tables: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"))).collect();
    tables.sort();
    let only = match tables.as_slice() {
        [one] => Some(one.strip_prefix(".").unwrap_or(one).to_path_buf()),
        _ => None,
    };
    if !asks {
        if let Some(table) = only {
            return Ok(From::Table(table));
        }
        talk("pipe: name the data: --table labels.csv, or --images with a folder of class folders");
        return Err(Outcomes::Usage);
    }
    let theme = ColorfulTheme::default();
    let mut input = Input::<String>::with_theme(&theme)
        .with_prompt("The table with one row an image (.csv), or a folder with one folder of images a class")
        .validate_with(|path: &String| {
            let path = Path::new(path.trim());
            if path.exists() { Ok(()) } else { Err(format!("there is no {}", visible(&path.display().to_string()))) }
        });
    if let Some(table) = &only {
        input = input.default(table.display().to_string());
    }
    let path = input.interact_text().map_err(|error| not_asked(&error))?;
    let path = PathBuf::from(path.trim());
    Ok(if path.is_dir() { From::Folder(path) } else { From::Table(path) })
}

fn not_asked(error: &dialoguer::Error) -> Outcomes {
    talk(&format!("pipe: the question could not be asked: {error}; give the answers as options, see pipe new --help"));
    Outcomes::Usage
}

fn propose(source: &From, base: &Path, choices: &Choices) -> Result<Proposal, crate::diag::Problems> {
    match source {
        From::Table(path) => propose::from_table(&RealHost, path, &seen_from(base, path), choices),
        From::Folder(path) => propose::from_folders(&RealHost, path, &seen_from(base, path)),
    }
}

/// A path of the working folder as a file in `base` names it, with `/` between folders.
fn seen_from(base: &Path, path: &Path) -> String {
    let full = |path: &Path| {
        let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        std::fs::canonicalize(here).or_else(|_| std::path::absolute(here)).unwrap_or_else(|_| here.to_path_buf())
    };
    if path.is_absolute() {
        return path.display().to_string();
    }
    let (base, path) = (full(base), full(path));
    let shared = base.components().zip(path.components()).take_while(|(one, other)| one == other).count();
    let up = base.components().skip(shared).map(|_| "..".to_owned());
    let down = path.components().skip(shared).map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// Shows what was found and lets it be changed; gives the question.
fn ask(proposal: &Proposal, source: &From, choices: &mut Choices) -> Result<Option<String>, dialoguer::Error> {
    let theme = ColorfulTheme::default();
    if let (Rows::Table { columns, .. }, From::Table(path)) = (&proposal.rows, source) {
        let names = std::fs::read(path).ok().and_then(|bytes| crate::data::csv::header(&bytes).ok());
        let names: Vec<String> = names.map(|header| header.names).unwrap_or_default();
        let shown: Vec<String> = names.iter().map(|name| visible(name)).collect();
        let pick = |prompt: &str, found: Option<&str>, none: bool| -> Result<Option<String>, dialoguer::Error> {
            let mut items = shown.clone();
            if none {
                items.push("(none: each image is a patient of its own)".to_owned());
            }
            let at = found.and_then(|found| names.iter().position(|name| name == found));
            let at = at.unwrap_or(if none { items.len().saturating_sub(1) } else { 0 });
            let picked = Select::with_theme(&theme).with_prompt(prompt).items(&items).default(at).interact()?;
            Ok(names.get(picked).cloned())
        };
        choices.image = pick("Column with the image files", Some(&columns.image), false)?;
        choices.label = pick("Column with the classes", Some(&columns.label), false)?;
        let group = columns.group.as_ref().map(|group| group.column.as_str());
        choices.group = pick("Column that says whose image it is", group, true)?;
        choices.no_group = choices.group.is_none();
    }
    let question: String = Input::with_theme(&theme)
        .with_prompt("What does the study ask? (may stay empty)")
        .allow_empty(true)
        .interact_text()?;
    Ok(Some(question.trim().to_owned()).filter(|question| !question.is_empty()))
}

/// Checks the text, adapts it to what the check finds in the data, and writes it.
fn write(
    arguments: &Arguments,
    target: &Path,
    base: &Path,
    mut proposal: Proposal,
    question: Option<&str>,
) -> Outcomes {
    let name = target.display().to_string();
    let made = if base.as_os_str().is_empty() { Ok(()) } else { std::fs::create_dir_all(base) };
    let (text, outcome) = loop {
        let text = propose::text(&proposal, question);
        let outcome = check_source(&RealHost, &name, &text, base, &Overrides::default());
        if outcome.problems.has(Code::E0205) && !proposal.drop_missing && proposal.finds_images() {
            proposal.drop_missing = true;
        } else if outcome.problems.has(Code::E0306) && proposal.folds > 2 {
            proposal.folds -= 1;
        } else {
            break (text, outcome);
        }
    };
    if target.exists() && std::io::stdin().is_terminal() && arguments.table.is_none() && arguments.images.is_none() {
        let sure = Confirm::new().with_prompt(format!("Write over {}?", visible(&name))).default(false).interact();
        if !sure.unwrap_or(false) {
            return Outcomes::Usage;
        }
    }
    if let Err(error) = made.and_then(|()| crate::store::write_whole(target, text.as_bytes())) {
        talk(&format!("pipe: {} cannot be written: {error}", visible(&name)));
        return Outcomes::Failed;
    }
    arguments.talk.tell(&outcome.map, &outcome.problems);
    if arguments.talk.for_people() {
        talk(&format!("{}: written; {}", visible(&name), super::summary(&outcome.problems)));
    }
    if outcome.problems.has_errors() { Outcomes::Errors } else { Outcomes::Done }
}
