//! Effects: what is done to the outside world, once.
//!
//! An effect has a key that means the same thing at every attempt. It is written as *intended* before the call and
//! as *done*, *refused* or *in doubt* after it, so that an attempt which runs again finds out what the one before it
//! left behind. [`perform`] is the only way in; nothing here knows a protocol, and the ask and the tell of an
//! effect are the clients' calls.
//!
//! # Two attempts at once
//!
//! A worker that lost its lease may still live while another one runs the same job. Each call is begun by a
//! compare-and-set on the row's count of calls ([`record::begin`]), so of two attempts that found the same row only
//! one begins. An attempt that finds a call begun and not ended waits while its caller may live: exactly as long
//! as the call lasts when it is this process's own, up to `TELL_TIME_MAX` of wall time when it is another's;
//! [`perform`] itself cuts every call off at that bound. Only then is the outside asked, or the effect left in
//! doubt. An effect that the outside deduplicates does not wait for another process.

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use windlass_engine::Timestamp;
use windlass_engine::trace::{Span, SpanKind};

use crate::ledger::{Ledger, LedgerError, Telling};
use crate::outside::{Fault, OutsideError};

mod error;
mod known;
mod list;
mod record;
mod settle;

pub use error::EffectError;
pub use known::Told;
pub(crate) use list::effects_about_in;
pub use list::{
    EFFECT_ROWS_MAX, EffectPage, EffectView, effects, effects_about, effects_by_kind, effects_in_doubt,
};
pub use record::EffectState;
use record::{Begun, Found, Settle};
pub use settle::{EffectOutcome, settle_effect};

/// Bytes of a recorded answer: what a job needs from it, not a whole document.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Wall time until an attempt looks again at what another one, surely alive, is bringing about.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What can be done to the outside world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EffectKind {
    YlhCreate,
    YlhCancel,
    WechatClose,
    WechatRefund,
    UploadShipping,
    ConfirmReceive,
    SubscribeSend,
    MailSend,
    WebhookPost,
}

/// What may be done about an effect of which nobody knows whether it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The outside can be asked, and must be before it is told again.
    AskFirst,
    /// The outside knows the effect again by the key: telling it again is harmless.
    SameKey,
    /// The outside can neither be asked nor told twice.
    Never,
}

impl EffectKind {
    pub const ALL: [EffectKind; 9] = [
        Self::YlhCreate,
        Self::YlhCancel,
        Self::WechatClose,
        Self::WechatRefund,
        Self::UploadShipping,
        Self::ConfirmReceive,
        Self::SubscribeSend,
        Self::MailSend,
        Self::WebhookPost,
    ];

    /// The stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::YlhCreate => "ylh.create",
            Self::YlhCancel => "ylh.cancel",
            Self::WechatClose => "wechat.close",
            Self::WechatRefund => "wechat.refund",
            Self::UploadShipping => "mini.upload_shipping",
            Self::ConfirmReceive => "mini.confirm_receive",
            Self::SubscribeSend => "mini.subscribe_send",
            Self::MailSend => "mail.send",
            Self::WebhookPost => "webhook.post",
        }
    }

    /// Whether it moves a customer's money, or decides that none comes: each of its steps is a line of the payment audit.
    pub const fn moves_money(self) -> bool {
        matches!(self, Self::WechatRefund | Self::WechatClose)
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub const fn repeat(self) -> Repeat {
        match self {
            // facts: ylh.md 4 (soId is the duplicate check) and 5 (a repeated cancel is safe);
            // wechat-pay.md (close is idempotent, a refund is known by its out_refund_no).
            Self::YlhCreate | Self::YlhCancel | Self::WechatClose | Self::WechatRefund => Repeat::SameKey,
            // The receiver knows a message again by its webhook-id, and is told at least once.
            Self::WebhookPost => Repeat::SameKey,
            // A second upload may use up the payment's one re-ship. facts: mini-program, "Re-shipping".
            Self::UploadShipping => Repeat::AskFirst,
            // Once for each order, and nothing tells whether the customer was asked. facts: mini-program 5.
            Self::ConfirmReceive | Self::SubscribeSend | Self::MailSend => Repeat::Never,
        }
    }
}

