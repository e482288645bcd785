//! Folds against scikit-learn's stored assignments, and the promises of a whole deal on random data sets.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "tests; the numbers are small"
)]

use std::collections::BTreeMap;

use indexmap::IndexMap;
use pipe::data::{Dataset, Image, Origin};
use pipe::draw::{DrawKey, Stage};
use pipe::split::{self, Balance, Leak, Role, SplitError, mt19937::Mt19937};
use pipe::study::{CrossValidation, FoldKind, Split};
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    method: String,
    folds: u32,
    #[serde(default)]
    shuffle: bool,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    labels: Option<Vec<Name>>,
    #[serde(default)]
    groups: Option<Vec<Name>>,
    assignment: Vec<u32>,
}

/// numpy sorts numbers as numbers and texts as texts.
#[derive(Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(untagged)]
enum Name {
    Number(i64),
    Text(String),
}

/// Each name's place among the sorted distinct ones.
fn places(names: Option<&Vec<Name>>) -> Vec<u32> {
    let names = names.map_or(&[][..], |names| names);
    let mut sorted = names.to_vec();
    sorted.sort();
    sorted.dedup();
    names.iter().map(|name| u32::try_from(sorted.binary_search(name).unwrap()).unwrap()).collect()
}

fn read_cases(text: &str) -> Vec<Case> {
    serde_json::from_str::<Cases>(text).expect("split cases have the form of tests/fixtures/split/cases.json").cases
}

/// scikit-learn's own measure, and the largest difference of a share from an even one, computed plainly.
fn spread_and_worst(labels: &[u32], fold: &[u32], folds: u32) -> (f64, f64) {
    let classes = labels.iter().max().unwrap() + 1;
    let (mut spread, mut worst) = (0.0, 0.0_f64);
    for class in 0..classes {
        let of_class: Vec<u32> = labels.iter().zip(fold).filter(|(l, _)| **l == class).map(|(_, f)| *f).collect();
        let share = |k| of_class.iter().filter(|f| **f == k).count() as f64 / of_class.len() as f64;
        let even = 1.0 / f64::from(folds);
        let variance = (0..folds).map(|k| (share(k) - even).powi(2)).sum::<f64>() / f64::from(folds);
        spread += variance.sqrt() / f64::from(classes);
        worst = (0..folds).map(|k| (share(k) - even).abs()).fold(worst, f64::max);
    }
    (spread, worst)
}

fn hold_against_scikit_learn(case: &Case) {
    let name = &case.name;
    let (labels, groups) = (places(case.labels.as_ref()), places(case.groups.as_ref()));
    let rows = case.assignment.len();
    let shuffle = case.shuffle.then(|| case.seed.expect("a shuffled case has a seed"));
    let equal = |ours: Result<Vec<u32>, SplitError>| {
        assert_eq!(ours.as_ref(), Ok(&case.assignment), "{name}");
    };
    match case.method.as_str() {
        "kfold" => equal(split::k_fold(rows, case.folds, shuffle)),
        "stratified_kfold" => equal(split::stratified_k_fold(&labels, case.folds, shuffle)),
        "group_kfold" => equal(split::group_k_fold(&groups, case.folds, shuffle)),
        "stratified_group_kfold" => {
            let ours = split::stratified_group(&labels, &groups, case.folds, shuffle).unwrap();
            as_good_as_scikit_learn(case, &labels, &groups, &ours);
        }
        other => panic!("{name}: no such method `{other}`"),
    }
}

fn as_good_as_scikit_learn(case: &Case, labels: &[u32], groups: &[u32], ours: &[u32]) {
    let name = &case.name;
    let mut fold_of = BTreeMap::new();
    for (group, fold) in groups.iter().zip(ours) {
        assert_eq!(fold_of.entry(group).or_insert(fold), &fold, "{name}: a patient in two folds");
    }
    for fold in 0..case.folds {
        assert!(ours.contains(&fold), "{name}: fold {fold} is empty");
    }
    let rounding = 1e-12;
    let (spread, worst) = spread_and_worst(labels, ours, case.folds);
    let (their_spread, their_worst) = spread_and_worst(labels, &case.assignment, case.folds);
    assert!(spread <= their_spread + rounding, "{name}: spread {spread} after {their_spread}");
    assert!(worst <= their_worst + rounding, "{name}: worst share {worst} after {their_worst}");
    if (0..case.folds).all(|fold| case.assignment.contains(&fold)) {
        let ours: Balance = split::balance(labels, ours, case.folds);
        let theirs = split::balance(labels, &case.assignment, case.folds);
        assert!(ours.no_worse_than(&theirs), "{name}: {ours:?} after {theirs:?}");
    }
}

