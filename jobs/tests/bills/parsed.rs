//! What the parser makes of lines, whatever they hold and however they come.

use chrono::NaiveDate;
use proptest::prelude::*;
use windlass_engine::Timestamp;
use windlass_jobs::payments::bill::{
    BadRow, BillRow, BillTotals, Expected, Form, Fund, FundRow, LINE_BYTES_MAX, Line, NotABill, Parser,
    RowKind, Trade,
};

use crate::made::{ALL, MCHID, TEN, fund, line, payment, refund, summary, trade};

pub fn expected() -> Expected {
    Expected { mchid: MCHID.to_owned(), day: NaiveDate::from_ymd_opt(2026, 1, 5).unwrap() }
}

pub type Read<R> = Result<(Vec<Line<R>>, BillTotals), NotABill>;

pub fn read_pieces<F: Form>(pieces: &[&[u8]]) -> Read<F::Row> {
    let (mut parser, mut lines) = (Parser::<F>::new(expected()), Vec::new());
    for piece in pieces {
        parser.push(piece, &mut lines)?;
    }
    let totals = parser.finish(&mut lines)?;
    Ok((lines, totals))
}

pub fn read<F: Form>(text: &[u8]) -> Read<F::Row> {
    read_pieces::<F>(&[text])
}

fn rows<R>(lines: Vec<Line<R>>) -> Vec<R> {
    let row = |line| match line {
        Line::Row(row) => row,
        Line::Bad(bad) => panic!("{bad:?}"),
    };
    lines.into_iter().map(row).collect()
}

fn bad<R>(lines: &[Line<R>]) -> Vec<&BadRow> {
    lines.iter().filter_map(|line| if let Line::Bad(bad) = line { Some(bad) } else { None }).collect()
}

#[test]
fn a_bill_is_read_with_every_amount_and_number_in_its_place() {
    let made = [payment(2, 199_998), refund(3, 100)];
    let (lines, totals) = read::<Trade>(trade(&made).as_bytes()).unwrap();
    assert_eq!(rows(lines), made);
    assert!(totals.adds_up() && totals.compare().is_empty(), "{totals:?}");
    assert_eq!((totals.rows, totals.bad_rows, totals.figures.len()), (2, 0, 7));
    let fee = totals.figures.iter().find(|figure| figure.name == "手续费总金额").unwrap();
    assert_eq!((fee.printed.as_str(), fee.summed.as_str()), ("11.99000", "11.99000"));
}

#[test]
fn columns_are_found_by_name_wherever_they_stand() {
    let row = payment(2, 500);
    let text = trade(std::slice::from_ref(&row));
    // Turn header and line round; the summary stays.
    let turned: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(n, line)| match n {
            0 | 1 => line.split(',').rev().collect::<Vec<_>>().join(","),
            _ => line.to_owned(),
        })
        .collect();
    let (lines, totals) = read::<Trade>(turned.join("\r\n").as_bytes()).unwrap();
    assert_eq!(rows(lines), [row]);
    assert!(totals.adds_up());
}

#[test]
fn commas_and_backticks_in_a_name_stay_in_the_name() {
    for name in ["洗衣机,带逗号", "滤芯`带反引号`", ",", "`", "a``,b", "\u{3000}"] {
        let row = payment(2, 500);
        let text = format!("{ALL}\n{}\n{}", line(&row, name), summary(std::slice::from_ref(&row)));
        let (lines, totals) = read::<Trade>(text.as_bytes()).unwrap();
        assert_eq!(rows(lines), [row], "{name}");
        assert!(totals.adds_up());
    }
}

#[test]
fn what_cannot_be_read_is_a_bad_row_with_line_and_reason_and_the_rest_is_read() {
    let good = payment(9, 500);
    let broken = |from: &str, to: &str| line(&good, "x").replacen(from, to, 1);
    let cases = [
        (broken(",`x", ",`x,`y"), "28 values"),
        (broken("`5.00", "`5.001"), "more decimals"),
        (broken("`5.00", "`fünf"), "no decimal"),
        (broken("`5.00", "`99999999999999999999"), "does not fit"),
        (broken("`5.00", "`-5.00"), "below zero"),
        (broken("SUCCESS", "MAYBE"), "交易状态"),
        (broken("2026-01-05", "2026-02-30"), "交易时间"),
        (broken("`SO-9", "`"), "商户订单号 is empty"),
        (broken("`SO-9", "`S\u{0}9"), "no character"),
        (line(&good, "x")[1..].to_owned(), "backtick"),
        (line(&good, &"x".repeat(LINE_BYTES_MAX)), "more than 65536 bytes"),
        (line(&refund(9, 5), "x").replacen("`SO-9-R1", "`", 1), "without its numbers"),
    ];
    for (text, reason) in cases {
        let file = format!("{ALL}\n{text}\n{}\n{}", line(&good, "x"), summary(&[good.clone(), good.clone()]));
        let (lines, totals) = read::<Trade>(file.as_bytes()).unwrap();
        let bad = bad(&lines);
        assert_eq!((bad.len(), lines.len(), bad[0].line), (1, 2, 2), "{reason}");
        assert!(bad[0].reason.contains(reason), "{} and not {reason}", bad[0].reason);
        assert!(bad[0].text.len() <= 500 && !bad[0].text.contains('\0'));
        assert_eq!((totals.bad_rows, totals.first_bad.as_ref()), (1, Some(bad[0])));
        // Its amount is missing from the sums: only the count is compared, and allows for it.
        assert!(totals.adds_up(), "{totals:?}");
    }
}

