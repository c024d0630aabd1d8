//! When a demo is over, and whether the shop's books agree with the truth of the outside.

use std::time::Duration;

use windlass_engine::{State, Store};
use windlass_jobs::effect::EffectKind;
use windlass_jobs::orders::{OrderState, Tally, tally};
use windlass_sandbox::{Sandbox, Truth};

use super::input::Input;
use super::progress::{Bars, count};
use super::summary::{Books, EffectRow, Notifications, Orders, Rows, Summary};
use crate::platform::Platform;

/// How often the books are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Nothing has changed for so long (of the wall's time): what is not at its end is stuck.
const STILL: Duration = Duration::from_secs(60);

const ENDS: [OrderState; 3] = [OrderState::Completed, OrderState::Cancelled, OrderState::Refused];

/// Waits until every order has ended and nothing is owed any more, or until nothing moves. True: it is over.
pub async fn until_over(platform: &Platform, sandbox: &Sandbox, bars: &Bars) -> anyhow::Result<bool> {
    let mut still_since = platform.clock.wall();
    let mut before = Default::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let tally = tally(&platform.ledger).await?;
        bars.show(&tally, platform.clock.now());
        let truth = sandbox.truth().await;
        let outbox = platform.ledger.outbox_counts().await?;
        let (all, ended) = (all(&tally), count(&tally, &ENDS));
        let owed = truth.callbacks.owed - truth.callbacks.taken - truth.callbacks.given_up;
        let live = outbox.waiting + outbox.handed_over;
        if bars.all_sent() && ended == all && live == 0 && owed == 0 {
            return Ok(true);
        }
        let now = (tally.orders, tally.refunds, tally.notifications);
        if now != before || !bars.all_sent() {
            before = now;
            still_since = platform.clock.wall();
        } else if platform.clock.wall().since(still_since) > STILL {
            tracing::warn!(live, owed, "nothing moves any more");
            return Ok(false);
        }
    }
}

/// The whole picture.
pub async fn summary(
    platform: &Platform,
    sandbox: &Sandbox,
    input: &Input,
    over: bool,
    refused_at_the_door: Vec<(String, String)>,
    seconds: f64,
) -> anyhow::Result<Summary> {
    let tally = tally(&platform.ledger).await?;
    let truth = sandbox.truth().await;
    let stats = platform.store.stats().await?;
    let mut orders = orders(&tally);
    for (_, why) in &refused_at_the_door {
        *orders.reasons.entry(format!("not taken: {why}")).or_default() += 1;
    }
    let effects = effects(&tally, &truth);
    let mut books = books(platform.store.as_ref(), &tally, &truth).await?;
    if !over {
        books.faults.push("nothing moved for a minute although something was still to do".to_owned());
    }
    Ok(Summary {
        orders,
        notifications: notifications(&tally, &effects),
        effects,
        findings: Default::default(),
        dead_jobs: stats.iter().map(|queue| queue.counts.of(State::Dead)).sum(),
        rows: rows(input),
        books,
        seconds,
        jobs_run: stats.iter().map(|queue| queue.counts.completed + queue.counts.pruned).sum(),
    })
}

fn orders(tally: &Tally) -> Orders {
    let all = all(tally);
    let of = |state: OrderState| count(tally, &[state]);
    let reasons = tally.refused.iter().map(|(reason, n)| (reason.clone(), (*n).max(0) as u64)).collect();
    Orders {
        placed: all,
        completed: of(OrderState::Completed),
        cancelled: of(OrderState::Cancelled),
        refused: of(OrderState::Refused),
        stuck: all - count(tally, &ENDS),
        needs_person: tally.needs_person.max(0) as u64,
        reasons,
    }
}

fn all(tally: &Tally) -> u64 {
    tally.orders.values().map(|n| (*n).max(0) as u64).sum()
}

fn effects(tally: &Tally, truth: &Truth) -> Vec<EffectRow> {
    let row = |kind: EffectKind| {
        let ours = |state: &str| {
            let of_kind = tally.effects.get(kind.name());
            of_kind.and_then(|states| states.get(state)).map_or(0, |n| (*n).max(0) as u64)
        };
        let there = truth.effects.iter().find(|effect| effect.effect == kind.name());
        EffectRow {
            effect: kind.name().to_owned(),
            ours: ours("done"),
            in_doubt: ours("in_doubt") + ours("intended"),
            truth: there.map_or(0, |effect| effect.keys),
            doubled: there.map_or(0, |effect| effect.doubled),
        }
    };
    EffectKind::ALL.into_iter().map(row).collect()
}

fn notifications(tally: &Tally, effects: &[EffectRow]) -> Notifications {
    let of = |state: &str| tally.notifications.get(state).map_or(0, |n| (*n).max(0) as u64);
    let messages = [EffectKind::SubscribeSend.name(), EffectKind::MailSend.name()];
    let told = || effects.iter().filter(|row| messages.contains(&row.effect.as_str()));
    Notifications {
        sent: of("sent"),
        refused: of("refused"),
        in_doubt: told().map(|row| row.in_doubt).sum(),
        truth: told().map(|row| row.truth).sum(),
        doubled: told().map(|row| row.doubled).sum(),
    }
}

fn rows(input: &Input) -> Rows {
    let by_reason = input.rejected.by_reason.iter().map(|(reason, n)| ((*reason).to_owned(), *n));
    Rows {
        read: input.rows_read,
        used: input.rows_used,
        rejected: input.rejected.count,
        rejected_by_reason: by_reason.collect(),
    }
}

/// The carrier's books (promise 7), and the money: what came in and what went back, here and there.
async fn books(store: &dyn Store, tally: &Tally, truth: &Truth) -> anyhow::Result<Books> {
    let mut faults = Vec::new();
    for queue in store.audit().await?.iter().filter(|queue| !queue.balanced()) {
        faults.push(format!("queue {}: kept {:?}, counted {:?}", queue.queue, queue.kept, queue.counted));
    }
    let money = [
        ("came in", tally.paid_fen, truth.payments.paid_fen),
        ("went back", tally.refunded_fen, truth.payments.refunded_fen),
    ];
    for (what, ours, theirs) in money.into_iter().filter(|(_, ours, theirs)| ours != theirs) {
        faults.push(format!("{ours} fen {what} in our books, {theirs} fen outside"));
    }
    Ok(Books { balanced: faults.is_empty(), faults })
}
