//! A phantom's body, drawn once a patient, and what a single film of it adds.
//!
//! Lengths are in half widths of the film: (0, 0) is its middle, a runs from -1 (the patient's right) to 1, b from -1
//! (the neck) to 1 (the belly).

use super::{Facts, Purpose, stream};
use crate::draw::Stream;

fn between(draws: &mut Stream, low: f32, high: f32) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a length to draw with")]
    let value = draws.between(f64::from(low), f64::from(high)) as f32;
    value
}

fn around(draws: &mut Stream, middle: f32, deviation: f32) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a length to draw with")]
    let value = draws.normal().clamp(-2.5, 2.5) as f32;
    middle + deviation * value
}

/// What all films of a patient share.
#[derive(Debug, Clone)]
pub(super) struct Anatomy {
    /// Half width of the ribcage within.
    pub chest: f32,
    /// Top of the ribcage.
    pub apex: f32,
    /// Height of the right and the left dome of the diaphragm.
    pub domes: [f32; 2],
    /// How much the domes bend.
    pub dome_bend: f32,
    /// Half width of the upper mediastinum.
    pub mediastinum: f32,
    /// Size of the aortic knob.
    pub knob: f32,
    /// Heart over chest when nothing is wrong with it, as a PA film shows it.
    pub heart: f32,
    /// Heart over chest when it is enlarged.
    pub large_heart: f32,
    /// How far the heart's tip hangs.
    pub heart_tilt: f32,
    /// Between two ribs.
    pub rib_spacing: f32,
    /// Centre line of the first rib at the spine.
    pub first_rib: f32,
    /// Half the height of a rib.
    pub rib: f32,
    /// How dense bones are.
    pub bone: f32,
    /// How the spine leans.
    pub scoliosis: f32,
    /// Thickness of the body.
    pub habitus: f32,
    /// Weight of breast shadows.
    pub breasts: f32,
    /// Collarbones: height at the breastbone and rise to the shoulder.
    pub clavicle: [f32; 2],
    /// Gas in the stomach: place and size.
    pub stomach: [f32; 3],
    /// Where a nodule is if there is one: side (-1 or 1), share of the lung's width and height, radius, density.
    pub nodule: [f32; 5],
    /// An old scar everybody may have, small and dense: side, shares, radius.
    pub scar: Option<[f32; 4]>,
    /// How high fluid stands at the chest wall on either side, if there is any.
    pub fluid: [f32; 2],
}

impl Anatomy {
    pub(super) fn of(seed: u64, facts: &Facts) -> Self {
        let draws = &mut stream(seed, Purpose::Anatomy, u64::from(facts.patient));
        let wide = if facts.female { 0.73 } else { 0.78 };
        let side = |draws: &mut Stream| if draws.chance(0.5) { -1.0 } else { 1.0 };
        let right_dome = around(draws, 0.43, 0.04);
        let age = f32::from(u8::try_from(facts.age).unwrap_or(99));
        let fluid_side = usize::from(draws.chance(0.5));
        let mut fluid = [0.0; 2];
        fluid[fluid_side] = between(draws, 0.24, 0.72);
        if draws.chance(0.2) {
            fluid[1 - fluid_side] = between(draws, 0.16, 0.35);
        }
        Self {
            chest: around(draws, wide, 0.025),
            apex: around(draws, -0.80, 0.03),
            domes: [right_dome, right_dome + around(draws, 0.05, 0.015)],
            dome_bend: between(draws, 0.08, 0.13),
            mediastinum: around(draws, 0.135, 0.012),
            knob: around(draws, 0.055 + 0.0006 * (age - 50.0), 0.01).max(0.02),
            heart: around(draws, 0.45, 0.025).clamp(0.39, 0.50),
            large_heart: between(draws, 0.56, 0.69),
            heart_tilt: between(draws, 0.15, 0.45),
            rib_spacing: around(draws, 0.142, 0.006),
            first_rib: around(draws, -0.70, 0.02),
            rib: around(draws, 0.026, 0.003),
            bone: between(draws, 0.8, 1.2) * (1.1 - 0.003 * (age - 50.0)),
            scoliosis: around(draws, 0.0, 0.015),
            habitus: between(draws, 0.85, 1.3),
            breasts: if facts.female { between(draws, 0.05, 0.28) } else { 0.0 },
            clavicle: [around(draws, -0.53, 0.025), around(draws, 0.13, 0.03)],
            stomach: [between(draws, 0.3, 0.5), between(draws, 0.10, 0.16), between(draws, 0.05, 0.12)],
            nodule: [
                side(draws),
                between(draws, 0.3, 0.78),
                between(draws, 0.2, 0.8),
                between(draws, 0.055, 0.115),
                between(draws, 0.30, 0.55),
            ],
            scar: draws.chance(0.25).then(|| {
                [side(draws), between(draws, 0.2, 0.85), between(draws, 0.15, 0.85), between(draws, 0.012, 0.02)]
            }),
            fluid,
        }
    }
}

