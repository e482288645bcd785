//! What each setting of a study means, as it would be written: names of `let` and `param` are gone, arguments that were
//! left out can be shown.
//!
//! Promises: a text made here reads back as the same value.

use indexmap::IndexMap;

use super::take::{Bound, Slot, Typed, bind};
use super::value::{Call, Spanned, Value, print_number};
use crate::catalog::{Family, Operation, Parameter, Setting, Takes};
use crate::diag::Problems;
use crate::study::{Comparison, Predicate, Scalar};
use crate::syntax::{column, quoted};

/// The settings that were written, by dotted path, in the order they are read.
pub type Meanings = IndexMap<String, Meaning>;

/// One setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    /// With the arguments that were written.
    pub written: String,
    /// With every argument.
    pub full: String,
    /// The operations it holds, in order; none for plain values.
    pub calls: Vec<Named>,
}

/// An operation with its arguments.
#[derive(Debug, Clone)]
pub struct Named {
    /// Which.
    pub operation: &'static Operation,
    /// Its number in a sum; 1 elsewhere.
    pub weight: f64,
    /// Each argument there is: its parameter, its text, and whether it was written.
    pub arguments: Vec<(&'static Parameter, String, bool)>,
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        let plain = |named: &Self| -> Vec<(&str, String, bool)> {
            named.arguments.iter().map(|(of, text, written)| (of.name, text.clone(), *written)).collect()
        };
        self.operation.name == other.operation.name && self.weight == other.weight && plain(self) == plain(other)
    }
}

impl Meaning {
    /// A value that was checked.
    pub(super) fn of(takes: &Takes, typed: &Typed) -> Option<Self> {
        let text = |full: bool| text(takes, typed, full);
        let calls = match typed {
            Typed::Operation(bound) => vec![named(1.0, bound)],
            Typed::Operations(all) => all.iter().map(|bound| named(1.0, bound)).collect(),
            Typed::Formula(terms) => terms.iter().map(|(weight, bound)| named(*weight, bound)).collect(),
            Typed::Number(_)
            | Typed::Flag(_)
            | Typed::Text(_)
            | Typed::Column(_)
            | Typed::Word(_)
            | Typed::Shaped(_)
            | Typed::Absent => Vec::new(),
        };
        Some(Self { written: text(false)?, full: text(true)?, calls })
    }

    /// A value of a shape of its own.
    pub(super) fn of_value(value: &Spanned) -> Option<Self> {
        let text = value_text(&value.value)?;
        Some(Self { written: text.clone(), full: text, calls: Vec::new() })
    }
}

fn named(weight: f64, bound: &Bound) -> Named {
    let arguments = bound
        .arguments()
        .filter_map(|(parameter, typed, written)| Some((parameter, text(&parameter.takes, typed, true)?, written)));
    Named { operation: bound.operation, weight, arguments: arguments.collect() }
}

/// `None`: absent.
fn text(takes: &Takes, typed: &Typed, full: bool) -> Option<String> {
    Some(match typed {
        Typed::Number(number) => number_text(takes, *number),
        Typed::Flag(flag) => flag.to_string(),
        Typed::Text(text) => quoted(text),
        Typed::Column(name) => column(name),
        Typed::Word(word) => (*word).to_owned(),
        Typed::Operation(bound) => bound_text(bound, full),
        Typed::Operations(all) => {
            let all: Vec<String> = all.iter().map(|bound| bound_text(bound, full)).collect();
            format!("[{}]", all.join(", "))
        }
        Typed::Formula(terms) => {
            let term = |(weight, bound): &(f64, Bound)| {
                let call = bound_text(bound, full);
                if weight.to_string() == "1" { call } else { format!("{weight} * {call}") }
            };
            terms.iter().map(term).collect::<Vec<_>>().join(" + ")
        }
        Typed::Shaped(value) => value_text(&value.value)?,
        Typed::Absent => return None,
    })
}

fn number_text(takes: &Takes, number: f64) -> String {
    match takes {
        Takes::Epochs { .. } => format!("{number}epochs"),
        Takes::Degrees { .. } => format!("{number}deg"),
        Takes::Share { .. } => {
            let percent = (number * 100.0).round();
            #[expect(clippy::float_cmp, reason = "only if it reads back as the very same number")]
            let same = percent / 100.0 == number;
            if same { format!("{percent}%") } else { number.to_string() }
        }
        Takes::Whole { .. }
        | Takes::Number { .. }
        | Takes::Flag
        | Takes::Text
        | Takes::Path
        | Takes::Column
        | Takes::Word(_)
        | Takes::Operation(_)
        | Takes::Operations(_)
        | Takes::Formula(_)
        | Takes::Shaped(_) => number.to_string(),
    }
}

fn bound_text(bound: &Bound, full: bool) -> String {
    let shown = bound.arguments().filter(|(_, _, written)| full || *written);
    let arguments: Vec<String> = shown
        .filter_map(|(parameter, typed, _)| {
            let value = text(&parameter.takes, typed, full)?;
            // the argument that an operation is about needs no name
            let bare = bound.operation.parameters.first().is_some_and(|first| first.name == parameter.name)
                && matches!(parameter.default, crate::catalog::Default::Required);
            Some(if bare { value } else { format!("{} = {value}", parameter.name) })
        })
        .collect();
    if bound.operation.parameters.is_empty() {
        bound.operation.name.to_owned()
    } else {
        format!("{}({})", bound.operation.name, arguments.join(", "))
    }
}

