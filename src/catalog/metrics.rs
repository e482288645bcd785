//! Figures a report can lead with, and what counts as one.

use super::{Family, Operation, Parameter, Takes, number, required, word};

const fn metric(name: &'static str, about: &'static str, examples: &'static [&'static str]) -> Operation {
    Operation { name, about, parameters: &[], later: &[], source: "", examples }
}

const PLAIN: [Operation; 6] = [
    metric(
        "macro_f1",
        "Mean F1 of the classes, counted over all folds together: it can lie above or below every fold's own.",
        &["macro_f1"],
    ),
    metric("balanced_accuracy", "Mean recall of the classes.", &["balanced_accuracy"]),
    metric("accuracy", "Share of right answers.", &["accuracy"]),
    metric("auroc", "Mean one-against-rest area under the ROC curve.", &["auroc"]),
    metric("log_loss", "Mean negative log-probability of the true class.", &["log_loss"]),
    metric("ece", "Expected calibration error over 15 equal bins.", &["ece"]),
];

const LATER: &[&str] = &["auprc", "kappa", "mcc", "brier", "micro_f1", "weighted_f1", "precision", "recall"];

/// `evaluate.primary`
pub const METRICS: Family = Family { one: "metric", many: "metrics", operations: &PLAIN, later: LATER };

/// A share that a class must reach on the validation patients.
const REACHED: Takes = Takes::Share { from: 0.01, to: 0.999 };

const REACHES: &[Parameter] = &[required("share", REACHED, "the least that is reached on the validation patients")];

const fn fixed(name: &'static str, about: &'static str, examples: &'static [&'static str]) -> Operation {
    Operation { name, about, parameters: REACHES, later: &[], source: "", examples }
}

/// `evaluate.metrics[..].at` of a sensitivity
pub const SPECIFICITIES: Family = Family {
    one: "fixed specificity",
    many: "fixed specificities",
    operations: &[fixed(
        "specificity",
        "Share of the other classes that stays below the threshold.",
        &["specificity(90%)"],
    )],
    later: &[],
};

/// `evaluate.metrics[..].at` of a specificity
pub const SENSITIVITIES: Family = Family {
    one: "fixed sensitivity",
    many: "fixed sensitivities",
    operations: &[fixed("sensitivity", "Share of the class that reaches the threshold.", &["sensitivity(95%)"])],
    later: &[],
};

const fn at(family: &'static Family) -> Parameter {
    required("at", Takes::Operation(family), "what each class's threshold is chosen for, on the validation patients")
}

/// `evaluate.metrics`
pub const FIGURES: Family = Family {
    one: "figure",
    many: "figures",
    operations: &[
        PLAIN[0],
        PLAIN[1],
        PLAIN[2],
        PLAIN[3],
        PLAIN[4],
        PLAIN[5],
        Operation {
            name: "sensitivity",
            about: "Of each class against the rest: the share found, with a threshold that the validation patients chose.",
            parameters: &[at(&SPECIFICITIES)],
            later: &[],
            source: "",
            examples: &["sensitivity(at = specificity(90%))"],
        },
        Operation {
            name: "specificity",
            about: "Of each class against the rest: the share of others spared, at a threshold that the validation patients chose.",
            parameters: &[at(&SENSITIVITIES)],
            later: &[],
            source: "",
            examples: &["specificity(at = sensitivity(95%))"],
        },
    ],
    later: LATER,
};

/// `evaluate.tta`
pub const CHANGES: Family = Family {
    one: "fixed operation",
    many: "fixed operations",
    operations: &[Operation {
        name: "flip",
        about: "The mirror image.",
        parameters: &[word("axis", &["horizontal", "vertical"], "horizontal", "left-right, or top-bottom")],
        later: &[],
        source: "",
        examples: &["flip(horizontal)"],
    }],
    later: &["rotate", "crop", "scale"],
};

const POOLS: &[&str] = &["mean_probability"];

