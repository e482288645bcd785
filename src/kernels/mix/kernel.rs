//! Logits and targets become each term of a study's loss, and the gradient of their weighted sum.
//!
//! Narrow rows have a *unit* (a thread) each, wide ones a *plane* (a warp). A row's largest logit, its place and the sum `rest` of
//! all *other* exponentials are found in one pass: then the complement of the largest probability is `rest / (1 + rest)`, which does
//! not cancel, and every other probability is at most a half. Sums run over fixed trees: the same input gives the same bits. Shared
//! memory is not used; the Vulkan driver that has no GPU cannot compile what CubeCL makes of it.

use cubecl::prelude::*;

use super::super::focal::kernel::{SOFT_F1, cost, log_one_plus, pull};

/// Units of a cube (a block).
pub(crate) const UNITS: usize = 256;
/// Numbers that tell a term: kind, weight, smoothing, gamma, alpha, 1 with class weights.
pub(crate) const FIELDS: usize = 6;
/// Numbers kept of a row: its largest logit, the sum of the other exponentials, the largest one's class.
pub(crate) const KEPT: usize = 3;

/// What kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// A row has a plane, not a unit.
    pub(crate) wide: bool,
    /// Terms.
    pub(crate) terms: usize,
    /// Targets are class numbers, not rows of shares.
    pub(crate) hard: bool,
    /// Some term by rows looks at every class, not at the target's alone.
    pub(crate) dense: bool,
    /// There is a soft F1 among the terms.
    pub(crate) f1: bool,
    /// Some term has class weights.
    pub(crate) weighted: bool,
}

/// 0 for a number, NaN for what is none.
#[cube]
fn spoil(value: f32) -> f32 {
    select(value.abs() <= f32::MAX, 0.0f32, f32::NAN)
}

/// The class number of a row, brought into the range of classes.
#[cube]
fn label_of(targets: &Tensor<f32>, row: usize, classes: usize) -> usize {
    let label = targets[row * targets.stride(0)];
    usize::cast_from(clamp(label, 0.0f32, f32::cast_from(classes - 1)))
}

/// The target of a class in a row before any smoothing.
#[cube]
pub(crate) fn target(targets: &Tensor<f32>, row: usize, class: usize, classes: usize, #[comptime] hard: bool) -> f32 {
    if comptime!(hard) {
        let label = targets[row * targets.stride(0)];
        let hit = select(label == f32::cast_from(class), 1.0f32, 0.0f32);
        // A label that is no class; not `!=`, which is false of NaN on some devices.
        select(label == f32::cast_from(label_of(targets, row, classes)), hit, f32::NAN)
    } else {
        f32::cast_from(targets[row * targets.stride(0) + class * targets.stride(1)])
    }
}

/// The weight of a row in each term: its target's mixture of the term's class weights, or 1.
#[cube]
fn row_weights(
    found: &mut Array<f32>,
    targets: &Tensor<f32>,
    terms: &Tensor<f32>,
    weights: &Tensor<f32>,
    row: usize,
    classes: usize,
    #[comptime] shape: Shape,
) {
    for term in 0..comptime!(shape.terms) {
        let mut weight = 1.0f32;
        if comptime!(shape.weighted) {
            if terms[term * FIELDS + 5] > 0.0 {
                if comptime!(shape.hard) {
                    weight = weights[term * classes + label_of(targets, row, classes)];
                } else if comptime!(shape.wide) {
                    let mut own = 0.0f32;
                    let mut class = UNIT_POS_PLANE as usize;
                    while class < classes {
                        own += weights[term * classes + class] * target(targets, row, class, classes, shape.hard);
                        class += PLANE_DIM as usize;
                    }
                    weight = plane_sum(own);
                } else {
                    weight = 0.0f32;
                    for class in 0..classes {
                        weight += weights[term * classes + class] * target(targets, row, class, classes, shape.hard);
                    }
                }
            }
        }
        found[term] = weight;
    }
}

/// Planes of the whole launch.
#[cube]
fn planes() -> usize {
    CUBE_COUNT * (UNITS / PLANE_DIM as usize)
}

/// The number of a unit's plane.
#[cube]
fn plane() -> usize {
    CUBE_POS * (UNITS / PLANE_DIM as usize) + PLANE_POS as usize
}

