//! Sentences on images, labels and patients.

use super::Told;
use super::sentence::Sentences;
use super::words::{count, ended, listed, plain};
use crate::data::{FlowStep, portion};
use crate::leakage::Bond;
use crate::study::{Group, Limit, Source, WhenMany};

pub(super) fn say(told: &Told<'_>, out: &mut Sentences) {
    let data = &told.study.data;
    comprised(told, out);
    // with nobody known, the leak says so
    let unknown = told.flow.is_some_and(|flow| flow.sharing.iter().any(|sharing| sharing.bond == Bond::NoPatients));
    if let (Group::None { because }, false) = (&data.group, unknown) {
        out.say("patients", &["Each image was taken for a patient of its own: ", &ended(because), ""]);
    }
    if !data.merge.is_empty() {
        let merged: Vec<String> =
            data.merge.iter().map(|(class, labels)| format!("{} counted as {class}", listed(labels))).collect();
        out.say("merge", &["Labels were merged: ", &merged.join("; "), "."]);
    }
    if data.labels.split_on.is_some() && data.labels.when_many == WhenMany::First {
        out.say("several labels", &["Of several labels of an image, the first counted."]);
    }
    if let (Some(_), Some(keep)) = (&data.keep, told.written.get("data.keep")) {
        out.say("keep", &["Only rows of the table that meet a condition were used: ", &plain(&keep.written), "."]);
    }
    if let Some(limit) = &data.limit {
        let most = match limit {
            Limit::Each(images) => format!("{} of each class", count(*images as usize, "image")),
            Limit::PerClass(classes) => {
                let each: Vec<String> = classes
                    .iter()
                    .map(|(class, images)| format!("{} of {class}", count(*images as usize, "image")))
                    .collect();
                listed(&each)
            }
        };
        out.say("limit", &["At most ", &most, " were used, taken patient by patient in a random order."]);
    }
    left_out(told, out);
}

fn comprised(told: &Told<'_>, out: &mut Sentences) {
    let (study, dataset) = (told.study, told.dataset);
    let all: Vec<usize> = (0..dataset.images.len()).collect();
    let whole = portion(dataset, &all);
    let grouped = told.grouped();
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
        Source::Csv { .. } | Source::Folder { .. } => "The data set".to_owned(),
        Source::Phantoms { seed, .. } => {
            format!("The data set, synthetic radiographs drawn by pipe with the seed {seed},")
        }
    };
    let patients = if grouped { format!(" of {}", count(dataset.patients.len(), "patient")) } else { String::new() };
    let what = format!(
        "{}{patients} in {}: {}",
        count(dataset.images.len(), "image"),
        count(dataset.classes.len(), "class"),
        listed(&classes)
    );
    out.say("data", &["", &from, " comprised ", &what, "."]);
}

/// What became of the rows that are not used.
fn left_out(told: &Told<'_>, out: &mut Sentences) {
    let flow = &told.dataset.flow;
    let steps: Vec<String> = flow
        .windows(2)
        .filter_map(|two| match two {
            [before, after] if before.images > after.images => Some(left_out_by(after, before.images - after.images)),
            _ => None,
        })
        .collect();
    if let (Some(first), false) = (flow.first(), steps.is_empty()) {
        let unused = (first.images as usize).saturating_sub(told.dataset.images.len());
        let were = if unused == 1 { "was" } else { "were" };
        let of = format!("{} of the table, {} {were}", count(first.images as usize, "row"), count(unused, ""));
        out.say("left out", &["Of ", &of, " not used: ", &listed(&steps), "."]);
    }
}

fn left_out_by(step: &FlowStep, rows: u32) -> String {
    let rows = count(rows as usize, "");
    match step.what.as_str() {
        "keep" => format!("{rows} did not meet the condition"),
        "several labels" => format!("{rows} carried several labels"),
        "labels that are no class" => format!("{rows} carried a label that is no class"),
        "missing images" => format!("{rows} had no image file"),
        "limit" => format!("{rows} exceeded the limit for a class"),
        other => format!("{rows} by {other}"),
    }
}
