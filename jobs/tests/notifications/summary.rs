//! The summary of a day: its figures, and that it is told once.

use windlass_jobs::Settings;
use windlass_jobs::findings::{FindingType, NewFinding};
use windlass_jobs::notifications::{Channel, DailySummary, SendNotification, Template};
use windlass_sandbox::Faults;
use windlass_testing::{Engine, on_every_engine};

use crate::desk::{BOSS, Desk, result, verdict};

on_every_engine!(
    a_summary_has_the_figures_of_its_day_and_no_other,
    a_summary_is_told_once_a_day_and_address_however_often_it_is_asked_for,
    a_day_that_is_not_over_has_no_summary,
    a_carrier_that_cannot_be_asked_is_said_so,
    suppliers_accounts_and_the_newest_comparison_with_the_bank_are_in_it,
);

/// Yesterday (2026-01-04 in Beijing) two orders were placed and paid, one ended, and one refund was made; what is of
/// the days beside it is a minute away.
const YESTERDAY: &str = "
INSERT INTO orders (order_no, state, fingerprint, openid, customer_name, mobile, province, city, area, detail, county_code,
    total_fen, placed_at, expires_at, recorded_at, state_at, version, touched_at) VALUES
    ('SO-1', 'completed', '', 'o', 'n', 'm', 'p', 'c', 'a', 'd', '1', 10000, 0, 0, 1767456000000000, 1767542399000000, 1, 1767600000000000),
    ('SO-2', 'shipped', '', 'o', 'n', 'm', 'p', 'c', 'a', 'd', '1', 20050, 0, 0, 1767542399000000, 1767542399000000, 1, 1767542399000000),
    ('SO-3', 'completed', '', 'o', 'n', 'm', 'p', 'c', 'a', 'd', '1', 30000, 0, 0, 1767455940000000, 1767455940000000, 1, 1767455940000000),
    ('SO-4', 'cancelled', '', 'o', 'n', 'm', 'p', 'c', 'a', 'd', '1', 40000, 0, 0, 1767542400000000, 1767542400000000, 1, 1767542400000000);
INSERT INTO payments (out_trade_no, order_no, state, amount_fen, paid_fen, paid_at, touched_at) VALUES
    ('SO-1', 'SO-1', 'succeeded', 10000, 10000, 1767456000000000, 1767456000000000),
    ('SO-2', 'SO-2', 'succeeded', 20050, 20050, 1767542399999999, 1767542399999999),
    ('SO-3', 'SO-3', 'succeeded', 30000, 30000, 1767455999999999, 1767455999999999),
    ('SO-4', 'SO-4', 'succeeded', 40000, 40000, 1767542400000000, 1767542400000000);
INSERT INTO refunds (refund_no, order_no, seq, amount_fen, reason, state, requested_at, settled_at, touched_at) VALUES
    ('R-1', 'SO-1', 1, 2500, 'r', 'succeeded', 1767456000000000, 1767500000000000, 1767500000000000),
    ('R-4', 'SO-4', 1, 40000, 'r', 'succeeded', 1767500000000000, 1767542400000000, 1767542400000000),
    ('R-2', 'SO-2', 1, 500, 'r', 'accepted', 1767500000000000, NULL, 1767500000000000);
INSERT INTO effects (key, kind, about, state, tells, teller, created_at, doubted_at) VALUES
    ('mail.send:1', 'mail.send', '', 'in_doubt', 1, 't', 0, 0);
INSERT INTO outbox (id, kind, payload, state, ended_at, reason) VALUES
    ('dead-1', 'upload_shipping', '{}', 'dead', 1, '10060004: not shippable');
";

async fn raise(desk: &Desk, key: &str) {
    let mut tx = desk.shop.ledger.begin().await.unwrap();
    let finding = NewFinding {
        kind: FindingType::Long,
        key,
        order_no: None,
        amount_fen: Some(100),
        text: "WeChat has a payment that we do not know.",
        evidence: serde_json::json!({}),
    };
    assert!(tx.raise(&finding).await.unwrap());
    tx.commit().await.unwrap();
}

fn mail(day: &str, to: &str) -> SendNotification {
    SendNotification {
        order_no: String::new(),
        template: Template::DailySummary,
        event: day.to_owned(),
        channel: Channel::Mail,
        recipient: to.to_owned(),
    }
}

async fn stored(desk: &Desk) -> serde_json::Value {
    let (data,): (String,) =
        sqlx::query_as("SELECT data FROM notifications WHERE template = 'daily_summary' LIMIT 1")
            .fetch_one(desk.shop.ledger.reads())
            .await
            .unwrap();
    serde_json::from_str(&data).unwrap()
}

