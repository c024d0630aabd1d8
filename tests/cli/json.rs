//! `--json`: exactly one document on stdout, whatever happens.

use serde_json::Value;

use crate::process::Place;

#[test]
fn every_command_that_succeeds_answers_with_one_document() {
    let place = Place::new();
    place.run(&["enqueue", "noop", "--id", "n1", "--json"]).well().json();
    for args in [
        &["check"][..],
        &["enqueue", "noop", "--id", "n2"],
        &["jobs", "list"],
        &["jobs", "show", "n1"],
        &["jobs", "why", "n1"],
        &["jobs", "cancel", "n1"],
        &["jobs", "retry", "n1"],
        &["audit"],
        &["findings", "list", "--type", "long", "--state", "open"],
        &["reconciliations", "list"],
        &["reconciliations", "run", "2026-01-05", "--again"],
        &["queues", "list"],
        &["queues", "set", "haier", "--rate", "20/s", "--concurrency", "4"],
        &["queues", "pause", "haier"],
        &["queues", "resume", "haier"],
        &["products", "list"],
        &["products", "syncs"],
        &["products", "balances"],
        &["demo", "--count", "2", "--speed", "7200", "--exit"],
    ] {
        let told = place.run(&[args, &["--json"]].concat()).well().json();
        assert!(told.is_object(), "{args:?} answers {told}");
    }
}

#[test]
fn every_command_that_fails_answers_with_one_document_that_says_why() {
    let place = Place::new();
    for args in [
        &["check", "--data", "/dev/null/x"][..],
        &["enqueue", "polish_brass"],
        &["jobs", "show", "nobody"],
        &["jobs", "list", "--limit", "0"],
        &["findings", "show", "nobody"],
        &["findings", "list", "--type", "ugly"],
        &["findings", "assign", "nobody", "li"],
        &["findings", "resolve", "nobody", "--reason", "seen", "--adjustment-fen", "-5"],
        &["reconciliations", "show", "2026-01-05"],
        &["reconciliations", "run", "yesterday"],
        &["queues", "set", "haier", "--rate", "fast"],
        &["products", "show", "NOTHING"],
        &["audit", "--server", "http://127.0.0.1:1"],
        &["demo", "--orders", "missing.csv"],
        &["up", "--data", "/dev/null/x", "--listen", "127.0.0.1:0"],
    ] {
        let ended = place.run(&[args, &["--json"]].concat());
        assert_ne!(ended.code, Some(0), "{args:?}");
        let told = ended.json();
        assert!(told["error"].as_str().is_some_and(|why| !why.is_empty()), "{args:?} answers {told}");
    }
}

#[test]
fn the_sandbox_alone_tells_its_addresses() {
    let place = Place::new();
    let mut sandbox = place.start(place.command(&["sandbox", "--port", "0", "--json"]));
    let told: Value = sandbox.until("it tells its addresses", |_| {
        serde_json::from_str(&std::fs::read_to_string(place.path("0.out")).unwrap()).ok()
    });
    assert!(told["addresses"]["control"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{told}");
    sandbox.terminate();
    sandbox.end().well();
}
