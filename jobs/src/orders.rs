//! Orders: the way of each from paid to delivered, or back.
//!
//! `state` says who moves an order where; `change` is the one way to write; a job is a file. What the suppliers, the
//! payments and the messages do lies in the folders of those names.

use windlass_engine::{Backoff, JobContext, JobError};

mod announce_delivery;
mod cancel_order;
mod change;
mod check_supply;
mod close_payment;
mod compare_shipments;
mod complete_order;
mod expire_unpaid_orders;
mod fulfil_order;
mod invariants;
mod order;
mod parcels;
mod refund_order;
mod remind_receipt;
mod request_return;
mod settle_upload;
pub(crate) mod standing;
pub mod state;
mod sweep_effects;
mod sweep_orders;
mod tally;
mod unwind;
mod upload_shipping;
mod view;
mod wind_down;

pub use announce_delivery::AnnounceDelivery;
pub use cancel_order::CancelOrder;
pub use change::ChangeError;
pub(crate) use change::{Case, Change};
pub use check_supply::CheckSupply;
pub(crate) use close_payment::settle_close;
pub use compare_shipments::CompareShipments;
pub use complete_order::CompleteOrder;
pub use expire_unpaid_orders::ExpireUnpaidOrders;
pub use fulfil_order::FulfilOrder;
pub use invariants::{VIOLATIONS_MAX, Violation, invariants};
pub use order::{Address, BadOrder, Customer, FEN_MAX, LINES_MAX, Order, OrderLine, QUANTITY_MAX};
pub(crate) use parcels::{SeenParcel, has_news, record_parcels, want_upload};
pub use refund_order::{RefundOrder, ReturnedLine};
pub use remind_receipt::RemindReceipt;
pub use request_return::RequestReturn;
pub use settle_upload::{UploadOutcome, settle_upload};
pub use standing::{LineRow, OrderRow, ParcelRow, PaymentRow, RefundRow, Standing, SupplierRow};
pub(crate) use standing::{bought, refund_columns, refund_row};
pub use state::OrderState;
pub use sweep_orders::SweepOrders;
pub use tally::{Tally, tally};
pub use upload_shipping::UploadShipping;
pub use view::{OrderView, order_view};
pub(crate) use wind_down::{give_up, wind_down};

/// Attempts of a step of an order: an outside system may be away for most of a day.
pub const STEP_ATTEMPTS_MAX: u32 = 40;
/// Two seconds, doubling, at most half an hour.
pub const STEP_BACKOFF: Backoff = Backoff { base_ms: 2_000, cap_ms: 1_800_000 };

/// Attempts for which an order that nobody knows is waited for: some minutes.
const UNKNOWN_ORDER_ATTEMPTS_MAX: u32 = 8;

/// An order may be on its way into the ledger still, but not for that long: then its number is wrong.
fn unknown_order(error: ChangeError, job: &JobContext) -> JobError {
    match error {
        ChangeError::NoOrder(_) if job.attempt() >= UNKNOWN_ORDER_ATTEMPTS_MAX => {
            JobError::fail(anyhow::anyhow!("{error}"))
        }
        error => error.into(),
    }
}

/// Whether an earlier attempt of this very job has done what it is for: it wrote this event.
async fn has_asked(change: &mut Change<'_>, job: &JobContext, event: &str) -> Result<bool, ChangeError> {
    let order_no = change.order_no().to_owned();
    let row: Option<(String,)> = sqlx::query_as(
        "SELECT id FROM order_events WHERE order_no = $1 AND kind = $2 AND job_id = $3 LIMIT 1",
    )
    .bind(&order_no)
    .bind(event)
    .bind(job.id().as_str())
    .fetch_optional(change.tx().conn())
    .await?;
    Ok(row.is_some())
}
