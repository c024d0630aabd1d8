//! An installation of its own for each test: a Redis that may be frozen, a fresh database, and the processes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use windlass_servers::{Postgres, Redis};

use crate::process::wait::until;
use crate::process::{Ended, Place, Running};

/// Of a request that is answered at all.
const ANSWER_MAX: Duration = Duration::from_secs(60);

pub struct Site {
    pub redis: Redis,
    pub queue_url: String,
    pub database: String,
    pub place: Place,
}

/// A process of one role.
pub struct Part {
    pub running: Running,
    /// The front door, where it has one.
    pub door: String,
    /// Where its health is told.
    pub monitors: String,
}

impl Site {
    pub fn new() -> Self {
        let redis = Redis::start();
        Self { queue_url: redis.url(), redis, database: Postgres::fresh_database(), place: Place::new() }
    }

    /// `windlass` with `args`, on the stores of this site.
    pub fn command(&self, args: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_windlass"), args)
    }

    pub fn program(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.place.program(program, args);
        command.env("QUEUE_URL", &self.queue_url).env("DATABASE_URL", &self.database);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        self.place.start(self.command(args)).end()
    }

    pub fn api(&self) -> Part {
        let door = ["--json", "--listen", "127.0.0.1:0"];
        self.start(self.program(env!("CARGO_BIN_EXE_windlass-api"), &door))
    }

    pub fn worker(&self, args: &[&str]) -> Part {
        let args = [&["--json", "--metrics-listen", "127.0.0.1:0"], args].concat();
        self.start(self.program(env!("CARGO_BIN_EXE_windlass-worker"), &args))
    }

    pub fn scheduler(&self) -> Part {
        let args = ["--json", "--metrics-listen", "127.0.0.1:0"];
        self.start(self.program(env!("CARGO_BIN_EXE_windlass-scheduler"), &args))
    }

    pub fn start(&self, command: Command) -> Part {
        let (running, told) = self.place.serve(command);
        let url = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let (door, monitors) = (url("door"), url("monitors"));
        Part { running, monitors: if monitors.is_empty() { door.clone() } else { monitors }, door }
    }
}

impl Part {
    pub fn ready(&self) -> (u16, Value) {
        let (status, text) = get(&self.monitors, "/readyz");
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Waits until its readiness is as `wanted`, and answers what it told then.
    #[track_caller]
    pub fn until_ready(&self, wanted: bool) -> Value {
        until(&format!("ready: {wanted}"), || {
            let (status, told) = self.ready();
            ((status == 200) == wanted).then_some(told)
        })
    }

    pub fn metrics(&self) -> String {
        get(&self.monitors, "/metrics").1
    }
}

/// GET, without a client of ours in between: the status and the body.
pub fn get(base: &str, path: &str) -> (u16, String) {
    request("GET", base, path, &[], "")
}

/// One request with these header lines and this JSON.
pub fn request(method: &str, base: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
    let (head, body) = exchange(method, base, path, headers, body);
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// As [`request`], with the whole head of the answer.
pub fn exchange(method: &str, base: &str, path: &str, headers: &[&str], body: &str) -> (String, String) {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(&format!("{header}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
