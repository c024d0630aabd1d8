//! Bills as WeChat prints them, made of rows.

use windlass_engine::Timestamp;
use windlass_jobs::payments::bill::{BillRow, RowKind};
use windlass_jobs::shop_time::in_beijing;

pub const MCHID: &str = "1900000001";
/// 2026-01-05 10:00:00 in Beijing: within the day of the bills made here.
pub const TEN: Timestamp = Timestamp::from_secs(1_767_578_400);

pub const ALL: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,\
    付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,\
    商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注";
const ALL_SUMMARY: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";

/// Units of `10^-decimals` as text.
pub fn decimal(units: i64, decimals: u32) -> String {
    let unit = 10_u64.pow(decimals);
    let (sign, size) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
    format!("{sign}{}.{:0width$}", size / unit, size % unit, width = decimals as usize)
}

pub fn payment(line: u64, fen: i64) -> BillRow {
    BillRow {
        kind: RowKind::Payment,
        line,
        at: TEN,
        mchid: MCHID.to_owned(),
        transaction_id: format!("4200{line:024}"),
        out_trade_no: format!("SO-{line}"),
        refund_id: String::new(),
        out_refund_no: String::new(),
        order_fen: fen,
        settled_fen: fen,
        refund_fen: 0,
        refund_settled_fen: 0,
        refund_coupon_fen: 0,
        refund_status: String::new(),
        // 0.60 %, half up to fen.
        fee_e5: (fen * 6 + 500) / 1_000 * 1_000,
        rate_e5: 600,
    }
}

pub fn refund(line: u64, fen: i64) -> BillRow {
    BillRow {
        kind: RowKind::Refund,
        refund_id: format!("5030{line:024}"),
        out_refund_no: format!("SO-{line}-R1"),
        order_fen: 0,
        settled_fen: 0,
        refund_fen: fen,
        refund_settled_fen: fen,
        refund_status: "PROCESSING".to_owned(),
        fee_e5: -((fen * 6 + 500) / 1_000 * 1_000),
        ..payment(line, fen)
    }
}

/// One line of the ALL form, without its end; `name` stands between the numbers.
pub fn line(row: &BillRow, name: &str) -> String {
    let at = in_beijing(row.at).format("%Y-%m-%d %H:%M:%S").to_string();
    let is_payment = row.kind == RowKind::Payment;
    let number = |text: &str| if is_payment { "0".to_owned() } else { text.to_owned() };
    let state = match row.kind {
        RowKind::Payment => "SUCCESS",
        RowKind::Refund => "REFUND",
        RowKind::Revoked => "REVOKED",
    };
    let values = [
        at,
        "wxfake0000000001".to_owned(),
        row.mchid.clone(),
        "0".to_owned(),
        String::new(),
        row.transaction_id.clone(),
        row.out_trade_no.clone(),
        "oFAKE".to_owned(),
        "JSAPI".to_owned(),
        state.to_owned(),
        "OTHERS".to_owned(),
        "CNY".to_owned(),
        decimal(row.settled_fen, 2),
        "0.00".to_owned(),
        number(&row.refund_id),
        number(&row.out_refund_no),
        decimal(row.refund_settled_fen, 2),
        decimal(row.refund_coupon_fen, 2),
        if is_payment { String::new() } else { "ORIGINAL".to_owned() },
        row.refund_status.clone(),
        name.to_owned(),
        String::new(),
        decimal(row.fee_e5, 5),
        format!("{}%", decimal(row.rate_e5 / 10, 2)),
        decimal(row.order_fen, 2),
        decimal(row.refund_fen, 2),
        String::new(),
    ];
    values.iter().map(|value| format!("`{value}")).collect::<Vec<_>>().join(",")
}

/// The summary of the ALL form, two lines.
pub fn summary(rows: &[BillRow]) -> String {
    let sum = |of: fn(&BillRow) -> i64| rows.iter().map(of).sum::<i64>();
    format!(
        "{ALL_SUMMARY}\n`{},`{},`{},`{},`{},`{},`{}\n",
        rows.len(),
        decimal(sum(|row| row.settled_fen), 2),
        decimal(sum(|row| row.refund_settled_fen), 2),
        decimal(sum(|row| row.refund_coupon_fen), 2),
        decimal(sum(|row| row.fee_e5), 5),
        decimal(sum(|row| row.order_fen), 2),
        decimal(sum(|row| row.refund_fen), 2),
    )
}

/// A whole trade bill that adds up. The lines of the rows should count from 2.
pub fn trade(rows: &[BillRow]) -> String {
    let lines: String = rows.iter().map(|row| format!("{}\n", line(row, "冰箱"))).collect();
    format!("{ALL}\n{lines}{}", summary(rows))
}

pub const FUND: &str = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),\
    资金变更提交申请人,备注,业务凭证号";

/// A whole fund flow bill of the same payments and refunds, fees left out.
pub fn fund(rows: &[BillRow]) -> String {
    let (mut balance, mut lines) = (1_000_000, String::new());
    let (mut incomes, mut income, mut outgoes, mut outgo) = (0, 0, 0, 0);
    for row in rows {
        let is_payment = row.kind == RowKind::Payment;
        let (no, what, direction, amount) = if is_payment {
            (&row.transaction_id, "交易", "收入", row.order_fen)
        } else {
            (&row.refund_id, "退款", "支出", row.refund_fen)
        };
        balance += if is_payment { amount } else { -amount };
        if is_payment {
            incomes += 1;
            income += amount;
        } else {
            outgoes += 1;
            outgo += amount;
        }
        let at = in_beijing(row.at).format("%Y-%m-%d %H:%M:%S");
        lines.push_str(&format!(
            "`{at},`{no},`F{no},`{what},`{what},`{direction},`{},`{},`system,`,`{}\n",
            decimal(amount, 2),
            decimal(balance, 2),
            row.out_trade_no,
        ));
    }
    format!(
        "{FUND}\n{lines}资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\n`{}.0,`{incomes}.0,`{},`{outgoes}.0,`{}\n",
        incomes + outgoes,
        decimal(income, 2),
        decimal(outgo, 2),
    )
}
