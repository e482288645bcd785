//! Real tables, read as a study reads them; and how long a large one takes.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indexmap::IndexMap;
use pipe::data::{self, Dataset, class_counts, portion};
use pipe::diag::Problems;
use pipe::host::{MemHost, RealHost};
use pipe::study::{
    Comparison, CrossValidation, Data, FoldKind, Group, ImageColumn, Limit, Multiclass, OnMissing, Places, Predicate,
    Scalar, Source, Split, WhenMany, WhenOther,
};

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");

fn study_of(table: &str, under: &str) -> Data {
    Data {
        source: Source::Csv { path: PathBuf::from(table) },
        image: Some(ImageColumn { column: "image".into(), under: PathBuf::from(under) }),
        label: "label".into(),
        labels: Multiclass { split_on: None, when_many: WhenMany::Error, when_other: WhenOther::Error },
        classes: None,
        merge: IndexMap::new(),
        group: Group::Column("patient".into()),
        keep: None,
        limit: None,
        on_missing: OnMissing::Error,
    }
}

fn grouped(folds: u32) -> Split {
    let cv = CrossValidation { kind: FoldKind::StratifiedGroupKFold, folds, shuffle: true, seed: None };
    Split { holdout: 0.0, holdout_rows: None, cv, validation: 0.0, run: Vec::new() }
}

fn build(data: &Data, base: &Path) -> Dataset {
    let mut problems = Problems::new();
    let dataset = data::build(data, &grouped(5), &[], 42, base, &RealHost, &Places::default(), &mut problems);
    assert!(problems.is_empty(), "{:?}", problems.sorted());
    dataset.unwrap()
}

/// (images, patients) in all, then (class, images, patients) of each class.
fn counts(dataset: &Dataset) -> (u32, u32, Vec<(&str, u32, u32)>) {
    let all: Vec<usize> = (0..dataset.images.len()).collect();
    let whole = portion(dataset, &all);
    assert_eq!(whole.class_images, class_counts(dataset));
    let classes = dataset.classes.iter().zip(&whole.class_images).zip(&whole.class_patients);
    let classes = classes.map(|((class, images), patients)| (class.as_str(), *images, *patients)).collect();
    (whole.images, whole.patients, classes)
}

fn shared_data(name: &str) -> Option<PathBuf> {
    let folder = Path::new(SHARED).join("data").join(name);
    if folder.join("labels.csv").exists() {
        return Some(folder);
    }
    eprintln!("skipped: ../shared is not here");
    None
}

#[test]
fn the_paediatric_table_has_the_counts_of_its_source() {
    let Some(folder) = shared_data("cxr_kermany") else { return };
    let dataset = build(&study_of("labels.csv", "."), &folder);
    assert_eq!(counts(&dataset), (999, 374, vec![("bacteria", 500, 234), ("normal", 240, 110), ("virus", 259, 215)]));
    let bytes: Vec<_> = (0..999).map(|index| data::read_image(&dataset, &RealHost, index).unwrap()).collect();
    assert!(data::audit::identical(&dataset, &bytes).is_empty(), "its source dropped identical files");
    let bytes = data::read_image(&dataset, &RealHost, 0).unwrap();
    assert!(bytes.starts_with(b"\xFF\xD8"), "a JPEG");
}

#[test]
fn the_adult_table_has_the_counts_of_its_source() {
    let Some(folder) = shared_data("cxr_nih") else { return };
    let mut data = study_of("labels.csv", ".");
    let dataset = build(&data, &folder);
    assert_eq!(counts(&dataset), (1000, 682, vec![("no_finding", 500, 332), ("pneumonia", 500, 371)]));
    // The patient's name is a text: its zeros stay.
    assert_eq!(dataset.patients.first().map(String::as_str), Some("00001280"));

    data.keep = Some(Predicate::And(
        Box::new(Predicate::Within { column: "age".into(), start: 16.0, end: 100.0, inclusive: true }),
        Box::new(Predicate::Compare {
            column: "view".into(),
            comparison: Comparison::NotEqual,
            value: Scalar::Text("LL".into()),
        }),
    ));
    data.limit = Some(Limit::Each(100));
    let limited = build(&data, &folder);
    assert_eq!(class_counts(&limited), [100, 100]);
    let again = build(&data, &folder);
    assert_eq!(limited, again);
}

