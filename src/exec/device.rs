//! Which device a run uses, asked before anything touches it.
//!
//! Never `Device::default()`: it takes the first backend of the build, whether one answers or not.

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "vulkan")]
use burn::tensor::DeviceKind;
#[cfg(feature = "gpu")]
use burn::tensor::DeviceType;
use burn::tensor::{Device, FloatDType};

use super::RunError;

/// Where tensors live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// An NVIDIA GPU if this build has CUDA and one answers, else the processor. Never Vulkan, whose drivers differ too
    /// much to be taken unasked.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU by number.
    Cuda(usize),
    /// A GPU by number, through Vulkan.
    Vulkan(usize),
}

impl fmt::Display for Choice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("auto"),
            Self::Cpu => out.write_str("cpu"),
            Self::Cuda(number) => write!(out, "cuda({number})"),
            Self::Vulkan(number) => write!(out, "vulkan({number})"),
        }
    }
}

impl Choice {
    /// That of the worker of a number from 0: GPUs go by turns, the processor is shared.
    #[must_use]
    pub fn of_worker(self, number: u32) -> Self {
        match self {
            Self::Auto | Self::Cpu => self,
            Self::Cuda(first) => Self::Cuda(first.saturating_add(number as usize)),
            Self::Vulkan(first) => Self::Vulkan(first.saturating_add(number as usize)),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, number) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')').and_then(|number| number.parse().ok())),
            None => (text, Some(0)),
        };
        match (name, number) {
            ("auto", Some(_)) if name == text => Ok(Self::Auto),
            ("cpu", Some(_)) if name == text => Ok(Self::Cpu),
            ("cuda", Some(number)) => Ok(Self::Cuda(number)),
            ("vulkan", Some(number)) => Ok(Self::Vulkan(number)),
            _ => Err(format!("`{text}` is no device; there are auto, cpu, cuda, cuda(1), vulkan and vulkan(1)")),
        }
    }
}

/// A device that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answering {
    /// How a study asks for it.
    pub device: Choice,
    /// What it calls itself; why not, if it does not say.
    pub name: String,
    /// A driver that computes on the processor.
    pub software: bool,
}

/// Every device that answers, the processor first. Opens each.
#[must_use]
pub fn answering() -> Vec<Answering> {
    let cpu = Answering { device: Choice::Cpu, name: "the processor".to_owned(), software: false };
    let cuda = (0..).zip(cuda()).map(|(number, device)| answer(Choice::Cuda(number), &device));
    let vulkan = (0..).zip(vulkan()).map(|(number, device)| answer(Choice::Vulkan(number), &device));
    std::iter::once(cpu).chain(cuda).chain(vulkan).collect()
}

fn answer(choice: Choice, device: &Device) -> Answering {
    Answering { device: choice, name: name(device), software: is_software(device) }
}

#[cfg(feature = "gpu")]
fn name(device: &Device) -> String {
    match super::guard::caught(|| device.identity()) {
        Ok(identity) => identity.map_or_else(String::new, |identity| identity.name),
        Err(failure) => format!("it does not open: {}", failure.what),
    }
}

#[cfg(not(feature = "gpu"))]
fn name(_device: &Device) -> String {
    String::new()
}

/// A driver that is broken may panic where it should say that it has nothing.
#[cfg(feature = "gpu")]
fn all(kind: DeviceType) -> Vec<Device> {
    super::guard::caught(|| Device::enumerate(kind).into_vec()).unwrap_or_default()
}

