//! Sentences about the text itself: E0001 to E0007.

use super::letters::{Disguised, disguised};
use crate::diag::{Code, Diagnostic, Problems};
use crate::source::Span;

/// Values that fit settings which often lose theirs.
const EXAMPLES: &[(&str, &str)] = &[
    ("lr", "3e-4"),
    ("epochs", "30"),
    ("batch", "32"),
    ("seed", "20260817"),
    ("weight_decay", "1e-4"),
    ("dropout", "0.2"),
    ("gamma", "2.0"),
    ("p", "0.5"),
    ("holdout", "20%"),
    ("validation", "10%"),
    ("cv", "stratified_group_kfold(5)"),
    ("group", "`Patient ID`"),
    ("label", "`Finding Labels`"),
    ("image", "file(`path`)"),
    ("table", "csv(\"labels.csv\")"),
    ("loss", "cross_entropy()"),
    ("optimizer", "adamw(lr = 3e-4)"),
    ("primary", "macro_f1"),
];

/// Text of the author's, shortened so that it fits into a line.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    if line.chars().count() <= 40 && line.len() == text.trim_end().len() {
        return line.to_owned();
    }
    format!("{}...", line.chars().take(36).collect::<String>().trim_end())
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

impl Problems {
    // ---------------------------------------------------------------- E0001

    /// The file does not begin with its edition.
    pub(crate) fn no_edition(&mut self, first: Span, start: Span) {
        self.push(
            Diagnostic::new(Code::E0001, "the file does not say its edition, so its defaults are not known")
                .label(first, "`pipe \"2026\"` must come first")
                .help("start with  pipe \"2026\"  ; it pins the defaults")
                .fix(start, "pipe \"2026\"\n\n"),
        );
    }

    /// The edition is there, but not first.
    pub(crate) fn edition_not_first(&mut self, place: Span, first: Option<Span>) {
        self.push(match first {
            Some(first) => Diagnostic::new(Code::E0001, "the edition is said twice")
                .label(place, "said again")
                .label(first, "said first")
                .help("remove the second one"),
            None => Diagnostic::new(Code::E0001, "the edition must be the first line")
                .label(place, "comes too late")
                .help("move this line to the top of the file"),
        });
    }

    /// `pipe 2026`
    pub(crate) fn edition_not_text(&mut self, place: Span, year: &str) {
        let year = year.trim().trim_matches(['"', '\'', '=', ' ']);
        let year = if !year.is_empty() && year.chars().all(|c| c.is_ascii_digit()) { year } else { "2026" };
        self.push(
            Diagnostic::new(Code::E0001, "the edition is not understood")
                .label(place, "`pipe` and a year in quotes, nothing else")
                .help(format!("write  pipe \"{year}\""))
                .fix(place, format!("pipe \"{year}\"")),
        );
    }

    // ---------------------------------------------------------------- E0002

    /// `lr =` and nothing behind.
    pub(crate) fn no_value(&mut self, name: &str, place: Span) {
        let key = name.rsplit('.').next().unwrap_or(name);
        let help = match EXAMPLES.iter().find(|(known, _)| *known == key) {
            Some((_, value)) => format!("for example  {} = {value}", short(name)),
            None => format!("write  {} = value  on one line, or remove it", short(name)),
        };
        self.push(
            Diagnostic::new(Code::E0002, format!("`{}` has no value", short(name)))
                .label(place, "a value must follow on this line")
                .help(help),
        );
    }

    /// `()` or `${}` around nothing.
    pub(crate) fn empty_brackets(&mut self, place: Span, brackets: &str) {
        self.push(
            Diagnostic::new(Code::E0002, format!("there is no value in `{brackets}`"))
                .label(place, "a value must stand in here")
                .help("put a value in, or remove the brackets"),
        );
    }

    /// `[a, , b]`
    pub(crate) fn nothing_before_comma(&mut self, place: Span) {
        self.push(
            Diagnostic::new(Code::E0002, "a value is missing")
                .label(place, "nothing stands before this")
                .help("write the value, or remove the comma: [a, b]"),
        );
    }

    // ---------------------------------------------------------------- E0003

