//! The parcels that a shipped order travels in. Nothing of them is stored: they follow from the order and the seed.

use super::order::SupplierOrder;
use crate::draw::draw;
use crate::times::mark;

/// Serial numbers listed for one parcel; an order of thousands of pieces lists its first ones only.
const BAR_CODES_MAX: u32 = 20;
/// One order in so many travels in two parcels, when it has at least two pieces.
const SPLIT_ONE_IN: u64 = 5;

/// Carrier codes as the mini-program knows them (facts: wechat-mini-program.md 3).
const CARRIERS: [(&str, &str); 4] =
    [("SF", "顺丰"), ("ZTO", "中通快递"), ("YTO", "圆通速递"), ("JD", "京东快递")];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    /// `SO.20260105.000000000001.F1`
    pub(crate) delivery_record_code: String,
    pub(crate) carrier_code: &'static str,
    pub(crate) carrier_name: &'static str,
    pub(crate) tracking_no: String,
    /// Product code and pieces.
    pub(crate) contents: Vec<(Box<str>, u32)>,
    pub(crate) bar_codes: Vec<String>,
}

/// Empty until the order was shipped.
pub(crate) fn parcels(order: &SupplierOrder, seed: u64) -> Vec<Parcel> {
    if order.shipped_at.is_none() {
        return Vec::new();
    }
    let drawn = draw(seed, &["parcels", &order.so_id], 0);
    let pieces: u32 = order.lines.iter().map(|line| line.qty).sum();
    let (carrier_code, carrier_name) = CARRIERS[(drawn >> 32) as usize % CARRIERS.len()];
    let is_split = pieces >= 2 && drawn.is_multiple_of(SPLIT_ONE_IN);
    let shares = if is_split { split(order) } else { vec![whole(order)] };
    (1u32..)
        .zip(shares)
        .map(|(nth, contents)| {
            let serial =
                format!("{}{:07}", mark(order.accepted_at), u64::from(order.no + 1) * 10 + u64::from(nth));
            let pieces: u32 = contents.iter().map(|(_, pieces)| pieces).sum();
            Parcel {
                delivery_record_code: format!("{}.F{nth}", order.ext_order_no()),
                carrier_code,
                carrier_name,
                tracking_no: format!("{carrier_code}{serial}"),
                contents,
                bar_codes: (1..=pieces.min(BAR_CODES_MAX)).map(|n| format!("SN{serial}{n:03}")).collect(),
            }
        })
        .collect()
}

fn whole(order: &SupplierOrder) -> Vec<(Box<str>, u32)> {
    order.lines.iter().map(|line| (line.code.clone(), line.qty)).collect()
}

/// Half of the pieces, counted over all lines, and the rest.
fn split(order: &SupplierOrder) -> Vec<Vec<(Box<str>, u32)>> {
    let mut left: u32 = order.lines.iter().map(|line| line.qty).sum::<u32>() / 2;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for line in &order.lines {
        let here = line.qty.min(left);
        left -= here;
        if here > 0 {
            first.push((line.code.clone(), here));
        }
        if line.qty > here {
            second.push((line.code.clone(), line.qty - here));
        }
    }
    vec![first, second]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use windlass_engine::Timestamp;

    use super::*;
    use crate::config::Pace;
    use crate::world::event::{Event, Fact, Line};
    use crate::world::state::State;

    fn order(so_id: &str, pieces: &[u32]) -> SupplierOrder {
        let line = |(nth, qty): (usize, &u32)| Line {
            code: format!("FAKE{nth}").into(),
            qty: *qty,
            received: 0,
            returned: 0,
            rejected: 0,
        };
        let lines = pieces.iter().enumerate().map(line).collect();
        let mut state = State::default();
        for fact in [
            Fact::OrderAccepted { so_id: so_id.into(), online_no: so_id.into(), lines, amount_fen: 1 },
            Fact::OrderShipped { so_id: so_id.into() },
        ] {
            state.apply(&Event { at: Timestamp::default(), fact }, 7, &Pace::default(), |_, _| {});
        }
        state.orders.get(so_id).unwrap().clone()
    }

    #[test]
    fn the_parcels_hold_what_was_ordered_however_it_is_split() {
        let mut counts = BTreeMap::new();
        for nth in 0..100 {
            let order = order(&format!("S{nth}"), &[3, 1, 80_995]);
            let parcels = parcels(&order, 7);
            *counts.entry(parcels.len()).or_insert(0) += 1;
            let mut held: BTreeMap<&str, u32> = BTreeMap::new();
            for (code, pieces) in parcels.iter().flat_map(|parcel| &parcel.contents) {
                *held.entry(code).or_default() += pieces;
            }
            assert!(order.lines.iter().all(|line| held[line.code.as_ref()] == line.qty), "{parcels:?}");
            assert!(parcels.iter().all(|parcel| parcel.bar_codes.len() <= BAR_CODES_MAX as usize));
        }
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_single_piece_is_not_split() {
        assert!((0..100).all(|nth| parcels(&order(&format!("S{nth}"), &[1]), 7).len() == 1));
    }
}
