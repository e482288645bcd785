//! Values after evaluation: names of `let` and `param` are gone, names of the catalog stay words.
//!
//! `Poison` stands where a problem has been reported; whoever meets it stays silent.

use std::path::Path;
use std::rc::Rc;

use crate::source::Span;
use crate::study::Predicate;
use crate::syntax::ast::{Name, Number, Unit};

/// A text, and the folder in which it starts if it is a relative path: that of the file where its beginning was
/// written. `None` is the study's own folder.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) text: String,
    pub(super) folder: Option<Rc<Path>>,
}

impl Words {
    /// The text as a path that starts in the study's folder.
    pub(super) fn path(&self) -> String {
        match &self.folder {
            Some(folder) if !self.text.is_empty() => folder.join(&self.text).display().to_string(),
            Some(_) | None => self.text.clone(),
        }
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A value and the place it is used at (not the place of the `let` it came from).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spanned {
    pub(super) value: Value,
    pub(super) span: Span,
}

impl Spanned {
    pub(super) fn new(value: Value, span: Span) -> Self {
        Self { value, span }
    }
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Number(Number),
    Text(Words),
    Column(String),
    Bool(bool),
    /// A bare word that is no `let` and no `param`.
    Word(String),
    List(Vec<Spanned>),
    Record(Vec<(Name, Spanned)>),
    Call(Call),
    /// Numbers times calls, added up.
    Sum(Vec<Term>),
    Range {
        start: Number,
        end: Number,
        inclusive: bool,
    },
    /// A condition over columns.
    Condition(Predicate),
    /// An optional `param` that nobody set.
    Absent,
    Poison,
}

/// `name(arguments)`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) name: Name,
    pub(super) arguments: Vec<(Option<Name>, Spanned)>,
    pub(super) span: Span,
}

/// `weight * call`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    pub(super) weight: f64,
    pub(super) call: Call,
}

/// Equal in what they mean, wherever they were written.
pub(super) fn alike(a: &Value, b: &Value) -> bool {
    let call = |a: &Call, b: &Call| {
        a.name.text == b.name.text
            && a.arguments.len() == b.arguments.len()
            && a.arguments.iter().zip(&b.arguments).all(|((a_name, a), (b_name, b))| {
                a_name.as_ref().map(|name| &name.text) == b_name.as_ref().map(|name| &name.text)
                    && alike(&a.value, &b.value)
            })
    };
    #[expect(clippy::float_cmp, reason = "numbers are compared as they were written")]
    let number = |a: &Number, b: &Number| a.value == b.value && a.unit == b.unit;
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => number(a, b),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(&a.value, &b.value))
        }
        (Value::Record(a), Value::Record(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((a_name, a), (b_name, b))| a_name.text == b_name.text && alike(&a.value, &b.value))
        }
        (Value::Call(a), Value::Call(b)) => call(a, b),
        (Value::Call(one), Value::Word(word)) | (Value::Word(word), Value::Call(one)) => {
            one.arguments.is_empty() && one.name.text == *word
        }
        (Value::Sum(a), Value::Sum(b)) => {
            #[expect(clippy::float_cmp, reason = "numbers are compared as they were written")]
            let term = |(a, b): (&Term, &Term)| a.weight == b.weight && call(&a.call, &b.call);
            a.len() == b.len() && a.iter().zip(b).all(term)
        }
        (Value::Range { start, end, inclusive }, Value::Range { start: from, end: to, inclusive: closed }) => {
            number(start, from) && number(end, to) && inclusive == closed
        }
        (a, b) => a == b,
    }
}

/// How many nodes a value has, and how deeply they are nested.
pub(super) fn measure(value: &Value) -> (usize, usize) {
    let inside = |items: &mut dyn Iterator<Item = &Value>| {
        let (size, depth) = items.map(measure).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1.max(one.1)));
        (size + 1, depth + 1)
    };
    match value {
        Value::Text(words) => (1 + words.text.len() / 16, 1),
        Value::Column(text) | Value::Word(text) => (1 + text.len() / 16, 1),
        Value::List(items) => inside(&mut items.iter().map(|item| &item.value)),
        Value::Record(fields) => inside(&mut fields.iter().map(|(_, item)| &item.value)),
        Value::Call(call) => inside(&mut call.arguments.iter().map(|(_, item)| &item.value)),
        Value::Sum(terms) => {
            inside(&mut terms.iter().flat_map(|term| term.call.arguments.iter().map(|(_, item)| &item.value)))
        }
        Value::Condition(predicate) => measure_predicate(predicate),
        Value::Number(_) | Value::Bool(_) | Value::Range { .. } | Value::Absent | Value::Poison => (1, 1),
    }
}

