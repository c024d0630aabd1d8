//! A bill on its way from the bank into the ledger, and every way in which that goes wrong.

use std::time::Duration;

use windlass_engine::{Clock, Verdict};
use windlass_jobs::findings::{Finding, FindingState, FindingType, finding, finding_id};
use windlass_jobs::ledger::Ledger;
use windlass_jobs::payments::FetchBill;
use windlass_jobs::payments::bill::{BillRow, BillState, BillType, bills, newest_ready, read_trade};
use windlass_jobs::{Settings, Shop};
use windlass_testing::{Engine, Place, on_every_engine};

use crate::bank::{Bank, Mishap, Word, fetch, run, sha1, waiting};
use crate::made::{payment, refund, trade};
use crate::stored::key;

on_every_engine! {
    a_bill_comes_and_is_kept_with_its_hash_and_totals,
    a_compressed_bill_is_the_same_bill,
    a_bill_that_is_there_is_asked_for_and_not_downloaded_again,
    a_link_that_fails_gets_a_fresh_one,
    a_bill_whose_hash_stays_wrong_is_a_finding_until_it_comes_whole,
    a_bank_that_breaks_off_each_time_is_tried_again_later,
    rows_of_another_merchant_refuse_the_bill,
    a_file_that_is_no_bill_is_refused_although_its_hash_is_right,
    a_bill_over_the_bound_is_refused,
    a_bill_that_does_not_add_up_is_kept_and_said_so,
    wrong_hashes_are_counted_over_attempts_that_failed_otherwise,
}

pub const DAY: &str = "2026-01-05";

/// 2026-01-06 10:05 in Beijing, the morning after the bills' day.
pub fn morning() -> Clock {
    Clock::by_hand(crate::made::TEN + Duration::from_secs(24 * 3_600 + 5 * 60))
}

pub struct Scene {
    pub place: Place,
    pub ledger: Ledger,
    pub bank: Bank,
    pub shop: Shop,
}

impl Scene {
    pub async fn open(engine: Engine) -> Self {
        Self::with(engine, Settings::default()).await
    }

    pub async fn with(engine: Engine, settings: Settings) -> Self {
        let place = Place::with(engine, morning());
        let ledger = place.ledger().await;
        let bank = Bank::open(&place.clock).await;
        let shop = bank.shop(&ledger, settings);
        Self { place, ledger, bank, shop }
    }

    pub async fn finding(&self, kind: FindingType, bill: BillType) -> Option<Finding> {
        finding(&self.ledger, &finding_id(kind, &key(bill).to_string())).await.unwrap()
    }
}

fn file(rows: &[BillRow]) -> Word {
    Word::File(trade(rows))
}

async fn a_bill_comes_and_is_kept_with_its_hash_and_totals(engine: Engine) {
    let scene = Scene::open(engine).await;
    let rows = [payment(2, 500), refund(3, 100)];
    scene.bank.says(BillType::Trade, DAY, file(&rows));
    let result = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert_eq!(
        (&result["state"], &result["version"], &result["rows"]),
        (&"ready".into(), &1.into(), &2.into())
    );
    let stored = newest_ready(&scene.ledger, &key(BillType::Trade)).await.unwrap().unwrap();
    assert_eq!(stored.sha1, sha1(trade(&rows).as_bytes()));
    assert!(stored.totals.adds_up());
    assert!(read_trade(&scene.ledger, &stored.id).await.unwrap().next().await.unwrap().is_some());
    assert!(scene.bank.downloads()[0].header("authorization").starts_with("WECHATPAY2-SHA256-RSA2048 "));
}

async fn a_compressed_bill_is_the_same_bill(engine: Engine) {
    let scene = Scene::with(engine, Settings { bill_gzip: true, ..Settings::default() }).await;
    scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 500)]));
    scene.bank.mishaps([Mishap::Changed, Mishap::Html]);
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    let stored = newest_ready(&scene.ledger, &key(BillType::Trade)).await.unwrap().unwrap();
    assert_eq!(stored.sha1, sha1(trade(&[payment(2, 500)]).as_bytes()));
    assert!(scene.bank.downloads()[0].target.contains(".true."));
}

