//! What a run saves, as timm and the Hugging Face hub read it: `model.safetensors` and the `config.json` beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use pipe::check::{Overrides, check_source};
use pipe::host::MemHost;
use pipe::nn::weights::{Head, config, load, save};
use pipe::nn::{Mode, Network};
use pipe::study::Study;
use serde_json::{Value, json};

use crate::parity::{exponents, zoo};
use crate::run::finished;

fn study(backbone: &str, head: &str, side: u32) -> Study {
    let text = format!(
        "pipe \"2026\"\nstudy exported {{\n  data {{ table = phantoms(images = 60, patients = 40, seed = 3) }}\n  \
         images {{ prepare = [resize({side}, filter = bicubic, fit = crop), normalize(half)] }}\n  \
         model {{\n    backbone = {backbone}()\n    head = {head}\n  }}\n}}\n"
    );
    let outcome = check_source(&MemHost::new(), "t.pipe", &text, Path::new(""), &Overrides::default());
    let Some(checked) = outcome.checked else { panic!("{:?}\n{text}", outcome.problems) };
    checked.variants[0].study.clone()
}

fn classes() -> Vec<String> {
    ["normal", "bacteria", "a \"virus\""].map(str::to_owned).to_vec()
}

/// The study's network with formula weights.
fn network(study: &Study, keras: bool) -> Network {
    let (device, backbone) = (Device::flex(), study.model.backbone);
    let blank =
        if keras { Network::keras(backbone, 3, 0, &device).unwrap() } else { Network::of(study, 3, 0, &device) };
    let file = zoo::file(&zoo::fill(&blank, &exponents(backbone.card().timm)));
    if keras { blank } else { load(blank, &file, Head::Keep).unwrap().0 }
}

