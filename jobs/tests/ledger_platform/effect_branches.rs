//! Every branch of `perform`, on a real ledger.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use windlass_engine::{Clock, JobError, Verdict};
use windlass_jobs::effect::{
    Asked, Effect, EffectError, EffectKind, EffectState, Ended, effects, effects_about, effects_in_doubt,
    perform,
};
use windlass_jobs::ledger::{Ledger, timeline};
use windlass_jobs::outside::{Fault, OutsideError, System};
use windlass_testing::{Engine, NOON, Place, on_every_engine};

on_every_engine! {
    a_recorded_answer_is_given_without_a_call,
    a_refusal_is_recorded_and_only_another_key_tries_again,
    what_was_not_sent_is_told_again_even_if_it_may_be_told_only_once,
    a_message_in_doubt_stays_in_doubt_and_is_not_repeated,
    the_outside_is_asked_before_it_is_told_again,
    an_unsent_second_call_leaves_the_first_in_doubt,
    what_the_outside_deduplicates_is_told_again_without_asking,
    an_attempt_that_died_while_telling_is_found_out_by_the_next,
    a_call_of_another_process_is_waited_for_while_it_may_live,
    a_call_that_takes_too_long_is_cut_off_and_in_doubt,
    of_two_attempts_at_once_one_tells_and_the_other_waits,
    two_kinds_of_effect_on_one_number_are_two_effects,
    what_the_outside_says_it_can_never_do_is_refused_without_a_call,
    news_from_elsewhere_settles_an_effect_in_doubt_once_and_its_job_finds_the_answer,
    news_that_comes_before_the_lost_answer_is_the_answer,
    what_was_refused_and_happened_all_the_same_is_done,
}

const UPLOAD: Effect<'_> = effect(EffectKind::UploadShipping);
const REFUND: Effect<'_> = effect(EffectKind::WechatRefund);
const MAIL: Effect<'_> = effect(EffectKind::MailSend);

const fn effect(kind: EffectKind) -> Effect<'static> {
    Effect { kind, of: "k-1", about: "SO-1" }
}

type Answer = Result<Ended<String>, EffectError>;

fn fault(fault: Fault) -> OutsideError {
    OutsideError::new(System::MiniProgram, "test", fault, "as the test wants it")
}

/// Counts the calls that reached the outside.
#[derive(Default)]
struct Calls {
    asks: AtomicU32,
    tells: AtomicU32,
}

impl Calls {
    async fn run(
        &self,
        ledger: &Ledger,
        effect: Effect<'_>,
        asked: Result<Asked<String>, OutsideError>,
        told: Result<&str, OutsideError>,
    ) -> Answer {
        perform(
            ledger,
            effect,
            || async {
                self.asks.fetch_add(1, Ordering::SeqCst);
                asked
            },
            || async {
                self.tells.fetch_add(1, Ordering::SeqCst);
                told.map(str::to_owned)
            },
        )
        .await
    }

    fn seen(&self) -> (u32, u32) {
        (self.asks.load(Ordering::SeqCst), self.tells.load(Ordering::SeqCst))
    }
}

fn done(text: &str) -> Ended<String> {
    Ended::Done(text.to_owned())
}

/// An attempt whose worker dies after the call was begun.
async fn die_while_telling(ledger: &Ledger, effect: Effect<'_>) {
    let begun = tokio::sync::Notify::new();
    tokio::select! {
        _ = perform::<String, _, _, _, _>(
            ledger,
            effect,
            || async { Ok(Asked::NeverHeard) },
            || async {
                begun.notify_one();
                std::future::pending().await
            },
        ) => unreachable!("the call never ends"),
        () = begun.notified() => {}
    }
}

