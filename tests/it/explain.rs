//! Pages and catalog entries: everything has one, and the programs in them do what is said of them.

use std::fmt::Write as _;

use pipe::catalog::{FAMILIES, backbones};
use pipe::check::{Overrides, check_source};
use pipe::diag::render::{Options, render};
use pipe::diag::{Code, Severity};
use pipe::explain;
use pipe::host::RealHost;

use crate::cli::pipe;
use crate::corpus::folder;

/// Codes that no study triggers before images or weights are opened: their pages hold no programs.
const WITHOUT_PROGRAMS: [Code; 5] = [Code::E0214, Code::W0308, Code::E0309, Code::E0406, Code::E0801];

#[test]
fn every_code_has_a_page_whose_programs_do_what_it_says() {
    let mut complaints = String::new();
    for code in Code::ALL.iter().copied() {
        let id = code.id();
        let page = explain::page(code);
        if page.lines().count() < 4 {
            let _ = writeln!(
                complaints,
                "{id}: write src/explain/pages/{id}.md (what, why, then a program in a fence ```pipe wrong that triggers \
                 the code and one in ```pipe right that does not; files stand in tests/corpus/data) and name {id} in \
                 src/explain/pages.rs"
            );
            continue;
        }
        let programs = explain::programs(code);
        if WITHOUT_PROGRAMS.contains(&code) {
            assert!(programs.is_empty(), "{id} has programs now: run them");
            continue;
        }
        for wrong in [true, false] {
            if !programs.iter().any(|program| program.wrong == wrong) {
                let _ = writeln!(
                    complaints,
                    "{id}: no program in a fence ```pipe {}",
                    if wrong { "wrong" } else { "right" }
                );
            }
        }
        for program in programs {
            let overrides =
                Overrides { set: program.set.clone(), study: program.study.clone(), ..Overrides::default() };
            let outcome = check_source(&RealHost, "page.pipe", &program.text, &folder("data"), &overrides);
            let drawn = render(&outcome.map, &outcome.problems, Options::default());
            let others = outcome.problems.sorted().iter().any(|problem| problem.code != code);
            if outcome.problems.has(code) != program.wrong {
                let _ = writeln!(complaints, "{id}, wrong = {}:\n{}\n{drawn}", program.wrong, program.text);
            } else if others {
                let _ = writeln!(complaints, "{id}, other codes than announced:\n{}\n{drawn}", program.text);
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

#[test]
fn right_programs_are_laid_out() {
    for code in Code::ALL.iter().copied() {
        for program in explain::programs(code).into_iter().filter(|program| !program.wrong) {
            let file = pipe::source::SourceMap::new().add("page.pipe", None, "");
            let laid_out = pipe::syntax::format(file, &program.text);
            assert_eq!(laid_out.ok().as_deref(), Some(program.text.as_str()), "{}", code.id());
        }
    }
}

#[test]
fn severities_are_named_in_the_pages() {
    for code in Code::ALL.iter().copied().filter(|code| explain::programs(*code).iter().any(|program| program.wrong)) {
        let word = if code.severity() == Severity::Error { "\nRefused:\n" } else { "\nWarned of:\n" };
        assert!(explain::page(code).contains(word), "{} lacks a line `{}`", code.id(), word.trim());
    }
}

#[test]
fn everything_in_the_catalog_is_explained() {
    for word in explain::words() {
        let text = explain::explain(&word).unwrap_or_else(|_| panic!("`{word}` is not explained"));
        assert!(text.len() > word.len() + 10, "{word}: {text}");
        let wide = text.lines().any(|line| line.chars().count() > 130);
        assert!(!wide || Code::parse(&word).is_some(), "{word}:\n{text}");
    }
    let focal = explain::explain("focal").unwrap();
    for words in
        ["focal: a loss (train.loss)", "gamma", "from 0 to 10", "default 2", "Lin et al. 2017", "focal(gamma = 2.0"]
    {
        assert!(focal.contains(words), "`{words}` is not in\n{focal}");
    }
    let epochs = explain::explain("train.epochs").unwrap();
    assert!(epochs.contains("from 1 to 100000") && epochs.contains("default  10"), "{epochs}");
    for (word, told) in [
        ("param", "a word of the language\n\n  A knob that"),
        ("vary", "a word of the language"),
        ("extends", "Starts from another study"),
        ("GiB", "a unit\n\n  2^30 bytes."),
        ("duration", "a type of a `param`"),
        ("holm", "a value of: compare.correction"),
        ("adamw.lr", "adamw.lr: an argument, default"),
        ("losses.focal", "focal: a loss (train.loss)"),
        ("patient", "patient: a unit"),
        ("step", "a schedule"),
        ("step", "Steps of the optimiser."),
    ] {
        let text = explain::explain(word).unwrap();
        assert!(text.contains(told), "`{told}` is not in\n{text}");
    }
    assert!(explain::explain("losses.adamw").is_err() && explain::explain("adamw.gamma").is_err());
    let table = explain::explain("backbones").unwrap();
    for backbone in backbones::Backbone::all() {
        assert!(table.contains(backbone.name()), "{} is not in\n{table}", backbone.name());
    }
    assert!(
        table.contains("imagenet (76.13 %, bsd-3-clause)"),
        "accuracy and licence of resnet50's are not in\n{table}"
    );
    for family in FAMILIES {
        let text = explain::explain(family.many).unwrap();
        assert!(family.names().all(|name| text.contains(name)), "{text}");
    }
}

#[test]
fn the_command_prints_hints_and_lists() {
    let folder = tempfile::tempdir().unwrap();
    let told = pipe(folder.path(), &["explain"]).ends(0);
    assert!(told.out.contains("train") && told.out.contains("E0304"), "{}", told.out);
    let told = pipe(folder.path(), &["explain", "e0203", "focal"]).ends(0);
    assert!(told.out.starts_with("# E0203: a class never occurs\n") && told.out.contains("\nfocal: a loss"));
    pipe(folder.path(), &["explain", "focall"]).ends(2).says("did you mean `focal`?");
    pipe(folder.path(), &["explain", "train.epoch"]).ends(2).says("did you mean `train.epochs`?");
    pipe(folder.path(), &["explain", "zebra\u{202e}"])
        .ends(2)
        .says("`zebra\\u{202e}`; `pipe explain`")
        .says("lists what there is");
}
