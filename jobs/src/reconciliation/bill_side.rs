//! Their side (T and F): the rows of a day's bills, checked one by one as they are read, and sorted.

use std::path::Path;

use serde_json::json;

use super::day::Day;
use super::found::{Difference, Found};
use super::ledger_side::SortedSide;
use super::records::{Income, TradePayment, TradeRefund, WantedIncome};
use super::sorter::{Sorted, Sorter};
use crate::findings::{FindingType, finding_id};
use crate::payments::bill::{BadRow, BillRow, BillTotals, FundRow, Line, RowKind, read_fund, read_trade};

/// A fee may differ by so much from rate times amount: rounding is theirs (facts: wechat-pay.md 10).
const FEE_TOLERANCE_E5: i64 = 1_000;
/// 业务类型 of a payment's income (facts: wechat-pay.md 10).
const PAYMENT_INCOME: &str = "交易";

/// A trade bill, sorted three ways.
pub struct TradeSide {
    pub payments: SortedSide<TradePayment>,
    pub refunds: SortedSide<TradeRefund>,
    /// The payments again, by transaction; None: there is no flow of funds to compare them with.
    pub wanted: Option<Sorted<WantedIncome>>,
    pub revoked: u64,
}

/// Reads a trade bill that is ready and adds up. What a row is wrong in by itself is found here.
///
/// # Errors
/// When the ledger is away, the file cannot be read, or the disk is full.
pub async fn trade(
    found: &mut Found<'_>,
    folder: &Path,
    bill_id: &str,
    with_funds: bool,
) -> anyhow::Result<TradeSide> {
    let mut payments = Sorter::<TradePayment>::new(folder);
    let mut refunds = Sorter::<TradeRefund>::new(folder);
    let mut wanted = with_funds.then(|| Sorter::<WantedIncome>::new(folder));
    let (mut payments_fen, mut refunds_fen, mut revoked) = (0_i64, 0_i64, 0);
    let mut reader = read_trade(found.ledger(), bill_id).await?;
    while let Some(lines) = reader.next_lines().await? {
        for line in lines {
            let row = match line {
                Line::Row(row) => row,
                Line::Bad(bad) => {
                    found.add(bad_row(&found.run().day.to_string(), "trade", &bad)).await?;
                    continue;
                }
            };
            if let Some(fee) = fee(&row) {
                found.add(fee).await?;
            }
            if row.kind == RowKind::Payment {
                payments_fen = payments_fen.saturating_add(row.order_fen);
                if let Some(wanted) = &mut wanted {
                    wanted.push(&wanted_income(&row)).await?;
                }
                payments.push(&trade_payment(row)).await?;
            } else {
                revoked += u64::from(row.kind == RowKind::Revoked);
                refunds_fen = refunds_fen.saturating_add(row.refund_fen);
                refunds.push(&trade_refund(row)).await?;
            }
        }
    }
    if let Some(totals) = reader.totals() {
        rows_of_other_days(found, "trade", totals).await?;
    }
    let wanted = match wanted {
        Some(wanted) => Some(wanted.sorted().await?),
        None => None,
    };
    Ok(TradeSide {
        payments: SortedSide { count: payments.len(), sum_fen: payments_fen, rows: payments.sorted().await? },
        refunds: SortedSide { count: refunds.len(), sum_fen: refunds_fen, rows: refunds.sorted().await? },
        wanted,
        revoked,
    })
}

/// Reads the payments' incomes of a flow of funds that is ready and adds up, and checks its running balance.
///
/// # Errors
/// As [`trade`].
pub async fn incomes(
    found: &mut Found<'_>,
    folder: &Path,
    bill_id: &str,
) -> anyhow::Result<SortedSide<Income>> {
    let mut incomes = Sorter::<Income>::new(folder);
    let mut sum_fen = 0_i64;
    let mut reader = read_fund(found.ledger(), bill_id).await?;
    while let Some(lines) = reader.next_lines().await? {
        for line in lines {
            match line {
                Line::Bad(bad) => {
                    found.add(bad_row(&found.run().day.to_string(), "fund", &bad)).await?;
                }
                Line::Row(row) if row.income && row.business_type == PAYMENT_INCOME => {
                    sum_fen = sum_fen.saturating_add(row.amount_fen);
                    incomes.push(&income(row)).await?;
                }
                Line::Row(_) => {}
            }
        }
    }
    if let Some(totals) = reader.totals() {
        rows_of_other_days(found, "fund", totals).await?;
        if let Some(broken) = broken_balance(&found.run().mchid, found.run().day, totals) {
            found.add(broken).await?;
        }
    }
    Ok(SortedSide { count: incomes.len(), sum_fen, rows: incomes.sorted().await? })
}

