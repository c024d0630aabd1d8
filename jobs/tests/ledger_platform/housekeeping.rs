//! What is forgotten and what is not, and what is said of backups.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use sqlx::AssertSqlSafe;
use windlass_engine::Timestamp;
use windlass_jobs::Settings;
use windlass_jobs::findings::{FindingFilter, FindingState, FindingType, NewFinding, findings};
use windlass_jobs::housekeeping::backups::{BACKUP_KINDS_MAX, NewBackup, list, record_backup};
use windlass_jobs::housekeeping::keep::{KEEP, KEPT_FOR_EVER, TIDIED_ELSEWHERE};
use windlass_jobs::housekeeping::{Pruned, check_backups, prune};
use windlass_jobs::ledger::{Ledger, LedgerError};
use windlass_testing::{Engine, Place, on_every_engine};

const DAY: Duration = Duration::from_secs(86_400);
/// Before every bound.
const LONG_AGO: Duration = Duration::from_secs(20 * 366 * 86_400);

on_every_engine! {
    every_table_says_how_long_it_is_kept,
    what_is_old_goes_and_what_is_still_needed_stays,
    a_dry_run_counts_and_removes_nothing,
    a_run_is_bounded_and_the_next_one_goes_on,
    a_backup_is_reported_once_and_verified_later,
    a_report_that_cannot_be_is_refused,
    a_missing_backup_is_one_case_until_there_is_a_good_one,
}

async fn every_table_says_how_long_it_is_kept(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let asks = match engine {
        Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        Engine::Postgres => {
            "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables WHERE table_schema = 'public'"
        }
    };
    let tables: Vec<(String,)> = sqlx::query_as(asks).fetch_all(ledger.reads()).await.unwrap();
    let tables: BTreeSet<String> =
        tables.into_iter().map(|(name,)| name).filter(|name| name != "_sqlx_migrations").collect();
    let named: Vec<String> = KEEP
        .iter()
        .map(|keep| keep.table)
        .chain(KEPT_FOR_EVER.iter().map(|(table, _)| *table))
        .chain(TIDIED_ELSEWHERE.iter().map(|(table, _)| *table))
        .map(str::to_owned)
        .collect();
    let once: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(once.len(), named.len(), "a table stands in two lists of housekeeping/keep.rs");
    assert_eq!(tables, once, "housekeeping/keep.rs says of every table how long its rows stay");
    if engine == Engine::Sqlite {
        // A part of a key would take rows along that are still needed.
        for keep in KEEP {
            let asks =
                format!("SELECT name FROM pragma_table_info('{}') WHERE pk > 0 ORDER BY pk", keep.table);
            let columns: Vec<(String,)> =
                sqlx::query_as(AssertSqlSafe(asks)).fetch_all(ledger.reads()).await.unwrap();
            let columns: Vec<_> = columns.into_iter().map(|(name,)| name).collect();
            assert_eq!(keep.key, columns.join(", "), "the key of {}", keep.table);
        }
    }
}

