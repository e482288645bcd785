//! What a study is put together from: `use`, `extends`, `vary`, `compare`, and which study of a file is meant.

use std::path::Path;

use pipe::check::{
    Checked, CompareTest, Correction, DEEPEST_EXTENDS, DEEPEST_USE, MOST_BYTES_OF_ALL, MOST_FILES, MOST_VARIANTS,
    Outcome, Overrides, Pick, check_file, check_source,
};
use pipe::diag::{Code, Diagnostic};
use pipe::host::{MemHost, RealHost};
use pipe::study::{Source, Weights};

const DATA: &str = "  data { table = phantoms(images = 48, patients = 24, seed = 1) }\n";
const MODEL: &str = "  model { backbone = resnet18() }\n";

fn run(host: &MemHost, text: &str, overrides: &Overrides) -> Outcome {
    check_source(host, "here/s.pipe", &format!("pipe \"2026\"\n{text}"), Path::new("here"), overrides)
}

fn told(outcome: &Outcome) -> Vec<String> {
    outcome.problems.sorted().iter().map(|d| format!("{} {}", d.code.id(), d.message)).collect()
}

fn good_with(host: &MemHost, text: &str, overrides: &Overrides) -> (Checked, usize) {
    let outcome = run(host, text, overrides);
    assert!(outcome.problems.is_empty(), "{:?}\n{text}", told(&outcome));
    (outcome.checked.unwrap(), outcome.datasets.len())
}

fn good(text: &str) -> Checked {
    good_with(&MemHost::new(), text, &Overrides::default()).0
}

fn names(checked: &Checked) -> Vec<&str> {
    checked.variants.iter().map(|variant| variant.name.as_str()).collect()
}

fn codes(outcome: &Outcome) -> Vec<Code> {
    outcome.problems.sorted().iter().map(|d| d.code).collect()
}

/// The names of variants that a `vary` in an otherwise plain study makes.
fn labels(vary: &str) -> Vec<String> {
    let checked = good(&format!("study s {{\n{DATA}{MODEL}  {vary}\n}}\n"));
    checked.variants.into_iter().map(|variant| variant.name).collect()
}

fn first(outcome: &Outcome) -> Diagnostic {
    outcome.problems.sorted()[0].clone()
}

// ------------------------------------------------------------------------------------------------ vary

#[test]
fn variants_are_named_by_their_choices() {
    assert_eq!(labels("vary model.backbone = [resnet18(), resnet34]"), ["resnet18", "resnet34"]);
    assert_eq!(labels("vary train.batch = [16, 32]"), ["16", "32"]);
    assert_eq!(labels("vary split.validation = [10%, 20%]"), ["10%", "20%"]);
    assert_eq!(labels("vary seed = 3..=5"), ["3", "4", "5"]);
    assert_eq!(labels("vary seed = 3..5"), ["3", "4"]);
    assert_eq!(
        labels("vary train.optimizer = [adamw(lr = 1e-3, weight_decay = 0.1), adamw(3e-4, 0.1), sgd()]"),
        ["adamw(lr=0.001)", "adamw(lr=0.0003)", "sgd"]
    );
    assert_eq!(labels("vary train.loss = [focal(), focal(gamma = 3.0)]"), ["focal", "focal(gamma=3)"]);
    assert_eq!(
        labels("vary train.loss = [0.5 * focal() + 0.5 * kl(smoothing = 0.1), cross_entropy()]"),
        ["0.5focal+0.5kl", "cross_entropy"]
    );
    assert_eq!(
        labels(
            "vary images.augment = [[], [flip(horizontal)], [flip(horizontal), cutout()], [cutout(p = 0.1), flip(horizontal)]]"
        ),
        ["none", "flip", "flip+cutout", "cutout+flip"]
    );
    assert_eq!(
        labels("vary images.augment = [[flip(horizontal)], [flip(vertical)], []]"),
        ["augment-1", "augment-2", "none"]
    );
    assert_eq!(
        labels("vary data.table = [phantoms(images = 48, patients = 24), phantoms(images = 60, patients = 24)]"),
        ["phantoms(images=48)", "phantoms(images=60)"]
    );
    assert_eq!(labels("vary question = [\"a/b?\", \"..\"]"), ["a_b", "question-2"]);
}

