//! Weight files: round trips, what is refused and in which words, and where they are looked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, bf16, f16};
use pipe::nn::weights::{Head, WeightsError, import, load, lookup, save};
use pipe::nn::{Network, slots};
use pipe::study::{Backbone, Freeze, Head as StudyHead, Model, Weights};

use crate::parity::zoo;

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn network(backbone: Backbone, classes: usize) -> Network {
    Network::new(backbone, classes, 3, &Device::flex())
}

fn lite(classes: usize) -> Network {
    network(Backbone::named("efficientnet_lite0").unwrap(), classes)
}

/// Formula tensors for it.
fn tensors(network: &Network) -> Tensors {
    zoo::fill(network, &BTreeMap::new())
}

fn refusal(network: Network, bytes: &[u8], head: Head) -> WeightsError {
    load(network, bytes, head).map(|(_, report)| report).unwrap_err()
}

fn saved(network: &Network) -> Vec<u8> {
    save(network, BTreeMap::new()).unwrap()
}

#[test]
fn a_saved_network_loads_bit_for_bit_and_saves_to_the_same_bytes() {
    for backbone in [
        Backbone::named("resnet18").unwrap(),
        Backbone::named("resnet34").unwrap(),
        Backbone::named("efficientnet_lite0").unwrap(),
    ] {
        let notes = BTreeMap::from([("study".to_owned(), "x".to_owned()), ("a".to_owned(), "\"b\"".to_owned())]);
        let original = network(backbone, 3);
        let bytes = save(&original, notes.clone()).unwrap();
        let blank = Network::new(backbone, 3, 99, &Device::flex());
        assert_ne!(saved(&blank), saved(&original));
        let (again, report) = load(blank, &bytes, Head::Keep).unwrap();
        assert_eq!(save(&again, notes).unwrap(), bytes);
        assert_eq!((report.head_classes, report.head_loaded), (Some(3), true));
        assert_eq!(report.metadata.get("study").map(String::as_str), Some("x"));
        assert_eq!(report.metadata.get("format").map(String::as_str), Some("pt"));
    }
}

#[test]
fn a_saved_file_has_the_counters_that_torch_expects() {
    let bytes = saved(&network(Backbone::named("resnet18").unwrap(), 3));
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    // `parity` holds names and shapes to timm's; here it is what torch adds to each batch norm.
    let slots = slots(&network(Backbone::named("resnet18").unwrap(), 3));
    let mut expected: BTreeMap<String, Vec<usize>> = slots.into_iter().map(|slot| (slot.name, slot.shape)).collect();
    let norms: Vec<String> =
        expected.keys().filter_map(|name| name.strip_suffix("running_var")).map(str::to_owned).collect();
    assert_eq!(norms.len(), 20);
    expected.extend(norms.into_iter().map(|norm| (format!("{norm}num_batches_tracked"), Vec::new())));
    let ours: BTreeMap<String, Vec<usize>> =
        file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    assert_eq!(ours, expected);
    assert_eq!(file.tensor("bn1.num_batches_tracked").unwrap().dtype(), safetensors::Dtype::I64);
}

