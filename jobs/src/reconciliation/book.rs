//! The comparisons that were made: one row for each version of a day. A version is told by the hashes of what was
//! compared, so that the same files are not compared again, and a changed file is a new version.

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;

use super::day::Day;
use super::view::{Reconciliation, read};
use crate::ledger::{Ledger, LedgerError, Tx};

/// Cases that are superseded in one transaction.
const SUPERSEDED_AT_ONCE: i64 = 100;
const WHO: &str = "reconcile_payments";

crate::stored::stored_states! {
    ReconciliationState {
        Running = "running",
        Done = "done",
        /// The trade bill does not add up: nothing was compared.
        Refused = "refused",
        /// There was no trade that day, as WeChat says.
        NoStatement = "no_statement",
        /// Begun, and other files came before it ended.
        Abandoned = "abandoned",
    }
}

impl ReconciliationState {
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Refused | Self::NoStatement)
    }
}

/// A bill as the ledger keeps it.
#[derive(Clone, Debug, Default)]
pub struct KeptBill {
    pub id: String,
    /// Empty where there is no file.
    pub sha1: String,
    pub version: i64,
    pub rows: i64,
    pub bad_rows: i64,
    pub adds_up: bool,
    pub is_ready: bool,
    /// As [`crate::payments::bill::BillTotals`].
    pub totals: Value,
}

/// The newest file of a day's bill; where there is none, the word that there is none. None: nothing was heard yet.
pub async fn kept_bill(
    ledger: &Ledger,
    mchid: &str,
    day: Day,
    kind: &str,
) -> Result<Option<KeptBill>, LedgerError> {
    let row = sqlx::query(
        "SELECT id, sha1, version, rows, bad_rows, adds_up, state, totals FROM bills \
         WHERE mchid = $1 AND day = $2 AND type = $3 AND state IN ('ready', 'no_statement') \
         ORDER BY version DESC, asked_at DESC LIMIT 1",
    )
    .bind(mchid.to_owned())
    .bind(day.to_string())
    .bind(kind.to_owned())
    .fetch_optional(ledger.reads())
    .await?;
    row.map(|row| {
        let (state, totals): (String, String) = (row.try_get("state")?, row.try_get("totals")?);
        Ok(KeptBill {
            id: row.try_get("id")?,
            sha1: row.try_get("sha1")?,
            version: row.try_get("version")?,
            rows: row.try_get("rows")?,
            bad_rows: row.try_get("bad_rows")?,
            adds_up: row.try_get::<i64, _>("adds_up")? == 1,
            is_ready: state == "ready",
            totals: serde_json::from_str(&totals).unwrap_or_default(),
        })
    })
    .transpose()
}

/// A comparison that is being made, by this try.
#[derive(Clone, Debug)]
pub struct Running {
    pub id: String,
    pub mchid: String,
    pub day: Day,
    pub version: i64,
    pub attempt: i64,
}

impl Running {
    /// Names this try.
    pub fn token(&self) -> String {
        format!("{}#{}", self.id, self.attempt)
    }
}

pub enum Begun {
    Run(Running),
    /// These very files were compared before.
    Before(Box<Reconciliation>),
}

/// What a comparison is of, and who asks for it.
pub struct Asked<'a> {
    pub mchid: &'a str,
    pub day: Day,
    pub trade: &'a KeptBill,
    pub fund: Option<&'a KeptBill>,
    pub job_id: &'a str,
    /// Also where the same files were compared before.
    pub again: bool,
}

/// Begins a version, goes on with one that was begun and not ended, or answers with one that has ended.
pub async fn begin(ledger: &Ledger, asked: &Asked<'_>) -> Result<Begun, LedgerError> {
    let Asked { mchid, day, trade, fund, job_id, again } = asked;
    let fund_sha1 = fund.map_or("", |fund| fund.sha1.as_str());
    let mut tx = ledger.begin().await?;
    let newest = newest(&mut tx, mchid, *day).await?;
    if let Some(newest) = &newest {
        let same = newest.trade_sha1 == trade.sha1 && newest.fund_sha1 == fund_sha1;
        if same && newest.state.has_ended() && (!again || newest.job_id == *job_id) {
            return Ok(Begun::Before(Box::new(newest.clone())));
        }
        if same && newest.state == ReconciliationState::Running {
            // Counted by the ledger: of two tries at once each has a number of its own, and the later one counts.
            let (attempt,): (i64,) = sqlx::query_as(
                "UPDATE reconciliations SET attempt = attempt + 1, job_id = $1 WHERE id = $2 RETURNING attempt",
            )
            .bind((*job_id).to_owned())
            .bind(newest.id.clone())
            .fetch_one(tx.conn())
            .await?;
            tx.commit().await?;
            let (id, version) = (newest.id.clone(), newest.version);
            return Ok(Begun::Run(Running { id, mchid: (*mchid).to_owned(), day: *day, version, attempt }));
        }
        if newest.state == ReconciliationState::Running {
            sqlx::query("UPDATE reconciliations SET state = 'abandoned' WHERE id = $1 AND state = 'running'")
                .bind(newest.id.clone())
                .execute(tx.conn())
                .await?;
        }
    }
    let version = newest.map_or(1, |newest| newest.version + 1);
    let id = format!("{mchid}:{day}:v{version}");
    sqlx::query(
        "INSERT INTO reconciliations (id, mchid, day, version, state, trade_bill, trade_sha1, fund_bill, fund_sha1, \
         attempt, job_id, started_at) VALUES ($1, $2, $3, $4, 'running', $5, $6, $7, $8, 1, $9, $10)",
    )
    .bind(id.clone())
    .bind((*mchid).to_owned())
    .bind(day.to_string())
    .bind(version)
    .bind(trade.id.clone())
    .bind(trade.sha1.clone())
    .bind(fund.map_or_else(String::new, |fund| fund.id.clone()))
    .bind(fund_sha1.to_owned())
    .bind((*job_id).to_owned())
    .bind(ledger.clock().now().micros())
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(Begun::Run(Running { id, mchid: (*mchid).to_owned(), day: *day, version, attempt: 1 }))
}

