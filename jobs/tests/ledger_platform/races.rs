//! Processes that want the same thing at the same moment: one gets it, and none meets an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::job::{id, job};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Ask, End, FaultCause, JobFault, Settlement};
use windlass_engine::{NewJob, Store, Unique};
use windlass_jobs::callback::{CallbackVerdict, NewCallback, callback};
use windlass_jobs::effect::{Asked, Effect, EffectError, EffectKind, Ended, perform};
use windlass_jobs::ledger::{Ledger, LedgerShelf, timeline};
use windlass_jobs::outbox::{OutboxState, Put, Relay, RelaySettings};
use windlass_jobs::token::TokenShelf;
use windlass_testing::{Engine, NOON, Place, on_every_engine};

on_every_engine! {
    the_same_jobs_accepted_in_opposite_order_are_accepted_once,
    a_key_that_is_freed_and_taken_at_once_is_held_by_one,
    a_callback_that_comes_many_times_at_once_is_stored_once,
    a_token_is_claimed_by_one,
    an_effect_wanted_by_many_is_told_once,
    relays_at_once_hand_each_job_over_once,
    jobs_that_end_while_relays_note_them_leave_no_rows,
    relays_that_find_jobs_in_every_state_wait_for_each_other_in_line,
}

const AT_ONCE: usize = 12;

/// Two openings share nothing but the database, as two processes do.
async fn processes(place: &Place) -> [Ledger; 2] {
    [place.ledger().await, place.ledger().await]
}

fn keyed(text: &str) -> NewJob {
    NewJob { unique: Some(Unique { key: "SO-1".to_owned(), window: None }), ..job(text) }
}

async fn the_same_jobs_accepted_in_opposite_order_are_accepted_once(engine: Engine) {
    let place = Place::new(engine);
    let ledgers = processes(&place).await;
    for round in 0..5 {
        let calls = (0..AT_ONCE).map(|n| {
            let mut jobs: Vec<_> = (0..100).map(|n| job(&format!("r{round}-{n}"))).collect();
            if n % 2 == 1 {
                jobs.reverse();
            }
            let ledger = ledgers[n % 2].clone();
            tokio::spawn(async move { ledger.accept(jobs).await })
        });
        let mut new = 0;
        for puts in join_all(calls).await {
            let puts = puts.unwrap().unwrap();
            new += puts.iter().filter(|put| **put == Put::New).count();
        }
        assert_eq!(new, 100);
    }
}

async fn a_key_that_is_freed_and_taken_at_once_is_held_by_one(engine: Engine) {
    let place = Place::new(engine);
    let [here, there] = processes(&place).await;
    for round in 0..20 {
        let (dead, next) = (format!("dead-{round}"), format!("next-{round}"));
        assert_eq!(here.accept(vec![keyed(&dead)]).await.unwrap(), [Put::New]);
        here.died(vec![id(&dead)]).await.unwrap();
        let (dead_id, next_jobs) = (id(&dead), vec![keyed(&next)]);
        let (revived, taken) = tokio::join!(here.revive(&dead_id), there.accept(next_jobs));
        let taken = taken.unwrap() == [Put::New];
        assert_ne!(revived.unwrap(), taken, "one of the two");
        let holder = here.outbox_job(&id(if taken { &next } else { &dead })).await.unwrap().unwrap();
        assert_eq!(holder.state, OutboxState::Live);
        here.finished(vec![id(&dead), id(&next)]).await.unwrap();
    }
}

async fn a_callback_that_comes_many_times_at_once_is_stored_once(engine: Engine) {
    let place = Place::new(engine);
    let ledgers = processes(&place).await;
    let new = NewCallback {
        id: NewCallback::content_id("ylh", b"body"),
        source: "ylh".to_owned(),
        headers: serde_json::json!({}),
        body: b"body".to_vec(),
        received_at: NOON,
        verdict: CallbackVerdict::Accepted,
        reason: None,
    };
    let calls = (0..AT_ONCE).map(|n| {
        let (ledger, new) = (ledgers[n % 2].clone(), new.clone());
        tokio::spawn(async move {
            let mut tx = ledger.begin().await?;
            let first = tx.store_callback(&new).await?;
            if first {
                tx.enqueue(&job("handle")).await?;
            }
            tx.commit().await?;
            Ok::<_, anyhow::Error>(first)
        })
    });
    let firsts = join_all(calls).await.into_iter().filter(|first| *first.as_ref().unwrap().as_ref().unwrap());
    assert_eq!(firsts.count(), 1);
    let stored = callback(&ledgers[0], &new.id).await.unwrap().unwrap();
    assert_eq!(stored.times, AT_ONCE as i64);
}

async fn a_token_is_claimed_by_one(engine: Engine) {
    let place = Place::new(engine);
    let ledgers = processes(&place).await;
    for round in 0..5 {
        let claims = (0..AT_ONCE).map(|n| {
            let shelf = LedgerShelf::new(ledgers[n % 2].clone());
            tokio::spawn(async move {
                let until = NOON + Duration::from_secs(30);
                shelf.claim(&format!("token-{round}"), &format!("holder-{n}"), NOON, until).await
            })
        });
        let claimed =
            join_all(claims).await.into_iter().filter(|claim| *claim.as_ref().unwrap().as_ref().unwrap());
        assert_eq!(claimed.count(), 1);
    }
}

