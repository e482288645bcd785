//! `check`: overrides, defaults, and what comes of whole files.

use std::path::Path;

use pipe::catalog::{self, Family, Takes};
use pipe::check::{Checked, Device, Outcome, Overrides, check_file, check_source};
use pipe::diag::Code;
use pipe::host::{MemHost, RealHost};
use pipe::study::{Backbone, EarlyStop, Freeze, Group, KeepEpoch, LossKind, Schedule, Study, Unit, Watch, Weights};

const DATA: &str = "  data { table = phantoms(images = 48, patients = 24, seed = 1) }\n";
const MODEL: &str = "  model { backbone = resnet18() }\n";

fn study_text(top: &str, body: &str) -> String {
    format!("pipe \"2026\"\n{top}study s {{\n{DATA}{MODEL}{body}}}\n")
}

fn run(text: &str, overrides: &Overrides) -> Outcome {
    check_source(&MemHost::new(), "test.pipe", text, Path::new(""), overrides)
}

fn told(outcome: &Outcome) -> Vec<String> {
    outcome.problems.sorted().iter().map(|d| format!("{} {}", d.code.id(), d.message)).collect()
}

fn study(top: &str, body: &str) -> Study {
    let outcome = run(&study_text(top, body), &Overrides::default());
    let told = told(&outcome);
    outcome.checked.map_or_else(|| panic!("{told:?}\n{}", study_text(top, body)), only)
}

/// The study of a file without `vary`.
fn only(checked: Checked) -> Study {
    assert_eq!(checked.variants.len(), 1);
    checked.variants.into_iter().next().unwrap().study
}

/// A file of first weights may note how it wants images normalised, as `pipe weights import` writes it.
#[test]
fn a_weights_file_says_how_images_are_normalised() {
    use pipe::study::Normalize;
    let header = |note: &str| format!("{{\"__metadata__\":{{\"format\":\"pt\",{note}\"a\":\"b\"}}}}");
    let check = |note: &str, written: &str| {
        let mut file = (header(note).len() as u64).to_le_bytes().to_vec();
        file.extend(header(note).bytes());
        let host = MemHost::new().with("w/x.safetensors", file);
        let body = format!("  model {{ backbone = resnet18(weights = file(\"w/x.safetensors\")) }}\n{written}");
        let text = format!("pipe \"2026\"\nstudy s {{\n{DATA}{body}}}\n");
        check_source(&host, "test.pipe", &text, Path::new(""), &Overrides::default())
    };
    let meant = |outcome: Outcome| {
        let told = told(&outcome);
        only(outcome.checked.unwrap_or_else(|| panic!("{told:?}"))).images.normalize
    };
    let card = Backbone::named("resnet18").unwrap().card().input.normalize;
    for (note, expected) in
        [("\"normalize\":\"bytes\",", Normalize::Bytes), ("\"normalize\":\"nonsense\",", card), ("", card)]
    {
        assert_eq!(meant(check(note, "")), expected, "{note}");
    }
    // The hub's `config.json` beside a file without a note.
    let config = "{\"pretrained_cfg\": {\"mean\": [0.5, 0.5, 0.5], \"std\": [0.5, 0.5, 0.5]}}";
    let host = MemHost::new().with("w/x.safetensors", "x").with("w/config.json", config);
    let text = format!(
        "pipe \"2026\"\nstudy s {{\n{DATA}  model {{ backbone = resnet18(weights = file(\"w/x.safetensors\")) }}\n}}\n"
    );
    assert_eq!(meant(check_source(&host, "test.pipe", &text, Path::new(""), &Overrides::default())), Normalize::Half);
    let written = "  images { prepare = [resize(64), normalize(half)] }\n";
    let outcome = check("\"normalize\":\"caffe\",", written);
    assert!(
        told(&outcome).iter().any(|line| line.contains("W0404") && line.contains("normalize(caffe)")),
        "{outcome:?}"
    );
    assert_eq!(meant(outcome), Normalize::Half);
    assert!(!told(&check("", written)).iter().any(|line| line.contains("W0404")));
}

fn codes(text: &str, overrides: &Overrides) -> Vec<Code> {
    run(text, overrides).problems.sorted().iter().map(|d| d.code).collect()
}

fn set(values: &[&str]) -> Overrides {
    Overrides { set: values.iter().map(|one| (*one).to_owned()).collect(), ..Overrides::default() }
}

