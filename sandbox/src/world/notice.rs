//! A callback that we owe the shop, until the shop has taken it.

use std::time::Duration;

use windlass_engine::Timestamp;

/// Minutes until YLH tries again (facts: ylh.md 12); after the last it goes on at that interval up to the bound.
const YLH_RETRY_MINUTES: [u64; 3] = [1, 5, 30];
const YLH_TRIES_MAX: u8 = 50;

/// Seconds until WeChat Pay tries again (facts: wechat-pay.md 4); then it gives up.
const PAY_RETRY_SECS: [u64; 15] =
    [15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Ylh,
    Pay,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) tries: u8,
    /// When the next try is due; `None` when it was taken or given up.
    pub(crate) due: Option<Timestamp>,
    pub(crate) taken: bool,
}

impl Notice {
    pub(crate) fn due(at: Timestamp) -> Self {
        Self { tries: 0, due: Some(at), taken: false }
    }

    /// A try has ended at `at`.
    pub(crate) fn tried(&mut self, sender: Sender, at: Timestamp, taken: bool) {
        self.tries = self.tries.saturating_add(1);
        self.taken |= taken;
        self.due = if self.taken { None } else { wait(sender, self.tries).map(|wait| at + wait) };
    }
}

fn wait(sender: Sender, tries: u8) -> Option<Duration> {
    let nth = usize::from(tries) - 1;
    match sender {
        Sender::Ylh if tries >= YLH_TRIES_MAX => None,
        Sender::Ylh => {
            Some(Duration::from_secs(60 * YLH_RETRY_MINUTES[nth.min(YLH_RETRY_MINUTES.len() - 1)]))
        }
        Sender::Pay => PAY_RETRY_SECS.get(nth).map(|secs| Duration::from_secs(*secs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(sender: Sender) -> Vec<u64> {
        let (mut notice, mut at) = (Notice::due(Timestamp::default()), Timestamp::default());
        let mut waits = Vec::new();
        loop {
            notice.tried(sender, at, false);
            let Some(due) = notice.due else { return waits };
            waits.push(due.since(at).as_secs());
            at = due;
        }
    }

    #[test]
    fn wechat_pay_tries_for_24_hours_and_4_minutes() {
        let waits = waits(Sender::Pay);
        assert_eq!(waits.len(), 15);
        assert_eq!(waits.iter().sum::<u64>(), 24 * 3600 + 4 * 60);
    }

    #[test]
    fn ylh_tries_after_1_5_and_30_minutes_and_goes_on_for_a_while() {
        let waits = waits(Sender::Ylh);
        assert_eq!(waits[..4], [60, 300, 1800, 1800]);
        assert_eq!(waits.len(), usize::from(YLH_TRIES_MAX) - 1);
    }

    #[test]
    fn a_notice_that_was_taken_is_not_due_again() {
        let mut notice = Notice::due(Timestamp::default());
        notice.tried(Sender::Ylh, Timestamp::default(), true);
        notice.tried(Sender::Ylh, Timestamp::default(), false);
        assert_eq!((notice.due, notice.taken), (None, true));
    }
}
