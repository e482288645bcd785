//! How many mistakes are told, and how well: programs of several independent mistakes, typing slips, strange words.
//!
//! `cargo test --test it mistakes -- --nocapture` prints the table of figures. All draws are seeded.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pipe::catalog::{FAMILIES, blocks};
use pipe::check::{Outcome, Overrides, check_source};
use pipe::diag::Diagnostic;
use pipe::host::RealHost;

use crate::corpus::folder;

struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % n.max(1)
    }
}

/// A program without a mistake, in which each line of [`MISTAKES`] stands exactly once.
const SOUND: &str = r#"pipe "2026"

param rounds : int = 12 where 1..=100
let few = 16

study base {
  question = "Which of the two is it?"
  seed     = 7
  data {
    table   = csv("../data/people.csv")
    image   = file(`image`, under = "../data/images")
    label   = `label`
    labels  = multiclass(when_many = drop)
    classes = ["cold", "flu"]
    group   = `patient`
    keep    = `age` in 16..=100
    limit   = each(500)
  }
  split {
    holdout    = 20%
    cv         = stratified_group_kfold(3)
    validation = 10%
  }
  images {
    prepare = [
      grayscale(),
      clahe(clip = 2.0, tiles = 4),
      resize(64, filter = lanczos),
      normalize(half),
    ]
    augment = [
      flip(horizontal, p = 0.5),
      rotate(10deg, p = 0.3),
      cutout(p = 0.2),
      mixup(alpha = 0.2, p = 0.1),
    ]
  }
  model {
    backbone = resnet18(weights = none)
    head     = linear(dropout = 0.2)
    freeze   = none
  }
  train {
    loss      = 0.6 * focal(gamma = 2.0) + 0.4 * soft_f1()
    optimizer = adamw(lr = 3e-4)
    schedule  = cosine(warmup = 1epoch)
    epochs    = rounds
    batch     = few
    sampler   = balanced
    clip      = 1.0
    precision = f32
  }
  evaluate {
    primary = macro_f1
    metrics = [accuracy, auroc]
    unit    = patient(pool = mean_probability)
  }
}

run here { device = cpu }
"#;

