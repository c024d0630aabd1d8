//! What is told of a shipment, and what WeChat would not take of it.

use serde_json::{Value, json};
use windlass_engine::Timestamp;

use super::PaidOrder;
use crate::shop_time::rfc3339_beijing;

/// Most parcels in one upload (facts: wechat-mini-program.md 3).
pub const SHIPPING_LIST_MAX: usize = 15;
const ITEM_DESC_CHARS_MAX: usize = 120;
const TRACKING_NO_CHARS_MAX: usize = 128;
const EXPRESS_COMPANY_CHARS_MAX: usize = 128;
/// The carrier that wants a contact.
const NEEDS_CONTACT: &str = "SF";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogisticsType {
    Express,
    LocalDelivery,
    Virtual,
    PickUp,
}

/// One of several uploads for a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// This is the last parcel: only then the customer is told.
    pub is_all_delivered: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub struct ShippingUpload {
    pub order: PaidOrder,
    pub logistics_type: LogisticsType,
    /// None for one parcel that holds everything.
    pub split: Option<Split>,
    pub parcels: Vec<ShippedParcel>,
    /// Later than that of any upload before.
    pub uploaded_at: Timestamp,
    pub payer_openid: String,
    /// When it was paid: "payment not found" is passing for some minutes after.
    pub paid_at: Timestamp,
}

/// Shows what is shipped and not to whom.
impl std::fmt::Debug for ShippingUpload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShippingUpload")
            .field("order", &self.order)
            .field("parcels", &self.parcels)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippedParcel {
    pub tracking_no: String,
    /// WeChat's id of the carrier, such as `SF`.
    pub express_company: String,
    /// Cut to 120 characters.
    pub item_desc: String,
    pub contact: Option<Contact>,
}

/// A phone, masked before it is sent or shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Contact {
    Consignor(String),
    Receiver(String),
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Contact::Consignor(phone) => f.debug_tuple("Consignor").field(&mask_phone(phone)).finish(),
            Contact::Receiver(phone) => f.debug_tuple("Receiver").field(&mask_phone(phone)).finish(),
        }
    }
}

/// What WeChat said to an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadAnswer {
    Done,
    /// It had this already.
    Unchanged,
    /// It was shipped before, by us or not: `get_order` tells.
    AskOrder {
        code: String,
    },
}

impl ShippingUpload {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let is_express = self.logistics_type == LogisticsType::Express;
        if self.parcels.is_empty() || self.parcels.len() > SHIPPING_LIST_MAX {
            return Err("one to fifteen parcels in an upload");
        }
        if self.split.is_none() && self.parcels.len() != 1 {
            return Err("exactly one parcel unless split");
        }
        if self.split.is_some() && !is_express {
            return Err("only express can be split");
        }
        self.parcels.iter().try_for_each(|parcel| parcel.check(is_express))
    }

    pub(super) fn to_json(&self) -> Value {
        let order_key = match &self.order {
            PaidOrder::TransactionId(id) => json!({ "order_number_type": 2, "transaction_id": id }),
            PaidOrder::OutTradeNo { mchid, out_trade_no } => {
                json!({ "order_number_type": 1, "mchid": mchid, "out_trade_no": out_trade_no })
            }
        };
        let logistics_type = match self.logistics_type {
            LogisticsType::Express => 1,
            LogisticsType::LocalDelivery => 2,
            LogisticsType::Virtual => 3,
            LogisticsType::PickUp => 4,
        };
        let is_express = self.logistics_type == LogisticsType::Express;
        let mut body = json!({
            "order_key": order_key,
            "logistics_type": logistics_type,
            "delivery_mode": if self.split.is_some() { 2 } else { 1 },
            "shipping_list": self.parcels.iter().map(|parcel| parcel.to_json(is_express)).collect::<Vec<_>>(),
            "upload_time": rfc3339_beijing(self.uploaded_at),
            "payer": { "openid": self.payer_openid },
        });
        if let Some(split) = self.split {
            body["is_all_delivered"] = json!(split.is_all_delivered);
        }
        body
    }
}

