//! The command line. Operations go over the HTTP API: to the server that runs, or, where none does, to a front
//! door that is opened on the data folder for just this command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use serde_json::{Value, json};
use windlass_engine::schedule::ScheduleProblems;

use crate::config::{Config, ConfigProblems, WrongSetUp};
use crate::demo::summary::Summary;
use crate::demo::{self, Demo};
use crate::telemetry;

pub mod api;
mod backups;
mod bench;
mod check;
mod effects;
mod findings;
mod health;
mod jobs;
mod keys;
mod local;
mod migrate;
mod notifications;
mod products;
mod prune;
mod queues;
mod reconciliations;
mod refunds;
mod sandbox;
mod schedules;
mod serve;
pub mod table;
mod webhooks;

use self::jobs::{Enqueue, Jobs, Said};
pub use self::serve::Role;
use self::serve::{Serving, Working};

/// A job platform for the back office of a shop.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Everywhere {
    /// The folder of the embedded files [default: ./data].
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the front door listens [default: 127.0.0.1:8080; the demo: a free port].
    #[arg(long, global = true, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// One JSON document on stdout; what is for people goes to stderr.
    #[arg(long, global = true)]
    json: bool,
    /// The server that operations are asked of [default: where the front door listens].
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends orders through the whole way against the sandbox, and compares the books at the end.
    Demo(Demo),
    /// Front door, worker and scheduler in one process.
    Up(Working),
    /// The front door alone.
    Api(Serving),
    /// A worker alone.
    Worker(Working),
    /// A scheduler alone.
    Scheduler(Serving),
    /// Looks at configuration, stores and schedules, and tells everything that is wrong with them.
    Check,
    /// Asks a process whether it is ready: exit code 0 or 1. For health checks of containers.
    Health(health::Health),
    /// Brings the ledger's schema to this build's.
    Migrate,
    /// The keys to the front door.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// The wording of mail.
    #[command(subcommand)]
    Notifications(notifications::Notifications),
    /// Who is told of events over HTTP, and what became of it.
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Hands in a job.
    Enqueue(Enqueue),
    /// Looks at jobs, and acts on them.
    #[command(subcommand)]
    Jobs(Jobs),
    /// Looks at queues, and sets what holds them back.
    #[command(subcommand)]
    Queues(queues::Queues),
    /// The supplier's catalogue, and how it is kept in step.
    #[command(subcommand)]
    Products(products::Products),
    /// What comes by itself, and when; and how to hold it, start it and make up for it.
    #[command(subcommand)]
    Schedules(schedules::Command),
    /// Forgets what is older than the shop keeps it, as the schedule of that name does.
    Prune(prune::PruneNow),
    /// Backups: what was taken, and a script's report of one.
    #[command(subcommand)]
    Backups(backups::Backups),
    /// Effects on the outside: those in doubt, and what became of them.
    #[command(subcommand)]
    Effects(effects::Effects),
    /// Refunds, and those that are made again.
    #[command(subcommand)]
    Refunds(refunds::Refunds),
    /// Payments in dispute.
    #[command(subcommand)]
    Payments(refunds::Payments),
    /// Shipments that WeChat did not take.
    #[command(subcommand)]
    Uploads(refunds::Uploads),
    /// Checks that in every queue accepted = the sum of all states, and that the business's books hold nothing that
    /// must never be.
    Audit,
    /// The cases that people look at.
    #[command(subcommand)]
    Findings(findings::Findings),
    /// Days whose bills were compared with the books.
    #[command(subcommand)]
    Reconciliations(reconciliations::Reconciliations),
    /// Measures what this installation can do: enqueue, drain, latency.
    Bench(bench::Bench),
    /// The simulated outside world alone.
    Sandbox(sandbox::Alone),
}

/// Threads for what blocks (reads of the embedded carrier): each keeps memory of its own, and more of them read no
/// faster.
const BLOCKING_THREADS_MAX: usize = 8;

/// More workers, not more threads, is how one grows beyond it.
const WORKER_THREADS_MAX: usize = 4;

/// What went wrong, by whose fault.
enum Failure {
    /// 1: it did not work.
    Failed(anyhow::Error),
    /// 2: it was asked for in the wrong way, or is set up wrong.
    Misused(String),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        if error.is::<ConfigProblems>() || error.is::<ScheduleProblems>() || error.is::<WrongSetUp>() {
            return Self::Misused(format!("{error:#}"));
        }
        Self::Failed(error)
    }
}

