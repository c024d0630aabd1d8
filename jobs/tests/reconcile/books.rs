//! Our side, and what becomes of comparing it.

use std::time::Duration;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use windlass_engine::Timestamp;
use windlass_jobs::Settings;
use windlass_jobs::findings::{FindingFilter, FindingState, findings};
use windlass_jobs::ledger::Ledger;
use windlass_jobs::payments::bill::{BillKey, BillType, BillWriter};
use windlass_jobs::reconciliation::{Compared, Day, Report, Wanted, compare};
use windlass_testing::bills::{FundBill, MCHID, TradeBill};
use windlass_testing::{Engine, Place};

pub struct Books {
    /// The folder, and the database, go with it.
    _place: Place,
    pub ledger: Ledger,
    pub settings: Settings,
}

/// The n-th day from 2026-01-05 on.
pub fn day(n: u64) -> Day {
    "2026-01-05".parse::<Day>().unwrap().plus(n)
}

/// So many hours into the n-th day.
pub fn at(n: u64, hours: f64) -> Timestamp {
    day(n).start() + Duration::from_secs_f64(hours * 3_600.0)
}

impl Books {
    pub async fn open(engine: Engine) -> Self {
        let place = Place::new(engine);
        let ledger = place.ledger().await;
        Self { _place: place, ledger, settings: Settings::default() }
    }

    /// An order of ours with its payment; `paid`: the transaction, when and how much.
    pub async fn order(
        &self,
        no: &str,
        order_state: &str,
        state: &str,
        total_fen: i64,
        paid: Option<(&str, Timestamp)>,
    ) {
        let mut tx = self.ledger.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO orders (order_no, state, fingerprint, openid, customer_name, mobile, province, city, area, \
             detail, county_code, total_fen, placed_at, expires_at, recorded_at, state_at, version, touched_at) \
             VALUES ($1, $2, '', 'o', 'n', 'm', 'p', 'c', 'a', 'd', '320106', $3, 0, 0, 0, 0, 1, 0)",
        )
        .bind(no)
        .bind(order_state)
        .bind(total_fen)
        .execute(tx.conn())
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO payments (out_trade_no, order_no, state, amount_fen, paid_fen, transaction_id, paid_at, \
             touched_at) VALUES ($1, $1, $2, $3, $4, $5, $6, 0)",
        )
        .bind(no)
        .bind(state)
        .bind(total_fen)
        .bind(if paid.is_some() { total_fen } else { 0 })
        .bind(paid.map(|(transaction, _)| transaction.to_owned()))
        .bind(paid.map(|(_, at)| at.micros()))
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn paid(&self, no: &str, transaction: &str, at: Timestamp, fen: i64) {
        self.order(no, "completed", "succeeded", fen, Some((transaction, at))).await;
    }

    pub async fn refund(&self, no: &str, refund_no: &str, state: &str, at: Timestamp, fen: i64) {
        let mut tx = self.ledger.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO refunds (refund_no, order_no, seq, amount_fen, reason, state, requested_at, touched_at) \
             VALUES ($1, $2, (SELECT COUNT(*) FROM refunds WHERE order_no = $2) + 1, $3, '', $4, $5, 0)",
        )
        .bind(refund_no)
        .bind(no)
        .bind(fen)
        .bind(state)
        .bind(at.micros())
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn write(&self, sql: &'static str) {
        let mut tx = self.ledger.begin().await.unwrap();
        sqlx::query(sql).execute(tx.conn()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn keep(&self, n: u64, kind: BillType, file: &str) {
        let key = BillKey { mchid: MCHID.to_owned(), day: day(n).date(), kind };
        let mut writer = BillWriter::begin(&self.ledger, &key).await.unwrap();
        writer.write(file.as_bytes()).await.unwrap();
        let sealed = writer.seal().await.unwrap();
        let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, file.as_bytes());
        let sha1: String = sha1.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let totals = sealed.totals.as_ref().unwrap();
        let mut tx = self.ledger.begin().await.unwrap();
        sealed.make_ready(&mut tx, &key, &sha1, totals).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn trade(&self, n: u64, bill: &TradeBill) {
        self.keep(n, BillType::Trade, &bill.file()).await;
    }

    /// Keeps a file as it is.
    pub async fn file(&self, day: Day, kind: BillType, file: &str) {
        let n = (0..400).find(|n| self::day(*n) == day).unwrap();
        self.keep(n, kind, file).await;
    }

    pub async fn fund(&self, n: u64, bill: &FundBill) {
        self.keep(n, BillType::Fund, &bill.file()).await;
    }

    pub async fn no_statement(&self, n: u64) {
        let mut tx = self.ledger.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO bills (id, mchid, day, type, state, fetched_at, asked_at) \
             VALUES ($1, $2, $1, 'trade', 'no_statement', 0, 0)",
        )
        .bind(day(n).to_string())
        .bind(MCHID)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }

    pub fn wanted(&self, n: u64) -> Wanted<'static> {
        Wanted::new(MCHID, day(n), "job", &self.settings)
    }

    pub async fn compare(&self, n: u64) -> Compared {
        compare(&self.ledger, &self.wanted(n)).await.unwrap()
    }

    /// Compares, and expects a report.
    pub async fn report(&self, n: u64) -> Report {
        match self.compare(n).await {
            Compared::Done(report) => *report,
            other => panic!("{other:?}"),
        }
    }

    /// Type and key of every case in this state, sorted.
    pub async fn cases(&self, state: FindingState) -> Vec<(&'static str, String)> {
        let filter = FindingFilter { state: Some(state), ..FindingFilter::default() };
        let page = findings(&self.ledger, &filter, 500, None).await.unwrap();
        let mut cases: Vec<_> =
            page.findings.into_iter().map(|case| (case.kind.as_str(), case.key)).collect();
        cases.sort();
        cases
    }

    pub async fn open_cases(&self) -> Vec<(&'static str, String)> {
        self.cases(FindingState::Open).await
    }

    /// Findings that a job was sent to heal.
    pub async fn heals(&self) -> i64 {
        let (jobs,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) AS jobs FROM outbox WHERE kind = 'heal_finding'")
                .fetch_one(self.ledger.reads())
                .await
                .unwrap();
        jobs
    }
}

pub fn case(kind: &'static str, key: &str) -> (&'static str, String) {
    (kind, key.to_owned())
}
