//! `pipe audit`: what is missing, broken, there twice or of another kind is found, and found again from the store.

use std::fs;
use std::path::Path;

use pipe::images::Pixels;
use pipe::images::preview::encode_png;
use serde_json::Value;

use crate::cli::{pipe, table_study};

/// A film-like picture of a number.
fn film(number: u32, brighter: u8) -> Pixels {
    let level = |x: u32, y: u32| {
        let (x, y) = (f64::from(x) / 9.0, f64::from(y) / 11.0);
        let n = f64::from(number);
        let value = 110.0 + 50.0 * (x + n * 1.7 + (y * 0.6).sin()).sin() + 40.0 * (y * (1.0 + 0.1 * n) - n).cos();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "20 to 200")]
        let value = value as u8;
        value.saturating_add(brighter)
    };
    let data = (0..64).flat_map(|y| (0..64).map(move |x| level(x, y))).collect();
    Pixels { width: 64, height: 64, channels: 1, data }
}

fn write(folder: &Path, number: u32, pixels: &Pixels) {
    fs::write(folder.join(format!("images/{number}.png")), encode_png(pixels)).unwrap();
}

fn data_set() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    table_study(folder.path());
    for number in 0..24 {
        write(folder.path(), number, &film(number, 0));
    }
    folder
}

fn json(folder: &Path, code: i32) -> Value {
    let told = pipe(folder, &["audit", "table.pipe", "--format", "json"]).ends(code);
    serde_json::from_str(&told.out).unwrap()
}

#[test]
fn a_clean_data_set_is_called_so() {
    let folder = data_set();
    let told = pipe(folder.path(), &["audit", "table.pipe"]).ends(0);
    for line in
        ["same pixels      none", "nearly the same  none", "missing          none", "8-bit grey (24)", "64 x 64 (24)"]
    {
        assert!(told.out.contains(line), "`{line}` is not in\n{}", told.out);
    }
}

#[test]
fn copies_are_told_by_patient_and_label() {
    let folder = data_set();
    let at = folder.path();
    write(at, 1, &film(0, 0)); // the other image of the same patient
    write(at, 10, &film(4, 0)); // patient 5 and 2, two labels
    write(at, 16, &film(12, 20)); // patient 8 and 6, nearly
    let found = json(at, 1);
    let pairs: Vec<(&str, &str, bool, bool, bool)> = found["copies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            let flag = |name: &str| pair[name].as_bool().unwrap();
            let image = |name: &str| pair[name]["image"].as_str().unwrap();
            (image("first"), image("second"), flag("exact"), flag("two_patients"), flag("two_labels"))
        })
        .collect();
    assert_eq!(
        pairs,
        [
            ("4.png", "10.png", true, true, true),
            ("12.png", "16.png", false, true, false),
            ("0.png", "1.png", true, false, false),
        ]
    );
    let told = pipe(at, &["audit", "table.pipe", "--html", "page.html"]).ends(1);
    assert!(told.out.contains("1 pair: 1 across patients, 0 within a patient, 0 with two labels"), "{}", told.out);
    let page = fs::read_to_string(at.join("page.html")).unwrap();
    assert!(page.contains("12.png") && page.matches("data:image/png;base64,").count() == 6, "{page}");
    assert!(page.contains("Content-Security-Policy") && !page.contains("http://") && !page.contains("<script"));
}

#[test]
fn missing_broken_and_odd_images_are_listed() {
    let folder = data_set();
    let at = folder.path();
    fs::remove_file(at.join("images/3.png")).unwrap();
    let whole = fs::read(at.join("images/7.png")).unwrap();
    fs::write(at.join("images/7.png"), &whole[..whole.len() / 2]).unwrap();
    write(at, 9, &film(9, 0).into_colour());
    let negative = film(11, 0);
    write(at, 11, &Pixels { data: negative.data.iter().map(|level| 255 - level).collect(), ..negative });
    let found = json(at, 1);
    assert_eq!(found["missing"][0]["image"], "3.png");
    assert_eq!(found["unreadable"][0][0]["image"], "7.png");
    assert_eq!(found["unreadable"][0][1], "truncated");
    assert_eq!((&found["kinds"][0]["images"], &found["kinds"][1]["kind"]), (&21.into(), &"8-bit colour".into()));
    let told = pipe(at, &["audit", "table.pipe"]).ends(1);
    assert!(told.out.contains("mixed: 8-bit grey (21), 8-bit colour (1)"), "{}", told.out);
}

#[test]
fn negatives_among_films_of_one_kind_are_seen() {
    let folder = data_set();
    let at = folder.path();
    // one body in all films, as radiographs have, with something of its own in each
    let body = |number: u32| {
        let one = film(1, 0);
        let own = film(number, 0);
        let data = one.data.iter().zip(&own.data).map(|(one, own)| one / 4 * 3 + own / 4).collect();
        Pixels { data, ..one }
    };
    for number in 0..24 {
        write(at, number, &body(number));
    }
    let negative = body(11);
    write(at, 11, &Pixels { data: negative.data.iter().map(|level| 255 - level).collect(), ..negative });
    let told = pipe(at, &["audit", "table.pipe", "--format", "json"]);
    let found: Value = serde_json::from_str(&told.out).unwrap();
    let inverted: Vec<&str> =
        found["inverted"].as_array().unwrap().iter().map(|one| one["image"].as_str().unwrap()).collect();
    assert_eq!(inverted, ["11.png"]);
}

#[test]
fn a_second_audit_reads_what_changed_and_says_the_same() {
    let folder = data_set();
    let at = folder.path();
    let first = json(at, 0);
    assert!(at.join(".pipe/fingerprints.bin").is_file());
    assert_eq!(json(at, 0), first);
    write(at, 5, &film(20, 0));
    let changed = json(at, 1);
    assert_eq!(changed["copies"].as_array().unwrap().len(), 1, "{changed}");
    // a store that is damaged, or cannot be written, costs time and nothing else
    fs::write(at.join(".pipe/fingerprints.bin"), "no fingerprints").unwrap();
    assert_eq!(json(at, 1), changed);
}

#[test]
fn phantoms_have_no_files() {
    let folder = crate::cli::tiny();
    pipe(folder.path(), &["audit", "tiny.pipe"]).ends(2).says("phantoms");
}
