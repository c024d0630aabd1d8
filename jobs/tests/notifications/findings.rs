//! Findings told: each once to other systems, in one mail an hour to people.

use std::time::Duration;

use serde_json::json;
use windlass_jobs::findings::{FindingType, NewFinding};
use windlass_jobs::notifications::webhooks::{DeliverWebhook, deliveries};
use windlass_jobs::notifications::{Channel, SendNotification, TellFindings, Template};
use windlass_testing::{Engine, on_every_engine};

use crate::desk::{BOSS, Desk, result};

on_every_engine!(
    findings_come_in_one_mail_an_hour_and_each_in_one,
    each_finding_is_told_to_other_systems_at_once_and_once,
);

async fn raise(desk: &Desk, kind: FindingType, key: &str) {
    let mut tx = desk.shop.ledger.begin().await.unwrap();
    let text = format!("Something is wrong with {key}.");
    let finding = NewFinding {
        kind,
        key,
        order_no: Some("SO-1"),
        amount_fen: Some(12_345),
        text: &text,
        evidence: json!({}),
    };
    assert!(tx.raise(&finding).await.unwrap());
    tx.commit().await.unwrap();
}

/// Sends the mails that wait; answers how many they were.
async fn send_all(desk: &Desk) -> usize {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT event FROM notifications WHERE state = 'queued' AND template = 'findings_raised'",
    )
    .fetch_all(desk.shop.ledger.reads())
    .await
    .unwrap();
    for (event,) in &rows {
        let mail = SendNotification {
            order_no: String::new(),
            template: Template::FindingsRaised,
            event: event.clone(),
            channel: Channel::Mail,
            recipient: BOSS.to_owned(),
        };
        assert_eq!(result(desk.run(mail).await)["state"], "sent");
    }
    rows.len()
}

async fn findings_come_in_one_mail_an_hour_and_each_in_one(engine: Engine) {
    let desk = Desk::open(engine).await;
    assert_eq!(result(desk.run(TellFindings {}).await), json!({ "noticed": 0, "mailed": 0 }));
    raise(&desk, FindingType::Long, "wx-1").await;
    raise(&desk, FindingType::RefundAbnormal, "R-1").await;
    raise(&desk, FindingType::Fee, "fee-1").await;
    assert_eq!(result(desk.run(TellFindings {}).await), json!({ "noticed": 3, "mailed": 2 }));
    raise(&desk, FindingType::Short, "wx-2").await;
    assert_eq!(
        result(desk.run(TellFindings {}).await),
        json!({ "noticed": 1, "mailed": 0 }),
        "there was one lately"
    );
    assert_eq!(send_all(&desk).await, 1);
    desk.clock.advance(Duration::from_secs(3_600));
    assert_eq!(result(desk.run(TellFindings {}).await), json!({ "noticed": 0, "mailed": 1 }));
    desk.clock.advance(Duration::from_secs(3_600));
    assert_eq!(result(desk.run(TellFindings {}).await), json!({ "noticed": 0, "mailed": 0 }));
    assert_eq!(send_all(&desk).await, 1);
    assert_eq!(desk.effect("mail.send").await, (2, 0));
    let data: Vec<(String,)> = sqlx::query_as(
        "SELECT data FROM notifications WHERE template = 'findings_raised' ORDER BY queued_at",
    )
    .fetch_all(desk.shop.ledger.reads())
    .await
    .unwrap();
    let first = &data[0].0;
    assert!(first.contains("wx-1") && first.contains("R-1") && !first.contains("fee-1"), "{first}");
    assert!(data[1].0.contains("wx-2") && data[1].0.contains("¥123.45"), "{}", data[1].0);
}

async fn each_finding_is_told_to_other_systems_at_once_and_once(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &["finding.*"]).await;
    desk.endpoint("orders", &["order.*"]).await;
    raise(&desk, FindingType::Long, "wx-1").await;
    raise(&desk, FindingType::Fee, "fee-1").await;
    for _ in 0..2 {
        result(desk.run(TellFindings {}).await);
    }
    let page = deliveries(&desk.shop, &made.id, None, 10, None).await.unwrap();
    assert_eq!(page.deliveries.len(), 2);
    for row in page.deliveries {
        result(desk.run(DeliverWebhook { endpoint: made.id.clone(), message: row.message }).await);
    }
    let came = desk.came("crm").await;
    let mut told: Vec<_> = came["taken"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["body"]["data"]["type"].as_str().unwrap(), one["body"]["data"]["urgent"] == true))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("fee", false), ("long", true)]);
    assert_eq!(desk.came("orders").await["requests"], 0);
}