async fn a_recorded_answer_is_given_without_a_call(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    for _ in 0..3 {
        let ended = calls.run(&ledger, MAIL, Ok(Asked::CannotTell), Ok("sent")).await.unwrap();
        assert_eq!(ended, done("sent"));
    }
    assert_eq!(calls.seen(), (0, 1));
    let events = timeline(&ledger, "SO-1", 10, None).await.unwrap().events;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].text, "mail.send done");
    // The answer is another process's too.
    assert_eq!(
        calls.run(&place.ledger().await, MAIL, Ok(Asked::CannotTell), Ok("again")).await.unwrap(),
        done("sent")
    );
}

async fn a_refusal_is_recorded_and_only_another_key_tries_again(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    let refused = Ended::Refused { code: "43101".to_owned(), reason: "as the test wants it".to_owned() };
    let no = fault(Fault::Refused { code: "43101".to_owned() });
    assert_eq!(calls.run(&ledger, MAIL, Ok(Asked::CannotTell), Err(no)).await.unwrap(), refused);
    assert_eq!(calls.run(&ledger, MAIL, Ok(Asked::CannotTell), Ok("sent")).await.unwrap(), refused);
    assert_eq!(calls.seen(), (0, 1));
    let other = Effect { of: "k-2", ..MAIL };
    assert_eq!(calls.run(&ledger, other, Ok(Asked::CannotTell), Ok("sent")).await.unwrap(), done("sent"));
    let states: Vec<_> =
        effects_about(&ledger, "SO-1").await.unwrap().into_iter().map(|e| (e.key, e.state)).collect();
    assert_eq!(
        states,
        [("mail.send:k-1".to_owned(), EffectState::Refused), ("mail.send:k-2".to_owned(), EffectState::Done)]
    );
}

async fn what_was_not_sent_is_told_again_even_if_it_may_be_told_only_once(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    for nothing_left in [
        Fault::NotSent,
        Fault::Throttled { retry_after: None },
        Fault::Misconfigured { code: "40013".to_owned() },
    ] {
        let failed = calls.run(&ledger, MAIL, Ok(Asked::CannotTell), Err(fault(nothing_left))).await;
        assert!(matches!(failed, Err(EffectError::DidNotHappen(_))), "{failed:?}");
        assert_eq!(effects_in_doubt(&ledger).await.unwrap(), 0);
    }
    assert_eq!(calls.run(&ledger, MAIL, Ok(Asked::CannotTell), Ok("sent")).await.unwrap(), done("sent"));
    assert_eq!(calls.seen(), (0, 4));
}

async fn a_message_in_doubt_stays_in_doubt_and_is_not_repeated(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    for cut_short in [Fault::InDoubt, Fault::Unavailable] {
        let calls = Calls::default();
        let key = cut_short.name();
        let mail = Effect { of: key, ..MAIL };
        let in_doubt = Ended::InDoubt { since: place.clock.now() };
        let ended = calls.run(&ledger, mail, Ok(Asked::NeverHeard), Err(fault(cut_short))).await.unwrap();
        assert_eq!(ended, in_doubt);
        place.clock.advance(Duration::from_secs(60));
        assert_eq!(calls.run(&ledger, mail, Ok(Asked::NeverHeard), Ok("sent")).await.unwrap(), in_doubt);
        assert_eq!(calls.seen(), (0, 1));
    }
    assert_eq!(effects_in_doubt(&ledger).await.unwrap(), 2);
    let page = effects(&ledger, Some(EffectState::InDoubt), 1, None).await.unwrap();
    let rest = effects(&ledger, Some(EffectState::InDoubt), 1, page.cursor.as_deref()).await.unwrap();
    assert_eq!((page.effects.len(), rest.effects.len(), rest.cursor), (1, 1, None));
    assert_ne!(page.effects[0].key, rest.effects[0].key);
}

