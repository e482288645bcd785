//! `report { }`: where the page goes besides the run's folder, and which variant it leads with.

use std::path::PathBuf;

use super::reader::Reader;
use super::take::{Slot, Typed, take};
use super::vary::Axis;
use super::{Headline, Report, Variant, compare, read_model};
use crate::catalog::{Takes, blocks, metrics};
use crate::leakage::{Explained, flow};
use crate::syntax::ast::{Expr, ExprKind};

/// Reads the block of a study whose variants are known.
pub(super) fn read(reader: &mut Reader<'_>, axes: &[Axis], variants: &[Variant], seen: &mut [Explained]) -> Report {
    let html = reader.text(&blocks::REPORT, "html").map(PathBuf::from);
    Report { html, headline: headline(reader, axes, variants, seen) }
}

fn headline(reader: &mut Reader<'_>, axes: &[Axis], variants: &[Variant], seen: &mut [Explained]) -> Option<Headline> {
    let (expr, scope) = reader.expression("report.headline")?;
    if variants.len() < 2 {
        // A `vary` that was wrong has been told.
        if reader.varies().count() == axes.len() {
            reader.evaluator.problems.nothing_leads(expr.span);
        }
        return None;
    }
    if !calls_best(expr) {
        let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        return compare::variant(reader, expr, scope, axes, &names).map(Headline::Variant);
    }
    let value = reader.evaluator.value(expr, scope);
    let slot = Slot { name: "headline", owner: "report", names: &[] };
    let by = match take(&Takes::Operation(&metrics::HEADLINES), &value, slot, &mut reader.evaluator.problems)? {
        Typed::Operation(bound) => read_model::metric(bound.operation("by")?)?,
        Typed::Number(_)
        | Typed::Flag(_)
        | Typed::Text(_)
        | Typed::Column(_)
        | Typed::Word(_)
        | Typed::Operations(_)
        | Typed::Formula(_)
        | Typed::Shaped(_)
        | Typed::Absent => return None,
    };
    let sealed = |variant: &Variant| variant.study.split.holdout > 0.0 || variant.study.split.holdout_rows.is_some();
    let mut leaking = None;
    for (variant, explained) in variants.iter().zip(seen) {
        if flow::headline(&mut explained.flow, sealed(variant)) {
            leaking.get_or_insert(variant);
        }
    }
    if let Some(variant) = leaking
        && reader.sound(&["split.holdout"])
    {
        let folds = variant.study.split.cv.folds;
        let vary = axes.first().map(|axis| axis.span);
        reader.evaluator.problems.winner_on_its_folds(variants.len(), folds, expr.span, vary, &variant.name);
    }
    Some(Headline::Best(by))
}

fn calls_best(expr: &Expr) -> bool {
    let called = if let ExprKind::Call { callee, .. } = &expr.kind { callee.as_ref() } else { expr };
    matches!(&called.kind, ExprKind::Name(name) if name == "best")
}
