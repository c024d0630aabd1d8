//! What a message to a customer says: from the order as the ledger has it now, in the customer's language.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::AnyConnection;
use windlass_engine::Timestamp;

use super::message::{
    AboutOrder, Line, Message, OrderCancelled, OrderCompleted, OrderPaid, OrderRefused, OrderShipped, Parcel,
    ReceiptReminder, RefundMade,
};
use super::template::{Part, SubscribeTemplate, Template};
use crate::mini_program::{FieldKind, fit};
use crate::money::Fen;
use crate::orders::{LineRow, ParcelRow, RefundRow, Standing, standing};
use crate::shop_time::in_beijing;

/// Stands where the supplier named no carrier.
const SOME_CARRIER: &str = "快递";
/// Stands where nobody gave a reason.
const SOME_REASON: &str = "订单变更";

/// What a template may speak of.
pub struct Facts {
    pub standing: Standing,
    lines: Vec<LineRow>,
    parcels: Vec<ParcelRow>,
    event: String,
    at: Timestamp,
}

impl Facts {
    /// None: no such order.
    pub async fn read(
        conn: &mut AnyConnection,
        order_no: &str,
        event: &str,
        queued_at: Timestamp,
    ) -> Result<Option<Self>, sqlx::Error> {
        let Some(standing) = Standing::read(conn, order_no).await? else { return Ok(None) };
        let lines = standing::lines(conn, order_no).await?;
        let parcels = standing::parcels(conn, order_no).await?;
        Ok(Some(Self { standing, lines, parcels, event: event.to_owned(), at: queued_at }))
    }

    fn part(&self, part: Part) -> String {
        match part {
            Part::OrderNo => self.standing.order.order_no.clone(),
            Part::RefundNo => self.event.clone(),
            Part::Products => self.products(),
            Part::Amount => {
                yuan(self.refund().map_or(self.standing.order.total_fen, |refund| refund.amount_fen))
            }
            Part::Reason => self.reason(),
            Part::Carrier => self.parcels.first().map_or_else(|| SOME_CARRIER.to_owned(), carrier),
            Part::TrackingNo => {
                self.parcels.first().map_or_else(|| "-".to_owned(), |parcel| parcel.tracking_no.clone())
            }
            Part::Time => at_beijing(self.at),
        }
    }

    fn refund(&self) -> Option<&RefundRow> {
        self.standing.refunds.iter().find(|refund| refund.refund_no == self.event)
    }

    fn reason(&self) -> String {
        let reason =
            self.refund().map_or(self.standing.order.reason.as_str(), |refund| refund.reason.as_str());
        if reason.is_empty() { SOME_REASON.to_owned() } else { reason.to_owned() }
    }

    fn products(&self) -> String {
        match self.lines.as_slice() {
            [] => "-".to_owned(),
            [only] => only.name.clone(),
            [first, rest @ ..] => format!("{} 等{}件", first.name, rest.len() + 1),
        }
    }

    /// The data of a subscribe message, each value cut to its field.
    pub fn data(&self, template: &SubscribeTemplate) -> BTreeMap<String, String> {
        let fields = template.fields.iter();
        fields
            .map(|(key, part)| {
                let text = self.part(*part);
                let fitted = FieldKind::of_key(key).map_or_else(|| text.clone(), |kind| fit(kind, &text));
                (key.clone(), if fitted.is_empty() { "-".to_owned() } else { fitted })
            })
            .collect()
    }

    pub fn page(&self, template: &SubscribeTemplate) -> Option<String> {
        template.page.as_ref().map(|page| page.replace("{order_no}", &self.standing.order.order_no))
    }

    /// What a mail of the template speaks of. None: the template is none of an order.
    pub fn message(&self, template: Template) -> Option<Value> {
        let order = self.about_order();
        Some(match template {
            Template::OrderPaid => json(&OrderPaid { order, amount: self.part(Part::Amount) }),
            Template::OrderShipped => json(&OrderShipped {
                order,
                carrier: self.part(Part::Carrier),
                tracking_no: self.part(Part::TrackingNo),
                parcels: self
                    .parcels
                    .iter()
                    .map(|parcel| Parcel {
                        carrier: carrier(parcel),
                        tracking_no: parcel.tracking_no.clone(),
                    })
                    .collect(),
            }),
            Template::ReceiptReminder => json(&ReceiptReminder { order }),
            Template::OrderCompleted => json(&OrderCompleted { order }),
            Template::OrderCancelled => json(&OrderCancelled { order, reason: self.reason() }),
            Template::OrderRefused => json(&OrderRefused { order, reason: self.reason() }),
            Template::RefundMade => json(&RefundMade {
                order,
                refund_no: self.event.clone(),
                amount: self.part(Part::Amount),
                reason: self.reason(),
            }),
            Template::DailySummary | Template::FindingsRaised => return None,
        })
    }

    fn about_order(&self) -> AboutOrder {
        let line = |line: &LineRow| Line {
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price: yuan(line.unit_price_fen),
        };
        AboutOrder {
            order_no: self.standing.order.order_no.clone(),
            customer_name: self.standing.order.customer_name.clone(),
            products: self.products(),
            lines: self.lines.iter().map(line).collect(),
            total: yuan(self.standing.order.total_fen),
            time: at_beijing(self.at),
        }
    }
}

fn carrier(parcel: &ParcelRow) -> String {
    if parcel.carrier_name.is_empty() { SOME_CARRIER.to_owned() } else { parcel.carrier_name.clone() }
}

fn json<M: Message>(message: &M) -> Value {
    // A struct of texts and numbers always is JSON.
    serde_json::to_value(message).unwrap_or_default()
}

/// An amount as people read it.
pub(super) fn yuan(fen: i64) -> String {
    if fen < 0 { format!("-¥{}", Fen(-fen)) } else { format!("¥{}", Fen(fen)) }
}

/// An instant as people read it.
pub(super) fn at_beijing(at: Timestamp) -> String {
    in_beijing(at).format("%Y年%-m月%-d日 %H:%M").to_string()
}