#[test]
fn first_weights_depend_on_seed_and_name_alone() {
    let draw = |seed| saved(&Network::new(Backbone::named("resnet18").unwrap(), 3, seed, &Device::flex()));
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let values = |network: &Network, name: &str| -> Vec<f64> {
        let bytes = saved(network);
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let words = file.tensor(name).unwrap().data().as_chunks::<4>().0;
        words.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect()
    };
    let eighteen = network(Backbone::named("resnet18").unwrap(), 3);
    let name = "layer1.0.conv1.weight";
    assert_eq!(values(&eighteen, name), values(&network(Backbone::named("resnet34").unwrap(), 3), name));
    #[expect(clippy::cast_precision_loss, reason = "counts")]
    let deviation = |values: &[f64]| (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
    // He et al.: variance 2 / (9 * 64), and for a depthwise kernel 2 / 9.
    let dense = deviation(&values(&eighteen, name)) / (2.0_f64 / 576.0).sqrt();
    let depthwise = deviation(&values(&lite(3), "blocks.4.1.conv_dw.weight")) / (2.0_f64 / 25.0).sqrt();
    assert!((dense - 1.0).abs() < 0.02 && (depthwise - 1.0).abs() < 0.02, "{dense} {depthwise}");
    assert!(deviation(&values(&eighteen, "layer1.0.bn2.weight")) < f64::MIN_POSITIVE);
    let head = values(&eighteen, "fc.weight");
    let bound = 1.0 / 512f64.sqrt();
    assert!(head.iter().all(|v| v.abs() <= bound) && head.iter().any(|v| v.abs() > 0.9 * bound));
}

#[test]
fn a_head_of_other_classes_is_replaced_or_refused() {
    let many = tensors(&lite(1000));
    let bytes = zoo::file(&many);
    let (loaded, report) = load(lite(3), &bytes, Head::Replace).unwrap();
    assert_eq!((report.head_classes, report.head_loaded, report.loaded), (Some(1000), false, many.len() - 2));
    let before = saved(&lite(3));
    let (before, after) = (safetensors::SafeTensors::deserialize(&before).unwrap(), saved(&loaded));
    let after = safetensors::SafeTensors::deserialize(&after).unwrap();
    assert_eq!(before.tensor("classifier.weight").unwrap().data(), after.tensor("classifier.weight").unwrap().data());
    let error = refusal(lite(3), &bytes, Head::Keep).to_string();
    assert!(error.contains("classifier.weight: [1000, 1280] instead of [3, 1280]"), "{error}");
    // A file of features alone.
    let features: Tensors = many.into_iter().filter(|(name, _, _)| !name.starts_with("classifier")).collect();
    let (_, report) = load(lite(3), &zoo::file(&features), Head::Replace).unwrap();
    assert_eq!((report.head_classes, report.head_loaded), (None, false));
    let error = refusal(lite(3), &zoo::file(&features), Head::Keep).to_string();
    assert!(error.contains("2 missing: classifier.weight, classifier.bias"), "{error}");
}

#[test]
fn every_tensor_that_does_not_fit_is_named() {
    let mut all = tensors(&network(Backbone::named("resnet18").unwrap(), 3));
    all.retain(|(name, _, _)| !name.starts_with("layer1.1."));
    all.push(("layer1.1.conv1.weight".into(), vec![64, 64, 5, 5], vec![0.0; 64 * 64 * 25]));
    all.push(("extra.weight".into(), vec![1], vec![0.0]));
    let WeightsError::Mismatch { missing, unexpected, misshapen, .. } =
        refusal(network(Backbone::named("resnet18").unwrap(), 3), &zoo::file(&all), Head::Keep)
    else {
        panic!("a mismatch");
    };
    assert_eq!((missing.count, missing.first.len()), (9, 5));
    assert_eq!(missing.first[0], "layer1.1.bn1.weight");
    assert_eq!((unexpected.count, unexpected.first[0].as_str()), (1, "extra.weight"));
    assert_eq!(misshapen.first, ["layer1.1.conv1.weight: [64, 64, 5, 5] instead of [64, 64, 3, 3]"]);
}

#[test]
fn files_of_other_networks_are_called_by_their_name() {
    let told = |wanted: Backbone, tensors: &Tensors| {
        let error = refusal(network(wanted, 3), &zoo::file(tensors), Head::Replace);
        assert!(matches!(error, WeightsError::OtherModel { .. }), "{error}");
        error.to_string()
    };
    // All of a ResNet-18's names are in a ResNet-34's file, in the same shapes.
    let deep = tensors(&network(Backbone::named("resnet34").unwrap(), 3));
    assert!(told(Backbone::named("resnet18").unwrap(), &deep).contains("looks like resnet34"));
    assert!(told(Backbone::named("efficientnet_lite0").unwrap(), &deep).contains("looks like resnet34"));
    let lite0 = tensors(&lite(3));
    assert!(told(Backbone::named("resnet18").unwrap(), &lite0).contains("looks like tf_efficientnet_lite0"));
    let wrapped = lite0.into_iter().map(|(name, shape, values)| (format!("module.{name}"), shape, values)).collect();
    assert!(told(Backbone::named("efficientnet_lite0").unwrap(), &wrapped).contains("`module.` before every name"));
    let tokens = vec![("cls_token".to_owned(), vec![1, 1, 2], vec![0.0; 2])];
    assert!(told(Backbone::named("resnet18").unwrap(), &tokens).contains("vision transformer"));
    assert!(told(Backbone::named("resnet18").unwrap(), &Vec::new()).contains("an empty file"));
}

#[test]
fn half_precision_is_widened() {
    let network = network(Backbone::named("resnet18").unwrap(), 3);
    for (dtype, narrow) in [
        (safetensors::Dtype::F16, (|v| f16::from_f32(v).to_le_bytes()) as fn(f32) -> [u8; 2]),
        (safetensors::Dtype::BF16, |v| bf16::from_f32(v).to_le_bytes()),
    ] {
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors(&network)
            .into_iter()
            .map(|(name, shape, values)| (name, shape, values.into_iter().flat_map(narrow).collect()))
            .collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            (name.clone(), safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap())
        });
        let file = safetensors::serialize(views, None).unwrap();
        let (loaded, _) = load(network.clone(), &file, Head::Keep).unwrap();
        let back = saved(&loaded);
        let back = safetensors::SafeTensors::deserialize(&back).unwrap();
        for (name, _, narrowed) in &bytes {
            let words = back.tensor(name).unwrap().data().as_chunks::<4>().0;
            let again: Vec<u8> = words.iter().flat_map(|word| narrow(f32::from_le_bytes(*word))).collect();
            assert_eq!(again, *narrowed, "{name}");
        }
    }
}

