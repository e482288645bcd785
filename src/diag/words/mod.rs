//! Every sentence a problem is told in, one method a problem; one file a stage.

mod data;
mod names;
mod patients;
mod syntax;

pub use patients::TooFew;
