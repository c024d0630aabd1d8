//! A demo of whole days: orders come in over the day, bills are made at night, and what is planted in them has to be
//! found.

use std::time::Duration;

use windlass_engine::{Clock, Timestamp};
use windlass_sandbox::{Day, Plant};

/// A day passes in 24 seconds at the most.
const SPEED_MAX: f64 = 3_600.0;
/// Orders that are to come in a second of the wall's time: well below what a small machine takes.
const ORDERS_PER_S: f64 = 8.0;
const DAY_S: f64 = 24.0 * 3_600.0;
/// Days after those that were asked for, in which what is missing from a bill may still turn up, have so many orders
/// each: a shop does not stop selling.
const ORDERS_OF_A_LATE_DAY: usize = 3;
/// The first order comes so long after midnight, and the last so long before the next.
const QUIET: Duration = Duration::from_secs(30 * 60);
/// On the morning after the last day, so long after midnight its bills have been read: given out at ten, looked for at
/// five past and, where they were not right, half an hour later.
const BILLS_READ: Duration = Duration::from_secs(11 * 3_600);
/// The same evening nobody looks for bills any more.
const EVENING: Duration = Duration::from_secs(19 * 3_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    first: Day,
    /// That were asked for.
    wanted: u32,
    /// With those until it is certain what is missing.
    all: u32,
}

impl Days {
    pub fn new(first: Day, wanted: u32) -> Self {
        Self { first, wanted, all: wanted.max(Plant::PLAN_DAYS_MIN) }
    }

    /// The day after today: a demo of days begins with its midnight.
    pub fn tomorrow(clock: &Clock) -> Day {
        Day::of(clock.wall()).plus(1)
    }

    pub fn start(&self) -> Timestamp {
        self.first.start()
    }

    /// The bills of the last day were read.
    pub fn over_at(&self) -> Timestamp {
        self.first.plus(self.all).start() + BILLS_READ
    }

    /// What was not found by now is not found.
    pub fn given_up_at(&self) -> Timestamp {
        self.first.plus(self.all).start() + EVENING
    }

    /// So fast that a day is over soon, and so slow that the orders of a day can be worked off in it: what the shop
    /// learns hours late would not be in its books when the bill is read.
    pub fn speed(&self, orders: usize) -> f64 {
        let orders_a_day = orders as f64 / f64::from(self.wanted);
        (DAY_S * ORDERS_PER_S / orders_a_day.max(1.0)).clamp(1.0, SPEED_MAX)
    }

    /// When the orders come in, in that order.
    pub fn times(&self, orders: usize) -> Vec<Timestamp> {
        let late_days = (self.all - self.wanted) as usize;
        let late = (late_days * ORDERS_OF_A_LATE_DAY).min(orders / 2);
        let early = orders - late;
        let mut times = spread(self.first, self.wanted as usize, early);
        times.extend(spread(self.first.plus(self.wanted), late_days, late));
        times
    }

    /// The orders that come first on one of the days, and those that come first in its evening, by their places.
    pub fn firsts(&self, orders: usize) -> (Vec<usize>, Vec<usize>) {
        let times = self.times(orders);
        let firsts = |since: Duration| {
            let begins = |nth: usize| Day::of(times[nth]).start() + since;
            let is_first =
                |nth: &usize| times[*nth] >= begins(*nth) && (*nth == 0 || times[*nth - 1] < begins(*nth));
            (0..times.len()).filter(is_first).collect()
        };
        (firsts(Duration::ZERO), firsts(EVENING))
    }

    pub fn plan(&self) -> Vec<Plant> {
        Plant::plan(self.first, self.all)
    }
}

/// Evenly over the days, but not around midnight.
fn spread(first: Day, days: usize, orders: usize) -> Vec<Timestamp> {
    let open = Duration::from_secs(24 * 3_600) - 2 * QUIET;
    let of_day = |day: usize| orders * (day + 1) / days - orders * day / days;
    let times = (0..days).flat_map(|day| {
        let count = of_day(day);
        let opens = first.plus(day as u32).start() + QUIET;
        (0..count).map(move |nth| opens + open.mul_f64((nth as f64 + 0.5) / count as f64))
    });
    times.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn orders_come_on_every_day_until_what_is_missing_is_certain() {
        let days = Days::new(day("2026-01-05"), 3);
        let times = days.times(200);
        assert_eq!(times.len(), 200);
        assert!(times.is_sorted());
        let on = |text: &str| times.iter().filter(|at| Day::of(**at) == day(text)).count();
        assert_eq!([on("2026-01-05"), on("2026-01-06"), on("2026-01-07"), on("2026-01-08")], [65, 66, 66, 3]);
        let (firsts, evenings) = days.firsts(200);
        assert_eq!(firsts, [0, 65, 131, 197]);
        assert!(
            evenings.len() == 4
                && evenings.iter().all(|nth| Day::of(times[*nth] + QUIET * 11) > Day::of(times[*nth])),
            "{evenings:?}"
        );
        assert_eq!(Day::of(days.over_at()), day("2026-01-09"));
        assert_eq!(Days::new(day("2026-01-05"), 1).times(1).len(), 1);
    }

    #[test]
    fn many_orders_make_the_days_longer() {
        let days = Days::new(day("2026-01-05"), 3);
        assert!(days.speed(200) == SPEED_MAX && days.speed(30_000) < SPEED_MAX);
        let seconds_a_day = DAY_S / days.speed(30_000);
        assert!((10_000.0 / seconds_a_day - ORDERS_PER_S).abs() < 0.01);
    }
}
