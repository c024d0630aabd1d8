//! A process: started, watched, stopped as rudely as one likes.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to answer.
const START_MAX: Duration = Duration::from_secs(30);

/// A process that does not outlive whoever started it.
pub struct Process {
    /// A shell that ends the process when its standard input ends.
    guard: Child,
    /// The process's own.
    pub pid: u32,
}

impl Process {
    /// Starts `command` with this process's environment. Its words are added to `folder/log`, its id is in
    /// `folder/pid`: a folder serves one process at a time.
    pub fn start(command: &[String], folder: &Path) -> Self {
        let pid_file = folder.join("pid");
        let _ = std::fs::remove_file(&pid_file);
        let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log file");
        let script = r#""$@" </dev/null & echo $! > "$PID_FILE.new" && mv "$PID_FILE.new" "$PID_FILE"
            while read -r word; do [ "$word" = "remove" ] && remove=yes; done
            kill -9 $! 2>/dev/null; kill -9 -$! 2>/dev/null; wait
            [ "$remove" ] && { rm -rf "$FOLDER" || { sleep 1; rm -rf "$FOLDER"; }; }"#;
        let guard = Command::new("sh")
            .args(["-c", script, "sh"])
            .args(command)
            .env("PID_FILE", &pid_file)
            .env("FOLDER", folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("sh");
        let began = Instant::now();
        let pid = loop {
            if let Ok(text) = std::fs::read_to_string(&pid_file) {
                break text.trim().parse().expect("a process id");
            }
            assert!(began.elapsed() < START_MAX, "sh did not start {command:?}");
            std::thread::sleep(Duration::from_millis(2));
        };
        Self { guard, pid }
    }

    /// For a server whose owner is never dropped: its folder goes when it dies.
    pub fn remove_folder_at_end(&mut self) {
        if let Some(words) = &mut self.guard.stdin {
            words.write_all(b"remove\n").expect("the shell listens");
        }
    }

    /// Sends a signal, such as `KILL`.
    pub fn signal(&self, name: &str) {
        signal(self.pid, name);
    }

    /// Whether it still runs.
    pub fn lives(&self) -> bool {
        lives(self.pid)
    }

    /// Waits until it has gone.
    pub fn wait(&self) {
        let began = Instant::now();
        while self.lives() {
            assert!(began.elapsed() < START_MAX, "process {} does not end", self.pid);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL to it and to its children; they have gone when this returns.
    pub fn kill_with_children(&self) {
        let children = children(self.pid);
        self.signal("KILL");
        children.iter().for_each(|pid| signal(*pid, "KILL"));
        self.wait();
        let began = Instant::now();
        while children.iter().any(|pid| lives(*pid)) {
            assert!(began.elapsed() < START_MAX, "children of process {} do not end", self.pid);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn lives(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    state.is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

fn children(pid: u32) -> Vec<u32> {
    let told = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    told.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

pub fn signal(pid: u32, name: &str) {
    // It may have gone already.
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Below the ports that Linux gives to outgoing connections (from 32768, unless set otherwise): while the process that
/// listens is restarted, nobody else gets its port.
const PORTS: Range<u16> = 10_000..32_000;
/// Each process begins at a place of its own, so that two of them rarely look at the same port at once.
const PORTS_OF_A_PROCESS: u32 = 500;

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of so many ports in a row that nobody listens on now. This process hands out none of them again before it
/// has been through all: whoever asked may listen on them much later.
pub fn free_ports(n: u16) -> u16 {
    static HANDED_OUT: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let places = u32::from(PORTS.end - PORTS.start - n);
    let begin = std::process::id().wrapping_mul(PORTS_OF_A_PROCESS) % places;
    std::iter::repeat_with(|| HANDED_OUT.fetch_add(u32::from(n), Ordering::Relaxed))
        .take(places as usize)
        .map(|handed_out| PORTS.start + ((begin + handed_out) % places) as u16)
        .find(|first| (*first..first + n).all(is_free))
        .expect("free ports in a row")
}

/// Waits until something accepts connections on the port; panics with the log when the server has died.
pub fn wait_for_port(port: u16, process: &Process, folder: &Path) {
    let began = Instant::now();
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return,
            Err(e) if e.kind() == ErrorKind::ConnectionRefused && process.lives() => {}
            Err(e) => panic!("port {port}: {e}; the server says:\n{}", log(folder)),
        }
        assert!(began.elapsed() < START_MAX, "port {port} stays closed; the server says:\n{}", log(folder));
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}
