//! The credentials of the systems outside, a group each.
//!
//! A group that is not set at all is left to the sandbox, in development only. A group that is set in part is a
//! problem everywhere: half an account is a slip and no wish for the sandbox. Whether the credentials are right
//! only the outside can tell.

use windlass_jobs::mini_program::MiniProgramSettings;
use windlass_jobs::notifications::mail::{MailSettings, MailTls};
use windlass_jobs::outside::Secret;
use windlass_jobs::payments::wechat_pay::{MerchantKey, PlatformKeys, WechatPaySettings};
use windlass_jobs::suppliers::haier::HaierSettings;
use windlass_jobs::suppliers::ylh::{CallbackKeys, YlhPaths, YlhSettings};

use super::Env;
use super::environment::Environment;
use super::weak::is_placeholder;

/// Bytes of an APIv3 key (facts: wechat-pay.md 4).
const API_V3_KEY_BYTES: usize = 32;
/// RFC 5321 4.5.3.1.3, without the angle brackets.
const ADDRESS_BYTES_MAX: usize = 254;

/// None: the sandbox stands in.
#[derive(Clone, Debug)]
pub struct Outside {
    /// `HAIER_CLIENT_ID`, `HAIER_CLIENT_SECRET`, `HAIER_CUSTOMER_CODE`, `HAIER_SEND_TO_CODE`, `HAIER_PASSWORD`,
    /// `HAIER_SELLER_PASSWORD`; may be set besides: `HAIER_BASE_URL`, `HAIER_SUPPLIER_CODE`,
    /// `HAIER_CUSTOMER_PASSWORD` (otherwise as `HAIER_PASSWORD`; facts: haier.md 9).
    pub haier: Option<HaierSettings>,
    /// See [`YlhAccount`].
    pub ylh: Option<YlhAccount>,
    /// `WECHAT_APPID`, `WECHAT_PAY_MCHID`, `WECHAT_PAY_SERIAL_NO`, `WECHAT_PAY_PRIVATE_KEY`,
    /// `WECHAT_PAY_APIV3_KEY`; may be set besides: `WECHAT_PAY_BASE_URL`, and both of
    /// `WECHAT_PAY_PUBLIC_KEY_ID` and `WECHAT_PAY_PUBLIC_KEY`.
    pub wechat_pay: Option<WechatPaySettings>,
    /// `WECHAT_APPID`, `WECHAT_SECRET`; may be set besides: `WECHAT_BASE_URL`.
    pub mini_program: Option<MiniProgramSettings>,
    /// See [`MailAccount`].
    pub mail: Option<MailAccount>,
}

/// `YLH_CLIENT_ID`, `YLH_CLIENT_PASSWORD` (or `YLH_CLIENT_SECRET`), `YLH_USERNAME`, `YLH_PASSWORD`,
/// `YLH_SOURCE_SYSTEM`, `YLH_SHOP_NAME`, `YLH_SELLER_CODE`; may be set besides: `YLH_AUTH_URL`, `YLH_ORDER_URL`
/// (or `YLH_BASE_URL`), `YLH_STOCK_URL` (facts: ylh.md 1).
#[derive(Clone, Debug)]
pub struct YlhAccount {
    pub settings: YlhSettings,
    /// `YLH_CALLBACK_APP_KEY`, `YLH_CALLBACK_SECRET`, and `YLH_CALLBACK_SECRET_OLD` while the secret changes.
    pub callbacks: CallbackKeys,
}

/// `EMAIL_HOST`; may be set besides: `EMAIL_PORT`, `EMAIL_USE_TLS` or `EMAIL_USE_SSL`, and both of
/// `EMAIL_HOST_USER` and `EMAIL_HOST_PASSWORD`.
#[derive(Clone, Debug)]
pub struct MailAccount {
    pub settings: MailSettings,
    /// `DEFAULT_FROM_EMAIL`.
    pub from: String,
}

impl Outside {
    pub(super) fn read(env: &mut Environment, mode: Env) -> Self {
        Self {
            haier: haier(env, mode),
            ylh: ylh(env, mode),
            wechat_pay: wechat_pay(env, mode),
            mini_program: mini_program(env, mode),
            mail: mail(env, mode),
        }
    }
}

