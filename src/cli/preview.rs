//! `pipe preview`: what the network will see, as PNG files and one contact sheet.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{OneVariant, Outcomes, StudyArguments, talk};
use crate::data::{self, Origin};
use crate::draw::{DrawKey, Stage};
use crate::host::RealHost;
use crate::images::{self, Pixels, augment, phantom, preview};
use crate::store;
use crate::study::Study;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe preview study.pipe --rows 6 --out preview")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    one: OneVariant,
    /// How many images, taken evenly from all classes
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rows: u32,
    /// Where the PNG files go
    #[arg(long, value_name = "DIR", default_value = "preview")]
    out: PathBuf,
}

/// Augmented draws a row.
const DRAWS: u32 = 4;

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let loaded = match arguments.study.load() {
        Ok(loaded) => loaded,
        Err(outcome) => return outcome,
    };
    let (variant, dataset) = match loaded.one(&arguments.one) {
        Ok(one) => one,
        Err(outcome) => return outcome,
    };
    let study = &variant.study;
    let mut rows = Vec::new();
    for index in spread(dataset, arguments.rows as usize) {
        let Some(image) = dataset.images.get(index) else { continue };
        let pixels = match prepared(study, dataset, index) {
            Ok(pixels) => pixels,
            Err(why) => {
                let mut problems = crate::diag::Problems::new();
                problems.unreadable_image(variant.places.nearest("data.image"), &image.name, image.row, &why, 1);
                arguments.study.tell(&loaded.map, &problems);
                return Outcomes::Errors;
            }
        };
        let mut row = vec![pixels.clone()];
        for draw in 1..=DRAWS {
            if study.images.augment.is_empty() {
                break;
            }
            let mut drawn = pixels.clone();
            let key = DrawKey { seed: study.seed, stage: Stage::Augment, epoch: draw, sample: index as u64 };
            augment::apply(&study.images.augment, &mut drawn, key);
            row.push(drawn);
        }
        rows.push((image.name.clone(), row));
    }
    match write(&arguments.out, &rows) {
        Ok(files) => {
            talk(&format!("{files} images in {}; look at contact_sheet.png first", arguments.out.display()));
            Outcomes::Done
        }
        Err(error) => {
            talk(&format!("pipe: {} cannot be written: {error}", arguments.out.display()));
            Outcomes::Failed
        }
    }
}

/// An image of a data set as the study's network gets it, but for augmentation.
pub(super) fn prepared(study: &Study, dataset: &data::Dataset, index: usize) -> Result<Pixels, String> {
    let pixels = match &dataset.origin {
        Origin::Phantoms { images, patients, seed } => {
            let row = dataset.images.get(index).map_or(0, |image| image.row);
            phantom::draw(*images, *patients, *seed, row.saturating_sub(2))
        }
        Origin::Files { .. } => {
            let bytes = data::read_image(dataset, &RealHost, index).map_err(|error| error.to_string())?;
            images::decode(&bytes).map_err(|error| error.to_string())?
        }
    };
    Ok(images::prepare(&study.images.prepare, pixels))
}

/// Images of all classes in turn, the first of each class first.
fn spread(dataset: &data::Dataset, count: usize) -> Vec<usize> {
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); dataset.classes.len()];
    for (index, image) in dataset.images.iter().enumerate() {
        if let Some(class) = by_class.get_mut(image.label as usize) {
            class.push(index);
        }
    }
    let most = by_class.iter().map(Vec::len).max().unwrap_or(0);
    (0..most).flat_map(|rank| by_class.iter().filter_map(move |class| class.get(rank).copied())).take(count).collect()
}

const CONTACT_SHEET: &str = "contact_sheet.png";

/// `images/a b.jpg` becomes `images_a b`: under its own name, and never outside the folder.
fn stem(name: &str) -> String {
    let stem = Path::new(name).with_extension("").to_string_lossy().replace(['/', '\\'], "_");
    let stem = stem.trim_start_matches('.');
    if stem.is_empty() { "image".into() } else { stem.into() }
}

/// The files of a row, `a.png`, `a.augmented-1.png`, ...; `a-2.png` where another row has them already.
fn file_names(name: &str, count: usize, taken: &mut BTreeSet<String>) -> Vec<String> {
    let stem = stem(name);
    let mut number = 1;
    loop {
        let stem = if number == 1 { stem.clone() } else { format!("{stem}-{number}") };
        let one = |draw| if draw == 0 { format!("{stem}.png") } else { format!("{stem}.augmented-{draw}.png") };
        let names: Vec<String> = (0..count).map(one).collect();
        // In small letters, since some file systems take `A.png` for `a.png`.
        if names.iter().all(|name| !taken.contains(&name.to_lowercase())) {
            taken.extend(names.iter().map(|name| name.to_lowercase()));
            return names;
        }
        number += 1;
    }
}

fn write(out: &Path, rows: &[(String, Vec<Pixels>)]) -> std::io::Result<usize> {
    std::fs::create_dir_all(out)?;
    let mut taken = BTreeSet::from([CONTACT_SHEET.to_owned()]);
    for (name, row) in rows {
        for (file, pixels) in file_names(name, row.len(), &mut taken).iter().zip(row) {
            store::write_whole(&out.join(file), &preview::encode_png(pixels))?;
        }
    }
    let names: Vec<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    let sheet: Vec<Vec<Pixels>> = rows.iter().map(|(_, row)| row.clone()).collect();
    store::write_whole(&out.join(CONTACT_SHEET), &preview::encode_png(&preview::contact_sheet(&sheet, &names)))?;
    Ok(taken.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_image_is_written_over_another() {
        let mut taken = BTreeSet::from([CONTACT_SHEET.to_owned()]);
        let mut all = Vec::new();
        for name in ["a/b.png", "a_b.jpg", "A_B.png", "contact_sheet.jpg", "..", "...png", "x.png", "x.augmented-1.png"]
        {
            all.extend(file_names(name, 3, &mut taken));
        }
        assert_eq!(all.first().map(String::as_str), Some("a_b.png"));
        assert_eq!(taken.len(), 1 + all.len(), "{all:?}");
        assert!(all.iter().all(|name| !name.starts_with('.') && !name.contains(['/', '\\'])), "{all:?}");
    }
}
