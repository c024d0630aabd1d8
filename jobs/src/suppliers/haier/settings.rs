//! What must be known of an account at Haier.

use std::time::Duration;

use crate::outside::Secret;

/// Full URLs that stand in place of base URL and path, call by call (facts: haier.md 1).
#[derive(Clone, Debug, Default)]
pub struct HaierCalls {
    pub products: Option<String>,
    pub prices: Option<String>,
    pub stock: Option<String>,
    pub logistics: Option<String>,
    pub balance: Option<String>,
}

#[derive(Clone, Debug)]
pub struct HaierSettings {
    /// Without a slash at the end.
    pub base_url: String,
    pub overrides: HaierCalls,
    pub client_id: String,
    pub client_secret: Secret,
    /// Sold-to code (售达方编码).
    pub customer_code: String,
    /// Ship-to code.
    pub send_to_code: String,
    /// `1001` is Haier Smart Home.
    pub supplier_code: String,
    /// Password of products and price (`passWord`).
    pub password: Secret,
    /// Password of stock and logistics.
    pub seller_password: Secret,
    /// Password of the balance.
    pub customer_password: Secret,
    pub token_timeout: Duration,
    pub call_timeout: Duration,
    /// An `errorMsg` that holds one of these is taken for passing (facts: haier.md 3 prints no list).
    pub passing_texts: Vec<String>,
    /// An `errorMsg` that holds one of these says that our credentials are wrong.
    pub credential_texts: Vec<String>,
}

impl Default for HaierSettings {
    /// Production, with the time-outs in use (facts: haier.md 1, 10.4) and no credentials.
    fn default() -> Self {
        Self {
            base_url: "https://openplat-bj-aliyun.haier.net".to_owned(),
            overrides: HaierCalls::default(),
            client_id: String::new(),
            client_secret: Secret::default(),
            customer_code: String::new(),
            send_to_code: String::new(),
            supplier_code: "1001".to_owned(),
            password: Secret::default(),
            seller_password: Secret::default(),
            customer_password: Secret::default(),
            token_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            passing_texts: ["系统繁忙", "稍后", "超时"].map(str::to_owned).to_vec(),
            credential_texts: ["密码错误", "密码不正确"].map(str::to_owned).to_vec(),
        }
    }
}

impl HaierSettings {
    pub(super) fn url(&self, replacement: Option<&String>, path: &str) -> String {
        replacement.cloned().unwrap_or_else(|| format!("{}{path}", self.base_url.trim_end_matches('/')))
    }
}
