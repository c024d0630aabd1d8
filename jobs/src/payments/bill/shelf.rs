//! The rows of `bills`: how the bill of a day stands, and each way in which that changes.

use serde::Serialize;
use sqlx::AnyConnection;
use windlass_engine::{JobId, Timestamp};

use super::{BillError, BillKey, BillState, BillTotals, Sealed};
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::stored::stored_row;

/// A bill that may be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredBill {
    pub id: String,
    pub sha1: String,
    /// 1, 2, … of the same merchant, day and type.
    pub version: i64,
    pub rows: i64,
    pub bad_rows: i64,
    pub totals: BillTotals,
}

/// How the bill of a day stands.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub id: String,
    pub state: BillState,
    pub rows: i64,
    pub adds_up: bool,
    /// Of a refusal; of "no trade" where we have some.
    pub reason: String,
    pub asked_at: Timestamp,
}

struct StandingRow {
    id: String,
    rows: i64,
    adds_up: i64,
    reason: String,
    asked_at: i64,
    state: BillState,
}
stored_row!(StandingRow { id, rows, adds_up, reason, asked_at } parsed { state });

/// The newest version of a day's bill; none when none is ready.
///
/// # Errors
/// [`BillError::Broken`] when its totals cannot be read.
pub async fn newest_ready(ledger: &Ledger, key: &BillKey) -> Result<Option<StoredBill>, BillError> {
    let mut conn = ledger.reads().acquire().await?;
    let row: Option<(String, String, i64, i64, i64, String)> = sqlx::query_as(
        "SELECT id, sha1, version, rows, bad_rows, totals FROM bills \
         WHERE mchid = $1 AND day = $2 AND type = $3 AND state = 'ready' ORDER BY version DESC LIMIT 1",
    )
    .bind(&key.mchid)
    .bind(key.day_text())
    .bind(key.kind.as_str())
    .fetch_optional(&mut *conn)
    .await?;
    row.map(|(id, sha1, version, rows, bad_rows, totals)| {
        let totals = serde_json::from_str(&totals)
            .map_err(|error| BillError::Broken { id: id.clone(), reason: error.to_string() })?;
        Ok(StoredBill { id, sha1, version, rows, bad_rows, totals })
    })
    .transpose()
}

/// The newest ready version; where there is none, what was heard last.
pub(crate) async fn standing(
    conn: &mut AnyConnection,
    key: &BillKey,
) -> Result<Option<Standing>, LedgerError> {
    let row: Option<StandingRow> = sqlx::query_as(
        "SELECT id, state, rows, adds_up, reason, asked_at FROM bills \
         WHERE mchid = $1 AND day = $2 AND type = $3 AND state IN ('ready', 'no_statement', 'refused') \
         ORDER BY version DESC, asked_at DESC LIMIT 1",
    )
    .bind(&key.mchid)
    .bind(key.day_text())
    .bind(key.kind.as_str())
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Standing {
        id: row.id,
        state: row.state,
        rows: row.rows,
        adds_up: row.adds_up == 1,
        reason: row.reason,
        asked_at: Timestamp::from_micros(row.asked_at),
    }))
}

/// The ready version with this hash.
pub(crate) async fn ready_file(
    ledger: &Ledger,
    key: &BillKey,
    sha1: &str,
) -> Result<Option<String>, LedgerError> {
    let row: Option<(String,)> = sqlx::query_as(
        "SELECT id FROM bills WHERE mchid = $1 AND day = $2 AND type = $3 AND sha1 = $4 AND state = 'ready'",
    )
    .bind(&key.mchid)
    .bind(key.day_text())
    .bind(key.kind.as_str())
    .bind(sha1)
    .fetch_optional(ledger.reads())
    .await?;
    Ok(row.map(|(id,)| id))
}

