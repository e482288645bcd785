//! `pipe audit`: what the images themselves say, before anything is learned from them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;

use super::{Outcomes, StudyArguments, print, talk};
use crate::audit::{Audit, Failure, audit};
use crate::check::Pick;
use crate::data::{self, Dataset, Origin, read_image};
use crate::diag::render::visible;
use crate::diag::{Code, Severity};
use crate::graph::Key;
use crate::host::{Host as _, RealHost, Stat};
use crate::images::fingerprint::Fingerprint;
use crate::images::{self, preview};
use crate::report;
use crate::store::{Digests, Fingerprints, Store};
use crate::study::{Filter, Fit, Prepare};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe audit study.pipe                       what is missing, unreadable, there twice or of another kind
  pipe audit study.pipe --html audit.html     with pictures of the copies
  pipe audit study.pipe --format json | jq .copies

Every image is opened once, on all cores; a second audit reads only what changed. Exit codes: 0 nothing in the way,
1 images are missing or cannot be read, or two patients share a picture.")]
pub(super) struct Arguments {
    #[command(flatten)]
    study: StudyArguments,
    /// Text, or everything as one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Also write a page with pictures of the copies
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Where fingerprints are kept
    #[arg(long, value_name = "DIR", default_value = ".pipe")]
    store: PathBuf,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Pictures on the page are so wide and high.
const PICTURE: u32 = 160;
/// The page shows pictures of so many images.
const MOST_PICTURES: usize = 400;

pub(super) fn run(arguments: &Arguments) -> Outcomes {
    let dataset = match images(arguments) {
        Ok(dataset) => dataset,
        Err(outcome) => return outcome,
    };
    if matches!(dataset.origin, Origin::Phantoms { .. }) {
        talk("pipe: phantoms are drawn by pipe itself; there are no files to look at");
        return Outcomes::Usage;
    }
    let found = audit(&dataset, fingerprints(arguments, &dataset));
    let printed = print(&match arguments.format {
        Format::Text => report::audit_text(&found),
        Format::Json => serde_json::to_string(&found).unwrap_or_default() + "\n",
    });
    if printed != Outcomes::Done {
        return printed;
    }
    if let Some(path) = &arguments.html {
        let name =
            arguments.study.study.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let page = report::audit_page(&name, &found, &pictures(&dataset, &found));
        if let Err(error) = crate::store::write_whole(path, page.as_bytes()) {
            talk(&format!("pipe: {} cannot be written: {error}", visible(&path.display().to_string())));
            return Outcomes::Failed;
        }
        talk(&format!("{}: written", visible(&path.display().to_string())));
    }
    if found.has_errors() { Outcomes::Errors } else { Outcomes::Done }
}

/// The images of the study; what a check says of the data themselves does not keep them from being looked at.
fn images(arguments: &Arguments) -> Result<Dataset, Outcomes> {
    let study = &arguments.study;
    let outcome = study.check(&RealHost, Pick::Only)?;
    let about_data = |code: Code| code.id().starts_with("E02") || matches!(code, Code::E0302 | Code::E0306);
    let errors = outcome.problems.sorted().into_iter().filter(|problem| problem.severity == Severity::Error);
    let other = errors.filter(|problem| !about_data(problem.code)).count();
    if let Some(dataset) = outcome.datasets.into_iter().next().filter(|_| other == 0) {
        return Ok(dataset);
    }
    let draft = outcome.draft.filter(|_| other == 0);
    let looked = draft.as_ref().and_then(|draft| {
        let variant = draft.variants.first()?;
        data::build_unseen(&variant.study, &draft.base, &RealHost)
    });
    looked.ok_or_else(|| {
        study.tell(&outcome.map, &outcome.problems);
        study.tell_count(&outcome.problems);
        Outcomes::Errors
    })
}

/// What reading one image gave: its fingerprint, and what to remember of it.
struct Look {
    print: Result<Fingerprint, Failure>,
    read: Option<(PathBuf, Key, Stat)>,
}

/// The fingerprint of each image, from the store where the file did not change.
fn fingerprints(arguments: &Arguments, dataset: &Dataset) -> Vec<Result<Fingerprint, Failure>> {
    let store = Store::open(&arguments.store).ok();
    let mut digests = store.as_ref().map(Digests::open);
    let mut known = store.as_ref().map(Fingerprints::open);
    let bar = bar(arguments, dataset.images.len());
    let looks: Vec<Look> = (0..dataset.images.len())
        .into_par_iter()
        .map(|index| {
            let look = look(dataset, index, digests.as_ref(), known.as_ref());
            bar.inc(1);
            look
        })
        .collect();
    bar.finish_and_clear();
    let mut prints = Vec::with_capacity(looks.len());
    for look in looks {
        if let (Some((path, key, stat)), Ok(print)) = (&look.read, &look.print) {
            if let Some(digests) = &mut digests {
                digests.remember(path, key, *stat);
            }
            if let Some(known) = &mut known {
                known.remember(key, print);
            }
        }
        prints.push(look.print);
    }
    // what cannot be kept is read again another time
    let kept = digests.map_or(Ok(()), |mut digests| digests.save());
    let kept = kept.and(known.map_or(Ok(()), |mut known| known.save()));
    if let (Err(error), false) = (kept, arguments.quiet) {
        talk(&format!("pipe: fingerprints could not be kept: {error}"));
    }
    prints
}

fn look(dataset: &Dataset, index: usize, digests: Option<&Digests>, known: Option<&Fingerprints>) -> Look {
    let path = match (&dataset.origin, dataset.images.get(index)) {
        (Origin::Files { under }, Some(image)) => under.join(&image.name),
        (Origin::Files { .. } | Origin::Phantoms { .. }, _) => PathBuf::new(),
    };
    let remembered = digests.and_then(|digests| digests.remembered(&path, &RealHost));
    if let Some(print) = remembered.and_then(|key| known?.get(&key).cloned()) {
        return Look { print: Ok(print), read: None };
    }
    let stat = RealHost.stat(&path);
    let bytes = match read_image(dataset, &RealHost, index) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Look { print: Err(Failure::Missing), read: None },
        Err(error) => return Look { print: Err(Failure::Unreadable(error.to_string())), read: None },
    };
    let key = Key::of(&bytes);
    let print = match known.and_then(|known| known.get(&key)) {
        Some(print) => Ok(print.clone()),
        None => Fingerprint::of(&bytes).map_err(|error| Failure::Unreadable(error.to_string())),
    };
    Look { print, read: stat.ok().map(|stat| (path, key, stat)) }
}

fn bar(arguments: &Arguments, images: usize) -> ProgressBar {
    let bar = ProgressBar::new(images as u64);
    if arguments.quiet || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        return bar;
    }
    let style = ProgressStyle::with_template("looking at images  {bar:30} {pos}/{len}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Small pictures of the copies and of what looks inverted, as `data:` addresses.
fn pictures(dataset: &Dataset, found: &Audit) -> BTreeMap<usize, String> {
    let pairs = found.copies.iter().flat_map(|pair| [pair.first.index, pair.second.index]);
    let wanted: BTreeSet<usize> = pairs.take(MOST_PICTURES).collect();
    let step = Prepare::Resize { side: PICTURE, filter: Filter::Bilinear, fit: Fit::Pad };
    let picture = |index: usize| {
        let pixels = images::decode(&read_image(dataset, &RealHost, index).ok()?).ok()?;
        let png = preview::encode_png(&images::prepare(std::slice::from_ref(&step), pixels));
        let text = base64::engine::general_purpose::STANDARD.encode(png);
        Some((index, format!("data:image/png;base64,{text}")))
    };
    let wanted: Vec<usize> = wanted.into_iter().collect();
    wanted.into_par_iter().filter_map(picture).collect()
}
