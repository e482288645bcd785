//! What ships runs: every example as it stands, every pipeline checked and planned.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::cli::{picture, pipe, root};

/// The examples, each run by a test of its name.
macro_rules! examples {
    ($($name:ident $options:expr),* $(,)?) => {
        const EXAMPLES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                run_example(stringify!($name), &$options);
            }
        )*
    };
}

examples! {
    augmentation [],
    folder_of_images [],
    holdout [],
    one_fold [],
    own_loss ["--set", "share=0.5"],
    shared_base ["--set", "patients=20"],
    thresholds [],
    unbalanced_classes [],
    values_file ["--params", "examples/values_file.yaml"],
}

#[test]
fn grid() {
    let folder = tempfile::tempdir().unwrap();
    let study = root().join("examples/grid.pipe").display().to_string();
    pipe(folder.path(), &["check", &study]).ends(0).says("no problems");
    let plan = pipe(folder.path(), &["plan", &study]).ends(0).out;
    assert!(plan.contains("4 variants"), "{plan}");
    #[cfg(feature = "run")]
    {
        let told = pipe(folder.path(), &["run", &study]).ends(0).out;
        assert!(told.contains("4 of 4 variants") && told.contains("on the hold-out"), "{told}");
        let record = fs::read(folder.path().join("runs/grid/record.json")).unwrap();
        let record: pipe::record::StudyRecord = serde_json::from_slice(&record).unwrap();
        assert_eq!(record.comparison.map(|of| (of.baseline, of.rows.len())), Some(("ce/slow".to_owned(), 3)));
    }
}

/// Does what the example's reader would do; without the engine only as far as the plan.
fn run_example(name: &str, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let study = root().join("examples").join(format!("{name}.pipe")).display().to_string();
    let options: Vec<String> = options
        .iter()
        .map(
            |option| {
                if option.contains('/') { root().join(option).display().to_string() } else { (*option).to_owned() }
            },
        )
        .collect();
    let with = |command: &'static str| -> Vec<&str> {
        [command, &study].into_iter().chain(options.iter().map(String::as_str)).collect()
    };
    pipe(folder.path(), &with("check")).ends(0).says("no problems");
    let plan = pipe(folder.path(), &with("plan")).ends(0).out;
    assert!(plan.starts_with(&format!("{name}  study ")), "{plan}");
    #[cfg(feature = "run")]
    {
        let told = pipe(folder.path(), &with("run")).ends(0);
        assert!(told.out.starts_with(&format!("{name}  ")), "{}", told.out);
        let run = folder.path().join("runs").join(name);
        let record: pipe::record::RunRecord =
            serde_json::from_slice(&fs::read(run.join("record.json")).unwrap()).unwrap();
        assert_eq!(record.synthetic, name != "folder_of_images");
        assert_eq!(record.warnings, Vec::<String>::new());
        assert_eq!(record.folds.len(), if name == "one_fold" { 1 } else { 2 });
        assert!(run.join("manifest.yaml").is_file() && run.join("report.html").is_file());
        if name == "shared_base" {
            assert!(fs::read_to_string(run.join("used/1-films.pipe")).unwrap().contains("study films"));
        }
        what_it_teaches(name, &record);
    }
}

/// What an example is there to show has happened.
#[cfg(feature = "run")]
fn what_it_teaches(name: &str, record: &pipe::record::RunRecord) {
    let holdout = record.split.holdout.as_ref().map_or(0, |portion| portion.images);
    match name {
        "holdout" => {
            assert!(holdout > 0 && record.split.roles.iter().all(|role| role.validation.images > 0));
            assert!(record.folds.iter().all(|fold| fold.epochs.iter().all(|epoch| epoch.validation.is_some())));
        }
        "thresholds" => {
            let [found, spared] = record.evaluation.operating.as_slice() else { panic!("{:?}", record.evaluation) };
            assert_eq!(found.point.to_string(), "sensitivity at a specificity of 0.9");
            assert!(found.mean.sensitivity.is_some() && spared.mean.specificity_interval.is_some());
            assert!(found.thresholds.iter().all(|fold| fold.thresholds.iter().all(Option::is_some)));
        }
        "shared_base" => {
            assert!(record.split.roles.iter().all(|role| role.union_patients == 20));
            assert_eq!((record.study.train.epochs, record.study.train.clip), (1, None));
            assert_eq!((record.study.images.augment.len(), record.study.train.loss.len()), (2, 2));
        }
        "one_fold" => assert_eq!(record.split.folds.len(), 4),
        "own_loss" => {
            let weights: Vec<f64> = record.study.train.loss.iter().map(|term| term.weight).collect();
            assert_eq!(weights, [0.5, 0.5]);
        }
        "unbalanced_classes" => {
            let normal = record.classes.iter().position(|class| class == "normal").unwrap();
            let images: u32 = record.split.folds.iter().map(|fold| fold.class_images[normal]).sum();
            assert!((1..=12).contains(&images), "{images}");
        }
        "folder_of_images" => assert_eq!(record.classes, ["disc", "square"]),
        "augmentation" => assert_eq!(record.study.images.augment.len(), 5),
        "values_file" => assert!(record.study.question.is_some()),
        other => panic!("nobody looks at what {other} teaches"),
    }
}

