//! The way to the server: one connection that everybody shares, and what becomes of it when it breaks.
//!
//! A broken connection is replaced at the next call; the call that met the break is told so and is not repeated,
//! since nobody knows whether it was done. Time-outs are well above what a busy server takes (the client's own half
//! second would end healthy workers), and make a half-open socket a broken one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError,
    ServerErrorKind, Value,
};

use super::script::{self, Call};
use crate::store::StoreError;

/// Until a connection stands: TCP, TLS, password.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Beyond the time that an answer may take, until the system gives a silent connection up.
const SILENCE_SLACK: Duration = Duration::from_secs(5);

pub(super) struct Link {
    client: Client,
    tls: bool,
    /// See [`super::RedisSettings::answer_max`].
    answer_max: Duration,
    current: Mutex<Option<Numbered>>,
    /// One connects, the others wait for it.
    connecting: tokio::sync::Mutex<()>,
}

/// A connection with its number: so that only the one that broke is dropped.
#[derive(Clone)]
struct Numbered {
    number: u64,
    connection: MultiplexedConnection,
}

impl Link {
    /// # Errors
    /// `Invalid` when the address is none.
    pub fn new(url: &str, answer_max: Duration) -> Result<Self, StoreError> {
        // Calls follow each other without waiting for answers: held back until the one before is confirmed, as TCP does
        // by itself, they would stand in line on an idle server. And nobody waits for ever for a host that has gone.
        let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(answer_max + SILENCE_SLACK);
        let address = url.into_connection_info().map(|address| address.set_tcp_settings(tcp));
        let client = address.and_then(Client::open).map_err(|e| {
            // The address holds a password: it is not repeated.
            StoreError::Invalid(format!(
                "the address of Redis cannot be read ({e}): redis://user:password@host:6379/0"
            ))
        })?;
        let tls = matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. });
        if tls {
            // The client takes the process's provider and panics when there is none; another's choice stands.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let connecting = tokio::sync::Mutex::new(());
        Ok(Self { client, tls, answer_max, current: Mutex::new(None), connecting })
    }

    /// A connection of one's own, for a call that blocks.
    pub async fn own(&self) -> Result<MultiplexedConnection, StoreError> {
        self.connect(None).await
    }

    async fn connect(&self, answer_max: Option<Duration>) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX.min(self.answer_max)))
            .set_response_timeout(answer_max);
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|e| self.not_connected(e))
    }

    fn not_connected(&self, error: RedisError) -> StoreError {
        match error {
            error if !error.is_io_error() || error.is_connection_refusal() => explained(error),
            // A time-out, too: who expects no TLS waits for the end of a line.
            error if self.tls => StoreError::Unavailable(format!(
                "no TLS connection to Redis ({error}): its certificate must be for the host in QUEUE_URL and by an \
                 authority that this system or SSL_CERT_FILE trusts; a port without TLS has an address with redis:"
            )),
            error if error.is_connection_dropped() => StoreError::Unavailable(format!(
                "Redis hangs up on whoever connects ({error}): a port with TLS has an address with rediss:"
            )),
            error => explained(error),
        }
    }

    async fn shared(&self) -> Result<Numbered, StoreError> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let _turn = self.connecting.lock().await;
        if let Some(current) = self.current() {
            return Ok(current);
        }
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let fresh = Numbered { number, connection: self.connect(Some(self.answer_max)).await? };
        *self.lock() = Some(fresh.clone());
        Ok(fresh)
    }

    fn current(&self) -> Option<Numbered> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Numbered>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a script; the server is given its text when it does not have it yet.
    pub async fn run(&self, call: &Call) -> Result<Value, StoreError> {
        match self.send(call.cmd()).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.load().await?;
                self.send(call.cmd()).await.map_err(explained)
            }
            answer => answer.map_err(explained),
        }
    }

    pub async fn ask(&self, cmd: &Cmd) -> Result<Value, StoreError> {
        self.send(cmd).await.map_err(explained)
    }

    /// Gives the server all scripts.
    pub async fn load(&self) -> Result<(), StoreError> {
        for script in script::all() {
            self.ask(redis::cmd("SCRIPT").arg("LOAD").arg(&script.code)).await?;
        }
        Ok(())
    }

    async fn send(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        let mut current = self.shared().await.map_err(told)?;
        let answer = current.connection.req_packed_command(cmd).await.and_then(Value::extract_error);
        if let Err(error) = &answer
            && is_broken(error)
        {
            let mut shared = self.lock();
            if shared.as_ref().is_some_and(|now| now.number == current.number) {
                *shared = None;
            }
        }
        answer
    }
}

