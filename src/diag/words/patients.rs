//! Sentences about patients, classes and folds: what the numbers of a data set mean for a study.

use super::data::{Placed as _, count, counted, name, percent, shown};
use crate::diag::{Code, Diagnostic, Problems};
use crate::source::Span;

/// A class with fewer patients than its split needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooFew<'a> {
    /// The class.
    pub class: &'a str,
    /// Patients with the class.
    pub patients: usize,
    /// Images of the class.
    pub images: usize,
    /// Folds asked.
    pub folds: usize,
    /// Patients needed: one a fold, one more for a hold-out.
    pub needed: usize,
    /// What is counted, `patient` or `image`.
    pub unit: &'a str,
    /// Further classes with too few, as names.
    pub others: &'a [&'a str],
    /// A larger class it could be merged with.
    pub neighbour: Option<&'a str>,
}

impl TooFew<'_> {
    fn found(&self) -> String {
        let images = if self.unit == "image" { String::new() } else { format!(" ({})", counted(self.images, "image")) };
        format!("leaves {} with {}{images}", counted(self.patients, self.unit), shown(self.class))
    }

    fn asked(&self) -> String {
        match self.needed - self.folds {
            0 => format!("{} folds asked", self.folds),
            more => format!("{} folds asked, and {more} more to hold out or validate on", self.folds),
        }
    }
}

impl Problems {
    /// W0303: as many patients as rows.
    pub fn group_is_row_id(&mut self, column: &str, rows: usize, at: Option<Span>) {
        self.push(
            Diagnostic::new(
                Code::W0303,
                format!("{} has {} values in {}", name(column), count(rows), counted(rows, "row")),
            )
            .at(at, "groups of one protect nobody")
            .help(
                "if each image really is its own patient, say so for the record:\n  \
                 group = none(because = \"one film per patient by protocol\")",
            ),
        );
    }

    /// E0306: a class with patients for fewer folds than asked.
    pub fn class_has_few_patients(&mut self, few: &TooFew<'_>, at: Option<Span>, folds: Option<Span>) {
        let class = name(few.class);
        let message = if few.patients < few.folds {
            let folds = if few.patients == 1 { "fold" } else { "folds" };
            format!("{class} has {}s for {} {folds}, not {}", few.unit, few.patients, few.folds)
        } else {
            format!("{class} needs {}s for {} folds, and more to set aside", few.unit, few.folds)
        };
        let others: Vec<String> = few.others.iter().take(3).map(|class| name(class)).collect();
        let others = match (few.others.len(), few.others.len().saturating_sub(3)) {
            (0, _) => String::new(),
            (_, 0) => format!("; too few of {} as well", others.join(", ")),
            (_, more) => format!("; too few of {} and {more} more as well", others.join(", ")),
        };
        let fewer = few.patients.saturating_sub(few.needed - few.folds);
        let help = match (few.neighbour, fewer) {
            (Some(other), _) => {
                let way = if fewer >= 2 { format!("use {fewer} folds") } else { "find more of it".to_owned() };
                format!(
                    "{way}, or merge the class:\n  merge = {{ \"{0} or {1}\" = [\"{0}\", \"{1}\"] }}",
                    shown(few.class),
                    shown(other)
                )
            }
            // Without the class there would be no two classes left that have enough.
            (None, 2..) => format!("use {fewer} folds, or find more {}s with this class", few.unit),
            (None, 0..=1) => format!("find more {}s with this class: {} at least", few.unit, few.needed),
        };
        self.push(
            Diagnostic::new(Code::E0306, message)
                .at(at, format!("{}{others}", few.found()))
                .at(folds, few.asked())
                .help(help),
        );
    }

    /// E0306: a class that a given split has in one fold only.
    pub fn class_in_one_fold(&mut self, class: &str, images: usize, at: Option<Span>, label: Option<Span>) {
        self.push(
            Diagnostic::new(Code::E0306, format!("{} stands in one fold only", name(class)))
                .at(
                    at,
                    format!("all {} of it: when that fold is scored, none is learned from", counted(images, "image")),
                )
                .at(label, "the class")
                .help("deal its patients into several folds, or list only other classes:\n  classes = [\"first\", \"second\"]"),
        );
    }

