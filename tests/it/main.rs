//! Tests of the whole: one module for each part.

mod check;
mod corpus;
mod data;
mod images;
mod layers;
mod loss;
mod mutants;
#[cfg(feature = "run")]
mod parity;
mod report;
mod split;
mod stats;
mod train;
#[cfg(feature = "run")]
mod weights;
