//! A study becomes a methods paragraph: complete sentences with the numbers of the study and of its table, and the
//! sources that the catalog has for what is used.

use std::collections::BTreeMap;

use super::{Shown, by_patient, settings};
use crate::check::{Meanings, Named};
use crate::data::{Dataset, portion};
use crate::study::{FoldKind, Freeze, Group, KeepEpoch, Source, Study, Unit};

/// The paragraph, one sentence after the other.
#[must_use]
pub fn prose(study: &Study, written: &Meanings, dataset: &Dataset) -> String {
    let all = settings(study, written);
    let all: BTreeMap<&str, &Shown> = all.iter().map(|shown| (shown.path.as_str(), shown)).collect();
    let mut sentences = Vec::new();
    if let Some(question) = &study.question {
        sentences.push(format!("We asked: {}", ended(question)));
    }
    data(study, dataset, &mut sentences);
    split(study, &mut sentences);
    images(study, &all, &mut sentences);
    model(study, &all, &mut sentences);
    train(study, &all, &mut sentences);
    evaluate(study, &all, &mut sentences);
    sentences.push(format!(
        "All random draws follow from the seed {} (pipe {}, edition {}).",
        study.seed,
        env!("CARGO_PKG_VERSION"),
        crate::check::EDITION
    ));
    sentences.join(" ") + "\n"
}

fn ended(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '?', '!']) { text.to_owned() } else { format!("{text}.") }
}

/// `1 image`, `5,216 images`
fn count(n: usize, one: &str) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    match (n, one) {
        (_, "") => out,
        (1, one) => format!("{out} {one}"),
        (_, one @ ("class" | "batch")) => format!("{out} {one}es"),
        (_, one) => format!("{out} {one}s"),
    }
}

/// `a`, `a and b`, `a, b and c`
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 1000.0).round() / 10.0)
}

fn data(study: &Study, dataset: &Dataset, sentences: &mut Vec<String>) {
    let all: Vec<usize> = (0..dataset.images.len()).collect();
    let whole = portion(dataset, &all);
    let grouped = matches!(study.data.group, Group::Column(_));
    let classes: Vec<String> = dataset
        .classes
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let images = whole.class_images.get(at).copied().unwrap_or(0) as usize;
            let patients = whole.class_patients.get(at).copied().unwrap_or(0) as usize;
            let of = if grouped { format!(" of {}", count(patients, "patient")) } else { String::new() };
            format!("{name} ({}{of})", count(images, "image"))
        })
        .collect();
    let from = match &study.data.source {
        Source::Csv { .. } | Source::Folder { .. } => "The data set",
        Source::Phantoms { .. } => "The data set, synthetic radiographs drawn by pipe,",
    };
    let patients = if grouped { format!(" of {}", count(dataset.patients.len(), "patient")) } else { String::new() };
    sentences.push(format!(
        "{from} comprised {}{patients} in {}: {}.",
        count(dataset.images.len(), "image"),
        count(dataset.classes.len(), "class"),
        listed(&classes)
    ));
    if let Group::None { because } = &study.data.group {
        sentences.push(format!("Each image was taken for a patient of its own: {}", ended(because)));
    }
    let steps: Vec<String> = dataset
        .flow
        .windows(2)
        .filter_map(|two| match two {
            [before, after] if before.images > after.images => {
                Some(format!("{} left out by {}", count((before.images - after.images) as usize, "image"), after.what))
            }
            _ => None,
        })
        .collect();
    if let (Some(first), false) = (dataset.flow.first(), steps.is_empty()) {
        let rows = count(first.images as usize, "row");
        sentences.push(format!(
            "Of {rows} of the table, {} were not used: {}.",
            count(first.images as usize - dataset.images.len(), ""),
            listed(&steps)
        ));
    }
}

fn split(study: &Study, sentences: &mut Vec<String>) {
    let split = &study.split;
    let whole = by_patient(study);
    let units = if whole { "patients" } else { "images" };
    if split.holdout > 0.0 {
        sentences.push(format!(
            "{} of the {units} were held out and entered no fold and no figure.",
            percent(split.holdout)
        ));
    }
    let folds = split.cv.folds;
    let how = match &split.cv.kind {
        FoldKind::KFold => format!("Images were dealt into {folds} folds"),
        FoldKind::StratifiedKFold => format!("Images were dealt into {folds} folds with the classes balanced"),
        FoldKind::GroupKFold => format!("Whole patients were dealt into {folds} folds"),
        FoldKind::StratifiedGroupKFold => {
            format!("Whole patients were dealt into {folds} folds with the classes balanced")
        }
        FoldKind::FoldsFrom(column) => format!("The folds were given by the column \"{column}\" of the table"),
    };
    let apart = if whole { ", so that no patient was both learned from and scored" } else { "" };
    sentences.push(format!("{how}{apart}; for each fold a network was trained on the others and scored on it."));
    if !split.run.is_empty() {
        let run: Vec<String> = split.run.iter().map(|fold| (fold + 1).to_string()).collect();
        sentences.push(format!("Only fold {} was trained.", listed(&run)));
    }
    if split.validation > 0.0 {
        sentences.push(format!(
            "Within each fold's training part, {} of the {units} were set aside for validation and not trained on.",
            percent(split.validation)
        ));
    }
}

