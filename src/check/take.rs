//! Values become what a setting or an argument takes, by the catalog's tables: types, units, ranges, names.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]

use std::collections::BTreeMap;

use super::arithmetic::terms;
use super::value::{Call, Spanned, Value, describe, kind};
use crate::catalog::backbones::Backbone;
use crate::catalog::describe::example;
use crate::catalog::{Default, Family, Operation, Parameter, Takes};
use crate::diag::Problems;
use crate::source::Span;
use crate::syntax;
use crate::syntax::ast::{Name, Number, Unit};

/// A value of the right type, within its range, in plain units (shares 0..1, epochs, degrees).
#[derive(Debug, Clone)]
pub(super) enum Typed {
    Number(f64),
    Flag(bool),
    Text(String),
    Column(String),
    Word(&'static str),
    Operation(Box<Bound>),
    Operations(Vec<Bound>),
    Formula(Vec<(f64, Bound)>),
    Shaped(Spanned),
    Absent,
}

/// A call whose arguments all are what the operation takes, defaults filled in.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// Which.
    pub(super) operation: &'static Operation,
    /// The whole call.
    pub(super) span: Span,
    values: BTreeMap<&'static str, (Typed, Option<Span>)>,
}

impl Bound {
    fn get(&self, name: &str) -> Option<&Typed> {
        self.values.get(name).map(|(value, _)| value)
    }

    /// Where an argument was written; the call if it was not.
    pub(super) fn place(&self, name: &str) -> Span {
        self.values.get(name).and_then(|(_, span)| *span).unwrap_or(self.span)
    }

    /// The arguments that were written, with their places.
    pub(super) fn written(&self) -> impl Iterator<Item = (&'static str, Span)> {
        self.values.iter().filter_map(|(name, (_, span))| span.map(|span| (*name, span)))
    }

    /// Every argument in order of the parameters, and whether it was written.
    pub(super) fn arguments(&self) -> impl Iterator<Item = (&'static Parameter, &Typed, bool)> {
        let of = |parameter: &'static Parameter| {
            let (value, span) = self.values.get(parameter.name)?;
            Some((parameter, value, span.is_some()))
        };
        self.operation.parameters.iter().filter_map(of)
    }

    /// A number, a share, an angle or epochs.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Typed::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A whole number.
    pub(super) fn whole(&self, name: &str) -> Option<u32> {
        self.number(name).map(whole)
    }

    /// A seed.
    pub(super) fn seed(&self, name: &str) -> Option<u64> {
        self.number(name).map(seed)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Typed::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A text, a path or a column.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Typed::Text(text) | Typed::Column(text) => Some(text),
            _ => None,
        }
    }

    /// One of a few words.
    pub(super) fn word(&self, name: &str) -> Option<&'static str> {
        match self.get(name)? {
            Typed::Word(word) => Some(word),
            _ => None,
        }
    }

    /// An operation.
    pub(super) fn operation(&self, name: &str) -> Option<&Bound> {
        match self.get(name)? {
            Typed::Operation(bound) => Some(bound),
            _ => None,
        }
    }

    /// A value of its own shape.
    pub(super) fn shaped(&self, name: &str) -> Option<&Spanned> {
        match self.get(name)? {
            Typed::Shaped(value) => Some(value),
            _ => None,
        }
    }
}

/// A number that `take` found to be whole and within `u32`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`take` held it to whole numbers in range")]
pub(super) fn whole(number: f64) -> u32 {
    number as u32
}

/// A number that `take` found to be whole and not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`take` held it to whole numbers in range")]
pub(super) fn seed(number: f64) -> u64 {
    number as u64
}

/// What is being filled: a setting of a block, or an argument of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The block or operation it belongs to.
    pub(super) owner: &'a str,
    /// Names of `let`s and `param`s one could have meant.
    pub(super) names: &'a [String],
}

