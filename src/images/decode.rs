//! Bytes of a PNG or JPEG file become [`Pixels`], under limits that are checked before anything is allocated.
//!
//! The files are hostile: headers are read by our own few lines first, and sizes compared with the limits. Of a PNG
//! only the chunks that make the picture (IHDR, PLTE, IDAT, IEND) reach the decoder, so no compressed text or colour
//! profile is ever unpacked. Of a JPEG every segment must be there up to the end marker.
//!
//! What is done to the values: 1, 2 and 4 bits are spread over 0..255; 16 bits keep their upper eight (`>> 8`, so a
//! 12-bit picture in a 16-bit file comes out dark); palettes become colour; alpha is left out and nothing is put
//! behind it, as Pillow's `convert("RGB")` does; colour profiles, gamma and EXIF rotation are not looked at.

use std::borrow::Cow;
use std::fmt;
use std::io::{Cursor, ErrorKind};

use memchr::memchr;
use png::{ColorType, DecodingError, Transformations};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::Pixels;

/// The longest side that is decoded, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// The most pixels that are decoded.
pub const MAX_PIXELS: u64 = 100_000_000;
/// The most bytes a decoder may ask for, its result included.
const BUDGET: usize = 400 << 20;

/// Why a file gives no picture, in the user's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageError {
    /// No bytes at all.
    Empty,
    /// Neither format by its first bytes.
    NotAnImage,
    /// It ends before it should.
    Truncated,
    /// More pixels than the limits allow.
    TooLarge {
        /// Columns, as the header says.
        width: u32,
        /// Rows, as the header says.
        height: u32,
    },
    /// A kind of PNG or JPEG that is not read.
    Unsupported(String),
    /// It contradicts itself; what the decoder says.
    Damaged(String),
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty file"),
            Self::NotAnImage => f.write_str("not a PNG or JPEG"),
            Self::Truncated => f.write_str("truncated"),
            Self::TooLarge { width, height } => write!(f, "too large: {width} x {height}"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Damaged(what) => write!(f, "damaged: {what}"),
        }
    }
}

impl std::error::Error for ImageError {}

/// What a header says.
#[derive(Debug, Clone, Copy)]
struct Header {
    width: u32,
    height: u32,
    /// Channels in the file.
    channels: u8,
    /// Bytes a pixel while it is decoded.
    bytes: u64,
}

impl Header {
    fn allowed(self) -> Result<(), ImageError> {
        let Self { width, height, bytes, .. } = self;
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 {
            return Err(ImageError::Damaged(format!("{width} x {height} pixels")));
        }
        if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS || pixels.saturating_mul(bytes) > BUDGET as u64
        {
            return Err(ImageError::TooLarge { width, height });
        }
        Ok(())
    }
}

/// Size, channels and bits of a picture as its file has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Channels: 1 grey, 2 grey with alpha, 3 colour (palettes too), 4 colour with alpha.
    pub channels: u8,
    /// Bits a sample: 1, 2, 4, 8 or 16.
    pub bits: u8,
}

/// What the header of a PNG or JPEG says; nothing is decoded.
///
/// # Errors
/// As [`decode`], as far as headers tell.
pub fn kind(bytes: &[u8]) -> Result<Kind, ImageError> {
    if let Some(rest) = bytes.strip_prefix(PNG) {
        let header = png_header(rest.get(8..21).ok_or(ImageError::Truncated)?)?;
        header.allowed()?;
        let bits = rest.get(16).copied().unwrap_or(8);
        return Ok(Kind { width: header.width, height: header.height, channels: header.channels, bits });
    }
    if bytes.starts_with(JPEG) {
        let header = jpeg_header(bytes)?;
        return Ok(Kind { width: header.width, height: header.height, channels: header.channels, bits: 8 });
    }
    // the same words as when it is decoded
    decode(bytes).map(|pixels| Kind { width: pixels.width, height: pixels.height, channels: pixels.channels, bits: 8 })
}

