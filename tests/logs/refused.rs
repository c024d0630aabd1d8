//! Log settings that cannot work are told before anything runs.

use std::fs;

use crate::process::Place;

#[test]
fn a_folder_that_cannot_be_written_is_refused_at_the_start_and_by_check() {
    let place = Place::new();
    let file = place.file("a-file", "");
    for args in [&["up", "--listen", "127.0.0.1:0"][..], &["check"]] {
        let mut command = place.command(args);
        command.env("WINDLASS_LOG_DIR", format!("{file}/logs"));
        place.start(command).end().says(2, &["log files", "a-file/logs", "WINDLASS_LOG_DIR"]);
    }
    assert!(!place.data().join("queue.db").exists() || !place.data().join("queue.db-wal").exists());
}

#[test]
fn bounds_that_cannot_hold_are_told_all_at_once() {
    let place = Place::new();
    let mut check = place.command(&["check"]);
    check.env("WINDLASS_LOG_DIR", place.path("logs")).env("WINDLASS_LOG_FILE_MB", "512");
    check.env("WINDLASS_LOG_TOTAL_MB", "1024").env("WINDLASS_AUDIT_KEEP_DAYS", "30");
    check.env("WINDLASS_LOG_KEEP_DAYS", "0").env("WINDLASS_SLOW_QUERY_MS", "soon");
    place.start(check).end().says(
        2,
        &[
            "WINDLASS_LOG_TOTAL_MB: 1024 is less than the 4 files of 512 MB",
            "WINDLASS_AUDIT_KEEP_DAYS: 30 is not from 90",
            "WINDLASS_LOG_KEEP_DAYS: 0 is not from 1",
            "WINDLASS_SLOW_QUERY_MS: \"soon\" is not a whole number",
        ],
    );
    assert!(!place.path("logs").exists());
}

#[test]
fn check_says_where_the_files_go_and_leaves_none() {
    let place = Place::new();
    let mut check = place.command(&["check", "--json"]);
    check.env("WINDLASS_LOG_DIR", place.path("logs"));
    let told = place.start(check).end().well().json();
    assert!(told["checked"].to_string().contains("log files in"), "{told}");
    assert_eq!(fs::read_dir(place.path("logs")).unwrap().count(), 0);
}
