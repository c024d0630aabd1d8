//! The fund flow bill: every movement of the merchant's basic account, with its running balance.

use serde::{Deserialize, Serialize};
use windlass_engine::Timestamp;

use super::amount::{COUNT, FEN};
use super::form::{Fields, Form, Header};

/// One line of a fund flow bill; amounts in fen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundRow {
    /// Of the file, from 1.
    pub line: u64,
    pub at: Timestamp,
    /// 微信支付业务单号: the transaction's id, of a refund the refund's id.
    pub business_no: String,
    /// 资金流水单号: no two rows have the same.
    pub flow_no: String,
    /// 业务类型: `交易`, `扣除交易手续费`, `退款`, `退还交易手续费`, `退款关闭` and others.
    pub business_type: String,
    /// Money came in; otherwise it went out.
    pub income: bool,
    pub amount_fen: i64,
    /// The account's balance after it.
    pub balance_fen: i64,
    /// 业务凭证号: our number of the payment or refund.
    pub voucher_no: String,
}

/// The running balance of a fund flow bill. A line must follow from the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Before the first line.
    pub opening_fen: i64,
    /// After the last.
    pub closing_fen: i64,
    /// Lines whose balance does not follow.
    pub breaks: u64,
    pub first_break: Option<BalanceBreak>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceBreak {
    pub line: u64,
    pub expected_fen: i64,
    pub printed_fen: i64,
}

/// The form of a fund flow bill.
pub struct Fund;

pub struct Columns {
    at: usize,
    business_no: usize,
    flow_no: usize,
    business_type: usize,
    direction: usize,
    amount: usize,
    balance: usize,
    voucher_no: Option<usize>,
}

#[derive(Default)]
pub struct Sums {
    incomes: i128,
    income: i128,
    outgoes: i128,
    outgo: i128,
    balance: Option<Balance>,
}

impl Form for Fund {
    type Row = FundRow;
    type Columns = Columns;
    type Sums = Sums;
    const NAME: &'static str = "fund flow bill";
    const SUMMARY: &'static str = "资金流水总笔数";

    fn columns(header: &Header<'_>) -> Result<Columns, String> {
        Ok(Columns {
            at: header.must_find(&["记账时间"])?,
            business_no: header.must_find(&["微信支付业务单号"])?,
            flow_no: header.must_find(&["资金流水单号"])?,
            business_type: header.must_find(&["业务类型"])?,
            direction: header.must_find(&["收支类型"])?,
            amount: header.must_find(&["收支金额"])?,
            balance: header.must_find(&["账户结余"])?,
            voucher_no: header.find(&["业务凭证号"]),
        })
    }

    fn row(columns: &Columns, fields: &Fields<'_>, line: u64) -> Result<FundRow, String> {
        let income = match fields.text(Some(columns.direction)) {
            "收入" => true,
            "支出" => false,
            other => return Err(format!("收支类型 is {:?}", other.chars().take(40).collect::<String>())),
        };
        Ok(FundRow {
            line,
            at: fields.instant(columns.at, "记账时间")?,
            business_no: fields.must_key(columns.business_no, "微信支付业务单号")?,
            flow_no: fields.must_key(columns.flow_no, "资金流水单号")?,
            business_type: fields.key(columns.business_type, "业务类型")?,
            income,
            amount_fen: fields.fen(columns.amount, "收支金额")?,
            balance_fen: fields.amount(columns.balance, FEN, "账户结余")?,
            voucher_no: columns.voucher_no.map_or(Ok(String::new()), |at| fields.key(at, "业务凭证号"))?,
        })
    }

    fn add(sums: &mut Sums, row: &FundRow) {
        let amount = i128::from(row.amount_fen);
        if row.income {
            sums.incomes += 1;
            sums.income += amount;
        } else {
            sums.outgoes += 1;
            sums.outgo += amount;
        }
        follow(&mut sums.balance, row);
    }

    fn figure(sums: &Sums, name: &str) -> Option<(i128, usize)> {
        Some(match name {
            "资金流水总笔数" => (sums.incomes + sums.outgoes, COUNT),
            "收入笔数" => (sums.incomes, COUNT),
            "收入金额" => (sums.income, FEN),
            "支出笔数" => (sums.outgoes, COUNT),
            "支出金额" => (sums.outgo, FEN),
            _ => return None,
        })
    }

    fn at(row: &FundRow) -> Timestamp {
        row.at
    }

    fn mchid(_: &FundRow) -> Option<&str> {
        None
    }

    fn balance(sums: &Sums) -> Option<Balance> {
        sums.balance.clone()
    }
}

fn follow(balance: &mut Option<Balance>, row: &FundRow) {
    let moved = if row.income { row.amount_fen } else { -row.amount_fen };
    let Some(balance) = balance else {
        let opening_fen = row.balance_fen.saturating_sub(moved);
        *balance = Some(Balance { opening_fen, closing_fen: row.balance_fen, breaks: 0, first_break: None });
        return;
    };
    let expected_fen = balance.closing_fen.saturating_add(moved);
    if expected_fen != row.balance_fen {
        balance.breaks += 1;
        let here = BalanceBreak { line: row.line, expected_fen, printed_fen: row.balance_fen };
        balance.first_break.get_or_insert(here);
    }
    balance.closing_fen = row.balance_fen;
}
