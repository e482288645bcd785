//! `keep = ...` over the columns of a table: which rows stay, and the condition in words.
//!
//! A missing cell of a number column is neither within nor outside anything, so a row stays only if the condition
//! holds whatever that cell was (Kleene's logic, as SQL has it). An empty cell of a text column is the empty text.

use crate::diag::suggest;
use crate::study::{Comparison, Predicate, Scalar};

use super::table::{Column, Table, number};

/// A comparison of a column with a value of the other type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// The column.
    pub(super) column: String,
    /// Does the study compare with a number (and the column holds text), or the other way round?
    pub(super) with_number: bool,
    /// A cell that does not fit.
    pub(super) cell: String,
    /// Its row in the table.
    pub(super) row: u32,
}

/// A predicate with the truth of each comparison worked out for every distinct cell.
enum Compiled<'t> {
    And(Box<Compiled<'t>>, Box<Compiled<'t>>),
    Or(Box<Compiled<'t>>, Box<Compiled<'t>>),
    Not(Box<Compiled<'t>>),
    Leaf { column: &'t Column, truth: Vec<Option<bool>> },
}

impl Compiled<'_> {
    fn holds(&self, row: u32) -> Option<bool> {
        match self {
            Self::And(left, right) => match (left.holds(row), right.holds(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                (None, Some(true) | None) | (Some(true), None) => None,
            },
            Self::Or(left, right) => match (left.holds(row), right.holds(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                (None, Some(false) | None) | (Some(false), None) => None,
            },
            Self::Not(inner) => inner.holds(row).map(|held| !held),
            Self::Leaf { column, truth } => {
                column.code(row).and_then(|code| truth.get(code as usize).copied()).flatten()
            }
        }
    }
}

/// The rows for which the predicate holds; `None` when a comparison does not fit its column (all are told in
/// `mismatches`). Columns that are not in the table hold nothing.
pub(super) fn rows(predicate: &Predicate, table: &Table, mismatches: &mut Vec<Mismatch>) -> Option<Vec<u32>> {
    let before = mismatches.len();
    let compiled = compile(predicate, table, mismatches)?;
    if mismatches.len() > before {
        return None;
    }
    Some((0..table.rows()).filter(|row| compiled.holds(*row) == Some(true)).collect())
}

fn compile<'t>(predicate: &Predicate, table: &'t Table, bad: &mut Vec<Mismatch>) -> Option<Compiled<'t>> {
    let compiled = match predicate {
        Predicate::And(left, right) => {
            let (left, right) = (compile(left, table, bad), compile(right, table, bad));
            Compiled::And(Box::new(left?), Box::new(right?))
        }
        Predicate::Or(left, right) => {
            let (left, right) = (compile(left, table, bad), compile(right, table, bad));
            Compiled::Or(Box::new(left?), Box::new(right?))
        }
        Predicate::Not(inner) => Compiled::Not(Box::new(compile(inner, table, bad)?)),
        Predicate::Compare { column: name, comparison, value } => {
            let column = table.column(name)?;
            let truth = match value {
                Scalar::Number(value) => {
                    let numbers = numbers(name, column, bad)?;
                    numbers.iter().map(|cell| cell.map(|cell| compare(&cell, value, *comparison))).collect()
                }
                Scalar::Text(value) => {
                    let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
                    expect_text(name, column, value, ordered, bad)?;
                    column.values().map(|cell| Some(compare(&cell, &value.as_str(), *comparison))).collect()
                }
            };
            Compiled::Leaf { column, truth }
        }
        Predicate::OneOf { column: name, values } => {
            let column = table.column(name)?;
            let mut truth = vec![Some(false); column.distinct()];
            for value in values {
                match value {
                    Scalar::Number(value) => {
                        for (held, cell) in truth.iter_mut().zip(numbers(name, column, bad)?) {
                            match cell {
                                Some(cell) => *held = held.map(|held| held || compare(&cell, value, Comparison::Equal)),
                                None => *held = None,
                            }
                        }
                    }
                    Scalar::Text(value) => {
                        expect_text(name, column, value, false, bad)?;
                        for (held, cell) in truth.iter_mut().zip(column.values()) {
                            *held = held.map(|held| held || cell == value);
                        }
                    }
                }
            }
            Compiled::Leaf { column, truth }
        }
        Predicate::Within { column: name, start, end, inclusive } => {
            let column = table.column(name)?;
            let within = |cell: f64| cell >= *start && if *inclusive { cell <= *end } else { cell < *end };
            let truth = numbers(name, column, bad)?.iter().map(|cell| cell.map(within)).collect();
            Compiled::Leaf { column, truth }
        }
    };
    Some(compiled)
}

