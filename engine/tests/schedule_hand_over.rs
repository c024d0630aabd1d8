//! Schedulers over a real carrier: each instant once, catching up, overlapping.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use windlass_engine::schedule::{
    Accept, AcceptByCarrier, Lane, Misfit, Scheduler, Schedules, pause, paused_since, resume,
};
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::store::{Ask, End, Enqueued, Filter, Settled, Settlement};
use windlass_engine::{Clock, JobId, NewJob, Priority, State, Store, StoreError, Timestamp};

const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);
const MINUTE: Duration = Duration::from_secs(60);
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// A shop with a carrier of its own and a clock that the test moves.
struct Shop {
    clock: Clock,
    store: Arc<dyn Store>,
    schedules: Schedules,
    _folder: TempDir,
}

/// A scheduler that runs.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn lane(_: &str, _: &RawValue) -> Result<Lane, Misfit> {
    Ok(Lane { queue: "orders".into(), priority: Priority::Normal, unique_key: None })
}

impl Shop {
    fn open(schedules: &str, clock: Clock) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("test.toml"), schedules).unwrap();
        let schedules = Schedules::load(folder.path(), &lane).unwrap_or_else(|problems| panic!("{problems}"));
        let store = SqliteStore::open(folder.path().join("queue.db"), clock.clone()).unwrap();
        Self { clock, store: Arc::new(store), schedules, _folder: folder }
    }

    fn start(&self) -> Running {
        self.start_with(Arc::new(AcceptByCarrier(self.store.clone())))
    }

    fn start_with(&self, accept: Arc<dyn Accept>) -> Running {
        let scheduler = Scheduler::new(self.store.clone(), accept, &self.schedules, self.clock.clone());
        let stop = CancellationToken::new();
        Running { task: tokio::spawn(scheduler.run(stop.clone())), stop }
    }

    async fn cursor_is(&self, schedule: &str, minute: u32) {
        let expected = Some(NOON + MINUTE * minute);
        until(|| async { self.store.cursor(schedule).await.unwrap() == expected }).await;
    }

    /// The minutes after noon for which the schedule has jobs, in order.
    async fn fired(&self, schedule: &str) -> Vec<i64> {
        let page = self.store.list(Filter { limit: 1_000, ..Filter::default() }).await.unwrap();
        let fired_by = page.jobs.into_iter().filter_map(|job| job.envelope.schedule);
        let mut minutes: Vec<i64> = fired_by
            .filter(|fired_by| fired_by.name == schedule)
            .map(|fired_by| (fired_by.instant.secs() - NOON.secs()) / 60)
            .collect();
        minutes.sort_unstable();
        minutes
    }

    /// Takes every job that is ready and completes it.
    async fn complete_all(&self) -> usize {
        let ask = Ask {
            queue: "orders".into(),
            worker: "w".into(),
            jobs_max: 100,
            lease: MINUTE,
            wait: Duration::ZERO,
        };
        let deliveries = self.store.reserve(ask).await.unwrap().deliveries;
        let settlements: Vec<_> = deliveries
            .into_iter()
            .map(|delivery| Settlement {
                id: delivery.id,
                token: delivery.token,
                end: End::Completed { result: None, follow_ups: Vec::new() },
                outage: false,
                notes: None,
            })
            .collect();
        let settled = self.store.settle("orders", settlements).await.unwrap();
        assert!(settled.iter().all(|settled| *settled == Settled::Done));
        settled.len()
    }
}

/// Waits for the condition.
async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let mut look = tokio::time::interval(Duration::from_millis(2));
    let waiting = async {
        while !holds().await {
            look.tick().await;
        }
    };
    tokio::time::timeout(TIME_LIMIT, waiting).await.expect("the condition holds within the time limit");
}

