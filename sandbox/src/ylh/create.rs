//! Placing an order (facts: ylh.md 4). What is checked here is what YLH checks on receipt: required fields, sums and a
//! repeated `soId`. Whether the goods can be had is told later, by the confirm callback.

use axum::response::Response;
use serde_json::{Value, json};

use super::{Call, invalid, play, required};
use crate::answer::Refusal;
use crate::credentials::credentials;
use crate::fault::Endpoint;
use crate::haier;
use crate::world::event::{Fact, Line};
use crate::world::order::SupplierOrder;

/// The first instant whose milliseconds have 13 digits; fewer are seconds by mistake.
const MILLIS_MIN: i64 = 1_000_000_000_000;
const LINES_MAX: usize = 1_000;

pub(super) async fn receive(call: Call) -> Response {
    play(
        call,
        Endpoint::YlhCreate,
        |asked| asked["soId"].to_string(),
        |world, asked| {
            let placed = match read(asked) {
                Ok(placed) => placed,
                Err(refusal) => return Ok(Err(refusal)),
            };
            world.act(|scene| {
                if scene.state().orders.get(&placed.so_id).is_some() {
                    return Ok(Err(Refusal { code: "DUPLICATE", text: "子订单号重复".to_owned() }));
                }
                let Placed { so_id, online_no, lines, amount_fen } = placed;
                scene.record(Fact::OrderAccepted { so_id, online_no, lines, amount_fen })?;
                Ok(Ok(json!(true)))
            })
        },
    )
    .await
}

struct Placed {
    so_id: String,
    online_no: String,
    lines: Vec<Line>,
    amount_fen: i64,
}

fn read(asked: &Value) -> Result<Placed, Refusal> {
    for field in ["shopName", "consigneeName", "consigneeMobile", "province", "city", "area", "detailAddress"]
    {
        required(asked, field)?;
    }
    let ours = credentials().ylh;
    if required(asked, "sourceSystem")? != ours.source_system {
        return Err(invalid("sourceSystem", "不正确"));
    }
    required(asked, "sellerCode")?;
    if asked["createTime"].as_i64().is_none_or(|at| at < MILLIS_MIN) {
        return Err(invalid("createTime", "应为毫秒时间戳"));
    }
    check_delivery_install(asked)?;
    let (lines, pieces, sum_fen) = read_lines(asked)?;
    if asked["totalQty"].as_u64() != Some(pieces) {
        return Err(invalid("totalQty", "与明细数量不一致"));
    }
    let amount_fen = fen(asked, "totalAmt")?;
    // Per-unit prices are rounded to fen, so each piece may be half a fen off.
    if amount_fen.abs_diff(sum_fen) > pieces / 2 {
        return Err(invalid("totalAmt", "与明细金额不一致"));
    }
    Ok(Placed {
        so_id: required(asked, "soId")?.to_owned(),
        online_no: required(asked, "onlineNo")?.to_owned(),
        lines,
        amount_fen,
    })
}

/// A text, `"true"` only when both times are given and equal.
fn check_delivery_install(asked: &Value) -> Result<(), Refusal> {
    let (delivery, install) = (asked["distributionTime"].as_i64(), asked["installTime"].as_i64());
    let together = delivery.is_some() && delivery == install;
    match asked["deliveryInstall"].as_str() {
        Some("false") => Ok(()),
        Some("true") if together => Ok(()),
        Some("true") => Err(invalid("deliveryInstall", "与送装时间不一致")),
        _ => Err(invalid("deliveryInstall", "不正确")),
    }
}

/// The lines, how many pieces they hold and what they cost.
fn read_lines(asked: &Value) -> Result<(Vec<Line>, u64, i64), Refusal> {
    let rows = asked["itemList"].as_array().filter(|rows| !rows.is_empty() && rows.len() <= LINES_MAX);
    let (mut lines, mut pieces, mut sum_fen) = (Vec::new(), 0, 0i64);
    for row in rows.ok_or_else(|| invalid("itemList", "不能为空"))? {
        let code = required(row, "productCode")?;
        let qty = row["itemQty"]
            .as_u64()
            .and_then(|qty| u32::try_from(qty).ok())
            .filter(|qty| *qty > 0)
            .ok_or_else(|| invalid("itemQty", "不正确"))?;
        let (retail, discount, actual) =
            (fen(row, "retailPrice")?, fen(row, "discountAmount")?, fen(row, "actualPrice")?);
        if retail - discount != actual {
            return Err(invalid("actualPrice", "与零售价及优惠金额不一致"));
        }
        pieces += u64::from(qty);
        sum_fen += actual * i64::from(qty);
        lines.push(Line { code: code.into(), qty, received: 0, returned: 0, rejected: 0 });
    }
    Ok((lines, pieces, sum_fen))
}

/// Yuan with at most two decimals, zero or more.
fn fen(row: &Value, field: &str) -> Result<i64, Refusal> {
    let yuan = row[field].as_f64().ok_or_else(|| invalid(field, "不能为空"))?;
    let fen = (yuan * 100.0).round();
    if fen < 0.0 || fen > i64::MAX as f64 / 2.0 || (yuan * 100.0 - fen).abs() > 0.001 {
        return Err(invalid(field, "不正确"));
    }
    Ok(fen as i64)
}

/// Why the supplier will not accept an order, if so: the word in front of a product code decides. `FAIL` is refused
/// for no other reason than to be refused.
pub(crate) fn refusal(order: &SupplierOrder) -> Option<&'static str> {
    order.lines.iter().find_map(|line| haier::why_not(&line.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Value {
        json!({
            "sourceSystem": "WINDLASS", "shopName": "测试旗舰店", "sellerCode": "8800000001", "consigneeName": "测试",
            "consigneeMobile": "13000000000", "onlineNo": "P1", "soId": "P1-1", "remark": "", "totalQty": 2,
            "totalAmt": 2399.98, "createTime": 1_767_578_400_000i64, "province": "江苏省", "city": "南京市",
            "area": "鼓楼区", "detailAddress": "测试路1号", "deliveryInstall": "false",
            "itemList": [{"productCode": "FAKE00001", "itemQty": 2, "retailPrice": 1299.99, "discountAmount": 100.00,
                "actualPrice": 1199.99, "isGift": false}],
        })
    }

    fn refused(change: impl FnOnce(&mut Value)) -> String {
        let mut order = order();
        change(&mut order);
        read(&order).err().map(|refusal| refusal.text).unwrap_or_default()
    }

    #[test]
    fn a_whole_order_is_read() {
        let placed = read(&order()).unwrap_or_else(|refusal| panic!("{}", refusal.text));
        assert_eq!((placed.amount_fen, placed.lines[0].qty), (239_998, 2));
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        assert_eq!(refused(|order| order["totalQty"] = json!(3)), "totalQty与明细数量不一致");
        assert_eq!(refused(|order| order["totalAmt"] = json!(2599.98)), "totalAmt与明细金额不一致");
        assert_eq!(
            refused(|order| order["itemList"][0]["discountAmount"] = json!(0)),
            "actualPrice与零售价及优惠金额不一致"
        );
        assert_eq!(refused(|order| order["createTime"] = json!(1_767_578_400)), "createTime应为毫秒时间戳");
        assert_eq!(refused(|order| order["deliveryInstall"] = json!(false)), "deliveryInstall不正确");
        assert_eq!(refused(|order| order["consigneeName"] = json!("")), "consigneeName不能为空");
        assert_eq!(refused(|order| order["itemList"] = json!([])), "itemList不能为空");
    }
}
