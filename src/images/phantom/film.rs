//! The drawing of a film: how much each ray is held back, structure by structure, and the grey that leaves.
//!
//! Borders that are functions of one coordinate are put into tables first, so that a pixel costs a few look-ups.

use super::anatomy::{Anatomy, Film};
use crate::draw::Stream;
use crate::images::{Pixels, level};

/// Side of a film in pixels.
pub(super) const SIDE: u32 = 256;

/// A function of one coordinate from -1.25 to 1.25, in steps.
struct Curve([f32; Self::STEPS]);

impl Curve {
    const STEPS: usize = 321;
    const REACH: f32 = 1.25;

    #[expect(clippy::cast_precision_loss, reason = "a few hundred steps")]
    fn new(function: impl Fn(f32) -> f32) -> Self {
        let step = 2.0 * Self::REACH / (Self::STEPS - 1) as f32;
        Self(std::array::from_fn(|place| function(place as f32 * step - Self::REACH)))
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred steps")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first; `as` floors")]
    fn at(&self, x: f32) -> f32 {
        let last = (Self::STEPS - 1) as f32;
        let place = ((x + Self::REACH) * (last / (2.0 * Self::REACH))).clamp(0.0, last - 0.001);
        let before = place as usize;
        let share = place - before as f32;
        self.0[before] + (self.0[before + 1] - self.0[before]) * share
    }
}

/// 0 below 0, 1 above 1, smooth between.
fn smooth(x: f32) -> f32 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// 1 well inside a border at distance `inside` (positive within), over a seam of `seam`.
fn within(inside: f32, seam: f32) -> f32 {
    smooth(inside / seam + 0.5)
}

/// A hump of height 1 and half width `width`.
fn hump(x: f32, width: f32) -> f32 {
    let square = (x / width) * (x / width);
    if square >= 1.0 { 0.0 } else { (1.0 - square) * (1.0 - square) }
}

/// Smooth random texture around 0: a lattice of random numbers, interpolated.
struct Texture {
    cells: usize,
    values: Vec<f32>,
}

impl Texture {
    fn new(cells: usize, draws: &mut Stream) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "texture")]
        let values = (0..(cells + 2) * (cells + 2)).map(|_| draws.between(-1.0, 1.0) as f32).collect();
        Self { cells, values }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few dozen cells")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first; `as` floors")]
    fn at(&self, a: f32, b: f32) -> f32 {
        let place = |x: f32| ((x + 1.25) * 0.4).clamp(0.0, 1.0) * self.cells as f32;
        let (x, y) = (place(a), place(b));
        let (column, row) = (x as usize, y as usize);
        let (right, lower) = (smooth(x - column as f32), smooth(y - row as f32));
        let stride = self.cells + 2;
        let corner = row * stride + column;
        let upper = self.values[corner] + (self.values[corner + 1] - self.values[corner]) * right;
        let corner = corner + stride;
        let beneath = self.values[corner] + (self.values[corner + 1] - self.values[corner]) * right;
        upper + (beneath - upper) * lower
    }
}

/// Everything a pixel is looked up in.
struct Drawing<'a> {
    anatomy: &'a Anatomy,
    film: &'a Film,
    /// Half width of the body by height.
    body: Curve,
    /// Inner half width of the ribcage by height.
    outer: Curve,
    /// Where lungs begin beside the mediastinum, by height.
    inner: Curve,
    /// Right and left border of the mediastinum by height.
    mediastinum: [Curve; 2],
    /// Upper border of the diaphragm by distance from the middle, right and left.
    diaphragm: [Curve; 2],
    /// Centre line of ribs by distance from the middle, less that of the first: the back and the front part.
    ribs: [Curve; 2],
    /// How much steepness makes a rib higher, as `ribs`.
    steepness: [Curve; 2],
    /// Centre line of the collarbones by distance from the middle.
    clavicle: Curve,
    /// Upper border of fluid by distance from the middle.
    fluid: [Option<Curve>; 2],
    coarse: Texture,
    fine: Texture,
}

