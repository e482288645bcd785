//! `pipe doctor`: what this machine and this build offer a study, and what to do about what is missing.

pub(super) mod machine;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Outcomes, print};
use crate::store::CheckCache;
use machine::{Card, Folder, Memory, Processor};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe doctor                                  devices, processor, memory, folders, first weights
  pipe doctor --store /scratch/pipe            the same with another store
  pipe doctor --format json | jq .devices

Exit codes: 0 studies can run, 1 something keeps them from running; the last part says what and how to mend it.")]
pub(super) struct Arguments {
    /// Text, or everything as one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where finished steps are kept between runs
    #[arg(long, value_name = "DIR", default_value = ".pipe")]
    store: PathBuf,
    /// Where results go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// A folder with pretrained weights; may be given several times, `weights` is always looked at
    #[arg(long, value_name = "DIR")]
    weights: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// All that is told.
#[derive(Debug, Serialize)]
struct Health {
    pipe: &'static str,
    platform: String,
    /// Was this built to be fast?
    optimised: bool,
    features: Features,
    processor: Processor,
    memory: Memory,
    devices: Vec<Told>,
    /// Cards that NVIDIA's driver lists, whether this build can use them or not.
    nvidia: Vec<Card>,
    folders: Vec<Folder>,
    weights: Weights,
    todo: Vec<Todo>,
}

#[derive(Debug, Serialize)]
struct Features {
    run: bool,
    cuda: bool,
    vulkan: bool,
}

const FEATURES: Features =
    Features { run: cfg!(feature = "run"), cuda: cfg!(feature = "cuda"), vulkan: cfg!(feature = "vulkan") };

/// A device that answers.
#[derive(Debug, Serialize)]
struct Told {
    device: String,
    name: String,
    memory_bytes: Option<u64>,
    driver: Option<String>,
    /// A driver that computes on the processor; no study trains on it.
    software: bool,
    /// Is it what `auto` takes?
    auto: bool,
}

#[derive(Debug, Default, Serialize)]
struct Weights {
    here: Vec<Here>,
    /// Of so many that the catalog knows.
    known: usize,
}

#[derive(Debug, Serialize)]
struct Here {
    backbone: &'static str,
    weights: &'static str,
    path: PathBuf,
}

/// Something that is missing.
#[derive(Debug, Serialize)]
struct Todo {
    what: String,
    /// A line for a shell.
    paste: String,
    /// Does it keep studies from running?
    needed: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let (processor, memory) = machine::processor_and_memory();
    let nvidia = machine::cards();
    let devices = devices(&nvidia, &memory);
    let mut folders = vec![machine::folder("store", &arguments.store), machine::folder("results", &arguments.out)];
    let mut sources: Vec<PathBuf> = arguments.weights.clone();
    sources.push(PathBuf::from("weights"));
    folders.extend(CheckCache::of_user().map(|cache| machine::folder("checks", cache.folder())));
    folders.extend(sources.iter().map(|path| machine::folder("weights", path)));
    folders.extend(caches().iter().map(|path| machine::folder("hub cache", path)));
    let weights = weights(&sources);
    let has_card = !nvidia.is_empty() || machine::has_nvidia_card();
    let todo = todo(&FEATURES, &devices, (has_card, !nvidia.is_empty()), &folders, &weights);
    let health = Health {
        pipe: env!("CARGO_PKG_VERSION"),
        platform: crate::host::platform(),
        optimised: !cfg!(debug_assertions),
        features: FEATURES,
        processor,
        memory,
        devices,
        nvidia,
        folders,
        weights,
        todo,
    };
    let printed = print(&match arguments.format {
        Format::Text => text(&health),
        Format::Json => serde_json::to_string_pretty(&health).unwrap_or_default() + "\n",
    });
    if printed == Outcomes::Done && health.todo.iter().any(|one| one.needed) { Outcomes::Errors } else { printed }
}

/// Every device that a study could run on; opens each.
#[cfg(feature = "run")]
fn devices(cards: &[Card], memory: &Memory) -> Vec<Told> {
    use crate::exec::{Choice, answering, choose};
    let auto = choose(Choice::Auto).map_or(Choice::Cpu, |(choice, _)| choice);
    let told = answering().into_iter().map(|one| {
        let card = match one.device {
            Choice::Cuda(number) => cards.iter().find(|card| card.index == number),
            Choice::Vulkan(_) => cards.iter().find(|card| card.name == one.name),
            Choice::Auto | Choice::Cpu => None,
        };
        Told {
            device: one.device.to_string(),
            memory_bytes: if one.device == Choice::Cpu {
                Some(memory.bytes)
            } else {
                card.map(|card| card.memory_bytes)
            },
            driver: card.map(|card| card.driver.clone()),
            software: one.software,
            auto: one.device == auto,
            name: one.name,
        }
    });
    told.collect()
}

#[cfg(not(feature = "run"))]
fn devices(_cards: &[Card], _memory: &Memory) -> Vec<Told> {
    Vec::new()
}

#[cfg(feature = "run")]
fn caches() -> Vec<PathBuf> {
    crate::nn::weights::default_caches()
}

#[cfg(not(feature = "run"))]
fn caches() -> Vec<PathBuf> {
    Vec::new()
}

/// The catalog's first weights that are on this machine.
#[cfg(feature = "run")]
fn weights(folders: &[PathBuf]) -> Weights {
    use crate::catalog::backbones::Backbone;
    use crate::nn::weights::{Places, Wanted};
    let places = Places::here(folders);
    let mut all = Weights::default();
    for backbone in Backbone::all() {
        for weights in backbone.card().words() {
            all.known += 1;
            if let Ok(path) = Wanted::word(backbone, weights).locate(&places) {
                all.here.push(Here { backbone: backbone.name(), weights, path });
            }
        }
    }
    all
}

#[cfg(not(feature = "run"))]
fn weights(_folders: &[PathBuf]) -> Weights {
    Weights::default()
}

/// What is missing and how to get it; `card`: is an NVIDIA card there, and does its driver answer?
fn todo(features: &Features, devices: &[Told], card: (bool, bool), folders: &[Folder], weights: &Weights) -> Vec<Todo> {
    const BUILD: &str = "cargo build --release --locked";
    let mut all = Vec::new();
    let mut add = |needed: bool, what: &str, paste: String| all.push(Todo { what: what.to_owned(), paste, needed });
    if !features.run {
        add(true, "this build checks and plans studies, but cannot run them", BUILD.to_owned());
    } else if cfg!(debug_assertions) {
        add(false, "this is a debug build, many times slower than a release build", BUILD.to_owned());
    }
    let has = |runtime: &str| devices.iter().any(|one| one.device.starts_with(runtime) && !one.software);
    match card {
        (true, true) if features.run && !features.cuda => {
            add(false, "an NVIDIA GPU is here, and this build has no CUDA", format!("{BUILD} --features cuda"));
        }
        (true, true) if features.cuda && !has("cuda") => {
            add(
                false,
                "NVIDIA's driver answers, but CUDA finds no device; is one hidden?",
                "unset CUDA_VISIBLE_DEVICES".to_owned(),
            );
        }
        (true, false) => add(false, "an NVIDIA GPU is here, but its driver does not answer", "nvidia-smi".to_owned()),
        (true | false, _) => {}
    }
    if features.vulkan && devices.iter().all(|one| !one.device.starts_with("vulkan")) {
        let paste = "sudo apt-get install -y libvulkan1 mesa-vulkan-drivers".to_owned();
        add(false, "this build has Vulkan, but no driver answers", paste);
    }
    for folder in folders.iter().filter(|folder| !folder.writable) {
        let paste = match folder.what {
            "store" => "pipe doctor --store \"$HOME/.cache/pipe\"".to_owned(),
            "results" => "pipe doctor --out \"$HOME/runs\"".to_owned(),
            "hub cache" => "export HF_HUB_CACHE=\"$HOME/.cache/huggingface/hub\"".to_owned(),
            // read only
            _ => continue,
        };
        let what = format!("the {} {} cannot be written; try another folder", folder.what, shown(&folder.path));
        add(folder.what != "hub cache", &what, paste);
    }
    if features.run && weights.here.is_empty() {
        let what = "no first weights are on this machine; runs fetch what they need, or get some before you go offline";
        add(false, what, "pipe weights fetch resnet18".to_owned());
    }
    all
}

fn shown(path: &Path) -> String {
    crate::diag::render::visible(&path.display().to_string())
}

/// `1.5 GB`
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn size(bytes: u64) -> String {
    const UNITS: [(&str, f64); 4] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)];
    let (unit, of) = UNITS.into_iter().find(|(_, of)| bytes as f64 >= *of).unwrap_or(("B", 1.0));
    let value = bytes as f64 / of;
    if value < 10.0 && of > 1.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// Rows of a table, each column as wide as its widest cell, below a title.
