//! The prose: every program in it is checked as the reader would check it, every output is compared, every command and
//! every link exists.
//!
//! The first words behind the three backticks say what a block is:
//!
//! | words | is |
//! |---|---|
//! | `hcl,check` | a whole study without errors; `hcl,check,NAME.pipe` is kept under that name for later blocks |
//! | `hcl,run` | the same, and `pipe run` ends well (with the engine) |
//! | `hcl,refused,NAME.pipe` | a study with errors, and the next `text,output` block is what is said about it |
//! | `hcl,part` | lines of a study or of a file, whose syntax is right |
//! | `sh` | commands; those of `pipe` are there, with their options |
//! | `text,output` | what the program before it leads to |
//! | `text`, `toml`, `lua`, `json`, `yaml` | not ours to check |
//!
//! `PIPE_BLESS=1 cargo test docs` writes every output anew; read the difference before you commit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pipe::check::{Outcome, Overrides, check_file};
use pipe::diag::render::{Options, render};
use pipe::diag::{Problems, Severity};
use pipe::host::RealHost;
use pipe::source::SourceMap;
use pipe::syntax;

use super::cli::{picture, pipe, root};

/// The pages, as paths from the repository.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = vec!["README.md".into(), "grammar/vscode/README.md".into()];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// A fenced block of a page.
struct Fence {
    page: String,
    line: usize,
    info: Vec<String>,
    text: String,
}

impl Fence {
    fn is(&self, words: &[&str]) -> bool {
        self.info.iter().take(words.len()).eq(words)
    }

    fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}

fn fences(page: &Path) -> Vec<Fence> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut fences = Vec::new();
    let mut open: Option<(usize, Fence)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let marks = line.trim_start().len() - line.trim_start().trim_start_matches('`').len();
        match &mut open {
            None if marks >= 3 => {
                let info = line.trim().trim_matches('`');
                let info = info.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
                let page = page.display().to_string();
                open = Some((marks, Fence { page, line: number, info, text: String::new() }));
            }
            Some((wanted, _)) if marks >= *wanted && line.trim().chars().all(|c| c == '`') => {
                fences.extend(open.take().map(|(_, fence)| fence));
            }
            Some((_, fence)) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            None => {}
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", page.display());
    fences
}

/// A folder with small tables and images that look like those the pages speak of.
fn stand_ins() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let findings = ["No Finding", "Atelectasis", "Effusion", "Cardiomegaly", "Infiltration"];
    let mut nih =
        String::from("Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n");
    let mut small = String::from("path,finding,patient\n");
    for patient in 1..=60 {
        for visit in 0..2 {
            let name = format!("{patient:08}_{visit:03}.png");
            let finding = findings[patient % findings.len()];
            let several = if visit == 1 && patient % 7 == 0 { "|Mass" } else { "" };
            let (age, gender) = (18 + patient * 7 % 70, ["M", "F"][patient / 2 % 2]);
            let view = ["PA", "AP"][(patient + visit) % 2];
            nih += &format!("{name},{finding}{several},{visit},{patient},{age},{gender},{view}\n");
            small += &format!("{name},{finding},p{patient}\n");
            let picture = picture(patient * 2 + visit);
            put(&format!("nih/images/{name}"), &picture);
            put(&name, &picture);
        }
    }
    put("nih/Data_Entry_2017.csv", nih.as_bytes());
    put("labels.csv", small.as_bytes());
    folder
}

fn told(outcome: &Outcome) -> String {
    render(&outcome.map, &outcome.problems, Options { color: false, width: 100 })
}

/// Checks a file of the stand-ins' folder as `pipe check NAME` typed there would.
fn check(folder: &Path, name: &str) -> (bool, String) {
    let outcome = check_file(&RealHost, &folder.join(name), &Overrides::default());
    let errors = outcome.problems.sorted().iter().any(|problem| problem.severity == Severity::Error);
    let text = told(&outcome).replace(&format!("{}/", folder.display()), "");
    (errors, text)
}

fn syntax_of(text: &str) -> Problems {
    syntax::read(&mut SourceMap::new(), "part", None, text.as_bytes()).1.problems
}

/// Lines of a study or of a file.
fn is_part(text: &str) -> bool {
    let of_file = format!("pipe \"2026\"\n{text}");
    let of_study = format!("pipe \"2026\"\nstudy s {{\n{text}\n}}\n");
    syntax_of(&of_file).is_empty() || syntax_of(&of_study).is_empty()
}