#[test]
fn a_list_names_its_options_as_they_are_written() {
    let top = "let mix = 0.5 * focal() + 0.5 * soft_f1()\nlet all = [mix, focal()]\n";
    let checked = good(&format!("{top}study s {{\n{DATA}{MODEL}  train {{ batch = 48\n    vary loss = all }}\n}}\n"));
    assert_eq!(names(&checked), ["mix", "focal"]);
    assert_eq!(checked.variants[0].study.train.loss.len(), 2);
}

#[test]
fn the_first_vary_changes_slowest_and_choices_stand_in_the_places() {
    let text = format!(
        "study s {{\n{DATA}  vary model.backbone = [resnet18(), resnet34()]\n  \
         train {{ epochs = 7\n    vary batch = {{ few = 8, many = 16 }} }}\n}}\n"
    );
    let outcome = run(&MemHost::new(), &text, &Overrides::default());
    let checked = outcome.checked.unwrap();
    assert_eq!(names(&checked), ["resnet18/few", "resnet18/many", "resnet34/few", "resnet34/many"]);
    let third = checked.variant("resnet34/few").unwrap();
    assert_eq!(third.study.train.batch, 8);
    assert_eq!(third.study.train.epochs, 7);
    let paths: Vec<(&str, &str)> = third.choices.iter().map(|c| (c.path.as_str(), c.label.as_str())).collect();
    assert_eq!(paths, [("model.backbone", "resnet34"), ("train.batch", "few")]);
    assert_eq!(outcome.map.slice(third.places.get("model.backbone").unwrap()), "resnet34()");
    assert_eq!(outcome.map.slice(third.choices[1].span), "8");
    // Equal data are built once.
    assert_eq!(outcome.datasets.len(), 1);
    assert!(checked.variants.iter().all(|variant| variant.dataset == 0));
}

#[test]
fn vary_counts_before_a_plain_value_wherever_it_stands() {
    let a = "  vary train.batch = [8, 16]\n  train { batch = 64 }\n";
    let b = "  train { batch = 64 }\n  vary train.batch = [8, 16]\n";
    for body in [a, b] {
        let checked = good(&format!("study s {{\n{DATA}{MODEL}{body}}}\n"));
        let batches: Vec<u32> = checked.variants.iter().map(|variant| variant.study.train.batch).collect();
        assert_eq!(batches, [8, 16]);
    }
}

#[test]
fn data_that_differ_are_built_each_once() {
    let text = format!(
        "study s {{\n{DATA}{MODEL}  split.cv = stratified_group_kfold(2)\n  vary data.limit = [each(8), each(10)]\n  vary train.batch = [8, 16]\n  vary seed = [1, 2]\n}}\n"
    );
    let (checked, datasets) = good_with(&MemHost::new(), &text, &Overrides::default());
    // The limit draws, so that two seeds are two data sets.
    assert_eq!((checked.variants.len(), datasets), (8, 4));
    let of = |name: &str| checked.variant(name).unwrap().dataset;
    assert_eq!(of("each(8)/8/1"), of("each(8)/16/1"));
    assert_ne!(of("each(8)/8/1"), of("each(8)/8/2"));
    assert_ne!(of("each(8)/8/1"), of("each(10)/8/1"));
}

#[test]
fn what_is_wrong_in_one_variant_is_told_once_and_at_its_option() {
    let text = format!(
        "study s {{\n{DATA}{MODEL}  vary train.loss = [cross_entropy(), kl()]\n  vary train.batch = [8, 16, 24]\n  \
         train {{ epochs = 0 }}\n}}\n"
    );
    let outcome = run(&MemHost::new(), &text, &Overrides::default());
    assert_eq!(codes(&outcome), [Code::E0503, Code::E0104]);
    assert_eq!(outcome.map.slice(first(&outcome).labels[0].span), "kl()");
    assert!(outcome.checked.is_none());
}

#[test]
fn a_problem_of_some_variants_says_of_which() {
    let text = format!(
        "study s {{\n{DATA}{MODEL}  train {{ stop = early(patience = 2epochs) }}\n  vary split.validation = [0%, 20%]\n  \
         vary train.batch = [8, 16]\n}}\n"
    );
    let outcome = run(&MemHost::new(), &text, &Overrides::default());
    assert_eq!(codes(&outcome), [Code::E0304]);
    assert!(first(&outcome).help.unwrap().ends_with("(only in the variant `0%/8` and one other)"));
    let all = text.replace("[0%, 20%]", "[0%]");
    let outcome = run(&MemHost::new(), &all, &Overrides::default());
    assert!(!first(&outcome).help.unwrap().contains("variant"), "{:?}", first(&outcome).help);
}