impl<'a> Drawing<'a> {
    fn new(anatomy: &'a Anatomy, film: &'a Film, draws: &mut Stream) -> Self {
        let chest = anatomy.chest;
        let apex = anatomy.apex;
        let outer = move |b: f32| {
            let down = ((b - apex) / 1.0).clamp(0.0, 1.0);
            chest * (1.0 - (1.0 - down) * (1.0 - down)).sqrt() * (0.97 + 0.03 * down)
        };
        let mediastinum = |left: bool| {
            move |b: f32| {
                let upper = anatomy.mediastinum * (1.0 + 0.25 * smooth((b + 0.9) * 2.0));
                let hilum = 0.05 * hump(b - if left { -0.10 } else { -0.06 }, 0.22);
                let knob = if left { anatomy.knob * hump(b + 0.30, 0.13) } else { 0.012 * hump(b + 0.45, 0.3) };
                upper + hilum + knob
            }
        };
        let diaphragm = |side: usize| {
            let (dome, bend) = (anatomy.domes[side] + film.breath, anatomy.dome_bend);
            move |a: f32| {
                let from_top = (a.abs() - 0.36) / (chest - 0.36);
                dome + bend * (from_top * from_top + from_top.powi(4))
            }
        };
        let share = move |a: f32| (a.abs() / chest).min(1.15);
        let back = move |a: f32| {
            let s = share(a);
            -0.05 * (std::f32::consts::PI * (s * 1.25).min(1.0)).sin() + 0.27 * s.powf(2.6)
        };
        let front = move |a: f32| 0.27 + 0.30 * (1.0 - share(a)).max(0.0).powf(1.1);
        let steep = |line: &dyn Fn(f32) -> f32, a: f32| {
            let slope = (line(a + 0.01) - line(a - 0.01)) / 0.02;
            (1.0 + slope * slope).sqrt()
        };
        let fluid = |side: usize| {
            let height = film.fluid[side];
            let floor = diaphragm(side);
            (height > 0.0).then(|| {
                Curve::new(|a| {
                    let s = share(a).min(1.0);
                    // The lowest place of the lung is the angle at the wall; fluid climbs along the wall.
                    floor(chest) - height * (0.55 + 0.45 * s.powi(4)) - 0.10 * s
                })
            })
        };
        let [at_breastbone, rise] = anatomy.clavicle;
        Self {
            anatomy,
            film,
            body: Curve::new(move |b| {
                let shoulder = smooth((b + 1.02) / 0.42);
                let waist = 0.05 * smooth((b - 0.1) / 0.9);
                0.25 + (chest + 0.19 - 0.25 + waist - 0.06 * smooth((b + 0.5) / 0.5)) * shoulder + 0.1 * shoulder
            }),
            outer: Curve::new(outer),
            inner: Curve::new(move |b| {
                let up = (1.0 - (b - apex) / 1.0).clamp(0.0, 1.0);
                0.09 + 0.14 * up.powi(4)
            }),
            mediastinum: [Curve::new(mediastinum(false)), Curve::new(mediastinum(true))],
            diaphragm: [Curve::new(diaphragm(0)), Curve::new(diaphragm(1))],
            ribs: [Curve::new(back), Curve::new(front)],
            steepness: [Curve::new(|a| steep(&back, a)), Curve::new(|a| steep(&front, a))],
            clavicle: Curve::new(move |a| {
                let s = (a.abs() - 0.07) / 0.7;
                at_breastbone - rise * s + 0.035 * (std::f32::consts::TAU * s.clamp(-0.1, 1.1)).sin()
            }),
            fluid: [fluid(0), fluid(1)],
            coarse: Texture::new(14, draws),
            fine: Texture::new(60, draws),
        }
    }

