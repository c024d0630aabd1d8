//! Where the queue and the ledger are kept.
//!
//! An address may hold a password: it is shown without, wherever it is shown. Nothing is opened here, and whether
//! a store fits the role that a process plays is decided where the role is.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use windlass_engine::store::redis::{NAMESPACE_CHARS_MAX, is_namespace};
use windlass_engine::store::spread::CARRIERS_MAX;
use windlass_jobs::outside::Secret;

use super::Env;
use super::environment::Environment;
use super::problem::WrongSetUp;
use super::weak::is_placeholder;

const REDIS: [&str; 2] = ["redis", "rediss"];
const POSTGRES: [&str; 2] = ["postgres", "postgresql"];
/// Beyond it a Redis has no databases, unless somebody compiled it otherwise.
const REDIS_DB_MAX: u32 = 65_535;
const NAMESPACE_DEFAULT: &str = "windlass";

/// The address of a store: a file, or a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    Sqlite(PathBuf),
    Server(ServerUrl),
    /// Several Redis servers that carry the queue together. Their order says where a job lives.
    Servers(Vec<ServerUrl>),
}

/// The address of a Redis or a PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    whole: Secret,
    shown: String,
}

impl StoreUrl {
    /// None: it is no file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Server(_) | Self::Servers(_) => None,
        }
    }

    /// What a client of the store is given: the password with it. Of several servers the first.
    pub fn to_connect(&self) -> Secret {
        match self {
            Self::Sqlite(_) => Secret::new(self.to_string()),
            Self::Server(server) => server.to_connect(),
            Self::Servers(servers) => servers.first().map(ServerUrl::to_connect).unwrap_or_default(),
        }
    }

    pub(super) fn is_within(&self, folder: &Path) -> bool {
        self.path().is_some_and(|path| path.starts_with(folder))
    }
}

impl ServerUrl {
    /// The address with its password.
    pub fn to_connect(&self) -> Secret {
        self.whole.clone()
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Server(server) => f.write_str(&server.shown),
            Self::Servers(servers) => {
                let shown: Vec<&str> = servers.iter().map(|server| server.shown.as_str()).collect();
                f.write_str(&shown.join(", "))
            }
        }
    }
}

impl From<&Url> for ServerUrl {
    /// Parameters are left out of what is shown: one of PostgreSQL's is a password.
    fn from(url: &Url) -> Self {
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(|user| format!("{user}@"));
        let port = url.port().map(|port| format!(":{port}"));
        let shown = format!(
            "{}://{}{}{}{}",
            url.scheme(),
            user.unwrap_or_default(),
            url.host_str().unwrap_or_default(),
            port.unwrap_or_default(),
            url.path()
        );
        Self { whole: Secret::new(url.as_str()), shown }
    }
}

/// The carrier: by default `queue.db` in the data folder.
pub(super) fn queue(env: &mut Environment, data: &Path, mode: Env) -> Option<StoreUrl> {
    let (url, broker) = (env.text("QUEUE_URL"), env.text("CELERY_BROKER_URL"));
    let host = env.text("REDIS_HOST");
    let port = env.parsed("REDIS_PORT", "a port").unwrap_or(6379_u16);
    let (password, db) = (env.text("REDIS_PASSWORD"), env.parsed("REDIS_DB", "a number").unwrap_or(0_u32));
    if db > REDIS_DB_MAX {
        env.problem("REDIS_DB", format!("{db} is not from 0 to {REDIS_DB_MAX}"));
    }
    let mut ask = Asked { env, mode, what: "Redis", schemes: REDIS };
    if let Some(url) = url {
        return if url.contains(',') { ask.several("QUEUE_URL", &url) } else { ask.url("QUEUE_URL", &url) };
    }
    if let Some(host) = host {
        let parts =
            Parts { host: &host, port, user: None, password: password.as_deref(), path: db.to_string() };
        return ask.parts("REDIS_HOST", "REDIS_PASSWORD", parts);
    }
    match broker {
        // A broker of another make is Celery's own affair.
        Some(broker) if REDIS.iter().any(|scheme| broker.starts_with(&format!("{scheme}:"))) => {
            ask.url("CELERY_BROKER_URL", &broker)
        }
        _ => Some(StoreUrl::Sqlite(data.join("queue.db"))),
    }
}

