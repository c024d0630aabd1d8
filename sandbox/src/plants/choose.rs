//! Gives the plants of a day their places, by the seed and never by the order of calls.

use std::time::Duration;

use windlass_engine::Timestamp;

use super::kind::Place;
use super::{Mark, Plant, PlantKind};
use crate::bills::Day;
use crate::draw::draw;
use crate::world::event::{Fact, RefundStatus};
use crate::world::money::{Payment, Refund};
use crate::world::state::State;
use crate::world::{Scene, Unrecorded};

/// Payments this near to a midnight are left alone: on which day the shop has them is nobody's mistake.
const NEAR_MIDNIGHT: Duration = Duration::from_secs(15 * 60);
/// A refund of which the shop is not told is asked for after six, so that who asks again every half hour need not ask
/// a hundred times before the bill is there.
const EVENING: Duration = Duration::from_secs(18 * 3_600);
/// How long after it was closed a late payment comes.
const LATE_BY: Duration = Duration::from_secs(7 * 60);
/// How long after the first a second payment comes.
const AGAIN_BY: Duration = Duration::from_secs(90);
/// What somebody gives back in the merchant platform.
const OTHER_REFUND_FEN: i64 = 100;
/// The running numbers of transactions that no register holds begin here.
const OTHERS_FROM: u64 = 9_000_000_000;

/// From now on the bills of `day` stay as they are: every plant that waits for it gets its place, or waits for another
/// day. Does nothing the second time.
pub(crate) fn settle(scene: &mut Scene<'_>, seed: u64, day: Day) -> Result<(), Unrecorded> {
    if scene.state().plants.is_closed(day) {
        return Ok(());
    }
    for (nth, plant) in scene.state().plants.waiting_for(day) {
        if let Some(mark) = (Choice { state: scene.state(), seed, day, nth }).mark(&plant) {
            scene.record(Fact::Planted { nth, day, mark })?;
        }
    }
    scene.record(Fact::DayClosed { day })
}

/// A refund was accepted: is it the first of the evening on the day of a plant that leaves the shop in the dark about one? Then it has
/// its place.
pub(crate) fn leave_in_the_dark(scene: &mut Scene<'_>, out_refund_no: &str) -> Result<bool, Unrecorded> {
    let (state, now) = (scene.state(), scene.now());
    let day = Day::of(now);
    let waiting = state.plants.waiting_for(day).into_iter().find(|(_, plant)| {
        plant.kind.place() == Place::Asking && plant.on.as_deref().is_none_or(|on| on == out_refund_no)
    });
    let is_evening = now >= day.start() + EVENING && now + NEAR_MIDNIGHT < day.end();
    let (Some((nth, _)), Some(no), true) = (waiting, state.refunds.no(out_refund_no), is_evening) else {
        return Ok(false);
    };
    scene.record(Fact::Planted { nth, day, mark: Mark::Refund { no } })?;
    Ok(true)
}

/// WeChat's number of a refund that no register holds.
fn refund_id(day: Day, nth: u32) -> String {
    format!("5030000000{}{:011}", day.digits(), OTHERS_FROM + u64::from(nth))
}

struct Choice<'a> {
    state: &'a State,
    seed: u64,
    day: Day,
    nth: u32,
}

