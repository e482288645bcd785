//! Whole runs from outside: what they leave, what they reuse, and what becomes of them when something goes wrong.
//!
//! One finished run of [`TINY`] is shared; other tests take its store by hard links and never write into it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use pipe::graph::Key;
use pipe::nn::Network;
use pipe::nn::weights::save;
use pipe::record::{RECORD_VERSION, RunRecord};
use pipe::stats::predictions;
use pipe::study::Backbone;

use crate::cli::{TINY, Told, command, picture, pipe, table_study, tiny};

pub(crate) type Results = BTreeMap<String, Vec<u8>>;

/// What must be the same whenever and wherever a study is run.
pub(crate) fn results(run: &Path) -> Results {
    let mut results = Results::new();
    for name in ["record.json", "predictions.csv", "report.html"] {
        results.insert(name.into(), fs::read(run.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
    for entry in fs::read_dir(run.join("models")).unwrap() {
        let fold = entry.unwrap();
        for name in ["model.safetensors", "config.json"] {
            let digest = Key::of(&fs::read(fold.path().join(name)).unwrap());
            results.insert(format!("models/{}/{name}", fold.file_name().display()), digest.as_str().into());
        }
    }
    results
}

#[track_caller]
pub(crate) fn assert_same(results: &Results, expected: &Results) {
    assert_eq!(results.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in expected {
        assert!(results[name] == *bytes, "{name} differs");
    }
}

pub(crate) struct Finished {
    pub(crate) folder: PathBuf,
    pub(crate) told: Told,
    pub(crate) results: Results,
    _lock: fs::File,
}

/// Where tests of this binary may write; on one file system, so that hard links work.
fn place() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

pub(crate) fn new_folder() -> tempfile::TempDir {
    tempfile::tempdir_in(place()).unwrap()
}

/// [`TINY`], run once in this process.
pub(crate) fn finished() -> &'static Finished {
    static FINISHED: OnceLock<Finished> = OnceLock::new();
    FINISHED.get_or_init(|| {
        // Nothing removes it in the end, so it lies where the next tests find it; the lock keeps two of them apart.
        let (folder, lock) = (0..)
            .find_map(|number| {
                let lock = fs::File::create(place().join(format!("finished-{number}.lock"))).unwrap();
                lock.try_lock().ok().map(|()| (place().join(format!("finished-{number}")), lock))
            })
            .unwrap();
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tiny.pipe"), TINY).unwrap();
        let told = pipe(&folder, &["run", "tiny.pipe"]).ends(0);
        let results = results(&folder.join("runs/tiny"));
        Finished { folder, told, results, _lock: lock }
    })
}

fn link_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            link_all(&path, &target);
        } else {
            fs::hard_link(&path, &target).unwrap();
        }
    }
}

/// A folder with this study as `tiny.pipe` and everything that [`finished`] has in its store.
pub(crate) fn with_store(text: &str) -> tempfile::TempDir {
    let folder = new_folder();
    link_all(&finished().folder.join(".pipe"), &folder.path().join(".pipe"));
    fs::write(folder.path().join("tiny.pipe"), text).unwrap();
    folder
}