/// What is peculiar to one film: position, breath, exposure, and the finding as it shows.
#[derive(Debug, Clone)]
pub(super) struct Film {
    /// Cosine and sine of the turn, times the scale.
    pub turn: [f32; 2],
    /// Shift.
    pub shift: [f32; 2],
    /// How much lower the diaphragm is; negative when less air is taken in.
    pub breath: f32,
    /// Heart over chest on this film.
    pub heart: f32,
    /// Radius and density of the nodule, if it is there.
    pub nodule: Option<[f32; 2]>,
    /// How high fluid stands on either side.
    pub fluid: [f32; 2],
    /// Shoulder blades over the lungs.
    pub scapula: f32,
    /// Exponent of the film's tone.
    pub gamma: f32,
    /// Brightest grey.
    pub white: f32,
    /// Darkest grey.
    pub black: f32,
    /// Deviation of the noise, in grey levels.
    pub noise: f32,
    /// Blackened margin on each side, in pixels.
    pub collimation: [u32; 4],
}

impl Film {
    pub(super) fn of(seed: u64, index: u32, facts: &Facts, anatomy: &Anatomy) -> Self {
        let draws = &mut stream(seed, Purpose::Film, u64::from(index));
        let supine = facts.anterior_posterior;
        let angle = around(draws, 0.0, 0.025);
        let scale = around(draws, 1.0, 0.03);
        let shift = [around(draws, 0.0, 0.025), around(draws, 0.02, 0.03)];
        let breath = around(draws, if supine { -0.06 } else { 0.0 }, 0.025);
        // Nearer to the tube and farther from the plate, the heart is cast larger; so it is with less air.
        let cast = if supine { 1.07 } else { 1.0 } * (1.0 - 0.5 * breath);
        let enlarged = facts.label == "cardiomegaly";
        let heart = if enlarged { anatomy.large_heart } else { anatomy.heart } * cast * around(draws, 1.0, 0.015);
        let growth = between(draws, 0.9, 1.1);
        let nodule = (facts.label == "nodule").then(|| [anatomy.nodule[3] * growth, anatomy.nodule[4]]);
        let level = between(draws, 0.85, 1.15);
        let fluid = if facts.label == "effusion" { anatomy.fluid.map(|height| height * level) } else { [0.0; 2] };
        let mut collimation = [0; 4];
        if draws.chance(0.3) {
            for side in &mut collimation {
                *side = u32::try_from(draws.below(9)).unwrap_or(0);
            }
        }
        Self {
            turn: [angle.cos() * scale, angle.sin() * scale],
            shift,
            breath,
            heart,
            nodule,
            fluid,
            scapula: if supine { 0.16 } else { 0.06 } * between(draws, 0.6, 1.2),
            gamma: between(draws, 0.85, 1.25),
            white: between(draws, 225.0, 250.0),
            black: between(draws, 4.0, 22.0),
            noise: between(draws, 2.0, if supine { 6.0 } else { 4.5 }),
            collimation,
        }
    }
}
