//! `windlass up` and the commands beside it.

use serde_json::Value;

use crate::process::{Ended, Place, Up};

fn ask(place: &Place, up: &Up, args: &[&str]) -> Ended {
    place.run(&[args, &["--json", "--server", &up.door]].concat())
}

fn state(job: &Value) -> &str {
    job["state"].as_str().unwrap()
}

#[test]
fn jobs_are_run_looked_at_retried_and_cancelled_and_the_books_balance() {
    let place = Place::new();
    let up = place.up();
    let ask = |args: &[&str]| ask(&place, &up, args).well().json();

    let done = ask(&["enqueue", "flaky", r#"{"fail_attempts":1}"#, "--id", "f1", "--wait", "20"]);
    assert_eq!((state(&done), &done["attempt"]), ("completed", &2.into()), "{done}");

    let dead =
        ask(&["enqueue", "panic", "--id", "p1", "--max-attempts", "1", "--tag", "demo:1", "--wait", "20"]);
    assert_eq!(state(&dead), "dead", "{dead}");
    assert!(dead["errors"].to_string().contains("on purpose"), "{dead}");
    let listed = ask(&["jobs", "list", "--state", "dead", "--tag", "demo:1"]);
    assert_eq!(listed["jobs"][0]["id"], "p1", "{listed}");
    assert_ne!(state(&ask(&["jobs", "retry", "p1"])), "completed");
    let dead = ask(&["jobs", "show", "p1"]);
    assert_eq!(dead["kind"], "panic", "{dead}");

    let later = ask(&["enqueue", "noop", "--id", "n1", "--delay-seconds", "3600"]);
    assert_eq!(state(&later), "scheduled", "{later}");
    assert!(ask(&["jobs", "why", "n1"])["why"].as_str().unwrap().len() > 5);
    assert_eq!(state(&ask(&["jobs", "cancel", "n1"])), "cancelled");

    let audit = ask(&["audit"]);
    assert_eq!(audit["balanced"], true, "{audit}");
    let queues = audit["queues"].as_array().unwrap();
    let ours = queues.iter().find(|queue| queue["queue"] == "diagnostics").unwrap();
    assert_eq!(ours["accepted"], 3, "{audit}");
}

#[test]
fn sigterm_lets_what_runs_end_and_keeps_what_waits() {
    let place = Place::new();
    let up = place.up();
    ask(&place, &up, &["enqueue", "sleep", r#"{"ms":1500}"#, "--id", "s1"]).well();
    ask(&place, &up, &["enqueue", "noop", "--id", "later", "--delay-seconds", "3600"]).well();
    while state(&ask(&place, &up, &["jobs", "show", "s1"]).well().json()) == "ready" {}
    up.running.terminate();
    up.running.end().well();
    // The next process finds what the first left: straight in the data folder.
    let slept = place.run(&["jobs", "show", "s1", "--json"]).well().json();
    assert_eq!((state(&slept), &slept["attempt"]), ("completed", &1.into()), "{slept}");
    assert_eq!(state(&place.run(&["jobs", "show", "later", "--json"]).well().json()), "scheduled");
    place.run(&["audit"]).well();
}

#[test]
fn what_was_accepted_before_a_kill_runs_after_it() {
    let place = Place::new();
    let up = place.up();
    for nth in 0..5 {
        let id = format!("s{nth}");
        ask(&place, &up, &["enqueue", "sleep", r#"{"ms":300}"#, "--id", &id, "--delay-seconds", "1"]).well();
    }
    up.running.kill();
    let up = place.up();
    for nth in 0..5 {
        let id = format!("s{nth}");
        // Sent again under the same id it is still one job.
        let job = ask(
            &place,
            &up,
            &["enqueue", "sleep", r#"{"ms":300}"#, "--id", &id, "--delay-seconds", "1", "--wait", "30"],
        );
        assert_eq!(state(&job.well().json()), "completed");
    }
    let audit = ask(&place, &up, &["audit"]).well().json();
    assert_eq!(
        audit["queues"].as_array().unwrap().iter().find(|q| q["queue"] == "diagnostics").unwrap()["accepted"],
        5
    );
}

#[test]
fn nothing_is_for_people_on_stdout_when_a_document_is_asked_for() {
    let place = Place::new();
    let up = place.up();
    up.running.terminate();
    let ended = up.running.end().well();
    assert!(ended.json()["sandbox"]["control"].is_string(), "{ended:?}");
}