async fn an_effect_wanted_by_many_is_told_once(engine: Engine) {
    let place = Place::new(engine);
    let ledgers = processes(&place).await;
    for kind in [EffectKind::MailSend, EffectKind::UploadShipping, EffectKind::WechatRefund] {
        let tells = Arc::new(AtomicU32::new(0));
        let attempts = (0..AT_ONCE).map(|n| {
            let (ledger, tells) = (ledgers[n % 2].clone(), tells.clone());
            tokio::spawn(async move {
                let effect = Effect { kind, of: "k-1", about: "SO-1" };
                loop {
                    let tell = || async {
                        tells.fetch_add(1, Ordering::SeqCst);
                        Ok("told".to_owned())
                    };
                    match perform(&ledger, effect, || async { Ok(Asked::CannotTell) }, tell).await {
                        Err(EffectError::BeingTold { .. }) => tokio::task::yield_now().await,
                        ended => break ended,
                    }
                }
            })
        });
        for ended in join_all(attempts).await {
            let ended = ended.unwrap();
            assert!(matches!(&ended, Ok(Ended::Done(answer)) if answer == "told"), "{ended:?}");
        }
        // What the outside deduplicates does not wait for the other process; here one process's attempts do wait.
        let most = if kind == EffectKind::WechatRefund { 2 } else { 1 };
        assert!((1..=most).contains(&tells.load(Ordering::SeqCst)), "{kind:?} was told {tells:?} times");
    }
    let events = timeline(&ledgers[0], "SO-1", 10, None).await.unwrap().events;
    assert_eq!(events.len(), 3, "each end is told once: {events:?}");
}

async fn relays_at_once_hand_each_job_over_once(engine: Engine) {
    const JOBS: u64 = 600;
    let place = Place::new(engine);
    let ledgers = processes(&place).await;
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(place.path("queue.db"), place.clock.clone()).unwrap());
    let stop = CancellationToken::new();
    let relays: Vec<_> = (0..4)
        .map(|n| {
            let relay = Relay::new(ledgers[n % 2].clone(), store.clone(), RelaySettings::default());
            tokio::spawn(relay.run(stop.clone()))
        })
        .collect();
    for n in 0..JOBS / 20 {
        let jobs = (0..20).map(|m| job(&format!("j{n}-{m}"))).collect();
        ledgers[n as usize % 2].accept(jobs).await.unwrap();
    }
    let all_noted = async {
        while ledgers[0].outbox_counts().await.unwrap().handed_over < JOBS as i64 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_noted).await.expect("all are handed over");
    stop.cancel();
    join_all(relays).await;
    let stats = store.stats().await.unwrap();
    assert_eq!((stats[0].counts.accepted, stats[0].counts.ready), (JOBS, JOBS), "each is there once");
}

async fn jobs_that_end_while_relays_note_them_leave_no_rows(engine: Engine) {
    let place = Place::new(engine);
    let ledgers = processes(&place).await;
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(place.path("queue.db"), place.clock.clone()).unwrap());
    for round in 0..10 {
        let ids: Vec<String> = (0..200).map(|n| format!("r{round}-{n}")).collect();
        ledgers[0].accept(ids.iter().map(|id| job(id)).collect()).await.unwrap();
        let ended = |of: Vec<String>| {
            let ledger = ledgers[1].clone();
            tokio::spawn(async move { ledger.finished(of.iter().map(|text| id(text)).collect()).await })
        };
        let mut backwards = ids.clone();
        backwards.reverse();
        let relays = [&ledgers[0], &ledgers[1]]
            .map(|ledger| Relay::new(ledger.clone(), store.clone(), RelaySettings::default()));
        let (first, second, here, there) =
            tokio::join!(relays[0].hand_over_all(), relays[1].hand_over_all(), ended(ids), ended(backwards));
        first.unwrap();
        second.unwrap();
        here.unwrap().unwrap();
        there.unwrap().unwrap();
        let counts = ledgers[0].outbox_counts().await.unwrap();
        assert_eq!((counts.waiting, counts.handed_over, counts.dead), (0, 0, 0));
    }
}

/// What each of them changes is spread over several statements.
async fn relays_that_find_jobs_in_every_state_wait_for_each_other_in_line(engine: Engine) {
    const JOBS: u32 = 300;
    let place = Place::new(engine);
    let ledgers = processes(&place).await;
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(place.path("queue.db"), place.clock.clone()).unwrap());
    for round in 0..6 {
        let ids: Vec<String> = (0..JOBS).map(|n| format!("r{round}-{n:03}")).collect();
        ledgers[0].accept(ids.iter().map(|id| job(id)).collect()).await.unwrap();
        let relay = |n: usize| Relay::new(ledgers[n % 2].clone(), store.clone(), RelaySettings::default());
        relay(0).hand_over_all().await.unwrap();
        let ask = Ask {
            queue: job("any").queue,
            worker: "w".into(),
            jobs_max: JOBS / 2,
            lease: Duration::from_secs(600),
            wait: Duration::ZERO,
        };
        let queue = ask.queue.clone();
        let held = store.reserve(ask).await.unwrap().deliveries;
        let fault =
            JobFault { attempt: 1, at: NOON, cause: FaultCause::Error, message: "it does not work".into() };
        let ends = held.into_iter().enumerate().map(|(n, job)| Settlement {
            id: job.id,
            token: job.token,
            end: match n % 2 {
                0 => End::Completed { result: None, follow_ups: Vec::new() },
                _ => End::Dead { fault: fault.clone() },
            },
            outage: false,
            notes: None,
        });
        store.settle(&queue, ends.collect()).await.unwrap();
        let relays: Vec<_> = (0..6).map(|n| (n, relay(n))).collect();
        let rounds = relays.iter().map(|(n, relay)| async move { (n, relay.hand_over_all().await) });
        for (n, done) in join_all(rounds).await {
            done.unwrap_or_else(|error| panic!("relay {n} in round {round}: {error}"));
        }
    }
}