async fn a_bill_that_is_there_is_asked_for_and_not_downloaded_again(engine: Engine) {
    let scene = Scene::open(engine).await;
    scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 500)]));
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    let again = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert_eq!((&again["unchanged"], scene.bank.asked(), scene.bank.downloads().len()), (&true.into(), 2, 1));
    scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 501)]));
    let changed = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert_eq!(changed["version"], 2);
    assert_eq!(bills(&scene.ledger, Some(DAY), 10, None).await.unwrap().bills.len(), 2);
}

async fn a_link_that_fails_gets_a_fresh_one(engine: Engine) {
    for mishap in [Mishap::Changed, Mishap::Torn, Mishap::Expired(403), Mishap::Expired(404), Mishap::Html] {
        let scene = Scene::open(engine).await;
        scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 500)]));
        scene.bank.mishaps([mishap.clone(), mishap.clone()]);
        let result = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
        assert_eq!((&result["version"], scene.bank.asked()), (&1.into(), 3), "{mishap:?}");
        let (left,): (i64,) = sqlx::query_as("SELECT COUNT(*) AS n FROM bills WHERE state <> 'refused'")
            .fetch_one(scene.ledger.reads())
            .await
            .unwrap();
        assert_eq!(left, 1, "{mishap:?}");
    }
}

async fn a_bill_whose_hash_stays_wrong_is_a_finding_until_it_comes_whole(engine: Engine) {
    let scene = Scene::open(engine).await;
    scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 500)]));
    scene.bank.mishaps(vec![Mishap::Changed; 3]);
    let result = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert_eq!((&result["state"], scene.bank.downloads().len()), (&"refused".into(), 3));
    let case = scene.finding(FindingType::HashMismatch, BillType::Trade).await.unwrap();
    assert_eq!(case.state, FindingState::Open);
    assert!(case.text.contains("SHA1") && case.text.contains(DAY), "{}", case.text);
    let listed = bills(&scene.ledger, None, 10, None).await.unwrap().bills;
    assert_eq!((listed.len(), listed[0].state, listed[0].adds_up), (1, BillState::Refused, None));
    assert!(waiting(&scene.ledger, "reconcile_payments").await.is_empty());
    // Half an hour later it is as it should be.
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    let case = scene.finding(FindingType::HashMismatch, BillType::Trade).await.unwrap();
    assert_eq!(case.state, FindingState::Superseded);
    assert!(newest_ready(&scene.ledger, &key(BillType::Trade)).await.unwrap().is_some());
}

async fn a_bank_that_breaks_off_each_time_is_tried_again_later(engine: Engine) {
    for mishap in [Mishap::Torn, Mishap::Expired(403)] {
        let scene = Scene::open(engine).await;
        scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 500)]));
        scene.bank.mishaps(vec![mishap; 3]);
        let error = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap_err();
        assert!(matches!(error.verdict(), Verdict::Retry { .. }), "{error:?}");
        assert!(scene.finding(FindingType::HashMismatch, BillType::Trade).await.is_none());
        assert!(bills(&scene.ledger, None, 10, None).await.unwrap().bills.is_empty());
        fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    }
}

async fn rows_of_another_merchant_refuse_the_bill(engine: Engine) {
    let scene = Scene::open(engine).await;
    let foreign = BillRow { mchid: "1900000002".to_owned(), ..payment(3, 700) };
    scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 500), foreign]));
    let result = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert_eq!(result["state"], "refused");
    let case = scene.finding(FindingType::ForeignMerchant, BillType::Trade).await.unwrap();
    assert!(case.text.contains("line 3") && case.text.contains("1900000002"), "{}", case.text);
    assert_eq!(newest_ready(&scene.ledger, &key(BillType::Trade)).await.unwrap(), None);
    let (pieces,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) AS n FROM bill_files").fetch_one(scene.ledger.reads()).await.unwrap();
    assert_eq!(pieces, 0, "what is another's is not kept");
}

