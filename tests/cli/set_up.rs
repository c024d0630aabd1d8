//! Schedules and variables that are wrong: exit code 2, and the place of every fault.

use std::path::Path;

use crate::process::Place;
use crate::process::wait::until;

const TYPO: &str =
    "[tidy]\ncron = \"0 * * * * *\"\njobb = \"noop\"\n\n[sweep]\ncron = \"every day\"\njob = \"noop\"\n";

#[test]
fn a_typo_in_a_schedule_file_is_told_by_file_and_line() {
    let place = Place::new();
    place.file("schedules/mine.toml", TYPO);
    for args in [&["up", "--listen", "127.0.0.1:0"][..], &["demo", "--count", "1", "--exit"], &["check"]] {
        let mut command = place.command(args);
        command.env("WINDLASS_SCHEDULES", "schedules");
        let told = place.start(command).end();
        told.says(2, &["schedules/mine.toml:3", "jobb", "schedules/mine.toml:6", "every day"]);
    }
}

#[test]
fn an_unknown_variable_of_ours_is_named() {
    let place = Place::new();
    for args in [&["up"][..], &["check"], &["demo", "--exit"], &["enqueue", "noop"]] {
        let mut command = place.command(args);
        command.env("WINDLASS_SLOTZ", "3");
        place.start(command).end().says(2, &["WINDLASS_SLOTZ", "no such variable", ".env.example"]);
    }
    assert!(!place.data().exists());
}

#[test]
fn the_server_may_be_named_by_a_variable() {
    let place = Place::new();
    let up = place.up();
    let mut command = place.command(&["enqueue", "noop", "--wait", "20"]);
    command.env("WINDLASS_SERVER", &up.door);
    let told = place.start(command).end().well();
    assert!(told.out.contains("completed"), "{told:?}");
}

#[test]
fn a_wrong_command_line_is_the_users_fault() {
    let place = Place::new();
    for args in [&["upp"][..], &["demo", "--faults", "hail"], &["up", "--listen", "here"], &["enqueue"]] {
        place.run(args).says(2, &["--help"]);
    }
}

#[test]
fn check_finds_a_good_set_up_good_with_and_without_a_server() {
    let place = Place::new();
    assert!(place.run(&["check"]).well().out.contains("all is well"));
    let up = place.up();
    let address = up.door.trim_start_matches("http://");
    until("the server becomes ready", || {
        (place.run(&["health", "--url", &up.door]).code == Some(0)).then_some(())
    });
    let checked = place.run(&["check", "--listen", address, "--json"]).well().json();
    assert_eq!(checked["ok"], true, "{checked}");
}

#[test]
fn check_tells_everything_that_is_wrong_at_once() {
    let place = Place::new();
    place.file("schedules/mine.toml", TYPO);
    place.file("data/queue.db", &"no database ".repeat(20));
    place.file("data/ledger.db", &"no database ".repeat(20));
    let mut command = place.command(&["check", "--json"]);
    command.env("WINDLASS_SCHEDULES", "schedules");
    let told = place.start(command).end();
    told.says(2, &["mine.toml:3", "mine.toml:6", "queue.db", "ledger.db"]);
    let error = told.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("queue.db") && error.contains("ledger.db"), "{error}");
}

#[test]
fn a_missing_folder_of_schedules_is_named() {
    let place = Place::new();
    let mut command = place.command(&["check"]);
    command.env("WINDLASS_SCHEDULES", Path::new("nowhere"));
    place.start(command).end().says(2, &["nowhere"]);
}
