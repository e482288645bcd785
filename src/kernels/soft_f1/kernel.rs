//! Sums by class over a batch, and what they become: each class's soft F1 and how it changes with a probability.

use cubecl::prelude::*;

use super::super::focal::kernel::{EPSILON, SOFT_F1};
use super::super::mix::kernel::{FIELDS, KEPT, UNITS, target};

/// Sums by class of p, p * y and y over parts of the rows, `[parts, 3, classes]`: a unit a class, a cube along the second axis a
/// part. For wide rows; those of narrow ones come from the pass that finds their statistics.
#[cube(launch)]
pub(crate) fn columns<F: Float>(
    logits: &Tensor<F>,
    targets: &Tensor<f32>,
    stats: &Tensor<f32>,
    sums: &mut Tensor<f32>,
    rows: usize,
    #[comptime] hard: bool,
    #[define(F)] _type: ElemType,
) {
    let class = ABSOLUTE_POS_X as usize;
    let classes = logits.shape(1);
    let part = CUBE_POS_Y as usize;
    if class < classes {
        let mut chance = 0.0f32;
        let mut hits = 0.0f32;
        let mut there = 0.0f32;
        let mut row = part * rows;
        let end = min(row + rows, logits.shape(0));
        while row < end {
            let z = f32::cast_from(logits[row * logits.stride(0) + class * logits.stride(1)]);
            let p = (z - stats[row * KEPT]).exp() / (stats[row * KEPT + 1] + 1.0);
            let y = target(targets, row, class, classes, hard);
            chance += p;
            hits += p * y;
            there += y;
            row += 1;
        }
        let from = part * 3 * classes + class;
        sums[from] = chance;
        sums[from + classes] = hits;
        sums[from + 2 * classes] = there;
    }
}

/// Parts' sums become, of each plane and each term, the sum of its classes' F1 (`scores`); and, of each class, what the weighted
/// terms' derivative by p is at y = 0 and how it grows with y (`slopes`, `[2, classes]`). A plane has a class at a time.
#[cube(launch)]
pub(crate) fn by_class(
    sums: &Tensor<f32>,
    terms: &Tensor<f32>,
    slopes: &mut Tensor<f32>,
    scores: &mut Tensor<f32>,
    rows: usize,
    classes: usize,
    #[comptime] count: usize,
) {
    let lanes = PLANE_DIM as usize;
    let planes = CUBE_COUNT * (UNITS / lanes);
    let plane = CUBE_POS * (UNITS / lanes) + PLANE_POS as usize;
    let parts = sums.shape(0);
    let of_classes = f32::cast_from(classes);
    let mut kept = Array::<f32>::new(count);
    for term in 0..count {
        kept[term] = 0.0f32;
    }
    let mut class = plane;
    while class < classes {
        let mut chance = 0.0f32;
        let mut hits = 0.0f32;
        let mut there = 0.0f32;
        let mut part = UNIT_POS_PLANE as usize;
        while part < parts {
            let from = part * 3 * classes + class;
            chance += sums[from];
            hits += sums[from + classes];
            there += sums[from + 2 * classes];
            part += lanes;
        }
        chance = plane_sum(chance);
        hits = plane_sum(hits);
        there = plane_sum(there);
        let mut flat = 0.0f32;
        let mut steep = 0.0f32;
        for term in 0..count {
            if u32::cast_from(terms[term * FIELDS]) == SOFT_F1 {
                let weight = terms[term * FIELDS + 1];
                let smoothing = terms[term * FIELDS + 2];
                let floor = smoothing / of_classes;
                let found = hits * (1.0 - smoothing) + chance * floor;
                let called = chance + EPSILON;
                let real = there * (1.0 - smoothing) + f32::cast_from(rows) * floor + EPSILON;
                let precision = found / called;
                let recall = found / real;
                let sum = precision + recall + EPSILON;
                kept[term] += 2.0 * precision * recall / sum;
                let by_precision = 2.0 * (recall / sum) * ((recall + EPSILON) / sum);
                let by_recall = 2.0 * (precision / sum) * ((precision + EPSILON) / sum);
                let constant = by_precision * precision / called / of_classes;
                let slope = -(by_precision / called + by_recall / real) / of_classes;
                flat += weight * (constant + slope * floor);
                steep += weight * slope * (1.0 - smoothing);
            }
        }
        if UNIT_POS_PLANE == 0 {
            slopes[class] = flat;
            slopes[classes + class] = steep;
        }
        class += planes;
    }
    if UNIT_POS_PLANE == 0 {
        for term in 0..count {
            scores[plane * count + term] = kept[term];
        }
    }
}
