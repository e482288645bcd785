//! Progress on stderr: bars with time left on a terminal, plain lines elsewhere, nothing with `--quiet`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::talk;
use crate::exec::Event;
use crate::graph::Work;

/// How often a plain log tells of a long step.
const PLAIN_EVERY: Duration = Duration::from_secs(15);

enum Form {
    Quiet,
    /// When and how far it was when last told of.
    Plain {
        told: Instant,
        at: u64,
        total: u64,
        unit: &'static str,
    },
    Bars(MultiProgress, BTreeMap<Work, ProgressBar>),
}

/// Shows events and keeps the time of each step.
pub(super) struct Progress {
    form: Form,
    begun: BTreeMap<Work, Instant>,
    /// Stands before the name of a step; empty when nothing varies.
    variant: String,
    /// Where in `seconds` each variant begins.
    variants: Vec<usize>,
    /// Seconds of each step that workers did, by the variant that will own them.
    beside: BTreeMap<String, Vec<(Work, f64)>>,
    /// Seconds of each step that was done.
    pub(super) seconds: Vec<(Work, f64)>,
    /// Steps found in the store.
    pub(super) reused: usize,
    /// Steps done.
    pub(super) done: usize,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let now = Instant::now();
        let form = if quiet {
            Form::Quiet
        } else if std::io::stderr().is_terminal() {
            Form::Bars(MultiProgress::new(), BTreeMap::new())
        } else {
            Form::Plain { told: now, at: 0, total: 0, unit: "" }
        };
        Self {
            form,
            begun: BTreeMap::new(),
            variant: String::new(),
            variants: Vec::new(),
            beside: BTreeMap::new(),
            seconds: Vec::new(),
            reused: 0,
            done: 0,
        }
    }

    pub(super) fn on(&mut self, event: Event) {
        match event {
            Event::Variant { number, of, name } => {
                self.variant = format!("{number}/{of} ");
                self.line(&format!("variant {number}/{of}  {name}"));
                self.variants.push(self.seconds.len());
                self.seconds.extend(self.beside.remove(&name).unwrap_or_default());
            }
            Event::Reused { work } => {
                self.reused += 1;
                self.line(&format!("{:<20} reused from the store", self.title(work)));
            }
            Event::Started { work, total, unit } => {
                self.begun.insert(work, Instant::now());
                self.start(work, total, unit);
            }
            Event::Advanced { work, done, message } => self.advance(work, done, &message),
            Event::Finished { work, message } => {
                self.done += 1;
                let seconds = self.begun.get(&work).map_or(0.0, |begun| begun.elapsed().as_secs_f64());
                self.seconds.push((work, seconds));
                if let Form::Bars(_, bars) = &mut self.form
                    && let Some(bar) = bars.remove(&work)
                {
                    bar.finish_and_clear();
                }
                self.line(&format!("{:<20} {message}, {}", self.title(work), duration(seconds)));
            }
            Event::Beside { variant, work, message, seconds } => {
                self.done += 1;
                let title = format!("{variant} {}", work.title());
                self.line(&format!("{:<20} {message}, {}", title.trim_start(), duration(seconds)));
                if variant.is_empty() {
                    self.seconds.push((work, seconds));
                } else {
                    self.beside.entry(variant).or_default().push((work, seconds));
                }
            }
            Event::Note(text) => self.line(&text),
            // drawn by whoever has the study's text
            Event::Warned(_) => {}
        }
    }

    /// `train fold 0`, `2/9 train fold 0`
    fn title(&self, work: Work) -> String {
        format!("{}{}", self.variant, work.title())
    }

    /// Seconds of the steps done since the latest variant began.
    pub(super) fn of_variant(&self) -> &[(Work, f64)] {
        self.seconds.get(self.variants.last().copied().unwrap_or(0)..).unwrap_or_default()
    }

    fn start(&mut self, work: Work, total: u64, unit: &'static str) {
        let title = self.title(work);
        match &mut self.form {
            Form::Quiet => {}
            Form::Plain { told, at, total: all, unit: what } => {
                (*told, *at, *all, *what) = (Instant::now(), 0, total, unit);
                talk(&format!("{title:<20} {total} {unit}"));
            }
            Form::Bars(all, bars) => {
                let bar = all.add(ProgressBar::new(total));
                let style = ProgressStyle::with_template(
                    "{prefix:<20} {bar:28} {pos}/{len} {elapsed} gone, {eta} left  {wide_msg}",
                );
                if let Ok(style) = style {
                    bar.set_style(style.progress_chars("━╸ "));
                }
                bar.set_prefix(title);
                bar.enable_steady_tick(Duration::from_millis(250));
                bars.insert(work, bar);
            }
        }
    }

    fn advance(&mut self, work: Work, done: u64, message: &str) {
        let title = self.title(work);
        match &mut self.form {
            Form::Quiet => {}
            Form::Plain { told, at, total, unit } => {
                if told.elapsed() >= PLAIN_EVERY && done > *at {
                    // By the latest pace: an epoch that trains the backbone is much slower than a frozen one.
                    #[expect(clippy::cast_precision_loss, reason = "a guess for people")]
                    let left = told.elapsed().as_secs_f64() * total.saturating_sub(done) as f64 / (done - *at) as f64;
                    (*told, *at) = (Instant::now(), done);
                    let left = duration(left);
                    talk(&format!("{title:<20} {done}/{total} {unit}, {left} left  {message}"));
                }
            }
            Form::Bars(_, bars) => {
                if let Some(bar) = bars.get(&work) {
                    bar.set_position(done);
                    if !message.is_empty() {
                        bar.set_message(message.to_string());
                    }
                }
            }
        }
    }

    fn line(&mut self, text: &str) {
        match &self.form {
            Form::Quiet => {}
            Form::Plain { .. } => talk(text),
            Form::Bars(all, _) => {
                if all.println(text).is_err() {
                    talk(text);
                }
            }
        }
    }

    /// Lets something else be written between what this writes.
    pub(super) fn beside(&self, write: impl FnOnce()) {
        match &self.form {
            Form::Bars(all, _) => all.suspend(write),
            Form::Quiet | Form::Plain { .. } => write(),
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&mut self) {
        if let Form::Bars(all, bars) = &mut self.form {
            for bar in bars.values() {
                bar.finish_and_clear();
            }
            let _ = all.clear();
        }
    }
}

