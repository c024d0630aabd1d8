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
mod request_refund;
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
pub use refund::RefundState;
pub(crate) use refund_book::{RefundNews, record_refund, refunds_are_known, reserve_refund};
pub use request_refund::RequestRefund;
pub(crate) use take_money::take_money;
pub(crate) use trade::{Trade, ask_trade, query_trade};
