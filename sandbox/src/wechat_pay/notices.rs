//! WeChat Pay's callbacks: sealed with the APIv3 key, signed by the platform (facts: wechat-pay.md 4).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::signing::Platform;
use super::{Keys, nonce, now_text, refunds, transactions};
use crate::credentials::credentials;
use crate::fault::Fault;
use crate::sealed::seal;
use crate::world::World;
use crate::world::event::RefundStatus;
use crate::world::money::{Payment, Refund};

/// 32 bytes, as every key of its kind.
const ANOTHERS_KEY: &str = "another-merchants-key-32-bytes!!";
const UNKNOWN_SERIAL: &str = "7777FFFF00000000000000000000000000007777";
/// Older than what any clock may be off by.
const STALE: Duration = Duration::from_secs(30 * 24 * 3_600);
static REPLAYS: AtomicU64 = AtomicU64::new(1);

/// A callback before it is sealed and signed.
pub(crate) struct PayNotice {
    id: String,
    event_type: &'static str,
    summary: &'static str,
    original_type: &'static str,
    content: Value,
}

/// A callback as it goes out.
pub(crate) struct Letter {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

pub(crate) fn of_payment(payment: &Payment) -> PayNotice {
    PayNotice {
        id: payment.notice_id(),
        event_type: "TRANSACTION.SUCCESS",
        summary: "支付成功",
        original_type: "transaction",
        // Told as it was when the customer paid.
        content: transactions::transaction(&Payment { refunds: 0, ..payment.clone() }),
    }
}

pub(crate) fn of_refund(refund: &Refund, payment: &Payment) -> PayNotice {
    let (event_type, summary) = match refund.status {
        RefundStatus::Success | RefundStatus::Processing => ("REFUND.SUCCESS", "退款成功"),
        RefundStatus::Closed => ("REFUND.CLOSED", "退款关闭"),
        RefundStatus::Abnormal => ("REFUND.ABNORMAL", "退款异常"),
    };
    PayNotice {
        id: refund.notice_id(),
        event_type,
        summary,
        original_type: "refund",
        content: refunds::notice(refund, payment),
    }
}

impl PayNotice {
    /// Seals and signs it, as of now. Both of the platform's keys are in use at the same time; which one signs is left
    /// to chance.
    pub(crate) fn letter(&self, world: &World, keys: &Keys, fault: Option<Fault>) -> Letter {
        // A replay has an id of its own for each time.
        let id = match fault {
            Some(Fault::Replay) => format!("{}-{}", self.id, REPLAYS.fetch_add(1, Ordering::Relaxed)),
            _ => self.id.clone(),
        };
        let nonce = nonce(world, &["notice", &id]);
        let ours = credentials().wechat_pay.api_v3_key;
        let sealed = seal(
            if fault == Some(Fault::WrongSecret) { ANOTHERS_KEY } else { ours }.as_bytes(),
            &nonce,
            self.original_type,
            self.content.to_string().as_bytes(),
        )
        .expect("a 32 byte key and a 12 byte nonce seal");
        let body = json!({
            "id": id,
            "create_time": now_text(world),
            "resource_type": "encrypt-resource",
            "event_type": self.event_type,
            "summary": self.summary,
            "resource": {"original_type": self.original_type, "algorithm": "AEAD_AES_256_GCM", "ciphertext": sealed,
                "associated_data": self.original_type, "nonce": nonce},
        })
        .to_string();
        let with = match world.draw(&["platform key", &self.id], 0).is_multiple_of(2) {
            true => Platform::Certificate,
            false => Platform::PublicKey,
        };
        let now = world.clock.now();
        let at = if fault == Some(Fault::StaleStamp) { now - STALE } else { now };
        let mut headers = keys.headers(with, at, &body, fault);
        if fault == Some(Fault::UnknownSerial) {
            headers.iter_mut().filter(|(name, _)| *name == "wechatpay-serial").for_each(|(_, serial)| {
                UNKNOWN_SERIAL.clone_into(serial);
            });
        }
        let body = match fault {
            Some(Fault::ChangedBody) => body.replacen("encrypt-resource", "encrypt-Resource", 1),
            _ => body,
        };
        Letter { headers, body }
    }
}

/// Whether the shop took the callback: HTTP 200 or 204.
pub(crate) fn is_taken(status: u16) -> bool {
    matches!(status, 200 | 204)
}
