//! What the shop may set, each with its default: everything that the outside does not print and somebody had to
//! choose (facts: the rows marked "assumed").
//!
//! Addresses and credentials of the outside belong to its clients, not here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::housekeeping::KeepDays;
use crate::notifications::webhooks::PostSettings;
use crate::notifications::{SubscribeTemplate, Template};
use crate::outside::System;

/// A webhook is given up sooner than any call to the outside ([`crate::ledger::TELL_TIME_MAX`]).
const WEBHOOK_TIMEOUT_S_MAX: u64 = 25;
/// What the shop does with money that comes for an order which was given up because nobody had paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatePayment {
    /// It goes back.
    Refund,
    /// The order goes on as if it had been paid in time.
    Revive,
}

/// Times are of the shop's clock.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Unpaid for so long, an order is given up (facts: commerce-states.md 1).
    pub time_to_pay_s: u64,
    /// When an unpaid order is asked for, after it was recorded; then it is left to its expiry (facts:
    /// wechat-pay.md 6).
    pub payment_polls_s: Vec<u64>,
    /// A payment is not closed sooner than this after the order was recorded (facts: wechat-pay.md 7).
    pub close_not_before_s: u64,
    /// What Haier said of a product within this time is not asked for again.
    pub supply_fresh_s: u64,
    /// How many questions one check has on the way to Haier at once.
    pub supply_questions_at_once: usize,
    /// A synchronisation that is not through after so long gives up what is left and makes room for the next.
    pub sync_run_max_s: u64,
    /// Finished synchronisations are remembered for so long.
    pub sync_runs_kept_s: u64,
    /// Most codes of one synchronisation; a catalogue that is longer is synchronised in part, and says so.
    pub sync_codes_max: usize,
    /// Not for sale for so long, a product is no longer asked for price and stock.
    pub retire_products_after_s: u64,
    /// Counties (six digits) that the shop ships to: stock of everything active is asked for these. Empty: only what
    /// was sold lately, for the counties it went to.
    pub ship_counties: Vec<String>,
    /// What was sold within this time is "sold lately".
    pub stock_sold_within_s: u64,
    /// Questions of one `sync_stock`, each about one product and county.
    pub stock_questions_max: usize,
    /// Moves of stock are remembered for so long.
    pub stock_changes_kept_s: u64,
    /// A payer account with less than this, in fen, is low.
    pub balance_low_fen: i64,
    /// Other bounds, by payer account code.
    pub balance_low_fen_by_account: BTreeMap<String, i64>,
    /// Readings of balances are remembered for so long.
    pub balances_kept_s: u64,
    /// `refresh_tokens` replaces a token that would need it within this time: more than the time between two runs, so
    /// that no call waits for one.
    pub token_ahead_s: u64,
    /// No answer to a placed order for so long: somebody is told (facts: commerce-states.md 5).
    pub confirm_overdue_s: u64,
    /// No answer to a wanted cancel for so long: somebody is told.
    pub cancel_overdue_s: u64,
    /// The shortest time between two looks for the parcels of an order; it grows with the order's age.
    pub track_every_min_s: u64,
    /// The longest.
    pub track_every_max_s: u64,
    /// Orders that one run of `track_parcels` asks Haier about.
    pub track_shipped_max: usize,
    /// Orders that one run of `track_parcels` asks YLH about; a hundred a call.
    pub track_confirmed_max: usize,
    /// Delivered for so long, an order is complete.
    pub complete_after_s: u64,
    /// What becomes of an order that is paid after it was given up as unpaid.
    pub late_payment: LatePayment,
    /// A callback whose order nobody handed in for so long is left to a person.
    pub unknown_order_after_s: u64,
    /// Delivered for so long and not complete, the customer is reminded to confirm receipt; 0: never. Orders that are
    /// complete before that are not reminded of.
    pub remind_receipt_after_s: u64,
    /// Whether WeChat is told that the goods arrived, so that it asks the customer to confirm receipt.
    pub announce_deliveries: bool,
    /// Two refunds of one order are at least so far apart (facts: wechat-pay.md 8).
    pub refund_gap_s: u64,
    /// When a refund is asked for after it was requested; the last step repeats (facts: commerce-states.md 5).
    pub refund_polls_s: Vec<u64>,
    /// A refund is asked for no longer than this; then a person is told, and it is asked for by the sweep alone.
    pub refund_poll_until_s: u64,
    /// How often an abnormal refund is asked for: a person settles it at WeChat, which tells nobody.
    pub abnormal_refund_every_s: u64,
    /// WeChat may not know a payment for so long after it was made (facts: mini-program 6, 10060001).
    pub upload_unknown_payment_s: u64,
    /// What was paid on so many days back is compared each night with what WeChat's shipping lists: as long as most orders
    /// take from their payment to their upload. 0: nothing is compared.
    pub shipments_days_back: u32,
    /// Something that wants a next step and was not touched for so long gets its job again.
    pub sweep_after_s: u64,
    /// Rows of each sort that one sweep looks at.
    pub sweep_rows_max: usize,
    /// Orders that one run of `expire_unpaid_orders` gives up.
    pub expire_orders_max: usize,
    /// The templates of subscribe messages that the shop has; a template that is not there is not sent.
    pub subscribe_templates: BTreeMap<Template, SubscribeTemplate>,
    /// A message that could not be sent for so long is not sent any more.
    pub notification_useful_s: u64,
    /// `formal`, `trial` or `developer` (facts: wechat-mini-program.md 2).
    pub mini_program_state: String,
    /// The sender of e-mail; empty: no e-mail is sent.
    pub mail_from: String,
    /// What stands behind the `@` of a Message-ID.
    pub mail_domain: String,
    /// Who is told how the day was and what a person must look at, by mail; empty: nobody.
    pub summary_to: Vec<String>,
    /// Findings are told by mail no more often than this.
    pub findings_mail_every_s: u64,
    /// Findings that one mail lists; how many more there are is told.
    pub findings_mail_rows_max: usize,
    /// When a webhook that was not taken is tried again, after the try before; then it is given up. The default gives
    /// up after about three days.
    pub webhook_retries_s: Vec<u64>,
    /// An endpoint that takes nothing for so long is disabled.
    pub webhook_disable_after_s: u64,
    /// How long the old secret of an endpoint still signs after it was given a new one.
    pub webhook_secret_overlap_s: u64,
    /// Whether webhooks may go to private addresses, and in the clear.
    pub webhook_private_addresses: bool,
    /// Wall time that a webhook's receiver has for its answer.
    pub webhook_timeout_s: u64,
    /// Requests of one endpoint that one process has on the way at once.
    pub webhook_at_once: usize,
    /// The id of the consignor's phone for SF, masked: `130****0001` (facts: wechat-mini-program.md 3).
    pub consignor_contact: String,
    /// Bills are asked for from this hour of the next day on, in Beijing (facts: wechat-pay.md 10).
    pub bill_from_hour: u32,
    /// While WeChat still makes a bill it is asked for again after this time, until `bill_until_hour`.
    pub bill_creating_retry_s: u64,
    /// From this hour on, in Beijing, a bill that is not made is left to the next day.
    pub bill_until_hour: u32,
    /// The bills of so many days back are looked after each day.
    pub bill_days_back: u32,
    /// Fresh links that one attempt asks for when what comes is not what WeChat vouches for.
    pub bill_links_max: u32,
    /// Bills are asked for compressed.
    pub bill_gzip: bool,
    /// The files of bills are kept for so many days; what they came to is kept for ever.
    pub bill_files_kept_days: u32,
    /// A bill of more bytes, unpacked, is refused.
    pub bill_bytes_max: u64,
    /// How many bytes of a callback are read; what is longer is refused.
    pub callback_bytes_max: usize,
    /// Cases that one comparison of a day's bills raises; what is beyond is counted only.
    pub reconcile_findings_max: usize,
    /// Cases of one comparison that are sent to be healed, or one in a hundred of the bill's rows where that is more
    /// (facts: commerce-states.md 6).
    pub reconcile_heals_max: usize,
    /// Whether money for an order that was given up goes back by itself when only the bill told of it, too.
    pub reconcile_heals_late_pay: bool,
    /// Where sorting writes what does not fit into memory: about as much as the bill has bytes, twice; empty: the
    /// system's own folder for such files.
    pub scratch_folder: String,
    /// Days that rows stay, by table, where they are not those of [`crate::housekeeping::keep::KEEP`]; 0: for ever.
    pub keep_days: KeepDays,
    /// Rows that one transaction of `prune` removes.
    pub prune_rows_max: u32,
    /// Such transactions for each table in one run.
    pub prune_slices_max: u32,
    /// The backups that there must be, beside those that were ever reported. None: `ledger` in production, none
    /// elsewhere.
    pub backup_kinds: Option<Vec<String>>,
    /// A backup that is older is none.
    pub backup_age_max_s: u64,
    /// A backup of less than this share of the usual size, in percent, is none.
    pub backup_percent_min: i64,
    /// The systems outside that are told in which of our traces a call stands (`traceparent`), such as `["webhook"]`.
    /// None: a trace ends at our own wall.
    pub traceparent_to: Vec<System>,
}

