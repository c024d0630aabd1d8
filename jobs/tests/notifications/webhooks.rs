//! Deliveries: taken, not taken, given up, asked for again.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::Verdict;
use windlass_jobs::effect::effects_in_doubt;
use windlass_jobs::findings::{FindingFilter, FindingType, findings};
use windlass_jobs::notifications::webhooks::{
    DeliverWebhook, Delivery, DeliveryState, EndpointState, Which, deliveries, disable, enable, endpoint,
    redeliver, rotate, send_test, tries,
};
use windlass_sandbox::Faults;
use windlass_testing::wait::until;
use windlass_testing::{Engine, on_every_engine};

use crate::desk::{Desk, result, verdict};

on_every_engine!(
    a_message_is_signed_taken_and_logged,
    what_is_not_taken_is_tried_again_under_the_same_id,
    a_message_is_given_up_after_its_last_try_and_can_be_asked_for_again,
    an_endpoint_that_is_gone_is_told_nothing_more,
    redirects_are_not_followed,
    a_receiver_that_hangs_is_in_doubt_and_told_again,
    an_endpoint_that_hangs_leaves_room_for_the_others,
    an_endpoint_that_goes_on_failing_is_left_in_peace,
    an_endpoint_that_takes_nothing_for_days_is_disabled,
    while_a_secret_changes_both_are_good,
    in_a_storm_every_message_arrives_and_says_the_same,
);

/// A message for the endpoint, and the job that delivers it.
async fn message(desk: &Desk, endpoint: &str) -> DeliverWebhook {
    let message = send_test(&desk.shop, endpoint, "a test").await.unwrap();
    DeliverWebhook { endpoint: endpoint.to_owned(), message }
}

async fn log(desk: &Desk, endpoint: &str) -> Vec<Delivery> {
    deliveries(&desk.shop, endpoint, None, 200, None).await.unwrap().deliveries
}

fn retry_after(verdict: Verdict) -> Duration {
    match verdict {
        Verdict::Retry { after: Some(after) } => after,
        other => panic!("{other:?}"),
    }
}

fn is_about(wait: Duration, seconds: u64) -> bool {
    (seconds as f64..=seconds as f64 * 1.11).contains(&wait.as_secs_f64())
}

async fn a_message_is_signed_taken_and_logged(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    let job = message(&desk, &made.id).await;
    assert_eq!(result(desk.run(job.clone()).await), json!({ "status": 204 }));
    assert_eq!(result(desk.run(job.clone()).await)["skipped"], "nobody waits for it any more");

    let came = desk.came("crm").await;
    let [taken] = came["taken"].as_array().unwrap().as_slice() else { panic!("{came}") };
    assert_eq!((&taken["id"], &taken["body"]["type"]), (&json!(job.message), &json!("webhook.test")));
    assert_eq!(taken["body"]["timestamp"], "2026-01-05T04:00:00.000Z");
    assert_eq!(came["refused"], json!([]));
    let log = log(&desk, &made.id).await;
    assert_eq!(
        (log.len(), log[0].state, log[0].status, log[0].tries),
        (1, DeliveryState::Delivered, Some(204), 1)
    );
    assert_eq!(tries(&desk.shop, &made.id, &job.message).await.unwrap().len(), 1);
    assert_eq!(desk.effect("webhook.post").await, (1, 0));
    assert!(endpoint(&desk.shop, &made.id).await.unwrap().delivered_at.is_some());
}

async fn what_is_not_taken_is_tried_again_under_the_same_id(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    desk.tell("crm", json!({ "status": 500, "times": 2 })).await;
    let job = message(&desk, &made.id).await;
    for wait in [5, 300] {
        let after = retry_after(verdict(desk.run(job.clone()).await));
        assert!(is_about(after, wait), "{after:?}");
        let [open] = log(&desk, &made.id).await.try_into().ok().unwrap();
        assert_eq!((open.state, open.status), (DeliveryState::Queued, Some(500)));
        assert!(open.next_at.unwrap() >= desk.clock.now().micros() + (wait * 1_000_000) as i64);
        desk.clock.advance(after);
    }
    assert_eq!(effects_in_doubt(&desk.shop.ledger).await.unwrap(), 0, "an answer is no doubt");
    result(desk.run(job.clone()).await);
    let tried = tries(&desk.shop, &made.id, &job.message).await.unwrap();
    assert_eq!(tried.iter().map(|one| one.status).collect::<Vec<_>>(), [Some(500), Some(500), Some(204)]);
    assert_eq!(desk.came("crm").await["taken"][0]["id"], json!(job.message));
    assert_eq!(endpoint(&desk.shop, &made.id).await.unwrap().failures, 0);
}

