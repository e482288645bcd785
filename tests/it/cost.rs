//! What a plan says of time and memory: counts from the plan, seconds and bytes from what is known of the machine.

use std::path::Path;

use pipe::check::{Overrides, check_source};
use pipe::diag::Problems;
use pipe::host::MemHost;
use pipe::plan::{Options, Plan, Rate, Rates, plan};
use pipe::study::{Backbone, Weights};

#[cfg(feature = "run")]
use crate::cli::{TINY, command, pipe, tiny};

const HEAD: &str = "pipe \"2026\"\nstudy s {\n  data { table = phantoms(images = 60, patients = 30, seed = 1) }\n  split {\n    cv = stratified_group_kfold(3)\n    validation = 0%\n  }\n";

fn planned(rest: &str) -> Plan {
    let (host, text) = (MemHost::new(), format!("{HEAD}{rest}}}\n"));
    let outcome = check_source(&host, "t.pipe", &text, Path::new(""), &Overrides::default());
    let told: Vec<_> = outcome.problems.iter().map(|problem| problem.message.clone()).collect();
    let Some(checked) = outcome.checked else { panic!("{told:?}\n{text}") };
    let digest = |weights: &Weights| (*weights != Weights::None).then(|| "digest".to_owned());
    let weights = checked.variants.iter().map(|variant| digest(&variant.study.model.weights)).collect();
    plan(&checked, outcome.datasets, &host, None, &Options { weights, ..Options::default() }).unwrap()
}

