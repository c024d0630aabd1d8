//! The real binary as a child process: in a folder of its own, with an environment of its own, on ports that the
//! system chooses, killed when the test lets go of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

pub mod wait;

/// A command that takes longer hangs.
const END_MAX: Duration = Duration::from_secs(180);
/// Nothing listens here, and nobody without privileges can.
const NO_SERVER: &str = "127.0.0.1:1";

/// A folder in which commands run. Their data is in [`Place::data`] unless they say otherwise.
pub struct Place {
    folder: tempfile::TempDir,
    outputs: AtomicU32,
}

/// A command that runs.
pub struct Running {
    child: Child,
    what: String,
    out: PathBuf,
    err: PathBuf,
}

/// A command that ended.
#[derive(Debug)]
pub struct Ended {
    /// None: a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// `windlass up` on a free port.
pub struct Up {
    pub running: Running,
    /// Such as `http://127.0.0.1:40123`.
    pub door: String,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), outputs: AtomicU32::new(0) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file and answers its path as text.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `windlass` with `args`, not started yet. It sees no `.env` and no variable of whoever runs the tests.
    pub fn command(&self, args: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_windlass"), args)
    }

    /// As [`Place::command`], with another program.
    pub fn program(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path()).env_clear();
        command.env("WINDLASS_SCHEDULES", Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules"));
        command.env("WINDLASS_LISTEN", NO_SERVER).stdin(Stdio::null());
        command
    }

    pub fn start(&self, command: Command) -> Running {
        let mut command = command;
        let nth = self.outputs.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.path(&format!("{nth}.out")), self.path(&format!("{nth}.err")));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let child = command.spawn().unwrap();
        Running { child, what: format!("{command:?}"), out, err }
    }

    /// Runs `windlass` with `args` to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.start(self.command(args)).end()
    }

    pub fn up(&self) -> Up {
        self.up_as(self.command(&["up", "--json", "--listen", "127.0.0.1:0"]))
    }

    /// `command` is some `up --json`.
    pub fn up_as(&self, command: Command) -> Up {
        let (running, told) = self.serve(command);
        Up { door: told["door"].as_str().unwrap().to_owned(), running }
    }

    /// Starts a command that stays up and says where, with `--json`.
    pub fn serve(&self, command: Command) -> (Running, Value) {
        let mut running = self.start(command);
        let told = running.until("it tells its address", |running| {
            fs::read_to_string(&running.out).unwrap().strip_suffix('\n').map(str::to_owned)
        });
        (running, serde_json::from_str(&told).unwrap())
    }
}

impl Running {
    /// Waits for what `look` finds.
    pub fn until<T>(&mut self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let found = wait::within(END_MAX, || {
            if let Some(found) = look(self) {
                return Some(found);
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended before {what}: {:?}", self.what, self.read(ended));
            None
        });
        found.unwrap_or_else(|| panic!("{}: waited too long until {what}", self.what))
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> Ended {
        self.ends_within(END_MAX).unwrap_or_else(|| {
            panic!("{} does not end:\n{}", self.what, fs::read_to_string(&self.err).unwrap())
        })
    }

    /// None: it still runs.
    pub fn ends_within(&mut self, time: Duration) -> Option<Ended> {
        let status = wait::within(time, || self.child.try_wait().unwrap())?;
        Some(self.read(Some(status)))
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        self.read(Some(status))
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(kill.unwrap().success());
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    fn read(&self, status: Option<ExitStatus>) -> Ended {
        let text = |path| fs::read_to_string(path).unwrap();
        Ended { code: status.and_then(|status| status.code()), out: text(&self.out), err: text(&self.err) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that ended is no longer there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The one document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not one JSON document: {e}: {self:#?}"))
    }

    /// It left with `code`, and stderr has each of `parts`.
    #[track_caller]
    pub fn says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not told: {self:#?}");
        }
    }

    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }
}
