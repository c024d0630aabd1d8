//! Lists of orders, by when they were paid (facts: wechat-mini-program.md 4). Not printed, so assumed: both ends of the
//! time count, an end that is missing is now, `last_index` is a text that only we understand, and a page is asked for with
//! 1 to 50 orders.

use axum::response::Response;
use serde_json::{Value, json};
use windlass_engine::Timestamp;

use super::shipping::{order, order_state};
use super::{Call, Failure, failure, play};
use crate::fault::Endpoint;
use crate::world::money::Payment;
use crate::world::state::State as Books;

const PAGE_MAX: u64 = 50;

pub(super) async fn get_order_list(call: Call) -> Response {
    play(call, Endpoint::MiniRead, Value::to_string, |world, asked| {
        let wanted = match Wanted::read(asked, world.clock.now()) {
            Ok(wanted) => wanted,
            Err(failure) => return Ok(Err(failure)),
        };
        Ok(world.look(|state| Ok(wanted.page(state))))
    })
    .await
}

struct Wanted {
    from_s: i64,
    until_s: i64,
    state: Option<u64>,
    openid: Option<String>,
    /// Running number of the last payment of the page before.
    after: Option<u32>,
    page_size: usize,
}

impl Wanted {
    fn read(asked: &Value, now: Timestamp) -> Result<Self, Failure> {
        let range = &asked["pay_time_range"];
        let page_size = asked["page_size"].as_u64().unwrap_or(PAGE_MAX);
        if !(1..=PAGE_MAX).contains(&page_size) {
            return Err(failure(10_060_014, "page_size 不在范围内"));
        }
        let after = match asked["last_index"].as_str() {
            None | Some("") => None,
            Some(text) => Some(text.parse().map_err(|_| failure(10_060_014, "last_index 非法"))?),
        };
        Ok(Self {
            from_s: range["begin_time"].as_i64().unwrap_or(i64::MIN),
            until_s: range["end_time"].as_i64().unwrap_or_else(|| now.secs()),
            state: asked["order_state"].as_u64(),
            openid: asked["openid"].as_str().filter(|given| !given.is_empty()).map(str::to_owned),
            after,
            page_size: page_size as usize,
        })
    }

    fn page(&self, books: &Books) -> Value {
        let begin = self.after.map_or(0, |after| after as usize + 1);
        let rows = books.payments.rows().get(begin..).unwrap_or_default();
        let mut fitting = rows.iter().filter(|payment| self.has(payment));
        let page: Vec<&Payment> = fitting.by_ref().take(self.page_size).collect();
        let last_index = page.last().map(|last| last.no.to_string()).unwrap_or_default();
        json!({
            "order_list": page.iter().map(|payment| order(payment)).collect::<Vec<_>>(),
            "last_index": last_index,
            "has_more": fitting.next().is_some(),
        })
    }

    fn has(&self, payment: &Payment) -> bool {
        let Some(paid_at) = payment.paid_at else { return false };
        (self.from_s..=self.until_s).contains(&paid_at.secs())
            && self.state.is_none_or(|state| state == u64::from(order_state(payment)))
            && self.openid.as_deref().is_none_or(|openid| openid == &*payment.openid)
    }
}
