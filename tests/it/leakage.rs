//! Leakage: what each score's predictor has seen, how it is told, accepted and mended.

use std::fs;

use pipe::check::{Outcome, Overrides, check_source};
use pipe::diag::render::{Options, render};
use pipe::diag::{Code, Diagnostic};
use pipe::host::RealHost;

use crate::corpus::folder;

fn check(text: &str) -> Outcome {
    check_source(&RealHost, "study.pipe", text, &folder("bad"), &Overrides::default())
}

fn errors(outcome: &Outcome) -> Vec<Code> {
    outcome.problems.sorted().iter().map(|problem| problem.code).collect()
}

/// A study of phantoms, with more settings.
fn study(more: &str) -> String {
    format!(
        "pipe \"2026\"\nstudy s {{\n  data {{ table = phantoms(images = 60, patients = 30, seed = 1) }}\n  \
         model {{ backbone = resnet18() }}\n{more}\n}}\n"
    )
}

/// The line to paste out of a help text: what stands behind two blanks, without a note in brackets.
fn line_to_paste(help: &str, setting: &str) -> Option<String> {
    let start = help.find(&format!("{setting} = "))?;
    let line = help[start..].lines().next()?;
    Some(line.split("  (").next()?.trim_end().to_owned())
}

/// A program with the line of a help text pasted: over the setting of its name, or into the block it names.
fn pasted(text: &str, problem: &Diagnostic) -> String {
    let help = problem.help.as_deref().expect("each has a way out");
    let line = ["holdout", "cv", "validation"].iter().find_map(|setting| line_to_paste(help, setting));
    let line = line.expect("a line to paste");
    let setting = line.split(' ').next().expect("a setting").to_owned();
    match text.lines().find(|line| line.trim_start().starts_with(&format!("{setting} "))) {
        Some(old) => text.replace(old, &line),
        None => text.replace("split {", &format!("split {{\n{line}")),
    }
}

#[test]
fn the_notebook_is_stopped_three_times_and_mended_by_what_the_messages_say() {
    let text = fs::read_to_string(folder("bad").join("E0304_notebook.pipe")).expect("the program is there");
    let outcome = check(&text);
    assert_eq!(errors(&outcome), [Code::E0302, Code::E0301, Code::E0304]);

    let mut mended = text.clone();
    for problem in outcome.problems.sorted() {
        mended = pasted(&mended, problem);
        // alone it mends its own error, and the others stand
        let alone = check(&pasted(&text, problem));
        let others: Vec<Code> = errors(&outcome).into_iter().filter(|code| *code != problem.code).collect();
        assert_eq!(errors(&alone), others, "{}", problem.code.id());
    }
    let outcome = check(&mended);
    let drawn = render(&outcome.map, &outcome.problems, Options::default());
    assert!(outcome.problems.is_empty(), "{mended}\n{drawn}");
    let checked = outcome.checked.expect("the mended study holds");
    let split = &checked.variants[0].study.split;
    assert!(split.validation > 0.0 && split.holdout > 0.0);
    assert!(outcome.seen.iter().all(|explained| explained.flow.leaks().is_empty()));
}

#[test]
fn draws_of_images_are_a_leak_that_nothing_accepts() {
    let images = "evaluate { intervals = bootstrap(unit = image) }";
    let outcome = check(&study(&format!("  {images}")));
    assert_eq!(errors(&outcome), [Code::E0603]);
    let text = outcome.seen[0].text(&outcome.map);
    assert!(text.contains("the intervals, on evaluation: LEAKS"), "{text}");
    let accepted = images.replace("{ ", "{ leak = accepted(because = \"a pilot\")\n");
    let outcome = check(&study(&format!("  {accepted}")));
    assert_eq!(errors(&outcome), [Code::E0603], "and no word that nothing leaks");
}

#[test]
fn each_score_says_what_its_predictor_has_seen() {
    let outcome = check(&study("  split { holdout = 20%\n validation = 10% }\n  train { stop = early(on = loss) }"));
    let explained = outcome.seen.first().expect("a study");
    assert_eq!(
        explained.text(&outcome.map),
        "the score of each fold, on evaluation: clean\n  \
           its predictor has seen: train, validation\n    \
             validation  early stopping       study.pipe:7\n    \
             validation  best epoch           study.pipe:7\n    \
             train       weights of resnet18  study.pipe:7\n\
         the score of the hold-out, on hold-out: clean\n  \
           its predictor has seen: train, validation, evaluation\n    \
             validation                     early stopping               study.pipe:7\n    \
             validation                     best epoch                   study.pipe:7\n    \
             train                          weights of resnet18          study.pipe:7\n    \
             train, validation, evaluation  mean of the folds' networks  split.cv, by default\n"
    );
    for line in explained.json_lines(&outcome.map).lines() {
        let score: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert_eq!(score["clean"], true);
        assert!(score.get("variant").is_none());
    }
}

