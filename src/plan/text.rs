//! A plan as people read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::{Action, Plan, Planned};
use crate::data::Dataset;
use crate::graph::{Node, Work};
use crate::split;

/// How much work of one kind there is: asked for, different, and in the store.
#[derive(Default)]
struct Tally {
    asked: usize,
    different: usize,
    stored: usize,
}

impl Plan {
    /// The action planned for some work of a variant.
    #[must_use]
    pub fn action(&self, variant: usize, work: Work) -> Option<&Action> {
        let wanted = &self.dag.find(variant, work)?.key;
        self.steps().find(|(_, node)| node.key == *wanted).map(|(action, _)| action)
    }

    /// Each step's action and node.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&Action, &Node)> {
        self.steps.iter().zip(self.dag.nodes()).map(|(step, (_, node))| (&step.action, node))
    }

    /// How many steps have this action.
    #[must_use]
    pub fn count(&self, wanted: &Action) -> usize {
        self.steps.iter().filter(|step| step.action == *wanted).count()
    }

    /// Is all of a variant's work that is kept in the store already?
    #[must_use]
    pub fn is_done(&self, variant: usize) -> bool {
        self.steps().filter(|(_, node)| node.variants.contains(&variant)).all(|(action, _)| *action != Action::Run)
    }

    /// The whole plan: what the study is, each step with its reason, who is in which fold.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let Some(first) = self.variants.first() else { return text };
        let key = self.dag.key().map_or("", |key| key.short());
        let one_table = self.variants.iter().all(|variant| Arc::ptr_eq(&variant.dataset, &first.dataset));
        let _ = writeln!(text, "{}  study {key}  {}", first.study.name, size(&first.dataset));
        if one_table {
            flow(&mut text, first);
        }
        if self.variants.len() > 1 {
            self.grid(&mut text);
        }
        self.sharing_lines(&mut text);
        text.push_str("\nsteps\n");
        for (step, (id, node)) in self.steps.iter().zip(self.dag.nodes()) {
            let action = match step.action {
                Action::Run => "run",
                Action::Reuse => "reuse",
                Action::Recompute => "now",
            };
            let fan_out = self.dag.fan_out(id);
            let shared =
                if node.work.is_stored() && fan_out > 1 { format!("  (shared by {fan_out})") } else { String::new() };
            let _ = writeln!(
                text,
                "  {action:<6} {:<20} {}  {}{shared}{}",
                node.work.title(),
                node.key.short(),
                self.dag.about(node),
                if step.action == Action::Recompute { String::new() } else { format!("  - {}", step.why) }
            );
        }
        let (run, reuse) = (self.count(&Action::Run), self.count(&Action::Reuse));
        let _ = writeln!(text, "  {run} to run, {reuse} reused from the store");
        self.patients(&mut text);
        text
    }

    /// `3 backbones x 3 losses = 9 variants x 5 folds = 45 trainings`, and what of it is done once.
    fn grid(&self, text: &mut String) {
        let axes: Vec<String> = self.axes().iter().map(|(path, labels)| several(labels.len(), last(path))).collect();
        let tallies = self.tallies();
        let trainings = tallies.get("train").map_or(0, |tally| tally.asked);
        let product = if axes.len() > 1 { format!("{} = ", axes.join(" x ")) } else { String::new() };
        let least = self.variants.iter().map(|variant| variant.trained.len()).min().unwrap_or(0);
        let most = self.variants.iter().map(|variant| variant.trained.len()).max().unwrap_or(0);
        let folds = if least == most { several(most, "fold") } else { format!("{least} to {most} folds") };
        let variants = several(self.variants.len(), "variant");
        let _ = writeln!(text, "  {:<10} {product}{variants} x {folds} = {}", "grid", several(trainings, "training"));
        let mut lead = "shared";
        for (kind, what) in [("prepare", "decode and prepare"), ("features", "frozen features"), ("train", "trainings")]
        {
            let Some(tally) = tallies.get(kind) else { continue };
            // Every training needs the images and the features; without sharing each would make its own.
            let alone = if kind == "train" { tally.asked } else { trainings };
            let words = match (tally.different, kind) {
                (different, _) if different == alone => continue,
                (1, _) => format!("once, not {}", times(alone)),
                (different, "train") => format!("{different} different ones of {alone}"),
                (different, _) => format!("{}, not {alone}", times(different)),
            };
            let _ = writeln!(text, "  {lead:<10} {what:<20} {words}");
            lead = "";
        }
        let stored = tallies.get("train").map_or(0, |tally| tally.stored);
        let different = tallies.get("train").map_or(0, |tally| tally.different);
        if stored > 0 {
            let _ = writeln!(text, "  {:<10} {} (same content keys)", "in store", several(stored, "training"));
        }
        let _ = writeln!(text, "  {:<10} {}", "to do", several(different - stored, "training"));
    }

    /// What varies, each with its labels in the order of the file.
    #[must_use]
    pub fn axes(&self) -> Vec<(String, Vec<String>)> {
        let mut axes: Vec<(String, Vec<String>)> = Vec::new();
        for choice in self.variants.iter().flat_map(|variant| &variant.choices) {
            let axis = if let Some(axis) = axes.iter().position(|(path, _)| *path == choice.path) {
                axis
            } else {
                axes.push((choice.path.clone(), Vec::new()));
                axes.len() - 1
            };
            if let Some((_, labels)) = axes.get_mut(axis)
                && !labels.contains(&choice.label)
            {
                labels.push(choice.label.clone());
            }
        }
        axes
    }

    fn tallies(&self) -> BTreeMap<&'static str, Tally> {
        let mut tallies: BTreeMap<&'static str, Tally> = BTreeMap::new();
        for (action, node) in self.steps().filter(|(_, node)| node.work.is_stored()) {
            let tally = tallies.entry(node.work.tag()).or_default();
            tally.asked += node.variants.len();
            tally.different += 1;
            tally.stored += usize::from(*action == Action::Reuse);
        }
        tallies
    }

    /// Who is in which fold, once for each different deal.
    fn patients(&self, text: &mut String) {
        let mut told: Vec<&Planned> = Vec::new();
        for variant in &self.variants {
            let alike =
                |other: &&Planned| Arc::ptr_eq(&other.dataset, &variant.dataset) && other.split == variant.split;
            if told.iter().any(alike) {
                continue;
            }
            let all = self.variants.iter().filter(alike).count() == self.variants.len();
            let whose = if all { String::new() } else { format!(" of {} and those with the same", variant.name) };
            let _ = writeln!(text, "\npatients and images{whose}");
            if !all {
                let _ = writeln!(text, "{}", size(&variant.dataset));
                flow(text, variant);
            }
            text.push_str(&split::text_table(&variant.split, &variant.dataset.classes));
            told.push(variant);
        }
    }
}

