//! Tables in memory through `build` and `checks`: what is kept, in what order, and what is told of the rest.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::*;
use crate::diag::{Code, Diagnostic, Problems};
use crate::host::MemHost;
use crate::leakage;
use crate::source::{SourceMap, Span};
use crate::study::{
    Backbone, ClassWeights, Comparison, CrossValidation, Data, Evaluate, FoldKind, Freeze, Group, Head, ImageColumn,
    Images, KeepEpoch, Limit, LossKind, LossTerm, Metric, Model, Multiclass, Normalize, OnMissing, Optimizer, Places,
    Precision, Predicate, Sampler, Scalar, Schedule, Source, Split, Study, Train, Unit, Weights, WhenMany, WhenOther,
};

const TABLE: &str = "\
image,label,patient,age,fold
a.png,flu,p1,30,10
b.png,cold,p2,40,9
c.png,flu|cold,p3,50,9
d.png,flu,p1,,10
e.png,fever,p4,60,9
f.png,cold,p5,70,10
";

fn host(table: &str) -> MemHost {
    ["a", "b", "c", "d", "e", "f"]
        .iter()
        .fold(MemHost::new(), |host, name| host.with(format!("/s/img/{name}.png"), name.as_bytes()))
        .with("/s/t.csv", table)
}

fn data() -> Data {
    Data {
        source: Source::Csv { path: PathBuf::from("t.csv") },
        image: Some(ImageColumn { column: "image".into(), under: PathBuf::from("img") }),
        label: "label".into(),
        labels: Multiclass { split_on: Some("|".into()), when_many: WhenMany::Drop, when_other: WhenOther::Drop },
        classes: Some(vec!["flu".into(), "cold".into()]),
        merge: IndexMap::new(),
        group: Group::Column("patient".into()),
        keep: None,
        limit: None,
        on_missing: OnMissing::Error,
    }
}

fn cv(kind: FoldKind, folds: u32) -> CrossValidation {
    CrossValidation { kind, folds, shuffle: true, seed: None }
}

/// Each path of the language has a span of its own.
fn places() -> Places {
    let mut sources = SourceMap::new();
    let file = sources.add("t.pipe", None, " ".repeat(100));
    let mut places = Places::default();
    let paths = [
        "study",
        "data",
        "data.table",
        "data.image",
        "data.label",
        "data.labels",
        "data.classes",
        "data.merge",
        "data.group",
        "data.keep",
        "data.limit",
        "data.on_missing",
        "split.cv",
        "train.loss",
        "train.batch",
        "evaluate.primary",
    ];
    for (at, path) in paths.iter().enumerate() {
        places.set(*path, Span::new(file, at, at + 1));
    }
    places
}

fn run(data: &Data, cv: &CrossValidation, host: &MemHost) -> (Option<Dataset>, Problems) {
    let mut problems = Problems::new();
    let split = Split { holdout: 0.0, holdout_rows: None, cv: cv.clone(), validation: 0.0, run: vec![] };
    let dataset = build(data, &split, &[], 7, Path::new("/s"), host, &places(), &mut problems);
    assert_eq!(dataset.is_none(), problems.has_errors(), "a data set or an error: {:?}", problems.sorted());
    for problem in problems.sorted() {
        assert!(!problem.labels.is_empty(), "{} has no place", problem.message);
        let help = problem.help.as_deref().unwrap_or("");
        assert!(!help.is_empty() && help.lines().all(|line| line.chars().count() < 80), "{help}");
    }
    (dataset, problems)
}

fn good(data: &Data, table: &str) -> Dataset {
    let (dataset, problems) = run(data, &cv(FoldKind::GroupKFold, 2), &host(table));
    assert!(problems.is_empty(), "{:?}", problems.sorted());
    dataset.unwrap()
}

fn bad(data: &Data, table: &str) -> Vec<Diagnostic> {
    bad_on(data, &host(table))
}

fn bad_on(data: &Data, host: &MemHost) -> Vec<Diagnostic> {
    let (_, problems) = run(data, &cv(FoldKind::GroupKFold, 2), host);
    problems.sorted().into_iter().cloned().collect()
}

