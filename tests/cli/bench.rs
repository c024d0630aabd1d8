//! `windlass bench`: its one document, and that it leaves nothing behind.

use std::fs;
use std::path::Path;

use serde_json::Value;
use windlass::bench::figures::Figures;
use windlass::bench::ground::{Ground, Target};
use windlass::bench::progress::Phase;
use windlass::bench::workers::Running;
use windlass::bench::{Plan, measure};
use windlass::telemetry::Metrics;
use windlass_engine::Clock;
use windlass_servers::Redis;

use crate::process::{Ended, Place};

/// Every figure of the document; beside them it has the store's name.
const FIGURES: [&str; 13] = [
    "/enqueue_per_s/single",
    "/enqueue_per_s/concurrent",
    "/enqueue_per_s/batch",
    "/enqueue_per_s/http",
    "/drain_per_s",
    "/latency_ms/p50",
    "/latency_ms/p99",
    "/ceiling_per_s/enqueue",
    "/ceiling_per_s/drain",
    "/ceiling_per_s/http",
    "/ratio/enqueue_batch",
    "/ratio/drain",
    "/ratio/http",
];

/// `windlass bench` with few jobs, whose temporary files would be in `place/tmp`.
fn bench(place: &Place, args: &[&str], variables: &[(&str, &str)]) -> Ended {
    fs::create_dir_all(place.path("tmp")).unwrap();
    let mut command = place.command(&[&["bench", "--jobs", "200", "--pairs", "2"], args].concat());
    command.env("TMPDIR", place.path("tmp")).envs(variables.iter().copied());
    place.start(command).end()
}

#[track_caller]
fn has_the_shape(told: &Value, store: &str) {
    assert_eq!(told["store"], store);
    for figure in FIGURES {
        assert!(told.pointer(figure).and_then(Value::as_f64).is_some_and(|it| it > 0.0), "{figure}: {told}");
    }
    assert_eq!(figures(told), FIGURES.len(), "there is more than is promised: {told}");
}

fn figures(told: &Value) -> usize {
    match told {
        Value::Object(parts) => parts.values().map(figures).sum(),
        Value::Number(_) => 1,
        _ => 0,
    }
}

#[track_caller]
fn is_empty(folder: &Path) {
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn the_embedded_store_is_measured_in_a_folder_that_goes_again() {
    let place = Place::new();
    let ended = bench(&place, &["--json"], &[]).well();
    has_the_shape(&ended.json(), "sqlite");
    assert!(ended.err.contains("drain of no-op jobs"), "no table for people: {ended:#?}");
    is_empty(&place.path("tmp"));
    assert!(!place.data().exists(), "a benchmark made the shop's data folder");
}

#[test]
fn a_shop_that_runs_is_measured_on_its_disk_and_not_disturbed() {
    let place = Place::new();
    let up = place.up();
    let before = fs::read_dir(place.data()).unwrap().count();
    let ended = bench(&place, &[], &[]).well();
    assert!(ended.out.contains("on the disk of ./data"), "not told where it measured: {ended:#?}");
    assert_eq!(fs::read_dir(place.data()).unwrap().count(), before, "files were left in the data folder");
    let audit = place.run(&["audit", "--json", "--server", &up.door]).well().json();
    let accepted: Vec<_> =
        audit["queues"].as_array().unwrap().iter().map(|queue| queue["accepted"].as_u64().unwrap()).collect();
    assert!(
        accepted.iter().all(|accepted| *accepted < 100),
        "jobs of the benchmark came into the shop: {audit}"
    );
    assert!(audit["queues"].as_array().unwrap().iter().all(|queue| queue["queue"] != "bench"), "{audit}");
}

#[test]
fn a_benchmark_that_is_stopped_clears_away_before_it_goes() {
    let place = Place::new();
    fs::create_dir_all(place.path("tmp")).unwrap();
    let mut command = place.command(&["bench", "--jobs", "1000000"]);
    command.env("TMPDIR", place.path("tmp"));
    let mut running = place.start(command);
    running.until("it measures", |_| {
        fs::read_to_string(place.path("0.err")).unwrap().contains("1000000 jobs").then_some(())
    });
    running.terminate();
    running.end().says(1, &["stopped before the end"]);
    is_empty(&place.path("tmp"));
}

#[tokio::test]
async fn a_redis_is_measured_in_keys_that_go_again() {
    let (redis, clock) = (Redis::start(), Clock::system());
    redis.cli(&["set", "somebody", "else's"]);
    let ground = Ground::open(&Target::Redis { url: redis.url() }, &clock).await.unwrap();
    let plan = Plan { jobs: 200, pairs: 2 };
    let taken = measure(&ground, plan, Metrics::install(&clock).unwrap()).await.unwrap();
    has_the_shape(&serde_json::to_value(Figures::of("redis", &taken)).unwrap(), "redis");
    ground.clear().await.unwrap();
    assert_eq!(redis.cli(&["keys", "*"]).trim(), "somebody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_on_redis_that_is_given_up_at_full_speed_leaves_no_key() {
    let redis = Redis::start();
    let ground = Ground::open(&Target::Redis { url: redis.url() }, &Clock::system()).await.unwrap();
    let silent = Phase::silent();
    let mut running = Running::on(&ground.subject, &silent);
    tokio::select! {
        enqueued = ground.subject.enqueue_singly(1_000_000, 64, &silent) => panic!("too soon: {enqueued:?}"),
        completed = running.until_completed(500) => completed.unwrap(),
    }
    drop(running);
    ground.clear().await.unwrap();
    assert_eq!(redis.cli(&["keys", "*"]).trim(), "");
}
