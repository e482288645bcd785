//! Files of the Keras libraries: read, turned into networks, and equal to what the libraries make of an image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use hdf5_pure::{AttrValue, FileBuilder};
use pipe::nn::weights::{Head, WeightsError, import, load};
use pipe::nn::{Flavour, Mode, Network};
use pipe::study::Backbone;
use serde::Deserialize;

use crate::parity::zoo;

/// Largest error relative to the largest value.
const GATE: f32 = 2e-5;

/// A layer's name, and its tensors' names and shapes in Keras's layout.
type Layout = (String, Vec<(String, Vec<usize>)>);
/// A layer's name, and its tensors with their values.
type Filled = (String, Vec<(String, Vec<usize>, Vec<f32>)>);

/// What `tests/fixtures/weights/keras_models.py` writes of a network.
#[derive(Deserialize)]
struct Expected {
    /// Shape of the image "x".
    image: [usize; 4],
    features: Vec<f32>,
    logits: Vec<f32>,
    /// Layers with their tensors' names and shapes in Keras's layout.
    #[serde(default)]
    layers: Vec<Layout>,
    /// Powers of two of the batch norms' variances.
    #[serde(default)]
    powers: BTreeMap<String, i32>,
}

impl Expected {
    fn read(path: &Path) -> Self {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// Errors of features and of logits.
    fn errors(&self, network: &Network) -> [f32; 2] {
        let pixels = TensorData::new(zoo::image("x", self.image), self.image);
        let features = network.features(Tensor::from_data(pixels, &Device::flex()), Mode::Eval);
        let logits = network.classify(features.clone(), None);
        [(features, &self.features), (logits, &self.logits)].map(|(ours, theirs)| {
            let ours: Vec<f32> = ours.into_data().try_to_vec().unwrap();
            assert_eq!(ours.len(), theirs.len());
            let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            ours.iter().zip(theirs).fold(0.0_f32, |error, (a, b)| error.max((a - b).abs())) / largest
        })
    }
}

fn loaded(backbone: Backbone, bytes: &[u8]) -> Network {
    let network = Network::new(backbone, 10, 0, &Device::flex());
    load(network, bytes, Head::Keep).unwrap().0
}

/// Every file of a folder that `keras_models.py` made.
#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn check_all(folder: &Path) -> usize {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|end| end == "h5" || end == "npz"));
    names.sort();
    println!("| network | features | logits |\n|---|---|---|");
    for path in &names {
        let expected = Expected::read(&path.with_extension("json"));
        let made =
            import(&std::fs::read(path).unwrap(), None).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(path.file_stem().unwrap().to_string_lossy(), made.backbone.name());
        assert_eq!(made.report.head_classes, Some(10));
        let [features, logits] = expected.errors(&loaded(made.backbone, &made.bytes));
        println!("| {} | {features:.1e} | {logits:.1e} |", made.backbone.name());
        assert!(features <= GATE && logits <= GATE, "{}: {features} {logits}", path.display());
    }
    names.len()
}

/// Against the libraries themselves: `PIPE_PYTHON=python cargo test --test it keras_libraries`, where that Python has
/// what `tests/fixtures/weights/keras_models.py` asks for; `PIPE_KERAS_FILES` names a folder that it has filled before.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn keras_libraries_own_files_give_what_the_libraries_give() {
    if let Some(folder) = std::env::var_os("PIPE_KERAS_FILES") {
        assert!(check_all(Path::new(&folder)) > 0);
        return;
    }
    let Some(python) = std::env::var_os("PIPE_PYTHON") else {
        eprintln!("skipped: PIPE_PYTHON names no Python with the Keras libraries");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = fixture("keras_models.py");
    assert!(std::process::Command::new(python).arg(script).arg(folder.path()).status().unwrap().success());
    assert!(check_all(folder.path()) >= 35);
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)
}

/// The layers of the stored layout with formula weights, as Keras would have had them.
fn layers(expected: &Expected) -> Vec<Filled> {
    let of = |layer: &str, leaf: &str, shape: &[usize]| -> Vec<f32> {
        let power = 2f64.powi(expected.powers.get(layer).copied().unwrap_or(0));
        let fan: usize =
            if leaf == "depthwise_kernel" { shape[0] * shape[1] } else { shape.iter().rev().skip(1).product() };
        let gain = if shape.len() == 2 { 1.0 } else { 2.0 };
        let (times, plus) = match leaf {
            "moving_mean" => (0.25 * power.sqrt(), 0.0),
            "moving_variance" => (0.5 * power, power),
            "gamma" => (0.5, 1.0),
            "bias" | "beta" => (0.25, 0.0),
            _ => ((3.0 * gain / fan as f64).sqrt(), 0.0),
        };
        let (seed, count) = (zoo::seed(&format!("{layer}/{leaf}")), shape.iter().product::<usize>() as u64);
        #[expect(clippy::cast_possible_truncation, reason = "the formula says so")]
        (0..count).map(|index| (zoo::s(seed, index) * times + plus) as f32).collect()
    };
    let layer = |(layer, tensors): &Layout| {
        let tensors = tensors.iter().map(|(leaf, shape)| (leaf.clone(), shape.clone(), of(layer, leaf, shape)));
        (layer.clone(), tensors.collect())
    };
    expected.layers.iter().map(layer).collect()
}

