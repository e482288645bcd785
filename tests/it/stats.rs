//! Figures against scikit-learn's on stored cases, to 1e-9.
#![expect(clippy::unwrap_used, reason = "tests")]

use pipe::record::{Figures, Prediction};
use pipe::stats;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    classes: usize,
    labels: Vec<u32>,
    patients: Vec<u32>,
    folds: Vec<u32>,
    probabilities: Vec<Vec<f32>>,
    image: Expected,
    patient: Expected,
    per_fold: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    count: u32,
    accuracy: f64,
    balanced_accuracy: f64,
    macro_f1: f64,
    auroc: Option<f64>,
    log_loss: f64,
    ece: f64,
    confusion: Vec<Vec<u32>>,
    precision: Vec<f64>,
    recall: Vec<f64>,
    f1: Vec<f64>,
    support: Vec<u32>,
    areas: Vec<Option<f64>>,
}

fn near(what: &str, ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() <= 1e-9, "{what}: {ours} is not scikit-learn's {theirs}");
}

fn near_if_any(what: &str, ours: Option<f64>, theirs: Option<f64>) {
    assert_eq!(ours.is_some(), theirs.is_some(), "{what}");
    near(what, ours.unwrap_or(0.0), theirs.unwrap_or(0.0));
}

fn hold_against_scikit_learn(what: &str, ours: &Figures, theirs: &Expected) {
    assert_eq!(ours.count, theirs.count, "{what}");
    near(&format!("{what}, accuracy"), ours.accuracy, theirs.accuracy);
    near(&format!("{what}, balanced accuracy"), ours.balanced_accuracy, theirs.balanced_accuracy);
    near(&format!("{what}, macro F1"), ours.macro_f1, theirs.macro_f1);
    near_if_any(&format!("{what}, AUROC"), ours.auroc, theirs.auroc);
    near(&format!("{what}, log loss"), ours.log_loss, theirs.log_loss);
    near(&format!("{what}, calibration error"), ours.ece, theirs.ece);
    assert_eq!(ours.confusion, theirs.confusion, "{what}");
    for (class, figures) in ours.classes.iter().enumerate() {
        let what = format!("{what}, class {class}");
        near(&what, figures.precision, theirs.precision[class]);
        near(&what, figures.recall, theirs.recall[class]);
        near(&what, figures.f1, theirs.f1[class]);
        assert_eq!(figures.support, theirs.support[class], "{what}");
        near_if_any(&what, figures.auroc, theirs.areas[class]);
        let curve = &figures.roc;
        assert_eq!(curve.is_empty(), figures.auroc.is_none());
        let area: f64 = curve.windows(2).map(|p| (p[1].0 - p[0].0) * (p[1].1 + p[0].1) / 2.0).sum();
        near_if_any(&format!("{what}, under its curve"), figures.auroc.map(|_| area), figures.auroc);
    }
    let binned: u32 = ours.calibration.iter().map(|bin| bin.count).sum();
    assert_eq!(binned, ours.count, "{what}: every unit is in one bin");
}

fn predictions(case: &Case) -> Vec<Prediction> {
    (0..case.labels.len())
        .map(|row| Prediction {
            image: format!("{row}.png"),
            patient: format!("p{}", case.patients[row]),
            fold: Some(case.folds[row]),
            label: case.labels[row],
            probabilities: case.probabilities[row].clone(),
        })
        .collect()
}

#[test]
fn stats_equal_scikit_learn() {
    let stored: Cases = serde_json::from_str(include_str!("../fixtures/stats/cases.json")).unwrap();
    assert!(stored.cases.len() >= 8);
    for case in &stored.cases {
        let name = &case.name;
        let rows = predictions(case);
        hold_against_scikit_learn(name, &stats::figures(case.classes, &case.labels, &case.probabilities), &case.image);
        let evaluation = stats::evaluate(case.classes, &rows);
        hold_against_scikit_learn(&format!("{name}, by image"), &evaluation.image, &case.image);
        hold_against_scikit_learn(&format!("{name}, by patient"), &evaluation.patient, &case.patient);
        assert_eq!(evaluation.per_fold.len(), case.per_fold.len());
        for (ours, theirs) in evaluation.per_fold.iter().zip(&case.per_fold) {
            hold_against_scikit_learn(&format!("{name}, fold {}", ours.fold), &ours.figures, theirs);
        }
    }
}

#[test]
fn stats_are_a_function_of_the_written_predictions() {
    let stored: Cases = serde_json::from_str(include_str!("../fixtures/stats/cases.json")).unwrap();
    for case in &stored.cases {
        let mut rows = predictions(case);
        let before = stats::evaluate(case.classes, &rows);
        rows.push(Prediction { fold: None, ..rows[0].clone() });
        let names: Vec<String> = (0..case.classes).map(|class| format!("class {class}")).collect();
        let (classes, read) = stats::predictions::from_csv(&stats::predictions::to_csv(&names, &rows)).unwrap();
        assert_eq!((&classes, &read), (&names, &rows));
        assert_eq!(stats::evaluate(classes.len(), &read), before, "{}: the hold-out takes no part", case.name);
    }
}
