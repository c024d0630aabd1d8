//! What is accepted, and that it is accepted once.

use std::time::Duration;

use futures_util::future::join_all;
use insta::assert_json_snapshot;
use serde_json::json;
use windlass::front_door::Limits;
use windlass_engine::gate::GateRules;
use windlass_engine::store::End;
use windlass_engine::{JobId, State};
use windlass_jobs::outbox::{Relay, RelaySettings};
use windlass_testing::NOON;

use crate::support::{TestDoor, normal, open_ledger, order, parcel};

#[tokio::test]
async fn an_accepted_job_is_stored_and_can_be_asked_for() {
    let door = TestDoor::open().await;
    let body = json!({
        "kind": "weigh_parcel", "payload": {"parcel": "P-1", "grams": 500}, "queue": "attic",
        "priority": "high", "delay_seconds": 90, "max_attempts": 4, "unique_key": "p1",
        "deadline": "2026-01-05T13:00:00+08:00", "tags": ["order:1001"],
    });
    let answer = door.enqueue(&body).await;
    assert_eq!(answer.status, 202);
    assert_json_snapshot!("accepted", normal(answer.json()));
    let job = door.get(answer.header("location").unwrap()).await.json();
    assert_eq!(job["id"], answer.json()["id"]);
    assert_eq!(job["run_at"], (NOON + Duration::from_secs(90)).to_rfc3339());
    assert_eq!(job["deadline"], "2026-01-05T05:00:00.000Z");
    assert_json_snapshot!("a_scheduled_job", normal(job));
}

#[tokio::test]
async fn a_job_gets_what_its_kind_says_where_the_request_says_nothing() {
    let door = TestDoor::open().await;
    let id = door.accepted(&json!({"kind": "count_shelf", "payload": {"shelf": 7}})).await;
    let job = door.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!((&job["queue"], &job["max_attempts"]), (&json!("shelves"), &json!(3)));
    assert_eq!((&job["state"], &job["unique_key"]), (&json!("ready"), &json!("shelf-7")));
}

#[tokio::test]
async fn a_due_time_just_past_means_now() {
    let door = TestDoor::open().await;
    let mut body = parcel(1);
    body["run_at"] = json!((NOON - Duration::from_secs(299)).to_rfc3339());
    let answer = door.enqueue(&body).await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("ready")));
}

#[tokio::test]
async fn an_id_with_a_slash_is_found_where_the_answer_says() {
    let door = TestDoor::open().await;
    let mut body = parcel(1);
    body["id"] = json!("shop/1001:weigh");
    let answer = door.enqueue(&body).await;
    assert_eq!(answer.header("location"), Some("/v1/jobs/shop%2F1001:weigh"));
    assert_eq!(door.get(answer.header("location").unwrap()).await.json()["id"], "shop/1001:weigh");
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_answer_and_one_job() {
    let door = TestDoor::open().await;
    let first = door.keyed("k-1", &parcel(1)).await;
    let respelled =
        json!({"payload": {"grams": 500, "parcel": "P-1"}, "kind": "weigh_parcel", "queue": null});
    let job = door.take("parcels").await;
    door.end("parcels", &job, End::Completed { result: None, follow_ups: vec![] }).await;
    let second = door.keyed("k-1", &respelled).await;
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.json(), second.json());
    assert_eq!(
        (first.header("idempotent-replayed"), second.header("idempotent-replayed")),
        (None, Some("true"))
    );
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!(door.jobs_stored().await, 1);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_conflict() {
    let door = TestDoor::open().await;
    door.keyed("k-1", &parcel(1)).await;
    let other = door.keyed("k-1", &parcel(2)).await;
    assert_eq!((other.status, other.problem().as_str()), (409, "other-body"));
    assert_eq!(door.jobs_stored().await, 1);
}

#[tokio::test]
async fn a_repeat_is_answered_although_its_time_has_passed() {
    let door = TestDoor::open().await;
    let mut body = parcel(1);
    body["run_at"] = json!((NOON + Duration::from_secs(60)).to_rfc3339());
    body["deadline"] = json!((NOON + Duration::from_secs(120)).to_rfc3339());
    let first = door.keyed("k-1", &body).await;
    door.clock.advance(Duration::from_secs(3_600));
    let second = door.keyed("k-1", &body).await;
    assert_eq!((second.status, second.json()), (202, first.json()));
    assert_eq!(second.json()["state"], "scheduled");
    let late = door.keyed("k-2", &body).await;
    assert_eq!((late.status, late.problem().as_str()), (422, "invalid-request"));
}

#[tokio::test]
async fn fifty_posts_at_once_under_one_key_make_one_job() {
    for body in [parcel(1), order("1001")] {
        let door = TestDoor::open().await;
        let answers = join_all((0..50).map(|_| door.keyed("same", &body))).await;
        let ids: std::collections::HashSet<_> =
            answers.iter().map(|answer| answer.json()["id"].to_string()).collect();
        assert_eq!(ids.len(), 1);
        assert!(answers.iter().all(|answer| answer.status == 202));
        let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_some()).count();
        assert_eq!(replayed, 49);
        let in_ledger = door.ledger.outbox_counts().await.unwrap().waiting as u64;
        assert_eq!(door.jobs_stored().await + in_ledger, 1);
    }
}