#[cfg(feature = "cuda")]
fn cuda() -> Vec<Device> {
    all(DeviceType::Cuda)
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Vec<Device> {
    Vec::new()
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Vec<Device> {
    all(DeviceType::Vulkan)
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Vec<Device> {
    Vec::new()
}

#[cfg(feature = "vulkan")]
fn is_software(device: &Device) -> bool {
    *device == Device::vulkan(DeviceKind::Cpu)
}

#[cfg(not(feature = "vulkan"))]
fn is_software(_device: &Device) -> bool {
    false
}

/// Settles `auto` and makes sure that the device is there.
///
/// # Errors
/// A GPU that this build cannot use, that does not answer, or that is none.
pub fn choose(wanted: Choice) -> Result<(Choice, Device), RunError> {
    match wanted {
        Choice::Cpu => Ok((Choice::Cpu, Device::flex())),
        Choice::Auto => {
            let first = cuda().into_iter().next();
            Ok(first.map_or_else(|| (Choice::Cpu, Device::flex()), |device| (Choice::Cuda(0), device)))
        }
        Choice::Cuda(number) => pick(wanted, number, ("CUDA", "cuda", cfg!(feature = "cuda")), cuda),
        Choice::Vulkan(number) => pick(wanted, number, ("Vulkan", "vulkan", cfg!(feature = "vulkan")), vulkan),
    }
}

/// Why a device does not compute in bfloat16; `None`: it does.
#[must_use]
pub fn without_bf16(choice: Choice, device: &Device) -> Option<&'static str> {
    match choice {
        // Its products are computed in f32 and rounded afterwards.
        Choice::Auto | Choice::Cpu => Some("where it is slower than `f32` and is not offered"),
        Choice::Cuda(_) | Choice::Vulkan(_) => {
            // One that does not open tells so when it is to work.
            let answer = super::guard::caught(|| device.supports_dtype(FloatDType::BF16));
            (answer == Ok(false)).then_some("which has no arithmetic in it")
        }
    }
}

/// The device of a number; `runtime` is its name, the feature that builds it in, and whether it is built in.
fn pick(
    wanted: Choice,
    number: usize,
    (runtime, feature, built): (&str, &str, bool),
    all: impl FnOnce() -> Vec<Device>,
) -> Result<(Choice, Device), RunError> {
    if !built {
        return Err(RunError::failed(
            format!("this build of pipe has no {runtime}"),
            format!("run with  --device cpu , or build it with  cargo build --release --locked --features {feature}"),
        ));
    }
    let devices = all();
    let there = match devices.len() {
        0 => "no device answers".to_owned(),
        1 => "one device answers, number 0".to_owned(),
        count => format!("{count} devices answer, numbers 0 to {}", count - 1),
    };
    match devices.into_iter().nth(number) {
        Some(device) if is_software(&device) => Err(RunError::failed(
            format!("{wanted} is a driver that computes on the processor, and training crashes it"),
            "run with  --device cpu , which is faster as well",
        )),
        Some(device) => Ok((wanted, device)),
        None => Err(RunError::failed(
            format!("there is no {wanted}: {there} through {runtime}"),
            "look at  pipe doctor , or run with  --device cpu",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_of_devices_are_read_as_they_are_written() {
        for choice in [Choice::Auto, Choice::Cpu, Choice::Cuda(0), Choice::Cuda(11), Choice::Vulkan(2)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("cuda".parse(), Ok(Choice::Cuda(0)));
        assert_eq!("vulkan".parse(), Ok(Choice::Vulkan(0)));
        for no in ["", "gpu", "cpu(0)", "auto()", "cuda(", "cuda()", "cuda(-1)", "cuda(1", "cuda(1))", "vulkan(x)"] {
            assert!(no.parse::<Choice>().unwrap_err().contains("is no device"), "{no}");
        }
    }

    #[test]
    fn workers_take_one_gpu_each() {
        let of = |choice: Choice| [0, 2].map(|number| choice.of_worker(number));
        assert_eq!(of(Choice::Cpu), [Choice::Cpu; 2]);
        assert_eq!(of(Choice::Cuda(1)), [Choice::Cuda(1), Choice::Cuda(3)]);
        assert_eq!(of(Choice::Vulkan(0)), [Choice::Vulkan(0), Choice::Vulkan(2)]);
    }

    #[test]
    fn what_is_not_there_is_told_with_a_way_out() {
        let told = |wanted, built, devices: usize| {
            let all = || vec![Device::flex(); devices];
            match pick(wanted, 1, ("CUDA", "cuda", built), all) {
                Ok((choice, _)) => choice.to_string(),
                Err(RunError::Failed { what, help }) => format!("{what}; {}", help.unwrap()),
                Err(other) => panic!("{other:?}"),
            }
        };
        let wanted = Choice::Cuda(1);
        assert_eq!(told(wanted, true, 2), "cuda(1)");
        assert!(told(wanted, true, 1).starts_with("there is no cuda(1): one device answers, number 0 through CUDA; "));
        assert!(told(wanted, true, 0).starts_with("there is no cuda(1): no device answers through CUDA; "));
        let without = told(wanted, false, 0);
        assert!(without.starts_with("this build of pipe has no CUDA; "), "{without}");
        assert!(without.ends_with("cargo build --release --locked --features cuda"), "{without}");
    }

    #[test]
    fn the_processor_offers_no_bf16_though_it_could() {
        let device = Device::flex();
        assert!(device.supports_dtype(FloatDType::BF16));
        assert!(without_bf16(Choice::Cpu, &device).is_some());
        assert!(without_bf16(Choice::Cuda(0), &device).is_none(), "a GPU is asked");
    }

    #[test]
    fn auto_settles_on_something_that_is_there() {
        let (choice, _) = choose(Choice::Auto).unwrap();
        assert!(matches!(choice, Choice::Cpu | Choice::Cuda(0)), "{choice}");
        assert!(answering().iter().any(|one| one.device == choice));
        assert_eq!(answering()[0].device, Choice::Cpu);
    }
}
