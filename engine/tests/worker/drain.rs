//! Stopping is free (promise 6), and many workers do each job once.

use std::sync::atomic::Ordering;

use windlass_engine::{NewJob, State};

use crate::bench::{Bench, soon};
use crate::toys::{Count, Hang, TOYS};

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_runs_and_gives_back_what_waits() {
    let bench = Bench::new();
    let workers = bench.work_with(TOYS, 2);
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(bench.enqueue(NewJob::of(&Hang { polite: false }, &bench.clock)).await);
    }
    soon(async || (bench.toybox.started.load(Ordering::Relaxed) == 2).then_some(())).await.unwrap();
    workers.stop.cancel();
    bench.toybox.go.add_permits(2);
    workers.drained().await;

    let mut states = Vec::new();
    for id in &ids {
        let job = bench.get(id).await;
        states.push(job.state);
        assert_eq!(job.attempt, u32::from(job.state == State::Completed), "{job:?}");
    }
    assert_eq!(states.iter().filter(|state| **state == State::Completed).count(), 2);
    assert_eq!(states.iter().filter(|state| **state == State::Ready).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hurried_drain_gives_back_what_runs_without_using_an_attempt() {
    let bench = Bench::new();
    let workers = bench.work();
    let id = bench.enqueue(NewJob::of(&Hang { polite: false }, &bench.clock)).await;
    soon(async || (bench.toybox.started.load(Ordering::Relaxed) == 1).then_some(())).await.unwrap();
    workers.stop.cancel();
    workers.hurry.cancel();
    workers.drained().await;
    let job = bench.get(&id).await;
    assert_eq!((job.state, job.attempt), (State::Ready, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_jobs_and_three_workers_run_each_once() {
    let bench = Bench::new();
    let workers = [bench.work_with(TOYS, 8), bench.work_with(TOYS, 8), bench.work_with(TOYS, 8)];
    for _ in 0..10 {
        let jobs = (0..1_000).map(|_| NewJob::of(&Count { by: 1 }, &bench.clock)).collect();
        bench.store.enqueue(jobs).await.unwrap();
    }
    let done = soon(async || {
        let queue = bench.store.stats().await.unwrap().remove(0);
        (queue.counts.completed == 10_000).then_some(())
    });
    done.await.expect("all of them complete");
    assert_eq!(bench.toybox.counted.load(Ordering::Relaxed), 10_000);
    for workers in workers {
        workers.drained().await;
    }
    for queue in bench.store.audit().await.unwrap() {
        assert!(queue.balanced(), "{queue:?}");
    }
}