async fn a_summary_has_the_figures_of_its_day_and_no_other(engine: Engine) {
    let desk = Desk::open(engine).await;
    desk.write(YESTERDAY).await;
    desk.a_job_dies("the disk was full").await;
    raise(&desk, "wx-1").await;
    let told = result(desk.run(DailySummary { day: None }).await);
    assert_eq!((&told["day"], &told["told"]), (&"2026-01-04".into(), &1.into()));
    let summary = stored(&desk).await;
    assert_eq!((&summary["orders"]["placed"], &summary["orders"]["open"]), (&2.into(), &1.into()));
    let ended: Vec<_> =
        summary["orders"]["ended"].as_array().unwrap().iter().filter(|one| one["count"] != 0).collect();
    assert_eq!(ended, [&serde_json::json!({ "name": "completed", "count": 1 })]);
    assert_eq!(
        summary["money"],
        serde_json::json!({ "paid": "¥300.50", "paid_count": 2, "refunded": "¥25.00", "refunded_count": 1,
            "net": "¥275.50" })
    );
    assert_eq!(
        (&summary["refunds_open"]["count"], &summary["refunds_open"]["amount"]),
        (&1.into(), &"¥5.00".into())
    );
    assert_eq!(
        (&summary["findings"][0]["name"], &summary["findings"][0]["open"]),
        (&"long".into(), &1.into())
    );
    assert_eq!(summary["findings"][0]["raised"], 0, "it was raised today");
    assert_eq!(summary["dead_jobs"]["total"], 2, "one of the carrier's, one of the ledger's");
    assert_eq!(summary["dead_jobs"]["kinds"][0]["reason"], "the disk was full");
    assert_eq!(summary["effects_in_doubt"], serde_json::json!([{ "name": "mail.send", "count": 1 }]));
    assert_eq!(summary["is_quiet"], false);

    assert_eq!(result(desk.run(mail("2026-01-04", BOSS)).await)["state"], "sent");
    let mails = desk.mails().await;
    assert_eq!((mails.len(), &mails[0]["to"]), (1, &serde_json::json!([BOSS])));
}

async fn a_summary_is_told_once_a_day_and_address_however_often_it_is_asked_for(engine: Engine) {
    let two = |settings: &mut Settings| settings.summary_to.push("other@shop.example".to_owned());
    let desk = Desk::open_with(engine, Faults::None, |_| {}, two).await;
    let (one, other) =
        tokio::join!(desk.run(DailySummary { day: None }), desk.run(DailySummary { day: None }));
    let told = |outcome| result(outcome)["told"].as_u64().unwrap();
    assert_eq!(told(one) + told(other), 2);
    assert_eq!(told(desk.run(DailySummary { day: Some("2026-01-04".to_owned()) }).await), 0);
    for to in [BOSS, "other@shop.example"] {
        assert_eq!(result(desk.run(mail("2026-01-04", to)).await)["state"], "sent");
        assert_eq!(result(desk.run(mail("2026-01-04", to)).await)["skipped"], "nothing is queued");
    }
    assert_eq!(desk.effect("mail.send").await, (2, 0));
}

async fn a_day_that_is_not_over_has_no_summary(engine: Engine) {
    let desk = Desk::open(engine).await;
    for day in ["2026-01-05", "2026-02-01", "yesterday"] {
        let run = desk.run(DailySummary { day: Some(day.to_owned()) }).await;
        assert_eq!(verdict(run), windlass_engine::Verdict::Fail, "{day}");
    }
}

/// Of 2026-01-03 there are two comparisons, of which the newer one holds.
const COMPARED: &str = "
INSERT INTO supplier_balances (sale_group_code, payer_account_code, sale_group_name, balance_fen, asked_at) VALUES
    ('G1', '8800000001', '', 5000000, 1767585600000000);
INSERT INTO reconciliations (id, mchid, day, version, state, trade_bill, trade_sha1, fund_bill, fund_sha1, attempt,
    job_id, started_at) VALUES
    ('1:2026-01-03:v1', '1', '2026-01-03', 1, 'refused', '', '', '', '', 1, 'j', 0),
    ('1:2026-01-03:v2', '1', '2026-01-03', 2, 'done', '', '', '', '', 1, 'j', 0),
    ('1:2026-01-04:v1', '1', '2026-01-04', 1, 'running', '', '', '', '', 1, 'j', 0);
INSERT INTO reconciliation_findings (reconciliation_id, finding_id, attempt, carried) VALUES
    ('1:2026-01-03:v2', 'f1', 1, 0), ('1:2026-01-03:v2', 'f2', 1, 0), ('1:2026-01-03:v1', 'f3', 1, 0);
";

async fn suppliers_accounts_and_the_newest_comparison_with_the_bank_are_in_it(engine: Engine) {
    let desk = Desk::open(engine).await;
    desk.write(COMPARED).await;
    result(desk.run(DailySummary { day: None }).await);
    let summary = stored(&desk).await;
    assert_eq!(
        summary["balances"],
        serde_json::json!([{ "account": "8800000001", "amount": "¥50000.00", "asked": "2026年1月5日 12:00" }])
    );
    assert_eq!(
        summary["reconciliations"],
        serde_json::json!([{ "day": "2026-01-03", "what": "1", "state": "done", "findings": 2 }])
    );
}

async fn a_carrier_that_cannot_be_asked_is_said_so(engine: Engine) {
    let mut desk = Desk::open(engine).await;
    desk.write(YESTERDAY).await;
    desk.shop.notifier.dead_jobs = None;
    result(desk.run(DailySummary { day: None }).await);
    let summary = stored(&desk).await;
    assert_eq!((&summary["dead_jobs"]["whole"], &summary["dead_jobs"]["total"]), (&false.into(), &1.into()));
}
