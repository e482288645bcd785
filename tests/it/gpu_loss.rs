//! The kernels of the loss on a CubeCL device against the host's double precision.
//!
//! By default on Vulkan, where Mesa's software driver will do (`cargo test --features vulkan --test it gpu_`). Only our own kernels run
//! on the device, because that driver crashes on burn's reductions. `PIPE_GPU_GRID=all` runs every size.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use pipe::draw::{DrawKey, Stage, Stream};
use pipe::kernels::mix::{Kind, Mix, Targets, Term, launches, mix};

const TOLERANCE: f64 = 1e-5;

fn device() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0_usize).autodiff();
    #[cfg(not(feature = "cuda"))]
    Device::vulkan(DeviceKind::DefaultDevice).autodiff()
}

struct Batch {
    classes: usize,
    logits: Vec<f32>,
    targets: Vec<f32>,
    labels: Option<Vec<f32>>,
}

fn stream(seed: u64) -> Stream {
    DrawKey { seed, stage: Stage::Initialise, epoch: 0, sample: 0 }.stream()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small figures"
)]
impl Batch {
    /// `scale` 3 gives confident and doubtful rows; the last class is absent where there are more than two.
    fn new(rows: usize, classes: usize, hard: bool, scale: f64, seed: u64) -> Self {
        let mut draw = stream(seed);
        let logits = (0..rows * classes).map(|_| (scale * draw.normal()) as f32).collect();
        let present = if classes > 2 { classes - 1 } else { classes };
        let mut targets = vec![0.0_f32; rows * classes];
        let mut labels = Vec::new();
        for row in targets.chunks_exact_mut(classes) {
            let mut one = || ((draw.normal().abs() * 1e6) as usize) % present;
            let (first, second) = (one(), one());
            labels.push(first as f32);
            if hard {
                row[first] = 1.0;
            } else {
                row[first] += 0.75;
                row[second] += 0.25;
            }
        }
        Self { classes, logits, targets, labels: hard.then_some(labels) }
    }

    fn rows(&self) -> usize {
        self.logits.len() / self.classes
    }
}

struct Answer {
    total: f64,
    terms: Vec<f64>,
    gradient: Vec<f64>,
}

#[expect(clippy::cast_possible_truncation, reason = "kernels work in single precision")]
fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Launches are counted for the process, so that one test at a time launches.
static ALONE: Mutex<()> = Mutex::new(());

fn on_device(mixed: &Arc<Mix>, batch: &Batch) -> Answer {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = device();
    let shape = [batch.rows(), batch.classes];
    let logits = Tensor::<2>::from_data(TensorData::new(batch.logits.clone(), shape), &device).require_grad();
    let targets = match &batch.labels {
        Some(labels) => Targets::Classes(Tensor::from_data(TensorData::new(labels.clone(), [labels.len()]), &device)),
        None => Targets::Shares(Tensor::from_data(TensorData::new(batch.targets.clone(), shape), &device)),
    };
    let before = launches();
    let result = mix(mixed, logits.clone(), targets);
    let gradients = result.total.backward();
    let gradient = numbers(logits.grad(&gradients).unwrap());
    let total = numbers(result.total)[0];
    let f1 = mixed.terms.iter().any(|term| term.kind == Kind::SoftF1);
    let kernels = 3 + usize::from(f1) + usize::from(f1 && batch.classes > 32);
    assert_eq!(launches() - before, kernels, "not these kernels ran");
    Answer { total, terms: numbers(result.terms), gradient }
}

/// The largest error, each relative to the largest figure of its kind.
fn error(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    assert!(theirs.iter().all(|figure| figure.is_finite()), "the reference is not finite");
    let largest = theirs.iter().fold(1e-12, |most: f64, x| most.max(x.abs()));
    ours.iter()
        .zip(theirs)
        .map(|(a, b)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() / largest })
        .fold(0.0, f64::max)
}

fn term(weight: f64, kind: Kind, smoothing: f64) -> Term {
    Term { weight, kind, smoothing, class_weights: None }
}

fn of(classes: usize, terms: Vec<Term>) -> Arc<Mix> {
    Arc::new(Mix { classes, terms })
}

