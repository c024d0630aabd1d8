//! What an installation may set: environment variables, and a `.env` beside them.
//!
//! Every variable stands in one table ([`VARIABLES`]), from which `.env.example` is written too. Everything that
//! is wrong is told at once ([`ConfigProblems`]); to leave with exit code 2 is up to the caller. What the shop
//! decides about its business is not here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod access;
mod dotenv;
mod environment;
mod logs;
mod outside;
mod problem;
mod reporting;
mod shop_time;
mod stores;
mod variables;
mod weak;
mod work;

pub use access::{AccessKeys, SECRET_KEY_CHARS_MIN};
pub use logs::LogFiles;
pub use outside::{MailAccount, Outside, YlhAccount};
pub use problem::{ConfigProblem, ConfigProblems, WrongSetUp};
pub use reporting::{Collector, ErrorDesk};
pub use shop_time::ShopSpeed;
pub use stores::{StoreUrl, shared};
pub use variables::{Section, VARIABLES, Variable, env_example};
pub use work::{SLOTS_MAX, Work};

use environment::Environment;
use windlass_engine::Clock;

/// The configuration of a process: complete and sound.
#[derive(Clone, Debug)]
pub struct Config {
    /// `WINDLASS_ENV`.
    pub env: Env,
    /// `WINDLASS_LISTEN`: where the front door listens.
    pub listen: SocketAddr,
    /// `WINDLASS_CLOSE_DELAY_S`: how long the front door goes on serving after it was told to stop, 0 to
    /// [`CLOSE_DELAY_MAX_S`].
    pub close_delay: Duration,
    /// `WINDLASS_DATA`: the folder of the embedded files.
    pub data: PathBuf,
    /// `WINDLASS_METRICS_LISTEN`: where metrics and health are told, where that is not where the role has it.
    pub metrics_listen: Option<SocketAddr>,
    /// `QUEUE_URL`, or `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB` and `REDIS_PASSWORD`, or `CELERY_BROKER_URL`: the carrier.
    pub queue: StoreUrl,
    /// `QUEUE_NAMESPACE`: what the carrier's keys begin with, where it is a Redis.
    pub namespace: String,
    /// `DATABASE_URL`, or the parts `POSTGRES_HOST`, `POSTGRES_PORT`, `POSTGRES_DB`, `POSTGRES_USER` and
    /// `POSTGRES_PASSWORD` (also as `DB_HOST` and so on): the ledger.
    pub database: StoreUrl,
    /// See [`AccessKeys`].
    pub access: AccessKeys,
    /// `WINDLASS_SCHEDULES`: the folder of the schedules' files.
    pub schedules: PathBuf,
    /// `WINDLASS_SERVER`: the server that the command line asks, where it is not the one at `listen`.
    pub server: Option<String>,
    /// `WINDLASS_SHOP`: a TOML file of what the shop decides ([`windlass_jobs::Settings`]); None: its defaults.
    pub shop: Option<PathBuf>,
    /// `WINDLASS_TEMPLATES`: a folder of the shop's own wording of mail; None: ours.
    pub templates: Option<PathBuf>,
    /// `WINDLASS_SUMMARY_TO`: who is told by mail how the day was and what must be looked at, with commas between.
    pub summary_to: Vec<String>,
    /// `WINDLASS_SANDBOX`: the control port of a sandbox that runs already. None: whoever needs one starts it.
    pub sandbox: Option<SocketAddr>,
    /// See [`ShopSpeed`].
    pub speed: Option<ShopSpeed>,
    /// See [`Work`].
    pub work: Work,
    /// `WINDLASS_LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `WINDLASS_LOG`, or `RUST_LOG`: which lines are logged, a filter of `tracing-subscriber`.
    pub log_filter: String,
    /// See [`LogFiles`]; None: no files.
    pub log_files: Option<LogFiles>,
    /// `WINDLASS_SLOW_QUERY_MS`: a statement of the ledger that takes so long is logged; None: none is.
    pub slow_query: Option<Duration>,
    /// Who is told of traces; None: nobody.
    pub collector: Option<Collector>,
    /// Who is told of errors; None: nobody.
    pub error_desk: Option<ErrorDesk>,
    /// The systems outside, each with its credentials or left to the sandbox.
    pub outside: Outside,
    /// What works and is worth a word at the start.
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Env {
    /// The sandbox stands in for every system outside that has no credentials.
    #[default]
    Development,
    /// As production in its stores and keys; the sandbox stands in for the systems outside.
    Test,
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

impl Env {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Production => "production",
        }
    }

    /// Whether others depend on it: what is missing, left at its example or weak in stores and keys is refused.
    pub const fn is_strict(self) -> bool {
        matches!(self, Self::Test | Self::Production)
    }
}

