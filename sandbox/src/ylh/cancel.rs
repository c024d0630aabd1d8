//! Cancelling an order (facts: ylh.md 5 and 10): the request is only taken here, the verdict comes later and depends on
//! how far the order has got by then.

use std::time::Duration;

use axum::response::Response;
use serde_json::json;
use windlass_engine::Timestamp;

use super::{Call, invalid, play, required};
use crate::answer::Refusal;
use crate::draw::draw;
use crate::fault::Endpoint;
use crate::world::event::{CancelOutcome, Fact, Line, Verdict};
use crate::world::order::{Stage, SupplierOrder};

/// Goods can be sent back for so long after they were received.
const RETURN_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);
/// A product whose code begins so is refused at the door by whoever ordered it.
const REFUSED_AT_THE_DOOR: &str = "REJECT";
/// Of such a product the customer refuses one piece at the door and takes the others.
const REFUSED_IN_PART: &str = "PARTREJECT";
/// Of such a product the customer sends one piece back after it was handed over.
const SENT_BACK: &str = "RETURN";
/// Such a product turns out not to be in stock after the order was confirmed.
const LACKING: &str = "LACK";

pub(super) async fn receive(call: Call) -> Response {
    play(
        call,
        Endpoint::YlhCancel,
        |asked| asked["soId"].to_string(),
        |world, asked| {
            let so_id = match check(asked) {
                Ok(so_id) => so_id,
                Err(refusal) => return Ok(Err(refusal)),
            };
            world.act(|scene| {
                let Some(order) = scene.state().orders.get(so_id) else {
                    return Ok(Err(Refusal { code: "NOT_FOUND", text: "订单不存在".to_owned() }));
                };
                if order.stage == Stage::Cancelled {
                    return Ok(Err(Refusal {
                        code: "CANCELLED",
                        text: "订单已取消，请勿重复取消".to_owned(),
                    }));
                }
                // A repeat while the first waits for its verdict is the same request.
                if order.cancel_asked_at.is_none() {
                    scene.record(Fact::CancelAsked { so_id: so_id.to_owned() })?;
                }
                Ok(Ok(json!(true)))
            })
        },
    )
    .await
}

fn check(asked: &serde_json::Value) -> Result<&str, Refusal> {
    let millis = required(asked, "cancelTime")?;
    if millis.len() != 13 || !millis.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid("cancelTime", "应为毫秒时间戳"));
    }
    required(asked, "cancelReason")?;
    required(asked, "sourceSystem")?;
    required(asked, "soId")
}

/// The table of facts: ylh.md 5. Where it leaves two ways open (interception, inspection, being replenished), the seed
/// decides.
pub(crate) fn verdict(order: &SupplierOrder, seed: u64, now: Timestamp) -> CancelOutcome {
    let drawn = draw(seed, &["verdict", &order.so_id], u64::from(order.cancels_answered));
    match order.stage {
        Stage::Accepted | Stage::Refused => whole(order, Returned::Never),
        Stage::Confirmed if order.out_of_stock_at.is_some() => whole(order, Returned::Never),
        Stage::Confirmed if drawn.is_multiple_of(8) => failed(order, "补货中，无法取消"),
        Stage::Confirmed => whole(order, Returned::Never),
        Stage::Shipped if drawn.is_multiple_of(4) => failed(order, "拦截失败"),
        Stage::Shipped if drawn % 4 == 1 && pieces(order) > 1 => partly(order, drawn >> 8),
        Stage::Shipped => whole(order, Returned::Never),
        Stage::Delivered if now.since(order.delivered_at.unwrap_or(now)) > RETURN_WITHIN => {
            failed(order, "签收超过7天，无法取消")
        }
        Stage::Delivered if drawn.is_multiple_of(4) => failed(order, "退货质检不通过"),
        Stage::Delivered => whole(order, Returned::AfterReceipt),
        Stage::Cancelled => failed(order, "订单已取消"),
    }
}

/// What the customer sends back at the door although nobody asked for a cancellation, if so.
pub(crate) fn at_the_door(order: &SupplierOrder) -> Option<CancelOutcome> {
    let refused = |line: &Line| match line {
        line if line.code.starts_with(REFUSED_AT_THE_DOOR) => line.qty,
        line if line.code.starts_with(REFUSED_IN_PART) => 1,
        _ => 0,
    };
    if order.lines.iter().all(|line| refused(line) == 0) {
        return None;
    }
    let mut lines = order.lines.clone();
    for line in &mut lines {
        line.rejected = refused(line);
        line.received = line.qty - line.rejected;
    }
    let whole = lines.iter().all(|line| line.rejected == line.qty);
    let verdict = if whole { Verdict::Whole } else { Verdict::Partly };
    Some(CancelOutcome { verdict, reason: "".into(), lines })
}

