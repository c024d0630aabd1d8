//! A day's bill: where it lies, and its bytes (facts: wechat-pay.md 10).
//!
//! What the lines say is read elsewhere. The bytes are handed on as they come, and whether they are WeChat's own is
//! known at their end; memory stays flat however long the file is.

use std::collections::VecDeque;
use std::io::Write as _;

use chrono::NaiveDate;
use flate2::write::MultiGzDecoder;
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, Url};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use serde::Deserialize;

use super::{Reply, WechatPay};
use crate::outside::{Call, Fault, OutsideError, Secret, System, same_bytes};

/// Packed bytes that are unpacked at once: what they may grow to is a thousand times as much.
const UNPACKED_AT_ONCE: usize = 8 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillKind {
    TradeAll,
    TradeSuccess,
    TradeRefund,
    FundFlowBasic,
    FundFlowOperation,
    FundFlowFees,
}

/// How the file travels; the hash is of what it unpacks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    #[default]
    Plain,
    /// `tar_type=GZIP`.
    Gzip,
}

impl BillKind {
    fn target(self, day: NaiveDate, packing: Packing) -> String {
        let (path, kind) = match self {
            BillKind::TradeAll => ("tradebill", "bill_type=ALL"),
            BillKind::TradeSuccess => ("tradebill", "bill_type=SUCCESS"),
            BillKind::TradeRefund => ("tradebill", "bill_type=REFUND"),
            BillKind::FundFlowBasic => ("fundflowbill", "account_type=BASIC"),
            BillKind::FundFlowOperation => ("fundflowbill", "account_type=OPERATION"),
            BillKind::FundFlowFees => ("fundflowbill", "account_type=FEES"),
        };
        let packed = if packing == Packing::Gzip { "&tar_type=GZIP" } else { "" };
        format!("/v3/bill/{path}?bill_date={}&{kind}{packed}", day.format("%Y-%m-%d"))
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
    /// SHA1 of the unpacked bytes, 40 hexadecimal digits in lower case.
    pub sha1: String,
    pub packing: Packing,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum DownloadError {
    /// `Unavailable` when the link has run out, the stream broke off or does not unpack: ask for a fresh link.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// The bytes are not those that WeChat's signed answer vouches for.
    #[error("the file's SHA1 is {found}, and WeChat says {said}")]
    WrongHash { said: String, found: String },
    #[error("the file has more than {bytes_max} bytes")]
    TooLong { bytes_max: u64 },
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    hash_type: String,
    hash_value: String,
    download_url: String,
}

/// A file on its way. Until [`BillDownload::next`] has said that it is over, nothing of it counts.
pub struct BillDownload {
    call: Call,
    response: Option<reqwest::Response>,
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    waiting: VecDeque<Vec<u8>>,
    /// None: it was compared.
    sha1: Option<Context>,
    said: String,
    bytes: u64,
    bytes_max: u64,
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
    pub async fn request_bill(
        &self,
        day: NaiveDate,
        kind: BillKind,
        packing: Packing,
    ) -> Result<BillAnswer, OutsideError> {
        let call = self.read("request_bill");
        let work = async {
            match self.ask(&call, Method::GET, &kind.target(day, packing), None).await? {
                Reply::Done(answer) => {
                    let wire: Wire = answer.json(&call)?;
                    if !wire.hash_type.is_empty() && !wire.hash_type.eq_ignore_ascii_case("SHA1") {
                        return Err(call.refused("hash_type", &wire.hash_type));
                    }
                    let url = Secret::new(wire.download_url);
                    let sha1 = wire.hash_value.trim().to_ascii_lowercase();
                    Ok(BillAnswer::Ready(BillLink { url, sha1, packing }))
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

    /// Begins to download a bill of at most `bytes_max` unpacked bytes.
    ///
    /// # Errors
    /// `Unavailable` when the link has run out: ask for a fresh one.
    pub async fn download_bill(
        &self,
        link: &BillLink,
        bytes_max: u64,
    ) -> Result<BillDownload, DownloadError> {
        let call = Call::read(System::WechatPay, "download_bill", self.settings.bill_timeout);
        let call = self.hiding(call).hiding([link.url.expose()]);
        let response = self.open_bill(&call, link).await?;
        Ok(BillDownload {
            call,
            response: Some(response),
            decoder: (link.packing == Packing::Gzip).then(|| MultiGzDecoder::new(Vec::new())),
            waiting: VecDeque::new(),
            sha1: Some(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            said: link.sha1.clone(),
            bytes: 0,
            bytes_max,
        })
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

impl BillDownload {
    /// The next unpacked bytes; none at the end, when the whole file was what WeChat vouches for.
    ///
    /// # Errors
    /// Nothing of the file counts then.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, DownloadError> {
        loop {
            if let Some(bytes) = self.waiting.pop_front() {
                return Ok(Some(bytes));
            }
            let Some(response) = &mut self.response else {
                return self.compare().map(|()| None);
            };
            match response.chunk().await.map_err(|error| self.call.torn(error))? {
                Some(packed) => self.unpack(&packed)?,
                None => self.end()?,
            }
        }
    }

    fn unpack(&mut self, packed: &[u8]) -> Result<(), DownloadError> {
        if self.decoder.is_none() {
            return self.take(packed.to_vec());
        }
        for part in packed.chunks(UNPACKED_AT_ONCE) {
            let Some(decoder) = &mut self.decoder else { break };
            decoder.write_all(part).map_err(|error| does_not_unpack(&self.call, &error))?;
            let bytes = std::mem::take(decoder.get_mut());
            self.take(bytes)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), DownloadError> {
        self.response = None;
        let Some(decoder) = self.decoder.take() else { return Ok(()) };
        let rest = decoder.finish().map_err(|error| does_not_unpack(&self.call, &error))?;
        self.take(rest)
    }

    fn take(&mut self, bytes: Vec<u8>) -> Result<(), DownloadError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(DownloadError::TooLong { bytes_max: self.bytes_max });
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(&bytes);
        }
        if !bytes.is_empty() {
            self.waiting.push_back(bytes);
        }
        Ok(())
    }

    /// The answer is not signed: this hash, which was, is all that vouches for it.
    fn compare(&mut self) -> Result<(), DownloadError> {
        let Some(sha1) = self.sha1.take() else { return Ok(()) };
        let found: String = sha1.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if same_bytes(found.as_bytes(), self.said.as_bytes()) {
            return Ok(());
        }
        Err(DownloadError::WrongHash { said: self.said.clone(), found })
    }
}

fn does_not_unpack(call: &Call, error: &std::io::Error) -> OutsideError {
    call.doubtful(&format!("the bill does not unpack: {error}"))
}
