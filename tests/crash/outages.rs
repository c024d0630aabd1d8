//! What may happen to an installation. Each of these ends with everything up again; what it did to the work is seen
//! later.

use std::time::{Duration, Instant};

use crate::load::Load;
use crate::town::Town;
use crate::wait::within;

/// What an outage brings about is seen within this time.
const SEEN_MAX: Duration = Duration::from_secs(30);
/// Bytes after which a connection breaks: in the middle of a command, or of its answer.
const CUT_AFTER: std::ops::Range<u64> = 300..30_000;
const CUTS: u64 = 25;
/// What Redis may take before it is full.
const ROOM_BYTES: u64 = 20_000;

impl Town {
    /// Lets work go on for a while: the instant of the next outage is what is random.
    pub fn pause(&mut self, ms: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.rng.u64(ms)));
    }

    /// SIGKILL to one process of the role, which is started again after a while.
    pub fn kill_one(&mut self, role: &str) {
        self.say(&format!("a process is killed: {role}"));
        let count = self.of(role).len();
        let nth = self.rng.usize(..count);
        self.of(role)[nth].kill();
        self.pause(0..600);
        self.of(role)[nth].start();
    }

    /// These workers, but not all, stand still until others have taken over what they held, and are woken.
    #[track_caller]
    pub fn freeze_workers(&mut self, names: &[&str]) {
        self.say(&format!("frozen: {}", names.join(", ")));
        let others = |town: &Town| {
            let workers = town.all().iter().filter(|house| house.name.starts_with("worker"));
            let others = workers.filter(|house| !names.contains(&house.name.as_str()));
            others.map(|house| house.metric("windlass_jobs_reaped_total")).sum::<f64>()
        };
        let before = others(self);
        names.iter().for_each(|name| self.of(name)[0].signal("STOP"));
        let taken = within(SEEN_MAX, || (others(self) > before).then_some(()));
        names.iter().for_each(|name| self.of(name)[0].signal("CONT"));
        assert!(taken.is_some(), "nobody took over what {names:?} held");
    }

    /// SIGKILL to Redis.
    pub fn restart_redis(&mut self) {
        self.say("Redis is killed");
        self.redis.kill();
        self.pause(100..1_500);
        self.redis.start_again();
    }

    /// Connections to Redis break wherever they are.
    pub fn cut_redis(&mut self) {
        self.say("connections to Redis are cut");
        cut(&self.redis_way);
    }

    pub fn kill_redis_clients(&mut self) {
        self.say("clients of Redis are killed");
        self.redis.cli(&["client", "kill", "type", "normal"]);
    }

    /// Everything in Redis is deleted while it runs.
    pub fn wipe_redis(&mut self) {
        self.say("Redis is wiped");
        assert_eq!(self.redis.cli(&["flushall"]).trim(), "OK");
        self.wiped_at = Some(Instant::now());
    }

    /// Redis dies with its files and comes back empty.
    pub fn lose_redis(&mut self) {
        self.say("Redis is lost with its files");
        self.redis.lose();
        self.pause(100..1_000);
        self.wiped_at = Some(Instant::now());
        self.redis.start_again();
    }

    /// Redis has no room for new jobs until some were refused.
    #[track_caller]
    pub fn fill_redis(&mut self, load: &Load, refusals: u64) {
        self.say("Redis is full");
        let before = load.answered("429");
        let bytes = (self.redis_memory_bytes() + ROOM_BYTES).to_string();
        assert_eq!(self.redis.cli(&["config", "set", "maxmemory", &bytes]).trim(), "OK");
        let refused = within(SEEN_MAX, || {
            (load.answered("429") >= before + refusals || load.is_over()).then(|| load.answered("429"))
        });
        assert_eq!(self.redis.cli(&["config", "set", "maxmemory", "0"]).trim(), "OK");
        assert!(refused.is_some_and(|refused| refused > before), "nothing was refused: {refused:?}");
    }

    /// PostgreSQL shuts down fast: connections are cut, and nobody is waited for.
    pub fn restart_postgres(&mut self) {
        self.say("PostgreSQL is restarted");
        self.postgres.stop();
        self.pause(100..1_000);
        self.postgres.start_again();
    }

    /// SIGKILL to PostgreSQL and its children.
    pub fn crash_postgres(&mut self) {
        self.say("PostgreSQL is killed");
        self.postgres.kill();
        self.pause(100..1_000);
        self.postgres.start_again();
    }

    pub fn terminate_postgres_clients(&mut self) {
        self.say("clients of PostgreSQL are terminated");
        self.postgres.terminate_clients();
    }

    /// Connections to PostgreSQL break wherever they are, also between a commit and its answer.
    pub fn cut_postgres(&mut self) {
        self.say("connections to PostgreSQL are cut");
        cut(&self.postgres_way);
    }
}

#[track_caller]
fn cut(way: &windlass_servers::Proxy) {
    let cuts = || way.cuts().0 + way.cuts().1;
    let enough = cuts() + CUTS;
    way.cut_after(Some(windlass_servers::After { up: CUT_AFTER, down: CUT_AFTER }));
    let cut = within(SEEN_MAX, || (cuts() >= enough).then_some(()));
    way.cut_after(None);
    assert!(cut.is_some(), "only {} of {CUTS} connections were cut", cuts() + CUTS - enough);
}
