//! Every call to a system outside: what can become of it, in one type.
//!
//! The question that each caller must answer is "may I send this again?", and [`Fault`] is made so that it
//! can. What a system's own codes mean is decided in that system's client; retry policy and the effect ledger
//! are not here.

mod http;
pub mod lenient;
mod redact;
mod secret;
mod traced;

use std::time::Duration;

pub use http::{Answer, BODY_BYTES_MAX, Call, Http, HttpSettings, Manner, install_crypto};
pub use redact::{DETAIL_BYTES_MAX, redact, strike};
pub use secret::{Secret, same_bytes};
pub(crate) use traced::{answered, leaves, measured};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    Haier,
    Ylh,
    WechatPay,
    MiniProgram,
    Mail,
    Webhook,
}

impl System {
    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            System::Haier => "haier",
            System::Ylh => "ylh",
            System::WechatPay => "wechat_pay",
            System::MiniProgram => "mini_program",
            System::Mail => "mail",
            System::Webhook => "webhook",
        }
    }
}

/// What is known about a call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing left this machine (connect refused, DNS, TLS): safe to send again.
    NotSent,
    /// A write that may have happened: ask the outside before telling it again.
    InDoubt,
    /// Failed in passing and nothing was changed: a read cut short, or "busy" as a clear answer.
    Unavailable,
    /// Too fast; not done. `retry_after` when the outside names a time.
    Throttled { retry_after: Option<Duration> },
    /// Understood and refused: unchanged repetition cannot help.
    Refused { code: String },
    /// Our credentials or settings are wrong: an alarm, for a person.
    Misconfigured { code: String },
}

impl Fault {
    /// The name in metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Fault::NotSent => "not_sent",
            Fault::InDoubt => "in_doubt",
            Fault::Unavailable => "unavailable",
            Fault::Throttled { .. } => "throttled",
            Fault::Refused { .. } => "refused",
            Fault::Misconfigured { .. } => "misconfigured",
        }
    }
}

/// A call to the outside that did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}.{call}: {}: {detail}", system.name(), fault.name())]
pub struct OutsideError {
    pub system: System,
    pub call: &'static str,
    pub fault: Fault,
    /// For the log: redacted, at most [`DETAIL_BYTES_MAX`] bytes.
    pub detail: String,
    outage: bool,
}

impl OutsideError {
    /// An error with its detail redacted and cut. Whether it [is an outage](Self::is_outage) follows from the
    /// fault; an [`Fault::InDoubt`] counts as one.
    pub fn new(system: System, call: &'static str, fault: Fault, detail: &str) -> Self {
        let outage = !matches!(fault, Fault::Refused { .. } | Fault::Misconfigured { .. });
        Self { system, call, fault, detail: redact(detail, &[]), outage }
    }

    /// The same, but the system itself was answering: not an outage.
    fn while_answering(mut self) -> Self {
        self.outage = false;
        self
    }

    /// The system did not serve us (down, slow, throttling): counts for the breaker of the queue.
    pub fn is_outage(&self) -> bool {
        self.outage
    }

    /// The call may have had its effect.
    pub fn may_have_happened(&self) -> bool {
        self.fault == Fault::InDoubt
    }

    /// The outside's (or our) code of a refusal or a wrong setting.
    pub fn code(&self) -> Option<&str> {
        match &self.fault {
            Fault::Refused { code } | Fault::Misconfigured { code } => Some(code),
            _ => None,
        }
    }
}
