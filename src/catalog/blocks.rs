//! The blocks of a study and their settings.

use super::{Block, SEED, Setting, Takes, backbones, count, images, losses, metrics, sources, splits, training};

/// Settings that stand directly in `study { }`.
pub const STUDY: Block = Block {
    name: "study",
    about: "One question, its data, and how it is answered.",
    settings: &[
        Setting { name: "question", takes: Takes::Text, default: "none", about: "What the study asks." },
        Setting { name: "seed", takes: SEED, default: "42", about: "Every random draw follows from it." },
    ],
    later: &[],
};

/// The blocks in `study { }`.
pub const BLOCKS: &[&Block] = &[&DATA, &SPLIT, &IMAGES, &MODEL, &TRAIN, &EVALUATE, &COMPARE, &REPORT];

/// Blocks of the language that this version does not run yet.
pub const LATER_BLOCKS: &[&str] = &[];

/// The block of a name.
#[must_use]
pub fn block(name: &str) -> Option<&'static Block> {
    BLOCKS.iter().copied().find(|block| block.name == name)
}

const DATA: Block = Block {
    name: "data",
    about: "Images, labels and patients.",
    settings: &[
        Setting {
            name: "table",
            takes: Takes::Operation(&sources::TABLES),
            default: "",
            about: "Where the rows come from.",
        },
        Setting {
            name: "image",
            takes: Takes::Operation(&sources::IMAGES),
            default: "",
            about: "Which column names the image files, and the folder they lie in.",
        },
        Setting { name: "label", takes: Takes::Column, default: "", about: "The column with the class." },
        Setting {
            name: "labels",
            takes: Takes::Operation(&sources::LABELS),
            default: "multiclass()",
            about: "How a cell of the label column is read.",
        },
        Setting {
            name: "classes",
            takes: Takes::Shaped("a list of class names, `[\"normal\", \"virus\"]`"),
            default: "all that occur, sorted",
            about: "The classes, in the order of the network's outputs.",
        },
        Setting {
            name: "merge",
            takes: Takes::Shaped("new classes and what they take in, `{ infection = [\"virus\", \"bacteria\"] }`"),
            default: "{}",
            about: "Labels that count as one class.",
        },
        Setting {
            name: "group",
            takes: Takes::Shaped("a column, or `none(because = \"...\")`"),
            default: "",
            about: "The column that says whose image it is: a patient is never on both sides of a split.",
        },
        Setting {
            name: "keep",
            takes: Takes::Shaped("a condition over columns, `` `age` in 16..=100 ``"),
            default: "all rows",
            about: "Only rows for which this holds.",
        },
        Setting {
            name: "limit",
            takes: Takes::Shaped("`each(500)`, or images a class, `{ \"normal\" = 500 }`"),
            default: "no limit",
            about: "At most so many images a class, whole patients first.",
        },
        Setting {
            name: "on_missing",
            takes: Takes::Word(sources::ON_MISSING),
            default: "error",
            about: "What becomes of rows whose image file is not there.",
        },
    ],
    later: &[],
};

const SPLIT: Block = Block {
    name: "split",
    about: "Who is trained on, who is looked at, who is reported.",
    settings: &[
        Setting {
            name: "holdout",
            takes: Takes::Shaped("a share of patients, `20%`, or a condition over columns, `` `split` == \"test\" ``"),
            default: "0%",
            about: "Patients kept out of every fold: a share of them, or those of the rows for which a condition holds.",
        },
        Setting {
            name: "cv",
            takes: Takes::Operation(&splits::SPLITS),
            default: "stratified_group_kfold(5)",
            about: "How images are dealt into folds.",
        },
        Setting {
            name: "validation",
            takes: Takes::Share { from: 0.0, to: 0.9 },
            default: "0%",
            about: "Share of a fold's training patients that early stopping and plateau look at.",
        },
        Setting {
            name: "run",
            takes: Takes::Shaped("a list of folds from 0, `[0]`"),
            default: "all folds",
            about: "Only these folds are trained.",
        },
    ],
    later: &[],
};

const IMAGES: Block = Block {
    name: "images",
    about: "What the network sees.",
    settings: &[
        Setting {
            name: "prepare",
            takes: Takes::Operations(&images::PREPARE),
            default: "resized to the backbone's side, normalised as its weights expect",
            about: "Operations on every image, in order; `normalize` last.",
        },
        Setting {
            name: "augment",
            takes: Takes::Operations(&images::AUGMENT),
            default: "[]",
            about: "Random operations on training images, in order.",
        },
    ],
    later: &[],
};

const MODEL: Block = Block {
    name: "model",
    about: "The network.",
    settings: &[
        Setting {
            name: "backbone",
            takes: Takes::Operation(&backbones::BACKBONES),
            default: "",
            about: "The network that turns an image into features.",
        },
        Setting {
            name: "head",
            takes: Takes::Operation(&backbones::HEADS),
            default: "linear()",
            about: "What turns features into classes.",
        },
        Setting {
            name: "freeze",
            takes: Takes::Operation(&backbones::FREEZES),
            default: "none",
            about: "What keeps its first weights.",
        },
        Setting {
            name: "stem",
            takes: Takes::Word(backbones::STEMS),
            default: "none",
            about: "What becomes of first weights for three channels where images have one.",
        },
    ],
    later: &[],
};