/// Names as papers write them.
fn spelled(name: &str) -> String {
    match name {
        "adam" => "Adam".to_owned(),
        "adamw" => "AdamW".to_owned(),
        "nadam" => "NAdam".to_owned(),
        "sgd" => "stochastic gradient descent".to_owned(),
        "rmsprop" => "RMSprop".to_owned(),
        "lr" => "learning rate".to_owned(),
        "p" => "probability".to_owned(),
        "cross_entropy" => "cross-entropy".to_owned(),
        "soft_f1" => "soft macro F1".to_owned(),
        "kl" => "Kullback-Leibler divergence".to_owned(),
        "clahe" => "contrast-limited adaptive histogram equalisation".to_owned(),
        "grayscale" => "conversion to grey levels".to_owned(),
        "resize" => "resizing".to_owned(),
        "normalize" => "normalisation".to_owned(),
        "macro_f1" => "macro F1".to_owned(),
        "auroc" => "area under the ROC curve".to_owned(),
        "ece" => "expected calibration error".to_owned(),
        "cutout" | "mixup" | "cutmix" => name.to_owned(),
        "flip" => "flipping".to_owned(),
        "rotate" => "rotation".to_owned(),
        _ => name.replace('_', " "),
    }
}

/// An operation with its arguments and its source: `AdamW (learning rate 0.003; Loshchilov and Hutter 2019)`.
fn called(call: &Named) -> String {
    let mut notes: Vec<String> = Vec::new();
    for (parameter, value, written) in &call.arguments {
        let trivial = matches!(value.as_str(), "0" | "0%" | "none" | "false" | "1" | "100%" | "0epochs");
        if !written && trivial {
            continue;
        }
        let value = value.replace("epochs", " epochs").replace("deg", " degrees").replace(['"', '`'], "");
        let value = value.replace('_', " ");
        notes.push(match parameter.name {
            "side" => format!("{value} × {value} pixels"),
            "by" | "axis" => value,
            name => format!("{} {value}", spelled(name)),
        });
    }
    let mut inside = notes.join(", ");
    if !call.operation.source.is_empty() {
        let gap = if inside.is_empty() { "" } else { "; " };
        inside = format!("{inside}{gap}{}", call.operation.source);
    }
    let name = spelled(call.operation.name);
    if inside.is_empty() { name } else { format!("{name} ({inside})") }
}

fn calls<'a>(all: &BTreeMap<&str, &'a Shown>, path: &str) -> &'a [Named] {
    all.get(path).and_then(|shown| shown.meaning.as_ref()).map_or(&[], |meaning| meaning.calls.as_slice())
}

fn images(study: &Study, all: &BTreeMap<&str, &Shown>, sentences: &mut Vec<String>) {
    let prepare: Vec<String> = calls(all, "images.prepare").iter().map(called).collect();
    if prepare.is_empty() {
        let normalize = super::word(&study.images.normalize).unwrap_or_default();
        let side = study.images.side();
        sentences.push(format!(
            "Images were prepared as the network's weights expect: resizing to {side} × {side} pixels and normalisation \
             ({normalize})."
        ));
    } else {
        sentences.push(format!("Images were prepared by {}, in this order.", listed(&prepare)));
    }
    let augment: Vec<String> = calls(all, "images.augment").iter().map(called).collect();
    sentences.push(if augment.is_empty() {
        "No augmentation was used.".to_owned()
    } else {
        format!("Training images, and no others, were augmented at random by {}.", listed(&augment))
    });
}

