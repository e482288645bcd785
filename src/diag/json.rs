//! Problems become JSON, one object a line, for editors and other programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::render::hidden;
use super::{Problems, Severity};
use crate::source::{SourceMap, Span};

#[derive(Serialize)]
struct Line<'a> {
    code: &'static str,
    severity: Severity,
    message: &'a str,
    labels: Vec<Place<'a>>,
    help: Option<&'a str>,
    fixes: Vec<Place<'a>>,
}

/// A place and what is to be seen, or to be written, there. Bytes from 0, lines and columns from 1.
#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    start: u32,
    end: u32,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    text: &'a str,
}

fn place<'a>(map: &'a SourceMap, span: Span, text: &'a str) -> Place<'a> {
    let start = map.line_column(span.file, span.range().start);
    let end = map.line_column(span.file, span.range().end);
    Place {
        file: map.name(span.file),
        start: span.start,
        end: span.end,
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        text,
    }
}

/// All problems in order of place, one JSON object a line: code, severity, message, labels, help and fixes.
///
/// Control and bidirectional characters are escaped, so that the lines are safe to print.
#[must_use]
pub fn lines(map: &SourceMap, problems: &Problems) -> String {
    let mut lines = String::new();
    for problem in problems.sorted() {
        let line = Line {
            code: problem.code.id(),
            severity: problem.severity,
            message: &problem.message,
            labels: problem.labels.iter().map(|label| place(map, label.span, &label.text)).collect(),
            help: problem.help.as_deref(),
            fixes: problem.fixes.iter().map(|edit| place(map, edit.span, &edit.text)).collect(),
        };
        // Serialising plain strings and numbers to a string cannot fail.
        let Ok(json) = serde_json::to_string(&line) else { continue };
        for c in json.chars() {
            if hidden(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(lines, "\\u{unit:04x}");
                }
            } else {
                lines.push(c);
            }
        }
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::lines;
    use crate::diag::{Code, Diagnostic, Problems};
    use crate::source::{SourceMap, Span};

    #[test]
    fn a_line_holds_places_help_and_fixes_and_hides_nothing() {
        let mut map = SourceMap::new();
        let file = map.add("a.pipe", None, "x = 1\nepochs: 30\n");
        let mut problems = Problems::new();
        let problem = Diagnostic::new(Code::E0004, "\u{1b}[31m \u{202e} \u{9b}")
            .label(Span::new(file, 6, 16), "YAML-style")
            .help("write `epochs = 30`")
            .fix(Span::new(file, 12, 14), " = ");
        problems.push(problem);
        let text = lines(&map, &problems);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']));
        let value: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(value["code"], "E0004");
        assert_eq!(value["severity"], "error");
        assert_eq!(value["message"], "\u{1b}[31m \u{202e} \u{9b}");
        let label = &value["labels"][0];
        assert_eq!((&label["file"], &label["start"], &label["end"]), (&"a.pipe".into(), &6.into(), &16.into()));
        assert_eq!((&label["line"], &label["column"]), (&2.into(), &1.into()));
        assert_eq!((&label["end_line"], &label["end_column"]), (&2.into(), &11.into()));
        assert_eq!(value["fixes"][0]["text"], " = ");
    }
}