/// Replaces a file by a changed copy, so that the shared one stays as it is.
fn change(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The files of this name in the nodes of a store, in order of their keys.
fn stored(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder.join(".pipe/nodes"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join(name))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
}

pub(crate) fn drafts(folder: &Path) -> usize {
    fs::read_dir(folder.join(".pipe/drafts")).unwrap().count()
}

const ONE_FOLD: (&str, &str) = ("kfold(2)", "kfold(2)\n    run     = [0]");

fn one_fold() -> String {
    TINY.replace(ONE_FOLD.0, ONE_FOLD.1)
}

// ------------------------------------------------------------------------------------- what a run leaves

#[test]
fn a_finished_run_leaves_everything() {
    let finished = finished();
    let run = finished.folder.join("runs/tiny");
    assert!(finished.told.err.contains("5 steps done, 0 reused"), "{}", finished.told.err);
    assert!(finished.told.out.starts_with("tiny  30 images, 15 patients, 4 classes"), "{}", finished.told.out);
    assert_eq!(drafts(&finished.folder), 0);
    assert_eq!(fs::read_to_string(run.join("study.pipe")).unwrap(), TINY);

    let record: RunRecord = serde_json::from_slice(&finished.results["record.json"]).unwrap();
    assert_eq!((record.version, record.study.name.as_str()), (RECORD_VERSION, "tiny"));
    assert!(record.synthetic && record.folds.len() == 2 && record.key.len() == 64);
    assert_eq!(record.evaluation.image.count + record.split.holdout.as_ref().unwrap().images, 30);

    let manifest: serde_yaml::Value =
        serde_yaml::from_str(&fs::read_to_string(run.join("manifest.yaml")).unwrap()).unwrap();
    assert_eq!(manifest["key"].as_str(), Some(record.key.as_str()));
    let files = manifest["files"].as_sequence().unwrap();
    assert_eq!(files.len(), 8);
    for file in files {
        let bytes = fs::read(run.join(file["name"].as_str().unwrap())).unwrap();
        assert_eq!(file["bytes"].as_u64(), Some(bytes.len() as u64));
        assert_eq!(file["blake3"].as_str(), Some(Key::of(&bytes).as_str()), "{file:?}");
    }
    for fold in &record.folds {
        let bytes = fs::read(run.join(format!("models/fold-{}/model.safetensors", fold.fold))).unwrap();
        assert_eq!(Key::of(&bytes).as_str(), fold.model_blake3);
        let model = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(model.tensor("fc.weight").unwrap().shape(), [4, 512]);
        assert!(model.tensor("layer4.1.bn2.running_var").is_ok());
    }
}

#[test]
fn predictions_have_a_row_an_image_and_agree_with_the_split() {
    let finished = finished();
    let text = String::from_utf8(finished.results["predictions.csv"].clone()).unwrap();
    let (classes, _, rows) = predictions::from_csv(&text).unwrap();
    assert_eq!(classes, ["cardiomegaly", "effusion", "nodule", "normal"]);
    for row in &rows {
        let sum: f64 = row.probabilities.iter().map(|p| f64::from(*p)).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{row:?}");
        assert!(row.probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "{row:?}");
    }
    // image,patient,label,fold,role there; image,patient,fold,role,label,... here.
    let split = pipe(&finished.folder, &["split", "tiny.pipe", "--format", "csv"]).ends(0).out;
    let dealt: Vec<[String; 5]> = split.lines().skip(1).map(cells).collect();
    let scored: Vec<[String; 5]> = text
        .lines()
        .skip(1)
        .map(cells)
        .map(|[image, patient, fold, role, label]| [image, patient, label, fold, role])
        .collect();
    assert_eq!(scored, dealt);
    let holdout = rows.iter().filter(|row| row.fold.is_none()).count();
    assert!((1..15).contains(&holdout), "{holdout} rows of the hold-out");
    assert_eq!(rows.len(), 30);
}

fn cells(line: &str) -> [String; 5] {
    let cells: Vec<String> = line.split(',').take(5).map(str::to_owned).collect();
    cells.try_into().unwrap()
}

#[test]
fn the_report_opens_offline() {
    let report = String::from_utf8(finished().results["report.html"].clone()).unwrap();
    assert!(report.starts_with("<!DOCTYPE html>") && report.trim_end().ends_with("</html>"));
    for load in
        ["http://", "https://", "<script src", "<link rel=\"stylesheet", "@import", "url(", "<iframe", "<img src=\"/"]
    {
        assert!(!report.contains(load), "the report loads something: {load}");
    }
    assert!(report.contains("<svg") && report.to_lowercase().contains("synthetic"));
    let home = place().display().to_string();
    for name in ["record.json", "report.html", "predictions.csv"] {
        let text = String::from_utf8(finished().results[name].clone()).unwrap();
        assert!(!text.contains(&home), "{name} names a folder of this machine");
    }
}

// ------------------------------------------------------------------------------------- the same, and again

#[test]
fn a_second_run_does_nothing_again_and_says_so() {
    let folder = with_store(TINY);
    let plan = pipe(folder.path(), &["plan", "tiny.pipe"]).ends(0).out;
    assert!(plan.contains("0 to run, 5 reused from the store"), "{plan}");
    let again = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0).says("0 steps done, 5 reused");
    assert_eq!(again.err.matches(" reused from the store\n").count(), 5, "{}", again.err);
    assert_eq!(again.out, finished().told.out);
    assert_same(&results(&folder.path().join("runs/tiny")), &finished().results);

    // Into a folder that holds a finished run, quietly.
    let quiet = pipe(folder.path(), &["run", "tiny.pipe", "--quiet"]).ends(0);
    assert_eq!((quiet.err.as_str(), &quiet.out), ("", &finished().told.out));
    assert_same(&results(&folder.path().join("runs/tiny")), &finished().results);
    assert!(folder.path().join("runs/tiny/manifest.yaml").is_file());

    // What another study would do anew, it can tell from what this one left.
    fs::write(folder.path().join("longer.pipe"), TINY.replace("epochs    = 1", "epochs    = 2")).unwrap();
    let why = pipe(folder.path(), &["why", "longer.pipe", "train fold 1"]).ends(0).out;
    assert!(why.ends_with("other than there:\n           train.epochs: 2, there 1\n"), "{why}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_anywhere() {
    let folder = new_folder();
    let deep = folder.path().join("some/where else");
    fs::create_dir_all(&deep).unwrap();
    let text = format!("{TINY}\nrun here {{ device = cpu }}\n")
        .replace("epochs    = 1", "epochs=1 # one is enough")
        .replace("\n  model  { backbone = resnet18() }", "")
        .replace("  split {", "  model  {\n\n    backbone = resnet18(weights = none)\n  }\n  split {");
    fs::write(deep.join("other name.pipe"), text).unwrap();
    let study = "some/where else/other name.pipe";
    pipe(folder.path(), &["run", study, "--store", "kept", "--out", "results/here"])
        .ends(0)
        .says("5 steps done, 0 reused");
    assert_same(&results(&folder.path().join("results/here")), &finished().results);
}

#[test]
fn workers_side_by_side_leave_the_same_bytes() {
    let folder = new_folder();
    fs::write(folder.path().join("tiny.pipe"), format!("{TINY}\nrun here {{\n  device  = cpu\n  workers = 2\n}}\n"))
        .unwrap();
    let threads = std::thread::available_parallelism().unwrap().to_string();
    let told = pipe(folder.path(), &["run", "tiny.pipe", "--threads", &threads]).ends(0);
    for line in ["2 trainings by 2 workers\n", "5 steps done, 0 reused"] {
        assert!(told.err.contains(line), "{line}\n{}", told.err);
    }
    for step in [
        "train fold 0         kept epoch",
        "train fold 1         kept",
        "predict fold 0       ",
        "decode and prepare   30 images, ",
    ] {
        assert_eq!(told.err.matches(step).count(), 1, "{step}\n{}", told.err);
    }
    assert_same(&results(&folder.path().join("runs/tiny")), &finished().results);
    let manifest = fs::read_to_string(folder.path().join("runs/tiny/manifest.yaml")).unwrap();
    assert!(manifest.contains("train fold 1"), "{manifest}");
    assert_eq!(drafts(folder.path()), 0);
    let again = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0).says("0 steps done, 5 reused");
    assert!(!again.err.contains("workers"), "nothing is left for workers\n{}", again.err);
}

