//! What is left to do in a plan becomes time and memory, by what the machine was measured to do, or roughly by the networks' size.
//!
//! Counts are exact: images, trainings and steps follow from the plan. What a piece takes comes from [`Rates`]; where those lack a
//! network, from the multiply-adds of its row in the catalog at the rate its family was seen to reach, and the estimate says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{last, several};
use super::{Action, Plan, Planned};
use crate::catalog::backbones::Architecture;
use crate::diag::Problems;
use crate::graph::{Key, Node, Work};
use crate::leakage::watches_reported_fold;
use crate::record::FoldRoles;
use crate::study::{Backbone, Freeze, Study};

/// Images that a thread decodes and prepares in a second where that was not measured.
const PREPARED: f64 = 150.0;
/// What a program with an engine takes before it holds a network.
const PROGRAM: f64 = 120e6;
/// A rough estimate of memory may be so many times too large.
const DOUBT: f64 = 2.0;
/// From so many trainings on a grid is told, and from so long on.
const MANY: usize = 100;
const LONG: f64 = 24.0 * 3600.0;

/// What a network costs on a machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Seconds an image in a training step.
    pub train: f64,
    /// Seconds an image in evaluation.
    pub infer: f64,
    /// Seconds of a step of the head alone.
    pub head_step: f64,
    /// Bytes that do not depend on the batch.
    pub fixed_bytes: f64,
    /// Bytes of a training step for each image of its batch.
    pub image_bytes: f64,
}

/// What is known of a machine.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// Measured networks, by name and side of images.
    pub networks: BTreeMap<(&'static str, u32), Rate>,
    /// Measured seconds an image is decoded and prepared in, by the key of the step.
    pub prepare: BTreeMap<Key, f64>,
    /// Threads a run uses.
    pub threads: usize,
    /// Bytes of memory programs may use in all; `None`: not known, or not where tensors live.
    pub memory: Option<u64>,
}

/// One kind of work that is left to do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Share {
    pieces: usize,
    steps: usize,
    seconds: f64,
}

/// What a plan's remaining work takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimate {
    prepare: Share,
    features: Share,
    train: Share,
    predict: Share,
    /// Was something not measured?
    rough: bool,
    /// May training stop early?
    at_most: bool,
    /// The most bytes that a training step takes, and its batch.
    step: Option<(f64, u32)>,
    memory: Option<u64>,
}

impl Rate {
    /// By the multiply-adds of the network.
    #[must_use]
    pub fn rough(backbone: Backbone, side: u32, threads: usize) -> Self {
        let card = backbone.card();
        let grown = f64::from(side) / f64::from(card.input.side);
        let macs = card.gmacs * 1e9 * grown * grown;
        let (speed, kept) = family(&card.architecture);
        #[expect(clippy::cast_precision_loss, reason = "a few threads, and parameters far below 2^53")]
        let (threads, parameters) = (threads.max(1) as f64, card.parameters as f64);
        let infer = macs / (speed * 1e9 * threads);
        Self {
            train: 3.0 * infer,
            infer,
            head_step: 1e-3,
            // weights, gradients and two moments of each, in single precision
            fixed_bytes: PROGRAM + 16.0 * parameters,
            image_bytes: kept * macs,
        }
    }

    fn bytes(&self, batch: u32) -> f64 {
        self.fixed_bytes + f64::from(batch) * self.image_bytes
    }
}

/// 10^9 multiply-adds a second and thread in evaluation, half of what `pipe bench` found with AVX-512 on a quiet machine, since most
/// have less; and bytes that a training step keeps for each at 224 pixels, as found (26 November 2026; the Inceptions, Xception,
/// NASNet and VGG are guesses from the others).
fn family(architecture: &Architecture) -> (f64, f64) {
    match architecture {
        Architecture::ResNet(shape) if !shape.bottleneck => (50.0, 0.023),
        Architecture::ResNet(_) | Architecture::ResNetV2(_) | Architecture::SeNet(_) => (50.0, 0.03),
        Architecture::Vgg(_) => (50.0, 0.04),
        Architecture::DenseNet(_) => (30.0, 0.035),
        Architecture::Efficient(_) => (20.0, 0.13),
        Architecture::InceptionV3 { .. } | Architecture::InceptionResNetV2 => (35.0, 0.03),
        Architecture::Xception { .. } => (25.0, 0.05),
        Architecture::NasNet(_) => (12.0, 0.15),
        Architecture::VisionTransformer(_) => (45.0, 0.018),
    }
}

impl Rates {
    /// What a study's network costs, and was that measured?
    fn of(&self, study: &Study) -> (Rate, bool) {
        let (backbone, side) = (study.model.backbone, study.images.side());
        match self.networks.get(&(backbone.name(), side)) {
            Some(rate) => (*rate, true),
            None => (Rate::rough(backbone, side, self.threads), false),
        }
    }
}

