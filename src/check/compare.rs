//! `compare { }`: which variant all others are compared with, and how a difference is judged.

use super::reader::Reader;
use super::value::{Value, alike, print_number};
use super::vary::Axis;
use super::{Compare, CompareTest, Correction, Variant};
use crate::catalog::blocks;
use crate::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Field};

/// Reads the block of a study whose variants are known; `None` if there is none, or after a problem.
pub(super) fn read(reader: &mut Reader<'_>, axes: &[Axis], variants: &[Variant]) -> Option<Compare> {
    let table = &blocks::COMPARE;
    let settings = table.settings.iter().map(|setting| format!("{}.{}", table.name, setting.name));
    let span =
        reader.places.get(table.name).or_else(|| settings.into_iter().find_map(|path| reader.name_place(&path)))?;
    let draws = reader.operation(table, "test").and_then(|test| test.whole("draws"));
    let correction = match reader.word(table, "correction") {
        Some("none") => Correction::None,
        Some(_) | None => Correction::Holm,
    };
    if variants.len() < 2 {
        // A `vary` that was wrong has been told.
        if reader.varies().count() == axes.len() {
            reader.evaluator.problems.nothing_to_compare(span);
        }
        return None;
    }
    let baseline = match reader.expression("compare.baseline") {
        Some((expr, scope)) => {
            let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
            let found = variant(reader, expr, scope, axes, &names)?;
            variants.iter().find(|variant| variant.name == found)?
        }
        None => variants.first()?,
    };
    let baseline = baseline.name.clone();
    let test = CompareTest::PairedBootstrap { draws: draws.unwrap_or(2000) };
    Some(Compare { baseline, test, correction, span })
}

/// The name of the variant that `baseline` or `headline` means.
pub(super) fn variant<'a>(
    reader: &mut Reader<'a>,
    expr: &'a Expr,
    scope: usize,
    axes: &[Axis],
    names: &[&str],
) -> Option<String> {
    if let ExprKind::Record(fields) = &expr.kind {
        return of_choices(reader, fields, expr.span, scope, axes);
    }
    let name = match label(reader, expr, scope, axes.first().filter(|_| axes.len() == 1))? {
        Ok(label) | Err(label) => label,
    };
    if !names.contains(&name.as_str()) {
        reader.evaluator.problems.no_such_variant(&name, expr.span, names);
        return None;
    }
    Some(name)
}

/// `{ backbone = resnet18, loss = ce }`
fn of_choices<'a>(
    reader: &mut Reader<'a>,
    fields: &'a [Field],
    span: Span,
    scope: usize,
    axes: &[Axis],
) -> Option<String> {
    let called = |axis: &Axis, key: &str| axis.path == key || axis.path.rsplit('.').next() == Some(key);
    let paths: Vec<&str> = axes.iter().map(|axis| axis.path.as_str()).collect();
    let mut taken: Vec<Option<String>> = vec![None; axes.len()];
    for field in fields {
        let at = axes.iter().position(|axis| called(axis, &field.name.text));
        let (Some(axis), Some(slot)) = (at.and_then(|at| axes.get(at)), at.and_then(|at| taken.get_mut(at))) else {
            reader.evaluator.problems.baseline_varies_not(&field.name.text, field.name.span, &paths);
            return None;
        };
        match label(reader, &field.value, scope, Some(axis))? {
            Ok(label) => *slot = Some(label),
            Err(label) => {
                let labels: Vec<&str> = axis.options.iter().map(|option| option.label.as_str()).collect();
                reader.evaluator.problems.no_such_option(&label, &axis.path, field.value.span, axis.span, &labels);
                return None;
            }
        }
    }
    if let Some((axis, _)) = axes.iter().zip(&taken).find(|(axis, label)| label.is_none() && axis.options.len() > 1) {
        let labels: Vec<&str> = axis.options.iter().map(|option| option.label.as_str()).collect();
        reader.evaluator.problems.baseline_leaves_open(&axis.path, span, axis.span, &labels);
        return None;
    }
    let labels = axes.iter().zip(taken).map(|(axis, label)| {
        label.or_else(|| axis.options.first().map(|option| option.label.clone())).unwrap_or_default()
    });
    Some(labels.collect::<Vec<_>>().join("/"))
}

/// The label that a value means: `Ok` if it is one of the axis, `Err` if it is none; `None` after a problem.
fn label<'a>(
    reader: &mut Reader<'a>,
    expr: &'a Expr,
    scope: usize,
    axis: Option<&Axis>,
) -> Option<Result<String, String>> {
    let options = axis.map_or(&[][..], |axis| axis.options.as_slice());
    let known = |label: &str| options.iter().find(|option| option.label == label).map(|option| option.label.clone());
    // A label is meant before a `let` of the same name: `{ noisy = noisy }`.
    if let ExprKind::Name(name) = &expr.kind
        && let Some(label) = known(name)
    {
        reader.evaluator.touch(expr, scope);
        return Some(Ok(label));
    }
    let value = reader.evaluator.value(expr, scope);
    if let Some(option) = options.iter().find(|option| alike(&option.value.value, &value.value)) {
        return Some(Ok(option.label.clone()));
    }
    let word = match &value.value {
        Value::Word(word) => word.clone(),
        Value::Text(words) => words.text.clone(),
        Value::Number(number) => print_number(*number),
        Value::Bool(flag) => flag.to_string(),
        Value::Call(call) => call.name.text.clone(),
        Value::Poison => return None,
        Value::Column(_)
        | Value::List(_)
        | Value::Record(_)
        | Value::Sum(_)
        | Value::Range { .. }
        | Value::Condition(_)
        | Value::Absent => {
            let wants = "a variant, `{ backbone = resnet18 }` or its name in quotes";
            super::take::wrong_shape("baseline", wants, &value, &mut reader.evaluator.problems);
            return None;
        }
    };
    Some(known(&word).ok_or(word))
}