fn value_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Number(number) => print_number(*number),
        Value::Text(words) => quoted(&words.text),
        Value::Column(name) => column(name),
        Value::Bool(flag) => flag.to_string(),
        Value::Word(word) => word.clone(),
        Value::List(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| value_text(&item.value)).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Record(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Record(fields) => {
            let field = |(name, item): &(crate::syntax::ast::Name, Spanned)| {
                Some(format!("{} = {}", quoted(&name.text), value_text(&item.value)?))
            };
            format!("{{ {} }}", fields.iter().map(field).collect::<Option<Vec<_>>>()?.join(", "))
        }
        Value::Call(call) => call_text(call)?,
        Value::Sum(terms) => {
            let term = |term: &super::value::Term| Some(format!("{} * {}", term.weight, call_text(&term.call)?));
            terms.iter().map(term).collect::<Option<Vec<_>>>()?.join(" + ")
        }
        Value::Range { start, end, inclusive } => {
            format!("{}{}{}", print_number(*start), if *inclusive { "..=" } else { ".." }, print_number(*end))
        }
        Value::Condition(predicate) => predicate_text(predicate, Binding::Or),
        Value::Absent | Value::Poison => return None,
    })
}

fn call_text(call: &Call) -> Option<String> {
    let argument = |(name, item): &(Option<crate::syntax::ast::Name>, Spanned)| {
        let value = value_text(&item.value)?;
        Some(name.as_ref().map_or(value.clone(), |name| format!("{} = {value}", name.text)))
    };
    let arguments = call.arguments.iter().map(argument).collect::<Option<Vec<_>>>()?;
    Some(format!("{}({})", call.name.text, arguments.join(", ")))
}

/// How tightly the operator around a condition binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
}

fn predicate_text(predicate: &Predicate, around: Binding) -> String {
    let (text, own) = match predicate {
        Predicate::Or(left, right) => {
            (format!("{} or {}", predicate_text(left, Binding::Or), predicate_text(right, Binding::And)), Binding::Or)
        }
        Predicate::And(left, right) => (
            format!("{} and {}", predicate_text(left, Binding::And), predicate_text(right, Binding::Not)),
            Binding::And,
        ),
        Predicate::Not(inner) => (format!("not {}", predicate_text(inner, Binding::Not)), Binding::Not),
        Predicate::Compare { column: name, comparison, value } => {
            let sign = match comparison {
                Comparison::Equal => "==",
                Comparison::NotEqual => "!=",
                Comparison::Less => "<",
                Comparison::LessEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterEqual => ">=",
            };
            (format!("{} {sign} {}", column(name), scalar(value)), Binding::Not)
        }
        Predicate::OneOf { column: name, values } => {
            let values: Vec<String> = values.iter().map(scalar).collect();
            (format!("{} in [{}]", column(name), values.join(", ")), Binding::Not)
        }
        Predicate::Within { column: name, start, end, inclusive } => {
            (format!("{} in {start}{}{end}", column(name), if *inclusive { "..=" } else { ".." }), Binding::Not)
        }
    };
    if own < around { format!("({text})") } else { text }
}

fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => quoted(text),
    }
}

/// What a setting that nobody wrote means, as far as its default can be written.
#[must_use]
pub fn by_default(setting: &Setting) -> Option<Meaning> {
    let plain = |text: &str| Meaning { written: text.to_owned(), full: text.to_owned(), calls: Vec::new() };
    let family = match setting.takes {
        Takes::Operation(family) | Takes::Formula(family) => family,
        Takes::Operations(family) => {
            let names = setting.default.strip_prefix('[')?.strip_suffix(']')?;
            let bound: Option<Vec<Bound>> = names
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(|name| bound(family, name))
                .collect();
            return Meaning::of(&setting.takes, &Typed::Operations(bound?));
        }
        Takes::Whole { .. }
        | Takes::Number { .. }
        | Takes::Share { .. }
        | Takes::Epochs { .. }
        | Takes::Degrees { .. } => {
            return setting.default.starts_with(|c: char| c.is_ascii_digit()).then(|| plain(setting.default));
        }
        Takes::Flag => return matches!(setting.default, "true" | "false").then(|| plain(setting.default)),
        Takes::Word(words) => return words.contains(&setting.default).then(|| plain(setting.default)),
        Takes::Text | Takes::Path | Takes::Column | Takes::Shaped(_) => return None,
    };
    let typed = Typed::Operation(Box::new(bound(family, setting.default)?));
    Meaning::of(&Takes::Operation(family), &typed)
}

/// An operation with none of its arguments written.
fn bound(family: &'static Family, text: &str) -> Option<Bound> {
    let word = text.split('(').next().unwrap_or(text).trim();
    let file = crate::source::SourceMap::new().add("catalog", None, "");
    let span = crate::source::Span::new(file, 0, 0);
    let name = crate::syntax::ast::Name { text: family.operation(word)?.name.to_owned(), span };
    let call = Call { name, arguments: Vec::new(), span };
    let slot = Slot { name: "", owner: "", names: &[] };
    bind(family, &call, slot, &mut Problems::new())
}