#[test]
fn a_grid_has_a_ceiling_and_is_checked_in_time() {
    let text =
        |last: usize| format!("study s {{\n{DATA}{MODEL}  vary seed = 1..={last}\n  vary train.batch = [8, 16]\n}}\n");
    let start = std::time::Instant::now();
    let outcome = run(&MemHost::new(), &text(MOST_VARIANTS / 2), &Overrides::default());
    assert_eq!(codes(&outcome), [Code::W0702]);
    assert_eq!(outcome.checked.unwrap().variants.len(), MOST_VARIANTS);
    let took = start.elapsed();
    assert!(took.as_secs() < 10, "{took:?}");
    let outcome = run(&MemHost::new(), &text(MOST_VARIANTS / 2 + 1), &Overrides::default());
    assert_eq!(codes(&outcome), [Code::E0104]);
    assert!(first(&outcome).message.ends_with("1000 are the most"), "{:?}", told(&outcome));
}

#[test]
fn default_is_as_if_nobody_had_written_it() {
    let plain = good(&format!("study s {{\n{DATA}{MODEL}}}\n"));
    let text = format!(
        "param quick : bool = true\nstudy s {{\n{DATA}{MODEL}  train {{ clip = default\n    stop = if quick then default else early() }}\n}}\n"
    );
    assert_eq!(good(&text).variants[0].study, plain.variants[0].study);
    let varied = good(&format!("study s {{\n{DATA}{MODEL}  vary train.clip = {{ off = default, on = 1.0 }}\n}}\n"));
    let clips: Vec<Option<f64>> = varied.variants.iter().map(|variant| variant.study.train.clip).collect();
    assert_eq!(clips, [None, Some(1.0)]);
    // Of a required setting nothing is left.
    let outcome = run(
        &MemHost::new(),
        &format!("study s {{\n{DATA}{MODEL}  vary data.table = [default, phantoms()]\n}}\n"),
        &Overrides::default(),
    );
    assert!(outcome.checked.is_none());
}

// --------------------------------------------------------------------------------------------- compare

#[test]
fn a_baseline_is_found_however_it_is_named() {
    let with = |baseline: &str| {
        let text = format!(
            "let noisy = 0.5 * focal() + 0.5 * cross_entropy()\nstudy s {{\n{DATA}  vary model.backbone = [resnet18(), resnet34()]\n  \
             vary train.loss = {{ ce = cross_entropy(), noisy = noisy }}\n  compare {{\n    {baseline}\n    correction = none\n  }}\n}}\n"
        );
        good(&text).compare.unwrap()
    };
    for (baseline, name) in [
        ("", "resnet18/ce"),
        ("baseline = \"resnet34/ce\"", "resnet34/ce"),
        ("baseline = { backbone = resnet34, loss = noisy }", "resnet34/noisy"),
        ("baseline = { loss = \"ce\", backbone = resnet34() }", "resnet34/ce"),
        ("baseline = { \"train.loss\" = cross_entropy(), \"model.backbone\" = resnet18 }", "resnet18/ce"),
    ] {
        let compare = with(baseline);
        assert_eq!(compare.baseline, name, "{baseline}");
        assert_eq!(compare.test, CompareTest::PairedBootstrap { draws: 2000 });
        assert_eq!(compare.correction, Correction::None);
    }
    let one = format!(
        "study s {{\n{DATA}{MODEL}  vary train.batch = [8, 16]\n  compare {{ baseline = 16\n    test = paired_bootstrap(500) }}\n}}\n"
    );
    let compare = good(&one).compare.unwrap();
    assert_eq!((compare.baseline.as_str(), compare.test), ("16", CompareTest::PairedBootstrap { draws: 500 }));
    assert_eq!(compare.correction, Correction::Holm);
}