#[test]
fn bytes_that_are_no_text_cost_a_name_and_no_row() {
    let mut text = trade(&[payment(2, 500)]).into_bytes();
    let name = text.windows(6).position(|bytes| bytes == "冰箱".as_bytes()).unwrap();
    text[name] = 0xff;
    let (lines, totals) = read::<Trade>(&text).unwrap();
    assert_eq!(rows(lines), [payment(2, 500)]);
    assert!(totals.adds_up());
}

#[test]
fn each_figure_that_does_not_add_up_is_named() {
    let made = [payment(2, 500), refund(3, 100)];
    let whole = trade(&made);
    for (from, to, what) in [
        ("\n`2,", "\n`3,", "总交易单数"),
        ("\n`2,`5.00", "\n`2,`5.01", "应结订单总金额"),
        ("`5.00,`1.00\n", "`5.01,`1.00\n", "订单总金额"),
        ("`5.00,`1.00\n", "`5.00,`1.01\n", "申请退款总金额"),
        ("`0.02000,`5.00", "`0.02001,`5.00", "手续费总金额"),
        ("`0.02000,`5.00", "`many,`5.00", "手续费总金额"),
    ] {
        let changed = whole.replacen(from, to, 1);
        assert_ne!(changed, whole, "{what}");
        let (_, totals) = read::<Trade>(changed.as_bytes()).unwrap();
        let differences = totals.compare();
        assert_eq!(differences.iter().map(|one| one.what.as_str()).collect::<Vec<_>>(), [what]);
        assert!(!totals.adds_up());
    }
    let (_, cut) = read::<Trade>(whole.split("总交易").next().unwrap().as_bytes()).unwrap();
    assert_eq!(cut.compare()[0].what, "the summary line");
    assert!(!cut.adds_up());
    let (_, short) = read::<Trade>(whole.replace("\n`2,`5.00,", "\n`2,").as_bytes()).unwrap();
    assert_eq!((short.compare()[0].what.as_str(), short.bad_rows), ("the summary line", 1));
}

#[test]
fn rows_of_another_merchant_or_day_are_counted_with_the_first_line() {
    let foreign = BillRow { mchid: "1900000002".to_owned(), ..payment(3, 500) };
    let before = BillRow { at: Timestamp::from_secs(1_767_542_399), ..payment(4, 500) };
    let first = BillRow { at: Timestamp::from_secs(1_767_542_400), ..payment(5, 500) };
    let last = BillRow { at: Timestamp::from_secs(1_767_628_799), ..payment(6, 500) };
    let after = BillRow { at: Timestamp::from_secs(1_767_628_800), ..payment(7, 500) };
    let (_, totals) =
        read::<Trade>(trade(&[payment(2, 500), foreign, before, first, last, after]).as_bytes()).unwrap();
    assert_eq!((totals.foreign.rows, totals.foreign.first_line), (1, 3));
    assert_eq!(totals.foreign.first, "1900000002");
    assert_eq!((totals.other_day.rows, totals.other_day.first_line), (2, 4));
    assert!(totals.adds_up(), "it adds up all the same");
}

#[test]
fn what_is_no_bill_says_how_it_begins() {
    let refused = |text: &str| read::<Trade>(text.as_bytes()).map(|_| ()).unwrap_err().reason;
    assert_eq!(refused(""), "it is empty");
    assert_eq!(refused("\u{feff}\n\n"), "it is empty");
    assert!(refused("<html><body>502</body></html>").contains("begins with \"<html>"));
    assert!(refused(&fund(&[])).contains("is missing"));
    assert!(refused(&ALL.replace("商户号,特约", "号,特约")).contains("商户号"));
    assert!(refused(&"a,".repeat(100)).contains("more than 64 columns"));
    assert!(read::<Fund>(trade(&[]).as_bytes()).is_err());
}