/// Rows of each table that retention looks after: what goes and what stays, when both are old.
async fn fill(ledger: &Ledger, at: Timestamp) {
    let at = at.micros();
    let mut tx = ledger.begin().await.unwrap();
    let mut texts = Vec::new();
    for (no, state) in [("SO-done", "completed"), ("SO-open", "shipped")] {
        texts.push(format!(
            "INSERT INTO orders (order_no, state, fingerprint, openid, customer_name, mobile, province, city, area, detail, \
             county_code, total_fen, placed_at, expires_at, recorded_at, state_at, version, touched_at) VALUES \
             ('{no}', '{state}', 'f', 'o', 'n', 'm', 'p', 'c', 'a', 'd', '1', 100, {at}, {at}, {at}, {at}, 1, {at})"
        ));
        texts.push(format!(
            "INSERT INTO order_events (id, order_no, at, kind, text) VALUES ('e-{no}', '{no}', {at}, 'k', 't')"
        ));
        texts.push(format!(
            "INSERT INTO effects (key, kind, about, state, tells, teller, created_at, settled_at) VALUES \
             ('f-{no}', 'ylh.create', '{no}', 'done', 1, 't', {at}, {at})"
        ));
        texts.push(format!(
            "INSERT INTO notifications (order_no, template, event, channel, state, queued_at, touched_at) VALUES \
             ('{no}', 'shipped', '', 'mail', 'sent', {at}, {at})"
        ));
    }
    texts.push(format!(
        "INSERT INTO effects (key, kind, about, state, tells, teller, created_at) VALUES \
         ('f-doubt', 'ylh.create', 'SO-done', 'in_doubt', 1, 't', {at})"
    ));
    texts.push(format!(
        "INSERT INTO notifications (order_no, template, event, channel, state, queued_at, touched_at) VALUES \
         ('SO-done', 'shipped', 'later', 'mail', 'queued', {at}, {at})"
    ));
    for (id, verdict, handled) in [
        ("handled", "accepted", at.to_string()),
        ("refused", "refused", "NULL".into()),
        ("waiting", "accepted", "NULL".into()),
    ] {
        texts.push(format!(
            "INSERT INTO callbacks (id, source, headers, body, body_form, received_at, verdict, handled_at) VALUES \
             ('{id}', 'ylh', '{{}}', 'b', 'text', {at}, '{verdict}', {handled})"
        ));
    }
    texts.push(format!("INSERT INTO audit_log (id, at, who, what, about) VALUES ('a', {at}, 'w', 'w', 'a')"));
    for (id, taken_at) in [("old", at), ("newest", at + 1)] {
        texts.push(format!(
            "INSERT INTO backups (id, kind, taken_at, bytes, sha256, location, reported_at, reported_by) VALUES \
             ('{id}', 'ledger', {taken_at}, 1, 's', 'l', {at}, 'w')"
        ));
    }
    for text in texts {
        sqlx::query(AssertSqlSafe(text)).execute(tx.conn()).await.unwrap();
    }
    for key in ["settled", "open"] {
        let finding = NewFinding {
            kind: FindingType::BalanceLow,
            key,
            order_no: None,
            amount_fen: None,
            text: "t",
            evidence: Value::Null,
        };
        tx.raise(&finding).await.unwrap();
    }
    tx.resolve_finding(FindingType::BalanceLow, "settled", "w", "r").await.unwrap();
    let age_it =
        format!("UPDATE findings SET settled_at = {at}, raised_at = {at} WHERE settled_at IS NOT NULL");
    sqlx::query(AssertSqlSafe(age_it)).execute(tx.conn()).await.unwrap();
    let without_new = format!("DELETE FROM audit_log WHERE at > {at}");
    sqlx::query(AssertSqlSafe(without_new)).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
}

/// The ids that are left, of every table that `fill` fills.
async fn left(ledger: &Ledger) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (table, id) in [
        ("order_events", "id"),
        ("effects", "key"),
        ("callbacks", "id"),
        ("notifications", "order_no || '/' || event"),
        ("audit_log", "id"),
        ("findings", "key"),
        ("backups", "id"),
    ] {
        let text = format!("SELECT '{table}' AS table_name, {id} AS row_id FROM {table} ORDER BY row_id");
        let rows: Vec<(String, String)> =
            sqlx::query_as(AssertSqlSafe(text)).fetch_all(ledger.reads()).await.unwrap();
        all.extend(rows);
    }
    all
}

fn rows_of(pruned: &[Pruned]) -> Vec<(&str, u64)> {
    pruned.iter().map(|pruned| (pruned.table, pruned.rows)).collect()
}

const GOES: [(&str, u64); 7] = [
    ("order_events", 1),
    ("effects", 1),
    ("callbacks", 2),
    ("notifications", 1),
    ("audit_log", 1),
    ("findings", 1),
    ("backups", 1),
];

fn expected() -> BTreeSet<(&'static str, u64)> {
    GOES.into_iter().collect()
}

