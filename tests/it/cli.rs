//! The program from outside: what it prints where, and how it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pipe::images::Pixels;
use pipe::images::preview::encode_png;
use serde_json::Value;

/// How the program ended and what it said.
#[derive(Debug)]
pub(crate) struct Told {
    /// Exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Data.
    pub(crate) out: String,
    /// Talk.
    pub(crate) err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program speaks UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Told {
    /// The code is this one, or the test fails with all that was said.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// stderr says this.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.err.contains(words), "`{words}` is not in stderr:\n{}", self.err);
        self
    }
}

/// The program, started in a folder, with nothing of this machine that could change what it does.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("PIPE_CACHE", "");
    command.env("HF_HUB_CACHE", folder.join("no-such-cache")).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

pub(crate) fn pipe(folder: &Path, arguments: &[&str]) -> Told {
    command(folder, arguments).output().unwrap().into()
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A small study on phantoms, with a hold-out.
pub(crate) const TINY: &str = "pipe \"2026\"

study tiny {
  data { table = phantoms(images = 30, patients = 15, seed = 3) }
  split {
    holdout = 20%
    cv      = stratified_group_kfold(2)
  }
  images { prepare = [grayscale(), resize(32), normalize(train)] }
  model  { backbone = resnet18() }
  train {
    optimizer = adam(lr = 1e-3)
    epochs    = 1
    batch     = 8
  }
}
";

/// A folder with [`TINY`] as `tiny.pipe`.
pub(crate) fn tiny() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny.pipe"), TINY).unwrap();
    folder
}

/// A grey picture, another one for each number.
pub(crate) fn picture(number: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from((at * (number + 3) + at / 16 * 7 + number) % 251).unwrap();
    encode_png(&Pixels { width: 16, height: 16, channels: 1, data: (0..256).map(byte).collect() })
}

