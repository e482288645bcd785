//! The losses against Keras: values and gradients of `tests/fixtures/train/loss_cases.json`
//! (made by `make_loss_cases.py`) and of the file that `PIPE_LOSS_CASES` names, if it does.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use burn::tensor::{Device, Tensor, TensorData};
use indexmap::IndexMap;
use pipe::study::{ClassWeights, LossKind, LossTerm};
use pipe::train::MixedLoss;
use serde_json::Value;

const TOLERANCE: f64 = 1e-5;

fn number(term: &Value, name: &str, default: f64) -> f64 {
    term.get(name).map_or(default, |value| value.as_f64().unwrap())
}

fn term(written: &Value) -> LossTerm {
    let kind = match written["loss"].as_str().unwrap() {
        "cross_entropy" => LossKind::CrossEntropy,
        "focal" => LossKind::Focal { gamma: number(written, "gamma", 2.0), alpha: number(written, "alpha", 0.25) },
        "kl" => LossKind::Kl,
        "soft_f1" => LossKind::SoftF1,
        other => panic!("a loss called {other}"),
    };
    let smoothing = number(written, "smoothing", if kind == LossKind::Kl { 0.1 } else { 0.0 });
    LossTerm { weight: number(written, "weight", 1.0), kind, smoothing, class_weights: ClassWeights::None }
}

fn simple(kind: LossKind, class_weights: ClassWeights) -> LossTerm {
    LossTerm { weight: 1.0, kind, smoothing: 0.0, class_weights }
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().map_or_else(|| vec![value.as_f64().unwrap()], |items| items.iter().flat_map(floats).collect())
}

#[expect(clippy::cast_possible_truncation, reason = "the network works in single precision")]
fn matrix(values: &[f64], columns: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    let rows = values.len() / columns;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Value (from the tensor), value (from the host) and gradient.
fn run(loss: &MixedLoss, logits: &[f64], targets: &[f64], classes: usize) -> (f64, f64, Vec<f64>) {
    let device = Device::flex().autodiff();
    let z = matrix(logits, classes, &device).require_grad();
    let result = loss.forward(z.clone(), matrix(targets, classes, &device));
    let gradients = result.total.backward();
    let gradient = z.grad(&gradients).unwrap().into_data().iter::<f32>().map(f64::from).collect();
    (f64::from(result.total.into_scalar::<f32>()), result.value, gradient)
}

fn one_hot(labels: &[usize], classes: usize) -> Vec<f64> {
    labels.iter().flat_map(|&label| (0..classes).map(move |k| f64::from(u8::from(k == label)))).collect()
}

fn labels(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|label| usize::try_from(label.as_u64().unwrap()).unwrap()).collect()
}

/// A case of a file.
pub(crate) struct Case {
    pub(crate) loss: MixedLoss,
    pub(crate) classes: usize,
    pub(crate) logits: Vec<f64>,
    pub(crate) targets: Vec<f64>,
    pub(crate) value: f64,
    pub(crate) gradient: Vec<f64>,
}

impl Case {
    pub(crate) fn of(case: &Value) -> Self {
        let classes = usize::try_from(case["classes"].as_u64().unwrap()).unwrap();
        let terms: Vec<LossTerm> = case["terms"].as_array().unwrap().iter().map(term).collect();
        Self {
            loss: MixedLoss::new(&terms, classes, &vec![1; classes]).unwrap(),
            classes,
            logits: floats(&case["logits"]),
            targets: match case.get("targets") {
                Some(soft) => floats(soft),
                None => one_hot(&labels(&case["labels"]), classes),
            },
            value: case["value"].as_f64().unwrap(),
            gradient: floats(&case["gradient"]),
        }
    }
}

/// The largest error of value and gradient, each relative to its own largest size.
fn error_of(case: &Value) -> f64 {
    let Case { loss, classes, logits, targets, value: expected, gradient: expected_gradient } = Case::of(case);
    let (value, host, gradient) = run(&loss, &logits, &targets, classes);
    let largest = expected_gradient.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    assert_eq!(gradient.len(), expected_gradient.len());
    assert!(value.is_finite() && host.is_finite() && gradient.iter().all(|g| g.is_finite()));
    let worst = gradient.iter().zip(&expected_gradient).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let relative = |error: f64, size: f64| if size == 0.0 { error } else { error / size };
    relative((value - expected).abs(), expected.abs())
        .max(relative((host - expected).abs(), expected.abs()))
        .max(relative(worst, largest))
}

fn check_file(text: &str) -> usize {
    let file: Value = serde_json::from_str(text).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let mut worst = 0.0;
    for (index, case) in cases.iter().enumerate() {
        let error = error_of(case);
        assert!(error <= TOLERANCE, "case {index} ({} {}): off by {error:e}", case["batch"], case["terms"]);
        worst = f64::max(worst, error);
    }
    eprintln!("{} cases, worst relative error {worst:e}", cases.len());
    cases.len()
}

#[test]
fn loss_values_and_gradients_equal_keras() {
    assert_eq!(check_file(include_str!("../fixtures/train/loss_cases.json")), 60);
    if let Ok(path) = std::env::var("PIPE_LOSS_CASES") {
        assert!(check_file(&std::fs::read_to_string(path).unwrap()) > 0);
    }
}

