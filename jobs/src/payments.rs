//! Money from and to customers.

pub mod bill;
mod callbacks;
mod fetch_bill;
mod handle_payment_callback;
mod handle_refund_callback;
mod payment;
mod query_payment;
mod query_refund;
mod refund;
mod refund_book;
mod refund_list;
mod replace_refund;
mod request_refund;
mod settle_payment;
mod take_money;
mod trade;
pub mod wechat_pay;

pub(crate) use callbacks::job_for;
pub use callbacks::{WechatCallback, receive_wechat_callback};
pub use fetch_bill::FetchBill;
pub use handle_payment_callback::HandlePaymentCallback;
pub use handle_refund_callback::HandleRefundCallback;
pub use payment::PaymentState;
pub use query_payment::QueryPayment;
pub use query_refund::QueryRefund;
pub(crate) use query_refund::refund_news;
pub use refund::{RefundOrigin, RefundState};
pub use refund_book::REFUNDS_MAX;
pub(crate) use refund_book::{
    NewRefund, RESOLVED_BY, RefundNews, paid_units, record_refund, refunds_are_known, reserve_refund,
};
pub use refund_list::{REFUND_ROWS_MAX, RefundPage, refunds};
pub use replace_refund::replace_refund;
pub use request_refund::RequestRefund;
pub use settle_payment::{Decision, settle_payment};
pub(crate) use take_money::take_money;
pub(crate) use trade::{Trade, ask_trade, query_trade};
