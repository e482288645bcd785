//! A weight file from the Hugging Face hub into the cache that its Python client uses.
//!
//! As that client does it: a HEAD request gives the commit, the size and the SHA-256; the bytes go to
//! `blobs/<digest>.incomplete`, where a later attempt goes on; a whole file of the right digest is renamed to
//! `blobs/<digest>`, and `snapshots/<commit>/` and `refs/<revision>` lead to it. Nothing else ever appears in the
//! cache. The only place that opens a socket.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::{Agent, AgentBuilder, Request, Response};

use super::lookup::{Repository, default_caches};

/// The file of a repository that holds its weights.
const FILE: &str = "model.safetensors";
/// How often a request is made before a busy or broken line is given up.
const ATTEMPTS: u32 = 5;
/// How long a server may ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
/// Bytes that show that a line works after all.
const FRUITFUL: u64 = 1 << 20;
/// Largest weight file there is any use for.
const LARGEST: u64 = 1 << 36;

/// The hub, and where its files go.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Its address, without a slash at the end.
    pub endpoint: String,
    /// The user's token, for repositories that are not public.
    pub token: Option<String>,
    /// The cache.
    pub cache: PathBuf,
    /// The wait after a first attempt that failed; it doubles.
    pub pause: Duration,
}

/// Why the hub gave no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubError {
    /// There is no folder for a cache: no home.
    NoCache,
    /// 401 or 403.
    NotAllowed {
        /// The repository.
        repository: String,
    },
    /// 404: no such repository, revision or file.
    Missing {
        /// The address.
        address: String,
    },
    /// 429, 5xx or no answer, `ATTEMPTS` times.
    Unreachable {
        /// The address.
        address: String,
        /// The last that happened.
        reason: String,
    },
    /// An answer that is none of a hub's.
    Garbage {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// All bytes came, and they are others than the hub says.
    Digest {
        /// The address.
        address: String,
        /// The SHA-256 that the hub states.
        wanted: String,
        /// That of the bytes.
        got: String,
    },
    /// The cache cannot be written.
    Disk {
        /// What was to be written.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCache => write!(f, "there is no folder for downloads: neither HF_HOME nor HOME is set"),
            Self::NotAllowed { repository } => write!(f, "the hub does not let you read `{repository}`"),
            Self::Missing { address } => write!(f, "the hub has no {address}"),
            Self::Unreachable { address, reason } => {
                write!(f, "{address} could not be fetched, {ATTEMPTS} times: {reason}")
            }
            Self::Garbage { address, reason } => write!(f, "{address} is no file of a hub: {reason}"),
            Self::Digest { address, wanted, got } => {
                write!(f, "{address} came with SHA-256 {got} instead of {wanted}; it was thrown away")
            }
            Self::Disk { path, reason } => write!(f, "cannot write {}: {reason}", path.display()),
        }
    }
}

impl HubError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::NoCache => "set HF_HOME to a folder with room",
            Self::NotAllowed { .. } => {
                "accept its terms on the hub's page and set HF_TOKEN to a token of yours that may read it"
            }
            Self::Missing { .. } => "check the name and the revision",
            Self::Unreachable { .. } => "try again later: what came is kept; or copy the file to a `weights` folder",
            Self::Garbage { .. } => "is HF_ENDPOINT right, and is there a proxy that answers with a page of its own?",
            Self::Digest { .. } => "try again; if it stays so, a proxy or the mirror in HF_ENDPOINT changes files",
            Self::Disk { .. } => "make room or set HF_HOME to another folder; what came is kept",
        }
        .to_owned()
    }
}

/// What the hub says of a file.
struct Facts {
    commit: String,
    sha256: String,
    size: u64,
}

