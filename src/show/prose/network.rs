//! Sentences on what the network sees and what it is.

use super::Told;
use super::sentence::Sentences;
use super::words::{count, listed, noted, percent, source};
use crate::catalog::backbones::{POOLS, WEIGHTS};
use crate::catalog::images::{AUGMENT, PREPARE};
use crate::show::word;
use crate::study::{Augment, Fit, Freeze, Head, Normalize, Pooling, Prepare, Weights};

pub(super) fn say(told: &Told<'_>, out: &mut Sentences) {
    prepare(told, out);
    augment(told, out);
    let model = &told.study.model;
    let card = model.backbone.card();
    let network = noted(card.name, &[], card.source);
    out.say("network", &["The network was ", &network, ", started from ", &weights(&model.weights), "."]);
    if model.channels.is_some() {
        out.say("channels", &["It saw images in one grey channel."]);
        if model.weights != Weights::None {
            let how = "the kernels for red, green and blue were added up, each scaled by its deviation";
            out.say("stem", &["Of its first weights, ", how, "."]);
        }
    }
    if let Some(share) = model.drop_path {
        out.say(
            "drop path",
            &[
                "In training, ",
                &percent(share),
                " of the images skipped the last residual branch, and fewer the earlier ones.",
            ],
        );
    }
    out.say("head", &["", &pooled(model.head.pool), " went through ", &head(&model.head), "."]);
    let trained = match model.freeze {
        Freeze::None => "All of the network was trained".to_owned(),
        Freeze::All => "Only its head was trained".to_owned(),
        Freeze::First(share) => {
            format!(
                "The first {} of the backbone's tensors kept their first weights, the rest was trained",
                percent(share)
            )
        }
        Freeze::BackboneFor(epochs) => {
            format!("Only its head was trained in the first {}, all of it afterwards", count(epochs as usize, "epoch"))
        }
    };
    out.say("freeze", &["", &trained, "."]);
}

fn prepare(told: &Told<'_>, out: &mut Sentences) {
    let images = &told.study.images;
    let mut steps: Vec<String> = images.prepare.iter().map(prepared).collect();
    steps.push(normalised(images.normalize).to_owned());
    let expected = match told.study.model.weights {
        _ if told.written.contains_key("images.prepare") => "",
        Weights::None => ", the network's default",
        Weights::File { .. }
        | Weights::Hub { .. }
        | Weights::Imagenet
        | Weights::Imagenet21k
        | Weights::NoisyStudent => ", as the network's first weights expect",
    };
    out.say("prepare", &["Images were prepared by ", &listed(&steps), "", expected, "."]);
}

fn prepared(step: &Prepare) -> String {
    match step {
        Prepare::Grayscale {} => noted("conversion to grey levels", &[], source(&PREPARE, "grayscale")),
        Prepare::Resize { side, filter, fit } => {
            let fit = match fit {
                Fit::Stretch => "without keeping the aspect ratio",
                Fit::Pad => "padded with black to a square",
                Fit::Crop => "cropped to the central square",
            };
            let filter = format!("{} filter", word(filter).unwrap_or_default());
            noted(&format!("resizing to {side} × {side} pixels"), &[filter, fit.to_owned()], source(&PREPARE, "resize"))
        }
        Prepare::Clahe { clip, tiles } => noted(
            "contrast-limited adaptive histogram equalisation",
            &[format!("clip limit {clip}"), format!("{tiles} × {tiles} tiles")],
            source(&PREPARE, "clahe"),
        ),
    }
}

fn normalised(normalize: Normalize) -> &'static str {
    match normalize {
        Normalize::Imagenet => "normalisation with ImageNet's mean and standard deviation",
        Normalize::Half => "normalisation with a mean and a standard deviation of 0.5",
        Normalize::None => "scaling to values from 0 to 1",
        Normalize::Bytes => "values from 0 to 255 as they are",
        Normalize::Caffe => "values from 0 to 255 less ImageNet's means",
        Normalize::Train => "normalisation with mean and standard deviation of the fold's own training images",
        Normalize::Dataset => "normalisation with mean and standard deviation of all images, scored ones included",
    }
}

