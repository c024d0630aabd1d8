//! A person decides that a refund which came to nothing is made again. Its number is used up at WeChat, so the money
//! goes under a new one (facts: wechat-pay.md 8).
//!
//! Whoever replaces an abnormal refund has seen at WeChat that its money is back with the shop: from then on it counts
//! as closed, and WeChat saying otherwise is a finding.

use serde_json::json;

use super::{NewRefund, RefundOrigin, reserve_refund};
use crate::by_hand::{ByHand, NotDone};
use crate::findings::FindingType;
use crate::ledger::MoneyLine;
use crate::orders::{Change, ChangeError, RefundRow, refund_row};
use crate::shop::Shop;

/// Reserves and sends the refund that takes the place of `refund_no`, and answers its number.
///
/// # Errors
/// [`NotDone`] when the refund does not wait for a person, or nothing of the payment is left to give back.
pub async fn replace_refund(shop: &Shop, refund_no: &str, by: ByHand<'_>) -> Result<String, NotDone> {
    let mut conn = shop.ledger.reads().acquire().await?;
    let known = refund_row(&mut conn, refund_no).await?;
    drop(conn);
    let known = known.ok_or_else(|| NotDone::NoSuch(format!("no refund {refund_no} is recorded")))?;

    let tx = shop.ledger.begin().await?;
    let mut change = Change::within(shop, tx, &known.order_no).await?;
    let known = change.standing.refunds.iter().find(|refund| refund.refund_no == refund_no).cloned();
    let known = known.ok_or_else(|| NotDone::NoSuch(format!("no refund {refund_no} is recorded")))?;
    if !known.needs_person() {
        return Err(NotDone::NotOpen(stands(&known)));
    }
    let units = units(&mut change, refund_no).await?;
    close(&mut change, refund_no).await?;
    let new = NewRefund {
        amount_fen: known.amount_fen,
        reason: &known.reason,
        origin: RefundOrigin::Replaced,
        asked_by: "",
        units,
    };
    let Some(new_no) = reserve_refund(&mut change, &new).await? else {
        let why = "nothing of the payment is left to give back, or WeChat makes no more refunds of it";
        return Err(NotDone::NotOpen(why.to_owned()));
    };
    point_to(&mut change, refund_no, &new_no).await?;
    let line = MoneyLine::new("refund.replaced_by_hand", &known.order_no).amount(known.amount_fen);
    change.tx().money(line.refund(refund_no).how(&new_no).by(by.who));
    let data = json!({ "refund_no": refund_no, "replaced_by": new_no, "by": by.who });
    change.event("refund_replaced", by.reason(), data).await?;
    for kind in [FindingType::RefundAbnormal, FindingType::RefundClosed, FindingType::RefundRefused] {
        change.tx().resolve_finding(kind, refund_no, by.who, by.reason()).await?;
    }
    by.note(change.tx(), "refund.replace", refund_no, &new_no).await?;
    change.commit().await?;
    Ok(new_no)
}

fn stands(known: &RefundRow) -> String {
    match known.replaced_by.as_str() {
        "" => format!("the refund {} is {}: nothing is to be decided", known.refund_no, known.state.as_str()),
        by => format!("the refund {} was replaced by {by}", known.refund_no),
    }
}

async fn units(change: &mut Change<'_>, refund_no: &str) -> Result<Vec<(String, i64)>, ChangeError> {
    let sql = "SELECT product_code, units FROM refund_lines WHERE refund_no = $1 ORDER BY product_code";
    Ok(sqlx::query_as(sql).bind(refund_no).fetch_all(change.tx().conn()).await?)
}

/// Lets go of what an abnormal refund still reserves.
async fn close(change: &mut Change<'_>, refund_no: &str) -> Result<(), ChangeError> {
    let now = change.now().micros();
    sqlx::query(
        "UPDATE refunds SET state = 'closed', settled_at = $1, touched_at = $1 \
         WHERE refund_no = $2 AND state = 'abnormal'",
    )
    .bind(now)
    .bind(refund_no)
    .execute(change.tx().conn())
    .await?;
    change.refresh().await
}

async fn point_to(change: &mut Change<'_>, refund_no: &str, new_no: &str) -> Result<(), ChangeError> {
    sqlx::query("UPDATE refunds SET replaced_by = $1 WHERE refund_no = $2 AND replaced_by = ''")
        .bind(new_no)
        .bind(refund_no)
        .execute(change.tx().conn())
        .await?;
    change.refresh().await
}
