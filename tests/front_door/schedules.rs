//! What comes by itself, as operators see it and act on it; and backups as a script reports them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use windlass_engine::JobTable;
use windlass_engine::schedule::{Entry, Schedules, paused_since};
use windlass_engine::store::End;
use windlass_jobs::ledger::last_act;
use windlass_testing::NOON;

use crate::support::kinds::TOYS;
use crate::support::{Answer, TestDoor};

const SCHEDULES: &str = r#"
[weigh]
description = "Weighs the first parcel"
cron = "0 30 * * * *"
timezone = "Asia/Shanghai"
job = "weigh_parcel"
payload = { parcel = "P-1", grams = 500 }
expires = "50m"

[keep]
every = "1d"
job = "keep_order"
payload = { no = "1001" }
enabled = false
"#;

async fn act(door: &TestDoor, path: &str) -> Answer {
    Answer::of(door.request(Method::POST, path)).await
}

/// What the audit log has of each schedule.
async fn audited(door: &TestDoor) -> Vec<&'static str> {
    let mut acts = Vec::new();
    for what in ["schedule.pause", "schedule.resume", "schedule.run", "schedule.backfill"] {
        for about in ["weigh", "keep"] {
            acts.extend(last_act(&door.ledger, what, about).await.unwrap().map(|_| what));
        }
    }
    acts
}

#[tokio::test]
async fn a_schedule_is_told_with_its_next_time_and_its_last_success() {
    let door = TestDoor::open_scheduled(SCHEDULES).await;
    let list = door.get("/v1/schedules").await.json();
    let names: Vec<_> =
        list["schedules"].as_array().unwrap().iter().map(|one| one["schedule"].clone()).collect();
    assert_eq!(names, ["keep", "weigh"]);
    let weigh = &list["schedules"][1];
    assert_eq!((&weigh["cron"], &weigh["timezone"]), (&json!("0 30 * * * *"), &json!("Asia/Shanghai")));
    assert_eq!(weigh["next_at"], "2026-01-05T04:30:00.000Z");
    assert_eq!(
        (&weigh["last"], &weigh["last_success"], &weigh["lag_seconds"]),
        (&Value::Null, &Value::Null, &json!(0.0))
    );
    assert_eq!(
        (&list["schedules"][0]["every"], &list["schedules"][0]["next_at"]),
        (&json!("1d"), &Value::Null)
    );

    // The scheduler stands at noon, hands one over late, and it goes well.
    assert!(door.store.move_cursor("weigh", None, NOON).await.unwrap());
    door.clock.advance(Duration::from_secs(3_600));
    assert_eq!(door.get("/v1/schedules/weigh").await.json()["lag_seconds"], 1_800.0);
    let entry = entry_of(SCHEDULES, "weigh");
    let instant = NOON + Duration::from_secs(1_800);
    door.store.enqueue(vec![entry.job(instant)]).await.unwrap();
    assert!(door.store.move_cursor("weigh", Some(NOON), instant).await.unwrap());
    let told = door.get("/v1/schedules/weigh").await.json();
    assert_eq!((&told["last"]["state"], &told["last_success"]), (&json!("ready"), &Value::Null));
    let job = door.take("parcels").await;
    door.end("parcels", &job, End::Completed { result: None, follow_ups: vec![] }).await;
    let told = door.get("/v1/schedules/weigh").await.json();
    assert_eq!(told["last_success"]["instant"], "2026-01-05T04:30:00.000Z");
    assert_eq!(told["last_success"]["finished_at"], "2026-01-05T05:00:00.000Z");
    assert_eq!(told["lag_seconds"], 0.0);
    assert_eq!(door.get("/v1/schedules/none").await.problem(), "no-such-schedule");
}

/// The entry as a scheduler has it.
fn entry_of(text: &str, name: &str) -> Entry {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("test.toml"), text).unwrap();
    let table = JobTable::new(TOYS);
    let schedules = Schedules::load(folder.path(), &|kind, payload| table.lane(kind, payload)).unwrap();
    schedules.get(name).unwrap().clone()
}

#[tokio::test]
async fn the_next_times_are_told_on_the_clock_of_the_zone_and_in_utc() {
    let door = TestDoor::open_scheduled(SCHEDULES).await;
    let told = door.get("/v1/schedules/weigh/preview?n=2").await.json();
    assert_eq!(
        told,
        json!({ "schedule": "weigh", "zone": "Asia/Shanghai", "times": [
            { "utc": "2026-01-05T04:30:00.000Z", "local": "2026-01-05T12:30:00+08:00" },
            { "utc": "2026-01-05T05:30:00.000Z", "local": "2026-01-05T13:30:00+08:00" },
        ] })
    );
    assert_eq!(door.get("/v1/schedules/weigh/preview").await.json()["times"].as_array().unwrap().len(), 5);
    for n in ["0", "101", "many"] {
        assert_eq!(
            door.get(&format!("/v1/schedules/weigh/preview?n={n}")).await.problem(),
            "invalid-request"
        );
    }
}

