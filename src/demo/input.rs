//! What the demo sends through: orders read from a file, or made up.
//!
//! Two layouts are known by their header line (see `docs/guides/demo-orders.md`); both may be gzipped. No row is
//! dropped in silence: what cannot be used is in [`Input::rejected`], with its line and the reason.

mod generated;
mod plain;
mod retail;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use flate2::bufread::MultiGzDecoder;

pub use generated::{generate, put_out_of_stock};
pub use windlass_jobs::orders::LINES_MAX;

/// Units of one line; the platform's own bound.
const QUANTITY_MAX: u32 = windlass_jobs::orders::QUANTITY_MAX as u32;
/// Rejected rows that are listed one by one; the rest is only counted.
pub const REJECTED_LISTED_MAX: usize = 100_000;

/// An order as a file tells it, before it has a customer's address and an amount checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket {
    pub no: String,
    /// Who bought: any text that is the same for the same person.
    pub customer: String,
    pub lines: Vec<Line>,
    pub pays: Pays,
    /// The customer changes their mind once the order is placed.
    pub cancelled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Shared between the lines of a file that name the same product: there are few products and many lines.
    pub product_code: Arc<str>,
    pub name: Arc<str>,
    pub quantity: u32,
    pub unit_price_fen: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pays {
    AfterSecs(u32),
    Never,
}

#[derive(Clone, Debug, Default)]
pub struct Input {
    pub baskets: Vec<Basket>,
    pub rows_read: u64,
    pub rows_used: u64,
    pub rejected: Rejected,
}

/// Rows that could not be used.
#[derive(Clone, Debug, Default)]
pub struct Rejected {
    pub count: u64,
    /// The first [`REJECTED_LISTED_MAX`], by line (1 is the header).
    pub listed: Vec<(u64, String)>,
    /// How many for each reason, over all of them.
    pub by_reason: BTreeMap<&'static str, u64>,
}

impl Rejected {
    /// Writes each row's line and reason to `path`, as CSV.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut rows =
            csv::Writer::from_path(path).with_context(|| format!("cannot write {}", path.display()))?;
        rows.write_record(["line", "reason"])?;
        for (line, reason) in &self.listed {
            rows.write_record([&line.to_string(), reason])?;
        }
        rows.flush().with_context(|| format!("cannot write {}", path.display()))
    }

    fn add(&mut self, line: u64, reason: &'static str, what: impl std::fmt::Display) {
        self.count += 1;
        *self.by_reason.entry(reason).or_default() += 1;
        if self.listed.len() < REJECTED_LISTED_MAX {
            self.listed.push((line, format!("{reason}: {what}")));
        }
    }
}

impl Basket {
    pub fn total_fen(&self) -> i64 {
        self.lines.iter().map(|line| line.unit_price_fen * i64::from(line.quantity)).sum()
    }
}

/// Reads up to `count` orders from `path`.
///
/// # Errors
/// When the file cannot be read, or its header is of neither layout.
pub fn read(path: &Path, count: usize) -> anyhow::Result<Input> {
    let file = File::open(path).with_context(|| format!("cannot open the orders file {}", path.display()))?;
    let text =
        plain_or_gzip(BufReader::new(file)).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let header = rows.headers().with_context(|| format!("{} has no CSV header", path.display()))?.clone();
    if let Some(columns) = retail::Columns::find(&header) {
        retail::read(&mut rows, &columns, count)
    } else if let Some(columns) = plain::Columns::find(&header) {
        plain::read(&mut rows, &columns, count)
    } else {
        bail!(
            "{} has a header of neither known layout: {}\nexpected at least {} (or the columns of UCI Online Retail)",
            path.display(),
            header.iter().collect::<Vec<_>>().join(","),
            plain::REQUIRED.join(","),
        )
    }
}

fn plain_or_gzip(mut file: BufReader<File>) -> std::io::Result<Box<dyn Read>> {
    Ok(if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    })
}

/// Texts that were met before.
#[derive(Default)]
struct Known(HashSet<Arc<str>>);

impl Known {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.0.insert(text.clone());
        text
    }
}

/// A price in yuan (or another currency of two decimals) as fen, rounded half up where it has more decimals.
fn fen(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digit = |nth: usize| i64::from(fraction.as_bytes().get(nth).map_or(0, |b| b - b'0'));
    let cents = digit(0) * 10 + digit(1) + i64::from(digit(2) >= 5);
    whole.checked_mul(100)?.checked_add(cents)?.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_exactly_and_rounded_half_up() {
        let cases = [
            ("2.55", 255),
            ("3", 300),
            ("0.001", 0),
            ("0.005", 1),
            (".5", 50),
            ("-1.20", -120),
            ("12.", 1200),
        ];
        for (text, want) in cases {
            assert_eq!(fen(text), Some(want), "{text}");
        }
        for bad in ["", ".", "1,5", "1e3", "£2", "1.2.3", "--1", "99999999999999999999"] {
            assert_eq!(fen(bad), None, "{bad}");
        }
    }
}
