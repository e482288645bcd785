//! Public data sets of radiographs: how a study that uses one is recognised, and which share images.
//!
//! Weights that were trained on a data set have seen all its patients, whoever a study then sets apart.

/// What is known of a public data set.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// Its name in a study.
    pub name: &'static str,
    /// Its name in print.
    pub title: &'static str,
    /// Columns that its table has, all of them.
    pub columns: &'static [&'static str],
    /// Data sets that hold some of the same images.
    pub shares: &'static [&'static str],
}

/// The data sets.
pub const CARDS: &[Card] = &[
    Card {
        name: "nih_chestxray14",
        title: "NIH ChestX-ray14",
        columns: &["Image Index", "Finding Labels", "Patient ID"],
        // Its challenge films were drawn from NIH's.
        shares: &["rsna_pneumonia"],
    },
    Card {
        name: "rsna_pneumonia",
        title: "RSNA Pneumonia Detection Challenge",
        columns: &["patientId", "Target"],
        shares: &["nih_chestxray14"],
    },
    Card {
        name: "chexpert",
        title: "CheXpert",
        columns: &["Path", "Frontal/Lateral", "Enlarged Cardiomediastinum"],
        shares: &[],
    },
    Card { name: "mimic_cxr", title: "MIMIC-CXR", columns: &["dicom_id", "subject_id", "study_id"], shares: &[] },
    Card {
        name: "padchest",
        title: "PadChest",
        columns: &["ImageID", "PatientID", "StudyID", "Projection"],
        shares: &[],
    },
    Card { name: "vindr_cxr", title: "VinDr-CXR", columns: &["image_id", "class_name", "rad_id"], shares: &[] },
];

/// Their names, and ImageNet, which holds no radiograph.
pub const NAMES: &[&str] =
    &["imagenet", "nih_chestxray14", "rsna_pneumonia", "chexpert", "mimic_cxr", "padchest", "vindr_cxr"];

/// The data set whose table has these columns.
#[must_use]
pub fn recognise(columns: &[String]) -> Option<&'static Card> {
    CARDS.iter().find(|card| card.columns.iter().all(|name| columns.iter().any(|column| column == name)))
}

/// Do weights trained on one data set know images of the other?
#[must_use]
pub fn overlap(trained_on: &str, card: &Card) -> bool {
    trained_on == card.name || card.shares.contains(&trained_on)
}

/// A data set's name in print.
#[must_use]
pub fn title(name: &str) -> &str {
    CARDS.iter().find(|card| card.name == name).map_or(name, |card| card.title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_cards_agree_and_sharing_goes_both_ways() {
        for card in CARDS {
            assert!(NAMES.contains(&card.name), "{}", card.name);
            for other in card.shares {
                let other = CARDS.iter().find(|known| known.name == *other).map(|other| other.shares);
                assert!(other.is_some_and(|shares| shares.contains(&card.name)), "{}", card.name);
            }
            let columns: Vec<String> = card.columns.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(recognise(&columns).map(|found| found.name), Some(card.name));
        }
        assert_eq!(NAMES.len(), CARDS.len() + 1);
        assert!(recognise(&["image".to_owned(), "label".to_owned()]).is_none());
    }
}
