use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use windlass_engine::Clock;
use windlass_jobs::notifications::mail::{Mail, MailSettings, MailTls, Mailer};
use windlass_jobs::outside::{Fault, OutsideError};

use crate::{CALL_TIMEOUT, START};

/// What the server says at a step: a line, or nothing more.
#[derive(Clone, Copy)]
enum Say {
    Line(&'static str),
    Cut,
    Silence,
}

/// Answers each command by its first word; `.` stands for the end of the message.
type Answers = fn(&str) -> Say;

struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn willing(word: &str) -> Say {
    match word {
        "EHLO" => Say::Line("250-sandbox\r\n250 AUTH PLAIN"),
        "DATA" => Say::Line("354 go on"),
        "AUTH" => Say::Line("235 welcome"),
        _ => Say::Line("250 ok"),
    }
}

impl Server {
    async fn new(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                ears.lock().unwrap().push("CONNECT".to_owned());
                tokio::spawn(converse(stream, answers, ears.clone()));
            }
        });
        Self { port, heard, task }
    }

    fn heard(&self, word: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|line| line.starts_with(word)).count()
    }
}

async fn converse(stream: TcpStream, answers: Answers, heard: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sandbox\r\n").await.ok()?;
    let mut in_message = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        heard.lock().unwrap().push(line.clone());
        if in_message && line != "." {
            continue;
        }
        let word = line.split(' ').next().unwrap_or_default().to_owned();
        match answers(&word) {
            Say::Line(text) => stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?,
            Say::Cut => return None,
            Say::Silence => {}
        }
        in_message = word == "DATA";
    }
}

fn mailer(port: u16) -> Mailer {
    let settings = MailSettings {
        host: "127.0.0.1".into(),
        port,
        tls: MailTls::None,
        credentials: Some(("shop".into(), "MAILPW".into())),
        step_timeout: CALL_TIMEOUT,
        ..Default::default()
    };
    Mailer::new(settings, Clock::by_hand(START))
}

fn mail() -> Mail {
    Mail {
        message_id: "order-1-shipped@shop.example".into(),
        from: "测试店 <shop@shop.example>".into(),
        to: "someone@customer.example".into(),
        subject: "您的订单已发货".into(),
        text: "顺丰 SF1".into(),
        html: None,
    }
}

async fn send(answers: Answers) -> Result<(), OutsideError> {
    let server = Server::new(answers).await;
    mailer(server.port).send(&mail()).await
}

#[tokio::test]
async fn a_mail_carries_our_message_id_and_connections_are_kept() {
    let server = Server::new(willing).await;
    let mailer = mailer(server.port);
    mailer.send(&mail()).await.unwrap();
    let html = Some("<p>顺丰</p>".to_owned());
    mailer.send(&Mail { html, ..mail() }).await.unwrap();
    assert_eq!((server.heard("CONNECT"), server.heard("AUTH PLAIN"), server.heard("DATA")), (1, 1, 2));
    assert_eq!(server.heard("Message-ID: <order-1-shipped@shop.example>"), 2);
    assert_eq!(server.heard("Date: Mon, 05 Jan 2026 02:00:00 +0000"), 2);
    assert_eq!(server.heard("RCPT TO:<someone@customer.example>"), 2);
}

#[tokio::test]
async fn until_the_message_nothing_has_happened() {
    for answers in [
        (|word| if word == "EHLO" { Say::Cut } else { willing(word) }) as Answers,
        |word| if word == "MAIL" { Say::Cut } else { willing(word) },
        |word| if word == "RCPT" { Say::Silence } else { willing(word) },
        |word| if word == "DATA" { Say::Cut } else { willing(word) },
    ] {
        assert_eq!(send(answers).await.unwrap_err().fault, Fault::NotSent);
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert_eq!(mailer(nobody).send(&mail()).await.unwrap_err().fault, Fault::NotSent);
}

#[tokio::test]
async fn a_message_whose_receipt_was_not_acknowledged_is_in_doubt() {
    for answers in [(|word| if word == "." { Say::Cut } else { willing(word) }) as Answers, |word| {
        if word == "." { Say::Silence } else { willing(word) }
    }] {
        let error = send(answers).await.unwrap_err();
        assert_eq!(error.fault, Fault::InDoubt, "{error}");
        assert!(error.is_outage());
    }
}

#[tokio::test]
async fn the_servers_word_is_believed_at_every_step() {
    let cases: [(Answers, Fault); 5] = [
        (
            |word| if word == "MAIL" { Say::Line("421 busy") } else { willing(word) },
            Fault::Throttled { retry_after: None },
        ),
        (
            |word| if word == "." { Say::Line("451 later") } else { willing(word) },
            Fault::Throttled { retry_after: None },
        ),
        (
            |word| if word == "RCPT" { Say::Line("550 nobody") } else { willing(word) },
            Fault::Refused { code: "550".into() },
        ),
        (
            |word| if word == "." { Say::Line("554 spam") } else { willing(word) },
            Fault::Refused { code: "554".into() },
        ),
        (
            |word| if word == "AUTH" { Say::Line("535 no") } else { willing(word) },
            Fault::Misconfigured { code: "535".into() },
        ),
    ];
    for (answers, fault) in cases {
        let error = send(answers).await.unwrap_err();
        assert_eq!(error.fault, fault);
        assert!(!error.to_string().contains("MAILPW") && !error.to_string().contains("someone@"), "{error}");
    }
}

#[tokio::test]
async fn an_idle_connection_that_died_is_replaced() {
    let server = Server::new(|word| if word == "NOOP" { Say::Cut } else { willing(word) }).await;
    let mailer = mailer(server.port);
    mailer.send(&mail()).await.unwrap();
    mailer.send(&mail()).await.unwrap();
    assert_eq!((server.heard("CONNECT"), server.heard("DATA")), (2, 2));
}

#[tokio::test]
async fn a_server_without_starttls_is_not_spoken_to_in_the_clear() {
    let server = Server::new(willing).await;
    let settings = MailSettings {
        host: "127.0.0.1".into(),
        port: server.port,
        tls: MailTls::StartTls,
        connect_timeout: Duration::from_secs(5),
        ..Default::default()
    };
    let error = Mailer::new(settings, Clock::by_hand(START)).send(&mail()).await.unwrap_err();
    assert_eq!(error.code(), Some("no_starttls"));
    assert_eq!(server.heard("MAIL"), 0);
}

#[tokio::test]
async fn what_is_no_mail_is_not_sent() {
    let mailer = mailer(9);
    for bad in [
        Mail { to: "nobody".into(), ..mail() },
        Mail { message_id: "a\r\nBcc: x@y.z".into(), ..mail() },
        Mail { text: "x".repeat(2 * 1024 * 1024), ..mail() },
    ] {
        assert!(matches!(mailer.send(&bad).await.unwrap_err().fault, Fault::Refused { .. }));
    }
}
