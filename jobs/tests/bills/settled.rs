//! When bills are asked for, what a day without one means, and when a day is compared.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::{Timestamp, Verdict};
use windlass_jobs::findings::{FindingState, FindingType};
use windlass_jobs::payments::FetchBill;
use windlass_jobs::payments::bill::{BillState, BillType, bills, read_trade};
use windlass_testing::{Engine, on_every_engine};

use crate::bank::{Word, fetch, run, waiting};
use crate::fetched::{DAY, Scene};
use crate::made::{TEN, fund, payment, trade};

on_every_engine! {
    a_morning_sends_for_what_is_wanted_and_the_next_half_hour_for_nothing_more,
    a_day_by_hand_sends_for_both_bills,
    a_bill_that_is_being_made_is_waited_for_until_the_evening,
    a_bill_is_not_asked_for_before_it_can_be_there,
    a_bill_that_never_comes_is_a_persons_affair_after_the_last_day,
    a_day_without_trade_on_either_side_is_no_finding,
    a_day_on_which_we_have_trade_and_the_bank_none_is_a_finding,
    a_day_is_compared_once_when_both_bills_are_there,
    a_day_is_compared_again_when_one_of_its_files_has_changed,
    a_day_whose_money_flow_is_missing_is_compared_without_it,
    files_that_are_too_old_go_and_what_they_came_to_stays,
}

const HOUR: Duration = Duration::from_secs(3_600);

async fn send(scene: &Scene) -> Value {
    run(&scene.shop, FetchBill { day: None, kind: None }).await.unwrap()["wanted"].clone()
}

async fn compared(scene: &Scene) -> Vec<Value> {
    waiting(&scene.ledger, "reconcile_payments").await
}

fn snoozed(error: &windlass_engine::JobError) -> Duration {
    match error.verdict() {
        Verdict::Snooze { after } => after,
        other => panic!("{other:?}: {error:?}"),
    }
}

async fn pay(scene: &Scene, paid_at: Timestamp) {
    let mut tx = scene.ledger.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO payments (out_trade_no, order_no, state, amount_fen, paid_fen, transaction_id, paid_at, \
         touched_at) VALUES ($1, $1, 'succeeded', 500, 500, $2, $3, $3)",
    )
    .bind(format!("SO-{}", paid_at.micros()))
    .bind(format!("4200{}", paid_at.micros()))
    .bind(paid_at.micros())
    .execute(tx.conn())
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

async fn a_morning_sends_for_what_is_wanted_and_the_next_half_hour_for_nothing_more(engine: Engine) {
    let scene = Scene::open(engine).await;
    let days = ["2026-01-05", "2026-01-04", "2026-01-03"];
    assert_eq!(send(&scene).await.as_array().unwrap().len(), 6);
    assert_eq!(waiting(&scene.ledger, "fetch_bill").await.len(), 6);
    send(&scene).await;
    assert_eq!(waiting(&scene.ledger, "fetch_bill").await.len(), 6, "they wait already");
    for day in days {
        scene.bank.says(BillType::Trade, day, Word::File(trade(&[])));
        fetch(&scene.shop, day, BillType::Trade).await.unwrap();
        fetch(&scene.shop, day, BillType::Fund).await.unwrap();
    }
    assert_eq!(send(&scene).await, json!([]));
    // The next morning everything is looked at once more, and the oldest day is left alone.
    scene.place.clock.advance(24 * HOUR);
    let wanted = send(&scene).await.to_string();
    assert!(
        wanted.contains("2026-01-06") && wanted.contains(DAY) && !wanted.contains("2026-01-03"),
        "{wanted}"
    );
}

async fn a_day_by_hand_sends_for_both_bills(engine: Engine) {
    let scene = Scene::open(engine).await;
    run(&scene.shop, FetchBill { day: Some("2025-12-01".to_owned()), kind: None }).await.unwrap();
    let sent = waiting(&scene.ledger, "fetch_bill").await;
    assert_eq!(
        sent,
        [json!({ "day": "2025-12-01", "type": "trade" }), json!({ "day": "2025-12-01", "type": "fund" })]
    );
    let nonsense = run(&scene.shop, FetchBill { day: Some("2026-02-30".to_owned()), kind: None }).await;
    assert_eq!(nonsense.unwrap_err().verdict(), Verdict::Fail);
}