#[tokio::test]
async fn a_chosen_id_names_one_request() {
    let door = TestDoor::open().await;
    let mut body = parcel(1);
    body["id"] = json!("weigh-1");
    assert_eq!(door.enqueue(&body).await.status, 202);
    door.take("parcels").await;
    let again = door.enqueue(&body).await;
    assert_eq!((again.status, &again.json()["existing"]), (200, &json!("same_id")));
    assert_eq!(again.json()["state"], "running");
    body["priority"] = json!("low");
    assert_eq!(door.enqueue(&body).await.problem(), "other-body");
}

#[tokio::test]
async fn a_fresh_id_is_nobody_elses_to_choose() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    let mut body = parcel(1);
    body["id"] = json!(id);
    assert_eq!(door.enqueue(&body).await.problem(), "other-body");
}

#[tokio::test]
async fn a_unique_job_that_is_there_is_answered_with_until_it_is_over() {
    let door = TestDoor::open().await;
    let body = json!({"kind": "count_shelf", "payload": {"shelf": 7}});
    let first = door.accepted(&body).await;
    let second = door.enqueue(&body).await;
    assert_eq!((second.status, second.json()["id"].as_str()), (200, Some(first.as_str())));
    assert_json_snapshot!("existing_by_unique_key", normal(second.json()));
    let job = door.take("shelves").await;
    door.end("shelves", &job, End::Completed { result: None, follow_ups: vec![] }).await;
    assert_ne!(door.accepted(&body).await, first);
}

#[tokio::test]
async fn an_order_is_safe_in_the_ledger_before_the_carrier_has_it() {
    let door = TestDoor::open().await;
    let id = door.accepted(&order("1001")).await;
    assert_eq!(door.jobs_stored().await, 0);
    let job = door.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!(
        (&job["state"], &job["held_by"], &job["priority"]),
        (&json!("ready"), &json!("ledger"), &json!("high"))
    );
    let why = door.get(&format!("/v1/jobs/{id}/why")).await.json();
    assert!(why["why"].as_str().unwrap().contains("safe in the ledger"), "{why}");

    let relay = Relay::new(door.ledger.clone(), door.store.clone(), RelaySettings::default());
    relay.hand_over_all().await.unwrap();
    let job = door.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!((&job["state"], &job["held_by"]), (&json!("ready"), &json!("carrier")));
}

