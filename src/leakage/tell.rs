//! Leaks become problems: each at the fit and at the score, or, if the study accepts them, statements for the record.

use super::{Bond, Facts, Flow, Leak, What, flow::split_name};
use crate::data::PatientColumn;
use crate::diag::Problems;
use crate::study::{FoldKind, Group, Places, Source, Study};

/// What the words need besides the flow.
pub struct Context<'a> {
    /// What the flow was built on.
    pub facts: &'a Facts,
    /// Where each setting stands.
    pub places: &'a Places,
    /// Can a setting be relied on, or was it wrong and has been told?
    pub sound: &'a dyn Fn(&str) -> bool,
    /// A column of the table that looks like the patients'.
    pub patient_column: Option<&'a PatientColumn>,
    /// Was everything read that a leak could show in?
    pub complete: bool,
}

/// Tells of every leak of a flow.
pub fn tell(study: &Study, flow: &Flow, context: &Context<'_>, problems: &mut Problems) {
    let mut found = Problems::new();
    let mut told: Vec<(Option<&Bond>, &str)> = Vec::new();
    let mut refused = false;
    for leak in flow.leaks() {
        let Some(fit) = flow.values.get(leak.fit) else { continue };
        let bond = leak.through.and_then(|through| flow.sharing.get(through)).map(|sharing| &sharing.bond);
        // One sharing is one problem, however many fits it lets through; so is one setting.
        let same = if bond.is_some() { (bond, "") } else { (None, fit.setting) };
        if told.contains(&same) {
            continue;
        }
        told.push(same);
        if fit.what == What::Drawn {
            // The engine draws whole patients, whatever an author accepts.
            if let (Group::Column(column), true) = (&study.data.group, (context.sound)("evaluate.intervals")) {
                let at = context.places.get(fit.setting);
                problems.images_drawn(column, at, context.places.get("data.group"));
                refused = true;
            }
            continue;
        }
        match bond {
            Some(bond) => shared(study, bond, context, &mut found),
            None => fitted(flow, &leak, context, &mut found),
        }
    }
    let at = context.places.get("evaluate.leak");
    match &study.evaluate.leak {
        None => problems.extend(found),
        Some(_) if found.is_empty() => {
            if context.complete && !refused {
                problems.nothing_to_accept(at);
            }
        }
        Some(_) => problems.accept_leaks(&found, at),
    }
}

/// Two parts that may hold the same patients.
fn shared(study: &Study, bond: &Bond, context: &Context<'_>, found: &mut Problems) {
    let places = context.places;
    let sound = |paths: &[&str]| paths.iter().all(|path| (context.sound)(path));
    let cv = places.get("split.cv");
    let group = places.get("data.group");
    let better = match &study.split.cv.kind {
        FoldKind::KFold => Some("group_kfold"),
        FoldKind::StratifiedKFold => Some("stratified_group_kfold"),
        FoldKind::GroupKFold | FoldKind::StratifiedGroupKFold | FoldKind::FoldsFrom(_) => None,
    };
    let folds = study.split.cv.folds;
    match bond {
        Bond::NoPatients => {
            if let (Some(data), true) = (places.nearest("data.group"), sound(&["data.group", "data.table"])) {
                let block = places.get("data").is_some();
                let folder = matches!(study.data.source, Source::Folder { .. });
                let better = better.filter(|_| sound(&["split.cv"])).map(|better| (better, folds));
                found.no_patients(data, block, cv, context.patient_column, folder, better);
            }
        }
        Bond::ByImage => {
            if let (Group::Column(column), Some(better), Some(cv), true) =
                (&study.data.group, better, cv, sound(&["data.group", "split.cv"]))
            {
                found.split_ignores_patients(split_name(&study.split.cv.kind), (better, folds), column, cv, group);
            }
        }
        Bond::GivenFolds(patients) => {
            if let FoldKind::FoldsFrom(column) = &study.split.cv.kind {
                found.folds_share_patients(column, patients, places.nearest("split.cv"), group);
            }
        }
        Bond::GivenHoldout(patients) => {
            found.holdout_shares_patients(patients, places.nearest("split.holdout"), group);
        }
    }
}

/// A fit to the very patients that are scored.
fn fitted(flow: &Flow, leak: &Leak, context: &Context<'_>, found: &mut Problems) {
    let (Some(fit), Some(score)) = (flow.values.get(leak.fit), flow.scores.get(leak.score)) else { return };
    let places = context.places;
    let at = places.get(fit.setting);
    let scored = places.nearest("split.cv");
    // `images.normalize` is what `images.prepare` ends in, and weights belong to their backbone.
    let setting = match fit.setting {
        "images.normalize" => "images.prepare",
        "model.backbone.weights" => "model.backbone",
        setting => setting,
    };
    if !(context.sound)(setting) {
        return;
    }
    let mut chosen = |who: &str, what: &str| {
        if let (Some(at), Some(scored), true) = (at, scored, (context.sound)("split.validation")) {
            let block = places.get("split").is_some();
            found.selection_on_reported_fold(who, what, scored, at, block);
        }
    };
    match fit.what {
        What::Stop => chosen("early stopping", "picks the best epoch: on what?"),
        What::Epoch => chosen("keeping the best epoch", "picks the best epoch: on what?"),
        What::Rate => chosen("the plateau schedule", "lowers the learning rate: on what?"),
        What::Statistic => {
            if let Some(at) = places.get("images.normalize.by").or(at) {
                found.normalize_over_folds(at, places.get("split.cv"));
            }
        }
        What::FirstWeights => {
            let from = context.facts.first_weights.as_deref().unwrap_or("these images");
            found.weights_have_seen(from, places.nearest("model.backbone.weights"), scored);
        }
        What::Threshold => {
            if let (Some(at), Some(scored), true) = (at, scored, (context.sound)("split.validation")) {
                found.threshold_on_reported_fold(scored, at, places.get("split").is_some());
            }
        }
        // Told where all variants are known.
        What::Winner | What::Drawn => {}
        // Nothing that is fitted to the training part alone can reach a score but through a sharing.
        What::Images(_) | What::Augmented | What::Balance | What::Network | What::Predictions(_) | What::Found(_) => {
            found.fitted_where_scored(&fit.name, score.name, places.nearest(fit.setting), scored);
        }
    }
}
