//! A gate's rules divided among carriers, and put together again. Pure.

use crate::gate::{GateRules, Rate};

/// The share that one of `carriers` holds: bounds add up to the whole, a rate is spaced as many times as far.
pub(super) fn of(rules: &GateRules, carrier: usize, carriers: usize) -> GateRules {
    let n = carriers as u64;
    let part = |whole: u64| whole / n + u64::from((carrier as u64) < whole % n);
    GateRules {
        rate: rules.rate.map(|rate| Rate {
            per_ms: rate.per_ms.saturating_mul(n),
            burst: (rate.burst / carriers as u32).max(1),
            ..rate
        }),
        concurrency_max: rules.concurrency_max.map(|cap| part(u64::from(cap)) as u32),
        breaker: rules.breaker,
        backlog_max: rules.backlog_max.map(part),
    }
}

/// The rules of which these are all the shares.
pub(super) fn whole(shares: &[GateRules]) -> GateRules {
    let Some(first) = shares.first() else { return GateRules::default() };
    GateRules {
        rate: first.rate.map(|rate| Rate {
            per_ms: rate.per_ms / shares.len() as u64,
            burst: shares.iter().filter_map(|share| share.rate).map(|rate| rate.burst).sum(),
            ..rate
        }),
        concurrency_max: shares.iter().map(|share| share.concurrency_max).sum(),
        breaker: first.breaker,
        backlog_max: shares.iter().map(|share| share.backlog_max).sum(),
    }
}
