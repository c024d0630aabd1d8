//! A configuration that is complete for production, with accounts that open nothing.

/// The key of the sandbox; it opens nothing else.
const MERCHANT_KEY: &str = include_str!("../../sandbox/keys/TEST-ONLY-merchant.key.pem");

/// An account with Haier.
pub const HAIER: [(&str, &str); 6] = [
    ("HAIER_CLIENT_ID", "shop-42"),
    ("HAIER_CLIENT_SECRET", "s3cr3t-haier-client"),
    ("HAIER_CUSTOMER_CODE", "8800000042"),
    ("HAIER_SEND_TO_CODE", "8800000043"),
    ("HAIER_PASSWORD", "p4ss-products"),
    ("HAIER_SELLER_PASSWORD", "p4ss-stock"),
];

/// Everything that production asks for.
pub fn production() -> Vec<(&'static str, &'static str)> {
    let mut variables = vec![
        ("WINDLASS_ENV", "production"),
        ("WINDLASS_DATA", "/srv/windlass"),
        ("SECRET_KEY", "k3y-0123456789-abcdefghijklmnopqrstuv"),
        ("YLH_CLIENT_ID", "open_api_shop"),
        ("YLH_CLIENT_PASSWORD", "s3cr3t-ylh-client"),
        ("YLH_USERNAME", "shop"),
        ("YLH_PASSWORD", "p4ss-ylh"),
        ("YLH_SOURCE_SYSTEM", "SHOP"),
        ("YLH_SHOP_NAME", "Shop"),
        ("YLH_SELLER_CODE", "8800000042"),
        ("YLH_CALLBACK_APP_KEY", "APPKEY9"),
        ("YLH_CALLBACK_SECRET", "s3cr3t-callback"),
        ("WECHAT_APPID", "wx0123456789abcdef"),
        ("WECHAT_SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("WECHAT_PAY_MCHID", "1900000042"),
        ("WECHAT_PAY_SERIAL_NO", "5157F09EFDC096DE15EBE81A47057A72"),
        ("WECHAT_PAY_PRIVATE_KEY", MERCHANT_KEY),
        ("WECHAT_PAY_APIV3_KEY", "0123456789abcdefghijklmnopqrstuv"),
        ("EMAIL_HOST", "smtp.shop.example"),
        ("DEFAULT_FROM_EMAIL", "shop@shop.example"),
    ];
    variables.extend(HAIER);
    variables
}
