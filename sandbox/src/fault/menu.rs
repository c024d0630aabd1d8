//! What can go wrong where.

use std::time::Duration;

/// Real time by which a slow answer is late, at most.
const SLOW_MS_MAX: u64 = 300;

/// What can be spoiled. Each has its own menu of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    HaierToken,
    HaierRead,
    YlhToken,
    YlhCreate,
    YlhCancel,
    YlhLogistics,
    YlhCallback,
    PayRead,
    PayCreate,
    PayClose,
    PayRefund,
    PayCallback,
    PayBill,
    PayBillFile,
    MiniToken,
    MiniSend,
    MiniUpload,
    MiniRead,
    MailRecipient,
    MiniConfirm,
    Mail,
    Webhook,
}

/// One way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// The right answer, after this time.
    Slow(Duration),
    /// 429, or what the system says instead; no effect.
    TooMany,
    /// 503, no effect.
    ErrorBefore,
    /// The effect, then 500.
    ErrorAfter,
    /// The effect, then nothing until the caller has surely given up, then a cut connection.
    NoAnswer,
    /// The effect, then a cut connection.
    Drop,
    /// The effect, then a cut connection in the middle of the answer.
    Truncated,
    /// A gateway's HTML page with status 200; no effect.
    Html,
    /// The system's own way of saying "busy, later"; no effect.
    Busy,
    /// The token is refused although it is good; no effect.
    TokenExpired,
    /// The merchant's balance is short just now; no effect.
    NotEnough,
    /// The right answer in a form that the documents allow too (bare array, text for a number, object for a list).
    OtherForm,
    /// The answer (or a callback before the right one) with a signature that is wrong.
    BadSignature,
    /// The same with the signature that WeChat uses to probe its merchants.
    ProbeSignature,
    /// A callback without a signature before the right one.
    Unsigned,
    /// A callback sent twice, at once.
    Duplicate,
    /// A callback much later than usual, so that others overtake it.
    Late,
    /// A callback with numbers as text and `failMsg` for `FailMsg`.
    OddSpelling,
    /// A callback with `sign` for `Sign`.
    SmallSign,
    /// A callback whose `itemList` is JSON in a text.
    ItemsAsText,
    /// A callback that comes again, twice at once, after it was taken; under new ids where it has one.
    Replay,
    /// A callback of which a byte changed on the way, before the right one.
    ChangedBody,
    /// A callback with a signature of long ago, before the right one.
    StaleStamp,
    /// A callback that is signed with a key that nobody knows, before the right one.
    UnknownSerial,
    /// A callback that is sealed with another merchant's key, before the right one.
    WrongSecret,
    /// A bill's link has run out before its time.
    LinkExpired,
}

