//! `windlass bench`: its one document, and that it leaves nothing behind.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::process::{Ended, Place};

/// What surface.md promises of the document, in its order.
const SHAPE: [(&str, &[&str]); 7] = [
    ("store", &[]),
    ("enqueue_per_s", &["single", "concurrent", "batch", "http"]),
    ("drain_per_s", &[]),
    ("latency_ms", &["p50", "p99"]),
    ("ceiling_per_s", &["enqueue", "drain", "http"]),
    ("ratio", &["enqueue_batch", "drain", "http"]),
    ("", &[]),
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
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(told).len(), SHAPE.len() - 1, "{told}");
    assert_eq!(told["store"], store);
    for (name, parts) in SHAPE.iter().filter(|(name, _)| !["", "store"].contains(name)) {
        let figures: Vec<_> = match parts {
            [] => vec![&told[name]],
            parts => {
                assert_eq!(names(&told[name]).len(), parts.len(), "{told}");
                parts.iter().map(|part| &told[name][part]).collect()
            }
        };
        assert!(
            figures.iter().all(|figure| figure.as_f64().is_some_and(|figure| figure > 0.0)),
            "{name}: {told}"
        );
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
    assert!(ended.out.contains(place.data().to_str().unwrap()), "not told where it measured: {ended:#?}");
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
        fs::read_to_string(place.path("0.err")).unwrap().contains("enqueue, one caller").then_some(())
    });
    running.terminate();
    running.end().says(1, &["stopped before the end"]);
    is_empty(&place.path("tmp"));
}

#[test]
fn production_is_measured_only_when_that_is_said_twice() {
    let place = Place::new();
    let ended = bench(&place, &["--json"], &[("WINDLASS_ENV", "production")]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    is_empty(&place.path("tmp"));
}