async fn the_outside_is_asked_before_it_is_told_again(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    let cut = || Err(fault(Fault::InDoubt));
    let first = calls.run(&ledger, UPLOAD, Ok(Asked::NeverHeard), cut()).await;
    assert!(matches!(first, Err(EffectError::InDoubt(_))), "{first:?}");
    assert_eq!(calls.seen(), (0, 1));
    // Cannot be asked, cannot tell: nothing is told.
    let asking = calls.run(&ledger, UPLOAD, Err(fault(Fault::Unavailable)), Ok("no")).await;
    assert!(matches!(asking, Err(EffectError::Asking(_))), "{asking:?}");
    let unsure = calls.run(&ledger, UPLOAD, Ok(Asked::CannotTell), Ok("no")).await;
    assert!(matches!(unsure, Err(EffectError::StillInDoubt)), "{unsure:?}");
    assert_eq!(calls.seen(), (2, 1));
    // Never heard of it: told again, and lost again.
    let second = calls.run(&ledger, UPLOAD, Ok(Asked::NeverHeard), cut()).await;
    assert!(matches!(second, Err(EffectError::InDoubt(_))), "{second:?}");
    assert_eq!(calls.seen(), (3, 2));
    // It had happened.
    let ended = calls.run(&ledger, UPLOAD, Ok(Asked::Happened("there".to_owned())), Ok("no")).await.unwrap();
    assert_eq!(ended, done("there"));
    assert_eq!(calls.seen(), (4, 2));
    assert_eq!(effects_in_doubt(&ledger).await.unwrap(), 0);
}

async fn an_unsent_second_call_leaves_the_first_in_doubt(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    let _ = calls.run(&ledger, UPLOAD, Ok(Asked::NeverHeard), Err(fault(Fault::InDoubt))).await;
    let _ = calls.run(&ledger, UPLOAD, Ok(Asked::NeverHeard), Err(fault(Fault::NotSent))).await;
    assert_eq!(effects_in_doubt(&ledger).await.unwrap(), 1);
    assert_eq!(calls.run(&ledger, UPLOAD, Ok(Asked::NeverHeard), Ok("there")).await.unwrap(), done("there"));
    assert_eq!(calls.seen(), (2, 3), "asked each time after the first");
}

async fn what_the_outside_deduplicates_is_told_again_without_asking(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    let first = calls.run(&ledger, REFUND, Ok(Asked::CannotTell), Err(fault(Fault::InDoubt))).await;
    assert!(matches!(first, Err(EffectError::InDoubt(_))), "{first:?}");
    assert_eq!(calls.run(&ledger, REFUND, Ok(Asked::CannotTell), Ok("r")).await.unwrap(), done("r"));
    assert_eq!(calls.seen(), (0, 2));
}

async fn an_attempt_that_died_while_telling_is_found_out_by_the_next(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    die_while_telling(&ledger, MAIL).await;
    let mail = calls.run(&ledger, MAIL, Ok(Asked::NeverHeard), Ok("sent")).await.unwrap();
    assert_eq!(mail, Ended::InDoubt { since: NOON });
    assert_eq!(calls.seen(), (0, 0));

    let upload = Effect { of: "k-2", ..UPLOAD };
    die_while_telling(&ledger, upload).await;
    assert_eq!(calls.run(&ledger, upload, Ok(Asked::NeverHeard), Ok("up")).await.unwrap(), done("up"));
    assert_eq!(calls.seen(), (1, 1));

    let refund = Effect { of: "k-3", ..REFUND };
    die_while_telling(&ledger, refund).await;
    assert_eq!(calls.run(&ledger, refund, Ok(Asked::CannotTell), Ok("r")).await.unwrap(), done("r"));
    assert_eq!(calls.seen(), (1, 2));
}

