//! A record becomes the summary that ends a run in a terminal: at most 80 columns, no colour.

use super::words::{
    Spread, by_fold, class_name, everyone, figure, loss_formula, metric, metric_name, metrics, no_group, other, plain,
    pooled, setting, spread, unit_name,
};
use crate::record::RunRecord;

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
    }
    lines.push(String::new());
    let name = |unit| format!("by {}", unit_name(unit));
    lines.push(format!("  {:<24}{:>10}{:>12}", "", name(unit), name(other(unit))));
    for wanted in metrics(record).into_iter().filter(|wanted| *wanted != primary) {
        let of = |unit| figure(metric(pooled(&record.evaluation, unit), wanted));
        lines.push(format!("  {:<24}{:>10}{:>12}", metric_name(wanted), of(unit), of(other(unit))));
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
