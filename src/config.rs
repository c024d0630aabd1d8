//! What an installation may set: environment variables, and a `.env` beside them.
//!
//! Every variable stands in one table ([`VARIABLES`]), from which `.env.example` is written too. Everything that
//! is wrong is told at once ([`ConfigProblems`]); to leave with exit code 2 is up to the caller. What the shop
//! decides about its business is not here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

mod carrier;
mod dotenv;
mod environment;
mod outside;
mod problem;
mod variables;

pub use carrier::StoreUrl;
pub use outside::{MailAccount, Outside, YlhAccount};
pub use problem::{ConfigProblem, ConfigProblems};
pub use variables::{Section, VARIABLES, Variable, env_example};

use environment::Environment;

/// Jobs that one process runs at once, at most.
pub const SLOTS_MAX: u32 = 1_024;

/// The configuration of a process: complete and sound.
#[derive(Clone, Debug)]
pub struct Config {
    /// `WINDLASS_ENV`.
    pub env: Env,
    /// `WINDLASS_LISTEN`: where the front door listens.
    pub listen: SocketAddr,
    /// `WINDLASS_DATA`: the folder of the embedded files.
    pub data: PathBuf,
    /// `QUEUE_URL`, or `CELERY_BROKER_URL`, or `REDIS_HOST`, `REDIS_PORT` and `REDIS_PASSWORD`: the carrier.
    pub queue: StoreUrl,
    /// `DATABASE_URL`, or the parts `POSTGRES_HOST`, `POSTGRES_PORT`, `POSTGRES_DB`, `POSTGRES_USER` and
    /// `POSTGRES_PASSWORD` (also as `DB_HOST` and so on): the ledger.
    pub database: StoreUrl,
    /// `WINDLASS_SCHEDULES`: the folder of the schedules' files.
    pub schedules: PathBuf,
    /// `WINDLASS_SERVER`: the server that the command line asks, where it is not the one at `listen`.
    pub server: Option<String>,
    /// `WINDLASS_SLOTS`: jobs that this process runs at once, 1 to [`SLOTS_MAX`].
    pub slots: u32,
    /// `WINDLASS_LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `WINDLASS_LOG`, or `RUST_LOG`: which lines are logged, a filter of `tracing-subscriber`.
    pub log_filter: String,
    /// The systems outside, each with its credentials or left to the sandbox.
    pub outside: Outside,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Env {
    /// The sandbox stands in for every system outside that has no credentials.
    #[default]
    Development,
    /// Nothing stands in: whatever is missing, left at its default or weak is a problem.
    Production,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON lines elsewhere.
    #[default]
    Auto,
    Pretty,
    Json,
}

impl Config {
    /// Reads the process's environment over the file `.env` of the working folder, if there is one. `flags` are
    /// variables that the command line sets; they win.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn load(flags: &[(&str, String)]) -> Result<Self, ConfigProblems> {
        let process = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let flags = flags.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self::read(process.chain(flags).collect(), Path::new(".env"))
    }

    /// As [`Config::load`], from the given variables and file.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn read(variables: BTreeMap<String, String>, dotenv: &Path) -> Result<Self, ConfigProblems> {
        let mut env = Environment::new(variables, dotenv);
        let config = Self::from(&mut env);
        env.check_all_read();
        match config {
            Some(config) if env.problems.is_empty() => Ok(config),
            _ => Err(ConfigProblems(env.problems)),
        }
    }

    fn from(env: &mut Environment) -> Option<Self> {
        let mode =
            env.one_of("WINDLASS_ENV", &[("development", Env::Development), ("production", Env::Production)]);
        let mode = mode.unwrap_or_default();
        let data = folder(env, "WINDLASS_DATA", "./data");
        let queue = carrier::queue(env, &data);
        let database = carrier::database(env, &data);
        let embedded = [&queue, &database].into_iter().flatten().any(|url| url.is_within(&data));
        if mode == Env::Production && embedded && !env.has("WINDLASS_DATA") {
            env.problem("WINDLASS_DATA", "production names the folder of its data; there is no default");
        }
        let listen = env.parsed("WINDLASS_LISTEN", "an address and port, such as 127.0.0.1:8080");
        let schedules = folder(env, "WINDLASS_SCHEDULES", "./schedules");
        let server = env.text("WINDLASS_SERVER");
        let slots = slots(env);
        let log_format = env.one_of(
            "WINDLASS_LOG_FORMAT",
            &[("auto", LogFormat::Auto), ("pretty", LogFormat::Pretty), ("json", LogFormat::Json)],
        );
        let log_filter = log_filter(env);
        let outside = Outside::read(env, mode);
        Some(Self {
            env: mode,
            listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            data,
            queue: queue?,
            database: database?,
            schedules,
            server,
            slots,
            log_format: log_format.unwrap_or_default(),
            log_filter,
            outside,
        })
    }
}

fn folder(env: &mut Environment, name: &str, default: &str) -> PathBuf {
    PathBuf::from(env.text(name).unwrap_or_else(|| default.to_owned()))
}

fn slots(env: &mut Environment) -> u32 {
    const DEFAULT: u32 = 32;
    let slots = env.parsed("WINDLASS_SLOTS", "a whole number").unwrap_or(DEFAULT);
    if !(1..=SLOTS_MAX).contains(&slots) {
        env.problem("WINDLASS_SLOTS", format!("{slots} is not from 1 to {SLOTS_MAX}"));
    }
    slots
}

fn log_filter(env: &mut Environment) -> String {
    let filter = env.text("WINDLASS_LOG").unwrap_or_else(|| "info".to_owned());
    if let Err(e) = tracing_subscriber::EnvFilter::try_new(&filter) {
        env.problem("WINDLASS_LOG", format!("no filter of logs: {e}"));
    }
    filter
}
