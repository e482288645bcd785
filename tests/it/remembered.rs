//! What `pipe check` remembers of tables between two calls: the same words, sooner, and never old ones.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::path::Path;

use crate::cli::{Told, command};

const STUDY: &str = "pipe \"2026\"

study s {
  data {
    table = csv(\"labels.csv\")
    image = file(`path`)
    label = `finding`
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
    check(folder);
    fs::write(folder.join("labels.csv"), table("ill!")).unwrap();
    assert_eq!(check(folder).err, fresh(folder).err);
    fs::remove_file(folder.join("7.png")).unwrap();
    let missing = check(folder);
    assert!(missing.err.contains("E0205"), "{}", missing.err);
    assert_eq!(missing.err, fresh(folder).err);
    fs::write(folder.join("7.png"), b"back").unwrap();
    assert_eq!(check(folder).err, fresh(folder).err);
    fs::write(folder.join("s.pipe"), STUDY.replace("`patient`", "`site`")).unwrap();
    assert_eq!(check(folder).err, fresh(folder).err);
}

#[test]
fn remembered_checks_are_really_used_and_damage_is_noticed() {
    let folder = folder();
    let folder = folder.path();
    let first = check(folder);
    // The same size and time: only what was remembered can still say the old class.
    let path = folder.join("labels.csv");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let text = table("SICK");
    fs::write(&path, text).unwrap();
    File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(check(folder).err, first.err);
    let now = fresh(folder).err;
    for path in entries(folder) {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(check(folder).err, now, "damaged entries are as if they were not there");
}

#[cfg(unix)]
#[test]
fn remembered_checks_do_without_a_folder_they_may_write() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("cache"), b"a file is in the way").unwrap();
    assert_eq!(check(folder).err, fresh(folder).err);
}
