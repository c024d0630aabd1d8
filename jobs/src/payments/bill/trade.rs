//! The trade bill: payments and refunds, in each of its headers (ALL, SUCCESS, REFUND, and the old one).

use windlass_engine::Timestamp;

use super::amount::{COUNT, E5, FEN};
use super::form::{Fields, Form, Header};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowKind {
    Payment,
    Refund,
    /// A payment taken back by the till.
    Revoked,
}

/// One line of a trade bill. Amounts are fen unless their name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillRow {
    pub kind: RowKind,
    /// Of the file, from 1.
    pub line: u64,
    /// A payment's success, a refund's acceptance.
    pub at: Timestamp,
    pub mchid: String,
    pub transaction_id: String,
    pub out_trade_no: String,
    /// Empty in a payment's row, as the next.
    pub refund_id: String,
    pub out_refund_no: String,
    /// Gross: 订单金额, in the old header 总金额. 0 in a refund's row.
    pub order_fen: i64,
    /// Net of coupons: 应结订单金额.
    pub settled_fen: i64,
    /// Gross: 申请退款金额, in the old header 退款金额. 0 in a payment's row.
    pub refund_fen: i64,
    /// Net of coupons: 退款金额.
    pub refund_settled_fen: i64,
    pub refund_coupon_fen: i64,
    /// As it stood when the bill was made; never brought up to date.
    pub refund_status: String,
    /// 1/100000 yuan; negative in a refund's row.
    pub fee_e5: i64,
    /// 1/100000: `0.60%` is 600.
    pub rate_e5: i64,
}

impl BillRow {
    /// No two rows of a bill have the same (facts: wechat-pay.md 11).
    pub fn key(&self) -> (&str, &str) {
        (&self.transaction_id, &self.out_refund_no)
    }
}

/// The form of a trade bill.
pub struct Trade;

pub struct Columns {
    at: usize,
    mchid: usize,
    transaction_id: usize,
    out_trade_no: usize,
    state: usize,
    order: usize,
    settled: usize,
    fee: usize,
    rate: Option<usize>,
    /// None in a bill of payments alone.
    refund: Option<RefundColumns>,
}

struct RefundColumns {
    refund_id: usize,
    out_refund_no: usize,
    gross: usize,
    settled: usize,
    coupon: Option<usize>,
    status: Option<usize>,
}

#[derive(Default)]
pub struct Sums {
    rows: i128,
    order: i128,
    settled: i128,
    refund: i128,
    refund_settled: i128,
    refund_coupon: i128,
    fee_e5: i128,
}

impl Form for Trade {
    type Row = BillRow;
    type Columns = Columns;
    type Sums = Sums;
    const NAME: &'static str = "trade bill";
    const SUMMARY: &'static str = "总交易单数";

    fn columns(header: &Header<'_>) -> Result<Columns, String> {
        let order = header.must_find(&["订单金额", "总金额"])?;
        Ok(Columns {
            at: header.must_find(&["交易时间"])?,
            mchid: header.must_find(&["商户号"])?,
            transaction_id: header.must_find(&["微信订单号"])?,
            out_trade_no: header.must_find(&["商户订单号"])?,
            state: header.must_find(&["交易状态"])?,
            order,
            settled: header.find(&["应结订单金额"]).unwrap_or(order),
            fee: header.must_find(&["手续费"])?,
            rate: header.find(&["费率"]),
            refund: refund_columns(header)?,
        })
    }