fn every_minute(name: &str, rest: &str) -> String {
    format!("[{name}]\nevery = \"1m\"\njob = \"sweep\"\n{rest}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_schedulers_fire_each_instant_once() {
    let text = every_minute("sweep", "overlap = \"allow\"\ncatch_up = \"all\"\njitter = \"50s\"");
    let shop = Shop::open(&text, Clock::by_hand(NOON));
    let schedulers = [shop.start(), shop.start(), shop.start()];
    shop.cursor_is("sweep", 0).await;
    for minute in 1..=40 {
        shop.clock.advance(MINUTE);
        shop.cursor_is("sweep", minute).await;
    }
    for scheduler in schedulers {
        scheduler.stop().await;
    }
    assert_eq!(shop.fired("sweep").await, (1..=40).collect::<Vec<_>>());
    let books = shop.store.audit().await.unwrap();
    assert!(books.iter().all(|queue| queue.balanced() && queue.kept.accepted == 40), "{books:?}");
}

#[tokio::test]
async fn a_schedule_that_is_new_has_no_past() {
    let shop = Shop::open(&every_minute("sweep", ""), Clock::by_hand(NOON + Duration::from_secs(59)));
    let scheduler = shop.start();
    until(|| async { shop.store.cursor("sweep").await.unwrap().is_some() }).await;
    shop.clock.advance(Duration::from_secs(1));
    shop.cursor_is("sweep", 1).await;
    scheduler.stop().await;
    assert_eq!(shop.fired("sweep").await, [1]);
}

#[tokio::test]
async fn a_restart_catches_up_as_each_policy_says() {
    let text = [
        every_minute("gone", "catch_up = \"none\""),
        every_minute("newest", "catch_up = \"one\""),
        every_minute("some", "catch_up = \"all\"\ncatch_up_max = 3\noverlap = \"allow\""),
        every_minute("each", "catch_up = \"all\"\noverlap = \"allow\""),
        every_minute("off", "enabled = false"),
    ];
    let names = ["gone", "newest", "some", "each"];
    let shop = Shop::open(&text.concat(), Clock::by_hand(NOON));
    let scheduler = shop.start();
    for name in names {
        shop.cursor_is(name, 0).await;
    }
    scheduler.stop().await;

    shop.clock.advance(MINUTE * 10 + Duration::from_secs(31));
    let scheduler = shop.start();
    for name in names {
        shop.cursor_is(name, 10).await;
    }
    assert_eq!(shop.fired("gone").await, [0i64; 0]);
    assert_eq!(shop.fired("newest").await, [10]);
    assert_eq!(shop.fired("some").await, [8, 9, 10]);
    assert_eq!(shop.fired("each").await, (1..=10).collect::<Vec<_>>());

    shop.clock.advance(Duration::from_secs(29));
    for name in names {
        shop.cursor_is(name, 11).await;
    }
    scheduler.stop().await;
    assert_eq!(shop.fired("gone").await, [11]);
    assert_eq!(shop.store.cursor("off").await.unwrap(), None);
}

#[tokio::test]
async fn an_instant_that_was_handed_over_before_a_crash_is_not_handed_over_again() {
    let shop = Shop::open(&every_minute("sweep", ""), Clock::by_hand(NOON));
    let scheduler = shop.start();
    shop.cursor_is("sweep", 0).await;
    scheduler.stop().await;
    // The scheduler died between accepting and moving the cursor, and the job has run since.
    shop.clock.advance(MINUTE);
    let job = shop.schedules.get("sweep").unwrap().job(NOON + MINUTE);
    shop.store.enqueue(vec![job]).await.unwrap();
    assert_eq!(shop.complete_all().await, 1);

    let scheduler = shop.start();
    shop.cursor_is("sweep", 1).await;
    scheduler.stop().await;
    assert_eq!((shop.fired("sweep").await, shop.complete_all().await), (vec![1], 0));
}

#[tokio::test]
async fn an_instant_passes_while_the_job_before_still_lives() {
    let shop = Shop::open(&every_minute("sweep", "overlap = \"skip\""), Clock::by_hand(NOON));
    let mut scheduler = shop.start();
    shop.cursor_is("sweep", 0).await;
    for minute in 1..=4 {
        if minute == 3 {
            // What a scheduler has seen is not lost with it.
            scheduler.stop().await;
            scheduler = shop.start();
        }
        shop.clock.advance(MINUTE);
        shop.cursor_is("sweep", minute).await;
    }
    assert_eq!(shop.fired("sweep").await, [1]);
    assert_eq!(shop.complete_all().await, 1);
    shop.clock.advance(MINUTE);
    shop.cursor_is("sweep", 5).await;
    scheduler.stop().await;
    assert_eq!(shop.fired("sweep").await, [1, 5]);
}

#[tokio::test]
async fn one_instant_waits_until_the_job_before_has_ended() {
    // Entries take their turns by name: where `tick` has got to, `sweep` has been looked at.
    let tick = every_minute("tick", "overlap = \"allow\"\nqueue = \"other\"");
    let text = every_minute("sweep", "overlap = \"queue_one\"\ncatch_up = \"none\"") + &tick;
    let shop = Shop::open(&text, Clock::by_hand(NOON));
    let scheduler = shop.start();
    for minute in 0..=2 {
        shop.cursor_is("tick", minute).await;
        if minute < 2 {
            shop.clock.advance(MINUTE);
        }
    }
    assert_eq!(shop.store.cursor("sweep").await.unwrap(), Some(NOON + MINUTE));
    assert_eq!(shop.fired("sweep").await, [1]);

    // Had it not begun to wait in time, catch_up = "none" would drop it now.
    shop.clock.advance(Duration::from_secs(45));
    assert_eq!(shop.complete_all().await, 1);
    shop.cursor_is("sweep", 2).await;
    scheduler.stop().await;
    assert_eq!((shop.fired("sweep").await, shop.complete_all().await), (vec![1, 2], 1));
}

#[tokio::test]
async fn a_clock_that_runs_ahead_builds_no_backlog() {
    let text = "[sweep]\nevery = \"1s\"\njob = \"sweep\"\noverlap = \"allow\"\ncatch_up = \"one\"\n";
    let shop = Shop::open(text, Clock::scaled(NOON, 100_000.0));
    let scheduler = shop.start();
    until(|| async { shop.clock.now() > NOON + Duration::from_secs(50_000) }).await;
    scheduler.stop().await;
    let accepted = shop.store.audit().await.unwrap().iter().map(|queue| queue.kept.accepted).sum::<u64>();
    assert!((1..5_000).contains(&accepted), "{accepted} jobs for 50,000 instants");
}

/// A ledger that is away for the first calls, and one that takes no job of minute 2.
struct Moody {
    carrier: AcceptByCarrier,
    away: AtomicU32,
}

#[async_trait]
impl Accept for Moody {
    async fn accept(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        if self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::Unavailable("away".into()));
        }
        if job.envelope.schedule.as_ref().is_some_and(|by| by.instant == NOON + MINUTE * 2) {
            return Err(StoreError::Invalid("never this one".into()));
        }
        self.carrier.accept(job).await
    }

    async fn states(&self, ids: Vec<JobId>) -> Result<Vec<Option<State>>, StoreError> {
        self.carrier.states(ids).await
    }
}

