//! `param`s get their values: from `--set`, from `--params values.yaml`, or their default; typed and ranged.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any other kind is a mismatch, and is reported or absent"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::eval::Evaluator;
use super::files::Sources;
use super::scopes::ScopeId;
use super::value::{Spanned, Value, Words, describe, kind, print_number};
use crate::diag::Problems;
use crate::source::{FileId, SourceMap, Span};
use crate::syntax::ast::{Expr, ExprKind, Field, Name, Number, Param, Text, TextPart, Type, Unit};

/// Which studies of a file are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pick {
    /// The only one; several are E0112.
    #[default]
    Only,
    /// `--study NAME`.
    Named(String),
    /// All of them, for checking; what is not one study gives no [`Checked`](super::Checked).
    Every,
}

/// What is said from outside the file: values for `param`s, and which study is meant. What `--set` says counts before
/// what the values file says.
///
/// A relative `path` starts where it was written: in the working directory for `--set`, in the values file's folder
/// for `--params`, and in the study file's folder for a default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--set name=value`, as typed: `"epochs=5"`.
    pub set: Vec<String>,
    /// `--params values.yaml`: the file's name and its text.
    pub values: Option<(String, String)>,
    /// `--study NAME`.
    pub study: Pick,
    /// `--device`: what the file's `run` blocks say of devices does not count.
    pub elsewhere: bool,
}

/// A value from outside for one `param`.
#[derive(Debug)]
pub(super) struct Given {
    value: Expr,
    name: Span,
    /// The folder in which a relative path that was given starts.
    base: PathBuf,
}

/// Values from outside, by the file and the name of their `param`.
pub(super) type AllGiven = BTreeMap<(usize, String), Given>;

/// Reads what was given from outside.
pub(super) fn given(
    map: &mut SourceMap,
    overrides: &Overrides,
    sources: &Sources,
    problems: &mut Problems,
) -> AllGiven {
    let mut given = BTreeMap::new();
    if let Some((name, text)) = &overrides.values {
        let file = map.add(name.clone(), None, text.clone());
        let base = Path::new(name).parent().unwrap_or(Path::new(""));
        values_file((file, text, base), map, sources, &mut given, problems);
    }
    if !overrides.set.is_empty() {
        command_line(map, &overrides.set, sources, &mut given, problems);
    }
    given
}

/// The `param` of a name; `None` after a problem.
fn find<'a>(
    sources: &'a Sources,
    map: &SourceMap,
    name: &str,
    span: Span,
    problems: &mut Problems,
) -> Option<(usize, &'a Param)> {
    let found = sources.param(0, name);
    if found.is_none() {
        let names = sources.param_names();
        let elsewhere = sources.not_imported(name).map(|file| map.name(file));
        problems.no_such_param(name, span, &names.iter().map(String::as_str).collect::<Vec<_>>(), elsewhere);
    }
    found
}

fn command_line(map: &mut SourceMap, set: &[String], sources: &Sources, given: &mut AllGiven, problems: &mut Problems) {
    // Written out as one text, so that a problem can point into it. One line each: a value holds no newline.
    let lines: Vec<String> = set.iter().map(|one| format!("--set {}", one.replace(['\n', '\r'], " "))).collect();
    let text = lines.join("\n");
    let file = map.add("command line", None, text.clone());
    let mut seen: BTreeMap<(usize, &str), Span> = BTreeMap::new();
    let mut at = 0;
    for line in &lines {
        let start = at + "--set ".len();
        let end = at + line.len();
        at = end + 1;
        let one = text.get(start..end).unwrap_or("");
        let Some((name, value)) = one.split_once('=') else {
            problems.override_without_value(one, Span::new(file, start, end));
            continue;
        };
        let value_start = start + name.len() + 1;
        let name_span = Span::new(file, start, start + name.trim_end().len());
        let name = name.trim();
        let Some((home, param)) = find(sources, map, name, name_span, problems) else { continue };
        if let Some(first) = seen.insert((home, &param.name.text), name_span) {
            problems.setting_twice(name, first, name_span);
            continue;
        }
        let value = typed_by_hand(&param.ty, file, value, value_start, problems);
        given.insert((home, param.name.text.clone()), Given { value, name: name_span, base: PathBuf::new() });
    }
}

/// A value as typed on the command line: texts and paths need no quotes there.
fn typed_by_hand(ty: &Type, file: FileId, value: &str, at: usize, problems: &mut Problems) -> Expr {
    let span = Span::new(file, at, at + value.len());
    if matches!(ty.name.text.as_str(), "text" | "path") && !value.trim_start().starts_with('"') {
        return text(value, span);
    }
    let (expr, wrong) = crate::syntax::parse_value(file, at, value);
    problems.extend(wrong);
    expr
}

fn text(plain: &str, span: Span) -> Expr {
    Expr { kind: ExprKind::Text(Text { parts: vec![TextPart::Plain(plain.to_owned())], span }), span }
}

