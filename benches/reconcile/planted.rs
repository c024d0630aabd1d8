//! Books and bills of one day that agree but for a known number of differences.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;
use windlass_jobs::ledger::Ledger;
use windlass_jobs::reconciliation::Day;
use windlass_jobs::shop_time::in_beijing;

pub const MCHID: &str = "1900000001";
pub const DAY: &str = "2026-01-05";
/// Of so many rows each type of difference has one.
const ONE_IN: usize = 10_000;
/// One row in so many is a refund.
const REFUND_ONE_IN: usize = 20;
/// Rows of one statement, and of one transaction.
const STATEMENT_ROWS: usize = 50;
const TX_ROWS: usize = 20_000;

const TRADE_HEADER: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注";
const TRADE_SUMMARY: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";
const FUND_HEADER: &str = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号";
const FUND_SUMMARY: &str = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额";

/// What is planted at one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    None,
    Long,
    /// In no bill: carried on its first day.
    Short,
    Amount,
    DuplicatePay,
    DuplicateRow,
    ExtraRefund,
    MissingRefund,
    Fee,
    FundMismatch,
    BadRow,
}

pub struct Plan {
    rows: usize,
    day: Day,
}

struct Row {
    no: String,
    transaction: String,
    fen: i64,
    at_secs: i64,
    plant: Plant,
    refunded: bool,
}

impl Plan {
    pub fn of(rows: usize) -> Self {
        Self { rows, day: DAY.parse().expect("it is a day") }
    }

    fn row(&self, n: usize) -> Row {
        let plant = match n % ONE_IN {
            100 => Plant::Long,
            200 => Plant::Short,
            300 => Plant::Amount,
            400 => Plant::DuplicatePay,
            500 => Plant::DuplicateRow,
            600 => Plant::ExtraRefund,
            700 => Plant::MissingRefund,
            800 => Plant::Fee,
            900 => Plant::FundMismatch,
            1_000 => Plant::BadRow,
            _ => Plant::None,
        };
        let spread = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // None in the ten minutes before midnight: a payment without its income is told at once.
        let second = n as i64 * 85_000 / self.rows.max(1) as i64;
        Row {
            no: format!("SO{spread:016x}"),
            transaction: format!("42000{n:023}"),
            fen: 1_000 + (spread % 500_000) as i64,
            at_secs: self.day.start().secs() + second,
            plant,
            refunded: n % REFUND_ONE_IN == 7,
        }
    }

    /// How many findings of each type there are to be found, and how many rows of ours to be carried.
    pub fn expected(&self) -> (BTreeMap<String, u64>, u64) {
        let (mut findings, mut carried) = (BTreeMap::new(), 0);
        let mut count = |kind: &str| *findings.entry(kind.to_owned()).or_insert(0) += 1;
        for n in 0..self.rows {
            match self.row(n).plant {
                Plant::Short | Plant::MissingRefund => carried += 1,
                Plant::Long => count("long"),
                Plant::Amount => count("amount"),
                Plant::DuplicatePay => count("duplicate_pay"),
                Plant::DuplicateRow => count("duplicate_row"),
                Plant::ExtraRefund => count("extra_refund"),
                Plant::Fee => count("fee"),
                Plant::FundMismatch => count("fund_mismatch"),
                Plant::BadRow => count("bad_row"),
                Plant::None => {}
            }
        }
        (findings, carried)
    }

