//! `pipe split`: who is in which fold, and how even the folds are.

use clap::{Args, ValueEnum};

use super::{OneVariant, Outcomes, StudyArguments, print, talk};
use crate::diag::Problems;
use crate::split;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe split study.pipe                       how even the folds are
  pipe split study.pipe --format csv > folds.csv")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    #[command(flatten)]
    one: OneVariant,
    /// The quality table, or one row an image: image,patient,label,fold,role
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Images and patients of each class in each fold
    Text,
    /// One row an image; fold from 0, empty for the hold-out; role `fold` or `holdout`
    Csv,
}

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let loaded = match arguments.study.load() {
        Ok(loaded) => loaded,
        Err(outcome) => return outcome,
    };
    let (variant, dataset) = match loaded.one(&arguments.one) {
        Ok(one) => one,
        Err(outcome) => return outcome,
    };
    let spec = &variant.study.split;
    let place = variant.places.nearest("split.cv");
    let mut problems = Problems::new();
    let folds = match split::deal(spec, dataset, variant.study.seed) {
        Ok(folds) => folds,
        Err(error) => {
            problems.cannot_split(place, &error.to_string());
            arguments.study.tell(&loaded.map, &problems);
            return Outcomes::Errors;
        }
    };
    if arguments.format == Format::Csv {
        return print(&split::csv(dataset, &folds));
    }
    let all: Vec<u32> = (0..folds.count).collect();
    let accepted = variant.study.evaluate.leak.is_some();
    match split::table(spec, dataset, &folds, &all, accepted) {
        Ok(table) => {
            if table.roles.iter().all(|roles| roles.disjoint.len() == 6) {
                talk("every fold's training, validation, evaluation and hold-out share no patient");
            } else {
                talk("roles share patients, which this study accepts");
            }
            print(&split::text_table(&table, &dataset.classes))
        }
        Err(leak) => {
            problems.leak_in_folds(place, &leak.to_string());
            arguments.study.tell(&loaded.map, &problems);
            Outcomes::Errors
        }
    }
}
