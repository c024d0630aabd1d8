//! What the mini program's error codes mean for each call (facts: wechat-mini-program.md 6).

use std::time::Duration;

use windlass_engine::Clock;

use crate::outside::{Call, Fault, OutsideError};
use crate::shop_time::next_midnight_beijing;

/// How long to leave a minute's quota, or a message that is being sent just now, alone.
const MINUTE_QUOTA_PAUSE: Duration = Duration::from_secs(60);
const SAME_MOMENT_PAUSE: Duration = Duration::from_secs(5);

/// The sheet's classes; P is split by whether a person must mend something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Done,
    /// T: a new token, then once more.
    Token,
    /// B: said clearly that it was not done.
    Busy,
    /// B, with a pause.
    MinuteQuota,
    SameMoment,
    DailyQuota,
    /// P.
    Refused,
    /// P, and an alarm.
    Alarm,
    /// S.
    Same,
    /// A, by a code that only `get_order` explains.
    Ask,
    /// A: it may have been done.
    InDoubt,
}

/// A code with its text; the text ends in the request's id, which WeChat's support asks for.
#[derive(Clone, Debug)]
pub(super) struct Errcode {
    pub(super) code: i64,
    pub(super) errmsg: String,
}

impl Errcode {
    pub(super) fn alarm(&self, call: &Call) -> OutsideError {
        call.misconfigured(&self.code.to_string(), &self.to_string())
    }

    /// The error of a class that is one.
    pub(super) fn fail(&self, call: &Call, class: Class, clock: &Clock) -> OutsideError {
        let throttled = |pause| call.fail(Fault::Throttled { retry_after: Some(pause) }, &self.to_string());
        match class {
            Class::Busy => call.fail(Fault::Unavailable, &self.to_string()),
            Class::MinuteQuota => throttled(MINUTE_QUOTA_PAUSE),
            Class::SameMoment => throttled(SAME_MOMENT_PAUSE),
            Class::DailyQuota => throttled(next_midnight_beijing(clock.now()).since(clock.now())),
            Class::InDoubt | Class::Ask => call.lost(&self.to_string()),
            Class::Alarm | Class::Token => self.alarm(call),
            Class::Refused | Class::Done | Class::Same => {
                call.refused(&self.code.to_string(), &self.to_string())
            }
        }
    }
}

impl std::fmt::Display for Errcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "errcode {}: {}", self.code, self.errmsg)
    }
}

/// The codes that mean the same wherever they come.
fn general(code: i64) -> Class {
    match code {
        0 => Class::Done,
        -1 => Class::Busy,
        40001 | 40014 | 42001 => Class::Token,
        45009 => Class::DailyQuota,
        45011 => Class::MinuteQuota,
        40013 | 40125 | 40164 | 40243 | 48001 => Class::Alarm,
        _ => Class::Refused,
    }
}

/// Of the token call: whatever is refused here stops the whole channel.
pub(super) fn of_token(code: i64) -> Class {
    match general(code) {
        Class::Token | Class::Refused => Class::Alarm,
        other => other,
    }
}

pub(super) fn of_subscribe(code: i64) -> Class {
    match code {
        40037 | 41030 | 43107 | 47003 => Class::Alarm,
        43108 => Class::SameMoment,
        _ => general(code),
    }
}

pub(super) fn of_upload(code: i64) -> Class {
    match code {
        -1 => Class::InDoubt,
        10_060_012 | 10_060_019 => Class::Busy,
        10_060_023 => Class::Same,
        10_060_002 | 10_060_003 | 268_440_065 => Class::Ask,
        _ => general(code),
    }
}

pub(super) fn of_get_order(code: i64) -> Class {
    match code {
        10_060_001 => Class::Ask,
        10_060_012 | 10_060_019 => Class::Busy,
        _ => general(code),
    }
}

pub(super) fn of_order_list(code: i64) -> Class {
    match code {
        10_060_012 | 10_060_019 => Class::Busy,
        _ => general(code),
    }
}

pub(super) fn of_confirm_receive(code: i64) -> Class {
    match code {
        -1 => Class::InDoubt,
        10_060_012 | 10_060_019 => Class::Busy,
        _ => general(code),
    }
}
