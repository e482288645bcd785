//! Numbers and lists as papers write them.

use crate::catalog::Family;

/// With an end.
pub(super) fn ended(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '?', '!']) { text.to_owned() } else { format!("{text}.") }
}

/// `1 image`, `5,216 images`; without a noun the number alone.
pub(super) fn count(n: usize, one: &str) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    match (n, one) {
        (_, "") => out,
        (1, one) => format!("{out} {one}"),
        (_, one @ ("class" | "batch")) => format!("{out} {one}es"),
        (_, one) => format!("{out} {one}s"),
    }
}

/// `1 epoch`, `0.5 epochs`
pub(super) fn epochs(n: f64) -> String {
    let n = n.to_string();
    if n == "1" { "1 epoch".to_owned() } else { format!("{n} epochs") }
}

/// `a`, `a and b`, `a, b and c`
pub(super) fn listed(items: &[String]) -> String {
    joined(items, "and")
}

/// `a`, `a or b`, `a, b or c`
pub(super) fn joined(items: &[String], last_by: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {last_by} {last}", first.join(", ")),
    }
}

/// `20 %`
pub(super) fn percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

/// `4`, `4 to 5`: from the smallest to the largest.
pub(super) fn between(numbers: &[usize], one: &str) -> String {
    match (numbers.iter().min(), numbers.iter().max()) {
        (Some(least), Some(most)) if least < most => format!("{} to {}", count(*least, ""), count(*most, one)),
        (Some(least), _) => count(*least, one),
        (None, _) => count(0, one),
    }
}

/// `name (note, note; source)`
pub(super) fn noted(name: &str, notes: &[String], source: &str) -> String {
    let notes = notes.join(", ");
    let inside: Vec<&str> = [notes.as_str(), source].into_iter().filter(|part| !part.is_empty()).collect();
    if inside.is_empty() { name.to_owned() } else { format!("{name} ({})", inside.join("; ")) }
}

/// Where the formula of an operation comes from.
pub(super) fn source(family: &Family, name: &str) -> &'static str {
    family.operation(name).map_or("", |operation| operation.source)
}

/// A condition without the language's marks.
pub(super) fn plain(condition: &str) -> String {
    condition.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_papers_do() {
        assert_eq!((count(1, "batch"), count(5216, "image")), ("1 batch".to_owned(), "5,216 images".to_owned()));
        assert_eq!((epochs(1.0), epochs(0.5)), ("1 epoch".to_owned(), "0.5 epochs".to_owned()));
        assert_eq!((percent(0.001), percent(0.0625), percent(0.2)), ("0.1 %".into(), "6.25 %".into(), "20 %".into()));
        assert_eq!(
            (between(&[5, 4], "patient"), between(&[1, 1], "patient")),
            ("4 to 5 patients".into(), "1 patient".into())
        );
    }
}
