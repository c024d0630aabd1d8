//! The stable access token (facts: wechat-mini-program.md 1): the same for everybody who asks, until it nears its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use windlass_engine::Timestamp;

use super::{Failure, failure, refuse, wrong};
use crate::answer::{On, answer};
use crate::credentials::credentials;
use crate::fault::Endpoint;
use crate::sealed::hex_upper;
use crate::world::event::Fact;
use crate::world::state::{MiniToken, MiniTokens};
use crate::world::{Scene, Unrecorded, World};

/// So long before its end a token is followed by a new one, and both work.
const OVERLAP: Duration = Duration::from_secs(5 * 60);
const FORCED_APART: Duration = Duration::from_secs(30);
const FORCED_A_DAY_MAX: usize = 20;
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn stable_token(
    State(world): State<Arc<World>>,
    ConnectInfo(on): On,
    body: Bytes,
) -> Response {
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return wrong(47001, "data format error");
    };
    let ours = credentials().mini_program;
    if asked["grant_type"] != json!("client_credential") {
        return wrong(40002, "invalid grant_type");
    }
    if asked["appid"] != json!(ours.appid) {
        return wrong(40013, "invalid appid");
    }
    if asked["secret"] != json!(ours.secret) {
        return wrong(40125, "invalid appsecret");
    }
    world.haier.mini_program_tokens.fetch_add(1, Ordering::Relaxed);
    let fault = world.dial.ask(Endpoint::MiniToken, ours.appid);
    answer(&world, &on, fault, refuse, || {
        let forced = asked["force_refresh"] == json!(true);
        let MiniToken { token, expires_at } = world.act(|scene| current(scene, &world, forced))?;
        let expires_in = expires_at.since(world.clock.now()).as_secs();
        Ok(Json(json!({"access_token": token, "expires_in": expires_in})).into_response())
    })
    .await
}

fn current(scene: &mut Scene<'_>, world: &World, forced: bool) -> Result<MiniToken, Unrecorded> {
    let now = scene.now();
    let tokens = &scene.state().mini_tokens;
    let forced = forced && may_force(tokens, now);
    // A life shorter than the overlap (a hurried pace) would otherwise be one long overlap.
    let overlap = OVERLAP.min(world.pace.mini_token / 4);
    let good = tokens.current.as_ref().filter(|token| now + overlap < token.expires_at);
    if let (Some(token), false) = (good, forced) {
        return Ok(token.clone());
    }
    let issued = tokens.issued;
    let token = format!("SANDBOX_{}_{issued}", hex_upper(&world.draw(&["mini.token"], issued).to_be_bytes()));
    let expires_at = now + world.pace.mini_token;
    scene.record(Fact::MiniTokenIssued { token: token.clone(), expires_at, forced })?;
    Ok(MiniToken { token, expires_at })
}

/// Too soon or too often: the token is not refreshed.
fn may_force(tokens: &MiniTokens, now: Timestamp) -> bool {
    let today = tokens.forced_at.iter().filter(|at| now.since(**at) < DAY).count();
    let too_soon = tokens.forced_at.back().is_some_and(|last| now.since(*last) < FORCED_APART);
    today < FORCED_A_DAY_MAX && !too_soon
}

/// # Errors
/// When the token is missing, unknown or past its end.
pub(super) fn check(world: &World, given: &str) -> Result<(), Failure> {
    if given.is_empty() {
        return Err(failure(41001, "access_token missing"));
    }
    let now = world.clock.now();
    world.look(|state| {
        let tokens = &state.mini_tokens;
        let known = [&tokens.current, &tokens.before];
        match known.into_iter().flatten().find(|token| token.token == given) {
            Some(token) if now < token.expires_at => Ok(()),
            Some(_) => Err(failure(42001, "access_token expired")),
            None => Err(failure(40001, "invalid credential, access_token is invalid or not latest")),
        }
    })
}
