//! `limit`: at most so many images of a class, whole patients first.
//!
//! Patients stand in an order drawn from the seed and their names, so that neither the table's order nor who else is
//! in it matters, and a smaller limit takes the same patients as the beginning of a larger one. One order serves all
//! classes: a patient with several labels is taken, and counted, in each. The last patient of a class may be cut.

use crate::draw::{DrawKey, Stage};

/// Which images stay. `images` holds (patient, class) of each, `quotas` the most images of each class, if limited.
pub(super) fn choose(images: &[(u32, u32)], patient_names: &[&str], quotas: &[Option<u32>], seed: u64) -> Vec<bool> {
    let mut order: Vec<(u64, &str, usize)> =
        patient_names.iter().enumerate().map(|(patient, name)| (place(seed, name), *name, patient)).collect();
    order.sort_unstable();
    let mut rank = vec![0_usize; patient_names.len()];
    for (at, (_, _, patient)) in order.iter().enumerate() {
        if let Some(rank) = rank.get_mut(*patient) {
            *rank = at;
        }
    }
    let mut walk: Vec<(usize, usize, u32)> = images
        .iter()
        .enumerate()
        .map(|(image, (patient, class))| (rank.get(*patient as usize).copied().unwrap_or(0), image, *class))
        .collect();
    walk.sort_unstable();

    let mut left = quotas.to_vec();
    let mut stays = vec![false; images.len()];
    for (_, image, class) in walk {
        let taken = match left.get_mut(class as usize) {
            Some(Some(0)) => false,
            Some(Some(left)) => {
                *left -= 1;
                true
            }
            Some(None) | None => true,
        };
        if let Some(stays) = stays.get_mut(image) {
            *stays = taken;
        }
    }
    stays
}

fn place(seed: u64, name: &str) -> u64 {
    let digest = blake3::hash(name.as_bytes());
    let mut first = [0; 8];
    for (byte, from) in first.iter_mut().zip(digest.as_bytes()) {
        *byte = *from;
    }
    DrawKey { seed, stage: Stage::Limit, epoch: 0, sample: u64::from_le_bytes(first) }.bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> (Vec<(u32, u32)>, Vec<String>) {
        // 40 patients with 1 to 5 images each; every third has both classes.
        let mut images = Vec::new();
        for patient in 0..40_u32 {
            for image in 0..=(patient % 5) {
                images.push((patient, if patient % 3 == 0 { image % 2 } else { patient % 2 }));
            }
        }
        (images, (0..40).map(|patient| format!("p{patient}")).collect())
    }

    fn chosen(quotas: &[Option<u32>], seed: u64) -> Vec<bool> {
        let (images, names) = people();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        choose(&images, &names, quotas, seed)
    }

    fn count(stays: &[bool], class: u32) -> usize {
        people().0.iter().zip(stays).filter(|((_, held), stays)| **stays && *held == class).count()
    }

    #[test]
    fn quotas_are_met_exactly_and_unlimited_classes_stay_whole() {
        let stays = chosen(&[Some(17), None], 1);
        assert_eq!(count(&stays, 0), 17);
        assert_eq!(count(&stays, 1), people().0.iter().filter(|(_, class)| *class == 1).count());
        let more_than_there_are = chosen(&[Some(1000), Some(1000)], 1);
        assert!(more_than_there_are.iter().all(|stays| *stays));
    }

    #[test]
    fn at_most_one_patient_a_class_is_cut() {
        for seed in 0..50 {
            let stays = chosen(&[Some(20), Some(20)], seed);
            let (images, _) = people();
            for class in 0..2 {
                let cut = (0..40_u32)
                    .filter(|patient| {
                        let of = |wanted: bool| {
                            images
                                .iter()
                                .zip(&stays)
                                .filter(|((held, of), stays)| held == patient && *of == class && **stays == wanted)
                                .count()
                        };
                        of(true) > 0 && of(false) > 0
                    })
                    .count();
                assert!(cut <= 1, "seed {seed} class {class}: {cut} patients cut");
            }
        }
    }

    #[test]
    fn a_smaller_limit_is_the_beginning_of_a_larger_one() {
        let small = chosen(&[Some(5), Some(7)], 9);
        let large = chosen(&[Some(15), Some(20)], 9);
        assert!(small.iter().zip(&large).all(|(small, large)| !small || *large));
        assert_ne!(large, chosen(&[Some(15), Some(20)], 10), "another seed takes others");
        assert_eq!(large, chosen(&[Some(15), Some(20)], 9));
    }

    #[test]
    fn neither_the_order_of_rows_nor_of_patients_matters() {
        let (images, names) = people();
        let quotas = [Some(12), Some(12)];
        let stays = chosen(&quotas, 4);
        let patients_of = |images: &[(u32, u32)], names: &[&str], stays: &[bool]| {
            let mut held: Vec<String> = images
                .iter()
                .zip(stays)
                .filter(|(_, stays)| **stays)
                .map(|((patient, class), _)| format!("{} {class}", names[*patient as usize]))
                .collect();
            held.sort();
            held
        };
        let forward: Vec<&str> = names.iter().map(String::as_str).collect();
        let backward: Vec<&str> = forward.iter().rev().copied().collect();
        let turned: Vec<(u32, u32)> = images.iter().rev().map(|(patient, class)| (39 - patient, *class)).collect();
        let turned_stays = choose(&turned, &backward, &quotas, 4);
        assert_eq!(patients_of(&images, &forward, &stays), patients_of(&turned, &backward, &turned_stays));
    }
}
