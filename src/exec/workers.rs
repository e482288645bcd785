//! Trainings that are not in the store are dealt to processes that work side by side and leave their results there.
//!
//! A worker is this same program, started on the same study. It is told a job a line and answers with lines of JSON; what
//! it makes lies in the store under its content key. So workers decide nothing: the run itself goes through its steps one
//! after another as ever, finds most of them done, and does what a worker that died has left undone. A worker whose
//! input ends stops within a step of its training, so none outlives the run that started it.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read as _, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::steps::{Runner, Shared};
use super::{Context, Event, RunError, Talk, say};
use crate::graph::{Key, Work};
use crate::plan::Plan;
use crate::store::Lookup;

/// How often a run that waits for workers looks whether it shall end.
const LOOK: Duration = Duration::from_millis(100);
/// How often a worker tells how far it is.
const TELL: Duration = Duration::from_secs(15);

/// How a run starts workers.
pub struct Workers<'a> {
    /// How many at most, from 1.
    pub count: u32,
    /// The command of a worker, by its number from 0.
    pub start: &'a (dyn Fn(u32) -> Command + Sync),
}

/// One training and its scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    variant: usize,
    fold: u32,
    /// The training's key: a worker that reads another study must not do it.
    key: String,
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Said {
    /// How far it is.
    Advanced { done: u64, total: u64, message: String },
    /// A step is done and in the store.
    Finished { scored: bool, message: String, seconds: f64 },
    /// The job is done.
    Done,
    /// The job cannot be done, here or elsewhere.
    Failed { what: String, help: Option<String> },
    /// The job was left to the run itself: stopped, or a problem that has a place in the study.
    Left,
}