impl Hub {
    /// The hub as this machine's environment sets it: `HF_ENDPOINT`, `HF_TOKEN` (or the token that `hf auth login`
    /// left in `HF_HOME`), and the cache of [`default_caches`].
    ///
    /// # Errors
    /// [`HubError::NoCache`].
    pub fn of_environment() -> Result<Self, HubError> {
        let set = |name: &str| std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|t| !t.is_empty());
        let cache = default_caches().into_iter().next().ok_or(HubError::NoCache)?;
        let kept = || {
            let path = set("HF_TOKEN_PATH").map_or_else(|| cache.with_file_name("token"), PathBuf::from);
            fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: set("HF_TOKEN").or_else(kept),
            cache,
            pause: Duration::from_secs(1),
        })
    }

    /// Fetches a repository's weights; a file that is whole in the cache is not fetched again.
    ///
    /// `tell` hears how many bytes are there and how many there will be.
    ///
    /// # Errors
    /// See [`HubError`]. What came of a file stays as `.incomplete`, unless its digest was wrong.
    pub fn fetch(&self, of: &Repository, tell: &mut dyn FnMut(u64, u64)) -> Result<PathBuf, HubError> {
        let address = format!("{}/{}/resolve/{}/{FILE}", self.endpoint, of.name, of.revision.replace('/', "%2F"));
        let facts = self.facts(&address, of)?;
        let folder = self.cache.join(of.folder());
        let blobs = folder.join("blobs");
        let blob = blobs.join(&facts.sha256);
        make(&blobs)?;
        // The lock that the hub's own client takes.
        let lock = self.cache.join(".locks").join(of.folder()).join(format!("{}.lock", facts.sha256));
        lock.parent().map_or(Ok(()), make)?;
        let lock = File::create(&lock).map_err(|error| disk(&lock, &error))?;
        lock.lock().map_err(|error| disk(&blob, &error))?;
        if fs::metadata(&blob).map_or(true, |found| found.len() != facts.size) {
            self.download(&address, of, &facts, &blob, tell)?;
        }
        publish(&folder, &blob, of, &facts)
    }

    fn facts(&self, address: &str, of: &Repository) -> Result<Facts, HubError> {
        let asking = agent(0);
        let mut at = address.to_owned();
        for _ in 0..ATTEMPTS {
            let answer = self.ask(&at, of, &|| asking.head(&at))?;
            let header = |name: &str| answer.header(name);
            // A renamed repository is redirected within the hub; its file's store lies elsewhere.
            match header("location") {
                Some(place) if place.starts_with('/') && answer.status() >= 300 => {
                    at = format!("{}{place}", self.endpoint);
                    continue;
                }
                Some(_) | None => {}
            }
            let garbage = |reason: &str| HubError::Garbage { address: address.to_owned(), reason: reason.to_owned() };
            let commit = header("x-repo-commit").filter(|commit| is_hex(commit, 40));
            let tag = header("x-linked-etag").or_else(|| header("etag")).unwrap_or_default();
            let tag = tag.trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
            let size = header("x-linked-size").or_else(|| header("content-length")).and_then(|text| text.parse().ok());
            let commit = commit.ok_or_else(|| garbage("it names no commit"))?;
            if !is_hex(&tag, 64) {
                return Err(garbage("it states no SHA-256"));
            }
            return match size {
                Some(size @ 1..=LARGEST) => Ok(Facts { commit: commit.to_owned(), sha256: tag, size }),
                Some(_) | None => Err(garbage("it states no size that a weight file has")),
            };
        }
        Err(HubError::Garbage { address: address.to_owned(), reason: "it leads round in a circle".to_owned() })
    }

    /// An answer below 400; waits and asks again where another attempt may help.
    fn ask(&self, address: &str, of: &Repository, request: &dyn Fn() -> Request) -> Result<Response, HubError> {
        let garbage = |status: u16| HubError::Garbage {
            address: address.to_owned(),
            reason: format!("it was answered with status {status}"),
        };
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS {
            let mut wait = self.pause.saturating_mul(1 << attempt);
            let request = match &self.token {
                Some(token) => request().set("Authorization", &format!("Bearer {token}")),
                None => request(),
            };
            match request.call() {
                Ok(answer) => return Ok(answer),
                Err(ureq::Error::Status(401 | 403, _)) => {
                    return Err(HubError::NotAllowed { repository: of.name.clone() });
                }
                Err(ureq::Error::Status(404, _)) => return Err(HubError::Missing { address: address.to_owned() }),
                Err(ureq::Error::Status(status @ (408 | 429 | 500..), answer)) => {
                    let after = answer.header("retry-after").and_then(|text| text.parse().ok());
                    wait = after.map_or(wait, Duration::from_secs).min(LONGEST_WAIT);
                    reason = format!("it was answered with status {status}");
                }
                Err(ureq::Error::Status(status, _)) => return Err(garbage(status)),
                Err(ureq::Error::Transport(error)) => reason = error.to_string(),
            }
            if attempt + 1 < ATTEMPTS {
                std::thread::sleep(wait);
            }
        }
        Err(HubError::Unreachable { address: address.to_owned(), reason })
    }

    /// The bytes into `blob`, by way of `.incomplete`.
    fn download(
        &self,
        address: &str,
        of: &Repository,
        facts: &Facts,
        blob: &Path,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<(), HubError> {
        let agent = agent(5);
        let partial = blob.with_extension("incomplete");
        let on_disk = |error: &io::Error| disk(&partial, error);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(&partial).map_err(|error| on_disk(&error))?;
        let mut sum = Sha256::new();
        let mut have = io::copy(&mut file, &mut sum).map_err(|error| on_disk(&error))?;
        let mut reason = "it ended before its end".to_owned();
        let mut fruitless = 0;
        while have != facts.size {
            if have > facts.size {
                (have, sum) = (0, Sha256::new());
                empty(&mut file).map_err(|error| on_disk(&error))?;
            }
            if fruitless == ATTEMPTS {
                return Err(HubError::Unreachable { address: address.to_owned(), reason });
            }
            let request = || match have {
                0 => agent.get(address),
                have => agent.get(address).set("Range", &format!("bytes={have}-")),
            };
            let answer = self.ask(address, of, &request)?;
            if have > 0 && answer.status() != 206 {
                // A server that knows no ranges begins anew.
                (have, sum) = (0, Sha256::new());
                empty(&mut file).map_err(|error| on_disk(&error))?;
            }
            let before = have;
            // One byte more than there should be is enough to see that it is another file.
            let mut body = answer.into_reader().take(facts.size - have + 1);
            let mut chunk = vec![0; 1 << 16];
            loop {
                match body.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(count) => {
                        let bytes = chunk.get(..count).unwrap_or_default();
                        file.write_all(bytes).map_err(|error| on_disk(&error))?;
                        sum.update(bytes);
                        have += count as u64;
                        tell(have.min(facts.size), facts.size);
                    }
                    Err(error) => {
                        reason = error.to_string();
                        break;
                    }
                }
            }
            fruitless = if have.saturating_sub(before) >= FRUITFUL { 0 } else { fruitless + 1 };
            if have > facts.size {
                break;
            }
            if have < facts.size {
                std::thread::sleep(self.pause);
            }
        }
        let got = format!("{:x}", sum.finalize());
        if got != facts.sha256 {
            fs::remove_file(&partial).map_err(|error| on_disk(&error))?;
            return Err(HubError::Digest { address: address.to_owned(), wanted: facts.sha256.clone(), got });
        }
        file.sync_all().map_err(|error| on_disk(&error))?;
        fs::rename(&partial, blob).map_err(|error| disk(blob, &error))
    }
}

