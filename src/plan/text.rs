//! A plan as people read it.

use std::fmt::Write as _;

use super::{Action, Plan};
use crate::graph::Work;
use crate::split;

impl Plan {
    /// The action planned for some work.
    #[must_use]
    pub fn action(&self, work: Work) -> Option<&Action> {
        let node = self.dag.find(work)?;
        let wanted = &node.key;
        self.steps.iter().zip(self.dag.nodes()).find(|(_, (_, node))| node.key == *wanted).map(|(step, _)| &step.action)
    }

    /// The whole plan: what the study is, each step with its reason, who is in which fold.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let dataset = &self.dataset;
        let key = self.dag.key().map_or("", |key| key.short());
        let _ = writeln!(
            text,
            "{}  study {key}  {} images, {} patients, {} classes",
            self.study.name,
            dataset.images.len(),
            dataset.patients.len(),
            dataset.classes.len()
        );
        for step in &dataset.flow {
            let _ = writeln!(text, "  {:<24} {:>8} images", step.what, step.images);
        }
        if let Some(holdout) = &self.split.holdout {
            let _ = writeln!(text, "  hold-out: {} images of {} patients", holdout.images, holdout.patients);
        }
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
                node.detail,
                if step.action == Action::Recompute { String::new() } else { format!("  - {}", step.why) }
            );
        }
        let count = |wanted: &Action| self.steps.iter().filter(|step| step.action == *wanted).count();
        let _ = writeln!(text, "  {} to run, {} reused from the store", count(&Action::Run), count(&Action::Reuse));
        text.push_str("\npatients and images\n");
        text.push_str(&split::text_table(&self.split, &dataset.classes));
        text
    }
}
