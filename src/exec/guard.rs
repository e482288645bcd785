//! Work on a GPU becomes a value or a failure in words: its runtime panics, on any of its threads, where it should answer.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use super::{Choice, RunError};
use crate::kernels::limit::TOO_MANY;

/// Why a device did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// What its runtime said first, on one line.
    pub(super) what: String,
    /// Did its memory run out?
    pub(super) memory: bool,
}

/// What is said by threads that panic while somebody listens.
#[derive(Default)]
struct Heard {
    listeners: usize,
    words: Vec<String>,
}

static HEARD: Mutex<Heard> = Mutex::new(Heard { listeners: 0, words: Vec::new() });
static LISTEN: Once = Once::new();

fn heard() -> MutexGuard<'static, Heard> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on panics are kept while somebody listens, and told as ever while nobody does.
fn listen() {
    LISTEN.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let words = info.payload_as_str().unwrap_or("a panic without words").to_owned();
            let mut heard = heard();
            if heard.listeners > 0 {
                heard.words.push(words);
            } else {
                drop(heard);
                told(info);
            }
        }));
    });
}

/// Does the work. A panic in it ends here; the first words any thread said tell the cause, later ones its consequences.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    listen();
    let from = {
        let mut heard = heard();
        heard.listeners += 1;
        heard.words.len()
    };
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    let mut heard = heard();
    let words = heard.words.get(from..).unwrap_or_default().to_vec();
    heard.listeners -= 1;
    if heard.listeners == 0 {
        heard.words.clear();
    }
    done.map_err(|_| Failure::of(&words))
}

/// Does work on a device. A panic on the processor is a bug and stays one; a GPU is a world of its own, and `smaller`
/// says what to do where its memory runs out.
///
/// # Errors
/// What the GPU's runtime said instead of doing the work.
pub fn on_device<T>(device: Choice, work: impl FnOnce() -> T, smaller: impl FnOnce() -> String) -> Result<T, RunError> {
    match device {
        Choice::Auto | Choice::Cpu => Ok(work()),
        Choice::Cuda(_) | Choice::Vulkan(_) => caught(work).map_err(|failure| {
            if failure.memory {
                RunError::failed(format!("the memory of {device} ran out: {}", failure.what), smaller())
            } else {
                let what = format!("{device} failed at its work: {}", failure.what);
                let help = if failure.what.contains(TOO_MANY) {
                    smaller()
                } else {
                    "look at  pipe doctor , or run with  --device cpu".to_owned()
                };
                RunError::failed(what, help)
            }
        }),
    }
}

impl Failure {
    fn of(words: &[String]) -> Self {
        let of_memory = |words: &&String| {
            let words = words.to_ascii_lowercase().replace('_', " ");
            ["out of device memory", "out of memory", "can't allocate buffer", "memory is full"]
                .iter()
                .any(|one| words.contains(one))
        };
        let memory = words.iter().find(of_memory);
        let cause = memory.or(words.first()).map_or("its runtime said nothing", String::as_str);
        Self { what: one_line(cause), memory: memory.is_some() }
    }
}

/// The words without their backtrace, on one line of a sensible length.
fn one_line(words: &str) -> String {
    const MOST: usize = 200;
    let said = words.lines().map(str::trim).take_while(|line| !line.to_ascii_lowercase().contains("backtrace"));
    let said: Vec<&str> = said.filter(|line| !line.is_empty()).collect();
    let line = said.join(" ");
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", line.get(..at).unwrap_or("")),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_first_words_that_were_said() {
        assert_eq!(caught(|| 3), Ok(3));
        let failed = caught(|| -> u32 { panic!("the driver is gone\nBacktrace:\n  0: somewhere") });
        assert_eq!(failed, Err(Failure { what: "the driver is gone".to_owned(), memory: false }));
    }

    #[test]
    fn a_worker_that_panics_first_is_the_cause() {
        let failed = caught(|| -> u32 {
            let worker = std::thread::spawn(|| panic!("Caused by:\n  out of device memory allocating 512 bytes"));
            assert!(worker.join().is_ok(), "the channel is closed");
            1
        });
        let what = "Caused by: out of device memory allocating 512 bytes".to_owned();
        assert_eq!(failed, Err(Failure { what, memory: true }));
    }

    #[test]
    fn a_gpu_that_fails_is_told_with_a_way_out() {
        let told = |words: &'static str| match on_device(Choice::Cuda(1), || panic!("{words}"), || "halve".to_owned()) {
            Ok(()) => String::new(),
            Err(RunError::Failed { what, help }) => format!("{what}; {}", help.unwrap_or_default()),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(told("out of memory"), "the memory of cuda(1) ran out: out of memory; halve");
        let lost = told("the device was lost");
        assert!(lost.starts_with("cuda(1) failed at its work: the device was lost; ") && lost.contains("--device cpu"));
        let words = "a tensor of 6576668672 numbers, more than the 4,294,967,296 that a GPU's kernels count";
        assert!(words.contains(TOO_MANY));
        assert_eq!(told(words), format!("cuda(1) failed at its work: {words}; halve"));
        assert_eq!(on_device(Choice::Cpu, || 1, String::new).ok(), Some(1));
        // a bug on the processor is not talked away
        let bug = panic::catch_unwind(|| on_device(Choice::Cpu, || panic!("a bug"), String::new).is_ok());
        assert!(bug.is_err());
    }

    #[test]
    fn memory_is_known_by_what_runtimes_say() {
        for (words, memory) in [
            ("CUDA_ERROR_OUT_OF_MEMORY", true),
            ("can't allocate buffer of size: 17179869184", true),
            ("Out of Memory", true),
            ("CUDA_ERROR_ILLEGAL_ADDRESS", false),
        ] {
            assert_eq!(Failure::of(&[words.to_owned()]).memory, memory, "{words}");
        }
        assert_eq!(Failure::of(&[]).what, "its runtime said nothing");
        assert_eq!(one_line(&"x".repeat(300)).len(), 203);
    }
}
