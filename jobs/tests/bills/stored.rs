//! Files in the ledger: whole or not there, and read in pieces.

use chrono::NaiveDate;
use windlass_jobs::ledger::{Ledger, LedgerError};
use windlass_jobs::payments::bill::{
    BillError, BillKey, BillRow, BillType, BillWriter, Line, bills, newest_ready, read_fund, read_trade,
};
use windlass_testing::{Engine, Place, on_every_engine};

use crate::bank::sha1;
use crate::made::{MCHID, fund, payment, refund, trade};

on_every_engine! {
    a_stored_bill_is_read_back_row_by_row,
    a_file_of_many_pieces_is_read_back_whole,
    what_is_not_ready_cannot_be_read_or_seen,
    a_try_that_died_leaves_nothing_behind_the_next_one,
    a_writer_that_was_overtaken_puts_nothing_more,
    a_changed_file_is_the_next_version_and_the_first_stays,
    bills_are_listed_by_day_in_pages,
}

pub fn key(kind: BillType) -> BillKey {
    BillKey { mchid: MCHID.to_owned(), day: NaiveDate::from_ymd_opt(2026, 1, 5).unwrap(), kind }
}

async fn begin(ledger: &Ledger, kind: BillType) -> BillWriter {
    BillWriter::begin(ledger, &key(kind)).await.unwrap()
}

/// Stores a file; its id and version.
async fn store(ledger: &Ledger, key: &BillKey, text: &str) -> (String, i64) {
    let mut writer = BillWriter::begin(ledger, key).await.unwrap();
    for piece in text.as_bytes().chunks(10_000) {
        writer.write(piece).await.unwrap();
    }
    let sealed = writer.seal().await.unwrap();
    let totals = sealed.totals.clone().unwrap();
    let mut tx = ledger.begin().await.unwrap();
    let version = sealed.make_ready(&mut tx, key, &sha1(text.as_bytes()), &totals).await.unwrap();
    tx.commit().await.unwrap();
    (sealed.id, version)
}

async fn count(ledger: &Ledger, table: &'static str) -> i64 {
    let (rows,): (i64,) = match table {
        "bills" => sqlx::query_as("SELECT COUNT(*) AS n FROM bills"),
        _ => sqlx::query_as("SELECT COUNT(*) AS n FROM bill_files"),
    }
    .fetch_one(ledger.reads())
    .await
    .unwrap();
    rows
}

async fn a_stored_bill_is_read_back_row_by_row(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let made = [payment(2, 500), refund(3, 100)];
    let (id, version) = store(&ledger, &key(BillType::Trade), &trade(&made)).await;
    assert_eq!(version, 1);
    let mut reader = read_trade(&ledger, &id).await.unwrap();
    assert!(reader.totals().is_none());
    for row in &made {
        assert_eq!(reader.next().await.unwrap(), Some(Line::Row(row.clone())));
    }
    assert_eq!(reader.next().await.unwrap(), None);
    let totals = reader.totals().unwrap();
    let stored = newest_ready(&ledger, &key(BillType::Trade)).await.unwrap().unwrap();
    assert_eq!((&stored.totals, stored.rows, stored.id), (totals, 2, id.clone()));
    assert!(
        matches!(read_fund(&ledger, &id).await, Err(BillError::NoSuchBill(_))),
        "it is no fund flow bill"
    );
    let (id, _) = store(&ledger, &key(BillType::Fund), &fund(&made)).await;
    let mut reader = read_fund(&ledger, &id).await.unwrap();
    let lines = reader.next_lines().await.unwrap().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(reader.next_lines().await.unwrap().is_none());
    assert_eq!(reader.totals().unwrap().balance.as_ref().unwrap().breaks, 0);
}

async fn a_file_of_many_pieces_is_read_back_whole(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    // Numbers that hardly compress.
    let mut seed = fastrand::Rng::with_seed(7);
    let made: Vec<BillRow> = (2..12_002)
        .map(|line| BillRow {
            out_trade_no: format!("{:032x}", seed.u128(..)),
            transaction_id: format!("{:028}", seed.u64(..)),
            ..payment(line, seed.i64(1..1_000_000))
        })
        .collect();
    let text = trade(&made);
    let (id, _) = store(&ledger, &key(BillType::Trade), &text).await;
    let pieces = count(&ledger, "bill_files").await;
    assert!(pieces > 3, "{pieces} pieces of {} bytes", text.len());
    let mut reader = read_trade(&ledger, &id).await.unwrap();
    for row in &made {
        assert_eq!(reader.next().await.unwrap().as_ref(), Some(&Line::Row(row.clone())));
    }
    assert_eq!(reader.next().await.unwrap(), None);
    assert!(reader.totals().unwrap().adds_up());
}

