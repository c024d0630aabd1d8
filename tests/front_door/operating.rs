//! What operators do and see: actions on jobs, queues, the books, health and metrics.

use insta::assert_json_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use windlass_engine::JobId;
use windlass_engine::store::End;

use crate::support::{Answer, TestDoor, normal, open_ledger, parcel};

async fn act(door: &TestDoor, id: &str, action: &str) -> Answer {
    Answer::of(door.request(Method::POST, &format!("/v1/jobs/{id}/{action}"))).await
}

#[tokio::test]
async fn a_job_is_cancelled_retried_and_deleted_where_that_makes_sense() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    assert_eq!(act(&door, &id, "retry").await.problem(), "not-applicable");
    assert_eq!(act(&door, &id, "cancel").await.json()["state"], "cancelled");
    assert_eq!(act(&door, &id, "cancel").await.status, 409);
    assert_eq!(act(&door, &id, "retry").await.json()["state"], "ready");
    let delete = |id: String| Answer::of(door.request(Method::DELETE, &format!("/v1/jobs/{id}")));
    assert_eq!(delete(id.clone()).await.problem(), "not-applicable");
    let job = door.take("parcels").await;
    door.end("parcels", &job, End::Completed { result: None, follow_ups: vec![] }).await;
    assert_eq!(delete(id.clone()).await.status, 204);
    assert_eq!(delete(id).await.problem(), "no-such-job");
}

#[tokio::test]
async fn a_deleted_job_is_forgotten_by_the_ledger_too() {
    let door = TestDoor::open().await;
    let id = JobId::parse(door.accepted(&crate::support::order("1001")).await).unwrap();
    // As the relay hands it over.
    let row = door.ledger.outbox_job(&id).await.unwrap().unwrap();
    door.store.enqueue(vec![row.job]).await.unwrap();
    let job = door.take("orders").await;
    door.end("orders", &job, End::Completed { result: None, follow_ups: vec![] }).await;
    assert!(
        door.ledger.outbox_job(&id).await.unwrap().is_some(),
        "nothing has told the ledger of the end yet"
    );
    let deleted = Answer::of(door.request(Method::DELETE, &format!("/v1/jobs/{id}"))).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    assert!(door.ledger.outbox_job(&id).await.unwrap().is_none(), "the relay would hand it over again");
    assert_eq!(door.get(&format!("/v1/jobs/{id}")).await.status, 404);
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    door.take("parcels").await;
    let answer = act(&door, &id, "cancel").await;
    assert_eq!((answer.status, &answer.json()["cancelling"]), (202, &json!(true)));
}

#[tokio::test]
async fn a_scheduled_job_is_promoted() {
    let door = TestDoor::open().await;
    let mut body = parcel(1);
    body["delay_seconds"] = json!(3_600);
    let id = door.accepted(&body).await;
    assert_eq!(act(&door, &id, "promote").await.json()["state"], "ready");
    assert_eq!(act(&door, "none", "promote").await.status, 404);
}

