//! A real shop whose outside is out of reach: the door calls nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_engine::Clock;
use windlass_jobs::ledger::{Ledger, LedgerShelf};
use windlass_jobs::mini_program::{MiniProgram, MiniProgramSettings};
use windlass_jobs::notifications::mail::{MailSettings, Mailer};
use windlass_jobs::notifications::webhooks::PostSettings;
use windlass_jobs::notifications::{Notifier, Templates};
use windlass_jobs::outside::{Http, HttpSettings, Secret};
use windlass_jobs::payments::wechat_pay::{WechatPay, WechatPaySettings};
use windlass_jobs::suppliers::haier::{Haier, HaierSettings};
use windlass_jobs::suppliers::ylh::{CallbackKeys, Ylh, YlhSettings};
use windlass_jobs::token::Tokens;
use windlass_jobs::{Settings, Shop};
use windlass_sandbox::credentials;

pub fn shop(ledger: &Ledger, clock: &Clock) -> Shop {
    let out = credentials();
    let http = Http::new(&HttpSettings::default(), clock.clone()).unwrap();
    let shelf = Arc::new(LedgerShelf::new(ledger.clone()));
    let tokens = Tokens::new(shelf, clock.clone(), "test".to_owned());
    let pay = WechatPaySettings {
        merchant_serial_no: out.wechat_pay.merchant_serial.to_owned(),
        merchant_key_pem: Secret::new(out.wechat_pay.merchant_private_key_pem),
        api_v3_key: Secret::new(out.wechat_pay.api_v3_key),
        platform_keys: BTreeMap::from([(
            out.wechat_pay.platform_public_key_id.to_owned(),
            out.wechat_pay.platform_public_key_pem.to_owned(),
        )]),
        ..WechatPaySettings::default()
    };
    let mini_program = MiniProgramSettings::default();
    Shop {
        haier: Haier::new(http.clone(), tokens.clone(), HaierSettings::default()),
        ylh: Ylh::new(http.clone(), tokens.clone(), YlhSettings::default()),
        ylh_callback_keys: CallbackKeys {
            app_key: out.ylh.callback_app_key.to_owned(),
            secrets: vec![Secret::new(out.ylh.callback_secret)],
        },
        wechat_pay: WechatPay::new(http.clone(), pay).unwrap(),
        mini_program: MiniProgram::new(http, tokens, mini_program),
        mailer: Mailer::new(MailSettings::default(), clock.clone()),
        notifier: Notifier::new(
            Templates::load(None).unwrap(),
            &Secret::new("a key for tests"),
            PostSettings { private_addresses: true, ..PostSettings::default() },
            clock.clone(),
        )
        .unwrap(),
        settings: Settings::default(),
        clock: clock.clone(),
        ledger: ledger.clone(),
    }
}