async fn a_bill_that_is_being_made_is_waited_for_until_the_evening(engine: Engine) {
    let scene = Scene::open(engine).await;
    scene.bank.says(BillType::Trade, DAY, Word::Creating);
    let wait = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap_err();
    assert_eq!(snoozed(&wait), HOUR / 2);
    scene.place.clock.advance(HOUR * 15 / 2);
    let left = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert_eq!(left, json!({ "state": "creating", "left_to": "tomorrow" }));
    scene.place.clock.advance(16 * HOUR);
    assert!(send(&scene).await.to_string().contains(DAY));
    scene.bank.says(BillType::Trade, DAY, Word::File(trade(&[payment(2, 500)])));
    scene.place.clock.advance(HOUR);
    assert_eq!(fetch(&scene.shop, DAY, BillType::Trade).await.unwrap()["state"], "ready");
}

async fn a_bill_is_not_asked_for_before_it_can_be_there(engine: Engine) {
    let scene = Scene::open(engine).await;
    for day in ["2026-01-06", "2027-01-01"] {
        let early = fetch(&scene.shop, day, BillType::Trade).await.unwrap_err();
        assert_eq!(early.verdict(), Verdict::Fail, "{day}");
    }
    scene.place.clock.advance(15 * HOUR);
    let early = fetch(&scene.shop, "2026-01-06", BillType::Trade).await.unwrap_err();
    // From 01:05 to 10:00.
    assert_eq!(snoozed(&early), 9 * HOUR - Duration::from_secs(5 * 60));
    assert_eq!(scene.bank.asked(), 0);
}

async fn a_bill_that_never_comes_is_a_persons_affair_after_the_last_day(engine: Engine) {
    let scene = Scene::open(engine).await;
    pay(&scene, TEN).await;
    scene.bank.says(BillType::Trade, DAY, Word::Creating);
    scene.place.clock.advance(8 * HOUR);
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert!(scene.finding(FindingType::NoStatement, BillType::Trade).await.is_none());
    scene.place.clock.advance(48 * HOUR);
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    let case = scene.finding(FindingType::NoStatement, BillType::Trade).await.unwrap();
    assert!(case.text.contains("fetch_bill"), "{}", case.text);
}

async fn a_day_without_trade_on_either_side_is_no_finding(engine: Engine) {
    let scene = Scene::open(engine).await;
    // The last moment before the day, and the first after it.
    pay(&scene, TEN - 10 * HOUR - Duration::from_micros(1)).await;
    pay(&scene, TEN + 14 * HOUR).await;
    for kind in [BillType::Trade, BillType::Fund] {
        let result = fetch(&scene.shop, DAY, kind).await.unwrap();
        assert_eq!(result, json!({ "state": "no_statement", "reason": "" }));
        fetch(&scene.shop, DAY, kind).await.unwrap();
        assert!(scene.finding(FindingType::NoStatement, kind).await.is_none());
    }
    let listed = bills(&scene.ledger, Some(DAY), 10, None).await.unwrap().bills;
    assert_eq!(listed.len(), 2, "said twice, noted once");
    assert!(listed.iter().all(|bill| bill.state == BillState::NoStatement && bill.sha1.is_empty()));
    assert_eq!(compared(&scene).await.len(), 1, "what is missing from other days may be due");
}

async fn a_day_on_which_we_have_trade_and_the_bank_none_is_a_finding(engine: Engine) {
    let scene = Scene::open(engine).await;
    pay(&scene, TEN - 10 * HOUR).await;
    pay(&scene, TEN + 14 * HOUR - Duration::from_micros(1)).await;
    let result = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert_eq!(result["reason"], "the shop has 2 payments and refunds of that day");
    assert!(send(&scene).await.to_string().contains("2026-01-05:trade"), "it is asked for again today");
    let case = scene.finding(FindingType::NoStatement, BillType::Trade).await.unwrap();
    assert!(case.text.contains("2 payments and refunds"), "{}", case.text);
    // The bill comes after all.
    scene.bank.says(BillType::Trade, DAY, Word::File(trade(&[payment(2, 500)])));
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    let case = scene.finding(FindingType::NoStatement, BillType::Trade).await.unwrap();
    assert_eq!(case.state, FindingState::Superseded);
}

