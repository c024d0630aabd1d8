//! What WeChat says of a payment, in the four answers that the business can act on.

use serde_json::json;
use windlass_engine::JobError;

use super::take_money::Money;
use super::wechat_pay::{TradeState, Transaction};
use crate::findings::{FindingType, NewFinding};
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
    let Some(transaction) = shop.wechat_pay.query_by_out_trade_no(order_no).await? else {
        return Ok(Trade::Unknown);
    };
    if let TradeState::Other(state) = &transaction.state {
        unknown_state(shop, order_no, state).await;
    }
    read_trade(&transaction, order_no)
}

fn read_trade(transaction: &Transaction, order_no: &str) -> Result<Trade, OutsideError> {
    let unusable = |why: &str| OutsideError::new(System::WechatPay, "query_payment", Fault::Unavailable, why);
    if transaction.out_trade_no != order_no {
        return Err(unusable("WeChat answered for another order than the one that was asked for"));
    }
    if transaction.state.is_paid() {
        let lacks = "WeChat says that it is paid, and not how much or by which payment";
        return money(transaction, "query").map(Trade::Paid).ok_or_else(|| unusable(lacks));
    }
    // An unknown state changes nothing: it may still be paid.
    Ok(if transaction.state.is_over_unpaid() { Trade::Closed } else { Trade::Open })
}

/// Somebody should know (facts: commerce-states.md 2, gap 3). The answer is acted on all the same.
pub async fn unknown_state(shop: &Shop, order_no: &str, state: &str) {
    metrics::counter!("windlass_wechat_unknown_states_total").increment(1);
    let key: String = format!("{order_no}:{state}").chars().take(60).collect();
    let raised = async {
        let mut tx = shop.ledger.begin().await?;
        tx.raise(&NewFinding {
            kind: FindingType::Status,
            key: &key,
            order_no: Some(order_no),
            amount_fen: None,
            text: "WeChat says a trade state that is not known: nothing was changed; look there what it means",
            evidence: json!({ "trade_state": state }),
        })
        .await?;
        tx.commit().await
    };
    if let Err(error) = raised.await {
        tracing::error!(%error, order_no, state, "an unknown trade state could not be kept");
    }
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
