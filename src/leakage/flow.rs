//! A study becomes the values of one fold: what is computed, from what, and fitted to whom.

use super::{Bond, Flow, Part, Parts, Score, Sharing, Value, What};
use crate::catalog::effects::{Deals, Over, deals, effect};
use crate::study::{
    Augment, ClassWeights, FoldKind, Group, KeepEpoch, Prepare, Sampler, Schedule, Source, Study, Weights,
};

use super::Facts;

/// The catalog's name of a way to split.
#[must_use]
pub fn split_name(kind: &FoldKind) -> &'static str {
    match kind {
        FoldKind::KFold => "kfold",
        FoldKind::StratifiedKFold => "stratified_kfold",
        FoldKind::GroupKFold => "group_kfold",
        FoldKind::StratifiedGroupKFold => "stratified_group_kfold",
        FoldKind::FoldsFrom(_) => "folds_from",
    }
}

fn prepare_name(step: &Prepare) -> &'static str {
    match step {
        Prepare::Grayscale { .. } => "grayscale",
        Prepare::Resize { .. } => "resize",
        Prepare::Clahe { .. } => "clahe",
    }
}

fn augment_name(step: &Augment) -> &'static str {
    match step {
        Augment::Flip { .. } => "flip",
        Augment::Rotate { .. } => "rotate",
        Augment::ShiftScaleRotate { .. } => "shift_scale_rotate",
        Augment::BrightnessContrast { .. } => "brightness_contrast",
        Augment::Crop { .. } => "crop",
        Augment::Cutout { .. } => "cutout",
        Augment::Mixup { .. } => "mixup",
        Augment::Cutmix { .. } => "cutmix",
    }
}

fn schedule_name(schedule: &Schedule) -> &'static str {
    match schedule {
        Schedule::Constant => "constant",
        Schedule::Cosine { .. } => "cosine",
        Schedule::Step { .. } => "step",
        Schedule::Plateau { .. } => "plateau",
    }
}

fn weights_name(weights: &Weights) -> &'static str {
    match weights {
        Weights::None => "none",
        Weights::Imagenet => "imagenet",
        Weights::Imagenet21k => "imagenet21k",
        Weights::NoisyStudent => "noisy_student",
        Weights::File { .. } => "file",
        Weights::Hub { .. } => "hub",
    }
}

fn over(family: &str, operation: &str, word: Option<&str>) -> Over {
    effect(family, operation, word).map_or(Over::Nobody, |effect| effect.over)
}

/// Does anything in this study look at the inner validation patients?
#[must_use]
pub fn watches(study: &Study) -> bool {
    study.train.stop.is_some()
        || over("schedule", schedule_name(&study.train.schedule), None) == Over::Watched
        || matches!(study.train.keep, KeepEpoch::Best(_))
}

/// The parts that the folds deal out.
const FOLDS: Parts = Parts::all_but_holdout();

/// Adds the choice of the best variant by the scores of all folds, and the headline that tells its score: on the
/// hold-out, if there is one. True if that leaks.
pub fn headline(flow: &mut Flow, held_out: bool) -> bool {
    let of_folds = flow.scores.iter().filter(|score| score.on == Part::Evaluation);
    let inputs = of_folds.map(|score| score.predictor).collect();
    let over = if over("headline", "best", None) == Over::Scored { FOLDS } else { Parts::NONE };
    let predictor = flow.values.len();
    let name = "best variant".to_owned();
    flow.values.push(Value { what: What::Winner, name, setting: "report.headline", over, inputs });
    let on = if held_out { Part::Holdout } else { Part::Evaluation };
    flow.scores.push(Score { name: "the headline", predictor, on });
    flow.leaks().iter().any(|leak| leak.fit == predictor && leak.through.is_none())
}

/// A flow under way.
struct Builder<'a> {
    study: &'a Study,
    facts: &'a Facts,
    flow: Flow,
}

