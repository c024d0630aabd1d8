//! Finding jobs, waiting for them, and asking why they do not run.

use std::collections::HashSet;
use std::time::Duration;

use insta::assert_json_snapshot;
use serde_json::{Value, json};
use windlass_engine::gate::{GateRules, Pause};
use windlass_engine::store::{End, FaultCause, JobFault, WorkerBeat};
use windlass_testing::NOON;

use crate::support::{TestDoor, normal, order, parcel};

#[tokio::test]
async fn a_job_tells_its_whole_story() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    let first = door.take("parcels").await;
    let fault =
        JobFault { attempt: 1, at: NOON, cause: FaultCause::Timeout, message: "the scales are slow".into() };
    door.end("parcels", &first, End::Retry { at: NOON, fault }).await;
    let second = door.take("parcels").await;
    let result = Some(json!({"grams": 498}));
    door.end("parcels", &second, End::Completed { result, follow_ups: vec![] }).await;
    assert_json_snapshot!("a_completed_job", normal(door.get(&format!("/v1/jobs/{id}")).await.json()));
}

#[tokio::test]
async fn a_job_that_is_not_there_is_a_problem() {
    let door = TestDoor::open().await;
    for path in ["/v1/jobs/none", "/v1/jobs/a%20b", "/v1/jobs/none/why"] {
        let answer = door.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "no-such-job"), "{path}");
    }
}

#[tokio::test]
async fn a_caller_that_waits_gets_the_end() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    let path = format!("/v1/jobs/{id}?wait=20");
    let waiting = door.get(&path);
    let working = async {
        let job = door.take("parcels").await;
        door.end("parcels", &job, End::Completed { result: Some(json!(498)), follow_ups: vec![] }).await;
    };
    let (answer, ()) = tokio::join!(waiting, working);
    assert_eq!((&answer.json()["state"], &answer.json()["result"]), (&json!("completed"), &json!(498)));
}

#[tokio::test]
async fn a_wait_that_ends_first_tells_how_the_job_stands() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    let answer = door.get(&format!("/v1/jobs/{id}?wait=0.1")).await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("ready")));
}

#[tokio::test]
async fn waiting_callers_are_answered_when_the_door_closes() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    let path = format!("/v1/jobs/{id}?wait=30");
    let waiting = door.get(&path);
    let closing = async {
        // The wait is under way once requests that came after it are answered.
        for _ in 0..20 {
            door.get("/livez").await;
        }
        door.closing.cancel();
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(waiting, closing).0 });
    assert_eq!(answer.await.expect("long before 30 s").json()["state"], "ready");
}

#[tokio::test]
async fn the_list_is_paged_and_filtered() {
    let door = TestDoor::open().await;
    let mut ids = HashSet::new();
    for n in 0..7 {
        let mut body = parcel(n);
        body["tags"] = json!([format!("order:{}", n % 2)]);
        ids.insert(door.accepted(&body).await);
    }
    door.accepted(&json!({"kind": "count_shelf", "payload": {"shelf": 1}})).await;
    let mut seen = HashSet::new();
    let mut path = "/v1/jobs?queue=parcels&limit=3".to_owned();
    loop {
        let page = door.get(&path).await.json();
        for job in page["jobs"].as_array().unwrap() {
            assert!(seen.insert(job["id"].as_str().unwrap().to_owned()), "each is shown once");
        }
        match page["cursor"].as_str() {
            Some(cursor) => path = format!("/v1/jobs?queue=parcels&limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    for (query, n) in [("kind=count_shelf", 1), ("tag=order:0", 4), ("state=ready", 8), ("state=dead", 0)] {
        let page = door.get(&format!("/v1/jobs?{query}")).await.json();
        assert_eq!(page["jobs"].as_array().unwrap().len(), n, "{query}");
    }
    let page = door.get("/v1/jobs?kind=count_shelf").await.json();
    assert_json_snapshot!("a_list", normal(page));
}

#[tokio::test]
async fn why_a_job_does_not_run_is_told_in_words() {
    let door = TestDoor::open().await;
    let id = door.accepted(&parcel(1)).await;
    assert!(why(&door, &id).await.contains("no living worker serves queue parcels"));

    let beat = WorkerBeat {
        name: "w1".into(),
        host: "h".into(),
        version: "1".into(),
        started_at: NOON,
        queues: vec!["parcels".into()],
        slots: 2,
        running: 2,
    };
    door.store.beat(beat.clone()).await.unwrap();
    assert!(why(&door, &id).await.contains("the 2 slots of the 1 worker(s) of queue parcels are all taken"));
    door.store.beat(WorkerBeat { running: 0, ..beat }).await.unwrap();
    assert!(why(&door, &id).await.contains("it starts in its turn"));

    let pause = Pause { by: "ops".into(), reason: "stocktaking".into(), at: NOON };
    door.store.pause("parcels", Some(pause)).await.unwrap();
    let paused = "Queue parcels is paused by ops since 2026-01-05T04:00:00.000Z: stocktaking.";
    assert_eq!(why(&door, &id).await, paused);
    door.store.pause("parcels", None).await.unwrap();

    let rules = GateRules { concurrency_max: Some(1), ..GateRules::default() };
    door.store.set_gate("parcels", rules).await.unwrap();
    let job = door.take("parcels").await;
    assert!(why(&door, &id).await.contains("attempt 1 on worker w1"));
    let second = door.accepted(&parcel(2)).await;
    assert_eq!(why(&door, &second).await, "Queue parcels may run 1 jobs at once and runs 1 now.");

    let fault = JobFault { attempt: 1, at: NOON, cause: FaultCause::Error, message: "no scales".into() };
    let at = NOON + Duration::from_secs(3_700);
    door.end("parcels", &job, End::Retry { at, fault: fault.clone() }).await;
    let retrying = "Attempt 1 did not complete it: no scales. It is tried again: due in 1 h 1 min, \
                    at 2026-01-05T05:01:40.000Z.";
    assert_eq!(why(&door, &id).await, retrying);
    let job = door.take("parcels").await;
    door.end("parcels", &job, End::Dead { fault }).await;
    assert_eq!(
        why(&door, &second).await,
        "It is dead after 1 attempt(s): no scales. It can be retried by hand."
    );

    let mut later = parcel(3);
    later["delay_seconds"] = json!(120);
    let later = door.accepted(&later).await;
    assert!(why(&door, &later).await.contains("due in 2 min 0 s"));
}

async fn why(door: &TestDoor, id: &str) -> String {
    let told: Value = door.get(&format!("/v1/jobs/{id}/why")).await.json();
    told["why"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_totals_tell_what_the_ledger_holds() {
    let door = TestDoor::open().await;
    door.accepted(&order("1001")).await;
    let totals = door.get("/v1/totals").await.json();
    assert_eq!(totals["outbox"]["waiting"], 1, "{totals}");
    assert_eq!(totals["business"]["orders"], json!({}), "no step of the order has run");
}