    /// How much a ray at (a, b) is held back; 1 is a body without lungs.
    fn held_back(&self, a: f32, b: f32) -> f32 {
        let anatomy = self.anatomy;
        let side = usize::from(a > 0.0);
        let lean = anatomy.scoliosis * (3.0 * b).sin();
        let away = (a - lean).abs();
        let body = within(self.body.at(b) - a.abs(), 0.10);
        if body <= 0.0 {
            return 0.0;
        }
        let outer = self.outer.at(b);
        let diaphragm = self.diaphragm[side].at(a);
        let lung = within(outer - away, 0.035) * within(away - self.inner.at(b), 0.05) * within(diaphragm - b, 0.028);
        let coarse = self.coarse.at(a, b);
        // Soft tissue: thinner at the flanks, and the lungs' air.
        let flank = 0.75 + 0.25 * smooth((self.body.at(b) - a.abs()) * 3.0);
        let mut sum = anatomy.habitus * flank * (1.0 - 0.70 * lung) + 0.05 * coarse;
        sum += lung * (0.035 * coarse + 0.035 * self.fine.at(a, b) * (1.3 - away));
        // Belly, and the gas of the stomach under the left dome.
        let belly = within(b - diaphragm, 0.03) * within(outer + 0.05 - away, 0.1);
        sum += 0.22 * belly;
        if side == 1 {
            let [at, depth, size] = anatomy.stomach;
            let gas = hump(a - at, size * 1.9) * hump(b - diaphragm - depth, size);
            sum -= 0.5 * gas * anatomy.habitus;
        }
        sum += self.middle(a, b, away, side);
        sum += anatomy.bone * self.bones(a, b, away, outer, lung);
        // Breasts: a weight that ends in a soft lower border.
        if anatomy.breasts > 0.0 {
            let (x, y) = ((a.abs() - 0.42) / 0.36, (b - 0.24) / 0.34);
            sum += anatomy.breasts * smooth((1.0 - (x * x + y * y)) * 1.8);
        }
        if let Some(level) = &self.fluid[side] {
            // Denser than the diaphragm's shadow at its depth, fading out over its meniscus.
            sum += 0.78 * anatomy.habitus * within(b - level.at(a), 0.06) * lung;
        }
        sum += self.spots(a, b, lung);
        body * sum.max(0.05)
    }

    /// Heart, mediastinum, windpipe and spine.
    fn middle(&self, a: f32, b: f32, away: f32, side: usize) -> f32 {
        let anatomy = self.anatomy;
        let vessels = within(self.mediastinum[side].at(b) - away, 0.045) * within(0.75 - b, 0.2);
        let width = self.film.heart * 2.0 * anatomy.chest;
        let floor = (anatomy.domes[0] + anatomy.domes[1]) * 0.5 + self.film.breath;
        let (centre_a, centre_b) = (0.015, floor - 0.17);
        let x = a - centre_a;
        let right_share = 0.335;
        let reach = if x < 0.0 { width * right_share } else { width * (1.0 - right_share) };
        let tip = if x > 0.0 { anatomy.heart_tilt * x * 0.55 } else { 0.0 };
        let y = (b - centre_b - tip) / (0.19 + 0.34 * width * 0.5);
        let round = (x / reach) * (x / reach) + y * y;
        let heart = smooth((1.06 - round) / 0.16);
        let thickness = 0.34 + 0.22 * (1.0 - round).max(0.0);
        let spine = within(0.085 - away, 0.05);
        let discs = 0.5 + 0.5 * (b * 44.0).sin();
        let windpipe = within(0.042 - away, 0.03) * within(-0.16 - b, 0.12);
        // The arms of the windpipe at its fork.
        let fork = hump(away - 0.04 - (b + 0.16) * 0.9, 0.035) * hump(b + 0.08, 0.13);
        0.36 * vessels.max(heart * thickness * 2.1) + 0.13 * spine * (0.7 + 0.3 * discs) - 0.24 * windpipe - 0.10 * fork
    }

