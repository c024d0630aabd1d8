//! How the door closes: whoever reached its port is answered, and nobody meets a reset.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use windlass::front_door::Limits;
use windlass_testing::wait::until;

use crate::support::TestDoor;

/// The first line of a request, and the rest.
const HALF: &str = "GET /livez HTTP/1.1\r\nHost: door";
const OTHER_HALF: &str = "\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(30);
/// Far longer than a door that lost its port would need to lose its callers.
const A_WHILE: Duration = Duration::from_millis(300);

async fn connect(door: &TestDoor) -> std::io::Result<TcpStream> {
    TcpStream::connect(door.url.strip_prefix("http://").unwrap()).await
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// All that comes until the door ends the connection, which it must do cleanly.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text));
    read.await.expect("the door ends the connection").unwrap_or_else(|e| panic!("{e}, after {text:?}"));
    text
}

/// A connection that has had an answer, and is kept.
async fn kept(door: &TestDoor) -> TcpStream {
    let mut stream = connect(door).await.unwrap();
    send(&mut stream, &format!("{HALF}{OTHER_HALF}")).await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut piece = [0; 1024];
        let bytes = stream.read(&mut piece).await.unwrap();
        assert!(bytes > 0, "it is kept: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..bytes]);
    }
    stream
}

#[track_caller]
fn is_the_last_answer(text: &str) {
    assert!(text.starts_with("HTTP/1.1 200"), "{text:?}");
    assert!(text.to_lowercase().contains("connection: close"), "{text}");
}

async fn until_refused(door: &TestDoor) {
    until("the port closes", async || match connect(door).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Some(()),
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    })
    .await;
}

#[tokio::test]
async fn whoever_waits_at_the_port_of_a_door_that_closes_is_answered() {
    const BODY: &str = r#"{"kind":"weigh_parcel","payload":{"parcel":"P-1","grams":500}}"#;
    let door = TestDoor::open_with(Limits { connections_max: 1, ..Limits::default() }).await;
    // There is room for one, who takes his time.
    let mut first = connect(&door).await.unwrap();
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    );
    send(&mut first, &head).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&door).await.unwrap();
        send(&mut stream, &format!("{HALF}{OTHER_HALF}")).await;
        others.push(stream);
    }
    door.closing.cancel();
    let early = tokio::time::timeout(A_WHILE, others[0].read_u8()).await;
    assert!(early.is_err(), "neither answered nor turned away while there is no room: {early:?}");
    send(&mut first, BODY).await;
    let answer = rest(&mut first).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer:?}");
    for stream in &mut others {
        is_the_last_answer(&rest(stream).await);
    }
    until_refused(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_to_a_door_that_closes_is_answered_or_refused() {
    const CALLERS: usize = 32;
    const CALLS_BEFORE: usize = 500;
    let door =
        TestDoor::open_with(Limits { close_delay: Duration::from_millis(50), ..Limits::default() }).await;
    let (mut callers, address) = (JoinSet::new(), door.url.strip_prefix("http://").unwrap().to_owned());
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..CALLERS {
        let (address, told) = (address.clone(), told.clone());
        callers.spawn(async move {
            loop {
                let mut stream = match TcpStream::connect(&address).await {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
                    connected => connected.unwrap(),
                };
                send(&mut stream, &format!("{HALF}\r\nConnection: close{OTHER_HALF}")).await;
                is_the_last_answer(&rest(&mut stream).await);
                told.send(()).unwrap();
            }
        });
    }
    for _ in 0..CALLS_BEFORE {
        heard.recv().await.unwrap();
    }
    door.closing.cancel();
    // Each ends with a refusal, and none with anything else.
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_is_half_said_is_heard_out_and_what_is_idle_ends_cleanly() {
    let door = TestDoor::open().await;
    let (mut idle, mut half) = (kept(&door).await, kept(&door).await);
    send(&mut half, HALF).await;
    let mut new = connect(&door).await.unwrap();
    door.closing.cancel();
    assert_eq!(rest(&mut idle).await, "", "its end says that the port is closed");
    send(&mut half, OTHER_HALF).await;
    send(&mut new, &format!("{HALF}{OTHER_HALF}")).await;
    for stream in [&mut half, &mut new] {
        is_the_last_answer(&rest(stream).await);
    }
}

#[tokio::test]
async fn a_hurried_door_closes_once_no_connection_is_left_that_a_caller_kept() {
    let limits = Limits { close_delay: Duration::from_secs(3_600), ..Limits::default() };
    let door = TestDoor::open_with(limits).await;
    let mut kept = kept(&door).await;
    door.closing.cancel();
    door.hurrying.cancel();
    let request = format!("{HALF}{OTHER_HALF}");
    let mut new = connect(&door).await.unwrap();
    send(&mut new, &request).await;
    is_the_last_answer(&rest(&mut new).await);
    send(&mut kept, &request).await;
    is_the_last_answer(&rest(&mut kept).await);
    until_refused(&door).await;
}