impl Choice<'_> {
    fn mark(&self, plant: &Plant) -> Option<Mark> {
        match plant.kind.place() {
            // Of one file, and of no other day's.
            Place::File => (plant.day == self.day).then_some(Mark::File),
            _ if plant.only && plant.day != self.day => None,
            Place::Row => Some(self.row(plant.kind)),
            // Not when the bill is made, but when it is asked for.
            Place::Asking => None,
            Place::Refund => Some(Mark::Refund { no: self.refund(plant)?.no }),
            Place::Payment => self.of_payment(plant),
        }
    }

    fn row(&self, kind: PlantKind) -> Mark {
        let word = match kind {
            PlantKind::Long => "OTHER",
            PlantKind::ForeignMerchant => "FOREIGN",
            _ => "BADROW",
        };
        let number = format!("{word}-{}-{:03}", self.day.digits(), self.nth + 1);
        if kind == PlantKind::BadRow {
            return Mark::Row { number };
        }
        let drawn = draw(self.seed, &["plant", &number], 0);
        Mark::OtherPayment {
            no: None,
            transaction_id: self.transaction_id(),
            openid: "oSANDBOXOTHER".to_owned(),
            // Between ten and six o'clock.
            paid_at: self.day.start() + Duration::from_secs(10 * 3_600 + drawn % (8 * 3_600)),
            fen: 1_000 + (drawn >> 32) as i64 % 50_000,
            out_trade_no: number,
        }
    }

    fn of_payment(&self, plant: &Plant) -> Option<Mark> {
        let payment = self.payment(plant)?;
        let no = payment.no;
        Some(match plant.kind {
            PlantKind::LatePay => Mark::Late { no, paid_at: self.on_the_day(payment.closed_at? + LATE_BY) },
            PlantKind::DuplicatePay => Mark::OtherPayment {
                no: Some(no),
                out_trade_no: payment.out_trade_no.to_string(),
                transaction_id: self.transaction_id(),
                openid: payment.openid.to_string(),
                paid_at: self.on_the_day(payment.paid_at? + AGAIN_BY),
                fen: payment.total_fen,
            },
            PlantKind::ExtraRefund => Mark::OtherRefund {
                no,
                out_refund_no: format!("PLATFORM-{}-{:03}", self.day.digits(), self.nth + 1),
                refund_id: refund_id(self.day, self.nth),
                made_at: self.on_the_day(payment.paid_at? + Duration::from_secs(3_600)),
                fen: OTHER_REFUND_FEN.min(payment.total_fen),
            },
            _ => Mark::Payment { no },
        })
    }

    fn transaction_id(&self) -> String {
        format!("4200000000{}{:010}", self.day.digits(), OTHERS_FROM + u64::from(self.nth))
    }

    fn on_the_day(&self, at: Timestamp) -> Timestamp {
        at.min(self.day.end() - Duration::from_secs(1))
    }

    fn payment(&self, plant: &Plant) -> Option<&Payment> {
        let kind = plant.kind;
        let fits = |payment: &&Payment| match kind {
            PlantKind::LatePay => {
                payment.paid_at.is_none() && payment.closed_at.is_some_and(|at| self.day.has(at + LATE_BY))
            }
            _ => payment.paid_at.is_some_and(|at| self.day.has(at)),
        };
        let free = |payment: &&Payment| self.state.plants.of_payment(payment.no).next().is_none();
        let mut rows = self.state.payments.rows().iter().filter(fits).filter(free);
        if let Some(number) = &plant.on {
            return rows.find(|payment| *payment.out_trade_no == **number);
        }
        if kind == PlantKind::CrossMidnight {
            return rows.max_by_key(|payment| payment.paid_at);
        }
        // One that the shop was told of, that nothing else happened to and whose day nobody can be mistaken about.
        let plain = |payment: &&Payment| {
            kind == PlantKind::LatePay
                || (payment.refunds == 0
                    && payment.notice.as_ref().is_some_and(|notice| notice.taken)
                    && payment.paid_at.is_some_and(|at| self.is_inside(at)))
        };
        rows.filter(plain).min_by_key(|payment| self.lot(kind, &payment.out_trade_no))
    }

    fn refund(&self, plant: &Plant) -> Option<&Refund> {
        let mut rows = self.state.refunds.rows().iter().filter(|refund| {
            self.day.has(refund.accepted_at) && self.state.plants.of_refund(refund.no).next().is_none()
        });
        if let Some(number) = &plant.on {
            return rows.find(|refund| *refund.out_refund_no == **number);
        }
        rows.filter(|refund| refund.status == RefundStatus::Success && self.is_inside(refund.accepted_at))
            .min_by_key(|refund| self.lot(plant.kind, &refund.out_refund_no))
    }

    fn is_inside(&self, at: Timestamp) -> bool {
        at >= self.day.start() + NEAR_MIDNIGHT && at + NEAR_MIDNIGHT < self.day.end()
    }

    /// Of all that fit, the one with the lowest is taken.
    fn lot(&self, kind: PlantKind, number: &str) -> u64 {
        draw(self.seed, &["plant", &format!("{kind:?}"), number], u64::from(self.nth))
    }
}
