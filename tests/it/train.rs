//! Training: optimisers against their formulas, and whole folds on small phantoms.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small figures"
)]

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use indexmap::IndexMap;
use pipe::draw::{DrawKey, Stage};
use pipe::images::Pixels;
use pipe::images::cache::PreparedSet;
use pipe::nn::{Network, weights};
use pipe::study::{
    self, Augment, Backbone, Changed, ClassWeights, CrossValidation, EarlyStop, Evaluate, Filter, Fit, FoldKind,
    Freeze, Group, Head, Images, KeepEpoch, LossKind, LossTerm, Metric, Model, Multiclass, Normalize, OnMissing,
    Optimizer, Pooling, Precision, Prepare, Sampler, Schedule, Source, Split, Study, Train, Unit, Watch, Weights,
    WhenMany, WhenOther,
};
use pipe::train::{
    Event, FeatureTable, Flow, FoldInput, TorchOptimizer, TrainError, TrainedFold, features, predict, train_fold,
};
use serde_json::Value;

// --------------------------------------------------------------------------------------- optimisers

#[derive(Module, Debug)]
struct Two {
    x: Param<Tensor<2>>,
    y: Param<Tensor<1>>,
    frozen: Param<Tensor<1>>,
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn rule(case: &Value) -> Optimizer {
    let number = |name: &str| case[name].as_f64().unwrap();
    let (lr, weight_decay) = (number("lr"), number("weight_decay"));
    match case["rule"].as_str().unwrap() {
        "adam" => Optimizer::Adam { lr, weight_decay },
        "adamw" => Optimizer::AdamW { lr, weight_decay },
        "nadam" => Optimizer::NAdam { lr, weight_decay },
        "sgd" => {
            let nesterov = case["nesterov"].as_bool().unwrap();
            Optimizer::Sgd { lr, momentum: number("momentum"), nesterov, weight_decay }
        }
        "rms_prop" => Optimizer::RmsProp { lr, alpha: number("alpha"), momentum: number("momentum"), weight_decay },
        other => panic!("a rule called {other}"),
    }
}

fn vector(values: &Value, device: &Device) -> Tensor<1> {
    let values = floats(values);
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

fn quadratic(at: Tensor<1>, slope: &Value, centre: &Value) -> Tensor<1> {
    let device = at.device();
    let away = at - vector(centre, &device);
    (vector(slope, &device) * away.clone() * away).sum() * 0.5
}

fn ten_steps(file: &Value, case: &Value, tensors_only: bool) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let device = Device::flex().autodiff();
    let mut module = Two {
        x: Param::from_tensor(vector(&file["x"], &device).reshape([2, 3])),
        y: Param::from_tensor(vector(&file["y"], &device)),
        frozen: Param::from_tensor(Tensor::from_floats([1.25, -2.0], &device)).set_require_grad(false),
    };
    let rule = rule(case);
    let mut optimizer = TorchOptimizer::new(rule, case.get("clip").map(|clip| clip.as_f64().unwrap()));
    if tensors_only {
        optimizer = optimizer.with_tensors_only();
    }
    for _ in 0..file["steps"].as_u64().unwrap() {
        let loss = quadratic(module.x.val().reshape([6]), &file["a"], &file["b"])
            + quadratic(module.y.val(), &file["c"], &file["d"])
            + module.frozen.val().sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &module);
        module = optimizer.step(rule.learning_rate(), module, gradients);
    }
    let values = |data: TensorData| data.iter::<f32>().collect();
    (values(module.x.val().into_data()), values(module.y.val().into_data()), values(module.frozen.val().into_data()))
}

#[test]
fn train_optimizers_equal_the_formulas_of_torch() {
    let file: Value = serde_json::from_str(include_str!("../fixtures/train/optimizers.json")).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let (x, y, frozen) = ten_steps(&file, case, false);
        for (seen, expected) in [(&x, &case["x"]), (&y, &case["y"])] {
            for (a, b) in seen.iter().zip(floats(expected)) {
                assert!((a - b).abs() <= 2e-6 * b.abs().max(1.0), "{case}: {a} is not {b}");
            }
        }
        assert_eq!(frozen, [1.25, -2.0], "a frozen parameter moved or decayed");
        assert_eq!((x, y, frozen), ten_steps(&file, case, true), "{case}: the single pass gives other bits");
    }
}

// -------------------------------------------------------------------------------------------- folds

const SIDE: u32 = 32;
const IMAGES: usize = 40;