async fn a_message_is_given_up_after_its_last_try_and_can_be_asked_for_again(engine: Engine) {
    let desk =
        Desk::open_with(engine, Faults::None, |_| {}, |settings| settings.webhook_retries_s = vec![5]).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    desk.tell("crm", json!({ "status": 503 })).await;
    let job = message(&desk, &made.id).await;
    retry_after(verdict(desk.run(job.clone()).await));
    assert!(result(desk.run(job.clone()).await)["failed"].is_string());
    assert_eq!(log(&desk, &made.id).await[0].state, DeliveryState::Failed);

    desk.tell("crm", json!({})).await;
    let since = Which::Since(windlass_testing::NOON);
    assert_eq!(redeliver(&desk.shop, &made.id, &since, "a test").await.unwrap(), 1);
    assert_eq!(redeliver(&desk.shop, &made.id, &since, "a test").await.unwrap(), 0, "it waits already");
    result(desk.run(job.clone()).await);
    let again = Which::Message(job.message.clone());
    assert_eq!(redeliver(&desk.shop, &made.id, &again, "a test").await.unwrap(), 1, "also what was taken");
    result(desk.run(job.clone()).await);
    let came = desk.came("crm").await;
    assert_eq!(came["taken"].as_array().unwrap().len(), 2);
    assert_eq!(desk.effect("webhook.post").await, (1, 0), "the id and what it says are the same");
    let [row] = log(&desk, &made.id).await.try_into().ok().unwrap();
    assert_eq!((row.state, row.round, row.tries), (DeliveryState::Delivered, 2, 1));
}

async fn an_endpoint_that_is_gone_is_told_nothing_more(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    desk.tell("crm", json!({ "status": 410 })).await;
    let (first, second) = (message(&desk, &made.id).await, message(&desk, &made.id).await);
    assert!(result(desk.run(first).await)["gone"].is_string());
    assert!(result(desk.run(second).await)["skipped"].is_string());
    let now = endpoint(&desk.shop, &made.id).await.unwrap();
    assert_eq!((now.state, now.reason.as_str()), (EndpointState::Disabled, "it answered 410 Gone"));
    let mut states: Vec<_> = log(&desk, &made.id).await.iter().map(|row| row.state.as_str()).collect();
    states.sort_unstable();
    assert_eq!(states, ["dropped", "failed"]);
    assert_eq!(desk.came("crm").await["requests"], 1);
    let filter = FindingFilter { kind: Some(FindingType::WebhookDisabled), ..FindingFilter::default() };
    let found = findings(&desk.shop.ledger, &filter, 10, None).await.unwrap().findings;
    assert!(found.len() == 1 && found[0].text.contains(&made.url), "{found:?}");

    assert!(send_test(&desk.shop, &made.id, "a test").await.is_err());
    desk.tell("crm", json!({})).await;
    enable(&desk.shop, &made.id, "a test").await.unwrap();
    let since = Which::Since(windlass_testing::NOON);
    assert_eq!(redeliver(&desk.shop, &made.id, &since, "a test").await.unwrap(), 2, "what it missed");
}

async fn redirects_are_not_followed(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    desk.endpoint("other", &["order.paid"]).await;
    let there = format!("{}/webhooks/other", desk.sandbox.addresses().control);
    desk.tell("crm", json!({ "status": 307, "location": there })).await;
    retry_after(verdict(desk.run(message(&desk, &made.id).await).await));
    assert_eq!(desk.came("other").await["requests"], 0);
    let note = log(&desk, &made.id).await[0].note.clone();
    assert!(note.contains("redirects are not followed"), "{note}");
}

async fn a_receiver_that_hangs_is_in_doubt_and_told_again(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    desk.tell("crm", json!({ "delay_ms": 60_000 })).await;
    let job = message(&desk, &made.id).await;
    retry_after(verdict(desk.run(job.clone()).await));
    assert_eq!(effects_in_doubt(&desk.shop.ledger).await.unwrap(), 1, "nobody knows what became of it");
    assert_eq!(log(&desk, &made.id).await[0].status, None);
    desk.tell("crm", json!({})).await;
    result(desk.run(job).await);
    assert_eq!(effects_in_doubt(&desk.shop.ledger).await.unwrap(), 0);
}