fn table(text: &mut String, title: &str, rows: &[Vec<String>]) {
    let _ = writeln!(text, "\n{title}");
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
}

fn text(health: &Health) -> String {
    let Health { features, processor, memory, .. } = health;
    let built = [("run", features.run), ("cuda", features.cuda), ("vulkan", features.vulkan)];
    let named = |there: bool| -> String {
        let names: Vec<&str> = built.iter().filter(|(_, has)| *has == there).map(|(name, _)| *name).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    };
    let mut text = format!("pipe {} on {}\n", health.pipe, health.platform);
    let row = |cells: &[&str]| -> Vec<String> { cells.iter().map(|cell| (*cell).to_owned()).collect() };
    let build = if health.optimised { "release" } else { "debug" };
    let instructions = processor.instructions.join(", ");
    let rows = [
        row(&["build", &format!("{build}; features {}; without {}", named(true), named(false))]),
        row(&["processor", &processor.model]),
        row(&["instructions", if instructions.is_empty() { "no wide ones" } else { &instructions }]),
        row(&["cores", &format!("{}; a run uses {} threads", processor.logical_cores, processor.threads)]),
        row(&["memory", &format!("{}; {} free", size(memory.bytes), size(memory.free_bytes))]),
    ];
    table(&mut text, "this machine", &rows);
    let devices: Vec<Vec<String>> = health.devices.iter().map(device_row).collect();
    if devices.is_empty() {
        table(&mut text, "devices", &[row(&["none: this build cannot run studies"])]);
    } else {
        table(&mut text, "devices", &devices);
    }
    let folders: Vec<Vec<String>> = health.folders.iter().map(folder_row).collect();
    table(&mut text, "folders", &folders);
    if features.run {
        let here = &health.weights.here;
        let mut rows: Vec<Vec<String>> =
            here.iter().map(|one| row(&[one.backbone, one.weights, &shown(&one.path)])).collect();
        rows.push(vec![format!("{} of {} are here; all: pipe weights list", here.len(), health.weights.known)]);
        // the last line is no cell of the table
        let last = rows.pop().unwrap_or_default();
        table(&mut text, "first weights", &rows);
        let _ = writeln!(text, "  {}", last.concat());
    }
    if !health.todo.is_empty() {
        let _ = writeln!(text, "\nto do");
        for one in &health.todo {
            let _ = writeln!(text, "  {}\n      {}", one.what, one.paste);
        }
    }
    text
}