#[test]
fn a_leak_is_explained_with_the_way_it_came() {
    let outcome = check(&study("  train { stop = early(on = loss) }\n  split { cv = kfold(3) }"));
    let explained = outcome.seen.first().expect("a study");
    let text = explained.text(&outcome.map);
    assert!(
        text.contains("on evaluation: LEAKS") && text.contains("early stopping       study.pipe:5  <- leaks"),
        "{text}"
    );
    assert!(text.contains("evaluation may hold patients of train: the split deals single images"), "{text}");
    let score: serde_json::Value = serde_json::from_str(&explained.json_lines(&outcome.map)).expect("one line");
    let stop = score["fits"].as_array().expect("fits").iter().find(|fit| fit["what"] == "early stopping");
    let stop = stop.expect("early stopping is a fit");
    assert_eq!(stop["way"], serde_json::json!(["early stopping", "weights of resnet18", "predictions"]));
    assert_eq!(stop["fitted_to"], serde_json::json!(["evaluation"]));
}

#[test]
fn an_accepted_leak_is_a_statement_and_the_study_runs_as_written() {
    let leaking = "  split { cv = stratified_kfold(3) }\n  train { schedule = plateau(patience = 2epochs) }\n  \
                   images { prepare = [resize(32), normalize(dataset)] }";
    let refused = check(&study(leaking));
    assert_eq!(errors(&refused), [Code::E0301, Code::E0304, Code::E0305]);
    let accepted = check(&study(&format!("{leaking}\n  evaluate {{ leak = accepted(because = \"as published\") }}")));
    assert_eq!(errors(&accepted), [Code::W0312; 3]);
    let checked = accepted.checked.expect("nothing is wrong but what is accepted");
    let study = &checked.variants[0].study;
    assert_eq!(study.evaluate.leak.as_deref(), Some("as published"));
    assert!(pipe::leakage::watches_reported_fold(study));

    let dataset = &accepted.datasets[0];
    let folds = pipe::split::deal(&study.split, dataset, study.seed).expect("folds");
    let roles = folds.roles(0);
    assert_eq!(roles.watched(study), roles.evaluation);
    let table = pipe::split::table(&study.split, dataset, &folds, &[0], true).expect("accepted");
    assert!(table.roles[0].disjoint.len() < 6, "the record says which roles share patients");
    assert!(pipe::split::table(&study.split, dataset, &folds, &[0], false).is_err());
}

#[test]
fn accepting_needs_a_reason_and_a_leak() {
    assert_eq!(errors(&check(&study("  evaluate { leak = accepted(because = \" \") }"))), [Code::E0104]);
    assert_eq!(errors(&check(&study("  evaluate { leak = accepted() }"))), [Code::E0111]);
    assert_eq!(errors(&check(&study("  evaluate { leak = accepted(because = \"x\") }"))), [Code::W0313]);
}

#[test]
fn a_missing_patient_column_is_guessed_with_its_numbers() {
    let text = "pipe \"2026\"\nstudy s {\n  data {\n    table = csv(\"../data/people.csv\")\n    \
                image = file(`image`, under = \"../data/images\")\n    label = `label`\n  }\n  \
                split { cv = stratified_kfold(3) }\n  model { backbone = resnet18() }\n}\n";
    let outcome = check(text);
    assert_eq!(errors(&outcome), [Code::E0301]);
    let help = outcome.problems.sorted()[0].help.clone().expect("a way out");
    assert!(help.starts_with("add  group = `patient`  (12 patients, 2.0 images each on average)\n"), "{help}");
    assert!(help.contains("deal them whole:  cv = stratified_group_kfold(3)"), "{help}");
    let mended = text
        .replace("label = `label`\n", "label = `label`\n    group = `patient`\n")
        .replace("stratified_kfold(3)", "stratified_group_kfold(3)");
    assert!(check(&mended).problems.is_empty());
}
