use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use windlass_engine::Clock;
use windlass_jobs::money::Fen;
use windlass_jobs::outside::Fault;
use windlass_jobs::suppliers::haier::{Haier, HaierSettings};
use windlass_testing::script::{Reply, Request, Script, json, status};

use crate::{CALL_TIMEOUT, START, http, tokens};

const TOKEN: &str = r#"{"expires_at":1767583600,"expires_in":3600,"token":"TOKEN"}"#;

fn haier(server: &Script, clock: &Clock) -> Haier {
    let settings = HaierSettings {
        base_url: server.url(),
        client_id: "FAKE_CLIENT".into(),
        client_secret: "FAKE_SECRET".into(),
        customer_code: "8800000000".into(),
        send_to_code: "8800000001".into(),
        password: "PW-P".into(),
        seller_password: "PW-S".into(),
        customer_password: "PW-C".into(),
        token_timeout: Duration::from_secs(5),
        call_timeout: CALL_TIMEOUT,
        ..Default::default()
    };
    Haier::new(http(clock), tokens(clock), settings)
}

/// A server that gives tokens and answers the rest with `script`.
async fn server(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Script {
    Script::new(move |request| if request.path() == "/oauth2/auth" { json(TOKEN) } else { script(request) })
        .await
}

fn envelope(data: &str) -> String {
    format!(r#"{{"success":true,"code":0,"errCode":null,"errorMsg":null,"data":{data},"error":null}}"#)
}

fn codes(count: usize) -> Vec<String> {
    (0..count).map(|nth| format!("C{nth:03}")).collect()
}

#[tokio::test]
async fn codes_are_asked_once_in_twenties_and_a_missing_one_is_unknown() {
    let server = server(|request| {
        let asked = request.json()["productCodes"].as_array().unwrap().clone();
        assert!(asked.len() <= 20);
        let rows: Vec<String> = asked
            .iter()
            .filter(|code| *code != "C007")
            .map(|code| {
                format!(r#"{{"productCode":{code},"isSales":"1","productGroupNamd":"冰箱","x":[1]}}"#)
            })
            .collect();
        json(envelope(&format!("[{}]", rows.join(","))))
    })
    .await;
    let mut wanted = codes(45);
    wanted.extend(codes(5));
    let products = haier(&server, &Clock::by_hand(START)).products(&wanted).await.unwrap();
    assert_eq!((products.found.len(), products.unknown.as_slice()), (44, &["C007".to_owned()][..]));
    assert!(products.unasked.is_none());
    let product = &products.found["C001"];
    assert!(product.is_for_sale && product.group == "冰箱");
    let asked = server.requests();
    assert_eq!(asked.len(), 4, "a token and three chunks");
    // Raw, without "Bearer"; and the password under its own name.
    assert_eq!(asked[1].header("authorization"), "TOKEN");
    assert_eq!(asked[1].json()["passWord"], "PW-P");
}

#[tokio::test]
async fn a_later_chunk_that_fails_leaves_what_was_learned() {
    let server = server(|request| {
        let asked = request.json()["productCodes"].as_array().unwrap().clone();
        if asked[0] == "C020" {
            status(502, "<html>")
        } else {
            json(r#"[{"productCode":"C000","isSales":"0"}]"#)
        }
    })
    .await;
    let haier = haier(&server, &Clock::by_hand(START));
    let products = haier.products(&codes(50)).await.unwrap();
    assert_eq!((products.found.len(), products.unknown.len()), (1, 19));
    let unasked = products.unasked.unwrap();
    assert_eq!((unasked.codes.len(), unasked.error.fault), (30, Fault::Unavailable));
    assert_eq!(haier.products(&codes(40)[20..]).await.unwrap_err().fault, Fault::Unavailable);
}

#[tokio::test]
async fn a_bare_array_and_string_decimals_read_like_an_envelope_with_numbers() {
    let number = r#"[{"productCode":"C000","supplyPrice":1999.00,"invoicePrice":1879.05,"rebateRate":0.05,
        "rebateMoney":20.00,"stockRebatePolicy":0,"reason":"","isSales":"1"}]"#;
    let text = r#"[{"productCode":"C000","supplyPrice":"1999.00","invoicePrice":"1879.05","rebateRate":"0.05",
        "rebateMoney":"20.00","stockRebatePolicy":"0","isSales":1}]"#;
    let mut prices = Vec::new();
    for body in [envelope(number), envelope(text), number.to_owned(), text.to_owned()] {
        let server = server(move |_| json(body.clone())).await;
        prices.push(
            haier(&server, &Clock::by_hand(START)).prices(&codes(1)).await.unwrap().found["C000"].clone(),
        );
    }
    assert_eq!(prices[0].invoice, Some(Fen(187_905)));
    assert_eq!(prices[0].adds_up(), Some(true));
    assert!(prices.iter().all(|price| *price == prices[0]));
}

