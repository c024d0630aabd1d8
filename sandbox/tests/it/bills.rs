//! Bills, read by a small reader of our own. facts: wechat-pay.md 10.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};
use windlass_engine::{Clock, Timestamp};
use windlass_sandbox::Config;

use crate::shop::{Desk, NOON, Shop, client};
use crate::wechat_pay::{Asked, REFUNDS, ask, query, refund, send};

const HOUR: Duration = Duration::from_secs(3_600);
pub const TRADE: &str = "/v3/bill/tradebill?bill_date=2026-01-05";
pub const FUND: &str = "/v3/bill/fundflowbill?bill_date=2026-01-05";

/// A file as a reader sees it: each line by the names of its columns.
pub struct File {
    pub bytes: Vec<u8>,
    pub columns: Vec<String>,
    pub lines: Vec<Vec<String>>,
    pub summary: Vec<String>,
}

impl File {
    pub fn read(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let mut lines: Vec<&str> = text.split_terminator("\r\n").collect();
        let values = |line: &str| line.strip_prefix('`').unwrap().split(",`").map(str::to_owned).collect();
        let summary = values(lines.pop().unwrap());
        assert!(lines.pop().unwrap().starts_with('总') || text.contains("资金流水总笔数"));
        let columns = lines.remove(0).split(',').map(str::to_owned).collect();
        Self { columns, lines: lines.into_iter().map(values).collect(), summary, bytes }
    }

    pub fn column(&self, name: &str) -> Vec<&str> {
        let nth = self.columns.iter().position(|column| column == name).unwrap();
        self.lines.iter().map(|line| line[nth].as_str()).collect()
    }

    pub fn line(&self, name: &str, value: &str) -> Option<&Vec<String>> {
        let nth = self.columns.iter().position(|column| column == name).unwrap();
        self.lines.iter().find(|line| line[nth] == value)
    }

    pub fn sum(&self, name: &str) -> i64 {
        self.column(name).into_iter().map(e5).sum()
    }

    /// Whether the summary is what the rows of this trade bill add up to.
    pub fn sums(&self) -> bool {
        let sums = ["应结订单金额", "退款金额", "充值券退款金额", "手续费", "订单金额", "申请退款金额"];
        let printed: Vec<i64> = self.summary[1..].iter().map(|value| e5(value)).collect();
        self.summary[0] == self.lines.len().to_string()
            && printed == sums.iter().map(|name| self.sum(name)).collect::<Vec<_>>()
    }

    /// Where the running balance of this fund flow bill does not follow from the line before.
    pub fn breaks(&self) -> usize {
        let flows = self.column("收支金额(元)").into_iter().zip(self.column("收支类型"));
        let flows: Vec<i64> =
            flows.map(|(sum, way)| if way == "收入" { e5(sum) } else { -e5(sum) }).collect();
        let balances: Vec<i64> = self.column("账户结余(元)").into_iter().map(e5).collect();
        (1..balances.len()).filter(|nth| balances[nth - 1] + flows[*nth] != balances[*nth]).count()
    }
}

/// In 1/100000 yuan.
fn e5(text: &str) -> i64 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{fraction:0<5}");
    sign * (whole.parse::<i64>().unwrap() * 100_000 + fraction.parse::<i64>().unwrap())
}

pub async fn link(shop: &Shop, path: &str) -> (u16, Value) {
    ask(shop, Asked { stamp: shop.clock.now().secs(), ..Asked::get(path) }).await
}

pub async fn download(shop: &Shop, url: &str) -> reqwest::Response {
    let path = url.strip_prefix(&shop.at().wechat_pay).unwrap();
    send(shop, &Asked { stamp: shop.clock.now().secs(), ..Asked::get(path) }).await
}

/// The link's hash, and the bytes.
pub async fn fetch(shop: &Shop, path: &str) -> (String, Vec<u8>) {
    let (status, link) = link(shop, path).await;
    assert_eq!((status, &link["hash_type"]), (200, &json!("SHA1")), "{link}");
    let answer = download(shop, link["download_url"].as_str().unwrap()).await;
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("wechatpay-signature"));
    (link["hash_value"].as_str().unwrap().to_owned(), answer.bytes().await.unwrap().to_vec())
}