/// Two classes that a bright upper or lower half tells apart, with noise.
fn pixels(index: usize) -> Pixels {
    let mut draws = DrawKey { seed: 5, stage: Stage::Phantom, epoch: 0, sample: index as u64 }.stream();
    let mut image = Pixels::black(SIDE, SIDE, 1);
    for (at, level) in image.data.iter_mut().enumerate() {
        let bright = (at < image_half()) == (index.is_multiple_of(2));
        *level = draws.between(0.0, 90.0) as u8 + if bright { 120 } else { 40 };
    }
    image
}

fn image_half() -> usize {
    (SIDE * SIDE / 2) as usize
}

/// What a fold is trained from.
struct Data {
    _folder: tempfile::TempDir,
    prepared: PreparedSet,
    labels: Vec<u32>,
    classes: Vec<String>,
    train: Vec<usize>,
    validation: Vec<usize>,
}

fn data() -> Data {
    let folder = tempfile::tempdir().unwrap();
    let make = |index| Ok::<_, String>(pixels(index));
    let prepared = PreparedSet::build(&folder.path().join("set"), IMAGES, (1, SIDE), make, &|_| ()).unwrap();
    Data {
        _folder: folder,
        prepared,
        labels: (0..IMAGES).map(|index| u32::from(index % 2 == 1)).collect(),
        classes: vec!["upper".to_owned(), "lower".to_owned()],
        train: (0..IMAGES - 8).collect(),
        validation: (IMAGES - 8..IMAGES).collect(),
    }
}

fn study() -> Study {
    Study {
        name: "halves".to_owned(),
        question: None,
        seed: 11,
        data: study::Data {
            source: Source::Phantoms { images: 40, patients: 40, seed: 1 },
            image: None,
            label: "label".to_owned(),
            labels: Multiclass { split_on: None, when_many: WhenMany::Error, when_other: WhenOther::Error },
            classes: None,
            merge: IndexMap::new(),
            group: Group::Column("patient".to_owned()),
            keep: None,
            limit: None,
            on_missing: OnMissing::Error,
        },
        split: Split {
            holdout: 0.0,
            holdout_rows: None,
            cv: CrossValidation { kind: FoldKind::GroupKFold, folds: 2, shuffle: false, seed: None },
            validation: 0.2,
            run: Vec::new(),
        },
        images: Images {
            prepare: vec![Prepare::Resize { side: SIDE, filter: Filter::Bilinear, fit: Fit::Stretch }],
            normalize: Normalize::Half,
            augment: Vec::new(),
        },
        model: Model {
            backbone: Backbone::named("resnet18").unwrap(),
            weights: Weights::None,
            head: Head::default(),
            freeze: Freeze::None,
            drop_path: None,
            channels: None,
        },
        train: Train {
            loss: vec![LossTerm {
                weight: 1.0,
                kind: LossKind::CrossEntropy,
                smoothing: 0.0,
                class_weights: ClassWeights::None,
            }],
            optimizer: Optimizer::AdamW { lr: 1e-3, weight_decay: 1e-4 },
            layer_decay: 1.0,
            schedule: Schedule::Constant,
            epochs: 2,
            batch: 8,
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
            metrics: Vec::new(),
            unit: Unit::Image,
            intervals: None,
            slices: Vec::new(),
            leak: None,
            tta: Vec::new(),
        },
    }
}

fn device() -> Device {
    Device::flex()
}

fn run(
    study: &Study,
    data: &Data,
    weights: Option<&Vec<u8>>,
    table: Option<&FeatureTable>,
    on_event: &mut dyn FnMut(Event) -> Flow,
) -> Result<TrainedFold, TrainError> {
    let input = FoldInput {
        study,
        classes: &data.classes,
        fold: 0,
        prepared: &data.prepared,
        labels: &data.labels,
        train: &data.train,
        validation: &data.validation,
        seen: "",
        weights: weights.map(|bytes| bytes as &dyn weights::Source),
        frozen_features: table,
        device: &device(),
    };
    train_fold(&input, on_event)
}

fn quietly(_: Event) -> Flow {
    Flow::Continue
}

/// Weights to start from, as a file has them.
fn first_weights() -> Vec<u8> {
    weights::save(&Network::new(Backbone::named("resnet18").unwrap(), 2, 99, &device()), BTreeMap::new()).unwrap()
}

/// The tensors of a model file by name.
fn tensors(model: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let file = safetensors::SafeTensors::deserialize(model).unwrap();
    file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect()
}

