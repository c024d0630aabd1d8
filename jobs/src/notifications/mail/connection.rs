//! One SMTP conversation, and what an error of each of its steps means.

use std::fmt::Display;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::{MailSettings, MailTls};
use crate::outside::{Call, Fault, OutsideError};

/// An idle connection that does not answer so soon is worth less than a new one.
const ALIVE_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Connection(AsyncSmtpConnection);

/// Where in the conversation an error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Until the message: nothing has happened yet.
    Before,
    SigningIn,
    /// The message was (at least in part) sent, and the server's word is awaited.
    Message,
}

impl Connection {
    /// Connects, greets, encrypts and signs in.
    pub(super) async fn open(call: &Call, settings: &MailSettings) -> Result<Self, OutsideError> {
        let time_max = settings.connect_timeout.saturating_add(settings.step_timeout);
        match timeout(time_max, Self::opened(call, settings)).await {
            Ok(result) => result,
            Err(_) => Err(call.fail(Fault::NotSent, "no greeting in time")),
        }
    }

    async fn opened(call: &Call, settings: &MailSettings) -> Result<Self, OutsideError> {
        let hello = ClientId::Domain(settings.hello_name.clone());
        let tls = || {
            TlsParameters::new(settings.host.clone())
                .map_err(|error| call.misconfigured("tls", &error.to_string()))
        };
        let implicit = if settings.tls == MailTls::Implicit { Some(tls()?) } else { None };
        let address = (settings.host.as_str(), settings.port);
        let connected = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(settings.connect_timeout),
            &hello,
            implicit,
            None,
        );
        let mut connection = connected.await.map_err(|error| judge(call, Step::Before, &error))?;
        if settings.tls == MailTls::StartTls {
            if !connection.can_starttls() {
                return Err(call.misconfigured("no_starttls", "the server does not offer STARTTLS"));
            }
            connection.starttls(tls()?, &hello).await.map_err(|error| judge(call, Step::Before, &error))?;
        }
        if let Some((user, password)) = &settings.credentials {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            let signed_in = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            signed_in.map_err(|error| judge(call, Step::SigningIn, &error))?;
        }
        Ok(Self(connection))
    }

    pub(super) async fn is_alive(&mut self) -> bool {
        timeout(ALIVE_WITHIN, self.0.test_connected()).await.unwrap_or(false)
    }

    pub(super) async fn command(
        &mut self,
        call: &Call,
        step: Step,
        command: impl Display,
    ) -> Result<(), OutsideError> {
        match timeout(call.timeout, self.0.command(command)).await {
            Ok(result) => result.map(drop).map_err(|error| judge(call, step, &error)),
            Err(_) => Err(call.fail(Fault::NotSent, "no answer in time, before the message")),
        }
    }

    pub(super) async fn message(&mut self, call: &Call, bytes: &[u8]) -> Result<(), OutsideError> {
        match timeout(call.timeout, self.0.message(bytes)).await {
            Ok(result) => result.map(drop).map_err(|error| judge(call, Step::Message, &error)),
            Err(_) => Err(call.lost("no answer in time, after the message")),
        }
    }
}

fn judge(call: &Call, step: Step, error: &Error) -> OutsideError {
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        detail = format!("{detail}: {inner}");
        source = inner.source();
    }
    let code = error.status().map(|code| code.to_string());
    match code {
        Some(code)
            if error.is_permanent()
                && (step == Step::SigningIn || matches!(code.as_str(), "530" | "535")) =>
        {
            call.misconfigured(&code, &detail)
        }
        Some(code) if error.is_permanent() => call.refused(&code, &detail),
        // The server closes down or may not be spoken to; every other 4xx is about this message, such as greylisting.
        Some(code) if code == "421" => call.fail(Fault::Throttled { retry_after: None }, &detail),
        Some(_) => call.wanted_later(&detail),
        None if step == Step::Message => call.lost(&detail),
        None if step == Step::SigningIn && error.is_client() => call.misconfigured("no_mechanism", &detail),
        None => call.fail(Fault::NotSent, &detail),
    }
}
