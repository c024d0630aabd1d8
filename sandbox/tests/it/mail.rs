//! The mail server, spoken to line by line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::shop::{Shop, json_of};

struct Talk(BufReader<TcpStream>);

impl Talk {
    async fn with(shop: &Shop) -> Self {
        let mut talk = Self(BufReader::new(TcpStream::connect(shop.at().smtp).await.unwrap()));
        assert_eq!(talk.hear().await, 220);
        talk
    }

    /// The code of the next answer, of its last line.
    async fn hear(&mut self) -> u16 {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.unwrap() == 0 {
                return 0;
            }
            if line.as_bytes()[3] == b' ' {
                return line[..3].parse().unwrap();
            }
        }
    }

    async fn say(&mut self, line: &str) -> u16 {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.hear().await
    }

    async fn log_in(&mut self, shop: &Shop) -> u16 {
        let is = &shop.is.smtp;
        self.say(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{}\0{}", is.user, is.password)))).await
    }

    /// The code of the first answer that is no yes, or of the last.
    async fn send(&mut self, text: &str) -> u16 {
        assert_eq!(self.say("MAIL FROM:<shop@example.com> BODY=8BITMIME").await, 250);
        match self.say("RCPT TO:<you@example.com>").await {
            250 => assert_eq!(self.say("DATA").await, 354),
            other => return other,
        }
        self.say(&format!("{text}\r\n.")).await
    }
}

const TEXT: &str = "Message-ID: <1@shop>\r\nSubject: Hello\r\n\r\nfirst\r\n..second";

#[tokio::test]
async fn a_mail_is_kept_without_its_stuffed_dots() {
    let shop = Shop::open().await;
    let mut talk = Talk::with(&shop).await;
    assert_eq!(talk.say("EHLO shop").await, 250);
    assert_eq!(talk.say("MAIL FROM:<shop@example.com>").await, 530);
    assert_eq!(talk.say(&format!("AUTH PLAIN {}", STANDARD.encode("\0x\0y"))).await, 535);
    assert_eq!(talk.log_in(&shop).await, 235);
    assert_eq!(talk.say("DATA").await, 503);
    assert_eq!(talk.send(TEXT).await, 250);
    assert_eq!((talk.say("NOOP").await, talk.say("RSET").await, talk.say("QUIT").await), (250, 250, 221));

    let mails =
        json_of(shop.http.get(format!("{}/mails?limit=5", shop.at().control)).send().await.unwrap()).await;
    assert_eq!((&mails[0]["subject"], &mails[0]["body"]), (&"Hello".into(), &"first\r\n.second\r\n".into()));
    assert_eq!(shop.effect("mail.send").await, (1, 0));
}

#[tokio::test]
async fn the_same_message_id_twice_is_doubled() {
    let shop = Shop::open().await;
    let mut talk = Talk::with(&shop).await;
    talk.say("HELO shop").await;
    assert_eq!(talk.say("AUTH LOGIN").await, 334);
    assert_eq!(talk.say(&STANDARD.encode(shop.is.smtp.user)).await, 334);
    assert_eq!(talk.say(&STANDARD.encode(shop.is.smtp.password)).await, 235);
    for doubled in [0, 1] {
        talk.send(TEXT).await;
        assert_eq!(shop.effect("mail.send").await, (1, doubled));
    }
}

#[tokio::test]
async fn a_message_over_the_bound_is_refused_and_the_talk_goes_on() {
    let shop = Shop::open().await;
    let mut talk = Talk::with(&shop).await;
    talk.say("EHLO shop").await;
    talk.log_in(&shop).await;
    assert_eq!(talk.say("MAIL FROM:<shop@example.com> SIZE=99999999").await, 552);
    let line = format!("{}\r\n", "x".repeat(1_000));
    assert_eq!(talk.send(&line.repeat(2_200)).await, 552);
    assert_eq!(talk.send(TEXT).await, 250);
    assert_eq!(shop.effect("mail.send").await, (1, 0));
}

#[tokio::test]
async fn a_mail_that_was_taken_stays_taken_although_the_line_was_cut() {
    let shop = Shop::open_with(|config| config.faults = windlass_sandbox::Faults::Storm).await;
    let (mut kept, mut later, mut cut) = (0, 0, 0);
    for nth in 0..120 {
        let mut talk = Talk::with(&shop).await;
        talk.say("EHLO shop").await;
        talk.log_in(&shop).await;
        match talk.send(&format!("Message-ID: <{nth}@shop>\r\n\r\nHello")).await {
            250 => kept += 1,
            421 | 450 | 451 => later += 1,
            0 => cut += 1,
            other => panic!("{other}"),
        }
    }
    assert!(later > 0 && cut > 0, "{kept} {later} {cut}");
    // Of the cut ones some were taken first, and some were cut before their message.
    let (taken, doubled) = shop.effect("mail.send").await;
    assert!(kept < taken && taken < kept + cut && doubled == 0, "{kept} {taken} {cut}");
}

#[tokio::test]
async fn strangers_are_sent_away_once() {
    let shop = Shop::open_with(|config| config.greylists = true).await;
    for (text, code) in [(TEXT, 450), (TEXT, 250), ("Message-ID: <2@shop>\r\n\r\nHello", 250)] {
        let mut talk = Talk::with(&shop).await;
        talk.say("EHLO shop").await;
        talk.log_in(&shop).await;
        assert_eq!(talk.send(text).await, code);
    }
    assert_eq!(shop.effect("mail.send").await, (2, 0));
}