/// The only problem: its code, message and all labels' texts.
fn told(problems: &[Diagnostic]) -> (Code, &str, Vec<&str>) {
    let [problem] = problems else { panic!("one problem expected: {problems:#?}") };
    (problem.code, &problem.message, problem.labels.iter().map(|label| label.text.as_str()).collect())
}

fn names(dataset: &Dataset) -> Vec<&str> {
    dataset.images.iter().map(|image| image.name.as_str()).collect()
}

fn flow(dataset: &Dataset) -> Vec<(&str, u32, u32)> {
    dataset.flow.iter().map(|step| (step.what.as_str(), step.images, step.patients)).collect()
}

// ------------------------------------------------------------------------------------------- what is kept

#[test]
fn rows_become_images_of_patients() {
    let dataset = good(&data(), TABLE);
    assert_eq!(dataset.classes, ["flu", "cold"]);
    assert_eq!(dataset.patients, ["p1", "p2", "p5"]);
    assert_eq!(names(&dataset), ["a.png", "b.png", "d.png", "f.png"]);
    let rest: Vec<(u32, u32, u32)> =
        dataset.images.iter().map(|image| (image.row, image.patient, image.label)).collect();
    assert_eq!(rest, [(2, 0, 0), (3, 1, 1), (5, 0, 0), (7, 2, 1)]);
    assert_eq!(
        flow(&dataset),
        [("rows of the table", 6, 5), ("several labels", 5, 4), ("labels that are no class", 4, 3)]
    );
    assert_eq!(dataset.origin, Origin::Files { under: PathBuf::from("/s/img") });
    assert_eq!(dataset.given_folds, None);
    assert_eq!(class_counts(&dataset), [2, 2]);
    let part = portion(&dataset, &[0, 2, 3, 99]);
    assert_eq!((part.images, part.patients, part.class_images, part.class_patients), (3, 2, vec![2, 1], vec![1, 1]));
    assert_eq!(read_image(&dataset, &host(TABLE), 1).unwrap(), b"b");
    assert_eq!(read_image(&dataset, &host(TABLE), 4).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn classes_default_to_what_occurs_sorted() {
    let mut data = data();
    data.classes = None;
    assert_eq!(good(&data, TABLE).classes, ["cold", "fever", "flu"]);
    data.labels.when_many = WhenMany::First;
    assert_eq!(good(&data, TABLE).images.len(), 6);
    assert_eq!(class_counts(&good(&data, TABLE)), [2, 1, 3]);
}

#[test]
fn merging_comes_before_counting_labels() {
    let mut data = data();
    data.merge.insert("infection".into(), vec!["flu".into(), "cold".into()]);
    data.classes = Some(vec!["infection".into(), "fever".into()]);
    let dataset = good(&data, TABLE);
    assert_eq!(class_counts(&dataset), [5, 1]);
    assert_eq!(dataset.images.len(), 6, "flu|cold is one label once both are merged");
}

#[test]
fn keep_filters_and_the_flow_tells_it() {
    let mut data = data();
    data.keep = Some(Predicate::Within { column: "age".into(), start: 30.0, end: 60.0, inclusive: true });
    let dataset = good(&data, TABLE);
    assert_eq!(names(&dataset), ["a.png", "b.png"]);
    assert_eq!(flow(&dataset)[1], ("keep", 4, 4));
}

#[test]
fn without_a_group_each_image_is_a_patient() {
    let mut data = data();
    data.group = Group::None { because: "phantom".into() };
    let dataset = good(&data, TABLE);
    assert_eq!(dataset.patients, ["a.png", "b.png", "d.png", "f.png"]);
    assert_eq!(flow(&dataset)[0], ("rows of the table", 6, 6));
}

#[test]
fn given_folds_are_sorted_as_numbers() {
    let host = host(TABLE);
    let (dataset, _) = run(&data(), &cv(FoldKind::FoldsFrom("fold".into()), 0), &host);
    assert_eq!(dataset.unwrap().given_folds, Some(vec![1, 0, 1, 1]));
    let (dataset, _) = run(&data(), &cv(FoldKind::FoldsFrom("image".into()), 0), &host);
    assert_eq!(dataset.unwrap().given_folds, Some(vec![0, 1, 2, 3]));
}

#[test]
fn missing_images_can_be_left_out() {
    let mut data = data();
    data.on_missing = OnMissing::Drop;
    let table = TABLE.replace("d.png", "nowhere.png");
    let dataset = good(&data, &table);
    assert_eq!(names(&dataset), ["a.png", "b.png", "f.png"]);
    assert_eq!(flow(&dataset).last(), Some(&("missing images", 3, 3)));
}

#[test]
fn many_files_are_looked_for_in_few_listings() {
    let mut host = MemHost::new();
    let mut table = String::from("image,label,patient\n");
    for index in (0..300).rev() {
        let name = format!("part{}/x{index}.png", index % 2);
        if index != 123 {
            host = host.with(format!("/s/img/{name}"), "x");
        }
        table += &format!("{name},{},p{index}\n", if index % 3 == 0 { "flu" } else { "cold" });
    }
    let host = host.with("/s/t.csv", table);
    assert_eq!(
        told(&bad_on(&data(), &host)),
        (Code::E0205, "1 of 300 images is missing", vec!["first `part1/x123.png` (row 178), looked for in `img`"])
    );
}

#[test]
fn limits_take_whole_patients_in_table_order() {
    let mut table = String::from("image,label,patient\n");
    for index in 0..60 {
        table += &format!("{}.png,{},p{}\n", ["a", "b", "c"][index % 3], ["flu", "cold"][index / 3 % 2], index / 3);
    }
    let mut data = data();
    data.limit = Some(Limit::Each(12));
    let dataset = good(&data, &table);
    assert_eq!(class_counts(&dataset), [12, 12]);
    assert_eq!(dataset.patients.len(), 8, "12 images a class are 4 patients of 3 each");
    assert!(dataset.images.is_sorted_by_key(|image| image.row));
    assert_eq!(flow(&dataset).last(), Some(&("limit", 24, 8)));
    assert!(dataset.images.is_sorted_by_key(|image| image.patient), "patients are numbered as they appear");

    data.limit = Some(Limit::PerClass([("flu".to_owned(), 5)].into_iter().collect()));
    assert_eq!(class_counts(&good(&data, &table)), [5, 30]);
    data.limit = Some(Limit::PerClass([("flue".to_owned(), 5)].into_iter().collect()));
    let problems = bad(&data, &table);
    assert_eq!(told(&problems).0, Code::E0203);
    assert!(problems[0].help.as_ref().unwrap().contains("did you mean `flu`"), "{problems:?}");
}

#[test]
fn folders_are_classes() {
    let host = ["/s/d/normal/b.png", "/s/d/normal/a.JPG", "/s/d/ill/c.jpeg", "/s/d/ill/notes.txt", "/s/d/.git/x.png"]
        .iter()
        .fold(MemHost::new(), |host, path| host.with(*path, "x"))
        .with("/s/d/top.png", "x")
        .with("/s/d/empty/readme.md", "x");
    let data = Data {
        source: Source::Folder { root: "d".into() },
        image: None,
        classes: None,
        group: Group::None { because: "one film each".into() },
        ..data()
    };
    let (dataset, problems) = run(&data, &cv(FoldKind::KFold, 2), &host);
    let dataset = dataset.unwrap();
    assert!(problems.is_empty());
    assert_eq!(names(&dataset), ["ill/c.jpeg", "normal/a.JPG", "normal/b.png"]);
    assert_eq!(dataset.images.iter().map(|image| image.row).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(dataset.classes, ["ill", "normal"]);
    assert_eq!(read_image(&dataset, &host, 0).unwrap(), b"x");

    let nothing = Data { source: Source::Folder { root: "d/empty".into() }, ..data.clone() };
    assert_eq!(told(&bad_on(&nothing, &host)).0, Code::E0211);
    let wrong = Data { source: Source::Folder { root: "e".into() }, ..data };
    assert_eq!(told(&bad_on(&wrong, &host)), (Code::E0211, "`e` cannot be read", vec!["there is no such file"]));
}

#[test]
fn phantoms_are_a_table_too() {
    let data = Data {
        source: Source::Phantoms { images: 120, patients: 40, seed: 3 },
        image: None,
        classes: None,
        keep: Some(Predicate::Compare {
            column: "age".into(),
            comparison: Comparison::Greater,
            value: Scalar::Number(0.0),
        }),
        ..data()
    };
    let dataset = good(&data, "");
    assert_eq!(dataset.classes, ["cardiomegaly", "effusion", "nodule", "normal"]);
    assert_eq!((dataset.images.len(), dataset.patients.len()), (120, 40));
    assert_eq!((dataset.images[17].name.as_str(), dataset.images[17].row), ("phantom-00017.png", 19));
    assert_eq!(read_image(&dataset, &MemHost::new(), 0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

// ------------------------------------------------------------------------------------------- what is told

#[test]
fn columns_that_are_not_there() {
    let mut data = data();
    data.group = Group::Column("patent".into());
    let problems = bad(&data, TABLE);
    assert_eq!(
        told(&problems),
        (Code::E0201, "the table has no column `patent`", vec!["no such column", "5 columns, read just now"])
    );
    assert_eq!(
        problems[0].help.as_deref(),
        Some("did you mean `patient`?\ncolumns: `image`, `label`, `patient`, `age`, `fold`")
    );
    data.label = "x".into();
    assert_eq!(bad(&data, TABLE).len(), 2, "each missing column is told");
    let mut twice = self::data();
    twice.label = "patient".into();
    assert_eq!(told(&bad(&twice, &TABLE.replace(",age,", ",patient,"))).1, "the table has 2 columns called `patient`");
}

#[test]
fn tables_that_cannot_be_read() {
    let message = |table: &[u8]| {
        let problems = bad_on(&data(), &MemHost::new().with("/s/t.csv", table));
        let (code, message, labels) = told(&problems);
        assert_eq!(code, Code::E0211);
        format!("{message} / {}", labels.join(" / "))
    };
    assert_eq!(message(b""), "`t.csv` is empty / read just now");
    assert_eq!(message(b"PK\x03\x04"), "`t.csv` is a workbook or zip archive, not a text table / read just now");
    assert_eq!(message(b"\xFF\xFEi\0"), "`t.csv` is UTF-16 text / read just now");
    assert_eq!(
        message(b"image,label,patient\na,b,c\nd,e\n"),
        "row 3 has 2 cells, the header 3 / the first such row is 3"
    );
    assert_eq!(
        message(b"image,label,patient\na,gr\xFCn,c\n"),
        "row 2 of `t.csv` is not UTF-8 text / column `label` would read \"gr\u{FC}n\" in Latin-1"
    );
    let mut other = data();
    other.source = Source::Csv { path: "tt.csv".into() };
    let problems = bad(&other, TABLE);
    assert_eq!(told(&problems), (Code::E0211, "`tt.csv` cannot be read", vec!["there is no such file"]));
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `t.csv`?"));
}

#[test]
fn several_labels_in_a_row() {
    let mut data = data();
    data.labels.when_many = WhenMany::Error;
    let expected = (
        Code::E0202,
        "one image can carry several findings, but `labels` is multiclass",
        vec!["e.g. \"flu|cold\" (row 4)", "wants exactly one class per image"],
    );
    assert_eq!(told(&bad(&data, TABLE)), expected);
    // The separator is found out when the study does not name it.
    data.labels = Multiclass { split_on: None, when_many: WhenMany::Error, when_other: WhenOther::Error };
    data.classes = None;
    assert_eq!(told(&bad(&data, TABLE)), expected);
    // But not where the author lists the very cell.
    data.classes = Some(vec!["flu".into(), "cold".into(), "flu|cold".into(), "fever".into()]);
    assert_eq!(class_counts(&good(&data, TABLE)), [2, 2, 1, 1]);
}

#[test]
fn classes_that_never_occur() {
    let mut data = data();
    data.classes = Some(vec!["flu".into(), "colt".into()]);
    data.labels.when_other = WhenOther::Error;
    data.keep = Some(Predicate::Compare {
        column: "label".into(),
        comparison: Comparison::NotEqual,
        value: Scalar::Text("fever".into()),
    });
    let problems = bad(&data, TABLE);
    assert_eq!(told(&problems), (Code::E0203, "class `colt` occurs 0 times", vec!["no row has it in `label`"]));
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `cold` (2 rows)?"));

    data.classes = Some(vec!["flu".into(), "cold".into(), "fever".into()]);
    assert_eq!(
        told(&bad(&data, TABLE)),
        (Code::E0203, "class `fever` occurs 0 times in the rows kept", vec!["listed here", "removes all 1 row of it"])
    );

    data.keep = None;
    let table = TABLE.replace("b.png,cold", "b.png,fever").replace("f.png,cold", "f.png,fever");
    assert_eq!(told(&bad(&data, &table)).1, "class `cold` never occurs alone");

    data.classes = Some(vec!["x1".into(), "x2".into()]);
    assert_eq!(told(&bad(&data, TABLE)).1, "class `x1` occurs 0 times", "one problem when the column is wrong");

    data = self::data();
    data.merge.insert("flu".into(), vec!["grippe".into()]);
    assert_eq!(told(&bad(&data, TABLE)).1, "`grippe` occurs 0 times, so nothing of it can be merged");
}

#[test]
fn labels_that_are_not_listed() {
    let mut data = data();
    data.labels.when_other = WhenOther::Error;
    let problems = bad(&data, TABLE);
    assert_eq!(
        told(&problems),
        (
            Code::E0204,
            "17 % of rows carry 1 label that `classes` does not list",
            vec!["without `fever` (1)", "1 of 6 rows"]
        )
    );
    assert!(
        problems[0]
            .help
            .as_ref()
            .unwrap()
            .contains("labels = multiclass(split_on = \"|\", when_many = drop, when_other = drop)")
    );
    data.classes = None;
    let table = TABLE.replace("e.png,fever", "e.png,");
    assert_eq!(
        told(&bad(&data, &table)),
        (Code::E0204, "1 row has no `label`", vec!["1 of 6 rows; the first is row 6"])
    );
}

#[test]
fn images_that_are_missing() {
    let table = TABLE.replace("d.png", "d.jpg");
    let problems = bad(&data(), &table);
    assert_eq!(
        told(&problems),
        (Code::E0205, "1 of 4 images is missing", vec!["first `d.jpg` (row 5), looked for in `img`"])
    );
    assert!(problems[0].help.as_ref().unwrap().contains("the folder holds `d.png`"));
    let problems = bad(&data(), &TABLE.replace(".png", ".dcm.gz"));
    assert_eq!(told(&problems).1, "none of the 4 images is there");
    let mut drop = data();
    drop.on_missing = OnMissing::Drop;
    assert_eq!(told(&bad(&drop, &TABLE.replace(".png", ".x"))).0, Code::E0205, "not a single one is an error anyway");
    let one_class = TABLE.replace("b.png", "q.png").replace("f.png", "q.png");
    assert_eq!(told(&bad(&drop, &one_class)).1, "class `cold` occurs 0 times in the rows kept");
}

#[test]
fn names_that_leave_the_folder() {
    for name in ["../../etc/passwd", "/etc/passwd", "x/../../y.png"] {
        let problems = bad(&data(), &TABLE.replace("d.png", name));
        assert_eq!(
            told(&problems),
            (
                Code::E0903,
                format!("row 5: `{name}` leaves `img`").as_str(),
                vec!["only files beneath `img` are opened"]
            )
        );
    }
}

#[test]
fn rows_without_a_patient() {
    let problems = bad(&data(), &TABLE.replace(",p2,", ", ,").replace(",p5,", ",,"));
    assert_eq!(
        told(&problems),
        (Code::E0210, "2 rows have no `patient`; each would become its own patient", vec!["the first is row 3"])
    );
}

#[test]
fn nothing_or_one_class_left() {
    assert_eq!(
        told(&bad(&data(), "image,label,patient\n")),
        (Code::E0212, "no rows are left to learn from", vec!["a header and no rows below it"])
    );
    let mut never = data();
    never.keep = Some(Predicate::Compare {
        column: "label".into(),
        comparison: Comparison::Equal,
        value: Scalar::Text("fleu".into()),
    });
    let problems = bad(&never, TABLE);
    assert_eq!(told(&problems).2, ["`label` == \"fleu\" leaves 0 of 6 rows"]);
    assert_eq!(problems[0].help.as_deref(), Some("`label` never holds \"fleu\"; did you mean \"flu\"?"));
    let mut one = data();
    one.classes = Some(vec!["flu".into()]);
    assert_eq!(
        told(&bad(&one, TABLE)),
        (Code::E0212, "one class only is left, so there is nothing to tell apart", vec!["each of the 2 rows is `flu`"])
    );
    let mut several = data();
    several.classes = None;
    let table = "image,label,patient\na.png,x|y,p1\n";
    assert_eq!(told(&bad(&several, table)).2, ["each of the rows left carries several labels (1 in `label`)"]);
}

#[test]
fn types_that_do_not_fit() {
    let mut data = data();
    data.keep = Some(Predicate::Within { column: "age".into(), start: 0.0, end: 40.0, inclusive: true });
    assert_eq!(
        told(&bad(&data, &TABLE.replace(",40,", ",040Y,"))),
        (Code::E0213, "`age` is compared with a number, but holds text", vec!["e.g. \"040Y\" (row 3)"])
    );
    data.keep = Some(Predicate::OneOf { column: "age".into(), values: vec![Scalar::Text("old".into())] });
    assert_eq!(
        told(&bad(&data, TABLE)),
        (Code::E0213, "`age` is compared with a text, but holds numbers", vec!["e.g. 30 (row 2)"])
    );
    let folds = |table: &str| {
        let (_, problems) = run(&self::data(), &cv(FoldKind::FoldsFrom("fold".into()), 0), &host(table));
        problems.sorted().into_iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(told(&folds(&TABLE.replace(",,10", ",,"))).1, "1 row has no fold in `fold`");
    assert_eq!(told(&folds(&TABLE.replace(",9\n", ",10\n"))).1, "`fold` holds one fold only");
}

#[test]
fn keep_that_removes_most_is_a_warning() {
    let mut data = data();
    data.keep = Some(Predicate::OneOf {
        column: "patient".into(),
        values: vec![Scalar::Text("p2".into()), Scalar::Text("p3".into())],
    });
    data.classes = None;
    data.labels.when_many = WhenMany::First;
    let (dataset, problems) = run(&data, &cv(FoldKind::GroupKFold, 2), &host(TABLE));
    assert_eq!(dataset.unwrap().images.len(), 2);
    let problems: Vec<Diagnostic> = problems.sorted().into_iter().cloned().collect();
    assert_eq!(
        told(&problems),
        (Code::W0208, "`keep` removes 67 % of the rows", vec!["`patient` in [\"p2\", \"p3\"] removes 4 of 6 rows"])
    );
}

// ------------------------------------------------------------------------------------- what it means

fn study() -> Study {
    Study {
        name: "s".into(),
        question: None,
        seed: 7,
        data: data(),
        split: Split {
            holdout: 0.0,
            holdout_rows: None,
            cv: cv(FoldKind::StratifiedGroupKFold, 5),
            validation: 0.0,
            run: vec![],
        },
        images: Images { prepare: vec![], normalize: Normalize::Half, augment: vec![] },
        model: Model {
            backbone: Backbone::named("resnet18").unwrap(),
            weights: Weights::None,
            head: Head::default(),
            freeze: Freeze::None,
            drop_path: None,
            channels: None,
        },
        train: Train {
            loss: vec![
                LossTerm {
                    weight: 0.6,
                    kind: LossKind::CrossEntropy,
                    smoothing: 0.0,
                    class_weights: ClassWeights::None,
                },
                LossTerm { weight: 0.4, kind: LossKind::SoftF1, smoothing: 0.0, class_weights: ClassWeights::None },
            ],
            optimizer: Optimizer::Adam { lr: 1e-3, weight_decay: 0.0 },
            layer_decay: 1.0,
            schedule: Schedule::Constant,
            epochs: 1,
            batch: 32,
            accumulate: 1,
            sampler: Sampler::Shuffled,
            clip: None,
            stop: None,
            keep: KeepEpoch::Last,
            precision: Precision::F32,
        },
        evaluate: Evaluate {
            operating: vec![],
            primary: Metric::MacroF1,
            metrics: vec![],
            unit: Unit::Image,
            intervals: None,
            slices: vec![],
            leak: None,
            tta: Vec::new(),
        },
    }
}

/// One image for each (patient, class) given, in that order.
fn dataset(images: &[(u32, u32)], classes: u32) -> Dataset {
    let patients = images.iter().map(|(patient, _)| patient + 1).max().unwrap_or(0);
    let count = |n: usize| u32::try_from(n).unwrap();
    Dataset {
        classes: (0..classes).map(|class| format!("c{class}")).collect(),
        patients: (0..patients).map(|patient| format!("p{patient}")).collect(),
        images: images
            .iter()
            .enumerate()
            .map(|(index, (patient, label))| Image {
                name: format!("{index}.png"),
                row: count(index) + 2,
                patient: *patient,
                label: *label,
            })
            .collect(),
        flow: vec![FlowStep { what: "rows of the table".into(), images: count(images.len()), patients }],
        origin: Origin::Files { under: "/s/img".into() },
        given_folds: None,
        given_holdout: None,
        alone: vec![],
        columns: indexmap::IndexMap::new(),
    }
}

fn check(study: &Study, dataset: &Dataset) -> Vec<Diagnostic> {
    let mut problems = Problems::new();
    checks::check(study, dataset, &places(), &mut problems);
    for problem in problems.sorted() {
        let help = problem.help.as_deref().unwrap_or("");
        assert!(!help.is_empty() && help.lines().all(|line| line.chars().count() < 80), "{help}");
    }
    problems.sorted().into_iter().cloned().collect()
}

/// Two images a patient, a class a patient, `patients` of each class.
fn balanced(patients: &[u32]) -> Vec<(u32, u32)> {
    let mut images = Vec::new();
    let mut next = 0;
    for (class, patients) in (0..).zip(patients) {
        for _ in 0..*patients {
            images.extend([(next, class), (next, class)]);
            next += 1;
        }
    }
    images
}

#[test]
fn sound_data_raise_nothing() {
    let none: &[Diagnostic] = &[];
    assert_eq!(check(&study(), &dataset(&balanced(&[50, 50]), 2)), none);
}

#[test]
fn row_ids_are_no_patients() {
    let images: Vec<(u32, u32)> = (0..100).map(|image| (image, image % 2)).collect();
    let mut data = dataset(&images, 2);
    assert_eq!(
        told(&check(&study(), &data)),
        (Code::W0303, "`patient` has 100 values in 100 rows", vec!["groups of one protect nobody"])
    );
    // A limit that leaves one image each of many says nothing about the column.
    data.flow[0].images = 300;
    data.flow.push(FlowStep { what: "limit".into(), images: 100, patients: 100 });
    assert!(check(&study(), &data).is_empty());
}

#[test]
fn classes_with_too_few_patients() {
    let few = dataset(&balanced(&[50, 3, 50]), 3);
    let mut study = study();
    study.train.sampler = Sampler::Balanced;
    let problems = check(&study, &few);
    assert_eq!(
        told(&problems),
        (
            Code::E0306,
            "`c1` has patients for 3 folds, not 5",
            vec!["leaves 3 patients with c1 (6 images)", "5 folds asked"]
        )
    );
    assert_eq!(
        problems[0].help.as_deref(),
        Some("use 3 folds, or merge the class:\n  merge = { \"c1 or c0\" = [\"c1\", \"c0\"] }")
    );
    study.split.cv.folds = 3;
    assert!(check(&study, &few).is_empty());
    study.split.holdout = 0.2;
    assert_eq!(
        told(&check(&study, &few)),
        (
            Code::E0306,
            "`c1` needs patients for 3 folds, and more to set aside",
            vec!["leaves 3 patients with c1 (6 images)", "3 folds asked, and 1 more to hold out or validate on"]
        )
    );
    // Rows are counted where rows are dealt.
    study.split.holdout = 0.0;
    study.split.cv = cv(FoldKind::StratifiedKFold, 5);
    assert!(check(&study, &few).is_empty());
    let problems = check(&self::study(), &dataset(&balanced(&[50, 1, 2, 3, 4, 1]), 6));
    let few: Vec<&Diagnostic> = problems.iter().filter(|problem| problem.code == Code::E0306).collect();
    assert_eq!(few.len(), 1);
    assert_eq!(few[0].message, "`c1` has patients for 1 fold, not 5");
    assert!(few[0].labels[0].text.ends_with("too few of `c5`, `c2`, `c3` and 1 more as well"), "{few:?}");
}

#[test]
fn given_folds_are_held_to_the_same() {
    let mut study = study();
    study.split.cv = cv(FoldKind::FoldsFrom("fold".into()), 0);
    study.train.sampler = Sampler::Balanced;
    let mut data = dataset(&[(0, 0), (0, 0), (1, 1), (2, 0), (3, 1)], 2);
    data.given_folds = Some(vec![0, 1, 0, 1, 0]);
    let problems = check(&study, &data);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "`c1` stands in one fold only");
    assert_eq!(leakage::Facts::of(&study, &places(), Some(&data)).in_several_folds, ["p0"]);
    data.given_folds = Some(vec![0, 0, 0, 1, 1]);
    assert!(check(&study, &data).is_empty());
    assert!(leakage::Facts::of(&study, &places(), Some(&data)).in_several_folds.is_empty());
}

#[test]
fn one_patient_who_is_most_of_a_class() {
    let mut images = balanced(&[50, 10]);
    images.extend([(55, 1); 10]);
    let mut study = study();
    study.train.sampler = Sampler::Balanced;
    assert_eq!(
        told(&check(&study, &dataset(&images, 2))),
        (
            Code::W0307,
            "patient `p55` holds 40 % of all `c1` images",
            vec!["12 of 30 images; 9 other patients hold the rest"]
        )
    );
}

#[test]
fn soft_f1_on_rare_classes() {
    let rare = dataset(&balanced(&[490, 10]), 2);
    // 10 of 500 patients have it: that is told as well, and whatever the batch is
    let check = |study: &Study, dataset: &Dataset| -> Vec<Diagnostic> {
        let (wide, others) = check(study, dataset).into_iter().partition(|problem| problem.code == Code::W0606);
        let wide: Vec<Diagnostic> = wide;
        assert_eq!(told(&wide).1, "10 patients with `c1`: little can be said of it");
        others
    };
    let problems = check(&study(), &rare);
    let (code, message, labels) = told(&problems);
    assert_eq!((code, message), (Code::W0502, "`soft_f1` will often see no `c1` in a batch"));
    assert_eq!(
        labels,
        ["its gradient is computed per batch", "0.6 c1 images per batch on average; 52% of batches have none"]
    );
    assert_eq!(problems[0].help.as_deref(), Some("batch = 96, or sampler = balanced"));
    let mut study = study();
    study.train.batch = 128;
    assert!(check(&study, &rare).is_empty());
    study.train.batch = 32;
    study.train.sampler = Sampler::Balanced;
    assert!(check(&study, &rare).is_empty());
}

#[test]
fn accuracy_is_easy_on_unbalanced_classes() {
    let mut study = study();
    study.train.sampler = Sampler::Balanced;
    study.evaluate.primary = Metric::Accuracy;
    assert_eq!(
        told(&check(&study, &dataset(&balanced(&[70, 5, 25]), 3))),
        (Code::W0602, "`accuracy` is the primary metric at 14 : 1", vec!["always answering c0 scores 70 %"])
    );
    assert!(check(&study, &dataset(&balanced(&[70, 30]), 2)).is_empty());
}

#[test]
fn one_file_under_two_patients() {
    let mut data = dataset(&balanced(&[50, 50]), 2);
    data.images[150].name = "3.png".into();
    assert_eq!(
        told(&check(&study(), &data)),
        (Code::E0206, "`3.png` belongs to two patients", vec!["to `p1` in row 5 and to `p75` in row 152"])
    );
}

#[test]
fn identical_files_are_found_by_their_bytes() {
    let digests = ["same", "other", "same", "same", "diff", "same", "longer", "last"];
    let data = dataset(&[(0, 0), (1, 0), (0, 1), (2, 1), (3, 0), (2, 0), (4, 1), (5, 1)], 2);
    let pairs = audit::identical(&data, &digests);
    assert_eq!(pairs, [audit::Pair { first: 0, second: 3 }]);
    let mut problems = Problems::new();
    audit::tell(&data, &pairs, &places(), &mut problems);
    let problems: Vec<Diagnostic> = problems.sorted().into_iter().cloned().collect();
    assert_eq!(
        told(&problems),
        (Code::E0206, "`0.png` and `3.png` are identical", vec!["they belong to patients `p0` and `p2`"])
    );
}