#[test]
fn a_day_without_trade_and_a_summary_of_nothing_add_up() {
    let (lines, totals) = read::<Trade>(trade(&[]).as_bytes()).unwrap();
    assert!(lines.is_empty() && totals.adds_up());
    let (lines, totals) = read::<Fund>(fund(&[]).as_bytes()).unwrap();
    assert!(lines.is_empty() && totals.adds_up() && totals.balance.is_none());
}

#[test]
fn money_that_moves_is_read_with_its_balance_and_a_break_is_shown() {
    let whole = fund(&[payment(2, 500), refund(3, 100), payment(4, 1)]);
    let (lines, totals) = read::<Fund>(whole.as_bytes()).unwrap();
    let rows: Vec<FundRow> = rows(lines);
    assert_eq!((rows[1].income, rows[1].amount_fen, rows[1].balance_fen), (false, 100, 1_000_400));
    assert_eq!((rows[0].business_type.as_str(), rows[0].voucher_no.as_str()), ("交易", "SO-2"));
    assert!(totals.adds_up(), "{totals:?}");
    let balance = totals.balance.unwrap();
    assert_eq!((balance.opening_fen, balance.closing_fen, balance.breaks), (1_000_000, 1_000_401, 0));
    let (_, broken) = read::<Fund>(whole.replace("`10004.00", "`10004.50").as_bytes()).unwrap();
    let balance = broken.balance.clone().unwrap();
    let first = balance.first_break.unwrap();
    assert_eq!(
        (balance.breaks, first.line, first.expected_fen, first.printed_fen),
        (2, 3, 1_000_400, 1_000_450)
    );
    assert!(broken.adds_up(), "a broken balance is no wrong sum");
}

#[test]
fn a_summary_of_more_than_fits_a_number_of_ours_is_still_compared() {
    let huge = BillRow { order_fen: i64::MAX, ..payment(2, 1) };
    let text = format!("{ALL}\n{0}\n{0}\n{1}", line(&huge, "x"), summary(&[]));
    let (_, totals) = read::<Trade>(text.as_bytes()).unwrap();
    assert!(totals.compare().iter().any(|one| one.summed == "184467440737095516.14"), "{totals:?}");
}

fn any_row() -> impl Strategy<Value = (BillRow, String)> {
    let name = prop_oneof!["[a-z`,冰 ]{0,12}", Just(String::new())];
    (any::<bool>(), 0..1_000_000_000_000_i64, -86_400..86_400_i64, "[A-Za-z0-9*|@_-]{1,32}", name).prop_map(
        |(is_payment, fen, offset_s, number, name)| {
            let row = if is_payment { payment(2, fen) } else { refund(2, fen) };
            let at = Timestamp::from_secs(TEN.secs() + offset_s);
            // What looks like the end of a value is the one thing that a name cannot hold.
            (BillRow { at, out_trade_no: number, ..row }, name.replace(",`", ", "))
        },
    )
}

proptest! {
    #[test]
    fn a_row_that_is_printed_reads_back((row, name) in any_row()) {
        let text = format!("{ALL}\n{}\n", line(&row, &name));
        let (lines, _) = read::<Trade>(text.as_bytes()).unwrap();
        prop_assert_eq!(rows(lines), vec![row]);
    }

    #[test]
    fn however_the_bytes_are_split_the_rows_and_totals_are_the_same(
        made in prop::collection::vec(any_row(), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let bill: Vec<BillRow> = made.iter().map(|(row, _)| row.clone()).collect();
        let text = trade(&bill).into_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&text[from..cut]);
            from = cut;
        }
        pieces.push(&text[from..]);
        let whole = read::<Trade>(&text).unwrap();
        prop_assert!(whole.1.adds_up());
        prop_assert_eq!(read_pieces::<Trade>(&pieces).unwrap(), whole);
    }

    #[test]
    fn no_change_of_a_file_makes_the_parser_panic_or_hides_a_line(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut text = trade(&[payment(2, 500), refund(3, 100), payment(4, 7)]).into_bytes();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        text.truncate(cut.index(text.len()) + 1);
        if let Ok((lines, totals)) = read::<Trade>(&text) {
            prop_assert_eq!(lines.len() as u64, totals.rows + totals.bad_rows);
        }
        let _ = read::<Fund>(&text);
    }
}

#[test]
fn a_row_of_a_payment_has_no_refund_numbers_although_zeros_are_printed() {
    let (lines, _) = read::<Trade>(trade(&[payment(2, 1)]).as_bytes()).unwrap();
    let row = &rows(lines)[0];
    assert_eq!((row.kind, row.key()), (RowKind::Payment, (row.transaction_id.as_str(), "")));
}
