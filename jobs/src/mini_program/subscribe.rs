//! Subscribe messages: one word to a customer who agreed to it, once (facts: wechat-mini-program.md 2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::codes::of_subscribe;
use super::{MiniProgram, Reply, check};
use crate::outside::OutsideError;
use crate::outside::lenient::maybe_text;

#[derive(Clone, PartialEq, Eq)]
pub struct SubscribeMessage {
    pub openid: String,
    pub template_id: String,
    /// A page of the mini program, with parameters; none for no jump.
    pub page: Option<String>,
    pub state: MiniProgramState,
    /// By field key (`thing1`).
    pub data: BTreeMap<String, String>,
}

/// Shows which message it is, and neither to whom nor what it says.
impl std::fmt::Debug for SubscribeMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscribeMessage").field("template_id", &self.template_id).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MiniProgramState {
    Developer,
    Trial,
    #[default]
    Formal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// WeChat's number of the message, where it gives one.
    pub msgid: Option<String>,
}

impl MiniProgram {
    /// Sends a message. It can neither be asked for afterwards nor be told twice.
    ///
    /// # Errors
    /// `Refused` with `43101` when the customer did not agree (final, and normal); `Misconfigured` with
    /// `invalid_data` when a value does not fit its field and nothing was sent; `InDoubt` when it may have been
    /// delivered.
    pub async fn subscribe_send(&self, message: &SubscribeMessage) -> Result<Sent, OutsideError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default, deserialize_with = "maybe_text")]
            msgid: Option<String>,
        }
        let hidden = [message.openid.as_str()].into_iter().chain(message.data.values().map(String::as_str));
        let call = self.write("subscribe_send").hiding(hidden);
        for (key, value) in &message.data {
            check(key, value).map_err(|flaw| call.misconfigured("invalid_data", &flaw.to_string()))?;
        }
        let body = message.to_json().to_string();
        let work = async {
            match self.ask(&call, "/cgi-bin/message/subscribe/send", &body, of_subscribe).await? {
                // The message is sent, whatever else the answer holds.
                Reply::Done(raw) => {
                    Ok(Sent { msgid: serde_json::from_str::<Wire>(raw.get()).ok().and_then(|w| w.msgid) })
                }
                Reply::Same => Ok(Sent { msgid: None }),
                Reply::Ask(errcode) => Err(call.lost(&errcode.to_string())),
            }
        };
        self.http.measured(&call, work).await
    }
}

impl SubscribeMessage {
    fn to_json(&self) -> Value {
        let data: BTreeMap<&str, Value> =
            self.data.iter().map(|(key, value)| (key.as_str(), json!({ "value": value }))).collect();
        let mut body = json!({
            "touser": self.openid,
            "template_id": self.template_id,
            "miniprogram_state": self.state,
            "lang": "zh_CN",
            "data": data,
        });
        if let Some(page) = &self.page {
            body["page"] = json!(page);
        }
        body
    }
}
