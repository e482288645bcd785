//! What the file, the table and the weights say of patients and of what was seen: the facts a flow is built on.

use std::collections::BTreeSet;

use crate::data::Dataset;
use crate::study::{Places, Study};

/// Facts that the study alone does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Does the study say who the patients are?
    pub group_written: bool,
    /// Does it say which epoch is kept?
    pub keep_written: bool,
    /// Patients whom the table puts into several folds, by name.
    pub in_several_folds: Vec<String>,
    /// Patients with images in the table's hold-out and with others in the folds, by name.
    pub held_out_and_not: Vec<String>,
    /// Do the intervals draw images where patients may have several?
    pub drawn_by_image: bool,
    /// What the first weights were trained on, if that is this study's data.
    pub first_weights: Option<String>,
}

impl Facts {
    /// What the places of the settings and, where it could be read, the data set say.
    #[must_use]
    pub fn of(study: &Study, places: &Places, dataset: Option<&Dataset>) -> Self {
        let written = |path: &str| places.get(path).is_some();
        let mut facts =
            Self { group_written: written("data.group"), keep_written: written("train.keep"), ..Self::default() };
        let Some(dataset) = dataset else { return facts };
        if let Some(folds) = &dataset.given_folds
            && study.split.cv.folds == 0
        {
            let outside =
                |image: usize| dataset.given_holdout.as_ref().is_none_or(|held| held.get(image) != Some(&true));
            let placed =
                folds.iter().enumerate().filter(|(image, _)| outside(*image)).map(|(image, fold)| (image, *fold));
            facts.in_several_folds = shared(dataset, placed);
        }
        if let Some(held) = &dataset.given_holdout {
            facts.held_out_and_not = shared(dataset, held.iter().copied().map(u32::from).enumerate());
        }
        facts
    }
}

/// The patients whose images lie in several places, in the data set's order.
fn shared(dataset: &Dataset, placed: impl Iterator<Item = (usize, u32)>) -> Vec<String> {
    let mut place_of: Vec<Option<u32>> = vec![None; dataset.patients.len()];
    let mut several = BTreeSet::new();
    for (image, place) in placed {
        let Some(patient) = dataset.images.get(image).map(|image| image.patient as usize) else { continue };
        if let Some(held) = place_of.get_mut(patient)
            && *held.get_or_insert(place) != place
        {
            several.insert(patient);
        }
    }
    several.into_iter().filter_map(|patient| dataset.patients.get(patient)).cloned().collect()
}