/// What is damaged, how, and the code that tells of it. Mistakes of one line exclude each other.
const MISTAKES: &[(&str, &str, &str)] = &[
    // the shape of the text
    ("  seed     = 7", "  seed     =", "E0002"),
    ("    head     = linear(dropout = 0.2)", "    head     =", "E0002"),
    ("    clip      = 1.0", "    clip      =", "E0002"),
    ("      rotate(10deg, p = 0.3),", "      rotate(10deg, p = 0.3],", "E0003"),
    ("      clahe(clip = 2.0, tiles = 4),", "      clahe(clip = 2.0, tiles = 4,", "E0003"),
    ("  seed     = 7", "  seed: 7", "E0004"),
    ("    validation = 10%", "    validation: 10%", "E0004"),
    ("    precision = f32", "    precision: f32", "E0004"),
    ("    classes = [\"cold\", \"flu\"]", "    classes = [“cold”, \"flu\"]", "E0005"),
    ("  question = \"Which of the two is it?\"", "  question = ‘Which of the two is it?’", "E0005"),
    ("    clip      = 1.0", "    clip      = None", "E0005"),
    ("    primary = macro_f1", "    primary = macro_f1;", "E0005"),
    ("    schedule  = cosine(warmup = 1epoch)", "    schedule  = cosine(warmup = 1 epoch)", "E0006"),
    ("    freeze   = none", "    freeze   = none none", "E0006"),
    // names
    ("  question = \"Which of the two is it?\"", "  questoin = \"Which of the two is it?\"", "E0101"),
    ("    limit   = each(500)", "    limmit  = each(500)", "E0101"),
    ("    batch     = few", "    bacth     = few", "E0101"),
    ("    validation = 10%", "    validaton  = 10%", "E0101"),
    ("    unit    = patient(pool = mean_probability)", "    units   = patient(pool = mean_probability)", "E0101"),
    (
        "    loss      = 0.6 * focal(gamma = 2.0) + 0.4 * soft_f1()",
        "    loss      = 0.6 * focall(gamma = 2.0) + 0.4 * soft_f1()",
        "E0102",
    ),
    (
        "    loss      = 0.6 * focal(gamma = 2.0) + 0.4 * soft_f1()",
        "    loss      = 0.6 * focal(gama = 2.0) + 0.4 * soft_f1()",
        "E0101",
    ),
    ("    optimizer = adamw(lr = 3e-4)", "    optimizer = adamm(lr = 3e-4)", "E0102"),
    ("    optimizer = adamw(lr = 3e-4)", "    optimizer = adamw(learning = 3e-4)", "E0101"),
    ("    schedule  = cosine(warmup = 1epoch)", "    schedule  = cosin(warmup = 1epoch)", "E0102"),
    ("    sampler   = balanced", "    sampler   = balancd", "E0102"),
    ("      cutout(p = 0.2),", "      cutuot(p = 0.2),", "E0102"),
    ("      grayscale(),", "      greyscale(),", "E0102"),
    ("    metrics = [accuracy, auroc]", "    metrics = [accuracy, auroc_macro]", "E0102"),
    ("    cv         = stratified_group_kfold(3)", "    cv         = stratified_groupkfold(3)", "E0102"),
    ("    backbone = resnet18(weights = none)", "    backbone = resnet81(weights = none)", "E0401"),
    ("    backbone = resnet18(weights = none)", "    backbone = resnet18(weights = imagnet)", "E0402"),
    ("    batch     = few", "    batch     = fiew", "E0102"),
    ("    epochs    = rounds", "    epochs    = ronds", "E0102"),
    ("run here { device = cpu }", "run here { device = gpu }", "E0102"),
    ("run here { device = cpu }", "run here { devise = cpu }", "E0101"),
    // types, units, ranges
    ("    clip      = 1.0", "    clip      = 1epoch", "E0103"),
    ("  seed     = 7", "  seed     = \"7\"", "E0103"),
    ("    limit   = each(500)", "    limit   = each(500px)", "E0103"),
    ("      rotate(10deg, p = 0.3),", "      rotate(10, p = 0.3),", "E0103"),
    ("      flip(horizontal, p = 0.5),", "      flip(horizontal, p = 1.5),", "E0104"),
    ("      mixup(alpha = 0.2, p = 0.1),", "      mixup(alpha = -0.2, p = 0.1),", "E0104"),
    ("    head     = linear(dropout = 0.2)", "    head     = linear(dropout = 20)", "E0104"),
    ("    clip      = 1.0", "    clip      = 0", "E0104"),
    ("    limit   = each(500)", "    limit   = each(0)", "E0104"),
    ("    validation = 10%", "    validation = 95%", "E0104"),
    ("    freeze   = none", "    freeze   = first(110%)", "E0104"),
    ("    cv         = stratified_group_kfold(3)", "    cv         = stratified_group_kfold(1)", "E0104"),
    ("  seed     = 7", "  seed     = 7\n  seed     = 8", "E0105"),
    ("    primary = macro_f1", "    primary = macro_f1\n    primary = accuracy", "E0105"),
    ("param rounds : int = 12 where 1..=100", "param rounds : int = 120 where 1..=100", "E0104"),
    ("    unit    = patient(pool = mean_probability)", "    unit    = exam", "E0110"),
    // the table
    ("    label   = `label`", "    label   = `Label`", "E0201"),
    ("    group   = `patient`", "    group   = `patients`", "E0201"),
    ("    keep    = `age` in 16..=100", "    keep    = `ages` in 16..=100", "E0201"),
    ("    keep    = `age` in 16..=100", "    keep    = `sex` > 3", "E0213"),
    ("    table   = csv(\"../data/people.csv\")", "    table   = csv(\"../data/peple.csv\")", "E0211"),
    ("    classes = [\"cold\", \"flu\"]", "    classes = [\"cold\", \"flu\", \"fever\"]", "E0203"),
    // meaning
    ("      normalize(half),", "      normalize(dataset),", "E0305"),
    ("    cv         = stratified_group_kfold(3)", "    cv         = stratified_kfold(3)", "E0301"),
    ("    table   = csv(\"../data/people.csv\")", "    table   = csv(env(\"LABELS\"))", "E0904"),
    (
        "    loss      = 0.6 * focal(gamma = 2.0) + 0.4 * soft_f1()",
        "    loss      = 0.6 * focal(gamma = 2.0) + 0.6 * soft_f1()",
        "W0501",
    ),
];

