//! Tests of the whole: one module for each part.

mod loss;
mod split;
mod stats;
mod train;