fn values(text: &str) -> Overrides {
    Overrides { values: Some(("values.yaml".to_owned(), text.to_owned())), ..Overrides::default() }
}

#[test]
fn defaults_are_those_the_catalog_names() {
    let usual = study("", "");
    for block in std::iter::once(&catalog::blocks::STUDY).chain(catalog::blocks::BLOCKS.iter().copied()) {
        // Needs variants; `compose` holds its defaults.
        if block.name == catalog::blocks::COMPARE.name {
            continue;
        }
        for setting in block.settings {
            // Defaults told in words, and the two blocks that every study here has.
            let words = setting.default.contains(' ') && !setting.default.starts_with('[');
            if setting.default.is_empty() || words || matches!(setting.default, "none" | "{}") {
                continue;
            }
            let path = if block.name == "study" {
                setting.name.to_owned()
            } else {
                format!("{}.{}", block.name, setting.name)
            };
            let written = study("", &format!("  {path} = {}\n", setting.default));
            assert_eq!(written, usual, "{path} = {}", setting.default);
        }
    }
}

/// Puts a call of a family where that family belongs.
fn place(family: &Family, example: &str) -> Option<String> {
    let body = match family.one {
        "split" if example.starts_with("kfold") || example.starts_with("stratified_kfold") => return None,
        "split" if example.starts_with("folds_from") => format!("  split.cv = {}\n", example.replace("fold`", "sex`")),
        "split" => format!("  split.cv = {example}\n"),
        "preparing operation" if example.starts_with("normalize") => {
            format!("  images.prepare = [resize(64), {example}]\n")
        }
        "preparing operation" => format!("  images.prepare = [{example}]\n"),
        "augmentation" => format!("  images.augment = [{example}]\n"),
        "head" => format!("  model.head = {example}\n"),
        "way to freeze" => format!("  model.freeze = {example}\n"),
        "loss" => format!("  train.loss = {example}\n"),
        "pool" => format!("  model.head = linear(pool = {example})\n"),
        "fixed operation" => format!("  evaluate.tta = [{example}]\n"),
        "optimizer" => format!("  train.optimizer = {example}\n"),
        "schedule" => format!("  split.validation = 20%\n  train.schedule = {example}\n  train.epochs = 20\n"),
        "sampler" => format!("  train.sampler = {example}\n"),
        "way to stop" => format!("  split.validation = 20%\n  train.stop = {example}\n"),
        "choice of epoch" => format!("  split.validation = 20%\n  train.keep = {example}\n"),
        "metric" => format!("  evaluate.primary = {example}\n  evaluate.metrics = [{example}]\n"),
        "figure" => format!("  split.validation = 20%\n  evaluate.metrics = [{example}]\n"),
        "fixed specificity" => format!("  split.validation = 20%\n  evaluate.metrics = [sensitivity({example})]\n"),
        "fixed sensitivity" => format!("  split.validation = 20%\n  evaluate.metrics = [specificity({example})]\n"),
        "way to make intervals" => format!("  evaluate.intervals = {example}\n"),
        "slice" => format!("  evaluate.slices = [{example}]\n"),
        "unit" => format!("  evaluate.unit = {example}\n"),
        "limit" => format!("  data.limit = {example}\n"),
        "way to read labels" => format!("  data.labels = {example}\n"),
        "group" => format!("  data.group = {example}\n"),
        "data source" | "image source" | "backbone" | "set of weights" | "device" | "test" | "headline"
        | "acceptance" => {
            return None;
        }
        other => panic!("no place for a {other}"),
    };
    Some(body)
}

#[test]
fn every_example_of_the_catalog_is_accepted() {
    let mut tried = 0;
    for family in catalog::FAMILIES {
        for example in family.operations.iter().flat_map(|operation| operation.examples) {
            let Some(body) = place(family, example) else { continue };
            study("", &body);
            tried += 1;
        }
    }
    assert!(tried >= 50, "{tried} examples");
}

