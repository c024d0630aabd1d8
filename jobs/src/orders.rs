//! Orders: the way of each from paid to delivered, or back.
//!
//! `state` says who moves an order where; `change` is the one way to write; a job is a file. What the suppliers, the
//! payments and the messages do lies in the folders of those names.

use windlass_engine::Backoff;

mod cancel_order;
mod change;
mod check_supply;
mod close_payment;
mod complete_order;
mod expire_unpaid_orders;
mod fulfil_order;
mod order;
mod parcels;
pub(crate) mod standing;
pub mod state;
mod sweep_effects;
mod sweep_orders;
mod tally;
mod unwind;
mod upload_shipping;
mod view;
mod wind_down;

pub use cancel_order::CancelOrder;
pub(crate) use change::Change;
pub use change::ChangeError;
pub use check_supply::CheckSupply;
pub(crate) use close_payment::settle_close;
pub use complete_order::CompleteOrder;
pub use expire_unpaid_orders::ExpireUnpaidOrders;
pub use fulfil_order::FulfilOrder;
pub use order::{Address, BadOrder, Customer, FEN_MAX, LINES_MAX, Order, OrderLine, QUANTITY_MAX};
pub(crate) use parcels::{SeenParcel, has_news, record_parcels, want_upload};
pub use standing::{LineRow, OrderRow, ParcelRow, PaymentRow, RefundRow, Standing, SupplierRow};
pub(crate) use standing::{bought, refund_row};
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
