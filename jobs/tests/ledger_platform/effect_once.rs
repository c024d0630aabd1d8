//! Whatever fails, in whatever order: the outside counts each effect once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::Notify;
use windlass_jobs::effect::{Asked, Effect, EffectError, EffectKind, Ended, Repeat, effects_about, perform};
use windlass_jobs::ledger::{Ledger, TIMELINE_ROWS_MAX, timeline};
use windlass_jobs::outside::{Fault, OutsideError, System};
use windlass_testing::{Engine, Place};

/// Long enough for a call that answers at once, short enough to wait for a dead caller.
const TELL_TIME_MAX: Duration = Duration::from_millis(150);

/// Looks that a late rival takes for the call of the other one; it may never come.
const LATE_LOOKS_MAX: u32 = 50;

/// Looks for which a slow call takes its time: longer than a commit.
const SLOW_LOOKS: u32 = 150;

/// How one call goes, as the test decides and the caller cannot know.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    NotSent,
    Throttled,
    Misconfigured,
    /// Cut short, before or after the effect.
    Cut {
        after: bool,
    },
    Unavailable {
        after: bool,
    },
    /// The worker dies, before or after the effect.
    Died {
        after: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Asking {
    Honest,
    CannotTell,
    Fails,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    fate: Fate,
    asking: Asking,
    elsewhere: bool,
    /// Another attempt meanwhile.
    rival: Option<Rival>,
}

#[derive(Clone, Copy, Debug)]
struct Rival {
    fate: Fate,
    elsewhere: bool,
    /// Comes when the other attempt has begun its call, which then takes its time; else at the same moment.
    late: bool,
}

/// The outside: counts what happened, and knows keys again where the kind says so.
#[derive(Default)]
struct Outside {
    happened: Mutex<HashMap<String, u32>>,
}

impl Outside {
    fn happen(&self, effect: Effect<'_>) {
        let mut happened = self.happened.lock().unwrap();
        let count = happened.entry(effect.of.to_owned()).or_default();
        if effect.kind.repeat() != Repeat::SameKey || *count == 0 {
            *count += 1;
        }
    }

    fn count(&self, key: &str) -> u32 {
        self.happened.lock().unwrap().get(key).copied().unwrap_or(0)
    }

    async fn attempt(
        &self,
        ledger: &Ledger,
        effect: Effect<'_>,
        fate: Fate,
        asking: Asking,
        slow: bool,
    ) -> Option<Result<Ended<String>, EffectError>> {
        let died = Notify::new();
        let fault = |fault| Err(OutsideError::new(System::Ylh, "test", fault, ""));
        let ask = || async {
            tokio::task::yield_now().await;
            match asking {
                Asking::Honest if self.count(effect.of) > 0 => Ok(Asked::Happened("asked".to_owned())),
                Asking::Honest => Ok(Asked::NeverHeard),
                Asking::CannotTell => Ok(Asked::CannotTell),
                Asking::Fails => Err(OutsideError::new(System::Ylh, "test", Fault::Unavailable, "")),
            }
        };
        let tell = || async {
            for _ in 0..if slow { SLOW_LOOKS } else { 0 } {
                effects_about(ledger, effect.about).await.unwrap();
            }
            let after = match fate {
                Fate::Answered => true,
                Fate::Cut { after } | Fate::Unavailable { after } | Fate::Died { after } => after,
                Fate::NotSent | Fate::Throttled | Fate::Misconfigured => false,
            };
            if after {
                self.happen(effect);
            }
            tokio::task::yield_now().await;
            match fate {
                Fate::Answered => Ok("told".to_owned()),
                Fate::NotSent => fault(Fault::NotSent),
                Fate::Throttled => fault(Fault::Throttled { retry_after: None }),
                Fate::Misconfigured => fault(Fault::Misconfigured { code: "401".to_owned() }),
                Fate::Cut { .. } => fault(Fault::InDoubt),
                Fate::Unavailable { .. } => fault(Fault::Unavailable),
                Fate::Died { .. } => {
                    died.notify_one();
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            biased;
            () = died.notified() => None,
            ended = perform(ledger, effect, ask, tell) => Some(ended),
        }
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Answered),
        2 => Just(Fate::NotSent),
        1 => Just(Fate::Throttled),
        1 => Just(Fate::Misconfigured),
        3 => any::<bool>().prop_map(|after| Fate::Cut { after }),
        2 => any::<bool>().prop_map(|after| Fate::Unavailable { after }),
        3 => any::<bool>().prop_map(|after| Fate::Died { after }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let asking =
        prop_oneof![3 => Just(Asking::Honest), 1 => Just(Asking::CannotTell), 1 => Just(Asking::Fails)];
    let rival = (fate(), any::<bool>(), any::<bool>()).prop_map(|(fate, elsewhere, late)| Rival {
        fate,
        elsewhere,
        late,
    });
    (fate(), asking, any::<bool>(), proptest::option::of(rival))
        .prop_map(|(fate, asking, elsewhere, rival)| Step { fate, asking, elsewhere, rival })
}

struct World {
    here: Ledger,
    there: Ledger,
    outside: Outside,
}

impl World {
    fn at(&self, elsewhere: bool) -> &Ledger {
        if elsewhere { &self.there } else { &self.here }
    }

    /// Runs the steps, then lets all go well until the effect has ended.
    async fn live_through(&self, effect: Effect<'_>, steps: &[Step]) -> Ended<String> {
        for step in steps {
            let slow = step.rival.is_some_and(|rival| rival.late);
            let first = self.outside.attempt(self.at(step.elsewhere), effect, step.fate, step.asking, slow);
            match step.rival {
                None => drop(first.await),
                Some(rival) => {
                    let ledger = self.at(rival.elsewhere);
                    let rival = async {
                        let mut looks = if rival.late { LATE_LOOKS_MAX } else { 0 };
                        while looks > 0 && effects_about(ledger, effect.about).await.unwrap().is_empty() {
                            looks -= 1;
                        }
                        self.outside.attempt(ledger, effect, rival.fate, step.asking, false).await
                    };
                    let _ = tokio::join!(first, rival);
                }
            }
        }
        let limit = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                match self.outside.attempt(&self.here, effect, Fate::Answered, Asking::Honest, false).await {
                    Some(Ok(ended)) => return ended,
                    Some(Err(EffectError::BeingTold { .. })) => tokio::task::yield_now().await,
                    other => panic!("nothing fails any more, and yet: {other:?}"),
                }
            }
        });
        limit.await.expect("the effect ends")
    }
}

#[test]
fn whatever_fails_the_outside_counts_each_effect_once_sqlite() {
    whatever_fails_the_outside_counts_each_effect_once(Engine::Sqlite);
}

#[test]
fn whatever_fails_the_outside_counts_each_effect_once_postgres() {
    whatever_fails_the_outside_counts_each_effect_once(Engine::Postgres);
}

fn whatever_fails_the_outside_counts_each_effect_once(engine: Engine) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let place = Place::new(engine);
    let world = runtime.block_on(async {
        let url = place.url();
        let open = || Ledger::open_with(&url, &place.clock, TELL_TIME_MAX);
        World { here: open().await.unwrap(), there: open().await.unwrap(), outside: Outside::default() }
    });
    let case = AtomicU64::new(0);
    let kinds = prop_oneof![
        2 => Just(EffectKind::UploadShipping),
        1 => Just(EffectKind::MailSend),
        1 => Just(EffectKind::WechatRefund),
    ];
    // The seed of a failure is printed; nothing is written beside the sources.
    let config = ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(kind in kinds, steps in proptest::collection::vec(step(), 0..7))| {
        let key = format!("{}:{}", kind.name(), case.fetch_add(1, Ordering::Relaxed));
        let effect = Effect { kind, of: &key, about: &key };
        let ended = runtime.block_on(world.live_through(effect, &steps));
        let count = world.outside.count(&key);
        match kind.repeat() {
            Repeat::Never => {
                prop_assert!(count <= 1, "told {count} times");
                if matches!(ended, Ended::Done(_)) {
                    prop_assert_eq!(count, 1);
                }
            }
            Repeat::AskFirst | Repeat::SameKey => {
                prop_assert!(matches!(ended, Ended::Done(_)), "{:?}", ended);
                prop_assert_eq!(count, 1);
            }
        }
        let events = runtime.block_on(timeline(&world.here, &key, TIMELINE_ROWS_MAX, None)).unwrap().events;
        let ends = events.iter().filter(|event| event.text.ends_with(" done")).count();
        prop_assert_eq!(ends, usize::from(matches!(ended, Ended::Done(_))), "{:?}", events);
    });
}
