//! Why each step of a plan is done or reused, and why frozen features are shared or not, in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::several;
use super::{Action, Plan};
use crate::graph::{Key, Node, Parts, unshared_features};
use crate::store::Store;
use crate::study::{Freeze, Study};

/// Parts of a key that are told before the rest is counted.
const TOLD: usize = 12;

/// How features are shared, or every reason why not.
type Sharing = Result<String, Vec<&'static str>>;

impl Plan {
    /// Each step whose title holds `wanted`: what becomes of it and why; of one that is done, in what it differs from the
    /// nearest of its kind in the store. `None`: there is no such step.
    #[must_use]
    pub fn why(&self, wanted: &str, store: Option<&Store>) -> Option<String> {
        let wanted = wanted.to_lowercase();
        let kept = store.map(Store::kept).unwrap_or_default();
        let mut text = String::new();
        for (step, (_, node)) in self.steps.iter().zip(self.dag.nodes()) {
            if !node.work.title().contains(&wanted) {
                continue;
            }
            let action = match step.action {
                Action::Run => "run",
                Action::Reuse => "reuse",
                Action::Recompute => "now",
            };
            let (title, about) = (node.work.title(), self.dag.about(node));
            let _ = writeln!(text, "{action:<6} {title:<20} {}  {about}  - {}", node.key.short(), step.why);
            if step.action == Action::Run {
                differs(&mut text, node, &kept);
            }
        }
        (!text.is_empty()).then_some(text)
    }

    /// Whether the features of frozen backbones are made once and shared, for each variant or all of them, and if not why.
    #[must_use]
    pub fn why_cache(&self) -> String {
        let mut text = String::new();
        for (words, names) in self.sharing() {
            let whose =
                if names.len() == self.variants.len() { String::new() } else { format!(" of {}", names.join(", ")) };
            match words {
                Ok(words) => {
                    let _ = writeln!(text, "frozen features{whose}: {words}");
                }
                Err(reasons) => {
                    let _ = writeln!(text, "frozen features{whose}: not shared, every epoch runs the whole network");
                    for reason in reasons {
                        let _ = writeln!(text, "  - {reason}");
                    }
                }
            }
        }
        text
    }

    /// The same in a line for each kind of variant, as the plan says it.
    pub(super) fn sharing_lines(&self, text: &mut String) {
        for (words, names) in self.sharing() {
            let whose = if names.len() == self.variants.len() {
                String::new()
            } else {
                format!("  ({} variants)", names.len())
            };
            let words = match words {
                Ok(words) => words,
                Err(_) => "not shared; `pipe why --cache` says why".to_owned(),
            };
            let _ = writeln!(text, "  {:<10} {words}{whose}", "features");
        }
    }

    /// What is said of frozen features, and the variants of which it is said, in the order of the file.
    fn sharing(&self) -> Vec<(Sharing, Vec<&str>)> {
        let mut all: Vec<(Sharing, Vec<&str>)> = Vec::new();
        for variant in &self.variants {
            let words = sharing(&variant.study);
            match all.iter_mut().find(|(told, _)| *told == words) {
                Some((_, names)) => names.push(&variant.name),
                None => all.push((words, vec![&variant.name])),
            }
        }
        all
    }
}

fn sharing(study: &Study) -> Sharing {
    let reasons = unshared_features(study);
    if !reasons.is_empty() {
        return Err(reasons);
    }
    Ok(match study.model.freeze {
        Freeze::BackboneFor(epochs) => {
            format!("made once, for {}; then the backbone learns", several(epochs as usize, "epoch"))
        }
        Freeze::All | Freeze::None | Freeze::First(_) => {
            "made once an image, shared by folds, heads, losses, epochs and later runs".to_owned()
        }
    })
}

/// In which parts a step differs from the nearest of its kind: the one with the fewest other parts, then the first by key.
fn differs(text: &mut String, node: &Node, kept: &BTreeMap<Key, Parts>) {
    let alike = kept.iter().filter(|(key, parts)| {
        **key != node.key && parts.get("way it is made").is_some_and(|way| way.starts_with(node.work.tag()))
    });
    let Some((key, parts)) = alike.min_by_key(|(_, parts)| other(&node.parts, parts).len()) else {
        let _ = writeln!(text, "         the store has no other step of its kind");
        return;
    };
    let names = other(&node.parts, parts);
    let _ = writeln!(text, "         the nearest in the store is {}; other than there:", key.short());
    for name in names.iter().take(TOLD) {
        let side = |parts: &Parts| parts.get(*name).cloned().unwrap_or_else(|| "not set".to_owned());
        let (here, there) = (side(&node.parts), side(parts));
        let long = here.starts_with('#') || there.starts_with('#');
        let _ = if long {
            writeln!(text, "           {name}")
        } else {
            writeln!(text, "           {name}: {here}, there {there}")
        };
    }
    if names.len() > TOLD {
        let _ = writeln!(text, "           and {} more", names.len() - TOLD);
    }
}

/// The names of parts that are not the same in both.
fn other<'a>(here: &'a Parts, there: &'a Parts) -> Vec<&'a str> {
    let mut names: Vec<&str> = here.keys().chain(there.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| here.get(*name) != there.get(*name));
    names
}
