//! The networks against timm's: formula weights, real weights, names, three training steps.
//!
//! Expected values were made with timm 1.0.31 and torch 2.15 in double precision; weights and images come from one
//! formula on names and indices ("zoo-gen v1") that both sides hold, so no weights are stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};
use pipe::nn::{Flavour, Frozen, Kind, Mode, Network, Pass, Stages, slots, weights};
use pipe::study::{Backbone, Head, Optimizer, Pooling};
use pipe::train::TorchOptimizer;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Largest error relative to the largest value.
pub(crate) const GATE: f32 = 2e-5;

/// zoo-gen v1.
pub(crate) mod zoo {
    use std::collections::BTreeMap;

    use pipe::nn::{Network, slots};

    pub(crate) fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
    }

    pub(crate) fn seed(name: &str) -> u64 {
        fnv(name.bytes())
    }

    /// 24 bits.
    pub(crate) fn raw(seed: u64, index: u64) -> u32 {
        let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        u32::try_from(z >> 40).unwrap()
    }

    /// In -1..1, exact.
    pub(crate) fn s(seed: u64, index: u64) -> f64 {
        (f64::from(raw(seed, index)) - 8_388_608.0) / 8_388_608.0
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the formula says so")]
    pub(crate) fn tensor(name: &str, shape: &[usize], has_bias: bool, exponent: i32) -> Vec<f32> {
        let leaf = name.rsplit('.').next().unwrap();
        let power = 2f64.powi(exponent);
        let (mul, add) = match (leaf, shape) {
            ("running_mean", _) => (0.25 * power.sqrt(), 0.0),
            ("running_var", _) => (0.5 * power, power),
            ("bias", _) => (0.25, 0.0),
            ("weight", [_]) => (0.5, 1.0),
            ("weight", [_, rest @ ..]) => {
                let fan = rest.iter().product::<usize>() as f64;
                let gain = if rest.len() == 1 { 1.0 } else { [0.125, 2.0][usize::from(has_bias)] };
                ((3.0 * gain / fan).sqrt(), 0.0)
            }
            _ => (0.5, 0.0),
        };
        let (seed, count) = (seed(name), shape.iter().product::<usize>() as u64);
        (0..count).map(|index| (s(seed, index) * mul + add) as f32).collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "the formula says so")]
    pub(crate) fn image(name: &str, [n, c, h, w]: [usize; 4]) -> Vec<f32> {
        let (rows, columns) = (h.div_ceil(8), w.div_ceil(8));
        let (low, high) = (seed(&format!("{name}.lo")), seed(&format!("{name}.hi")));
        let mut values = Vec::with_capacity(n * c * h * w);
        for plane in 0..n * c {
            for y in 0..h {
                for x in 0..w {
                    let block = ((plane * rows + y / 8) * columns + x / 8) as u64;
                    let pixel = ((plane * h + y) * w + x) as u64;
                    values.push((1.5 * s(low, block) + 0.5 * s(high, pixel)) as f32);
                }
            }
        }
        values
    }

    /// Formula values of every tensor of a network, by name in order of the forward pass.
    pub(crate) fn fill(network: &Network, exponents: &BTreeMap<String, i32>) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let slots = slots(network);
        let filled = slots.iter().map(|slot| {
            let layer = slot.name.rsplit_once('.').map_or("", |(layer, _)| layer);
            let has_bias = slots.iter().any(|other| other.name == format!("{layer}.bias"));
            let exponent = exponents.get(layer).copied().unwrap_or(0);
            (slot.name.clone(), slot.shape.clone(), tensor(&slot.name, &slot.shape, has_bias, exponent))
        });
        filled.collect()
    }

    /// A safetensors file of 32-bit floats.
    pub(crate) fn file(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> =
            tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap();
            (name.clone(), view)
        });
        safetensors::serialize(views, None).unwrap()
    }
}

/// Expected values by name.
pub(crate) struct Fixture {
    bytes: Vec<u8>,
    notes: BTreeMap<String, String>,
}

