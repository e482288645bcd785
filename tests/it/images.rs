//! Images against Pillow and OpenCV (stored by `fixtures/images/make.py`), hostile files, and the store of prepared images.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use pipe::draw::{DrawKey, Stage};
use pipe::images::augment;
use pipe::images::cache::{PrepareError, PreparedSet};
use pipe::images::{ImageError, MAX_SIDE, Pixels, decode, phantom, prepare};
use pipe::study::{Augment, Filter, Fit, Prepare};
use rayon::prelude::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn picture(name: &str) -> Pixels {
    decode(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names in the folder that begin so, sorted, without their ending.
fn names(beginning: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(beginning))
        .collect();
    names.sort_unstable();
    names
}

/// The largest difference of a level, and the share of levels that differ at all.
fn difference(left: &Pixels, right: &Pixels) -> (u8, f64) {
    assert_eq!((left.width, left.height, left.channels), (right.width, right.height, right.channels));
    let pairs = || left.data.iter().zip(&right.data);
    let differing = pairs().filter(|(left, right)| left != right).count();
    let largest = pairs().map(|(left, right)| left.abs_diff(*right)).max().unwrap_or(0);
    (largest, differing as f64 / left.data.len() as f64)
}

#[test]
fn every_kind_of_png_and_jpeg_is_decoded_as_pillow_does() {
    let files = names("decode_");
    assert_eq!(files.len(), 18);
    for file in files {
        let (stem, kind) = file.rsplit_once('.').unwrap();
        let wanted = picture(&format!("{}.png", stem.replace("decode_", "want_")));
        let (largest, share) = difference(&picture(&file), &wanted);
        // JPEG decoders may round as they like; PNG leaves no choice.
        let allowed = if kind == "jpg" { 2 } else { 0 };
        assert!(largest <= allowed, "{file}: off by {largest} in {share:.3} of the levels");
    }
}

#[test]
fn resizing_is_pillows_to_one_grey_level() {
    let files = names("resize_");
    assert_eq!(files.len(), 38);
    for file in files {
        let parts: Vec<&str> = file.trim_end_matches(".png").split('_').collect();
        let filter = match parts[2] {
            "lanczos" => Filter::Lanczos,
            "bicubic" => Filter::Bicubic,
            "bilinear" => Filter::Bilinear,
            _ => Filter::Nearest,
        };
        let fit = match parts[4] {
            "stretch" => Fit::Stretch,
            "pad" => Fit::Pad,
            _ => Fit::Crop,
        };
        let step = Prepare::Resize { side: parts[3].parse().unwrap(), filter, fit };
        let done = prepare(&[step], picture(&format!("source_{}.png", parts[1])));
        let (largest, share) = difference(&done, &picture(&file));
        assert!(largest <= 1, "{file}: off by {largest} in {share:.3} of the levels");
    }
}

#[test]
fn luma_is_pillows() {
    let grey = prepare(&[Prepare::Grayscale {}], picture("source_colour.png"));
    assert_eq!(grey, picture("luma_colour.png"));
    assert_eq!(prepare(&[Prepare::Grayscale {}], grey.clone()), grey);
}

#[test]
fn clahe_is_opencvs_to_one_grey_level() {
    let files = names("clahe_");
    assert_eq!(files.len(), 18);
    for file in files {
        let parts: Vec<&str> = file.trim_end_matches(".png").split('_').collect();
        let step = Prepare::Clahe { clip: parts[2].parse().unwrap(), tiles: parts[3].parse().unwrap() };
        let done = prepare(&[step], picture(&format!("source_{}.png", parts[1])));
        let (largest, share) = difference(&done, &picture(&file));
        assert!(largest <= 1, "{file}: off by {largest} in {share:.3} of the levels");
    }
}

#[test]
fn clahe_of_colour_is_that_of_each_channel() {
    let colour = picture("source_colour.png");
    let step = [Prepare::Clahe { clip: 2.0, tiles: 3 }];
    let done = prepare(&step, colour.clone());
    for channel in 0..3 {
        let plane = |image: &Pixels| image.data.iter().skip(channel).step_by(3).copied().collect::<Vec<u8>>();
        let alone = Pixels { channels: 1, data: plane(&colour), ..colour };
        assert_eq!(plane(&done), prepare(&step, alone).data);
    }
}

#[test]
fn a_file_cut_short_anywhere_says_so() {
    for name in ["decode_rgb16.png", "decode_palette4.png", "decode_jpeg_progressive.jpg", "decode_jpeg_restarts.jpg"] {
        let whole = bytes(name);
        assert!(decode(&whole).is_ok());
        for length in 1..whole.len() {
            assert_eq!(decode(&whole[..length]), Err(ImageError::Truncated), "{name}, {length} bytes");
        }
    }
    assert_eq!(decode(&[]), Err(ImageError::Empty));
    assert_eq!(decode(b"GIF89a and so on"), Err(ImageError::NotAnImage));
    assert_eq!(ImageError::Truncated.to_string(), "truncated");
    assert_eq!(ImageError::NotAnImage.to_string(), "not a PNG or JPEG");
}

/// CRC-32 as PNG wants it.
fn crc(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// A PNG that says it has another size.
fn png_saying(png: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut png = png.to_vec();
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    png
}

#[test]
fn bombs_are_refused_before_anything_is_unpacked() {
    let png = bytes("decode_grey8.png");
    for (width, height) in [(60_000, 60_000), (u32::MAX, u32::MAX), (MAX_SIDE + 1, 1), (16_000, 16_000)] {
        let wanted = ImageError::TooLarge { width, height };
        assert_eq!(decode(&png_saying(&png, width, height)), Err(wanted.clone()));
        assert_eq!(wanted.to_string(), format!("too large: {width} x {height}"));
    }
    // The first 65 bytes are enough to refuse it.
    let start = &png_saying(&png, 60_000, 60_000)[..65];
    assert_eq!(decode(start), Err(ImageError::TooLarge { width: 60_000, height: 60_000 }));
    // Within the limits, but the data is not there.
    assert!(matches!(decode(&png_saying(&png, 9_000, 9_000)), Err(ImageError::Damaged(_) | ImageError::Truncated)));
    assert!(matches!(decode(&png_saying(&png, 0, 5)), Err(ImageError::Damaged(_))));

    let mut jpeg = bytes("decode_jpeg_grey.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    assert_eq!(decode(&jpeg), Err(ImageError::TooLarge { width: 65_500, height: 65_500 }));

    // 64 million black pixels in a file that says it has one: only the one is wanted.
    let black = pipe::images::preview::encode_png(&Pixels::black(8_000, 8_000, 1));
    assert!(black.len() < 1_000_000);
    let one = decode(&png_saying(&black, 1, 1));
    assert!(one == Ok(Pixels::black(1, 1, 1)) || matches!(one, Err(ImageError::Damaged(_))), "{one:?}");
}

#[test]
fn text_and_profiles_of_a_png_are_never_looked_at() {
    let png = bytes("decode_grey8.png");
    for kind in [b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"acTL"] {
        // No valid compressed data, no valid checksum: whoever unpacked it would complain.
        let mut with = png[..33].to_vec();
        with.extend_from_slice(&1000u32.to_be_bytes());
        with.extend_from_slice(kind);
        with.extend_from_slice(&[b'x'; 1004]);
        with.extend_from_slice(&png[33..]);
        assert_eq!(decode(&with), decode(&png));
    }
}

#[test]
fn mutants_give_an_answer() {
    let sources = ["decode_rgb8.png", "decode_interlaced.png", "decode_jpeg_colour.jpg", "decode_jpeg_progressive.jpg"];
    let mut read = 0;
    for name in sources {
        let whole = bytes(name);
        for mutant in 0..1500 {
            let mut draws = DrawKey { seed: 4, stage: Stage::Augment, epoch: 0, sample: mutant }.stream();
            let mut bytes = whole.clone();
            for _ in 0..=draws.below(6) {
                let place = draws.below(bytes.len());
                match draws.below(4) {
                    0 => bytes[place] ^= 1 << draws.below(8),
                    1 => bytes[place] = [0x00, 0xFF, 0xD9, 0x7F][draws.below(4)],
                    2 => drop(bytes.drain(place..(place + draws.below(9)).min(bytes.len()))),
                    _ => bytes.insert(place, u8::try_from(draws.below(256)).unwrap()),
                }
                if bytes.is_empty() {
                    bytes.push(0);
                }
            }
            if let Ok(pixels) = decode(&bytes) {
                assert_eq!(
                    pixels.data.len(),
                    pixels.width as usize * pixels.height as usize * usize::from(pixels.channels)
                );
                read += 1;
            }
        }
    }
    assert!(read > 100, "some mutants are still pictures: {read}");
}

fn in_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[expect(clippy::unnecessary_wraps, reason = "what a maker of images gives")]
fn small_film(index: usize) -> Result<Pixels, String> {
    let film = phantom::draw(20, 7, 3, u32::try_from(index).unwrap());
    Ok(prepare(&[Prepare::Resize { side: 32, filter: Filter::Lanczos, fit: Fit::Stretch }], film))
}

#[test]
fn a_prepared_set_is_the_same_with_one_thread_and_two() {
    let place = tempfile::tempdir().unwrap();
    let (one, two) = (place.path().join("one.set"), place.path().join("two.set"));
    let heard = AtomicUsize::new(0);
    let progress = |_: usize| {
        heard.fetch_add(1, Ordering::Relaxed);
    };
    in_threads(1, || PreparedSet::build(&one, 20, (1, 32), small_film, &progress)).unwrap();
    let built = in_threads(2, || PreparedSet::build(&two, 20, (1, 32), small_film, &|_| {})).unwrap();
    assert_eq!(heard.load(Ordering::Relaxed), 20);
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    let opened = PreparedSet::open(&one).unwrap();
    assert_eq!((opened.count(), opened.channels(), opened.side()), (20, 1, 32));
    for index in 0..20 {
        let wanted = small_film(index).unwrap();
        assert_eq!(opened.get(index).unwrap(), wanted);
        assert_eq!(built.get(index).unwrap(), wanted);
    }
    assert_eq!(opened.get(20).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "nothing is left beside them");
}

#[test]
fn grey_and_colour_together_are_kept_in_colour() {
    let place = tempfile::tempdir().unwrap();
    let grey = Pixels { width: 2, height: 2, channels: 1, data: vec![1, 2, 3, 4] };
    let colour = Pixels { width: 2, height: 2, channels: 3, data: (0..12).collect() };
    let make = |index: usize| Ok::<_, String>(if index == 0 { grey.clone() } else { colour.clone() });
    let set = PreparedSet::build(&place.path().join("set"), 2, (3, 2), make, &|_| {}).unwrap();
    assert_eq!(set.get(0).unwrap().data, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    assert_eq!(set.get(1).unwrap(), colour);
    let error = PreparedSet::build(&place.path().join("other"), 2, (1, 2), make, &|_| {}).unwrap_err();
    assert!(matches!(error, PrepareError::Shape { index: 1, channels: 3, .. }), "{error}");
}

#[test]
fn failing_images_are_named_and_leave_nothing() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("set");
    let make = |index: usize| if index % 3 == 1 { Err(format!("no {index}")) } else { small_film(index % 20) };
    for threads in [1, 2] {
        let outcome = in_threads(threads, || PreparedSet::build(&path, 600, (1, 32), make, &|_| {}));
        let Err(PrepareError::Images(failures)) = outcome else { panic!("{outcome:?}") };
        let numbers: Vec<usize> = failures.iter().map(|(index, _)| *index).collect();
        assert_eq!(numbers, [1, 4, 7, 10, 13, 16, 19, 22, 25, 28]);
        assert_eq!(failures[1].1, "no 4");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn damage_of_a_prepared_set_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("set");
    PreparedSet::build(&path, 3, (1, 32), small_film, &|_| {}).unwrap();
    let whole = fs::read(&path).unwrap();
    let record = 32 * 32 + 8;
    assert_eq!(whole.len(), 40 + 3 * record);
    for byte in (0..40).chain((40..whole.len()).step_by(37)) {
        let mut bytes = whole.clone();
        bytes[byte] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let set = PreparedSet::open(&path);
        if byte < 40 {
            assert!(set.is_err(), "byte {byte}");
        } else {
            let set = set.unwrap();
            let damaged = (byte - 40) / record;
            for index in 0..3 {
                assert_eq!(set.get(index).is_err(), index == damaged, "byte {byte}, image {index}");
            }
        }
    }
    // Two records in each other's place are whole, and wrong.
    let mut swapped = whole[..40].to_vec();
    swapped.extend_from_slice(&whole[40 + record..40 + 2 * record]);
    swapped.extend_from_slice(&whole[40..40 + record]);
    swapped.extend_from_slice(&whole[40 + 2 * record..]);
    fs::write(&path, &swapped).unwrap();
    let set = PreparedSet::open(&path).unwrap();
    assert!(set.get(0).is_err() && set.get(1).is_err() && set.get(2).is_ok());
    for length in [0, 7, 39, 40, whole.len() - 1, whole.len() + 1] {
        let mut bytes = whole.clone();
        bytes.resize(length, 0);
        fs::write(&path, &bytes).unwrap();
        assert!(PreparedSet::open(&path).is_err(), "{length} bytes");
    }
}

#[test]
fn augmentations_are_the_same_with_one_thread_and_two() {
    let ops = [
        Augment::Flip { horizontal: true, p: 0.5 },
        Augment::ShiftScaleRotate { shift: 0.05, scale: 0.1, degrees: 10.0, p: 0.8 },
        Augment::BrightnessContrast { amount: 0.2, p: 0.5 },
        Augment::Cutout { size: 0.2, p: 0.3 },
    ];
    let film = small_film(2).unwrap();
    let all = |()| -> Vec<Pixels> {
        (0..64u64)
            .into_par_iter()
            .map(|sample| {
                let mut pixels = film.clone();
                augment::apply(&ops, &mut pixels, DrawKey { seed: 1, stage: Stage::Augment, epoch: 3, sample });
                pixels
            })
            .collect()
    };
    assert_eq!(in_threads(1, || all(())), in_threads(2, || all(())));
}

#[test]
fn films_are_functions_of_their_number() {
    for index in [0, 5, 19] {
        let film = phantom::draw(20, 7, 3, index);
        assert_eq!((film.width, film.height, film.channels), (256, 256, 1));
        assert_eq!(film, phantom::draw(20, 7, 3, index));
        assert_ne!(film, phantom::draw(20, 7, 4, index));
        // Neither all black nor all white, and not one flat grey.
        let mean = film.data.iter().map(|&level| f64::from(level)).sum::<f64>() / film.data.len() as f64;
        let deviation = film.data.iter().map(|&level| (f64::from(level) - mean).powi(2)).sum::<f64>();
        assert!((50.0..200.0).contains(&mean), "{mean}");
        assert!((deviation / film.data.len() as f64).sqrt() > 25.0);
    }
}

/// `cargo test --release --test it images_a_second -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn images_a_second() {
    let film = phantom::draw(20, 7, 3, 1);
    let large = prepare(&[Prepare::Resize { side: 1024, filter: Filter::Bicubic, fit: Fit::Stretch }], film);
    let file = pipe::images::preview::encode_png(&large.into_colour());
    let steps = [
        Prepare::Grayscale {},
        Prepare::Clahe { clip: 2.0, tiles: 8 },
        Prepare::Resize { side: 224, filter: Filter::Lanczos, fit: Fit::Stretch },
    ];
    let timed = |what: &str, count: usize, work: &(dyn Fn(usize) + Sync)| {
        let start = std::time::Instant::now();
        (0..count).into_par_iter().for_each(work);
        let seconds = start.elapsed().as_secs_f64();
        println!("{what}: {:.0} a second, {:.2} ms", count as f64 / seconds, seconds / count as f64 * 1e3);
    };
    timed("decode a 1024 x 1024 colour PNG", 60, &|_| drop(decode(&file).unwrap()));
    timed("decode, grey, CLAHE, Lanczos 224", 60, &|_| drop(prepare(&steps, decode(&file).unwrap())));
    timed("draw a phantom", 200, &|index| drop(phantom::draw(200, 70, 1, u32::try_from(index).unwrap())));
}

/// `SHEET=folder cargo test --test it a_sheet_of_phantoms -- --ignored`: what phantoms look like.
#[test]
#[ignore = "writes a picture to look at"]
fn a_sheet_of_phantoms() {
    let Some(place) = std::env::var_os("SHEET") else { return };
    let table = phantom::rows(160, 60, 1);
    let films = |label: &str| -> Vec<Pixels> {
        let chosen = (0u32..).zip(&table).filter(|(_, row)| row.label == label).take(6);
        chosen.map(|(index, _)| phantom::draw(160, 60, 1, index)).collect()
    };
    let rows: Vec<Vec<Pixels>> = phantom::CLASSES.iter().map(|label| films(label)).collect();
    let sheet = pipe::images::preview::contact_sheet(&rows, &phantom::CLASSES.map(str::to_owned));
    fs::write(Path::new(&place).join("phantoms.png"), pipe::images::preview::encode_png(&sheet)).unwrap();
}