fn haier(env: &mut Environment, mode: Env) -> Option<HaierSettings> {
    let mut group = Group::new(env, mode, "Haier");
    let (client_id, client_secret) = (group.needs("HAIER_CLIENT_ID"), group.needs("HAIER_CLIENT_SECRET"));
    let (customer, send_to) = (group.needs("HAIER_CUSTOMER_CODE"), group.needs("HAIER_SEND_TO_CODE"));
    let (password, seller_password) = (group.needs("HAIER_PASSWORD"), group.needs("HAIER_SELLER_PASSWORD"));
    let default = HaierSettings::default();
    let settings = HaierSettings {
        base_url: group.url("HAIER_BASE_URL", &default.base_url),
        client_id,
        client_secret: client_secret.into(),
        customer_code: customer,
        send_to_code: send_to,
        supplier_code: group.may("HAIER_SUPPLIER_CODE").unwrap_or(default.supplier_code.clone()),
        customer_password: group.may("HAIER_CUSTOMER_PASSWORD").unwrap_or_else(|| password.clone()).into(),
        password: password.into(),
        seller_password: seller_password.into(),
        ..default
    };
    group.finish(settings)
}

fn ylh(env: &mut Environment, mode: Env) -> Option<YlhAccount> {
    let mut group = Group::new(env, mode, "YLH");
    let default = YlhSettings::default();
    let settings = YlhSettings {
        client_id: group.needs("YLH_CLIENT_ID"),
        client_password: group.needs("YLH_CLIENT_PASSWORD").into(),
        username: group.needs("YLH_USERNAME"),
        password: group.needs("YLH_PASSWORD").into(),
        source_system: group.needs("YLH_SOURCE_SYSTEM"),
        shop_name: group.needs("YLH_SHOP_NAME"),
        seller_code: group.needs("YLH_SELLER_CODE"),
        paths: YlhPaths {
            auth: group.url("YLH_AUTH_URL", &default.paths.auth),
            order: group.url("YLH_ORDER_URL", &default.paths.order),
            stock: group.url("YLH_STOCK_URL", &default.paths.stock),
        },
        ..default
    };
    let app_key = group.needs("YLH_CALLBACK_APP_KEY");
    let secret = Secret::from(group.needs("YLH_CALLBACK_SECRET"));
    let old = group.may("YLH_CALLBACK_SECRET_OLD").map(Secret::from);
    let callbacks = CallbackKeys { app_key, secrets: std::iter::once(secret).chain(old).collect() };
    group.finish(YlhAccount { settings, callbacks })
}

fn wechat_pay(env: &mut Environment, mode: Env) -> Option<WechatPaySettings> {
    let mut group = Group::new(env, mode, "WeChat Pay");
    // The appid is the mini-program's: alone it does not say that the shop has a merchant's account.
    let appid = group.shares("WECHAT_APPID");
    let mchid = group.needs("WECHAT_PAY_MCHID");
    let serial_no = group.needs("WECHAT_PAY_SERIAL_NO");
    let key_pem = group.needs("WECHAT_PAY_PRIVATE_KEY").replace("\\n", "\n");
    let api_v3_key = group.needs("WECHAT_PAY_APIV3_KEY");
    let base_url = group.url("WECHAT_PAY_BASE_URL", &WechatPaySettings::default().base_url);
    let public_id = group.may("WECHAT_PAY_PUBLIC_KEY_ID");
    let public_pem = group.may("WECHAT_PAY_PUBLIC_KEY").map(|pem| pem.replace("\\n", "\n"));
    if !key_pem.is_empty()
        && let Err(e) = MerchantKey::from_pem(&serial_no, &key_pem)
    {
        group.env.problem("WECHAT_PAY_PRIVATE_KEY", e.to_string());
    }
    if !api_v3_key.is_empty() && api_v3_key.len() != API_V3_KEY_BYTES {
        let what = format!("an APIv3 key has {API_V3_KEY_BYTES} bytes; this has {}", api_v3_key.len());
        group.env.problem("WECHAT_PAY_APIV3_KEY", what);
    }
    let mut settings = WechatPaySettings {
        base_url,
        appid,
        mchid,
        merchant_serial_no: serial_no,
        merchant_key_pem: key_pem.into(),
        api_v3_key: api_v3_key.into(),
        ..WechatPaySettings::default()
    };
    match (public_id, public_pem) {
        (Some(id), Some(pem)) => {
            if let Err(e) = PlatformKeys::default().add_pem(&id, &pem) {
                group.env.problem("WECHAT_PAY_PUBLIC_KEY", e.to_string());
            }
            settings.answer_with_key = Some(id.clone());
            settings.platform_keys.insert(id, pem);
        }
        (None, None) => {}
        (Some(_), None) => group.missing.push("WECHAT_PAY_PUBLIC_KEY"),
        (None, Some(_)) => group.missing.push("WECHAT_PAY_PUBLIC_KEY_ID"),
    }
    group.finish(settings)
}

