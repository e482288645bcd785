//! The report of a whole record: both formats, hostile names, missing parts, same bytes.
//!
//! `fixtures/report/record.json` is what `sample` below makes; `PIPE_BLESS=1` writes it anew after a change of the record.
//! With `PIPE_REPORT_OUT=DIR` the pages of several records are written there, to be looked at in a browser.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use indexmap::IndexMap;
use pipe::data::FlowStep;
use pipe::draw::{DrawKey, Stage, Stream};
use pipe::record::*;
use pipe::report::{Format, render, render_study};
use pipe::study::*;

const NAMES: [&str; 20] = [
    "No Finding",
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural thickening",
    "Pneumonia",
    "Pneumothorax",
    "Tuberculosis",
    "Calcification",
    "Fracture",
    "Scoliosis",
    "Support devices with at least one central venous line of uncertain tip position",
];

fn study(folds: u32, epochs: u32) -> Study {
    let cross_entropy = LossTerm {
        weight: 0.6,
        kind: LossKind::Focal { gamma: 2.0, alpha: 0.25 },
        smoothing: 0.05,
        class_weights: ClassWeights::None,
    };
    let soft_f1 = LossTerm { weight: 0.4, kind: LossKind::SoftF1, smoothing: 0.0, class_weights: ClassWeights::None };
    Study {
        name: "nih_cxr".to_owned(),
        question: Some("Does a soft macro-F1 term lift rare findings on frontal chest X-rays?".to_owned()),
        seed: 20_260_817,
        data: Data {
            source: Source::Csv { path: PathBuf::from("/mnt/private/someone/nih/Data_Entry_2017.csv") },
            image: Some(ImageColumn {
                column: "Image Index".to_owned(),
                under: PathBuf::from("/mnt/private/someone/nih/images"),
            }),
            label: "Finding Labels".to_owned(),
            labels: Multiclass {
                split_on: Some("|".to_owned()),
                when_many: WhenMany::Drop,
                when_other: WhenOther::Error,
            },
            classes: None,
            merge: IndexMap::from([("Infection".to_owned(), vec!["Pneumonia".to_owned(), "Infiltration".to_owned()])]),
            group: Group::Column("Patient ID".to_owned()),
            keep: Some(Predicate::And(
                Box::new(Predicate::Within {
                    column: "Patient Age".to_owned(),
                    start: 16.0,
                    end: 100.0,
                    inclusive: true,
                }),
                Box::new(Predicate::OneOf {
                    column: "View Position".to_owned(),
                    values: vec![Scalar::Text("PA".to_owned()), Scalar::Text("AP".to_owned())],
                }),
            )),
            limit: Some(Limit::Each(500)),
            on_missing: OnMissing::Error,
        },
        split: Split {
            holdout: 0.2,
            holdout_rows: None,
            cv: CrossValidation { kind: FoldKind::StratifiedGroupKFold, folds, shuffle: true, seed: None },
            validation: 0.1,
            run: vec![],
        },
        images: Images {
            prepare: vec![
                Prepare::Grayscale {},
                Prepare::Clahe { clip: 2.0, tiles: 8 },
                Prepare::Resize { side: 224, filter: Filter::Lanczos, fit: Fit::Pad },
            ],
            normalize: Normalize::Imagenet,
            augment: vec![Augment::Flip { horizontal: true, p: 0.5 }, Augment::Rotate { degrees: 10.0, p: 0.3 }],
        },
        model: Model {
            backbone: Backbone::named("efficientnet_lite0").unwrap(),
            weights: Weights::Imagenet,
            head: Head { dropout: 0.2, ..Head::default() },
            freeze: Freeze::BackboneFor(2),
            drop_path: None,
            channels: None,
        },
        train: Train {
            loss: vec![cross_entropy, soft_f1],
            optimizer: Optimizer::AdamW { lr: 3e-4, weight_decay: 1e-4 },
            layer_decay: 1.0,
            schedule: Schedule::Cosine { warmup: 1.0 },
            epochs,
            batch: 32,
            accumulate: 1,
            sampler: Sampler::Balanced,
            clip: Some(1.0),
            stop: Some(EarlyStop { on: Watch::MacroF1, patience: 5 }),
            keep: KeepEpoch::Best(Watch::MacroF1),
            precision: Precision::F32,
        },
        evaluate: Evaluate {
            operating: vec![],
            primary: Metric::MacroF1,
            metrics: vec![Metric::Accuracy],
            unit: Unit::Patient,
            intervals: Some(Bootstrap { replicates: 2000, level: 0.95, method: IntervalMethod::Percentile }),
            slices: vec![
                Slice { column: "Patient Gender".to_owned(), edges: vec![] },
                Slice { column: "Patient Age".to_owned(), edges: vec![16.0, 40.0, 65.0] },
            ],
            leak: None,
            tta: Vec::new(),
        },
    }
}

/// Six decimals, so that the stored fixture is the same wherever it is made.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn float(count: usize) -> f64 {
    count as f64
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}

