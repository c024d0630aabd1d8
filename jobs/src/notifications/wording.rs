//! What a message says: from the order as the ledger has it now, in the customer's language.

use std::collections::BTreeMap;

use sqlx::AnyConnection;

use super::template::{Part, SubscribeTemplate, Template};
use crate::mini_program::{FieldKind, fit};
use crate::money::Fen;
use crate::orders::{LineRow, ParcelRow, Standing, standing};
use crate::shop_time::in_beijing;
use windlass_engine::Timestamp;

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
        let refund = self.standing.refunds.iter().find(|refund| refund.refund_no == self.event);
        let parcel = self.parcels.first();
        match part {
            Part::OrderNo => self.standing.order.order_no.clone(),
            Part::RefundNo => self.event.clone(),
            Part::Products => self.products(),
            Part::Amount => {
                let fen = refund.map_or(self.standing.order.total_fen, |refund| refund.amount_fen);
                format!("¥{}", Fen(fen))
            }
            Part::Reason => {
                let reason = refund.map_or(self.standing.order.reason.as_str(), |refund| &refund.reason);
                if reason.is_empty() { "订单变更".to_owned() } else { reason.to_owned() }
            }
            Part::Carrier => {
                let name = parcel.map(|parcel| &parcel.carrier_name).filter(|name| !name.is_empty());
                name.map_or_else(|| "快递".to_owned(), Clone::clone)
            }
            Part::TrackingNo => parcel.map_or_else(|| "-".to_owned(), |parcel| parcel.tracking_no.clone()),
            Part::Time => in_beijing(self.at).format("%Y年%-m月%-d日 %H:%M").to_string(),
        }
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

    /// Subject and text of an e-mail.
    pub fn mail(&self, template: Template) -> (String, String) {
        let order_no = &self.standing.order.order_no;
        let (subject, body) = match template {
            Template::OrderPaid => {
                ("订单支付成功", format!("我们已收到您的付款 {}。", self.part(Part::Amount)))
            }
            Template::OrderShipped => (
                "订单已发货",
                format!("{} 已发货，单号 {}。", self.part(Part::Carrier), self.part(Part::TrackingNo)),
            ),
            Template::ReceiptReminder => ("请确认收货", "商品已送达，请您确认收货。".to_owned()),
            Template::OrderCompleted => ("订单已完成", "感谢您的购买。".to_owned()),
            Template::OrderCancelled => ("订单已取消", format!("原因：{}", self.part(Part::Reason))),
            Template::OrderRefused => {
                ("订单无法履行", format!("很抱歉，您的订单无法履行。原因：{}", self.part(Part::Reason)))
            }
            Template::RefundMade => ("退款成功", format!("已退款 {}。", self.part(Part::Amount))),
        };
        let text = format!(
            "{} 您好，\n\n订单 {order_no}（{}）\n{body}\n\n{}\n",
            self.standing.order.customer_name,
            self.products(),
            self.part(Part::Time)
        );
        (format!("{subject} {order_no}"), text)
    }
}
