//! Help, completions and the manual: every command has examples, and what they say is stored.

use std::fs;
use std::process::Command;

use crate::cli::{Told, command, root};

/// A command's output at a fixed width.
fn told(arguments: &[&str]) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let mut command: Command = command(folder.path(), arguments);
    Told::from(command.env("COLUMNS", "100").output().unwrap()).ends(0)
}

/// The commands that the first help lists.
fn commands() -> Vec<String> {
    let help = told(&["--help"]).out;
    let list = help.split("Commands:\n").nth(1).expect("a list of commands").split("\n\n").next().unwrap_or("");
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn help_is_as_stored() {
    let mut all = told(&["--help"]).out;
    for name in commands() {
        all += &format!("\n==== pipe {name} --help\n\n{}", told(&[&name, "--help"]).out);
    }
    let kept = root().join("tests/fixtures/help.txt");
    if std::env::var_os("PIPE_BLESS").is_some() {
        fs::write(&kept, &all).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&kept).unwrap(),
        all,
        "read the change, then store it: PIPE_BLESS=1 cargo test help_is"
    );
}

#[test]
fn every_command_shows_examples_that_name_it() {
    for name in commands() {
        let help = told(&[&name, "--help"]).out;
        let examples = help.split("Examples:\n").nth(1).unwrap_or("");
        assert!(examples.contains(&format!("pipe {name}")), "`pipe {name} --help` shows no example of it:\n{help}");
    }
}

#[test]
fn shells_and_manuals_know_every_command() {
    let names = commands();
    assert!(names.len() >= 10, "{names:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = told(&["completions", shell]).out;
        assert!(names.iter().all(|name| script.contains(name)), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    told(&["man", "--out", out]);
    for page in names.iter().map(|name| format!("pipe-{name}.1")).chain(["pipe.1".to_owned()]) {
        let text = fs::read_to_string(folder.path().join(&page)).unwrap_or_else(|_| panic!("{page} is missing"));
        assert!(text.contains(".TH") && text.contains(".SH SYNOPSIS"), "{page}");
    }
    assert!(told(&["man"]).out.contains(".TH pipe 1"));
}

/// bash itself reads the completions, where there is a bash.
#[test]
fn bash_completes_commands() {
    let script = told(&["completions", "bash"]).out;
    let ask = format!("{script}\nCOMP_WORDS=(pipe che); COMP_CWORD=1; _pipe pipe che pipe; echo \"${{COMPREPLY[@]}}\"");
    let Ok(output) = Command::new("bash").args(["--norc", "-c", &ask]).output() else {
        println!("skipped: there is no bash");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "check", "{}", String::from_utf8_lossy(&output.stderr));
}
