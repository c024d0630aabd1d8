use std::time::Duration;

use windlass_engine::Clock;
use windlass_jobs::outside::{Answer, BODY_BYTES_MAX, Call, Fault, OutsideError, System};
use windlass_testing::script::{Reply, Script, json, nobody, status};

use crate::{CALL_TIMEOUT, START, http};

fn calls() -> [Call; 2] {
    [Call::read(System::Haier, "try", CALL_TIMEOUT), Call::write(System::Haier, "try", CALL_TIMEOUT)]
}

async fn exchange(url: &str, call: &Call) -> Result<Answer, OutsideError> {
    let http = http(&Clock::by_hand(START));
    let request = http.post(&format!("{url}/x?access_token=T0PS3CRET")).body("{}");
    let answer = http.exchange(call, request).await?;
    call.judge_status(&answer, http.clock())?;
    answer.json::<serde_json::Value>(call)?;
    Ok(answer)
}

/// What a reply is to a read and to a write.
async fn faults(reply: Reply) -> [Fault; 2] {
    let server = Script::new(move |_| reply.clone()).await;
    let [read, write] = calls();
    let read = exchange(&server.url(), &read).await.unwrap_err();
    let write = exchange(&server.url(), &write).await.unwrap_err();
    for error in [&read, &write] {
        assert!(!error.to_string().contains("T0PS3CRET"), "{error}");
    }
    [read.fault, write.fault]
}

#[tokio::test]
async fn what_was_written_and_not_answered_is_in_doubt_for_a_write_only() {
    let lost = [Fault::Unavailable, Fault::InDoubt];
    assert_eq!(faults(Reply::Silence).await, lost);
    assert_eq!(faults(Reply::Cut).await, lost);
    assert_eq!(faults(Reply::Torn("{\"success\":".into())).await, lost);
    assert_eq!(faults(json("<html>gateway</html>")).await, lost);
    assert_eq!(faults(status(500, "{}")).await, lost);
    assert_eq!(faults(status(503, "")).await, lost);
    assert_eq!(faults(json(format!("\"{}\"", "x".repeat(BODY_BYTES_MAX)))).await, lost);
}

#[tokio::test]
async fn what_never_left_is_not_sent() {
    let refused = nobody().await;
    let server = Script::new(|_| json("{}")).await;
    let no_tls = server.url().replace("http://", "https://");
    for url in [refused.as_str(), no_tls.as_str(), "http://no-such-host.invalid"] {
        for call in calls() {
            let error = exchange(url, &call).await.unwrap_err();
            assert_eq!(error.fault, Fault::NotSent, "{url}: {error}");
            assert!(error.is_outage() && !error.may_have_happened());
        }
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn throttling_names_its_pause() {
    let seven = Fault::Throttled { retry_after: Some(Duration::from_secs(7)) };
    assert_eq!(faults(status(429, "").with("Retry-After", "7")).await, [seven.clone(), seven]);
    let date = status(429, "").with("Retry-After", "Mon, 05 Jan 2026 02:01:00 GMT");
    let minute = Fault::Throttled { retry_after: Some(Duration::from_secs(60)) };
    assert_eq!(faults(date).await, [minute.clone(), minute]);
    let unsaid = Fault::Throttled { retry_after: None };
    assert_eq!(faults(status(429, "").with("Retry-After", "soon")).await, [unsaid.clone(), unsaid]);
}

#[tokio::test]
async fn a_wrong_address_is_our_setting_and_a_redirect_is_not_followed() {
    let settings = |code: &str| Fault::Misconfigured { code: code.to_owned() };
    assert_eq!(faults(status(404, "")).await[1], settings("http_404"));
    let server = Script::new(|_| status(307, "").with("Location", "/elsewhere")).await;
    let error = exchange(&server.url(), &calls()[1]).await.unwrap_err();
    assert_eq!(error.fault, settings("http_307"));
    assert_eq!(server.requests().len(), 1);
    assert!(!error.is_outage());
    assert_eq!(faults(status(422, "")).await[1], Fault::Refused { code: "http_422".into() });
}

#[tokio::test]
async fn an_error_shows_nothing_secret() {
    let body = r#"{"access_token":"T0PS3CRET","errorMsg":"张三 13000000001"}"#;
    let server = Script::new(move |_| status(500, body)).await;
    let call = calls()[1].clone().hiding(["张三"]);
    let error = exchange(&server.url(), &call).await.unwrap_err().to_string();
    assert!(!error.contains("张三") && !error.contains("13000000001"), "{error}");
    assert!(error.contains("HTTP 500"));
}
