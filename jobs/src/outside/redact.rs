//! What may be written down of what the outside said, and of what goes into a log.
//!
//! Secrets, tokens, phones, names and addresses must not reach an error or a log (facts: haier.md 10.1). Values
//! that are known to a call are handed in and struck out; of the rest, what stands behind a telling key, what a parser
//! quotes of a value, and what tells itself by its form (mobile numbers, mail addresses, openids, JWTs, our own keys)
//! are. A name without a key before it is not known by its form: whoever writes a line leaves it out.

/// Longest detail of an error, in bytes.
pub const DETAIL_BYTES_MAX: usize = 500;

const STRUCK: &str = "***";
/// Only this much of a text is looked at: what is behind cannot come into the detail.
const LOOKED_AT_BYTES_MAX: usize = 16 * 1024;
/// A key is telling when it ends so, without regard to case, `_` and `-`.
const TELLING: [&str; 25] = [
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
    "consignee",
    "customername",
    "realname",
    "receivedaccount",
    "bankaccount",
    "bankcard",
    "idcard",
];
/// Values shorter than this many characters are too common to be struck out wherever they stand.
const HIDDEN_CHARS_MIN: usize = 2;
const JWT_BYTES_MIN: usize = 20;
/// An openid has 28 characters and begins with an o (facts: wechat-mini-program.md).
const OPENID_BYTES: usize = 28;
/// How our own keys and the secrets of webhooks begin; what is shorter is no more than such a beginning.
const KEYS: [&str; 2] = ["wl_", "whsec_"];
const KEY_BYTES_MIN: usize = 24;
/// What serde puts before a value that it quotes, and the quote.
const QUOTED_BY_PARSERS: [(&str, char); 6] = [
    ("string ", '"'),
    ("character ", '`'),
    ("integer ", '`'),
    ("floating point ", '`'),
    ("unknown variant ", '`'),
    ("byte array ", '"'),
];

/// `text` without secrets and personal data, in one line of at most [`DETAIL_BYTES_MAX`] bytes.
pub fn redact(text: &str, hide: &[String]) -> String {
    let mut out = cut(text, LOOKED_AT_BYTES_MAX).to_owned();
    for value in hide {
        if value.chars().count() >= HIDDEN_CHARS_MIN {
            out = out.replace(value.as_str(), STRUCK);
        }
    }
    out = strike(&out);
    let one_line: String = out.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(one_line.trim(), DETAIL_BYTES_MAX).to_owned()
}

/// A whole line of a log without what tells itself: the last net under everything that is logged. A line of JSON stays
/// one.
pub fn strike(line: &str) -> String {
    strike_runs(&strike_values(&strike_quoted(line)))
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
        let key = key_before(&head[..at]);
        if let Some(telling) = TELLING.iter().find(|telling| key.ends_with(**telling)) {
            let (opening, left) = after_value(rest, *telling == "authorization");
            out.push_str(opening);
            // A bare number behind a key of JSON becomes a text, so that the line stays JSON.
            let in_json = is_json_key(&head[..at]) && !opening.contains('"');
            out.push_str(if in_json { "\"***\"" } else { STRUCK });
            rest = left;
        }
    }
    out.push_str(rest);
    out
}

/// The end of `text` as a key is compared: as long as the longest telling one, with room for `_`.
fn key_before(text: &str) -> String {
    const BYTES_MAX: usize = 40;
    let text = text.trim_end_matches(['"', '\'', '\\', ' ']);
    let from = text.ceil_char_boundary(text.len().saturating_sub(BYTES_MAX));
    text[from..].chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_json_key(text: &str) -> bool {
    text.strip_suffix('"').is_some_and(|key| !key.ends_with('\\'))
}

/// Splits what follows a key into the opening (blanks, quote), which is kept, and what follows the value.
fn after_value(text: &str, to_end_of_line: bool) -> (&str, &str) {
    let blanks = text.len() - text.trim_start_matches(' ').len();
    let escapes = text[blanks..].len() - text[blanks..].trim_start_matches('\\').len();
    let quote = text[blanks + escapes..].chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        let (opening, value) = text.split_at(blanks);
        let end = value.find(|c: char| {
            let ends = matches!(c, '\n' | '\r' | '"' | '\\');
            ends || (!to_end_of_line && (c.is_whitespace() || matches!(c, '&' | ',' | '}' | ']')))
        });
        return (opening, &value[end.unwrap_or(value.len())..]);
    };
    let (opening, value) = text.split_at(blanks + escapes + quote.len_utf8());
    (opening, &value[end_of_quoted(value, quote, escapes)..])
}

