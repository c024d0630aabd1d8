//! `windlass demo`: orders through the whole way, against the sandbox, with the books compared at the end.
//!
//! Everything runs in this one process, on real sockets and durable files: kill it at any moment, start it
//! again on the same data folder, and it goes on. The shop's time runs fast, so that days pass in a minute.

mod crm;
mod customers;
mod days;
mod differences;
pub mod input;
mod notebook;
mod progress;
mod shop_time;
mod shopper;
mod standing;
pub mod summary;
mod there;
mod verdict;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use windlass_engine::Clock;
use windlass_jobs::Settings;
use windlass_sandbox::{Faults, Pace, Plant, Sandbox};

use crate::cli::api::Api;
use crate::config::{Config, Outside};
use crate::lifecycle::Lifecycle;
use crate::outside::{Accounts, call_back_to};
use crate::platform::{Platform, Roles, Stores, schedules};
use crate::telemetry::Metrics;

use self::days::Days;
use self::input::{Input, Pays};
use self::notebook::Notebook;
use self::shop_time::ShopTime;
use self::standing::Desks;
use self::summary::Summary;
use self::verdict::Beginning;

/// Seconds of the shop's time that pass in one of the wall's.
const SPEED_DEFAULT: f64 = 3_600.0;
/// Rejected rows that are shown; the others are in their file.
const REJECTED_SHOWN: usize = 10;
/// How long a client waits for the sandbox, which answers fast or not at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of the shop's time: two hours, as the real ones live, would be two seconds of the wall's.
pub const TOKENS_LIVE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long the sandbox holds a call that it does not answer: longer than the clients wait.
const NO_ANSWER: Duration = Duration::from_millis(2_500);

#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// A CSV file of orders, plain or gzipped (docs/guides/demo-orders.md); without it orders are made up.
    #[arg(long)]
    orders: Option<PathBuf>,
    /// How many orders go through, at most.
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// Orders come in over so many days of the shop's time, with differences in the bills of each that reconciliation must
    /// find.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60))]
    days: Option<u32>,
    /// What goes wrong outside: none, some or storm.
    #[arg(long, default_value_t = Faults::None)]
    faults: Faults,
    /// Orders, delays and faults follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of the shop's time that pass in one real second [default: 3600; with --server, what WINDLASS_SPEED
    /// says].
    #[arg(long)]
    speed: Option<f64>,
    /// Nothing moved for so many real seconds: what is not over by then is stuck. The default outlasts a breaker that cools
    /// at its longest (60 s).
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    give_up_after: u64,
    /// With --server: the control port of the sandbox that the server uses [default: the demo starts one].
    #[arg(long, value_name = "URL", conflicts_with = "faults")]
    sandbox: Option<String>,
    /// With --server: the control port of the sandbox that the demo starts.
    #[arg(long, value_name = "PORT", default_value_t = 9400)]
    sandbox_port: u16,
    /// End when all orders have; otherwise everything stays up.
    #[arg(long)]
    exit: bool,
}

/// The parts of a demo while it runs.
struct Stage {
    platform: Platform,
    sandbox: Sandbox,
    desks: Desks,
    door: String,
}

