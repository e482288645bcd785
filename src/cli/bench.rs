//! `pipe bench`: what a backbone costs on this machine, before a study is planned around it.

use std::path::Path;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Outcomes, print, talk};
use crate::images;
use crate::study::{Filter, Fit, Prepare};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe bench resnet18                             a training step, inference, images/s, memory
  pipe bench efficientnet_b0 --side 160 --batch 32
  pipe bench resnet18 --format json | jq .train_step_ms
  pipe bench --loss 4096x1000
  pipe bench --images films/")]
pub(super) struct Arguments {
    /// The backbone, as a study names it
    #[arg(required_unless_present_any = ["loss", "images"])]
    backbone: Option<String>,
    /// Forward and backward of a mixed loss alone, over so many rows of so many classes
    #[arg(long, value_name = "ROWSxCLASSES", value_parser = shape, conflicts_with = "backbone")]
    loss: Option<(usize, usize)>,
    /// Decode, grey, CLAHE and Lanczos to the side alone, over the PNG and JPEG files of a folder; times are of one thread
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["backbone", "loss"])]
    images: Option<std::path::PathBuf>,
    /// Pixels a side of the images
    #[arg(long, value_name = "PIXELS", default_value_t = 224, value_parser = clap::value_parser!(u32).range(1..=4096))]
    side: u32,
    /// Images a step
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// auto, cpu, cuda, cuda(1) or vulkan
    #[cfg(feature = "run")]
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: crate::exec::Choice,
    /// What the network's products are computed in
    #[arg(long, value_enum, default_value_t = Precision::F32, conflicts_with_all = ["loss", "images"])]
    precision: Precision,
    /// Steps that are timed, after two that are not; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10000))]
    steps: u32,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// How it is told
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