/// Each row's statistics, and each plane's share of the terms by rows; with a soft F1 over narrow rows its sums by class as well.
#[cube(launch)]
pub(crate) fn rows<F: Float>(
    logits: &Tensor<F>,
    targets: &Tensor<f32>,
    terms: &Tensor<f32>,
    weights: &Tensor<f32>,
    stats: &mut Tensor<f32>,
    values: &mut Tensor<f32>,
    sums: &mut Tensor<f32>,
    steps: usize,
    #[comptime] shape: Shape,
    #[define(F)] _type: ElemType,
) {
    let count = logits.shape(0);
    let classes = logits.shape(1);
    let across = logits.stride(1);
    let share = 1.0 / f32::cast_from(count);
    let mut lane = 0usize;
    let mut lanes = 1usize;
    let mut row = ABSOLUTE_POS;
    let mut onward = CUBE_COUNT * UNITS;
    if comptime!(shape.wide) {
        lane = UNIT_POS_PLANE as usize;
        lanes = PLANE_DIM as usize;
        row = plane();
        onward = planes();
    }
    let mut kept = Array::<f32>::new(comptime!(shape.terms));
    let mut weight_of = Array::<f32>::new(comptime!(shape.terms));
    for term in 0..comptime!(shape.terms) {
        kept[term] = 0.0f32;
    }

    for step in 0..steps {
        let inside = row < count;
        let base = row * logits.stride(0);
        let mut top = 0.0f32;
        let mut rest = 0.0f32;
        let mut place = lane as u32;
        if inside {
            top = f32::cast_from(logits[base + lane * across]);
            rest = spoil(top);
            let mut class = lane + lanes;
            while class < classes {
                let z = f32::cast_from(logits[base + class * across]);
                if z > top {
                    rest = (rest + 1.0) * (top - z).exp();
                    top = z;
                    place = class as u32;
                } else {
                    rest += (z - top).exp();
                }
                rest += spoil(z);
                class += lanes;
            }
            if comptime!(shape.wide) {
                let own = top;
                let own_place = place;
                top = plane_max(own);
                place = min(plane_min(select(own == top, own_place, u32::MAX)), (classes - 1) as u32);
                let scale = (own - top).exp();
                rest = plane_sum(rest * scale + select(own_place == place, 0.0f32, scale));
            }
            let sum = rest + 1.0;
            let log_sum = log_one_plus(rest);
            if lane == 0 {
                stats[row * KEPT] = top;
                stats[row * KEPT + 1] = rest;
                stats[row * KEPT + 2] = f32::cast_from(place);
            }
            row_weights(&mut weight_of, targets, terms, weights, row, classes, shape);
            // All terms in one more walk over the classes, or at the target alone.
            let mut class = lane;
            let mut end = classes;
            if comptime!(!shape.dense) {
                class = label_of(targets, row, classes);
                end = select(lane == 0, class + 1, class);
            }
            while class < end {
                let z = f32::cast_from(logits[base + class * across]);
                let own = target(targets, row, class, classes, shape.hard);
                let p = (z - top).exp() / sum;
                let q = select(class as u32 == place, rest / sum, 1.0 - p);
                for term in 0..comptime!(shape.terms) {
                    let kind = u32::cast_from(terms[term * FIELDS]);
                    if kind != SOFT_F1 {
                        let smoothing = terms[term * FIELDS + 2];
                        let y = own * (1.0 - smoothing) + smoothing / f32::cast_from(classes);
                        let gamma = terms[term * FIELDS + 3];
                        let alpha = terms[term * FIELDS + 4];
                        let value = cost(kind, gamma, alpha, y, p, q, z - top - log_sum);
                        kept[term] += value * share * weight_of[term];
                    }
                }
                class += lanes;
            }
        }
        if comptime!(shape.f1 && !shape.wide) {
            // One row a unit: a plane adds up a class over its rows.
            let from = plane() * 3 * classes;
            for class in 0..classes {
                let mut chance = 0.0f32;
                let mut is = 0.0f32;
                if inside {
                    let z = f32::cast_from(logits[base + class * across]);
                    chance = (z - top).exp() / (rest + 1.0);
                    is = target(targets, row, class, classes, shape.hard);
                }
                let hits = plane_sum(chance * is);
                let chances = plane_sum(chance);
                let there = plane_sum(is);
                if UNIT_POS_PLANE == 0 {
                    if step == 0 {
                        sums[from + class] = chances;
                        sums[from + classes + class] = hits;
                        sums[from + 2 * classes + class] = there;
                    } else {
                        sums[from + class] += chances;
                        sums[from + classes + class] += hits;
                        sums[from + 2 * classes + class] += there;
                    }
                }
            }
        }
        row += onward;
    }

    for term in 0..comptime!(shape.terms) {
        let own = plane_sum(kept[term]);
        if UNIT_POS_PLANE == 0 {
            values[plane() * comptime!(shape.terms) + term] = own;
        }
    }
}

/// What planes found becomes each term and the weighted sum of all; one cube, of which one plane works.
#[cube(launch)]
pub(crate) fn total(
    values: &Tensor<f32>,
    scores: &Tensor<f32>,
    terms: &Tensor<f32>,
    total: &mut Tensor<f32>,
    each: &mut Tensor<f32>,
    classes: usize,
    #[comptime] count: usize,
) {
    if PLANE_POS == 0 {
        let lanes = PLANE_DIM as usize;
        let mut whole = 0.0f32;
        for term in 0..count {
            let by_class = u32::cast_from(terms[term * FIELDS]) == SOFT_F1;
            let mut own = 0.0f32;
            let mut at = UNIT_POS_PLANE as usize;
            if by_class {
                while at < scores.shape(0) {
                    own += scores[at * count + term];
                    at += lanes;
                }
            } else {
                while at < values.shape(0) {
                    own += values[at * count + term];
                    at += lanes;
                }
            }
            let sum = plane_sum(own);
            let value = select(by_class, 1.0 - sum / f32::cast_from(classes), sum);
            whole += terms[term * FIELDS + 1] * value;
            if UNIT_POS_PLANE == 0 {
                each[term] = value;
            }
        }
        if UNIT_POS_PLANE == 0 {
            total[0] = whole;
        }
    }
}

