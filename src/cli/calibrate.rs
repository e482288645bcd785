//! What this machine was measured to do, kept in the user's cache folder: `pipe plan --measure` finds it out, `plan` and `run` use it.
//!
//! A network is measured by `pipe bench` in a process of its own, so that its memory is its own and nothing of another's stays warm.
//! What is not measured, or was by another build of the program, on another machine or with other threads, is not known here.

use serde::{Deserialize, Serialize};

use super::doctor::machine;
use crate::graph::Key;
use crate::host::Shelf as _;
use crate::plan::{Plan, Planned, Rate, Rates};
use crate::store::CheckCache;

/// Of one machine, a device of it and so many threads.
pub(super) struct Calibrations {
    shelf: Option<CheckCache>,
    machine: String,
    device: String,
    threads: usize,
    memory: Option<u64>,
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    train: f64,
    infer: f64,
    head_step: f64,
    fixed_bytes: f64,
    image_bytes: f64,
}

impl Calibrations {
    /// Those of this machine; `device` as a run names it.
    pub(super) fn new(device: &str) -> Self {
        let (processor, memory) = machine::processor_and_memory();
        let host = sysinfo::System::host_name().unwrap_or_default();
        Self {
            shelf: CheckCache::of_user(),
            machine: format!("{host} {}", processor.model),
            device: device.to_owned(),
            threads: processor.threads,
            // Where tensors live on a card, its memory is not ours to know.
            memory: (device == "cpu").then_some(memory.bytes),
        }
    }

    fn key(&self, of: &str) -> String {
        format!("calibration 1 {} {} {} {of}", self.machine, self.device, self.threads)
    }

    fn recall<T: for<'a> Deserialize<'a>>(&self, of: &str) -> Option<T> {
        serde_json::from_slice(&self.shelf.as_ref()?.get(&self.key(of))?).ok()
    }

    /// What is known for a plan's work.
    pub(super) fn rates(&self, plan: &Plan) -> Rates {
        let network = |(name, side): (&'static str, u32)| {
            let kept: Kept = self.recall(&format!("{name} {side}"))?;
            let Kept { train, infer, head_step, fixed_bytes, image_bytes } = kept;
            Some(((name, side), Rate { train, infer, head_step, fixed_bytes, image_bytes }))
        };
        let prepare =
            |(key, _): (&Key, &Planned)| Some((key.clone(), self.recall(&format!("prepare {}", key.as_str()))?));
        Rates {
            networks: plan.networks().into_keys().filter_map(network).collect(),
            prepare: plan.unprepared().filter_map(prepare).collect(),
            threads: self.threads,
            memory: self.memory,
        }
    }
}

#[cfg(feature = "run")]
mod with_engine {
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use rayon::prelude::*;
    use serde::Serialize;
    use serde_json::Value;

    use super::super::{preview, talk};
    use super::{Calibrations, Kept};
    use crate::data::Dataset;
    use crate::host::Shelf as _;
    use crate::plan::Plan;

    /// Images that are prepared to see how long one takes.
    const IMAGES: usize = 64;

    /// Images of a measured batch at most: what one costs hardly changes from there on.
    const BATCH: u32 = 16;

    impl Calibrations {
        fn keep(&self, of: &str, what: &impl Serialize) {
            if let (Some(shelf), Ok(bytes)) = (&self.shelf, serde_json::to_vec(what)) {
                shelf.put(&self.key(of), &bytes);
            }
        }

        /// Times how images are prepared: some of the data set's, on all threads. Images that do not read are the run's to tell of.
        fn measure_images(&self, plan: &Plan) {
            for (key, variant) in plan.unprepared() {
                let images = spread(&variant.dataset);
                let done = AtomicUsize::new(0);
                let begun = Instant::now();
                images.par_iter().for_each(|image| {
                    if preview::prepared(&variant.study, &variant.dataset, *image).is_ok() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
                let done = done.into_inner();
                if done > 0 {
                    #[expect(clippy::cast_precision_loss, reason = "at most 64")]
                    self.keep(&format!("prepare {}", key.as_str()), &(begun.elapsed().as_secs_f64() / done as f64));
                }
            }
        }

        /// Measures and keeps what a plan's images and networks cost; why it cannot.
        pub(in super::super) fn measure(&self, plan: &Plan) -> Result<(), String> {
            if self.shelf.is_none() {
                return Err("there is no folder to remember it in; `PIPE_CACHE` names one".to_owned());
            }
            self.measure_images(plan);
            for ((name, side), batch) in plan.networks() {
                talk(&format!("measuring {name} at {side} pixels"));
                let kept = self.bench(name, side, batch.clamp(2, BATCH))?;
                self.keep(&format!("{name} {side}"), &kept);
            }
            Ok(())
        }

        fn bench(&self, name: &str, side: u32, batch: u32) -> Result<Kept, String> {
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            let mut bench = Command::new(program);
            bench.args(["bench", name, "--steps", "3", "--quiet", "--format", "json", "--device", &self.device]);
            bench.args(["--side", &side.to_string(), "--batch", &batch.to_string()]);
            bench.args(["--threads", &self.threads.to_string()]);
            let ended = bench.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
            if !ended.status.success() {
                return Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned());
            }
            let told: Value = serde_json::from_slice(&ended.stdout).map_err(|error| error.to_string())?;
            let number = |key: &str| told[key].as_f64().ok_or_else(|| format!("`pipe bench` told no {key}"));
            let images = f64::from(batch);
            let image_bytes = told["image_bytes"].as_f64().unwrap_or(0.0);
            Ok(Kept {
                train: number("train_step_ms")? / 1e3 / images,
                infer: number("inference_ms")? / 1e3 / images,
                head_step: number("head_step_ms")? / 1e3,
                fixed_bytes: (number("peak_bytes")? - image_bytes * images).max(0.0),
                image_bytes,
            })
        }
    }

    /// Images from all over a data set.
    fn spread(dataset: &Dataset) -> Vec<usize> {
        let all = dataset.images.len();
        (0..all).step_by(all.div_ceil(IMAGES).max(1)).collect()
    }
}