/// Strikes out what a parser quotes of what it could not read, escaped once or more, as a text within JSON is.
fn strike_quoted(text: &str) -> String {
    let mut out = text.to_owned();
    for (before, quote) in QUOTED_BY_PARSERS {
        if !out.contains(before) {
            continue;
        }
        let (mut struck, mut rest) = (String::with_capacity(out.len()), out.as_str());
        while let Some(at) = rest.find(before) {
            let (head, tail) = rest.split_at(at + before.len());
            struck.push_str(head);
            rest = tail;
            let escapes = tail.len() - tail.trim_start_matches('\\').len();
            let Some(value) = tail[escapes..].strip_prefix(quote) else { continue };
            struck.push_str(&tail[..escapes + quote.len_utf8()]);
            struck.push_str(STRUCK);
            rest = &value[end_of_quoted(value, quote, escapes)..];
        }
        struck.push_str(rest);
        out = struck;
    }
    out
}

/// Where the quote stands that is escaped as often as the first one was, with its escapes. None: all of it is quoted.
fn end_of_quoted(value: &str, quote: char, escapes: usize) -> usize {
    let found = value.match_indices(quote).find_map(|(at, _)| {
        let before = &value[..at];
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        // Within the value an even number more of them are backslashes of its own.
        (backslashes >= escapes && (backslashes - escapes).is_multiple_of(2 * (escapes + 1)))
            .then_some(at - escapes)
    });
    found.unwrap_or(value.len())
}

/// Strikes out mobile numbers (11 digits, 13.. to 19..), mail addresses, openids, JWTs (`eyJ..`) and keys, wherever they
/// stand.
fn strike_runs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '+');
    while let Some(start) = rest.find(in_run) {
        let (before, run) = rest.split_at(start);
        let (run, after) = run.split_at(run.find(|c| !in_run(c)).unwrap_or(run.len()));
        out.push_str(before);
        let is_telling = is_mobile(run) || is_mail(run) || is_openid(run) || is_key(run);
        out.push_str(if is_telling { STRUCK } else { run });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_openid(run: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    run.len() == OPENID_BYTES && run.starts_with('o') && run.bytes().all(fits)
}

fn is_key(run: &str) -> bool {
    let is_jwt = run.len() > JWT_BYTES_MIN && run.starts_with("eyJ");
    is_jwt || (run.len() >= KEY_BYTES_MIN && KEYS.iter().any(|start| run.starts_with(start)))
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

    #[test]
    fn what_tells_itself_is_struck_out_wherever_it_stands() {
        let key = format!("wl_0123456789ab_{}", "c0ffee".repeat(8));
        let line = format!("{key} by shop (0123456789ab) for oABCDEFGHIJKLMNOPQRSTUVWXYZ1 whsec_{key}");
        assert_eq!(strike(&line), "*** by shop (0123456789ab) for *** ***");
        let named = "user_received_account=招商银行0403, consignee: 王小明 x";
        assert_eq!(strike(named), "user_received_account=***, consignee: *** x");
    }

    #[test]
    fn what_a_parser_quotes_is_struck_out_however_often_it_is_escaped() {
        let raw = r#"invalid type: string "王\"小明", expected i64 at line 1"#;
        assert_eq!(strike(raw), r#"invalid type: string "***", expected i64 at line 1"#);
        let within = serde_json::json!({ "error": raw, "id": "J-1" }).to_string();
        let seen: serde_json::Value = serde_json::from_str(&strike(&within)).unwrap();
        assert_eq!(seen["error"], r#"invalid type: string "***", expected i64 at line 1"#);
        assert_eq!(seen["id"], "J-1");
        assert_eq!(strike("unknown variant `王小明`, expected `a`"), "unknown variant `***`, expected `a`");
    }

    proptest! {
        #[test]
        fn a_line_of_json_stays_one_and_what_is_within_is_struck_out(
            name in "\\PC{1,20}", number in 13_000_000_000_u64..19_999_999_999, after in "\\PC{0,40}",
        ) {
            let body = serde_json::json!({ "consigneeName": name, "mobile": number, "x": after }).to_string();
            let message = format!("HTTP 500: {body}");
            let line = serde_json::json!({ "message": message, "phone": number, "ms": 5 }).to_string();
            let seen: serde_json::Value = serde_json::from_str(&strike(&line)).unwrap();
            prop_assert_eq!(&seen["ms"], 5);
            prop_assert_eq!(&seen["phone"], "***");
            prop_assert!(!strike(&line).contains(&number.to_string()));
        }

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
