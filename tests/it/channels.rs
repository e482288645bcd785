//! Networks for images of one, two, four and five channels from weights for three, against timm's `in_chans`.

use std::collections::BTreeMap;

use burn::tensor::Device;
use pipe::nn::{Mode, Network, slots, weights};
use pipe::study::{Backbone, Head};
use serde::Deserialize;

use crate::parity::{Fixture, GATE, error, fixtures, images, values, zoo};

#[derive(Deserialize)]
struct Cases {
    size: [usize; 2],
    models: BTreeMap<String, Vec<Case>>,
}

#[derive(Deserialize)]
struct Case {
    channels: usize,
    /// timm's name of the first convolution.
    first: String,
    /// Its sum, its root mean square, and every 97th value.
    kernels: Vec<f32>,
    logits: Vec<f32>,
}

fn probe(kernels: &[f32]) -> Vec<f32> {
    let sum = |of: fn(f64) -> f64| kernels.iter().map(|value| of(f64::from(*value))).sum::<f64>();
    let figures = [sum(|value| value), (sum(|value| value * value) / kernels.len() as f64).sqrt()];
    #[expect(clippy::cast_possible_truncation, reason = "as the fixture is compared")]
    let figures = figures.map(|value| value as f32);
    figures.into_iter().chain(kernels.iter().copied().step_by(97).take(16)).collect()
}

/// A network for images of so many channels with the formula's weights for three.
fn network(model: &str, [channels, height, width]: [usize; 3]) -> Network {
    let (device, backbone) = (Device::flex(), Backbone::of_timm(model).unwrap());
    let exponents = Fixture::read(&fixtures().join(format!("{model}.safetensors"))).exponents();
    let three = Network::sized(backbone, 10, [height, width], 0, &device);
    let bytes = zoo::file(&zoo::fill(&three, &exponents));
    let network = Network::headed(backbone, Head::default(), 10, [channels, height, width], 0, &device);
    weights::load(network, &bytes, weights::Head::Keep).unwrap().0
}

fn logits(network: &Network, input: Vec<f32>, shape: [usize; 4]) -> Vec<f32> {
    values(network.forward(images(input, shape, &Device::flex()), Mode::Eval, None))
}

#[test]
fn channels_are_adapted_as_timm_does() {
    let text = std::fs::read_to_string(fixtures().join("channels.json")).unwrap();
    let Cases { size: [height, width], models } = serde_json::from_str(&text).unwrap();
    assert_eq!(models.len(), 3);
    for (model, cases) in models {
        for Case { channels, first, kernels, logits: expected } in cases {
            let network = network(&model, [channels, height, width]);
            let saved = weights::save(&network, BTreeMap::new()).unwrap();
            let file = safetensors::SafeTensors::deserialize(&saved).unwrap();
            let words = file.tensor(&first).unwrap().data().as_chunks().0;
            let adapted: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            let off = error(&first, &probe(&adapted), &kernels);
            assert!(off <= 1e-6, "{model}, {channels} channels: kernels differ by {off:e}");
            let shape = [2, channels, height, width];
            let off = error("logits", &logits(&network, zoo::image("x", shape), shape), &expected);
            assert!(off <= GATE, "{model}, {channels} channels: logits differ by {off:e}");
            // What it saves is for as many channels, and fits again as it is; a table of positions only at the same size.
            if !model.starts_with("vit") {
                let (again, report) = weights::verify(&saved, None).unwrap();
                assert_eq!((again.card().timm, report.head_classes), (model.as_str(), Some(10)));
            }
        }
    }
}

/// Where the three channels were normalised alike, one is as good as the same three times.
#[test]
fn channels_grey_images_give_the_same_in_one_as_in_three() {
    let (model, [height, width]) = ("tf_efficientnet_lite0", [64, 64]);
    let grey = zoo::image("grey", [1, 1, height, width]);
    let one = logits(&network(model, [1, height, width]), grey.clone(), [1, 1, height, width]);
    let three = logits(&network(model, [3, height, width]), grey.repeat(3), [1, 3, height, width]);
    let off = error("logits", &one, &three);
    assert!(off <= GATE, "they differ by {off:e}");
}

/// Only the first convolution of a network depends on the channels; nothing is allocated for it.
#[test]
fn channels_change_one_tensor_of_every_network() {
    for backbone in Backbone::all() {
        let card = backbone.card();
        let (side, device) = (card.input.side as usize, Device::flex());
        let of = |channels| slots(&Network::headed(backbone, Head::default(), 10, [channels, side, side], 0, &device));
        let (three, one) = (of(3), of(1));
        assert_eq!(three.len(), one.len());
        let differ: Vec<_> = three.iter().zip(&one).filter(|(three, one)| three != one).collect();
        let [(three, one)] = differ.as_slice() else { panic!("{}: {differ:?}", card.name) };
        assert_eq!((three.name.as_str(), three.shape[1], one.shape[1]), (one.name.as_str(), 3, 1), "{}", card.name);
    }
}

/// Kernels of another convolution are never taken for those of the first.
#[test]
fn channels_of_any_other_tensor_must_be_its_own() {
    let (device, backbone) = (Device::flex(), Backbone::named("efficientnet_lite0").unwrap());
    let three = Network::new(backbone, 3, 0, &device);
    let mut tensors = zoo::fill(&three, &BTreeMap::new());
    let depthwise = tensors.iter_mut().find(|(name, ..)| name == "blocks.0.0.conv_dw.weight").unwrap();
    assert_eq!(depthwise.1, [32, 1, 3, 3]);
    depthwise.1[1] = 3;
    depthwise.2 = depthwise.2.repeat(3);
    let one = Network::headed(backbone, Head::default(), 3, [1, 32, 32], 0, &device);
    let refused = weights::load(one, &zoo::file(&tensors), weights::Head::Keep).unwrap_err().to_string();
    assert!(refused.contains("blocks.0.0.conv_dw.weight"), "{refused}");
}
