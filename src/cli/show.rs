//! `pipe show`: the study as it is meant.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Outcomes, StudyArguments, print, talk, tell_variants};
use crate::check::{Checked, Pick, Variant};
use crate::host::RealHost;
use crate::show;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe show study.pipe                  what was written, with every name and condition resolved
  pipe show study.pipe --full           every setting, defaults marked
  pipe show study.pipe --prose          a paragraph for the methods section
  pipe show study.pipe --format json    the study as data
  pipe show grid.pipe --only resnet18/ce --full

What is shown as a program is one: it reads back as the same study. A grid is shown variant by
variant, each a program of its own; how variants are compared is in none of them.")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    /// Show every setting, those left to their default too
    #[arg(long)]
    full: bool,
    /// Write a methods paragraph
    #[arg(long, conflicts_with_all = ["full", "format"])]
    prose: bool,
    /// The study as data instead of as a program
    #[arg(long, value_enum, conflicts_with = "full")]
    format: Option<Format>,
    /// Only the variants whose name fits, `resnet50/*`; may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON, on one line
    Json,
    /// YAML
    Yaml,
}

/// A variant as data.
#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'a str,
    #[serde(flatten)]
    study: &'a crate::study::Study,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let outcome = match arguments.study.check(&RealHost, Pick::Only) {
        Ok(outcome) => outcome,
        Err(outcome) => return outcome,
    };
    arguments.study.tell(&outcome.map, &outcome.problems);
    let Some(checked) = &outcome.checked else {
        arguments.study.tell_count(&outcome.problems);
        return Outcomes::Errors;
    };
    let variants = match wanted(arguments, checked) {
        Ok(variants) => variants,
        Err(outcome) => return outcome,
    };
    if arguments.prose {
        return print(&show::prose(&outcome, &variants));
    }
    let data: Vec<Data<'_>> =
        variants.iter().map(|variant| Data { variant: &variant.name, study: &variant.study }).collect();
    let text = match (arguments.format, data.as_slice()) {
        (Some(Format::Json), [one]) => serde_json::to_string(one).unwrap_or_default() + "\n",
        (Some(Format::Json), all) => serde_json::to_string(all).unwrap_or_default() + "\n",
        // by way of JSON, so that both hold the same and no tag is needed to read it
        (Some(Format::Yaml), [one]) => serde_yaml::to_string(&serde_json::to_value(one).ok()).unwrap_or_default(),
        (Some(Format::Yaml), all) => serde_yaml::to_string(&serde_json::to_value(all).ok()).unwrap_or_default(),
        (None, _) => {
            let shown = variants.iter().map(|variant| {
                let text = show::program(&variant.study, &variant.settings, arguments.full);
                let several = variants.len() > 1;
                if several { format!("# variant {}\n\n{text}", variant.name) } else { text }
            });
            shown.collect::<Vec<_>>().join("\n")
        }
    };
    print(&text)
}

fn wanted<'a>(arguments: &Arguments, checked: &'a Checked) -> Result<Vec<&'a Variant>, Outcomes> {
    let fitting = checked.fitting(&arguments.only).map_err(|pattern| no_variant(pattern, checked))?;
    Ok(fitting.into_iter().filter_map(|at| checked.variants.get(at)).collect())
}

/// Says that an `--only` fits nothing, and what there is.
pub(super) fn no_variant(pattern: &str, checked: &Checked) -> Outcomes {
    talk(&format!("pipe: no variant of the study fits --only '{pattern}'"));
    tell_variants(checked);
    Outcomes::Usage
}
