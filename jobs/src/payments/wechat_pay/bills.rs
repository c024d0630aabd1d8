//! A day's bill: where it lies, and its bytes (facts: wechat-pay.md 10).
//!
//! What the lines say is read elsewhere. The file is asked for uncompressed, so that its hash can be checked
//! while it streams; memory stays flat however long it is.

use std::io;

use chrono::NaiveDate;
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, Url};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use serde::Deserialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Reply, WechatPay};
use crate::outside::{Call, Fault, OutsideError, Secret, System, same_bytes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillKind {
    TradeAll,
    TradeSuccess,
    TradeRefund,
    FundFlowBasic,
    FundFlowOperation,
    FundFlowFees,
}

impl BillKind {
    fn target(self, day: NaiveDate) -> String {
        let (path, kind) = match self {
            BillKind::TradeAll => ("tradebill", "bill_type=ALL"),
            BillKind::TradeSuccess => ("tradebill", "bill_type=SUCCESS"),
            BillKind::TradeRefund => ("tradebill", "bill_type=REFUND"),
            BillKind::FundFlowBasic => ("fundflowbill", "account_type=BASIC"),
            BillKind::FundFlowOperation => ("fundflowbill", "account_type=OPERATION"),
            BillKind::FundFlowFees => ("fundflowbill", "account_type=FEES"),
        };
        format!("/v3/bill/{path}?bill_date={}&{kind}", day.format("%Y-%m-%d"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BillAnswer {
    Ready(BillLink),
    /// Ask again in half an hour.
    Creating,
    /// There was no trade on that day.
    NoStatement,
}

/// Where a bill lies, for some minutes: ask anew for each try, and do not store it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLink {
    /// Holds a token.
    pub url: Secret,
    /// SHA1 of the bytes, 40 hexadecimal digits.
    pub sha1: String,
}

#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error(transparent)]
    Outside(#[from] OutsideError),
    #[error("the bill cannot be written: {0}")]
    Write(#[from] io::Error),
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    hash_type: String,
    hash_value: String,
    download_url: String,
}

impl WechatPay {
    /// Whose bills these are.
    pub fn mchid(&self) -> &str {
        &self.settings.mchid
    }

    /// Asks for a day's bill, after ten o'clock (Beijing) of the next day.
    ///
    /// # Errors
    /// As every read.
    pub async fn request_bill(&self, day: NaiveDate, kind: BillKind) -> Result<BillAnswer, OutsideError> {
        let call = self.read("request_bill");
        let work = async {
            match self.ask(&call, Method::GET, &kind.target(day), None).await? {
                Reply::Done(answer) => {
                    let wire: Wire = answer.json(&call)?;
                    if !wire.hash_type.is_empty() && !wire.hash_type.eq_ignore_ascii_case("SHA1") {
                        return Err(call.refused("hash_type", &wire.hash_type));
                    }
                    let url = Secret::new(wire.download_url);
                    Ok(BillAnswer::Ready(BillLink { url, sha1: wire.hash_value.to_ascii_lowercase() }))
                }
                Reply::No(error) => match error.code.as_str() {
                    "STATEMENT_CREATING" => Ok(BillAnswer::Creating),
                    "NO_STATEMENT_EXIST" => Ok(BillAnswer::NoStatement),
                    _ => Err(error.class(&call, self.http.clock())),
                },
            }
        };
        self.http.measured(&call, work).await
    }

    /// Streams a bill into `into`; how many bytes it had. What was written counts only when this succeeds.
    ///
    /// # Errors
    /// `Unavailable` when the link has run out, the stream broke off, or the bytes are not those of the hash:
    /// ask for a fresh link. `Refused` with `too_long` beyond `bytes_max`.
    pub async fn download_bill(
        &self,
        link: &BillLink,
        into: &mut (impl AsyncWrite + Unpin),
        bytes_max: u64,
    ) -> Result<u64, DownloadError> {
        let call = Call::read(System::WechatPay, "download_bill", self.settings.bill_timeout);
        let call = self.hiding(call).hiding([link.url.expose()]);
        let mut response = self.open_bill(&call, link).await?;
        let (mut sha1, mut bytes) = (Context::new(&SHA1_FOR_LEGACY_USE_ONLY), 0_u64);
        while let Some(chunk) = response.chunk().await.map_err(|error| call.torn(error))? {
            bytes += chunk.len() as u64;
            if bytes > bytes_max {
                return Err(call
                    .refused("too_long", &format!("a bill of more than {bytes_max} bytes"))
                    .into());
            }
            sha1.update(&chunk);
            into.write_all(&chunk).await?;
        }
        into.flush().await?;
        let found: String = sha1.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        // The answer is not signed: this hash, which was, is all that vouches for it.
        if !same_bytes(found.as_bytes(), link.sha1.as_bytes()) {
            return Err(call.doubtful(&format!("the bill's SHA1 is {found}, not {}", link.sha1)).into());
        }
        Ok(bytes)
    }

    async fn open_bill(&self, call: &Call, link: &BillLink) -> Result<reqwest::Response, OutsideError> {
        let url =
            Url::parse(link.url.expose()).map_err(|error| call.lost(&format!("download_url: {error}")))?;
        let authorization = self.authorization(&Method::GET, &url, "");
        let request = self.http.get(url.as_str()).header(AUTHORIZATION, authorization);
        let response = self.http.open(call, request).await?;
        match response.status().as_u16() {
            200 => Ok(response),
            429 => Err(call.fail(Fault::Throttled { retry_after: None }, "HTTP 429")),
            status => Err(call.lost(&format!("HTTP {status} for a download link"))),
        }
    }
}
