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
use pipe::report::{Format, render};
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
        },
        train: Train {
            loss: vec![cross_entropy, soft_f1],
            optimizer: Optimizer::AdamW { lr: 3e-4, weight_decay: 1e-4 },
            layer_decay: 1.0,
            schedule: Schedule::Cosine { warmup: 1.0 },
            epochs,
            batch: 32,
            sampler: Sampler::Balanced,
            clip: Some(1.0),
            stop: Some(EarlyStop { on: Watch::MacroF1, patience: 5 }),
            keep: KeepEpoch::Best(Watch::MacroF1),
        },
        evaluate: Evaluate {
            primary: Metric::MacroF1,
            metrics: vec![Metric::Accuracy],
            unit: Unit::Patient,
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
            image: figures(&images, classes),
            patient: figures(&patients(&images), classes),
            per_fold: by_fold(&<[Scored]>::to_vec),
            per_fold_patient: by_fold(&patients),
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
    assert_eq!(page.matches("role=\"img\"").count(), 5 + 1 + 2 + 1 + 2 * 2);
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
    for (name, record) in named {
        std::fs::write(folder.join(format!("{name}.html")), render(&record, Format::Html)).unwrap();
        std::fs::write(folder.join(format!("{name}.txt")), render(&record, Format::Text)).unwrap();
    }
}