#[test]
fn one_thread_gives_the_same_network_as_two() {
    let folder = new_folder();
    fs::write(folder.path().join("tiny.pipe"), one_fold()).unwrap();
    pipe(folder.path(), &["run", "tiny.pipe", "--threads", "1"]).ends(0).says("3 steps done");
    let name = "models/fold-0/model.safetensors";
    let one = results(&folder.path().join("runs/tiny"));
    assert!(one[name] == finished().results[name], "the network depends on the number of threads");
    let record: RunRecord = serde_json::from_slice(&one["record.json"]).unwrap();
    assert_eq!(record.environment.threads, 1);
}

#[test]
fn another_learning_rate_trains_again_on_the_same_images() {
    let folder = with_store(&one_fold().replace("1e-3", "1e-2"));
    let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0).says("2 steps done, 1 reused");
    assert!(told.err.contains("decode and prepare   reused from the store"), "{}", told.err);
    let other = results(&folder.path().join("runs/tiny"));
    assert!(other["models/fold-0/model.safetensors"] != finished().results["models/fold-0/model.safetensors"]);
}

#[test]
fn one_fold_alone_is_reused_from_the_whole() {
    let folder = with_store(&one_fold());
    pipe(folder.path(), &["run", "tiny.pipe"]).ends(0).says("0 steps done, 3 reused");
    let run = folder.path().join("runs/tiny");
    let one = results(&run);
    assert_eq!(one.keys().filter(|name| name.starts_with("models/")).count(), 2);
    assert!(one["models/fold-0/model.safetensors"] == finished().results["models/fold-0/model.safetensors"]);
    let rows =
        |results: &Results| predictions::from_csv(std::str::from_utf8(&results["predictions.csv"]).unwrap()).unwrap().2;
    let all = rows(&finished().results);
    let some = rows(&one);
    assert!(some.len() < all.len() && some.iter().all(|row| row.fold.is_none_or(|fold| fold == 0)));
    for row in &some {
        let whole = all.iter().find(|other| other.image == row.image).unwrap();
        // The hold-out is scored by all folds' networks together, so it may differ here.
        assert!(row.fold.is_none() || row == whole, "{row:?}\n{whole:?}");
    }
    assert!(some.iter().any(|row| row.fold.is_none()), "the hold-out is scored by the one network there is");

    // The store goes on from there to all folds.
    fs::write(folder.path().join("tiny.pipe"), TINY).unwrap();
    pipe(folder.path(), &["run", "tiny.pipe", "-q"]).ends(0);
    assert_same(&results(&run), &finished().results);
}