    /// Writes our side.
    pub async fn fill(&self, ledger: &Ledger) -> anyhow::Result<()> {
        let (mut payments, mut refunds) = (Vec::new(), Vec::new());
        for start in (0..self.rows).step_by(TX_ROWS) {
            for n in start..(start + TX_ROWS).min(self.rows) {
                let row = self.row(n);
                if row.plant != Plant::Long {
                    payments.push((
                        row.no.clone(),
                        row.transaction.clone(),
                        row.fen,
                        row.at_secs * 1_000_000,
                    ));
                }
                if row.refunded || row.plant == Plant::MissingRefund {
                    refunds.push((format!("{}-R1", row.no), row.no, row.fen / 2, row.at_secs * 1_000_000));
                }
            }
            let mut tx = ledger.begin().await?;
            for chunk in payments.chunks(STATEMENT_ROWS) {
                let sql = format!(
                    "INSERT INTO payments (out_trade_no, order_no, state, amount_fen, paid_fen, transaction_id, \
                     paid_at, touched_at) VALUES {}",
                    values(chunk.len(), |row| {
                        let [no, transaction, fen, at] = row;
                        format!("(${no}, ${no}, 'succeeded', ${fen}, ${fen}, ${transaction}, ${at}, 0)")
                    })
                );
                bind(sql, chunk).execute(tx.conn()).await?;
            }
            for chunk in refunds.chunks(STATEMENT_ROWS) {
                let sql = format!(
                    "INSERT INTO refunds (refund_no, order_no, seq, amount_fen, reason, state, requested_at, \
                     touched_at) VALUES {}",
                    values(chunk.len(), |row| {
                        let [refund_no, no, fen, at] = row;
                        format!("(${refund_no}, ${no}, 1, ${fen}, '', 'succeeded', ${at}, 0)")
                    })
                );
                bind(sql, chunk).execute(tx.conn()).await?;
            }
            tx.commit().await?;
            payments.clear();
            refunds.clear();
        }
        Ok(())
    }

    /// Writes both bills as WeChat would.
    pub fn write_files(&self, folder: &Path) -> anyhow::Result<()> {
        let mut trade = TradeFile::new(&trade_path(folder))?;
        let mut fund = FundFile::new(&fund_path(folder))?;
        for n in 0..self.rows {
            let row = self.row(n);
            match row.plant {
                Plant::Short => continue,
                Plant::Amount => {
                    let fen = row.fen + 7;
                    trade.payment(&row, &row.transaction, fen, fee_fen(fen))?;
                    fund.payment(&row, &row.transaction, fen)?;
                }
                Plant::Fee => {
                    trade.payment(&row, &row.transaction, row.fen, fee_fen(row.fen) + 5)?;
                    fund.payment(&row, &row.transaction, row.fen)?;
                }
                Plant::FundMismatch => trade.payment(&row, &row.transaction, row.fen, fee_fen(row.fen))?,
                Plant::DuplicatePay => {
                    let second = format!("43{}", &row.transaction[2..]);
                    for transaction in [&row.transaction, &second] {
                        trade.payment(&row, transaction, row.fen, fee_fen(row.fen))?;
                        fund.payment(&row, transaction, row.fen)?;
                    }
                }
                plant => {
                    trade.payment(&row, &row.transaction, row.fen, fee_fen(row.fen))?;
                    fund.payment(&row, &row.transaction, row.fen)?;
                    match plant {
                        Plant::DuplicateRow => {
                            trade.payment(&row, &row.transaction, row.fen, fee_fen(row.fen))?;
                        }
                        Plant::ExtraRefund => trade.refund(&row, "X1", row.fen / 2)?,
                        Plant::BadRow => trade.garbage(n)?,
                        _ => {}
                    }
                }
            }
            if row.refunded {
                trade.refund(&row, "R1", row.fen / 2)?;
            }
        }
        trade.end()?;
        fund.end()
    }
}

pub fn trade_path(folder: &Path) -> PathBuf {
    folder.join("trade.csv")
}

pub fn fund_path(folder: &Path) -> PathBuf {
    folder.join("fund.csv")
}

type Bound = (String, String, i64, i64);

/// Four parameters a row.
fn values(rows: usize, row: impl Fn([usize; 4]) -> String) -> String {
    let rows: Vec<String> = (0..rows).map(|n| row([1, 2, 3, 4].map(|at| n * 4 + at))).collect();
    rows.join(", ")
}

fn bind(sql: String, rows: &[Bound]) -> sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments> {
    // Only numbered parameters were put together.
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(rows.len() == STATEMENT_ROWS);
    for (first, second, fen, at) in rows {
        query = query.bind(first.clone()).bind(second.clone()).bind(*fen).bind(*at);
    }
    query
}

/// 0.60 %, half up.
fn fee_fen(fen: i64) -> i64 {
    (fen * 600 + 50_000) / 100_000
}

fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.abs() / 100, fen.abs() % 100)
}

fn clock(secs: i64) -> String {
    in_beijing(windlass_engine::Timestamp::from_secs(secs)).format("%Y-%m-%d %H:%M:%S").to_string()
}