fn table_for(study: &Study, data: &Data, weights: &[u8]) -> FeatureTable {
    let (mean, std) = ([0.5; 3], [0.5; 3]);
    features(study, &data.prepared, IMAGES, weights, mean, std, &device(), &mut quietly).unwrap()
}

#[test]
fn train_repeats_bit_for_bit() {
    let data = data();
    let mut study = study();
    study.images.augment = vec![Augment::Flip { horizontal: true, p: 0.5 }, Augment::Mixup { alpha: 0.4, p: 0.5 }];
    study.images.normalize = Normalize::Train;
    study.model.head.dropout = 0.2;
    study.train.clip = Some(1.0);
    study.train.accumulate = 3;
    study.train.sampler = Sampler::Balanced;
    // a loader that has all the time in the world against one that has none, two threads against one
    let slow = run(&study, &data, None, None, &mut |_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        Flow::Continue
    });
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let fast = alone.install(|| run(&study, &data, None, None, &mut quietly));
    let (slow, fast) = (slow.unwrap(), fast.unwrap());
    assert_eq!(slow.epochs, fast.epochs);
    assert!(slow.model == fast.model, "two trainings gave different bits");
    assert_eq!(slow.epochs.len(), 2);
    assert!(slow.mean[0] > 0.2 && slow.mean[0] < 0.8 && slow.std[0] > 0.1, "{:?} {:?}", slow.mean, slow.std);
    study.seed += 1;
    assert!(run(&study, &data, None, None, &mut quietly).unwrap().model != slow.model, "the seed changes nothing");
}

#[test]
fn train_learns_and_predicts() {
    let data = data();
    let mut study = study();
    study.train.epochs = 5;
    study.train.keep = KeepEpoch::Best(Watch::Loss);
    let mut steps = 0;
    let fold = run(&study, &data, None, None, &mut |event| {
        if let Event::Step { .. } = event {
            steps += 1;
        }
        Flow::Continue
    })
    .unwrap();
    assert_eq!(steps, 5 * 4);
    assert!(fold.epochs[4].train_loss < 0.5 * fold.epochs[0].train_loss, "{:?}", fold.epochs);
    let kept = fold.epochs[fold.kept_epoch as usize - 1].validation.unwrap();
    assert!(fold.epochs.iter().all(|epoch| epoch.validation.unwrap().loss >= kept.loss));
    let (mean, std) = (fold.mean, fold.std);
    let rows =
        predict(&study, 2, &fold.model, &data.prepared, &data.validation, mean, std, &device(), &mut quietly).unwrap();
    let mut loss = 0.0;
    for (row, &image) in rows.iter().zip(&data.validation) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        loss -= f64::from(row[data.labels[image] as usize]).ln() / data.validation.len() as f64;
    }
    // the kept model is the one whose figures were recorded
    assert!((loss - kept.loss).abs() < 1e-5 * loss.max(1.0), "{loss} against {}", kept.loss);
    assert!(kept.accuracy > 0.9, "{kept:?}");
}

/// With a head of two layers and a pool of its own; the same model scores images, mirrored ones, and the mean of both.
#[test]
fn train_test_time_augmentation_is_the_mean_over_mirror_images() {
    let mut data = data();
    data.train.truncate(8);
    let mut study = study();
    study.train.epochs = 1;
    study.train.layer_decay = 0.5;
    study.model.head = Head { dropout: 0.2, hidden: Some(8), pool: Some(Pooling::Generalised(3.0)) };
    let fold = run(&study, &data, None, None, &mut quietly).unwrap();
    assert!(tensors(&fold.model).contains_key("fc.fc2.weight"));
    let mirrored = |index| {
        let image = pixels(index);
        let mut turned = image.clone();
        for (at, level) in turned.data.iter_mut().enumerate() {
            let (row, column) = (at / SIDE as usize, at % SIDE as usize);
            *level = image.data[(SIDE as usize - 1 - row) * SIDE as usize + column];
        }
        Ok::<_, String>(turned)
    };
    let folder = tempfile::tempdir().unwrap();
    let mirrored = PreparedSet::build(&folder.path().join("set"), IMAGES, (1, SIDE), mirrored, &|_| ()).unwrap();
    let score = |study: &Study, set: &PreparedSet| -> Vec<Vec<f32>> {
        predict(study, 2, &fold.model, set, &data.validation, fold.mean, fold.std, &device(), &mut quietly).unwrap()
    };
    let (plain, turned) = (score(&study, &data.prepared), score(&study, &mirrored));
    assert_ne!(plain, turned);
    study.evaluate.tta = vec![Changed::Flip { horizontal: false }];
    for (mean, (a, b)) in score(&study, &data.prepared).iter().zip(plain.iter().zip(&turned)) {
        for (mean, (a, b)) in mean.iter().zip(a.iter().zip(b)) {
            assert!((mean - (a + b) / 2.0).abs() < 1e-6, "{mean} is not the mean of {a} and {b}");
        }
    }
}