/// A unit that was scored: its class and a probability a class.
type Scored = (usize, Vec<f64>);

fn scored(stream: &mut Stream, units: usize, classes: usize) -> Vec<Scored> {
    (0..units)
        .map(|_| {
            let label = (stream.below(classes + 1) * stream.below(classes + 1) / classes).min(classes - 1);
            let mut weights: Vec<f64> = (0..classes).map(|_| 0.05 + stream.uniform().powi(3)).collect();
            weights[label] += 1.6 * stream.uniform();
            let total: f64 = weights.iter().sum();
            (label, weights.iter().map(|weight| weight / total).collect())
        })
        .collect()
}

fn top(probabilities: &[f64]) -> (usize, f64) {
    probabilities
        .iter()
        .copied()
        .enumerate()
        .fold((0, -1.0), |best, (class, p)| if p > best.1 { (class, p) } else { best })
}

fn figures(units: &[Scored], classes: usize) -> Figures {
    let mut confusion = vec![vec![0_u32; classes]; classes];
    for (label, probabilities) in units {
        confusion[*label][top(probabilities).0] += 1;
    }
    let per_class: Vec<ClassFigures> = (0..classes).map(|class| class_figures(units, &confusion, class)).collect();
    let count = float(units.len());
    let right: u32 = (0..classes).map(|class| confusion[class][class]).sum();
    let occurring: Vec<&ClassFigures> = per_class.iter().filter(|of| of.support > 0).collect();
    let areas: Vec<f64> = per_class.iter().filter_map(|of| of.auroc).collect();
    let calibration = calibration(units);
    let ece =
        calibration.iter().map(|bin| f64::from(bin.count) / count * (bin.confidence - bin.accuracy).abs()).sum::<f64>();
    Figures {
        count: number(units.len()),
        accuracy: rounded(f64::from(right) / count),
        balanced_accuracy: rounded(occurring.iter().map(|of| of.recall).sum::<f64>() / float(occurring.len())),
        macro_f1: rounded(per_class.iter().map(|of| of.f1).sum::<f64>() / float(classes)),
        auroc: (!areas.is_empty()).then(|| rounded(areas.iter().sum::<f64>() / float(areas.len()))),
        log_loss: rounded(units.iter().map(|(label, p)| -p[*label].ln()).sum::<f64>() / count),
        ece: rounded(ece),
        confusion,
        classes: per_class,
        calibration,
    }
}

