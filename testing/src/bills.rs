//! Bills as WeChat writes them, made by hand: the test says what is in them, their summary adds up by itself.

use std::fmt::Write;

use windlass_engine::Timestamp;
use windlass_jobs::shop_time::in_beijing;

pub const MCHID: &str = "1900000001";

const TRADE_HEADER: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注";
const TRADE_SUMMARY: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";
const FUND_HEADER: &str = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号";
const FUND_SUMMARY: &str = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额";

fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.abs() / 100, fen.abs() % 100)
}

fn yuan_e5(e5: i64) -> String {
    let sign = if e5 < 0 { "-" } else { "" };
    format!("{sign}{}.{:05}", e5.abs() / 100_000, e5.abs() % 100_000)
}

fn at_text(at: Timestamp) -> String {
    in_beijing(at).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn row(fields: &[String]) -> String {
    fields.iter().map(|field| format!("`{field}")).collect::<Vec<_>>().join(",")
}

/// 0.60 %, half up.
pub fn fee_e5(fen: i64) -> i64 {
    (fen * 600 + 50_000) / 100_000 * 1_000
}

#[derive(Clone, Default)]
pub struct TradeBill {
    lines: Vec<String>,
    rows: i64,
    order_fen: i64,
    refund_fen: i64,
    fee_e5: i64,
    summary_off_fen: i64,
}

impl TradeBill {
    pub fn payment(self, no: &str, transaction: &str, at: Timestamp, fen: i64) -> Self {
        self.payment_with_fee(no, transaction, at, fen, fee_e5(fen))
    }

    pub fn payment_with_fee(
        mut self,
        no: &str,
        transaction: &str,
        at: Timestamp,
        fen: i64,
        fee: i64,
    ) -> Self {
        let text = |text: &str| text.to_owned();
        self.lines.push(row(&[
            at_text(at),
            text("wxfake"),
            text(MCHID),
            text("0"),
            text(""),
            text(transaction),
            text(no),
            text("oFAKE"),
            text("JSAPI"),
            text("SUCCESS"),
            text("OTHERS"),
            text("CNY"),
            yuan(fen),
            text("0.00"),
            text("0"),
            text("0"),
            text("0.00"),
            text("0.00"),
            text(""),
            text(""),
            text("热水器, `大号`"),
            text(""),
            yuan_e5(fee),
            text("0.60%"),
            yuan(fen),
            text("0.00"),
            text(""),
        ]));
        (self.rows, self.order_fen, self.fee_e5) = (self.rows + 1, self.order_fen + fen, self.fee_e5 + fee);
        self
    }

    pub fn refund(mut self, no: &str, transaction: &str, refund_no: &str, at: Timestamp, fen: i64) -> Self {
        let text = |text: &str| text.to_owned();
        self.lines.push(row(&[
            at_text(at),
            text("wxfake"),
            text(MCHID),
            text("0"),
            text(""),
            text(transaction),
            text(no),
            text("oFAKE"),
            text("JSAPI"),
            text("REFUND"),
            text("OTHERS"),
            text("CNY"),
            text("0.00"),
            text("0.00"),
            format!("503-{refund_no}"),
            text(refund_no),
            yuan(fen),
            text("0.00"),
            text("ORIGINAL"),
            text("PROCESSING"),
            text("热水器"),
            text(""),
            yuan_e5(-fee_e5(fen)),
            text("0.60%"),
            text("0.00"),
            yuan(fen),
            text(""),
        ]));
        self.rows += 1;
        self.refund_fen += fen;
        self.fee_e5 -= fee_e5(fen);
        self
    }

    /// A line that cannot be read; the summary counts it.
    pub fn garbage(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self.rows += 1;
        self
    }

    pub fn without_row_of(mut self, transaction: &str, fen: i64) -> Self {
        let before = self.lines.len();
        self.lines.retain(|line| !line.contains(&format!("`{transaction},")));
        assert_eq!(self.lines.len() + 1, before);
        self.rows -= 1;
        self.order_fen -= fen;
        self.fee_e5 -= fee_e5(fen);
        self
    }

    /// The summary prints another sum than the lines have.
    pub fn summary_off_by(mut self, fen: i64) -> Self {
        self.summary_off_fen = fen;
        self
    }

    pub fn file(&self) -> String {
        let mut file = format!("\u{feff}{TRADE_HEADER}\r\n");
        for line in &self.lines {
            let _ = write!(file, "{line}\r\n");
        }
        let summary = row(&[
            self.rows.to_string(),
            yuan(self.order_fen),
            yuan(self.refund_fen),
            "0.00".to_owned(),
            yuan_e5(self.fee_e5),
            yuan(self.order_fen + self.summary_off_fen),
            yuan(self.refund_fen),
        ]);
        let _ = write!(file, "{TRADE_SUMMARY}\r\n{summary}\r\n");
        file
    }
}

#[derive(Clone)]
pub struct FundBill {
    lines: Vec<String>,
    balance_fen: i64,
    incomes: (i64, i64),
    outgoes: (i64, i64),
    summary_off_fen: i64,
}

impl Default for FundBill {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            balance_fen: 1_000_000,
            incomes: (0, 0),
            outgoes: (0, 0),
            summary_off_fen: 0,
        }
    }
}

impl FundBill {
    /// The income of a payment, and the fee that is taken for it.
    pub fn payment(mut self, transaction: &str, at: Timestamp, fen: i64) -> Self {
        self.incomes = (self.incomes.0 + 1, self.incomes.1 + fen);
        self.moved(transaction, at, "交易", "收入", fen);
        let fee = fee_e5(fen) / 1_000;
        self.outgoes = (self.outgoes.0 + 1, self.outgoes.1 + fee);
        self.moved(transaction, at, "扣除交易手续费", "支出", fee);
        self
    }

    fn moved(&mut self, transaction: &str, at: Timestamp, what: &str, way: &str, fen: i64) {
        self.balance_fen += if way == "收入" { fen } else { -fen };
        let text = |text: &str| text.to_owned();
        self.lines.push(row(&[
            at_text(at),
            text(transaction),
            format!("F{}-{transaction}", self.lines.len()),
            text("交易"),
            text(what),
            text(way),
            yuan(fen),
            yuan(self.balance_fen),
            text("system"),
            text(""),
            text(""),
        ]));
    }

    /// The next line's balance does not follow.
    pub fn balance_breaks_by(mut self, fen: i64) -> Self {
        self.balance_fen += fen;
        self
    }

    pub fn summary_off_by(mut self, fen: i64) -> Self {
        self.summary_off_fen = fen;
        self
    }

    pub fn file(&self) -> String {
        let summary = row(&[
            format!("{}.0", self.incomes.0 + self.outgoes.0),
            format!("{}.0", self.incomes.0),
            yuan(self.incomes.1 + self.summary_off_fen),
            format!("{}.0", self.outgoes.0),
            yuan(self.outgoes.1),
        ]);
        format!("{FUND_HEADER}\n{}\n{FUND_SUMMARY}\n{summary}\n", self.lines.join("\n"))
    }
}