/// The gradient of the weighted sum by the logits.
///
/// With `pull[k]` = p[k] times the derivative of the sum by p[k], it is `q[j] pull[j] - p[j] (sum of the other pulls)`; that sum is
/// taken without the largest class, so that nothing cancels where its probability is near 1.
#[cube(launch)]
pub(crate) fn gradient<F: Float>(
    logits: &Tensor<F>,
    targets: &Tensor<f32>,
    terms: &Tensor<f32>,
    weights: &Tensor<f32>,
    stats: &Tensor<f32>,
    slopes: &Tensor<f32>,
    above: &Tensor<f32>,
    out: &mut Tensor<F>,
    steps: usize,
    #[comptime] shape: Shape,
    #[define(F)] _type: ElemType,
) {
    let count = logits.shape(0);
    let classes = logits.shape(1);
    let across = logits.stride(1);
    let mut lane = 0usize;
    let mut lanes = 1usize;
    let mut row = ABSOLUTE_POS;
    let mut onward = CUBE_COUNT * UNITS;
    if comptime!(shape.wide) {
        lane = UNIT_POS_PLANE as usize;
        lanes = PLANE_DIM as usize;
        row = plane();
        onward = planes();
    }
    let mut weight_of = Array::<f32>::new(comptime!(shape.terms));
    let out_down = out.stride(0);
    let out_across = out.stride(1);
    for _step in 0..steps {
        if row < count {
            let base = row * logits.stride(0);
            let top = stats[row * KEPT];
            let rest = stats[row * KEPT + 1];
            let place = usize::cast_from(stats[row * KEPT + 2]);
            let sum = rest + 1.0;
            row_weights(&mut weight_of, targets, terms, weights, row, classes, shape);
            let mut others = 0.0f32;
            if comptime!(shape.dense || shape.f1) {
                let mut class = lane;
                while class < classes {
                    if class != place {
                        let z = f32::cast_from(logits[base + class * across]);
                        others += all_pulls(
                            targets, terms, &weight_of, slopes, row, class, classes, z, top, rest, place, shape,
                        );
                    }
                    class += lanes;
                }
                if comptime!(shape.wide) {
                    others = plane_sum(others);
                }
            } else {
                let class = label_of(targets, row, classes);
                if class != place {
                    let z = f32::cast_from(logits[base + class * across]);
                    others =
                        all_pulls(targets, terms, &weight_of, slopes, row, class, classes, z, top, rest, place, shape);
                }
            }
            let largest =
                all_pulls(targets, terms, &weight_of, slopes, row, place, classes, top, top, rest, place, shape);
            let mut class = lane;
            while class < classes {
                let mut slope = (rest * largest - others) / sum;
                if class != place {
                    let z = f32::cast_from(logits[base + class * across]);
                    let p = (z - top).exp() / sum;
                    let own =
                        all_pulls(targets, terms, &weight_of, slopes, row, class, classes, z, top, rest, place, shape);
                    slope = (1.0 - p) * own - p * (others - own + largest);
                }
                out[row * out_down + class * out_across] = F::cast_from(slope * above[0]);
                class += lanes;
            }
        }
        row += onward;
    }
}

/// `p` times the derivative of the whole weighted sum by a class's `p`.
#[cube]
fn all_pulls(
    targets: &Tensor<f32>,
    terms: &Tensor<f32>,
    weight_of: &Array<f32>,
    slopes: &Tensor<f32>,
    row: usize,
    class: usize,
    classes: usize,
    z: f32,
    top: f32,
    rest: f32,
    place: usize,
    #[comptime] shape: Shape,
) -> f32 {
    let share = 1.0 / f32::cast_from(targets.shape(0));
    let sum = rest + 1.0;
    let p = (z - top).exp() / sum;
    let q = select(class == place, rest / sum, 1.0 - p);
    let log_p = z - top - log_one_plus(rest);
    let y = target(targets, row, class, classes, shape.hard);
    let mut all = 0.0f32;
    if comptime!(shape.f1) {
        all = p * (slopes[class] + slopes[classes + class] * y);
    }
    for term in 0..comptime!(shape.terms) {
        let kind = u32::cast_from(terms[term * FIELDS]);
        if kind != SOFT_F1 {
            let smoothing = terms[term * FIELDS + 2];
            let y = y * (1.0 - smoothing) + smoothing / f32::cast_from(classes);
            let own = terms[term * FIELDS + 1] * share * weight_of[term];
            all += own * pull(kind, terms[term * FIELDS + 3], terms[term * FIELDS + 4], y, p, q, log_p);
        }
    }
    all
}