async fn what_is_not_ready_cannot_be_read_or_seen(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut writer = begin(&ledger, BillType::Trade).await;
    writer.write(trade(&[payment(2, 500)]).as_bytes()).await.unwrap();
    let sealed = writer.seal().await.unwrap();
    assert!(matches!(read_trade(&ledger, &sealed.id).await, Err(BillError::NoSuchBill(_))));
    assert_eq!(newest_ready(&ledger, &key(BillType::Trade)).await.unwrap(), None);
    assert!(bills(&ledger, None, 10, None).await.unwrap().bills.is_empty());
}

async fn a_try_that_died_leaves_nothing_behind_the_next_one(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let mut dead = begin(&ledger, BillType::Trade).await;
    dead.write(trade(&[payment(2, 500)]).as_bytes()).await.unwrap();
    drop(dead.seal().await.unwrap());
    let mut other = begin(&ledger, BillType::Fund).await;
    assert_eq!((count(&ledger, "bills").await, count(&ledger, "bill_files").await), (2, 1));
    let (_, version) = store(&ledger, &key(BillType::Trade), &trade(&[payment(2, 500)])).await;
    assert_eq!((version, count(&ledger, "bills").await, count(&ledger, "bill_files").await), (1, 2, 1));
    other.write(fund(&[]).as_bytes()).await.unwrap();
    other.seal().await.expect("another bill is not in the way");
}

async fn a_writer_that_was_overtaken_puts_nothing_more(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let text = trade(&[payment(2, 500)]);
    let mut slow = begin(&ledger, BillType::Trade).await;
    slow.write(text.as_bytes()).await.unwrap();
    let mut sealed_late = begin(&ledger, BillType::Trade).await;
    assert!(matches!(slow.seal().await, Err(BillError::TakenOver(_))));
    sealed_late.write(text.as_bytes()).await.unwrap();
    let sealed = sealed_late.seal().await.unwrap();
    store(&ledger, &key(BillType::Trade), &text).await;
    let totals = sealed.totals.clone().unwrap();
    let mut tx = ledger.begin().await.unwrap();
    let late = sealed.make_ready(&mut tx, &key(BillType::Trade), &sha1(text.as_bytes()), &totals).await;
    assert!(matches!(late, Err(BillError::TakenOver(_))), "{late:?}");
    drop(tx);
    assert_eq!((count(&ledger, "bills").await, count(&ledger, "bill_files").await), (1, 1));
}

async fn a_changed_file_is_the_next_version_and_the_first_stays(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let (first, one) = store(&ledger, &key(BillType::Trade), &trade(&[payment(2, 500)])).await;
    let (second, two) = store(&ledger, &key(BillType::Trade), &trade(&[payment(2, 501)])).await;
    assert_eq!((one, two), (1, 2));
    let newest = newest_ready(&ledger, &key(BillType::Trade)).await.unwrap().unwrap();
    assert_eq!((newest.id, newest.version), (second, 2));
    assert!(read_trade(&ledger, &first).await.unwrap().next().await.unwrap().is_some());
    let other_day = BillKey { day: NaiveDate::from_ymd_opt(2026, 1, 6).unwrap(), ..key(BillType::Trade) };
    assert_eq!(store(&ledger, &other_day, &trade(&[])).await.1, 1);
}

async fn bills_are_listed_by_day_in_pages(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    for day in 1..=7 {
        let key = BillKey { day: NaiveDate::from_ymd_opt(2026, 1, day).unwrap(), ..key(BillType::Trade) };
        store(&ledger, &key, &trade(&[payment(2, 500)])).await;
    }
    let (mut days, mut cursor) = (Vec::new(), None);
    loop {
        let page = bills(&ledger, None, 3, cursor.as_deref()).await.unwrap();
        days.extend(page.bills.into_iter().map(|bill| bill.day));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(days, (1..=7).rev().map(|day| format!("2026-01-0{day}")).collect::<Vec<_>>());
    let one = bills(&ledger, Some("2026-01-03"), 10, None).await.unwrap().bills;
    assert_eq!((one.len(), one[0].rows, one[0].adds_up, one[0].version), (1, 1, Some(true), 1));
    assert_eq!(one[0].totals["figures"][0]["summed"], "1");
    for nonsense in ["what", "a_b_c", "_"] {
        let bad = bills(&ledger, None, 10, Some(nonsense)).await;
        assert!(matches!(bad, Err(LedgerError::Invalid(_))), "{bad:?}");
    }
}
