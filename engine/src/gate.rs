//! What holds a queue back: a pause, a rate, a cap on concurrency, a breaker. Pure.
//!
//! A carrier keeps one [`Gate`] a queue and asks it inside its reserve step, so that the gate is global to all
//! workers and never costs an attempt. Time here is wall time: a gate protects real parties. The gate does not
//! know which jobs wait, only how many are let through.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How an operator or the configuration wants a queue held back. None: no such bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateRules {
    pub rate: Option<Rate>,
    /// Jobs of the queue running at once, over all workers.
    pub concurrency_max: Option<u32>,
    pub breaker: Option<BreakerRules>,
    /// Jobs waiting (scheduled, ready, retrying) above which enqueueing is refused.
    pub backlog_max: Option<u64>,
}

/// `jobs` a `per_ms`, with up to `burst` at once after a quiet time (GCRA).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub jobs: u32,
    pub per_ms: u64,
    pub burst: u32,
}

/// Closes the queue after `failures` outages in a row for `cool_ms`, twice as long each time it fails again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerRules {
    pub failures: u32,
    pub cool_ms: u64,
    pub cool_max_ms: u64,
}

/// A gate as it stands: the rules and what they have counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gate {
    pub rules: GateRules,
    pub paused: Option<Pause>,
    pub breaker: Breaker,
    /// GCRA's theoretical arrival time of the next job.
    pub next_free_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Breaker {
    /// Lets everything through; counts outages in a row.
    Closed { failures: u32 },
    /// Lets nothing through until `until`. `trips` in a row lengthen the cooling.
    Open { until: Timestamp, trips: u32 },
    /// Lets at most `at_once` run, twice as many after each success.
    Probing { at_once: u32, trips: u32 },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// Probing ends, and the breaker is closed, when this many at once went well.
const PROBES_AT_ONCE_MAX: u32 = 32;

/// Why the gate lets nothing through, and when it is worth asking again (None: when something changes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub reason: HoldReason,
    pub until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    Paused,
    Breaker,
    Concurrency,
    Rate,
}

impl Gate {
    /// How many of `want` jobs may start now, with `running` of the queue running already. The caller tells
    /// [`Gate::took`] how many it really took.
    pub fn admit(&mut self, now: Timestamp, running: u32, want: u32) -> Result<u32, Hold> {
        if self.paused.is_some() {
            return Err(Hold { reason: HoldReason::Paused, until: None });
        }
        if let Breaker::Open { until, trips } = self.breaker {
            if now < until {
                return Err(Hold { reason: HoldReason::Breaker, until: Some(until) });
            }
            self.breaker = Breaker::Probing { at_once: 1, trips };
        }
        let mut room = want;
        if let Breaker::Probing { at_once, .. } = self.breaker {
            room = room.min(at_once.saturating_sub(running));
            if room == 0 {
                return Err(Hold { reason: HoldReason::Breaker, until: None });
            }
        }
        if let Some(max) = self.rules.concurrency_max {
            room = room.min(max.saturating_sub(running));
            if room == 0 {
                return Err(Hold { reason: HoldReason::Concurrency, until: None });
            }
        }
        if let Some(rate) = self.rules.rate {
            let period = rate.period();
            let start = self.next_free_at.max(now);
            let horizon = now + period * rate.burst.max(1);
            let free = horizon.since(start).as_micros() / period.as_micros().max(1);
            room = room.min(u32::try_from(free).unwrap_or(u32::MAX));
            if room == 0 {
                return Err(Hold {
                    reason: HoldReason::Rate,
                    until: Some(start + period - period * rate.burst.max(1)),
                });
            }
        }
        Ok(room)
    }

    /// `n` jobs that [`Gate::admit`] allowed were handed out.
    pub fn took(&mut self, now: Timestamp, n: u32) {
        if let Some(rate) = self.rules.rate {
            self.next_free_at = self.next_free_at.max(now) + rate.period() * n;
        }
    }

    /// Attempts of the queue ended: `outages` because the other side is down, `answered` because it answered
    /// (well or badly).
    pub fn record(&mut self, now: Timestamp, outages: u32, answered: u32) {
        let Some(rules) = self.rules.breaker else { return };
        self.breaker = match self.breaker {
            // What comes in while the breaker is open was sent before it opened and says nothing new.
            open @ Breaker::Open { .. } => open,
            Breaker::Closed { .. } if answered > 0 => Breaker::Closed { failures: 0 },
            Breaker::Closed { failures } if failures + outages >= rules.failures => {
                Breaker::open(rules, now, 0)
            }
            Breaker::Closed { failures } => Breaker::Closed { failures: failures + outages },
            Breaker::Probing { trips, .. } if outages > 0 => Breaker::open(rules, now, trips + 1),
            Breaker::Probing { at_once, trips } if answered > 0 => {
                let at_once = at_once.saturating_mul(2);
                if at_once > PROBES_AT_ONCE_MAX {
                    Breaker::Closed { failures: 0 }
                } else {
                    Breaker::Probing { at_once, trips }
                }
            }
            probing @ Breaker::Probing { .. } => probing,
        };
    }

