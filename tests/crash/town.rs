//! The whole installation: a Redis, a PostgreSQL, the outside world, and our processes between them, on ways that can
//! be cut.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use fastrand::Rng;
use tempfile::TempDir;
use windlass_engine::Clock;
use windlass_servers::{Postgres, Proxy, Redis, free_port, free_ports};

use crate::house::House;

/// Seconds of the shop's time in one of the wall's: an order takes ten seconds.
const SPEED: &str = "5400";
/// Seconds of the wall's time.
pub const LEASE_S: u64 = 3;
/// Where outages follow each other, none but those that are meant to may take leases away: a job survives four.
pub const LONG_LEASE_S: u64 = 10;
const SHOP: &str = "time_to_pay_s = 1800\ncomplete_after_s = 3600\ntrack_every_max_s = 1800\n";
/// The shop's own, but rarer: at this speed a minute is over in a sixtieth of a second.
const SCHEDULES: [(&str, u32); 4] = [
    ("expire_unpaid_orders", 10),
    ("sweep_orders", 15),
    ("track_parcels", 15),
    ("watch_supplier_orders", 15),
];
/// The sandbox listens on so many in a row.
const SANDBOX_PORTS: u16 = 6;
const DATABASE: &str = "windlass";
/// What a town may need of the memory that it is built in.
const MEMORY_KIB: u64 = 2 * 1024 * 1024;

/// Two towns at once would wait for each other's processors.
static ALONE: Mutex<()> = Mutex::new(());

/// How a town is built.
#[derive(Clone, Copy, Default)]
pub struct Plan<'a> {
    /// The shop's time is the wall's.
    pub is_slow: bool,
    /// Leases of [`LONG_LEASE_S`].
    pub is_lasting: bool,
    /// Where Redis keeps its files; None: in a folder of its own.
    pub redis_folder: Option<&'a Path>,
}

pub struct Town {
    /// The sandbox, then ours. They go before what they stand on.
    houses: Vec<House>,
    pub redis: Redis,
    pub postgres: Postgres,
    pub redis_way: Proxy,
    pub postgres_way: Proxy,
    /// The ledger's address, past the proxy.
    pub database: String,
    /// Where the sandbox is steered and tells the truth.
    pub control: String,
    pub rng: Rng,
    seed: u64,
    /// When the carrier last lost everything: what only it had accepted before may be gone.
    pub wiped_at: Option<Instant>,
    folder: Option<TempDir>,
    began: Instant,
    _alone: MutexGuard<'static, ()>,
}

