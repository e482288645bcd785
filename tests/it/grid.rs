//! Studies with several variants, run from outside: what is shared, what each leaves, part of a grid, and kills.
//!
//! One variant is the study of `run`, whose finished work is taken by hard links, so that few networks are trained here.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use pipe::record::{self, RunRecord, StudyRecord};
use pipe::stats::predictions;

use crate::cli::{TINY, Told, pipe};
use crate::run::{Results, Running, assert_same, drafts, finished, results, with_store};

const VARY: &str = "  vary train.loss = { ce = cross_entropy(), focal = focal() }\n";

/// [`TINY`] with two losses, compared; slices by sex; led by the better one.
fn grid() -> String {
    let more = format!(
        "{VARY}  compare {{ baseline = ce\n    test = paired_bootstrap(200) }}\n  report {{ headline = best(by = accuracy) }}\n}}\n"
    );
    TINY.trim_end().strip_suffix('}').unwrap().to_owned() + &more
}

fn study(folder: &Path) -> StudyRecord {
    record::read(&fs::read(folder.join("runs/tiny/record.json")).unwrap()).unwrap()
}

/// What must be the same however a grid came to its end.
fn all_results(folder: &Path) -> Vec<Results> {
    let run = folder.join("runs/tiny");
    let whole = ["record.json", "report.html"].map(|name| (name.to_owned(), fs::read(run.join(name)).unwrap()));
    vec![Results::from(whole), results(&run.join("ce")), results(&run.join("focal"))]
}

struct Grid {
    folder: tempfile::TempDir,
    told: Told,
    results: Vec<Results>,
}

/// [`grid`], run once in this process on the store of [`TINY`].
fn done() -> &'static Grid {
    static DONE: OnceLock<Grid> = OnceLock::new();
    DONE.get_or_init(|| {
        let folder = with_store(&grid());
        let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0);
        let results = all_results(folder.path());
        Grid { folder, told, results }
    })
}

#[test]
fn workers_train_variants_side_by_side() {
    let folder = with_store(&grid());
    let told = pipe(folder.path(), &["run", "tiny.pipe", "--workers", "2"]).ends(0);
    for line in ["2 trainings by 2 workers\n", "focal train fold 0   kept epoch", "4 steps done, 5 reused"] {
        assert!(told.err.contains(line), "{line}\n{}", told.err);
    }
    let alone = done();
    assert_eq!(told.out, alone.told.out);
    for (beside, alone) in all_results(folder.path()).iter().zip(&alone.results) {
        assert_same(beside, alone);
    }
    // the time that workers took belongs to the variant
    let timed = |folder: &Path| {
        let manifest = fs::read_to_string(folder.join("runs/tiny/focal/manifest.yaml")).unwrap();
        manifest.matches("\n  seconds: ").count()
    };
    assert_eq!((timed(folder.path()), timed(alone.folder.path())), (4, 4));
}

#[test]
fn every_variant_is_a_run_and_the_study_compares_them() {
    let Grid { folder, told, results } = done();
    for line in ["variant 1/2  ce\n", "variant 2/2  focal\n", "2/2 train fold 1", "4 steps done, 5 reused"] {
        assert!(told.err.contains(line), "{line}\n{}", told.err);
    }
    assert_eq!(told.err.matches("decode and prepare").count(), 1, "images are shared\n{}", told.err);
    assert!(told.out.starts_with("tiny  2 of 2 variants, 30 images, 15 patients, 4 classes"), "{}", told.out);

    // The first variant is the study without `vary`, to the byte.
    let run = folder.path().join("runs/tiny");
    for name in ["predictions.csv", "models/fold-0/model.safetensors", "models/fold-1/model.safetensors", "record.json"]
    {
        assert!(results[1][name] == finished().results[name], "{name}");
    }
    assert!(results[2]["models/fold-0/model.safetensors"] != results[1]["models/fold-0/model.safetensors"]);
    for name in ["predictions.csv", "models"] {
        assert!(!run.join(name).exists(), "{name} belongs to the variants");
    }

    let record = study(folder.path());
    let names: Vec<&str> = record.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!((names, record.missing.len()), (vec!["ce", "focal"], 0));
    assert_eq!(record.axes[0].path, "train.loss");
    for (variant, results) in record.variants.iter().zip(&results[1..]) {
        assert_eq!(variant.record, record::read::<RunRecord>(&results["record.json"]).unwrap());
    }
    let manifest: serde_yaml::Value =
        serde_yaml::from_str(&fs::read_to_string(run.join("manifest.yaml")).unwrap()).unwrap();
    assert_eq!(manifest["key"].as_str(), Some(record.key.as_str()));
    assert_eq!(manifest["variants"][1]["folder"].as_str(), Some("focal"));
    assert!(run.join("focal/manifest.yaml").is_file());
}

