//! Mixing the images of a batch with each other, and their labels with them.
//!
//! Mixup: Zhang et al. 2018. `CutMix`: Yun et al. 2019, here with any number of rectangles; the labels' share is the
//! exact area that remains. Every image of a batch has the same lambda and the same rectangles.

use super::augment::draws;
use crate::draw::{DrawKey, Stage, Stream};
use crate::study::Augment;

/// A rectangle of pixels: columns `x0..x1`, rows `y0..y1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// First column.
    pub x0: u32,
    /// First row.
    pub y0: u32,
    /// Column after the last.
    pub x1: u32,
    /// Row after the last.
    pub y1: u32,
}

/// How a batch is mixed; image i is mixed with image `partner[i]`, a permutation.
#[derive(Debug, Clone, PartialEq)]
pub enum Mix {
    /// Values are averaged.
    Mixup {
        /// Whom each image is mixed with.
        partner: Vec<usize>,
        /// The image's own share, 0..=1.
        lambda: f32,
    },
    /// The partner's rectangles are pasted.
    Cutmix {
        /// Whom each image gets pieces of.
        partner: Vec<usize>,
        /// The pieces; they may overlap.
        rects: Vec<Rectangle>,
        /// The share of the image that remains its own.
        lambda: f32,
    },
}

impl Mix {
    /// Whom each image is mixed with, and its own share of the labels.
    #[must_use]
    pub fn shares(&self) -> (&[usize], f32) {
        match self {
            Self::Mixup { partner, lambda } | Self::Cutmix { partner, lambda, .. } => (partner, *lambda),
        }
    }
}

/// How a batch of `batch` square images of `side` pixels is mixed, if it is.
///
/// The first `mixup` or `cutmix` of the list that happens is the one; a batch of one is never mixed.
#[must_use]
pub fn mix_plan(ops: &[Augment], batch: usize, side: u32, key: DrawKey) -> Option<Mix> {
    if batch < 2 {
        return None;
    }
    ops.iter().enumerate().find_map(|(place, op)| {
        let mut draws = draws(key, Stage::Mix, place);
        match op {
            Augment::Mixup { alpha, p } => draws.chance(*p).then(|| {
                let lambda = symmetric_beta(*alpha, &mut draws);
                #[expect(clippy::cast_possible_truncation, reason = "a share of 0..=1")]
                let lambda = lambda as f32;
                Mix::Mixup { partner: permutation(batch, &mut draws), lambda }
            }),
            Augment::Cutmix { patches, alpha, p } => draws.chance(*p).then(|| {
                let lambda = symmetric_beta(*alpha, &mut draws);
                let rects = rectangles((*patches).max(1), 1.0 - lambda, side, &mut draws);
                let lambda = share_outside(&rects, side);
                Mix::Cutmix { partner: permutation(batch, &mut draws), rects, lambda }
            }),
            Augment::Flip { .. }
            | Augment::Rotate { .. }
            | Augment::ShiftScaleRotate { .. }
            | Augment::BrightnessContrast { .. }
            | Augment::Crop { .. }
            | Augment::Cutout { .. } => None,
        }
    })
}

fn permutation(batch: usize, draws: &mut Stream) -> Vec<usize> {
    let mut order: Vec<usize> = (0..batch).collect();
    draws.shuffle(&mut order);
    order
}

/// Rectangles of the image's proportions that would cover `share` together if they did not overlap, cut at the border.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=side")]
fn rectangles(patches: u32, share: f64, side: u32, draws: &mut Stream) -> Vec<Rectangle> {
    let length = (share / f64::from(patches)).sqrt() * f64::from(side);
    let mut span = || {
        let middle = draws.between(0.0, f64::from(side));
        let place = |value: f64| (value.round().max(0.0) as u32).min(side);
        (place(middle - length / 2.0), place(middle + length / 2.0))
    };
    (0..patches)
        .map(|_| {
            let ((x0, x1), (y0, y1)) = (span(), span());
            Rectangle { x0, y0, x1, y1 }
        })
        .collect()
}