#[tokio::test]
async fn a_job_that_only_the_ledger_has_cannot_be_cancelled_yet() {
    let door = TestDoor::open().await;
    let id = door.accepted(&crate::support::order("1001")).await;
    let answer = act(&door, &id, "cancel").await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "not-handed-over"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_dead_job_that_its_queue_has_forgotten_can_be_retried_and_nothing_else() {
    let door = TestDoor::open().await;
    let id = door.accepted(&crate::support::order("1001")).await;
    door.ledger.died(vec![JobId::parse(id.as_str()).unwrap()]).await.unwrap();
    assert_eq!(door.get(&format!("/v1/jobs/{id}")).await.json()["state"], "dead");
    assert_eq!(act(&door, &id, "cancel").await.problem(), "not-applicable");
    let retried = act(&door, &id, "retry").await;
    assert_eq!((retried.status, &retried.json()["state"]), (200, &json!("ready")));
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed() {
    let door = TestDoor::open().await;
    let paused = door.post("/v1/queues/parcels/pause", &json!({"by": "ops", "reason": "stocktaking"})).await;
    assert_json_snapshot!("a_paused_queue", normal(paused.json()));
    let resumed = Answer::of(door.request(Method::POST, "/v1/queues/parcels/resume")).await;
    assert_eq!((resumed.status, &resumed.json()["paused"]), (200, &Value::Null));
    let bare = Answer::of(door.request(Method::POST, "/v1/queues/attic/pause")).await;
    assert_eq!((bare.status, &bare.json()["paused"]["by"]), (200, &json!("api")));
    assert_eq!(door.post("/v1/queues/cellar/pause", &json!({})).await.problem(), "no-such-queue");
    assert_eq!(
        door.post("/v1/queues/attic/pause", &json!({"until": "noon"})).await.problem(),
        "invalid-request"
    );
}

#[tokio::test]
async fn kinds_are_listed_with_their_schema() {
    let door = TestDoor::open().await;
    let kinds = door.get("/v1/kinds").await.json();
    let names: Vec<_> = kinds["kinds"].as_array().unwrap().iter().map(|kind| kind["kind"].clone()).collect();
    assert_eq!(names, ["count_shelf", "keep_order", "weigh_parcel"]);
    assert_json_snapshot!("a_kind", kinds["kinds"][2]);
}

#[tokio::test]
async fn the_books_and_sums_of_all_queues_are_told() {
    let door = TestDoor::open().await;
    for n in 0..3 {
        door.accepted(&parcel(n)).await;
    }
    let job = door.take("parcels").await;
    door.end("parcels", &job, End::Completed { result: None, follow_ups: vec![] }).await;
    assert_json_snapshot!("audit", door.get("/v1/audit").await.json());
    assert_json_snapshot!("stats", normal(door.get("/v1/stats").await.json()));
    let queues = door.get("/v1/queues").await.json();
    let names: Vec<_> =
        queues["queues"].as_array().unwrap().iter().map(|queue| queue["queue"].clone()).collect();
    assert_eq!(names, ["attic", "orders", "parcels", "shelves"]);
    assert_eq!(queues["queues"][2]["jobs"]["ready"], 2);
    assert_eq!(door.get("/v1/workers").await.json(), json!({"workers": []}));
}

#[tokio::test]
async fn ready_means_that_carrier_and_ledger_answer() {
    let door = TestDoor::open().await;
    assert_eq!(door.get("/livez").await.status, 200);
    let ready = door.get("/readyz").await;
    for older in ["/health/", "/api/health/"] {
        let told = door.get(older).await;
        assert_eq!((told.status, told.json()), (ready.status, ready.json()), "{older}");
    }
    assert_eq!(ready.status, 200);
    assert_json_snapshot!("ready", ready.json());
    let other = open_ledger(door.folder.path(), &door.clock).await;
    let held = other.begin().await.unwrap();
    let unready = door.get("/readyz").await;
    assert_eq!((unready.status, &unready.json()["checks"]["ledger"]["ok"]), (503, &json!(false)));
    assert_eq!(unready.json()["checks"]["carrier"]["ok"], true);
    drop(held);
    assert_eq!(door.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn metrics_tell_the_queues_as_they_are_at_the_scrape() {
    let door = TestDoor::open().await;
    door.get("/metrics").await;
    door.accepted(&parcel(1)).await;
    door.post("/v1/queues/parcels/pause", &json!({})).await;
    door.clock.advance(std::time::Duration::from_secs(90));
    door.get("/nothing").await;
    let text = door.get("/metrics").await.text;
    assert!(door.get("/metrics/").await.text.contains("windlass_queue_jobs"), "where older monitors ask");
    // The recorder is shared by every test of this process, so only what is in a line is looked at.
    for part in [
        "windlass_queue_jobs{queue=\"parcels\",state=\"ready\"}",
        "windlass_queue_oldest_ready_seconds{queue=\"parcels\"}",
        "windlass_queue_gate{queue=\"parcels\",reason=\"paused\"}",
        "windlass_queue_suggested_workers{queue=\"parcels\"} 1",
        "windlass_books_imbalance 0",
        "windlass_books_read_timestamp_seconds ",
        "windlass_outbox_oldest_waiting_seconds ",
        "windlass_effects_in_doubt 0",
        "windlass_outbox_jobs{state=\"waiting\"}",
        "windlass_http_requests_total{method=\"POST\",route=\"/v1/jobs\",status=\"202\"}",
        "windlass_http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"}",
        "windlass_http_request_seconds",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("/nothing"), "an address that anybody can make up is no label");
}