#[test]
fn only_the_same_images_can_be_compared() {
    let with = |vary: &str, split: &str| {
        let text = format!("study s {{\n{DATA}{MODEL}  split {{ {split} }}\n  vary {vary}\n  compare {{ }}\n}}\n");
        codes(&run(&MemHost::new(), &text, &Overrides::default()))
    };
    assert_eq!(with("seed = 1..=2", "cv = stratified_group_kfold(2)"), []);
    assert_eq!(with("seed = 1..=2", "cv = stratified_group_kfold(2)\n holdout = 20%"), [Code::E0706]);
    assert_eq!(with("seed = 1..=2", "cv = stratified_group_kfold(2)\n run = [0]"), [Code::E0706]);
    assert_eq!(with("split.holdout = [0%, 20%]", "cv = stratified_group_kfold(2)"), [Code::E0706]);
    assert_eq!(with("data.classes = [default, [\"clear\", \"nodule\"]]", "").last(), Some(&Code::E0203));
}

// ------------------------------------------------------------------------------------------------- use

fn lab() -> MemHost {
    MemHost::new()
        .with("lab/a.pipe", "pipe \"2026\"\nuse \"b.pipe\" as inner\nuse \"b.pipe\" { mix }\nparam n : int = 4 where 1..=9\nlet twice = n * 2\n")
        .with("lab/b.pipe", "pipe \"2026\"\nparam gamma : float = 2.0\nlet mix = focal(gamma = gamma)\n")
}

#[test]
fn names_come_from_files_and_from_what_those_use() {
    let text = format!(
        "use \"../lab/a.pipe\" as lab\nstudy s {{\n{DATA}{MODEL}  train {{ loss = 0.5 * lab.mix + 0.5 * lab.inner.mix\n    batch = lab.twice }}\n}}\n"
    );
    let (checked, _) = good_with(&lab(), &text, &Overrides::default());
    assert_eq!(checked.variants[0].study.train.batch, 8);
    let set =
        |set: &[&str]| Overrides { set: set.iter().map(|one| (*one).to_owned()).collect(), ..Overrides::default() };
    let (checked, _) = good_with(&lab(), &text, &set(&["lab.n=6", "lab.inner.gamma=1"]));
    assert_eq!(checked.variants[0].study.train.batch, 12);
    assert!(format!("{:?}", checked.variants[0].study.train.loss).matches("gamma: 1.0").count() == 2);
    assert_eq!(codes(&run(&lab(), &text, &set(&["lab.n=60"]))), [Code::E0104]);
    assert_eq!(codes(&run(&lab(), &text, &set(&["n=6"]))), [Code::E0106]);
    // One param under two names is still one.
    let both =
        text.replace("use \"../lab/a.pipe\" as lab\n", "use \"../lab/a.pipe\" as lab\nuse \"../lab/a.pipe\" { n }\n");
    assert_eq!(codes(&run(&lab(), &both, &set(&["lab.n=6", "n=7"]))), [Code::E0105]);
    let (checked, _) = good_with(&lab(), &both, &set(&["n=7"]));
    assert_eq!(checked.variants[0].study.train.batch, 14);
}

#[test]
fn relative_paths_start_where_their_beginning_is_written() {
    let csv = "file,finding,patient\na.png,x,1\nb.png,y,2\nc.png,x,3\nd.png,y,4\n";
    let lab = "pipe \"2026\"\nparam root : path = \"./tables\"\nlet name = \"labels.csv\"\n\
               study base {\n  data { table = csv(\"tables/labels.csv\")\n image = file(`file`, under = root)\n label = `finding`\n group = `patient` }\n\
               split.cv = stratified_group_kfold(2)\n}\n";
    let mut host = MemHost::new().with("lab/base.pipe", lab).with("here/labels.csv", csv).with("w.safetensors", "x");
    for file in ["labels.csv", "a.png", "b.png", "c.png", "d.png"] {
        host = host.with(format!("lab/tables/{file}"), if file == "labels.csv" { csv } else { file });
    }
    let text = format!("use \"../lab/base.pipe\" as lab\nstudy s extends lab.base {{\n{MODEL}}}\n");
    let (checked, _) = good_with(&host, &text, &Overrides::default());
    let path = |checked: &Checked| match &checked.variants[0].study.data.source {
        Source::Csv { path } => path.display().to_string(),
        Source::Folder { .. } | Source::Phantoms { .. } => String::new(),
    };
    assert_eq!(path(&checked), "../lab/tables/labels.csv");
    assert_eq!(checked.variants[0].study.data.image.as_ref().unwrap().under, Path::new("../lab/./tables"));
    // The text begins in the other file, ...
    let text = format!(
        "use \"../lab/base.pipe\" as lab\nstudy s extends lab.base {{\n{MODEL}  data.table = csv(\"${{lab.root}}/labels.csv\") }}\n"
    );
    assert_eq!(path(&good_with(&host, &text, &Overrides::default()).0), "../lab/./tables/labels.csv");
    // ... or here.
    let text = "use \"../lab/base.pipe\" as lab\nstudy s extends lab.base {\n  model { backbone = resnet18(weights = file(\"../w.safetensors\")) }\n  data.table = csv(\"./${lab.name}\") }\n";
    let (checked, _) = good_with(&host, text, &Overrides::default());
    assert_eq!(path(&checked), "./labels.csv");
    assert_eq!(
        checked.variants[0].study.model.weights,
        Weights::File { path: "../w.safetensors".into(), sha256: None }
    );
}

