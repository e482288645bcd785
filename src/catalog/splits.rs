//! Ways to deal images into folds.

use super::{Default, Family, Operation, Parameter, SEED, Takes, flag, optional, required};

const FOLDS: Parameter = Parameter {
    name: "folds",
    takes: Takes::Whole { from: 2, to: 1000, counts: "folds" },
    default: Default::Number(5.0),
    about: "how many folds",
};
const SHUFFLE: Parameter = flag("shuffle", false, "deal in a random order; also when a seed is given");
const SHUFFLED: Parameter = flag("shuffle", true, "deal in a random order");
const SEEDED: Parameter = optional("seed", SEED, "seed of the shuffle; the study's if left out");

/// `split.cv`
pub const SPLITS: Family = Family {
    one: "split",
    many: "splits",
    operations: &[
        Operation {
            name: "stratified_group_kfold",
            about: "Whole patients, with the classes balanced over the folds.",
            parameters: &[FOLDS, SHUFFLED, SEEDED],
            later: &[],
            source: "",
            examples: &["stratified_group_kfold(5)"],
        },
        Operation {
            name: "group_kfold",
            about: "Whole patients, as scikit-learn's GroupKFold.",
            parameters: &[FOLDS, SHUFFLE, SEEDED],
            later: &[],
            source: "scikit-learn GroupKFold",
            examples: &["group_kfold(5)", "group_kfold(5, shuffle = true, seed = 1)"],
        },
        Operation {
            name: "stratified_kfold",
            about: "Single images with the classes balanced, as scikit-learn's StratifiedKFold.",
            parameters: &[FOLDS, SHUFFLE, SEEDED],
            later: &[],
            source: "scikit-learn StratifiedKFold",
            examples: &["stratified_kfold(5, shuffle = true)"],
        },
        Operation {
            name: "kfold",
            about: "Single images, as scikit-learn's KFold.",
            parameters: &[FOLDS, SHUFFLE, SEEDED],
            later: &[],
            source: "scikit-learn KFold",
            examples: &["kfold(5, shuffle = true, seed = 1)"],
        },
        Operation {
            name: "folds_from",
            about: "A column of the table says each image's fold.",
            parameters: &[required("column", Takes::Column, "the column with the fold")],
            later: &[],
            source: "",
            examples: &["folds_from(`fold`)"],
        },
    ],
    later: &["nested", "leave_one_group_out", "train_test"],
};
