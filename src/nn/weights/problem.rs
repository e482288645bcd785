//! What can be wrong with a weight file, as values; each says itself in one sentence.

use std::fmt;
use std::path::PathBuf;

use super::hub::HubError;
use super::lookup::Repository;

/// How many names of a kind are kept for the message.
const SHOWN: usize = 5;

/// The first few names of a kind, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The first five.
    pub first: Vec<String>,
    /// All of them.
    pub count: usize,
}

impl Named {
    pub(super) fn add(&mut self, name: impl Into<String>) {
        if self.first.len() < SHOWN {
            self.first.push(name.into());
        }
        self.count += 1;
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.first.iter().enumerate() {
            write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Why weights could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightsError {
    /// A Python pickle (torch.save): it can run code, so it is not opened.
    Pickle,
    /// Not a whole and sound safetensors file.
    NotSafetensors {
        /// What is wrong with it.
        reason: String,
    },
    /// Sound, but of another network.
    OtherModel {
        /// timm's name of ours.
        wanted: String,
        /// What the file looks like.
        looks_like: String,
    },
    /// Of our network, but not all of it fits.
    Mismatch {
        /// timm's name of ours.
        model: String,
        /// Tensors we have and the file has not.
        missing: Named,
        /// Tensors the file has and we have not.
        unexpected: Named,
        /// Tensors of another shape: ``name: [file] instead of [ours]``.
        misshapen: Named,
    },
    /// Not a sound file of torch.save.
    NotTorch {
        /// What is wrong with it.
        reason: String,
    },
    /// Not a sound file of the Keras libraries.
    NotKeras {
        /// What is wrong with it.
        reason: String,
    },
    /// A pickle that calls what no file of tensors needs.
    RunsCode {
        /// What it would call.
        global: String,
    },
    /// A tensor is of a type that is not read.
    DataType {
        /// The tensor.
        name: String,
        /// Its type.
        data_type: String,
    },
    /// A tensor holds NaN or an infinity.
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// The file could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// No file where one was looked for.
    NotFound {
        /// timm's name of the network.
        model: String,
        /// Every place looked at, in order.
        looked: Vec<PathBuf>,
        /// The repository to fetch.
        repository: Option<Repository>,
    },
    /// The file is not the one that was meant.
    Digest {
        /// The file.
        path: PathBuf,
        /// The SHA-256 that was asked for.
        wanted: String,
        /// Its SHA-256.
        got: String,
    },
    /// The hub gave no file.
    Hub(HubError),
    /// The file could not be put together.
    Unwritable {
        /// Why.
        reason: String,
    },
}

impl WeightsError {
    /// What to do about it, where something general can be said.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Pickle => {
                Some("convert it once; nothing in it is run:  pipe weights import FILE --to OUT.safetensors".into())
            }
            Self::NotFound { repository: Some(Repository { name, revision }), .. } => {
                let at = if revision == "main" { String::new() } else { format!(" --revision {revision}") };
                Some(format!(
                    "on a machine with internet: `pipe weights fetch {name}{at}`, or copy the file into one of these folders; or `weights = none`"
                ))
            }
            Self::NotFound { repository: None, .. } => Some("name a file, or write `weights = none`".into()),
            Self::Digest { .. } => {
                Some("is it the file you meant? If so, write its digest; if not, fetch it anew".into())
            }
            Self::Hub(error) => Some(error.help()),
            Self::OtherModel { .. } => Some("name the backbone that the file was made for".into()),
            Self::RunsCode { .. } => {
                Some("nothing was run; save its tensors alone:  torch.save(model.state_dict(), \"x.pth\")".into())
            }
            Self::DataType { .. } => Some("save it as 32-bit floats".into()),
            Self::NotSafetensors { .. }
            | Self::NotTorch { .. }
            | Self::NotKeras { .. }
            | Self::Mismatch { .. }
            | Self::NotFinite { .. }
            | Self::Unreadable { .. }
            | Self::Unwritable { .. } => None,
        }
    }
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pickle => write!(f, "a Python pickle, not weights: opening it can run code"),
            Self::NotSafetensors { reason } => write!(f, "not a safetensors file: {reason}"),
            Self::NotTorch { reason } => write!(f, "no PyTorch file that can be read: {reason}"),
            Self::NotKeras { reason } => write!(f, "no file of the Keras libraries that can be read: {reason}"),
            Self::RunsCode { global } => write!(f, "a pickle that would run code: it calls `{global}`"),
            Self::OtherModel { wanted, looks_like } => {
                write!(f, "weights of another network: wanted `{wanted}`, this looks like {looks_like}")
            }
            Self::Mismatch { model, missing, unexpected, misshapen } => {
                write!(f, "the weights do not fit `{model}`")?;
                for (word, names) in [("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen)]
                {
                    if names.count > 0 {
                        write!(f, "; {} {word}: {names}", names.count)?;
                    }
                }
                Ok(())
            }
            Self::DataType { name, data_type } => {
                write!(f, "`{name}` is of type {data_type}; F32, F16 and BF16 are read")
            }
            Self::NotFinite { name } => write!(f, "`{name}` holds a value that is not a finite number"),
            Self::Unreadable { path, reason } => write!(f, "cannot read {}: {reason}", path.display()),
            Self::NotFound { model, looked, .. } => {
                write!(f, "no weights of `{model}` found; looked at")?;
                looked.iter().try_for_each(|path| write!(f, "\n  {}", path.display()))
            }
            Self::Digest { path, wanted, got } => {
                write!(f, "{} has SHA-256 {got}, the study asks for {wanted}", path.display())
            }
            Self::Hub(error) => error.fmt(f),
            Self::Unwritable { reason } => write!(f, "cannot put the weight file together: {reason}"),
        }
    }
}

impl std::error::Error for WeightsError {}