#[test]
fn files_have_limits_that_are_named() {
    let study = format!("study s {{\n{DATA}{MODEL}}}\n");
    let limited = |host: &MemHost, first: &str, limit: usize| {
        let outcome = run(host, &format!("use \"{first}\" as _a\n{study}"), &Overrides::default());
        assert_eq!(codes(&outcome), [Code::E0113], "{:?}", told(&outcome));
        assert!(first_message(&outcome).contains(&limit.to_string()), "{:?}", told(&outcome));
    };
    let mut deep = MemHost::new();
    for at in 0..=DEEPEST_USE {
        let next = format!("pipe \"2026\"\nuse \"{}.pipe\" as _b\n", at + 1);
        deep = deep.with(format!("here/{at}.pipe"), next);
    }
    limited(&deep, "0.pipe", DEEPEST_USE);
    let mut wide = MemHost::new();
    let mut uses = String::from("pipe \"2026\"\n");
    for at in 0..MOST_FILES {
        uses += &format!("use \"{at}.pipe\" as _b{at}\n");
        wide = wide.with(format!("here/{at}.pipe"), "pipe \"2026\"\n");
    }
    limited(&wide.clone().with("here/all.pipe", uses), "all.pipe", MOST_FILES);
    let huge = "#".repeat(pipe::syntax::guard::MOST_BYTES + 1);
    limited(&MemHost::new().with("here/huge.pipe", huge), "huge.pipe", pipe::syntax::guard::MOST_BYTES);
    let mut large = MemHost::new();
    let mut uses = String::from("pipe \"2026\"\n");
    for at in 0..=MOST_BYTES_OF_ALL / pipe::syntax::guard::MOST_BYTES {
        uses += &format!("use \"{at}.pipe\" as _b{at}\n");
        let text = format!("pipe \"2026\"\n#{}", "-".repeat(pipe::syntax::guard::MOST_BYTES - 20));
        large = large.with(format!("here/{at}.pipe"), text);
    }
    limited(&large.with("here/all.pipe", uses), "all.pipe", MOST_BYTES_OF_ALL);
}