async fn a_call_of_another_process_is_waited_for_while_it_may_live(engine: Engine) {
    let place = Place::with(engine, Clock::scaled(NOON, 100.0));
    let here = Ledger::open_with(&place.url(), &place.clock, Duration::from_millis(400)).await.unwrap();
    let there = Ledger::open_with(&place.url(), &place.clock, Duration::from_millis(400)).await.unwrap();
    for effect in [MAIL, Effect { of: "k-2", ..UPLOAD }] {
        die_while_telling(&there, effect).await;
        let calls = Calls::default();
        let mut waits = 0;
        let ended = loop {
            match calls.run(&here, effect, Ok(Asked::NeverHeard), Ok("up")).await {
                Err(error @ EffectError::BeingTold { .. }) => {
                    assert_eq!(calls.seen(), (0, 0), "nothing is asked or told while the other one may live");
                    let Verdict::Snooze { after } = JobError::from(error).verdict() else {
                        panic!("waiting for another attempt is not an attempt")
                    };
                    place.clock.sleep(after).await;
                    waits += 1;
                }
                ended => break ended.unwrap(),
            }
        };
        assert!(waits > 0, "the other one was taken for dead at once");
        match effect.kind {
            EffectKind::MailSend => assert!(matches!(ended, Ended::InDoubt { .. }), "{ended:?}"),
            _ => assert_eq!((ended, calls.seen()), (done("up"), (1, 1))),
        }
    }
}

async fn a_call_that_takes_too_long_is_cut_off_and_in_doubt(engine: Engine) {
    let place = Place::new(engine);
    let ledger = Ledger::open_with(&place.url(), &place.clock, Duration::from_millis(50)).await.unwrap();
    let slow = |effect| {
        let ledger = ledger.clone();
        async move {
            perform::<String, _, _, _, _>(
                &ledger,
                effect,
                || async { Ok(Asked::CannotTell) },
                std::future::pending,
            )
            .await
        }
    };
    assert!(matches!(slow(MAIL).await, Ok(Ended::InDoubt { .. })));
    let upload = slow(Effect { of: "k-2", ..UPLOAD }).await;
    assert!(matches!(upload, Err(EffectError::StillInDoubt)), "{upload:?}");
    assert_eq!(effects_in_doubt(&ledger).await.unwrap(), 2);
}

async fn of_two_attempts_at_once_one_tells_and_the_other_waits(engine: Engine) {
    let place = Place::new(engine);
    let (here, there) = (place.ledger().await, place.ledger().await);
    for (round, second) in [&here, &there].into_iter().enumerate() {
        for kind in [EffectKind::MailSend, EffectKind::UploadShipping] {
            let key = format!("{}-{round}", kind.name());
            let effect = Effect { kind, of: &key, about: "SO-1" };
            let calls = Calls::default();
            let gate = tokio::sync::Notify::new();
            let slow = perform::<String, _, _, _, _>(
                &here,
                effect,
                || async { Ok(Asked::NeverHeard) },
                || async {
                    calls.tells.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    Ok("first".to_owned())
                },
            );
            let other = async {
                while calls.seen() == (0, 0) {
                    tokio::task::yield_now().await;
                }
                let meanwhile = calls.run(second, effect, Ok(Asked::NeverHeard), Ok("second")).await;
                gate.notify_one();
                meanwhile
            };
            let (first, meanwhile) = tokio::join!(slow, other);
            assert_eq!(first.unwrap(), done("first"));
            assert!(matches!(meanwhile, Err(EffectError::BeingTold { .. })), "{meanwhile:?}");
            assert_eq!(
                calls.run(second, effect, Ok(Asked::NeverHeard), Ok("x")).await.unwrap(),
                done("first")
            );
            assert_eq!(calls.seen(), (0, 1));
        }
    }
}

async fn two_kinds_of_effect_on_one_number_are_two_effects(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    assert_eq!(calls.run(&ledger, MAIL, Ok(Asked::CannotTell), Ok("sent")).await.unwrap(), done("sent"));
    assert_eq!(calls.run(&ledger, REFUND, Ok(Asked::CannotTell), Ok("r")).await.unwrap(), done("r"));
    assert_eq!(calls.seen(), (0, 2));
    let keys: Vec<_> = effects_about(&ledger, "SO-1").await.unwrap().into_iter().map(|e| e.key).collect();
    assert_eq!(keys, ["mail.send:k-1", "wechat.refund:k-1"]);
}

