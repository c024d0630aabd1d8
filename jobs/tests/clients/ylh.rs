use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use windlass_engine::Clock;
use windlass_jobs::money::Fen;
use windlass_jobs::outside::Fault;
use windlass_jobs::suppliers::ylh::{
    CancelAsked, Consignee, Created, SupplierLine, SupplierOrder, Ylh, YlhPaths, YlhSettings,
};
use windlass_testing::script::{Reply, Request, Script, json, nobody, status};

use crate::{CALL_TIMEOUT, START, http, tokens};

const TOKEN: &str = r#"{"access_token":"FAKE-ACCESS","token_type":"bearer","expires_in":7200,"scope":"all"}"#;
const TOKEN_PATH: &str = "/auth/oauth/token";
const CREATE_PATH: &str = "/order/api/page/hmm/retailorder/receive-hmm-retail-order";
const OK: &str = r#"{"success":true,"code":0,"errCode":null,"errorMsg":null,"data":true}"#;

fn ylh_at(auth: &str, url: &str) -> Ylh {
    let settings = YlhSettings {
        paths: YlhPaths {
            auth: format!("{auth}/auth"),
            order: format!("{url}/order"),
            stock: format!("{url}/stock"),
        },
        client_id: "ID".into(),
        client_password: "PASS".into(),
        username: "shop".into(),
        password: "PW".into(),
        source_system: "demo".into(),
        shop_name: "测试旗舰店".into(),
        seller_code: "8800000000".into(),
        token_timeout: Duration::from_secs(5),
        call_timeout: CALL_TIMEOUT,
        ..Default::default()
    };
    let clock = Clock::by_hand(START);
    Ylh::new(http(&clock), tokens(&clock), settings)
}

fn ylh(server: &Script) -> Ylh {
    ylh_at(&server.url(), &server.url())
}

