//! This binary again, as another process.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The carrier's file, told to a child.
pub const PATH: &str = "WINDLASS_TEST_CHILD_PATH";

/// The file to work on, when this process is the child.
pub fn path() -> Option<PathBuf> {
    std::env::var_os(PATH).map(PathBuf::from)
}

/// Says a line to the parent.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "child: {line}").unwrap();
    out.flush().unwrap();
}

/// Waits until the parent answers.
pub fn listen() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

/// Ends with the test, killed if need be.
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// The test of that name, as a child.
    pub fn start(test: &str, path: &Path) -> Self {
        Self::start_with(Command::new(std::env::current_exe().unwrap()), test, path)
    }

    /// The same, under a soft limit on the size of every file that it writes.
    pub fn start_limited(test: &str, path: &Path, file_kib_max: u32) -> Self {
        let mut shell = Command::new("sh");
        // Half a KiB is the unit of `ulimit -f`. Without the trap the signal would kill instead of failing the write.
        let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\"", file_kib_max * 2);
        shell.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
        Self::start_with(shell, test, path)
    }

    fn start_with(mut command: Command, test: &str, path: &Path) -> Self {
        let mut child = command
            .args(["--exact", test, "--nocapture"])
            .env(PATH, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the child says; None when it has ended.
    pub fn hear(&mut self) -> Option<String> {
        // A kill may cut the last line short.
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("child: ").map(str::to_owned))
    }

    pub fn answer(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// SIGKILL. What it had said before can still be heard.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