#[test]
fn damage_in_the_store_is_noticed_and_mended() {
    let folder = with_store(TINY);
    let models = stored(folder.path(), "model.safetensors");
    assert_eq!(models.len(), 2);
    change(&models[0], |bytes| bytes.truncate(1000));
    change(&models[1], |bytes| *bytes.last_mut().unwrap() ^= 1);
    change(&stored(folder.path(), "images.bin")[0], |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x80;
    });
    change(&stored(folder.path(), "probabilities.json")[0], |bytes| {
        let digit = bytes.iter().rposition(u8::is_ascii_digit).unwrap();
        bytes[digit] = if bytes[digit] == b'1' { b'2' } else { b'1' };
    });
    let plan = pipe(folder.path(), &["plan", "tiny.pipe"]).ends(0).out;
    assert!(plan.contains("in the store, but `model.safetensors` has 1000 bytes instead of"), "{plan}");
    let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0);
    for step in ["train fold 0 is damaged", "train fold 1 is damaged", "decode and prepare is damaged", "predict fold"]
    {
        assert!(told.err.contains(step), "`{step}`\n{}", told.err);
    }
    assert_eq!(told.err.matches("is damaged in the store").count(), 4, "{}", told.err);
    assert_same(&results(&folder.path().join("runs/tiny")), &finished().results);
    pipe(folder.path(), &["run", "tiny.pipe"]).ends(0).says("0 steps done, 5 reused");
}

// ------------------------------------------------------------------------------------- stopped and killed

/// A run that was started; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    err: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Running {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = command(folder, arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Self { child, err, said: String::new() }
    }

    /// Reads stderr until a line begins with this.
    #[track_caller]
    pub(crate) fn until(&mut self, line: &str) {
        loop {
            let mut next = String::new();
            assert!(self.err.read_line(&mut next).unwrap() > 0, "`{line}` was never said:\n{}", self.said);
            self.said += &next;
            if next.starts_with(line) {
                return;
            }
        }
    }

    pub(crate) fn end(mut self) -> Told {
        self.err.read_to_string(&mut self.said).unwrap();
        let code = self.child.wait().unwrap().code();
        Told { code, out: String::new(), err: std::mem::take(&mut self.said) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts [`TINY`] in a new folder and stops it in the middle; again if it was quicker than the one who stops it.
fn stopped_by(stop: impl Fn(&Path, &mut Running)) -> (tempfile::TempDir, Told) {
    for _ in 0..5 {
        let folder = new_folder();
        fs::write(folder.path().join("tiny.pipe"), TINY).unwrap();
        let mut running = Running::start(folder.path(), &["run", "tiny.pipe"]);
        stop(folder.path(), &mut running);
        let told = running.end();
        if told.code != Some(0) {
            assert!(!folder.path().join("runs/tiny/manifest.yaml").exists());
            return (folder, told);
        }
    }
    panic!("five runs came to their end before they could be stopped");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let (folder, told) = stopped_by(|_, running| {
        running.until("train fold 0         kept epoch");
        running.until("train fold 1");
        let id = running.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    });
    told.ends(130).says("stopping after this step").says("interrupted; what is finished is kept");
    assert_eq!(drafts(folder.path()), 0);

    let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0);
    assert!(told.err.contains("train fold 0         reused from the store"), "{}", told.err);
    assert!(!told.err.contains("0 steps done"), "{}", told.err);
    assert_same(&results(&folder.path().join("runs/tiny")), &finished().results);
}

#[test]
fn a_killed_run_goes_on_where_it_was_and_two_runs_do_not_share_a_folder() {
    let (folder, told) = stopped_by(|folder, running| {
        running.until("train fold 0");
        let second = pipe(folder, &["run", "tiny.pipe"]).ends(3).says("another run is writing to runs/tiny");
        assert!(second.err.contains("--out") && second.out.is_empty(), "{second:?}");
        running.until("train fold 0         kept epoch");
        running.child.kill().unwrap();
    });
    assert_eq!(told.code, None, "{}", told.err);

    let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0);
    assert!(told.err.contains("train fold 0         reused from the store"), "{}", told.err);
    assert_eq!(drafts(folder.path()), 0);
    assert_same(&results(&folder.path().join("runs/tiny")), &finished().results);
}

