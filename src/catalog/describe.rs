//! The catalog's tables become words: what a slot takes, within which bounds, in which unit, and a value it accepts.
//!
//! The editor's hover, the reference page and `check`'s help lines print these, so that they never differ.

use super::{Default, Family, Operation, Parameter, Takes};

/// Bounds from here on are there to stop nonsense, and are not worth telling.
const HUGE: f64 = 1e6;

/// What a slot takes, as a noun with its bounds: `a whole number from 1 to 100000 (passes over the data)`.
#[must_use]
pub fn takes(takes: &Takes) -> String {
    match takes {
        Takes::Whole { from, to, counts } => {
            let bounds = if *to >= 1_000_000_000 { format!("at least {from}") } else { format!("from {from} to {to}") };
            let counts = if counts.is_empty() { String::new() } else { format!(" ({counts})") };
            format!("a whole number, {bounds}{counts}")
        }
        Takes::Number { from, included, to } => match (included, *to >= HUGE) {
            (true, true) => format!("a number, at least {from}"),
            (false, true) => format!("a number above {from}"),
            (true, false) => format!("a number from {from} to {to}"),
            (false, false) => format!("a number above {from}, at most {to}"),
        },
        Takes::Share { from, to } => {
            format!("a share from {from} to {to}, also as a percentage from {}% to {}%", from * 100.0, to * 100.0)
        }
        Takes::Epochs { from, whole } => {
            let whole = if *whole { "whole epochs" } else { "epochs" };
            format!("{whole} with the unit, at least {from}: `5epochs`")
        }
        Takes::Degrees { to } => format!("an angle with its unit, from 0deg to {to}deg"),
        Takes::Flag => "`true` or `false`".to_owned(),
        Takes::Text => "a text in quotes".to_owned(),
        Takes::Path => "a path in quotes; a relative one starts at the study file's folder".to_owned(),
        Takes::Column => "a column of the table, in backticks".to_owned(),
        Takes::Word(words) => match words {
            [only] => format!("`{only}`"),
            _ => format!("one of {}", quoted(words.iter().copied())),
        },
        Takes::Operation(family) => format!("{} {}: {}", article(family.one), family.one, quoted(family.names())),
        Takes::Operations(family) => format!("a list of {}: {}", family.many, quoted(family.names())),
        Takes::Formula(family) => {
            format!("numbers times {}, added up: {}", family.many, quoted(family.names()))
        }
        Takes::Shaped(words) => (*words).to_owned(),
    }
}

/// `a` or `an`, by the word's first letter.
#[must_use]
pub fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) { "an" } else { "a" }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A value that would be accepted; for a shape of its own, its description.
#[must_use]
pub fn example(takes: &Takes) -> String {
    let of = |family: &Family| {
        let first = family.operations.first().and_then(|operation| operation.examples.first());
        first.copied().unwrap_or_default().to_owned()
    };
    match takes {
        Takes::Whole { counts: "passes over the data", .. } => "30".to_owned(),
        Takes::Whole { from, .. } => (*from).max(32).to_string(),
        Takes::Number { to, .. } => if *to < 10.0 { "0.1" } else { "1.0" }.to_owned(),
        Takes::Share { .. } => "20%".to_owned(),
        Takes::Epochs { .. } => "5epochs".to_owned(),
        Takes::Degrees { .. } => "10deg".to_owned(),
        Takes::Flag => "true".to_owned(),
        Takes::Text => "\"...\"".to_owned(),
        Takes::Path => "\"folder/file\"".to_owned(),
        Takes::Column => "`column`".to_owned(),
        Takes::Word(words) => words.first().copied().unwrap_or_default().to_owned(),
        Takes::Operation(family) | Takes::Formula(family) => of(family),
        Takes::Operations(family) => format!("[{}]", of(family)),
        Takes::Shaped(words) => (*words).to_owned(),
    }
}

/// A parameter's default as one would write it; `None` if it must be written or is absent.
#[must_use]
pub fn default(parameter: &Parameter) -> Option<String> {
    match (parameter.default, parameter.takes) {
        (Default::Required | Default::Absent, _) => None,
        (Default::Number(number), Takes::Epochs { .. }) => Some(format!("{number}epochs")),
        (Default::Number(number), Takes::Degrees { .. }) => Some(format!("{number}deg")),
        (Default::Number(number), _) => Some(number.to_string()),
        (Default::Flag(flag), _) => Some(flag.to_string()),
        (Default::Word(word), _) => Some(word.to_owned()),
    }
}

/// A call with every parameter: `focal(gamma = 2, alpha = 0.25, class_weights?)`. What must be written stands bare,
/// what may be absent ends in `?`.
#[must_use]
pub fn signature(operation: &Operation) -> String {
    if operation.parameters.is_empty() {
        return operation.name.to_owned();
    }
    let parameters: Vec<String> = operation.parameters.iter().map(shown).collect();
    format!("{}({})", operation.name, parameters.join(", "))
}

/// One parameter as [`signature`] shows it.
#[must_use]
pub fn shown(parameter: &Parameter) -> String {
    match (parameter.default, default(parameter)) {
        (_, Some(default)) => format!("{} = {default}", parameter.name),
        (Default::Required, None) => parameter.name.to_owned(),
        (_, None) => format!("{}?", parameter.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{FAMILIES, losses};

    #[test]
    fn bounds_and_units_are_told() {
        let epochs = Takes::Whole { from: 1, to: 100_000, counts: "passes over the data" };
        assert_eq!(takes(&epochs), "a whole number, from 1 to 100000 (passes over the data)");
        let share = Takes::Share { from: 0.0, to: 0.9 };
        assert_eq!(takes(&share), "a share from 0 to 0.9, also as a percentage from 0% to 90%");
        assert_eq!(takes(&Takes::Number { from: 0.0, included: false, to: 100.0 }), "a number above 0, at most 100");
    }

    #[test]
    fn signatures_hold_defaults() {
        let focal = losses::LOSSES.operation("focal").map(signature);
        assert_eq!(focal.as_deref(), Some("focal(gamma = 2, alpha = 0.25, smoothing = 0, class_weights?)"));
    }

    #[test]
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others have no unit")]
    fn a_default_is_a_value_the_parameter_takes() {
        for operation in FAMILIES.iter().flat_map(|family| family.operations) {
            for parameter in operation.parameters {
                let unit = match parameter.takes {
                    Takes::Epochs { .. } => "epochs",
                    Takes::Degrees { .. } => "deg",
                    _ => "",
                };
                if let (Default::Number(_), Some(shown)) = (parameter.default, default(parameter)) {
                    assert!(shown.ends_with(unit), "{}.{}: {shown}", operation.name, parameter.name);
                }
            }
        }
    }
}
