//! `precision = bf16`: how far a network's figures move, what stays in single precision, and who is refused.
//!
//! The processor's backend computes in bfloat16 too, only slowly; so the arithmetic is held here, on the way that GPUs take.
//! bfloat16 keeps 8 bits: each number read is off by up to 2^-9, a fifth of a percent, and a network of twenty layers by a few times
//! that. Single operations and a transformer, which has no kinks, are held to a few percent beside the code.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use pipe::draw::{DrawKey, Stage};
use pipe::kernels::mix::{Targets, mix};
use pipe::nn::{Mode, Network, Pass, Stages};
use pipe::study::{Backbone, ClassWeights, LossKind, LossTerm, Optimizer, Precision};
use pipe::train::{MixedLoss, TorchOptimizer};

use crate::cli::{TINY, pipe};

const CLASSES: usize = 3;
const IMAGES: usize = 4;

fn drawn<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let mut stream = DrawKey { seed: 3, stage: Stage::Initialise, epoch: 0, sample: 0 }.stream();
    #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|_| stream.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn loss() -> MixedLoss {
    let term = |weight, kind| LossTerm { weight, kind, smoothing: 0.1, class_weights: ClassWeights::None };
    let terms = [term(0.6, LossKind::CrossEntropy), term(0.4, LossKind::SoftF1)];
    MixedLoss::new(&terms, CLASSES, &[1; CLASSES]).unwrap()
}

/// What one batch makes of a network.
struct Seen {
    logits: Vec<f32>,
    /// By the order of the parameters.
    gradients: Vec<Vec<f32>>,
    /// Types of what each stage gave.
    types: Vec<(String, DType)>,
}

/// Collects gradients, whose types must be the weights'.
struct Collect<'a> {
    gradients: &'a GradientsParams,
    found: Vec<Vec<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        assert_eq!(param.val().dtype(), DType::F32, "weights stay in single precision");
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            assert_eq!(gradient.dtype(), DType::F32, "gradients arrive in single precision");
            self.found.push(gradient.into_data().iter().collect());
        }
    }
}

fn batch(device: &Device, side: usize) -> (Tensor<4>, Tensor<2>) {
    let hot = |at: usize| if at / CLASSES % CLASSES == at % CLASSES { 1.0_f32 } else { 0.0 };
    let targets = TensorData::new((0..IMAGES * CLASSES).map(hot).collect::<Vec<_>>(), [IMAGES, CLASSES]);
    (drawn([IMAGES, 3, side, side], device), Tensor::from_data(targets, device))
}

fn network(name: &str, side: usize, precision: Precision, device: &Device) -> Network {
    Network::sized(Backbone::named(name).unwrap(), CLASSES, [side; 2], 7, device).with_precision(precision)
}

fn seen(network: &Network, side: usize, mode: Mode) -> Seen {
    let (images, targets) = batch(&Device::flex().autodiff(), side);
    let stages = Stages::default();
    let logits = network.forward(images, Pass { stages: Some(stages.clone()), ..mode.into() }, None);
    assert_eq!(logits.dtype(), DType::F32, "the head and the losses see single precision");
    let cost = mix(loss().mix(), logits.clone(), Targets::Shares(targets)).total;
    let gradients = GradientsParams::from_grads(cost.backward(), network);
    let mut all = Collect { gradients: &gradients, found: Vec::new() };
    network.visit(&mut all);
    Seen {
        logits: logits.into_data().iter().collect(),
        gradients: all.found,
        types: stages.take().into_iter().map(|(name, value)| (name, value.dtype())).collect(),
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// How far one list is from another, by the norm of the other.
fn apart(one: &[f32], other: &[f32]) -> f64 {
    assert_eq!(one.len(), other.len());
    let gap = norm(one.iter().zip(other).map(|(one, other)| f64::from(*one) - f64::from(*other)));
    gap / norm(other.iter().map(|value| f64::from(*value))).max(1e-12)
}

/// Weights of products as bfloat16 has them, in single precision.
struct Round;

impl ModuleMapper for Round {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, _) = param.consume();
        if D != 2 && D != 4 {
            return Param::initialized(id, value);
        }
        Param::initialized(id, value.detach().cast(FloatDType::BF16).cast(FloatDType::F32).detach().require_grad())
    }
}

