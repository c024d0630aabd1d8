//! What must be known of an account at YLH.

use std::time::Duration;

use crate::outside::Secret;

use super::wire::Envelope;

/// The base paths: a service each (facts: ylh.md 1). Without a slash at the end.
#[derive(Clone, Debug)]
pub struct YlhPaths {
    pub auth: String,
    pub order: String,
    pub stock: String,
}

impl Default for YlhPaths {
    /// Production, by https.
    fn default() -> Self {
        let service = |name: &str| format!("https://www.yilihuo.com/{name}");
        Self {
            auth: service("ylh-cloud-mgt-auth"),
            order: service("ylh-cloud-service-jst-order"),
            stock: service("ylh-cloud-service-stock"),
        }
    }
}

impl YlhPaths {
    pub(super) fn url(&self, base: &str, path: &str) -> String {
        format!("{}{path}", base.trim_end_matches('/'))
    }
}

#[derive(Clone, Debug)]
pub struct YlhSettings {
    pub paths: YlhPaths,
    pub client_id: String,
    pub client_password: Secret,
    pub username: String,
    pub password: Secret,
    /// Order source, as agreed with YLH.
    pub source_system: String,
    pub shop_name: String,
    /// Customer code.
    pub seller_code: String,
    pub token_timeout: Duration,
    pub call_timeout: Duration,
    /// A refusal whose `errCode` or `errorMsg` holds one of these says that the `soId` is known.
    pub duplicate_texts: Vec<String>,
    /// A refusal of a cancel that holds one of these says that it was cancelled before.
    pub cancelled_texts: Vec<String>,
}

impl Default for YlhSettings {
    /// Production without credentials. The texts are not printed by YLH (facts: ylh.md 4, 5).
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            paths: YlhPaths::default(),
            client_id: String::new(),
            client_password: Secret::default(),
            username: String::new(),
            password: Secret::default(),
            source_system: String::new(),
            shop_name: String::new(),
            seller_code: String::new(),
            token_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            duplicate_texts: texts(&["重复", "DUPLICATE", "已存在"]),
            cancelled_texts: texts(&["已取消", "ALREADY_CANCELLED"]),
        }
    }
}

impl YlhSettings {
    pub(super) fn says_duplicate(&self, envelope: &Envelope) -> bool {
        self.duplicate_texts.iter().any(|text| envelope.holds(text))
    }

    pub(super) fn says_cancelled(&self, envelope: &Envelope) -> bool {
        self.cancelled_texts.iter().any(|text| envelope.holds(text))
    }
}