impl ShippedParcel {
    fn check(&self, is_express: bool) -> Result<(), &'static str> {
        if self.item_desc.trim().is_empty() {
            return Err("item_desc is empty");
        }
        if !is_express {
            return Ok(());
        }
        if self.tracking_no.trim().is_empty() || self.tracking_no.chars().count() > TRACKING_NO_CHARS_MAX {
            return Err("tracking_no is empty or too long");
        }
        let company = self.express_company.trim();
        if company.is_empty() || company.chars().count() > EXPRESS_COMPANY_CHARS_MAX {
            return Err("express_company is empty or too long");
        }
        if company == NEEDS_CONTACT && self.contact.is_none() {
            return Err("SF wants a contact");
        }
        Ok(())
    }

    fn to_json(&self, is_express: bool) -> Value {
        let item_desc: String = self.item_desc.chars().take(ITEM_DESC_CHARS_MAX).collect();
        let mut body = json!({ "item_desc": item_desc });
        if is_express {
            body["tracking_no"] = json!(self.tracking_no);
            body["express_company"] = json!(self.express_company);
        }
        match &self.contact {
            Some(Contact::Consignor(phone)) => {
                body["contact"] = json!({ "consignor_contact": mask_phone(phone) })
            }
            Some(Contact::Receiver(phone)) => {
                body["contact"] = json!({ "receiver_contact": mask_phone(phone) })
            }
            None => {}
        }
        body
    }
}

/// A phone with its last four digits open: `130****0001`. One that is masked already stays as it is.
pub fn mask_phone(phone: &str) -> String {
    let chars: Vec<char> = phone.trim().chars().collect();
    if chars.contains(&'*') {
        return chars.into_iter().collect();
    }
    let (hidden, open) = chars.split_at(chars.len().saturating_sub(4));
    let head = &hidden[..hidden.len().min(3)];
    head.iter().chain(&['*'; 4]).chain(open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload() -> ShippingUpload {
        let parcel = ShippedParcel {
            tracking_no: "SF0000000001".into(),
            express_company: "SF".into(),
            item_desc: "测试冰箱*1".into(),
            contact: Some(Contact::Receiver("13000000001".into())),
        };
        ShippingUpload {
            order: PaidOrder::OutTradeNo {
                mchid: "1900000001".into(),
                out_trade_no: "T20260105000001".into(),
            },
            logistics_type: LogisticsType::Express,
            split: None,
            parcels: vec![parcel],
            uploaded_at: Timestamp::parse_rfc3339("2026-01-06T09:00:00.120+08:00").unwrap(),
            payer_openid: "oFAKE0000000000000000000001".into(),
            paid_at: Timestamp::default(),
        }
    }

    #[test]
    fn the_sheets_example_is_what_is_sent() {
        let expected = serde_json::json!({"order_key":{"order_number_type":1,"mchid":"1900000001",
            "out_trade_no":"T20260105000001"},"logistics_type":1,"delivery_mode":1,
            "shipping_list":[{"tracking_no":"SF0000000001","express_company":"SF","item_desc":"测试冰箱*1",
            "contact":{"receiver_contact":"130****0001"}}],
            "upload_time":"2026-01-06T09:00:00.120+08:00","payer":{"openid":"oFAKE0000000000000000000001"}});
        assert_eq!(upload().to_json(), expected);
        assert!(upload().to_json().to_string().contains("测试冰箱"), "raw UTF-8, no escapes");
    }

    #[test]
    fn what_wechat_would_not_take_is_not_sent() {
        assert_eq!(upload().check(), Ok(()));
        let mut two = upload();
        two.parcels.push(two.parcels[0].clone());
        assert!(two.check().is_err());
        two.split = Some(Split { is_all_delivered: true });
        assert_eq!(two.check(), Ok(()));
        let mut no_contact = upload();
        no_contact.parcels[0].contact = None;
        assert!(no_contact.check().is_err());
    }

    #[test]
    fn a_masked_phone_shows_its_last_four_digits() {
        assert_eq!(mask_phone("13000000001"), "130****0001");
        assert_eq!(mask_phone("130****0001"), "130****0001");
        assert_eq!(mask_phone("0001"), "****0001");
        assert!(!format!("{:?}", upload()).contains("13000000001"));
    }
}