    /// What holds the queue now, if anything, without changing the gate.
    pub fn hold(&self, now: Timestamp, running: u32) -> Option<Hold> {
        self.clone().admit(now, running, 1).err()
    }
}

impl Breaker {
    fn open(rules: BreakerRules, now: Timestamp, trips: u32) -> Self {
        let cool_ms =
            rules.cool_ms.saturating_mul(1 << trips.min(20)).min(rules.cool_max_ms.max(rules.cool_ms));
        Self::Open { until: now + Duration::from_millis(cool_ms), trips }
    }
}

impl Rate {
    pub(crate) fn period(self) -> Duration {
        Duration::from_micros((self.per_ms.saturating_mul(1_000) / u64::from(self.jobs.max(1))).max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn breaking() -> Gate {
        let breaker = Some(BreakerRules { failures: 3, cool_ms: 1_000, cool_max_ms: 4_000 });
        Gate { rules: GateRules { breaker, ..GateRules::default() }, ..Gate::default() }
    }

    proptest! {
        #[test]
        fn a_rate_is_never_exceeded_over_any_run_of_asks(
            jobs in 1u32..50, per_ms in 10u64..2_000, burst in 1u32..20,
            asks in proptest::collection::vec((0u64..200, 1u32..40), 1..80),
        ) {
            let rate = Rate { jobs, per_ms, burst };
            let mut gate = Gate { rules: GateRules { rate: Some(rate), ..GateRules::default() }, ..Gate::default() };
            let (mut now, mut taken) = (START, 0u64);
            for (wait_ms, want) in asks {
                now = now + Duration::from_millis(wait_ms);
                if let Ok(n) = gate.admit(now, 0, want) {
                    gate.took(now, n);
                    taken += u64::from(n);
                }
            }
            let periods = now.since(START).as_micros() as u64 / rate.period().as_micros() as u64;
            prop_assert!(taken <= u64::from(burst) + periods + 1);
        }

        #[test]
        fn a_rate_hold_ends_when_it_says(jobs in 1u32..50, per_ms in 10u64..2_000, burst in 1u32..20) {
            let rate = Rate { jobs, per_ms, burst };
            let mut gate = Gate { rules: GateRules { rate: Some(rate), ..GateRules::default() }, ..Gate::default() };
            let n = gate.admit(START, 0, 1_000).unwrap();
            prop_assert_eq!(n, burst);
            gate.took(START, n);
            let hold = gate.admit(START, 0, 1).unwrap_err();
            prop_assert_eq!(hold.reason, HoldReason::Rate);
            prop_assert_eq!(gate.admit(hold.until.unwrap(), 0, 1_000), Ok(1));
        }
    }

    #[test]
    fn a_paused_queue_gives_nothing() {
        let pause = Pause { by: "ops".into(), reason: "stocktaking".into(), at: START };
        let mut gate = Gate { paused: Some(pause), ..Gate::default() };
        assert_eq!(gate.admit(START, 0, 10), Err(Hold { reason: HoldReason::Paused, until: None }));
    }

    #[test]
    fn a_cap_counts_what_runs_already() {
        let rules = GateRules { concurrency_max: Some(4), ..GateRules::default() };
        let mut gate = Gate { rules, ..Gate::default() };
        assert_eq!(gate.admit(START, 3, 10), Ok(1));
        assert_eq!(gate.admit(START, 4, 10).unwrap_err().reason, HoldReason::Concurrency);
    }

    #[test]
    fn the_breaker_opens_cools_probes_with_one_and_ramps_up() {
        let mut gate = breaking();
        gate.record(START, 2, 0);
        assert_eq!(gate.admit(START, 0, 10), Ok(10));
        gate.record(START, 1, 0);
        let hold = gate.admit(START, 0, 10).unwrap_err();
        assert_eq!(hold.until, Some(START + Duration::from_secs(1)));

        let cooled = START + Duration::from_secs(1);
        assert_eq!(gate.admit(cooled, 0, 10), Ok(1));
        assert!(gate.admit(cooled, 1, 10).is_err(), "one probe at a time");
        gate.record(cooled, 0, 1);
        assert_eq!(gate.admit(cooled, 0, 10), Ok(2));
        for _ in 0..5 {
            gate.record(cooled, 0, 1);
        }
        assert_eq!(gate.breaker, Breaker::Closed { failures: 0 });
    }

    #[test]
    fn a_failed_probe_cools_twice_as_long_up_to_the_cap() {
        let mut gate = breaking();
        gate.record(START, 3, 0);
        let mut now = START;
        for cool_s in [2, 4, 4] {
            now = gate.hold(now, 0).and_then(|hold| hold.until).unwrap();
            assert_eq!(gate.admit(now, 0, 10), Ok(1));
            gate.record(now, 1, 0);
            assert_eq!(gate.hold(now, 0).unwrap().until, Some(now + Duration::from_secs(cool_s)));
        }
    }

    #[test]
    fn an_answer_in_between_starts_the_count_again() {
        let mut gate = breaking();
        gate.record(START, 2, 0);
        gate.record(START, 0, 1);
        gate.record(START, 2, 0);
        assert_eq!(gate.admit(START, 0, 10), Ok(10));
    }
}
