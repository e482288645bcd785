//! What settings mean together, and settings that undo each other. Needs no table; leakage is [`crate::leakage`]'s.

use super::reader::Reader;
use crate::study::{Augment, ClassWeights, Freeze, LossKind, Sampler, Schedule, Source, Study, Weights};

/// Reports what is wrong between settings; each rule stays silent when a setting it looks at is not sound.
pub(super) fn check(reader: &mut Reader<'_>, study: &Study) {
    urls(reader, study);
    network(reader, study);
    loss(reader, study);
    corrections(reader, study);
    patience(reader, study);
}

/// Where the split stands, or the study if it was not written.
fn place(reader: &Reader<'_>, path: &str) -> Option<crate::source::Span> {
    reader.places.nearest(path)
}

/// E0901: what lies behind a URL may change, and nothing is downloaded.
fn urls(reader: &mut Reader<'_>, study: &Study) {
    let table = match &study.data.source {
        Source::Csv { path } => Some(path),
        Source::Folder { root } => Some(root),
        Source::Phantoms { .. } => None,
    };
    let under = study.data.image.as_ref().map(|image| &image.under);
    let weights = match &study.model.weights {
        Weights::File { path, .. } => Some(path),
        Weights::None | Weights::Hub { .. } | Weights::Imagenet | Weights::Imagenet21k | Weights::NoisyStudent => None,
    };
    let named = [
        (table, "data.table", "data.table"),
        (under, "data.image.under", "data.image"),
        (weights, "model.backbone.weights", "model.backbone"),
    ];
    for (path, place, setting) in named {
        let Some(text) = path.map(|path| path.to_string_lossy()).filter(|text| text.contains("://")) else { continue };
        if let (Some(at), true) = (reader.places.get(place), reader.sound(&[setting])) {
            reader.evaluator.problems.url_without_digest(&text, at);
            reader.poison(setting);
        }
    }
}

/// E0402, E0403, W0404, E0405, W0407, E0902: the network, its weights and its images.
fn network(reader: &mut Reader<'_>, study: &Study) {
    if !reader.sound(&["model.backbone"]) {
        return;
    }
    let card = study.model.backbone.card();
    if let (Weights::File { path, .. }, Some(at)) = (&study.model.weights, reader.places.get("model.backbone.weights"))
    {
        let name = path.to_string_lossy();
        if is_pickle_name(&name) {
            reader.evaluator.problems.pickle(&name, at);
            reader.poison("model.backbone");
            return;
        }
    }
    if let (Some(word), Some(at)) = (study.model.weights.word(), place(reader, "model.backbone.weights"))
        && card.pretrained(word).next().is_none()
    {
        reader.evaluator.problems.no_such_weights(card.name, word, at, &card.words());
        reader.poison("model.backbone");
        return;
    }
    let side = study.images.side();
    if reader.sound(&["images.prepare"])
        && side < card.smallest_side
        && let Some(at) = reader.places.get("images.resize")
    {
        let backbone = place(reader, "model.backbone");
        reader.evaluator.problems.image_too_small(card.name, side, card.smallest_side, at, backbone);
    } else if reader.sound(&["images.prepare"])
        && !side.is_multiple_of(card.patch())
        && let Some(at) = reader.places.get("images.resize")
    {
        let backbone = place(reader, "model.backbone");
        reader.evaluator.problems.image_cuts_patches(card.name, side, card.patch(), at, backbone);
    }
    let looked_up = study.model.weights.word().map(|_| study.model.input().normalize);
    let got = study.images.normalize;
    if let Some(wants) = reader.weights_want.or(looked_up)
        && got != wants
        && !got.is_fitted()
        && reader.sound(&["images.prepare"])
        && let (Some(at), Some(weights)) =
            (reader.places.get("images.normalize"), place(reader, "model.backbone.weights"))
    {
        reader.evaluator.problems.normalize_differs(card.name, wants.word(), got.word(), at, weights);
    }
    if let Some(channels) = study.model.channels
        && study.model.weights != Weights::None
        && !reader.stem_adapted
        && reader.sound(&["images.prepare", "model.stem"])
        && let (Some(at), Some(weights)) =
            (reader.places.get("images.channels"), place(reader, "model.backbone.weights"))
    {
        reader.evaluator.problems.channels_differ(card.name, channels, card.channels, at, weights);
    }
    if let Freeze::BackboneFor(frozen) = study.model.freeze
        && frozen >= study.train.epochs
        && reader.sound(&["model.freeze", "train.epochs"])
        && let Some(at) = reader.places.get("model.freeze")
    {
        let epochs = reader.places.get("train.epochs");
        reader.evaluator.problems.backbone_never_trains(frozen, study.train.epochs, at, epochs);
    }
}

