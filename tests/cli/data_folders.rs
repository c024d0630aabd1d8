//! Data folders that cannot be used, and ports that are taken.

use std::fs;
use std::net::TcpListener;

use crate::process::Place;

const NO_DATABASE: &str =
    "Dear diary, this is no database. Nor is it short enough to be taken for an empty one.";

#[test]
fn a_taken_port_is_told_before_any_file_is_touched() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place.run(&["up", "--listen", &address]).says(1, &[&address, "--listen"]);
    assert!(!place.data().exists(), "a process that cannot serve made files");
}

#[test]
fn a_data_folder_that_cannot_be_made_is_told_with_the_way_out() {
    let place = Place::new();
    place.file("plain", "a file");
    for command in [
        &["up", "--listen", "127.0.0.1:0"][..],
        &["demo", "--count", "1", "--exit"],
        &["enqueue", "noop"],
        &["audit"],
    ] {
        let args = [command, &["--data", "plain/below"]].concat();
        place.run(&args).says(1, &["plain/below", "--data"]);
    }
    place.run(&["check", "--data", "plain/below"]).says(2, &["plain/below"]);
    assert_eq!(fs::read_to_string(place.path("plain")).unwrap(), "a file");
}

#[test]
fn a_file_that_is_no_database_is_named_and_left_as_it_is() {
    for name in ["queue.db", "ledger.db"] {
        let place = Place::new();
        let file = place.file(&format!("data/{name}"), NO_DATABASE);
        for command in [&["up", "--listen", "127.0.0.1:0"][..], &["enqueue", "noop"], &["jobs", "list"]] {
            place.run(command).says(1, &[name, "is not a database"]);
        }
        place.run(&["check"]).says(2, &[name, "is not a database"]);
        assert_eq!(fs::read_to_string(file).unwrap(), NO_DATABASE);
    }
}

#[test]
fn a_second_process_on_the_same_data_is_refused_and_disturbs_nothing() {
    let place = Place::new();
    let up = place.up();
    let id =
        place.run(&["enqueue", "sleep", r#"{"ms":600000}"#, "--server", &up.door, "--json"]).well().json();
    let id = id["id"].as_str().unwrap();
    for command in [&["up", "--listen", "127.0.0.1:0"][..], &["jobs", "list"]] {
        place.run(command).says(1, &["another process has", "stop it"]);
    }
    let show = place.run(&["jobs", "show", id, "--server", &up.door, "--json"]).well().json();
    assert!(["ready", "running"].contains(&show["state"].as_str().unwrap()), "{show}");
    place.run(&["audit", "--server", &up.door]).well();
}

#[test]
fn a_second_demo_in_a_folder_is_refused_and_clears_nothing_away() {
    let place = Place::new();
    let mut first = place.start(place.command(&["demo", "--count", "2", "--speed", "7200", "--json"]));
    let is_there = place.data().join("demo/queue.db");
    first.until("its files are there", |_| is_there.exists().then_some(()));
    place.run(&["demo", "--count", "2", "--exit"]).says(1, &["another process", "--data"]);
    assert!(is_there.exists());
    // It ends, although it was disturbed, and then stays up.
    first.until("its summary", |_| {
        fs::read_to_string(place.path("0.out")).unwrap().contains("books").then_some(())
    });
    place.run(&["demo", "--count", "2", "--exit"]).says(1, &["another process", "--data"]);
    assert!(is_there.exists(), "the files of a demo that stays up were cleared away");
    first.terminate();
    first.end().well();
}
