//! A private PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::process::{Process, free_port, wait_for_port};

/// The superuser of the private server; it asks for no password.
const USER: &str = "windlass";

pub struct Postgres {
    process: Option<Process>,
    folder: PathBuf,
    port: u16,
    options: Vec<String>,
    _own_folder: TempDir,
}

impl Postgres {
    /// A fresh cluster, ordered by bytes (`LC_COLLATE C`), with every commit fsynced.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With settings, `["shared_buffers=64MB"]`.
    pub fn with(options: &[&str]) -> Self {
        Self::within(&std::env::temp_dir(), options)
    }

    /// With its files in a folder of its own within `parent`, which everybody must be allowed to look into.
    pub fn within(parent: &Path, options: &[&str]) -> Self {
        let own_folder = tempfile::tempdir_in(parent).expect("a temporary folder");
        let folder = own_folder.path().to_owned();
        hand_over(&folder);
        let data = folder.join("data").display().to_string();
        let mut initdb = vec![program("initdb")];
        initdb.extend(
            ["-D", &data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
                .map(Into::into),
        );
        let made = as_ordinary_user(&initdb).output().expect("initdb");
        assert!(made.status.success(), "initdb: {}", words(&made));
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut postgres =
            Self { process: None, folder, port: free_port(), options, _own_folder: own_folder };
        postgres.start_again();
        postgres
    }

    /// One server for the whole test process, or the one of `TEST_DATABASE_URL`: the address of its
    /// maintenance database.
    pub fn shared() -> &'static str {
        static SHARED: OnceLock<(Option<Postgres>, String)> = OnceLock::new();
        let (_, url) = SHARED.get_or_init(|| match std::env::var("TEST_DATABASE_URL") {
            Ok(url) => (None, url),
            Err(_) => {
                // Nobody turns this one's power off, and hundreds of databases are made and dropped on it.
                let mut postgres = Postgres::with(&["fsync=off", "full_page_writes=off"]);
                postgres.process.as_mut().expect("it runs").remove_folder_at_end();
                let url = postgres.url("postgres");
                (Some(postgres), url)
            }
        });
        url
    }

    /// The address of a new, empty database on the shared server.
    pub fn fresh_database() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = Self::shared();
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        psql(server, &format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"));
        let (server, _) = server.rsplit_once('/').expect("an address of a database");
        format!("{server}/{name}")
    }

    /// Drops a database of [`Postgres::fresh_database`], whoever is still connected to it. A full disk of the next
    /// test is worse than a database that stays: failures are not told.
    pub fn drop_database(url: &str) {
        if let Some((_, name)) = url.rsplit_once('/') {
            let _ = try_psql(Self::shared(), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }

    pub fn start_again(&mut self) {
        let mut command = ordinary_user();
        command.push(program("postgres"));
        command.extend(["-D".into(), self.folder.join("data").display().to_string()]);
        command.extend(["-p".into(), self.port.to_string()]);
        let socket = format!("unix_socket_directories={}", self.folder.display());
        // A server that is killed would leave its shared memory behind; files go with its folder.
        let shared = "dynamic_shared_memory_type=mmap";
        let fixed = ["listen_addresses=127.0.0.1", "max_connections=200", shared, &socket].map(String::from);
        for option in fixed.into_iter().chain(self.options.iter().cloned()) {
            command.extend(["-c".into(), option]);
        }
        let process = Process::start(&command, &self.folder);
        wait_for_port(self.port, &process, &self.folder);
        self.process = Some(process);
        for _ in 0..1_000 {
            if try_psql(&self.url("postgres"), "SELECT 1").status.success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("PostgreSQL does not answer: {}", crate::process::log(&self.folder));
    }

    /// Creates a database and answers its address.
    pub fn create_database(&self, name: &str) -> String {
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
        psql(&self.url("postgres"), &sql);
        self.url(name)
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// What the server said.
    pub fn log(&self) -> String {
        crate::process::log(&self.folder)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL to the server and all its children, as when the power goes.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            // A new one may not start while a child of the old one still has the shared memory.
            process.kill_with_children();
            let _ = std::fs::remove_file(self.folder.join("data/postmaster.pid"));
        }
    }

    /// Cuts off every client in the middle of whatever it does, but not whoever asks for it. Answers how many.
    pub fn terminate_clients(&self) -> usize {
        let cut = psql(
            &self.url("postgres"),
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        );
        cut.parse().expect("a count")
    }

    /// SIGINT: connections are cut, and it goes ("fast shutdown").
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal("INT");
            process.wait();
        }
    }
}

/// Runs one statement; panics with the server's words when it fails. The answer: rows of fields joined by `|`.
pub fn psql(url: &str, sql: &str) -> String {
    let output = try_psql(url, sql);
    assert!(output.status.success(), "{sql}: {}", words(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// As [`psql`], whatever comes of it.
pub fn try_psql(url: &str, sql: &str) -> Output {
    Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .output()
        .expect("psql")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Debian keeps the server's programs off the path.
fn program(name: &str) -> String {
    let places = (9..=19).rev().map(|version| format!("/usr/lib/postgresql/{version}/bin/{name}"));
    places.into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| name.to_owned())
}

fn as_ordinary_user(command: &[String]) -> Command {
    let all: Vec<String> = ordinary_user().into_iter().chain(command.iter().cloned()).collect();
    let mut command = Command::new(&all[0]);
    command.args(&all[1..]);
    command
}

/// PostgreSQL refuses to run as root: then it runs as nobody.
fn ordinary_user() -> Vec<String> {
    if is_root() {
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"].map(Into::into).into()
    } else {
        Vec::new()
    }
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
    })
}

/// Makes the folder that of the user the server runs as.
fn hand_over(folder: &Path) {
    if is_root() {
        let done = Command::new("chown").arg("nobody:nogroup").arg(folder).status();
        assert!(done.is_ok_and(|status| status.success()), "chown {}", folder.display());
    }
}
