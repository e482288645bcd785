//! Tests of the whole: one module for each part.

mod check;
mod data;
mod images;
mod layers;
mod loss;
mod report;
mod split;
mod stats;
mod train;