/// Whether another connection may do better: it was cut, it is silent, or it leads to a server that is no longer
/// the one that writes.
pub(super) fn is_broken(error: &RedisError) -> bool {
    use ServerErrorKind::{MasterDown, ReadOnly};
    let elsewhere = matches!(error.kind(), ErrorKind::Server(ReadOnly | MasterDown));
    elsewhere || error.is_io_error() || error.is_timeout() || error.is_unrecoverable_error()
}

/// An error that has been explained already, on its way through a function of the client.
fn told(error: StoreError) -> RedisError {
    RedisError::from((ErrorKind::Io, "not connected", error.to_string()))
}

/// What the failure means, and what to do about it.
pub(super) fn explained(error: RedisError) -> StoreError {
    if error.kind() == ErrorKind::Io
        && let Some(told) = error.detail()
        && let Some(why) = told.strip_prefix("the carrier is unavailable: ")
    {
        return StoreError::Unavailable(why.to_owned());
    }
    match (error.code(), error.kind()) {
        (Some("OOM"), _) => StoreError::Full(
            "Redis is at its maxmemory: jobs that are there go on, new ones wait until some are done".into(),
        ),
        (Some("MISCONF"), _) => StoreError::Unavailable(format!(
            "Redis cannot write to its disk and refuses to change anything ({error}): make room on its disk"
        )),
        (Some("NOREPLICAS"), _) => StoreError::Unavailable(format!(
            "Redis has fewer replicas than min-replicas-to-write asks for ({error})"
        )),
        (Some("NOPERM"), _) => StoreError::Unavailable(format!(
            "this Redis user may not do what a carrier does ({error}): give it ~{{windlass:*}}* and +@all -@dangerous +info +client|unblock"
        )),
        (_, ErrorKind::AuthenticationFailed) | (Some("NOAUTH" | "WRONGPASS"), _) => StoreError::Unavailable(
            "Redis refuses the user or password: set both in QUEUE_URL, redis://user:password@host:6379/0".into(),
        ),
        _ if error.detail().is_some_and(|detail| detail.contains("DB index is out of range")) => {
            StoreError::Unavailable(format!(
                "Redis has no database of the number in QUEUE_URL ({error}): the last part of its path, 0 for the first"
            ))
        }
        (_, ErrorKind::Server(ServerErrorKind::ReadOnly)) => StoreError::Unavailable(
            "this Redis is a read-only replica: QUEUE_URL must lead to the primary (after a failover it may take a \
             moment until it does)"
                .into(),
        ),
        (_, ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot)) => {
            StoreError::Unavailable(
                "this Redis is part of a cluster: a namespace lives on one server; give each a server of its own".into(),
            )
        }
        (_, ErrorKind::Server(ServerErrorKind::BusyLoading)) => {
            StoreError::Unavailable("Redis is still loading its file".into())
        }
        _ if error.is_timeout() => {
            StoreError::Unavailable(format!("Redis does not answer in time ({error})"))
        }
        _ if error.is_connection_refusal() => StoreError::Unavailable(format!(
            "nobody listens at the address of QUEUE_URL ({error}): is Redis running there?"
        )),
        _ => StoreError::Unavailable(format!("Redis: {error}")),
    }
}

/// An answer that no script of ours gives.
pub(super) fn unexpected(what: &str) -> StoreError {
    StoreError::Unreadable(format!(
        "Redis gave {what} another answer than this build's: does an older or newer build use the same namespace?"
    ))
}