#[tokio::test]
async fn stock_is_summed_over_a_list_or_read_from_one_object() {
    let row = r#"{"secCode":"WH01","stock":"12","warehouseGrade":"0","timelinessData":{"cutTime":"16:00:00",
        "achieveUserOrderCut":"2026-01-07 23:59:59","hour":"48","isTranfer":"0"}}"#;
    for (data, quantity) in [(row.to_owned(), 12), (format!("[{row},{row}]"), 24), ("null".into(), 0)] {
        let server = server(move |_| json(envelope(&data))).await;
        let stock = haier(&server, &Clock::by_hand(START)).stock("C000", "320106").await.unwrap();
        assert_eq!(stock.quantity(), quantity);
        let body = server.requests()[1].json();
        assert_eq!((&body["salesCode"], &body["sellerPassword"]), (&"8800000000".into(), &"PW-S".into()));
    }
    // A quantity that cannot be read is no answer, and above all not "none in stock".
    let server = server(|_| json(envelope(r#"[{"secCode":"WH01","stock":"many"}]"#))).await;
    let error = haier(&server, &Clock::by_hand(START)).stock("C000", "320106").await.unwrap_err();
    assert_eq!(error.fault, Fault::Unavailable);
}

#[tokio::test]
async fn balance_is_read_to_the_fen() {
    let server =
        server(|_| json(envelope(r#"[{"saleGroupCode":"S","payerAccountBalance":1234567.89}]"#))).await;
    let balance = haier(&server, &Clock::by_hand(START)).balance().await.unwrap();
    assert_eq!(balance[0].balance, Fen(123_456_789));
    assert_eq!(server.requests()[1].json()["customerPassword"], "PW-C");
}

#[tokio::test]
async fn success_false_is_told_apart_by_its_text() {
    for (text, expected) in [
        ("产品不存在", Fault::Refused { code: "E1".into() }),
        ("密码错误", Fault::Misconfigured { code: "E1".into() }),
        ("系统繁忙，请稍后再试", Fault::Unavailable),
    ] {
        let body = format!(r#"{{"success":false,"code":1,"errCode":"E1","errorMsg":"{text}","data":null}}"#);
        let server = server(move |_| json(body.clone())).await;
        assert_eq!(haier(&server, &Clock::by_hand(START)).balance().await.unwrap_err().fault, expected);
    }
}

#[tokio::test]
async fn fifty_refused_callers_fetch_one_token() {
    let was_asked = AtomicBool::new(false);
    let server = Script::new(move |request| match request.path() {
        "/oauth2/auth" if was_asked.swap(true, Ordering::SeqCst) => json(TOKEN.replace("TOKEN", "FRESH")),
        "/oauth2/auth" => json(TOKEN),
        _ if request.header("authorization") == "FRESH" => json(envelope("[]")),
        _ => status(401, "expired"),
    })
    .await;
    let haier = haier(&server, &Clock::by_hand(START));
    let all = futures_util::future::join_all((0..50).map(|_| haier.balance())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(
        server.requests_to("/oauth2/auth").len(),
        2,
        "the first token, and one for all who were refused"
    );
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_is_an_alarm() {
    let server = server(|_| status(401, "expired")).await;
    let error = haier(&server, &Clock::by_hand(START)).balance().await.unwrap_err();
    assert_eq!(error.fault, Fault::Misconfigured { code: "http_401".into() });
    assert_eq!(server.requests_to("/oauth2/auth").len(), 2);
}

#[tokio::test]
async fn the_other_token_address_is_tried_when_the_first_does_not_serve() {
    let server = Script::new(|request| match request.path() {
        "/oauth2/auth" => status(500, "no"),
        "/oauth2/token" => json(r#"{"data":{"access_token":"T2"},"expires_in":3600}"#),
        _ => json(envelope("[]")),
    })
    .await;
    assert!(haier(&server, &Clock::by_hand(START)).balance().await.unwrap().is_empty());
    assert_eq!(server.requests()[2].header("authorization"), "T2");
}

#[tokio::test]
async fn a_wrong_secret_is_an_alarm_and_is_not_shown() {
    let server = Script::new(|request| match request.path() {
        "/oauth2/auth" => status(401, r#"{"error":"bad secret FAKE_SECRET"}"#),
        _ => status(404, "no such address"),
    })
    .await;
    let error = haier(&server, &Clock::by_hand(START)).balance().await.unwrap_err();
    assert_eq!((error.call, &error.fault), ("token", &Fault::Misconfigured { code: "http_401".into() }));
    assert!(!error.to_string().contains("FAKE_SECRET"));
}

#[tokio::test]
async fn a_silent_supplier_is_unavailable() {
    let server = server(|_| Reply::Silence).await;
    let error = haier(&server, &Clock::by_hand(START)).logistics("SO.1").await.unwrap_err();
    assert_eq!(error.fault, Fault::Unavailable);
    assert!(error.is_outage());
}
