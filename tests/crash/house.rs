//! One process of the installation: it can die at any moment, and is started again as it was.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use windlass_servers::Process;

use crate::http;
use crate::wait::within;

/// A debug build, on a machine that does much else.
const READY_MAX: Duration = Duration::from_secs(60);
/// In the log of whoever has opened its stores.
const SERVES: &str = r#""queue":"redis://"#;
/// Lines of a log that are shown of a process that is stuck.
const LINES_SHOWN: usize = 12;

pub struct House {
    pub name: String,
    /// Where it is asked whether it is ready.
    pub address: String,
    ready_path: &'static str,
    /// With its environment in front.
    command: Vec<String>,
    /// `log` in it holds what it said, over all its starts.
    folder: PathBuf,
    process: Option<Process>,
    pub starts: u32,
    /// Bytes of the log when it was started last.
    said_before: usize,
}

impl House {
    /// Not started yet. `env` is everything that it sees of an environment.
    pub fn new(
        folder: PathBuf,
        program: &[&str],
        env: &[(String, String)],
        port: u16,
        ready_path: &'static str,
    ) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        // `env` becomes the program: the process's id stays its own.
        let mut command =
            vec!["env".to_owned(), "-i".to_owned(), "-C".to_owned(), folder.display().to_string()];
        command.extend(env.iter().map(|(variable, value)| format!("{variable}={value}")));
        command.extend(program.iter().map(|part| (*part).to_owned()));
        let address = format!("http://127.0.0.1:{port}");
        Self { name, address, ready_path, command, folder, process: None, starts: 0, said_before: 0 }
    }

    pub fn start(&mut self) {
        self.said_before = self.log().len();
        self.process = Some(Process::start(&self.command, &self.folder));
        self.starts += 1;
    }

    /// Whoever finds a store away when it starts says so and ends; a supervisor starts it again, as is done here.
    #[track_caller]
    pub fn until_ready(&mut self) {
        let began = Instant::now();
        let ready = within(READY_MAX, || {
            if !self.lives() {
                let said = self.log()[self.said_before..].to_owned();
                let found_away = said.contains("error: ") && !said.contains(SERVES);
                assert!(found_away, "{} ended by itself:\n{}", self.name, self.last_words());
                self.start();
            }
            matches!(http::get(&self.address, self.ready_path), Ok((200, _))).then_some(())
        });
        assert!(
            ready.is_some(),
            "{} is not ready after {:?}:\n{}",
            self.name,
            began.elapsed(),
            self.last_words()
        );
    }

    pub fn lives(&self) -> bool {
        self.process.as_ref().is_some_and(Process::lives)
    }

    /// The id of its process while it has one.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal("KILL");
            process.wait();
        }
    }

    /// Such as `STOP` and `CONT`.
    pub fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            process.signal(name);
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
    }

    /// Everybody's metric of this name added up over its labels; 0 where it does not answer.
    pub fn metric(&self, name: &str) -> f64 {
        let Ok((200, told)) = http::get(&self.address, "/metrics") else { return 0.0 };
        let text = told.as_str().unwrap_or_default();
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}
