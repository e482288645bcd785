//! Which device a run uses, asked before anything touches it.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use super::RunError;

/// Where tensors live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// A GPU if this build has one and it answers, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU by number.
    Cuda(usize),
}

impl fmt::Display for Choice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("auto"),
            Self::Cpu => out.write_str("cpu"),
            Self::Cuda(number) => write!(out, "cuda({number})"),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda(")
                .and_then(|rest| rest.strip_suffix(')'))
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("`{other}` is no device; there are auto, cpu, cuda and cuda(1)")),
        }
    }
}

#[cfg(feature = "cuda")]
fn gpus() -> usize {
    Device::enumerate(burn::tensor::DeviceType::Cuda).len()
}

#[cfg(not(feature = "cuda"))]
fn gpus() -> usize {
    0
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Device {
    Device::cuda(number)
}

#[cfg(not(feature = "cuda"))]
fn cuda(_number: usize) -> Device {
    Device::flex()
}

/// Settles `auto` and makes sure that the device is there.
///
/// # Errors
/// A GPU that this build cannot use or that does not answer.
pub fn choose(wanted: Choice) -> Result<(Choice, Device), RunError> {
    match wanted {
        Choice::Cpu => Ok((Choice::Cpu, Device::flex())),
        Choice::Auto if gpus() == 0 => Ok((Choice::Cpu, Device::flex())),
        Choice::Auto => Ok((Choice::Cuda(0), cuda(0))),
        Choice::Cuda(number) if number < gpus() => Ok((wanted, cuda(number))),
        Choice::Cuda(_) if !cfg!(feature = "cuda") => Err(RunError::failed(
            "this build of pipe has no CUDA",
            "run with  --device cpu , or build it with  cargo build --release --features cuda",
        )),
        Choice::Cuda(number) => Err(RunError::failed(
            format!("there is no GPU {number}: {} answered", gpus()),
            "look at `nvidia-smi`, or run with  --device cpu",
        )),
    }
}
