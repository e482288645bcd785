//! What `pipe check` remembers of tables between two calls: the same words, sooner, and never old ones.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pipe::check::{Overrides, check_file};
use pipe::host::{Host, Memory, RealHost, Remembering, Stat};
use pipe::store::CheckCache;

use crate::cli::{Told, command};

const STUDY: &str = "pipe \"2026\"

study s {
  data {
    table = csv(\"labels.csv\")
    image = file(`path`)
    label = `finding`
    classes = [\"normal\", \"sick\"]
    group = `patient`
  }
  model { backbone = resnet18(weights = none) }
  train { epochs = 3 }
}
";

/// The group looks like a row number, which is a warning at a place.
fn table(finding: &str) -> String {
    let mut text = "path,finding,patient,site\n".to_owned();
    for image in 0..60 {
        let name = if image % 5 == 0 { finding } else { "normal" };
        text += &format!("{image}.png,{name},p{image},{}\n", if name == "normal" { "A" } else { "B" });
    }
    text
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.pipe"), STUDY).unwrap();
    fs::write(folder.path().join("labels.csv"), table("sick")).unwrap();
    for image in 0..60 {
        fs::write(folder.path().join(format!("{image}.png")), b"not looked into").unwrap();
    }
    folder
}

/// What has just changed is not remembered, as one more change might not show.
fn settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

fn check(folder: &Path) -> Told {
    command(folder, &["check", "s.pipe"]).env("PIPE_CACHE", folder.join("cache")).output().unwrap().into()
}

fn fresh(folder: &Path) -> Told {
    command(folder, &["check", "s.pipe"]).output().unwrap().into()
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all: Vec<_> =
        fs::read_dir(folder.join("cache/checks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn remembered_checks_say_the_same_at_the_new_places() {
    let folder = folder();
    let folder = folder.path();
    check(folder);
    assert!(!folder.join("cache/checks").exists(), "too new to be remembered");
    settle();
    let first = check(folder);
    assert!(first.err.contains("W0303"), "{}", first.err);
    assert_eq!(first.err, fresh(folder).err);
    let kept = entries(folder);
    assert_eq!(kept.len(), 2, "the images, and what was said of them");
    assert_eq!(check(folder).err, first.err);
    // other lines above, and a setting that does not look at the table
    let moved = STUDY.replace("epochs = 3", "epochs = 4").replace("study s", "# more\n\nstudy s");
    fs::write(folder.join("s.pipe"), moved).unwrap();
    let again = check(folder);
    assert_eq!(again.err, fresh(folder).err);
    assert_ne!(again.err, first.err, "lines have moved");
    assert_eq!(entries(folder), kept, "nothing was worked out anew");
}

#[test]
fn remembered_checks_see_every_change_of_table_and_folder() {
    let folder = folder();
    let folder = folder.path();
    settle();
    let first = check(folder);
    assert_eq!(entries(folder).len(), 2);
    // as long as before, and as old as before by the time that programs may set
    let path = folder.join("labels.csv");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, table("ill!")).unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    let other = check(folder);
    assert!(other.err.contains("E0204") && other.err != first.err, "{}", other.err);
    assert_eq!(other.err, fresh(folder).err);
    fs::write(&path, table("sick")).unwrap();
    fs::remove_file(folder.join("7.png")).unwrap();
    let missing = check(folder);
    assert!(missing.err.contains("E0205"), "{}", missing.err);
    assert_eq!(missing.err, fresh(folder).err);
    fs::write(folder.join("7.png"), b"back").unwrap();
    assert_eq!(check(folder).err, first.err);
    fs::write(folder.join("s.pipe"), STUDY.replace("`patient`", "`site`")).unwrap();
    let grouped = check(folder);
    assert_ne!(grouped.err, first.err);
    assert_eq!(grouped.err, fresh(folder).err);
}

/// The machine with a memory, counting how often the table is read.
struct Counting {
    host: Remembering,
    reads: AtomicUsize,
}

impl Host for Counting {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.reads.fetch_add(usize::from(path.ends_with("labels.csv")), Ordering::Relaxed);
        self.host.read(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        RealHost.stat(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealHost.list(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        RealHost.canonical(path)
    }

    fn read_beneath(&self, root: &Path, name: &str) -> io::Result<Vec<u8>> {
        RealHost.read_beneath(root, name)
    }

    fn memory(&self) -> Option<&Memory> {
        self.host.memory()
    }
}

#[test]
fn remembered_tables_are_not_read_again_and_damage_is_noticed() {
    let folder = folder();
    let folder = folder.path();
    settle();
    let look = || {
        let memory = Memory::on(Box::new(CheckCache::new(&folder.join("cache/checks"), "test")));
        let host = Counting { host: Remembering(memory), reads: AtomicUsize::new(0) };
        let outcome = check_file(&host, &folder.join("s.pipe"), &Overrides::default());
        let told: Vec<String> = outcome.problems.sorted().iter().map(|problem| problem.message.clone()).collect();
        (told, host.reads.into_inner())
    };
    let (told, reads) = look();
    assert!(!told.is_empty() && reads > 0);
    assert_eq!(look(), (told.clone(), 0));
    for path in entries(folder) {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(look(), (told, reads), "damaged entries are as if they were not there");
}

#[cfg(unix)]
#[test]
fn remembered_checks_do_without_a_folder_they_may_write() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("cache"), b"a file is in the way").unwrap();
    assert_eq!(check(folder).err, fresh(folder).err);
}