/// A study of twelve patients with two images each in `labels.csv` and `images/`, two classes, two folds.
pub(crate) fn table_study(folder: &Path) -> String {
    fs::create_dir_all(folder.join("images")).unwrap();
    let mut table = String::from("image,label,patient\n");
    for number in 0..24 {
        let patient = number / 2;
        table += &format!("{number}.png,{},p{patient}\n", ["ill", "well"][patient % 2]);
        fs::write(folder.join(format!("images/{number}.png")), picture(number)).unwrap();
    }
    fs::write(folder.join("labels.csv"), table).unwrap();
    let text = "pipe \"2026\"

param root : path = \".\"

study table {
  data {
    table = csv(\"${root}/labels.csv\")
    image = file(`image`, under = \"${root}/images\")
    label = `label`
    group = `patient`
  }
  split { cv = stratified_group_kfold(2) }
  images { prepare = [grayscale(), resize(32), normalize(half)] }
  model { backbone = resnet18() }
  train {
    epochs = 1
    batch = 8
  }
}
";
    fs::write(folder.join("table.pipe"), text).unwrap();
    text.to_owned()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn help_names_every_command_and_each_command_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let help = pipe(folder.path(), &["--help"]).ends(0);
    assert!(help.out.contains("Exit codes: 0 done"), "{}", help.out);
    for subcommand in ["check", "graph", "plan", "why", "split", "preview", "run"] {
        assert!(help.out.contains(&format!("\n  {subcommand} ")), "{subcommand}\n{}", help.out);
        let own = pipe(folder.path(), &[subcommand, "--help"]).ends(0);
        assert!(own.out.contains("<STUDY>") && own.out.contains("--set <NAME=VALUE>"), "{}", own.out);
        assert!(own.err.is_empty(), "{}", own.err);
    }
    let version = pipe(folder.path(), &["--version"]).ends(0);
    assert_eq!(version.out, format!("pipe {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "help leaves nothing behind");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let folder = tiny();
    for arguments in [
        &[][..],
        &["chekc", "tiny.pipe"],
        &["check"],
        &["check", "tiny.pipe", "--no-such-option"],
        &["check", "tiny.pipe", "--params", "no-such-file.yaml"],
        &["preview", "tiny.pipe", "--rows", "0"],
        &["graph", "tiny.pipe", "--format", "svg"],
    ] {
        let told = pipe(folder.path(), arguments).ends(2);
        assert!(!told.err.is_empty() && told.out.is_empty(), "{arguments:?}: {told:?}");
    }
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let folder = tiny();
    let fine = pipe(folder.path(), &["check", "tiny.pipe"]).ends(0);
    assert!(fine.err.contains("30 images of 15 patients in 4 classes; no problems"), "{}", fine.err);
    assert_eq!(fine.out, "");

    fs::write(folder.path().join("bad.pipe"), TINY.replace("epochs    = 1", "epochs    = none\n    bacth = 8"))
        .unwrap();
    let bad = pipe(folder.path(), &["check", "bad.pipe"]).ends(1);
    assert!(bad.err.contains("E0101") && bad.err.contains("E0102"), "{}", bad.err);
    assert!(bad.err.contains("bad.pipe:14:"), "{}", bad.err);
    assert!(bad.err.contains("; 2 errors\n"), "{}", bad.err);
    assert!(!bad.err.contains('\u{1b}'), "no colours where stderr is no terminal");
    let coloured = pipe(folder.path(), &["check", "bad.pipe", "--color", "always"]).ends(1);
    assert!(coloured.err.contains('\u{1b}'));
    pipe(folder.path(), &["check", "gone.pipe"]).ends(1).says("`gone.pipe` cannot be read");
}

#[test]
fn problems_as_json_are_one_object_a_line() {
    let folder = tiny();
    let text = TINY.replace("epochs    = 1", "epochs    = none\n    bacth = 8");
    fs::write(folder.path().join("bad.pipe"), &text).unwrap();
    let data = pipe(folder.path(), &["check", "bad.pipe", "--format", "json"]).ends(1);
    assert_eq!(data.err, "", "what a program reads is all there is");
    let lines = json_lines(&data.out);
    let codes: Vec<&str> = lines.iter().map(|line| line["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["E0102", "E0101"]);
    for line in &lines {
        assert_eq!(line["severity"], "error");
        assert!(!line["message"].as_str().unwrap().is_empty());
        let label = &line["labels"][0];
        assert_eq!(label["file"], "bad.pipe");
        let place = |name: &str| usize::try_from(label[name].as_u64().unwrap()).unwrap();
        let wrong = &text[place("start")..place("end")];
        assert!(["none", "bacth"].contains(&wrong.split(' ').next().unwrap()), "{wrong}");
        assert_eq!(text.lines().nth(place("line") - 1).unwrap().find(wrong), Some(place("column") - 1));
    }
    assert_eq!(lines[1]["fixes"][0]["text"], "batch");

    // The same lines on stderr, from every command, with nothing else between them.
    for subcommand in ["check", "graph", "plan", "why", "split", "preview", "run"] {
        if subcommand == "run" && cfg!(not(feature = "run")) {
            continue; // it says that it cannot, before it reads the study
        }
        let talk = pipe(folder.path(), &[subcommand, "bad.pipe", "--errors", "json"]).ends(1);
        assert_eq!((talk.err.as_str(), talk.out.as_str()), (data.out.as_str(), ""), "{subcommand}");
    }
    let fine = pipe(folder.path(), &["check", "tiny.pipe", "--format", "json"]).ends(0);
    assert_eq!((fine.out, fine.err), (String::new(), String::new()));
    assert!(!folder.path().join("runs").exists() && !folder.path().join("preview").exists());
}

#[test]
fn graph_is_drawn_in_three_ways() {
    let folder = tiny();
    let text = pipe(folder.path(), &["graph", "tiny.pipe"]).ends(0).out;
    for step in ["read table", "select rows", "split patients", "decode and prepare", "train fold 0", "train fold 1"] {
        assert!(text.contains(step), "{step}\n{text}");
    }
    assert_eq!(text.lines().count(), 11);
    assert_eq!(pipe(folder.path(), &["graph", "tiny.pipe", "--format", "text"]).ends(0).out, text);
    let dot = pipe(folder.path(), &["graph", "tiny.pipe", "--format", "dot"]).ends(0).out;
    assert!(dot.starts_with("digraph study {\n") && dot.ends_with("}\n"), "{dot}");
    let mermaid = pipe(folder.path(), &["graph", "tiny.pipe", "--format", "mermaid"]).ends(0).out;
    assert!(mermaid.starts_with("flowchart LR\n") && mermaid.contains(" --> "), "{mermaid}");
    assert!(!folder.path().join(".pipe").exists(), "showing a graph makes no store");
}

#[test]
fn plan_lists_steps_images_and_patients() {
    let folder = tiny();
    let plan = pipe(folder.path(), &["plan", "tiny.pipe"]).ends(0).out;
    assert!(plan.starts_with("tiny  study "), "{plan}");
    assert!(plan.contains("30 images, 15 patients, 4 classes"), "{plan}");
    assert!(plan.contains("hold-out: ") && plan.contains("5 to run, 0 reused"), "{plan}");
    assert!(plan.contains("(shared by 4)  - not done yet"), "{plan}");
    for row in ["cardiomegaly", "effusion", "nodule", "normal", "all"] {
        let row = plan.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("no {row}: {plan}"));
        assert_eq!(row.matches(" / ").count(), 3, "images / patients of two folds and the hold-out: {row}");
    }
    assert_eq!(plan.matches("no patient in two roles, 15 in all").count(), 2, "{plan}");
}

#[test]
fn why_tells_of_steps_and_of_what_is_shared() {
    let folder = tiny();
    let why = pipe(folder.path(), &["why", "tiny.pipe", "fold 0"]).ends(0).out;
    assert!(why.contains("run    train fold 0") && why.contains("run    predict fold 0"), "{why}");
    assert_eq!(why.matches("the store has no other step of its kind").count(), 2, "{why}");
    let cache = pipe(folder.path(), &["why", "tiny.pipe", "--cache"]).ends(0).out;
    assert!(cache.starts_with("frozen features: not shared") && cache.contains("`model.freeze`"), "{cache}");
    pipe(folder.path(), &["why", "tiny.pipe", "bake"]).ends(2).says("no step is called `bake`");
    assert!(!folder.path().join(".pipe").exists(), "asking makes no store");
}

#[test]
fn split_as_csv_names_every_image_once() {
    let folder = tiny();
    let table = pipe(folder.path(), &["split", "tiny.pipe", "--format", "csv"]).ends(0);
    let mut lines = table.out.lines();
    assert_eq!(lines.next(), Some("image,patient,label,fold,role"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 30);
    let mut roles = std::collections::BTreeMap::new();
    for row in &rows {
        let [image, patient, label, fold, role] = row[..] else { panic!("{row:?}") };
        assert!(image.starts_with("phantom-") && patient.starts_with('p'), "{row:?}");
        assert!(["cardiomegaly", "effusion", "nodule", "normal"].contains(&label), "{row:?}");
        assert!(matches!((fold, role), ("0" | "1", "fold") | ("", "holdout")), "{row:?}");
        let before = roles.insert(patient, (fold, role));
        assert!(before.is_none_or(|before| before == (fold, role)), "{patient} has two roles");
    }
    for role in [("0", "fold"), ("1", "fold"), ("", "holdout")] {
        assert!(roles.values().any(|given| *given == role), "nobody is {role:?}");
    }
    let again = pipe(folder.path(), &["split", "tiny.pipe", "--format", "csv"]).ends(0);
    assert_eq!(again.out, table.out);

    let text = pipe(folder.path(), &["split", "tiny.pipe"]).ends(0).says("share no patient");
    assert!(text.out.contains("stratified_group_kfold(2") && text.out.contains("off by"), "{}", text.out);
}

fn side(png: &Path) -> (u32, u32) {
    let bytes = fs::read(png).unwrap_or_else(|error| panic!("{}: {error}", png.display()));
    let pixels = pipe::images::decode(&bytes).unwrap();
    (pixels.width, pixels.height)
}

#[test]
fn preview_writes_what_the_network_will_see() {
    let folder = tiny();
    pipe(folder.path(), &["preview", "tiny.pipe", "--rows", "5", "--out", "plain"]).ends(0).says("6 images in plain");
    let plain = folder.path().join("plain");
    let mut files: Vec<String> =
        fs::read_dir(&plain).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files.len(), 6, "{files:?}");
    assert_eq!(files[0], "contact_sheet.png");
    assert!(files[1..].iter().all(|name| name.starts_with("phantom-000") && name.ends_with(".png")), "{files:?}");
    assert_eq!(side(&plain.join(&files[1])), (32, 32));
    let (width, height) = side(&plain.join("contact_sheet.png"));
    assert!(width >= 32 && height >= 5 * 32, "{width} x {height}");

    let augmented = TINY.replace("normalize(train)]", "normalize(train)]\n    augment = [rotate(20deg, p = 1.0)]");
    fs::write(folder.path().join("turned.pipe"), augmented).unwrap();
    pipe(folder.path(), &["preview", "turned.pipe", "--rows", "2", "--out", "a/b"]).ends(0);
    let turned = folder.path().join("a/b");
    assert_eq!(fs::read_dir(&turned).unwrap().count(), 1 + 2 * 5);
    // The first of the first class; the alphabet may put another file first.
    let image = files[1..]
        .iter()
        .map(|name| name.trim_end_matches(".png"))
        .find(|name| turned.join(format!("{name}.png")).exists());
    let image = image.expect("both show the first images of the classes");
    let read = |name: &str| fs::read(turned.join(format!("{name}.png"))).unwrap();
    let first = fs::read(plain.join(format!("{image}.png"))).unwrap();
    assert_eq!(read(image), first, "the image itself is not augmented");
    let (one, two) = (read(&format!("{image}.augmented-1")), read(&format!("{image}.augmented-2")));
    assert!(one != first && two != first && one != two);

    fs::write(folder.path().join("file"), "in the way").unwrap();
    pipe(folder.path(), &["preview", "tiny.pipe", "--out", "file"]).ends(3).says("file cannot be written");
}

#[test]
fn preview_uses_the_names_of_the_images() {
    let folder = tempfile::tempdir().unwrap();
    table_study(folder.path());
    pipe(folder.path(), &["preview", "table.pipe", "--rows", "4", "--out", "seen"]).ends(0);
    let seen: Vec<bool> = ["0.png", "1.png", "2.png", "3.png"]
        .iter()
        .map(|name| folder.path().join("seen").join(name).is_file())
        .collect();
    assert_eq!(seen, [true; 4]);
    fs::write(folder.path().join("images/0.png"), "no picture").unwrap();
    pipe(folder.path(), &["preview", "table.pipe", "--out", "seen"]).ends(1).says("E0214").says("row 2 names it");
}

#[test]
fn a_path_that_is_set_starts_in_the_working_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    table_study(&data);
    fs::create_dir(folder.path().join("studies")).unwrap();
    fs::rename(data.join("table.pipe"), folder.path().join("studies/table.pipe")).unwrap();
    // Left alone, a path starts at the study.
    pipe(folder.path(), &["check", "studies/table.pipe"]).ends(1).says("E0211");
    pipe(folder.path(), &["check", "studies/table.pipe", "--set", "root=data"])
        .ends(0)
        .says("24 images of 12 patients");
    pipe(&data, &["check", "../studies/table.pipe", "--set", "root=."]).ends(0).says("24 images of 12 patients");
    pipe(folder.path(), &["check", "studies/table.pipe", "--set", "root=../data"]).ends(1).says("E0211");
    // In a values file, a path starts at that file.
    fs::write(data.join("values.yaml"), "root: .\n").unwrap();
    pipe(folder.path(), &["check", "studies/table.pipe", "--params", "data/values.yaml"]).ends(0).says("24 images");
    let absolute = format!("root={}", data.display());
    pipe(
        Path::new("/"),
        &["check", &folder.path().join("studies/table.pipe").display().to_string(), "--set", &absolute],
    )
    .ends(0)
    .says("24 images");
}

#[test]
fn a_values_file_sets_many_params() {
    let folder = tempfile::tempdir().unwrap();
    let values = root().join("examples/values_file.yaml").display().to_string();
    let study = root().join("examples/values_file.pipe").display().to_string();
    let plain = pipe(folder.path(), &["check", &study]).ends(0);
    let set = pipe(folder.path(), &["check", &study, "--params", &values]).ends(0);
    assert!(plain.err.contains("48 images") && !set.err.contains("48 images"), "{}{}", plain.err, set.err);
    // What stands on the command line goes before the file.
    pipe(folder.path(), &["check", &study, "--params", &values, "--set", "images=20"]).ends(0).says("20 images");
    let mine = folder.path().join("mine.yaml");
    fs::write(&mine, "images: 20\nimagse: 30\n").unwrap();
    let wrong = pipe(folder.path(), &["check", &study, "--params", "mine.yaml"]).ends(1).says("E0106");
    assert!(wrong.err.contains("mine.yaml:2:1") && wrong.err.contains("did you mean `images`?"), "{}", wrong.err);
    fs::write(&mine, "images: 20000\n").unwrap();
    pipe(folder.path(), &["check", &study, "--params", "mine.yaml"]).ends(1).says("E0104");
    pipe(folder.path(), &["check", &study, "--set", "images"]).ends(1).says("E0106");
}

#[test]
fn images_are_read_again_when_they_change_or_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    table_study(folder.path());
    pipe::store::Store::open(&folder.path().join(".pipe")).unwrap();
    let graph = |options: &[&str]| pipe(folder.path(), &[&["graph", "table.pipe"], options].concat()).ends(0).out;
    let before = graph(&[]);
    let image = folder.path().join("images/3.png");
    let time = fs::metadata(&image).unwrap().modified().unwrap();
    let set_time = |time| fs::File::options().write(true).open(&image).unwrap().set_modified(time).unwrap();
    set_time(time + std::time::Duration::from_secs(5));
    assert_eq!(graph(&[]), before, "a file that was only touched is the same file");

    // The last byte belongs to a checksum, which is content as well; size, time and inode stay as they were.
    let mut bytes = fs::read(&image).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&image, &bytes).unwrap();
    set_time(time + std::time::Duration::from_secs(5));
    // Systems that keep the time of the last change of any kind, which nobody can set, show even this.
    let trusted = graph(&[]);
    assert_eq!(trusted != before, cfg!(unix), "what is trusted without --verify");
    let verified = graph(&["--verify"]);
    assert_ne!(verified, before);
    assert_eq!(graph(&[]), verified, "and remembered");
    let prepare = |graph: &str| graph.lines().find(|line| line.contains("decode and prepare")).map(str::to_owned);
    assert_ne!(prepare(&verified), prepare(&before));
}

#[test]
fn a_closed_stdout_is_nobodys_error() {
    let folder = tiny();
    let mut child = command(folder.path(), &["split", "tiny.pipe", "--format", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let told = Told::from(child.wait_with_output().unwrap()).ends(0);
    assert!(!told.err.contains("panic"), "{}", told.err);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_stdout_is_told() {
    let folder = tiny();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let told = command(folder.path(), &["split", "tiny.pipe", "--format", "csv"]).stdout(full).output().unwrap();
    Told::from(told).ends(3).says("stdout cannot be written");
}

#[cfg(not(feature = "run"))]
#[test]
fn a_build_without_the_engine_says_so() {
    let folder = tiny();
    pipe(folder.path(), &["run", "tiny.pipe"]).ends(3).says("E0110");
}
