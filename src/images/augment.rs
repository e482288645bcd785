//! The `augment` operations: random changes of one training image, and (in `mix`) of a batch.
//!
//! What an operation draws is a function of the key and of its place in the list, nothing else: an operation that is
//! left out or does not happen changes no other's draws. Neighbouring geometric operations are put together into one
//! map, so that an image is interpolated once; what comes from outside the picture is black.

pub use super::mix::{Mix, Rectangle, mix_images, mix_plan, mix_targets};

use super::{Pixels, level};
use crate::draw::{DrawKey, Stage, Stream};
use crate::study::Augment;

/// The numbers of the operation at a place of the list.
pub(super) fn draws(key: DrawKey, stage: Stage, place: usize) -> Stream {
    DrawKey { seed: key.bits(), stage, epoch: u32::try_from(place).unwrap_or(u32::MAX), sample: 0 }.stream()
}

/// Applies the operations on single images, in order. `mixup` and `cutmix` are left to [`mix_plan`].
pub fn apply(ops: &[Augment], pixels: &mut Pixels, key: DrawKey) {
    if !pixels.sound() {
        return;
    }
    let mut map = Map::IDENTITY;
    for (place, op) in ops.iter().enumerate() {
        let mut draws = draws(key, Stage::Augment, place);
        // The first draw decides whether the operation happens.
        if let Some(step) = geometric(op, pixels, &mut draws) {
            map = map.after(step);
            continue;
        }
        match op {
            Augment::BrightnessContrast { amount, p } if draws.chance(*p) => {
                map.apply(pixels);
                map = Map::IDENTITY;
                let contrast = 1.0 + draws.between(-amount, *amount);
                let brightness = draws.between(-amount, *amount);
                change_levels(pixels, contrast, brightness * 255.0);
            }
            Augment::Cutout { size, p } if draws.chance(*p) => {
                map.apply(pixels);
                map = Map::IDENTITY;
                cut_out(pixels, *size, &mut draws);
            }
            Augment::BrightnessContrast { .. }
            | Augment::Cutout { .. }
            | Augment::Flip { .. }
            | Augment::Rotate { .. }
            | Augment::ShiftScaleRotate { .. }
            | Augment::Crop { .. }
            | Augment::Mixup { .. }
            | Augment::Cutmix { .. } => {}
        }
    }
    map.apply(pixels);
}

/// The map of a geometric operation that happens.
fn geometric(op: &Augment, pixels: &Pixels, draws: &mut Stream) -> Option<Map> {
    let (width, height) = (f64::from(pixels.width), f64::from(pixels.height));
    match op {
        Augment::Flip { horizontal, p } => draws.chance(*p).then_some(Map::flip(*horizontal)),
        Augment::Rotate { degrees, p } => {
            draws.chance(*p).then(|| Map::rotation(draws.between(-degrees, *degrees).to_radians(), 1.0))
        }
        Augment::ShiftScaleRotate { shift, scale, degrees, p } => draws.chance(*p).then(|| {
            let angle = draws.between(-degrees, *degrees).to_radians();
            let factor = (1.0 + draws.between(-scale, *scale)).max(0.01);
            let (x, y) = (draws.between(-shift, *shift) * width, draws.between(-shift, *shift) * height);
            // The content is turned, scaled, then moved; the map goes the other way.
            Map::rotation(angle, 1.0 / factor).after(Map { x: -x, y: -y, ..Map::IDENTITY })
        }),
        Augment::Crop { scale, p } => draws.chance(*p).then(|| {
            let share = draws.between(scale.clamp(0.01, 1.0), 1.0);
            let room = (1.0 - share) * 0.5;
            let (x, y) = (draws.between(-room, room) * width, draws.between(-room, room) * height);
            Map { xx: share, yy: share, x, y, ..Map::IDENTITY }
        }),
        Augment::BrightnessContrast { .. }
        | Augment::Cutout { .. }
        | Augment::Mixup { .. }
        | Augment::Cutmix { .. } => None,
    }
}

/// Where a pixel of the result comes from, in pixels from the middle: (xx x + xy y + x', yx x + yy y + y').
#[derive(Debug, Clone, Copy, PartialEq)]
struct Map {
    xx: f64,
    xy: f64,
    yx: f64,
    yy: f64,
    x: f64,
    y: f64,
}

impl Map {
    const IDENTITY: Self = Self { xx: 1.0, xy: 0.0, yx: 0.0, yy: 1.0, x: 0.0, y: 0.0 };

    fn flip(horizontal: bool) -> Self {
        if horizontal { Self { xx: -1.0, ..Self::IDENTITY } } else { Self { yy: -1.0, ..Self::IDENTITY } }
    }

    fn rotation(angle: f64, factor: f64) -> Self {
        let (sine, cosine) = angle.sin_cos();
        Self { xx: factor * cosine, xy: -factor * sine, yx: factor * sine, yy: factor * cosine, x: 0.0, y: 0.0 }
    }

