//! How often refunds may be asked for in a second of the wall's time: 150 times, or 6 times wrongly
//! (facts: wechat-pay.md 8).

use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use windlass_engine::Timestamp;

use super::Reply;

const GOOD_PER_S: u32 = 150;
const BAD_PER_S: u32 = 6;

#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<Second>);

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    at: i64,
    good: u32,
    bad: u32,
}

impl Limits {
    /// Whether another one may be tried in this second.
    pub(super) fn has_room(&self, now: Timestamp) -> bool {
        self.with(now, |second| second.good < GOOD_PER_S)
    }

    /// Counts what was answered; a wrong one too many is told only that.
    pub(super) fn count(&self, now: Timestamp, reply: Reply) -> Reply {
        let is_bad = reply.status == StatusCode::BAD_REQUEST;
        let too_many = self.with(now, |second| {
            if is_bad {
                second.bad += 1;
            } else {
                second.good += 1;
            }
            is_bad && second.bad > BAD_PER_S
        });
        if too_many { too_often() } else { reply }
    }

    fn with<T>(&self, now: Timestamp, act: impl FnOnce(&mut Second) -> T) -> T {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.at != now.secs() {
            *second = Second { at: now.secs(), ..Second::default() };
        }
        act(&mut second)
    }
}

pub(super) fn too_often() -> Reply {
    Reply::error(StatusCode::TOO_MANY_REQUESTS, "FREQUENCY_LIMITED", "频率限制，请稍后再试")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seventh_wrong_one_and_the_151st_good_one_of_a_second_are_too_many() {
        let (limits, now) = (Limits::default(), Timestamp::from_secs(1));
        let wrong = || Reply::error(StatusCode::BAD_REQUEST, "INVALID_REQUEST", "");
        let told: Vec<_> = (0..7).map(|_| limits.count(now, wrong()).status.as_u16()).collect();
        assert_eq!(told, [400, 400, 400, 400, 400, 400, 429]);
        for _ in 0..150 {
            assert!(limits.has_room(now));
            limits.count(now, Reply::empty());
        }
        assert!(!limits.has_room(now));
        let next = Timestamp::from_secs(2);
        assert!(limits.has_room(next) && limits.count(next, wrong()).status == StatusCode::BAD_REQUEST);
    }
}
