//! When a demo is over, and whether the shop's books agree with the truth of the outside.

use std::time::Duration;

use windlass_engine::{Clock, Timestamp};
use windlass_jobs::effect::EffectKind;
use windlass_jobs::orders::{OrderState, Tally};
use windlass_sandbox::{PlantKind, Truth};

use super::crm;
use super::days::Days;
use super::differences;
use super::input::Input;
use super::progress::{Bars, count};
use super::standing::{Desks, Queues, Standing};
use super::summary::{Books, EffectRow, Findings, Notifications, Orders, Rows, Summary};

/// How often the books are looked at.
const LOOK: Duration = Duration::from_millis(250);

const ENDS: [OrderState; 3] = [OrderState::Completed, OrderState::Cancelled, OrderState::Refused];

/// Where everything stood when the demo began; all zeros when it has the stores to itself.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Beginning {
    /// Wall time.
    pub at: Timestamp,
    pub standing: Standing,
    pub queues: Queues,
}

/// Waits until every order has ended and nothing is owed any more, or until nothing has changed for `still_max` of
/// the wall's time; of a demo of days also until its bills were read and what was planted in them was found. True: it is
/// over.
///
/// # Errors
/// When one side has not answered for as long.
pub async fn until_over(
    desks: &Desks,
    began: &Beginning,
    clock: &Clock,
    still_max: Duration,
    days: Option<&Days>,
    bars: &Bars,
) -> anyhow::Result<bool> {
    let mut still_since = clock.wall();
    let mut before = Default::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let is_still = clock.wall().since(still_since) > still_max;
        let now = match desks.standing().await {
            Ok(now) => now,
            // A server that is started again answers soon.
            Err(error) if is_still => return Err(error),
            Err(_) => continue,
        };
        let grown = now.since(&began.standing);
        bars.show(&grown.tally, clock.now());
        let open = |standing: &Standing| all(&standing.tally).saturating_sub(count(&standing.tally, &ENDS));
        // What others had left open before the demo began is not waited for.
        let orders_over = open(&now) <= open(&began.standing);
        let days_over = match days {
            Some(days) => clock.now() >= days.over_at(),
            None => true,
        };
        let quiet = now.live() <= began.standing.live() && now.owed() == 0;
        if bars.all_sent() && orders_over && days_over && quiet && is_found(desks, days, &now, clock).await? {
            return Ok(true);
        }
        if !days_over {
            // A night without orders is no standstill.
            still_since = clock.wall();
        }
        let seen = (grown.tally.orders, grown.tally.refunds, grown.tally.notifications);
        if seen != before || !bars.all_sent() {
            before = seen;
            still_since = clock.wall();
        } else if is_still {
            tracing::warn!(live = now.live(), owed = now.owed(), "nothing moves any more");
            return Ok(false);
        }
    }
}

/// Whether everything that was planted was found, or will not be any more.
async fn is_found(desks: &Desks, days: Option<&Days>, now: &Standing, clock: &Clock) -> anyhow::Result<bool> {
    let Some(days) = days else { return Ok(true) };
    let findings = differences::compare(&now.truth.plants, &desks.findings().await?);
    Ok(findings.found == findings.planted || clock.now() >= days.given_up_at())
}

/// The whole picture.
///
/// # Errors
/// When one side does not answer.
pub async fn summary(
    desks: &Desks,
    began: &Beginning,
    input: &Input,
    over: bool,
    refused_at_the_door: Vec<(String, String)>,
    days: Option<&Days>,
    seconds: f64,
) -> anyhow::Result<Summary> {
    let Standing { tally, truth, .. } = desks.standing().await?.since(&began.standing);
    let queues = desks.queues().await?.since(began.queues);
    let mut orders = orders(&tally);
    for (_, why) in &refused_at_the_door {
        *orders.reasons.entry(format!("not taken: {why}")).or_default() += 1;
    }
    let effects = effects(&tally, &truth);
    let findings = match days {
        Some(_) => differences::compare(&truth.plants, &desks.findings().await?),
        None => Findings::default(),
    };
    let mut faults = desks.unbalanced().await?;
    faults.extend(money_faults(&tally, &truth));
    if let Some(endpoint) = &desks.crm {
        faults.extend(crm::unheard(desks, endpoint).await?);
    }
    if !over {
        faults.push("nothing moved for long although something was still to do".to_owned());
    }
    Ok(Summary {
        orders,
        notifications: notifications(&tally, &effects),
        effects,
        findings,
        dead_jobs: queues.dead,
        rows: rows(input),
        books: Books { balanced: faults.is_empty(), faults },
        seconds,
        jobs_run: queues.run,
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
        stuck: all.saturating_sub(count(tally, &ENDS)),
        needs_person: tally.needs_person.max(0) as u64,
        reasons,
    }
}

fn all(tally: &Tally) -> u64 {
    tally.orders.values().sum::<i64>().max(0) as u64
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

/// What came in and what went back, here and there.
fn money_faults(tally: &Tally, truth: &Truth) -> Vec<String> {
    let late = truth.plants.iter().filter(|plant| plant.kind == PlantKind::LatePay);
    let late: Vec<i64> = late.filter_map(|plant| plant.amount_fen).collect();
    let money = [
        ("came in", tally.paid_fen, truth.payments.paid_fen, late.as_slice()),
        ("went back", tally.refunded_fen, truth.payments.refunded_fen, &[]),
    ];
    let differing = money
        .into_iter()
        .filter(|(_, ours, theirs, late)| !differences::explained_by(*ours, *theirs, late))
        .map(|(what, ours, theirs, _)| (what, ours, theirs));
    differing
        .map(|(what, ours, theirs)| format!("{ours} fen {what} in our books, {theirs} fen outside"))
        .collect()
}
