//! The words of the language itself, its units and the types of a `param`: what the grammar reserves, with what an
//! author wants to know about it. The grammar stays the authority on shapes; a test holds that the lists agree.

/// Something the language itself reserves.
#[derive(Debug, Clone, Copy)]
pub struct Keyword {
    /// As written.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// A line that holds it.
    pub example: &'static str,
}

const fn keyword(name: &'static str, about: &'static str, example: &'static str) -> Keyword {
    Keyword { name, about, example }
}

/// The reserved words, and `pipe`, which is special in the first line only.
pub const KEYWORDS: &[Keyword] = &[
    keyword("pipe", "The first line: the edition that pins every default.", "pipe \"2026\""),
    keyword(
        "param",
        "A knob that `--set` and `--params` may turn, with its type.",
        "param epochs : int = 30 where 1..=200",
    ),
    keyword("let", "A name for a value.", "let noisy = 0.6 * focal() + 0.4 * soft_f1()"),
    keyword("use", "Names from another file, found from this file's folder.", "use \"losses.pipe\" { noisy }"),
    keyword("as", "The name under which a used file's names stand.", "use \"losses.pipe\" as lab"),
    keyword(
        "vary",
        "A setting with several values: one variant each.",
        "vary train.loss = { ce = cross_entropy(), mix = noisy }",
    ),
    keyword(
        "extends",
        "Starts from another study and changes some settings.",
        "study small extends nih { train.epochs = 3 }",
    ),
    keyword("where", "The range or condition that a `param` keeps to.", "param folds : int = 5 where 2..=10"),
    keyword("if", "One of two values.", "epochs = if quick then 1 else 30"),
    keyword("then", "Before the value for `true`.", "epochs = if quick then 1 else 30"),
    keyword("else", "Before the value for `false`.", "epochs = if quick then 1 else 30"),
    keyword("and", "Both conditions.", "keep = `age` >= 16 and `view` == \"PA\""),
    keyword("or", "One of two conditions, or both.", "keep = `view` == \"PA\" or `view` == \"AP\""),
    keyword("not", "The condition turned round; also in `not in`.", "keep = `view` not in [\"LL\"]"),
    keyword("in", "Among the values of a list, or within a range.", "keep = `age` in 16..=100"),
    keyword("true", "Yes.", "cv = group_kfold(5, shuffle = true)"),
    keyword("false", "No.", "cv = stratified_group_kfold(5, shuffle = false)"),
];

/// What a number may count, with its unit.
pub const UNITS: &[Keyword] = &[
    keyword("%", "Hundredths.", "holdout = 20%"),
    keyword("epoch", "Passes over the training images.", "warmup = 1epoch"),
    keyword("epochs", "Passes over the training images.", "patience = 5epochs"),
    keyword("step", "Steps of the optimiser.", "warmup = 1step"),
    keyword("steps", "Steps of the optimiser.", "warmup = 500steps"),
    keyword("px", "Pixels.", "side = 224px"),
    keyword("deg", "Degrees of an angle.", "rotate(10deg)"),
    keyword("GiB", "2^30 bytes.", "memory = 24GiB"),
    keyword("MiB", "2^20 bytes.", "memory = 512MiB"),
    keyword("ms", "Milliseconds.", "delay = 50ms"),
    keyword("min", "Minutes.", "time = 30min"),
    keyword("h", "Hours.", "time = 4h"),
    keyword("s", "Seconds.", "time = 90s"),
    keyword("d", "Days.", "time = 2d"),
];

/// The types of a `param`.
pub const TYPES: &[Keyword] = &[
    keyword("int", "A whole number.", "param epochs : int = 30"),
    keyword("float", "A number, or a share such as `20%`.", "param rate : float = 0.001"),
    keyword("bool", "`true` or `false`.", "param quick : bool = false"),
    keyword("text", "A text.", "param site : text = \"A\""),
    keyword(
        "path",
        "A path; from `--set` it starts at the working folder, as a default at the study's.",
        "param root : path = \"./nih\"",
    ),
    keyword("duration", "A time or a number of epochs or steps, with its unit.", "param warm : duration = 2epochs"),
    keyword("list", "A list of one of the other types.", "param classes : list[text] = [\"a\", \"b\"]"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The quoted words of a rule of the grammar.
    fn words(rule: &str) -> Vec<&'static str> {
        let grammar = include_str!("../../grammar/pipe.pest");
        let body = grammar.split(&format!("\n{rule} = ")).nth(1).unwrap_or("").split("\n/// ").next().unwrap_or("");
        body.split('"').skip(1).step_by(2).collect()
    }

    #[test]
    fn the_grammar_reserves_these_words_and_no_others() {
        let mut reserved = words("keyword");
        let mut named: Vec<&str> = KEYWORDS.iter().map(|keyword| keyword.name).filter(|name| *name != "pipe").collect();
        reserved.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, reserved);
    }

    #[test]
    fn the_grammar_knows_these_units_and_no_others() {
        let mut known = words("unit");
        let mut named: Vec<&str> = UNITS.iter().map(|unit| unit.name).collect();
        known.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, known);
    }
}