#[tokio::test]
async fn a_pause_says_by_whom_and_why_and_is_lifted_once() {
    let door = TestDoor::open_scheduled(SCHEDULES).await;
    let paused =
        door.post("/v1/schedules/weigh/pause", &json!({"by": "anna", "reason": "stocktaking"})).await;
    assert_eq!(
        paused.json()["paused"],
        json!({"since": "2026-01-05T04:00:00.000Z", "why": "by anna: stocktaking"})
    );
    assert_eq!(paused.json()["next_at"], Value::Null);
    assert_eq!(paused_since(door.store.as_ref(), "weigh").await.unwrap(), Some(NOON));
    door.clock.advance(Duration::from_secs(7_200));
    let again = act(&door, "/v1/schedules/weigh/pause").await.json();
    assert_eq!(again["paused"]["since"], "2026-01-05T04:00:00.000Z", "it was paused before");
    let resumed = act(&door, "/v1/schedules/weigh/resume").await.json();
    assert_eq!((&resumed["paused"], &resumed["next_at"]), (&Value::Null, &json!("2026-01-05T06:30:00.000Z")));
    assert_eq!(act(&door, "/v1/schedules/weigh/resume").await.status, 200);
    assert_eq!(audited(&door).await, ["schedule.pause", "schedule.resume"]);
    assert_eq!(
        door.post("/v1/schedules/weigh/pause", &json!({"until": "noon"})).await.problem(),
        "invalid-request"
    );
}

#[tokio::test]
async fn a_run_by_hand_is_a_job_like_any_other() {
    let door = TestDoor::open_scheduled(SCHEDULES).await;
    let run = act(&door, "/v1/schedules/weigh/run").await;
    assert_eq!((run.status, &run.json()["new"]), (202, &json!(true)));
    let id = run.json()["job"].as_str().unwrap().to_owned();
    let job = door.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!((&job["kind"], &job["state"]), (&json!("weigh_parcel"), &json!("ready")));
    // One whose kind the ledger accepts goes there, although the schedule itself is switched off.
    let run = act(&door, "/v1/schedules/keep/run").await;
    assert_eq!(run.status, 202, "{}", run.text);
    assert_eq!(door.ledger.outbox_counts().await.unwrap().waiting, 1);
    assert_eq!(audited(&door).await, ["schedule.run", "schedule.run"]);
}

#[tokio::test]
async fn a_backfill_makes_the_jobs_that_are_missing_and_each_once() {
    let door = TestDoor::open_scheduled(SCHEDULES).await;
    door.clock.advance(Duration::from_secs(6 * 3_600));
    let span = json!({"from": "2026-01-05T12:30:00+08:00", "to": "2026-01-05T15:30:00+08:00"});
    let dry = door.post("/v1/schedules/weigh/backfill", &span).await.json();
    assert_eq!(
        (&dry["dry_run"], &dry["instants"], &dry["missing"], &dry["made"]),
        (&json!(true), &json!(3), &json!(3), &json!(0))
    );
    assert_eq!(dry["jobs"][0]["job"], "schedule:weigh:2026-01-05T04:30:00.000Z");
    assert_eq!(door.jobs_stored().await, 0);
    let mut real = span.clone();
    real["dry_run"] = json!(false);
    let made = door.post("/v1/schedules/weigh/backfill", &real).await.json();
    assert_eq!((&made["made"], &made["jobs"][2]["outcome"]), (&json!(3), &json!("new")));
    let again = door.post("/v1/schedules/weigh/backfill", &real).await.json();
    assert_eq!((&again["made"], &again["jobs"][2]["state"]), (&json!(0), &json!("ready")));
    assert_eq!(door.jobs_stored().await, 3);
    for bad in [
        json!({"from": "2026-01-05T12:30:00+08:00"}),
        json!({"from": "yesterday", "to": "2026-01-05T15:30:00+08:00"}),
        json!({"from": "2026-01-05T15:30:00+08:00", "to": "2026-01-05T12:30:00+08:00"}),
        json!({"from": "2026-01-05T15:30:00+08:00", "to": "2027-01-05T12:30:00+08:00"}),
        json!({"from": "2025-01-05T15:30:00+08:00", "to": "2026-01-05T12:30:00+08:00"}),
        json!({"from": "2026-01-05T12:30:00+08:00", "to": "2026-01-05T15:30:00+08:00", "n": 1}),
    ] {
        let refused = door.post("/v1/schedules/weigh/backfill", &bad).await;
        assert_eq!((refused.status, refused.problem().as_str()), (422, "invalid-request"), "{bad}");
    }
}

#[tokio::test]
async fn a_backup_is_reported_and_listed() {
    let door = TestDoor::open().await;
    let report = json!({
        "kind": "ledger", "taken_at": "2026-01-05T11:00:00+08:00", "bytes": 1_000, "sha256": "ab".repeat(32),
        "where": "s3://backups/ledger.zst",
    });
    let recorded = door.post("/v1/backups", &report).await;
    assert_eq!(recorded.status, 201, "{}", recorded.text);
    assert_eq!(recorded.json()["id"], "ledger@2026-01-05T03:00:00.000Z");
    assert_eq!(door.post("/v1/backups", &report).await.status, 200);
    let listed = door.get("/v1/backups?kind=ledger").await.json();
    assert_eq!(
        (&listed["backups"][0]["bytes"], listed["backups"].as_array().unwrap().len()),
        (&json!(1_000), 1)
    );
    for (field, value) in
        [("bytes", json!(0)), ("sha256", json!("abc")), ("taken_at", json!("noon")), ("kind", Value::Null)]
    {
        let mut bad = report.clone();
        bad[field] = value;
        assert_eq!(door.post("/v1/backups", &bad).await.problem(), "invalid-request", "{field}");
    }
    let metrics = door.get("/metrics").await.text;
    assert!(metrics.contains("windlass_backup_last_success_timestamp_seconds{kind=\"ledger\"}"), "{metrics}");
}
