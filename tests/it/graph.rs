//! The graph of work: which key changes with what, and which does not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe::check::{Overrides, check_source};
use pipe::data::Dataset;
use pipe::graph::{self, Inputs, Key, NodeId, Part, Work};
use pipe::host::MemHost;
use pipe::plan::{Action, Options, Plan, plan};
use pipe::store::Store;
use pipe::study::{Model, Weights};

type Keys = BTreeMap<Work, Key>;

const BASE: &str = "pipe \"2026\"

study base {
  data { table = phantoms(images = 48, patients = 24, seed = 1) }
  split { cv = stratified_group_kfold(2) }
  images { prepare = [grayscale(), resize(32), normalize(train)] }
  model { backbone = resnet18() }
  train {
    optimizer = adam(lr = 1e-3)
    epochs = 2
  }
}
";

fn planned_at(host: &MemHost, text: &str, base: &str) -> Plan {
    let outcome = check_source(host, "t.pipe", text, Path::new(base), &Overrides::default());
    let told: Vec<String> =
        outcome.problems.sorted().iter().map(|d| format!("{} {}", d.code.id(), d.message)).collect();
    let Some(checked) = outcome.checked else { panic!("{told:?}\n{text}") };
    // As if weights lay beside the program; what is in them does not matter to a graph.
    let digest = |model: &Model| (model.weights != Weights::None).then(|| format!("{:?}", model.backbone));
    let weights = checked.variants.iter().map(|variant| digest(&variant.study.model)).collect();
    plan(&checked, outcome.datasets, host, None, &Options { weights, ..Options::default() }).unwrap()
}

fn planned(text: &str) -> Plan {
    planned_at(&MemHost::new(), text, "")
}

fn keys(plan: &Plan) -> Keys {
    plan.dag.nodes().map(|(_, node)| (node.work, node.key.clone())).collect()
}

/// The work whose key is not what it was.
fn changed(before: &Keys, after: &Keys) -> BTreeSet<Work> {
    let all: BTreeSet<Work> = before.keys().chain(after.keys()).copied().collect();
    all.into_iter().filter(|work| before.get(work) != after.get(work)).collect()
}

const TRAIN: [Work; 2] = [Work::Train(0), Work::Train(1)];
const AFTER_TRAINING: [Work; 5] = [Work::Predict(0), Work::Predict(1), Work::OutOfFold, Work::Evaluate, Work::Report];

fn set(parts: &[&[Work]]) -> BTreeSet<Work> {
    parts.iter().flat_map(|part| part.iter().copied()).collect()
}

/// What a replacement in [`BASE`] changes.
fn effect(from: &str, to: &str) -> BTreeSet<Work> {
    assert!(BASE.contains(from), "{from}");
    changed(&keys(&planned(BASE)), &keys(&planned(&BASE.replace(from, to))))
}

#[test]
fn every_key_is_that_of_its_content() {
    let trained = set(&[&TRAIN, &AFTER_TRAINING]);
    let prepared = set(&[&[Work::Prepare], &TRAIN, &AFTER_TRAINING]);
    let dealt = set(&[&[Work::Split], &TRAIN, &AFTER_TRAINING]);
    let selected = set(&[&[Work::SelectRows, Work::Split], &TRAIN, &AFTER_TRAINING]);
    let drawn =
        set(&[&[Work::ReadTable, Work::SelectRows, Work::Split], &prepared.iter().copied().collect::<Vec<_>>()]);
    let cases: [(&str, &str, &BTreeSet<Work>); 16] = [
        ("lr = 1e-3", "lr = 2e-3", &trained),
        ("epochs = 2", "epochs = 3", &trained),
        ("epochs = 2", "epochs = 2\n    loss = focal()", &trained),
        ("epochs = 2", "epochs = 2\n    batch = 8", &trained),
        ("epochs = 2", "epochs = 2\n    precision = bf16", &trained),
        ("normalize(train)", "normalize(half)", &trained),
        ("normalize(train)]", "normalize(train)]\n    augment = [flip(horizontal, p = 0.5)]", &trained),
        ("resnet18()", "resnet34()", &trained),
        ("resnet18()", "resnet18()\n    head = linear(dropout = 0.5)", &trained),
        ("resize(32)", "resize(40)", &prepared),
        ("resize(32)", "resize(32, filter = nearest)", &prepared),
        ("grayscale(), resize(32)", "grayscale(), resize(32), clahe(clip = 2.0, tiles = 4)", &prepared),
        ("kfold(2)", "kfold(2)\n    holdout = 20%", &dealt),
        ("kfold(2)", "kfold(2)\n    validation = 20%", &dealt),
        ("data {", "seed = 7\n  data {", &selected),
        ("seed = 1", "seed = 2", &drawn),
    ];
    for (from, to, expected) in cases {
        assert_eq!(effect(from, to), *expected, "{from} -> {to}");
    }
}

