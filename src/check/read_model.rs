//! `images { }`, `model { }`, `train { }` and `evaluate { }` become their halves of the study.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]

use std::path::PathBuf;

use indexmap::IndexMap;

use super::reader::Reader;
use super::take::{Bound, Slot, Typed, take, whole, wrong_shape};
use super::value::Value;
use crate::catalog::{Block as Table, Takes, blocks, metrics};
use crate::diag::Problems;
use crate::study::{
    Augment, Backbone, Bootstrap, Changed, ClassWeights, Data, EarlyStop, Evaluate, Filter, Fit, Freeze, Group, Head,
    Images, IntervalMethod, KeepEpoch, LossKind, LossTerm, Metric, Model, Normalize, OperatingPoint, Optimizer,
    Pooling, Precision, Prepare, Rate, Sampler, Schedule, Slice, Train, Unit, Watch, Weights,
};

fn table(name: &str) -> &'static Table {
    blocks::block(name).expect("invariant: only names of the catalog are asked for")
}

/// Reads `model { }`.
pub(super) fn model(reader: &mut Reader<'_>) -> Model {
    let bound = reader.operation(table("model"), "backbone");
    if !reader.is_written("model.backbone") && reader.sound(&["model.backbone"]) {
        if let Some(place) = reader.places.nearest("model.backbone") {
            let block = reader.places.get("model").is_some();
            let example = "backbone = resnet18()";
            reader.evaluator.problems.setting_missing("model", "backbone", place, block, example);
        }
        reader.poison("model.backbone");
    }
    let backbone = bound.as_ref().and_then(|bound| Backbone::named(bound.operation.name));
    let weights = bound.as_ref().and_then(|bound| bound.operation("weights")).and_then(|bound| weights(reader, bound));
    let drop_path = bound.as_ref().and_then(|bound| bound.number("drop_path")).filter(|share| *share > 0.0);
    // What the card says of them is no part of the study: it changes no result, only whether one is allowed.
    let trained_on = bound.as_ref().and_then(|bound| bound.operation("weights")?.word("trained_on"));
    reader.trained_on = trained_on;
    let freeze = reader.operation(table("model"), "freeze").as_ref().and_then(freeze);
    // There is one way to adapt them, so this too is only whether it is allowed.
    reader.stem_adapted = reader.word(table("model"), "stem") == Some("average");
    Model {
        backbone: backbone.unwrap_or_else(Backbone::any),
        weights: weights.unwrap_or(Weights::None),
        head: reader.operation(table("model"), "head").as_ref().map_or_else(Head::default, head),
        freeze: freeze.unwrap_or(Freeze::None),
        drop_path,
        channels: None,
    }
}

fn head(bound: &Bound) -> Head {
    let pool = bound.operation("pool").and_then(|pool| match pool.operation.name {
        "avg" => Some(Pooling::Mean),
        "max" => Some(Pooling::Largest),
        _ => pool.number("p").map(Pooling::Generalised),
    });
    let hidden = if bound.operation.name == "mlp" { bound.whole("hidden") } else { None };
    Head { dropout: bound.number("dropout").unwrap_or(0.0), hidden, pool }
}

fn weights(reader: &mut Reader<'_>, bound: &Bound) -> Option<Weights> {
    let mut hold = |name: &str, text: Option<&str>, sound: fn(&str) -> bool, bounds: &str, help: &str| {
        if let Some(text) = text.filter(|text| !sound(text)) {
            let shown = format!("{text:?}");
            reader.evaluator.problems.out_of_range(name, bounds, &shown, bound.place(name), help);
        }
    };
    match bound.operation.name {
        "file" => {
            let digest = bound.text("sha256");
            let help = "copy it from the model's card, or from what `sha256sum` prints";
            hold("sha256", digest, Weights::is_sha256, "a SHA-256, 64 hexadecimal digits", help);
            let sha256 = digest.map(str::to_ascii_lowercase);
            bound.text("path").map(|path| Weights::File { path: PathBuf::from(path), sha256 })
        }
        "hub" => {
            let (repository, revision) = (bound.text("repository")?, bound.text("revision").unwrap_or("main"));
            let help = "write  hub(\"timm/resnet18.a1_in1k\")";
            hold("repository", Some(repository), Weights::is_repository, "`organisation/name` on the hub", help);
            let help = "write  revision = \"main\"  or the commit's 40 digits";
            hold("revision", Some(revision), Weights::is_revision, "a branch, a tag or a commit", help);
            Some(Weights::Hub { repository: repository.to_owned(), revision: revision.to_owned() })
        }
        "imagenet" => Some(Weights::Imagenet),
        "imagenet21k" => Some(Weights::Imagenet21k),
        "noisy_student" => Some(Weights::NoisyStudent),
        _ => Some(Weights::None),
    }
}

