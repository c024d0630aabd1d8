//! Many jobs in one request.

use insta::assert_json_snapshot;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestDoor, normal, order, parcel};

fn mixed() -> Value {
    let mut named = parcel(2);
    named["id"] = json!("weigh-2");
    json!([parcel(1), {"kind": "wiegh_parcel"}, named, order("1001"), named])
}

#[tokio::test]
async fn each_item_of_a_batch_has_an_answer_of_its_own() {
    let door = TestDoor::open().await;
    let answer = door.post("/v1/jobs/batch", &mixed()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_json_snapshot!("a_batch", normal(answer.json()));
    assert_eq!(door.jobs_stored().await, 2);
    assert_eq!(door.ledger.outbox_counts().await.unwrap().waiting, 1);
}

#[tokio::test]
async fn all_or_nothing_stores_nothing_when_one_is_at_fault() {
    let door = TestDoor::open().await;
    let answer = door.post("/v1/jobs/batch?all_or_nothing=true", &mixed()).await;
    assert_eq!(answer.status, 422);
    assert_eq!(door.jobs_stored().await, 0);
}

#[tokio::test]
async fn a_job_a_line_is_a_batch_too() {
    let door = TestDoor::open().await;
    let text = format!("{}\n\n{{broken\n{}\n", parcel(1), parcel(2));
    let request = door.request(Method::POST, "/v1/jobs/batch").header("Content-Type", "application/x-ndjson");
    let answer = Answer::of(request.body(text)).await.json();
    let statuses: Vec<_> =
        answer["items"].as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
    assert_eq!(statuses, [202, 400, 202]);
}

#[tokio::test]
async fn a_batch_has_a_bound() {
    let door = TestDoor::open().await;
    let items: Vec<_> = (0..10_001).map(parcel).collect();
    let answer = door.post("/v1/jobs/batch", &json!(items)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"));
    assert_eq!(door.jobs_stored().await, 0);
    let whole = door.post("/v1/jobs/batch", &json!(items[..10_000])).await;
    assert_eq!((whole.status, door.jobs_stored().await), (200, 10_000));
}

#[tokio::test]
async fn a_key_cannot_name_a_batch() {
    let door = TestDoor::open().await;
    let request = door.request(Method::POST, "/v1/jobs/batch").header("Idempotency-Key", "k");
    assert_eq!(Answer::of(request.json(&json!([]))).await.problem(), "invalid-request");
}
