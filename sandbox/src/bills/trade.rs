//! The trade bill: its columns, its lines, its summary (facts: wechat-pay.md 10).

use std::fmt::Write;

use super::Layout;
use super::row::{Row, Sort};
use super::text::{Fee, OneLine, RATE, Yuan};
use crate::credentials::credentials;
use crate::times;

const ALL: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,\
代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注";
const SUCCESS: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,\
代金券金额,商品名称,商户数据包,手续费,费率,订单金额,费率备注";
const REFUND: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,\
代金券金额,退款申请时间,退款成功时间,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,\
申请退款金额,费率备注";
const LEGACY: &str = "交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,总金额,\
代金券或立减优惠金额,微信退款单号,商户退款单号,退款金额,代金券或立减优惠退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率";

const SUMMARY: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";
const SUMMARY_SUCCESS: &str = "总交易单数,应结订单总金额,手续费总金额,订单总金额";
const SUMMARY_LEGACY: &str = "总交易单数,总交易额,总退款金额,总代金券或立减优惠退款金额,手续费总金额";

/// Another merchant, whose rows are none of ours.
const ANOTHER_MCHID: &str = "1900000999";
/// What the summary of a spoiled file is off by.
const SUMMARY_OFF_FEN: i64 = 1;

/// What the rows add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    count: u64,
    paid_fen: i64,
    refunded_fen: i64,
    fee_fen: i64,
}

pub(super) fn header(layout: Layout) -> &'static str {
    match layout {
        Layout::All | Layout::Fund => ALL,
        Layout::Success => SUCCESS,
        Layout::Refund => REFUND,
        Layout::Legacy => LEGACY,
    }
}

/// Whether a file of this layout has the row.
pub(super) fn has(layout: Layout, row: &Row<'_>) -> bool {
    match (layout, row.sort) {
        (_, Sort::Closing) | (Layout::Fund, _) => false,
        (Layout::All | Layout::Legacy, _) => true,
        (Layout::Success, sort) => sort == Sort::Payment,
        (Layout::Refund, sort) => sort == Sort::Refund,
    }
}

/// One line, or two of a row that is there twice.
pub(super) fn lines(out: &mut String, layout: Layout, row: &Row<'_>, changed: bool, sums: &mut Sums) {
    for _ in 0..=u8::from(row.twice) {
        line(out, layout, row, changed);
        let is_refund = row.sort == Sort::Refund;
        sums.count += 1;
        sums.paid_fen += if is_refund { 0 } else { row.fen };
        sums.refunded_fen += if is_refund { row.fen } else { 0 };
        sums.fee_fen += if is_refund { -row.fee_fen } else { row.fee_fen };
    }
}

fn line(out: &mut String, layout: Layout, row: &Row<'_>, changed: bool) {
    let is_refund = row.sort == Sort::Refund;
    let (paid, refunded) = if is_refund { (0, row.fen) } else { (row.fen, 0) };
    let ours = credentials().wechat_pay;
    let mchid = if row.of_another { ANOTHER_MCHID } else { ours.mchid };
    let at = times::plain(row.at);
    // The old files print the colons in full width.
    let at = if layout == Layout::Legacy { at.replace(':', "：") } else { at };
    let mut put = |value: std::fmt::Arguments<'_>| {
        let comma = if out.is_empty() || out.ends_with('\n') { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(out, "{comma}`{value}");
    };
    put(format_args!("{at}"));
    for value in
        [ours.appid, mchid, "0", "", &row.transaction_id, row.out_trade_no, row.openid, "JSAPI", row.state]
    {
        put(format_args!("{value}"));
    }
    put(format_args!("OTHERS"));
    put(format_args!("CNY"));
    put(format_args!("{}", Yuan(paid)));
    put(format_args!("0.00"));
    if layout == Layout::Refund {
        put(format_args!("{}", times::plain(row.at)));
        put(format_args!("{}", row.refunded_at.map(times::plain).unwrap_or_default()));
    }
    if layout != Layout::Success {
        if is_refund {
            put(format_args!("{}", row.refund_id));
            put(format_args!("{}", row.out_refund_no));
        } else {
            put(format_args!("0"));
            put(format_args!("0"));
        }
        put(format_args!("{}", Yuan(refunded)));
        put(format_args!("0.00"));
        put(format_args!("{}", if is_refund { "ORIGINAL" } else { "" }));
        put(format_args!("{}", row.refund_state));
    }
    let name = if row.description.is_empty() { "商品" } else { row.description };
    put(format_args!("{}", OneLine(name)));
    put(format_args!("{}", if changed { "2" } else { "" }));
    put(format_args!("{}", Fee(if is_refund { -row.fee_fen } else { row.fee_fen })));
    put(format_args!("{RATE}"));
    match layout {
        Layout::Legacy => {}
        Layout::Success => {
            put(format_args!("{}", Yuan(paid)));
            put(format_args!(""));
        }
        Layout::All | Layout::Refund | Layout::Fund => {
            put(format_args!("{}", Yuan(paid)));
            put(format_args!("{}", Yuan(refunded)));
            put(format_args!(""));
        }
    }
    out.push_str("\r\n");
}

/// A row of which only the beginning is there. It counts for nothing in the summary.
pub(super) fn bad_line(out: &mut String, at: &str, number: &str) {
    let ours = credentials().wechat_pay;
    let _ = write!(out, "`{at},`{},`{},`0,`,`,`{number},`1O.00\r\n", ours.appid, ours.mchid);
}

pub(super) fn summary(out: &mut String, layout: Layout, sums: &Sums, wrong: bool) {
    let Sums { count, paid_fen, refunded_fen, fee_fen } = *sums;
    let paid = Yuan(paid_fen + if wrong { SUMMARY_OFF_FEN } else { 0 });
    let (refunded, fee) = (Yuan(refunded_fen), Fee(fee_fen));
    let _ = match layout {
        Layout::Success => write!(out, "{SUMMARY_SUCCESS}\r\n`{count},`{paid},`{fee},`{paid}\r\n"),
        Layout::Legacy => {
            write!(out, "{SUMMARY_LEGACY}\r\n`{count},`{paid},`{refunded},`0.00,`{fee}\r\n")
        }
        Layout::All | Layout::Refund | Layout::Fund => {
            write!(out, "{SUMMARY}\r\n`{count},`{paid},`{refunded},`0.00,`{fee},`{paid},`{refunded}\r\n")
        }
    };
}
