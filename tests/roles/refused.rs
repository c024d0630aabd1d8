//! What cannot work is told before anything starts, with what to do about it.

use std::net::TcpListener;

use windlass_servers::{Postgres, Redis};

use crate::process::Place;
use crate::site::Site;

/// A worker takes its port before it looks at the stores, and another may run on this host.
const WORKER: &[&str] = &["worker", "--metrics-listen", "127.0.0.1:0"];

#[test]
fn roles_of_their_own_on_files_are_refused_with_what_to_set() {
    let place = Place::new();
    for role in ["api", "worker", "scheduler"] {
        place.run(&[role]).says(2, &["QUEUE_URL=redis://", "DATABASE_URL=postgres://", "windlass up"]);
    }
    assert!(!place.data().exists());
    let site = Site::new();
    let mut command = site.command(&["worker"]);
    command.env_remove("DATABASE_URL");
    let told = site.place.start(command).end();
    told.says(2, &["DATABASE_URL=postgres://"]);
    assert!(!told.err.contains("QUEUE_URL="), "{told:?}");
}

#[test]
fn an_unknown_queue_is_named_beside_those_that_there_are() {
    let site = Site::new();
    site.run(&["worker", "--queues", "orders,haeir"]).says(2, &["haeir", "haier", "--queues"]);
    site.run(&["worker", "--queues", "orders=none"]).says(2, &["WINDLASS_QUEUES", "orders=none"]);
}

#[test]
fn a_taken_port_is_told_with_the_setting_that_chooses_another() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for role in ["worker", "scheduler"] {
        let told = site.run(&[role, "--metrics-listen", &address]);
        told.says(1, &[&address, "--metrics-listen", "WINDLASS_METRICS_LISTEN", role]);
    }
    let told = site.run(&["api", "--listen", &address]);
    told.says(1, &[&address, "another Windlass", "--listen", "WINDLASS_LISTEN"]);
}

#[test]
fn a_carrier_of_another_ledger_is_refused_by_every_command_that_opens_it() {
    let mut site = Site::new();
    site.run(&["check"]).well();
    site.database = Postgres::fresh_database();
    for command in
        [&["up", "--listen", "127.0.0.1:0"][..], &["api", "--listen", "127.0.0.1:0"], WORKER, &["check"]]
    {
        site.run(command).says(2, &["belongs to the ledger", "QUEUE_NAMESPACE", "DATABASE_URL"]);
    }
    // A namespace of its own is another carrier on the same server.
    let mut command = site.command(&["check"]);
    command.env("QUEUE_NAMESPACE", "second");
    site.place.start(command).end().well();
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    let redis = Redis::with(&["--requirepass", "right-one"]);
    let place = Place::new();
    let database = Postgres::fresh_database();
    for wrong in ["redis://:wr0ng-one@127.0.0.1", "redis://127.0.0.1"] {
        let mut command = place.command(WORKER);
        command.env("QUEUE_URL", format!("{wrong}:{}/0", redis.port())).env("DATABASE_URL", &database);
        let told = place.start(command).end();
        assert_eq!(told.code, Some(1), "{told:?}");
        assert!(told.err.contains("password") && !told.err.contains("wr0ng-one"), "{told:?}");
    }
    let mut command = place.command(&["check"]);
    command.env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", redis.port().to_string());
    command.env("REDIS_PASSWORD_FILE", place.file("secret", "right-one\n")).env("DATABASE_URL", &database);
    let told = place.start(command).end().well();
    assert!(!told.out.contains("right-one"), "{told:?}");
}

#[test]
fn a_redis_that_would_lose_jobs_is_refused() {
    let mut site = Site::new();
    let redis = Redis::with(&["--maxmemory-policy", "allkeys-lru"]);
    site.queue_url = redis.url();
    site.run(WORKER).says(2, &["noeviction"]);
    site.run(&["check"]).says(2, &["noeviction"]);
}

#[test]
fn check_says_what_the_stores_promise_and_migrate_where_the_schema_is() {
    let site = Site::new();
    let checked = site.run(&["check"]).well().out;
    for words in [
        "Redis ",
        "appendfsync",
        "PostgreSQL ",
        "synchronous_commit on",
        "schema at step",
        "is this ledger's",
    ] {
        assert!(checked.contains(words), "{words:?} is not in:\n{checked}");
    }
    let migrated = site.run(&["migrate", "--json"]).well().json();
    assert!(migrated["schema"].as_i64().unwrap() > 0 && migrated["id"].is_string(), "{migrated}");
}

#[test]
fn check_tells_both_stores_that_do_not_answer_at_once() {
    let mut site = Site::new();
    site.queue_url = "redis://127.0.0.1:1/0".to_owned();
    site.database = "postgres://nobody:s3cr3t@127.0.0.1:1/none".to_owned();
    let told = site.run(&["check"]);
    told.says(2, &["carrier redis://127.0.0.1:1/0", "ledger postgres://nobody@127.0.0.1:1/none"]);
    assert!(!told.err.contains("s3cr3t"), "{told:?}");
}
