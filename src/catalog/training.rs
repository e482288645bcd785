//! Optimisers, schedules, samplers, stopping and devices.

use super::{Family, Operation, Parameter, Takes, flag, number, optional, required, word};

/// What training may look at on the inner validation patients.
pub const WATCH: &[&str] = &["loss", "accuracy", "balanced_accuracy", "macro_f1"];

const LEARNING_RATE: Takes = Takes::Number { from: 0.0, included: false, to: 10.0 };
const FACTOR: Takes = Takes::Number { from: 0.0, included: false, to: 1.0 };
const EPOCHS: Takes = Takes::Epochs { from: 1.0, whole: true };

const fn lr(default: f64) -> Parameter {
    number("lr", LEARNING_RATE, default, "learning rate")
}
const fn weight_decay(default: f64) -> Parameter {
    number("weight_decay", Takes::Number { from: 0.0, included: true, to: 10.0 }, default, "weight decay")
}
const LAYER_DECAY: Parameter = number(
    "layer_decay",
    Takes::Number { from: 0.0, included: false, to: 1.0 },
    1.0,
    "factor of the learning rate from each layer to the one before it",
);
const fn momentum(default: f64) -> Parameter {
    number("momentum", Takes::Number { from: 0.0, included: true, to: 0.9999 }, default, "momentum")
}

/// `train.optimizer`
pub const OPTIMIZERS: Family = Family {
    one: "optimizer",
    many: "optimizers",
    operations: &[
        Operation {
            name: "adamw",
            about: "Adam with decoupled weight decay.",
            parameters: &[lr(3e-4), weight_decay(0.01), LAYER_DECAY],
            later: &[],
            source: "Loshchilov and Hutter 2019; torch.optim.AdamW",
            examples: &["adamw()", "adamw(lr = 3e-4, weight_decay = 1e-4)", "adamw(lr = 1e-3, layer_decay = 0.75)"],
        },
        Operation {
            name: "adam",
            about: "Adam; weight decay is added to the gradient.",
            parameters: &[lr(1e-3), weight_decay(0.0), LAYER_DECAY],
            later: &[],
            source: "Kingma and Ba 2015; torch.optim.Adam",
            examples: &["adam(lr = 1e-3)"],
        },
        Operation {
            name: "nadam",
            about: "Adam with Nesterov momentum.",
            parameters: &[lr(2e-3), weight_decay(0.0), LAYER_DECAY],
            later: &[],
            source: "Dozat 2016; torch.optim.NAdam",
            examples: &["nadam(lr = 2e-3)"],
        },
        Operation {
            name: "sgd",
            about: "Stochastic gradient descent.",
            parameters: &[
                lr(0.01),
                momentum(0.9),
                flag("nesterov", false, "Nesterov's form"),
                weight_decay(0.0),
                LAYER_DECAY,
            ],
            later: &[],
            source: "torch.optim.SGD",
            examples: &["sgd(lr = 0.01, momentum = 0.9, nesterov = true)"],
        },
        Operation {
            name: "rmsprop",
            about: "Gradients divided by a running mean of their size.",
            parameters: &[
                lr(0.01),
                number("alpha", Takes::Number { from: 0.0, included: true, to: 0.9999 }, 0.99, "smoothing constant"),
                momentum(0.0),
                weight_decay(0.0),
                LAYER_DECAY,
            ],
            later: &[],
            source: "Hinton 2012; torch.optim.RMSprop",
            examples: &["rmsprop(lr = 1e-3)"],
        },
    ],
    later: &["lion", "lamb", "adagrad"],
};

