//! A proposal becomes the text of a study, with what was found in its comments.

use super::{Proposal, Rows};
use crate::syntax::{column, quoted};

/// The text; laid out as `pipe fmt` does.
#[must_use]
pub fn text(proposal: &Proposal, question: Option<&str>) -> String {
    let mut lines = vec!["pipe \"2026\"".to_owned(), String::new()];
    let from = match &proposal.rows {
        Rows::Table { path, count, .. } => format!("{path}, {count} rows"),
        Rows::Folder { path } => format!("the folders in {path}"),
    };
    lines.push(format!("# Proposed from {}. Comments say what was found; check each line, then:", safe(&from)));
    lines.push("#   pipe check, pipe audit, pipe plan and pipe run with this file".to_owned());
    lines.push(String::new());
    lines.push(format!("study {} {{", proposal.name));
    match question {
        Some(question) => lines.push(format!("question = {}", quoted(question))),
        None => lines.push("# question = \"What does this study ask?\"".to_owned()),
    }
    lines.push(String::new());
    lines.push("data {".to_owned());
    data(proposal, &mut lines);
    lines.push("}".to_owned());
    lines.push(String::new());
    let by_image = match &proposal.rows {
        Rows::Table { columns, .. } => columns.alone,
        Rows::Folder { .. } => true,
    };
    let cv = if by_image { "stratified_kfold" } else { "stratified_group_kfold" };
    let shuffle = if by_image { ", shuffle = true" } else { "" };
    lines.push(format!("split {{ cv = {cv}({}{shuffle}) }}", proposal.folds));
    lines.push("model { backbone = resnet18(weights = imagenet) }    # pipe explain backbones".to_owned());
    lines.push(String::new());
    lines.push("train {".to_owned());
    lines.push("epochs = 10".to_owned());
    lines.push("batch = 32".to_owned());
    lines.push("}".to_owned());
    lines.push(String::new());
    lines.push("evaluate { primary = balanced_accuracy }    # pipe explain metrics".to_owned());
    lines.push("}".to_owned());
    let text = lines.join("\n") + "\n";
    let file = crate::source::SourceMap::new().add("proposal", None, "");
    crate::syntax::format(file, &text).unwrap_or(text)
}

fn data(proposal: &Proposal, lines: &mut Vec<String>) {
    let counts: Vec<String> = proposal.classes.iter().take(8).map(|(name, n)| format!("{name} {n}")).collect();
    let more = proposal.classes.len().saturating_sub(8);
    let more = if more > 0 { format!(", {more} more") } else { String::new() };
    let counts = safe(&format!("{}{more}", counts.join(", ")));
    let (path, columns) = match &proposal.rows {
        Rows::Folder { path } => {
            lines.push(format!("table = folder({})    # {counts}", quoted(path)));
            lines.push(
                "# folders name no patients; nothing runs until somebody says who they are: a table with a column for them, or".into(),
            );
            lines.push("# group = none(because = \"...\")  if each image really is a patient of its own".into());
            return;
        }
        Rows::Table { path, columns, .. } => (path, columns),
    };
    lines.push(format!("table = csv({})", quoted(path)));
    let under = columns.under.as_ref().map_or(String::new(), |under| format!(", under = {}", quoted(under)));
    let (there, of) = columns.there;
    let looked = if there == of {
        format!("all {of} looked up are there")
    } else {
        format!("{there} of {of} looked up are there")
    };
    lines.push(format!("image = file({}{under})    # {looked}", column(&columns.image)));
    if proposal.drop_missing {
        lines.push("on_missing = drop    # rows without their image are counted in the report".to_owned());
    }
    lines.push(format!("label = {}    # images of one class: {counts}", column(&columns.label)));
    let some_are_left_out = !proposal.too_rare.is_empty();
    let other = if some_are_left_out { ", when_other = drop" } else { "" };
    match columns.split_on {
        Some((mark, rows)) => lines.push(format!(
            "labels = multiclass(split_on = \"{mark}\", when_many = drop{other})    # {rows} rows have several"
        )),
        None if some_are_left_out => lines.push("labels = multiclass(when_other = drop)".to_owned()),
        None => {}
    }
    if some_are_left_out {
        let classes: Vec<String> = proposal.classes.iter().map(|(name, _)| quoted(name)).collect();
        let rare = safe(&proposal.too_rare.join(", "));
        lines.push(format!("classes = [{}]    # left out, of one patient only: {rare}", classes.join(", ")));
    }
    if let Some(group) = &columns.group {
        let sure = if group.by_name { "" } else { "; its name does not say so, please check" };
        let most = group.most;
        lines.push(format!(
            "group = {}    # {} patients, up to {most} images each{sure}",
            column(&group.column),
            group.count
        ));
    } else if columns.alone {
        lines.push("group = none(because = \"each image is said to be a patient of its own\")".to_owned());
    } else {
        lines
            .push("# no column looks like the patients'; nothing runs until somebody says whose image each is:".into());
        lines.push("# group = `column`, or  group = none(because = \"...\")  if each is a patient of its own".into());
    }
    let mut keep = Vec::new();
    if let Some(group) = columns.group.as_ref().filter(|group| group.nobody > 0) {
        keep.push(format!("{} != \"\"", column(&group.column)));
    }
    if columns.unlabelled > 0 {
        keep.push(format!("{} != \"\"", column(&columns.label)));
    }
    if !keep.is_empty() {
        lines.push(format!("keep = {}    # rows that name no patient or class", keep.join(" and ")));
    }
    if let Some((name, low, high)) = &columns.age {
        lines.push(format!("# keep = {} in 18..=100    # ages from {low} to {high}", column(name)));
    }
    if let Some((name, views)) = &columns.view {
        let some: Vec<String> = views.iter().map(|view| quoted(view)).collect();
        lines.push(format!("# keep = {} in [{}]", column(name), some.join(", ")));
    }
}

/// Text for a comment: no line ends and nothing hidden.
fn safe(text: &str) -> String {
    crate::diag::render::visible(&text.replace(['\n', '\r'], " "))
}
