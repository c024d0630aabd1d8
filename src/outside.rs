//! The world outside that a process deals with: real accounts where they are set, the sandbox for the rest.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use windlass_jobs::mini_program::MiniProgramSettings;
use windlass_jobs::notifications::mail::{MailSettings, MailTls};
use windlass_jobs::notifications::{Part, SubscribeTemplate, Template};
use windlass_jobs::payments::wechat_pay::WechatPaySettings;
use windlass_jobs::suppliers::haier::HaierSettings;
use windlass_jobs::suppliers::ylh::{CallbackKeys, YlhPaths, YlhSettings};
use windlass_sandbox::{Addresses, Callbacks, Credentials, Sandbox, credentials};

use crate::config::{MailAccount, Outside, YlhAccount};

/// An account with every system outside.
#[derive(Clone, Debug)]
pub struct Accounts {
    pub haier: HaierSettings,
    pub ylh: YlhAccount,
    pub wechat_pay: WechatPaySettings,
    pub mini_program: MiniProgramSettings,
    pub mail: MailAccount,
    /// Subscribe templates that the sandbox's mini-program has; None: the shop's own.
    pub templates: Option<BTreeMap<Template, SubscribeTemplate>>,
}

/// Whether the sandbox has to stand in for any system.
pub fn wants_sandbox(outside: &Outside) -> bool {
    let Outside { haier, ylh, wechat_pay, mini_program, mail } = outside;
    haier.is_none() || ylh.is_none() || wechat_pay.is_none() || mini_program.is_none() || mail.is_none()
}

impl Accounts {
    /// All accounts are real. None where one is missing.
    pub fn real(outside: Outside) -> Option<Self> {
        Some(Self {
            haier: outside.haier?,
            ylh: outside.ylh?,
            wechat_pay: outside.wechat_pay?,
            mini_program: outside.mini_program?,
            mail: outside.mail?,
            templates: None,
        })
    }

    /// Those that are set, and the sandbox's for the rest. `patience`: the time-out of calls to the sandbox,
    /// which answers fast or not at all.
    pub fn with_sandbox(outside: Outside, at: &Addresses, patience: Duration) -> Self {
        let sandbox = SandboxAccounts { at, patience, credentials: credentials() };
        Self {
            templates: outside.mini_program.is_none().then(|| sandbox.templates()),
            haier: outside.haier.unwrap_or_else(|| sandbox.haier()),
            ylh: outside.ylh.unwrap_or_else(|| sandbox.ylh()),
            wechat_pay: outside.wechat_pay.unwrap_or_else(|| sandbox.wechat_pay()),
            mini_program: outside.mini_program.unwrap_or_else(|| sandbox.mini_program()),
            mail: outside.mail.unwrap_or_else(|| sandbox.mail()),
        }
    }
}

/// Where the systems of a sandbox are that somebody else runs.
pub fn sandbox_at(control: SocketAddr) -> Addresses {
    Addresses::beside(control)
}

/// Tells the sandbox where the front door is.
pub fn call_back_to(sandbox: &Sandbox, door: &str) {
    sandbox.call_back_to(Callbacks {
        ylh: Some(format!("{door}/callbacks/ylh")),
        wechat_payment: Some(format!("{door}/callbacks/wechat-pay/payment")),
        wechat_refund: Some(format!("{door}/callbacks/wechat-pay/refund")),
    });
}

struct SandboxAccounts<'a> {
    at: &'a Addresses,
    patience: Duration,
    credentials: Credentials,
}

