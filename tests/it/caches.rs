//! What is kept between runs changes nothing but time: the same bytes with and without it, whatever becomes of it meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipe::nn::Network;
use pipe::nn::weights::save;
use pipe::study::Backbone;

use crate::cli::{TINY, Told, pipe};
use crate::run::{Running, assert_same, drafts, finished, new_folder, results, with_store};

/// [`TINY`] on a frozen backbone, whose weights come from nowhere.
fn frozen(folder: &Path) {
    let first = Network::new(Backbone::named("resnet18").unwrap(), 4, 7, &burn::tensor::Device::flex());
    fs::write(folder.join("first.safetensors"), save(&first, BTreeMap::new()).unwrap()).unwrap();
    let model = "resnet18(weights = file(\"first.safetensors\"))\n    freeze = all";
    let text = TINY.replace("model  { backbone = resnet18() }", &format!("model {{\n    backbone = {model}\n  }}"));
    fs::write(folder.join("tiny.pipe"), text.replace("(train)", "(imagenet)")).unwrap();
}

/// The nodes of a store that hold a file of this name.
fn nodes(folder: &Path, name: &str) -> Vec<PathBuf> {
    let nodes = fs::read_dir(folder.join(".pipe/nodes")).unwrap().map(|node| node.unwrap().path());
    nodes.filter(|node| node.join(name).is_file()).collect()
}

fn forget(folder: &Path, names: &[&str]) {
    for node in names.iter().flat_map(|name| nodes(folder, name)) {
        fs::remove_dir_all(node).unwrap();
    }
}

const TRAINED: [&str; 2] = ["model.safetensors", "probabilities.json"];

#[test]
fn caches_of_images_and_features_leave_every_bit_as_it_is() {
    let folder = new_folder();
    frozen(folder.path());
    let run = |says: &str| {
        let told = pipe(folder.path(), &["run", "tiny.pipe"]).ends(0).says(says);
        (told, results(&folder.path().join("runs/tiny")))
    };
    let (_, cold) = run("6 steps done, 0 reused");
    // images and features are there
    forget(folder.path(), &TRAINED);
    assert_same(&run("4 steps done, 2 reused").1, &cold);
    // only images; then only features, whose images are to be scored all the same
    forget(folder.path(), &[&TRAINED[..], &["features.bin"]].concat());
    assert_same(&run("5 steps done, 1 reused").1, &cold);
    forget(folder.path(), &[&TRAINED[..], &["images.bin"]].concat());
    assert_same(&run("5 steps done, 1 reused").1, &cold);
    // damaged features are none
    forget(folder.path(), &TRAINED);
    let path = nodes(folder.path(), "features.bin").remove(0).join("features.bin");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (told, mended) = run("5 steps done, 1 reused");
    assert!(told.err.contains("frozen features is damaged in the store"), "{}", told.err);
    assert_same(&mended, &cold);
}

#[test]
fn caches_shared_by_two_runs_that_push_each_other_out_give_no_wrong_data() {
    let folder = new_folder();
    let one_fold = TINY.replace("kfold(2)", "kfold(2)\n    run     = [0]");
    let seeds = ["3", "4"];
    for seed in seeds {
        fs::write(folder.path().join(format!("s{seed}.pipe")), one_fold.replace("seed = 3", &format!("seed = {seed}")))
            .unwrap();
    }
    let start = |seed: &str, store: &str, out: &str| {
        let file = format!("s{seed}.pipe");
        Running::start(folder.path(), &["run", &file, "--store", store, "--out", out, "--cache-size", "1MB"])
    };
    let alone = seeds.map(|seed| {
        start(seed, &format!("alone{seed}"), &format!("a{seed}")).end().ends(0);
        results(&folder.path().join(format!("a{seed}")))
    });
    assert!(alone[0]["predictions.csv"] != alone[1]["predictions.csv"]);
    for _ in 0..2 {
        let beside = seeds.map(|seed| start(seed, ".pipe", &format!("b{seed}")));
        for run in beside {
            run.end().ends(0);
        }
        for (seed, alone) in seeds.iter().zip(&alone) {
            assert_same(&results(&folder.path().join(format!("b{seed}"))), alone);
        }
        assert_eq!(drafts(folder.path()), 0);
    }
}

/// Commands in a namespace where file systems may be mounted; `None` where the system does not let us.
#[cfg(target_os = "linux")]
fn mounted(folder: &Path, script: &str) -> Option<Told> {
    let run = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-ec", script]).current_dir(folder);
        command.env("PIPE", env!("CARGO_BIN_EXE_pipe")).env("PIPE_CACHE", "").output().ok().map(Told::from)
    };
    fs::create_dir_all(folder.join("try")).unwrap();
    let may = run("mount -t tmpfs none try").is_some_and(|told| told.code == Some(0));
    if !may {
        println!("skipped: file systems cannot be mounted here");
    }
    may.then(|| run(script)).flatten()
}

#[test]
#[cfg(target_os = "linux")]
fn caches_without_room_end_a_run_clearly_and_it_goes_on_with_room() {
    let folder = new_folder();
    fs::write(folder.path().join("tiny.pipe"), TINY).unwrap();
    fs::create_dir(folder.path().join(".pipe")).unwrap();
    // 30 images fit; a network does not, and then not even images
    let script = "mount -t tmpfs -o size=1m none .pipe
        $PIPE run tiny.pipe && exit 1; test $? = 3
        ls runs/tiny | grep . && exit 1
        test $(ls .pipe/drafts | wc -l) = 0
        dd if=/dev/zero of=.pipe/other 2>/dev/null && exit 1
        rm -r .pipe/nodes/*; dd if=/dev/zero of=.pipe/more 2>/dev/null && exit 1
        $PIPE run tiny.pipe && exit 1; test $? = 3
        rm .pipe/other .pipe/more; mount -o remount,size=400m .pipe
        $PIPE run tiny.pipe";
    let Some(told) = mounted(folder.path(), script) else { return };
    let told = told.ends(0).says("a trained fold cannot be kept: No space left").says("make room and run again");
    assert_eq!(told.err.matches("No space left").count(), 2, "{}", told.err);
    assert!(!told.err.contains("panicked"), "{}", told.err);
    assert_same(&results(&folder.path().join("runs/tiny")), &finished().results);
}

#[test]
#[cfg(target_os = "linux")]
fn caches_that_may_only_be_read_are_read_and_nothing_new_is_made() {
    let folder = with_store(TINY);
    fs::write(folder.path().join("other.pipe"), TINY.replace("1e-3", "1e-2")).unwrap();
    let script = "mount --bind .pipe .pipe; mount -o remount,bind,ro .pipe
        $PIPE run tiny.pipe --cache-size 1MB
        $PIPE run other.pipe --out other && exit 1; test $? = 3";
    let Some(told) = mounted(folder.path(), script) else { return };
    let told = told.ends(0).says("0 steps done, 5 reused").says("the store cannot be written").says("with --store");
    assert!(!told.err.contains("panicked"), "{}", told.err);
    assert_same(&results(&folder.path().join("runs/tiny")), &finished().results);
    assert!(!folder.path().join("other/predictions.csv").exists());
}