fn check(text: &str) -> Outcome {
    check_source(&RealHost, "study.pipe", text, &folder("bad"), &Overrides::default())
}

/// The line that a problem is listed at.
fn line(outcome: &Outcome, problem: &Diagnostic) -> Option<usize> {
    problem.labels.first().map(|label| outcome.map.line_column(label.span.file, label.span.range().start).line)
}

/// The figures of a kind: how many were looked for, found and told beyond that.
#[derive(Default)]
struct Told {
    mistakes: usize,
    found: usize,
    problems: usize,
    spurious: usize,
    complaints: String,
}

/// Puts `mistakes` into the sound program and compares what is told with what was done.
fn damage(mistakes: &[(&str, &str, &str)], told: &mut Told) {
    let mut text = SOUND.to_owned();
    for (from, to, _) in mistakes {
        text = text.replacen(&format!("{from}\n"), &format!("{to}\n"), 1);
    }
    let outcome = check(&text);
    let mut problems = outcome.problems.sorted();
    told.mistakes += mistakes.len();
    told.problems += problems.len();
    for (from, to, code) in mistakes {
        // Where the damaged text stands; what was taken away has no place of its own.
        let start = text.find(to).filter(|_| !to.is_empty());
        let first = start.map(|start| text[..start].matches('\n').count() + 1);
        let lines = first.map(|first| first..first + to.lines().count());
        let at = problems.iter().position(|problem| {
            let placed =
                lines.as_ref().is_none_or(|lines| line(&outcome, problem).is_none_or(|at| lines.contains(&at)));
            problem.code.id() == *code && placed
        });
        match at {
            Some(at) => {
                problems.remove(at);
                told.found += 1;
            }
            None => {
                let _ = writeln!(told.complaints, "not told: {code} `{}` -> `{}`", from.trim(), to.trim());
            }
        }
    }
    told.spurious += problems.len();
    for problem in problems {
        let at = line(&outcome, problem);
        let done: Vec<&str> = mistakes.iter().map(|(_, to, _)| to.trim()).collect();
        let _ = writeln!(
            told.complaints,
            "spurious: {} {} (line {at:?}) after {done:?}",
            problem.code.id(),
            problem.message
        );
    }
}

/// Does a mistake hide, or need, what the table holds?
fn needs_table((_, _, code): (&str, &str, &str)) -> bool {
    matches!(code, "E0211" | "E0904" | "E0201" | "E0203" | "E0213")
}

/// Two to seven mistakes that do not touch the same line; of those about the table one, for a table that cannot be read
/// has no columns, and one without its columns no cells.
fn some_mistakes(draws: &mut Draws) -> Vec<(&'static str, &'static str, &'static str)> {
    let wanted = 2 + draws.below(6);
    let mut chosen: BTreeMap<&str, (&str, &str, &str)> = BTreeMap::new();
    while chosen.len() < wanted {
        let one = MISTAKES[draws.below(MISTAKES.len())];
        if needs_table(one) && chosen.values().any(|other| needs_table(*other)) {
            continue;
        }
        chosen.entry(one.0).or_insert(one);
    }
    chosen.into_values().collect()
}

