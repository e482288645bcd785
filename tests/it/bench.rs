//! `pipe bench` from outside.

use serde_json::Value;

use crate::cli::{picture, pipe};

#[test]
fn a_tiny_network_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["bench", "resnet18", "--side", "32", "--batch", "4", "--steps", "2", "--format", "json"];
    let told: Value = serde_json::from_str(&pipe(folder.path(), &arguments).ends(0).out).unwrap();
    let number = |key: &str| told[key].as_f64().unwrap_or_else(|| panic!("no {key} in {told}"));
    let (step, inference) = (number("train_step_ms"), number("inference_ms"));
    assert!(step > inference && inference > 0.0, "{told}");
    assert!((number("images_per_s") * step / 4000.0 - 1.0).abs() < 0.01, "{told}");
    // 11.2 million weights, their gradients and two moments of each, in single precision
    assert!(number("peak_bytes") > 4.0 * 4.0 * 11.2e6, "{told}");
    let text = pipe(folder.path(), &["bench", "resnet18", "--side", "32", "--batch", "1", "--steps", "1"]).ends(0).out;
    assert!(text.starts_with("resnet18, batch 1, side 32, f32, cpu, "), "{text}");
}

#[test]
fn images_of_a_folder_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..3 {
        std::fs::write(folder.path().join(format!("{number}.png")), picture(number)).unwrap();
    }
    std::fs::write(folder.path().join("labels.csv"), "no image").unwrap();
    let arguments = ["bench", "--images", ".", "--side", "8", "--steps", "2"];
    let told: Value =
        serde_json::from_str(&pipe(folder.path(), &[&arguments[..], &["--format", "json"]].concat()).ends(0).out)
            .unwrap();
    assert_eq!((&told["images"], &told["side"]), (&3.into(), &8.into()), "{told}");
    let number = |key: &str| told[key].as_f64().unwrap();
    assert!((number("images_per_s") * (number("decode_ms") + number("prepare_ms")) / 1e3) < 1.1, "{told}");
    assert!(pipe(folder.path(), &arguments).ends(0).out.starts_with("3 images to 8 pixels: "));
    pipe(folder.path(), &["bench", "--images", "none"]).ends(3).says("none cannot be read");
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    pipe(folder.path(), &["bench", "--images", "empty"]).ends(3).says("empty holds no PNG or JPEG");
}

#[test]
fn what_cannot_be_measured_is_a_wrong_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |arguments: &[&str], words: &str| {
        pipe(folder.path(), &[&["bench"], arguments].concat()).ends(2).says(words);
    };
    wrong(&["resnet81"], "did you mean `resnet");
    wrong(&["resnet18", "--side", "0"], "0 is not in 1..=4096");
    wrong(&["inception_v3", "--side", "20"], "its smallest side is");
    wrong(&["vit_b16", "--side", "230"], "--side 240 is the next");
    wrong(&["resnet18", "--precision", "f8"], "possible values: f32, bf16");
    wrong(&["resnet18", "--batch", "0"], "0 is not in 1..=4096");
    wrong(&["resnet18", "--device", "tpu"], "`tpu` is no device");
}

#[test]
fn bf16_is_not_measured_on_the_processor() {
    let folder = tempfile::tempdir().unwrap();
    let told = pipe(folder.path(), &["bench", "resnet18", "--side", "32", "--precision", "bf16"]).ends(3);
    told.says("E0507: `bf16` is asked for on cpu, where it is slower than `f32`").says("--precision f32");
}