/// A table as large as NIH ChestX-ray14's, with its header, its 12 columns and its several findings a row.
pub(crate) fn nih_like(rows: u32) -> String {
    let findings = ["No Finding", "Infiltration", "Effusion", "Atelectasis", "Nodule", "Mass", "Pneumothorax"];
    let mut table = String::from(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
         OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n",
    );
    for row in 0..rows {
        let (patient, follow_up) = (1 + row * 30 / 109, row % 4);
        let first = findings.get((row * 7 % 11) as usize).unwrap_or(&"No Finding");
        let label = if row % 6 == 0 { format!("{first}|Edema") } else { (*first).to_owned() };
        let (age, sex) = (20 + patient % 60, if patient % 2 == 0 { "F" } else { "M" });
        let view = if row % 3 == 0 { "AP" } else { "PA" };
        writeln!(
            table,
            "{patient:08}_{row:06}.png,{label},{follow_up},{patient},{age},{sex},{view},2682,2749,0.143,0.143,"
        )
        .unwrap();
    }
    table
}

fn nih_study() -> Data {
    Data {
        image: Some(ImageColumn { column: "Image Index".into(), under: "images".into() }),
        label: "Finding Labels".into(),
        labels: Multiclass { split_on: Some("|".into()), when_many: WhenMany::Drop, when_other: WhenOther::Error },
        group: Group::Column("Patient ID".into()),
        keep: Some(Predicate::And(
            Box::new(Predicate::Within { column: "Patient Age".into(), start: 16.0, end: 100.0, inclusive: true }),
            Box::new(Predicate::OneOf {
                column: "View Position".into(),
                values: vec![Scalar::Text("PA".into()), Scalar::Text("AP".into())],
            }),
        )),
        ..study_of("Data_Entry_2017.csv", "images")
    }
}

#[test]
fn a_table_with_commas_in_its_header_is_read() {
    let table = nih_like(500);
    let mut host = MemHost::new().with("/nih/Data_Entry_2017.csv", table.as_str());
    for line in table.lines().skip(1) {
        let name = line.split(',').next().unwrap();
        host = host.with(format!("/nih/images/{name}"), "");
    }
    let mut problems = Problems::new();
    let dataset =
        data::build(&nih_study(), &grouped(5), &[], 1, Path::new("/nih"), &host, &Places::default(), &mut problems)
            .unwrap();
    assert!(problems.is_empty(), "{:?}", problems.sorted());
    assert_eq!(dataset.flow.first().map(|step| step.images), Some(500));
    assert_eq!(dataset.images.len(), 500 - 84, "every sixth row has two findings");
    assert_eq!(dataset.classes.len(), 7);
}

/// `cargo test --release --test it -- --ignored --nocapture a_large_table`
#[test]
#[ignore = "prints times; run it by hand in release"]
fn a_large_table_is_read_in_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let table = nih_like(112_120);
    std::fs::write(folder.path().join("Data_Entry_2017.csv"), &table).unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    for line in table.lines().skip(1) {
        std::fs::File::create(images.join(line.split(',').next().unwrap())).unwrap();
    }
    for round in 0..3 {
        let start = Instant::now();
        let bytes = std::fs::read(folder.path().join("Data_Entry_2017.csv")).unwrap();
        let read = start.elapsed();
        let header = data::csv::header(&bytes).unwrap();
        let table = data::csv::read(&bytes, &header, &[0, 1, 3, 4, 6]).unwrap();
        let parsed = start.elapsed().saturating_sub(read);
        assert_eq!(table.rows(), 112_120);
        let start = Instant::now();
        let dataset = build(&nih_study(), folder.path());
        let whole = start.elapsed();
        eprintln!(
            "round {round}: {} MB read {read:.0?}, parsed {parsed:.0?}; data set of {} images in {whole:.0?}",
            bytes.len() / 1_000_000,
            dataset.images.len()
        );
    }
}
