//! Counts the truth together from the state.

use super::{
    CallbackTotals, EffectTruth, LineTruth, OrderTotals, OrderTruth, PaymentTotals, PaymentTruth, PlantTruth,
    RefundTotals, RefundTruth, Truth, TruthKeys,
};
use crate::plants::{Mark, Planted};
use crate::world::event::RefundStatus;
use crate::world::order::{Stage, SupplierOrder};
use crate::world::state::State;

/// One effect on one key: how often it was had, and whether that was once too often.
struct Had<'a> {
    key: &'a str,
    times: u64,
    doubled: bool,
}

fn had(key: &str, times: u64, doubled: bool) -> Had<'_> {
    Had { key, times, doubled }
}

pub(crate) fn totals(state: &State) -> Truth {
    Truth {
        effects: effects(state)
            .into_iter()
            .map(|(effect, had)| EffectTruth {
                effect: effect.to_owned(),
                keys: had.len() as u64,
                doubled: had.iter().filter(|had| had.doubled).count() as u64,
            })
            .collect(),
        orders: orders(state),
        payments: payments(state),
        refunds: refunds(state),
        callbacks: callbacks(state),
        plants: state.plants.all().iter().map(|planted| plant_truth(state, planted)).collect(),
        keys: None,
    }
}

pub(crate) fn with_keys(state: &State) -> Truth {
    Truth { keys: Some(keys(state)), ..totals(state) }
}

fn effects(state: &State) -> Vec<(&'static str, Vec<Had<'_>>)> {
    let orders = state.orders.rows().iter();
    let payments = state.payments.rows().iter();
    vec![
        ("ylh.create", orders.clone().map(|order| had(&order.so_id, 1, order.doubled)).collect()),
        (
            "ylh.cancel",
            orders.filter(|order| order.cancels_asked > 0).map(|order| had(&order.so_id, 1, false)).collect(),
        ),
        (
            "wechat.close",
            payments
                .clone()
                .filter(|p| p.closed_at.is_some())
                .map(|p| had(&p.out_trade_no, 1, false))
                .collect(),
        ),
        (
            "wechat.refund",
            state
                .refunds
                .rows()
                .iter()
                .map(|refund| had(&refund.out_refund_no, 1, is_too_much(state, &refund.out_trade_no)))
                .collect(),
        ),
        (
            "mini.confirm_receive",
            payments
                .clone()
                .filter(|p| p.receipts_asked > 0)
                .map(|p| had(&p.out_trade_no, u64::from(p.receipts_asked), p.receipts_asked > 1))
                .collect(),
        ),
        (
            "mini.upload_shipping",
            payments
                .filter_map(|p| Some((p, p.shipping.as_ref()?.finished_count)))
                .map(|(p, times)| had(&p.out_trade_no, u64::from(times.max(1)), times > 1))
                .collect(),
        ),
        (
            "mini.subscribe_send",
            state.messages.iter().map(|(key, told)| had(key, u64::from(told.times), told.doubled)).collect(),
        ),
        (
            "mail.send",
            state.mail_ids.iter().map(|(key, told)| had(key, u64::from(told.times), told.doubled)).collect(),
        ),
        (
            "webhook.post",
            state.webhooks.iter().map(|(key, told)| had(key, u64::from(told.times), told.doubled)).collect(),
        ),
    ]
}

fn is_too_much(state: &State, out_trade_no: &str) -> bool {
    state.payments.get(out_trade_no).is_some_and(|payment| payment.refunded_fen > payment.total_fen)
}

fn orders(state: &State) -> OrderTotals {
    let count =
        |is: fn(&SupplierOrder) -> bool| state.orders.rows().iter().filter(|order| is(order)).count() as u64;
    OrderTotals {
        accepted: state.orders.len(),
        confirmed: count(|order| order.confirmed_at.is_some()),
        refused: count(SupplierOrder::was_refused),
        shipped: count(|order| order.shipped_at.is_some()),
        delivered: count(|order| order.delivered_at.is_some()),
        cancelled: count(|order| order.stage == Stage::Cancelled),
    }
}

fn payments(state: &State) -> PaymentTotals {
    let mut totals = PaymentTotals { offered: state.payments.len(), ..PaymentTotals::default() };
    for payment in state.payments.rows() {
        totals.closed += u64::from(payment.closed_at.is_some());
        totals.refunded_fen += payment.refunded_fen;
        if payment.late {
            totals.late_fen += payment.total_fen;
        } else if payment.paid_at.is_some() {
            totals.paid += 1;
            totals.paid_fen += payment.total_fen;
        }
    }
    totals
}

