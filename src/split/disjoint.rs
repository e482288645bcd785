//! The run-time half of "leakage is a type error": roles of images become proof that they share no patient.
//!
//! It works on the patients' names as the table gave them, not on the indexes the split was made with, so a slip
//! anywhere before shows up here.

use std::collections::BTreeSet;
use std::fmt;

use super::Roles;
use crate::data::Dataset;
use crate::record::{FoldRoles, Portion};

/// What a patient's images are for while a fold is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Learned from.
    Train,
    /// Looked at by early stopping and plateau.
    Validation,
    /// Scored.
    Evaluation,
    /// Kept out of every fold.
    Holdout,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Evaluation => "evaluation",
            Self::Holdout => "hold-out",
        })
    }
}

/// Roles that may not be trained with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leak {
    /// Two roles share patients.
    Shared {
        /// The fold that would be trained, from 0.
        fold: u32,
        /// One role.
        first: Role,
        /// The other.
        second: Role,
        /// Names of the shared patients, sorted.
        patients: Vec<String>,
    },
    /// Patients of the data set that have no role.
    Missing {
        /// The fold that would be trained, from 0.
        fold: u32,
        /// Their names, sorted.
        patients: Vec<String>,
    },
}

/// Up to five names and how many more there are.
fn some_names(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|name| format!("`{}`", name.escape_debug())).collect();
    match names.len().saturating_sub(5) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fold, patients) = match self {
            Self::Shared { fold, patients, .. } | Self::Missing { fold, patients } => (fold, patients),
        };
        let (number, are) = if patients.len() == 1 {
            ("1 patient".to_owned(), "is")
        } else {
            (format!("{} patients", patients.len()), "are")
        };
        match self {
            Self::Shared { first, second, .. } => {
                write!(f, "fold {fold}: {number} {are} in both {first} and {second}: ")?;
            }
            Self::Missing { .. } => {
                write!(f, "fold {fold}: {number} {are} in no role: ")?;
            }
        }
        f.write_str(&some_names(patients))
    }
}

impl std::error::Error for Leak {}

/// Asserts that train, validation, evaluation and hold-out share no patient and together are the whole data set.
///
/// # Errors
/// The patients that two roles share, or that have no role.
pub fn assert_disjoint(dataset: &Dataset, roles: &Roles) -> Result<FoldRoles, Leak> {
    let (compared, leaks) = compare(dataset, roles);
    match leaks.into_iter().next() {
        Some(leak) => Err(leak),
        None => Ok(compared),
    }
}

/// Compares the patients of all roles: what is true of them, and everything that is not as it should be.
#[must_use]
pub fn compare(dataset: &Dataset, roles: &Roles) -> (FoldRoles, Vec<Leak>) {
    let parts = [
        (Role::Train, &roles.train),
        (Role::Validation, &roles.validation),
        (Role::Evaluation, &roles.evaluation),
        (Role::Holdout, &roles.holdout),
    ];
    let named = parts.map(|(role, images)| (role, names(dataset, images.iter().copied())));
    let (mut disjoint, mut leaks) = (Vec::new(), Vec::new());
    let mut union = BTreeSet::new();
    for (at, (first, patients)) in named.iter().enumerate() {
        for (second, others) in named.iter().skip(at + 1) {
            let shared: Vec<String> = patients.intersection(others).map(ToString::to_string).collect();
            if shared.is_empty() {
                disjoint.push(format!("{first} x {second}"));
            } else {
                leaks.push(Leak::Shared { fold: roles.fold, first: *first, second: *second, patients: shared });
            }
        }
        union.extend(patients.iter().copied());
    }
    let missing: Vec<String> =
        names(dataset, 0..dataset.images.len()).difference(&union).map(ToString::to_string).collect();
    if !missing.is_empty() {
        leaks.push(Leak::Missing { fold: roles.fold, patients: missing });
    }
    let compared = FoldRoles {
        fold: roles.fold,
        train: portion(dataset, &roles.train),
        validation: portion(dataset, &roles.validation),
        evaluation: portion(dataset, &roles.evaluation),
        disjoint,
        union_patients: u32::try_from(union.len()).unwrap_or(u32::MAX),
    };
    (compared, leaks)
}

fn names(dataset: &Dataset, images: impl Iterator<Item = usize>) -> BTreeSet<&str> {
    let patients: BTreeSet<u32> =
        images.filter_map(|image| dataset.images.get(image)).map(|image| image.patient).collect();
    patients.into_iter().filter_map(|patient| dataset.patients.get(patient as usize)).map(String::as_str).collect()
}

/// Counts the images and patients of a set of images.
pub(super) fn portion(dataset: &Dataset, images: &[usize]) -> Portion {
    let classes = dataset.classes.len();
    let mut portion = Portion {
        images: u32::try_from(images.len()).unwrap_or(u32::MAX),
        patients: 0,
        class_images: vec![0; classes],
        class_patients: vec![0; classes],
    };
    let mut of_class = BTreeSet::new();
    for image in images.iter().filter_map(|image| dataset.images.get(*image)) {
        if let Some(count) = portion.class_images.get_mut(image.label as usize) {
            *count += 1;
        }
        of_class.insert((image.patient, image.label));
    }
    let mut last = None;
    for (patient, label) in of_class {
        if let Some(count) = portion.class_patients.get_mut(label as usize) {
            *count += 1;
        }
        if last.replace(patient) != Some(patient) {
            portion.patients += 1;
        }
    }
    portion
}
