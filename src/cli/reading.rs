//! Progress of naming images by their content, which comes before there is a plan: silent while it is quick.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::talk;

/// What takes less than this is not worth a word.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a plain log tells of it.
const PLAIN_EVERY: Duration = Duration::from_secs(15);

/// Counts images while they are read.
pub(super) struct Reading {
    quiet: bool,
    begun: Instant,
    bar: ProgressBar,
    told: Mutex<Instant>,
}

impl Reading {
    pub(super) fn new(quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{prefix:<20} {bar:28} {pos}/{len} {elapsed} gone, {eta} left")
        {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_prefix("read images");
        let begun = Instant::now();
        Self { quiet, begun, bar, told: Mutex::new(begun) }
    }

    /// So many images of so many have been read. Called from all threads.
    pub(super) fn at(&self, done: usize, total: usize) {
        if self.quiet || self.begun.elapsed() < PATIENCE {
            return;
        }
        if std::io::stderr().is_terminal() {
            if self.bar.is_hidden() {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            self.bar.set_length(total as u64);
            self.bar.set_position(done as u64);
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= PLAIN_EVERY {
            *told = Instant::now();
            talk(&format!("{:<20} {done}/{total} images", "read images"));
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