pub fn sha1(bytes: &[u8]) -> String {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file whose hash is right.
pub async fn file(shop: &Shop, path: &str) -> File {
    let (hash, bytes) = fetch(shop, path).await;
    assert_eq!(hash, sha1(&bytes));
    File::read(bytes)
}

/// Until the next day's eleven o'clock, when bills are given out.
pub fn next_morning(shop: &Shop) {
    shop.clock.advance(23 * HOUR);
}

/// Three payments and two refunds on the fifth of January, one refund of which is on its way when the bill is made.
async fn a_day(shop: &Shop) {
    for (number, fen) in [("T10001", 1_000), ("T10002", 199_998), ("T10003", 83)] {
        shop.be_paid(number, fen).await;
    }
    let asked = Asked::post(REFUNDS, &refund("R1", 400));
    assert_eq!(ask(shop, asked).await.0, 200);
    shop.clock.advance(Duration::from_secs(600));
    shop.until(|truth| truth.refunds.succeeded == 1).await;
}

#[tokio::test]
async fn the_bills_of_a_day_add_up_and_agree() {
    let shop = Shop::open().await;
    a_day(&shop).await;
    next_morning(&shop);
    let all = file(&shop, TRADE).await;
    assert_eq!((all.lines.len(), all.columns.len()), (4, 27));
    assert!(all.lines.iter().all(|line| line.len() == 27) && all.sums());
    assert_eq!(all.column("订单金额"), ["10.00", "1999.98", "0.83", "0.00"]);
    assert_eq!(all.column("手续费"), ["0.06000", "12.00000", "0.00000", "-0.02000"]);
    assert_eq!(all.column("交易状态"), ["SUCCESS", "SUCCESS", "SUCCESS", "REFUND"]);
    assert_eq!(all.column("退款状态"), ["", "", "", "SUCCESS"]);
    assert_eq!(all.column("交易时间")[0], "2026-01-05 12:00:00");

    let success = file(&shop, &format!("{TRADE}&bill_type=SUCCESS")).await;
    assert_eq!((success.lines.len(), success.columns.len(), success.lines[0].len()), (3, 20, 20));
    assert_eq!(success.summary, ["3", "2010.81", "12.06000", "2010.81"]);
    let refunds = file(&shop, &format!("{TRADE}&bill_type=REFUND")).await;
    assert_eq!((refunds.lines.len(), refunds.columns.len(), refunds.lines[0].len()), (1, 29, 29));
    assert!(refunds.sums() && refunds.column("退款成功时间")[0].starts_with("2026-01-05 12:"));

    let fund = file(&shop, FUND).await;
    // A fee of nothing has no line.
    assert_eq!((fund.lines.len(), fund.columns.len(), fund.breaks()), (7, 11, 0));
    assert_eq!(fund.summary, ["7", "4", "2010.83", "3", "16.06"]);
    for number in all.column("微信订单号").iter().take(3) {
        assert!(fund.line("微信支付业务单号", number).is_some(), "no income for {number}");
    }
}

#[tokio::test]
async fn a_bill_stays_as_it_was_made() {
    let shop = Shop::open_with(|config| config.pace.refund = windlass_sandbox::Span::hours(22, 22)).await;
    shop.be_paid("T10001", 1_000).await;
    assert_eq!(ask(&shop, Asked::post(REFUNDS, &refund("R1", 400))).await.0, 200);
    // The refund ends at ten of the next day, after the bill was made.
    next_morning(&shop);
    shop.until(|truth| truth.refunds.succeeded == 1).await;
    let first = file(&shop, TRADE).await;
    assert_eq!(first.column("退款状态"), ["", "PROCESSING"]);
    shop.clock.advance(24 * HOUR);
    assert_eq!(file(&shop, TRADE).await.bytes, first.bytes);
}

#[tokio::test]
async fn the_balance_of_a_day_goes_on_where_the_day_before_ended() {
    let shop = Shop::open().await;
    a_day(&shop).await;
    next_morning(&shop);
    shop.be_paid("T20001", 5_000).await;
    next_morning(&shop);
    let (first, second) = (file(&shop, FUND).await, file(&shop, &FUND.replace("05", "06")).await);
    let last = e5(first.column("账户结余(元)").last().unwrap());
    assert_eq!(e5(second.column("账户结余(元)")[0]), last + 5_000_000);
}

#[tokio::test]
async fn a_day_is_cut_at_midnight_in_beijing() {
    let midnight = Timestamp::from_secs(NOON.secs() + 12 * 3_600);
    let shop = Shop::open_with(|config| {
        *config = Config {
            callbacks: config.callbacks.clone(),
            ..Config::new(Clock::by_hand(midnight - Duration::from_secs(1)), 7)
        };
    })
    .await;
    shop.be_paid("T10001", 100).await;
    shop.clock.advance(Duration::from_secs(1));
    shop.be_paid("T10002", 100).await;
    shop.clock.advance(35 * HOUR);
    assert_eq!(file(&shop, TRADE).await.column("交易时间"), ["2026-01-05 23:59:59"]);
    assert_eq!(file(&shop, &TRADE.replace("05", "06")).await.column("交易时间"), ["2026-01-06 00:00:00"]);
}

#[tokio::test]
async fn a_bill_is_given_out_from_ten_o_clock_on_and_there_is_none_of_a_day_without_trade() {
    let shop = Shop::open().await;
    a_day(&shop).await;
    let code = async |path: &str| {
        let (status, body) = link(&shop, path).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(code(TRADE).await, (400, "STATEMENT_CREATING".into()));
    shop.clock.advance(21 * HOUR);
    assert_eq!(code(TRADE).await, (400, "STATEMENT_CREATING".into()));
    shop.clock.advance(HOUR);
    assert_eq!(code(TRADE).await.0, 200);
    assert_eq!(code(&TRADE.replace("05", "04")).await, (400, "NO_STATEMENT_EXIST".into()));
    assert_eq!(code(&FUND.replace("05", "04")).await, (400, "NO_STATEMENT_EXIST".into()));
    assert_eq!(code(&format!("{FUND}&account_type=FEES")).await, (400, "NO_STATEMENT_EXIST".into()));
    for wrong in [
        TRADE.replace("01-05", "1-5"),
        TRADE.replace("2026", "2027"),
        TRADE.replace("2026", "2025"),
        format!("{TRADE}&bill_type=SOME"),
        format!("{TRADE}&tar_type=ZIP"),
        "/v3/bill/tradebill".to_owned(),
    ] {
        assert_eq!(code(&wrong).await, (400, "PARAM_ERROR".into()), "{wrong}");
    }
}

#[tokio::test]
async fn a_compressed_file_has_the_hash_of_its_bytes_uncompressed() {
    let shop = Shop::open().await;
    a_day(&shop).await;
    next_morning(&shop);
    let plain = file(&shop, TRADE).await;
    let (hash, packed) = fetch(&shop, &format!("{TRADE}&tar_type=GZIP")).await;
    let mut bytes = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    assert_eq!((bytes == plain.bytes, hash), (true, sha1(&plain.bytes)));
}

#[tokio::test]
async fn a_link_lives_five_minutes_and_opens_only_for_who_signs() {
    let shop = Shop::open().await;
    a_day(&shop).await;
    next_morning(&shop);
    let url = link(&shop, TRADE).await.1["download_url"].as_str().unwrap().to_owned();
    assert_eq!(client().get(&url).send().await.unwrap().status(), 401);
    shop.clock.advance(Duration::from_secs(300));
    assert_eq!(download(&shop, &url).await.status(), 200);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(download(&shop, &url).await.status(), 403);
    assert_eq!(download(&shop, &url.replace("token=", "token=x")).await.status(), 404);
}

#[tokio::test]
async fn a_refund_that_was_closed_gives_its_money_back_to_the_balance() {
    let shop = Shop::open_with(|config| config.pace.refunds.closed_per_mille = 1_000).await;
    shop.be_paid("T10001", 1_000).await;
    assert_eq!(ask(&shop, Asked::post(REFUNDS, &refund("R1", 1_000))).await.0, 200);
    shop.clock.advance(Duration::from_secs(600));
    shop.until(|truth| truth.refunds.closed == 1).await;
    next_morning(&shop);
    assert_eq!(file(&shop, TRADE).await.column("退款状态"), ["", "FAIL"]);
    let fund = file(&shop, FUND).await;
    assert_eq!(
        fund.column("业务类型"),
        ["交易", "扣除交易手续费", "退款", "退还交易手续费", "退款关闭", "扣除交易手续费"]
    );
    assert_eq!(fund.breaks(), 0);
}

#[tokio::test]
async fn bills_are_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let shop = Shop::open_with(|config| config.journal = Some(journal.clone())).await;
    a_day(&shop).await;
    next_morning(&shop);
    let first = (file(&shop, TRADE).await.bytes, file(&shop, FUND).await.bytes);
    let clock = shop.clock.clone();
    let truth = shop.truth().await;
    shop.sandbox.stop().await;
    let callbacks = Desk::open().await.callbacks();
    let again = Shop::open_with(|config| {
        *config = Config { journal: Some(journal), callbacks, ..Config::new(clock, 7) };
    })
    .await;
    assert_eq!(again.truth().await, truth);
    assert_eq!((file(&again, TRADE).await.bytes, file(&again, FUND).await.bytes), first);
    assert_eq!(
        ask(&again, Asked { stamp: again.clock.now().secs(), ..Asked::get(&query("T10002")) }).await.0,
        200
    );
}
