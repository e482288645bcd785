//! `run NAME { }` blocks: where a study runs. They never enter the study.

use indexmap::IndexMap;

use super::Variant;
use super::eval::Evaluator;
use super::take::{Slot, Typed, take, whole};
use crate::catalog::blocks;
use crate::diag::Problems;
use crate::source::Span;
use crate::study::Precision;
use crate::syntax::ast::{Block, Entry};

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// An NVIDIA GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(u32),
    /// A GPU by its number, through Vulkan.
    Vulkan(u32),
}

/// One `run NAME { }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunBlock {
    /// `device`.
    pub device: Device,
    /// Where that was written, if it was.
    pub device_at: Option<Span>,
    /// `threads`; `None`: all cores.
    pub threads: Option<u32>,
    /// `workers`; `None`: one.
    pub workers: Option<u32>,
    /// Where its header stands.
    pub span: Span,
}

/// Every `run` block by its name, in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunBlocks {
    /// By name.
    pub blocks: IndexMap<String, RunBlock>,
}

/// Reads one block and adds it.
pub(super) fn read<'a>(block: &'a Block, evaluator: &mut Evaluator<'a>, into: &mut RunBlocks) {
    let Some(name) = block.labels.first() else {
        evaluator.problems.block_without_name("run", block.keyword.span, "run laptop { device = auto }");
        return;
    };
    let span = block.keyword.span.to(name.span);
    if let Some(first) = into.blocks.get(&name.text) {
        evaluator.problems.name_twice(&name.text, first.span, name.span);
        return;
    }
    if let Some(second) = block.labels.get(1) {
        evaluator.problems.block_label("run", &second.text, second.span);
    }
    if let Some(extends) = &block.extends {
        evaluator.problems.block_extends("run", extends.span);
    }
    let mut run = RunBlock { device: Device::Auto, device_at: None, threads: None, workers: None, span };
    let scope = evaluator.scope(Some(0));
    let mut places: IndexMap<&str, Span> = IndexMap::new();
    for entry in &block.entries {
        let setting = match entry {
            Entry::Setting(setting) => setting,
            Entry::Let(one) => {
                evaluator.bind_let(&one.name, &one.value, scope);
                continue;
            }
            Entry::Block(inner) => {
                evaluator.problems.block_in_block(&inner.keyword.text, "run", inner.keyword.span);
                continue;
            }
            Entry::Vary(setting) => {
                evaluator.problems.vary_in_run(setting.path.span);
                continue;
            }
            Entry::Error(_) => continue,
        };
        let [name] = setting.path.names.as_slice() else {
            evaluator.problems.path_too_deep(setting.path.span);
            continue;
        };
        let Some(known) = blocks::RUN.setting(&name.text) else {
            if blocks::RUN.later.contains(&name.text.as_str()) {
                evaluator.problems.not_yet(&format!("run.{}", name.text), name.span, "leave the line out");
            } else {
                let known: Vec<&str> = blocks::RUN.settings.iter().map(|setting| setting.name).collect();
                let of_studies = blocks::BLOCKS.iter().filter(|block| block.setting(&name.text).is_some());
                let elsewhere: Vec<String> = of_studies.map(|block| format!("{}.{}", block.name, name.text)).collect();
                evaluator.problems.unknown_setting("run", &name.text, name.span, &known, &elsewhere);
            }
            evaluator.mark_all_used();
            continue;
        };
        if let Some(first) = places.insert(known.name, name.span) {
            evaluator.problems.setting_twice(known.name, first, name.span);
            continue;
        }
        let value = evaluator.value(&setting.value, scope);
        let names = evaluator.names(scope);
        let slot = Slot { name: known.name, owner: "run", names: &names };
        match take(&known.takes, &value, slot, &mut evaluator.problems) {
            Some(Typed::Operation(device)) => {
                run.device_at = Some(setting.value.span);
                run.device = match device.operation.name {
                    "cpu" => Device::Cpu,
                    "cuda" => Device::Cuda(device.whole("index").unwrap_or(0)),
                    "vulkan" => Device::Vulkan(device.whole("index").unwrap_or(0)),
                    _ => Device::Auto,
                };
            }
            Some(Typed::Number(count)) if known.name == "workers" => run.workers = Some(whole(count)),
            Some(Typed::Number(count)) => run.threads = Some(whole(count)),
            Some(_) | None => {}
        }
    }
    into.blocks.insert(name.text.clone(), run);
}

/// E0507: `bf16` in a study whose every `run` block names the CPU.
pub(super) fn precision(run: &RunBlocks, variants: &[Variant], problems: &mut Problems) {
    let mut devices = run.blocks.values().map(|block| (block.device, block.device_at));
    let Some((Device::Cpu, Some(device))) = devices.next() else { return };
    if devices.any(|(device, _)| device != Device::Cpu) {
        return;
    }
    let mut halves = variants.iter().filter(|variant| variant.study.train.precision == Precision::Bf16);
    if let Some(at) = halves.find_map(|variant| variant.places.get("train.precision")) {
        problems.bf16_on_cpu(at, device);
    }
}
