//! The servers answer, keep their files over a restart, and hand out databases of their own.

use windlass_servers::{Postgres, Redis, psql};

#[test]
fn redis_keeps_what_it_was_told_over_a_kill() {
    let mut redis = Redis::start();
    assert_eq!(redis.cli(&["set", "k", "v"]).trim(), "OK");
    redis.kill();
    redis.start_again();
    assert_eq!(redis.cli(&["get", "k"]).trim(), "v");
}

#[test]
fn postgres_keeps_what_it_was_told_over_a_kill() {
    let mut postgres = Postgres::start();
    let url = postgres.create_database("shop");
    psql(&url, "CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (7)");
    postgres.kill();
    postgres.start_again();
    assert_eq!(psql(&url, "SELECT a FROM t"), "7");
}

#[test]
fn each_fresh_database_is_empty_and_its_own() {
    let (one, other) = (Postgres::fresh_database(), Postgres::fresh_database());
    psql(&one, "CREATE TABLE t (a BIGINT)");
    psql(&other, "CREATE TABLE t (a BIGINT)");
    assert_eq!(psql(&one, "SELECT 'ä' < 'z'"), "f", "ordered by bytes");
}