fn shipped(folder: &str) -> BTreeSet<String> {
    let names = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let studies = names.filter(|path| path.extension().is_some_and(|extension| extension == "pipe"));
    studies.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn none_is_left_out() {
    assert_eq!(shipped("examples"), EXAMPLES.iter().chain(&["grid"]).map(|name| (*name).to_owned()).collect());
    assert_eq!(shipped("pipelines"), ["chest_xray", "nih_resnet18", "quickstart"].map(str::to_owned).into());
}

fn pipeline(name: &str) -> String {
    root().join("pipelines").join(format!("{name}.pipe")).display().to_string()
}

#[test]
fn quickstart_is_planned() {
    let folder = tempfile::tempdir().unwrap();
    pipe(folder.path(), &["check", &pipeline("quickstart")]).ends(0).says("no problems");
    let plan = pipe(folder.path(), &["plan", &pipeline("quickstart")]).ends(0).out;
    assert!(plan.contains("4 classes") && plan.contains("train fold 0"), "{plan}");
}

/// What `benches/frozen.py` times.
#[test]
fn the_study_of_the_benchmarks_reads_well() {
    let folder = tempfile::tempdir().unwrap();
    let study = root().join("benches/frozen.pipe");
    fs::write(folder.path().join("labels.csv"), "image,label,patient\n").unwrap();
    let root = format!("root={}", folder.path().display());
    // nothing but that this table is empty
    let told = pipe(folder.path(), &["check", study.to_str().unwrap(), "--set", &root]).ends(1).says("E0212");
    assert!(told.err.contains("1 error"), "{}", told.err);
    pipe(folder.path(), &["fmt", "--check", study.to_str().unwrap()]).ends(0);
}

/// NIH's table in small: its columns, several findings in a cell, and images.
fn small_nih(folder: &Path) {
    fs::create_dir_all(folder.join("images")).unwrap();
    let mut table = String::from("Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender\n");
    for patient in 1..=36 {
        for visit in 0..2 {
            let finding = match (patient % 3, visit) {
                (0, 1) => "Effusion|Mass",
                (0, _) => "Effusion",
                (1, _) => "Mass",
                _ => "No Finding",
            };
            let name = format!("{patient:08}_{visit:03}.png");
            table += &format!("{name},{finding},{visit},{patient},{},F\n", 20 + patient);
            fs::write(folder.join("images").join(name), picture(2 * patient + visit)).unwrap();
        }
    }
    fs::write(folder.join("Data_Entry_2017.csv"), table).unwrap();
}

#[test]
fn the_nih_study_is_planned_on_a_small_table() {
    let folder = tempfile::tempdir().unwrap();
    small_nih(&folder.path().join("nih"));
    let study = pipeline("nih_resnet18");
    let set = ["--set", "root=nih"];
    pipe(folder.path(), &["check", &study, set[0], set[1]]).ends(0).says("60 images of 36 patients in 3 classes");
    #[cfg(feature = "run")]
    {
        // The first weights are part of the plan; any sound file of that name does here.
        pipe(folder.path(), &["plan", &study, set[0], set[1]])
            .ends(1)
            .says("E0402")
            .says("resnet18.tv_in1k.safetensors");
        let network = pipe::nn::Network::new(
            pipe::study::Backbone::named("resnet18").unwrap(),
            2,
            3,
            &burn::tensor::Device::flex(),
        );
        let weights = pipe::nn::weights::save(&network, std::collections::BTreeMap::new()).unwrap();
        fs::create_dir(folder.path().join("first")).unwrap();
        fs::write(folder.path().join("first/resnet18.tv_in1k.safetensors"), weights).unwrap();
    }
    let plan = pipe(folder.path(), &["plan", &study, set[0], set[1], "--weights", "first"]).ends(0).out;
    assert!(plan.contains("several labels") && plan.contains("train fold 4"), "{plan}");
    assert_eq!(plan.matches("no patient in two roles, 36 in all").count(), 5, "{plan}");
}

#[test]
fn the_chest_xray_study_is_planned_on_real_films() {
    let shared = root().join("../shared");
    let data = shared.join("data/cxr_kermany");
    if !data.is_dir() {
        println!("skipped: ../shared is not here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let set = format!("root={}", data.display());
    let weights = shared.join("weights").display().to_string();
    let study = pipeline("chest_xray");
    pipe(folder.path(), &["check", &study, "--set", &set]).ends(0).says("999 images");
    let plan = pipe(folder.path(), &["plan", &study, "--set", &set, "--weights", &weights]).ends(0).out;
    assert!(plan.contains("999 images") && plan.contains("3 classes"), "{plan}");
    assert!(plan.contains("frozen features"), "{plan}");
}