/// Does a file's name say that Python's pickle wrote it?
fn is_pickle_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".pth", ".pt", ".tar", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib"].iter().any(|end| name.ends_with(end))
}

/// W0501, E0503: the loss formula.
fn loss(reader: &mut Reader<'_>, study: &Study) {
    if !reader.sound(&["train.loss"]) {
        return;
    }
    let Some(at) = reader.places.get("train.loss") else { return };
    let sum: f64 = study.train.loss.iter().map(|term| term.weight).sum();
    if (sum - 1.0).abs() > 1e-6 {
        reader.evaluator.problems.loss_weights_sum(sum, at);
    }
    let mixes = study.images.augment.iter().any(|step| match step {
        Augment::Mixup { p, .. } | Augment::Cutmix { p, .. } => *p > 0.0,
        Augment::Flip { .. }
        | Augment::Rotate { .. }
        | Augment::ShiftScaleRotate { .. }
        | Augment::BrightnessContrast { .. }
        | Augment::Crop { .. }
        | Augment::Cutout { .. } => false,
    });
    if mixes || !reader.sound(&["images.augment"]) {
        return;
    }
    for (index, term) in study.train.loss.iter().enumerate() {
        if term.kind == LossKind::Kl && term.smoothing == 0.0 {
            let at = reader.places.get(&format!("train.loss.{index}")).unwrap_or(at);
            reader.evaluator.problems.kl_without_soft_targets(at);
        }
    }
}

/// W0504: rare classes are drawn more often, count more and are favoured in a third way.
fn corrections(reader: &mut Reader<'_>, study: &Study) {
    let train = &study.train;
    let weighted = train.loss.iter().position(|term| term.class_weights != ClassWeights::None);
    let (Sampler::Balanced, Some(weighted)) = (&train.sampler, weighted) else { return };
    let focal = train.loss.iter().position(|term| matches!(term.kind, LossKind::Focal { gamma, .. } if gamma > 0.0));
    let third = match (focal, &study.data.limit) {
        (Some(term), _) => {
            (format!("train.loss.{term}"), "looks harder at what is still wrong, which rare classes are")
        }
        (None, Some(_)) => ("data.limit".to_owned(), "leaves out images of the frequent classes"),
        (None, None) => return,
    };
    if !reader.sound(&["train.sampler", "train.loss", "data.limit"]) {
        return;
    }
    let weights = format!("train.loss.{weighted}.class_weights");
    let places = [
        (place(reader, "train.sampler"), "draws rare classes more often"),
        (place(reader, &weights), "counts them more"),
        (place(reader, &third.0), third.1),
    ];
    reader.evaluator.problems.corrected_three_times(&places);
}

/// W0505: patience that never runs out, a cosine that is cut; E0104: a cosine that would only warm up.
fn patience(reader: &mut Reader<'_>, study: &Study) {
    let epochs = study.train.epochs;
    let epochs_at = reader.places.get("train.epochs");
    if !reader.sound(&["train.epochs", "train.stop", "train.schedule"]) {
        return;
    }
    let stop_at = reader.places.get("train.stop");
    if let (Some(stop), Some(at)) = (study.train.stop, stop_at)
        && stop.patience >= epochs
    {
        let at = reader.places.get("train.stop.patience").unwrap_or(at);
        reader.evaluator.problems.patience_too_long("early stopping", stop.patience, epochs, at, epochs_at);
    }
    let Some(schedule_at) = reader.places.get("train.schedule") else { return };
    match study.train.schedule {
        Schedule::Plateau { patience, .. } if patience >= epochs => {
            let at = reader.places.get("train.schedule.patience").unwrap_or(schedule_at);
            reader.evaluator.problems.patience_too_long("the plateau schedule", patience, epochs, at, epochs_at);
        }
        Schedule::Cosine { warmup } if warmup > f64::from(epochs) => {
            let at = reader.places.get("train.schedule.warmup").unwrap_or(schedule_at);
            reader.evaluator.problems.warmup_too_long(warmup, epochs, at, epochs_at);
        }
        Schedule::Cosine { .. } => {
            if let (Some(_), Some(stop_at)) = (study.train.stop, stop_at) {
                reader.evaluator.problems.cosine_cut(schedule_at, stop_at);
            }
        }
        Schedule::Constant | Schedule::Step { .. } | Schedule::Plateau { .. } => {}
    }
}
