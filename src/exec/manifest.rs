//! The run's manifest: everything needed to understand a run folder, as YAML, written last.

use serde::Serialize;

use super::Finished;
use crate::graph::Key;
use crate::plan::{Action, Plan};
use crate::record::{StudyRecord, VariantRecord};

#[derive(Serialize)]
struct Manifest<'a> {
    version: u32,
    pipe: &'a str,
    study: &'a str,
    key: &'a str,
    synthetic: bool,
    started_unix: u64,
    seconds: f64,
    device: &'a str,
    threads: u32,
    platform: &'a str,
    parameters: &'a [String],
    weights_sha256: Option<&'a str>,
    classes: &'a [String],
    images: usize,
    patients: usize,
    steps: Vec<StepEntry<'a>>,
    files: Vec<FileEntry<'a>>,
    settings: &'a crate::study::Study,
}

#[derive(Serialize)]
struct StepEntry<'a> {
    step: String,
    key: &'a str,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

#[derive(Serialize)]
struct FileEntry<'a> {
    name: &'a str,
    bytes: usize,
    blake3: String,
}

#[derive(Serialize)]
struct StudyManifest<'a> {
    version: u32,
    pipe: &'a str,
    study: &'a str,
    key: &'a str,
    started_unix: u64,
    seconds: f64,
    parameters: &'a [String],
    variants: Vec<VariantEntry<'a>>,
    missing: &'a [String],
    files: Vec<FileEntry<'a>>,
}

#[derive(Serialize)]
struct VariantEntry<'a> {
    name: &'a str,
    folder: &'a str,
    key: &'a str,
}

fn action(action: &Action) -> &'static str {
    match action {
        Action::Run => "run",
        Action::Reuse => "reused",
        Action::Recompute => "recomputed",
    }
}

fn entries(files: &[(String, Vec<u8>)]) -> Vec<FileEntry<'_>> {
    files
        .iter()
        .map(|(name, bytes)| FileEntry { name, bytes: bytes.len(), blake3: Key::of(bytes).as_str().into() })
        .collect()
}

/// When and how long a run worked. Kept out of the record, which has no clock.
#[derive(Debug, Clone, Default)]
pub struct Timing {
    /// Seconds since 1970 at the start.
    pub started_unix: u64,
    /// Seconds of the whole run.
    pub seconds: f64,
    /// Seconds of each step that was done now.
    pub steps: Vec<(crate::graph::Work, f64)>,
}

fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

/// Writes the manifest of a finished run; `parameters` are those set from outside, as `name=value`.
///
/// # Errors
/// Only if a value cannot be written as YAML.
pub fn manifest(
    plan: &Plan,
    variant: usize,
    finished: &Finished,
    files: &[(String, Vec<u8>)],
    parameters: &[String],
    timing: &Timing,
) -> Result<String, serde_yaml::Error> {
    let record = &finished.record;
    let steps = plan
        .steps
        .iter()
        .zip(plan.dag.nodes())
        .filter(|(_, (_, node))| node.variants.contains(&variant))
        .map(|(step, (_, node))| StepEntry {
            step: node.work.title(),
            key: node.key.as_str(),
            action: action(&step.action),
            seconds: timing.steps.iter().find(|(work, _)| *work == node.work).map(|(_, seconds)| round(*seconds)),
        })
        .collect();
    let everyone = plan.variants.get(variant).map(|variant| &variant.dataset);
    serde_yaml::to_string(&Manifest {
        version: 1,
        pipe: &record.pipe_version,
        study: &record.study.name,
        key: &record.key,
        synthetic: record.synthetic,
        started_unix: timing.started_unix,
        seconds: round(timing.seconds),
        device: &record.environment.device,
        threads: record.environment.threads,
        platform: &record.environment.platform,
        parameters,
        weights_sha256: record.environment.weights_sha256.as_deref(),
        classes: &record.classes,
        images: everyone.map_or(0, |dataset| dataset.images.len()),
        patients: everyone.map_or(0, |dataset| dataset.patients.len()),
        steps,
        files: entries(files),
        settings: &record.study,
    })
}

/// Writes the manifest of a study with several variants; `folder_of` names each one's folder.
///
/// # Errors
/// Only if a value cannot be written as YAML.
pub fn study_manifest<'a>(
    record: &'a StudyRecord,
    folder_of: impl Fn(&str) -> &'a str,
    files: &[(String, Vec<u8>)],
    parameters: &[String],
    timing: &Timing,
) -> Result<String, serde_yaml::Error> {
    let variant = |variant: &'a VariantRecord| VariantEntry {
        name: &variant.name,
        folder: folder_of(&variant.name),
        key: &variant.record.key,
    };
    serde_yaml::to_string(&StudyManifest {
        version: 1,
        pipe: &record.pipe_version,
        study: &record.name,
        key: &record.key,
        started_unix: timing.started_unix,
        seconds: round(timing.seconds),
        parameters,
        variants: record.variants.iter().map(variant).collect(),
        missing: &record.missing,
        files: entries(files),
    })
}