fn device_row(one: &Told) -> Vec<String> {
    let mut about = vec![one.name.clone()];
    about.extend(one.memory_bytes.map(size));
    about.extend(one.driver.as_ref().map(|driver| format!("driver {driver}")));
    if one.software {
        about.push("software, trains nothing".to_owned());
    }
    vec![one.device.clone(), about.join(", "), if one.auto { "what `auto` takes".to_owned() } else { String::new() }]
}

fn folder_row(folder: &Folder) -> Vec<String> {
    let state = match (folder.exists, folder.writable) {
        (true, true) => format!("{}, writable", size(folder.bytes)),
        (true, false) => format!("{}, read only", size(folder.bytes)),
        (false, true) => "absent".to_owned(),
        (false, false) => "absent, and cannot be made".to_owned(),
    };
    vec![folder.what.to_owned(), shown(&folder.path), state]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(device: &str, software: bool) -> Told {
        Told {
            device: device.to_owned(),
            name: "x".to_owned(),
            memory_bytes: None,
            driver: None,
            software,
            auto: false,
        }
    }

    fn folder(what: &'static str, writable: bool) -> Folder {
        Folder { what, path: "f".into(), exists: true, bytes: 0, writable }
    }

    #[test]
    fn what_is_missing_is_told_with_a_line_to_paste() {
        let some =
            || Weights { here: vec![Here { backbone: "resnet18", weights: "imagenet", path: "f".into() }], known: 1 };
        let pasted = |features: [bool; 3], devices: &[Told], card, folders: &[Folder], weights: &Weights| {
            let [run, cuda, vulkan] = features;
            let all = todo(&Features { run, cuda, vulkan }, devices, card, folders, weights);
            let debug = "cargo build --release --locked";
            let rest = all.into_iter().filter(|one| one.paste != debug || one.needed);
            rest.map(|one| (one.needed, one.paste)).collect::<Vec<_>>()
        };
        let cpu = [device("cpu", false)];
        let none = (false, false);
        let paste = |needed: bool, line: &str| vec![(needed, line.to_owned())];
        assert_eq!(pasted([true, false, false], &cpu, none, &[folder("store", true)], &some()), []);
        let built = "cargo build --release --locked --features cuda";
        assert_eq!(pasted([true, false, false], &cpu, (true, true), &[], &some()), paste(false, built));
        assert_eq!(pasted([true, true, false], &cpu, (true, false), &[], &some()), paste(false, "nvidia-smi"));
        let hidden = "unset CUDA_VISIBLE_DEVICES";
        assert_eq!(pasted([true, true, false], &cpu, (true, true), &[], &some()), paste(false, hidden));
        let gpu = [device("cpu", false), device("cuda(0)", false)];
        assert_eq!(pasted([true, true, false], &gpu, (true, true), &[], &some()), []);
        let driver = "sudo apt-get install -y libvulkan1 mesa-vulkan-drivers";
        assert_eq!(pasted([true, false, true], &cpu, none, &[], &some()), paste(false, driver));
        let soft = [device("vulkan(0)", true)];
        assert_eq!(pasted([true, false, true], &soft, none, &[], &some()), []);
        let store = "pipe doctor --store \"$HOME/.cache/pipe\"";
        let folders = [folder("store", false), folder("weights", false)];
        assert_eq!(pasted([true, false, false], &cpu, none, &folders, &some()), paste(true, store));
        let fetch = "pipe weights fetch resnet18";
        assert_eq!(pasted([true, false, false], &cpu, none, &[], &Weights::default()), paste(false, fetch));
        let build = "cargo build --release --locked";
        assert_eq!(pasted([false, false, false], &[], none, &[], &Weights::default()), paste(true, build));
    }

    #[test]
    fn sizes_have_two_or_more_digits_and_a_unit() {
        let told = [0, 999, 1500, 25_300_000, 8_000_000_000, 80_000_000_000].map(size);
        assert_eq!(told, ["0 B", "999 B", "1.5 kB", "25 MB", "8.0 GB", "80 GB"]);
    }
}
