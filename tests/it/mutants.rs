//! Good programs, damaged at random: each is answered, and the answer can be printed.
//!
//! 2,000 mutants a run; `PIPE_MUTANTS=20000 cargo test --test it mutants` for the long form.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use pipe::check::{Overrides, check_source};
use pipe::diag::render::{Options, render};
use pipe::diag::{Problems, json};
use pipe::host::MemHost;
use pipe::source::SourceMap;
use pipe::syntax;

use crate::corpus::{folder, programs};

/// Characters that are likely to hurt.
const SPICE: &str = "{}[]()=\"'`#,;:.$\\+-*/%<>!&|@\n\r\t \u{e9}\u{1b}\u{0}\u{202e}\u{feff}\u{201c}\u{1f600}09axE_";
/// Words that are.
const WORDS: [&str; 12] = [
    "if ",
    " in ",
    "not ",
    "${",
    "1e999",
    "9223372036854775807",
    "study x {",
    "let ",
    "pipe \"2026\"\n",
    "//",
    "..=",
    "-1",
];

/// Numbers that look random and are the same each time.
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    /// A number below this one.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % n.max(1)
    }
}

/// One of the programs, damaged in one to four places.
pub(crate) fn damaged(programs: &[String], draws: &mut Draws) -> String {
    let mut text: Vec<char> = programs[draws.below(programs.len())].chars().collect();
    for _ in 0..=draws.below(4) {
        let at = draws.below(text.len() + 1);
        let near = (at + 1 + draws.below(12)).min(text.len());
        match draws.below(9) {
            0 => drop(text.drain(at..near)),
            1 | 2 => text.insert(at, SPICE.chars().nth(draws.below(SPICE.chars().count())).unwrap_or('?')),
            3 if !text.is_empty() => {
                let (a, b) = (draws.below(text.len()), draws.below(text.len()));
                text.swap(a, b);
            }
            4 => text.truncate(at),
            5 => {
                let again: Vec<char> = text[at..near].to_vec();
                text.splice(at..at, again);
            }
            6 => drop(text.splice(at..at, WORDS[draws.below(WORDS.len())].chars())),
            7 => {
                let other: Vec<char> = programs[draws.below(programs.len())].chars().collect();
                let from = draws.below(other.len());
                let to = (from + draws.below(80)).min(other.len());
                text.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                if let Some(end) = text[at..].iter().position(|c| *c == '\n') {
                    text.drain(at..=at + end);
                }
            }
        }
    }
    text.into_iter().collect()
}

fn prints(map: &SourceMap, problems: &Problems, text: &str) {
    for options in [Options { color: false, width: 80 }, Options { color: false, width: 1 }] {
        let drawn = render(map, problems, options);
        let hidden = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{feff}');
        assert!(!drawn.contains(hidden), "hidden characters reach the output for\n{text:?}\n{drawn:?}");
        assert_eq!(drawn.is_empty(), problems.is_empty());
    }
    for line in json::lines(map, problems).lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON: {line}");
        assert!(!line.contains(['\u{202e}', '\u{feff}']));
    }
}

#[test]
fn mutants_are_answered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("pipelines"), root.join("examples"), folder("good"), folder("syntax")];
    let files = folders.iter().flat_map(|folder| programs(folder));
    let texts: Vec<String> = files.map(|path| fs::read_to_string(path).expect("a program is text")).collect();
    assert!(texts.len() >= 3);
    let wanted = std::env::var("PIPE_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000_usize);
    let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
    // What they use, where they use it.
    let lab = programs(&folder("lab")).iter().filter(|path| path.is_file()).fold(MemHost::new(), |host, path| {
        let name = path.file_name().expect("a file");
        host.with(Path::new("../lab").join(name), fs::read(path).expect("a readable file"))
    });
    let (mut refused, mut slowest) = (0, Duration::ZERO);
    for nth in 0..wanted {
        let text = damaged(&texts, &mut draws);
        let start = Instant::now();
        let mut map = SourceMap::new();
        let (_, parsed) = syntax::read(&mut map, "mutant.pipe", None, text.as_bytes());
        prints(&map, &parsed.problems, &text);
        assert!(!parsed.problems.sorted().iter().any(|p| p.message.contains("not understood at all")), "{text}");
        refused += usize::from(parsed.problems.has_errors());
        // the checks read tables and draw phantoms, so every fourth one goes through them
        if nth % 4 == 0 {
            let outcome = check_source(&lab, "mutant.pipe", &text, Path::new(""), &Overrides::default());
            prints(&outcome.map, &outcome.problems, &text);
            assert!(!(outcome.checked.is_some() && outcome.problems.has_errors()), "{text}");
        }
        slowest = slowest.max(start.elapsed());
    }
    assert!(refused > wanted / 3, "only {refused} of {wanted} mutants were refused");
    assert!(slowest < Duration::from_secs(5), "the slowest mutant took {slowest:?}");
}