/// A worker from outside.
struct Worker {
    child: Child,
    /// Closed when there is nothing more to do.
    jobs: Option<ChildStdin>,
    job: Option<Job>,
    /// What it said on stderr.
    talk: Option<JoinHandle<String>>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that ended by itself is not there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Trains side by side what the chosen variants need and the store has not. What they share is made first.
pub(super) fn train(
    plan: &Plan,
    context: &Context<'_>,
    chosen: &[usize],
    (talk, shared): (&Talk<'_>, &Mutex<Shared>),
) -> Result<(), RunError> {
    let Some(workers) = &context.workers else { return Ok(()) };
    let mut jobs = jobs(plan, context, chosen);
    let count = (workers.count as usize).min(jobs.len());
    if count < 2 {
        return Ok(());
    }
    let mut ready = BTreeSet::new();
    for job in &jobs {
        if ready.insert(job.variant)
            && let Some(runner) = Runner::new(plan, job.variant, context, talk, shared)
        {
            // Images that turn out damaged are made again when the run itself comes to this variant.
            let prepared = runner.prepare()?;
            runner.features(&prepared.set)?;
        }
    }
    say(talk, Event::Note(format!("{} trainings by {count} workers", jobs.len())));
    let (send, receive) = channel();
    let numbers = 0..u32::try_from(count).unwrap_or(u32::MAX);
    let mut team: Vec<Worker> =
        numbers.map(|number| begin((workers.start)(number), number as usize, &send)).collect::<Result<_, _>>()?;
    drop(send);
    for worker in &mut team {
        next(worker, &mut jobs);
    }
    let told = |job: &Job, scored| {
        let work = if scored { Work::Predict(job.fold) } else { Work::Train(job.fold) };
        if let Some(node) = plan.dag.find(job.variant, work) {
            shared.lock().unwrap_or_else(PoisonError::into_inner).tell(node.key.clone());
        }
        work
    };
    let name = |job: &Job| plan.variants.get(job.variant).map_or(String::new(), |variant| variant.name.clone());
    let title = |job: &Job| format!("{} train fold {}", name(job), job.fold).trim_start().to_owned();
    let mut failure = None;
    while team.iter().any(|worker| worker.talk.is_some()) {
        if context.stop.load(Ordering::Relaxed) {
            stop(&mut team);
        }
        let (number, said) = match receive.recv_timeout(LOOK) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let Some(worker) = team.get_mut(number) else { continue };
        match (said, &worker.job) {
            (Some(Said::Advanced { done, total, message }), Some(job)) => {
                say(talk, Event::Note(format!("{:<20} {done}/{total} steps  {message}", title(job))));
            }
            (Some(Said::Finished { scored, message, seconds }), Some(job)) => {
                let work = told(job, scored);
                say(talk, Event::Beside { variant: name(job), work, message, seconds });
            }
            (Some(Said::Failed { what, help }), _) => {
                failure = failure.or(Some(RunError::Failed { what, help }));
                jobs.clear();
                stop(&mut team);
            }
            (Some(Said::Done | Said::Left), _) => next(worker, &mut jobs),
            (Some(Said::Advanced { .. } | Said::Finished { .. }), None) => {}
            (None, job) => {
                let title = job.as_ref().map(title);
                let words = worker.talk.take().and_then(|talk| talk.join().ok()).unwrap_or_default();
                let ended = worker.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                worker.jobs = None;
                if let Some(title) = title.filter(|_| failure.is_none() && !context.stop.load(Ordering::Relaxed)) {
                    let last = words.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
                    say(talk, Event::Note(format!("a worker ended before `{title}` was done ({ended}; {last})")));
                    say(talk, Event::Note("this process does what it has left".to_owned()));
                }
            }
        }
    }
    match failure {
        Some(_) if context.stop.load(Ordering::Relaxed) => Err(RunError::Interrupted),
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// The trainings that are not in the store, in the plan's order; equal ones once.
fn jobs(plan: &Plan, context: &Context<'_>, chosen: &[usize]) -> VecDeque<Job> {
    let mut seen = BTreeSet::new();
    let mut jobs = VecDeque::new();
    for variant in chosen.iter().copied() {
        let folds = plan.variants.get(variant).map_or(&[][..], |planned| &planned.trained);
        for fold in folds.iter().copied() {
            let Some(node) = plan.dag.find(variant, Work::Train(fold)) else { continue };
            let stored = matches!(context.store.look_up(&node.key), Lookup::Present(_));
            if !stored && seen.insert(node.key.clone()) {
                jobs.push_back(Job { variant, fold, key: node.key.as_str().to_owned() });
            }
        }
    }
    jobs
}

/// Starts a worker and listens to it: each thing it says, then `None`.
fn begin(mut command: Command, number: usize, send: &Sender<(usize, Option<Said>)>) -> Result<Worker, RunError> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped
        .spawn()
        .map_err(|error| RunError::failed(format!("a worker cannot be started: {error}"), "run with  --workers 1"))?;
    let (jobs, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let send = send.clone();
    thread::spawn(move || {
        for line in out.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
            // Anything else on stdout was not said by us.
            let Ok(said) = serde_json::from_str(&line) else { continue };
            if send.send((number, Some(said))).is_err() {
                return;
            }
        }
        let _ = send.send((number, None));
    });
    let talk = thread::spawn(move || {
        let mut words = Vec::new();
        let _ = err.map(|mut err| err.read_to_end(&mut words));
        String::from_utf8_lossy(&words).into_owned()
    });
    Ok(Worker { child, jobs, job: None, talk: Some(talk) })
}

/// Gives a worker its next job; without one, or if it is gone, its input ends.
fn next(worker: &mut Worker, jobs: &mut VecDeque<Job>) {
    worker.job = None;
    let Some(input) = worker.jobs.as_mut() else { return };
    let Some(job) = jobs.pop_front() else {
        worker.jobs = None;
        return;
    };
    if tell(input, &job) {
        worker.job = Some(job);
    } else {
        jobs.push_front(job);
        worker.jobs = None;
    }
}

/// Ends the input of all, which stops them also in the middle of a job.
fn stop(team: &mut [Worker]) {
    for worker in team {
        worker.jobs = None;
    }
}

/// Writes a line of JSON; did it arrive?
fn tell(out: &mut impl Write, what: &impl Serialize) -> bool {
    serde_json::to_string(what).is_ok_and(|line| writeln!(out, "{line}").and_then(|()| out.flush()).is_ok())
}

/// Reads jobs in a thread of its own; when they end, `stop` is set, also in the middle of a job.
fn listen(stop: &'static AtomicBool) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    receive
}

/// Does jobs from stdin until they end, and answers on stdout. `stop` is the context's.
pub fn work(plan: &Plan, context: &Context<'_>, stop: &'static AtomicBool) {
    let shared = Mutex::new(Shared::default());
    for line in listen(stop) {
        let answer = serde_json::from_str(&line).map_or(Said::Left, |job| answer(plan, context, &shared, &job));
        if !tell(&mut std::io::stdout().lock(), &answer) {
            return;
        }
    }
}

fn answer(plan: &Plan, context: &Context<'_>, shared: &Mutex<Shared>, job: &Job) -> Said {
    let key = plan.dag.find(job.variant, Work::Train(job.fold)).map(|node| &node.key);
    if key.map(Key::as_str) != Some(job.key.as_str()) {
        return Said::Failed {
            what: "the study or its images changed while it ran".to_owned(),
            help: Some("run again: what is finished is kept".to_owned()),
        };
    }
    let mut begun = Instant::now();
    let (mut told, mut all) = (Instant::now(), 0);
    let mut listener = |event: Event| {
        let said = match event {
            Event::Started { total, .. } => {
                (begun, told, all) = (Instant::now(), Instant::now(), total);
                return;
            }
            Event::Advanced { work: Work::Train(_), done, message } if told.elapsed() >= TELL => {
                told = Instant::now();
                Said::Advanced { done, total: all, message }
            }
            Event::Finished { work: work @ (Work::Train(_) | Work::Predict(_)), message } => Said::Finished {
                scored: work == Work::Predict(job.fold),
                message,
                seconds: begun.elapsed().as_secs_f64(),
            },
            Event::Advanced { .. }
            | Event::Finished { .. }
            | Event::Variant { .. }
            | Event::Reused { .. }
            | Event::Beside { .. }
            | Event::Note(_)
            | Event::Warned(_) => return,
        };
        // A run that is gone has closed our input too, which ends the job.
        let _ = tell(&mut std::io::stdout().lock(), &said);
    };
    let talk: Talk<'_> = Mutex::new(&mut listener);
    let Some(runner) = Runner::new(plan, job.variant, context, &talk, shared) else { return Said::Left };
    let done = runner.prepare().and_then(|prepared| {
        runner.twice(&prepared)?;
        let features = runner.features(&prepared.set)?;
        let trained = runner.train(job.fold, &prepared.set, features.as_deref())?;
        runner.predict(job.fold, &prepared.set, &trained)
    });
    match done {
        Ok(_) => Said::Done,
        // The run itself clears damaged images away, and knows the places of problems.
        Err(_) if runner.damaged.load(Ordering::Relaxed) => Said::Left,
        Err(RunError::Interrupted | RunError::Problems(_)) => Said::Left,
        Err(RunError::Failed { what, help }) => Said::Failed { what, help },
    }
}
