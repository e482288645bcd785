//! Programs that are refused, each with its markers, and programs that are not.
//!
//! In `tests/corpus/bad` a line that is wrong ends in `# error: E0101 message` or `# warning: W0303 message`, and
//! lines `# help: ...` may follow; `# error^: ...` on a line of its own speaks of the line above, for places where
//! a comment cannot stand. A message may end in `...`. What is drawn stands beside the program in `NAME.txt`;
//! `PIPE_UPDATE=1 cargo test corpus` writes it anew.
//!
//! A line `# elsewhere: ../lab/a.pipe:3: E0102 message` announces what is wrong in a file that the program uses; such files
//! stand in `tests/corpus/lab`. A line `# --study s` says which study of the program is meant.
//!
//! In `tests/corpus/set` a line `# --set epochs=3` is what was typed behind `pipe check FILE`; what is wrong with it is
//! announced on that line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pipe::check::{Outcome, Overrides, Pick, check_source};
use pipe::diag::render::{Options, render};
use pipe::diag::{Code, Diagnostic, json};
use pipe::host::RealHost;
use pipe::source::SourceMap;
use pipe::syntax;

/// The folder of a kind of programs.
pub(crate) fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind)
}

/// The `.pipe` files of a folder, sorted; none if there is no such folder.
pub(crate) fn programs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.map(|entry| entry.expect("a readable folder").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "pipe")).collect();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn check(path: &Path) -> Outcome {
    let text = fs::read_to_string(path).expect("a program is text");
    let base = path.parent().expect("a file stands in a folder");
    let set = typed(&text).into_iter().map(|(_, set)| set).collect();
    let study = picked(&text);
    check_source(&RealHost, &name(path), &text, base, &Overrides { set, study, ..Overrides::default() })
}

/// What a line `# --study s` of a program says.
pub(crate) fn picked(text: &str) -> Pick {
    let name = text.lines().find_map(|line| line.strip_prefix("# --study "));
    name.map_or(Pick::Only, |name| Pick::Named(name.trim().to_owned()))
}

/// Every `# --set name=value` of a program, with its line.
fn typed(text: &str) -> Vec<(usize, String)> {
    let value = |line: &str| {
        let set = line.strip_prefix("# --set ")?;
        Some(set.split_once(" # ").map_or(set, |(set, _)| set).trim_end().to_owned())
    };
    (1..).zip(text.lines()).filter_map(|(line, text)| Some((line, value(text)?))).collect()
}

/// The programs that are refused.
fn refused() -> Vec<PathBuf> {
    [programs(&folder("bad")), programs(&folder("set"))].concat()
}

#[derive(Debug, PartialEq, Eq)]
struct Marker {
    /// Empty: the program's own.
    file: String,
    line: usize,
    code: String,
    message: String,
    help: Vec<String>,
}

/// What the comments of a program announce.
fn markers(text: &str) -> Vec<Marker> {
    let mut markers: Vec<Marker> = Vec::new();
    let kinds = [("# error: ", 0), ("# warning: ", 0), ("# error^: ", 1), ("# warning^: ", 1)];
    for (index, line) in text.lines().enumerate() {
        for (mark, above) in kinds {
            let Some((_, said)) = line.split_once(mark) else { continue };
            let (code, message) = said.split_once(' ').unwrap_or((said, ""));
            let (code, message) = (code.to_owned(), message.trim_end().to_owned());
            markers.push(Marker { file: String::new(), line: index + 1 - above, code, message, help: Vec::new() });
        }
        if let Some(said) = line.strip_prefix("# elsewhere: ") {
            let mut parts = said.splitn(3, ':').map(str::trim);
            let mut part = || parts.next().expect("a file, a line, and what is wrong there");
            let (file, line) = (part().to_owned(), part().parse().expect("the number of a line"));
            let (code, message) = part().split_once(' ').expect("a code and a message");
            markers.push(Marker { file, line, code: code.to_owned(), message: message.to_owned(), help: Vec::new() });
        }
        if let (Some(help), Some(marker)) = (line.trim_start().strip_prefix("# help: "), markers.last_mut()) {
            marker.help.push(help.trim().to_owned());
        }
    }
    markers
}

/// Is this what was announced, `...` standing for any ending?
fn fits(announced: &str, said: &str) -> bool {
    announced.strip_suffix("...").map_or(announced == said, |start| said.starts_with(start.trim_end()))
}

