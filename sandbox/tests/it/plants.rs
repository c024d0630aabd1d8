//! Each plant, as a reader of the bills meets it.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_sandbox::{Day, Plant, PlantKind, PlantTruth};

use crate::bills::{FUND, File, TRADE, download, fetch, file, link, next_morning, sha1};
use crate::shop::{Shop, json_of};
use crate::wechat_pay::{Asked, REFUNDS, ask, query, refund};

fn day() -> Day {
    "2026-01-05".parse().unwrap()
}

fn plant(kind: PlantKind) -> Plant {
    Plant::new(kind, day())
}

/// Four payments, one refunded in part, one closed unpaid; all callbacks taken, and the bills about to be given out.
async fn a_day(plants: Vec<Plant>) -> Shop {
    let shop = Shop::open_with(|config| config.plants = plants).await;
    for (number, fen) in [("T10001", 1_000), ("T10002", 20_000), ("T10003", 3_000), ("T10004", 40_000)] {
        shop.be_paid(number, fen).await;
    }
    shop.check_out("T10009", 900, None).await;
    assert_eq!(ask(&shop, Asked::post(REFUNDS, &refund("R1", 400))).await.0, 200);
    let close = "/v3/pay/transactions/out-trade-no/T10009/close";
    assert_eq!(ask(&shop, Asked::post(close, &json!({"mchid": "1900000001"}))).await.0, 204);
    shop.clock.advance(Duration::from_secs(600));
    shop.until(|truth| truth.callbacks.taken == 5).await;
    next_morning(&shop);
    shop
}

/// What the only plant of that day went to.
async fn only(shop: &Shop) -> PlantTruth {
    let mut plants = shop.truth().await.plants;
    assert_eq!(plants.len(), 1, "{plants:?}");
    plants.remove(0)
}

async fn bills(shop: &Shop) -> (File, File) {
    let (trade, fund) = (file(shop, TRADE).await, file(shop, FUND).await);
    assert!(trade.sums(), "the summary is not what the rows add up to");
    (trade, fund)
}

async fn state_of(shop: &Shop, path: &str) -> Value {
    ask(shop, Asked { stamp: shop.clock.now().secs(), ..Asked::get(path) }).await.1
}

#[tokio::test]
async fn nothing_planted_is_nothing_told() {
    let shop = a_day(Vec::new()).await;
    let (trade, fund) = bills(&shop).await;
    assert_eq!((trade.lines.len(), fund.lines.len(), fund.breaks()), (5, 10, 0));
    assert_eq!(shop.truth().await.plants, []);
}

#[tokio::test]
async fn a_long_payment_is_in_both_bills_and_under_no_number_of_the_shop() {
    let shop = a_day(vec![plant(PlantKind::Long)]).await;
    let (trade, fund) = bills(&shop).await;
    let planted = only(&shop).await;
    assert_eq!((planted.finding.as_deref(), trade.lines.len(), fund.breaks()), (Some("long"), 6, 0));
    assert!(trade.line("商户订单号", &planted.keys[0]).is_some());
    assert!(fund.line("微信支付业务单号", &planted.keys[1]).is_some());
    let told = state_of(&shop, &query(&planted.keys[0])).await;
    assert_eq!((&told["trade_state"], &told["transaction_id"]), (&json!("SUCCESS"), &json!(planted.keys[1])));
    assert_eq!((shop.desk.taken("/pay").len(), shop.truth().await.payments.paid), (4, 4));
}

#[tokio::test]
async fn a_short_payment_is_in_no_bill() {
    let shop = a_day(vec![plant(PlantKind::Short)]).await;
    let (trade, fund) = bills(&shop).await;
    let planted = only(&shop).await;
    assert_eq!((trade.lines.len(), fund.breaks()), (4, 0));
    assert!(trade.line("商户订单号", &planted.keys[0]).is_none());
    assert!(fund.line("微信支付业务单号", &planted.keys[1]).is_none());
    assert_eq!(state_of(&shop, &query(&planted.keys[0])).await["trade_state"], "SUCCESS");
    next_morning(&shop);
    assert_eq!(link(&shop, &TRADE.replace("05", "06")).await.1["code"], "NO_STATEMENT_EXIST");
}

