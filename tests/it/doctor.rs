//! `pipe doctor`: its fields, not this machine's values.

use std::fs;

use serde_json::Value;

use crate::cli::pipe;

/// Names of an object, in order.
fn names(value: &Value) -> Vec<&str> {
    value.as_object().map_or_else(Vec::new, |object| object.keys().map(String::as_str).collect())
}

#[test]
fn everything_is_told_as_data() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("weights")).unwrap();
    fs::write(folder.path().join("weights/resnet18.a1_in1k.safetensors"), "x").unwrap();
    let told = pipe(folder.path(), &["doctor", "--format", "json"]);
    let all: Value = serde_json::from_str(&told.out).unwrap();
    let fields = ["devices", "features", "folders", "memory", "nvidia", "optimised", "pipe", "platform", "processor"];
    let mut there = names(&all);
    there.sort_unstable();
    assert_eq!(there, [&fields[..], &["todo", "weights"]].concat());
    for (field, wanted) in [
        ("processor", &["instructions", "logical_cores", "model", "threads"][..]),
        ("memory", &["bytes", "free_bytes"]),
        ("features", &["cuda", "run", "vulkan"]),
        ("weights", &["here", "known"]),
    ] {
        let mut there = names(&all[field]);
        there.sort_unstable();
        assert_eq!(there, wanted, "{field}");
    }
    let folders = all["folders"].as_array().unwrap();
    let whats: Vec<&str> = folders.iter().filter_map(|one| one["what"].as_str()).collect();
    assert_eq!(whats[..3], ["store", "results", "weights"]);
    assert_eq!((&folders[0]["exists"], &folders[0]["writable"]), (&Value::from(false), &Value::from(true)));
    assert!(!folder.path().join(".pipe").exists(), "looking makes nothing");
    if cfg!(feature = "run") {
        let told = told.ends(0);
        // drivers talk as they please
        assert!(cfg!(feature = "gpu") || told.err.is_empty(), "{}", told.err);
        let devices = all["devices"].as_array().unwrap();
        assert_eq!(devices[0]["device"], "cpu");
        assert_eq!(devices.iter().filter(|one| one["auto"] == true).count(), 1);
        let fields = ["auto", "device", "driver", "memory_bytes", "name", "software"];
        assert!(
            devices.iter().all(|one| names(one).len() == fields.len() && fields.iter().all(|f| one.get(f).is_some()))
        );
        let here: Vec<&str> =
            all["weights"]["here"].as_array().unwrap().iter().map(|one| one["backbone"].as_str().unwrap()).collect();
        assert_eq!(here, ["resnet18"]);
    } else {
        told.ends(1);
        assert_eq!(all["todo"][0]["paste"], "cargo build --release --locked");
    }
}

#[cfg(feature = "run")]
#[test]
fn what_stands_in_the_way_ends_with_1_and_a_line_to_paste() {
    let folder = tempfile::tempdir().unwrap();
    let told = pipe(folder.path(), &["doctor"]).ends(0);
    for title in ["this machine\n", "devices\n", "folders\n", "first weights\n", "to do\n"] {
        assert!(told.out.contains(&format!("\n{title}")), "{title}{}", told.out);
    }
    assert!(told.out.contains("what `auto` takes") && told.out.contains("\n      pipe weights fetch resnet18\n"));
    fs::write(folder.path().join("file"), "x").unwrap();
    let told = pipe(folder.path(), &["doctor", "--store", "file/store"]).ends(1);
    assert!(told.out.contains("the store file/store cannot be written"), "{}", told.out);
    assert!(told.out.contains("\n      pipe doctor --store \"$HOME/.cache/pipe\"\n"), "{}", told.out);
}
