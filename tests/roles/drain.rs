//! A signal stops each program softly: what runs may end, and no job loses an attempt.

use serde_json::Value;

use crate::process::wait::until;
use crate::site::{Part, Site};

fn show(site: &Site, api: &Part, id: &str) -> Value {
    site.run(&["jobs", "show", id, "--json", "--server", &api.door]).well().json()
}

fn enqueue(site: &Site, api: &Part, id: &str, ms: u32) {
    let payload = format!("{{\"ms\":{ms}}}");
    site.run(&["enqueue", "sleep", &payload, "--id", id, "--server", &api.door]).well();
}

#[test]
fn sigterm_lets_a_worker_finish_what_runs_and_take_nothing_new() {
    let site = Site::new();
    let api = site.api();
    let worker = site.worker(&["--queues", "diagnostics=1"]);
    enqueue(&site, &api, "runs", 2_000);
    until("it runs", || (show(&site, &api, "runs")["state"] == "running").then_some(()));
    enqueue(&site, &api, "waits", 1);
    worker.running.terminate();
    worker.running.end().well();
    let ran = show(&site, &api, "runs");
    assert_eq!((&ran["state"], &ran["attempt"]), (&"completed".into(), &1.into()), "{ran}");
    let waits = show(&site, &api, "waits");
    assert_eq!((&waits["state"], &waits["attempt"]), (&"ready".into(), &0.into()), "{waits}");
}

#[test]
fn a_second_signal_gives_back_what_runs_without_using_its_attempt() {
    let site = Site::new();
    let api = site.api();
    let mut worker = site.worker(&["--queues", "diagnostics=1"]);
    enqueue(&site, &api, "long", 600_000);
    until("it runs", || (show(&site, &api, "long")["state"] == "running").then_some(()));
    worker.running.signal("INT");
    worker.running.until("it heard the first", |running| running.said().contains("stopping").then_some(()));
    worker.running.signal("TERM");
    worker.running.end().well();
    let long = show(&site, &api, "long");
    assert_eq!((&long["state"], &long["attempt"]), (&"ready".into(), &0.into()), "{long}");
}

#[test]
fn a_front_door_that_is_told_to_stop_turns_callers_away_before_it_closes() {
    let site = Site::new();
    let door = ["--json", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let mut command = site.program(env!("CARGO_BIN_EXE_windlass-api"), &door);
    command.env("WINDLASS_CLOSE_DELAY_S", "5");
    let api = site.start(command);
    api.until_ready(true);
    api.running.terminate();
    until("it is not ready", || (crate::site::get(&api.door, "/readyz").0 == 503).then_some(()));
    let job = "{\"kind\":\"noop\",\"payload\":{}}";
    let (head, _) = crate::site::exchange("POST", &api.door, "/v1/jobs", &[], job);
    assert!(head.starts_with("HTTP/1.1 202"), "it goes on taking jobs: {head}");
    assert!(
        head.to_lowercase().contains("connection: close"),
        "who keeps connections makes a new one: {head}"
    );
    api.running.end().well();
}

#[test]
fn every_program_ends_well_on_either_signal() {
    let site = Site::new();
    for signal in ["TERM", "INT"] {
        for part in [site.api(), site.worker(&[]), site.scheduler()] {
            part.until_ready(true);
            part.running.signal(signal);
            part.running.end().well();
        }
    }
}
