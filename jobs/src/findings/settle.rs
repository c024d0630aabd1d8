//! What people do with a case: take it, end it. Every act is compare-and-set and noted in the audit log.

use serde_json::json;

use super::{FindingState, cut, finding, storable};
use crate::ledger::{Ledger, LedgerError, MoneyLine, Tx};

/// Bytes of an owner's name.
pub const OWNER_BYTES_MAX: usize = 200;

/// How a case ended.
#[derive(Clone, Debug)]
pub struct Resolution<'a> {
    /// Who says so, as the audit log has it.
    pub who: &'a str,
    pub reason: &'a str,
    /// What was booked elsewhere to make good for it; negative: against us.
    pub adjustment_fen: Option<i64>,
}

/// What became of an act on a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acted {
    Done,
    /// There is no such case.
    Unknown,
    /// It was over already, and in this state.
    Over(FindingState),
}

/// Gives the case to somebody; also from one owner to another.
///
/// # Errors
/// [`LedgerError::Invalid`] when the owner has no name or too long a one.
pub async fn assign_finding(ledger: &Ledger, id: &str, owner: &str, who: &str) -> Result<Acted, LedgerError> {
    let owner = storable(owner.trim());
    if owner.is_empty() || owner.len() > OWNER_BYTES_MAX {
        return Err(LedgerError::Invalid(format!("an owner has 1 to {OWNER_BYTES_MAX} bytes")));
    }
    let mut tx = ledger.begin().await?;
    let assigned = sqlx::query(
        "UPDATE findings SET state = 'assigned', owner = $2, changed_at = $3 WHERE id = $1 AND settled_at IS NULL",
    )
    .bind(id.to_owned())
    .bind(owner.clone())
    .bind(ledger.clock().now().micros())
    .execute(tx.conn())
    .await?;
    if assigned.rows_affected() == 0 {
        drop(tx);
        return refused(ledger, id).await;
    }
    tx.audit(who, "finding.assign", id, &owner).await?;
    tx.commit().await?;
    Ok(Acted::Done)
}

/// Ends the case for a reason.
///
/// # Errors
/// [`LedgerError::Invalid`] when there is no reason.
pub async fn resolve_finding(
    ledger: &Ledger,
    id: &str,
    resolution: &Resolution<'_>,
) -> Result<Acted, LedgerError> {
    if resolution.reason.trim().is_empty() {
        return Err(LedgerError::Invalid("a finding is resolved for a reason: say which".to_owned()));
    }
    let mut tx = ledger.begin().await?;
    if !tx.settle_finding(id, FindingState::Resolved, resolution).await? {
        drop(tx);
        return refused(ledger, id).await;
    }
    tx.commit().await?;
    Ok(Acted::Done)
}

async fn refused(ledger: &Ledger, id: &str) -> Result<Acted, LedgerError> {
    Ok(finding(ledger, id).await?.map_or(Acted::Unknown, |found| Acted::Over(found.state)))
}

impl Tx {
    pub(super) async fn settle_finding(
        &mut self,
        id: &str,
        state: FindingState,
        resolution: &Resolution<'_>,
    ) -> Result<bool, LedgerError> {
        let Resolution { who, reason, adjustment_fen } = resolution;
        let (who, reason) = (storable(who), storable(cut(reason)));
        let settled: Option<(Option<String>,)> = sqlx::query_as(
            "UPDATE findings SET state = $2, reason = $3, settled_by = $4, adjustment_fen = $5, settled_at = $6, \
             changed_at = $6 WHERE id = $1 AND settled_at IS NULL RETURNING order_no",
        )
        .bind(id.to_owned())
        .bind(state.as_str())
        .bind(reason.clone())
        .bind(who.clone())
        .bind(*adjustment_fen)
        .bind(self.ledger().clock().now().micros())
        .fetch_optional(self.conn())
        .await?;
        let Some((order_no,)) = settled else { return Ok(false) };
        if let Some(adjustment_fen) = adjustment_fen {
            let line = MoneyLine::new("finding.adjusted", order_no.as_deref().unwrap_or_default());
            self.money(line.amount(*adjustment_fen).how(id).by(&who));
        }
        let booked = adjustment_fen.map_or_else(String::new, |fen| format!(" (adjustment: {fen} fen)"));
        self.audit(&who, &format!("finding.{}", state.as_str()), id, &format!("{reason}{booked}")).await?;
        if let Some(order_no) = order_no {
            let data = json!({ "finding": id, "state": state, "by": who, "adjustment_fen": adjustment_fen });
            self.event(&order_no, "finding", &reason, &data).await?;
        }
        Ok(true)
    }
}