fn freeze(bound: &Bound) -> Option<Freeze> {
    match bound.operation.name {
        "all" => Some(Freeze::All),
        "first" => bound.number("share").map(Freeze::First),
        "backbone" => bound.whole("for").map(Freeze::BackboneFor),
        _ => Some(Freeze::None),
    }
}

/// Reads `images { }`; what is left out is what the network's weights were trained with. How many channels the images
/// have is told the network.
pub(super) fn images(reader: &mut Reader<'_>, model: &mut Model) -> Images {
    let input = model.input();
    let steps = reader.operations(table("images"), "prepare").unwrap_or_default();
    let mut prepare = Vec::new();
    let mut normalize = None;
    for (at, step) in steps.iter().enumerate() {
        if step.operation.name != "normalize" {
            prepare.extend(prepare_step(step));
            if step.operation.name == "grayscale" {
                model.channels = channels(reader, step);
            }
            continue;
        }
        if let Some(next) = steps.get(at + 1) {
            reader.evaluator.problems.normalize_not_last(step.span, next.span);
            reader.poison("images.prepare");
        }
        reader.places.set("images.normalize", step.span);
        reader.places.set("images.normalize.by", step.place("by"));
        normalize = step.word("by").and_then(Normalize::named);
    }
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| step.operation.name == "resize") {
        reader.places.set("images.resize", step.place("side"));
        reader.places.set(format!("images.prepare.{at}"), step.span);
    }
    if !prepare.iter().any(|step| matches!(step, Prepare::Resize { .. })) {
        prepare.push(Prepare::Resize { side: input.side, filter: input.filter, fit: Fit::Stretch });
    }
    let augment = reader.operations(table("images"), "augment").unwrap_or_default();
    let augment = augment.iter().filter_map(augment_step).collect();
    Images { prepare, normalize: normalize.or(reader.weights_want).unwrap_or(input.normalize), augment }
}

/// Channels of grey images, where they are not the three of a colour image.
fn channels(reader: &mut Reader<'_>, step: &Bound) -> Option<u32> {
    let channels = step.whole("to")?;
    reader.places.set("images.channels", step.place("to"));
    if channels == 2 {
        reader.evaluator.problems.out_of_range("to", "1 or 3", "2", step.place("to"), "");
        reader.poison("images.prepare");
    }
    (channels == 1).then_some(channels)
}

fn prepare_step(bound: &Bound) -> Option<Prepare> {
    match bound.operation.name {
        "grayscale" => Some(Prepare::Grayscale {}),
        "clahe" => Some(Prepare::Clahe { clip: bound.number("clip")?, tiles: bound.whole("tiles")? }),
        "resize" => Some(Prepare::Resize {
            side: bound.whole("side")?,
            filter: match bound.word("filter")? {
                "lanczos" => Filter::Lanczos,
                "bicubic" => Filter::Bicubic,
                "nearest" => Filter::Nearest,
                _ => Filter::Bilinear,
            },
            fit: match bound.word("fit")? {
                "pad" => Fit::Pad,
                "crop" => Fit::Crop,
                _ => Fit::Stretch,
            },
        }),
        _ => None,
    }
}