impl Builder<'_> {
    fn add(
        &mut self,
        what: What,
        name: impl Into<String>,
        setting: &'static str,
        over: Over,
        inputs: &[usize],
    ) -> usize {
        let over = self.parts(over);
        self.flow.values.push(Value { what, name: name.into(), setting, over, inputs: inputs.to_vec() });
        self.flow.values.len() - 1
    }

    /// The parts that someone's images are, in this study.
    fn parts(&self, over: Over) -> Parts {
        let watched = if self.study.split.validation > 0.0 { Part::Validation } else { Part::Evaluation };
        let mut everybody = vec![Part::Train, Part::Validation, Part::Evaluation];
        if self.holds_out() {
            everybody.push(Part::Holdout);
        }
        match over {
            Over::Training => Parts::of(&[Part::Train]),
            Over::Watched => Parts::of(&[watched]),
            Over::Scored => self.folds(),
            Over::Everybody => Parts::of(&everybody),
            Over::Card if self.facts.first_weights.is_some() => Parts::of(&everybody),
            Over::Nobody | Over::Card => Parts::NONE,
        }
    }

    /// The parts that the folds deal out, in this study.
    fn folds(&self) -> Parts {
        if self.study.split.validation > 0.0 { FOLDS } else { Parts::of(&[Part::Train, Part::Evaluation]) }
    }

    fn holds_out(&self) -> bool {
        self.study.split.holdout > 0.0 || self.study.split.holdout_rows.is_some()
    }

    fn images(&mut self, part: Part, statistic: usize) -> usize {
        let steps: Vec<&str> = self.study.images.prepare.iter().map(prepare_name).collect();
        let fits = self.study.images.prepare.iter().map(|step| over("preparing operation", prepare_name(step), None));
        let fitted = fits.fold(Over::Nobody, |held, next| if next == Over::Nobody { held } else { next });
        self.add(What::Images(part), format!("prepared: {}", steps.join(", ")), "images.prepare", fitted, &[statistic])
    }

    /// Everything that the network is made of, and the network.
    fn network(&mut self, statistic: usize) -> usize {
        let study = self.study;
        let train = &study.train;
        let images = self.images(Part::Train, statistic);
        let mut made_of = vec![images];
        for step in &study.images.augment {
            let name = augment_name(step);
            made_of.push(self.add(
                What::Augmented,
                name,
                "images.augment",
                over("augmentation", name, None),
                &[images],
            ));
        }
        if train.loss.iter().any(|term| term.class_weights == ClassWeights::Balanced) {
            let over = over("class weights", "balanced", None);
            made_of.push(self.add(What::Balance, "class weights", "train.loss", over, &[]));
        }
        if train.sampler == Sampler::Balanced {
            let over = over("sampler", "balanced", None);
            made_of.push(self.add(What::Balance, "balanced sampler", "train.sampler", over, &[]));
        }
        let weights = weights_name(&study.model.weights);
        let name = format!("first weights ({weights})");
        let over_card = over("set of weights", weights, None);
        made_of.push(self.add(What::FirstWeights, name, "model.backbone.weights", over_card, &[]));
        let looked_at = if study.split.validation > 0.0 { Part::Validation } else { Part::Evaluation };
        if watches(study) {
            let seen = self.images(looked_at, statistic);
            let schedule = schedule_name(&train.schedule);
            if over("schedule", schedule, None) == Over::Watched {
                made_of.push(self.add(
                    What::Rate,
                    format!("{schedule} schedule"),
                    "train.schedule",
                    Over::Watched,
                    &[seen],
                ));
            }
            if train.stop.is_some() {
                let over = over("way to stop", "early", None);
                made_of.push(self.add(What::Stop, "early stopping", "train.stop", over, &[seen]));
            }
            if matches!(train.keep, KeepEpoch::Best(_)) {
                let over = over("choice of epoch", "best", None);
                // Left out, `keep` follows from `stop`.
                let setting = if self.facts.keep_written { "train.keep" } else { "train.stop" };
                made_of.push(self.add(What::Epoch, "best epoch", setting, over, &[seen]));
            }
        }
        let name = study.model.backbone.name();
        self.add(What::Network, format!("weights of {name}"), "train", over("backbone", name, None), &made_of)
    }

    fn predictions(&mut self, network: usize, statistic: usize, part: Part) -> usize {
        let images = self.images(part, statistic);
        self.add(What::Predictions(part), "predictions", "evaluate", Over::Nobody, &[network, images])
    }

    fn score(&mut self, name: &'static str, network: usize, statistic: usize, part: Part) -> usize {
        let predictor = self.predictions(network, statistic, part);
        self.flow.scores.push(Score { name, predictor, on: part });
        predictor
    }

    /// Figures at a threshold: it is fitted to what the network says of whom training may look at.
    fn operating(&mut self, network: usize, statistic: usize, scored: usize) {
        let Some(point) = self.study.evaluate.operating.first() else { return };
        let over = over("figure", point.fixed.other().name(), None);
        let looked_at = if self.study.split.validation > 0.0 {
            self.predictions(network, statistic, Part::Validation)
        } else {
            scored
        };
        let threshold = self.add(What::Threshold, "thresholds", "evaluate.metrics", over, &[looked_at]);
        let part = Part::Evaluation;
        let found =
            self.add(What::Found(part), "found classes", "evaluate.metrics", Over::Nobody, &[scored, threshold]);
        self.flow.scores.push(Score { name: "the figures at a threshold", predictor: found, on: part });
    }

    /// Which parts are not told apart by patient.
    fn sharing(&mut self) {
        let validates = self.study.split.validation > 0.0;
        let learning = if validates { Parts::of(&[Part::Train, Part::Validation]) } else { Parts::of(&[Part::Train]) };
        let evaluation = Parts::of(&[Part::Evaluation]);
        let mut share = |one, other, bond| self.flow.sharing.push(Sharing { one, other, bond });
        let (holdout, folds) = (Parts::of(&[Part::Holdout]), learning.with(evaluation));
        let known = match &self.study.data.source {
            Source::Phantoms { .. } => true,
            Source::Csv { .. } | Source::Folder { .. } => self.facts.group_written,
        };
        if !known {
            share(evaluation, learning, Bond::NoPatients);
            share(holdout, folds, Bond::NoPatients);
            return;
        }
        let by_patient = matches!(self.study.data.group, Group::Column(_));
        if by_patient && deals(split_name(&self.study.split.cv.kind)) == Some(Deals::Images) {
            share(evaluation, learning, Bond::ByImage);
        }
        if !self.facts.in_several_folds.is_empty() {
            share(evaluation, learning, Bond::GivenFolds(self.facts.in_several_folds.clone()));
        }
        if !self.facts.held_out_and_not.is_empty() {
            share(holdout, folds, Bond::GivenHoldout(self.facts.held_out_and_not.clone()));
        }
    }
}

