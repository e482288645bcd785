//! A mistyped word becomes the word that was probably meant.

/// Fewest letters of a beginning that still hints at the whole word.
const SHORTEST_BEGINNING: usize = 4;

/// The candidate nearest to `word`, if one is near enough to be worth naming; the first one among equals.
///
/// Near are words that differ only in case or in `-`, `_` and blanks, words at most two typing slips away
/// (Damerau and Levenshtein; one slip for words under five letters, none for words under three), and words that
/// begin with `word` when that has four letters or more.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = folded(word);
    let most = match wanted.chars().count() {
        0..=2 => 0,
        3..=4 => 1,
        _ => 2,
    };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let known = folded(candidate);
        if wanted.is_empty() || known.is_empty() {
            continue;
        }
        let slips = strsim::damerau_levenshtein(&wanted, &known);
        let rank = if candidate == word {
            0
        } else if slips == 0 {
            1
        } else if slips <= most && 2 * slips < known.chars().count() {
            1 + slips
        } else if wanted.chars().count() >= SHORTEST_BEGINNING && known.starts_with(&wanted) {
            4
        } else {
            continue;
        };
        if best.is_none_or(|(least, _)| rank < least) {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn folded(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_of_the_finger_find_their_word() {
        let settings = ["loss", "optimizer", "schedule", "epochs", "batch", "precision"];
        assert_eq!(nearest("bacth", settings), Some("batch"));
        assert_eq!(nearest("epoch", settings), Some("epochs"));
        assert_eq!(nearest("optimiser", settings), Some("optimizer"));
        assert_eq!(nearest("focall", ["cross_entropy", "focal", "kl"]), Some("focal"));
    }

    #[test]
    fn case_and_separators_do_not_count() {
        assert_eq!(nearest("Patient Id", ["Patient Age", "Patient ID"]), Some("Patient ID"));
        assert_eq!(nearest("soft-f1", ["macro_f1", "soft_f1"]), Some("soft_f1"));
        assert_eq!(nearest("KL", ["focal", "kl"]), Some("kl"));
    }

    #[test]
    fn beginnings_hint_at_the_whole() {
        assert_eq!(nearest("efficientnet", ["resnet50", "efficientnet_b0"]), Some("efficientnet_b0"));
        assert_eq!(nearest("eff", ["efficientnet_b0"]), None);
    }

    #[test]
    fn unrelated_words_get_no_hint() {
        assert_eq!(nearest("lr", ["kl", "p"]), None);
        assert_eq!(nearest("age", ["sex", "path"]), None);
        assert_eq!(nearest("zebra", ["focal", "kl", "batch"]), None);
        assert_eq!(nearest("", ["a"]), None);
    }
}
