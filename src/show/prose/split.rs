//! Sentences on who is held out, learned from and scored, and on what leaks.

use std::collections::BTreeSet;

use super::Told;
use super::sentence::Sentences;
use super::words::{between, count, ended, listed, percent, plain, source};
use crate::catalog::splits::SPLITS;
use crate::data::portion;
use crate::leakage::flow::split_name;
use crate::leakage::{Bond, Flow, Leak, What};
use crate::show::by_patient;
use crate::study::FoldKind;

pub(super) fn say(told: &Told<'_>, out: &mut Sentences) {
    holdout(told, out);
    folds(told, out);
    validation(told, out);
    leaks(told, out);
}

fn holdout(told: &Told<'_>, out: &mut Sentences) {
    let split = &told.study.split;
    let how = match (&split.holdout_rows, told.written.get("split.holdout")) {
        (Some(_), Some(condition)) => format!("those of the table with {}", plain(&condition.written)),
        (Some(_), None) => "as the table says".to_owned(),
        (None, _) if split.holdout > 0.0 => format!(
            "drawn at random with the classes balanced ({} of the {}s were asked for)",
            percent(split.holdout),
            told.one()
        ),
        (None, _) => return,
    };
    let who = match &told.folds {
        Some(folds) => {
            let places = folds.fold.iter().enumerate();
            let held: Vec<usize> = places.filter(|(_, fold)| fold.is_none()).map(|(image, _)| image).collect();
            if held.is_empty() {
                return;
            }
            told.people(&held)
        }
        None => format!("some {}s", told.one()),
    };
    let unused = if told.holdout_reported { "" } else { " and entered no figure" };
    out.say("hold-out", &["A hold-out of ", &who, ", ", &how, ", was kept out of every fold", unused, "."]);
}

fn folds(told: &Told<'_>, out: &mut Sentences) {
    let cv = &told.study.split.cv;
    let number = told.folds.as_ref().map_or(cv.folds, |folds| folds.count) as usize;
    let number = if number == 0 { "folds".to_owned() } else { count(number, "fold") };
    let who = if by_patient(told.study) { "Whole patients" } else { "Single images" };
    let mut how = match &cv.kind {
        FoldKind::KFold | FoldKind::GroupKFold => format!("{who} were dealt into {number}"),
        FoldKind::StratifiedKFold | FoldKind::StratifiedGroupKFold => {
            format!("{who} were dealt into {number} with the classes balanced")
        }
        FoldKind::FoldsFrom(column) => format!("The column \"{column}\" of the table gave {number}"),
    };
    match (&cv.kind, cv.shuffle, cv.seed) {
        (FoldKind::FoldsFrom(_), ..) | (_, true, None) => {}
        (_, true, Some(seed)) => how += &format!(", shuffled with the seed {seed}"),
        (_, false, _) => how += " without shuffling",
    }
    let from = source(&SPLITS, split_name(&cv.kind));
    if !from.is_empty() {
        how += &format!(" ({from})");
    }
    if by_patient(told.study) && told.clean() {
        how += ", so that no patient was both learned from and scored";
    }
    out.say(
        "folds",
        &["", &how, "; for ", &trained(told), " a network was trained on the other folds and scored on it."],
    );
}

/// The folds that are trained, as everything else counts them.
fn trained(told: &Told<'_>) -> String {
    let trained: Vec<String> = told.trained().iter().map(ToString::to_string).collect();
    let all = told.folds.as_ref().map_or(told.study.split.cv.folds, |folds| folds.count) as usize;
    match trained.as_slice() {
        _ if told.study.split.run.is_empty() || trained.len() == all => "each fold".to_owned(),
        [one] => format!("fold {one} (counted from 0), and for no other,"),
        several => format!("each of folds {} (counted from 0), and for no others,", listed(several)),
    }
}