    /// Ribs, collarbones and shoulder blades.
    fn bones(&self, a: f32, b: f32, away: f32, outer: f32, lung: f32) -> f32 {
        let anatomy = self.anatomy;
        let cage = within(outer + 0.03 - away, 0.05);
        let mut sum = 0.0;
        if cage > 0.0 {
            let seen = cage * (0.45 + 0.55 * lung);
            let share = away / anatomy.chest;
            for (part, strength) in [(0, 0.17), (1, 0.075 * smooth((share - 0.3) * 3.0) * within(0.25 - b, 0.5))] {
                let place = (b - self.ribs[part].at(a) - anatomy.first_rib) / anatomy.rib_spacing;
                let number = place.round();
                if strength <= 0.0 || !(-0.4..9.6).contains(&number) {
                    continue;
                }
                let high = anatomy.rib * self.steepness[part].at(a) / anatomy.rib_spacing;
                let from_middle = (place - number).abs() / high;
                // A tube: brightest at its walls.
                let profile = smooth((1.25 - from_middle) * 2.5) * (0.72 + 0.28 * smooth(from_middle));
                sum += strength * profile * seen * within(away - 0.07, 0.06);
            }
        }
        let from_clavicle = (b - self.clavicle.at(a)).abs() / 0.030;
        let along = within(away - 0.06, 0.03) * within(0.86 - away, 0.08);
        sum += 0.24 * along * smooth((1.2 - from_clavicle) * 3.0) * (0.75 + 0.25 * smooth(from_clavicle));
        // The blade's inner edge runs down and outwards.
        let edge = away - (outer.max(0.5) * 0.93 - 0.10 * (b + 0.6));
        let blade = smooth(edge / 0.05 + 0.5) * within(b + 0.68, 0.1) * within(0.02 - b, 0.2);
        sum + self.film.scapula * blade * (0.8 + 0.6 * hump(edge, 0.03))
    }

    /// A nodule, and the scars that everybody may have.
    fn spots(&self, a: f32, b: f32, lung: f32) -> f32 {
        let mut sum = 0.0;
        if let Some([radius, density]) = self.film.nodule {
            let [side, across, down, ..] = self.anatomy.nodule;
            let (x, y) = self.place([side, across, down]);
            let square = ((a - x) * (a - x) + (b - y) * (b - y)) / (radius * radius);
            // A ball's thickness with a soft rim.
            sum += density * smooth(1.25 - square) * lung.max(0.6);
        }
        if let Some([side, across, down, radius]) = self.anatomy.scar {
            let (x, y) = self.place([side, across, down]);
            let square = ((a - x) * (a - x) + (b - y) * (b - y)) / (radius * radius);
            sum += 0.35 * smooth(1.3 - square);
        }
        sum
    }

    /// A place in a lung, from shares of its width and height; clear of heart and diaphragm.
    fn place(&self, [side, across, down]: [f32; 3]) -> (f32, f32) {
        let anatomy = self.anatomy;
        let floor = anatomy.domes[usize::from(side > 0.0)] + self.film.breath;
        let b = (anatomy.apex + 0.2) + (floor - 0.1 - anatomy.apex - 0.2) * down;
        let outer = self.outer.at(b) - 0.05;
        let heart = 2.0 * anatomy.chest * self.film.heart * if side > 0.0 { 0.66 } else { 0.34 };
        let inner = (self.inner.at(b) + 0.1).max(heart * smooth((b + 0.25) * 3.0));
        (side * (inner + (outer - inner).max(0.02) * across), b)
    }
}