/// The ids of the workers that a run has started.
#[cfg(target_os = "linux")]
fn workers_of(run: &Running) -> Vec<u32> {
    let id = run.child.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    children.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

#[cfg(target_os = "linux")]
fn signal(kind: &str, id: u32) {
    assert!(std::process::Command::new("kill").args([kind, &id.to_string()]).status().unwrap().success());
}

/// Two folds of many epochs, so that there is time to interfere.
#[cfg(target_os = "linux")]
fn long_beside() -> (tempfile::TempDir, Running, Vec<u32>) {
    let folder = new_folder();
    fs::write(folder.path().join("tiny.pipe"), TINY.replace("epochs    = 1", "epochs    = 1000")).unwrap();
    let mut running = Running::start(folder.path(), &["run", "tiny.pipe", "--workers", "2"]);
    running.until("2 trainings by 2 workers");
    let workers = (0..100)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            Some(workers_of(&running)).filter(|workers| workers.len() == 2)
        })
        .unwrap();
    (folder, running, workers)
}

#[cfg(target_os = "linux")]
fn gone(id: u32) -> bool {
    (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        // one that has ended and was not waited for is gone as well
        !fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
    })
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_run_ends_its_workers() {
    let (folder, running, workers) = long_beside();
    signal("-INT", running.child.id());
    running.end().ends(130).says("interrupted; what is finished is kept");
    assert!(workers.into_iter().all(gone));
    assert_eq!(drafts(folder.path()), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn workers_do_not_outlive_a_killed_run() {
    let (_folder, mut running, workers) = long_beside();
    running.child.kill().unwrap();
    assert!(workers.into_iter().all(gone));
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_killed_worker_leaves_undone_is_done_by_the_run() {
    let (_folder, mut running, workers) = long_beside();
    for id in workers {
        signal("-KILL", id);
    }
    running.until("a worker ended before `train fold");
    running.until("train fold 0 ");
    signal("-INT", running.child.id());
    running.end().ends(130);
}

#[test]
fn workers_that_fail_say_why() {
    let folder = new_folder();
    let text = TINY.replace("adam(lr = 1e-3)", "sgd(lr = 10.0)").replace("epochs    = 1", "epochs    = 5");
    fs::write(folder.path().join("tiny.pipe"), text).unwrap();
    let told = pipe(folder.path(), &["run", "tiny.pipe", "--workers", "2"]).ends(3).says("2 trainings by 2 workers");
    assert!(told.err.contains("pipe: the training diverged in epoch") && told.err.contains("lr = 1e0"), "{}", told.err);
    assert_eq!((told.err.matches("diverged").count(), told.out.as_str()), (1, ""), "{}", told.err);
    assert!(!folder.path().join("runs/tiny/manifest.yaml").exists());
}

#[test]
fn two_runs_may_share_a_store() {
    let folder = new_folder();
    fs::write(folder.path().join("tiny.pipe"), one_fold()).unwrap();
    let runs = ["a", "b"].map(|out| Running::start(folder.path(), &["run", "tiny.pipe", "--out", out]));
    for run in runs {
        run.end().ends(0);
    }
    let [a, b] = ["a", "b"].map(|out| results(&folder.path().join(out)));
    assert_same(&a, &b);
    let name = "models/fold-0/model.safetensors";
    assert!(a[name] == finished().results[name]);
    assert_eq!(drafts(folder.path()), 0);
}

// ------------------------------------------------------------------------------------- what cannot run

/// Runs `file` and makes sure that nothing looks finished afterwards.
#[track_caller]
fn refused(folder: &Path, file: &str, code: i32) -> Told {
    let told = pipe(folder, &["run", file, "--offline"]).ends(code);
    assert!(!told.err.contains("panicked") && !told.err.contains("a bug in pipe"), "{}", told.err);
    assert_eq!(told.out, "", "a run that failed has no results");
    if let Ok(runs) = fs::read_dir(folder.join("runs")) {
        for run in runs {
            let run = run.unwrap().path();
            for name in ["manifest.yaml", "record.json", "predictions.csv", "report.html", "models"] {
                assert!(!run.join(name).exists(), "{} has a {name}", run.display());
            }
        }
    }
    told
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let folder = tiny();
    fs::create_dir(folder.path().join("runs")).unwrap();
    fs::write(folder.path().join("runs/tiny"), "mine").unwrap();
    let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(3);
    assert!(told.err.contains("runs/tiny cannot be written") && told.err.contains("--out"), "{}", told.err);
    assert_eq!(fs::read_to_string(folder.path().join("runs/tiny")).unwrap(), "mine");

    fs::write(folder.path().join("kept"), "mine").unwrap();
    let told = pipe(folder.path(), &["run", "tiny.pipe", "--out", "here", "--store", "kept"]).ends(3);
    assert!(told.err.contains("the store kept cannot be written"), "{}", told.err);
    assert!(!folder.path().join("here/manifest.yaml").exists());
}

#[test]
fn results_that_cannot_be_written_leave_no_finished_run() {
    let folder = with_store(TINY);
    let run = folder.path().join("runs/tiny");
    fs::create_dir_all(run.join("predictions.csv")).unwrap();
    fs::write(run.join("manifest.yaml"), "of an older run").unwrap();
    let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(3);
    assert!(told.err.contains("the results cannot be written to runs/tiny"), "{}", told.err);
    assert!(!run.join("manifest.yaml").exists(), "the older manifest would speak for a mixture");
}

#[test]
fn images_that_cannot_be_read_stop_a_run_at_their_row() {
    let folder = tempfile::tempdir().unwrap();
    let text = table_study(folder.path());
    let image = |name: &str| folder.path().join("images").join(name);

    fs::remove_file(image("5.png")).unwrap();
    refused(folder.path(), "table.pipe", 1).says("E0205").says("5.png");

    let whole = picture(5);
    fs::write(image("5.png"), &whole[..whole.len() / 2]).unwrap();
    let told = refused(folder.path(), "table.pipe", 1).says("E0214").says("image `5.png` cannot be used");
    assert!(told.err.contains("row 7 names it"), "{}", told.err);

    let jpeg = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images/decode_jpeg_grey.jpg")).unwrap();
    let table = fs::read_to_string(folder.path().join("labels.csv")).unwrap();
    fs::write(folder.path().join("labels.csv"), table.replace("\n5.png", "\n5.jpg")).unwrap();
    for length in [jpeg.len() / 2, jpeg.len() - 12, 0] {
        fs::write(image("5.jpg"), &jpeg[..length]).unwrap();
        refused(folder.path(), "table.pipe", 1).says("E0214").says("image `5.jpg`").says("row 7 names it");
    }
    // The whole file runs, so it was the truncation that was told.
    fs::write(image("5.jpg"), &jpeg).unwrap();
    let one = text.replace("kfold(2)", "kfold(2)\n    run = [0]");
    fs::write(folder.path().join("table.pipe"), one).unwrap();
    pipe(folder.path(), &["run", "table.pipe"]).ends(0).says("3 steps done");
}

#[test]
fn the_same_pixels_of_two_patients_stop_a_run() {
    let folder = tempfile::tempdir().unwrap();
    table_study(folder.path());
    // Twice in one patient is fine, 3 and 20 are of two.
    fs::write(folder.path().join("images/3.png"), picture(20)).unwrap();
    let told = refused(folder.path(), "table.pipe", 1).says("E0206");
    for word in ["3.png", "20.png", "p1", "p10"] {
        assert!(told.err.contains(word), "{word}\n{}", told.err);
    }
}

#[test]
fn the_same_pixels_in_files_of_other_bytes_stop_a_run() {
    let folder = tempfile::tempdir().unwrap();
    table_study(folder.path());
    let mut longer = picture(20);
    longer.extend_from_slice(b"a trailer that no decoder reads");
    fs::write(folder.path().join("images/3.png"), longer).unwrap();
    let told = refused(folder.path(), "table.pipe", 1).says("E0206");
    assert!(told.err.contains("3.png") && told.err.contains("20.png"), "{}", told.err);
}

/// The picture again, a shade lighter here and there.
fn nearly(number: usize) -> Vec<u8> {
    let mut pixels = pipe::images::decode(&picture(number)).unwrap();
    for byte in pixels.data.iter_mut().step_by(7) {
        *byte = byte.saturating_add(1);
    }
    pipe::images::preview::encode_png(&pixels)
}

#[test]
fn near_copies_in_two_folds_and_two_labels_are_warned_of_and_stand_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let text = table_study(folder.path());
    let split = pipe(folder.path(), &["split", "table.pipe", "--format", "csv"]).ends(0).out;
    let fold = |image: &str| {
        let row = split.lines().map(|line| line.split(',').collect::<Vec<_>>()).find(|row| row[0] == image);
        row.unwrap()[3].to_owned()
    };
    let other = (1..12).map(|patient| 2 * patient).find(|at| fold(&format!("{at}.png")) != fold("0.png")).unwrap();
    fs::write(folder.path().join("images/0.png"), nearly(other)).unwrap();
    // the second film of patient 11 repeats the first, and is called something else
    fs::write(folder.path().join("images/23.png"), picture(22)).unwrap();
    let table = fs::read_to_string(folder.path().join("labels.csv")).unwrap();
    fs::write(folder.path().join("labels.csv"), table.replace("23.png,well", "23.png,ill")).unwrap();
    fs::write(folder.path().join("table.pipe"), text.replace("kfold(2)", "kfold(2)\n    run = [0]")).unwrap();
    let told = pipe(folder.path(), &["run", "table.pipe"]).ends(0).says("W0308").says("W0207");
    let near = format!("`0.png` and `{other}.png` show nearly the same");
    assert!(told.err.contains(&near) && told.err.contains("`22.png` and `23.png` are identical"), "{}", told.err);
    let record = fs::read_to_string(folder.path().join("runs/table/record.json")).unwrap();
    assert!(record.contains("W0308") && record.contains("W0207"), "{record}");
    // asked again of what the store holds
    pipe(folder.path(), &["run", "table.pipe"]).ends(0).says("W0308").says("W0207");
}

#[test]
fn thresholds_are_chosen_by_the_validation_patients() {
    let study = one_fold().replace("holdout = 20%", "holdout = 20%\n    validation = 25%");
    let end = study.rfind('}').unwrap();
    let study = format!("{}  evaluate {{ metrics = [sensitivity(at = specificity(75%))] }}\n}}\n", &study[..end]);
    let folder = with_store(&study);
    let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0).says("reused");
    assert!(told.out.contains("sensitivity at a specificity of 0.75 by patient: "), "{}", told.out);
    let run = folder.path().join("runs/tiny");
    let rows = |name: &str| predictions::from_csv(&fs::read_to_string(run.join(name)).unwrap()).unwrap().2;
    let (validation, scored) = (rows("validation.csv"), rows("predictions.csv"));
    assert!(!validation.is_empty());
    for row in &validation {
        let same = scored.iter().find(|other| other.patient == row.patient && other.fold == row.fold);
        assert!(same.is_none(), "{} is scored by the network whose threshold they chose", row.patient);
    }
    let record: pipe::record::RunRecord = pipe::record::read(&fs::read(run.join("record.json")).unwrap()).unwrap();
    let again =
        pipe::stats::operating(record.classes.len(), &validation, &scored, &record.study.evaluate, record.study.seed);
    assert_eq!(record.evaluation.operating, again, "the figures follow from the two tables");
    assert!(fs::read_to_string(run.join("report.html")).unwrap().contains("Sensitivity at a specificity of 0.75"));
}

#[test]
fn a_fold_that_would_not_see_a_class_is_not_trained() {
    let folder = tempfile::tempdir().unwrap();
    let text = table_study(folder.path());
    let table = fs::read_to_string(folder.path().join("labels.csv")).unwrap();
    let mut rows: Vec<&str> = table.lines().skip(1).collect();
    rows.sort_by_key(|row| row.contains(",ill,"));
    fs::write(folder.path().join("labels.csv"), format!("image,label,patient\n{}\n", rows.join("\n"))).unwrap();
    let (before, rest) = text.split_once("split").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    let group = "group = `patient`";
    assert!(before.contains(group), "{before}");
    let before = before.replace(group, "group = none(because = \"a test\")");
    fs::write(folder.path().join("table.pipe"), format!("{before}split {{ cv = kfold(2) }}\n{after}")).unwrap();
    refused(folder.path(), "table.pipe", 1).says("would learn without any image of");
}

#[test]
fn tables_with_nothing_to_learn_from_stop_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = table_study(folder.path());
    let table = fs::read_to_string(folder.path().join("labels.csv")).unwrap();
    let with = |table: &str, code: &str| {
        fs::write(folder.path().join("labels.csv"), table).unwrap();
        refused(folder.path(), "table.pipe", 1).says(code);
    };
    with("", "E0211");
    with("image,label,patient\n", "E0212");
    with(&table.replace(",ill,", ",well,"), "E0212");
    let one_patient: String = table
        .lines()
        .filter(|line| !line.contains(",ill,") || line.ends_with("p0"))
        .fold(String::new(), |text, line| text + line + "\n");
    with(&one_patient, "E0306");
    with(&table.replace("patient\n", "person\n"), "E0201");
    fs::remove_file(folder.path().join("labels.csv")).unwrap();
    refused(folder.path(), "table.pipe", 1).says("E0211");

    fs::write(folder.path().join("labels.csv"), &table).unwrap();
    fs::write(folder.path().join("table.pipe"), text.replace("    group", "    keep = `patient` > 3\n    group"))
        .unwrap();
    refused(folder.path(), "table.pipe", 1).says("E0213");
}