impl Default for Settings {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        Self {
            time_to_pay_s: DAY,
            payment_polls_s: vec![5, 30, MINUTE, 3 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE],
            close_not_before_s: 5 * MINUTE,
            supply_fresh_s: 5 * MINUTE,
            supply_questions_at_once: 8,
            sync_run_max_s: 6 * HOUR,
            sync_runs_kept_s: 30 * DAY,
            sync_codes_max: 50_000,
            retire_products_after_s: 30 * DAY,
            ship_counties: Vec::new(),
            stock_sold_within_s: 30 * DAY,
            stock_questions_max: 1_000,
            stock_changes_kept_s: 90 * DAY,
            balance_low_fen: 10_000_000,
            balance_low_fen_by_account: BTreeMap::new(),
            balances_kept_s: 400 * DAY,
            token_ahead_s: 6 * MINUTE,
            confirm_overdue_s: 2 * HOUR,
            cancel_overdue_s: 7 * DAY,
            track_every_min_s: 10 * MINUTE,
            track_every_max_s: 6 * HOUR,
            track_shipped_max: 200,
            track_confirmed_max: 1_000,
            complete_after_s: 10 * DAY,
            late_payment: LatePayment::Refund,
            unknown_order_after_s: HOUR,
            remind_receipt_after_s: 7 * DAY,
            announce_deliveries: true,
            refund_gap_s: MINUTE,
            refund_polls_s: vec![60, 60, 60, 60, 60, 300, 600, 1_200, 1_800, 3_600],
            refund_poll_until_s: 7 * DAY,
            abnormal_refund_every_s: 6 * HOUR,
            upload_unknown_payment_s: 10 * MINUTE,
            shipments_days_back: 7,
            sweep_after_s: 30 * MINUTE,
            sweep_rows_max: 500,
            expire_orders_max: 500,
            subscribe_templates: BTreeMap::new(),
            notification_useful_s: DAY,
            mini_program_state: "formal".to_owned(),
            mail_from: String::new(),
            mail_domain: "shop.example".to_owned(),
            summary_to: Vec::new(),
            findings_mail_every_s: HOUR,
            findings_mail_rows_max: 50,
            webhook_retries_s: vec![
                5,
                5 * MINUTE,
                30 * MINUTE,
                2 * HOUR,
                5 * HOUR,
                10 * HOUR,
                14 * HOUR,
                20 * HOUR,
                DAY,
            ],
            webhook_disable_after_s: 5 * DAY,
            webhook_secret_overlap_s: DAY,
            webhook_private_addresses: false,
            webhook_timeout_s: 15,
            webhook_at_once: 4,
            consignor_contact: String::new(),
            bill_from_hour: 10,
            bill_creating_retry_s: 30 * MINUTE,
            bill_until_hour: 18,
            bill_days_back: 3,
            bill_links_max: 3,
            bill_gzip: false,
            bill_files_kept_days: 2 * 365,
            bill_bytes_max: 4 * 1024 * 1024 * 1024,
            callback_bytes_max: 256 * 1024,
            reconcile_findings_max: 20_000,
            reconcile_heals_max: 20,
            reconcile_heals_late_pay: true,
            scratch_folder: String::new(),
            keep_days: KeepDays::default(),
            prune_rows_max: 500,
            prune_slices_max: 1_000,
            backup_kinds: None,
            backup_age_max_s: 26 * HOUR,
            backup_percent_min: 50,
            traceparent_to: Vec::new(),
        }
    }
}

