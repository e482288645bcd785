//! Synthetic chest films: which patients they are of, what they show, and the drawings themselves.
//!
//! Everything is a pure function of (images, patients, seed, index): any film can be drawn alone and in any order.
//! They are drawings, not simulations of X-rays: good for trying the program, worthless for medicine.

mod anatomy;
mod film;

use self::anatomy::{Anatomy, Film};
use super::Pixels;
use crate::draw::{DrawKey, Stage, Stream};

/// What the films show, sorted.
pub const CLASSES: [&str; 4] = ["cardiomegaly", "effusion", "nodule", "normal"];

/// Share of films that show something else than the patient's usual finding.
const OTHER_FINDING: f64 = 0.15;
/// Share of films taken front to back (of patients in bed), where the heart looks larger.
const ANTERIOR_POSTERIOR: f64 = 0.3;

/// What a draw below [`Stage::Phantom`] is for; the `epoch` of its key. A number never changes its meaning.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
enum Purpose {
    Anatomy = 0,
    Film = 1,
    Classes = 2,
    FirstFilm = 3,
    Row = 4,
    Person = 5,
    Tissue = 6,
    Grain = 7,
}

fn stream(seed: u64, purpose: Purpose, sample: u64) -> Stream {
    DrawKey { seed, stage: Stage::Phantom, epoch: purpose as u32, sample }.stream()
}

/// One film in the table of phantoms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The film's name, `phantom-00017.png` for index 17.
    pub image: String,
    /// One of [`CLASSES`].
    pub label: &'static str,
    /// The patient's name, `p0003` for patient 3 (from 0).
    pub patient: String,
    /// Age in years on that day.
    pub age: u32,
    /// `F` or `M`.
    pub sex: &'static str,
    /// `PA` or `AP`.
    pub view: &'static str,
}

/// Everything but the pixels.
#[derive(Debug, Clone, Copy)]
struct Facts {
    patient: u32,
    label: &'static str,
    age: u32,
    female: bool,
    anterior_posterior: bool,
}

/// The table of phantoms, in the order of their indices; a patient's films stand together.
///
/// Every patient has at least one film; with fewer images than patients only the first patients have one.
#[must_use]
pub fn rows(images: u32, patients: u32, seed: u64) -> Vec<Row> {
    (0..images)
        .map(|index| {
            let facts = facts(images, patients, seed, index);
            Row {
                image: format!("phantom-{index:05}.png"),
                label: facts.label,
                patient: format!("p{:04}", facts.patient),
                age: facts.age,
                sex: if facts.female { "F" } else { "M" },
                view: if facts.anterior_posterior { "AP" } else { "PA" },
            }
        })
        .collect()
}

/// Draws the film of an index below `images`: grey, 256 x 256.
///
/// Body and the finding's kind and place belong to the patient, so a patient's films resemble each other as real ones
/// do; position, breath, exposure and noise belong to the film. The `L` marks the patient's left.
#[must_use]
pub fn draw(images: u32, patients: u32, seed: u64, index: u32) -> Pixels {
    let facts = facts(images, patients, seed, index);
    let anatomy = Anatomy::of(seed, &facts);
    let film = Film::of(seed, index, &facts, &anatomy);
    let mut tissue = stream(seed, Purpose::Tissue, u64::from(facts.patient));
    let mut grain = stream(seed, Purpose::Grain, u64::from(index));
    film::draw(&anatomy, &film, &mut tissue, &mut grain)
}

fn facts(images: u32, patients: u32, seed: u64, index: u32) -> Facts {
    let (patient, first) = patient_of(images, patients, seed, index);
    let mut person = stream(seed, Purpose::Person, u64::from(patient));
    let female = person.chance(0.5);
    let age = 20 + person.below(68);
    let mut row = stream(seed, Purpose::Row, u64::from(index));
    let usual = usual_class(seed, patient);
    // Someone ill usually comes back as well, and someone well with a finding.
    let label =
        if row.chance(OTHER_FINDING) { (usual + 1 + row.below(CLASSES.len() - 1)) % CLASSES.len() } else { usual };
    let anterior_posterior = row.chance(ANTERIOR_POSTERIOR);
    // Follow-up films are about a year apart.
    let years = u64::from(index.saturating_sub(first));
    Facts {
        patient,
        label: CLASSES.get(label).copied().unwrap_or(CLASSES[0]),
        age: u32::try_from((age as u64 + years).min(99)).unwrap_or(99),
        female,
        anterior_posterior,
    }
}

/// The class most films of a patient show: each four patients in a row have the four classes in a drawn order.
fn usual_class(seed: u64, patient: u32) -> usize {
    let mut order = [0, 1, 2, 3];
    stream(seed, Purpose::Classes, u64::from(patient / 4)).shuffle(&mut order);
    order.get(patient as usize % 4).copied().unwrap_or(0)
}

/// The patient of a film and the index of their first one.
///
/// Patient p's films begin at p + floor((images - patients) (p + u) / patients) with u drawn in 0..1: that grows by
/// one at least from one patient to the next, so it can be searched by bisection and nobody is left without a film.
fn patient_of(images: u32, patients: u32, seed: u64, index: u32) -> (u32, u32) {
    let patients = patients.clamp(1, images.max(1));
    let spare = f64::from(images.saturating_sub(patients));
    let first_film = |patient: u32| -> u32 {
        if patient == 0 {
            return 0;
        }
        let jitter = stream(seed, Purpose::FirstFilm, u64::from(patient)).uniform();
        let extra = spare * (f64::from(patient) + jitter) / f64::from(patients);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and `images`")]
        let extra = extra.min(spare) as u32;
        patient + extra
    };
    let (mut low, mut high) = (0, patients);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if first_film(middle) <= index {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low, first_film(low))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_patient_has_a_film_and_films_stand_together() {
        for (images, patients) in [(1, 1), (7, 3), (10, 10), (480, 160), (1000, 37), (5, 9)] {
            let rows = rows(images, patients, 3);
            assert_eq!(rows.len(), images as usize);
            let mut seen: Vec<&str> = rows.iter().map(|row| row.patient.as_str()).collect();
            seen.dedup();
            let runs = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(runs, seen.len(), "{images} films of {patients}: a patient's films are apart");
            assert_eq!(runs, patients.min(images) as usize, "{images} films of {patients}");
        }
        assert!(rows(0, 3, 1).is_empty());
    }

    #[test]
    fn classes_are_about_equal_and_some_patients_have_two() {
        let rows = rows(2000, 600, 1);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut of_patient: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for row in &rows {
            *counts.entry(row.label).or_default() += 1;
            of_patient.entry(&row.patient).or_default().push(row.label);
        }
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), CLASSES);
        assert!(counts.values().all(|&count| (420..580).contains(&count)), "{counts:?}");
        let mixed = of_patient.values().filter(|labels| labels.iter().any(|label| *label != labels[0])).count();
        assert!((120..400).contains(&mixed), "{mixed}");
    }

    #[test]
    fn age_and_sex_belong_to_the_patient() {
        let rows = rows(300, 80, 9);
        for pair in rows.windows(2).filter(|pair| pair[0].patient == pair[1].patient) {
            assert_eq!(pair[0].sex, pair[1].sex);
            assert!(pair[1].age == pair[0].age + 1 || pair[1].age == 99);
        }
        assert!(rows.iter().any(|row| row.view == "AP") && rows.iter().any(|row| row.view == "PA"));
        assert_eq!(rows[17].image, "phantom-00017.png");
    }
}