fn validation(told: &Told<'_>, out: &mut Sentences) {
    let share = told.study.split.validation;
    if share <= 0.0 {
        return;
    }
    let trained = told.trained().into_iter();
    let who = told.folds.as_ref().map(|folds| {
        let numbers: Vec<usize> = trained
            .map(|fold| {
                let images = folds.roles(fold).validation;
                if told.grouped() { portion(told.dataset, &images).patients as usize } else { images.len() }
            })
            .collect();
        format!("{} ({} were asked for)", between(&numbers, told.one()), percent(share))
    });
    let who = who.unwrap_or_else(|| format!("about {} of the {}s", percent(share), told.one()));
    out.say(
        "validation",
        &["Validation took ", &who, " of each fold's training part; the network did not learn from these."],
    );
}

/// What leaks, and why that is accepted.
fn leaks(told: &Told<'_>, out: &mut Sentences) {
    let Some(because) = &told.study.evaluate.leak else { return };
    let mut found: Vec<String> = Vec::new();
    for leak in told.flow.map(Flow::leaks).unwrap_or_default() {
        let words = leaking(told, &leak);
        if !words.is_empty() && !found.contains(&words) {
            found.push(words);
        }
    }
    if found.is_empty() {
        out.say(
            "leak",
            &["Leakage was accepted in advance, though none was found, for this reason: ", &ended(because), ""],
        );
    } else {
        let found = found.join("; ");
        out.say("leak", &["The figures leak: ", &found, ". This was accepted for this reason: ", &ended(because), ""]);
    }
}

fn leaking(told: &Told<'_>, leak: &Leak) -> String {
    let Some(flow) = told.flow else { return String::new() };
    if let Some(sharing) = leak.through.and_then(|through| flow.sharing.get(through)) {
        return match &sharing.bond {
            Bond::NoPatients => {
                "it is not known which images are of one patient, so the same patients may have been learned from and \
                 scored"
                    .to_owned()
            }
            Bond::ByImage => format!("images of one patient were dealt into several folds{}", on_both_sides(told)),
            Bond::GivenFolds(patients) => {
                format!("the folds of the table share {}{}", count(patients.len(), "patient"), on_both_sides(told))
            }
            Bond::GivenHoldout(patients) => {
                let are = if patients.len() == 1 { "was" } else { "were" };
                format!("{} {are} both in the hold-out and in the folds", count(patients.len(), "patient"))
            }
        };
    }
    let Some(fit) = flow.values.get(leak.fit) else { return String::new() };
    match fit.what {
        What::Stop => "the scored fold itself decided when training stopped".to_owned(),
        What::Epoch => "the scored fold itself decided which epoch's weights were kept".to_owned(),
        What::Rate => "the scored fold itself decided when the learning rate fell".to_owned(),
        What::Threshold => "the scored fold itself chose its thresholds".to_owned(),
        What::Statistic => "images were normalised by statistics over all images, scored ones included".to_owned(),
        What::FirstWeights => {
            "the first weights had been trained on this data set or on one that shares images with it".to_owned()
        }
        What::Winner => "the best variant was chosen by the very scores that are reported".to_owned(),
        What::Images(_)
        | What::Augmented
        | What::Balance
        | What::Network
        | What::Predictions(_)
        | What::Found(_)
        | What::Drawn => {
            format!("{} saw images that were scored", fit.name)
        }
    }
}

/// How many patients are in a trained fold's training part and scored in that fold.
fn on_both_sides(told: &Told<'_>) -> String {
    let Some(folds) = &told.folds else { return String::new() };
    let patients = |images: &[usize]| -> BTreeSet<u32> {
        images.iter().filter_map(|image| told.dataset.images.get(*image)).map(|image| image.patient).collect()
    };
    let mut both = BTreeSet::new();
    for fold in told.trained() {
        let roles = folds.roles(fold);
        let learning = patients(&[roles.train, roles.validation].concat());
        both.extend(patients(&roles.evaluation).intersection(&learning).copied());
    }
    let are = if both.len() == 1 { "was" } else { "were" };
    format!(", so that {} {are} both in a training part and scored", count(both.len(), "patient"))
}
