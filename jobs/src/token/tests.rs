use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;
use crate::outside::{Fault, System};

const START: Timestamp = Timestamp::from_secs(1_767_578_400);

/// Hands out `T1`, `T2`, ... of an hour each.
struct Mint {
    fetches: AtomicU32,
    stuck: bool,
    broken: bool,
}

impl Mint {
    fn new() -> Arc<Self> {
        Arc::new(Self { fetches: AtomicU32::new(0), stuck: false, broken: false })
    }

    fn fetches(&self) -> u32 {
        self.fetches.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl TokenSource for Mint {
    fn name(&self) -> &str {
        "mint"
    }

    fn refresh_after(&self, life: Duration) -> Duration {
        ten_minutes_early(life)
    }

    async fn fetch(&self) -> Result<Fetched, OutsideError> {
        let nth = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        if self.broken {
            return Err(OutsideError::new(System::Ylh, "token", Fault::Unavailable, "down"));
        }
        let value = if self.stuck { "T".to_owned() } else { format!("T{nth}") };
        Ok(Fetched { value: value.into(), token_type: String::new(), expires_in: Duration::from_secs(3600) })
    }
}

fn tokens(shelf: &Arc<MemoryShelf>, clock: &Clock, holder: &str) -> Tokens {
    Tokens::new(shelf.clone(), clock.clone(), holder)
}

#[tokio::test]
async fn fifty_callers_share_one_fetch_and_one_refetch() {
    let (shelf, clock, mint) = (Arc::default(), Clock::by_hand(START), Mint::new());
    let tokens = tokens(&shelf, &clock, "a");
    let all = futures_util::future::join_all((0..50).map(|_| tokens.get(&*mint))).await;
    assert!(all.iter().all(|token| token.as_ref().unwrap().value.expose() == "T1"));
    assert_eq!(mint.fetches(), 1);

    let failed = Secret::new("T1");
    let all = futures_util::future::join_all((0..50).map(|_| tokens.drop_and_refetch(&*mint, &failed))).await;
    assert!(all.iter().all(|token| token.as_ref().unwrap().value.expose() == "T2"));
    assert_eq!(mint.fetches(), 2);
}

#[tokio::test]
async fn two_processes_share_one_fetch() {
    let (shelf, clock, mint) = (Arc::default(), Clock::by_hand(START), Mint::new());
    let (a, b) = (tokens(&shelf, &clock, "a"), tokens(&shelf, &clock, "b"));
    let (left, right) = tokio::join!(a.get(&*mint), b.get(&*mint));
    assert_eq!(left.unwrap().value, right.unwrap().value);
    assert_eq!(mint.fetches(), 1);

    // Both find T1 refused: the second adopts what the first fetched.
    let failed = Secret::new("T1");
    assert_eq!(a.drop_and_refetch(&*mint, &failed).await.unwrap().value.expose(), "T2");
    assert_eq!(b.drop_and_refetch(&*mint, &failed).await.unwrap().value.expose(), "T2");
    assert_eq!(mint.fetches(), 2);
}

#[tokio::test]
async fn a_token_is_replaced_before_its_end() {
    let (shelf, clock, mint) = (Arc::default(), Clock::by_hand(START), Mint::new());
    let tokens = tokens(&shelf, &clock, "a");
    tokens.get(&*mint).await.unwrap();
    clock.advance(Duration::from_secs(2999));
    assert_eq!(tokens.get(&*mint).await.unwrap().value.expose(), "T1");
    clock.advance(Duration::from_secs(1));
    assert_eq!(tokens.get(&*mint).await.unwrap().value.expose(), "T2");
}

#[tokio::test]
async fn a_token_in_use_is_kept_alive_and_another_is_left_alone() {
    let (shelf, clock, mint) = (Arc::default(), Clock::by_hand(START), Mint::new());
    let (a, b) = (tokens(&shelf, &clock, "a"), tokens(&shelf, &clock, "b"));
    let ahead = Duration::from_secs(360);
    assert!(matches!(a.keep_alive(&*mint, ahead).await, Ok(Kept::Unused)));
    b.get(&*mint).await.unwrap();
    clock.advance(Duration::from_secs(2639));
    assert!(matches!(a.keep_alive(&*mint, ahead).await, Ok(Kept::Good(_))));
    assert_eq!(mint.fetches(), 1);
    clock.advance(Duration::from_secs(1));
    let (left, right) = tokio::join!(a.keep_alive(&*mint, ahead), b.keep_alive(&*mint, ahead));
    assert!(left.is_ok() && right.is_ok());
    assert_eq!(mint.fetches(), 2);
    assert_eq!(b.get(&*mint).await.unwrap().value.expose(), "T2");
}

#[tokio::test]
async fn a_token_that_cannot_be_replaced_early_stays_good() {
    let (shelf, clock) = (Arc::new(MemoryShelf::default()), Clock::by_hand(START));
    let mint = Mint::new();
    tokens(&shelf, &clock, "a").get(&*mint).await.unwrap();
    clock.advance(Duration::from_secs(2_700));
    let broken = Arc::new(Mint { fetches: AtomicU32::new(0), stuck: false, broken: true });
    let b = tokens(&shelf, &clock, "b");
    assert!(b.keep_alive(&*broken, Duration::from_secs(360)).await.is_err());
    assert_eq!(b.get(&*broken).await.unwrap().value.expose(), "T1");
    assert_eq!(broken.fetches(), 1);
}

#[tokio::test]
async fn those_who_waited_for_a_failed_fetch_share_its_fate() {
    let mint = Arc::new(Mint { fetches: AtomicU32::new(0), stuck: false, broken: true });
    let (shelf, clock) = (Arc::default(), Clock::by_hand(START));
    let tokens = tokens(&shelf, &clock, "a");
    let all = futures_util::future::join_all((0..50).map(|_| tokens.get(&*mint))).await;
    assert!(all.iter().all(|result| result.as_ref().is_err_and(|e| e.fault == Fault::Unavailable)));
    assert_eq!(mint.fetches(), 1);
    // The next caller tries again: the claim was given back.
    assert!(tokens.get(&*mint).await.is_err());
    assert_eq!(mint.fetches(), 2);
}

#[tokio::test]
async fn a_source_that_insists_on_a_refused_token_is_not_stormed() {
    let mint = Arc::new(Mint { fetches: AtomicU32::new(0), stuck: true, broken: false });
    let (shelf, clock) = (Arc::default(), Clock::by_hand(START));
    let tokens = tokens(&shelf, &clock, "a");
    let token = tokens.get(&*mint).await.unwrap();
    for _ in 0..20 {
        assert_eq!(tokens.drop_and_refetch(&*mint, &token.value).await.unwrap().value, token.value);
    }
    assert_eq!(mint.fetches(), 2);
}

#[tokio::test]
async fn a_claim_that_ran_out_can_be_taken() {
    let shelf = MemoryShelf::default();
    let later = START + Duration::from_secs(31);
    assert!(shelf.claim("t", "dead", START, START + Duration::from_secs(30)).await.unwrap());
    assert!(!shelf.claim("t", "b", START + Duration::from_secs(30), later).await.unwrap());
    assert!(shelf.claim("t", "b", later, later).await.unwrap());
    shelf.release("t", "dead").await.unwrap();
    assert!(!shelf.claim("t", "c", later, later).await.unwrap());
}

/// A ledger that is down.
struct NoShelf;

#[async_trait]
impl TokenShelf for NoShelf {
    async fn load(&self, _: &str) -> anyhow::Result<Option<Token>> {
        anyhow::bail!("down")
    }
    async fn save(&self, _: &str, _: &Token) -> anyhow::Result<()> {
        anyhow::bail!("down")
    }
    async fn claim(&self, _: &str, _: &str, _: Timestamp, _: Timestamp) -> anyhow::Result<bool> {
        anyhow::bail!("down")
    }
    async fn release(&self, _: &str, _: &str) -> anyhow::Result<()> {
        anyhow::bail!("down")
    }
}

#[tokio::test]
async fn without_its_shelf_a_process_fetches_for_itself() {
    let mint = Mint::new();
    let tokens = Tokens::new(Arc::new(NoShelf), Clock::by_hand(START), "a");
    assert_eq!(tokens.get(&*mint).await.unwrap().value.expose(), "T1");
    assert_eq!(tokens.get(&*mint).await.unwrap().value.expose(), "T1");
    assert_eq!(mint.fetches(), 1);
}

proptest! {
    #[test]
    fn a_refresh_is_never_after_the_end(life_secs in 0_u64..100_000) {
        let life = Duration::from_secs(life_secs);
        prop_assert!(ten_minutes_early(life) <= life);
        prop_assert!(ten_minutes_early(life) >= life / 2);
    }
}