/// One typing slip: two letters swapped, one left out, doubled or replaced.
fn slip(word: &str, draws: &mut Draws) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = draws.below(letters.len() - 1);
    match draws.below(4) {
        0 => letters.swap(at, at + 1),
        1 => drop(letters.remove(at)),
        2 => letters.insert(at, letters[at]),
        _ => letters[at] = char::from(b'a' + u8::try_from(draws.below(26)).unwrap_or(0)),
    }
    letters.into_iter().collect()
}

/// Places where a name stands, `?`, and the names that may stand there.
fn places() -> Vec<(String, Vec<&'static str>)> {
    let study = |body: &str| {
        format!("pipe \"2026\"\nstudy s {{\n  data {{ table = phantoms(images = 48, patients = 24) }}\n{body}\n}}\n")
    };
    let with_model = |body: &str| study(&format!("  model {{ backbone = resnet18() }}\n{body}"));
    let family = |one: &str| -> Vec<&'static str> {
        FAMILIES.iter().find(|family| family.one == one).expect("a family").names().collect()
    };
    let mut places = vec![
        (with_model("  train { loss = ?() }"), family("loss")),
        (with_model("  train { optimizer = ?() }"), family("optimizer")),
        (with_model("  train { schedule = ? }"), family("schedule")),
        (with_model("  train { sampler = ? }"), family("sampler")),
        (with_model("  split { cv = ?(3) }"), family("split")),
        (with_model("  images { augment = [?(p = 0.5)] }"), family("augmentation")),
        (with_model("  images { prepare = [?(64)] }"), family("preparing operation")),
        (with_model("  evaluate { primary = ? }"), family("metric")),
        (study("  model { backbone = ?() }"), family("backbone")),
        (
            with_model("  images { prepare = [resize(64, filter = ?)] }"),
            vec!["lanczos", "bicubic", "bilinear", "nearest"],
        ),
        (
            with_model("  images { prepare = [normalize(?)] }"),
            vec!["imagenet", "half", "none", "bytes", "caffe", "train"],
        ),
        (with_model("  train { loss = focal(? = 0.5) }"), vec!["gamma", "alpha", "smoothing", "class_weights"]),
        (with_model("  train { optimizer = sgd(? = 0.5) }"), vec!["momentum", "nesterov", "weight_decay"]),
        (with_model("  data.keep = `?` == \"x\""), vec!["patient", "image", "label", "view"]),
    ];
    for block in blocks::BLOCKS {
        let names: Vec<&str> = block.settings.iter().map(|setting| setting.name).collect();
        places.push((with_model(&format!("  {}.? = 1", block.name)), names));
    }
    places.push((with_model("  ? { }"), blocks::BLOCKS.iter().map(|block| block.name).collect()));
    places
}

/// The first name that a program's problems ask whether it was meant.
fn hint(outcome: &Outcome, word: &str) -> Option<String> {
    let problems = outcome.problems.sorted();
    let about = problems.iter().find(|problem| problem.message.contains(&format!("`{word}`")))?;
    let help = about.help.as_deref()?;
    let (_, rest) = help.split_once("did you mean ")?;
    rest.split('`').nth(1).map(str::to_owned)
}