    /// A bracket that is still open when another arrives, or at the end.
    pub(crate) fn never_closed(
        &mut self,
        bracket: &str,
        open: Span,
        arrives: Option<(&str, Span)>,
        insert: Span,
        closing: &str,
        sample: Option<&str>,
    ) {
        let mut diagnostic =
            Diagnostic::new(Code::E0003, format!("this `{bracket}` is never closed")).label(open, "opened here");
        diagnostic = match arrives {
            Some((word, place)) if matches!(word, ")" | "]" | "}") => {
                diagnostic.label(place, format!("`{word}` arrives first"))
            }
            Some((word, place)) if !word.is_empty() => {
                diagnostic.label(place, format!("still open where `{}` starts", short(word)))
            }
            Some(_) | None => diagnostic.label(insert, "still open here"),
        };
        let help = match sample {
            Some(sample) => format!("write `{sample}`"),
            None => format!("close it with `{closing}` before this place"),
        };
        self.push(diagnostic.help(help).fix(insert, closing));
    }

    /// A closing bracket without an opening one.
    pub(crate) fn closes_nothing(&mut self, bracket: &str, place: Span) {
        self.push(
            Diagnostic::new(Code::E0003, format!("this `{bracket}` closes nothing"))
                .label(place, "no bracket is open here")
                .help(format!("remove it, or open it first with `{}`", opening(bracket))),
        );
    }

    /// `(a]`
    pub(crate) fn closed_by_another(&mut self, bracket: &str, open: Span, other: &str, close: Span, right: &str) {
        self.push(
            Diagnostic::new(Code::E0003, format!("this `{bracket}` is closed by `{other}`"))
                .label(open, "opened here")
                .label(close, format!("`{right}` is expected"))
                .help(format!("write `{right}` instead of `{other}`"))
                .fix(close, right),
        );
    }

    /// A text, a column or a hole that its line does not close.
    pub(crate) fn never_closed_on_line(&mut self, open: Span, end: Span, mark: &str, closing: &str, written: &str) {
        let help = if mark == "\"" && written.ends_with("\\\"") {
            "`\\\"` is a quote within the text; a backslash is written `\\\\`".to_owned()
        } else if written.chars().count() <= 60 {
            format!("write `{written}{closing}`")
        } else {
            format!("close it with `{closing}` on the same line")
        };
        let help = if mark == "`" && written.chars().count() <= 60 { format!("write  {written}`") } else { help };
        let mark = if mark == "`" { "backquote".to_owned() } else { format!("`{mark}`") };
        self.push(
            Diagnostic::new(Code::E0003, format!("this {mark} is never closed"))
                .label(open, "opened here")
                .label(end, if mark == "`${`" { "its `}` belongs here" } else { "the line ends first" })
                .help(help)
                .fix(end, closing),
        );
    }

    // ---------------------------------------------------------------- E0004

    /// `epochs: 30`
    pub(crate) fn colon_for_equals(
        &mut self,
        name: &str,
        name_place: Span,
        value_place: Span,
        between: Span,
        colon: &str,
        value: &str,
    ) {
        let one_line = !value.contains(['\n', '\r']);
        let label = if one_line { name_place.to(value_place) } else { name_place.to(between) };
        let example = if value.is_empty() { "value".to_owned() } else { short(value) };
        let line = format!("{} = {example}", short(name));
        let help = if line.contains('`') { format!("write  {line}") } else { format!("write `{line}`") };
        let style = if colon == ":" { "YAML-style" } else { "of another language" };
        let diagnostic =
            Diagnostic::new(Code::E0004, format!("`{}` is set with `{colon}`, but .pipe files use `=`", short(name)))
                .label(label, style)
                .help(help);
        self.push(if value.is_empty() { diagnostic } else { diagnostic.fix(between, " = ") });
    }

    /// A YAML list under its key.
    pub(crate) fn yaml_list(&mut self, key: Span, whole: Span, name: &str, items: &[&str]) {
        let list = format!("{} = [{}]", short(name), items.join(", "));
        let help = if list.chars().count() <= 70 { list.clone() } else { format!("{} = [a, b]", short(name)) };
        let message = format!("`{}` is set with `:`, but .pipe files use `=`", short(name));
        self.push(
            Diagnostic::new(Code::E0004, message)
                .label(key, "a YAML list")
                .help(format!("write `{help}`"))
                .fix(whole, list),
        );
    }

    // ---------------------------------------------------------------- E0005

    /// Smart or single quotes around a text.
    pub(crate) fn other_quotes(&mut self, whole: Span, first: Span, last: Span, inside: &str, single: bool) {
        let kind = if single { "single" } else { "typographic" };
        let diagnostic = Diagnostic::new(Code::E0005, format!("text stands in `\"`, not in {kind} quotes"))
            .label(whole, format!("{kind} quotes"))
            .help(format!("write `\"{}\"`", short(inside)))
            .fix(first, "\"");
        let closed = last.start < last.end;
        self.push(if closed { diagnostic.fix(last, "\"") } else { diagnostic });
    }