/// What sets this installation's keys apart from those of others in one Redis.
pub(super) fn namespace(env: &mut Environment) -> String {
    let namespace = env.text("QUEUE_NAMESPACE").unwrap_or_else(|| NAMESPACE_DEFAULT.to_owned());
    if !is_namespace(&namespace) {
        env.problem(
            "QUEUE_NAMESPACE",
            format!("\"{namespace}\" is not 1 to {NAMESPACE_CHARS_MAX} of the characters a-z, 0-9, _ and -"),
        );
    }
    namespace
}

/// The ledger: by default `ledger.db` in the data folder.
pub(super) fn database(env: &mut Environment, data: &Path, mode: Env) -> Option<StoreUrl> {
    let (url, host) = (env.text("DATABASE_URL"), env.text("POSTGRES_HOST"));
    let port = env.parsed("POSTGRES_PORT", "a port").unwrap_or(5432_u16);
    let (db, user) = (env.text("POSTGRES_DB"), env.text("POSTGRES_USER"));
    let password = env.text("POSTGRES_PASSWORD");
    let mut ask = Asked { env, mode, what: "PostgreSQL", schemes: POSTGRES };
    if let Some(url) = url {
        return ask.url("DATABASE_URL", &url);
    }
    let parts = [("POSTGRES_HOST", host), ("POSTGRES_DB", db), ("POSTGRES_USER", user)];
    if password.is_none() && parts.iter().all(|(_, part)| part.is_none()) {
        return Some(StoreUrl::Sqlite(data.join("ledger.db")));
    }
    let missing: Vec<_> = parts.iter().filter(|(_, part)| part.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        ask.env.problem(&missing.join(", "), "PostgreSQL is set in part; the rest is missing");
        return None;
    }
    let [host, db, user] = parts.map(|(_, part)| part.unwrap_or_default());
    let parts = Parts { host: &host, port, user: Some(&user), password: password.as_deref(), path: db };
    ask.parts("POSTGRES_HOST", "POSTGRES_PASSWORD", parts)
}

/// A server's address in pieces.
struct Parts<'a> {
    host: &'a str,
    port: u16,
    user: Option<&'a str>,
    password: Option<&'a str>,
    /// The database.
    path: String,
}

/// An address while it is read.
struct Asked<'e> {
    env: &'e mut Environment,
    mode: Env,
    what: &'static str,
    schemes: [&'static str; 2],
}

