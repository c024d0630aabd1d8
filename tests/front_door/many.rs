//! Acting on many jobs at once, watching one, and being refused for asking too often.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use windlass_engine::store::{End, FaultCause, JobFault};
use windlass_engine::{JobId, State};
use windlass_jobs::ledger::last_act;
use windlass_testing::NOON;

use crate::support::{TestDoor, order, parcel};

/// Ends the next job of the queue as dead.
async fn bury(door: &TestDoor, queue: &str) -> JobId {
    let job = door.take(queue).await;
    let fault = JobFault { attempt: 1, at: NOON, cause: FaultCause::Error, message: "broken".to_owned() };
    door.end(queue, &job, End::Dead { fault }).await;
    job.id
}

async fn act(door: &TestDoor, body: &Value) -> Value {
    let answer = door.post("/v1/jobs/actions", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn dead(door: &TestDoor) -> usize {
    door.get("/v1/jobs?state=dead&limit=1000").await.json()["jobs"].as_array().unwrap().len()
}

#[tokio::test]
async fn dead_jobs_are_counted_first_and_retried_a_slice_at_a_time() {
    let door = TestDoor::open().await;
    for n in 0..5 {
        door.accepted(&parcel(n)).await;
        bury(&door, "parcels").await;
    }
    let mut body =
        json!({"action": "retry", "filter": {"state": "dead", "kind": "weigh_parcel"}, "limit": 2});
    let dry = act(&door, &body).await;
    assert_eq!((&dry["dry_run"], &dry["matched"], &dry["more"]), (&json!(true), &json!(5), &json!(false)));
    assert_eq!(dry["sample"].as_array().unwrap().len(), 5);
    assert_eq!(dead(&door).await, 5, "a dry run changes nothing");

    body["dry_run"] = json!(false);
    let mut slices = Vec::new();
    loop {
        let told = act(&door, &body).await;
        slices.push(told["done"].as_u64().unwrap());
        match &told["cursor"] {
            Value::Null => break,
            cursor => body["cursor"] = cursor.clone(),
        }
    }
    assert_eq!(slices.iter().sum::<u64>(), 5, "{slices:?}");
    assert!(slices.iter().all(|slice| *slice <= 2), "{slices:?}");
    assert_eq!(dead(&door).await, 0);
    let noted = last_act(&door.ledger, "job.retry.many", "").await.unwrap().unwrap();
    assert!(noted.detail.contains("state=dead kind=weigh_parcel"), "{noted:?}");
}

#[tokio::test]
async fn the_filter_takes_what_it_says_and_nothing_else() {
    let door = TestDoor::open().await;
    let mut tagged = parcel(1);
    tagged["tags"] = json!(["try:1"]);
    door.accepted(&tagged).await;
    door.accepted(&parcel(2)).await;
    door.clock.advance(Duration::from_secs(3_600));
    door.accepted(&parcel(3)).await;
    let matched = async |filter: Value| {
        act(&door, &json!({"action": "cancel", "filter": filter})).await["matched"].as_u64().unwrap()
    };
    assert_eq!(matched(json!({"state": "ready"})).await, 3);
    assert_eq!(matched(json!({"state": "ready", "tag": "try:1"})).await, 1);
    assert_eq!(matched(json!({"state": "ready", "queue": "attic"})).await, 0);
    assert_eq!(matched(json!({"state": "ready", "created_before": "2026-01-05T12:30:00+08:00"})).await, 2);
    assert_eq!(matched(json!({"state": "ready", "created_after": "2026-01-05T12:30:00+08:00"})).await, 1);
    door.take("parcels").await;
    let told =
        act(&door, &json!({"action": "cancel", "filter": {"state": "running"}, "dry_run": false})).await;
    assert_eq!((&told["done"], &told["asked"]), (&json!(0), &json!(1)), "one that runs is asked to stop");
    for (bad, at) in [
        (json!({"action": "retry", "filter": {"state": "ready"}}), "/filter/state"),
        (json!({"action": "retry", "filter": {}}), "/filter/state"),
        (json!({"action": "retry"}), "/filter/state"),
        (json!({"filter": {"state": "dead"}}), "/action"),
        (json!({"action": "eat", "filter": {"state": "dead"}}), "/action"),
        (json!({"action": "retry", "filter": {"state": "dead", "name": "x"}}), "/filter/name"),
        (
            json!({"action": "retry", "filter": {"state": "dead", "created_after": "noon"}}),
            "/filter/created_after",
        ),
        (json!({"action": "retry", "filter": {"state": "dead"}, "limit": 501}), "/limit"),
    ] {
        let refused = door.post("/v1/jobs/actions", &bad).await;
        assert_eq!(refused.problem(), "invalid-request", "{bad}");
        assert_eq!(refused.json()["errors"][0]["pointer"], at, "{bad}");
    }
}

#[tokio::test]
async fn the_ledger_wants_again_what_is_retried_and_forgets_what_is_deleted() {
    let door = TestDoor::open().await;
    let accepted = door.accepted(&order("1001")).await;
    let id = JobId::parse(accepted.as_str()).unwrap();
    let row = door.ledger.outbox_job(&id).await.unwrap().unwrap();
    door.store.enqueue(vec![row.job]).await.unwrap();
    assert_eq!(bury(&door, "orders").await, id);
    door.ledger.died(vec![id.clone()]).await.unwrap();
    let told = act(&door, &json!({"action": "retry", "filter": {"state": "dead"}, "dry_run": false})).await;
    assert_eq!(told["done"], 1);
    let counts = door.ledger.outbox_counts().await.unwrap();
    assert_eq!((counts.dead, counts.waiting + counts.handed_over), (0, 1), "the row lives again");
    assert_eq!(door.store.states(vec![id.clone()]).await.unwrap(), [Some(State::Ready)]);

    let job = door.take("orders").await;
    door.end("orders", &job, End::Completed { result: None, follow_ups: vec![] }).await;
    let told =
        act(&door, &json!({"action": "delete", "filter": {"state": "completed"}, "dry_run": false})).await;
    assert_eq!(told["done"], 1);
    assert!(door.ledger.outbox_job(&id).await.unwrap().is_none(), "the relay would hand it over again");
}

/// The names and data of a stream's events.
fn events(text: &str) -> Vec<(String, Value)> {
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
    };
    text.split("\n\n")
        .filter_map(|block| {
            Some((field(block, "event:")?, serde_json::from_str(&field(block, "data:")?).unwrap()))
        })
        .collect()
}

#[tokio::test]
async fn a_job_is_watched_until_it_is_over() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    let mut response = door.request(Method::GET, &format!("/v1/jobs/{id}/events")).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let more =
        async |text: &mut String, response: &mut reqwest::Response| match response.chunk().await.unwrap() {
            Some(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            None => panic!("the stream ended too soon: {text}"),
        };
    while events(&text).is_empty() {
        more(&mut text, &mut response).await;
    }
    let job = door.take("parcels").await;
    while events(&text).len() < 2 {
        more(&mut text, &mut response).await;
    }
    door.end("parcels", &job, End::Completed { result: Some(json!(7)), follow_ups: vec![] }).await;
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let seen = events(&text);
    let states: Vec<_> = seen.iter().map(|(name, data)| (name.as_str(), data["state"].clone())).collect();
    assert_eq!(
        states,
        [
            ("state", json!("ready")),
            ("state", json!("running")),
            ("state", json!("completed")),
            ("end", Value::Null)
        ]
    );
    assert_eq!((&seen[2].1["result"], &seen[3].1), (&json!(7), &json!({"why": "over"})));
    assert_eq!(door.get("/v1/jobs/none/events").await.problem(), "no-such-job");
}

#[tokio::test]
async fn a_door_that_closes_ends_its_watches() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    let mut response = door.request(Method::GET, &format!("/v1/jobs/{id}/events")).send().await.unwrap();
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        door.closing.cancel();
    }
    assert_eq!(events(&text).last().unwrap().1, json!({"why": "closing"}));
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let door = TestDoor::open_limited(2).await;
    let (first, second) = (door.get("/v1/kinds").await, door.get("/v1/kinds").await);
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.header("ratelimit-policy"), Some("\"key\";q=2;w=1"));
    assert_eq!(first.header("ratelimit"), Some("\"key\";r=1;t=1"));
    // However slow this machine is, more calls at once than there are in the bucket are too many.
    let calls: Vec<_> = (0..40).map(|_| door.get("/v1/stats")).collect();
    let answers = futures_util::future::join_all(calls).await;
    let refused = answers.iter().find(|answer| answer.status == 429).expect("one is refused");
    assert_eq!((refused.problem().as_str(), refused.header("retry-after")), ("too-many-requests", Some("1")));
    assert_eq!(refused.header("ratelimit"), Some("\"key\";r=0;t=1"));
    assert_eq!(door.get("/livez").await.status, 200, "health has no limit");
}

#[tokio::test]
async fn the_door_says_what_it_takes() {
    let door = TestDoor::open().await;
    let told = door.get("/openapi.json").await.json();
    assert_eq!(told["openapi"], "3.1.0");
    let enqueue = &told["paths"]["/v1/jobs"]["post"];
    assert_eq!(
        enqueue["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/NewJob"
    );
    assert_eq!(enqueue["description"], "Needs the scope `jobs:write`.");
    assert_eq!(told["paths"]["/livez"]["get"]["security"], json!([]));
    // Everything that is referred to is there, and the kinds' schemas are those that payloads are checked against.
    let schemas = told["components"]["schemas"].as_object().unwrap();
    let text = told.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    let kinds = door.get("/v1/kinds").await.json();
    for kind in kinds["kinds"].as_array().unwrap() {
        let mut schema = schemas[&format!("payload.{}", kind["kind"].as_str().unwrap())].clone();
        schema.as_object_mut().unwrap().remove("$id");
        assert_eq!(schema, kind["schema"]);
    }
    let page = door.get("/docs").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().contains("style-src 'unsafe-inline'"));
    assert!(page.text.contains("/v1/jobs/actions") && page.text.contains("weigh_parcel"));
    assert!(!page.text.contains("<script"));
}