#[test]
fn everything_a_parameter_can_be_reaches_the_study() {
    let study = study(
        "let mix = 0.75 * focal(gamma = 1.5, alpha = 1.0, smoothing = 5%) + 0.25 * soft_f1()\n",
        "  split.validation = 10%\n  train { loss = mix\n stop = early(on = macro_f1, patience = 3epochs) }\n  \
         model.freeze = backbone(for = 2epochs)\n",
    );
    let kinds: Vec<_> = study.train.loss.iter().map(|term| (term.weight, term.kind, term.smoothing)).collect();
    assert_eq!(kinds, [(0.75, LossKind::Focal { gamma: 1.5, alpha: 1.0 }, 0.05), (0.25, LossKind::SoftF1, 0.0)]);
    assert_eq!(study.train.stop, Some(EarlyStop { on: Watch::MacroF1, patience: 3 }));
    assert_eq!(study.train.keep, KeepEpoch::Best(Watch::MacroF1));
    assert_eq!(study.model.freeze, Freeze::BackboneFor(2));
    assert_eq!(study.model.weights, Weights::None);
    assert_eq!(study.data.group, Group::Column("patient".to_owned()));
    assert_eq!(study.evaluate.unit, Unit::Patient);
    assert_eq!(study.train.schedule, Schedule::Constant);
    assert_eq!(study.images.side(), 224);
}

#[test]
fn loss_formulas_multiply_out() {
    let weights = |loss: &str| -> Vec<f64> {
        study("param w : float = 0.5\n", &format!("  train.loss = {loss}\n  question = \"${{w}}\"\n"))
            .train
            .loss
            .iter()
            .map(|t| t.weight)
            .collect()
    };
    assert_eq!(weights("w * (focal() + cross_entropy())"), [0.5, 0.5]);
    assert_eq!(weights("(focal() + 3 * cross_entropy()) / 4"), [0.25, 0.75]);
    assert_eq!(weights("25% * focal + 75% * soft_f1"), [0.25, 0.75]);
}

#[test]
fn command_line_sets_params() {
    let text = study_text(
        "param epochs : int = 3 where 1..=20\nparam root : path = \"a\"\nparam quick : bool = false\nparam names : list[text] = [\"a\"]\n",
        "  train.epochs = if quick then 1 else epochs\n  question = \"${root}\"\n  seed = if \"b\" in names then 1 else 2\n",
    );
    let study = only(run(&text, &set(&["epochs=5", "root=../x y=z", "names=[\"b\"]"])).checked.unwrap());
    assert_eq!((study.train.epochs, study.seed), (5, 1));
    // A path that is given outside starts outside, not at the study.
    let outside = std::path::absolute("../x y=z").unwrap();
    assert_eq!(study.question.as_deref(), outside.to_str());
    assert_eq!(only(run(&text, &set(&["quick=true"])).checked.unwrap()).train.epochs, 1);

    assert_eq!(codes(&text, &set(&["epoch=5"])), [Code::E0106]);
    let outcome = run(&text, &set(&["epoch=5"]));
    let sorted = outcome.problems.sorted();
    assert_eq!(sorted[0].help.as_deref(), Some("did you mean `epochs`?"));
    let span = sorted[0].labels[0].span;
    assert_eq!((outcome.map.name(span.file), outcome.map.slice(span)), ("command line", "epoch"));

    assert_eq!(codes(&text, &set(&["epochs=50"])), [Code::E0104]);
    assert_eq!(codes(&text, &set(&["epochs=x"])), [Code::E0103]);
    assert_eq!(codes(&text, &set(&["epochs"])), [Code::E0106]);
    assert_eq!(codes(&text, &set(&["epochs=1", "epochs=2"])), [Code::E0105]);
}

#[test]
fn values_files_set_params() {
    let text = study_text(
        "param epochs : int = 3 where 1..=20\nparam wait : duration = 1epoch\nparam title : text?\n",
        "  train.epochs = epochs\n  train.schedule = cosine(warmup = wait)\n  question = title\n",
    );
    assert_eq!(only(run(&text, &Overrides::default()).checked.unwrap()).question, None);
    let outcome = run(&text, &values("# knobs\nepochs: 7\nwait: 2epochs\ntitle: \"yes: no\"\n"));
    let study = only(outcome.checked.unwrap());
    assert_eq!(study.train.epochs, 7);
    assert_eq!(study.train.schedule, Schedule::Cosine { warmup: 2.0 });
    assert_eq!(study.question.as_deref(), Some("yes: no"));

    let both = Overrides { set: vec!["epochs=9".into()], ..values("epochs: 7\n") };
    assert_eq!(only(run(&text, &both).checked.unwrap()).train.epochs, 9);

    let outcome = run(&text, &values("\nepoch: 7\n"));
    let sorted = outcome.problems.sorted();
    assert_eq!(sorted[0].code, Code::E0106);
    let span = sorted[0].labels[0].span;
    assert_eq!((outcome.map.name(span.file), outcome.map.slice(span)), ("values.yaml", "epoch"));
    assert_eq!(outcome.map.line_column(span.file, span.range().start).line, 2);

    assert_eq!(codes(&text, &values("epochs: 70\n")), [Code::E0104]);
    assert_eq!(codes(&text, &values("epochs: [1\n")), [Code::E0106]);
    assert_eq!(codes(&text, &values("- 1\n")), [Code::E0106]);
    assert!(run(&text, &values("")).problems.is_empty());
}

