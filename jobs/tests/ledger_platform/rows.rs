//! The platform's smaller tables: timeline, audit log, callbacks, tokens.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row;
use windlass_jobs::callback::{
    CALLBACK_BODY_BYTES_MAX, CallbackVerdict, NewCallback, callback, callbacks_waiting,
};
use windlass_jobs::ledger::{Ledger, LedgerError, LedgerShelf, timeline};
use windlass_jobs::token::{Token, TokenShelf};
use windlass_testing::{Engine, NOON, Place, on_every_engine};

on_every_engine! {
    a_timeline_is_read_in_pages_in_the_order_of_writing,
    a_text_too_long_for_the_timeline_is_cut_between_characters,
    what_somebody_did_by_hand_is_in_the_audit_log,
    a_callback_comes_back_byte_for_byte,
    a_callback_that_comes_again_is_counted_and_waits_once,
    a_forged_callback_does_not_stand_in_the_way_of_the_real_one,
    a_token_on_the_shelf_is_every_process_s_and_its_claim_is_one_s,
}

async fn a_timeline_is_read_in_pages_in_the_order_of_writing(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    for n in 0..25 {
        tx.event("SO-1", "state", &format!("e{n}"), &Value::Null).await.unwrap();
        tx.event("SO-2", "state", "other", &Value::Null).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (mut texts, mut cursor) = (Vec::new(), None);
    loop {
        let page = timeline(&ledger, "SO-1", 10, cursor.as_deref()).await.unwrap();
        texts.extend(page.events.into_iter().map(|event| event.text));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(texts, (0..25).map(|n| format!("e{n}")).collect::<Vec<_>>());
    let bad = timeline(&ledger, "SO-1", 10, Some("what")).await;
    assert!(matches!(bad, Err(LedgerError::Invalid(_))), "{bad:?}");
}

async fn a_text_too_long_for_the_timeline_is_cut_between_characters(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    tx.event("SO-1", "note", &"订".repeat(1_000), &Value::Null).await.unwrap();
    tx.commit().await.unwrap();
    let events = timeline(&ledger, "SO-1", 10, None).await.unwrap().events;
    assert_eq!(events[0].text, "订".repeat(666));
}

async fn what_somebody_did_by_hand_is_in_the_audit_log(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    tx.audit("key:ops", "pause", "queue:orders", "stocktaking").await.unwrap();
    tx.commit().await.unwrap();
    let row = sqlx::query("SELECT at, who, what, about, detail FROM audit_log")
        .fetch_one(ledger.reads())
        .await
        .unwrap();
    assert_eq!(row.get::<i64, _>("at"), NOON.micros());
    let texts = ["who", "what", "about", "detail"].map(|column| row.get::<String, _>(column));
    assert_eq!(texts, ["key:ops", "pause", "queue:orders", "stocktaking"]);
}

fn new_callback(body: &[u8], verdict: CallbackVerdict) -> NewCallback {
    NewCallback {
        id: NewCallback::content_id("ylh", body),
        source: "ylh".to_owned(),
        headers: json!({ "Sign": "abc" }),
        body: body.to_vec(),
        received_at: NOON,
        verdict,
        reason: None,
    }
}

async fn store(ledger: &Ledger, callback: &NewCallback) -> Result<bool, LedgerError> {
    let mut tx = ledger.begin().await.unwrap();
    let is_new = tx.store_callback(callback).await?;
    tx.commit().await.unwrap();
    Ok(is_new)
}

async fn a_callback_comes_back_byte_for_byte(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    for body in [&b"Method=hmm.scm_heorder.confirm&Data=%7B"[..], b"\xff\xfe\x00", b"with \0 inside", b""] {
        let put = new_callback(body, CallbackVerdict::Accepted);
        assert!(store(&ledger, &put).await.unwrap());
        let got = callback(&ledger, &put.id).await.unwrap().unwrap();
        assert_eq!(
            (got.body.as_slice(), got.headers, got.source.as_str()),
            (body, json!({ "Sign": "abc" }), "ylh")
        );
        assert_eq!((got.received_at, got.verdict, got.handled_at), (NOON, CallbackVerdict::Accepted, None));
    }
    assert!(callback(&ledger, "none").await.unwrap().is_none());
    let long = new_callback(&vec![b'x'; CALLBACK_BODY_BYTES_MAX + 1], CallbackVerdict::Refused);
    assert!(matches!(store(&ledger, &long).await, Err(LedgerError::Invalid(_))));
}

async fn a_callback_that_comes_again_is_counted_and_waits_once(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let good = new_callback(b"body", CallbackVerdict::Accepted);
    assert!(store(&ledger, &good).await.unwrap());
    assert!(!store(&ledger, &good).await.unwrap());
    assert_eq!(callback(&ledger, &good.id).await.unwrap().unwrap().times, 2);
    let later = NOON + Duration::from_secs(1);
    let waiting = callbacks_waiting(&ledger, later, 10).await.unwrap();
    assert_eq!(waiting, [(good.id.clone(), "ylh".to_owned())]);
    assert!(callbacks_waiting(&ledger, NOON, 10).await.unwrap().is_empty());
    for first in [true, false] {
        let mut tx = ledger.begin().await.unwrap();
        assert_eq!(tx.callback_handled(&good.id).await.unwrap(), first);
        tx.commit().await.unwrap();
    }
    assert!(callbacks_waiting(&ledger, later, 10).await.unwrap().is_empty());
}

async fn a_forged_callback_does_not_stand_in_the_way_of_the_real_one(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let forged = new_callback(b"body", CallbackVerdict::Refused);
    assert!(store(&ledger, &forged).await.unwrap());
    assert!(callbacks_waiting(&ledger, NOON + Duration::from_secs(1), 10).await.unwrap().is_empty());
    assert!(store(&ledger, &new_callback(b"body", CallbackVerdict::Accepted)).await.unwrap());
    assert!(!store(&ledger, &forged).await.unwrap());
    let got = callback(&ledger, &forged.id).await.unwrap().unwrap();
    assert_eq!((got.verdict, got.times), (CallbackVerdict::Accepted, 3));
}

async fn a_token_on_the_shelf_is_every_process_s_and_its_claim_is_one_s(engine: Engine) {
    let place = Place::new(engine);
    let here = LedgerShelf::new(place.ledger().await);
    let there = LedgerShelf::new(place.ledger().await);
    let later = |secs| NOON + Duration::from_secs(secs);
    assert!(here.load("ylh").await.unwrap().is_none());
    assert!(here.claim("ylh", "here", NOON, later(30)).await.unwrap());
    assert!(!there.claim("ylh", "there", later(1), later(31)).await.unwrap());
    assert!(here.claim("ylh", "here", later(1), later(31)).await.unwrap(), "its own");
    assert!(there.load("ylh").await.unwrap().is_none(), "a claim is no token");
    let token = Token {
        value: "t1".into(),
        token_type: "Bearer".to_owned(),
        issued_at: NOON,
        expires_at: later(7_200),
    };
    here.save("ylh", &token).await.unwrap();
    assert_eq!(there.load("ylh").await.unwrap(), Some(token.clone()));
    assert!(!there.claim("ylh", "there", later(2), later(32)).await.unwrap(), "saving releases nothing");
    there.release("ylh", "there").await.unwrap();
    assert!(!there.claim("ylh", "there", later(2), later(32)).await.unwrap(), "nor does another's release");
    here.release("ylh", "here").await.unwrap();
    assert!(there.claim("ylh", "there", later(2), later(32)).await.unwrap());
    assert!(here.claim("ylh", "here", later(33), later(63)).await.unwrap(), "a dead holder's claim ends");
    assert_eq!(here.load("ylh").await.unwrap(), Some(token));
}
