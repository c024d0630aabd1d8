//! The same file again, and a changed one.

use windlass_jobs::findings::{FindingState, FindingType, Resolution, finding_id, resolve_finding};
use windlass_jobs::reconciliation::{
    Changed, Compared, Wanted, compare, csv, findings_of, html, newest_day_compared, reconciliation,
    reconciliations,
};
use windlass_testing::bills::TradeBill;
use windlass_testing::{Engine, on_every_engine};

use crate::books::{Books, at, case, day};

on_every_engine! {
    the_same_file_finds_nothing_new_and_heals_nothing_twice,
    a_changed_file_supersedes_what_it_no_longer_has_and_tells_the_difference,
    what_a_person_resolved_stays_resolved,
    the_same_files_are_compared_again_when_somebody_asks,
    versions_are_listed_in_pages_and_told_as_csv_and_html,
}

fn bill() -> TradeBill {
    TradeBill::default()
        .payment("SO-1", "4201", at(0, 1.0), 700)
        .payment("SO-2", "4202", at(0, 2.0), 800)
        .payment("XX-1", "4203", at(0, 3.0), 900)
}

async fn open(engine: Engine) -> Books {
    let books = Books::open(engine).await;
    books.order("SO-1", "pending", "paying", 700, None).await;
    books.paid("SO-2", "4202", at(0, 2.0), 801).await;
    books
}

async fn the_same_file_finds_nothing_new_and_heals_nothing_twice(engine: Engine) {
    let books = open(engine).await;
    assert_eq!(newest_day_compared(&books.ledger).await.unwrap(), None);
    books.trade(0, &bill()).await;
    books.report(0).await;
    assert_eq!(newest_day_compared(&books.ledger).await.unwrap(), Some(day(0)));
    let found = books.open_cases().await;
    assert_eq!(found, [case("amount", "4202"), case("long", "4201"), case("long", "4203")]);
    for _ in 0..2 {
        let Compared::Before(before) = books.compare(0).await else { panic!("it was compared again") };
        assert_eq!(before.version, 1);
    }
    assert_eq!((books.open_cases().await, books.heals().await), (found, 1));
}

async fn a_changed_file_supersedes_what_it_no_longer_has_and_tells_the_difference(engine: Engine) {
    let books = open(engine).await;
    books.trade(0, &bill()).await;
    books.report(0).await;
    books.trade(0, &bill().without_row_of("4203", 900).payment("XX-2", "4204", at(0, 4.0), 50)).await;
    let report = books.report(0).await;
    assert_eq!(report.version, 2);
    assert_eq!(report.changed, Some(Changed { since_version: 1, new: 1, still: 2, gone: 1, superseded: 1 }));
    let open = [case("amount", "4202"), case("long", "4201"), case("long", "4204")];
    assert_eq!(books.open_cases().await, open);
    assert_eq!(books.cases(FindingState::Superseded).await, [case("long", "4203")]);
    // And back again: what was superseded is open again.
    books.trade(0, &bill().payment("SO-9", "4209", at(0, 5.0), 1)).await;
    books.report(0).await;
    assert!(books.open_cases().await.contains(&case("long", "4203")));
    assert_eq!(books.cases(FindingState::Superseded).await, [case("long", "4204")]);
}

async fn what_a_person_resolved_stays_resolved(engine: Engine) {
    let books = open(engine).await;
    books.trade(0, &bill()).await;
    books.report(0).await;
    let id = finding_id(FindingType::Amount, "4202");
    let how = Resolution { who: "ops", reason: "booked", adjustment_fen: Some(-1) };
    resolve_finding(&books.ledger, &id, &how).await.unwrap();
    books.trade(0, &bill().payment("XX-2", "4204", at(0, 4.0), 50)).await;
    let report = books.report(0).await;
    assert_eq!(report.findings["amount"], 1, "it is found, and known");
    assert_eq!(books.cases(FindingState::Resolved).await, [case("amount", "4202")]);
}

async fn the_same_files_are_compared_again_when_somebody_asks(engine: Engine) {
    let books = open(engine).await;
    books.trade(0, &bill()).await;
    books.report(0).await;
    books.write("UPDATE payments SET paid_fen = 800, amount_fen = 800 WHERE out_trade_no = 'SO-2'").await;
    let again = Wanted { again: true, job_id: "by hand", ..books.wanted(0) };
    let Compared::Done(report) = compare(&books.ledger, &again).await.unwrap() else { panic!("not done") };
    assert_eq!((report.version, report.changed.unwrap().superseded), (2, 1));
    assert_eq!(books.cases(FindingState::Superseded).await, [case("amount", "4202")]);
    let same = compare(&books.ledger, &again).await.unwrap();
    assert!(matches!(same, Compared::Before(_)), "whoever asked was answered: {same:?}");
}

async fn versions_are_listed_in_pages_and_told_as_csv_and_html(engine: Engine) {
    let books = open(engine).await;
    for n in 0..3 {
        books.trade(n, &bill()).await;
        books.report(n).await;
    }
    books.trade(0, &bill().payment("XX-2", "4204", at(0, 4.0), 50)).await;
    books.report(0).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = reconciliations(&books.ledger, 2, cursor.as_deref()).await.unwrap();
        seen.extend(page.reconciliations.into_iter().map(|one| (one.day, one.version)));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected = [(2, 1), (1, 1), (0, 2), (0, 1)].map(|(n, version)| (day(n).to_string(), version));
    assert_eq!(seen, expected);
    assert!(reconciliations(&books.ledger, 2, Some("what")).await.is_err());
    let first = reconciliation(&books.ledger, day(0), Some(1)).await.unwrap().unwrap();
    assert_eq!(first.version, 1);
    assert!(reconciliation(&books.ledger, day(0), Some(9)).await.unwrap().is_none());
    let newest = reconciliation(&books.ledger, day(0), None).await.unwrap().unwrap();
    let cases = findings_of(&books.ledger, &newest.id, 500, "").await.unwrap();
    assert_eq!(cases.len(), 4);
    let rest = findings_of(&books.ledger, &newest.id, 500, &cases[1].id).await.unwrap();
    assert_eq!(rest, cases[2..]);
    assert_eq!(csv(&cases, true).lines().count(), 5);
    let page = html(&newest, &cases, false);
    assert!(page.contains("Against version 1: 1 new findings, 3 found again"), "{page}");
}