/// Decodes a PNG or JPEG, told apart by its first bytes.
///
/// # Errors
/// [`ImageError`]: sizes beyond [`MAX_SIDE`], [`MAX_PIXELS`] or 400 MiB of memory, a file that ends early, damage.
pub fn decode(bytes: &[u8]) -> Result<Pixels, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if bytes.starts_with(PNG) {
        let (header, picture) = png_picture(bytes)?;
        header.allowed()?;
        return png(&picture, header);
    }
    if bytes.starts_with(JPEG) {
        let header = jpeg_header(bytes)?;
        header.allowed()?;
        return jpeg(bytes, header);
    }
    // The beginning of a magic number is a file that was cut short there.
    if PNG.starts_with(bytes) || JPEG.starts_with(bytes) {
        return Err(ImageError::Truncated);
    }
    Err(ImageError::NotAnImage)
}

fn png(picture: &[u8], header: Header) -> Result<Pixels, ImageError> {
    let plain = |error| match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => ImageError::Truncated,
        DecodingError::LimitsExceeded => ImageError::Damaged("it wants more memory than its size explains".to_owned()),
        DecodingError::IoError(_) | DecodingError::Format(_) | DecodingError::Parameter(_) => {
            ImageError::Damaged(error.to_string())
        }
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(picture), png::Limits { bytes: BUDGET });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(plain)?;
    let (width, height) = reader.info().size();
    // (channels after decoding, channels kept)
    let (samples, channels) = match reader.output_color_type().0 {
        ColorType::Grayscale => (1, 1),
        ColorType::GrayscaleAlpha => (2, 1),
        ColorType::Rgb | ColorType::Indexed => (3, 3),
        ColorType::Rgba => (4, 3),
    };
    let mut data = room(header, width, height, samples)?;
    reader.next_frame(&mut data).map_err(plain)?;
    if samples != channels {
        keep_first(&mut data, samples, channels);
    }
    whole(header, channels, data)
}

fn jpeg(bytes: &[u8], header: Header) -> Result<Pixels, ImageError> {
    let plain = |error: DecodeErrors| {
        if let DecodeErrors::Unsupported(what) = error {
            return ImageError::Unsupported(format!("{what:?}"));
        }
        ImageError::Damaged(error.to_string())
    };
    let side = MAX_SIDE as usize;
    let options = DecoderOptions::default().set_strict_mode(false).set_max_width(side).set_max_height(side);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(plain)?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (space, channels) = if grey { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(space));
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let mut data = room(header, u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0), channels)?;
    decoder.decode_into(&mut data).map_err(plain)?;
    whole(header, channels, data)
}

/// Room for an image of so many channels, whose sizes must be those of our header.
fn room(header: Header, width: u32, height: u32, channels: usize) -> Result<Vec<u8>, ImageError> {
    if (width, height) != (header.width, header.height) {
        return Err(ImageError::Damaged("its sizes contradict each other".to_owned()));
    }
    let bytes = (width as usize).saturating_mul(height as usize).saturating_mul(channels);
    if bytes > BUDGET {
        return Err(ImageError::TooLarge { width, height });
    }
    Ok(vec![0; bytes])
}

fn whole(header: Header, channels: usize, data: Vec<u8>) -> Result<Pixels, ImageError> {
    let channels = u8::try_from(channels).unwrap_or(0);
    let pixels = Pixels { width: header.width, height: header.height, channels, data };
    if !pixels.sound() {
        return Err(ImageError::Damaged("more or fewer pixels than it says".to_owned()));
    }
    Ok(pixels)
}

/// Keeps the first `channels` of `samples` a pixel, in place.
fn keep_first(data: &mut Vec<u8>, samples: usize, channels: usize) {
    let pixels = data.len() / samples;
    // What is written lies at or before what is read.
    for pixel in 0..pixels {
        data.copy_within(pixel * samples..pixel * samples + channels, pixel * channels);
    }
    data.truncate(pixels * channels);
}

