//! How many of what: the shop's books in figures, for people and for comparing with the outside's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::effect::{effects_by_kind, effects_in_doubt};
use crate::ledger::{Ledger, LedgerError};

/// Different reasons that are read; orders beyond them count under `other`.
const REASONS_MAX: i64 = 2_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub orders: BTreeMap<String, i64>,
    /// Why orders were refused, without what is particular to one.
    pub refused: BTreeMap<String, i64>,
    pub payments: BTreeMap<String, i64>,
    pub refunds: BTreeMap<String, i64>,
    /// Fen that came in, and fen that went back or is promised.
    pub paid_fen: i64,
    pub refunded_fen: i64,
    pub uploads: BTreeMap<String, i64>,
    pub notifications: BTreeMap<String, i64>,
    /// By kind, then by state.
    pub effects: BTreeMap<String, BTreeMap<String, i64>>,
    pub effects_in_doubt: i64,
    /// Orders that wait for a person: a payment in dispute, a refund or an upload that cannot go on by itself.
    pub needs_person: i64,
}

pub async fn tally(ledger: &Ledger) -> Result<Tally, LedgerError> {
    let mut effects: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for (kind, state, count) in effects_by_kind(ledger).await? {
        effects.entry(kind).or_default().insert(state.as_str().to_owned(), count);
    }
    Ok(Tally {
        orders: by_state(ledger, "SELECT state, COUNT(*) AS n FROM orders GROUP BY state").await?,
        refused: refused(ledger).await?,
        payments: by_state(ledger, "SELECT state, COUNT(*) AS n FROM payments GROUP BY state").await?,
        refunds: by_state(ledger, "SELECT state, COUNT(*) AS n FROM refunds GROUP BY state").await?,
        paid_fen: sum(ledger, "SELECT CAST(COALESCE(SUM(paid_fen), 0) AS BIGINT) AS n FROM payments").await?,
        refunded_fen: sum(
            ledger,
            "SELECT CAST(COALESCE(SUM(amount_fen), 0) AS BIGINT) AS n FROM refunds \
             WHERE state NOT IN ('closed', 'refused')",
        )
        .await?,
        uploads: by_state(ledger, "SELECT state, COUNT(*) AS n FROM shipping_uploads GROUP BY state").await?,
        notifications: by_state(ledger, "SELECT state, COUNT(*) AS n FROM notifications GROUP BY state")
            .await?,
        effects,
        effects_in_doubt: effects_in_doubt(ledger).await?,
        needs_person: sum(
            ledger,
            "SELECT COUNT(*) AS n FROM (SELECT order_no FROM payments WHERE state = 'disputed' \
             UNION SELECT order_no FROM refunds WHERE replaced_by = '' AND state IN ('closed', 'abnormal', 'refused') \
             UNION SELECT order_no FROM shipping_uploads WHERE state = 'needs_person') AS waiting",
        )
        .await?,
    })
}

async fn by_state(ledger: &Ledger, sql: &'static str) -> Result<BTreeMap<String, i64>, LedgerError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(ledger.reads()).await?;
    Ok(rows.into_iter().collect())
}

async fn sum(ledger: &Ledger, sql: &'static str) -> Result<i64, LedgerError> {
    let (sum,): (i64,) = sqlx::query_as(sql).fetch_one(ledger.reads()).await?;
    Ok(sum)
}

/// What stands before the first colon is the sort of reason.
async fn refused(ledger: &Ledger) -> Result<BTreeMap<String, i64>, LedgerError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT reason, COUNT(*) AS n FROM orders WHERE state = 'refused' GROUP BY reason \
         ORDER BY n DESC, reason LIMIT $1",
    )
    .bind(REASONS_MAX)
    .fetch_all(ledger.reads())
    .await?;
    let all = sum(ledger, "SELECT COUNT(*) AS n FROM orders WHERE state = 'refused'").await?;
    let mut sorts = BTreeMap::new();
    for (reason, count) in &rows {
        let sort = reason.split_once(": ").map_or(reason.as_str(), |(sort, _)| sort);
        *sorts.entry(sort.to_owned()).or_insert(0) += count;
    }
    let counted: i64 = rows.iter().map(|(_, count)| count).sum();
    if all > counted {
        sorts.insert("other".to_owned(), all - counted);
    }
    Ok(sorts)
}
