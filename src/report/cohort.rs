//! Who was in the study: what each step of reading left, who is in which fold, and that the folds share nobody.

use maud::{Markup, html};

use super::html::wide;
use super::words::{class_count, class_name, count, counted, everyone, no_group, plain, portion};
use crate::record::{FoldRoles, Portion, RunRecord};

/// The section.
pub(super) fn section(record: &RunRecord) -> Markup {
    html! {
        h3 { "From the table to the study" }
        (flow(record))
        h3 { "Folds" }
        p.note {
            code { (plain(&record.split.method)) }
            "; the largest difference between a fold's share of a class and an equal share is " (plain(&record.split.worst_imbalance)) "."
        }
        (wide("Images and patients of each class and fold", &dealt(record)))
        @if !record.split.roles.is_empty() {
            h3 { "Roles within each trained fold" }
            (assertion(record))
            (wide("Roles within each fold", &roles(record)))
        }
    }
}

fn flow(record: &RunRecord) -> Markup {
    let (images, patients) = everyone(record);
    let largest = record.flow.iter().map(|step| step.images).max().unwrap_or(1).max(1);
    let before = std::iter::once(None).chain(record.flow.iter().map(|step| Some(step.images)));
    html! {
        ol.flow {
            @for (step, before) in record.flow.iter().zip(before) {
                li style={ "--share:" (format!("{:.1}%", 100.0 * f64::from(step.images) / f64::from(largest))) } {
                    span.step { (plain(&step.what)) }
                    span.left {
                        (counted(step.images, "image"))
                        @if step.patients > 0 { ", " (counted(step.patients, "patient")) }
                    }
                    @if let Some(gone) = before.and_then(|before| before.checked_sub(step.images)).filter(|gone| *gone > 0) {
                        span.gone { "−" (count(gone)) }
                    }
                }
            }
            li.end {
                span.step { (counted(u32::try_from(record.split.folds.len()).unwrap_or(u32::MAX), "fold")) @if record.split.holdout.is_some() { " and a hold-out" } }
                span.left { (counted(images, "image")) ", " (counted(patients, "patient")) }
            }
        }
    }
}

fn dealt(record: &RunRecord) -> Markup {
    let columns: Vec<(String, &Portion)> = record
        .split
        .folds
        .iter()
        .enumerate()
        .map(|(fold, portion)| (format!("fold {fold}"), portion))
        .chain(record.split.holdout.as_ref().map(|portion| ("hold-out".to_owned(), portion)))
        .collect();
    html! {
        table {
            caption { "Images / patients of each class in each fold" }
            thead { tr { th scope="col" { "class" } @for (name, _) in &columns { th.number scope="col" { (name) } } } }
            tbody {
                @for class in 0..class_count(record) {
                    tr {
                        th.name scope="row" { bdi { (class_name(record, class)) } }
                        @for (_, portion) in &columns { td.number { (of_class(portion, class)) } }
                    }
                }
            }
            tfoot { tr { th scope="row" { "all" } @for (_, all) in &columns { td.number { (portion(all)) } } } }
        }
    }
}

fn of_class(portion: &Portion, class: usize) -> String {
    match (portion.class_images.get(class), portion.class_patients.get(class)) {
        (Some(images), Some(patients)) if *images > 0 => format!("{} / {}", count(*images), count(*patients)),
        (Some(_) | None, Some(_) | None) => "–".to_owned(),
    }
}

fn roles(record: &RunRecord) -> Markup {
    let with_validation = record.split.roles.iter().any(|roles| roles.validation.images > 0);
    html! {
        table {
            caption { "Images / patients in each role" }
            thead {
                tr {
                    th scope="col" { "fold" }
                    th.number scope="col" { "train" }
                    @if with_validation { th.number scope="col" { "validation" } }
                    th.number scope="col" { "evaluation" }
                    th.number scope="col" { "patients, with the hold-out" }
                }
            }
            tbody {
                @for roles in &record.split.roles {
                    tr {
                        th scope="row" { (roles.fold) }
                        td.number { (portion(&roles.train)) }
                        @if with_validation { td.number { (portion(&roles.validation)) } }
                        td.number { (portion(&roles.evaluation)) }
                        td.number { (count(roles.union_patients)) }
                    }
                }
            }
        }
    }
}

/// Says what was compared, and no more than that.
fn assertion(record: &RunRecord) -> Markup {
    let holdout = record.split.holdout.is_some();
    let whom = if no_group(record).is_some() { "image" } else { "patient" };
    let lines: Vec<(String, String)> = record
        .split
        .roles
        .iter()
        .map(|roles| {
            let names = names(roles, holdout);
            let pairs = names.len() * names.len().saturating_sub(1) / 2;
            let what = if roles.disjoint.len() >= pairs {
                format!("{} share no {whom}", joined(&names))
            } else if roles.disjoint.is_empty() {
                "no pair of roles was compared".to_owned()
            } else {
                let compared: Vec<String> = roles.disjoint.iter().map(|pair| plain(pair)).collect();
                format!("these pairs share no {whom}: {}", compared.join(", "))
            };
            (what, format!("checked on the {whom} ids: {}", counted(roles.union_patients, whom)))
        })
        .collect();
    let same = lines.windows(2).all(|pair| pair.first() == pair.last());
    html! {
        @if let (true, Some((what, how))) = (same, lines.first()) {
            p.assertion { strong { "In every trained fold " (what) } " (" (how) ")." }
        } @else {
            @for ((what, how), roles) in lines.iter().zip(&record.split.roles) {
                p.assertion { strong { "In fold " (roles.fold) " " (what) } " (" (how) ")." }
            }
        }
    }
}

fn names(roles: &FoldRoles, holdout: bool) -> Vec<&'static str> {
    let mut names = vec!["train"];
    if roles.validation.images > 0 {
        names.push("validation");
    }
    names.push("evaluation");
    if holdout {
        names.push("hold-out");
    }
    names
}

fn joined(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