/// Words of everyday life that are near no name of the language.
const STRANGE: [&str; 100] = [
    "zebra",
    "kitchen",
    "umbrella",
    "violin",
    "giraffe",
    "harbour",
    "mountain",
    "blanket",
    "cucumber",
    "teapot",
    "lantern",
    "pyjamas",
    "sandwich",
    "trumpet",
    "volcano",
    "whistle",
    "yoghurt",
    "zipper",
    "avocado",
    "biscuit",
    "caravan",
    "dolphin",
    "elephant",
    "feather",
    "guitar",
    "hammock",
    "igloo",
    "jigsaw",
    "kangaroo",
    "lemonade",
    "mushroom",
    "notebook",
    "orchard",
    "penguin",
    "quilt",
    "raincoat",
    "saxophone",
    "tortoise",
    "unicorn",
    "velvet",
    "walnut",
    "xylophone",
    "yodel",
    "zucchini",
    "acrobat",
    "bonfire",
    "chimney",
    "doorbell",
    "envelope",
    "fountain",
    "gondola",
    "hedgehog",
    "icicle",
    "juggler",
    "kiosk",
    "lighthouse",
    "marmalade",
    "nightgown",
    "octopus",
    "parsley",
    "quarrel",
    "rhubarb",
    "sunflower",
    "thimble",
    "upstairs",
    "vinegar",
    "wardrobe",
    "yesterday",
    "zeppelin",
    "almond",
    "butterfly",
    "cathedral",
    "dandelion",
    "eyebrow",
    "firewood",
    "goose",
    "haystack",
    "ivy",
    "jellyfish",
    "knuckle",
    "ladybird",
    "meadow",
    "nutcracker",
    "overcoat",
    "pancake",
    "quicksand",
    "rooster",
    "snowflake",
    "tambourine",
    "underwear",
    "vegetable",
    "waterfall",
    "yacht",
    "cobweb",
    "drizzle",
    "gooseberry",
    "moustache",
    "pigeon",
    "spinach",
    "wheelbarrow",
];

#[test]
fn mistakes_are_told_together_slips_find_their_word_and_strange_words_none() {
    assert!(check(SOUND).problems.is_empty(), "{:?}", check(SOUND).problems.sorted());
    let mut alone = Told::default();
    for mistake in MISTAKES {
        assert_eq!(SOUND.matches(&format!("{}\n", mistake.0)).count(), 1, "{}", mistake.0);
        damage(&[*mistake], &mut alone);
    }
    let mut draws = Draws(0x2545_f491_4f6c_dd1d);
    let mut together = Told::default();
    for _ in 0..50 {
        damage(&some_mistakes(&mut draws), &mut together);
    }

    let places = places();
    let (mut slips, mut hinted, mut wrong) = (0, 0, String::new());
    while slips < 300 {
        let (program, names) = &places[draws.below(places.len())];
        let name = names[draws.below(names.len())];
        let word = slip(name, &mut draws);
        // Two-letter words have no near ones, and a slip may hit another name.
        if name.len() < 4 || names.contains(&word.as_str()) {
            continue;
        }
        slips += 1;
        let found = hint(&check(&program.replace('?', &word)), &word);
        if found.as_deref() == Some(name) {
            hinted += 1;
        } else {
            let _ = writeln!(
                wrong,
                "{word}: {name} was meant, {found:?} asked, in {}",
                program.lines().nth(3).unwrap_or("")
            );
        }
    }
    let mut hints = String::new();
    for word in STRANGE {
        let (program, _) = &places[draws.below(places.len())];
        if let Some(hint) = hint(&check(&program.replace('?', word)), word) {
            let _ = writeln!(hints, "{word}: {hint}");
        }
    }

    let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    println!("                                     looked for   as wanted   share");
    let row = |what: &str, all: usize, good: usize| {
        println!("{what:<36} {all:>10}  {good:>10}  {:>5.1} %", share(good, all));
    };
    row("mistakes alone, told", alone.mistakes, alone.found);
    row("mistakes of 50 programs, told", together.mistakes, together.found);
    row("messages of them, none spurious", together.problems, together.problems - together.spurious);
    row("slips, the right word asked first", slips, hinted);
    row("strange words, nothing asked", STRANGE.len(), STRANGE.len() - hints.lines().count());
    print!("{}{}{wrong}{hints}", alone.complaints, together.complaints);

    assert_eq!((alone.found, alone.spurious), (alone.mistakes, 0), "\n{}", alone.complaints);
    assert!(share(together.found, together.mistakes) >= 95.0, "\n{}", together.complaints);
    assert!(share(together.spurious, together.problems) <= 2.0, "\n{}", together.complaints);
    assert!(share(hinted, slips) >= 95.0, "\n{wrong}");
    assert!(hints.is_empty(), "\n{hints}");
}