    /// `True`, `None`
    pub(crate) fn word_of_another_language(&mut self, place: Span, word: &str, right: &str) {
        let help = if right == "none" {
            "leave the setting out, or write `none` where it can be none".to_owned()
        } else {
            format!("write `{right}`")
        };
        self.push(
            Diagnostic::new(Code::E0005, format!("`{word}` is not a word of .pipe files"))
                .label(place, "of another language")
                .help(help)
                .fix(place, right),
        );
    }

    /// `a = 1;`
    pub(crate) fn semicolon(&mut self, place: Span, last_on_line: bool) {
        let (help, fix) =
            if last_on_line { ("remove it", "") } else { ("put what follows on a line of its own", "\n") };
        self.push(
            Diagnostic::new(Code::E0005, "a setting ends with its line, not with `;`")
                .label(place, "not needed")
                .help(help)
                .fix(place, fix),
        );
    }

    /// A tab in a text.
    pub(crate) fn tab_in_text(&mut self, place: Span) {
        self.push(
            Diagnostic::new(Code::E0005, "a tab in a text cannot be told from blanks")
                .label(place, "a tab")
                .help("write `\\t` if a tab is meant, else a blank")
                .fix(place, "\\t"),
        );
    }

    /// `&&`, `||`, `!`
    pub(crate) fn operator_of_another_language(&mut self, place: Span, written: &str, right: &str) {
        let text = if right == "not" { "not ".to_owned() } else { format!(" {right} ") };
        self.push(
            Diagnostic::new(Code::E0005, format!("`{written}` is written `{right}` in .pipe files"))
                .label(place, "of another language")
                .help(format!("write `{right}`"))
                .fix(place, text),
        );
    }

    /// `// comment`
    pub(crate) fn comment_of_another_language(&mut self, place: Span, written: &str, fixable: bool) {
        let diagnostic = Diagnostic::new(Code::E0005, format!("`{written}` does not start a comment"))
            .label(place, "a comment starts with `#`")
            .help("write  # comment");
        self.push(if fixable { diagnostic.fix(place, "#") } else { diagnostic });
    }

    // ---------------------------------------------------------------- E0006

    /// Anything else.
    pub(crate) fn not_expected(&mut self, found: Span, word: &str, whole: Span, expected: &[&str], help: &str) {
        let label =
            if expected.is_empty() { "not expected".to_owned() } else { format!("expected {}", listed(expected)) };
        let message = if word.is_empty() {
            "something is missing at the end of this".to_owned()
        } else {
            format!("`{}` is not understood here", short(word))
        };
        let found = if word.is_empty() { whole.end_point() } else { found };
        self.push(Diagnostic::new(Code::E0006, message).label(found, label).help(help));
    }

    /// `lr 0.1`
    pub(crate) fn no_equals(&mut self, found: Span, word: &str, line: &str) {
        let (name, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        // an arrow is an `=` in other languages
        let value = value.trim().trim_start_matches("->").trim_start_matches("=>").trim();
        let value = if value.is_empty() { "value" } else { value };
        let message = if word.is_empty() {
            format!("`{}` says nothing by itself", short(name))
        } else {
            format!("`{}` is not understood here", short(word))
        };
        self.push(Diagnostic::new(Code::E0006, message).label(found, "expected `=` or `{`").help(format!(
            "write  {} = {}",
            short(name),
            short(value)
        )));
    }

    /// The grammar gave up; it is meant never to.
    pub(crate) fn file_not_understood(&mut self, place: Span) {
        self.push(
            Diagnostic::new(Code::E0006, "this text is not understood at all")
                .label(place, "from here on")
                .help("this is a fault of `pipe`: please report it with the file"),
        );
    }

    /// A setting at the top level.
    pub(crate) fn setting_outside_block(&mut self, place: Span, name: &str) {
        let name = short(name);
        self.push(
            Diagnostic::new(Code::E0006, format!("`{name}` stands outside of every block"))
                .label(place, "belongs into a block")
                .help(format!("put it into a block of the study, or name a value with  let {name} = ...")),
        );
    }

    /// `study x` and `{` on the next line.
    pub(crate) fn brace_on_next_line(&mut self, head: Span, brace: Span, name: &str) {
        self.push(
            Diagnostic::new(Code::E0006, format!("`{{` must stand on the line of `{}`", short(name)))
                .label(brace, "comes a line late")
                .label(head, "this line ends without `{`")
                .help(format!("write `{} {{`", short(name)))
                .fix(Span { start: head.end, ..brace }, " {"),
        );
    }

    /// `study my-study {`
    pub(crate) fn block_name_not_read(&mut self, keyword: &str, place: Span, written: &str) {
        let mut name: String =
            written.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert(0, '_');
        }
        self.push(
            Diagnostic::new(Code::E0006, format!("`{}` cannot name a block", short(written)))
                .label(place, "not a name")
                .help(format!(
                    "names are made of letters, digits and `_`: {keyword} {} {{",
                    short(name.trim_matches('_'))
                )),
        );
    }