fn agrees(marker: &Marker, problem: &Diagnostic, map: &SourceMap, typed: &[(usize, String)]) -> bool {
    let line = problem.labels.first().and_then(|label| {
        let line = map.line_column(label.span.file, label.span.range().start).line;
        // The command line holds one `--set` a line.
        if map.name(label.span.file) == "command line" { typed.get(line - 1).map(|(at, _)| *at) } else { Some(line) }
    });
    let help = problem.help.as_deref().unwrap_or("");
    let file = problem.labels.first().map_or("", |label| map.name(label.span.file));
    let own = !file.contains('/');
    let right_file = if marker.file.is_empty() { own } else { marker.file == file };
    right_file
        && problem.code.id() == marker.code
        && line == Some(marker.line)
        && fits(&marker.message, &problem.message)
        && marker.help.iter().all(|wanted| help.lines().any(|line| fits(wanted, line.trim())))
}

#[test]
fn refused_programs_are_refused_in_the_announced_words() {
    let update = std::env::var_os("PIPE_UPDATE").is_some();
    let mut complaints = Vec::new();
    let files = refused();
    assert!(files.len() >= 30, "only {} programs found", files.len());
    for path in files {
        let name = name(&path);
        let text = fs::read_to_string(&path).expect("a program is text");
        let outcome = check(&path);
        let mut problems = outcome.problems.sorted();
        let typed = typed(&text);
        for marker in markers(&text) {
            match problems.iter().position(|problem| agrees(&marker, problem, &outcome.map, &typed)) {
                Some(at) => drop(problems.remove(at)),
                None => complaints.push(format!("{name}: missing {marker:?}")),
            }
        }
        for problem in problems {
            complaints.push(format!("{name}: not announced: {problem:?}"));
        }
        let code = name.split('_').next().unwrap_or("");
        if !outcome.problems.sorted().iter().any(|problem| problem.code.id() == code) {
            complaints.push(format!("{name}: {code} does not occur"));
        }
        let drawn = render(&outcome.map, &outcome.problems, Options::default());
        if code.starts_with("E000") && drawn.lines().any(|line| line.contains("help:") && line.chars().count() > 90) {
            complaints.push(format!("{name}: a help line is too long"));
        }
        let kept = path.with_extension("txt");
        if update {
            fs::write(&kept, &drawn).expect("the drawing can be written");
        } else if fs::read_to_string(&kept).ok().as_deref() != Some(drawn.as_str()) {
            complaints.push(format!("{name}: drawn otherwise than in {}:\n{drawn}", kept.display()));
        }
        for line in json::lines(&outcome.map, &outcome.problems).lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            assert!(value["code"].as_str().and_then(Code::parse).is_some(), "{line}");
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_program_names_its_code_and_announces_it() {
    for path in refused() {
        let name = name(&path);
        let code = name.split('_').next().unwrap_or("");
        assert!(Code::parse(code).is_some(), "{name} names no code");
        let text = fs::read_to_string(&path).expect("a program is text");
        assert!(markers(&text).iter().any(|marker| marker.code == code), "{name} does not announce {code}");
    }
}

/// Codes that no study and table trigger before images or weights are opened, and the tests that hold them.
const HELD_ELSEWHERE: &[(&str, &str)] = &[("E0214", "run, cli"), ("E0406", "run"), ("W0308", "run"), ("E0801", "cost")];

#[test]
fn every_code_has_a_program_of_its_name() {
    let named: BTreeSet<String> =
        refused().iter().filter_map(|path| Some(name(path).split('_').next()?.to_owned())).collect();
    let elsewhere: BTreeSet<&str> = HELD_ELSEWHERE.iter().map(|(code, _)| *code).collect();
    let without: Vec<&str> = Code::ALL.iter().map(|code| code.id()).filter(|code| !named.contains(*code)).collect();
    let without: BTreeSet<&str> = without.into_iter().collect();
    assert_eq!(without, elsewhere, "codes without a program in tests/corpus");
}

#[test]
fn accepted_programs_have_no_errors() {
    let files = programs(&folder("good"));
    assert!(!files.is_empty());
    for path in files {
        let outcome = check(&path);
        let drawn = render(&outcome.map, &outcome.problems, Options::default());
        assert!(!outcome.problems.has_errors(), "{}\n{drawn}", path.display());
        assert!(outcome.checked.is_some(), "{}", path.display());
    }
}

#[test]
fn the_whole_surface_of_the_language_is_parsed() {
    let files = programs(&folder("syntax"));
    assert!(!files.is_empty());
    for path in files {
        let bytes = fs::read(&path).expect("a readable program");
        let mut map = SourceMap::new();
        let (_, parsed) = syntax::read(&mut map, &name(&path), None, &bytes);
        assert!(parsed.problems.is_empty(), "{}", render(&map, &parsed.problems, Options::default()));
        assert!(!parsed.file.items.is_empty() && parsed.file.edition.is_some());
    }
}