fn augment_step(bound: &Bound) -> Option<Augment> {
    let p = bound.number("p")?;
    match bound.operation.name {
        "flip" => Some(Augment::Flip { horizontal: bound.word("axis")? == "horizontal", p }),
        "rotate" => Some(Augment::Rotate { degrees: bound.number("angle")?, p }),
        "shift_scale_rotate" => Some(Augment::ShiftScaleRotate {
            shift: bound.number("shift")?,
            scale: bound.number("scale")?,
            degrees: bound.number("rotate")?,
            p,
        }),
        "brightness_contrast" => Some(Augment::BrightnessContrast { amount: bound.number("amount")?, p }),
        "crop" => Some(Augment::Crop { scale: bound.number("scale")?, p }),
        "cutout" => Some(Augment::Cutout { size: bound.number("size")?, p }),
        "mixup" => Some(Augment::Mixup { alpha: bound.number("alpha")?, p }),
        "cutmix" => Some(Augment::Cutmix { patches: bound.whole("patches")?, alpha: bound.number("alpha")?, p }),
        _ => None,
    }
}

/// Reads `train { }`.
pub(super) fn train(reader: &mut Reader<'_>, data: &Data) -> Train {
    let loss = loss(reader);
    let bound = reader.operation(table("train"), "optimizer");
    let layer_decay = bound.as_ref().and_then(|bound| bound.number("layer_decay")).unwrap_or(1.0);
    let optimizer = bound.as_ref().and_then(optimizer);
    let schedule = reader.operation(table("train"), "schedule").as_ref().and_then(schedule);
    let stop = reader
        .operation(table("train"), "stop")
        .as_ref()
        .and_then(|bound| Some(EarlyStop { on: watch(bound.word("on")?), patience: bound.whole("patience")? }));
    let keep = match reader.operation(table("train"), "keep") {
        Some(bound) if bound.operation.name == "best" => {
            bound.word("on").map_or(KeepEpoch::Last, |on| KeepEpoch::Best(watch(on)))
        }
        Some(_) => KeepEpoch::Last,
        None => stop.map_or(KeepEpoch::Last, |stop| KeepEpoch::Best(stop.on)),
    };
    let precision = match reader.word(table("train"), "precision") {
        Some("bf16") => Precision::Bf16,
        _ => Precision::F32,
    };
    Train {
        loss,
        optimizer: optimizer.unwrap_or(Optimizer::AdamW { lr: 3e-4, weight_decay: 0.01 }),
        layer_decay,
        schedule: schedule.unwrap_or(Schedule::Constant),
        epochs: reader.number(table("train"), "epochs").map_or(10, whole),
        batch: reader.number(table("train"), "batch").map_or(32, whole),
        accumulate: reader.number(table("train"), "accumulate").map_or(1, whole),
        sampler: sampler(reader, data),
        clip: reader.number(table("train"), "clip"),
        stop,
        keep,
        precision,
    }
}

fn loss(reader: &mut Reader<'_>) -> Vec<LossTerm> {
    let usual =
        LossTerm { weight: 1.0, kind: LossKind::CrossEntropy, smoothing: 0.0, class_weights: ClassWeights::None };
    let Some(Typed::Formula(terms)) = reader.read(table("train"), "loss") else { return vec![usual] };
    let mut loss = Vec::with_capacity(terms.len());
    for (weight, bound) in &terms {
        let kind = match bound.operation.name {
            "focal" => LossKind::Focal {
                gamma: bound.number("gamma").unwrap_or(2.0),
                alpha: bound.number("alpha").unwrap_or(0.25),
            },
            "soft_f1" => LossKind::SoftF1,
            "kl" => LossKind::Kl,
            _ => LossKind::CrossEntropy,
        };
        let class_weights = class_weights(reader, bound);
        let smoothing = bound.number("smoothing").unwrap_or(0.0);
        loss.push(LossTerm { weight: *weight, kind, smoothing, class_weights });
    }
    if loss.is_empty() { vec![usual] } else { loss }
}

fn class_weights(reader: &mut Reader<'_>, bound: &Bound) -> ClassWeights {
    let Some(value) = bound.shaped("class_weights") else { return ClassWeights::None };
    let problems = &mut reader.evaluator.problems;
    let fields = match &value.value {
        Value::Word(word) if word == "none" => return ClassWeights::None,
        Value::Word(word) if word == "balanced" => return ClassWeights::Balanced,
        Value::Record(fields) => fields,
        _ => {
            wrong_shape("class_weights", "`none`, `balanced`, or a weight a class", value, problems);
            reader.poison("train.loss");
            return ClassWeights::None;
        }
    };
    let mut weights = IndexMap::new();
    let mut sound = true;
    for (name, value) in fields {
        let slot = Slot { name: &name.text, owner: "class_weights", names: &[] };
        match take(&Takes::Number { from: 0.0, included: false, to: 1e6 }, value, slot, problems) {
            Some(Typed::Number(number)) => {
                weights.insert(name.text.clone(), number);
            }
            _ => sound = false,
        }
    }
    if !sound {
        reader.poison("train.loss");
    }
    ClassWeights::Given(weights)
}

