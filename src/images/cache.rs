//! Prepared images of a data set in one file: made once on all cores, then read by position.
//!
//! One of the few parts that touch the disk: this file *is* the image store. It is written beside its place, synced
//! and renamed, so it is there whole or not at all; every record has a checksum over its number and its pixels that is
//! verified when it is read.
//!
//! ```text
//! header (40 bytes): "PIPEIMGS", version u32, channels u32, side u32, 0 u32, count u64, checksum of these
//! record (count times): side * side * channels bytes, checksum (8 bytes)
//! ```
//! Numbers are little-endian; checksums are the first eight bytes of BLAKE3.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::Pixels;

const MAGIC: &[u8; 8] = b"PIPEIMGS";
const VERSION: u32 = 1;
const HEADER: usize = 40;
const CHECKSUM: usize = 8;
/// Images between two looks at whether one failed; fixed, so that the same ones are reported on any machine.
const CHUNK: usize = 512;
/// Failures that are reported.
const REPORTED: usize = 10;

/// Why a set could not be made.
#[derive(Debug)]
pub enum PrepareError<E> {
    /// These images (their numbers, ascending, at most ten) gave no pixels.
    Images(Vec<(usize, E)>),
    /// An image is not of the set's shape.
    Shape {
        /// Its number.
        index: usize,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Channels.
        channels: u8,
    },
    /// What the system says of the file.
    Io(io::Error),
}

impl<E> From<io::Error> for PrepareError<E> {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<E: fmt::Display> fmt::Display for PrepareError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images(failures) => {
                for (place, (index, error)) in failures.iter().enumerate() {
                    let between = if place == 0 { "" } else { "; " };
                    write!(f, "{between}image {index}: {error}")?;
                }
                Ok(())
            }
            Self::Shape { index, width, height, channels } => {
                write!(f, "image {index}: prepared to {width} x {height} with {channels} channels, unlike the others")
            }
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for PrepareError<E> {}

/// Prepared images on disk, all of one shape.
#[derive(Debug)]
pub struct PreparedSet {
    file: PositionedFile,
    count: usize,
    channels: u8,
    side: u32,
}

impl PreparedSet {
    /// Makes `count` images of `shape` (channels 1 or 3, side) on all cores and keeps them at `path`.
    ///
    /// `make` gives the image of a number; grey images are repeated into three channels where `shape` has three.
    /// `progress` hears how many are done, from any thread. The folder of `path` must exist.
    ///
    /// # Errors
    /// The failures of `make`, an image of another shape, what the system says. Then nothing is left at `path`.
    pub fn build<E: Send>(
        path: &Path,
        count: usize,
        shape: (u8, u32),
        make: impl Fn(usize) -> Result<Pixels, E> + Sync,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, PrepareError<E>> {
        let (channels, side) = shape;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default();
        let mut beside = tempfile::Builder::new().prefix(name).suffix(".tmp").tempfile_in(folder)?;
        beside.write_all(&header(count, channels, side))?;
        let file = PositionedFile::new(beside.reopen()?);
        let set = Self { file, count, channels, side };
        // Running out of space is heard here rather than at the last image.
        beside.as_file().set_len(set.length())?;

        let done = AtomicUsize::new(0);
        let mut start = 0;
        while start < count {
            let end = count.min(start + CHUNK);
            let outcomes: Vec<(usize, Outcome<E>)> = (start..end)
                .into_par_iter()
                .filter_map(|index| {
                    let outcome = set.store(index, &make);
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1);
                    outcome.err().map(|outcome| (index, outcome))
                })
                .collect();
            report(outcomes)?;
            start = end;
        }
        beside.as_file().sync_all()?;
        beside.persist(path).map_err(|error| error.error)?;
        sync_folder(folder)?;
        Ok(set)
    }

    /// Opens a set and checks its header and its length.
    ///
    /// # Errors
    /// `InvalidData` for a file that is not a whole set of this version; what the system says otherwise.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let file = PositionedFile::new(file);
        let mut head = [0; HEADER];
        if length < HEADER as u64 {
            return Err(damaged("too short to be a set of prepared images"));
        }
        file.read_exact_at(&mut head, 0)?;
        let number = |at: usize| {
            let four = head.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
            four.map_or(0, u32::from_le_bytes)
        };
        if !head.starts_with(MAGIC) || number(8) != VERSION {
            return Err(damaged("not a set of prepared images of this version"));
        }
        let count = u64::from(number(24)) | u64::from(number(28)) << 32;
        let count = usize::try_from(count).map_err(|_| damaged("a damaged header"))?;
        let channels = u8::try_from(number(12)).unwrap_or(0);
        let set = Self { file, count, channels, side: number(16) };
        if head != header(count, channels, set.side) || !matches!(channels, 1 | 3) || set.side == 0 {
            return Err(damaged("a damaged header"));
        }
        let whole = u64::try_from(count).ok().and_then(|count| count.checked_mul(set.record() as u64));
        if whole.and_then(|records| records.checked_add(HEADER as u64)) != Some(length) {
            return Err(damaged("a set of prepared images that was cut short"));
        }
        Ok(set)
    }

