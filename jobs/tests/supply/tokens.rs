//! Tokens that are kept alive by several replicas on one ledger, as the outside counts their fetches.

use std::time::Duration;

use windlass_jobs::Shop;
use windlass_jobs::token::Kept;
use windlass_sandbox::CallsTruth;
use windlass_testing::{Engine, on_every_engine};

use crate::site::{Site, goods};

on_every_engine! {
    two_replicas_keep_each_token_alive_with_one_fetch,
}

const AHEAD: Duration = Duration::from_secs(360);

async fn keep_all(shop: &Shop) -> [Kept; 3] {
    let (haier, ylh, mini) = tokio::join!(
        shop.haier.keep_token(AHEAD),
        shop.ylh.keep_token(AHEAD),
        shop.mini_program.keep_token(AHEAD)
    );
    [haier.expect("kept"), ylh.expect("kept"), mini.expect("kept")]
}

fn tokens(calls: CallsTruth) -> [u64; 3] {
    [calls.haier_tokens, calls.ylh_tokens, calls.mini_program_tokens]
}

async fn two_replicas_keep_each_token_alive_with_one_fetch(engine: Engine) {
    let site = Site::open(engine, goods(200)).await;
    let (one, two) = (site.replica("one"), site.replica("two"));
    let kept = keep_all(&one).await;
    assert!(kept.iter().all(|kept| matches!(kept, Kept::Unused)), "{kept:?}");
    assert_eq!(tokens(site.sandbox.calls()), [0, 0, 0], "nobody has needed one");

    // Haier's is needed by both at once, and from then on kept by both.
    let (a, b) = tokio::join!(one.haier.balance(), two.haier.balance());
    assert_eq!(a.expect("read"), b.expect("read"));
    assert_eq!(tokens(site.sandbox.calls()), [1, 0, 0]);
    for hour in 1..=6 {
        // Three quarters of an hour: the token, which lives an hour and is replaced at 50 minutes, is due within AHEAD.
        site.clock.advance(Duration::from_secs(45 * 60));
        let (a, b) = tokio::join!(keep_all(&one), keep_all(&two));
        for kept in [&a[0], &b[0]] {
            let (Kept::Renewed(token) | Kept::Good(token)) = kept else { panic!("{kept:?}") };
            assert!(token.expires_at.since(site.clock.now()) > Duration::from_secs(50 * 60));
        }
        assert_eq!(tokens(site.sandbox.calls()), [1 + hour, 0, 0]);
        // Whoever calls now has it at hand.
        let (a, b) = tokio::join!(one.haier.balance(), two.haier.balance());
        a.and(b).expect("read");
        assert_eq!(tokens(site.sandbox.calls()), [1 + hour, 0, 0]);
    }
    // A look that comes too early fetches nothing.
    site.clock.advance(Duration::from_secs(5 * 60));
    keep_all(&one).await;
    assert_eq!(tokens(site.sandbox.calls()), [7, 0, 0]);
}