#[test]
fn run_blocks_stay_outside_of_the_study() {
    let plain = run(&study_text("", ""), &Overrides::default()).checked.unwrap();
    let text = format!(
        "{}run big {{ device = cuda(1)\n threads = 4 }}\nrun small {{ device = cpu }}\nrun any {{ device = vulkan }}\n",
        study_text("", "")
    );
    let with = run(&text, &Overrides::default()).checked.unwrap();
    assert_eq!(only(with.clone()), only(plain));
    assert_eq!(with.run.blocks["big"].device, Device::Cuda(1));
    assert_eq!(with.run.blocks["big"].threads, Some(4));
    assert_eq!(with.run.blocks["small"].device, Device::Cpu);
    assert_eq!(with.run.blocks["any"].device, Device::Vulkan(0));
}

#[test]
fn doubling_ends() {
    let mut top = String::from("let a0 = [1, 1]\n");
    for level in 1..60 {
        top += &format!("let a{level} = [a{0}, a{0}]\n", level - 1);
    }
    let text = study_text(&top, "  seed = if 1 in a59 then 1 else 2\n");
    assert!(codes(&text, &Overrides::default()).contains(&Code::E0007));
    let mut chain = String::new();
    for level in (1..5000).rev() {
        chain += &format!("let b{level} = b{}\n", level - 1);
    }
    chain += "let b0 = 1\n";
    let text = study_text(&chain, "  seed = b4999\n");
    assert!(codes(&text, &Overrides::default()).contains(&Code::E0007));
}

#[test]
fn a_slip_is_told_once() {
    // The misspelt loss says nothing about its weights, the missing table nothing about its columns.
    assert_eq!(codes(&study_text("", "  train.loss = 0.9 * focall()\n"), &Overrides::default()), [Code::E0102]);
    let text = "pipe \"2026\"\nstudy s {\n  data { table = csvv(\"x\") }\n  model { backbone = resnet18() }\n}\n";
    assert_eq!(codes(text, &Overrides::default()), [Code::E0102]);
    assert_eq!(
        codes(&study_text("let x = focall()\n", "  train.loss = x + x\n"), &Overrides::default()),
        [Code::E0102]
    );
}

#[test]
fn weights_files_are_looked_at() {
    let text = |file: &str| {
        format!("pipe \"2026\"\nstudy s {{\n{DATA}  model {{ backbone = resnet18(weights = file(\"{file}\")) }}\n}}\n")
    };
    let host = MemHost::new()
        .with("w.safetensors", vec![0_u8; 16])
        .with("zip.weights", b"PK\x03\x04....".to_vec())
        .with("old.weights", vec![0x80, 2, 0x8a])
        .with("else.weights", b"hello".to_vec());
    let codes = |file: &str| -> Vec<Code> {
        let outcome = check_source(&host, "t.pipe", &text(file), Path::new(""), &Overrides::default());
        outcome.problems.sorted().iter().map(|d| d.code).collect()
    };
    assert!(codes("w.safetensors").is_empty());
    assert_eq!(codes("zip.weights"), [Code::E0902]);
    assert_eq!(codes("old.weights"), [Code::E0902]);
    assert_eq!(codes("x.pt"), [Code::E0902]);
    assert_eq!(codes("else.weights"), [Code::E0402]);
    assert_eq!(codes("gone.safetensors"), [Code::E0402]);
}

