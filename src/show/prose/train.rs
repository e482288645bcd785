//! Sentences on how the network learns.

use super::Told;
use super::sentence::Sentences;
use super::words::{count, epochs, listed, noted, percent, source};
use crate::catalog::losses::LOSSES;
use crate::catalog::training::{OPTIMIZERS, SCHEDULES};
use crate::leakage::watches_reported_fold;
use crate::study::{ClassWeights, KeepEpoch, LossKind, LossTerm, Optimizer, Precision, Sampler, Schedule, Watch};

pub(super) fn say(told: &Told<'_>, out: &mut Sentences) {
    let train = &told.study.train;
    let terms: Vec<String> = train.loss.iter().map(term).collect();
    let loss = if terms.len() > 1 { format!("the sum of {}", listed(&terms)) } else { listed(&terms) };
    out.say("loss", &["The loss was ", &loss, "."]);
    let most = if train.stop.is_some() { "at most " } else { "" };
    let lasted = format!("{most}{}", count(train.epochs as usize, "epoch"));
    let batch = count(train.batch as usize, "image");
    let optimizer = optimizer(train.optimizer);
    out.say("optimizer", &["It was minimised with ", &optimizer, " for ", &lasted, " in batches of ", &batch, "."]);
    if train.accumulate > 1 {
        let batches = count(train.accumulate as usize, "batch");
        out.say("accumulate", &["Gradients of ", &batches, " were averaged for each step."]);
    }
    if train.precision == Precision::Bf16 {
        out.say("precision", &["The backbone's products were computed in bfloat16, all else in single precision."]);
    }
    if let Some(clip) = train.clip {
        out.say("clip", &["Gradients were clipped to a global norm of ", &clip.to_string(), "."]);
    }
    out.say("schedule", &["The learning rate ", &schedule(told, train.schedule), "."]);
    if train.layer_decay < 1.0 {
        let factor = train.layer_decay.to_string();
        out.say("layer decay", &["That of each layer was ", &factor, " times that of the layer after it."]);
    }
    let order = match train.sampler {
        Sampler::Shuffled => "each once an epoch in random order",
        Sampler::Balanced => "with replacement, each class equally often",
    };
    out.say("sampler", &["Training images were drawn ", order, "."]);
    if let Some(stop) = &train.stop {
        let patience = count(stop.patience as usize, "epoch");
        out.say(
            "stop",
            &["Training ended early when ", &watched(told, stop.on), " had not improved for ", &patience, "."],
        );
    }
    let kept = match train.keep {
        KeepEpoch::Last => "the last epoch".to_owned(),
        KeepEpoch::Best(on) => {
            let best = if on == Watch::Loss { "lowest" } else { "highest" };
            format!("the epoch with the {best} {}", figure_of(told, on))
        }
    };
    out.say("keep", &["The weights of ", &kept, " were kept."]);
}

fn term(term: &LossTerm) -> String {
    let (name, what, mut notes) = match term.kind {
        LossKind::CrossEntropy => ("cross_entropy", "cross-entropy", vec![]),
        LossKind::Focal { gamma, alpha } => {
            ("focal", "focal loss", vec![format!("gamma {gamma}"), format!("alpha {alpha}")])
        }
        LossKind::SoftF1 => ("soft_f1", "soft macro F1 loss", vec![]),
        LossKind::Kl => ("kl", "Kullback-Leibler divergence", vec![]),
    };
    if term.smoothing > 0.0 {
        notes.push(format!("label smoothing of {}", percent(term.smoothing)));
    }
    match &term.class_weights {
        ClassWeights::None => {}
        ClassWeights::Balanced => notes.push("classes weighted inversely to their training images".to_owned()),
        ClassWeights::Given(weights) => {
            let each: Vec<String> = weights.iter().map(|(class, weight)| format!("{class} {weight}")).collect();
            notes.push(format!("class weights {}", listed(&each)));
        }
    }
    let what = noted(what, &notes, source(&LOSSES, name));
    let weight = term.weight.to_string();
    if weight == "1" { what } else { format!("{weight} times {what}") }
}

fn optimizer(optimizer: Optimizer) -> String {
    let (name, what, mut notes, decay) = match optimizer {
        Optimizer::Adam { weight_decay, .. } => ("adam", "Adam", vec![], weight_decay),
        Optimizer::AdamW { weight_decay, .. } => ("adamw", "AdamW", vec![], weight_decay),
        Optimizer::NAdam { weight_decay, .. } => ("nadam", "NAdam", vec![], weight_decay),
        Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
            let form = if nesterov { "Nesterov momentum" } else { "momentum" };
            ("sgd", "stochastic gradient descent", vec![format!("{form} {momentum}")], weight_decay)
        }
        Optimizer::RmsProp { alpha, momentum, weight_decay, .. } => {
            let notes = vec![format!("smoothing constant {alpha}"), format!("momentum {momentum}")];
            ("rmsprop", "RMSprop", notes, weight_decay)
        }
    };
    notes.insert(0, format!("learning rate {}", optimizer.learning_rate()));
    notes.push(format!("weight decay {decay}"));
    noted(what, &notes, source(&OPTIMIZERS, name))
}

fn schedule(told: &Told<'_>, schedule: Schedule) -> String {
    match schedule {
        Schedule::Constant => "was constant".to_owned(),
        Schedule::Cosine { warmup } => {
            let rose =
                if warmup > 0.0 { format!("rose linearly for {} and then ", epochs(warmup)) } else { String::new() };
            noted(&format!("{rose}fell to 0 along half a cosine"), &[], source(&SCHEDULES, "cosine"))
        }
        Schedule::Step { every, factor } => {
            let every = if every == 1 { "after every epoch".to_owned() } else { format!("every {every} epochs") };
            noted(&format!("was multiplied by {factor} {every}"), &[], source(&SCHEDULES, "step"))
        }
        Schedule::Plateau { on, factor, patience, min_delta } => {
            let improved = if min_delta > 0.0 { format!("by more than {min_delta} ") } else { String::new() };
            let when = format!(
                "was multiplied by {factor} when {} had not improved {improved}for more than {}",
                watched(told, on),
                count(patience as usize, "epoch")
            );
            noted(&when, &[], source(&SCHEDULES, "plateau"))
        }
    }
}

/// `the macro F1 of the validation patients`
fn watched(told: &Told<'_>, on: Watch) -> String {
    format!("the {}", figure_of(told, on))
}

/// A figure, and of whom training looks at it.
fn figure_of(told: &Told<'_>, on: Watch) -> String {
    let figure = match on {
        Watch::Loss => "loss",
        Watch::Accuracy => "accuracy",
        Watch::BalancedAccuracy => "balanced accuracy",
        Watch::MacroF1 => "macro F1",
    };
    if watches_reported_fold(told.study) {
        format!("{figure} of the scored fold itself")
    } else {
        format!("{figure} of the validation {}s", told.one())
    }
}
