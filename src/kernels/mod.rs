//! Operations of our own on the device, each beside burn's own operation as its slow twin.
//!
//! An operation is a burn backend extension: the default body is burn's, a faster one replaces it where it wins, and
//! the backward pass is registered here. Sums run in a fixed order, so bits do not depend on the number of threads.

#![expect(clippy::inline_always, reason = "what is not inlined is not compiled for the instruction set at hand")]

mod affine;
mod attention;
mod convolution;
mod cpu;
mod curve;
#[cfg(test)]
mod drawn;
pub(crate) mod focal;
mod grouped;
mod lanes;
pub(crate) mod limit;
pub mod mix;
mod norm;
mod phases;
mod pool;
mod rows;
pub(crate) mod soft_f1;
mod values;
mod winograd;

pub use affine::After;
pub use attention::attention;
pub use convolution::{Geometry, Then, batch_norm_convolution, convolution, convolution_then};
pub use curve::{Curve, curve, sum_relu};
pub use norm::{Normalised, batch_norm, on_processor, scale_shift};
pub use pool::{Window, largest};
pub use rows::{layer_norm, row_means};