async fn server(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Script {
    Script::new(move |request| if request.path() == TOKEN_PATH { json(TOKEN) } else { script(request) }).await
}

fn order() -> SupplierOrder {
    SupplierOrder {
        so_id: "P1-1".into(),
        online_no: "P1".into(),
        consignee: Consignee {
            name: "张三丰".into(),
            mobile: "13000000001".into(),
            province: "江苏省".into(),
            city: "南京市".into(),
            area: "鼓楼区".into(),
            town: String::new(),
            detail_address: "测试路1号".into(),
        },
        remark: String::new(),
        created_at: START,
        distribution_at: None,
        install_at: None,
        is_government_order: false,
        lines: SupplierLine::paying("FAKE00001", 1, Fen(129_999), Fen(119_999)),
    }
}

async fn create(reply: Reply) -> Result<Created, Fault> {
    let server = server(move |_| reply.clone()).await;
    ylh(&server).create(&order()).await.map_err(|error| {
        assert!(
            !error.to_string().contains("13000000001") && !error.to_string().contains("张三丰"),
            "{error}"
        );
        error.fault
    })
}

#[tokio::test]
async fn each_outcome_of_a_create_has_its_class() {
    assert_eq!(create(json(OK)).await, Ok(Created::Accepted { haier_no: None }));
    let named = r#"{"success":true,"code":0,"data":{"retailOrderNo":"SO.1"}}"#;
    assert_eq!(create(json(named)).await, Ok(Created::Accepted { haier_no: Some("SO.1".into()) }));
    let duplicate =
        r#"{"success":false,"code":1,"errCode":"DUPLICATE","errorMsg":"子订单号重复","data":null}"#;
    assert_eq!(create(json(duplicate)).await, Ok(Created::Duplicate));
    let refused =
        r#"{"success":false,"code":1,"errCode":null,"errorMsg":"必填 张三丰 13000000001","data":null}"#;
    assert_eq!(create(json(refused)).await, Err(Fault::Refused { code: "1".into() }));
    for ambiguous in [
        Reply::Silence,
        Reply::Cut,
        Reply::Torn("{".into()),
        status(500, OK),
        status(502, "<html>"),
        json("<html>"),
        json(r#"{"success":true,"code":0,"data":false}"#),
        json(r#"{"data":true}"#),
    ] {
        assert_eq!(create(ambiguous.clone()).await, Err(Fault::InDoubt), "{ambiguous:?}");
    }
    assert!(matches!(create(status(429, "")).await, Err(Fault::Throttled { .. })));
    assert_eq!(create(status(403, "")).await, Err(Fault::Misconfigured { code: "http_403".into() }));
}

#[tokio::test]
async fn an_answer_that_cannot_be_believed_is_no_outage() {
    let server = server(|_| json(r#"{"success":true,"code":0,"data":false}"#)).await;
    let error = ylh(&server).create(&order()).await.unwrap_err();
    assert!(error.may_have_happened() && !error.is_outage());
    let server = self::server(|_| Reply::Silence).await;
    let error = ylh(&server).create(&order()).await.unwrap_err();
    assert!(error.may_have_happened() && error.is_outage());
}

#[tokio::test]
async fn what_never_left_is_safe_to_send_again() {
    let server = server(|_| json(OK)).await;
    let error = ylh_at(&server.url(), &nobody().await).create(&order()).await.unwrap_err();
    assert_eq!(error.fault, Fault::NotSent);
    // Nor did it when there was no token to send it with.
    let error = ylh_at(&nobody().await, &server.url()).create(&order()).await.unwrap_err();
    assert_eq!(error.fault, Fault::NotSent);
    assert!(server.requests_to(CREATE_PATH).is_empty());
}

#[tokio::test]
async fn after_a_401_the_same_bytes_go_out_once_more_with_a_new_token() {
    let refused = AtomicBool::new(false);
    let server = Script::new(move |request| match request.path() {
        TOKEN_PATH if refused.load(Ordering::SeqCst) => json(TOKEN.replace("FAKE-ACCESS", "SECOND")),
        TOKEN_PATH => json(TOKEN),
        _ if request.header("authorization") == "bearer SECOND" => json(OK),
        _ => {
            refused.store(true, Ordering::SeqCst);
            status(401, r#"{"error":"invalid_token"}"#)
        }
    })
    .await;
    let ylh = ylh(&server);
    let (one, order) = (ylh.clone(), order());
    let all = futures_util::future::join_all((0..50).map(|_| one.create(&order))).await;
    assert!(all.iter().all(|result| matches!(result, Ok(Created::Accepted { .. }))), "{all:?}");
    assert_eq!(server.requests_to(TOKEN_PATH).len(), 2);
    let sent = server.requests_to(CREATE_PATH);
    assert!(sent.iter().all(|request| request.body == sent[0].body));
    let token = &server.requests_to(TOKEN_PATH)[0];
    assert_eq!(token.header("authorization"), "Basic SUQ6UEFTUw==");
    assert_eq!(token.header("system-name"), "ylh-open-api");
    assert_eq!(token.body, "grant_type=password&username=shop&password=PW");
}

#[tokio::test]
async fn a_second_401_is_an_alarm() {
    let server = server(|_| status(401, "")).await;
    let error = ylh(&server).create(&order()).await.unwrap_err();
    assert_eq!(error.fault, Fault::Misconfigured { code: "http_401".into() });
    assert_eq!(server.requests_to(CREATE_PATH).len(), 2);
}

#[tokio::test]
async fn an_order_that_is_none_is_not_sent() {
    let server = server(|_| json(OK)).await;
    let order = SupplierOrder { lines: vec![], ..order() };
    let error = ylh(&server).create(&order).await.unwrap_err();
    assert_eq!(error.code(), Some("invalid_order"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_cancel_is_asked_with_its_time_as_text() {
    let server = server(|_| json(OK)).await;
    assert_eq!(ylh(&server).cancel("P1-1", "不要了", START).await.unwrap(), CancelAsked::Taken);
    assert_eq!(server.requests()[1].json()["cancelTime"], "1767578400000");
    let again = r#"{"success":false,"code":1,"errorMsg":"订单已取消"}"#;
    let server = self::server(move |_| json(again)).await;
    assert_eq!(ylh(&server).cancel("P1-1", "x", START).await.unwrap(), CancelAsked::AlreadyCancelled);
    let server = self::server(|_| Reply::Cut).await;
    assert_eq!(ylh(&server).cancel("P1-1", "x", START).await.unwrap_err().fault, Fault::InDoubt);
}

#[tokio::test]
async fn store_logistics_asks_with_a_bare_array_of_a_hundred_at_most() {
    let body = r#"{"success":true,"code":0,"errorMsg":null,"data":[{"orderCode":"SO.1","deliveryRecordCode":"SO.1.F1",
        "logisticsList":[{"logisticsCode":"SF","logisticsName":"顺丰","expNo":"SF1","barCodes":["SN1"]}]}]}"#;
    let server = server(move |_| json(body)).await;
    let ylh = ylh(&server);
    let deliveries = ylh.store_logistics(&["SO.1".into(), "SO.2".into()]).await.unwrap();
    assert_eq!(deliveries[0].waybills[0].tracking_no, "SF1");
    assert_eq!(server.requests()[1].body, r#"["SO.1","SO.2"]"#);
    let error = ylh.store_logistics(&vec!["SO.1".to_owned(); 101]).await.unwrap_err();
    assert_eq!(error.code(), Some("too_many"));
    let server = self::server(|_| Reply::Silence).await;
    let error = self::ylh(&server).store_logistics(&["SO.1".into()]).await.unwrap_err();
    assert_eq!(error.fault, Fault::Unavailable);
}