/// Puts other texts into blocks of a page, given by the lines they start in.
fn rewrite(page: &Path, said: &[(usize, String)]) {
    let path = root().join(page);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    for (start, said) in said.iter().rev() {
        let length = lines[*start..].iter().position(|line| *line == "```").unwrap();
        lines.splice(*start..start + length, said.lines());
    }
    fs::write(&path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn docs_programs_are_what_the_pages_say() {
    let bless = std::env::var_os("PIPE_BLESS").is_some();
    let folder = stand_ins();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        let mut output: Option<String> = None;
        let mut blessed = Vec::new();
        for (number, fence) in fences(&page).into_iter().enumerate() {
            let named = fence.info.get(2).cloned();
            let name = named.unwrap_or_else(|| format!("block_{number}.pipe"));
            let expects_output = output.take();
            match () {
                () if fence.is(&["hcl", "check"]) || fence.is(&["hcl", "run"]) => {
                    fs::write(folder.path().join(&name), &fence.text).unwrap();
                    let (errors, text) = check(folder.path(), &name);
                    if errors {
                        wrong.push(format!("{}: refused\n{text}", fence.place()));
                    }
                    if fence.info[1] == "run" && cfg!(feature = "run") {
                        let ran = pipe(folder.path(), &["run", &name]);
                        if ran.code != Some(0) {
                            wrong.push(format!("{}: pipe run ends with {:?}\n{}", fence.place(), ran.code, ran.err));
                        }
                    }
                    checked += 1;
                }
                () if fence.is(&["hcl", "refused"]) => {
                    fs::write(folder.path().join(&name), &fence.text).unwrap();
                    let (errors, text) = check(folder.path(), &name);
                    if !errors {
                        wrong.push(format!("{}: accepted", fence.place()));
                    }
                    output = Some(text);
                    checked += 1;
                }
                () if fence.is(&["text", "output"]) => match expects_output {
                    Some(said) if said.trim_end() == fence.text.trim_end() => {}
                    Some(said) if bless => blessed.push((fence.line, said.trim_end().to_owned())),
                    Some(said) => wrong.push(format!("{}: what is said is\n{said}", fence.place())),
                    None => wrong.push(format!("{}: output of nothing", fence.place())),
                },
                () if fence.is(&["hcl", "part"]) => {
                    if !is_part(&fence.text) {
                        wrong.push(format!("{}: neither lines of a study nor of a file", fence.place()));
                    }
                    checked += 1;
                }
                () => {
                    let known = ["sh", "text", "toml", "lua", "json", "yaml"];
                    let generated = fence.page.contains("docs/reference");
                    let first = fence.info.first().map_or("", String::as_str);
                    if !(known.contains(&first) || generated && first == "hcl") {
                        wrong.push(format!("{}: a block of no known kind ({})", fence.place(), fence.info.join(",")));
                    }
                }
            }
        }
        if !blessed.is_empty() {
            rewrite(&page, &blessed);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(checked >= 10, "only {checked} programs were found");
}

#[test]
fn docs_commands_exist_with_their_options() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut commands = BTreeSet::new();
    for fence in pages().iter().flat_map(|page| fences(page)).filter(|fence| fence.is(&["sh"])) {
        for line in fence.text.lines() {
            let line = line.trim_start_matches("$ ").split(['#', '|', '>']).next().unwrap_or("");
            let mut words = line.split_whitespace();
            if words.next() != Some("pipe") {
                continue;
            }
            let Some(command) = words.next() else { continue };
            let options: Vec<String> = words
                .filter(|word| word.starts_with("--"))
                .map(|word| word.split('=').next().unwrap_or(word).to_owned())
                .collect();
            commands.insert((fence.place(), command.to_owned(), options));
        }
    }
    assert!(commands.len() >= 5, "the commands were not found");
    for (place, command, options) in commands {
        let help = pipe(folder.path(), &[&command, "--help"]);
        if help.code != Some(0) {
            wrong.push(format!("{place}: there is no `pipe {command}`"));
        }
        wrong.extend(
            options
                .iter()
                .filter(|option| !help.out.contains(option.as_str()))
                .map(|option| format!("{place}: `pipe {command}` has no {option}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the links of a page lead, without those to other sites.
fn links(text: &str) -> Vec<&str> {
    let ends = text.match_indices("](").map(|(at, _)| at + 2);
    let targets = ends.filter_map(|at| text.get(at..)?.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn docs_links_lead_somewhere() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for link in links(&text) {
            seen += 1;
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target =
                if file.is_empty() { root().join(&page) } else { root().join(page.parent().unwrap()).join(file) };
            let held = fs::read_to_string(&target);
            let leads = match (anchor, &held) {
                (Some(anchor), Ok(text)) => anchors(text).contains(anchor),
                (None, _) => target.exists(),
                (Some(_), Err(_)) => false,
            };
            if !leads {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty() && seen > 10, "links that lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn docs_summary_lists_every_page() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed: BTreeSet<&str> = links(&summary).into_iter().collect();
    for page in pages().iter().filter_map(|page| page.strip_prefix("docs").ok()) {
        let name = page.display().to_string();
        assert!(name == "SUMMARY.md" || listed.contains(name.as_str()), "docs/SUMMARY.md does not list {name}");
    }
}