fn values_file(
    (file, source, base): (FileId, &str, &Path),
    map: &SourceMap,
    sources: &Sources,
    given: &mut AllGiven,
    problems: &mut Problems,
) {
    let whole = Span::new(file, 0, source.lines().next().map_or(0, str::len));
    let values: serde_yaml::Value = match serde_yaml::from_str(source) {
        Ok(values) => values,
        Err(error) => {
            let at = error.location().map_or(whole, |location| line_span(file, source, location.index()));
            problems.values_unreadable(&error.to_string(), at);
            return;
        }
    };
    let values = match values {
        serde_yaml::Value::Null => return,
        serde_yaml::Value::Mapping(values) => values,
        _ => {
            problems.values_unreadable("it is no mapping of names to values", whole);
            return;
        }
    };
    for (name, value) in &values {
        let Some(name) = name.as_str() else {
            problems.values_unreadable("a name in it is no text", whole);
            continue;
        };
        let (name_span, value_span) = entry_spans(file, source, name).unwrap_or((whole, whole));
        let Some((home, param)) = find(sources, map, name, name_span, problems) else { continue };
        let Some(value) = from_yaml(&param.ty, value, value_span, problems) else { continue };
        given.insert((home, param.name.text.clone()), Given { value, name: name_span, base: base.to_path_buf() });
    }
}

/// The line around a byte.
fn line_span(file: FileId, source: &str, at: usize) -> Span {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let start = source.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let end = source.get(at..).and_then(|rest| rest.find('\n')).map_or(source.len(), |newline| at + newline);
    Span::new(file, start, end)
}

/// Where `name: value` stands, if it stands on a line of its own at the margin.
fn entry_spans(file: FileId, source: &str, name: &str) -> Option<(Span, Span)> {
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        let bare = line.trim_start_matches(['"', '\'']);
        let quotes = line.len() - bare.len();
        if let Some(rest) = bare.strip_prefix(name)
            && let Some((gap, value)) = rest.split_once(':')
            && gap.trim_matches([' ', '"', '\'']).is_empty()
        {
            let start = at + quotes;
            let value_start = start + name.len() + gap.len() + 1 + (value.len() - value.trim_start().len());
            let value_end = (value_start + value.trim().len()).max(value_start);
            return Some((Span::new(file, start, start + name.len()), Span::new(file, value_start, value_end)));
        }
        at += line.len();
    }
    None
}

fn from_yaml(ty: &Type, value: &serde_yaml::Value, span: Span, problems: &mut Problems) -> Option<Expr> {
    let kind = match value {
        serde_yaml::Value::Null if ty.optional => return None,
        serde_yaml::Value::Bool(flag) => ExprKind::Bool(*flag),
        serde_yaml::Value::Number(number) => {
            let integer = number.is_i64() || number.is_u64();
            ExprKind::Number(Number { value: number.as_f64()?, integer, unit: None })
        }
        serde_yaml::Value::String(plain) if matches!(ty.name.text.as_str(), "text" | "path") => {
            return Some(text(plain, span));
        }
        // `5epochs`, `20%`: YAML has no units, so they are read as the language reads them.
        serde_yaml::Value::String(plain) => {
            let (expr, wrong) = crate::syntax::parse_value(span.file, 0, plain);
            if wrong.has_errors() {
                return Some(text(plain, span));
            }
            return Some(placed(expr, span));
        }
        serde_yaml::Value::Sequence(items) => {
            let inner = ty.argument.as_deref().unwrap_or(ty);
            ExprKind::List(items.iter().filter_map(|item| from_yaml(inner, item, span, problems)).collect())
        }
        serde_yaml::Value::Null | serde_yaml::Value::Mapping(_) | serde_yaml::Value::Tagged(_) => {
            problems.values_unreadable("this value is neither a number, a text, true or false, nor a list", span);
            ExprKind::Error
        }
    };
    Some(Expr { kind, span })
}

/// A simple value moved to the place it has in the values file.
fn placed(expr: Expr, span: Span) -> Expr {
    let kind = match expr.kind {
        ExprKind::List(items) => ExprKind::List(items.into_iter().map(|item| placed(item, span)).collect()),
        ExprKind::Record(fields) => ExprKind::Record(
            fields
                .into_iter()
                .map(|field| Field { name: Name { span, ..field.name }, value: placed(field.value, span) })
                .collect(),
        ),
        other => other,
    };
    Expr { kind, span }
}

/// The value of a `param`: given from outside, or its default; poison after a problem.
pub(super) fn value<'a>(
    evaluator: &mut Evaluator<'a>,
    param: &'a Param,
    given: Option<&'a Given>,
    scope: ScopeId,
) -> Spanned {
    let name = &param.name;
    let value = match (given, &param.default) {
        (Some(given), _) => placed_path(&param.ty, evaluator.value(&given.value, scope), &given.base),
        (None, Some(default)) => evaluator.value(default, scope),
        (None, None) if param.ty.optional => Spanned::new(Value::Absent, name.span),
        (None, None) => {
            evaluator.problems.param_without_value(&name.text, name.span);
            Spanned::new(Value::Poison, name.span)
        }
    };
    fit(&param.ty, value, &name.text, &mut evaluator.problems)
}

