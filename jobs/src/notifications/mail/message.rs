//! A mail, made into the bytes that SMTP carries.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::message::{Mailbox, MultiPart, SinglePart};
use windlass_engine::Timestamp;

use crate::outside::{Call, OutsideError};

/// Longest text or HTML of a mail.
const BODY_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The same at each attempt; with or without angle brackets.
    pub message_id: String,
    /// `Shop <shop@example.com>` or the address alone.
    pub from: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

/// Shows which mail it is and not to whom.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

pub(super) fn build(call: &Call, mail: &Mail, now: Timestamp) -> Result<Message, OutsideError> {
    let mailbox = |text: &str| {
        text.parse::<Mailbox>().map_err(|error| call.refused("invalid_address", &error.to_string()))
    };
    let bytes = mail.text.len().max(mail.html.as_ref().map_or(0, String::len));
    if bytes > BODY_BYTES_MAX {
        return Err(call.refused("too_long", &format!("a body of {bytes} bytes")));
    }
    let id = mail.message_id.trim().trim_start_matches('<').trim_end_matches('>');
    if id.is_empty() || id.chars().any(|c| c.is_control() || c.is_whitespace() || !c.is_ascii()) {
        return Err(call.refused("invalid_message_id", "a Message-ID is ASCII without blanks"));
    }
    let at = UNIX_EPOCH + Duration::from_micros(now.micros().unsigned_abs());
    let builder = Message::builder()
        .message_id(Some(format!("<{id}>")))
        .date(at)
        .from(mailbox(&mail.from)?)
        .to(mailbox(&mail.to)?)
        .subject(mail.subject.replace(['\r', '\n'], " "));
    let text = SinglePart::plain(mail.text.clone());
    let built = match &mail.html {
        Some(html) => builder
            .multipart(MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(html.clone()))),
        None => builder.singlepart(text),
    };
    built.map_err(|error| call.refused("invalid_mail", &error.to_string()))
}
