//! A shop over a ledger of a test: its accounts are the sandbox's, and each can be set by whoever tests it.

use std::sync::Arc;
use std::time::Duration;

use windlass_engine::Store;
use windlass_jobs::ledger::{Ledger, LedgerShelf};
use windlass_jobs::mini_program::{MiniProgram, MiniProgramSettings};
use windlass_jobs::notifications::mail::{MailSettings, MailTls, Mailer};
use windlass_jobs::notifications::webhooks::PostSettings;
use windlass_jobs::notifications::{Notifier, Templates, ask_dead_jobs};
use windlass_jobs::outside::{Http, HttpSettings, Secret};
use windlass_jobs::payments::wechat_pay::{WechatPay, WechatPaySettings};
use windlass_jobs::suppliers::haier::{Haier, HaierSettings};
use windlass_jobs::suppliers::ylh::{CallbackKeys, Ylh, YlhPaths, YlhSettings};
use windlass_jobs::token::Tokens;
use windlass_jobs::{Settings, Shop};
use windlass_sandbox::{Addresses, Credentials, credentials};

/// What a shop is made of.
pub struct TestShop {
    pub haier: HaierSettings,
    pub ylh: YlhSettings,
    pub wechat_pay: WechatPaySettings,
    pub mini_program: MiniProgramSettings,
    pub mail: MailSettings,
    pub webhooks: PostSettings,
    pub settings: Settings,
    /// The name under which it holds tokens: one for each process of the shop.
    pub holder: String,
    /// The carrier whose dead jobs the daily summary tells of.
    pub carrier: Option<Arc<dyn Store>>,
}

impl TestShop {
    /// One that has keys and calls nobody: what it signs and what is signed for it can be checked.
    pub fn alone(settings: Settings) -> Self {
        Self {
            haier: HaierSettings::default(),
            ylh: YlhSettings::default(),
            wechat_pay: wechat_pay(&credentials()),
            mini_program: MiniProgramSettings::default(),
            mail: MailSettings::default(),
            webhooks: settings.webhook_post(),
            settings,
            holder: "test".to_owned(),
            carrier: None,
        }
    }

    /// One whose outside is a sandbox. `patience`: wall time that a client waits for an answer.
    pub fn beside(at: &Addresses, patience: Duration, settings: Settings) -> Self {
        let out = credentials();
        Self {
            haier: haier(at, patience, &out),
            ylh: ylh(at, patience, &out),
            wechat_pay: WechatPaySettings {
                base_url: at.wechat_pay.clone(),
                call_timeout: patience,
                ..wechat_pay(&out)
            },
            mini_program: MiniProgramSettings {
                base_url: at.mini_program.clone(),
                appid: out.mini_program.appid.to_owned(),
                secret: Secret::new(out.mini_program.secret),
                token_timeout: patience,
                call_timeout: patience,
            },
            mail: mail(at, patience, &out),
            ..Self::alone(settings)
        }
    }

    /// Makes the clients, in the ledger's time.
    pub fn open(self, ledger: &Ledger) -> Shop {
        let clock = ledger.clock().clone();
        let http = Http::new(&HttpSettings::default(), clock.clone()).expect("a client");
        let shelf = Arc::new(LedgerShelf::new(ledger.clone()));
        let tokens = Tokens::new(shelf, clock.clone(), self.holder);
        let templates = Templates::load(None).expect("our own are sound");
        let key = Secret::new("a key for tests");
        let notifier =
            Notifier::new(templates, &key, self.webhooks, clock.clone()).expect("a client for webhooks");
        let out = credentials();
        Shop {
            haier: Haier::new(http.clone(), tokens.clone(), self.haier),
            ylh: Ylh::new(http.clone(), tokens.clone(), self.ylh),
            ylh_callback_keys: CallbackKeys {
                app_key: out.ylh.callback_app_key.to_owned(),
                secrets: vec![Secret::new(out.ylh.callback_secret)],
            },
            wechat_pay: WechatPay::new(http.clone(), self.wechat_pay).expect("keys"),
            mini_program: MiniProgram::new(http, tokens, self.mini_program),
            mailer: Mailer::new(self.mail, clock.clone()),
            notifier: match self.carrier {
                Some(carrier) => notifier.asking_dead_jobs(ask_dead_jobs(carrier)),
                None => notifier,
            },
            settings: self.settings,
            clock,
            ledger: ledger.clone(),
        }
    }
}

fn haier(at: &Addresses, patience: Duration, out: &Credentials) -> HaierSettings {
    HaierSettings {
        base_url: at.haier.clone(),
        client_id: out.haier.client_id.to_owned(),
        client_secret: Secret::new(out.haier.client_secret),
        customer_code: out.haier.customer_code.to_owned(),
        send_to_code: out.haier.send_to_code.to_owned(),
        supplier_code: out.haier.supplier_code.to_owned(),
        password: Secret::new(out.haier.password),
        seller_password: Secret::new(out.haier.seller_password),
        customer_password: Secret::new(out.haier.customer_password),
        token_timeout: patience,
        call_timeout: patience,
        ..HaierSettings::default()
    }
}

fn ylh(at: &Addresses, patience: Duration, out: &Credentials) -> YlhSettings {
    YlhSettings {
        paths: YlhPaths {
            auth: at.ylh_auth.clone(),
            order: at.ylh_order.clone(),
            stock: at.ylh_stock.clone(),
        },
        client_id: out.ylh.client_id.to_owned(),
        client_password: Secret::new(out.ylh.client_password),
        username: out.ylh.username.to_owned(),
        password: Secret::new(out.ylh.password),
        source_system: out.ylh.source_system.to_owned(),
        shop_name: out.ylh.shop_name.to_owned(),
        seller_code: out.ylh.seller_code.to_owned(),
        token_timeout: patience,
        call_timeout: patience,
        ..YlhSettings::default()
    }
}

fn wechat_pay(out: &Credentials) -> WechatPaySettings {
    let pay = &out.wechat_pay;
    let platform_keys = [
        (pay.platform_serial, pay.platform_certificate_pem),
        (pay.platform_public_key_id, pay.platform_public_key_pem),
    ];
    WechatPaySettings {
        appid: pay.appid.to_owned(),
        mchid: pay.mchid.to_owned(),
        merchant_serial_no: pay.merchant_serial.to_owned(),
        merchant_key_pem: Secret::new(pay.merchant_private_key_pem),
        api_v3_key: Secret::new(pay.api_v3_key),
        platform_keys: platform_keys.map(|(id, pem)| (id.to_owned(), pem.to_owned())).into(),
        ..WechatPaySettings::default()
    }
}

fn mail(at: &Addresses, patience: Duration, out: &Credentials) -> MailSettings {
    MailSettings {
        host: at.smtp.ip().to_string(),
        port: at.smtp.port(),
        tls: MailTls::None,
        credentials: Some((out.smtp.user.to_owned(), Secret::new(out.smtp.password))),
        step_timeout: patience,
        ..MailSettings::default()
    }
}