fn compare<T: PartialOrd>(cell: &T, value: &T, comparison: Comparison) -> bool {
    match comparison {
        Comparison::Equal => cell == value,
        Comparison::NotEqual => cell != value,
        Comparison::Less => cell < value,
        Comparison::LessEqual => cell <= value,
        Comparison::Greater => cell > value,
        Comparison::GreaterEqual => cell >= value,
    }
}

fn numbers(name: &str, column: &Column, bad: &mut Vec<Mismatch>) -> Option<Vec<Option<f64>>> {
    match column.numbers() {
        Ok(numbers) => Some(numbers),
        Err(code) => {
            bad.push(Mismatch {
                column: name.to_owned(),
                with_number: true,
                cell: column.value(code).to_owned(),
                row: column.first_row(code).unwrap_or(0),
            });
            None
        }
    }
}

/// A text that is no number can never equal a cell of a column of numbers, and numbers are not `ordered` as texts are.
fn expect_text(name: &str, column: &Column, value: &str, ordered: bool, bad: &mut Vec<Mismatch>) -> Option<()> {
    let never = ordered || (!value.is_empty() && number(value).is_none() && column.find(value).is_none());
    let holds_numbers = || column.numbers().is_ok_and(|numbers| numbers.iter().any(Option::is_some));
    if never && holds_numbers() {
        let code = (0..).zip(column.values()).find(|(_, cell)| number(cell).is_some()).map_or(0, |(code, _)| code);
        bad.push(Mismatch {
            column: name.to_owned(),
            with_number: false,
            cell: column.value(code).to_owned(),
            row: column.first_row(code).unwrap_or(0),
        });
        return None;
    }
    Some(())
}

/// Names of the columns a predicate looks at, in order of writing, each once.
pub(super) fn columns(predicate: &Predicate) -> Vec<&str> {
    fn walk<'p>(predicate: &'p Predicate, names: &mut Vec<&'p str>) {
        match predicate {
            Predicate::And(left, right) | Predicate::Or(left, right) => {
                walk(left, names);
                walk(right, names);
            }
            Predicate::Not(inner) => walk(inner, names),
            Predicate::Compare { column, .. } | Predicate::OneOf { column, .. } | Predicate::Within { column, .. } => {
                if !names.contains(&column.as_str()) {
                    names.push(column);
                }
            }
        }
    }
    let mut names = Vec::new();
    walk(predicate, &mut names);
    names
}

/// The parts of a predicate that all have to hold.
fn conjuncts(predicate: &Predicate) -> Vec<&Predicate> {
    match predicate {
        Predicate::And(left, right) => {
            let mut parts = conjuncts(left);
            parts.extend(conjuncts(right));
            parts
        }
        Predicate::Or(..)
        | Predicate::Not(_)
        | Predicate::Compare { .. }
        | Predicate::OneOf { .. }
        | Predicate::Within { .. } => vec![predicate],
    }
}

/// The part of the predicate that removes most rows, in words, and how many rows it leaves.
pub(super) fn strictest(predicate: &Predicate, table: &Table) -> Option<(String, u32)> {
    let mut ignored = Vec::new();
    let left = |part: &&Predicate| rows(part, table, &mut ignored).map_or(0, |rows| rows.len());
    let counted: Vec<(&Predicate, usize)> = {
        let mut left = left;
        conjuncts(predicate).into_iter().map(|part| (part, left(&part))).collect()
    };
    let (part, left) = counted.into_iter().min_by_key(|(_, left)| *left)?;
    Some((describe(part), u32::try_from(left).unwrap_or(u32::MAX)))
}