#[test]
fn what_only_the_report_shows_trains_nothing_again() {
    assert_eq!(effect("study base", "study other"), set(&[&[Work::Report]]));
    assert_eq!(effect("data {", "question = \"Which?\"\n  data {"), set(&[&[Work::Report]]));
    let judged = effect("model {", "evaluate { primary = balanced_accuracy }\n  model {");
    assert_eq!(judged, set(&[&[Work::Evaluate, Work::Report]]));
}

#[test]
fn words_layout_defaults_and_places_change_nothing() {
    let before = keys(&planned(BASE));
    let commented = BASE.replace('\n', "   # a remark\n\n");
    let settings = BASE.replace("epochs = 2", "epochs = rounds").replace("study", "param rounds : int = 2\n\nstudy");
    let defaults = BASE.replace("resnet18()", "resnet18(weights = none)").replace("data {", "seed = 42\n  data {");
    let defaults = defaults.replace("epochs = 2", "epochs = 2\n    precision = f32");
    let run = |device: &str| format!("{BASE}\nrun here {{ device = {device}\n  threads = 1 }}\n");
    let places = ["auto", "cpu", "cuda", "cuda(1)", "vulkan", "vulkan(1)"].map(run);
    for text in [commented, settings, defaults].into_iter().chain(places) {
        assert_eq!(changed(&before, &keys(&planned(&text))), BTreeSet::new(), "{text}");
    }
}

#[test]
fn a_study_put_together_has_the_keys_of_the_one_written_out() {
    let base = BASE.replace("  model { backbone = resnet18() }\n", "");
    let base =
        base.replace("adam(lr = 1e-3)", "sgd()").replace("study base", "let side = 32\nparam n : int = 2\nstudy base");
    let base = base.replace("resize(32)", "resize(side)").replace("epochs = 2", "epochs = n\n    clip = 3.0");
    let host = MemHost::new().with("lab/base.pipe", format!("{base}\nrun there {{ device = cuda(3) }}\n"));
    let text = "pipe \"2026\"\nuse \"../lab/base.pipe\" as lab\nstudy base extends lab.base {\n  \
                model.backbone = if lab.n == 2 then resnet18() else resnet34()\n  \
                train { optimizer = adam(lr = 1e-3)\n    clip = default }\n}\nrun here { threads = 1 }\n";
    assert_eq!(keys(&planned_at(&host, text, "here")), keys(&planned(BASE)));
    // A variant is the study with its choices written out.
    let varied =
        BASE.replace("epochs = 2", "vary epochs = [2, 3]").replace("study base {", "study base {\n  vary seed = [42]");
    let varied = planned(&varied);
    let first: Keys = varied.dag.of(0).map(|(_, node)| (node.work, node.key.clone())).collect();
    assert_eq!(first, keys(&planned(BASE)));
}

