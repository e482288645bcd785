//! `pipe fmt`: .pipe files in their canonical layout, and their slips mended.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use similar::{ChangeTag, TextDiff};

use super::{Outcomes, Talk, print, talk};
use crate::diag::{Code, Problems, render::visible};
use crate::source::SourceMap;
use crate::syntax;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe fmt study.pipe               lay the file out
  pipe fmt .                        every .pipe file below this folder
  pipe fmt --check .                change nothing; print what would change and end with 1
  pipe fmt --fix study.pipe         also mend slips: `:` for `=`, smart quotes, `True`, missing commas and brackets
  pipe fmt - < in.pipe > out.pipe   from stdin to stdout

Only blanks, line ends and the last comma of a list change; comments stay, and what the study means stays.
A file that cannot be read as a study is left as it is; with --fix what can be mended in it is. Exit codes: 0 done, 1 something differs or is broken.")]
pub(super) struct Arguments {
    /// Files, folders (all .pipe files below them), or - for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Change nothing; print the lines that would change and end with 1 if there are any
    #[arg(long)]
    check: bool,
    /// Make the edits that the problems offer, where they mend the file
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    talk: Talk,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let mut outcome = Outcomes::Done;
    let mut files = Vec::new();
    for path in &arguments.files {
        if path.is_dir() {
            if let Err(error) = below(path, &mut files) {
                talk(&format!("pipe: {} cannot be listed: {error}", path.display()));
                outcome = Outcomes::Failed;
            }
        } else {
            files.push(path.clone());
        }
    }
    files.dedup();
    let mut changed = 0_usize;
    for path in &files {
        match one(arguments, path) {
            Ok(differs) => changed += usize::from(differs),
            Err(worse) => outcome = if outcome == Outcomes::Done { worse } else { outcome },
        }
    }
    if arguments.check && changed > 0 && outcome == Outcomes::Done {
        outcome = Outcomes::Errors;
    }
    outcome
}

/// Every .pipe file below a folder, in order; hidden folders are not looked into.
fn below(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // a link to a folder may lead round in a circle
        if entry.file_type()?.is_dir() && !hidden {
            below(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "pipe") && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Lays out one file. Does the result differ from what there was?
fn one(arguments: &Arguments, path: &Path) -> Result<bool, Outcomes> {
    let stdin = path == Path::new("-");
    let name = if stdin { "stdin".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    let read = if stdin {
        let most = u64::try_from(syntax::guard::MOST_BYTES).unwrap_or(u64::MAX) + 1;
        std::io::stdin().lock().take(most).read_to_end(&mut bytes).map(|_| ())
    } else {
        crate::host::Host::read(&crate::host::RealHost, path).map(|all| bytes = all)
    };
    if let Err(error) = read {
        let mut problems = Problems::new();
        problems.file_unreadable(&name, &error.to_string());
        arguments.talk.tell(&SourceMap::new(), &problems);
        return Err(Outcomes::Errors);
    }
    let mut map = SourceMap::new();
    let (file, parsed) = syntax::read(&mut map, &name, None, &bytes);
    let text = map.text(file).to_owned();
    // of a file that is not admitted the map has only what can be shown
    let fixable = arguments.fix && !parsed.problems.has(Code::E0007);
    let mended = if parsed.problems.is_empty() {
        Some(text.clone())
    } else if fixable {
        match syntax::mend(file, &text) {
            Ok(mended) => Some(mended),
            Err((partly, _)) if partly != text && !stdin => {
                return partly_mended(arguments, path, &name, &text, &partly);
            }
            Err(_) => None,
        }
    } else {
        None
    };
    let Some(laid_out) = mended.and_then(|mended| syntax::format(file, &mended).ok()) else {
        arguments.talk.tell(&map, &parsed.problems);
        if arguments.talk.for_people() {
            talk(&format!("{}: left as it is; {}", visible(&name), super::summary(&parsed.problems)));
        }
        return Err(Outcomes::Errors);
    };
    let differs = laid_out.as_bytes() != bytes;
    if arguments.check {
        if differs {
            let _ = print(&difference(&name, &text, &laid_out));
        }
    } else if stdin {
        let printed = print(&laid_out);
        if printed != Outcomes::Done {
            return Err(printed);
        }
    } else if differs {
        if let Err(error) = crate::store::rewrite_whole(path, laid_out.as_bytes()) {
            talk(&format!("pipe: {} cannot be written: {error}", visible(&name)));
            return Err(Outcomes::Failed);
        }
        talk(&format!("{}: laid out", visible(&name)));
    }
    Ok(differs)
}

/// Keeps the edits that could be made, without a layout, and tells what is left.
fn partly_mended(arguments: &Arguments, path: &Path, name: &str, before: &str, after: &str) -> Result<bool, Outcomes> {
    let mut map = SourceMap::new();
    let (_, left) = syntax::read(&mut map, name, None, after.as_bytes());
    if arguments.check {
        let _ = print(&difference(name, before, after));
    } else if let Err(error) = crate::store::rewrite_whole(path, after.as_bytes()) {
        talk(&format!("pipe: {} cannot be written: {error}", visible(name)));
        return Err(Outcomes::Failed);
    }
    arguments.talk.tell(&map, &left.problems);
    if arguments.talk.for_people() {
        talk(&format!("{}: mended in part, not laid out; {}", visible(name), super::summary(&left.problems)));
    }
    Err(Outcomes::Errors)
}

/// The name of a file and the lines that would change, with their numbers.
fn difference(name: &str, before: &str, after: &str) -> String {
    let mut out = format!("{}\n", visible(name));
    // a rough difference of two long files is better than a fine one after minutes
    let diff = TextDiff::configure().timeout(std::time::Duration::from_millis(300)).diff_lines(before, after);
    for change in diff.iter_all_changes() {
        let (sign, line) = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Delete => ('-', change.old_index()),
            ChangeTag::Insert => ('+', change.new_index()),
        };
        let number = line.map_or(0, |line| line + 1);
        out.push_str(&format!("{sign}{number:>5} | {}\n", visible(change.value().trim_end_matches(['\n', '\r']))));
    }
    out
}