/// A line on which nothing moves for a minute is broken. A token is never sent on to where a redirect leads.
fn agent(redirects: u32) -> Agent {
    AgentBuilder::new()
        .timeout_connect(Duration::from_secs(20))
        .timeout_read(Duration::from_mins(1))
        .redirects(redirects)
        .try_proxy_from_env(true)
        .user_agent(concat!("pipe-lang/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn empty(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn disk(path: &Path, error: &io::Error) -> HubError {
    HubError::Disk { path: path.to_owned(), reason: error.to_string() }
}

fn make(folder: &Path) -> Result<(), HubError> {
    fs::create_dir_all(folder).map_err(|error| disk(folder, &error))
}

/// `snapshots/<commit>/model.safetensors` leads to the blob, `refs/<revision>` to the commit.
fn publish(folder: &Path, blob: &Path, of: &Repository, facts: &Facts) -> Result<PathBuf, HubError> {
    let snapshot = folder.join("snapshots").join(&facts.commit);
    make(&snapshot)?;
    let path = snapshot.join(FILE);
    if !path.exists() {
        lead(blob, &facts.sha256, &path).map_err(|error| disk(&path, &error))?;
    }
    if of.revision != facts.commit {
        let name = folder.join("refs").join(&of.revision);
        let parent = name.parent().unwrap_or(folder);
        make(parent)?;
        let mut draft = tempfile::NamedTempFile::new_in(parent).map_err(|error| disk(&name, &error))?;
        draft.write_all(facts.commit.as_bytes()).map_err(|error| disk(&name, &error))?;
        draft.persist(&name).map_err(|error| disk(&name, &error.error))?;
    }
    Ok(path)
}

/// A relative link as the hub's own client makes it; a second copy where there are no links.
fn lead(blob: &Path, digest: &str, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let _ = blob;
        let _ = fs::remove_file(path); // a link that leads nowhere
        std::os::unix::fs::symlink(Path::new("..").join("..").join("blobs").join(digest), path)
    }
    #[cfg(not(unix))]
    {
        let _ = digest;
        let draft = path.with_extension("draft");
        fs::copy(blob, &draft)?;
        fs::rename(draft, path)
    }
}
