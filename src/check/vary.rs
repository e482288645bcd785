//! `vary` lines become axes of a grid: options with labels, of which each variant takes one.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]

use super::reader::{Reader, Vary};
use super::scopes::ScopeId;
use super::value::{Call, Spanned, Value, alike, kind, print_number};
use crate::catalog::{Family, blocks};
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Number};

/// Most variants of one study.
pub const MOST_VARIANTS: usize = 1000;
/// Longest label that is made of a value.
const LONGEST_LABEL: usize = 60;

/// What one `vary` offers.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// The setting, `model.backbone`.
    pub(super) path: String,
    /// Where the `vary` names it.
    pub(super) span: Span,
    pub(super) scope: ScopeId,
    /// At least one; no two labels are the same.
    pub(super) options: Vec<Choosable>,
}

/// One value of an axis.
#[derive(Debug, Clone)]
pub(super) struct Choosable {
    pub(super) label: String,
    pub(super) value: Spanned,
}

/// Evaluates every `vary` of a study; one that is wrong is reported, and its setting poisoned.
pub(super) fn axes(reader: &mut Reader<'_>) -> Vec<Axis> {
    let varies: Vec<(String, Vary<'_>)> = reader.varies().map(|(path, vary)| (path.to_owned(), vary)).collect();
    let mut axes = Vec::new();
    for (path, vary) in varies {
        match options(reader, &path, vary) {
            Some(options) => axes.push(Axis { path, span: vary.path, scope: vary.scope, options }),
            None => reader.poison(&path),
        }
    }
    let counts: Vec<usize> = axes.iter().map(|axis| axis.options.len()).collect();
    let variants = counts.iter().fold(1_usize, |all, count| all.saturating_mul(*count));
    if variants > MOST_VARIANTS {
        let spans: Vec<Span> = axes.iter().map(|axis| axis.span).collect();
        reader.evaluator.problems.grid_too_large(&counts, variants, MOST_VARIANTS, &spans);
        // What else is wrong with the study is looked for in one variant.
        for axis in &mut axes {
            axis.options.truncate(1);
        }
    }
    axes
}

/// Every way to take one option of each axis, as indices; the first axis changes slowest.
pub(super) fn combinations(axes: &[Axis]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for axis in axes {
        let longer = |taken: Vec<usize>| (0..axis.options.len()).map(move |at| [taken.as_slice(), &[at]].concat());
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

fn options<'a>(reader: &mut Reader<'a>, path: &str, vary: Vary<'a>) -> Option<Vec<Choosable>> {
    let value = reader.evaluator.value(vary.value, vary.scope);
    let problems = &mut reader.evaluator.problems;
    let options = match value.value {
        Value::Poison => return None,
        Value::Record(fields) => {
            for (at, (key, _)) in fields.iter().enumerate() {
                if let Some((first, _)) = fields.iter().take(at).find(|(first, _)| first.text == key.text) {
                    problems.option_twice(&key.text, path, first.span, key.span);
                    return None;
                }
                if !super::names_a_folder(&key.text) {
                    problems.option_name(&key.text, key.span);
                    return None;
                }
            }
            fields.into_iter().map(|(key, value)| Choosable { label: key.text, value }).collect()
        }
        Value::List(items) => {
            let (definition, _) = reader.evaluator.definition(vary.value, vary.scope);
            let written: &[Expr] = match &definition.kind {
                ExprKind::List(written) if written.len() == items.len() => written,
                _ => &[],
            };
            labelled(path, items, written)
        }
        Value::Range { start, end, inclusive } => {
            let Some(numbers) = whole_numbers(start, end, inclusive) else {
                problems.vary_over_range(path, value.span, MOST_VARIANTS);
                return None;
            };
            labelled(path, numbers.map(|one| Spanned::new(Value::Number(one), value.span)).collect(), &[])
        }
        other => {
            problems.vary_wants_options(path, kind(&other), value.span);
            return None;
        }
    };
    if options.is_empty() {
        reader.evaluator.problems.vary_nothing(path, vary.value.span);
        return None;
    }
    for (at, option) in options.iter().enumerate() {
        let twin = options.iter().take(at).find(|twin| alike(&twin.value.value, &option.value.value));
        if let (Some(twin), false) = (twin, option.value.value == Value::Poison) {
            reader.evaluator.problems.option_twice(&option.label, path, twin.value.span, option.value.span);
            return None;
        }
    }
    Some(options)
}

/// The whole numbers of a range, if it is one of so many that a grid could hold them.
fn whole_numbers(start: Number, end: Number, inclusive: bool) -> Option<impl Iterator<Item = Number>> {
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let few = end.value - start.value <= MOST_VARIANTS as f64;
    if start.value.fract() != 0.0 || end.value.fract() != 0.0 || !few {
        return None;
    }
    let steps = std::iter::successors(Some(start.value), |one| Some(one + 1.0));
    let inside = move |one: &f64| *one < end.value || (inclusive && *one <= end.value);
    Some(steps.take_while(inside).map(move |value| Number { value, ..start }))
}

/// Gives the options of a list their labels: the name they are written as, else what they call, with the arguments
/// in which those of one name differ; else their number.
fn labelled(path: &str, items: Vec<Spanned>, written: &[Expr]) -> Vec<Choosable> {
    let family = family(path);
    let named: Vec<Option<String>> = items
        .iter()
        .enumerate()
        .map(|(at, item)| match written.get(at).map(|expr| &expr.kind) {
            Some(ExprKind::Member { name, .. }) => Some(name.text.clone()),
            Some(ExprKind::Name(name)) => Some(name.clone()),
            Some(_) | None => short(&item.value),
        })
        .collect();
    let setting = path.rsplit('.').next().unwrap_or(path);
    let alone = |labels: &[Option<String>], at: usize| {
        let label = labels.get(at).and_then(Option::as_deref);
        label.is_some() && labels.iter().filter(|other| other.as_deref() == label).count() == 1
    };
    let full: Vec<Option<String>> = (0..items.len())
        .map(|at| {
            let label = named.get(at).cloned().flatten()?;
            if alone(&named, at) {
                return Some(label);
            }
            let twins = (0..items.len()).filter(|other| named.get(*other).cloned().flatten().as_ref() == Some(&label));
            let twins: Vec<&Value> = twins.filter_map(|twin| items.get(twin)).map(|item| &item.value).collect();
            Some(sanitised(&with_differing_arguments(&items.get(at)?.value, &twins, family)?))
        })
        .map(|label| label.filter(|label| !label.is_empty() && label.chars().count() <= LONGEST_LABEL))
        .collect();
    let labels: Vec<String> = (0..items.len())
        .map(|at| match full.get(at).cloned().flatten() {
            Some(label) if alone(&full, at) => label,
            Some(_) | None => format!("{setting}-{}", at + 1),
        })
        .collect();
    items.into_iter().zip(labels).map(|(value, label)| Choosable { label, value }).collect()
}

/// The operations that a setting takes.
fn family(path: &str) -> Option<&'static Family> {
    let (block, name) = path.split_once('.')?;
    blocks::block(block)?.setting(name)?.takes.family()
}

/// A value in a word or two; `None` if it takes more.
fn short(value: &Value) -> Option<String> {
    let joined = |names: Vec<String>| Some(names.join("+")).filter(|label| label.chars().count() <= LONGEST_LABEL);
    let label = match value {
        Value::Number(number) => print_number(*number),
        Value::Text(words) => words.text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Word(word) => word.clone(),
        Value::Column(column) => column.clone(),
        Value::Call(call) => call.name.text.clone(),
        Value::Sum(terms) => joined(
            terms
                .iter()
                .map(|term| {
                    let weight = Number { value: term.weight, integer: false, unit: None };
                    format!("{}{}", print_number(weight), term.call.name.text)
                })
                .collect(),
        )?,
        Value::List(items) if items.is_empty() => "none".to_owned(),
        Value::List(items) => joined(items.iter().map(|item| short(&item.value)).collect::<Option<_>>()?)?,
        Value::Record(_) | Value::Range { .. } | Value::Condition(_) | Value::Absent | Value::Poison => return None,
    };
    Some(sanitised(&label)).filter(|label| !label.is_empty())
}

/// Without what would be taken for a part of a path or a pattern.
fn sanitised(label: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-+.,=()%".contains(c);
    let label: String = label.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    label.trim_matches(|c| matches!(c, '.' | '_')).to_owned()
}

/// The arguments of a call by the names of the catalog.
fn arguments<'a>(call: &'a Call, family: Option<&'static Family>) -> Vec<(String, &'a Value)> {
    let operation = family.and_then(|family| family.operation(&call.name.text));
    let name = |at: usize| operation.and_then(|operation| operation.parameters.get(at)).map(|one| one.name);
    let mut positions = 0..;
    call.arguments
        .iter()
        .map(|(written, value)| {
            let name = written.as_ref().map_or_else(
                || {
                    let at = positions.next().unwrap_or(0);
                    name(at).map_or_else(|| (at + 1).to_string(), str::to_owned)
                },
                |name| name.text.clone(),
            );
            (name, &value.value)
        })
        .collect()
}