impl Demo {
    /// Runs the demo. The summary says how it went; with `--exit` missing it stays up until a signal comes.
    ///
    /// # Errors
    /// When it cannot start, or is told to stop before its end.
    pub async fn run(
        self,
        config: Config,
        listen: Option<SocketAddr>,
        show: fn(&Summary),
    ) -> anyhow::Result<Summary> {
        let speed_ok = self.speed.is_none_or(|speed| (1.0..=100_000.0).contains(&speed));
        anyhow::ensure!(speed_ok, "--speed is a number from 1 to 100000");
        anyhow::ensure!(self.count > 0, "--count is at least 1");
        anyhow::ensure!(
            self.sandbox.is_none(),
            "--sandbox goes with --server: without it the demo has its own"
        );
        std::fs::create_dir_all(&config.data).with_context(|| {
            format!("cannot make the data folder {}: choose another with --data", config.data.display())
        })?;
        let lifecycle = Lifecycle::on_signals().context("signals cannot be listened for")?;
        let mut notebook = Notebook::open(&config.data, &self)?;
        let mut input = self.input(&notebook.run())?;
        let days = self.days.map(|days| Days::new(notebook.first_day(), days));
        if let (Some(days), None) = (&days, &self.orders) {
            some_go_wrong(&mut input, days);
        }
        notebook.begin_anew()?;
        tell_rejected(&input, &config.data)?;
        let shop_time = ShopTime::of(&config.data);
        let speed = days.map_or(SPEED_DEFAULT, |days| days.speed(input.baskets.len()));
        let clock = shop_time.clock(self.speed.unwrap_or(speed), days.map(|days| days.start()))?;
        let metrics = Metrics::install(&clock)?;
        let listener = listen_on(listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)))).await?;
        let door = format!("http://{}", listener.local_addr()?);

        let stores = Stores::open(&config, &clock).await?;
        let plants = days.map(|days| days.plan()).unwrap_or_default();
        let sandbox = self.start_sandbox(&config, clock.clone(), None, NO_ANSWER, plants).await?;
        let accounts = Accounts::with_sandbox(nobody_real(), sandbox.addresses(), PATIENCE);
        let platform = Platform::new(&config, stores, accounts, demo_settings())?;
        let schedules = schedules(&config.schedules)?;
        call_back_to(&sandbox, &door);
        let control = sandbox.addresses().control.clone();
        let till = Api::new(&control)?;
        let crm = Some(crm::subscribe(platform.shop()?, &till, &control).await?);
        let desks = Desks { shop: Api::new(&door)?, sandbox: till, crm };
        let stage = Stage { platform, sandbox, desks, door };
        eprintln!("{}  front door {}", notebook.words(), stage.door);

        let keeping = tokio::spawn(shop_time.keep(clock, lifecycle.stop.clone()));
        let roles =
            Roles { door: Some(listener), worker: true, scheduler: Some(schedules), ..Roles::default() };
        let working = stage.platform.run(roles, metrics, lifecycle.clone());
        tokio::pin!(working);
        let began = Beginning::default();
        let shopping = self.shop(&stage.desks, input, &began, &stage.platform.clock, days.as_ref());
        let summary = tokio::select! {
            summary = shopping => summary?,
            ended = &mut working => {
                ended?;
                anyhow::bail!("stopped before the end; start it again to go on: {}", config.data.display())
            }
        };
        notebook.finish()?;
        show(&summary);
        if self.exit {
            lifecycle.stop.cancel();
        } else {
            eprintln!("staying up at {} until a signal comes", stage.door);
        }
        working.await?;
        stage.sandbox.stop().await;
        keeping.await.context("the clock's keeper panicked")?;
        Ok(summary)
    }

    /// `run` sets the numbers of orders that are made up apart from those of other demos.
    fn input(&self, run: &str) -> anyhow::Result<Input> {
        match &self.orders {
            Some(path) => input::read(path, self.count),
            None => Ok(input::generate(self.count, self.seed, run)),
        }
    }

    /// On ports of its own choice, or from `base_port` on.
    async fn start_sandbox(
        &self,
        config: &Config,
        clock: Clock,
        base_port: Option<u16>,
        no_answer: Duration,
        plants: Vec<Plant>,
    ) -> anyhow::Result<Sandbox> {
        windlass_sandbox::start(windlass_sandbox::Config {
            plants,
            faults: self.faults,
            journal: Some(config.data.join("sandbox.journal")),
            base_port,
            no_answer,
            pace: Pace {
                haier_token: TOKENS_LIVE,
                ylh_token: TOKENS_LIVE,
                mini_token: TOKENS_LIVE,
                ..Pace::default()
            },
            ..windlass_sandbox::Config::new(clock, self.seed)
        })
        .await
    }

    /// Sends all orders through and waits for the end of the last.
    async fn shop(
        &self,
        desks: &Desks,
        mut input: Input,
        began: &Beginning,
        clock: &Clock,
        days: Option<&Days>,
    ) -> anyhow::Result<Summary> {
        let from = clock.wall();
        let baskets = std::mem::take(&mut input.baskets);
        let bars = progress::Bars::new(baskets.len() as u64);
        let due = days.map(|days| days.times(baskets.len()));
        let due = due.unwrap_or_else(|| vec![clock.now(); baskets.len()]);
        let baskets = due.into_iter().zip(baskets).collect();
        let sending = shopper::send_all(desks, baskets, clock, &bars);
        let still_max = Duration::from_secs(self.give_up_after.max(1));
        let watching = verdict::until_over(desks, began, clock, still_max, days, &bars);
        let (sent, over) = tokio::join!(sending, watching);
        bars.clear();
        let rejected = sent?;
        let seconds = clock.wall().since(from).as_secs_f64();
        verdict::summary(desks, began, &input, over?, rejected, days, seconds).await
    }
}