struct TradeFile {
    out: BufWriter<File>,
    rows: i64,
    order_fen: i64,
    refund_fen: i64,
    fee_fen: i64,
}

impl TradeFile {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let mut out = BufWriter::new(File::create(path)?);
        write!(out, "{TRADE_HEADER}\r\n")?;
        Ok(Self { out, rows: 0, order_fen: 0, refund_fen: 0, fee_fen: 0 })
    }

    fn payment(&mut self, row: &Row, transaction: &str, fen: i64, fee: i64) -> anyhow::Result<()> {
        let (at, no, sum) = (clock(row.at_secs), &row.no, yuan(fen));
        write!(
            self.out,
            "`{at},`wxfake0000000001,`{MCHID},`0,`,`{transaction},`{no},`oFAKE0000000000000000000001,`JSAPI,`SUCCESS,\
             `OTHERS,`CNY,`{sum},`0.00,`0,`0,`0.00,`0.00,`,`,`电热水器 60L,`,`{}000,`0.60%,`{sum},`0.00,`\r\n",
            yuan(fee)
        )?;
        self.rows += 1;
        self.order_fen += fen;
        self.fee_fen += fee;
        Ok(())
    }

    fn refund(&mut self, row: &Row, suffix: &str, fen: i64) -> anyhow::Result<()> {
        let (at, no, transaction, sum) = (clock(row.at_secs), &row.no, &row.transaction, yuan(fen));
        write!(
            self.out,
            "`{at},`wxfake0000000001,`{MCHID},`0,`,`{transaction},`{no},`oFAKE0000000000000000000001,`JSAPI,`REFUND,\
             `OTHERS,`CNY,`0.00,`0.00,`503{suffix}{no},`{no}-{suffix},`{sum},`0.00,`ORIGINAL,`SUCCESS,`电热水器 60L,`,\
             `{}000,`0.60%,`0.00,`{sum},`\r\n",
            yuan(-fee_fen(fen))
        )?;
        self.rows += 1;
        self.refund_fen += fen;
        self.fee_fen -= fee_fen(fen);
        Ok(())
    }

    fn garbage(&mut self, n: usize) -> anyhow::Result<()> {
        write!(self.out, "`line {n} is torn,`wxfake\r\n")?;
        self.rows += 1;
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<()> {
        let (order, refund) = (yuan(self.order_fen), yuan(self.refund_fen));
        write!(
            self.out,
            "{TRADE_SUMMARY}\r\n`{},`{order},`{refund},`0.00,`{}000,`{order},`{refund}\r\n",
            self.rows,
            yuan(self.fee_fen)
        )?;
        self.out.flush()?;
        Ok(())
    }
}

struct FundFile {
    out: BufWriter<File>,
    rows: i64,
    income_fen: i64,
    outgo_fen: i64,
}

impl FundFile {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let mut out = BufWriter::new(File::create(path)?);
        write!(out, "{FUND_HEADER}\r\n")?;
        Ok(Self { out, rows: 0, income_fen: 0, outgo_fen: 0 })
    }

    /// The income and the fee.
    fn payment(&mut self, row: &Row, transaction: &str, fen: i64) -> anyhow::Result<()> {
        let (at, fee) = (clock(row.at_secs), fee_fen(fen));
        self.income_fen += fen;
        let balance = yuan(self.income_fen - self.outgo_fen);
        write!(
            self.out,
            "`{at},`{transaction},`F{transaction},`交易,`交易,`收入,`{},`{balance},`system,`,`{}\r\n",
            yuan(fen),
            row.no
        )?;
        self.outgo_fen += fee;
        let balance = yuan(self.income_fen - self.outgo_fen);
        write!(
            self.out,
            "`{at},`{transaction},`FE{transaction},`交易,`扣除交易手续费,`支出,`{},`{balance},`system,`,`{}\r\n",
            yuan(fee),
            row.no
        )?;
        self.rows += 1;
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<()> {
        let Self { rows, income_fen, outgo_fen, .. } = self;
        write!(
            self.out,
            "{FUND_SUMMARY}\r\n`{}.0,`{rows}.0,`{},`{rows}.0,`{}\r\n",
            rows * 2,
            yuan(income_fen),
            yuan(outgo_fen)
        )?;
        self.out.flush()?;
        Ok(())
    }
}
