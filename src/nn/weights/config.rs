//! A model that a run saved -> the `config.json` that belongs beside it, as timm and the Hugging Face hub read it.
//!
//! `architecture` is timm's name exactly where timm builds the same network. Else it begins with `pipe:`, so that timm
//! stops at a name it does not know instead of computing something else, and `pipe.differs` says why.

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde::Serialize;
use serde_json::{Value, json};

use crate::catalog::backbones::{Architecture, Card};
use crate::nn::{Flavour, Network, slots};
use crate::study::{Filter, Fit, Pooling, Prepare, Study};

use super::problem::WeightsError;
use super::{read, write};

#[derive(Serialize)]
struct Config<'a> {
    architecture: String,
    num_classes: usize,
    num_features: u32,
    global_pool: &'static str,
    label_names: &'a [String],
    /// What timm's function of that name wants besides `num_classes`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    model_args: BTreeMap<&'static str, Value>,
    pretrained_cfg: Pretrained,
    pipe: Pipe<'a>,
}

#[derive(Serialize)]
struct Pretrained {
    custom_load: bool,
    input_size: [u32; 3],
    fixed_input_size: bool,
    interpolation: &'static str,
    crop_pct: f64,
    crop_mode: &'static str,
    mean: Vec<f64>,
    std: Vec<f64>,
    num_classes: usize,
    pool_size: Option<[u32; 2]>,
    first_conv: String,
    classifier: &'static str,
}

/// What only this program reads.
#[derive(Serialize)]
struct Pipe<'a> {
    version: &'static str,
    study: &'a str,
    backbone: &'static str,
    prepare: &'a [Prepare],
    /// What timm does not do, or does otherwise.
    differs: Vec<String>,
}

/// The `config.json` of a model (safetensors) that this study trained for these classes.
///
/// # Errors
/// A file that is none of a run's.
pub fn config(model: &[u8], study: &Study, classes: &[String]) -> Result<String, WeightsError> {
    let notes = read::look(model)?.metadata;
    let (card, head) = (study.model.backbone.card(), study.model.head);
    let flavour = write::noted_form(&notes);
    // Its tensors are drawn when they are read, and none is.
    let network = Network::of(study, classes.len(), 0, &Device::flex());
    let first =
        slots(&network).into_iter().find(|slot| slot.shape.len() == 4).map_or_else(String::new, |slot| slot.name);
    let (side, channels) = (study.images.side(), study.model.channels());
    let channels = u32::try_from(channels).unwrap_or(u32::MAX);
    let another = another_network(study, flavour);
    let (filter, fit) = resampling(study);
    let numbers = |of: &str| -> Result<Vec<f64>, WeightsError> {
        let sound = notes.get(of).and_then(|text| text.split(' ').map(|word| word.parse().ok()).collect());
        sound.ok_or_else(|| WeightsError::Unwritable { reason: format!("the model does not say its `{of}`") })
    };
    let config = Config {
        architecture: if another.is_empty() { card.timm.to_owned() } else { format!("pipe:{}", card.name) },
        num_classes: classes.len(),
        num_features: card.features,
        global_pool: match head.pool {
            None if card.patch() > 1 => "token",
            None | Some(Pooling::Mean) => "avg",
            Some(Pooling::Largest) => "max",
            Some(Pooling::Generalised(_)) => "gem",
        },
        label_names: classes,
        model_args: arguments(card, head.pool, side, channels),
        pretrained_cfg: Pretrained {
            custom_load: false,
            input_size: [channels, side, side],
            fixed_input_size: card.patch() > 1,
            interpolation: match filter {
                Filter::Lanczos => "lanczos",
                Filter::Bicubic => "bicubic",
                Filter::Bilinear => "bilinear",
                Filter::Nearest => "nearest",
            },
            crop_pct: 1.0,
            crop_mode: match fit {
                Fit::Stretch => "squash",
                Fit::Pad => "border",
                Fit::Crop => "center",
            },
            mean: numbers("mean")?,
            std: numbers("std")?,
            num_classes: classes.len(),
            pool_size: None,
            first_conv: first.trim_end_matches(".weight").to_owned(),
            classifier: card.head.name,
        },
        pipe: Pipe {
            version: env!("CARGO_PKG_VERSION"),
            study: &study.name,
            backbone: card.name,
            prepare: &study.images.prepare,
            differs: another.into_iter().chain(other_images(study)).collect(),
        },
    };
    let text = serde_json::to_string_pretty(&config);
    text.map(|text| text + "\n").map_err(|error| WeightsError::Unwritable { reason: error.to_string() })
}