    /// W0307: one patient with a large share of a class.
    pub fn patient_dominates(
        &mut self,
        (patient, class): (&str, &str),
        (held, all): (usize, usize),
        others: usize,
        at: Option<Span>,
    ) {
        self.push(
            Diagnostic::new(
                Code::W0307,
                format!("patient {} holds {} of all {} images", name(patient), percent(held, all), name(class)),
            )
            .at(at, format!("{} of {}; {} {} the rest", count(held), counted(all, "image"), counted(others, "other patient"), if others == 1 { "holds" } else { "hold" }))
            .help("the fold that scores this patient scores one person;\ncount patients, not images:\n  evaluate { unit = patient }"),
        );
    }

    /// W0606: so few patients have a class that its figures will be anything. `half_width` is that of a 90 % interval.
    pub fn interval_will_be_wide(
        &mut self,
        (class, patients): (&str, usize),
        half_width: f64,
        others: &[&str],
        neighbour: Option<&str>,
        at: Option<Span>,
    ) {
        let named: Vec<String> = others.iter().take(3).map(|class| name(class)).collect();
        let others = match (others.len(), others.len().saturating_sub(3)) {
            (0, _) => String::new(),
            (_, 0) => format!("; of {} as well", named.join(", ")),
            (_, more) => format!("; of {} and {more} more as well", named.join(", ")),
        };
        self.push(
            Diagnostic::new(Code::W0606, format!("{} with {}: little can be said of it", counted(patients, "patient"), name(class)))
                .at(at, format!("expect its recall and F1 to be known to ±{half_width:.2} at best{others}"))
                .help(match neighbour {
                    Some(other) => format!(
                        "gather more of these patients, or merge the class:\n  merge = {{ \"{0} or {1}\" = [\"{0}\", \"{1}\"] }}",
                        shown(class),
                        shown(other)
                    ),
                    None => "gather more of these patients".to_owned(),
                }),
        );
    }

    /// W0502: soft-F1 over batches that often hold no image of a class. `none` is the share of such batches.
    pub fn soft_f1_sees_none(
        &mut self,
        class: &str,
        (expected, none): (f64, f64),
        larger_batch: Option<u32>,
        loss: Option<Span>,
        batch: Option<Span>,
    ) {
        let none = (none * 100.0).round();
        let help = match larger_batch {
            Some(batch) => format!("batch = {batch}, or sampler = balanced"),
            None => "sampler = balanced".to_owned(),
        };
        self.push(
            Diagnostic::new(Code::W0502, format!("`soft_f1` will often see no {} in a batch", name(class)))
                .at(loss, "its gradient is computed per batch")
                .at(
                    batch,
                    format!(
                        "{expected:.1} {} images per batch on average; {none:.0}% of batches have none",
                        shown(class)
                    ),
                )
                .help(help),
        );
    }

    /// W0209: images of different depth; of each depth its bits and how many there are, and the first deep one.
    pub fn mixed_depth(
        &mut self,
        (low, shallow): (u8, usize),
        (high, deep): (u8, usize),
        first: &str,
        sampled: bool,
        at: Option<Span>,
    ) {
        let of = if sampled { format!(" of {} looked at", counted(shallow + deep, "image")) } else { String::new() };
        let have = if deep == 1 { "has" } else { "have" };
        self.push(
            Diagnostic::new(
                Code::W0209,
                format!("{}{of} {have} {high} bits, {} {low}", counted(deep, "image"), count(shallow)),
            )
            .at(at, format!("the first is {}", name(first)))
            .help(format!("of {high} bits the upper 8 are used: films kept in fewer come out dark\nconvert all to one depth before")),
        );
    }

    /// W0311: a column that tells the classes apart by itself; `common` is its most frequent value.
    pub fn column_predicts_label(
        &mut self,
        column: &str,
        (reached, chance): (f64, f64),
        common: &str,
        at: Option<Span>,
    ) {
        self.push(
            Diagnostic::new(
                Code::W0311,
                format!("{} alone reaches balanced accuracy {reached:.2} (chance {chance:.2})", name(column)),
            )
            .at(at, "a network may learn the one instead of the other")
            .help(format!(
                "judge each of its values by itself, in `evaluate`:\n  slices = [`{0}`]\nor keep one:\n  keep = `{0}` == \"{1}\"",
                shown(column),
                shown(common)
            )),
        );
    }