/// A text the predicate asks for that its column never holds, with the column's most frequent texts.
pub(super) fn never_held(predicate: &Predicate, table: &Table) -> Option<(String, String, Vec<String>)> {
    let asked = |column: &str, value: &Scalar| -> Option<(String, String, Vec<String>)> {
        let Scalar::Text(text) = value else { return None };
        let held = table.column(column)?;
        if held.find(text).is_some() {
            return None;
        }
        Some((column.to_owned(), text.clone(), held.values().take(1000).map(str::to_owned).collect()))
    };
    match predicate {
        Predicate::And(left, right) => never_held(left, table).or_else(|| never_held(right, table)),
        Predicate::Compare { column, comparison: Comparison::Equal, value } => asked(column, value),
        Predicate::OneOf { column, values } => values.iter().find_map(|value| asked(column, value)),
        Predicate::Or(..) | Predicate::Not(_) | Predicate::Compare { .. } | Predicate::Within { .. } => None,
    }
}

/// Texts that a condition compares with and that their columns never hold, where one that they hold is so near that a slip
/// is likely: the column, the text, and what is held.
pub(super) fn slips(predicate: &Predicate, table: &Table) -> Vec<(String, String, String)> {
    let asked = |column: &str, value: &Scalar| -> Option<(String, String, String)> {
        let Scalar::Text(text) = value else { return None };
        let held = table.column(column)?;
        if text.is_empty() || held.find(text).is_some() {
            return None;
        }
        let near = suggest::nearest(text, held.values().take(1000).filter(|cell| !cell.is_empty()))?;
        Some((column.to_owned(), text.clone(), near.to_owned()))
    };
    match predicate {
        Predicate::And(left, right) | Predicate::Or(left, right) => [slips(left, table), slips(right, table)].concat(),
        Predicate::Not(inner) => slips(inner, table),
        Predicate::Compare { column, comparison: Comparison::Equal | Comparison::NotEqual, value } => {
            asked(column, value).into_iter().collect()
        }
        Predicate::OneOf { column, values } => values.iter().filter_map(|value| asked(column, value)).collect(),
        Predicate::Compare { .. } | Predicate::Within { .. } => Vec::new(),
    }
}

/// The condition as it would be written.
pub(super) fn describe(predicate: &Predicate) -> String {
    let inner = |part: &Predicate| match part {
        Predicate::And(..) | Predicate::Or(..) => format!("({})", describe(part)),
        Predicate::Not(_) | Predicate::Compare { .. } | Predicate::OneOf { .. } | Predicate::Within { .. } => {
            describe(part)
        }
    };
    match predicate {
        Predicate::And(left, right) => format!("{} and {}", inner(left), inner(right)),
        Predicate::Or(left, right) => format!("{} or {}", inner(left), inner(right)),
        Predicate::Not(part) => format!("not {}", inner(part)),
        Predicate::Compare { column, comparison, value } => {
            let sign = match comparison {
                Comparison::Equal => "==",
                Comparison::NotEqual => "!=",
                Comparison::Less => "<",
                Comparison::LessEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterEqual => ">=",
            };
            format!("`{column}` {sign} {}", scalar(value))
        }
        Predicate::OneOf { column, values } => {
            let values: Vec<String> = values.iter().map(scalar).collect();
            format!("`{column}` in [{}]", values.join(", "))
        }
        Predicate::Within { column, start, end, inclusive } => {
            format!("`{column}` in {start}..{}{end}", if *inclusive { "=" } else { "" })
        }
    }
}

fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => format!("\"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::csv;

    fn table(text: &str) -> Table {
        let header = csv::header(text.as_bytes()).expect("a header");
        let wanted: Vec<usize> = (0..header.names.len()).collect();
        csv::read(text.as_bytes(), &header, &wanted).expect("a table")
    }

    fn people() -> Table {
        table("age,sex,code\n10,F,058Y\n,M,060Y\n30,F,x\n40,,y\n")
    }

    fn age(comparison: Comparison, value: f64) -> Predicate {
        Predicate::Compare { column: "age".into(), comparison, value: Scalar::Number(value) }
    }

    fn sex(comparison: Comparison, value: &str) -> Predicate {
        Predicate::Compare { column: "sex".into(), comparison, value: Scalar::Text(value.into()) }
    }

    fn kept(predicate: &Predicate) -> Vec<u32> {
        let mut bad = Vec::new();
        let rows = rows(predicate, &people(), &mut bad).expect("columns fit");
        assert!(bad.is_empty());
        rows
    }

    #[test]
    fn comparisons_of_numbers_pass_over_missing_cells() {
        assert_eq!(kept(&age(Comparison::Less, 40.0)), [0, 2]);
        assert_eq!(kept(&age(Comparison::NotEqual, 10.0)), [2, 3]);
        assert_eq!(kept(&Predicate::Not(Box::new(age(Comparison::GreaterEqual, 40.0)))), [0, 2]);
        let either = Predicate::Or(Box::new(age(Comparison::Greater, 30.0)), Box::new(sex(Comparison::Equal, "M")));
        assert_eq!(kept(&either), [1, 3]);
        let both = Predicate::And(Box::new(age(Comparison::Greater, 5.0)), Box::new(sex(Comparison::Equal, "F")));
        assert_eq!(kept(&both), [0, 2]);
    }

    #[test]
    fn ranges_and_lists() {
        let within = |inclusive| Predicate::Within { column: "age".into(), start: 10.0, end: 40.0, inclusive };
        assert_eq!(kept(&within(true)), [0, 2, 3]);
        assert_eq!(kept(&within(false)), [0, 2]);
        let list = Predicate::OneOf {
            column: "sex".into(),
            values: vec![Scalar::Text("M".into()), Scalar::Text(String::new())],
        };
        assert_eq!(kept(&list), [1, 3]);
        let numbers =
            Predicate::OneOf { column: "age".into(), values: vec![Scalar::Number(10.0), Scalar::Number(30.0)] };
        assert_eq!(kept(&numbers), [0, 2]);
        assert_eq!(kept(&Predicate::Not(Box::new(numbers))), [3]);
    }

    #[test]
    fn a_text_column_cannot_be_compared_with_a_number_nor_the_other_way_round() {
        let mut bad = Vec::new();
        let text = Predicate::Within { column: "code".into(), start: 1.0, end: 2.0, inclusive: true };
        assert_eq!(rows(&text, &people(), &mut bad), None);
        let number = Predicate::Compare {
            column: "age".into(),
            comparison: Comparison::Equal,
            value: Scalar::Text("old".into()),
        };
        assert_eq!(rows(&Predicate::And(Box::new(text), Box::new(number)), &people(), &mut bad), None);
        assert_eq!(bad.last(), Some(&Mismatch { column: "age".into(), with_number: false, cell: "10".into(), row: 0 }));
        assert_eq!(
            bad.first(),
            Some(&Mismatch { column: "code".into(), with_number: true, cell: "058Y".into(), row: 0 })
        );
    }

    #[test]
    fn numbers_are_not_in_the_order_of_their_digits() {
        let mut bad = Vec::new();
        let old = Predicate::Compare {
            column: "age".into(),
            comparison: Comparison::Greater,
            value: Scalar::Text("3".into()),
        };
        assert_eq!(rows(&old, &people(), &mut bad), None);
        assert_eq!(bad, [Mismatch { column: "age".into(), with_number: false, cell: "10".into(), row: 0 }]);
    }

    #[test]
    fn slips_are_values_that_nearly_occur() {
        let not = Predicate::Not(Box::new(sex(Comparison::Equal, "m")));
        assert_eq!(slips(&not, &people()), [("sex".to_owned(), "m".to_owned(), "M".to_owned())]);
        assert!(slips(&sex(Comparison::NotEqual, "F"), &people()).is_empty());
        assert!(slips(&sex(Comparison::NotEqual, "unknown"), &people()).is_empty());
    }

    #[test]
    fn a_condition_reads_as_it_was_written() {
        let condition = Predicate::And(
            Box::new(Predicate::Or(
                Box::new(age(Comparison::Less, 16.0)),
                Box::new(Predicate::Within { column: "age".into(), start: 20.0, end: 30.0, inclusive: true }),
            )),
            Box::new(Predicate::Not(Box::new(Predicate::OneOf {
                column: "sex".into(),
                values: vec![Scalar::Text("F".into())],
            }))),
        );
        assert_eq!(describe(&condition), "(`age` < 16 or `age` in 20..=30) and not `sex` in [\"F\"]");
        assert_eq!(columns(&condition), ["age", "sex"]);
        assert_eq!(strictest(&condition, &people()), Some(("`age` < 16 or `age` in 20..=30".to_owned(), 2)));
    }
}