fn first_message(outcome: &Outcome) -> String {
    first(outcome).message
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_and_files_that_are_none_are_refused() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let study = format!("study s {{\n{DATA}{MODEL}}}\n");
    symlink("loop.pipe", at("loop.pipe")).unwrap();
    symlink("/dev/zero", at("zero.pipe")).unwrap();
    symlink("same.pipe", at("also.pipe")).unwrap();
    symlink(".", at("down")).unwrap();
    std::fs::write(at("same.pipe"), "pipe \"2026\"\nuse \"s.pipe\" as _up\n").unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(at("fifo.pipe")).status().unwrap();
    assert!(fifo.success());
    for (name, code) in [
        ("loop.pipe", Code::E0113),
        ("zero.pipe", Code::E0113),
        ("fifo.pipe", Code::E0113),
        // The study itself, by other names.
        ("down/down/s.pipe", Code::E0107),
        ("also.pipe", Code::E0107),
    ] {
        std::fs::write(at("s.pipe"), format!("pipe \"2026\"\nuse \"{name}\" as _a\n{study}")).unwrap();
        let outcome = check_file(&RealHost, &at("s.pipe"), &Overrides::default());
        assert_eq!(codes(&outcome), [code], "{name}: {:?}", told(&outcome));
    }
    // Links do not lead out of what the path names, nor to what is no study.
    let lab = tempfile::tempdir().unwrap();
    std::fs::write(lab.path().join("l.pipe"), "pipe \"2026\"\nlet n = 1\n").unwrap();
    std::fs::write(at("secret"), "root:x:0\n").unwrap();
    symlink(lab.path(), at("lab")).unwrap();
    symlink(lab.path().join("l.pipe"), at("out.pipe")).unwrap();
    symlink("secret", at("in.pipe")).unwrap();
    std::fs::create_dir(at("sub")).unwrap();
    symlink("../same.pipe", at("sub/up.pipe")).unwrap();
    for (name, why) in [
        ("lab/l.pipe", Some("leads out of the folder")),
        ("out.pipe", Some("leads out of the folder")),
        ("in.pipe", Some("no .pipe file")),
        ("loop.pipe", Some("cannot be used")),
        ("sub/up.pipe", None),
    ] {
        std::fs::write(at("same.pipe"), "pipe \"2026\"\nparam n : int = 1\n").unwrap();
        std::fs::write(at("s.pipe"), format!("pipe \"2026\"\nuse \"{name}\" as _a\n{study}")).unwrap();
        let outcome = check_file(&RealHost, &at("s.pipe"), &Overrides::default());
        assert_eq!(codes(&outcome).contains(&Code::E0113), why.is_some(), "{name}: {:?}", told(&outcome));
        if let Some(why) = why {
            let problem = first(&outcome);
            assert!(problem.message.contains(why), "{name}: {}", problem.message);
            assert!(!problem.help.unwrap().contains("did you mean"), "{name}");
            assert!(!format!("{:?}", told(&outcome)).contains("root:x"), "{name}");
        }
    }
    // The `..` of a path is its own way out.
    std::fs::write(at("sub/t.pipe"), format!("pipe \"2026\"\nuse \"../same.pipe\" as _a\n{study}")).unwrap();
    let outcome = check_file(&RealHost, &at("sub/t.pipe"), &Overrides::default());
    assert!(!codes(&outcome).contains(&Code::E0113), "{:?}", told(&outcome));
    // One file by two names is one file.
    std::fs::write(at("same.pipe"), "pipe \"2026\"\nparam n : int = 1\n").unwrap();
    let text = format!("pipe \"2026\"\nuse \"same.pipe\" as a\nuse \"also.pipe\" as b\n{study}")
        .replace("  model", "  seed = a.n + b.n\n  model");
    std::fs::write(at("s.pipe"), text).unwrap();
    let set = Overrides { set: vec!["a.n=5".into()], ..Overrides::default() };
    let outcome = check_file(&RealHost, &at("s.pipe"), &set);
    assert_eq!(outcome.checked.unwrap().variants[0].study.seed, 10);
}

// --------------------------------------------------------------------------------------------- extends

#[test]
fn what_the_last_study_says_counts_and_points_at_its_line() {
    let base = format!(
        "pipe \"2026\"\nstudy base {{\n{DATA}  train {{ epochs = 9\n    batch = 24 }}\n  vary seed = 1..=3\n}}\n"
    );
    let host = MemHost::new().with("here/base.pipe", base);
    let text = format!(
        "use \"base.pipe\" {{ base }}\nstudy s extends base {{\n{MODEL}  train.epochs = 2\n  seed = 5\n  vary train.batch = [8, 16]\n}}\n"
    );
    let outcome = run(&host, &text, &Overrides::default());
    assert!(outcome.problems.is_empty(), "{:?}", told(&outcome));
    let checked = outcome.checked.unwrap();
    assert_eq!(names(&checked), ["8", "16"]);
    let variant = &checked.variants[0];
    assert_eq!((variant.study.train.epochs, variant.study.seed, variant.study.train.batch), (2, 5, 8));
    let file = |path: &str| outcome.map.name(variant.places.get(path).unwrap().file).to_owned();
    assert_eq!(file("train.epochs"), "here/s.pipe");
    assert_eq!(file("data.table"), "here/base.pipe");
    // A setting that the base varies goes on varying, in its old place.
    let text =
        format!("use \"base.pipe\" {{ base }}\nstudy s extends base {{\n{MODEL}  vary train.batch = [8, 16]\n}}\n");
    let (checked, _) = good_with(&host, &text, &Overrides::default());
    assert_eq!(names(&checked), ["1/8", "1/16", "2/8", "2/16", "3/8", "3/16"]);
}

