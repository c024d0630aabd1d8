//! Waiting for what other processes do, never for ever. Tests on a runtime wait with `windlass_testing::wait`.

use std::time::{Duration, Instant};

/// Longer than anything takes that a test waits for, on a machine that is very busy.
pub const WAIT_MAX: Duration = Duration::from_secs(240);
/// Between the first two looks. The pause doubles: what comes at once is seen at once, and who waits long disturbs little.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(40);

/// What `look` finds within [`WAIT_MAX`]; the test fails, and says what it waited for, when that is nothing.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    match within(WAIT_MAX, look) {
        Some(found) => found,
        None => panic!("waited too long: {what}"),
    }
}

/// What `look` finds within `time`, at whose end it looks once more; None: nothing.
pub fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let left = time.saturating_sub(began.elapsed());
        if let Some(found) = look() {
            return Some(found);
        }
        if left.is_zero() {
            return None;
        }
        std::thread::sleep(pause.min(left));
        pause = PAUSE_MAX.min(pause * 2);
    }
}