impl Plan {
    /// The nodes that are to be done, each with a variant that asks for it.
    fn to_do(&self) -> impl Iterator<Item = (usize, &Planned, &Node)> {
        self.steps().filter(|(action, _)| **action == Action::Run).filter_map(|(_, node)| {
            let index = *node.variants.first()?;
            Some((index, self.variants.get(index)?, node))
        })
    }

    /// The networks whose time and memory count, each with the side of its images and the largest batch it is trained in.
    #[must_use]
    pub fn networks(&self) -> BTreeMap<(&'static str, u32), u32> {
        let mut networks = BTreeMap::new();
        for (_, variant, node) in self.to_do().filter(|(_, _, node)| node.work != Work::Prepare) {
            let study = &variant.study;
            let batch: &mut u32 = networks.entry((study.model.backbone.name(), study.images.side())).or_default();
            *batch = (*batch).max(if matches!(node.work, Work::Train(_)) { study.train.batch } else { 1 });
        }
        networks
    }

    /// Images that are to be prepared: the key of the step and the variant.
    pub fn unprepared(&self) -> impl Iterator<Item = (&Key, &Planned)> {
        self.to_do().filter(|(_, _, node)| node.work == Work::Prepare).map(|(_, variant, node)| (&node.key, variant))
    }

    /// Time and memory of what is to be done.
    #[must_use]
    pub fn estimate(&self, rates: &Rates) -> Estimate {
        let mut all = Estimate { memory: rates.memory, ..Estimate::default() };
        for (index, variant, node) in self.to_do() {
            let study = &variant.study;
            let (rate, measured) = rates.of(study);
            let images = variant.dataset.images.len();
            all.rough |= !measured && node.work != Work::Prepare;
            match node.work {
                Work::Prepare => {
                    let measured = rates.prepare.get(&node.key).copied();
                    all.rough |= measured.is_none();
                    let each = measured.unwrap_or(1.0 / (PREPARED * float(rates.threads.max(1))));
                    all.prepare.add(images, 0, float(images) * each);
                }
                Work::Features => all.features.add(images, 0, float(images) * rate.infer),
                Work::Train(fold) => {
                    let Some(roles) = roles(variant, fold) else { continue };
                    let shared = self.dag.find(index, Work::Features).is_some();
                    let (steps, seconds) = training(study, roles, shared, &rate);
                    all.train.add(1, steps, seconds);
                    all.at_most |= study.train.stop.is_some();
                    if live(study) > 0 {
                        let bytes = rate.bytes(study.train.batch);
                        if all.step.is_none_or(|(most, _)| most < bytes) {
                            all.step = Some((bytes, study.train.batch));
                        }
                    }
                }
                Work::Predict(fold) => {
                    let Some(roles) = roles(variant, fold) else { continue };
                    let held = variant.split.holdout.as_ref().map_or(0, |portion| portion.images);
                    let choose = if study.evaluate.operating.is_empty() { 0 } else { roles.validation.images };
                    let scored = (roles.evaluation.images + held + choose) as usize;
                    let passes = float(scored * (1 + study.evaluate.tta.len()));
                    all.predict.add(scored, 0, passes * rate.infer);
                }
                Work::ReadTable
                | Work::SelectRows
                | Work::Split
                | Work::OutOfFold
                | Work::Evaluate
                | Work::Report
                | Work::Compare => {}
            }
        }
        all
    }

    /// E0801 for each batch that is to be trained and cannot fit. What was not measured is believed by half.
    #[must_use]
    pub fn too_large(&self, rates: &Rates) -> Problems {
        let mut problems = Problems::new();
        let Some(memory) = rates.memory else { return problems };
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^53")]
        let room = memory as f64;
        for (_, variant, node) in self.to_do() {
            let study = &variant.study;
            if !matches!(node.work, Work::Train(_)) || live(study) == 0 {
                continue;
            }
            let (rate, measured) = rates.of(study);
            let batch = study.train.batch;
            let least = rate.bytes(batch) / if measured { 1.0 } else { DOUBT };
            if least <= room {
                continue;
            }
            let fits = ((room * 0.9 - rate.fixed_bytes) / rate.image_bytes).max(0.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to `batch`")]
            let fits = fits.min(f64::from(batch)) as u32;
            let sizes = (&*size(rate.bytes(batch)), &*size(room));
            let place = variant.places.nearest("train.batch");
            problems.batch_does_not_fit(place, (batch, study.images.side()), sizes, fits, study.train.accumulate);
        }
        problems
    }

    /// W0702 with the time it takes, where the grid has much left to do.
    #[must_use]
    pub fn large(&self, estimate: &Estimate) -> Problems {
        let mut problems = Problems::new();
        let (trainings, axes) = (estimate.train.pieces, self.axes());
        if axes.is_empty() || (trainings < MANY && estimate.seconds() < LONG) {
            return problems;
        }
        let factors: Vec<_> =
            axes.iter().map(|(path, labels)| (several(labels.len(), last(path)), labels.len())).collect();
        let spans = self.variants.first().map_or(&[][..], |variant| &variant.choices);
        let spans: Vec<_> = spans.iter().map(|choice| choice.at).collect();
        let counts: Vec<usize> = factors.iter().map(|(_, count)| *count).collect();
        problems.grid_is_large(&counts, self.variants.len(), trainings, &spans, Some(&estimate.time()));
        problems
    }
}

impl Share {
    fn add(&mut self, pieces: usize, steps: usize, seconds: f64) {
        *self = Self { pieces: self.pieces + pieces, steps: self.steps + steps, seconds: self.seconds + seconds };
    }
}

impl Estimate {
    /// Of all that is to be done.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        [self.prepare, self.features, self.train, self.predict].iter().map(|share| share.seconds).sum()
    }

