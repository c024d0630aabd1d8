//! Writing down what is known of the order at the supplier, inside a change of the order.

use serde_json::json;

use super::supplier_order::{CancelState, SupplierState, so_id};
use crate::orders::{Change, ChangeError};

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
    change.refresh().await
}

/// Sets how far a wanted cancel is.
pub async fn set_cancel(change: &mut Change<'_>, cancel: CancelState, note: &str) -> Result<(), ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    sqlx::query(
        "UPDATE supplier_orders SET cancel = $1, note = CASE WHEN $2 = '' THEN note ELSE $2 END, \
         cancel_asked_at = CASE WHEN $1 = 'asked' THEN $3 ELSE cancel_asked_at END, \
         touched_at = $3, alerted_at = NULL WHERE order_no = $4",
    )
    .bind(cancel.as_str())
    .bind(note)
    .bind(now)
    .bind(&order_no)
    .execute(change.tx().conn())
    .await?;
    change.event("supplier_cancel", cancel.as_str(), json!({ "note": note })).await?;
    change.refresh().await
}