/// One effect.
#[derive(Clone, Copy, Debug)]
pub struct Effect<'a> {
    pub kind: EffectKind,
    /// What it is done to, by our own number: the same at every attempt, another one for everything that may happen
    /// a second time.
    pub of: &'a str,
    /// The order's number; empty when it is about none.
    pub about: &'a str,
}

impl Effect<'_> {
    /// Names the effect among all: `ylh.create:SO-1001`, `wechat.refund:R-1001-1`.
    pub fn key(&self) -> String {
        format!("{}:{}", self.kind.name(), self.of)
    }
}

/// How the effect stands, as far as anybody can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended<T> {
    Done(T),
    /// The outside understood and refused. Only another key can try again.
    Refused {
        code: String,
        reason: String,
    },
    /// Only for [`Repeat::Never`]: it may have happened, and is not repeated.
    InDoubt {
        since: Timestamp,
    },
}

/// What the outside knows of the effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<T> {
    Happened(T),
    NeverHeard,
    /// It did not happen and never can.
    Refused {
        code: String,
        reason: String,
    },
    CannotTell,
}

/// Brings the effect about, once, over however many attempts, and answers how it ended.
///
/// `ask` queries the outside by our own key; it is called only for [`Repeat::AskFirst`]. `tell` makes the call. A
/// recorded end is answered without either. No transaction is open while they run.
///
/// # Errors
/// [`EffectError`] when the effect has not ended; its conversion into a `JobError` says when to try again.
pub async fn perform<T, Ask, Asking, Tell, Told>(
    ledger: &Ledger,
    effect: Effect<'_>,
    ask: Ask,
    tell: Tell,
) -> Result<Ended<T>, EffectError>
where
    T: Serialize + DeserializeOwned,
    Ask: FnOnce() -> Asking,
    Asking: Future<Output = Result<Asked<T>, OutsideError>>,
    Tell: FnOnce() -> Told,
    Told: Future<Output = Result<T, OutsideError>>,
{
    let span = Span::child(SpanKind::Internal, || format!("effect {}", effect.kind.name()));
    let ended = span.within(attempt(ledger, effect, ask, tell)).await;
    let outcome = match &ended {
        Ok(Ended::Done(_)) => "done",
        Ok(Ended::Refused { .. }) => "refused",
        Ok(Ended::InDoubt { .. }) => "in_doubt",
        Err(error) => error.outcome(),
    };
    metrics::counter!("windlass_effects_total", "effect" => effect.kind.name(), "outcome" => outcome)
        .increment(1);
    span.note(|record| {
        record.set("windlass.effect.kind", effect.kind.name()).set("windlass.effect.outcome", outcome);
        if ended.is_err() {
            record.fail(outcome);
        }
    });
    ended
}

async fn attempt<T, Ask, Asking, Tell, Told>(
    ledger: &Ledger,
    effect: Effect<'_>,
    ask: Ask,
    tell: Tell,
) -> Result<Ended<T>, EffectError>
where
    T: Serialize + DeserializeOwned,
    Ask: FnOnce() -> Asking,
    Asking: Future<Output = Result<Asked<T>, OutsideError>>,
    Tell: FnOnce() -> Told,
    Told: Future<Output = Result<T, OutsideError>>,
{
    // Held to the end: within this process nobody else tells, or settles what is being told.
    let Some(telling) = ledger.in_flight().enter(&effect.key()) else {
        return Err(EffectError::being_told(ledger, LOOK_AGAIN));
    };
    let found = match record::find(ledger, effect).await? {
        None => Found::NONE,
        Some(found) => found,
    };
    if let Some(ended) = found.ended()? {
        return Ok(ended);
    }
    if found.may_have_happened() {
        let repeat = effect.kind.repeat();
        if repeat != Repeat::SameKey
            && let Some(wait) = found.other_teller_may_live(ledger)
        {
            return Err(EffectError::being_told(ledger, wait));
        }
        match repeat {
            Repeat::SameKey => {}
            Repeat::Never => {
                return leave_in_doubt(ledger, effect, found.tells, "its attempt ended without an answer")
                    .await;
            }
            Repeat::AskFirst => match ask().await.map_err(EffectError::Asking)? {
                Asked::Happened(answer) => return record_done(ledger, effect, answer).await,
                Asked::CannotTell => {
                    leave_in_doubt::<T>(ledger, effect, found.tells, "the outside cannot tell").await?;
                    return Err(EffectError::StillInDoubt);
                }
                Asked::Refused { code, reason } => {
                    let refused = record::settle(ledger, effect, Settle::Refused { code, reason }).await?;
                    return refused.ended_or_open();
                }
                Asked::NeverHeard => {}
            },
        }
    }
    let Some(begun) = record::begin(ledger, effect, &found).await? else {
        // Somebody else began, or settled it, since we looked.
        return Err(EffectError::being_told(ledger, LOOK_AGAIN));
    };
    told(ledger, effect, begun, tell, telling).await
}