#[tokio::test]
async fn what_could_not_be_handed_over_is_handed_over_when_the_ledger_is_back() {
    let text = every_minute("sweep", "catch_up = \"all\"\noverlap = \"allow\"");
    let shop = Shop::open(&text, Clock::by_hand(NOON));
    let moody = Moody { carrier: AcceptByCarrier(shop.store.clone()), away: AtomicU32::new(2) };
    let scheduler = shop.start_with(Arc::new(moody));
    shop.cursor_is("sweep", 0).await;
    shop.clock.advance(MINUTE);
    shop.cursor_is("sweep", 1).await;
    shop.clock.advance(MINUTE * 2);
    shop.cursor_is("sweep", 3).await;
    scheduler.stop().await;
    assert_eq!(shop.fired("sweep").await, [1, 3], "a job that is refused for good holds nothing up");
}

#[tokio::test]
async fn a_paused_schedule_lets_its_instants_pass_with_every_scheduler_and_makes_up_for_none() {
    let text = every_minute("sweep", "catch_up = \"all\"\noverlap = \"allow\"");
    let shop = Shop::open(&text, Clock::by_hand(NOON));
    let store = shop.store.as_ref();
    let schedulers = [shop.start(), shop.start()];
    shop.cursor_is("sweep", 0).await;
    assert!(pause(store, "sweep", shop.clock.now()).await.unwrap());
    assert!(!pause(store, "sweep", shop.clock.now()).await.unwrap(), "it was before");
    for minute in 1..=3 {
        shop.clock.advance(MINUTE);
        shop.cursor_is("sweep", minute).await;
    }
    for scheduler in schedulers {
        scheduler.stop().await;
    }
    // Nobody runs, instants come due, and it is let go on half a minute later.
    shop.clock.advance(MINUTE * 2 + Duration::from_secs(30));
    assert_eq!(paused_since(store, "sweep").await.unwrap(), Some(NOON));
    let entry = shop.schedules.get("sweep").unwrap();
    assert!(resume(store, entry, shop.clock.now()).await.unwrap());
    assert!(!resume(store, entry, shop.clock.now()).await.unwrap(), "it was not paused");
    let scheduler = shop.start();
    shop.clock.advance(Duration::from_secs(30));
    shop.cursor_is("sweep", 6).await;
    scheduler.stop().await;
    assert_eq!(shop.fired("sweep").await, [6]);
}

#[tokio::test]
async fn a_job_expires_so_long_after_it_was_handed_over() {
    let text = "[sweep]\nevery = \"1h\"\njob = \"sweep\"\nexpires = \"10m\"\n";
    let shop = Shop::open(text, Clock::by_hand(NOON));
    let scheduler = shop.start();
    shop.cursor_is("sweep", 0).await;
    scheduler.stop().await;
    // Handed over half an hour late: what catches up must have its time, too.
    shop.clock.advance(MINUTE * 90);
    let scheduler = shop.start();
    shop.cursor_is("sweep", 60).await;
    scheduler.stop().await;
    let id = shop.schedules.get("sweep").unwrap().job_id(NOON + MINUTE * 60);
    let job = shop.store.get(&id).await.unwrap().unwrap();
    assert_eq!(job.deadline_at, Some(NOON + MINUTE * 100));
}
