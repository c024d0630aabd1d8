//! What only a person can decide: each decision is carried out once, is in the order's story, and lets the order go on.

use windlass_jobs::by_hand::{ByHand, NotDone};
use windlass_jobs::effect::{EffectOutcome, settle_effect};
use windlass_jobs::findings::{FindingState, FindingType};
use windlass_jobs::orders::{OrderState, OrderView, UploadOutcome, settle_upload};
use windlass_jobs::payments::{Decision, replace_refund, settle_payment};
use windlass_testing::{Engine, on_every_engine};

use crate::callbacks::silent_town;
use crate::town::{Town, fulfil, order};

on_every_engine! {
    a_disputed_amount_is_accepted_or_given_back,
    a_refund_that_wechat_closed_is_made_again_under_a_new_number,
    an_upload_that_wechat_refused_is_told_again_after_it_was_put_right,
    an_effect_in_doubt_is_settled_by_hand_and_its_job_goes_on,
}

const BY: ByHand<'static> = ByHand { who: "王会计 (k1)", reason: "looked at the bank" };

async fn settle(town: &Town, no: &'static str, decision: Decision) -> Result<OrderState, NotDone> {
    let shop = town.house().shop.clone();
    town.house().on_runtime(async move { settle_payment(&shop, no, decision, BY).await }).await
}

async fn a_disputed_amount_is_accepted_or_given_back(engine: Engine) {
    let town = Town::calm(engine).await;
    for no in ["SO-C001", "SO-C002", "SO-C003"] {
        let asked = order(no, &["FAKE00001"]);
        let mut paid = asked.clone();
        paid.total_fen -= 1;
        town.check_out(&paid, Some(5)).await;
        town.house().accept(vec![fulfil(&asked, &town.ground.clock)]).await;
        town.until_finding(no, FindingType::PaymentDisputed, FindingState::Open).await;
    }
    // A customer's cancel is not swallowed by the dispute.
    town.cancel("SO-C003").await;
    town.until("SO-C003", OrderState::Cancelling).await;
    assert_eq!(settle(&town, "SO-C001", Decision::Accept).await.expect("settled"), OrderState::Paid);
    settle(&town, "SO-C002", Decision::Refund).await.expect("settled");
    settle(&town, "SO-C003", Decision::Accept).await.expect("settled");
    assert!(matches!(settle(&town, "SO-C001", Decision::Refund).await, Err(NotDone::NotOpen(_))));

    let view = town.until("SO-C001", OrderState::Completed).await;
    assert_eq!((view.payment.paid_fen, view.refunds.len()), (view.order.total_fen - 1, 0));
    for no in ["SO-C002", "SO-C003"] {
        let view = town.until(no, OrderState::Cancelled).await;
        assert_eq!(view.refunds[0].amount_fen, view.order.total_fen - 1, "{no}");
        let settled = |event: &windlass_jobs::ledger::OrderEvent| event.kind == "payment_settled";
        assert_eq!(view.events.iter().filter(|event| settled(event)).count(), 1);
    }
    let found = town.until_finding("SO-C002", FindingType::PaymentDisputed, FindingState::Resolved).await;
    assert_eq!(found.settled_by.as_deref(), Some(BY.who));
    town.until_ended(3).await;
    town.assert_books_agree().await;
}

async fn a_refund_that_wechat_closed_is_made_again_under_a_new_number(engine: Engine) {
    let town = Town::calm(engine).await;
    let mut asked = order("SO-C101", &["NONE0001"]);
    asked.customer.openid = "openid-REFUNDCLOSED".to_owned();
    town.check_out(&asked, Some(5)).await;
    town.house().accept(vec![fulfil(&asked, &town.ground.clock)]).await;
    town.until_finding("SO-C101", FindingType::RefundClosed, FindingState::Open).await;
    let replace = async |no: &'static str| {
        let shop = town.house().shop.clone();
        town.house().on_runtime(async move { replace_refund(&shop, no, BY).await }).await
    };
    assert_eq!(replace("SO-C101-R1").await.expect("replaced"), "SO-C101-R2");
    assert!(matches!(replace("SO-C101-R1").await, Err(NotDone::NotOpen(_))));
    assert!(matches!(replace("SO-C101-R7").await, Err(NotDone::NoSuch(_))));
    town.until_finding("SO-C101", FindingType::RefundClosed, FindingState::Resolved).await;
    // The sandbox closes every refund of this customer: the second is a case of its own, and nothing is sent unasked.
    let second = |view: &OrderView| view.refunds.len() == 2 && view.refunds[1].needs_person();
    let view = town.until_view("SO-C101", "its second end", second).await;
    assert_eq!(view.refunds[0].replaced_by, "SO-C101-R2");
    assert_eq!(view.order.state, OrderState::Refusing);
    assert_eq!(town.truth().await.1.refunds.len(), 2);
    assert_eq!(town.violations().await, []);
}