async fn a_day_is_compared_once_when_both_bills_are_there(engine: Engine) {
    let scene = Scene::open(engine).await;
    let rows = [payment(2, 500)];
    scene.bank.says(BillType::Trade, DAY, Word::File(trade(&rows)));
    scene.bank.says(BillType::Fund, DAY, Word::File(fund(&rows)));
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert!(compared(&scene).await.is_empty(), "half a day is not compared");
    for _ in 0..2 {
        fetch(&scene.shop, DAY, BillType::Fund).await.unwrap();
        fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
        assert_eq!(compared(&scene).await, [json!({ "day": DAY, "again": false })]);
    }
}

async fn a_day_is_compared_again_when_one_of_its_files_has_changed(engine: Engine) {
    let scene = Scene::open(engine).await;
    let rows = [payment(2, 500)];
    scene.bank.says(BillType::Trade, DAY, Word::File(trade(&rows)));
    scene.bank.says(BillType::Fund, DAY, Word::File(fund(&rows)));
    fetch(&scene.shop, DAY, BillType::Fund).await.unwrap();
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    scene.bank.says(BillType::Trade, DAY, Word::File(trade(&[payment(2, 501)])));
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert_eq!(compared(&scene).await.len(), 2);
}

async fn a_day_whose_money_flow_is_missing_is_compared_without_it(engine: Engine) {
    let scene = Scene::open(engine).await;
    scene.bank.says(BillType::Trade, DAY, Word::File(trade(&[payment(2, 500)])));
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    scene.bank.says(BillType::Fund, DAY, Word::Creating);
    scene.place.clock.advance(8 * HOUR);
    fetch(&scene.shop, DAY, BillType::Fund).await.unwrap();
    assert_eq!(compared(&scene).await.len(), 1, "in the evening");
    scene.bank.says(BillType::Fund, DAY, Word::NoStatement);
    fetch(&scene.shop, DAY, BillType::Fund).await.unwrap();
    assert_eq!(compared(&scene).await.len(), 1);
    assert!(scene.finding(FindingType::NoStatement, BillType::Fund).await.is_some(), "trade without money");
    scene.bank.says(BillType::Fund, DAY, Word::File(fund(&[payment(2, 500)])));
    fetch(&scene.shop, DAY, BillType::Fund).await.unwrap();
    assert_eq!(compared(&scene).await.len(), 2, "with the money flow, once more");
}

async fn files_that_are_too_old_go_and_what_they_came_to_stays(engine: Engine) {
    let scene = Scene::open(engine).await;
    scene.bank.says(BillType::Trade, DAY, Word::File(trade(&[payment(2, 500)])));
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    let kept = u64::from(scene.shop.settings.bill_files_kept_days);
    scene.place.clock.advance(24 * HOUR * u32::try_from(kept).unwrap() - 24 * HOUR);
    let run_once =
        async || run(&scene.shop, FetchBill { day: None, kind: None }).await.unwrap()["expired"].clone();
    assert_eq!(run_once().await, 0);
    scene.place.clock.advance(24 * HOUR);
    assert_eq!([run_once().await, run_once().await], [1, 0]);
    let old = bills(&scene.ledger, Some(DAY), 10, None).await.unwrap().bills;
    assert_eq!(
        (old.len(), old[0].state, old[0].rows, old[0].adds_up),
        (1, BillState::Expired, 1, Some(true))
    );
    assert!(read_trade(&scene.ledger, &old[0].id).await.is_err());
    // WeChat would have to have it still; then it is a new version.
    assert_eq!(fetch(&scene.shop, DAY, BillType::Trade).await.unwrap()["version"], 2);
}
