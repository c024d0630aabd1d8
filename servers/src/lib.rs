//! Private servers for tests and benchmarks: a real redis-server, a real PostgreSQL, each on a free port of
//! 127.0.0.1 with its files in a temporary folder.
//!
//! They die with whoever started them, also when that is killed: a shell between the two waits for the end of
//! its standard input. Everything here panics with the server's own words when it does not work, since nothing
//! that uses it could go on. `TEST_REDIS_URL` and `TEST_DATABASE_URL` are for tests that need no server of
//! their own: see [`Redis::shared`] and [`Postgres::shared`].

mod postgres;
mod process;
mod proxy;
mod redis;

pub use postgres::{Postgres, psql, try_psql};
pub use process::{Process, free_port, free_ports};
pub use proxy::{After, Proxy};
pub use redis::Redis;