fn augment(told: &Told<'_>, out: &mut Sentences) {
    let steps: Vec<String> = told.study.images.augment.iter().map(augmented).collect();
    let how = if steps.is_empty() {
        "not augmented".to_owned()
    } else {
        format!("augmented at random by {}", listed(&steps))
    };
    let others = if steps.is_empty() { "" } else { "; no other images were" };
    out.say("augment", &["Training images were ", &how, "", others, "."]);
}

fn augmented(step: &Augment) -> String {
    let of_images = |p: &f64| format!("probability {}", percent(*p));
    let of_batches = |p: &f64| format!("{} of the batches", percent(*p));
    let (name, what, mut notes, chance) = match step {
        Augment::Flip { horizontal, p } => {
            ("flip", if *horizontal { "horizontal flipping" } else { "vertical flipping" }, vec![], of_images(p))
        }
        Augment::Rotate { degrees, p } => {
            ("rotate", "rotation", vec![format!("up to {degrees}° either way")], of_images(p))
        }
        Augment::ShiftScaleRotate { shift, scale, degrees, p } => {
            let most = format!(
                "up to {} of the side, {} of the scale and {degrees}° either way",
                percent(*shift),
                percent(*scale)
            );
            ("shift_scale_rotate", "shifting, scaling and rotation at once", vec![most], of_images(p))
        }
        Augment::BrightnessContrast { amount, p } => {
            let most = format!("up to {} each", percent(*amount));
            ("brightness_contrast", "changes of brightness and contrast", vec![most], of_images(p))
        }
        Augment::Crop { scale, p } => (
            "crop",
            "cropping and scaling back",
            vec![format!("to no less than {} of the side", percent(*scale))],
            of_images(p),
        ),
        Augment::Cutout { size, p } => {
            ("cutout", "cutout", vec![format!("a square of {} of the side", percent(*size))], of_images(p))
        }
        Augment::Mixup { alpha, p } => ("mixup", "mixup", vec![format!("alpha {alpha}")], of_batches(p)),
        Augment::Cutmix { patches, alpha, p } => {
            ("cutmix", "CutMix", vec![count(*patches as usize, "rectangle"), format!("alpha {alpha}")], of_batches(p))
        }
    };
    notes.push(chance);
    noted(what, &notes, source(&AUGMENT, name))
}

fn weights(weights: &Weights) -> String {
    let of_word = |what: &str, word: &str| noted(what, &[], source(&WEIGHTS, word));
    match weights {
        Weights::None => of_word("random weights", "none"),
        Weights::Imagenet => of_word("weights trained on ImageNet", "imagenet"),
        Weights::Imagenet21k => of_word("weights trained on ImageNet-21k", "imagenet21k"),
        Weights::NoisyStudent => of_word("Noisy Student's weights", "noisy_student"),
        Weights::File { path, sha256 } => {
            let name = path.file_name().map_or_else(String::new, |name| format!("\"{}\"", name.to_string_lossy()));
            let sum = sha256.as_ref().map(|sum| format!("SHA-256 {sum}"));
            let notes: Vec<String> = std::iter::once(name).chain(sum).collect();
            noted("the weights of a file", &notes, "")
        }
        Weights::Hub { repository, revision } => {
            format!("the weights {repository} of the Hugging Face hub (revision {revision})")
        }
    }
}

fn pooled(pool: Option<Pooling>) -> String {
    match pool {
        None => "Its pooled features".to_owned(),
        Some(Pooling::Mean) => "The means of its features over the image".to_owned(),
        Some(Pooling::Largest) => "The largest values of its features over the image".to_owned(),
        Some(Pooling::Generalised(p)) => noted(
            "The generalised means of its features over the image",
            &[format!("power {p}")],
            source(&POOLS, "gem"),
        ),
    }
}

fn head(head: &Head) -> String {
    let dropout = percent(head.dropout);
    match (head.hidden, head.dropout > 0.0) {
        (None, false) => "one linear layer".to_owned(),
        (None, true) => format!("one linear layer after dropout of {dropout}"),
        (Some(hidden), dropped) => {
            let each = if dropped { format!(", each after dropout of {dropout}") } else { String::new() };
            format!("two linear layers with {} and ReLU between them{each}", count(hidden as usize, "hidden unit"))
        }
    }
}
