//! What a client needs to be let in. Everything here is invented and public: it protects nothing.

use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub struct Credentials {
    pub haier: HaierCredentials,
    pub ylh: YlhCredentials,
    pub wechat_pay: WechatPayCredentials,
    pub mini_program: MiniProgramCredentials,
    pub smtp: SmtpCredentials,
}

/// facts: haier.md 2, 4 to 9.
#[derive(Clone, Debug, Serialize)]
pub struct HaierCredentials {
    pub client_id: &'static str,
    pub client_secret: &'static str,
    pub customer_code: &'static str,
    pub send_to_code: &'static str,
    pub supplier_code: &'static str,
    pub county_code: &'static str,
    /// `passWord` of products and price.
    pub password: &'static str,
    /// `sellerPassword` of stock and logistics.
    pub seller_password: &'static str,
    /// `customerPassword` of the balance.
    pub customer_password: &'static str,
}

/// facts: ylh.md 2, 4, 9.
#[derive(Clone, Debug, Serialize)]
pub struct YlhCredentials {
    pub client_id: &'static str,
    pub client_password: &'static str,
    pub username: &'static str,
    pub password: &'static str,
    pub source_system: &'static str,
    pub shop_name: &'static str,
    pub seller_code: &'static str,
    pub callback_app_key: &'static str,
    pub callback_secret: &'static str,
}

/// facts: wechat-pay.md 2 to 4.
#[derive(Clone, Debug, Serialize)]
pub struct WechatPayCredentials {
    pub mchid: &'static str,
    pub appid: &'static str,
    pub merchant_serial: &'static str,
    pub merchant_private_key_pem: &'static str,
    pub merchant_certificate_pem: &'static str,
    /// Signs by default.
    pub platform_serial: &'static str,
    pub platform_certificate_pem: &'static str,
    /// Signs the answers to requests that carry this id in `Wechatpay-Serial`.
    pub platform_public_key_id: &'static str,
    pub platform_public_key_pem: &'static str,
    /// 32 bytes.
    pub api_v3_key: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct MiniProgramCredentials {
    pub appid: &'static str,
    pub secret: &'static str,
    pub templates: &'static [Template],
}

/// A subscribe-message template as registered with the mini-program.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Template {
    pub id: &'static str,
    /// What it is for, in a word to look it up by.
    pub purpose: &'static str,
    pub title: &'static str,
    pub fields: &'static [TemplateField],
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct TemplateField {
    /// Type and number, e.g. `thing2`; the limits are those of facts: wechat-mini-program.md 2.
    pub key: &'static str,
    pub meaning: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct SmtpCredentials {
    pub user: &'static str,
    pub password: &'static str,
}

const fn field(key: &'static str, meaning: &'static str) -> TemplateField {
    TemplateField { key, meaning }
}

const TEMPLATES: &[Template] = &[
    Template {
        id: "SANDBOX-TEMPLATE-ORDER-PAID-0000000000000001",
        purpose: "order_paid",
        title: "订单支付成功通知",
        fields: &[
            field("character_string1", "订单号"),
            field("thing2", "商品名称"),
            field("amount3", "支付金额"),
            field("time4", "支付时间"),
        ],
    },
    Template {
        id: "SANDBOX-TEMPLATE-ORDER-SHIPPED-00000000000002",
        purpose: "order_shipped",
        title: "订单发货通知",
        fields: &[
            field("character_string1", "订单号"),
            field("thing2", "商品名称"),
            field("thing3", "快递公司"),
            field("character_string4", "快递单号"),
            field("time5", "发货时间"),
        ],
    },
    Template {
        id: "SANDBOX-TEMPLATE-ORDER-COMPLETED-000000000003",
        purpose: "order_completed",
        title: "订单完成通知",
        fields: &[
            field("character_string1", "订单号"),
            field("thing2", "商品名称"),
            field("time3", "完成时间"),
        ],
    },
    Template {
        id: "SANDBOX-TEMPLATE-ORDER-CANCELLED-000000000004",
        purpose: "order_cancelled",
        title: "订单取消通知",
        fields: &[
            field("character_string1", "订单号"),
            field("thing2", "取消原因"),
            field("amount3", "订单金额"),
            field("time4", "取消时间"),
        ],
    },
    Template {
        id: "SANDBOX-TEMPLATE-REFUND-00000000000000000005",
        purpose: "refund_succeeded",
        title: "退款成功通知",
        fields: &[
            field("character_string1", "订单号"),
            field("amount2", "退款金额"),
            field("thing3", "退款原因"),
            field("time4", "退款时间"),
        ],
    },
];

/// The same for every sandbox.
pub fn credentials() -> Credentials {
    Credentials {
        haier: HaierCredentials {
            client_id: "SANDBOX-HAIER-CLIENT",
            client_secret: "sandbox-haier-client-secret",
            customer_code: "8800000001",
            send_to_code: "8800000002",
            supplier_code: "1001",
            county_code: "320106",
            password: "sandbox-haier-password",
            seller_password: "sandbox-haier-seller-password",
            customer_password: "sandbox-haier-customer-password",
        },
        ylh: YlhCredentials {
            client_id: "sandbox-ylh-client",
            client_password: "sandbox-ylh-client-password",
            username: "sandbox-ylh-user",
            password: "sandbox-ylh-password",
            source_system: "WINDLASS",
            shop_name: "测试旗舰店",
            seller_code: "8800000001",
            callback_app_key: "SANDBOX-YLH-APP",
            callback_secret: "sandbox-ylh-callback-secret",
        },
        wechat_pay: WechatPayCredentials {
            mchid: "1900000001",
            appid: APPID,
            merchant_serial: "3A5F00C0FFEE00000000000000000000000A11CE",
            merchant_private_key_pem: include_str!("../keys/TEST-ONLY-merchant.key.pem"),
            merchant_certificate_pem: include_str!("../keys/TEST-ONLY-merchant.cert.pem"),
            platform_serial: "5B5F00C0FFEE00000000000000000000000B0B01",
            platform_certificate_pem: include_str!("../keys/TEST-ONLY-platform-certificate.cert.pem"),
            platform_public_key_id: "PUB_KEY_ID_0119000000012026010500000000000001",
            platform_public_key_pem: include_str!("../keys/TEST-ONLY-platform-public-key.pub.pem"),
            api_v3_key: "sandbox-api-v3-key-of-32-bytes!!",
        },
        mini_program: MiniProgramCredentials {
            appid: APPID,
            secret: "sandbox-mini-program-secret",
            templates: TEMPLATES,
        },
        smtp: SmtpCredentials { user: "sandbox", password: "sandbox-smtp-password" },
    }
}

const APPID: &str = "wx5a4d8b0000000001";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_v3_key_has_the_32_bytes_that_aes_256_wants() {
        assert_eq!(credentials().wechat_pay.api_v3_key.len(), 32);
    }
}