impl Fixture {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let notes = header.metadata().clone().unwrap_or_default().into_iter().collect();
        Self { bytes, notes }
    }

    fn words(&self, name: &str) -> Vec<[u8; 4]> {
        let file = safetensors::SafeTensors::deserialize(&self.bytes).unwrap();
        file.tensor(name).unwrap().data().as_chunks().0.to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_le_bytes).collect()
    }

    fn names(&self) -> Vec<String> {
        let file = safetensors::SafeTensors::deserialize(&self.bytes).unwrap();
        let mut names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
        names.sort();
        names
    }

    fn json<T: serde::de::DeserializeOwned>(&self, note: &str) -> T {
        serde_json::from_str(&self.notes[note]).unwrap()
    }

    pub(crate) fn exponents(&self) -> BTreeMap<String, i32> {
        let names: Vec<String> = self.json("bn");
        names.into_iter().zip(self.words("bn_exp").into_iter().map(i32::from_le_bytes)).collect()
    }
}

/// The powers of two of a network's variances, by the norm's name; none where no fixture says them.
pub(crate) fn exponents(timm: &str) -> BTreeMap<String, i32> {
    let path = fixtures().join(format!("{timm}.safetensors"));
    if path.is_file() { Fixture::read(&path).exponents() } else { BTreeMap::new() }
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nn")
}

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared")
}

