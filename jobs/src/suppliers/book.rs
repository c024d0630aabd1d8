//! Writing down what is known of the order at the supplier, inside a change of the order.

use serde_json::json;
use windlass_engine::Timestamp;

use super::supplier_order::{CancelState, SupplierState, so_id};
use super::ylh::CallbackItem;
use crate::findings::FindingType;
use crate::orders::{Case, Change, ChangeError};
use crate::payments::RESOLVED_BY;

/// Written before the first call: from here on the supplier may have the order.
pub async fn record_sending(change: &mut Change<'_>) -> Result<(), ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    sqlx::query(
        "INSERT INTO supplier_orders (so_id, order_no, state, sent_at, touched_at) \
         VALUES ($1, $2, 'sending', $3, $3) ON CONFLICT (so_id) DO NOTHING",
    )
    .bind(so_id(&order_no))
    .bind(&order_no)
    .bind(now)
    .execute(change.tx().conn())
    .await?;
    change.refresh().await
}

/// Sets the state, and Haier's number when it is known now.
pub async fn set_supplier(
    change: &mut Change<'_>,
    state: SupplierState,
    haier_no: Option<&str>,
    note: &str,
) -> Result<(), ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    let haier_no = haier_no.unwrap_or_default();
    sqlx::query(
        "UPDATE supplier_orders SET state = $1, haier_no = CASE WHEN $2 = '' THEN haier_no ELSE $2 END, \
         note = CASE WHEN $3 = '' THEN note ELSE $3 END, touched_at = $4, alerted_at = NULL, \
         accepted_at = CASE WHEN $1 = 'accepted' THEN $4 ELSE accepted_at END, \
         confirmed_at = CASE WHEN $1 = 'confirmed' THEN COALESCE(confirmed_at, $4) ELSE confirmed_at END \
         WHERE order_no = $5",
    )
    .bind(state.as_str())
    .bind(haier_no)
    .bind(note)
    .bind(now)
    .bind(&order_no)
    .execute(change.tx().conn())
    .await?;
    change.event("supplier", state.as_str(), json!({ "haier_no": haier_no, "note": note })).await?;
    change.refresh().await?;
    match state {
        SupplierState::Sending | SupplierState::OutOfStock => Ok(()),
        SupplierState::Accepted => answered(change, &[Overdue::Create]).await,
        SupplierState::Withdrawn
        | SupplierState::Confirmed
        | SupplierState::Rejected
        | SupplierState::Cancelled => answered(change, &[Overdue::Create, Overdue::Confirm]).await,
    }
}

/// An answer that the supplier owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    Create,
    Confirm,
    /// Of the so-manieth cancel.
    Cancel(i64),
}

impl Overdue {
    /// The key of its finding.
    pub fn key(self, so_id: &str) -> String {
        match self {
            Self::Create => format!("{so_id}:create"),
            Self::Confirm => format!("{so_id}:confirm"),
            Self::Cancel(nth) => format!("{so_id}:cancel:{nth}"),
        }
    }
}

/// The supplier answered after all.
async fn answered(change: &mut Change<'_>, answers: &[Overdue]) -> Result<(), ChangeError> {
    let so_id = so_id(change.order_no());
    for answer in answers {
        let (kind, key) = (FindingType::SupplierOverdue, answer.key(&so_id));
        change.tx().resolve_finding(kind, &key, RESOLVED_BY, "the supplier answered").await?;
    }
    Ok(())
}

/// Sets how far a wanted cancel is.
pub async fn set_cancel(change: &mut Change<'_>, cancel: CancelState, note: &str) -> Result<(), ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    sqlx::query(
        "UPDATE supplier_orders SET cancel = $1, note = CASE WHEN $2 = '' THEN note ELSE $2 END, \
         cancel_asked_at = CASE WHEN $1 = 'asked' THEN $3 ELSE cancel_asked_at END, \
         cancels = CASE WHEN $1 = 'wanted' THEN cancels + 1 ELSE cancels END, \
         touched_at = $3, alerted_at = NULL WHERE order_no = $4",
    )
    .bind(cancel.as_str())
    .bind(note)
    .bind(now)
    .bind(&order_no)
    .execute(change.tx().conn())
    .await?;
    change.event("supplier_cancel", cancel.as_str(), json!({ "note": note })).await?;
    change.refresh().await?;
    if matches!(cancel, CancelState::Failed | CancelState::Done) {
        let cancels = change.standing.supplier.as_ref().map_or(0, |supplier| supplier.cancels);
        answered(change, &[Overdue::Cancel(cancels)]).await?;
    }
    Ok(())
}

