//! What a sandbox is told when it starts.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use windlass_engine::Clock;

use crate::draw::Span;
use crate::fault::Faults;
use crate::haier::Goods;
use crate::plants::Plant;

#[derive(Clone, Debug)]
pub struct Config {
    pub clock: Clock,
    /// Everything that is left to chance (delays, prices, faults) follows from this.
    pub seed: u64,
    pub faults: Faults,
    /// The file that the world is written down in; `None` keeps it in memory only.
    pub journal: Option<PathBuf>,
    pub bind: IpAddr,
    /// `None`: any free ports. `Some(p)`: control on p, Haier p+1, YLH p+2, WeChat Pay p+3, mini-program p+4, SMTP p+5.
    pub base_port: Option<u16>,
    pub callbacks: Callbacks,
    pub pace: Pace,
    /// How Haier's catalogue is made, and how much of it may be asked for.
    pub goods: Goods,
    /// Differences that the bills will have; those that a journal knows of already are not planted again.
    pub plants: Vec<Plant>,
    /// Real time for which a call that is not going to be answered is held before its connection is cut.
    pub no_answer: Duration,
    /// Whether the mail server sends every sender and recipient away once with 450; in a storm it does anyway.
    pub greylists: bool,
}

impl Config {
    /// A world in memory, on free ports of the loopback address, without faults and with nobody to call back.
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self {
            clock,
            seed,
            faults: Faults::None,
            journal: None,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            base_port: None,
            callbacks: Callbacks::default(),
            pace: Pace::default(),
            goods: Goods::default(),
            plants: Vec::new(),
            no_answer: Duration::from_secs(3),
            greylists: false,
        }
    }
}

/// The URLs that the outside calls when something has happened. What has no URL waits until it gets one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callbacks {
    pub ylh: Option<String>,
    pub wechat_payment: Option<String>,
    pub wechat_refund: Option<String>,
}

/// How long things take out there, in the shop's time, and how refunds go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From a supplier order's acceptance to its confirmation or refusal.
    pub confirm: Span,
    /// From confirmation to shipping.
    pub ship: Span,
    /// From shipping to delivery.
    pub deliver: Span,
    /// From delivery to the return of what the customer sends back without asking.
    pub send_back: Span,
    /// From asking for a cancellation to its answer.
    pub cancel_answer: Span,
    /// From a refund's acceptance to its end.
    pub refund: Span,
    pub refunds: RefundFates,
    /// How much later than usual a callback is that a fault makes late.
    pub late_callback: Span,
    /// How long an access token of Haier, YLH and the mini-program lives.
    pub haier_token: Duration,
    pub ylh_token: Duration,
    pub mini_token: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            confirm: Span::minutes(1, 5),
            ship: Span::hours(1, 3),
            deliver: Span::hours(4, 10),
            send_back: Span::hours(20, 60),
            cancel_answer: Span::minutes(1, 10),
            refund: Span::minutes(1, 5),
            refunds: RefundFates::default(),
            late_callback: Span::minutes(10, 60),
            haier_token: Duration::from_secs(3600),
            ylh_token: Duration::from_secs(7200),
            mini_token: Duration::from_secs(7200),
        }
    }
}

/// How many refunds of a thousand go in another way than well; which ones follows from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundFates {
    /// The payer's card is dead or frozen.
    pub abnormal_per_mille: u16,
    /// The money goes back to the merchant.
    pub closed_per_mille: u16,
    /// Goes to a bank card, and takes as long as `slow`.
    pub slow_per_mille: u16,
    pub slow: Span,
    /// Refused with `NOT_ENOUGH` for as long as `short`, counted from the first time it was asked for.
    pub short_per_mille: u16,
    pub short: Span,
}

impl Default for RefundFates {
    /// All go well.
    fn default() -> Self {
        Self {
            abnormal_per_mille: 0,
            closed_per_mille: 0,
            slow_per_mille: 0,
            slow: Span::hours(24, 72),
            short_per_mille: 0,
            short: Span::minutes(2, 30),
        }
    }
}
