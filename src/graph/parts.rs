//! What a step's content key is made of, part by part and in words, so that two keys can be told apart.
//!
//! Kept beside a step in the store, for `pipe why` alone; no key is made of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Key, Work};

/// The name of each part of a key, and its value: as JSON where that is short, else `#` and the digits of its digest.
pub type Parts = BTreeMap<String, String>;

/// Longest value that is kept as it stands.
const SHORT: usize = 60;

impl Work {
    /// The names of its parameters, in their order; empty for what is not kept in the store.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Prepare => &["images.prepare", "content of the images"],
            Self::Features => &[
                "model.backbone",
                "first weights",
                "images.normalize",
                "model.head.pool",
                "channels of the images",
                "train.precision",
            ],
            Self::Train(_) => &[
                "fold",
                "seed",
                "classes",
                "images and labels it sees",
                "images it learns from",
                "model",
                "first weights",
                "train",
                "images.normalize",
                "images.augment",
            ],
            Self::Predict(_) => &["images it scores", "evaluate.tta"],
            Self::ReadTable
            | Self::SelectRows
            | Self::Split
            | Self::OutOfFold
            | Self::Evaluate
            | Self::Report
            | Self::Compare => &[],
        }
    }
}

/// Takes a step's key apart; `inputs` are the titles and keys of the steps whose keys enter it.
pub(super) fn parts(work: Work, parameters: &Value, inputs: &[(String, &str)]) -> Parts {
    let mut parts = Parts::new();
    if !work.is_stored() {
        return parts;
    }
    parts.insert("way it is made".into(), format!("{} {}", work.tag(), work.version()));
    let values = parameters.as_array().map_or(&[][..], Vec::as_slice);
    for (name, value) in work.parameters().iter().zip(values) {
        match value {
            // Settings of a block one by one.
            Value::Object(settings) if matches!(*name, "model" | "train") => {
                parts.extend(settings.iter().map(|(setting, value)| (format!("{name}.{setting}"), shown(value))));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                parts.insert((*name).to_owned(), shown(value));
            }
        }
    }
    parts.extend(inputs.iter().map(|(title, key)| (format!("its input, {title}"), format!("#{key}"))));
    parts
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= SHORT { text } else { format!("#{}", Key::of(text.as_bytes()).as_str()) }
}
