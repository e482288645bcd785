//! What the numbers of a data set mean for its study: too few patients of a class, one patient for a class, batches
//! without a class, an easy headline (E0206, W0207, E0306, W0303, W0307,
//! W0311, W0502, W0506, W0602, W0606).

use std::collections::BTreeMap;

use crate::diag::{Problems, TooFew};
use crate::study::{Augment, ClassWeights, FoldKind, Group, LossKind, Metric, Places, Sampler, Study};

use super::{Dataset, Image, class_counts};

/// A patient column is called a row id from this many rows.
const ROW_ID_FROM: u32 = 20;
/// One patient dominates a class that has at least this many images...
const DOMINATED_FROM: usize = 20;
/// ... with more than one in this many of them.
const DOMINATED_SHARE: usize = 5;
/// Share of batches without a class from which soft-F1 is warned about.
const EMPTY_BATCHES: f64 = 0.15;
/// Largest class to smallest from which accuracy as the headline is warned about.
const UNBALANCED: u32 = 3;

/// From this many patients on a rare class is easily overlooked...
const LARGE_STUDY: usize = 200;
/// ... if fewer patients than this have it: a share of a half among 34 is known to 0.14 either way.
const WIDE_BELOW: usize = 35;

/// Tells of everything in the data set that makes the study impossible or its figures doubtful.
pub fn check(study: &Study, dataset: &Dataset, places: &Places, problems: &mut Problems) {
    let patients = patients_by_class(dataset);
    row_ids(study, dataset, places, problems);
    same_file_twice(study, dataset, places, problems);
    few_patients(study, dataset, &patients, places, problems);
    given_folds(study, dataset, places, problems);
    dominating_patients(study, dataset, &patients, places, problems);
    soft_f1(study, dataset, places, problems);
    easy_accuracy(study, dataset, places, problems);
    wide_intervals(dataset, &patients, places, problems);
    class_weights(study, dataset, places, problems);
    sides(study, dataset, places, problems);
    predicted(dataset, places, problems);
}

/// From this many images on a column's figure is more than luck.
const PREDICTED_FROM: usize = 100;

/// W0311: a column that the network does not see tells the classes apart, and the pixels may show it.
fn predicted(dataset: &Dataset, places: &Places, problems: &mut Problems) {
    let classes = u32::try_from(dataset.classes.len()).unwrap_or(u32::MAX);
    let chance = 1.0 / f64::from(classes.max(1));
    if dataset.images.len() < PREDICTED_FROM {
        return;
    }
    for alone in &dataset.alone {
        if alone.balanced_accuracy >= chance + (0.4 * chance).max(0.15) {
            problems.column_predicts_label(
                &alone.column,
                (alone.balanced_accuracy, chance),
                &alone.common,
                places.nearest("data.label"),
            );
        }
    }
}

/// Words that name a side of the body, or a heart on the other one; parts of a class's name.
const SIDES: [&str; 14] = [
    "left",
    "right",
    "leftsided",
    "rightsided",
    "dextrocardia",
    "dextroposition",
    "situs",
    "inversus",
    "links",
    "rechts",
    "gauche",
    "droite",
    "izquierdo",
    "derecho",
];

/// W0506: a mirrored film of the left lung shows the right one.
fn sides(study: &Study, dataset: &Dataset, places: &Places, problems: &mut Problems) {
    let flip = study.images.augment.iter().position(|step| match step {
        Augment::Flip { horizontal, p } => *horizontal && *p > 0.0,
        Augment::Rotate { .. }
        | Augment::ShiftScaleRotate { .. }
        | Augment::BrightnessContrast { .. }
        | Augment::Crop { .. }
        | Augment::Cutout { .. }
        | Augment::Mixup { .. }
        | Augment::Cutmix { .. } => false,
    });
    let Some(flip) = flip else { return };
    let names_side = |class: &&String| {
        class
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| SIDES.contains(&word) || (word.len() == 1 && ["l", "r"].contains(&word)))
    };
    let named: Vec<&str> = dataset.classes.iter().filter(names_side).map(String::as_str).collect();
    if !named.is_empty() {
        let at = places.nearest(&format!("images.augment.{flip}"));
        let classes = places.get("data.classes").or_else(|| places.get("data.label"));
        problems.flip_changes_side(&named, at, classes);
    }
}

