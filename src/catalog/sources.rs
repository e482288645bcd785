//! Where rows come from, and how their cells are read.

use super::{Family, Operation, Takes, count, number, optional, required, word};

/// What becomes of rows whose image is not there.
pub const ON_MISSING: &[&str] = &["error", "drop"];
const WHEN_MANY: &[&str] = &["error", "drop", "first"];
const WHEN_OTHER: &[&str] = &["error", "drop"];

/// `data.table`
pub const TABLES: Family = Family {
    one: "data source",
    many: "data sources",
    operations: &[
        Operation {
            name: "csv",
            about: "A table in a text file; the delimiter is found by itself.",
            parameters: &[required("path", Takes::Path, "the file, from the study file's folder")],
            later: &[],
            source: "RFC 4180",
            examples: &["csv(\"labels.csv\")"],
        },
        Operation {
            name: "folder",
            about: "One folder a class; the columns are `image` and `label`.",
            parameters: &[required("root", Takes::Path, "the folder of folders")],
            later: &[],
            source: "",
            examples: &["folder(\"images\")"],
        },
        Operation {
            name: "phantoms",
            about: "Synthetic chest-like radiographs; columns `image`, `label`, `patient`, `age`, `sex`, `view`.",
            parameters: &[
                number("images", Takes::Whole { from: 1, to: 1_000_000, counts: "images" }, 240.0, "how many images"),
                optional("patients", count("patients"), "of how many patients; half as many as images if left out"),
                number("seed", super::SEED, 1.0, "seed of the drawings"),
            ],
            later: &[],
            source: "",
            examples: &["phantoms(images = 240, patients = 120, seed = 1)", "phantoms()"],
        },
    ],
    later: &["tsv", "parquet", "dicom", "hdf5"],
};

/// `data.image`
pub const IMAGES: Family = Family {
    one: "image source",
    many: "image sources",
    operations: &[Operation {
        name: "file",
        about: "Image files that a column names.",
        parameters: &[
            required("column", Takes::Column, "the column with the file names"),
            optional("under", Takes::Path, "the folder they lie in; the table's folder if left out"),
        ],
        later: &[],
        source: "",
        examples: &["file(`image`)", "file(`Image Index`, under = \"images\")"],
    }],
    later: &["dicom"],
};

/// `data.labels`
pub const LABELS: Family = Family {
    one: "way to read labels",
    many: "ways to read labels",
    operations: &[Operation {
        name: "multiclass",
        about: "Exactly one class an image.",
        parameters: &[
            optional("split_on", Takes::Text, "what separates several labels in one cell"),
            word("when_many", WHEN_MANY, "error", "what becomes of rows with several labels"),
            word("when_other", WHEN_OTHER, "error", "what becomes of rows with a label not in `classes`"),
        ],
        later: &[],
        source: "",
        examples: &["multiclass()", "multiclass(split_on = \"|\", when_many = drop)"],
    }],
    later: &["multilabel", "ordinal", "soft"],
};

/// `data.group = none(...)`
pub const GROUPS: Family = Family {
    one: "group",
    many: "groups",
    operations: &[Operation {
        name: "none",
        about: "Every image is its own patient, and the author says why.",
        parameters: &[required("because", Takes::Text, "the reason, repeated in the report")],
        later: &[],
        source: "",
        examples: &["none(because = \"one film per patient by protocol\")"],
    }],
    later: &[],
};

/// `data.limit = each(...)`
pub const LIMITS: Family = Family {
    one: "limit",
    many: "limits",
    operations: &[Operation {
        name: "each",
        about: "At most so many images of each class.",
        parameters: &[required("images", count("images a class"), "how many")],
        later: &[],
        source: "",
        examples: &["each(500)"],
    }],
    later: &[],
};
