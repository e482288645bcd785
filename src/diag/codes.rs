//! The registry of codes: append-only, a released code is never used again for something else.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Severity;

macro_rules! codes {
    ($($code:ident $title:literal,)*) => {
        /// A diagnostic's code; `E` stops a run, `W` does not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(clippy::doc_markdown, reason = "the titles are for terminals")]
        pub enum Code { $(#[doc = $title] $code,)* }

        impl Code {
            /// Every code, in order of the registry.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// The code as printed, `E0101`.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }

            /// What the code stands for, in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)* }
            }
        }
    };
}

codes! {
    E0001 "the first line is not an edition",
    E0002 "a setting has no value",
    E0003 "a bracket is not balanced",
    E0004 "`:` where `=` is meant",
    E0005 "a habit of another language: smart quotes, `True`, `None`, `;`, tabs in strings",
    E0006 "text that is no part of the language at this place",
    E0007 "the file is too large, nested too deeply, or no plain text",
    E0101 "unknown block or setting",
    E0102 "unknown operation or name",
    E0103 "wrong type or unit",
    E0104 "out of range",
    E0105 "the same setting twice",
    E0106 "`--set` or `--params` names no `param`",
    E0107 "files or studies that are built on themselves",
    W0108 "an unused `let`, `param` or `use`",
    E0109 "an edition this program does not know",
    E0110 "part of the language that this version does not run yet",
    E0111 "a required setting is missing",
    E0112 "a file names no study, or several",
    E0113 "a used file cannot be read",
    E0201 "no such column",
    E0202 "several labels in one row, one class asked",
    E0203 "a class never occurs",
    E0204 "labels outside `classes`",
    E0205 "images are missing",
    E0206 "the same pixels belong to two patients",
    W0207 "the same image carries two labels",
    W0208 "`keep` removes more than half",
    W0209 "images of different depth",
    E0210 "rows without a patient",
    E0211 "the table cannot be read",
    E0212 "no rows, or one class only, are left",
    E0213 "a column's type does not fit its use",
    E0214 "an image cannot be read",
    W0215 "a condition names a value that its column does not hold",
    E0301 "no patient column",
    E0302 "given folds share patients",
    W0303 "the patient column looks like a row id",
    E0304 "a choice looks at the fold whose score is reported",
    E0305 "a statistic is fitted outside the fold",
    E0306 "a class has fewer patients than folds",
    W0307 "one patient dominates a class",
    W0308 "nearly the same image lies in two folds",
    E0309 "the first weights have seen the reported patients",
    W0311 "a column alone predicts the label",
    W0312 "a leak that the study accepts",
    W0313 "an accepted leak where nothing leaks",
    E0401 "unknown backbone",
    E0402 "no such weights",
    E0403 "image size does not fit the backbone",
    W0404 "normalisation differs from what the weights were trained with",
    E0405 "images of one channel for weights of three",
    E0406 "a weights file differs from its recorded digest, or belongs to another model",
    W0407 "the backbone would never train",
    W0501 "loss weights do not sum to 1",
    W0502 "soft_f1 often sees no image of a class",
    E0503 "Kullback-Leibler without soft targets",
    W0504 "rare classes favoured three times over",
    W0505 "early stopping that cannot act",
    W0506 "a mirrored image of a class that names a side",
    E0507 "`bf16` where nothing computes in it",
    W0602 "accuracy as primary metric on unbalanced classes",
    E0603 "intervals that draw images where patients have several",
    E0604 "a threshold is chosen where it is scored",
    W0606 "a rare class whose interval will be wide",
    E0701 "`vary` names no setting",
    W0702 "a grid of very many trainings",
    E0703 "a baseline that is no variant",
    E0705 "the winner is chosen and reported on the same folds",
    E0706 "compared variants are not judged on the same images",
    E0801 "a batch that does not fit into memory",
    E0901 "a URL without a sha256",
    E0902 "a pickle",
    E0903 "a row names a path outside its folder",
    E0904 "the environment inside a study",
}

impl Code {
    /// Follows from the code's first letter.
    #[must_use]
    pub fn severity(self) -> Severity {
        if self.id().starts_with('W') { Severity::Warning } else { Severity::Error }
    }

    /// The code printed as `id`, if there is one.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(id))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Self::parse(&id).ok_or_else(|| serde::de::Error::custom(format!("no code {id}")))
    }
}
