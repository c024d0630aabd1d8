//! One conversation with a mail client.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::greylist::Greylist;
use super::message::mail;
use crate::credentials::credentials;
use crate::fault::{Endpoint, Fault, Faults};
use crate::sealed::{base64, from_base64};
use crate::world::World;
use crate::world::event::{Fact, Mail};

/// RFC 5321 4.5.3.1.6 with room for the base64 of AUTH.
const LINE_BYTES_MAX: u64 = 2_048;
const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
const RECIPIENTS_MAX: usize = 100;
/// Real time that a client may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(300);

struct Session<'a> {
    world: &'a World,
    greylist: &'a Greylist,
    stream: BufReader<TcpStream>,
    known: bool,
    from: Option<String>,
    to: Vec<String>,
}

enum Next {
    GoOn,
    HangUp,
}

/// # Errors
/// When the connection breaks or the client is silent for too long.
pub(super) async fn run(world: &World, greylist: &Greylist, stream: TcpStream) -> io::Result<()> {
    let stream = BufReader::new(stream);
    let mut session = Session { world, greylist, stream, known: false, from: None, to: Vec::new() };
    session.say("220 sandbox ESMTP").await?;
    while let Some(line) = session.line(LINE_BYTES_MAX).await? {
        let line = String::from_utf8_lossy(&line).into_owned();
        match session.obey(line.trim_end()).await? {
            Next::GoOn => {}
            Next::HangUp => break,
        }
    }
    Ok(())
}

