//! How attempts end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use windlass_engine::store::{Action, FaultCause};
use windlass_engine::{NewJob, State};

use crate::bench::{Bench, soon};
use crate::toys::{Count, Fail, Hang, OLD_TOYS, Spawn, TOYS, Tell};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread")]
async fn a_job_completes_with_its_result_and_whoever_asked_is_told() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Count { by: 7 }, &bench.clock)).await;
    let job = bench.until(&id, State::Completed).await;
    assert_eq!((job.result, job.attempt), (Some(7.into()), 1));
    let told = soon(async || bench.ended.lock().unwrap().first().cloned()).await.unwrap();
    assert_eq!((told.id, told.state, told.in_outbox), (id, State::Completed, false));
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_retried_after_its_back_off_until_its_attempts_are_used() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Fail::Plainly, &bench.clock)).await;
    for attempt in 1..3 {
        let job = bench.until(&id, State::Retrying).await;
        assert_eq!(job.attempt, attempt);
        assert!(job.run_at > bench.clock.now(), "a retry is not a hot loop");
        bench.clock.advance(HOUR);
        soon(async || (bench.get(&id).await.attempt > attempt).then_some(())).await.unwrap();
    }
    let job = bench.until(&id, State::Dead).await;
    let faults: Vec<_> = job.faults.iter().map(|fault| (fault.attempt, fault.message.as_str())).collect();
    assert_eq!(faults, [(1, "no such luck"), (2, "no such luck"), (3, "no such luck")]);
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failed_attempt_and_says_where() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Fail::Panicking, &bench.clock)).await;
    let job = bench.until(&id, State::Retrying).await;
    assert_eq!(job.faults[0].cause, FaultCause::Panic);
    let message = &job.faults[0].message;
    assert!(message.contains("toys.rs:") && message.contains("the roof is on fire"), "{message}");
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_too_long_is_a_failed_attempt() {
    let bench = Bench::new();
    let workers = bench.work();
    let mut job = NewJob::of(&Hang { polite: false }, &bench.clock);
    job.envelope.timeout_ms = Some(20);
    let id = bench.enqueue(job).await;
    let job = bench.until(&id, State::Retrying).await;
    assert_eq!(job.faults[0].cause, FaultCause::Timeout);
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_jobs_fault_uses_no_attempt_however_often_it_happens() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Fail::Shaken, &bench.clock)).await;
    for time in 1..=5 {
        let job = bench.until(&id, State::Scheduled).await;
        assert_eq!((job.attempt, job.faults.len()), (0, 0));
        assert!(job.run_at > bench.clock.now(), "it is no hot loop");
        bench.clock.advance(HOUR);
        let started = || bench.toybox.started.load(Ordering::Relaxed);
        soon(async || (started() > time).then_some(())).await.unwrap();
    }
    let id = bench.enqueue(NewJob::of(&Fail::ShakenForGood, &bench.clock)).await;
    assert_eq!(bench.until(&id, State::Dead).await.attempt, 1, "a verdict for good stays");
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verdict_does_what_it_says() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Fail::ForGood, &bench.clock)).await;
    assert_eq!(bench.until(&id, State::Dead).await.attempt, 1);

    let id = bench.enqueue(NewJob::of(&Fail::Unwanted, &bench.clock)).await;
    assert_eq!(bench.until(&id, State::Cancelled).await.faults[0].message, "nobody wants it");

    let id = bench.enqueue(NewJob::of(&Fail::RetryAfterHour, &bench.clock)).await;
    assert_eq!(bench.until(&id, State::Retrying).await.run_at, bench.clock.now() + HOUR);

    let id = bench.enqueue(NewJob::of(&Fail::Snoozing, &bench.clock)).await;
    let job = bench.until(&id, State::Scheduled).await;
    assert_eq!((job.run_at, job.attempt), (bench.clock.now() + HOUR, 0), "a snooze uses no attempt");
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_does_not_decode_is_dead_with_the_reason() {
    let bench = Bench::new();
    let workers = bench.work();
    let mut job = NewJob::of(&Count { by: 1 }, &bench.clock);
    job.envelope.payload = serde_json::value::RawValue::from_string(r#"{"by":"many"}"#.to_owned()).unwrap();
    let id = bench.enqueue(job).await;
    let job = bench.until(&id, State::Dead).await;
    assert_eq!(job.faults[0].cause, FaultCause::Undecodable);
    assert!(job.faults[0].message.contains("expected u32"), "{}", job.faults[0].message);
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_a_worker_does_not_know_waits_unharmed_for_one_that_does() {
    let bench = Bench::new();
    let old = bench.work_with(OLD_TOYS, 4);
    let id = bench.enqueue(NewJob::of(&Count { by: 1 }, &bench.clock)).await;
    let job = bench.until(&id, State::Scheduled).await;
    assert_eq!(job.attempt, 0);
    old.drained().await;

    let new = bench.work_with(TOYS, 4);
    bench.clock.advance(HOUR);
    assert_eq!(bench.until(&id, State::Completed).await.attempt, 1);
    new.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_ups_come_with_the_completion_and_know_their_parent() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Spawn { children: 50 }, &bench.clock)).await;
    soon(async || (bench.toybox.counted.load(Ordering::Relaxed) == 50).then_some(())).await.unwrap();
    let filter =
        windlass_engine::store::Filter { kind: Some("count".into()), limit: 100, ..Default::default() };
    let children = bench.store.list(filter).await.unwrap().jobs;
    assert_eq!(children.len(), 50);
    assert!(children.iter().all(|child| child.envelope.parent.as_ref() == Some(&id)));
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_sees_that_it_is_cancelled() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Hang { polite: true }, &bench.clock)).await;
    bench.until(&id, State::Running).await;
    bench.store.act(Action::Cancel, vec![id.clone()]).await.unwrap();
    let job = bench.until(&id, State::Cancelled).await;
    assert_eq!(job.faults[0].message, "was asked to");
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_listen_is_dropped_after_its_grace() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Hang { polite: false }, &bench.clock)).await;
    bench.until(&id, State::Running).await;
    bench.store.act(Action::Cancel, vec![id.clone()]).await.unwrap();
    bench.until(&id, State::Cancelled).await;
    workers.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_and_log_are_seen_while_the_job_runs() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Tell {}, &bench.clock)).await;
    let notes = soon(async || {
        let job = bench.get(&id).await;
        (job.state == State::Running && job.notes.progress.is_some()).then_some(job.notes)
    });
    let notes = notes.await.expect("notes come while it runs");
    assert_eq!(notes.progress.map(|progress| (progress.done, progress.total)), Some((3, 10)));
    assert_eq!(notes.log, ["the third chunk was large"]);
    bench.toybox.go.add_permits(1);
    assert_eq!(bench.until(&id, State::Completed).await.notes.log.len(), 1);
    workers.drained().await;
}