fn refunds(state: &State) -> RefundTotals {
    let rows = state.refunds.rows();
    let count = |status| rows.iter().filter(|refund| refund.status == status).count() as u64;
    RefundTotals {
        accepted: state.refunds.len(),
        succeeded: count(RefundStatus::Success),
        closed: count(RefundStatus::Closed),
        abnormal: count(RefundStatus::Abnormal),
        alike: rows.iter().filter(|refund| refund.alike).count() as u64,
        refused_over: state.refunds_refused_over.len() as u64,
    }
}

fn callbacks(state: &State) -> CallbackTotals {
    let of_orders = state.orders.rows().iter().flat_map(|order| &order.notices).map(|owed| &owed.notice);
    let of_payments = state.payments.rows().iter().filter_map(|payment| payment.notice.as_ref());
    let of_refunds = state.refunds.rows().iter().filter_map(|refund| refund.notice.as_ref());
    let mut totals = CallbackTotals::default();
    for notice in of_orders.chain(of_payments).chain(of_refunds) {
        totals.owed += 1;
        totals.taken += u64::from(notice.taken);
        totals.tries += u64::from(notice.tries);
        totals.given_up += u64::from(!notice.taken && notice.due.is_none());
    }
    totals
}

fn keys(state: &State) -> TruthKeys {
    let effects = effects(state)
        .into_iter()
        .map(|(effect, had)| {
            (effect.to_owned(), had.into_iter().map(|had| (had.key.to_owned(), had.times)).collect())
        })
        .collect();
    let orders =
        state.orders.rows().iter().map(|order| (order.so_id.to_string(), order_truth(order))).collect();
    let payments = state.payments.rows().iter().map(|payment| {
        let truth = PaymentTruth {
            total_fen: payment.total_fen,
            refunded_fen: payment.refunded_fen,
            offered_at: payment.offered_at,
            paid_at: payment.paid_at,
            closed_at: payment.closed_at,
            transaction_id: payment.transaction_id(),
            shipped_times: payment.shipping.as_ref().map_or(0, |shipping| shipping.finished_count),
        };
        (payment.out_trade_no.to_string(), truth)
    });
    let refunds = state.refunds.rows().iter().map(|refund| {
        let truth = RefundTruth {
            out_trade_no: refund.out_trade_no.to_string(),
            refund_fen: refund.refund_fen,
            reason: refund.reason.to_string(),
            status: refund.status.name().to_owned(),
            accepted_at: refund.accepted_at,
            settled_at: refund.settled_at,
        };
        (refund.out_refund_no.to_string(), truth)
    });
    TruthKeys { effects, orders, payments: payments.collect(), refunds: refunds.collect() }
}

fn order_truth(order: &SupplierOrder) -> OrderTruth {
    OrderTruth {
        online_no: order.online_no.to_string(),
        ext_order_no: order.ext_order_no(),
        stage: format!("{:?}", order.stage).to_lowercase(),
        amount_fen: order.amount_fen,
        cancel_pending: order.cancel_asked_at.is_some(),
        accepted_at: order.accepted_at,
        confirmed_at: order.confirmed_at,
        shipped_at: order.shipped_at,
        delivered_at: order.delivered_at,
        lines: order
            .lines
            .iter()
            .map(|line| LineTruth {
                product_code: line.code.to_string(),
                qty: line.qty,
                received: line.received,
                returned: line.returned,
                rejected: line.rejected,
            })
            .collect(),
    }
}

fn plant_truth(state: &State, planted: &Planted) -> PlantTruth {
    let of_payment = |no: u32| {
        let payment = state.payments.at(no)?;
        Some(([Some(payment.out_trade_no.to_string()), payment.transaction_id()], payment.total_fen))
    };
    let found: Option<([Option<String>; 2], i64)> = match &planted.mark {
        Mark::Payment { no } | Mark::Late { no, .. } => of_payment(*no),
        Mark::Refund { no } => state.refunds.at(*no).map(|refund| {
            ([Some(refund.out_refund_no.to_string()), Some(refund.refund_id())], refund.refund_fen)
        }),
        Mark::OtherPayment { out_trade_no, transaction_id, fen, .. } => {
            Some(([Some(out_trade_no.clone()), Some(transaction_id.clone())], *fen))
        }
        Mark::OtherRefund { out_refund_no, refund_id, fen, .. } => {
            Some(([Some(out_refund_no.clone()), Some(refund_id.clone())], *fen))
        }
        Mark::Row { number } => Some(([Some(number.clone()), None], 0)),
        Mark::File => None,
    };
    PlantTruth {
        kind: planted.kind(),
        finding: planted.kind().finding().map(str::to_owned),
        day: planted.day.to_string(),
        amount_fen: found.as_ref().map(|(_, fen)| *fen).filter(|fen| *fen > 0),
        keys: found.map(|(keys, _)| keys.into_iter().flatten().collect()).unwrap_or_default(),
    }
}
