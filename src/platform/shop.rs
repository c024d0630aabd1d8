//! The shop that jobs and callbacks are handed: what it decides, its wording, and the clients of the outside over an
//! open ledger. Which accounts these have is decided in [`crate::outside`].

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use windlass_engine::Clock;
use windlass_jobs::ledger::{Ledger, LedgerShelf};
use windlass_jobs::mini_program::MiniProgram;
use windlass_jobs::notifications::mail::Mailer;
use windlass_jobs::notifications::{Notifier, Templates, ask_dead_jobs};
use windlass_jobs::outside::{Http, HttpSettings};
use windlass_jobs::payments::wechat_pay::WechatPay;
use windlass_jobs::settings::Settings;
use windlass_jobs::shop::Shop;
use windlass_jobs::suppliers::haier::Haier;
use windlass_jobs::suppliers::ylh::Ylh;
use windlass_jobs::token::Tokens;

use super::{Stores, host_name};
use crate::config::{Config, WrongSetUp};
use crate::outside::Accounts;

/// The shop's clients over a ledger that is open.
///
/// # Errors
/// When an account cannot be used.
pub fn shop(
    accounts: Accounts,
    mut settings: Settings,
    notifier: Notifier,
    ledger: &Ledger,
    clock: &Clock,
) -> anyhow::Result<Shop> {
    let http = HttpSettings { traceparent_to: settings.traceparent_to.clone(), ..HttpSettings::default() };
    let http = Http::new(&http, clock.clone()).context("the HTTP client cannot be made")?;
    let holder = format!("{}-{}", host_name(), std::process::id());
    let tokens = Tokens::new(Arc::new(LedgerShelf::new(ledger.clone())), clock.clone(), holder);
    if let Some(templates) = accounts.templates {
        settings.subscribe_templates = templates;
    }
    if settings.mail_from.is_empty() {
        settings.mail_from = accounts.mail.from;
    }
    Ok(Shop {
        clock: clock.clone(),
        ledger: ledger.clone(),
        haier: Haier::new(http.clone(), tokens.clone(), accounts.haier),
        ylh: Ylh::new(http.clone(), tokens.clone(), accounts.ylh.settings),
        ylh_callback_keys: accounts.ylh.callbacks,
        wechat_pay: WechatPay::new(http.clone(), accounts.wechat_pay)
            .context("the WeChat Pay account cannot be used")?,
        mini_program: MiniProgram::new(http, tokens, accounts.mini_program),
        mailer: Mailer::new(accounts.mail.settings, clock.clone()),
        notifier,
        settings,
    })
}

/// The wording, the way to webhooks, and whom to ask for dead jobs.
pub(super) fn notifier(config: &Config, settings: &Settings, stores: &Stores) -> anyhow::Result<Notifier> {
    let templates = templates(config)?;
    let (post, clock) = (settings.webhook_post(), stores.clock.clone());
    let notifier = Notifier::new(templates, &config.access.secret_key, post, clock)?;
    Ok(notifier.asking_dead_jobs(ask_dead_jobs(stores.store.clone())))
}

/// The wording of mail, tried out.
///
/// # Errors
/// [`WrongSetUp`] with everything that is wrong with the shop's own templates.
pub fn templates(config: &Config) -> Result<Templates, WrongSetUp> {
    Templates::load(config.templates.as_deref()).map_err(|problems| WrongSetUp(problems.to_string()))
}

/// What the shop decides: the file, or the defaults.
///
/// # Errors
/// When the file cannot be read, with its line.
pub fn shop_settings(file: Option<&Path>) -> anyhow::Result<Settings> {
    let Some(path) = file else { return Ok(Settings::default()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} does not say what the shop decides", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shop_decides_is_read_and_a_slip_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.toml");
        std::fs::write(&path, "complete_after_s = 60\n").unwrap();
        assert_eq!(shop_settings(Some(&path)).unwrap().complete_after_s, 60);
        std::fs::write(&path, "complete_afterwards = 60\n").unwrap();
        let refused = format!("{:#}", shop_settings(Some(&path)).unwrap_err());
        assert!(refused.contains("complete_afterwards") && refused.contains("shop.toml"), "{refused}");
    }
}