/// Keras's `class_weight`: each image's loss times the weight of its class, plain mean over the batch.
#[test]
fn loss_class_weights_scale_each_image() {
    let given: IndexMap<String, f64> = [("a".to_owned(), 3.0), ("b".to_owned(), 0.5)].into_iter().collect();
    let weighted = MixedLoss::new(&[simple(LossKind::CrossEntropy, ClassWeights::Given(given))], 2, &[1, 1]).unwrap();
    let plain = MixedLoss::new(&[simple(LossKind::CrossEntropy, ClassWeights::None)], 2, &[1, 1]).unwrap();
    let logits = [0.3, -1.0, 2.0, 0.1, -0.4, 0.9];
    let each: Vec<f64> = [(0, 0), (2, 1), (4, 1)]
        .iter()
        .map(|&(at, label)| plain.on_host(&logits[at..at + 2], &one_hot(&[label], 2)).value)
        .collect();
    let all = weighted.on_host(&logits, &one_hot(&[0, 1, 1], 2));
    let expected = (3.0 * each[0] + 0.5 * each[1] + 0.5 * each[2]) / 3.0;
    assert!((all.value - expected).abs() < 1e-14);
    // a mixed target takes the mixture of the weights: 0.25 * 3 + 0.75 * 0.5
    let mixed = weighted.on_host(&logits[..2], &[0.25, 0.75]).value;
    assert!((mixed - 1.125 * plain.on_host(&logits[..2], &[0.25, 0.75]).value).abs() < 1e-14);
}

#[test]
fn loss_balanced_weights_are_those_of_scikit_learn() {
    // compute_class_weight("balanced") of 6, 3 and 1 images: 10/18, 10/9, 10/3
    let loss = MixedLoss::new(&[simple(LossKind::CrossEntropy, ClassWeights::Balanced)], 3, &[6, 3, 1]).unwrap();
    for (label, weight) in [(0, 10.0 / 18.0), (1, 10.0 / 9.0), (2, 10.0 / 3.0)] {
        let value = loss.on_host(&[0.0, 0.0, 0.0], &one_hot(&[label], 3)).value;
        assert!((value - weight * 3.0_f64.ln()).abs() < 1e-12);
    }
    let two = ClassWeights::Given([("a".to_owned(), 1.0)].into_iter().collect());
    assert!(MixedLoss::new(&[simple(LossKind::CrossEntropy, two)], 3, &[1, 1, 1]).is_err());
}

/// Central differences of the value, in double precision, on soft targets and with class weights.
#[test]
fn loss_gradients_equal_differences() {
    let kinds = [LossKind::CrossEntropy, LossKind::Focal { gamma: 1.5, alpha: 0.4 }, LossKind::Kl, LossKind::SoftF1];
    let logits = [0.2, -1.3, 0.7, 2.0, 0.1, -0.6, -0.9, 0.4, 1.1];
    let targets = [0.7, 0.3, 0.0, 0.0, 1.0, 0.0, 0.1, 0.2, 0.7];
    for kind in kinds {
        let mut term = simple(kind, ClassWeights::Balanced);
        term.smoothing = 0.05;
        term.weight = 0.7;
        let loss = MixedLoss::new(&[term], 3, &[5, 2, 3]).unwrap();
        let gradient = loss.on_host(&logits, &targets).gradient;
        for at in 0..logits.len() {
            let shifted = |by: f64| {
                let mut logits = logits;
                logits[at] += by;
                loss.on_host(&logits, &targets).value
            };
            let difference = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            assert!((gradient[at] - difference).abs() < 1e-9, "{kind:?}: {} against {difference}", gradient[at]);
        }
    }
}

#[test]
fn loss_is_finite_for_huge_logits_and_nan_for_nan() {
    let kinds = [LossKind::CrossEntropy, LossKind::Focal { gamma: 0.5, alpha: 1.0 }, LossKind::Kl, LossKind::SoftF1];
    for kind in kinds {
        let loss = MixedLoss::new(&[simple(kind, ClassWeights::None)], 3, &[1, 1, 1]).unwrap();
        let (value, _, gradient) = run(&loss, &[1e4, -1e4, 0.0, -1e4, 1e4, 1e4], &one_hot(&[1, 2], 3), 3);
        assert!(value.is_finite() && gradient.iter().all(|g| g.is_finite()), "{kind:?}");
        let (value, host, _) = run(&loss, &[f64::NAN, 0.0, 0.0], &one_hot(&[1], 3), 3);
        assert!(value.is_nan() && host.is_nan(), "{kind:?}: {value}");
    }
    let loss = MixedLoss::new(&[simple(LossKind::CrossEntropy, ClassWeights::None)], 2, &[1, 1]).unwrap();
    let (value, _, gradient) = run(&loss, &[1e4, -1e4], &one_hot(&[1], 2), 2);
    assert!((value - 2e4).abs() < 1e-2);
    assert!((gradient[0] - 1.0).abs() < 1e-6 && (gradient[1] + 1.0).abs() < 1e-6);
}

#[test]
fn loss_reports_each_term_before_its_weight() {
    let mut terms = [simple(LossKind::CrossEntropy, ClassWeights::None), simple(LossKind::SoftF1, ClassWeights::None)];
    terms[0].weight = 0.6;
    terms[1].weight = 0.4;
    let (logits, targets) = ([0.5, 0.1, -0.3, 0.8], one_hot(&[0, 0], 2));
    let both = MixedLoss::new(&terms, 2, &[1, 1]).unwrap().on_host(&logits, &targets);
    for (index, kind) in [LossKind::CrossEntropy, LossKind::SoftF1].into_iter().enumerate() {
        let alone = MixedLoss::new(&[simple(kind, ClassWeights::None)], 2, &[1, 1]).unwrap();
        assert!((both.terms[index] - alone.on_host(&logits, &targets).value).abs() < 1e-15);
    }
    assert!((both.value - 0.6 * both.terms[0] - 0.4 * both.terms[1]).abs() < 1e-15);
}
