//! What may be written down of what the outside said.
//!
//! Secrets, tokens, phones, names and addresses must not reach an error or a log (facts: haier.md 10.1). Values
//! that are known to a call are handed in and struck out; of the rest, what stands behind a telling key, a
//! mobile number and a JWT are.

/// Longest detail of an error, in bytes.
pub const DETAIL_BYTES_MAX: usize = 500;

const STRUCK: &str = "***";
/// Only this much of a text is looked at: what is behind cannot come into the detail.
const LOOKED_AT_BYTES_MAX: usize = 16 * 1024;
/// A key is telling when it ends so, without regard to case.
const TELLING: [&str; 18] = [
    "token",
    "secret",
    "password",
    "authorization",
    "signature",
    "sign",
    "apikey",
    "mobile",
    "phone",
    "contact",
    "consigneename",
    "receivername",
    "payeraccountname",
    "address",
    "openid",
    "touser",
    "ciphertext",
    "username",
];
/// Values shorter than this many characters are too common to be struck out wherever they stand.
const HIDDEN_CHARS_MIN: usize = 2;
const JWT_BYTES_MIN: usize = 20;

/// `text` without secrets and personal data, in one line of at most [`DETAIL_BYTES_MAX`] bytes.
pub fn redact(text: &str, hide: &[String]) -> String {
    let mut out = cut(text, LOOKED_AT_BYTES_MAX).to_owned();
    for value in hide {
        if value.chars().count() >= HIDDEN_CHARS_MIN {
            out = out.replace(value.as_str(), STRUCK);
        }
    }
    out = strike_values(&out);
    out = strike_runs(&out);
    let one_line: String = out.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(one_line.trim(), DETAIL_BYTES_MAX).to_owned()
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Strikes out the value behind each telling key: `"key": "value"`, `key=value`, `Key: value`.
fn strike_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find([':', '=']) {
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        rest = tail;
        let key = head[..at].trim_end_matches(['"', '\'', '\\', ' ']).to_ascii_lowercase();
        if let Some(telling) = TELLING.iter().find(|telling| key.ends_with(**telling)) {
            let (kept, left) = after_value(rest, *telling == "authorization");
            out.push_str(kept);
            out.push_str(STRUCK);
            rest = left;
        }
    }
    out.push_str(rest);
    out
}

/// Splits what follows a key into the opening (blanks, quote), which is kept, and what follows the value.
fn after_value(text: &str, to_end_of_line: bool) -> (&str, &str) {
    let start = text.find(|c: char| !matches!(c, ' ' | '"' | '\'' | '\\')).unwrap_or(text.len());
    let (opening, value) = text.split_at(start);
    let end = if opening.contains(['"', '\'']) {
        value.find(['"', '\'', '\\'])
    } else if to_end_of_line {
        value.find(['\n', '\r', '"'])
    } else {
        value.find(|c: char| c.is_whitespace() || matches!(c, '&' | ',' | '}' | ']' | '"'))
    };
    (opening, &value[end.unwrap_or(value.len())..])
}

/// Strikes out mobile numbers (11 digits, 13.. to 19..), mail addresses and JWTs (`eyJ..`), wherever they stand.
fn strike_runs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '+');
    while let Some(start) = rest.find(in_run) {
        let (before, run) = rest.split_at(start);
        let (run, after) = run.split_at(run.find(|c| !in_run(c)).unwrap_or(run.len()));
        out.push_str(before);
        let is_telling =
            is_mobile(run) || is_mail(run) || (run.len() > JWT_BYTES_MIN && run.starts_with("eyJ"));
        out.push_str(if is_telling { STRUCK } else { run });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_mail(run: &str) -> bool {
    run.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

/// With or without the country's number.
fn is_mobile(run: &str) -> bool {
    let run = run.trim_matches(['.', '-', '_', '@', '+']);
    let run = run.strip_prefix("86").filter(|rest| rest.trim_start_matches('-').len() == 11).unwrap_or(run);
    let run = run.trim_start_matches('-').as_bytes();
    run.len() == 11
        && run.iter().all(u8::is_ascii_digit)
        && run.first() == Some(&b'1')
        && run.get(1).is_some_and(|second| *second >= b'3')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn telling_values_are_struck_out() {
        let text = r#"{"access_token":"T0PS3CRET","passWord": "pw1","sellerPassword":"pw2","code":7}"#;
        let seen = redact(text, &[]);
        assert_eq!(seen, r#"{"access_token":"***","passWord": "***","sellerPassword":"***","code":7}"#);
        assert_eq!(redact("a?access_token=abc&x=1", &[]), "a?access_token=***&x=1");
        assert_eq!(redact("Authorization: Bearer abc def\nnext", &[]), "Authorization: *** next");
        assert_eq!(redact(r#"{\"client_secret\":\"abc\"}"#, &[]), r#"{\"client_secret\":\"***\"}"#);
    }

    #[test]
    fn phones_and_known_names_are_struck_out_and_numbers_stay() {
        let seen = redact("张三 13000000001 SO.20260105.000001 号码13000000002。", &["张三".into()]);
        assert_eq!(seen, "*** *** SO.20260105.000001 号码***。");
        assert_eq!(redact("+86-13000000001 8613000000001 SO+8", &[]), "*** *** SO+8");
        assert_eq!(redact("550 <someone@customer.example>: no", &[]), "550 <***>: no");
        assert_eq!(redact("eyJhbGciOiJIUzUxMiJ9.e30.abc", &[]), "***");
    }

    proptest! {
        #[test]
        fn any_text_is_cut_to_its_bound(text in "\\PC{0,400}") {
            prop_assert!(redact(&text.repeat(3), &[]).len() <= DETAIL_BYTES_MAX);
        }

        #[test]
        fn no_secret_behind_its_key_survives(secret in "[A-Za-z0-9]{8,20}") {
            let body = format!("oops {{\"client_secret\" : \"{secret}\"}} token={secret}");
            prop_assert!(!redact(&body, &[]).contains(&secret));
        }
    }
}
