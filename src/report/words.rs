//! Values become words: figures, shares, losses, settings and names as both formats write them.
//!
//! Everything here is total: what is not finite, not there or hostile has a way to be written.

use std::path::Path;

use serde_yaml::Value;

use crate::record::{
    Evaluation, FigureIntervals, Figures, FoldFigures, Interval, Intervals, Portion, RunRecord, StudyRecord,
    VariantRecord,
};
use crate::study::{
    ClassWeights, Comparison, Group, KeepEpoch, LossKind, LossTerm, Metric, Predicate, Scalar, Schedule, Train, Unit,
    Watch,
};

/// The metrics in the order a report lists them.
const METRICS: [Metric; 6] =
    [Metric::Accuracy, Metric::BalancedAccuracy, Metric::MacroF1, Metric::Auroc, Metric::LogLoss, Metric::Ece];

/// The metrics as this study wants them: its primary one, those it names, then the rest.
pub(super) fn metrics(record: &RunRecord) -> Vec<Metric> {
    let evaluate = &record.study.evaluate;
    let mut ordered = Vec::new();
    for metric in std::iter::once(evaluate.primary).chain(evaluate.metrics.iter().copied()).chain(METRICS) {
        if !ordered.contains(&metric) {
            ordered.push(metric);
        }
    }
    ordered
}

/// The metric's name as the field writes it.
pub(super) fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "accuracy",
        Metric::BalancedAccuracy => "balanced accuracy",
        Metric::MacroF1 => "macro-F1",
        Metric::Auroc => "AUROC (macro)",
        Metric::LogLoss => "log loss",
        Metric::Ece => "ECE",
    }
}

/// What the metric is, in one line.
pub(super) fn metric_about(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "share of right answers",
        Metric::BalancedAccuracy => "mean recall of the classes",
        Metric::MacroF1 => "mean F1 of the classes, pooled counts",
        Metric::Auroc => "mean one-against-rest area under the ROC curve",
        Metric::LogLoss => "mean negative log-probability of the true class; smaller is better",
        Metric::Ece => "expected calibration error, 15 bins; smaller is better",
    }
}

/// A metric's value; `None` where it is not defined.
pub(super) fn metric(figures: &Figures, metric: Metric) -> Option<f64> {
    metric.of(figures)
}

/// A metric's interval, if the study asked for it and it is defined.
pub(super) fn metric_interval(intervals: &FigureIntervals, metric: Metric) -> Option<Interval> {
    match metric {
        Metric::Accuracy => intervals.accuracy,
        Metric::BalancedAccuracy => intervals.balanced_accuracy,
        Metric::MacroF1 => intervals.macro_f1,
        Metric::Auroc => intervals.auroc,
        Metric::LogLoss => intervals.log_loss,
        Metric::Ece => intervals.ece,
    }
    .filter(|interval| interval.low.is_finite() && interval.high.is_finite())
}

/// The intervals of the pooled figures counted by a unit.
pub(super) fn pooled_intervals(evaluation: &Evaluation, unit: Unit) -> Option<&FigureIntervals> {
    let intervals = evaluation.intervals.as_ref()?;
    Some(match unit {
        Unit::Image => &intervals.image,
        Unit::Patient => &intervals.patient,
    })
}

/// `0.712 to 0.834`
pub(super) fn ends(interval: Interval) -> String {
    format!("{} to {}", figure(interval.low), figure(interval.high))
}

/// `95 % interval`
pub(super) fn level(level: f64) -> String {
    format!("{} % interval", short((level * 1000.0).round() / 10.0))
}

/// How intervals were made, in a sentence's part; `whom` is who was drawn.
pub(super) fn intervals_about(intervals: &Intervals, whom: &str) -> String {
    let how = if intervals.method == "bca" { "bias-corrected and accelerated" } else { "quantiles" };
    format!(
        "{}s ({how}) from drawing {} {whom} with replacement {} times",
        level(intervals.level),
        count(intervals.patients),
        count(intervals.replicates)
    )
}

/// By which figure and unit variants are held against each other.
pub(super) fn compared(record: &StudyRecord, first: &VariantRecord) -> (Metric, Unit) {
    let evaluate = &first.record.study.evaluate;
    record.comparison.as_ref().map_or((evaluate.primary, evaluate.unit), |of| (of.metric, of.unit))
}

/// A difference with its sign: `+0.019`, `−0.004`.
pub(super) fn signed(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let text = format!("{:.3}", value.abs());
    match () {
        () if text == "0.000" => text,
        () if value < 0.0 => format!("\u{2212}{text}"),
        () => format!("+{text}"),
    }
}