fn check(what: &str, mixed: &Arc<Mix>, batch: &Batch) -> f64 {
    let host = mixed.on_host(&batch.logits, &batch.targets);
    let ours = on_device(mixed, batch);
    let [total, terms, gradient] = [
        error(&[ours.total], &[host.value]),
        ours.terms.iter().zip(&host.terms).map(|(a, b)| error(&[*a], &[*b])).fold(0.0, f64::max),
        error(&ours.gradient, &host.gradient),
    ];
    let worst = total.max(terms).max(gradient);
    eprintln!("{what}: sum {total:.1e}, terms {terms:.1e}, gradient {gradient:.1e}");
    assert!(worst < TOLERANCE, "{what}: sum {total:e}, terms {terms:e}, gradient {gradient:e}");
    worst
}

#[test]
fn gpu_each_loss_equals_the_host() {
    let kinds = [
        ("cross-entropy", Kind::CrossEntropy),
        ("focal 2", Kind::Focal { gamma: 2.0, alpha: 0.25 }),
        ("focal 0", Kind::Focal { gamma: 0.0, alpha: 1.0 }),
        ("focal 1.5", Kind::Focal { gamma: 1.5, alpha: 0.4 }),
        ("focal 0.5", Kind::Focal { gamma: 0.5, alpha: 0.4 }),
        ("kl", Kind::Kl),
        ("soft f1", Kind::SoftF1),
    ];
    for (name, kind) in kinds {
        for smoothing in [0.0, 0.1] {
            for hard in [true, false] {
                for (rows, classes) in [(33, 3), (5, 10), (9, 40)] {
                    let what = format!("{name}, smoothing {smoothing}, hard {hard}, {rows} x {classes}");
                    let mixed = of(classes, vec![term(0.7, kind, smoothing)]);
                    check(&what, &mixed, &Batch::new(rows, classes, hard, 3.0, 7));
                }
            }
        }
    }
}

/// Sums of several terms, of every size: narrow and wide rows, one row, and (the last two) more rows than a launch takes at once.
#[test]
fn gpu_mixes_of_every_size_equal_the_host() {
    let all = std::env::var("PIPE_GPU_GRID").is_ok_and(|grid| grid == "all");
    let mut worst = 0.0_f64;
    let mut run = 0;
    let grid = [1, 2, 31, 32, 33, 257, 4096].into_iter().enumerate().flat_map(|(at, rows)| {
        let classes = [2, 3, 9, 10, 31, 32, 33, 1000, 21_843].into_iter().enumerate();
        classes.map(move |(also, classes)| (at, also, rows, classes))
    });
    // the largest take many seconds each without a GPU
    let grid = grid.filter(|(_, _, rows, classes)| all || rows * classes <= 300_000);
    for (at, also, rows, classes) in grid.chain([(8, 0, 70_000, 2), (8, 1, 33_000, 33)]) {
        {
            let seed = (at * 16 + also) as u64;
            let mut draw = stream(1000 + seed);
            let mut weight = || 0.1 + draw.normal().abs();
            let weights: Vec<f64> = (0..classes).map(|_| weight()).collect();
            let mixed = of(
                classes,
                vec![
                    term(weight(), Kind::CrossEntropy, 0.1),
                    Term {
                        class_weights: Some(weights),
                        ..term(weight(), Kind::Focal { gamma: 1.0 + weight(), alpha: weight() }, 0.0)
                    },
                    term(weight(), Kind::SoftF1, 0.0),
                    term(weight(), Kind::Kl, 0.05),
                ],
            );
            let hard = (at + also) % 2 == 0;
            let what = format!("{rows} x {classes}, hard {hard}");
            worst = worst.max(check(&what, &mixed, &Batch::new(rows, classes, hard, 2.0, seed)));
            run += 1;
        }
    }
    eprintln!("{run} sizes, worst relative error {worst:.1e}");
    assert!(run >= 50);
}