/// Does what the command line says; the exit code is 0, 1 (failed) or 2 (usage or configuration).
pub fn run() -> ExitCode {
    // clap itself leaves with 2 on a wrong command line.
    let Cli { everywhere, command } = Cli::parse();
    execute(everywhere, command)
}

/// A program that plays one role and has its options only.
#[derive(Debug, Parser)]
#[command(version)]
struct RoleProgram<A: Args> {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(flatten)]
    args: A,
}

/// As [`run`], for the programs of one role each; with [`Role::Up`] it is [`run`] itself.
pub fn run_as(role: Role) -> ExitCode {
    match role {
        Role::Up => run(),
        Role::Api => run_program("windlass-api", "The front door of Windlass.", Command::Api),
        Role::Worker => run_program("windlass-worker", "A worker of Windlass.", Command::Worker),
        Role::Scheduler => run_program("windlass-scheduler", "A scheduler of Windlass.", Command::Scheduler),
    }
}

fn run_program<A: Args>(name: &'static str, about: &'static str, command: fn(A) -> Command) -> ExitCode {
    let matches = RoleProgram::<A>::command().name(name).about(about).get_matches();
    match RoleProgram::<A>::from_arg_matches(&matches) {
        Ok(RoleProgram { everywhere, args }) => execute(everywhere, command(args)),
        Err(error) => error.exit(),
    }
}

fn execute(everywhere: Everywhere, command: Command) -> ExitCode {
    let json = everywhere.json;
    // Before any HTTP client is built: reqwest finds no provider by itself. None is installed yet to be kept.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(command.threads())
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(everywhere, command)),
        Err(error) => Err(error.into()),
    };
    let (why, code) = match done {
        Ok(code) => return code,
        Err(Failure::Failed(error)) => (format!("{error:#}"), ExitCode::FAILURE),
        Err(Failure::Misused(why)) => (why, ExitCode::from(2)),
    };
    eprintln!("error: {why}");
    if json {
        println!("{}", json!({ "error": why }));
    }
    code
}

