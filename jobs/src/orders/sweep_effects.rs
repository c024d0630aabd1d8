//! Effects that were left in doubt although their order has moved on: what the books or WeChat know settles them.
//!
//! Whoever moves an order on settles the effect in the same transaction; this is the net under that. An effect that
//! a job is still to bring about is that job's affair, and a message is told once and stays as it is.

use windlass_engine::{JobContext, JobError};

use super::change::{Change, ChangeError};
use super::close_payment::settle_close;
use super::upload_shipping;
use crate::effect::EffectKind;
use crate::payments::{self, Trade, query_trade};
use crate::shop::Shop;
use crate::suppliers;

/// Orders of each kind of effect that one sweep looks at: for some of them WeChat is asked.
const ORDERS_MAX: i64 = 50;
const HOW: &str = "the order has moved on since";

/// Answers for how many orders it knew more.
pub async fn sweep_effects(shop: &Shop, job: &JobContext) -> Result<usize, JobError> {
    let mut settled = 0;
    for (kind, moved_on) in MOVED_ON {
        for order_no in open(shop, kind, moved_on).await? {
            // Asked for before the lock of the order is taken; without an answer there is a next sweep.
            let trade = match kind {
                EffectKind::WechatClose => match query_trade(shop, &order_no).await {
                    Ok(Trade::Open) => continue,
                    Ok(trade) => Some(trade),
                    Err(error) => {
                        tracing::info!(%error, order_no, "an effect in doubt stays so until the next sweep");
                        break;
                    }
                },
                _ => None,
            };
            let mut change = Change::begin(shop, job, &order_no).await?;
            settle(&mut change, kind, trade.as_ref()).await?;
            change.commit().await?;
            settled += 1;
        }
    }
    Ok(settled)
}

/// For each kind of effect that somebody can be asked about, the orders that want it no more.
const MOVED_ON: [(EffectKind, &str); 5] = [
    (
        EffectKind::YlhCreate,
        "SELECT DISTINCT e.about FROM effects AS e JOIN supplier_orders AS s ON s.order_no = e.about \
         WHERE e.settled_at IS NULL AND e.kind = $1 AND s.state <> 'sending' LIMIT $2",
    ),
    (
        EffectKind::YlhCancel,
        "SELECT DISTINCT e.about FROM effects AS e JOIN supplier_orders AS s ON s.order_no = e.about \
         WHERE e.settled_at IS NULL AND e.kind = $1 AND s.cancel NOT IN ('', 'wanted') LIMIT $2",
    ),
    (
        EffectKind::WechatClose,
        "SELECT DISTINCT e.about FROM effects AS e JOIN payments AS p ON p.order_no = e.about \
         WHERE e.settled_at IS NULL AND e.kind = $1 AND p.state <> 'paying' LIMIT $2",
    ),
    (
        EffectKind::WechatRefund,
        "SELECT DISTINCT e.about FROM effects AS e JOIN refunds AS r ON r.order_no = e.about \
         AND e.key = e.kind || ':' || r.refund_no \
         WHERE e.settled_at IS NULL AND e.kind = $1 AND r.state NOT IN ('requested', 'refused') LIMIT $2",
    ),
    (
        EffectKind::UploadShipping,
        "SELECT DISTINCT e.about FROM effects AS e JOIN shipping_uploads AS u ON u.order_no = e.about \
         WHERE e.settled_at IS NULL AND e.kind = $1 AND u.state <> 'wanted' LIMIT $2",
    ),
];

async fn open(shop: &Shop, kind: EffectKind, moved_on: &'static str) -> Result<Vec<String>, sqlx::Error> {
    let rows: Vec<(String,)> =
        sqlx::query_as(moved_on).bind(kind.name()).bind(ORDERS_MAX).fetch_all(shop.ledger.reads()).await?;
    Ok(rows.into_iter().map(|(order_no,)| order_no).collect())
}

async fn settle(change: &mut Change<'_>, kind: EffectKind, trade: Option<&Trade>) -> Result<(), ChangeError> {
    match kind {
        EffectKind::YlhCreate => suppliers::create_is_known(change, HOW).await,
        EffectKind::YlhCancel => suppliers::cancel_is_answered(change, HOW).await,
        EffectKind::WechatClose => match trade {
            Some(trade) => settle_close(change, trade).await,
            None => Ok(()),
        },
        EffectKind::WechatRefund => payments::refunds_are_known(change).await,
        EffectKind::UploadShipping => upload_shipping::upload_is_known(change, HOW).await,
        EffectKind::ConfirmReceive
        | EffectKind::SubscribeSend
        | EffectKind::MailSend
        | EffectKind::WebhookPost => Ok(()),
    }
}
