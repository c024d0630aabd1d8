//! Connections that break in the middle of a call or of its answer.

use windlass_servers::Redis;

use crate::jobs::*;
use crate::storm::Storm;
use windlass_servers::{After, Proxy};

const CUTS_EACH_WAY_MIN: u64 = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_ends_twice_wherever_a_connection_breaks() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port(), seed);
    let storm = Storm::begin(open(settings(format!("redis://127.0.0.1:{}/", proxy.port()))).await);
    proxy.cut_after(Some(After { up: 500..40_000, down: 200..15_000 }));
    while proxy.cuts().0 < CUTS_EACH_WAY_MIN || proxy.cuts().1 < CUTS_EACH_WAY_MIN {
        storm.blows_on(20).await;
    }
    assert!(storm.failed() > 0, "a call was cut off");
    proxy.cut_after(None);
    storm.blows_on(50).await;
    storm.calm().await;
}