/// How far logits, and all gradients together, of `bf16` are from single precision's, and how far they are moved by weights
/// that are rounded alike in a network that computes in single precision: what of it is rounding at all.
fn moved(name: &str, side: usize, mode: Mode) -> [[f64; 2]; 2] {
    let network = network(name, side, Precision::F32, &Device::flex().autodiff());
    let whole = seen(&network, side, mode);
    let apart = |other: &Seen| {
        for (stage, dtype) in whole.types.iter().chain(&other.types) {
            assert_eq!(*dtype, DType::F32, "{stage}: what follows a product is in single precision");
        }
        assert!(!other.types.is_empty() && other.gradients.len() == whole.gradients.len());
        [apart(&other.logits, &whole.logits), apart(&other.gradients.concat(), &whole.gradients.concat())]
    };
    let half = seen(&network.clone().with_precision(Precision::Bf16), side, mode);
    let rounded = seen(&network.map(&mut Round), side, mode);
    let found = [apart(&half), apart(&rounded)];
    println!(
        "{name}, {side} pixels, {mode:?}: bf16 moves logits and gradients by {:.4?}, rounded weights by {:.4?}",
        found[0], found[1]
    );
    found
}

/// Where an activation has a kink, what is rounded to its other side turns the gradient behind it: by the root of how many do, which
/// is far more than logits move, and with random weights most of all. So gradients are held to what rounding alone does.
#[test]
fn precision_of_networks_is_that_of_rounding() {
    for (name, side, mode, most) in [
        ("resnet18", 64, Mode::Eval, 0.03),
        ("resnet18", 64, Mode::Train, 0.03),
        ("mobilenetv2_035", 32, Mode::Eval, 0.06),
        ("densenet121", 32, Mode::Eval, 0.06),
        ("seresnet18", 32, Mode::Eval, 0.06),
    ] {
        let [[logits, gradients], [rounded, turned]] = moved(name, side, mode);
        assert!(logits > 0.0 && gradients > 0.0, "{name} computes in single precision");
        assert!(logits < most && logits < 3.0 * rounded, "{name}, {mode:?}: logits {logits}, by rounding {rounded}");
        assert!(gradients < 3.0 * turned, "{name}, {mode:?}: gradients {gradients}, by rounding {turned}");
    }
}

/// The path of a training with each optimiser's state in single precision.
#[test]
fn precision_leaves_weights_and_optimiser_wide_and_the_loss_falls_alike() {
    let device = Device::flex().autodiff();
    let (images, targets) = batch(&device, 32);
    let losses = |precision| -> Vec<f64> {
        let mut network = network("resnet18", 32, precision, &device);
        let mut optimizer = TorchOptimizer::new(Optimizer::AdamW { lr: 1e-3, weight_decay: 0.01 }, Some(1.0));
        let step = |_| {
            let cost = loss().forward(network.forward(images.clone(), Mode::Train, None), targets.clone());
            let gradients = GradientsParams::from_grads(cost.total.backward(), &network);
            network = optimizer.step(1e-3, network.clone(), gradients);
            cost.value
        };
        let losses = (0..4).map(step).collect();
        network.visit(&mut Collect { gradients: &GradientsParams::new(), found: Vec::new() });
        losses
    };
    let (whole, half) = (losses(Precision::F32), losses(Precision::Bf16));
    assert!(half[3] < half[0], "{half:?}");
    assert!(whole.iter().zip(&half).all(|(a, b)| (a - b).abs() < 0.05 * whole[0]), "{whole:?}\n{half:?}");
}

#[test]
fn precision_single_is_what_a_network_has() {
    let device = Device::flex();
    let values = |network: &Network| -> Vec<f32> {
        network.forward(batch(&device, 32).0, Mode::Eval, None).into_data().iter().collect()
    };
    let plain = Network::sized(Backbone::named("resnet18").unwrap(), CLASSES, [32; 2], 7, &device);
    assert_eq!(values(&plain), values(&network("resnet18", 32, Precision::F32, &device)));
    assert_ne!(values(&plain), values(&network("resnet18", 32, Precision::Bf16, &device)));
}

#[test]
fn precision_that_the_device_has_not_is_refused_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = TINY.replacen("train {\n", "train {\n    precision = bf16\n", 1);
    assert_ne!(text, TINY);
    std::fs::write(folder.path().join("tiny.pipe"), &text).unwrap();
    pipe(folder.path(), &["check", "tiny.pipe"]).ends(0);
    pipe(folder.path(), &["plan", "tiny.pipe"]).ends(0);
    let told = pipe(folder.path(), &["run", "tiny.pipe", "--device", "cpu"]).ends(1);
    let told = told.says("E0507").says("the run is on cpu, where it is slower than `f32` and is not offered");
    let told = told.says("precision = bf16").says("write  precision = f32").says("--device cuda");
    assert!(!told.err.contains("panicked"), "{}", told.err);
    assert!(!folder.path().join("runs/tiny/record.json").exists());
}