#[test]
fn what_ships_is_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut checked = 0;
    for folder in ["examples", "tests/corpus/good"] {
        let mut files: Vec<_> =
            std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "pipe")) {
            let study = crate::corpus::picked(&std::fs::read_to_string(file).unwrap());
            let outcome = check_file(&RealHost, file, &Overrides { study, ..Overrides::default() });
            assert!(outcome.checked.is_some() && told(&outcome).is_empty(), "{}: {:?}", file.display(), told(&outcome));
            checked += 1;
        }
    }
    assert!(checked >= 10);
    let quick = check_file(&RealHost, &root.join("pipelines/quickstart.pipe"), &Overrides::default());
    assert!(quick.checked.is_some() && told(&quick).is_empty(), "{:?}", told(&quick));
}

/// A table of `patients` patients with an image of each class, and its images.
fn small_table(
    host: MemHost,
    table: &str,
    images: &str,
    header: &str,
    row: impl Fn(usize, usize) -> (String, String),
) -> MemHost {
    let (mut text, mut host) = (format!("{header}\n"), host);
    for patient in 0..24 {
        for class in 0..3 {
            let (name, line) = row(patient, class);
            text += &format!("{line}\n");
            host = host.with(format!("{images}/{name}"), format!("pixels of {patient} {class}").into_bytes());
        }
    }
    host.with(table, text.into_bytes())
}

#[test]
fn shipped_pipelines_are_accepted_with_the_tables_they_are_made_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let host = small_table(
        MemHost::new(),
        "/nih/Data_Entry_2017.csv",
        "/nih/images",
        "Image Index,Finding Labels,Follow-up #,Patient ID",
        |p, c| {
            let finding = ["No Finding", "Effusion", "Mass"][c];
            (format!("{p:08}_{c:03}.png"), format!("{p:08}_{c:03}.png,{finding},{c},{p}"))
        },
    );
    let nih = check_source(&host, "nih.pipe", &read("nih_resnet18.pipe"), Path::new(""), &set(&["root=/nih"]));
    assert!(nih.checked.is_some() && told(&nih).is_empty(), "{:?}", told(&nih));
    assert_eq!(nih.datasets[0].classes, ["Effusion", "Mass", "No Finding"]);
    let nih = only(nih.checked.unwrap());
    assert_eq!((nih.images.side(), nih.split.cv.folds, nih.model.freeze), (256, 5, Freeze::First(0.1)));

    let host = small_table(MemHost::new(), "/cxr/labels.csv", "/cxr", "image,label,patient", |p, c| {
        let label = ["bacteria", "normal", "virus"][c];
        (format!("images/{p}_{c}.jpg"), format!("images/{p}_{c}.jpg,{label},{p}"))
    });
    let cxr = check_source(&host, "cxr.pipe", &read("chest_xray.pipe"), Path::new(""), &set(&["root=/cxr"]));
    assert!(cxr.checked.is_some() && told(&cxr).is_empty(), "{:?}", told(&cxr));
    let weights: Vec<f64> = only(cxr.checked.unwrap()).train.loss.iter().map(|term| term.weight).collect();
    assert_eq!(weights, [0.6, 0.4]);

    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cxr_kermany");
    if shared.is_dir() {
        let set = set(&[&format!("root={}", shared.display())]);
        let real = check_file(&RealHost, &root.join("chest_xray.pipe"), &set);
        assert!(real.checked.is_some(), "{:?}", told(&real));
        assert_eq!(real.datasets[0].images.len(), 999);
    } else {
        println!("skipped: ../shared is not here");
    }
}

#[test]
fn a_table_without_group_gets_its_own_column_offered() {
    let host = MemHost::new().with("t.csv", "image,label,Patient Age,Patient ID\na.png,x,3,1\n".as_bytes().to_vec());
    let text = "pipe \"2026\"\nstudy s {\n  data { table = csv(\"t.csv\")\n image = file(`image`)\n label = `label` }\n                  model { backbone = resnet18() }\n}\n";
    let outcome = check_source(&host, "t.pipe", text, Path::new(""), &Overrides::default());
    let sorted = outcome.problems.sorted();
    let missing = sorted.iter().find(|d| d.code == Code::E0301).unwrap();
    let help = missing.help.as_deref().unwrap();
    assert!(help.starts_with("add  group = `Patient ID`  (1 patient, 1.0 images each on average)\n"), "{help}");
}