/// A machine that takes round times for these networks at 32 pixels and for every data set.
fn machine(plan: &Plan, networks: &[&'static str]) -> Rates {
    let rate = Rate {
        train: 0.5,
        infer: 0.25,
        head_step: 0.125,
        fixed_bytes: 1024.0 * 1_048_576.0,
        image_bytes: 32.0 * 1_048_576.0,
    };
    Rates {
        networks: networks.iter().map(|name| ((*name, 32), rate)).collect(),
        prepare: plan.unprepared().map(|(key, _)| (key.clone(), 2.0)).collect(),
        threads: 2,
        memory: Some(4 << 30),
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

const PREPARE: &str = "  images { prepare = [grayscale(), resize(32), normalize(half)] }\n";

#[test]
fn cost_counts_what_a_run_does() {
    let plan = planned(&format!(
        "{PREPARE}  model {{ backbone = resnet18() }}\n  train {{\n    epochs = 2\n    batch = 16\n  }}\n"
    ));
    let text = plan.estimate(&machine(&plan, &["resnet18"])).to_text();
    // 60 images of 2 s; three folds of 40 images, each seen twice: three steps an epoch; every image scored once
    let expected = [
        "",
        "time and memory",
        "decode and prepare 60 images 2.0 min",
        "train 3 trainings 2.0 min 18 steps",
        "predict 60 images 15 s",
        "together about 4.2 min (±30 %)",
        "memory about 1.5 GiB of 4.0 GiB, for a training step of 16 images",
        "by what this machine was measured to do",
    ];
    assert_eq!(lines(&text), expected);
}

#[test]
fn cost_of_a_frozen_backbone_is_once_an_image() {
    let model = "  model {\n    backbone = resnet18(weights = imagenet)\n    freeze = FREEZE\n  }\n  train {\n    epochs = 8\n    batch = 20\n  }\n";
    let of = |freeze: &str| {
        let plan = planned(&format!("{PREPARE}{}", model.replace("FREEZE", freeze)));
        lines(&plan.estimate(&machine(&plan, &["resnet18"])).to_text())
    };
    let frozen = of("all");
    // three folds, eight epochs, two steps of the head
    for line in ["frozen features 60 images 15 s", "train 3 trainings 6 s 48 steps", "predict 60 images 15 s"] {
        assert!(frozen.contains(&line.to_owned()), "{frozen:?}");
    }
    assert!(!frozen.iter().any(|line| line.starts_with("memory")), "no step through the network: {frozen:?}");
    let at_first = of("backbone(for = 6epochs)");
    // three folds: six epochs of two steps of the head, two of 40 images
    assert!(at_first.contains(&"train 3 trainings 2.1 min 48 steps".to_owned()), "{at_first:?}");
}

#[test]
fn cost_is_rough_where_something_was_not_measured() {
    let plan = planned(&format!("{PREPARE}  vary model.backbone = [resnet18(), resnet34()]\n"));
    let all = plan.estimate(&machine(&plan, &["resnet18", "resnet34"])).to_text();
    assert!(all.contains("(±30 %)") && all.contains("measured"), "{all}");
    let one = plan.estimate(&machine(&plan, &["resnet18"])).to_text();
    assert!(one.contains("(rough)") && one.contains("--measure"), "{one}");
}

fn told(problems: &Problems) -> Vec<String> {
    problems.iter().map(|p| format!("{} {} | {}", p.code.id(), p.message, p.help.clone().unwrap_or_default())).collect()
}

#[test]
fn cost_refuses_a_batch_that_cannot_fit_and_names_one_that_does() {
    let train = |batch: u32, more: &str| {
        planned(&format!("{PREPARE}  model {{ backbone = resnet18() }}\n  train {{\n    batch = {batch}\n{more}  }}\n"))
    };
    // 1 GiB and 32 MiB an image: 96 fit into 4 GiB, 83 with a tenth to spare
    let of = |plan: &Plan| told(&plan.too_large(&machine(plan, &["resnet18"])));
    assert!(of(&train(96, "")).is_empty());
    assert_eq!(
        of(&train(128, "    accumulate = 3\n")),
        ["E0801 a batch of 128 images of 32 pixels needs about 5.0 GiB, this machine has 4.0 GiB | \
          set  batch = 64  and  accumulate = 6  in `train`: the same step, and it fits"]
    );
    let plan = train(128, "");
    let mut small = machine(&plan, &["resnet18"]);
    small.memory = Some(1 << 29);
    assert!(told(&plan.too_large(&small))[0].ends_with("a smaller backbone: not one image fits"));
    small.memory = None;
    assert!(plan.too_large(&small).is_empty(), "nothing is known");
    // what is rough is believed by half
    let card = Backbone::named("resnet18").unwrap();
    let rough = Rate::rough(card, 32, 2);
    let needed = rough.fixed_bytes + 128.0 * rough.image_bytes;
    for (share, refused) in [(0.45, true), (0.55, false)] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred megabytes")]
        let memory = Some((needed * share) as u64);
        let rates = Rates { threads: 2, memory, ..Rates::default() };
        assert_eq!(plan.too_large(&rates).has_errors(), refused, "{share}");
    }
}

#[test]
fn cost_of_a_large_grid_is_told_at_its_vary() {
    let grid = |seeds: u32| {
        planned(&format!(
            "{PREPARE}  model {{ backbone = resnet18() }}\n  vary train.epochs = [1, 2]\n  vary seed = 1..={seeds}\n"
        ))
    };
    let of = |plan: &Plan, rates: &Rates| {
        let large = plan.large(&plan.estimate(rates));
        (told(&large), large.iter().map(|problem| problem.labels.len()).collect::<Vec<_>>())
    };
    let plan = grid(2);
    let mut rates = machine(&plan, &["resnet18"]);
    assert!(of(&plan, &rates).0.is_empty());
    // twelve trainings of 40 images, one or two epochs
    rates.networks.values_mut().for_each(|rate| rate.train = 360.0);
    let (words, places) = of(&plan, &rates);
    assert_eq!(words.len(), 1);
    assert!(
        words[0].starts_with("W0702 this grid trains 12 networks, about 3.0 days (±30 %): 2 x 2 = 4 variants,"),
        "{words:?}"
    );
    assert_eq!(places, [2], "a label for each vary");
    let plan = grid(20);
    let rates = machine(&plan, &["resnet18"]);
    assert!(
        of(&plan, &rates).0[0].starts_with("W0702 this grid trains 120 networks, about 72 min (±30 %): 2 x 20"),
        "{:?}",
        of(&plan, &rates)
    );
}

#[test]
fn cost_follows_the_size_of_the_network() {
    let rough = |name: &str, side, threads| Rate::rough(Backbone::named(name).unwrap(), side, threads);
    let (small, large) = (rough("resnet18", 224, 2), rough("resnet50", 224, 2));
    assert!(
        small.train < large.train && small.image_bytes < large.image_bytes && small.fixed_bytes < large.fixed_bytes
    );
    let twice = rough("resnet18", 448, 2);
    assert!(
        (twice.train / small.train - 4.0).abs() < 1e-9 && (twice.image_bytes / small.image_bytes - 4.0).abs() < 1e-9
    );
    assert!((small.train / rough("resnet18", 224, 4).train - 2.0).abs() < 1e-9);
    for backbone in Backbone::all() {
        let Rate { train, infer, image_bytes, .. } = Rate::rough(backbone, backbone.card().input.side, 1);
        assert!(train > infer && infer > 0.0 && image_bytes > 1e5, "{}", backbone.name());
    }
}

#[test]
#[cfg(feature = "run")]
fn what_was_measured_is_remembered_and_a_run_refuses_what_cannot_fit() {
    let folder = tiny();
    let plan = |more: &[&str]| {
        let mut command = command(folder.path(), &[&["plan", "tiny.pipe"], more].concat());
        crate::cli::Told::from(command.env("PIPE_CACHE", folder.path().join("cache")).output().unwrap())
    };
    assert!(plan(&[]).ends(0).out.contains("(rough)"));
    let measured = plan(&["--measure"]).ends(0).says("measuring resnet18 at 32 pixels").out;
    assert!(measured.contains("(±30 %)") && measured.contains("for a training step of 8 images"), "{measured}");
    assert_eq!(plan(&[]).ends(0).out, measured);
    pipe(folder.path(), &["plan", "tiny.pipe", "--measure"]).ends(3).says("`PIPE_CACHE` names one");
    let large = TINY.replace("resize(32)", "resize(4096)").replace("batch     = 8", "batch     = 8192");
    std::fs::write(folder.path().join("large.pipe"), large).unwrap();
    for verb in ["plan", "run"] {
        let told = pipe(folder.path(), &[verb, "large.pipe"]).ends(1).says("E0801").says("large.pipe:14:17");
        assert!(told.err.contains("a batch of 8192 images of 4096 pixels needs about"), "{}", told.err);
    }
}