fn size(dataset: &Dataset) -> String {
    let (images, patients) = (dataset.images.len(), dataset.patients.len());
    format!("{images} images, {patients} patients, {} classes", dataset.classes.len())
}

fn flow(text: &mut String, variant: &Planned) {
    for step in &variant.dataset.flow {
        let _ = writeln!(text, "  {:<24} {:>8} images", step.what, step.images);
    }
    if let Some(holdout) = &variant.split.holdout {
        let _ = writeln!(text, "  hold-out: {} images of {} patients", holdout.images, holdout.patients);
    }
}

/// `model.backbone` is called `backbone`.
pub(super) fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn times(count: usize) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

/// `1 fold`, `3 losses`, `4 batches`, `2 epochs`.
pub(super) fn several(count: usize, one: &str) -> String {
    let many = match one {
        _ if count == 1 => return format!("1 {one}"),
        one if one.ends_with("ss") || one.ends_with("ch") => format!("{one}es"),
        one if one.ends_with('s') => one.to_owned(),
        one => format!("{one}s"),
    };
    format!("{count} {many}")
}

#[cfg(test)]
mod tests {
    use super::{last, several};

    #[test]
    fn settings_have_a_plural() {
        let all = ["model.backbone", "train.loss", "train.batch", "train.epochs", "seed"];
        let plural: Vec<String> = all.iter().map(|path| several(3, last(path))).collect();
        assert_eq!(plural, ["3 backbones", "3 losses", "3 batches", "3 epochs", "3 seeds"]);
        assert_eq!(several(1, "loss"), "1 loss");
    }
}