#[test]
fn split_equals_scikit_learn() {
    let mut cases = read_cases(include_str!("../fixtures/split/cases.json"));
    assert!(cases.len() > 100);
    if let Ok(path) = std::env::var("PIPE_SPLIT_CASES") {
        let more = read_cases(&std::fs::read_to_string(&path).expect("PIPE_SPLIT_CASES names a readable file"));
        println!("{} more cases from {path}", more.len());
        cases.extend(more);
    }
    for case in &cases {
        hold_against_scikit_learn(case);
    }
}

#[derive(Deserialize)]
struct Streams {
    streams: Vec<NumpyStream>,
}

#[derive(Deserialize)]
struct NumpyStream {
    seed: Seed,
    bits: Vec<u32>,
    limits: Vec<u32>,
    bounded: Vec<u32>,
    permutation: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seed {
    One(u64),
    Many(Vec<u32>),
}

#[test]
fn split_shuffles_are_numpys() {
    let stored: Streams = serde_json::from_str(include_str!("../fixtures/split/numpy.json")).unwrap();
    for stream in stored.streams {
        let fresh = || match &stream.seed {
            Seed::One(seed) => Mt19937::new(*seed),
            Seed::Many(words) => Mt19937::from_words(words),
        };
        let mut random = fresh();
        let bits: Vec<u32> = (0..700).map(|_| random.bits()).skip(690).collect();
        assert_eq!(bits, stream.bits);
        let mut random = fresh();
        let bounded: Vec<u32> = stream.limits.iter().map(|limit| random.interval(*limit)).collect();
        assert_eq!(bounded, stream.bounded);
        assert_eq!(fresh().permutation(37), stream.permutation);
    }
    // a seed that numpy refuses is taken for its two words
    let (mut wide, mut words) = (Mt19937::new((7 << 32) + 5), Mt19937::from_words(&[5, 7]));
    assert_eq!((wide.bits(), wide.bits()), (words.bits(), words.bits()));
}

/// Patients with names, classes and numbers of images drawn at `case`; `patients` of them at least.
fn some_dataset(case: u64, patients: usize, classes: usize) -> Dataset {
    let mut draw = DrawKey { seed: 3, stage: Stage::Phantom, epoch: 0, sample: case }.stream();
    let mut images = Vec::new();
    for patient in 0..patients {
        // the first patients see to it that every class has enough
        let own = if patient < 12 * classes { patient % classes } else { draw.below(classes) };
        for _ in 0..=draw.below(4) {
            let label = if draw.chance(0.8) { own } else { draw.below(classes) };
            images.push((patient as u32, label as u32));
        }
    }
    draw.shuffle(&mut images);
    let given = patients / 10 + 2;
    Dataset {
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        patients: (0..patients).map(|patient| format!("{}", patient * 37 % 10_007)).collect(),
        given_folds: Some(images.iter().map(|(patient, _)| patient % given as u32).collect()),
        given_holdout: None,
        alone: Vec::new(),
        images: images
            .iter()
            .zip(2..)
            .map(|((patient, label), row)| Image { name: format!("{row}.png"), row, patient: *patient, label: *label })
            .collect(),
        flow: Vec::new(),
        origin: Origin::Files { under: "images".into() },
        columns: IndexMap::new(),
    }
}

fn some_split(kind: FoldKind, folds: u32, holdout: f64, validation: f64) -> Split {
    let cv = CrossValidation { kind, folds, shuffle: false, seed: None };
    Split { holdout, holdout_rows: None, cv, validation, run: Vec::new() }
}

#[test]
fn split_deals_whole_patients_into_every_role() {
    for case in 0..60 {
        let mut draw = DrawKey { seed: 4, stage: Stage::Folds, epoch: 0, sample: case }.stream();
        let classes = 2 + draw.below(4);
        let dataset = some_dataset(case, 12 * classes + draw.below(80), classes);
        let kind = match draw.below(3) {
            0 => FoldKind::GroupKFold,
            1 => FoldKind::FoldsFrom("fold".to_owned()),
            _ => FoldKind::StratifiedGroupKFold,
        };
        let mut split =
            some_split(kind, 2 + draw.below(4) as u32, 0.2 * draw.below(2) as f64, 0.1 * draw.below(3) as f64);
        split.cv.shuffle = draw.chance(0.5);
        let folds = match split::deal(&split, &dataset, case) {
            Ok(folds) => folds,
            Err(SplitError::EmptyFold { .. }) if matches!(split.cv.kind, FoldKind::FoldsFrom(_)) => continue,
            Err(error) => panic!("case {case}: {error}"),
        };
        assert_eq!(Ok(&folds), split::deal(&split, &dataset, case).as_ref(), "case {case}: not the same twice");
        let trained: Vec<u32> = (0..folds.count).collect();
        let table = split::table(&split, &dataset, &folds, &trained, false).unwrap();
        assert_eq!(table.holdout.is_some(), split.holdout > 0.0);
        for (portion, roles) in table.folds.iter().zip(&table.roles) {
            assert!(portion.images > 0, "case {case}: an empty fold");
            assert_eq!(portion, &roles.evaluation);
            assert_eq!(roles.validation.images > 0, split.validation > 0.0);
            assert_eq!(roles.disjoint.len(), 6);
            assert_eq!(roles.union_patients as usize, dataset.patients.len());
        }
    }
}

#[test]
fn split_holdout_and_validation_have_their_share_of_each_class() {
    let dataset = some_dataset(1, 2000, 4);
    let split = some_split(FoldKind::StratifiedGroupKFold, 5, 0.2, 0.1);
    let folds = split::deal(&split, &dataset, 42).unwrap();
    let other = split::deal(&split, &dataset, 43).unwrap();
    assert_ne!(folds.fold, other.fold, "another seed draws another hold-out");
    let share = |part: u32, whole: usize| f64::from(part) / whole as f64;
    let table = split::table(&split, &dataset, &folds, &[0], false).unwrap();
    let holdout = table.holdout.unwrap();
    assert!((share(holdout.patients, dataset.patients.len()) - 0.2).abs() < 0.002);
    assert!((share(holdout.images, dataset.images.len()) - 0.2).abs() < 0.005);
    for class in 0..4 {
        let total = dataset.images.iter().filter(|image| image.label as usize == class).count();
        assert!((share(holdout.class_images[class], total) - 0.2).abs() < 0.02, "{holdout:?}");
    }
    let roles = &table.roles[0];
    let learning = (roles.train.patients + roles.validation.patients) as usize;
    assert!((share(roles.validation.patients, learning) - 0.1).abs() < 0.002);
    assert!(
        (share(roles.validation.images, (roles.train.images + roles.validation.images) as usize) - 0.1).abs() < 0.01
    );
    assert!(table.worst_imbalance.parse::<f64>().unwrap() < 0.001, "{}", table.worst_imbalance);
}

#[test]
fn split_of_a_data_set_equals_scikit_learn_where_patients_are_numbers() {
    let cases = read_cases(include_str!("../fixtures/split/cases.json"));
    let mut compared = 0;
    for case in cases.iter().filter(|case| case.method == "group_kfold" && case.name.ends_with("as numbers")) {
        let numbers = case.groups.as_ref().unwrap();
        let names: Vec<String> = numbers
            .iter()
            .map(|name| match name {
                Name::Number(number) => number.to_string(),
                Name::Text(text) => text.clone(),
            })
            .collect();
        // patients in the order of their first image, as a table gives them
        let mut patients: Vec<String> = Vec::new();
        let mut images = Vec::new();
        for (name, row) in names.iter().zip(2..) {
            let patient = patients.iter().position(|known| known == name).unwrap_or_else(|| {
                patients.push(name.clone());
                patients.len() - 1
            });
            images.push(Image { name: format!("{row}.png"), row, patient: patient as u32, label: row % 2 });
        }
        let dataset = Dataset {
            classes: vec!["even".to_owned(), "odd".to_owned()],
            patients,
            images,
            flow: Vec::new(),
            origin: Origin::Files { under: "images".into() },
            given_folds: None,
            given_holdout: None,
            alone: Vec::new(),
            columns: IndexMap::new(),
        };
        let mut split = some_split(FoldKind::GroupKFold, case.folds, 0.0, 0.0);
        split.cv.shuffle = case.shuffle;
        // once with cv's own seed, once with the study's
        for (own, study) in [(case.seed, 99), (None, case.seed.unwrap_or(0))] {
            split.cv.seed = own;
            let dealt = split::deal(&split, &dataset, study).unwrap();
            let expected: Vec<Option<u32>> = case.assignment.iter().copied().map(Some).collect();
            assert_eq!(dealt.fold, expected, "{}", case.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 4);
}

#[test]
fn split_by_row_of_patients_with_several_images_is_a_leak_that_names_them() {
    let dataset = some_dataset(2, 60, 2);
    let split = some_split(FoldKind::KFold, 3, 0.0, 0.0);
    let folds = split::deal(&split, &dataset, 0).unwrap();
    let leak = split::table(&split, &dataset, &folds, &[1], false).unwrap_err();
    let Leak::Shared { fold: 1, first: Role::Train, second: Role::Evaluation, patients } = &leak else {
        panic!("{leak:?}")
    };
    assert!(patients.len() > 5 && patients.iter().all(|name| dataset.patients.contains(name)));
    let words = leak.to_string();
    assert!(words.starts_with(&format!("fold 1: {} patients are in both train and evaluation: `", patients.len())));
    assert!(words.ends_with(&format!("and {} more", patients.len() - 5)), "{words}");

    // one patient slipped from its fold to another, one lost its role
    let grouped = some_split(FoldKind::GroupKFold, 3, 0.0, 0.0);
    let folds = split::deal(&grouped, &dataset, 0).unwrap();
    let mut roles = folds.roles(0);
    let slipped = roles.evaluation[0];
    roles.train.push(slipped);
    let leak = split::assert_disjoint(&dataset, &roles).unwrap_err();
    let name = dataset.patients[dataset.images[slipped].patient as usize].clone();
    assert_eq!(leak.to_string(), format!("fold 0: 1 patient is in both train and evaluation: `{name}`"));
    let mut roles = folds.roles(0);
    roles.evaluation.retain(|image| dataset.images[*image].patient != dataset.images[slipped].patient);
    assert_eq!(split::assert_disjoint(&dataset, &roles), Err(Leak::Missing { fold: 0, patients: vec![name] }));
}

#[test]
fn split_errors_are_told_not_panicked() {
    let mut dataset = some_dataset(5, 30, 2);
    let deal = |split: &Split, dataset: &Dataset| split::deal(split, dataset, 1).unwrap_err();
    let grouped = |folds| some_split(FoldKind::GroupKFold, folds, 0.0, 0.0);
    assert_eq!(deal(&grouped(31), &dataset), SplitError::TooFewPatients { patients: 30, folds: 31 });
    assert_eq!(deal(&grouped(1), &dataset), SplitError::FewerThanTwoFolds { folds: 1 });
    dataset.given_folds = None;
    let given = some_split(FoldKind::FoldsFrom("fold".to_owned()), 0, 0.0, 0.0);
    assert_eq!(deal(&given, &dataset), SplitError::NoGivenFolds);
    dataset.images[3].patient = 30;
    assert_eq!(deal(&grouped(3), &dataset), SplitError::Inconsistent { image: dataset.images[3].name.clone() });
    dataset.images.clear();
    assert_eq!(deal(&grouped(3), &dataset), SplitError::TooFewPatients { patients: 0, folds: 3 });
}

#[test]
fn split_csv_and_table_say_who_is_where() {
    let mut dataset = some_dataset(6, 40, 2);
    dataset.classes[0] = "no, \"finding\"".to_owned();
    let mut split = some_split(FoldKind::StratifiedGroupKFold, 3, 0.2, 0.1);
    split.cv.shuffle = true;
    split.cv.seed = Some(3);
    let folds = split::deal(&split, &dataset, 1).unwrap();
    let text = split::csv(&dataset, &folds);
    assert!(text.starts_with("image,patient,label,fold,role\n"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), dataset.images.len());
    for ((row, image), fold) in rows.iter().zip(&dataset.images).zip(&folds.fold) {
        let (number, role) = fold.map_or((String::new(), "holdout"), |fold| (fold.to_string(), "fold"));
        let label = &dataset.classes[image.label as usize];
        let patient = &dataset.patients[image.patient as usize];
        assert_eq!(row.iter().collect::<Vec<_>>(), [&image.name, patient, label, &number, role]);
    }
    let table = split::table(&split, &dataset, &folds, &[0, 2], false).unwrap();
    assert_eq!(table.method, "stratified_group_kfold(3, shuffle = true, seed = 3)");
    let shown = split::text_table(&table, &dataset.classes);
    println!("{shown}");
    let first = &table.folds[0];
    assert!(shown.contains("fold 0  ") && shown.contains("hold-out") && shown.contains("no, \"finding\""), "{shown}");
    assert!(shown.contains(&format!("{} / {}", first.class_images[1], first.class_patients[1])), "{shown}");
    assert!(shown.contains("fold 2: train ") && !shown.contains("fold 1: train "), "{shown}");
}

/// 1,000,000 rows of 250,000 patients: `cargo test --release --test it split_of_a_million -- --ignored --nocapture`.
#[test]
#[ignore = "measures a release build"]
fn split_of_a_million_rows_takes_under_five_seconds() {
    for (classes, folds) in [(4, 5), (14, 10)] {
        let mut draw = DrawKey { seed: 1, stage: Stage::Folds, epoch: 0, sample: 0 }.stream();
        let groups: Vec<u32> =
            (0..1_000_000).map(|row| if row < 250_000 { row } else { draw.below(250_000) } as u32).collect();
        let labels: Vec<u32> = groups.iter().map(|_| (draw.uniform().powi(2) * f64::from(classes)) as u32).collect();
        let start = std::time::Instant::now();
        let fold = split::stratified_group(&labels, &groups, folds, None).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        println!("{classes} classes, {folds} folds: {seconds:.2} s, {:?}", split::balance(&labels, &fold, folds));
        assert!(seconds < 5.0);
    }
}
