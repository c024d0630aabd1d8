//! That SQLite walks the indexes that the schema made for its statements: what a change of a text, of the schema or
//! of SQLite itself can silently end.

use rusqlite::Connection;

fn plan(sql: &str) -> String {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(include_str!("schema.sql")).unwrap();
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = explain.raw_query();
    let mut plan = String::new();
    while let Some(row) = rows.next().unwrap() {
        plan += &row.get::<_, String>(3).unwrap();
        plan.push('\n');
    }
    plan
}

#[test]
fn the_oldest_finished_jobs_are_found_without_sorting() {
    let plan = plan(super::prune::OLDEST);
    assert!(plan.contains("job_finished (queue=? AND state=? AND done_at<?)"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn the_audit_counts_from_the_indexes_alone() {
    for sql in super::read::COUNTING {
        let plan = plan(sql);
        assert!(plan.contains("COVERING INDEX"), "{sql}: {plan}");
    }
}

#[test]
fn pages_are_read_from_an_index_in_its_order() {
    for (state, sql) in super::list::walks() {
        let plan = plan(sql);
        assert!(plan.contains("SEARCH job"), "{state:?}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{state:?}: {plan}");
    }
}

#[test]
fn reserving_searches_the_ready_jobs_of_one_queue_and_priority() {
    let plan = plan(super::reserve::TAKE);
    assert!(plan.contains("job_ready (queue=? AND priority=?)"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}
