//! Waiting on a runtime for what others do, never for ever. Whoever drives whole processes without a runtime waits with
//! `tests/support/wait.rs` of the root package.

use std::time::{Duration, Instant};

/// Longer than anything takes that a test waits for, on a machine that is very busy.
pub const WAIT_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What `look` finds within [`WAIT_MAX`]; the test fails, and says what it waited for, when that is nothing.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    match within(WAIT_MAX, look).await {
        Some(found) => found,
        None => panic!("waited too long: {what}"),
    }
}

/// What `look` finds within `time` of the wall; None: nothing.
pub async fn within<T>(time: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if began.elapsed() > time {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
