//! The roles that a process plays over its parts: a worker, a scheduler, a front door, a port for monitors, and the relay
//! that is always there. Each begins, and all drain together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use windlass_engine::State;
use windlass_engine::backend::{EndedJob, OnEnded};
use windlass_engine::schedule::{Scheduler, Schedules};
use windlass_engine::store::Retention;
use windlass_engine::worker::{WorkerSettings, Workers};
use windlass_jobs::outbox::{Relay, RelaySettings};
use windlass_jobs::shop::Shop;

use super::{Platform, VERSION, accept, host_name};
use crate::front_door::events::watchers;
use crate::front_door::{self, Access, FrontDoor, Kinds, Rate};
use crate::health::{Health, Pulses};
use crate::lifecycle::Lifecycle;
use crate::monitoring::{self, Monitored};
use crate::scaling::Flows;
use crate::telemetry::Metrics;

/// How long finished jobs stay in the carrier. Completed ones stay far longer than the outbox's sweep takes to
/// see them, so that no finished job is handed over again.
const RETENTION: Retention = Retention {
    jobs_max: 100_000,
    completed_age_max: Duration::from_secs(7 * 24 * 3_600),
    dead_age_max: Duration::from_secs(90 * 24 * 3_600),
};

/// What a process does beside keeping its stores open.
#[derive(Default)]
pub struct Roles {
    pub door: Option<TcpListener>,
    /// Who may use the door.
    pub access: Access,
    /// A port for metrics and health alone.
    pub monitors: Option<TcpListener>,
    pub worker: bool,
    /// Runs these schedules.
    pub scheduler: Option<Schedules>,
}

/// What runs beside the relay, each until the process is told to stop.
type Parts = JoinSet<anyhow::Result<()>>;

impl Platform {
    /// Plays the roles until the process is told to stop, then drains.
    ///
    /// # Errors
    /// When the front door cannot go on.
    pub async fn run(&self, roles: Roles, metrics: Metrics, lifecycle: Lifecycle) -> anyhow::Result<()> {
        // The relay outlives the workers: what they put into the outbox while they drain still goes out.
        let drained = CancellationToken::new();
        let relay = Relay::new(self.ledger.clone(), self.store.clone(), RelaySettings::default());
        let relay = tokio::spawn(relay.run(drained.clone()));
        let parts = self.begin(roles, metrics, &lifecycle)?;
        let ended = all_end(parts, &lifecycle).await;
        drained.cancel();
        relay.await.context("the relay panicked")?;
        ended
    }

    fn begin(&self, roles: Roles, metrics: Metrics, lifecycle: &Lifecycle) -> anyhow::Result<Parts> {
        let Roles { door, access, monitors, worker, scheduler } = roles;
        let Lifecycle { stop, hurry } = lifecycle;
        let (mut parts, mut pulses, flows) = (Parts::new(), Pulses::default(), Flows::default());
        parts.spawn(never_fails(metrics.clone().keep(stop.clone())));
        if worker {
            let pulse = pulses.worker.insert(Default::default()).clone();
            let workers = self.workers()?.run_watched(stop.clone(), hurry.clone(), pulse);
            parts.spawn(never_fails(workers));
        }
        if let Some(schedules) = scheduler {
            let scheduler = self.scheduler(&schedules);
            pulses.scheduler = Some(scheduler.pulse());
            parts.spawn(never_fails(scheduler.run(stop.clone())));
        }
        let render: front_door::metrics::Render = Arc::new(move || metrics.render());
        let monitored = monitors.is_some();
        if let Some(listener) = monitors {
            let health = Health {
                store: self.store.clone(),
                ledger: self.ledger.clone(),
                clock: self.clock.clone(),
                pulses: pulses.clone(),
                closing: stop.clone(),
            };
            let (metrics, flows) = (render.clone(), flows.clone());
            let monitored = Monitored { health, metrics, flows, books: door.is_some() };
            parts.spawn(monitoring::serve(listener, monitored));
        }
        if let Some(listener) = door {
            let door = FrontDoor {
                access,
                tells_metrics: !monitored,
                flows,
                ..self.door(render, pulses, lifecycle)?
            };
            parts.spawn(front_door::serve(listener, door));
        }
        Ok(parts)
    }

    fn workers(&self) -> anyhow::Result<Workers<Shop>> {
        Ok(Workers {
            store: self.store.clone(),
            clock: self.clock.clone(),
            table: self.table.clone(),
            context: self.shop.clone().context("a worker needs a shop")?,
            settings: WorkerSettings {
                queues: self.queues.clone(),
                lease: self.lease,
                drain_max: WorkerSettings::DRAIN_MAX_DEFAULT,
                retention: RETENTION,
            },
            on_ended: Some(self.tell_outbox()),
            host: host_name(),
            version: VERSION.to_owned(),
        })
    }

    fn scheduler(&self, schedules: &Schedules) -> Scheduler {
        let accept = Arc::new(accept::ByKind {
            store: self.store.clone(),
            ledger: self.ledger.clone(),
            table: self.table.clone(),
        });
        Scheduler::new(self.store.clone(), accept, schedules, self.clock.clone())
    }

    fn door(
        &self,
        metrics: front_door::metrics::Render,
        pulses: Pulses,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<FrontDoor> {
        Ok(FrontDoor {
            store: self.store.clone(),
            ledger: self.ledger.clone(),
            shop: self.shop.clone().context("the front door needs a shop")?,
            kinds: Kinds::of(&self.table)?,
            schedules: self.schedules.clone(),
            queues: Default::default(),
            clock: self.clock.clone(),
            limits: self.limits,
            rate: self.rate_limit.map(Rate::new),
            watchers: watchers(),
            metrics,
            access: Access::Open,
            tells_metrics: true,
            pulses,
            flows: Flows::default(),
            closing: lifecycle.stop.clone(),
            hurrying: lifecycle.hurry.clone(),
        })
    }

    /// Tells the outbox of jobs that ended: it keeps what may still be wanted.
    fn tell_outbox(&self) -> OnEnded {
        let ledger = self.ledger.clone();
        Arc::new(move |ended: Vec<EndedJob>| {
            let ended = ended.into_iter().filter(|job| job.in_outbox);
            let (dead, over): (Vec<_>, Vec<_>) = ended.partition(|job| job.state == State::Dead);
            let ids = |jobs: Vec<EndedJob>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
            let (dead, over, ledger) = (ids(dead), ids(over), ledger.clone());
            tokio::spawn(async move {
                // What is missed here is found by the relay's sweep.
                if let Err(error) = ledger.finished(over).await.and(ledger.died(dead).await) {
                    tracing::warn!(%error, "rows of jobs that ended stay live in the outbox for now");
                }
            });
        })
    }
}

async fn never_fails(part: impl Future<Output = ()>) -> anyhow::Result<()> {
    part.await;
    Ok(())
}

/// Waits for every part. One that fails stops the others.
async fn all_end(mut parts: Parts, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let mut ended = Ok(());
    while let Some(part) = parts.join_next().await {
        let part = part.context("a part of the process panicked").and_then(|part| part);
        if let Err(error) = part {
            lifecycle.stop.cancel();
            ended = Err(error);
        }
    }
    ended
}