    /// `} split {`
    pub(crate) fn two_blocks_on_one_line(&mut self, brace: Span, next: Span) {
        self.push(
            Diagnostic::new(Code::E0006, "a block ends with its line")
                .label(brace, "the line must end here")
                .help("put what follows on a line of its own")
                .fix(Span { start: brace.end, end: next.start, ..brace }, "\n"),
        );
    }

    /// `a = 1,`
    pub(crate) fn comma_after_setting(&mut self, place: Span) {
        self.push(
            Diagnostic::new(Code::E0006, "a setting ends with its line, not with a comma")
                .label(place, "not needed")
                .help("remove it; every setting stands on a line of its own")
                .fix(place, ""),
        );
    }

    /// `[a b]`
    pub(crate) fn missing_comma(&mut self, before: Span, next: Span, word: &str) {
        self.push(
            Diagnostic::new(Code::E0006, format!("a `,` is missing before `{}`", short(word)))
                .label(next, "a new value starts here")
                .help("put a `,` between them")
                .fix(before.end_point(), ","),
        );
    }

    /// `3 epochs`
    pub(crate) fn blank_before_unit(&mut self, number: Span, unit: Span, digits: &str, word: &str) {
        self.push(
            Diagnostic::new(Code::E0006, "a number and its unit are one word")
                .label(number.to(unit), "a blank stands between them")
                .help(format!("write `{digits}{word}`"))
                .fix(Span { start: number.end, end: unit.start, ..unit }, ""),
        );
    }

    /// `5foo`
    pub(crate) fn number_not_read(&mut self, place: Span, word: &str) {
        self.push(
            Diagnostic::new(Code::E0006, format!("`{}` is neither a number nor a number with a unit", short(word)))
                .label(place, "not understood")
                .help("numbers: 30  0.5  3e-4  10_000\nunits: 20%  5epochs  100steps  224px  10deg  24GiB  512MiB  90s  15min  4h  2d"),
        );
    }

    /// `1e999`
    pub(crate) fn number_too_large(&mut self, place: Span, whole: bool) {
        let most = if whole { "9_007_199_254_740_992 for whole numbers" } else { "1.7e308" };
        self.push(
            Diagnostic::new(Code::E0006, "this number is too large")
                .label(place, "cannot be kept exactly")
                .help(format!("the largest is {most}")),
        );
    }

    /// `größe`
    pub(crate) fn name_not_ascii(&mut self, place: Span, word: &str) {
        if let Some(Disguised { latin, letter, as_latin, script }) = disguised(word) {
            let code = u32::from(letter);
            self.push(
                Diagnostic::new(Code::E0006, format!("`{}` cannot be a name", short(word)))
                    .label(
                        place,
                        format!("its `{letter}` is a {script} letter (U+{code:04X}), not the Latin `{as_latin}`"),
                    )
                    .help(format!("write `{}`", short(&latin)))
                    .fix(place, latin),
            );
            return;
        }
        self.push(
            Diagnostic::new(Code::E0006, format!("`{}` cannot be a name", short(word)))
                .label(place, "names are made of a to z, A to Z, 0 to 9 and `_`")
                .help(format!("columns stand in backquotes: `{0}`, texts in quotes: \"{0}\"", short(word))),
        );
    }

    /// `in = 5`
    pub(crate) fn reserved_word(&mut self, place: Span, word: &str) {
        self.push(
            Diagnostic::new(Code::E0006, format!("`{word}` is a reserved word and cannot be a name"))
                .label(place, "reserved")
                .help("reserved: param let use as vary extends where if then else\n          and or not in true false"),
        );
    }