fn with_weights(file: &str) -> String {
    TINY.replace("resnet18()", &format!("resnet18(weights = file(\"{file}\"))")).replace("(train)", "(imagenet)")
}

#[test]
fn weights_that_do_not_fit_stop_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let study = |file: &str| fs::write(folder.path().join("tiny.pipe"), with_weights(file)).unwrap();

    let other = Network::new(Backbone::named("efficientnet_lite0").unwrap(), 4, 3, &burn::tensor::Device::flex());
    fs::write(folder.path().join("other.safetensors"), save(&other, BTreeMap::new()).unwrap()).unwrap();
    study("other.safetensors");
    let told = refused(folder.path(), "tiny.pipe", 1).says("E0406").says("efficientnet_lite0");
    assert!(told.err.contains("tiny.pipe:10:") && told.err.contains("loaded into this network"), "{}", told.err);
    assert!(stored(folder.path(), "images.bin").is_empty(), "told before the first image is decoded");

    fs::write(folder.path().join("cut.safetensors"), [9, 0, 0, 0, 0, 0, 0, 0, b'{']).unwrap();
    study("cut.safetensors");
    refused(folder.path(), "tiny.pipe", 1).says("E0406");

    study("gone.safetensors");
    refused(folder.path(), "tiny.pipe", 1).says("E0402").says("gone.safetensors");

    for name in ["model.pth", "renamed.safetensors"] {
        fs::write(folder.path().join(name), b"PK\x03\x04archive/data.pkl").unwrap();
        study(name);
        refused(folder.path(), "tiny.pipe", 1).says("E0902").says("pickle");
    }

    let imagenet = TINY.replace("resnet18()", "resnet18(weights = imagenet)").replace("(train)", "(imagenet)");
    fs::write(folder.path().join("tiny.pipe"), imagenet).unwrap();
    refused(folder.path(), "tiny.pipe", 1).says("E0402").says("pipe weights fetch timm/resnet18.tv_in1k");
}

