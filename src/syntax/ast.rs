//! What was written, with its places: the tree that `parse` makes and `check` reads.
//!
//! Nothing is resolved here. An `Error` node stands where the text could not be understood; it has been
//! reported already, so whoever meets it stays silent.

use crate::source::Span;

/// A whole `.pipe` file.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// `pipe "2026"`.
    pub edition: Option<Text>,
    /// Everything after it, in order.
    pub items: Vec<Item>,
    /// The whole file.
    pub span: Span,
}

/// Something at the top level.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `param epochs : int = 30 where 1..=200`
    Param(Param),
    /// `let noisy = ...`
    Let(Let),
    /// `use "lab.pipe" as lab`
    Use(Use),
    /// `study name { ... }`, `run name { ... }`
    Block(Block),
    /// Not understood; reported.
    Error(Span),
}

/// A word in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The word.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// A knob that a user may set from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: Type,
    /// Value when nobody sets it.
    pub default: Option<Expr>,
    /// `where` range (an `Expr` of kind `Range`) or condition.
    pub constraint: Option<Expr>,
    /// From `param` to the end.
    pub span: Span,
}

/// `int`, `list[text]`, `float?`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// The word.
    pub name: Name,
    /// What stands in `[ ]`.
    pub argument: Option<Box<Type>>,
    /// Ends in `?`.
    pub optional: bool,
    /// All of it.
    pub span: Span,
}

/// A name for a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Let {
    /// The name.
    pub name: Name,
    /// The value.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// Names from another file.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    /// The file.
    pub path: Text,
    /// `as name`.
    pub alias: Option<Name>,
    /// `{ a, b }`.
    pub names: Vec<Name>,
    /// All of it.
    pub span: Span,
}

/// `train { ... }`, `study nih extends base { ... }`
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The first word.
    pub keyword: Name,
    /// What names it (`study nih_cxr`).
    pub labels: Vec<Name>,
    /// `extends a.b`.
    pub extends: Option<Path>,
    /// What stands between the braces.
    pub entries: Vec<Entry>,
    /// From the first word to the closing brace.
    pub span: Span,
}

/// Something in a block.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// `epochs = 30`, `data.limit = 5`
    Setting(Setting),
    /// A block in the block.
    Block(Block),
    /// A name for a value, visible in this block.
    Let(Let),
    /// `vary train.loss = [ ... ]`
    Vary(Setting),
    /// Not understood; reported.
    Error(Span),
}

/// `path = value`
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// What is set.
    pub path: Path,
    /// To what. `Error` when the value is missing or not understood.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// `a.b.c`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// At least one.
    pub names: Vec<Name>,
    /// All of it.
    pub span: Span,
}

/// `"text with ${holes}"`
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// In order; escapes are already replaced.
    pub parts: Vec<TextPart>,
    /// With the quotes.
    pub span: Span,
}

impl Text {
    /// The text, if it has no holes.
    #[must_use]
    pub fn plain(&self) -> Option<String> {
        self.parts
            .iter()
            .map(|part| match part {
                TextPart::Plain(text) => Some(text.as_str()),
                TextPart::Hole(_) => None,
            })
            .collect()
    }
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum TextPart {
    /// As it stands.
    Plain(String),
    /// `${expr}`
    Hole(Expr),
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

impl Expr {
    /// The values this one is made of, in order; of a text those of its holes.
    #[must_use]
    pub fn parts(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::Column(_) | ExprKind::Bool(_) | ExprKind::Name(_) | ExprKind::Error => {
                Vec::new()
            }
            ExprKind::Text(text) => text
                .parts
                .iter()
                .filter_map(|part| match part {
                    TextPart::Plain(_) => None,
                    TextPart::Hole(hole) => Some(hole),
                })
                .collect(),
            ExprKind::List(items) => items.iter().collect(),
            ExprKind::Record(fields) => fields.iter().map(|field| &field.value).collect(),
            ExprKind::Call { callee, arguments } => {
                std::iter::once(&**callee).chain(arguments.iter().map(|argument| &argument.value)).collect()
            }
            ExprKind::Member { of, .. } => vec![of],
            ExprKind::Negate(inner) | ExprKind::Not(inner) => vec![inner],
            ExprKind::Binary { left, right, .. } => vec![left, right],
            ExprKind::In { item, set, .. } => vec![item, set],
            ExprKind::Range { start, end, .. } => vec![start, end],
            ExprKind::If { condition, then, otherwise } => vec![condition, then, otherwise],
        }
    }
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `10_000`, `3e-4`, `20%`, `5epochs`
    Number(Number),
    /// `"..."`
    Text(Text),
    /// `` `Patient ID` ``
    Column(String),
    /// `true`, `false`
    Bool(bool),
    /// `macro_f1`
    Name(String),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `{ a = 1, "b c" = 2 }`
    Record(Vec<Field>),
    /// `f(x, name = v)`
    Call {
        /// What is called: a name, or `lab.balanced`.
        callee: Box<Expr>,
        /// In order.
        arguments: Vec<Argument>,
    },
    /// `lab.balanced`
    Member {
        /// Of what.
        of: Box<Expr>,
        /// Which.
        name: Name,
    },
    /// `-x`
    Negate(Box<Expr>),
    /// `not x`
    Not(Box<Expr>),
    /// `a + b`, `a and b`, `a <= b`
    Binary {
        /// Which.
        operator: BinaryOperator,
        /// Left.
        left: Box<Expr>,
        /// Right.
        right: Box<Expr>,
    },
    /// `x in set`, `x not in set`
    In {
        /// What is looked for.
        item: Box<Expr>,
        /// A list, a range or a name for one.
        set: Box<Expr>,
        /// `not in`.
        negated: bool,
    },
    /// `1..10`, `1..=10`
    Range {
        /// From.
        start: Box<Expr>,
        /// To.
        end: Box<Expr>,
        /// `..=`
        inclusive: bool,
    },
    /// `if a then b else c`
    If {
        /// The condition.
        condition: Box<Expr>,
        /// When true.
        then: Box<Expr>,
        /// When false.
        otherwise: Box<Expr>,
    },
    /// Not understood; reported.
    Error,
}

/// A number and its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// As written, before the unit: `20%` is 20.
    pub value: f64,
    /// Written without point and exponent.
    pub integer: bool,
    /// Its unit.
    pub unit: Option<Unit>,
}

/// The units there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// `%`
    Percent,
    /// `epoch`, `epochs`
    Epochs,
    /// `step`, `steps`
    Steps,
    /// `px`
    Pixels,
    /// `deg`
    Degrees,
    /// `GiB`
    GiB,
    /// `MiB`
    MiB,
    /// `ms`
    Milliseconds,
    /// `s`
    Seconds,
    /// `min`
    Minutes,
    /// `h`
    Hours,
    /// `d`
    Days,
}

/// A named value in a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// An identifier or a text without holes.
    pub name: Name,
    /// Its value.
    pub value: Expr,
}

/// A value handed to a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// `name = ...`
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

/// Operators between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `and`
    And,
    /// `or`
    Or,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}