#[tokio::test]
async fn amounts_and_fees_are_changed_in_one_row() {
    for (kind, column, told) in
        [(PlantKind::Amount, "订单金额", "201.00"), (PlantKind::Fee, "手续费", "1.25000")]
    {
        let shop = a_day(vec![plant(kind).on("T10002")]).await;
        let (trade, fund) = bills(&shop).await;
        let nth = trade.columns.iter().position(|name| name == column).unwrap();
        let line = trade.line("商户订单号", "T10002").unwrap();
        assert_eq!((line[nth].as_str(), fund.breaks()), (told, 0), "{kind:?}");
        assert_eq!(only(&shop).await.keys[0], "T10002");
    }
}

#[tokio::test]
async fn a_second_payment_has_the_number_of_the_first() {
    let shop = a_day(vec![plant(PlantKind::DuplicatePay).on("T10003")]).await;
    let (trade, fund) = bills(&shop).await;
    let numbers = trade.column("商户订单号");
    assert_eq!(numbers.iter().filter(|number| **number == "T10003").count(), 2);
    let second = &only(&shop).await.keys[1];
    assert!(trade.line("微信订单号", second).is_some() && fund.line("微信支付业务单号", second).is_some());
    let told = state_of(&shop, &format!("/v3/pay/transactions/id/{second}?mchid=1900000001")).await;
    assert_eq!((&told["out_trade_no"], &told["trade_state"]), (&json!("T10003"), &json!("SUCCESS")));
    assert_ne!(state_of(&shop, &query("T10003")).await["transaction_id"], json!(second));
}

#[tokio::test]
async fn late_money_comes_for_a_payment_that_was_closed() {
    let shop = a_day(vec![plant(PlantKind::LatePay)]).await;
    let (trade, _) = bills(&shop).await;
    assert_eq!(only(&shop).await.keys[0], "T10009");
    assert!(trade.line("商户订单号", "T10009").is_some());
    assert_eq!(state_of(&shop, &query("T10009")).await["trade_state"], "SUCCESS");
    let truth = shop.truth().await;
    assert_eq!((truth.payments.late_fen, truth.payments.paid, truth.callbacks.owed), (900, 4, 5));
}

#[tokio::test]
async fn refunds_go_missing_and_others_turn_up() {
    let shop = a_day(vec![plant(PlantKind::MissingRefund)]).await;
    let (trade, fund) = bills(&shop).await;
    assert_eq!(
        (trade.line("商户退款单号", "R1"), fund.breaks(), only(&shop).await.amount_fen),
        (None, 0, Some(400))
    );
    assert!(fund.line("业务类型", "退款").is_none());

    let shop = a_day(vec![plant(PlantKind::ExtraRefund)]).await;
    let (trade, fund) = bills(&shop).await;
    let other = only(&shop).await;
    assert!(trade.line("商户退款单号", &other.keys[0]).is_some() && fund.breaks() == 0);
    let told = state_of(&shop, &format!("{REFUNDS}/{}", other.keys[0])).await;
    assert_eq!((&told["status"], &told["refund_id"]), (&json!("SUCCESS"), &json!(other.keys[1])));
    assert_eq!(shop.truth().await.refunds.accepted, 1);
}

#[tokio::test]
async fn a_refund_of_which_the_shop_is_not_told_is_in_the_bills() {
    let shop = Shop::open_with(|config| config.plants = vec![plant(PlantKind::Status)]).await;
    shop.clock.advance(Duration::from_secs(6 * 3_600));
    shop.be_paid("T10001", 1_000).await;
    let short = async || {
        let stamp = shop.clock.now().secs();
        let asked = refund("R1", 400);
        ask(&shop, Asked { stamp, ..Asked::post(REFUNDS, &asked) }).await.1["code"] == "NOT_ENOUGH"
    };
    assert!(short().await && short().await);
    let path = format!("{REFUNDS}/R1");
    shop.clock.advance(Duration::from_secs(600));
    shop.until(|truth| truth.refunds.succeeded == 1).await;
    assert_eq!(state_of(&shop, &path).await["code"], "RESOURCE_NOT_EXISTS");
    next_morning(&shop);
    let (trade, _) = bills(&shop).await;
    assert_eq!((trade.column("商户退款单号"), only(&shop).await.keys[0].as_str()), (vec!["0", "R1"], "R1"));
    assert_eq!(state_of(&shop, &path).await["status"], "SUCCESS");
    assert!(short().await && shop.desk.taken("/refund").is_empty());
    next_morning(&shop);
    shop.clock.advance(Duration::from_secs(3_600));
    assert!(!short().await);
    assert_eq!(shop.effect("wechat.refund").await, (1, 0));
}