#[test]
fn first_weights_are_read_from_a_file() {
    let folder = new_folder();
    let first = fs::read(finished().folder.join("runs/tiny/models/fold-0/model.safetensors")).unwrap();
    fs::write(folder.path().join("first.safetensors"), first).unwrap();
    // other films: of its own the network would be told to know them
    let text = with_weights("first.safetensors").replace(ONE_FOLD.0, ONE_FOLD.1).replace("seed = 3", "seed = 4");
    fs::write(folder.path().join("tiny.pipe"), text).unwrap();
    pipe(folder.path(), &["run", "tiny.pipe"]).ends(0).says("3 steps done");
    let record: RunRecord =
        serde_json::from_slice(&fs::read(folder.path().join("runs/tiny/record.json")).unwrap()).unwrap();
    assert_eq!(record.environment.weights_sha256.map(|sha| sha.len()), Some(64));
}

#[test]
fn networks_of_ours_are_no_first_weights_for_the_images_they_have_learned() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        finished().folder.join("runs/tiny/models/fold-0/model.safetensors"),
        folder.path().join("own.safetensors"),
    )
    .unwrap();
    let again = TINY.replace("resnet18()", "resnet18(weights = file(\"own.safetensors\"))");
    fs::write(folder.path().join("again.pipe"), &again).unwrap();
    let told = pipe(folder.path(), &["check", "again.pipe"]).ends(1).says("E0309");
    assert!(told.err.contains("images of this very study, as the file itself notes"), "{}", told.err);
    fs::write(folder.path().join("other.pipe"), again.replace("seed = 3", "seed = 4")).unwrap();
    pipe(folder.path(), &["check", "other.pipe"]).ends(0);
}