/// Holds a `param` to its `where`; false if it broke it, which has been told.
pub(super) fn constrain<'a>(
    evaluator: &mut Evaluator<'a>,
    param: &'a Param,
    given: Option<&'a Given>,
    value: &Spanned,
    scope: ScopeId,
) -> bool {
    let Some(constraint) = &param.constraint else { return true };
    if matches!(value.value, Value::Poison | Value::Absent) {
        return true;
    }
    let holds = evaluator.value(constraint, scope);
    let broken = within(&value.value, &holds.value) == Some(false);
    if broken {
        let shown = shown(&value.value);
        let outside = given.map(|given| given.name);
        evaluator.problems.param_out_of_range(&param.name.text, &shown, value.span, constraint.span, outside);
    }
    if !matches!(holds.value, Value::Bool(_) | Value::Range { .. } | Value::Poison) {
        evaluator.problems.operand("where", "a range or a condition", kind(&holds.value), constraint.span);
    }
    !broken
}

/// A relative path from outside, made absolute: the study's own paths start in another folder.
fn placed_path(ty: &Type, value: Spanned, base: &Path) -> Spanned {
    let span = value.span;
    let moved = match (ty.name.text.as_str(), &ty.argument, value.value) {
        ("path", _, Value::Text(words)) => {
            let path = std::path::absolute(base.join(&words.text));
            let text = path.map_or(words.text, |path| path.display().to_string());
            Value::Text(Words { text, folder: None })
        }
        ("list", Some(inner), Value::List(items)) => {
            Value::List(items.into_iter().map(|item| placed_path(inner, item, base)).collect())
        }
        (_, _, other) => other,
    };
    Spanned::new(moved, span)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => print_number(*number),
        Value::Text(words) => format!("\"{}\"", words.text),
        other => kind(other).to_owned(),
    }
}

/// Does the value keep to its `where`? `None` if that cannot be told.
fn within(value: &Value, constraint: &Value) -> Option<bool> {
    match (value, constraint) {
        (_, Value::Bool(holds)) => Some(*holds),
        (Value::Number(number), Value::Range { start, end, inclusive }) => {
            let scale = |number: &Number| {
                if number.unit == Some(Unit::Percent) { number.value / 100.0 } else { number.value }
            };
            let share = |unit| matches!(unit, None | Some(Unit::Percent));
            if number.unit != start.unit && !(share(number.unit) && share(start.unit)) {
                return Some(false);
            }
            let (n, start, end) = (scale(number), scale(start), scale(end));
            Some(n >= start && if *inclusive { n <= end } else { n < end })
        }
        (Value::List(items), Value::Range { .. }) => items
            .iter()
            .map(|item| within(&item.value, constraint))
            .find(|holds| *holds != Some(true))
            .unwrap_or(Some(true)),
        _ => None,
    }
}

/// The value as its type wants it, or poison.
fn fit(ty: &Type, value: Spanned, name: &str, problems: &mut Problems) -> Spanned {
    let span = value.span;
    let (fits, wants, example) = match ty.name.text.as_str() {
        "int" => (
            matches!(&value.value, Value::Number(n) if n.unit.is_none() && n.value.fract() == 0.0),
            "a whole number",
            "30",
        ),
        "float" => (
            matches!(&value.value, Value::Number(n) if matches!(n.unit, None | Some(Unit::Percent))),
            "a number",
            "0.5",
        ),
        "bool" => (matches!(value.value, Value::Bool(_)), "true or false", "true"),
        "text" => (matches!(value.value, Value::Text(_)), "a text", "\"...\""),
        "path" => (matches!(value.value, Value::Text(_)), "a path", "\"folder\""),
        "duration" => (
            matches!(&value.value, Value::Number(n) if matches!(n.unit, Some(Unit::Epochs | Unit::Steps
                | Unit::Milliseconds | Unit::Seconds | Unit::Minutes | Unit::Hours | Unit::Days))),
            "a duration with its unit",
            "5epochs",
        ),
        "list" => {
            if let (Value::List(items), Some(inner)) = (&value.value, &ty.argument) {
                let items: Vec<Spanned> = items.iter().map(|item| fit(inner, item.clone(), name, problems)).collect();
                let poisoned = items.iter().any(|item| item.value == Value::Poison);
                return Spanned::new(if poisoned { Value::Poison } else { Value::List(items) }, span);
            }
            (matches!(value.value, Value::List(_)), "a list", "[1, 2]")
        }
        other => {
            problems.no_such_type(other, ty.name.span);
            return Spanned::new(Value::Poison, span);
        }
    };
    if fits || value.value == Value::Poison || (value.value == Value::Absent && ty.optional) {
        return value;
    }
    problems.param_wrong_type(name, wants, &describe(&value.value), value.span, ty.span, example);
    Spanned::new(Value::Poison, span)
}