#[tokio::test]
async fn the_fund_flow_bill_loses_an_income_or_its_balance() {
    let shop = a_day(vec![plant(PlantKind::FundMismatch).on("T10004")]).await;
    let (trade, fund) = bills(&shop).await;
    let number = &only(&shop).await.keys[1];
    assert!(trade.line("微信订单号", number).is_some() && fund.breaks() == 0);
    let of_it: Vec<_> =
        fund.lines.iter().filter(|line| line[1] == *number).map(|line| line[4].as_str()).collect();
    assert_eq!(of_it, ["扣除交易手续费"]);

    let shop = a_day(vec![plant(PlantKind::BrokenBalance).on("T10003")]).await;
    let (_, fund) = bills(&shop).await;
    assert_eq!((fund.breaks(), fund.lines.len()), (1, 10));
}

#[tokio::test]
async fn rows_that_cannot_be_read_or_stand_there_twice_leave_the_sums_alone() {
    let shop = a_day(vec![plant(PlantKind::BadRow)]).await;
    let mut trade = file(&shop, TRADE).await;
    let bad = trade.lines.pop().unwrap();
    assert!(bad.len() < 27 && bad.contains(&only(&shop).await.keys[0]) && trade.sums());

    let shop = a_day(vec![plant(PlantKind::DuplicateRow)]).await;
    let (trade, fund) = bills(&shop).await;
    let number = &only(&shop).await.keys[1];
    assert_eq!(trade.column("微信订单号").iter().filter(|theirs| *theirs == number).count(), 2);
    assert_eq!(fund.lines.len(), 10);
}

#[tokio::test]
async fn the_last_payment_of_a_day_may_stand_in_the_next_bill() {
    let shop = a_day(vec![plant(PlantKind::CrossMidnight)]).await;
    let (trade, fund) = bills(&shop).await;
    let moved = only(&shop).await;
    assert_eq!((moved.finding, trade.line("商户订单号", &moved.keys[0]), fund.breaks()), (None, None, 0));
    next_morning(&shop);
    let next = file(&shop, &TRADE.replace("05", "06")).await;
    assert_eq!(
        (next.column("商户订单号"), next.column("交易时间")),
        (vec![moved.keys[0].as_str()], vec!["2026-01-06 00:00:00"])
    );
}

#[tokio::test]
async fn a_spoiled_file_is_met_so_often_and_then_the_right_one_comes() {
    let plants = vec![plant(PlantKind::SummaryMismatch), plant(PlantKind::HashMismatch).in_funds().times(2)];
    let shop = a_day(plants).await;
    let wrong = file(&shop, TRADE).await;
    assert!(!wrong.sums());
    let right = file(&shop, TRADE).await;
    assert!(right.sums() && right.bytes != wrong.bytes);
    for matches in [false, false, true, true] {
        let (hash, bytes) = fetch(&shop, FUND).await;
        assert_eq!(hash == sha1(&bytes), matches);
    }
}

#[tokio::test]
async fn a_spoiled_file_stays_so_when_it_is_always() {
    let shop = a_day(vec![plant(PlantKind::HashMismatch).always()]).await;
    for _ in 0..6 {
        let (hash, bytes) = fetch(&shop, TRADE).await;
        assert_ne!(hash, sha1(&bytes));
    }
}

#[tokio::test]
async fn statements_are_being_made_or_missing_for_a_while() {
    let shop = a_day(vec![plant(PlantKind::Creating).times(2), plant(PlantKind::NoStatement).times(1)]).await;
    for told in ["STATEMENT_CREATING", "STATEMENT_CREATING", "NO_STATEMENT_EXIST"] {
        assert_eq!(link(&shop, TRADE).await.1["code"], told);
    }
    assert_eq!(bills(&shop).await.0.lines.len(), 5);
}

