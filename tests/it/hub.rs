//! Fetching weights, against a hub on this machine's loopback: what is asked for, what is kept, how it fails.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pipe::nn::weights::{Hub, HubError, Repository};
use sha2::{Digest as _, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const PLACE: &str = "models--lab--net";

/// A request: its first line and its headers, in lower case.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    headers: String,
}

impl Asked {
    fn is_head(&self) -> bool {
        self.line.starts_with("HEAD ")
    }

    /// Where the bytes asked for begin.
    fn from(&self) -> usize {
        let range = self.headers.split_once("range: bytes=").map(|(_, rest)| rest);
        range.and_then(|rest| rest.split('-').next()).map_or(0, |text| text.parse().unwrap())
    }
}

/// A server that answers each request with the bytes that `answer` gives for it, and closes.
fn serve(answer: impl Fn(usize, &Asked) -> Vec<u8> + Send + 'static) -> (String, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let mut stream: TcpStream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let line = lines.next().unwrap_or_default();
            let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|l| l.to_lowercase()).collect();
            let asked = Asked { line, headers: headers.join("\n") };
            log.lock().unwrap().push(asked.clone());
            let _ = stream.write_all(&answer(index, &asked));
        }
    });
    (address, asked)
}

fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// What the hub says to a HEAD: it leads elsewhere, and states the facts of the file there.
fn facts(bytes: &[u8]) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.invalid/x\r\nX-Repo-Commit: {COMMIT}\r\n\
         X-Linked-Etag: \"{}\"\r\nX-Linked-Size: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        digest(bytes),
        bytes.len()
    )
    .into_bytes()
}

fn status(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

/// The bytes from `from` on; a whole answer, of which `send` bytes are sent.
fn body(bytes: &[u8], from: usize, send: usize) -> Vec<u8> {
    let rest = &bytes[from..];
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len());
    [head.as_bytes(), &rest[..send.min(rest.len())]].concat()
}

fn hub(endpoint: String, cache: &Path) -> Hub {
    Hub { endpoint, token: Some("secret".to_owned()), cache: cache.to_owned(), pause: Duration::ZERO }
}

fn wanted(revision: &str) -> Repository {
    Repository { name: "lab/net".to_owned(), revision: revision.to_owned() }
}

fn fetch(hub: &Hub) -> Result<std::path::PathBuf, HubError> {
    hub.fetch(&wanted("main"), &mut |_, _| {})
}

