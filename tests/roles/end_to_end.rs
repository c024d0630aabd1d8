//! Three processes carry jobs, and nothing but the stores is between them.

use serde_json::Value;

use crate::process::wait::until;
use crate::site::{Site, get, request};

#[test]
fn three_processes_carry_jobs_of_the_door_and_of_a_schedule() {
    let site = Site::new();
    site.place.file("schedules/tick.toml", "[tick]\nevery = \"1s\"\njob = \"noop\"\npayload = {}\n");
    let api = site.api();
    let worker = site.worker(&["--concurrency", "4"]);
    let mut scheduler = site
        .program(env!("CARGO_BIN_EXE_windlass-scheduler"), &["--json", "--metrics-listen", "127.0.0.1:0"]);
    scheduler.env("WINDLASS_SCHEDULES", "schedules");
    let scheduler = site.start(scheduler);
    for part in [&api, &worker, &scheduler] {
        part.until_ready(true);
        assert_eq!(get(&part.monitors, "/livez").0, 200);
        assert!(part.metrics().contains("windlass_build_info"));
    }
    let enqueue = ["enqueue", "sleep", r#"{"ms":20}"#, "--wait", "20", "--json", "--server", &api.door];
    let slept = site.run(&enqueue).well().json();
    assert_eq!(slept["state"], "completed", "{slept}");
    assert!(slept["worker"].as_str().is_none_or(|name| name.ends_with(":diagnostics")), "{slept}");
    let ticked = |_: &str| {
        let listed = site.run(&[
            "jobs",
            "list",
            "--kind",
            "noop",
            "--state",
            "completed",
            "--json",
            "--server",
            &api.door,
        ]);
        let ticks = listed.well().json()["jobs"].as_array().unwrap().len();
        (ticks > 0).then_some(ticks)
    };
    until("a job of the schedule is done", || ticked("tick"));
    assert!(worker.metrics().contains("windlass_jobs_finished_total"));
    site.run(&["audit", "--server", &api.door]).well();
    for part in [api, worker, scheduler] {
        part.running.terminate();
        part.running.end().well();
    }
    assert!(!site.place.data().exists(), "processes on servers need no folder");
}

#[test]
fn a_worker_takes_from_the_queues_that_it_is_told() {
    let site = Site::new();
    let api = site.api();
    let worker = site.worker(&["--queues", "orders=3,haier"]);
    worker.until_ready(true);
    let workers = until("the worker beats", || {
        let told: serde_json::Value = serde_json::from_str(&get(&api.door, "/v1/workers").1).unwrap();
        told["workers"].as_array().filter(|workers| !workers.is_empty()).cloned()
    });
    assert_eq!(workers[0]["queues"], serde_json::json!(["orders", "haier"]));
    assert_eq!(workers[0]["slots"], 35);
    // A job of another queue stays where it is.
    let stays = site.run(&["enqueue", "noop", "--json", "--server", &api.door]).well().json();
    assert_eq!(stays["queue"], "diagnostics");
    let stats = until("the job is ready", || {
        let stats: serde_json::Value = serde_json::from_str(&get(&api.door, "/v1/stats").1).unwrap();
        (stats["jobs"]["ready"] == 1).then_some(stats)
    });
    assert_eq!(stats["jobs"]["completed"], 0);
}

#[test]
fn every_start_of_a_worker_has_a_name_of_its_own() {
    let site = Site::new();
    let api = site.api();
    let (one, two) = (site.worker(&[]), site.worker(&[]));
    let names = until("both beat", || {
        let told: serde_json::Value = serde_json::from_str(&get(&api.door, "/v1/workers").1).unwrap();
        let names: Vec<_> = told["workers"]
            .as_array()?
            .iter()
            .map(|worker| worker["name"].as_str().unwrap().to_owned())
            .collect();
        (names.len() == 2).then_some(names)
    });
    assert_ne!(names[0], names[1]);
    drop((one, two));
}

#[test]
fn each_program_says_its_version() {
    let place = crate::process::Place::new();
    for program in [
        env!("CARGO_BIN_EXE_windlass"),
        env!("CARGO_BIN_EXE_windlass-api"),
        env!("CARGO_BIN_EXE_windlass-worker"),
        env!("CARGO_BIN_EXE_windlass-scheduler"),
    ] {
        let told = place.start(place.program(program, &["--version"])).end().well();
        let name = program.rsplit('/').next().unwrap();
        assert_eq!(told.out.trim(), format!("{name} {}", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_benchmark_measures_the_redis_that_is_set_and_leaves_nothing_on_it() {
    let site = Site::new();
    let figures = site.run(&["bench", "--jobs", "50", "--pairs", "1", "--json"]).well().json();
    assert_eq!(figures["store"], "redis", "{figures}");
    assert_eq!(site.redis.cli(&["dbsize"]).trim(), "0");
}

#[test]
fn a_queue_may_be_spread_over_several_servers() {
    let mut site = Site::new();
    let other = windlass_servers::Redis::start();
    let apart = [site.queue_url.clone(), other.url()];
    site.queue_url = apart.join(",");
    let api = site.api();
    let worker = site.worker(&["--queues", "diagnostics"]);
    worker.until_ready(true);
    let many: Vec<Value> =
        (0..40).map(|n| serde_json::json!({ "kind": "noop", "id": format!("n{n}") })).collect();
    let (status, told) = request("POST", &api.door, "/v1/jobs/batch", &[], &Value::from(many).to_string());
    assert_eq!(status, 200, "{told}");
    until("all are done", || {
        let stats: Value = serde_json::from_str(&get(&api.door, "/v1/stats").1).unwrap();
        stats.to_string().contains("\"completed\":40").then_some(())
    });
    for server in [&site.redis, &other] {
        assert_ne!(server.cli(&["hlen", "{windlass:windlass}:jobs"]).trim(), "0", "each has its share");
    }
    site.run(&["audit", "--server", &api.door]).well();
    for part in [api, worker] {
        part.running.terminate();
        part.running.end().well();
    }
    // One of them alone holds only a part of the queue.
    site.queue_url = apart[0].clone();
    let refused = site.run(&["check"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("belongs to"), "{}", refused.err);
}
