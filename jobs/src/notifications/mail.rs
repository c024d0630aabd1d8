//! E-mail by SMTP.
//!
//! Speaks the conversation step by step over lettre's connection, because what an error means depends on the
//! step: until the message was sent nothing has happened, from then until the server's word it is in doubt.
//! What a mail says, and whether it was sent before, is decided elsewhere.

mod connection;
mod message;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use windlass_engine::{Clock, Timestamp};

use crate::outside::{Call, OutsideError, Secret, System, install_crypto, measured};
use connection::{Connection, Step};

pub use message::Mail;

/// An idle connection is kept so long.
const IDLE_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// In the clear: for a relay on the same machine, and the sandbox.
    None,
    /// Begun in the clear and then encrypted; a server that cannot is not used.
    #[default]
    StartTls,
    /// Encrypted from the first byte.
    Implicit,
}

#[derive(Clone, Debug)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub credentials: Option<(String, Secret)>,
    /// Our name in EHLO.
    pub hello_name: String,
    pub connect_timeout: Duration,
    /// For each step of the conversation.
    pub step_timeout: Duration,
    /// Idle connections that are kept.
    pub idle_connections_max: usize,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 587,
            tls: MailTls::default(),
            credentials: None,
            hello_name: "windlass.invalid".to_owned(),
            connect_timeout: Duration::from_secs(10),
            step_timeout: Duration::from_secs(30),
            idle_connections_max: 4,
        }
    }
}

/// Sends mail through one server. Clones share its connections.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    settings: MailSettings,
    clock: Clock,
    /// With the wall time at which each fell idle.
    idle: Mutex<Vec<(Connection, Timestamp)>>,
}

impl Mailer {
    pub fn new(settings: MailSettings, clock: Clock) -> Self {
        install_crypto();
        Self(Arc::new(Inner { settings, clock, idle: Mutex::default() }))
    }

    /// Hands a mail to the server; its Message-ID is the caller's.
    ///
    /// # Errors
    /// `NotSent` when the conversation broke off before the message; `InDoubt` when it broke off after;
    /// `Throttled` for the server's 4xx, `Refused` for its 5xx and for an address that is none, and
    /// `Misconfigured` when it does not take our credentials.
    pub async fn send(&self, mail: &Mail) -> Result<(), OutsideError> {
        let settings = &self.0.settings;
        let mut call = Call::write(System::Mail, "send", settings.step_timeout).hiding([mail.to.as_str()]);
        call.hide.extend(settings.credentials.iter().map(|(_, password)| password.expose().to_owned()));
        measured(&self.0.clock, &call, self.hand_over(&call, mail)).await
    }

    async fn hand_over(&self, call: &Call, mail: &Mail) -> Result<(), OutsideError> {
        let message = message::build(call, mail, self.0.clock.now())?;
        let mut connection = self.connection(call).await?;
        let result = converse(call, &mut connection, &message).await;
        // A conversation that broke off is not worth keeping.
        if result.is_ok() {
            self.keep(connection);
        }
        result
    }

    async fn connection(&self, call: &Call) -> Result<Connection, OutsideError> {
        while let Some(mut connection) = self.take_idle() {
            if connection.is_alive().await {
                return Ok(connection);
            }
        }
        Connection::open(call, &self.0.settings).await
    }

    fn take_idle(&self) -> Option<Connection> {
        let now = self.0.clock.wall();
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| now.since(*since) < IDLE_MAX);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.0.settings.idle_connections_max {
            idle.push((connection, self.0.clock.wall()));
        }
    }
}

async fn converse(call: &Call, connection: &mut Connection, message: &Message) -> Result<(), OutsideError> {
    let envelope = message.envelope();
    connection.command(call, Step::Before, MailFrom::new(envelope.from().cloned(), vec![])).await?;
    for to in envelope.to() {
        connection.command(call, Step::Before, Rcpt::new(to.clone(), vec![])).await?;
    }
    connection.command(call, Step::Before, Data).await?;
    connection.message(call, &message.formatted()).await
}