fn class_figures(units: &[Scored], confusion: &[Vec<u32>], class: usize) -> ClassFigures {
    let found = f64::from(confusion[class][class]);
    let support: u32 = confusion[class].iter().sum();
    let called: u32 = confusion.iter().map(|row| row[class]).sum();
    let ratio = |part: f64, whole: u32| if whole == 0 { 0.0 } else { part / f64::from(whole) };
    let (precision, recall) = (ratio(found, called), ratio(found, support));
    let f1 = if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
    let mut ranked: Vec<(f64, bool)> = units.iter().map(|(label, p)| (p[class], *label == class)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = f64::from(support);
    let negatives = float(units.len()) - positives;
    let mut roc = vec![(0.0, 0.0)];
    let (mut hits, mut alarms, mut area) = (0.0, 0.0, 0.0);
    for (_, hit) in ranked {
        if hit {
            hits += 1.0;
        } else {
            alarms += 1.0;
            area += hits;
        }
        roc.push((alarms / negatives.max(1.0), hits / positives.max(1.0)));
    }
    let step = roc.len().div_ceil(150);
    let last = roc.len() - 1;
    let roc: Vec<(f64, f64)> = roc
        .into_iter()
        .enumerate()
        .filter(|(index, _)| index % step == 0 || *index == last)
        .map(|(_, (x, y))| (rounded(x), rounded(y)))
        .collect();
    let defined = positives > 0.0 && negatives > 0.0;
    ClassFigures {
        support,
        precision: rounded(precision),
        recall: rounded(recall),
        f1: rounded(f1),
        auroc: defined.then(|| rounded(area / (positives * negatives))),
        roc: if defined { roc } else { vec![] },
    }
}

fn calibration(units: &[Scored]) -> Vec<CalibrationBin> {
    (0..15)
        .filter_map(|bin| {
            let (low, high) = (float(bin) / 15.0, float(bin + 1) / 15.0);
            let within: Vec<(bool, f64)> = units
                .iter()
                .map(|(label, p)| (top(p).0 == *label, top(p).1))
                .filter(|(_, p)| *p > low && *p <= high)
                .collect();
            let count = float(within.len());
            (!within.is_empty()).then(|| CalibrationBin {
                count: number(within.len()),
                confidence: rounded(within.iter().map(|(_, p)| p).sum::<f64>() / count),
                accuracy: rounded(float(within.iter().filter(|(right, _)| *right).count()) / count),
            })
        })
        .collect()
}

/// Intervals of about this half width.
fn around(of: &Figures, half: f64) -> FigureIntervals {
    let near = |value: f64| Some(Interval { low: rounded(value - 1.1 * half), high: rounded(value + half) });
    FigureIntervals {
        accuracy: near(of.accuracy),
        balanced_accuracy: near(of.balanced_accuracy),
        macro_f1: near(of.macro_f1),
        auroc: of.auroc.and_then(near),
        log_loss: near(of.log_loss),
        ece: near(of.ece),
        classes: of
            .classes
            .iter()
            .map(|class| ClassIntervals {
                precision: near(class.precision),
                recall: near(class.recall),
                f1: near(class.f1),
                auroc: class.auroc.and_then(near),
            })
            .collect(),
    }
}

/// Every so many units in a part; the last one is of one patient and has no intervals.
fn slice(column: &str, parts: &[&str], units: &[Scored], classes: usize) -> SliceTable {
    let part = |(at, name): (usize, &&str)| {
        let of_part: Vec<Scored> = units.iter().skip(at).step_by(parts.len()).cloned().collect();
        let alone = *name == "no value";
        let of_part = if alone { of_part[..2].to_vec() } else { of_part };
        let mut figures = figures(&of_part, classes);
        figures.classes.iter_mut().for_each(|class| class.roc.clear());
        let intervals = (!alone).then(|| around(&figures, 0.06));
        let images = number(of_part.len());
        SlicePart { name: (*name).to_owned(), images, patients: images.div_ceil(2), figures, intervals }
    };
    SliceTable { column: column.to_owned(), parts: parts.iter().enumerate().map(part).collect() }
}

fn portion(units: &[Scored], classes: usize) -> Portion {
    let of = |class| number(units.iter().filter(|(label, _)| *label == class).count());
    let class_images: Vec<u32> = (0..classes).map(of).collect();
    let class_patients: Vec<u32> = class_images.iter().map(|images| images.div_ceil(2)).collect();
    Portion { images: number(units.len()), patients: number(units.len()).div_ceil(2), class_images, class_patients }
}

fn scaled(portion: &Portion, share: f64) -> Portion {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
    let of = |count: u32| (f64::from(count) * share) as u32;
    Portion {
        images: of(portion.images),
        patients: of(portion.patients),
        class_images: portion.class_images.iter().map(|count| of(*count)).collect(),
        class_patients: portion.class_patients.iter().map(|count| of(*count)).collect(),
    }
}

fn fold_record(fold: u32, epochs: u32, stream: &mut Stream) -> FoldRecord {
    let mut records = Vec::new();
    for epoch in 1..=epochs {
        let done = f64::from(epoch) / f64::from(epochs);
        let noise = 0.03 * stream.uniform();
        let (focal, soft) = (0.35 - 0.28 * done + noise, 0.8 - 0.5 * done + noise);
        let figure = 0.35 + 0.45 * done - 0.12 * done * done + noise;
        records.push(EpochRecord {
            epoch,
            learning_rate: rounded(3e-4 * (1.0 - done * done)),
            train_loss: rounded(0.6 * focal + 0.4 * soft),
            train_terms: vec![rounded(focal), rounded(soft)],
            validation: Some(ValidationFigures {
                loss: rounded(0.56 - 0.3 * done + 0.14 * done * done + noise),
                accuracy: rounded(figure + 0.06),
                balanced_accuracy: rounded(figure + 0.02),
                macro_f1: rounded(figure),
            }),
        });
    }
    FoldRecord {
        fold,
        epochs: records,
        kept_epoch: epochs.saturating_sub(2 + fold % 2).max(1),
        stopped: (fold == 1).then(|| "macro_f1 did not improve for 5 epochs".to_owned()),
        model_blake3: format!("{fold}9f2c1d7e{}", "ab".repeat(27)),
    }
}

/// A record like that of a real run, made of draws.
fn sample(classes: usize, folds: u32, epochs: u32) -> RunRecord {
    let key = DrawKey { seed: 7, stage: Stage::Phantom, epoch: 0, sample: u64::from(folds) };
    let mut stream = key.stream();
    let dealt: Vec<Vec<Scored>> =
        (0..folds).map(|fold| scored(&mut stream, 110 + (fold as usize % 3), classes)).collect();
    let images: Vec<Scored> = dealt.iter().flatten().cloned().collect();
    let patients = |units: &[Scored]| units.iter().step_by(2).cloned().collect::<Vec<_>>();
    let portions: Vec<Portion> = dealt.iter().map(|fold| portion(fold, classes)).collect();
    let holdout = portion(&scored(&mut stream, 138, classes), classes);
    let all_patients = portions.iter().map(|portion| portion.patients).sum::<u32>() + holdout.patients;
    let all_images = number(images.len()) + holdout.images;
    let everyone = portion(&images, classes);
    let pairs = [
        "train/validation",
        "train/evaluation",
        "train/hold-out",
        "validation/evaluation",
        "validation/hold-out",
        "evaluation/hold-out",
    ];
    let roles = portions
        .iter()
        .zip(0..)
        .map(|(evaluation, fold)| FoldRoles {
            fold,
            train: scaled(&everyone, 0.72),
            validation: scaled(&everyone, 0.08),
            evaluation: evaluation.clone(),
            disjoint: pairs.iter().map(|pair| (*pair).to_owned()).collect(),
            union_patients: all_patients,
        })
        .collect();
    let by_fold = |pick: &dyn Fn(&[Scored]) -> Vec<Scored>| {
        dealt
            .iter()
            .zip(0..)
            .map(|(units, fold)| FoldFigures { fold, figures: figures(&pick(units), classes) })
            .collect::<Vec<_>>()
    };
    let step = |what: &str, images, patients| FlowStep { what: what.to_owned(), images, patients };
    RunRecord {
        version: RECORD_VERSION,
        pipe_version: "0.1.0".to_owned(),
        key: "7f3c91".repeat(10) + "a0b1",
        study: study(folds, epochs),
        classes: NAMES.iter().cycle().take(classes).map(|name| (*name).to_owned()).collect(),
        synthetic: false,
        flow: vec![
            step("rows of the table", all_images * 9, 0),
            step("keep", all_images * 7, 0),
            step("several labels", all_images * 4, all_patients * 3),
            step("limit", all_images, all_patients),
        ],
        split: SplitTable {
            method: format!("stratified_group_kfold({folds})"),
            folds: portions,
            holdout: Some(holdout),
            roles,
            worst_imbalance: "0.021".to_owned(),
        },
        environment: Environment {
            device: "cpu".to_owned(),
            threads: 2,
            platform: "linux x86_64".to_owned(),
            weights_sha256: Some("c0ffee12".repeat(8)),
        },
        folds: (0..folds).map(|fold| fold_record(fold, epochs, &mut stream)).collect(),
        evaluation: Evaluation {
            operating: vec![],
            image: figures(&images, classes),
            patient: figures(&patients(&images), classes),
            per_fold: by_fold(&<[Scored]>::to_vec),
            per_fold_patient: by_fold(&patients),
            intervals: Some(Intervals {
                method: "percentile".to_owned(),
                replicates: 2000,
                level: 0.95,
                patients: number(images.len()).div_ceil(2),
                image: around(&figures(&images, classes), 0.03),
                patient: around(&figures(&patients(&images), classes), 0.045),
            }),
            slices: vec![
                slice("Patient Gender", &["F", "M"], &images, classes),
                slice("Patient Age", &["16..40", "40..=65", "above 65", "no value"], &images, classes),
            ],
        },
        warnings: vec![
            "W0502 `soft_f1` will often see no `Hernia` in a batch: 0.7 Hernia images per batch on average".to_owned(),
        ],
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/report")).join(name)
}

/// Holds text to a stored file, or stores it under `PIPE_BLESS=1`.
fn held(name: &str, got: &str) {
    if std::env::var_os("PIPE_BLESS").is_some() {
        std::fs::write(fixture(name), got).unwrap();
    }
    let stored = std::fs::read_to_string(fixture(name)).unwrap();
    assert_eq!(stored, got, "{name} differs; after a wanted change: PIPE_BLESS=1 cargo test --test it report");
}

fn stored() -> RunRecord {
    serde_json::from_str(&std::fs::read_to_string(fixture("record.json")).unwrap()).unwrap()
}

fn both(record: &RunRecord) -> (String, String) {
    (render(record, Format::Html), render(record, Format::Text))
}

/// What every page must be: whole, self-contained and closed to scripts and to the network.
fn sound(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:;"));
    for forbidden in ["<script", "<link", "<img", "<iframe", "<object", "src=", "url(", "@import", "javascript:"] {
        assert!(!page.to_lowercase().contains(forbidden), "{forbidden}");
    }
    for (at, _) in page.match_indices("href=") {
        assert!(page[at..].starts_with("href=\"#"), "{}", &page[at..at + 40]);
    }
    assert!(!page.contains("NaN") && !page.contains("inf "));
}

#[test]
fn the_stored_record_is_still_read() {
    let mut json = serde_json::to_string(&sample(4, 5, 12)).unwrap();
    json.push('\n');
    held("record.json", &json);
    assert_eq!(stored(), sample(4, 5, 12));
}

#[test]
fn the_summary_of_a_run() {
    held("summary.txt", &render(&stored(), Format::Text));
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    let first = both(&stored());
    assert_eq!(first, both(&stored()));
    sound(&first.0);
    assert!(!first.0.contains("http:") && !first.0.contains("https:"));
}

#[test]
fn the_page_says_what_was_measured() {
    let record = stored();
    let page = render(&record, Format::Html);
    let headline = format!("<p class=\"value\">{:.3}</p>", record.evaluation.patient.macro_f1);
    assert!(page.contains(&headline), "{headline}");
    let union = record.split.roles[0].union_patients;
    assert!(page.contains("train, validation, evaluation and hold-out share no patient"));
    assert!(page.contains(&format!("checked on the patient ids: {union}\u{a0}patients")));
    assert!(page.contains("0.6 * focal(gamma = 2, alpha = 0.25, smoothing = 0.05) + 0.4 * soft_f1()"));
    for text in ["W0502", &record.key, "c0ffee12", "stratified_group_kfold(5)", "several labels", "Cardiomegaly"] {
        assert!(page.contains(text), "{text}");
    }
    // two losses a fold, what was watched, two terms, learning rate, ROC and reliability at two levels
    // ... and a forest plot a slice
    assert_eq!(page.matches("role=\"img\"").count(), 5 + 1 + 2 + 1 + 2 * 2 + 2);
    let interval = record.evaluation.intervals.as_ref().unwrap().patient.macro_f1.unwrap();
    assert!(page.contains(&format!("<strong>{:.3} to {:.3}</strong>", interval.low, interval.high)));
    assert!(page.contains("drawing 277 whole patients with replacement 2\u{a0}000 times"), "who was drawn");
    for part in ["Patient Gender", "Patient Age", "40..=65", "no value"] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("aria-label=\"Fold ").count(), 5);
}

#[test]
fn no_folder_of_this_machine_gets_in() {
    let (page, summary) = both(&stored());
    for text in [page, summary] {
        assert!(!text.contains("/mnt") && !text.contains("someone"));
    }
}

#[test]
fn a_pair_of_roles_that_was_not_compared_is_not_claimed() {
    let mut record = stored();
    record.split.roles[2].disjoint.truncate(1);
    let page = render(&record, Format::Html);
    assert!(page.contains("In fold 2 these pairs share no patient: train/validation"));
    assert!(!page.contains("In every trained fold"));
    for roles in &mut record.split.roles {
        roles.disjoint.clear();
    }
    assert!(!render(&record, Format::Html).contains("share no patient"));
}

#[test]
fn banners_are_loud() {
    let mut record = stored();
    assert!(!render(&record, Format::Html).contains("Synthetic images"));
    record.synthetic = true;
    record.study.data.group = Group::None { because: "one film per patient by protocol".to_owned() };
    let (page, summary) = both(&record);
    assert!(page.contains("<strong>Synthetic images. </strong>") && page.contains("one film per patient by protocol"));
    assert!(summary.contains("SYNTHETIC IMAGES") && summary.contains("one film per patient"));
}

const HOSTILE: [&str; 40] = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    "\"><svg onload=alert(4)>",
    "'><b>",
    "</title><h1>x",
    "</style><style>*{display:none}",
    "<!-- ",
    "-->",
    "<![CDATA[",
    "&lt;b&gt;",
    "&amp;",
    "&#60;i&#62;",
    "&",
    "<",
    ">",
    "\"",
    "'",
    "`${x}`",
    "javascript:alert(5)",
    "data:text/html,<b>x",
    "<a href=//x.example>y</a>",
    "<iframe src=//x.example>",
    "<meta http-equiv=refresh content=0>",
    "<base href=//x.example>",
    "\u{202e}desrever\u{202c}",
    "zero\u{200b}width",
    "\u{1b}[31mred\u{1b}[0m",
    "bell\u{7}",
    "nul\u{0}",
    "new\nline",
    "tab\tstop",
    "\u{feff}bom",
    "",
    "   ",
    "../../etc/passwd",
    "=cmd|' /C calc'!A0",
    "𝕏 𝒻𝒶𝓃𝒸𝓎 肺炎 عربي",
    "a_very_long_name_without_any_blank_that_goes_on_and_on_and_on_and_on_and_on_and_on",
    "}} {{ template }} ${{ x }} <% x %>",
];