/// First bytes of a PNG.
const PNG: &[u8] = &[0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n'];
/// First bytes of a JPEG: start of image, and the first byte of the next marker.
const JPEG: &[u8] = &[0xFF, 0xD8, 0xFF];

/// The header of a PNG, and the file with the picture's chunks alone.
fn png_picture(file: &[u8]) -> Result<(Header, Cow<'_, [u8]>), ImageError> {
    let mut rest = file.get(PNG.len()..).unwrap_or_default();
    let (mut chunks, mut others) = (vec![PNG], false);
    let mut header = None;
    loop {
        let (length, _) = rest.split_first_chunk::<4>().ok_or(ImageError::Truncated)?;
        let length = u32::from_be_bytes(*length) as usize;
        let kind = rest.get(4..8).ok_or(ImageError::Truncated)?;
        if header.is_none() {
            if kind != b"IHDR" || length != 13 {
                return Err(ImageError::Damaged("no image header".to_owned()));
            }
            header = Some(png_header(rest.get(8..21).ok_or(ImageError::Truncated)?)?);
            // Before anything else of a bomb is looked at.
            header.map_or(Ok(()), Header::allowed)?;
        }
        let (chunk, after) = rest.split_at_checked(length.saturating_add(12)).ok_or(ImageError::Truncated)?;
        if matches!(kind, b"IHDR" | b"PLTE" | b"IDAT" | b"IEND") {
            chunks.push(chunk);
        } else {
            others = true;
        }
        if let (b"IEND", Some(header)) = (kind, header) {
            let whole = file.len() - after.len();
            let picture = if others { Cow::Owned(chunks.concat()) } else { Cow::Borrowed(&file[..whole]) };
            return Ok((header, picture));
        }
        rest = after;
    }
}

fn png_header(data: &[u8]) -> Result<Header, ImageError> {
    let number =
        |at: usize| data.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok()).map(u32::from_be_bytes);
    let (Some(width), Some(height), Some(&[depth, colour])) =
        (number(0), number(4), data.get(8..10).and_then(<[u8]>::first_chunk))
    else {
        return Err(ImageError::Truncated);
    };
    let channels = match colour {
        0 => 1,
        4 => 2,
        2 | 3 => 3,
        _ => 4,
    };
    Ok(Header { width, height, channels, bytes: u64::from(channels) * u64::from(depth.div_ceil(8).max(1)) })
}

/// Walks the segments of a JPEG to its end marker, and says what the frame header says.
fn jpeg_header(bytes: &[u8]) -> Result<Header, ImageError> {
    let mut header = None;
    let mut scans = 0;
    let mut at = 2;
    loop {
        // To the next marker: 0xFF, more 0xFF as padding, and the marker's own byte.
        at += bytes.get(at..).and_then(|rest| memchr(0xFF, rest)).ok_or(ImageError::Truncated)?;
        let padding = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte != 0xFF));
        at += padding.ok_or(ImageError::Truncated)?;
        let marker = bytes.get(at).copied().ok_or(ImageError::Truncated)?;
        at += 1;
        match marker {
            0xD9 => {
                return match header {
                    Some(header) if scans > 0 => Ok(header),
                    _ => Err(ImageError::Damaged("no picture before its end".to_owned())),
                };
            }
            // Stuffed zero, TEM, restarts and another start: no length follows. In a scan's data the first and the
            // restarts are part of it, so this also walks over the scans.
            0x00 | 0x01 | 0xD0..=0xD8 => continue,
            0x02..=0xCF | 0xDA..=0xFF => {}
        }
        let length = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>).ok_or(ImageError::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let segment = bytes.get(at..at.saturating_add(length)).ok_or(ImageError::Truncated)?;
        // SOF0..SOF15, without DHT, JPG and DAC that stand between them.
        if (0xC0..=0xCF).contains(&marker) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
            let found = frame_header(segment, marker)?;
            found.allowed()?;
            header = Some(found);
        }
        if marker == 0xDA {
            scans += 1;
        }
        at += length.max(2);
    }
}

fn frame_header(segment: &[u8], marker: u8) -> Result<Header, ImageError> {
    // length (2), precision (1), rows (2), columns (2), components (1)
    let Some(&[_, _, precision, h1, h0, w1, w0, components]) = segment.first_chunk::<8>() else {
        return Err(ImageError::Damaged("a frame header too short".to_owned()));
    };
    if precision != 8 {
        return Err(ImageError::Unsupported(format!("a JPEG of {precision} bits")));
    }
    if !matches!(marker, 0xC0..=0xC2) {
        return Err(ImageError::Unsupported("a lossless, hierarchical or arithmetic JPEG".to_owned()));
    }
    // A progressive one keeps all its coefficients, two bytes each, beside the result.
    let bytes = u64::from(components) * if marker == 0xC2 { 3 } else { 1 };
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    Ok(Header { width: width.into(), height: height.into(), channels: components, bytes: bytes.max(1) })
}