/// Checks a value; `None` means that it was wrong and has been reported, here or before.
pub(super) fn take(takes: &Takes, value: &Spanned, slot: Slot<'_>, problems: &mut Problems) -> Option<Typed> {
    match (takes, &value.value) {
        (_, Value::Poison) => None,
        (_, Value::Absent) => Some(Typed::Absent),
        (
            Takes::Whole { .. }
            | Takes::Number { .. }
            | Takes::Share { .. }
            | Takes::Epochs { .. }
            | Takes::Degrees { .. },
            Value::Number(number),
        ) => take_number(takes, *number, value, slot, problems).map(Typed::Number),
        (Takes::Flag, Value::Bool(flag)) => Some(Typed::Flag(*flag)),
        (Takes::Text, Value::Text(words)) => Some(Typed::Text(words.text.clone())),
        (Takes::Path, Value::Text(words)) => Some(Typed::Text(words.path())),
        (Takes::Column, Value::Column(column)) => Some(Typed::Column(column.clone())),
        (Takes::Word(words), Value::Word(word)) => take_word(words, word, value.span, slot, problems),
        (Takes::Word(words), Value::Call(call)) if call.arguments.is_empty() => {
            take_word(words, &call.name.text, value.span, slot, problems)
        }
        (Takes::Operation(family), Value::Call(_) | Value::Word(_)) => {
            let call = terms(value.value.clone(), value.span)?.pop()?.call;
            bind(family, &call, slot, problems).map(|bound| Typed::Operation(Box::new(bound)))
        }
        (Takes::Operations(family), Value::List(items)) => {
            let mut bound = Vec::with_capacity(items.len());
            for item in items {
                if let Some(Typed::Operation(one)) = take(&Takes::Operation(family), item, slot, problems) {
                    bound.push(*one);
                }
            }
            (bound.len() == items.len()).then_some(Typed::Operations(bound))
        }
        (Takes::Formula(family), Value::Call(_) | Value::Word(_) | Value::Sum(_)) => {
            let terms = terms(value.value.clone(), value.span)?;
            let mut bound = Vec::with_capacity(terms.len());
            for term in &terms {
                if !(term.weight.is_finite() && term.weight > 0.0) {
                    problems.weight_not_positive(&term.call.name.text, term.weight, term.call.span);
                    continue;
                }
                if let Some(one) = bind(family, &term.call, slot, problems) {
                    bound.push((term.weight, one));
                }
            }
            (bound.len() == terms.len()).then_some(Typed::Formula(bound))
        }
        (Takes::Shaped(_), _) => Some(Typed::Shaped(value.clone())),
        (_, Value::Word(word)) if !matches!(takes, Takes::Operations(_)) => {
            problems.wrong_name(slot.name, word, value.span, &wants(takes), &example(takes), slot.names);
            None
        }
        (_, _) => {
            wrong_type(takes, value, slot, problems);
            None
        }
    }
}

fn wrong_type(takes: &Takes, value: &Spanned, slot: Slot<'_>, problems: &mut Problems) {
    let name = syntax::field(slot.name);
    let help = match (takes, &value.value) {
        (Takes::Column, Value::Text(words)) => format!("write  {name} = `{}`", words.text),
        (Takes::Text | Takes::Path, Value::Column(text)) => format!("write  {name} = \"{text}\""),
        (takes, written) => match called_with(takes, written) {
            Some(call) => format!("write  {name} = {call}"),
            None => format!("for example  {name} = {}", example(takes)),
        },
    };
    problems.wrong_type(slot.name, &wants(takes), kind(&value.value), &describe(&value.value), value.span, &help);
}

/// `csv("nih.csv")` of a path, `` file(`Image Index`) `` of a column: what was written, where it belongs.
fn called_with(takes: &Takes, written: &Value) -> Option<String> {
    let Takes::Operation(family) = takes else { return None };
    let fits = |first: &Takes| match written {
        Value::Text(_) => matches!(first, Takes::Path),
        Value::Column(_) => matches!(first, Takes::Column),
        _ => false,
    };
    let operation = family.operations.iter().find(|one| one.parameters.first().is_some_and(|one| fits(&one.takes)))?;
    let argument = match written {
        Value::Text(words) => syntax::quoted(&words.text),
        Value::Column(column) => syntax::column(column),
        _ => return None,
    };
    Some(format!("{}({argument})", operation.name))
}

