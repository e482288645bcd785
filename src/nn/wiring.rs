//! A convolutional network as a list of steps: layers under timm's names, and which values each step reads.
//!
//! A family is a function that draws its network with a [`Sketch`], once; [`Wired`] holds the layers and runs the
//! steps. A value is let go after the last step that reads it.

use std::sync::Arc;

use burn::module::{Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor};
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Activation, Convolution, ConvolutionShape, activate, conv, gated, global_average};
use super::norm::BatchNorm;
use super::pool::Pool;

/// A value on its way through a network: what a step makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    /// 0 is the input; step `n` makes value `n + 1`.
    number: usize,
    /// How many channels it has.
    pub(super) channels: usize,
}

impl Value {
    /// The shape of a square convolution of this value to so many channels.
    pub(super) fn to(self, outputs: usize, side: usize) -> ConvolutionShape {
        conv([self.channels, outputs], side)
    }

    /// The shape of a square convolution of each of its channels by itself.
    pub(super) fn each(self, side: usize) -> ConvolutionShape {
        conv([self.channels; 2], side).groups(self.channels)
    }
}

/// A layer with weights.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "each owns far more in its tensors")]
enum Layer {
    Convolution(Convolution),
    Norm(BatchNorm),
}

/// What a step does with the values it reads.
#[derive(Debug, Clone, Copy)]
enum Operation {
    /// The convolution among the layers at this place.
    Convolve(usize),
    /// The batch norm at this place, and what follows it.
    Normalise(usize, Activation),
    Activate(Activation),
    Pool(Pool),
    /// The mean over height and width, which become 1.
    Average,
    /// The first value times the sigmoid of the second.
    Gate,
    /// Channels one after the other.
    Concatenate,
    /// The first value plus the second times a factor.
    Add(f64),
    /// Drop path of so many-th residual branch.
    Drop(usize),
    /// One pixel up and to the left: the first row and column go, zeros come in after the last.
    Shift,
}

#[derive(Debug, Clone)]
struct Step {
    operation: Operation,
    /// Numbers of the values it reads, and whether it is the last that does.
    reads: Vec<(usize, bool)>,
    /// timm's names of the modules whose output this is, where one is worth looking at.
    stages: Vec<String>,
    /// Of a convolution, how many steps after it can be done with it, since each reads what the one before made and nobody else
    /// does: its norm, and the sum after that.
    chain: usize,
    /// Of a norm, whether the next step is a convolution that alone reads what it gives.
    pair: bool,
}

/// A network of named layers.
#[derive(Debug, Clone)]
pub struct Wired {
    layers: Vec<(String, Layer)>,
    steps: Arc<[Step]>,
    branches: usize,
}

impl Wired {
    /// # Shapes
    /// `[images, channels, height, width]`, of images to of the last value.
    pub(super) fn forward(&self, images: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let mut values = vec![Some(images)];
        let chains = !pass.looks() && !pass.drops();
        while let Some(step) = self.steps.get(values.len() - 1) {
            let at = values.len() - 1;
            let output = if let (Some((norm, activation, convolution)), false) = (self.pair(at, pass), pass.looks()) {
                let input = take(&mut values, step.reads[0]);
                values.push(None);
                norm.before(convolution, input, pass, activation)
            } else if chains && step.chain > 0 && !self.follows(at + 1, pass) {
                self.run_chain(at, &mut values, pass)
            } else {
                let read = step.reads.iter().map(|read| take(&mut values, *read)).collect();
                self.run(step.operation, read, pass)
            };
            let step = &self.steps[values.len() - 1];
            values.push(Some(step.stages.iter().fold(output, |output, stage| pass.seen(stage, output))));
        }
        values.pop().flatten().expect("invariant: the last value is never read")
    }

