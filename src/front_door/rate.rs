//! How often one key may call: a token bucket for each, in this process. Several front doors have one each, so that
//! none waits for another; the limit of an installation is theirs together.
//!
//! Headers as in draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` says what may be, `RateLimit` what is
//! left. Callbacks and health have no limit: a provider that is refused would only come again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use windlass_engine::Timestamp;

use super::Door;
use super::caller::{Access, Caller};
use super::problem::{Kind, Problem};

/// Buckets that are remembered; there are as many as good keys that called of late.
const BUCKETS_MAX: usize = 20_000;
const SECOND_US: i64 = 1_000_000;

/// The buckets of all keys.
#[derive(Debug)]
pub struct Rate {
    per_second: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Millionths of a call that are left.
    left: i64,
    at: Timestamp,
}

/// What one call found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    allowed: bool,
    /// Whole calls that are left.
    left: i64,
    /// Seconds until the bucket is full again, rounded up.
    full_in_s: i64,
}

impl Rate {
    /// `per_second`: calls of one key in a second, and at once after a second of rest; at least 1.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1), buckets: Mutex::default() }
    }

    fn take(&self, key: &str, now: Timestamp) -> Taken {
        let (rate, full) = (i64::from(self.per_second), i64::from(self.per_second) * SECOND_US);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(key) {
            // One that is full again says nothing.
            buckets.retain(|_, bucket| now.since(bucket.at).as_micros() < 1_000_000);
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket { left: full, at: now });
        let passed_us = i64::try_from(now.since(bucket.at).as_micros()).unwrap_or(SECOND_US).min(SECOND_US);
        bucket.left = (bucket.left + passed_us * rate).min(full);
        bucket.at = bucket.at.max(now);
        let allowed = bucket.left >= SECOND_US;
        if allowed {
            bucket.left -= SECOND_US;
        }
        let missing = full - bucket.left;
        let full_in_s = (missing + full - 1) / full;
        Taken { allowed, left: bucket.left / SECOND_US, full_in_s }
    }
}

/// Refuses who calls too often, and tells everybody what is left. Knows who calls: it stands behind the door's keys.
pub async fn limit(State(door): State<Door>, caller: Caller, request: Request, next: Next) -> Response {
    let rate = match (&door.rate, &door.access) {
        // A command that opened the door for itself alone.
        (None, _) | (_, Access::Only(_)) => return next.run(request).await,
        (Some(rate), _) => rate,
    };
    let taken = rate.take(caller.id().unwrap_or_default(), door.clock.wall());
    let mut response = if taken.allowed {
        next.run(request).await
    } else {
        let detail = format!(
            "{} calls a second are allowed. Wait a second, and send jobs in batches.",
            rate.per_second
        );
        Problem::new(Kind::TooFast, detail).into_response()
    };
    dress(response.headers_mut(), rate.per_second, taken);
    response
}

fn dress(headers: &mut HeaderMap, per_second: u32, taken: Taken) {
    let policy = format!("\"key\";q={per_second};w=1");
    let left = format!("\"key\";r={};t={}", taken.left, taken.full_in_s);
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", left)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);

    #[test]
    fn a_key_has_its_second_and_no_other_keys() {
        let rate = Rate::new(3);
        let at = |ms: u64| NOON + Duration::from_millis(ms);
        let allowed = |key: &str, ms: u64| rate.take(key, at(ms)).allowed;
        assert_eq!([0, 0, 0, 0].map(|ms| allowed("a", ms)), [true, true, true, false]);
        assert!(allowed("b", 0), "another key has its own");
        assert_eq!([300, 334, 335].map(|ms| allowed("a", ms)), [false, true, false]);
        // A rest of an hour is worth no more than a second.
        let rested: Vec<_> = (0..4).map(|_| allowed("a", 3_600_000)).collect();
        assert_eq!(rested, [true, true, true, false]);
        // A clock that is set back takes nothing away and gives nothing.
        assert!(!allowed("a", 0));
    }

    #[test]
    fn what_is_left_is_told() {
        let rate = Rate::new(2);
        assert_eq!(rate.take("a", NOON), Taken { allowed: true, left: 1, full_in_s: 1 });
        assert_eq!(rate.take("a", NOON), Taken { allowed: true, left: 0, full_in_s: 1 });
        assert_eq!(rate.take("a", NOON), Taken { allowed: false, left: 0, full_in_s: 1 });
    }
}
