//! Everything the language knows, as data: blocks, settings, operations, their parameters and ranges.
//!
//! The grammar holds no word of medicine or learning; all of them stand here, one file a field. `check` reads
//! these tables to tell right from wrong and to say what would be right. A name listed under `later` is part of
//! the language but not run by this version: it is refused by name (E0110), never ignored.

pub mod backbones;
pub mod blocks;
pub mod datasets;
pub mod describe;
pub mod effects;
pub mod images;
pub mod keywords;
pub mod losses;
pub mod metrics;
mod networks;
pub mod sources;
pub mod splits;
pub mod training;

/// What a setting or an argument takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// A whole number within bounds, both included.
    Whole {
        /// Smallest.
        from: i64,
        /// Largest.
        to: i64,
        /// What it counts, `images`; empty if it counts nothing.
        counts: &'static str,
    },
    /// A number without a unit.
    Number {
        /// Smallest.
        from: f64,
        /// Is `from` itself allowed?
        included: bool,
        /// Largest, included.
        to: f64,
    },
    /// A share: `0.2` or `20%`, within bounds, both included.
    Share {
        /// Smallest.
        from: f64,
        /// Largest.
        to: f64,
    },
    /// A number of epochs with its unit, `5epochs`.
    Epochs {
        /// Smallest, included.
        from: f64,
        /// Whole epochs only?
        whole: bool,
    },
    /// An angle with its unit, `10deg`, from 0 to this.
    Degrees {
        /// Largest, included.
        to: f64,
    },
    /// `true` or `false`.
    Flag,
    /// `"text"`.
    Text,
    /// `"a/path"`.
    Path,
    /// A column in backticks.
    Column,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// One operation of a family.
    Operation(&'static Family),
    /// A list of operations of a family.
    Operations(&'static Family),
    /// Numbers times operations of a family, added up.
    Formula(&'static Family),
    /// Something with a shape of its own, described in words; code of its own reads it.
    Shaped(&'static str),
}

impl Takes {
    /// The operations it may be, alone, in a list or in a sum.
    #[must_use]
    pub fn family(&self) -> Option<&'static Family> {
        match self {
            Self::Operation(family) | Self::Operations(family) | Self::Formula(family) => Some(family),
            Self::Whole { .. }
            | Self::Number { .. }
            | Self::Share { .. }
            | Self::Epochs { .. }
            | Self::Degrees { .. }
            | Self::Flag
            | Self::Text
            | Self::Path
            | Self::Column
            | Self::Word(_)
            | Self::Shaped(_) => None,
        }
    }
}

/// What an argument is when it is not written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// It must be written.
    Required,
    /// It is absent.
    Absent,
    /// A number (epochs, degrees and shares in their plain size).
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
    /// A word.
    Word(&'static str),
}

/// One parameter of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What it is when not written.
    pub default: Default,
    /// What it does, in a few words.
    pub about: &'static str,
}

/// Something that can be called in a value: a loss, a split, an image operation, ...
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// In order of position.
    pub parameters: &'static [Parameter],
    /// Parameters of the language that this version does not run yet.
    pub later: &'static [&'static str],
    /// Where its formula comes from; empty if there is none.
    pub source: &'static str,
    /// Calls that are accepted as they stand.
    pub examples: &'static [&'static str],
}

impl Operation {
    /// The parameter of a name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

/// Operations of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// One of them, `loss`.
    pub one: &'static str,
    /// Several, `losses`.
    pub many: &'static str,
    /// Those that run.
    pub operations: &'static [Operation],
    /// Names of the language that this version does not run yet.
    pub later: &'static [&'static str],
}

impl Family {
    /// The operation of a name.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&'static Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }

    /// The names that run, in the catalog's order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.operations.iter().map(|operation| operation.name)
    }
}

/// A setting of a block.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What stands for it when it is not written, as one would write it or in words; empty: required.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
}

/// A block of a study.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// Its keyword.
    pub name: &'static str,
    /// What it is about, in one sentence.
    pub about: &'static str,
    /// In the order a reader expects.
    pub settings: &'static [Setting],
    /// Settings of the language that this version does not run yet.
    pub later: &'static [&'static str],
}

impl Block {
    /// The setting of a name.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }
}