fn exported(study: &Study, network: &Network) -> (Vec<u8>, Value) {
    let notes =
        [("mean", "0.5 0.5 0.5"), ("std", "0.5 0.5 0.25")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let bytes = save(network, notes.into()).unwrap();
    let text = config(&bytes, study, &classes()).unwrap();
    (bytes, serde_json::from_str(&text).unwrap())
}

fn logits(network: &Network, side: usize) -> (Vec<f32>, Vec<f32>) {
    let pixels = zoo::image("x", [2, 3, side, side]);
    let images = Tensor::from_data(TensorData::new(pixels.clone(), [2, 3, side, side]), &Device::flex());
    (pixels, network.forward(images, Mode::Eval, None).into_data().try_to_vec().unwrap())
}

#[test]
fn a_run_leaves_what_the_hub_expects() {
    let text = fs::read(finished().folder.join("runs/tiny/models/fold-0/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&config["architecture"], &config["num_classes"]), (&json!("resnet18"), &json!(4)));
    assert_eq!(config["label_names"].as_array().unwrap().len(), 4);
    assert_eq!(config["model_args"], Value::Null);
    let input = &config["pretrained_cfg"];
    assert_eq!(input["input_size"], json!([3, 32, 32]));
    assert_eq!((&input["crop_mode"], &input["crop_pct"]), (&json!("squash"), &json!(1.0)));
    assert_eq!((&input["first_conv"], &input["classifier"]), (&json!("conv1"), &json!("fc")));
    // `normalize(train)`: the fold's own figures.
    let mean = input["mean"].as_array().unwrap();
    assert!(mean.len() == 3 && mean[0].as_f64().unwrap() > 0.0 && mean[0] == mean[2], "{mean:?}");
    assert_eq!(config["pipe"]["differs"], json!(["images are made grey, three equal channels"]));
}

#[test]
fn what_timm_cannot_build_has_no_name_of_timms() {
    for (backbone, head, keras, why) in [
        ("resnet18", "mlp(hidden = 5)", false, "model.fc = timm.layers.Mlp(512, 5,"),
        ("resnet18", "linear(pool = gem(3))", false, "pooled by gem(3)"),
        ("inceptionv3", "linear()", true, "as the Keras libraries build it"),
        ("nasnetmobile", "linear()", false, "timm has no such network"),
    ] {
        let study = study(backbone, head, 96);
        let (_, config) = exported(&study, &network(&study, keras));
        assert_eq!(config["architecture"], json!(format!("pipe:{backbone}")));
        let told = config["pipe"]["differs"].to_string();
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn timm_is_told_what_its_default_would_miss() {
    let study = study("vit_b32", "linear(pool = avg)", 64);
    let (bytes, config) = exported(&study, &Network::of(&study, 3, 0, &Device::flex()));
    assert_eq!(config["model_args"], json!({"img_size": 64, "global_pool": "avg", "fc_norm": false}));
    assert_eq!(
        (&config["architecture"], &config["pretrained_cfg"]["std"]),
        (&json!("vit_base_patch32_224"), &json!([0.5, 0.5, 0.25]))
    );
    assert_eq!(config["pipe"]["differs"], json!([]));
    let other = pipe::nn::weights::config(&bytes[..40], &study, &classes());
    assert!(other.is_err());
    let bare = save(&Network::of(&study, 3, 0, &Device::flex()), BTreeMap::new()).unwrap();
    assert!(pipe::nn::weights::config(&bare, &study, &classes()).unwrap_err().to_string().contains("its `mean`"));
}

/// Against timm itself: `PIPE_PYTHON=python cargo test --test it timm_loads`, where that Python has timm 1.0.16 or newer.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn timm_loads_what_a_run_saves() {
    let Some(python) = std::env::var_os("PIPE_PYTHON") else {
        eprintln!("skipped: PIPE_PYTHON names no Python with timm");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, network: &Network, side: usize, (model, config): (&[u8], &[u8])| {
        let at = folder.path().join(name);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("model.safetensors"), model).unwrap();
        fs::write(at.join("config.json"), config).unwrap();
        let (pixels, logits) = logits(network, side);
        let expected = json!({ "shape": [2, 3, side, side], "image": pixels, "logits": logits });
        fs::write(at.join("expected.json"), expected.to_string()).unwrap();
    };
    for (number, (backbone, head, side, keras)) in [
        ("resnet18", "linear()", 64, false),
        ("resnet18", "linear(pool = max)", 64, false),
        ("resnext50", "linear()", 64, false),
        ("resnet50v2", "linear()", 64, false),
        ("seresnet18", "linear()", 64, false),
        ("densenet121", "linear()", 64, false),
        ("mobilenetv2_035", "linear()", 64, false),
        ("efficientnet_b0", "linear()", 64, false),
        ("efficientnet_lite0", "linear(pool = max)", 64, false),
        ("inceptionv3", "linear()", 96, false),
        ("xception", "linear()", 96, false),
        ("vit_b32", "linear()", 64, false),
        ("vit_b32", "linear(pool = avg)", 96, false),
        ("vit_b32", "linear(pool = max)", 64, false),
        ("resnet18", "mlp(hidden = 5)", 64, false),
        ("resnet18", "linear(pool = gem(3))", 64, false),
        ("nasnetmobile", "linear()", 64, false),
        ("inceptionv3", "linear()", 96, true),
    ]
    .into_iter()
    .enumerate()
    {
        let study = study(backbone, head, side);
        let network = network(&study, keras);
        let (bytes, config) = exported(&study, &network);
        put(&format!("{number}-{backbone}"), &network, side as usize, (&bytes, config.to_string().as_bytes()));
    }
    // The fold of a whole run.
    let run = finished().folder.join("runs/tiny/models/fold-0");
    let [model, config] = ["model.safetensors", "config.json"].map(|name| fs::read(run.join(name)).unwrap());
    let blank = Network::new(pipe::study::Backbone::named("resnet18").unwrap(), 4, 0, &Device::flex());
    put("run", &load(blank, &model, Head::Keep).unwrap().0, 32, (&model, &config));

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights/load_in_timm.py");
    let folders = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    assert!(std::process::Command::new(python).arg(script).args(folders).status().unwrap().success());
}