async fn an_endpoint_that_hangs_leaves_room_for_the_others(engine: Engine) {
    let desk = Desk::open_with(engine, Faults::None, |_| {}, |settings| settings.webhook_at_once = 2).await;
    let (slow, _) = desk.endpoint("slow", &[]).await;
    let (quick, _) = desk.endpoint("quick", &[]).await;
    desk.tell("slow", json!({ "delay_ms": 60_000 })).await;
    let (one, two) = (message(&desk, &slow.id).await, message(&desk, &slow.id).await);
    let both = async { tokio::join!(desk.run(one), desk.run(two)) };
    let meanwhile = async {
        until("both are on their way", async || (desk.came("slow").await["at_once_max"] == 2).then_some(()))
            .await;
        let third = verdict(desk.run(message(&desk, &slow.id).await).await);
        assert!(matches!(third, Verdict::Snooze { .. }), "{third:?}");
        result(desk.run(message(&desk, &quick.id).await).await);
    };
    let ((one, two), ()) = tokio::join!(both, meanwhile);
    retry_after(verdict(one));
    retry_after(verdict(two));
    assert_eq!(desk.came("slow").await["requests"], 2, "the third was not sent");
}

async fn an_endpoint_that_goes_on_failing_is_left_in_peace(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    desk.tell("crm", json!({ "status": 500 })).await;
    for _ in 0..5 {
        retry_after(verdict(desk.run(message(&desk, &made.id).await).await));
    }
    let waiting = message(&desk, &made.id).await;
    let Verdict::Snooze { after } = verdict(desk.run(waiting.clone()).await) else {
        panic!("it is not left in peace")
    };
    assert!(is_about(after, 30), "{after:?}");
    assert_eq!(desk.came("crm").await["requests"], 5);
    assert_eq!(log(&desk, &made.id).await.iter().filter(|row| row.tries == 0).count(), 1, "no try was used");

    desk.tell("crm", json!({})).await;
    desk.clock.advance(after);
    result(desk.run(waiting).await);
    assert_eq!(endpoint(&desk.shop, &made.id).await.unwrap().rests_until_at, None);
}

async fn an_endpoint_that_takes_nothing_for_days_is_disabled(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    desk.tell("crm", json!({ "status": 500 })).await;
    retry_after(verdict(desk.run(message(&desk, &made.id).await).await));
    desk.clock.advance(Duration::from_secs(5 * 24 * 3_600));
    let last = message(&desk, &made.id).await;
    let _ = desk.run(last.clone()).await;
    let now = endpoint(&desk.shop, &made.id).await.unwrap();
    assert_eq!(now.state, EndpointState::Disabled);
    assert!(now.reason.contains("120 hours"), "{}", now.reason);
    assert!(result(desk.run(last).await)["skipped"].is_string());
}

async fn while_a_secret_changes_both_are_good(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, old) = desk.endpoint("crm", &[]).await;
    let (_, new) = rotate(&desk.shop, &made.id, "a test").await.unwrap();
    assert_ne!(old.expose(), new.expose());
    // The receiver has only the old one yet, and then only the new one.
    result(desk.run(message(&desk, &made.id).await).await);
    desk.tell("crm", json!({ "secrets": [new.expose()] })).await;
    result(desk.run(message(&desk, &made.id).await).await);
    let signatures = |came: &Value| -> Vec<u64> {
        came["taken"].as_array().unwrap().iter().map(|one| one["signatures"].as_u64().unwrap()).collect()
    };
    assert_eq!(signatures(&desk.came("crm").await), [2, 2]);

    desk.clock.advance(Duration::from_secs(desk.shop.settings.webhook_secret_overlap_s));
    result(desk.run(message(&desk, &made.id).await).await);
    assert_eq!(signatures(&desk.came("crm").await), [2, 2, 1]);
    desk.tell("crm", json!({ "secrets": [old.expose()] })).await;
    retry_after(verdict(desk.run(message(&desk, &made.id).await).await));
    assert_eq!(desk.came("crm").await["refused"][0]["why"], "no signature is ours");
}

async fn in_a_storm_every_message_arrives_and_says_the_same(engine: Engine) {
    let quick = |settings: &mut windlass_jobs::Settings| settings.webhook_retries_s = vec![1; 20];
    let short = |config: &mut windlass_sandbox::Config| config.no_answer = Duration::from_millis(20);
    let desk = Desk::open_with(engine, Faults::Storm, short, quick).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    for _ in 0..20 {
        let job = message(&desk, &made.id).await;
        while let Err(error) = desk.run(job.clone()).await {
            match error.verdict() {
                Verdict::Retry { after: Some(after) } | Verdict::Snooze { after } => {
                    desk.clock.advance(after)
                }
                other => panic!("{other:?}: {:#}", error.cause()),
            }
        }
    }
    assert!(log(&desk, &made.id).await.iter().all(|row| row.state == DeliveryState::Delivered));
    assert_eq!(desk.effect("webhook.post").await, (20, 0));
    assert_eq!(effects_in_doubt(&desk.shop.ledger).await.unwrap(), 0);
    disable(&desk.shop, &made.id, "a test", "the test is over").await.unwrap();
}
