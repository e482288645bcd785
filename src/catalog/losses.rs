//! Losses: each is the mean over a batch.

use super::{Default, Family, Operation, Parameter, SHARE, Takes, number};

const fn smoothing(default: f64) -> Parameter {
    number("smoothing", SHARE, default, "share of each target spread evenly over all classes")
}

const CLASS_WEIGHTS: Parameter = Parameter {
    name: "class_weights",
    takes: Takes::Shaped("`none`, `balanced`, or a weight a class, `{ \"virus\" = 2.0 }`"),
    default: Default::Absent,
    about: "how much each class counts",
};

/// `train.loss`
pub const LOSSES: Family = Family {
    one: "loss",
    many: "losses",
    operations: &[
        Operation {
            name: "cross_entropy",
            about: "The negative log-probability of the true class.",
            parameters: &[smoothing(0.0), CLASS_WEIGHTS],
            later: &[],
            source: "Keras CategoricalCrossentropy",
            examples: &["cross_entropy()", "cross_entropy(smoothing = 0.1, class_weights = balanced)"],
        },
        Operation {
            name: "focal",
            about: "Cross-entropy that looks harder at what the model gets wrong.",
            parameters: &[
                number(
                    "gamma",
                    Takes::Number { from: 0.0, included: true, to: 10.0 },
                    2.0,
                    "how much easy images are turned down",
                ),
                number("alpha", Takes::Number { from: 0.0, included: false, to: 100.0 }, 0.25, "factor of the term"),
                smoothing(0.0),
                CLASS_WEIGHTS,
            ],
            later: &[],
            source: "Lin et al. 2017, Focal Loss for Dense Object Detection; Keras CategoricalFocalCrossentropy",
            examples: &["focal()", "focal(gamma = 2.0, alpha = 0.75)"],
        },
        Operation {
            name: "soft_f1",
            about: "1 - macro F1, counted with probabilities over a batch.",
            parameters: &[smoothing(0.0)],
            later: &["memory"],
            source: "",
            examples: &["soft_f1()"],
        },
        Operation {
            name: "kl",
            about: "Kullback-Leibler divergence from soft targets.",
            parameters: &[smoothing(0.0), CLASS_WEIGHTS],
            later: &[],
            source: "Keras KLDivergence",
            examples: &["kl(smoothing = 0.1)"],
        },
    ],
    later: &["binary_cross_entropy", "dice", "asymmetric", "poly", "logit_adjusted"],
};
