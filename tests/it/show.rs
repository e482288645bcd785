//! `pipe show`: what is shown is the study, in every form.

use std::fs;
use std::path::PathBuf;

use pipe::check::{Checked, Overrides, check_source};
use pipe::data::Dataset;
use pipe::diag::Code;
use pipe::diag::render::{Options, render};
use pipe::host::RealHost;
use pipe::show;
use serde_json::Value;

use crate::cli::{TINY, pipe, root, tiny};
use crate::corpus::{folder, programs};

/// The study of a file; nothing for a file with several.
fn checked(text: &str, base: &std::path::Path) -> Option<(Checked, Vec<Dataset>)> {
    let outcome = check_source(&RealHost, "shown.pipe", text, base, &Overrides::default());
    let drawn = render(&outcome.map, &outcome.problems, Options::default());
    if outcome.problems.has(Code::E0112) {
        return None;
    }
    Some((outcome.checked.unwrap_or_else(|| panic!("{drawn}\n{text}")), outcome.datasets))
}

fn shipped() -> Vec<PathBuf> {
    // the pipelines name data that are not here
    let quickstart = root().join("pipelines/quickstart.pipe");
    [programs(&root().join("examples")), programs(&folder("good")), vec![quickstart]].concat()
}

#[test]
fn what_is_shown_reads_back_as_the_same_study() {
    let mut shown = 0;
    for path in shipped() {
        let text = fs::read_to_string(&path).unwrap();
        let base = path.parent().unwrap();
        for variant in checked(&text, base).into_iter().flat_map(|(checked, _)| checked.variants) {
            for full in [false, true] {
                let program = show::program(&variant.study, &variant.settings, full);
                let again = checked(&program, base).unwrap().0;
                assert_eq!(again.variants.len(), 1, "{program}");
                assert_eq!(again.variants[0].study, variant.study, "{}\n{program}", path.display());
                let file = pipe::source::SourceMap::new().add("shown.pipe", None, "");
                assert_eq!(pipe::syntax::format(file, &program).as_deref().ok(), Some(program.as_str()));
                shown += 1;
            }
        }
    }
    assert!(shown >= 30, "{shown}");
}

#[test]
fn full_marks_defaults_and_shows_every_setting() {
    let folder = tiny();
    let plain = pipe(folder.path(), &["show", "tiny.pipe"]).ends(0).out;
    assert!(!plain.contains("# default") && !plain.contains("sampler"), "{plain}");
    let full = pipe(folder.path(), &["show", "tiny.pipe", "--full"]).ends(0).out;
    for line in [
        "sampler=shuffled#default",
        "loss=cross_entropy(smoothing=0%)#default",
        "#keep:allrows(default)",
        "seed=42#default",
    ] {
        let found = full.lines().any(|had| had.split_whitespace().collect::<String>().starts_with(line));
        assert!(found, "`{line}` is not in\n{full}");
    }
    assert!(full.contains("# by default: weight_decay"), "{full}");
    for block in pipe::explain::all_blocks().filter(|block| block.name != "run" && block.name != "compare") {
        for setting in block.settings {
            assert!(full.contains(setting.name) || setting.default.is_empty(), "{} is not in\n{full}", setting.name);
        }
    }
}

#[test]
fn prose_is_sentences_with_the_numbers_of_the_table() {
    let folder = tiny();
    let prose = pipe(folder.path(), &["show", "tiny.pipe", "--prose"]).ends(0).out;
    for words in [
        "comprised 30 images of 15 patients in 4 classes",
        "20 % of the patients were held out",
        "Whole patients were dealt into 2 folds with the classes balanced",
        "resizing (32 × 32 pixels",
        "The network was resnet18 (He et al.",
        "Adam (learning rate 0.001; Kingma and Ba 2015",
        "for 1 epoch in batches of 8 images",
        "The primary figure was macro F1, counted by patient",
    ] {
        assert!(prose.contains(words), "`{words}` is not in\n{prose}");
    }
    assert!(
        !prose.contains("  ") && !prose.contains(" .") && !prose.contains("()") && prose.ends_with(".\n"),
        "{prose}"
    );
    fs::write(folder.path().join("tiny.pipe"), TINY.replace("epochs", "accumulate = 3\n    epochs")).unwrap();
    let prose = pipe(folder.path(), &["show", "tiny.pipe", "--prose"]).ends(0).out;
    assert!(prose.contains("in batches of 8 images. Gradients of 3 batches were averaged for each step."), "{prose}");
    for path in shipped() {
        let text = fs::read_to_string(&path).unwrap();
        let Some((checked, datasets)) = checked(&text, path.parent().unwrap()) else { continue };
        for variant in &checked.variants {
            let prose = show::prose(&variant.study, &variant.settings, &datasets[variant.dataset]);
            assert!(
                !prose.contains('`') && !prose.contains("None") && !prose.contains(" ,"),
                "{}\n{prose}",
                path.display()
            );
        }
    }
}

#[test]
fn data_are_the_study() {
    let folder = tiny();
    let json = pipe(folder.path(), &["show", "tiny.pipe", "--format", "json"]).ends(0).out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["name"], &json["train"]["epochs"]), (&"tiny".into(), &1.into()));
    let yaml = pipe(folder.path(), &["show", "tiny.pipe", "--format", "yaml"]).ends(0).out;
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap(), json);
    pipe(folder.path(), &["show", "tiny.pipe", "--full", "--prose"]).ends(2);
}