fn measure_predicate(predicate: &Predicate) -> (usize, usize) {
    match predicate {
        Predicate::And(left, right) | Predicate::Or(left, right) => {
            let (left, right) = (measure_predicate(left), measure_predicate(right));
            (left.0 + right.0 + 1, left.1.max(right.1) + 1)
        }
        Predicate::Not(inner) => {
            let inner = measure_predicate(inner);
            (inner.0 + 1, inner.1 + 1)
        }
        Predicate::OneOf { values, .. } => (1 + values.len(), 1),
        Predicate::Compare { .. } | Predicate::Within { .. } => (1, 1),
    }
}

/// A number as it was written: no needless point, the unit behind it.
pub(super) fn print_number(number: Number) -> String {
    let unit = match number.unit {
        None => "",
        Some(Unit::Percent) => "%",
        Some(Unit::Epochs) => "epochs",
        Some(Unit::Steps) => "steps",
        Some(Unit::Pixels) => "px",
        Some(Unit::Degrees) => "deg",
        Some(Unit::GiB) => "GiB",
        Some(Unit::MiB) => "MiB",
        Some(Unit::Milliseconds) => "ms",
        Some(Unit::Seconds) => "s",
        Some(Unit::Minutes) => "min",
        Some(Unit::Hours) => "h",
        Some(Unit::Days) => "d",
    };
    format!("{}{unit}", number.value)
}

/// What a value is, in two words: `a duration`.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(number) => match number.unit {
            None => "a number",
            Some(Unit::Percent) => "a share",
            Some(Unit::Epochs) => "a number of epochs",
            Some(Unit::Steps) => "a number of steps",
            Some(Unit::Pixels) => "a number of pixels",
            Some(Unit::Degrees) => "an angle",
            Some(Unit::GiB | Unit::MiB) => "an amount of memory",
            Some(Unit::Milliseconds | Unit::Seconds | Unit::Minutes | Unit::Hours | Unit::Days) => "a duration",
        },
        Value::Text(_) => "a text",
        Value::Column(_) => "a column",
        Value::Bool(_) => "true or false",
        Value::Word(_) => "a name",
        Value::List(_) => "a list",
        Value::Record(_) => "a record",
        Value::Call(_) => "a call",
        Value::Sum(_) => "a sum of losses",
        Value::Range { .. } => "a range",
        Value::Condition(_) => "a condition over columns",
        Value::Absent => "nothing",
        Value::Poison => "not understood",
    }
}

/// What a value is and how large: `a duration (4 hours)`.
pub(super) fn describe(value: &Value) -> String {
    let kind = kind(value);
    match value {
        Value::Number(number) => {
            let n = number.value;
            let shown = n.to_string();
            let many = |one: &str| if shown == "1" { format!("1 {one}") } else { format!("{shown} {one}s") };
            let amount = match number.unit {
                None | Some(Unit::Percent | Unit::GiB | Unit::MiB) => print_number(*number),
                Some(Unit::Epochs) => return many("epoch"),
                Some(Unit::Steps) => return many("step"),
                Some(Unit::Pixels) => return many("pixel"),
                Some(Unit::Degrees) => many("degree"),
                Some(Unit::Milliseconds) => many("millisecond"),
                Some(Unit::Seconds) => many("second"),
                Some(Unit::Minutes) => many("minute"),
                Some(Unit::Hours) => many("hour"),
                Some(Unit::Days) => many("day"),
            };
            format!("{kind} ({amount})")
        }
        Value::Word(word) => format!("the name `{word}`"),
        Value::Call(call) => format!("a call of `{}`", call.name.text),
        Value::Column(column) => format!("the column `{column}`"),
        Value::Text(_)
        | Value::Bool(_)
        | Value::List(_)
        | Value::Record(_)
        | Value::Sum(_)
        | Value::Range { .. }
        | Value::Condition(_)
        | Value::Absent
        | Value::Poison => kind.to_owned(),
    }
}
