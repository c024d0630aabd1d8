//! Setting what holds a queue back: its rate, its concurrency, its breaker, its bound.
//!
//! The rules live in the carrier and hold for every worker from the next job on. Which rules a queue begins with is said
//! in `platform/stores.rs`.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use windlass_engine::gate::{BreakerRules, GateRules, Rate};

use super::Door;
use super::body::{Fields, Named, read_json};
use super::caller::Caller;
use super::problem::{Fault, Kind, Problem};
use super::queues::{known, told};

const BODY_BYTES_MAX: usize = 16 * 1024;
/// Jobs in a second, and jobs at once: what no supplier and no installation comes near.
const JOBS_PER_S_MAX: u64 = 1_000_000;
const AT_ONCE_MAX: u32 = 1_000_000;
/// The longest period of a rate, and the longest cooling: a day.
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// A rate as it is asked for: the burst is a job unless it is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateAsked {
    jobs: u32,
    per_ms: u64,
    #[serde(default = "one")]
    burst: u32,
}

const fn one() -> u32 {
    1
}

/// `PATCH /v1/queues/{queue}` with any of `{rate, concurrency_max, breaker, backlog_max}`: what is absent stays, what is
/// null is bound no more.
pub async fn set(
    Given(door): Given<Door>,
    caller: Caller,
    Named(name): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let before = known(&door, &name).await?.gate.rules;
    let text = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let rules = asked(&before, &text)?;
    door.store.set_gate(&name, rules.clone()).await?;
    door.record(&caller, "queue.set", &name, &format!("{} -> {}", json!(before), json!(rules))).await;
    Ok(Json(told(&door, &known(&door, &name).await?)))
}

fn asked(before: &GateRules, text: &[u8]) -> Result<GateRules, Problem> {
    let mut fields = Fields::parse(text)?;
    let mut faults = Vec::new();
    let before_rate = before.rate.map(|Rate { jobs, per_ms, burst }| RateAsked { jobs, per_ms, burst });
    let rate = changed(&mut fields, "rate", before_rate, &mut faults);
    let rules = GateRules {
        rate: rate.map(|RateAsked { jobs, per_ms, burst }| Rate { jobs, per_ms, burst }),
        concurrency_max: changed(&mut fields, "concurrency_max", before.concurrency_max, &mut faults),
        breaker: changed(&mut fields, "breaker", before.breaker, &mut faults),
        backlog_max: changed(&mut fields, "backlog_max", before.backlog_max, &mut faults),
    };
    fields.end(&["rate", "concurrency_max", "breaker", "backlog_max"], &mut faults);
    if faults.is_empty() {
        check(&rules, &mut faults);
    }
    if faults.is_empty() {
        return Ok(rules);
    }
    Err(Problem::new(Kind::Invalid, "See `errors`.").faults(faults))
}

fn changed<T: DeserializeOwned>(
    fields: &mut Fields<'_>,
    name: &str,
    before: Option<T>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    if fields.has(name) { fields.take(name, faults) } else { before }
}

fn check(rules: &GateRules, faults: &mut Vec<Fault>) {
    let mut must = |holds: bool, pointer: &str, message: String| {
        if !holds {
            faults.push(Fault::at(pointer, message));
        }
    };
    if let Some(Rate { jobs, per_ms, burst }) = rules.rate {
        must(jobs > 0, "/rate/jobs", "at least 1: to hold everything back, pause the queue".to_owned());
        must((1..=DAY_MS).contains(&per_ms), "/rate/per_ms", format!("between 1 and {DAY_MS}"));
        let per_s = u64::from(jobs).saturating_mul(1_000) / per_ms.max(1);
        must(per_s <= JOBS_PER_S_MAX, "/rate", format!("at most {JOBS_PER_S_MAX} jobs in a second"));
        must((1..=AT_ONCE_MAX).contains(&burst), "/rate/burst", format!("between 1 and {AT_ONCE_MAX}"));
    }
    if let Some(at_once) = rules.concurrency_max {
        let message = format!("between 1 and {AT_ONCE_MAX}: to hold everything back, pause the queue");
        must((1..=AT_ONCE_MAX).contains(&at_once), "/concurrency_max", message);
    }
    if let Some(BreakerRules { failures, cool_ms, cool_max_ms }) = rules.breaker {
        must(failures > 0, "/breaker/failures", "at least 1".to_owned());
        must((1..=DAY_MS).contains(&cool_ms), "/breaker/cool_ms", format!("between 1 and {DAY_MS}"));
        let longest = format!("between cool_ms and {DAY_MS}");
        must((cool_ms..=DAY_MS).contains(&cool_max_ms), "/breaker/cool_max_ms", longest);
    }
    must(rules.backlog_max != Some(0), "/backlog_max", "at least 1".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before() -> GateRules {
        GateRules { concurrency_max: Some(4), backlog_max: Some(10), ..GateRules::default() }
    }

    #[test]
    fn what_is_absent_stays_and_what_is_null_is_bound_no_more() {
        let rules = asked(&before(), br#"{"rate": {"jobs": 20, "per_ms": 1000}, "concurrency_max": null}"#);
        let rate = Some(Rate { jobs: 20, per_ms: 1_000, burst: 1 });
        assert_eq!(rules.unwrap(), GateRules { rate, backlog_max: Some(10), ..GateRules::default() });
        assert_eq!(asked(&before(), b"{}").unwrap(), before());
    }

    #[test]
    fn rules_that_hold_nothing_or_everything_are_refused_with_their_place() {
        for (text, pointer) in [
            (r#"{"rate": {"jobs": 0, "per_ms": 1000}}"#, "/rate/jobs"),
            (r#"{"rate": {"jobs": 1, "per_ms": 0}}"#, "/rate/per_ms"),
            (r#"{"rate": 20}"#, "/rate"),
            (r#"{"concurrency_max": 0}"#, "/concurrency_max"),
            (r#"{"breaker": {"failures": 3, "cool_ms": 10, "cool_max_ms": 5}}"#, "/breaker/cool_max_ms"),
            (r#"{"speed": 3}"#, "/speed"),
        ] {
            let problem = asked(&before(), text.as_bytes()).unwrap_err().told("r");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{text}");
        }
    }
}
