//! Closing the payment of an order at WeChat, so that it can never be paid any more.
//!
//! What follows for the order is not decided here.

use std::time::Duration;

use windlass_engine::{JobError, Timestamp};

use super::change::{Change, ChangeError};
use crate::effect::{Asked, Effect, EffectKind, Ended, perform};
use crate::outside::{Fault, OutsideError, System};
use crate::payments::{Trade, ask_trade, query_trade};
use crate::shop::Shop;

fn effect(order_no: &str) -> Effect<'_> {
    Effect { kind: EffectKind::WechatClose, of: order_no, about: order_no }
}

/// Closes a payment that is open, and answers what became of it: closed, unless the customer was faster.
pub async fn close(shop: &Shop, order_no: &str) -> Result<Trade, JobError> {
    wait_until_closable(shop, order_no).await?;
    let ended =
        perform(&shop.ledger, effect(order_no), || async { Ok(Asked::CannotTell) }, || tell(shop, order_no))
            .await?;
    match ended {
        Ended::Done(_) => Ok(Trade::Closed),
        Ended::Refused { .. } | Ended::InDoubt { .. } => match ask_trade(shop, order_no).await? {
            Trade::Open => {
                Err(JobError::retry(anyhow::anyhow!("WeChat would not close {order_no}, and has it open")))
            }
            trade => Ok(trade),
        },
    }
}

/// Not sooner than some minutes after the order was made; waiting uses up no attempt.
async fn wait_until_closable(shop: &Shop, order_no: &str) -> Result<(), JobError> {
    let row: Option<(i64,)> = sqlx::query_as("SELECT recorded_at FROM orders WHERE order_no = $1")
        .bind(order_no)
        .fetch_optional(shop.ledger.reads())
        .await?;
    let recorded_at = Timestamp::from_micros(row.map_or(0, |(at,)| at));
    let closable_at = recorded_at + Duration::from_secs(shop.settings.close_not_before_s);
    let left = closable_at.since(shop.clock.now());
    if left.is_zero() { Ok(()) } else { Err(JobError::snooze(left, "WeChat closes no payment this young")) }
}

/// A 204 is no proof, and the customer may pay right before: only WeChat's own word that it is closed counts
/// (facts: wechat-pay.md 7).
async fn tell(shop: &Shop, order_no: &str) -> Result<bool, OutsideError> {
    shop.wechat_pay.close(order_no).await?;
    let fail =
        |fault, detail: &str| Err(OutsideError::new(System::WechatPay, "close_payment", fault, detail));
    match query_trade(shop, order_no).await {
        Ok(Trade::Closed) => Ok(true),
        Ok(Trade::Open) => fail(Fault::InDoubt, "asked to close it, and it is open still"),
        Ok(trade @ (Trade::Paid(_) | Trade::Unknown)) => {
            let (code, reason) = why_not(&trade);
            fail(Fault::Refused { code: code.to_owned() }, reason)
        }
        // Whatever kept the question from being answered: the close before it was told.
        Err(unanswered) => fail(Fault::InDoubt, &unanswered.to_string()),
    }
}

fn why_not(trade: &Trade) -> (&'static str, &'static str) {
    match trade {
        Trade::Paid(_) => ("ORDER_PAID", "the customer paid before"),
        _ => ("ORDER_NOT_EXIST", "nobody went to the till: there is nothing to close"),
    }
}

/// Settles a close that was begun by what WeChat says of the payment since.
pub async fn settle_close(change: &mut Change<'_>, trade: &Trade) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    match trade {
        Trade::Open => {}
        Trade::Closed => {
            change.tx().effect_happened(effect(&order_no), &true, "WeChat says it is closed").await?;
        }
        Trade::Paid(_) | Trade::Unknown => {
            let (code, reason) = why_not(trade);
            change.tx().effect_did_not_happen(effect(&order_no), code, reason).await?;
        }
    }
    Ok(())
}
