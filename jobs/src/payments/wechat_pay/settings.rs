//! What must be known of a merchant.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::outside::Secret;

#[derive(Clone, Debug)]
pub struct WechatPaySettings {
    /// Without a slash at the end.
    pub base_url: String,
    pub appid: String,
    pub mchid: String,
    /// Serial of the merchant's own certificate.
    pub merchant_serial_no: String,
    /// PKCS#8 or PKCS#1.
    pub merchant_key_pem: Secret,
    /// 32 bytes.
    pub api_v3_key: Secret,
    /// WeChat's keys: certificate serial or `PUB_KEY_ID_...` to the PEM of a certificate or public key. May be
    /// empty: then certificates are fetched when the first answer comes.
    pub platform_keys: BTreeMap<String, String>,
    /// The key that WeChat is asked to sign its answers with (`PUB_KEY_ID_...`).
    pub answer_with_key: Option<String>,
    pub call_timeout: Duration,
    /// For a whole bill file.
    pub bill_timeout: Duration,
}

impl Default for WechatPaySettings {
    /// Production without credentials.
    fn default() -> Self {
        Self {
            base_url: "https://api.mch.weixin.qq.com".to_owned(),
            appid: String::new(),
            mchid: String::new(),
            merchant_serial_no: String::new(),
            merchant_key_pem: Secret::default(),
            api_v3_key: Secret::default(),
            platform_keys: BTreeMap::new(),
            answer_with_key: None,
            call_timeout: Duration::from_secs(10),
            bill_timeout: Duration::from_secs(600),
        }
    }
}