/// Reports a value that is not of the shape a setting wants; silent on poison.
pub(super) fn wrong_shape(name: &str, wants: &str, value: &Spanned, problems: &mut Problems) {
    if value.value != Value::Poison {
        let help = match &value.value {
            Value::Text(words) if wants.starts_with("a column") => format!("write  {name} = `{}`", words.text),
            _ => format!("`{name}` takes {wants}"),
        };
        problems.wrong_type(
            name,
            &format!("takes {wants}"),
            kind(&value.value),
            &describe(&value.value),
            value.span,
            &help,
        );
    }
}

fn take_number(takes: &Takes, number: Number, value: &Spanned, slot: Slot<'_>, problems: &mut Problems) -> Option<f64> {
    let n = number.value;
    if !n.is_finite() {
        problems.out_of_range(slot.name, "a finite number", &n.to_string(), value.span, "");
        return None;
    }
    let plain = n.to_string();
    match *takes {
        Takes::Whole { from, to, counts } => {
            let fits = match number.unit {
                None => true,
                Some(Unit::Epochs) => counts == "passes over the data",
                Some(Unit::Pixels) => counts == "pixels",
                Some(_) => false,
            };
            if !fits {
                wrong_type(takes, value, slot, problems);
                return None;
            }
            if n.fract() != 0.0 {
                problems.not_whole(slot.name, &plain, value.span);
                return None;
            }
            #[expect(clippy::cast_precision_loss, reason = "bounds lie below 2^53")]
            let inside = n >= from as f64 && n <= to as f64;
            let bounds = if to >= 1_000_000_000 { format!("at least {from}") } else { format!("within {from}..={to}") };
            inside.then_some(n).or_else(|| {
                problems.out_of_range(slot.name, &bounds, &plain, value.span, "");
                None
            })
        }
        Takes::Number { from, included, to } => {
            if number.unit.is_some() {
                wrong_type(takes, value, slot, problems);
                return None;
            }
            let inside = n <= to && (n > from || (included && n >= from));
            let bounds = match (included, to >= 1e6) {
                (true, true) => format!("at least {from}"),
                (false, true) => format!("above {from}"),
                (true, false) => format!("within {from}..={to}"),
                (false, false) => format!("above {from} and at most {to}"),
            };
            inside.then_some(n).or_else(|| {
                problems.out_of_range(slot.name, &bounds, &plain, value.span, "");
                None
            })
        }
        Takes::Share { from, to } => {
            let share = match number.unit {
                None => n,
                Some(Unit::Percent) => n / 100.0,
                Some(_) => {
                    wrong_type(takes, value, slot, problems);
                    return None;
                }
            };
            (share >= from && share <= to).then_some(share).or_else(|| {
                let help = if number.unit.is_none() && (2.0..=100.0).contains(&n) {
                    format!("write  {} = {n}%  if a percentage is meant", slot.name)
                } else {
                    String::new()
                };
                let bounds = if number.unit == Some(Unit::Percent) {
                    format!("within {}..={}%", from * 100.0, to * 100.0)
                } else {
                    format!("within {from}..={to}")
                };
                let shown = super::value::print_number(number);
                problems.out_of_range(slot.name, &bounds, &shown, value.span, &help);
                None
            })
        }
        Takes::Epochs { from, whole } => {
            match number.unit {
                Some(Unit::Epochs) => {}
                None => {
                    problems.needs_unit(slot.name, &plain, &format!("{n}epochs"), value.span);
                    return None;
                }
                Some(_) => {
                    wrong_type(takes, value, slot, problems);
                    return None;
                }
            }
            if whole && n.fract() != 0.0 {
                problems.not_whole(slot.name, &plain, value.span);
                return None;
            }
            (n >= from && n <= 100_000.0).then_some(n).or_else(|| {
                let least = format!("{from} epoch{}", if from.to_string() == "1" { "" } else { "s" });
                let bounds = if n < from { format!("at least {least}") } else { "at most 100000 epochs".to_owned() };
                problems.out_of_range(slot.name, &bounds, &plain, value.span, "");
                None
            })
        }
        Takes::Degrees { to } => {
            match number.unit {
                Some(Unit::Degrees) => {}
                None => {
                    problems.needs_unit(slot.name, &plain, &format!("{n}deg"), value.span);
                    return None;
                }
                Some(_) => {
                    wrong_type(takes, value, slot, problems);
                    return None;
                }
            }
            (n >= 0.0 && n <= to).then_some(n).or_else(|| {
                problems.out_of_range(slot.name, &format!("within 0deg..={to}deg"), &plain, value.span, "");
                None
            })
        }
        Takes::Flag
        | Takes::Text
        | Takes::Path
        | Takes::Column
        | Takes::Word(_)
        | Takes::Operation(_)
        | Takes::Operations(_)
        | Takes::Formula(_)
        | Takes::Shaped(_) => None,
    }
}

