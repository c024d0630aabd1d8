//! The carry over midnight: a payment that we date 23:59:59 may be in the next day's bill. A row of ours that its
//! day's bill lacks is carried for [`CARRY_DAYS`], looked for in the later bills, and only then a finding (facts:
//! commerce-states.md 6).
//!
//! A carry is a row of `carries`, one for each row of ours, for ever: also where a bill of another day had it before
//! its own day was compared.

use sqlx::{AssertSqlSafe, Row};

use super::day::Day;
use super::lookup::places;
use crate::findings::{FindingType, finding_id};
use crate::ledger::{Ledger, LedgerError, Tx};

mod due;

pub use due::raise_due;

/// A row of ours may be in the bill of one of so many later days.
pub const CARRY_DAYS: u64 = 3;
/// Rows of one statement.
const ROWS_AT_ONCE: usize = 50;
const WHO: &str = "reconcile_payments";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    Payment,
    Refund,
    Fund,
}

impl Carried {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Fund => "fund",
        }
    }

    /// What it is when no bill has it.
    const fn finding(self) -> FindingType {
        match self {
            Self::Payment => FindingType::Short,
            Self::Refund => FindingType::MissingRefund,
            Self::Fund => FindingType::FundMismatch,
        }
    }
}

/// A row of one side that the other side's file of its day lacks, or has on another day.
#[derive(Clone, Debug)]
pub struct Lone {
    pub key: String,
    /// Its own day.
    pub day: Day,
    pub amount_fen: i64,
    pub order_no: String,
}

/// What became of rows that were looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct CarryCounts {
    /// Wait for later bills.
    pub waiting: u64,
    pub waiting_fen: i64,
    /// A bill of another day has them.
    pub elsewhere: u64,
    pub elsewhere_fen: i64,
}

/// Carries of one kind, as one comparison writes them.
pub struct Carries<'a> {
    ledger: &'a Ledger,
    kind: Carried,
    /// The day that is compared.
    day: Day,
    /// Names this try of this comparison.
    token: String,
    lone: Vec<Lone>,
    matched: Vec<Lone>,
    counts: CarryCounts,
}

impl<'a> Carries<'a> {
    pub fn new(ledger: &'a Ledger, kind: Carried, day: Day, token: &str) -> Self {
        Self {
            ledger,
            kind,
            day,
            token: token.to_owned(),
            lone: Vec::new(),
            matched: Vec::new(),
            counts: CarryCounts::default(),
        }
    }

    pub fn counts(&self) -> CarryCounts {
        self.counts
    }

    /// The day's bill lacks it.
    pub async fn lacks(&mut self, lone: Lone) -> Result<(), LedgerError> {
        self.lone.push(lone);
        if self.lone.len() >= ROWS_AT_ONCE { self.write_lone().await } else { Ok(()) }
    }

    /// The day's bill has it, although it is of another day.
    pub async fn has(&mut self, lone: Lone) -> Result<(), LedgerError> {
        self.matched.push(lone);
        if self.matched.len() >= ROWS_AT_ONCE { self.write_matched().await } else { Ok(()) }
    }

    async fn write_lone(&mut self) -> Result<(), LedgerError> {
        let rows = deduplicated(std::mem::take(&mut self.lone));
        if rows.is_empty() {
            return Ok(());
        }
        let mut tx = self.ledger.begin().await?;
        let told = upsert(
            &mut tx,
            self.kind,
            &rows,
            ("waiting", "", &self.token),
            "seen = excluded.seen, state = CASE WHEN carries.state = 'dropped' THEN 'waiting' ELSE carries.state END",
        )
        .await?;
        tx.commit().await?;
        for (state, amount_fen) in told {
            let (count, sum) = match state.as_str() {
                "matched" => (&mut self.counts.elsewhere, &mut self.counts.elsewhere_fen),
                _ => (&mut self.counts.waiting, &mut self.counts.waiting_fen),
            };
            *count += 1;
            *sum = sum.saturating_add(amount_fen);
        }
        Ok(())
    }

    async fn write_matched(&mut self) -> Result<(), LedgerError> {
        let rows = deduplicated(std::mem::take(&mut self.matched));
        if rows.is_empty() {
            return Ok(());
        }
        let mut tx = self.ledger.begin().await?;
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        for key in raised_among(&mut tx, self.kind, &keys).await? {
            self.found_after_all(&mut tx, &key).await?;
        }
        let day = self.day.to_string();
        let change = "state = excluded.state, matched_day = excluded.matched_day, seen = excluded.seen";
        upsert(&mut tx, self.kind, &rows, ("matched", &day, &self.token), change).await?;
        tx.commit().await
    }

    /// Superseded, not resolved: another version of that bill may lack it, and then it is open again.
    async fn found_after_all(&self, tx: &mut Tx, key: &str) -> Result<(), LedgerError> {
        let why = format!("the bill of {} has it", self.day);
        tx.supersede_finding(&finding_id(self.kind.finding(), key), WHO, &why).await?;
        Ok(())
    }

