//! Differences planted in the bills, for a reconciliation to find, and spoiled files, for it to refuse.
//!
//! A plant is asked for with the day of a bill. When that day's bills are first asked for, it is given a place: a
//! payment or a refund of that day, chosen by the seed. From then on it is part of the truth
//! ([`PlantTruth`](crate::PlantTruth)), and the bills of that day stay as they are. What a plant makes of the bills is
//! told in `bills`; here is only what there is, where it goes and how the world keeps it.

mod ask;
mod choose;
mod kept;
mod kind;
mod plan;

pub(crate) use self::ask::{Refusal, ask};
pub(crate) use self::choose::{leave_in_the_dark, settle};
pub(crate) use self::kept::{Mark, Planted, Plants};
pub use self::kind::{Bill, PlantKind};

use serde::{Deserialize, Serialize};

use crate::bills::Day;

/// A difference, or a spoiled file, that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plant {
    pub kind: PlantKind,
    /// Of the bill. A kind that needs a row and finds none on that day waits for the next.
    pub day: Day,
    /// It does not wait for the next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only: bool,
    /// Which of the day's bills; only files can be spoiled in the fund flow bill.
    #[serde(default)]
    pub bill: Bill,
    /// The `out_trade_no` or `out_refund_no` that it goes to; the seed chooses when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// How often a spoiled file is met before the right one comes; without it as often as the kind says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The right one never comes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub always: bool,
}

impl Plant {
    pub fn new(kind: PlantKind, day: Day) -> Self {
        Self { kind, day, only: false, bill: Bill::Trade, on: None, times: None, always: false }
    }

    /// On that day or never.
    pub fn only(self) -> Self {
        Self { only: true, ..self }
    }

    /// In the fund flow bill.
    pub fn in_funds(self) -> Self {
        Self { bill: Bill::Fund, ..self }
    }

    pub fn on(self, number: impl Into<String>) -> Self {
        Self { on: Some(number.into()), ..self }
    }

    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    pub fn always(self) -> Self {
        Self { always: true, ..self }
    }

    /// How often it is met.
    pub(crate) fn times_met(&self) -> u32 {
        if self.always { u32::MAX } else { self.times.unwrap_or(self.kind.times_default()) }
    }
}
