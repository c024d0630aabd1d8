//! Haier's side of the counter: how much it lets through, in which odd forms it answers, and what it was asked.
//!
//! A dial, like that of the faults: it is set by whoever runs the sandbox and not written into the journal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use windlass_engine::Timestamp;

use crate::draw::draw;

/// How Haier's world is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goods {
    /// How many products are listed: `FAKE00001` and on. The first 200 never change; the rest move.
    pub products: u32,
    /// Calls in a real second beyond which Haier answers 429; None: as many as come.
    pub calls_per_s: Option<u32>,
    /// Of 1,000 calls so many are answered in an odd form; the same question again is answered straight.
    pub odd_per_mille: u32,
    /// What each payer account begins with; None: some million yuan, by the seed.
    pub balance_fen: Option<i64>,
}

impl Default for Goods {
    fn default() -> Self {
        Self { products: super::catalogue::STILL, calls_per_s: None, odd_per_mille: 0, balance_fen: None }
    }
}

/// What the outside was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallsTruth {
    pub haier_tokens: u64,
    pub ylh_tokens: u64,
    pub mini_program_tokens: u64,
    /// Reads of Haier that were let through, and those that were too many.
    pub haier_reads: u64,
    pub haier_throttled: u64,
}

/// A form that the documents do not promise and a client must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// Every third row is left out.
    MissingRows,
    /// The first row has an object where a text or a number belongs.
    WrongType,
    /// `data: null`.
    NoData,
    /// A bare array, decimals as text, flags as numbers.
    OtherTypes,
}

const ODD: [Odd; 4] = [Odd::MissingRows, Odd::WrongType, Odd::NoData, Odd::OtherTypes];

/// What can be turned while the sandbox runs. What is absent stays.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Turn {
    /// 0: no bound.
    pub(crate) calls_per_s: Option<u32>,
    pub(crate) odd_per_mille: Option<u32>,
    /// Money paid into the first payer account.
    pub(crate) pay_in_fen: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Desk {
    seed: u64,
    inner: Mutex<Inner>,
    paid_in_fen: AtomicI64,
    pub(crate) haier_tokens: AtomicU64,
    pub(crate) ylh_tokens: AtomicU64,
    pub(crate) mini_program_tokens: AtomicU64,
    reads: AtomicU64,
    throttled: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    goods: Goods,
    /// Real time at which a bucket that is never full would be full again.
    full_at: Timestamp,
    asked: HashMap<u64, u32>,
}

impl Desk {
    pub(crate) fn new(seed: u64, goods: Goods) -> Self {
        let inner = Inner { goods, full_at: Timestamp::default(), asked: HashMap::new() };
        Self {
            seed,
            inner: Mutex::new(inner),
            paid_in_fen: AtomicI64::new(0),
            haier_tokens: AtomicU64::new(0),
            ylh_tokens: AtomicU64::new(0),
            mini_program_tokens: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
        }
    }

    pub(crate) fn goods(&self) -> Goods {
        self.lock().goods
    }

    pub(crate) fn turn(&self, turn: Turn) {
        let mut inner = self.lock();
        if let Some(calls) = turn.calls_per_s {
            inner.goods.calls_per_s = (calls > 0).then_some(calls);
        }
        if let Some(odd) = turn.odd_per_mille {
            inner.goods.odd_per_mille = odd;
        }
        drop(inner);
        self.paid_in_fen.fetch_add(turn.pay_in_fen.unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn paid_in_fen(&self) -> i64 {
        self.paid_in_fen.load(Ordering::Relaxed)
    }

    pub(crate) fn calls(&self) -> CallsTruth {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CallsTruth {
            haier_tokens: read(&self.haier_tokens),
            ylh_tokens: read(&self.ylh_tokens),
            mini_program_tokens: read(&self.mini_program_tokens),
            haier_reads: read(&self.reads),
            haier_throttled: read(&self.throttled),
        }
    }

    /// Whether a call at this real time is one too many. A second's worth may come at once.
    pub(super) fn is_too_many(&self, wall: Timestamp) -> bool {
        let mut inner = self.lock();
        if let Some(calls) = inner.goods.calls_per_s {
            let drop = Duration::from_micros(1_000_000 / u64::from(calls.max(1)));
            let full_at = inner.full_at.max(wall);
            if full_at.since(wall) > Duration::from_secs(1) {
                self.throttled.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            inner.full_at = full_at + drop;
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// In which odd form this question is answered, if in any.
    pub(super) fn odd_form(&self, question: &str) -> Option<Odd> {
        let mut inner = self.lock();
        let per_mille = u64::from(inner.goods.odd_per_mille);
        if per_mille == 0 {
            return None;
        }
        let times = inner.asked.entry(draw(0, &[question], 0)).or_default();
        let nth = u64::from(*times);
        *times += 1;
        let drawn = draw(self.seed, &["odd", question], nth);
        (nth.is_multiple_of(2) && drawn % 1_000 < per_mille).then(|| ODD[(drawn >> 16) as usize % ODD.len()])
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
