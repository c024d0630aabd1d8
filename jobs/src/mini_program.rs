//! The WeChat mini program's server calls: messages to customers, and shipping of what they paid for
//! (facts: wechat-mini-program.md).
//!
//! What a code means for each call is in `codes`; which template says what is not here.

mod codes;
mod fields;
mod shipping;
mod subscribe;
mod token;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use fields::{FieldFlaw, FieldKind, check, fit};
pub use shipping::{
    Contact, LogisticsType, ORDER_LIST_MAX, OrderPage, OrderState, PaidOrder, SHIPPING_LIST_MAX, Settled,
    ShippedOrder, ShippedParcel, ShippingUpload, Split, UploadAnswer, UploadedParcel, mask_phone, settle,
};
pub use subscribe::{MiniProgramState, Sent, SubscribeMessage};

use crate::outside::lenient::whole;
use crate::outside::{Call, Http, OutsideError, Secret, System};
use crate::token::{Attempt, Kept, Tokens, with_token};
use codes::{Class, Errcode};
use token::MiniProgramTokens;

#[derive(Clone, Debug)]
pub struct MiniProgramSettings {
    /// Without a slash at the end.
    pub base_url: String,
    pub appid: String,
    pub secret: Secret,
    pub token_timeout: Duration,
    pub call_timeout: Duration,
}

impl Default for MiniProgramSettings {
    /// Production without credentials.
    fn default() -> Self {
        Self {
            base_url: "https://api.weixin.qq.com".to_owned(),
            appid: String::new(),
            secret: Secret::default(),
            token_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(15),
        }
    }
}

/// The client of one mini program.
#[derive(Clone)]
pub struct MiniProgram {
    http: Http,
    tokens: Tokens,
    source: Arc<MiniProgramTokens>,
    settings: Arc<MiniProgramSettings>,
}

/// What came of a call: the answer, or a code that the call's class does not settle by itself.
enum Reply {
    Done(Box<RawValue>),
    /// It is as we want it already.
    Same,
    /// Ask `get_order`, then decide.
    Ask(Errcode),
}

#[derive(Deserialize)]
struct Head {
    #[serde(default, deserialize_with = "whole")]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

impl MiniProgram {
    pub fn new(http: Http, tokens: Tokens, settings: MiniProgramSettings) -> Self {
        let settings = Arc::new(settings);
        let source = Arc::new(MiniProgramTokens::new(http.clone(), settings.clone()));
        Self { http, tokens, source, settings }
    }

    /// Replaces the token when it would need it within `ahead`, and it is in use ([`Tokens::keep_alive`]).
    ///
    /// # Errors
    /// When a new one cannot be had.
    pub async fn keep_token(&self, ahead: Duration) -> Result<Kept, OutsideError> {
        self.tokens.keep_alive(&*self.source, ahead).await
    }

    fn read(&self, name: &'static str) -> Call {
        Call::read(System::MiniProgram, name, self.settings.call_timeout)
    }

    fn write(&self, name: &'static str) -> Call {
        Call::write(System::MiniProgram, name, self.settings.call_timeout)
    }

    /// Posts `body` (raw UTF-8); a refused token is replaced, never by force, and the call made once more.
    async fn ask(
        &self,
        call: &Call,
        path: &str,
        body: &str,
        class_of: impl Fn(i64) -> Class,
    ) -> Result<Reply, OutsideError> {
        with_token(&self.tokens, &*self.source, async |token| {
            let mut call = call.clone();
            call.hide.push(token.value.expose().to_owned());
            let url = format!("{}{path}", self.settings.base_url.trim_end_matches('/'));
            let url = Url::parse_with_params(&url, [("access_token", token.value.expose())]);
            let url = url.map_err(|error| call.misconfigured("bad_url", &error.to_string()))?;
            let request =
                self.http.post(url.as_str()).header(CONTENT_TYPE, "application/json; charset=utf-8");
            let answer = self.http.exchange(&call, request.body(body.to_owned())).await?;
            call.judge_status(&answer, self.http.clock())?;
            let head: Head = answer.json(&call)?;
            let errcode = Errcode { code: head.errcode, errmsg: head.errmsg };
            match class_of(errcode.code) {
                Class::Done => Ok(Reply::Done(answer.json(&call)?)),
                Class::Same => Ok(Reply::Same),
                Class::Ask => Ok(Reply::Ask(errcode)),
                Class::Token => Err(Attempt::TokenRefused(errcode.alarm(&call))),
                class => Err(errcode.fail(&call, class, self.http.clock()).into()),
            }
        })
        .await
    }
}
