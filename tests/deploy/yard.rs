//! An installation of its own for each test: a folder with versions, as `deploy/deploy.conf.example` describes it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use windlass_servers::{Postgres, Redis, free_port, psql};

pub const WINDLASS: &str = env!("CARGO_BIN_EXE_windlass");
/// A front door closes so long after it was told to: more than nginx keeps an idle connection.
const CLOSE_DELAY_S: u32 = 3;

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub struct Yard {
    pub folder: tempfile::TempDir,
    pub redis: Redis,
    pub database: String,
    pub doors: [u16; 2],
}

/// What a script said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Yard {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (redis, database) = (Redis::start(), Postgres::fresh_database());
        let doors = [free_port(), free_port()];
        let yard = Self { folder, redis, database, doors };
        // What the processes ask of the outside finds nobody there.
        let settings = format!(
            "DATABASE_URL={}\nQUEUE_URL={}\nWINDLASS_SANDBOX=http://127.0.0.1:1\nWINDLASS_CLOSE_DELAY_S={CLOSE_DELAY_S}\n",
            yard.database,
            yard.redis.url()
        );
        fs::write(yard.path(".env"), settings).unwrap();
        let mut conf = format!("BACKEND=local\nROOT={}\n", yard.path("").display());
        for (nth, port) in yard.doors.iter().enumerate() {
            conf.push_str(&format!("REPLICA=api.{} 127.0.0.1:{port}\n", nth + 1));
        }
        for name in ["worker.1", "worker.2", "scheduler.1"] {
            conf.push_str(&format!("REPLICA={name} 127.0.0.1:{}\n", free_port()));
        }
        conf.push_str(&format!("SCRATCH_PORT={}\n", free_port()));
        fs::write(yard.path("deploy.conf"), conf).unwrap();
        yard
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another line of the scripts' settings.
    pub fn set(&self, line: &str) {
        let conf = self.path("deploy.conf");
        let text = fs::read_to_string(&conf).unwrap();
        fs::write(conf, format!("{text}{line}\n")).unwrap();
    }

    /// This build as a version.
    pub fn version(&self, name: &str) {
        self.version_that(name, "");
    }

    /// This build with a script before it: lines of a `case` over the role, such as `worker) exit 1 ;;`.
    pub fn version_that(&self, name: &str, arms: &str) {
        let folder = self.path("versions").join(name);
        fs::create_dir_all(&folder).unwrap();
        symlink(repository().join("schedules"), folder.join("schedules")).unwrap();
        let program = folder.join("windlass");
        let script = format!("#!/bin/sh\ncase $1 in\n{arms}\nesac\nexec {WINDLASS} \"$@\"\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A script of `deploy/`, not started yet.
    pub fn command(&self, script: &str, args: &[&str]) -> Command {
        let mut command = Command::new(repository().join("deploy").join(script));
        command.arg("--conf").arg(self.path("deploy.conf")).args(args).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).current_dir(self.folder.path());
        command
    }

    pub fn run(&self, script: &str, args: &[&str]) -> Said {
        Said::of(self.command(script, args).output().unwrap())
    }

    /// One command of windlass on the stores themselves.
    pub fn windlass(&self, args: &[&str]) -> Said {
        let mut command = Command::new(WINDLASS);
        command.args(args).current_dir(self.folder.path()).env_clear();
        command
            .env("WINDLASS_LISTEN", "127.0.0.1:9")
            .env("WINDLASS_SCHEDULES", repository().join("schedules"));
        Said::of(command.output().unwrap())
    }

    /// The versions that processes run, by replica.
    pub fn running(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path("run")).into_iter().flatten() {
            let file = entry.unwrap().path();
            let text = fs::read_to_string(&file).unwrap();
            let words: Vec<&str> = text.split_whitespace().collect();
            if fs::read_to_string(format!("/proc/{}/stat", words[0])).is_ok_and(|stat| !stat.contains(") Z "))
            {
                let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                found.push((name, words[2].to_owned()));
            }
        }
        found.sort();
        found
    }

    #[track_caller]
    pub fn all_run(&self, version: &str) {
        let names = ["api.1", "api.2", "scheduler.1", "worker.1", "worker.2"];
        let wanted: Vec<_> = names.iter().map(|name| ((*name).to_owned(), version.to_owned())).collect();
        assert_eq!(self.running(), wanted, "{}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("state/releases.log")).unwrap_or_default()
    }

    pub fn count(&self, sql: &str) -> i64 {
        psql(&self.database, sql).parse().unwrap()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.path("run")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            if let Some(pid) = text.split_whitespace().next() {
                // Its group is its own: a hung version may have children.
                let _ = Command::new("kill").args(["-KILL", "--", pid, &format!("-{pid}")]).output();
            }
        }
        Postgres::drop_database(&self.database);
    }
}

impl Said {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn ends(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.err, self.out);
        for part in parts {
            assert!(
                self.err.contains(part) || self.out.contains(part),
                "{part:?} is not told:\n{}\n{}",
                self.err,
                self.out
            );
        }
        self
    }
}