/// Lung vessels: crooked branches from each hilum outwards, thinner and fainter as they go.
fn vessels(draws: &mut Stream) -> Vec<f32> {
    let mut layer = vec![0.0f32; (SIDE * SIDE) as usize];
    for side in [-1.0, 1.0] {
        for _ in 0..16 {
            let mut at = [side * 0.19, -0.07 + draws.between(-0.05, 0.07)];
            let mut heading = draws.between(-1.25, 1.35);
            let mut width = draws.between(0.011, 0.021);
            let steps = 22 + draws.below(28);
            for _ in 0..steps {
                at[0] += side * heading.cos() * 0.011;
                at[1] += heading.sin() * 0.011;
                heading += draws.between(-0.16, 0.16);
                width *= 0.968;
                stamp(&mut layer, at, width);
            }
        }
    }
    layer
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels near the middle of the film")]
#[expect(clippy::cast_precision_loss, reason = "pixels")]
fn stamp(layer: &mut [f32], at: [f64; 2], width: f64) {
    let side = SIDE as usize;
    let pixel = |x: f64| ((x + 1.0) * 0.5 * f64::from(SIDE)) as f32;
    let (x, y, radius) = (pixel(at[0]), pixel(at[1]), (width * 128.0) as f32);
    let (left, top) = ((x - radius - 1.0).max(0.0) as usize, (y - radius - 1.0).max(0.0) as usize);
    let reach = radius as usize + 3;
    for row in top..(top + 2 * reach).min(side) {
        for column in left..(left + 2 * reach).min(side) {
            let (dx, dy) = (column as f32 + 0.5 - x, row as f32 + 0.5 - y);
            let value = smooth(radius + 0.5 - (dx * dx + dy * dy).sqrt()) * (0.03 + 0.035 * radius);
            let cell = &mut layer[row * side + column];
            *cell = cell.max(value);
        }
    }
}

/// Draws a film.
pub(super) fn draw(anatomy: &Anatomy, film: &Film, tissue: &mut Stream, grain: &mut Stream) -> Pixels {
    let branches = vessels(tissue);
    let drawing = Drawing::new(anatomy, film, tissue);
    let tone: Vec<f32> = (0u16..1024)
        .map(|step| {
            let passed = 1.0 - (-1.25 * f32::from(step) / 256.0).exp();
            film.black + (film.white - film.black) * (passed / 0.93).min(1.0).powf(film.gamma * 1.15)
        })
        .collect();
    let mut pixels = Pixels::black(SIDE, SIDE, 1);
    let mut branch = branches.iter();
    for (row, line) in (0u16..).zip(pixels.data.chunks_exact_mut(SIDE as usize)) {
        let y = (f32::from(row) + 0.5) / 128.0 - 1.0;
        for (column, grey) in (0u16..).zip(line) {
            let x = (f32::from(column) + 0.5) / 128.0 - 1.0;
            let [cosine, sine] = film.turn;
            let a = cosine * x + sine * y + film.shift[0];
            let b = cosine * y - sine * x + film.shift[1];
            let held = drawing.held_back(a, b) + branch.next().copied().unwrap_or(0.0) * lung_only(&drawing, a, b);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates at 0")]
            let place = (held * 256.0) as usize;
            let clean = tone[place.min(1023)];
            *grey = level(clean + film.noise * speckle(grain));
        }
    }
    collimate(&mut pixels, film.collimation);
    crate::images::font::write(&mut pixels, "L", (SIDE - 22, 14), 3);
    pixels
}

/// Where vessels show: between mediastinum, chest wall and diaphragm.
fn lung_only(drawing: &Drawing<'_>, a: f32, b: f32) -> f32 {
    let side = usize::from(a > 0.0);
    within(drawing.outer.at(b) - 0.05 - a.abs(), 0.1) * within(drawing.diaphragm[side].at(a) - 0.03 - b, 0.06)
}

/// About normal with deviation 1: the sum of eight bytes.
fn speckle(grain: &mut Stream) -> f32 {
    let bits = grain.bits().to_le_bytes();
    let sum: u16 = bits.into_iter().map(u16::from).sum();
    // Mean 8 * 127.5, deviation sqrt(8 * (256^2 - 1) / 12).
    (f32::from(sum) - 1020.0) / 209.0
}

fn collimate(pixels: &mut Pixels, [left, top, right, bottom]: [u32; 4]) {
    for (place, grey) in (0u32..).zip(&mut pixels.data) {
        let (x, y) = (place % SIDE, place / SIDE);
        if x < left || y < top || x >= SIDE - right || y >= SIDE - bottom {
            *grey = 0;
        }
    }
}