const TRAIN: Block = Block {
    name: "train",
    about: "How the network learns.",
    settings: &[
        Setting {
            name: "loss",
            takes: Takes::Formula(&losses::LOSSES),
            default: "cross_entropy()",
            about: "Numbers times losses, added up.",
        },
        Setting {
            name: "optimizer",
            takes: Takes::Operation(&training::OPTIMIZERS),
            default: "adamw()",
            about: "How gradients move the weights.",
        },
        Setting {
            name: "schedule",
            takes: Takes::Operation(&training::SCHEDULES),
            default: "constant",
            about: "How the learning rate moves.",
        },
        Setting {
            name: "epochs",
            takes: Takes::Whole { from: 1, to: 100_000, counts: "passes over the data" },
            default: "10",
            about: "Passes over the training images.",
        },
        Setting {
            name: "batch",
            takes: Takes::Whole { from: 1, to: 65_536, counts: "images a batch" },
            default: "32",
            about: "Images that go through the network at once.",
        },
        Setting {
            name: "accumulate",
            takes: Takes::Whole { from: 1, to: 65_536, counts: "batches a step" },
            default: "1",
            about: "Batches averaged into one step of the optimiser; batch norm and `soft_f1` still see one at a time.",
        },
        Setting {
            name: "sampler",
            takes: Takes::Operation(&training::SAMPLERS),
            default: "shuffled",
            about: "In what order training images come.",
        },
        Setting {
            name: "clip",
            takes: Takes::Number { from: 0.0, included: false, to: 1e9 },
            default: "no clipping",
            about: "Largest global norm of the gradient of a step.",
        },
        Setting {
            name: "stop",
            takes: Takes::Operation(&training::STOPS),
            default: "after the last epoch",
            about: "When to stop before `epochs`.",
        },
        Setting {
            name: "keep",
            takes: Takes::Operation(&training::KEEPS),
            default: "last; with `stop`, the best on what it watches",
            about: "Which epoch's weights are kept.",
        },
        Setting {
            name: "precision",
            takes: Takes::Word(&["f32", "bf16"]),
            default: "f32",
            about: "What convolutions, linear layers and attention multiply; `bf16` on GPUs only. All else stays `f32`.",
        },
    ],
    later: &["ema"],
};

const EVALUATE: Block = Block {
    name: "evaluate",
    about: "How the result is judged.",
    settings: &[
        Setting {
            name: "primary",
            takes: Takes::Operation(&metrics::METRICS),
            default: "macro_f1",
            about: "The headline.",
        },
        Setting {
            name: "metrics",
            takes: Takes::Operations(&metrics::FIGURES),
            default: "[accuracy, balanced_accuracy, auroc]",
            about: "What the report shows beside it.",
        },
        Setting {
            name: "unit",
            takes: Takes::Operation(&metrics::UNITS),
            default: "patient() with a patient column, else image",
            about: "What counts as one in the headline.",
        },
        Setting {
            name: "intervals",
            takes: Takes::Operation(&metrics::INTERVALS),
            default: "bootstrap(1000, level = 95%)",
            about: "How far the figures could be off, by drawing whole patients again.",
        },
        Setting {
            name: "slices",
            takes: Takes::Shaped("a list of columns and bins, ``[`sex`, bins(`age`, [16, 40, 65])]``"),
            default: "[]",
            about: "Parts of the patients that get figures of their own.",
        },
        Setting {
            name: "tta",
            takes: Takes::Operations(&metrics::CHANGES),
            default: "[]",
            about: "Test-time augmentation: probabilities are the mean over the image and what each of these makes of it.",
        },
        Setting {
            name: "leak",
            takes: Takes::Operation(&metrics::ACCEPTANCES),
            default: "none is accepted",
            about: "Accepts that the figures leak, with a reason that the report repeats on its first screen.",
        },
    ],
    later: &["explain", "threshold", "calibration"],
};

/// How variants are compared; no part of what a variant is.
pub const COMPARE: Block = Block {
    name: "compare",
    about: "What the report says of differences between variants.",
    settings: &[
        Setting {
            name: "baseline",
            takes: Takes::Shaped("a variant, `{ backbone = resnet18 }` or its name in quotes"),
            default: "the first variant",
            about: "The variant that all others are compared with.",
        },
        Setting {
            name: "test",
            takes: Takes::Operation(&metrics::TESTS),
            default: "paired_bootstrap(2000)",
            about: "How a difference is judged.",
        },
        Setting {
            name: "correction",
            takes: Takes::Word(&["holm", "none"]),
            default: "holm",
            about: "How the p-values of several differences are held together.",
        },
    ],
    later: &[],
};

/// What the report leads with, and where else it goes; no part of what a variant is.
pub const REPORT: Block = Block {
    name: "report",
    about: "What the report leads with, and where else it goes.",
    settings: &[
        Setting {
            name: "html",
            takes: Takes::Path,
            default: "in the run's folder only",
            about: "The page is written here too.",
        },
        Setting {
            name: "headline",
            takes: Takes::Shaped(
                "a variant, `{ backbone = resnet18 }` or its name in quotes, or `best(by = macro_f1)`",
            ),
            default: "no variant is put forward",
            about: "The variant that the report leads with; the best one is told on the hold-out.",
        },
    ],
    later: &["checklist", "model"],
};

/// `run NAME { ... }`: where it runs; never part of the study.
pub const RUN: Block = Block {
    name: "run",
    about: "Where it runs; no part of the study.",
    settings: &[
        Setting {
            name: "device",
            takes: Takes::Operation(&training::DEVICES),
            default: "auto",
            about: "What computes.",
        },
        Setting { name: "threads", takes: count("threads"), default: "all cores", about: "Threads of the CPU." },
        Setting {
            name: "workers",
            takes: Takes::Whole { from: 1, to: 256, counts: "processes" },
            default: "1",
            about: "Folds and variants trained side by side, a process each: on a GPU each, or sharing the CPU; results are the same.",
        },
    ],
    later: &["slurm", "scratch"],
};
