//! Subscribe messages (facts: wechat-mini-program.md 2): checked against the registered templates, then counted.

use axum::response::Response;
use serde_json::{Value, json};

use super::{Call, Failure, failure, play};
use crate::credentials::{Template, credentials};
use crate::draw::draw;
use crate::fault::Endpoint;
use crate::world::event::Fact;

/// Who has this in the openid did not subscribe, and never will.
const REFUSES: &str = "REFUSED";

pub(super) async fn send(call: Call) -> Response {
    play(call, Endpoint::MiniSend, key, |world, asked| {
        if let Err(failure) = check(asked) {
            return Ok(Err(failure));
        }
        let content = draw(
            0,
            &[&asked["touser"].to_string(), &asked["template_id"].to_string(), &asked["data"].to_string()],
            0,
        );
        world.act(|scene| {
            scene.record(Fact::MessageSent { key: key(asked), content })?;
            Ok(Ok(json!({"msgid": scene.state().messages.len()})))
        })
    })
    .await
}

/// Receiver, template and what the message is about: its first `character_string`.
fn key(asked: &Value) -> String {
    let about = asked["data"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("character_string"))
        .min_by(|(one, _), (other, _)| one.cmp(other))
        .and_then(|(_, field)| field["value"].as_str())
        .unwrap_or_default();
    let text = |field: &str| asked[field].as_str().unwrap_or_default().to_owned();
    format!("{}|{}|{about}", text("touser"), text("template_id"))
}

fn check(asked: &Value) -> Result<(), Failure> {
    let openid = asked["touser"].as_str().unwrap_or_default();
    if openid.is_empty() {
        return Err(failure(40003, "invalid openid"));
    }
    let id = asked["template_id"].as_str().unwrap_or_default();
    let template = credentials().mini_program.templates.iter().find(|template| template.id == id);
    let template = template.ok_or_else(|| failure(40037, "invalid template_id"))?;
    check_data(template, &asked["data"])?;
    if openid.contains(REFUSES) {
        return Err(failure(43101, "user refuse to accept the msg"));
    }
    Ok(())
}

fn check_data(template: &Template, data: &Value) -> Result<(), Failure> {
    for field in template.fields {
        let value = data[field.key]["value"].as_str().unwrap_or_default();
        if value.is_empty() {
            return Err(failure(47003, format!("argument invalid! data.{}.value is empty", field.key)));
        }
        if !fits(field.key, value) {
            return Err(failure(47003, format!("argument invalid! data.{}.value invalid", field.key)));
        }
    }
    Ok(())
}

/// The limits of the field types that the templates use; a key is the type and a number.
fn fits(key: &str, value: &str) -> bool {
    let chars = value.chars().count();
    match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "thing" => chars <= 20,
        "character_string" => chars <= 32 && value.is_ascii(),
        "phrase" => chars <= 5,
        "amount" => is_amount(value),
        "time" => value.contains(':') && value.chars().any(|c| c.is_ascii_digit()),
        _ => true,
    }
}

/// A currency sign if any, up to ten digits, decimals if any, `元` if any.
fn is_amount(value: &str) -> bool {
    let number = value.strip_prefix(['¥', '￥', '$']).unwrap_or(value);
    let number = number.strip_suffix('元').unwrap_or(number);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(decimals) && whole.len() <= 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert!(fits("thing2", &"冰".repeat(20)));
        assert!(!fits("thing2", &"冰".repeat(21)));
        assert!(!fits("character_string1", "订单"));
        assert!(!fits("character_string1", &"1".repeat(33)));
    }

    #[test]
    fn an_amount_is_a_number_with_its_signs() {
        for good in ["¥1999.98", "12元", "0.50"] {
            assert!(fits("amount3", good), "{good}");
        }
        for bad in ["¥", "1,999.00", "12345678901", "twelve", "1."] {
            assert!(!fits("amount3", bad), "{bad}");
        }
    }

    #[test]
    fn a_message_is_about_its_first_character_string() {
        let asked = json!({"touser": "o", "template_id": "t",
            "data": {"character_string4": {"value": "SF1"}, "character_string1": {"value": "T1"}}});
        assert_eq!(key(&asked), "o|t|T1");
    }
}
