//! A private redis-server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::process::{Process, free_port, log, wait_for_port};

pub struct Redis {
    process: Option<Process>,
    folder: PathBuf,
    port: u16,
    options: Vec<String>,
    /// Goes with the server, unless the folder is somebody else's.
    _own_folder: Option<TempDir>,
}

impl Redis {
    /// As production is advised to run it: every write fsynced before its answer, nothing evicted.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more options, `["--maxmemory", "64mb"]`; the last of a name wins.
    pub fn with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().to_owned();
        Self { _own_folder: Some(folder), ..Self::stopped(path, options) }.started()
    }

    /// That speaks only TLS; the options name its certificate. [`Self::cli`] cannot speak to it.
    pub fn with_tls(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut redis = Self::stopped(folder.path().to_owned(), options);
        let port = redis.port.to_string();
        redis.options.extend(["--port", "0", "--tls-port", &port].map(Into::into));
        Self { _own_folder: Some(folder), ..redis }.started()
    }

    /// With its files in a folder that the caller keeps.
    pub fn in_folder(folder: &Path, options: &[&str]) -> Self {
        Self::stopped(folder.to_owned(), options).started()
    }

    fn stopped(folder: PathBuf, options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { process: None, folder, port: free_port(), options, _own_folder: None }
    }

    fn started(mut self) -> Self {
        self.start_again();
        self
    }

    /// Starts it on the same port with the same files.
    pub fn start_again(&mut self) {
        let mut command: Vec<String> =
            ["redis-server", "--bind", "127.0.0.1", "--save", ""].map(Into::into).into();
        let folder = self.folder.display().to_string();
        let fixed = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"];
        command.extend(fixed.map(Into::into));
        command.extend(["--dir".into(), folder, "--port".into(), self.port.to_string()]);
        command.extend(self.options.iter().cloned());
        let process = Process::start(&command, &self.folder);
        wait_for_port(self.port, &process, &self.folder);
        if !self.options.iter().any(|option| option == "--tls-port") {
            self.wait_until_loaded();
        }
        self.process = Some(process);
    }

    fn wait_until_loaded(&self) {
        for _ in 0..1_000 {
            let answer = self.cli(&["ping"]);
            if answer.contains("PONG") || answer.contains("NOAUTH") {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("redis-server does not answer: {}", log(&self.folder));
    }

    /// One server for the whole test process, or the one of `TEST_REDIS_URL`.
    pub fn shared() -> &'static str {
        static SHARED: OnceLock<(Option<Redis>, String)> = OnceLock::new();
        let (_, url) = SHARED.get_or_init(|| match std::env::var("TEST_REDIS_URL") {
            Ok(url) => (None, url),
            Err(_) => {
                let redis = Redis::start();
                let url = redis.url();
                (Some(redis), url)
            }
        });
        url
    }

    /// A namespace that no other test has, on whatever server.
    pub fn fresh_namespace() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal("KILL");
            process.wait();
        }
    }

    /// SIGKILL, and its files are deleted: started again, it is empty.
    pub fn lose(&mut self) {
        self.kill();
        let files = self.folder.join("appendonlydir");
        std::fs::remove_dir_all(&files).expect("the files of Redis");
    }

    /// Whether the server still runs.
    pub fn lives(&self) -> bool {
        self.process.as_ref().is_some_and(Process::lives)
    }

    /// SIGTERM: it writes what it has and goes.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal("TERM");
            process.wait();
        }
    }

    /// SIGSTOP: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            process.signal(name);
        }
    }

    /// What redis-cli answers.
    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(args).output();
        let output = output.expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// The process id of the server, to read its CPU time and memory.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid)
    }
}