fn take_word(
    words: &'static [&'static str],
    word: &str,
    span: Span,
    slot: Slot<'_>,
    problems: &mut Problems,
) -> Option<Typed> {
    if let Some(known) = words.iter().find(|known| **known == word) {
        return Some(Typed::Word(known));
    }
    if slot.name == "precision" && matches!(word, "f16" | "fp16" | "mixed" | "tf32") {
        problems.not_yet_among("precision", word, span, words.iter().copied());
    } else if slot.name == "correction" && matches!(word, "bonferroni" | "benjamini_hochberg" | "fdr") {
        problems.not_yet_among("correction", word, span, words.iter().copied());
    } else {
        problems.no_such_word(slot.name, slot.owner, word, span, words, slot.names);
    }
    None
}

/// Finds the operation a call names and checks its arguments.
pub(super) fn bind(family: &'static Family, call: &Call, slot: Slot<'_>, problems: &mut Problems) -> Option<Bound> {
    let Some(operation) = family.operation(&call.name.text) else {
        unknown_operation(family, call, slot, problems);
        return None;
    };
    let mut values: BTreeMap<&'static str, (Typed, Option<Span>)> = BTreeMap::new();
    let mut sound = true;
    let mut position = 0;
    for (name, value) in &call.arguments {
        let Some(parameter) = parameter_for(operation, name.as_ref(), position, value.span, problems) else {
            sound = false;
            position += usize::from(name.is_none());
            continue;
        };
        position += usize::from(name.is_none());
        if let Some((_, first)) = values.get(parameter.name) {
            let second = name.as_ref().map_or(value.span, |name| name.span);
            problems.argument_twice(parameter.name, operation.name, first.unwrap_or(call.span), second);
            sound = false;
            continue;
        }
        let inner = Slot { name: parameter.name, owner: operation.name, names: slot.names };
        match take(&parameter.takes, value, inner, problems) {
            Some(Typed::Absent) => {}
            Some(typed) => {
                values.insert(parameter.name, (typed, Some(value.span)));
            }
            None => sound = false,
        }
    }
    if !sound {
        return None;
    }
    for parameter in operation.parameters {
        if values.contains_key(parameter.name) {
            continue;
        }
        let Some(default) = default(parameter, operation, call, problems) else {
            sound = false;
            continue;
        };
        values.insert(parameter.name, (default, None));
    }
    sound.then_some(Bound { operation, span: call.span, values })
}