/// The share of the image that no rectangle covers.
fn share_outside(rects: &[Rectangle], side: u32) -> f32 {
    let mut free: u64 = 0;
    let mut covered = vec![false; side as usize];
    for y in 0..side {
        covered.fill(false);
        for rect in rects.iter().filter(|rect| (rect.y0..rect.y1).contains(&y)) {
            for cell in covered.iter_mut().take(rect.x1 as usize).skip(rect.x0 as usize) {
                *cell = true;
            }
        }
        free += covered.iter().filter(|cell| !**cell).count() as u64;
    }
    let area = u64::from(side) * u64::from(side);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a share of 0..=1")]
    let share = (free as f64 / area.max(1) as f64) as f32;
    share
}

/// Mixes images `[N, C, side, side]`; N is the length of the plan, `channels` is C.
pub fn mix_images(mix: &Mix, images: &mut [f32], channels: usize, side: usize) {
    let own = images.to_vec();
    let area = side * side;
    let size = (channels * area).max(1);
    let partner_of = |index: usize| own.chunks_exact(size).nth(index).unwrap_or_default();
    match mix {
        Mix::Mixup { partner, lambda } => {
            for (image, &partner) in images.chunks_exact_mut(size).zip(partner) {
                blend(image, partner_of(partner), *lambda);
            }
        }
        Mix::Cutmix { partner, rects, .. } => {
            for (image, &partner) in images.chunks_exact_mut(size).zip(partner) {
                let planes = image.chunks_exact_mut(area.max(1)).zip(partner_of(partner).chunks_exact(area.max(1)));
                for (plane, other) in planes {
                    for rect in rects {
                        paste(plane, other, rect, side);
                    }
                }
            }
        }
    }
}

/// Mixes soft targets `[N, classes]` by the plan's shares; N is the length of the plan.
pub fn mix_targets(mix: &Mix, targets: &mut [f32], classes: usize) {
    let own = targets.to_vec();
    let (partner, lambda) = mix.shares();
    for (target, &partner) in targets.chunks_exact_mut(classes.max(1)).zip(partner) {
        blend(target, own.chunks_exact(classes.max(1)).nth(partner).unwrap_or_default(), lambda);
    }
}

fn blend(own: &mut [f32], other: &[f32], lambda: f32) {
    for (own, other) in own.iter_mut().zip(other) {
        *own = *own * lambda + other * (1.0 - lambda);
    }
}

fn paste(plane: &mut [f32], other: &[f32], rect: &Rectangle, side: usize) {
    let rows = plane.chunks_exact_mut(side.max(1)).zip(other.chunks_exact(side.max(1)));
    for (row, other) in rows.take(rect.y1 as usize).skip(rect.y0 as usize) {
        for (own, other) in row.iter_mut().zip(other).take(rect.x1 as usize).skip(rect.x0 as usize) {
            *own = *other;
        }
    }
}

/// Beta(alpha, alpha) from two gamma variables, in logarithms so that small shapes do not end in 0 / 0.
fn symmetric_beta(alpha: f64, draws: &mut Stream) -> f64 {
    // NaN and zero: the limit of small shapes is a coin.
    let alpha = if alpha > 1e-6 { alpha } else { 1e-6 };
    let (first, second) = (log_gamma_variable(alpha, draws), log_gamma_variable(alpha, draws));
    1.0 / (1.0 + (second - first).exp())
}

