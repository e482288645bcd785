//! `pipe weights`: which first weights there are, where they lie, what is in a file; fetching and converting them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Outcomes;
#[cfg(not(feature = "run"))]
use super::talk;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe weights list                                  what there is, under which licence, and what is here
  pipe weights fetch efficientnet_b0 noisy_student   into the Hugging Face cache, checked by its SHA-256
  pipe weights import model.pth --to model.safetensors
  pipe weights info model.safetensors")]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show each backbone's weights, their licence, and which are on this machine
    List {
        /// One backbone [default: all]
        backbone: Option<String>,
        #[command(flatten)]
        folders: Folders,
    },
    /// Print where the weights of a backbone lie on this machine
    Path {
        /// The backbone, as a study names it
        backbone: String,
        /// imagenet, imagenet21k or `noisy_student` [default: the backbone's first]
        word: Option<String>,
        #[command(flatten)]
        folders: Folders,
    },
    /// Fetch weights from the Hugging Face hub into its cache, where Python finds them too
    Fetch {
        /// A backbone, or `organisation/name` on the hub
        of: String,
        /// imagenet, imagenet21k or `noisy_student` [default: the backbone's first]
        word: Option<String>,
        /// A branch, a tag or a commit
        #[arg(long, value_name = "REVISION", default_value = "main")]
        revision: String,
        /// No progress
        #[arg(long, short)]
        quiet: bool,
    },
    /// Convert a file of PyTorch (.pth, .pt, .pth.tar), of the Keras libraries (.h5) or of vit-keras (.npz) to
    /// safetensors; nothing in it is run
    Import {
        /// The file
        file: PathBuf,
        /// Where the safetensors file goes
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// The backbone it must hold [default: found out]
        #[arg(long, value_name = "NAME")]
        backbone: Option<String>,
    },
    /// Check that a file is whole, finite and a backbone's
    Verify {
        /// A safetensors file
        file: PathBuf,
        /// The backbone it must fit [default: found out]
        #[arg(long, value_name = "NAME")]
        backbone: Option<String>,
        /// What its SHA-256 must be
        #[arg(long, value_name = "DIGEST")]
        sha256: Option<String>,
    },
    /// Print what a safetensors file holds: network, digest, notes, tensors
    Info {
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Folders {
    /// A folder with pretrained weights; may be given several times, `weights` is always looked at
    #[arg(long, value_name = "DIR")]
    weights: Vec<PathBuf>,
}

#[cfg(not(feature = "run"))]
pub(super) fn run(_arguments: &Arguments) -> Outcomes {
    talk("pipe: E0110: this build cannot read weights; build it with the default features");
    Outcomes::Failed
}

#[cfg(feature = "run")]
pub(super) use with_engine::{fetch, is_offline, named, refuse, run};

#[cfg(feature = "run")]
mod with_engine {
    use std::fmt::Write as _;
    use std::io::Write as _;
    use std::path::Path;

    use super::super::progress::Bytes;
    use super::super::{print, talk};
    use super::{Arguments, Folders, Outcomes, PathBuf, What};
    use crate::catalog::backbones::{BACKBONES, Backbone};
    use crate::diag::suggest::nearest;
    use crate::nn::weights::{self, Hub, HubError, Places, Repository, Source as _, Wanted, WeightsError};
    use crate::study::Weights;

    pub(in super::super) fn run(arguments: &Arguments) -> Outcomes {
        let done = match &arguments.what {
            What::List { backbone, folders } => list(backbone.as_deref(), folders),
            What::Path { backbone, word, folders } => path(backbone, word.as_deref(), folders),
            What::Fetch { of, word, revision, quiet } => fetch_named(of, word.as_deref(), revision, *quiet),
            What::Import { file, to, backbone } => import(file, to, backbone.as_deref()),
            What::Verify { file, backbone, sha256 } => verify(file, backbone.as_deref(), sha256.as_deref()),
            What::Info { file } => info(file),
        };
        done.unwrap_or_else(|outcome| outcome)
    }

    type Done = Result<Outcomes, Outcomes>;

    /// Tells what is wrong and what to do; ends with `outcome`.
    pub(in super::super) fn refuse(outcome: Outcomes, what: &str, help: Option<&str>) -> Outcomes {
        talk(&format!("pipe: {what}"));
        if let Some(help) = help {
            talk(&format!("  help: {help}"));
        }
        outcome
    }

    fn unfit(file: &Path, error: &WeightsError) -> Outcomes {
        refuse(Outcomes::Failed, &format!("{}: {error}", file.display()), error.help().as_deref())
    }

    pub(in super::super) fn named(name: &str) -> Result<Backbone, Outcomes> {
        Backbone::named(name).or_else(|| Backbone::of_timm(name)).ok_or_else(|| {
            let near = nearest(name, BACKBONES.names());
            let help = near.map(|near| format!("did you mean `{near}`?"));
            let help = help.unwrap_or_else(|| "`pipe weights list` shows them all".to_owned());
            refuse(Outcomes::Usage, &format!("there is no backbone called `{name}`"), Some(&help))
        })
    }

    /// The weights of a word, of the first there are if none is said.
    fn wanted(backbone: Backbone, word: Option<&str>) -> Result<Wanted, Outcomes> {
        let words = backbone.card().words();
        match word.or(words.first().copied()) {
            Some(word) if words.contains(&word) => Ok(Wanted::word(backbone, word)),
            Some(_) | None => {
                let there = if words.is_empty() { "none".to_owned() } else { words.join(", ") };
                let what = format!("`{}` has no such weights", backbone.name());
                Err(refuse(Outcomes::Usage, &what, Some(&format!("there are: {there}"))))
            }
        }
    }

    fn places(folders: &Folders) -> Places {
        let mut all = folders.weights.clone();
        all.push(PathBuf::from("weights"));
        Places::here(&all)
    }

    fn list(backbone: Option<&str>, folders: &Folders) -> Done {
        let places = places(folders);
        let one = backbone.map(named).transpose()?;
        let mut rows = vec![["backbone", "weights", "tag", "licence", "side", "here"].map(str::to_owned)];
        for backbone in Backbone::all().filter(|backbone| one.is_none_or(|one| one == *backbone)) {
            for word in backbone.card().words() {
                for pretrained in backbone.card().pretrained(word) {
                    let mut this = Wanted::word(backbone, word);
                    let of = format!("{}.", backbone.card().timm);
                    this.files.retain(|name| *name == format!("{of}{}.safetensors", pretrained.tag));
                    this.repositories.retain(|repository| repository.name == format!("timm/{of}{}", pretrained.tag));
                    let here = this.locate(&places).map_or_else(|_| "-".to_owned(), |path| path.display().to_string());
                    let side = pretrained.input.side.to_string();
                    let (tag, licence) = (pretrained.tag.to_owned(), pretrained.licence.to_owned());
                    rows.push([backbone.name().to_owned(), word.to_owned(), tag, licence, side, here]);
                }
            }
        }
        let mut widths = [0; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &rows {
            let line: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let _ = writeln!(text, "{}", line.join("  ").trim_end());
        }
        Ok(print(&text))
    }

    fn path(backbone: &str, word: Option<&str>, folders: &Folders) -> Done {
        let backbone = named(backbone)?;
        match wanted(backbone, word)?.locate(&places(folders)) {
            Ok(path) => Ok(print(&format!("{}\n", path.display()))),
            Err(error) => Err(refuse(Outcomes::Failed, &error.to_string(), error.help().as_deref())),
        }
    }

    /// Is the network not to be used? `flag` is `--offline`; else the variable of the hub's own client.
    pub(in super::super) fn is_offline(flag: bool) -> bool {
        let set = std::env::var("HF_HUB_OFFLINE").unwrap_or_default().to_ascii_lowercase();
        flag || matches!(set.as_str(), "1" | "true" | "yes" | "on")
    }

    /// Fetches a repository's weights from the hub, with progress on stderr.
    pub(in super::super) fn fetch(of: &Repository, quiet: bool) -> Result<PathBuf, HubError> {
        let bytes = Bytes::new(&of.name, quiet);
        let done = Hub::of_environment()?.fetch(of, &mut |have, all| bytes.on(have, all));
        bytes.clear();
        done
    }

    fn fetch_named(of: &str, word: Option<&str>, revision: &str, quiet: bool) -> Done {
        let sound = Weights::is_repository(of);
        let repository = if sound && word.is_none() {
            Repository { name: of.to_owned(), revision: revision.to_owned() }
        } else {
            let wanted = wanted(named(of)?, word)?;
            let first = wanted.repositories.into_iter().next().ok_or(Outcomes::Usage)?;
            Repository { revision: revision.to_owned(), ..first }
        };
        if !Weights::is_revision(revision) {
            return Err(refuse(Outcomes::Usage, &format!("{revision:?} is no branch, tag or commit"), None));
        }
        if is_offline(false) {
            let help = "unset HF_HUB_OFFLINE, or copy the file to a `weights` folder";
            return Err(refuse(Outcomes::Failed, "HF_HUB_OFFLINE is set, so nothing is fetched", Some(help)));
        }
        match fetch(&repository, quiet) {
            Ok(path) => Ok(print(&format!("{}\n", path.display()))),
            Err(error) => Err(refuse(Outcomes::Failed, &error.to_string(), Some(&error.help()))),
        }
    }

    fn import(file: &Path, to: &Path, backbone: Option<&str>) -> Done {
        let backbone = backbone.map(named).transpose()?;
        let bytes = std::fs::read(file).map_err(|error| {
            unfit(file, &WeightsError::Unreadable { path: file.to_owned(), reason: error.to_string() })
        })?;
        let made = weights::import(&bytes, backbone).map_err(|error| unfit(file, &error))?;
        let folder = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut draft| {
            draft.write_all(&made.bytes)?;
            draft.persist(to).map(drop).map_err(|error| error.error)
        });
        if let Err(error) = written {
            return Err(refuse(Outcomes::Failed, &format!("{} cannot be written: {error}", to.display()), None));
        }
        let head = made.report.head_classes.map_or_else(|| "no head".to_owned(), |n| format!("a head of {n} classes"));
        if let Some(normalize) = made.normalize {
            let word = normalize.word();
            talk(&format!(
                "its library prepares images as `normalize({word})` does: the file notes it, and studies take it"
            ));
        }
        talk(&format!("{}: {} tensors, {head}; use it with", made.backbone.name(), made.report.loaded));
        Ok(print(&format!("{}(weights = file(\"{}\"))\n", made.backbone.name(), to.display())))
    }

    fn verify(file: &Path, backbone: Option<&str>, sha256: Option<&str>) -> Done {
        let found = weights::read(file).map_err(|error| unfit(file, &error))?;
        if let Some(wanted) = sha256
            && !wanted.eq_ignore_ascii_case(&found.sha256)
        {
            let (path, wanted, got) = (file.to_owned(), wanted.to_owned(), found.sha256);
            return Err(unfit(file, &WeightsError::Digest { path, wanted, got }));
        }
        let backbone = backbone.map(named).transpose()?;
        let (backbone, _) = weights::verify(&found, backbone).map_err(|error| unfit(file, &error))?;
        Ok(print(&format!("{}  {}  {}\n", found.sha256, backbone.name(), file.display())))
    }

    fn info(file: &Path) -> Done {
        let found = weights::read(file).map_err(|error| unfit(file, &error))?;
        let seen = weights::look(&found).map_err(|error| unfit(file, &error))?;
        let mut text =
            format!("file      {}\nbytes     {}\nsha256    {}\n", file.display(), found.size(), found.sha256);
        match seen.backbone {
            Some(backbone) => {
                let _ = writeln!(text, "backbone  {}, timm's {}", backbone.name(), backbone.card().timm);
                let head = seen.head_classes.map_or_else(|| "none".to_owned(), |classes| format!("{classes} classes"));
                let _ = writeln!(text, "head      {head}");
                for pretrained in backbone.card().weights {
                    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    if name.contains(pretrained.tag) {
                        let _ = writeln!(text, "licence   {}, if it is timm's {}", pretrained.licence, pretrained.tag);
                    }
                }
            }
            None => {
                let _ = writeln!(text, "backbone  {}", seen.looks_like);
            }
        }
        for (key, value) in &seen.metadata {
            let _ = writeln!(text, "note      {key} = {value}");
        }
        let _ = writeln!(text, "tensors   {}", seen.tensors.len());
        for entry in &seen.tensors {
            let _ = writeln!(text, "  {} {} {:?}", entry.name, entry.data_type, entry.shape);
        }
        Ok(print(&text))
    }
}
