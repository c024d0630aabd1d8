//! Jobs that are not taken, and jobs that are not there: without a server, straight on the data folder.

use std::io::Write;
use std::process::Stdio;

use crate::process::Place;

#[test]
fn a_job_that_is_refused_is_told_why_and_not_stored() {
    let place = Place::new();
    place.run(&["enqueue", "polish_brass"]).says(1, &["polish_brass", "no such kind"]);
    place.run(&["enqueue", "sleep", r#"{"ms":"long"}"#]).says(1, &["/ms"]);
    place.run(&["enqueue", "sleep", "{}"]).says(1, &["ms"]);
    place.run(&["enqueue", "noop", r#"{"speed":1}"#]).says(1, &["speed"]);
    place.run(&["enqueue", "noop", "{not json"]).says(1, &["not JSON"]);
    place.run(&["enqueue", "noop", "--id", "white space"]).says(1, &["job id"]);
    place.run(&["enqueue", "noop", "--queue", "cellar"]).says(1, &["cellar"]);
    place.run(&["enqueue", "noop", "--priority", "urgent"]).says(1, &["urgent"]);
    let listed = place.run(&["jobs", "list", "--json"]).well().json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 0, "{listed}");
}

#[test]
fn a_payload_may_come_from_standard_input_and_is_there_for_the_next_command() {
    let place = Place::new();
    // An id with a slash is one part of its address.
    let mut command = place.command(&["enqueue", "sleep", "-", "--id", "nap/1", "--json"]);
    let (read, mut write) = std::io::pipe().unwrap();
    command.stdin(Stdio::from(read));
    let running = place.start(command);
    write.write_all(br#"{"ms":1}"#).unwrap();
    drop(write);
    assert_eq!(running.end().well().json()["id"], "nap/1");
    let shown = place.run(&["jobs", "show", "nap/1", "--json"]).well().json();
    assert_eq!((&shown["state"], &shown["payload"]["ms"]), (&"ready".into(), &1.into()), "{shown}");
    assert!(place.run(&["jobs", "why", "nap/1"]).well().out.len() > 5);
    let cancelled = place.run(&["jobs", "cancel", "nap/1", "--json"]).well().json();
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    let again = place.run(&["jobs", "retry", "nap/1", "--json"]).well().json();
    assert_eq!(again["state"], "ready", "{again}");
}

#[test]
fn a_job_that_is_not_there_is_told() {
    let place = Place::new();
    for act in ["show", "why", "retry", "cancel"] {
        place.run(&["jobs", act, "nobody"]).says(1, &["nobody"]);
    }
    place.run(&["jobs", "list", "--state", "lost"]).says(1, &["completed"]);
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    let place = Place::new();
    place
        .run(&["jobs", "list", "--server", "http://127.0.0.1:1"])
        .says(1, &["no answer from http://127.0.0.1:1"]);
    assert!(!place.data().exists(), "the data folder was opened although a server was named");
}