async fn what_is_old_goes_and_what_is_still_needed_stays(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    fill(&ledger, place.clock.now() - LONG_AGO).await;
    let pruned = prune(&ledger, &Settings::default(), false, &|| false).await.unwrap();
    let gone: BTreeSet<_> = rows_of(&pruned).into_iter().filter(|(_, rows)| *rows > 0).collect();
    assert_eq!(gone, expected());
    assert!(pruned.iter().all(|pruned| !pruned.more), "{pruned:?}");
    let left = left(&ledger).await;
    let left: Vec<_> = left.iter().map(|(table, id)| (table.as_str(), id.as_str())).collect();
    // Resolving the case was noted in the audit log as of now, and `fill` took that away.
    assert_eq!(
        left,
        [
            ("order_events", "e-SO-open"),
            ("effects", "f-SO-open"),
            ("effects", "f-doubt"),
            ("callbacks", "waiting"),
            ("notifications", "SO-done/later"),
            ("notifications", "SO-open/"),
            ("findings", "open"),
            ("backups", "newest"),
        ]
    );
}

async fn a_dry_run_counts_and_removes_nothing(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    fill(&ledger, place.clock.now() - LONG_AGO).await;
    let before = left(&ledger).await;
    let pruned = prune(&ledger, &Settings::default(), true, &|| false).await.unwrap();
    let would_go: BTreeSet<_> = rows_of(&pruned).into_iter().filter(|(_, rows)| *rows > 0).collect();
    assert_eq!(would_go, expected());
    assert_eq!(left(&ledger).await, before);
    // Nothing of it is old for a shop that keeps it for ever.
    let days: std::collections::BTreeMap<String, u32> =
        KEEP.iter().map(|keep| (keep.table.to_owned(), 0)).collect();
    let for_ever = Settings { keep_days: days.try_into().unwrap(), ..Settings::default() };
    let kept = prune(&ledger, &for_ever, false, &|| false).await.unwrap();
    assert!(kept.iter().all(|pruned| pruned.rows == 0 && pruned.days.is_none()), "{kept:?}");
    assert_eq!(left(&ledger).await, before);
}