impl SandboxAccounts<'_> {
    fn haier(&self) -> HaierSettings {
        let haier = &self.credentials.haier;
        HaierSettings {
            base_url: self.at.haier.clone(),
            client_id: haier.client_id.into(),
            client_secret: haier.client_secret.to_owned().into(),
            customer_code: haier.customer_code.into(),
            send_to_code: haier.send_to_code.into(),
            supplier_code: haier.supplier_code.into(),
            password: haier.password.to_owned().into(),
            seller_password: haier.seller_password.to_owned().into(),
            customer_password: haier.customer_password.to_owned().into(),
            token_timeout: self.patience,
            call_timeout: self.patience,
            ..HaierSettings::default()
        }
    }

    fn ylh(&self) -> YlhAccount {
        let ylh = &self.credentials.ylh;
        let settings = YlhSettings {
            paths: YlhPaths {
                auth: self.at.ylh_auth.clone(),
                order: self.at.ylh_order.clone(),
                stock: self.at.ylh_stock.clone(),
            },
            client_id: ylh.client_id.into(),
            client_password: ylh.client_password.to_owned().into(),
            username: ylh.username.into(),
            password: ylh.password.to_owned().into(),
            source_system: ylh.source_system.into(),
            shop_name: ylh.shop_name.into(),
            seller_code: ylh.seller_code.into(),
            token_timeout: self.patience,
            call_timeout: self.patience,
            ..YlhSettings::default()
        };
        let callbacks = CallbackKeys {
            app_key: ylh.callback_app_key.into(),
            secrets: vec![ylh.callback_secret.to_owned().into()],
        };
        YlhAccount { settings, callbacks }
    }

    fn wechat_pay(&self) -> WechatPaySettings {
        let wechat = &self.credentials.wechat_pay;
        let platform_keys = [
            (wechat.platform_serial, wechat.platform_certificate_pem),
            (wechat.platform_public_key_id, wechat.platform_public_key_pem),
        ];
        WechatPaySettings {
            base_url: self.at.wechat_pay.clone(),
            appid: wechat.appid.into(),
            mchid: wechat.mchid.into(),
            merchant_serial_no: wechat.merchant_serial.into(),
            merchant_key_pem: wechat.merchant_private_key_pem.to_owned().into(),
            api_v3_key: wechat.api_v3_key.to_owned().into(),
            platform_keys: platform_keys.map(|(id, pem)| (id.to_owned(), pem.to_owned())).into(),
            call_timeout: self.patience,
            ..WechatPaySettings::default()
        }
    }

    fn mini_program(&self) -> MiniProgramSettings {
        let mini = &self.credentials.mini_program;
        MiniProgramSettings {
            base_url: self.at.mini_program.clone(),
            appid: mini.appid.into(),
            secret: mini.secret.to_owned().into(),
            token_timeout: self.patience,
            call_timeout: self.patience,
        }
    }

    fn mail(&self) -> MailAccount {
        let smtp = &self.credentials.smtp;
        let settings = MailSettings {
            host: self.at.smtp.ip().to_string(),
            port: self.at.smtp.port(),
            tls: MailTls::None,
            credentials: Some((smtp.user.into(), smtp.password.to_owned().into())),
            connect_timeout: self.patience,
            step_timeout: self.patience,
            ..MailSettings::default()
        };
        MailAccount { settings, from: "shop@windlass.example".to_owned() }
    }

    /// What our messages say, in the fields that the sandbox's templates have.
    fn templates(&self) -> BTreeMap<Template, SubscribeTemplate> {
        let template = |template: Template, purpose: &str, parts: &[Part]| {
            let known = self.credentials.mini_program.templates.iter();
            let there = known.clone().find(|there| there.purpose == purpose)?;
            let keys = there.fields.iter().map(|field| field.key.to_owned());
            let fields = keys.zip(parts.iter().copied()).collect();
            Some((template, SubscribeTemplate { id: there.id.to_owned(), page: None, fields }))
        };
        use Part::{Amount, Carrier, OrderNo, Products, Reason, Time, TrackingNo};
        [
            template(Template::OrderPaid, "order_paid", &[OrderNo, Products, Amount, Time]),
            template(
                Template::OrderShipped,
                "order_shipped",
                &[OrderNo, Products, Carrier, TrackingNo, Time],
            ),
            template(Template::OrderCompleted, "order_completed", &[OrderNo, Products, Time]),
            template(Template::OrderCancelled, "order_cancelled", &[OrderNo, Reason, Amount, Time]),
            template(Template::RefundMade, "refund_succeeded", &[Part::RefundNo, Amount, Reason, Time]),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Where a sandbox would be that is not there: for processes that call nobody.
pub fn nobody() -> Addresses {
    let nowhere = || "http://127.0.0.1:1".to_owned();
    Addresses {
        control: nowhere(),
        haier: nowhere(),
        ylh: nowhere(),
        ylh_auth: nowhere(),
        ylh_order: nowhere(),
        ylh_stock: nowhere(),
        wechat_pay: nowhere(),
        mini_program: nowhere(),
        smtp: std::net::SocketAddr::from(([127, 0, 0, 1], 1)),
    }
}