    fn row(columns: &Columns, fields: &Fields<'_>, line: u64) -> Result<BillRow, String> {
        let kind = match fields.text(Some(columns.state)) {
            "SUCCESS" => RowKind::Payment,
            "REFUND" => RowKind::Refund,
            "REVOKED" => RowKind::Revoked,
            other => return Err(format!("交易状态 is {:?}", other.chars().take(40).collect::<String>())),
        };
        let mut row = BillRow {
            kind,
            line,
            at: fields.instant(columns.at, "交易时间")?,
            mchid: fields.must_key(columns.mchid, "商户号")?,
            transaction_id: fields.must_key(columns.transaction_id, "微信订单号")?,
            out_trade_no: fields.must_key(columns.out_trade_no, "商户订单号")?,
            refund_id: String::new(),
            out_refund_no: String::new(),
            order_fen: fields.fen(columns.order, "订单金额")?,
            settled_fen: fields.fen(columns.settled, "应结订单金额")?,
            refund_fen: 0,
            refund_settled_fen: 0,
            refund_coupon_fen: 0,
            refund_status: String::new(),
            fee_e5: fields.amount(columns.fee, E5, "手续费")?,
            rate_e5: fields.rate(columns.rate, "费率")?,
        };
        match &columns.refund {
            Some(columns) => read_refund(&mut row, columns, fields)?,
            None if kind == RowKind::Refund => return Err("a refund in a bill of payments".to_owned()),
            None => {}
        }
        Ok(row)
    }

    fn add(sums: &mut Sums, row: &BillRow) {
        sums.rows += 1;
        sums.order += i128::from(row.order_fen);
        sums.settled += i128::from(row.settled_fen);
        sums.refund += i128::from(row.refund_fen);
        sums.refund_settled += i128::from(row.refund_settled_fen);
        sums.refund_coupon += i128::from(row.refund_coupon_fen);
        sums.fee_e5 += i128::from(row.fee_e5);
    }

    fn figure(sums: &Sums, name: &str) -> Option<(i128, usize)> {
        Some(match name {
            "总交易单数" => (sums.rows, COUNT),
            "应结订单总金额" => (sums.settled, FEN),
            "订单总金额" | "总交易额" => (sums.order, FEN),
            "退款总金额" | "总退款金额" => (sums.refund_settled, FEN),
            "申请退款总金额" => (sums.refund, FEN),
            "充值券退款总金额" | "总代金券或立减优惠退款金额" | "总企业红包退款金额" => {
                (sums.refund_coupon, FEN)
            }
            "手续费总金额" => (sums.fee_e5, E5),
            _ => return None,
        })
    }

    fn at(row: &BillRow) -> Timestamp {
        row.at
    }

    fn mchid(row: &BillRow) -> Option<&str> {
        Some(&row.mchid)
    }
}

fn refund_columns(header: &Header<'_>) -> Result<Option<RefundColumns>, String> {
    let Some(settled) = header.find(&["退款金额"]) else { return Ok(None) };
    Ok(Some(RefundColumns {
        refund_id: header.must_find(&["微信退款单号"])?,
        out_refund_no: header.must_find(&["商户退款单号"])?,
        gross: header.find(&["申请退款金额"]).unwrap_or(settled),
        settled,
        coupon: header.find(&["充值券退款金额", "代金券或立减优惠退款金额", "企业红包退款金额"]),
        status: header.find(&["退款状态"]),
    }))
}

fn read_refund(row: &mut BillRow, columns: &RefundColumns, fields: &Fields<'_>) -> Result<(), String> {
    row.refund_fen = fields.fen_or_zero(Some(columns.gross), "申请退款金额")?;
    row.refund_settled_fen = fields.fen_or_zero(Some(columns.settled), "退款金额")?;
    row.refund_coupon_fen = fields.fen_or_zero(columns.coupon, "充值券退款金额")?;
    if row.kind == RowKind::Payment {
        // Its refund numbers are printed as `0`.
        return Ok(());
    }
    row.refund_id = fields.key(columns.refund_id, "微信退款单号")?;
    row.out_refund_no = fields.key(columns.out_refund_no, "商户退款单号")?;
    row.refund_status = columns.status.map_or(Ok(String::new()), |column| fields.key(column, "退款状态"))?;
    let lacks_number = row.refund_id.is_empty() || row.out_refund_no.is_empty();
    if row.kind == RowKind::Refund && lacks_number {
        return Err("a refund without its numbers".to_owned());
    }
    Ok(())
}
