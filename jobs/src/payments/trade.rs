//! What WeChat says of a payment, in the four answers that the business can act on.

use windlass_engine::JobError;

use super::take_money::Money;
use super::wechat_pay::{TradeState, Transaction};
use crate::outside::{Fault, OutsideError, System};
use crate::shop::Shop;
use crate::verdict;

#[derive(Clone, Debug)]
pub enum Trade {
    /// Money was taken (also when some went back since).
    Paid(Money),
    /// May still be paid.
    Open,
    /// Will never be paid.
    Closed,
    /// WeChat knows no such payment: nobody went to the till.
    Unknown,
}

/// Asks WeChat for the payment of an order.
pub async fn ask_trade(shop: &Shop, order_no: &str) -> Result<Trade, JobError> {
    query_trade(shop, order_no).await.map_err(verdict::of_outside)
}

/// As [`ask_trade`], for whoever judges the failure itself.
pub async fn query_trade(shop: &Shop, order_no: &str) -> Result<Trade, OutsideError> {
    let transaction = shop.wechat_pay.query_by_out_trade_no(order_no).await?;
    transaction.map_or(Ok(Trade::Unknown), |transaction| read_trade(transaction, order_no))
}

fn read_trade(transaction: Transaction, order_no: &str) -> Result<Trade, OutsideError> {
    if transaction.state.is_paid() {
        return money(&transaction, "query").map(Trade::Paid).ok_or_else(|| {
            let lacks = "WeChat says that it is paid, and not how much or by which payment";
            OutsideError::new(System::WechatPay, "query_payment", Fault::Unavailable, lacks)
        });
    }
    if transaction.state.is_over_unpaid() {
        return Ok(Trade::Closed);
    }
    if let TradeState::Other(state) = &transaction.state {
        // Unknown: no change, and somebody should know (facts: commerce-states.md 2, gap 3).
        tracing::error!(order_no, state, "WeChat says a trade state that is not known");
        metrics::counter!("windlass_wechat_unknown_states_total").increment(1);
    }
    Ok(Trade::Open)
}

/// None when the record lacks what a paid one has.
pub fn money(transaction: &Transaction, known_by: &'static str) -> Option<Money> {
    Some(Money {
        transaction_id: transaction.transaction_id.clone()?,
        amount_fen: transaction.total?.get(),
        paid_at: transaction.success_at,
        known_by,
    })
}
