//! What WeChat's shipping has of everything that was paid in a span of time, page by page (facts:
//! wechat-mini-program.md 4). Whether an order should be there, and in which state, is not decided here.

use serde::Deserialize;
use serde_json::json;
use windlass_engine::Timestamp;

use super::super::codes::of_order_list;
use super::super::{MiniProgram, Reply};
use super::order::{OrderWire, ShippedOrder};
use crate::outside::lenient::{flag, maybe_text, rows};
use crate::outside::{Call, OutsideError};

/// Most orders of one page (facts: wechat-mini-program.md 4).
pub const ORDER_LIST_MAX: usize = 50;
const PATH: &str = "/wxa/sec/order/get_order_list";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderPage {
    pub orders: Vec<ShippedOrder>,
    /// Where the next page begins; None: this was the last.
    pub next: Option<String>,
}

impl MiniProgram {
    /// One page of the orders that were paid from `from` to `until`, in whole seconds; whether WeChat counts the last of
    /// them is not printed, so the caller looks at [`ShippedOrder::paid_at`]. `after`: the end of the page before.
    ///
    /// # Errors
    /// As every read. `Unavailable` also for a page that says there are more and not where, which would be asked for
    /// ever.
    pub async fn order_list(
        &self,
        from: Timestamp,
        until: Timestamp,
        after: Option<&str>,
    ) -> Result<OrderPage, OutsideError> {
        let call = self.read("get_order_list");
        let mut body = json!({
            "pay_time_range": { "begin_time": from.secs(), "end_time": until.secs() },
            "page_size": ORDER_LIST_MAX,
        });
        if let Some(after) = after {
            body["last_index"] = json!(after);
        }
        let body = body.to_string();
        let work = async {
            match self.ask(&call, PATH, &body, of_order_list).await? {
                Reply::Done(raw) => read(&call, raw.get(), after),
                Reply::Same => Err(call.lost("a list was answered as if it were a change")),
                Reply::Ask(errcode) => Err(call.lost(&errcode.to_string())),
            }
        };
        self.http.measured(&call, work).await
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default, deserialize_with = "rows")]
    order_list: Vec<OrderWire>,
    #[serde(default, deserialize_with = "maybe_text")]
    last_index: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    has_more: bool,
}

fn read(call: &Call, text: &str, after: Option<&str>) -> Result<OrderPage, OutsideError> {
    let wire: Wire =
        serde_json::from_str(text).map_err(|error| call.lost(&format!("unreadable list: {error}")))?;
    let next = wire.last_index.filter(|_| wire.has_more);
    if wire.has_more && (next.is_none() || next.as_deref() == after) {
        return Err(call.lost("there are more orders, and WeChat does not say where"));
    }
    Ok(OrderPage { orders: wire.order_list.into_iter().map(ShippedOrder::from).collect(), next })
}
