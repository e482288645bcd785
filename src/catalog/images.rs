//! Operations on images.

use super::{Default, Family, Operation, Parameter, SHARE, Takes, count, number, required, word};

const FILTERS: &[&str] = &["lanczos", "bicubic", "bilinear", "nearest"];
const FITS: &[&str] = &["stretch", "pad", "crop"];
/// What `normalize` takes.
pub const NORMALIZE: &[&str] = &["imagenet", "half", "none", "bytes", "caffe", "train", "dataset"];
/// Axes of `flip`.
pub const AXES: &[&str] = &["horizontal", "vertical"];

const fn chance(default: f64) -> Parameter {
    number("p", SHARE, default, "probability that it happens to an image")
}

/// `images.prepare`
pub const PREPARE: Family = Family {
    one: "preparing operation",
    many: "preparing operations",
    operations: &[
        Operation {
            name: "grayscale",
            about: "Grey levels, as Pillow's convert(\"L\").",
            parameters: &[number(
                "to",
                Takes::Whole { from: 1, to: 3, counts: "channels" },
                3.0,
                "channels that the network sees them in: 1, or the same in all 3",
            )],
            later: &[],
            source: "ITU-R BT.601",
            examples: &["grayscale()", "grayscale(to = 1)"],
        },
        Operation {
            name: "resize",
            about: "A square of so many pixels a side, as Pillow's resize.",
            parameters: &[
                required("side", Takes::Whole { from: 1, to: 4096, counts: "pixels" }, "side of the result in pixels"),
                word("filter", FILTERS, "bilinear", "how pixels are resampled"),
                word("fit", FITS, "stretch", "what happens to images that are not square"),
            ],
            later: &[],
            source: "Pillow",
            examples: &["resize(224)", "resize(256, filter = lanczos, fit = pad)"],
        },
        Operation {
            name: "clahe",
            about: "Contrast-limited adaptive histogram equalisation, as OpenCV's createCLAHE.",
            parameters: &[
                number("clip", Takes::Number { from: 0.0, included: false, to: 1000.0 }, 2.0, "contrast limit"),
                number("tiles", Takes::Whole { from: 1, to: 256, counts: "tiles a side" }, 8.0, "tiles a side"),
            ],
            later: &[],
            source: "Zuiderveld 1994, Contrast Limited Adaptive Histogram Equalization",
            examples: &["clahe()", "clahe(clip = 2.0, tiles = 4)"],
        },
        Operation {
            name: "normalize",
            about: "Values are centred and scaled; the last step.",
            parameters: &[required(
                "by",
                Takes::Word(NORMALIZE),
                "whose mean and standard deviation; `bytes`: values stay 0 to 255, `caffe`: less ImageNet's means",
            )],
            later: &[],
            source: "",
            examples: &["normalize(imagenet)", "normalize(train)"],
        },
    ],
    later: &["crop_border", "window", "lung_mask", "histogram_match"],
};

/// `images.augment`
pub const AUGMENT: Family = Family {
    one: "augmentation",
    many: "augmentations",
    operations: &[
        Operation {
            name: "flip",
            about: "Mirrors the image.",
            parameters: &[word("axis", AXES, "horizontal", "left-right or top-bottom"), chance(0.5)],
            later: &[],
            source: "",
            examples: &["flip(horizontal, p = 0.5)"],
        },
        Operation {
            name: "rotate",
            about: "Turns the image by a random angle.",
            parameters: &[required("angle", Takes::Degrees { to: 180.0 }, "largest angle, either way"), chance(0.5)],
            later: &[],
            source: "",
            examples: &["rotate(10deg, p = 0.3)"],
        },
        Operation {
            name: "shift_scale_rotate",
            about: "Shifts, scales and turns the image at once.",
            parameters: &[
                number("shift", SHARE, 0.0625, "largest shift as a share of the side"),
                number("scale", Takes::Share { from: 0.0, to: 0.9 }, 0.1, "largest change of scale"),
                number("rotate", Takes::Degrees { to: 180.0 }, 45.0, "largest angle, either way"),
                chance(0.5),
            ],
            later: &[],
            source: "Albumentations ShiftScaleRotate",
            examples: &["shift_scale_rotate(shift = 0.05, scale = 0.1, rotate = 10deg, p = 0.5)"],
        },
        Operation {
            name: "brightness_contrast",
            about: "Changes brightness and contrast.",
            parameters: &[number("amount", SHARE, 0.2, "largest change of each"), chance(0.5)],
            later: &[],
            source: "",
            examples: &["brightness_contrast(0.15, p = 0.3)"],
        },
        Operation {
            name: "crop",
            about: "Keeps a random part and scales it back to the full side.",
            parameters: &[
                number("scale", Takes::Share { from: 0.05, to: 1.0 }, 0.8, "smallest share of the side kept"),
                chance(0.5),
            ],
            later: &[],
            source: "",
            examples: &["crop(scale = 0.9, p = 0.5)"],
        },
        Operation {
            name: "cutout",
            about: "Blackens a random square.",
            parameters: &[number("size", SHARE, 0.25, "side of the square as a share of the image's"), chance(0.5)],
            later: &[],
            source: "DeVries and Taylor 2017, Improved Regularization of CNNs with Cutout",
            examples: &["cutout(p = 0.2)"],
        },
        Operation {
            name: "mixup",
            about: "Mixes pairs of images and their labels.",
            parameters: &[
                number("alpha", Takes::Number { from: 0.0, included: false, to: 100.0 }, 0.2, "shape of the Beta draw"),
                chance(1.0),
            ],
            later: &[],
            source: "Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization",
            examples: &["mixup(alpha = 0.2, p = 0.1)"],
        },
        Operation {
            name: "cutmix",
            about: "Pastes rectangles of another image, labels by area.",
            parameters: &[
                Parameter {
                    name: "patches",
                    takes: count("rectangles"),
                    default: Default::Number(1.0),
                    about: "how many rectangles",
                },
                number("alpha", Takes::Number { from: 0.0, included: false, to: 100.0 }, 1.0, "shape of the Beta draw"),
                chance(1.0),
            ],
            later: &[],
            source: "Yun et al. 2019, CutMix",
            examples: &["cutmix(patches = 2, p = 0.5)"],
        },
    ],
    later: &["elastic", "gaussian_noise", "blur", "grid_distortion", "gamma"],
};