#[test]
fn train_frozen_backbone_keeps_its_bits() {
    let data = data();
    let weights = first_weights();
    let mut study = study();
    study.model.freeze = Freeze::All;
    study.train.optimizer = Optimizer::AdamW { lr: 1e-2, weight_decay: 0.1 };
    let table = table_for(&study, &data, &weights);
    assert_eq!((table.rows(), table.columns()), (IMAGES, 512));
    assert_eq!(FeatureTable::from_bytes(&table.to_bytes()).unwrap(), table);
    let through_table = run(&study, &data, Some(&weights), Some(&table), &mut quietly).unwrap();
    let through_images = run(&study, &data, Some(&weights), None, &mut quietly).unwrap();
    let first = tensors(&weights);
    for fold in [&through_table, &through_images] {
        for (name, bytes) in tensors(&fold.model) {
            let same = first[&name] == bytes;
            assert_eq!(same, !name.starts_with("fc."), "{name}");
        }
    }
    assert_eq!(through_table.epochs, through_images.epochs);
    assert!(through_table == through_images, "features by the table are not the bits of those by the images");
}

/// Batches of 2, four to a step, against batches of 8; the last step of an epoch has 6 images. What is clipped is the
/// gradient of the step, and schedules count steps of the optimiser.
#[test]
fn train_accumulated_batches_step_as_one_large_batch() {
    let mut data = data();
    data.train.truncate(30);
    let weights = first_weights();
    let mut whole = study();
    whole.model.freeze = Freeze::All;
    whole.train.optimizer = Optimizer::Sgd { lr: 0.5, momentum: 0.9, nesterov: false, weight_decay: 1e-3 };
    whole.train.schedule = Schedule::Cosine { warmup: 1.0 };
    whole.train.loss[0].class_weights =
        ClassWeights::Given(IndexMap::from([("upper".to_owned(), 3.0), ("lower".to_owned(), 0.5)]));
    whole.train.clip = Some(0.1);
    let mut parts = whole.clone();
    (parts.train.batch, parts.train.accumulate) = (2, 4);
    let table = table_for(&whole, &data, &weights);
    let head = |study: &Study| -> (TrainedFold, Vec<f32>) {
        let fold = run(study, &data, Some(&weights), Some(&table), &mut quietly).unwrap();
        let bytes = &tensors(&fold.model)["fc.weight"];
        let values = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        (fold, values)
    };
    let furthest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let ((large, expected), (small, seen)) = (head(&whole), head(&parts));
    assert!(furthest(&seen, &expected) < 1e-6, "{}", furthest(&seen, &expected));
    for (a, b) in small.epochs.iter().zip(&large.epochs) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-5, "{a:?} against {b:?}");
        assert!(a.learning_rate.to_bits() == b.learning_rate.to_bits(), "{a:?} against {b:?}");
    }
    // every one of these matters
    let mut others = [whole.clone(), whole.clone(), whole];
    others[0].train.clip = None;
    others[1].train.batch = 2;
    others[2].train.clip = Some(0.2);
    for other in others {
        assert!(furthest(&head(&other).1, &expected) > 1e-3, "{:?}", other.train);
    }
}

#[test]
fn train_thaws_after_the_frozen_epochs() {
    let data = data();
    let weights = first_weights();
    let mut study = study();
    study.model.freeze = Freeze::BackboneFor(1);
    let table = table_for(&study, &data, &weights);
    let thawed = run(&study, &data, Some(&weights), Some(&table), &mut quietly).unwrap();
    let first = tensors(&weights);
    let moved = tensors(&thawed.model);
    for name in ["conv1.weight", "bn1.weight", "bn1.bias"] {
        assert_ne!(moved[name], first[name], "{name} learns");
    }
    for name in ["bn1.running_mean", "bn1.running_var"] {
        assert_eq!(moved[name], first[name], "{name} is that of the first weights");
    }
    study.train.epochs = 1;
    let frozen = run(&study, &data, Some(&weights), Some(&table), &mut quietly).unwrap();
    assert_eq!(tensors(&frozen.model)["conv1.weight"], first["conv1.weight"]);
    assert_eq!(thawed.epochs[0], frozen.epochs[0]);
}