#[test]
fn every_bad_program_is_refused_for_its_own_reason_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bad");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "pipe")) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let code = Code::parse(name.get(..5).unwrap_or("")).unwrap_or_else(|| panic!("{name} begins with no code"));
        let text = std::fs::read_to_string(file).unwrap();
        let study = crate::corpus::picked(&text);
        let outcome = check_file(&RealHost, file, &Overrides { study, ..Overrides::default() });
        // A file of several mistakes announces them; `corpus` holds it to that.
        let announced = |code: Code| {
            let marks = ["# error: ", "# warning: ", "# elsewhere: "];
            text.lines().any(|line| marks.iter().any(|mark| line.contains(mark)) && line.contains(code.id()))
        };
        let own =
            outcome.problems.sorted().iter().all(|d| d.code == code || announced(d.code)) && outcome.problems.has(code);
        if !own || std::env::var_os("PIPE_SHOW_PROBLEMS").is_some() {
            let list: Vec<String> = outcome
                .problems
                .sorted()
                .iter()
                .map(|d| {
                    let at = d.labels.first().map(|l| outcome.map.line_column(l.span.file, l.span.range().start));
                    format!("{} {:?} {} | {:?}", d.code.id(), at.map(|a| a.line), d.message, d.help)
                })
                .collect();
            wrong.push(format!("{}{name}\n    {}", if own { "  " } else { "! " }, list.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words that mutants are made of, beside pieces of the file itself.
const SCRAPS: &[&str] = &[
    "-1",
    "1e308",
    "9223372036854775807",
    "0",
    "20%",
    "5epochs",
    "4h",
    "`x`",
    "\"${a}\"",
    "none",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "=",
    "..",
    "*",
    "/",
    "if true then",
    "else",
    "not",
    "in",
    "let a =",
    "param a : list[int]? =",
    "kl()",
    "\n",
    "\u{e9}",
    "1 / 0",
];

#[test]
fn mutated_pipelines_are_all_answered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts: Vec<String> = [
        "pipelines/quickstart.pipe",
        "pipelines/nih_resnet18.pipe",
        "examples/augmentation.pipe",
        "tests/corpus/good/every_setting.pipe",
    ]
    .iter()
    .map(|name| std::fs::read_to_string(root.join(name)).unwrap())
    .collect();
    let many: u64 = std::env::var("PIPE_MUTANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(800);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    let mut refused = 0;
    for _ in 0..many {
        let mut words: Vec<&str> = texts[draw(texts.len())].split_inclusive([' ', '\n', '(', ',']).collect();
        for _ in 0..=draw(3) {
            let at = draw(words.len());
            match draw(4) {
                0 => drop(words.remove(at)),
                1 => words.insert(at, SCRAPS[draw(SCRAPS.len())]),
                2 => words[at] = SCRAPS[draw(SCRAPS.len())],
                _ => {
                    let other = words[draw(words.len())];
                    words[at] = other;
                }
            }
        }
        let text = words.concat();
        let outcome = std::panic::catch_unwind(|| run(&text, &Overrides::default()));
        let outcome = outcome.unwrap_or_else(|_| panic!("this file panics:\n{text}"));
        assert_eq!(outcome.checked.is_none(), outcome.problems.has_errors(), "{text}");
        refused += u64::from(outcome.checked.is_none());
    }
    assert!(refused > many / 4, "{refused} of {many} refused: the mutants are too mild");
}

#[test]
fn every_kind_of_slot_is_used() {
    // A new kind of slot must get an example here, else `take` would never be tried with it.
    let mut kinds = std::collections::BTreeSet::new();
    let mut note = |takes: &Takes| {
        kinds.insert(match takes {
            Takes::Whole { .. } => "whole",
            Takes::Number { .. } => "number",
            Takes::Share { .. } => "share",
            Takes::Epochs { .. } => "epochs",
            Takes::Degrees { .. } => "degrees",
            Takes::Flag => "flag",
            Takes::Text => "text",
            Takes::Path => "path",
            Takes::Column => "column",
            Takes::Word(_) => "word",
            Takes::Operation(_) => "operation",
            Takes::Operations(_) => "operations",
            Takes::Formula(_) => "formula",
            Takes::Shaped(_) => "shaped",
        });
    };
    for family in catalog::FAMILIES {
        family.operations.iter().flat_map(|o| o.parameters).for_each(|parameter| note(&parameter.takes));
    }
    for block in catalog::blocks::BLOCKS {
        block.settings.iter().for_each(|setting| note(&setting.takes));
    }
    assert_eq!(kinds.len(), 14);
}