fn trade_payment(row: BillRow) -> TradePayment {
    TradePayment {
        out_trade_no: row.out_trade_no,
        transaction_id: row.transaction_id,
        line: number(row.line),
        at: row.at.micros(),
        gross_fen: row.order_fen,
    }
}

fn trade_refund(row: BillRow) -> TradeRefund {
    TradeRefund {
        out_refund_no: row.out_refund_no,
        transaction_id: row.transaction_id,
        refund_id: row.refund_id,
        out_trade_no: row.out_trade_no,
        line: number(row.line),
        gross_fen: row.refund_fen,
    }
}

fn wanted_income(row: &BillRow) -> WantedIncome {
    WantedIncome {
        transaction_id: row.transaction_id.clone(),
        out_trade_no: row.out_trade_no.clone(),
        line: number(row.line),
        at: row.at.micros(),
        gross_fen: row.order_fen,
        settled_fen: row.settled_fen,
    }
}

fn income(row: FundRow) -> Income {
    Income {
        transaction_id: row.business_no,
        line: number(row.line),
        at: row.at.micros(),
        amount_fen: row.amount_fen,
    }
}

fn number(line: u64) -> i64 {
    i64::try_from(line).unwrap_or(i64::MAX)
}

/// A fee that is not rate times amount, of the gross amount or of the one that is settled.
fn fee(row: &BillRow) -> Option<Difference> {
    let (gross_fen, settled_fen) = match row.kind {
        RowKind::Payment => (row.order_fen, row.settled_fen),
        RowKind::Refund => (row.refund_fen, row.refund_settled_fen),
        RowKind::Revoked => return None,
    };
    let (of_gross, of_settled) = (fee_e5(gross_fen, row.rate_e5), fee_e5(settled_fen, row.rate_e5));
    let is_near = |expected_e5: i64| (row.fee_e5.saturating_abs() - expected_e5).abs() <= FEE_TOLERANCE_E5;
    let sign_fits = if row.kind == RowKind::Payment { row.fee_e5 >= 0 } else { row.fee_e5 <= 0 };
    if sign_fits && (is_near(of_gross) || is_near(of_settled)) {
        return None;
    }
    let (key, what) = match row.kind {
        RowKind::Payment => (&row.transaction_id, "payment"),
        _ => (&row.out_refund_no, "refund"),
    };
    Some(Difference {
        kind: FindingType::Fee,
        key: key.clone(),
        order_no: Some(row.out_trade_no.clone()),
        amount_fen: Some((row.fee_e5.saturating_abs() - of_gross) / 1_000),
        text: format!(
            "The fee of this {what} is {} yuan where rate times amount is {} yuan. Compare the rate with the \
             contract, and claim the difference from WeChat.",
            yuan_e5(row.fee_e5),
            yuan_e5(of_gross),
        ),
        evidence: json!({
            "line": row.line, "fee_e5": row.fee_e5, "rate_e5": row.rate_e5, "gross_fen": gross_fen,
            "settled_fen": settled_fen, "expected_fee_e5": of_gross, "transaction_id": row.transaction_id,
        }),
        may_heal: false,
    })
}

/// Rate times amount, half up to whole fen (facts: wechat-pay.md 10), in 1/100000 yuan.
fn fee_e5(amount_fen: i64, rate_e5: i64) -> i64 {
    let exact = i128::from(amount_fen.saturating_abs()) * i128::from(rate_e5.saturating_abs());
    let fen = (exact + 50_000) / 100_000;
    i64::try_from(fen * 1_000).unwrap_or(i64::MAX)
}

fn yuan_e5(amount: i64) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    format!("{sign}{}.{:05}", amount / 100_000, amount % 100_000)
}

fn bad_row(day: &str, file: &str, bad: &BadRow) -> Difference {
    // A line may move in a newer version of the file; what it says does not.
    let content = finding_id(FindingType::BadRow, &bad.text);
    Difference {
        kind: FindingType::BadRow,
        key: format!("{day}:{file}:{content}"),
        order_no: None,
        amount_fen: None,
        text: format!(
            "Line {} of the {file} bill of {day} cannot be read: {}. Look it up in the merchant platform, and fetch \
             the bill again.",
            bad.line, bad.reason
        ),
        evidence: json!({ "line": bad.line, "reason": bad.reason, "text": bad.text }),
        may_heal: false,
    }
}

