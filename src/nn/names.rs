//! A network's tensors by timm's names: listing them, and replacing their values.
//!
//! The order is that of the fields, which is timm's own and that of the forward pass: within a layer weight, bias,
//! running mean, running variance.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::Network;
use crate::catalog::backbones::Head;

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Gradients move it.
    Parameter,
    /// Batches move it: a running mean or variance.
    Statistic,
}

/// A tensor's place in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// timm's name, such as `layer1.0.bn1.running_var`.
    pub name: String,
    /// Its shape, PyTorch's layout.
    pub shape: Vec<usize>,
    /// What it is for.
    pub kind: Kind,
    /// Is it part of the head?
    pub in_head: bool,
}

/// Every tensor of the network, in the order of the forward pass.
#[must_use]
pub fn slots(network: &Network) -> Vec<Slot> {
    let mut list = List { path: Path::of(network), slots: Vec::new() };
    network.visit(&mut list);
    list.slots
}

/// Shows every tensor of the network with its values, one at a time, in the order of the forward pass.
pub(super) fn each(network: &Network, show: &mut dyn FnMut(&Slot, &TensorData)) {
    network.visit(&mut Read { path: Path::of(network), show });
}

/// The network with new values where `value` gives any (as many as the shape holds; else the old ones stay).
/// Whether a tensor learns is left as it is.
pub(super) fn replace(network: Network, value: &mut dyn FnMut(&Slot) -> Option<Vec<f32>>) -> Network {
    let path = Path::of(&network);
    network.map(&mut Replace { path, value })
}

/// FNV-1a, 64 bits: a number for a name.
pub(super) fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where a walk through the network stands.
pub(super) struct Path {
    parts: Vec<String>,
    head: Head,
}

impl Path {
    pub(super) fn of(network: &Network) -> Self {
        Self { parts: Vec::new(), head: network.head_form() }
    }

    pub(super) fn enter(&mut self, name: &str, container: &str) {
        if container.starts_with("Struct:Numbered") {
            self.parts.push(format!("{name}{NUMBERED}"));
        } else if !container.starts_with("Enum:") {
            self.parts.push(name.to_owned());
        }
    }

    pub(super) fn exit(&mut self, container: &str) {
        if !container.starts_with("Enum:") {
            self.parts.pop();
        }
    }

    pub(super) fn slot<const D: usize>(&self, param: &Param<Tensor<D>>) -> Slot {
        let (root, rest) = self.parts.split_first().map_or(("", [].as_slice()), |(root, rest)| (root.as_str(), rest));
        let in_head = root == "head";
        let local = join(rest);
        let mut shape = param.lazy_shape().to_vec();
        if in_head && self.head.convolution && rest.len() == 1 && shape.len() == 2 {
            shape.extend([1, 1]);
        }
        let statistic = rest.last().is_some_and(|leaf| leaf.starts_with("running_"));
        Slot {
            name: if in_head { format!("{}.{local}", self.head.name) } else { local },
            shape,
            kind: if statistic { Kind::Statistic } else { Kind::Parameter },
            in_head,
        }
    }
}

/// Names within names. What a struct called `Numbered...` lists is counted from 1 after its field's name.
fn join(parts: &[String]) -> String {
    let mut names: Vec<String> = Vec::with_capacity(parts.len());
    let mut parts = parts.iter();
    while let Some(part) = parts.next() {
        names.push(match part.strip_suffix(NUMBERED) {
            Some(field) => {
                let index: usize = parts.next().and_then(|index| index.parse().ok()).unwrap_or_default();
                format!("{field}{}", index + 1)
            }
            None => part.clone(),
        });
    }
    names.join(".")
}

/// Marks a part of a path whose list is counted from 1.
const NUMBERED: &str = "#";

/// The two methods with which every walk below keeps its path.
macro_rules! keep_path {
    () => {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }

        fn exit_module(&mut self, _name: &str, container: &str) {
            self.path.exit(container);
        }
    };
}
pub(super) use keep_path;

struct List {
    path: Path,
    slots: Vec<Slot>,
}

impl ModuleVisitor for List {
    keep_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.slots.push(self.path.slot(param));
    }
}

struct Read<'a> {
    path: Path,
    show: &'a mut dyn FnMut(&Slot, &TensorData),
}

impl ModuleVisitor for Read<'_> {
    keep_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        (self.show)(&self.path.slot(param), &param.val().into_data());
    }
}

struct Replace<'a> {
    path: Path,
    value: &'a mut dyn FnMut(&Slot) -> Option<Vec<f32>>,
}

impl ModuleMapper for Replace<'_> {
    keep_path!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let slot = self.path.slot(&param);
        let shape = param.lazy_shape();
        let Some(values) = (self.value)(&slot).filter(|values| values.len() == shape.num_elements()) else {
            return param;
        };
        // What was never read is never made.
        let (id, new) = (param.id, Tensor::from_data(TensorData::new(values, shape), &param.lazy_device()));
        param.transform_for_load(new, id)
    }
}