    /// The map of "first what `self` does, then what `next` does": a place goes back through `next` first.
    fn after(self, next: Self) -> Self {
        Self {
            xx: self.xx * next.xx + self.xy * next.yx,
            xy: self.xx * next.xy + self.xy * next.yy,
            yx: self.yx * next.xx + self.yy * next.yx,
            yy: self.yx * next.xy + self.yy * next.yy,
            x: self.xx * next.x + self.xy * next.y + self.x,
            y: self.yx * next.x + self.yy * next.y + self.y,
        }
    }

    fn apply(self, pixels: &mut Pixels) {
        if self != Self::IDENTITY {
            *pixels = match pixels.channels {
                1 => self.warp::<1>(pixels),
                _ => self.warp::<3>(pixels),
            };
        }
    }

    /// Bilinear; within half a pixel of the border its own pixel, black farther out.
    fn warp<const C: usize>(self, pixels: &Pixels) -> Pixels {
        let (width, height) = (pixels.width as usize, pixels.height as usize);
        let (right, bottom) = (f64::from(pixels.width - 1), f64::from(pixels.height - 1));
        let (source, _) = pixels.data.as_chunks::<C>();
        let mut data = Vec::with_capacity(pixels.data.len());
        for row in 0..pixels.height {
            let y = f64::from(row) - bottom * 0.5;
            for column in 0..pixels.width {
                let x = f64::from(column) - right * 0.5;
                let from_x = self.xx * x + self.xy * y + self.x + right * 0.5;
                let from_y = self.yx * x + self.yy * y + self.y + bottom * 0.5;
                let inside = from_x >= -0.5 && from_x <= right + 0.5 && from_y >= -0.5 && from_y <= bottom + 0.5;
                if !inside {
                    data.extend_from_slice(&[0; C]);
                    continue;
                }
                let (x0, x1, right_share) = neighbours(from_x, width);
                let (y0, y1, lower_share) = neighbours(from_y, height);
                let [a, b] = [&source[y0 * width + x0], &source[y0 * width + x1]];
                let [c, d] = [&source[y1 * width + x0], &source[y1 * width + x1]];
                for channel in 0..C {
                    let between =
                        |left: u8, right: u8| f32::from(left) + (f32::from(right) - f32::from(left)) * right_share;
                    let (upper, lower) = (between(a[channel], b[channel]), between(c[channel], d[channel]));
                    data.push(level(upper + (lower - upper) * lower_share));
                }
            }
        }
        Pixels { data, ..*pixels }
    }
}

/// The two pixels a place lies between, within `0..length`, and the share of the second.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 and more; `as` then floors")]
fn neighbours(place: f64, length: usize) -> (usize, usize, f32) {
    let place = place.max(0.0);
    let first = (place as usize).min(length - 1);
    let second = (first + 1).min(length - 1);
    #[expect(clippy::cast_precision_loss, reason = "a side of at most 16,384")]
    let share = (place - first as f64) as f32;
    (first, second, share.min(1.0))
}

/// `(level - mean) * contrast + mean + brightness`, the mean over the whole image.
fn change_levels(pixels: &mut Pixels, contrast: f64, brightness: f64) {
    let sum: u64 = pixels.data.iter().map(|&level| u64::from(level)).sum();
    #[expect(clippy::cast_precision_loss, reason = "sums of bytes stay below 2^53")]
    let mean = sum as f64 / pixels.data.len().max(1) as f64;
    let mut table = [0u8; 256];
    for (old, new) in (0u8..=255).zip(&mut table) {
        #[expect(clippy::cast_possible_truncation, reason = "a grey level")]
        let value = ((f64::from(old) - mean) * contrast + mean + brightness) as f32;
        *new = level(value);
    }
    for level in &mut pixels.data {
        *level = table[usize::from(*level)];
    }
}