    /// A norm that follows the batches, and the convolution that alone reads what it gives.
    fn pair(&self, at: usize, pass: &Pass) -> Option<(&BatchNorm, Activation, &Convolution)> {
        let (step, next) = (self.steps.get(at)?, self.steps.get(at + 1)?);
        match (step.operation, next.operation) {
            (Operation::Normalise(norm, activation), Operation::Convolve(convolution)) if step.pair => {
                match (&self.layers[norm].1, &self.layers[convolution].1) {
                    (Layer::Norm(norm), Layer::Convolution(convolution)) if norm.follows(pass) => {
                        Some((norm, activation, convolution))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Is this step a norm that follows the batches?
    fn follows(&self, at: usize, pass: &Pass) -> bool {
        match self.steps.get(at).map(|step| step.operation) {
            Some(Operation::Normalise(norm, _)) => {
                matches!(&self.layers[norm].1, Layer::Norm(norm) if norm.follows(pass))
            }
            _ => false,
        }
    }

    /// A convolution and the steps of its chain; what lies between is not there afterwards.
    fn run_chain(&self, first: usize, values: &mut Vec<Option<Tensor<4>>>, pass: &Pass) -> Tensor<4> {
        let chain = &self.steps[first..=first + self.steps[first].chain];
        let input = take(values, chain[0].reads[0]);
        let added = chain.last().and_then(|step| step.reads.get(1)).map(|read| take(values, *read));
        values.extend((1..chain.len()).map(|_| None));
        match (chain[0].operation, chain[1].operation) {
            (Operation::Convolve(convolution), Operation::Normalise(norm, activation)) => {
                match (&self.layers[convolution].1, &self.layers[norm].1) {
                    (Layer::Convolution(convolution), Layer::Norm(norm)) => {
                        norm.after(convolution, input, added, pass, activation)
                    }
                    _ => input,
                }
            }
            _ => input,
        }
    }

    /// Residual branches that drop path may leave out.
    pub(super) fn branches(&self) -> usize {
        self.branches
    }

    fn run(&self, operation: Operation, read: Vec<Tensor<4>>, pass: &Pass) -> Tensor<4> {
        if matches!(operation, Operation::Concatenate) {
            return Tensor::cat(read, 1);
        }
        let mut read = read.into_iter();
        let mut next = || read.next().expect("invariant: a step reads as many values as its operation takes");
        let first = next();
        match operation {
            Operation::Convolve(layer) => match &self.layers[layer].1 {
                Layer::Convolution(convolution) => convolution.forward(first, pass.precision),
                Layer::Norm(_) => first,
            },
            Operation::Normalise(layer, activation) => match &self.layers[layer].1 {
                Layer::Norm(norm) => norm.forward(first, pass.mode, activation),
                Layer::Convolution(_) => first,
            },
            Operation::Activate(activation) => activate(first, activation),
            Operation::Pool(pool) => pool.forward(first),
            Operation::Average => {
                let [images, channels, _, _] = first.dims();
                global_average(first).reshape([images, channels, 1, 1])
            }
            Operation::Gate => gated(first, next()),
            Operation::Concatenate => first,
            Operation::Add(factor) => {
                let second = next();
                #[expect(clippy::float_cmp, reason = "the very constant 1")]
                let plain = factor == 1.0;
                first + if plain { second } else { second * factor }
            }
            Operation::Drop(branch) => pass.branch(branch, first),
            Operation::Shift => {
                let [_, _, height, width] = first.dims();
                first.pad((0, 1, 0, 1), PadMode::Constant(0.0)).narrow(2, 1, height).narrow(3, 1, width)
            }
        }
    }
}

/// The value that a step reads: the value itself for its last reader.
fn take(values: &mut [Option<Tensor<4>>], (number, last): (usize, bool)) -> Tensor<4> {
    let value = values.get_mut(number).map(|value| if last { value.take() } else { value.clone() });
    value.flatten().expect("invariant: a value is there until its last reader")
}

/// A network that is being drawn.
pub(super) struct Sketch {
    layers: Vec<(String, Layer)>,
    steps: Vec<Step>,
    device: Device,
    /// Of the batch norms to come.
    eps: f64,
    branches: usize,
}

impl Sketch {
    /// Nothing yet, and the images it will take. `eps` is what every batch norm adds to the variance.
    pub(super) fn new(channels: usize, eps: f64, device: &Device) -> (Self, Value) {
        let sketch = Self { layers: Vec::new(), steps: Vec::new(), device: device.clone(), eps, branches: 0 };
        (sketch, Value { number: 0, channels })
    }

    fn step(&mut self, operation: Operation, reads: &[Value], channels: usize) -> Value {
        let reads = reads.iter().map(|value| (value.number, false)).collect();
        self.steps.push(Step { operation, reads, stages: Vec::new(), chain: 0, pair: false });
        Value { number: self.steps.len(), channels }
    }

    fn layer(&mut self, name: String, layer: Layer) -> usize {
        self.layers.push((name, layer));
        self.layers.len() - 1
    }

    /// A convolution of timm's name; `shape` is one of [`Value::to`] and [`Value::each`] of its input.
    pub(super) fn convolution(&mut self, name: impl Into<String>, input: Value, shape: ConvolutionShape) -> Value {
        let convolution = shape.build(&self.device);
        let outputs = convolution.outputs();
        let layer = self.layer(name.into(), Layer::Convolution(convolution));
        self.step(Operation::Convolve(layer), &[input], outputs)
    }

    /// A batch norm of timm's name, and what follows it.
    pub(super) fn norm(&mut self, name: impl Into<String>, input: Value, activation: Activation) -> Value {
        let norm = BatchNorm::new(input.channels, self.eps, &self.device);
        let layer = self.layer(name.into(), Layer::Norm(norm));
        self.step(Operation::Normalise(layer, activation), &[input], input.channels)
    }

    /// The activation alone.
    pub(super) fn activate(&mut self, input: Value, activation: Activation) -> Value {
        self.step(Operation::Activate(activation), &[input], input.channels)
    }

    /// A pool.
    pub(super) fn pool(&mut self, input: Value, pool: Pool) -> Value {
        self.step(Operation::Pool(pool), &[input], input.channels)
    }

    /// The mean over height and width, which become 1.
    pub(super) fn average(&mut self, input: Value) -> Value {
        self.step(Operation::Average, &[input], input.channels)
    }

    /// `input` times the sigmoid of `gate`.
    pub(super) fn gate(&mut self, input: Value, gate: Value) -> Value {
        self.step(Operation::Gate, &[input, gate], input.channels)
    }

    /// The channels of all, one after the other.
    pub(super) fn concatenate(&mut self, inputs: &[Value]) -> Value {
        let channels = inputs.iter().map(|value| value.channels).sum();
        self.step(Operation::Concatenate, inputs, channels)
    }

    /// The sum of two.
    pub(super) fn add(&mut self, first: Value, second: Value) -> Value {
        self.add_scaled(first, second, 1.0)
    }

    /// `first + factor * second`.
    pub(super) fn add_scaled(&mut self, first: Value, second: Value, factor: f64) -> Value {
        self.step(Operation::Add(factor), &[first, second], first.channels)
    }

    /// Drop path of so many-th residual branch, before it is added.
    pub(super) fn drop_path(&mut self, input: Value, branch: usize) -> Value {
        self.step(Operation::Drop(branch), &[input], input.channels)
    }

    /// One pixel up and to the left.
    pub(super) fn shift(&mut self, input: Value) -> Value {
        self.step(Operation::Shift, &[input], input.channels)
    }

    /// Calls what the last step made by timm's name of a stage.
    pub(super) fn stage(&mut self, name: impl Into<String>) {
        if let Some(step) = self.steps.last_mut() {
            step.stages.push(name.into());
        }
    }

    /// How many residual branches drop path may leave out, those counted too that a block lacks.
    pub(super) fn branches(&mut self, branches: usize) {
        self.branches = branches;
    }

    /// How many steps after this one can be done with it.
    fn chain(&self, at: usize, readers: &[usize]) -> usize {
        let next = |after: usize| {
            let step = self.steps.get(at + after)?;
            let alone = readers[at + after] == 1 && step.reads[0].0 == at + after;
            alone.then_some(step.operation)
        };
        match (self.steps[at].operation, next(1)) {
            (Operation::Convolve(_), Some(Operation::Normalise(_, Activation::Linear))) => {
                // drop path is none where chains are run
                let end = if matches!(next(2), Some(Operation::Drop(_))) { 3 } else { 2 };
                #[expect(clippy::float_cmp, reason = "the very constant 1")]
                let sum = matches!(next(end), Some(Operation::Add(factor)) if factor == 1.0);
                if sum { end } else { 1 }
            }
            (Operation::Convolve(_), Some(Operation::Normalise(..))) => 1,
            _ => 0,
        }
    }

    /// The network; its output is what the last step made.
    pub(super) fn finish(mut self) -> Wired {
        let mut last = vec![None; self.steps.len() + 1];
        let mut readers = vec![0; self.steps.len() + 1];
        for (at, step) in self.steps.iter().enumerate() {
            for (place, (number, _)) in step.reads.iter().enumerate() {
                last[*number] = Some((at, place));
                readers[*number] += 1;
            }
        }
        for (at, place) in last.into_iter().flatten() {
            self.steps[at].reads[place].1 = true;
        }
        for at in 0..self.steps.len() {
            self.steps[at].chain = self.chain(at, &readers);
            self.steps[at].pair = self.steps.get(at + 1).is_some_and(|next| {
                let reads = readers[at + 1] == 1 && next.reads[0].0 == at + 1;
                reads && matches!(next.operation, Operation::Convolve(_))
            });
        }
        Wired { layers: self.layers, steps: self.steps.into(), branches: self.branches }
    }
}

impl Wired {
    fn each(self, mut change: impl FnMut(&str, Layer) -> Layer) -> Self {
        let layers = self.layers.into_iter().map(|(name, layer)| {
            let layer = change(&name, layer);
            (name, layer)
        });
        Self { layers: layers.collect(), ..self }
    }
}

/// As burn does a vector, with names instead of numbers.
impl Module for Wired {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (name, layer) in &self.layers {
            visitor.enter_module(name, "Wired");
            layer.visit(visitor);
            visitor.exit_module(name, "Wired");
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        self.each(|name, layer| {
            mapper.enter_module(name, "Wired");
            let layer = layer.map(mapper);
            mapper.exit_module(name, "Wired");
            layer
        })
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|_, layer| layer.to_device(device))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|_, layer| layer.fork(device))
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        self.layers.iter().fold(devices, |devices, (_, layer)| layer.collect_devices(devices))
    }

    fn materialize(self) -> Self {
        self.each(|_, layer| layer.materialize())
    }

    fn valid(&self) -> Self {
        self.clone().each(|_, layer| layer.valid())
    }

    fn train(self) -> Self {
        self.each(|_, layer| layer.train())
    }
}

impl ModuleDisplayDefault for Wired {
    fn content(&self, content: Content) -> Option<Content> {
        self.layers.iter().fold(content, |content, (name, layer)| content.add(name, layer)).optional()
    }
}

impl ModuleDisplay for Wired {}
