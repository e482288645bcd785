//! Figures a report can lead with, and what counts as one.

use super::{Family, Operation, Takes, number, required, word};

const fn metric(name: &'static str, about: &'static str, examples: &'static [&'static str]) -> Operation {
    Operation { name, about, parameters: &[], later: &[], source: "", examples }
}

/// `evaluate.primary`, `evaluate.metrics`
pub const METRICS: Family = Family {
    one: "metric",
    many: "metrics",
    operations: &[
        metric("macro_f1", "Mean F1 of the classes over pooled counts.", &["macro_f1"]),
        metric("balanced_accuracy", "Mean recall of the classes.", &["balanced_accuracy"]),
        metric("accuracy", "Share of right answers.", &["accuracy"]),
        metric("auroc", "Mean one-against-rest area under the ROC curve.", &["auroc"]),
        metric("log_loss", "Mean negative log-probability of the true class.", &["log_loss"]),
        metric("ece", "Expected calibration error over 15 equal bins.", &["ece"]),
    ],
    later: &[
        "sensitivity",
        "specificity",
        "auprc",
        "kappa",
        "mcc",
        "brier",
        "micro_f1",
        "weighted_f1",
        "precision",
        "recall",
    ],
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