/// Ends it. False: a later try has taken over, and this one's word does not count.
pub async fn finish(
    ledger: &Ledger,
    run: &Running,
    state: ReconciliationState,
    reason: &str,
    report: &impl Serialize,
) -> Result<bool, LedgerError> {
    let report = serde_json::to_string(report)
        .map_err(|error| LedgerError::Invalid(format!("a report cannot be written: {error}")))?;
    let mut tx = ledger.begin().await?;
    let ended = sqlx::query(
        "UPDATE reconciliations SET state = $1, reason = $2, report = $3, finished_at = $4 \
         WHERE id = $5 AND attempt = $6 AND state = 'running'",
    )
    .bind(state.as_str())
    .bind(reason.to_owned())
    .bind(report)
    .bind(ledger.clock().now().micros())
    .bind(run.id.clone())
    .bind(run.attempt)
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(ended.rows_affected() == 1)
}

/// What earlier versions and tries of the day found and this try does not: superseded. How many.
pub async fn supersede(ledger: &Ledger, run: &Running) -> Result<u64, LedgerError> {
    let mut superseded = 0;
    loop {
        let mut tx = ledger.begin().await?;
        let gone: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT f.id FROM reconciliations r \
             JOIN reconciliation_findings l ON l.reconciliation_id = r.id AND l.carried = 0 \
             JOIN findings f ON f.id = l.finding_id AND f.settled_at IS NULL \
             WHERE r.mchid = $1 AND r.day = $2 AND NOT EXISTS (SELECT 1 FROM reconciliation_findings n \
             WHERE n.reconciliation_id = $3 AND n.attempt = $4 AND n.finding_id = f.id) ORDER BY f.id LIMIT $5",
        )
        .bind(run.mchid.clone())
        .bind(run.day.to_string())
        .bind(run.id.clone())
        .bind(run.attempt)
        .bind(SUPERSEDED_AT_ONCE)
        .fetch_all(tx.conn())
        .await?;
        if gone.is_empty() {
            break;
        }
        for (id,) in &gone {
            let why = format!("version {} of {} no longer finds it", run.version, run.day);
            superseded += u64::from(tx.supersede_finding(id, WHO, &why).await?);
        }
        tx.commit().await?;
    }
    // What only a try found that died is not of this version.
    let mut tx = ledger.begin().await?;
    sqlx::query(
        "DELETE FROM reconciliation_findings WHERE reconciliation_id = $1 AND attempt < $2 AND carried = 0",
    )
    .bind(run.id.clone())
    .bind(run.attempt)
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(superseded)
}

/// Cases of this version, how many of them the version before had, and how many it had in all.
pub async fn overlap(ledger: &Ledger, run: &Running) -> Result<(i64, i64, i64), LedgerError> {
    let before = format!("{}:{}:v{}", run.mchid, run.day, run.version - 1);
    let counts: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM reconciliation_findings WHERE reconciliation_id = $1) AS now_n, \
         (SELECT COUNT(*) FROM reconciliation_findings a JOIN reconciliation_findings b \
         ON b.finding_id = a.finding_id AND b.reconciliation_id = $2 WHERE a.reconciliation_id = $1) AS both_n, \
         (SELECT COUNT(*) FROM reconciliation_findings WHERE reconciliation_id = $2) AS before_n",
    )
    .bind(run.id.clone())
    .bind(before)
    .fetch_one(ledger.reads())
    .await?;
    Ok(counts)
}

/// Days of the merchant that were compared, near this one; `with_funds`: those whose flow of funds was, too.
pub async fn compared_days(
    ledger: &Ledger,
    run: &Running,
    with_funds: bool,
) -> Result<Vec<Day>, LedgerError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT DISTINCT day FROM reconciliations WHERE mchid = $1 AND state IN ('done', 'no_statement') \
         AND ($2 = 0 OR fund_sha1 <> '' OR state = 'no_statement')",
    )
    .bind(run.mchid.clone())
    .bind(i64::from(with_funds))
    .fetch_all(ledger.reads())
    .await?;
    Ok(rows.iter().filter_map(|(day,)| day.parse().ok()).collect())
}

async fn newest(tx: &mut Tx, mchid: &str, day: Day) -> Result<Option<Reconciliation>, LedgerError> {
    let row = sqlx::query(
        "SELECT id, mchid, day, version, state, trade_sha1, fund_sha1, attempt, job_id, reason, report, started_at, \
         finished_at FROM reconciliations WHERE mchid = $1 AND day = $2 AND state <> 'abandoned' \
         ORDER BY version DESC LIMIT 1",
    )
    .bind(mchid.to_owned())
    .bind(day.to_string())
    .fetch_optional(tx.conn())
    .await?;
    row.as_ref().map(read).transpose()
}
