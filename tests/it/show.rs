//! `pipe show`: what is shown is the study, in every form.

use std::fs;
use std::path::PathBuf;

use pipe::check::{Outcome, Overrides, Variant, check_source};
use pipe::diag::Code;
use pipe::diag::render::{Options, render};
use pipe::host::RealHost;
use pipe::show;
use serde_json::Value;

use crate::cli::{TINY, pipe, root, table_study, tiny};
use crate::corpus::{folder, programs};

/// The study of a file, which holds; nothing for a file with several.
fn checked(text: &str, base: &std::path::Path) -> Option<Outcome> {
    let outcome = check_source(&RealHost, "shown.pipe", text, base, &Overrides::default());
    let drawn = render(&outcome.map, &outcome.problems, Options::default());
    if outcome.problems.has(Code::E0112) {
        return None;
    }
    assert!(outcome.checked.is_some(), "{drawn}\n{text}");
    Some(outcome)
}

fn variants(outcome: &Outcome) -> Vec<&Variant> {
    outcome.checked.iter().flat_map(|checked| &checked.variants).collect()
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
        let Some(outcome) = checked(&text, base) else { continue };
        for variant in variants(&outcome) {
            for full in [false, true] {
                let program = show::program(&variant.study, &variant.settings, full);
                let again = checked(&program, base).unwrap();
                let again = variants(&again);
                assert_eq!(again.len(), 1, "{program}");
                assert_eq!(again[0].study, variant.study, "{}\n{program}", path.display());
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

/// The methods paragraph of [`TINY`] after some replacements.
fn prose_of(replacements: &[(&str, &str)]) -> String {
    let mut text = TINY.to_owned();
    for (from, to) in replacements {
        assert!(text.contains(from), "`{from}` is not in\n{text}");
        text = text.replace(from, to);
    }
    let outcome = checked(&text, &root()).unwrap();
    show::prose(&outcome, &variants(&outcome))
}

fn says(prose: &str, words: &[&str]) {
    for words in words {
        assert!(prose.contains(words), "`{words}` is not in\n{prose}");
    }
}

fn says_not(prose: &str, words: &[&str]) {
    for words in words {
        assert!(!prose.contains(words), "`{words}` is in\n{prose}");
    }
}

#[test]
fn a_grid_is_shown_variant_by_variant_and_patterns_pick_some() {
    let folder = tiny();
    let vary = "  vary train.loss = { ce = cross_entropy(), focal = focal(), soft = soft_f1() }\n}\n";
    let grid = TINY.trim_end().strip_suffix('}').unwrap().to_owned() + vary;
    fs::write(folder.path().join("tiny.pipe"), grid).unwrap();
    let shown = |more: &[&str]| pipe(folder.path(), &[&["show", "tiny.pipe"], more].concat());
    let variants = |more: &[&str]| shown(more).ends(0).out.matches("study tiny {").count();
    assert_eq!(variants(&[]), 3);
    assert_eq!(variants(&["--only", "*o*"]), 2);
    assert_eq!(variants(&["--only", "ce", "--only", "s*"]), 2);
    assert_eq!(variants(&["--only", "?e"]), 1);
    let told =
        shown(&["--only", "ce", "--only", "resnet*"]).ends(2).says("no variant of the study fits --only 'resnet*'");
    assert!(told.err.contains("there are: ce, focal, soft"), "{}", told.err);
    fs::write(folder.path().join("tiny.pipe"), TINY).unwrap();
    shown(&["--only", "ce"]).ends(2).says("nothing varies in it");
}

#[test]
fn prose_is_sentences_with_the_numbers_of_the_table() {
    let folder = tiny();
    let prose = pipe(folder.path(), &["show", "tiny.pipe", "--prose"]).ends(0).out;
    says(
        &prose,
        &[
            "comprised 30 images of 15 patients in 4 classes",
            "drawn at random with the classes balanced (20 % of the patients were asked for)",
            "was kept out of every fold and entered no figure.",
            "Whole patients were dealt into 2 folds with the classes balanced, so that no patient was both",
            "resizing to 32 × 32 pixels (bilinear filter, without keeping the aspect ratio; Pillow)",
            "The network was resnet18 (He et al.",
            "through one linear layer.",
            "Adam (learning rate 0.001, weight decay 0; Kingma and Ba 2015",
            "for 1 epoch in batches of 8 images",
            "The learning rate was constant.",
            "The weights of the last epoch were kept.",
            "The primary figure was macro F1",
            "counted by patient",
            "95 % confidence intervals come from 1,000 bootstrap draws of whole patients with replacement",
            "All other random draws follow from the seed 42.",
        ],
    );
    assert!(prose.ends_with(".\n"), "{prose}");
    says_not(&prose, &["leak", "variant"]);
    let prose = prose_of(&[("epochs", "accumulate = 3\n    epochs")]);
    says(&prose, &["in batches of 8 images. Gradients of 3 batches were averaged for each step."]);
    for path in shipped() {
        let text = fs::read_to_string(&path).unwrap();
        let Some(outcome) = checked(&text, path.parent().unwrap()) else { continue };
        let all = variants(&outcome);
        for some in all.iter().map(|one| vec![*one]).chain([all.clone()]) {
            let prose = show::prose(&outcome, &some);
            for wrong in ["`", "None", " ,", "  ", " .", "()", " 1 epochs", " 1 images"] {
                assert!(!prose.contains(wrong), "`{wrong}` of {}\n{prose}", path.display());
            }
        }
    }
}

#[test]
fn prose_says_what_leaks_and_why_that_is_accepted() {
    let leak = "evaluate { leak = accepted(because = \"a pilot\") }\n}\n";
    let prose = prose_of(&[
        ("epochs    = 1", "epochs = 4\n    stop = early(on = macro_f1, patience = 2epochs)"),
        ("batch     = 8\n  }\n}\n", &format!("batch = 8\n  }}\n  {leak}")),
    ]);
    says(
        &prose,
        &[
            "The figures leak: the scored fold itself decided when training stopped",
            "This was accepted for this reason: a pilot.",
            "for at most 4 epochs",
            "ended early when the macro F1 of the scored fold itself had not improved for 2 epochs",
            "the epoch with the highest macro F1 of the scored fold itself",
        ],
    );
    says_not(&prose, &["validation", "so that no patient"]);
    let prose = prose_of(&[
        ("stratified_group_kfold(2)", "stratified_kfold(2)"),
        ("batch     = 8\n  }\n}\n", &format!("batch = 8\n  }}\n  {leak}")),
    ]);
    says(
        &prose,
        &["Single images were dealt", "images of one patient were dealt into several folds, so that", "a pilot."],
    );
    says_not(&prose, &["no patient was"]);
    let folder = tempfile::tempdir().unwrap();
    let text = table_study(folder.path())
        .replace("split {", "split { holdout = `image` == \"0.png\"\n")
        .replace("study table {", "study table { evaluate { leak = accepted(because = \"given\") }\n");
    let outcome = checked(&text, folder.path()).unwrap();
    let prose = show::prose(&outcome, &variants(&outcome));
    says(
        &prose,
        &[
            "A hold-out of 1 patient (1 image), those of the table with image == \"0.png\", was kept",
            "The figures leak: 1 patient was both in the hold-out and in the folds. This was accepted for this reason: given.",
        ],
    );
    says_not(&prose, &["no patient was"]);
}

#[test]
fn prose_says_what_was_dealt_and_built() {
    let prose = prose_of(&[
        ("holdout = 20%", "holdout = `sex` == \"F\"\n    validation = 0.1%\n    run = [0]"),
        ("resnet18()", "resnet18()\n    head = mlp(hidden = 64, dropout = 20%)"),
        ("epochs    = 1", "epochs = 3\n    schedule = cosine(warmup = 1epoch)\n    keep = best(on = loss)"),
        ("grayscale(), ", ""),
        (
            "batch     = 8\n  }\n",
            "batch = 8\n    sampler = balanced\n  }\n  evaluate {\n    tta = [flip(horizontal)]\n    slices = [`sex`]\n    \
             intervals = bootstrap(200, level = 90%, method = bca)\n  }\n",
        ),
    ]);
    says(
        &prose,
        &[
            "those of the table with sex == \"F\", was kept out of every fold",
            "; for fold 0 (counted from 0), and for no other, a network was trained",
            "(0.1 % were asked for) of each fold's training part",
            "two linear layers with 64 hidden units and ReLU between them, each after dropout of 20 %",
            "rose linearly for 1 epoch and then fell to 0 along half a cosine",
            "the epoch with the lowest loss of the validation patients",
            "drawn with replacement, each class equally often",
            "averaged over each image and its left-right mirror image",
            "90 % confidence intervals come from 200 bootstrap draws of whole patients with replacement by the bias-corrected",
            "for parts of the data, by sex.",
        ],
    );
    says_not(&prose, &["for each fold a network", "one linear layer"]);
}

#[test]
fn prose_of_a_grid_is_one_paragraph_with_what_varies_and_how_it_is_compared() {
    let path = root().join("examples/grid.pipe");
    let outcome = checked(&fs::read_to_string(&path).unwrap(), path.parent().unwrap()).unwrap();
    let all = variants(&outcome);
    let prose = show::prose(&outcome, &all);
    says(
        &prose,
        &[
            "4 variants of the study were run, one for each combination of the loss (\"ce\" or \"mixed\") and optimiser \
             (\"slow\" or \"fast\").",
            "The loss was cross-entropy (Keras CategoricalCrossentropy) (\"ce\") or the sum of 0.6 times focal loss",
            "0.4 times soft macro F1 loss (\"mixed\").",
            "(learning rate 0.0001, weight decay 0.01;",
            "(\"fast\") for 1 epoch in batches of 16 images.",
            "Each other variant was compared with the baseline \"ce/slow\" by the difference in macro F1, counted by patient",
            "1,000 draws of whole patients",
            "p-values were corrected by Holm's step-down procedure.",
            "The variant with the best macro F1 on the folds is reported on the hold-out",
        ],
    );
    says_not(&prose, &["entered no figure"]);
    for once in ["The data set", "Whole patients were dealt", "The network was"] {
        assert_eq!(prose.matches(once).count(), 1, "`{once}`\n{prose}");
    }
    let one = show::prose(&outcome, &all[..1]);
    says_not(&one, &["variant", "\"ce\"", "compared", "entered no figure"]);
}

#[test]
fn prose_of_a_grid_says_which_variants_a_sentence_is_for() {
    let prose = prose_of(&[
        ("    epochs    = 1\n", ""),
        (
            "batch     = 8\n  }\n",
            "batch = 8\n  }\n  vary train.epochs = [1, 2]\n  vary train.clip = { clipped = 1.0, free = 2.0 }\n  vary \
             train.accumulate = { plain = 1, gathered = 4 }\n",
        ),
    ]);
    says(
        &prose,
        &[
            "8 variants of the study were run",
            "for 1 epoch or 2 epochs in batches of 8 images",
            "With \"gathered\", gradients of 4 batches were averaged for each step.",
            "to a global norm of 1 (\"clipped\") or 2 (\"free\").",
        ],
    );
    says_not(&prose, &["was compared"]);
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