fn mini_program(env: &mut Environment, mode: Env) -> Option<MiniProgramSettings> {
    let mut group = Group::new(env, mode, "the mini-program");
    let default = MiniProgramSettings::default();
    let settings = MiniProgramSettings {
        appid: group.needs("WECHAT_APPID"),
        secret: group.needs("WECHAT_SECRET").into(),
        base_url: group.url("WECHAT_BASE_URL", &default.base_url),
        ..default
    };
    group.finish(settings)
}

fn mail(env: &mut Environment, mode: Env) -> Option<MailAccount> {
    let mut group = Group::new(env, mode, "e-mail");
    let (host, from) = (group.needs("EMAIL_HOST"), group.needs("DEFAULT_FROM_EMAIL"));
    let (user, password) = (group.may("EMAIL_HOST_USER"), group.may("EMAIL_HOST_PASSWORD"));
    match (&user, &password) {
        (Some(_), None) => group.missing.push("EMAIL_HOST_PASSWORD"),
        (None, Some(_)) => group.missing.push("EMAIL_HOST_USER"),
        _ => {}
    }
    let port = group.env.parsed("EMAIL_PORT", "a port");
    let (use_tls, use_ssl) = (group.env.flag("EMAIL_USE_TLS"), group.env.flag("EMAIL_USE_SSL"));
    if (use_tls, use_ssl) == (Some(true), Some(true)) {
        group.env.problem("EMAIL_USE_SSL", "EMAIL_USE_TLS is set too: STARTTLS or TLS from the start?");
    }
    // The ports by convention: submission, TLS from the start, plain.
    let (tls, usual_port) = match (use_tls, use_ssl) {
        (_, Some(true)) => (MailTls::Implicit, 465),
        (Some(false), _) => (MailTls::None, 25),
        _ => (MailTls::StartTls, 587),
    };
    let settings = MailSettings {
        host,
        port: port.unwrap_or(usual_port),
        tls,
        credentials: user.zip(password.map(Secret::from)),
        ..MailSettings::default()
    };
    group.finish(MailAccount { settings, from })
}

/// The e-mail addresses of a list with commas between, each once; what is none is a problem.
pub(super) fn addresses(env: &mut Environment, name: &'static str) -> Vec<String> {
    let text = env.text(name).unwrap_or_default();
    let mut addresses: Vec<String> = Vec::new();
    for address in text.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        let is_plain =
            !address.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\",;".contains(c));
        let parts = address.rsplit_once('@').filter(|(local, host)| !local.is_empty() && host.len() > 1);
        if !is_plain || parts.is_none() || address.len() > ADDRESS_BYTES_MAX {
            env.problem(name, format!("\"{address}\" is no address such as boss@shop.example"));
        } else if !addresses.iter().any(|known| known == address) {
            addresses.push(address.to_owned());
        }
    }
    addresses
}

/// One system's variables while they are read.
struct Group<'e> {
    env: &'e mut Environment,
    mode: Env,
    system: &'static str,
    found: usize,
    missing: Vec<&'static str>,
}

impl<'e> Group<'e> {
    fn new(env: &'e mut Environment, mode: Env, system: &'static str) -> Self {
        Self { env, mode, system, found: 0, missing: Vec::new() }
    }

    /// A variable without which there is no account; empty when it is missing.
    fn needs(&mut self, name: &'static str) -> String {
        self.may(name).unwrap_or_else(|| {
            // What is set and cannot be read has its problem already.
            if !self.env.has(name) {
                self.missing.push(name);
            }
            String::new()
        })
    }

    /// As [`Group::needs`], but being set does not say that the group is wanted.
    fn shares(&mut self, name: &'static str) -> String {
        let found = self.found;
        let value = self.needs(name);
        self.found = found;
        value
    }

    fn may(&mut self, name: &'static str) -> Option<String> {
        self.found += usize::from(self.env.has(name));
        let value = self.env.text(name)?;
        if self.mode == Env::Production && is_placeholder(&value) {
            self.env.problem(name, "stands in examples; production needs the real value");
        }
        Some(value)
    }

    fn url(&mut self, name: &'static str, default: &str) -> String {
        let Some(url) = self.may(name) else { return default.to_owned() };
        if !["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
            self.env.problem(name, "an address begins with https:// or http://");
        }
        url.trim_end_matches('/').to_owned()
    }

    /// The account, when the group is complete; otherwise says what is wrong, if anything is.
    fn finish<T>(self, account: T) -> Option<T> {
        if self.missing.is_empty() && self.found > 0 {
            return Some(account);
        }
        let missing = self.missing.join(", ");
        if self.found > 0 {
            let what = format!("{} is set in part; the rest is missing", self.system);
            self.env.problem(&missing, what);
        } else if self.mode == Env::Production {
            self.env.problem(&missing, format!("missing: production has no sandbox for {}", self.system));
        }
        None
    }
}