/// Passes of one measurement: a bar on a terminal, nothing elsewhere.
pub(super) struct Steps(Option<ProgressBar>);

impl Steps {
    pub(super) fn new(name: &str, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:28} {pos}/{len} {eta} left") {
                bar.set_style(style.progress_chars("━╸ "));
            }
            bar.set_prefix(name.to_owned());
            bar
        });
        Self(bar)
    }

    /// So many are done of so many.
    pub(super) fn on(&self, done: usize, all: usize) {
        if let Some(bar) = &self.0 {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Bytes that come over the network: a bar with speed and time left on a terminal, a line now and then elsewhere.
pub(super) struct Bytes {
    bar: Option<ProgressBar>,
    told: std::cell::Cell<Option<Instant>>,
    name: String,
    quiet: bool,
}

impl Bytes {
    pub(super) fn new(name: &str, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            let style = "{prefix} {bar:28} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style.progress_chars("━╸ "));
            }
            bar.set_prefix(name.to_owned());
            bar
        });
        Self { bar, told: std::cell::Cell::new(None), name: name.to_owned(), quiet }
    }

    /// So many are there of so many.
    pub(super) fn on(&self, have: u64, all: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(have);
        } else if !self.quiet && self.told.get().is_none_or(|told| told.elapsed() >= PLAIN_EVERY) {
            self.told.set(Some(Instant::now()));
            talk(&format!("fetching {}: {} of {} MiB", self.name, have >> 20, all >> 20));
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `2.4 s`, `3 min 05 s`
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run fit")]
    let whole = seconds.round() as u64;
    if whole < 3600 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{} h {:02} min", whole / 3600, whole % 3600 / 60)
    }
}