#[test]
fn a_chain_has_a_limit_that_is_named() {
    let mut text = format!("study s0 {{\n{DATA}{MODEL}}}\n");
    for at in 1..=DEEPEST_EXTENDS {
        text += &format!("study s{at} extends s{} {{ seed = {at} }}\n", at - 1);
    }
    let picked = |name: String| Overrides { study: Pick::Named(name), ..Overrides::default() };
    let last = format!("s{}", DEEPEST_EXTENDS - 1);
    assert_eq!(good_with(&MemHost::new(), &text, &picked(last)).0.variants[0].study.seed, DEEPEST_EXTENDS as u64 - 1);
    let outcome = run(&MemHost::new(), &text, &picked(format!("s{DEEPEST_EXTENDS}")));
    assert_eq!(codes(&outcome), [Code::E0007]);
    assert!(first_message(&outcome).contains("16"));
}

#[test]
fn one_study_of_several_is_picked() {
    let text = format!(
        "let mix = focal()\nstudy a {{\n{DATA}{MODEL}  train {{ loss = mix }}\n}}\nstudy b {{\n{DATA}{MODEL}  seed = 7\n}}\n"
    );
    let pick = |study| Overrides { study, ..Overrides::default() };
    assert_eq!(codes(&run(&MemHost::new(), &text, &Overrides::default())), [Code::E0112]);
    let (checked, _) = good_with(&MemHost::new(), &text, &pick(Pick::Named("b".into())));
    assert_eq!((checked.name(), checked.variants[0].study.seed), ("b", 7));
    let outcome = run(&MemHost::new(), &text, &pick(Pick::Named("bb".into())));
    assert_eq!(codes(&outcome), [Code::E0112]);
    assert_eq!(outcome.map.slice(first(&outcome).labels[0].span), "bb");
    let outcome = run(&MemHost::new(), &text, &pick(Pick::Every));
    assert!(outcome.problems.is_empty() && outcome.checked.is_none(), "{:?}", told(&outcome));
    // Every one is looked at, and a base may leave to others what must be written.
    let wrong = text.replace("seed = 7", "seed = \"x\"").replace("loss = mix", "epochs = 0");
    assert_eq!(codes(&run(&MemHost::new(), &wrong, &pick(Pick::Every))), [Code::W0108, Code::E0104, Code::E0103]);
    let base = format!("study a {{\n{DATA}}}\nstudy b extends a {{\n{MODEL}}}\n");
    assert!(run(&MemHost::new(), &base, &pick(Pick::Every)).problems.is_empty());
    assert_eq!(codes(&run(&MemHost::new(), &base, &pick(Pick::Named("a".into())))), [Code::E0111]);
}

// -------------------------------------------------------------------------------------------- together

#[test]
fn a_wrong_value_is_told_though_a_branch_not_taken_names_it_first() {
    let text = format!(
        "let bad = 1 / 0\nstudy s {{\n{DATA}{MODEL}  train {{ batch = if true then 8 else bad\n    epochs = bad }}\n}}\n"
    );
    assert_eq!(codes(&run(&MemHost::new(), &text, &Overrides::default())), [Code::E0104]);
}

#[test]
fn numbers_beyond_all_bounds_are_told() {
    for value in ["1e308 * 10", "1e308 + 1e308", "1e308 / 1e-10"] {
        let text = format!("study s {{\n{DATA}{MODEL}  train {{ clip = {value} }}\n}}\n");
        assert_eq!(codes(&run(&MemHost::new(), &text, &Overrides::default())), [Code::E0104], "{value}");
    }
}

#[test]
fn units_are_converted_where_they_measure_the_same() {
    let seed = |condition: &str| {
        let text = format!("study s {{\n{DATA}{MODEL}  seed = if {condition} then 1 else 2\n}}\n");
        good(&text).variants[0].study.seed
    };
    for condition in [
        "4h + 30min == 4.5h",
        "90s - 1min == 30s",
        "1GiB + 512MiB == 1.5GiB",
        "2h / 30min == 4",
        "1 - 20% == 0.8",
        "20% * 30epochs == 6epochs",
        "6epochs / 20% == 30epochs",
        "50% * 50% == 25%",
        "10epochs / 4epochs == 2.5",
        "1d in 23h..25h",
        "[1, 2] + [3] == [1, 2, 3]",
        "{ a = 3, b = 4 }.b == 4",
    ] {
        assert_eq!(seed(condition), 1, "{condition}");
    }
}