/// What the customer sends back after delivery although nobody asked for a return, if so.
pub(crate) fn sent_back(order: &SupplierOrder) -> Option<CancelOutcome> {
    let mut lines = order.lines.clone();
    for line in &mut lines {
        if line.code.starts_with(SENT_BACK) && line.received > 0 {
            line.returned = line.returned.max(1);
        }
    }
    let whole = lines.iter().all(|line| line.returned + line.rejected == line.qty);
    let verdict = if whole { Verdict::Whole } else { Verdict::Partly };
    let any = lines.iter().any(|line| line.returned > 0);
    any.then(|| CancelOutcome { verdict, reason: "".into(), lines })
}

/// Whether the order, once confirmed, cannot be sent.
pub(crate) fn is_lacking(order: &SupplierOrder) -> bool {
    order.lines.iter().any(|line| line.code.starts_with(LACKING))
}

enum Returned {
    Never,
    AfterReceipt,
}

fn whole(order: &SupplierOrder, returned: Returned) -> CancelOutcome {
    let mut lines = order.lines.clone();
    for line in &mut lines {
        match returned {
            Returned::Never => line.rejected = line.qty,
            Returned::AfterReceipt => line.returned = line.received,
        }
    }
    CancelOutcome { verdict: Verdict::Whole, reason: "".into(), lines }
}

fn failed(order: &SupplierOrder, reason: &str) -> CancelOutcome {
    CancelOutcome { verdict: Verdict::Failed, reason: reason.into(), lines: order.lines.clone() }
}

/// Some pieces were caught on their way, the others arrive: at least one of each.
fn partly(order: &SupplierOrder, drawn: u64) -> CancelOutcome {
    let mut caught = 1 + drawn % (u64::from(pieces(order)) - 1);
    let mut lines = order.lines.clone();
    for line in &mut lines {
        line.rejected = line.qty.min(u32::try_from(caught).unwrap_or(u32::MAX));
        line.received = line.qty - line.rejected;
        caught -= u64::from(line.rejected);
    }
    CancelOutcome { verdict: Verdict::Partly, reason: "".into(), lines }
}

fn pieces(order: &SupplierOrder) -> u32 {
    order.lines.iter().map(|line| line.qty).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::state::State;

    const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);

    fn order(stage: Stage, code: &str) -> SupplierOrder {
        let mut state = State::default();
        let lines = vec![
            Line { code: code.into(), qty: 3, received: 0, returned: 0, rejected: 0 },
            Line { code: "FAKE2".into(), qty: 1, received: 0, returned: 0, rejected: 0 },
        ];
        let fact = Fact::OrderAccepted { so_id: "S".into(), online_no: "P".into(), lines, amount_fen: 1 };
        let event = crate::world::event::Event { at: NOON, fact };
        state.apply(&event, 0, &crate::config::Pace::default(), |_, _| {});
        let mut order = state.orders.get("S").unwrap().clone();
        order.stage = stage;
        order
    }

    #[test]
    fn an_order_that_was_not_confirmed_is_always_cancelled() {
        for seed in 0..50 {
            assert_eq!(verdict(&order(Stage::Accepted, "FAKE1"), seed, NOON).verdict, Verdict::Whole);
        }
    }

    #[test]
    fn an_order_received_more_than_7_days_ago_is_never_cancelled() {
        let mut order = order(Stage::Delivered, "FAKE1");
        order.delivered_at = Some(NOON);
        for seed in 0..50 {
            let outcome = verdict(&order, seed, NOON + RETURN_WITHIN + Duration::from_secs(1));
            assert_eq!(outcome.verdict, Verdict::Failed);
        }
    }

    #[test]
    fn a_shipped_order_meets_every_verdict_and_its_pieces_always_add_up() {
        let order = order(Stage::Shipped, "FAKE1");
        let mut met = std::collections::HashSet::new();
        for seed in 0..200 {
            let outcome = verdict(&order, seed, NOON);
            met.insert(format!("{:?}", outcome.verdict));
            if outcome.verdict != Verdict::Failed {
                assert!(
                    outcome.lines.iter().all(|line| line.qty == line.received + line.rejected),
                    "{outcome:?}"
                );
            }
        }
        assert_eq!(met.len(), 3);
    }

    #[test]
    fn what_is_refused_at_the_door_is_refused_line_by_line() {
        assert_eq!(at_the_door(&order(Stage::Shipped, "FAKE1")), None);
        let outcome = at_the_door(&order(Stage::Shipped, "REJECT1")).unwrap();
        assert_eq!(outcome.verdict, Verdict::Partly);
        assert_eq!((outcome.lines[0].rejected, outcome.lines[1].received), (3, 1));
    }
}
