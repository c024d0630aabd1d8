//! Runs that are interrupted, refused, too long.

use std::time::Duration;

use serde_json::json;
use windlass_engine::gate::{GateRules, Pause, Rate};
use windlass_engine::store::Filter;
use windlass_engine::{Priority, State, Store};
use windlass_jobs::suppliers::sync_run::{SyncKind, SyncState, sync_runs};
use windlass_jobs::suppliers::{SyncPrices, SyncProducts};
use windlass_testing::{Engine, NOON, on_every_engine};

use crate::site::{Site, goods};

on_every_engine! {
    an_interrupted_run_goes_on_where_it_was_and_asks_nothing_twice,
    a_run_that_takes_too_long_makes_room_for_the_next,
    a_plan_beside_a_run_that_works_begins_no_second_one,
}

const ALL: SyncProducts = SyncProducts { discover: true, codes: vec![] };

async fn an_interrupted_run_goes_on_where_it_was_and_asks_nothing_twice(engine: Engine) {
    let mut site = Site::open(engine, goods(1_000)).await;
    // So slow that there is a middle to be interrupted in.
    let rate = Rate { jobs: 100, per_ms: 1_000, burst: 5 };
    let rules = GateRules { rate: Some(rate), ..GateRules::default() };
    site.store.set_gate("haier", rules).await.expect("set");
    site.work();
    let run = site.run(&ALL).await.expect("planned")["run"].as_str().expect("a run").to_owned();
    site.look("half of the run", async || site.sync_run(&run).await.filter(|run| run.done >= run.chunks / 2))
        .await;
    site.rest().await;
    let (half, asked) = (site.sync_run(&run).await.expect("there"), site.sandbox.calls().haier_reads);
    assert!(half.done < half.chunks, "{half:?}");
    assert_eq!(half.state, SyncState::Running);
    // The list, and a call for each chunk that is done: a stop gives no call up half-way.
    assert_eq!(asked, 1 + half.done as u64);

    site.lose_carrier();
    site.work();
    // One that has codes of its own waits until it may begin.
    let waiting = site.enqueue(&SyncProducts { discover: false, codes: vec!["FAKE09999".into()] }).await.id;
    let told = site.run(&SyncProducts::default()).await.expect("goes on");
    assert_eq!((told["goes_on"].as_bool(), told["run"].as_str()), (Some(true), Some(run.as_str())));
    assert_eq!(told["chunks_left"], half.chunks - half.done);
    let over = site
        .look("its end", async || site.sync_run(&run).await.filter(|run| run.finished_at.is_some()))
        .await;
    assert_eq!((over.state, over.done, over.failed, over.rounds), (SyncState::Finished, over.chunks, 0, 2));
    assert_eq!(site.sandbox.calls().haier_reads, 1 + over.chunks as u64, "each chunk was asked for once");
    assert_eq!(site.count("SELECT COUNT(*) AS n FROM sync_chunks").await, 0);

    site.clock.advance(Duration::from_secs(60));
    let named = "SELECT COUNT(*) AS n FROM products WHERE product_code = 'FAKE09999'";
    site.look("the code that waited", async || (site.count(named).await == 1).then_some(())).await;
    let waited = site.store.get(&waiting).await.expect("read").expect("kept");
    assert_eq!(waited.state, State::Completed);
    site.rest().await;
}

async fn a_run_that_takes_too_long_makes_room_for_the_next(engine: Engine) {
    let mut site = Site::open(engine, goods(200)).await;
    site.work();
    site.synced(&ALL).await;
    let pause = Pause { by: "test".into(), reason: "a long night".into(), at: NOON };
    let plan = site.run(&SyncPrices {}).await;
    site.rest().await;
    let stuck = plan.expect("planned")["run"].as_str().expect("a run").to_owned();
    site.store.pause("haier", Some(pause)).await.expect("paused");
    site.write(&format!(
        "UPDATE sync_runs SET state = 'running', finished_at = NULL, done = 3 WHERE run_id = '{stuck}'"
    ))
    .await;
    site.store.pause("haier", None).await.expect("resumed");

    site.clock.advance(Duration::from_secs(site.shop.settings.sync_run_max_s + 1));
    site.work();
    let next = site.synced(&SyncPrices {}).await;
    assert_ne!(next.run_id, stuck);
    assert_eq!((next.state, next.done), (SyncState::Finished, 10));
    let given_up = site.sync_run(&stuck).await.expect("remembered");
    assert_eq!((given_up.state, given_up.failed), (SyncState::Abandoned, 7));
    site.rest().await;
}

async fn a_plan_beside_a_run_that_works_begins_no_second_one(engine: Engine) {
    let mut site = Site::open(engine, goods(400)).await;
    site.work();
    site.synced(&ALL).await;
    // Nothing of the run gets through while its plans do.
    let rules = GateRules { concurrency_max: Some(1), ..GateRules::default() };
    site.store.set_gate("haier", rules).await.expect("set");
    let (one, two) = tokio::join!(site.enqueue(&SyncPrices {}), site.enqueue(&SyncPrices {}));
    site.look("both plans' end", async || {
        let states = site.store.states(vec![one.id.clone(), two.id.clone()]).await.expect("read");
        states.iter().all(|state| *state == Some(State::Completed)).then_some(())
    })
    .await;
    let page = sync_runs(&site.shop.ledger, Some(SyncKind::Prices), 10, None).await.expect("read");
    assert!(page.runs.iter().filter(|run| run.state == SyncState::Running).count() <= 1);
    site.look("the end of all runs", async || {
        let page = sync_runs(&site.shop.ledger, Some(SyncKind::Prices), 10, None).await.expect("read");
        page.runs.iter().all(|run| run.state == SyncState::Finished && run.done == run.chunks).then_some(())
    })
    .await;
    site.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_of_the_queue_keeps_the_suppliers_rate_and_chunks_let_others_pass() {
    let mut site = Site::open(Engine::Sqlite, goods(600)).await;
    site.turn(&json!({ "calls_per_s": 60 })).await;
    let rate = Rate { jobs: 50, per_ms: 1_000, burst: 5 };
    let rules = GateRules { rate: Some(rate), ..GateRules::default() };
    site.store.set_gate("haier", rules).await.expect("set");
    site.work();
    let run = site.synced(&ALL).await;
    assert_eq!(run.done, run.chunks);
    assert_eq!(site.sandbox.calls().haier_throttled, 0);
    let chunks = Filter { kind: Some("sync_chunk".to_owned()), limit: 1_000, ..Filter::default() };
    let chunks = site.store.list(chunks).await.expect("listed").jobs;
    assert_eq!(chunks.len() as i64, run.chunks);
    assert!(chunks.iter().all(|chunk| chunk.priority == Priority::Low));
    site.rest().await;
}
