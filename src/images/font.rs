//! A face of three by five dots for captions: digits, capitals and a few signs.

use super::Pixels;

/// Five rows of three dots, the leftmost in the highest bit, of the characters of `LETTERS` in order.
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/()=+%#";
const DOTS: [[u8; 5]; 48] = [
    [0b010, 0b101, 0b111, 0b101, 0b101],
    [0b110, 0b101, 0b110, 0b101, 0b110],
    [0b011, 0b100, 0b100, 0b100, 0b011],
    [0b110, 0b101, 0b101, 0b101, 0b110],
    [0b111, 0b100, 0b110, 0b100, 0b111],
    [0b111, 0b100, 0b110, 0b100, 0b100],
    [0b011, 0b100, 0b101, 0b101, 0b011],
    [0b101, 0b101, 0b111, 0b101, 0b101],
    [0b111, 0b010, 0b010, 0b010, 0b111],
    [0b001, 0b001, 0b001, 0b101, 0b010],
    [0b101, 0b101, 0b110, 0b101, 0b101],
    [0b100, 0b100, 0b100, 0b100, 0b111],
    [0b101, 0b111, 0b111, 0b101, 0b101],
    [0b110, 0b101, 0b101, 0b101, 0b101],
    [0b010, 0b101, 0b101, 0b101, 0b010],
    [0b110, 0b101, 0b110, 0b100, 0b100],
    [0b010, 0b101, 0b101, 0b110, 0b011],
    [0b110, 0b101, 0b110, 0b101, 0b101],
    [0b011, 0b100, 0b010, 0b001, 0b110],
    [0b111, 0b010, 0b010, 0b010, 0b010],
    [0b101, 0b101, 0b101, 0b101, 0b111],
    [0b101, 0b101, 0b101, 0b101, 0b010],
    [0b101, 0b101, 0b111, 0b111, 0b101],
    [0b101, 0b101, 0b010, 0b101, 0b101],
    [0b101, 0b101, 0b010, 0b010, 0b010],
    [0b111, 0b001, 0b010, 0b100, 0b111],
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b110, 0b001, 0b010, 0b100, 0b111],
    [0b110, 0b001, 0b010, 0b001, 0b110],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b110, 0b001, 0b110],
    [0b011, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b010, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b110],
    [0b000, 0b000, 0b111, 0b000, 0b000],
    [0b000, 0b000, 0b000, 0b000, 0b111],
    [0b000, 0b000, 0b000, 0b000, 0b010],
    [0b000, 0b000, 0b000, 0b010, 0b100],
    [0b000, 0b010, 0b000, 0b010, 0b000],
    [0b001, 0b001, 0b010, 0b100, 0b100],
    [0b001, 0b010, 0b010, 0b010, 0b001],
    [0b100, 0b010, 0b010, 0b010, 0b100],
    [0b000, 0b111, 0b000, 0b111, 0b000],
    [0b000, 0b010, 0b111, 0b010, 0b000],
    [0b101, 0b001, 0b010, 0b100, 0b101],
    [0b101, 0b111, 0b101, 0b111, 0b101],
];

/// Writes a line in white, each dot `size` pixels wide; what leaves the image is cut off.
pub(super) fn write(image: &mut Pixels, line: &str, (left, top): (u32, u32), size: u32) {
    let mut x = left;
    for letter in line.chars() {
        if x >= image.width {
            break;
        }
        for (y, dots) in (0u32..).zip(dots(letter)) {
            for column in (0..3).filter(|column| dots >> (2 - column) & 1 == 1) {
                square(image, x + column * size, top + y * size, size);
            }
        }
        x = x.saturating_add(4 * size);
    }
}

fn dots(letter: char) -> [u8; 5] {
    if letter.is_whitespace() {
        return [0; 5];
    }
    let capital = letter.to_ascii_uppercase();
    let place = LETTERS.chars().position(|known| known == capital);
    place.and_then(|place| DOTS.get(place)).copied().unwrap_or([0, 0, 0b010, 0, 0])
}

fn square(image: &mut Pixels, left: u32, top: u32, size: u32) {
    let channels = usize::from(image.channels);
    let stride = image.stride();
    for row in image.data.chunks_exact_mut(stride).skip(top as usize).take(size as usize) {
        for byte in row.iter_mut().skip(left as usize * channels).take(size as usize * channels) {
            *byte = 255;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_has_its_own_dots() {
        assert_eq!(LETTERS.chars().count(), DOTS.len());
        for (first, dots) in DOTS.iter().enumerate() {
            assert!(!DOTS.iter().skip(first + 1).any(|other| other == dots), "letter {first} is there twice");
        }
    }
}
