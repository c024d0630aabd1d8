//! Bills over the wire: asked for by day, downloaded by link (facts: wechat-pay.md 10). What the files say is made in
//! `bills`; here they are given out, on time, late or spoiled.

mod desk;
mod link;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::json;

pub(super) use self::desk::Desk;
use self::desk::{Found, Sent};
use self::link::Link;
use super::{Call, Pay, Reply, play};
use crate::answer::{answer, refused};
use crate::bills::{Day, Layout, Pages, gzipped};
use crate::fault::{Endpoint, Fault};
use crate::plants::{Bill, PlantKind, settle};
use crate::world::{Unrecorded, World};

/// So many days back bills are kept: three months.
const KEPT_DAYS: u32 = 92;
const PAGE: &str =
    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    day: Day,
    bill: Bill,
    /// `None`: an account or type without any movement.
    layout: Option<Layout>,
    gzip: bool,
}

pub(super) async fn trade(call: Call) -> Response {
    let layout = match parameter(&call.uri, "bill_type").as_deref() {
        None | Some("ALL") => Ok(Some(Layout::All)),
        Some("SUCCESS") => Ok(Some(Layout::Success)),
        Some("REFUND") => Ok(Some(Layout::Refund)),
        Some("RECHARGE_REFUND" | "ALL_SPECIAL" | "SUC_SPECIAL" | "REF_SPECIAL") => Ok(None),
        Some(_) => Err("bill_type"),
    };
    ask(call, Bill::Trade, layout).await
}

pub(super) async fn fund(call: Call) -> Response {
    let layout = match parameter(&call.uri, "account_type").as_deref() {
        None | Some("BASIC") => Ok(Some(Layout::Fund)),
        Some("OPERATION" | "FEES") => Ok(None),
        Some(_) => Err("account_type"),
    };
    ask(call, Bill::Fund, layout).await
}

async fn ask(call: Call, bill: Bill, layout: Result<Option<Layout>, &'static str>) -> Response {
    let wanted = layout.and_then(|layout| {
        let day = parameter(&call.uri, "bill_date").and_then(|text| text.parse().ok()).ok_or("bill_date")?;
        let gzip = match parameter(&call.uri, "tar_type").as_deref() {
            None => false,
            Some("GZIP") => true,
            Some(_) => return Err("tar_type"),
        };
        Ok(Wanted { day, bill, layout, gzip })
    });
    let key = call.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(name) => return play(call, Endpoint::PayBill, &key, |_| Ok(bad_parameter(name))).await,
    };
    let (world, desk) = (Arc::clone(&call.to.world), Arc::clone(&call.to.desk));
    if let Some(reply) = not_given(&world, wanted) {
        return play(call, Endpoint::PayBill, &key, |_| Ok(reply)).await;
    }
    // A stranger's question changes nothing and costs nothing.
    let may = call.to.keys.check(&world.clock, &call.method, &call.uri, &call.headers, &call.body).is_ok();
    let found = if may { find(&world, &desk, wanted).await } else { Ok(None) };
    let host = call.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.to_owned();
    play(call, Endpoint::PayBill, &key, |world| {
        let Some(found) = found? else {
            return Ok(Reply::error(StatusCode::BAD_REQUEST, "NO_STATEMENT_EXIST", "账单不存在"));
        };
        Ok(given(world, &desk, wanted, &found, &host))
    })
    .await
}

/// Why there is nothing to give out for that day, whatever happened on it.
fn not_given(world: &World, wanted: Wanted) -> Option<Reply> {
    let now = world.clock.now();
    let today = Day::of(now);
    if wanted.day > today || wanted.day.plus(KEPT_DAYS) < today {
        return Some(bad_parameter("bill_date"));
    }
    if now < wanted.day.bills_given_at() {
        return Some(creating());
    }
    wanted.layout.is_none().then(|| Reply::error(StatusCode::BAD_REQUEST, "NO_STATEMENT_EXIST", "账单不存在"))
}

