//! The clients of the outside systems against scripted servers on real sockets: each failure path of each call.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod haier;
mod http;
mod mail;
mod measures;
mod mini_program;
mod wechat_bills;
mod wechat_pay;
mod wechat_vectors;
mod ylh;

use std::sync::Arc;
use std::time::Duration;

use windlass_engine::{Clock, Timestamp};
use windlass_jobs::outside::{Http, HttpSettings};
use windlass_jobs::token::{MemoryShelf, Tokens};

/// 2026-01-05 10:00:00 in Beijing.
const START: Timestamp = Timestamp::from_secs(1_767_578_400);
/// How long a call waits: short enough for the tests in which the server keeps silent, long enough for a busy
/// machine in all others.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

fn http(clock: &Clock) -> Http {
    Http::new(&HttpSettings::default(), clock.clone()).unwrap()
}

fn tokens(clock: &Clock) -> Tokens {
    Tokens::new(Arc::new(MemoryShelf::default()), clock.clone(), "test")
}

/// Jobs run on any thread: a call that could not be moved to one would not compile here.
#[test]
fn every_call_can_be_moved_between_threads() {
    fn movable<T: Send>(_: fn() -> T) {}
    movable(|| async { None::<windlass_jobs::suppliers::haier::Haier>?.balance().await.ok() });
    movable(|| async { None::<windlass_jobs::suppliers::haier::Haier>?.products(&[]).await.ok() });
    movable(|| async { None::<windlass_jobs::suppliers::ylh::Ylh>?.store_logistics(&[]).await.ok() });
    movable(|| async { None::<windlass_jobs::payments::wechat_pay::WechatPay>?.close("").await.ok() });
    movable(|| async {
        let order = windlass_jobs::mini_program::PaidOrder::TransactionId(String::new());
        None::<windlass_jobs::mini_program::MiniProgram>?.get_order(&order).await.ok()
    });
    movable(|| async {
        None::<Tokens>?;
        Some(())
    });
}