#[tokio::test]
async fn downloads_run_out_end_early_or_are_a_page() {
    let shop =
        a_day(vec![plant(PlantKind::Expired), plant(PlantKind::Html), plant(PlantKind::Truncated)]).await;
    let url = link(&shop, TRADE).await.1["download_url"].as_str().unwrap().to_owned();
    assert_eq!(download(&shop, &url).await.status(), 403);
    let page = download(&shop, &url).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().starts_with("<html>"));
    let half = download(&shop, &url).await.bytes().await.unwrap();
    let whole = download(&shop, &url).await.bytes().await.unwrap();
    assert!(half.len() == whole.len() / 2 && whole.starts_with(&half));
}

#[tokio::test]
async fn another_merchants_row_stands_in_the_first_file_only() {
    let shop = a_day(vec![plant(PlantKind::ForeignMerchant)]).await;
    let first = bills(&shop).await.0;
    assert!(first.column("商户号").contains(&"1900000999"));
    assert!(bills(&shop).await.0.column("商户号").iter().all(|mchid| *mchid == "1900000001"));
}

#[tokio::test]
async fn the_columns_of_old_merchants_are_24() {
    let shop = a_day(vec![plant(PlantKind::Legacy)]).await;
    let old = file(&shop, TRADE).await;
    assert_eq!((old.columns.len(), old.lines[0].len(), old.lines.len()), (24, 24, 5));
    assert_eq!(old.summary, ["5", "640.00", "4.00", "0.00", "3.82000"]);
    assert_eq!(old.column("总金额")[0], "10.00");
    assert!(old.column("交易时间")[0].contains('：'));
}

#[tokio::test]
async fn a_changed_file_means_the_same() {
    let shop = a_day(vec![plant(PlantKind::Changed)]).await;
    let (first, second) = (bills(&shop).await.0, file(&shop, TRADE).await);
    assert!(first.bytes != second.bytes && second.sums());
    assert_eq!(first.column("订单金额"), second.column("订单金额"));
}

#[tokio::test]
async fn plants_are_asked_for_over_the_control_port_until_the_bill_is_made() {
    let shop = a_day(Vec::new()).await;
    let url = format!("{}/control/plants", shop.at().control);
    let post = async |body: Value| {
        let answer = shop.http.post(&url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    };
    let short = json!({"kind": "short", "day": "2026-01-05", "on": "T10002"});
    assert_eq!(post(short.clone()).await, (200, json!({"planted": 1})));
    assert_eq!(post(json!([short])).await, (200, json!({"planted": 0})));
    assert_eq!(post(json!({"kind": "long", "day": "2026-01-05", "bill": "fund"})).await.0, 422);
    assert!(bills(&shop).await.0.line("商户订单号", "T10002").is_none());
    assert_eq!(post(json!({"kind": "long", "day": "2026-01-05"})).await.0, 422);
}

#[tokio::test]
async fn what_finds_no_row_waits_for_another_day_and_everything_lives_through_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let plan = vec![plant(PlantKind::LatePay), plant(PlantKind::Amount)];
    let shop = Shop::open_with(|config| {
        (config.journal, config.plants) = (Some(journal.clone()), plan.clone());
    })
    .await;
    shop.be_paid("T10001", 1_000).await;
    shop.until(|truth| truth.callbacks.taken == 1).await;
    next_morning(&shop);
    let first = file(&shop, TRADE).await.bytes;
    assert_eq!(only(&shop).await.kind, PlantKind::Amount);
    let clock = shop.clock.clone();
    shop.sandbox.stop().await;

    let shop = Shop::open_with(|config| {
        (config.clock, config.journal, config.plants) = (clock, Some(journal), plan);
    })
    .await;
    assert_eq!(file(&shop, TRADE).await.bytes, first);
    shop.check_out("T10009", 900, None).await;
    let close = "/v3/pay/transactions/out-trade-no/T10009/close";
    let body = json!({"mchid": "1900000001"});
    let stamp = shop.clock.now().secs();
    assert_eq!(ask(&shop, Asked { stamp, ..Asked::post(close, &body) }).await.0, 204);
    next_morning(&shop);
    shop.clock.advance(Duration::from_secs(3_600));
    file(&shop, &TRADE.replace("05", "06")).await;
    let plants = shop.truth().await.plants;
    assert_eq!((plants[1].kind, plants[1].day.as_str()), (PlantKind::LatePay, "2026-01-06"));
}
