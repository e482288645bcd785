//! What this machine says of itself: processor, memory, NVIDIA cards and their driver, folders.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// A driver that hangs is given up on after so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most entries of a folder that are added up.
const MOST_ENTRIES: usize = 200_000;

#[derive(Debug, Serialize)]
pub(in super::super) struct Processor {
    pub(in super::super) model: String,
    /// Instructions that our loops or the engine's have a path for.
    pub(super) instructions: Vec<&'static str>,
    /// That can run at once.
    pub(super) logical_cores: usize,
    /// Threads a run uses unless told otherwise.
    pub(in super::super) threads: usize,
}

#[derive(Debug, Serialize)]
pub(in super::super) struct Memory {
    /// What processes here may use: the container's limit where it is the smaller one.
    pub(in super::super) bytes: u64,
    pub(super) free_bytes: u64,
}

/// An NVIDIA card, as its driver tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Card {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) memory_bytes: u64,
    pub(super) free_bytes: u64,
    pub(super) driver: String,
}

/// What a folder is for, and what is in it.
#[derive(Debug, Serialize)]
pub(super) struct Folder {
    pub(super) what: &'static str,
    pub(super) path: PathBuf,
    pub(super) exists: bool,
    /// Of the files in it, links not followed.
    pub(super) bytes: u64,
    /// Could a run write there, making it if need be?
    pub(super) writable: bool,
}

pub(in super::super) fn processor_and_memory() -> (Processor, Memory) {
    let what =
        RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()).with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what);
    let model = system.cpus().first().map_or("", |cpu| cpu.brand()).trim().to_owned();
    let processor = Processor {
        model: if model.is_empty() { std::env::consts::ARCH.to_owned() } else { model },
        instructions: instructions(),
        logical_cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads: rayon::current_num_threads(),
    };
    let (mut bytes, mut free_bytes) = (system.total_memory(), system.available_memory());
    if let Some(limits) = system.cgroup_limits() {
        bytes = bytes.min(limits.total_memory);
        free_bytes = free_bytes.min(limits.free_memory);
    }
    (processor, Memory { bytes, free_bytes })
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn instructions() -> Vec<&'static str> {
    let known = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
    ];
    known.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn instructions() -> Vec<&'static str> {
    if std::arch::is_aarch64_feature_detected!("neon") { vec!["neon"] } else { Vec::new() }
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn instructions() -> Vec<&'static str> {
    Vec::new()
}

/// The cards that `nvidia-smi` lists; it comes with the driver.
pub(super) fn cards() -> Vec<Card> {
    let mut ask = Command::new("nvidia-smi");
    ask.args(["--query-gpu=index,name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits"]);
    said(ask).map_or_else(Vec::new, |text| text.lines().filter_map(card).collect())
}

/// `0, NVIDIA H100 80GB HBM3, 81559, 81078, 550.54.15`, memory in MiB.
fn card(line: &str) -> Option<Card> {
    let mut cells = line.split(',').map(str::trim);
    let index = cells.next()?.parse().ok()?;
    let name = cells.next()?.to_owned();
    let mut bytes = || Some(cells.next()?.parse::<u64>().ok()? << 20);
    let (memory_bytes, free_bytes) = (bytes()?, bytes()?);
    Some(Card { index, name, memory_bytes, free_bytes, driver: cells.next()?.to_owned() })
}

/// What a command prints, if it ends well and in time.
fn said(mut command: Command) -> Option<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let begun = Instant::now();
    let ended = loop {
        match child.try_wait().ok()? {
            Some(ended) => break ended,
            None if begun.elapsed() > PATIENCE => {
                let _ = child.kill();
                break child.wait().ok()?;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut text = String::new();
    child.stdout.take()?.read_to_string(&mut text).ok()?;
    ended.success().then_some(text)
}

/// Is there a card of NVIDIA's, whether a driver answers or not? Linux tells; elsewhere nothing is claimed.
pub(super) fn has_nvidia_card() -> bool {
    let slots = fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let tells = |path: PathBuf, of: &str| fs::read_to_string(path.join(of)).unwrap_or_default().trim().to_owned();
    slots.map(|slot| slot.path()).any(|path| {
        // vendor NVIDIA; class 03: a display or 3D controller, not the sound beside it
        tells(path.clone(), "vendor") == "0x10de" && tells(path, "class").starts_with("0x03")
    })
}

pub(super) fn folder(what: &'static str, path: &Path) -> Folder {
    let nearest = path.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let mut nearest = nearest.filter(|path| path.exists());
    Folder {
        what,
        path: path.to_owned(),
        exists: path.is_dir(),
        bytes: bytes_in(path),
        // only trying tells: rights, a full disk, a mount that is read-only
        writable: nearest.next().is_some_and(|path| tempfile::tempfile_in(path).is_ok()),
    }
}

fn bytes_in(root: &Path) -> u64 {
    let (mut bytes, mut entries) = (0, 0);
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.metadata() else { continue };
            entries += 1;
            if kind.is_dir() && entries < MOST_ENTRIES {
                folders.push(entry.path());
            } else if kind.is_file() {
                bytes += kind.len();
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_card_is_read_as_the_driver_prints_it() {
        let told = card("1, NVIDIA H100 80GB HBM3, 81559, 81078, 550.54.15").unwrap();
        assert_eq!((told.index, told.name.as_str(), told.driver.as_str()), (1, "NVIDIA H100 80GB HBM3", "550.54.15"));
        assert_eq!((told.memory_bytes, told.free_bytes), (81_559 << 20, 81_078 << 20));
        for broken in ["", "No devices were found", "0, X", "0, X, [N/A], 1, 2", "a, X, 1, 1, 2"] {
            assert_eq!(card(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_folder_is_weighed_and_tried() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("in")).unwrap();
        fs::write(place.path().join("in/a"), [0; 10]).unwrap();
        fs::write(place.path().join("b"), [0; 5]).unwrap();
        let there = folder("store", place.path());
        assert!(there.exists && there.writable && there.bytes == 15, "{there:?}");
        let absent = folder("store", &place.path().join("x/y"));
        assert!(!absent.exists && absent.writable && absent.bytes == 0, "{absent:?}");
        // beneath a file nothing can be made
        let blocked = folder("store", &place.path().join("b/y"));
        assert!(!blocked.exists && !blocked.writable, "{blocked:?}");
    }

    #[test]
    fn a_command_that_fails_says_nothing() {
        assert_eq!(said(Command::new("no-such-program-here")), None);
        assert_eq!(said(Command::new("false")), None);
    }

    #[test]
    fn the_machine_has_cores_and_memory() {
        let (processor, memory) = processor_and_memory();
        assert!(processor.logical_cores > 0 && processor.threads > 0 && !processor.model.is_empty(), "{processor:?}");
        assert!(memory.bytes >= memory.free_bytes && memory.free_bytes > 0, "{memory:?}");
    }
}