#[tokio::test]
async fn an_order_that_is_over_is_still_the_same_order() {
    let door = TestDoor::open().await;
    let first = door.keyed("order-1001", &order("1001")).await;
    let relay = Relay::new(door.ledger.clone(), door.store.clone(), RelaySettings::default());
    relay.hand_over_all().await.unwrap();
    let job = door.take("orders").await;
    door.end("orders", &job, End::Completed { result: None, follow_ups: vec![] }).await;
    door.ledger.finished(vec![job.id.clone()]).await.unwrap();
    let again = door.keyed("order-1001", &order("1001")).await;
    assert_eq!((again.status, again.json()), (202, first.json()));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(door.keyed("order-1001", &order("1002")).await.problem(), "other-body");
    assert_eq!(door.ledger.outbox_counts().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn an_order_made_again_from_dead_is_the_ledgers_again() {
    let door = TestDoor::open().await;
    let id = door.accepted(&order("1001")).await;
    let relay = Relay::new(door.ledger.clone(), door.store.clone(), RelaySettings::default());
    relay.hand_over_all().await.unwrap();
    let cancelled = door.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json()["state"], "cancelled");
    let id = JobId::parse(id).unwrap();
    door.ledger.finished(vec![id.clone()]).await.unwrap();
    let retried = door.post(&format!("/v1/jobs/{id}/retry"), &json!({})).await;
    assert_eq!((retried.status, &retried.json()["state"]), (200, &json!("ready")));
    assert!(door.ledger.outbox_job(&id).await.unwrap().is_some());
    relay.hand_over_all().await.unwrap();
    assert_eq!(door.store.states(vec![id]).await.unwrap(), [Some(State::Ready)]);
}

#[tokio::test]
async fn a_full_backlog_says_when_to_come_again() {
    let door = TestDoor::open().await;
    let rules = GateRules { backlog_max: Some(1), ..GateRules::default() };
    door.store.set_gate("parcels", rules).await.unwrap();
    door.accepted(&parcel(1)).await;
    let full = door.enqueue(&parcel(2)).await;
    assert_eq!((full.status, full.problem().as_str()), (429, "backlog-full"));
    assert_eq!(full.header("retry-after"), Some("5"));
    assert_eq!(door.jobs_stored().await, 1);
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_over_a_ledger_that_was_away() {
    let door = TestDoor::open().await;
    // Another process holds the ledger's write lock for longer than the door waits.
    let other = open_ledger(door.folder.path(), &door.clock).await;
    let held = other.begin().await.unwrap();
    let away = door.keyed("order-1001", &order("1001")).await;
    assert_eq!(away.status, 503);
    assert!(away.header("retry-after").is_some());
    drop(held);
    let again = door.keyed("order-1001", &order("1001")).await;
    assert_eq!(again.status, 202);
    assert_eq!(door.ledger.outbox_counts().await.unwrap().waiting, 1);
}

#[tokio::test]
async fn the_trace_of_the_caller_travels_with_the_job() {
    let door = TestDoor::open().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (sent, kept) in [(trace, Some(trace)), ("00-nonsense", None)] {
        let request =
            door.request(reqwest::Method::POST, "/v1/jobs").header("traceparent", sent).json(&parcel(1));
        let answer = crate::support::Answer::of(request).await;
        let id = JobId::parse(answer.json()["id"].as_str().unwrap()).unwrap();
        let envelope = door.store.get(&id).await.unwrap().unwrap().envelope;
        assert_eq!(envelope.traceparent.as_deref(), kept);
        assert_eq!(envelope.enqueued_by.as_deref(), Some("api"));
    }
}

#[tokio::test]
async fn a_carrier_with_a_full_disk_loses_nothing_and_orders_are_still_taken() {
    let door = TestDoor::open_bounded(Limits::default(), Some(1024 * 1024)).await;
    let large = |n: u32| {
        let mut body = parcel(n);
        body["payload"]["note"] = json!("x".repeat(100_000));
        body
    };
    let mut kept = Vec::new();
    let refused = loop {
        let answer = door.enqueue(&large(kept.len() as u32)).await;
        if answer.status != 202 {
            break answer;
        }
        kept.push(answer.json()["id"].as_str().unwrap().to_owned());
        assert!(kept.len() < 100, "the disk is never full");
    };
    assert_eq!((refused.status, refused.problem().as_str()), (503, "carrier-away"));
    assert_eq!(refused.header("retry-after"), Some("2"));
    assert_eq!(door.jobs_stored().await, kept.len() as u64);
    for id in &kept {
        assert_eq!(door.get(&format!("/v1/jobs/{id}")).await.status, 200);
    }
    assert_eq!(door.keyed("order-1001", &order("1001")).await.status, 202);
}