fn optimizer(bound: &Bound) -> Option<Optimizer> {
    let lr = bound.number("lr")?;
    let weight_decay = bound.number("weight_decay")?;
    match bound.operation.name {
        "adam" => Some(Optimizer::Adam { lr, weight_decay }),
        "adamw" => Some(Optimizer::AdamW { lr, weight_decay }),
        "nadam" => Some(Optimizer::NAdam { lr, weight_decay }),
        "sgd" => Some(Optimizer::Sgd {
            lr,
            momentum: bound.number("momentum")?,
            nesterov: bound.flag("nesterov")?,
            weight_decay,
        }),
        "rmsprop" => Some(Optimizer::RmsProp {
            lr,
            alpha: bound.number("alpha")?,
            momentum: bound.number("momentum")?,
            weight_decay,
        }),
        _ => None,
    }
}

fn schedule(bound: &Bound) -> Option<Schedule> {
    match bound.operation.name {
        "constant" => Some(Schedule::Constant),
        "cosine" => Some(Schedule::Cosine { warmup: bound.number("warmup")? }),
        "step" => Some(Schedule::Step { every: bound.whole("every")?, factor: bound.number("factor")? }),
        "plateau" => Some(Schedule::Plateau {
            on: watch(bound.word("on")?),
            factor: bound.number("factor")?,
            patience: bound.whole("patience")?,
            min_delta: bound.number("min_delta")?,
        }),
        _ => None,
    }
}

fn watch(word: &str) -> Watch {
    match word {
        "accuracy" => Watch::Accuracy,
        "balanced_accuracy" => Watch::BalancedAccuracy,
        "macro_f1" => Watch::MacroF1,
        _ => Watch::Loss,
    }
}

fn sampler(reader: &mut Reader<'_>, data: &Data) -> Sampler {
    let Some(bound) = reader.operation(table("train"), "sampler") else { return Sampler::Shuffled };
    if bound.operation.name != "balanced" {
        return Sampler::Shuffled;
    }
    if let Some(column) = bound.text("by")
        && column != data.label
        && reader.sound(&["data.label"])
    {
        reader.evaluator.problems.balanced_by_other(column, &data.label, bound.place("by"));
        reader.poison("train.sampler");
    }
    Sampler::Balanced
}

/// Reads `evaluate { }`.
pub(super) fn evaluate(reader: &mut Reader<'_>, group: &Group) -> Evaluate {
    let primary = reader.operation(table("evaluate"), "primary").as_ref().and_then(metric).unwrap_or(Metric::MacroF1);
    let (metrics, operating) = match reader.operations(table("evaluate"), "metrics") {
        Some(all) => (all.iter().filter_map(metric).collect(), all.iter().filter_map(operating).collect()),
        None => (vec![Metric::Accuracy, Metric::BalancedAccuracy, Metric::Auroc], Vec::new()),
    };
    let unit = match reader.operation(table("evaluate"), "unit") {
        Some(bound) if bound.operation.name == "patient" => Unit::Patient,
        Some(_) => Unit::Image,
        None => match group {
            Group::Column(_) => Unit::Patient,
            Group::None { .. } => Unit::Image,
        },
    };
    let leak = reader.operation(table("evaluate"), "leak").and_then(|bound| {
        let because = bound.text("because")?.to_owned();
        if because.trim().is_empty() {
            let span = bound.place("because");
            reader.evaluator.problems.out_of_range("because", "a reason in words", "empty", span, "");
            reader.poison("evaluate.leak");
            return None;
        }
        Some(because)
    });
    let tta = reader.operations(table("evaluate"), "tta").unwrap_or_default();
    let tta = tta.iter().filter_map(|step| Some(Changed::Flip { horizontal: step.word("axis")? == "horizontal" }));
    let tta = tta.collect();
    let bound = reader.operation(table("evaluate"), "intervals");
    reader.drawn_by_image = bound.as_ref().is_some_and(|bound| bound.word("unit") == Some("image"));
    let intervals = match bound {
        None => Some(Bootstrap { replicates: 1000, level: 0.95, method: IntervalMethod::Percentile }),
        Some(bound) => bootstrap(&bound),
    };
    Evaluate { primary, metrics, operating, unit, intervals, slices: slices(reader), leak, tta }
}

