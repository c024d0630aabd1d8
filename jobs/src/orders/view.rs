//! Everything about one order on one page: what was ordered, where it stands, and what happened to it.

use serde::Serialize;

use super::standing::{self, LineRow, OrderRow, ParcelRow, PaymentRow, RefundRow, Standing, SupplierRow};
use crate::effect::{EffectView, effects_about_in};
use crate::ledger::{Ledger, LedgerError, OrderEvent, TIMELINE_ROWS_MAX, timeline_in};
use crate::stored::stored_row;

/// Instants are microseconds since 1970-01-01 UTC, money is fen.
#[derive(Clone, Debug, Serialize)]
pub struct OrderView {
    pub order: OrderRow,
    pub lines: Vec<LineRow>,
    pub payment: PaymentRow,
    pub supplier_order: Option<SupplierRow>,
    pub parcels: Vec<ParcelRow>,
    pub shipping_upload: Option<UploadRow>,
    pub refunds: Vec<RefundRow>,
    pub notifications: Vec<NotificationRow>,
    pub effects: Vec<EffectView>,
    /// The oldest first, at most [`TIMELINE_ROWS_MAX`].
    pub events: Vec<OrderEvent>,
}

#[derive(Clone, Debug, Serialize)]
pub struct UploadRow {
    pub state: String,
    pub note: String,
}

stored_row!(UploadRow { state, note });

#[derive(Clone, Debug, Serialize)]
pub struct NotificationRow {
    pub template: String,
    pub event: String,
    pub channel: String,
    pub state: String,
    pub note: String,
    pub queued_at: i64,
    pub settled_at: Option<i64>,
}

stored_row!(NotificationRow { template, event, channel, state, note, queued_at, settled_at });

/// All of it as it was at one moment. None: no order of that number is recorded.
pub async fn order_view(ledger: &Ledger, order_no: &str) -> Result<Option<OrderView>, LedgerError> {
    let mut conn = ledger.snapshot().await?;
    let Some(standing) = Standing::read(&mut conn, order_no).await? else { return Ok(None) };
    let lines = standing::lines(&mut conn, order_no).await?;
    let parcels = standing::parcels(&mut conn, order_no).await?;
    let shipping_upload = sqlx::query_as("SELECT state, note FROM shipping_uploads WHERE order_no = $1")
        .bind(order_no)
        .fetch_optional(&mut *conn)
        .await?;
    let notifications = sqlx::query_as(
        "SELECT template, event, channel, state, note, queued_at, settled_at FROM notifications \
         WHERE order_no = $1 ORDER BY queued_at, template, channel",
    )
    .bind(order_no)
    .fetch_all(&mut *conn)
    .await?;
    let effects = effects_about_in(&mut conn, order_no).await?;
    let events = timeline_in(&mut conn, order_no, TIMELINE_ROWS_MAX, None).await?.events;
    Ok(Some(OrderView {
        order: standing.order,
        lines,
        payment: standing.payment,
        supplier_order: standing.supplier,
        parcels,
        shipping_upload,
        refunds: standing.refunds,
        notifications,
        effects,
        events,
    }))
}