/// `adamw(lr=0.001)`: a call with those arguments that are not the same in all its twins.
fn with_differing_arguments(value: &Value, twins: &[&Value], family: Option<&'static Family>) -> Option<String> {
    let Value::Call(call) = value else { return None };
    let of_twins: Option<Vec<Vec<(String, &Value)>>> = twins
        .iter()
        .map(|twin| match twin {
            Value::Call(twin) => Some(arguments(twin, family)),
            Value::Word(_) => Some(Vec::new()),
            _ => None,
        })
        .collect();
    let of_twins = of_twins?;
    let mut shown = Vec::new();
    for (name, value) in arguments(call, family) {
        let same = |arguments: &Vec<(String, &Value)>| {
            arguments.iter().any(|(other, held)| *other == name && alike(held, value))
        };
        if !of_twins.iter().all(same) {
            let value = match value {
                Value::Call(inner) if !inner.arguments.is_empty() => {
                    with_differing_arguments(value, &[&Value::Word(inner.name.text.clone())], None)?
                }
                _ => short(value)?,
            };
            // A setting of its own shape has no names for its arguments.
            let numbered = name.starts_with(|c: char| c.is_ascii_digit());
            shown.push(if numbered { value } else { format!("{name}={value}") });
        }
    }
    let name = &call.name.text;
    Some(if shown.is_empty() { name.clone() } else { format!("{name}({})", shown.join(",")) })
}