fn unknown_operation(family: &'static Family, call: &Call, slot: Slot<'_>, problems: &mut Problems) {
    let word = &call.name.text;
    let span = call.name.span;
    if family.later.contains(&word.as_str()) || family.later.contains(&word.replace('-', "_").as_str()) {
        problems.not_yet_among(family.one, word, span, family.names());
        return;
    }
    match family.one {
        "backbone" => problems.unknown_backbone(word, span, family.names(), family.later),
        "set of weights" => {
            let words = Backbone::named(slot.owner).map(|backbone| backbone.card().words()).unwrap_or_default();
            problems.no_such_weights(slot.owner, word, span, &words);
        }
        _ => {
            let elsewhere =
                crate::catalog::FAMILIES.iter().find(|other| other.operation(word).is_some()).map(|other| other.one);
            problems.unknown_operation(family.one, family.many, word, span, family.names(), slot.names, elsewhere);
        }
    }
}

fn parameter_for(
    operation: &'static Operation,
    name: Option<&Name>,
    position: usize,
    span: Span,
    problems: &mut Problems,
) -> Option<&'static Parameter> {
    match name {
        Some(name) => operation.parameter(&name.text).or_else(|| {
            if operation.later.contains(&name.text.as_str()) {
                problems.argument_not_yet(&name.text, operation.name, name.span);
            } else {
                let known: Vec<&str> = operation.parameters.iter().map(|parameter| parameter.name).collect();
                problems.no_such_argument(&name.text, operation.name, name.span, &known);
            }
            None
        }),
        None => operation.parameters.get(position).or_else(|| {
            if position == operation.parameters.len() {
                problems.too_many_arguments(operation.name, operation.parameters.len(), span);
            }
            None
        }),
    }
}

fn default(
    parameter: &'static Parameter,
    operation: &'static Operation,
    call: &Call,
    problems: &mut Problems,
) -> Option<Typed> {
    match (parameter.default, parameter.takes) {
        (Default::Required, _) => {
            let example = operation.examples.first().copied().unwrap_or(operation.name);
            problems.argument_missing(parameter.name, operation.name, parameter.about, call.span, example);
            None
        }
        (Default::Absent, _) => Some(Typed::Absent),
        (Default::Number(number), _) => Some(Typed::Number(number)),
        (Default::Flag(flag), _) => Some(Typed::Flag(flag)),
        (Default::Word(word), Takes::Operation(family)) => {
            let name = Name { text: word.to_owned(), span: call.span };
            let inner = Call { name, arguments: Vec::new(), span: call.span };
            let slot = Slot { name: parameter.name, owner: operation.name, names: &[] };
            bind(family, &inner, slot, problems).map(|bound| Typed::Operation(Box::new(bound)))
        }
        (Default::Word(word), _) => Some(Typed::Word(word)),
    }
}

/// What a slot wants, as a predicate: `counts images`, `takes a share`.
pub(super) fn wants(takes: &Takes) -> String {
    match takes {
        Takes::Whole { counts: "", .. } => "is a whole number".to_owned(),
        Takes::Whole { counts, .. } => format!("counts {counts}"),
        Takes::Number { .. } => "is a plain number".to_owned(),
        Takes::Share { .. } => "is a share".to_owned(),
        Takes::Epochs { .. } => "is a number of epochs".to_owned(),
        Takes::Degrees { .. } => "is an angle".to_owned(),
        Takes::Flag => "is true or false".to_owned(),
        Takes::Text => "is a text in quotes".to_owned(),
        Takes::Path => "is a path in quotes".to_owned(),
        Takes::Column => "is a column in backticks".to_owned(),
        Takes::Word(_) => "is one of a few words".to_owned(),
        Takes::Operation(family) if family.one.starts_with(['a', 'e', 'i', 'o']) => format!("takes an {}", family.one),
        Takes::Operation(family) => format!("takes a {}", family.one),
        Takes::Operations(family) => format!("takes a list of {}", family.many),
        Takes::Formula(family) => format!("adds up numbers times {}", family.many),
        Takes::Shaped(words) => format!("takes {words}"),
    }
}