async fn what_the_outside_says_it_can_never_do_is_refused_without_a_call(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    let _ = calls.run(&ledger, UPLOAD, Ok(Asked::NeverHeard), Err(fault(Fault::InDoubt))).await;
    let never = || Asked::Refused { code: "refunded".to_owned(), reason: "it was refunded".to_owned() };
    let refused = Ended::Refused { code: "refunded".to_owned(), reason: "it was refunded".to_owned() };
    assert_eq!(calls.run(&ledger, UPLOAD, Ok(never()), Ok("no")).await.unwrap(), refused);
    assert_eq!((calls.seen(), effects_in_doubt(&ledger).await.unwrap()), ((1, 1), 0));
}

#[tokio::test]
async fn a_refused_question_does_not_end_the_job() {
    let no = || fault(Fault::Refused { code: "40097".to_owned() });
    assert_eq!(JobError::from(EffectError::Asking(no())).verdict(), Verdict::Retry { after: None });
}

async fn news_from_elsewhere_settles_an_effect_in_doubt_once_and_its_job_finds_the_answer(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    let _ = calls.run(&ledger, REFUND, Ok(Asked::CannotTell), Err(fault(Fault::InDoubt))).await;
    for first in [true, false] {
        let mut tx = ledger.begin().await.unwrap();
        assert_eq!(tx.effect_happened(REFUND, &"heard", "a notice").await.unwrap(), first);
        assert!(!tx.effect_happened(MAIL, &"heard", "a notice").await.unwrap(), "it was never begun");
        assert!(!tx.effect_did_not_happen(REFUND, "x", "too late").await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(calls.run(&ledger, REFUND, Ok(Asked::CannotTell), Ok("no")).await.unwrap(), done("heard"));
    assert_eq!((calls.seen(), effects_in_doubt(&ledger).await.unwrap()), ((0, 1), 0));
    let events = timeline(&ledger, "SO-1", 10, None).await.unwrap().events;
    assert_eq!(events.last().unwrap().text, "wechat.refund done: a notice");
    assert_eq!(events.len(), 2, "{events:?}");
}

async fn news_that_comes_before_the_lost_answer_is_the_answer(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let ended = perform(
        &ledger,
        REFUND,
        || async { Ok(Asked::CannotTell) },
        || async {
            let mut tx = ledger.begin().await.unwrap();
            assert!(tx.effect_happened(REFUND, &"heard", "a notice").await.unwrap());
            tx.commit().await.unwrap();
            Err::<String, _>(fault(Fault::InDoubt))
        },
    )
    .await
    .unwrap();
    assert_eq!(ended, done("heard"));
    assert_eq!(effects_in_doubt(&ledger).await.unwrap(), 0);
}

async fn what_was_refused_and_happened_all_the_same_is_done(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let calls = Calls::default();
    let no = fault(Fault::Refused { code: "busy".to_owned() });
    let _ = calls.run(&ledger, REFUND, Ok(Asked::CannotTell), Err(no)).await;
    let mut tx = ledger.begin().await.unwrap();
    assert!(tx.effect_happened(REFUND, &"heard", "a notice").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(calls.run(&ledger, REFUND, Ok(Asked::CannotTell), Ok("no")).await.unwrap(), done("heard"));
}

#[test]
fn the_verdict_for_the_job_follows_from_the_fault() {
    let verdict = |f: Fault| JobError::from(EffectError::DidNotHappen(fault(f))).verdict();
    let after = Some(Duration::from_secs(7));
    assert_eq!(verdict(Fault::Throttled { retry_after: after }), Verdict::Retry { after });
    assert_eq!(verdict(Fault::NotSent), Verdict::Retry { after: None });
    let Verdict::Retry { after: Some(slow) } = verdict(Fault::Misconfigured { code: "x".to_owned() }) else {
        panic!("a wrong setting is tried again")
    };
    assert!(slow >= Duration::from_secs(300), "slowly");
}