/// A p value: `0.041`, `<0.001`.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.0005 { "<0.001".to_owned() } else { figure(p) }
}

/// `patient` or `image`.
pub(super) fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Image => "image",
        Unit::Patient => "patient",
    }
}

/// The other unit.
pub(super) fn other(unit: Unit) -> Unit {
    match unit {
        Unit::Image => Unit::Patient,
        Unit::Patient => Unit::Image,
    }
}

/// The pooled figures counted by a unit.
pub(super) fn pooled(evaluation: &Evaluation, unit: Unit) -> &Figures {
    match unit {
        Unit::Image => &evaluation.image,
        Unit::Patient => &evaluation.patient,
    }
}

/// The figures of each trained fold counted by a unit.
pub(super) fn by_fold(evaluation: &Evaluation, unit: Unit) -> &[FoldFigures] {
    match unit {
        Unit::Image => &evaluation.per_fold,
        Unit::Patient => &evaluation.per_fold_patient,
    }
}

/// What training looked at to keep an epoch, to stop or to lower its learning rate, if anything.
pub(super) fn watched(train: &Train) -> Option<Watch> {
    match (train.keep, train.stop, train.schedule) {
        (KeepEpoch::Best(watch), _, _) => Some(watch),
        (KeepEpoch::Last, Some(stop), _) => Some(stop.on),
        (KeepEpoch::Last, None, Schedule::Plateau { on, .. }) => Some(on),
        (KeepEpoch::Last, None, Schedule::Constant | Schedule::Cosine { .. } | Schedule::Step { .. }) => None,
    }
}

/// How a figure varies over folds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    /// Folds in which it is defined.
    pub(super) folds: usize,
    /// Mean over those.
    pub(super) mean: f64,
    /// Sample standard deviation (n - 1); `None` for fewer than two folds.
    pub(super) deviation: Option<f64>,
    /// Smallest.
    pub(super) least: f64,
    /// Largest.
    pub(super) most: f64,
}

