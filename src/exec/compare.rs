//! Finished variants become the record of the study as a whole: who is better than the baseline, and who leads.

use super::{Plan, Prediction, RunRecord, StudyRecord};
use crate::check::{Compare, CompareTest, Correction, Headline};
use crate::plan::Planned;
use crate::record::{Axis, Compared, Comparison, Difference, HoldOut, Leader, RECORD_VERSION, VariantRecord};
use crate::stats;
use crate::study::{Bootstrap, Evaluate, IntervalMethod, Metric, Unit};

/// A variant that is done.
pub(super) struct Judged {
    pub(super) index: usize,
    pub(super) record: RunRecord,
    pub(super) predictions: Vec<Prediction>,
}

/// The record of all variants that are done.
pub(super) fn study(plan: &Plan, judged: Vec<Judged>) -> StudyRecord {
    let named = |judged: &Judged| plan.variants.get(judged.index).map_or("", |variant| variant.name.as_str());
    let comparison = plan.compare.as_ref().map(|compare| comparison(compare, &judged, &named));
    let missing: Vec<String> = (0..)
        .zip(&plan.variants)
        .filter(|(index, _)| judged.iter().all(|judged| judged.index != *index))
        .map(|(_, variant)| variant.name.clone())
        .collect();
    let leader = plan.headline.as_ref().and_then(|headline| match headline {
        Headline::Variant(name) => Some(Leader { variant: name.clone(), by: None, holdout: None })
            .filter(|leader| judged.iter().any(|judged| named(judged) == leader.variant)),
        // Nobody is best before all have run.
        Headline::Best(metric) => missing.is_empty().then(|| best(*metric, &judged, &named)).flatten(),
    });
    let first = plan.variants.first().map(|variant| &variant.study);
    StudyRecord {
        version: RECORD_VERSION,
        pipe_version: env!("CARGO_PKG_VERSION").into(),
        key: plan.dag.key().map_or_else(String::new, |key| key.as_str().into()),
        name: first.map_or_else(String::new, |study| study.name.clone()),
        question: first.and_then(|study| study.question.clone()),
        axes: plan.axes().into_iter().map(|(path, labels)| Axis { path, labels }).collect(),
        missing,
        comparison,
        leader,
        variants: judged
            .into_iter()
            .filter_map(|judged| Some(variant(plan.variants.get(judged.index)?, judged)))
            .collect(),
    }
}

fn variant(planned: &Planned, judged: Judged) -> VariantRecord {
    let choices = planned.choices.iter().map(|choice| choice.label.clone()).collect();
    VariantRecord { name: planned.name.clone(), choices, record: judged.record }
}

fn comparison<'a>(compare: &Compare, judged: &'a [Judged], named: &impl Fn(&'a Judged) -> &'a str) -> Comparison {
    let CompareTest::PairedBootstrap { draws } = compare.test;
    let baseline = judged.iter().find(|judged| named(judged) == compare.baseline);
    // The baseline says what is compared; a study that varies its headline is compared by one of them.
    let evaluate = baseline.or(judged.first()).map(|judged| &judged.record.study.evaluate);
    let (metric, unit) =
        evaluate.map_or((Metric::MacroF1, Unit::Patient), |evaluate| (evaluate.primary, evaluate.unit));
    let level = level(evaluate);
    let ask = Bootstrap { replicates: draws, level, method: IntervalMethod::Percentile };
    let mut rows: Vec<Compared> = judged
        .iter()
        .filter(|one| named(one) != compare.baseline)
        .map(|one| Compared {
            variant: named(one).to_owned(),
            difference: baseline
                .filter(|baseline| baseline.record.classes == one.record.classes)
                .and_then(|baseline| difference(one, baseline, metric, unit, &ask)),
        })
        .collect();
    let p: Vec<f64> = rows.iter().filter_map(|row| Some(row.difference.as_ref()?.p)).collect();
    let corrected = match compare.correction {
        Correction::Holm => stats::holm(&p),
        Correction::None => p,
    };
    for (difference, corrected) in rows.iter_mut().filter_map(|row| row.difference.as_mut()).zip(corrected) {
        difference.corrected = corrected;
    }
    let correction = match compare.correction {
        Correction::Holm => "holm",
        Correction::None => "none",
    };
    Comparison { baseline: compare.baseline.clone(), metric, unit, draws, level, correction: correction.into(), rows }
}

fn level(evaluate: Option<&Evaluate>) -> f64 {
    evaluate.and_then(|evaluate| evaluate.intervals).map_or(0.95, |intervals| intervals.level)
}

fn difference(one: &Judged, baseline: &Judged, metric: Metric, unit: Unit, ask: &Bootstrap) -> Option<Difference> {
    let tables = (one.predictions.as_slice(), baseline.predictions.as_slice());
    let classes = baseline.record.classes.len();
    let found = stats::difference(classes, tables, (metric, unit), ask, baseline.record.study.seed)?;
    Some(Difference {
        difference: found.difference,
        interval: found.interval,
        p: found.p,
        corrected: found.p,
        images: found.images,
        patients: found.patients,
    })
}

/// The variant that is best on the folds, and its figures on the hold-out.
fn best<'a>(metric: Metric, judged: &'a [Judged], named: &impl Fn(&'a Judged) -> &'a str) -> Option<Leader> {
    let score = |judged: &Judged| {
        let evaluation = &judged.record.evaluation;
        let figures = match judged.record.study.evaluate.unit {
            Unit::Image => &evaluation.image,
            Unit::Patient => &evaluation.patient,
        };
        metric.better(figures)
    };
    let mut winner: Option<(&Judged, f64)> = None;
    for one in judged {
        // The first of equals stays.
        if let Some(score) = score(one)
            && winner.is_none_or(|(_, before)| score > before)
        {
            winner = Some((one, score));
        }
    }
    let (winner, _) = winner?;
    let evaluate = &winner.record.study.evaluate;
    let holdout = stats::holdout(winner.record.classes.len(), &winner.predictions, evaluate, winner.record.study.seed);
    let holdout = holdout.map(|(figures, intervals, portion)| {
        let (images, patients) = portion;
        HoldOut { images, patients, figures, intervals }
    });
    Some(Leader { variant: named(winner).to_owned(), by: Some(metric), holdout })
}