/// Keeps why the customer sends the goods back.
pub async fn set_return_reason(change: &mut Change<'_>, reason: &str) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    sqlx::query("UPDATE supplier_orders SET return_reason = $1 WHERE order_no = $2")
        .bind(reason)
        .bind(&order_no)
        .execute(change.tx().conn())
        .await?;
    change.refresh().await
}

/// Takes over the supplier's totals of each product: absolute values, the newest by the supplier's own time stamp,
/// and never less than before (facts: ylh.md 10). Answers what now came back or was refused of each product.
pub async fn record_quantities(
    change: &mut Change<'_>,
    items: &[CallbackItem],
    said_at: Timestamp,
) -> Result<Vec<Returned>, ChangeError> {
    let so_id = so_id(change.order_no());
    for item in items {
        let old = quantities(change, &so_id, &item.product_code).await?.unwrap_or_default();
        let goes_down = item.return_qty < old.returned || item.reject_qty < old.rejected;
        if goes_down && said_at.micros() > old.said_at {
            takes_back(change, item, &old, said_at).await?;
        }
        sqlx::query(
            "INSERT INTO supplier_quantities (so_id, product_code, total_qty, received_qty, returned_qty, \
             rejected_qty, said_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (so_id, product_code) DO UPDATE SET total_qty = excluded.total_qty, \
             received_qty = excluded.received_qty, returned_qty = excluded.returned_qty, \
             rejected_qty = excluded.rejected_qty, said_at = excluded.said_at",
        )
        .bind(&so_id)
        .bind(&item.product_code)
        .bind(item.total_qty.max(old.total))
        .bind(item.receive_qty.max(old.received))
        .bind(item.return_qty.max(old.returned))
        .bind(item.reject_qty.max(old.rejected))
        .bind(said_at.micros().max(old.said_at))
        .execute(change.tx().conn())
        .await?;
    }
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT product_code, returned_qty, rejected_qty FROM supplier_quantities WHERE so_id = $1 \
         ORDER BY product_code",
    )
    .bind(&so_id)
    .fetch_all(change.tx().conn())
    .await?;
    let returned = |(product_code, returned, rejected): (String, i64, i64)| Returned {
        product_code,
        units: i64::saturating_add(returned, rejected),
    };
    Ok(rows.into_iter().map(returned).collect())
}

/// Less came back than was said before: what was paid for it stays paid until a person looked.
async fn takes_back(
    change: &mut Change<'_>,
    item: &CallbackItem,
    old: &Quantities,
    said_at: Timestamp,
) -> Result<(), ChangeError> {
    let key = format!("{}:{}:{}", so_id(change.order_no()), item.product_code, said_at.micros());
    let key: String = key.chars().take(64).collect();
    let why = "the supplier says that less came back than it had said: look whether too much was refunded";
    let data = json!({ "product_code": item.product_code, "returned_before": old.returned,
        "rejected_before": old.rejected, "returned": item.return_qty, "rejected": item.reject_qty });
    let case = Case::new(FindingType::UnsolicitedReturn, &key, why).data(data);
    change.needs_person(case).await.map(drop)
}

/// What came back of a product, or was never taken, as the supplier says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    pub product_code: String,
    pub units: i64,
}

#[derive(Default)]
struct Quantities {
    total: i64,
    received: i64,
    returned: i64,
    rejected: i64,
    said_at: i64,
}

async fn quantities(
    change: &mut Change<'_>,
    so_id: &str,
    product_code: &str,
) -> Result<Option<Quantities>, ChangeError> {
    let row: Option<(i64, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT total_qty, received_qty, returned_qty, rejected_qty, said_at FROM supplier_quantities \
         WHERE so_id = $1 AND product_code = $2",
    )
    .bind(so_id)
    .bind(product_code)
    .fetch_optional(change.tx().conn())
    .await?;
    Ok(row.map(|(total, received, returned, rejected, said_at)| Quantities {
        total,
        received,
        returned,
        rejected,
        said_at,
    }))
}
