//! A record becomes the summary that ends a run in a terminal: at most 80 columns, no colour.

use super::words::{
    Spread, by_fold, class_name, compared, ends, everyone, figure, level, loss_formula, metric, metric_interval,
    metric_name, metrics, no_group, other, p_value, plain, pooled, pooled_intervals, setting, signed, spread,
    unit_name,
};
use crate::record::{RunRecord, StudyRecord, VariantRecord};

const COLUMNS: usize = 80;

/// The summary; ends with a newline.
pub(super) fn summary(record: &RunRecord) -> String {
    let mut lines = Vec::new();
    heading(record, &mut lines);
    headline(record, &mut lines);
    classes(record, &mut lines);
    closing(record, &mut lines);
    let mut text: String = lines.iter().map(|line| cut(line, COLUMNS)).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

/// The summary of a study with several variants; ends with a newline.
pub(super) fn study(record: &StudyRecord) -> String {
    let mut lines = Vec::new();
    let name = cut(&plain(&record.name), 28);
    match record.variants.first() {
        None => lines.push(format!("{name}  no variant is done yet")),
        Some(first) => {
            let (images, patients) = everyone(&first.record);
            let all = record.variants.len() + record.missing.len();
            let classes = first.record.classes.len();
            lines.push(format!(
                "{name}  {} of {all} variants, {images} images, {patients} patients, {classes} classes",
                record.variants.len()
            ));
            if first.record.synthetic {
                lines.push("  SYNTHETIC IMAGES: these figures say nothing about patients".to_owned());
            }
            lines.push(String::new());
            variants(record, first, &mut lines);
        }
    }
    if let Some(leader) = &record.leader {
        let by =
            leader.by.map_or(String::new(), |metric| format!(", the best by {} on the folds", metric_name(metric)));
        lines.push(format!("  leads: {}{by}", plain(&leader.variant)));
        if let (Some(holdout), Some(metric)) = (&leader.holdout, leader.by) {
            lines.push(format!(
                "  on the hold-out of {} patients: {} {}",
                holdout.patients,
                metric_name(metric),
                figure(metric.of(&holdout.figures))
            ));
        }
    }
    if !record.missing.is_empty() {
        lines.push(format!(
            "  not run yet: {}",
            record.missing.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", ")
        ));
    }
    lines.push("  report.html compares them; each variant has a folder of its own".to_owned());
    let mut text: String = lines.iter().map(|line| cut(line, COLUMNS)).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

/// A line a variant: its figure, its interval, and its distance from the baseline.
fn variants(record: &StudyRecord, first: &VariantRecord, lines: &mut Vec<String>) {
    let (metric, unit) = compared(record, first);
    let title = format!("{} by {}", metric_name(metric), unit_name(unit));
    let intervals = first.record.evaluation.intervals.as_ref().map_or(String::new(), |of| level(of.level));
    let against = if record.comparison.is_some() { ["difference", "p"] } else { ["", ""] };
    lines.push(format!("  {title:<34}{:>7}  {intervals:<16}{:>11}{:>8}", "", against[0], against[1]));
    for variant in &record.variants {
        let evaluation = &variant.record.evaluation;
        let interval =
            pooled_intervals(evaluation, unit).and_then(|of| metric_interval(of, metric)).map_or(String::new(), ends);
        let (apart, p) = match &record.comparison {
            None => (String::new(), String::new()),
            Some(comparison) if comparison.baseline == variant.name => ("baseline".to_owned(), String::new()),
            Some(comparison) => comparison
                .rows
                .iter()
                .find(|row| row.variant == variant.name)
                .and_then(|row| row.difference.as_ref())
                .map_or(("–".to_owned(), String::new()), |of| (signed(of.difference), p_value(of.corrected))),
        };
        lines.push(format!(
            "  {}{:>7}  {interval:<16}{apart:>11}{p:>8}",
            padded(&plain(&variant.name), 34),
            figure(metric.of(pooled(evaluation, unit))),
        ));
    }
    lines.push(String::new());
}

fn heading(record: &RunRecord, lines: &mut Vec<String>) {
    let (images, patients) = everyone(record);
    let whom = if no_group(record).is_some() { String::new() } else { format!("{patients} patients, ") };
    lines.push(format!(
        "{}  {images} images, {whom}{} classes, {} of {} folds trained",
        cut(&plain(&record.study.name), 28),
        record.classes.len(),
        record.folds.len(),
        record.split.folds.len()
    ));
    let environment = &record.environment;
    lines.push(format!(
        "  {}, {} epochs, on {} with {} thread{}",
        setting(&record.study.model.backbone),
        record.study.train.epochs,
        plain(&environment.device),
        environment.threads,
        if environment.threads == 1 { "" } else { "s" }
    ));
    lines.push(format!("  loss {}", loss_formula(&record.study.train.loss)));
    if record.synthetic {
        lines.push("  SYNTHETIC IMAGES: these figures say nothing about patients".to_owned());
    }
    if let Some(because) = no_group(record) {
        lines.push(format!("  no patient column: \"{because}\""));
    }
    lines.push(String::new());
}

fn headline(record: &RunRecord, lines: &mut Vec<String>) {
    let primary = record.study.evaluate.primary;
    let unit = record.study.evaluate.unit;
    for unit in [unit, other(unit)] {
        let name = format!("{} by {}", metric_name(primary), unit_name(unit));
        let value = figure(metric(pooled(&record.evaluation, unit), primary));
        lines.push(format!("  {name:<30}{value}   {}", folds(spread(by_fold(&record.evaluation, unit), primary))));
        let interval = pooled_intervals(&record.evaluation, unit).and_then(|of| metric_interval(of, primary));
        if let (Some(intervals), Some(interval)) = (&record.evaluation.intervals, interval) {
            lines.push(format!("  {:<38}{} {}", "", level(intervals.level), ends(interval)));
        }
    }
    lines.push(String::new());
    let name = |unit| format!("by {}", unit_name(unit));
    lines.push(format!("  {:<24}{:>10}{:>12}", "", name(unit), name(other(unit))));
    for wanted in metrics(record).into_iter().filter(|wanted| *wanted != primary) {
        let of = |unit| figure(metric(pooled(&record.evaluation, unit), wanted));
        lines.push(format!("  {:<24}{:>10}{:>12}", metric_name(wanted), of(unit), of(other(unit))));
    }
    let unit = unit_name(unit);
    for operating in &record.evaluation.operating {
        let fixed = operating.point.fixed;
        let (value, reached) = (operating.mean.of(fixed.other()).0, operating.mean.of(fixed).0);
        lines.push(format!("  {} by {unit}: {} (reached {})", operating.point, figure(value), figure(reached)));
    }
    lines.push(String::new());
}

fn folds(spread: Option<Spread>) -> String {
    match spread {
        Some(Spread { mean, deviation: Some(deviation), least, most, .. }) => {
            format!("folds {} ± {} ({} to {})", figure(mean), figure(deviation), figure(least), figure(most))
        }
        Some(Spread { deviation: None, .. }) => "one fold".to_owned(),
        None => String::new(),
    }
}

fn classes(record: &RunRecord, lines: &mut Vec<String>) {
    let unit = record.study.evaluate.unit;
    let figures = pooled(&record.evaluation, unit);
    let title = format!("class, by {}", unit_name(unit));
    lines.push(format!("  {title:<28}{:>10}{:>9}{:>9}{:>9}{:>10}", "precision", "recall", "F1", "AUROC", "support"));
    for (class, of) in figures.classes.iter().enumerate() {
        lines.push(format!(
            "  {}{:>10}{:>9}{:>9}{:>9}{:>10}",
            padded(&class_name(record, class), 28),
            figure(of.precision),
            figure(of.recall),
            figure(of.f1),
            figure(of.auroc),
            of.support
        ));
    }
    lines.push(String::new());
}

fn closing(record: &RunRecord, lines: &mut Vec<String>) {
    let warnings = record.warnings.len();
    if warnings > 0 {
        lines.push(format!(
            "  {warnings} warning{} of the check, repeated in the report",
            if warnings == 1 { "" } else { "s" }
        ));
    }
    lines.push("  report.html has the plots, predictions.csv every scored image".to_owned());
}

/// Columns a character takes in a terminal: two for East Asian wide ones and emoji, none for combining marks.
fn columns(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The text, or its beginning and `…`, in at most so many columns.
fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.trim_end().to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += columns(c);
        if used >= most {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

fn padded(text: &str, to: usize) -> String {
    let text = cut(text, to - 1);
    let room = to.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_wide_names_keep_to_their_columns() {
        assert_eq!(padded("short", 8), "short   ");
        assert_eq!(cut("a very long name of a class", 10), "a very lo…");
        assert_eq!(width(&padded("肺炎肺炎肺炎肺炎肺炎", 10)), 10);
    }
}