impl Settings {
    /// How long after the order was recorded its payment is asked for the next time; None: no more.
    pub fn next_payment_poll(&self, age: Duration) -> Option<Duration> {
        next_on(&self.payment_polls_s, age)
    }

    /// As [`Self::next_payment_poll`] for a refund, counted from its request.
    pub fn next_refund_poll(&self, age: Duration) -> Option<Duration> {
        let last = Duration::from_secs(self.refund_polls_s.last().copied().unwrap_or(3_600).max(1));
        let next = next_on(&self.refund_polls_s, age).unwrap_or_else(|| {
            let listed = Duration::from_secs(self.refund_polls_s.iter().sum());
            let steps = age.saturating_sub(listed).as_secs() / last.as_secs() + 1;
            listed + last * u32::try_from(steps).unwrap_or(u32::MAX)
        });
        (next <= Duration::from_secs(self.refund_poll_until_s)).then_some(next)
    }

    /// What the way to webhooks is made with.
    pub fn webhook_post(&self) -> PostSettings {
        PostSettings {
            timeout: Duration::from_secs(self.webhook_timeout_s.clamp(1, WEBHOOK_TIMEOUT_S_MAX)),
            at_once: self.webhook_at_once.max(1),
            private_addresses: self.webhook_private_addresses,
            traceparent: self.traceparent_to.contains(&System::Webhook),
        }
    }