/// `class_weights` names a class that there is not.
fn class_weights(study: &Study, dataset: &Dataset, places: &Places, problems: &mut Problems) {
    for term in &study.train.loss {
        let ClassWeights::Given(weights) = &term.class_weights else { continue };
        for name in weights.keys().filter(|name| !dataset.classes.contains(name)) {
            problems.weight_of_no_class(name, &dataset.classes, places.nearest("train.loss"));
        }
    }
}

/// Of each class: images by patient.
fn patients_by_class(dataset: &Dataset) -> Vec<BTreeMap<u32, usize>> {
    let mut patients = vec![BTreeMap::new(); dataset.classes.len()];
    for image in &dataset.images {
        if let Some(of_class) = patients.get_mut(image.label as usize) {
            *of_class.entry(image.patient).or_default() += 1;
        }
    }
    patients
}

fn row_ids(study: &Study, dataset: &Dataset, places: &Places, problems: &mut Problems) {
    let Group::Column(column) = &study.data.group else { return };
    // `limit` may leave one image a patient where there were many.
    let Some(step) = dataset.flow.iter().rev().find(|step| step.what != "limit") else { return };
    if step.images >= ROW_ID_FROM && step.images == step.patients {
        problems.group_is_row_id(column, step.images as usize, places.nearest("data.group"));
    }
}

/// E0206, W0207: one file in rows of two patients, or of one patient and two labels.
fn same_file_twice(study: &Study, dataset: &Dataset, places: &Places, problems: &mut Problems) {
    if study.data.image.is_none() {
        return;
    }
    let mut named: Vec<usize> = (0..dataset.images.len()).collect();
    named.sort_by_key(|index| dataset.images.get(*index).map(|image| image.name.as_str()));
    let (mut shared, mut doubted) = (Vec::new(), Vec::new());
    for pair in named.windows(2) {
        let [first, second] = pair else { continue };
        let (Some(first), Some(second)) = (dataset.images.get(*first), dataset.images.get(*second)) else { continue };
        if first.name != second.name {
            continue;
        }
        if first.patient != second.patient {
            shared.push((first, second));
        } else if first.label != second.label {
            doubted.push((first, second));
        }
    }
    let earliest = |(first, second): &&(&Image, &Image)| (first.row, second.row);
    if let Some((first, second)) = shared.iter().min_by_key(earliest) {
        let patient = |number: u32| dataset.patients.get(number as usize).map_or("", String::as_str);
        problems.same_file_twice(
            &first.name,
            (patient(first.patient), first.row),
            (patient(second.patient), second.row),
            shared.len() - 1,
            places.nearest("data.group"),
        );
    }
    if let Some((first, second)) = doubted.iter().min_by_key(earliest) {
        let label = |image: &Image| dataset.classes.get(image.label as usize).map_or("", String::as_str);
        problems.two_labels(
            (&first.name, &second.name),
            (label(first), label(second)),
            doubted.len() - 1,
            places.nearest("data.label"),
        );
    }
}