/// Every family of operations.
pub const FAMILIES: &[&Family] = &[
    &sources::TABLES,
    &sources::IMAGES,
    &sources::LABELS,
    &sources::GROUPS,
    &sources::LIMITS,
    &splits::SPLITS,
    &images::PREPARE,
    &images::AUGMENT,
    &backbones::BACKBONES,
    &backbones::WEIGHTS,
    &backbones::HEADS,
    &backbones::POOLS,
    &backbones::FREEZES,
    &losses::LOSSES,
    &training::OPTIMIZERS,
    &training::SCHEDULES,
    &training::SAMPLERS,
    &training::STOPS,
    &training::KEEPS,
    &metrics::METRICS,
    &metrics::FIGURES,
    &metrics::SPECIFICITIES,
    &metrics::SENSITIVITIES,
    &metrics::UNITS,
    &metrics::CHANGES,
    &metrics::TESTS,
    &metrics::HEADLINES,
    &metrics::ACCEPTANCES,
    &metrics::INTERVALS,
    &metrics::SLICES,
    &training::DEVICES,
];

/// The operation that a name with `-` in it means: `resnet-18`, `cross-entropy`.
pub(crate) fn without_hyphens(written: &str) -> Option<&'static str> {
    if !written.contains('-') || written.len() > 60 {
        return None;
    }
    let plain = |name: &str| name.replace(['-', '_'], "");
    let wanted = plain(written);
    let mut names = FAMILIES.iter().flat_map(|family| family.names());
    // most names differ in their first letter, which is quickly seen
    names.find(|name| name.as_bytes().first() == wanted.as_bytes().first() && plain(name) == wanted)
}

/// A required parameter.
pub(crate) const fn required(name: &'static str, takes: Takes, about: &'static str) -> Parameter {
    Parameter { name, takes, default: Default::Required, about }
}

/// A parameter that may be left out and then is absent.
pub(crate) const fn optional(name: &'static str, takes: Takes, about: &'static str) -> Parameter {
    Parameter { name, takes, default: Default::Absent, about }
}

/// A parameter with a number for its default.
pub(crate) const fn number(name: &'static str, takes: Takes, default: f64, about: &'static str) -> Parameter {
    Parameter { name, takes, default: Default::Number(default), about }
}

/// A parameter with a word for its default.
pub(crate) const fn word(
    name: &'static str,
    words: &'static [&'static str],
    default: &'static str,
    about: &'static str,
) -> Parameter {
    Parameter { name, takes: Takes::Word(words), default: Default::Word(default), about }
}

/// A parameter that is `true` or `false`.
pub(crate) const fn flag(name: &'static str, default: bool, about: &'static str) -> Parameter {
    Parameter { name, takes: Takes::Flag, default: Default::Flag(default), about }
}

/// A share from 0 to 1.
pub(crate) const SHARE: Takes = Takes::Share { from: 0.0, to: 1.0 };
/// A whole number from 1.
pub(crate) const fn count(counts: &'static str) -> Takes {
    Takes::Whole { from: 1, to: 1_000_000_000, counts }
}
/// A seed.
pub(crate) const SEED: Takes = Takes::Whole { from: 0, to: 9_007_199_254_740_992, counts: "" };

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        for family in FAMILIES {
            let mut seen = BTreeSet::new();
            for operation in family.operations {
                assert!(seen.insert(operation.name), "{} twice among {}", operation.name, family.many);
                assert!(!operation.about.is_empty(), "{} says nothing", operation.name);
                assert!(!operation.examples.is_empty(), "{} has no example", operation.name);
                let mut parameters = BTreeSet::new();
                for parameter in operation.parameters {
                    assert!(parameters.insert(parameter.name), "{}: {} twice", operation.name, parameter.name);
                    assert!(!parameter.about.is_empty(), "{}.{} says nothing", operation.name, parameter.name);
                }
            }
            for later in family.later {
                assert!(!seen.contains(later), "{later} both runs and does not");
            }
        }
    }

    #[test]
    fn blocks_are_documented() {
        for block in blocks::BLOCKS {
            for setting in block.settings {
                assert!(!setting.about.is_empty(), "{}.{} says nothing", block.name, setting.name);
                assert!(!block.later.contains(&setting.name), "{} both runs and does not", setting.name);
            }
        }
    }
}
