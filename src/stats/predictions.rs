//! Predictions become `predictions.csv` and back, without losing a bit.
//!
//! Columns `image,patient,fold,role,label,by_<column>...,p_<class>...`; `by_` are the columns of slices. Probabilities are written as doubles (the shortest text that
//! reads back as the very number the figures were computed with, in any language). A text cell that a spreadsheet
//! would take for a formula gets an apostrophe in front, as spreadsheets do, and loses it when read back.

use std::fmt;

use crate::record::Prediction;

/// Why a text is no predictions table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PredictionsError {
    /// The first columns have other names.
    Header,
    /// A row has too few or too many cells, or is not UTF-8.
    Row {
        /// Line, from 1.
        line: u64,
    },
    /// A cell holds something else than its column promises.
    Cell {
        /// Line, from 1.
        line: u64,
        /// The column.
        column: String,
        /// What stands there.
        found: String,
    },
}

impl fmt::Display for PredictionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => write!(f, "predictions begin with the columns image,patient,fold,role,label"),
            Self::Row { line } => write!(f, "line {line} does not fit the header"),
            Self::Cell { line, column, found } => {
                write!(
                    f,
                    "line {line}: `{}` is no value of the column `{}`",
                    found.escape_debug(),
                    column.escape_debug()
                )
            }
        }
    }
}

impl std::error::Error for PredictionsError {}

const FIRST_COLUMNS: [&str; 5] = ["image", "patient", "fold", "role", "label"];
const COLUMN: &str = "by_";
const PREFIX: &str = "p_";

/// The table of predictions, one row an image, in the order given.
///
/// `fold` counts from 0 and is empty for the hold-out; `role` is `of_fold` (`fold` where the fold is scored, `validation`
/// where these patients choose its thresholds) or `holdout`.
#[must_use]
pub fn to_csv(classes: &[String], columns: &[&str], predictions: &[Prediction], of_fold: &str) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut row: Vec<String> = FIRST_COLUMNS.map(str::to_owned).to_vec();
    row.extend(columns.iter().map(|column| format!("{COLUMN}{column}")));
    row.extend(classes.iter().map(|class| format!("{PREFIX}{class}")));
    write_row(&mut writer, &row);
    for prediction in predictions {
        let label = classes.get(prediction.label as usize).map_or("", String::as_str);
        row.clear();
        row.push(guarded(&prediction.image));
        row.push(guarded(&prediction.patient));
        row.push(prediction.fold.map_or_else(String::new, |fold| fold.to_string()));
        row.push(if prediction.fold.is_some() { of_fold } else { "holdout" }.to_owned());
        row.push(guarded(label));
        row.extend((0..columns.len()).map(|at| guarded(prediction.columns.get(at).map_or("", String::as_str))));
        let probability =
            |class| prediction.probabilities.get(class).map_or_else(String::new, |p| f64::from(*p).to_string());
        row.extend((0..classes.len()).map(probability));
        write_row(&mut writer, &row);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

fn write_row(writer: &mut csv::Writer<Vec<u8>>, row: &[String]) {
    writer.write_record(row).expect("invariant: memory takes rows of one length");
}

/// What a file of predictions holds: the classes, the columns of slices, the rows.
pub type Read = (Vec<String>, Vec<String>, Vec<Prediction>);

/// Reads what [`to_csv`] wrote.
///
/// # Errors
/// Other columns, or a cell that does not fit its column.
pub fn from_csv(text: &str) -> Result<Read, PredictionsError> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|_| PredictionsError::Header)?.clone();
    if !header.iter().take(FIRST_COLUMNS.len()).eq(FIRST_COLUMNS) {
        return Err(PredictionsError::Header);
    }
    let rest = || header.iter().skip(FIRST_COLUMNS.len());
    let columns: Vec<String> = rest().map_while(|name| name.strip_prefix(COLUMN).map(str::to_owned)).collect();
    let classes: Vec<String> = rest()
        .skip(columns.len())
        .map(|name| name.strip_prefix(PREFIX).map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or(PredictionsError::Header)?;
    let mut predictions = Vec::new();
    for row in reader.records() {
        let row =
            row.map_err(|error| PredictionsError::Row { line: error.position().map_or(0, csv::Position::line) })?;
        predictions.push(prediction(&row, &header, columns.len(), &classes)?);
    }
    Ok((classes, columns, predictions))
}