async fn dispatch(everywhere: Everywhere, command: Command) -> Result<ExitCode, Failure> {
    let config = everywhere.config(&command)?;
    let quiet = command.log_name().is_none();
    // A command that answers people says nothing beside it, unless asked to.
    let asked = std::env::var_os("WINDLASS_LOG").or_else(|| std::env::var_os("RUST_LOG")).is_some();
    let filter = if quiet && !asked { "off" } else { &config.log_filter };
    let reports = match command.reports_as() {
        Some(program) => telemetry::Reports::start(&config, &program)?,
        None => telemetry::Reports::default(),
    };
    // Held to the end: the last lines are written when it is let go of.
    let _logs = match command.log_name() {
        Some(role) => telemetry::start_logs(&config, role, reports.errors())?,
        None => telemetry::start_logs_of_command(&config, filter, reports.errors())?,
    };
    match command {
        Command::Demo(demo) => {
            let show = if everywhere.json { show_json } else { show_text };
            let summary = match &everywhere.server {
                Some(server) => demo.run_there(config, server, show).await,
                None => demo.run(config, everywhere.listen, show).await,
            };
            reports.close(summary.as_ref().err()).await;
            let summary = summary?;
            Ok(if summary.faults().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Up(_) | Command::Api(_) | Command::Worker(_) | Command::Scheduler(_) => {
            let role = command.role().unwrap_or(Role::Up);
            let ended = role.run(config, everywhere.json).await;
            reports.close(ended.as_ref().err()).await;
            ended.map(|()| ExitCode::SUCCESS).map_err(Failure::from)
        }
        Command::Sandbox(alone) => {
            alone.run(&config, &everywhere).await.map(|()| ExitCode::SUCCESS).map_err(Failure::from)
        }
        Command::Bench(bench) => bench.run(config, everywhere.json).await,
        Command::Check => match check::run(config).await {
            checked if checked.problems.is_empty() => everywhere.say(checked.said()),
            checked => Err(Failure::Misused(checked.problems.join("\n"))),
        },
        Command::Health(health) => everywhere.say(health.run(&config).await?),
        Command::Migrate => everywhere.say(migrate::run(&config).await?),
        Command::Keys(keys) => everywhere.say(keys.run(&config).await?),
        Command::Notifications(asked) => everywhere.say(asked.run(&config)?),
        Command::Webhooks(webhooks) => everywhere.say(webhooks.run(local::reach(config).await?.api()).await?),
        Command::Enqueue(enqueue) => everywhere.say(enqueue.run(local::reach(config).await?.api()).await?),
        Command::Jobs(jobs) => everywhere.say(jobs.run(local::reach(config).await?.api()).await?),
        Command::Findings(findings) => everywhere.say(findings.run(local::reach(config).await?.api()).await?),
        Command::Reconciliations(reconciliations) => {
            everywhere.say(reconciliations.run(local::reach(config).await?.api()).await?)
        }
        Command::Queues(queues) => everywhere.say(queues.run(local::reach(config).await?.api()).await?),
        Command::Products(products) => everywhere.say(products.run(local::reach(config).await?.api()).await?),
        Command::Schedules(schedules) => everywhere.say(schedules.run(config).await?),
        Command::Prune(prune) => everywhere.say(prune.run(&config).await?),
        Command::Backups(backups) => everywhere.say(backups.run(&config).await?),
        Command::Effects(effects) => everywhere.say(effects.run(local::reach(config).await?.api()).await?),
        Command::Refunds(refunds) => everywhere.say(refunds.run(local::reach(config).await?.api()).await?),
        Command::Payments(payments) => everywhere.say(payments.run(local::reach(config).await?.api()).await?),
        Command::Uploads(uploads) => everywhere.say(uploads.run(local::reach(config).await?.api()).await?),
        Command::Audit => everywhere.say(jobs::audit(local::reach(config).await?.api()).await?),
    }
}

impl Command {
    /// None: it does one thing and ends.
    fn role(&self) -> Option<Role> {
        match self {
            Self::Up(_) => Some(Role::Up),
            Self::Api(_) => Some(Role::Api),
            Self::Worker(_) => Some(Role::Worker),
            Self::Scheduler(_) => Some(Role::Scheduler),
            _ => None,
        }
    }

    /// What its log files are called; None: it answers people and has none.
    fn log_name(&self) -> Option<&'static str> {
        match self {
            Self::Sandbox(_) => Some("sandbox"),
            _ => self.role().map(Role::name),
        }
    }

    /// What the process is called in traces and errors. None: it does one thing and ends, and tells nobody but whoever
    /// started it.
    fn reports_as(&self) -> Option<String> {
        match (self.role(), self) {
            (Some(Role::Up), _) => Some("windlass".to_owned()),
            (Some(role), _) => Some(format!("windlass-{}", role.name())),
            (None, Self::Demo(_)) => Some("windlass".to_owned()),
            (None, _) => None,
        }
    }

    /// Threads that run tasks: each has a heap of its own, and a worker waits for the outside more than it computes.
    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        match self.role() {
            Some(Role::Scheduler) => 1,
            Some(Role::Worker) => cores.min(WORKER_THREADS_MAX),
            _ => cores,
        }
    }
}

impl Everywhere {
    fn config(&self, command: &Command) -> Result<Config, Failure> {
        let mut flags = Vec::new();
        if let Some(data) = &self.data {
            flags.push(("WINDLASS_DATA", data.display().to_string()));
        }
        if let Some(listen) = self.listen {
            flags.push(("WINDLASS_LISTEN", listen.to_string()));
        }
        if let Some(server) = &self.server {
            flags.push(("WINDLASS_SERVER", server.clone()));
        }
        match command {
            Command::Up(args) | Command::Worker(args) => flags.extend(args.flags()),
            Command::Api(args) | Command::Scheduler(args) => flags.extend(args.flags()),
            _ => {}
        }
        if matches!(command, Command::Demo(_)) {
            let data = self.data.clone().or_else(|| std::env::var_os("WINDLASS_DATA").map(PathBuf::from));
            let data = data.unwrap_or_else(|| PathBuf::from("./data"));
            if self.server.is_some() {
                flags.extend(demo::data_of_there(&data));
            } else {
                flags.extend(demo::settings_of(&data));
            }
        }
        Ok(Config::load(&flags)?)
    }

    #[expect(clippy::unnecessary_wraps, reason = "ends every arm of the dispatch")]
    fn say(&self, said: Said) -> Result<ExitCode, Failure> {
        if self.json {
            println!("{}", said.json);
        } else {
            println!("{}", said.text.trim_end());
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show_text(summary: &Summary) {
    println!("\n{summary}");
}

fn show_json(summary: &Summary) {
    eprintln!("\n{summary}");
    println!("{}", serde_json::to_value(summary).unwrap_or(Value::Null));
}