/// Notes that WeChat says the same as before.
pub(crate) async fn asked_again(tx: &mut Tx, id: &str) -> Result<(), LedgerError> {
    let now = tx.ledger().clock().now().micros();
    sqlx::query("UPDATE bills SET asked_at = $2 WHERE id = $1").bind(id).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Notes that there was no trade on the day; `reason` says why that is hard to believe, or is empty.
pub(crate) async fn record_no_statement(tx: &mut Tx, key: &BillKey, reason: &str) -> Result<(), LedgerError> {
    let now = tx.ledger().clock().now();
    sqlx::query(
        "INSERT INTO bills (id, mchid, day, type, state, reason, fetched_at, asked_at) \
         VALUES ($1, $2, $3, $4, 'no_statement', $6, $5, $5) \
         ON CONFLICT (mchid, day, type) WHERE state = 'no_statement' DO UPDATE SET asked_at = $5, reason = $6",
    )
    .bind(JobId::new(now).as_str())
    .bind(&key.mchid)
    .bind(key.day_text())
    .bind(key.kind.as_str())
    .bind(now.micros())
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that what came cannot be the day's bill. Its bytes are not kept. `sha1` is empty where they were not those
/// that WeChat vouches for.
pub(crate) async fn record_refused(
    tx: &mut Tx,
    key: &BillKey,
    sha1: &str,
    bytes: u64,
    reason: &str,
) -> Result<(), LedgerError> {
    let now = tx.ledger().clock().now();
    sqlx::query(
        "INSERT INTO bills (id, mchid, day, type, state, sha1, reason, bytes, fetched_at, asked_at) \
         VALUES ($1, $2, $3, $4, 'refused', $5, $6, $7, $8, $8) \
         ON CONFLICT (mchid, day, type, sha1) WHERE state = 'refused' \
         DO UPDATE SET asked_at = $8, reason = $6, bytes = $7",
    )
    .bind(JobId::new(now).as_str())
    .bind(&key.mchid)
    .bind(key.day_text())
    .bind(key.kind.as_str())
    .bind(sha1)
    .bind(reason)
    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
    .bind(now.micros())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Counts a file whose bytes were not what WeChat vouches for; how many it were in a row, over all tries.
pub(crate) async fn count_wrong_hash(tx: &mut Tx, key: &BillKey, reason: &str) -> Result<i64, LedgerError> {
    record_refused(tx, key, "", 0, reason).await?;
    let (wrong,): (i64,) = sqlx::query_as(
        "UPDATE bills SET wrong_hashes = wrong_hashes + 1 \
         WHERE mchid = $1 AND day = $2 AND type = $3 AND sha1 = '' AND state = 'refused' RETURNING wrong_hashes",
    )
    .bind(&key.mchid)
    .bind(key.day_text())
    .bind(key.kind.as_str())
    .fetch_one(tx.conn())
    .await?;
    Ok(wrong)
}

/// A right one has come, or somebody was told: the next wrong one is the first again.
pub(crate) async fn forget_wrong_hashes(tx: &mut Tx, key: &BillKey) -> Result<(), LedgerError> {
    sqlx::query(
        "UPDATE bills SET wrong_hashes = 0 \
         WHERE mchid = $1 AND day = $2 AND type = $3 AND sha1 = '' AND state = 'refused'",
    )
    .bind(&key.mchid)
    .bind(key.day_text())
    .bind(key.kind.as_str())
    .execute(tx.conn())
    .await?;
    Ok(())
}

impl Sealed {
    /// Makes the file the newest version of its bill.
    ///
    /// # Errors
    /// [`BillError::TakenOver`] when another try has begun since.
    pub async fn make_ready(
        &self,
        tx: &mut Tx,
        key: &BillKey,
        sha1: &str,
        totals: &BillTotals,
    ) -> Result<i64, BillError> {
        let (last,): (i64,) = sqlx::query_as(
            "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) AS version FROM bills \
             WHERE mchid = $1 AND day = $2 AND type = $3",
        )
        .bind(&key.mchid)
        .bind(key.day_text())
        .bind(key.kind.as_str())
        .fetch_one(tx.conn())
        .await?;
        let json = serde_json::to_string(totals)
            .map_err(|error| BillError::Broken { id: self.id.clone(), reason: error.to_string() })?;
        let now = tx.ledger().clock().now().micros();
        let made = sqlx::query(
            "UPDATE bills SET state = 'ready', sha1 = $2, version = $3, bytes = $4, rows = $5, bad_rows = $6, \
             adds_up = $7, totals = $8, fetched_at = $9, asked_at = $9 WHERE id = $1 AND state = 'fetching'",
        )
        .bind(&self.id)
        .bind(sha1)
        .bind(last + 1)
        .bind(whole(self.bytes))
        .bind(whole(totals.rows))
        .bind(whole(totals.bad_rows))
        .bind(i64::from(totals.adds_up()))
        .bind(json)
        .bind(now)
        .execute(tx.conn())
        .await?;
        if made.rows_affected() == 1 { Ok(last + 1) } else { Err(BillError::TakenOver(self.id.clone())) }
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Standing {
    pub(crate) fn is_ready(&self) -> bool {
        self.state == BillState::Ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::bill::BillType;

    #[test]
    fn a_finding_about_a_bill_is_keyed_by_merchant_day_and_type() {
        let day = chrono::NaiveDate::from_ymd_opt(2026, 1, 5).unwrap();
        let key = BillKey { mchid: "1900000001".to_owned(), day, kind: BillType::Fund };
        assert_eq!(key.to_string(), "1900000001:2026-01-05:fund");
    }
}