impl Asked<'_> {
    fn url(&mut self, name: &str, text: &str) -> Option<StoreUrl> {
        match text.split_once(':') {
            Some(("sqlite", path)) => {
                // sqlite:///srv/x is an absolute path, sqlite:x a relative one, as elsewhere.
                let path = path.strip_prefix("//").unwrap_or(path);
                if !path.is_empty() && !path.contains('?') {
                    return Some(StoreUrl::Sqlite(PathBuf::from(path)));
                }
                self.env.problem(name, "sqlite: is followed by the path of a file and nothing else");
                None
            }
            Some((scheme, _)) if self.schemes.contains(&scheme) => {
                let Some(url) = Url::parse(text).ok().filter(|url| url.has_host()) else {
                    // The address may hold a password: it is not repeated.
                    let form = format!("{scheme}://user:password@host:port/database");
                    self.env.problem(name, format!("cannot be read as {form}: is every special character of the password written as %XX?"));
                    return None;
                };
                self.server(name, name, &url)
            }
            _ => {
                let what = format!("no address of a store: write sqlite:PATH or {}://…", self.schemes[0]);
                self.env.problem(name, what);
                None
            }
        }
    }

    /// Addresses of servers with commas between them.
    fn several(&mut self, name: &str, text: &str) -> Option<StoreUrl> {
        let mut servers = Vec::new();
        for part in text.split(',').map(str::trim) {
            match self.url(name, part)? {
                StoreUrl::Server(server) => servers.push(server),
                _ => {
                    self.env
                        .problem(name, "several addresses are those of Redis servers; a file stands alone");
                    return None;
                }
            }
        }
        let known: std::collections::BTreeSet<&str> =
            servers.iter().map(|server| server.shown.as_str()).collect();
        if known.len() < servers.len() || servers.len() > CARRIERS_MAX {
            self.env.problem(name, format!("names one server twice, or more than {CARRIERS_MAX}"));
            return None;
        }
        Some(StoreUrl::Servers(servers))
    }

    fn parts(&mut self, name: &str, password_name: &str, parts: Parts<'_>) -> Option<StoreUrl> {
        // An IPv6 address stands in brackets.
        let bare = parts.host.parse::<std::net::Ipv6Addr>().is_ok();
        let host = if bare { format!("[{}]", parts.host) } else { parts.host.to_owned() };
        let url = Url::parse(&format!("{}://{host}:{}", self.schemes[0], parts.port)).ok();
        let Some(mut url) = url.filter(|url| url.has_host() && url.path().trim_matches('/').is_empty())
        else {
            self.env.problem(name, format!("\"{}\" is not the name or address of a host", parts.host));
            return None;
        };
        // They fail on an address without a host only, and this one has one.
        let _ = url.set_username(parts.user.unwrap_or_default());
        let _ = url.set_password(parts.password);
        url.set_path(&parts.path);
        self.server(name, password_name, &url)
    }

    fn server(&mut self, name: &str, password_name: &str, url: &Url) -> Option<StoreUrl> {
        let in_production = self.mode.is_strict();
        if url.fragment().is_some_and(|fragment| fragment != "insecure") {
            // A # in a password ends the address there, and the rest of the password would show.
            self.env.problem(name, "holds a #: in a password it is written as %23");
            return None;
        }
        if in_production && url.fragment().is_some() {
            self.env.problem(name, "#insecure trusts any certificate; production does not");
        }
        match url.password() {
            Some(password) if in_production && is_placeholder(password) => {
                self.env
                    .problem(password_name, "its password stands in examples; production needs a real one");
            }
            None if in_production && !is_loopback(url) => {
                let what = self.what;
                self.env.warning(format!(
                    "{password_name}: {what} is reached over the network without a password"
                ));
            }
            _ => {}
        }
        Some(StoreUrl::Server(ServerUrl::from(url)))
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether roles may run as processes of their own over these stores.
///
/// # Errors
/// When one is a file, with what to set.
pub fn shared(queue: &StoreUrl, database: &StoreUrl) -> Result<(), WrongSetUp> {
    let mut set = Vec::new();
    if queue.path().is_some() {
        set.push("QUEUE_URL=redis://host:6379/0");
    }
    if database.path().is_some() {
        set.push("DATABASE_URL=postgres://user:password@host/database");
    }
    if set.is_empty() {
        return Ok(());
    }
    Err(WrongSetUp(format!(
        "roles in processes of their own need stores that are servers, and one process owns a SQLite file: set {}, \
         or run everything in one process with `windlass up`",
        set.join(" and ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_opens_it() {
        for (whole, shown) in [
            ("redis://:hunter2@redis:6380/3", "redis://redis:6380/3"),
            ("rediss://shop:hunter2@redis.example/0", "rediss://shop@redis.example/0"),
            ("postgres://shop@db/shop?password=hunter2", "postgres://shop@db/shop"),
        ] {
            let url = StoreUrl::Server(ServerUrl::from(&Url::parse(whole).unwrap()));
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.to_connect().expose(), whole);
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn roles_of_their_own_are_told_which_stores_to_set() {
        let file = StoreUrl::Sqlite("x.db".into());
        let server = StoreUrl::Server(ServerUrl::from(&Url::parse("redis://r/0").unwrap()));
        assert!(shared(&server, &server).is_ok());
        let told = shared(&server, &file).unwrap_err().to_string();
        assert!(told.contains("DATABASE_URL=") && !told.contains("QUEUE_URL="), "{told}");
    }
}
