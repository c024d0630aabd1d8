//! `windlass sandbox`: the simulated outside world alone.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use windlass_engine::Clock;
use windlass_sandbox::{Faults, Goods, Pace, credentials};

use super::Everywhere;
use crate::config::Config;
use crate::demo::TOKENS_LIVE;
use crate::lifecycle::Lifecycle;
use crate::outside::call_back_to;

#[derive(Clone, Debug, Args)]
pub struct Alone {
    /// The control port; the systems listen on the ports after it. 0: any ports that are free.
    #[arg(long, default_value_t = 9400)]
    port: u16,
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// What goes wrong: none, some or storm.
    #[arg(long, default_value_t = Faults::None)]
    faults: Faults,
    /// How many products Haier lists. The first 200 never change; the others' prices and stock move.
    #[arg(long, default_value_t = Goods::default().products)]
    products: u32,
    /// Calls in a second beyond which Haier answers 429 [default: as many as come].
    #[arg(long, value_name = "N")]
    haier_calls_per_s: Option<u32>,
    /// Delays, prices and faults follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of its time that pass in one real second, from now on [default: the shop's time, as WINDLASS_SPEED
    /// and WINDLASS_SPEED_SINCE say].
    #[arg(long)]
    speed: Option<f64>,
    /// Where its world is written down; without it, in memory only.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// The front door that its callbacks go to.
    #[arg(long, value_name = "URL")]
    call_back: Option<String>,
}

impl Alone {
    pub(super) async fn run(self, config: &Config, everywhere: &Everywhere) -> anyhow::Result<()> {
        let is_sound = self.speed.is_none_or(|speed| speed.is_finite() && speed > 0.0);
        anyhow::ensure!(is_sound, "--speed is a positive number");
        let lifecycle = Lifecycle::on_signals().context("signals cannot be listened for")?;
        let clock = match self.speed {
            None => config.clock(),
            Some(1.0) => Clock::system(),
            Some(speed) => Clock::scaled(Clock::system().now(), speed),
        };
        // Two hours of a fast shop's time would be over before a token was used.
        let pace = if clock.speed() > 1.0 {
            Pace {
                haier_token: TOKENS_LIVE,
                ylh_token: TOKENS_LIVE,
                mini_token: TOKENS_LIVE,
                ..Pace::default()
            }
        } else {
            Pace::default()
        };
        let sandbox = windlass_sandbox::start(windlass_sandbox::Config {
            faults: self.faults,
            journal: self.journal,
            bind: self.bind,
            base_port: (self.port != 0).then_some(self.port),
            pace,
            goods: Goods { products: self.products, calls_per_s: self.haier_calls_per_s, ..Goods::default() },
            ..windlass_sandbox::Config::new(clock, self.seed)
        })
        .await?;
        if let Some(door) = &self.call_back {
            call_back_to(&sandbox, door.trim_end_matches('/'));
        }
        let told = serde_json::json!({ "addresses": sandbox.addresses(), "credentials": credentials() });
        if everywhere.json {
            println!("{told}");
        } else {
            println!("{}", serde_json::to_string_pretty(&told)?);
        }
        lifecycle.stop.cancelled().await;
        sandbox.stop().await;
        Ok(())
    }
}