    /// Of these keys, those that wait: a file of this day has them now.
    pub async fn take_waiting(&mut self, keys: &[&str]) -> Result<Vec<(String, i64)>, LedgerError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.ledger.begin().await?;
        for key in raised_among(&mut tx, self.kind, keys).await? {
            self.found_after_all(&mut tx, &key).await?;
        }
        let sql = format!(
            "UPDATE carries SET state = 'matched', matched_day = $1, seen = $2 \
             WHERE kind = $3 AND state IN ('waiting', 'raised', 'matched') AND day <> $1 AND key IN ({}) \
             RETURNING key, amount_fen",
            places(keys.len(), 3)
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .persistent(false)
            .bind(self.day.to_string())
            .bind(self.token.clone())
            .bind(self.kind.as_str());
        for key in keys {
            query = query.bind((*key).to_owned());
        }
        let taken = query.fetch_all(tx.conn()).await?;
        tx.commit().await?;
        Ok(taken)
    }

    /// Writes what waits, and takes back what an earlier try or version of this day said and this one does not.
    pub async fn settle(&mut self) -> Result<(), LedgerError> {
        self.write_lone().await?;
        self.write_matched().await?;
        while self.settle_some_of_this_day().await? {}
        while self.settle_some_of_other_days().await? {}
        Ok(())
    }

    /// Carried before, and the day's own bill has it now (or it is not owed any more).
    async fn settle_some_of_this_day(&self) -> Result<bool, LedgerError> {
        let day = self.day.to_string();
        let mut tx = self.ledger.begin().await?;
        let stale: Vec<(String, String)> = sqlx::query_as(
            "SELECT key, state FROM carries WHERE day = $1 AND kind = $2 AND seen <> $3 \
             AND state IN ('waiting', 'raised') ORDER BY key LIMIT 100",
        )
        .bind(day.clone())
        .bind(self.kind.as_str())
        .bind(self.token.clone())
        .fetch_all(tx.conn())
        .await?;
        for (key, state) in &stale {
            if state == "raised" {
                self.found_after_all(&mut tx, key).await?;
            }
            self.set(&mut tx, key, "matched", &day).await?;
        }
        tx.commit().await?;
        Ok(!stale.is_empty())
    }

    /// An earlier version of this day's bill had it, and this one does not.
    async fn settle_some_of_other_days(&self) -> Result<bool, LedgerError> {
        let mut tx = self.ledger.begin().await?;
        let gone: Vec<(String,)> = sqlx::query_as(
            "SELECT key FROM carries WHERE matched_day = $1 AND matched_day <> '' AND kind = $2 AND day <> $1 \
             AND seen <> $3 AND state = 'matched' ORDER BY key LIMIT 100",
        )
        .bind(self.day.to_string())
        .bind(self.kind.as_str())
        .bind(self.token.clone())
        .fetch_all(tx.conn())
        .await?;
        for (key,) in &gone {
            self.set(&mut tx, key, "waiting", "").await?;
        }
        tx.commit().await?;
        Ok(!gone.is_empty())
    }

    async fn set(&self, tx: &mut Tx, key: &str, state: &str, matched_day: &str) -> Result<(), LedgerError> {
        sqlx::query(
            "UPDATE carries SET state = $1, matched_day = $2, seen = $3 WHERE kind = $4 AND key = $5",
        )
        .bind(state.to_owned())
        .bind(matched_day.to_owned())
        .bind(self.token.clone())
        .bind(self.kind.as_str())
        .bind(key.to_owned())
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}

/// One key once in one statement, in order.
fn deduplicated(mut rows: Vec<Lone>) -> Vec<Lone> {
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows.dedup_by(|a, b| a.key == b.key);
    rows
}

/// State and amount of each row as it stands now.
async fn upsert(
    tx: &mut Tx,
    kind: Carried,
    rows: &[Lone],
    (state, matched_day, token): (&str, &str, &str),
    change: &str,
) -> Result<Vec<(String, i64)>, LedgerError> {
    let values: Vec<String> = (0..rows.len())
        .map(|row| {
            let [key, day, amount, order] = [5, 6, 7, 8].map(|at| row * 4 + at);
            format!("($1, ${key}, ${day}, ${day}, ${amount}, ${order}, $2, $3, $4)")
        })
        .collect();
    let sql = format!(
        "INSERT INTO carries (kind, key, day, since_day, amount_fen, order_no, state, matched_day, seen) \
         VALUES {} ON CONFLICT (kind, key) DO UPDATE SET {change} RETURNING state, amount_fen",
        values.join(", ")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql))
        .persistent(rows.len() == ROWS_AT_ONCE)
        .bind(kind.as_str())
        .bind(state.to_owned())
        .bind(matched_day.to_owned())
        .bind(token.to_owned());
    for row in rows {
        query = query
            .bind(row.key.clone())
            .bind(row.day.to_string())
            .bind(row.amount_fen)
            .bind(row.order_no.clone());
    }
    Ok(query.fetch_all(tx.conn()).await?)
}

async fn raised_among(tx: &mut Tx, kind: Carried, keys: &[&str]) -> Result<Vec<String>, LedgerError> {
    let sql = format!(
        "SELECT key FROM carries WHERE kind = $1 AND state = 'raised' AND key IN ({}) ORDER BY key",
        places(keys.len(), 1)
    );
    let mut query =
        sqlx::query(AssertSqlSafe(sql)).persistent(keys.len() == ROWS_AT_ONCE).bind(kind.as_str());
    for key in keys {
        query = query.bind((*key).to_owned());
    }
    let rows = query.fetch_all(tx.conn()).await?;
    rows.iter().map(|row| Ok(row.try_get("key")?)).collect()
}
