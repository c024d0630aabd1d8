use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use windlass_engine::Clock;
use windlass_jobs::mini_program::{
    Contact, LogisticsType, MiniProgram, MiniProgramSettings, MiniProgramState, OrderState, PaidOrder,
    ShippedParcel, ShippingUpload, SubscribeMessage, UploadAnswer,
};
use windlass_jobs::outside::Fault;
use windlass_testing::script::{Reply, Request, Script, json, nobody, status};

use crate::{CALL_TIMEOUT, START, http, tokens};

const TOKEN_PATH: &str = "/cgi-bin/stable_token";
const OK: &str = r#"{"errcode":0,"errmsg":"ok"}"#;

fn mini_at(url: &str) -> MiniProgram {
    let settings = MiniProgramSettings {
        base_url: url.to_owned(),
        appid: "wxfake0000000001".into(),
        secret: "FAKE_SECRET".into(),
        token_timeout: Duration::from_secs(5),
        call_timeout: CALL_TIMEOUT,
    };
    let clock = Clock::by_hand(START);
    MiniProgram::new(http(&clock), tokens(&clock), settings)
}

fn mini(server: &Script) -> MiniProgram {
    mini_at(&server.url())
}

async fn server(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Script {
    Script::new(move |request| match request.path() {
        TOKEN_PATH => json(r#"{"access_token":"T/1+2","expires_in":7200}"#),
        _ => script(request),
    })
    .await
}

fn errcode(code: i64) -> Reply {
    json(format!(r#"{{"errcode":{code},"errmsg":"x rid: 1-2-3"}}"#))
}

fn message() -> SubscribeMessage {
    let fields = [("character_string1", "T20260105000001"), ("thing2", "测试冰箱"), ("amount3", "¥1999.98")];
    SubscribeMessage {
        openid: "oFAKE0000000000000000000001".into(),
        template_id: "FAKE_TEMPLATE".into(),
        page: Some("pages/order-detail/index?id=1".into()),
        state: MiniProgramState::Formal,
        data: fields.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    }
}

fn upload() -> ShippingUpload {
    ShippingUpload {
        order: PaidOrder::TransactionId("42".into()),
        logistics_type: LogisticsType::Express,
        split: None,
        parcels: vec![ShippedParcel {
            tracking_no: "SF1".into(),
            express_company: "SF".into(),
            item_desc: "测试冰箱*1".into(),
            contact: Some(Contact::Receiver("13000000001".into())),
        }],
        uploaded_at: START,
        payer_openid: "oFAKE0000000000000000000001".into(),
        paid_at: START - Duration::from_secs(3600),
    }
}

async fn sent(reply: Reply) -> Fault {
    let server = server(move |_| reply.clone()).await;
    mini(&server).subscribe_send(&message()).await.unwrap_err().fault
}

async fn uploaded(reply: Reply, upload: ShippingUpload) -> Result<UploadAnswer, Fault> {
    let server = server(move |_| reply.clone()).await;
    mini(&server).upload_shipping_info(&upload).await.map_err(|error| error.fault)
}

#[tokio::test]
async fn a_message_goes_out_as_raw_utf8_with_its_token_escaped() {
    let server = server(|_| json(r#"{"errcode":0,"errmsg":"ok","msgid":123}"#)).await;
    let sent = mini(&server).subscribe_send(&message()).await.unwrap();
    assert_eq!(sent.msgid.as_deref(), Some("123"));
    let request = &server.requests()[1];
    assert_eq!(request.target, "/cgi-bin/message/subscribe/send?access_token=T%2F1%2B2");
    assert!(request.body.contains("测试冰箱"));
    assert_eq!(request.json()["data"]["thing2"]["value"], "测试冰箱");
    assert_eq!(server.requests()[0].json()["force_refresh"], false);
}

#[tokio::test]
async fn each_code_of_a_message_has_its_class() {
    assert_eq!(sent(errcode(43101)).await, Fault::Refused { code: "43101".into() });
    assert_eq!(sent(errcode(47003)).await, Fault::Misconfigured { code: "47003".into() });
    assert_eq!(sent(errcode(-1)).await, Fault::Unavailable);
    let minute = Fault::Throttled { retry_after: Some(Duration::from_secs(60)) };
    assert_eq!(sent(errcode(45011)).await, minute);
    // It is ten in the morning in Beijing: the daily quota is new in fourteen hours.
    let midnight = Fault::Throttled { retry_after: Some(Duration::from_secs(14 * 3600)) };
    assert_eq!(sent(errcode(45009)).await, midnight);
    assert_eq!(sent(errcode(99999)).await, Fault::Refused { code: "99999".into() });
}

#[tokio::test]
async fn a_message_that_was_not_answered_is_in_doubt() {
    for reply in [Reply::Silence, Reply::Cut, Reply::Torn("{".into()), status(502, "<html>"), json("<html>")]
    {
        assert_eq!(sent(reply).await, Fault::InDoubt);
    }
    assert_eq!(mini_at(&nobody().await).subscribe_send(&message()).await.unwrap_err().fault, Fault::NotSent);
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_not_sent() {
    let server = server(|_| json(OK)).await;
    let data = BTreeMap::from([("thing1".to_owned(), "字".repeat(21))]);
    let error = mini(&server).subscribe_send(&SubscribeMessage { data, ..message() }).await.unwrap_err();
    assert_eq!(error.code(), Some("invalid_data"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_fifty_callers() {
    let given = AtomicU32::new(0);
    let server = Script::new(move |request| match request.path() {
        TOKEN_PATH => {
            let nth = given.fetch_add(1, Ordering::SeqCst);
            json(format!(r#"{{"access_token":"T{nth}","expires_in":7200}}"#))
        }
        _ if request.target.ends_with("access_token=T0") => errcode(42001),
        _ => json(OK),
    })
    .await;
    let mini = mini(&server);
    let (one, message) = (mini.clone(), message());
    let all = futures_util::future::join_all((0..50).map(|_| one.subscribe_send(&message))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(server.requests_to(TOKEN_PATH).len(), 2);
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_is_an_alarm_and_no_loop() {
    let server = server(|_| errcode(40001)).await;
    let mini = mini(&server);
    for _ in 0..5 {
        let error = mini.subscribe_send(&message()).await.unwrap_err();
        assert_eq!(error.fault, Fault::Misconfigured { code: "40001".into() });
    }
    assert_eq!(
        server.requests_to(TOKEN_PATH).len(),
        2,
        "the same token came back: it is left alone for a while"
    );
}

#[tokio::test]
async fn a_wrong_secret_stops_the_channel() {
    let server = Script::new(|_| json(r#"{"errcode":40125,"errmsg":"invalid appsecret FAKE_SECRET"}"#)).await;
    let error = mini(&server).subscribe_send(&message()).await.unwrap_err();
    assert_eq!((error.call, &error.fault), ("token", &Fault::Misconfigured { code: "40125".into() }));
    assert!(!error.to_string().contains("FAKE_SECRET"));
}

#[tokio::test]
async fn each_answer_to_an_upload_has_its_class() {
    assert_eq!(uploaded(json(OK), upload()).await, Ok(UploadAnswer::Done));
    assert_eq!(uploaded(errcode(10_060_023), upload()).await, Ok(UploadAnswer::Unchanged));
    let ask = UploadAnswer::AskOrder { code: "10060002".into() };
    assert_eq!(uploaded(errcode(10_060_002), upload()).await, Ok(ask));
    assert_eq!(uploaded(errcode(-1), upload()).await, Err(Fault::InDoubt));
    assert_eq!(uploaded(Reply::Silence, upload()).await, Err(Fault::InDoubt));
    assert_eq!(uploaded(errcode(10_060_012), upload()).await, Err(Fault::Unavailable));
    assert_eq!(
        uploaded(errcode(10_060_004), upload()).await,
        Err(Fault::Refused { code: "10060004".into() })
    );
}

#[tokio::test]
async fn a_payment_shows_in_shipping_some_minutes_late() {
    let not_found = || errcode(10_060_001);
    let just_paid = ShippingUpload { paid_at: START - Duration::from_secs(599), ..upload() };
    assert_eq!(uploaded(not_found(), just_paid).await, Err(Fault::Unavailable));
    assert_eq!(uploaded(not_found(), upload()).await, Err(Fault::Refused { code: "10060001".into() }));
}

#[tokio::test]
async fn an_order_is_read_and_one_that_is_not_there_is_none() {
    let body = r#"{"errcode":0,"order":{"transaction_id":"42","merchant_trade_no":"T1","order_state":2,
        "in_complaint":false,"shipping":{"finish_shipping":true,"finish_shipping_count":1,
        "shipping_list":[{"tracking_no":"SF1","express_company":"SF","contact":{"receiver_contact":"x"}}]}}}"#;
    let server = server(move |_| json(body)).await;
    let by_number = PaidOrder::OutTradeNo { mchid: "1900000001".into(), out_trade_no: "T1".into() };
    let order = mini(&server).get_order(&by_number).await.unwrap().unwrap();
    assert_eq!((order.state, order.finish_count), (OrderState::Shipped, 1));
    assert_eq!(order.parcels[0].tracking_no, "SF1");
    assert_eq!(server.requests()[1].json()["merchant_trade_no"], "T1");
    let server = self::server(|_| errcode(10_060_001)).await;
    assert_eq!(mini(&server).get_order(&by_number).await.unwrap(), None);
    let server = self::server(|_| Reply::Silence).await;
    assert_eq!(mini(&server).get_order(&by_number).await.unwrap_err().fault, Fault::Unavailable);
}

#[tokio::test]
async fn a_reminder_to_confirm_receipt_may_have_been_given() {
    let order = PaidOrder::TransactionId("42".into());
    let server = server(|_| json(OK)).await;
    mini(&server).notify_confirm_receive(&order, START).await.unwrap();
    assert_eq!(server.requests()[1].json()["received_time"], START.secs());
    let server = self::server(|_| Reply::Cut).await;
    let error = mini(&server).notify_confirm_receive(&order, START).await.unwrap_err();
    assert_eq!(error.fault, Fault::InDoubt);
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_numbers_may_come_as_texts() {
    let server = server(|request| match request.json()["last_index"].as_str() {
        None => json(
            r#"{"errcode":0,"last_index":"a1","has_more":true,"order_list":[{"transaction_id":"42",
            "merchant_id":"1900000001","merchant_trade_no":"T1","pay_time":1767578400,"paid_amount":129999,
            "order_state":2,"shipping":{"finish_shipping":true}}]}"#,
        ),
        _ => json(
            r#"{"errcode":0,"last_index":"","has_more":false,"order_list":[{"transaction_id":"43",
            "merchant_trade_no":"T2","pay_time":"1767578401","order_state":"6"}]}"#,
        ),
    })
    .await;
    let (from, mini) = (START - Duration::from_secs(86_400), mini(&server));
    let first = mini.order_list(from, START, None).await.unwrap();
    assert_eq!((first.orders[0].state, first.orders[0].paid_fen), (OrderState::Shipped, Some(129_999)));
    assert_eq!(first.orders[0].paid_at.map(|at| at.secs()), Some(1_767_578_400));
    let last = mini.order_list(from, START, first.next.as_deref()).await.unwrap();
    assert_eq!((last.orders[0].state, last.next), (OrderState::Settled, None));
    assert_eq!((last.orders[0].mchid.as_str(), last.orders[0].paid_fen), ("", None));
    let asked = server.requests()[1].json();
    assert_eq!(asked["pay_time_range"]["begin_time"], from.secs());
    assert_eq!((&asked["page_size"], asked.get("last_index")), (&50.into(), None));
    assert_eq!(server.requests()[2].json()["last_index"], "a1");
}

#[tokio::test]
async fn a_list_that_would_be_asked_for_ever_or_was_not_read_to_its_end_is_no_list() {
    let listed = async |reply: Reply, after: Option<&str>| {
        let server = server(move |_| reply.clone()).await;
        mini(&server).order_list(START, START, after).await.map_err(|error| error.fault)
    };
    let nowhere = || json(r#"{"errcode":0,"order_list":[],"has_more":true}"#);
    let the_same = || json(r#"{"errcode":0,"order_list":[],"has_more":true,"last_index":"a1"}"#);
    let without_state = || json(r#"{"errcode":0,"order_list":[{"transaction_id":"42"}]}"#);
    for (reply, after) in [(nowhere(), None), (the_same(), Some("a1")), (without_state(), None)] {
        assert_eq!(listed(reply, after).await, Err(Fault::Unavailable));
    }
    for reply in [Reply::Silence, Reply::Cut, status(502, "<html>"), errcode(10_060_012), errcode(-1)] {
        assert_eq!(listed(reply, None).await, Err(Fault::Unavailable));
    }
    assert_eq!(listed(errcode(48001), None).await, Err(Fault::Misconfigured { code: "48001".into() }));
    let empty = listed(json(r#"{"errcode":0,"order_list":null}"#), None).await.unwrap();
    assert!(empty.orders.is_empty() && empty.next.is_none());
}