#[test]
fn the_order_of_classes_decodes_nothing_again() {
    let with = |classes: &str| {
        let text = BASE.replace("seed = 1) }", &format!("seed = 1)\n    classes = [{classes}] }}"));
        keys(&planned(&text))
    };
    let sorted = with(r#""cardiomegaly", "effusion", "nodule", "normal""#);
    let turned = with(r#""normal", "nodule", "effusion", "cardiomegaly""#);
    assert_eq!(changed(&sorted, &turned), set(&[&[Work::SelectRows, Work::Split], &TRAIN, &AFTER_TRAINING]));
    // Naming the classes that are there anyway trains nothing again either.
    let unnamed = changed(&sorted, &keys(&planned(BASE)));
    assert!(unnamed.is_disjoint(&set(&[&[Work::Prepare], &TRAIN])), "{unnamed:?}");
}

#[test]
fn one_fold_alone_is_the_same_fold() {
    let all = keys(&planned(BASE));
    let one = keys(&planned(&BASE.replace("kfold(2)", "kfold(2)\n    run = [1]")));
    assert_eq!(
        changed(&all, &one),
        set(&[&[Work::Train(0), Work::Predict(0), Work::OutOfFold, Work::Evaluate, Work::Report]])
    );
}

const TABLE: &str = "pipe \"2026\"
study table {
  data {
    table = csv(\"t.csv\")
    image = file(`image`, under = \"pixels\")
    label = `label`
    group = `patient`
  }
  split { cv = folds_from(`fold`) }
  images { prepare = [resize(32), normalize(half)] }
  model { backbone = resnet18() }
}
";

/// Twelve patients with an image each, in two given folds; the files hold their own names.
fn table(header: &str, row: impl Fn(usize, &str, usize) -> String) -> String {
    let mut text = format!("{header}\n");
    for patient in 0..12 {
        text += &format!("{}\n", row(patient, ["a", "b"][patient / 2 % 2], patient % 2));
    }
    text
}

fn files(base: &str, table: &str) -> MemHost {
    let join = |name: &str| Path::new(base).join(name);
    (0..12).fold(MemHost::new().with(join("t.csv"), table), |host, patient| {
        host.with(join(&format!("pixels/{patient}.png")), format!("pixels of {patient}"))
    })
}

fn plain(patient: usize, label: &str, fold: usize) -> String {
    format!("{patient}.png,{label},p{patient},{fold}")
}

const HEADER: &str = "image,label,patient,fold";

#[test]
fn of_a_table_only_what_is_used_counts() {
    let plain = table(HEADER, plain);
    let before = keys(&planned_at(&files("", &plain), TABLE, ""));
    let moved = keys(&planned_at(&files("far/away", &plain), TABLE, "far/away"));
    assert_eq!(changed(&before, &moved), BTreeSet::new());

    // Another column is another table, but the same images, folds and trainings.
    let wider = table("image,label,patient,fold,age", |p, l, f| format!("{},{p}", self::plain(p, l, f)));
    let widened = changed(&before, &keys(&planned_at(&files("", &wider), TABLE, "")));
    assert_eq!(
        widened,
        set(&[&[Work::ReadTable, Work::SelectRows, Work::Split, Work::OutOfFold, Work::Evaluate, Work::Report]])
    );

    // Patient 0 is scored in fold 0 and learned from in fold 1: a mended label trains only the latter again.
    let mended = table(HEADER, |p, l, f| self::plain(p, if p == 0 { "b" } else { l }, f));
    let retrained = changed(&before, &keys(&planned_at(&files("", &mended), TABLE, "")));
    assert!(retrained.contains(&Work::Train(1)) && !retrained.contains(&Work::Train(0)), "{retrained:?}");
    assert!(!retrained.contains(&Work::Prepare), "{retrained:?}");

    let other_pixels = files("", &plain).with("pixels/3.png", "other pixels");
    let redone = changed(&before, &keys(&planned_at(&other_pixels, TABLE, "")));
    assert_eq!(redone, set(&[&[Work::Prepare], &TRAIN, &AFTER_TRAINING]));
}

#[test]
fn the_bytes_of_first_weights_count_not_their_name() {
    use pipe::study::Weights::{File, Imagenet, None as Nothing};
    let file = |path: &str| File { path: path.into(), sha256: None };

    let plan = planned(&BASE.replace("normalize(train)", "normalize(imagenet)"));
    let variant = &plan.variants[0];
    let with = |weights: pipe::study::Weights, sha256: Option<&str>| -> Keys {
        let mut study = variant.study.clone();
        study.model.weights = weights;
        let inputs = Inputs { weights: sha256.map(str::to_owned), ..inputs(&variant.dataset) };
        let part = Part { name: "", study: &study, inputs: &inputs, folds: &variant.folds, trained: &variant.trained };
        let dag = graph::build(&[part], &serde_json::Value::Null);
        dag.nodes().map(|(_, node)| (node.work, node.key.clone())).collect()
    };
    let imagenet = with(Imagenet, Some("12ab"));
    assert_eq!(changed(&imagenet, &with(file("x.safetensors"), Some("12ab"))), BTreeSet::new());
    let trained = set(&[&TRAIN, &AFTER_TRAINING]);
    assert_eq!(changed(&imagenet, &with(Imagenet, Some("12ac"))), trained);
    assert_eq!(changed(&imagenet, &with(Nothing, None)), trained);
}

fn inputs(dataset: &Dataset) -> Inputs {
    Inputs {
        table: None,
        images: dataset.images.iter().map(|image| Key::of(image.name.as_bytes())).collect(),
        labels: dataset.images.iter().map(|image| image.label).collect(),
        classes: dataset.classes.clone(),
        weights: None,
    }
}

#[test]
fn equal_work_is_one_node() {
    let plan = planned(BASE);
    let variant = &plan.variants[0];
    let inputs = inputs(&variant.dataset);
    let part = |name| Part { name, study: &variant.study, inputs: &inputs, folds: &variant.folds, trained: &[0] };
    let once = graph::build(&[part("")], &serde_json::Value::Null);
    let twice = graph::build(&[part("a"), part("b")], &serde_json::Value::Null);
    assert_eq!(once.find(0, Work::Train(0)).map(|node| node.variants.clone()), Some(vec![0]));
    assert_eq!(twice.find(1, Work::Train(0)).map(|node| node.variants.clone()), Some(vec![0, 1]));
    // Two variants that are the same in everything need only be compared.
    assert_eq!(twice.nodes().count(), once.nodes().count() + 1);
    let keys: BTreeSet<&Key> = twice.nodes().map(|(_, node)| &node.key).collect();
    assert_eq!(keys.len(), twice.nodes().count());
    // Folds share their images.
    let (prepare, _) = plan.dag.nodes().find(|(_, node)| node.work == Work::Prepare).unwrap();
    assert_eq!(plan.dag.fan_out(prepare), 4);
}

/// How many nodes of each kind there are, folds taken together.
fn kinds(plan: &Plan) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for (_, node) in plan.dag.nodes() {
        let title = node.work.title();
        let kind = title.split(" fold ").next().unwrap_or_default().to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

const GRID: &str = "pipe \"2026\"

study grid {
  data { table = phantoms(images = 48, patients = 24, seed = 1) }
  split { cv = stratified_group_kfold(3) }
  images { prepare = [grayscale(), resize(32), normalize(imagenet)] }
  model { freeze = all }
  train { epochs = 2 }
  vary model.backbone = [resnet18(weights = imagenet), resnet34(weights = imagenet)]
  vary train.loss = { ce = cross_entropy(), focal = focal() }
  compare { baseline = { backbone = resnet18, loss = ce } }
}
";

#[test]
fn features_of_a_frozen_backbone_go_by_what_it_computes_in() {
    let half = planned(&GRID.replace("epochs = 2", "epochs = 2\n    precision = bf16"));
    let key = |plan: &Plan, work| plan.dag.find(0, work).unwrap().key.clone();
    let whole = planned(GRID);
    assert_ne!(key(&half, Work::Features), key(&whole, Work::Features));
    assert_ne!(key(&half, Work::Train(0)), key(&whole, Work::Train(0)));
    assert_eq!(key(&half, Work::Prepare), key(&whole, Work::Prepare));
}

#[test]
fn a_grid_shares_what_its_variants_have_in_common() {
    let plan = planned(GRID);
    let names: Vec<&str> = plan.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(names, ["resnet18/ce", "resnet18/focal", "resnet34/ce", "resnet34/focal"]);
    let expected = [
        ("read table", 1),
        ("select rows", 1),
        ("split patients", 1),
        ("decode and prepare", 1),
        ("frozen features", 2),
        ("train", 12),
        ("predict", 12),
        ("out-of-fold table", 4),
        ("evaluate", 4),
        ("report", 4),
        ("compare variants", 1),
    ];
    assert_eq!(kinds(&plan), counts(&expected));
    assert_eq!(plan.dag.find(3, Work::Prepare).unwrap().variants, [0, 1, 2, 3]);
    assert_eq!(plan.dag.find(1, Work::Features).unwrap().variants, [0, 1]);
    assert_eq!(plan.dag.find(1, Work::Train(2)).unwrap().variants, [1]);
    assert_eq!(plan.dag.key(), plan.dag.nodes().last().map(|(_, node)| &node.key));

    // Each variant alone is the same work, to the key: a grid reuses what was run without it, and the other way round.
    for (index, (backbone, loss)) in
        [("resnet18", "cross_entropy"), ("resnet18", "focal"), ("resnet34", "cross_entropy"), ("resnet34", "focal")]
            .into_iter()
            .enumerate()
    {
        let alone: String = GRID
            .replace("freeze = all", &format!("freeze = all\n    backbone = {backbone}(weights = imagenet)"))
            .replace("epochs = 2", &format!("epochs = 2\n    loss = {loss}()"))
            .lines()
            .filter(|line| !line.contains("vary") && !line.contains("compare"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let alone = planned(&alone);
        let in_grid: Keys = plan.dag.of(index).map(|(_, node)| (node.work, node.key.clone())).collect();
        assert_eq!(keys(&alone), in_grid, "{backbone} {loss}");
    }
}

#[test]
fn what_varies_late_shares_the_trainings() {
    let judged = "vary evaluate.primary = [macro_f1, accuracy]";
    let text: String = GRID
        .replace("vary train.loss = { ce = cross_entropy(), focal = focal() }", judged)
        .lines()
        .filter(|line| !line.contains("compare"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let kinds = kinds(&planned(&text));
    assert_eq!((kinds["train"], kinds["predict"], kinds["evaluate"], kinds["report"]), (6, 6, 4, 4));

    let epochs = "vary images.prepare = [[grayscale(), resize(32)], [grayscale(), resize(40)]]";
    let kinds = self::kinds(&planned(
        &BASE
            .replace("train {", &format!("{epochs}\n  train {{"))
            .replace("  images { prepare = [grayscale(), resize(32), normalize(train)] }\n", ""),
    ));
    assert_eq!(
        (kinds["select rows"], kinds["split patients"], kinds["decode and prepare"], kinds["train"]),
        (1, 1, 2, 4)
    );
}

#[test]
fn a_plan_says_what_a_grid_shares() {
    let text = planned(GRID).to_text();
    for line in [
        "  grid       2 backbones x 2 losses = 4 variants x 3 folds = 12 trainings\n",
        "  shared     decode and prepare   once, not 12 times\n",
        "             frozen features      2 times, not 12\n",
        "  to do      12 trainings\n",
        "(all 4 variants)",
        "(resnet18/ce, resnet18/focal)",
        "(resnet34/focal)",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(
        text.matches("stratified_group_kfold(3, shuffle = true): images / patients").count(),
        1,
        "one deal, told once\n{text}"
    );
    // Nothing of this is said where nothing varies.
    assert!(!planned(BASE).to_text().contains("grid "));
}

#[test]
fn nodes_stand_after_what_they_need() {
    let plan = planned(&BASE.replace("kfold(2)", "kfold(4)\n    holdout = 20%"));
    let ids: Vec<NodeId> = plan.dag.nodes().map(|(id, _)| id).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids.len(), 4 + 2 * 4 + 3);
    let work: BTreeMap<NodeId, Work> = plan.dag.nodes().map(|(id, node)| (id, node.work)).collect();
    for id in &ids {
        let needs = plan.dag.inputs(*id);
        assert!(needs.iter().all(|input| input < id), "{id:?} needs {needs:?}");
        assert_eq!(needs.is_empty(), work[id] == Work::ReadTable, "{:?}", work[id]);
        if let Work::Predict(fold) = work[id] {
            let needs: Vec<Work> = needs.iter().map(|input| work[input]).collect();
            assert_eq!(needs, [Work::Prepare, Work::Train(fold)]);
        }
    }
    let again = planned(&BASE.replace("kfold(2)", "kfold(4)\n    holdout = 20%"));
    assert_eq!(plan.dag.to_text(), again.dag.to_text());
}

#[test]
fn without_a_store_everything_that_is_kept_is_to_be_done() {
    let plan = planned(BASE);
    for step in plan.steps.iter().zip(plan.dag.nodes()).map(|(step, (_, node))| (step, node.work)) {
        let expected = if step.1.is_stored() { Action::Run } else { Action::Recompute };
        assert_eq!(step.0.action, expected, "{:?}", step.1);
    }
    assert_eq!(plan.action(0, Work::Train(1)), Some(&Action::Run));
    assert_eq!(plan.action(0, Work::Train(2)), None);
}

#[test]
fn all_three_drawings_show_every_node_and_every_edge() {
    let plan = planned(BASE);
    let nodes = plan.dag.nodes().count();
    let edges: usize = plan.dag.nodes().map(|(id, _)| plan.dag.inputs(id).len()).sum();
    let (text, dot, mermaid) = (plan.dag.to_text(), plan.dag.to_dot(), plan.dag.to_mermaid());
    assert_eq!(text.lines().count(), nodes);
    assert_eq!(dot.lines().filter(|line| line.contains("[label = ")).count(), nodes);
    assert_eq!(dot.matches(" -> ").count(), edges);
    assert_eq!(mermaid.matches("[\"").count(), nodes);
    assert_eq!(mermaid.matches(" --> ").count(), edges);
    for (_, node) in plan.dag.nodes() {
        for drawing in [&text, &dot, &mermaid] {
            assert!(drawing.contains(&node.work.title()), "{}\n{drawing}", node.work.title());
        }
        assert!(text.contains(node.key.short()) && dot.contains(node.key.short()));
    }
}

#[test]
fn keys_are_read_back_and_nothing_else_is() {
    let key = Key::of(b"x");
    assert_eq!(Key::parse(key.as_str()), Some(key.clone()));
    assert!(key.as_str().starts_with(key.short()) && key.short().len() == 8);
    for wrong in ["", "12ab", &"g".repeat(64), &"a".repeat(65), "../../../../etc"] {
        assert_eq!(Key::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn why_names_the_settings_that_differ_from_the_nearest_step_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let alone = planned(BASE).why("train fold 0", Some(&store)).unwrap();
    assert!(alone.contains("no other step of its kind"), "{alone}");
    // What runs of the study as it is, and of one with another seed, would leave.
    for text in [BASE.to_owned(), BASE.replace("study base {", "study base {\n  seed = 11")] {
        for (_, node) in planned(&text).dag.nodes().filter(|(_, node)| node.work.is_stored()) {
            let mut draft = store.draft(&node.key).unwrap();
            draft.explain(&node.parts).unwrap();
            draft.commit().unwrap();
        }
    }
    let mended = planned(&BASE.replace("epochs = 2", "epochs = 3"));
    let why = mended.why("train fold 1", Some(&store)).unwrap();
    let nearest = keys(&planned(BASE))[&Work::Train(1)].short().to_owned();
    assert!(why.contains(&format!("the nearest in the store is {nearest}")), "{why}");
    assert!(why.ends_with("           train.epochs: 3, there 2\n"), "{why}");
    assert_eq!(why.lines().count(), 3, "{why}");
    let after = mended.why("PREDICT FOLD 1", Some(&store)).unwrap();
    assert!(after.ends_with("           its input, train fold 1\n"), "{after}");
    assert_eq!(mended.why("bake", Some(&store)), None);

    // Damage is not believed: with the nearest gone, that of the other seed or fold is the nearest.
    let (train, parts) = (Work::Train(1), "parts.json");
    let kept = store.root().join("nodes").join(keys(&planned(BASE))[&train].as_str()).join(parts);
    std::fs::write(&kept, std::fs::read_to_string(&kept).unwrap().replace("\"2\"", "\"9\"")).unwrap();
    let why = mended.why("train fold 1", Some(&store)).unwrap();
    assert!(!why.contains(&nearest) && why.contains("train.epochs: 3, there 2") && why.lines().count() > 3, "{why}");
}

#[test]
fn why_not_shared_names_every_reason_and_goes_with_the_graph() {
    let shared = GRID.replace("  vary train.loss = { ce = cross_entropy(), focal = focal() }\n", "");
    let shared = shared.replace(", loss = ce", "");
    let plan = planned(&shared);
    assert!(plan.why_cache().starts_with("frozen features: made once"), "{}", plan.why_cache());
    assert!(plan.to_text().contains("  features   made once"), "{}", plan.to_text());
    let thaws = planned(&shared.replace("freeze = all", "freeze = backbone(for = 1epoch)"));
    assert!(thaws.why_cache().contains("made once, for 1 epoch; then the backbone learns"), "{}", thaws.why_cache());
    for (from, to, reason) in [
        ("freeze = all", "freeze = none", "the backbone learns"),
        (
            "normalize(imagenet)] }",
            "normalize(imagenet)]\n augment = [flip(horizontal)] }",
            "`images.augment` is random",
        ),
        ("normalize(imagenet)", "normalize(train)", "worked out in each fold"),
        ("(weights = imagenet)", "()", "no first weights"),
    ] {
        let text = shared.replace(from, to);
        assert_ne!(text, shared, "{from}");
        let plan = planned(&text);
        let why = plan.why_cache();
        assert!(why.contains("not shared") && why.contains(reason), "{why}");
        assert_eq!(why.matches("  - ").count(), 1, "{why}");
        assert!(plan.dag.find(0, Work::Features).is_none(), "{text}");
        assert!(plan.to_text().contains("`pipe why --cache` says why"), "{}", plan.to_text());
    }
}