impl Town {
    /// Everything is up and ready.
    pub fn build(plan: Plan) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let given = std::env::var("WINDLASS_CRASH_SEED").ok();
        let seed = given.map_or_else(|| fastrand::u64(..1_000_000), |seed| seed.parse().expect("a number"));
        println!("WINDLASS_CRASH_SEED={seed}");
        let ground = ground();
        let folder = tempfile::Builder::new().prefix("windlass-crash-").tempdir_in(&ground).unwrap();
        let redis = match plan.redis_folder {
            Some(folder) => Redis::in_folder(folder, &[]),
            None => {
                let folder = folder.path().join("redis");
                std::fs::create_dir(&folder).unwrap();
                Redis::in_folder(&folder, &[])
            }
        };
        let postgres = Postgres::within(&ground, &["shared_buffers=32MB"]);
        let database = postgres.create_database(DATABASE);
        let mut town = Self {
            houses: Vec::new(),
            redis_way: Proxy::to(redis.port(), seed),
            postgres_way: Proxy::to(postgres.port(), seed + 1),
            redis,
            postgres,
            database,
            control: String::new(),
            rng: Rng::with_seed(seed),
            seed,
            wiped_at: None,
            folder: Some(folder),
            began: Instant::now(),
            _alone: alone,
        };
        town.settle(plan);
        town.say("everything is ready");
        town
    }

    fn settle(&mut self, plan: Plan) {
        let folder = self.folder.as_ref().unwrap().path().to_owned();
        let shop = folder.join("shop.toml");
        std::fs::write(&shop, SHOP).unwrap();
        let schedules = folder.join("schedules");
        std::fs::create_dir(&schedules).unwrap();
        for (job, minutes) in SCHEDULES {
            let entry = format!(
                "[{job}]\ndescription = \"{job}\"\ncron = \"0 */{minutes} * * * *\"\ntimezone = \"Asia/Shanghai\"\n\
                 job = \"{job}\"\noverlap = \"skip\"\ncatch_up = \"one\"\n"
            );
            std::fs::write(schedules.join(format!("{job}.toml")), entry).unwrap();
        }
        let sandbox = free_ports(SANDBOX_PORTS);
        self.control = format!("http://127.0.0.1:{sandbox}");
        let database = self
            .database
            .replace(&format!(":{}/", self.postgres.port()), &format!(":{}/", self.postgres_way.port()));
        let mut env = vec![
            ("QUEUE_URL", format!("redis://127.0.0.1:{}/0", self.redis_way.port())),
            ("DATABASE_URL", database),
            ("WINDLASS_SANDBOX", self.control.clone()),
            ("WINDLASS_SCHEDULES", schedules.display().to_string()),
            ("WINDLASS_SHOP", shop.display().to_string()),
            ("WINDLASS_LEASE_S", if plan.is_lasting { LONG_LEASE_S } else { LEASE_S }.to_string()),
            ("WINDLASS_LOG_FORMAT", "json".to_owned()),
        ];
        if !plan.is_slow {
            env.push(("WINDLASS_SPEED", SPEED.to_owned()));
            env.push(("WINDLASS_SPEED_SINCE", Clock::system().wall().to_rfc3339()));
        }
        let env: Vec<_> = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();

        let doors = [free_port(), free_port()];
        let (port, seed, call_back) =
            (sandbox.to_string(), self.seed.to_string(), format!("http://127.0.0.1:{}", doors[0]));
        let outside = [
            env!("CARGO_BIN_EXE_windlass"),
            "sandbox",
            "--port",
            &port,
            "--seed",
            &seed,
            "--journal",
            "sandbox.journal",
            "--call-back",
            &call_back,
        ];
        self.houses.push(House::new(folder.join("sandbox"), &outside, &env, sandbox, "/livez"));
        for (nth, port) in doors.into_iter().enumerate() {
            let listen = format!("127.0.0.1:{port}");
            let api = [env!("CARGO_BIN_EXE_windlass-api"), "--listen", &listen];
            let folder = folder.join(format!("api-{}", nth + 1));
            self.houses.push(House::new(folder, &api, &env, port, "/readyz"));
        }
        let program = [
            ("worker", env!("CARGO_BIN_EXE_windlass-worker"), 3),
            ("scheduler", env!("CARGO_BIN_EXE_windlass-scheduler"), 2),
        ];
        for (role, program, count) in program {
            for nth in 1..=count {
                let port = free_port();
                let listen = format!("127.0.0.1:{port}");
                let command = [program, "--metrics-listen", &listen];
                let folder = folder.join(format!("{role}-{nth}"));
                self.houses.push(House::new(folder, &command, &env, port, "/readyz"));
            }
        }
        // Whoever is first brings the ledger's schema up; the others wait for it.
        self.houses.iter_mut().for_each(House::start);
        self.until_ready();
    }

    #[track_caller]
    pub fn until_ready(&mut self) {
        self.houses.iter_mut().for_each(House::until_ready);
    }

    /// Those whose names begin with `role`: `worker`, `api`, `scheduler`.
    pub fn of(&mut self, role: &str) -> Vec<&mut House> {
        self.houses.iter_mut().filter(|house| house.name.starts_with(role)).collect()
    }

    pub fn all(&self) -> &[House] {
        &self.houses
    }

    /// Says what happens, and when: shown when the test fails.
    pub fn say(&self, what: &str) {
        println!("{:>7.1} s  {what}", self.began.elapsed().as_secs_f64());
    }

    /// The front doors.
    pub fn doors(&self) -> Vec<String> {
        let apis = self.houses.iter().filter(|house| house.name.starts_with("api"));
        apis.map(|house| house.address.clone()).collect()
    }

    /// `metric` added up over all workers that answer.
    pub fn of_workers(&self, metric: &str) -> f64 {
        let workers = self.houses.iter().filter(|house| house.name.starts_with("worker"));
        workers.map(|worker| worker.metric(metric)).sum()
    }

    /// Whether any worker said so.
    pub fn workers_said(&self, words: &str) -> bool {
        self.houses.iter().any(|house| house.name.starts_with("worker") && house.log().contains(words))
    }

    pub fn redis_memory_bytes(&self) -> u64 {
        let told = self.redis.cli(&["info", "memory"]);
        let line = told.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.expect("a figure").trim().parse().unwrap()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.houses.clear();
        let folder = self.folder.take().unwrap();
        if std::thread::panicking() {
            // Beside the logs of ours stands that of PostgreSQL.
            let _ = std::fs::write(folder.path().join("postgres.log"), self.postgres.log());
            println!("WINDLASS_CRASH_SEED={}: the logs are in {}", self.seed, folder.keep().display());
        }
    }
}

/// Memory where there is plenty of it, else the disk. What a process wrote outlives its SIGKILL in either, and a disk
/// that others keep busy for seconds would take everybody's leases away.
fn ground() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let told = Command::new("df").args(["--output=avail", "--block-size=1K"]).arg(&memory).output();
    let free = told.ok().and_then(|told| {
        String::from_utf8_lossy(&told.stdout).lines().last().and_then(|line| line.trim().parse::<u64>().ok())
    });
    if free.is_some_and(|free| free >= MEMORY_KIB) { memory } else { std::env::temp_dir() }
}