fn cut_out(pixels: &mut Pixels, size: f64, draws: &mut Stream) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the side")]
    let part = |side: u32| (f64::from(side) * size.clamp(0.0, 1.0)).round() as usize;
    let (width, height) = (part(pixels.width), part(pixels.height));
    let left = draws.below(pixels.width as usize - width + 1);
    let top = draws.below(pixels.height as usize - height + 1);
    let channels = usize::from(pixels.channels);
    let stride = pixels.stride();
    for row in pixels.data.chunks_exact_mut(stride).skip(top).take(height) {
        for byte in row.iter_mut().skip(left * channels).take(width * channels) {
            *byte = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, channels: u8) -> Pixels {
        let mut pixels = Pixels::black(width, height, channels);
        let mut draws = key(99).stream();
        for level in &mut pixels.data {
            *level = u8::try_from(draws.below(256)).unwrap_or(0);
        }
        pixels
    }

    fn key(sample: u64) -> DrawKey {
        DrawKey { seed: 5, stage: Stage::Augment, epoch: 2, sample }
    }

    fn applied(ops: &[Augment], pixels: &Pixels, sample: u64) -> Pixels {
        let mut pixels = pixels.clone();
        apply(ops, &mut pixels, key(sample));
        pixels
    }

    const FLIP: Augment = Augment::Flip { horizontal: true, p: 1.0 };

    #[test]
    fn a_flip_mirrors_and_two_are_none() {
        for (width, height) in [(7, 4), (8, 5), (1, 1)] {
            let pixels = picture(width, height, 3);
            let flipped = applied(&[FLIP], &pixels, 0);
            for y in 0..height as usize {
                for x in 0..width as usize {
                    let from = (y * width as usize + width as usize - 1 - x) * 3;
                    let to = (y * width as usize + x) * 3;
                    assert_eq!(flipped.data[to..to + 3], pixels.data[from..from + 3]);
                }
            }
            assert_eq!(applied(&[FLIP, FLIP], &pixels, 0), pixels);
            assert_eq!(applied(&[FLIP], &flipped, 3), pixels);
        }
        let tall = Pixels { width: 1, height: 3, channels: 1, data: vec![1, 2, 3] };
        assert_eq!(applied(&[Augment::Flip { horizontal: false, p: 1.0 }], &tall, 0).data, [3, 2, 1]);
    }

    #[test]
    fn turning_there_and_back_in_one_list_is_one_map() {
        let there = Map::rotation(0.3, 1.0).after(Map::rotation(-0.3, 1.0));
        assert!((there.xx - 1.0).abs() < 1e-12 && there.xy.abs() < 1e-12);
        let quarter = Map::rotation(std::f64::consts::FRAC_PI_2, 1.0);
        let pixels = picture(9, 9, 1);
        let mut turned = pixels.clone();
        quarter.apply(&mut turned);
        assert_eq!(turned.data[0], pixels.data[8], "a quarter turn brings the corner along");
        quarter.after(quarter).apply(&mut turned);
        quarter.apply(&mut turned);
        assert_eq!(turned, pixels);
    }

    #[test]
    fn draws_depend_on_key_and_place_alone() {
        let pixels = picture(32, 32, 1);
        let ops = [
            Augment::Rotate { degrees: 20.0, p: 0.5 },
            Augment::ShiftScaleRotate { shift: 0.1, scale: 0.1, degrees: 15.0, p: 0.5 },
            Augment::BrightnessContrast { amount: 0.2, p: 0.5 },
            Augment::Crop { scale: 0.7, p: 0.5 },
            Augment::Cutout { size: 0.2, p: 0.5 },
        ];
        let many: Vec<Pixels> = (0..40).map(|sample| applied(&ops, &pixels, sample)).collect();
        let again: Vec<Pixels> = (0..40).map(|sample| applied(&ops, &pixels, sample)).collect();
        assert_eq!(many, again);
        assert!(many.windows(2).filter(|pair| pair[0] != pair[1]).count() > 30);
        // An operation before it that does not happen changes nothing.
        let never = |op: Augment| [Augment::Flip { horizontal: true, p: 0.0 }, op];
        let always = |op: Augment| [Augment::Mixup { alpha: 1.0, p: 1.0 }, op];
        let cut = Augment::Cutout { size: 0.3, p: 1.0 };
        assert_eq!(applied(&never(cut.clone()), &pixels, 1), applied(&always(cut), &pixels, 1));
    }

    #[test]
    fn probabilities_are_kept() {
        let pixels = picture(4, 4, 1);
        let flips = (0..4000)
            .filter(|&sample| applied(&[Augment::Flip { horizontal: true, p: 0.3 }], &pixels, sample) != pixels)
            .count();
        assert!((1080..1320).contains(&flips), "{flips} of 4000 at p = 0.3");
        assert_eq!(applied(&[Augment::Cutout { size: 1.0, p: 0.0 }], &pixels, 0), pixels);
    }

    #[test]
    fn cutout_blackens_its_share_and_crop_brings_no_black() {
        let white = Pixels { data: vec![255; 40 * 40], ..Pixels::black(40, 40, 1) };
        for sample in 0..50 {
            let cut = applied(&[Augment::Cutout { size: 0.25, p: 1.0 }], &white, sample);
            assert_eq!(cut.data.iter().filter(|&&level| level == 0).count(), 100);
            let cropped = applied(&[Augment::Crop { scale: 0.3, p: 1.0 }], &white, sample);
            assert_eq!(cropped, white);
            let turned = applied(&[Augment::Rotate { degrees: 45.0, p: 1.0 }], &white, sample);
            assert!(turned.data.iter().all(|&level| level == 0 || level == 255), "no grey rim");
        }
        let all = applied(&[Augment::Cutout { size: 1.0, p: 1.0 }], &white, 0);
        assert!(all.data.iter().all(|&level| level == 0));
    }

    #[test]
    fn contrast_turns_about_the_mean() {
        let mut pixels = Pixels { width: 3, height: 1, channels: 1, data: vec![50, 100, 150] };
        change_levels(&mut pixels, 0.5, 10.0);
        assert_eq!(pixels.data, [85, 110, 135]);
        change_levels(&mut pixels, 1.0, 500.0);
        assert_eq!(pixels.data, [255; 3]);
    }
}
