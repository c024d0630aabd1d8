//! Where an order stands: its row and the rows that hang on it, as the ledger has them.
//!
//! Reads only; [`super::change`] writes.

use serde::Serialize;
use sqlx::AnyConnection;

use super::expire_unpaid_orders::NOT_PAID;
use super::state::OrderState;
use super::unwind::{Unwinding, reserved_fen};
use crate::payments::{PaymentState, RefundOrigin, RefundState};
use crate::stored::stored_row;
use crate::suppliers::{Bought, CancelState, SupplierState};

/// An order and what hangs on it.
#[derive(Clone, Debug)]
pub struct Standing {
    pub order: OrderRow,
    pub payment: PaymentRow,
    pub supplier: Option<SupplierRow>,
    pub refunds: Vec<RefundRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct OrderRow {
    pub order_no: String,
    pub state: OrderState,
    pub resume_state: String,
    pub reason: String,
    #[serde(skip)]
    pub fingerprint: String,
    pub openid: String,
    pub customer_name: String,
    pub mobile: String,
    pub email: String,
    pub province: String,
    pub city: String,
    pub area: String,
    pub town: String,
    pub detail: String,
    pub county_code: String,
    pub total_fen: i64,
    pub remark: String,
    pub placed_at: i64,
    pub expires_at: i64,
    pub recorded_at: i64,
    pub state_at: i64,
    pub version: i64,
    /// The trace in which it was handed in.
    #[serde(skip)]
    pub traceparent: Option<String>,
}

stored_row!(OrderRow { order_no, resume_state, reason, fingerprint, openid, customer_name, mobile, email, province, city, area, town, detail, county_code, total_fen, remark, placed_at, expires_at, recorded_at, state_at, version, traceparent } parsed { state });

#[derive(Clone, Debug, Serialize)]
pub struct LineRow {
    pub line_no: i64,
    pub product_code: String,
    pub name: String,
    pub quantity: i64,
    pub unit_price_fen: i64,
    pub discount_fen: i64,
}

stored_row!(LineRow { line_no, product_code, name, quantity, unit_price_fen, discount_fen });

#[derive(Clone, Debug, Serialize)]
pub struct PaymentRow {
    pub out_trade_no: String,
    pub state: PaymentState,
    pub amount_fen: i64,
    pub paid_fen: i64,
    pub transaction_id: Option<String>,
    pub paid_at: Option<i64>,
    pub known_by: String,
}

stored_row!(PaymentRow { out_trade_no, amount_fen, paid_fen, transaction_id, paid_at, known_by } parsed { state });

#[derive(Clone, Debug, Serialize)]
pub struct SupplierRow {
    pub so_id: String,
    pub state: SupplierState,
    pub haier_no: String,
    pub cancel: CancelState,
    pub note: String,
    pub sent_at: i64,
    pub accepted_at: Option<i64>,
    pub confirmed_at: Option<i64>,
    pub cancel_asked_at: Option<i64>,
    pub cancels: i64,
    /// Why the customer sends the goods back; empty: nobody asked for a return.
    pub return_reason: String,
}

stored_row!(SupplierRow { so_id, haier_no, note, sent_at, accepted_at, confirmed_at, cancel_asked_at, cancels, return_reason } parsed { state, cancel });

#[derive(Clone, Debug, Serialize)]
pub struct RefundRow {
    pub refund_no: String,
    pub order_no: String,
    pub seq: i64,
    pub amount_fen: i64,
    pub reason: String,
    pub state: RefundState,
    pub origin: RefundOrigin,
    pub refund_id: String,
    pub note: String,
    pub requested_at: i64,
    /// Not sent to WeChat before.
    pub send_at: i64,
    pub settled_at: Option<i64>,
    /// The refund that took its place; empty: none did.
    pub replaced_by: String,
}

stored_row!(RefundRow { refund_no, order_no, seq, amount_fen, reason, refund_id, note, requested_at, send_at, settled_at, replaced_by } parsed { state, origin });

impl RefundRow {
    /// Came to nothing, and nobody has decided what follows.
    pub fn needs_person(&self) -> bool {
        self.state.needs_person() && self.replaced_by.is_empty()
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct ParcelRow {
    pub tracking_no: String,
    pub carrier: String,
    pub carrier_name: String,
    pub serials: String,
    pub last_state: String,
    pub seen_at: i64,
    pub delivered_at: Option<i64>,
}

stored_row!(ParcelRow { tracking_no, carrier, carrier_name, serials, last_state, seen_at, delivered_at });

impl Standing {
    /// None: no order of that number is recorded.
    pub async fn read(conn: &mut AnyConnection, order_no: &str) -> Result<Option<Self>, sqlx::Error> {
        match order(conn, order_no).await? {
            Some(order) => Self::of(conn, order).await.map(Some),
            None => Ok(None),
        }
    }

    /// The rest of an order whose row was read already.
    pub(super) async fn of(conn: &mut AnyConnection, order: OrderRow) -> Result<Self, sqlx::Error> {
        let payment = payment(conn, &order.order_no).await?;
        let supplier = supplier(conn, &order.order_no).await?;
        let refunds = refunds(conn, &order.order_no).await?;
        Ok(Self { order, payment, supplier, refunds })
    }

    /// What is still to be given back at most: paid, less every refund that did not come to nothing.
    pub fn refundable_fen(&self) -> i64 {
        self.payment.paid_fen.saturating_sub(reserved_fen(&self.refund_amounts()))
    }

    /// Without those that were replaced: they are over, and what replaced them counts.
    pub fn refund_amounts(&self) -> Vec<(i64, RefundState)> {
        let standing = self.refunds.iter().filter(|refund| refund.replaced_by.is_empty());
        standing.map(|refund| (refund.amount_fen, refund.state)).collect()
    }

    /// Given up because it was not paid in time, with nothing undone that would have to be done again.
    pub fn may_be_revived(&self) -> bool {
        self.order.state == OrderState::Cancelled
            && self.order.reason == NOT_PAID
            && self.supplier.is_none()
            && self.refunds.is_empty()
    }

    /// What [`super::unwind::next_step`] decides on.
    pub fn unwinding<'a>(&self, refunds: &'a [(i64, RefundState)]) -> Unwinding<'a> {
        Unwinding {
            order: self.order.state,
            payment: self.payment.state,
            paid_fen: self.payment.paid_fen,
            supplier: self.supplier.as_ref().map(|supplier| (supplier.state, supplier.cancel)),
            refunds,
        }
    }
}

macro_rules! order_columns {
    () => {
        "order_no, state, resume_state, reason, fingerprint, openid, customer_name, mobile, email, province, \
         city, area, town, detail, county_code, total_fen, remark, placed_at, expires_at, recorded_at, state_at, \
         version, traceparent"
    };
}
pub(super) use order_columns;

macro_rules! refund_columns {
    () => {
        "refund_no, order_no, seq, amount_fen, reason, state, origin, refund_id, note, requested_at, send_at, \
         settled_at, replaced_by"
    };
}
pub(crate) use refund_columns;

pub async fn order(conn: &mut AnyConnection, order_no: &str) -> Result<Option<OrderRow>, sqlx::Error> {
    let sql = concat!("SELECT ", order_columns!(), " FROM orders WHERE order_no = $1");
    sqlx::query_as(sql).bind(order_no).fetch_optional(conn).await
}

pub async fn lines(conn: &mut AnyConnection, order_no: &str) -> Result<Vec<LineRow>, sqlx::Error> {
    let sql = "SELECT line_no, product_code, name, quantity, unit_price_fen, discount_fen \
               FROM order_lines WHERE order_no = $1 ORDER BY line_no";
    sqlx::query_as(sql).bind(order_no).fetch_all(conn).await
}

pub async fn parcels(conn: &mut AnyConnection, order_no: &str) -> Result<Vec<ParcelRow>, sqlx::Error> {
    let sql = "SELECT tracking_no, carrier, carrier_name, serials, last_state, seen_at, delivered_at \
               FROM parcels WHERE order_no = $1 ORDER BY seen_at, tracking_no";
    sqlx::query_as(sql).bind(order_no).fetch_all(conn).await
}

async fn payment(conn: &mut AnyConnection, order_no: &str) -> Result<PaymentRow, sqlx::Error> {
    let sql = "SELECT out_trade_no, state, amount_fen, paid_fen, transaction_id, paid_at, known_by \
               FROM payments WHERE order_no = $1";
    sqlx::query_as(sql).bind(order_no).fetch_one(conn).await
}

async fn supplier(conn: &mut AnyConnection, order_no: &str) -> Result<Option<SupplierRow>, sqlx::Error> {
    let sql = "SELECT so_id, state, haier_no, cancel, note, sent_at, accepted_at, confirmed_at, cancel_asked_at, cancels, \
               return_reason FROM supplier_orders WHERE order_no = $1";
    sqlx::query_as(sql).bind(order_no).fetch_optional(conn).await
}

pub async fn refund_row(conn: &mut AnyConnection, refund_no: &str) -> Result<Option<RefundRow>, sqlx::Error> {
    let sql = concat!("SELECT ", refund_columns!(), " FROM refunds WHERE refund_no = $1");
    sqlx::query_as(sql).bind(refund_no).fetch_optional(conn).await
}

async fn refunds(conn: &mut AnyConnection, order_no: &str) -> Result<Vec<RefundRow>, sqlx::Error> {
    let sql = concat!("SELECT ", refund_columns!(), " FROM refunds WHERE order_no = $1 ORDER BY seq");
    sqlx::query_as(sql).bind(order_no).fetch_all(conn).await
}

impl LineRow {
    /// What the customer pays for one unit.
    pub fn actual_fen(&self) -> i64 {
        self.unit_price_fen.saturating_sub(self.discount_fen)
    }
}

/// What was bought, by product.
pub fn bought(lines: &[LineRow]) -> Bought {
    let mut bought = Bought::default();
    for line in lines {
        bought.add(&line.product_code, line.quantity, line.actual_fen());
    }
    bought
}
