//! Sentences about names, types, ranges and values from outside: E0101 to E0112.

use crate::diag::suggest::nearest;
use crate::diag::{Code, Diagnostic, Problems};
use crate::source::Span;
use crate::syntax::field;

/// `a`, `b`, `c`; lines broken below 80 columns; at most 24, then a count.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let mut out = String::new();
    let mut column = 20;
    for (at, name) in names.iter().take(24).enumerate() {
        if at > 0 {
            out.push(',');
            column += 1;
            if column + name.len() + 3 > 76 {
                out.push('\n');
                column = 0;
            } else {
                out.push(' ');
                column += 1;
            }
        }
        out.push('`');
        out.push_str(name);
        out.push('`');
        column += name.chars().count() + 2;
    }
    if names.len() > 24 {
        out.push_str(", ... (");
        out.push_str(&(names.len() - 24).to_string());
        out.push_str(" more)");
    }
    out
}

/// `did you mean X? ` if a name is near, else nothing.
pub(super) fn meant<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, names).map(|near| format!("did you mean `{near}`?"))
}

/// Did you mean, and else all there are.
pub(super) fn meant_or_all(name: &str, what: &str, names: &[&str]) -> String {
    match meant(name, names.iter().copied()) {
        Some(meant) => meant,
        None if names.is_empty() => format!("there are no {what}"),
        None => format!("{what}: {}", list(names.iter().copied())),
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

impl Problems {
    /// E0101: a setting that a block does not have.
    pub fn unknown_setting(&mut self, block: &str, name: &str, span: Span, known: &[&str], elsewhere: &[String]) {
        let near = meant(name, known.iter().copied());
        let help = match (near, elsewhere.first()) {
            (_, Some(path)) => format!("`{name}` belongs elsewhere: write  {path} = ..."),
            (Some(near), None) => near,
            (None, None) => format!("settings of `{block}`: {}", list(known.iter().copied())),
        };
        let mut diagnostic = Diagnostic::new(Code::E0101, format!("`{block}` has no setting called `{name}`"))
            .label(span, format!("not a setting of `{block}`"))
            .help(help);
        if let (Some(near), true) = (nearest(name, known.iter().copied()), elsewhere.is_empty()) {
            diagnostic = diagnostic.fix(span, near);
        }
        self.push(diagnostic);
    }

    /// E0101: a block that a study does not have.
    pub fn unknown_block(&mut self, name: &str, span: Span, known: &[&str]) {
        self.push(
            Diagnostic::new(Code::E0101, format!("a study has no block called `{name}`"))
                .label(span, "not a block of `study`")
                .help(meant_or_all(name, "blocks", known)),
        );
    }

    /// E0101: something at the top level that does not stand there.
    pub fn unknown_item(&mut self, name: &str, span: Span, inside: bool) {
        let help = if inside {
            format!("write  study my_study {{ {name} {{ ... }} }}")
        } else {
            meant_or_all(name, "at the top level", &["study", "run", "param", "let", "use"])
        };
        let message = if inside {
            format!("`{name}` stands outside of a study")
        } else {
            format!("a file has no block called `{name}`")
        };
        self.push(Diagnostic::new(Code::E0101, message).label(span, "not at the top level").help(help));
    }

    /// E0101: `train = ...`.
    pub fn block_not_setting(&mut self, name: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0101, format!("`{name}` is a block, not a setting"))
                .label(span, "a block takes no value")
                .help(format!("write  {name} {{ ... }}")),
        );
    }

    /// E0101: `a.b.c = ...` deeper than blocks go.
    pub fn path_too_deep(&mut self, span: Span) {
        self.push(
            Diagnostic::new(Code::E0101, "no setting lies this deep")
                .label(span, "at most one block and one setting")
                .help("write  train.epochs = 30  in `study`, or  epochs = 30  in `train`"),
        );
    }

    /// E0101: a block with a name it does not take.
    pub fn block_label(&mut self, block: &str, label: &str, span: Span) {
        let help = if block == "study" {
            "a study has one name: letters, digits and `_`".to_owned()
        } else {
            format!("write  {block} {{ ... }}")
        };
        self.push(
            Diagnostic::new(Code::E0101, format!("`{block}` takes no name `{label}`"))
                .label(span, "one word too many")
                .help(help),
        );
    }

    /// E0101: a block within a block of settings.
    pub fn block_in_block(&mut self, inner: &str, outer: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0101, format!("`{outer}` holds settings, not blocks such as `{inner}`"))
                .label(span, "a block in a block")
                .help(format!("close `{outer}` with `}}` before this line")),
        );
    }

    /// E0101: an argument that an operation does not have.
    pub fn no_such_argument(&mut self, name: &str, operation: &str, span: Span, known: &[&str]) {
        let help = if known.is_empty() {
            format!("write `{operation}()`: it takes no arguments")
        } else {
            meant_or_all(name, "its arguments", known)
        };
        let mut diagnostic = Diagnostic::new(Code::E0101, format!("`{operation}` has no argument called `{name}`"))
            .label(span, format!("not an argument of `{operation}`"))
            .help(help);
        if let Some(near) = nearest(name, known.iter().copied()) {
            diagnostic = diagnostic.fix(span, near);
        }
        self.push(diagnostic);
    }

    /// E0103: more arguments than an operation takes.
    pub fn too_many_arguments(&mut self, operation: &str, takes: usize, span: Span) {
        let plural = if takes == 1 { "argument" } else { "arguments" };
        self.push(
            Diagnostic::new(Code::E0103, format!("`{operation}` takes {takes} {plural} at most"))
                .label(span, "one too many")
                .help("remove it"),
        );
    }

    /// E0111: an argument that must be written.
    pub fn argument_missing(&mut self, name: &str, operation: &str, about: &str, span: Span, example: &str) {
        self.push(
            Diagnostic::new(Code::E0111, format!("`{operation}` needs `{name}`: {about}"))
                .label(span, format!("no `{name}` here"))
                .help(format!("for example  {example}")),
        );
    }

    /// E0111: a setting that must be written. `block`: is its block there at all?
    pub fn setting_missing(&mut self, block: &str, name: &str, place: Span, block_there: bool, example: &str) {
        let help = if block_there { format!("add  {example}") } else { format!("add  {block} {{ {example} }}") };
        let label = if block_there { format!("no `{name} = ...` here") } else { format!("no `{block}` block here") };
        self.push(Diagnostic::new(Code::E0111, format!("`{block}.{name}` is missing")).label(place, label).help(help));
    }

    /// E0111: a block that needs a name.
    pub fn block_without_name(&mut self, block: &str, span: Span, example: &str) {
        self.push(
            Diagnostic::new(Code::E0111, format!("this `{block}` has no name"))
                .label(span, "a name must follow")
                .help(format!("write  {example}")),
        );
    }

    /// E0102: an operation its family does not have.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the sentence")]
    pub fn unknown_operation<'a>(
        &mut self,
        one: &str,
        many: &str,
        name: &str,
        span: Span,
        known: impl IntoIterator<Item = &'a str>,
        names: &[String],
        elsewhere: Option<&str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let all = known.iter().copied().chain(names.iter().map(String::as_str));
        let there = format!("{many}: {}", list(known.iter().copied()));
        let help = match (meant(name, all), elsewhere) {
            (Some(near), _) => format!("{near} {there}"),
            (None, _) if one == "group" => {
                format!("if it is a column, it stands in backquotes:  group = `{name}`\n{there}")
            }
            (None, Some(other)) => format!("`{name}` is {} {other}; {there}", article(other)),
            (None, None) => there,
        };
        self.push(
            Diagnostic::new(Code::E0102, format!("there is no {one} called `{name}`"))
                .label(span, format!("not {} {one}", article(one)))
                .help(help),
        );
    }

    /// E0102: `resnet-18()`.
    pub(crate) fn hyphen_in_an_operation(&mut self, place: Span, written: &str, meant: &str) {
        self.push(
            Diagnostic::new(Code::E0102, format!("there is no operation called `{written}`"))
                .label(place, "names are made of letters, digits and `_`")
                .help(format!("did you mean `{meant}`?"))
                .fix(place, meant),
        );
    }

    /// E0102: a word that is not among those a setting takes.
    pub fn no_such_word(
        &mut self,
        setting: &str,
        owner: &str,
        word: &str,
        span: Span,
        words: &[&str],
        names: &[String],
    ) {
        let all = words.iter().copied().chain(names.iter().map(String::as_str));
        let there = format!("`{setting}` is one of {}", list(words.iter().copied()));
        let help = meant(word, all).map_or(there.clone(), |near| format!("{near} {there}"));
        self.push(
            Diagnostic::new(Code::E0102, format!("`{setting}` of `{owner}` cannot be `{word}`"))
                .label(span, format!("not a value of `{setting}`"))
                .help(help),
        );
    }

    /// E0102: a name that is no `let`, no `param` and nothing of the catalog that fits here.
    pub fn wrong_name(&mut self, setting: &str, word: &str, span: Span, wants: &str, example: &str, names: &[String]) {
        let near = meant(word, names.iter().map(String::as_str));
        let help = near.unwrap_or_else(|| format!("`{setting}` {wants}, for example  {setting} = {example}"));
        self.push(
            Diagnostic::new(Code::E0102, format!("`{word}` is no `param` and no `let` of this file"))
                .label(span, "not known here")
                .help(help),
        );
    }

    /// E0102: a name in a text that stands for nothing.
    pub fn unknown_name(&mut self, word: &str, span: Span, names: &[String]) {
        let near = meant(word, names.iter().map(String::as_str));
        self.push(
            Diagnostic::new(Code::E0102, format!("`{word}` is no `param` and no `let` of this file"))
                .label(span, "not known here")
                .help(near.unwrap_or_else(|| format!("add  param {word} : path = \"...\""))),
        );
    }

    /// E0102: a type that no `param` can have.
    pub fn no_such_type(&mut self, name: &str, span: Span) {
        let known = ["int", "float", "bool", "text", "path", "duration", "list"];
        self.push(
            Diagnostic::new(Code::E0102, format!("there is no type called `{name}`"))
                .label(span, "not a type")
                .help(meant_or_all(name, "types", &known)),
        );
    }

    /// E0103: something is called that is no name.
    pub fn not_callable(&mut self, span: Span) {
        self.push(
            Diagnostic::new(Code::E0103, "only operations of the catalog can be called")
                .label(span, "not the name of an operation")
                .help("to multiply, write `*`"),
        );
    }

    /// E0103: a value of another type than the setting's. `wants`: `counts passes over the data`.
    pub fn wrong_type(&mut self, name: &str, wants: &str, kind: &str, described: &str, span: Span, help: &str) {
        self.push(
            Diagnostic::new(Code::E0103, format!("`{name}` {wants}, but this is {kind}"))
                .label(span, described)
                .help(help),
        );
    }

    /// E0103: a list of texts holds something else.
    pub fn text_wanted(&mut self, name: &str, described: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0103, format!("`{name}` lists texts, and this is {described}"))
                .label(span, "no text in quotes")
                .help(format!("write  {name} = [\"first\", \"second\"]")),
        );
    }

    /// E0103: a number that should be whole.
    pub fn not_whole(&mut self, name: &str, shown: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0103, format!("`{name}` is a whole number, but this is {shown}"))
                .label(span, "not whole")
                .help(format!("for example  {} = 3", field(name))),
        );
    }

    /// E0103: a number whose unit must be written.
    pub fn needs_unit(&mut self, name: &str, shown: &str, with_unit: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0103, format!("`{name}` needs a unit: {shown} of what?"))
                .label(span, "a number without a unit")
                .help(format!("write  {name} = {with_unit}"))
                .fix(span, with_unit),
        );
    }

    /// E0103: an operand an operator cannot work on.
    pub fn operand(&mut self, operator: &str, wants: &str, kind: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0103, format!("`{operator}` works on {wants}, but this is {kind}"))
                .label(span, kind)
                .help(format!("`{operator}` wants {wants}")),
        );
    }

    /// E0103: two numbers of different units.
    pub fn units_differ(&mut self, operator: &str, left: (&str, Span), right: (&str, Span)) {
        self.push(
            Diagnostic::new(Code::E0103, format!("`{operator}` cannot join {} and {}", left.0, right.0))
                .label(left.1, left.0)
                .label(right.1, right.0)
                .help("give both the same unit"),
        );
    }

    /// E0104: a value outside of its range.
    pub fn out_of_range(&mut self, name: &str, bounds: &str, shown: &str, span: Span, help: &str) {
        let help = if help.is_empty() { format!("`{name}` must be {bounds}") } else { help.to_owned() };
        self.push(
            Diagnostic::new(Code::E0104, format!("`{name}` must be {bounds}, but this is {shown}"))
                .label(span, "out of range")
                .help(help),
        );
    }

    /// E0104: a range that ends before it begins.
    pub fn range_is_empty(&mut self, span: Span) {
        self.push(
            Diagnostic::new(Code::E0104, "a range with nothing in it")
                .label(span, "ends before it begins")
                .help("the smaller number comes first; `..=` keeps the last one:  16..=100"),
        );
    }

    /// E0104: a division by zero.
    pub fn division_by_zero(&mut self, span: Span) {
        self.push(
            Diagnostic::new(Code::E0104, "a division by zero")
                .label(span, "this is 0")
                .help("divide by something else"),
        );
    }

    /// E0104: a loss that would be rewarded or would not count.
    pub fn weight_not_positive(&mut self, loss: &str, weight: f64, span: Span) {
        self.push(
            Diagnostic::new(Code::E0104, format!("the weight of `{loss}` must be above 0, but this is {weight}"))
                .label(span, format!("counts {weight} times"))
                .help("a weight below 0 would reward mistakes; leave out a term that shall not count"),
        );
    }

    /// E0104: fewer than two classes.
    pub fn one_class(&mut self, count: usize, span: Span) {
        self.push(
            Diagnostic::new(Code::E0104, format!("`classes` must list at least 2 classes, but this lists {count}"))
                .label(span, "too few to tell apart")
                .help("add a class, or leave the line out to take all that occur"),
        );
    }

    /// E0105: the same setting twice.
    pub fn setting_twice(&mut self, name: &str, first: Span, second: Span) {
        self.push(
            Diagnostic::new(Code::E0105, format!("`{name}` is set twice"))
                .label(second, "set again")
                .label(first, "first set here")
                .help("remove one; in YAML the second would win, here it is an error"),
        );
    }

    /// E0105: the same argument twice.
    pub fn argument_twice(&mut self, name: &str, operation: &str, first: Span, second: Span) {
        self.push(
            Diagnostic::new(Code::E0105, format!("`{name}` of `{operation}` is given twice"))
                .label(second, "given again")
                .label(first, "first given here")
                .help("remove one"),
        );
    }

    /// E0105: the same name for two `let`s or `param`s.
    pub fn name_twice(&mut self, name: &str, first: Span, second: Span) {
        self.push(
            Diagnostic::new(Code::E0105, format!("the name `{name}` is taken"))
                .label(second, "defined again")
                .label(first, "first defined here")
                .help(format!("rename one, for example `{name}_2`")),
        );
    }

    /// E0105: the same class or label twice.
    pub fn class_twice(&mut self, name: &str, first: Span, second: Span) {
        self.push(
            Diagnostic::new(Code::E0105, format!("`{name}` is listed twice"))
                .label(second, "listed again")
                .label(first, "first listed here")
                .help("remove one"),
        );
    }

    /// E0105: a label that two classes of `merge` take in.
    pub fn label_merged_twice(&mut self, label: &str, first: Span, second: Span) {
        self.push(
            Diagnostic::new(Code::E0105, format!("`merge` puts the label `{label}` into two classes"))
                .label(second, "takes it again")
                .label(first, "takes it first")
                .help("take it out of one of the lists; an image has one class"),
        );
    }

    /// E0106: a value from outside for a `param` that is not there.
    /// `elsewhere`: a used file that declares one of this name, which this file does not import.
    pub fn no_such_param(&mut self, name: &str, span: Span, params: &[&str], elsewhere: Option<&str>) {
        let help = match elsewhere {
            Some(file) => format!("it is a param of `{file}`; import it to set it:\n  use \"{file}\" {{ {name} }}"),
            None if params.is_empty() => format!(
                "this file has no params; declare one, and use it where the value stands:\n  param {name} : int = 1\n  train {{ epochs = {name} }}"
            ),
            None => meant_or_all(name, "params of this file", params),
        };
        self.push(Diagnostic::new(Code::E0106, format!("no param `{name}`")).label(span, "not declared").help(help));
    }

    /// E0106: `--set epochs`.
    pub fn override_without_value(&mut self, text: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0106, "`--set` wants a name and a value")
                .label(span, "no `=` in it")
                .help(format!("write  --set {text}=VALUE")),
        );
    }

    /// E0106: a values file that is none.
    pub fn values_unreadable(&mut self, why: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0106, format!("the values file cannot be used: {why}"))
                .label(span, "here")
                .help("write one `name: value` a line, for example  epochs: 5"),
        );
    }

    /// E0103: a `param` with a value of another type.
    pub fn param_wrong_type(
        &mut self,
        name: &str,
        wants: &str,
        described: &str,
        span: Span,
        declared: Span,
        example: &str,
    ) {
        self.push(
            Diagnostic::new(Code::E0103, format!("`{name}` is {wants}, but this is {described}"))
                .label(span, described)
                .label(declared, format!("declared as {wants}"))
                .help(format!("for example  {name} = {example}")),
        );
    }

    /// E0104: a `param` that breaks its `where`.
    pub fn param_out_of_range(&mut self, name: &str, shown: &str, span: Span, range: Span, outside: Option<Span>) {
        let help = match outside {
            Some(_) => format!("give `{name}` a value within its `where`"),
            None => format!("change the default of `{name}` or its `where`"),
        };
        self.push(
            Diagnostic::new(Code::E0104, format!("`{name}` = {shown} does not keep to its `where`"))
                .label(span, "out of range")
                .label(range, "what is allowed")
                .help(help),
        );
    }

    /// E0111: a `param` without default that nobody set.
    pub fn param_without_value(&mut self, name: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0111, format!("`{name}` has no value"))
                .label(span, "no default, and nobody set it")
                .help(format!("run with  --set {name}=VALUE  or give it a default")),
        );
    }

    /// W0108: a name nobody uses.
    pub fn unused(&mut self, word: &str, name: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::W0108, format!("`{word} {name}` is never used"))
                .label(span, "nothing reads this")
                .help(format!("remove it, or call it `_{name}`")),
        );
    }

    /// E0109: an edition of the future, or none there ever was.
    pub fn unknown_edition(&mut self, edition: &str, known: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0109, format!("this program does not know edition \"{edition}\""))
                .label(span, "not an edition known here")
                .help(format!("write  pipe \"{known}\"  or install a newer pipe"))
                .fix(span, format!("\"{known}\"")),
        );
    }

    /// E0110: a part of the language that does not run yet.
    pub fn not_yet(&mut self, what: &str, span: Span, instead: &str) {
        self.push(
            Diagnostic::new(Code::E0110, format!("`{what}` is known but this version does not run it yet"))
                .label(span, "not run yet")
                .help(instead),
        );
    }

    /// E0110: a member of a family that does not run yet.
    pub fn not_yet_among<'a>(&mut self, one: &str, name: &str, span: Span, running: impl IntoIterator<Item = &'a str>) {
        let running = list(running);
        self.push(
            Diagnostic::new(Code::E0110, format!("`{name}` is known but this version does not run it yet"))
                .label(span, format!("{} {one} of a later version", article(one)))
                .help(format!("it runs: {running}")),
        );
    }

    /// E0110: an argument that does not run yet.
    pub fn argument_not_yet(&mut self, name: &str, operation: &str, span: Span) {
        self.push(
            Diagnostic::new(
                Code::E0110,
                format!("`{name}` of `{operation}` is known but this version does not run it yet"),
            )
            .label(span, "not run yet")
            .help("leave it out"),
        );
    }

    /// E0110: balancing by another column than the label.
    pub fn balanced_by_other(&mut self, column: &str, label: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0110, format!("balancing by `{column}` is not run by this version yet"))
                .label(span, "not the label's column")
                .help(format!("write  sampler = balanced(`{label}`)")),
        );
    }

    /// E0112: a file without a study.
    pub fn no_study(&mut self, file: Span) {
        self.push(
            Diagnostic::new(Code::E0112, "this file names no study")
                .label(file.start_point(), "no `study` in here")
                .help("add  study my_study { data { ... } model { ... } }"),
        );
    }

    /// E0112: a file of several studies, and nobody said which.
    pub fn several_studies(&mut self, studies: &[Span], names: &[&str]) {
        let mut diagnostic =
            Diagnostic::new(Code::E0112, format!("this file names {} studies, and one is wanted", studies.len()));
        for (at, study) in studies.iter().enumerate() {
            diagnostic = diagnostic.label(*study, if at == 0 { "a study" } else { "another study" });
        }
        let last = names.last().copied().unwrap_or_default();
        self.push(diagnostic.help(format!("say which one:  --study {last}")));
    }

    /// E0112: `--study NAME` names none.
    pub fn no_such_study(&mut self, name: &str, span: Span, names: &[&str]) {
        self.push(
            Diagnostic::new(Code::E0112, format!("this file names no study `{name}`"))
                .label(span, "no such study")
                .help(meant_or_all(name, "studies of this file", names)),
        );
    }

    /// E0102: a `let` that needs itself.
    pub fn defined_by_itself(&mut self, name: &str, defined: Span, used: Span) {
        self.push(
            Diagnostic::new(Code::E0102, format!("`{name}` is defined by itself"))
                .label(used, "needs the value that is being made")
                .label(defined, "defined here")
                .help("write the value out, or rename one of the two"),
        );
    }

    /// E0007: values that double and double.
    pub fn value_too_large(&mut self, span: Span) {
        self.push(
            Diagnostic::new(Code::E0007, "this value is too large or nested too deeply")
                .label(span, "grows beyond every use")
                .help("write it with fewer lets inside lets"),
        );
    }

    /// E0111: a table of which nobody can tell what a column is, for `pipe new`.
    pub fn column_not_told(&mut self, what: &str, option: &str, table: &str, columns: &[String]) {
        let columns = list(columns.iter().map(String::as_str));
        self.push(
            Diagnostic::new(Code::E0111, format!("no column of `{table}` looks as if it held {what}"))
                .help(format!("say which one:  {option} NAME\ncolumns: {columns}")),
        );
    }

    /// E0211: a folder that is no data set, for `pipe new`.
    pub fn no_class_folders(&mut self, folder: &str) {
        self.push(
            Diagnostic::new(Code::E0211, format!("`{folder}` holds no folders of PNG or JPEG images, one a class"))
                .help("give a folder with one folder a class, or a table:  --table labels.csv"),
        );
    }

    /// E0007: the study file cannot be read at all.
    pub fn file_unreadable(&mut self, name: &str, why: &str) {
        self.push(
            Diagnostic::new(Code::E0007, format!("`{name}` cannot be read: {why}"))
                .help("give the path of a .pipe file that exists"),
        );
    }
}