    /// How many images there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Channels of every image, 1 or 3.
    #[must_use]
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// Side of every image in pixels.
    #[must_use]
    pub fn side(&self) -> u32 {
        self.side
    }

    /// Image `index`, its checksum verified.
    ///
    /// # Errors
    /// `InvalidInput` beyond the last image, `InvalidData` for damage, what the system says otherwise.
    pub fn get(&self, index: usize) -> io::Result<Pixels> {
        if index >= self.count {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("image {index} of {}", self.count)));
        }
        let mut data = vec![0; self.record()];
        self.file.read_exact_at(&mut data, self.position(index))?;
        let found = data.split_off(self.pixels());
        if found != checksum(index, &data) {
            return Err(damaged("a prepared image was damaged on disk; remove the cache file and run again"));
        }
        Ok(Pixels { width: self.side, height: self.side, channels: self.channels, data })
    }

    fn pixels(&self) -> usize {
        (self.side as usize).saturating_mul(self.side as usize).saturating_mul(usize::from(self.channels))
    }

    fn record(&self) -> usize {
        self.pixels().saturating_add(CHECKSUM)
    }

    fn position(&self, index: usize) -> u64 {
        (HEADER as u64).saturating_add((index as u64).saturating_mul(self.record() as u64))
    }

    fn length(&self) -> u64 {
        self.position(self.count)
    }

    fn store<E>(&self, index: usize, make: &impl Fn(usize) -> Result<Pixels, E>) -> Result<(), Outcome<E>> {
        let mut pixels = make(index).map_err(Outcome::Image)?;
        if self.channels == 3 {
            pixels = pixels.into_colour();
        }
        if (pixels.width, pixels.height, pixels.channels) != (self.side, self.side, self.channels) || !pixels.sound() {
            let Pixels { width, height, channels, .. } = pixels;
            return Err(Outcome::Shape { width, height, channels });
        }
        let mut record = pixels.data;
        record.extend_from_slice(&checksum(index, &record));
        self.file.write_all_at(&record, self.position(index)).map_err(Outcome::Io)
    }
}

/// What went wrong with one image.
enum Outcome<E> {
    Image(E),
    Shape { width: u32, height: u32, channels: u8 },
    Io(io::Error),
}

/// The failures of a chunk, in order of their numbers: those of images together, else the first of another kind.
fn report<E>(outcomes: Vec<(usize, Outcome<E>)>) -> Result<(), PrepareError<E>> {
    let mut failures = Vec::new();
    let mut other = None;
    for (index, outcome) in outcomes {
        match outcome {
            Outcome::Image(error) => failures.push((index, error)),
            Outcome::Shape { width, height, channels } => {
                other = other.or(Some(PrepareError::Shape { index, width, height, channels }));
            }
            Outcome::Io(error) => other = other.or(Some(PrepareError::Io(error))),
        }
    }
    if !failures.is_empty() {
        failures.truncate(REPORTED);
        return Err(PrepareError::Images(failures));
    }
    other.map_or(Ok(()), Err)
}

fn header(count: usize, channels: u8, side: u32) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    let parts: [&[u8]; 6] = [
        MAGIC,
        &VERSION.to_le_bytes(),
        &u32::from(channels).to_le_bytes(),
        &side.to_le_bytes(),
        &[0; 4],
        &(count as u64).to_le_bytes(),
    ];
    for (to, from) in head.iter_mut().zip(parts.concat()) {
        *to = from;
    }
    let (told, sum) = head.split_at_mut(HEADER - CHECKSUM);
    sum.copy_from_slice(&checksum(usize::MAX, told));
    head
}

fn checksum(index: usize, data: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(index as u64).to_le_bytes());
    hasher.update(data);
    let mut sum = [0; CHECKSUM];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Reads and writes at positions from many threads.
#[derive(Debug)]
struct PositionedFile {
    #[cfg(unix)]
    file: File,
    #[cfg(not(unix))]
    file: std::sync::Mutex<File>,
}

#[cfg(unix)]
impl PositionedFile {
    fn new(file: File) -> Self {
        Self { file }
    }

    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, position)
    }

    fn write_all_at(&self, buffer: &[u8], position: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, buffer, position)
    }
}

#[cfg(not(unix))]
impl PositionedFile {
    fn new(file: File) -> Self {
        Self { file: std::sync::Mutex::new(file) }
    }

    fn at(&self, position: u64) -> io::Result<std::sync::MutexGuard<'_, File>> {
        use std::io::Seek as _;
        // A thread that panicked in here leaves only a position behind, which is set anew.
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(io::SeekFrom::Start(position))?;
        Ok(file)
    }

    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        io::Read::read_exact(&mut *self.at(position)?, buffer)
    }

    fn write_all_at(&self, buffer: &[u8], position: u64) -> io::Result<()> {
        self.at(position)?.write_all(buffer)
    }
}
