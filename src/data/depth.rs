//! The headers of some images: W0209 when a data set mixes grey values of different depth.
//!
//! Of a large data set `MOST` files are looked at, evenly spaced, and of each only its first bytes: a check must not
//! read gigabytes. Of deeper files only the upper eight bits are used, so a 12-bit picture kept in 16 bits comes out
//! dark beside its neighbours, and a network sees where a film came from.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::diag::Problems;
use crate::host::Host;
use crate::study::Places;

use super::{Dataset, Origin};

/// How many files are looked at.
const MOST: usize = 256;

/// Bits a value in a PNG or JPEG file, by its first bytes; palettes and JPEG have eight.
#[must_use]
pub fn bits(start: &[u8]) -> Option<u8> {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    if start.starts_with(&[0xFF, 0xD8]) {
        return Some(8);
    }
    // Signature, length, `IHDR`, width, height, depth.
    let depth = start.strip_prefix(PNG)?.get(16).copied()?;
    [1, 2, 4, 8, 16].contains(&depth).then_some(if depth < 8 { 8 } else { depth })
}

/// Tells of data sets that mix depths.
pub fn check(dataset: &Dataset, host: &dyn Host, places: &Places, problems: &mut Problems) {
    let Origin::Files { under } = &dataset.origin else { return };
    let all = dataset.images.len();
    let looked: Vec<&str> = (0..all.min(MOST))
        .filter_map(|turn| dataset.images.get(turn * all / all.min(MOST)))
        .map(|image| image.name.as_str())
        .collect();
    let found: Vec<Option<u8>> = looked.par_iter().map(|name| bits(&host.read_start(under, name, 32).ok()?)).collect();
    let mut of_depth: BTreeMap<u8, (usize, &str)> = BTreeMap::new();
    for (name, depth) in looked.iter().zip(found) {
        if let Some(depth) = depth {
            of_depth.entry(depth).or_insert((0, name)).0 += 1;
        }
    }
    let (Some((low, (shallow, _))), Some((high, (deep, first)))) =
        (of_depth.first_key_value(), of_depth.last_key_value())
    else {
        return;
    };
    if low != high {
        problems.mixed_depth((*low, *shallow), (*high, *deep), first, looked.len() < all, places.nearest("data.image"));
    }
}

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn depths_of_headers() {
        let png = |depth: u8| {
            let mut start = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x04\0\0\0\x04\0".to_vec();
            start.extend([depth, 0, 0, 0, 0]);
            start
        };
        assert_eq!([1, 8, 16].map(|depth| bits(&png(depth))), [Some(8), Some(8), Some(16)]);
        assert_eq!(bits(&png(3)), None);
        assert_eq!(bits(b"\xFF\xD8\xFF\xE0"), Some(8));
        assert_eq!(bits(b"\x89PNG"), None);
        assert_eq!(bits(b""), None);
    }
}