async fn rows_of_other_days(found: &mut Found<'_>, file: &str, totals: &BillTotals) -> anyhow::Result<()> {
    let other = &totals.other_day;
    if other.rows == 0 {
        return Ok(());
    }
    let (mchid, day) = (found.run().mchid.clone(), found.run().day);
    let difference = Difference {
        kind: FindingType::BadRow,
        key: format!("{mchid}:{day}:{file}:other_day"),
        order_no: None,
        amount_fen: None,
        text: format!(
            "{} rows of the {file} bill of {day} are of another day, first line {} ({}). Compare the file with the \
             merchant platform's.",
            other.rows, other.first_line, other.first
        ),
        evidence: json!({ "rows": other.rows, "first_line": other.first_line, "first": other.first }),
        may_heal: false,
    };
    found.add(difference).await?;
    Ok(())
}

fn broken_balance(mchid: &str, day: Day, totals: &BillTotals) -> Option<Difference> {
    let balance = totals.balance.as_ref().filter(|balance| balance.breaks > 0)?;
    let first = balance.first_break.as_ref()?;
    Some(Difference {
        kind: FindingType::FundMismatch,
        key: format!("{mchid}:{day}:balance"),
        order_no: None,
        amount_fen: Some(first.printed_fen.saturating_sub(first.expected_fen)),
        text: format!(
            "The running balance of the flow of funds of {day} breaks at line {}: {} fen are printed where {} follow \
             from the line before ({} breaks in all). A movement is missing or wrong: compare with the merchant \
             platform.",
            first.line, first.printed_fen, first.expected_fen, balance.breaks
        ),
        evidence: json!({
            "line": first.line, "printed_fen": first.printed_fen, "expected_fen": first.expected_fen,
            "breaks": balance.breaks,
        }),
        may_heal: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_engine::Timestamp;

    fn row(kind: RowKind, gross_fen: i64, fee_e5: i64) -> BillRow {
        let (order_fen, refund_fen) = if kind == RowKind::Payment { (gross_fen, 0) } else { (0, gross_fen) };
        BillRow {
            kind,
            line: 2,
            at: Timestamp::from_secs(1_767_585_600),
            mchid: "1900000001".to_owned(),
            transaction_id: "4200".to_owned(),
            out_trade_no: "SO-1".to_owned(),
            refund_id: String::new(),
            out_refund_no: "SO-1-R1".to_owned(),
            order_fen,
            settled_fen: order_fen,
            refund_fen,
            refund_settled_fen: refund_fen,
            refund_coupon_fen: 0,
            refund_status: String::new(),
            fee_e5,
            rate_e5: 600,
        }
    }

    #[test]
    fn a_fee_is_rate_times_amount_half_up_within_one_fen() {
        for (gross_fen, fee_fen) in [(600, 4), (83, 0), (199_998, 1_200), (459_900, 2_759), (0, 0)] {
            assert_eq!(fee_e5(gross_fen, 600), fee_fen * 1_000, "{gross_fen}");
            for off in [-1_000, 0, 1_000] {
                let near = row(RowKind::Payment, gross_fen, fee_fen * 1_000 + off);
                assert_eq!(fee(&near).is_none(), near.fee_e5 >= 0, "{gross_fen} {off}");
            }
            assert!(fee(&row(RowKind::Refund, gross_fen, -fee_fen * 1_000)).is_none());
        }
        let wrong = fee(&row(RowKind::Payment, 459_900, 2_761_000)).unwrap();
        assert_eq!((wrong.kind, wrong.amount_fen), (FindingType::Fee, Some(2)));
        assert!(
            wrong.text.contains("27.61000 yuan") && wrong.text.contains("27.59000 yuan"),
            "{}",
            wrong.text
        );
        assert!(fee(&row(RowKind::Refund, 50_000, 300_000)).is_some(), "a fee that is taken, not given back");
    }

    #[test]
    fn a_fee_of_what_is_left_after_a_coupon_is_right_too() {
        let with_coupon = BillRow { settled_fen: 50_000, ..row(RowKind::Payment, 100_000, 300_000) };
        assert!(fee(&with_coupon).is_none());
    }
}
