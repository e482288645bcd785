//! Pictures for people to look at: a contact sheet of rows of images with a caption each, and PNG files of them.

use super::Pixels;
use super::font;

/// Pixels between images.
const GAP: u32 = 6;
/// Height of a caption: five dots twice as large, and air.
const CAPTION: u32 = 18;
/// Grey of the ground.
const GROUND: u8 = 24;
/// The longest side a sheet may have; what does not fit is cut off.
const LONGEST: u32 = 16_384;

/// Rows of images on dark ground, each row under its caption.
///
/// Images keep their size. The sheet is grey if all of them are. Captions are set in capitals; what has no letter in
/// the built-in face shows as a dot. Rows without a caption have an empty one.
#[must_use]
pub fn contact_sheet(rows: &[Vec<Pixels>], labels: &[String]) -> Pixels {
    let channels = if rows.iter().flatten().any(|image| image.channels == 3) { 3 } else { 1 };
    let tallest = |row: &[Pixels]| row.iter().map(|image| image.height).max().unwrap_or(0);
    let broad = |row: &[Pixels]| row.iter().map(|image| image.width.saturating_add(GAP)).fold(GAP, u32::saturating_add);
    let width = rows.iter().map(|row| broad(row)).max().unwrap_or(GAP).min(LONGEST);
    let height = rows.iter().map(|row| tallest(row).saturating_add(CAPTION + GAP)).fold(GAP, u32::saturating_add);
    let mut sheet = Pixels::black(width, height.min(LONGEST), channels);
    sheet.data.fill(GROUND);
    let mut top = GAP;
    for (place, row) in rows.iter().enumerate() {
        let caption = labels.get(place).map_or("", String::as_str);
        font::write(&mut sheet, caption, (GAP, top + 2), 2);
        let mut left = GAP;
        for image in row {
            paste(&mut sheet, image, left, top + CAPTION);
            left = left.saturating_add(image.width + GAP);
        }
        top = top.saturating_add(tallest(row) + CAPTION + GAP);
    }
    sheet
}

fn paste(sheet: &mut Pixels, image: &Pixels, left: u32, top: u32) {
    if !image.sound() {
        return;
    }
    let channels = usize::from(sheet.channels);
    let repeat = channels / usize::from(image.channels);
    let (stride, from) = (sheet.stride(), image.stride());
    let rows = sheet.data.chunks_exact_mut(stride).skip(top as usize).zip(image.data.chunks_exact(from));
    for (row, line) in rows {
        let source = line.iter().flat_map(|&level| std::iter::repeat_n(level, repeat));
        for (to, from) in row.iter_mut().skip(left as usize * channels).zip(source) {
            *to = from;
        }
    }
}

/// The bytes of an 8-bit PNG, grey or colour.
///
/// `pixels` must be what [`Pixels`] promises; one that is not becomes an empty file.
#[must_use]
pub fn encode_png(pixels: &Pixels) -> Vec<u8> {
    let mut bytes = Vec::new();
    if !pixels.sound() {
        return bytes;
    }
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width, pixels.height);
    encoder.set_color(if pixels.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(png::Filter::Adaptive);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels.data))
        .expect("invariant: a buffer of the right length is written to memory");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_reads_back() {
        for channels in [1, 3] {
            let mut pixels = Pixels::black(9, 5, channels);
            for (place, level) in pixels.data.iter_mut().enumerate() {
                *level = u8::try_from(place % 251).unwrap_or(0);
            }
            assert_eq!(super::super::decode(&encode_png(&pixels)), Ok(pixels));
        }
        assert!(encode_png(&Pixels { width: 3, height: 3, channels: 1, data: vec![] }).is_empty());
    }

    #[test]
    fn a_sheet_holds_every_image_where_it_belongs() {
        let grey = Pixels { data: vec![200; 16], ..Pixels::black(4, 4, 1) };
        let colour = Pixels { data: [9, 90, 250].repeat(12), ..Pixels::black(6, 2, 3) };
        let sheet = contact_sheet(&[vec![grey.clone(), colour], vec![grey.clone()]], &["p1 nodule".to_owned()]);
        assert_eq!((sheet.width, sheet.channels), (GAP + 4 + GAP + 6 + GAP, 3));
        assert_eq!(sheet.height, GAP + 2 * (4 + CAPTION + GAP));
        let at = |x: u32, y: u32| {
            let place = (y * sheet.width + x) as usize * 3;
            [sheet.data[place], sheet.data[place + 1], sheet.data[place + 2]]
        };
        assert_eq!(at(GAP, GAP + CAPTION), [200; 3]);
        assert_eq!(at(GAP + 4 + GAP + 5, GAP + CAPTION + 1), [9, 90, 250]);
        assert_eq!(at(GAP, GAP + CAPTION + 4 + GAP + CAPTION), [200; 3]);
        assert!(sheet.data.contains(&255), "the caption is there");
        let only_grey = contact_sheet(&[vec![grey]], &[]);
        assert_eq!(only_grey.channels, 1);
        assert!(contact_sheet(&[], &[]).sound());
    }
}