/// A file as `save_weights` writes it.
fn file(layers: &[Filled]) -> Vec<u8> {
    let mut builder = FileBuilder::new();
    for (layer, tensors) in layers {
        let mut group = builder.create_group(layer);
        let names = tensors.iter().map(|(leaf, _, _)| format!("{layer}/{leaf}:0")).collect();
        group.set_attr("weight_names", AttrValue::AsciiStringArray(names));
        let mut inner = group.create_group(layer);
        for (leaf, shape, values) in tensors {
            let sides: Vec<u64> = shape.iter().map(|side| *side as u64).collect();
            inner.create_dataset(&format!("{leaf}:0")).with_f32_data(values).with_shape(&sides);
        }
        let inner = inner.finish();
        group.add_group(inner);
        builder.add_group(group.finish());
    }
    builder.finish().unwrap()
}

/// MobileNet, whose features and logits Keras itself gave (`keras_models.py`).
#[test]
fn a_keras_file_gives_what_keras_gives_and_a_saved_network_keeps_the_form() {
    let expected = Expected::read(&fixture("keras.mobilenet.json"));
    let layers = layers(&expected);
    let made = import(&file(&layers), None).unwrap();
    assert_eq!((made.backbone.name(), made.report.head_classes), ("mobilenet", Some(10)));
    assert_eq!(made.report.metadata.get("topology").map(String::as_str), Some("keras"));
    assert_eq!(made.report.metadata.get("normalize").map(String::as_str), Some("half"));
    let network = loaded(made.backbone, &made.bytes);
    assert_eq!(network.flavour(), Flavour::Keras);
    let [features, logits] = expected.errors(&network);
    assert!(features <= GATE && logits <= GATE, "{features} {logits}");
    // What is saved of it is of that form again, and says so; without the note the results are others.
    let saved = pipe::nn::weights::save(&network, BTreeMap::new()).unwrap();
    let again = loaded(made.backbone, &saved);
    assert_eq!(again.flavour(), Flavour::Keras);
    assert_eq!(pipe::nn::weights::save(&again, BTreeMap::new()).unwrap(), saved);
    let note = b"\"topology\":\"keras\"";
    let at = saved.windows(note.len()).position(|part| part == note).unwrap();
    let mut other = saved;
    other[at..at + note.len()].copy_from_slice(b"\"topology\":\"_eras\"");
    let [features, _] = expected.errors(&loaded(made.backbone, &other));
    assert!(features > 100.0 * GATE, "{features}");
}

#[test]
fn keras_files_that_do_not_fit_are_refused_by_the_layer() {
    let layers = layers(&Expected::read(&fixture("keras.mobilenet.json")));
    let mobilenet = Backbone::named("mobilenet");
    // Another network's, without and with its name.
    let error = import(&file(&layers[..9]), None).unwrap_err();
    assert!(matches!(error, WeightsError::OtherModel { .. }), "{error}");
    let error = import(&file(&layers), Backbone::named("resnet18")).unwrap_err().to_string();
    assert!(error.contains("bn_data") && error.contains("unexpected: conv1"), "{error}");
    // A layer short, one too many, one of another shape, one with a value that is no number.
    let error = import(&file(&layers[1..]), mobilenet).unwrap_err().to_string();
    assert!(error.contains("1 missing: conv_stem"), "{error}");
    let mut more = layers.clone();
    more.push(("extra".to_owned(), vec![("kernel".to_owned(), vec![1, 2], vec![0.0; 2])]));
    let error = import(&file(&more), mobilenet).unwrap_err().to_string();
    assert!(error.contains("1 unexpected: extra"), "{error}");
    let mut wide = layers.clone();
    wide[0].1[0] = ("kernel".to_owned(), vec![3, 3, 3, 16], vec![0.0; 3 * 3 * 3 * 16]);
    let error = import(&file(&wide), mobilenet).unwrap_err().to_string();
    assert!(error.contains("conv_stem.weight: [3, 3, 3, 16] instead of [32, 3, 3, 3]"), "{error}");
    let mut broken = layers;
    broken[0].1[0].2[5] = f32::NAN;
    let error = import(&file(&broken), mobilenet).unwrap_err();
    assert_eq!(error, WeightsError::NotFinite { name: "conv_stem.weight".to_owned() });
    // Resnet v2 of Keras is another network than the one here.
    let error = import(&file(&broken), Backbone::named("resnet50v2")).unwrap_err().to_string();
    assert!(error.contains("fit no network here"), "{error}");
}