/// The flow of one fold of a study.
#[must_use]
pub fn of(study: &Study, facts: &Facts) -> Flow {
    let mut builder = Builder { study, facts, flow: Flow::default() };
    let word = study.images.normalize.word();
    let over = over("preparing operation", "normalize", Some(word));
    let statistic = builder.add(What::Statistic, format!("normalize({word})"), "images.normalize", over, &[]);
    let network = builder.network(statistic);
    let scored = builder.score("the score of each fold", network, statistic, Part::Evaluation);
    builder.operating(network, statistic, scored);
    if facts.drawn_by_image {
        // One patient's images on both sides of a draw: the draw knows of the images that it leaves out.
        let setting = "evaluate.intervals.unit";
        let drawn = builder.add(What::Drawn, "draws of single images", setting, Over::Nobody, &[scored]);
        let fold = Part::Evaluation;
        if let Some(value) = builder.flow.values.get_mut(drawn) {
            value.over = Parts::of(&[fold]);
        }
        builder.flow.scores.push(Score { name: "the intervals", predictor: drawn, on: fold });
    }
    if builder.holds_out() {
        // A hold-out image gets the mean of all folds' networks, and together these have seen every fold.
        let name = "mean of the folds' networks";
        let all = builder.add(What::Network, name, "split.cv", Over::Scored, &[network]);
        builder.score("the score of the hold-out", all, statistic, Part::Holdout);
    }
    builder.sharing();
    builder.flow
}