async fn a_file_that_is_no_bill_is_refused_although_its_hash_is_right(engine: Engine) {
    let scene = Scene::open(engine).await;
    for text in ["<html><body>maintenance</body></html>", "", "交易时间,商户号\n"] {
        scene.bank.says(BillType::Trade, DAY, Word::File(text.to_owned()));
        let result = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
        assert_eq!(result["state"], "refused", "{text}");
    }
    let case = scene.finding(FindingType::BadRow, BillType::Trade).await.unwrap();
    assert!(case.text.contains("is no trade bill"), "{}", case.text);
    assert_eq!(bills(&scene.ledger, None, 10, None).await.unwrap().bills.len(), 3);
}

async fn a_bill_over_the_bound_is_refused(engine: Engine) {
    let scene = Scene::with(engine, Settings { bill_bytes_max: 500, ..Settings::default() }).await;
    scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 500), payment(3, 500)]));
    let result = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert!(result["reason"].as_str().unwrap().contains("more than 500 bytes"), "{result}");
}

async fn a_bill_that_does_not_add_up_is_kept_and_said_so(engine: Engine) {
    let scene = Scene::open(engine).await;
    let text = trade(&[payment(2, 500)]).replace("\n`1,`5.00", "\n`1,`5.01");
    scene.bank.says(BillType::Trade, DAY, Word::File(text));
    let result = fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    assert!(result["differences"][0].as_str().unwrap().contains("应结订单总金额"), "{result}");
    let stored = newest_ready(&scene.ledger, &key(BillType::Trade)).await.unwrap().unwrap();
    assert!(!stored.totals.adds_up());
    let case = scene.finding(FindingType::SummaryMismatch, BillType::Trade).await.unwrap();
    assert!(case.text.contains("应结订单总金额") && case.text.contains(DAY), "{}", case.text);
    // It is looked after again until the bank has put it right.
    let wanted = run(&scene.shop, FetchBill { day: None, kind: Some(BillType::Trade) }).await.unwrap();
    assert!(wanted["wanted"].to_string().contains(DAY), "{wanted}");
    scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 500)]));
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    let case = scene.finding(FindingType::SummaryMismatch, BillType::Trade).await.unwrap();
    assert_eq!(case.state, FindingState::Superseded);
}

async fn wrong_hashes_are_counted_over_attempts_that_failed_otherwise(engine: Engine) {
    let scene = Scene::open(engine).await;
    scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 500)]));
    let (wrong, torn) = (Mishap::Changed, Mishap::Torn);
    scene.bank.mishaps([wrong.clone(), torn.clone(), torn.clone(), wrong.clone(), torn.clone(), torn, wrong]);
    for _ in 0..2 {
        assert!(matches!(
            fetch(&scene.shop, DAY, BillType::Trade).await.unwrap_err().verdict(),
            Verdict::Retry { .. }
        ));
        assert!(scene.finding(FindingType::HashMismatch, BillType::Trade).await.is_none());
    }
    assert_eq!(fetch(&scene.shop, DAY, BillType::Trade).await.unwrap()["state"], "refused");
    assert!(scene.finding(FindingType::HashMismatch, BillType::Trade).await.is_some());
    fetch(&scene.shop, DAY, BillType::Trade).await.unwrap();
    // A right one in between begins the count anew.
    scene.bank.says(BillType::Trade, DAY, file(&[payment(2, 501)]));
    scene.bank.mishaps([Mishap::Changed, Mishap::Changed]);
    assert_eq!(fetch(&scene.shop, DAY, BillType::Trade).await.unwrap()["version"], 2);
}