fn few_patients(
    study: &Study,
    dataset: &Dataset,
    patients: &[BTreeMap<u32, usize>],
    places: &Places,
    problems: &mut Problems,
) {
    let by_row = match &study.split.cv.kind {
        FoldKind::FoldsFrom(_) => return,
        FoldKind::KFold | FoldKind::StratifiedKFold => true,
        FoldKind::GroupKFold | FoldKind::StratifiedGroupKFold => matches!(study.data.group, Group::None { .. }),
    };
    let counts = class_counts(dataset);
    let units = |class: usize| -> usize {
        if by_row {
            counts.get(class).map_or(0, |images| *images as usize)
        } else {
            patients.get(class).map_or(0, BTreeMap::len)
        }
    };
    let folds = study.split.cv.folds as usize;
    // A hold-out that the table gives is set aside already.
    let holdout = study.split.holdout > 0.0 && dataset.given_holdout.is_none();
    // One for the hold-out; one more where two folds would leave one patient to learn from or to validate on.
    let inner = usize::from(study.split.validation > 0.0 && folds == 2);
    let needed = folds + usize::from(holdout) + inner;
    let mut few: Vec<usize> = (0..dataset.classes.len()).filter(|class| units(*class) < needed).collect();
    few.sort_by_key(|class| units(*class));
    let class_name = |class: &usize| dataset.classes.get(*class).map(String::as_str);
    let Some((smallest, others)) = few.split_first() else { return };
    let Some(class) = class_name(smallest) else { return };
    let others: Vec<&str> = others.iter().filter_map(class_name).collect();
    let neighbour = (0..dataset.classes.len())
        .filter(|other| other != smallest && units(*other) >= needed)
        .min_by_key(|other| units(*other))
        .filter(|_| dataset.classes.len() > 2);
    let at = places.get("data.keep").or_else(|| places.get("data.classes")).or_else(|| places.nearest("data.label"));
    problems.class_has_few_patients(
        &TooFew {
            class,
            patients: units(*smallest),
            images: counts.get(*smallest).map_or(0, |images| *images as usize),
            folds,
            needed,
            unit: if by_row { "image" } else { "patient" },
            others: &others,
            neighbour: neighbour.as_ref().and_then(class_name),
        },
        at,
        places.nearest("split.cv.folds"),
    );
}

fn given_folds(study: &Study, dataset: &Dataset, places: &Places, problems: &mut Problems) {
    let (Some(folds), FoldKind::FoldsFrom(_)) = (&dataset.given_folds, &study.split.cv.kind) else { return };
    let at = places.nearest("split.cv");
    let mut class_folds: Vec<(Option<u32>, bool)> = vec![(None, false); dataset.classes.len()];
    for (image, fold) in dataset.images.iter().zip(folds) {
        if let Some((held, several)) = class_folds.get_mut(image.label as usize) {
            *several |= *held.get_or_insert(*fold) != *fold;
        }
    }
    let counts = class_counts(dataset);
    for ((class, (held, several)), images) in dataset.classes.iter().zip(&class_folds).zip(&counts) {
        if held.is_some() && !several {
            problems.class_in_one_fold(class, *images as usize, at, places.nearest("data.label"));
        }
    }
}

fn dominating_patients(
    study: &Study,
    dataset: &Dataset,
    patients: &[BTreeMap<u32, usize>],
    places: &Places,
    problems: &mut Problems,
) {
    if matches!(study.data.group, Group::None { .. }) {
        return;
    }
    for (class, of_class) in dataset.classes.iter().zip(patients) {
        let all: usize = of_class.values().sum();
        // Of equals the one met first.
        let most = of_class.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
        if let Some((patient, held)) = most
            && all >= DOMINATED_FROM
            && held * DOMINATED_SHARE > all
        {
            let name = dataset.patients.get(*patient as usize).map_or("", String::as_str);
            problems.patient_dominates((name, class), (*held, all), of_class.len() - 1, places.nearest("data.group"));
        }
    }
}

/// How often a batch of one size holds no image of a class.
///
/// `images` and `of_class` may be expectations: the share is the hypergeometric one for drawing without replacement,
/// the product of `(images - of_class - i) / (images - i)` over the batch.
fn batches_without(images: f64, of_class: f64, batch: u32) -> f64 {
    let mut share = 1.0;
    for drawn in 0..batch {
        let drawn = f64::from(drawn);
        if images - of_class - drawn <= 0.0 {
            return 0.0;
        }
        share *= (images - of_class - drawn) / (images - drawn);
    }
    share
}