fn prediction(
    row: &csv::StringRecord,
    header: &csv::StringRecord,
    columns: usize,
    classes: &[String],
) -> Result<Prediction, PredictionsError> {
    let cell = |column: usize| row.get(column).unwrap_or("");
    let wrong = |column: usize| PredictionsError::Cell {
        line: row.position().map_or(0, csv::Position::line),
        column: header.get(column).unwrap_or("").to_owned(),
        found: cell(column).to_owned(),
    };
    let fold = match (cell(3), cell(2)) {
        ("holdout", "") => None,
        ("fold" | "validation", fold) => Some(fold.parse().map_err(|_| wrong(2))?),
        _ => return Err(wrong(3)),
    };
    let label = unguarded(cell(4));
    let label = classes.iter().position(|class| class == label).ok_or_else(|| wrong(4))?;
    let first = FIRST_COLUMNS.len() + columns;
    let probabilities = (first..header.len())
        .map(|column| cell(column).parse::<f32>().map_err(|_| wrong(column)))
        .collect::<Result<_, _>>()?;
    Ok(Prediction {
        image: unguarded(cell(0)).to_owned(),
        patient: unguarded(cell(1)).to_owned(),
        fold,
        label: u32::try_from(label).unwrap_or(u32::MAX),
        probabilities,
        columns: (FIRST_COLUMNS.len()..first).map(|column| unguarded(cell(column)).to_owned()).collect(),
    })
}

/// Would a spreadsheet compute this, or read it as a guarded text?
fn dangerous(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

fn guarded(text: &str) -> String {
    if dangerous(text) { format!("'{text}") } else { text.to_owned() }
}

fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(inner) if dangerous(inner) => inner,
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{PredictionsError, from_csv, to_csv};
    use crate::record::Prediction;

    #[test]
    fn what_is_written_reads_back_to_the_bit() {
        let classes = vec!["No Finding".to_owned(), "=1+1".to_owned(), "a,\"b\"".to_owned()];
        let texts = ["x.png", "=cmd()", "'=x", "'quoted'", "-5", "a\nb", "ä, \"ö\"", "", "@", "''+1"];
        let predictions: Vec<Prediction> = texts
            .iter()
            .zip(0_u8..)
            .map(|(text, n)| Prediction {
                image: (*text).to_owned(),
                patient: (*text).to_owned(),
                fold: (n % 3 != 0).then_some(u32::from(n)),
                label: u32::from(n % 3),
                probabilities: vec![0.1 / f32::from(n + 1), f32::MIN_POSITIVE, 1.0],
                columns: vec![(*text).to_owned(), n.to_string()],
            })
            .collect();
        let text = to_csv(&classes, &["view", "p_age"], &predictions, "fold");
        assert_eq!(from_csv(&text), Ok((classes, vec!["view".to_owned(), "p_age".to_owned()], predictions)));
        assert!(text.starts_with("image,patient,fold,role,label,by_view,by_p_age,p_No Finding,p_=1+1,"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with(['=', '+', '-', '@'])), "{text}");
    }

    #[test]
    fn a_probability_reads_as_the_double_the_figures_used() {
        let row = Prediction {
            image: "i".into(),
            patient: "p".into(),
            fold: None,
            label: 0,
            probabilities: vec![0.1],
            columns: vec![],
        };
        let text = to_csv(&["a".to_owned()], &[], &[row], "fold");
        assert_eq!(text, "image,patient,fold,role,label,p_a\ni,p,,holdout,a,0.10000000149011612\n");
    }

    #[test]
    fn other_tables_are_refused_with_their_place() {
        assert_eq!(from_csv("a,b\n1,2\n"), Err(PredictionsError::Header));
        let head = "image,patient,fold,role,label,p_a\n";
        let cell = |column: &str, found: &str| {
            Err(PredictionsError::Cell { line: 2, column: column.to_owned(), found: found.to_owned() })
        };
        assert_eq!(from_csv(&format!("{head}i,p,0,fold,b,1\n")), cell("label", "b"));
        assert_eq!(from_csv(&format!("{head}i,p,x,fold,a,1\n")), cell("fold", "x"));
        assert_eq!(from_csv(&format!("{head}i,p,0,holdout,a,1\n")), cell("role", "holdout"));
        assert_eq!(from_csv(&format!("{head}i,p,0,fold,a,one\n")), cell("p_a", "one"));
        assert_eq!(from_csv(&format!("{head}i,p,0,fold,a\n")), Err(PredictionsError::Row { line: 2 }));
    }
}