    /// How long to wait before looking for the parcels of an order again that is `age` old: a tenth of its age,
    /// within the bounds.
    pub fn track_again_after(&self, age: Duration) -> Duration {
        let (least, most) = (self.track_every_min_s, self.track_every_max_s.max(self.track_every_min_s));
        Duration::from_secs((age.as_secs() / 10).clamp(least, most))
    }
}

/// The first of the steps, added up, that lies after `age`.
fn next_on(steps_s: &[u64], age: Duration) -> Option<Duration> {
    let mut at = Duration::ZERO;
    steps_s.iter().find_map(|step| {
        at += Duration::from_secs(*step);
        (at > age).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unpaid_order_is_asked_for_seven_times_and_then_left_to_its_expiry() {
        let settings = Settings::default();
        let (mut age, mut polls) = (Duration::ZERO, Vec::new());
        while let Some(next) = settings.next_payment_poll(age) {
            polls.push(next.as_secs());
            age = next;
        }
        assert_eq!(polls, [5, 35, 95, 275, 575, 1_175, 2_975]);
    }

    proptest! {
        #[test]
        fn a_refund_is_asked_for_later_and_later_until_a_week_has_gone(age_s in 0u64..8 * 24 * 3_600) {
            let settings = Settings::default();
            let age = Duration::from_secs(age_s);
            match settings.next_refund_poll(age) {
                Some(next) => prop_assert!(next > age && next - age <= Duration::from_secs(3_600)),
                None => prop_assert!(age_s + 3_600 >= settings.refund_poll_until_s),
            }
        }

        #[test]
        fn parcels_are_looked_for_more_slowly_with_age(age in 0u64..10_000_000, more in 0u64..10_000_000) {
            let settings = Settings::default();
            let wait = |age| settings.track_again_after(Duration::from_secs(age));
            prop_assert!(wait(age) <= wait(age + more));
            prop_assert!(wait(age).as_secs() >= settings.track_every_min_s);
        }
    }
}