async fn an_upload_that_wechat_refused_is_told_again_after_it_was_put_right(engine: Engine) {
    let town = Town::calm(engine).await;
    let mut asked = order("SO-C201", &["FAKE00001"]);
    town.check_out(&asked, Some(5)).await;
    // Another payer than the order says: WeChat refuses the shipment.
    asked.customer.openid = "openid-of-somebody-else".to_owned();
    town.house().accept(vec![fulfil(&asked, &town.ground.clock)]).await;
    town.until_finding("SO-C201", FindingType::UploadRefused, FindingState::Open).await;
    town.write("UPDATE orders SET openid = 'openid-SO-C201'").await;
    let settle = async |outcome| {
        let shop = town.house().shop.clone();
        town.house().on_runtime(async move { settle_upload(&shop, "SO-C201", outcome, BY).await }).await
    };
    settle(UploadOutcome::Again).await.expect("settled");
    let uploaded = |view: &OrderView| view.shipping_upload.as_ref().is_some_and(|up| up.state == "uploaded");
    town.until_view("SO-C201", "its upload", uploaded).await;
    assert!(matches!(settle(UploadOutcome::Again).await, Err(NotDone::NotOpen(_))));
    town.until_finding("SO-C201", FindingType::UploadRefused, FindingState::Resolved).await;
    assert_eq!(town.truth().await.1.payments["SO-C201"].shipped_times, 1);
}

/// The call of each job was lost, and nobody could find out but a person.
async fn an_effect_in_doubt_is_settled_by_hand_and_its_job_goes_on(engine: Engine) {
    let town = silent_town(engine).await;
    town.placed("SO-C301").await;
    town.write(
        "UPDATE effects SET state = 'in_doubt', settled_at = NULL, answer = NULL WHERE kind = 'ylh.create'",
    )
    .await;
    town.write("UPDATE orders SET state = 'checked', touched_at = 0").await;
    town.write("UPDATE supplier_orders SET state = 'sending', touched_at = 0").await;
    let settle = async |outcome| {
        let ledger = town.house().shop.ledger.clone();
        let settle = async move { settle_effect(&ledger, "ylh.create:SO-C301-1", outcome, BY).await };
        town.house().on_runtime(settle).await
    };
    // A job of ours may settle it first by telling YLH again; then there is nothing to be decided.
    let by_hand = settle(EffectOutcome::Done).await;
    assert!(matches!(by_hand, Ok(()) | Err(NotDone::NotOpen(_))), "{by_hand:?}");
    let view = town.until("SO-C301", OrderState::Placed).await;
    assert_eq!(view.supplier_order.expect("there").state.as_str(), "accepted");
    assert_eq!(town.truth().await.1.effects["ylh.create"].len(), 1);

    // A message: told once, and only a person may have it told again.
    town.write("UPDATE effects SET state = 'in_doubt', settled_at = NULL WHERE kind = 'mail.send'").await;
    town.write("UPDATE notifications SET state = 'in_doubt' WHERE channel = 'mail'").await;
    let key = "mail.send:SO-C301:order_paid:paid:mail";
    let ledger = town.house().shop.ledger.clone();
    let never = async move { settle_effect(&ledger, key, EffectOutcome::NeverHappened, BY).await };
    town.house().on_runtime(never).await.expect("settled");
    let sent = |view: &OrderView| {
        view.notifications.iter().any(|told| told.channel == "mail" && told.state == "sent")
    };
    town.until_view("SO-C301", "its mail", sent).await;
}
