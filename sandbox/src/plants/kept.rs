//! The plants as the world keeps them, and how a row finds its own.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use windlass_engine::Timestamp;

use super::{Plant, PlantKind};
use crate::bills::Day;

/// Where a plant went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub(crate) enum Mark {
    /// A payment of the shop, by its running number.
    Payment {
        no: u32,
    },
    /// A refund of the shop.
    Refund {
        no: u32,
    },
    /// A payment that came after it was closed.
    Late {
        no: u32,
        paid_at: Timestamp,
    },
    /// A payment that the shop knows nothing of; `no` where it has the number of one that it knows.
    OtherPayment {
        no: Option<u32>,
        out_trade_no: String,
        transaction_id: String,
        openid: String,
        paid_at: Timestamp,
        fen: i64,
    },
    /// A refund of one of the shop's payments that the shop knows nothing of.
    OtherRefund {
        no: u32,
        out_refund_no: String,
        refund_id: String,
        made_at: Timestamp,
        fen: i64,
    },
    /// A row that is none.
    Row {
        number: String,
    },
    File,
}

/// A plant that has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planted {
    pub(crate) plant: Plant,
    /// Of the bill that it went to; not before the day that was asked for.
    pub(crate) day: Day,
    pub(crate) mark: Mark,
}

impl Planted {
    pub(crate) fn kind(&self) -> PlantKind {
        self.plant.kind
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plants {
    /// All that were asked for, in that order, and whether they have their place.
    asked: Vec<(Plant, bool)>,
    planted: Vec<Planted>,
    /// Running numbers of payments and refunds to their plants.
    of_payments: HashMap<u32, Vec<u32>>,
    of_refunds: HashMap<u32, Vec<u32>>,
    /// Days whose bills were asked for: they stay as they are.
    closed: BTreeSet<Day>,
}

impl Plants {
    pub(crate) fn ask(&mut self, plant: &Plant) {
        self.asked.push((plant.clone(), false));
    }

    pub(crate) fn has_asked(&self, plant: &Plant) -> bool {
        self.asked.iter().any(|(asked, _)| asked == plant)
    }

    pub(crate) fn asked_count(&self) -> usize {
        self.asked.len()
    }

    /// Those that could go to the bills of `day`, by their numbers.
    pub(crate) fn waiting_for(&self, day: Day) -> Vec<(u32, Plant)> {
        let waiting = self.asked.iter().enumerate().filter(|(_, (plant, done))| !done && plant.day <= day);
        waiting.map(|(nth, (plant, _))| (nth as u32, plant.clone())).collect()
    }

    /// The plant with this number has its place.
    pub(crate) fn plant(&mut self, nth: u32, day: Day, mark: Mark) {
        let Some((plant, done)) = self.asked.get_mut(nth as usize) else { return };
        *done = true;
        let index = self.planted.len() as u32;
        match &mark {
            Mark::Payment { no }
            | Mark::Late { no, .. }
            | Mark::OtherPayment { no: Some(no), .. }
            | Mark::OtherRefund { no, .. } => self.of_payments.entry(*no).or_default().push(index),
            Mark::Refund { no } => self.of_refunds.entry(*no).or_default().push(index),
            _ => {}
        }
        self.planted.push(Planted { plant: plant.clone(), day, mark });
    }

    pub(crate) fn close(&mut self, day: Day) {
        self.closed.insert(day);
    }

    pub(crate) fn is_closed(&self, day: Day) -> bool {
        self.closed.contains(&day)
    }

    pub(crate) fn all(&self) -> &[Planted] {
        &self.planted
    }

    pub(crate) fn at(&self, index: u32) -> Option<&Planted> {
        self.planted.get(index as usize)
    }

    pub(crate) fn of_payment(&self, no: u32) -> impl Iterator<Item = &Planted> {
        self.of_payments.get(&no).into_iter().flatten().filter_map(|index| self.at(*index))
    }

    pub(crate) fn of_refund(&self, no: u32) -> impl Iterator<Item = &Planted> {
        self.of_refunds.get(&no).into_iter().flatten().filter_map(|index| self.at(*index))
    }

    /// Those of whole files and rows of their own, with their index.
    pub(crate) fn of_day(&self, day: Day) -> impl Iterator<Item = (u32, &Planted)> {
        self.planted
            .iter()
            .enumerate()
            .map(|(nth, planted)| (nth as u32, planted))
            .filter(move |(_, p)| p.day == day)
    }

    /// The day of whose bills the shop is to learn of this refund.
    pub(crate) fn untold_until(&self, refund: u32) -> Option<Day> {
        self.of_refund(refund).find(|planted| planted.kind() == PlantKind::Status).map(|planted| planted.day)
    }

    /// The payment or refund that the shop knows nothing of, by WeChat's number or its own; not before the bills tell of
    /// it.
    pub(crate) fn other(&self, number: &str) -> Option<&Mark> {
        let told = self.planted.iter().filter(|planted| self.is_closed(planted.day));
        told.map(|planted| &planted.mark).find(|mark| match mark {
            Mark::OtherPayment { transaction_id, .. } => transaction_id == number,
            Mark::OtherRefund { out_refund_no, .. } => out_refund_no == number,
            _ => false,
        })
    }

    /// A payment under a number that the shop never made.
    pub(crate) fn other_payment(&self, out_trade_no: &str) -> Option<&Mark> {
        self.planted.iter().map(|planted| &planted.mark).find(
            |mark| matches!(mark, Mark::OtherPayment { out_trade_no: theirs, .. } if theirs == out_trade_no),
        )
    }
}