/// `4096x10`
fn shape(text: &str) -> Result<(usize, usize), String> {
    let read = |part: &str| part.parse().ok().filter(|count| (1..=1_000_000).contains(count));
    let (rows, classes) = text.split_once('x').unwrap_or((text, ""));
    match (read(rows), read(classes)) {
        (Some(rows), Some(classes)) if classes >= 2 && rows * classes <= 1 << 28 => Ok((rows, classes)),
        _ => Err("rows and at least 2 classes are wanted, as in 4096x10, at most 2^28 numbers".to_owned()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// Single precision
    F32,
    /// bfloat16, on GPUs that compute in it
    Bf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One object, for programs
    Json,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    match &arguments.images {
        Some(folder) => images(arguments, folder).unwrap_or_else(|outcome| outcome),
        None => networks(arguments),
    }
}

/// Times what becomes of the images of a folder, which are read before; the fastest of several passes over all counts.
fn images(arguments: &Arguments, folder: &Path) -> Result<Outcomes, Outcomes> {
    let failed = |what: String| {
        talk(&format!("pipe: {what}"));
        Outcomes::Failed
    };
    let named = |error: std::io::Error| failed(format!("{} cannot be read: {error}", folder.display()));
    let mut paths: Vec<_> = std::fs::read_dir(folder).map_err(named)?.collect::<Result<Vec<_>, _>>().map_err(named)?;
    paths.sort_by_key(std::fs::DirEntry::file_name);
    let files: Vec<Vec<u8>> = paths.iter().filter_map(|entry| std::fs::read(entry.path()).ok()).collect();
    let files: Vec<Vec<u8>> = files.into_iter().filter(|bytes| images::decode::kind(bytes).is_ok()).collect();
    if files.is_empty() {
        return Err(failed(format!("{} holds no PNG or JPEG", folder.display())));
    }
    let steps = [
        Prepare::Grayscale {},
        Prepare::Clahe { clip: 2.0, tiles: 8 },
        Prepare::Resize { side: arguments.side, filter: Filter::Lanczos, fit: Fit::Stretch },
    ];
    let (mut least, mut decoding) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..arguments.steps {
        let (mut all, mut decoded) = (0.0, 0.0);
        for bytes in &files {
            let begun = Instant::now();
            let pixels = images::decode(bytes).map_err(|error| failed(error.to_string()))?;
            decoded += begun.elapsed().as_secs_f64();
            drop(images::prepare(&steps, pixels));
            all += begun.elapsed().as_secs_f64();
        }
        (least, decoding) = (least.min(all), decoding.min(decoded));
    }
    #[expect(clippy::cast_precision_loss, reason = "a folder's files")]
    let each = files.len() as f64;
    let (rate, decode, prepare) = (each / least, decoding / each * 1e3, (least - decoding) / each * 1e3);
    Ok(print(&match arguments.format {
        Format::Text => format!(
            "{} images to {} pixels: {rate:.0} images/s a thread, {decode:.2} ms to decode and {prepare:.2} ms to prepare\n",
            files.len(),
            arguments.side
        ),
        Format::Json => {
            let object = json!({
                "images": files.len(),
                "side": arguments.side,
                "images_per_s": rate,
                "decode_ms": decode,
                "prepare_ms": prepare,
            });
            format!("{object}\n")
        }
    }))
}

#[cfg(not(feature = "run"))]
fn networks(_arguments: &Arguments) -> Outcomes {
    talk("pipe: E0110: this build cannot train; build it with the default features");
    Outcomes::Failed
}

#[cfg(feature = "run")]
use with_engine::run as networks;
#[cfg(feature = "run")]
pub(super) use with_engine::told;

#[cfg(feature = "run")]
mod with_engine {
    use super::super::progress::Steps;
    use super::super::weights::{named, refuse};
    use super::{Arguments, Format, Outcomes, Precision, json, print};
    use crate::exec::{self, Choice, RunError};
    use crate::study::{self, Backbone};
    use crate::train::{Bench, Cost, bench, bench_loss};

    pub(in super::super) fn run(arguments: &Arguments) -> Outcomes {
        measured(arguments).unwrap_or_else(|outcome| outcome)
    }

    pub(in super::super) fn told(error: RunError) -> Outcomes {
        match error {
            RunError::Failed { what, help } => refuse(Outcomes::Failed, &what, help.as_deref()),
            RunError::Interrupted | RunError::Problems(_) => Outcomes::Failed,
        }
    }

    fn measured(arguments: &Arguments) -> Result<Outcomes, Outcomes> {
        let (choice, device) = exec::choose(arguments.device).map_err(told)?;
        if let Some(threads) = arguments.threads {
            // Fails only if the pool was built before, which nothing here does.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build_global();
        }
        if let Some((rows, classes)) = arguments.loss {
            let measure = || bench_loss(rows, classes, arguments.steps as usize, &device);
            let taken = exec::on_device(choice, measure, || "try fewer rows".to_owned()).map_err(told)?;
            let taken = taken.map_err(|error| refuse(Outcomes::Failed, &error.to_string(), None))?;
            return Ok(print(&loss(arguments, choice, (rows, classes), taken)));
        }
        let backbone = named(arguments.backbone.as_deref().unwrap_or_default())?;
        let precision = precision(arguments, choice, exec::without_bf16(choice, &device))?;
        check_side(backbone, arguments.side)?;
        let [side, batch, steps] = [arguments.side, arguments.batch, arguments.steps].map(|count| count as usize);
        let progress = Steps::new(backbone.name(), arguments.quiet);
        let measure = || {
            bench(Bench { backbone, side, batch, steps, precision }, &device, &mut |done, all| progress.on(done, all))
        };
        let cost = exec::on_device(choice, measure, || format!("try  --batch {}", (batch / 2).max(1)));
        drop(progress);
        let cost = cost.map_err(told)?;
        let cost = cost.map_err(|error| refuse(Outcomes::Failed, &error.to_string(), None))?;
        Ok(print(&match arguments.format {
            Format::Text => text(arguments, backbone, choice, &cost),
            Format::Json => object(arguments, backbone, choice, &cost),
        }))
    }

    fn loss(
        arguments: &Arguments,
        choice: Choice,
        (rows, classes): (usize, usize),
        taken: std::time::Duration,
    ) -> String {
        let microseconds = (taken.as_secs_f64() * 1e8).round() / 100.0;
        let object = json!({
            "rows": rows,
            "classes": classes,
            "device": choice.to_string(),
            "threads": rayon::current_num_threads(),
            "times": arguments.steps,
            "forward_backward_us": microseconds,
        });
        match arguments.format {
            Format::Text => format!("{rows} x {classes}, {choice}: {microseconds} us forward and backward\n"),
            Format::Json => format!("{object}\n"),
        }
    }

    fn check_side(backbone: Backbone, side: u32) -> Result<(), Outcomes> {
        let card = backbone.card();
        if side < card.smallest_side {
            let what = format!("{} takes no images of {side} pixels a side", card.name);
            let help = format!("its smallest side is {}", card.smallest_side);
            return Err(refuse(Outcomes::Usage, &what, Some(&help)));
        }
        if !side.is_multiple_of(card.patch()) {
            let what =
                format!("{} cuts images into patches of {}, {side} is no multiple of it", card.name, card.patch());
            let near = side.next_multiple_of(card.patch());
            return Err(refuse(Outcomes::Usage, &what, Some(&format!("--side {near} is the next"))));
        }
        Ok(())
    }

    fn images_per_s(batch: u32, cost: std::time::Duration) -> f64 {
        f64::from(batch) / cost.as_secs_f64().max(1e-9)
    }

    fn milliseconds(cost: std::time::Duration) -> f64 {
        (cost.as_secs_f64() * 1e5).round() / 100.0
    }

    impl From<Precision> for study::Precision {
        fn from(wanted: Precision) -> Self {
            match wanted {
                Precision::F32 => Self::F32,
                Precision::Bf16 => Self::Bf16,
            }
        }
    }

    /// What is asked for, if the device computes in it; `without`: why it has no bfloat16.
    fn precision(
        arguments: &Arguments,
        choice: Choice,
        without: Option<&'static str>,
    ) -> Result<study::Precision, Outcomes> {
        match (arguments.precision, without) {
            (Precision::Bf16, Some(why)) => {
                let what = format!("E0507: `bf16` is asked for on {choice}, {why}");
                Err(refuse(Outcomes::Failed, &what, Some("measure in  --precision f32 , or on a GPU:  --device cuda")))
            }
            (wanted, _) => Ok(wanted.into()),
        }
    }

    fn text(arguments: &Arguments, backbone: Backbone, choice: Choice, cost: &Cost) -> String {
        let Arguments { side, batch, .. } = arguments;
        let (train, infer) = (images_per_s(*batch, cost.train_step), images_per_s(*batch, cost.inference));
        #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
        let peak = cost.peak_bytes as f64 / f64::from(1_u32 << 30);
        let largest =
            cost.largest_batch.map_or("not known here".to_owned(), |largest| format!("about {largest} (estimate)"));
        format!(
            "{}, batch {batch}, side {side}, {}, {choice}, {} threads, median of {}\n\
             training step  {:>9.1} ms  {train:>8.1} images/s\n\
             inference      {:>9.1} ms  {infer:>8.1} images/s\n\
             step of a head {:>9.1} ms\n\
             peak memory    {peak:>9.2} GiB\n\
             largest batch  {largest}\n",
            backbone.name(),
            study::Precision::from(arguments.precision).name(),
            rayon::current_num_threads(),
            arguments.steps,
            milliseconds(cost.train_step),
            milliseconds(cost.inference),
            milliseconds(cost.head_step),
        )
    }

    fn object(arguments: &Arguments, backbone: Backbone, choice: Choice, cost: &Cost) -> String {
        let object = json!({
            "backbone": backbone.name(),
            "side": arguments.side,
            "batch": arguments.batch,
            "device": choice.to_string(),
            "precision": study::Precision::from(arguments.precision).name(),
            "threads": rayon::current_num_threads(),
            "steps": arguments.steps,
            "train_step_ms": milliseconds(cost.train_step),
            "inference_ms": milliseconds(cost.inference),
            "head_step_ms": milliseconds(cost.head_step),
            "images_per_s": images_per_s(arguments.batch, cost.train_step),
            "inference_images_per_s": images_per_s(arguments.batch, cost.inference),
            "peak_bytes": cost.peak_bytes,
            "image_bytes": cost.image_bytes,
            "largest_batch_estimate": cost.largest_batch,
        });
        format!("{object}\n")
    }
}