/// `train.schedule`
pub const SCHEDULES: Family = Family {
    one: "schedule",
    many: "schedules",
    operations: &[
        Operation {
            name: "constant",
            about: "The learning rate does not move.",
            parameters: &[],
            later: &[],
            source: "",
            examples: &["constant"],
        },
        Operation {
            name: "cosine",
            about: "A linear warm-up, then half a cosine down to 0.",
            parameters: &[number("warmup", Takes::Epochs { from: 0.0, whole: false }, 0.0, "epochs of warm-up")],
            later: &[],
            source: "Loshchilov and Hutter 2017, SGDR",
            examples: &["cosine(warmup = 1epoch)"],
        },
        Operation {
            name: "step",
            about: "Times a factor every so many epochs.",
            parameters: &[
                required("every", EPOCHS, "epochs between two drops"),
                number("factor", FACTOR, 0.1, "factor of a drop"),
            ],
            later: &[],
            source: "torch StepLR",
            examples: &["step(every = 10epochs, factor = 0.1)"],
        },
        Operation {
            name: "plateau",
            about: "Times a factor when the watched figure no longer improves.",
            parameters: &[
                word("on", WATCH, "loss", "the figure watched on the inner validation patients"),
                number("factor", FACTOR, 0.1, "factor of a drop"),
                number("patience", Takes::Epochs { from: 0.0, whole: true }, 10.0, "epochs without improvement"),
                number(
                    "min_delta",
                    Takes::Number { from: 0.0, included: true, to: 1e6 },
                    1e-4,
                    "least change that counts as improvement",
                ),
            ],
            later: &[],
            source: "torch ReduceLROnPlateau",
            examples: &["plateau(on = macro_f1, factor = 0.1, patience = 1epoch)"],
        },
    ],
    later: &["one_cycle", "exponential", "polynomial"],
};

/// `train.sampler`
pub const SAMPLERS: Family = Family {
    one: "sampler",
    many: "samplers",
    operations: &[
        Operation {
            name: "shuffled",
            about: "Each image once an epoch.",
            parameters: &[],
            later: &[],
            source: "",
            examples: &["shuffled"],
        },
        Operation {
            name: "balanced",
            about: "Each class equally often, drawn with replacement.",
            parameters: &[optional("by", Takes::Column, "the column that is balanced; the label if left out")],
            later: &[],
            source: "",
            examples: &["balanced", "balanced(`label`)"],
        },
    ],
    later: &["per_patient"],
};

/// `train.stop`
pub const STOPS: Family = Family {
    one: "way to stop",
    many: "ways to stop",
    operations: &[Operation {
        name: "early",
        about: "Stops when the watched figure no longer improves.",
        parameters: &[
            word("on", WATCH, "loss", "the figure watched on the inner validation patients"),
            number("patience", EPOCHS, 5.0, "epochs without improvement"),
        ],
        later: &["min_delta"],
        source: "",
        examples: &["early(on = macro_f1, patience = 5epochs)"],
    }],
    later: &["budget"],
};

/// `train.keep`
pub const KEEPS: Family = Family {
    one: "choice of epoch",
    many: "choices of epoch",
    operations: &[
        Operation {
            name: "last",
            about: "The last epoch's weights.",
            parameters: &[],
            later: &[],
            source: "",
            examples: &["last"],
        },
        Operation {
            name: "best",
            about: "The best epoch's weights on the inner validation patients.",
            parameters: &[word("on", WATCH, "loss", "the figure watched on the inner validation patients")],
            later: &[],
            source: "",
            examples: &["best(on = macro_f1)"],
        },
    ],
    later: &["average"],
};

/// `run.device`
pub const DEVICES: Family = Family {
    one: "device",
    many: "devices",
    operations: &[
        Operation {
            name: "auto",
            about: "An NVIDIA GPU if there is one, else the CPU.",
            parameters: &[],
            later: &[],
            source: "",
            examples: &["auto"],
        },
        Operation { name: "cpu", about: "The CPU.", parameters: &[], later: &[], source: "", examples: &["cpu"] },
        Operation {
            name: "cuda",
            about: "An NVIDIA GPU.",
            parameters: &[number("index", Takes::Whole { from: 0, to: 255, counts: "" }, 0.0, "which one, from 0")],
            later: &[],
            source: "",
            examples: &["cuda", "cuda(1)"],
        },
        Operation {
            name: "vulkan",
            about: "A GPU of any make, through Vulkan; never taken by `auto`.",
            parameters: &[number("index", Takes::Whole { from: 0, to: 255, counts: "" }, 0.0, "which one, from 0")],
            later: &[],
            source: "",
            examples: &["vulkan", "vulkan(1)"],
        },
    ],
    later: &["metal", "rocm"],
};