    /// `param` in a block.
    pub(crate) fn only_at_top_level(&mut self, place: Span, word: &str) {
        self.push(
            Diagnostic::new(Code::E0006, format!("`{word}` stands at the top level only"))
                .label(place, "inside of a block")
                .help("move the line out of every block, above the study"),
        );
    }

    /// `"lr" = 3`
    pub(crate) fn quoted_setting(&mut self, place: Span, name: &str) {
        self.push(
            Diagnostic::new(Code::E0006, "the names of settings stand without quotes")
                .label(place, "a text, not a name")
                .help(format!("write `{} = ...`", short(name)))
                .fix(place, name),
        );
    }

    /// `weight-decay = 1`
    pub(crate) fn hyphen_in_a_name(&mut self, place: Span) {
        self.push(
            Diagnostic::new(Code::E0006, "a name has no `-` in it")
                .label(place, "names are made of letters, digits and `_`")
                .help("write `_` instead of `-`"),
        );
    }

    /// `epochs == 30`
    pub(crate) fn compares_instead(&mut self, name: &str, between: Span) {
        self.push(
            Diagnostic::new(Code::E0006, format!("`==` compares; `{}` is set with `=`", short(name)))
                .label(between, "compares")
                .help("write `=`")
                .fix(between, "="),
        );
    }

    /// `a < b < c`
    pub(crate) fn comparisons_in_a_row(&mut self, first: Span, second: Span) {
        self.push(
            Diagnostic::new(Code::E0006, "comparisons do not chain")
                .label(second, "compares a truth value")
                .label(first, "compared already")
                .help("write  a < b and b < c,  or  b in 0..10"),
        );
    }

    /// `"C:\data"`
    pub(crate) fn unknown_escape(&mut self, place: Span, written: &str) {
        self.push(
            Diagnostic::new(Code::E0006, format!("`{written}` stands for nothing"))
                .label(place, "not an escape")
                .help("escapes are  \\\"  \\\\  \\n  \\t  \\$  ; a backslash is written `\\\\`")
                .fix(place, format!("\\{written}")),
        );
    }

    /// Two backquotes around nothing.
    pub(crate) fn column_without_a_name(&mut self, place: Span) {
        self.push(
            Diagnostic::new(Code::E0006, "a column has no name")
                .label(place, "empty")
                .help("write the column's name between the backquotes: `Patient ID`"),
        );
    }

    /// `{ "${a}" = 1 }`
    pub(crate) fn hole_in_a_name(&mut self, place: Span) {
        self.push(
            Diagnostic::new(Code::E0006, "a name cannot be computed")
                .label(place, "holds `${ }`")
                .help("write the name out"),
        );
    }

    // ---------------------------------------------------------------- E0007

    /// More bytes than a study ever has.
    pub(crate) fn file_too_large(&mut self, place: Span, bytes: usize, most: usize) {
        self.push(
            Diagnostic::new(Code::E0007, format!("the file has {bytes} bytes; {most} are the most"))
                .label(place, "starts here")
                .help("a study is a page of text: is this the table, or a weights file?"),
        );
    }

    /// Not UTF-8.
    pub(crate) fn not_utf8(&mut self, place: Span) {
        self.push(
            Diagnostic::new(Code::E0007, "the file is not UTF-8 text")
                .label(place, "this byte is no character")
                .help("save the file as UTF-8"),
        );
    }

    /// A control, bidirectional or invisible character.
    pub(crate) fn hidden_character(&mut self, place: Span, character: char) {
        self.push(
            Diagnostic::new(Code::E0007, format!("a hidden character (U+{:04X}) is in the file", u32::from(character)))
                .label(place, "cannot be seen, and may make the line look like another")
                .help("remove it")
                .fix(place, ""),
        );
    }

    /// More brackets open than the parser follows.
    pub(crate) fn too_many_brackets(&mut self, place: Span, most: usize) {
        self.push(
            Diagnostic::new(Code::E0007, format!("more than {most} brackets are open at once"))
                .label(place, "one too many")
                .help("name inner values with `let`"),
        );
    }

    /// More operators in one value than the parser follows.
    pub(crate) fn too_many_operators(&mut self, place: Span, most: usize) {
        self.push(
            Diagnostic::new(Code::E0007, format!("more than {most} operators stand in one value"))
                .label(place, "one too many")
                .help("name parts of it with `let`"),
        );
    }
}

fn opening(closing: &str) -> &'static str {
    match closing {
        ")" => "(",
        "]" => "[",
        _ => "{",
    }
}