#[test]
fn gpu_losses_equal_keras() {
    let file: serde_json::Value = serde_json::from_str(include_str!("../fixtures/train/loss_cases.json")).unwrap();
    let mut worst = 0.0_f64;
    for case in file["cases"].as_array().unwrap() {
        let read = crate::loss::Case::of(case);
        let batch =
            Batch { classes: read.classes, logits: single(&read.logits), targets: single(&read.targets), labels: None };
        let ours = on_device(read.loss.mix(), &batch);
        let off = error(&[ours.total], &[read.value]).max(error(&ours.gradient, &read.gradient));
        assert!(off < TOLERANCE, "{}: {off:e}", case["terms"]);
        worst = worst.max(off);
    }
    eprintln!("worst relative error {worst:.1e}");
}

#[test]
fn gpu_losses_of_huge_logits_are_finite_and_right() {
    let logits = vec![1e4_f32, -1e4, 0.0, -1e4, 1e4, 9999.0, 12.0, 30.0, 29.5];
    let targets = vec![0.0_f32, 1.0, 0.0, 0.0, 1.0, 0.0, 0.2, 0.3, 0.5];
    for kind in [Kind::CrossEntropy, Kind::Focal { gamma: 2.0, alpha: 0.25 }, Kind::Kl, Kind::SoftF1] {
        let batch = Batch { classes: 3, logits: logits.clone(), targets: targets.clone(), labels: None };
        check(&format!("{kind:?}"), &of(3, vec![term(1.0, kind, 0.0)]), &batch);
    }
}

/// What is no number, and what is no class, makes the sum NaN here as on the host, so that training stops.
#[test]
fn gpu_nonsense_makes_the_sum_nan_as_on_the_host() {
    let kinds = [Kind::CrossEntropy, Kind::Focal { gamma: 2.0, alpha: 0.25 }, Kind::Kl, Kind::SoftF1];
    for (kind, classes, wrong) in kinds.into_iter().flat_map(|kind| {
        [3, 40]
            .into_iter()
            .flat_map(move |classes| [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(|wrong| (kind, classes, wrong)))
    }) {
        let mixed = of(classes, vec![term(1.0, kind, 0.1)]);
        for (at, hard) in [(0, true), (2, false), (2 * classes - 1, true)] {
            let mut batch = Batch::new(2, classes, hard, 1.0, 3);
            batch.logits[at] = wrong;
            assert!(mixed.on_host(&batch.logits, &batch.targets).value.is_nan(), "{kind:?}");
            assert!(on_device(&mixed, &batch).total.is_nan(), "{kind:?} of {classes}: logit {at} is {wrong}");
        }
        let mut batch = Batch::new(2, classes, true, 1.0, 3);
        batch.labels = Some(vec![0.0, -1.0]);
        assert!(on_device(&mixed, &batch).total.is_nan(), "{kind:?} of {classes}: no class");
    }
    let mixed = of(3, vec![term(1.0, Kind::CrossEntropy, 0.0), term(0.5, Kind::SoftF1, 0.0)]);
    for wrong in [-1.0, 3.0, 0.5, f32::NAN] {
        let mut batch = Batch::new(2, 3, true, 1.0, 3);
        batch.labels = Some(vec![1.0, wrong]);
        assert!(on_device(&mixed, &batch).total.is_nan(), "label {wrong}");
        let device = Device::flex();
        let logits = Tensor::<2>::from_data(TensorData::new(batch.logits.clone(), [2, 3]), &device);
        let labels = Tensor::<1>::from_data(TensorData::new(vec![1.0, wrong], [2]), &device);
        assert!(numbers(mix(&mixed, logits, Targets::Classes(labels)).total)[0].is_nan(), "label {wrong} on the host");
    }
}

#[test]
fn gpu_weights_of_zero_and_batches_of_one_class() {
    let mut batch = Batch::new(8, 4, true, 2.0, 5);
    batch.targets = [0.0, 0.0, 1.0, 0.0].repeat(8);
    batch.labels = Some(vec![2.0; 8]);
    let mixed = of(4, vec![term(0.0, Kind::CrossEntropy, 0.0), term(1.0, Kind::SoftF1, 0.0)]);
    check("one class", &mixed, &batch);
    let nothing = of(4, vec![term(0.0, Kind::CrossEntropy, 0.0), term(0.0, Kind::SoftF1, 0.0)]);
    let ours = on_device(&nothing, &batch);
    assert!(ours.total == 0.0 && ours.gradient.iter().all(|g| *g == 0.0));
}

/// The same input gives the same bits, and rows may lie in memory as they like.
#[test]
fn gpu_bits_are_the_same_each_time_and_columns_may_lie_in_rows() {
    for classes in [10, 40] {
        let batch = Batch::new(300, classes, false, 2.0, 11);
        let terms = vec![term(0.6, Kind::Focal { gamma: 2.0, alpha: 0.25 }, 0.0), term(0.4, Kind::SoftF1, 0.0)];
        let mixed = of(classes, terms);
        let first = on_device(&mixed, &batch);
        for _ in 0..3 {
            let again = on_device(&mixed, &batch);
            assert_eq!(first.total.to_bits(), again.total.to_bits());
            assert_eq!(first.gradient, again.gradient);
        }
        let device = device();
        let turned: Vec<f32> =
            (0..classes).flat_map(|k| batch.logits.iter().skip(k).step_by(classes).copied()).collect();
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = Tensor::<2>::from_data(TensorData::new(turned, [classes, 300]), &device).require_grad();
        let targets = Tensor::from_data(TensorData::new(batch.targets.clone(), [300, classes]), &device);
        let result = mix(&mixed, columns.clone().transpose(), Targets::Shares(targets));
        let gradients = result.total.backward();
        let gradient = numbers(columns.grad(&gradients).unwrap().transpose());
        assert_eq!(numbers(result.total)[0].to_bits(), first.total.to_bits());
        assert_eq!(gradient, first.gradient);
    }
}

/// What the training loop calls runs the kernels where its tensors lie on such a device.
#[test]
fn gpu_training_uses_the_kernels() {
    let loss = pipe::study::LossTerm {
        weight: 1.0,
        kind: pipe::study::LossKind::SoftF1,
        smoothing: 0.0,
        class_weights: pipe::study::ClassWeights::None,
    };
    let loss = pipe::train::MixedLoss::new(&[loss], 3, &[1, 1, 1]).unwrap();
    let batch = Batch::new(4, 3, false, 1.0, 1);
    let tensor = |values: &[f32]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [4, 3]), &device());
    let logits = tensor(&batch.logits).require_grad();
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = launches();
    let value = loss.forward(logits.clone(), tensor(&batch.targets));
    assert_eq!(launches() - before, 3, "rows, classes, total");
    let gradients = value.total.backward();
    assert_eq!(launches() - before, 4, "and one backward");
    assert!(logits.grad(&gradients).is_some());
    let host = loss.on_host(&batch.logits, &batch.targets);
    assert!((host.value - value.value).abs() < 1e-6 && value.terms.len() == 1);
}