impl Endpoint {
    pub(super) fn name(self) -> &'static str {
        match self {
            Endpoint::HaierToken => "haier.token",
            Endpoint::HaierRead => "haier.read",
            Endpoint::YlhToken => "ylh.token",
            Endpoint::YlhCreate => "ylh.create",
            Endpoint::YlhCancel => "ylh.cancel",
            Endpoint::YlhLogistics => "ylh.logistics",
            Endpoint::YlhCallback => "ylh.callback",
            Endpoint::PayRead => "wechat.read",
            Endpoint::PayCreate => "wechat.create",
            Endpoint::PayClose => "wechat.close",
            Endpoint::PayRefund => "wechat.refund",
            Endpoint::PayCallback => "wechat.callback",
            Endpoint::PayBill => "wechat.bill",
            Endpoint::PayBillFile => "wechat.bill_file",
            Endpoint::MiniToken => "mini.token",
            Endpoint::MiniSend => "mini.subscribe_send",
            Endpoint::MiniUpload => "mini.upload_shipping",
            Endpoint::MiniRead => "mini.read",
            Endpoint::MailRecipient => "mail.recipient",
            Endpoint::MiniConfirm => "mini.confirm_receive",
            Endpoint::Mail => "mail.send",
            Endpoint::Webhook => "webhook.post",
        }
    }

    /// What can go wrong here; each with the same chance.
    pub(super) fn menu(self) -> &'static [Fault] {
        use Fault::*;
        const SLOW: Fault = Slow(Duration::from_millis(SLOW_MS_MAX));
        match self {
            Endpoint::HaierToken | Endpoint::YlhToken | Endpoint::MiniToken => {
                &[SLOW, TooMany, ErrorBefore, NoAnswer, Drop, Html]
            }
            Endpoint::HaierRead => {
                &[SLOW, TooMany, ErrorBefore, NoAnswer, Drop, Truncated, Html, Busy, TokenExpired, OtherForm]
            }
            Endpoint::YlhCreate => {
                &[SLOW, TooMany, ErrorBefore, ErrorAfter, NoAnswer, Drop, Truncated, Html, Busy, TokenExpired]
            }
            Endpoint::YlhCancel => {
                &[SLOW, TooMany, ErrorBefore, ErrorAfter, NoAnswer, Drop, Truncated, Html, TokenExpired]
            }
            Endpoint::YlhLogistics => {
                &[SLOW, TooMany, ErrorBefore, NoAnswer, Drop, Truncated, Html, TokenExpired]
            }
            Endpoint::YlhCallback => {
                &[Duplicate, Late, Unsigned, BadSignature, OddSpelling, SmallSign, ItemsAsText, Replay]
            }
            Endpoint::PayRead => {
                &[SLOW, TooMany, ErrorBefore, NoAnswer, Drop, Truncated, Busy, BadSignature, ProbeSignature]
            }
            Endpoint::PayCreate => {
                &[SLOW, TooMany, ErrorBefore, ErrorAfter, NoAnswer, Drop, Busy, BadSignature, ProbeSignature]
            }
            Endpoint::PayClose => {
                &[SLOW, TooMany, ErrorBefore, ErrorAfter, NoAnswer, Drop, Busy, BadSignature, ProbeSignature]
            }
            Endpoint::PayRefund => &[
                SLOW,
                TooMany,
                ErrorBefore,
                ErrorAfter,
                NoAnswer,
                Drop,
                Truncated,
                Busy,
                NotEnough,
                BadSignature,
                ProbeSignature,
            ],
            Endpoint::PayCallback => &[
                Duplicate,
                Late,
                Unsigned,
                BadSignature,
                ProbeSignature,
                Replay,
                ChangedBody,
                StaleStamp,
                UnknownSerial,
                WrongSecret,
            ],
            Endpoint::PayBill => {
                &[SLOW, TooMany, ErrorBefore, NoAnswer, Drop, Truncated, Busy, BadSignature, ProbeSignature]
            }
            Endpoint::PayBillFile => {
                &[SLOW, TooMany, ErrorBefore, NoAnswer, Drop, Truncated, Html, LinkExpired]
            }
            Endpoint::MiniSend => {
                &[SLOW, TooMany, ErrorBefore, ErrorAfter, NoAnswer, Drop, Truncated, Html, TokenExpired]
            }
            Endpoint::MiniUpload => {
                &[SLOW, TooMany, ErrorBefore, ErrorAfter, NoAnswer, Drop, Truncated, Html, Busy, TokenExpired]
            }
            Endpoint::MiniRead => {
                &[SLOW, TooMany, ErrorBefore, NoAnswer, Drop, Truncated, Html, Busy, TokenExpired]
            }
            Endpoint::MailRecipient => &[SLOW, Drop],
            Endpoint::MiniConfirm => {
                &[SLOW, TooMany, ErrorBefore, ErrorAfter, NoAnswer, Drop, Truncated, Html, TokenExpired]
            }
            Endpoint::Mail => &[SLOW, Busy, ErrorBefore, Drop],
            Endpoint::Webhook => &[SLOW, TooMany, ErrorBefore, ErrorAfter, NoAnswer, Drop],
        }
    }
}