impl Session<'_> {
    async fn obey(&mut self, line: &str) -> io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.reset();
                let size = format!(
                    "250-sandbox\r\n250-SIZE {MESSAGE_BYTES_MAX}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN"
                );
                self.say(&size).await?;
            }
            "HELO" => {
                self.reset();
                self.say("250 sandbox").await?;
            }
            "AUTH" => self.authenticate(rest).await?,
            "MAIL" => self.mail_from(rest).await?,
            "RCPT" => return self.rcpt_to(rest).await,
            "DATA" if self.from.is_none() || self.to.is_empty() => self.say("503 5.5.1 bad sequence").await?,
            "DATA" => return self.data().await,
            "RSET" => {
                self.reset();
                self.say("250 2.0.0 ok").await?;
            }
            "NOOP" => self.say("250 2.0.0 ok").await?,
            "QUIT" => {
                self.say("221 2.0.0 bye").await?;
                return Ok(Next::HangUp);
            }
            _ => self.say("502 5.5.2 command not known").await?,
        }
        Ok(Next::GoOn)
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn authenticate(&mut self, rest: &str) -> io::Result<()> {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let given = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" if initial.is_empty() => self.ask("").await?,
            "PLAIN" => initial.to_owned(),
            "LOGIN" => {
                let user = if initial.is_empty() { self.ask("Username:").await? } else { initial.to_owned() };
                let password = self.ask("Password:").await?;
                return self.welcome(&[b"", decoded(&user).as_slice(), &decoded(&password)].join(&0)).await;
            }
            _ => return self.say("504 5.5.4 mechanism not known").await,
        };
        let given = decoded(&given);
        // The identity to act as, before the first zero, plays no part.
        let start = given.iter().position(|byte| *byte == 0).unwrap_or(0);
        self.welcome(&given[start..]).await
    }

    async fn welcome(&mut self, given: &[u8]) -> io::Result<()> {
        let ours = credentials().smtp;
        self.known = given == format!("\0{}\0{}", ours.user, ours.password).as_bytes();
        self.say(if self.known { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user or password" }).await
    }

    /// A challenge and its answer.
    async fn ask(&mut self, challenge: &str) -> io::Result<String> {
        self.say(&format!("334 {}", base64(challenge.as_bytes()))).await?;
        let line = self.line(LINE_BYTES_MAX).await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn mail_from(&mut self, rest: &str) -> io::Result<()> {
        if !self.known {
            return self.say("530 5.7.0 authentication required").await;
        }
        if self.from.is_some() {
            return self.say("503 5.5.1 nested MAIL").await;
        }
        let Some((address, parameters)) = path(rest, "FROM:") else {
            return self.say("501 5.5.4 syntax").await;
        };
        let size = parameters.split(' ').find_map(|part| part.strip_prefix("SIZE=")?.parse::<usize>().ok());
        if size.is_some_and(|size| size > MESSAGE_BYTES_MAX) {
            return self.say("552 5.3.4 message too big").await;
        }
        self.from = Some(address.to_owned());
        self.say("250 2.1.0 ok").await
    }

    async fn rcpt_to(&mut self, rest: &str) -> io::Result<Next> {
        let Some(from) = self.from.clone() else {
            self.say("503 5.5.1 MAIL first").await?;
            return Ok(Next::GoOn);
        };
        if self.to.len() >= RECIPIENTS_MAX {
            self.say("452 4.5.3 too many recipients").await?;
            return Ok(Next::GoOn);
        }
        let Some((address, _)) = path(rest, "TO:").filter(|(address, _)| address.contains('@')) else {
            self.say("501 5.5.4 syntax").await?;
            return Ok(Next::GoOn);
        };
        match self.world.dial.ask(Endpoint::MailRecipient, &format!("{from}>{address}")) {
            // Before the message: nothing has happened.
            Some(Fault::Drop) => return Ok(Next::HangUp),
            Some(Fault::Slow(by)) => tokio::time::sleep(by).await,
            _ => {}
        }
        let greylists = self.world.greylists || self.world.dial.faults() == Faults::Storm;
        if greylists && self.greylist.is_strange(&from, address) {
            self.say("450 4.7.1 greylisted, come again").await?;
            return Ok(Next::GoOn);
        }
        self.to.push(address.to_owned());
        self.say("250 2.1.5 ok").await?;
        Ok(Next::GoOn)
    }

    async fn data(&mut self) -> io::Result<Next> {
        self.say("354 end with a line that is a dot").await?;
        let Some(text) = self.text().await? else {
            self.reset();
            self.say("552 5.3.4 message too big").await?;
            return Ok(Next::GoOn);
        };
        let mail = mail(self.from.take().unwrap_or_default(), std::mem::take(&mut self.to), &text);
        let fault = self.world.dial.ask(Endpoint::Mail, &mail.message_id);
        match fault {
            Some(Fault::Busy) => self.say("451 4.3.2 busy, come again").await?,
            Some(Fault::ErrorBefore) => self.say("421 4.3.2 closing down").await?,
            _ => return self.take(mail, fault).await,
        }
        Ok(if fault == Some(Fault::ErrorBefore) { Next::HangUp } else { Next::GoOn })
    }

    async fn take(&mut self, mail: Mail, fault: Option<Fault>) -> io::Result<Next> {
        if let Some(Fault::Slow(by)) = fault {
            tokio::time::sleep(by).await;
        }
        if self.world.act(|scene| scene.record(Fact::MailTaken { mail })).is_err() {
            self.say("451 4.3.0 could not be kept").await?;
            return Ok(Next::GoOn);
        }
        if fault == Some(Fault::Drop) {
            return Ok(Next::HangUp);
        }
        self.say("250 2.0.0 kept").await?;
        Ok(Next::GoOn)
    }

    /// The lines up to the lone dot, without the dots that were stuffed in; `None` when they are too many. All of them
    /// are read in either case, so that the conversation can go on.
    async fn text(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (mut text, mut fits) = (Vec::new(), true);
        while let Some(line) = self.line(MESSAGE_BYTES_MAX as u64).await? {
            if line == b".\r\n" || line == b".\n" {
                return Ok(fits.then_some(text));
            }
            fits &= text.len() + line.len() <= MESSAGE_BYTES_MAX;
            if fits {
                text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// One line with its end; `None` when the client hung up.
    async fn line(&mut self, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(bytes_max);
        timeout(SILENCE_MAX, bounded.read_until(b'\n', &mut line)).await.map_err(io::Error::other)??;
        match line.last() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(line)),
            Some(_) => Err(io::Error::other("a line without an end")),
        }
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await
    }
}

fn decoded(text: &str) -> Vec<u8> {
    from_base64(text).unwrap_or_default()
}

/// `FROM:<a@b> SIZE=1`: the address and what follows it.
fn path<'a>(rest: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (head, tail) = rest.split_at_checked(name.len())?;
    if !head.eq_ignore_ascii_case(name) {
        return None;
    }
    tail.trim_start().strip_prefix('<')?.split_once('>')
}