/// A file with this header and so many bytes after it.
fn raw(header: &str, body: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(file.len() + body, 0);
    file
}

#[test]
fn unsound_files_are_refused() {
    let sound = saved(&network(Backbone::named("resnet18").unwrap(), 3));
    let mut cases = vec![
        ("empty", Vec::new()),
        ("short", vec![1, 2, 3]),
        ("no JSON", raw("not json", 0)),
        ("huge header", (u64::MAX / 2).to_le_bytes().to_vec()),
        ("header longer than the file", 4096_u64.to_le_bytes().to_vec()),
        ("longer", [sound.clone(), vec![0]].concat()),
        (
            "overlap",
            raw(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                12,
            ),
        ),
        (
            "hole",
            raw(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
                12,
            ),
        ),
        ("shape against offsets", raw(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8)),
        ("shape overflow", raw(r#"{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,8]}}"#, 8)),
        ("backwards", raw(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#, 8)),
        (
            "twice, same place",
            raw(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                4,
            ),
        ),
        (
            "twice, other place",
            raw(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
                8,
            ),
        ),
    ];
    for cut in [7, 8, 100, sound.len() / 2, sound.len() - 1] {
        cases.push(("truncated", sound[..cut].to_vec()));
    }
    for (what, bytes) in cases {
        let error = refusal(network(Backbone::named("resnet18").unwrap(), 3), &bytes, Head::Keep);
        assert!(matches!(error, WeightsError::NotSafetensors { .. }), "{what}: {error}");
    }
}

#[test]
fn pickles_are_refused_unopened() {
    for bytes in [b"PK\x03\x04archive/data.pkl".to_vec(), vec![0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20]] {
        let error = refusal(network(Backbone::named("resnet18").unwrap(), 3), &bytes, Head::Keep);
        assert_eq!(error, WeightsError::Pickle);
        assert!(error.help().unwrap().contains("pipe weights import"));
    }
}

#[test]
fn values_that_are_no_numbers_or_of_other_types_are_refused() {
    let mut bad = tensors(&network(Backbone::named("resnet18").unwrap(), 3));
    let (name, _, values) = &mut bad[7];
    values[0] = f32::NAN;
    let name = name.clone();
    let error = refusal(network(Backbone::named("resnet18").unwrap(), 3), &zoo::file(&bad), Head::Keep);
    assert_eq!(error, WeightsError::NotFinite { name });
    let doubles: Vec<(String, Vec<usize>, Vec<u8>)> = slots(&network(Backbone::named("resnet18").unwrap(), 3))
        .into_iter()
        .map(|slot| (slot.name, slot.shape.clone(), vec![0; 8 * slot.shape.iter().product::<usize>()]))
        .collect();
    let views = doubles.iter().map(|(name, shape, bytes)| {
        (name.clone(), safetensors::tensor::TensorView::new(safetensors::Dtype::F64, shape.clone(), bytes).unwrap())
    });
    let file = safetensors::serialize(views, None).unwrap();
    let error = refusal(network(Backbone::named("resnet18").unwrap(), 3), &file, Head::Keep);
    assert_eq!(error, WeightsError::DataType { name: "conv1.weight".into(), data_type: "F64".into() });
}

fn model(weights: Weights) -> Model {
    Model {
        backbone: Backbone::named("efficientnet_lite0").unwrap(),
        weights,
        head: StudyHead::default(),
        freeze: Freeze::None,
        drop_path: None,
        channels: None,
    }
}

fn named(path: &str, sha256: Option<&str>) -> Weights {
    Weights::File { path: path.into(), sha256: sha256.map(str::to_owned) }
}

#[test]
fn weights_are_looked_up_where_they_may_lie() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    std::fs::write(base.join("mine.safetensors"), b"abc").unwrap();
    let found = lookup(&model(named("mine.safetensors", None)), base, &[]).unwrap().unwrap();
    assert_eq!(found.path, base.join("mine.safetensors"));
    assert_eq!(found.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(lookup(&model(named("mine.safetensors", Some(&found.sha256))), base, &[]).is_ok());
    let other = "0".repeat(64);
    let error = lookup(&model(named("mine.safetensors", Some(&other))), base, &[]).unwrap_err();
    assert!(matches!(&error, WeightsError::Digest { wanted, got, .. } if *wanted == other && *got == found.sha256));
    assert_eq!(lookup(&model(Weights::None), base, &[]).unwrap(), None);
    let error = lookup(&model(named("absent", None)), base, &[]).unwrap_err();
    assert!(matches!(error, WeightsError::Unreadable { .. }), "{error}");
    let error = lookup(&model(named(".", None)), base, &[]).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");

    let (first, second) = (base.join("one"), base.join("two"));
    for path in [&first, &second] {
        std::fs::create_dir(path).unwrap();
    }
    let folders: Vec<PathBuf> = vec![first.clone(), second.clone()];
    std::fs::write(second.join("tf_efficientnet_lite0.safetensors"), b"plain").unwrap();
    let find = || std::fs::read(lookup(&model(Weights::Imagenet), base, &folders).unwrap().unwrap().path).unwrap();
    assert_eq!(find(), b"plain");
    std::fs::write(second.join("tf_efficientnet_lite0.in1k.safetensors"), b"tagged").unwrap();
    assert_eq!(find(), b"tagged");
    std::fs::write(first.join("tf_efficientnet_lite0.safetensors"), b"nearer").unwrap();
    assert_eq!(find(), b"nearer");
}

/// What `torch.save(state)` writes, with each tensor in a storage of its own.
fn torch_file(tensors: &Tensors) -> Vec<u8> {
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        pickle.extend(text.as_bytes());
    };
    let number = |pickle: &mut Vec<u8>, number: usize| {
        pickle.push(b'J');
        pickle.extend(i32::try_from(number).unwrap().to_le_bytes());
    };
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (key, (name, shape, values)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nFloatStorage\n");
        text(&mut pickle, &key.to_string());
        text(&mut pickle, "cpu");
        number(&mut pickle, values.len());
        pickle.extend(b"tQK\x00(");
        for side in shape {
            number(&mut pickle, *side);
        }
        pickle.extend(b"t(");
        for axis in 1..=shape.len() {
            number(&mut pickle, shape[axis..].iter().product());
        }
        pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(b"u.");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut put = |name: String, bytes: &[u8]| {
        zip.start_file(name, stored).unwrap();
        std::io::Write::write_all(&mut zip, bytes).unwrap();
    };
    put("archive/data.pkl".to_owned(), &pickle);
    for (key, (_, _, values)) in tensors.iter().enumerate() {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        put(format!("archive/data/{key}"), &bytes);
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_file_of_torch_becomes_the_network_that_it_holds() {
    let network = lite(5);
    let file = torch_file(&tensors(&network));
    let made = import(&file, None).unwrap();
    assert_eq!((made.backbone.name(), made.report.head_classes), ("efficientnet_lite0", Some(5)));
    let (loaded, report) = load(lite(5), &made.bytes, Head::Keep).unwrap();
    assert_eq!(report.metadata["architecture"], "tf_efficientnet_lite0");
    let (expected, _) = load(lite(5), &zoo::file(&tensors(&network)), Head::Keep).unwrap();
    assert_eq!(saved(&loaded), saved(&expected));
    // Saved from within `DataParallel`.
    let wrapped: Tensors =
        tensors(&network).into_iter().map(|(name, shape, values)| (format!("module.{name}"), shape, values)).collect();
    assert_eq!(import(&torch_file(&wrapped), None).unwrap().bytes, made.bytes);
    // Another network's, a tensor short, and another kind of file.
    let error = import(&file, Backbone::named("resnet18")).unwrap_err();
    assert!(error.to_string().contains("looks like tf_efficientnet_lite0"), "{error}");
    let mut short = tensors(&network);
    short.remove(4);
    let error = import(&torch_file(&short), Backbone::named("efficientnet_lite0")).unwrap_err();
    assert!(matches!(error, WeightsError::OtherModel { .. } | WeightsError::Mismatch { .. }), "{error}");
    let error = import(b"\x89HDF\r\n\x1a\n", None).unwrap_err();
    assert!(matches!(error, WeightsError::NotKeras { .. }), "{error}");
}

/// Against torch itself: `PIPE_PYTHON=python cargo test --test it torchs_own_files`, where that Python has timm.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn torchs_own_files_are_imported_bit_for_bit() {
    let Some(python) = std::env::var_os("PIPE_PYTHON") else {
        eprintln!("skipped: PIPE_PYTHON names no Python with timm");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights/save_models.py");
    assert!(std::process::Command::new(python).arg(script).arg(folder.path()).status().unwrap().success());
    let mut tried = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "pth") {
            let made = import(&std::fs::read(&path).unwrap(), None).unwrap();
            let model = made.backbone.card().timm;
            assert!(path.file_name().unwrap().to_string_lossy().starts_with(model), "{model}: {}", path.display());
            let expected = std::fs::read(folder.path().join(format!("{model}.safetensors"))).unwrap();
            let (ours, theirs) = (tensors_of(&made.bytes), tensors_of(&expected));
            assert!(ours == theirs, "{}", path.display());
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried} files");
}

/// Floating-point tensors of a safetensors file.
fn tensors_of(bytes: &[u8]) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let floats = file.iter().filter(|(_, view)| view.dtype() == safetensors::Dtype::F32);
    floats.map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), view.data().to_vec()))).collect()
}
