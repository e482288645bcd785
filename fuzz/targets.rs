//! What fuzzing holds, as plain functions of bytes: each panics where its property fails.
//!
//! `cargo test` runs them over programs, mutants and stored corpora; libFuzzer runs them over whatever reaches new code.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use std::path::Path;

use pipe::check::{Overrides, check_source};
use pipe::diag::render::{Options, render};
use pipe::diag::{Problems, json};
use pipe::host::MemHost;
use pipe::source::{FileId, SourceMap};
use pipe::syntax::{self, ast};

/// A table that programs may name, so that what looks at data is reached too.
const TABLE: &str = "image,label,patient,age,sex,fold\n\
    00.png,flu,p0,20,F,0\n01.png,flu,p0,20,F,0\n02.png,cold,p1,31,M,1\n03.png,cold,p1,31,M,1\n\
    04.png,flu,p2,44,F,0\n05.png,cold|flu,p3,58,M,1\n06.png,,p4,,F,1\n07.png,cold,p5,17,M,0\n";

/// What the guard admits, with nothing hidden.
fn admitted(bytes: &[u8]) -> Option<String> {
    let (text, refusals) = syntax::guard::admit(bytes);
    refusals.is_empty().then_some(text)
}

fn file() -> FileId {
    SourceMap::new().add("fuzz.pipe", None, "")
}

/// Every text is answered: a tree whose places lie within the text, and problems that can be drawn.
pub fn parse_total(bytes: &[u8]) {
    let mut map = SourceMap::new();
    let (file, parsed) = syntax::read(&mut map, "fuzz.pipe", None, bytes);
    let text = map.text(file);
    let within =
        |span: pipe::source::Span| assert!(text.get(span.range()).is_some(), "{span:?} is no place of the text");
    for item in &parsed.file.items {
        match item {
            ast::Item::Param(param) => within(param.span),
            ast::Item::Let(binding) => within(binding.value.span),
            ast::Item::Use(import) => within(import.span),
            ast::Item::Block(block) => within(block.span),
            ast::Item::Error(span) => within(*span),
        }
    }
    for problem in parsed.problems.sorted() {
        problem.labels.iter().for_each(|label| within(label.span));
        problem.fixes.iter().for_each(|edit| within(edit.span));
    }
    drawn(&map, &parsed.problems);
}

fn drawn(map: &SourceMap, problems: &Problems) {
    let text = render(map, problems, Options { color: false, width: 80 });
    let hidden = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{feff}');
    assert!(!text.contains(hidden), "hidden characters reach the output");
}

/// Laid out twice is laid out once.
pub fn fmt_idempotent(bytes: &[u8]) {
    let Some(text) = admitted(bytes) else { return };
    let Ok(once) = syntax::format(file(), &text) else { return };
    match syntax::format(file(), &once) {
        Ok(twice) => assert_eq!(once, twice, "laid out differently the second time"),
        Err(problems) => panic!("{problems:?}\nin what was laid out:\n{once}"),
    }
}

/// The tree, the comments and the accepted mending stay.
pub fn fmt_keeps_meaning(bytes: &[u8]) {
    let Some(text) = admitted(bytes) else { return };
    if let Ok(mended) = syntax::mend(file(), &text) {
        assert!(syntax::parse(file(), &mended).problems.is_empty(), "mended, and broken still:\n{mended}");
    }
    let Ok(printed) = syntax::format(file(), &text) else { return };
    let (before, after) = (syntax::parse(file(), &text), syntax::parse(file(), &printed));
    assert_eq!(meaning(&before.file), meaning(&after.file), "{text}\nbecame\n{printed}");
}

/// A tree without its places.
pub fn meaning(tree: &ast::File) -> String {
    let mut out = String::new();
    let shown = format!("{tree:?}");
    let mut rest = shown.as_str();
    while let Some(at) = rest.find("Span {") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = rest.find('}').map_or("", |end| &rest[end + 1..]);
    }
    out + rest
}

fn host() -> MemHost {
    (0..8).fold(MemHost::new().with("labels.csv", TABLE), |host, n| host.with(format!("0{n}.png"), "no picture"))
}

/// Studies that would draw a million phantoms say nothing new and take a minute.
fn is_modest(bytes: &[u8]) -> bool {
    !bytes.windows(8).any(|eight| eight.iter().all(u8::is_ascii_digit)) && bytes.len() < 1 << 14
}

/// A study comes out, or an error: never both, never neither, never a panic.
pub fn check_no_panic(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if is_modest(bytes) {
        let outcome = check_source(&host(), "fuzz.pipe", text, Path::new(""), &Overrides::default());
        assert_ne!(outcome.checked.is_some(), outcome.problems.has_errors(), "{text}");
        drawn(&outcome.map, &outcome.problems);
    }
}

/// Problems are lines of JSON, whose places lie in the text they name.
pub fn json_valid(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if !is_modest(bytes) {
        return;
    }
    let outcome = check_source(&host(), "fuzz.pipe", text, Path::new(""), &Overrides::default());
    for line in json::lines(&outcome.map, &outcome.problems).lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert!(value["code"].is_string() && value["message"].is_string() && value["labels"].is_array(), "{line}");
        for place in value["labels"].as_array().into_iter().flatten() {
            let number = |name: &str| usize::try_from(place[name].as_u64().expect("a number")).expect("a place");
            assert!(number("start") <= number("end") && number("line") >= 1 && number("column") >= 1, "{line}");
        }
    }
}
