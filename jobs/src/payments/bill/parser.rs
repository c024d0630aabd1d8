//! The file: a header, lines, the header of the summary, the summary. Bytes in, rows out, memory flat.

use serde::{Deserialize, Serialize};

use super::form::{COLUMNS_MAX, Expected, Fields, Form, Header};
use super::splitter::{RawLine, Splitter};
use super::totals::{BillTotals, Gathering};

/// So many bytes of a line that cannot be read are kept.
const BAD_TEXT_BYTES_MAX: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<R> {
    Row(R),
    Bad(BadRow),
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    /// Of the file, from 1.
    pub line: u64,
    pub reason: String,
    /// Its beginning, without control characters.
    pub text: String,
}

/// The file is no bill of the wanted form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is no {form}: {reason}")]
pub struct NotABill {
    pub form: &'static str,
    pub reason: String,
}

/// Reads one file, piece by piece.
pub struct Parser<F: Form> {
    splitter: Splitter,
    reading: Reading<F>,
}

struct Reading<F: Form> {
    place: Place<F::Columns>,
    gathering: Gathering<F>,
}

enum Place<C> {
    BeforeHeader,
    /// With the number of columns.
    Lines(C, usize),
    /// The header of the summary has come: its names.
    BeforeSummary(Vec<String>),
    AfterSummary,
}

impl<F: Form> Parser<F> {
    pub fn new(expected: Expected) -> Self {
        let gathering = Gathering::new(expected);
        Self { splitter: Splitter::default(), reading: Reading { place: Place::BeforeHeader, gathering } }
    }

    /// Appends what ends within `bytes` to `lines`.
    ///
    /// # Errors
    /// When the file is no bill of this form. Nothing more can be read of it then.
    pub fn push(&mut self, bytes: &[u8], lines: &mut Vec<Line<F::Row>>) -> Result<(), NotABill> {
        self.splitter.push(bytes, |line| self.reading.take(line, lines))
    }

    /// The end of the file.
    ///
    /// # Errors
    /// As [`Self::push`]; also when there was no header.
    pub fn finish(mut self, lines: &mut Vec<Line<F::Row>>) -> Result<BillTotals, NotABill> {
        self.splitter.finish(|line| self.reading.take(line, lines))?;
        match self.reading.place {
            Place::BeforeHeader => Err(not_a_bill::<F>("it is empty".to_owned())),
            _ => Ok(self.reading.gathering.finish()),
        }
    }
}

impl<F: Form> Reading<F> {
    fn take(&mut self, line: RawLine<'_>, lines: &mut Vec<Line<F::Row>>) -> Result<(), NotABill> {
        let text = String::from_utf8_lossy(line.bytes);
        if text.trim().is_empty() {
            return Ok(());
        }
        let read = match &self.place {
            Place::BeforeHeader => {
                self.place = header::<F>(&text)?;
                return Ok(());
            }
            Place::Lines(columns, width) => {
                if let Some(names) = summary_names::<F>(&text) {
                    self.place = Place::BeforeSummary(names);
                    return Ok(());
                }
                row::<F>(columns, *width, &text, line)
            }
            Place::BeforeSummary(names) => match Fields::read(&text) {
                Some(fields) if fields.count() == names.len() => {
                    self.gathering.summary(names, fields.values());
                    self.place = Place::AfterSummary;
                    return Ok(());
                }
                _ => Err("the summary has not as many values as names".to_owned()),
            },
            Place::AfterSummary => Err("it stands behind the summary".to_owned()),
        };
        lines.push(match read {
            Ok(row) => {
                self.gathering.row(&row, line.number);
                Line::Row(row)
            }
            Err(reason) => {
                let bad = BadRow { line: line.number, reason, text: shown(&text) };
                self.gathering.bad(&bad);
                Line::Bad(bad)
            }
        });
        Ok(())
    }
}

fn header<F: Form>(text: &str) -> Result<Place<F::Columns>, NotABill> {
    let header = Header::read(text);
    if header.width() > COLUMNS_MAX {
        return Err(not_a_bill::<F>(format!("its header has more than {COLUMNS_MAX} columns")));
    }
    let columns = F::columns(&header).map_err(|reason| {
        let begins: String = shown(text).chars().take(80).collect();
        not_a_bill::<F>(format!("{reason}; it begins with {begins:?}"))
    })?;
    Ok(Place::Lines(columns, header.width()))
}

/// The names of the summary, when this is its header.
fn summary_names<F: Form>(text: &str) -> Option<Vec<String>> {
    // Values begin with a backtick, names do not.
    if text.starts_with('`') {
        return None;
    }
    let header = Header::read(text);
    let is_summary = header.first() == F::SUMMARY && header.width() <= COLUMNS_MAX;
    is_summary.then(|| header.0.into_iter().map(str::to_owned).collect())
}

fn row<F: Form>(columns: &F::Columns, width: usize, text: &str, line: RawLine<'_>) -> Result<F::Row, String> {
    if line.is_cut {
        return Err(format!("it has more than {} bytes", super::LINE_BYTES_MAX));
    }
    if !text.starts_with('`') {
        return Err("it does not begin with a backtick".to_owned());
    }
    match Fields::read(text) {
        Some(fields) if fields.count() == width => F::row(columns, &fields, line.number),
        Some(fields) => Err(format!("it has {} values, and the header {width}", fields.count())),
        None => Err(format!("it has more than {COLUMNS_MAX} values")),
    }
}

fn not_a_bill<F: Form>(reason: String) -> NotABill {
    NotABill { form: F::NAME, reason }
}

fn shown(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(BAD_TEXT_BYTES_MAX)];
    kept.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}