/// The logarithm of a gamma variable of a shape above 0 (Marsaglia and Tsang 2000; below 1: shape + 1, times U^(1/shape)).
fn log_gamma_variable(shape: f64, draws: &mut Stream) -> f64 {
    if shape < 1.0 {
        let uniform = 1.0 - draws.uniform();
        return log_gamma_variable(shape + 1.0, draws) + uniform.ln() / shape;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let normal = draws.normal();
        let v = (1.0 + c * normal).powi(3);
        if v <= 0.0 {
            continue;
        }
        let uniform = 1.0 - draws.uniform();
        if uniform.ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return d.ln() + v.ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sample: u64) -> DrawKey {
        DrawKey { seed: 11, stage: Stage::Mix, epoch: 0, sample }
    }

    #[test]
    fn beta_has_its_moments() {
        let mut draws = key(0).stream();
        for alpha in [0.05, 0.2, 0.5, 1.0, 2.0, 8.0] {
            let count = 40_000;
            let values: Vec<f64> = (0..count).map(|_| symmetric_beta(alpha, &mut draws)).collect();
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
            let mean = values.iter().sum::<f64>() / f64::from(count);
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / f64::from(count);
            let fourth = values.iter().map(|value| (value - mean).powi(4)).sum::<f64>() / f64::from(count);
            let wanted = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            // Excess kurtosis of Beta(a, a) is -6 / (2a + 3).
            let wanted_fourth = (3.0 - 6.0 / (2.0 * alpha + 3.0)) * wanted * wanted;
            assert!((mean - 0.5).abs() < 0.01, "mean {mean} at {alpha}");
            assert!((variance / wanted - 1.0).abs() < 0.03, "variance {variance} for {wanted} at {alpha}");
            assert!((fourth / wanted_fourth - 1.0).abs() < 0.06, "{fourth} for {wanted_fourth} at {alpha}");
        }
        for alpha in [0.0, f64::NAN, 1e-300, 1e9] {
            let value = symmetric_beta(alpha, &mut draws);
            assert!((0.0..=1.0).contains(&value), "{value} at {alpha}");
        }
    }

    #[test]
    fn a_plan_is_a_function_of_its_key() {
        let ops = [Augment::Mixup { alpha: 0.4, p: 0.5 }, Augment::Cutmix { patches: 3, alpha: 1.0, p: 0.5 }];
        let plans: Vec<Option<Mix>> = (0..200).map(|step| mix_plan(&ops, 8, 32, key(step))).collect();
        let again: Vec<Option<Mix>> = (0..200).map(|step| mix_plan(&ops, 8, 32, key(step))).collect();
        assert_eq!(plans, again);
        let mixups = plans.iter().filter(|plan| matches!(plan, Some(Mix::Mixup { .. }))).count();
        let cutmixes = plans.iter().filter(|plan| matches!(plan, Some(Mix::Cutmix { .. }))).count();
        assert!((75..125).contains(&mixups) && (30..70).contains(&cutmixes), "{mixups} and {cutmixes} of 200");
        assert_eq!(mix_plan(&ops, 1, 32, key(0)), None);
        assert_eq!(mix_plan(&[Augment::Flip { horizontal: true, p: 1.0 }], 8, 32, key(0)), None);
    }

    #[test]
    fn cutmix_counts_the_pixels_it_pastes() {
        let ops = [Augment::Cutmix { patches: 4, alpha: 1.0, p: 1.0 }];
        let (batch, side, channels) = (5usize, 24usize, 3usize);
        for step in 0..60 {
            let plan = mix_plan(&ops, batch, 24, key(step)).expect("p is 1");
            let (partner, lambda) = plan.shares();
            let size = channels * side * side;
            let owner = |index: usize| u8::try_from(index / size).map(f32::from).expect("five images");
            let mut images: Vec<f32> = (0..batch * size).map(owner).collect();
            mix_images(&plan, &mut images, channels, side);
            let mut targets = vec![0.0; batch * batch];
            (0..batch).for_each(|image| targets[image * batch + image] = 1.0);
            mix_targets(&plan, &mut targets, batch);
            for (image, values) in images.chunks_exact(size).enumerate() {
                let own = values.iter().filter(|&&value| (value - owner(image * size)).abs() < 0.5).count();
                let theirs = values.iter().filter(|&&value| (value - owner(partner[image] * size)).abs() < 0.5).count();
                if partner[image] == image {
                    assert_eq!(own, size);
                } else {
                    assert_eq!(own + theirs, size);
                    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
                    let share = own as f32 / size as f32;
                    assert!((share - lambda).abs() < 1e-6);
                    assert!((targets[image * batch + image] - lambda).abs() < 1e-6);
                    assert!((targets[image * batch + partner[image]] - (1.0 - lambda)).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "these are exact in binary")]
    fn mixup_averages() {
        let plan = Mix::Mixup { partner: vec![1, 0], lambda: 0.75 };
        let mut images = [0.0, 4.0, 8.0, 0.0];
        mix_images(&plan, &mut images, 2, 1);
        assert_eq!(images, [2.0, 3.0, 6.0, 1.0]);
        let mut targets = [1.0, 0.0, 0.0, 1.0];
        mix_targets(&plan, &mut targets, 2);
        assert_eq!(targets, [0.75, 0.25, 0.25, 0.75]);
    }
}