/// The file of that day, in the version that is given out now; `None`: there was no trade.
async fn find(world: &Arc<World>, desk: &Arc<Desk>, wanted: Wanted) -> Result<Option<Found>, Unrecorded> {
    let Some(layout) = wanted.layout else { return Ok(None) };
    world.act(|scene| settle(scene, world.seed, wanted.day))?;
    let form = desk.form(world, wanted.day, wanted.bill, layout);
    let (world, desk) = (Arc::clone(world), Arc::clone(desk));
    // A bill may have a million rows to hash.
    let found =
        tokio::task::spawn_blocking(move || desk.found(&world, form)).await.map_err(|_| Unrecorded)?;
    Ok((found.rows > 0).then_some(found))
}

fn given(world: &World, desk: &Desk, wanted: Wanted, found: &Found, host: &str) -> Reply {
    let spoiled = |kind| desk.meets(world, wanted.day, wanted.bill, kind);
    if spoiled(PlantKind::Creating) {
        return creating();
    }
    if spoiled(PlantKind::NoStatement) {
        return Reply::error(StatusCode::BAD_REQUEST, "NO_STATEMENT_EXIST", "账单不存在");
    }
    let mut hash = found.sha1.clone();
    if desk.would_meet(world, wanted.day, wanted.bill, PlantKind::HashMismatch) {
        let other = if hash.starts_with('0') { "1" } else { "0" };
        hash.replace_range(..1, other);
    }
    let link = Link::new(world, wanted.bill, found.form, wanted.gzip);
    let gzip = if wanted.gzip { "&tartype=gzip" } else { "" };
    Reply::ok(json!({
        "hash_type": "SHA1",
        "hash_value": hash,
        "download_url": format!("http://{host}/v3/billdownload/file?token={}{gzip}", link.token()),
    }))
}

fn creating() -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, "STATEMENT_CREATING", "账单生成中，请稍后再试")
}

fn bad_parameter(name: &str) -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, "PARAM_ERROR", &format!("参数错误：{name}"))
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut parts = uri.query()?.split('&').filter_map(|part| part.split_once('='));
    parts.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// The file. Its answer is signed by nobody.
pub(super) async fn download(call: Call) -> Response {
    let Pay { world, keys, desk, .. } = &call.to;
    if let Err(why) = keys.check(&world.clock, &call.method, &call.uri, &call.headers, &call.body) {
        return unsigned(StatusCode::UNAUTHORIZED, "SIGN_ERROR", why);
    }
    let Some(link) = parameter(&call.uri, "token").and_then(|token| Link::read(&token)) else {
        return unsigned(StatusCode::NOT_FOUND, "RESOURCE_NOT_EXISTS", "账单文件不存在");
    };
    let key = format!("{} {:?}", link.form.day, link.form.layout);
    let fault = world.dial.ask(Endpoint::PayBillFile, &key);
    let meets = |kind| desk.meets(world, link.form.day, link.bill, kind);
    if fault == Some(Fault::LinkExpired) || link.has_expired(world) || meets(PlantKind::Expired) {
        return unsigned(StatusCode::FORBIDDEN, "NO_AUTH", "下载链接已过期");
    }
    if meets(PlantKind::Html) {
        return ([(header::CONTENT_TYPE, "text/html")], PAGE).into_response();
    }
    answer(world, &call.on, fault, refused, || {
        // What is lost on its way was not met.
        let arrives = matches!(fault, None | Some(Fault::Slow(_)));
        let mut response = Response::new(file(world, desk, &link, arrives));
        let kind = if link.gzip { "application/gzip" } else { "text/plain; charset=utf-8" };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(response)
    })
    .await
}

fn file(world: &Arc<World>, desk: &Arc<Desk>, link: &Link, arrives: bool) -> Body {
    let pages = Pages::of(Arc::clone(world), link.form);
    let torn = desk.would_meet(world, link.form.day, link.bill, PlantKind::Truncated);
    let sent = Sent::new(pages, Arc::clone(world), Arc::clone(desk), link, torn, arrives);
    if link.gzip { body(gzipped(sent)) } else { body(sent) }
}

fn body(pages: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Body {
    // A chunk of no bytes would be the end of the body.
    let pages = pages.filter(|page| !page.is_empty());
    Body::from_stream(stream::iter(pages.map(Ok::<_, std::convert::Infallible>)))
}

fn unsigned(status: StatusCode, code: &str, message: &str) -> Response {
    (status, axum::Json(json!({"code": code, "message": message}))).into_response()
}
