//! What a bill's lines add up to, beside what its summary line says.

use serde::{Deserialize, Serialize};

use super::amount::{COUNT, fixed, shown};
use super::form::{Expected, Form};
use super::fund::Balance;
use super::parser::BadRow;

/// What a whole file came to. Stored beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillTotals {
    /// Lines that were read.
    pub rows: u64,
    /// Lines that could not be.
    pub bad_rows: u64,
    pub first_bad: Option<BadRow>,
    /// In the order of the summary; empty: the file has no summary line.
    pub figures: Vec<Figure>,
    /// Rows of another merchant.
    pub foreign: Odd,
    /// Rows of another day.
    pub other_day: Odd,
    /// Of a fund flow bill that has rows.
    pub balance: Option<Balance>,
}

/// One figure of the summary line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// As the summary's header names it.
    pub name: String,
    pub printed: String,
    pub summed: String,
    pub agrees: bool,
}

/// Rows that do not belong into the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Odd {
    pub rows: u64,
    /// Of the file, from 1; 0: none.
    pub first_line: u64,
    /// What the first of them says.
    pub first: String,
}

/// A figure of the summary that is not what the lines add up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub what: String,
    pub printed: String,
    pub summed: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is printed as {:?}, and the lines come to {:?}", self.what, self.printed, self.summed)
    }
}

impl BillTotals {
    /// Where the summary and the lines disagree. Amounts are compared only when every line could be read: what a
    /// bad line holds is missing from the sums; its share of the count is not.
    pub fn compare(&self) -> Vec<Difference> {
        if self.figures.is_empty() {
            let summed = self.rows.to_string();
            return vec![Difference { what: "the summary line".to_owned(), printed: String::new(), summed }];
        }
        let disagreeing = self.figures.iter().filter(|figure| !figure.agrees);
        disagreeing
            .map(|figure| Difference {
                what: figure.name.clone(),
                printed: figure.printed.clone(),
                summed: figure.summed.clone(),
            })
            .collect()
    }

    /// The file has a summary, and it is what the lines add up to.
    pub fn adds_up(&self) -> bool {
        !self.figures.is_empty() && self.figures.iter().all(|figure| figure.agrees)
    }
}

/// Gathers the totals of one file.
pub struct Gathering<F: Form> {
    expected: Expected,
    sums: F::Sums,
    totals: BillTotals,
}

impl<F: Form> Gathering<F> {
    pub fn new(expected: Expected) -> Self {
        Self { expected, sums: F::Sums::default(), totals: BillTotals::default() }
    }

    pub fn row(&mut self, row: &F::Row, line: u64) {
        self.totals.rows += 1;
        F::add(&mut self.sums, row);
        if let Some(mchid) = F::mchid(row)
            && mchid != self.expected.mchid
        {
            self.totals.foreign.note(line, mchid);
        }
        let at = F::at(row);
        if !self.expected.is_day_of(at) {
            self.totals.other_day.note(line, &crate::shop_time::rfc3339_beijing(at));
        }
    }

    pub fn bad(&mut self, bad: &BadRow) {
        self.totals.bad_rows += 1;
        if self.totals.first_bad.is_none() {
            self.totals.first_bad = Some(bad.clone());
        }
    }

    /// Takes the summary line. Names that are not known are left out.
    pub fn summary(&mut self, names: &[String], values: &[&str]) {
        for (name, printed) in names.iter().zip(values) {
            let Some((summed, decimals)) = F::figure(&self.sums, name) else { continue };
            let read = fixed(printed, decimals).map(i128::from);
            self.totals.figures.push(Figure {
                name: name.clone(),
                printed: (*printed).to_owned(),
                summed: shown(summed, decimals),
                agrees: read.is_ok_and(|read| self.agrees(read, summed, decimals)),
            });
        }
    }

    fn agrees(&self, printed: i128, summed: i128, decimals: usize) -> bool {
        let bad = i128::from(self.totals.bad_rows);
        match decimals {
            COUNT => (summed..=summed + bad).contains(&printed),
            _ if bad > 0 => true,
            _ => printed == summed,
        }
    }

    pub fn finish(mut self) -> BillTotals {
        self.totals.balance = F::balance(&self.sums);
        self.totals
    }
}

impl Odd {
    fn note(&mut self, line: u64, what: &str) {
        if self.rows == 0 {
            self.first_line = line;
            self.first = what.to_owned();
        }
        self.rows += 1;
    }
}