/// Makes the call and writes down how it ended.
async fn told<T, Tell, Told>(
    ledger: &Ledger,
    effect: Effect<'_>,
    begun: Begun,
    tell: Tell,
    telling: Telling,
) -> Result<Ended<T>, EffectError>
where
    T: Serialize + DeserializeOwned,
    Tell: FnOnce() -> Told,
    Told: Future<Output = Result<T, OutsideError>>,
{
    // Counted from the record, which others go by: writing it may have taken its time.
    let begun_ago = ledger.clock().wall().since(begun.at);
    let time_left = ledger.in_flight().tell_time_max().saturating_sub(begun_ago);
    let answer = tokio::time::timeout(time_left, tell()).await;
    // By another attempt; and somebody else may have found out while this one waited for its answer.
    let can_find_out = effect.kind.repeat() != Repeat::Never;
    let ended = match answer {
        Ok(Ok(answer)) => record_done(ledger, effect, answer).await,
        Ok(Err(error)) => match &error.fault {
            Fault::NotSent | Fault::Throttled { .. } | Fault::Misconfigured { .. } => {
                record::did_not_happen(ledger, effect, begun, &error.to_string()).await?;
                Err(EffectError::DidNotHappen(error))
            }
            Fault::Refused { code } => {
                let (code, reason) = (code.clone(), error.detail.clone());
                record::settle(ledger, effect, Settle::Refused { code, reason }).await?.ended_or_open()
            }
            // A write that was cut short may have arrived whatever the client calls it.
            Fault::InDoubt | Fault::Unavailable => {
                match leave_in_doubt(ledger, effect, begun.tells, &error.to_string()).await? {
                    Ended::InDoubt { .. } if can_find_out => Err(EffectError::InDoubt(error)),
                    ended => Ok(ended),
                }
            }
        },
        Err(_) => {
            let why = "the call took too long and was cut off";
            match leave_in_doubt(ledger, effect, begun.tells, why).await? {
                Ended::InDoubt { .. } if can_find_out => Err(EffectError::StillInDoubt),
                ended => Ok(ended),
            }
        }
    };
    drop(telling);
    ended
}

async fn record_done<T>(ledger: &Ledger, effect: Effect<'_>, answer: T) -> Result<Ended<T>, EffectError>
where
    T: Serialize + DeserializeOwned,
{
    let json = serde_json::to_string(&answer).map_err(EffectError::Answer)?;
    if json.len() > ANSWER_BYTES_MAX {
        tracing::error!(
            effect = effect.kind.name(),
            key = effect.key(),
            bytes = json.len(),
            "an answer is too long"
        );
        return Err(EffectError::AnswerTooLong { bytes: json.len() });
    }
    record::settle(ledger, effect, Settle::Done { answer: json }).await?;
    Ok(Ended::Done(answer))
}

async fn leave_in_doubt<T: DeserializeOwned>(
    ledger: &Ledger,
    effect: Effect<'_>,
    tells: i64,
    why: &str,
) -> Result<Ended<T>, EffectError> {
    record::doubt(ledger, effect, tells, why).await?.ended_or_open()
}

impl From<LedgerError> for EffectError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_name_reads_back_as_its_kind() {
        for kind in EffectKind::ALL {
            assert_eq!(EffectKind::parse(kind.name()), Some(kind));
        }
        assert_eq!(EffectKind::parse("ylh.kreate"), None);
    }
}