/// How a metric varies over folds; `None` when no fold has it.
pub(super) fn spread(folds: &[FoldFigures], wanted: Metric) -> Option<Spread> {
    let values: Vec<f64> = folds.iter().filter_map(|fold| metric(&fold.figures, wanted)).collect();
    let count = count_as_float(values.len());
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(Spread {
        folds: values.len(),
        mean,
        deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
        least: values.iter().copied().fold(f64::INFINITY, f64::min),
        most: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

/// Spread in words: `0.771 ± 0.021 over 5 folds (0.745 to 0.802)`.
pub(super) fn spread_words(spread: Option<Spread>) -> String {
    match spread {
        None => "not defined in any fold".to_owned(),
        Some(Spread { folds: 1, mean, .. }) => format!("{} in the one fold that has it", figure(mean)),
        Some(Spread { folds, mean, deviation, least, most }) => format!(
            "{} ± {} over {folds} folds ({} to {})",
            figure(mean),
            figure(deviation.unwrap_or(0.0)),
            figure(least),
            figure(most)
        ),
    }
}

/// A count as a number to compute with; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of folds, classes and images are far below 2^53")]
pub(super) fn count_as_float(count: usize) -> f64 {
    count as f64
}

/// A figure with three decimals, `–` where there is none.
pub(super) fn figure(value: impl Into<Option<f64>>) -> String {
    match value.into() {
        Some(value) if value.is_finite() => format!("{value:.3}"),
        Some(_) | None => "–".to_owned(),
    }
}

/// A share as a whole percentage, `–` when there is nothing to share.
pub(super) fn percent(part: u32, whole: u32) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    format!("{:.0} %", 100.0 * f64::from(part) / f64::from(whole))
}

/// A count with thin groups of three: `12 345`.
pub(super) fn count(value: u32) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 image`, `5 images`.
pub(super) fn counted(value: u32, one: &str) -> String {
    format!("{}\u{a0}{one}{}", count(value), if value == 1 { "" } else { "s" })
}

/// A number as short as it can be read back: `0.001`, `3e-4`, `20`.
pub(super) fn short(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:e}") } else { format!("{value}") }
}

/// Text from outside with control, bidirectional and invisible characters made visible: none of them reaches a terminal
/// or page.
pub(super) fn plain(text: &str) -> String {
    let hidden = |c: char| c.is_control() || crate::diag::render::hidden(c);
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// The class's name, or its number where the record has no name for it.
pub(super) fn class_name(record: &RunRecord, class: usize) -> String {
    match record.classes.get(class) {
        Some(name) if !name.trim().is_empty() => plain(name),
        Some(_) | None => format!("(class {class})"),
    }
}

/// How many classes there are to show.
pub(super) fn class_count(record: &RunRecord) -> usize {
    record.classes.len()
}

/// All images and patients of the data set: folds and hold-out together.
pub(super) fn everyone(record: &RunRecord) -> (u32, u32) {
    let portions = record.split.folds.iter().chain(record.split.holdout.as_ref());
    portions.fold((0, 0), |(images, patients), portion| {
        (images.saturating_add(portion.images), patients.saturating_add(portion.patients))
    })
}

/// `214 images / 96 patients`, or `–` when empty.
pub(super) fn portion(portion: &Portion) -> String {
    if portion.images == 0 && portion.patients == 0 {
        return "–".to_owned();
    }
    format!("{} / {}", count(portion.images), count(portion.patients))
}

/// Why there are no patients, if the author said that every image is its own.
pub(super) fn no_group(record: &RunRecord) -> Option<String> {
    match &record.study.data.group {
        Group::None { because } => Some(plain(because)),
        Group::Column(_) => None,
    }
}

/// The loss as it is written in a study.
pub(super) fn loss_formula(terms: &[LossTerm]) -> String {
    let one = terms.len() == 1;
    terms
        .iter()
        .map(|term| {
            let call = loss_term(term);
            if one && term.weight.to_bits() == 1.0_f64.to_bits() {
                call
            } else {
                format!("{} * {call}", short(term.weight))
            }
        })
        .collect::<Vec<_>>()
        .join(" + ")
}

/// One term without its weight.
pub(super) fn loss_term(term: &LossTerm) -> String {
    let mut arguments = Vec::new();
    let name = match term.kind {
        LossKind::CrossEntropy => "cross_entropy",
        LossKind::Focal { gamma, alpha } => {
            arguments.push(format!("gamma = {}", short(gamma)));
            arguments.push(format!("alpha = {}", short(alpha)));
            "focal"
        }
        LossKind::SoftF1 => "soft_f1",
        LossKind::Kl => "kl",
    };
    if term.smoothing != 0.0 {
        arguments.push(format!("smoothing = {}", short(term.smoothing)));
    }
    match &term.class_weights {
        ClassWeights::None => {}
        ClassWeights::Balanced => arguments.push("class_weights = balanced".to_owned()),
        ClassWeights::Given(weights) => {
            let weights: Vec<String> =
                weights.iter().map(|(class, weight)| format!("\"{}\" = {}", plain(class), short(*weight))).collect();
            arguments.push(format!("class_weights = {{ {} }}", weights.join(", ")));
        }
    }
    format!("{name}({})", arguments.join(", "))
}

/// The name a serialised setting has in a study: `resnet18`, `stratified_group_kfold`.
pub(super) fn setting(value: &impl serde::Serialize) -> String {
    serde_yaml::to_value(value).map_or_else(|_| "–".to_owned(), |value| written(&value))
}

/// A serialised setting in the manner of the language: `csv(path = labels.csv)`, `[0, 2]`, `none`.
///
/// Absolute paths are cut to their last part: where a folder lies on one machine is no part of a report.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.as_f64().filter(|_| value.is_f64()).map_or_else(|| value.to_string(), short),
        Value::String(text) => plain(&without_folder(spelled(text))),
        Value::Sequence(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Mapping(fields) => format!("{{{}}}", arguments(fields)),
        Value::Tagged(tagged) => {
            let name = tagged.tag.to_string();
            let name = name.trim_start_matches('!');
            let inside =
                if let Value::Mapping(fields) = &tagged.value { arguments(fields) } else { written(&tagged.value) };
            format!("{}({inside})", spelled(name))
        }
    }
}

/// Names that serialise with one underscore more than the language writes.
fn spelled(name: &str) -> &str {
    match name {
        "adam_w" => "adamw",
        "n_adam" => "nadam",
        "rms_prop" => "rmsprop",
        "k_fold" => "kfold",
        "stratified_k_fold" => "stratified_kfold",
        "group_k_fold" => "group_kfold",
        "stratified_group_k_fold" => "stratified_group_kfold",
        _ => name,
    }
}

/// A condition as it is written in a study.
pub(super) fn condition(predicate: &Predicate) -> String {
    let column = |name: &str| format!("`{}`", plain(name));
    match predicate {
        Predicate::And(left, right) => format!("{} and {}", operand(left), operand(right)),
        Predicate::Or(left, right) => format!("{} or {}", operand(left), operand(right)),
        Predicate::Not(inner) => format!("not {}", operand(inner)),
        Predicate::Compare { column: name, comparison, value } => {
            let sign = match comparison {
                Comparison::Equal => "==",
                Comparison::NotEqual => "!=",
                Comparison::Less => "<",
                Comparison::LessEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterEqual => ">=",
            };
            format!("{} {sign} {}", column(name), scalar(value))
        }
        Predicate::OneOf { column: name, values } => {
            format!("{} in [{}]", column(name), values.iter().map(scalar).collect::<Vec<_>>().join(", "))
        }
        Predicate::Within { column: name, start, end, inclusive } => {
            format!("{} in {}{}{}", column(name), short(*start), if *inclusive { "..=" } else { ".." }, short(*end))
        }
    }
}

/// Part of a condition, in brackets where it has parts of its own.
fn operand(predicate: &Predicate) -> String {
    match predicate {
        Predicate::And(..) | Predicate::Or(..) => format!("({})", condition(predicate)),
        Predicate::Not(_) | Predicate::Compare { .. } | Predicate::OneOf { .. } | Predicate::Within { .. } => {
            condition(predicate)
        }
    }
}

fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Number(number) => short(*number),
        Scalar::Text(text) => format!("\"{}\"", plain(text)),
    }
}

fn arguments(fields: &serde_yaml::Mapping) -> String {
    let all: Vec<String> =
        fields.iter().map(|(name, value)| format!("{} = {}", written(name), written(value))).collect();
    all.join(", ")
}

fn without_folder(text: &str) -> String {
    let from_drive =
        text.as_bytes().get(1) == Some(&b':') && text.as_bytes().get(2).is_some_and(|b| b"\\/".contains(b));
    if !(Path::new(text).is_absolute() || from_drive || text.starts_with("\\\\") || text.starts_with('~')) {
        return text.to_owned();
    }
    let last = text.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or("");
    format!("…/{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_become_visible() {
        assert_eq!(plain("a\u{1b}[31m\u{202e}b\u{200b}\n"), "a\u{fffd}[31m\u{fffd}b\u{fffd}\u{fffd}");
        assert_eq!(plain("Größe 肺"), "Größe 肺");
    }

    #[test]
    fn absolute_paths_lose_their_folder() {
        assert_eq!(without_folder("/home/me/secret/labels.csv"), "…/labels.csv");
        assert_eq!(without_folder("C:\\Users\\me\\labels.csv"), "…/labels.csv");
        assert_eq!(without_folder("nih/labels.csv"), "nih/labels.csv");
    }

    #[test]
    fn the_loss_reads_as_it_is_written() {
        let term = |weight, kind, smoothing| LossTerm { weight, kind, smoothing, class_weights: ClassWeights::None };
        let terms = [term(0.6, LossKind::Focal { gamma: 2.0, alpha: 0.25 }, 0.05), term(0.4, LossKind::SoftF1, 0.0)];
        assert_eq!(loss_formula(&terms), "0.6 * focal(gamma = 2, alpha = 0.25, smoothing = 0.05) + 0.4 * soft_f1()");
        assert_eq!(loss_formula(&[term(1.0, LossKind::CrossEntropy, 0.2)]), "cross_entropy(smoothing = 0.2)");
    }

    #[test]
    fn spread_is_the_sample_deviation() {
        let figures = |accuracy| Figures {
            count: 10,
            accuracy,
            balanced_accuracy: 0.0,
            macro_f1: 0.0,
            auroc: None,
            log_loss: 0.0,
            ece: 0.0,
            confusion: vec![],
            classes: vec![],
            calibration: vec![],
        };
        let folds: Vec<FoldFigures> = [0.5, 0.7, 0.9]
            .into_iter()
            .zip(0..)
            .map(|(accuracy, fold)| FoldFigures { fold, figures: figures(accuracy) })
            .collect();
        assert_eq!(spread_words(spread(&folds, Metric::Accuracy)), "0.700 ± 0.200 over 3 folds (0.500 to 0.900)");
        assert_eq!(spread(&folds, Metric::Auroc), None);
        assert_eq!(spread_words(spread(&folds[..1], Metric::Accuracy)), "0.500 in the one fold that has it");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(1_234_567), "1\u{a0}234\u{a0}567");
        assert_eq!(counted(1, "image"), "1\u{a0}image");
        assert_eq!(percent(1, 0), "–");
    }
}