pub(crate) fn images(values: Vec<f32>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// How far values are from those expected, relative to the largest of these.
#[track_caller]
pub(crate) fn error(what: &str, got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len(), "{what}: count of values");
    let largest = expected.iter().fold(0f32, |a, b| a.max(b.abs()));
    assert!(largest > 0.0, "{what}: nothing to compare with");
    let gaps = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // A NaN is an error, which `f32::max` would pass over.
    gaps.fold(0f32, |a, b| if b.is_nan() { f32::INFINITY } else { a.max(b) }) / largest
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// What a stage's output is known by: its mean, its root mean square, and sixteen of its values.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "as the fixture was made")]
fn probe(stage: &[f32]) -> Vec<f32> {
    let count = stage.len();
    let mean = stage.iter().map(|&v| f64::from(v)).sum::<f64>() / count as f64;
    let square = stage.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / count as f64;
    let samples = (0..16u64).map(|i| stage[(i * 2_654_435_761 % count as u64) as usize]);
    [mean as f32, square.sqrt() as f32].into_iter().chain(samples).collect()
}

/// One row of the parity table.
struct Measured {
    timm: String,
    parameters: usize,
    features: f32,
    logits: f32,
    stages: f32,
    seconds: f32,
}

impl Measured {
    fn worst(&self) -> f32 {
        self.features.max(self.logits).max(self.stages)
    }
}

/// Runs one fixture; nothing where its model is none of ours.
fn measure(path: &Path) -> Option<Measured> {
    let fixture = Fixture::read(path);
    let timm = fixture.notes.get("model")?.clone();
    let backbone = Backbone::of_timm(&timm)?;
    let device = Device::flex();
    let sizes: BTreeMap<String, [usize; 4]> = fixture.json("sizes");
    let [_, _, height, width] = sizes["a"];
    let network = Network::sized(backbone, fixture.json("num_classes"), [height, width], 0, &device);
    let slots = slots(&network);
    let parameters = slots.iter().filter(|slot| slot.kind == Kind::Parameter);
    let parameters = parameters.map(|slot| slot.shape.iter().product::<usize>()).sum();
    let tensors = zoo::fill(&network, &fixture.exponents());
    let mut digest = Sha256::new();
    for (name, _, values) in &tensors {
        digest.update(name);
        for value in values {
            digest.update(value.to_le_bytes());
        }
    }
    // Keras's NASNet is filled in another order.
    if let Some(expected) = fixture.notes.get("sha256_of_generated_weights") {
        assert_eq!(format!("{:x}", digest.finalize()), *expected, "{timm}");
    }
    let bytes = zoo::file(&tensors);
    let count = tensors.len();
    drop(tensors);
    let (network, report) = weights::load(network, &bytes, weights::Head::Keep).unwrap();
    drop(bytes);
    assert_eq!(report.loaded, count);
    let mut row = Measured { timm, parameters, features: 0.0, logits: 0.0, stages: 0.0, seconds: 0.0 };
    let start = std::time::Instant::now();
    for (case, image) in [("a", "x"), ("b", "y")] {
        let Some(&size) = sizes.get(case) else { continue };
        let stages = Stages::default();
        // looked at, a network runs operation by operation; as users run it, some are one
        let looked_at = Pass { stages: (case == "a").then(|| stages.clone()), ..Mode::Eval.into() };
        let features = network.features(images(zoo::image(image, size), size, &device), looked_at);
        if case == "a" {
            let again = network.features(images(zoo::image(image, size), size, &device), Mode::Eval);
            let bits =
                |tensor: &Tensor<2>| -> Vec<u32> { values(tensor.clone()).iter().map(|x| x.to_bits()).collect() };
            assert_eq!(bits(&features), bits(&again), "{}: not the bits of operations one by one", row.timm);
        }
        let logits = network.classify(features.clone(), None);
        for (what, tensor, worst) in [("features", features, &mut row.features), ("logits", logits, &mut row.logits)] {
            let name = format!("{case}.{what}");
            *worst = worst.max(error(&name, &values(tensor), &fixture.floats(&name)));
        }
        if case == "a" {
            let mut seen: BTreeMap<String, Vec<f32>> =
                stages.take().into_iter().map(|(name, tensor)| (name, probe(&values(tensor)))).collect();
            for name in fixture.names().iter().filter_map(|name| name.strip_prefix("a.stage.")) {
                // The features once more.
                if name == "head_drop" {
                    continue;
                }
                let got = seen.remove(name).unwrap_or_else(|| panic!("{}: no stage {name}", row.timm));
                let error = error(name, &got, &fixture.floats(&format!("a.stage.{name}")));
                assert!(error <= GATE, "{}: stage {name} is the first that differs, by {error:e}", row.timm);
                row.stages = row.stages.max(error);
            }
            assert!(seen.is_empty(), "{}: stages that timm has not: {:?}", row.timm, seen.keys());
        }
    }
    row.seconds = start.elapsed().as_secs_f32();
    let Measured { timm, features, logits, stages, .. } = &row;
    println!("{timm}: relative error of features {features:.1e}, logits {logits:.1e}, stages {stages:.1e}");
    Some(row)
}

/// Runs one fixture; false where its model is none of ours.
fn check(path: &Path) -> bool {
    let Some(row) = measure(path) else { return false };
    assert!(row.worst() <= GATE, "{}: relative error {:e} over the gate {GATE:e}", row.timm, row.worst());
    true
}

/// Every network against timm: `PIPE_PARITY=all cargo test --test it parity_table -- --nocapture`.
///
/// Its fixtures lie in `../shared/backbones/fixtures`, or in the folder that `PIPE_PARITY_FIXTURES` names.
#[test]
fn parity_table() {
    if std::env::var_os("PIPE_PARITY").is_none_or(|what| what != "all") {
        println!("skipped: PIPE_PARITY=all measures every network");
        return;
    }
    let folder =
        std::env::var_os("PIPE_PARITY_FIXTURES").map_or_else(|| shared().join("backbones/fixtures"), PathBuf::from);
    let mut over = Vec::new();
    println!(
        "{:<20} {:>9} {:>9} {:>9} {:>12} {:>7}",
        "network", "features", "logits", "stages", "parameters", "seconds"
    );
    for backbone in Backbone::all() {
        let file = format!("{}.safetensors", backbone.card().timm);
        let path = [&folder, &fixtures()].map(|folder| folder.join(&file)).into_iter().find(|path| path.is_file());
        let Some(row) = path.and_then(|path| measure(&path)) else {
            println!("{:<20} {:>9}", backbone.name(), "no fixture");
            continue;
        };
        let Measured { parameters, features, logits, stages, seconds, .. } = row;
        let name = backbone.name();
        println!("{name:<20} {features:>9.1e} {logits:>9.1e} {stages:>9.1e} {parameters:>12} {seconds:>7.1}");
        if row.worst() > GATE {
            over.push(name);
        }
    }
    assert!(over.is_empty(), "over the gate {GATE:e}: {over:?}");
}

#[test]
fn parity_formula_gives_the_published_checksums() {
    let sum = |values: Vec<f32>| zoo::fnv(values.into_iter().flat_map(f32::to_le_bytes));
    assert_eq!(zoo::seed("conv1.weight"), 0x69a2_9a2c_ee47_d254);
    let first = [0, 1, 2, 3].map(|index| zoo::raw(zoo::seed("conv1.weight"), index));
    assert_eq!(first, [9_144_840, 12_501_739, 384_562, 12_351_349]);
    assert_eq!(sum(zoo::tensor("conv1.weight", &[64, 3, 7, 7], false, 0)), 0xa97c_3094_0453_9450);
    assert_eq!(sum(zoo::tensor("bn1.running_var", &[64], false, -5)), 0x948b_2bfa_9eb6_79f1);
    assert_eq!(sum(zoo::image("x", [2, 3, 96, 128])), 0xed1c_23d0_ed57_1a38);
    assert_eq!(sum(zoo::image("y", [1, 3, 97, 75])), 0x6506_2497_738d_c009);
}

#[test]
fn parity_resnet18_equals_timm() {
    assert!(check(&fixtures().join("resnet18.safetensors")));
}

#[test]
fn parity_resnet34_equals_timm() {
    assert!(check(&fixtures().join("resnet34.safetensors")));
}

#[test]
fn parity_resnext50_equals_timm() {
    assert!(check(&fixtures().join("resnext50_32x4d.safetensors")));
}

#[test]
fn parity_resnet50v2_equals_timm() {
    assert!(check(&fixtures().join("resnetv2_50.safetensors")));
}

#[test]
fn parity_seresnet18_equals_timm() {
    assert!(check(&fixtures().join("legacy_seresnet18.safetensors")));
}

#[test]
fn parity_densenet121_equals_timm() {
    assert!(check(&fixtures().join("densenet121.safetensors")));
}

#[test]
fn parity_efficientnet_b0_equals_timm() {
    assert!(check(&fixtures().join("tf_efficientnet_b0.safetensors")));
}

#[test]
fn parity_mobilenetv2_equals_timm() {
    assert!(check(&fixtures().join("mobilenetv2_035.safetensors")));
}

#[test]
fn parity_inceptionv3_equals_timm() {
    assert!(check(&fixtures().join("inception_v3.safetensors")));
}

#[test]
fn parity_xception_equals_timm() {
    assert!(check(&fixtures().join("legacy_xception.safetensors")));
}

#[test]
fn parity_nasnetmobile_equals_keras() {
    assert!(check(&fixtures().join("nasnetmobile.safetensors")));
}

#[test]
fn parity_vit_b32_equals_timm() {
    assert!(check(&fixtures().join("vit_base_patch32_224.safetensors")));
}

#[test]
fn parity_efficientnet_lite0_equals_timm() {
    assert!(check(&fixtures().join("tf_efficientnet_lite0.safetensors")));
}

/// Fixtures of a folder given from outside, of which those of our networks are run.
#[test]
fn parity_extra_fixtures() {
    let Some(folder) = std::env::var_os("PIPE_PARITY_FIXTURES") else {
        println!("skipped: PIPE_PARITY_FIXTURES is not set");
        return;
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    paths.sort();
    assert!(!paths.is_empty(), "no fixture in {}", folder.display());
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("real.") {
            println!("skipped: {name} is of real weights");
        } else if !check(&path) {
            println!("skipped: {name} is of a network that is not run here");
        }
    }
}

#[test]
fn parity_real_efficientnet_lite0_equals_timm() {
    let file = shared().join("weights/tf_efficientnet_lite0.in1k.safetensors");
    let expected = shared().join("backbones/fixtures/real.tf_efficientnet_lite0.in1k.safetensors");
    if !file.is_file() || !expected.is_file() {
        println!("skipped: ../shared is not here");
        return;
    }
    let (fixture, device) = (Fixture::read(&expected), Device::flex());
    let network = Network::new(Backbone::named("efficientnet_lite0").unwrap(), 1000, 0, &device);
    let bytes = std::fs::read(file).unwrap();
    let (network, report) = weights::load(network, &bytes, weights::Head::Keep).unwrap();
    assert_eq!((report.head_classes, report.head_loaded), (Some(1000), true));
    let shape = [2, 3, 224, 224];
    let features = network.features(images(zoo::image("x", shape), shape, &device), Mode::Eval);
    let logits = network.classify(features.clone(), None);
    for (what, tensor) in [("logits", logits), ("features", features)] {
        let error = error(what, &values(tensor), &fixture.floats(what));
        assert!(error <= GATE, "real lite0 {what}: relative error {error:e} over the gate {GATE:e}");
    }
}

/// Vision transformers of 384 pixels and of a side that is not square, with weights for 224: only the smallest, unless
/// `PIPE_PARITY=all`.
#[test]
fn parity_sides_are_timms() {
    #[derive(serde::Deserialize)]
    struct Case {
        model: String,
        size: [usize; 4],
        /// What [`probe`] makes of them.
        features: Vec<f32>,
        logits: Vec<f32>,
    }
    let text = std::fs::read_to_string(fixtures().join("sides.json")).unwrap();
    let stored: Value = serde_json::from_str(&text).unwrap();
    let cases: Vec<Case> = serde_json::from_value(stored["cases"].clone()).unwrap();
    let all = std::env::var_os("PIPE_PARITY").is_some_and(|what| what == "all");
    for Case { model, size, features: probed, logits: expected } in cases {
        if !all && model != "vit_base_patch32_384" {
            println!("skipped: PIPE_PARITY=all runs {model}");
            continue;
        }
        let (backbone, device) = (Backbone::of_timm(&model).unwrap(), Device::flex());
        let bytes = zoo::file(&zoo::fill(&Network::sized(backbone, 10, [224; 2], 0, &device), &BTreeMap::new()));
        let network = Network::sized(backbone, 10, [size[2], size[3]], 0, &device);
        let (network, _) = weights::load(network, &bytes, weights::Head::Keep).unwrap();
        let features = network.features(images(zoo::image("x", size), size, &device), Mode::Eval);
        let logits = values(network.classify(features.clone(), None));
        for (what, got, wanted) in [("features", probe(&values(features)), probed), ("logits", logits, expected)] {
            let error = error(what, &got, &wanted);
            println!("{model} at {size:?}: relative error of {what} {error:.1e}");
            assert!(error <= GATE, "{model} at {size:?}: {what} are off by {error:e}");
        }
    }
}

/// Every network's names and shapes, in timm's order; nothing of a network is allocated for it.
#[test]
fn parity_names_and_shapes_are_timms() {
    let text = std::fs::read_to_string(fixtures().join("schemas.txt")).unwrap();
    let digests: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut compared = 0;
    for backbone in Backbone::all() {
        let card = backbone.card();
        let Some(digest) = digests.get(card.timm) else {
            assert_eq!(card.name, "nasnetmobile", "timm has every network but this one");
            continue;
        };
        let slots = slots(&Network::new(backbone, 1000, 0, &Device::flex()));
        let lines: Vec<String> = slots
            .iter()
            .map(|slot| {
                let shape: Vec<String> = slot.shape.iter().map(ToString::to_string).collect();
                format!("{} {}\n", slot.name, shape.join(","))
            })
            .collect();
        let ours = format!("{} {:x}", lines.len(), Sha256::digest(lines.concat()));
        assert_eq!(ours, **digest, "{}: {}", card.name, difference(card.timm, &lines));
        let learn = slots.iter().filter(|slot| slot.kind == Kind::Parameter);
        let learn: usize = learn.map(|slot| slot.shape.iter().product::<usize>()).sum();
        assert_eq!(learn as u64, card.parameters, "{}: parameters on its card", card.name);
        compared += 1;
    }
    assert!(compared > 0);
}

/// The first line in which a network's listing is not timm's, if timm's lies at hand.
fn difference(timm: &str, ours: &[String]) -> String {
    let path = shared().join(format!("backbones/schema/{timm}.json"));
    let Ok(text) = std::fs::read_to_string(path) else { return "no schema at hand to compare with".to_owned() };
    let schema: indexmap::IndexMap<String, Vec<usize>> = serde_json::from_str(&text).unwrap();
    let mut theirs = schema.into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked"));
    for line in ours {
        let Some((name, shape)) = theirs.next() else { return format!("timm has no {line}") };
        let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let wanted = format!("{name} {}\n", shape.join(","));
        if *line != wanted {
            return format!("{} instead of {}", line.trim(), wanted.trim());
        }
    }
    format!("timm has more: {:?}", theirs.next())
}

/// How deep each parameter lies for layer-wise decay of the learning rate.
#[test]
fn parity_depths_are_timms() {
    let text = std::fs::read_to_string(fixtures().join("depths.json")).unwrap();
    let depths: BTreeMap<String, Vec<(usize, usize)>> = serde_json::from_str(&text).unwrap();
    let mut compared = 0;
    for backbone in Backbone::all() {
        let Some(runs) = depths.get(backbone.card().timm) else { continue };
        let expected: Vec<usize> = runs.iter().flat_map(|&(depth, count)| std::iter::repeat_n(depth, count)).collect();
        let ours = pipe::nn::depths(&Network::new(backbone, 10, 0, &Device::flex()));
        assert_eq!(ours.len(), expected.len(), "{backbone:?}");
        for ((slot, depth), expected) in ours.iter().zip(expected) {
            assert_eq!(*depth, expected, "{backbone:?}: {}", slot.name);
        }
        compared += 1;
    }
    assert!(compared > 40, "{compared} networks");
}

/// Every tensor's bytes, by name.
fn tensors(network: &Network) -> BTreeMap<String, Vec<u8>> {
    let bytes = weights::save(network, BTreeMap::new()).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect()
}

fn one_step(network: Network) -> Network {
    let device = Device::flex().autodiff();
    let input = images(zoo::image("t", [2, 3, 32, 32]), [2, 3, 32, 32], &device);
    let loss = network.forward(input, Mode::Train, None).powf_scalar(2.0).mean();
    let gradients = GradientsParams::from_grads(loss.backward(), &network);
    SgdConfig::new().init().step(0.1, network, gradients)
}

/// Names that a step changed.
fn changed(before: &BTreeMap<String, Vec<u8>>, network: &Network) -> Vec<String> {
    let after = tensors(network);
    before.iter().filter(|(name, bytes)| after[*name] != **bytes).map(|(name, _)| name.clone()).collect()
}

#[test]
fn frozen_tensors_and_statistics_stay_as_they_are() {
    for model in ["resnet18", "efficientnet_lite0"] {
        let model = Backbone::named(model).unwrap();
        let device = Device::flex().autodiff();
        let network = Network::new(model, 3, 5, &device).freeze(Frozen::Backbone);
        let (before, head) = (tensors(&network), network.head_name());
        let network = one_step(network);
        assert_eq!(changed(&before, &network), [format!("{head}.bias"), format!("{head}.weight")]);

        let network = one_step(network.freeze(Frozen::Nothing));
        let moved = changed(&before, &network);
        assert!(moved.iter().any(|name| name == "bn1.running_var"), "thawed batch norms follow the batches again");
        assert!(moved.iter().any(|name| name == "bn2.weight" || name == "layer4.1.bn2.weight"));

        let network = network.freeze(Frozen::Statistics);
        let before = tensors(&network);
        let moved = changed(&before, &one_step(network.clone()));
        // In a deep net of random weights nothing of the gradient is left at the first layers without batch statistics.
        let last = |name: &String| name == "bn2.weight" || name == "layer4.1.bn2.weight";
        assert!(moved.iter().any(last), "{model:?}: its weight learns; {moved:?}");
        assert!(!moved.iter().any(|name| name.contains("running_")), "its statistics stay");
        let network = network.freeze(Frozen::Nothing);

        let order: Vec<_> = slots(&network).into_iter().filter(|slot| !slot.in_head).collect();
        let parameters: Vec<&str> =
            order.iter().filter(|slot| slot.kind == Kind::Parameter).map(|slot| slot.name.as_str()).collect();
        let frozen = &parameters[..parameters.len() / 2];
        let network = network.freeze(Frozen::First(0.5));
        let before = tensors(&network);
        let moved = changed(&before, &one_step(network));
        for name in frozen {
            assert!(!moved.iter().any(|other| other == name), "{name} is frozen");
            let layer = name.rsplit_once('.').unwrap().0;
            assert!(!moved.iter().any(|other| *other == format!("{layer}.running_mean")), "{layer} is frozen");
        }
        assert!(moved.iter().any(|name| name == parameters.last().unwrap()), "the rest learns");
        assert!(moved.iter().any(|name| name.ends_with("running_mean")), "the rest follows the batches");
    }
}

/// Values that are no identity, so that a branch left out is seen.
fn formula(name: &str) -> Network {
    let network = Network::new(Backbone::named(name).unwrap(), 3, 0, &Device::flex());
    let bytes = zoo::file(&zoo::fill(&network, &BTreeMap::new()));
    weights::load(network, &bytes, weights::Head::Keep).unwrap().0
}

#[test]
fn drop_path_leaves_out_a_branch_of_an_image() {
    let (network, device, shape) = (formula("resnet18"), Device::flex(), [2, 3, 32, 32]);
    let input = images(zoo::image("t", shape), shape, &device);
    let features = |mask: Vec<f32>| {
        let paths = Some(Tensor::from_data(TensorData::new(mask, [8, 2]), &device));
        values(network.features(input.clone(), Pass { paths, ..Mode::Eval.into() }))
    };
    let plain = values(network.features(input.clone(), Mode::Eval));
    assert_eq!(features(vec![1.0; 16]), plain);
    // The sixth branch, of the second image.
    let mut mask = vec![1.0; 16];
    mask[5 * 2 + 1] = 0.0;
    let dropped = features(mask);
    assert_eq!(dropped[..512], plain[..512]);
    assert_ne!(dropped[512..], plain[512..]);
    // timm: 0 to the rate in even steps; a step short of it in EfficientNets.
    assert_eq!(network.drop_rates(0.7).len(), 8);
    assert!((network.drop_rates(0.7)[7] - 0.7).abs() < 1e-12 && (network.drop_rates(0.7)[1] - 0.1).abs() < 1e-12);
    let lite = Network::new(Backbone::named("efficientnet_lite0").unwrap(), 3, 0, &device);
    assert!((lite.drop_rates(0.16)[15] - 0.15).abs() < 1e-12);
}

/// A perceptron's tensors are called as timm's `layers.Mlp` calls them, under the head's name.
#[test]
fn a_head_of_two_layers_is_saved_and_loaded() {
    let (device, shape) = (Device::flex(), [2, 3, 32, 32]);
    for (name, prefix) in [("resnet18", "fc"), ("resnet50v2", "head.fc")] {
        let backbone = Backbone::named(name).unwrap();
        let head = Head { dropout: 0.0, hidden: Some(5), pool: Some(Pooling::Generalised(3.0)) };
        let network = Network::headed(backbone, head, 3, [3, 32, 32], 7, &device);
        let named: BTreeMap<String, Vec<usize>> =
            slots(&network).into_iter().filter(|slot| slot.in_head).map(|slot| (slot.name, slot.shape)).collect();
        let features = network.feature_count();
        let expected = [
            (format!("{prefix}.fc1.bias"), vec![5]),
            (format!("{prefix}.fc1.weight"), vec![5, features]),
            (format!("{prefix}.fc2.bias"), vec![3]),
            (format!("{prefix}.fc2.weight"), vec![3, 5]),
        ];
        assert_eq!(named, expected.into_iter().collect(), "{name}");
        let bytes = weights::save(&network, BTreeMap::new()).unwrap();
        let other = Network::headed(backbone, head, 3, [3, 32, 32], 8, &device);
        let (loaded, report) = weights::load(other, &bytes, weights::Head::Keep).unwrap();
        assert_eq!(report.head_classes, Some(3));
        let logits = |network: &Network| {
            values(network.forward(images(zoo::image("t", shape), shape, &device), Mode::Eval, None))
        };
        assert_eq!(logits(&network), logits(&loaded), "{name}");
        // Another pool is another network.
        let mean = Network::headed(backbone, Head { pool: None, ..head }, 3, [3, 32, 32], 7, &device);
        assert_ne!(logits(&network), logits(&mean), "{name}");
    }
}

/// Every tensor before and after a step.
type BeforeAndAfter = (BTreeMap<String, Vec<u8>>, BTreeMap<String, Vec<u8>>);

/// One step of plain gradient descent moves each layer by `decay` times less than the layer after it would.
#[test]
fn layer_decay_scales_the_rate_of_each_layer() {
    let device = Device::flex().autodiff();
    let step = |decay: f64| {
        let network = Network::new(Backbone::named("resnet18").unwrap(), 3, 5, &device);
        let input = images(zoo::image("t", [2, 3, 32, 32]), [2, 3, 32, 32], &device);
        let loss = network.forward(input, Mode::Eval, None).powf_scalar(2.0).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        let rule = Optimizer::Sgd { lr: 1.0, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let scales = pipe::nn::rate_scales(&network, decay);
        let before = tensors(&network);
        let mut optimizer = TorchOptimizer::new(rule, None).with_rate_scales(scales);
        (before, tensors(&optimizer.step(1e-2, network, gradients)))
    };
    let moved = |(before, after): &BeforeAndAfter, name: &str| {
        let floats = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<_>>();
        let (before, after) = (floats(&before[name]), floats(&after[name]));
        before.iter().zip(after).map(|(a, b)| f64::from(b - a).powi(2)).sum::<f64>().sqrt()
    };
    let (whole, halved) = (step(1.0), step(0.5));
    // timm's depths: the stem 0, eight blocks 1 to 8, the head 9.
    for (name, depth) in [("fc.weight", 9), ("layer4.1.bn2.bias", 8), ("layer3.0.downsample.1.bias", 5)] {
        let ratio = moved(&halved, name) / moved(&whole, name);
        let expected = 0.5f64.powi(9 - depth);
        assert!((ratio / expected - 1.0).abs() < 1e-2, "{name}: {ratio} instead of {expected}");
    }
}

/// The Keras libraries' forms differ where they should: another result of the same weights.
#[test]
fn flavours_of_a_network_differ() {
    let device = Device::flex();
    for backbone in Backbone::all().filter(|backbone| backbone.card().keras.is_some()) {
        let keras = Network::keras(backbone, 3, 0, &device).unwrap();
        let (card, slots) = (backbone.card(), slots(&keras));
        assert_eq!(keras.flavour(), Flavour::Keras);
        let learn: usize = slots
            .iter()
            .filter(|slot| slot.kind == Kind::Parameter && !slot.in_head)
            .map(|slot| slot.shape.iter().product::<usize>())
            .sum();
        // Counts of the Keras models themselves, with 1000 classes.
        let head = (card.features as usize + 1) * 1000;
        let expected = match card.name {
            "resnet18" => 11_691_947,
            "resnet34" => 21_800_107,
            "resnet50" => 25_549_483,
            "resnet101" => 44_541_611,
            "resnet152" => 60_185_259,
            "resnext50" => 25_028_907,
            "seresnet18" => 11_781_027,
            "seresnet34" => 21_961_303,
            _ => continue,
        };
        assert_eq!(learn + head, expected, "{}", card.name);
    }
}

#[test]
fn a_copy_keeps_its_statistics_while_the_original_trains_on() {
    let network = Network::new(Backbone::named("resnet18").unwrap(), 3, 5, &Device::flex().autodiff());
    let copy = network.clone();
    let before = tensors(&copy);
    let network = one_step(network);
    assert!(changed(&before, &network).iter().any(|name| name == "bn1.running_mean"));
    assert_eq!(changed(&before, &copy), Vec::<String>::new());
    let valid = network.valid();
    assert_eq!(changed(&tensors(&network), &valid), Vec::<String>::new());
    let evaluated = valid.forward(Tensor::ones([1, 3, 32, 32], &Device::flex()), Mode::Eval, None);
    assert!(evaluated.into_data().try_to_vec::<f32>().unwrap().iter().all(|value| value.is_finite()));
}