    /// W0506: left-right flips of classes that name a side.
    pub fn flip_changes_side(&mut self, classes: &[&str], flip: Option<Span>, at: Option<Span>) {
        let first: Vec<String> = classes.iter().take(3).map(|class| name(class)).collect();
        let more = match classes.len().saturating_sub(3) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.push(
            Diagnostic::new(Code::W0506, format!("a mirrored film changes what {}{more} means", first.join(", ")))
                .at(flip, "mirrors heart and sides; the label stays")
                .at(at, "a class that names a side")
                .help("leave the flip out, or merge the sides into one class"),
        );
    }

    /// W0602: accuracy as the headline where one class is much larger than another.
    pub fn accuracy_is_easy(&mut self, class: &str, (largest, smallest): (usize, usize), all: usize, at: Option<Span>) {
        let ratio = (largest + smallest / 2) / smallest.max(1);
        self.push(
            Diagnostic::new(Code::W0602, format!("`accuracy` is the primary metric at {ratio} : 1"))
                .at(at, format!("always answering {} scores {}", shown(class), percent(largest, all)))
                .help("primary = balanced_accuracy, or primary = macro_f1"),
        );
    }

    /// E0206: files with the same bytes under two patients. `more` such pairs follow.
    pub fn same_pixels(
        &mut self,
        (first, second): (&str, &str),
        (patient, other): (&str, &str),
        more: usize,
        at: Option<Span>,
    ) {
        let others = match more {
            0 => String::new(),
            more => format!("; {} more", counted(more, "pair")),
        };
        self.push(
            Diagnostic::new(Code::E0206, format!("{} and {} are identical", name(first), name(second)))
                .at(at, format!("they belong to patients {} and {}{others}", name(patient), name(other)))
                .help("fix the table, or one film may be learned from and scored: it would leak"),
        );
    }

    /// W0207: one image, twice in the table, of two classes.
    pub fn two_labels(
        &mut self,
        (first, second): (&str, &str),
        (label, other): (&str, &str),
        more: usize,
        at: Option<Span>,
    ) {
        let others = match more {
            0 => String::new(),
            more => format!("; {} more", counted(more, "pair")),
        };
        let which = if first == second {
            format!("{} carries two labels", name(first))
        } else {
            format!("{} and {} are identical, with two labels", name(first), name(second))
        };
        self.push(
            Diagnostic::new(Code::W0207, which)
                .at(at, format!("{} and {}{others}", name(label), name(other)))
                .help("one of the two is learned from, or scored, as what it is not: leave out the wrong row"),
        );
    }

    /// W0308: nearly the same image, dealt into two folds.
    pub fn nearly_the_same(
        &mut self,
        (first, second): (&str, &str),
        (patient, other): (&str, &str),
        correlation: f64,
        more: usize,
        at: Option<Span>,
    ) {
        let others = match more {
            0 => String::new(),
            more => format!("; {} more", counted(more, "pair")),
        };
        self.push(
            Diagnostic::new(
                Code::W0308,
                format!("{} and {} show nearly the same, and lie in different folds", name(first), name(second)),
            )
            .at(
                at,
                format!("patients {} and {}, correlation {correlation:.3}{others}", name(patient), name(other)),
            )
            .help(
                "`pipe audit` shows every pair side by side;\nif they are of one patient, give them one id, or one may be learned from and the other scored",
            ),
        );
    }

    /// E0206: one file named by rows of two patients.
    pub fn same_file_twice(
        &mut self,
        file: &str,
        (patient, line): (&str, u32),
        (other, other_line): (&str, u32),
        more: usize,
        at: Option<Span>,
    ) {
        let others = match more {
            0 => String::new(),
            more => format!("; {} more", counted(more, "such file")),
        };
        self.push(
            Diagnostic::new(Code::E0206, format!("{} belongs to two patients", name(file)))
                .at(
                    at,
                    format!(
                        "to {} in row {} and to {} in row {}{others}",
                        name(patient),
                        count(line),
                        name(other),
                        count(other_line)
                    ),
                )
                .help("fix the table, or one film may be learned from and scored: it would leak"),
        );
    }
}
