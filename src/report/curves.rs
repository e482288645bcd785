//! Learning curves: the loss of each fold by itself, then what training watched, each term and the learning rate.

use maud::{Markup, html};

use super::html::figure;
use super::plot::{Axis, Line, Lines, Shape, ends, legend};
use super::words::{loss_term, setting, watched};
use crate::record::{EpochRecord, FoldRecord, RunRecord, ValidationFigures};
use crate::study::Watch;

/// The section.
pub(super) fn section(record: &RunRecord) -> Markup {
    let folds: Vec<&FoldRecord> = record.folds.iter().filter(|fold| !fold.epochs.is_empty()).collect();
    if folds.is_empty() {
        return html! { p { "The record holds no epochs." } };
    }
    let validated = folds.iter().any(|fold| fold.epochs.iter().any(|epoch| epoch.validation.is_some()));
    html! {
        h3 { "Loss" }
        p.note {
            "Mean of the whole loss over the training images"
            @if validated { ", and over the inner validation patients, which are no part of the fold that is scored" }
            ". The upright line marks the epoch whose weights were kept."
        }
        (legend(&loss_legend(validated)))
        div.plots { (loss_plots(&folds)) }
        h3 { "Across folds" }
        p.note { "The dot marks the epoch whose weights were kept." }
        (legend(&fold_legend(&folds)))
        div.plots {
            @if validated { (watched_plot(record, &folds)) }
            (term_plots(record, &folds))
            (overlay("Learning rate at the end of the epoch", &folds, true, |epoch| Some(epoch.learning_rate)))
        }
    }
}

fn loss_legend(validated: bool) -> Vec<(usize, String)> {
    let mut entries = vec![(0, "training".to_owned())];
    if validated {
        entries.push((1, "validation".to_owned()));
    }
    entries
}

fn fold_legend(folds: &[&FoldRecord]) -> Vec<(usize, String)> {
    folds.iter().enumerate().map(|(index, fold)| (index, format!("fold {}", fold.fold))).collect()
}

fn most_epochs(folds: &[&FoldRecord]) -> u32 {
    folds.iter().flat_map(|fold| &fold.epochs).map(|epoch| epoch.epoch).max().unwrap_or(1)
}

fn points(fold: &FoldRecord, value: impl Fn(&EpochRecord) -> Option<f64>) -> Vec<(f64, f64)> {
    fold.epochs.iter().filter_map(|epoch| Some((f64::from(epoch.epoch), value(epoch)?))).collect()
}

fn validation_loss(epoch: &EpochRecord) -> Option<f64> {
    epoch.validation.map(|figures| figures.loss)
}

/// All folds share their axes, so that they can be compared at a glance.
fn loss_plots(folds: &[&FoldRecord]) -> Markup {
    let x = Axis::epochs(most_epochs(folds));
    let values = folds.iter().flat_map(|fold| &fold.epochs);
    let y = Axis::around(
        "loss",
        values.flat_map(|epoch| [Some(epoch.train_loss), validation_loss(epoch)]).flatten(),
        false,
    );
    html! {
        @for fold in folds {
            @let train = points(fold, |epoch| Some(epoch.train_loss));
            @let validation = points(fold, validation_loss);
            @let about = describe(fold, &train, &validation);
            @let lines = [
                Line { name: "training".to_owned(), points: train, look: 0, mark: None },
                Line { name: "validation".to_owned(), points: validation, look: 1, mark: None },
            ];
            (figure(
                &html! { "Fold " (fold.fold) },
                &Lines { about: &about, shape: Shape::Wide, x: &x, y: &y, drawn: &lines, diagonal: false, marked: Some((f64::from(fold.kept_epoch), "kept")) }.draw(),
                &html! {},
            ))
        }
    }
}

fn describe(fold: &FoldRecord, train: &[(f64, f64)], validation: &[(f64, f64)]) -> String {
    let train = format!("training loss {} over {} epochs", ends(train), train.len());
    let validation =
        if validation.is_empty() { String::new() } else { format!(", validation loss {}", ends(validation)) };
    format!("Fold {}: {train}{validation}; epoch {} kept", fold.fold, fold.kept_epoch)
}

fn watched_plot(record: &RunRecord, folds: &[&FoldRecord]) -> Markup {
    let watch = match watched(&record.study.train) {
        // the loss has plots of its own above
        Some(Watch::Loss) | None => Watch::MacroF1,
        Some(watch) => watch,
    };
    let title = format!("Validation {}", setting(&watch).replace('_', " "));
    overlay(&title, folds, false, move |epoch| epoch.validation.map(|figures| validation_figure(figures, watch)))
}

fn validation_figure(figures: ValidationFigures, watch: Watch) -> f64 {
    match watch {
        Watch::Loss => figures.loss,
        Watch::Accuracy => figures.accuracy,
        Watch::BalancedAccuracy => figures.balanced_accuracy,
        Watch::MacroF1 => figures.macro_f1,
    }
}

fn term_plots(record: &RunRecord, folds: &[&FoldRecord]) -> Markup {
    let terms = &record.study.train.loss;
    html! {
        @if terms.len() > 1 {
            @for (index, term) in terms.iter().enumerate() {
                (overlay(&format!("Training {}", loss_term(term)), folds, false, move |epoch| epoch.train_terms.get(index).copied()))
            }
        }
    }
}

/// One quantity, one line a fold.
fn overlay(
    title: &str,
    folds: &[&FoldRecord],
    from_zero: bool,
    value: impl Fn(&EpochRecord) -> Option<f64> + Copy,
) -> Markup {
    let lines: Vec<Line> = folds
        .iter()
        .enumerate()
        .map(|(index, fold)| {
            let points = points(fold, value);
            let kept = f64::from(fold.kept_epoch);
            let mark = points.iter().copied().find(|(epoch, _)| epoch.to_bits() == kept.to_bits());
            Line { name: format!("fold {}", fold.fold), points, look: index, mark }
        })
        .collect();
    let x = Axis::epochs(most_epochs(folds));
    let y = Axis::around(title, lines.iter().flat_map(|line| line.points.iter().map(|point| point.1)), from_zero);
    let each: Vec<String> = lines.iter().map(|line| format!("{} {}", line.name, ends(&line.points))).collect();
    let about = format!("{title}, by epoch: {}", each.join("; "));
    figure(
        &html! { (title) },
        &Lines { about: &about, shape: Shape::Wide, x: &x, y: &y, drawn: &lines, diagonal: false, marked: None }.draw(),
        &html! {},
    )
}
