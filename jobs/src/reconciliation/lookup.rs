//! Rows of ours by their keys, of whatever day: for what the day's own rows do not have.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::records::{OurPayment, OurRefund};
use crate::ledger::{Ledger, LedgerError};

/// Keys of one question.
pub const LOOKUP_KEYS: usize = 50;

/// A payment, and the state of its order ('' where none is recorded).
pub struct FoundPayment {
    pub payment: OurPayment,
    pub order_state: String,
}

/// Payments by `out_trade_no`; at most [`LOOKUP_KEYS`].
pub async fn payments(ledger: &Ledger, keys: &[&str]) -> Result<HashMap<String, FoundPayment>, LedgerError> {
    let sql = format!(
        "SELECT p.out_trade_no, p.order_no, p.state, p.amount_fen, p.paid_fen, p.transaction_id, p.paid_at, \
         COALESCE(o.state, '') AS order_state FROM payments p LEFT JOIN orders o ON o.order_no = p.order_no \
         WHERE p.out_trade_no IN ({})",
        places(keys.len(), 0)
    );
    let rows = by_keys(ledger, sql, keys).await?;
    let read = |row: &AnyRow| -> Result<_, sqlx::Error> {
        let payment = OurPayment::of(row)?;
        let order_state = row.try_get("order_state")?;
        Ok((payment.out_trade_no.clone(), FoundPayment { payment, order_state }))
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// Refunds by their numbers; at most [`LOOKUP_KEYS`].
pub async fn refunds(ledger: &Ledger, keys: &[&str]) -> Result<HashMap<String, OurRefund>, LedgerError> {
    let sql = format!(
        "SELECT refund_no, order_no, state, amount_fen, refund_id, requested_at FROM refunds \
         WHERE refund_no IN ({})",
        places(keys.len(), 0)
    );
    let rows = by_keys(ledger, sql, keys).await?;
    let read = |row: &AnyRow| -> Result<_, sqlx::Error> {
        let refund = OurRefund::of(row)?;
        Ok((refund.refund_no.clone(), refund))
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

async fn by_keys(ledger: &Ledger, sql: String, keys: &[&str]) -> Result<Vec<AnyRow>, LedgerError> {
    // Only numbered parameters were put together.
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(keys.len() == LOOKUP_KEYS);
    for key in keys {
        query = query.bind((*key).to_owned());
    }
    Ok(query.fetch_all(ledger.reads()).await?)
}

/// `$n, $n+1, …`: as many as there are keys, after `taken` others.
pub fn places(keys: usize, taken: usize) -> String {
    let list: Vec<String> = (taken + 1..=taken + keys).map(|n| format!("${n}")).collect();
    list.join(", ")
}
