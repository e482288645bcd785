//! The canonical layout, as the smallest edit that leads to it: places outside of what changes stay where they are.

use gen_lsp_types as lsp;

use super::places::Lines;
use super::server::Server;
use crate::syntax;

/// The edit that lays a document out; none for a text that is not understood, whose problems are shown anyway.
pub(super) fn format(server: &Server, params: &lsp::DocumentFormattingParams) -> Option<Vec<lsp::TextEdit>> {
    let page = &server.opened(&params.text_document.uri)?.page;
    let after = syntax::format(page.file, &page.text).ok()?;
    let Some((range, new_text)) = difference(&page.text, &after) else { return Some(Vec::new()) };
    let range = Lines::new(&page.text, server.shows.encoding).range(&range);
    Some(vec![lsp::TextEdit { range, new_text }])
}

/// The bytes between the lines that two texts begin and end with, and what stands there afterwards.
fn difference(before: &str, after: &str) -> Option<(std::ops::Range<usize>, String)> {
    if before == after {
        return None;
    }
    let common = |left: &mut dyn Iterator<Item = &str>, right: &mut dyn Iterator<Item = &str>| -> usize {
        left.zip(right).take_while(|(one, other)| one == other).map(|(line, _)| line.len()).sum()
    };
    let start = common(&mut before.split_inclusive('\n'), &mut after.split_inclusive('\n'));
    let (before_rest, after_rest) = (before.get(start..)?, after.get(start..)?);
    let end = common(&mut before_rest.split_inclusive('\n').rev(), &mut after_rest.split_inclusive('\n').rev());
    let new = after_rest.get(..after_rest.len() - end)?.to_owned();
    Some((start..before.len() - end, new))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn only_what_differs_is_replaced() {
        for (before, after) in [
            ("a\nb\nc\n", "a\nB\nc\n"),
            ("a\nb", "a\nb\n"),
            ("a\n\n\nb\n", "a\n\nb\n"),
            ("x\n", ""),
            ("", "x\n"),
            ("a\na\na\n", "a\na\n"),
        ] {
            let Some((range, new)) = difference(before, after) else { panic!("{before:?}") };
            let mut text = before.to_owned();
            text.replace_range(range, &new);
            assert_eq!(text, after);
        }
        assert_eq!(difference("a\nb\nc\n", "a\nB\nc\n"), Some((2..4, "B\n".to_owned())));
        assert_eq!(difference("a\n", "a\n"), None);
    }
}
