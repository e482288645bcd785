//! Tests of the whole: one module for each part.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "tests"
)]

mod audit;
#[cfg(feature = "run")]
mod backward;
#[cfg(feature = "run")]
mod bench;
#[cfg(feature = "run")]
mod caches;
#[cfg(feature = "run")]
mod channels;
mod check;
mod cli;
mod compose;
mod corpus;
mod cost;
mod data;
mod docs;
mod doctor;
mod examples;
mod explain;
#[cfg(feature = "run")]
mod export;
mod fmt;
mod fuzz;
#[cfg(feature = "vulkan")]
mod gpu_devices;
#[cfg(feature = "gpu")]
mod gpu_loss;
mod graph;
#[cfg(feature = "run")]
mod grid;
mod help;
mod highlight;
#[cfg(feature = "run")]
mod hub;
mod images;
#[cfg(feature = "run")]
mod keras;
mod layers;
mod leakage;
#[cfg(feature = "run")]
mod loss;
mod lsp;
mod mistakes;
mod mutants;
mod new;
#[cfg(feature = "run")]
mod parity;
#[cfg(feature = "run")]
mod precision;
mod reference;
mod remembered;
mod report;
#[cfg(feature = "run")]
mod run;
mod show;
mod split;
mod stats;
mod store;
#[cfg(feature = "run")]
mod train;
#[cfg(feature = "run")]
mod weights;