async fn a_run_is_bounded_and_the_next_one_goes_on(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let at = (place.clock.now() - LONG_AGO).micros();
    let mut tx = ledger.begin().await.unwrap();
    for n in 0..7 {
        let text = format!(
            "INSERT INTO audit_log (id, at, who, what, about) VALUES ('a{n}', {at} + {n}, 'w', 'w', 'a')"
        );
        sqlx::query(AssertSqlSafe(text)).execute(tx.conn()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let small = Settings { prune_rows_max: 2, prune_slices_max: 2, ..Settings::default() };
    let audit_log = async |stop: bool| {
        let pruned = prune(&ledger, &small, false, &|| stop).await.unwrap();
        let of = pruned.iter().find(|pruned| pruned.table == "audit_log").unwrap();
        (of.rows, of.more)
    };
    assert_eq!(audit_log(true).await, (0, true), "it was asked to stop");
    assert_eq!(audit_log(false).await, (4, true));
    let left: Vec<_> = left(&ledger).await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(left, ["a4", "a5", "a6"], "the oldest go first");
    assert_eq!(audit_log(false).await, (3, false));
}

fn backup(kind: &str, taken_at: Timestamp, bytes: i64) -> NewBackup {
    NewBackup {
        kind: kind.to_owned(),
        taken_at,
        bytes,
        sha256: "ab".repeat(32),
        location: "s3://backups/ledger.zst".to_owned(),
        verified_at: None,
    }
}

async fn a_backup_is_reported_once_and_verified_later(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let (settings, now) = (Settings::default(), place.clock.now());
    let first = backup("ledger", now, 1_000);
    let (stored, is_new) = record_backup(&ledger, &settings, &first, "cron").await.unwrap();
    assert!(is_new && stored.verified_at.is_none() && stored.reported_by == "cron");
    let verified = NewBackup { verified_at: Some(now), ..first.clone() };
    let (stored, is_new) = record_backup(&ledger, &settings, &verified, "drill").await.unwrap();
    assert_eq!((is_new, stored.verified_at, stored.reported_by.as_str()), (false, Some(now), "cron"));
    let (stored, _) = record_backup(&ledger, &settings, &first, "cron").await.unwrap();
    assert_eq!(stored.verified_at, Some(now), "a repeat takes nothing back");
    record_backup(&ledger, &settings, &backup("queue", now, 7), "cron").await.unwrap();
    assert_eq!(list(&ledger, None, 10).await.unwrap().len(), 2);
    assert_eq!(list(&ledger, Some("queue"), 10).await.unwrap()[0].bytes, 7);
}

async fn a_report_that_cannot_be_is_refused(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let (settings, now) = (Settings::default(), place.clock.now());
    let good = backup("ledger", now, 1);
    record_backup(&ledger, &settings, &good, "cron").await.unwrap();
    for (bad, word) in [
        (NewBackup { kind: "the ledger".to_owned(), ..good.clone() }, "kind"),
        (NewBackup { bytes: 0, ..good.clone() }, "bytes"),
        (NewBackup { sha256: "abc".to_owned(), ..good.clone() }, "sha256"),
        (NewBackup { sha256: "cd".repeat(32), ..good.clone() }, "another SHA-256"),
        (NewBackup { location: String::new(), ..good.clone() }, "where"),
        (NewBackup { taken_at: now + DAY, ..good.clone() }, "not yet"),
    ] {
        let refused = record_backup(&ledger, &settings, &bad, "cron").await;
        assert!(matches!(&refused, Err(LedgerError::Invalid(why)) if why.contains(word)), "{refused:?}");
    }
    for n in 1..BACKUP_KINDS_MAX {
        record_backup(&ledger, &settings, &backup(&format!("k{n}"), now, 1), "cron").await.unwrap();
    }
    let one_more = record_backup(&ledger, &settings, &backup("more", now, 1), "cron").await;
    assert!(matches!(one_more, Err(LedgerError::Invalid(_))), "{one_more:?}");
}

async fn a_missing_backup_is_one_case_until_there_is_a_good_one(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let settings = Settings { backup_kinds: Some(vec!["ledger".to_owned()]), ..Settings::default() };
    let cases = async || {
        let filter = FindingFilter { kind: Some(FindingType::BackupMissing), ..FindingFilter::default() };
        let page = findings(&ledger, &filter, 10, None).await.unwrap();
        page.findings.into_iter().map(|case| (case.key, case.state)).collect::<Vec<_>>()
    };
    assert_eq!(check_backups(&ledger, &Settings::default()).await.unwrap().bad, [""; 0], "none is asked for");
    for _ in 0..2 {
        assert_eq!(check_backups(&ledger, &settings).await.unwrap().bad, ["ledger"]);
    }
    assert_eq!(cases().await, [("ledger@never".to_owned(), FindingState::Open)]);

    let first = place.clock.now();
    record_backup(&ledger, &settings, &backup("ledger", first, 1_000), "cron").await.unwrap();
    assert_eq!(cases().await, [("ledger@never".to_owned(), FindingState::Resolved)], "the report ends it");
    // Nobody asks for it by name any more: it was there once.
    assert_eq!(check_backups(&ledger, &Settings::default()).await.unwrap().good, ["ledger"]);

    place.clock.advance(DAY * 2);
    assert_eq!(check_backups(&ledger, &settings).await.unwrap().bad, ["ledger"]);
    let second = place.clock.now();
    record_backup(&ledger, &settings, &backup("ledger", second, 10), "cron").await.unwrap();
    assert_eq!(check_backups(&ledger, &settings).await.unwrap().bad, ["ledger"], "it is far too small");
    let open: Vec<_> = cases()
        .await
        .into_iter()
        .filter(|(_, state)| *state == FindingState::Open)
        .map(|(key, _)| key)
        .collect();
    let key = |at: Timestamp| format!("ledger@{}", at.to_rfc3339());
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open.contains(&key(first)) && open.contains(&key(second)), "{open:?}");
    place.clock.advance(DAY);
    record_backup(&ledger, &settings, &backup("ledger", place.clock.now(), 900), "cron").await.unwrap();
    assert!(cases().await.iter().all(|(_, state)| *state == FindingState::Resolved));
    assert_eq!(check_backups(&ledger, &settings).await.unwrap().good, ["ledger"]);
}