    /// `about 14 h (±30 %)`
    fn time(&self) -> String {
        let most = if self.at_most { "at most " } else { "" };
        let doubt = if self.rough { "rough" } else { "±30 %" };
        format!("{most}about {} ({doubt})", duration(self.seconds()))
    }

    /// As people read it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::from("\ntime and memory\n");
        let shares = [
            (self.prepare, Work::Prepare.title(), "image"),
            (self.features, Work::Features.title(), "image"),
            (self.train, "train".into(), "training"),
            (self.predict, "predict".into(), "image"),
        ];
        for (share, title, piece) in shares.into_iter().filter(|(share, ..)| share.pieces > 0) {
            let steps = if share.steps > 0 { format!("  {}", several(share.steps, "step")) } else { String::new() };
            let (pieces, time) = (several(share.pieces, piece), duration(share.seconds));
            let _ = writeln!(text, "  {title:<20} {pieces:>16}  {time:>8}{steps}");
        }
        if self.seconds() == 0.0 {
            text.push_str("  nothing is left to do but figures and reports\n");
            return text;
        }
        let _ = writeln!(text, "  {:<20} {}", "together", self.time());
        if let Some((bytes, batch)) = self.step {
            let all = self.memory.map_or_else(String::new, |all| {
                #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^53")]
                let all = all as f64;
                format!(" of {}", size(all))
            });
            let images = several(batch as usize, "image");
            let _ = writeln!(text, "  {:<20} about {}{all}, for a training step of {images}", "memory", size(bytes));
        }
        text.push_str(if self.rough {
            "  rough: by multiply-adds at a rate of a thread; may be three times as much or a third.\n  `--measure` times this machine, once\n"
        } else {
            "  by what this machine was measured to do\n"
        });
        text
    }
}

/// Steps of a fold's training, and seconds.
fn training(study: &Study, roles: &FoldRoles, shared: bool, rate: &Rate) -> (usize, f64) {
    let images = roles.train.images as usize;
    let watched = if watches_reported_fold(study) { roles.evaluation.images } else { roles.validation.images };
    let steps = images.div_ceil(study.train.batch.max(1) as usize);
    let live = live(study);
    let frozen = f64::from(study.train.epochs - live);
    let (seen, validated) = (float(images), f64::from(watched) * rate.infer);
    let each_live = seen * rate.train + validated;
    let each_frozen = float(steps) * rate.head_step + if shared { 0.0 } else { seen * rate.infer + validated };
    (steps * study.train.epochs as usize, f64::from(live) * each_live + frozen * each_frozen)
}

/// Epochs in which the backbone, or a part of it, learns.
fn live(study: &Study) -> u32 {
    match study.model.freeze {
        Freeze::None | Freeze::First(_) => study.train.epochs,
        Freeze::All => 0,
        Freeze::BackboneFor(epochs) => study.train.epochs.saturating_sub(epochs),
    }
}

fn roles(variant: &Planned, fold: u32) -> Option<&FoldRoles> {
    variant.split.roles.iter().find(|roles| roles.fold == fold)
}

#[expect(clippy::cast_precision_loss, reason = "counts of images and steps are far below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
}

/// With as many digits as an estimate bears: `under 1 s`, `40 s`, `12 min`, `3.5 h`, `14 h`, `2.1 days`.
fn duration(seconds: f64) -> String {
    let short =
        |value: f64, unit: &str| if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") };
    match seconds {
        under if under < 1.0 => "under 1 s".to_owned(),
        seconds if seconds < 99.5 => format!("{seconds:.0} s"),
        seconds if seconds < 99.5 * 60.0 => short(seconds / 60.0, "min"),
        seconds if seconds < 72.0 * 3600.0 => short(seconds / 3600.0, "h"),
        seconds => short(seconds / 86400.0, "days"),
    }
}

/// `350 MiB`, `1.3 GiB`, `1200 GiB`
fn size(bytes: f64) -> String {
    let mebibytes = bytes / 1_048_576.0;
    match mebibytes / 1024.0 {
        gibibytes if mebibytes >= 1023.5 && gibibytes < 99.95 => format!("{gibibytes:.1} GiB"),
        gibibytes if mebibytes >= 1023.5 => format!("{gibibytes:.0} GiB"),
        _ => format!("{mebibytes:.0} MiB"),
    }
}
