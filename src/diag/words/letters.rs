//! A word with a letter that only looks Latin becomes the word that it looks like.

/// Letters of other scripts that look like Latin ones, in the order of those.
const ALIKE: [(&str, &str, &str); 2] = [
    ("Cyrillic", "аеорсухіјѕһкАВЕКМНОРСТУХІЈЅ", "aeopcyxijshkABEKMHOPCTYXIJS"),
    ("Greek", "οανικρυτΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "oavikputABEZHIKMNOPTYX"),
];

/// A word of Latin letters but for some that only look so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disguised {
    /// What it looks like.
    pub(super) latin: String,
    /// The first letter that is none.
    pub(super) letter: char,
    pub(super) as_latin: char,
    pub(super) script: &'static str,
}

/// Tells a disguised word; a word wholly of another script is none.
pub(super) fn disguised(word: &str) -> Option<Disguised> {
    if !word.contains(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let letter = word.chars().find(|c| !c.is_ascii())?;
    let (as_latin, script) = alike(letter)?;
    let latin = word.chars().map(|c| if c.is_ascii() { Some(c) } else { alike(c).map(|(latin, _)| latin) });
    Some(Disguised { latin: latin.collect::<Option<_>>()?, letter, as_latin, script })
}

fn alike(letter: char) -> Option<(char, &'static str)> {
    ALIKE.iter().find_map(|(script, letters, latin)| {
        letters.chars().zip(latin.chars()).find(|(other, _)| *other == letter).map(|(_, latin)| (latin, *script))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mixed_words_are_disguised() {
        for (_, letters, latin) in ALIKE {
            assert_eq!(letters.chars().count(), latin.chars().count());
            assert!(latin.is_ascii() && letters.chars().all(|c| !c.is_ascii()));
        }
        let told = disguised("\u{435}p\u{43e}chs").map(|told| (told.latin, told.letter, told.as_latin, told.script));
        assert_eq!(told, Some(("epochs".to_owned(), '\u{435}', 'e', "Cyrillic")));
        assert_eq!(disguised("\u{3bf}ne").map(|told| told.script), Some("Greek"));
        for plain in ["größe", "рак", "epochs", "胸x", "2"] {
            assert_eq!(disguised(plain), None, "{plain}");
        }
    }
}
