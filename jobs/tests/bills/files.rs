//! The real and the made files, where they are at hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::Value;
use windlass_jobs::payments::bill::{BillRow, BillTotals, Expected, Fund, Line, Parser, RowKind, Trade};
use windlass_jobs::shop_time::rfc3339_beijing;

use crate::parsed::read;

/// Beside the project, or beside what it is checked out in.
fn folder() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found =
        above.skip(2).map(|folder| folder.join("shared/data/wechat-bills")).find(|path| path.is_dir());
    if found.is_none() {
        eprintln!("skipped: no wechat-bills");
    }
    found
}

fn files() -> BTreeMap<String, Vec<u8>> {
    let Some(folder) = folder() else { return BTreeMap::new() };
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

fn trade(name: &str, bytes: &[u8]) -> (Vec<BillRow>, BillTotals) {
    let (lines, totals) = read::<Trade>(bytes).unwrap();
    let rows = lines.into_iter().map(|line| match line {
        Line::Row(row) => row,
        Line::Bad(bad) => panic!("{name}: {bad:?}"),
    });
    (rows.collect(), totals)
}

#[test]
fn every_file_is_read_without_a_bad_row() {
    let expected: BTreeMap<&str, u64> = BTreeMap::from([
        ("sample-all.csv", 1),
        ("sample-all-legacy.csv", 2),
        ("sample-refund.csv", 1),
        ("sample-success.csv", 1),
        ("synthetic-2026-01-05-all.csv", 8),
        ("synthetic-2026-01-05-fundflow.csv", 14),
        ("synthetic-2026-01-05-refund.csv", 2),
        ("synthetic-2026-01-05-success.csv", 6),
    ]);
    let mut seen = BTreeMap::new();
    for (name, bytes) in files() {
        let totals = if name.contains("fundflow") {
            read::<Fund>(&bytes).unwrap().1
        } else {
            read::<Trade>(&bytes).unwrap().1
        };
        assert_eq!(totals.bad_rows, 0, "{name}: {:?}", totals.first_bad);
        seen.insert(name, totals.rows);
    }
    let seen: BTreeMap<&str, u64> = seen.iter().map(|(name, rows)| (name.as_str(), *rows)).collect();
    assert!(seen.is_empty() || seen == expected, "{seen:?}");
}

#[test]
fn the_synthetic_files_add_up_and_are_those_of_their_hashes() {
    let Some(folder) = folder() else { return };
    let hashes: Value =
        serde_json::from_slice(&std::fs::read(folder.join("synthetic-sha1.json")).unwrap()).unwrap();
    let (mut compared, files) = (0, files());
    for (name, hash) in hashes["files"].as_object().unwrap() {
        let bytes = &files[name];
        let found: String = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes)
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(found, hash.as_str().unwrap(), "{name}");
        let totals = if name.contains("fundflow") {
            read::<Fund>(bytes).unwrap().1
        } else {
            read::<Trade>(bytes).unwrap().1
        };
        assert!(totals.adds_up() && totals.compare().is_empty(), "{name}: {:?}", totals.compare());
        assert_eq!((totals.foreign.rows, totals.other_day.rows), (0, 0), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 4);
}

#[test]
fn the_synthetic_rows_say_what_they_should() {
    let files = files();
    let Some(all) = files.get("synthetic-2026-01-05-all.csv") else { return };
    let (rows, _) = trade("all", all);
    assert_eq!(rfc3339_beijing(rows[0].at), "2026-01-05T00:00:00.000+08:00");
    assert_eq!(rfc3339_beijing(rows[7].at), "2026-01-05T23:59:59.000+08:00");
    let sold = &rows[1];
    assert_eq!(
        (sold.kind, sold.order_fen, sold.fee_e5, sold.rate_e5),
        (RowKind::Payment, 199_998, 1_200_000, 600)
    );
    assert_eq!(sold.key(), ("42000000202601050000010000000001", ""));
    let back = &rows[6];
    assert_eq!((back.kind, back.refund_fen, back.fee_e5), (RowKind::Refund, 50_000, -300_000));
    assert_eq!((back.refund_status.as_str(), back.order_fen), ("PROCESSING", 0));
    assert_eq!(back.key(), ("42000000202601040000090000000001", "T20260104000009-R1"));
    // Payments and refunds apart are the same rows.
    let (payments, _) = trade("success", &files["synthetic-2026-01-05-success.csv"]);
    let (refunds, _) = trade("refund", &files["synthetic-2026-01-05-refund.csv"]);
    let without_line = |rows: &[BillRow]| -> Vec<BillRow> {
        rows.iter().map(|row| BillRow { line: 0, ..row.clone() }).collect()
    };
    let of =
        |kind: RowKind| -> Vec<BillRow> { rows.iter().filter(|row| row.kind == kind).cloned().collect() };
    assert_eq!(without_line(&payments), without_line(&of(RowKind::Payment)));
    assert_eq!(without_line(&refunds), without_line(&of(RowKind::Refund)));
    let (_, totals) = read::<Fund>(&files["synthetic-2026-01-05-fundflow.csv"]).unwrap();
    let balance = totals.balance.unwrap();
    assert_eq!((balance.opening_fen, balance.closing_fen, balance.breaks), (1_000_000, 1_744_172, 0));
}

/// Their authors cut three of them; the old one was left whole.
#[test]
fn the_samples_that_were_cut_are_told_with_each_figure_that_does_not_add_up() {
    let files = files();
    let expected: [(&str, &[&str]); 4] = [
        (
            "sample-all.csv",
            &["总交易单数", "应结订单总金额", "退款总金额", "手续费总金额", "订单总金额", "申请退款总金额"],
        ),
        ("sample-all-legacy.csv", &[]),
        ("sample-refund.csv", &["总交易单数", "退款总金额", "手续费总金额", "申请退款总金额"]),
        ("sample-success.csv", &["总交易单数", "应结订单总金额", "手续费总金额", "订单总金额"]),
    ];
    for (name, what) in expected {
        let Some(bytes) = files.get(name) else { continue };
        let differences = trade(name, bytes).1.compare();
        assert_eq!(differences.iter().map(|one| one.what.as_str()).collect::<Vec<_>>(), what, "{name}");
    }
    let Some(sample) = files.get("sample-all.csv") else { return };
    let first = trade("sample-all.csv", sample).1.compare()[0].to_string();
    assert_eq!(first, "总交易单数 is printed as \"48\", and the lines come to \"1\"");
}

#[test]
fn the_old_header_with_its_wide_colons_gives_the_same_fields() {
    let files = files();
    let Some(legacy) = files.get("sample-all-legacy.csv") else { return };
    let expected =
        Expected { mchid: "10000100".to_owned(), day: NaiveDate::from_ymd_opt(2014, 11, 10).unwrap() };
    let (mut parser, mut lines) = (Parser::<Trade>::new(expected), Vec::new());
    parser.push(legacy, &mut lines).unwrap();
    let totals = parser.finish(&mut lines).unwrap();
    assert_eq!((totals.foreign.rows, totals.other_day.rows), (0, 0));
    let Line::Row(row) = &lines[0] else { panic!("{:?}", lines[0]) };
    assert_eq!(rfc3339_beijing(row.at), "2014-11-10T16:33:45.000+08:00");
    assert_eq!((row.order_fen, row.settled_fen, row.refund_fen, row.fee_e5), (1, 1, 0, 0));
    assert_eq!(row.key(), ("1001690740201411100005734289", ""));
}
