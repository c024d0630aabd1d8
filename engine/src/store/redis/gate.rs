//! A queue's gate, as the fields of its hash. What the fields mean is in `lua/gate.lua`.

use std::time::Duration;

use super::record::escaped;
use super::script;
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::gate::{Breaker, Gate, GateRules, Pause};
use crate::store::StoreError;

/// Changes fields of the gate; an empty value removes one.
async fn set(shared: &Shared, queue: &str, fields: &[(&str, String)]) -> Result<(), StoreError> {
    let mut call = shared.call(&script::SET_GATE);
    call.text(&escaped(queue));
    for (field, value) in fields {
        call.text(field).text(value);
    }
    shared.run(&call).await.map(drop)
}

pub(super) async fn pause(shared: &Shared, queue: &str, pause: Option<Pause>) -> Result<(), StoreError> {
    let pause = pause.map(|pause| serde_json::to_string(&pause).expect("a pause is plain data"));
    set(shared, queue, &[("paused", pause.unwrap_or_default())]).await
}

pub(super) async fn set_rules(shared: &Shared, queue: &str, rules: &GateRules) -> Result<(), StoreError> {
    let text = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    let micros = |ms: u64| ms.saturating_mul(1_000);
    let fields = [
        ("rules", serde_json::to_string(rules).expect("rules are plain data")),
        ("cap", text(rules.concurrency_max.map(u64::from))),
        ("period", text(rules.rate.map(|rate| u64::try_from(rate.period().as_micros()).unwrap_or(u64::MAX)))),
        ("burst", text(rules.rate.map(|rate| u64::from(rate.burst)))),
        ("failures", text(rules.breaker.map(|breaker| u64::from(breaker.failures)))),
        ("cool", text(rules.breaker.map(|breaker| micros(breaker.cool_ms)))),
        ("cool_max", text(rules.breaker.map(|breaker| micros(breaker.cool_max_ms)))),
        ("backlog", text(rules.backlog_max)),
    ];
    set(shared, queue, &fields).await
}

/// The gate that the fields tell. `None`: they tell none of ours.
pub(super) fn read(fields: &[(String, String)]) -> Option<Gate> {
    let of = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let number = |name: &str| of(name).map_or(Some(0), |value| value.parse::<u64>().ok());
    let time = |name: &str| Some(Timestamp::default() + Duration::from_micros(number(name)?));
    let small = |name: &str| u32::try_from(number(name)?).ok();
    let breaker = match of("breaker") {
        None | Some("c") => Breaker::Closed { failures: small("count")? },
        Some("o") => Breaker::Open { until: time("open_until")?, trips: small("trips")? },
        Some("p") => Breaker::Probing { at_once: small("count")?, trips: small("trips")? },
        Some(_) => return None,
    };
    Some(Gate {
        rules: of("rules").map_or(Some(GateRules::default()), |rules| serde_json::from_str(rules).ok())?,
        paused: of("paused").map(serde_json::from_str).transpose().ok()?,
        breaker,
        next_free_at: time("tat")?,
    })
}
