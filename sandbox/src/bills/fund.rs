//! The fund flow bill of the basic account: what came in, what went out, and the balance after it
//! (facts: wechat-pay.md 10).

use std::fmt::Write;

use super::row::{Row, Sort};
use super::text::Yuan;
use crate::times;

pub(super) const HEADER: &str = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,\
备注,业务凭证号";
const SUMMARY: &str = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额";
const SUMMARY_OFF_FEN: i64 = 1;

/// The balance so far, and what the lines add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    balance_fen: i64,
    incomes: u64,
    income_fen: i64,
    expenses: u64,
    expense_fen: i64,
}

impl Flow {
    /// Before the first line.
    pub(super) fn from(opening_fen: i64) -> Self {
        Self { balance_fen: opening_fen, ..Self::default() }
    }
}

/// One line for the amount and, where there is one, another for the fee.
pub(super) fn lines(out: &mut String, row: &Row<'_>, changed: bool, flow: &mut Flow) {
    if row.of_another {
        return;
    }
    flow.balance_fen += row.jump_fen;
    let (sort, fee, is_income) = match row.sort {
        Sort::Payment => ("交易", "扣除交易手续费", true),
        Sort::Refund => ("退款", "退还交易手续费", false),
        Sort::Closing => ("退款关闭", "扣除交易手续费", true),
    };
    if !row.without_income {
        line(out, row, sort, row.fen, is_income, changed, flow);
    }
    if row.fee_fen > 0 {
        line(out, row, fee, row.fee_fen, !is_income, changed, flow);
    }
}

fn line(
    out: &mut String,
    row: &Row<'_>,
    business: &str,
    fen: i64,
    is_income: bool,
    changed: bool,
    flow: &mut Flow,
) {
    if is_income {
        (flow.incomes, flow.income_fen) = (flow.incomes + 1, flow.income_fen + fen);
        flow.balance_fen += fen;
    } else {
        (flow.expenses, flow.expense_fen) = (flow.expenses + 1, flow.expense_fen + fen);
        flow.balance_fen -= fen;
    }
    let (name, number, voucher, who) = match row.sort {
        Sort::Payment => ("交易", &row.transaction_id, row.out_trade_no, "system"),
        Sort::Refund | Sort::Closing => ("退款", &row.refund_id, row.out_refund_no, "API"),
    };
    // The fee has a flow of its own.
    let head = match business {
        "交易" | "退款" => "F",
        "退款关闭" => "FC",
        _ if row.sort == Sort::Closing => "FCE",
        _ => "FE",
    };
    let _ = write!(
        out,
        "`{},`{number},`{head}{number},`{name},`{business},`{},`{},`{},`{who},`{},`{voucher}\r\n",
        times::plain(row.at),
        if is_income { "收入" } else { "支出" },
        Yuan(fen),
        Yuan(flow.balance_fen),
        if changed { "2" } else { "" },
    );
}

pub(super) fn summary(out: &mut String, flow: &Flow, wrong: bool) {
    let Flow { incomes, income_fen, expenses, expense_fen, .. } = *flow;
    let income = Yuan(income_fen + if wrong { SUMMARY_OFF_FEN } else { 0 });
    let _ = write!(
        out,
        "{SUMMARY}\r\n`{},`{incomes},`{income},`{expenses},`{}\r\n",
        incomes + expenses,
        Yuan(expense_fen)
    );
}
