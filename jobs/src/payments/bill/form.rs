//! What the forms of a bill have in common: a header by whose names columns are found, rows, sums.

use chrono::NaiveDate;
use windlass_engine::Timestamp;

use super::amount::{AmountError, FEN, PERCENT_E5, fixed};
use crate::shop_time::{beijing_clock, in_beijing};

/// Columns that a header may have; the widest form that is known has 29.
pub const COLUMNS_MAX: usize = 64;
/// Bytes of a number or state that somebody compares by.
const KEY_BYTES_MAX: usize = 128;

/// Whose bill this should be, and of which day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub mchid: String,
    /// On Beijing's calendar.
    pub day: NaiveDate,
}

impl Expected {
    /// Whether an instant lies in the bill's day: 00:00:00 to 23:59:59 in Beijing.
    pub fn is_day_of(&self, at: Timestamp) -> bool {
        in_beijing(at).date_naive() == self.day
    }
}

/// One form of bill: how its lines become rows, and what its summary line should say.
pub trait Form: Send + 'static {
    type Row: Send + 'static;
    type Columns: Send + Sync + 'static;
    type Sums: Default + Send + 'static;
    /// As it is called in an error.
    const NAME: &'static str;
    /// The first name of the header of the summary.
    const SUMMARY: &'static str;

    /// Where each column is. The error says what is missing.
    fn columns(header: &Header<'_>) -> Result<Self::Columns, String>;
    /// The error says which field cannot be read, and why.
    fn row(columns: &Self::Columns, fields: &Fields<'_>, line: u64) -> Result<Self::Row, String>;
    fn add(sums: &mut Self::Sums, row: &Self::Row);
    /// Our own figure for a name of the summary, and how many decimals it has; none for a name that is not known.
    fn figure(sums: &Self::Sums, name: &str) -> Option<(i128, usize)>;
    fn at(row: &Self::Row) -> Timestamp;
    /// None: the form does not name it.
    fn mchid(row: &Self::Row) -> Option<&str>;
    fn balance(_: &Self::Sums) -> Option<super::Balance> {
        None
    }
}

/// The names of a header line, as they stand.
pub struct Header<'a>(pub Vec<&'a str>);

impl<'a> Header<'a> {
    /// Splits a header line. Names are bare; a mark, spaces and the unit behind a name are ignored.
    pub fn read(line: &'a str) -> Self {
        Self(line.split(',').map(bare).collect())
    }

    pub fn width(&self) -> usize {
        self.0.len()
    }

    pub fn first(&self) -> &str {
        self.0.first().copied().unwrap_or_default()
    }

    /// The place of the first of these names that there is.
    pub fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.0.iter().position(|found| found == name))
    }

    /// As [`Self::find`]; the error names the column that is missing.
    pub fn must_find(&self, names: &[&str]) -> Result<usize, String> {
        self.find(names).ok_or_else(|| format!("the column {} is missing", names.join(" or ")))
    }
}

fn bare(name: &str) -> &str {
    let name = name.trim().trim_start_matches('`');
    name.strip_suffix("(元)").or_else(|| name.strip_suffix("（元）")).unwrap_or(name).trim()
}

/// The values of one line, each without its backtick.
pub struct Fields<'a> {
    values: [&'a str; COLUMNS_MAX],
    count: usize,
}

impl<'a> Fields<'a> {
    /// Splits at comma and backtick; a comma or a backtick alone is part of a value (facts: wechat-pay.md 10).
    /// None when there are more than [`COLUMNS_MAX`].
    pub fn read(line: &'a str) -> Option<Self> {
        let mut fields = Self { values: [""; COLUMNS_MAX], count: 0 };
        for value in line.strip_prefix('`').unwrap_or(line).split(",`") {
            *fields.values.get_mut(fields.count)? = value;
            fields.count += 1;
        }
        Some(fields)
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn values(&self) -> &[&'a str] {
        &self.values[..self.count]
    }

    /// The value of a column, without spaces around it; empty where the form has no such column.
    pub fn text(&self, column: Option<usize>) -> &'a str {
        column.and_then(|column| self.values.get(column)).map_or("", |value| value.trim())
    }

    /// A number or state to compare by.
    pub fn key(&self, column: usize, name: &str) -> Result<String, String> {
        let value = self.text(Some(column));
        if value.len() > KEY_BYTES_MAX {
            return Err(format!("{name} has more than {KEY_BYTES_MAX} bytes"));
        }
        if value.chars().any(|char| char.is_control() || char == char::REPLACEMENT_CHARACTER) {
            return Err(format!("{name} holds something that is no character"));
        }
        Ok(value.to_owned())
    }

    /// As [`Self::key`], and not empty.
    pub fn must_key(&self, column: usize, name: &str) -> Result<String, String> {
        let key = self.key(column, name)?;
        if key.is_empty() { Err(format!("{name} is empty")) } else { Ok(key) }
    }

    /// An amount of yuan that must be there, in fen, not below zero.
    pub fn fen(&self, column: usize, name: &str) -> Result<i64, String> {
        let fen = self.amount(column, FEN, name)?;
        if fen < 0 { Err(format!("{name} is below zero")) } else { Ok(fen) }
    }

    /// As [`Self::fen`]; nothing where it is empty or the form does not have it.
    pub fn fen_or_zero(&self, column: Option<usize>, name: &str) -> Result<i64, String> {
        match column {
            Some(column) if !self.text(Some(column)).is_empty() => self.fen(column, name),
            _ => Ok(0),
        }
    }

    /// A figure that must be there.
    pub fn amount(&self, column: usize, decimals: usize, name: &str) -> Result<i64, String> {
        fixed(self.text(Some(column)), decimals).map_err(|error| format!("{name} {error}"))
    }

    /// A rate in percent, in 1/100000; nothing where it is empty or the form does not have it.
    pub fn rate(&self, column: Option<usize>, name: &str) -> Result<i64, String> {
        match fixed(self.text(column).trim_end_matches('%'), PERCENT_E5) {
            Err(AmountError::Empty) => Ok(0),
            read => read.map_err(|error| format!("{name} {error}")),
        }
    }

    /// `yyyy-MM-dd HH:mm:ss` of Beijing's clock, also with full-width colons.
    pub fn instant(&self, column: usize, name: &str) -> Result<Timestamp, String> {
        let text = self.text(Some(column));
        let read =
            if text.is_ascii() { beijing_clock(text) } else { beijing_clock(&text.replace('：', ":")) };
        read.ok_or_else(|| format!("{name} is no time such as 2026-01-05 10:00:00"))
    }
}
