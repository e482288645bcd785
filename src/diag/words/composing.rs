//! Sentences about what a study is put together from: `use`, `extends`, `vary` and `compare`.

use super::names::{list, meant, meant_or_all};
use crate::diag::suggest::nearest;
use crate::diag::{Code, Diagnostic, Problems};
use crate::source::Span;

impl Diagnostic {
    /// Says which variants have the problem, where its places do not.
    #[must_use]
    pub fn in_variants(mut self, first: &str, others: usize) -> Self {
        let whose = match others {
            0 => format!("only in the variant `{first}`"),
            1 => format!("only in the variant `{first}` and one other"),
            others => format!("only in the variant `{first}` and {others} others"),
        };
        self.help = Some(self.help.map_or(whose.clone(), |help| format!("{help}\n({whose})")));
        self
    }
}

/// `3 x 4`
fn product(counts: &[usize]) -> String {
    counts.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// How files end that a study may name.
const FILES: [&str; 7] = [".csv", ".tsv", ".txt", ".safetensors", ".html", ".png", ".jpg"];

impl Problems {
    /// E0107: files that use each other. Each file with the place of its `use`, in order.
    pub fn files_in_a_circle(&mut self, circle: &[(Span, String)]) {
        let names: Vec<&str> = circle.iter().map(|(_, name)| name.as_str()).collect();
        let message = match names.as_slice() {
            [one] => format!("`{one}` uses itself"),
            _ => "these files use each other in a circle".to_owned(),
        };
        let mut diagnostic = Diagnostic::new(Code::E0107, message);
        for (at, (span, _)) in circle.iter().enumerate() {
            let next = names.get((at + 1) % names.len()).copied().unwrap_or_default();
            diagnostic = diagnostic.label(*span, format!("uses `{next}`"));
        }
        let help = if circle.len() == 1 {
            "remove the line: names of a file need no `use` in it"
        } else {
            "move what both need into a file of its own, and use that in both"
        };
        self.push(diagnostic.help(help));
    }

    /// E0107: studies that extend each other.
    pub fn studies_in_a_circle(&mut self, circle: &[(Span, &str)]) {
        let message = match circle {
            [(_, one)] => format!("`{one}` extends itself"),
            _ => "these studies extend each other in a circle".to_owned(),
        };
        let mut diagnostic = Diagnostic::new(Code::E0107, message);
        for (at, (span, name)) in circle.iter().enumerate() {
            let next = circle.get((at + 1) % circle.len()).map_or("", |(_, name)| name);
            diagnostic = diagnostic.label(*span, format!("`{name}` is made from `{next}`"));
        }
        self.push(diagnostic.help("one of them must stand on its own: remove its `extends`"));
    }

    /// E0113: a `use` path that is not even looked up.
    pub fn use_refused(&mut self, path: &str, why: &str, help: &str, span: Span) {
        let shown: String = path.chars().take(60).collect();
        self.push(
            Diagnostic::new(Code::E0113, format!("`use` cannot read \"{shown}\": {why}"))
                .label(span, "not the path of a file beside this one")
                .help(help),
        );
    }

    /// E0113: a `use` path that would depend on a value.
    pub fn use_with_hole(&mut self, span: Span) {
        self.push(
            Diagnostic::new(Code::E0113, "the path of a `use` cannot depend on a value")
                .label(span, "files are read before anything has a value")
                .help("write the path out:  use \"lab.pipe\" as lab"),
        );
    }

    /// E0113: a used file that is missing, too large, or no file.
    pub fn used_file_unreadable(&mut self, path: &str, why: &str, help: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0113, format!("`{path}` cannot be used: {why}"))
                .label(span, "asked for here")
                .help(help),
        );
    }

    /// E0113: more files, more bytes or more levels than a study may have.
    pub fn use_limit(&mut self, what: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0113, what)
                .label(span, "one too many")
                .help("put what belongs together into one file"),
        );
    }

    /// E0102: `use "lab.pipe" { name }` of a name that is not there.
    pub fn no_such_import(&mut self, name: &str, file: &str, span: Span, names: &[String]) {
        self.push(
            Diagnostic::new(Code::E0102, format!("`{file}` has no `{name}`"))
                .label(span, "no `let`, `param` or `study` there")
                .help(meant_or_all(name, "names of that file", &refs(names))),
        );
    }

    /// E0102: a member that a used file or a record does not have.
    pub fn no_such_member(&mut self, dotted: &str, span: Span, names: &[String]) {
        let name = dotted.rsplit('.').next().unwrap_or(dotted);
        self.push(
            Diagnostic::new(Code::E0102, format!("there is nothing called `{dotted}`"))
                .label(span, "not in there")
                .help(meant_or_all(name, "names in there", &refs(names))),
        );
    }

    /// E0102: `lab.ce` where there is no `lab`.
    pub fn unknown_owner(&mut self, head: &str, dotted: &str, span: Span, names: &[String]) {
        let is_file = FILES.iter().any(|end| dotted.strip_prefix(head).is_some_and(|rest| rest == *end));
        let help = if is_file {
            format!("a path is a text: write  \"{dotted}\"")
        } else {
            meant(head, names.iter().map(String::as_str))
                .unwrap_or_else(|| format!("to take it from another file:  use \"{head}.pipe\" as {head}"))
        };
        self.push(
            Diagnostic::new(Code::E0102, format!("there is nothing called `{dotted}`"))
                .label(span, format!("no `{head}` is known here"))
                .help(help),
        );
    }

    /// E0102: a base that is no study.
    pub fn no_study_to_extend(&mut self, name: &str, span: Span, names: &[&str]) {
        let help = if names.is_empty() {
            format!("take it from its file:  use \"{name}.pipe\" {{ {name} }}")
        } else {
            meant_or_all(name, "studies known here", names)
        };
        self.push(
            Diagnostic::new(Code::E0102, format!("there is no study called `{name}`"))
                .label(span, "not a study known here")
                .help(help),
        );
    }

    /// E0103: a study or a used file where a value is wanted.
    pub fn used_as_value(&mut self, name: &str, what: &str, span: Span, defined: Span) {
        let help = if what == "a file" {
            format!("name something in it:  {name}.something")
        } else {
            format!("build on it:  study my_study extends {name} {{ ... }}")
        };
        self.push(
            Diagnostic::new(Code::E0103, format!("`{name}` is {what}, not a value"))
                .label(span, "a value is wanted here")
                .label(defined, "comes from here")
                .help(help),
        );
    }

    /// E0103: `lab.mix()`.
    pub fn value_called(&mut self, name: &str, span: Span) {
        self.push(
            Diagnostic::new(
                Code::E0103,
                format!("`{name}` is a value, and only operations of the catalog can be called"),
            )
            .label(span, "takes no arguments")
            .help(format!("write  {name}  without `( )`")),
        );
    }

    /// E0101: `train extends ... { }`.
    pub fn block_extends(&mut self, block: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0101, format!("`{block}` cannot extend anything: only a study can"))
                .label(span, "no base for a block")
                .help(format!("write  study my_study extends base {{ {block} {{ ... }} }}")),
        );
    }

    /// E0007: a chain of `extends` without end in sight.
    pub fn extends_limit(&mut self, most: usize, span: Span) {
        self.push(
            Diagnostic::new(Code::E0007, format!("studies extend each other more than {most} times in a row"))
                .label(span, "one too many")
                .help("let this study extend one that is nearer to the base"),
        );
    }

    /// E0104: arithmetic that leaves all bounds.
    pub fn number_unbounded(&mut self, span: Span) {
        self.push(
            Diagnostic::new(Code::E0104, "this number grows beyond every use")
                .label(span, "larger than any number can be")
                .help("write a number below 1e308"),
        );
    }

    /// E0701: a `vary` of something that is no setting.
    pub fn vary_names_no_setting(&mut self, path: &str, span: Span, all: &[String]) {
        let name = path.rsplit('.').next().unwrap_or(path);
        let near = nearest(path, all.iter().map(String::as_str)).or_else(|| {
            let ends = |full: &&String| full.rsplit('.').next() == Some(name);
            let same = all.iter().find(ends).map(String::as_str);
            same.or_else(|| {
                let names = all.iter().map(|full| full.rsplit('.').next().unwrap_or(full));
                let near = nearest(name, names)?;
                all.iter().find(|full| full.rsplit('.').next() == Some(near)).map(String::as_str)
            })
        });
        // `vary train.optimizer.lr`: an argument has no path, but its call can vary.
        let call = path
            .rsplit_once('.')
            .and_then(|(outer, argument)| all.iter().find(|full| *full == outer).map(|outer| (outer, argument)));
        let mut diagnostic = Diagnostic::new(Code::E0701, format!("`vary {path}` names no setting"))
            .label(span, "not a setting of a study");
        let help = match (call, near) {
            (Some((outer, argument)), _) => {
                format!("vary the whole value:  vary {outer} = [ ... ]\nwith another `{argument}` in each")
            }
            (None, Some(near)) => {
                diagnostic = diagnostic.fix(span, near);
                format!("did you mean `{near}`?")
            }
            (None, None) => "name a block and a setting:  vary train.epochs = [10, 30]".to_owned(),
        };
        self.push(diagnostic.help(help));
    }

    /// E0101: `vary` where there is nothing to compare.
    pub fn vary_in_run(&mut self, span: Span) {
        self.push(
            Diagnostic::new(Code::E0101, "`vary` belongs into a study, and `run` only says where it runs")
                .label(span, "not in `run`")
                .help("move it into `study`, or write one value"),
        );
    }

    /// E0103: a `vary` that offers no list.
    pub fn vary_wants_options(&mut self, path: &str, kind: &str, span: Span) {
        self.push(
            Diagnostic::new(
                Code::E0103,
                format!("`vary {path}` takes a list or a record of values, but this is {kind}"),
            )
            .label(span, kind)
            .help(format!("write  vary {path} = [ ... ]  or with names  {{ first = ..., second = ... }}")),
        );
    }

    /// E0104: a range that `vary` cannot count through.
    pub fn vary_over_range(&mut self, path: &str, span: Span, most: usize) {
        self.push(
            Diagnostic::new(Code::E0104, format!("`vary {path}` counts through whole numbers, {most} at most"))
                .label(span, "not such a range")
                .help(format!("write  vary {path} = 1..=5  or a list")),
        );
    }

    /// E0104: a `vary` without a value.
    pub fn vary_nothing(&mut self, path: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0104, format!("`vary {path}` must offer at least one value"))
                .label(span, "nothing to choose from")
                .help(format!("add values, or set it:  {path} = ...")),
        );
    }

    /// E0104: a key that can be no part of a variant's name.
    pub fn option_name(&mut self, key: &str, span: Span) {
        let shown: String = key.chars().take(40).flat_map(char::escape_debug).collect();
        self.push(
            Diagnostic::new(Code::E0104, format!("`{shown}` is no name for a variant"))
                .label(span, "its results are called so")
                .help("letters, digits, `_`, `-`, `.` and blanks, from a letter or digit to a letter or digit"),
        );
    }

    /// E0105: the same option twice.
    pub fn option_twice(&mut self, label: &str, path: &str, first: Span, second: Span) {
        self.push(
            Diagnostic::new(Code::E0105, format!("`vary {path}` offers `{label}` twice"))
                .label(second, "offered again")
                .label(first, "first offered here")
                .help("remove one, or give them different values"),
        );
    }

    /// E0104: more variants than a study may have.
    pub fn grid_too_large(&mut self, counts: &[usize], variants: usize, most: usize, spans: &[Span]) {
        let shown = if counts.len() > 1 { format!("{} = {variants}", product(counts)) } else { variants.to_string() };
        let mut diagnostic =
            Diagnostic::new(Code::E0104, format!("this study has {shown} variants, and {most} are the most"));
        for (count, span) in counts.iter().zip(spans) {
            diagnostic = diagnostic.label(*span, format!("times {count}"));
        }
        self.push(diagnostic.help("offer fewer values, or make several studies of it"));
    }

    /// W0702: a grid that takes long; `time` as far as it is known.
    pub fn grid_is_large(
        &mut self,
        counts: &[usize],
        variants: usize,
        trainings: usize,
        spans: &[Span],
        time: Option<&str>,
    ) {
        let shown = if counts.len() > 1 { format!("{} = {variants}", product(counts)) } else { variants.to_string() };
        let time = time.map_or_else(String::new, |time| format!(", {time}"));
        let mut diagnostic = Diagnostic::new(
            Code::W0702,
            format!("this grid trains {trainings} networks{time}: {shown} variants, each in its folds"),
        );
        for (count, span) in counts.iter().zip(spans) {
            diagnostic = diagnostic.label(*span, format!("times {count}"));
        }
        self.push(diagnostic.help("try one fold of each first:  split.run = [0]"));
    }

    /// E0705: the best variant is told on the folds that chose it.
    pub fn winner_on_its_folds(&mut self, variants: usize, folds: u32, at: Span, vary: Option<Span>, without: &str) {
        let mut problem = Diagnostic::new(Code::E0705, "the winner would be chosen and reported on the same folds")
            .label(at, "reports the winner's score on those folds");
        if let Some(vary) = vary {
            let folds = if folds == 0 { "the folds".to_owned() } else { format!("the {folds} folds") };
            problem = problem.label(vary, format!("{variants} variants compete on {folds}"));
        }
        self.push(problem.help(format!(
            "report it on patients nobody has touched:   split {{ holdout = 20% }}\nor name the variant before anything ran:    headline = \"{without}\""
        )));
    }

    /// E0703: a headline where there is nothing to choose from.
    pub fn nothing_leads(&mut self, at: Span) {
        self.push(
            Diagnostic::new(Code::E0703, "`headline` names one of several variants, but nothing varies")
                .label(at, "this study is the only one")
                .help("leave the line out, or add  vary train.loss = { ce = cross_entropy(), focal = focal() }"),
        );
    }

    /// E0703: nothing varies.
    pub fn nothing_to_compare(&mut self, span: Span) {
        self.push(
            Diagnostic::new(Code::E0703, "there is nothing to compare: this study has one variant")
                .label(span, "compares variants")
                .help("offer several values:  vary train.loss = [cross_entropy(), focal()]"),
        );
    }

    /// E0703: a baseline that is no variant.
    pub fn no_such_variant(&mut self, name: &str, span: Span, names: &[&str]) {
        self.push(
            Diagnostic::new(Code::E0703, format!("the baseline `{name}` is no variant of this study"))
                .label(span, "no variant of this name")
                .help(meant_or_all(name, "variants", names)),
        );
    }

    /// E0703: a baseline by a setting that does not vary.
    pub fn baseline_varies_not(&mut self, key: &str, span: Span, paths: &[&str]) {
        let names: Vec<&str> = paths.iter().map(|path| path.rsplit('.').next().unwrap_or(path)).collect();
        self.push(
            Diagnostic::new(Code::E0703, format!("no `vary` of this study is called `{key}`"))
                .label(span, "does not vary")
                .help(meant_or_all(key, "what varies", &names)),
        );
    }

    /// E0703: a baseline with a choice that its `vary` does not offer.
    pub fn no_such_option(&mut self, label: &str, path: &str, span: Span, vary: Span, labels: &[&str]) {
        self.push(
            Diagnostic::new(Code::E0703, format!("`vary {path}` does not offer `{label}`"))
                .label(span, "not offered")
                .label(vary, format!("offers {} values", labels.len()))
                .help(meant_or_all(label, "it offers", labels)),
        );
    }

    /// E0703: a baseline that fits several variants.
    pub fn baseline_leaves_open(&mut self, path: &str, span: Span, vary: Span, labels: &[&str]) {
        let name = path.rsplit('.').next().unwrap_or(path);
        let first = labels.first().copied().unwrap_or_default();
        self.push(
            Diagnostic::new(Code::E0703, format!("the baseline leaves `{name}` open"))
                .label(span, "fits several variants")
                .label(vary, format!("offers {}", list(labels.iter().copied()).replace('\n', " ")))
                .help(format!("add  {name} = {first}")),
        );
    }

    /// E0706: a paired comparison of variants that are not judged on the same images.
    pub fn compared_images_differ(&mut self, (baseline, other): (&str, &str), compare: Span, choice: Span) {
        self.push(
            Diagnostic::new(
                Code::E0706,
                format!("`{other}` and the baseline `{baseline}` are not judged on the same images"),
            )
            .label(choice, "changes which images are judged")
            .label(compare, "pairs them image by image")
            .help("leave `compare` out, or make it two studies and compare their reports"),
        );
    }
}
