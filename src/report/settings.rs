//! What was run: every setting with its defaults filled in, and what identifies weights, study and program.

use maud::{Markup, html};
use serde_yaml::Value;

use super::html::wide;
use super::words::{class_name, condition, loss_formula, plain, written};
use crate::record::RunRecord;

/// The section.
pub(super) fn section(record: &RunRecord) -> Markup {
    html! {
        (wide("What identifies the run", &identity(record)))
        h3 { "Every setting, defaults included" }
        @for (block, rows) in blocks(record) {
            details open[block != "data"] {
                summary { (block) }
                (wide(&format!("Settings of {block}"), &html! {
                    table.settings {
                        caption.quiet { "Settings of " (block) }
                        tbody { @for (name, value) in rows { tr { th scope="row" { (name) } td { code { (value) } } } } }
                    }
                }))
            }
        }
    }
}

fn identity(record: &RunRecord) -> Markup {
    let environment = &record.environment;
    html! {
        table.settings {
            caption { "What identifies the run" }
            tbody {
                tr { th scope="row" { "study key (blake3)" } td { code { (plain(&record.key)) } } }
                tr {
                    th scope="row" { "first weights (sha256)" }
                    td { @if let Some(sha) = &environment.weights_sha256 { code { (plain(sha)) } } @else { "none: random" } }
                }
                tr { th scope="row" { "pipe" } td { (plain(&record.pipe_version)) ", record version " (record.version) } }
                tr { th scope="row" { "device" } td { (plain(&environment.device)) ", threads: " (environment.threads) } }
                tr { th scope="row" { "platform" } td { (plain(&environment.platform)) } }
                tr { th scope="row" { "seed" } td { (record.study.seed) } }
            }
        }
    }
}

/// The study's settings, block by block, as `(name, value)` in the manner of the language.
fn blocks(record: &RunRecord) -> Vec<(String, Vec<(String, String)>)> {
    let Ok(Value::Mapping(study)) = serde_yaml::to_value(&record.study) else {
        return Vec::new();
    };
    let mut all: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for (name, value) in study {
        let name = written(&name);
        if let Value::Mapping(settings) = value {
            let rows =
                settings.into_iter().map(|(setting, value)| row(record, &name, &written(&setting), &value)).collect();
            all.push((name, rows));
        }
    }
    all
}

fn row(record: &RunRecord, block: &str, setting: &str, value: &Value) -> (String, String) {
    let text = match (block, setting) {
        ("data", "keep") => record.study.data.keep.as_ref().map_or_else(|| "none".to_owned(), condition),
        ("train", "loss") => loss_formula(&record.study.train.loss),
        ("data", "classes") if value.is_null() => {
            let names: Vec<String> = (0..record.classes.len()).map(|class| class_name(record, class)).collect();
            format!("all that occur: [{}]", names.join(", "))
        }
        ("evaluate", "tta") => {
            let changes: Vec<String> = record.study.evaluate.tta.iter().map(ToString::to_string).collect();
            format!("mean of probabilities over the image and [{}]", changes.join(", "))
        }
        ("model", "pool") => record.study.model.head.pool.map_or_else(String::new, |pool| pool.to_string()),
        (_, _) => written(value),
    };
    (setting.to_owned(), text)
}
