//! `pipe`: a small language for medical-imaging studies, and the engine that runs them.
//!
//! ```text
//! bytes -> syntax -> check -> study -> graph -> plan -> exec -> record -> report
//!          (AST)             (meant)   (DAG)          (burn)
//! ```
//! In reading order:

pub mod audit;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod data;
pub mod diag;
pub mod draw;
#[cfg(feature = "run")]
pub mod exec;
pub mod explain;
pub mod graph;
pub mod host;
pub mod images;
#[cfg(feature = "run")]
pub mod kernels;
pub mod leakage;
pub mod lsp;
#[cfg(feature = "run")]
pub mod nn;
pub mod plan;
pub mod propose;
pub mod record;
pub mod report;
pub mod show;
mod simd;
pub mod source;
pub mod split;
pub mod stats;
pub mod store;
pub mod study;
pub mod syntax;
#[cfg(feature = "run")]
pub mod train;