/// `evaluate.unit`
pub const UNITS: Family = Family {
    one: "unit",
    many: "units",
    operations: &[
        Operation {
            name: "patient",
            about: "Each patient counts once.",
            parameters: &[word("pool", POOLS, "mean_probability", "how a patient's images become one answer")],
            later: &[],
            source: "",
            examples: &["patient(pool = mean_probability)"],
        },
        metric("image", "Each image counts once.", &["image"]),
    ],
    later: &["study", "exam", "lesion"],
};

/// `report.headline`
pub const HEADLINES: Family = Family {
    one: "headline",
    many: "headlines",
    operations: &[Operation {
        name: "best",
        about: "The variant that is best on the folds, told on the hold-out, which took no part in choosing it.",
        parameters: &[required("by", Takes::Operation(&METRICS), "the metric that decides")],
        later: &[],
        source: "",
        examples: &["best(by = macro_f1)"],
    }],
    later: &[],
};

/// `compare.test`
pub const TESTS: Family = Family {
    one: "test",
    many: "tests",
    operations: &[Operation {
        name: "paired_bootstrap",
        about: "Patients are drawn with replacement, and both variants judged on the same draws.",
        parameters: &[number(
            "draws",
            Takes::Whole { from: 100, to: 1_000_000, counts: "draws" },
            2000.0,
            "how many draws",
        )],
        later: &["level"],
        source: "Efron and Tibshirani 1993, An Introduction to the Bootstrap",
        examples: &["paired_bootstrap(2000)"],
    }],
    later: &["permutation", "delong", "mcnemar", "wilcoxon", "t_test"],
};

const DRAWN: &[&str] = &["patient", "image"];
const METHODS: &[&str] = &["percentile", "bca"];

/// How often patients are drawn.
const REPLICATES: Takes = Takes::Whole { from: 100, to: 100_000, counts: "" };

/// `evaluate.intervals`
pub const INTERVALS: Family = Family {
    one: "way to make intervals",
    many: "ways to make intervals",
    operations: &[
        Operation {
            name: "bootstrap",
            about: "Whole patients drawn with replacement, also where a figure counts images.",
            parameters: &[
                number("replicates", REPLICATES, 1000.0, "how often the patients are drawn"),
                number(
                    "level",
                    Takes::Share { from: 0.5, to: 0.999 },
                    0.95,
                    "share of the intervals that hold the figure in the long run",
                ),
                word("unit", DRAWN, "patient", "what is drawn; images only where each is its own patient"),
                word("method", METHODS, "percentile", "quantiles of the draws, or corrected for bias and skewness"),
            ],
            later: &[],
            source: "Davison and Hinkley 1997, section 3.8; bca: Efron 1987",
            examples: &["bootstrap(2000, level = 95%)", "bootstrap(2000, method = bca)"],
        },
        metric("none", "No intervals.", &["none"]),
    ],
    later: &["wilson", "delong"],
};

/// Parts of `evaluate.slices`.
pub const SLICES: Family = Family {
    one: "slice",
    many: "slices",
    operations: &[Operation {
        name: "bins",
        about: "A column of numbers, gathered between edges; the last edge is included.",
        parameters: &[
            required("column", Takes::Column, "the column"),
            required("edges", Takes::Shaped("a list of ascending numbers, `[16, 40, 65]`"), "where the parts begin"),
        ],
        later: &[],
        source: "",
        examples: &["bins(`age`, [16, 40, 65, 100])"],
    }],
    later: &[],
};

/// `evaluate.leak`
pub const ACCEPTANCES: Family = Family {
    one: "acceptance",
    many: "acceptances",
    operations: &[Operation {
        name: "accepted",
        about: "The study runs although it leaks; the report says so on its first screen.",
        parameters: &[required("because", Takes::Text, "the reason, repeated in the report")],
        later: &[],
        source: "",
        examples: &["accepted(because = \"repeats the published protocol\")"],
    }],
    later: &[],
};