/// On each day somebody never pays, so that money can come late, and something is out of stock, so that money goes back.
fn some_go_wrong(input: &mut Input, days: &Days) {
    let (firsts, evenings) = days.firsts(input.baskets.len());
    let seconds = firsts.iter().map(|nth| nth + 1);
    for nth in seconds.chain(evenings).filter(|nth| !firsts.contains(nth)) {
        if let Some(basket) = input.baskets.get_mut(nth) {
            input::put_out_of_stock(basket);
        }
    }
    for nth in firsts {
        input.baskets[nth].pays = Pays::Never;
    }
}

/// Says which rows of the file cannot be used, and where each of them is told.
fn tell_rejected(input: &Input, data: &Path) -> anyhow::Result<()> {
    let rejected = &input.rejected;
    if rejected.count == 0 {
        return Ok(());
    }
    let path = data.join("rejected.csv");
    rejected.write(&path)?;
    for (line, reason) in rejected.listed.iter().take(REJECTED_SHOWN) {
        eprintln!("line {line}: {reason}");
    }
    eprintln!(
        "{} of {} rows cannot be used, each told in {}",
        rejected.count,
        input.rows_read,
        path.display()
    );
    Ok(())
}

/// Where a demo keeps what it needs of one that sends its orders to a server.
pub fn data_of_there(data: &Path) -> [(&'static str, String); 1] {
    [("WINDLASS_DATA", data.join("demo-server").display().to_string())]
}

/// The demo keeps its files apart from those of `windlass up`, and knows no other stores.
pub fn settings_of(data: &Path) -> [(&'static str, String); 3] {
    let data = data.join("demo");
    let file = |name: &str| format!("sqlite:{}", data.join(name).display());
    [
        ("QUEUE_URL", file("queue.db")),
        ("DATABASE_URL", file("ledger.db")),
        ("WINDLASS_DATA", data.display().to_string()),
    ]
}

/// Binds the front door's port.
///
/// # Errors
/// When it is taken, with what to do.
pub async fn listen_on(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}: is another Windlass running there? choose another with --listen (WINDLASS_LISTEN)"
        )
    })
}

fn nobody_real() -> Outside {
    Outside { haier: None, ylh: None, wechat_pay: None, mini_program: None, mail: None }
}

/// What a demo cannot wait for is shorter.
fn demo_settings() -> Settings {
    Settings {
        time_to_pay_s: 1_800,
        complete_after_s: 3_600,
        track_every_max_s: 1_800,
        // The sandbox is near, and what it does not take is told again while the orders are still on their way.
        webhook_private_addresses: true,
        webhook_timeout_s: PATIENCE.as_secs(),
        webhook_at_once: 8,
        webhook_retries_s: vec![5, 60, 300, 600, 1_800, 3_600, 3_600, 3_600],
        // The shop's hours pass in moments: that a payment was told of before its order was recorded means nothing.
        unknown_order_after_s: 7 * 24 * 3_600,
        ..Settings::default()
    }
}
