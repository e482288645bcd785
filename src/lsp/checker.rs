//! Checks documents beside the conversation: one thread, the newest text of each document only.
//!
//! A document that changes while it is checked ends that check (see [`Desk`]); nothing of it is reported.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::desk::Desk;
use crate::check::{Overrides, check_file};
use crate::diag::{Code, Problems};
use crate::source::SourceMap;

/// How long the keyboard must be quiet. A check takes about as long itself, so this is hardly felt, and a paste that
/// arrives in pieces is checked once.
const QUIET: Duration = Duration::from_millis(10);

/// A document to check.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) path: PathBuf,
    pub(super) version: i32,
    /// Does it hold names and no study?
    pub(super) library: bool,
    pub(super) desk: Desk,
    pub(super) overrides: Overrides,
}

/// What was found in it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) path: PathBuf,
    pub(super) version: i32,
    /// `None` if the check itself failed: a bug.
    pub(super) found: Option<Found>,
}

/// The problems of a document and all that they point into.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) map: SourceMap,
    pub(super) problems: Problems,
}

/// Starts the thread. It ends when the sender is dropped; `report` is told what comes of each job.
pub(super) fn start(report: impl Fn(Report) + Send + 'static) -> Sender<Job> {
    let (sender, jobs) = channel();
    std::thread::spawn(move || work(&jobs, &report));
    sender
}

fn work(jobs: &Receiver<Job>, report: &dyn Fn(Report)) {
    let mut waiting: BTreeMap<PathBuf, Job> = BTreeMap::new();
    loop {
        let next = if waiting.is_empty() {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            jobs.recv_timeout(QUIET)
        };
        match next {
            Ok(job) => {
                waiting.insert(job.path.clone(), job);
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if let Some((_, job)) = waiting.pop_first() {
                    run(job, report);
                }
            }
        }
    }
}

fn run(job: Job, report: &dyn Fn(Report)) {
    let Job { path, version, library, desk, overrides } = job;
    let outcome = catch_unwind(AssertUnwindSafe(|| check_file(&desk, &path, &overrides)));
    if desk.unwanted.load(Ordering::Relaxed) {
        return;
    }
    let found = outcome.ok().map(|outcome| {
        // A file of names for others needs no study of its own, and others use its names.
        let problems = if library { outcome.problems.without(&[Code::E0112, Code::W0108]) } else { outcome.problems };
        Found { map: outcome.map, problems }
    });
    report(Report { path, version, found });
}
