//! What people must look at: raised once, taken, settled, listed, noted.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_jobs::findings::{
    Acted, FINDING_KEY_BYTES_MAX, FindingFilter, FindingState, FindingType, NewFinding, Resolution,
    assign_finding, finding, finding_id, findings, findings_of_order, findings_open_by_type, resolve_finding,
};
use windlass_jobs::ledger::{Ledger, LedgerError, timeline};
use windlass_testing::{Engine, Place, on_every_engine};

on_every_engine! {
    what_is_raised_twice_is_one_case,
    what_is_undone_was_never_raised,
    a_case_is_taken_and_resolved_with_reason_and_adjustment_and_the_audit_log_knows,
    a_settled_case_is_settled_once_and_stays_so,
    a_superseded_case_that_is_found_again_is_open_again,
    cases_are_listed_in_pages_under_every_filter,
    a_case_quotes_whatever_the_outside_wrote,
}

fn new(kind: FindingType, key: &str) -> NewFinding<'_> {
    NewFinding {
        kind,
        key,
        order_no: Some("SO-1"),
        amount_fen: Some(129_999),
        text: "WeChat has a payment that we lack: ask for it.",
        evidence: json!({ "line": 7 }),
    }
}

async fn raise(ledger: &Ledger, finding: &NewFinding<'_>) -> bool {
    let mut tx = ledger.begin().await.unwrap();
    let is_new = tx.raise(finding).await.unwrap();
    tx.commit().await.unwrap();
    is_new
}

async fn open_of(ledger: &Ledger, kind: FindingType) -> i64 {
    let counts = findings_open_by_type(ledger).await.unwrap();
    assert_eq!(counts.len(), FindingType::ALL.len());
    counts.into_iter().find(|(of, _)| *of == kind).unwrap().1
}

async fn what_is_raised_twice_is_one_case(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    assert!(raise(&ledger, &new(FindingType::Long, "4200")).await);
    assert!(!raise(&ledger, &NewFinding { text: "other words", ..new(FindingType::Long, "4200") }).await);
    assert!(raise(&ledger, &new(FindingType::Amount, "4200")).await, "another type is another case");
    let id = finding_id(FindingType::Long, "4200");
    let case = finding(&ledger, &id).await.unwrap().unwrap();
    assert_eq!((case.kind, case.key.as_str(), case.state), (FindingType::Long, "4200", FindingState::Open));
    assert_eq!((case.amount_fen, case.evidence), (Some(129_999), json!({ "line": 7 })));
    assert_eq!(case.text, "WeChat has a payment that we lack: ask for it.");
    assert_eq!((case.raised_at, case.settled_at), (place.clock.now(), None));
    assert_eq!((open_of(&ledger, FindingType::Long).await, open_of(&ledger, FindingType::Fee).await), (1, 0));
    let events = timeline(&ledger, "SO-1", 10, None).await.unwrap().events;
    assert_eq!(events.iter().filter(|event| event.kind == "finding").count(), 2);
    assert_eq!(events[0].data, Some(json!({ "finding": id, "type": "long" })));
    assert_eq!(findings_of_order(&ledger, "SO-1").await.unwrap().len(), 2);
}

async fn what_is_undone_was_never_raised(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut tx = ledger.begin().await.unwrap();
    assert!(tx.raise(&new(FindingType::Long, "4200")).await.unwrap());
    drop(tx);
    assert!(finding(&ledger, &finding_id(FindingType::Long, "4200")).await.unwrap().is_none());
    assert!(raise(&ledger, &new(FindingType::Long, "4200")).await);
}

async fn a_case_is_taken_and_resolved_with_reason_and_adjustment_and_the_audit_log_knows(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    raise(&ledger, &new(FindingType::Short, "SO-1")).await;
    let id = finding_id(FindingType::Short, "SO-1");
    for owner in ["li", " wang "] {
        assert_eq!(assign_finding(&ledger, &id, owner, "ops (k1)").await.unwrap(), Acted::Done);
    }
    let taken = finding(&ledger, &id).await.unwrap().unwrap();
    assert_eq!((taken.state, taken.owner.as_deref()), (FindingState::Assigned, Some("wang")));
    assert_eq!(open_of(&ledger, FindingType::Short).await, 1, "somebody must still look");
    place.clock.advance(Duration::from_secs(60));
    let how =
        Resolution { who: "ops (k1)", reason: "booked as a till difference", adjustment_fen: Some(-500) };
    assert_eq!(resolve_finding(&ledger, &id, &how).await.unwrap(), Acted::Done);
    let over = finding(&ledger, &id).await.unwrap().unwrap();
    assert_eq!((over.state, over.adjustment_fen), (FindingState::Resolved, Some(-500)));
    assert_eq!(over.reason.as_deref(), Some("booked as a till difference"));
    assert_eq!((over.settled_at, over.settled_by.as_deref()), (Some(place.clock.now()), Some("ops (k1)")));
    assert_eq!(open_of(&ledger, FindingType::Short).await, 0);
    let noted: Vec<(String, String, String)> =
        sqlx::query_as("SELECT what, about, detail FROM audit_log ORDER BY at, id")
            .fetch_all(ledger.reads())
            .await
            .unwrap();
    let noted: Vec<_> = noted.iter().map(|(what, _, detail)| (what.as_str(), detail.as_str())).collect();
    assert_eq!(
        noted,
        [
            ("finding.assign", "li"),
            ("finding.assign", "wang"),
            ("finding.resolved", "booked as a till difference (adjustment: -500 fen)"),
        ]
    );
}

