//! What every job is handed beside its payload: the ledger, the clock, the clients of the outside, the settings.

use windlass_engine::Clock;

use crate::ledger::Ledger;
use crate::mini_program::MiniProgram;
use crate::notifications::Notifier;
use crate::notifications::mail::Mailer;
use crate::payments::wechat_pay::WechatPay;
use crate::settings::Settings;
use crate::suppliers::haier::Haier;
use crate::suppliers::ylh::{CallbackKeys, Ylh};

pub struct Shop {
    pub clock: Clock,
    pub ledger: Ledger,
    pub haier: Haier,
    pub ylh: Ylh,
    /// What YLH signs its callbacks with.
    pub ylh_callback_keys: CallbackKeys,
    pub wechat_pay: WechatPay,
    pub mini_program: MiniProgram,
    pub mailer: Mailer,
    pub notifier: Notifier,
    pub settings: Settings,
}