/// Names of a cache's blobs.
fn blobs(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(cache.join(PLACE).join("blobs")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_file_is_fetched_once_into_the_layout_that_python_reads() {
    let bytes = content();
    let (endpoint, asked) =
        serve(
            move |_, asked| {
                if asked.is_head() { facts(&content()) } else { body(&content(), asked.from(), usize::MAX) }
            },
        );
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(endpoint, cache.path());
    let mut told = Vec::new();
    let path = hub.fetch(&wanted("main"), &mut |have, all| told.push((have, all))).unwrap();
    assert_eq!(path, cache.path().join(PLACE).join("snapshots").join(COMMIT).join("model.safetensors"));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(told.last(), Some(&(bytes.len() as u64, bytes.len() as u64)));
    assert!(told.len() > 10 && told.is_sorted());
    assert_eq!(fs::read_to_string(cache.path().join(PLACE).join("refs/main")).unwrap(), COMMIT);
    assert_eq!(blobs(cache.path()), [digest(&bytes)]);
    #[cfg(unix)]
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("../../blobs").join(digest(&bytes)));
    // A second time only the facts are asked for.
    fetch(&hub).unwrap();
    let lines: Vec<String> = asked.lock().unwrap().iter().map(|asked| asked.line.clone()).collect();
    let line = "/lab/net/resolve/main/model.safetensors HTTP/1.1";
    assert_eq!(lines, [format!("HEAD {line}"), format!("GET {line}"), format!("HEAD {line}")]);
    assert!(asked.lock().unwrap().iter().all(|asked| asked.headers.contains("authorization: bearer secret")));
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_was() {
    // Each answer breaks off after 450 kB.
    let (endpoint, asked) =
        serve(|_, asked| if asked.is_head() { facts(&content()) } else { body(&content(), asked.from(), 450_000) });
    let cache = tempfile::tempdir().unwrap();
    let path = fetch(&hub(endpoint, cache.path())).unwrap();
    assert_eq!(fs::read(path).unwrap(), content());
    let from: Vec<usize> = asked.lock().unwrap().iter().skip(1).map(Asked::from).collect();
    assert_eq!(from, [0, 450_000, 900_000]);
}

#[test]
fn what_an_earlier_run_left_is_used_and_checked() {
    let bytes = content();
    let blob = digest(&bytes);
    let (endpoint, asked) =
        serve(|_, asked| if asked.is_head() { facts(&content()) } else { body(&content(), asked.from(), usize::MAX) });
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join(PLACE).join("blobs");
    fs::create_dir_all(&folder).unwrap();
    let partial = folder.join(format!("{blob}.incomplete"));
    fs::write(&partial, &bytes[..1000]).unwrap();
    fetch(&hub(endpoint.clone(), cache.path())).unwrap();
    assert_eq!(asked.lock().unwrap().last().unwrap().from(), 1000);
    // Other bytes than the file's: they are thrown away, and the next attempt begins anew.
    fs::remove_file(folder.join(&blob)).unwrap();
    fs::write(&partial, [0; 1000]).unwrap();
    let error = fetch(&hub(endpoint.clone(), cache.path())).unwrap_err();
    assert!(matches!(&error, HubError::Digest { wanted, .. } if *wanted == blob), "{error}");
    assert_eq!(blobs(cache.path()), Vec::<String>::new());
    fetch(&hub(endpoint, cache.path())).unwrap();
    assert_eq!(blobs(cache.path()), [blob]);
}

#[test]
fn answers_that_are_no_file_are_called_by_their_name() {
    let failure = |answer: fn(usize, &Asked) -> Vec<u8>| {
        let (endpoint, asked) = serve(answer);
        let cache = tempfile::tempdir().unwrap();
        let error = fetch(&hub(endpoint, cache.path())).unwrap_err();
        assert!(!error.help().is_empty());
        assert!(!cache.path().join(PLACE).join("snapshots").exists(), "{error}");
        let count = asked.lock().unwrap().len();
        (error, count)
    };
    assert!(matches!(failure(|_, _| status("401 Unauthorized")), (HubError::NotAllowed { .. }, 1)));
    assert!(matches!(failure(|_, _| status("403 Forbidden")), (HubError::NotAllowed { .. }, 1)));
    assert!(matches!(failure(|_, _| status("404 Not Found")), (HubError::Missing { .. }, 1)));
    assert!(matches!(failure(|_, _| status("418 No")), (HubError::Garbage { .. }, 1)));
    let (busy, attempts) = failure(|_, _| status("429 Too Many Requests"));
    assert!(matches!(&busy, HubError::Unreachable { reason, .. } if reason.contains("429")), "{busy}");
    assert_eq!(attempts, 5);
    let (garbage, _) = failure(|_, _| body(b"<html>log in to this network</html>", 0, usize::MAX));
    assert!(matches!(&garbage, HubError::Garbage { reason, .. } if reason.contains("commit")), "{garbage}");
    let (circle, _) = failure(|_, _| {
        b"HTTP/1.1 307 Moved\r\nLocation: /a/b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
    });
    assert!(circle.to_string().contains("circle"), "{circle}");
    // A page instead of the file's bytes, and more bytes than there should be.
    let (longer, _) =
        failure(|_, asked| if asked.is_head() { facts(b"abc") } else { body(b"abcdefg", asked.from(), usize::MAX) });
    assert!(matches!(longer, HubError::Digest { .. }), "{longer}");
    let (half, _) = failure(|_, asked| if asked.is_head() { facts(&content()) } else { status("503 Busy") });
    assert!(matches!(&half, HubError::Unreachable { reason, .. } if reason.contains("503")), "{half}");
}

#[test]
fn a_busy_hub_is_asked_again() {
    let (endpoint, _) = serve(|index, asked| match index {
        0 => status("429 Too Many Requests"),
        2 => status("502 Bad Gateway"),
        _ if asked.is_head() => facts(&content()),
        _ => body(&content(), asked.from(), usize::MAX),
    });
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(fs::read(fetch(&hub(endpoint, cache.path())).unwrap()).unwrap(), content());
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let (endpoint, _) =
        serve(|_, asked| if asked.is_head() { facts(&content()) } else { body(&content(), asked.from(), usize::MAX) });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = fetch(&hub(endpoint, &file)).unwrap_err();
    assert!(matches!(&error, HubError::Disk { path, .. } if path.starts_with(&file)), "{error}");
}

#[test]
fn nobody_there_is_told_after_five_attempts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&hub(endpoint, cache.path())).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    assert!(fs::read_dir(cache.path()).unwrap().next().is_none());
}