#[test]
fn train_stops_early_and_lowers_the_rate() {
    let data = data();
    let weights = first_weights();
    let mut study = study();
    study.model.freeze = Freeze::All;
    study.train.optimizer = Optimizer::Sgd { lr: 1e-6, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    study.train.schedule = Schedule::Plateau { on: Watch::Accuracy, factor: 0.5, patience: 1, min_delta: 0.0 };
    study.train.stop = Some(EarlyStop { on: Watch::Accuracy, patience: 4 });
    study.train.keep = KeepEpoch::Best(Watch::Accuracy);
    study.train.epochs = 20;
    let table = table_for(&study, &data, &weights);
    let fold = run(&study, &data, Some(&weights), Some(&table), &mut quietly).unwrap();
    // a rate this small moves no answer: the first epoch is the best
    assert_eq!((fold.epochs.len(), fold.kept_epoch), (5, 1));
    let reason = fold.stopped.unwrap();
    assert!(reason.starts_with("accuracy on the validation images has not improved for 4 epochs"), "{reason}");
    let rates: Vec<f64> = fold.epochs.iter().map(|epoch| epoch.learning_rate).collect();
    assert_eq!(rates, [1e-6, 1e-6, 1e-6, 5e-7, 5e-7]);
}

#[test]
fn train_says_when_it_diverges() {
    let data = data();
    let mut study = study();
    study.train.optimizer = Optimizer::Sgd { lr: 1e6, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let error = run(&study, &data, None, None, &mut quietly).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { epoch: 1, step: 2.., .. }), "{error:?}");
    let words = error.to_string();
    assert!(words.contains("lr = 1e5") && words.contains("clip"), "{words}");
}

#[test]
fn train_refuses_and_stops() {
    let mut data = data();
    let study = study();
    let stopped = run(&study, &data, None, None, &mut |_| Flow::Stop).unwrap_err();
    assert!(matches!(stopped, TrainError::Interrupted), "{stopped:?}");
    data.train.truncate(1);
    let few = run(&study, &data, None, None, &mut quietly).unwrap_err();
    assert!(matches!(few, TrainError::TooFewImages { images: 1 }), "{few:?}");
    data.train = vec![0, 1, IMAGES];
    let image = run(&study, &data, None, None, &mut quietly).unwrap_err();
    assert!(matches!(image, TrainError::Inconsistent(_)), "{image:?}");
    let junk = run(&study, &data, Some(&b"not weights".to_vec()), None, &mut quietly).unwrap_err();
    assert!(matches!(junk, TrainError::Weights(_)), "{junk:?}");
}

/// `grayscale(to = 1)` with `stem = average`: where the weights' channels were normalised alike, what comes out is what the
/// same grey in three channels gives.
#[test]
fn train_sees_grey_images_in_one_channel() {
    let (data, mut study) = (data(), study());
    let backbone = Backbone::named("efficientnet_lite0").unwrap();
    let first = weights::save(&Network::new(backbone, 2, 99, &device()), BTreeMap::new()).unwrap();
    study.model.backbone = backbone;
    study.train.epochs = 1;
    let three = table_for(&study, &data, &first);
    study.model.channels = Some(1);
    let one = table_for(&study, &data, &first);
    let numbers = |table: &FeatureTable| -> Vec<f32> {
        (0..IMAGES).flat_map(|image| table.row(image).unwrap().to_vec()).collect()
    };
    let (three, one) = (numbers(&three), numbers(&one));
    let largest = three.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let off = three.iter().zip(&one).fold(0f32, |worst, (three, one)| worst.max((three - one).abs()));
    assert!(largest > 0.0 && off <= 2e-5 * largest, "{off} of {largest}");

    study.images.augment = vec![Augment::Flip { horizontal: true, p: 0.5 }, Augment::Mixup { alpha: 0.4, p: 0.5 }];
    let fold = run(&study, &data, Some(&first), None, &mut quietly).unwrap();
    let file = safetensors::SafeTensors::deserialize(&fold.model).unwrap();
    assert_eq!(file.tensor("conv_stem.weight").unwrap().shape(), [32, 1, 3, 3]);
    let (mean, std) = (fold.mean, fold.std);
    let rows = predict(&study, 2, &fold.model, &data.prepared, &data.validation, mean, std, &device(), &mut quietly);
    assert_eq!(rows.unwrap().len(), data.validation.len());
}