#[test]
fn the_comparison_follows_from_the_written_predictions() {
    let Grid { folder, results, .. } = done();
    let record = study(folder.path());
    let table =
        |results: &Results| predictions::from_csv(std::str::from_utf8(&results["predictions.csv"]).unwrap()).unwrap().2;
    let (ce, focal) = (table(&results[1]), table(&results[2]));
    let comparison = record.comparison.as_ref().unwrap();
    assert_eq!((comparison.baseline.as_str(), comparison.draws, comparison.rows.len()), ("ce", 200, 1));
    let of = comparison.rows[0].difference.as_ref().unwrap();
    let figure = |at: usize| record.variants[at].record.evaluation.patient.macro_f1;
    assert!((of.difference - (figure(1) - figure(0))).abs() < 1e-12);
    assert!(
        of.interval.low <= of.difference
            && of.difference <= of.interval.high
            && of.p.to_bits() == of.corrected.to_bits()
    );
    let ask = pipe::study::Bootstrap { replicates: 200, level: 0.95, method: pipe::study::IntervalMethod::Percentile };
    let judged = (pipe::study::Metric::MacroF1, pipe::study::Unit::Patient);
    let again = pipe::stats::difference(4, (&focal, &ce), judged, &ask, 42).unwrap();
    assert_eq!((again.difference, again.interval, again.p), (of.difference, of.interval, of.p));

    // The better one on the folds leads, by its figures on the hold-out.
    let leader = record.leader.as_ref().unwrap();
    let accuracy = |at: usize| record.variants[at].record.evaluation.patient.accuracy;
    let (best, rows) = if accuracy(1) > accuracy(0) { ("focal", &focal) } else { ("ce", &ce) };
    assert_eq!(leader.variant, best);
    let held: Vec<_> = rows.iter().filter(|row| row.fold.is_none()).map(|row| row.patient.as_str()).collect();
    let holdout = leader.holdout.as_ref().unwrap();
    let patients: std::collections::BTreeSet<_> = held.iter().collect();
    assert_eq!((holdout.images as usize, holdout.patients as usize), (held.len(), patients.len()));
}

#[test]
fn a_killed_grid_goes_on_to_the_same_bits() {
    for _ in 0..5 {
        let folder = with_store(&grid());
        let mut running = Running::start(folder.path(), &["run", "tiny.pipe"]);
        running.until("2/2 train fold 0     kept epoch");
        running.child.kill().unwrap();
        if running.end().code == Some(0) {
            continue; // it was quicker
        }
        let run = folder.path().join("runs/tiny");
        assert!(run.join("ce/manifest.yaml").is_file(), "a variant is there as soon as it is done");
        assert!(!run.join("manifest.yaml").exists() && !run.join("focal/manifest.yaml").exists());
        let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0);
        assert!(told.err.contains("2/2 train fold 0     reused from the store"), "{}", told.err);
        assert_eq!(drafts(folder.path()), 0);
        for (ours, whole) in all_results(folder.path()).iter().zip(&done().results) {
            assert_same(ours, whole);
        }
        assert_eq!(told.out, done().told.out);
        return;
    }
    panic!("five runs came to their end before they could be killed");
}

#[test]
fn part_of_a_grid_says_what_is_missing() {
    let folder = with_store(&grid());
    let plan = pipe(folder.path(), &["plan", "tiny.pipe"]).ends(0).out;
    for line in ["2 variants x 2 folds = 4 trainings", "in store   2 trainings", "to do      2 trainings"] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }
    let told = pipe(folder.path(), &["run", "tiny.pipe", "--only", "c?"]).ends(0).says("0 steps done, 5 reused");
    assert!(told.out.contains("1 of 2 variants") && told.out.contains("not run yet: focal"), "{}", told.out);
    let record = study(folder.path());
    assert_eq!((record.variants.len(), record.missing.as_slice()), (1, &["focal".to_owned()][..]));
    assert!(record.leader.is_none(), "nobody is best before all have run");
    assert!(!folder.path().join("runs/tiny/focal").exists());

    for (only, said) in [("resnet*", "no variant of the study fits --only 'resnet*'"), ("", "fits --only ''")] {
        let told = pipe(folder.path(), &["run", "tiny.pipe", "--only", only]).ends(2).says(said);
        assert!(told.err.contains("there are: ce, focal"), "{}", told.err);
    }
    fs::write(folder.path().join("tiny.pipe"), TINY).unwrap();
    pipe(folder.path(), &["run", "tiny.pipe", "--only", "ce"]).ends(2).says("nothing varies in it");
}

#[test]
fn commands_that_show_one_variant_take_its_name() {
    let Grid { folder, .. } = done();
    let split = |more: &[&str]| pipe(folder.path(), &[&["split", "tiny.pipe"], more].concat());
    let first = split(&[]).ends(0).says("ce of 2 variants; another one with --variant NAME");
    assert_eq!(split(&["--variant", "focal"]).ends(0).out, first.out, "both are dealt alike");
    split(&["--variant", "nobody"]).ends(2).says("there are: ce, focal");
    let graph = pipe(folder.path(), &["graph", "tiny.pipe"]).ends(0).out;
    assert!(
        graph.contains("(all 2 variants)") && graph.contains("compare variants") && graph.contains("(focal)"),
        "{graph}"
    );
    for format in ["dot", "mermaid"] {
        let drawn = pipe(folder.path(), &["graph", "tiny.pipe", "--format", format]).ends(0).out;
        assert!(drawn.contains("compare variants") && drawn.contains("(focal)"), "{drawn}");
    }
}