/// A supervisor that waits longer for the end of a process is rare.
const CLOSE_DELAY_MAX_S: u64 = 60;

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
            Some(config) if env.problems.is_empty() => Ok(Self { warnings: env.warnings, ..config }),
            _ => Err(ConfigProblems(env.problems)),
        }
    }

    /// The shop's clock.
    pub fn clock(&self) -> Clock {
        self.speed.map_or_else(Clock::system, ShopSpeed::clock)
    }

    fn from(env: &mut Environment) -> Option<Self> {
        let mode = env.one_of(
            "WINDLASS_ENV",
            &[("development", Env::Development), ("test", Env::Test), ("production", Env::Production)],
        );
        let mode = mode.unwrap_or_default();
        let data = folder(env, "WINDLASS_DATA", "./data");
        let queue = stores::queue(env, &data, mode);
        let namespace = stores::namespace(env);
        let database = stores::database(env, &data, mode);
        let embedded = [&queue, &database].into_iter().flatten().any(|url| url.is_within(&data));
        if mode.is_strict() && embedded && !env.has("WINDLASS_DATA") {
            env.problem("WINDLASS_DATA", "production names the folder of its data; there is no default");
        }
        if mode.is_strict() && [&queue, &database].into_iter().flatten().any(|url| url.path().is_some()) {
            env.warning(
                "the stores are SQLite files: that serves one process, `windlass up`, and no second one",
            );
        }
        let listen = env.parsed("WINDLASS_LISTEN", "an address and port, such as 127.0.0.1:8080");
        let metrics_listen =
            env.parsed("WINDLASS_METRICS_LISTEN", "an address and port, such as 127.0.0.1:9101");
        let close_delay = close_delay(env);
        let access = AccessKeys::read(env, mode);
        let schedules = folder(env, "WINDLASS_SCHEDULES", "./schedules");
        let server = env.text("WINDLASS_SERVER");
        let shop = env.text("WINDLASS_SHOP").map(PathBuf::from);
        let templates = env.text("WINDLASS_TEMPLATES").map(PathBuf::from);
        let summary_to = outside::addresses(env, "WINDLASS_SUMMARY_TO");
        let sandbox = sandbox(env, mode);
        let speed = ShopSpeed::read(env, mode);
        let work = Work::read(env);
        let log_format = env.one_of(
            "WINDLASS_LOG_FORMAT",
            &[("auto", LogFormat::Auto), ("pretty", LogFormat::Pretty), ("json", LogFormat::Json)],
        );
        let log_filter = log_filter(env);
        let log_files = LogFiles::read(env);
        let slow_query = logs::slow_query(env);
        let collector = Collector::read(env);
        let error_desk = ErrorDesk::read(env, mode);
        let outside = Outside::read(env, mode);
        Some(Self {
            env: mode,
            listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            close_delay,
            data,
            metrics_listen,
            queue: queue?,
            namespace,
            database: database?,
            access,
            schedules,
            shop,
            server,
            templates,
            summary_to,
            sandbox,
            speed,
            work,
            log_format: log_format.unwrap_or_default(),
            log_filter,
            log_files,
            slow_query,
            collector,
            error_desk,
            outside,
            warnings: Vec::new(),
        })
    }
}

fn close_delay(env: &mut Environment) -> Duration {
    let seconds = env.parsed("WINDLASS_CLOSE_DELAY_S", "a whole number of seconds").unwrap_or(0);
    if seconds > CLOSE_DELAY_MAX_S {
        let why = format!("{seconds} is not from 0 to {CLOSE_DELAY_MAX_S}");
        env.problem("WINDLASS_CLOSE_DELAY_S", why);
    }
    Duration::from_secs(seconds)
}

fn folder(env: &mut Environment, name: &str, default: &str) -> PathBuf {
    PathBuf::from(env.text(name).unwrap_or_else(|| default.to_owned()))
}

fn sandbox(env: &mut Environment, mode: Env) -> Option<SocketAddr> {
    let text = env.text("WINDLASS_SANDBOX")?;
    if mode == Env::Production {
        env.problem("WINDLASS_SANDBOX", "production has no sandbox");
    }
    let address = text.strip_prefix("http://").unwrap_or(&text).trim_end_matches('/').parse().ok();
    if address.is_none() {
        env.problem(
            "WINDLASS_SANDBOX",
            format!("\"{text}\" is not an address such as http://127.0.0.1:9400"),
        );
    }
    address
}

fn log_filter(env: &mut Environment) -> String {
    let filter = env.text("WINDLASS_LOG").unwrap_or_else(|| "info".to_owned());
    if let Err(e) = tracing_subscriber::EnvFilter::try_new(&filter) {
        env.problem("WINDLASS_LOG", format!("no filter of logs: {e}"));
    }
    filter
}