/// Everything a table or a study may name is hostile here.
fn hostile() -> RunRecord {
    let mut record = sample(HOSTILE.len(), 3, 3);
    record.classes = HOSTILE.iter().map(|name| (*name).to_owned()).collect();
    let bad = HOSTILE.join(" ");
    record.pipe_version.clone_from(&bad);
    record.key.clone_from(&bad);
    record.study.name.clone_from(&bad);
    record.study.question = Some(bad.clone());
    record.study.data.label.clone_from(&bad);
    record.study.data.group = Group::None { because: bad.clone() };
    record.study.data.classes = Some(record.classes.clone());
    record.study.train.loss[0].class_weights = ClassWeights::Given(IndexMap::from([(bad.clone(), 2.0)]));
    record.split.method.clone_from(&bad);
    record.split.worst_imbalance.clone_from(&bad);
    record.split.roles[0].disjoint = vec![bad.clone()];
    record.flow[1].what.clone_from(&bad);
    record.environment.device.clone_from(&bad);
    record.environment.platform.clone_from(&bad);
    record.environment.weights_sha256 = Some(bad.clone());
    record.folds[0].stopped = Some(bad.clone());
    record.folds[0].model_blake3.clone_from(&bad);
    record.warnings = vec![bad];
    record
}

#[test]
fn hostile_labels_stay_text() {
    let (page, summary) = both(&hostile());
    // every `<` opens or closes one of our own elements
    let ours = [
        "!DOCTYPE html>",
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "nav",
        "main",
        "section",
        "footer",
        "div",
        "p",
        "h1",
        "h2",
        "h3",
        "ul",
        "ol",
        "li",
        "a href=\"#",
        "a>",
        "strong",
        "span",
        "b>",
        "bdi",
        "br",
        "dl",
        "dt",
        "dd",
        "code",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "figure",
        "figcaption",
        "svg viewBox",
        "svg class=\"swatch\"",
        "svg>",
        "path",
        "line",
        "text",
        "circle",
    ];
    for (at, _) in page.match_indices('<') {
        let after = page[at + 1..].trim_start_matches('/');
        assert!(ours.iter().any(|tag| after.starts_with(tag)), "{}", page[at..].chars().take(60).collect::<String>());
    }
    for (what, most) in
        [("<style", 1), ("<meta", 5), ("<title", usize::MAX), ("<h1", 1), ("<html", 1), ("<body", 1), ("</main>", 1)]
    {
        assert!((1..=most).contains(&page.matches(what).count()), "{what}");
    }
    for forbidden in ["<script", "<img", "<iframe", "<base", "<svg onload", "<b>x", "<!--"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for (at, _) in page.match_indices("href=\"") {
        assert!(page[at..].starts_with("href=\"#"));
    }
    for text in [&page, &summary] {
        let bad = text
            .chars()
            .find(|c| c.is_control() && *c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
        assert_eq!(bad, None);
    }
}

#[test]
fn the_summary_keeps_to_80_columns() {
    for record in [stored(), hostile(), sample(20, 10, 2), sample(2, 1, 1)] {
        for line in render(&record, Format::Text).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn every_size_is_drawn() {
    for (classes, folds, epochs) in [(2, 1, 1), (2, 2, 2), (7, 3, 40), (20, 10, 3)] {
        let (page, summary) = both(&sample(classes, folds, epochs));
        sound(&page);
        assert_eq!(page.matches("aria-label=\"Fold ").count(), folds as usize);
        assert!(summary.lines().count() < 24 + classes);
    }
}

#[test]
fn missing_parts_leave_a_page() {
    let mut record = stored();
    record.split.holdout = None;
    record.split.roles.iter_mut().for_each(|roles| roles.validation = Portion::default());
    record.folds.iter_mut().flat_map(|fold| &mut fold.epochs).for_each(|epoch| epoch.validation = None);
    record.environment.weights_sha256 = None;
    record.study.question = None;
    record.warnings.clear();
    for figures in [&mut record.evaluation.image, &mut record.evaluation.patient] {
        figures.auroc = None;
        figures.classes.iter_mut().for_each(|of| (of.auroc, of.roc) = (None, vec![]));
        figures.calibration.clear();
    }
    sound(&render(&record, Format::Html));
    record.folds.iter_mut().for_each(|fold| fold.epochs.clear());
    sound(&render(&record, Format::Html));
    record.folds.clear();
    record.evaluation.per_fold.clear();
    record.evaluation.per_fold_patient.clear();
    record.split.roles.clear();
    record.split.folds.clear();
    record.flow.clear();
    record.classes.clear();
    let empty = Figures {
        count: 0,
        accuracy: f64::NAN,
        balanced_accuracy: f64::NAN,
        macro_f1: f64::INFINITY,
        auroc: None,
        log_loss: f64::NAN,
        ece: f64::NAN,
        confusion: vec![],
        classes: vec![],
        calibration: vec![],
    };
    record.evaluation.image = empty.clone();
    record.evaluation.patient = empty;
    let (page, summary) = both(&record);
    sound(&page);
    assert!(!summary.contains("NaN"));
}

#[test]
fn a_record_whose_parts_disagree_does_not_panic() {
    let mut record = sample(5, 3, 4);
    record.classes.truncate(2);
    record.evaluation.patient.confusion[1].truncate(1);
    record.evaluation.patient.classes.truncate(1);
    record.split.folds[0].class_patients.clear();
    record.folds[1].epochs[2].train_loss = f64::INFINITY;
    record.folds[1].epochs[2].train_terms.clear();
    record.folds[1].kept_epoch = 99;
    sound(&render(&record, Format::Html));
    assert!(render(&record, Format::Text).contains("(class 2)") || record.evaluation.patient.classes.len() < 3);
}

const BACKBONES: [&str; 8] = [
    "resnet18",
    "resnet34",
    "efficientnet_lite0",
    "resnet50",
    "densenet121",
    "vit_b16",
    "convnext_tiny",
    "a network with a name that is longer than anybody would want",
];
const LOSSES: [&str; 4] = ["ce", "focal", "noisy", "0.6 * focal(gamma = 2, smoothing = 0.05) + 0.4 * soft_f1()"];

/// A study of so many backbones and losses, compared with the first.
fn grid(backbones: usize, losses: usize) -> StudyRecord {
    let mut variants = Vec::new();
    let mut rows = Vec::new();
    for (at, (backbone, loss)) in (0..backbones).flat_map(|b| (0..losses).map(move |l| (b, l))).enumerate() {
        let choices = vec![BACKBONES[backbone].to_owned(), LOSSES[loss].to_owned()];
        let name = choices.join("/");
        let lift = 0.015 * float(at % 5) - 0.02 * float(backbone);
        let mut record = sample(4, 3, 4);
        "nih_grid".clone_into(&mut record.study.name);
        let patient = &mut record.evaluation.patient;
        patient.macro_f1 = rounded(patient.macro_f1 + lift);
        if let Some(interval) = record.evaluation.intervals.as_mut().and_then(|of| of.patient.macro_f1.as_mut()) {
            *interval = Interval { low: rounded(interval.low + lift), high: rounded(interval.high + lift) };
        }
        if at > 0 {
            let difference = Difference {
                difference: rounded(lift),
                interval: Interval { low: rounded(lift - 0.021), high: rounded(lift + 0.018) },
                p: rounded((0.5 - 20.0 * lift.abs()).clamp(0.0004, 1.0)),
                corrected: rounded((2.0 - 60.0 * lift.abs()).clamp(0.0004, 1.0)),
                images: 550,
                patients: 275,
            };
            // One of them had too few patients in common.
            let difference = (at != 4).then_some(difference);
            rows.push(Compared { variant: name.clone(), difference });
        }
        variants.push(VariantRecord { name, choices, record });
    }
    let axis = |path: &str, labels: &[&str]| Axis {
        path: path.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    StudyRecord {
        version: RECORD_VERSION,
        pipe_version: "0.1.0".to_owned(),
        key: "90ab12cd".repeat(8),
        name: "nih_grid".to_owned(),
        question: Some("Which backbone and which loss find the rare findings?".to_owned()),
        axes: vec![axis("model.backbone", &BACKBONES[..backbones]), axis("train.loss", &LOSSES[..losses])],
        missing: vec![],
        comparison: Some(pipe::record::Comparison {
            baseline: variants[0].name.clone(),
            metric: Metric::MacroF1,
            unit: Unit::Patient,
            draws: 2000,
            level: 0.95,
            correction: "holm".to_owned(),
            rows,
        }),
        leader: None,
        variants,
    }
}

/// The same with a winner that is told on the hold-out.
fn chosen(mut record: StudyRecord) -> StudyRecord {
    let best = &record.variants[1];
    let figures = best.record.evaluation.image.clone();
    let intervals = Some(around(&figures, 0.05));
    let holdout = Some(HoldOut { images: 138, patients: 69, figures, intervals });
    record.leader = Some(Leader { variant: best.name.clone(), by: Some(Metric::MacroF1), holdout });
    record
}

#[test]
fn a_grid_is_one_table_and_a_report_of_each() {
    let record = grid(2, 2);
    let page = render_study(&record, Format::Html);
    sound(&page);
    assert_eq!(page, render_study(&record, Format::Html));
    assert_eq!(page.matches("<details class=\"variant\">").count(), 4);
    for (at, variant) in record.variants.iter().enumerate() {
        assert_eq!(page.matches(&format!("id=\"variant-{}\"", at + 1)).count(), 1);
        assert_eq!(page.matches(&format!("href=\"#variant-{}\"", at + 1)).count(), 1);
        let interval = variant.record.evaluation.intervals.as_ref().unwrap().patient.macro_f1.unwrap();
        let value = variant.record.evaluation.patient.macro_f1;
        let cell = format!("{value:.3}<span class=\"interval\">{:.3} to {:.3}</span>", interval.low, interval.high);
        assert!(page.contains(&cell), "{cell}");
    }
    let of = record.comparison.as_ref().unwrap().rows[0].difference.as_ref().unwrap();
    assert!(page.contains(&format!(
        "+{:.3}<span class=\"interval\">\u{2212}{:.3} to +{:.3}</span>",
        of.difference, -of.interval.low, of.interval.high
    )));
    assert!(page.contains("corrected by Holm’s method for 3 comparisons") && page.contains("p (holm)"));
    assert!(page.contains("whole patients are drawn 2\u{a0}000 times, the same ones for both"));
    // Everybody is the same in all variants, and told once.
    assert_eq!(page.matches("id=\"patients\"").count(), 1);
    assert_eq!(page.matches("checked on the patient ids").count(), 1);
    // Both forest plots say their numbers.
    assert!(page.contains("Difference to resnet18/ce: resnet18/focal 0.015"), "described in words");
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len(), "an id twice: {ids:?}");
}

#[test]
fn variants_with_other_patients_tell_them_each() {
    let mut record = grid(1, 2);
    record.variants[1].record.split.holdout = None;
    let page = render_study(&record, Format::Html);
    sound(&page);
    assert!(!page.contains("id=\"patients\""));
    assert_eq!(page.matches("Images, patients and folds</h3>").count(), 2);
}

#[test]
fn the_summary_of_a_grid() {
    held("grid.txt", &render_study(&chosen(grid(2, 2)), Format::Text));
    for record in [grid(8, 4), grid(1, 2)] {
        for line in render_study(&record, Format::Text).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn a_winner_is_told_on_patients_who_did_not_choose_it() {
    let record = chosen(grid(2, 2));
    let page = render_study(&record, Format::Html);
    sound(&page);
    let value = record.leader.as_ref().unwrap().holdout.as_ref().unwrap().figures.macro_f1;
    assert!(page.contains(&format!("by patient on the hold-out</p><p class=\"value\">{value:.3}</p>")));
    assert!(page.contains("They took no part in choosing the variant"));
    // Nobody held out: what is said of the winner is said with a warning.
    let mut record = record;
    record.leader.as_mut().unwrap().holdout = None;
    assert!(render_study(&record, Format::Html).contains("so its figures there are too good"));
    // Named before anything ran: its usual headline.
    record.leader.as_mut().unwrap().by = None;
    assert!(render_study(&record, Format::Html).contains("named before anything ran"));
}

#[test]
fn a_grid_that_is_not_done_says_so() {
    let mut record = grid(2, 2);
    record.variants.remove(0);
    record.missing = vec!["resnet18/ce".to_owned()];
    record.comparison.as_mut().unwrap().rows.iter_mut().for_each(|row| row.difference = None);
    let (page, text) = (render_study(&record, Format::Html), render_study(&record, Format::Text));
    sound(&page);
    assert!(page.contains("3 of 4 variants are done. ") && page.contains("The baseline has not been run yet."));
    assert!(text.contains("not run yet: resnet18/ce"), "{text}");
    record.comparison = None;
    record.variants.clear();
    sound(&render_study(&record, Format::Html));
    assert!(render_study(&record, Format::Text).contains("no variant is done yet"));
}

#[test]
fn hostile_variants_stay_text() {
    let mut record = grid(1, 2);
    let bad = HOSTILE.join(" ");
    record.name.clone_from(&bad);
    record.question = Some(bad.clone());
    record.pipe_version.clone_from(&bad);
    record.missing = vec![bad.clone()];
    record.axes[0].path.clone_from(&bad);
    record.axes[0].labels = vec![bad.clone()];
    for variant in &mut record.variants {
        variant.name.clone_from(&bad);
        variant.choices = vec![bad.clone(), bad.clone(), bad.clone()];
        variant.record = hostile();
        variant.record.evaluation.slices[0].column.clone_from(&bad);
        variant.record.evaluation.slices[0].parts[0].name.clone_from(&bad);
    }
    record.comparison.as_mut().unwrap().rows[0].variant.clone_from(&bad);
    for baseline in [bad.clone(), "another".to_owned()] {
        record.comparison.as_mut().unwrap().baseline = baseline;
        let (page, text) = (render_study(&record, Format::Html), render_study(&record, Format::Text));
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
        for forbidden in ["<script", "<img", "<iframe", "<base", "<svg onload", "<b>x", "<!--"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        for text in [&page, &text] {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}')));
        }
    }
}

#[test]
fn records_of_other_versions_are_refused_by_name() {
    let json = serde_json::to_string(&sample(2, 2, 2)).unwrap();
    assert_eq!(pipe::record::read::<RunRecord>(json.as_bytes()), Ok(sample(2, 2, 2)));
    for version in [1, 3] {
        let other = json.replacen("\"version\":2", &format!("\"version\":{version}"), 1);
        let error = pipe::record::read::<RunRecord>(other.as_bytes()).unwrap_err();
        assert_eq!(error, RecordError::Version { found: version });
        assert!(error.to_string().contains(&format!("version {version}, and this program reads version 2")));
    }
    for broken in ["", "{", "{}", "[]", "{\"version\":2}", "null"] {
        assert!(matches!(pipe::record::read::<RunRecord>(broken.as_bytes()), Err(RecordError::Broken(_))), "{broken}");
    }
    let grid = grid(1, 2);
    let json = serde_json::to_string(&grid).unwrap();
    assert_eq!(pipe::record::read::<StudyRecord>(json.as_bytes()), Ok(grid));
}

#[test]
fn pages_to_look_at() {
    let Some(folder) = std::env::var_os("PIPE_REPORT_OUT").map(PathBuf::from) else {
        return;
    };
    let mut synthetic = sample(4, 3, 1);
    synthetic.synthetic = true;
    synthetic.study.data.group = Group::None { because: "one film per patient by protocol".to_owned() };
    let named = [
        ("five", stored()),
        ("many", sample(20, 10, 30)),
        ("one", sample(2, 1, 8)),
        ("synthetic", synthetic),
        ("hostile", hostile()),
    ];
    for (name, record) in [("grid", grid(3, 3)), ("grid_many", grid(8, 4)), ("grid_holdout", chosen(grid(2, 2)))] {
        std::fs::write(folder.join(format!("{name}.html")), render_study(&record, Format::Html)).unwrap();
        std::fs::write(folder.join(format!("{name}.txt")), render_study(&record, Format::Text)).unwrap();
    }
    for (name, record) in named {
        std::fs::write(folder.join(format!("{name}.html")), render(&record, Format::Html)).unwrap();
        std::fs::write(folder.join(format!("{name}.txt")), render(&record, Format::Text)).unwrap();
    }
}