async fn a_settled_case_is_settled_once_and_stays_so(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    raise(&ledger, &new(FindingType::Short, "SO-1")).await;
    let id = finding_id(FindingType::Short, "SO-1");
    let how = Resolution { who: "ops", reason: "  ", adjustment_fen: None };
    let refused = resolve_finding(&ledger, &id, &how).await;
    assert!(matches!(refused, Err(LedgerError::Invalid(_))), "{refused:?}");
    let mut tx = ledger.begin().await.unwrap();
    assert!(tx.resolve_finding(FindingType::Short, "SO-1", "reconcile_payments", "found").await.unwrap());
    assert!(!tx.resolve_finding(FindingType::Short, "SO-1", "reconcile_payments", "found").await.unwrap());
    assert!(!tx.supersede_finding(&id, "reconcile_payments", "gone").await.unwrap());
    assert!(!tx.resolve_finding(FindingType::Short, "SO-2", "reconcile_payments", "found").await.unwrap());
    tx.commit().await.unwrap();
    let over = Acted::Over(FindingState::Resolved);
    assert_eq!(assign_finding(&ledger, &id, "li", "ops").await.unwrap(), over);
    let how = Resolution { reason: "again", ..how };
    assert_eq!(resolve_finding(&ledger, &id, &how).await.unwrap(), over);
    assert_eq!(assign_finding(&ledger, "none", "li", "ops").await.unwrap(), Acted::Unknown);
    assert!(!raise(&ledger, &new(FindingType::Short, "SO-1")).await, "what was resolved is not raised again");
    assert_eq!(finding(&ledger, &id).await.unwrap().unwrap().reason.as_deref(), Some("found"));
}

async fn a_superseded_case_that_is_found_again_is_open_again(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    raise(&ledger, &new(FindingType::Fee, "4200")).await;
    let id = finding_id(FindingType::Fee, "4200");
    let mut tx = ledger.begin().await.unwrap();
    assert!(tx.supersede_finding(&id, "reconcile_payments", "not in version 2").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(open_of(&ledger, FindingType::Fee).await, 0);
    assert!(raise(&ledger, &NewFinding { amount_fen: Some(1), ..new(FindingType::Fee, "4200") }).await);
    let case = finding(&ledger, &id).await.unwrap().unwrap();
    assert_eq!((case.state, case.amount_fen, case.settled_at), (FindingState::Open, Some(1), None));
}

async fn cases_are_listed_in_pages_under_every_filter(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    for n in 0..7 {
        let (key, order_no) = (format!("k{n}"), format!("SO-{n}"));
        raise(&ledger, &NewFinding { order_no: Some(&order_no), ..new(FindingType::Long, &key) }).await;
        place.clock.advance(Duration::from_micros(n % 2));
    }
    raise(&ledger, &new(FindingType::BadRow, "line 9")).await;
    assign_finding(&ledger, &finding_id(FindingType::Long, "k3"), "li", "ops").await.unwrap();
    let long = FindingFilter { kind: Some(FindingType::Long), ..FindingFilter::default() };
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let page = findings(&ledger, &long, 3, cursor.as_deref()).await.unwrap();
        assert!(page.findings.is_sorted_by_key(|case| case.raised_at));
        keys.extend(page.findings.into_iter().map(|case| case.key));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    keys.sort();
    assert_eq!(keys, (0..7).map(|n| format!("k{n}")).collect::<Vec<_>>());
    let any = FindingFilter::default();
    for (filter, count) in [
        (any.clone(), 8),
        (FindingFilter { state: Some(FindingState::Open), ..any.clone() }, 7),
        (FindingFilter { owner: Some("li"), ..any.clone() }, 1),
        (FindingFilter { order_no: Some("SO-1"), ..any.clone() }, 2),
        (FindingFilter { order_no: Some("SO-1"), ..long.clone() }, 1),
    ] {
        assert_eq!(findings(&ledger, &filter, 100, None).await.unwrap().findings.len(), count, "{filter:?}");
    }
    let bad = findings(&ledger, &any, 3, Some("what")).await;
    assert!(matches!(bad, Err(LedgerError::Invalid(_))), "{bad:?}");
}

async fn a_case_quotes_whatever_the_outside_wrote(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let key = "line\0of the bill";
    let text = "订".repeat(2_000);
    let odd = NewFinding {
        kind: FindingType::BadRow,
        key,
        order_no: Some("SO\0-1"),
        amount_fen: None,
        text: &text,
        evidence: json!({ "line": "a\0b".repeat(20_000) }),
    };
    assert!(raise(&ledger, &odd).await);
    assert!(!raise(&ledger, &odd).await);
    let case = &findings(&ledger, &FindingFilter::default(), 10, None).await.unwrap().findings[0];
    assert_eq!(case.text, "订".repeat(666));
    assert!(matches!(case.evidence, Value::Object(_)));
    let mut tx = ledger.begin().await.unwrap();
    assert!(tx.resolve_finding(FindingType::BadRow, key, "ops", "seen\0").await.unwrap());
    for wrong in [String::new(), "k".repeat(FINDING_KEY_BYTES_MAX + 1)] {
        let refused = tx.raise(&NewFinding { key: &wrong, ..odd.clone() }).await;
        assert!(matches!(refused, Err(LedgerError::Invalid(_))), "{refused:?}");
    }
}