fn model(study: &Study, all: &BTreeMap<&str, &Shown>, sentences: &mut Vec<String>) {
    let backbone = calls(all, "model.backbone").first().map(|call| {
        let source = call.operation.source;
        if source.is_empty() { call.operation.name.to_owned() } else { format!("{} ({source})", call.operation.name) }
    });
    let weights = match super::word(&study.model.weights).as_deref() {
        Some("none") => "random weights".to_owned(),
        Some("imagenet") => "weights trained on ImageNet".to_owned(),
        Some(word) => format!("the weights \"{}\"", word.replace('_', " ")),
        None => "weights from a file".to_owned(),
    };
    let dropout = if study.model.head.dropout > 0.0 {
        format!(" after dropout of {}", percent(study.model.head.dropout))
    } else {
        String::new()
    };
    let frozen = match study.model.freeze {
        Freeze::None => "; all of it was trained".to_owned(),
        Freeze::All => "; only the last layer was trained".to_owned(),
        Freeze::First(share) => format!("; the first {} of its tensors were not trained", percent(share)),
        Freeze::BackboneFor(epochs) => {
            format!("; only the last layer was trained in the first {}", count(epochs as usize, "epoch"))
        }
    };
    sentences.push(format!(
        "The network was {}, started from {weights}, with one linear layer{dropout} on its pooled features{frozen}.",
        backbone.unwrap_or_default()
    ));
}

fn train(study: &Study, all: &BTreeMap<&str, &Shown>, sentences: &mut Vec<String>) {
    let train = &study.train;
    let terms: Vec<String> = calls(all, "train.loss")
        .iter()
        .map(|call| {
            let weight = call.weight.to_string();
            if weight == "1" { called(call) } else { format!("{weight} times {}", called(call)) }
        })
        .collect();
    sentences.push(format!(
        "The loss was {}.",
        if terms.len() > 1 { format!("the sum of {}", listed(&terms)) } else { listed(&terms) }
    ));
    let optimizer = listed(&calls(all, "train.optimizer").iter().map(called).collect::<Vec<_>>());
    let schedule = calls(all, "train.schedule").first().filter(|call| call.operation.name != "constant").map(called);
    let schedule =
        schedule.map_or("a constant learning rate".to_owned(), |schedule| format!("the schedule {schedule}"));
    sentences.push(format!(
        "It was minimised with {optimizer} and {schedule} for {} in batches of {}.",
        match &train.stop {
            Some(_) => format!("at most {}", count(train.epochs as usize, "epoch")),
            None => count(train.epochs as usize, "epoch"),
        },
        count(train.batch as usize, "image")
    ));
    if let Some(call) = calls(all, "train.sampler").first().filter(|call| call.operation.name != "shuffled") {
        sentences.push(format!("Training images were drawn by a {} sampler.", called(call)));
    }
    if train.accumulate > 1 {
        sentences
            .push(format!("Gradients of {} were averaged for each step.", count(train.accumulate as usize, "batch")));
    }
    if let Some(clip) = train.clip {
        sentences.push(format!("Gradients were clipped to a global norm of {clip}."));
    }
    let on = |watch: &crate::study::Watch| super::word(watch).map_or(String::new(), |name| spelled(&name));
    if let Some(stop) = &train.stop {
        sentences.push(format!(
            "Training stopped early when {} of the validation patients had not improved for {}.",
            on(&stop.on),
            count(stop.patience as usize, "epoch")
        ));
    }
    if let KeepEpoch::Best(watch) = &train.keep {
        sentences.push(format!(
            "The weights of the epoch with the best {} of the validation patients were kept.",
            on(watch)
        ));
    }
}

fn evaluate(study: &Study, all: &BTreeMap<&str, &Shown>, sentences: &mut Vec<String>) {
    let names =
        |path: &str| -> Vec<String> { calls(all, path).iter().map(|call| spelled(call.operation.name)).collect() };
    let unit = match study.evaluate.unit {
        Unit::Image => "counted by image",
        Unit::Patient => "counted by patient, from the mean probability over a patient's images",
    };
    let primary = names("evaluate.primary");
    let at_thresholds = |name: &String| name == "sensitivity" || name == "specificity";
    let others: Vec<String> =
        names("evaluate.metrics").into_iter().filter(|name| !primary.contains(name) && !at_thresholds(name)).collect();
    let (are, others) = (if others.len() == 1 { "is" } else { "are" }, listed(&others));
    let others = if others.is_empty() { String::new() } else { format!("; {others} {are} reported beside it") };
    sentences.push(format!("The primary figure was {}, {unit}{others}.", listed(&primary)));
    let points: Vec<String> = study.evaluate.operating.iter().map(ToString::to_string).collect();
    if !points.is_empty() {
        let was = if points.len() == 1 { "was" } else { "were" };
        sentences.push(format!(
            "Each class against the rest, {} {was} read at thresholds that the validation patients of each fold chose.",
            listed(&points)
        ));
    }
}