#[test]
fn a_training_that_diverges_is_told_with_its_step() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("tiny.pipe"),
        TINY.replace("adam(lr = 1e-3)", "sgd(lr = 10.0)").replace("epochs    = 1", "epochs    = 5"),
    )
    .unwrap();
    let told = refused(folder.path(), "tiny.pipe", 3);
    assert!(told.err.contains("diverged in epoch") && told.err.contains(", step "), "{}", told.err);
    assert!(told.err.contains("a learning rate of 1e1") && told.err.contains("lr = 1e0"), "{}", told.err);
    // What is finished is kept.
    assert_eq!(stored(folder.path(), "images.bin").len(), 1);
    assert_eq!(drafts(folder.path()), 0);
}

#[test]
fn wrong_places_to_run_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny.pipe"), format!("{TINY}\nrun here {{ device = cpu }}\n")).unwrap();
    pipe(folder.path(), &["run", "tiny.pipe", "--on", "there"]).ends(2).says("no `run there` block; there are: here");
    pipe(folder.path(), &["run", "tiny.pipe", "--device", "tpu"]).ends(2).says("`tpu` is no device");
    pipe(folder.path(), &["run", "tiny.pipe", "--threads", "0"]).ends(2);
    pipe(folder.path(), &["run", "tiny.pipe", "--params", "gone.yaml"]).ends(2).says("gone.yaml cannot be read");
    // not in this build, or not in this machine: a number that no machine has
    pipe(folder.path(), &["run", "tiny.pipe", "--device", "cuda(99)"]).ends(3).says("--device cpu");
    pipe(folder.path(), &["run", "tiny.pipe", "--device", "vulkan(99)"]).ends(3).says("--device cpu");
    assert!(!folder.path().join("runs").exists());
}
