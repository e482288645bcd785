//! Every sentence a problem is told in, one method a problem; one file a stage.

mod composing;
mod data;
mod leakage;
mod letters;
mod names;
mod patients;
mod plan;
mod rules;
mod syntax;

pub use patients::TooFew;