fn soft_f1(study: &Study, dataset: &Dataset, places: &Places, problems: &mut Problems) {
    let term = study.train.loss.iter().position(|term| match term.kind {
        LossKind::SoftF1 => term.weight != 0.0,
        LossKind::CrossEntropy | LossKind::Focal { .. } | LossKind::Kl => false,
    });
    let (Some(term), Sampler::Shuffled) = (term, &study.train.sampler) else { return };
    let counts = class_counts(dataset);
    let Some((class, smallest)) = dataset.classes.iter().zip(&counts).min_by_key(|(_, count)| **count) else { return };

    // What a fold learns from, on average.
    let folds = match (&dataset.given_folds, study.split.cv.folds) {
        (Some(given), _) => given.iter().max().map_or(2, |last| last + 1),
        (None, folds) => folds.max(2),
    };
    let share = (1.0 - study.split.holdout) * (1.0 - 1.0 / f64::from(folds)) * (1.0 - study.split.validation);
    let images = f64::from(counts.iter().sum::<u32>()) * share;
    let of_class = f64::from(*smallest) * share;
    let batch = study.train.batch;
    let none = batches_without(images, of_class, batch);
    if images < 1.0 || f64::from(batch) >= images || none < EMPTY_BATCHES {
        return;
    }
    let larger = (2..=8).filter_map(|times| batch.checked_mul(times)).find(|batch| {
        *batch <= 512 && f64::from(*batch) * 4.0 <= images && batches_without(images, of_class, *batch) < EMPTY_BATCHES
    });
    let expected = f64::from(batch) * of_class / images;
    problems.soft_f1_sees_none(
        class,
        (expected, none),
        larger,
        places.nearest(&format!("train.loss.{term}")),
        places.nearest("train.batch"),
    );
}

fn easy_accuracy(study: &Study, dataset: &Dataset, places: &Places, problems: &mut Problems) {
    match study.evaluate.primary {
        Metric::Accuracy => {}
        Metric::BalancedAccuracy | Metric::MacroF1 | Metric::Auroc | Metric::LogLoss | Metric::Ece => return,
    }
    let counts = class_counts(dataset);
    let largest = dataset.classes.iter().zip(&counts).rev().max_by_key(|(_, count)| **count);
    let (Some((class, largest)), Some(smallest)) = (largest, counts.iter().min()) else { return };
    if *largest >= smallest.saturating_mul(UNBALANCED) {
        problems.accuracy_is_easy(
            class,
            (*largest as usize, *smallest as usize),
            dataset.images.len(),
            places.nearest("evaluate.primary"),
        );
    }
}

/// Half the width of a 90 % interval of a share near a half, by the normal approximation: `1.645 * sqrt(0.25 / n)`.
fn half_width(patients: usize) -> f64 {
    1.645 * (0.25 / f64::from(u32::try_from(patients.max(1)).unwrap_or(u32::MAX))).sqrt()
}

/// W0606: of a rare class in a large study little can be said, however narrow the headline's interval is.
fn wide_intervals(dataset: &Dataset, patients_of: &[BTreeMap<u32, usize>], places: &Places, problems: &mut Problems) {
    if dataset.patients.len() < LARGE_STUDY {
        return;
    }
    let mut rare: Vec<(usize, &str)> = patients_of
        .iter()
        .map(BTreeMap::len)
        .zip(dataset.classes.iter().map(String::as_str))
        .filter(|(patients, _)| *patients < WIDE_BELOW)
        .collect();
    rare.sort_unstable();
    if let Some(((patients, class), others)) = rare.split_first() {
        let counted = patients_of.iter().map(BTreeMap::len).zip(&dataset.classes);
        let neighbour = counted.filter(|(_, other)| other.as_str() != *class).min().map(|(_, other)| other.as_str());
        let neighbour = neighbour.filter(|_| dataset.classes.len() > 2);
        let others: Vec<&str> = others.iter().map(|(_, class)| *class).collect();
        let at = places.get("data.classes").or_else(|| places.nearest("data.label"));
        problems.interval_will_be_wide((class, *patients), half_width(*patients), &others, neighbour, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_designs_own_example_of_a_wide_interval() {
        // "34 patients with Hernia: expect 0.14 on its F1"
        assert!((half_width(34) - 0.14).abs() < 0.0015);
    }

    #[test]
    fn batches_without_a_class_are_counted_without_replacement() {
        // 10 images, 3 of the class, 2 drawn: 7/10 * 6/9.
        assert!((batches_without(10.0, 3.0, 2) - 42.0 / 90.0).abs() < 1e-12);
        assert!(batches_without(10.0, 3.0, 8).abs() < 1e-12);
        assert!((batches_without(10.0, 0.0, 5) - 1.0).abs() < 1e-12);
        // The design's own example: 0.75 of 32 on average, 47 % of batches have none.
        assert!((batches_without(29_884.0, 29_884.0 * 0.75 / 32.0, 32) - 0.47).abs() < 0.005);
    }
}