/// What a network of timm's default form must be told.
fn arguments(card: &Card, pool: Option<Pooling>, side: u32, channels: u32) -> BTreeMap<&'static str, Value> {
    let transformer = card.patch() > 1;
    let mut all = BTreeMap::new();
    if channels != card.channels {
        all.insert("in_chans", json!(channels));
    }
    if transformer {
        all.insert("img_size", json!(side));
    }
    match pool {
        Some(Pooling::Mean) if transformer => drop(all.insert("global_pool", json!("avg"))),
        Some(Pooling::Largest) => drop(all.insert("global_pool", json!("max"))),
        None | Some(Pooling::Mean | Pooling::Generalised(_)) => {}
    }
    if transformer && all.contains_key("global_pool") {
        // The last norm stays before the pool.
        all.insert("fc_norm", json!(false));
    }
    all
}

/// Why timm builds no such network; nothing where it does.
fn another_network(study: &Study, flavour: Flavour) -> Vec<String> {
    let (card, head) = (study.model.backbone.card(), study.model.head);
    let in_timm = !matches!(&card.architecture, Architecture::NasNet(shape) if !shape.skip);
    [
        (!in_timm).then(|| "timm has no such network".to_owned()),
        (in_timm && flavour == Flavour::Keras)
            .then(|| format!("built as the Keras libraries build it, and timm builds `{}` otherwise", card.timm)),
        head.hidden.map(|hidden| {
            let (name, features) = (card.head.name, card.features);
            format!(
                "its head is of two layers: build timm's `{}`, then set  model.{name} = timm.layers.Mlp({features}, {hidden}, num_classes, act_layer=torch.nn.ReLU)",
                card.timm
            )
        }),
        match head.pool {
            Some(pool @ Pooling::Generalised(_)) => {
                Some(format!("features are pooled by {pool}, and timm's `{}` has no such pool", card.timm))
            }
            None | Some(Pooling::Mean | Pooling::Largest) => None,
        },
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What timm's transforms do not do to an image.
fn other_images(study: &Study) -> Vec<String> {
    let said = |step: &Prepare| match step {
        Prepare::Grayscale {} => {
            let channels = if study.model.channels() == 1 { "in one channel" } else { "three equal channels" };
            Some(format!("images are made grey, {channels}"))
        }
        Prepare::Clahe { clip, tiles } => {
            Some(format!("contrast is equalised as OpenCV's createCLAHE({clip}, ({tiles}, {tiles})) does"))
        }
        Prepare::Resize { fit: Fit::Pad, .. } => {
            Some("bars beside an image are black, and timm's have the mean's colour".to_owned())
        }
        Prepare::Resize { fit: Fit::Stretch | Fit::Crop, .. } => None,
    };
    study.images.prepare.iter().filter_map(said).collect()
}

/// How the last `resize` works, which makes the images' side.
fn resampling(study: &Study) -> (Filter, Fit) {
    let last = study.images.prepare.iter().rev().find_map(|step| match step {
        Prepare::Resize { filter, fit, .. } => Some((*filter, *fit)),
        Prepare::Grayscale {} | Prepare::Clahe { .. } => None,
    });
    last.unwrap_or((Filter::Bilinear, Fit::Stretch))
}
