//! What is kept of a message: who, to whom, about what, and how it begins.

use crate::sealed::hex_upper;
use crate::world::event::Mail;

const BODY_CHARS_MAX: usize = 2_000;

pub(super) fn mail(from: String, to: Vec<String>, text: &[u8]) -> Mail {
    let whole = String::from_utf8_lossy(text);
    let (head, body) = whole.split_once("\r\n\r\n").unwrap_or((&whole, ""));
    // A mail without an id is known by its text, so that the same twice is still the same.
    let message_id = header(head, "message-id")
        .unwrap_or_else(|| hex_upper(ring::digest::digest(&ring::digest::SHA256, text).as_ref()));
    Mail {
        message_id,
        from,
        to,
        subject: header(head, "subject").unwrap_or_default(),
        body: body.chars().take(BODY_CHARS_MAX).collect(),
        bytes: text.len() as u64,
    }
}

/// A header's value with its continuation lines; as it came, not decoded.
fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head
        .lines()
        .skip_while(|line| line.split_once(':').is_none_or(|(given, _)| !given.eq_ignore_ascii_case(name)));
    let (_, first) = lines.next()?.split_once(':')?;
    let folded = lines.take_while(|line| line.starts_with([' ', '\t']));
    Some(std::iter::once(first).chain(folded).map(str::trim).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"From: a@b\r\nMessage-ID: <1@shop>\r\nSubject: one\r\n two\r\n\r\nHello\r\n";

    #[test]
    fn a_folded_header_is_one_value() {
        let mail = mail("a@b".into(), vec!["c@d".into()], TEXT);
        assert_eq!(
            (mail.message_id.as_str(), mail.subject.as_str(), mail.body.as_str()),
            ("<1@shop>", "one two", "Hello\r\n")
        );
        assert_eq!(mail.bytes, TEXT.len() as u64);
    }

    #[test]
    fn the_same_text_without_an_id_has_the_same_id() {
        let id = |text: &[u8]| mail(String::new(), Vec::new(), text).message_id;
        assert_eq!(id(b"Subject: x\r\n\r\n1"), id(b"Subject: x\r\n\r\n1"));
        assert_ne!(id(b"Subject: x\r\n\r\n1"), id(b"Subject: x\r\n\r\n2"));
    }
}
