//! WeChat Pay as a script: it makes bills, signs where they lie, and hands them out, sometimes badly.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::Value;
use windlass_engine::{Clock, JobError};
use windlass_jobs::ledger::Ledger;
use windlass_jobs::payments::FetchBill;
use windlass_jobs::payments::bill::BillType;
use windlass_jobs::payments::wechat_pay::{MerchantKey, WechatPaySettings};
use windlass_jobs::{Settings, Shop};
use windlass_testing::script::{Reply, Request, Script, status};
use windlass_testing::{TestShop, attempt};

use crate::made::MCHID;

const MERCHANT_KEY: &str = include_str!("../clients/keys/merchant_pkcs8.pem");
const PLATFORM_KEY: &str = include_str!("../clients/keys/platform_pkcs1.pem");
const PLATFORM_CERTIFICATE: &str = include_str!("../clients/keys/platform_certificate.pem");
const SERIAL: &str = "5E000000000000000000000000000000FACADE77";

/// What the bank says to the question for a bill.
#[derive(Clone)]
pub enum Word {
    Creating,
    NoStatement,
    File(String),
}

/// How one download goes wrong.
#[derive(Clone, Debug)]
pub enum Mishap {
    /// Other bytes than those that were vouched for.
    Changed,
    Torn,
    Expired(u16),
    Html,
}

#[derive(Default)]
struct Inside {
    words: HashMap<(BillType, String), Word>,
    mishaps: VecDeque<Mishap>,
    links: u64,
}

pub struct Bank {
    script: Script,
    inside: Arc<Mutex<Inside>>,
}

impl Bank {
    pub async fn open(clock: &Clock) -> Self {
        let inside = Arc::<Mutex<Inside>>::default();
        let (seen, clock) = (inside.clone(), clock.clone());
        let address = Arc::new(Mutex::new(String::new()));
        let own = address.clone();
        let script = Script::new(move |request| {
            answer(&mut seen.lock().unwrap(), &own.lock().unwrap(), &clock, request)
        })
        .await;
        *address.lock().unwrap() = script.url();
        Self { script, inside }
    }

    pub fn says(&self, kind: BillType, day: &str, word: Word) {
        self.inside.lock().unwrap().words.insert((kind, day.to_owned()), word);
    }

    /// The next downloads go wrong so.
    pub fn mishaps(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        self.inside.lock().unwrap().mishaps.extend(mishaps);
    }

    pub fn asked(&self) -> usize {
        self.script.requests_to("/v3/bill/tradebill").len()
            + self.script.requests_to("/v3/bill/fundflowbill").len()
    }

    pub fn downloads(&self) -> Vec<Request> {
        self.script.requests_to("/v3/billdownload/file")
    }

    /// A shop whose bank this is.
    pub fn shop(&self, ledger: &Ledger, settings: Settings) -> Shop {
        let pay = WechatPaySettings {
            base_url: self.script.url(),
            mchid: MCHID.into(),
            merchant_serial_no: "MERCHANT01".into(),
            merchant_key_pem: MERCHANT_KEY.into(),
            api_v3_key: "TESTONLYkey0123456789abcdefghijk".into(),
            platform_keys: [(SERIAL.to_owned(), PLATFORM_CERTIFICATE.to_owned())].into(),
            bill_timeout: Duration::from_secs(20),
            ..WechatPaySettings::default()
        };
        TestShop { wechat_pay: pay, ..TestShop::alone(settings) }.open(ledger)
    }
}

fn answer(inside: &mut Inside, url: &str, clock: &Clock, request: &Request) -> Reply {
    let query: HashMap<&str, &str> = request
        .target
        .split_once('?')
        .unwrap()
        .1
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let kind = match request.path() {
        "/v3/bill/tradebill" => BillType::Trade,
        "/v3/bill/fundflowbill" => BillType::Fund,
        _ => return hand_out(inside, query["token"]),
    };
    let day = query["bill_date"];
    let gzip = query.get("tar_type").is_some_and(|packing| *packing == "GZIP");
    let word = inside.words.get(&(kind, day.to_owned())).cloned().unwrap_or(Word::NoStatement);
    match word {
        Word::Creating => signed(clock, 400, r#"{"code":"STATEMENT_CREATING","message":"x"}"#),
        Word::NoStatement => signed(clock, 400, r#"{"code":"NO_STATEMENT_EXIST","message":"x"}"#),
        Word::File(text) => {
            inside.links += 1;
            let hash = sha1(text.as_bytes()).to_ascii_uppercase();
            let link =
                format!("{url}/v3/billdownload/file?token={}.{day}.{gzip}.{}", kind.as_str(), inside.links);
            let body = format!(r#"{{"hash_type":"SHA1","hash_value":"{hash}","download_url":"{link}"}}"#);
            signed(clock, 200, &body)
        }
    }
}

fn hand_out(inside: &mut Inside, token: &str) -> Reply {
    let mut parts = token.split('.');
    let (kind, day, gzip) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let number: u64 = parts.next().unwrap().parse().unwrap();
    if number != inside.links {
        return status(403, "an old link");
    }
    let Some(Word::File(text)) = inside.words.get(&(kind.parse().unwrap(), day.to_owned())) else {
        return status(404, "nothing here");
    };
    match inside.mishaps.pop_front() {
        Some(Mishap::Changed) => packed(&text.replacen("0.00", "0.01", 1), gzip),
        Some(Mishap::Torn) => Reply::Torn(text[..text.floor_char_boundary(300)].to_owned()),
        Some(Mishap::Expired(code)) => status(code, "expired"),
        Some(Mishap::Html) => packed("<html><body>busy</body></html>", gzip),
        None => packed(text, gzip),
    }
}

fn packed(text: &str, gzip: &str) -> Reply {
    if gzip == "false" {
        return Reply::Bytes(text.as_bytes().to_vec());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    Reply::Bytes(encoder.finish().unwrap())
}

pub fn sha1(bytes: &[u8]) -> String {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signed(clock: &Clock, code: u16, body: &str) -> Reply {
    let key = MerchantKey::from_pem(SERIAL, PLATFORM_KEY).unwrap();
    let timestamp = clock.now().secs();
    let nonce = "0123456789abcdef0123456789abcdef";
    status(code, body)
        .with("Wechatpay-Serial", SERIAL)
        .with("Wechatpay-Timestamp", timestamp.to_string())
        .with("Wechatpay-Nonce", nonce)
        .with("Wechatpay-Signature", key.sign(&format!("{timestamp}\n{nonce}\n{body}\n")))
}

/// Runs one attempt.
pub async fn run(shop: &Shop, job: FetchBill) -> Result<Value, JobError> {
    Ok(attempt(shop, job, 1).await?.into_parts().0.unwrap_or_default())
}

/// Runs one attempt at one bill.
pub async fn fetch(shop: &Shop, day: &str, kind: BillType) -> Result<Value, JobError> {
    run(shop, FetchBill { day: Some(day.to_owned()), kind: Some(kind) }).await
}

/// The payloads of the jobs of a kind that wait in the outbox, the oldest first.
pub async fn waiting(ledger: &Ledger, kind: &str) -> Vec<Value> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT envelope FROM outbox WHERE kind = $1 ORDER BY position, id")
            .bind(kind)
            .fetch_all(ledger.reads())
            .await
            .unwrap();
    rows.iter()
        .map(|(envelope,)| serde_json::from_str::<Value>(envelope).unwrap()["payload"].clone())
        .collect()
}
