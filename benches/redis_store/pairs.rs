//! Ours and the bare loop in turns, on one server.

use windlass::bench::bare::Bare;
use windlass::bench::figures::Pairs;
use windlass::bench::progress::Phase;
use windlass::bench::{CALLERS, Plan, in_pairs, in_turns, workers};

use crate::server::Server;
use crate::{Sizes, report};

pub async fn batches_and_drain(server: &Server, sizes: &Sizes) -> anyhow::Result<()> {
    let subject = server.subject("pairs").await?;
    let bare = Bare::Redis(server.bare().await?);
    let plan = Plan { jobs: sizes.jobs, pairs: sizes.pairs };
    let (batch, drain) = in_pairs(&subject, &bare, plan, &Phase::silent()).await?;
    report::pairs("enqueue, batches of 1,000", &batch, "the bare loop", ">= 0.90")?;
    report::pairs("drain of no-op jobs, one process", &drain, "the bare loop", ">= 0.70")
}

/// Group commit against as many callers that send a call each.
pub async fn singles(server: &Server, sizes: &Sizes) -> anyhow::Result<()> {
    let subject = server.subject("singles").await?;
    let bare = server.bare().await?;
    let silent = Phase::silent();
    let mut singles = Pairs::default();
    for pair in 0..sizes.pairs {
        let ours = || subject.enqueue_singly(sizes.jobs, CALLERS, &silent);
        let theirs = || bare.enqueue_singly(&subject, sizes.jobs, CALLERS, &silent);
        let (ours, theirs) = in_turns(pair, ours, theirs).await?;
        singles.add(ours.per_s, theirs.per_s);
        workers::drain(&subject, ours.jobs, &silent).await?;
        bare.drain(theirs.jobs, &silent).await?;
    }
    report::pairs("enqueue one by one, 64 callers", &singles, "the bare loop", "")
}