/// Half-precision logits, where the device has them: arithmetic stays single, so that only the rounding of the input is felt.
#[test]
fn gpu_half_precision_logits() {
    use burn::tensor::DType;
    for classes in [12, 40] {
        let batch = Batch::new(20, classes, false, 2.0, 21);
        let mixed =
            of(classes, vec![term(0.6, Kind::Focal { gamma: 2.0, alpha: 0.25 }, 0.0), term(0.4, Kind::SoftF1, 0.0)]);
        for dtype in [DType::F16, DType::BF16] {
            let device = device();
            if !device.supports_dtype(dtype) {
                eprintln!("skipped: the device has no {dtype:?}");
                continue;
            }
            let logits = TensorData::new(batch.logits.clone(), [20, classes]).convert_dtype(dtype);
            let rounded: Vec<f32> = logits.iter().collect();
            let host = mixed.on_host(&rounded, &batch.targets);
            let logits = Tensor::<2>::from_data(logits, (&device, dtype)).require_grad();
            let targets = Tensor::from_data(TensorData::new(batch.targets.clone(), [20, classes]), &device);
            let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
            let result = mix(&mixed, logits.clone(), Targets::Shares(targets));
            let gradients = result.total.backward();
            let gradient = numbers(logits.grad(&gradients).unwrap());
            assert!(error(&[numbers(result.total)[0]], &[host.value]) < TOLERANCE);
            let rounding = if dtype == DType::F16 { 1e-3 } else { 8e-3 };
            assert!(error(&gradient, &host.gradient) < rounding, "{:e}", error(&gradient, &host.gradient));
        }
    }
}
