//! What each operation lets one image do to another: the one place where effects are declared.
//!
//! An operation works on each image by itself, or something in it is *fitted*: a mean, a weight, the choice of an
//! epoch. Whose images it is fitted to is all that the analysis of leakage ([`crate::leakage`]) asks; it knows no
//! operation by itself.

/// Whose images something is fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nobody's: each image by itself, or numbers that the author wrote.
    Nobody,
    /// The training images of the fold.
    Training,
    /// What training may look at: the inner validation patients or, where there are none, the reported fold.
    Watched,
    /// The reported images of every fold, which together are all its patients.
    Scored,
    /// Every image of the study.
    Everybody,
    /// Whatever its card says: images from elsewhere, or the study's own.
    Card,
}

/// What an operation depends on besides the image before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// Whose images it is fitted to.
    pub over: Over,
    /// Does it look at labels?
    pub labels: bool,
    /// Does it draw random numbers?
    pub random: bool,
    /// Does it depend on the order of the images?
    pub order: bool,
}

/// What a way to split keeps together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deals {
    /// Whole patients.
    Patients,
    /// Single images.
    Images,
    /// What the table says, whoever that keeps together.
    AsGiven,
}

const BY_ITSELF: Effect = Effect { over: Over::Nobody, labels: false, random: false, order: false };
const RANDOM: Effect = Effect { random: true, ..BY_ITSELF };
const JUDGES: Effect = Effect { labels: true, ..BY_ITSELF };
const fn fitted(over: Over) -> Effect {
    Effect { over, labels: true, random: false, order: false }
}

/// The effect of an operation, by its family's name ([`super::Family::one`]), its own, and the word that its first
/// argument is, where that decides. `None` for names that are not known, which a test keeps from happening.
#[must_use]
#[expect(clippy::match_same_arms, reason = "a table in the catalog's order: one line a family")]
pub fn effect(family: &str, operation: &str, word: Option<&str>) -> Option<Effect> {
    let effect = match (family, operation) {
        ("data source" | "image source" | "way to read labels" | "group" | "device", _) => BY_ITSELF,
        // Chosen before the split, and nothing of the choice is known to the network.
        ("limit", _) => Effect { labels: true, random: true, ..BY_ITSELF },
        ("split", "folds_from") => Effect { order: true, ..BY_ITSELF },
        ("split", "kfold" | "group_kfold") => Effect { random: true, order: true, ..BY_ITSELF },
        ("split", _) => Effect { labels: true, random: true, order: true, over: Over::Nobody },
        ("preparing operation", "normalize") => Effect {
            over: match word {
                Some("train") => Over::Training,
                Some("dataset") => Over::Everybody,
                Some(_) | None => Over::Nobody,
            },
            ..BY_ITSELF
        },
        ("preparing operation", "grayscale" | "resize" | "clahe") => BY_ITSELF,
        // Mixed images are training images twice.
        ("augmentation", "mixup" | "cutmix") => Effect { random: true, order: true, ..fitted(Over::Training) },
        ("augmentation", _) => RANDOM,
        ("backbone" | "head", _) => Effect { random: true, order: true, ..fitted(Over::Training) },
        ("set of weights", "none") => RANDOM,
        ("set of weights", _) => Effect { over: Over::Card, ..JUDGES },
        ("way to freeze" | "optimizer", _) => BY_ITSELF,
        ("loss", _) => JUDGES,
        ("class weights", "balanced") => fitted(Over::Training),
        ("schedule", "constant" | "cosine" | "step") => BY_ITSELF,
        ("schedule", "plateau") | ("way to stop", "early") | ("choice of epoch", "best") => fitted(Over::Watched),
        ("sampler", "shuffled") => Effect { random: true, order: true, ..BY_ITSELF },
        ("sampler", "balanced") => Effect { random: true, order: true, ..fitted(Over::Training) },
        ("choice of epoch", "last") => BY_ITSELF,
        // A threshold is chosen before it is applied.
        ("figure", "sensitivity" | "specificity") => fitted(Over::Watched),
        ("metric" | "figure", _) => JUDGES,
        ("headline", "best") => fitted(Over::Scored),
        (
            "unit"
            | "acceptance"
            | "test"
            | "way to make intervals"
            | "slice"
            | "pool"
            | "fixed operation"
            | "fixed specificity"
            | "fixed sensitivity",
            _,
        ) => BY_ITSELF,
        (_, _) => return None,
    };
    Some(effect)
}

/// What a split keeps together; `None` for a name that is no split.
#[must_use]
pub fn deals(split: &str) -> Option<Deals> {
    match split {
        "stratified_group_kfold" | "group_kfold" => Some(Deals::Patients),
        "stratified_kfold" | "kfold" => Some(Deals::Images),
        "folds_from" => Some(Deals::AsGiven),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{FAMILIES, splits::SPLITS};

    #[test]
    fn every_operation_has_an_effect() {
        for family in FAMILIES {
            for operation in family.operations {
                assert!(
                    effect(family.one, operation.name, None).is_some(),
                    "declare the effect of `{}` ({}) in catalog/effects.rs",
                    operation.name,
                    family.one
                );
            }
        }
        for split in SPLITS.names() {
            assert!(deals(split).is_some(), "say in catalog/effects.rs what `{split}` keeps together");
        }
    }
}