fn bootstrap(bound: &Bound) -> Option<Bootstrap> {
    let method = match bound.word("method")? {
        "bca" => IntervalMethod::Bca,
        _ => IntervalMethod::Percentile,
    };
    Some(Bootstrap { replicates: bound.whole("replicates")?, level: bound.number("level")?, method })
}

fn slices(reader: &mut Reader<'_>) -> Vec<Slice> {
    let Some((value, names)) = reader.value("evaluate.slices") else { return Vec::new() };
    let Value::List(items) = &value.value else {
        if value.value != Value::Absent {
            let wants = "a list of columns and `bins(...)`";
            wrong_shape("slices", wants, &value, &mut reader.evaluator.problems);
            reader.poison("evaluate.slices");
        }
        return Vec::new();
    };
    let mut slices = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        reader.places.set(format!("evaluate.slices.{at}"), item.span);
        let slot = Slot { name: "slices", owner: "evaluate", names: &names };
        let problems = &mut reader.evaluator.problems;
        let slice = match &item.value {
            Value::Column(column) => Some(Slice { column: column.clone(), edges: Vec::new() }),
            _ => match take(&Takes::Operation(&metrics::SLICES), item, slot, problems) {
                Some(Typed::Operation(bound)) => edges(&bound, problems)
                    .zip(bound.text("column").map(str::to_owned))
                    .map(|(edges, column)| Slice { column, edges }),
                _ => None,
            },
        };
        match slice {
            Some(slice) => slices.push(slice),
            None => reader.poison("evaluate.slices"),
        }
    }
    slices
}

/// At least two ascending numbers.
fn edges(bound: &Bound, problems: &mut Problems) -> Option<Vec<f64>> {
    let value = bound.shaped("edges")?;
    let Value::List(items) = &value.value else {
        wrong_shape("edges", "a list of ascending numbers", value, problems);
        return None;
    };
    let number = Takes::Number { from: f64::MIN, included: true, to: f64::MAX };
    let slot = Slot { name: "edges", owner: "bins", names: &[] };
    let mut edges = Vec::with_capacity(items.len());
    for item in items {
        let Some(Typed::Number(edge)) = take(&number, item, slot, problems) else { return None };
        if edges.last().is_some_and(|before| *before >= edge) {
            problems.out_of_range("edges", "in ascending order", &edge.to_string(), item.span, "");
            return None;
        }
        edges.push(edge);
    }
    if edges.len() < 2 {
        let shown = if edges.is_empty() { "none".to_owned() } else { "one".to_owned() };
        problems.out_of_range("edges", "at least two numbers", &shown, value.span, "");
        return None;
    }
    Some(edges)
}

/// The operating point that an operation names.
fn operating(bound: &Bound) -> Option<OperatingPoint> {
    let fixed = match bound.operation.name {
        "sensitivity" => Rate::Specificity,
        "specificity" => Rate::Sensitivity,
        _ => return None,
    };
    Some(OperatingPoint { fixed, share: bound.operation("at")?.number("share")? })
}

/// The metric that an operation names.
pub(super) fn metric(bound: &Bound) -> Option<Metric> {
    match bound.operation.name {
        "accuracy" => Some(Metric::Accuracy),
        "balanced_accuracy" => Some(Metric::BalancedAccuracy),
        "macro_f1" => Some(Metric::MacroF1),
        "auroc" => Some(Metric::Auroc),
        "log_loss" => Some(Metric::LogLoss),
        "ece" => Some(Metric::Ece),
        _ => None,
    }
}
